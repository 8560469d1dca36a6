//! What can go wrong with a journal, and what would be right.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::{CheckpointError, FormatError};
use crate::generation::SnapshotError;
use crate::world::error::WorldError;

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A directory without a journal.
    #[error("there is no journal in {}", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A file that is no segment, or of another version.
    #[error("journal segment {}: {source}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// Segments of different recordings.
    #[error("{} is of another recording than the segments before it", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A damaged record.
    #[error("{0}")]
    Damaged(Box<RecordDamage>),
    /// A frame of which it cannot be told whether it was recorded: what lies around it is missing.
    #[error("frame {frame} is missing: the journal has frame {before}, then nothing before frame {after}; {gap}")]
    Missing {
        /// What was asked for.
        frame: u64,
        /// The last frame before what is missing.
        before: u64,
        /// The first frame after it.
        after: u64,
        /// What is missing.
        gap: Gap,
    },
    /// A walk reached a place where records are missing.
    #[error("the journal has a gap: {0}")]
    Broken(Gap),
    /// No such frame.
    #[error("the journal has no frame {frame}: it has frames {first} to {last}")]
    NoFrame {
        /// What was asked for.
        frame: u64,
        /// The first that there is.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A journal that another world's history cannot go on from.
    #[error("{} has a journal that {why}: record to another directory", path.display())]
    Other {
        /// The directory.
        path: PathBuf,
        /// What is in the way.
        why: String,
    },
    /// The thread that records is gone.
    #[error("the thread that records is gone")]
    Gone,
    /// A checkpoint of the journal.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A generation could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A world could not be made.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl JournalError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        move |source| JournalError::Io { action, path: path.to_owned(), source }
    }
}

/// Where the chain of a recording is broken: what is there does not follow what comes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// What comes before the first segment is not there.
    Beginning {
        /// The first segment that there is.
        path: PathBuf,
        /// The generation that the segment before it ended with.
        generation: u64,
    },
    /// A segment is not there.
    Segment {
        /// The segment before it.
        after: PathBuf,
        /// The generation that it begins with.
        generation: u64,
    },
    /// Records at the end of a segment are not there, or are not those that were recorded.
    End {
        /// The segment.
        path: PathBuf,
        /// The generation that it ends with.
        generation: u64,
        /// The generation that it ended with when the next segment was begun.
        expected: u64,
    },
    /// A segment is cut off inside its header.
    Header {
        /// The segment.
        path: PathBuf,
    },
    /// A record in the middle of a segment cannot be read.
    Record {
        /// The segment.
        path: PathBuf,
    },
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gap::Beginning { path, generation } => write!(
                f,
                "the segments before {} are missing: the one before it ended with generation {generation}",
                path.display()
            ),
            Gap::Segment { after, generation } => write!(
                f,
                "the segment that begins with generation {generation} is missing: {} says that it follows",
                after.display()
            ),
            Gap::End { path, generation, expected } if generation == expected => {
                write!(f, "{} is not the segment that the next one was begun after", path.display())
            }
            Gap::End { path, generation, expected } => write!(
                f,
                "{} ends with generation {generation}, and the segment after it was begun after generation {expected}: \
                 records are missing",
                path.display()
            ),
            Gap::Header { path } => write!(f, "{} is cut off inside its header", path.display()),
            Gap::Record { path } => write!(f, "a record of {} cannot be read", path.display()),
        }
    }
}

/// A damaged record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordDamage {
    /// The segment.
    pub path: PathBuf,
    /// Where the record begins in it, bytes.
    pub offset: u64,
    /// The generation that it leads to, where that can be told.
    pub generation: Option<u64>,
    /// What of it: `its head`, or table and column.
    pub part: String,
    /// What is wrong.
    pub problem: &'static str,
}

impl std::fmt::Display for RecordDamage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RecordDamage { path, offset, generation, part, problem } = self;
        let path = path.display();
        let of = generation.map_or_else(String::new, |generation| format!(" of generation {generation}"));
        write!(f, "journal segment {path}: the record{of} at byte {offset} is damaged: {part}: {problem}")
    }
}
