//! Spheres in a box: the scene, and rapier3d with the same spheres, box, friction and restitution.
//!
//! The two do not compute the same: the scene resolves each contact in time (springs and dashpots, some substeps in each
//! frame), rapier finds impulses that end penetration (one solver pass a step, its defaults). A step is 1/240 s for both.

use std::error::Error;

use hypostyle::{Read, Simulation, Workers, World};
use hypostyle_scenes::spheres::{Position, Radius, Spheres, Velocity, Walls};
use hypostyle_scenes::{Scene, SceneOptions};
use rapier3d::prelude::*;

use crate::Options;
use crate::measure::{Case, Sample, timed};

/// One case.
pub fn cases(options: &Options) -> Result<Vec<Case>, Box<dyn Error>> {
    let (spheres, settle, steps) = if options.quick { (200, 5, 5) } else { (50_000, 240, 20) };
    let mut cases = Vec::new();
    for threads in [1, 2] {
        let workers = if threads == 1 { Workers::Local } else { Workers::Threads(1) };
        cases.push(Case {
            name: format!("spheres, {spheres} of them, {steps} steps of 1/240 s after {settle}, {threads} core(s)"),
            unit: "sphere and step",
            units: f64::from(steps) * spheres as f64,
            contenders: vec![
                (format!("rapier3d, {threads} thread(s)"), Box::new(move || rapier(spheres, settle, steps, threads))),
                (format!("hypostyle, {workers}"), Box::new(move || engine(spheres, settle, steps, workers))),
            ],
        });
    }
    Ok(cases)
}

fn options(spheres: u64) -> SceneOptions {
    SceneOptions { entities: Some(spheres), ..SceneOptions::default() }
}

fn engine(spheres: u64, settle: u32, steps: u32, workers: Workers) -> Result<Sample, Box<dyn Error>> {
    let options = options(spheres);
    let world = Spheres.world(&options, World::builder())?;
    let builder = Simulation::builder().workers(workers).publish_every(10);
    let mut simulation = builder.build(world, Spheres.schedule(&options))?;
    simulation.run(u64::from(settle), Spheres.dt())?;
    timed(|| {
        simulation.run(u64::from(steps), Spheres.dt())?;
        Ok(())
    })
}

fn rapier(spheres: u64, settle: u32, steps: u32, threads: usize) -> Result<Sample, Box<dyn Error>> {
    let world = Spheres.world(&options(spheres), World::builder())?;
    let walls = world.resource::<Walls>()?;
    let mut physics = PhysicsWorld::default();
    physics.integration_parameters.dt = Spheres.dt() as f32;
    let size = [0, 1, 2].map(|axis| walls.max[axis] - walls.min[axis]);
    for axis in 0..3 {
        for side in [-0.5, 0.5] {
            // a slab of 2 m outside of the wall
            let mut half = [0.5 * size[0] + 2.0, 0.5 * size[1] + 2.0, 0.5 * size[2] + 2.0];
            half[axis] = 1.0;
            let mut centre = [0, 1, 2].map(|axis| walls.min[axis] + 0.5 * size[axis]);
            centre[axis] += side * (size[axis] + 2.0);
            let body = RigidBodyBuilder::fixed().translation(Vector::new(centre[0], centre[1], centre[2]));
            let shape = ColliderBuilder::cuboid(half[0], half[1], half[2]).friction(0.3).restitution(0.5);
            physics.insert(body, shape);
        }
    }
    world.query::<(Read<Position>, Read<Velocity>, Read<Radius>)>(|_, (at, v, radius)| {
        for row in 0..radius.value.len() {
            let body = RigidBodyBuilder::dynamic()
                .translation(Vector::new(at.x[row] as f32, at.y[row] as f32, at.z[row] as f32))
                .linvel(Vector::new(v.x[row] as f32, v.y[row] as f32, v.z[row] as f32))
                // the scene has no sleep
                .can_sleep(false);
            let shape =
                ColliderBuilder::ball(radius.value[row] as f32).friction(0.3).restitution(0.5).density(1.909_859_3);
            physics.insert(body, shape);
        }
    })?;
    drop(world);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| (0..settle).for_each(|_| physics.step()));
    let sample = timed(|| {
        pool.install(|| (0..steps).for_each(|_| physics.step()));
        Ok(())
    })?;
    let inside = physics.bodies.iter().all(|(_, body)| {
        let at = body.translation();
        !body.is_dynamic() || (at.y > walls.min[1] - 1.0 && at.y < walls.max[1] + 1.0)
    });
    if inside { Ok(sample) } else { Err("a sphere has left its box".into()) }
}
