//! The melt: LAMMPS's `bench/in.lj`, the scene, and the scene's kernels over plain vectors.

use std::error::Error;

use hypostyle::{Simulation, Workers, World};
use hypostyle_scenes::{Scene, SceneOptions, lj::LennardJones};

use crate::measure::{Case, Round, timed};
use crate::{Options, lammps, twin};

/// Steps of a round.
const STEPS: u32 = 100;

/// A case for each size.
pub fn cases(options: &Options) -> Result<Vec<Case>, Box<dyn Error>> {
    options.sizes.iter().map(|atoms| case(*atoms)).collect()
}

fn case(atoms: u64) -> Result<Case, Box<dyn Error>> {
    let cells = (1..).find(|cells| 4 * cells * cells * cells >= atoms).unwrap_or(1);
    if 4 * cells * cells * cells != atoms {
        return Err(format!("{atoms} atoms are no cube of unit cells: write {}", 4 * cells * cells * cells).into());
    }
    let mut contenders: Vec<(String, Round)> = Vec::new();
    for (name, optimised, processes) in
        [("LAMMPS lj/cut", false, 1), ("LAMMPS -sf opt", true, 1), ("LAMMPS lj/cut, 2 MPI processes", false, 2)]
    {
        match lammps::missing(processes > 1) {
            Some(missing) => eprintln!("SKIPPED {name}: there is no {missing}"),
            None => {
                contenders.push((name.to_owned(), Box::new(move || lammps::melt(cells, STEPS, optimised, processes))))
            }
        }
    }
    for threads in [1, 2] {
        let name = format!("Vec twin, {threads} thread{}", if threads == 1 { "" } else { "s" });
        contenders.push((name, Box::new(move || twin(atoms, threads))));
    }
    for (name, workers, every) in [
        ("hypostyle, local, a generation every 100 frames", Workers::Local, 100),
        ("hypostyle, local, a generation each frame", Workers::Local, 1),
        ("hypostyle, threads:1 and main, every 100 frames", Workers::Threads(1), 100),
        ("hypostyle, threads:1 and main, each frame", Workers::Threads(1), 1),
    ] {
        contenders.push((name.to_owned(), Box::new(move || engine(atoms, workers, every))));
    }
    Ok(Case {
        name: format!("lj, {atoms} atoms, {STEPS} steps"),
        unit: "atom and step",
        units: f64::from(STEPS) * atoms as f64,
        things: ("atom", atoms as f64),
        contenders,
    })
}

fn options(atoms: u64) -> SceneOptions {
    SceneOptions { entities: Some(atoms), ..SceneOptions::default() }
}

fn engine(atoms: u64, workers: Workers, every: u64) -> Result<crate::measure::Sample, Box<dyn Error>> {
    let options = options(atoms);
    let world = LennardJones.world(&options, World::builder())?;
    let builder = Simulation::builder().workers(workers).publish_every(every);
    let mut simulation = builder.build(world, LennardJones.schedule(&options))?;
    // the first lists and forces, which LAMMPS's loop leaves out as well
    simulation.run(1, LennardJones.dt())?;
    let sample = timed(|| {
        simulation.run(u64::from(STEPS), LennardJones.dt())?;
        Ok(())
    })?;
    Ok(sample.with_bytes(simulation.world().usage().allocated))
}

fn twin(atoms: u64, threads: usize) -> Result<crate::measure::Sample, Box<dyn Error>> {
    let world = LennardJones.world(&options(atoms), World::builder())?;
    let mut twin = twin::Melt::of(&world)?;
    drop(world);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| twin.step(LennardJones.dt()))?;
    let sample = timed(|| {
        pool.install(|| (0..STEPS).try_for_each(|_| twin.step(LennardJones.dt())))?;
        Ok(())
    })?;
    Ok(sample.with_bytes(twin.bytes() as u64))
}

#[cfg(test)]
mod tests {
    use hypostyle::{GlobalId, Read};
    use hypostyle_scenes::lj::Position;

    use super::*;

    #[test]
    fn the_twin_has_the_bits_of_the_scene() {
        let options = options(4_000);
        let world = LennardJones.world(&options, World::builder()).expect("a world");
        let mut twin = twin::Melt::of(&world).expect("a melt");
        let mut simulation =
            Simulation::new(world, LennardJones.schedule(&options), Workers::Local).expect("a simulation");
        for _ in 0..60 {
            twin.step(LennardJones.dt()).expect("a good step");
        }
        simulation.run(60, LennardJones.dt()).expect("good frames");
        let mut places = Vec::new();
        simulation
            .world()
            .query::<(Read<GlobalId>, Read<Position>)>(|_, (id, at)| {
                places.extend((0..id.value.len()).map(|row| (id.value[row], [at.x[row], at.y[row], at.z[row]])));
            })
            .expect("a good query");
        assert_eq!(twin.places(), places);
    }
}
