//! What ends a run: a rank that dies, a system that fails on one rank, conditions that do not hold.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{begin, chain, comm, scene};
use hypostyle::space::{Bounds, CellGrid};
use hypostyle::{
    Component, Entity, GlobalId, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World, Write,
};
use hypostyle_mpi::bricks::Cells;
use hypostyle_mpi::transport::{Transport as _, run_threads};
use hypostyle_mpi::{Cluster, ClusterError, Domain, Looks};

#[test]
fn the_death_of_a_rank_ends_the_others_with_its_name() {
    let (scene, options) = scene("lj", 2048);
    for dies_at in [1, 20] {
        let ended = AtomicUsize::new(0);
        let error = run_threads(4, |rank| {
            let cluster = Cluster::new(comm(rank), 1);
            let mut simulation = begin(&cluster, (scene, &options), Workers::Local)?;
            for frame in 0..40 {
                assert!(cluster.rank() != 3 || frame != dies_at, "struck");
                if let Err(error) = simulation.run(1, scene.dt()) {
                    ended.fetch_add(1, Ordering::Relaxed);
                    return Err(ClusterError::World(chain(&error)));
                }
            }
            Ok(())
        })
        .unwrap_err();
        assert!(matches!(&error, ClusterError::Gone { rank: 3, why } if why.contains("struck")), "{error}");
        assert_eq!(ended.load(Ordering::Relaxed), 3, "no rank goes on alone");
    }
}

/// Ends a while after what was made later.
struct Slow;

impl Drop for Slow {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_failure_of_a_rank_that_ends_slowly_is_the_first() {
    for panics in [true, false] {
        let error = run_threads(3, |rank| {
            let _slow = (rank.rank() == 2).then_some(Slow);
            let mut rank = rank;
            if rank.rank() == 2 {
                assert!(!panics, "struck");
                return Err(ClusterError::World("struck".to_owned()));
            }
            while rank.take(2)?.is_none() {
                rank.pause(0);
            }
            Ok(())
        })
        .unwrap_err();
        let told = error.to_string();
        assert!(told.contains("struck") && panics == told.contains("rank 2"), "{told}");
    }
}

#[derive(Component, Clone, Copy)]
struct Place {
    x: f64,
}
#[derive(Component, Clone, Copy)]
struct Cell {
    key: u32,
}
#[derive(Component, Clone, Copy)]
struct Friend {
    who: Entity,
}
#[derive(Resource, Reduce, Clone, Copy)]
struct Sum {
    #[reduce(sum)]
    x: f64,
}
#[derive(Resource, Clone, Copy)]
struct Seen {
    rows: u64,
}

fn world(with_ids: bool) -> World {
    let builder = World::builder().component::<GlobalId>().component::<Place>().component::<Cell>();
    let mut world = builder.resource::<Sum>().resource::<Seen>().build().unwrap();
    world.insert_or_set_resource(Sum { x: 0.0 }).unwrap();
    world.insert_or_set_resource(Seen { rows: 0 }).unwrap();
    let row = |id: u64| (GlobalId::root(id), Place { x: id as f64 }, Cell { key: id as u32 });
    match with_ids {
        true => world.spawn_batch((0..10).map(row)).map(drop).unwrap(),
        false => world.spawn_batch((0..10).map(|id| (row(id).1, row(id).2))).map(drop).unwrap(),
    }
    world
}

fn domain() -> Domain {
    let grid = CellGrid::new(&Bounds::<f64, 1>::new([0.0], [10.0], [false]).unwrap(), 1.0).unwrap();
    Domain::new(Cells::of(&grid), "cell.key", [1, 0, 0])
}

fn bin() -> System {
    System::rows::<Write<Cell>>("bin", |_, _| {}).sort_by("cell.key").sort_then_by("global_id.value")
}

/// What two ranks say to a schedule, when it is built and in its first frames.
fn told(world: impl Fn() -> World + Sync, schedule: impl Fn() -> Schedule + Sync, domain: Option<Domain>) -> String {
    told_where(world, schedule, &domain.into())
}

fn told_where(world: impl Fn() -> World + Sync, schedule: impl Fn() -> Schedule + Sync, looks: &Looks) -> String {
    let done = run_threads(2, |rank| {
        let cluster = Cluster::new(comm(rank), 1);
        let mut world = world();
        cluster.keep_share(&mut world)?;
        let builder = Simulation::builder().workers(Workers::Local);
        let mut simulation = cluster.simulation(world, schedule(), looks.clone(), builder)?;
        simulation.run(2, 1.0).map(drop).map_err(|error| ClusterError::World(chain(&error)))
    });
    done.err().map_or_else(|| "nothing".to_owned(), |error| chain(&error))
}

fn of(systems: impl Fn() -> Vec<System> + Sync) -> impl Fn() -> Schedule + Sync {
    move || {
        let mut schedule = Schedule::new();
        for system in systems() {
            schedule.add(system);
        }
        schedule
    }
}

#[test]
fn conditions_that_a_system_breaks_are_told_with_its_name() {
    let look = || System::neighbours::<Write<Place>, Read<Cell>>("look", |_, _, _| {});
    let ids = || world(true);
    assert_eq!(told(ids, of(|| vec![bin(), look().after("bin")]), Some(domain())), "nothing");
    let says = |told: String, words: &[&str]| words.iter().for_each(|word| assert!(told.contains(word), "{told}"));
    says(told(|| world(false), of(|| vec![bin()]), None), &["global_id", "place, cell"]);
    says(told(ids, of(|| vec![bin(), look().after("bin")]), None), &["`look`", "no space"]);
    says(told(ids, of(|| vec![look()]), Some(domain())), &["`look`", "no system sorts", "cell.key"]);
    let sum = || System::rows::<Read<Place>>("add up", |job, _| job.reduce(Sum { x: 1.0 })).reduces::<Sum>();
    says(told(ids, of(|| vec![sum()]), None), &["`add up`", "order of rows"]);
    let kill = || look().despawns().after("bin");
    says(told(ids, of(|| vec![bin(), kill()]), Some(domain())), &["`look`", "despawn", "another rank"]);
    let sow = || System::once("sow", |_| {}).spawns::<(GlobalId, Place)>();
    says(told(ids, of(|| vec![sow()]), None), &["`sow`", "every rank"]);
    let breed = || System::rows::<Read<Place>>("breed", |_, _| {}).spawns::<Place>();
    says(told(ids, of(|| vec![breed()]), None), &["`breed`", "global_id"]);
    let count = || {
        let system = System::rows::<Read<Place>>("count", |job, place| {
            job.set_resource(Seen { rows: place.x.iter().map(|x| *x as u64).sum() });
        });
        system.sets_resource::<Seen>()
    };
    says(told(ids, of(|| vec![count()]), None), &["`seen`", "different values"]);
}

#[test]
fn rows_out_of_the_canonical_order_and_handles_are_told() {
    let says = |told: String, words: &[&str]| words.iter().for_each(|word| assert!(told.contains(word), "{told}"));
    let look = || System::neighbours::<Write<Place>, Read<Cell>>("look", |_, _, _| {}).after("bin");
    // two rows in each cell, the higher id first
    let pairs = || {
        let builder = World::builder().component::<GlobalId>().component::<Place>().component::<Cell>();
        let mut world = builder.build().unwrap();
        let row = |id: u64| (GlobalId::root(19 - id), Place { x: id as f64 }, Cell { key: (id / 2) as u32 });
        world.spawn_batch((0..20).map(row)).unwrap();
        world
    };
    let by_key = || System::rows::<Write<Cell>>("bin", |_, _| {}).sort_by("cell.key");
    says(told(pairs, of(|| vec![by_key(), look()]), Some(domain())), &["sort_then_by", "cell.key"]);
    assert_eq!(told(pairs, of(|| vec![bin(), look()]), Some(domain())), "nothing");
    let friends = || {
        let builder = World::builder().component::<GlobalId>().component::<Cell>().component::<Friend>();
        let mut world = builder.build().unwrap();
        world.spawn((GlobalId::root(0), Cell { key: 0 }, Friend { who: Entity::NULL })).unwrap();
        world
    };
    says(told(friends, of(|| vec![bin()]), Some(domain())), &["`friend`", "handles"]);
    // a key of no cell
    let far = || System::rows::<Write<Cell>>("bin", |_, mut cell| cell.key.fill(10)).sort_by("cell.key");
    says(told(|| world(true), of(|| vec![far(), look()]), Some(domain())), &["`cell.key` 10", "10 cells"]);
}

#[test]
fn ranks_with_different_schedules_are_told() {
    let error = run_threads(3, |rank| {
        let cluster = Cluster::new(comm(rank), 1);
        let mut schedule = Schedule::new();
        let name = if cluster.rank() == 2 { "other" } else { "same" };
        schedule.add(System::rows::<Write<Place>>(name, |_, _| {}));
        let builder = Simulation::builder().workers(Workers::Local);
        cluster.simulation(world(true), schedule, None, builder).map(drop)
    })
    .unwrap_err();
    assert!(chain(&error).contains("rank 2 has another schedule"), "{}", chain(&error));
}

#[test]
fn systems_that_look_at_all_rows_find_them_in_the_order_of_ids_or_are_refused() {
    let look = || System::neighbours::<Write<Place>, (Read<Cell>, Read<GlobalId>)>("look", |_, _, _| {});
    let says = |told: String, words: &[&str]| words.iter().for_each(|word| assert!(told.contains(word), "{told}"));
    let ids = || world(true);
    assert_eq!(told_where(ids, of(|| vec![look()]), &Looks::All), "nothing");
    let breed = || System::rows::<Read<Place>>("breed", |_, _| {}).spawns::<(GlobalId, Place, Cell)>();
    says(
        told_where(ids, of(|| vec![look(), breed()]), &Looks::All),
        &["`breed`", "spawns entities", "order of their ids"],
    );
    let kill = || System::rows::<Read<Place>>("kill", |_, _| {}).despawns();
    says(told_where(ids, of(|| vec![look(), kill()]), &Looks::All), &["`kill`", "despawns entities"]);
    // ids that fall from the first row to the last: each rank's are in order, once it has sorted them, and the ranks' are not
    let falling = || {
        let mut world =
            World::builder().component::<GlobalId>().component::<Place>().component::<Cell>().build().unwrap();
        let row = |n: u64| (GlobalId::root(20 - n), Place { x: 0.0 }, Cell { key: 0 });
        world.spawn_batch((0..10).map(row)).unwrap();
        world
    };
    says(
        told_where(falling, of(|| vec![look()]), &Looks::All),
        &["ids from", "higher than those of the ranks before it"],
    );
    // a sort by anything else puts rows where nobody expects them
    let shuffle = || {
        System::rows::<(Write<Cell>, Read<GlobalId>)>("shuffle", |job, (mut cell, id)| {
            (0..job.len()).for_each(|row| cell.key[row] = 9 - id.value[row] as u32);
        })
        .sort_by("cell.key")
    };
    says(
        told_where(ids, of(|| vec![shuffle(), look().after("shuffle")]), &Looks::All),
        &["order of `global_id.value`"],
    );
}
