//! The cases: a module each, with a function per engine. What an engine does before its timed part stands apart from it.

mod four_systems;
mod integrate;
mod life;
mod presence;
mod set;
mod suite;

use crate::measure::{Bench, Mismatch};

/// A module's entry.
type Case = fn(&mut Bench) -> Result<(), Mismatch>;

/// All cases in the order of the document.
pub const CASES: &[Case] = &[integrate::run, four_systems::run, suite::run, presence::run, set::run, life::run];
