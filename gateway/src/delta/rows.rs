//! A set of items of one column, and how it is written.
//!
//! ```text
//! 0 runs     u32 first · u32 count, each             where items come in runs
//! 1 list     u32 each                                where they are few and apart
//! 2 bitmap   u64 words from the first row on         where they are many and apart
//! 3 same     nothing                                 those of the block before
//! ```
//!
//! Invariant: bits beyond the column's items are 0; what is written ascends and names nothing twice, and what is read is
//! refused otherwise.

use super::block::Cursor;
use super::error::DeltaError;

pub(super) const RUNS: u8 = 0;
pub(super) const LIST: u8 = 1;
pub(super) const BITMAP: u8 = 2;
pub(super) const SAME: u8 = 3;

/// A set of items as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    words: Vec<u64>,
    items: usize,
}

impl Rows {
    pub(super) fn none(items: usize) -> Self {
        Rows { words: vec![0; items.div_ceil(64)], items }
    }

    pub(super) fn all(items: usize) -> Self {
        let mut rows = Rows::none(items);
        rows.fill(0, items);
        rows
    }

    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Adds `from..to`; both are below the items.
    pub(super) fn fill(&mut self, from: usize, to: usize) {
        if from >= to {
            return;
        }
        let (first, last) = (from / 64, (to - 1) / 64);
        let low = u64::MAX << (from % 64);
        let high = u64::MAX >> (63 - (to - 1) % 64);
        if first == last {
            self.words[first] |= low & high;
        } else {
            self.words[first] |= low;
            self.words[first + 1..last].fill(u64::MAX);
            self.words[last] |= high;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Cuts the set into parts of at most about `items_max` items (at least 64): ranges of words and their items.
    pub(super) fn parts(&self, items_max: usize) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        let (mut begin, mut items) = (0, 0);
        for (index, word) in self.words.iter().enumerate() {
            let here = word.count_ones() as usize;
            if items > 0 && items + here > items_max {
                parts.push(Part::new(&self.words[begin..index], begin * 64, items));
                items = 0;
            }
            if items == 0 {
                begin = index;
            }
            items += here;
        }
        if items > 0 {
            parts.push(Part::new(&self.words[begin..], begin * 64, items));
        }
        parts
    }
}

/// A part of a set.
pub(super) struct Part<'a> {
    words: &'a [u64],
    /// The item of the first word's lowest bit.
    base: usize,
    pub items: usize,
    runs: usize,
    /// How it is written.
    pub encoding: u8,
}

impl<'a> Part<'a> {
    fn new(words: &'a [u64], base: usize, items: usize) -> Self {
        let used = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        let words = &words[..used];
        let mut runs = 0;
        let mut carry = 0;
        for word in words {
            runs += (word & !(word << 1 | carry)).count_ones() as usize;
            carry = word >> 63;
        }
        let mut part = Part { words, base, items, runs, encoding: RUNS };
        part.encoding = [RUNS, LIST, BITMAP].into_iter().min_by_key(|e| part.bytes_as(*e)).unwrap_or(RUNS);
        part
    }

    fn bytes_as(&self, encoding: u8) -> usize {
        match encoding {
            RUNS => 8 * self.runs,
            LIST => 4 * self.items,
            _ => 8 * self.words.len(),
        }
    }

    /// Entries in the block's header.
    pub(super) fn entries(&self) -> usize {
        match self.encoding {
            RUNS => self.runs,
            LIST => self.items,
            _ => self.words.len(),
        }
    }

    /// The first row of a bitmap; else 0.
    pub(super) fn first(&self) -> usize {
        if self.encoding == BITMAP { self.base } else { 0 }
    }

    /// Bytes that it takes, padded.
    pub(super) fn bytes(&self) -> usize {
        self.bytes_as(self.encoding).next_multiple_of(8)
    }

    /// Calls `run(first, count)` for each run, in order.
    pub(super) fn for_runs(&self, run: impl FnMut(usize, usize)) {
        for_runs(self.words, self.base, run);
    }

    /// Appends it, padded.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.encoding {
            RUNS => self.for_runs(|first, count| {
                out.extend_from_slice(&(first as u32).to_le_bytes());
                out.extend_from_slice(&(count as u32).to_le_bytes());
            }),
            LIST => self.for_runs(|first, count| {
                (first..first + count).for_each(|item| out.extend_from_slice(&(item as u32).to_le_bytes()));
            }),
            _ => self.words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes())),
        }
        out.resize(out.len().next_multiple_of(8), 0);
    }
}

/// The runs of set bits in words, the first bit being item `base`.
fn for_runs(words: &[u64], base: usize, mut run: impl FnMut(usize, usize)) {
    // a run that reaches the end of its word waits for the next word
    let (mut first, mut count) = (0, 0);
    for (index, word) in words.iter().enumerate() {
        let mut left = *word;
        let at = base + index * 64;
        if count > 0 && left & 1 == 0 {
            run(first, count);
            count = 0;
        }
        let mut shift = 0;
        while left != 0 {
            let zeros = left.trailing_zeros() as usize;
            left >>= zeros;
            shift += zeros;
            let ones = left.trailing_ones() as usize;
            if count == 0 {
                first = at + shift;
            }
            count += ones;
            shift += ones;
            if shift == 64 {
                break;
            }
            left >>= ones;
            run(first, count);
            count = 0;
        }
    }
    if count > 0 {
        run(first, count);
    }
}

/// Runs as read, checked against the number of items that the column has.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadRows {
    pub runs: Vec<(u32, u32)>,
    pub items: usize,
}

/// How a block's header announces its rows.
pub(super) struct RowsHead {
    pub encoding: u8,
    pub entries: u32,
    pub items: u32,
    pub first: u32,
}

impl ReadRows {
    /// Reads a block's rows. The runs of before stay for SAME.
    pub(super) fn read(&mut self, head: &RowsHead, cursor: &mut Cursor<'_>, column: usize) -> Result<(), DeltaError> {
        let wrong = |what, found: u64, expected| Err(DeltaError::Value { what, found, expected });
        if head.encoding == SAME {
            if head.entries != 0 || head.items as usize != self.items {
                return wrong("the items of a block", head.items.into(), "it must be that of the block before");
            }
            let last = self.runs.last().map_or(0, |(first, count)| u64::from(*first) + u64::from(*count));
            if last > column as u64 {
                return wrong("an item", last, "it must be one of the column");
            }
            return Ok(());
        }
        self.runs.clear();
        self.items = 0;
        let bytes = head.entries as u64 * if head.encoding == LIST { 4 } else { 8 };
        let bytes = cursor.take("the rows of a block", bytes)?;
        match head.encoding {
            RUNS => {
                for [a, b, c, d, e, f, g, h] in bytes.as_chunks::<8>().0 {
                    let (first, count) = (u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h]));
                    self.push(first, count, column)?;
                }
            }
            LIST => {
                for item in bytes.as_chunks::<4>().0 {
                    self.push(u32::from_le_bytes(*item), 1, column)?;
                }
            }
            BITMAP => {
                let mut result = Ok(());
                let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
                if u64::from(head.first) + words.len() as u64 * 64 > column.next_multiple_of(64) as u64 {
                    return wrong("the end of a bitmap", head.first.into(), "it must be inside the column");
                }
                for_runs(&words, head.first as usize, |first, count| {
                    if result.is_ok() {
                        result = self.push(first as u32, count as u32, column);
                    }
                });
                result?;
            }
            other => return wrong("the way of writing rows", other.into(), "it must be 0 to 3"),
        }
        cursor.pad("the rows of a block")?;
        if self.items != head.items as usize {
            return wrong("the items of a block", head.items.into(), "it must be the number of rows named");
        }
        Ok(())
    }

    fn push(&mut self, first: u32, count: u32, column: usize) -> Result<(), DeltaError> {
        let wrong = |found: u64, expected| Err(DeltaError::Value { what: "an item", found, expected });
        let end = u64::from(first) + u64::from(count);
        if end > column as u64 || count == 0 {
            return wrong(end, "it must be one of the column");
        }
        match self.runs.last_mut() {
            Some((begin, before)) if *begin + *before == first => *before += count,
            Some((begin, before)) if *begin + *before > first => return wrong(first.into(), "items must ascend"),
            _ => self.runs.push((first, count)),
        }
        self.items += count as usize;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn written_rows_are_read_again(
            runs in prop::collection::vec((0usize..200, 1usize..90), 0..40),
            items_max in 64usize..500,
        ) {
            let mut rows = Rows::none(20_000);
            let mut at = 0;
            for (gap, count) in runs {
                at += gap;
                let end = (at + count).min(20_000);
                rows.fill(at.min(end), end);
                at = end;
            }
            let mut found = Rows::none(20_000);
            for part in rows.parts(items_max) {
                prop_assert!(part.items <= items_max);
                let mut bytes = Vec::new();
                part.write(&mut bytes);
                prop_assert_eq!(bytes.len(), part.bytes());
                let mut read = ReadRows::default();
                let head = RowsHead {
                    encoding: part.encoding,
                    entries: part.entries() as u32,
                    items: part.items as u32,
                    first: part.first() as u32,
                };
                read.read(&head, &mut Cursor::new(&bytes), 20_000).unwrap();
                read.runs.iter().for_each(|&(first, n)| found.fill(first as usize, (first + n) as usize));
                prop_assert!(read.read(&head, &mut Cursor::new(&bytes), 1).is_err() || part.items <= 1);
            }
            prop_assert_eq!(found, rows);
        }
    }
}
