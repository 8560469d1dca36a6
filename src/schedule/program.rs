#![forbid(unsafe_code)]
//! A batch as plain words: what every worker needs to run any of its jobs, in offsets and never in pointers.
//!
//! ```text
//! 0 magic · 1 frame · 2 time f64 · 3 dt f64 · 4 frames · 5 jobs · 6 tasks · 7 where the tasks' index begins
//! 8 resources offset · 9 resources bytes · 10 locations offset · 11 generations offset · 12 slots
//! 13 words in all · 14 names frame and batch: reserved handles come of it · 15 zero
//! then per job 2 words: task | system << 32, start | end << 32
//! then per task 1 word: where it begins
//! task:   table | rows << 32 · handles offset · columns | systems << 32
//!         per column 4 words: old offset · new offset (all ones: only read) · scalar | array length << 8
//!                             component | field << 16
//!         per system: system | columns << 32 · optionals | mask terms << 32 · view tables | payload bytes << 32
//!                     per column: place | write << 32 · per optional: 0 or 1
//!                     per mask term: negated | bit columns << 32, then their offsets · payload, padded to words
//!                     per view table: table | rows << 32 · handles offset · columns | mask terms << 32
//!                                     optionals; optionals, columns (offset, type), mask terms as above
//! ```
//! A worker process gets the words through memory that others can write: [`Words`] checks every access.

use crate::layout::{FieldType, ScalarType};

/// First word of a program.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"HYPOPROG");
/// Words before the jobs.
pub(crate) const HEADER_WORDS: usize = 16;
/// "Only read", in place of an offset.
pub(crate) const NO_OFFSET: u64 = u64::MAX;

/// Two 32-bit halves of a word, low first.
pub(crate) const fn halves(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// A field type as a word.
pub(crate) const fn type_word(ty: FieldType) -> u64 {
    ty.scalar as u64 | (ty.array_len as u64) << 8
}

/// A field type from a word.
pub(crate) fn word_type(word: u64) -> Option<FieldType> {
    let scalar = ScalarType::from_code(word as u8)?;
    let array_len = u32::try_from(word >> 8).ok()?;
    (array_len <= crate::limits::ARRAY_LEN_MAX).then_some(FieldType { scalar, array_len })
}

/// A reader of words that may be rubbish.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    words: &'a [u64],
    at: usize,
}

/// What is said of words that are no program.
const RUBBISH: &str = "the batch's program is damaged";

impl<'a> Words<'a> {
    /// A reader from a place on.
    pub(crate) fn at(words: &'a [u64], at: u64) -> Result<Self, String> {
        match usize::try_from(at) {
            Ok(at) if at <= words.len() => Ok(Words { words, at }),
            _ => Err(RUBBISH.to_owned()),
        }
    }

    /// The next word.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<u64, String> {
        match self.words.get(self.at) {
            Some(word) => {
                self.at += 1;
                Ok(*word)
            }
            None => Err(RUBBISH.to_owned()),
        }
    }

    /// The next word's halves, low first.
    #[inline]
    pub(crate) fn pair(&mut self) -> Result<(u32, u32), String> {
        self.next().map(|word| (word as u32, (word >> 32) as u32))
    }

    /// Where the next word is.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// The next bytes, padded to words.
    pub(crate) fn bytes(&mut self, bytes: u32) -> Result<&'a [u8], String> {
        let bytes = bytes as usize;
        let end = self.at + bytes.div_ceil(8);
        let words = self.words.get(self.at..end).ok_or_else(|| RUBBISH.to_owned())?;
        self.at = end;
        Ok(&bytemuck::cast_slice(words)[..bytes])
    }

    /// A type.
    #[inline]
    pub(crate) fn ty(&mut self) -> Result<FieldType, String> {
        word_type(self.next()?).ok_or_else(|| RUBBISH.to_owned())
    }
}
