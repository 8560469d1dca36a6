//! Steering of a run: three words of its mailbox.
#![forbid(unsafe_code)]

use pyo3::prelude::*;

use crate::errors::error;

/// How a run is steered, and what steers it.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Steering(hypostyle::Steering);

impl Steering {
    pub(crate) fn new(steering: hypostyle::Steering) -> Self {
        Steering(steering)
    }

    /// The words of a run that goes on.
    fn current(&self) -> PyResult<&hypostyle::Steering> {
        match self.0.is_closed() {
            true => Err(error("WriterGoneError", "the run has ended: nobody is there to be steered".to_owned())),
            false => Ok(&self.0),
        }
    }
}

#[pymethods]
impl Steering {
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn is_paused(&self) -> bool {
        self.0.is_paused()
    }

    fn pace(&self) -> Option<f64> {
        self.0.pace()
    }

    fn pause(&self) -> PyResult<()> {
        self.current().map(hypostyle::Steering::pause)
    }

    fn resume(&self) -> PyResult<()> {
        self.current().map(hypostyle::Steering::resume)
    }

    fn step(&self, frames: u64) -> PyResult<()> {
        self.current().map(|steering| steering.step(frames))
    }

    #[pyo3(signature = (pace))]
    fn set_pace(&self, pace: Option<f64>) -> PyResult<()> {
        self.current().map(|steering| steering.set_pace(pace))
    }

    fn take_steps(&self, most: u64) -> u64 {
        self.0.take_steps(most)
    }
}
