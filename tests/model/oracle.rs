//! The frame as the naive world runs it: batch after batch, every system's rows checked against what the engine's
//! kernels noted, whose order decides among patches on one target.

use std::collections::BTreeMap;

use hypostyle::{Entity, Reduce as _};

use super::components::*;
use super::engine::{Chunks, seen};
use super::naive::{Allowed, Batch, Counts, Naive, Wanted, Wish};
use super::program::{Bind, Op, Payload, bind, fired, foreign, mix};

/// What a system is to the model.
struct Spec {
    name: &'static str,
    wanted: Wanted,
    kind: Kind,
}

enum Kind {
    /// New bytes of a component from the world as it was when the batch began.
    Dense(usize, fn(&Begun, Entity) -> Vec<u8>),
    /// Instructions, and which of the program's payloads; whether it reads counters.
    Patches(usize, Allowed),
    /// Handles of a component, whose packed value has them there, written densely.
    Bind(usize, usize),
    /// Rows are noted only.
    Look,
    /// Lists are made anew, row by row.
    Trail,
    /// Rows become one value.
    Census,
    /// Adds a counter.
    Boot,
}

fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn counter(world: &Naive, entity: Entity) -> Option<u64> {
    let bytes = world.bytes(entity, Counter::INDEX)?;
    Some(u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
}

const COUNTERS: Wanted = Wanted { all: &[1], none: &[7], any: &[], changed: &[] };

/// The world as it was when a batch began, and sums over it.
struct Begun {
    world: Naive,
    counters: u64,
    cells: i16,
}

impl Begun {
    fn new(world: Naive) -> Self {
        let counters = world.matching(&COUNTERS).into_iter().filter_map(|other| counter(&world, other));
        let counters = counters.fold(0, u64::wrapping_add);
        let grids = world.entities.values().filter_map(|components| components.get(&Grid::INDEX));
        let cells = grids.map(|value| first(&value.bytes)).fold(0, i16::wrapping_add);
        Begun { world, counters, cells }
    }
}

/// The first cell of a grid; of a score, its low bits.
fn first(bytes: &[u8]) -> i16 {
    i16::from_le_bytes([bytes[0], bytes[1]])
}

fn own(world: &Naive, entity: Entity, component: usize) -> Vec<u8> {
    world.bytes(entity, component).expect("the row matched").to_vec()
}

fn integrate(begun: &Begun, entity: Entity) -> Vec<u8> {
    let world = &begun.world;
    let mut bytes = own(world, entity, Position::INDEX);
    let x = f32_at(&bytes, 0) + (counter(world, entity).expect("it is read") % 8) as f32;
    bytes[..4].copy_from_slice(&x.to_le_bytes());
    bytes
}

fn count(begun: &Begun, entity: Entity) -> Vec<u8> {
    let world = &begun.world;
    mix(counter(world, entity).expect("it matched") ^ (world.frame + 1)).to_le_bytes().to_vec()
}

fn heal(begun: &Begun, entity: Entity) -> Vec<u8> {
    let world = &begun.world;
    let bytes = own(world, entity, Health::INDEX);
    let points = i32::from_le_bytes(bytes[..].try_into().expect("4 bytes"));
    let points = if entity.index().is_multiple_of(2) { points.wrapping_add(5) } else { points };
    points.to_le_bytes().to_vec()
}

fn drain(begun: &Begun, entity: Entity) -> Vec<u8> {
    let world = &begun.world;
    let bytes = own(world, entity, Charge::INDEX);
    (f64::from_le_bytes(bytes[..].try_into().expect("8 bytes")) * 0.5).to_le_bytes().to_vec()
}

fn relink(begun: &Begun, entity: Entity) -> Vec<u8> {
    let world = &begun.world;
    let mut bytes = own(world, entity, Link::INDEX);
    let to = Entity::from_bits(u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")));
    let matches = world.value(to, Asleep::INDEX).is_none();
    let near = counter(world, to).filter(|_| matches).unwrap_or(1);
    bytes[8..].copy_from_slice(&(begun.counters.wrapping_add(near) as u16).to_le_bytes());
    bytes
}

fn diffuse(begun: &Begun, entity: Entity) -> Vec<u8> {
    let world = &begun.world;
    let score = world.resources[0].as_ref().map_or(3, |bytes| first(bytes));
    let mut bytes = own(world, entity, Grid::INDEX);
    let cell = first(&bytes).wrapping_add(begun.cells).wrapping_add(score);
    bytes[..2].copy_from_slice(&cell.to_le_bytes());
    bytes
}

fn drift(begun: &Begun, entity: Entity) -> Vec<u8> {
    let world = &begun.world;
    let mut bytes = own(world, entity, Position::INDEX);
    let y = f32_at(&bytes, 4) + 1.0;
    bytes[4..].copy_from_slice(&y.to_le_bytes());
    bytes
}

/// The batches of a frame in order. Systems that do not touch what the others of their batch do may stand alone here.
fn batches() -> Vec<Vec<Spec>> {
    let dense = |name, wanted, component, kernel| vec![Spec { name, wanted, kind: Kind::Dense(component, kernel) }];
    let all = |all| Wanted { all, ..Wanted::default() };
    let any_spawn = || (0..COMPONENTS).collect::<Vec<_>>();
    let react = Allowed {
        sets: vec![1, 8],
        adds: vec![5, 7, 6, 8],
        removes: vec![10, 8],
        spawns: vec![0, 1, 2, 8],
        despawns: true,
        score: false,
    };
    let left = Allowed {
        sets: vec![4, 3],
        adds: vec![5, 4],
        removes: vec![3, 5],
        spawns: any_spawn(),
        despawns: true,
        score: false,
    };
    let right = Allowed {
        sets: vec![2, 8],
        adds: vec![6, 9, 2],
        removes: vec![6, 10],
        spawns: any_spawn(),
        despawns: true,
        score: false,
    };
    let mut late = dense("drift", all(&[0]), 0, drift);
    late.push(Spec { name: "left", wanted: COUNTERS, kind: Kind::Patches(2, left) });
    late.push(Spec { name: "right", wanted: Wanted::default(), kind: Kind::Patches(3, right) });
    vec![
        vec![Spec { name: "boot", wanted: all(&[5]), kind: Kind::Boot }],
        dense("integrate", all(&[0, 1]), 0, integrate),
        dense("count", COUNTERS, 1, count),
        dense("heal", all(&[8, 9]), 8, heal),
        dense("drain", Wanted { all: &[9], any: &[7, 5], ..Wanted::default() }, 9, drain),
        vec![Spec { name: "patch", wanted: Wanted::default(), kind: Kind::Patches(0, Allowed::all()) }],
        dense("relink", all(&[2]), 2, relink),
        vec![Spec { name: "bind", wanted: all(&[2]), kind: Kind::Bind(2, 0) }],
        vec![Spec { name: "guard", wanted: all(&[6, 1]), kind: Kind::Bind(6, 4) }],
        dense("diffuse", all(&[4]), 4, diffuse),
        vec![Spec {
            name: "react",
            wanted: Wanted { changed: &[8, 9], ..Wanted::default() },
            kind: Kind::Patches(1, react),
        }],
        vec![Spec {
            name: "watch",
            wanted: Wanted { changed: &[10], none: &[5], ..Wanted::default() },
            kind: Kind::Look,
        }],
        vec![Spec { name: "trail", wanted: all(&[1, TRAIL]), kind: Kind::Trail }],
        vec![Spec { name: "census", wanted: COUNTERS, kind: Kind::Census }],
        late,
        vec![Spec {
            name: "last",
            wanted: Wanted { all: &[1], any: &[8, 10, 6], ..Wanted::default() },
            kind: Kind::Look,
        }],
    ]
}

/// The systems in the order of registration, as in the report.
pub const REGISTERED: [&str; 18] = [
    "boot",
    "integrate",
    "count",
    "heal",
    "drain",
    "patch",
    "relink",
    "bind",
    "guard",
    "diffuse",
    "react",
    "watch",
    "trail",
    "census",
    "drift",
    "left",
    "right",
    "last",
];

/// A system's rows in canonical order, as the engine noted them, checked against what the model says it gets.
fn ordered<'a>(
    name: &str,
    log: &'a BTreeMap<&'static str, Chunks>,
    world: &Naive,
    wanted: &Wanted,
) -> Option<&'a Chunks> {
    let want = world.matching(wanted);
    let mut got: Vec<Entity> = log.get(name).into_iter().flatten().flat_map(|(_, rows)| rows.iter().copied()).collect();
    got.sort_by_key(|entity| (entity.index(), entity.generation()));
    assert_eq!(got, want, "rows that system `{name}` got in frame {}", world.frame + 1);
    log.get(name)
}

/// The outcome of a frame.
pub enum Outcome {
    /// What became of each system's patches.
    Done(BTreeMap<&'static str, Counts>),
    /// This system was told to fail.
    Failed(&'static str),
}

/// What somebody outside wants set: a component, with packed values by entity, or the score.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(all(target_os = "linux", feature = "fault-injection", feature = "checkpoint")),
    expect(dead_code, reason = "senders are in the simulator's stories")
)]
pub enum Input {
    Component(usize, Vec<(Entity, Vec<u8>)>),
    Score(Vec<u8>),
}

/// Inputs are applied as one batch of patches that may set everything and nothing else.
fn apply(world: &mut Naive, inputs: &[Input], parity: usize) -> Counts {
    let allowed = Allowed { sets: (0..COMPONENTS).collect(), score: true, ..Allowed::default() };
    let (mut batch, mut counts) = (Batch::new(world, parity), Counts::default());
    for input in inputs {
        match input {
            Input::Component(component, values) => {
                for (entity, bytes) in values {
                    batch.apply(&allowed, *entity, Wish::Set(*component, bytes.clone()), false, &mut counts);
                }
            }
            Input::Score(bytes) => batch.set_score(&allowed, bytes.clone(), false, &mut counts),
        }
    }
    batch.finish();
    counts
}

/// What inputs are reported as.
pub const INPUTS: &str = "inputs";

/// Runs a frame on the model.
pub fn frame(
    world: &mut Naive,
    payloads: &[Payload; 4],
    dt: f64,
    log: &BTreeMap<&'static str, Chunks>,
    inputs: &[Input],
) -> Outcome {
    let number = world.frame + 1;
    let parity = (number & 1) as usize;
    let mut report: BTreeMap<&'static str, Counts> = BTreeMap::new();
    world.clear_changed(parity);
    report.insert(INPUTS, apply(world, inputs, parity));
    for batch in batches() {
        if matches!(batch[0].kind, Kind::Boot) && world.frame > 0 {
            assert!(!log.contains_key(batch[0].name), "startup runs once");
            continue;
        }
        let begun = Begun::new(world.clone());
        // a failing job fails the batch, whoever else ran
        for spec in &batch {
            if let Kind::Patches(payload, _) = &spec.kind {
                let fails = begun.world.matching(&spec.wanted).into_iter().any(|entity| {
                    fired(&payloads[*payload], entity, number, seen(counter(&begun.world, entity), 0))
                        .any(|fired| fired.op == Op::Fail)
                });
                if fails {
                    return Outcome::Failed(spec.name);
                }
            }
        }
        let rows: Vec<_> = batch.iter().map(|spec| ordered(spec.name, log, &begun.world, &spec.wanted)).collect();
        for spec in &batch {
            if let Kind::Dense(component, kernel) = spec.kind {
                for entity in begun.world.matching(&spec.wanted) {
                    let bytes = kernel(&begun, entity);
                    // a row that is what it was did not change
                    if world.bytes(entity, component) != Some(&bytes) {
                        world.write(entity, component, bytes, parity);
                    }
                }
            }
        }
        let mut applied = Batch::new(world, parity);
        let mut census_of_batch = None;
        for (spec, rows) in batch.iter().zip(rows) {
            let counts = report.entry(spec.name).or_default();
            let mut census = Census::empty();
            for entities in rows.into_iter().flatten().map(|(_, entities)| entities) {
                applied.begin_call();
                for entity in entities {
                    match &spec.kind {
                        Kind::Boot => {
                            let allowed = Allowed { adds: vec![1], ..Allowed::default() };
                            let value = packed(1, mix(entity.to_bits()), Entity::NULL);
                            applied.apply(&allowed, *entity, Wish::Add(1, value), false, counts);
                        }
                        Kind::Patches(payload, allowed) => {
                            let seen = seen(counter(&begun.world, *entity), 0);
                            for fired in fired(&payloads[*payload], *entity, number, seen) {
                                patch(&mut applied, allowed, *entity, fired, counts);
                            }
                        }
                        Kind::Bind(component, at) => {
                            let allowed = Allowed { spawns: vec![1], ..Allowed::default() };
                            let handle = match bind(*entity, number) {
                                Some(Bind::Spawned(seed)) => applied.spawn(&allowed, &[1], seed, Entity::NULL, counts),
                                Some(Bind::Refused) => applied.spawn(&allowed, &[5], 0, Entity::NULL, counts),
                                Some(Bind::Foreign(which)) => foreign(which),
                                Some(Bind::Same) | None => continue,
                            };
                            let mut bytes = own(applied.world, *entity, *component);
                            bytes[*at..at + 8].copy_from_slice(&handle.to_bits().to_le_bytes());
                            applied.world.write(*entity, *component, bytes, parity);
                        }
                        Kind::Trail => {
                            let list = Trail::unpacked(&own(applied.world, *entity, TRAIL));
                            let number = counter(&begun.world, *entity).expect("it is read");
                            if let Some(list) = Trail::renewed(list, *entity, number) {
                                counts.applied += 1;
                                applied.world.write(*entity, TRAIL, Trail::packed(&list), parity);
                            }
                        }
                        Kind::Census => {
                            let number = counter(&begun.world, *entity).expect("it is read");
                            census = census.join(Census::of(*entity, number));
                        }
                        Kind::Dense(..) | Kind::Look => {}
                    }
                }
            }
            if matches!(spec.kind, Kind::Census) {
                counts.applied += 1;
                census_of_batch = Some(census);
            }
        }
        applied.finish();
        if let Some(census) = census_of_batch {
            world.resources[2] = Some(pack(census));
        }
    }
    world.frame += 1;
    world.time += dt;
    Outcome::Done(report)
}

fn patch(batch: &mut Batch<'_>, allowed: &Allowed, own: Entity, fired: super::program::Fired, counts: &mut Counts) {
    let target = if fired.by_row { own } else { fired.target };
    let (link, stale) = batch.real(fired.link);
    let value = || packed(fired.what, fired.seed, link);
    match fired.op {
        Op::Set => batch.apply(allowed, target, Wish::Set(fired.what, value()), stale, counts),
        Op::Add => batch.apply(allowed, target, Wish::Add(fired.what, value()), stale, counts),
        Op::Remove => batch.apply(allowed, target, Wish::Remove(fired.what), false, counts),
        Op::Despawn => batch.apply(allowed, target, Wish::Despawn, false, counts),
        Op::Spawn => {
            let components = BUNDLES[fired.what];
            batch.spawn(allowed, components, fired.seed, fired.link, counts);
        }
        Op::SetScore => {
            let score = Score { total: fired.seed, best: link };
            batch.set_score(allowed, pack(score), stale, counts);
        }
        Op::Fail => unreachable!("a batch that fails is not applied"),
    }
}
