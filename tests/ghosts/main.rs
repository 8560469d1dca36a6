//! Ghosts and exchange points: two parts of a small world, each a simulation on a thread of its own, against the whole one;
//! what sees ghosts and what does not; when an exchange is called, and what it costs to fail.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod calls;
mod lattice;
mod parts;
mod rows;
