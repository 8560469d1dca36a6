//! The checks that hold wherever a layout comes from.
//!
//! Every [`Layout`] outside this module's siblings has passed [`validate`]; so names are snake_case and unique, ids
//! fit 16 bits, packed values fit a patch, defaults are values of their types, and the encoding fits its bound.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use crate::layout::encode::encoded_bytes;
use crate::layout::nearest::{is_snake_case, nearest, snake_case};
use crate::layout::{FieldLayout, Layout, LayoutError, LayoutProblem, ScalarType};
use crate::limits::{
    ARRAY_LEN_MAX, COMPONENTS_MAX, DESCRIPTION_BYTES_MAX, ENTITIES_MAX, FIELDS_MAX, LAYOUT_BYTES_MAX, NAME_BYTES_MAX,
    PACKED_BYTES_MAX, RESOURCES_MAX, TABLE_HINTS_MAX, UNIT_BYTES_MAX, WORLD_BYTES_MAX, WORLD_BYTES_MIN,
};

/// Columns that exports have beside those of the components: what is exported is told from them by its name alone.
pub(crate) const EXPORT_COLUMNS: [&str; 4] = ["entity", "frame", "time", "generation"];

/// A part of a layout, so that a parser can say where in its text it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The layout as a whole.
    Layout,
    /// The world's name.
    Name,
    /// The bound on its bytes.
    BytesMax,
    /// A component.
    Component(usize),
    /// A component's field.
    ComponentField(usize, usize),
    /// A resource.
    Resource(usize),
    /// A resource's field.
    ResourceField(usize, usize),
    /// A table hint.
    Table(usize),
    /// A component's name in a table hint.
    TableComponent(usize, usize),
}

/// What is wrong, and where.
pub(super) type Misplaced = (Place, Box<LayoutProblem>);

/// Checks everything about a layout that does not depend on its origin.
pub(super) fn validate(layout: &Layout) -> Result<(), LayoutError> {
    check(layout).map_err(|(_, problem)| LayoutError::Invalid(problem))
}

/// As [`validate`], saying also where.
pub(super) fn check(layout: &Layout) -> Result<(), Misplaced> {
    check_name(&format!("the world `{}`", layout.name), &layout.name).map_err(|p| (Place::Name, p))?;
    if !(WORLD_BYTES_MIN..=WORLD_BYTES_MAX).contains(&layout.bytes_max) {
        return Err((Place::BytesMax, LayoutProblem::BytesMax { bytes: layout.bytes_max }.into()));
    }
    for (parts, count, max) in [
        ("components", layout.components.len(), COMPONENTS_MAX),
        ("resources", layout.resources.len(), RESOURCES_MAX),
        ("tables", layout.tables.len(), TABLE_HINTS_MAX),
    ] {
        check_count("the layout", parts, count, max).map_err(|p| (Place::Layout, p))?;
    }
    let mut names = HashSet::new();
    for (id, component) in layout.components.iter().enumerate() {
        let subject = format!("component `{}`", component.name);
        check_part(&subject, &component.name, &component.fields, &mut names).map_err(|p| (Place::Component(id), p))?;
        if component.published_fields().is_empty() && EXPORT_COLUMNS.contains(&component.name.as_str()) {
            return Err((Place::Component(id), LayoutProblem::ExportColumn { subject }.into()));
        }
        if component.storage.is_list() && (component.track_changes || component.fields.is_empty()) {
            return Err((Place::Component(id), LayoutProblem::List { subject }.into()));
        }
        if component.storage.is_scratch() && (component.track_changes || component.fields.is_empty()) {
            return Err((Place::Component(id), LayoutProblem::Scratch { subject }.into()));
        }
        check_fields(&component.name, &component.fields).map_err(|(i, p)| (Place::ComponentField(id, i), p))?;
        check_packed(&subject, &component.fields).map_err(|p| (Place::Component(id), p))?;
    }
    let mut names = HashSet::new();
    for (id, resource) in layout.resources.iter().enumerate() {
        let subject = format!("resource `{}`", resource.name);
        check_part(&subject, &resource.name, &resource.fields, &mut names).map_err(|p| (Place::Resource(id), p))?;
        if resource.fields.is_empty() {
            return Err((Place::Resource(id), LayoutProblem::NoFields { subject }.into()));
        }
        check_fields(&resource.name, &resource.fields).map_err(|(i, p)| (Place::ResourceField(id, i), p))?;
        check_packed(&subject, &resource.fields).map_err(|p| (Place::Resource(id), p))?;
    }
    check_tables(layout)?;
    let bytes = encoded_bytes(layout);
    if bytes > LAYOUT_BYTES_MAX as u64 {
        return Err((Place::Layout, LayoutProblem::TooLarge { bytes }.into()));
    }
    Ok(())
}

fn check_name(subject: &str, name: &str) -> Result<(), Box<LayoutProblem>> {
    if name.len() > NAME_BYTES_MAX {
        return Err(LayoutProblem::NameTooLong { subject: subject.to_owned(), bytes: name.len() }.into());
    }
    if !is_snake_case(name) {
        return Err(LayoutProblem::BadName { subject: subject.to_owned(), nearest: snake_case(name) }.into());
    }
    Ok(())
}

fn check_count(subject: &str, parts: &'static str, count: usize, max: usize) -> Result<(), Box<LayoutProblem>> {
    if count > max {
        return Err(LayoutProblem::TooMany { subject: subject.to_owned(), parts, count, max }.into());
    }
    Ok(())
}

/// A component's or resource's name and number of fields.
fn check_part<'a>(
    subject: &str,
    name: &'a str,
    fields: &[FieldLayout],
    names: &mut HashSet<&'a str>,
) -> Result<(), Box<LayoutProblem>> {
    check_name(subject, name)?;
    if !names.insert(name) {
        return Err(LayoutProblem::Duplicate { subject: subject.to_owned() }.into());
    }
    check_count(subject, "fields", fields.len(), FIELDS_MAX)
}

/// The fields one by one; an error names the field's place.
fn check_fields(owner: &str, fields: &[FieldLayout]) -> Result<(), (usize, Box<LayoutProblem>)> {
    let mut names = HashSet::new();
    for (i, field) in fields.iter().enumerate() {
        let subject = format!("field `{owner}.{}`", field.name);
        check_name(&subject, &field.name).map_err(|p| (i, p))?;
        if !names.insert(field.name.as_str()) {
            return Err((i, LayoutProblem::Duplicate { subject }.into()));
        }
        if field.ty.array_len > ARRAY_LEN_MAX {
            return Err((i, LayoutProblem::ArrayLen { subject, len: field.ty.array_len.into() }.into()));
        }
        check_words(&subject, field).map_err(|p| (i, p))?;
        check_default(subject, field).map_err(|p| (i, p))?;
    }
    Ok(())
}

fn check_packed(subject: &str, fields: &[FieldLayout]) -> Result<(), Box<LayoutProblem>> {
    // No overflow: at most FIELDS_MAX fields of ARRAY_LEN_MAX elements each.
    let bytes = fields.iter().map(|f| f.ty.bytes()).sum();
    if bytes > PACKED_BYTES_MAX {
        return Err(LayoutProblem::PackedBytes { subject: subject.to_owned(), bytes }.into());
    }
    Ok(())
}

/// The unit and the description: short, and of one line.
fn check_words(subject: &str, field: &FieldLayout) -> Result<(), Box<LayoutProblem>> {
    for (what, text, max) in
        [("unit", &field.unit, UNIT_BYTES_MAX), ("description", &field.description, DESCRIPTION_BYTES_MAX)]
    {
        if text.len() > max || text.chars().any(char::is_control) {
            let (subject, bytes) = (subject.to_owned(), text.len());
            return Err(LayoutProblem::Words { subject, what, bytes, max }.into());
        }
    }
    Ok(())
}

fn check_default(subject: String, field: &FieldLayout) -> Result<(), Box<LayoutProblem>> {
    let Some(bytes) = &field.default else { return Ok(()) };
    if bytes.len() != field.ty.bytes() {
        return Err(LayoutProblem::DefaultBytes { subject, ty: field.ty, found: bytes.len() }.into());
    }
    let scalar = field.ty.scalar;
    let (ok, rule): (fn(&[u8]) -> bool, _) = match scalar {
        ScalarType::Bool => (|b| b[0] <= 1, "a bool is 0 or 1"),
        ScalarType::Entity => {
            (|b| b == u64::MAX.to_le_bytes(), "only the null handle is known before there is an entity")
        }
        ScalarType::F32 => (
            |b| b.try_into().map(f32::from_le_bytes).is_ok_and(|v| !v.is_nan() || v.to_bits() == F32_NAN_BITS),
            "a NaN must be the plain one, f32::NAN",
        ),
        ScalarType::F64 => (
            |b| b.try_into().map(f64::from_le_bytes).is_ok_and(|v| !v.is_nan() || v.to_bits() == F64_NAN_BITS),
            "a NaN must be the plain one, f64::NAN",
        ),
        ScalarType::F16 => (
            |b| ScalarType::F16.small_value(b).is_some_and(|v| !v.is_nan() || b == F16_NAN_BITS.to_le_bytes()),
            "a NaN must be the plain one, 0x7e00",
        ),
        ScalarType::Bf16 => (
            |b| ScalarType::Bf16.small_value(b).is_some_and(|v| !v.is_nan() || b == BF16_NAN_BITS.to_le_bytes()),
            "a NaN must be the plain one, 0x7fc0",
        ),
        ScalarType::Snorm8 => (|b| b != i8::MIN.to_le_bytes(), "-1 is written as -127"),
        ScalarType::Snorm16 => (|b| b != i16::MIN.to_le_bytes(), "-1 is written as -32767"),
        _ => return Ok(()),
    };
    if !bytes.chunks_exact(scalar.bytes()).all(ok) {
        return Err(LayoutProblem::DefaultValue { subject, scalar, rule }.into());
    }
    Ok(())
}

/// The one NaN that a default may be: layout files cannot write others.
pub(super) const F32_NAN_BITS: u32 = 0x7fc0_0000;
/// The one NaN that a default may be: layout files cannot write others.
pub(super) const F64_NAN_BITS: u64 = 0x7ff8_0000_0000_0000;

/// The one NaN that a default may be: what all NaN become.
const F16_NAN_BITS: u16 = 0x7e00;
/// The one NaN that a default may be: what all NaN become.
const BF16_NAN_BITS: u16 = 0x7fc0;

fn check_tables(layout: &Layout) -> Result<(), Misplaced> {
    let known: HashSet<&str> = layout.components.iter().map(|c| c.name.as_str()).collect();
    let mut sets: HashMap<Vec<&str>, usize> = HashMap::new();
    let mut rows: u64 = 0;
    for (table, hint) in layout.tables.iter().enumerate() {
        let mut set: Vec<&str> = Vec::with_capacity(hint.components.len());
        let mut seen = HashSet::new();
        for (i, name) in hint.components.iter().enumerate() {
            let place = Place::TableComponent(table, i);
            if !known.contains(name.as_str()) {
                let nearest = nearest(name, layout.components.iter().map(|c| c.name.as_str())).map(str::to_owned);
                let name = name.clone();
                return Err((place, LayoutProblem::TableComponent { table, name, nearest }.into()));
            }
            if !seen.insert(name.as_str()) {
                return Err((place, LayoutProblem::TableRepeats { table, name: name.clone() }.into()));
            }
            set.push(name);
        }
        set.sort_unstable();
        if let Some(first) = sets.insert(set, table) {
            return Err((Place::Table(table), LayoutProblem::TableTwice { first, table }.into()));
        }
        rows = rows.saturating_add(hint.rows);
        if rows > u64::from(ENTITIES_MAX) {
            return Err((Place::Table(table), LayoutProblem::TableRows { table, rows }.into()));
        }
    }
    Ok(())
}
