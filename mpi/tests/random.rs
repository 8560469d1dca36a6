//! Random worlds on random ranks: rows that jump anywhere, are born and die, and add up what is near them in the
//! order in which they find it.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use hypostyle::space::{Box3, CellGrid, NeighbourSearch};
use hypostyle::{
    Component, GlobalId, IdHash, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World, Write,
};
use hypostyle_mpi::bricks::Cells;
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Balance, Cluster, ClusterError, Domain};
use hypostyle_scenes::random::Random;
use proptest::prelude::*;

#[derive(Component, Clone, Copy)]
struct Position {
    x: f64,
    y: f64,
    z: f64,
}

#[derive(Component, Clone, Copy)]
struct Cell {
    key: u32,
}

/// What was near, added up: the bits depend on the order.
#[derive(Component, Clone, Copy)]
struct Felt {
    sum: f64,
}

#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq)]
struct Count {
    #[reduce(sum)]
    rows: u64,
    #[reduce(max)]
    highest: u64,
}

/// How far rows feel, and how far apart cells are.
const REACH: f64 = 1.1;

#[derive(Clone, Copy, Debug)]
struct Case {
    side: [f64; 3],
    rows: u64,
    seed: u64,
    /// Of 100 rows, how many jump anywhere, and how many bring forth another one or die, in a frame.
    jump: u64,
    turnover: u64,
}

impl Case {
    fn grid(&self) -> CellGrid<f64, 3> {
        CellGrid::new(&Box3::periodic(self.side).unwrap(), 0.6).unwrap()
    }

    fn place(&self, random: &mut Random) -> Position {
        let [x, y, z] = self.side.map(|side| side * random.unit());
        Position { x, y, z }
    }

    fn world(&self) -> World {
        let builder = World::builder().component::<GlobalId>().component::<Position>().component::<Cell>();
        let mut world = builder.component::<Felt>().resource::<Count>().build().unwrap();
        world.insert_or_set_resource(Count { rows: 0, highest: 0 }).unwrap();
        let row = |id: u64| {
            let position = self.place(&mut Random::new(self.seed, id, u64::MAX));
            (GlobalId::root(id), position, Cell { key: 0 }, Felt { sum: 0.0 })
        };
        world.spawn_batch((0..self.rows).map(row)).unwrap();
        world
    }

    fn schedule(self) -> Schedule {
        let mut schedule = Schedule::new();
        schedule.add(self.moving());
        // the second looks at what the first wrote: it is forwarded between two batches
        schedule.add(self.feeling("feel").after("move")).add(self.feeling("feel again").after("feel"));
        schedule.add(self.living());
        schedule.add(
            System::rows::<Read<GlobalId>>("count", |job, id| {
                let highest = id.value.iter().copied().max().unwrap_or(0);
                job.reduce(Count { rows: id.value.len() as u64, highest });
            })
            .reduces::<Count>()
            .stage("render"),
        );
        schedule
    }

    fn moving(self) -> System {
        System::rows::<(Write<Position>, Write<Cell>, Read<Felt>, Read<GlobalId>)>(
            "move",
            move |job, (mut at, mut cell, felt, id)| {
                let grid = self.grid();
                for row in 0..job.len() {
                    let mut random = Random::new(self.seed, id.value[row], job.frame());
                    let to = if random.bits() % 100 < self.jump {
                        self.place(&mut random)
                    } else {
                        // what was felt moves it: errors grow
                        let step = 0.05 + 0.01 * felt.sum[row].fract();
                        let x = (at.x[row] + step).rem_euclid(self.side[0]);
                        Position { x: if x < self.side[0] { x } else { 0.0 }, y: at.y[row], z: at.z[row] }
                    };
                    (at.x[row], at.y[row], at.z[row]) = (to.x, to.y, to.z);
                    cell.key[row] = grid.key([to.x, to.y, to.z]);
                }
            },
        )
        .sort_by("cell.key")
        .sort_then_by("global_id.value")
    }

    fn feeling(self, name: &str) -> System {
        System::try_neighbours::<Write<Felt>, (Read<Position>, Read<Cell>, Read<Felt>)>(
            name,
            move |job, mut felt, others| {
                let Some(own) = others.own() else { return Ok(()) };
                let (at, cell, before) = others.table(own).columns;
                let grid = self.grid();
                let starts = job.cell_starts(cell.key, grid.count())?;
                let mut search = NeighbourSearch::new(&grid, &starts, [at.x, at.y, at.z], REACH);
                let first = job.first_row();
                for row in 0..job.len() {
                    let near = search.of(first + row)?;
                    felt.sum[row] = near.iter().fold(0.1 * before.sum[first + row], |sum, other| {
                        let other = *other as usize;
                        sum + 1.0 / (3.0 + at.y[other] + before.sum[other])
                    });
                }
                Ok(())
            },
        )
    }

    fn living(self) -> System {
        System::rows::<(Read<Position>, Read<Cell>, Read<GlobalId>)>("live", move |job, (at, cell, id)| {
            for row in 0..job.len() {
                let own = GlobalId { value: id.value[row] };
                let mut random = Random::new(self.seed ^ 1, own.value, job.frame());
                if random.bits() % 100 >= self.turnover {
                    continue;
                }
                if random.bits().is_multiple_of(2) {
                    job.despawn_row(row);
                } else {
                    let place = Position { x: at.x[row], y: at.y[row], z: self.side[2] * random.unit() };
                    let key = Cell { key: cell.key[row] };
                    job.spawn((own.child(job.frame(), 0), place, key, Felt { sum: 0.0 }));
                }
            }
        })
        .spawns::<(GlobalId, Position, Cell, Felt)>()
        .despawns()
        .stage("late")
    }

    fn plain(self, frames: u64) -> (IdHash, Count) {
        let mut simulation = Simulation::new(self.world(), self.schedule(), Workers::Local).unwrap();
        simulation.run(frames, 1.0).unwrap();
        (simulation.world().hash_by_id().unwrap(), simulation.world().resource().unwrap())
    }

    fn spread(self, frames: u64, ranks: usize, (balance, by): (u64, Balance)) -> Vec<(IdHash, Count, u64)> {
        run_threads(ranks, |rank| {
            let cluster = Cluster::new(common::comm(rank), balance).balance_by(by);
            let mut world = self.world();
            let grid = self.grid();
            let reach = grid.width().map(|width| (REACH * 1.001 / width).ceil() as u32);
            let domain = Domain::new(Cells::of(&grid), "cell.key", reach);
            cluster.keep_share(&mut world)?;
            let builder = Simulation::builder().workers(Workers::Local);
            let mut simulation = cluster.simulation(world, self.schedule(), Some(domain), builder)?;
            simulation.run(frames, 1.0).map_err(|error| ClusterError::World(common::chain(&error)))?;
            let count: Count = simulation.world().resource().unwrap();
            Ok((cluster.hash_by_id(simulation.world())?, count, cluster.report().0.rows_moved))
        })
        .unwrap()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let side = || 2.5..6.0f64;
    ([side(), side(), side()], 0u64..160, any::<u64>(), 0u64..60, 0u64..20)
        .prop_map(|(side, rows, seed, jump, turnover)| Case { side, rows, seed, jump, turnover })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_ranks_give_the_bytes_of_one(
        case in cases(), ranks in 2usize..7, balance in (0u64..4, any::<bool>()), frames in 1u64..7,
    ) {
        let balance = (balance.0, if balance.1 { Balance::Time } else { Balance::Rows });
        let (hash, count) = case.plain(frames);
        for (rank, (other, counted, _)) in case.spread(frames, ranks, balance).into_iter().enumerate() {
            prop_assert_eq!(other, hash, "rank {}", rank);
            prop_assert_eq!(counted, count, "rank {}", rank);
        }
    }
}

#[test]
fn rows_jump_over_bricks() {
    // everything jumps anywhere in each frame, among eight bricks along one line
    let case = Case { side: [24.0, 1.3, 1.3], rows: 200, seed: 3, jump: 100, turnover: 5 };
    let (hash, count) = case.plain(5);
    let all = case.spread(5, 8, (1, Balance::Rows));
    assert!(all.iter().all(|(other, counted, _)| *other == hash && *counted == count));
    let moved: u64 = all.iter().map(|(_, _, moved)| moved).sum();
    // seven of eight rows find their new place with another rank
    assert!(moved > 5 * 200 * 6 / 8, "{moved} rows changed ranks");
}
