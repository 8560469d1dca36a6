//! A world of your own in the browser: copy, rename, change.

use std::error::Error;

use hypostyle::{Component, Schedule, System, World, WorldBuilder, Write};
use hypostyle_web_engine::{Line, Scene, SceneOptions};

/// Metres above the water.
#[derive(Component, Clone, Copy)]
struct Height {
    z: f32,
}

/// Upwards, m/s.
#[derive(Component, Clone, Copy)]
struct Speed {
    z: f32,
}

struct Drops;

impl Scene for Drops {
    fn name(&self) -> &'static str {
        "drops"
    }

    fn about(&self) -> &'static str {
        "drops that fall into the water and come back"
    }

    fn default_entities(&self) -> u64 {
        10_000
    }

    fn dt(&self) -> f64 {
        1.0 / 60.0
    }

    /// The world at first. It depends on the options alone: the same options, the same bytes.
    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let mut world = builder.component::<Height>().component::<Speed>().build()?;
        let entities = options.entities.unwrap_or(self.default_entities());
        world.spawn_batch((0..entities).map(|n| (Height { z: 1.0 + (n % 100) as f32 / 10.0 }, Speed { z: 0.0 })))?;
        Ok(world)
    }

    /// What happens in a frame, in whichever worker.
    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<(Write<Height>, Write<Speed>)>("fall", |job, (mut height, mut speed)| {
            let dt = job.dt() as f32;
            for row in 0..height.z.len() {
                speed.z[row] -= 9.81 * dt;
                height.z[row] += speed.z[row] * dt;
                if height.z[row] < 0.0 {
                    height.z[row] = -height.z[row];
                    speed.z[row] = -speed.z[row];
                }
            }
        }));
        schedule
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        Ok(vec![Line::count("drops", world.entity_count())])
    }
}

hypostyle_web_engine::scenes!(Drops);
