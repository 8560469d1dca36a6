//! What the model says of messages and bytes is what ranks send.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use hypostyle::{Workers, World};
use hypostyle_mpi::model::{Load, melt};
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Cluster, ClusterError};

/// How far bytes may be from the model: densities differ, and bricks have whole cells.
const BYTES_OFF: f64 = 0.10;

#[derive(Debug, Default)]
struct Counted {
    messages: u64,
    bytes: u64,
    frames: u64,
    rebuild_messages: u64,
    rebuilds: u64,
}

/// Counts what one rank sends, in frames without a rebuild and in those with one.
fn count(ranks: usize, atoms: u64, frames: u64) -> Vec<Counted> {
    let (scene, options) = common::scene("lj", atoms);
    let all = run_threads(ranks, |rank| {
        let cluster = Cluster::new(common::comm(rank), 0);
        let mut simulation = common::begin(&cluster, (scene, &options), Workers::Local)?;
        let mut counted = Counted::default();
        // the first frame makes the start
        for frame in 0..frames {
            let (report, before) = cluster.report();
            let ran = simulation.run(1, scene.dt()).map(drop);
            ran.map_err(|error| ClusterError::World(common::chain(&error)))?;
            let (now, after) = cluster.report();
            let (messages, bytes) = (after.messages - before.messages, after.bytes - before.bytes);
            match now.rebuilds - report.rebuilds {
                _ if frame == 0 => {}
                0 => {
                    counted.messages += messages;
                    counted.bytes += bytes;
                    counted.frames += 1;
                }
                _ => {
                    counted.rebuild_messages += messages;
                    counted.rebuilds += 1;
                }
            }
        }
        Ok(counted)
    });
    all.unwrap()
}

/// The model of the melt with the cells that the scene has.
fn load(atoms: u64) -> Load {
    let (scene, options) = common::scene("lj", atoms);
    let world = scene.world(&options, World::builder()).unwrap();
    let space = scene.space(&world).unwrap().unwrap();
    let cells = space.along.map(f64::from);
    let model = melt(atoms as f64);
    let per_cell = atoms as f64 / cells.iter().product::<f64>();
    assert!((per_cell / model.rows_per_cell - 1.0).abs() < 0.15, "{per_cell} {model:?}");
    Load { cells, rows_per_cell: per_cell, reach: space.reach.map(f64::from), ..model }
}

#[test]
fn ranks_send_what_the_model_says() {
    for (ranks, atoms) in [(2, 32_000), (4, 32_000), (8, 64_000)] {
        let (counted, load) = (count(ranks, atoms, 25), load(atoms));
        let (frames, rebuilds) = (counted[0].frames, counted[0].rebuilds);
        assert!(frames > 10 && rebuilds > 1, "{frames} frames, {rebuilds} rebuilds");
        let sum = |which: fn(&Counted) -> u64| counted.iter().map(which).sum::<u64>() as f64;
        let (frames, all) = (frames as f64, ranks as f64);
        let sent = load.sent(ranks as u32);
        let (messages, bytes) = (sum(|one| one.messages) / frames / all, sum(|one| one.bytes) / frames / all);
        assert!((messages - sent.messages).abs() < 1e-9, "{ranks} ranks: {messages} messages, {sent:?}");
        assert!((bytes / sent.bytes - 1.0).abs() < BYTES_OFF, "{ranks} ranks: {bytes} bytes, {sent:?}");
        let more = sum(|one| one.rebuild_messages) / rebuilds as f64 / all - sent.messages;
        let most = load.rebuild_messages(ranks as u32);
        // fewer where no row changes ranks between two that are near
        assert!(more <= most && more > 0.5 * most, "{ranks} ranks: {more} messages of a rebuild, at most {most}");
    }
}

#[test]
fn more_ranks_send_more_until_all_have_as_many_neighbours() {
    let load = |ranks: u32| melt(32_000.0 * f64::from(ranks));
    let of = |ranks: u32| load(ranks).sent(ranks);
    assert_eq!([1, 2, 4, 8, 64, 1024].map(|ranks| of(ranks).neighbours), [0.0, 1.0, 3.0, 7.0, 26.0, 26.0]);
    assert_eq!(of(1).bytes, 0.0);
    assert!(of(2).bytes < of(4).bytes && of(4).bytes < of(8).bytes);
    // a brick of as many rows has as many ghosts, however many others there are
    assert!((of(512).ghosts / of(64).ghosts - 1.0).abs() < 0.02);
}
