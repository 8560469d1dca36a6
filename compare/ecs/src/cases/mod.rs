//! The cases: a module each, with a function per engine. What an engine does before its timed part stands apart from it.

mod abeimler;
mod filters;
mod four_systems;
mod integrate;
mod life;
mod overhead;
mod presence;
mod set;
mod suite;

use crate::measure::{Bench, Mismatch};

/// A module's entry.
type Case = fn(&mut Bench) -> Result<(), Mismatch>;

/// All cases in the order of the document.
pub const CASES: &[Case] = &[
    integrate::run,
    four_systems::run,
    suite::run,
    abeimler::run,
    presence::run,
    set::run,
    life::run,
    filters::run,
    overhead::run,
];
