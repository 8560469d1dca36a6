//! The scenes keep their promises: known energies, rest, no overlap, steady numbers, the same bytes for all workers.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{PatchCounts, Read, Simulation, With, Workers, World};
use hypostyle_scenes as scenes;
use scenes::{Scene, SceneOptions, nbody, particles, spheres};

fn simulation(scene: &dyn Scene, entities: u64, seed: u64, workers: Workers) -> Simulation {
    let options = SceneOptions::new(Some(entities), seed);
    let world = scene.world(&options, World::builder()).unwrap();
    let mut simulation = Simulation::new(world, scene.schedule(&options), workers).unwrap();
    for worker in simulation.hosted_workers() {
        std::thread::spawn(|| worker.run());
    }
    simulation
}

fn value(scene: &dyn Scene, world: &World, label: &str) -> String {
    let lines = scene.observe(world).unwrap();
    lines.into_iter().find(|line| line.label == label).unwrap().value
}

#[test]
fn scenes_are_found_by_name() {
    for scene in scenes::all() {
        assert_eq!(scenes::find(scene.name()).unwrap().about(), scene.about());
    }
    assert!(scenes::find("none").is_none());
}

/// The digits of the Computer Language Benchmarks Game.
#[test]
fn the_planets_have_the_known_energy() {
    let scene = &nbody::NBody;
    let (entities, frames) = (scene.default_entities(), scene.default_frames().unwrap());
    let mut simulation = simulation(scene, entities, 1, Workers::Local);
    assert_eq!(value(scene, simulation.world(), "energy"), "-0.169075164");
    assert_eq!(frames, 1000);
    for _ in 0..frames {
        simulation.step(scene.dt()).unwrap();
    }
    assert_eq!(value(scene, simulation.world(), "energy"), "-0.169087605");
}

#[test]
fn a_cluster_keeps_its_energy() {
    let scene = &nbody::NBody;
    let mut simulation = simulation(scene, 300, 7, Workers::Local);
    let energy = |world: &World| {
        let (kinetic, potential) = nbody::energy(world).unwrap();
        (kinetic, potential.unwrap())
    };
    let (kinetic, potential) = energy(simulation.world());
    // in balance: twice the kinetic energy is minus the potential energy; -3 pi / 64 in all
    assert!((2.0 * kinetic / -potential - 1.0).abs() < 0.2, "{kinetic} {potential}");
    assert!((kinetic + potential + 0.147).abs() < 0.03, "{kinetic} {potential}");
    for _ in 0..200 {
        simulation.step(scene.dt()).unwrap();
    }
    let (later, potential_later) = energy(simulation.world());
    let drift = (later + potential_later - kinetic - potential).abs();
    assert!(drift < 2e-3, "{drift}");
}

#[test]
fn particles_are_steady_and_use_every_patch() {
    let scene = &particles::Particles;
    let n = 20_000;
    let mut simulation = simulation(scene, n, 5, Workers::Local);
    let mut total = PatchCounts::default();
    let mut by_system = vec![PatchCounts::default(); simulation.report().patches.len()];
    let mut newest_alive = 0;
    for _ in 0..400 {
        let report = simulation.step(scene.dt()).unwrap();
        by_system.iter_mut().zip(&report.patches).for_each(|(sum, counts)| sum.add(counts));
        let counts = report.total();
        assert_eq!((counts.refused, &counts.example), (0, &None));
        assert!(counts.spawned <= n / 100 && counts.despawned <= n / 100, "{counts:?}");
        total.add(&counts);
        let entities = simulation.world().entity_count();
        assert!(entities.abs_diff(n) < n / 25, "{entities}");
        let mut newest = Vec::new();
        let world = simulation.world();
        world.query::<Read<particles::Offspring>>(|_, offspring| newest.extend_from_slice(offspring.newest)).unwrap();
        newest_alive += newest.iter().filter(|entity| world.has::<particles::Hot>(**entity)).count();
    }
    // a reserved handle became a real one, as a value and for the tag that was added to it
    assert!(newest_alive > 1000, "{newest_alive}");
    let world = simulation.world();
    let [.., die, heat_and_freeze, cool, hold_and_thaw, emit, count] = &by_system[..] else { panic!("{by_system:?}") };
    assert!(die.despawned > 0 && emit.spawned > 0, "{total:?}");
    assert!(heat_and_freeze.applied > 0 && cool.applied > 0 && hold_and_thaw.applied > 0, "{by_system:?}");
    // by handle: taken back, pushed, cooled; and each emitter's own row
    assert!(emit.despawned > 0 && emit.applied > emit.spawned + 3 * 1500, "{emit:?}");
    assert_eq!(count.applied, 400, "a resource, once a frame");
    assert!(world.count::<With<particles::Hot>>().unwrap() > 0);
    assert!(world.count::<With<particles::Frozen>>().unwrap() > 0);
    let census = world.resource::<particles::Census>().unwrap();
    assert_eq!(census.frame, 400);
    assert_eq!(census.particles, world.count::<With<particles::Age>>().unwrap());
    assert_eq!(census.hot, world.count::<With<particles::Hot>>().unwrap());
    assert_eq!(census.emitted, total.spawned);
}

fn hashes(scene: &dyn Scene, entities: u64, seed: u64, workers: Workers, frames: u64) -> Vec<u64> {
    let mut simulation = simulation(scene, entities, seed, workers);
    let mut reader = simulation.world().reader().unwrap();
    (0..frames)
        .map(|_| {
            simulation.step(scene.dt()).unwrap();
            reader.pin().unwrap().hash()
        })
        .collect()
}

#[test]
fn the_same_bytes_for_threads() {
    for (scene, entities, frames) in [
        (&particles::Particles as &dyn Scene, 30_000, 12),
        (&spheres::Spheres, 1_000, 60),
        (&nbody::NBody, 700, 5),
        (&nbody::NBody, 5, 50),
    ] {
        let mut different = Vec::new();
        for seed in [1, 2] {
            let local = hashes(scene, entities, seed, Workers::Local, frames);
            for workers in [Workers::Threads(2), Workers::Hosted(2)] {
                let threads = hashes(scene, entities, seed, workers, frames);
                assert_eq!(local, threads, "{} with seed {seed}, {workers}", scene.name());
            }
            different.push(local);
        }
        assert!(entities == 5 || different[0] != different[1], "{}: seeds make a difference", scene.name());
    }
}

#[test]
fn small_worlds_run() {
    for scene in scenes::all() {
        for entities in 0..=3 {
            if scene.name() == "lj" {
                // a periodic box of so few would be smaller than the reach of a force
                let options = SceneOptions::new(Some(entities), 9);
                assert!(scene.world(&options, World::builder()).is_err());
                continue;
            }
            let mut simulation = simulation(*scene, entities, 9, Workers::Local);
            for _ in 0..30 {
                simulation.step(scene.dt()).unwrap();
            }
            scene.observe(simulation.world()).unwrap();
            // contacts are entities, too, four for each person
            assert!(simulation.world().entity_count() <= 5 * entities + 3, "{}", scene.name());
        }
    }
}
