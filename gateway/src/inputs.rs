//! Inputs of clients, on their way to the simulation, and what became of them.
//!
//! Invariants: one sender for all clients, so one ring; what is refused here reaches nothing. A sequence number is
//! acknowledged with a generation only where every input up to it is contained in that generation, or was refused.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::DefaultDirectRateLimiter;
use parking_lot::Mutex;

use hypostyle::{InputError, InputSender};

use super::GatewayError;
use super::limits;
use super::source::Source;

/// Inputs of one client that were sent on and are not yet in a generation. Those beyond it are refused.
pub(super) const INPUTS_PENDING_MAX: usize = 4_096;

/// The way to the simulation, shared by all clients.
#[derive(Clone)]
pub(super) struct Inputs(Option<Arc<Shared>>);

struct Shared {
    /// What clients may send; empty: all.
    allowed: Vec<String>,
    sender: Mutex<Option<InputSender>>,
    /// One more with every sender: positions of another mean nothing.
    epoch: AtomicU64,
}

/// Where an input stands: with which sender, and at which position after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    epoch: u64,
    position: u64,
}

/// What a generation contains of the inputs that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contained {
    epoch: u64,
    position: u64,
}

impl Inputs {
    /// Takes a ring of the simulation's mailbox, where inputs are asked for.
    pub(super) fn open(source: &Source, allowed: Option<&[String]>) -> Result<Inputs, GatewayError> {
        let Some(allowed) = allowed else { return Ok(Inputs(None)) };
        let sender = source.inputs()?.ok_or(GatewayError::NoInputs)?;
        if let Some(name) = allowed.iter().find(|name| !sender.names().contains(name)) {
            return Err(InputError::Undeclared { name: name.clone() }.into());
        }
        let (allowed, sender) = (allowed.to_vec(), Mutex::new(Some(sender)));
        Ok(Inputs(Some(Arc::new(Shared { allowed, sender, epoch: AtomicU64::new(1) }))))
    }

    /// What clients may send now.
    pub(super) fn names(&self) -> Vec<String> {
        let Some(shared) = &self.0 else { return Vec::new() };
        let sender = shared.sender.lock();
        let names = sender.iter().flat_map(InputSender::names);
        names.filter(|name| shared.allowed.is_empty() || shared.allowed.contains(name)).cloned().collect()
    }

    /// Looks for the mailbox of another simulation where this one has ended.
    pub(super) fn look_again(&self, source: &Source) {
        let Some(shared) = &self.0 else { return };
        let mut sender = shared.sender.lock();
        if sender.as_ref().is_some_and(InputSender::is_current) {
            return;
        }
        let had = sender.take().is_some();
        match source.inputs() {
            Ok(found) => *sender = found,
            Err(error) => tracing::warn!(%error, "no inputs are taken"),
        }
        if had || sender.is_some() {
            shared.epoch.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a generation that is pinned contains; what is not known any more is what was known before.
    pub(super) fn contained(&self, generation: u64, before: Contained) -> Contained {
        let Some(shared) = &self.0 else { return before };
        let sender = shared.sender.lock();
        let epoch = shared.epoch.load(Ordering::Relaxed);
        let before = if before.epoch == epoch { before.position } else { 0 };
        let position = sender.as_ref().and_then(|sender| sender.contained(generation)).unwrap_or(0);
        Contained { epoch, position: position.max(before) }
    }

    fn send(&self, name: &str, payload: &[u8]) -> Result<Place, String> {
        let Some(shared) = &self.0 else { return Err(format!("this gateway takes no inputs, {name:?} neither")) };
        if !shared.allowed.is_empty() && !shared.allowed.iter().any(|allowed| covers(allowed, name)) {
            return Err(format!("this gateway takes no input {name:?}"));
        }
        let mut sender = shared.sender.lock();
        let Some(sender) = sender.as_mut() else { return Err(InputError::Closed.to_string()) };
        let position = sender.send(name, payload).map_err(|error| error.to_string())?;
        Ok(Place { epoch: shared.epoch.load(Ordering::Relaxed), position })
    }
}

/// Whether permission for `allowed` is permission for `name`: the same, or a field of it.
fn covers(allowed: &str, name: &str) -> bool {
    name.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The inputs of one client.
pub(super) struct ClientInputs {
    /// Of those that are not decided: the sequence number, and where they stand; none where they were refused.
    pending: VecDeque<(u32, Option<Place>)>,
    newest: u32,
    acknowledged: u32,
    hz_max: f64,
    limiter: DefaultDirectRateLimiter,
}

impl ClientInputs {
    pub(super) fn new(hz_max: f64) -> Self {
        let limiter = limits::inputs(hz_max);
        ClientInputs { pending: VecDeque::new(), newest: 0, acknowledged: 0, hz_max, limiter }
    }

    /// Sends one on; why it was refused.
    pub(super) fn take(
        &mut self,
        inputs: &Inputs,
        (sequence, name, payload): (u32, &str, &[u8]),
    ) -> Result<(), String> {
        if sequence <= self.newest {
            return Err(format!("input {sequence}: its number must be above {}, the one before", self.newest));
        }
        self.newest = sequence;
        let sent = if self.limiter.check().is_err() {
            Err(format!("more than {} inputs a second", self.hz_max))
        } else if self.pending.len() >= INPUTS_PENDING_MAX {
            Err("the simulation has not taken the inputs before this one: try again later".to_owned())
        } else {
            inputs.send(name, payload)
        };
        // of refused ones in a row the last says all
        if sent.is_err() && matches!(self.pending.back(), Some((_, None))) {
            self.pending.pop_back();
        }
        self.pending.push_back((sequence, sent.as_ref().ok().copied()));
        sent.map(drop).map_err(|why| format!("input {sequence}: {why}"))
    }

    /// The newest input of which all is decided in a generation that contains so much.
    pub(super) fn acknowledge(&mut self, contained: Contained) -> u32 {
        while let Some((sequence, place)) = self.pending.front() {
            // what was sent to a simulation that has ended is not waited for
            let open = place.is_some_and(|place| place.epoch >= contained.epoch && place.position > contained.position);
            let later = place.is_some_and(|place| place.epoch > contained.epoch);
            if open || later {
                break;
            }
            self.acknowledged = *sequence;
            self.pending.pop_front();
        }
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(epoch: u64, position: u64) -> Option<Place> {
        Some(Place { epoch, position })
    }

    #[test]
    fn only_what_is_decided_is_acknowledged() {
        let mut client = ClientInputs::new(10.0);
        client.pending.extend([(1, place(1, 32)), (2, None), (3, place(1, 64)), (4, place(2, 32)), (9, None)]);
        let at = |epoch, position| Contained { epoch, position };
        assert_eq!(client.acknowledge(at(0, 0)), 0, "nothing is known of it");
        assert_eq!(client.acknowledge(at(1, 0)), 0);
        assert_eq!(client.acknowledge(at(1, 32)), 2, "the refused one with it");
        assert_eq!(client.acknowledge(at(1, 63)), 2);
        assert_eq!(client.acknowledge(at(2, 0)), 3, "lost with its simulation");
        assert_eq!(client.acknowledge(at(2, 40)), 9);
        assert_eq!(client.acknowledge(at(2, 40)), 9);
    }

    #[test]
    fn who_sends_too_much_is_told() {
        let none = Inputs(None);
        let mut client = ClientInputs::new(10.0);
        let why = |client: &mut ClientInputs, sequence| client.take(&none, (sequence, "a", &[])).unwrap_err();
        for sequence in 1..=20 {
            assert!(why(&mut client, sequence).contains("takes no inputs"));
        }
        assert!(why(&mut client, 21).contains("more than 10"));
        assert!(why(&mut client, 21).contains("above 21"));
        assert!(why(&mut client, 0).contains("above 21"));
        assert_eq!(client.pending.len(), 1, "refused ones are one");
        assert!(covers("velocity", "velocity.x") && covers("a", "a") && !covers("a", "ab") && !covers("a.x", "a"));
    }
}
