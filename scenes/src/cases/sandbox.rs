//! What shutting worker processes in costs: the same frames in a sandbox and without, in turn, all jobs on one worker.
//!
//! Beside the time of a frame the processor time that main and its worker take for it, the kernel's share included:
//! that is where a sandbox's checks run. As in [`super::tracing`], each pair of worlds is run with the roles exchanged.

use std::error::Error;
use std::time::Instant;

use hypostyle::{RegionTarget, Sandbox, Simulation, WorkerCommand, Workers, World};

use crate::{Scene, SceneOptions, find};

use super::{Figure, Options, quantile};

/// Rounds that are not counted.
const WARM_UPS: usize = 2;

/// What is measured of a side, a value for each round.
#[derive(Default)]
struct Side {
    frame_ns: Vec<f64>,
    processor_ns: Vec<f64>,
}

/// The `particles` scene on one worker process, without a sandbox and in one.
pub fn group(options: &Options, size: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let lacks = Sandbox::lacks().join(" and ");
    let why = if options.worker.is_none() { "worker processes".to_owned() } else { lacks };
    if !why.is_empty() {
        // where everything is measured the rest goes on
        let asked_for = options.filter.as_ref().is_some_and(|filter| filter.contains("sandbox"));
        return if asked_for { Err(format!("a sandbox cannot be measured: no {why}").into()) } else { Ok(Vec::new()) };
    }
    let scene = find("particles").expect("the scene is compiled in");
    let settings = SceneOptions::new(Some(size as u64), 1);
    let world = |number: usize| {
        let region = RegionTarget::Named(format!("bench-sandbox-{}-{size}-{number}", std::process::id()));
        scene.world(&settings, World::builder().region(region)).map_err(|error| error.to_string())
    };
    let mut worlds = [world(0)?, world(1)?];
    let mut sides = [Side::default(), Side::default()];
    for turn in 0..2 {
        let [one, two] = worlds;
        let mut simulations = [
            (simulation(options, scene, &settings, one, turn == 1)?, turn),
            (simulation(options, scene, &settings, two, turn == 0)?, 1 - turn),
        ];
        measure(options, scene.dt(), size, &mut simulations, &mut sides)?;
        let [one, two] = simulations;
        worlds = [one.0.into_world(), two.0.into_world()];
    }
    let [out, within] = sides;
    let mut figures =
        compared(format!("sandbox, particles, {size} entities, frame time"), out.frame_ns, within.frame_ns);
    let title = format!("sandbox, particles, {size} entities, processor time of main and worker");
    figures.extend(compared(title, out.processor_ns, within.processor_ns));
    Ok(figures)
}

fn compared(group: String, mut without: Vec<f64>, mut within: Vec<f64>) -> Vec<Figure> {
    without.sort_by(f64::total_cmp);
    within.sort_by(f64::total_cmp);
    let base = quantile(&without, 0.5);
    let figure = |case: &str, times: &[f64]| Figure {
        group: group.clone(),
        case: case.to_owned(),
        unit: "ns/entity",
        median: quantile(times, 0.5),
        quartiles: (quantile(times, 0.25), quantile(times, 0.75)),
        ratio: quantile(times, 0.5) / base,
    };
    vec![figure("without", &without), figure("in a sandbox", &within)]
}

fn simulation(
    options: &Options,
    scene: &dyn Scene,
    settings: &SceneOptions,
    world: World,
    within: bool,
) -> Result<Simulation, Box<dyn Error>> {
    let sandbox = if within { Sandbox::Required } else { Sandbox::Off };
    // main would help without a sandbox alone
    let mut builder = Simulation::builder().workers(Workers::Processes(1)).main_helps(false).sandbox(sandbox);
    if let Some(worker) = options.worker {
        builder =
            builder.worker_command(WorkerCommand { program: std::env::current_exe()?, args: worker("particles") });
    }
    Ok(builder.build(world, scene.schedule(settings))?)
}

/// Nanoseconds that this thread and the workers' have run so far.
fn processor_ns(simulation: &Simulation) -> Result<u64, Box<dyn Error>> {
    let workers = simulation.worker_status().into_iter().filter_map(|worker| worker.pid);
    let threads = workers.map(|pid| pid.to_string()).chain(["thread-self".to_owned()]);
    threads
        .map(|thread| {
            let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat"))?;
            let ran = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
            ran.ok_or_else(|| "the kernel keeps no account of its threads' time".into())
        })
        .sum()
}

/// Rounds of both in turn, the order changing from round to round.
fn measure(
    options: &Options,
    dt: f64,
    size: usize,
    simulations: &mut [(Simulation, usize); 2],
    sides: &mut [Side; 2],
) -> Result<(), Box<dyn Error>> {
    let frames = (5_000_000 / size).clamp(1, 200);
    let operations = (frames * size) as f64;
    for round in 0..options.rounds + WARM_UPS {
        for place in [round % 2, 1 - round % 2] {
            let (simulation, within) = &mut simulations[place];
            let before = processor_ns(simulation)?;
            let begun = Instant::now();
            for _ in 0..frames {
                simulation.step(dt)?;
            }
            let elapsed = begun.elapsed().as_nanos() as f64;
            let ran = processor_ns(simulation)? - before;
            if round >= WARM_UPS {
                sides[*within].frame_ns.push(elapsed / operations);
                sides[*within].processor_ns.push(ran as f64 / operations);
            }
        }
    }
    Ok(())
}
