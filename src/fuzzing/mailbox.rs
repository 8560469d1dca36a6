//! A mailbox at the mercy of another process: for fuzzing, and for tests on the stable compiler.
//!
//! Bytes become what a hostile process does: records that are framed, rubbish in the ring, any of the mailbox's words.
//! Invariants, asserted: frames do not fail and do not wait for it; what is no input stays as it was; another sender's
//! inputs arrive; a ring that was broken is as new once its owner is gone.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::InputSender;
use crate::inputs::words::{MAILBOX_BYTES, RingWords, Words};
use crate::limits::PAGE_BYTES;
use crate::patch::{HEADER_BYTES, Header, RingMemory, padded};
use crate::trace::Block;
use crate::{Bool, Component, Entity, Read, Resource, Schedule, Simulation, System, Workers, World, Write};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Push {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Held {
    by: Entity,
    tight: Bool,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Mass {
    kg: f64,
}
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
struct Wind {
    speed: f64,
}
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
struct Frames {
    count: u64,
}

const ROWS: u32 = 64;
const KG: f64 = 2.5;
/// Frames after which a broken ring has been looked at twice.
const FRAMES_TO_REVIVE: u32 = 130;

fn simulation() -> Simulation {
    let builder = World::builder().component::<Push>().component::<Held>().component::<Mass>();
    let builder = builder.resource::<Wind>().resource::<Frames>().bytes_max(1 << 20);
    let mut world = builder.build().expect("a small world can be made");
    world.insert_resource(Wind { speed: 0.0 }).expect("there is room");
    world.insert_resource(Frames { count: 7 }).expect("there is room");
    let held = Held { by: Entity::NULL, tight: Bool::FALSE };
    let rows = (0..ROWS).map(|row| (Push { x: 0.0, y: row as f32 }, held, Mass { kg: KG }));
    world.spawn_batch(rows).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Read<Held>, Write<Push>)>("rise", |job, (held, mut push)| {
        for row in 0..job.len() {
            push.y[row] += f32::from(u8::from(held.tight[row].get()));
        }
    }));
    let inputs = ["push", "held", "wind"];
    Simulation::builder().workers(Workers::Local).inputs(inputs).build(world, schedule).expect("it takes inputs")
}

/// The hostile process: it holds the first ring, and the mailbox's bytes.
struct Hostile {
    block: Arc<Block>,
    ring: RingWords,
    /// Where it writes next.
    at: u64,
    /// Whether it has changed more than its own ring's data and tail.
    poked: bool,
}

impl Hostile {
    fn of(simulation: &Simulation) -> Self {
        let reader = simulation.world().reader().expect("a lease is free");
        let (block, _) = reader.parts().0.inputs().ok().flatten().expect("there is a mailbox");
        let ring = Words::new(Arc::clone(&block)).expect("it is long enough").ring(0);
        ring.owner().store(1, Ordering::Relaxed);
        Hostile { block, ring, at: 0, poked: false }
    }

    /// Puts whole words where a producer would, and publishes them.
    fn put(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        bytes.resize(padded(bytes.len()), 0);
        let place = self.at as usize % self.ring.capacity();
        let fits = bytes.len().min(self.ring.capacity() - place);
        self.ring.write(place / 8, &bytes[..fits]);
        self.ring.write(0, &bytes[fits..]);
        self.at += bytes.len() as u64;
        self.ring.tail().store(self.at, Ordering::Release);
    }

    /// A record of the length that its header says.
    fn put_framed(&mut self, [kind, field, component, count]: [u8; 4], payload: &[u8]) {
        let bytes = padded(HEADER_BYTES + payload.len()) as u32;
        let (component, count) = (u16::from(component), u32::from(count));
        let header = Header { bytes, kind, field, component, count, sequence: 0 };
        self.put(&[&header.encode()[..], payload].concat());
    }

    /// Changes a word of the mailbox's head or of the own ring, up to its data.
    fn poke(&mut self, place: u16, word: u64) {
        // the head's page, the ring's first, and that of its history
        let page = PAGE_BYTES as usize / 8;
        let place = usize::from(place) % (3 * page);
        self.block.words()[place].store(word, Ordering::Release);
        self.poked = true;
    }
}

/// A frame, with an input of a sender that keeps to the rules.
fn frame(simulation: &mut Simulation, good: &mut InputSender, speed: f64) {
    let sent = good.send("wind", &speed.to_le_bytes()).is_ok();
    simulation.step(0.1).expect("no input makes a frame fail");
    let wind = simulation.world().resource::<Wind>().expect("it stays");
    assert!(!sent || wind.speed == speed, "an input of another sender was lost: {wind:?} is not {speed}");
}

/// What no input may change.
fn look(simulation: &Simulation) {
    let world = simulation.world();
    assert_eq!(world.entity_count(), u64::from(ROWS), "inputs spawn and despawn nothing");
    assert_eq!(world.resource::<Frames>().expect("it stays"), Frames { count: 7 }, "it was not declared");
    let mut reader = world.reader().expect("a lease is free");
    let snapshot = reader.pin().expect("frames publish");
    for table in snapshot.tables() {
        let Ok(Some(kg)) = table.column::<f64>("mass.kg") else { continue };
        assert!(kg.iter().all(|kg| *kg == KG), "it was not declared");
        let tight = table.column::<Bool>("held.tight").expect("of this type").expect("the table has it");
        assert!(bytemuck::cast_slice::<Bool, u8>(tight).iter().all(|byte| *byte <= 1), "a bool is 0 or 1");
    }
    std::hint::black_box(snapshot.hash());
}

/// Bytes as what a hostile process does with the mailbox of a simulation that takes inputs: records, rubbish in its ring,
/// words of the mailbox, frames between them.
pub fn inputs_mailbox(mut input: &[u8]) {
    let mut simulation = simulation();
    simulation.step(0.1).expect("an empty frame");
    let mut hostile = Hostile::of(&simulation);
    let mut good = simulation.world().reader().expect("a lease").inputs().expect("well").expect("it takes inputs");
    let mut frames = 0u32;
    while let Some((operation, rest)) = input.split_first() {
        input = rest;
        match operation % 4 {
            0 => {
                let Some((head, rest)) = input.split_first_chunk::<5>() else { break };
                let [kind, field, component, count, length] = *head;
                let (payload, rest) = rest.split_at(rest.len().min(usize::from(length)));
                hostile.put_framed([kind, field, component, count], payload);
                input = rest;
            }
            1 => {
                let (raw, rest) = input.split_at(input.len().min(usize::from(operation / 4)));
                hostile.put(raw);
                input = rest;
            }
            2 => {
                let Some((place, rest)) = input.split_first_chunk::<2>() else { break };
                let Some((word, rest)) = rest.split_first_chunk::<8>() else { break };
                hostile.poke(u16::from_le_bytes(*place), u64::from_le_bytes(*word));
                input = rest;
            }
            _ if frames < 32 => {
                frames += 1;
                frame(&mut simulation, &mut good, f64::from(frames));
                // another process that comes meanwhile; what it finds may be no mailbox any more
                if let Ok(Some(mut next)) = simulation.world().reader().expect("a lease").inputs() {
                    std::hint::black_box((next.names().len(), next.contained(u64::from(frames)), next.is_current()));
                    let _ = next.send("push.x", &[0; 12]);
                }
            }
            _ => {}
        }
    }
    frame(&mut simulation, &mut good, -1.0);
    look(&simulation);
    hostile.ring.owner().store(0, Ordering::Release);
    for _ in 0..FRAMES_TO_REVIVE {
        frame(&mut simulation, &mut good, -2.0);
    }
    look(&simulation);
    let head = Words::new(Arc::clone(&hostile.block)).and_then(|words| words.read_head().map(|_| words.is_closed()));
    if head.is_ok_and(|closed| !closed) {
        let mut next = simulation.world().reader().expect("a lease").inputs().expect("a ring is free").expect("open");
        let is_first = hostile.ring.owner().load(Ordering::Acquire) != 0;
        assert!(is_first || hostile.poked, "a ring whose owner is gone was not made as new");
        next.send("wind", &7.5f64.to_le_bytes()).expect("the ring is as new");
        simulation.step(0.1).expect("no input makes a frame fail");
        assert_eq!(simulation.world().resource::<Wind>().expect("it stays"), Wind { speed: 7.5 });
    }
    const { assert!(MAILBOX_BYTES > 3 * PAGE_BYTES) };
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

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
}
