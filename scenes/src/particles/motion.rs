//! Ageing, forces, movement, walls.
#![forbid(unsafe_code)]

use hypostyle::{Read, Schedule, System, Write};

use super::{Age, Drag, Gravity, Position, Velocity, Walls};

/// Dense and row-local: these run back to back on one range of rows.
pub(super) fn motion(schedule: &mut Schedule) {
    schedule
        .add(System::rows::<Write<Age>>("grow old", |job, mut age| {
            let dt = job.dt() as f32;
            age.seconds.map(|seconds| seconds + dt);
        }))
        .add(
            System::try_rows::<Write<Velocity>>("pull and drag", |job, mut velocity| {
                let (gravity, drag, dt) = (job.resource::<Gravity>()?, job.resource::<Drag>()?, job.dt() as f32);
                // implicit in the drag: stable whatever the step
                let kept = 1.0 / (1.0 + drag.linear * dt);
                let [x, y, z] = [gravity.x * dt, gravity.y * dt, gravity.z * dt];
                velocity.x.map(|v| (v + x) * kept);
                velocity.y.map(|v| (v + y) * kept);
                velocity.z.map(|v| (v + z) * kept);
                Ok(())
            })
            .reads_resource::<Gravity>()
            .reads_resource::<Drag>(),
        )
        .add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut position, velocity)| {
            let dt = job.dt() as f32;
            position.x.map_with(velocity.x, |x, v| x + v * dt);
            position.y.map_with(velocity.y, |y, v| y + v * dt);
            position.z.map_with(velocity.z, |z, v| z + v * dt);
        }))
        .add(
            System::try_rows::<(Write<Position>, Write<Velocity>)>("walls", |job, (mut position, mut velocity)| {
                let walls = job.resource::<Walls>()?;
                reflect(&mut position.x, &mut velocity.x, walls.min[0], walls.max[0], walls.bounce);
                reflect(&mut position.y, &mut velocity.y, walls.min[1], walls.max[1], walls.bounce);
                reflect(&mut position.z, &mut velocity.z, walls.min[2], walls.max[2], walls.bounce);
                Ok(())
            })
            .reads_resource::<Walls>(),
        );
}

/// Mirrors what is behind a wall, and turns its velocity.
fn reflect(position: &mut [f32], velocity: &mut [f32], min: f32, max: f32, bounce: f32) {
    for (x, v) in position.iter_mut().zip(velocity) {
        let (below, above) = (*x < min, *x > max);
        let turned = -bounce * *v;
        *v = if below | above { turned } else { *v };
        let mirrored = if below {
            min + (min - *x)
        } else if above {
            max - (*x - max)
        } else {
            *x
        };
        *x = mirrored.max(min).min(max);
    }
}
