//! Death, heat and frost: what happens to few particles in a frame.
#![forbid(unsafe_code)]

use hypostyle::{GlobalId, Read, Schedule, System, With, Without};

use super::super::random::Random;
use super::{Age, Frozen, Hot, Lifetime, Velocity, VelocityColumns};

/// Squares of the speeds above which a particle becomes hot, and below which it cools and freezes.
const HOT_ABOVE: f32 = 22.0 * 22.0;
const COOL_BELOW: f32 = 16.0 * 16.0;
const FREEZE_BELOW: f32 = 0.6 * 0.6;
/// Rows looked at together for a rare event.
const BLOCK: usize = 64;

/// Calls `f` for the rows for which `rare` holds, in order; quick where it holds for few.
fn for_rare(rows: usize, rare: impl Fn(usize) -> bool, mut f: impl FnMut(usize)) {
    for start in (0..rows).step_by(BLOCK) {
        let end = (start + BLOCK).min(rows);
        if (start..end).fold(false, |any, row| any | rare(row)) {
            (start..end).filter(|row| rare(*row)).for_each(&mut f);
        }
    }
}

fn square(v: VelocityColumns<'_>, row: usize) -> f32 {
    v.x[row] * v.x[row] + v.y[row] * v.y[row] + v.z[row] * v.z[row]
}

/// What happens to few particles in a frame.
pub(super) fn changes(schedule: &mut Schedule, seed: u64) {
    schedule
        .add(
            System::rows::<(Read<Age>, Read<Lifetime>)>("die", |job, (age, lifetime)| {
                let (age, lifetime) = (age.seconds, &lifetime.seconds[..age.seconds.len()]);
                for_rare(age.len(), |row| age[row] >= lifetime[row], |row| job.despawn_row(row));
            })
            .despawns()
            .stage("late"),
        )
        .add(
            System::rows::<(Read<Velocity>, Without<Hot>)>("heat and freeze", |job, (v, ())| {
                let rare = |row| {
                    let square = square(v, row);
                    !(FREEZE_BELOW..=HOT_ABOVE).contains(&square)
                };
                for_rare(job.len(), rare, |row| {
                    if square(v, row) > HOT_ABOVE {
                        job.add_row(row, Hot);
                    } else {
                        job.add_row(row, Frozen);
                    }
                });
            })
            .adds::<(Hot, Frozen)>()
            .stage("late"),
        )
        .add(
            System::rows::<(Read<Velocity>, With<Hot>)>("cool", |job, (v, ())| {
                for_rare(job.len(), |row| square(v, row) < COOL_BELOW, |row| job.remove_row::<Hot>(row));
            })
            .removes::<Hot>()
            .stage("late"),
        )
        .add(
            System::rows::<(Read<GlobalId>, With<Frozen>)>("hold and thaw", move |job, (id, ())| {
                for row in 0..job.len() {
                    let mut random = Random::new(seed, id.value[row], job.frame());
                    if random.bits().is_multiple_of(8) {
                        let [x, y, z] = random.direction().map(|x| 4.0 * x as f32);
                        job.set_row(row, Velocity { x, y, z });
                        job.remove_row::<Frozen>(row);
                    } else {
                        job.set_row(row, Velocity { x: 0.0, y: 0.0, z: 0.0 });
                    }
                }
            })
            .sets::<Velocity>()
            .removes::<Frozen>()
            .stage("late"),
        );
}
