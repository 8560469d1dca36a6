//! What can go wrong with patches on their way: in a record, in a ring, in a job's writer.
#![forbid(unsafe_code)]

use crate::limits::RING_BYTES_MIN;
use crate::patch::record::HEADER_BYTES;

/// What is wrong with the bytes of a record. `at` is the record's first byte, counted from the start of the slice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Fewer bytes are left than a header takes.
    #[error("record at byte {at}: {left} bytes are left, a header takes {HEADER_BYTES}")]
    Truncated {
        /// Where the record starts.
        at: usize,
        /// Bytes left.
        left: usize,
    },
    /// The record's own length is impossible.
    #[error(
        "record at byte {at} claims {bytes} bytes: it must be a multiple of 8, at least 16, at most the {left} left"
    )]
    Bytes {
        /// Where the record starts.
        at: usize,
        /// What it claims.
        bytes: u32,
        /// Bytes left.
        left: usize,
    },
    /// No kind has this code.
    #[error("record at byte {at} has the unknown kind {kind}")]
    Kind {
        /// Where the record starts.
        at: usize,
        /// The code.
        kind: u8,
    },
    /// The layout has no such component or field.
    #[error("record at byte {at} names component {component}, field {field}: the layout has none such")]
    Component {
        /// Where the record starts.
        at: usize,
        /// Component id.
        component: u16,
        /// 0, or the field's index + 1.
        field: u8,
    },
    /// The layout has no such resource.
    #[error("record at byte {at} names resource {resource}: the layout has none such")]
    Resource {
        /// Where the record starts.
        at: usize,
        /// Resource id.
        resource: u16,
    },
    /// The kind takes the whole component or none, or no count, and the header says otherwise.
    #[error(
        "record at byte {at} of kind {kind} has field {field}, component {component}, count {count}: this kind takes none of them or fewer"
    )]
    Header {
        /// Where the record starts.
        at: usize,
        /// The kind's code.
        kind: u8,
        /// The header's field.
        field: u8,
        /// The header's component.
        component: u16,
        /// The header's count.
        count: u32,
    },
    /// Length, count and the sizes of the values do not agree.
    #[error("record at byte {at} of kind {kind} has {bytes} bytes: its count and the layout make it {expected}")]
    Length {
        /// Where the record starts.
        at: usize,
        /// The kind's code.
        kind: u8,
        /// What the header claims.
        bytes: u32,
        /// What it must be.
        expected: u64,
    },
    /// A range ends before it starts.
    #[error("record at byte {at}: rows {start}..{end} end before they start")]
    Rows {
        /// Where the record starts.
        at: usize,
        /// First row.
        start: u32,
        /// Row after the last.
        end: u32,
    },
    /// A message is no UTF-8.
    #[error("record at byte {at}: the failure's message is not UTF-8")]
    Message {
        /// Where the record starts.
        at: usize,
    },
}

/// What is wrong with a ring, or with what its other end wrote into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// The memory does not start at a multiple of 128.
    #[error("the ring's memory starts at address {address:#x}: it must be a multiple of 128")]
    Misaligned {
        /// The address.
        address: usize,
    },
    /// The capacity is no power of two in range.
    #[error("a ring of {bytes} bytes: it must be a power of two from {RING_BYTES_MIN} to 2^31")]
    Capacity {
        /// Bytes asked for, or found in the ring's head.
        bytes: u64,
    },
    /// The memory is shorter than the ring that is in it.
    #[error("the ring's memory has {bytes} bytes: {needed} are needed")]
    TooSmall {
        /// Bytes of the memory.
        bytes: u64,
        /// Bytes of the ring with its head.
        needed: u64,
    },
    /// The memory holds no ring.
    #[error("the ring's check words are {found:#x} and {check:#x}: this is no ring, or a broken one")]
    Check {
        /// The magic found.
        found: u64,
        /// The check word found.
        check: u64,
    },
    /// Head and tail contradict each other or the ring's capacity.
    #[error("ring head {head} and tail {tail} are impossible with {capacity} bytes")]
    Positions {
        /// Bytes consumed.
        head: u64,
        /// Bytes produced.
        tail: u64,
        /// Bytes of the ring.
        capacity: u64,
    },
    /// A record's length is impossible.
    #[error(
        "ring record at {at} claims {bytes} bytes: it must be a multiple of 8, at least 16, at most the {left} left"
    )]
    Record {
        /// Position since the ring began.
        at: u64,
        /// What it claims.
        bytes: u32,
        /// Bytes left before the tail or the ring's end.
        left: u64,
    },
    /// A record is larger than the ring takes.
    #[error("a record of {bytes} bytes is too large for the ring: at most {max}, half the ring")]
    TooLarge {
        /// Bytes of the record.
        bytes: usize,
        /// Bytes the ring takes.
        max: usize,
    },
    /// What is pushed is no whole record.
    #[error("{bytes} bytes were pushed as a record of {claimed} bytes")]
    NotARecord {
        /// Bytes pushed.
        bytes: usize,
        /// What the record's header says.
        claimed: u32,
    },
}

/// Why a job's patches could not be recorded or sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// One patch is larger than a record may be.
    #[error("a patch takes {bytes} bytes, a record at most {max}: a larger ring or a smaller component is needed")]
    TooLarge {
        /// Bytes of a record with this patch alone.
        bytes: usize,
        /// Bytes a record may have: half the worker's ring.
        max: usize,
    },
    /// A job spawned more entities than handles can be reserved for.
    #[error("a job spawned more than {max} entities")]
    TooManySpawns {
        /// The most that one job can spawn.
        max: u32,
    },
    /// The ring refused the patches.
    #[error("the patches could not be sent: {0}")]
    Ring(#[from] RingError),
    /// The pool is closing: nobody takes patches any more.
    #[error("the patches could not be sent: the ring is closed")]
    Closed,
}
