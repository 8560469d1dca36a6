//! What recording the timeline costs: the same frames with it and without, in turn.
//!
//! Where two worlds lie in memory can matter more than what is measured: each pair of worlds is run twice, with the
//! roles exchanged in between, and the rounds of both count.

use std::error::Error;
use std::time::Instant;

use hypostyle::{RegionTarget, Simulation, Workers, World};

use crate::{Scene, SceneOptions, find};

use super::{Figure, Options, quantile};

/// The `particles` scene with each pool, off and on.
pub fn group(options: &Options, size: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let scene = find("particles").expect("the scene is compiled in");
    let settings = SceneOptions::new(Some(size as u64), 1);
    let mut pools = vec![(Workers::Local, "local"), (Workers::Threads(1), "main + 1 thread")];
    if options.worker.is_some() {
        pools.push((Workers::Processes(1), "main + 1 process"));
    }
    let mut figures = Vec::new();
    for (workers, name) in pools {
        let world = |number: usize| {
            let name = format!("bench-tracing-{}-{size}-{number}", std::process::id());
            let shared = matches!(workers, Workers::Processes(_));
            let region = if shared { RegionTarget::Named(name) } else { RegionTarget::Heap };
            scene.world(&settings, World::builder().region(region)).map_err(|error| error.to_string())
        };
        let mut worlds = [world(0)?, world(1)?];
        // by whether it is recorded
        let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for turn in 0..2 {
            let [one, two] = worlds;
            let mut simulations = [
                (simulation(options, scene, &settings, workers, one, turn == 1)?, turn),
                (simulation(options, scene, &settings, workers, two, turn == 0)?, 1 - turn),
            ];
            measure(options, scene.dt(), size, &mut simulations, &mut times)?;
            let [one, two] = simulations;
            worlds = [one.0.into_world(), two.0.into_world()];
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        let base = quantile(&times[0], 0.5);
        for (times, case) in times.iter().zip(["off", "on"]) {
            figures.push(Figure {
                group: format!("tracing, particles, {size} entities, {name}"),
                case: case.to_owned(),
                unit: "ns/entity",
                median: quantile(times, 0.5),
                quartiles: (quantile(times, 0.25), quantile(times, 0.75)),
                ratio: quantile(times, 0.5) / base,
            });
        }
    }
    Ok(figures)
}

fn simulation(
    options: &Options,
    scene: &dyn Scene,
    settings: &SceneOptions,
    workers: Workers,
    world: World,
    tracing: bool,
) -> Result<Simulation, Box<dyn Error>> {
    let mut builder = Simulation::builder().workers(workers).tracing(tracing);
    if let (Workers::Processes(_), Some(worker)) = (workers, options.worker) {
        let program = std::env::current_exe()?;
        builder = builder.worker_command(hypostyle::WorkerCommand { program, args: worker("particles") });
    }
    Ok(builder.build(world, scene.schedule(settings))?)
}

/// Rounds of both in turn, the order changing from round to round.
fn measure(
    options: &Options,
    dt: f64,
    size: usize,
    simulations: &mut [(Simulation, usize); 2],
    times: &mut [Vec<f64>; 2],
) -> Result<(), Box<dyn Error>> {
    let frames = (2_000_000 / size).clamp(1, 50);
    for round in 0..options.rounds + 2 {
        for place in [round % 2, 1 - round % 2] {
            let (simulation, on) = &mut simulations[place];
            let begun = Instant::now();
            for _ in 0..frames {
                simulation.step(dt)?;
            }
            if round >= 2 {
                times[*on].push(begun.elapsed().as_nanos() as f64 / (frames * size) as f64);
            }
        }
    }
    Ok(())
}
