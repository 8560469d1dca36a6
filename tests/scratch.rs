//! Scratch components: values of the run and not of the state.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hypostyle::{
    Component, Entity, Layout, LayoutError, Read, Schedule, Simulation, SnapshotError, System, Workers, World, Write,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Position {
    x: f64,
    key: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "scratch")]
struct Near {
    #[component(default = 7)]
    count: u32,
    list: [u64; 32],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct State {
    count: u32,
    list: [u64; 32],
}
#[derive(Component, Clone, Copy)]
struct Extra {
    x: u8,
}

fn near(number: u32) -> Near {
    Near { count: number, list: [u64::from(number) << 32; 32] }
}

fn world(rows: u32) -> (World, Vec<Entity>) {
    let builder = World::builder().component::<Position>().component::<Near>().component::<Extra>();
    let mut world = builder.build().unwrap();
    let key = |i: u32| i.wrapping_mul(0x9E37_79B9) >> 8;
    let body = |i: u32| (Position { x: f64::from(i), key: key(i) }, near(i));
    let all = world.spawn_batch((0..rows).map(body)).unwrap();
    (world, all)
}

#[test]
fn values_are_no_part_of_a_generation() {
    let (mut one, all) = world(3000);
    let (mut other, _) = world(3000);
    other.set(all[5], near(99)).unwrap();
    one.publish().unwrap();
    other.publish().unwrap();
    let (mut one, mut other) = (one.reader().unwrap(), other.reader().unwrap());
    let (one, other) = (one.pin().unwrap(), other.pin().unwrap());
    assert_eq!(one.hash(), other.hash(), "a value that differs is no difference");
    let table = one.tables().next().unwrap();
    assert!(table.components().any(|name| name == "near"), "who has it is known");
    assert!(table.presence("near").unwrap().contains(7));
    assert!(matches!(table.column::<u32>("near.count"), Err(SnapshotError::UnknownColumn { .. })));
    assert!(matches!(table.columns::<Near>(), Err(SnapshotError::Scratch { .. })));
    assert!(one.get::<Near>(all[3]).unwrap_err().to_string().contains("scratch"));
    assert!(table.column_memory().iter().all(|column| !column.name.starts_with("near")));
    assert_eq!(one.get::<Position>(all[3]).unwrap().x, 3.0);
}

#[test]
fn it_takes_one_extent_however_often_it_is_published() {
    fn allocated<C: Component>(make: impl Fn(u32) -> C, write: System) -> u64 {
        let mut world = World::builder().component::<C>().build().unwrap();
        world.spawn_batch((0..20_000).map(make)).unwrap();
        let mut schedule = Schedule::new();
        schedule.add(write);
        let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
        simulation.run(6, 1.0).unwrap();
        simulation.world().usage().allocated
    }
    let scratch = allocated(near, System::rows::<Write<Near>>("write", |_, mut near| near.count.map(|n| n + 1)));
    let state = |i| State { count: i, list: [0; 32] };
    let state = allocated(
        state,
        System::for_each::<Write<State>>("write", |_, _, state| {
            state.count += 1;
            state.list[0] += 1;
        }),
    );
    let column = 20_000 * 256;
    assert!(scratch < 3 * column / 2, "{scratch} bytes for a column of {column}");
    assert!(state > 2 * column, "state needs two: {state}");
}

#[test]
fn rows_keep_it_when_they_are_sorted_moved_and_gone() {
    let (world, all) = world(2000);
    let mut schedule = Schedule::new();
    let shuffle = System::rows::<(Read<Position>, Read<Near>)>("shuffle", |job, (_, near)| {
        for row in 0..job.len() {
            match near.count[row] % 7 {
                0 if job.frame() == 1 => job.add_row(row, Extra { x: 1 }),
                1 if job.frame() == 2 => job.despawn_row(row),
                2 if job.frame() == 3 => {
                    let own = job.spawn((Position { x: 0.5, key: 0 }, near_of(near.count[row])));
                    job.set(own, Position { x: f64::from(near.count[row]), key: 1 });
                }
                _ => {}
            }
        }
    });
    fn near_of(number: u32) -> Near {
        near(number)
    }
    schedule.add(
        shuffle
            .adds::<Extra>()
            .despawns()
            .spawns::<(Position, Near)>()
            .sets::<Position>()
            .sort_by("position.key")
            .job_rows(64),
    );
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    simulation.run(5, 1.0).unwrap();
    let world = simulation.world();
    let mut rows = 0;
    world
        .query::<(Read<Position>, Read<Near>)>(|_, (position, near)| {
            rows += near.count.len();
            for row in 0..near.count.len() {
                let number = near.count[row];
                assert_eq!(position.x[row], f64::from(number));
                assert!(near.list[row].iter().all(|place| *place == u64::from(number) << 32));
            }
        })
        .unwrap();
    assert_eq!(rows, 2000, "as many were born as went");
    assert_eq!(world.get::<Near>(all[14]).unwrap(), near(14));
    assert!(world.get::<Extra>(all[14]).is_ok() && !world.contains(all[8]));
}

#[test]
fn where_a_state_is_taken_up_it_is_as_new_and_rebuilt() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    static REBUILT: AtomicU32 = AtomicU32::new(0);
    let (world, all) = world(500);
    let mut schedule = Schedule::new();
    let rebuild = System::rows::<(Write<Near>, Read<Position>)>("rebuild", |_, (mut near, position)| {
        REBUILT.fetch_add(1, Ordering::Relaxed);
        near.list.iter_mut().zip(position.x).for_each(|(list, x)| list[0] = *x as u64);
    });
    schedule.add(rebuild.every(100).rebuilds::<Near>());
    let fail = System::try_rows::<Write<Position>>("use", |_, mut position| {
        position.x.map(|x| x + 1.0);
        if FAILS.load(Ordering::Relaxed) { Err("it is asked to fail".into()) } else { Ok(()) }
    });
    schedule.add(fail);
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    simulation.run(3, 1.0).unwrap();
    assert_eq!(REBUILT.load(Ordering::Relaxed), 1, "in the first frame, and no more");
    assert_eq!(simulation.world().get::<Near>(all[9]).unwrap().list[0], 9);
    FAILS.store(true, Ordering::Relaxed);
    simulation.step(1.0).unwrap_err();
    assert_eq!(simulation.world().get::<Near>(all[9]).unwrap(), Near { count: 7, list: [0; 32] }, "as new");
    FAILS.store(false, Ordering::Relaxed);
    simulation.step(1.0).unwrap();
    assert_eq!(REBUILT.load(Ordering::Relaxed), 2);
    assert_eq!(simulation.world().get::<Near>(all[9]).unwrap().list[0], 12);
    simulation.step(1.0).unwrap();
    assert_eq!(REBUILT.load(Ordering::Relaxed), 2);
}

#[test]
fn the_bytes_are_the_same_for_all_workers_also_where_neighbours_are_looked_at() {
    fn run(workers: Workers) -> (u64, Near) {
        let (world, all) = world(30_000);
        let mut schedule = Schedule::new();
        // reads the old values of others and writes its own
        schedule.add(System::neighbours::<(Write<Near>, Write<Position>), Read<Near>>(
            "blur",
            |job, (mut near, mut position), view| {
                let old = view.table(0).columns;
                for row in 0..job.len() {
                    let at = job.first_row() + row;
                    let other = old.count[(at * 31 + 7) % old.count.len()];
                    near.count[row] = near.count[row].wrapping_mul(3).wrapping_add(other);
                    near.list[row][at % 32] ^= u64::from(other);
                    position.x[row] += f64::from(near.count[row] % 1000);
                }
            },
        ));
        let mut simulation = Simulation::new(world, schedule, workers).unwrap();
        simulation.run(7, 1.0).unwrap();
        let near = simulation.world().get::<Near>(all[11]).unwrap();
        simulation.world_mut().publish().unwrap();
        let hash = simulation.world().reader().unwrap().pin().unwrap().hash();
        (hash, near)
    }
    let expected = run(Workers::Local);
    assert_eq!(run(Workers::Threads(1)), expected);
    assert_eq!(run(Workers::Threads(3)), expected);
}

#[cfg(feature = "checkpoint")]
#[test]
fn a_world_that_is_restored_has_it_as_new() {
    use hypostyle::checkpoint;
    let path = std::env::temp_dir().join(format!("hypostyle-scratch-{}.checkpoint", std::process::id()));
    let (mut before, all) = world(3000);
    before.publish().unwrap();
    let mut reader = before.reader().unwrap();
    let snapshot = reader.pin().unwrap();
    checkpoint::write(&snapshot, &path, &checkpoint::CheckpointOptions::default()).unwrap();
    let file = checkpoint::open(&path).unwrap();
    file.verify().unwrap();
    assert_eq!(file.load().unwrap().pin().unwrap().hash(), snapshot.hash());
    let builder = World::builder().component::<Position>().component::<Near>().component::<Extra>();
    let mut after = file.restore(builder).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(after.get::<Near>(all[2999]).unwrap(), Near { count: 7, list: [0; 32] });
    assert_eq!(after.get::<Position>(all[2999]).unwrap().x, 2999.0);
    after.set(all[8], near(3)).unwrap();
    after.add(all[8], Extra { x: 1 }).unwrap();
    after.despawn(all[7]).unwrap();
    assert_eq!(after.get::<Near>(all[8]).unwrap(), near(3));
    assert_eq!(after.reader().unwrap().pin().unwrap().hash(), snapshot.hash(), "it is its own generation again");
    let late = after.spawn((Position { x: 1.0, key: 1 }, near(4))).unwrap();
    after.publish().unwrap();
    assert_eq!(after.get::<Near>(late).unwrap(), near(4));
}

#[test]
fn layouts_say_what_is_scratch() {
    let text =
        "name = \"w\"\nbytes_max = \"64 MiB\"\n[components.near]\nstorage = \"scratch\"\nfields = { n = \"u32\" }\n";
    let layout = Layout::parse(text, "layout").unwrap();
    assert_eq!(Layout::decode(&layout.encode()).unwrap(), layout);
    assert_eq!(Layout::parse(&layout.to_toml(), "again").unwrap(), layout);
    let table = Layout::parse(&text.replace("scratch", "table"), "layout").unwrap();
    assert_ne!(table.hash(), layout.hash());
    for wrong in ["fields = { n = \"u32\" }\ntrack_changes = true", ""] {
        let text = text.replace("fields = { n = \"u32\" }", wrong);
        let error: LayoutError = Layout::parse(&text, "layout").unwrap_err();
        assert!(error.to_string().contains("scratch"), "{error}");
    }
}

#[test]
fn only_scratch_is_rebuilt() {
    let (world, _) = world(1);
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Position>>("it", |_, _| {}).rebuilds::<Position>());
    let error = Simulation::new(world, schedule, Workers::Local).err().unwrap();
    let mut text = error.to_string();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(cause) = source {
        text += &cause.to_string();
        source = cause.source();
    }
    assert!(text.contains("component `position` is state"), "{text}");
}
