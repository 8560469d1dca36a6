//! Senders of a story, and what the contract says of their inputs: each is applied when a frame begins, in the order of
//! rings and of sending; those of frames that are undone before they are in a generation are applied again; and no
//! generation is said to contain one that it does not.

use std::collections::VecDeque;

use hypostyle::{InputSender, World};

use super::director::Dice;
use crate::model::components::*;
use crate::model::drive::Driver;
use crate::model::oracle::Input;

/// What a simulation takes.
pub const TAKEN: [&str; 8] = ["position", "counter", "link", "grid", "shield", "health", "charge", "score"];

struct Sender {
    sender: InputSender,
    /// Sent, and taken by no frame, each with the position after it.
    waiting: VecDeque<(u64, Input)>,
    /// Up to where inputs were taken, are in the world, and are in the newest generation.
    taken: u64,
    applied: u64,
    contained: u64,
}

/// The senders of a simulation, with what it took.
#[derive(Default)]
pub struct Mail {
    senders: Vec<Sender>,
    /// Taken, and in no generation.
    log: Vec<Input>,
    /// How many of them are in the world.
    fresh: usize,
    failures: u32,
    lost: u64,
}

impl Mail {
    /// Two senders, whose rings are in this order.
    pub fn open(world: &World) -> Mail {
        let sender = || {
            let reader = world.reader().expect("there are leases");
            let sender = reader.inputs().expect("there are rings").expect("it takes inputs");
            Sender { sender, waiting: VecDeque::new(), taken: 0, applied: 0, contained: 0 }
        };
        Mail { senders: (0..2).map(|_| sender()).collect(), ..Mail::default() }
    }

    /// Sends a few inputs.
    pub fn send(&mut self, driver: &Driver, seed: u64) {
        let mut dice = Dice(seed);
        for _ in 0..1 + dice.below(5) {
            let which = dice.below(self.senders.len() as u64) as usize;
            let (name, payload, input) = draw(driver, &mut dice);
            let Sender { sender, waiting, .. } = &mut self.senders[which];
            let position = sender.send(name, &payload).expect("the ring has room");
            waiting.push_back((position, input));
        }
    }

    /// What the next frame applies.
    pub fn next(&self) -> Vec<Input> {
        let waiting = self.senders.iter().flat_map(|sender| sender.waiting.iter().map(|(_, input)| input));
        self.log[self.fresh..].iter().chain(waiting).cloned().collect()
    }

    /// A frame took all there was. How many inputs were given up before it, which it reports.
    pub fn took(&mut self) -> u64 {
        for sender in &mut self.senders {
            for (position, input) in sender.waiting.drain(..) {
                sender.taken = position;
                self.log.push(input);
            }
        }
        std::mem::take(&mut self.lost)
    }

    /// A frame ended, and what it took is in the world.
    pub fn applied(&mut self) {
        self.fresh = self.log.len();
        self.senders.iter_mut().for_each(|sender| sender.applied = sender.taken);
    }

    /// A generation has what is in the world.
    pub fn published(&mut self) {
        self.log.drain(..self.fresh);
        (self.fresh, self.failures) = (0, 0);
        self.senders.iter_mut().for_each(|sender| sender.contained = sender.applied);
    }

    /// The world went back.
    pub fn went_back(&mut self) {
        self.fresh = 0;
        self.senders.iter_mut().for_each(|sender| sender.applied = sender.contained);
    }

    /// A frame failed: what made it fail twice is given up.
    pub fn failed(&mut self) {
        self.went_back();
        self.failures += u32::from(!self.log.is_empty());
        if self.failures >= 2 {
            self.lost += self.log.len() as u64;
            self.log.clear();
        }
    }

    /// What senders are told of a generation, which is the newest.
    pub fn check(&self, generation: u64) {
        for (number, sender) in self.senders.iter().enumerate() {
            assert!(sender.sender.is_current(), "the simulation still takes inputs");
            let told = sender.sender.contained(generation).unwrap_or(0);
            assert_eq!(told, sender.contained, "what generation {generation} contains of sender {number}");
        }
    }
}

/// An input, for senders and for the model.
fn draw(driver: &Driver, dice: &mut Dice) -> (&'static str, Vec<u8>, Input) {
    let components = [0usize, 1, 2, 4, 6, 8, 9];
    let which = dice.below(TAKEN.len() as u64) as usize;
    let Some(&component) = components.get(which) else {
        let bytes = pack(Score { total: dice.roll(), best: driver.pick(dice.roll() as u16) });
        return (TAKEN[which], bytes.clone(), Input::Score(bytes));
    };
    let value = |dice: &mut Dice| {
        let (entity, link) = (driver.pick(dice.roll() as u16), driver.pick(dice.roll() as u16));
        (entity, packed(component, dice.roll(), link))
    };
    let values: Vec<_> = (0..1 + dice.below(3)).map(|_| value(dice)).collect();
    let payload = values.iter().flat_map(|(entity, bytes)| [&entity.to_bits().to_le_bytes()[..], bytes].concat());
    (TAKEN[which], payload.collect(), Input::Component(component, values))
}
