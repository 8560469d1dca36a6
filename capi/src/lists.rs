//! Lists of a pinned generation, in place.
#![expect(unsafe_code, reason = "exports symbols, and follows the caller's pointers")]

use std::ffi::c_char;

use crate::handles::SNAPSHOTS;
use crate::snapshot::{hypostyle_column, hypostyle_snapshot, plain, with_table};
use crate::status::{Failure, guard, hypostyle_status};
use crate::text::{check, put, text};

/// A field of the lists of a table's rows, in place. The list of row `r` is the elements from `starts[r]` on, `lengths[r]` of
/// them; it never leaves `elements`, which are those of all tables' rows, and some that no row has any more.
/// Valid until the snapshot is released.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct hypostyle_list {
    /// The place of each row's first element.
    pub starts: *const u32,
    /// How many elements each row has.
    pub lengths: *const u32,
    /// Number of rows.
    pub rows: u64,
    /// The field's values, one for each element.
    pub elements: hypostyle_column,
}

/// The lists of a table's rows: a field of a list component by name (`contact.spring`). HYPOSTYLE_STATUS_ABSENT if the table
/// lacks the component, and for a component that is scratch: no generation has it. All fields of a component have the same
/// starts and lengths.
///
/// # Safety
/// `name` is null or zero-terminated, `list` null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_get_list(
    snapshot: *const hypostyle_snapshot,
    index: u32,
    name: *const c_char,
    list: *mut hypostyle_list,
) -> hypostyle_status {
    guard(|| {
        check(list, "list")?;
        // SAFETY: the caller's duty.
        let name = unsafe { text(name, "name") }?;
        let snapshot = SNAPSHOTS.get(snapshot)?;
        let found = with_table(&snapshot, index, |table| {
            let (component, field) = name.split_once('.').unwrap_or((name, ""));
            let Some(lists) = table.lists_named(component)? else {
                let message = format!("table {index} has no lists `{component}`");
                return Err(Failure::new(hypostyle_status::Absent, message));
            };
            let Some((_, ty, bytes)) = lists.columns().find(|(other, ..)| *other == field) else {
                let known: Vec<String> = lists.columns().map(|(name, ..)| format!("`{component}.{name}`")).collect();
                let message = format!("there is no `{name}`; the lists `{component}` have {}", known.join(", "));
                return Err(Failure::new(hypostyle_status::UnknownName, message));
            };
            Ok(hypostyle_list {
                starts: lists.starts().as_ptr(),
                lengths: lists.lengths().as_ptr(),
                rows: table.rows() as u64,
                elements: plain(ty, bytes, lists.elements() as u64),
            })
        })?;
        // SAFETY: checked, and the caller's duty.
        unsafe { put(list, found) };
        Ok(())
    })
}
