//! Column memory as jobs see it: on main and threads the writer's mapping, in a worker process a read-only mapping
//! with writable windows.
//!
//! Every range is checked against the data segment before an address is made of it.
#![expect(unsafe_code, reason = "offsets become addresses of mapped memory")]

use std::sync::Arc;

use crate::region::Mapping;
#[cfg(unix)]
use crate::region::WorkerMap;

/// Where a job's columns are.
pub(crate) enum JobMemory {
    /// The writer's own mapping.
    Shared(Arc<Mapping>),
    /// A worker process's.
    #[cfg(unix)]
    Worker(Box<parking_lot::Mutex<WorkerMap>>),
}

impl JobMemory {
    fn check(offset: u64, bytes: u64, backed: u64) -> Result<usize, String> {
        match offset.checked_add(bytes) {
            Some(end) if end <= backed => Ok(offset as usize),
            _ => Err(format!("bytes {offset}+{bytes} lie outside the {backed} bytes of the region's data")),
        }
    }

    /// The address of bytes to read.
    pub(crate) fn read(&self, offset: u64, bytes: u64) -> Result<*const u8, String> {
        match self {
            JobMemory::Shared(mapping) => {
                let offset = Self::check(offset, bytes, mapping.backed())?;
                // SAFETY: inside the mapping (checked).
                Ok(unsafe { mapping.data().add(offset) }.cast_const())
            }
            #[cfg(unix)]
            JobMemory::Worker(map) => {
                let map = map.lock();
                let offset = Self::check(offset, bytes, map.backed())?;
                // SAFETY: inside the mapping (checked); the mapping lives as long as the process.
                Ok(unsafe { map.data().add(offset) })
            }
        }
    }

    /// The address of the byte `skip` of a column of `bytes` that may be written. One window shows a column as a whole.
    pub(crate) fn write(&self, offset: u64, bytes: u64, skip: u64) -> Result<*mut u8, String> {
        if skip >= bytes {
            return Err(format!("byte {skip} lies outside a column of {bytes}"));
        }
        match self {
            JobMemory::Shared(mapping) => {
                let offset = Self::check(offset, bytes, mapping.backed())?;
                // SAFETY: inside the mapping (checked, with `skip` inside the column).
                Ok(unsafe { mapping.data().add(offset + skip as usize) })
            }
            #[cfg(unix)]
            JobMemory::Worker(map) => {
                let mut map = map.lock();
                Self::check(offset, bytes, map.backed())?;
                let start = map.window(offset, bytes).map_err(|error| error.to_string())?;
                Ok(start.wrapping_add(skip as usize))
            }
        }
    }

    /// Makes addresses to write that were given out useless, for life: a caller that kept one cannot touch the world by it. False: that
    /// is not possible here, as main's own memory lies there.
    pub(crate) fn revoke(&self) -> Result<bool, String> {
        match self {
            JobMemory::Shared(_) => Ok(false),
            #[cfg(unix)]
            JobMemory::Worker(map) => match map.lock().revoke_windows() {
                Ok(()) => Ok(true),
                Err(error) => Err(format!("windows on the world could not be closed: {error}")),
            },
        }
    }

    /// Lets go of windows that are no longer used, between batches.
    pub(crate) fn trim(&self) {
        #[cfg(unix)]
        if let JobMemory::Worker(map) = self {
            map.lock().trim_windows();
        }
    }
}
