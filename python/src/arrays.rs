//! Arrays on the rows of jobs, kept from one job to the next: numpy takes microseconds to make one, and the same rows
//! come again with each frame.
//!
//! Invariants
//! - A kept array is nobody's: it is taken out for a job, which gives out views of it, and comes back only if none of
//!   those is left.
//! - Memory of a kept array is never looked at, whatever has become of it: a job takes one out by where its rows are.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use hypostyle::FieldType;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::memory::Memory;

/// Arrays that a thread keeps, at most: some hundred bytes each.
const KEPT_MAX: usize = 4096;

thread_local! {
    static KEPT: RefCell<HashMap<Place, Kept>> = RefCell::new(HashMap::new());
}

/// Where rows are, and what they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) address: usize,
    pub(crate) rows: usize,
    pub(crate) ty: FieldType,
    pub(crate) writable: bool,
}

struct Kept {
    array: Py<PyAny>,
    token: Weak<()>,
}

/// An array on a job's rows, for as long as that runs.
pub(crate) struct Lent {
    pub(crate) place: Place,
    kept: Kept,
}

impl Lent {
    /// An array on these rows.
    pub(crate) fn new(py: Python<'_>, place: Place) -> PyResult<Self> {
        static AS_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        if let Some(kept) = KEPT.with_borrow_mut(|all| all.remove(&place)) {
            return Ok(Lent { place, kept });
        }
        let token = Arc::new(());
        let memory = Memory::of_job(&token, place.ty, place.address, place.rows, place.writable);
        let as_array = AS_ARRAY.import(py, "numpy", "asarray")?;
        Ok(Lent { place, kept: Kept { array: as_array.call1((memory,))?.unbind(), token: Arc::downgrade(&token) } })
    }

    /// What a kernel gets: whoever changes its shape changes no other job's.
    pub(crate) fn view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.kept.array.bind(py).call_method0(intern!(py, "view"))
    }

    /// Whether somebody has a view of it: views hold the array that they are views of.
    #[expect(deprecated, reason = "its successor is unsafe")]
    pub(crate) fn is_held(&self, py: Python<'_>) -> bool {
        self.kept.array.get_refcnt(py) > 1
    }

    /// For the next job; where views of it are left, what tells when they are gone.
    pub(crate) fn back(self, py: Python<'_>) -> Option<Weak<()>> {
        if self.is_held(py) {
            return Some(self.kept.token);
        }
        let all = KEPT.with_borrow_mut(|kept| {
            let all = if kept.len() < KEPT_MAX { HashMap::new() } else { std::mem::take(kept) };
            kept.insert(self.place, self.kept);
            all
        });
        // outside of the borrow: what Python does at an object's end is its own affair
        drop(all);
        None
    }
}
