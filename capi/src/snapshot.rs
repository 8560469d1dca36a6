//! Snapshots: pin, look at columns in place, unpin.
#![expect(unsafe_code, reason = "exports symbols, and follows the caller's pointers")]

use std::ffi::{c_char, c_void};

use hypostyle::{Entity, FieldType, Presence, ScalarType, TableView};

use crate::handles::{REGIONS, SNAPSHOTS, Snapshot};
use crate::region::hypostyle_reader;
use crate::status::{Failure, guard, guard_value, hypostyle_status};
use crate::text::{check, put, text};

/// A pinned generation: a consistent state that does not change until it is released.
#[allow(non_camel_case_types)]
pub struct hypostyle_snapshot {
    _opaque: [u8; 0],
}

/// The type of a column's values: little-endian, bools one byte of 0 or 1, entities 64-bit handles (slot low,
/// generation high; all ones: none).
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum hypostyle_type {
    F32 = 1,
    F64 = 2,
    I8 = 3,
    I16 = 4,
    I32 = 5,
    I64 = 6,
    U8 = 7,
    U16 = 8,
    U32 = 9,
    U64 = 10,
    Bool = 11,
    Entity = 12,
    /// IEEE 754 binary16.
    F16 = 13,
    /// The upper half of an `F32`.
    Bf16 = 14,
    /// A u8: its 255th part, 0 to 1.
    Unorm8 = 15,
    /// A u16: its 65535th part, 0 to 1.
    Unorm16 = 16,
    /// An i8: its 127th part, at least -1.
    Snorm8 = 17,
    /// An i16: its 32767th part, at least -1.
    Snorm16 = 18,
}

/// A column of one table, in place. Valid until its snapshot is released.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct hypostyle_column {
    /// The first row's value. A table's column begins at a multiple of 64 bytes.
    pub data: *const c_void,
    /// Number of rows.
    pub rows: u64,
    /// Bytes from one row to the next.
    pub stride_bytes: u64,
    /// The type of its values: one of hypostyle_type.
    pub r#type: u32,
    /// Number of values in each row; 0: a single value (the field is not an array).
    pub array_len: u32,
}

/// Which rows of a table have a component.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum hypostyle_presence_kind {
    /// No row has it.
    None = 0,
    /// All rows have it.
    All = 1,
    /// Rows whose bit is set have it.
    Bits = 2,
}

/// Which rows of a table have a component. Valid until the snapshot is released.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct hypostyle_presence {
    /// None, all, or by bits.
    pub kind: hypostyle_presence_kind,
    /// By bits: row `r` has it if bit `r % 64` of word `r / 64` is set. Otherwise null.
    pub words: *const u64,
    /// Number of words.
    pub word_count: u64,
}

/// Pins the newest generation, while the simulation continues. It is held until `hypostyle_release`: its memory is not
/// reused before. The pins of a process that dies are released.
///
/// # Safety
/// `snapshot` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_pin(
    region: *const hypostyle_reader,
    snapshot: *mut *mut hypostyle_snapshot,
) -> hypostyle_status {
    guard(|| {
        check(snapshot, "snapshot")?;
        let pinned = REGIONS.get(region)?.reader.pin()?;
        let handle = SNAPSHOTS.insert(Snapshot { pinned });
        // SAFETY: checked, and the caller's duty.
        unsafe { put(snapshot, handle) };
        Ok(())
    })
}

/// Pins the generation of a frame, as `hypostyle_pin` pins the newest: `HYPOSTYLE_STATUS_NOT_FOUND` if it is neither the
/// newest nor one of those that the writer keeps beside it.
///
/// # Safety
/// `snapshot` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_pin_frame(
    region: *const hypostyle_reader,
    frame: u64,
    snapshot: *mut *mut hypostyle_snapshot,
) -> hypostyle_status {
    guard(|| {
        check(snapshot, "snapshot")?;
        let pinned = REGIONS.get(region)?.reader.pin_frame(frame)?;
        let handle = SNAPSHOTS.insert(Snapshot { pinned });
        // SAFETY: checked, and the caller's duty.
        unsafe { put(snapshot, handle) };
        Ok(())
    })
}

/// Releases a snapshot. Every pointer that came from it is invalid from now on.
///
/// # Safety
/// Those pointers are not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_release(snapshot: *mut hypostyle_snapshot) -> hypostyle_status {
    guard(|| SNAPSHOTS.remove(snapshot).map(drop))
}

/// The generation, from 1 on; 0 if the snapshot is not pinned.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_generation(snapshot: *const hypostyle_snapshot) -> u64 {
    guard_value(0, || Ok(SNAPSHOTS.get(snapshot)?.pinned.snapshot().generation()))
}

/// The frame after which the generation was published; 0 also if the snapshot is not pinned.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_frame(snapshot: *const hypostyle_snapshot) -> u64 {
    guard_value(0, || Ok(SNAPSHOTS.get(snapshot)?.pinned.snapshot().frame()))
}

/// Simulated time after that frame, in the simulation's unit; NaN if the snapshot is not pinned.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_time(snapshot: *const hypostyle_snapshot) -> f64 {
    guard_value(f64::NAN, || Ok(SNAPSHOTS.get(snapshot)?.pinned.snapshot().time()))
}

/// Number of live entities in all tables.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_entity_count(snapshot: *const hypostyle_snapshot) -> u64 {
    guard_value(0, || Ok(SNAPSHOTS.get(snapshot)?.pinned.snapshot().entity_count()))
}

/// Number of tables. A table holds all entities with the same components.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_table_count(snapshot: *const hypostyle_snapshot) -> u32 {
    guard_value(0, || Ok(SNAPSHOTS.get(snapshot)?.pinned.snapshot().tables().count() as u32))
}

/// Looks at a table. What it gives out stays where it is for as long as the snapshot is pinned.
pub(crate) fn with_table<T>(
    snapshot: &Snapshot,
    index: u32,
    look: impl FnOnce(TableView<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let snapshot = snapshot.pinned.snapshot();
    let table = snapshot.tables().nth(index as usize).ok_or_else(|| {
        Failure::argument(format!("there is no table {index}: the snapshot has {}", snapshot.tables().count()))
    })?;
    look(table)
}

/// Number of rows of a table; 0 also if there is no such table.
#[unsafe(no_mangle)]
pub extern "C" fn hypostyle_table_rows(snapshot: *const hypostyle_snapshot, index: u32) -> u64 {
    guard_value(0, || with_table(&*SNAPSHOTS.get(snapshot)?, index, |table| Ok(table.rows() as u64)))
}

/// A column of a table by name (`position.x`), in place. HYPOSTYLE_STATUS_ABSENT if the table lacks the component.
/// Rows that lack a toggle component hold arbitrary values in its columns: ask `hypostyle_get_presence`.
///
/// # Safety
/// `name` is null or zero-terminated, `column` null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_get_column(
    snapshot: *const hypostyle_snapshot,
    index: u32,
    name: *const c_char,
    column: *mut hypostyle_column,
) -> hypostyle_status {
    guard(|| {
        check(column, "column")?;
        // SAFETY: the caller's duty.
        let name = unsafe { text(name, "name") }?;
        let snapshot = SNAPSHOTS.get(snapshot)?;
        let found = with_table(&snapshot, index, |table| {
            let Some((ty, bytes)) = table.column_bytes(name)? else {
                return Err(Failure::new(hypostyle_status::Absent, format!("table {index} has no column `{name}`")));
            };
            Ok(plain(ty, bytes, table.rows() as u64))
        })?;
        // SAFETY: checked, and the caller's duty.
        unsafe { put(column, found) };
        Ok(())
    })
}

/// Which chunks of 1024 rows of a column changed after a generation: were written, or got rows of another table, as
/// happens when a component is added or removed by query. For each chunk `changed` gets 1 if it changed, else 0;
/// `chunk_count` gets the number of chunks (rows / 1024, rounded up), `changed_count` the number of changed ones.
/// `name` is a field (`position.x`); or a component, to ask who has it; or `(entity)`, to ask which entities the rows are.
/// HYPOSTYLE_STATUS_ABSENT if the table lacks the component. Removed rows are seen from the row count.
///
/// With `changed` null and `changed_room` 0 it only counts. If `changed_room` is less than the number of chunks, the
/// result is HYPOSTYLE_STATUS_BAD_ARGUMENT and nothing is written.
///
/// # Safety
/// `name` is null or zero-terminated; `changed` is null, or there are `changed_room` writable bytes at it; `chunk_count` and
/// `changed_count` are null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_changed_since(
    snapshot: *const hypostyle_snapshot,
    index: u32,
    name: *const c_char,
    generation: u64,
    changed: *mut u8,
    changed_room: u64,
    chunk_count: *mut u64,
    changed_count: *mut u64,
) -> hypostyle_status {
    guard(|| {
        // SAFETY: the caller's duty.
        let name = unsafe { text(name, "name") }?;
        let snapshot = SNAPSHOTS.get(snapshot)?;
        let (flags, count) = with_table(&snapshot, index, |table| {
            let Some(found) = table.changed_since(name, generation)? else {
                return Err(Failure::new(hypostyle_status::Absent, format!("table {index} has no column `{name}`")));
            };
            let flags: Vec<u8> = (0..found.chunks()).map(|chunk| u8::from(found.contains(chunk))).collect();
            Ok((flags, found.iter().count() as u64))
        })?;
        let chunks = flags.len() as u64;
        if !changed.is_null() && changed_room < chunks {
            return Err(Failure::argument(format!(
                "`changed` has room for {changed_room} chunks, and column `{name}` of table {index} has {chunks}; ask for \
                 the count first, with `changed` null"
            )));
        }
        if !changed.is_null() {
            // SAFETY: there is room for as many (checked), which is the caller's duty.
            unsafe { std::ptr::copy_nonoverlapping(flags.as_ptr(), changed, flags.len()) };
        }
        for (out, value) in [(chunk_count, chunks), (changed_count, count)] {
            if !out.is_null() {
                // SAFETY: checked, and the caller's duty.
                unsafe { put(out, value) };
            }
        }
        Ok(())
    })
}

fn type_of(scalar: ScalarType) -> hypostyle_type {
    match scalar {
        ScalarType::F32 => hypostyle_type::F32,
        ScalarType::F64 => hypostyle_type::F64,
        ScalarType::I8 => hypostyle_type::I8,
        ScalarType::I16 => hypostyle_type::I16,
        ScalarType::I32 => hypostyle_type::I32,
        ScalarType::I64 => hypostyle_type::I64,
        ScalarType::U8 => hypostyle_type::U8,
        ScalarType::U16 => hypostyle_type::U16,
        ScalarType::U32 => hypostyle_type::U32,
        ScalarType::U64 => hypostyle_type::U64,
        ScalarType::Bool => hypostyle_type::Bool,
        ScalarType::Entity => hypostyle_type::Entity,
        ScalarType::F16 => hypostyle_type::F16,
        ScalarType::Bf16 => hypostyle_type::Bf16,
        ScalarType::Unorm8 => hypostyle_type::Unorm8,
        ScalarType::Unorm16 => hypostyle_type::Unorm16,
        ScalarType::Snorm8 => hypostyle_type::Snorm8,
        ScalarType::Snorm16 => hypostyle_type::Snorm16,
    }
}

pub(crate) fn plain(ty: FieldType, bytes: &[u8], rows: u64) -> hypostyle_column {
    hypostyle_column {
        data: bytes.as_ptr().cast(),
        rows,
        stride_bytes: ty.bytes() as u64,
        r#type: type_of(ty.scalar) as u32,
        array_len: ty.array_len,
    }
}

/// Which rows of a table have a component.
///
/// # Safety
/// `component` is null or zero-terminated, `presence` null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_get_presence(
    snapshot: *const hypostyle_snapshot,
    index: u32,
    component: *const c_char,
    presence: *mut hypostyle_presence,
) -> hypostyle_status {
    guard(|| {
        check(presence, "presence")?;
        // SAFETY: the caller's duty.
        let component = unsafe { text(component, "component") }?;
        let snapshot = SNAPSHOTS.get(snapshot)?;
        let found = with_table(&snapshot, index, |table| {
            let (kind, words, count) = match table.presence(component)? {
                Presence::None => (hypostyle_presence_kind::None, std::ptr::null(), 0),
                Presence::All => (hypostyle_presence_kind::All, std::ptr::null(), 0),
                Presence::Bits(words) => (hypostyle_presence_kind::Bits, words.as_ptr(), words.len()),
            };
            Ok(hypostyle_presence { kind, words, word_count: count as u64 })
        })?;
        // SAFETY: checked, and the caller's duty.
        unsafe { put(presence, found) };
        Ok(())
    })
}

/// The handles of a table's rows, in place: as many as the table has rows. Valid until the snapshot is released.
///
/// # Safety
/// `handles` and `rows` are null or writable; `rows` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_get_entities(
    snapshot: *const hypostyle_snapshot,
    index: u32,
    handles: *mut *const u64,
    rows: *mut u64,
) -> hypostyle_status {
    guard(|| {
        check(handles, "handles")?;
        if !rows.is_null() {
            check(rows, "rows")?;
        }
        let snapshot = SNAPSHOTS.get(snapshot)?;
        let (first, count) = with_table(&snapshot, index, |table| {
            let entities = table.entities();
            Ok((entities.as_ptr(), entities.len()))
        })?;
        // SAFETY: checked, and the caller's duty.
        unsafe { put(handles, first.cast()) };
        if !rows.is_null() {
            // SAFETY: as above.
            unsafe { put(rows, count as u64) };
        }
        Ok(())
    })
}

/// The table and row of an entity. HYPOSTYLE_STATUS_ABSENT if it is dead.
///
/// # Safety
/// `index` and `row` are null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_locate(
    snapshot: *const hypostyle_snapshot,
    handle: u64,
    index: *mut u32,
    row: *mut u64,
) -> hypostyle_status {
    guard(|| {
        check(index, "index")?;
        check(row, "row")?;
        let snapshot = SNAPSHOTS.get(snapshot)?;
        let entity = Entity::from_bits(handle);
        let found = snapshot.pinned.snapshot().locate(entity);
        let (table, at) =
            found.ok_or_else(|| Failure::new(hypostyle_status::Absent, format!("entity {entity} is dead")))?;
        // SAFETY: checked, and the caller's duty.
        unsafe { put(index, table as u32) };
        // SAFETY: as above.
        unsafe { put(row, at as u64) };
        Ok(())
    })
}

/// A field of a resource by name (`gravity.y`), as a column of one row. Its data is not aligned: copy it with memcpy.
/// HYPOSTYLE_STATUS_ABSENT if the resource has no value.
///
/// # Safety
/// `name` is null or zero-terminated, `column` null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hypostyle_get_resource(
    snapshot: *const hypostyle_snapshot,
    name: *const c_char,
    column: *mut hypostyle_column,
) -> hypostyle_status {
    guard(|| {
        check(column, "column")?;
        // SAFETY: the caller's duty.
        let name = unsafe { text(name, "name") }?;
        let snapshot = SNAPSHOTS.get(snapshot)?;
        let snapshot = snapshot.pinned.snapshot();
        let (resource, field) = name.split_once('.').unwrap_or((name, ""));
        let bytes = snapshot.resource_bytes(resource)?;
        let Some((_, declared)) = snapshot.layout().resource(resource) else {
            return Err(Failure::new(hypostyle_status::UnknownName, format!("there is no resource `{resource}`")));
        };
        let mut at = 0;
        for other in &declared.fields {
            if other.name != field {
                at += other.ty.bytes();
                continue;
            }
            let Some(bytes) = bytes else {
                let message = format!("resource `{resource}` has no value");
                return Err(Failure::new(hypostyle_status::Absent, message));
            };
            // SAFETY: checked, and the caller's duty.
            unsafe { put(column, plain(other.ty, &bytes[at..], 1)) };
            return Ok(());
        }
        let known: Vec<String> = declared.fields.iter().map(|field| format!("`{resource}.{}`", field.name)).collect();
        let message = format!("there is no `{name}`; resource `{resource}` has {}", known.join(", "));
        Err(Failure::new(hypostyle_status::UnknownName, message))
    })
}
