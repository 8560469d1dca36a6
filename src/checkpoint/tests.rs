//! Checkpoints as bytes: whole ones, damaged ones, forged ones.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use crate::World;

use super::error::{CheckpointError, FormatError};
use super::format;
use super::read::CheckpointFile;
use super::sample::{self, Marked, Spot, Warm, Wind};

fn sample() -> Vec<u8> {
    sample::bytes_of(&mut sample::world().reader().unwrap(), 1)
}

/// What is wrong with bytes: opening them, or their chunks; nothing where they are whole.
fn problem(bytes: Vec<u8>) -> Option<String> {
    match CheckpointFile::of_bytes(bytes) {
        Err(error) => Some(error.to_string()),
        Ok(file) => file.verify().unwrap().damaged.first().map(ToString::to_string),
    }
}

#[test]
fn what_is_written_is_read() {
    let world = sample::world();
    let mut reader = world.reader().unwrap();
    for level in [0, 1, 9] {
        let file = CheckpointFile::of_bytes(sample::bytes_of(&mut reader, level)).unwrap();
        let verified = file.verify().unwrap();
        assert!(verified.damaged.is_empty() && verified.chunks > 20, "{verified:?}");
        assert_eq!(verified.raw_bytes, file.raw_bytes());
        assert_eq!((file.generation(), file.frame(), file.entity_count()), (2, 0, 86));
        assert_eq!((file.note("seed"), file.note("none")), (Some("7"), None));
        let mut loaded = file.load().unwrap();
        let (snapshot, other) = (reader.pin().unwrap(), loaded.pin().unwrap());
        assert_eq!(snapshot.hash(), other.hash());
        assert_eq!((snapshot.generation(), snapshot.slots()), (other.generation(), other.slots()));
        // not only what it means: where every row lies and when it was written, too
        for (a, b) in snapshot.tables().zip(other.tables()) {
            assert_eq!((a.entities(), a.capacity()), (b.entities(), b.capacity()));
            for name in ["spot.x", "spot.trail", "warm.heat"] {
                assert_eq!(a.column_bytes(name).unwrap(), b.column_bytes(name).unwrap());
                assert_eq!(a.stamps(name).unwrap(), b.stamps(name).unwrap());
            }
        }
        assert_eq!(snapshot.tables().count(), other.tables().count());
    }
}

#[test]
fn a_restored_world_goes_on_as_the_original() {
    let mut original = sample::world();
    let file = CheckpointFile::of_bytes(sample()).unwrap();
    let builder = World::builder().component::<Spot>().component::<Warm>().component::<Marked>().resource::<Wind>();
    let mut restored = file.restore(builder).unwrap();
    let mut outcomes = Vec::new();
    for world in [&mut original, &mut restored] {
        assert_eq!(world.generation(), 2);
        // the lowest free slots, with their next generations; tables found again, not made anew
        let born: Vec<_> = (0..6).map(|i| world.spawn((Marked, Warm { heat: i })).unwrap()).collect();
        world.despawn(born[2]).unwrap();
        world.set_resource(Wind { speed: 3.0 }).unwrap();
        world.publish().unwrap();
        let mut reader = world.reader().unwrap();
        let bytes = sample::bytes_of(&mut reader, 0);
        outcomes.push((born, reader.pin().unwrap().hash(), bytes));
    }
    let [(born, hash, mut bytes), (again, other, mut others)] = <[_; 2]>::try_from(outcomes).unwrap();
    assert_eq!((&born, hash), (&again, other));
    assert_eq!((born[0].index(), born[0].generation()), (40, 1), "the lowest free slot, once used");
    // every byte of both states, but for the times at which the files were made
    for bytes in [&mut bytes, &mut others] {
        bytes[96..104].fill(0);
        sample::mend(bytes).unwrap();
    }
    assert!(bytes == others);
}

#[test]
fn other_types_are_refused() {
    #[derive(crate::Component, Clone, Copy)]
    #[component(name = "spot")]
    struct Other {
        x: f64,
    }
    let _ = Other { x: 1.0 }.x;
    let file = CheckpointFile::of_bytes(sample()).unwrap();
    let error = file.restore(World::builder().component::<Other>()).err().unwrap();
    assert!(error.to_string().contains("component `spot` has { x: f64 } in Rust"), "{error}");
    let error = file.restore(World::builder().bytes_max(8192)).err().unwrap();
    assert!(error.to_string().contains("the region is full"), "{error}");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = sample();
    assert_eq!(problem(bytes.clone()), None);
    for byte in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1 << (byte % 8);
        assert!(problem(flipped).is_some(), "byte {byte} of {}", bytes.len());
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = sample();
    for length in 0..bytes.len() {
        let error = CheckpointFile::of_bytes(bytes[..length].to_vec()).err().unwrap();
        let CheckpointError::File { source, .. } = &error else { panic!("{length}: {error}") };
        let expected = match length {
            0..8 => matches!(source, FormatError::Magic),
            _ => matches!(source, FormatError::Length { .. } | FormatError::Content { part: "end", .. }),
        };
        assert!(expected, "{length}: {error}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(CheckpointFile::of_bytes(longer).is_err());
}

#[test]
fn damage_is_located() {
    let bytes = sample();
    let file = CheckpointFile::of_bytes(bytes.clone()).unwrap();
    let target = file.parts.parts.iter().position(|part| part.table == 2 && part.column == 1 && !part.stamps).unwrap();
    let before: u64 = file.parts.parts[..target].iter().map(|part| part.bytes.div_ceil(256)).sum();
    let (offset, _) = file.chunks[before as usize + 1];
    let mut damaged = bytes;
    damaged[offset as usize] ^= 0x10;
    let file = CheckpointFile::of_bytes(damaged).unwrap();
    let found = file.verify().unwrap().damaged;
    assert_eq!(found.len(), 1, "the others are whole");
    let damage = &found[0];
    assert_eq!((damage.table.as_str(), damage.column.as_str()), ("spot, warm", "spot.x"), "{damage}");
    assert_eq!((damage.rows, damage.chunk, damage.offset), ((64, file.head.tables[2].rows.into()), before + 1, offset));
    let error = file.load().err().unwrap();
    let wanted = format!("checkpoint memory: chunk {} (bytes {offset} to", before + 1);
    assert!(error.to_string().starts_with(&wanted), "{error}");
}

fn forged(edit: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = sample();
    edit(&mut bytes);
    sample::mend(&mut bytes);
    let file = match CheckpointFile::of_bytes(bytes) {
        Ok(file) => file,
        Err(error) => return error.to_string(),
    };
    file.load().map_or_else(|error| error.to_string(), |_| "nothing is wrong".to_owned())
}

#[test]
fn forged_checkpoints_are_told_apart() {
    assert_eq!(forged(|_| {}), "nothing is wrong");
    assert_eq!(forged(|bytes| bytes[16] = 1), "nothing is wrong", "a compatible feature");
    for (at, value, words) in [
        (0, b'h', "no checkpoint"),
        (8, 0x0a, "byte order mark"),
        (12, 2, "its version is 2, this program reads version 1"),
        (25, 1, "features that this program does not know (bits 0x100)"),
        (36, 1, "the chunks' length cannot be 257"),
        (48, 0, "its hash is another"),
        (72, 0, "the generation cannot be 0"),
        (104, 0, "its chunks are not those"),
        (72, 1, "still to come"),
    ] {
        let said = forged(|bytes| bytes[at] = value);
        assert!(said.contains(words), "{at}: {said}");
    }
    let order = forged(|bytes| bytes[8..12].reverse());
    assert!(order.contains("another byte order"), "{order}");
}

/// A table that says that it has room for ever so many rows takes memory for those it has.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn room_without_rows_takes_no_memory() {
    crate::own_process::run("checkpoint::tests::room_without_rows_takes_no_memory", room_without_rows);
}

#[cfg(all(target_os = "linux", not(miri)))]
fn room_without_rows() {
    let resident_bytes = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    };
    let mut bytes = sample();
    let layout_bytes = u64::from_le_bytes(*bytes[40..].first_chunk().unwrap()) as usize;
    let capacity = format::HEADER_BYTES + layout_bytes + 32 + 8;
    bytes[capacity..capacity + 4].copy_from_slice(&(1u32 << 28).to_le_bytes());
    sample::mend(&mut bytes).unwrap();
    let file = CheckpointFile::of_bytes(bytes).unwrap();
    assert_eq!(file.head.tables[2].capacity, 1 << 28);
    let before = resident_bytes();
    match file.load() {
        Ok(mut reader) => assert_eq!(reader.pin().unwrap().entity_count(), 86),
        // a small machine
        Err(error) => assert!(error.to_string().contains("no room"), "{error}"),
    }
    let taken = resident_bytes().saturating_sub(before);
    assert!(taken < 128 << 20, "{taken} bytes");
}

/// Columns that contradict each other are refused, though all checksums are right.
#[test]
fn contradictions_are_found() {
    let world = sample::world();
    let bytes = sample::bytes_of(&mut world.reader().unwrap(), 0);
    let file = CheckpointFile::of_bytes(bytes.clone()).unwrap();
    let start = |table, column| {
        let index = file.parts.parts.iter().position(|part| (part.table, part.column) == (table, column)).unwrap();
        let chunk: u64 = file.parts.parts[..index].iter().map(|part| part.bytes.div_ceil(256)).sum();
        file.chunks[chunk as usize].0 as usize
    };
    let bit_column = (0..file.head.tables.len())
        .flat_map(|table| (0..file.parts.shapes[table].columns.len()).map(move |column| (table, column)))
        .find(|&(table, column)| {
            file.parts.parts.iter().any(|part| (part.table, part.column, part.row_bytes) == (table, column, 0))
        })
        .unwrap();
    for ((table, column), word, words) in [
        ((0, 0), 0, "the handle in row"),
        ((0, 1), 0, "the handle in row"),
        ((2, 0), 0, "the handle in row"),
        (bit_column, 1, "rows that there are not"),
    ] {
        let mut bytes = bytes.clone();
        let at = start(table, column) + 8 * word;
        bytes[at..at + 8].fill(0xfe);
        sample::mend(&mut bytes).unwrap();
        let error = CheckpointFile::of_bytes(bytes).unwrap().load().err().unwrap();
        assert!(error.to_string().contains(words), "{table} {column}: {error}");
    }
}

/// Each set of components has one table: a file with two of the same is refused, though all checksums are right.
#[test]
fn tables_of_the_same_components_are_refused() {
    #[derive(crate::Component, Clone, Copy)]
    struct Red;
    #[derive(crate::Component, Clone, Copy)]
    struct Blue;
    let mut world = World::builder().component::<Red>().component::<Blue>().build().unwrap();
    world.spawn_batch((0..3).map(|_| Red)).unwrap();
    world.spawn_batch((0..2).map(|_| Blue)).unwrap();
    world.publish().unwrap();
    let bytes = sample::bytes_of(&mut world.reader().unwrap(), 0);
    let layout_bytes = u64::from_le_bytes(*bytes[40..].first_chunk().unwrap()) as usize;
    // the entity map and the resources have no components: 16 bytes each, then 16 and an id
    let id = format::HEADER_BYTES + layout_bytes + 3 * 16 + 2 + 16;
    assert_eq!(bytes[id - 4..id + 2], [1, 0, 0, 0, 1, 0], "the second table's components");
    assert_eq!(problem(bytes.clone()), None);
    let mut forged = bytes;
    forged[id] = 0;
    sample::mend(&mut forged).unwrap();
    let said = problem(forged).unwrap();
    assert!(said.contains("its table list is wrong: two tables have the same components"), "{said}");
}

#[test]
fn notes_have_bounds() {
    let note = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(format::check_notes(&[note("a", ""), note("b", "")]), Ok(()));
    for (notes, words) in [
        (vec![note("", "x")], "empty"),
        (vec![note("a", "x"), note("a", "y")], "twice"),
        (vec![note("a", &"x".repeat(70_000))], "too long"),
        (vec![note("a", &"x".repeat(60_000)), note("b", &"x".repeat(10_000))], "at most 65536"),
    ] {
        let said = format::check_notes(&notes).unwrap_err();
        assert!(said.contains(words), "{said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 5 } else { 400 }))]

    #[test]
    fn any_damage_is_answered(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        mend in any::<bool>(),
    ) {
        let mut bytes = sample();
        for (place, value) in edits {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if mend {
            sample::mend(&mut bytes);
        }
        crate::fuzzing::read_checkpoint(bytes);
    }
}

/// A state is loaded whatever share of it the entity map has, which is held twice.
#[test]
fn many_entities_without_fields_are_loaded() {
    let mut world = World::builder().component::<Marked>().build().unwrap();
    world.spawn_batch((0..300_000).map(|_| Marked)).unwrap();
    world.publish().unwrap();
    let file = CheckpointFile::of_bytes(sample::bytes_of(&mut world.reader().unwrap(), 1)).unwrap();
    assert!(file.verify().unwrap().is_whole());
    assert_eq!(file.load().unwrap().pin().unwrap().entity_count(), 300_000);
}

/// Writer, check and loader look at the same: what is whole can be loaded, whichever bit of a state is another one, with
/// every checksum right.
#[test]
fn whole_is_what_can_be_loaded() {
    let bytes = sample::bytes_of(&mut sample::world().reader().unwrap(), 0);
    let file = CheckpointFile::of_bytes(bytes.clone()).unwrap();
    let places: Vec<_> = file.chunks.iter().map(|(offset, entry)| (*offset as usize, entry.bytes as usize)).collect();
    let (mut whole, mut contradicted) = (0, 0);
    for (offset, length) in places {
        for place in [0, 7, length / 2, length - 1].into_iter().filter(|place| *place < length) {
            for bit in [0, 4, 7] {
                let mut damaged = bytes.clone();
                damaged[offset + place] ^= 1 << bit;
                sample::mend(&mut damaged).unwrap();
                let file = CheckpointFile::of_bytes(damaged).unwrap();
                let verified = file.verify().unwrap();
                assert_eq!(verified.damaged, Vec::new(), "the checksums are right");
                let loaded = file.load().err().map(|error| error.to_string());
                assert_eq!(verified.is_whole(), loaded.is_none(), "{verified:?}, {loaded:?}");
                whole += u32::from(verified.is_whole());
                if let Some(text) = verified.contradiction {
                    assert!(loaded.is_some_and(|error| error.contains(&text)), "{text}");
                    contradicted += 1;
                }
            }
        }
    }
    assert!(whole > 10 && contradicted > 20, "{whole} whole, {contradicted} not");
}
