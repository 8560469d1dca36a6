//! Emitters, and the census.
#![forbid(unsafe_code)]

use hypostyle::{AnyOf, Entity, GlobalId, Job, Query, Read, Schedule, System, Write};

use super::super::random::Random;
use super::{Age, Census, Emitter, Hot, LIFETIME, Lifetime, Offspring, Position, Velocity};

/// Spawning, and counting.
pub(super) fn emission(schedule: &mut Schedule, ids: bool) {
    schedule.add(emitting(ids)).add(count());
}

fn emitting(ids: bool) -> System {
    let system = if ids {
        System::rows::<(Own, Read<GlobalId>)>("emit", |job, (own, ids)| {
            emit_all(job, own, |row| Some(GlobalId { value: ids.value[row] }));
        })
        .spawns::<(GlobalId, Position, Velocity, Age, Lifetime)>()
    } else {
        System::rows::<Own>("emit", |job, own| emit_all(job, own, |_| None))
            .spawns::<(Position, Velocity, Age, Lifetime)>()
    };
    system.sets::<(Velocity, Offspring)>().adds::<Hot>().removes::<Hot>().despawns().job_rows(64).stage("late")
}

/// What an emitter has.
type Own = (Read<Position>, Write<Emitter>, Read<Offspring>);

fn emit_all(job: &mut Job<'_, '_>, own: <Own as Query>::Item<'_>, id: impl Fn(usize) -> Option<GlobalId>) {
    let (position, mut emitter, offspring) = own;
    for row in 0..job.len() {
        let owed = emitter.carry[row] + emitter.rate[row] * job.dt() as f32;
        // truncates: what is owed is never negative
        let due = owed as u64;
        emitter.carry[row] = owed - due as f32;
        let at = Position { x: position.x[row], y: position.y[row], z: position.z[row] };
        let (speed, seed) = (emitter.speed[row], emitter.seed[row]);
        let before = Offspring { newest: offspring.newest[row], count: offspring.count[row] };
        emit(job, (row, id(row)), at, (speed, seed), due, before);
    }
}

fn count() -> System {
    System::rows::<(Option<Read<Age>>, Option<Read<Hot>>, Option<Read<Offspring>>, AnyOf<(Age, Offspring)>)>(
        "count",
        |job, (age, hot, offspring, ())| {
            let particles = age.map_or(0, |age| age.seconds.len() as u64);
            job.reduce(Census {
                frame: job.frame(),
                particles,
                hot: if hot.is_some() { particles } else { 0 },
                emitted: offspring.map_or(0, |offspring| offspring.count.iter().sum()),
            });
        },
    )
    .reduces::<Census>()
    .stage("render")
}

/// Emits what is due from one emitter. The newest particle glows; the one before it gets a last push, or (rarely) is
/// taken back, and another one takes its place.
fn emit(
    job: &mut Job<'_, '_>,
    (row, id): (usize, Option<GlobalId>),
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
        let particle = (at, velocity, Age { seconds: 0.0 }, lifetime);
        newest = match id {
            // numbers of an emitter's particles name each once
            Some(id) => job.spawn((id.child(0, number), particle)),
            None => job.spawn(particle),
        };
    }
    // the handles are reserved: they become real when the batch is committed, here and as a value
    job.add(newest, Hot);
    job.set_row(row, Offspring { newest, count: before.count + count });
}
