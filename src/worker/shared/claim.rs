//! A job's claim word: which worker runs it. One 64-bit word, so that a claim is one compare-and-swap and a death between a
//! claim and anything else loses nothing.
//!
//! ```text
//! bit 0      2        8        16                                64
//!     | state | attempt | runner | tag of the window               |
//! ```
//!
//! The tag makes every word of one window differ from every word of all others: a runner that slept through the end
//! of its window cannot claim a job of the next one while it still holds the old program.
#![forbid(unsafe_code)]

/// The runner number of the main process.
pub(in crate::worker) const MAIN: u8 = u8::MAX;
/// Attempts that fit a word.
pub(in crate::worker) const ATTEMPTS_MAX: u8 = 63;

/// What may be done with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum State {
    /// Anyone may claim it.
    Free,
    /// A runner has it (or had it: what counts as done is known to main alone).
    Taken,
    /// The batch has failed: nobody may claim it.
    Withdrawn,
}

/// A claim word, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Claim {
    /// The window it belongs to; 48 bits.
    pub tag: u64,
    /// Who has it.
    pub runner: u8,
    /// How many runners died with it.
    pub attempt: u8,
    /// What may be done with it.
    pub state: State,
}

impl Claim {
    /// A job that anyone may claim.
    pub(in crate::worker) fn free(tag: u64, attempt: u8) -> Claim {
        Claim { tag, runner: 0, attempt, state: State::Free }
    }

    /// The same job, claimed.
    pub(in crate::worker) fn taken_by(self, runner: u8) -> Claim {
        Claim { runner, state: State::Taken, ..self }
    }

    /// The same job, withdrawn.
    pub(in crate::worker) fn withdrawn(self) -> Claim {
        Claim { runner: 0, state: State::Withdrawn, ..self }
    }

    /// As a word.
    pub(in crate::worker) fn pack(self) -> u64 {
        let state = match self.state {
            State::Free => 0,
            State::Taken => 1,
            State::Withdrawn => 2,
        };
        (self.tag << 16) | (u64::from(self.runner) << 8) | (u64::from(self.attempt & ATTEMPTS_MAX) << 2) | state
    }

    /// From a word; none for a state that does not exist.
    pub(in crate::worker) fn unpack(word: u64) -> Option<Claim> {
        let state = match word & 3 {
            0 => State::Free,
            1 => State::Taken,
            2 => State::Withdrawn,
            _ => return None,
        };
        Some(Claim { tag: word >> 16, runner: (word >> 8) as u8, attempt: (word >> 2) as u8 & ATTEMPTS_MAX, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_unpack_to_what_was_packed(tag in 0u64..1 << 48, runner: u8, attempt in 0..=ATTEMPTS_MAX) {
            let free = Claim::free(tag, attempt);
            for claim in [free, free.taken_by(runner), free.withdrawn()] {
                prop_assert_eq!(Claim::unpack(claim.pack()), Some(claim));
            }
            prop_assert_ne!(free.pack(), Claim::free(tag ^ 1, attempt).pack());
        }

        #[test]
        fn any_word_unpacks_without_panic(word: u64) {
            if let Some(claim) = Claim::unpack(word) {
                prop_assert_eq!(claim.pack(), word);
            }
        }
    }
}
