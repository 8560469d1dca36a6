//! Lists of pairs that keep themselves, on ranks: forces of births and deaths across borders have the bits of one process.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use hypostyle::pairs::PairLists;
use hypostyle::space::Box3;
use hypostyle::{Component, GlobalId, IdHash, Read, Schedule, Simulation, System, Workers, World, Write};
use hypostyle_mpi::bricks::Cells;
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Cluster, ClusterError, Domain};
use hypostyle_scenes::random::Random;

#[derive(Component, Clone, Copy)]
struct Position {
    x: f64,
    y: f64,
    z: f64,
}

#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f64,
    y: f64,
    z: f64,
}

#[derive(Component, Clone, Copy)]
#[component(storage = "scratch")]
struct Force {
    x: f64,
    y: f64,
    z: f64,
}

const SIDE: [f64; 3] = [9.0, 7.0, 5.0];

type Lists = PairLists<Position, Force, f64, 3>;

fn lists() -> Lists {
    PairLists::new(Box3::periodic(SIDE).unwrap(), 1.0, 0.2).unwrap().by_id()
}

fn body(id: GlobalId) -> (GlobalId, Position, Velocity, Force) {
    let mut random = Random::new(5, id.value, 0);
    let [x, y, z] = SIDE.map(|side| side * random.unit());
    let v = [(); 3].map(|()| 2.0 * random.unit() - 1.0);
    (id, Position { x, y, z }, Velocity { x: v[0], y: v[1], z: v[2] }, Force { x: 0.0, y: 0.0, z: 0.0 })
}

fn world(lists: &Lists) -> World {
    let builder = World::builder().component::<GlobalId>().component::<Velocity>();
    let mut world = lists.register(builder).build().unwrap();
    world.spawn_batch((0..800).map(|id| (body(GlobalId::root(id)), lists.parts()))).unwrap();
    world
}

fn schedule(lists: Lists) -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("move", |job, (mut at, v)| {
        let dt = job.dt();
        at.x.map_with(v.x, |x, v| x + v * dt);
        at.y.map_with(v.y, |y, v| y + v * dt);
        at.z.map_with(v.z, |z, v| z + v * dt);
    }));
    lists.add_to(&mut schedule);
    schedule.add(System::pairs("force", &lists, |square| 5.0 * (1.0 - square)));
    schedule.add(System::rows::<(Write<Velocity>, Read<Force>)>("kick", |job, (mut v, f)| {
        let dt = job.dt();
        v.x.map_with(f.x, |v, f| v + f * dt);
        v.y.map_with(f.y, |v, f| v + f * dt);
        v.z.map_with(f.z, |v, f| v + f * dt);
    }));
    let live = System::rows::<Read<GlobalId>>("live", move |job, id| {
        for row in 0..job.len() {
            let number = job.random_of_id(id.value[row]).f64();
            if number < 0.002 {
                job.despawn_row(row);
            } else if number > 0.998 {
                job.spawn((body(GlobalId { value: id.value[row] }.child(job.frame(), 0)), lists.parts()));
            }
        }
    });
    let parts = live.despawns().spawns::<(GlobalId, Position, Velocity, Force, hypostyle::pairs::PairParts)>();
    schedule.add(parts.after("kick"));
    schedule
}

const FRAMES: u64 = 60;
const DT: f64 = 0.01;

fn spread(ranks: usize, workers: Workers, balance_every: u64) -> (IdHash, u64) {
    let all = run_threads(ranks, |rank| {
        let lists = lists();
        let cluster = Cluster::new(common::comm(rank), balance_every);
        let mut world = world(&lists);
        let grid = lists.grid();
        let cells = Cells { along: grid.cells().map(|cells| cells as u32), periodic: grid.bounds().is_periodic() };
        let reach = grid.width().map(|width| (lists.reach() / width).ceil() as u32);
        let domain = Domain::new(cells, "pair_cell.key", reach);
        cluster.keep_share(&mut world)?;
        let builder = Simulation::builder().workers(workers);
        let mut simulation = cluster.simulation(world, schedule(lists), domain, builder)?;
        let ran = simulation.run(FRAMES, DT).map(drop);
        ran.map_err(|error| ClusterError::World(common::chain(&error)))?;
        Ok((cluster.hash_by_id(simulation.world())?, cluster.report().0.rows_moved))
    });
    let all = all.unwrap();
    (all[0].0, all.iter().map(|(_, moved)| moved).sum())
}

#[test]
fn pairs_across_borders_have_the_bits_of_one_process() {
    let lists = lists();
    let mut simulation = Simulation::new(world(&lists), schedule(lists), Workers::Threads(1)).unwrap();
    simulation.run(FRAMES, DT).unwrap();
    let state = simulation.world().resource::<hypostyle::pairs::PairState>().unwrap();
    assert!(state.made > 10, "births and deaths make lists anew: {}", state.made);
    let want = simulation.world().hash_by_id().unwrap();
    for (ranks, workers, balance) in
        [(2, Workers::Local, 0), (3, Workers::Threads(1), 1), (4, Workers::Local, 7), (8, Workers::Local, 1)]
    {
        let (hash, moved) = spread(ranks, workers, balance);
        assert_eq!(hash, want, "{ranks} ranks");
        assert!(moved > 100, "{moved} rows changed ranks");
    }
}
