//! The `particles` scene: dense systems, emission, deaths, tags.

use std::error::Error;
use std::hint::black_box;

use hypostyle::{RegionTarget, Schedule, Simulation, WorkerCommand, Workers, World};

use crate::{Scene, SceneOptions, find};

use super::{Case, Figure, Options, compare};

fn scene() -> &'static dyn Scene {
    find("particles").expect("the scene is compiled in")
}

const SEED: u64 = 1;

/// The scene's systems.
pub fn schedule() -> Schedule {
    scene().schedule(&SceneOptions::new(None, SEED))
}

/// The scene with each pool, beside a hand-written integration of as many columns: what the dense part alone costs.
pub fn group(options: &Options, size: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let frames = (200_000 / size).clamp(1, 20) as u64;
    let operations = frames * size as u64;
    let dt = scene().dt() as f32;
    let mut columns: Vec<Vec<f32>> =
        (0..7).map(|k| (0..size).map(|i| (i % 1000 + k) as f32 * 1e-3).collect()).collect();
    let mut cases = vec![Case::new("by hand: gravity, drag, age, position in place", move || {
        for _ in 0..frames {
            let [px, py, pz, vx, vy, vz, age] = columns.as_mut_slice() else { unreachable!("seven columns") };
            for age in age.iter_mut() {
                *age += dt;
            }
            for (velocity, gravity) in [(&mut *vx, 0.0), (&mut *vy, -9.81), (&mut *vz, 0.0)] {
                for v in velocity.iter_mut() {
                    *v = (*v + gravity * dt) * 0.999;
                }
            }
            for (position, velocity) in [(px, vx), (py, vy), (pz, vz)] {
                for (x, v) in position.iter_mut().zip(velocity.iter()) {
                    *x += v * dt;
                }
            }
            black_box(&mut columns);
        }
        operations
    })];
    let mut pools = vec![(Workers::Local, "local"), (Workers::Threads(1), "main + 1 thread")];
    if options.worker.is_some() {
        pools.push((Workers::Processes(1), "main + 1 process"));
    }
    let settings = SceneOptions::new(Some(size as u64), SEED);
    for (workers, name) in pools {
        let shared = matches!(workers, Workers::Processes(_));
        let mut builder = World::builder();
        if shared {
            builder = builder.region(RegionTarget::Named(format!("bench-particles-{}-{size}", std::process::id())));
        }
        let world = scene().world(&settings, builder)?;
        let mut pool = Simulation::builder().workers(workers);
        if let (true, Some(worker)) = (shared, options.worker) {
            let program = std::env::current_exe()?;
            pool = pool.worker_command(WorkerCommand { program, args: worker("particles") });
        }
        let mut simulation = pool.build(world, scene().schedule(&settings))?;
        cases.push(Case::new(name, move || {
            for _ in 0..frames {
                simulation.step(f64::from(dt)).expect("the scene's frames do not fail");
            }
            operations
        }));
    }
    Ok(compare(&format!("particles, {size} entities"), "ns/entity", options.rounds, cases))
}
