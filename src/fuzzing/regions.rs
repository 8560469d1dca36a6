//! Regions as files that were damaged: opened by readers, taken over by writers.
#![expect(unsafe_code, reason = "opens a region of its own")]

use super::{Sample, own_scratch, scratch};
use crate::{Reader, RegionTarget, World};

/// A kept region with two generations, as bytes of its files.
fn sample_region() -> Vec<(&'static str, Vec<u8>)> {
    files_of(&scratch("template"), World::builder().component::<Sample>(), |world| {
        world.spawn_batch((0..300).map(|i| Sample { x: 0.5, id: i })).expect("there is room");
        world.publish().expect("nobody holds anything");
        world.spawn(Sample { x: 1.5, id: 7 }).expect("there is room");
    })
}

/// The files of a small world's region after it was filled and published.
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

/// Makes the published directory's checksum right again, so that what is wrong with it must be found by looking.
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
fn directory_place(files: &[(&'static str, Vec<u8>)]) -> std::ops::Range<usize> {
    let word =
        |at: usize| files[1].1.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes) as usize;
    let slot = 8192 + 32 * (word(64) & 0xffff);
    let (offset, bytes) = (word(slot + 8), word(slot + 16));
    let end = offset.checked_add(bytes).filter(|end| *end <= files[2].1.len());
    end.map_or(0..0, |end| offset..end)
}

/// The files of the sample region, which is made once.
fn template() -> Vec<(&'static str, Vec<u8>)> {
    static TEMPLATE: std::sync::OnceLock<Vec<(&'static str, Vec<u8>)>> = std::sync::OnceLock::new();
    TEMPLATE.get_or_init(sample_region).clone()
}

/// A region whose files were damaged: each 4 bytes of the input pick a file, or the published directory, a place in it and
/// a new value; an input that begins with an odd byte cuts the last file it names short; bit 1 of that byte mends the
/// directory's checksum.
fn damaged_region(input: &[u8]) -> RegionTarget {
    let mut files = template();
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
pub(super) fn lay_out(files: &[(&'static str, Vec<u8>)]) -> RegionTarget {
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
pub fn takeover(input: &[u8]) {
    take_over(&damaged_region(input));
}

/// Whether the region was accepted.
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

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;
    use crate::Component;

    /// Edits of a kept region's files where damage matters; `file` 4 is the directory.
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

    /// The slot of the published directory says that it has another generation's: no reader finds it, and no writer takes it.
    #[cfg_attr(miri, ignore = "regions of files")]
    #[test]
    fn a_slot_that_does_not_name_its_directory_is_refused() {
        takeover(&[0xff, 0x06, 0x80, 0x23, 0xff]);
        let mut files = template();
        let slot = 8192 + 32 * usize::from(u16::from_le_bytes([files[1].1[64], files[1].1[65]]));
        files[1].1[slot + 2] ^= 1;
        let target = lay_out(&files);
        // SAFETY: nobody else writes to the files.
        let mut reader = unsafe { Reader::open(&target) }.expect("the files are whole");
        assert!(reader.pin().is_err());
        drop(reader);
        assert!(!take_over(&target));
    }

    /// Two columns in one extent, with every checksum right: no reader and no writer takes them.
    #[cfg_attr(miri, ignore = "regions of files")]
    #[test]
    fn columns_that_share_bytes_are_refused() {
        let whole = template();
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
}
