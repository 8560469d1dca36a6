//! Handles: numbers that stand for what is open. They look like pointers to C and point nowhere, so that a handle that
//! was closed, or never opened, is found out and not followed. A number is never given twice.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use hypostyle::{OwnedSnapshot, SharedReader};

use crate::status::Failure;

/// An open region.
pub(crate) struct Region {
    pub reader: SharedReader,
    /// The layout as a file would declare it.
    pub toml: CString,
    /// `component.field` of all fields.
    pub columns: Vec<CString>,
}

/// A pinned generation.
pub(crate) struct Snapshot {
    pub pinned: OwnedSnapshot,
}

/// What is open, by number.
pub(crate) struct Table<T> {
    what: &'static str,
    open: RwLock<(usize, HashMap<usize, Arc<T>>)>,
}

pub(crate) static REGIONS: LazyLock<Table<Region>> = LazyLock::new(|| Table::new("region"));
pub(crate) static SNAPSHOTS: LazyLock<Table<Snapshot>> = LazyLock::new(|| Table::new("snapshot"));

/// Numbers are this far apart, so that no arithmetic on a handle leads to another.
const STEP: usize = 4096;

impl<T> Table<T> {
    fn new(what: &'static str) -> Self {
        Table { what, open: RwLock::new((0, HashMap::new())) }
    }

    /// Opens a handle. `H` is what C takes it to point to.
    pub(crate) fn insert<H>(&self, value: T) -> *mut H {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.0 += STEP;
        let number = open.0;
        open.1.insert(number, Arc::new(value));
        std::ptr::without_provenance_mut(number)
    }

    /// What a handle stands for. It stays whole while it is in use, whoever closes it meanwhile.
    pub(crate) fn get<H>(&self, handle: *const H) -> Result<Arc<T>, Failure> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.1.get(&handle.addr()).cloned().ok_or_else(|| self.unknown(handle))
    }

    /// Closes a handle.
    pub(crate) fn remove<H>(&self, handle: *const H) -> Result<Arc<T>, Failure> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.1.remove(&handle.addr()).ok_or_else(|| self.unknown(handle))
    }

    fn unknown<H>(&self, handle: *const H) -> Failure {
        let what = self.what;
        Failure::argument(if handle.is_null() {
            format!("the {what} is null")
        } else {
            format!("the {what} is not open: it was closed, or is none")
        })
    }
}
