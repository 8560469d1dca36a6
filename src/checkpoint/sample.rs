//! A small checkpoint with everything in it, and forged ones: for tests and fuzzing.
#![forbid(unsafe_code)]

use crate::snapshot::Reader;
use crate::{Component, Resource, World};

use super::format::{self, Entry, HEADER_BYTES, Head, TRAILER_BYTES};
use super::write::{CheckpointOptions, write};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spot {
    pub x: f32,
    pub trail: [f64; 3],
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle", track_changes)]
pub(crate) struct Warm {
    pub heat: u16,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Marked;

#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wind {
    pub speed: f32,
}

/// A world with a bit of everything: holes in the entity map, a toggle on some rows, a tag, a resource, two
/// generations.
pub(crate) fn world() -> World {
    world_of(1 << 20)
}

/// The same with more room.
pub(crate) fn world_of(bytes_max: u64) -> World {
    let builder = World::builder().component::<Spot>().component::<Warm>().component::<Marked>().resource::<Wind>();
    let mut world = builder.bytes_max(bytes_max).build().expect("a small world fits");
    let spot = |i: u32| Spot { x: i as f32 * 0.5, trail: [f64::from(i), -1.0, 1e300] };
    let all = world.spawn_batch((0..90).map(spot)).expect("there is room").to_vec();
    world.insert_resource(Wind { speed: 2.5 }).expect("it has none");
    world.publish().expect("nobody holds anything");
    for entity in all.iter().step_by(7) {
        world.add(*entity, Warm { heat: entity.index() as u16 }).expect("there is room");
    }
    world.add(all[3], Marked).expect("there is room");
    for entity in &all[40..44] {
        world.despawn(*entity).expect("it is alive");
    }
    world.publish().expect("nobody holds anything");
    world
}

/// The bytes of a checkpoint of it, with several chunks to a column.
pub(crate) fn bytes_of(reader: &mut Reader, level: i32) -> Vec<u8> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("hypostyle-sample-{}-{}", crate::os::pid(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let options = CheckpointOptions {
        chunk_bytes: 256,
        ..CheckpointOptions::default().level(level).note("scene", "none").note("seed", "7")
    };
    let snapshot = reader.pin().expect("it is published");
    write(&snapshot, &path, &options).expect("a small file can be written");
    let bytes = std::fs::read(&path).expect("it was just written");
    std::fs::remove_file(&path).expect("it was just written");
    bytes
}

/// Makes every checksum right again where lengths allow it, so that what is wrong must be found by looking.
pub(crate) fn mend(bytes: &mut [u8]) -> Option<()> {
    let file_bytes = bytes.len() as u64;
    let length = Head::length(bytes.first_chunk::<HEADER_BYTES>()?, file_bytes).ok()? as usize;
    let head_checksum = format::head_checksum(&bytes[..length]);
    bytes[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&head_checksum.to_le_bytes());
    let chunks = u64::from_le_bytes(*bytes[104..].first_chunk::<8>()?);
    let end = bytes.len().checked_sub(TRAILER_BYTES)?;
    let begin = end.checked_sub(usize::try_from(chunks).ok()?.checked_mul(16)?)?;
    let mut at = length;
    for place in (begin..end).step_by(16) {
        let stored = u32::from_le_bytes(*bytes[place..].first_chunk::<4>()?);
        let encoding = u32::from_le_bytes(*bytes[place + 4..].first_chunk::<4>()?);
        let content = bytes.get(at..at.checked_add(stored as usize)?)?;
        let mut entry = Vec::new();
        Entry { bytes: stored, encoding, checksum: xxhash_rust::xxh3::xxh3_64(content) }.encode(&mut entry);
        at += stored as usize;
        bytes[place..place + 16].copy_from_slice(&entry);
    }
    let trailer = format::encode_trailer(file_bytes, &bytes[begin..end], head_checksum);
    bytes[end..].copy_from_slice(&trailer);
    Some(())
}
