//! What a simulation's timeline begins with: its memory, and the names of what its events number.
#![forbid(unsafe_code)]

use crate::region::Region;
use crate::trace::{Names, Trace};

use super::graph::{Group, Stage};
use super::system::Compiled;

/// Where the timeline is recorded, with `events` in each ring; none where it is not to be, or cannot: a simulation
/// without one runs as well. An earlier simulation's is gone afterwards.
pub(crate) fn make(region: &Region, names: Names, rings: u32, events: Option<u64>) -> Option<Trace> {
    let Some(events) = events else {
        if let Err(error) = region.remove_trace() {
            tracing::warn!(%error, "the timeline of an earlier simulation stays");
        }
        return None;
    };
    match region.new_trace(Trace::bytes_needed(&names, rings, events)) {
        Ok(block) => Some(Trace::create(block, names, rings, events)),
        Err(error) => {
            tracing::warn!(%error, "no timeline is recorded");
            None
        }
    }
}

/// What the events of a timeline number.
pub(crate) fn names(stages: &[Stage], compiled: &[Compiled]) -> Names {
    let batch = |stage: u32, group: &Group| (stage, group.systems().map(|system| system as u32).collect());
    let batches = |(stage, number): (&Stage, u32)| stage.groups.iter().map(|g| batch(number, g)).collect::<Vec<_>>();
    Names {
        systems: compiled.iter().map(|system| system.name.clone()).collect(),
        stages: stages.iter().map(|stage| stage.name.clone()).collect(),
        batches: stages.iter().zip(0..).flat_map(batches).collect(),
    }
}

/// The names of a group's systems, for a span's field.
pub(crate) struct SystemNames<'a>(pub &'a Group, pub &'a [Compiled]);

impl std::fmt::Display for SystemNames<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, system) in self.0.systems().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{}", self.1[system].name)?;
        }
        Ok(())
    }
}
