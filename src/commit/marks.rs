//! Which values a batch has set so far, so that a set that a later one replaces is counted as overwritten.
//!
//! A set of a whole component replaces every earlier set of that component of that entity, also those of single fields;
//! a set of a field replaces earlier sets of that field. An `add` of a component that is there already is a set. A set
//! whose fields are replaced one by one by several later ones counts as applied, and so does one whose entity or
//! component goes in the same batch: nothing replaced it.
//!
//! For each table and component there are bits by row: is there a set that nothing has replaced yet? A list of rows
//! costs a bit each, a run of rows a word for 64 of them. Rows stand still until all patches were read.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::world::store::scatter::consecutive;

/// In place of a table: the batch's new entities, whose rows are their places among them.
pub(super) const SPAWNS: u32 = u32::MAX;

/// The sets of a batch. Kept between batches for its memory.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    places: HashMap<(u32, u16), usize>,
    of: Vec<Sets>,
    /// The place that was asked for last.
    last: Option<((u32, u16), usize)>,
    /// Places with marks.
    used: Vec<usize>,
    resources: Bits,
}

/// The sets of one component in one table.
#[derive(Debug, Default)]
struct Sets {
    used: bool,
    whole: Bits,
    /// By field.
    fields: Vec<Bits>,
}

impl Marks {
    /// Forgets everything but the memory.
    pub(super) fn clear(&mut self) {
        for place in self.used.drain(..) {
            let sets = &mut self.of[place];
            sets.used = false;
            sets.whole.clear();
            sets.fields.iter_mut().for_each(Bits::clear);
        }
        self.resources.clear();
    }

    fn sets(&mut self, table: u32, component: u16) -> &mut Sets {
        let key = (table, component);
        let place = match self.last {
            Some((last, place)) if last == key => place,
            _ => {
                let next = self.of.len();
                let place = *self.places.entry(key).or_insert(next);
                if place == next {
                    self.of.push(Sets::default());
                }
                self.last = Some((key, place));
                place
            }
        };
        let sets = &mut self.of[place];
        if !sets.used {
            sets.used = true;
            self.used.push(place);
        }
        sets
    }

    /// Sets of a component (`field` 0), or of one of its fields (counted from 1), in rows of a table of `total` rows,
    /// were applied, in this order. How many earlier ones they replaced, each other's included.
    pub(super) fn set(&mut self, (table, total): (u32, u32), component: u16, field: u8, rows: &[u32]) -> u64 {
        let sets = self.sets(table, component);
        match usize::from(field).checked_sub(1) {
            None => {
                let replaced: u64 = sets.fields.iter_mut().map(|bits| bits.take(rows)).sum();
                replaced + sets.whole.put(rows, total)
            }
            Some(field) => {
                if sets.fields.len() <= field {
                    sets.fields.resize_with(field + 1, Bits::default);
                }
                sets.fields[field].put(rows, total)
            }
        }
    }

    /// Whether a field (counted from 1) of a component of a row was set, by itself or with all others.
    pub(super) fn is_set(&self, table: u32, component: u16, field: u8, row: u32) -> bool {
        let Some(place) = self.places.get(&(table, component)) else { return false };
        let sets = &self.of[*place];
        let one = usize::from(field).checked_sub(1).and_then(|field| sets.fields.get(field));
        sets.whole.has(row) || one.is_some_and(|bits| bits.has(row))
    }

    /// The component of a row was removed: what was set of it is gone.
    pub(super) fn remove(&mut self, table: u32, component: u16, row: u32) {
        if let Some(place) = self.places.get(&(table, component)) {
            let sets = &mut self.of[*place];
            sets.whole.take(&[row]);
            sets.fields.iter_mut().for_each(|bits| {
                bits.take(&[row]);
            });
        }
    }

    /// A resource, of `total` ones, was set. How many earlier sets this replaced.
    pub(super) fn set_resource(&mut self, resource: u16, total: usize) -> u64 {
        self.resources.put(&[u32::from(resource)], total as u32)
    }

    /// Whether a resource was set.
    pub(super) fn has_set_resource(&self, resource: u16) -> bool {
        self.resources.has(u32::from(resource))
    }
}

/// Bits by row, of which those that are set lie in a known part.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    /// The words that may be other than 0.
    first: usize,
    end: usize,
}

impl Bits {
    fn clear(&mut self) {
        if self.first < self.end {
            self.words[self.first..self.end].fill(0);
        }
        (self.first, self.end) = (0, 0);
    }

    fn has(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 != 0)
    }

    /// Marks rows below `total`; how many of them were marked already.
    fn put(&mut self, rows: &[u32], total: u32) -> u64 {
        let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else { return 0 };
        let words = (total as usize).div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        if last.wrapping_sub(first) as usize == rows.len() - 1 && consecutive(rows) {
            self.reach(first, last);
            return self.put_run(first, last);
        }
        let (low, high) = rows.iter().fold((first, first), |(low, high), row| (low.min(*row), high.max(*row)));
        self.reach(low, high);
        let mut before = 0;
        for row in rows {
            let word = &mut self.words[*row as usize / 64];
            before += *word >> (row % 64) & 1;
            *word |= 1 << (row % 64);
        }
        before
    }

    fn put_run(&mut self, first: u32, last: u32) -> u64 {
        let (from, to) = (first as usize / 64, last as usize / 64);
        let mut before = 0;
        for (index, word) in self.words[from..=to].iter_mut().enumerate() {
            let low = if index == 0 { u64::MAX << (first % 64) } else { u64::MAX };
            let high = if from + index == to { u64::MAX >> (63 - last % 64) } else { u64::MAX };
            before += u64::from((*word & low & high).count_ones());
            *word |= low & high;
        }
        before
    }

    fn reach(&mut self, low: u32, high: u32) {
        let (low, end) = (low as usize / 64, high as usize / 64 + 1);
        (self.first, self.end) =
            if self.first == self.end { (low, end) } else { (self.first.min(low), self.end.max(end)) };
    }

    /// Takes the marks of rows away; how many were marked.
    fn take(&mut self, rows: &[u32]) -> u64 {
        if self.first == self.end {
            return 0;
        }
        let mut before = 0;
        for row in rows {
            if let Some(word) = self.words.get_mut(*row as usize / 64) {
                before += *word >> (row % 64) & 1;
                *word &= !(1 << (row % 64));
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The bits count as a list of all live sets would.
        #[test]
        fn marks_count_what_a_list_of_live_sets_counts(
            steps in prop::collection::vec(
                (0u8..5, 0u32..2, 0u8..3, 0u32..200, 1u32..150, any::<bool>(), any::<u64>()),
                1..30,
            ),
        ) {
            let mut marks = Marks::default();
            let mut live: HashSet<(u32, u8, u32)> = HashSet::new();
            for (kind, table, field, first, count, in_order, seed) in steps {
                let rows: Vec<u32> = (0..count)
                    .map(|i| if in_order { first + i } else { (seed.rotate_left(i) % 350) as u32 })
                    .collect();
                match kind {
                    0 => {
                        marks.clear();
                        live.clear();
                    }
                    1 => {
                        marks.remove(table, 7, rows[0]);
                        live.retain(|(of, _, row)| (*of, *row) != (table, rows[0]));
                    }
                    _ => {
                        let got = marks.set((table, 350), 7, field, &rows);
                        let mut want = 0;
                        for row in rows {
                            let before = live.len();
                            live.retain(|other| {
                                let same = (other.0, other.2) == (table, row);
                                !(same && (field == 0 || other.1 == field))
                            });
                            want += (before - live.len()) as u64;
                            live.insert((table, field, row));
                        }
                        prop_assert_eq!(got, want);
                    }
                }
            }
        }
    }
}
