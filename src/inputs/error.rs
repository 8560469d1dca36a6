//! What can be wrong with an input, or with the mailbox it is for.
#![forbid(unsafe_code)]

use crate::limits::{INPUT_RINGS, INPUTS_MAX};
use crate::region::RegionError;

/// Why a mailbox cannot be had, or an input was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// What is to be an input is neither a component, nor a field of one, nor a resource.
    #[error("the layout has no component, field or resource `{name}` that could be an input")]
    NoTarget {
        /// The name.
        name: String,
    },
    /// A tag has no value to set.
    #[error("`{name}` has no fields: there is nothing that an input could set")]
    NoValue {
        /// The name.
        name: String,
    },
    /// Inputs have one length, and lists any.
    #[error("`{name}` is a list, which no input can set; send what a system makes it from")]
    List {
        /// The component.
        name: String,
    },
    /// More than a mailbox can declare.
    #[error("{found} inputs are declared; a mailbox has at most {INPUTS_MAX}")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// The simulation does not take this input.
    #[error("the simulation takes no input `{name}`")]
    Undeclared {
        /// The name.
        name: String,
    },
    /// The bytes are not what the input's values take.
    #[error("an input of `{name}` has {bytes} bytes: {expected}")]
    Length {
        /// The name.
        name: String,
        /// Bytes given.
        bytes: usize,
        /// What it would have to be.
        expected: String,
    },
    /// A bool that is none.
    #[error("a bool of an input of `{name}` is neither 0 nor 1")]
    NotABool {
        /// The name.
        name: String,
    },
    /// The ring is full: the simulation stands still, or more comes than it takes.
    #[error("the simulation has not taken the inputs before this one: try again later")]
    Full,
    /// All rings have an owner.
    #[error("all {INPUT_RINGS} rings of the mailbox are taken by other senders")]
    NoRing,
    /// There is no mailbox any more, or not yet a whole one.
    #[error("the simulation takes no inputs any more")]
    Closed,
    /// The file is no mailbox, or a broken one.
    #[error("the region's mailbox is broken: {what}")]
    Broken {
        /// What is wrong.
        what: &'static str,
    },
    /// The region, or the system.
    #[error(transparent)]
    Region(#[from] RegionError),
}
