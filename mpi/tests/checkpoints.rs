//! Sets of checkpoints: written on four ranks, restored on any number of them.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{begin, chain, comm, looks, plain, scene};
use hypostyle::checkpoint::CheckpointSet;
use hypostyle::{IdHash, Simulation, Workers, WorldBuilder};
use hypostyle_mpi::set::{self, Origin};
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Cluster, ClusterError};
use hypostyle_scenes::{Scene, SceneOptions};

type Chosen<'a> = (&'static dyn Scene, &'a SceneOptions);

fn write((scene, options): Chosen<'_>, ranks: usize, frames: u64, directory: &Path) -> PathBuf {
    let origin = Origin { scene: scene.name().to_owned(), ..Origin::default() };
    let mut paths = run_threads(ranks, |rank| {
        let cluster = Cluster::new(comm(rank), 3);
        let mut simulation = begin(&cluster, (scene, options), Workers::Local)?;
        simulation.run(frames, scene.dt()).map_err(|error| ClusterError::World(chain(&error)))?;
        set::write(&cluster, &mut simulation, directory, &origin)
    })
    .unwrap();
    paths.pop().unwrap()
}

fn go_on((scene, options): Chosen<'_>, path: &Path, ranks: usize, frames: u64) -> Result<Vec<IdHash>, ClusterError> {
    let manifest = set::open(path)?;
    let mut all = run_threads(ranks, |rank| {
        let cluster = Cluster::new(comm(rank), 1);
        let world = manifest.restore(path, &cluster, WorldBuilder::default)?;
        let first = cluster.hash_by_id(&world)?;
        let looks = looks((scene, options), &world);
        let builder = Simulation::builder().workers(Workers::Local);
        let mut simulation = cluster.simulation(world, scene.schedule(options), looks, builder)?;
        simulation.run(frames, scene.dt()).map_err(|error| ClusterError::World(chain(&error)))?;
        Ok(vec![first, cluster.hash_by_id(simulation.world())?])
    })?;
    Ok(all.pop().unwrap())
}

/// One plain process goes on from a set: the library alone reads it.
fn go_on_alone((scene, options): Chosen<'_>, path: &Path, frames: u64) -> Vec<IdHash> {
    let set = CheckpointSet::open(path).unwrap();
    assert_eq!(set.note("scene"), Some(scene.name()));
    let hash = set.load().unwrap().pin().unwrap().hash_by_id().unwrap();
    let world = set.restore(WorldBuilder::default()).unwrap();
    assert_eq!(world.hash_by_id().unwrap(), hash);
    let mut simulation = Simulation::new(world, scene.schedule(options), Workers::Local).unwrap();
    simulation.run(frames, scene.dt()).unwrap();
    vec![hash, simulation.world().hash_by_id().unwrap()]
}

/// Frames before and after, neither of them where lists are made.
fn same_future(name: &str, entities: u64, before: u64, after: u64) {
    let (scene, options) = scene(name, entities);
    same_future_with((scene, &options), before, after);
}

fn same_future_with((scene, options): Chosen<'_>, before: u64, after: u64) {
    let name = scene.name();
    let want = [plain((scene, options), before), plain((scene, options), before + after)];
    let directory = tempfile::tempdir().unwrap();
    let path = write((scene, options), 4, before, directory.path());
    assert_eq!(set::newest(directory.path(), name).unwrap(), Some(path.clone()));
    for ranks in [3, 1, 8] {
        assert_eq!(go_on((scene, options), &path, ranks, after).unwrap(), want, "{name} on {ranks} ranks");
    }
    assert_eq!(go_on_alone((scene, options), &path, after), want, "{name} on one plain process");
}

#[test]
fn lj_has_the_same_future_on_other_ranks() {
    same_future("lj", 2048, 20, 25);
}

#[test]
fn nbody_has_the_same_future_on_other_ranks() {
    same_future("nbody", 103, 6, 7);
}

#[test]
fn particles_have_the_same_future_on_other_ranks() {
    same_future("particles", 5000, 30, 30);
}

#[test]
fn fluids_have_the_same_future_on_other_ranks() {
    same_future("fluids", 2000, 13, 12);
}

#[test]
fn spheres_have_the_same_future_on_other_ranks() {
    // while many touch, and then longer than lists hold
    let (scene, options) = scene("spheres", 400);
    let options = options.with("gravity", "30").with("stiffness", "60000").with("restitution", "0.2");
    same_future_with((scene, &options.with("radii", "0.3,0.8")), 200, 40);
}

#[test]
fn epidemic_has_the_same_future_on_other_ranks() {
    same_future("epidemic", 1500, 17, 20);
}

#[test]
fn sets_that_are_not_whole_are_refused() {
    let (scene, options) = scene("field", 500);
    let directory = tempfile::tempdir().unwrap();
    let old = write((scene, &options), 3, 2, directory.path());
    let new = write((scene, &options), 3, 4, directory.path());
    assert_eq!(set::newest(directory.path(), "field").unwrap(), Some(new.clone()));
    assert_eq!(set::newest(directory.path(), "lj").unwrap(), None);
    // a file of another length is no file of the set: the older one is the newest that is whole
    let file = set::open(&new).unwrap().set.file_path(1);
    let mut bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[1..]).unwrap();
    assert_eq!(set::newest(directory.path(), "field").unwrap(), Some(old.clone()));
    // one of the same length with another byte is found by its hash, whoever reads it
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    for ranks in [1, 2, 3] {
        let error = go_on((scene, &options), &new, ranks, 1).unwrap_err().to_string();
        assert!(error.contains("another hash") && error.contains("rank-00001.checkpoint"), "{ranks}: {error}");
    }
    // numbers that contradict each other
    let text = std::fs::read_to_string(&old).unwrap();
    for (from, to) in
        [("checkpoints = 1", "checkpoints = 2"), ("rows = 500", "rows = 501"), ("frame = 2", "frame = -2")]
    {
        assert!(text.contains(from), "{from}");
        std::fs::write(&old, text.replacen(from, to, 1)).unwrap();
        assert!(matches!(set::open(&old), Err(ClusterError::File { .. })), "{to}");
    }
    // a frame that is not the files'
    std::fs::write(&old, text.replacen("frame = 2", "frame = 3", 1)).unwrap();
    let error = go_on((scene, &options), &old, 2, 1).unwrap_err().to_string();
    assert!(error.contains("of frame 2, and the set of frame 3"), "{error}");
    std::fs::write(&old, &text).unwrap();
    // what cannot be removed is told, stays a set, though one that is not complete, and goes the next time
    let foreign = old.with_extension("").join("a file of somebody else");
    std::fs::write(&foreign, "").unwrap();
    let stays = set::prune(directory.path(), "field", 1);
    assert!(
        matches!(&stays[..], [ClusterError::File { path, what }] if *path == old && what.contains("remove")),
        "{stays:?}"
    );
    assert!(old.exists() && foreign.exists());
    std::fs::remove_file(&foreign).unwrap();
    assert!(set::prune(directory.path(), "field", 1).is_empty());
    assert!(!old.exists() && !old.with_extension("").exists() && new.exists() && file.exists());
}
