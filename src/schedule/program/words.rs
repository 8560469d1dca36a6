//! Words that may be rubbish, read in order; and what is written as such words.
#![forbid(unsafe_code)]

use crate::layout::{FieldType, ScalarType};

/// A structure of a program: a fixed number of words.
pub(crate) trait Entry: Sized {
    /// Its words.
    const WORDS: usize;

    /// Appends its words.
    fn encode(&self, words: &mut Vec<u64>);

    /// Takes the next words as one.
    fn decode(words: &mut Words<'_>) -> Result<Self, String>;
}

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
#[cold]
pub(crate) fn rubbish() -> String {
    "the batch's program is damaged".to_owned()
}

impl<'a> Words<'a> {
    /// A reader from a place on.
    pub(crate) fn at(words: &'a [u64], at: u64) -> Result<Self, String> {
        match usize::try_from(at) {
            Ok(at) if at <= words.len() => Ok(Words { words, at }),
            _ => Err(rubbish()),
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
            None => Err(rubbish()),
        }
    }

    /// The next word's halves, low first.
    #[inline]
    pub(crate) fn pair(&mut self) -> Result<(u32, u32), String> {
        self.next().map(|word| (word as u32, (word >> 32) as u32))
    }

    /// A word that is a flag.
    #[inline]
    pub(crate) fn flag(&mut self) -> Result<bool, String> {
        self.next().map(|word| word != 0)
    }

    /// Where the next word is.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// The next bytes, padded to words.
    pub(crate) fn bytes(&mut self, bytes: u64) -> Result<&'a [u8], String> {
        let bytes = usize::try_from(bytes).map_err(|_| rubbish())?;
        let end = self.at.checked_add(bytes.div_ceil(8)).ok_or_else(rubbish)?;
        let words = self.words.get(self.at..end).ok_or_else(rubbish)?;
        self.at = end;
        Ok(&bytemuck::cast_slice(words)[..bytes])
    }

    /// A type.
    #[inline]
    pub(crate) fn ty(&mut self) -> Result<FieldType, String> {
        word_type(self.next()?).ok_or_else(rubbish)
    }
}

/// Appends bytes, padded to words.
pub(crate) fn push_bytes(words: &mut Vec<u64>, bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    words.extend(whole.iter().map(|bytes| u64::from_ne_bytes(*bytes)));
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        words.push(u64::from_ne_bytes(last));
    }
}
