//! Reading a checkpoint: checked before it is believed, then made into a world or looked at.
//!
//! [`open`] checks header, layout, tables and index. Each chunk is checked when it is read. What the chunks hold is
//! checked as a region's is that another process left: handles and the entity map must lead to each other.
#![forbid(unsafe_code)]

use crate::table::Shape;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::generation::check::Check;
use crate::layout::Layout;
use crate::region::RegionTarget;
use crate::snapshot::Reader;
use crate::world::life::restore::{self, Piece};
use crate::world::{World, WorldBuilder};

use super::codec::Decoder;
use super::error::{CheckpointError, Damage, FormatError};
use super::format::{self, ENTRY_BYTES, Entry, HEADER_BYTES, Head, TRAILER_BYTES};
use super::parts::{Part, Parts, TableHead};

/// Bytes that can be read from anywhere.
trait Source: Send + Sync {
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

impl Source for Mutex<File> {
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut file = self.lock();
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(out)
    }
}

impl Source for Vec<u8> {
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        from.ok_or(io::ErrorKind::UnexpectedEof)?.take(out.len() as u64).read_exact(out)
    }
}

/// A checkpoint whose header, layout, tables and index are whole.
pub struct CheckpointFile {
    path: PathBuf,
    source: Box<dyn Source>,
    bytes: u64,
    pub(super) head: Head,
    pub(super) parts: Parts,
    /// Where each chunk stands in the file, and what it is.
    pub(super) chunks: Vec<(u64, Entry)>,
    /// A number that depends on every byte: a checksum of the trailer, which has those of head and index.
    identity: u64,
}

/// Result of the check of all chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Chunks.
    pub chunks: u64,
    /// Bytes that they hold, before compression.
    pub raw_bytes: u64,
    /// Every damaged one.
    pub damaged: Vec<Damage>,
    /// What contradicts what, where every chunk is as it was written and the state is none all the same.
    pub contradiction: Option<String>,
}

impl Verification {
    /// Whether it can be loaded.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty() && self.contradiction.is_none()
    }

    /// What is wrong first, in words.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.damaged.first().map(ToString::to_string).or_else(|| self.contradiction.clone())
    }
}

/// Opens a checkpoint.
///
/// # Errors
/// No such file; a file that is no checkpoint, or one whose header, layout, tables or index are damaged.
pub fn open(path: &Path) -> Result<CheckpointFile, CheckpointError> {
    let file = crate::os::open_regular(path).map_err(CheckpointError::io("open", path))?;
    let metadata = file.metadata().map_err(CheckpointError::io("look at", path))?;
    CheckpointFile::of(Box::new(Mutex::new(file)), metadata.len(), path)
}

impl CheckpointFile {
    /// A checkpoint in memory.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Result<CheckpointFile, CheckpointError> {
        CheckpointFile::in_memory(bytes, Path::new("memory"))
    }

    /// A checkpoint in memory; `path` is told in errors.
    pub(super) fn in_memory(bytes: Vec<u8>, path: &Path) -> Result<CheckpointFile, CheckpointError> {
        let length = bytes.len() as u64;
        CheckpointFile::of(Box::new(bytes), length, path)
    }

    fn of(source: Box<dyn Source>, bytes: u64, path: &Path) -> Result<CheckpointFile, CheckpointError> {
        let wrong = || CheckpointError::file(path);
        let read = |offset, length: u64| {
            let mut out = vec![0; length as usize];
            source.read(offset, &mut out).map_err(CheckpointError::io("read", path)).map(|()| out)
        };
        let begin = read(0, bytes.min(HEADER_BYTES as u64))?;
        let Some(header) = begin.first_chunk::<HEADER_BYTES>() else {
            let known = format::begins_like_one(&begin);
            let short = FormatError::Length { bytes, expected: HEADER_BYTES as u64 };
            return Err(wrong()(if known { short } else { FormatError::Magic }));
        };
        let length = Head::length(header, bytes).map_err(wrong())?;
        let (head, parts, chunks) = Head::decode(&read(0, length)?).map_err(wrong())?;
        let index_bytes = chunks.checked_mul(ENTRY_BYTES);
        let least = index_bytes.and_then(|index| index.checked_add(length + TRAILER_BYTES as u64));
        let (Some(index_bytes), Some(least)) = (index_bytes, least.filter(|least| *least <= bytes)) else {
            return Err(wrong()(FormatError::Length { bytes, expected: least.unwrap_or(u64::MAX) }));
        };
        let mut trailer = [0; TRAILER_BYTES];
        source.read(bytes - TRAILER_BYTES as u64, &mut trailer).map_err(CheckpointError::io("read", path))?;
        let checksum = format::check_trailer(&trailer, bytes, head.checksum).map_err(wrong())?;
        let index = read(bytes - TRAILER_BYTES as u64 - index_bytes, index_bytes)?;
        let entries = format::decode_index(&index, checksum, bytes - least).map_err(wrong())?;
        let mut offset = length;
        let place = |entry: Entry| {
            let at = offset;
            offset += u64::from(entry.bytes);
            (at, entry)
        };
        let chunks = entries.into_iter().map(place).collect();
        let identity = xxh3_64(&trailer);
        Ok(CheckpointFile { path: path.to_owned(), source, bytes, head, parts, chunks, identity })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length, bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of rows and stamps that it holds.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.parts.parts.iter().map(|part| part.bytes).sum()
    }

    /// The layout, in full.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.head.layout
    }

    /// The generation that it holds.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.head.generation
    }

    /// The frame after which that was published.
    #[must_use]
    pub fn frame(&self) -> u64 {
        self.head.frame
    }

    /// Simulated time after that frame.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.head.time
    }

    /// When it was made, ns since 1970.
    #[must_use]
    pub fn created_ns(&self) -> u64 {
        self.head.created_ns
    }

    /// Live entities.
    #[must_use]
    pub fn entity_count(&self) -> u64 {
        let components = self.head.layout.components();
        let elsewhere = |table: &&super::parts::TableHead| {
            table.components.iter().any(|id| components[usize::from(*id)].is_elsewhere())
        };
        self.head.tables[2..].iter().filter(|table| !elsewhere(table)).map(|table| u64::from(table.rows)).sum()
    }

    /// The texts that its maker kept beside the state.
    #[must_use]
    pub fn notes(&self) -> &[(String, String)] {
        &self.head.notes
    }

    /// A note by name.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<&str> {
        self.head.notes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A number that depends on every byte of the file.
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// Looks at every chunk, its checksum, compression and length, and whether the state is one: what is whole here can be
    /// loaded.
    ///
    /// # Errors
    /// The file cannot be read. Damage is no error: it is in the answer.
    pub fn verify(&self) -> Result<Verification, CheckpointError> {
        let mut found = Verification { chunks: self.chunks.len() as u64, ..Verification::default() };
        let mut reading = Reading::new(self)?;
        let mut raw = Vec::new();
        let mut chunk = 0;
        let mut check = Check::new(self.head.generation, self.head.frame, super::parts::pools(&self.head.tables));
        for part in &self.parts.parts {
            let looked = self.parts.looked(part, &self.head.tables);
            let mut content = (part.stamps || looked.wants_rows()).then(Vec::new);
            for from in (0..part.bytes).step_by(self.head.chunk_bytes as usize) {
                let bytes = (part.bytes - from).min(self.head.chunk_bytes);
                raw.resize(bytes as usize, 0);
                if let Err(problem) = reading.chunk(chunk, part, &mut raw)? {
                    found.damaged.push(self.damage(chunk, part, from, bytes, problem));
                }
                if let Some(content) = &mut content {
                    content.extend_from_slice(&raw);
                }
                found.raw_bytes += bytes;
                chunk += 1;
            }
            if let (Some(content), Ok(state)) = (content, &mut check) {
                let checked = if part.stamps { state.stamps(&content) } else { state.rows(looked, content.into()) };
                check = checked.and(check);
            }
        }
        // of damaged bytes nothing more can be said
        if found.damaged.is_empty() {
            found.contradiction = check.and_then(Check::end).err().map(|error| error.to_string());
        }
        Ok(found)
    }

    /// Loads it into private memory, to be looked at as any region is. It has one generation, its own.
    ///
    /// # Errors
    /// A damaged chunk; entities that contradict each other; no memory.
    pub fn load(&self) -> Result<Reader, CheckpointError> {
        let world = self.make(World::builder(), RegionTarget::Heap, Some(self.bytes_needed()))?;
        Ok(world.reader()?)
    }

    /// Makes a world that goes on from it bit for bit, in a new region.
    ///
    /// # Errors
    /// As [`CheckpointFile::load`]; a region that cannot be made; Rust types that differ from the layout.
    pub fn restore(&self, builder: WorldBuilder) -> Result<World, CheckpointError> {
        let (region, bytes_max) = restore::region_of(&builder);
        self.make(builder, region, bytes_max)
    }

    /// The most bytes that a region of it alone may need.
    pub(super) fn bytes_needed(&self) -> u64 {
        restore::bytes_needed(&self.world_head())
    }

    /// The bytes of all parts, in their order.
    pub(crate) fn parts_bytes(&self) -> Result<Vec<Vec<u8>>, CheckpointError> {
        let mut reading = Reading::new(self)?;
        let mut chunk = 0;
        let mut out = Vec::with_capacity(self.parts.parts.len());
        for part in &self.parts.parts {
            let mut bytes = vec![0; part.bytes as usize];
            let mut from = 0;
            for raw in bytes.chunks_mut(self.head.chunk_bytes as usize) {
                if let Err(problem) = reading.chunk(chunk, part, raw)? {
                    let damage = self.damage(chunk, part, from, raw.len() as u64, problem);
                    return Err(CheckpointError::file(&self.path)(FormatError::Chunk(Box::new(damage))));
                }
                from += raw.len() as u64;
                chunk += 1;
            }
            out.push(bytes);
        }
        Ok(out)
    }

    /// What it says of itself.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    fn world_head(&self) -> restore::Head<'_> {
        let table = |(head, shape): (&TableHead, &Arc<Shape>)| restore::TableHead {
            kind: head.kind,
            shape: Arc::clone(shape),
            rows: head.rows,
            capacity: head.capacity,
        };
        restore::Head {
            layout: &self.head.layout,
            tables: self.head.tables.iter().zip(&self.parts.shapes).map(table).collect(),
            generation: self.head.generation,
            frame: self.head.frame,
            time: self.head.time,
        }
    }

    fn make(
        &self,
        builder: WorldBuilder,
        region: RegionTarget,
        bytes_max: Option<u64>,
    ) -> Result<World, CheckpointError> {
        let mut reading = Reading::new(self)?;
        // chunks before each part
        let mut first = Vec::with_capacity(self.parts.parts.len());
        let mut chunks = 0;
        for part in &self.parts.parts {
            first.push(chunks);
            chunks += part.bytes.div_ceil(self.head.chunk_bytes) as usize;
        }
        let mut next = 0;
        let mut fill = |piece: Piece, out: &mut [u8]| {
            let part = &self.parts.parts[next];
            assert!(
                (part.table, part.column, part.stamps) == (piece.table, piece.column, piece.stamps)
                    && part.bytes == out.len() as u64,
                "a world is filled in the order in which it is written"
            );
            let mut from = 0;
            for (chunk, raw) in (first[next]..).zip(out.chunks_mut(self.head.chunk_bytes as usize)) {
                if let Err(problem) = reading.chunk(chunk, part, raw)? {
                    let damage = self.damage(chunk, part, from, raw.len() as u64, problem);
                    return Err(CheckpointError::file(&self.path)(FormatError::Chunk(Box::new(damage))));
                }
                from += raw.len() as u64;
            }
            next += 1;
            Ok(())
        };
        builder.restored(&self.world_head(), region, bytes_max, &mut fill)
    }

    fn damage(&self, chunk: usize, part: &Part, from: u64, bytes: u64, problem: &'static str) -> Damage {
        let (table, column) = self.parts.name(&self.head.layout, part);
        let (offset, entry) = self.chunks[chunk];
        let rows = part.rows(from, from + bytes, self.head.tables[part.table].rows);
        Damage { chunk: chunk as u64, offset, bytes: entry.bytes.into(), table, column, rows, problem }
    }
}

/// Reads chunks one by one.
struct Reading<'f> {
    file: &'f CheckpointFile,
    decoder: Decoder,
    stored: Vec<u8>,
}

impl<'f> Reading<'f> {
    fn new(file: &'f CheckpointFile) -> Result<Reading<'f>, CheckpointError> {
        let decoder = Decoder::new().map_err(CheckpointError::io("decompress", &file.path))?;
        Ok(Reading { file, decoder, stored: Vec::new() })
    }

    /// Reads a chunk; the inner error is what is wrong with it.
    fn chunk(
        &mut self,
        chunk: usize,
        part: &Part,
        raw: &mut [u8],
    ) -> Result<Result<(), &'static str>, CheckpointError> {
        let (offset, entry) = self.file.chunks[chunk];
        // what does not get smaller is kept as it is
        if entry.bytes as usize > raw.len() {
            return Ok(Err("it is longer than what it holds"));
        }
        self.stored.resize(entry.bytes as usize, 0);
        let read = self.file.source.read(offset, &mut self.stored);
        read.map_err(CheckpointError::io("read", &self.file.path))?;
        if xxh3_64(&self.stored) != entry.checksum {
            return Ok(Err("its checksum differs"));
        }
        Ok(self.decoder.decode(entry.encoding, &self.stored, part.width, raw))
    }
}

impl World {
    /// Makes a world that goes on from a checkpoint bit for bit, in a new region.
    ///
    /// # Errors
    /// As [`checkpoint::open`](open) and [`CheckpointFile::restore`].
    pub fn restore(path: &Path, region: &RegionTarget) -> Result<World, CheckpointError> {
        World::builder().region(region.clone()).restore(path)
    }
}

impl WorldBuilder {
    /// Makes a world that goes on from a checkpoint bit for bit, with the Rust types registered here checked against
    /// its layout. Region, `keep` and, where it is given, `bytes_max` are the builder's; all else is the checkpoint's.
    ///
    /// # Errors
    /// As [`checkpoint::open`](open) and [`CheckpointFile::restore`].
    pub fn restore(self, path: &Path) -> Result<World, CheckpointError> {
        open(path)?.restore(self)
    }
}
