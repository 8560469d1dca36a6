//! Regions: open, wait, ask, close.
#![expect(unsafe_code, reason = "exports symbols, and follows the caller's pointers")]

use std::ffi::c_char;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hypostyle::{Reader, RegionTarget, SharedReader};

use crate::handles::{REGIONS, Region};
use crate::status::{Failure, guard, guard_value, hypostyle_status};
use crate::text::{c_string, check, put, text};

/// A reader of an open region: a simulation's shared memory, read-only.
#[allow(non_camel_case_types)]
pub struct hypostyle_reader {
    _opaque: [u8; 0],
}

/// How long a wait goes without looking whether the writer lives, the region is open, and nobody interrupts.
const LOOK: Duration = Duration::from_millis(100);

/// How often waits were interrupted.
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// The version of this library, as `major.minor.patch`.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Opens a region: a name, or a directory's path (anything with a `/` or a leading `.`). Its writer may be live or
/// not. Close it with `hypostyle_close`.
///
/// # Safety
/// `target` is null or zero-terminated, `region` null or writable. The region's writer keeps to the protocol: regions
/// belong to one user (mode 0600), and nobody else writes to their files.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_open(target: *const c_char, region: *mut *mut hypostyle_reader) -> hypostyle_status {
    guard(|| {
        check(region, "region")?;
        // SAFETY: the caller's duty.
        let target: RegionTarget = unsafe { text(target, "target") }?.parse()?;
        // SAFETY: the caller vouches for the writer.
        let reader = SharedReader::from(unsafe { Reader::open(&target) }?);
        let layout = reader.layout();
        let names = layout.components().iter().flat_map(|component| {
            component.published_fields().iter().map(|field| c_string(&format!("{}.{}", component.name, field.name)))
        });
        let columns = names.collect();
        let toml = c_string(&layout.to_toml());
        let handle = REGIONS.insert(Region { reader, toml, columns });
        // SAFETY: checked, and the caller's duty.
        unsafe { put(region, handle) };
        Ok(())
    })
}

/// Closes a reader. Its snapshots stay pinned and valid until they are released. Waits of other threads on it end within
/// a fraction of a second, with HYPOSTYLE_STATUS_CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_close(region: *mut hypostyle_reader) -> hypostyle_status {
    guard(|| REGIONS.remove(region).map(drop))
}

/// The newest published generation; 0: none yet (or a region that is not open).
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_newest(region: *const hypostyle_reader) -> u64 {
    guard_value(0, || Ok(REGIONS.get(region)?.reader.newest()))
}

/// Whether the region has a live writer.
///
/// # Safety
/// `alive` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_is_alive(region: *const hypostyle_reader, alive: *mut bool) -> hypostyle_status {
    guard(|| {
        check(alive, "alive")?;
        let answer = REGIONS.get(region)?.reader.is_alive()?;
        // SAFETY: checked, and the caller's duty.
        unsafe { put(alive, answer) };
        Ok(())
    })
}

/// Waits until a generation newer than `after` is published, and writes the newest one to `generation` (which may be
/// null). It ends with HYPOSTYLE_STATUS_TIMEOUT after `timeout_seconds` (INFINITY: never), and with
/// HYPOSTYLE_STATUS_WRITER_GONE as soon as the region has no writer. Another thread ends the wait with `hypostyle_close`
/// (HYPOSTYLE_STATUS_CLOSED), another thread or a signal handler with `hypostyle_interrupt`
/// (HYPOSTYLE_STATUS_INTERRUPTED).
///
/// # Safety
/// `generation` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_wait(
    region: *const hypostyle_reader,
    after: u64,
    timeout_seconds: f64,
    generation: *mut u64,
) -> hypostyle_status {
    guard(|| {
        if !generation.is_null() {
            check(generation, "generation")?;
        }
        if timeout_seconds.is_nan() || timeout_seconds < 0.0 {
            return Err(Failure::argument("timeout_seconds is negative or not a number"));
        }
        let timeout = Duration::try_from_secs_f64(timeout_seconds).unwrap_or(Duration::MAX);
        let interrupts = INTERRUPTS.load(Ordering::Relaxed);
        let opened = REGIONS.get(region)?;
        let newest = wait(&opened.reader, after, timeout, || {
            if REGIONS.get(region).is_err() {
                let message = "the region was closed while it was waited for";
                return Err(Failure::new(hypostyle_status::Closed, message));
            }
            if INTERRUPTS.load(Ordering::Relaxed) != interrupts {
                return Err(Failure::new(hypostyle_status::Interrupted, "the wait was interrupted"));
            }
            Ok(())
        })?;
        if !generation.is_null() {
            // SAFETY: checked, and the caller's duty.
            unsafe { put(generation, newest) };
        }
        Ok(())
    })
}

/// Ends every `hypostyle_wait` that is in progress in this process, within a fraction of a second. One that begins later
/// is not ended: a program that is told to end by a signal sets a flag of its own too, and looks at it before it waits
/// again. May be called from a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_interrupt() {
    // nothing but an atomic: a handler may have stopped a thread anywhere
    INTERRUPTS.fetch_add(1, Ordering::Relaxed);
}

fn wait(
    reader: &SharedReader,
    after: u64,
    timeout: Duration,
    go_on: impl Fn() -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let begun = Instant::now();
    loop {
        let left = timeout.saturating_sub(begun.elapsed());
        if let Some(newest) = reader.wait(after, left.min(LOOK)) {
            return Ok(newest);
        }
        go_on()?;
        if !reader.is_alive()? {
            // Its last publication may have come in between.
            return reader.wait(after, Duration::ZERO).ok_or_else(|| {
                let newest = reader.newest();
                let message = format!("nobody writes the region any more; its newest generation is {newest}");
                Failure::new(hypostyle_status::WriterGone, message)
            });
        }
        if begun.elapsed() >= timeout {
            let message = format!("no generation after {after} was published in {timeout:?}");
            return Err(Failure::new(hypostyle_status::Timeout, message));
        }
    }
}

/// The region's layout as a layout file declares it (TOML): components, fields, types, resources. Null if the region
/// is not open. Valid until the region is closed.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_layout_toml(region: *const hypostyle_reader) -> *const c_char {
    guard_value(std::ptr::null(), || Ok(REGIONS.get(region)?.toml.as_ptr()))
}

/// Number of columns that the layout declares; 0 if the region is not open.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_column_count(region: *const hypostyle_reader) -> u32 {
    guard_value(0, || Ok(REGIONS.get(region)?.columns.len() as u32))
}

/// The name of a declared column (`position.x`); null beyond the last. Valid until the region is closed.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_column_name(region: *const hypostyle_reader, index: u32) -> *const c_char {
    guard_value(std::ptr::null(), || {
        let region = REGIONS.get(region)?;
        let count = region.columns.len();
        let name = region.columns.get(index as usize);
        name.map(|name| name.as_ptr())
            .ok_or_else(|| Failure::argument(format!("there is no column {index}: the layout has {count}")))
    })
}
