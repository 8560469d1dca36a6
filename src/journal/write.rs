//! Writing a journal: generations, one after the other, to the end of the newest segment.
//!
//! Invariants: a record is appended and nothing before it is touched, so that a death at any instant leaves what
//! was there; a segment's checkpoint is whole before the segment exists, and the records before it are on disk.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::checkpoint::place::{self, NewFile};
use crate::checkpoint::{self, CheckpointOptions};
use crate::fault;
use crate::os::Output;
use crate::snapshot::Snapshot;

use super::differ::{Bytes, Differ, Payload};
use super::error::JournalError;
use super::format::{self, Header, Index, Place, RECORD_BYTES, Record};
use super::read::Journal;
use super::recorder::{Compress, Recorded};
use super::segment;
use super::state::{Moment, State};

/// What segments' names end with.
pub(crate) const SEGMENT_SUFFIX: &str = ".journal";

/// The name of a segment, or of its checkpoint.
pub(crate) fn path_of(directory: &Path, generation: u64, suffix: &str) -> PathBuf {
    directory.join(format!("{generation:015}{suffix}"))
}

/// Writes a journal.
pub(crate) struct Writer {
    directory: PathBuf,
    every: u64,
    compress: Compress,
    options: CheckpointOptions,
    recording: u64,
    /// The end of the journal that is there already, to append to.
    before: Option<Ended>,
    segment: Option<Segment>,
    differ: Option<Differ>,
    /// Serves one record after the other.
    memory: Vec<u8>,
    pub recorded: Recorded,
}

struct Segment {
    path: PathBuf,
    file: Output,
    bytes: u64,
    header: Header,
    places: Vec<Place>,
    chain: u64,
}

/// The last segment of a journal that is appended to: its index is written again at its end, as another segment follows.
pub(crate) struct Ended {
    pub path: PathBuf,
    pub header: Header,
    /// Where its records end.
    pub bytes: u64,
    pub places: Vec<Place>,
    pub chain: u64,
}

impl Ended {
    /// Keeps the records before the first one that is not whole: a loss of power may have left holes in any that was not
    /// on disk, and nothing behind it can be reached.
    fn keep_whole(&mut self) -> std::io::Result<()> {
        let mut file = std::fs::File::open(&self.path)?;
        let (mut chain, mut offset) = (self.header.begin_chain(), format::HEADER_BYTES as u64);
        let mut whole = 0;
        for place in &self.places {
            // behind a head with a hole the next record that is found lies further on
            if place.offset != offset {
                break;
            }
            let Some(record) = record_at(&mut file, offset, self.bytes)? else { break };
            chain = format::link(chain, format::checksum_of(&record));
            offset += record.len() as u64;
            whole += 1;
        }
        if whole < self.places.len() {
            let (path, records) = (self.path.display(), self.places.len() - whole);
            tracing::warn!(%path, offset, records, "cut off: a record is not whole, and those behind it cannot be reached");
            self.places.truncate(whole);
            (self.chain, self.bytes) = (chain, offset);
        }
        Ok(())
    }
}

/// The record at this place of a file, if it is whole and ends before `bytes` or there.
fn record_at(file: &mut std::fs::File, offset: u64, bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut begin = [0; RECORD_BYTES];
    if bytes.saturating_sub(offset) < RECORD_BYTES as u64 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut begin)?;
    let Some(lengths) = Record::lengths(&begin).filter(|lengths| lengths.record <= bytes - offset) else {
        return Ok(None);
    };
    let mut record = vec![0; lengths.record as usize];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut record)?;
    Ok(segment::is_whole(&record, lengths.head as usize).then_some(record))
}

impl Segment {
    /// The generation that it ends with.
    fn last(&self) -> u64 {
        self.places.last().map_or(self.header.base.generation, |place| place.moment.generation)
    }
}

impl Writer {
    /// A writer to a directory. Where it has a journal of the same layout that ends before the generation of `from`, or with
    /// it, that is gone on with; what is not whole at its end is cut off.
    ///
    /// # Errors
    /// Another journal; what the system refuses.
    pub(crate) fn new(
        directory: &Path,
        layout_hash: u64,
        from: Moment,
        every: u64,
        compress: Compress,
        options: CheckpointOptions,
    ) -> Result<Writer, JournalError> {
        std::fs::create_dir_all(directory).map_err(JournalError::io("make", directory))?;
        place::sweep(directory)?;
        let mut recording = crate::os::unix_time_ns() ^ (u64::from(crate::os::pid()) << 40);
        let mut before = None;
        match Journal::open(directory) {
            Err(JournalError::Empty { .. }) => {}
            Err(error) => return Err(error),
            Ok(journal) => {
                let other = |why: String| JournalError::Other { path: directory.to_owned(), why };
                if journal.layout_hash() != layout_hash {
                    return Err(other("is of another layout".to_owned()));
                }
                // a world that went back has a newer generation of an earlier frame; frames may be ahead of the newest
                let last = journal.last();
                if (last.generation, last.frame) > (from.generation, from.frame) {
                    let own = format!("this world stands at frame {} (generation {})", from.frame, from.generation);
                    let why =
                        format!("goes to frame {} already (generation {}), and {own}", last.frame, last.generation);
                    return Err(other(why));
                }
                if let Some(torn) = journal.truncated_tail() {
                    tracing::warn!(path = %torn.path.display(), offset = torn.offset, bytes = torn.bytes, "cut off: {torn}");
                    cut(&torn.path, torn.offset)?;
                }
                recording = journal.recording();
                if let Some(gap) = journal.gaps().next() {
                    return Err(other(format!("is damaged ({gap})")));
                }
                let finished = journal.is_finished();
                before = journal.into_end();
                if let Some(ended) = before.as_mut().filter(|_| !finished) {
                    ended.keep_whole().map_err(JournalError::io("read", &ended.path.clone()))?;
                }
            }
        }
        Ok(Writer {
            directory: directory.to_owned(),
            every: every.max(1),
            compress,
            options,
            recording,
            before,
            segment: None,
            differ: None,
            memory: Vec::new(),
            recorded: Recorded::default(),
        })
    }

    /// Adds a generation.
    pub(crate) fn record(&mut self, snapshot: &Snapshot<'_>) -> Result<(), JournalError> {
        let directory = &self.directory;
        match &mut self.differ {
            None => {
                let differ = Differ::new(State::of(snapshot), self.options.level, self.compress);
                self.differ = Some(differ.map_err(JournalError::io("compress for", directory))?);
                self.begin(snapshot)?;
            }
            Some(differ) => {
                self.memory.clear();
                let mut payload = Payload { own: std::mem::take(&mut self.memory), ..Payload::default() };
                let record = differ.record(snapshot, &mut payload);
                let record = record.map_err(JournalError::io("compress for", directory))?;
                let head = record.encode(payload.total);
                let segment = self.segment.as_mut().ok_or(JournalError::Gone)?;
                let written = head.len() as u64 + payload.total;
                let room = fault::refusal("record-write").and_then(|()| segment.file.check_room(written));
                let done = room.and_then(|()| put(&mut segment.file, &head, &payload));
                done.map_err(JournalError::io("write", &segment.path))?;
                fault::point("record-written");
                self.memory = payload.own;
                segment.chain = format::link(segment.chain, format::checksum_of(&head));
                segment.places.push(Place { offset: segment.bytes, moment: record.moment });
                segment.bytes += written;
                self.recorded.bytes += written;
                if segment.places.len() as u64 >= self.every {
                    self.begin(snapshot)?;
                }
            }
        }
        self.recorded.generations += 1;
        self.recorded.newest = Some(snapshot.generation());
        self.recorded.frame = snapshot.frame();
        Ok(())
    }

    /// Begins a segment with this generation, which was the last one recorded. The one before it is ended when this one
    /// is on disk: it says that another follows, so that one that is missing is missed.
    fn begin(&mut self, snapshot: &Snapshot<'_>) -> Result<(), JournalError> {
        let meta = snapshot.directory().meta;
        let path = path_of(&self.directory, meta.generation, SEGMENT_SUFFIX);
        let mut old = match self.segment.take() {
            Some(segment) => Some(segment),
            None => self.before.take().map(Segment::reopen).transpose()?,
        };
        let checkpoint = path_of(&self.directory, meta.generation, ".checkpoint");
        let (mut previous, mut chain) = old.as_ref().map_or((0, 0), |old| (old.last(), old.chain));
        // one that begins here has no records: this generation is the newest
        if let Some(same) = old.take_if(|old| old.path == path) {
            if segment::base_of(&same.header, &checkpoint).is_ok_and(|base| base.is_like(&State::of(snapshot))) {
                // a death between the two files of another one would leave neither
                self.segment = Some(same);
                return Ok(());
            }
            (previous, chain) = (same.header.previous, same.header.chain);
        }
        // or else a loss of power could take records from the middle of the journal
        if let Some(old) = &mut old {
            old.sync()?;
        }
        let report = checkpoint::write(snapshot, &checkpoint, &self.options)?;
        let base = Moment { generation: meta.generation, frame: meta.frame, time: meta.time };
        let recording = self.recording;
        let header =
            Header { layout_hash: meta.layout_hash, recording, base, previous, chain, checkpoint: report.identity };
        // one that begins here already is there until it is replaced
        let mut new = NewFile::create(&path, |_| true)?;
        new.file.write_all(&header.encode()).map_err(JournalError::io("write", &path))?;
        new.appear()?;
        let file = OpenOptions::new().append(true).open(&path).and_then(Output::new);
        let file = file.map_err(JournalError::io("open", &path))?;
        if let Some(old) = old {
            self.recorded.bytes += old.end(meta.generation)?;
        }
        let bytes = format::HEADER_BYTES as u64;
        self.recorded.bytes += bytes + report.file_bytes;
        self.recorded.checkpoints += 1;
        self.segment = Some(Segment { path, file, bytes, header, places: Vec::new(), chain: header.begin_chain() });
        Ok(())
    }

    /// Ends the recording: the last segment says that none follows, and all of it is on disk.
    pub(crate) fn end(&mut self) -> Result<(), JournalError> {
        if let Some(segment) = self.segment.take() {
            self.recorded.bytes += segment.end(0)?;
        }
        Ok(())
    }
}

impl Segment {
    /// One that was written before: what is behind its records is cut off.
    fn reopen(ended: Ended) -> Result<Segment, JournalError> {
        let Ended { path, header, bytes, places, chain } = ended;
        cut(&path, bytes)?;
        let file = OpenOptions::new().append(true).open(&path).and_then(Output::new);
        let file = file.map_err(JournalError::io("open", &path))?;
        Ok(Segment { path, file, bytes, header, places, chain })
    }

    /// Brings all of it to disk.
    fn sync(&mut self) -> Result<(), JournalError> {
        let synced = fault::refusal("segment-sync").and_then(|()| self.file.file().sync_all());
        synced.map_err(JournalError::io("write out", &self.path))?;
        fault::point("segment-synced");
        Ok(())
    }

    /// Writes its index, and brings all of it to disk; the index's bytes. `next`: the generation that the segment after it
    /// begins with; 0: none follows.
    fn end(mut self, next: u64) -> Result<u64, JournalError> {
        let index = format::encode_index(&Index { places: std::mem::take(&mut self.places), next, chain: self.chain });
        self.file.write_all(&index).map_err(JournalError::io("write", &self.path))?;
        fault::point("index-written");
        self.sync()?;
        Ok(index.len() as u64)
    }
}

/// Appends a record.
pub(crate) fn put(file: &mut impl Write, head: &[u8], payload: &Payload<'_>) -> std::io::Result<()> {
    file.write_all(head)?;
    let mut own = payload.own.as_slice();
    for bytes in &payload.pieces {
        match bytes {
            Bytes::Shared(bytes) => file.write_all(bytes)?,
            Bytes::Own(bytes) => {
                let (first, rest) = own.split_at(*bytes);
                file.write_all(first)?;
                own = rest;
            }
        }
    }
    Ok(())
}

/// Cuts off what is not whole.
fn cut(path: &Path, offset: u64) -> Result<(), JournalError> {
    if offset < format::HEADER_BYTES as u64 {
        // nothing was ever written there
        return std::fs::remove_file(path).map_err(JournalError::io("remove", path));
    }
    let file = OpenOptions::new().write(true).open(path).map_err(JournalError::io("open", path))?;
    file.set_len(offset).and_then(|()| file.sync_all()).map_err(JournalError::io("cut", path))
}
