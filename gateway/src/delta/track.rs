//! At which look each item of a column last changed.
//!
//! A chunk of which all items changed needs one number; single items get numbers of their own once a part of some chunk
//! changed. Invariant: an item's look is the larger of its chunk's `whole` and its own; `any` is the largest of both
//! in the chunk.

use super::rows::Rows;

/// Items that share a `whole`: as many as rows share a stamp.
pub(super) const CHUNK: usize = hypostyle::limits::CHUNK_ROWS;

/// The looks of one column's items. Looks count from 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    /// For each chunk: the look at which all of it changed.
    whole: Vec<u32>,
    /// For each chunk: the look at which any of it changed.
    any: Vec<u32>,
    /// For each item; empty while none changed alone.
    own: Vec<u32>,
    items: usize,
}

/// What of a chunk changed.
pub(super) enum Changed {
    None,
    All,
    /// These items; bits beyond the chunk's are 0.
    Some([u64; CHUNK / 64]),
}

impl Track {
    /// Cuts off or appends items; appended ones count as changed at `look`.
    pub(super) fn resize(&mut self, items: usize, look: u32) {
        let old = self.items;
        self.items = items;
        let chunks = items.div_ceil(CHUNK);
        self.whole.resize(chunks, look);
        self.any.resize(chunks, look);
        if !self.own.is_empty() {
            self.own.resize(items, 0);
        }
        let end = old.next_multiple_of(CHUNK).min(items);
        if end > old {
            // the rest of a chunk that was begun
            self.own.resize(items, 0);
            self.own[old..end].fill(look);
            self.any[old / CHUNK] = look;
        }
    }

    /// Notes what of a chunk changed.
    pub(super) fn note(&mut self, chunk: usize, changed: &Changed, look: u32) {
        match changed {
            Changed::None => return,
            Changed::All => self.whole[chunk] = look,
            Changed::Some(words) => {
                self.own.resize(self.items, 0);
                let begin = chunk * CHUNK;
                for (word, bits) in words.iter().enumerate() {
                    let mut bits = *bits;
                    while bits != 0 {
                        self.own[begin + word * 64 + bits.trailing_zeros() as usize] = look;
                        bits &= bits - 1;
                    }
                }
            }
        }
        self.any[chunk] = look;
    }

    /// The items that changed after a look.
    pub(super) fn since(&self, look: u32) -> Rows {
        let mut rows = Rows::none(self.items);
        for chunk in 0..self.any.len() {
            if self.any[chunk] <= look {
                continue;
            }
            let (begin, end) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(self.items));
            if self.whole[chunk] > look {
                rows.fill(begin, end);
                continue;
            }
            for (word, looks) in self.own[begin..end].chunks(64).enumerate() {
                let bits = looks.iter().enumerate().fold(0u64, |bits, (i, own)| bits | u64::from(*own > look) << i);
                rows.words_mut()[begin / 64 + word] = bits;
            }
        }
        rows
    }
}

/// Makes `old` equal to `new`, and says which items of `unit` bytes differed.
pub(super) fn take_over(old: &mut [u8], new: &[u8], unit: usize) -> Changed {
    if old == new {
        return Changed::None;
    }
    let words = match unit {
        1 => differing::<1>(old, new),
        2 => differing::<2>(old, new),
        4 => differing::<4>(old, new),
        8 => differing::<8>(old, new),
        12 => differing::<12>(old, new),
        16 => differing::<16>(old, new),
        _ => {
            let mut words = [0; CHUNK / 64];
            for (i, (a, b)) in old.chunks_exact(unit).zip(new.chunks_exact(unit)).enumerate() {
                words[i / 64] |= u64::from(a != b) << (i % 64);
            }
            words
        }
    };
    old.copy_from_slice(new);
    let items = old.len() / unit;
    if words.iter().map(|word| word.count_ones() as usize).sum::<usize>() == items {
        return Changed::All;
    }
    Changed::Some(words)
}

fn differing<const N: usize>(old: &[u8], new: &[u8]) -> [u64; CHUNK / 64] {
    let mut words = [0; CHUNK / 64];
    let (old, new) = (old.as_chunks::<N>().0, new.as_chunks::<N>().0);
    for (word, (old, new)) in words.iter_mut().zip(old.chunks(64).zip(new.chunks(64))) {
        if old != new {
            *word = old.iter().zip(new).enumerate().fold(0, |bits, (i, (a, b))| bits | u64::from(a != b) << i);
        }
    }
    words
}
