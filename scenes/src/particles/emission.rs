//! Emitters, and the census.
#![forbid(unsafe_code)]

use hypostyle::{Entity, GlobalId, Job, Read, Schedule, System, Write};

use super::super::random::Random;
use super::{Age, Census, Emitter, Hot, LIFETIME, Lifetime, Offspring, Position, Velocity};

/// Spawning, and counting.
pub(super) fn emission(schedule: &mut Schedule) {
    schedule
        .add(
            System::rows::<(Read<Position>, Write<Emitter>, Read<Offspring>, Read<GlobalId>)>(
                "emit",
                |job, (position, mut emitter, offspring, id)| {
                    for row in 0..job.len() {
                        let owed = emitter.carry[row] + emitter.rate[row] * job.dt() as f32;
                        // truncates: what is owed is never negative
                        let due = owed as u64;
                        emitter.carry[row] = owed - due as f32;
                        let at = Position { x: position.x[row], y: position.y[row], z: position.z[row] };
                        let (speed, seed) = (emitter.speed[row], emitter.seed[row]);
                        let before = Offspring { newest: offspring.newest[row], count: offspring.count[row] };
                        emit(job, (row, GlobalId { value: id.value[row] }), at, (speed, seed), due, before);
                    }
                },
            )
            .spawns::<(GlobalId, Position, Velocity, Age, Lifetime)>()
            .sets::<(Velocity, Offspring)>()
            .adds::<Hot>()
            .removes::<Hot>()
            .despawns()
            .job_rows(64)
            .stage("late"),
        )
        .add(
            System::rows::<(Option<Read<Age>>, Option<Read<Hot>>, Option<Read<Offspring>>)>(
                "count",
                |job, (particles, hot, own)| {
                    let rows = job.len() as u64;
                    job.reduce(Census {
                        frame: job.frame(),
                        particles: if particles.is_some() { rows } else { 0 },
                        hot: if hot.is_some() { rows } else { 0 },
                        emitted: own.map_or(0, |own| own.count.iter().sum()),
                    });
                },
            )
            .reduces::<Census>()
            .stage("render"),
        );
}

/// Emits what is due from one emitter. The newest particle glows; the one before it gets a last push, or (rarely) is
/// taken back, and another one takes its place.
fn emit(
    job: &mut Job<'_, '_>,
    (row, id): (usize, GlobalId),
    at: Position,
    (speed, seed): (f32, u64),
    due: u64,
    before: Offspring,
) {
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
        newest = job.spawn((id.child(job.frame(), number), at, velocity, Age { seconds: 0.0 }, lifetime));
    }
    // the handles are reserved: they become real when the batch is committed, here and as a value
    job.add(newest, Hot);
    job.set_row(row, Offspring { newest, count: before.count + count });
}
