//! Lists per row, against a naive model: one vector per entity.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::{BTreeMap, VecDeque};

use hypostyle::{
    Component, Entities, Entity, JobError, Layout, List, Read, Schedule, Simulation, SnapshotError, System, Workers,
    World, WorldError, Write,
};
use proptest::prelude::*;

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Body {
    key: u32,
    sum: u64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Extra {
    x: u8,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "list")]
struct Contact {
    other: Entity,
    spring: [f32; 3],
    on: bool,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "list")]
struct Near {
    place: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "scratch_list")]
struct Draft {
    value: u64,
}

fn contact(other: Entity, n: u32) -> Contact {
    Contact { other, spring: [n as f32, 0.5, -(n as f32)], on: n.is_multiple_of(3) }
}

fn builder() -> hypostyle::WorldBuilder {
    World::builder()
        .component::<Body>()
        .component::<Extra>()
        .component::<Contact>()
        .component::<Near>()
        .component::<Draft>()
}

fn near(n: u32, length: u32) -> Vec<Near> {
    (0..length).map(|i| Near { place: n.wrapping_mul(31) + i }).collect()
}

#[test]
fn a_list_is_what_it_was_set_to() {
    let mut world = builder().build().unwrap();
    let one = world.spawn((Body { key: 1, sum: 0 }, List::<Near>::new())).unwrap();
    let other = world.spawn(Body { key: 2, sum: 0 }).unwrap();
    assert_eq!(world.list::<Near>(one).unwrap(), []);
    assert!(matches!(world.list::<Near>(other), Err(WorldError::Absent { .. })));
    world.set_list(one, &near(1, 5)).unwrap();
    world.set_list(other, &near(2, 3000)).unwrap();
    world.set_list(other, &[contact(one, 3)]).unwrap();
    world.set_list(one, &near(3, 70_000)).unwrap();
    assert_eq!(world.list::<Near>(one).unwrap(), near(3, 70_000));
    assert_eq!(world.list::<Near>(other).unwrap(), near(2, 3000));
    assert_eq!(world.list::<Contact>(other).unwrap(), [contact(one, 3)]);
    assert!(matches!(world.get::<Near>(one), Err(WorldError::List { .. })));
    assert!(matches!(world.set(one, Near { place: 1 }), Err(WorldError::List { .. })));
    assert!(matches!(world.add(one, Near { place: 1 }), Err(WorldError::List { .. })));
    assert!(matches!(world.spawn(Near { place: 1 }), Err(WorldError::List { .. })));
    assert!(matches!(world.set_list(one, &[Extra { x: 1 }]), Err(WorldError::NoList { .. })));
    assert!(matches!(world.query::<Read<Near>>(|_, _| {}), Err(WorldError::List { .. })));
    world.publish().unwrap();
    let mut reader = world.reader().unwrap();
    let snapshot = reader.pin().unwrap();
    snapshot.check().unwrap();
    assert!(matches!(snapshot.get::<Near>(one).unwrap_err(), WorldError::Snapshot(SnapshotError::List { .. })));
    let (table, row) = snapshot.locate(other).unwrap();
    let table = snapshot.tables().nth(table).unwrap();
    let lists = table.lists::<Near>().unwrap().unwrap();
    assert_eq!(lists.iter(row).collect::<Vec<_>>(), near(2, 3000));
    assert!(matches!(table.lists::<Body>(), Err(SnapshotError::NoList { .. })));
    assert!(matches!(table.lists::<Draft>(), Err(SnapshotError::Scratch { .. })));
    assert!(table.column::<u32>("near.place").is_err(), "a list is no column of the rows");
    assert!(world.remove::<Near>(one).unwrap() && !world.has::<Near>(one));
}

#[test]
fn the_hash_is_that_of_the_content() {
    let worlds = [0, 1].map(|history| {
        let mut world = builder().build().unwrap();
        let all = world.spawn_batch((0..100).map(|key| (Body { key, sum: 0 }, List::<Near>::new()))).unwrap();
        if history == 1 {
            // garbage, another order, and a table in between
            for entity in all.iter().rev() {
                world.set_list(*entity, &near(9, 7)).unwrap();
            }
            world.add(all[3], Extra { x: 1 }).unwrap();
            world.remove::<Extra>(all[3]).unwrap();
        }
        for (n, entity) in (0..).zip(&all) {
            world.set_list(*entity, &near(n, n % 5)).unwrap();
        }
        (world, all)
    });
    let hashes = worlds.map(|(mut world, all)| {
        world.publish().unwrap();
        let mut reader = world.reader().unwrap();
        let before = reader.pin().unwrap().hash();
        world.set_list(all[50], &near(51, 1)).unwrap();
        world.publish().unwrap();
        let after = reader.pin().unwrap().hash();
        (before, after)
    });
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0].0, hashes[0].1, "an element is part of the state");
}

#[test]
fn scratch_lists_are_as_new_where_a_state_is_taken_up() {
    let mut world = builder().build().unwrap();
    let all = world.spawn_batch((0..50).map(|key| (Body { key, sum: 0 }, List::<Draft>::new()))).unwrap();
    world.publish().unwrap();
    let mut reader = world.reader().unwrap();
    let before = reader.pin().unwrap().hash();
    for (n, entity) in (0..).zip(&all) {
        world.set_list(*entity, &vec![Draft { value: n }; n as usize]).unwrap();
    }
    world.set(all[0], Body { key: 7, sum: 7 }).unwrap();
    world.set(all[0], Body { key: 0, sum: 0 }).unwrap();
    world.publish().unwrap();
    assert_eq!(reader.pin().unwrap().hash(), before, "no part of a state");
    assert_eq!(world.list::<Draft>(all[9]).unwrap(), [Draft { value: 9 }; 9]);
    world.rollback(0).unwrap();
    assert_eq!(world.list::<Draft>(all[9]).unwrap(), []);
    world.set_list(all[9], &[Draft { value: 1 }; 3]).unwrap();
    assert_eq!(world.list::<Draft>(all[9]).unwrap(), [Draft { value: 1 }; 3]);
}

#[test]
fn a_full_world_names_the_list_and_the_limit_and_stays_as_it_is() {
    let mut world = builder().bytes_max(4 << 20).build().unwrap();
    let body = world.spawn((Body { key: 1, sum: 0 }, List::<Near>::new())).unwrap();
    world.set_list(body, &near(4, 1000)).unwrap();
    world.publish().unwrap();
    let error = world.set_list(body, &near(5, 2_000_000)).unwrap_err().to_string();
    assert!(error.contains("list `near`") && error.contains("bytes_max"), "{error}");
    assert_eq!(world.list::<Near>(body).unwrap(), near(4, 1000));

    let mut schedule = Schedule::new();
    let grow = System::rows::<Read<Body>>("grow", |job, _| {
        let length = if job.frame() == 2 { 3_000_000 } else { 2000 };
        for row in 0..job.len() {
            job.set_list_row(row, &near(6, length));
        }
    });
    schedule.add(grow.sets_lists::<Near>());
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    let error = simulation.step(1.0).unwrap_err();
    let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let text: Vec<String> = chain.map(ToString::to_string).collect();
    assert!(text.iter().any(|text| text.contains("list `near`") && text.contains("bytes_max")), "{text:?}");
    assert_eq!(simulation.world().list::<Near>(body).unwrap(), near(6, 2000));
}

#[test]
fn what_is_undeclared_is_refused() {
    let world = || {
        let mut world = builder().build().unwrap();
        world.spawn_batch((0..10).map(|key| (Body { key, sum: 0 }, List::<Near>::new()))).unwrap();
        world
    };
    let run = |system: System| {
        let mut schedule = Schedule::new();
        schedule.add(system);
        let mut simulation = Simulation::new(world(), schedule, Workers::Local).unwrap();
        simulation.step(1.0).unwrap();
        (
            simulation.report().patches[0].refused,
            simulation.report().patches[0].example.clone().map(|why| why.to_string()),
        )
    };
    let set = || System::rows::<Read<Body>>("set", |job, _| job.set_list_row(0, &near(1, 2)));
    let (refused, why) = run(set());
    assert!(refused == 1 && why.unwrap().contains("lists of"));
    assert_eq!(run(set().sets_lists::<Near>()).0, 0);
    let add = || System::rows::<Read<Body>>("add", |job, _| job.add_list_row(0, &[contact(Entity::NULL, 2)]));
    assert!(run(add().sets_lists::<Contact>()).1.unwrap().contains("adds"), "to set is not to add");
    assert_eq!(run(add().adds::<List<Contact>>()).0, 0);
    assert_eq!(run(add().adds_named("contact")).0, 0);
    let foreign = System::rows::<(Read<Body>, Entities)>("foreign", |job, (_, entities)| {
        let own = entities[0];
        job.set_list(own, &[contact(own, 1)]);
    });
    assert!(run(foreign.sets_lists::<Contact>()).1.unwrap().contains("contact"), "an absent list is not set");

    let build = |system: System| {
        let mut schedule = Schedule::new();
        schedule.add(system);
        Simulation::new(world(), schedule, Workers::Local).map(drop).unwrap_err().to_string()
    };
    assert!(build(System::rows::<Write<Near>>("w", |_, _| {})).contains("list"));
    assert!(build(set().sets::<Near>()).contains("list"));
    assert!(build(set().sets_named("near")).contains("sets_lists"));
    assert!(build(set().reads_lists::<Body>()).contains("no list"));
    assert!(build(set().sort_by("near.place")).contains("list"));
    assert!(build(set().accumulates::<Near>(hypostyle::FieldJoin::Sum)).contains("list"));
    let mut schedule = Schedule::new();
    schedule.add(System::try_rows::<Read<Body>>("look", |job, _| match job.lists::<Near>() {
        Err(JobError::UndeclaredList { .. }) => Ok(()),
        _ => Err("it was not declared".into()),
    }));
    Simulation::new(world(), schedule, Workers::Local).unwrap().step(1.0).unwrap();
    let wrong = "name = \"w\"\n[components.near]\nstorage = \"list\"\ntrack_changes = true\nfields = { x = \"u32\" }\n";
    assert!(Layout::parse(wrong, "w.toml").unwrap_err().to_string().contains("is a list"));
}

/// What happens to a world.
#[derive(Clone, Debug)]
enum Step {
    /// A frame whose systems rebuild lists, push to them, spawn, despawn and move rows.
    Frame,
    Set(usize, u32, u32),
    Contacts(usize, u32),
    Despawn(usize),
    Toggle(usize),
    Remove(usize),
    Publish,
    Back,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Frame),
        3 => (any::<usize>(), any::<u32>(), prop_oneof![0u32..9, Just(3000)]).prop_map(|(e, n, l)| Step::Set(e, n % 1000, l)),
        2 => (any::<usize>(), 0u32..7).prop_map(|(e, n)| Step::Contacts(e, n)),
        1 => any::<usize>().prop_map(Step::Despawn),
        1 => any::<usize>().prop_map(Step::Toggle),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => Just(Step::Publish),
        1 => Just(Step::Back),
    ]
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    near: BTreeMap<u64, Vec<Near>>,
    contacts: BTreeMap<u64, Vec<Contact>>,
    key: BTreeMap<u64, u32>,
}

/// What a frame with this seed does to a row with this key: `None`: nothing.
fn rebuilt(seed: u32, key: u32) -> Option<Vec<Near>> {
    let mixed = key.wrapping_mul(0x9E37_79B9).wrapping_add(seed).rotate_left(11);
    match seed % 4 {
        // all of them, some thousands of elements at once in some rows
        0 => Some(near(mixed, if mixed.is_multiple_of(97) { 5000 } else { mixed % 12 })),
        1 => mixed.is_multiple_of(3).then(|| near(mixed, mixed % 5)),
        2 => mixed.is_multiple_of(40).then(Vec::new),
        _ => None,
    }
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    let rebuild = System::rows::<Read<Body>>("rebuild", |job, body| {
        let seed = (job.time() as u32).wrapping_mul(2_654_435_761);
        for row in 0..job.len() {
            if let Some(list) = rebuilt(seed, body.key[row]) {
                job.set_list_row(row, &list);
            }
        }
    });
    schedule.add(rebuild.sets_lists::<Near>().job_rows(64));
    let push = System::try_rows::<Read<Body>>("push", |job, body| {
        let lists = job.lists::<Near>()?;
        for row in 0..job.len() {
            if body.key[row].is_multiple_of(5) {
                let mut list: Vec<Near> = lists.iter(row).collect();
                list.push(Near { place: body.key[row] });
                job.set_list_row(row, &list);
            }
        }
        Ok(())
    });
    schedule.add(push.reads_lists::<Near>().sets_lists::<Near>().after("rebuild").job_rows(64));
    let move_rows = System::rows::<Read<Body>>("move", |job, body| {
        let seed = job.time() as u32;
        for row in 0..job.len() {
            match (body.key[row] ^ seed) % 31 {
                0 => job.despawn_row(row),
                1 => job.add_row(row, Extra { x: 1 }),
                2 => job.remove_row::<Extra>(row),
                3 => {
                    let body = Body { key: body.key[row].wrapping_add(17), sum: 0 };
                    let child = job.spawn((body, List::<Near>::new(), List::<Contact>::new()));
                    job.set_list(child, &near(body.key, 2));
                    let own = job.entities()[row];
                    job.set_list(child, &[contact(child, 1), contact(own, body.key)]);
                }
                // lists that come and go, of rows that move at the same time, and of rows that have one
                4 | 5 => job.remove_row::<Near>(row),
                6..9 => job.add_list_row(row, &near(body.key[row], body.key[row] % 7)),
                9 => {
                    let own = job.entities()[row];
                    job.add_row(row, Extra { x: 2 });
                    job.add_list(own, &[contact(own, 5); 3]);
                    job.remove_row::<Near>(row);
                    job.add_list(own, &near(body.key[row], 4));
                }
                10 => {
                    job.add_list_row(row, &near(1, 9));
                    job.remove_row::<Near>(row);
                }
                _ => {}
            }
        }
    });
    let move_rows = move_rows.adds::<(Extra, List<Near>, List<Contact>)>().removes::<(Extra, List<Near>)>().despawns();
    let move_rows = move_rows.spawns::<(Body, List<Near>, List<Contact>)>();
    schedule.add(move_rows.sets_lists::<Near>().sets_lists::<Contact>().after("push").sort_by("body.key").job_rows(64));
    let sum = System::try_rows::<Write<Body>>("sum", |job, mut body| {
        let lists = job.lists::<Near>()?;
        for row in 0..job.len() {
            body.sum[row] = lists.columns().place[lists.range(row)].iter().map(|place| u64::from(*place)).sum();
        }
        Ok(())
    });
    schedule.add(sum.reads_lists::<Near>().after("move"));
    schedule
}

impl Model {
    fn of(world: &World, entities: &[Entity]) -> Model {
        let mut model = Model::default();
        for entity in entities.iter().filter(|entity| world.contains(**entity)) {
            let bits = entity.to_bits();
            model.key.insert(bits, world.get::<Body>(*entity).unwrap().key);
            if world.has::<Near>(*entity) {
                model.near.insert(bits, world.list(*entity).unwrap());
            }
            if world.has::<Contact>(*entity) {
                model.contacts.insert(bits, world.list(*entity).unwrap());
            }
        }
        model
    }

    /// What the schedule does, row by row; spawned entities are looked up in the world, as their handles are its own.
    fn frame(&mut self, time: u32, world: &World, before: &[Entity]) -> Vec<Entity> {
        let seed = time.wrapping_mul(2_654_435_761);
        for (bits, key) in &self.key {
            if let (Some(list), Some(own)) = (rebuilt(seed, *key), self.near.get_mut(bits)) {
                *own = list;
            }
            if let (0, Some(own)) = (key % 5, self.near.get_mut(bits)) {
                own.push(Near { place: *key });
            }
        }
        let mut children = Vec::new();
        for entity in before {
            let bits = entity.to_bits();
            let Some(key) = self.key.get(&bits).copied() else { continue };
            match (key ^ time) % 31 {
                0 => {
                    self.key.remove(&bits);
                    self.near.remove(&bits);
                    self.contacts.remove(&bits);
                }
                3 => children.push((bits, key.wrapping_add(17))),
                4 | 5 | 10 => drop(self.near.remove(&bits)),
                6..9 => drop(self.near.insert(bits, near(key, key % 7))),
                9 => {
                    self.contacts.insert(bits, vec![contact(*entity, 5); 3]);
                    self.near.insert(bits, near(key, 4));
                }
                _ => {}
            }
        }
        // a child is known by its second contact: its parent
        let mut spawned = Vec::new();
        for slot in 0..world.entity_count() + 4096 {
            for generation in 0..64 {
                let entity = Entity::from_bits(slot | generation << 32);
                if world.contains(entity) && !before.contains(&entity) {
                    spawned.push(entity);
                }
            }
        }
        assert_eq!(spawned.len(), children.len());
        for child in &spawned {
            let contacts = world.list::<Contact>(*child).unwrap();
            let parent = contacts[1].other.to_bits();
            let at = children.iter().position(|(bits, _)| *bits == parent).expect("its parent spawned it");
            let (_, key) = children.swap_remove(at);
            self.key.insert(child.to_bits(), key);
            self.near.insert(child.to_bits(), near(key, 2));
            self.contacts.insert(child.to_bits(), vec![contact(*child, 1), contact(contacts[1].other, key)]);
        }
        spawned
    }
}

/// The hash of the newest generation, which is one that a world can go on from.
fn look(simulation: &Simulation) -> u64 {
    let mut reader = simulation.world().reader().unwrap();
    let snapshot = reader.pin().unwrap();
    snapshot.check().unwrap();
    snapshot.hash()
}

fn run(workers: Workers, rows: u32, steps: &[Step]) -> Vec<u64> {
    let mut world = builder().build().unwrap();
    let body = |key: u32| (Body { key: key.wrapping_mul(7919) % 1000, sum: 0 }, List::<Near>::new());
    let mut entities = world.spawn_batch((0..rows).map(body)).unwrap();
    let mut simulation = Simulation::new(world, schedule(), workers).unwrap();
    let mut model = Model::of(simulation.world(), &entities);
    let mut published = (model.clone(), entities.clone());
    let mut hashes = Vec::new();
    simulation.world_mut().publish().unwrap();
    for step in steps {
        let pick = |n: &usize| entities.get(n % entities.len().max(1)).copied();
        let world = simulation.world_mut();
        match step {
            Step::Frame => {
                let time = simulation.world().time() as u32;
                simulation.step(1.0).unwrap();
                let spawned = model.frame(time, simulation.world(), &entities);
                entities.extend(spawned);
                published = (model.clone(), entities.clone());
            }
            Step::Set(n, seed, length) => {
                let Some(entity) = pick(n) else { continue };
                world.set_list(entity, &near(*seed, *length)).unwrap();
                model.near.insert(entity.to_bits(), near(*seed, *length));
            }
            Step::Contacts(n, length) => {
                let Some(entity) = pick(n) else { continue };
                let list: Vec<Contact> =
                    (0..*length).map(|i| contact(entities[i as usize % entities.len()], i)).collect();
                world.set_list(entity, &list).unwrap();
                model.contacts.insert(entity.to_bits(), list);
            }
            Step::Despawn(n) => {
                let Some(entity) = pick(n) else { continue };
                world.despawn(entity).unwrap();
                let bits = entity.to_bits();
                model.key.remove(&bits);
                model.near.remove(&bits);
                model.contacts.remove(&bits);
            }
            Step::Toggle(n) => {
                let Some(entity) = pick(n) else { continue };
                if !world.remove::<Extra>(entity).unwrap() {
                    world.add(entity, Extra { x: 3 }).unwrap();
                }
            }
            Step::Remove(n) => {
                let Some(entity) = pick(n) else { continue };
                world.remove::<Near>(entity).unwrap();
                model.near.remove(&entity.to_bits());
            }
            Step::Publish => {
                world.publish().unwrap();
                published = (model.clone(), entities.clone());
            }
            Step::Back => {
                simulation.rollback(0).unwrap();
                (model, entities) = published.clone();
            }
        }
        entities.retain(|entity| simulation.world().contains(*entity));
        assert_eq!(Model::of(simulation.world(), &entities), model, "after {step:?}");
        if matches!(step, Step::Frame | Step::Publish | Step::Back) {
            hashes.push(look(&simulation));
        }
    }
    simulation.world_mut().publish().unwrap();
    hashes.push(look(&simulation));
    hashes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_world_has_the_lists_of_the_model(rows in 1u32..300, steps in prop::collection::vec(step(), 1..14)) {
        let alone = run(Workers::Local, rows, &steps);
        prop_assert_eq!(run(Workers::Threads(3), rows, &steps), alone);
    }
}

/// A simulation that is taken up from a file goes on to the same lists, and its history has them.
#[cfg(feature = "checkpoint")]
#[test]
fn files_have_the_lists() {
    use hypostyle::checkpoint::{self, CheckpointOptions};
    use hypostyle::journal::{Journal, Recorder, RecorderOptions};

    let directory = std::env::temp_dir().join(format!("hypostyle-lists-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).unwrap();
    let file = directory.join("lists.checkpoint");
    let mut world = builder().build().unwrap();
    let body = |key: u32| (Body { key: key.wrapping_mul(7919) % 1000, sum: 0 }, List::<Near>::new());
    world.spawn_batch((0..400).map(body)).unwrap();
    let mut simulation = Simulation::new(world, schedule(), Workers::Threads(2)).unwrap();
    let mut recorder = Recorder::start(simulation.world(), RecorderOptions::new(directory.join("journal"))).unwrap();
    let mut hashes = Vec::new();
    for frame in 1..=9 {
        simulation.step(1.0).unwrap();
        recorder.look().unwrap();
        hashes.push(look(&simulation));
        if frame == 4 {
            let mut reader = simulation.world().reader().unwrap();
            checkpoint::write(&reader.pin().unwrap(), &file, &CheckpointOptions::default()).unwrap();
        }
    }
    recorder.finish().unwrap();

    let world = checkpoint::open(&file).unwrap().restore(builder()).unwrap();
    let mut resumed = Simulation::new(world, schedule(), Workers::Local).unwrap();
    for hash in &hashes[4..] {
        resumed.step(1.0).unwrap();
        assert_eq!(look(&resumed), *hash);
    }
    let journal = Journal::open(&directory.join("journal")).unwrap();
    for (frame, hash) in (1..).zip(&hashes) {
        let state = journal.replay_to(journal.at(frame).unwrap()).unwrap();
        assert_eq!(state.load().unwrap().pin().unwrap().hash(), *hash, "frame {frame}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Arrow has a list per field; elements that stand in the order of the rows are not copied.
#[cfg(feature = "export")]
#[test]
fn arrow_has_the_lists() {
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, UInt32Type, UInt64Type};
    use hypostyle::export::{Batches, ExportError, ExportOptions, Format};

    let mut world = builder().build().unwrap();
    let all = world.spawn_batch((0..20).map(|key| (Body { key, sum: 0 }, List::<Near>::new()))).unwrap();
    for in_order in [true, false] {
        let order: Vec<usize> = if in_order { (0..20).collect() } else { (0..20).rev().collect() };
        for n in order {
            world.set_list(all[n], &near(n as u32, n as u32 % 4)).unwrap();
        }
        world.set_list(all[3], &[contact(all[5], 3), contact(Entity::default(), 4)]).unwrap();
        world.publish().unwrap();
        let mut rows = 0;
        let mut springs = Vec::new();
        for batch in Batches::new(world.reader().unwrap(), &ExportOptions::default()).unwrap() {
            let batch = batch.unwrap();
            let lists = batch.column_by_name("near.place").unwrap().as_list::<i64>();
            let entities = batch.column_by_name("entity").unwrap().as_primitive::<UInt64Type>();
            for row in 0..batch.num_rows() {
                let entity = Entity::from_bits(entities.value(row));
                let list = lists.value(row);
                let found: Vec<Near> =
                    list.as_primitive::<UInt32Type>().values().iter().map(|place| Near { place: *place }).collect();
                assert_eq!(found, world.list::<Near>(entity).unwrap());
                rows += 1;
                let contacts = batch.column_by_name("contact.spring").unwrap().as_list::<i64>();
                if !contacts.is_null(row) {
                    let spring = contacts.value(row);
                    let flat = spring.as_fixed_size_list().values().as_primitive::<Float32Type>().values().to_vec();
                    springs.extend(flat);
                    let others = batch.column_by_name("contact.other").unwrap().as_list::<i64>().value(row);
                    let others = others.as_primitive::<UInt64Type>();
                    assert!(others.value(0) == all[5].to_bits() && others.is_null(1), "no handle is a null");
                }
            }
        }
        assert_eq!((rows, springs), (20, vec![3.0, 0.5, -3.0, 4.0, 0.5, -4.0]));
    }
    let flat = Batches::new(world.reader().unwrap(), &ExportOptions::default().flat(true));
    assert!(matches!(flat.map(drop), Err(ExportError::FlatList { component }) if component == "contact"));
    let csv = std::env::temp_dir().join(format!("hypostyle-lists-{}.csv", std::process::id()));
    let error =
        hypostyle::export::write(world.reader().unwrap(), &csv, Format::Csv, &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("is a list"), "{error}");
    let parquet = csv.with_extension("parquet");
    let done = hypostyle::export::write(world.reader().unwrap(), &parquet, Format::Parquet, &ExportOptions::default())
        .unwrap();
    assert_eq!(done.rows, 20);
    std::fs::remove_file(&parquet).unwrap();
    let _ = std::fs::remove_file(&csv);
}

/// The lists of a model: those of each entity, contacts by the number that they were made of.
type Known = BTreeMap<Entity, (Vec<Near>, Vec<Contact>)>;

fn assert_known(world: &World, known: &Known, of: &str) {
    for (entity, (near, contacts)) in known {
        assert_eq!(world.list::<Near>(*entity).unwrap(), *near, "{of}: {entity}");
        assert_eq!(world.list::<Contact>(*entity).unwrap(), *contacts, "{of}: {entity}");
    }
}

/// What the system sets in a frame: of some rows, of another length each time.
fn in_frame(key: u32, frame: u64, other: Entity) -> Option<Vec<Contact>> {
    let n = key.wrapping_mul(2_654_435_761) ^ (frame as u32).wrapping_mul(40_503);
    let length = n >> 8 & if frame.is_multiple_of(4) { 511 } else { 31 };
    (frame.is_multiple_of(3) || !n.is_multiple_of(3)).then(|| (0..length).map(|i| contact(other, n ^ i)).collect())
}

#[test]
fn lists_are_whole_in_worlds_of_any_size() {
    let (mut done, mut refused) = (0, 0);
    for bytes_max in (1 << 20..3 << 20).step_by(160 << 10) {
        let mut world = builder().bytes_max(bytes_max).build().unwrap();
        world.set_publish_wait(std::time::Duration::ZERO);
        let body = |key| (Body { key, sum: 0 }, List::<Near>::new(), List::<Contact>::new());
        let all = world.spawn_batch((0..60).map(body)).unwrap();
        all.iter().step_by(4).for_each(|entity| drop(world.add(*entity, Extra { x: 1 })));
        let mut known: Known = all.iter().map(|entity| (*entity, Default::default())).collect();
        let mut schedule = Schedule::new();
        let set = System::rows::<(Read<Body>, Entities)>("set", |job, (body, entities)| {
            for (row, entity) in entities.iter().enumerate() {
                if let Some(contacts) = in_frame(body.key[row], job.frame(), *entity) {
                    job.set_list_row(row, &contacts);
                }
            }
        });
        schedule.add(set.sets_lists::<Contact>());
        let Ok(mut simulation) = Simulation::new(world, schedule, Workers::Local) else { continue };
        let mut readers: Vec<_> = (0..60).map(|_| simulation.world().reader().unwrap()).collect();
        let mut readers = readers.iter_mut();
        let mut pins = VecDeque::new();
        let mut saved = known.clone();
        for turn in 0..60u32 {
            let of = format!("{bytes_max} bytes, turn {turn}");
            for change in 0..5u32 {
                let n = (turn * 5 + change).wrapping_mul(747_796_405) >> 7;
                let entity = all[n as usize % all.len()];
                let length = n >> 6 & if n & 32 == 0 { 2047 } else { 127 };
                let lists = known.get_mut(&entity).unwrap();
                let world = simulation.world_mut();
                let set = if n & 64 == 0 {
                    let list = near(n, length);
                    world.set_list(entity, &list).map(|()| lists.0 = list)
                } else {
                    let list: Vec<Contact> = (0..length).map(|i| contact(entity, i ^ n)).collect();
                    world.set_list(entity, &list).map(|()| lists.1 = list)
                };
                *if set.is_ok() { &mut done } else { &mut refused } += 1;
            }
            assert_known(simulation.world(), &known, &of);
            let generation = simulation.world().generation();
            let before = known.clone();
            let (frame, stepped) = (simulation.world().frame() + 1, simulation.step(1.0).is_ok());
            *if stepped { &mut done } else { &mut refused } += 1;
            if stepped {
                for (key, entity) in (0..).zip(&all) {
                    if let Some(contacts) = in_frame(key, frame, *entity) {
                        known.get_mut(entity).unwrap().1 = contacts;
                    }
                }
            }
            let newest = simulation.world().generation();
            if !stepped {
                // what was changed before the frame may have been published first
                known = if newest > generation { before } else { saved.clone() };
            }
            if newest > generation {
                saved = known.clone();
            }
            assert_known(simulation.world(), &known, &of);
            if turn % 5 < 3 && newest > 0 {
                let snapshot = readers.next().unwrap().pin().unwrap();
                let hash = snapshot.hash();
                pins.push_back((snapshot, hash));
            }
            if pins.len() > 2 || turn % 7 == 0 {
                pins.pop_front();
            }
            pins.iter().for_each(|(snapshot, hash)| assert_eq!(snapshot.hash(), *hash, "{of}: under its pin"));
        }
    }
    assert!(done > 1000 && refused > 100, "{done} done, {refused} refused");
}
