//! A region in this process's address space, as its writer has it: data, control words and leases.
//!
//! Invariants: addresses are fixed for life; the data's reserved range is `bytes_max` long, of which the first
//! `backed()` bytes may be touched: there is memory behind them. What touches which of them is decided above.
#![expect(unsafe_code, reason = "sees the mapped control file as atomics")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

#[cfg(unix)]
use super::control::CONTROL_BYTES;
use super::control::Control;
use super::error::RegionError;
use super::heap::HeapData;
use super::lease::HeapLeases;
#[cfg(unix)]
use super::lease::SharedLeases;
use crate::limits::{PAGE_BYTES, REGION_BYTES_MIN};
use crate::trace::Block;

enum Backing {
    Heap {
        data: HeapData,
        control: Box<Control>,
        leases: HeapLeases,
    },
    #[cfg(unix)]
    Shared {
        data: crate::os::FileMap,
        control: ControlMap,
        leases: SharedLeases,
    },
}

/// The writer's view of a region's memory. Shared by whatever needs the bytes to stay mapped.
pub(crate) struct Mapping {
    backing: Backing,
    bytes_max: u64,
    /// Bytes of data that may be touched, as this process knows: it does not ask a word that others might write.
    backed: AtomicU64,
    /// The timeline of a private region, for readers in this process.
    trace: Mutex<Option<Arc<Block>>>,
    /// The mailbox of a private region, for senders in this process.
    inputs: Mutex<Option<Arc<Block>>>,
}

impl Mapping {
    /// Memory of a private region of up to `bytes_max` bytes; fewer where the platform cannot reserve.
    pub(super) fn heap(bytes_max: u64, data_bytes: u64) -> Result<Self, RegionError> {
        let bytes_max = super::heap::reservable_bytes(bytes_max);
        let data = HeapData::new(bytes_max)?;
        data.commit(data_bytes.min(bytes_max))?;
        let control = Control::zeroed();
        let data_bytes = data_bytes.min(bytes_max);
        control.initialise([0; 16], data_bytes);
        Ok(Mapping {
            backing: Backing::Heap { data, control, leases: HeapLeases::new() },
            bytes_max,
            backed: AtomicU64::new(data_bytes),
            trace: Mutex::default(),
            inputs: Mutex::default(),
        })
    }

    /// Maps the files of a shared region whose lengths were checked: `data`, which has `data_bytes` bytes, read-write for
    /// all of `bytes_max`.
    #[cfg(unix)]
    pub(super) fn shared(
        data: &std::fs::File,
        control: &std::fs::File,
        leases: std::fs::File,
        data_bytes: u64,
        bytes_max: u64,
    ) -> std::io::Result<Self> {
        let length = usize::try_from(bytes_max).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let data = crate::os::FileMap::new(data, 0, length, true)?;
        let control = ControlMap::new(control, true)?;
        let leases = SharedLeases::new(leases)?;
        Ok(Mapping {
            backing: Backing::Shared { data, control, leases },
            bytes_max,
            backed: AtomicU64::new(data_bytes.min(bytes_max)),
            trace: Mutex::default(),
            inputs: Mutex::default(),
        })
    }

    /// The data's first byte. Stays where it is for life.
    #[inline]
    pub(crate) fn data(&self) -> *mut u8 {
        match &self.backing {
            Backing::Heap { data, .. } => data.as_mut_ptr(),
            #[cfg(unix)]
            Backing::Shared { data, .. } => data.as_mut_ptr(),
        }
    }

    /// Puts every page of a part of the data, which is backed, into this process's page tables, ready to be written.
    pub(super) fn populate(&self, from: u64, to: u64) -> std::io::Result<()> {
        match &self.backing {
            Backing::Heap { data, .. } => data.populate(from, to),
            #[cfg(unix)]
            Backing::Shared { data, .. } => data.populate(from, to),
        }
    }

    /// Makes a private region's bytes up to here ready to be touched.
    ///
    /// # Errors
    /// The limit that is in the way.
    pub(super) fn commit(&self, to: u64) -> Result<(), RegionError> {
        match &self.backing {
            Backing::Heap { data, .. } => data.commit(to),
            #[cfg(unix)]
            Backing::Shared { .. } => Ok(()),
        }
    }

    /// The control words.
    #[inline]
    pub(crate) fn control(&self) -> &Control {
        match &self.backing {
            Backing::Heap { control, .. } => control,
            #[cfg(unix)]
            Backing::Shared { control, .. } => control.get(),
        }
    }

    /// Bytes of data that may be touched.
    #[inline(always)]
    pub(crate) fn backed(&self) -> u64 {
        // growth hands what lies there to others by other means, which order this
        self.backed.load(Ordering::Relaxed)
    }

    /// Says how many bytes may be touched, to this process and to readers: after growing, before shrinking.
    pub(super) fn set_backed(&self, bytes: u64) {
        assert!((PAGE_BYTES..=self.bytes_max).contains(&bytes), "the first page stays, and bytes_max is not passed");
        self.backed.store(bytes, Ordering::Relaxed);
        self.control().set_data_bytes(bytes);
    }

    /// The most bytes the data may have.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The words of a private region's timeline.
    pub(super) fn trace(&self) -> Option<Arc<Block>> {
        self.trace.lock().clone()
    }

    /// Replaces them.
    pub(super) fn set_trace(&self, trace: Option<Arc<Block>>) {
        *self.trace.lock() = trace;
    }

    /// The words of a private region's mailbox.
    pub(super) fn inputs(&self) -> Option<Arc<Block>> {
        self.inputs.lock().clone()
    }

    /// Replaces them.
    pub(super) fn set_inputs(&self, inputs: Option<Arc<Block>>) {
        *self.inputs.lock() = inputs;
    }

    pub(super) fn is_heap(&self) -> bool {
        matches!(self.backing, Backing::Heap { .. })
    }

    pub(super) fn heap_leases(&self) -> Option<&HeapLeases> {
        match &self.backing {
            Backing::Heap { leases, .. } => Some(leases),
            #[cfg(unix)]
            Backing::Shared { .. } => None,
        }
    }

    /// Appends the pins of all live readers.
    pub(super) fn pinned(&self, out: &mut Vec<u64>) {
        match &self.backing {
            Backing::Heap { leases, .. } => leases.pinned(out),
            #[cfg(unix)]
            Backing::Shared { leases, control, .. } => leases.pinned(control.get().published(), out),
        }
    }

    /// The process id of the reader that holds the oldest generation, and that generation.
    pub(super) fn oldest_reader(&self) -> Option<(u32, u64)> {
        match &self.backing {
            Backing::Heap { leases, .. } => leases.oldest(),
            #[cfg(unix)]
            Backing::Shared { leases, .. } => leases.oldest(),
        }
    }

    /// Whether there ever was a reader.
    pub(super) fn had_readers(&self) -> bool {
        match &self.backing {
            Backing::Heap { leases, .. } => leases.any_used(),
            #[cfg(unix)]
            Backing::Shared { leases, .. } => leases.any_used(),
        }
    }

    /// As [`Self::pinned`], with the published word's readers looked at, too.
    pub(super) fn pinned_by_living(&self, out: &mut Vec<u64>) {
        match &self.backing {
            Backing::Heap { leases, .. } => leases.pinned(out),
            #[cfg(unix)]
            Backing::Shared { leases, .. } => leases.pinned(0, out),
        }
    }

    /// Puts huge pages behind a shared region's data, from and to multiples of one, where the system has them.
    #[cfg(unix)]
    pub(super) fn collapse(&self, from: u64, to: u64) -> bool {
        match &self.backing {
            Backing::Heap { .. } => false,
            Backing::Shared { data, .. } => data.collapse(from, to),
        }
    }

    /// Gives a private region's pages back to the machine. False: nothing was given.
    ///
    /// # Safety
    /// Nobody uses the range during the call, nor relies on its contents after it.
    pub(super) unsafe fn discard(&self, offset: u64, bytes: u64) -> bool {
        match &self.backing {
            // SAFETY: the caller's duty is the callee's.
            Backing::Heap { data, .. } => unsafe { data.discard(offset, bytes) },
            #[cfg(unix)]
            Backing::Shared { .. } => false,
        }
    }
}

/// The mapped control file.
#[cfg(unix)]
pub(super) struct ControlMap {
    map: memmap2::MmapRaw,
}

#[cfg(unix)]
impl ControlMap {
    /// Maps a file of exactly [`CONTROL_BYTES`].
    pub(super) fn new(file: &std::fs::File, write: bool) -> std::io::Result<Self> {
        let mut options = memmap2::MmapOptions::new();
        options.len(CONTROL_BYTES as usize);
        Ok(ControlMap { map: if write { options.map_raw(file)? } else { options.map_raw_read_only(file)? } })
    }

    /// The words. Behind a read-only map nobody stores to them.
    #[inline]
    pub(super) fn get(&self) -> &Control {
        // SAFETY: the map is CONTROL_BYTES long, which is Control's size, page-aligned, backed, and lives as long as
        // `self`; Control is nothing but atomics, which any bytes are a value of.
        unsafe { &*self.map.as_mut_ptr().cast::<Control>() }
    }
}

/// `bytes_max` in whole pages, such as a region can have. In WebAssembly, where address space is memory, not more than a
/// private region reserves.
pub(super) fn whole_pages(bytes_max: u64) -> Result<u64, RegionError> {
    let bytes_max = if cfg!(target_family = "wasm") { super::heap::reservable_bytes(bytes_max) } else { bytes_max };
    let addressable = isize::MAX as u64 & !(PAGE_BYTES - 1);
    let rounded = bytes_max.max(REGION_BYTES_MIN).checked_next_multiple_of(PAGE_BYTES);
    rounded.filter(|&rounded| rounded <= addressable).ok_or(RegionError::Unaddressable { bytes_max, addressable })
}
