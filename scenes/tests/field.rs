//! The plasma: charge to the bit, the plasma frequency, the growth between two beams, the same bytes for all workers.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{Simulation, Workers, World};
use hypostyle_scenes as scenes;
use scenes::field::{CHARGE, Field, Plasma, energies};
use scenes::{Scene, SceneOptions};

fn plasma(electrons: u64, speed: f64, amplitude: f64, workers: Workers) -> Simulation {
    let options = SceneOptions::new(Some(electrons), 3).with("speed", speed).with("amplitude", amplitude);
    let world = Plasma.world(&options, World::builder()).unwrap();
    Simulation::new(world, Plasma.schedule(&options), workers).unwrap()
}

/// Frame by frame: the field's energy.
fn series(simulation: &mut Simulation, frames: usize) -> Vec<f64> {
    let electrons = simulation.world().entity_count() as i64;
    (0..frames)
        .map(|_| {
            simulation.step(Plasma.dt()).unwrap();
            let field = simulation.world().resource::<Field>().unwrap();
            assert_eq!(field.charge, electrons * CHARGE, "to the bit");
            field.energy
        })
        .collect()
}

/// Electrons at rest swing with the plasma frequency, so the field's energy with twice that: a least every pi.
#[test]
fn a_disturbance_swings_with_the_plasma_frequency() {
    let mut simulation = plasma(4096, 0.0, 0.01, Workers::Local);
    let energy = series(&mut simulation, 800);
    let least: Vec<f64> = (1..energy.len() - 1)
        .filter(|&i| energy[i] < energy[i - 1] && energy[i] <= energy[i + 1])
        .map(|i| i as f64 * Plasma.dt())
        .collect();
    let period = (least[least.len() - 1] - least[0]) / (least.len() - 1) as f64;
    assert!(least.len() > 10 && (period / std::f64::consts::PI - 1.0).abs() < 0.01, "{period} {least:?}");
}

/// Cold beams of speed 1 in a space of one wave of the fastest growth: exp(t / sqrt 8), the energy twice as fast.
#[test]
fn beams_grow_as_theory_says_and_energy_stays() {
    let mut simulation = plasma(20_000, 1.0, 1e-4, Workers::Local);
    let before = energies(simulation.world()).unwrap();
    let energy = series(&mut simulation, 800);
    let at = |t: f64| energy[(t / Plasma.dt()) as usize].ln();
    let rate = (at(16.0) - at(8.0)) / 8.0 / 2.0;
    assert!((rate * 8.0_f64.sqrt() - 1.0).abs() < 0.03, "{rate}");
    let after = energies(simulation.world()).unwrap();
    let drift = ((after.0 + after.1) / (before.0 + before.1) - 1.0).abs();
    assert!(drift < 0.02, "{before:?} {after:?}");
    let most = energy.iter().copied().fold(0.0, f64::max);
    assert!(most > 0.05 * before.1, "the beams are mixed: {most}");
}

#[test]
fn the_same_bytes_for_threads() {
    let run = |workers: Workers| -> Vec<u64> {
        let mut simulation = plasma(30_000, 1.0, 0.01, workers);
        let mut reader = simulation.world().reader().unwrap();
        (0..30)
            .map(|_| {
                simulation.step(Plasma.dt()).unwrap();
                reader.pin().unwrap().hash()
            })
            .collect()
    };
    let local = run(Workers::Local);
    for workers in [Workers::Threads(1), Workers::Threads(3)] {
        assert_eq!(run(workers), local, "{workers}");
    }
}
