#![forbid(unsafe_code)]
//! Reading a journal: which generations it has, and any state of them again.
//!
//! A segment that was ended as it should has an index; of others the records are found one by one. What is not whole at
//! the end of the last segment is what a writer left that died, and counts as not written; anything else that is not
//! whole is damage.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::codec::Decoder;
use crate::checkpoint::{self, CheckpointError};
use crate::layout::Layout;
use crate::snapshot::Reader;
use crate::world::{World, WorldBuilder};

use super::delta;
use super::error::{JournalError, RecordDamage};
use super::format::{self, HEADER_BYTES, Header, INDEX_END_BYTES, Place, RECORD_BYTES, Record};
use super::state::{Moment, State};
use super::write::{SEGMENT_SUFFIX, path_of};

/// A generation in a journal.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its number.
    pub generation: u64,
    /// The frame after which it was published.
    pub frame: u64,
    /// Simulated time after that frame.
    pub time: f64,
}

impl From<Moment> for Entry {
    fn from(moment: Moment) -> Entry {
        Entry { generation: moment.generation, frame: moment.frame, time: moment.time }
    }
}

/// What a writer that died left unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Torn {
    /// The segment.
    pub path: PathBuf,
    /// Where it begins, bytes.
    pub offset: u64,
    /// Its length, bytes.
    pub bytes: u64,
}

impl std::fmt::Display for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Torn { path, offset, bytes } = self;
        write!(f, "the last {bytes} bytes of {} (from byte {offset}) are an unfinished record", path.display())?;
        f.write_str(": its writer died. Everything before it is whole")
    }
}

/// What a check of a whole journal came to.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Verification {
    /// Segments.
    pub segments: u64,
    /// Generations that come back.
    pub generations: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What is damaged, in words.
    pub damaged: Vec<String>,
}

struct Segment {
    path: PathBuf,
    checkpoint: PathBuf,
    header: Header,
    places: Vec<Place>,
    damaged: Vec<RecordDamage>,
    bytes: u64,
}

/// A journal on disk.
///
/// ```
/// use hypostyle::journal::{Journal, Recorder, RecorderOptions};
/// use hypostyle::{Component, World};
/// #[derive(Component, Clone, Copy, Debug, PartialEq)]
/// struct Mass { kg: f64 }
/// # let directory = std::env::temp_dir().join(format!("hypostyle-journal-{}", std::process::id()));
/// let mut world = World::builder().component::<Mass>().build()?;
/// let mut recorder = Recorder::start(&world, RecorderOptions::new(&directory))?;
/// let stone = world.spawn(Mass { kg: 1.0 })?;
/// let mut hashes = Vec::new();
/// for kg in [2.0, 3.0, 4.0] {
///     world.set(stone, Mass { kg })?;
///     world.publish()?;
///     recorder.look()?; // after each frame
///     hashes.push(world.reader()?.pin()?.hash());
/// }
/// assert_eq!(recorder.finish()?.generations, 3);
///
/// let journal = Journal::open(&directory)?;
/// let mut replay = journal.replay()?;
/// for hash in hashes {
///     assert_eq!(replay.load()?.pin()?.hash(), hash);
///     replay.advance()?;
/// }
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Journal {
    directory: PathBuf,
    segments: Vec<Segment>,
    layout: Arc<Layout>,
    notes: Vec<(String, String)>,
    torn: Option<Torn>,
    /// What was not undone later: frames ascend.
    timeline: Vec<Moment>,
}

impl Journal {
    /// Whether a directory looks like a journal.
    #[must_use]
    pub fn is_journal(directory: &Path) -> bool {
        segments_in(directory).is_ok_and(|paths| !paths.is_empty())
    }

    /// Opens a journal, also one that is being written.
    ///
    /// # Errors
    /// [`JournalError::Empty`]; segments of another version or of several recordings; a layout that cannot be read.
    pub fn open(directory: &Path) -> Result<Journal, JournalError> {
        let empty = || JournalError::Empty { path: directory.to_owned() };
        let paths = match segments_in(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(empty()),
            found => found.map_err(JournalError::io("read", directory))?,
        };
        let mut segments: Vec<Segment> = Vec::new();
        let mut torn = None;
        for (index, path) in paths.iter().enumerate() {
            let last = index + 1 == paths.len();
            match Segment::open(path, last)? {
                (Some(segment), unfinished) => {
                    if segments.first().is_some_and(|first| {
                        (first.header.recording, first.header.layout_hash)
                            != (segment.header.recording, segment.header.layout_hash)
                    }) {
                        return Err(JournalError::Foreign { path: path.clone() });
                    }
                    torn = unfinished;
                    segments.push(segment);
                }
                (None, unfinished) => torn = unfinished,
            }
        }
        let mut opened = segments.iter().map(|segment| checkpoint::open(&segment.checkpoint));
        let first = opened.next().ok_or_else(empty)?;
        let file = match first {
            Ok(file) => file,
            Err(error) => opened.find_map(Result::ok).ok_or(error)?,
        };
        let layout = Arc::clone(&file.head().layout);
        let notes = file.notes().to_vec();
        let mut timeline: Vec<Moment> = Vec::new();
        for moment in segments.iter().flat_map(Segment::moments) {
            while timeline.last().is_some_and(|last| last.frame >= moment.frame) {
                timeline.pop();
            }
            timeline.push(moment);
        }
        Ok(Journal { directory: directory.to_owned(), segments, layout, notes, torn, timeline })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// The layout, in full.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn layout_hash(&self) -> u64 {
        self.segments[0].header.layout_hash
    }

    pub(crate) fn recording(&self) -> u64 {
        self.segments[0].header.recording
    }

    /// The texts that its recorder kept beside the states.
    #[must_use]
    pub fn notes(&self) -> &[(String, String)] {
        &self.notes
    }

    /// A note by name.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// What a writer that died left unfinished, if anything.
    #[must_use]
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// The generations that were not undone later by a rollback, one per frame, frames ascending.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = Entry> + ExactSizeIterator {
        self.timeline.iter().map(|moment| Entry::from(*moment))
    }

    /// The first generation.
    #[must_use]
    pub fn first(&self) -> Entry {
        self.timeline.first().copied().map(Entry::from).expect("a journal has a segment, and that has a generation")
    }

    /// The newest generation.
    #[must_use]
    pub fn last(&self) -> Entry {
        self.timeline.last().copied().map(Entry::from).expect("a journal has a segment, and that has a generation")
    }

    /// The newest generation at or before a frame.
    ///
    /// # Errors
    /// [`JournalError::NoFrame`]: the journal begins later or ends earlier.
    pub fn at(&self, frame: u64) -> Result<Entry, JournalError> {
        let (first, last) = (self.first().frame, self.last().frame);
        let at = self.timeline.partition_point(|moment| moment.frame <= frame);
        match at.checked_sub(1).map(|at| self.timeline[at]) {
            Some(moment) if frame <= last => Ok(moment.into()),
            _ => Err(JournalError::NoFrame { frame, first, last }),
        }
    }

    /// Begins at the first generation.
    ///
    /// # Errors
    /// A damaged checkpoint; what the system refuses.
    pub fn replay(&self) -> Result<Replay<'_>, JournalError> {
        Replay::begin(self, 0)
    }

    /// The state of an entry of this journal: from the nearest checkpoint before it that is whole, forward.
    ///
    /// # Errors
    /// Damage on the way; what the system refuses.
    pub fn replay_to(&self, entry: Entry) -> Result<Replay<'_>, JournalError> {
        let mut segment = self.segments.partition_point(|segment| segment.header.base.generation <= entry.generation);
        let mut failure = None;
        while segment > 0 {
            segment -= 1;
            match Replay::begin(self, segment).and_then(|replay| replay.forward(entry.generation)) {
                Ok(replay) => return Ok(replay),
                Err(error) => {
                    if segment > 0 {
                        tracing::warn!(%error, "going on from an earlier checkpoint");
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or(JournalError::Gone))
    }

    /// Brings every state back, and compares it with every checkpoint.
    ///
    /// # Errors
    /// What the system refuses. Damage is no error: it is in the answer.
    pub fn verify(&self) -> Result<Verification, JournalError> {
        let mut found = Verification { segments: self.segments.len() as u64, ..Verification::default() };
        let mut reached: Option<State> = None;
        for (index, segment) in self.segments.iter().enumerate() {
            found.bytes += segment.bytes;
            found.damaged.extend(segment.damaged.iter().map(ToString::to_string));
            let file = checkpoint::open(&segment.checkpoint);
            let base = file.and_then(|file| {
                found.bytes += file.file_bytes();
                State::of_checkpoint(&file)
            });
            let state = match base {
                Err(error @ CheckpointError::Io { action: "read", .. }) => return Err(error.into()),
                Err(error) => {
                    found.damaged.push(error.to_string());
                    reached.take()
                }
                Ok(base) => {
                    if let Some(reached) = reached.take()
                        && reached.moment == base.moment
                        && reached.bytes != base.bytes
                    {
                        let path = segment.checkpoint.display();
                        found.damaged.push(format!("{path} is another state than the records before it lead to"));
                    }
                    Some(base)
                }
            };
            let Some(state) = state.filter(|state| state.moment.generation == segment.header.base.generation) else {
                continue;
            };
            found.generations += 1;
            let mut replay = Replay::of(self, index, state)?;
            loop {
                match replay.within() {
                    Ok(true) => found.generations += 1,
                    Ok(false) => {
                        reached = replay.state;
                        break;
                    }
                    Err(error @ JournalError::Io { .. }) => return Err(error),
                    Err(error) => {
                        found.damaged.push(error.to_string());
                        break;
                    }
                }
            }
            // a generation that two segments have is one
            found.generations -=
                u64::from(index > 0 && self.segments[index - 1].last().generation == segment.header.base.generation);
        }
        Ok(found)
    }
}

/// The segments of a directory, oldest first.
fn segments_in(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(SEGMENT_SUFFIX));
        if name.is_some_and(|name| name.len() == 15 && name.bytes().all(|byte| byte.is_ascii_digit())) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl Segment {
    /// Reads header and places. Nothing: it was never begun.
    fn open(path: &Path, last: bool) -> Result<(Option<Segment>, Option<Torn>), JournalError> {
        let io = |action| JournalError::io(action, path);
        let mut file = File::open(path).map_err(io("open"))?;
        let bytes = file.metadata().map_err(io("look at"))?.len();
        let mut header = [0; HEADER_BYTES];
        if bytes < HEADER_BYTES as u64 {
            return Ok((None, last.then(|| Torn { path: path.to_owned(), offset: 0, bytes })));
        }
        file.read_exact(&mut header).map_err(io("read"))?;
        let header =
            Header::decode(&header).map_err(|source| JournalError::Segment { path: path.to_owned(), source })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let checkpoint = path_of(directory, header.base.generation, ".checkpoint");
        let mut segment =
            Segment { path: path.to_owned(), checkpoint, header, places: Vec::new(), damaged: Vec::new(), bytes };
        if let Some(places) = indexed(&mut file, bytes).map_err(io("read"))? {
            segment.places = places;
            return Ok((Some(segment), None));
        }
        let torn = segment.scan(&mut file, last).map_err(io("read"))?;
        Ok((Some(segment), torn))
    }

    /// Finds the records one by one.
    fn scan(&mut self, file: &mut File, last: bool) -> std::io::Result<Option<Torn>> {
        let mut offset = HEADER_BYTES as u64;
        while offset < self.bytes {
            let left = self.bytes - offset;
            let mut begin = vec![0; left.min(RECORD_BYTES as u64) as usize];
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut begin)?;
            if format::begins_like_index(&begin) {
                // all records were written, and its index was not
                let torn = last.then(|| Torn { path: self.path.clone(), offset, bytes: left });
                return Ok(torn);
            }
            let lengths = begin.first_chunk::<RECORD_BYTES>().and_then(Record::lengths);
            let whole = match lengths.filter(|lengths| lengths.record <= left) {
                None => false,
                Some(lengths) => {
                    // of the last record every byte is looked at: a loss of power may have left holes in it
                    let bytes = if last && lengths.record == left { lengths.record } else { lengths.head };
                    begin.resize(bytes as usize, 0);
                    file.seek(SeekFrom::Start(offset))?;
                    file.read_exact(&mut begin)?;
                    is_whole(&begin, lengths.head as usize)
                }
            };
            if whole {
                let moment = begin.first_chunk::<RECORD_BYTES>().map(Record::moment);
                self.places.extend(moment.map(|moment| Place { offset, moment }));
                offset += lengths.map_or(left, |lengths| lengths.record);
                continue;
            }
            let next = find_record(file, offset + 1, self.bytes)?;
            if next.is_none() && last {
                return Ok(Some(Torn { path: self.path.clone(), offset, bytes: left }));
            }
            let problem = "its head is not whole, and more records follow";
            let (path, part) = (self.path.clone(), "its head".to_owned());
            self.damaged.push(RecordDamage { path, offset, generation: None, part, problem });
            let Some(next) = next else { break };
            offset = next;
        }
        Ok(None)
    }

    /// What it leads to.
    fn moments(&self) -> impl Iterator<Item = Moment> {
        std::iter::once(self.header.base).chain(self.places.iter().map(|place| place.moment))
    }

    fn last(&self) -> Moment {
        self.places.last().map_or(self.header.base, |place| place.moment)
    }
}

/// Whether a record's head is whole, and as many of its blocks as there are.
fn is_whole(bytes: &[u8], head: usize) -> bool {
    let Some((head, mut payload)) = bytes.split_at_checked(head) else { return false };
    let Ok(record) = Record::decode(head) else { return false };
    payload.is_empty()
        || record.blocks.iter().all(|block| {
            let stored = payload.split_off(..block.bytes as usize);
            stored.is_some_and(|stored| xxh3_64(stored) == block.checksum)
        })
}

/// The places that a segment's index tells, if it has one.
fn indexed(file: &mut File, bytes: u64) -> std::io::Result<Option<Vec<Place>>> {
    if bytes < (HEADER_BYTES + INDEX_END_BYTES) as u64 {
        return Ok(None);
    }
    let mut end = [0; INDEX_END_BYTES];
    file.seek(SeekFrom::Start(bytes - INDEX_END_BYTES as u64))?;
    file.read_exact(&mut end)?;
    let room = bytes - HEADER_BYTES as u64;
    let Some(length) = format::index_length(&end).filter(|length| *length <= room) else { return Ok(None) };
    let mut index = vec![0; length as usize];
    file.seek(SeekFrom::Start(bytes - length))?;
    file.read_exact(&mut index)?;
    let places = format::decode_index(&index);
    let inside = |place: &Place| place.offset >= HEADER_BYTES as u64 && place.offset < bytes - length;
    Ok(places.filter(|places| places.iter().all(inside) && places.is_sorted_by_key(|place| place.offset)))
}

/// The next offset at which a record's head is whole.
fn find_record(file: &mut File, from: u64, bytes: u64) -> std::io::Result<Option<u64>> {
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(bytes.saturating_sub(from)).read_to_end(&mut rest)?;
    let is_record = |at: &usize| {
        let lengths = rest[*at..].first_chunk::<RECORD_BYTES>().and_then(Record::lengths);
        lengths.is_some_and(|lengths| {
            let head = usize::try_from(lengths.head).ok().and_then(|head| rest[*at..].get(..head));
            head.is_some_and(|head| Record::decode(head).is_ok())
        })
    };
    Ok((0..rest.len()).find(is_record).map(|at| from + at as u64))
}

/// A walk through a journal, generation by generation.
pub struct Replay<'j> {
    journal: &'j Journal,
    segment: usize,
    /// The next record of the segment.
    next: usize,
    file: File,
    decoder: Decoder,
    /// Nothing: a record could not be applied.
    pub(super) state: Option<State>,
    buffer: Vec<u8>,
}

impl<'j> Replay<'j> {
    fn begin(journal: &'j Journal, segment: usize) -> Result<Replay<'j>, JournalError> {
        let file = checkpoint::open(&journal.segments[segment].checkpoint)?;
        Replay::of(journal, segment, State::of_checkpoint(&file)?)
    }

    fn of(journal: &'j Journal, segment: usize, state: State) -> Result<Replay<'j>, JournalError> {
        let path = &journal.segments[segment].path;
        let file = File::open(path).map_err(JournalError::io("open", path))?;
        let decoder = Decoder::new().map_err(JournalError::io("decompress", path))?;
        Ok(Replay { journal, segment, next: 0, file, decoder, state: Some(state), buffer: Vec::new() })
    }

    fn forward(mut self, generation: u64) -> Result<Replay<'j>, JournalError> {
        while self.state()?.moment.generation < generation {
            if !self.advance()? {
                return Err(JournalError::Gone);
            }
        }
        Ok(self)
    }

    fn state(&self) -> Result<&State, JournalError> {
        self.state.as_ref().ok_or(JournalError::Gone)
    }

    /// The generation at which it stands.
    ///
    /// # Errors
    /// The step before failed.
    pub fn entry(&self) -> Result<Entry, JournalError> {
        Ok(self.state()?.moment.into())
    }

    /// Goes on to the next generation that was recorded, also where it is one that was undone later. False: it was the
    /// last.
    ///
    /// # Errors
    /// A damaged record: then the walk is over.
    pub fn advance(&mut self) -> Result<bool, JournalError> {
        if self.within()? {
            return Ok(true);
        }
        let Some(segment) = self.journal.segments.get(self.segment + 1) else { return Ok(false) };
        let continues = self.state()?.moment.generation == segment.header.base.generation;
        self.segment += 1;
        self.next = 0;
        self.file = File::open(&segment.path).map_err(JournalError::io("open", &segment.path))?;
        if continues {
            return self.advance();
        }
        self.state = None;
        self.state = Some(State::of_checkpoint(&checkpoint::open(&segment.checkpoint)?)?);
        Ok(true)
    }

    /// The same within the segment.
    fn within(&mut self) -> Result<bool, JournalError> {
        self.state()?;
        let segment = &self.journal.segments[self.segment];
        let Some(&place) = segment.places.get(self.next) else { return Ok(false) };
        self.next += 1;
        let mut state = self.state.take().ok_or(JournalError::Gone)?;
        let damage = |part: String, problem| {
            let (path, generation) = (segment.path.clone(), Some(place.moment.generation));
            JournalError::Damaged(Box::new(RecordDamage { path, offset: place.offset, generation, part, problem }))
        };
        let head = || "its head".to_owned();
        let end = segment.bytes;
        let io = |action| JournalError::io(action, &segment.path);
        let mut begin = [0; RECORD_BYTES];
        if end - place.offset < RECORD_BYTES as u64 {
            return Err(damage(head(), "it ends early"));
        }
        self.file.seek(SeekFrom::Start(place.offset)).map_err(io("read"))?;
        self.file.read_exact(&mut begin).map_err(io("read"))?;
        let lengths = Record::lengths(&begin).filter(|lengths| lengths.record <= end - place.offset);
        let lengths = lengths.ok_or_else(|| damage(head(), "it is no record"))?;
        self.buffer.resize(lengths.record as usize, 0);
        self.buffer[..RECORD_BYTES].copy_from_slice(&begin);
        self.file.read_exact(&mut self.buffer[RECORD_BYTES..]).map_err(io("read"))?;
        let (head_bytes, payload) = self.buffer.split_at(lengths.head as usize);
        let record = Record::decode(head_bytes).map_err(|problem| damage(head(), problem))?;
        if let Err((part, problem)) = delta::apply(&mut state, &record, payload, &mut self.decoder) {
            return Err(damage(part.map_or_else(head, |part| state.name(part)), problem));
        }
        self.state = Some(state);
        Ok(true)
    }

    /// Loads the state into private memory, to be looked at as any region is. It has one generation, its own.
    ///
    /// # Errors
    /// The step before failed; entities that contradict each other; no memory.
    pub fn load(&self) -> Result<Reader, JournalError> {
        self.state()?.load()
    }

    /// Makes a world that goes on from the state bit for bit, in a new region.
    ///
    /// # Errors
    /// As [`Replay::load`]; a region that cannot be made; Rust types that differ from the layout.
    pub fn restore(&self, builder: WorldBuilder) -> Result<World, JournalError> {
        self.state()?.restore(builder)
    }
}
