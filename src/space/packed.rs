//! Lists of rows in half of the memory: 16 bits for each row, beside a base that many of them share.
//!
//! ```text
//! list     piece · piece · ...                                     an empty list has none
//! piece    n · base, low half · base, high half · n offsets        3 + n words of 16 bits
//! ```
//!
//! Invariant: what is unpacked is what was packed, in the same order, so sums over it have the same bits.
#![forbid(unsafe_code)]

use super::SpaceError;
use crate::simd::lanes::{WIDTH, prefetch};

/// Words of a piece before its offsets.
const HEAD: usize = 3;
/// Offsets of a piece at most: their number is a word.
const OFFSETS_MAX: usize = u16::MAX as usize;
/// Rows that a kernel looks at together.
pub(super) const PART: usize = 32 * WIDTH;

/// A list of rows in 16 bits each, for lists that are kept: [`PairForces::set_packed`](super::PairForces::set_packed) reads it
/// as it is.
///
/// Rows are offsets from a base. Neighbours in a table that is sorted by cells are near in it, so one base does for all in
/// tables of up to 65,536 rows, and a few in larger ones; each takes 6 bytes. Rows keep their order, whatever it is.
///
/// ```
/// use hypostyle::space::PackedRows;
/// let mut words = Vec::new();
/// PackedRows::pack(&[70_000, 69_998, 5, 1_000_000], &mut words);
/// assert_eq!(words.len(), (3 + 2) + (3 + 1) + (3 + 1));
/// let mut rows = Vec::new();
/// PackedRows(&words).unpack(&mut rows)?;
/// assert_eq!(rows, [70_000, 69_998, 5, 1_000_000]);
/// # Ok::<(), hypostyle::space::SpaceError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedRows<'a>(
    /// The words that [`PackedRows::pack`] has made.
    pub &'a [u16],
);

impl<'a> PackedRows<'a> {
    /// Puts the words of a list of rows behind those that are there.
    pub fn pack(rows: &[u32], words: &mut Vec<u16>) {
        let mut rest = rows;
        while let Some((first, more)) = rest.split_first() {
            let (mut least, mut most, mut count) = (*first, *first, 1);
            for row in &more[..more.len().min(OFFSETS_MAX - 1)] {
                let (low, high) = (least.min(*row), most.max(*row));
                if high - low > u32::from(u16::MAX) {
                    break;
                }
                (least, most, count) = (low, high, count + 1);
            }
            let (piece, others) = rest.split_at(count);
            words.extend([count as u16, least as u16, (least >> 16) as u16]);
            words.extend(piece.iter().map(|row| (row - least) as u16));
            rest = others;
        }
    }

    /// Puts the rows of the list behind those that are there.
    ///
    /// # Errors
    /// Words that no list is packed into; some of its rows have been put there then.
    pub fn unpack(self, rows: &mut Vec<u32>) -> Result<(), SpaceError> {
        let mut unpacking = Unpacking::new(self);
        let mut buffer = [0; PART];
        while let Some(part) = unpacking.next(&mut buffer)? {
            rows.extend_from_slice(part);
        }
        Ok(())
    }
}

/// A list that a kernel goes over part by part.
pub(super) trait RowList: Copy {
    /// What is left of it.
    type Rest;
    /// All of it.
    fn begin(self) -> Self::Rest;
    /// The next rows, [`PART`] of them where there are so many; none at the end.
    ///
    /// # Panics
    /// Where the list is none.
    fn next<'s>(rest: &'s mut Self::Rest, buffer: &'s mut [u32; PART]) -> Option<&'s [u32]>;
    /// Asks memory for it.
    fn ask(self);
}

impl<'a> RowList for &'a [u32] {
    type Rest = std::slice::Chunks<'a, u32>;

    #[inline(always)]
    fn begin(self) -> Self::Rest {
        self.chunks(PART)
    }

    #[inline(always)]
    fn next<'s>(rest: &'s mut Self::Rest, _: &'s mut [u32; PART]) -> Option<&'s [u32]> {
        rest.next()
    }

    #[inline(always)]
    fn ask(self) {
        prefetch(self);
    }
}

impl<'a> RowList for PackedRows<'a> {
    type Rest = Unpacking<'a>;

    #[inline(always)]
    fn begin(self) -> Self::Rest {
        Unpacking::new(self)
    }

    #[inline(always)]
    fn next<'s>(rest: &'s mut Self::Rest, buffer: &'s mut [u32; PART]) -> Option<&'s [u32]> {
        match rest.next(buffer) {
            Ok(part) => part,
            Err(error) => panic!("{error}"),
        }
    }

    #[inline(always)]
    fn ask(self) {
        prefetch(self.0);
    }
}

/// A list on its way out of its words.
pub(super) struct Unpacking<'a> {
    words: &'a [u16],
    /// Offsets of the piece at hand that are to come.
    left: usize,
    base: u32,
}

impl<'a> Unpacking<'a> {
    #[inline(always)]
    fn new(list: PackedRows<'a>) -> Self {
        Unpacking { words: list.0, left: 0, base: 0 }
    }

    #[inline(always)]
    fn next<'s>(&mut self, buffer: &'s mut [u32; PART]) -> Result<Option<&'s [u32]>, SpaceError> {
        let mut filled = 0;
        while filled < PART {
            if self.left == 0 {
                let Some(([count, low, high], rest)) = self.words.split_first_chunk::<HEAD>() else {
                    if self.words.is_empty() {
                        break;
                    }
                    return Err(SpaceError::NotPacked { words: self.words.len(), wanted: HEAD });
                };
                (self.left, self.words) = (usize::from(*count), rest);
                self.base = u32::from(*low) | u32::from(*high) << 16;
            }
            let now = self.left.min(PART - filled);
            let Some((offsets, rest)) = self.words.split_at_checked(now) else {
                return Err(SpaceError::NotPacked { words: self.words.len(), wanted: now });
            };
            for (row, offset) in buffer[filled..filled + now].iter_mut().zip(offsets) {
                // a sum beyond 32 bits is the row of no table, or another one's: it is compared with the table's length
                *row = self.base.wrapping_add(u32::from(*offset));
            }
            (self.words, self.left, filled) = (rest, self.left - now, filled + now);
        }
        Ok((filled > 0).then_some(&buffer[..filled]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpacked(words: &[u16]) -> Result<Vec<u32>, SpaceError> {
        let mut rows = Vec::new();
        PackedRows(words).unpack(&mut rows).map(|()| rows)
    }

    /// Runs of rows that are near each other, anywhere in a table.
    fn rows() -> impl Strategy<Value = Vec<u32>> {
        let run = (any::<u32>(), prop::collection::vec(0u32..70_000, 0..300))
            .prop_map(|(first, more)| more.into_iter().map(|off| first.saturating_add(off)).collect::<Vec<u32>>());
        prop::collection::vec(run, 0..5).prop_map(|runs| runs.concat())
    }

    proptest! {
        #[test]
        fn rows_come_back_in_their_order(rows in rows()) {
            let mut words = Vec::new();
            PackedRows::pack(&rows, &mut words);
            prop_assert_eq!(unpacked(&words), Ok(rows.clone()));
            let mut rest = PackedRows(&words).begin();
            let mut buffer = [0; PART];
            let mut parts = Vec::new();
            while let Some(part) = PackedRows::next(&mut rest, &mut buffer) {
                parts.push(part.to_vec());
            }
            let want: Vec<Vec<u32>> = rows.chunks(PART).map(<[u32]>::to_vec).collect();
            prop_assert_eq!(parts, want, "a kernel sees the parts of a plain list");
        }

        #[test]
        fn any_words_are_a_list_or_refused(words in prop::collection::vec(prop_oneof![0u16..9, any::<u16>()], 0..60)) {
            if let Ok(rows) = unpacked(&words) {
                prop_assert!(rows.len() <= words.len());
            }
        }
    }

    #[test]
    fn near_rows_share_one_base() {
        let mut words = Vec::new();
        PackedRows::pack(&[], &mut words);
        assert_eq!(words, [0u16; 0]);
        PackedRows::pack(&[65_536, 1, 65_535], &mut words);
        assert_eq!(words, [3, 1, 0, 65_535, 0, 65_534]);
        words.clear();
        PackedRows::pack(&[65_536, 0, u32::MAX], &mut words);
        assert_eq!(words, [1, 0, 1, 0, 1, 0, 0, 0, 1, u16::MAX, u16::MAX, 0]);
    }

    #[test]
    fn long_lists_go_in_pieces() {
        let rows = vec![7; 70_000];
        let mut words = Vec::new();
        PackedRows::pack(&rows, &mut words);
        assert_eq!(words.len(), 70_000 + 2 * HEAD);
        assert_eq!(unpacked(&words), Ok(rows));
    }

    #[test]
    fn words_that_end_too_early_are_refused() {
        assert_eq!(unpacked(&[1, 0]), Err(SpaceError::NotPacked { words: 2, wanted: 3 }));
        assert_eq!(unpacked(&[3, 0, 0, 5, 6]), Err(SpaceError::NotPacked { words: 2, wanted: 3 }));
    }
}
