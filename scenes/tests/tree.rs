//! Gravitation over a tree: near the direct sum, steady, and the same bytes for all workers.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::BTreeMap;

use hypostyle::{Read, Simulation, Workers, World};
use hypostyle_scenes as scenes;
use scenes::nbody::{Acceleration, Mass, NBody, energy};
use scenes::{Scene, SceneOptions};

fn cluster(bodies: u64, theta: Option<f64>, workers: Workers) -> Simulation {
    let options = SceneOptions::new(Some(bodies), 11);
    let options = theta.map_or(options.clone(), |theta| options.with("theta", theta));
    let world = NBody.world(&options, World::builder()).unwrap();
    Simulation::new(world, NBody.schedule(&options), workers).unwrap()
}

/// What pulls on each body, by its handle's index.
fn pulls(world: &World) -> BTreeMap<u32, [f64; 3]> {
    let mut pulls = BTreeMap::new();
    world
        .query::<(Read<Acceleration>, Read<Mass>)>(|entities, (pull, _)| {
            for (row, entity) in entities.iter().enumerate() {
                pulls.insert(entity.index(), [pull.x[row], pull.y[row], pull.z[row]]);
            }
        })
        .unwrap();
    pulls
}

/// The root of the mean square of the forces' errors, each over its force.
fn error(bodies: u64, theta: f64) -> f64 {
    let [tree, direct] = [Some(theta), None].map(|theta| {
        let mut simulation = cluster(bodies, theta, Workers::Local);
        simulation.step(0.0).unwrap();
        pulls(simulation.world())
    });
    assert_eq!(tree.len() as u64, bodies);
    let squares: f64 = direct
        .iter()
        .map(|(body, direct)| {
            let tree = tree[body];
            let square = |v: [f64; 3]| v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
            square([tree[0] - direct[0], tree[1] - direct[1], tree[2] - direct[2]]) / square(*direct)
        })
        .sum();
    (squares / bodies as f64).sqrt()
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures of docs/PHYSICS.md")]
fn forces_are_those_of_the_direct_sum_within_the_angle() {
    let errors = [0.3, 0.6, 0.9].map(|theta| error(5000, theta));
    eprintln!("rms of the relative error of forces at theta 0.3, 0.6, 0.9: {errors:?}");
    assert!(errors[0] < 1e-4 && errors[1] < 2e-3 && errors[2] < 1e-2, "{errors:?}");
    assert!(errors[0] < errors[1] && errors[1] < errors[2], "{errors:?}");
    // nothing is taken as a whole: the direct sum, in another order
    for bodies in [1, 2, 17, 33] {
        let error = error(bodies, 0.05);
        assert!(bodies == 1 || error < 1e-6, "{bodies} bodies: {error}");
    }
}

#[test]
fn a_cluster_over_a_tree_keeps_its_energy() {
    let mut simulation = cluster(2000, Some(0.6), Workers::Local);
    let of = |world: &World| {
        let (kinetic, potential) = energy(world).unwrap();
        kinetic + potential.unwrap()
    };
    let before = of(simulation.world());
    for _ in 0..100 {
        simulation.step(NBody.dt()).unwrap();
    }
    let drift = (of(simulation.world()) / before - 1.0).abs();
    assert!(drift < 5e-3, "{drift}");
}

#[test]
fn the_same_bytes_for_threads() {
    let run = |workers: Workers| -> Vec<u64> {
        let mut simulation = cluster(3000, Some(0.7), workers);
        let mut reader = simulation.world().reader().unwrap();
        (0..20)
            .map(|_| {
                simulation.step(NBody.dt()).unwrap();
                reader.pin().unwrap().hash()
            })
            .collect()
    };
    let local = run(Workers::Local);
    for workers in [Workers::Threads(1), Workers::Threads(3)] {
        assert_eq!(run(workers), local, "{workers}");
    }
}

#[test]
fn a_tree_for_fewer_bodies_is_an_error_and_nothing_is_lost() {
    let mut simulation = cluster(16, Some(0.5), Workers::Local);
    simulation.step(0.01).unwrap();
    let body = {
        let world = simulation.world();
        let mut first = None;
        world.query::<Read<Mass>>(|entities, _| first = Some(entities[0])).unwrap();
        first.unwrap()
    };
    let copy = simulation.world().get::<Mass>(body).unwrap();
    let spawned = {
        let world = simulation.world_mut();
        let at = world.get::<scenes::nbody::Position>(body).unwrap();
        let velocity = world.get::<scenes::nbody::Velocity>(body).unwrap();
        let pull = world.get::<Acceleration>(body).unwrap();
        world.spawn((at, velocity, copy, pull, scenes::nbody::tree::Order::default())).unwrap()
    };
    let error = simulation.step(0.01).unwrap_err().to_string();
    assert!(error.contains("17 bodies and 1 nodes: this tree has 1 nodes for 16 bodies at most"), "{error}");
    // the frame that it was spawned for is undone with it
    assert!(simulation.world().get::<Mass>(spawned).is_err());
    simulation.step(0.01).unwrap();
}
