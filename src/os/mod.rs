//! Every system call of the engine, behind functions that say what they do and not which call does it.
//!
//! Linux is the platform that counts ([`linux`]). Everywhere else [`portable`] answers with what `std` can do, or with
//! an [`io::ErrorKind::Unsupported`](std::io::ErrorKind::Unsupported) error: private (heap) regions work there, shared
//! ones do not.
//!
//! This module must never know what the bytes mean: it sees files, paths, offsets and words.

mod host;
#[cfg(target_family = "wasm")]
pub use host::{Host, set_host};
pub(crate) use host::{Instant, can_sleep, cores};
#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
mod wasm;
#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
pub(crate) use wasm::{sleep_on, wake};

#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod holders;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod limits;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod linux;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod map;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub(crate) use holders::Holders;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub(crate) use limits::*;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub(crate) use linux::*;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub(crate) use map::FileMap;

#[cfg(not(all(target_os = "linux", not(any(loom, miri)))))]
mod portable;
#[cfg(not(all(target_os = "linux", not(any(loom, miri)))))]
pub(crate) use portable::*;

/// Bytes of a huge page.
pub(crate) const HUGE_PAGE_BYTES: u64 = 2 << 20;

/// This process's id, for display and for telling a forked child from its parent; 0 where there are no processes.
pub(crate) fn pid() -> u32 {
    if cfg!(target_family = "wasm") { 0 } else { std::process::id() }
}

/// The process that made something, told from those that are forked off it: they have copies of all that it has, and what
/// is behind the copies is not theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Maker {
    mark: u32,
    pid: u32,
}

impl Maker {
    /// This process.
    pub(crate) fn this() -> Self {
        Maker { mark: process_mark(), pid: pid() }
    }

    /// Whether this process is the maker.
    #[inline]
    pub(crate) fn is_here(self) -> bool {
        self.mark == process_mark()
    }

    /// Its process id.
    pub(crate) fn pid(self) -> u32 {
        self.pid
    }
}

/// Nanoseconds since 1970, for display only; 0 where there is no clock.
pub(crate) fn unix_time_ns() -> u64 {
    if cfg!(target_family = "wasm") {
        return 0;
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether an error says that there is no room: on the device, in the quota, or under the file size limit.
pub(crate) fn is_no_space(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// A budget of bytes that this thread may still allocate in files: how tests run out of space on any machine.
#[cfg(test)]
pub(crate) mod inject {
    use std::cell::Cell;

    thread_local! {
        static SPACE_BYTES: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From now on this thread's files may grow by `bytes` in all; `None` lifts the limit.
    pub(crate) fn limit_space(bytes: Option<u64>) {
        SPACE_BYTES.set(bytes);
    }

    /// Takes `bytes` from the budget.
    pub(crate) fn take_space(bytes: u64) -> std::io::Result<()> {
        match SPACE_BYTES.get() {
            Some(left) if left < bytes => Err(std::io::ErrorKind::StorageFull.into()),
            left => {
                SPACE_BYTES.set(left.map(|left| left - bytes));
                Ok(())
            }
        }
    }
}
