//! A world of your own with the whole command line of `hypostyle`: copy, rename, change.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;

use hypostyle::{Component, Read, Resource, Schedule, System, World, WorldBuilder, Write};
use hypostyle_cli::{Line, Scene, SceneOption, SceneOptions};

/// Above the floor.
#[derive(Component, Clone, Copy)]
#[component(unit = "m")]
struct Height {
    z: f64,
}

/// Upwards.
#[derive(Component, Clone, Copy)]
#[component(unit = "m/s")]
struct Speed {
    z: f64,
}

/// Speed after over before an impact.
#[derive(Resource, Clone, Copy)]
struct Bounce {
    share: f64,
}

struct Sparks;

impl Scene for Sparks {
    fn name(&self) -> &'static str {
        "sparks"
    }

    fn about(&self) -> &'static str {
        "sparks that fall on a floor"
    }

    fn default_entities(&self) -> u64 {
        1_000_000
    }

    fn options(&self) -> &'static [SceneOption] {
        &[SceneOption { name: "bounce", value: "E", about: "speed after over before an impact, 0 to 1 (default 0.5)" }]
    }

    fn dt(&self) -> f64 {
        0.01
    }

    /// The world at first. It depends on the options alone: the same options, the same bytes.
    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let builder = builder.component::<Height>().component::<Speed>().resource::<Bounce>();
        let mut world = builder.build()?;
        world.insert_or_set_resource(Bounce { share: options.number("bounce", 0.0, 1.0)?.unwrap_or(0.5) })?;
        let entities = options.entities.unwrap_or(self.default_entities());
        world.spawn_batch((0..entities).map(|n| (Height { z: 1.0 + (n % 100) as f64 / 10.0 }, Speed { z: 0.0 })))?;
        Ok(world)
    }

    /// What happens in a frame. Worker processes make it, too, from the same options.
    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<(Write<Height>, Write<Speed>)>("fall", |job, (mut height, mut speed)| {
            for row in 0..height.z.len() {
                speed.z[row] -= 9.81 * job.dt();
                height.z[row] += speed.z[row] * job.dt();
            }
        }));
        let bounce = System::try_rows::<(Read<Height>, Write<Speed>)>("bounce", |job, (height, mut speed)| {
            let share = job.resource::<Bounce>()?.share;
            for row in 0..height.z.len() {
                if height.z[row] < 0.0 && speed.z[row] < 0.0 {
                    speed.z[row] *= -share;
                }
            }
            Ok(())
        });
        schedule.add(bounce.reads_resource::<Bounce>().after("fall"));
        schedule
    }

    /// What the closing table and `--series` show.
    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let mut highest = f64::MIN;
        world.query::<Read<Height>>(|_, height| highest = height.z.iter().copied().fold(highest, f64::max))?;
        let sparks = Line::count("sparks", world.entity_count());
        Ok(vec![sparks, Line::number("highest", highest, |metres| format!("{metres:.3} m"))])
    }
}

fn main() -> ExitCode {
    hypostyle_cli::main(&[&Sparks])
}
