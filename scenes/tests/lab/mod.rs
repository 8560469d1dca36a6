//! Experiments with spheres: some in a box, run, looked at.
#![allow(dead_code, reason = "each of the tests that share it uses some of it")]

use hypostyle::{Entity, Read, Simulation, Workers, World};
use hypostyle_scenes::spheres::{Observation, Position, Radius, Spheres, Spin, Velocity, Walls, look};
use hypostyle_scenes::{Scene, SceneOptions};

pub type Vector = [f64; 3];

/// A sphere as an experiment begins.
#[derive(Clone, Copy)]
pub struct Ball {
    pub at: Vector,
    pub velocity: Vector,
    pub radius: f64,
}

pub fn ball(at: Vector, velocity: Vector) -> Ball {
    Ball { at, velocity, radius: 0.5 }
}

pub struct Lab {
    pub simulation: Simulation,
    pub all: Vec<Entity>,
}

pub fn law(gravity: f64, restitution: f64, friction: f64) -> SceneOptions {
    SceneOptions::new(None, 0)
        .with("gravity", gravity)
        .with("restitution", restitution)
        .with("friction", friction)
        .with("radii", "0.5,0.5")
}

impl Lab {
    pub fn new(options: SceneOptions, side: f32, balls: &[Ball]) -> Lab {
        let options = SceneOptions { entities: Some(balls.len() as u64), ..options };
        let mut world = Spheres.world(&options, World::builder()).unwrap();
        world.set_resource(Walls { min: [0.0; 3], max: [side; 3] }).unwrap();
        let mut lab = Lab::of(world, &options);
        for (index, ball) in balls.iter().enumerate() {
            lab.place(index, *ball);
        }
        lab
    }

    /// Of a world that the scene has made.
    pub fn of(world: World, options: &SceneOptions) -> Lab {
        let all = entities(&world);
        let builder = Simulation::builder().workers(Workers::Local).publish_every(10_000);
        Lab { simulation: builder.build(world, Spheres.schedule(options)).unwrap(), all }
    }

    /// Puts one where it is to begin.
    pub fn place(&mut self, index: usize, ball: Ball) {
        let ([x, y, z], [vx, vy, vz]) = (ball.at, ball.velocity);
        let (world, entity) = (self.simulation.world_mut(), self.all[index]);
        world.set(entity, Position { x, y, z }).unwrap();
        world.set(entity, Velocity { x: vx, y: vy, z: vz }).unwrap();
        world.set(entity, Radius { value: ball.radius }).unwrap();
    }

    pub fn run(&mut self, seconds: f64) -> &mut Self {
        let frames = (seconds / Spheres.dt()).round() as u64;
        self.simulation.run(frames, Spheres.dt()).unwrap();
        self
    }

    pub fn look(&self) -> Observation {
        look(self.simulation.world()).unwrap()
    }

    pub fn at(&self, index: usize) -> Vector {
        let Position { x, y, z } = self.simulation.world().get::<Position>(self.all[index]).unwrap();
        [x, y, z]
    }

    pub fn velocity(&self, index: usize) -> Vector {
        let Velocity { x, y, z } = self.simulation.world().get::<Velocity>(self.all[index]).unwrap();
        [x, y, z]
    }

    pub fn spin(&self, index: usize) -> Vector {
        let Spin { x, y, z } = self.simulation.world().get::<Spin>(self.all[index]).unwrap();
        [x, y, z]
    }

    pub fn error(&mut self, frames: u64) -> String {
        self.simulation.run(frames, Spheres.dt()).unwrap_err().to_string()
    }
}

pub fn entities(world: &World) -> Vec<Entity> {
    let mut all = Vec::new();
    world.query::<Read<Position>>(|entities, _| all.extend_from_slice(entities)).unwrap();
    all.sort();
    all
}

#[track_caller]
pub fn near(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{got} instead of {want}, within {tolerance}");
}

/// Numbers from -1 to 1.
pub fn numbers(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / 2f64.powi(30) - 1.0
    }
}
