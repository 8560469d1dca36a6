//! Rows whose every field is sealed by one of them: a reader sees whether a row is whole.
#![forbid(unsafe_code)]

use hypostyle::{Component, Read, RegionTarget, Resource, Schedule, System, With, World, Write};

use super::components::Hot;
use super::{roll, seed_of};
use crate::support::mix;

/// A row whose every field is sealed by one of them; written whole in each frame.
#[derive(Component, Clone, Copy, Debug)]
pub struct Sealed {
    pub id: u64,
    pub x: f32,
    pub y: f32,
    pub frame: u64,
    pub seal: u64,
}
/// Sealed as well, written here and there.
#[derive(Component, Clone, Copy, Debug)]
pub struct Sparse {
    pub value: u32,
    pub parts: [u16; 3],
    pub seal: u32,
}
/// Sealed as well, comes and goes.
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Marked {
    pub since: u32,
    pub seal: u32,
}
#[derive(Resource, Clone, Copy, Debug)]
pub struct Clock {
    #[resource(default = 0)]
    pub frame: u64,
    #[resource(default = 0)]
    pub seal: u64,
}

impl Sealed {
    pub fn new(id: u64, x: f32, y: f32, frame: u64) -> Sealed {
        Sealed { id, x, y, frame, seal: seal_of(id, x, y, frame) }
    }
}

pub fn seal_of(id: u64, x: f32, y: f32, frame: u64) -> u64 {
    mix(id ^ mix(u64::from(x.to_bits()) << 32 | u64::from(y.to_bits())) ^ mix(frame).rotate_left(17))
}

impl Sparse {
    pub fn new(value: u32) -> Sparse {
        let parts = [value as u16, (value >> 8) as u16, !value as u16];
        Sparse { value, parts, seal: sparse_seal(value, parts) }
    }
}

pub fn sparse_seal(value: u32, parts: [u16; 3]) -> u32 {
    mix(u64::from(value) | u64::from(parts[0]) << 32 ^ u64::from(parts[1]) << 40 ^ u64::from(parts[2]) << 48) as u32
}

impl Marked {
    pub fn new(since: u32) -> Marked {
        Marked { since, seal: mix(u64::from(since)) as u32 }
    }
}

/// A world of sealed rows.
pub fn sealed_world(region: RegionTarget, rows: usize, bytes_max: Option<u64>) -> World {
    let mut world = World::builder()
        .component::<Sealed>()
        .component::<Sparse>()
        .component::<Marked>()
        .component::<Hot>()
        .resource::<Clock>()
        .bytes_max(bytes_max.unwrap_or(1 << 30))
        .region(region)
        .build()
        .unwrap();
    world.set_resource(Clock { frame: 0, seal: mix(0) }).unwrap();
    let row = |i: usize| (Sealed::new(mix(i as u64), i as f32, 0.5, 0), Sparse::new(i as u32));
    world.spawn_batch((0..rows).map(row)).unwrap();
    world
}

pub(super) fn schedule(schedule: &mut Schedule) {
    schedule.add(
        System::rows::<(Read<Sparse>, With<Sealed>)>("poke", |job, (sparse, ())| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                if roll(job, seed, row, 1).is_multiple_of(50) {
                    job.set_row(row, Sparse::new(sparse.value[row].wrapping_mul(3).wrapping_add(1)));
                }
            }
        })
        .sets::<Sparse>(),
    );
    schedule.add(
        System::rows::<With<Sealed>>("flip", |job, ()| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                match roll(job, seed, row, 2) % 64 {
                    0 => job.add_row(row, Marked::new(job.frame() as u32)),
                    1 => job.remove_row::<Marked>(row),
                    2 => job.add_row(row, Hot),
                    3..6 => job.remove_row::<Hot>(row),
                    _ => {}
                }
            }
        })
        .adds::<(Marked, Hot)>()
        .removes::<(Marked, Hot)>(),
    );
    schedule.add(
        System::rows::<(Read<Sealed>, Read<Sparse>)>("swap", |job, (sealed, sparse)| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                if roll(job, seed, row, 3).is_multiple_of(100) {
                    job.despawn_row(row);
                    let id = mix(sealed.id[row]);
                    job.spawn((Sealed::new(id, 1.0, sealed.x[row], job.frame()), Sparse::new(sparse.value[row])));
                }
            }
        })
        .despawns()
        .spawns::<(Sealed, Sparse)>(),
    );
    schedule.add(
        System::rows::<Write<Sealed>>("stir", |job, mut sealed| {
            let (frame, dt) = (job.frame(), job.dt() as f32);
            sealed.x.map(|x| x * 0.75 + dt);
            for row in 0..job.len() {
                sealed.y[row] += sealed.x[row];
                sealed.frame[row] = frame;
                sealed.seal[row] = seal_of(sealed.id[row], sealed.x[row], sealed.y[row], frame);
            }
        })
        .stage("late"),
    );
    schedule.add(
        System::rows::<With<Sealed>>("clock", |job, ()| {
            if job.first_row() == 0 {
                job.set_resource(Clock { frame: job.frame(), seal: mix(job.frame()) });
            }
        })
        .sets_resource::<Clock>()
        .stage("cleanup"),
    );
}
