//! Spheres in a box: the scene, and rapier3d with the same spheres, box, friction and restitution.
//!
//! The two do not compute the same: the scene resolves each contact in time (springs and dashpots, some substeps in each
//! frame), rapier finds impulses that end penetration (four solver iterations a step, its defaults). Both go on from the
//! same state: the scene's heap after some seconds. A step is 1/240 s for both; rapier has a row with its default of
//! 1/60 s, too, for the same simulated time.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

use hypostyle::{Read, Simulation, Workers, World};
use hypostyle_scenes::spheres::{Position, Radius, Spheres, Velocity, Walls, look};
use hypostyle_scenes::{Scene, SceneOptions};
use rapier3d::prelude::*;

use crate::Options;
use crate::measure::{Case, Sample, timed};

/// Steps of 1/240 s that are timed, and those before that are not: rapier warms its contacts up.
const STEPS: u32 = 20;
const UNTIMED: u32 = 20;

/// A few dozen to many, falling and at rest.
pub fn cases(options: &Options) -> Result<Vec<Case>, Box<dyn Error>> {
    let mut cases = Vec::new();
    // frames of 1/240 s after which they fall, and after which they are a heap
    let frames = if options.quick { [2, 24] } else { [120, 720] };
    for (spheres, settle) in options.spheres.iter().flat_map(|spheres| frames.map(|frames| (*spheres, frames))) {
        let heap = Rc::new(Heap { spheres, settle, state: RefCell::default() });
        for threads in if spheres == 50_000 { 1..=2 } else { 1..=1 } {
            let workers = if threads == 1 { Workers::Local } else { Workers::Threads(1) };
            let contender = |per_second: u32| -> crate::measure::Round {
                let heap = Rc::clone(&heap);
                Box::new(move || rapier(&*heap.state()?, per_second, threads))
            };
            let heap = Rc::clone(&heap);
            cases.push(Case {
                name: format!(
                    "spheres, {spheres} of them after {} s, {STEPS} steps of 1/240 s, {threads} core(s)",
                    f64::from(settle) / 240.0
                ),
                unit: "sphere and step",
                units: f64::from(STEPS) * spheres as f64,
                things: ("sphere", spheres as f64),
                contenders: vec![
                    (format!("rapier3d, {threads} thread(s)"), contender(240)),
                    (format!("rapier3d, {threads} thread(s), the same time in steps of 1/60 s"), contender(60)),
                    (format!("hypostyle, {workers}"), Box::new(move || engine(&*heap.state()?, workers))),
                ],
            });
        }
    }
    Ok(cases)
}

/// Spheres that have fallen for some frames; made when first asked for.
struct Heap {
    spheres: u64,
    settle: u32,
    state: RefCell<Option<Rc<State>>>,
}

/// Where spheres are, how fast, how large.
struct State {
    walls: Walls,
    places: Vec<[f64; 3]>,
    velocities: Vec<[f64; 3]>,
    radii: Vec<f64>,
}

impl Heap {
    fn state(&self) -> Result<Rc<State>, Box<dyn Error>> {
        if let Some(state) = &*self.state.borrow() {
            return Ok(Rc::clone(state));
        }
        let options = options(self.spheres);
        let world = Spheres.world(&options, World::builder())?;
        let builder = Simulation::builder().workers(Workers::Local).publish_every(1000);
        let mut simulation = builder.build(world, Spheres.schedule(&options))?;
        simulation.run(u64::from(self.settle), Spheres.dt())?;
        let world = simulation.world();
        let (mut places, mut velocities, mut radii) = (Vec::new(), Vec::new(), Vec::new());
        world.query::<(Read<Position>, Read<Velocity>, Read<Radius>)>(|_, (at, v, radius)| {
            for row in 0..radius.value.len() {
                places.push([at.x[row], at.y[row], at.z[row]]);
                velocities.push([v.x[row], v.y[row], v.z[row]]);
                radii.push(radius.value[row]);
            }
        })?;
        let state = Rc::new(State { walls: world.resource::<Walls>()?, places, velocities, radii });
        *self.state.borrow_mut() = Some(Rc::clone(&state));
        Ok(state)
    }
}

fn options(spheres: u64) -> SceneOptions {
    SceneOptions { entities: Some(spheres), ..SceneOptions::default() }
}

fn engine(state: &State, workers: Workers) -> Result<Sample, Box<dyn Error>> {
    let options = options(state.radii.len() as u64);
    let mut world = Spheres.world(&options, World::builder())?;
    let mut entities = Vec::new();
    world.query::<Read<Position>>(|own, _| entities.extend_from_slice(own))?;
    for (index, entity) in entities.into_iter().enumerate() {
        let ([x, y, z], [u, v, w]) = (state.places[index], state.velocities[index]);
        world.set(entity, Position { x, y, z })?;
        world.set(entity, Velocity { x: u, y: v, z: w })?;
        world.set(entity, Radius { value: state.radii[index] })?;
    }
    let builder = Simulation::builder().workers(workers).publish_every(10);
    let mut simulation = builder.build(world, Spheres.schedule(&options))?;
    simulation.run(u64::from(UNTIMED), Spheres.dt())?;
    let sample = timed(|| {
        simulation.run(u64::from(STEPS), Spheres.dt())?;
        Ok(())
    })?;
    let seen = look(simulation.world())?;
    if seen.overlap < 0.3 { Ok(sample) } else { Err(format!("spheres overlap: {seen:?}").into()) }
}

fn rapier(state: &State, per_second: u32, threads: usize) -> Result<Sample, Box<dyn Error>> {
    let walls = &state.walls;
    let mut physics = PhysicsWorld::default();
    physics.integration_parameters.dt = 1.0 / per_second as f32;
    let (untimed, steps) = (UNTIMED * per_second / 240, STEPS * per_second / 240);
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
    let vector = |[x, y, z]: [f64; 3]| Vector::new(x as f32, y as f32, z as f32);
    for ((place, velocity), radius) in state.places.iter().zip(&state.velocities).zip(&state.radii) {
        // the scene has no sleep
        let body = RigidBodyBuilder::dynamic().translation(vector(*place)).linvel(vector(*velocity)).can_sleep(false);
        let shape = ColliderBuilder::ball(*radius as f32).friction(0.3).restitution(0.5).density(1.909_859_3);
        physics.insert(body, shape);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| (0..untimed).for_each(|_| physics.step()));
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
