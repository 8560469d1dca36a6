//! Journals: their frames, a walk through their states, and recording.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hypostyle::SharedReader;
use hypostyle::journal::{Backpressure, Entry, Journal as Recording, JournalError, Recorded, RecorderOptions, Replay};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::error;
use crate::layout::{LayoutParts, parts};
use crate::pin::Pin;

/// Generation, frame, time.
type Moment = (u64, u64, f64);

fn moment(entry: Entry) -> Moment {
    (entry.generation, entry.frame, entry.time)
}

pub(crate) fn of_journal(failed: &JournalError) -> PyErr {
    let class = match failed {
        JournalError::NoFrame { .. } => "NotKeptError",
        _ => "RegionError",
    };
    error(class, failed.to_string())
}

/// An open journal.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Journal {
    journal: Arc<Recording>,
}

#[pymethods]
impl Journal {
    #[new]
    fn new(py: Python<'_>, directory: PathBuf) -> PyResult<Self> {
        if !Recording::is_journal(&directory) {
            let message = format!("there is no journal at {}", directory.display());
            return Err(error("RegionNotFoundError", message));
        }
        let journal = py.detach(|| Recording::open(&directory)).map_err(|failed| of_journal(&failed))?;
        Ok(Journal { journal: Arc::new(journal) })
    }

    fn layout<'py>(&self, py: Python<'py>) -> LayoutParts<'py> {
        parts(py, self.journal.layout())
    }

    fn entries(&self) -> Vec<Moment> {
        self.journal.entries().map(moment).collect()
    }

    fn notes(&self) -> Vec<(String, String)> {
        self.journal.notes().to_vec()
    }

    fn is_finished(&self) -> bool {
        self.journal.is_finished()
    }

    /// Frames that are missing, and an end that was cut off, in words.
    fn problems(&self) -> Vec<String> {
        let tail = self.journal.truncated_tail().map(ToString::to_string);
        self.journal.gaps().map(ToString::to_string).chain(tail).collect()
    }

    /// A walk that begins at a frame.
    fn walk(&self, py: Python<'_>, frame: u64) -> PyResult<Walk> {
        let journal = &self.journal;
        let begun = py.detach(|| Replay::at(Arc::clone(journal), journal.at(frame)?));
        Ok(Walk { replay: Mutex::new(begun.map_err(|failed| of_journal(&failed))?) })
    }
}

/// A walk through a journal, generation by generation.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Walk {
    replay: Mutex<Replay<Arc<Recording>>>,
}

impl Walk {
    fn replay(&self) -> MutexGuard<'_, Replay<Arc<Recording>>> {
        self.replay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Walk {
    /// Goes on to this generation. False: there is none of it ahead.
    fn forward(&self, py: Python<'_>, generation: u64) -> PyResult<bool> {
        let gone = py.detach(|| {
            let mut replay = self.replay();
            while replay.entry()?.generation < generation {
                if !replay.advance()? {
                    return Ok(false);
                }
            }
            Ok(replay.entry()?.generation == generation)
        });
        gone.map_err(|failed: JournalError| of_journal(&failed))
    }

    /// The state at which it stands, in private memory.
    fn pin(&self, py: Python<'_>) -> PyResult<Pin> {
        let reader = py.detach(|| self.replay().load()).map_err(|failed| of_journal(&failed))?;
        let pinned = SharedReader::from(reader).pin().map_err(|failed| crate::errors::of_snapshot(&failed))?;
        Ok(Pin::new(pinned))
    }
}

/// How a world of Python is recorded.
pub(crate) fn recorder_options(directory: PathBuf, checkpoint_every: u64, skip: bool) -> RecorderOptions {
    let mut options = RecorderOptions::new(directory);
    options.checkpoint_every = checkpoint_every;
    options.backpressure = if skip { Backpressure::Skip } else { Backpressure::Wait };
    options
}

/// What was recorded, for Python's `Recorded`.
pub(crate) fn recorded<'py>(py: Python<'py>, done: &Recorded) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("generations", done.generations)?;
    dict.set_item("skipped", done.skipped)?;
    dict.set_item("checkpoints", done.checkpoints)?;
    dict.set_item("bytes", done.bytes)?;
    dict.set_item("frame", done.frame)?;
    dict.set_item("waited_seconds", done.waited.as_secs_f64())?;
    Ok(dict)
}
