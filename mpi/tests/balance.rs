//! Bricks by measured time: where rows of one side take longer, the rank on that side gets fewer of them.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{begin, chain, comm, scene};
use hypostyle::exchange::Exchange as _;
use hypostyle::space::{Bounds, CellGrid};
use hypostyle::{Component, GlobalId, Read, Schedule, Simulation, System, Workers, World, Write};
use hypostyle_mpi::bricks::Cells;
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Balance, Cluster, ClusterError, Domain, Report};

#[derive(Component, Clone, Copy)]
struct Cell {
    key: u32,
}

const CELLS: u32 = 100;
const ROWS_PER_CELL: u32 = 5;

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    let bin = System::rows::<Write<Cell>>("bin", |_, _| {}).sort_by("cell.key").sort_then_by("global_id.value");
    schedule.add(bin);
    schedule
}

/// What rows take: those of the first half of the cells many times as much as the others.
fn work(world: &World) -> Duration {
    let Some((_, keys)) = world.table_column(0, "cell.key").unwrap() else { return Duration::ZERO };
    let is_slow = |key: &[u8]| u32::from_le_bytes(key.try_into().unwrap()) < CELLS / 2;
    keys.chunks_exact(4).map(|key| Duration::from_secs(if is_slow(key) { 40 } else { 1 })).sum()
}

fn world() -> World {
    let mut world = World::builder().component::<GlobalId>().component::<Cell>().build().unwrap();
    let row = |id: u32| (GlobalId::root(id.into()), Cell { key: id / ROWS_PER_CELL });
    world.spawn_batch((0..CELLS * ROWS_PER_CELL).map(row)).unwrap();
    world
}

/// Rows of each of two ranks at last, and what they say.
fn share(by: Balance) -> Vec<(u64, Report)> {
    run_threads(2, |rank| {
        let cluster = Cluster::new(comm(rank), 3).balance_by(by);
        let mut world = world();
        cluster.keep_share(&mut world)?;
        let grid = CellGrid::new(&Bounds::<f64, 1>::new([0.0], [f64::from(CELLS)], [false]).unwrap(), 1.0).unwrap();
        let domain = Domain::new(Cells::of(&grid), "cell.key", [1, 0, 0]);
        let builder = Simulation::builder().workers(Workers::Local);
        let mut simulation = cluster.simulation(world, schedule(), Some(domain), builder)?;
        for _ in 0..20 {
            simulation.run(1, 1.0).map_err(|error| ClusterError::World(chain(&error)))?;
            // seconds, beside which what it really took is nothing
            cluster.clone().worked(work(simulation.world()));
        }
        Ok((simulation.world().entity_count(), cluster.report().0))
    })
    .unwrap()
}

#[test]
fn bricks_by_time_give_slow_rows_more_ranks() {
    let rows = share(Balance::Rows);
    assert_eq!([rows[0].0, rows[1].0], [250, 250]);
    let time = share(Balance::Time);
    // 250 rows of 40 s and 250 of 1 s: half of it is that of the first 128 rows, of 26 cells
    assert!((120..=135).contains(&time[0].0) && time[0].0 + time[1].0 == 500, "{time:?}");
    // the first cut was by rows, and the first rank had all that is slow: 40 s of the mean of 20.5 s
    assert!(time.iter().all(|(_, report)| (1.95..1.96).contains(&report.first_imbalance)), "{time:?}");
    let now = time.iter().map(|(_, report)| report.busy_since_cut.as_secs_f64()).collect::<Vec<_>>();
    assert!(now[0].max(now[1]) < 1.06 * (now[0] + now[1]) / 2.0, "{time:?}");
}

#[test]
fn time_of_kernels_is_measured_on_all_ranks() {
    let all = run_threads(2, |rank| {
        let cluster = Cluster::new(comm(rank), 0);
        let mut world = world();
        cluster.keep_share(&mut world)?;
        let mut schedule = Schedule::new();
        let nap = || std::thread::sleep(Duration::from_millis(3));
        schedule.add(System::rows::<Read<Cell>>("sleep", move |_, _| nap()));
        let builder = Simulation::builder().workers(Workers::Local);
        let mut simulation = cluster.simulation(world, schedule, None, builder)?;
        simulation.run(4, 1.0).map_err(|error| ClusterError::World(chain(&error)))?;
        Ok(cluster.report().0.busy)
    })
    .unwrap();
    assert!(all.iter().all(|busy| *busy >= Duration::from_millis(12)), "{all:?}");
}

#[test]
fn states_do_not_depend_on_weights() {
    let (scene, options) = scene("lj", 2048);
    let want = common::plain((scene, &options), 40);
    let all = run_threads(3, |rank| {
        let cluster = Cluster::new(comm(rank), 1).balance_by(Balance::Time);
        let mut simulation = begin(&cluster, (scene, &options), Workers::Threads(2))?;
        simulation.run(40, scene.dt()).map_err(|error| ClusterError::World(chain(&error)))?;
        Ok((cluster.hash_by_id(simulation.world())?, cluster.report().0.balanced))
    })
    .unwrap();
    assert!(all.iter().all(|(hash, cuts)| *hash == want && *cuts > 2), "{all:?} are not {want}");
}
