#![forbid(unsafe_code)]
//! What can go wrong with a journal, and what would be right.

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
