//! A worker process's view of a region: all data read-only, and writable windows on what its job may write.
//!
//! Invariants: the data is mapped from a read-only descriptor; every window lies inside the backed data. Windows are
//! whole pages, so a small extent's window shows its neighbours in the page too. Which windows a worker may ask for
//! is decided by the jobs it gets: this file must never know systems or columns.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use super::error::RegionError;
use super::files::{DATA, RegionDirectory, TRACE};
use super::reader::SharedView;
use super::target::RegionTarget;
use crate::limits::{PAGE_BYTES, WINDOWS_MAX};
use crate::os::FileMap;
use crate::trace::Block;

/// A region as a worker process has it.
pub(crate) struct WorkerMap {
    view: SharedView,
    file: File,
    layout: Vec<u8>,
    layout_hash: u64,
    /// By first byte and length, in whole pages.
    windows: HashMap<(u64, u64), FileMap>,
}

impl WorkerMap {
    /// Opens the region in the directory `path`.
    ///
    /// # Errors
    /// Those of a reader.
    pub(crate) fn open(path: &Path) -> Result<Self, RegionError> {
        let (view, descriptor) = SharedView::open(RegionDirectory::open(&RegionTarget::from_path(path))?)?;
        let file = view.directory().file(DATA, true)?;
        Ok(WorkerMap {
            view,
            file,
            layout: descriptor.layout,
            layout_hash: descriptor.layout_hash,
            windows: HashMap::new(),
        })
    }

    /// The data's first byte. Stays where it is for life.
    #[inline]
    pub(crate) fn data(&self) -> *const u8 {
        self.view.data()
    }

    /// Bytes of data that may be touched.
    pub(crate) fn backed(&self) -> u64 {
        self.view.backed()
    }

    /// The encoded layout.
    pub(crate) fn layout_bytes(&self) -> &[u8] {
        &self.layout
    }

    /// The hash that came with the layout.
    pub(crate) fn layout_hash(&self) -> u64 {
        self.layout_hash
    }

    /// The part of the region's file `trace` that is a worker's ring.
    ///
    /// # Errors
    /// There is no such file, or it is shorter; what the system refuses.
    pub(crate) fn trace_ring(&self, offset: u64, bytes: u64) -> Result<Block, RegionError> {
        let directory = self.view.directory();
        let file = directory.file(TRACE, true)?;
        Block::file(&file, offset, bytes, true).map_err(RegionError::io("map a ring of", &directory.path.join(TRACE)))
    }

    /// The address at which `bytes` from `offset` on may be written. Valid until [`WorkerMap::trim_windows`].
    ///
    /// # Errors
    /// [`RegionError::OutOfBounds`] when the range is not backed; what the system refuses.
    pub(crate) fn window(&mut self, offset: u64, bytes: u64) -> Result<*mut u8, RegionError> {
        let backed = self.view.backed();
        let end = offset.checked_add(bytes).filter(|&end| bytes > 0 && end <= backed);
        let end = end.ok_or(RegionError::OutOfBounds { offset, bytes, backed })?;
        let first = offset & !(PAGE_BYTES - 1);
        // Backed data is whole pages, so rounding up stays inside.
        let length = end.next_multiple_of(PAGE_BYTES) - first;
        let start = match self.windows.get(&(first, length)) {
            Some(window) => window.as_mut_ptr(),
            None => {
                let size = usize::try_from(length).map_err(|_| RegionError::OutOfBounds { offset, bytes, backed })?;
                let map = FileMap::new(&self.file, first, size, true);
                let map = map.map_err(RegionError::io("map a window of", &self.view.directory().path))?;
                self.windows.entry((first, length)).or_insert(map).as_mut_ptr()
            }
        };
        Ok(start.wrapping_add((offset - first) as usize))
    }

    /// Forbids every look through the present windows, for life: their addresses are given to nobody again.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn revoke_windows(&mut self) -> std::io::Result<()> {
        self.windows.drain().try_for_each(|(_, window)| window.revoke())
    }

    /// Unmaps all windows if there are too many. No address of a window may be in use.
    pub(crate) fn trim_windows(&mut self) {
        if self.windows.len() > WINDOWS_MAX {
            self.windows.clear();
        }
    }
}
