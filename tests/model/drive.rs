//! Runs a program on the engine under some settings and on the naive world beside it, and compares after every step.

use std::time::Duration;

use hypostyle::{
    AnyOf, Changed, Entity, Prefab, Publication, Reader, RegionTarget, Simulation, Snapshot, StepError, With, Without,
    Workers, World, WorldError, Write,
};

use super::components::*;
use super::engine::{self, Log, PATCHERS};
use super::look::{QUERIES, compare, contents, expected, hash_of, rows, same, with_query};
use super::naive::{Counts, Naive, Wanted};
use super::oracle::{self, Outcome, REGISTERED};
use super::program::{Edit, Payload, Program, mix};

/// How the engine runs a program.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub workers: Workers,
    pub ring_bytes: usize,
    pub publish_every: u64,
    pub fuse: bool,
    /// The world has little memory: changes and frames may fail for want of it, whole.
    pub tight: bool,
}

impl Settings {
    /// How long a publication waits for readers.
    fn patience(self) -> Duration {
        if self.tight { Duration::ZERO } else { Duration::from_millis(100) }
    }
}

/// Frame, hash of the state, hash of the rows' order: of every generation published after a frame.
pub type Trace = Vec<(u64, u64, u64)>;

pub struct Driver {
    pub model: Naive,
    /// Every handle there ever was.
    pub history: Vec<Entity>,
    pub tight: bool,
}

/// Whether there was no memory for it; only where that may be.
fn no_room<T>(tight: bool, got: &Result<T, WorldError>) -> bool {
    match got {
        Err(WorldError::Region(error)) => {
            assert!(tight, "{error}");
            true
        }
        _ => false,
    }
}

impl Driver {
    pub fn pick(&self, who: u16) -> Entity {
        let live = self.model.handles();
        let number = usize::from(who);
        match number % 4 {
            0 if !self.history.is_empty() => self.history[number / 4 % self.history.len()],
            _ if !live.is_empty() => live[number / 4 % live.len()],
            _ => Entity::from_parts(u32::from(who), 3),
        }
    }

    fn spawned(&mut self, handles: &[Entity], values: impl Fn(usize) -> Vec<(usize, Vec<u8>)>) {
        let parity = self.model.parity();
        for (index, entity) in handles.iter().enumerate() {
            assert_eq!(*entity, self.model.allocate(), "the lowest free slot");
            self.model.insert(*entity);
            for (component, bytes) in values(index) {
                self.model.write(*entity, component, bytes, parity);
            }
            self.history.push(*entity);
        }
    }

    /// An error as the model has it: stale, absent or none.
    fn check(&self, entity: Entity, got: Result<(), WorldError>, absent: bool) -> bool {
        match got {
            Ok(()) => assert!(self.model.contains(entity) && !absent),
            Err(WorldError::Stale { .. }) => assert!(!self.model.contains(entity)),
            Err(WorldError::Absent { .. }) => assert!(self.model.contains(entity) && absent),
            Err(error) => panic!("{error}"),
        }
        self.model.contains(entity) && !absent
    }

    pub fn edit(&mut self, world: &mut World, edit: &Edit) {
        // direct changes make no bad bools
        let even = |seed: u32| mix(u64::from(seed)) & !0xff00_00ff;
        let parity = self.model.parity();
        match edit {
            Edit::Spawn { kind, count, seed, link } => {
                let kind = usize::from(*kind) % BUNDLES.len();
                let link = self.pick(*link);
                let times = if self.tight { 1 + *seed as u16 % 24 } else { 1 };
                let count = u16::from(*count) * times;
                let seeds: Vec<u64> = (0..count).map(|i| even(*seed ^ u32::from(i))).collect();
                match spawn_in_world(world, kind, &seeds, link) {
                    got if no_room(self.tight, &got) => {}
                    Err(WorldError::DuplicateComponent { .. }) => assert_eq!(kind, 12),
                    Err(error) => panic!("{error}"),
                    Ok(handles) => {
                        assert_eq!(handles.len(), seeds.len());
                        self.spawned(&handles, |index| {
                            let value = |c: &usize| (*c, packed(*c, seed_in_bundle(seeds[index], *c), link));
                            BUNDLES[kind].iter().map(value).collect()
                        });
                    }
                }
            }
            Edit::SpawnColumns { count, seed } => {
                let values: Vec<u64> = (0..*count).map(|i| even(*seed ^ u32::from(i))).collect();
                let cells: Vec<[i16; 3]> = values.iter().map(|v| [*v as i16, 2, (*v >> 9) as i16]).collect();
                let spawn = world.spawn_columns(values.len()).with::<Link>().with::<Shield>().with::<Flag>();
                let spawn = spawn.column("counter.value", &values).column("grid.cells", &cells);
                let got = spawn.with_named("mark").spawn();
                if no_room(self.tight, &got) {
                    return;
                }
                let handles = got.expect("the columns fit");
                self.spawned(&handles, |index| {
                    let mut grid = packed_default(4);
                    grid[..6].copy_from_slice(bytemuck::bytes_of(&cells[index]));
                    let mut all: Vec<_> = [2, 3, 6, 10].map(|c| (c, packed_default(c))).to_vec();
                    all.extend([(1, values[index].to_le_bytes().to_vec()), (4, grid)]);
                    all
                });
            }
            Edit::SpawnPrefab { count, seed, over } => {
                let seed = even(*seed);
                let prefab = Prefab::new()
                    .with(Counter { value: 1 })
                    .with(Position::made(seed, Entity::NULL))
                    .with_each(move |i| Counter { value: seed ^ i as u64 })
                    .with(Asleep);
                world.define_prefab("guard", prefab);
                assert!(matches!(world.spawn_prefab("nobody", 1), Err(WorldError::UnknownPrefab { .. })));
                let mut spawn = world.spawn_prefab("guard", usize::from(*count)).expect("it was defined");
                if *over {
                    spawn = spawn.with_each(|i| Position { x: i as f32, y: 0.5 }).with(Health { points: -3 });
                }
                let got = spawn.spawn();
                if no_room(self.tight, &got) {
                    return;
                }
                let handles = got.expect("the components are known");
                self.spawned(&handles, |index| {
                    let place =
                        if *over { Position { x: index as f32, y: 0.5 } } else { Position::made(seed, Entity::NULL) };
                    let mut all =
                        vec![(0, pack(place)), (1, pack(Counter { value: seed ^ index as u64 })), (7, vec![])];
                    if *over {
                        all.push((8, pack(Health { points: -3 })));
                    }
                    all
                });
            }
            Edit::Despawn { who } => {
                let entity = self.pick(*who);
                let mut order = rows(world);
                let got = world.despawn(entity);
                if no_room(self.tight, &got) {
                    return assert_eq!(rows(world), order, "nothing moved");
                }
                if self.check(entity, got, false) {
                    self.model.kill(entity);
                    for table in &mut order {
                        if let Some(row) = table.iter().position(|other| *other == entity) {
                            table.swap_remove(row);
                        }
                    }
                    order.retain(|table| !table.is_empty());
                    assert_eq!(rows(world), order, "the last row takes a removed row's place");
                }
            }
            Edit::Set { who, component, seed, link } => {
                let (entity, link, c) = (self.pick(*who), self.pick(*link), usize::from(*component) % COMPONENTS);
                let seed = even(*seed);
                let got = with_component!(c, C => world.set(entity, C::made(seed, link)));
                if no_room(self.tight, &got) {
                    return;
                }
                if self.check(entity, got, self.model.value(entity, c).is_none()) {
                    self.model.write(entity, c, packed(c, seed, link), parity);
                }
            }
            Edit::Add { who, component, seed, link } => {
                let (entity, link, c) = (self.pick(*who), self.pick(*link), usize::from(*component) % COMPONENTS);
                let seed = even(*seed);
                let got = with_component!(c, C => world.add(entity, C::made(seed, link)));
                if no_room(self.tight, &got) {
                    return;
                }
                if self.check(entity, got, false) {
                    self.model.write(entity, c, packed(c, seed, link), parity);
                }
            }
            Edit::Remove { who, component } => {
                let (entity, c) = (self.pick(*who), usize::from(*component) % COMPONENTS);
                let got = with_component!(c, C => world.remove::<C>(entity));
                if no_room(self.tight, &got) {
                    return;
                }
                let had = got.as_ref().is_ok_and(|had| *had);
                if self.check(entity, got.map(drop), false) {
                    assert_eq!(had, self.model.remove(entity, c));
                }
            }
            Edit::List { who, seed, link } => {
                let (entity, link) = (self.pick(*who), self.pick(*link));
                let list = Trail::made(even(*seed), link);
                let got = world.set_list(entity, &list);
                if no_room(self.tight, &got) {
                    return;
                }
                if self.check(entity, got, false) {
                    self.model.write(entity, TRAIL, Trail::packed(&list), parity);
                }
            }
            Edit::Unlist { who } => {
                let entity = self.pick(*who);
                let got = world.remove::<Trail>(entity);
                if no_room(self.tight, &got) {
                    return;
                }
                let had = got.as_ref().is_ok_and(|had| *had);
                if self.check(entity, got.map(drop), false) {
                    assert_eq!(had, self.model.remove(entity, TRAIL));
                }
            }
            Edit::AddWhere { query, component, seed } => {
                let (q, c) = (usize::from(*query) % QUERIES.len(), usize::from(*component) % COMPONENTS);
                let (seed, link) = (even(*seed), self.pick(*seed as u16));
                let got = with_query!(q, Q => with_component!(c, C => world.add_where::<Q, C>(C::made(seed, link))));
                let matching = self.model.matching(&QUERIES[q]);
                if no_room(self.tight, &got) {
                    return;
                }
                assert_eq!(got.expect("there is room"), matching.len() as u64);
                for entity in matching {
                    self.model.write(entity, c, packed(c, seed, link), parity);
                }
            }
            Edit::RemoveWhere { query, component } => {
                let (q, c) = (usize::from(*query) % QUERIES.len(), usize::from(*component) % COMPONENTS);
                let got = with_query!(q, Q => with_component!(c, C => world.remove_where::<Q, C>()));
                if no_room(self.tight, &got) {
                    return;
                }
                let matching = self.model.matching(&QUERIES[q]);
                let had = matching.into_iter().filter(|entity| self.model.remove(*entity, c)).count();
                assert_eq!(got.expect("there is room"), had as u64);
            }
            Edit::DespawnWhere { query } => {
                let q = [2, 3, 5, 6, 7, 8][usize::from(*query) % 6];
                let got = with_query!(q, Q => world.despawn_where::<Q>());
                if no_room(self.tight, &got) {
                    return;
                }
                let matching = self.model.matching(&QUERIES[q]);
                assert_eq!(got.expect("there is room"), matching.len() as u64);
                matching.into_iter().for_each(|entity| self.model.kill(entity));
            }
            Edit::QueryMut { which } => self.query_mut(world, *which),
            Edit::Resource { which, seed, insert } => {
                let (score, gravity) =
                    (Score { total: even(*seed), best: self.pick(*seed as u16) }, Gravity { y: 1.5 });
                let which = usize::from(which % 2);
                let got = match (which, insert) {
                    (0, true) => world.insert_resource(score),
                    (0, false) => world.set_resource(score),
                    (_, true) => world.insert_resource(gravity),
                    (_, false) => world.set_resource(gravity),
                };
                let bytes = if which == 0 { pack(score) } else { pack(gravity) };
                if no_room(self.tight, &got) {
                    return;
                }
                match got {
                    Ok(()) => assert_ne!(*insert, self.model.resources[which].is_some()),
                    Err(WorldError::DuplicateResource { .. }) => {
                        assert!(*insert && self.model.resources[which].is_some())
                    }
                    Err(WorldError::MissingResource { .. }) => {
                        assert!(!insert && self.model.resources[which].is_none())
                    }
                    Err(error) => panic!("{error}"),
                }
                if *insert != self.model.resources[which].is_some() {
                    self.model.resources[which] = Some(bytes);
                }
            }
            Edit::Publish => {
                let got = world.publish();
                assert!(no_room(self.tight, &got) || self.tight || matches!(got, Ok(Publication::Published(_))));
            }
        }
    }

    fn query_mut(&mut self, world: &mut World, which: u8) {
        let parity = self.model.parity();
        let wanted = |all, none, any, changed| Wanted { all, none, any, changed };
        let (wanted, component, done) = match which % 6 {
            0 => {
                let done = world.query_mut::<(Write<Counter>, Without<Asleep>)>(|_, (mut counter, ())| {
                    counter.value.map(|value| value ^ 0x55);
                });
                (wanted(&[1], &[7], &[], &[]), 1, done)
            }
            1 => {
                let done = world.query_mut::<(Write<Charge>, Changed<Health>)>(|_, (mut charge, ())| {
                    charge.amount.iter_mut().for_each(|amount| *amount += 1.0);
                });
                (wanted(&[9], &[], &[], &[8]), 9, done)
            }
            2 => {
                let done = world.query_mut::<(Write<Link>, AnyOf<(Tag, Shield)>)>(|entities, (mut link, ())| {
                    for (weight, entity) in link.weight.iter_mut().zip(entities) {
                        *weight = entity.index() as u16;
                    }
                });
                (wanted(&[2], &[], &[5, 6], &[]), 2, done)
            }
            // some rows of all
            3 => {
                let done = world.query_mut::<Write<Health>>(|entities, mut health| {
                    for (points, entity) in health.points.iter_mut().zip(entities) {
                        *points ^= i32::from(entity.index() % 3 == 0);
                    }
                });
                (wanted(&[8], &[], &[], &[]), 8, done)
            }
            // none
            4 => {
                let done = world.query_mut::<(Write<Mark>, Write<Charge>)>(|_, _| {});
                (wanted(&[10, 9], &[], &[], &[]), 10, done)
            }
            _ => {
                let done = world.query_mut::<(Changed<Health>, Write<Health>)>(|_, ((), mut health)| {
                    health.points.map(|points| !points);
                });
                (wanted(&[8], &[], &[], &[8]), 8, done)
            }
        };
        if no_room(self.tight, &done) {
            return;
        }
        done.expect("there is room");
        for entity in self.model.matching(&wanted) {
            let mut bytes = self.model.bytes(entity, component).expect("it matched").to_vec();
            let before = bytes.clone();
            match component {
                8 if which % 6 == 3 => bytes[0] ^= u8::from(entity.index() % 3 == 0),
                10 => {}
                1 => bytes[0] ^= 0x55,
                9 => {
                    let amount = f64::from_le_bytes(bytes[..].try_into().expect("8 bytes")) + 1.0;
                    bytes = amount.to_le_bytes().to_vec();
                }
                2 => bytes[8..].copy_from_slice(&(entity.index() as u16).to_le_bytes()),
                _ => bytes.iter_mut().for_each(|byte| *byte = !*byte),
            }
            // a row that is what it was did not change
            if bytes != before {
                self.model.write(entity, component, bytes, parity);
            }
        }
    }
}

/// Memory of tight worlds: some programs do not fit, and are refused; most run and meet its end.
const TIGHT_BYTES: u64 = 3 << 19;

/// A simulation of the program's systems; nothing: the world has no room for what they write.
fn simulate(world: World, program: &Program, settings: Settings, log: &Log) -> Option<Simulation> {
    let built = Simulation::builder()
        .workers(settings.workers)
        .ring_bytes(settings.ring_bytes)
        .publish_every(settings.publish_every)
        .fuse(settings.fuse)
        .build(world, engine::schedule(log, program.sort, engine::JOB_ROWS));
    match built {
        Ok(simulation) => Some(simulation),
        // refused before anything ran
        Err(StepError::Memory { .. }) if settings.tight => None,
        Err(error) => panic!("the schedule is sound: {error}"),
    }
}

/// Runs a program.
pub fn run(program: &Program, settings: Settings) -> Trace {
    let log = Log::default();
    let place = program.resumes().then(|| tempfile::tempdir().expect("a temporary directory"));
    let target = place.as_ref().map(|place| RegionTarget::Directory(place.path().join("region")));
    let mut builder = engine::builder(if settings.tight { TIGHT_BYTES } else { 1 << 28 });
    if let Some(target) = &target {
        builder = builder.region(target.clone()).keep_region(true);
    }
    let mut world = builder.build().expect("the layout is valid");
    world.set_publish_wait(settings.patience());
    let mut driver = Driver { model: Naive::default(), history: vec![], tight: settings.tight };
    driver.model.resources[1] = Some((-9.5f32).to_le_bytes().to_vec());
    for (kind, count, seed) in &program.initial {
        driver.edit(&mut world, &Edit::Spawn { kind: *kind, count: *count, seed: *seed, link: *seed as u16 });
    }
    compare(&world, &driver.model, "at first");
    if settings.tight && !matches!(world.publish(), Ok(Publication::Published(_))) {
        // not even room for a second extent of what there is
        return Trace::new();
    }
    let Some(mut simulation) = simulate(world, program, settings, &log) else { return Trace::new() };
    let mut readers: Vec<Reader> =
        (0..=program.frames.len()).map(|_| simulation.world().reader().expect("there are leases")).collect();
    let (newest, readers) = readers.split_first_mut().expect("there is one more than frames");
    let mut readers = readers.iter_mut();
    let mut pins: Vec<(Snapshot<'_>, u64)> = Vec::new();
    let mut saved = driver.model.clone();
    let mut trace = Trace::new();
    for (number, spec) in program.frames.iter().enumerate() {
        if let Some(target) = target.as_ref().filter(|_| spec.resume && simulation.world().generation() > 0) {
            drop(simulation);
            let mut world = engine::builder(1 << 20).keep_region(true).resume(target).expect("its writer has ended");
            world.set_publish_wait(settings.patience());
            driver.model = saved.clone();
            compare(&world, &driver.model, &format!("taken over before step {number}"));
            let Some(again) = simulate(world, program, settings, &log) else { return trace };
            simulation = again;
        }
        for edit in &spec.edits {
            let before = simulation.world().generation();
            driver.edit(simulation.world_mut(), edit);
            if simulation.world().generation() > before {
                saved = driver.model.clone();
            }
        }
        if !spec.edits.is_empty() {
            compare(simulation.world(), &driver.model, &format!("after the edits before step {number}"));
        }
        let known: Vec<Entity> = spec.known.iter().map(|who| driver.pick(*who)).collect();
        let payloads =
            [0, 1, 2, 3].map(|index| Payload { known: known.clone(), instructions: spec.payloads[index].clone() });
        for (name, payload) in PATCHERS.iter().zip(&payloads) {
            assert_eq!(format!("{:?}", Payload::decode(&payload.encode())), format!("{payload:?}"));
            simulation.set_payload(name, payload.encode()).expect("the system is there");
        }
        let dt = 0.125 * (number + 1) as f64;
        let generation = simulation.world().generation();
        let begun = driver.model.clone();
        let stepped = simulation.step(dt).map(|report| report.patches.clone());
        let log = log.take();
        if let Err(StepError::World { frame, source, .. }) = &stepped
            && matches!(**source, WorldError::Region(_))
            && settings.tight
        {
            if simulation.world().generation() > generation {
                saved = begun;
            }
            assert_eq!(*frame, saved.frame);
            driver.model = saved.clone();
            compare(simulation.world(), &driver.model, &format!("after step {number}, which had no memory"));
            pins.pop();
            continue;
        }
        let outcome = oracle::frame(&mut driver.model, &payloads, dt, &log, &[]);
        match (stepped, outcome) {
            (Ok(patches), Outcome::Done(report)) => {
                for (name, got) in REGISTERED.iter().zip(&patches) {
                    let got = Counts {
                        applied: got.applied,
                        overwritten: got.overwritten,
                        stale: got.stale,
                        absent: got.absent,
                        refused: got.refused,
                        spawned: got.spawned,
                        despawned: got.despawned,
                    };
                    let want = report.get(name).cloned().unwrap_or_default();
                    assert_eq!(got, want, "patches of `{name}` in step {number}");
                    let example = patches[REGISTERED.iter().position(|n| n == name).expect("it is")].example.is_some();
                    assert_eq!(example, want.refused > 0, "an example of what was refused to `{name}`");
                }
            }
            (Err(StepError::Job { undone, frame, .. }), Outcome::Failed(_)) => {
                if simulation.world().generation() > generation {
                    // what was edited was published before the frame began
                    saved = begun.clone();
                }
                assert_eq!((frame, undone), (saved.frame, begun.frame + 1 - saved.frame));
                driver.model = saved.clone();
            }
            (Ok(_), Outcome::Failed(system)) => panic!("system `{system}` did not fail in step {number}"),
            (Err(error), _) => panic!("step {number} failed: {error}"),
        }
        compare(simulation.world(), &driver.model, &format!("after step {number}"));
        let handles = driver.model.handles();
        driver.history.extend(handles.iter().filter(|entity| entity.to_bits() % 7 == 0));
        let snapshot = newest.pin().expect("something is published");
        if snapshot.generation() > generation {
            saved = if snapshot.frame() == driver.model.frame { driver.model.clone() } else { begun };
        }
        assert_eq!((snapshot.frame(), snapshot.time()), (saved.frame, saved.time));
        if simulation.world().skipped_publications() == 0 {
            assert!(driver.model.frame - saved.frame < settings.publish_every, "publications are due");
        } else {
            assert!(settings.tight, "there is room");
        }
        let (got, order) = contents(&snapshot);
        same(&got, &expected(&saved), &format!("the generation published in step {number}"));
        let hash = snapshot.hash();
        if snapshot.frame() == driver.model.frame {
            trace.push((snapshot.frame(), hash, hash_of(&order)));
        }
        drop(snapshot);
        if let Some(which) = spec.unpin
            && !pins.is_empty()
        {
            pins.swap_remove(usize::from(which) % pins.len());
        }
        for (pinned, hash) in &pins {
            assert_eq!(
                pinned.hash(),
                *hash,
                "generation {} changed under its pin in step {number}",
                pinned.generation()
            );
        }
        if spec.pin
            && let Some(reader) = readers.next()
        {
            pins.push((reader.pin().expect("something is published"), hash));
        }
    }
    trace
}
