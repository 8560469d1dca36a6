//! Velocity Verlet: half a kick, the movement, and the other half once the new forces are known.
#![forbid(unsafe_code)]

use hypostyle::space::Skin;
use hypostyle::{Read, System, Write};

use super::{Anchor, Drift, Force, Melt, Position, Velocity};

/// Half a kick and the movement; and whether an atom is more than half of the skin from where the lists were made.
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
            let at: [&[f64]; 3] = [&position.x, &position.y, &position.z];
            if !Skin(melt.skin).is_used_up(at, [anchor.x, anchor.y, anchor.z]) {
                return Ok(());
            }
            for row in 0..job.len() {
                let at = at.map(|column| column[row]);
                if !at.iter().all(|x| x.abs() < FARTHEST) {
                    let entity = job.entities()[row];
                    return Err(format!(
                        "entity {entity} is at {at:?}: no place of this world (frame {})",
                        job.frame()
                    )
                    .into());
                }
            }
            job.reduce(Drift { moved: 1 });
            Ok(())
        },
    )
    .reads_resource::<Melt>()
    .reduces::<Drift>()
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
