//! A segment's own bytes: header, records, index.
//!
//! ```text
//! offset bytes
//!      0     8  magic "HYPOJRNL"
//!      8     4  byte order mark 0x0A0B0C0D
//!     12     4  format version: 2
//!     16     8  compatible features: unknown ones do no harm
//!     24     8  incompatible features: a reader that does not know one must not open the file
//!     32     4  bytes of this header: 128
//!     36     4  0
//!     40     8  layout hash
//!     48     8  recording: a number that all its segments share
//!     56     8  generation that the segment begins with: that of the checkpoint of the same name
//!     64     8  its frame
//!     72     8  its time, f64
//!     80     8  generation with which the segment before it ends; 0: it is the recording's first
//!     88     8  chain of the segment before it; 0: it is the first
//!     96     8  identity of its checkpoint: XXH3-64 of that file's last 32 bytes
//!    104    16  0
//!    120     8  checksum: XXH3-64 of bytes 0..120
//!    128     -  records, one after the other
//!      -     -  where the segment was ended as it should: the index
//!
//! record
//!      0     8  magic "HYJRECRD"
//!      8     8  bytes of the record
//!     16     8  bytes of its head: all before the blocks' bytes
//!     24     8  generation that it leads to
//!     32     8  generation that it leads from
//!     40     8  frame
//!     48     8  time, f64
//!     56     4  bytes of the tables
//!     60     4  runs
//!     64     4  blocks
//!     68     4  0
//!     72     8  checksum: XXH3-64 of the head without these 8 bytes
//!     80     -  tables, as in a checkpoint; none: as before
//!      -     -  runs, 12 bytes each: part u32 · first piece u32 · pieces u32
//!      -     -  blocks, 16 bytes each: stored bytes u32 · encoding u32 · checksum u64 (XXH3-64 of the stored bytes)
//!      -     -  the blocks' bytes
//!
//! index
//!      0     8  magic "HYJINDEX"
//!      8     8  records
//!     16     8  generation that the next segment begins with; 0: none follows, the recording was finished
//!     24     8  chain of this segment
//!     32     -  per record 32 bytes: offset u64 · generation u64 · frame u64 · time f64
//!      -     8  bytes of the index, these 24 included
//!      -     8  checksum: XXH3-64 of all before it
//!      -     8  magic "HYJRNEND"
//! ```
//!
//! The chain of a segment begins as its header's checksum; each record makes it XXH3-64 of the chain and the checksum of
//! the record's head, 16 bytes. So it depends on all that was recorded.
//!
//! All integers are little-endian. Everything here takes any bytes whatever and never panics.
#![forbid(unsafe_code)]

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::checkpoint::FormatError;
use crate::checkpoint::format::{Entry, u32_at, u64_at};

use super::state::Moment;

/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: usize = 128;
/// Bytes of a record's head, without tables, runs and blocks.
pub(crate) const RECORD_BYTES: usize = 80;
/// Bytes at the end of an index.
pub(crate) const INDEX_END_BYTES: usize = 24;

const MAGIC: [u8; 8] = *b"HYPOJRNL";
const RECORD_MAGIC: [u8; 8] = *b"HYJRECRD";
const INDEX_MAGIC: [u8; 8] = *b"HYJINDEX";
const INDEX_END_MAGIC: [u8; 8] = *b"HYJRNEND";
const BYTE_ORDER_MARK: u32 = 0x0A0B_0C0D;
const VERSION: u32 = 2;
const CHECKSUM_AT: usize = 72;
const RUN_BYTES: usize = 12;
const BLOCK_ENTRY_BYTES: usize = 16;
const INDEX_ENTRY_BYTES: usize = 32;
const INDEX_HEAD_BYTES: usize = 32;

/// What stands at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    pub layout_hash: u64,
    pub recording: u64,
    pub base: Moment,
    /// The generation with which the segment before it ends; 0: it is the first.
    pub previous: u64,
    /// The chain of the segment before it; 0: it is the first.
    pub chain: u64,
    /// The identity of its checkpoint.
    pub checkpoint: u64,
}

/// What stands at the end of a segment that was ended as it should.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Index {
    pub places: Vec<Place>,
    /// The generation that the next segment begins with; 0: none follows, the recording was finished.
    pub next: u64,
    pub chain: u64,
}

/// The chain after one more record, whose head has this checksum.
pub(crate) fn link(chain: u64, checksum: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&chain.to_le_bytes());
    bytes[8..].copy_from_slice(&checksum.to_le_bytes());
    xxh3_64(&bytes)
}

/// The checksum that stands in a record's head.
pub(crate) fn checksum_of(head: &[u8]) -> u64 {
    u64_at(head, CHECKSUM_AT)
}

/// Pieces of a part that stand one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub part: u32,
    pub first: u32,
    pub count: u32,
}

/// A record without its blocks' bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub previous: u64,
    pub moment: Moment,
    /// Encoded; none: as before.
    pub tables: Vec<u8>,
    pub runs: Vec<Run>,
    pub blocks: Vec<Entry>,
}

/// Where a record stands, and what it leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub offset: u64,
    pub moment: Moment,
}

/// The lengths that a record's first [`RECORD_BYTES`] tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub record: u64,
    pub head: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| out[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(8, &BYTE_ORDER_MARK.to_le_bytes());
        put(12, &VERSION.to_le_bytes());
        put(32, &(HEADER_BYTES as u32).to_le_bytes());
        let Moment { generation, frame, time } = self.base;
        let Header { layout_hash, recording, previous, chain, checkpoint, .. } = *self;
        let words = [layout_hash, recording, generation, frame, time.to_bits(), previous, chain, checkpoint];
        words.iter().enumerate().for_each(|(place, word)| put(40 + 8 * place, &word.to_le_bytes()));
        let checksum = xxh3_64(&out[..120]);
        out[120..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, FormatError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(FormatError::Content { part: "beginning", what: "it is no segment of a journal" });
        }
        match u32_at(bytes, 8) {
            BYTE_ORDER_MARK => {}
            mark if mark == BYTE_ORDER_MARK.swap_bytes() => return Err(FormatError::ByteOrder),
            mark => return Err(FormatError::Value { what: "the byte order mark", value: mark.into() }),
        }
        match u32_at(bytes, 12) {
            VERSION => {}
            version => return Err(FormatError::Version { version, known: VERSION }),
        }
        match u64_at(bytes, 24) {
            0 => {}
            bits => return Err(FormatError::Features { bits }),
        }
        if xxh3_64(&bytes[..120]) != u64_at(bytes, 120) || u32_at(bytes, 32) != HEADER_BYTES as u32 {
            return Err(FormatError::Checksum { part: "header" });
        }
        let base =
            Moment { generation: u64_at(bytes, 56), frame: u64_at(bytes, 64), time: f64::from_bits(u64_at(bytes, 72)) };
        Ok(Header {
            layout_hash: u64_at(bytes, 40),
            recording: u64_at(bytes, 48),
            base,
            previous: u64_at(bytes, 80),
            chain: u64_at(bytes, 88),
            checkpoint: u64_at(bytes, 96),
        })
    }

    /// The chain of a segment without records.
    pub(crate) fn begin_chain(&self) -> u64 {
        u64_at(&self.encode(), 120)
    }
}

impl Record {
    /// The head's bytes; `payload` is how many bytes the blocks have.
    pub(crate) fn encode(&self, payload: u64) -> Vec<u8> {
        let mut out = vec![0; RECORD_BYTES];
        out.extend_from_slice(&self.tables);
        for run in &self.runs {
            [run.part, run.first, run.count].iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        }
        self.blocks.iter().for_each(|block| block.encode(&mut out));
        let head = out.len() as u64;
        out[..8].copy_from_slice(&RECORD_MAGIC);
        let Moment { generation, frame, time } = self.moment;
        let words = [head + payload, head, generation, self.previous, frame, time.to_bits()];
        for (place, word) in words.iter().enumerate() {
            out[8 + 8 * place..16 + 8 * place].copy_from_slice(&word.to_le_bytes());
        }
        let counts = [self.tables.len(), self.runs.len(), self.blocks.len()];
        for (place, count) in counts.iter().enumerate() {
            out[56 + 4 * place..60 + 4 * place].copy_from_slice(&(*count as u32).to_le_bytes());
        }
        let checksum = head_checksum(&out);
        out[CHECKSUM_AT..RECORD_BYTES].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// How long a record is, of which the first bytes are given; nothing: it is none.
    pub(crate) fn lengths(begin: &[u8; RECORD_BYTES]) -> Option<Lengths> {
        if !begin.starts_with(&RECORD_MAGIC) {
            return None;
        }
        let (record, head) = (u64_at(begin, 8), u64_at(begin, 16));
        let counts = [u32_at(begin, 56), u32_at(begin, 60), u32_at(begin, 64)].map(u64::from);
        let bytes =
            RECORD_BYTES as u64 + counts[0] + counts[1] * RUN_BYTES as u64 + counts[2] * BLOCK_ENTRY_BYTES as u64;
        (head == bytes && record >= head).then_some(Lengths { record, head })
    }

    /// What a record says of itself, unchecked but for its place.
    pub(crate) fn moment(begin: &[u8; RECORD_BYTES]) -> Moment {
        Moment { generation: u64_at(begin, 24), frame: u64_at(begin, 40), time: f64::from_bits(u64_at(begin, 48)) }
    }

    /// Reads a head, all of it.
    pub(crate) fn decode(head: &[u8]) -> Result<Record, &'static str> {
        let begin = head.first_chunk::<RECORD_BYTES>().ok_or("it ends early")?;
        let lengths = Record::lengths(begin).ok_or("it is no record")?;
        if lengths.head != head.len() as u64 {
            return Err("it has another length than it says");
        }
        if head_checksum(head) != u64_at(head, CHECKSUM_AT) {
            return Err("its checksum differs");
        }
        let (tables, rest) = head[RECORD_BYTES..].split_at(u32_at(head, 56) as usize);
        let (runs, blocks) = rest.split_at(u32_at(head, 60) as usize * RUN_BYTES);
        let run =
            |bytes: &[u8; RUN_BYTES]| Run { part: u32_at(bytes, 0), first: u32_at(bytes, 4), count: u32_at(bytes, 8) };
        let block = |bytes: &[u8; BLOCK_ENTRY_BYTES]| Entry {
            bytes: u32_at(bytes, 0),
            encoding: u32_at(bytes, 4),
            checksum: u64_at(bytes, 8),
        };
        let record = Record {
            previous: u64_at(head, 32),
            moment: Record::moment(begin),
            tables: tables.to_vec(),
            runs: runs.as_chunks::<RUN_BYTES>().0.iter().map(run).collect(),
            blocks: blocks.as_chunks::<BLOCK_ENTRY_BYTES>().0.iter().map(block).collect(),
        };
        let payload: u64 = record.blocks.iter().map(|block| u64::from(block.bytes)).sum();
        if lengths.head.checked_add(payload) != Some(lengths.record) {
            return Err("its blocks do not add up to its length");
        }
        if record.moment.generation <= record.previous {
            return Err("it leads to an older generation");
        }
        Ok(record)
    }
}

fn head_checksum(head: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&head[..CHECKSUM_AT]);
    hash.update(&head[RECORD_BYTES..]);
    hash.digest()
}

/// The index of a segment.
pub(crate) fn encode_index(Index { places, next, chain }: &Index) -> Vec<u8> {
    let mut out = INDEX_MAGIC.to_vec();
    [places.len() as u64, *next, *chain].iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    for Place { offset, moment } in places {
        let words = [*offset, moment.generation, moment.frame, moment.time.to_bits()];
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }
    out.extend_from_slice(&((out.len() + INDEX_END_BYTES) as u64).to_le_bytes());
    out.extend_from_slice(&xxh3_64(&out).to_le_bytes());
    out.extend_from_slice(&INDEX_END_MAGIC);
    out
}

/// The length of the index that ends so, if one does.
pub(crate) fn index_length(end: &[u8; INDEX_END_BYTES]) -> Option<u64> {
    end.ends_with(&INDEX_END_MAGIC).then(|| u64_at(end, 0))
}

/// Reads an index; nothing: it is none.
pub(crate) fn decode_index(bytes: &[u8]) -> Option<Index> {
    let (content, end) = bytes.split_last_chunk::<INDEX_END_BYTES>()?;
    let (head, entries) = content.split_first_chunk::<INDEX_HEAD_BYTES>()?;
    let whole = head.starts_with(&INDEX_MAGIC)
        && index_length(end) == Some(bytes.len() as u64)
        && u64_at(end, 8) == xxh3_64(&bytes[..bytes.len() - 16])
        && u64_at(head, 8).checked_mul(INDEX_ENTRY_BYTES as u64) == Some(entries.len() as u64);
    let place = |entry: &[u8; INDEX_ENTRY_BYTES]| Place {
        offset: u64_at(entry, 0),
        moment: Moment {
            generation: u64_at(entry, 8),
            frame: u64_at(entry, 16),
            time: f64::from_bits(u64_at(entry, 24)),
        },
    };
    let places = || entries.as_chunks::<INDEX_ENTRY_BYTES>().0.iter().map(place).collect();
    whole.then(|| Index { places: places(), next: u64_at(head, 16), chain: u64_at(head, 24) })
}

/// Whether bytes that begin so are an index.
pub(crate) fn begins_like_index(bytes: &[u8]) -> bool {
    bytes.starts_with(&INDEX_MAGIC)
}
