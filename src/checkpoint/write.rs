//! Writing a checkpoint: a pinned generation, streamed into a file.
//!
//! Invariants: memory is bounded by a few chunks and the index; the columns are read where they are; the file appears
//! whole or not at all. The writer of the region neither waits nor knows.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use crate::fault;
use crate::limits::CHECKPOINT_CHUNK_BYTES;
use crate::snapshot::Snapshot;

use super::codec::{Encoder, LEVEL_MAX, LEVEL_MIN};
use super::error::CheckpointError;
use super::format::{self, Entry, Head};
use super::parts::{Part, Parts, TableHead};
use super::place::NewFile;

/// How to write a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// How hard to compress: 0 not at all, 1 (the default) fast, up to 19.
    pub level: i32,
    /// How much of a core writing may take, in percent; the rest of the time it sleeps. `None`: all of one, and
    /// [`KEEPER_PACE_PERCENT`](super::KEEPER_PACE_PERCENT) where a keeper writes.
    pub pace_percent: Option<u8>,
    /// Texts to keep beside the state, by name: what the program that goes on from it wants to know.
    pub notes: Vec<(String, String)>,
    /// Bytes of a chunk; the limits' number but in tests.
    pub(crate) chunk_bytes: u64,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        CheckpointOptions { level: 1, pace_percent: None, notes: Vec::new(), chunk_bytes: CHECKPOINT_CHUNK_BYTES }
    }
}

impl CheckpointOptions {
    /// Sets the level.
    #[must_use]
    pub fn level(mut self, level: i32) -> Self {
        self.level = level;
        self
    }

    /// Sets how much of a core writing may take, from 1 to 100 percent.
    #[must_use]
    pub fn pace_percent(mut self, percent: u8) -> Self {
        self.pace_percent = Some(percent);
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.notes.push((name.into(), value.into()));
        self
    }

    /// Whether a checkpoint can be written so.
    ///
    /// # Errors
    /// No such level or pace; notes that do not fit.
    pub fn check(&self) -> Result<(), CheckpointError> {
        if !(LEVEL_MIN..=LEVEL_MAX).contains(&self.level) {
            return Err(CheckpointError::Level { level: self.level, least: LEVEL_MIN, most: LEVEL_MAX });
        }
        if let Some(percent) = self.pace_percent.filter(|percent| !(1..=100).contains(percent)) {
            return Err(CheckpointError::Pace { percent });
        }
        format::check_notes(&self.notes).map_err(|what| CheckpointError::Notes { what })
    }
}

/// A checkpoint that was written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// The generation that it holds.
    pub generation: u64,
    /// The frame after which that was published.
    pub frame: u64,
    /// Simulated time after that frame.
    pub time: f64,
    /// Live entities.
    pub entities: u64,
    /// Bytes of rows and stamps.
    pub raw_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// How long it took until the file was on disk.
    pub elapsed: Duration,
    /// A number that depends on every byte of the file.
    pub(crate) identity: u64,
}

/// Writes a pinned generation to a file, with everything that a world needs to go on from it bit for bit. A checkpoint
/// that is there already is replaced.
///
/// ```
/// use hypostyle::{Component, World, checkpoint};
/// #[derive(Component, Clone, Copy, Debug, PartialEq)]
/// struct Mass { kg: f64 }
/// # let directory = std::env::temp_dir().join(format!("hypostyle-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("mass.checkpoint");
/// let mut world = World::builder().component::<Mass>().build()?;
/// let stone = world.spawn(Mass { kg: 2.5 })?;
/// world.publish()?;
/// checkpoint::write(&world.reader()?.pin()?, &path, &checkpoint::CheckpointOptions::default())?;
///
/// let mut reader = checkpoint::open(&path)?.load()?;
/// assert_eq!(reader.pin()?.get::<Mass>(stone)?, Mass { kg: 2.5 });
/// let world = World::builder().component::<Mass>().restore(&path)?;
/// assert_eq!(world.get::<Mass>(stone)?, Mass { kg: 2.5 });
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// CheckpointOptions that cannot be; what the system refuses. Then no file has changed.
pub fn write(snapshot: &Snapshot<'_>, path: &Path, options: &CheckpointOptions) -> Result<Report, CheckpointError> {
    write_at_pace(snapshot, path, options, &Pace::new(options.pace_percent.unwrap_or(100)))
}

/// How long to sleep between chunks.
pub(super) struct Pace {
    percent: u8,
    /// Somebody waits: no more sleep.
    hurry: AtomicBool,
}

impl Pace {
    pub(super) fn new(percent: u8) -> Pace {
        Pace { percent: percent.clamp(1, 100), hurry: AtomicBool::new(false) }
    }

    /// From now on somebody waits for the file.
    pub(super) fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
    }

    /// To be called after some work that took so long.
    fn rest(&self, worked: Duration) {
        /// A thread that was kept from its core has worked less than it took; and a thread that begins to wait waits no longer.
        const REST_MAX: Duration = Duration::from_millis(50);
        if self.percent < 100 && !self.hurry.load(Ordering::Relaxed) {
            let percent = u32::from(self.percent);
            std::thread::sleep((worked * (100 - percent) / percent).min(REST_MAX));
        }
    }
}

/// As [`write`], no faster than that.
pub(super) fn write_at_pace(
    snapshot: &Snapshot<'_>,
    path: &Path,
    options: &CheckpointOptions,
    pace: &Pace,
) -> Result<Report, CheckpointError> {
    let begun = Instant::now();
    options.check()?;
    // what could not be loaded is not written
    snapshot.check()?;
    let mut new = NewFile::create(path, format::begins_like_one)?;
    let written = write_into(&mut new.file, snapshot, path, options, pace)?;
    new.appear()?;
    Ok(Report { elapsed: begun.elapsed(), ..written })
}

/// The bytes of a checkpoint in memory.
pub(super) fn to_memory(snapshot: &Snapshot<'_>, path: &Path) -> Result<Vec<u8>, CheckpointError> {
    snapshot.check()?;
    let mut out = Vec::new();
    write_into(&mut out, snapshot, path, &CheckpointOptions::default(), &Pace::new(100))?;
    Ok(out)
}

/// Streams a generation out; `path` is told in errors.
fn write_into(
    out: &mut impl std::io::Write,
    snapshot: &Snapshot<'_>,
    path: &Path,
    options: &CheckpointOptions,
    pace: &Pace,
) -> Result<Report, CheckpointError> {
    let directory = snapshot.directory();
    let tables = tables_of(snapshot);
    let layout = snapshot.layout_shared();
    let mut head = Head {
        layout: Arc::clone(layout),
        layout_hash: directory.meta.layout_hash,
        tables,
        notes: options.notes.clone(),
        chunk_bytes: options.chunk_bytes,
        generation: directory.meta.generation,
        frame: directory.meta.frame,
        time: directory.meta.time,
        created_ns: crate::os::unix_time_ns(),
        checksum: 0,
    };
    let parts = Parts::new(layout, &head.tables);
    let (chunks, raw_bytes) = parts.count(options.chunk_bytes).expect("extents that exist have lengths of 64 bits");
    let io = CheckpointError::io;
    let mut encoder = Encoder::new(options.level).map_err(io("compress for", path))?;
    let begin = head.encode(chunks, raw_bytes);
    let mut file_bytes = begin.len() as u64;
    out.write_all(&begin).map_err(io("write", path))?;
    let mut index = Vec::with_capacity(chunks as usize * format::ENTRY_BYTES as usize);
    for part in &parts.parts {
        for raw in part_bytes(snapshot, part).chunks(options.chunk_bytes as usize) {
            let worked = Instant::now();
            let (encoding, stored) = encoder.encode(raw, part.width).map_err(io("compress for", path))?;
            fault::refusal("chunk-write").and_then(|()| out.write_all(stored)).map_err(io("write", path))?;
            file_bytes += stored.len() as u64;
            Entry { bytes: stored.len() as u32, encoding, checksum: xxh3_64(stored) }.encode(&mut index);
            pace.rest(worked.elapsed());
        }
    }
    file_bytes += (index.len() + format::TRAILER_BYTES) as u64;
    out.write_all(&index).map_err(io("write", path))?;
    let trailer = format::encode_trailer(file_bytes, &index, head.checksum);
    fault::refusal("trailer-write").and_then(|()| out.write_all(&trailer)).map_err(io("write", path))?;
    Ok(Report {
        path: path.to_owned(),
        generation: head.generation,
        frame: head.frame,
        time: head.time,
        entities: snapshot.entity_count(),
        raw_bytes,
        file_bytes,
        elapsed: Duration::ZERO,
        identity: xxh3_64(&trailer),
    })
}

/// A generation's tables.
pub(crate) fn tables_of(snapshot: &Snapshot<'_>) -> Vec<TableHead> {
    let head = |table: &crate::generation::TableEntry| TableHead {
        kind: table.kind,
        rows: table.rows,
        capacity: table.capacity,
        components: table.components.clone(),
    };
    snapshot.directory().tables.iter().map(head).collect()
}

/// The bytes of a part, where they are.
pub(crate) fn part_bytes<'s>(snapshot: &'s Snapshot<'_>, part: &Part) -> &'s [u8] {
    let table = &snapshot.directory().tables[part.table];
    let column = &table.columns[part.column];
    let from = if part.stamps { column.item.extent_bytes(table.capacity).0 as usize } else { 0 };
    &snapshot.extent_bytes(column)[from..from + part.bytes as usize]
}
