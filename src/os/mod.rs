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

/// Sandboxes of worker processes, where this build and platform have them.
#[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "sandbox", not(any(loom, miri))))]
pub(crate) mod sandbox;
#[cfg(not(all(target_os = "linux", target_pointer_width = "64", feature = "sandbox", not(any(loom, miri)))))]
#[path = "no_sandbox.rs"]
pub(crate) mod sandbox;

#[cfg(feature = "checkpoint")]
mod output;
#[cfg(feature = "checkpoint")]
pub(crate) use output::Output;
#[cfg(feature = "export")]
pub(crate) use output::write_whole;

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
        // one load, where forks are counted; elsewhere the mark is none that the count can be
        self.mark == forks_counted() || self.is_here_after_all()
    }

    #[cold]
    #[inline(never)]
    fn is_here_after_all(self) -> bool {
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

/// Opens a file to read: a regular one, also through a link. A FIFO, a socket, a device or a directory is an error at
/// once: nothing waits for its other end, or reads without end.
///
/// ```
/// # let path = std::env::temp_dir().join(format!("hypostyle-regular-{}", std::process::id()));
/// std::fs::write(&path, "f32")?;
/// assert_eq!(hypostyle::files::read_regular(&path, 1 << 20)?, b"f32");
/// assert!(hypostyle::files::open_regular(&std::env::temp_dir()).is_err());
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What the system refuses; [`InvalidInput`](std::io::ErrorKind::InvalidInput): it is another kind of file, and which.
pub fn open_regular(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    // a socket cannot be opened: say what it is
    let refused = std::fs::metadata(path).ok().and_then(|metadata| other_kind(metadata.file_type()));
    let wrong = |kind| {
        let what = format!("it is {kind}, not a regular file");
        Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, what))
    };
    if let Some(kind) = refused {
        return wrong(kind);
    }
    let file = open_without_waiting(path)?;
    // it may have become another one since
    match other_kind(file.metadata()?.file_type()) {
        Some(kind) => wrong(kind),
        None => Ok(file),
    }
}

/// Reads a regular file of at most `bytes_max` bytes.
///
/// # Errors
/// As [`open_regular`]; [`FileTooLarge`](std::io::ErrorKind::FileTooLarge): it has more bytes.
pub fn read_regular(path: &std::path::Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    open_regular(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let what = format!("it has more than {bytes_max} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

/// What a file is that is no regular one.
fn other_kind(kind: std::fs::FileType) -> Option<&'static str> {
    if kind.is_file() {
        return None;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return Some("a FIFO");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
    }
    Some(if kind.is_dir() { "a directory" } else { "a special file" })
}

/// A budget of bytes that this thread may still allocate in files: how tests run out of space on any machine.
#[cfg(test)]
pub(crate) mod inject {
    use std::cell::Cell;

    thread_local! {
        static SPACE_BYTES: Cell<Option<u64>> = const { Cell::new(None) };
        static ERRNO: Cell<Option<i32>> = const { Cell::new(None) };
    }

    /// From now on `fallocate` and `renameat2` answer this thread with an error number; `None`: as the system does.
    #[cfg(target_os = "linux")]
    pub(crate) fn fail_calls(errno: Option<i32>) {
        ERRNO.set(errno);
    }

    /// The error number that calls are to answer with.
    #[cfg(target_os = "linux")]
    pub(crate) fn errno() -> Option<i32> {
        ERRNO.get()
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
