//! Reading a journal: which generations it has, and any state of them again.
//!
//! A segment that was ended as it should has an index; of others the records are found one by one. What is not whole at
//! the end of the last segment is what a writer left that died, and counts as not written; anything else that is not
//! whole is damage.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::{self, CheckpointError};
use crate::layout::Layout;

use super::error::{Gap, JournalError};
use super::replay::Replay;
use super::segment::{Segment, Stop, segments_in};
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
pub struct TruncatedTail {
    /// The segment.
    pub path: PathBuf,
    /// Where it begins, bytes.
    pub offset: u64,
    /// Its length, bytes.
    pub bytes: u64,
}

impl std::fmt::Display for TruncatedTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TruncatedTail { path, offset, bytes } = self;
        write!(f, "the last {bytes} bytes of {} (from byte {offset}) are an unfinished record", path.display())?;
        f.write_str(": its writer died. Everything before it is whole")
    }
}

/// Result of the check of a whole journal.
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
    pub(super) segments: Vec<Segment>,
    layout: Arc<Layout>,
    notes: Vec<(String, String)>,
    torn: Option<TruncatedTail>,
    /// What is missing behind the last segment.
    end_gap: Option<Gap>,
    /// What was not undone later: frames ascend.
    timeline: Vec<Stop>,
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

    /// The last segment, to append to.
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
    pub fn truncated_tail(&self) -> Option<&TruncatedTail> {
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
    pub fn replay(&self) -> Result<Replay<&Journal>, JournalError> {
        Replay::new(self)
    }

    /// The state of an entry of this journal: from the nearest checkpoint before it that is whole, forward.
    ///
    /// # Errors
    /// Damage on the way; what the system refuses.
    pub fn replay_to(&self, entry: Entry) -> Result<Replay<&Journal>, JournalError> {
        Replay::at(self, entry)
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
