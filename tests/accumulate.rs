//! Accumulating patches: deposits on components of any entity and on resources, joined in one order.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::HashMap;

use hypostyle::{
    Component, Entity, FieldJoin, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World, Write, dynamic,
};
use proptest::prelude::*;

/// What deposits are made of: four facts with joins of their own.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct Facts {
    sum: f64,
    least: i16,
    flags: u32,
    parts: [u8; 3],
    any: bool,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Plain {
    x: f64,
    y: f64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Heat {
    degrees: f32,
}
#[derive(Component, Clone, Copy)]
struct Other {
    x: u8,
}
/// What one row does. 0: Facts · 1: Plain · 2: Heat · 3: remove Other · 4: add Other · 5: despawn · 6: all of the first three
#[derive(Component, Clone, Copy, Debug)]
struct Order {
    target: Entity,
    number: u32,
    kind: u8,
}

const JOINS: [(&str, FieldJoin); 5] = [
    ("sum", FieldJoin::Sum),
    ("least", FieldJoin::Min),
    ("flags", FieldJoin::Or),
    ("parts", FieldJoin::Sum),
    ("any", FieldJoin::Max),
];

fn facts(number: u32) -> Facts {
    let n = number as u8;
    Facts {
        sum: f64::from(number),
        least: (number * 7919 % 30_000) as i16 - 15_000,
        flags: 1 << (number % 32),
        parts: [n, n / 2, 1],
        any: number.is_multiple_of(64),
    }
}

fn join(own: &mut Facts, later: Facts) {
    own.sum += later.sum;
    own.least = own.least.min(later.least);
    own.flags |= later.flags;
    own.parts.iter_mut().zip(later.parts).for_each(|(own, later)| *own = own.saturating_add(later));
    own.any |= later.any;
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Model {
    facts: Option<Facts>,
    plain: Option<Plain>,
    heat: Option<Heat>,
    other: bool,
}

fn obey() -> System {
    System::rows::<Read<Order>>("obey", |job, order| {
        for row in 0..job.len() {
            let (target, number, kind) = (order.target[row], order.number[row], order.kind[row]);
            let x = f64::from(number);
            if matches!(kind, 0 | 6) {
                job.accumulate(target, facts(number));
            }
            if matches!(kind, 1 | 6) {
                job.accumulate(target, Plain { x, y: -x });
            }
            if matches!(kind, 2 | 6) {
                job.accumulate(target, Heat { degrees: number as f32 });
            }
            match kind {
                3 => job.remove::<Other>(target),
                4 => job.add(target, Other { x: 1 }),
                5 => job.despawn(target),
                _ => {}
            }
        }
    })
    .accumulates_named("facts", JOINS)
    .accumulates::<Plain>(FieldJoin::Sum)
    .accumulates::<Heat>(FieldJoin::Max)
    .adds::<Other>()
    .removes::<Other>()
    .despawns()
    .job_rows(64)
}

#[derive(Clone, Debug)]
struct Case {
    /// Per entity: which components it has, as bits.
    kinds: Vec<u8>,
    /// Runs of orders: kind, first entity, step from one to the next, count.
    runs: Vec<(u8, usize, usize, usize)>,
}

fn case() -> impl Strategy<Value = Case> {
    let kinds = prop::collection::vec(0u8..16, 1..300);
    let run = (prop_oneof![6 => 0u8..3, 2 => Just(6u8), 1 => 3u8..6], 0usize..300, 0usize..8, 1usize..300);
    (kinds, prop::collection::vec(run, 1..8)).prop_map(|(kinds, runs)| Case { kinds, runs })
}

/// A world of a case, its entities, and what they have in the end. Sums are of whole numbers: their order says nothing.
fn world_of(case: &Case) -> (World, HashMap<Entity, Model>, u64) {
    let builder = World::builder().component::<Facts>().component::<Plain>().component::<Heat>();
    let mut world = builder.component::<Other>().component::<Order>().build().unwrap();
    let mut model: HashMap<Entity, Model> = HashMap::new();
    let mut entities = Vec::new();
    for (index, kind) in case.kinds.iter().enumerate() {
        let entity = world.spawn(()).unwrap();
        let of = model.entry(entity).or_default();
        entities.push(entity);
        if kind & 1 != 0 {
            world.add(entity, facts(index as u32)).unwrap();
            of.facts = Some(facts(index as u32));
        }
        if kind & 2 != 0 {
            world.add(entity, Plain { x: 1.0, y: 2.0 }).unwrap();
            of.plain = Some(Plain { x: 1.0, y: 2.0 });
        }
        if kind & 4 != 0 {
            world.add(entity, Heat { degrees: 100.0 }).unwrap();
            of.heat = Some(Heat { degrees: 100.0 });
        }
        if kind & 8 != 0 {
            world.add(entity, Other { x: 0 }).unwrap();
            of.other = true;
        }
    }
    for entity in entities.iter().step_by(37) {
        world.despawn(*entity).unwrap();
        model.remove(entity);
    }
    let mut gone = Vec::new();
    let mut lost = 0;
    for (kind, first, step, count) in &case.runs {
        for index in 0..*count {
            let order = Order {
                target: entities[(first + step * index) % entities.len()],
                number: (index + first) as u32,
                kind: *kind,
            };
            world.spawn(order).unwrap();
            let deposits = match order.kind {
                0..3 => 1,
                6 => 3,
                _ => 0,
            };
            let Some(of) = model.get_mut(&order.target) else {
                lost += deposits;
                continue;
            };
            let before = lost;
            if matches!(order.kind, 0 | 6) {
                of.facts.as_mut().map_or_else(|| lost += 1, |own| join(own, facts(order.number)));
            }
            if matches!(order.kind, 1 | 6) {
                let x = f64::from(order.number);
                of.plain.as_mut().map_or_else(|| lost += 1, |own| (own.x, own.y) = (own.x + x, own.y - x));
            }
            if matches!(order.kind, 2 | 6) {
                let degrees = order.number as f32;
                of.heat.as_mut().map_or_else(|| lost += 1, |own| own.degrees = own.degrees.max(degrees));
            }
            assert!(lost - before <= deposits);
            match order.kind {
                3 => of.other = false,
                4 => of.other = true,
                5 => gone.push(order.target),
                _ => {}
            }
        }
    }
    for entity in gone {
        model.remove(&entity);
    }
    (world, model, lost)
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let (world, model, lost) = world_of(case);
    let mut schedule = Schedule::new();
    schedule.add(obey());
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    let counts = simulation.step(1.0).unwrap().patches.clone();
    let world = simulation.world();
    for (entity, of) in &model {
        let found = Model {
            facts: world.get::<Facts>(*entity).ok(),
            plain: world.get::<Plain>(*entity).ok(),
            heat: world.get::<Heat>(*entity).ok(),
            other: world.get::<Other>(*entity).is_ok(),
        };
        prop_assert_eq!(found, *of, "{}", entity);
    }
    // deposits on one target are joined in the job: what is lost is counted as fewer patches, never as none
    let counted: u64 = counts.iter().map(|counts| counts.stale + counts.refused).sum();
    prop_assert_eq!(counted > 0, lost > 0 || counts[0].stale > 0, "{:?} for {}", counts, lost);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn deposits_come_to_what_one_after_the_other_would(case in case()) {
        check(&case)?;
    }
}

/// A number whose sums depend on their order.
fn number(index: u64) -> f64 {
    let mixed = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ index << 17;
    (mixed >> 40) as f64 * 10_f64.powi((mixed % 17) as i32 - 12) - 1.0
}

#[derive(Component, Clone, Copy)]
struct Source {
    to: Entity,
    value: f64,
}

/// The bits of all cells after three frames of `rows` deposits on `cells` cells each.
fn bits(workers: Workers, rows: u64, cells: u64) -> Vec<u64> {
    let mut world = World::builder().component::<Source>().component::<Plain>().build().unwrap();
    let targets = world.spawn_batch((0..cells).map(|_| Plain { x: 0.0, y: 0.0 })).unwrap();
    let source = |i: u64| Source { to: targets[(i.wrapping_mul(0x9E37_79B9) % cells) as usize], value: number(i) };
    world.spawn_batch((0..rows).map(source)).unwrap();
    let mut schedule = Schedule::new();
    let spread = System::rows::<Read<Source>>("spread", |job, source| {
        for (to, value) in source.to.iter().zip(source.value) {
            job.accumulate(*to, Plain { x: *value, y: 1.0 });
        }
    });
    schedule.add(spread.accumulates::<Plain>(FieldJoin::Sum));
    let mut simulation = Simulation::new(world, schedule, workers).unwrap();
    simulation.run(3, 1.0).unwrap();
    let world = simulation.world();
    let count: f64 = targets.iter().map(|cell| world.get::<Plain>(*cell).unwrap().y).sum();
    assert_eq!(count, 3.0 * rows as f64, "no deposit is lost");
    targets.iter().map(|cell| world.get::<Plain>(*cell).unwrap().x.to_bits()).collect()
}

#[test]
fn the_bits_are_the_same_for_all_workers_however_hot_the_cells() {
    for cells in [1, 50, 5000, 120_000] {
        let expected = bits(Workers::Local, 120_000, cells);
        for workers in [Workers::Threads(1), Workers::Threads(3)] {
            assert!(bits(workers, 120_000, cells) == expected, "{cells} cells, {workers}");
        }
    }
}

/// How many patches deposits of a frame become: `rows` of them, on cells that `place` names.
fn patches(rows: usize, cells: usize, place: impl Fn(usize) -> usize) -> u64 {
    let mut world = World::builder().component::<Source>().component::<Plain>().build().unwrap();
    let targets = world.spawn_batch((0..cells).map(|_| Plain { x: 0.0, y: 0.0 })).unwrap();
    world.spawn_batch((0..rows).map(|i| Source { to: targets[place(i) % cells], value: 0.5 })).unwrap();
    let mut schedule = Schedule::new();
    let spread = System::rows::<Read<Source>>("spread", |job, source| {
        for (to, value) in source.to.iter().zip(source.value) {
            job.accumulate(*to, Plain { x: *value, y: 0.0 });
        }
    });
    schedule.add(spread.accumulates::<Plain>(FieldJoin::Sum).job_rows(16_384));
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    let applied = simulation.step(1.0).unwrap().patches[0].applied;
    let world = simulation.world();
    let sum: f64 = targets.iter().map(|cell| world.get::<Plain>(*cell).unwrap().x).sum();
    assert_eq!(sum, 0.5 * rows as f64);
    applied
}

/// In one job of 16,384 deposits: what cells cost is patches, and what is joined in vain costs time.
#[test]
fn hot_cells_cost_few_patches_and_others_one_for_each_deposit() {
    let scattered = |i: usize| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    assert_eq!(patches(16_384, 1, |i| i), 1);
    let thousand = patches(16_384, 1000, scattered);
    assert!((1000..1200).contains(&thousand), "{thousand} for 1000 cells");
    assert_eq!(patches(16_384, 16_384, |i| i), 16_384);
    assert_eq!(patches(20_000, 1, |i| i), 2, "in two jobs");
}

#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq)]
struct Mesh {
    #[reduce(sum)]
    charge: [f64; 16],
    #[reduce(or)]
    seen: u32,
    #[reduce(max)]
    most: f32,
}

fn mesh(workers: Workers, initial: Option<Mesh>, frames: u64, rows: u64) -> Mesh {
    let mut world = World::builder().component::<Source>().resource::<Mesh>().build().unwrap();
    world.spawn_batch((0..rows).map(|i| Source { to: Entity::NULL, value: number(i) })).unwrap();
    if let Some(initial) = initial {
        world.insert_resource(initial).unwrap();
    }
    let mut schedule = Schedule::new();
    let deposit = System::try_rows::<Read<Source>>("deposit", |job, source| {
        let first = job.first_row();
        let charge = job.elements::<Mesh, f64>("charge")?;
        source.value.iter().enumerate().for_each(|(row, value)| charge[(first + row) % 16] += value);
        job.elements::<Mesh, u32>("seen")?[0] |= 1 << (first / 8192);
        job.accumulate_resource(Mesh { most: job.len() as f32, ..Mesh::empty() });
        Ok(())
    });
    schedule.add(deposit.accumulates_resource::<Mesh>());
    let mut simulation = Simulation::new(world, schedule, workers).unwrap();
    simulation.run(frames, 1.0).unwrap();
    simulation.world().resource().unwrap()
}

#[test]
fn a_resource_is_accumulated_on_element_by_element() {
    let expected = mesh(Workers::Local, None, 3, 30_000);
    assert_eq!((expected.seen, expected.most), (0b1111, 8192.0));
    for workers in [Workers::Threads(1), Workers::Threads(3)] {
        assert_eq!(mesh(workers, None, 3, 30_000), expected);
    }
    // what was there is part of it
    let one = mesh(Workers::Local, None, 1, 30_000);
    let start = Mesh { charge: [0.5; 16], seen: 1 << 20, most: 1e6 };
    let onto = mesh(Workers::Local, Some(start), 1, 30_000);
    let sums: Vec<f64> = one.charge.iter().map(|charge| 0.5 + charge).collect();
    assert_eq!((&onto.charge[..], onto.seen, onto.most), (&sums[..], 1 << 20 | 0b1111, 1e6));
    // no rows leave it alone
    assert_eq!(mesh(Workers::Local, Some(start), 2, 0), start);
}

#[test]
fn own_rows_written_by_the_same_system_come_first() {
    let mut world = World::builder().component::<Plain>().build().unwrap();
    let all = world.spawn_batch((0..100).map(|_| Plain { x: 7.0, y: 7.0 })).unwrap();
    let mut schedule = Schedule::new();
    let forces = System::rows::<Write<Plain>>("forces", |job, mut own| {
        own.x.fill(0.0);
        for row in 0..job.len() - 1 {
            job.accumulate_row(row, Plain { x: 1.0, y: 0.0 });
            job.accumulate_row(row + 1, Plain { x: -0.25, y: 0.0 });
        }
    });
    schedule.add(forces.accumulates::<Plain>(FieldJoin::Sum));
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    simulation.run(2, 1.0).unwrap();
    let x = |i: usize| simulation.world().get::<Plain>(all[i]).unwrap();
    assert_eq!((x(0).x, x(50).x, x(99).x, x(50).y), (1.0, 0.75, -0.25, 7.0));
}

/// Deposits by handle and by row, this one or that one first; what comes of them depends on their order.
fn both_ways(by_row_first: bool) -> f64 {
    let mut world = World::builder().component::<Plain>().build().unwrap();
    let entity = world.spawn(Plain { x: -1e16, y: 0.0 }).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<Read<Plain>>("deposit", move |job, _| {
            if by_row_first {
                job.accumulate_row(0, Plain { x: 1e16, y: 0.0 });
                job.accumulate(job.entities()[0], Plain { x: 1.0, y: 0.0 });
            } else {
                job.accumulate(job.entities()[0], Plain { x: 1.0, y: 0.0 });
                job.accumulate_row(0, Plain { x: 1e16, y: 0.0 });
            }
        })
        .accumulates::<Plain>(FieldJoin::Sum),
    );
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    simulation.world().get::<Plain>(entity).unwrap().x
}

#[test]
fn what_a_worker_did_before_makes_no_difference() {
    let fresh = |by_row_first| std::thread::spawn(move || both_ways(by_row_first)).join().unwrap();
    let after = |by_row_first: bool| {
        let worked = move || {
            both_ways(!by_row_first);
            both_ways(by_row_first)
        };
        std::thread::spawn(worked).join().unwrap()
    };
    for by_row_first in [false, true] {
        assert_eq!(after(by_row_first), fresh(by_row_first), "by row first: {by_row_first}");
    }
}

#[test]
fn by_name_a_field_alone_takes_deposits() {
    let mut world = World::builder().component::<Facts>().component::<Source>().resource::<Mesh>().build().unwrap();
    let target = world.spawn(facts(3)).unwrap();
    world.spawn_batch((0..100).map(|_| Source { to: target, value: 0.5 })).unwrap();
    let mut schedule = Schedule::new();
    let deposit = dynamic::system("deposit", dynamic::Query::new().read("source"), move |job| {
        let targets = [target; 100];
        let values: Vec<u8> = (0..100_u32).flat_map(|i| (1_u32 << (i % 5)).to_le_bytes()).collect();
        job.accumulate_named("facts.flags", dynamic::Targets::Entities(&targets), &values)?;
        job.accumulate_named("facts.sum", dynamic::Targets::Entities(&targets), &1.0_f64.to_le_bytes())?;
        let missing = job.accumulate_named("facts.least", dynamic::Targets::Entities(&targets), &[0, 0]).unwrap_err();
        assert!(missing.to_string().contains("accumulates on `facts.least`"), "{missing}");
        job.accumulate_named("facts", dynamic::Targets::Entities(&targets), &[0; 18]).unwrap_err();
        job.elements_named("mesh", "seen")?[3] = 0x80;
        Ok(())
    });
    let deposit = deposit.accumulates_named("facts", [("flags", FieldJoin::Or), ("sum", FieldJoin::Sum)]);
    let joins = [("charge", FieldJoin::Sum), ("seen", FieldJoin::Or), ("most", FieldJoin::Max)];
    schedule.add(deposit.accumulates_resource_named("mesh", joins));
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    assert_eq!(simulation.step(1.0).unwrap().patches[0].refused, 0);
    let found: Facts = simulation.world().get(target).unwrap();
    assert_eq!(found, Facts { sum: 103.0, flags: 0b11111, ..facts(3) });
    assert_eq!(simulation.world().resource::<Mesh>().unwrap().seen, 1 << 31);
}

#[test]
fn what_cannot_be_accumulated_says_why() {
    let error = |system: System| {
        let builder = World::builder().component::<Facts>().component::<Source>().component::<Plain>();
        let world = builder.resource::<Mesh>().build().unwrap();
        let mut schedule = Schedule::new();
        schedule.add(system);
        Simulation::new(world, schedule, Workers::Local).err().unwrap().to_string()
    };
    let system = || System::once("it", |_| {});
    for (system, part) in [
        (system().accumulates::<Source>(FieldJoin::Sum), "`source.to` is entity, which has no sum"),
        (system().accumulates::<Plain>(FieldJoin::Or), "`plain.x` is f64, which has no or"),
        (system().accumulates_named("facts", [("any", FieldJoin::Sum)]), "`facts.any` is bool, which has no sum"),
        (system().accumulates_named("facts", [("all", FieldJoin::Sum)]), "has no field `all`"),
        (system().accumulates::<Plain>(FieldJoin::Sum).accumulates::<Plain>(FieldJoin::Sum), "declares twice"),
        (system().accumulates::<Plain>(FieldJoin::Sum).sets::<Plain>(), "accumulates on component `plain` and sets it"),
        (system().accumulates_resource::<Mesh>().sets_resource::<Mesh>(), "declares twice"),
    ] {
        let text = error(system);
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_a_system_does_not_declare_is_an_error_of_its_job() {
    let mut world = World::builder().component::<Plain>().component::<Facts>().build().unwrap();
    world.spawn(Plain { x: 0.0, y: 0.0 }).unwrap();
    let mut schedule = Schedule::new();
    let system = System::rows::<Read<Plain>>("it", |job, _| job.accumulate_row(0, facts(1)));
    schedule.add(system.accumulates_named("facts", [("sum", FieldJoin::Sum)]));
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    let text = simulation.step(1.0).unwrap_err().to_string();
    assert!(text.contains("accumulates on all of component `facts`"), "{text}");
}
