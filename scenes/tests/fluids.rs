//! Two fluids: at rest under their own weight, falling as energy allows, in layers at last; the same bytes for all workers.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{Read, Simulation, Workers, World};
use hypostyle_scenes as scenes;
use scenes::fluids::{Density, Fluid, Fluids, Position, Tank, law::Law, look};
use scenes::{Scene, SceneOptions};

fn fluids(particles: u64, own: &[(&str, f64)], workers: Workers) -> Simulation {
    let mut options = SceneOptions::new(Some(particles), 2);
    for (name, value) in own {
        options = options.with(name, value);
    }
    let world = Fluids.world(&options, World::builder()).unwrap();
    Simulation::new(world, Fluids.schedule(&options), workers).unwrap()
}

/// Coarse particles take longer steps than the scene's own.
const DT: f64 = 4e-4;

#[test]
fn still_water_carries_its_weight() {
    // 10 x 10 x 5 particles fill the tank to 1 m
    let mut simulation = fluids(500, &[("tank", 1.0), ("oil", 0.0), ("viscosity", 0.5)], Workers::Local);
    simulation.run(2500, DT).unwrap();
    let seen = look(simulation.world()).unwrap();
    let weight_energy = seen.potential;
    assert!(seen.kinetic < 2e-3 * weight_energy, "{seen:?}");
    assert!(seen.compression < 0.02, "{seen:?}");
    // forces between particles cancel to the last bit, so the floor carries all of the weight
    let tank = simulation.world().resource::<Tank>().unwrap();
    let law = Law::new(&tank);
    let mut carried = Vec::new();
    for _ in 0..40 {
        simulation.run(10, DT).unwrap();
        let mut push = 0.0;
        simulation
            .world()
            .query::<(Read<Position>, Read<Fluid>, Read<Density>)>(|entities, (at, fluid, _)| {
                for row in 0..entities.len() {
                    push += tank.mass(fluid.kind[row]) * law.walls(at.y[row], tank.side[1]);
                }
            })
            .unwrap();
        carried.push(push / (500.0 * tank.mass(0) * tank.gravity));
    }
    let mean = carried.iter().sum::<f64>() / carried.len() as f64;
    assert!((mean - 1.0).abs() < 0.05, "{mean} of the weight: {carried:?}");
}

#[test]
fn a_column_falls_as_its_energy_allows() {
    let mut simulation = fluids(500, &[("tank", 4.0), ("oil", 0.0)], Workers::Local);
    let before = look(simulation.world()).unwrap();
    let (mut front, mut energy) = (before.front, before.energy());
    for _ in 0..10 {
        simulation.run(125, DT).unwrap();
        let seen = look(simulation.world()).unwrap();
        // nothing gains energy, but what was in the compression; the front never draws back, and is below Ritter's 2 sqrt(g h)
        assert!(seen.energy() < energy * 1.005, "{seen:?} {energy}");
        assert!(seen.front > front - 0.02, "{seen:?}");
        (front, energy) = (seen.front, seen.energy());
    }
    // after half a second
    let travelled = front - before.front;
    let ritter = 2.0 * (9.81_f64).sqrt() * 0.5;
    assert!(travelled < ritter && travelled > 0.35 * ritter, "{travelled} {ritter}");
    // momentum across is that of walls alone: the tank is even on both sides
    let seen = look(simulation.world()).unwrap();
    assert!(seen.momentum[2].abs() < 0.05 * seen.momentum[0], "{seen:?}");
}

#[test]
fn oil_comes_to_lie_on_water() {
    let mut simulation = fluids(500, &[("tank", 2.0)], Workers::Local);
    let before = look(simulation.world()).unwrap();
    assert!((before.heights[0] - before.heights[1]).abs() < 0.05, "{before:?}");
    simulation.run(4000, DT).unwrap();
    let seen = look(simulation.world()).unwrap();
    assert!(seen.heights[1] > seen.heights[0] + 0.1, "{seen:?}");
    assert_eq!(seen.particles, 500);
}

#[test]
fn the_same_bytes_for_threads() {
    let run = |workers: Workers| -> Vec<u64> {
        let mut simulation = fluids(2000, &[], workers);
        let mut reader = simulation.world().reader().unwrap();
        (0..15)
            .map(|_| {
                simulation.step(Fluids.dt()).unwrap();
                reader.pin().unwrap().hash()
            })
            .collect()
    };
    let local = run(Workers::Local);
    for workers in [Workers::Threads(1), Workers::Threads(3)] {
        assert_eq!(run(workers), local, "{workers}");
    }
}
