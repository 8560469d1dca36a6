//! Bodies in a trap: a world of its own with the whole command line of `hypostyle`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;

use hypostyle::WorldBuilder;
use hypostyle::prelude::*;
use hypostyle_cli::{Line, Scene, SceneOption, SceneOptions};

/// From the middle of the trap.
#[derive(Component, Clone, Copy)]
#[component(unit = "m")]
struct Position {
    x: f64,
    y: f64,
}

#[derive(Component, Clone, Copy)]
#[component(unit = "m/s")]
struct Velocity {
    x: f64,
    y: f64,
}

#[derive(Component, Clone, Copy)]
struct Mass {
    kg: f64,
}

/// The trap, one for all.
#[derive(Resource, Clone, Copy)]
struct Trap {
    /// Newtons per metre.
    stiffness: f64,
    /// Of the gas, kilograms per second.
    drag: f64,
}

/// Energies of all bodies, joules.
#[derive(Resource, Reduce, Clone, Copy)]
struct Energy {
    #[reduce(sum)]
    kinetic: f64,
    #[reduce(sum)]
    potential: f64,
}

struct Bodies;

impl Scene for Bodies {
    fn name(&self) -> &'static str {
        "bodies"
    }

    fn about(&self) -> &'static str {
        "bodies in a trap, slowed by a gas"
    }

    fn default_entities(&self) -> u64 {
        1_000_000
    }

    fn default_frames(&self) -> Option<u64> {
        Some(100)
    }

    fn options(&self) -> &'static [SceneOption] {
        &[SceneOption { name: "drag", value: "G", about: "of the gas, kg/s, 0 to 10 (default 0.1)" }]
    }

    fn dt(&self) -> f64 {
        0.01
    }

    /// The world at first, from the options alone: the same options, the same bytes.
    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let builder = builder.component::<Position>().component::<Velocity>().component::<Mass>();
        let mut world = builder.resource::<Trap>().resource::<Energy>().build()?;
        let drag = options.number("drag", 0.0, 10.0)?.unwrap_or(0.1);
        world.insert_or_set_resource(Trap { stiffness: 1.0, drag })?;
        let entities = options.entities.unwrap_or(self.default_entities());
        world.spawn_batch((0..entities).map(|n| {
            let (ring, place) = ((n % 1000) as f64 / 1000.0, (n / 1000) as f64);
            let at = Position { x: ring, y: 0.001 * place };
            (at, Velocity { x: 0.0, y: 0.0 }, Mass { kg: 1.0 + ring })
        }))?;
        Ok(world)
    }

    /// What happens in a frame. Worker processes make it, too, from the same options.
    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        type Kick = (Read<Position>, Read<Mass>, Write<Velocity>);
        let kick = System::try_rows::<Kick>("kick", |job, (at, mass, mut v)| {
            let (trap, dt) = (job.resource::<Trap>()?, job.dt());
            let pull = |v: f64, at: f64, kg: f64| v - dt / kg * (trap.stiffness * at + trap.drag * v);
            v.x.map_with2(at.x, mass.kg, pull);
            v.y.map_with2(at.y, mass.kg, pull);
            Ok(())
        });
        schedule.add(kick.reads_resource::<Trap>());
        schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("drift", |job, (mut at, v)| {
            let dt = job.dt();
            at.x.map_with(v.x, |x, v| x + dt * v);
            at.y.map_with(v.y, |y, v| y + dt * v);
        }));
        schedule
    }

    /// What the closing table, `--series` and `top` show.
    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let stiffness = world.resource::<Trap>()?.stiffness;
        type Seen = (Read<Position>, Read<Velocity>, Read<Mass>);
        let energy: Energy = world.reduce::<Seen, _>(|_, (at, v, mass)| {
            let mut sum = Energy::empty();
            for row in 0..mass.kg.len() {
                sum.kinetic += 0.5 * mass.kg[row] * (v.x[row] * v.x[row] + v.y[row] * v.y[row]);
                sum.potential += 0.5 * stiffness * (at.x[row] * at.x[row] + at.y[row] * at.y[row]);
            }
            sum
        })?;
        let joules = |label, energy| Line::number(label, energy, |joules| format!("{joules:.3} J"));
        let bodies = Line::count("bodies", world.entity_count());
        Ok(vec![bodies, joules("kinetic energy", energy.kinetic), joules("potential energy", energy.potential)])
    }
}

fn main() -> ExitCode {
    hypostyle_cli::main(&[&Bodies])
}
