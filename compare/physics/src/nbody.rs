//! Gravitation by direct sum: the scene, and a loop by hand over plain vectors.

use std::error::Error;

use hypostyle::{Simulation, Workers, World};
use hypostyle_scenes::{Scene, SceneOptions, nbody::NBody};

use crate::Options;
use crate::measure::{Case, Sample, timed};

/// Softening of the cluster, as the scene has it.
const SOFTENING: f64 = 0.02;

/// One case.
pub fn cases(options: &Options) -> Result<Vec<Case>, Box<dyn Error>> {
    let (bodies, steps) = if options.quick { (512, 2) } else { (8192, 5) };
    Ok(vec![Case {
        name: format!("nbody, {bodies} bodies, {steps} steps by direct sum"),
        unit: "pair and step",
        units: f64::from(steps) * (bodies * bodies) as f64,
        things: ("body", bodies as f64),
        contenders: vec![
            ("loop by hand over vectors".to_owned(), Box::new(move || by_hand(bodies, steps))),
            ("hypostyle, local, a generation each frame".to_owned(), Box::new(move || engine(bodies, steps))),
        ],
    }])
}

fn engine(bodies: u64, steps: u32) -> Result<Sample, Box<dyn Error>> {
    let options = SceneOptions { entities: Some(bodies), ..SceneOptions::default() };
    let world = NBody.world(&options, World::builder())?;
    let mut simulation = Simulation::new(world, NBody.schedule(&options), Workers::Local)?;
    simulation.run(1, NBody.dt())?;
    timed(|| {
        simulation.run(u64::from(steps), NBody.dt())?;
        Ok(())
    })
}

fn by_hand(bodies: u64, steps: u32) -> Result<Sample, Box<dyn Error>> {
    let n = usize::try_from(bodies)?;
    let spread = |seed: u64| -> Vec<f64> {
        (0..n as u64).map(|i| hypostyle_scenes::random::Random::new(seed, i, 0).unit() * 2.0 - 1.0).collect()
    };
    let mut at = [spread(1), spread(2), spread(3)];
    let mut velocity = [spread(4), spread(5), spread(6)];
    let mass = vec![1.0 / n as f64; n];
    let mut step = |dt: f64| {
        let mut pulls: [Vec<f64>; 3] = std::array::from_fn(|_| vec![0.0; n]);
        for i in 0..n {
            let pull = pull([at[0][i], at[1][i], at[2][i]], [&at[0], &at[1], &at[2]], &mass);
            (pulls[0][i], pulls[1][i], pulls[2][i]) = (pull[0], pull[1], pull[2]);
        }
        for axis in 0..3 {
            for i in 0..n {
                velocity[axis][i] += dt * pulls[axis][i];
                at[axis][i] += dt * velocity[axis][i];
            }
        }
    };
    step(0.01);
    let sample = timed(|| {
        (0..steps).for_each(|_| step(0.01));
        Ok(())
    });
    if !at.iter().flatten().all(|x| x.is_finite()) {
        return Err("its numbers are none".into());
    }
    sample
}

/// In four lanes, as the scene sums: the compiler makes vectors of both.
fn pull(from: [f64; 3], at: [&[f64]; 3], mass: &[f64]) -> [f64; 3] {
    const LANES: usize = 4;
    let mut sums = [[0.0; LANES]; 3];
    let [x, y, z] = at.map(|axis| axis.as_chunks::<LANES>().0);
    for (((x, y), z), mass) in x.iter().zip(y).zip(z).zip(mass.as_chunks::<LANES>().0) {
        let (mut d, mut weight) = ([[0.0; LANES]; 3], [0.0; LANES]);
        for lane in 0..LANES {
            d[0][lane] = x[lane] - from[0];
            d[1][lane] = y[lane] - from[1];
            d[2][lane] = z[lane] - from[2];
            let square =
                d[0][lane] * d[0][lane] + d[1][lane] * d[1][lane] + d[2][lane] * d[2][lane] + SOFTENING * SOFTENING;
            weight[lane] = mass[lane] / (square * square.sqrt());
        }
        for (sum, d) in sums.iter_mut().zip(&d) {
            for lane in 0..LANES {
                sum[lane] += d[lane] * weight[lane];
            }
        }
    }
    sums.map(|lanes| (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]))
}
