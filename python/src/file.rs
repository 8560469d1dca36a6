//! What can be opened: a region, a checkpoint, or a frame of a journal, told apart as the command line does.
//!
//! Invariant: a state from a file is loaded into private memory, and has one generation, its own.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::{Path, PathBuf};

use hypostyle::checkpoint::{self, CheckpointError, CheckpointSet};
use hypostyle::journal::{Journal, JournalError};
use hypostyle::{Reader, RegionTarget, World, WorldBuilder};
use pyo3::prelude::*;

use crate::errors::{error, of_region};

/// Where a state is.
pub(crate) enum Source {
    Region(RegionTarget),
    Checkpoint(PathBuf),
    /// The manifest of a set of checkpoints.
    Set(PathBuf),
    /// A frame; none: the last.
    Journal(PathBuf, Option<u64>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Region(target) => write!(f, "{target}"),
            Source::Checkpoint(path) | Source::Set(path) | Source::Journal(path, None) => {
                write!(f, "{}", path.display())
            }
            Source::Journal(path, Some(frame)) => write!(f, "{}@{frame}", path.display()),
        }
    }
}

impl Source {
    /// A file, or what is called as a checkpoint is; a journal's directory, or `DIRECTORY@FRAME`; all else is a region.
    pub(crate) fn parse(text: &str) -> PyResult<Source> {
        if let Some((directory, frame)) = text.rsplit_once('@')
            && let Ok(frame) = frame.parse()
            && Journal::is_journal(Path::new(directory))
        {
            return Ok(Source::Journal(directory.into(), Some(frame)));
        }
        let path = Path::new(text);
        if Journal::is_journal(path) {
            return Ok(Source::Journal(path.into(), None));
        }
        let ends_like_one =
            path.extension().is_some_and(|end| end == "checkpoint" || end == "checkpoints") && !path.is_dir();
        if text.contains(['/', '.']) && (path.is_file() || ends_like_one) {
            if !path.exists() {
                return Err(error("RegionNotFoundError", format!("there is no file {}", path.display())));
            }
            let is_set = CheckpointSet::is_one(path);
            return Ok(if is_set { Source::Set(path.into()) } else { Source::Checkpoint(path.into()) });
        }
        text.parse().map(Source::Region).map_err(|error| of_region(&error))
    }

    /// The state of a file, in memory; none: it is a region.
    pub(crate) fn load(&self) -> Result<Option<Reader>, FileError> {
        Ok(match self {
            Source::Region(_) => None,
            Source::Checkpoint(path) => Some(checkpoint::open(path)?.load()?),
            Source::Set(path) => Some(CheckpointSet::open(path)?.load()?),
            Source::Journal(path, frame) => {
                let journal = Journal::open(path)?;
                let entry = frame.map_or_else(|| Ok(journal.last()), |frame| journal.at(frame))?;
                Some(journal.replay_to(entry)?.load()?)
            }
        })
    }

    /// A world that goes on from a file; none: it is a region.
    pub(crate) fn restore(&self, builder: WorldBuilder) -> Result<Option<World>, FileError> {
        Ok(match self {
            Source::Region(_) => None,
            Source::Checkpoint(path) => Some(checkpoint::open(path)?.restore(builder)?),
            Source::Set(path) => Some(CheckpointSet::open(path)?.restore(builder)?),
            Source::Journal(path, frame) => {
                let journal = Journal::open(path)?;
                let entry = frame.map_or_else(|| Ok(journal.last()), |frame| journal.at(frame))?;
                Some(journal.replay_to(entry)?.restore(builder)?)
            }
        })
    }
}

/// Why a file gives no state.
pub(crate) struct FileError(String);

impl From<CheckpointError> for FileError {
    fn from(failed: CheckpointError) -> Self {
        FileError(failed.to_string())
    }
}

impl From<JournalError> for FileError {
    fn from(failed: JournalError) -> Self {
        FileError(failed.to_string())
    }
}

impl From<FileError> for PyErr {
    fn from(failed: FileError) -> Self {
        error("RegionError", failed.0)
    }
}
