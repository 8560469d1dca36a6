//! Emitters, and the census.
#![forbid(unsafe_code)]

use hypostyle::{Entity, Job, Read, Schedule, System, Write};

use super::super::random::Random;
use super::{Age, Census, EMITTERS_MAX, Emitter, Hot, LIFETIME, Lifetime, Offspring, Position, Velocity};

/// Spawning, and counting.
pub(super) fn emission(schedule: &mut Schedule) {
    schedule
        .add(
            System::rows::<(Read<Position>, Write<Emitter>, Read<Offspring>)>(
                "emit",
                |job, (position, mut emitter, offspring)| {
                    for row in 0..job.len() {
                        let owed = emitter.carry[row] + emitter.rate[row] * job.dt() as f32;
                        // truncates: what is owed is never negative
                        let due = owed as u64;
                        emitter.carry[row] = owed - due as f32;
                        let at = Position { x: position.x[row], y: position.y[row], z: position.z[row] };
                        let (speed, seed) = (emitter.speed[row], emitter.seed[row]);
                        let before = Offspring { newest: offspring.newest[row], count: offspring.count[row] };
                        emit(job, row, at, (speed, seed), due, before);
                    }
                },
            )
            .spawns::<(Position, Velocity, Age, Lifetime)>()
            .sets::<(Velocity, Offspring)>()
            .adds::<Hot>()
            .removes::<Hot>()
            .despawns()
            .job_rows(64)
            .stage("late"),
        )
        .add(
            System::neighbours::<Read<Offspring>, (Read<Age>, Option<Read<Hot>>)>("count", |job, own, particles| {
                let mut census = Census { frame: job.frame(), particles: 0, hot: 0, emitted: own.count.iter().sum() };
                for table in particles.tables() {
                    let rows = table.entities.len() as u64;
                    census.particles += rows;
                    if table.columns.1.is_some() {
                        census.hot += rows;
                    }
                }
                job.set_resource(census);
            })
            .sets_resource::<Census>()
            // all emitters in one job
            .job_rows(EMITTERS_MAX as u32)
            .stage("render"),
        );
}

/// Emits what is due from one emitter. The newest particle glows; the one before it gets a last push, or (rarely) is
/// taken back, and another one takes its place.
fn emit(job: &mut Job<'_, '_>, row: usize, at: Position, (speed, seed): (f32, u64), due: u64, before: Offspring) {
    if due == 0 {
        return;
    }
    let mut of_all = Random::new(seed, u64::MAX, before.count);
    let mut count = due;
    if before.newest != Entity::NULL {
        if of_all.bits().is_multiple_of(64) {
            job.despawn(before.newest);
            count += 1;
        } else {
            job.remove::<Hot>(before.newest);
            job.set(before.newest, Velocity { x: 0.0, y: 1.25 * speed, z: 0.0 });
        }
    }
    let mut newest = before.newest;
    for number in before.count..before.count + count {
        let mut random = Random::new(seed, number, 0);
        let velocity = Velocity {
            x: speed * random.range_f32(-0.5, 0.5),
            y: speed * random.range_f32(0.5, 1.0),
            z: speed * random.range_f32(-0.5, 0.5),
        };
        let lifetime = Lifetime { seconds: random.range_f32(LIFETIME.0, LIFETIME.1) };
        newest = job.spawn((at, velocity, Age { seconds: 0.0 }, lifetime));
    }
    // the handles are reserved: they become real when the batch is committed, here and as a value
    job.add(newest, Hot);
    job.set_row(row, Offspring { newest, count: before.count + count });
}
