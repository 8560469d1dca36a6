//! Velocity Verlet: half a kick, the movement, and the other half once the new forces are known.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Write};

use super::{Anchor, Force, Melt, Position, Rebuild, Velocity};

/// Half a kick and the movement. The job that finds an atom more than half of the skin from where the lists were made
/// says so: all jobs would say the same, so their order does not count.
pub(super) fn drift() -> System {
    System::try_rows::<(Write<Position>, Write<Velocity>, Read<Force>, Read<Anchor>)>(
        "drift",
        |job, (mut position, mut velocity, force, anchor)| {
            let (dt, melt) = (job.dt(), job.resource::<Melt>()?);
            let half = 0.5 * dt;
            velocity.x.map_with(force.x, |v, f| v + half * f);
            velocity.y.map_with(force.y, |v, f| v + half * f);
            velocity.z.map_with(force.z, |v, f| v + half * f);
            position.x.map_with(&velocity.x, |x, v| x + dt * v);
            position.y.map_with(&velocity.y, |y, v| y + dt * v);
            position.z.map_with(&velocity.z, |z, v| z + dt * v);
            let limit = 0.25 * melt.skin * melt.skin;
            let (x, y, z): (&[f64], &[f64], &[f64]) = (&position.x, &position.y, &position.z);
            let mut moved = false;
            for row in 0..job.len() {
                let d = [x[row] - anchor.x[row], y[row] - anchor.y[row], z[row] - anchor.z[row]];
                let within = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] <= limit;
                moved |= !within;
            }
            if !moved {
                return Ok(());
            }
            for row in 0..job.len() {
                let at = [x[row], y[row], z[row]];
                if !at.iter().all(|x| x.abs() < FARTHEST) {
                    let entity = job.entities()[row];
                    return Err(format!(
                        "entity {entity} is at {at:?}: no place of this world (frame {})",
                        job.frame()
                    )
                    .into());
                }
            }
            let before = job.resource::<Rebuild>()?;
            job.set_resource(Rebuild { frame: job.frame(), count: before.count + 1 });
            Ok(())
        },
    )
    .reads_resource::<Melt>()
    .reads_resource::<Rebuild>()
    .sets_resource::<Rebuild>()
}

/// Coordinates beyond this are a simulation that has gone wrong: an atom crosses less than a box between two lists.
const FARTHEST: f64 = 1e6;

/// The other half.
pub(super) fn kick() -> System {
    System::rows::<(Write<Velocity>, Read<Force>)>("kick", |job, (mut velocity, force)| {
        let half = 0.5 * job.dt();
        velocity.x.map_with(force.x, |v, f| v + half * f);
        velocity.y.map_with(force.y, |v, f| v + half * f);
        velocity.z.map_with(force.z, |v, f| v + half * f);
    })
}
