//! Strings in, values out: the only places where a caller's pointer is followed.
#![expect(unsafe_code, reason = "reads and writes through the caller's pointers")]

use std::ffi::{CStr, CString, c_char};

use crate::status::Failure;

/// The text of an argument; `what` names it in messages.
///
/// # Safety
/// Null, or zero-terminated and unchanged for `'a`.
pub(crate) unsafe fn text<'a>(argument: *const c_char, what: &str) -> Result<&'a str, Failure> {
    if argument.is_null() {
        return Err(Failure::argument(format!("{what} is null: give a zero-terminated string")));
    }
    // SAFETY: not null, and zero-terminated (the caller's duty).
    let text = unsafe { CStr::from_ptr(argument) };
    text.to_str().map_err(|_| Failure::argument(format!("{what} is not UTF-8")))
}

/// Checks that an output is there, before any work is done for it.
pub(crate) fn check<T>(out: *mut T, what: &str) -> Result<(), Failure> {
    if out.is_null() {
        return Err(Failure::argument(format!("{what} is null: it is where the answer goes")));
    }
    if !out.is_aligned() {
        return Err(Failure::argument(format!("{what} is not aligned: it is where the answer goes")));
    }
    Ok(())
}

/// Writes an output that was checked.
///
/// # Safety
/// The caller of the interface vouches that it can be written.
pub(crate) unsafe fn put<T>(out: *mut T, value: T) {
    // SAFETY: checked not to be null and to be aligned; writable (the caller's duty).
    unsafe { out.write(value) };
}

/// A string for C. A zero inside of it ends it.
pub(crate) fn c_string(text: &str) -> CString {
    let bytes: Vec<u8> = text.bytes().take_while(|byte| *byte != 0).collect();
    CString::new(bytes).unwrap_or_default()
}
