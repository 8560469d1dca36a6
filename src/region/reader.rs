//! A reader's view of a region: data and control words, read-only, and leases to pin with.
//!
//! Invariants: data and control are mapped from read-only descriptors, so nothing here can make them writable; the
//! only bytes a reader stores to are its leases'. The data may be read below [`ReaderMap::backed`], and believed only
//! where a pinned generation names it. That the writer keeps to the protocol (and never cuts the file under a pin) is
//! what a reader has to trust; everything else is checked.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::control::Control;
use super::error::RegionError;
use super::lease::{Lease, LeaseInfo};
use super::mapping::Mapping;
use super::target::RegionTarget;
use crate::trace::Block;

/// The words of a mailbox, and its file where it is one.
pub(crate) type MailboxParts = (Arc<Block>, Option<std::fs::File>);

enum View {
    Heap(Arc<Mapping>),
    #[cfg(unix)]
    Shared(SharedView),
}

/// A region, read-only.
pub(crate) struct ReaderMap {
    view: View,
    target: RegionTarget,
    layout: Arc<[u8]>,
    layout_hash: u64,
}

impl ReaderMap {
    /// Opens a shared region, whether its writer lives or not.
    ///
    /// # Errors
    /// [`RegionError::NotFound`]; a damaged, foreign or future region.
    #[cfg(unix)]
    pub(crate) fn open(target: &RegionTarget) -> Result<Self, RegionError> {
        let (view, descriptor) = SharedView::open(super::files::RegionDirectory::open(target)?)?;
        Ok(ReaderMap {
            view: View::Shared(view),
            target: target.clone(),
            layout: descriptor.layout.into(),
            layout_hash: descriptor.layout_hash,
        })
    }

    /// Opens a shared region: not on this platform.
    ///
    /// # Errors
    /// Always [`RegionError::Unsupported`].
    #[cfg(not(unix))]
    pub(crate) fn open(_target: &RegionTarget) -> Result<Self, RegionError> {
        Err(RegionError::Unsupported { what: "a shared region" })
    }

    /// Another view of the same region.
    ///
    /// # Errors
    /// As [`ReaderMap::open`].
    pub(crate) fn again(&self) -> Result<Self, RegionError> {
        match &self.view {
            View::Heap(mapping) => Ok(Self::of_heap(mapping.clone(), self.layout.clone(), self.layout_hash)),
            #[cfg(unix)]
            View::Shared(_) => Self::open(&self.target),
        }
    }

    /// A view of a private region of this process.
    pub(super) fn of_heap(mapping: Arc<Mapping>, layout: Arc<[u8]>, layout_hash: u64) -> Self {
        ReaderMap { view: View::Heap(mapping), target: RegionTarget::Heap, layout, layout_hash }
    }

    /// The data's first byte. Stays where it is for life.
    #[inline]
    pub(crate) fn data(&self) -> *const u8 {
        match &self.view {
            View::Heap(mapping) => mapping.data().cast_const(),
            #[cfg(unix)]
            View::Shared(view) => view.data(),
        }
    }

    /// Bytes of data that may be touched.
    pub(crate) fn backed(&self) -> u64 {
        match &self.view {
            View::Heap(mapping) => mapping.backed(),
            #[cfg(unix)]
            View::Shared(view) => view.backed(),
        }
    }

    /// The control words. Only to be loaded, with the methods of [`Control`] or relaxed: they are read-only memory.
    #[inline]
    pub(crate) fn control(&self) -> &Control {
        match &self.view {
            View::Heap(mapping) => mapping.control(),
            #[cfg(unix)]
            View::Shared(view) => view.control(),
        }
    }

    /// The encoded layout.
    pub(crate) fn layout_bytes(&self) -> &[u8] {
        &self.layout
    }

    /// The hash that came with the layout.
    pub(crate) fn layout_hash(&self) -> u64 {
        self.layout_hash
    }

    /// Whether the region has a writer at this moment.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn is_alive(&self) -> Result<bool, RegionError> {
        match &self.view {
            View::Heap(_) => Ok(true),
            #[cfg(unix)]
            View::Shared(view) => match view.directory().is_alive() {
                Err(RegionError::NotFound { .. }) => Ok(false),
                answer => answer,
            },
        }
    }

    /// The leases of all readers.
    ///
    /// # Errors
    /// What the system refuses; [`RegionError::NotFound`] when the region was removed.
    pub(crate) fn leases(&self) -> Result<Vec<LeaseInfo>, RegionError> {
        match &self.view {
            View::Heap(mapping) => Ok(mapping.heap_leases().map(|leases| leases.infos()).unwrap_or_default()),
            #[cfg(unix)]
            View::Shared(view) => view.leases(),
        }
    }

    /// The words of the timeline; none: there is none.
    ///
    /// # Errors
    /// What the system refuses; [`RegionError::NotFound`] when the region was removed.
    pub(crate) fn trace(&self) -> Result<Option<Arc<Block>>, RegionError> {
        match &self.view {
            View::Heap(mapping) => Ok(mapping.trace()),
            #[cfg(unix)]
            View::Shared(view) => {
                Ok(view.directory().optional(super::files::TRACE, false)?.map(|(block, _)| Arc::new(block)))
            }
        }
    }

    /// The mailbox's words, to be written to, and its file where it is one; none: there is none.
    ///
    /// # Errors
    /// What the system refuses; [`RegionError::NotFound`] when the region was removed.
    pub(crate) fn inputs(&self) -> Result<Option<MailboxParts>, RegionError> {
        match &self.view {
            View::Heap(mapping) => Ok(mapping.inputs().map(|block| (block, None))),
            #[cfg(unix)]
            View::Shared(view) => {
                let found = view.directory().optional(super::files::INPUTS, true)?;
                Ok(found.map(|(block, file)| (Arc::new(block), Some(file))))
            }
        }
    }

    /// Whether the region's mailbox is still this one.
    pub(crate) fn has_inputs(&self, block: &Arc<Block>, file: Option<&std::fs::File>) -> bool {
        match &self.view {
            View::Heap(mapping) => file.is_none() && mapping.inputs().is_some_and(|now| Arc::ptr_eq(&now, block)),
            #[cfg(unix)]
            View::Shared(view) => file.is_some_and(|file| view.directory().has(super::files::INPUTS, file)),
        }
    }

    /// Says that somebody waits for generations. Where it cannot be said, waiting takes longer and is no worse.
    pub(crate) fn announce(&self) {
        match &self.view {
            View::Heap(mapping) => {
                if let Some(leases) = mapping.heap_leases() {
                    leases.announce();
                }
            }
            #[cfg(unix)]
            View::Shared(view) => {
                if let Err(error) = view.announce() {
                    tracing::debug!(%error, "the writer does not know that this reader waits");
                }
            }
        }
    }

    /// A lease of this reader's own; it may have many.
    ///
    /// # Errors
    /// [`RegionError::NoLease`] when all are taken; [`RegionError::NotFound`] when the region was removed.
    pub(crate) fn take_lease(&self) -> Result<Lease, RegionError> {
        match &self.view {
            View::Heap(mapping) => Lease::of_heap(mapping.clone()),
            #[cfg(unix)]
            View::Shared(view) => view.take_lease(),
        }
    }
}

#[cfg(unix)]
pub(super) use shared::SharedView;

#[cfg(unix)]
mod shared {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use crate::os::{self, FileMap};
    use crate::primitive::{AtomicU64, Ordering};
    use crate::region::control::Control;
    use crate::region::error::RegionError;
    use crate::region::files::{DATA, LEASES, RegionDirectory};
    use crate::region::header::Descriptor;
    use crate::region::lease::{LEASES_BYTES, Lease, LeaseInfo, lease_infos};
    use crate::region::mapping::ControlMap;

    /// A shared region's data and control words, read-only.
    pub(in crate::region) struct SharedView {
        directory: RegionDirectory,
        data: FileMap,
        file: File,
        control: ControlMap,
        bytes_max: u64,
        /// The file was seen to have this many bytes.
        seen_bytes: AtomicU64,
    }

    impl SharedView {
        pub(in crate::region) fn open(directory: RegionDirectory) -> Result<(Self, Descriptor), RegionError> {
            let descriptor = directory.descriptor()?;
            let control = directory.control(&descriptor)?;
            let bytes_max = descriptor.bytes_max;
            let file = directory.data(false, control.get().data_bytes(), bytes_max)?;
            let length = usize::try_from(bytes_max)
                .map_err(|_| RegionError::Unaddressable { bytes_max, addressable: isize::MAX as u64 })?;
            let path = directory.path.join(DATA);
            let data = FileMap::new(&file, 0, length, false).map_err(RegionError::io("map", &path))?;
            let view = SharedView { directory, data, file, control, bytes_max, seen_bytes: AtomicU64::new(0) };
            Ok((view, descriptor))
        }

        #[inline]
        pub(in crate::region) fn data(&self) -> *const u8 {
            self.data.as_mut_ptr().cast_const()
        }

        #[inline]
        pub(in crate::region) fn control(&self) -> &Control {
            self.control.get()
        }

        pub(in crate::region) fn directory(&self) -> &RegionDirectory {
            &self.directory
        }

        /// What the control words say, as far as the file bears it out.
        pub(in crate::region) fn backed(&self) -> u64 {
            let said = self.control().data_bytes().min(self.bytes_max);
            if said <= self.seen_bytes.load(Ordering::Relaxed) {
                return said;
            }
            let seen = os::file_bytes(&self.file).unwrap_or(0);
            self.seen_bytes.store(seen, Ordering::Relaxed);
            said.min(seen)
        }

        pub(in crate::region) fn leases(&self) -> Result<Vec<LeaseInfo>, RegionError> {
            let path = self.directory.path.join(LEASES);
            let file = self.directory.sized_file(LEASES, false, LEASES_BYTES)?;
            let mut pages = vec![0; LEASES_BYTES as usize];
            file.read_exact_at(&mut pages, 0).map_err(RegionError::io("read", &path))?;
            // Where locks cannot be asked for, a lease with a process id counts as taken.
            Ok(lease_infos(&pages, |index| os::is_byte_locked(&file, index as u64).unwrap_or(true)))
        }

        pub(in crate::region) fn announce(&self) -> Result<(), RegionError> {
            let file = self.directory.sized_file(LEASES, true, LEASES_BYTES)?;
            Lease::announce(&file).map_err(RegionError::io("map", &self.directory.path.join(LEASES)))
        }

        pub(in crate::region) fn take_lease(&self) -> Result<Lease, RegionError> {
            // A lock belongs to an open file: each lease opens the file for itself.
            let file = self.directory.sized_file(LEASES, true, LEASES_BYTES)?;
            Lease::of_file(file, &self.directory.path.join(LEASES))
        }
    }
}
