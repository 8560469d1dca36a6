//! Blocks: what a delta's body is made of. 32 bytes of header, then what its kind says; see `docs/protocol.md`.

use super::error::DeltaError;

pub(super) const BLOCK_BYTES: usize = 32;

pub(super) const TABLE: u8 = 1;
pub(super) const DROP: u8 = 2;
pub(super) const VALUES: u8 = 3;

pub(super) const RAW: u8 = 0;
pub(super) const CONSTANT: u8 = 1;
pub(super) const FIXED8: u8 = 2;
pub(super) const FIXED16: u8 = 3;
pub(super) const FIXED32: u8 = 4;

/// The header of a block. What `a` to `d` are depends on the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub kind: u8,
    pub values: u8,
    pub rows: u8,
    pub flags: u8,
    pub bytes: u32,
    pub table: u32,
    /// VALUES: column. TABLE: columns.
    pub a: u32,
    /// VALUES: row entries. TABLE: rows.
    pub b: u32,
    /// VALUES: items. TABLE: components.
    pub c: u32,
    /// VALUES: first row of a bitmap. TABLE: capacity.
    pub d: u32,
}

impl Block {
    pub(super) fn encode(&self) -> [u8; BLOCK_BYTES] {
        let mut out = [0; BLOCK_BYTES];
        out[..4].copy_from_slice(&[self.kind, self.values, self.rows, self.flags]);
        for (at, word) in [self.bytes, self.table, self.a, self.b, self.c, self.d].into_iter().enumerate() {
            out[4 + 4 * at..8 + 4 * at].copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Reads a header and what belongs to it.
    pub(super) fn read<'a>(cursor: &mut Cursor<'a>) -> Result<(Block, Cursor<'a>), DeltaError> {
        let bytes = cursor.take("the header of a block", BLOCK_BYTES as u64)?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let block = Block {
            kind: bytes[0],
            values: bytes[1],
            rows: bytes[2],
            flags: bytes[3],
            bytes: word(4),
            table: word(8),
            a: word(12),
            b: word(16),
            c: word(20),
            d: word(24),
        };
        let wrong = |what, found, expected| Err(DeltaError::Value { what, found, expected });
        if word(28) != 0 {
            return wrong("the last word of a block's header", word(28).into(), "it must be 0");
        }
        if !block.bytes.is_multiple_of(8) || (block.bytes as usize) < BLOCK_BYTES {
            return wrong("the length of a block", block.bytes.into(), "it must be a multiple of 8 from 32 on");
        }
        let rest = cursor.take("a block", u64::from(block.bytes) - BLOCK_BYTES as u64)?;
        Ok((block, Cursor::new(rest)))
    }
}

/// Takes bytes off untrusted ones, front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn take(&mut self, what: &'static str, needed: u64) -> Result<&'a [u8], DeltaError> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(needed).ok().and_then(|needed| rest.get(..needed)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(DeltaError::End { what, needed, left: rest.len() as u64 }),
        }
    }

    pub(super) fn f64(&mut self, what: &'static str) -> Result<f64, DeltaError> {
        let bytes = self.take(what, 8)?;
        Ok(bytes.first_chunk::<8>().map_or(0.0, |bytes| f64::from_le_bytes(*bytes)))
    }

    /// Takes the zeros to the next multiple of 8.
    pub(super) fn pad(&mut self, what: &'static str) -> Result<(), DeltaError> {
        let zeros = self.take(what, (self.at.next_multiple_of(8) - self.at) as u64)?;
        match zeros.iter().find(|byte| **byte != 0) {
            None => Ok(()),
            Some(byte) => Err(DeltaError::Value { what: "padding", found: (*byte).into(), expected: "it must be 0" }),
        }
    }
}
