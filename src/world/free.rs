#![forbid(unsafe_code)]
//! Free entity slots: a bitmap with two summary levels, so that the lowest free slot is found in three word scans.

/// A set of slot indices that gives up its lowest member first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FreeSlots {
    words: Vec<u64>,
    summary: Vec<u64>,
    top: Vec<u64>,
    len: usize,
}

impl FreeSlots {
    /// Members.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a slot.
    pub(crate) fn insert(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.summary.resize(word / 64 + 1, 0);
            self.top.resize(word / 4096 + 1, 0);
        }
        let bit = 1 << (slot % 64);
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
        self.summary[word / 64] |= 1 << (word % 64);
        self.top[word / 4096] |= 1 << (word / 64 % 64);
    }

    /// Takes out the lowest slot.
    pub(crate) fn take_lowest(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let top = self.top.iter().position(|word| *word != 0)?;
        let summary = top * 64 + self.top[top].trailing_zeros() as usize;
        let word = summary * 64 + self.summary[summary].trailing_zeros() as usize;
        let slot = word * 64 + self.words[word].trailing_zeros() as usize;
        self.words[word] &= self.words[word] - 1;
        if self.words[word] == 0 {
            self.summary[summary] &= self.summary[summary] - 1;
            if self.summary[summary] == 0 {
                self.top[top] &= self.top[top] - 1;
            }
        }
        self.len -= 1;
        Some(slot as u32)
    }

    /// Takes out everything.
    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.summary.clear();
        self.top.clear();
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gives_the_lowest_like_an_ordered_set(steps in prop::collection::vec((0u32..300_000, any::<bool>()), 0..400)) {
            let mut slots = FreeSlots::default();
            let mut model = BTreeSet::new();
            for (slot, take) in steps {
                if take {
                    prop_assert_eq!(slots.take_lowest(), model.pop_first());
                } else {
                    slots.insert(slot);
                    model.insert(slot);
                }
                prop_assert_eq!(slots.len(), model.len());
            }
            while let Some(slot) = model.pop_first() {
                prop_assert_eq!(slots.take_lowest(), Some(slot));
            }
            prop_assert_eq!(slots.take_lowest(), None);
        }
    }
}
