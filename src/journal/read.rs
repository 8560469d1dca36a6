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
use crate::checkpoint::{self, CheckpointError, FormatError};
use crate::layout::Layout;
use crate::snapshot::Reader;
use crate::world::{World, WorldBuilder};

use super::delta;
use super::error::{Gap, JournalError, RecordDamage};
use super::format::{self, HEADER_BYTES, Header, INDEX_END_BYTES, Index, Place, RECORD_BYTES, Record};
use super::state::{Moment, State};
use super::write::{Ended, SEGMENT_SUFFIX, path_of};

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
    /// What is damaged or missing, in words.
    pub damaged: Vec<String>,
    /// Whether its recorder ended it. Of one that was not, the last frames may be missing: its writer died, or still writes.
    pub finished: bool,
}

struct Segment {
    path: PathBuf,
    checkpoint: PathBuf,
    header: Header,
    places: Vec<Place>,
    damaged: Vec<RecordDamage>,
    bytes: u64,
    /// Where its records end.
    records_end: u64,
    chain: u64,
    /// The generation that the next segment begins with, 0 for none; nothing: it was not ended.
    next: Option<u64>,
    /// The places before which a record cannot be read.
    holes: Vec<usize>,
    /// What is missing between the segment before it and this one.
    gap: Option<Gap>,
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
    /// What is missing behind the last segment.
    end_gap: Option<Gap>,
    /// What was not undone later: frames ascend.
    timeline: Vec<Stop>,
}

/// A generation of the timeline.
#[derive(Clone, Debug)]
struct Stop {
    moment: Moment,
    /// What is missing between the one before it and this one.
    gap: Option<Gap>,
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
        /// A segment takes many frames, and each look at the directory far less.
        const LOOKS_MAX: u32 = 8;
        let mut journal = Journal::look(directory)?;
        for _ in 1..LOOKS_MAX {
            // one that was begun since the names were read is not missing
            let begun = match &journal.end_gap {
                Some(Gap::Segment { generation, .. }) => path_of(directory, *generation, SEGMENT_SUFFIX).exists(),
                _ => false,
            };
            if !begun {
                break;
            }
            journal = Journal::look(directory)?;
        }
        Ok(journal)
    }

    fn look(directory: &Path) -> Result<Journal, JournalError> {
        let empty = || JournalError::Empty { path: directory.to_owned() };
        let paths = match segments_in(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(empty()),
            found => found.map_err(JournalError::io("read", directory))?,
        };
        let mut segments: Vec<Segment> = Vec::new();
        let mut torn = None;
        let mut cut = None;
        for (index, path) in paths.iter().enumerate() {
            let last = index + 1 == paths.len();
            match Segment::open(path, last)? {
                (Some(mut segment), unfinished) => {
                    if segments.first().is_some_and(|first| {
                        (first.header.recording, first.header.layout_hash)
                            != (segment.header.recording, segment.header.layout_hash)
                    }) {
                        return Err(JournalError::Foreign { path: path.clone() });
                    }
                    torn = unfinished;
                    segment.gap = cut.take().or_else(|| segment.gap_after(segments.last()));
                    segments.push(segment);
                }
                (None, unfinished) if unfinished.is_some() => torn = unfinished,
                (None, _) => cut = Some(Gap::Header { path: path.clone() }),
            }
        }
        let end_gap = segments.last().and_then(|last| match last.next {
            Some(generation) if generation > 0 => Some(Gap::Segment { after: last.path.clone(), generation }),
            _ => None,
        });
        let mut opened = segments.iter().map(|segment| checkpoint::open(&segment.checkpoint));
        let first = opened.next().ok_or_else(empty)?;
        let file = match first {
            Ok(file) => file,
            Err(error) => opened.find_map(Result::ok).ok_or(error)?,
        };
        let layout = Arc::clone(&file.head().layout);
        let notes = file.notes().to_vec();
        let mut timeline: Vec<Stop> = Vec::new();
        for mut stop in segments.iter().flat_map(Segment::stops) {
            while let Some(undone) = timeline.pop_if(|last| last.moment.frame >= stop.moment.frame) {
                stop.gap = undone.gap.or(stop.gap);
            }
            timeline.push(stop);
        }
        Ok(Journal { directory: directory.to_owned(), segments, layout, notes, torn, end_gap, timeline })
    }

    /// Where something is missing: segments, or records at their ends. None: it is whole as far as its recorder came.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.segments.iter().filter_map(|segment| segment.gap.as_ref()).chain(&self.end_gap)
    }

    /// Whether its recorder ended it. Of one that was not, the last frames may be missing: its writer died, or still writes.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.segments.last().is_some_and(|last| last.next == Some(0))
    }

    /// A number that all segments of the recording share, and no other recording has.
    #[must_use]
    pub fn recording_id(&self) -> u64 {
        self.recording()
    }

    /// Where the records of a segment begin, and where the last one ends.
    #[cfg(test)]
    pub(super) fn record_bounds(&self, segment: usize) -> Vec<u64> {
        let segment = &self.segments[segment];
        segment.places.iter().map(|place| place.offset).chain([segment.records_end]).collect()
    }

    /// The last segment, to be gone on with.
    pub(super) fn into_end(self) -> Option<Ended> {
        let Segment { path, header, records_end, places, chain, .. } = self.segments.into_iter().last()?;
        Some(Ended { path, header, bytes: records_end, places, chain })
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
        self.timeline.iter().map(|stop| Entry::from(stop.moment))
    }

    /// The first generation.
    #[must_use]
    pub fn first(&self) -> Entry {
        self.timeline
            .first()
            .map(|stop| stop.moment.into())
            .expect("a journal has a segment, and that has a generation")
    }

    /// The newest generation.
    #[must_use]
    pub fn last(&self) -> Entry {
        self.timeline.last().map(|stop| stop.moment.into()).expect("a journal has a segment, and that has a generation")
    }

    /// The newest generation at or before a frame.
    ///
    /// # Errors
    /// [`JournalError::NoFrame`]: the journal begins later or ends earlier. [`JournalError::Missing`]: what was recorded
    /// about there is not there any more, so that no generation can be said to be the newest before it.
    pub fn at(&self, frame: u64) -> Result<Entry, JournalError> {
        let (first, last) = (self.first().frame, self.last().frame);
        let at = self.timeline.partition_point(|stop| stop.moment.frame <= frame);
        match at.checked_sub(1).map(|at| self.timeline[at].moment) {
            Some(moment) if frame <= last => match self.timeline.get(at) {
                Some(Stop { moment: next, gap: Some(gap) }) if moment.frame < frame => {
                    Err(JournalError::Missing { frame, before: moment.frame, after: next.frame, gap: gap.clone() })
                }
                _ => Ok(moment.into()),
            },
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
            found.damaged.extend(segment.gap.iter().map(ToString::to_string));
            found.damaged.extend(segment.damaged.iter().map(ToString::to_string));
            found.bytes += segment.checkpoint.metadata().map_or(0, |metadata| metadata.len());
            let state = match segment.base() {
                Err(JournalError::Checkpoint(error @ CheckpointError::Io { action: "read", .. })) => {
                    return Err(error.into());
                }
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
            let wrong = |state: &State| {
                let generation = state.moment.generation;
                state.check().err().map(|error| format!("generation {generation} cannot be loaded: {error}"))
            };
            found.damaged.extend(wrong(&state));
            let mut replay = Replay::of(self, index, state)?;
            loop {
                match replay.within() {
                    Ok(true) => {
                        found.generations += 1;
                        found.damaged.extend(replay.state.as_ref().and_then(wrong));
                    }
                    Ok(false) => {
                        if replay.chain != segment.chain {
                            let path = segment.path.display();
                            found.damaged.push(format!("the records of {path} are not those that its index tells of"));
                        }
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
        found.damaged.extend(self.end_gap.iter().map(ToString::to_string));
        found.finished = self.is_finished();
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
        let mut file = crate::os::open_regular(path).map_err(io("open"))?;
        let bytes = file.metadata().map_err(io("look at"))?.len();
        let mut header = [0; HEADER_BYTES];
        if bytes < HEADER_BYTES as u64 {
            return Ok((None, last.then(|| Torn { path: path.to_owned(), offset: 0, bytes })));
        }
        file.read_exact(&mut header).map_err(io("read"))?;
        let header =
            Header::decode(&header).map_err(|source| JournalError::Segment { path: path.to_owned(), source })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        if path_of(directory, header.base.generation, SEGMENT_SUFFIX).file_name() != path.file_name() {
            let what = "it begins with another generation than its name says";
            let source = FormatError::Content { part: "header", what };
            return Err(JournalError::Segment { path: path.to_owned(), source });
        }
        let checkpoint = path_of(directory, header.base.generation, ".checkpoint");
        let mut segment = Segment {
            path: path.to_owned(),
            checkpoint,
            header,
            places: Vec::new(),
            damaged: Vec::new(),
            bytes,
            records_end: bytes,
            chain: header.begin_chain(),
            next: None,
            holes: Vec::new(),
            gap: None,
        };
        if let Some((index, length)) = indexed(&mut file, bytes).map_err(io("read"))? {
            segment.places = index.places;
            segment.chain = index.chain;
            segment.next = Some(index.next);
            segment.records_end = bytes - length;
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
                self.records_end = offset;
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
                self.chain = format::link(self.chain, format::checksum_of(&begin));
                offset += lengths.map_or(left, |lengths| lengths.record);
                continue;
            }
            let next = find_record(file, offset + 1, self.bytes)?;
            self.records_end = offset;
            if next.is_none() && last {
                return Ok(Some(Torn { path: self.path.clone(), offset, bytes: left }));
            }
            let problem = "its head is not whole, and more records follow";
            let (path, part) = (self.path.clone(), "its head".to_owned());
            self.damaged.push(RecordDamage { path, offset, generation: None, part, problem });
            self.records_end = self.bytes;
            self.holes.push(self.places.len());
            let Some(next) = next else { break };
            offset = next;
        }
        Ok(None)
    }

    /// What it leads to.
    fn stops(&self) -> impl Iterator<Item = Stop> {
        let hole = |place: usize| self.holes.contains(&place).then(|| Gap::Record { path: self.path.clone() });
        let places = self.places.iter().enumerate();
        let stops = places.map(move |(at, place)| Stop { moment: place.moment, gap: hole(at) });
        std::iter::once(Stop { moment: self.header.base, gap: self.gap.clone() }).chain(stops)
    }

    /// What is missing between the segment before this one and this one.
    fn gap_after(&self, before: Option<&Segment>) -> Option<Gap> {
        let Header { previous, chain, base, .. } = self.header;
        let Some(before) = before else {
            return (previous != 0).then(|| Gap::Beginning { path: self.path.clone(), generation: previous });
        };
        if let Some(next) = before.next.filter(|next| *next != 0 && *next != base.generation) {
            return Some(Gap::Segment { after: before.path.clone(), generation: next });
        }
        let path = || before.path.clone();
        (before.last().generation != previous || before.chain != chain).then(|| Gap::End {
            path: path(),
            generation: before.last().generation,
            expected: previous,
        })
    }

    /// The state that it begins with: that of its checkpoint, which must be the one that was written with it.
    fn base(&self) -> Result<State, JournalError> {
        let file = checkpoint::open(&self.checkpoint)?;
        let state = State::of_checkpoint(&file)?;
        if file.identity() != self.header.checkpoint || state.moment != self.header.base {
            let what = "it is not the checkpoint that the segment was begun with";
            let source = FormatError::Content { part: "identity", what };
            return Err(CheckpointError::File { path: self.checkpoint.clone(), source }.into());
        }
        Ok(state)
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

/// A segment's index and its length, if it has one.
fn indexed(file: &mut File, bytes: u64) -> std::io::Result<Option<(Index, u64)>> {
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
    let index = format::decode_index(&index);
    let inside = |place: &Place| place.offset >= HEADER_BYTES as u64 && place.offset < bytes - length;
    let whole = |index: &Index| index.places.iter().all(inside) && index.places.is_sorted_by_key(|place| place.offset);
    Ok(index.filter(whole).map(|index| (index, length)))
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
    /// The chain of the segment's records so far.
    chain: u64,
    buffer: Vec<u8>,
}

impl<'j> Replay<'j> {
    fn begin(journal: &'j Journal, segment: usize) -> Result<Replay<'j>, JournalError> {
        Replay::of(journal, segment, journal.segments[segment].base()?)
    }

    fn of(journal: &'j Journal, segment: usize, state: State) -> Result<Replay<'j>, JournalError> {
        let Segment { path, header, .. } = &journal.segments[segment];
        let file = crate::os::open_regular(path).map_err(JournalError::io("open", path))?;
        let chain = header.begin_chain();
        let decoder = Decoder::new().map_err(JournalError::io("decompress", path))?;
        Ok(Replay { journal, segment, next: 0, file, decoder, state: Some(state), chain, buffer: Vec::new() })
    }

    fn forward(mut self, generation: u64) -> Result<Replay<'j>, JournalError> {
        while self.state()?.moment.generation < generation {
            if !self.advance()? {
                return Err(JournalError::Gone);
            }
        }
        // the generations on the way are those that the journal told of, or something is missing
        if self.state()?.moment.generation != generation {
            return Err(JournalError::Gone);
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
    /// A damaged record, or something that is missing: then the walk is over.
    pub fn advance(&mut self) -> Result<bool, JournalError> {
        if self.within()? {
            return Ok(true);
        }
        let Some(segment) = self.journal.segments.get(self.segment + 1) else { return Ok(false) };
        if let Some(gap) = &segment.gap {
            self.state = None;
            return Err(JournalError::Broken(gap.clone()));
        }
        let continues = self.state()?.moment.generation == segment.header.base.generation;
        self.segment += 1;
        self.next = 0;
        self.file = crate::os::open_regular(&segment.path).map_err(JournalError::io("open", &segment.path))?;
        self.chain = segment.header.begin_chain();
        if continues {
            return self.advance();
        }
        self.state = None;
        self.state = Some(segment.base()?);
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
        if record.moment != place.moment {
            return Err(damage(head(), "it is of another generation than the index says"));
        }
        self.chain = format::link(self.chain, format::checksum_of(head_bytes));
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
