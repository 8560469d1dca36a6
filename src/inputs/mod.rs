//! Inputs from other processes: how a patch of a gateway's client, or of any program, reaches the only writer.
//!
//! A simulation that takes inputs puts a *mailbox* beside its region: a file of a few rings, each with one producer,
//! an [`InputSender`] in whatever process. The writer drains all rings when a frame begins, checks each record on a
//! private copy, and applies them as it applies the patches of workers, in canonical order: ring, then sequence. What
//! was refused is counted in the frame's report. What was applied is part of the next generation like any other
//! change, so journals and checkpoints hold it and nothing has to be sent again.
//!
//! ```text
//! client --INPUT--> gateway: InputSender --ring of patch/--> writer: Mailbox --Commit--> world
//!                           <----- which position each generation contains -----
//! ```
//!
//! Invariants
//! - A sender can die at any instruction: records count only once the ring's tail was published, and its ring is free
//!   again as its lock goes with it.
//! - Nothing that a sender writes is believed: only `set`s of declared components, fields and resources pass, and a
//!   ring that is broken is left alone until its owner is gone.
//! - The writer never waits for a sender. A full ring refuses, at the sender.
//! - An input that was taken stays so: where a frame fails, or the world goes back, the inputs of all frames that are
//!   undone and not in a generation yet are applied again at the beginning of the next. No generation is said to contain
//!   an input that it does not.
//!
//! This module never knows what a value means, and nothing of clients or sockets.
#![forbid(unsafe_code)]

mod error;
mod mailbox;
mod sender;
mod steering;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use error::InputError;
pub(crate) use mailbox::Mailbox;
pub use sender::InputSender;
pub use steering::Steering;
