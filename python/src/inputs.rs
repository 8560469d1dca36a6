//! Inputs to a running simulation.
#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use hypostyle::{InputError, InputSender as Sender};
use pyo3::prelude::*;

use crate::errors::{error, of_region};

pub(crate) fn of_input(failed: &InputError) -> PyErr {
    let class = match failed {
        InputError::Region(region) => return of_region(region),
        InputError::NoTarget { .. } | InputError::Undeclared { .. } => "UnknownNameError",
        InputError::Length { .. } | InputError::NotABool { .. } => "FieldValueError",
        InputError::Full | InputError::NoRing => "InputsFullError",
        InputError::Closed => "WriterGoneError",
        _ => "RegionError",
    };
    error(class, failed.to_string())
}

/// A ring of a simulation's mailbox.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct InputSender {
    /// None: closed.
    sender: Mutex<Option<Sender>>,
}

impl InputSender {
    pub(crate) fn new(sender: Sender) -> Self {
        InputSender { sender: Mutex::new(Some(sender)) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sender>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Sender) -> PyResult<T>) -> PyResult<T> {
        let closed = || error("ClosedError", "the sender of inputs was closed".to_owned());
        self.lock().as_mut().ok_or_else(closed).and_then(act)
    }
}

#[pymethods]
impl InputSender {
    fn names(&self) -> PyResult<Vec<String>> {
        self.with(|sender| Ok(sender.names().to_vec()))
    }

    fn is_current(&self) -> PyResult<bool> {
        self.with(|sender| Ok(sender.is_current()))
    }

    /// The position after it.
    fn send(&self, name: &str, payload: &[u8]) -> PyResult<u64> {
        self.with(|sender| sender.send(name, payload).map_err(|failed| of_input(&failed)))
    }

    /// Everything before this position is in that generation; None: that is not known.
    fn contained(&self, generation: u64) -> PyResult<Option<u64>> {
        self.with(|sender| Ok(sender.contained(generation)))
    }

    fn close(&self) {
        self.lock().take();
    }
}
