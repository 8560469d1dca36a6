//! The 64 bytes before a delta's blocks: an UPDATE message's.
//!
//! ```text
//!  0 kind u8 (3) · version u8 (1) · flags u16 · bytes of the message u32
//!  8 subscription u32 · part u16 · parts u16
//! 16 from generation u64      24 to generation u64
//! 32 frame u64                40 time f64
//! 48 blocks u32 · input sequence u32
//! 56 bytes of the body before compression u32 · 0 u32
//! ```

use super::error::DeltaError;

/// Bytes of a head.
pub const HEAD_BYTES: usize = 64;
/// The delta begins from nothing.
pub const FLAG_FULL: u16 = 1;
/// This is the delta's last part.
pub const FLAG_LAST: u16 = 2;
/// The body is a zstd frame.
pub const FLAG_ZSTD: u16 = 4;

const KIND: u8 = 3;
const VERSION: u8 = 1;

/// What stands before a delta's blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Head {
    /// [`FLAG_FULL`], [`FLAG_LAST`], [`FLAG_ZSTD`].
    pub flags: u16,
    /// Bytes of the message, this head included.
    pub bytes: u32,
    /// The subscription of a client.
    pub subscription: u32,
    /// The part's number, from 0.
    pub part: u16,
    /// Parts; 0: more than fit 16 bits.
    pub parts: u16,
    /// The generation that it leads on from; 0: none.
    pub from: u64,
    /// The generation that it leads to.
    pub to: u64,
    /// The frame after which that was published.
    pub frame: u64,
    /// Simulated time after that frame.
    pub time: f64,
    /// Blocks in the body.
    pub blocks: u32,
    /// The client's newest input that `to` can contain; 0: none.
    pub input: u32,
    /// Bytes of the body before compression.
    pub body_bytes: u32,
}

impl Head {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[KIND, VERSION]);
        put(2, &self.flags.to_le_bytes());
        put(4, &self.bytes.to_le_bytes());
        put(8, &self.subscription.to_le_bytes());
        put(12, &self.part.to_le_bytes());
        put(14, &self.parts.to_le_bytes());
        put(16, &self.from.to_le_bytes());
        put(24, &self.to.to_le_bytes());
        put(32, &self.frame.to_le_bytes());
        put(40, &self.time.to_le_bytes());
        put(48, &self.blocks.to_le_bytes());
        put(52, &self.input.to_le_bytes());
        put(56, &self.body_bytes.to_le_bytes());
        out
    }

    /// Reads the head of a message, and gives its body.
    ///
    /// # Errors
    /// Another kind of message, another version, a length that is not that of the bytes.
    pub fn decode(message: &[u8]) -> Result<(Head, &[u8]), DeltaError> {
        let Some((bytes, body)) = message.split_first_chunk::<HEAD_BYTES>() else {
            let left = message.len() as u64;
            return Err(DeltaError::End { what: "the head", needed: HEAD_BYTES as u64, left });
        };
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let head = Head {
            flags: u16_at(2),
            bytes: u32_at(4),
            subscription: u32_at(8),
            part: u16_at(12),
            parts: u16_at(14),
            from: u64_at(16),
            to: u64_at(24),
            frame: u64_at(32),
            time: f64::from_bits(u64_at(40)),
            blocks: u32_at(48),
            input: u32_at(52),
            body_bytes: u32_at(56),
        };
        let wrong = |what, found, expected| Err(DeltaError::Value { what, found, expected });
        if bytes[0] != KIND {
            return wrong("the kind of the message", bytes[0].into(), "a delta's is 3");
        }
        if bytes[1] != VERSION {
            return wrong("the version", bytes[1].into(), "this build reads 1");
        }
        if head.flags & !(FLAG_FULL | FLAG_LAST | FLAG_ZSTD) != 0 {
            return wrong("the flags", head.flags.into(), "only the lowest three are known");
        }
        if head.bytes as usize != message.len() {
            return wrong("the length", head.bytes.into(), "it must be that of the message");
        }
        if head.flags & FLAG_ZSTD == 0 && head.body_bytes as usize != body.len() {
            return wrong("the body's length", head.body_bytes.into(), "it must be that of what follows the head");
        }
        Ok((head, body))
    }
}
