//! Free entity slots: a bitmap with two summary levels, so that the lowest free slot is found in three word scans.
#![forbid(unsafe_code)]

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
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a slot.
    #[inline]
    pub(crate) fn insert(&mut self, slot: u32) {
        self.make_room(slot);
        self.put(slot);
    }

    #[inline]
    fn make_room(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.summary.resize(word / 64 + 1, 0);
            self.top.resize(word / 4096 + 1, 0);
        }
    }

    #[inline]
    fn put(&mut self, slot: u32) {
        let index = slot as usize / 64;
        let word = &mut self.words[index];
        if *word == 0 {
            self.summary[index / 64] |= 1 << (index % 64);
            self.top[index / 4096] |= 1 << (index / 64 % 64);
        }
        let bit = 1 << (slot % 64);
        self.len += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Takes out the lowest slot.
    #[inline]
    pub(crate) fn take_one(&mut self) -> Option<u32> {
        let mut taken = None;
        self.take_lowest(1, |slot| taken = Some(slot));
        taken
    }

    /// Adds slots, in any order.
    pub(crate) fn insert_all(&mut self, slots: &[u32]) {
        let Some(highest) = slots.iter().max() else { return };
        self.make_room(*highest);
        for slot in slots {
            self.put(*slot);
        }
    }

    /// Adds a run of slots.
    pub(crate) fn insert_run(&mut self, start: u32, len: u32) {
        let Some(last) = len.checked_sub(1).map(|more| start + more) else { return };
        self.make_room(last);
        let (from, to) = (start as usize / 64, last as usize / 64);
        for index in from..=to {
            let low = if index == from { u64::MAX << (start % 64) } else { u64::MAX };
            let high = if index == to { u64::MAX >> (63 - last % 64) } else { u64::MAX };
            let bits = low & high;
            self.summary[index / 64] |= 1 << (index % 64);
            self.top[index / 4096] |= 1 << (index / 64 % 64);
            self.len += (bits & !self.words[index]).count_ones() as usize;
            self.words[index] |= bits;
        }
    }

    /// Takes out the `n` lowest slots, or all there are, lowest first.
    pub(crate) fn take_lowest(&mut self, n: usize, mut each: impl FnMut(u32)) {
        let mut left = n.min(self.len);
        self.len -= left;
        let mut top = 0;
        while left > 0 {
            while self.top[top] == 0 {
                top += 1;
            }
            let summary = top * 64 + self.top[top].trailing_zeros() as usize;
            let index = summary * 64 + self.summary[summary].trailing_zeros() as usize;
            let first = index as u32 * 64;
            let word = &mut self.words[index];
            if *word == u64::MAX && left >= 64 {
                (first..first + 64).for_each(&mut each);
                left -= 64;
                *word = 0;
            }
            while *word != 0 && left > 0 {
                each(first + word.trailing_zeros());
                *word &= *word - 1;
                left -= 1;
            }
            if *word == 0 {
                self.summary[summary] &= self.summary[summary] - 1;
                if self.summary[summary] == 0 {
                    self.top[top] &= self.top[top] - 1;
                }
            }
        }
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
        fn gives_the_lowest_like_an_ordered_set(
            steps in prop::collection::vec((0u32..300_000, 1u32..400, any::<bool>(), any::<bool>()), 0..100)
        ) {
            let mut slots = FreeSlots::default();
            let mut model = BTreeSet::new();
            for (slot, count, take, run) in steps {
                if take {
                    let (mut got, mut want) = (Vec::new(), Vec::new());
                    slots.take_lowest(count as usize, |slot| got.push(slot));
                    want.extend((0..count).map_while(|_| model.pop_first()));
                    prop_assert_eq!(got, want);
                } else if run {
                    slots.insert_run(slot, count);
                    model.extend(slot..slot + count);
                } else {
                    let new: Vec<u32> = (0..count).map(|i| if slot % 2 == 0 { slot + i } else { slot + 97 * (count - i) }).collect();
                    slots.insert_all(&new);
                    model.extend(new);
                }
                prop_assert_eq!(slots.len(), model.len());
            }
            let mut rest = Vec::new();
            slots.take_lowest(usize::MAX, |slot| rest.push(slot));
            prop_assert_eq!(rest, model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(slots.len(), 0);
        }
    }
}
