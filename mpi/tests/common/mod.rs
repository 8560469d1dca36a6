//! Scenes on ranks that are threads, and on one plain process.
#![forbid(unsafe_code)]
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod program;

use std::time::Duration;

use hypostyle::{IdHash, Simulation, Workers, World};
use hypostyle_mpi::bricks::Cells;
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Cluster, ClusterError, Comm, Domain, Looks};
use hypostyle_scenes::{Scene, SceneOptions, Space, find};

/// A scene with so many entities, and global ids.
pub fn scene(name: &str, entities: u64) -> (&'static dyn Scene, SceneOptions) {
    (find(name).unwrap(), SceneOptions::new(Some(entities), 7))
}

/// How a world is spread.
pub fn looks((scene, options): (&'static dyn Scene, &SceneOptions), world: &World) -> Looks {
    if scene.looks_at_all(options) {
        return Looks::All;
    }
    let Some(space) = scene.space(world).unwrap() else { return Looks::Own };
    let cells = |space: &Space| Cells { along: space.along, periodic: space.periodic };
    let domain = Domain::new(cells(&space), space.key, space.reach);
    if !space.changes {
        return domain.into();
    }
    let follow = move |world: &World| {
        let space = scene.space(world).unwrap().unwrap();
        Ok((cells(&space), space.reach))
    };
    domain.follow(follow).into()
}

/// A line to the other ranks, with time for a slow machine.
pub fn comm(rank: hypostyle_mpi::transport::ThreadRank) -> Comm {
    Comm::new(Box::new(rank)).deadline(Duration::from_mins(5))
}

/// This rank's simulation of a scene.
pub fn begin(
    cluster: &Cluster,
    (scene, options): (&'static dyn Scene, &SceneOptions),
    workers: Workers,
) -> Result<Simulation, ClusterError> {
    let mut world = scene.world(options, World::builder()).unwrap();
    let looks = looks((scene, options), &world);
    cluster.keep_share(&mut world)?;
    cluster.simulation(world, scene.schedule(options), looks, Simulation::builder().workers(workers))
}

/// The hash of the scene after so many frames on one plain process.
pub fn plain((scene, options): (&'static dyn Scene, &SceneOptions), frames: u64) -> IdHash {
    let world = scene.world(options, World::builder()).unwrap();
    let mut simulation = Simulation::new(world, scene.schedule(options), Workers::Local).unwrap();
    simulation.run(frames, scene.dt()).unwrap();
    simulation.world().hash_by_id().unwrap()
}

/// The same on so many ranks; and rows that changed ranks.
pub fn spread(
    (scene, options): (&'static dyn Scene, &SceneOptions),
    frames: u64,
    ranks: usize,
    workers: Workers,
    balance_every: u64,
) -> Result<(IdHash, u64), ClusterError> {
    let all = run_threads(ranks, |rank| {
        let cluster = Cluster::new(comm(rank), balance_every);
        let mut simulation = begin(&cluster, (scene, options), workers)?;
        let ran = simulation.run(frames, scene.dt()).map(drop);
        ran.map_err(|error| ClusterError::World(chain(&error)))?;
        let hash = cluster.hash_by_id(simulation.world())?;
        let moved = cluster.comm(|comm| comm.sum("rows moved", 0))?;
        Ok((hash, moved + cluster.report().0.rows_moved))
    })?;
    let moved = all.iter().map(|(_, moved)| moved).sum();
    assert!(all.iter().all(|(hash, _)| *hash == all[0].0), "all ranks know the whole");
    Ok((all[0].0, moved))
}

/// An error with what led to it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
