//! Opening other processes' regions, and those of the command line.
#![expect(unsafe_code, reason = "opening a region is a promise about its writer")]

use hypostyle::{Reader, RegionTarget, SnapshotError};

/// Opens a region of another process.
///
/// # Errors
/// As [`Reader::open`].
pub(crate) fn open(target: &RegionTarget) -> Result<Reader, SnapshotError> {
    // SAFETY: regions belong to this user alone (mode 0600, the owner is checked), and their writers are programs that
    // use this library; the user of the command vouches for both.
    unsafe { Reader::open(target) }
}
