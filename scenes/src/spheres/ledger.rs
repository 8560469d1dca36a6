//! The energy, and its limit.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Write};

use super::vector::{at, dot};
use super::{ContactLaw, Ledger, Position, RADIUS, Velocity, Walls};

/// Measures all spheres, and how much their velocities must shrink for the energy not to have grown.
pub(super) fn measure() -> System {
    System::try_neighbours::<Read<Position>, (Read<Position>, Read<Velocity>)>("measure", |job, _, all| {
        // one job does it for all, in the order of rows
        if job.first_row() > 0 {
            return Ok(());
        }
        let before = job.resource::<Ledger>()?;
        let floor = f64::from(job.resource::<Walls>()?.min[1]) + RADIUS;
        let gravity = f64::from(job.resource::<ContactLaw>()?.gravity);
        let (mut kinetic, mut potential) = (0.0, 0.0);
        for table in all.tables() {
            let (p, v) = table.columns;
            for row in 0..table.entities.len() {
                let velocity = at(v.x, v.y, v.z, row);
                kinetic += 0.5 * dot(velocity, velocity);
                potential += gravity * (p.y[row] - floor);
            }
        }
        let room = (before.energy - potential).max(0.0);
        let scale = if kinetic > room { (room / kinetic).sqrt() } else { 1.0 };
        job.set_resource(Ledger {
            energy: before.energy.min(kinetic + potential),
            kinetic,
            potential,
            scale,
            limited: before.limited + u64::from(scale < 1.0),
        });
        Ok(())
    })
    .reads_resource::<Ledger>()
    .reads_resource::<Walls>()
    .reads_resource::<ContactLaw>()
    .sets_resource::<Ledger>()
    .job_rows(1 << 20)
}

/// Shrinks them.
pub(super) fn limit() -> System {
    System::try_rows::<Write<Velocity>>("limit", |job, mut velocity| {
        let scale = job.resource::<Ledger>()?.scale as f32;
        if scale < 1.0 {
            velocity.x.map(|v| v * scale);
            velocity.y.map(|v| v * scale);
            velocity.z.map(|v| v * scale);
        }
        Ok(())
    })
    .reads_resource::<Ledger>()
}
