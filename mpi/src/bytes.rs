//! Numbers, texts and pieces in messages. What is read is checked against the bytes that are there.
#![forbid(unsafe_code)]

use crate::error::ClusterError;

/// Puts a number of 32 bits.
pub(crate) fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Puts a number of 64 bits.
pub(crate) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Puts bytes, their length before them.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a message from its beginning.
pub(crate) struct Read<'a> {
    /// Who sent it.
    rank: usize,
    bytes: &'a [u8],
}

impl<'a> Read<'a> {
    pub(crate) fn new(rank: usize, bytes: &'a [u8]) -> Self {
        Read { rank, bytes }
    }

    /// What is wrong with it.
    pub(crate) fn bad(&self, what: impl Into<String>) -> ClusterError {
        ClusterError::Message { rank: self.rank, what: what.into() }
    }

    /// Whether all is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], ClusterError> {
        if length > self.bytes.len() {
            return Err(self.bad(format!("it ends {} bytes too early", length - self.bytes.len())));
        }
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ClusterError> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(word))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ClusterError> {
        let mut word = [0; 8];
        word.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(word))
    }

    /// Bytes with their length before them.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], ClusterError> {
        let length = self.u64()?;
        let length = usize::try_from(length).map_err(|_| self.bad("a length is no number of bytes"))?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, ClusterError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.bad("a name is no text"))
    }

    /// Nothing is left.
    pub(crate) fn end(self) -> Result<(), ClusterError> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(self.bad(format!("it has {left} bytes too many"))),
        }
    }
}

/// Numbers of 32 bits; what is left over is dropped.
pub(crate) fn words_u32(bytes: &[u8]) -> Vec<u32> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 4];
        word.copy_from_slice(bytes);
        u32::from_le_bytes(word)
    };
    bytes.chunks_exact(4).map(word).collect()
}

/// Numbers of 64 bits; what is left over is dropped.
pub(crate) fn words_u64(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(crate::comm::word).collect()
}
