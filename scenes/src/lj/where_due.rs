//! When systems run.
#![forbid(unsafe_code)]

use hypostyle::System;

use super::Drift;

/// In the frame before the first, or where an atom has moved too far.
pub(super) fn atoms_moved(system: System, first: bool) -> System {
    match first {
        true => system.stage("startup"),
        false => system.run_if::<Drift>(|drift| drift.moved > 0),
    }
}

/// Never, but where what it rebuilds is as new: in the first frame, and where a state was taken up.
pub(super) fn lists_are_new(system: System) -> System {
    system.run_if::<Drift>(|_| false)
}
