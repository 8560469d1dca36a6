//! Everything that is not Linux: what `std` can do, and honest refusals for the rest.
//!
//! Invariant: nothing here panics on a platform without clocks, processes or files (WebAssembly).
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::primitive::{AtomicU32, Ordering};

/// Forks are not counted here.
pub(super) fn forks_counted() -> u32 {
    0
}

/// A number that differs between a process and those that are forked off it, where there are any.
#[inline]
pub(crate) fn process_mark() -> u32 {
    super::pid()
}

/// Whether a file may be so long: not known here.
#[cfg(unix)]
pub(crate) fn check_file_limit(_end: u64) -> io::Result<()> {
    Ok(())
}

/// A limit that is in the way: none is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub name: &'static str,
    pub what: &'static str,
    pub requested: u64,
    pub available: u64,
    pub allowed: u64,
    pub hint: &'static str,
}

/// Bytes of address space that the process may still reserve: not known here.
pub(crate) fn address_space_left() -> Option<u64> {
    None
}

/// The limit that refuses memory: not known here.
pub(crate) fn limit_of_memory(_requested: u64) -> Option<Limit> {
    None
}

/// The limit that refuses files: not known here.
pub(crate) fn limit_of_files(_error: &io::Error, _end: u64) -> Option<Limit> {
    None
}

/// The limit of the process's group: not known here.
pub(crate) fn limit_of_group(_requested: u64) -> Option<Limit> {
    None
}

/// The name of a user: not known here.
pub(crate) fn user_name(_user: u32) -> Option<String> {
    None
}

/// Processes that hold a lock: nobody can be asked here.
#[cfg(unix)]
pub(crate) struct Holders;

#[cfg(unix)]
impl Holders {
    /// None are seen here.
    pub(crate) fn of(_file: &File, _byte: u64) -> Holders {
        Holders
    }

    /// None.
    pub(crate) fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Nobody.
    pub(crate) fn kill_workers(&self, _variable: &str) {}

    /// Not known.
    pub(crate) fn is_this_process(&self) -> bool {
        false
    }
}

/// How long one look at a waited-for word sleeps.
const POLL: Duration = Duration::from_micros(200);

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "shared regions need Linux"))
}

/// A part of a file in memory, shared with every process that maps it.
#[cfg(unix)]
pub(crate) struct FileMap(memmap2::MmapRaw);

#[cfg(unix)]
impl FileMap {
    /// Not possible here.
    pub(crate) fn revoke(self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Maps `len` bytes of a file from `offset` on. The file may be shorter.
    pub(crate) fn new(file: &File, offset: u64, len: usize, write: bool) -> io::Result<Self> {
        let mut options = memmap2::MmapOptions::new();
        options.offset(offset).len(len);
        Ok(FileMap(if write { options.map_raw(file)? } else { options.map_raw_read_only(file)? }))
    }

    /// The first byte.
    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Maps ahead: not here.
    pub(crate) fn populate(&self, _from: u64, _to: u64) -> io::Result<()> {
        unsupported()
    }

    /// Huge pages: none here.
    pub(crate) fn collapse(&self, _from: u64, _to: u64) -> bool {
        false
    }
}

/// Opens a file. On a platform without it, nothing can be done against waiting; what it is was looked at before.
pub(crate) fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// The names in an open directory: not here.
#[cfg(unix)]
pub(crate) fn names_in(_directory: &File) -> io::Result<Vec<(std::ffi::OsString, bool)>> {
    unsupported()
}

/// Backs the first page of every huge page of a range: there are none here.
#[cfg(unix)]
pub(crate) fn allocate_first_pages(_file: &File, _range: std::ops::Range<u64>) -> io::Result<()> {
    unsupported()
}

/// The directory that holds named regions: none here.
pub(crate) fn named_root() -> Option<&'static Path> {
    None
}

/// Lets this thread stand back, where that can be said of a thread: not here.
#[cfg(feature = "checkpoint")]
pub(crate) fn stand_back() {}

/// Nanoseconds since some moment, by a clock of this process that never runs backwards; 0 where there is none.
pub(crate) fn monotonic_ns() -> u64 {
    #[cfg(target_family = "wasm")]
    return super::host::now_ns();
    #[cfg(not(target_family = "wasm"))]
    {
        static BEGAN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        // never 0: that is no time
        u64::try_from(BEGAN.get_or_init(std::time::Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

/// The page size that the format assumes.
pub(crate) fn page_bytes() -> u64 {
    crate::limits::PAGE_BYTES
}

/// The effective user: not known here.
pub(crate) fn user_id() -> u32 {
    0
}

/// An id of this run of the operating system: not known here.
pub(crate) fn boot_id() -> [u8; 16] {
    [0; 16]
}

/// Sixteen random bytes: refused.
pub(crate) fn random_id() -> io::Result<[u8; 16]> {
    unsupported()
}

/// Bytes that the machine could still hand out: not known here.
pub(crate) fn memory_available_bytes() -> Option<u64> {
    None
}

/// Bytes of an open file.
#[cfg(unix)]
pub(crate) fn file_bytes(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// Bytes free in a file system: not known here.
pub(crate) fn space_available_bytes(_file: &File) -> Option<u64> {
    None
}

/// Opens a directory: refused.
pub(crate) fn open_directory(_path: &Path, _follow: bool) -> io::Result<File> {
    unsupported()
}

/// Makes a private directory: refused.
pub(crate) fn create_directory(_path: &Path) -> io::Result<()> {
    unsupported()
}

/// Opens a file of a directory: refused.
pub(crate) fn open_file(_directory: &File, _name: &str, _write: bool) -> io::Result<File> {
    unsupported()
}

/// Makes a private file: refused.
pub(crate) fn create_file(_directory: &File, _name: &str) -> io::Result<File> {
    unsupported()
}

/// Removes a file of a directory: refused.
pub(crate) fn remove_file(_directory: &File, _name: &str) -> io::Result<()> {
    unsupported()
}

/// Renames without replacing: refused.
pub(crate) fn rename_no_replace(_from: &Path, _to: &Path) -> io::Result<()> {
    unsupported()
}

/// Backs a range of a file: refused.
pub(crate) fn allocate_range(_file: &File, _offset: u64, _bytes: u64) -> io::Result<()> {
    unsupported()
}

/// Gives a range of a file back: cannot.
pub(crate) fn punch_hole(_file: &File, _offset: u64, _bytes: u64) -> io::Result<bool> {
    Ok(false)
}

/// Locks one byte: refused.
pub(crate) fn try_lock_byte(_file: &File, _byte: u64) -> io::Result<bool> {
    unsupported()
}

/// Releases one byte: refused.
pub(crate) fn unlock_byte(_file: &File, _byte: u64) -> io::Result<()> {
    unsupported()
}

/// Whether a byte is locked: refused.
pub(crate) fn is_byte_locked(_file: &File, _byte: u64) -> io::Result<bool> {
    unsupported()
}

/// Sleeps until the word is no longer `expected` or the time is over, by looking again and again. Where there are no
/// threads it looks once.
pub(crate) fn wait_word(word: &AtomicU32, expected: u32, timeout: Duration) {
    let begin = super::Instant::now();
    while super::can_sleep() && word.load(Ordering::Acquire) == expected && begin.elapsed() < timeout {
        std::thread::sleep(POLL.min(timeout));
    }
}

/// Wakes everyone that sleeps on the word: they look by themselves.
pub(crate) fn wake_word(_word: &AtomicU32) {}
