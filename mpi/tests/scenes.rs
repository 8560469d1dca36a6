//! Scenes on many ranks have the bytes of one plain process.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{plain, scene, spread};
use hypostyle::Workers;
use hypostyle_scenes::SceneOptions;

/// Ranks, workers of each, and at which sorts space is cut anew.
const CASES: &[(usize, Workers, u64)] = &[
    (1, Workers::Local, 0),
    (2, Workers::Threads(2), 1),
    (3, Workers::Local, 7),
    (4, Workers::Threads(1), 1),
    (8, Workers::Local, 0),
];

fn equal(name: &str, entities: u64, frames: u64) -> u64 {
    equal_of(name, entities, frames, |options| options)
}

fn equal_of(name: &str, entities: u64, frames: u64, with: impl Fn(SceneOptions) -> SceneOptions) -> u64 {
    let (scene, options) = scene(name, entities);
    let options = with(options);
    let want = plain((scene, &options), frames);
    let mut moved = 0;
    for (ranks, workers, balance) in CASES {
        let (hash, rows) = spread((scene, &options), frames, *ranks, *workers, *balance).unwrap();
        assert_eq!(hash, want, "{name} on {ranks} ranks of {workers}, cut anew every {balance}");
        assert_eq!(hash.frame(), frames);
        moved += if *ranks > 1 { rows } else { 0 };
    }
    moved
}

#[test]
fn lj_has_the_bytes_of_one_process() {
    let moved = equal("lj", 4000, 60);
    assert!(moved > 2000, "{moved} rows change ranks");
}

#[test]
fn particles_have_the_bytes_of_one_process() {
    equal("particles", 20_000, 90);
}

#[test]
fn the_field_has_the_bytes_of_one_process() {
    equal("field", 5000, 40);
}

#[test]
fn fluids_have_the_bytes_of_one_process() {
    assert!(equal("fluids", 1200, 25) > 1000, "rows change ranks");
}

#[test]
fn nbody_has_the_bytes_of_one_process() {
    // no multiple of lanes nor of ranks; and the planets, of which some ranks have none
    equal("nbody", 301, 12);
    equal("nbody", 5, 40);
}

#[test]
fn epidemic_has_the_bytes_of_one_process() {
    // people name each other, are born and die, and know who lives on other ranks; and too few for all ranks
    let moved = equal_of("epidemic", 1500, 40, |options| options.with("turnover", 0.01));
    assert!(moved > 300, "{moved} rows change ranks");
    equal_of("epidemic", 7, 60, |options| options.with("turnover", 0.2).with("degree", 3));
}

#[test]
fn scenes_that_break_a_condition_are_refused_with_it() {
    for (name, says) in [("spheres", "no space"), ("nbody", "global_id")] {
        let (scene, mut options) = scene(name, 100);
        if name == "nbody" {
            options = options.with("theta", 0.5);
        }
        let error = spread((scene, &options), 1, 2, Workers::Local, 0).unwrap_err();
        assert!(common::chain(&error).contains(says), "{name}: {}", common::chain(&error));
    }
}
