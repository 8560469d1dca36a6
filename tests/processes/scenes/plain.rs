//! Small schedules on one world: systems that fuse, jobs that send much, kernels at fault.
#![forbid(unsafe_code)]

use std::time::Duration;

use hypostyle::{Read, RegionTarget, Schedule, System, Without, World, Write};

use super::components::{Frozen, Hot, Mass, Position, Velocity};
use crate::hostile;
use crate::sandbox;
use crate::support::{in_worker, mix};

/// Row-local systems that all fuse.
pub(super) fn local(schedule: &mut Schedule) {
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut p, v)| {
        let dt = job.dt() as f32;
        p.x.map_with(v.x, |x, v| x + v * dt);
        p.y.iter_mut().zip(v.y).for_each(|(y, v)| *y += v * dt);
    }));
    schedule.add(System::rows::<(Write<Velocity>, Read<Position>)>("turn", |job, (mut v, p)| {
        let k = job.time() as f32 * 0.001 + job.frame() as f32 * 0.01;
        v.x.map_with(p.y, |x, y| x - y * k);
        v.y.map_with(p.x, |y, x| y + x * k);
    }));
    schedule.add(System::rows::<(Write<Mass>, Read<Velocity>, Without<Frozen>)>("grow", |_, (mut mass, v, ())| {
        mass.kg.map_with(v.x, |kg, x| kg + f64::from(x) * 0.125);
        mass.parts.iter_mut().for_each(|parts| parts[1] = parts[1].wrapping_add(parts[0]));
    }));
}

/// Jobs whose patches are more than a worker keeps to itself: it sends them in several parts.
pub(super) fn flood(schedule: &mut Schedule) {
    schedule.add(
        System::rows::<(Write<Velocity>, Read<Mass>)>("flood", |job, (mut v, mass)| {
            for row in 0..job.len() {
                let parts = [row as u16, mass.parts[row][0].wrapping_mul(5), job.frame() as u16];
                job.set_row(row, Mass { kg: f64::from(v.x[row]), parts });
                v.x[row] = v.x[row] * 0.5 + row as f32;
            }
        })
        .sets::<Mass>(),
    );
    schedule.add(System::rows::<(Write<Position>, Read<Mass>)>("settle", |_, (mut p, mass)| {
        p.y.map_with(mass.kg, |y, kg| y + kg as f32);
    }));
}

/// A table that is put in another order in each frame, by keys of which many are equal.
pub(super) fn sorted(schedule: &mut Schedule) {
    type Columns = (Write<Position>, Write<Mass>, Write<Velocity>);
    let stir = System::rows::<Columns>("stir up", |job, (mut p, mut mass, mut v)| {
        for row in 0..job.len() {
            let number = mix(u64::from(job.entities()[row].index()) ^ job.frame() << 32);
            p.x[row] = (number % 5000) as f32 - 2000.0;
            mass.kg[row] = (number >> 40) as f64;
            v.y[row] += p.x[row];
        }
    });
    schedule.add(stir.sort_by("position.x").sort_then_by("mass.kg"));
}

/// Dense systems, one of which does in one job what its payload says.
pub(super) fn reaching(schedule: &mut Schedule) {
    let step = System::try_rows::<(Write<Velocity>, Read<Position>)>("step", |job, (mut v, p)| {
        if job.first_row() == FAULTY_ROW && in_worker() {
            sandbox::reach(job.payload())?;
        }
        v.x.iter_mut().zip(p.y).for_each(|(x, y)| *x += *y);
        v.y.map(|y| y + 1.0);
        Ok(())
    });
    schedule.add(step.job_rows(64));
    schedule.add(System::rows::<Write<Mass>>("count", |job, mut mass| {
        let frame = job.frame() as f64;
        mass.kg.map(|kg| kg * 0.5 + frame);
    }));
}

pub(super) fn world(region: RegionTarget, rows: usize) -> World {
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .component::<Mass>()
        .component::<Hot>()
        .component::<Frozen>()
        .bytes_max(1 << 30)
        .region(region)
        .build()
        .unwrap();
    let mut body = |i: usize| {
        let i16 = i as u16;
        (
            Position { x: i as f32, y: 1.0 },
            Velocity { x: 0.5, y: i as f32 * 0.25 },
            Mass { kg: 1.0, parts: [i16, 0, 1] },
        )
    };
    let all = world.spawn_batch((0..rows).map(&mut body)).unwrap();
    for entity in all.iter().step_by(3) {
        world.add(*entity, Frozen { since: 0.0 }).unwrap();
    }
    world
}

/// What a kernel of the faulty schedule is to do, as the first byte of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    Abort,
    KillItself,
    Panic,
    Error,
    Hang,
    WriteUndeclared,
    WriteHandles,
}

const FAULTS: [Fault; 8] = [
    Fault::Nothing,
    Fault::Abort,
    Fault::KillItself,
    Fault::Panic,
    Fault::Error,
    Fault::Hang,
    Fault::WriteUndeclared,
    Fault::WriteHandles,
];

/// The first of the rows whose job is at fault.
pub const FAULTY_ROW: usize = 256;

/// A dense system, one with patches, and one that does what its payload says.
pub(super) fn faulty(schedule: &mut Schedule, deadline: Option<Duration>, job_rows: u32) {
    schedule.add(System::rows::<Write<Mass>>("count", |job, mut mass| {
        let frame = job.frame() as f64;
        mass.kg.map(|kg| kg * 0.5 + frame);
    }));
    let step = System::try_rows::<(Write<Velocity>, Read<Position>)>("step", |job, (mut v, p)| {
        for (x, y) in v.x.iter_mut().zip(p.y) {
            *x += *y;
        }
        let fault = FAULTS[usize::from(*job.payload().first().unwrap_or(&0))];
        if job.first_row() == FAULTY_ROW {
            hostile::commit(fault, p.x, job.entities())?;
        }
        for row in (0..job.len()).step_by(17) {
            if (row as u64 + job.frame()).is_multiple_of(2) {
                job.add_row(row, Hot)
            } else {
                job.remove_row::<Hot>(row)
            }
        }
        v.y.map(|y| y + 1.0);
        Ok(())
    });
    let step = step.adds::<Hot>().removes::<Hot>().job_rows(job_rows);
    schedule.add(match deadline {
        Some(deadline) => step.deadline(deadline),
        None => step,
    });
}
