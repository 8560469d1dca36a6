//! Why bytes are no delta, or not one for this state.

/// A delta that cannot be applied. The state that it was meant for may be half changed: throw it away, or go back to a
/// copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The bytes end before what they announce.
    #[error("the delta ends early: {what} takes {needed} bytes, but only {left} are left")]
    End {
        /// What was being read.
        what: &'static str,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// A number that cannot be.
    #[error("{what} is {found}; {expected}")]
    Value {
        /// What it is the number of.
        what: &'static str,
        /// The number.
        found: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// A delta from another generation than the state's.
    #[error("the delta leads on from generation {from}, but the state is of generation {state}")]
    Generation {
        /// Where the delta begins.
        from: u64,
        /// Where the state is.
        state: u64,
    },
    /// A state that would become larger than allowed.
    #[error("the state would take {needed} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Bytes that it would take.
        needed: u64,
        /// Bytes that it may take.
        limit: u64,
    },
}
