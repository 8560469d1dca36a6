//! What other parts of a spread world tell at a commit: patches on rows that are here, and who has died.
//!
//! Invariants, asserted: what is refused fails the frame and changes nothing; what is accepted makes a world that is whole.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use crate::exchange::{Exchange, ExchangeError};
use crate::{
    Bool, Component, Elsewhere, Entity, FieldJoin, GlobalId, Read, Schedule, Simulation, StepError, System, Workers,
    World,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Sum {
    of: u32,
    most: i64,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Mark {
    level: f32,
    on: Bool,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Warm {
    heat: u16,
}

/// A value with handles, which parts do not give each other.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Names {
    other: Entity,
}

const ROWS: u64 = 12;
/// No patches; none that were found.
const NONE: [u8; 8] = [0; 8];

/// What another part tells of the first batch; of the next one, that it has found what was told.
struct Other {
    patches: Option<Vec<u8>>,
    deaths: Option<Vec<u8>>,
}

impl Exchange for Other {
    fn tell(&mut self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let (told, later) = if what == "patches" { (&mut self.patches, 0_u64) } else { (&mut self.deaths, 1) };
        Ok(vec![mine.to_vec(), told.take().unwrap_or_else(|| later.to_le_bytes().to_vec())])
    }
}

/// A world in which an entity lives elsewhere.
fn world() -> World {
    let builder = World::builder().component::<GlobalId>().component::<Elsewhere>().component::<Sum>();
    let builder = builder.component::<Mark>().component::<Warm>().component::<Names>().bytes_max(1 << 22);
    let mut world = builder.build().expect("a small world fits");
    let row = |id: u64| (GlobalId::root(id), Sum { of: id as u32, most: -1 });
    let all = world.spawn_batch((0..ROWS).map(row)).expect("there is room").to_vec();
    for (id, other) in (100..).zip(&all) {
        world.spawn((GlobalId::root(id), Names { other: *other })).expect("there is room");
    }
    let table = world.table_with(&["global_id", "sum"]).expect("they are components");
    world.leave_rows(table, &[3]).expect("it has an id");
    world.publish().expect("nobody holds anything");
    world
}

/// Systems that may do all that is told of them; here rows do some of it to others as well.
fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<Read<Names>>("change", |job, names| {
            for (row, other) in names.other.iter().enumerate() {
                match row % 4 {
                    0 => job.add(*other, Mark { level: 0.5, on: Bool::TRUE }),
                    1 => job.add(*other, Warm { heat: 7 }),
                    2 => job.remove::<Warm>(*other),
                    _ => {}
                }
            }
        })
        .sets::<(Sum, Mark)>()
        .adds::<(Mark, Warm)>()
        .removes::<(Sum, Mark, Warm, Names)>()
        .despawns(),
    );
    let add = System::rows::<Read<Names>>("add", |job, names| {
        names.other.iter().for_each(|other| job.accumulate(*other, Sum { of: 1, most: 4 }));
    });
    schedule.add(add.accumulates::<Sum>(FieldJoin::Sum).after("change"));
    schedule
}

/// Whole patches of each kind: id, system, component, field, what it does, bytes, value.
fn template() -> Vec<u8> {
    let layout = world();
    let number = |name: &str| {
        let components = layout.layout().components();
        components.iter().position(|component| component.name == name).map_or(u16::MAX, |place| place as u16)
    };
    let mark = [&2.0_f32.to_le_bytes()[..], &[1]].concat();
    let patches: [(u64, u16, u8, u8, &[u8]); 6] = [
        (1, number("sum"), 1, 2, &5_u32.to_le_bytes()),
        (2, number("mark"), 0, 3, &mark),
        (4, number("warm"), 0, 3, &9_u16.to_le_bytes()),
        (6, number("sum"), 0, 4, &[]),
        (7, 0, 0, 1, &[]),
        (10, number("warm"), 0, 4, &[]),
    ];
    let mut bytes = (patches.len() as u64).to_le_bytes().to_vec();
    for (id, component, field, op, value) in patches {
        bytes.extend(id.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(component.to_le_bytes());
        bytes.extend([field, op]);
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(value);
    }
    bytes
}

/// Arbitrary bytes as what another part tells, or whole patches with damage: an input that begins with an odd byte is the bytes,
/// of which the second says how many are about the dead; else each 3 bytes after it pick a place and a new value.
pub fn told_patches(input: &[u8]) {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    let Some((first, input)) = input.split_first() else { return };
    let (mut patches, mut deaths) = (TEMPLATE.get_or_init(template).clone(), NONE.to_vec());
    if first & 1 == 0 {
        for edit in input.as_chunks::<3>().0 {
            let place = (usize::from(edit[0]) << 8 | usize::from(edit[1])) % patches.len();
            patches[place] = edit[2];
        }
    } else if let Some((end, input)) = input.split_first() {
        let (about_dead, about_rows) = input.split_at(usize::from(*end).min(input.len()));
        (deaths, patches) = (about_dead.to_vec(), about_rows.to_vec());
    }
    commit(patches, deaths);
}

/// A frame in which another part tells this.
fn commit(patches: Vec<u8>, deaths: Vec<u8>) -> bool {
    let world = world();
    let before = world.hash_by_id().expect("all have ids");
    let other = Other { patches: Some(patches), deaths: Some(deaths) };
    let builder = Simulation::builder().workers(Workers::Local).exchange(Box::new(other));
    let mut simulation = builder.build(world, schedule()).expect("it is a schedule");
    let done = simulation.step(1.0).map(drop);
    let world = simulation.world_mut();
    match &done {
        Ok(()) => {}
        Err(StepError::Exchange { .. }) => {
            assert_eq!(world.hash_by_id().expect("all have ids"), before, "nothing changed");
        }
        Err(error) => panic!("what is told fails as an exchange: {error}"),
    }
    if world.publish().is_ok_and(crate::Publication::is_published) {
        let mut reader = world.reader().expect("a lease is free");
        reader.pin().expect("it is published").check().expect("the world is whole");
    }
    done.is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn what_is_told_is_carried_out_or_fails_the_frame() {
        assert!(
            commit(NONE.to_vec(), NONE.to_vec()) && commit(template(), NONE.to_vec()),
            "whole patches are accepted"
        );
        let patches = template();
        for seed in 0..if cfg!(miri) { 5 } else { 1500 } {
            let mut random = Random(seed);
            let mut input = vec![0];
            for _ in 0..random.below(4) {
                let [high, low] = (random.below(patches.len()) as u16).to_be_bytes();
                input.extend([high, low, [random.next() as u8, random.below(8) as u8][random.below(2)]]);
            }
            told_patches(&input);
        }
        told_patches(&[]);
        told_patches(&[1, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
