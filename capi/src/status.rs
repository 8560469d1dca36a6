//! How functions end: a status for the program, a sentence for people, and never a panic.
#![expect(unsafe_code, reason = "exports symbols")]

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use hypostyle::{RegionError, SnapshotError};

/// The result of a function.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum hypostyle_status {
    /// Success.
    Ok = 0,
    /// An argument is null, not UTF-8, a handle that is closed, or a number out of range.
    BadArgument = 1,
    /// There is no such region, or it was removed.
    NotFound = 2,
    /// The region has no generation yet: wait for one.
    NothingPublished = 3,
    /// The timeout ended, and no newer generation was published.
    Timeout = 4,
    /// The writer has exited, and no newer generation was published. The last one can still be pinned and read.
    WriterGone = 5,
    /// The layout has no component, field or resource of this name.
    UnknownName = 6,
    /// The table lacks the component, the resource has no value, or the entity is dead.
    Absent = 7,
    /// All leases of the region are taken by readers.
    NoLease = 8,
    /// The region is damaged, of another version, or not this user's.
    BadRegion = 9,
    /// An error of the operating system.
    System = 10,
    /// A fault of this library. The caller's handles and memory are still valid.
    Internal = 11,
    /// Another thread closed the region while this one waited.
    Closed = 12,
    /// `hypostyle_interrupt` was called while this thread waited.
    Interrupted = 13,
}

/// A failure on its way out.
pub(crate) struct Failure {
    status: hypostyle_status,
    message: String,
}

impl Failure {
    pub(crate) fn new(status: hypostyle_status, message: impl Into<String>) -> Self {
        Failure { status, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Failure::new(hypostyle_status::BadArgument, message)
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        let status = match &error {
            SnapshotError::NothingPublished => hypostyle_status::NothingPublished,
            SnapshotError::NotKept { .. } => hypostyle_status::NotFound,
            SnapshotError::UnknownColumn { .. } | SnapshotError::UnknownResource { .. } => {
                hypostyle_status::UnknownName
            }
            SnapshotError::NoList { .. } => hypostyle_status::BadArgument,
            SnapshotError::Scratch { .. } => hypostyle_status::Absent,
            SnapshotError::Region(region) => match region {
                RegionError::BadName { .. } => hypostyle_status::BadArgument,
                RegionError::NotFound { .. } => hypostyle_status::NotFound,
                RegionError::NoLease => hypostyle_status::NoLease,
                RegionError::Io { .. } | RegionError::NoSpace { .. } | RegionError::Unaddressable { .. } => {
                    hypostyle_status::System
                }
                _ => hypostyle_status::BadRegion,
            },
            _ => hypostyle_status::BadRegion,
        };
        Failure::new(status, error.to_string())
    }
}

impl From<RegionError> for Failure {
    fn from(error: RegionError) -> Self {
        SnapshotError::from(error).into()
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// Runs a function's body; its failure or panic becomes a status and this thread's message.
pub(crate) fn guard(body: impl FnOnce() -> Result<(), Failure>) -> hypostyle_status {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return hypostyle_status::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Failure::new(hypostyle_status::Internal, format!("a fault of the library: {text}"))
        }
    };
    remember(&failure.message);
    failure.status
}

/// The same for a function that gives its value back; `otherwise` where it fails.
pub(crate) fn guard_value<T>(otherwise: T, body: impl FnOnce() -> Result<T, Failure>) -> T {
    let mut value = otherwise;
    guard(|| {
        value = body()?;
        Ok(())
    });
    value
}

fn remember(message: &str) {
    let bytes: Vec<u8> = message.bytes().filter(|byte| *byte != 0).collect();
    // No zero is left in it; and where the thread is ending there is nobody to read it.
    if let Ok(text) = CString::new(bytes) {
        let _ = LAST_ERROR.try_with(|last| last.replace(text));
    }
}

/// The error message of this thread's last call that failed; empty if none did. Valid until the thread's next call that
/// fails, or until the thread ends.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        let status = guard(|| panic!("on purpose"));
        assert_eq!(status, hypostyle_status::Internal);
        LAST_ERROR.with(|last| {
            assert_eq!(last.borrow().to_str(), Ok("a fault of the library: on purpose"));
        });
        assert_eq!(guard_value(7, || panic!("again")), 7);
        assert_eq!(guard(|| Err(Failure::argument("a\0b"))), hypostyle_status::BadArgument);
        LAST_ERROR.with(|last| assert_eq!(last.borrow().to_str(), Ok("ab")));
    }
}
