//! Scenes on many ranks have the bytes of one plain process.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{begin, chain, comm, plain, scene, spread};
use hypostyle::{IdHash, Workers, World};
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Cluster, ClusterError};
use hypostyle_scenes::{Scene, SceneOptions};

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
    equal_to(plain((scene, &options), frames), (scene, &options), CASES)
}

/// Gives the rows that changed ranks.
fn equal_to(
    want: IdHash,
    (scene, options): (&'static dyn Scene, &SceneOptions),
    cases: &[(usize, Workers, u64)],
) -> u64 {
    let (name, frames) = (scene.name(), want.frame());
    let mut moved = 0;
    for (ranks, workers, balance) in cases {
        let (hash, rows) = spread((scene, options), frames, *ranks, *workers, *balance).unwrap();
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

/// Spheres that fall fast into a bed.
fn spheres(shape: &str) -> (&'static dyn Scene, SceneOptions) {
    let (scene, options) = scene("spheres", 500);
    let options = options.with("shape", shape).with("radii", "0.3,0.8").with("restitution", "0.2");
    (scene, options.with("gravity", "30").with("stiffness", "60000"))
}

fn words<const N: usize>(world: &World, column: &str) -> Vec<[u8; N]> {
    let of = |table: usize| world.table_column(table, column).unwrap();
    (0..world.table_count()).filter_map(of).flat_map(|(_, bytes)| bytes.as_chunks().0.to_vec()).collect()
}

/// Contacts that a rank's spheres keep with those of other ranks, and how many of their springs are stretched.
fn across(world: &World) -> (u64, u64) {
    let own: BTreeSet<u64> = words(world, "global_id.value").into_iter().map(u64::from_le_bytes).collect();
    let counts = words(world, "springs.count").into_iter().map(u32::from_le_bytes);
    let (partners, stretches) = (words::<128>(world, "springs.partner"), words::<384>(world, "springs.stretch"));
    let (mut contacts, mut stretched) = (0, 0);
    for ((count, partners), stretch) in counts.zip(&partners).zip(&stretches) {
        let springs = partners.as_chunks::<8>().0.iter().zip(stretch.as_chunks::<24>().0).take(count as usize);
        for (_, stretch) in springs.filter(|(partner, _)| !own.contains(&u64::from_le_bytes(**partner))) {
            contacts += 1;
            stretched += u64::from(stretch.iter().any(|byte| *byte != 0));
        }
    }
    (contacts, stretched)
}

/// Contacts across the borders of four ranks, stretched springs of them, both summed over frames, and the hash at last.
fn borders((scene, options): (&'static dyn Scene, &SceneOptions), frames: u64) -> (u64, u64, IdHash) {
    let all = run_threads(4, |rank| {
        let cluster = Cluster::new(comm(rank), 5);
        let mut simulation = begin(&cluster, (scene, options), Workers::Local)?;
        let (mut contacts, mut stretched) = (0, 0);
        for _ in 0..frames / 10 {
            let ran = simulation.run(10, scene.dt()).map(drop);
            ran.map_err(|error| ClusterError::World(chain(&error)))?;
            let seen = across(simulation.world());
            (contacts, stretched) = (contacts + seen.0, stretched + seen.1);
        }
        Ok((contacts, stretched, cluster.hash_by_id(simulation.world())?))
    })
    .unwrap();
    all.into_iter().reduce(|sum, one| (sum.0 + one.0, sum.1 + one.1, one.2)).unwrap()
}

#[test]
fn spheres_have_the_bytes_of_one_process_in_all_vessels() {
    for (shape, frames, cases) in [("box", 220, CASES), ("drum", 220, &CASES[3..]), ("hopper", 280, &CASES[2..3])] {
        let (scene, options) = spheres(shape);
        let want = plain((scene, &options), frames);
        let (contacts, stretched, hash) = borders((scene, &options), frames);
        assert_eq!(hash, want, "{shape}");
        assert!(contacts > 100 && stretched > 100, "{shape}: {contacts} across borders, {stretched} stretched");
        let moved = equal_to(want, (scene, &options), cases);
        assert!(moved > 1000, "{shape}: {moved} rows change ranks");
    }
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
    let (scene, options) = scene("nbody", 100);
    let error = spread((scene, &options.with("theta", 0.5)), 1, 2, Workers::Local, 0).unwrap_err();
    assert!(common::chain(&error).contains("global_id"), "{}", common::chain(&error));
}
