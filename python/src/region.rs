//! Regions: open, list, wait, pin.
#![expect(unsafe_code, reason = "opening a region is a promise about its writer")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hypostyle::regions::RegionInfo;
use hypostyle::{RegionTarget, SharedReader};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{error, of_region, of_snapshot};
use crate::file::Source;
use crate::inputs::{InputSender, of_input};
use crate::layout::{LayoutParts, parts};
use crate::pin::Pin;
use crate::steering::Steering;

/// How long a wait goes without looking at signals and at the writer.
const LOOK: Duration = Duration::from_millis(50);

/// Index, process id, generation, whether the reader lives.
type Lease = (usize, u32, Option<u64>, bool);

/// An open region.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Reader {
    source: Source,
    /// None: closed.
    reader: Mutex<Option<SharedReader>>,
}

impl Reader {
    fn reader(&self) -> PyResult<SharedReader> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.clone().ok_or_else(|| error("ClosedError", format!("region {} was closed", self.source)))
    }
}

#[pymethods]
impl Reader {
    /// Opens a region by its name or path, or loads the state of a checkpoint or a journal's frame.
    #[new]
    fn new(py: Python<'_>, target: &str) -> PyResult<Self> {
        let source = Source::parse(target)?;
        let Source::Region(target) = &source else {
            let loaded = py.detach(|| source.load())?;
            return Ok(Reader { source, reader: Mutex::new(loaded.map(SharedReader::from)) });
        };
        // SAFETY: regions belong to this user alone (mode 0600, the owner is checked), and their writers are programs
        // that use this library; whoever opens one vouches for both, as the package's documentation says.
        let reader = py.detach(|| unsafe { hypostyle::Reader::open(target) }).map_err(|error| of_snapshot(&error))?;
        Ok(Reader { source, reader: Mutex::new(Some(reader.into())) })
    }

    #[getter]
    fn name(&self) -> String {
        self.source.to_string()
    }

    /// Whether its state is a file's.
    #[getter]
    fn is_file(&self) -> bool {
        !matches!(self.source, Source::Region(_))
    }

    #[getter]
    fn closed(&self) -> bool {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn close(&self) {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn layout<'py>(&self, py: Python<'py>) -> PyResult<LayoutParts<'py>> {
        Ok(parts(py, self.reader()?.layout()))
    }

    /// What its maker noted; nothing of a file.
    fn notes(&self, py: Python<'_>) -> Vec<(String, String)> {
        match &self.source {
            Source::Region(target) => py.detach(|| hypostyle::regions::inspect(target)).notes,
            _ => Vec::new(),
        }
    }

    fn newest(&self) -> PyResult<u64> {
        Ok(self.reader()?.newest())
    }

    fn is_alive(&self, py: Python<'_>) -> PyResult<bool> {
        let reader = self.reader()?;
        if self.is_file() {
            return Ok(false);
        }
        py.detach(|| reader.is_alive()).map_err(|error| of_snapshot(&error))
    }

    fn leases(&self, py: Python<'_>) -> PyResult<Vec<Lease>> {
        let reader = self.reader()?;
        let leases = py.detach(|| reader.leases()).map_err(|error| of_snapshot(&error))?;
        Ok(leases.iter().map(|lease| (lease.index, lease.pid, lease.generation, lease.alive)).collect())
    }

    /// Pins the newest generation, or that of a frame.
    #[pyo3(signature = (frame))]
    fn pin(&self, py: Python<'_>, frame: Option<u64>) -> PyResult<Pin> {
        let reader = self.reader()?;
        let pinned = py.detach(|| match frame {
            None => reader.pin(),
            Some(frame) => reader.pin_frame(frame),
        });
        Ok(Pin::new(pinned.map_err(|error| of_snapshot(&error))?))
    }

    fn frames(&self) -> PyResult<Vec<u64>> {
        Ok(self.reader()?.frames().iter().map(|kept| kept.frame).collect())
    }

    /// A way to send inputs to its simulation.
    fn inputs(&self, py: Python<'_>) -> PyResult<InputSender> {
        let reader = self.reader()?;
        let sender = match self.is_file() {
            true => None,
            false => py.detach(|| reader.inputs()).map_err(|failed| of_input(&failed))?,
        };
        let none = || {
            let message = format!(
                "{} takes no inputs: start its run with inputs (`run --inputs`, `Simulation(..., inputs=[...])`)",
                self.source
            );
            error("NoInputsError", message)
        };
        sender.map(InputSender::new).ok_or_else(none)
    }

    /// Steers its run; None: it is not steerable, or has ended.
    fn steering(&self, py: Python<'_>) -> PyResult<Option<Steering>> {
        let reader = self.reader()?;
        if !self.is_alive(py)? {
            // one that was killed cannot say that it has ended
            return Ok(None);
        }
        let steering = py.detach(|| reader.steering()).map_err(|failed| of_input(&failed))?;
        Ok(steering.map(Steering::new))
    }

    /// Waits for a generation newer than `after`; None when the time is over.
    #[pyo3(signature = (after, seconds))]
    fn wait(&self, py: Python<'_>, after: u64, seconds: Option<f64>) -> PyResult<Option<u64>> {
        let reader = self.reader()?;
        let timeout = match seconds {
            None => Duration::MAX,
            Some(seconds) if seconds.is_nan() || seconds < 0.0 => {
                return Err(pyo3::exceptions::PyValueError::new_err("timeout is negative or not a number"));
            }
            Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
        };
        let begun = Instant::now();
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            if let Some(newest) = py.detach(|| reader.wait(after, left.min(LOOK))) {
                return Ok(Some(newest));
            }
            py.check_signals()?;
            // another thread may have closed it
            self.reader()?;
            if is_ending(py) {
                return Err(error("ClosedError", "the program ends, and nothing will be waited for".to_owned()));
            }
            if self.is_file() {
                let message =
                    format!("{} is a file: it has the generation {}, and no more", self.source, reader.newest());
                return Err(error("WriterGoneError", message));
            }
            if !py.detach(|| reader.is_alive()).map_err(|error| of_snapshot(&error))? {
                // Its last publication may have come in between.
                return match reader.wait(after, Duration::ZERO) {
                    Some(newest) => Ok(Some(newest)),
                    None => {
                        let newest = reader.newest();
                        let what = if newest == 0 {
                            "no generation was ever published".to_owned()
                        } else {
                            format!("its newest generation is {newest}, which can still be pinned")
                        };
                        Err(error("WriterGoneError", format!("nobody writes region {} any more; {what}", self.source)))
                    }
                };
            }
            if begun.elapsed() >= timeout {
                return Ok(None);
            }
        }
    }
}

/// Whether the main thread is through and waits for the others to end.
fn is_ending(py: Python<'_>) -> bool {
    let ending = || -> PyResult<bool> {
        let threading = py.import("threading")?;
        // told by its private name where it has one; the main thread counts as alive until the others have ended there
        let told = threading.getattr("_SHUTTING_DOWN").and_then(|told| told.extract()).unwrap_or(false);
        Ok(told || !threading.call_method0("main_thread")?.call_method0("is_alive")?.extract::<bool>()?)
    };
    ending().unwrap_or(false)
}

/// What can be told of all named regions, or of those in a directory.
#[pyfunction]
#[pyo3(signature = (directory=None))]
pub(crate) fn regions<'py>(
    py: Python<'py>,
    directory: Option<std::path::PathBuf>,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let list = py.detach(|| {
        directory.map_or_else(hypostyle::regions::list, |directory| hypostyle::regions::list_in(&directory))
    });
    list.map_err(|error| of_region(&error))?.iter().map(|info| dict(py, info)).collect()
}

/// The paths of the regions of a world that several ranks write under this name, by rank; None: it is no such world.
#[pyfunction]
pub(crate) fn ranks(py: Python<'_>, target: &str) -> PyResult<Option<Vec<String>>> {
    let Ok(Source::Region(target)) = Source::parse(target) else { return Ok(None) };
    let found = py.detach(|| match target.path()?.is_some_and(|path| path.exists()) {
        true => Ok(None),
        false => hypostyle::regions::ranks(&target),
    });
    let names = |parts: Vec<RegionInfo>| parts.into_iter().map(|part| part.name).collect();
    Ok(found.map_err(|error| of_region(&error))?.map(names))
}

/// Removes a region whose writer is gone.
#[pyfunction]
pub(crate) fn clean(py: Python<'_>, target: &str) -> PyResult<()> {
    let target: RegionTarget = target.parse().map_err(|error| of_region(&error))?;
    py.detach(|| hypostyle::regions::clean(&target)).map_err(|error| of_region(&error))
}

/// Removes what dead processes left and did not touch for so many seconds, and says what it was.
#[pyfunction]
#[pyo3(signature = (directory=None, older_than_seconds=0))]
pub(crate) fn clean_stale<'py>(
    py: Python<'py>,
    directory: Option<std::path::PathBuf>,
    older_than_seconds: u64,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let age = std::time::Duration::from_secs(older_than_seconds);
    let removed = py.detach(|| hypostyle::regions::clean_stale(directory.as_deref(), age));
    let told = |residue: &hypostyle::regions::Residue| {
        let dict = PyDict::new(py);
        dict.set_item("path", residue.path.display().to_string())?;
        dict.set_item("kind", residue.kind.to_string())?;
        dict.set_item("bytes", residue.bytes)?;
        dict.set_item("age_seconds", residue.age.as_secs_f64())?;
        Ok(dict)
    };
    removed.map_err(|error| of_region(&error))?.iter().map(told).collect()
}

fn dict<'py>(py: Python<'py>, info: &RegionInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &info.name)?;
    dict.set_item("path", info.path.display().to_string())?;
    dict.set_item("is_alive", info.alive)?;
    dict.set_item("is_kept", info.kept)?;
    dict.set_item("is_stale", info.is_stale())?;
    dict.set_item("writer_pid", info.writer_pid)?;
    dict.set_item("generation", info.generation)?;
    dict.set_item("frames", info.frames)?;
    dict.set_item("reader_pids", &info.reader_pids)?;
    dict.set_item("bytes_backed", info.bytes_backed)?;
    dict.set_item("bytes_max", info.bytes_max)?;
    dict.set_item("owner", info.owner_name())?;
    dict.set_item("error", &info.error)?;
    Ok(dict)
}
