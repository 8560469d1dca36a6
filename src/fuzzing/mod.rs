//! Doors for fuzzing: each takes arbitrary bytes to a place that must survive them. Not part of the public interface.
//!
//! An entry point returns normally for every input; a panic, a hang or an access outside its memory is a bug. The same entry points
//! run over seeded inputs in the ordinary tests.
#![expect(unsafe_code, reason = "lays rings over its own heap memory; opens a region of its own")]

mod mailbox;
#[cfg(unix)]
mod recordings;

use bytemuck::Zeroable;

#[cfg(all(unix, feature = "checkpoint"))]
pub use recordings::journal;
#[cfg(unix)]
use recordings::sample_trace;

use crate::layout::Layout;
use crate::patch::{Body, Consumer, DrainError, Op, RecordSizes, Records, Ring, RingError, RingLine};
#[cfg(unix)]
use crate::{Component, Reader, RegionTarget, World};

#[cfg(unix)]
#[derive(Component, Clone, Copy)]
struct Sample {
    x: f32,
    id: u64,
}

/// Bytes as what a hostile process does with the mailbox of a simulation that takes inputs: records, rubbish in its ring,
/// words of the mailbox, frames between them.
pub fn inputs_mailbox(bytes: &[u8]) {
    mailbox::hostile(bytes);
}

/// A kept region with two generations, as bytes of its files.
#[cfg(unix)]
fn sample_region() -> Vec<(&'static str, Vec<u8>)> {
    files_of(&scratch("template"), World::builder().component::<Sample>(), |world| {
        world.spawn_batch((0..300).map(|i| Sample { x: 0.5, id: i })).expect("there is room");
        world.publish().expect("nobody holds anything");
        world.spawn(Sample { x: 1.5, id: 7 }).expect("there is room");
    })
}

/// The files of a small world's region after it was filled and published.
#[cfg(unix)]
fn files_of(
    parent: &std::path::Path,
    builder: crate::WorldBuilder,
    fill: impl FnOnce(&mut World),
) -> Vec<(&'static str, Vec<u8>)> {
    let target = RegionTarget::Directory(parent.join("region"));
    let mut world = builder.bytes_max(1 << 20).region(target).keep_region(true).build();
    let world = world.as_mut().expect("a small region can be made");
    fill(world);
    world.publish().expect("nobody holds anything");
    let files = ["descriptor", "control", "data", "leases", "lock"]
        .map(|name| (name, std::fs::read(parent.join("region").join(name)).expect("the region has this file")));
    world.set_keep_region(false);
    files.to_vec()
}

/// A directory of this process's own.
#[cfg(unix)]
fn scratch(what: &str) -> std::path::PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    let path = std::env::temp_dir().join(format!("hypostyle-fuzzing-{}-{what}", std::process::id()));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).expect("a temporary directory can be made");
    path
}

/// A directory of this thread's own: tests run beside each other.
#[cfg(unix)]
fn own_scratch(what: &str) -> std::path::PathBuf {
    let thread = std::thread::current();
    let own: String = thread.name().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    scratch(&format!("{what}-{own}"))
}

/// Makes the published directory's checksum right again, so that what is wrong with it must be found by looking.
#[cfg(unix)]
fn mend_checksum(files: &mut [(&'static str, Vec<u8>)]) {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes) as usize
    };
    let control = &files[1].1;
    let slot = 8192 + 32 * (word(control, 64) & 0xffff);
    let (offset, bytes) = (word(control, slot + 8), word(control, slot + 16));
    let Some(directory) = offset.checked_add(bytes).and_then(|end| files[2].1.get(offset..end)) else { return };
    let checksum = xxhash_rust::xxh3::xxh3_64(directory);
    if let Some(place) = files[1].1.get_mut(slot + 24..slot + 32) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
}

/// The published directory: where it stands in the data, and its bytes.
#[cfg(unix)]
fn directory_place(files: &[(&'static str, Vec<u8>)]) -> std::ops::Range<usize> {
    let word =
        |at: usize| files[1].1.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes) as usize;
    let slot = 8192 + 32 * (word(64) & 0xffff);
    let (offset, bytes) = (word(slot + 8), word(slot + 16));
    let end = offset.checked_add(bytes).filter(|end| *end <= files[2].1.len());
    end.map_or(0..0, |end| offset..end)
}

/// A region whose files were damaged: each 4 bytes of the input pick a file, or the published directory, a place in it and
/// a new value; an input that begins with an odd byte cuts the last file it names short; bit 1 of that byte mends the
/// directory's checksum.
#[cfg(unix)]
fn damaged_region(input: &[u8]) -> RegionTarget {
    static TEMPLATE: std::sync::OnceLock<Vec<(&'static str, Vec<u8>)>> = std::sync::OnceLock::new();
    let mut files = TEMPLATE.get_or_init(sample_region).clone();
    let directory = directory_place(&files);
    let mut last = 0;
    for edit in input.get(1..).unwrap_or_default().chunks_exact(4) {
        let place = usize::from(edit[1]) << 8 | usize::from(edit[2]);
        if edit[0] % 5 == 4 {
            let at = directory.start + place % directory.len();
            files[2].1[at] = edit[3];
            continue;
        }
        // the data file is large: its first pages hold everything there is
        last = usize::from(edit[0]) % 5;
        let bytes = &mut files[last].1;
        let place = place % bytes.len().min(1 << 16);
        bytes[place] = edit[3];
    }
    if let (Some(cut), Some(place)) = (input.first().filter(|cut| **cut % 2 == 1), input.last()) {
        let bytes = &mut files[last].1;
        bytes.truncate(bytes.len() * usize::from(*place) / 256 + usize::from(*cut));
    }
    if input.first().is_some_and(|first| first & 2 != 0) {
        mend_checksum(&mut files);
    }
    lay_out(&files)
}

/// Files as a region.
#[cfg(unix)]
fn lay_out(files: &[(&'static str, Vec<u8>)]) -> RegionTarget {
    use std::os::unix::fs::OpenOptionsExt;
    let directory = own_scratch("damaged").join("region");
    // what an earlier input left is not an error to anyone
    let _ = std::fs::remove_dir_all(&directory);
    let _ = std::fs::create_dir(&directory);
    for (name, bytes) in files {
        let mut file = std::fs::OpenOptions::new();
        let opened = file.write(true).create(true).truncate(true).mode(0o600).open(directory.join(name));
        std::io::Write::write_all(&mut opened.expect("a file can be made"), bytes).expect("it can be written");
    }
    RegionTarget::Directory(directory)
}

/// Opens a damaged region ([`damaged_region`]), pins and reads everything.
#[cfg(unix)]
pub fn region_open(input: &[u8]) {
    let target = damaged_region(input);
    // SAFETY: nobody else writes to the files; that their content is arbitrary is the point.
    let Ok(mut reader) = (unsafe { Reader::open(&target) }) else { return };
    if let Ok(snapshot) = reader.pin() {
        std::hint::black_box((snapshot.hash(), snapshot.entity_count(), snapshot.check().is_ok()));
        for table in snapshot.tables() {
            let _ = std::hint::black_box(table.column::<f32>("sample.x"));
            let _ = std::hint::black_box(table.presence("sample"));
        }
    }
}

/// Takes a damaged region over and goes on from it, as far as it is accepted: what is accepted works.
#[cfg(unix)]
pub fn takeover(input: &[u8]) {
    take_over(&damaged_region(input));
}

/// Whether the region was accepted.
#[cfg(unix)]
fn take_over(target: &RegionTarget) -> bool {
    let Ok(mut world) = World::builder().component::<Sample>().resume(target) else { return false };
    world.set_keep_region(false);
    {
        let mut reader = world.reader().expect("a lease is free");
        let snapshot = reader.pin().expect("what a writer accepted a reader accepts");
        snapshot.check().expect("what a writer accepted is a state");
        std::hint::black_box(snapshot.hash());
    }
    let before = world.entity_count();
    // what a frame does; lack of memory is an answer
    let Ok(born) = (0..20).map(|i| world.spawn(Sample { x: 2.5, id: i })).collect::<Result<Vec<_>, _>>() else {
        return true;
    };
    for (index, entity) in born.iter().enumerate() {
        assert_eq!(world.get::<Sample>(*entity).expect("it was just made").id, index as u64);
    }
    for entity in &born[..10] {
        world.despawn(*entity).expect("it was just made");
    }
    assert_eq!(world.entity_count(), before + 10);
    for _ in 0..3 {
        if world.begin_frame().is_ok() {
            world.end_frame(0.5);
        }
        let _ = world.publish();
    }
    true
}

/// Sizes that give every kind of value a chance: a vector, a tag, odd sizes, many fields.
fn sizes() -> RecordSizes {
    let components = [vec![4, 4, 4], vec![], vec![1], vec![8], vec![12, 1, 2], vec![4; 16]];
    RecordSizes::from_parts(components, [0, 8, 12])
}

/// Reads every record and every entry of `bytes`; a sum, so that nothing is optimised away.
fn read_records(bytes: &[u8], sizes: &RecordSizes) -> u64 {
    let mut sum = 0u64;
    let mut add = |target: u64, value: &[u8]| {
        sum = sum.wrapping_mul(31).wrapping_add(target).wrapping_add(value.iter().map(|b| u64::from(*b)).sum());
    };
    for record in Records::new(bytes, sizes) {
        match record {
            Err(error) => add(1, error.to_string().as_bytes()),
            Ok(record) => match record.body {
                Body::JobBegin { job, attempt } => add(u64::from(job), &attempt.to_le_bytes()),
                Body::JobEnd(end) => add(u64::from(end.records), &[u8::from(end.ok)]),
                Body::Failure { message } => add(2, message.as_bytes()),
                Body::Range { start, end, .. } => add(u64::from(end - start), &[]),
                Body::Changed { first, words, .. } => add(u64::from(first), words.as_flattened()),
                Body::SetResource { resource, value } | Body::Reduce { resource, value } => {
                    add(u64::from(resource), value)
                }
                Body::Spawn(run) => {
                    run.components().for_each(|component| add(u64::from(component), &[]));
                    // A spawn of tags has no bytes per entity and any count; looking at a few is enough.
                    (0..run.count().min(4096)).for_each(|i| add(3, run.value(i).expect("inside the count")));
                    assert!(run.value(run.count()).is_none(), "one past the end");
                }
                Body::Rows { op, entries, .. } => {
                    assert_eq!(entries.iter().count(), entries.len());
                    entries.iter().for_each(|(row, value)| add(u64::from(row), value));
                    assert!(
                        matches!(op, Op::Set | Op::Add | Op::Accumulate) || entries.value_bytes() == 0,
                        "only these carry values"
                    );
                }
                Body::Entities { op, entries, .. } => {
                    assert_eq!(entries.iter().count(), entries.len());
                    entries.iter().for_each(|(entity, value)| add(entity.to_bits(), value));
                    assert!(
                        matches!(op, Op::Set | Op::Add | Op::Accumulate) || entries.value_bytes() == 0,
                        "only these carry values"
                    );
                }
            },
        }
    }
    sum
}

/// Drains a ring until it breaks or is empty.
fn drain(mut consumer: Consumer, capacity: usize, sizes: &RecordSizes) {
    let mut bytes = 0;
    let result = consumer.drain::<()>(&mut |record| {
        bytes += record.len();
        read_records(record, sizes);
        Ok(())
    });
    assert!(bytes <= capacity, "one drain moves at most the ring's capacity");
    match result {
        Ok(_) => assert_eq!(consumer.drain::<()>(&mut |_| Ok(())), Ok(0), "everything was drained"),
        Err(error @ DrainError::Ring(_)) => {
            assert_eq!(consumer.drain::<()>(&mut |_| Ok(())), Err(error), "a broken ring stays broken");
        }
        Err(DrainError::Sink(())) => unreachable!("the sink refuses nothing"),
    }
}

/// Arbitrary bytes as records, as the memory of a ring, and as the positions and data of a ring whose head is whole.
pub fn ring_records(bytes: &[u8]) {
    let sizes = sizes();
    read_records(bytes, &sizes);
    let mut lines = vec![RingLine::zeroed(); bytes.len().div_ceil(size_of::<RingLine>()) + 5];
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
    memory[..bytes.len()].copy_from_slice(bytes);
    let (base, len) = (memory.as_mut_ptr(), memory.len());
    // SAFETY: the vector's own memory, which outlives the ring and is accessed by nobody else.
    let attached = unsafe { Ring::attach(base, len) };
    if let Ok(ring) = attached {
        open_ends(&ring, &sizes);
    }
    let capacity = 1 << (len - 384).ilog2();
    // SAFETY: as above; the ring before is not used any more. `len` is 640 or more, so 384 + capacity bytes fit.
    let ring = unsafe { Ring::init(base, capacity) }.expect("aligned, a power of two, 256 or more");
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
    for (at, word) in [128, 256].into_iter().zip(bytes.as_chunks::<8>().0) {
        memory[at..at + 8].copy_from_slice(word);
    }
    // Half of the inputs have sane positions, so that the records in the data get their turn.
    if bytes.first().is_some_and(|byte| byte & 1 == 1) {
        memory[130..136].fill(0);
        memory[256..264].copy_from_slice(&(capacity as u64 & !7).to_le_bytes());
        memory[128..136].fill(0);
    }
    let (base, len) = (memory.as_mut_ptr(), memory.len());
    let _ = ring;
    // SAFETY: as above.
    let ring = unsafe { Ring::attach(base, len) }.expect("the head was just written");
    open_ends(&ring, &sizes);
}

fn open_ends(ring: &Ring, sizes: &RecordSizes) {
    assert!(ring.capacity().is_power_of_two());
    match (ring.consumer(), ring.producer()) {
        (Ok(consumer), Ok(mut producer)) => {
            let free = producer.free_bytes().expect("the positions were just checked");
            assert!(free <= ring.capacity());
            drain(consumer, ring.capacity(), sizes);
        }
        (Err(RingError::Positions { .. }), Err(RingError::Positions { .. })) => {}
        (consumer, producer) => unreachable!("the ends disagree: {consumer:?}, {producer:?}"),
    }
}

/// Arbitrary bytes as a checkpoint, or a whole one with damage: an input that begins with an odd byte is the file; else
/// each 3 bytes after it pick a place and a new value, and bit 1 of the first byte mends the checksums.
#[cfg(feature = "checkpoint")]
pub fn checkpoint_decode(input: &[u8]) {
    use crate::checkpoint::sample;
    static TEMPLATE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let Some((first, input)) = input.split_first() else { return };
    let mut bytes = input.to_vec();
    if first & 1 == 0 {
        let template = || sample::bytes_of(&mut sample::world().reader().expect("a lease is free"), 1);
        bytes.clone_from(TEMPLATE.get_or_init(template));
        for edit in input.as_chunks::<3>().0 {
            let place = (usize::from(edit[0]) << 8 | usize::from(edit[1])) % bytes.len();
            bytes[place] = edit[2];
        }
    }
    if first & 2 != 0 {
        sample::mend(&mut bytes);
    }
    read_checkpoint(bytes);
}

/// Opens a checkpoint, checks it, loads it and looks at everything, as far as it gets.
#[cfg(feature = "checkpoint")]
pub(crate) fn read_checkpoint(bytes: Vec<u8>) {
    let Ok(file) = crate::checkpoint::CheckpointFile::of_bytes(bytes) else { return };
    // a layout may ask for any amount of memory, and get an error or wait for it: not here
    if file.raw_bytes() > 1 << 24 {
        return;
    }
    let whole = file.verify().expect("memory can be read").damaged.is_empty();
    let Ok(mut reader) = file.load() else { return };
    assert!(whole, "what is damaged is not loaded");
    let snapshot = reader.pin().expect("what was loaded has a generation");
    assert_eq!(snapshot.entity_count(), file.entity_count());
    std::hint::black_box(snapshot.hash());
}

/// A region's timeline whose file was damaged: each 4 bytes of the input are a place (3 bytes) and a new value; a first byte
/// that is odd cuts it short. Then it is read.
#[cfg(unix)]
pub fn trace(input: &[u8]) {
    static TEMPLATE: std::sync::OnceLock<Vec<(&'static str, Vec<u8>)>> = std::sync::OnceLock::new();
    let mut files = TEMPLATE.get_or_init(sample_trace).clone();
    let bytes = &mut files.last_mut().expect("the trace is the last").1;
    for edit in input.get(1..).unwrap_or_default().chunks_exact(4) {
        let place = usize::from(edit[0]) << 16 | usize::from(edit[1]) << 8 | usize::from(edit[2]);
        let place = place % bytes.len();
        bytes[place] = edit[3];
    }
    if let (Some(1), Some(place)) = (input.first().map(|first| first % 2), input.last()) {
        bytes.truncate(bytes.len() * usize::from(*place) / 256);
    }
    let target = lay_out(&files);
    // SAFETY: nobody else writes to the files.
    let Ok(reader) = (unsafe { Reader::open(&target) }) else { return };
    if let Ok(timeline) = reader.timeline() {
        std::hint::black_box(timeline);
    }
}

/// Arbitrary bytes as an encoded layout and as a layout file. What is accepted survives a round trip.
pub fn layout_decode(bytes: &[u8]) {
    if let Ok(layout) = Layout::decode(bytes) {
        check_layout(&layout);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(layout) = Layout::parse(text, "fuzz")
    {
        check_layout(&layout);
    }
}

fn check_layout(layout: &Layout) {
    let decoded = Layout::decode(&layout.encode()).expect("what was accepted can be encoded and decoded");
    assert_eq!(&decoded, layout);
    assert_eq!(decoded.hash(), layout.hash());
    let sizes = RecordSizes::new(layout);
    for (id, component) in layout.components().iter().enumerate() {
        assert_eq!(sizes.value(id as u16, 0), Some(component.packed_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Entity;
    use crate::patch::PatchWriter;

    struct Random(u64);

    impl Random {
        /// SplitMix64 (Steele, Lea, Flood 2014).
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, bound: usize) -> usize {
            (self.next() % bound as u64) as usize
        }
    }

    /// One record of every kind, valid for [`sizes`].
    fn valid_records() -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = PatchWriter::new(&mut out, 4096, None);
        writer.begin_job(7, 1);
        for row in 0..3 {
            writer.row(Op::Set, 0, 0, row, 12, |value| value.fill(row as u8));
        }
        writer.row(Op::Set, 4, 1, 9, 12, |value| value.fill(1));
        writer.row(Op::Add, 3, 0, 9, 8, |value| value.fill(2));
        writer.row(Op::Accumulate, 0, 0, 8, 12, |value| value.fill(6));
        writer.entity(Op::Accumulate, 2, 1, Entity::from_parts(3, 2), 1, |value| value.fill(1));
        writer.row(Op::Remove, 1, 0, 9, 0, |_| ());
        writer.row(Op::Despawn, 0, 0, 4, 0, |_| ());
        let entity = writer.spawn(&[0, 2], 13, |value| value.fill(3));
        writer.entity(Op::Set, 2, 1, entity, 1, |value| value.fill(4));
        writer.entity(Op::Add, 1, 0, entity, 0, |_| ());
        writer.entity(Op::Remove, 0, 0, Entity::from_parts(3, 2), 0, |_| ());
        writer.entity(Op::Despawn, 0, 0, Entity::from_parts(3, 2), 0, |_| ());
        writer.spawn(&[1], 0, |_| ());
        writer.resource(2, 12, |value| value.fill(5));
        writer.range(0, 0, 0..8192, (0, 1));
        writer.changed(0, 128, &[5, 0, 1 << 63]);
        writer.failure("it failed");
        writer.end_job(7, 1, false);
        writer.end().expect("nothing is too large");
        out
    }

    #[test]
    fn doors_survive_random_and_mutated_bytes() {
        let valid = valid_records();
        assert!(Records::new(&valid, &sizes()).all(|record| record.is_ok()));
        let rounds = if cfg!(miri) { 50 } else { 4000 };
        for seed in 0..rounds {
            let mut random = Random(seed);
            let mut bytes = match seed % 4 {
                0 => (0..random.below(700)).map(|_| random.next() as u8).collect(),
                // Two words that become the positions, then records.
                1 => [&1u64.to_le_bytes()[..], &[0; 8], &valid[..]].concat(),
                // The memory of a whole ring.
                2 => ring_image(&valid),
                _ => valid.clone(),
            };
            for _ in 0..random.below(8) {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    // Small numbers make more sense as lengths and kinds than random ones.
                    bytes[at] = if random.below(2) == 0 { random.next() as u8 } else { random.below(32) as u8 };
                }
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            ring_records(&bytes);
        }
    }

    #[test]
    fn layouts_survive_random_and_mutated_bytes() {
        let text = "name = \"w\"\n[[component]]\nname = \"position\"\nfields = { x = \"f32\", v = \"[f32; 3]\" }\n";
        let files = [text, include_str!("../../layouts/particles.toml"), include_str!("../../layouts/nbody.toml")];
        let encoded: Vec<_> =
            files.iter().filter_map(|file| Layout::parse(file, "seed").ok()).map(|l| l.encode()).collect();
        assert!(encoded.len() >= 2, "the shipped layouts are valid");
        for seed in 0..if cfg!(miri) { 20 } else { 3000 } {
            let mut random = Random(seed);
            let mut bytes = match random.below(2) {
                0 => files[random.below(files.len())].as_bytes().to_vec(),
                _ => encoded[random.below(encoded.len())].clone(),
            };
            for _ in 0..random.below(6) {
                let at = random.below(bytes.len());
                bytes[at] = if random.below(2) == 0 { random.next() as u8 } else { random.below(32) as u8 };
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            layout_decode(&bytes);
        }
    }

    /// Edits of a kept region's files where damage matters; `file` 4 is the directory.
    #[cfg(unix)]
    fn region_damage(random: &mut Random, first: u8) -> Vec<u8> {
        let mut input = vec![first];
        for _ in 0..random.below(4) {
            let file = [0u8, 1, 2, 4, 4][random.below(5)];
            let place = random.below(if file == 2 { 1 << 16 } else { 1 << 14 }) as u16;
            let [high, low] = place.to_be_bytes();
            let value = if random.below(2) == 0 { random.next() as u8 } else { random.below(4) as u8 };
            input.extend([file, high, low, value]);
        }
        input
    }

    #[cfg(unix)]
    #[cfg_attr(miri, ignore = "regions of files")]
    #[test]
    fn damaged_regions_are_taken_over_whole_or_refused() {
        assert!(take_over(&damaged_region(&[])), "an undamaged one is taken over");
        for seed in 0..1200 {
            let mut random = Random(seed);
            // most with the checksum right, so that what is wrong must be found by looking
            let first = [2u8, 2, 2, 0, 1, 3][random.below(6)];
            takeover(&region_damage(&mut random, first));
        }
    }

    #[cfg(all(unix, feature = "checkpoint"))]
    #[cfg_attr(miri, ignore = "files")]
    #[test]
    fn damaged_journals_give_what_they_have() {
        journal(&[0]);
        for seed in 0..300 {
            let mut random = Random(seed);
            let mut input = vec![[0u8, 0, 0, 1, 2, 3][random.below(6)]];
            for _ in 0..random.below(4) {
                let bound = [130, 1 << 16][random.below(2)];
                let [high, low] = (random.below(bound) as u16).to_be_bytes();
                input.extend([random.below(64) as u8, high, low, random.next() as u8]);
            }
            journal(&input);
        }
    }

    #[cfg(unix)]
    #[cfg_attr(miri, ignore = "regions of files")]
    #[test]
    fn damaged_traces_are_answered() {
        trace(&[0]);
        for seed in 0..300 {
            let mut random = Random(seed);
            let mut input = vec![u8::from(random.below(5) == 0)];
            for _ in 0..random.below(6) {
                // the header, the names, the first events
                let bound = [64, 4400, 20_000][random.below(3)];
                let place = random.below(bound) as u32;
                let [_, high, middle, low] = place.to_be_bytes();
                input.extend([high, middle, low, random.next() as u8]);
            }
            trace(&input);
        }
    }

    /// Two columns in one extent, with every checksum right: no reader and no writer takes them.
    #[cfg(unix)]
    #[cfg_attr(miri, ignore = "regions of files")]
    #[test]
    fn columns_that_share_bytes_are_refused() {
        let whole = sample_region();
        let at = directory_place(&whole).start;
        let count = |at: usize| whole[2].1[at..at + 4].try_into().map_or(0, u32::from_le_bytes) as usize;
        let (tables, columns) = (count(at + 12), count(at + 48));
        let column = |index: usize| at + 64 + 24 * tables + 32 * index + 8;
        let offset_of = |index: usize| whole[2].1[column(index)..column(index) + 8].to_vec();
        assert_eq!((tables, columns), (3, 6), "locations, generations, resources, handles, two fields");
        let mut refused = 0;
        for victim in 0..columns {
            // another column's, the directory's own, the page that is never used
            let others = (0..columns).filter(|other| *other != victim).map(offset_of);
            for offset in others.chain([(at as u64).to_le_bytes().to_vec(), vec![0; 8]]) {
                let mut files = whole.clone();
                files[2].1[column(victim)..column(victim) + 8].copy_from_slice(&offset);
                mend_checksum(&mut files);
                let target = lay_out(&files);
                // SAFETY: nobody else writes to the files.
                let mut reader = unsafe { Reader::open(&target) }.expect("the files are whole");
                let error = reader.pin().err().expect("it is refused").to_string();
                assert!(error.contains("overlap") || error.contains("outside the data"), "{error}");
                drop(reader);
                assert!(!take_over(&target), "column {victim} at {offset:?}");
                refused += usize::from(error.contains("overlap"));
            }
        }
        assert!(refused > 20, "{refused}");
    }

    /// Two tables of the same components, with every checksum right: no reader and no writer takes them.
    #[cfg(unix)]
    #[cfg_attr(miri, ignore = "regions of files")]
    #[test]
    fn tables_of_the_same_components_are_refused() {
        #[derive(Component, Clone, Copy)]
        struct Red;
        #[derive(Component, Clone, Copy)]
        struct Blue;
        let builder = World::builder().component::<Red>().component::<Blue>();
        let whole = files_of(&own_scratch("twins"), builder, |world| {
            world.spawn_batch((0..3).map(|_| Red)).expect("there is room");
            world.spawn_batch((0..2).map(|_| Blue)).expect("there is room");
        });
        let directory = directory_place(&whole);
        let ids = directory.end - 8;
        assert_eq!(whole[2].1[ids..directory.end], [0, 0, 1, 0, 0, 0, 0, 0], "a tag each");
        for (twin, said) in [(None, None), (Some(0), Some("two of its tables have the same components"))] {
            let mut files = whole.clone();
            files[2].1[ids + 2] = twin.unwrap_or(1);
            mend_checksum(&mut files);
            let target = lay_out(&files);
            // SAFETY: nobody else writes to the files.
            let mut reader = unsafe { Reader::open(&target) }.expect("the files are whole");
            let error = reader.pin().err().map(|error| error.to_string());
            assert_eq!(error.is_some(), said.is_some(), "{error:?}");
            assert!(said.is_none_or(|said| error.as_ref().is_some_and(|error| error.contains(said))), "{error:?}");
            drop(reader);
            let resumed = World::builder().component::<Red>().component::<Blue>().resume(&target);
            let error = resumed.map(|mut world| world.set_keep_region(false)).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), said.is_some(), "{error:?}");
            assert!(said.is_none_or(|said| error.as_ref().is_some_and(|error| error.contains(said))), "{error:?}");
        }
    }

    #[cfg(unix)]
    #[cfg_attr(miri, ignore = "regions of files")]
    #[test]
    fn regions_survive_damage() {
        region_open(&[]);
        for seed in 0..1500 {
            let mut random = Random(seed);
            let edits = random.below(4);
            let mut input = vec![random.below(256) as u8 & if random.below(4) == 0 { 0xff } else { 0xfe }];
            for _ in 0..edits {
                // the header, the control words and the directory's page are where damage matters
                let file = random.below(3) as u8;
                let place = random.below(if file == 2 { 1 << 16 } else { 1 << 14 }) as u16;
                let [high, low] = place.to_be_bytes();
                input.extend([file, high, low, random.next() as u8]);
            }
            region_open(&input);
        }
    }

    #[test]
    fn mailboxes_survive_hostile_senders() {
        inputs_mailbox(&[]);
        for seed in 0..if cfg!(miri) { 3 } else { 300 } {
            let mut random = Random(seed);
            let mut input = Vec::new();
            for _ in 0..random.below(12) {
                let operation = random.next() as u8;
                input.push(operation);
                match operation % 4 {
                    // kinds, components and counts that exist, mostly; entities of low slots
                    0 => {
                        let length = random.below(48);
                        input.extend([14, 3, 6, 4].map(|bound| random.below(bound) as u8));
                        input.push(length as u8);
                        let small = random.below(2) == 0;
                        input.extend(
                            (0..length).map(|_| if small { random.below(3) as u8 } else { random.next() as u8 }),
                        );
                    }
                    1 => input.extend((0..operation / 4).map(|_| random.next() as u8)),
                    // the head's first words, and the ring's
                    2 => {
                        let place = random.below(2) * 512 + random.below(2) * 2 * random.below(32);
                        input.extend((place as u16).to_le_bytes());
                        let word = if random.below(2) == 0 { random.next() } else { random.below(4096) as u64 * 8 };
                        input.extend(word.to_le_bytes());
                    }
                    _ => {}
                }
            }
            inputs_mailbox(&input);
        }
    }

    #[cfg(feature = "checkpoint")]
    #[cfg_attr(miri, ignore = "files")]
    #[test]
    fn checkpoints_survive_damage() {
        checkpoint_decode(&[]);
        for seed in 0..600 {
            let mut random = Random(seed);
            let mut input = vec![random.below(256) as u8 & if random.below(8) == 0 { 0xff } else { 0xfe }];
            for _ in 0..random.below(6) {
                // the head is where damage matters
                let bound = if random.below(2) == 0 { 800 } else { 1 << 16 };
                let [high, low] = (random.below(bound) as u16).to_be_bytes();
                input.extend([
                    high,
                    low,
                    if random.below(2) == 0 { random.next() as u8 } else { random.below(4) as u8 },
                ]);
            }
            checkpoint_decode(&input);
        }
    }

    /// The bytes of a ring of 1024 that holds `records`.
    fn ring_image(records: &[u8]) -> Vec<u8> {
        let mut lines = vec![RingLine::zeroed(); 11];
        let base = lines.as_mut_ptr().cast();
        // SAFETY: 11 lines are 384 + 1024 bytes; the ring is gone before the vector is read.
        let ring = unsafe { Ring::init(base, 1024) }.expect("aligned");
        let mut producer = ring.producer().expect("empty");
        producer.push_all(records).expect("whole records");
        producer.publish();
        bytemuck::cast_slice(&lines).to_vec()
    }
}
