//! A checkpoint's own bytes: the header with layout, tables and notes, the index of chunks, and the trailer.
//!
//! ```text
//! offset bytes
//!      0     8  magic "HYPOCKPT"
//!      8     4  byte order mark 0x0A0B0C0D
//!     12     4  format version: 1
//!     16     8  compatible features: unknown ones do no harm
//!     24     8  incompatible features: a reader that does not know one must not open the file
//!     32     4  bytes of this header: 256
//!     36     4  chunk bytes: what a chunk holds before compression; the last of a part may hold less
//!     40     8  layout bytes
//!     48     8  layout hash
//!     56     8  bytes of the tables
//!     64     8  bytes of the notes
//!     72     8  generation
//!     80     8  frame
//!     88     8  time, f64
//!     96     8  when it was made, ns since 1970
//!    104     8  chunks
//!    112     8  bytes of all chunks before compression
//!    120   128  0
//!    248     8  checksum: XXH3-64 of bytes 0..248, layout, tables and notes
//!    256     -  layout, as in a region's descriptor
//!      -     -  tables, each: kind u32 (0 entity map, 1 resources, 2 entities) · rows u32 · capacity u32 · components u32
//!               · component ids u16
//!      -     -  notes, each: name's bytes u16 · value's bytes u16 · name · value
//!      -     -  chunks, one after the other
//!      -     -  index, per chunk 16 bytes: stored bytes u32 · encoding u32 · checksum u64 (XXH3-64 of its stored bytes)
//!      -    32  trailer: magic "HYCKPEND" · bytes of the file u64 · checksum of the index u64 · the header's checksum u64
//! ```
//!
//! All integers are little-endian. Everything here takes any bytes whatever and never panics.
#![forbid(unsafe_code)]

use crate::table::{FIRST_POOL, TableKind};
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::layout::Layout;
use crate::limits::{CHECKPOINT_CHUNK_BYTES_MAX, CHECKPOINT_NOTES_BYTES_MAX, LAYOUT_BYTES_MAX};
use crate::region::pin;

use super::error::FormatError;
use super::parts::{Parts, TableHead};

/// Bytes of the header, without layout, tables and notes.
pub(crate) const HEADER_BYTES: usize = 256;
/// Bytes of one chunk's entry in the index.
pub(crate) const ENTRY_BYTES: u64 = 16;
/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"HYPOCKPT";
const END_MAGIC: [u8; 8] = *b"HYCKPEND";
const BYTE_ORDER_MARK: u32 = 0x0A0B_0C0D;
const VERSION: u32 = 1;
const CHECKSUM_AT: usize = 248;
/// The tables' bytes at most: as many as a directory may have.
const TABLES_BYTES_MAX: u64 = 1 << 32;

/// Whether a file that begins like this says that it is a checkpoint.
pub(crate) fn begins_like_one(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// What stands before the chunks.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub layout: Arc<Layout>,
    pub layout_hash: u64,
    pub tables: Vec<TableHead>,
    pub notes: Vec<(String, String)>,
    pub chunk_bytes: u64,
    pub generation: u64,
    pub frame: u64,
    pub time: f64,
    pub created_ns: u64,
    pub checksum: u64,
}

/// One chunk as the index has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub bytes: u32,
    pub encoding: u32,
    pub checksum: u64,
}

impl Entry {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.encoding.to_le_bytes());
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }
}

impl Head {
    /// The head's bytes: header, layout, tables, notes. Notes the checksum in `self`.
    pub(crate) fn encode(&mut self, chunks: u64, raw_bytes: u64) -> Vec<u8> {
        let layout = self.layout.encode();
        let tables = encode_tables(&self.tables);
        let notes = encode_notes(&self.notes);
        let mut out = vec![0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| out[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(8, &BYTE_ORDER_MARK.to_le_bytes());
        put(12, &VERSION.to_le_bytes());
        put(32, &(HEADER_BYTES as u32).to_le_bytes());
        put(36, &(self.chunk_bytes as u32).to_le_bytes());
        let words = [
            layout.len() as u64,
            self.layout_hash,
            tables.len() as u64,
            notes.len() as u64,
            self.generation,
            self.frame,
            self.time.to_bits(),
            self.created_ns,
            chunks,
            raw_bytes,
        ];
        words.iter().enumerate().for_each(|(place, word)| put(40 + 8 * place, &word.to_le_bytes()));
        out.extend_from_slice(&layout);
        out.extend_from_slice(&tables);
        out.extend_from_slice(&notes);
        self.checksum = head_checksum(&out);
        out[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&self.checksum.to_le_bytes());
        out
    }

    /// How long the head is whose first [`HEADER_BYTES`] are given, in a file of `file_bytes`.
    pub(crate) fn length(header: &[u8; HEADER_BYTES], file_bytes: u64) -> Result<u64, FormatError> {
        if !begins_like_one(header) {
            return Err(FormatError::Magic);
        }
        match u32_at(header, 8) {
            BYTE_ORDER_MARK => {}
            mark if mark == BYTE_ORDER_MARK.swap_bytes() => return Err(FormatError::ByteOrder),
            mark => return Err(FormatError::Value { what: "the byte order mark", value: mark.into() }),
        }
        let version = u32_at(header, 12);
        if version != VERSION {
            return Err(FormatError::Version { version, known: VERSION });
        }
        match u64_at(header, 24) {
            0 => {}
            bits => return Err(FormatError::Features { bits }),
        }
        if u32_at(header, 32) != HEADER_BYTES as u32 {
            return Err(FormatError::Value { what: "the header's length", value: u32_at(header, 32).into() });
        }
        let bounded = |at, most: u64, what| match u64_at(header, at) {
            bytes if bytes <= most => Ok(bytes),
            value => Err(FormatError::Value { what, value }),
        };
        let bytes = HEADER_BYTES as u64
            + bounded(40, LAYOUT_BYTES_MAX as u64, "the layout's length")?
            + bounded(56, TABLES_BYTES_MAX, "the tables' length")?
            + bounded(64, CHECKPOINT_NOTES_BYTES_MAX as u64, "the notes' length")?;
        if bytes > file_bytes {
            return Err(FormatError::Length { bytes: file_bytes, expected: bytes });
        }
        Ok(bytes)
    }

    /// Reads the head, all of it: `bytes` is as long as [`Head::length`] says. Gives its parts too, with the number of
    /// chunks.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Head, Parts, u64), FormatError> {
        let short = || FormatError::Length { bytes: bytes.len() as u64, expected: HEADER_BYTES as u64 };
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or_else(short)?;
        let length = Head::length(header, bytes.len() as u64)?;
        if length != bytes.len() as u64 {
            return Err(FormatError::Length { bytes: bytes.len() as u64, expected: length });
        }
        let checksum = u64_at(header, CHECKSUM_AT);
        if checksum != head_checksum(bytes) {
            return Err(FormatError::Checksum { part: "header" });
        }
        let (layout_bytes, tables_bytes) = (u64_at(header, 40) as usize, u64_at(header, 56) as usize);
        let (encoded, rest) = bytes[HEADER_BYTES..].split_at(layout_bytes);
        let (tables, notes) = rest.split_at(tables_bytes);
        let layout = Layout::decode(encoded).map_err(FormatError::Layout)?;
        let layout_hash = u64_at(header, 48);
        if layout.hash() != layout_hash {
            return Err(FormatError::Content { part: "layout", what: "its hash is another" });
        }
        let chunk_bytes = u64::from(u32_at(header, 36));
        if chunk_bytes == 0 || !chunk_bytes.is_multiple_of(64) || chunk_bytes > CHECKPOINT_CHUNK_BYTES_MAX {
            return Err(FormatError::Value { what: "the chunks' length", value: chunk_bytes });
        }
        let generation = u64_at(header, 72);
        if generation == 0 || generation >= pin::GENERATION_MAX {
            return Err(FormatError::Value { what: "the generation", value: generation });
        }
        let time = f64::from_bits(u64_at(header, 88));
        let head = Head {
            tables: decode_tables(tables, &layout)?,
            notes: decode_notes(notes)?,
            layout: Arc::new(layout),
            layout_hash,
            chunk_bytes,
            generation,
            frame: u64_at(header, 80),
            time,
            created_ns: u64_at(header, 96),
            checksum,
        };
        let parts = Parts::new(&head.layout, &head.tables);
        let (chunks, raw_bytes) = (u64_at(header, 104), u64_at(header, 112));
        if parts.count(chunk_bytes) != Some((chunks, raw_bytes)) {
            return Err(FormatError::Content { part: "header", what: "its chunks are not those that its tables need" });
        }
        Ok((head, parts, chunks))
    }
}

/// The trailer of a file of `file_bytes` with this index.
pub(crate) fn encode_trailer(file_bytes: u64, index: &[u8], head_checksum: u64) -> [u8; TRAILER_BYTES] {
    let mut out = [0; TRAILER_BYTES];
    out[..8].copy_from_slice(&END_MAGIC);
    out[8..16].copy_from_slice(&file_bytes.to_le_bytes());
    out[16..24].copy_from_slice(&xxh3_64(index).to_le_bytes());
    out[24..].copy_from_slice(&head_checksum.to_le_bytes());
    out
}

/// Checks the trailer; gives the index's checksum.
pub(crate) fn check_trailer(
    trailer: &[u8; TRAILER_BYTES],
    file_bytes: u64,
    head_checksum: u64,
) -> Result<u64, FormatError> {
    if trailer[..8] != END_MAGIC {
        return Err(FormatError::Content { part: "end", what: "it was cut short, or overwritten" });
    }
    let expected = u64_at(trailer, 8);
    if expected != file_bytes {
        return Err(FormatError::Length { bytes: file_bytes, expected });
    }
    if u64_at(trailer, 24) != head_checksum {
        return Err(FormatError::Content { part: "end", what: "it belongs to another header" });
    }
    Ok(u64_at(trailer, 16))
}

/// Reads the index: `chunk_area` is how many bytes lie between head and index.
pub(crate) fn decode_index(index: &[u8], checksum: u64, chunk_area: u64) -> Result<Vec<Entry>, FormatError> {
    if xxh3_64(index) != checksum {
        return Err(FormatError::Checksum { part: "index" });
    }
    let entries: Vec<Entry> = index
        .as_chunks::<{ ENTRY_BYTES as usize }>()
        .0
        .iter()
        .map(|entry| Entry { bytes: u32_at(entry, 0), encoding: u32_at(entry, 4), checksum: u64_at(entry, 8) })
        .collect();
    if entries.iter().map(|entry| u64::from(entry.bytes)).sum::<u64>() != chunk_area {
        return Err(FormatError::Content { part: "index", what: "its lengths do not add up to the file's" });
    }
    Ok(entries)
}

pub(crate) fn head_checksum(head: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&head[..CHECKSUM_AT]);
    hash.update(&head[HEADER_BYTES..]);
    hash.digest()
}

pub(crate) fn encode_tables(tables: &[TableHead]) -> Vec<u8> {
    let mut out = Vec::new();
    for table in tables {
        let kind: u32 = match table.kind {
            TableKind::Entities => 0,
            TableKind::Resources => 1,
            TableKind::Data => 2,
            TableKind::Pool => 3,
        };
        for word in [kind, table.rows, table.capacity, table.components.len() as u32] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        table.components.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    }
    out
}

pub(crate) fn decode_tables(mut bytes: &[u8], layout: &Layout) -> Result<Vec<TableHead>, FormatError> {
    let wrong = |what| FormatError::Content { part: "table list", what };
    let lists: Vec<u16> = layout.lists().collect();
    let first_data = FIRST_POOL as usize + lists.len();
    let mut tables: Vec<TableHead> = Vec::new();
    while !bytes.is_empty() {
        let (words, rest) = bytes.split_first_chunk::<16>().ok_or_else(|| wrong("it ends early"))?;
        let kind = crate::generation::check::kind_at(u32_at(words, 0), tables.len(), lists.len())
            .ok_or_else(|| wrong("a table's kind is out of place"))?;
        let (rows, capacity, count) = (u32_at(words, 4), u32_at(words, 8), u32_at(words, 12) as usize);
        let ids = count.checked_mul(2).and_then(|length| rest.split_at_checked(length));
        let (ids, rest) = ids.ok_or_else(|| wrong("it ends early"))?;
        let components: Box<[u16]> = ids.as_chunks::<2>().0.iter().map(|id| u16::from_le_bytes(*id)).collect();
        let ordered = components.windows(2).all(|pair| pair[0] < pair[1]);
        if !ordered || components.last().is_some_and(|id| usize::from(*id) >= layout.components().len()) {
            return Err(wrong("a table's components are not the layout's, in order"));
        }
        let fits = crate::generation::check::counts_fit(kind, rows, capacity, layout.resources_bytes());
        if !fits || !crate::generation::check::components_fit(kind, tables.len(), &components, &lists) {
            return Err(wrong("a table's numbers do not fit each other"));
        }
        tables.push(TableHead { kind, rows, capacity, components });
        bytes = rest;
    }
    if tables.len() < first_data {
        return Err(wrong("the entity map, the resources or the elements of a list are missing"));
    }
    if !crate::generation::check::components_differ(tables[first_data..].iter().map(|table| &*table.components)) {
        return Err(wrong("two tables have the same components"));
    }
    // a row is an entity, and an entity has a slot
    let rows: u64 = tables[first_data..].iter().map(|table| u64::from(table.rows)).sum();
    if rows > u64::from(tables[0].rows) {
        return Err(wrong("it has more rows than entities"));
    }
    Ok(tables)
}

/// Whether the notes fit into a checkpoint: what is wrong with them, else nothing.
pub(crate) fn check_notes(notes: &[(String, String)]) -> Result<(), String> {
    if let Some((name, _)) = notes.iter().find(|(name, _)| name.is_empty()) {
        return Err(format!("a name must not be empty: `{name}`"));
    }
    if let Some((name, _)) =
        notes.iter().enumerate().find(|(i, (n, _))| notes[..*i].iter().any(|(o, _)| o == n)).map(|(_, note)| note)
    {
        return Err(format!("`{name}` is given twice"));
    }
    if let Some((name, _)) = notes.iter().find(|(name, value)| name.len().max(value.len()) > u16::MAX.into()) {
        return Err(format!("`{}` is too long: at most {} bytes", &name[..name.floor_char_boundary(40)], u16::MAX));
    }
    match notes.iter().map(|(name, value)| 4 + name.len() + value.len()).sum::<usize>() {
        bytes if bytes > CHECKPOINT_NOTES_BYTES_MAX => {
            Err(format!("they have {bytes} bytes, at most {CHECKPOINT_NOTES_BYTES_MAX} are possible"))
        }
        _ => Ok(()),
    }
}

fn encode_notes(notes: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in notes {
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out
}

fn decode_notes(mut bytes: &[u8]) -> Result<Vec<(String, String)>, FormatError> {
    let wrong = |what| FormatError::Content { part: "list of notes", what };
    let mut notes = Vec::new();
    while !bytes.is_empty() {
        let (lengths, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| wrong("it ends early"))?;
        let length = |at| usize::from(u16::from_le_bytes([lengths[at], lengths[at + 1]]));
        let (name, rest) = rest.split_at_checked(length(0)).ok_or_else(|| wrong("it ends early"))?;
        let (value, rest) = rest.split_at_checked(length(2)).ok_or_else(|| wrong("it ends early"))?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| wrong("a text is not UTF-8"));
        notes.push((text(name)?, text(value)?));
        bytes = rest;
    }
    Ok(notes)
}

/// A u32 at a place that exists.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// A u64 at a place that exists.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}
