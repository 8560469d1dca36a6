//! Runs of bytes: what of the data is free, or has no backing.
//!
//! Invariant: runs are sorted, disjoint and coalesced. This module must never know what the bytes are for.
#![forbid(unsafe_code)]

/// Bytes of the data that belong together: the storage of one version of one column, or of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Extent {
    /// Where it begins in the data; a multiple of 64.
    pub offset: u64,
    /// Its length; all of it may be used.
    pub bytes: u64,
}

impl Extent {
    pub(super) fn end(self) -> u64 {
        self.offset + self.bytes
    }
}

/// Sorted, disjoint, coalesced runs of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    pub runs: Vec<Extent>,
}

impl Runs {
    /// The place of the first run that ends after `offset`.
    fn place(&self, offset: u64) -> usize {
        self.runs.partition_point(|run| run.end() <= offset)
    }

    /// Adds a run that overlaps none, joining its neighbours.
    pub(super) fn insert(&mut self, run: Extent) {
        if run.bytes == 0 {
            return;
        }
        let at = self.place(run.offset);
        assert!(self.runs.get(at).is_none_or(|next| run.end() <= next.offset), "the bytes of {run:?} are free twice");
        let joins_before = at > 0 && self.runs[at - 1].end() == run.offset;
        let joins_after = self.runs.get(at).is_some_and(|next| next.offset == run.end());
        match (joins_before, joins_after) {
            (true, true) => self.runs[at - 1].bytes += run.bytes + self.runs.remove(at).bytes,
            (true, false) => self.runs[at - 1].bytes += run.bytes,
            (false, true) => self.runs[at] = Extent { offset: run.offset, bytes: run.bytes + self.runs[at].bytes },
            (false, false) => self.runs.insert(at, run),
        }
    }

    /// Takes a range out, wherever it is in.
    pub(super) fn subtract(&mut self, range: Extent) {
        let mut at = self.place(range.offset);
        while let Some(&run) = self.runs.get(at).filter(|run| run.offset < range.end()) {
            let before = Extent { offset: run.offset, bytes: range.offset.saturating_sub(run.offset) };
            let after = Extent { offset: range.end(), bytes: run.end().saturating_sub(range.end()) };
            match (before.bytes > 0, after.bytes > 0) {
                (true, true) => {
                    self.runs[at] = before;
                    self.runs.insert(at + 1, after);
                    return;
                }
                (true, false) => {
                    self.runs[at] = before;
                    at += 1;
                }
                (false, true) => {
                    self.runs[at] = after;
                    return;
                }
                (false, false) => {
                    self.runs.remove(at);
                }
            }
        }
    }

    /// The parts of the runs that lie in `range`.
    pub(super) fn within(&self, range: Extent) -> impl Iterator<Item = Extent> {
        self.runs[self.place(range.offset)..].iter().take_while(move |run| run.offset < range.end()).map(move |run| {
            let offset = run.offset.max(range.offset);
            Extent { offset, bytes: run.end().min(range.end()) - offset }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn runs_behave_like_a_set(ops in proptest::collection::vec((any::<bool>(), 0..60u64, 1..9u64), 0..40)) {
            let mut runs = Runs::default();
            let mut set = [false; 70];
            for (add, offset, bytes) in ops {
                runs.subtract(Extent { offset, bytes });
                if add {
                    runs.insert(Extent { offset, bytes });
                }
                set[offset as usize..(offset + bytes) as usize].fill(add);
                let all = Extent { offset: 0, bytes: 70 };
                let seen: Vec<u64> = runs.within(all).flat_map(|run| run.offset..run.end()).collect();
                let expected: Vec<u64> = (0..70).filter(|&i| set[i as usize]).collect();
                prop_assert_eq!(seen, expected);
                prop_assert!(runs.runs.windows(2).all(|pair| pair[0].end() < pair[1].offset));
            }
        }
    }
}
