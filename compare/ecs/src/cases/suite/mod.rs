//! The cases of ecs_bench_suite, with their sizes.
#![forbid(unsafe_code)]

mod add_remove;
mod fragmented;
mod heavy;
mod insert;
mod iter;
mod schedule;
mod serialize;

use crate::checksum::Checksum;
use crate::components::{Position, Rotation, Transform, Velocity};
use crate::measure::{Bench, Mismatch};

/// All cases.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    insert::run(bench)?;
    iter::run(bench)?;
    fragmented::run(bench)?;
    schedule::run(bench)?;
    heavy::run(bench)?;
    add_remove::run(bench)?;
    serialize::run(bench)
}

/// What most of the cases are made of.
type Entity = (Transform, Position, Rotation, Velocity);

const IDENTITY: [f32; 16] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

fn entity(_: usize) -> Entity {
    (
        Transform { m: IDENTITY },
        Position { x: 1.0, y: 0.0, z: 0.0 },
        Rotation { x: 1.0, y: 0.0, z: 0.0 },
        Velocity { x: 1.0, y: 0.0, z: 0.0 },
    )
}

fn add(sum: &mut Checksum, t: &Transform, p: &Position, r: &Rotation, v: &Velocity) {
    let others = [p.x, p.y, p.z, r.x, r.y, r.z, v.x, v.y, v.z];
    sum.add_f32(t.m.into_iter().chain(others));
}
