//! Rows from anywhere: the bytes of a batch, and the manifest of a set of checkpoints.
//!
//! Invariants, asserted: what is refused changes nothing; what is accepted says the same once more, and makes a world that is
//! whole.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use crate::{Bool, Component, Dangling, Elsewhere, Entity, GlobalId, World};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Spot {
    x: f32,
    trail: [f64; 3],
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Warm {
    heat: u16,
    still: Bool,
}

/// A list whose elements have handles.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "list")]
struct Bond {
    to: Entity,
    length: f32,
}

const ROWS: u64 = 70;

fn world() -> World {
    let builder = World::builder().component::<GlobalId>().component::<Spot>().component::<Warm>().component::<Bond>();
    let builder = builder.component::<Elsewhere>();
    let mut world = builder.bytes_max(1 << 22).build().expect("a small world fits");
    let spot = |id: u64| (GlobalId::root(id), Spot { x: id as f32, trail: [1.0, -2.0, 1e300] });
    let all = world.spawn_batch((0..ROWS).map(spot)).expect("there is room").to_vec();
    for (place, entity) in all.iter().enumerate() {
        let bonds = [Bond { to: all[(place + 1) % all.len()], length: 0.5 }, Bond { to: Entity::NULL, length: 1.0 }];
        world.set_list(*entity, &bonds[..place % 3]).expect("there is room");
        if place % 3 == 0 {
            world.add(*entity, Warm { heat: place as u16, still: Bool::TRUE }).expect("there is room");
        }
    }
    world.publish().expect("nobody holds anything");
    world
}

/// The bytes of all rows of the first table.
fn template() -> Vec<u8> {
    let world = world();
    let rows: Vec<u32> = (0..world.table_rows(0) as u32).collect();
    world.copy_rows(0, &rows).expect("all entities have ids").encode()
}

/// Arbitrary bytes as rows, or those of a whole batch with damage: an input that begins with an odd byte is the batch; else each
/// 3 bytes after it pick a place and a new value, and bit 1 of the first byte cuts the batch where the last two bytes say.
pub fn row_batch(input: &[u8]) {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    let Some((first, input)) = input.split_first() else { return };
    let mut bytes = input.to_vec();
    if first & 1 == 0 {
        bytes.clone_from(TEMPLATE.get_or_init(template));
        for edit in input.as_chunks::<3>().0 {
            let place = (usize::from(edit[0]) << 8 | usize::from(edit[1])) % bytes.len();
            bytes[place] = edit[2];
        }
        if let (true, Some(end)) = (first & 2 != 0, input.last_chunk::<2>()) {
            bytes.truncate(usize::from(u16::from_le_bytes(*end)) % (bytes.len() + 1));
        }
    }
    put_in(&bytes);
}

/// Puts rows into a world with others, as far as they get, whatever becomes of handles of who is not there.
fn put_in(bytes: &[u8]) {
    put_in_or(bytes, &[Dangling::Refuse, Dangling::Null]);
    put_in_or(bytes, &[Dangling::Refuse, Dangling::Elsewhere]);
}

fn put_in_or(bytes: &[u8], ways: &[Dangling]) {
    let mut world = world();
    let Ok(batch) = world.decode_rows(bytes) else { return };
    assert_eq!(batch.encode(), bytes, "what was accepted says the same once more");
    let before = (world.entity_count(), world.hash_by_id().expect("all have ids"));
    for dangling in ways.iter().copied() {
        let rows = u64::from(batch.rows() as u32);
        match world.put_rows(std::slice::from_ref(&batch), dangling) {
            Ok(entities) => {
                assert_eq!((entities.len() as u64, world.entity_count()), (rows, before.0 + rows));
                break;
            }
            Err(_) => {
                assert_eq!(
                    (world.entity_count(), world.hash_by_id().expect("all have ids")),
                    before,
                    "nothing changed"
                );
            }
        }
    }
    if world.publish().is_ok_and(crate::Publication::is_published) {
        let mut reader = world.reader().expect("a lease is free");
        reader.pin().expect("it is published").check().expect("the world is whole");
    }
}

/// Arbitrary text as the manifest of a set of checkpoints, or a whole one with damage: an input that begins with an odd byte is
/// the text; else each 3 bytes after it pick a place and a new value.
#[cfg(feature = "checkpoint")]
pub fn checkpoint_set(input: &[u8]) {
    let Some((first, input)) = input.split_first() else { return };
    let mut bytes = input.to_vec();
    if first & 1 == 0 {
        bytes = MANIFEST.as_bytes().to_vec();
        for edit in input.as_chunks::<3>().0 {
            let place = (usize::from(edit[0]) << 8 | usize::from(edit[1])) % bytes.len();
            bytes[place] = edit[2];
        }
    }
    let Ok(text) = String::from_utf8(bytes) else { return };
    crate::checkpoint::set::check_text(&text);
}

#[cfg(feature = "checkpoint")]
const MANIFEST: &str = "hypostyle_checkpoints = 1\nframe = 25\nrows = 12\norder = [\"cell.key\", \"global_id.value\"]\n\n[notes]\n\
    \"scene\" = \"lj\"\n\"option.skin\" = \"0.3\"\n\n[[files]] # rank 0\nbytes = 4000\n\
    hash = \"0123456789abcdef0123456789abcdef\"\nrows = 5\n\n[[files]] # rank 1\nbytes = 4100\n\
    hash = \"fedcba9876543210fedcba9876543210\"\nrows = 7\n";

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn rows_survive_damage_and_come_in_whole_or_not_at_all() {
        put_in(&template());
        let head = 32 + 8;
        for seed in 0..if cfg!(miri) { 10 } else { 2000 } {
            let mut random = Random(seed);
            let mut input = vec![[0u8, 0, 0, 2][random.below(4)]];
            for _ in 0..random.below(5) {
                // the head, the lengths and handles, anywhere
                let bound = [head, 6000, 1 << 16][random.below(3)];
                let [high, low] = (random.below(bound) as u16).to_be_bytes();
                input.extend([high, low, [random.next() as u8, random.below(4) as u8][random.below(2)]]);
            }
            row_batch(&input);
        }
        row_batch(&[]);
        row_batch(b"\x01HYPOROWS");
    }

    #[cfg(feature = "checkpoint")]
    #[test]
    fn manifests_survive_damage() {
        crate::checkpoint::set::check_text(MANIFEST);
        let digits = b"0123456789\"[]={}\n#.-";
        for seed in 0..if cfg!(miri) { 20 } else { 5000 } {
            let mut random = Random(seed);
            let mut input = vec![0];
            for _ in 0..random.below(6) {
                let [high, low] = (random.below(MANIFEST.len()) as u16).to_be_bytes();
                input.extend([high, low, digits[random.below(digits.len())]]);
            }
            checkpoint_set(&input);
        }
        checkpoint_set(b"\x01hypostyle_checkpoints = 1\nrows = 1");
    }
}
