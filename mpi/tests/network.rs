//! A schedule of a user's own, of entities that name each other: equal bytes on any number of ranks, and from checkpoints.
//!
//! Nodes are looked at by all; edges name two of them, wherever they live; notes name an edge, which no view shows, and a node.
//! Lamps, one for each node, set what their node has, light it and put it out.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{chain, comm};
use hypostyle::checkpoint::CheckpointSet;
use hypostyle::{
    Component, Elsewhere, Entity, FieldJoin, GlobalId, IdHash, Read, Reduce, Resource, Schedule, Simulation, System,
    Workers, World, WorldBuilder, Write,
};
use hypostyle_mpi::set::{self, Origin};
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Cluster, ClusterError, Looks};

#[derive(Component, Clone, Copy, Debug, Default)]
struct Node {
    flow: u64,
    met: u32,
}

#[derive(Component, Clone, Copy, Debug, Default)]
struct Peak {
    most: i64,
    kinds: u32,
}

#[derive(Component, Clone, Copy, Debug)]
struct Edge {
    a: Entity,
    b: Entity,
    weight: u32,
}

#[derive(Component, Clone, Copy, Debug)]
struct Note {
    edge: Entity,
    reader: Entity,
}

#[derive(Component, Clone, Copy, Debug)]
struct Lamp {
    of: Entity,
}

#[derive(Component, Clone, Copy, Debug, Default)]
struct Shade {
    depth: u32,
    hue: u16,
}

#[derive(Component, Clone, Copy, Debug)]
struct Lit {
    power: u32,
}

#[derive(Component, Clone, Copy, Debug)]
struct Dim;

#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
struct Warm;

#[derive(Component, Clone, Copy, Debug, Default)]
struct Gaze {
    all: f64,
}

#[derive(Resource, Reduce, Clone, Copy, Debug, Default)]
struct Count {
    #[reduce(sum)]
    born: u64,
}

fn builder(builder: WorldBuilder) -> WorldBuilder {
    let builder = builder.component::<GlobalId>().component::<Elsewhere>().component::<Node>().component::<Peak>();
    let builder = builder.component::<Lamp>().component::<Shade>().component::<Lit>().component::<Dim>();
    let builder = builder.component::<Warm>().component::<Gaze>();
    builder.component::<Edge>().component::<Note>().resource::<Count>()
}

const NODES: u64 = 120;
const EDGES: u64 = 400;
const NOTES: u64 = 150;

fn node(id: GlobalId) -> (GlobalId, Node, Peak, Shade, Gaze) {
    (id, Node::default(), Peak::default(), Shade::default(), Gaze::default())
}

fn world(builder_of: WorldBuilder) -> World {
    let mut world = builder(builder_of).build().unwrap();
    let mut drawn = 0;
    let mut one_of = |count: u64| {
        drawn += 1;
        (GlobalId::root(drawn).child(0, 0).value % count) as usize
    };
    let nodes = world.spawn_batch((0..NODES).map(|id| node(GlobalId::root(id)))).unwrap();
    let edges = (0..EDGES).map(|index| {
        let (a, b) = (nodes[one_of(NODES)], nodes[one_of(NODES)]);
        (GlobalId::root(NODES + index), Edge { a, b, weight: index as u32 % 7 })
    });
    let edges: Vec<_> = edges.collect();
    let edges = world.spawn_batch(edges).unwrap();
    let notes: Vec<_> = (0..NOTES)
        .map(|index| {
            let note = Note { edge: edges[one_of(EDGES)], reader: nodes[one_of(NODES)] };
            (GlobalId::root(NODES + EDGES + index), note)
        })
        .collect();
    world.spawn_batch(notes).unwrap();
    let lamps = (0..NODES).map(|id| (GlobalId::root(NODES + EDGES + NOTES + id), Lamp { of: nodes[id as usize] }));
    world.spawn_batch(lamps.collect::<Vec<_>>()).unwrap();
    world.insert_resource(Count::default()).unwrap();
    world
}

/// Each node looks at all, table by table, in an order that the numbers depend on.
fn gaze() -> System {
    type All = (Read<Shade>, Read<GlobalId>);
    System::try_neighbours::<(Write<Gaze>, Read<GlobalId>), All>("gaze", |job, (mut gaze, id), nodes| {
        let mut all = 0.0_f64;
        for table in nodes.tables() {
            let (shade, ids) = table.columns;
            for row in table.ordered(ids.value).into_iter().flatten() {
                all = all * 0.999 + f64::from(shade.depth[row]) / (1 + ids.value[row] % 1000) as f64;
            }
        }
        for row in 0..job.len() {
            gaze.all[row] = all + id.value[row] as f64;
        }
        Ok(())
    })
}

/// Looks along edges at nodes that may live anywhere, and adds to them.
fn flow() -> System {
    System::try_neighbours::<(Read<Edge>, Read<GlobalId>), (Read<Node>, Read<GlobalId>)>(
        "flow",
        |job, (edge, _), nodes| {
            let at = |entity| nodes.locate(entity).map(|(table, row)| (nodes.table(table), row));
            for row in 0..job.len() {
                let (a, b) = (edge.a[row], edge.b[row]);
                let (Some((of_a, a_row)), Some((of_b, b_row))) = (at(a), at(b)) else { continue };
                assert_eq!(
                    (of_a.entities[a_row], of_b.entities[b_row]),
                    (a, b),
                    "views show the handles that fields have"
                );
                let (own, other) = (of_a.columns.0.flow[a_row], of_b.columns.0.flow[b_row]);
                let id = of_b.columns.1.value[b_row];
                job.accumulate(a, Node { flow: (other >> 3) + id % 5 + u64::from(edge.weight[row]), met: 1 });
                job.accumulate(b, Node { flow: own >> 2, met: 1 });
            }
            Ok(())
        },
    )
    .accumulates::<Node>(FieldJoin::Sum)
}

/// Each edge, without a look, gives its ends a number; the greatest stays.
fn peak() -> System {
    System::rows::<(Read<Edge>, Read<GlobalId>)>("peak", |job, (edge, id)| {
        for row in 0..job.len() {
            let random = job.random_of_id(id.value[row]).f64();
            for end in [edge.a[row], edge.b[row]] {
                job.accumulate(end, Peak { most: (random * 1e6) as i64, kinds: 1 << edge.weight[row] });
            }
        }
    })
    .accumulates_named("peak", [("most", FieldJoin::Max), ("kinds", FieldJoin::Or)])
    .after("flow")
}

/// Now and then an edge ends the node that it leads to.
fn strike() -> System {
    System::rows::<(Read<Edge>, Read<GlobalId>)>("strike", |job, (edge, id)| {
        for row in 0..job.len() {
            if job.random_of_id(id.value[row]).f64() < 0.002 {
                job.despawn(edge.b[row]);
            }
        }
    })
    .despawns()
    .after("grow")
}

/// Nodes bring forth others, with edges to any node, and notes on these.
fn grow() -> System {
    type Nodes = (Read<Node>, Read<GlobalId>);
    System::try_neighbours::<(Write<Node>, Read<GlobalId>), Nodes>("grow", |job, (mut of_node, id), nodes| {
        let Some(own) = nodes.own() else { return Ok(()) };
        let all = nodes.table(own);
        let ranges = all.ordered(all.columns.1.value);
        let nth = |n: usize| ranges.iter().cloned().flatten().nth(n).unwrap();
        let mut born = 0;
        for row in 0..job.len() {
            of_node.flow[row] -= of_node.flow[row] / 16;
            let mut random = job.random_of_id(id.value[row]);
            if random.f64() >= 0.06 {
                continue;
            }
            let own_id = GlobalId { value: id.value[row] };
            let child = job.spawn(node(own_id.child(job.frame(), 0)));
            job.spawn((own_id.child(job.frame(), 16), Lamp { of: child }));
            born += 1;
            let mut any = || all.entities[nth((random.f64() * all.entities.len() as f64) as usize)];
            for number in 1..4 {
                let (a, b) = (if number == 3 { any() } else { child }, any());
                let edge = job.spawn((own_id.child(job.frame(), number), Edge { a, b, weight: number as u32 }));
                job.spawn((own_id.child(job.frame(), 8 + number), Note { edge, reader: any() }));
            }
            if any() == job.entities()[row] {
                job.despawn_row(row);
            }
        }
        job.reduce(Count { born });
        Ok(())
    })
    .spawns::<(GlobalId, Node, Peak, Shade, Gaze)>()
    .spawns::<Lamp>()
    .spawns::<(GlobalId, Edge)>()
    .spawns::<Note>()
    .despawns()
    .reduces::<Count>()
    .after("peak")
}

/// Lamps give their nodes shades.
fn shade() -> System {
    System::rows::<(Read<Lamp>, Read<GlobalId>)>("shade", |job, (lamp, id)| {
        for row in 0..job.len() {
            let mut random = job.random_of_id(id.value[row]);
            let depth = (random.f64() * 1e6) as u32;
            if random.f64() < 0.7 {
                job.set(lamp.of[row], Shade { depth, hue: id.value[row] as u16 });
            }
        }
    })
    .sets::<Shade>()
}

/// Lamps light their nodes, which go to another table, and put them out; where a lamp is on, its node gets warm.
fn light() -> System {
    System::rows::<(Read<Lamp>, Read<GlobalId>)>("light", |job, (lamp, id)| {
        for row in 0..job.len() {
            let mut random = job.random_of_id(id.value[row]);
            match (random.f64() * 10.0) as u32 {
                0 => {
                    job.add(lamp.of[row], Lit { power: (random.f64() * 100.0) as u32 });
                    job.add(lamp.of[row], Warm);
                }
                1 => job.remove::<Lit>(lamp.of[row]),
                2 => job.remove::<Warm>(lamp.of[row]),
                3 => job.add(lamp.of[row], Dim),
                4 => job.remove::<Dim>(lamp.of[row]),
                _ => {}
            }
        }
    })
    .adds::<(Lit, Dim, Warm)>()
    .removes::<(Lit, Dim, Warm)>()
    .after("shade")
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule
        .add(gaze())
        .add(flow().after("gaze"))
        .add(peak())
        .add(grow())
        .add(strike())
        .add(shade().after("strike"))
        .add(light());
    schedule.add(System::relation_cascade("lamps end", "lamp.of").after("light"));
    // what led to a node that is gone; then what was written on such an edge; and a reader who is gone is forgotten
    for field in ["edge.a", "edge.b"] {
        schedule.add(System::relation_cascade(format!("{field} ends"), field).after("light"));
    }
    let notes = System::relation_cascade("notes end", "note.edge").after("edge.a ends").after("edge.b ends");
    schedule.add(notes);
    schedule.add(System::relation_clear("readers go", "note.reader").after("notes end"));
    let line_up = System::rows::<(Read<Node>, Read<GlobalId>)>("line up", |_, _| {});
    schedule.add(line_up.sort_by("global_id.value").after("readers go").after("lamps end"));
    schedule
}

fn hash(world: &World) -> IdHash {
    world.hash_by_id().unwrap()
}

/// Rows that have a component.
fn rows_with(world: &World, component: &str) -> usize {
    let has = |table: &usize| world.table_components(*table).any(|name| name == component);
    (0..world.table_count()).filter(has).map(|table| world.table_rows(table)).sum()
}

fn plain(frames: u64) -> World {
    let mut simulation = Simulation::new(world(World::builder()), schedule(), Workers::Local).unwrap();
    simulation.run(frames, 1.0).unwrap();
    std::mem::replace(simulation.world_mut(), World::builder().build().unwrap())
}

fn run(simulation: &mut Simulation, frames: u64) -> Result<(), ClusterError> {
    simulation.run(frames, 1.0).map(drop).map_err(|error| ClusterError::World(chain(&error)))
}

const FRAMES: u64 = 30;

#[test]
fn a_network_has_the_bytes_of_one_process() {
    let whole = plain(FRAMES);
    let want = hash(&whole);
    // what happens is what this is to be a test of
    let (nodes, edges, notes) = (rows_with(&whole, "node"), rows_with(&whole, "edge"), rows_with(&whole, "note"));
    let born = whole.resource::<Count>().unwrap().born;
    let (lamps, lit) = (rows_with(&whole, "lamp"), rows_with(&whole, "lit"));
    let tables = (0..whole.table_count()).filter(|table| whole.table_components(*table).any(|name| name == "node"));
    assert_eq!(tables.count(), 4, "of all kinds, that are made in any order");
    assert!(lamps == nodes && (10..nodes).contains(&lit), "{lamps} lamps, {lit} nodes lit of {nodes}");
    assert!(nodes > 150 && edges > 400 && notes > 150 && born > 0, "{nodes} nodes, {edges} edges, {notes} notes");
    assert!(edges < EDGES as usize + 3 * (nodes - NODES as usize) - 50, "edges of nodes that are gone have ended");
    for (ranks, workers, balance) in [
        (1, Workers::Threads(2), 1),
        (2, Workers::Local, 1),
        (3, Workers::Threads(2), 7),
        (4, Workers::Local, 0),
        (4, Workers::Local, 7),
        (8, Workers::Local, 1),
    ] {
        let all = run_threads(ranks, |rank| {
            let cluster = Cluster::new(comm(rank), balance);
            let mut world = world(World::builder());
            cluster.keep_share(&mut world)?;
            let builder = Simulation::builder().workers(workers);
            let mut simulation = cluster.simulation(world, schedule(), Looks::All, builder)?;
            run(&mut simulation, FRAMES)?;
            let spread = cluster.hash_by_id(simulation.world())?;
            // and all rows in one world again, with handles that lead where they led
            cluster.gather_rows(simulation.world_mut(), None)?;
            let gathered = (cluster.rank() == 0).then(|| hash(simulation.world()));
            Ok((spread, gathered, cluster.report().0.rows_moved))
        })
        .unwrap();
        let moved: u64 = all.iter().map(|(.., moved)| moved).sum();
        assert!(all.iter().all(|(spread, ..)| *spread == want), "{ranks} ranks, cut anew every {balance}");
        assert_eq!(all[0].1, Some(want), "{ranks} ranks, on one again");
        assert!(ranks == 1 || moved > 50, "{moved} rows change ranks");
    }
}

fn write(ranks: usize, frames: u64, directory: &Path) -> PathBuf {
    let origin = Origin { scene: "network".to_owned(), ..Origin::default() };
    let mut paths = run_threads(ranks, |rank| {
        let cluster = Cluster::new(comm(rank), 5);
        let mut world = world(World::builder());
        cluster.keep_share(&mut world)?;
        let builder = Simulation::builder().workers(Workers::Local);
        let mut simulation = cluster.simulation(world, schedule(), Looks::All, builder)?;
        run(&mut simulation, frames)?;
        set::write(&cluster, &mut simulation, directory, &origin)
    })
    .unwrap();
    paths.pop().unwrap()
}

#[test]
fn a_network_has_the_same_future_on_other_ranks() {
    let (before, after) = (11, 12);
    let want = [hash(&plain(before)), hash(&plain(before + after))];
    let directory = tempfile::tempdir().unwrap();
    let path = write(4, before, directory.path());
    for ranks in [3, 1, 8] {
        let manifest = set::open(&path).unwrap();
        let all = run_threads(ranks, |rank| {
            let cluster = Cluster::new(comm(rank), 1);
            let world = manifest.restore(&path, &cluster, WorldBuilder::default)?;
            let builder = Simulation::builder().workers(Workers::Local);
            let mut simulation = cluster.simulation(world, schedule(), Looks::All, builder)?;
            let first = cluster.hash_by_id(simulation.world())?;
            run(&mut simulation, after)?;
            Ok([first, cluster.hash_by_id(simulation.world())?])
        })
        .unwrap();
        assert!(all.iter().all(|hashes| *hashes == want), "on {ranks} ranks");
    }
    // the library alone, as one plain process
    let set = CheckpointSet::open(&path).unwrap();
    assert_eq!(set.load().unwrap().pin().unwrap().hash_by_id().unwrap(), want[0]);
    let world = set.restore(WorldBuilder::default()).unwrap();
    assert_eq!((hash(&world), world.entity_count()), (want[0], set.rows()));
    assert!((0..world.table_count()).all(|table| !world.is_elsewhere(table) || world.table_rows(table) == 0));
    let mut simulation = Simulation::new(world, schedule(), Workers::Local).unwrap();
    simulation.run(after, 1.0).unwrap();
    assert_eq!(hash(simulation.world()), want[1]);
}

/// What two ranks say that begin with worlds of their own, which have run before.
fn begin_with(make: impl Fn(usize) -> World + Sync) -> String {
    let ended = run_threads(2, |rank| {
        let cluster = Cluster::new(comm(rank), 1);
        let world = make(cluster.rank());
        let builder = Simulation::builder().workers(Workers::Local);
        cluster.simulation(world, schedule(), Looks::All, builder).map(drop)
    });
    ended.expect_err("it is refused").to_string()
}

/// A world after a frame in which nothing happened.
fn idle() -> World {
    let mut world = builder(World::builder()).build().unwrap();
    world.insert_resource(Count::default()).unwrap();
    let mut simulation = Simulation::new(world, Schedule::new(), Workers::Local).unwrap();
    simulation.run(1, 1.0).unwrap();
    std::mem::replace(simulation.world_mut(), World::builder().build().unwrap())
}

#[test]
fn ids_that_are_twice_or_nobodys_are_refused() {
    let node = |id: u64| node(GlobalId::root(id));
    let twice = begin_with(|rank| {
        let mut world = idle();
        world.spawn_batch((0..3).map(|id| node(id + 2 * rank as u64))).unwrap();
        world
    });
    assert!(twice.contains("same global id 2"), "{twice}");
    let nobody = begin_with(|rank| {
        let mut world = idle();
        let ends = world.spawn_batch((0..2).map(|id| node(id + 10 * rank as u64))).unwrap();
        world.spawn((GlobalId::root(100 + rank as u64), Edge { a: ends[0], b: ends[1], weight: 1 })).unwrap();
        if rank == 1 {
            // it lives on, but nowhere
            let nodes = world.table_with(&["global_id", "node", "peak", "shade", "gaze"]).unwrap();
            world.leave_rows(nodes, &[1]).unwrap();
        }
        world
    });
    assert!(nobody.contains("no entity on any rank, such as 11"), "{nobody}");
}

#[test]
fn what_depends_on_the_order_is_refused_with_the_systems_name() {
    #[derive(Component, Clone, Copy, Debug, Default)]
    struct Warm {
        heat: f64,
    }
    let refused = |schedule: fn() -> Schedule, elsewhere: bool| {
        run_threads(2, |rank| {
            let cluster = Cluster::new(comm(rank), 1);
            let builder = World::builder().component::<GlobalId>().component::<Node>().component::<Edge>();
            let builder = builder.component::<Warm>();
            let builder = if elsewhere { builder.component::<Elsewhere>() } else { builder };
            let mut world = builder.build().unwrap();
            world.spawn_batch((0..4).map(|id| (GlobalId::root(id), Node::default(), Warm::default()))).unwrap();
            cluster.keep_share(&mut world)?;
            cluster.simulation(world, schedule(), Looks::All, Simulation::builder()).map(drop)
        })
        .unwrap_err()
    };
    let warm: fn() -> Schedule = || {
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<Read<Edge>>("warm", |_, _| {}).accumulates::<Warm>(FieldJoin::Sum));
        schedule
    };
    let told = chain(&refused(warm, true));
    assert!(told.contains("`warm`") && told.contains("sum of floats"), "{told}");
    let told = chain(&refused(warm, false));
    assert!(told.contains("`edge` has handles") && told.contains("`elsewhere`"), "{told}");
    let told = chain(&refused(
        || {
            let mut schedule = Schedule::new();
            schedule.add(System::rows::<Read<Node>>("end", |_, _| {}).despawns());
            schedule
        },
        true,
    ));
    assert!(told.contains("`end`") && told.contains("sorts rows by `global_id.value`"), "{told}");
}

/// Two lamps of one node that want other shades: one process takes the last one, and ranks say that there are two.
#[test]
fn two_that_set_one_row_to_other_values_are_refused() {
    let schedule = || {
        let mut schedule = Schedule::new();
        schedule.add(shade());
        schedule
    };
    let mut plain = world(World::builder());
    let two = |world: &mut World| {
        let nodes = world.table_with(&["global_id", "node", "peak", "shade", "gaze"]).unwrap();
        let of = world.table_entities(nodes)[0];
        world.spawn((GlobalId::root(9000), Lamp { of })).unwrap();
    };
    two(&mut plain);
    Simulation::new(plain, schedule(), Workers::Local).unwrap().run(8, 1.0).unwrap();
    for ranks in [2, 4] {
        let told = run_threads(ranks, |rank| {
            let cluster = Cluster::new(comm(rank), 1);
            let mut world = world(World::builder());
            two(&mut world);
            cluster.keep_share(&mut world)?;
            let builder = Simulation::builder().workers(Workers::Local);
            let mut simulation = cluster.simulation(world, schedule(), Looks::All, builder)?;
            run(&mut simulation, 8)
        })
        .expect_err("it depends on the order");
        let told = chain(&told);
        assert!(
            told.contains("`shade`") && told.contains("global id 0") && told.contains("values that differ"),
            "{told}"
        );
    }
}
