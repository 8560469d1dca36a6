//! What can go wrong with a checkpoint, and what would be right.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

use crate::generation::SnapshotError;
use crate::layout::LayoutError;
use crate::world::RowBatchError;
use crate::world::error::WorldError;

/// What can go wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
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
    /// The file is no checkpoint, is damaged, or is of another version.
    #[error("checkpoint {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// Something else has the name that the file was to have.
    #[error("{} exists and is another kind of file: remove it, or give another name", path.display())]
    Taken {
        /// The name.
        path: PathBuf,
    },
    /// A level that does not exist.
    #[error("level {level} does not exist: use {least} to {most}; 0 does not compress, 1 is the fastest that does")]
    Level {
        /// What was asked for.
        level: i32,
        /// The least there is.
        least: i32,
        /// The most there is.
        most: i32,
    },
    /// A pace that does not exist.
    #[error("a pace of {percent} percent does not exist: use 1 to 100; at 100 it never sleeps")]
    Pace {
        /// What was asked for.
        percent: u8,
    },
    /// Notes that do not fit.
    #[error("the notes do not fit: {what}")]
    Notes {
        /// What is wrong.
        what: String,
    },
    /// There is no checkpoint in a directory.
    #[error("there is no whole checkpoint in {}", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A manifest of a set of checkpoints, or a file that is not as it says.
    #[error("{}: {what}", path.display())]
    Set {
        /// The manifest or the file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Ranks whose rows cannot be made one world's.
    #[error(
        "the ranks do not note in which order rows stand (`order`): write a checkpoint of each, or start them with it"
    )]
    Order,
    /// Rows of a file could not be joined to those of others.
    #[error(transparent)]
    Rows(RowBatchError),
    /// The thread that writes checkpoints is gone.
    #[error("the thread that writes checkpoints is gone")]
    Gone,
    /// The generation could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The world could not be made.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl CheckpointError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
        move |source| CheckpointError::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(FormatError) -> CheckpointError {
        move |source| CheckpointError::File { path: path.to_owned(), source }
    }
}

/// Why bytes are no checkpoint that this program can read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Another kind of file.
    #[error("it is no checkpoint: its first bytes are not HYPOCKPT")]
    Magic,
    /// Written by a machine whose bytes stand the other way round.
    #[error("it was written in another byte order")]
    ByteOrder,
    /// Another version.
    #[error("its version is {version}, this program reads version {known}")]
    Version {
        /// The file's.
        version: u32,
        /// This program's.
        known: u32,
    },
    /// Features that this program does not know.
    #[error("it needs features that this program does not know (bits {bits:#x}): use a newer program")]
    Features {
        /// Their bits.
        bits: u64,
    },
    /// Too short or too long.
    #[error("it has {bytes} bytes and must have {expected}: it was cut short, or something was added")]
    Length {
        /// What it has.
        bytes: u64,
        /// What it says of itself.
        expected: u64,
    },
    /// A part that is damaged.
    #[error("its {part} is damaged: the checksum differs")]
    Checksum {
        /// Which part.
        part: &'static str,
    },
    /// A number that cannot be.
    #[error("{what} cannot be {value}")]
    Value {
        /// Whose.
        what: &'static str,
        /// The number.
        value: u64,
    },
    /// A part that contradicts another.
    #[error("its {part} is wrong: {what}")]
    Content {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// The layout is none.
    #[error("its layout is wrong: {0}")]
    Layout(#[source] LayoutError),
    /// A piece of a column that is damaged.
    #[error("{0}")]
    Chunk(Box<Damage>),
}

/// A damaged piece of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The chunk's number, from 0.
    pub chunk: u64,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in the file, in bytes.
    pub bytes: u64,
    /// The table's components; of the engine's own tables `(entities)` or `(resources)`.
    pub table: String,
    /// The column: `position.x`, or what the engine calls it; with ` (stamps)` for its change stamps.
    pub column: String,
    /// The rows that it holds, first and end. Of stamps: the rows that they are for.
    pub rows: (u64, u64),
    /// What is wrong.
    pub problem: &'static str,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Damage { chunk, offset, bytes, table, column, rows, problem } = self;
        write!(
            f,
            "chunk {chunk} (bytes {offset} to {}) is damaged: {problem}; it holds rows {} to {} of {column} in table \
             ({table})",
            offset + bytes,
            rows.0,
            rows.1
        )
    }
}
