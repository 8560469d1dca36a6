//! Layout files: TOML text to a [`Layout`]. The grammar is described in `layouts/README.md`.
//!
//! This file only knows the grammar: what holds for every layout is checked in `validate`, and the places of the
//! text's parts are kept until then, so that every error names a line. The text may come from anywhere.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::layout::nearest::nearest;
use crate::layout::parse_default::default_bytes;
use crate::layout::validate::{Place, check};
use crate::layout::{
    BYTES_MAX_DEFAULT, ComponentLayout, FieldLayout, FieldType, Layout, LayoutError, LayoutProblem, ResourceLayout,
    ScalarType, Storage, TableHint,
};
use crate::limits::{ARRAY_LEN_MAX, LAYOUT_BYTES_MAX};

const LAYOUT_KEYS: &[&str] = &["name", "bytes_max", "components", "resources", "tables"];
const COMPONENT_KEYS: &[&str] = &["fields", "storage", "track_changes", "unit"];
const RESOURCE_KEYS: &[&str] = &["fields", "unit"];
const FIELD_KEYS: &[&str] = &["type", "default", "unit", "description"];
const TABLE_KEYS: &[&str] = &["components", "rows"];

impl Layout {
    /// Parses a layout file's text. `file` is only used to name the file in errors.
    ///
    /// # Errors
    /// [`LayoutError::File`] with the line, what is wrong and what would be right.
    pub fn parse(text: &str, file: &str) -> Result<Layout, LayoutError> {
        Parser::default().layout(text).map_err(|Wrong { at, problem }| {
            let (line, column) = line_and_column(text, at);
            LayoutError::File { file: file.to_owned(), line, column, problem }
        })
    }

    /// Reads and parses a layout file.
    ///
    /// # Errors
    /// [`LayoutError::Read`] where it cannot be read, else as [`Layout::parse`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn from_file(path: impl AsRef<std::path::Path>) -> Result<Layout, LayoutError> {
        use std::io::Read as _;
        let file = path.as_ref().display().to_string();
        let mut text = String::new();
        // One byte more than may be: `parse` then says that the file is too large.
        crate::os::open_regular(path.as_ref())
            .and_then(|f| f.take(LAYOUT_BYTES_MAX as u64 + 1).read_to_string(&mut text))
            .map_err(|source| LayoutError::Read { file: file.clone(), source })?;
        Layout::parse(&text, &file)
    }
}

/// A problem and the byte of the text it is at.
#[derive(Debug)]
pub(super) struct Wrong {
    at: usize,
    problem: Box<LayoutProblem>,
}

impl Wrong {
    pub(super) fn new(span: Range<usize>, problem: LayoutProblem) -> Self {
        Wrong { at: span.start, problem: problem.into() }
    }
}

/// A key with its place, and its value.
type Entry<'a> = (&'a Spanned<std::borrow::Cow<'a, str>>, &'a Spanned<DeValue<'a>>);

/// A table's entries in the order of the text.
fn entries<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Remembers where each part of the layout stands.
#[derive(Default)]
struct Parser {
    places: HashMap<Place, Range<usize>>,
}

impl Parser {
    fn layout(&mut self, text: &str) -> Result<Layout, Wrong> {
        if text.len() > LAYOUT_BYTES_MAX {
            return Err(Wrong::new(0..0, LayoutProblem::TooLarge { bytes: text.len() as u64 }));
        }
        let document = DeTable::parse(text).map_err(|e| {
            Wrong::new(e.span().unwrap_or(0..0), LayoutProblem::Syntax { message: e.message().to_owned() })
        })?;
        let mut name = None;
        let mut layout = Layout {
            name: String::new(),
            components: vec![],
            resources: vec![],
            tables: vec![],
            bytes_max: BYTES_MAX_DEFAULT,
        };
        for (key, value) in entries(document.get_ref()) {
            match key.get_ref().as_ref() {
                "name" => {
                    self.places.insert(Place::Name, value.span());
                    name = Some(string(value, "`name`")?.to_owned());
                }
                "bytes_max" => {
                    self.places.insert(Place::BytesMax, value.span());
                    layout.bytes_max = bytes_max(value)?;
                }
                "components" => {
                    for entry in entries(table(value, "`components`", "tables, such as [components.position]")?) {
                        let place = Place::Component(layout.components.len());
                        self.places.insert(place, entry.0.span());
                        layout.components.push(self.component(entry, layout.components.len())?);
                    }
                }
                "resources" => {
                    for entry in entries(table(value, "`resources`", "tables, such as [resources.gravity]")?) {
                        let place = Place::Resource(layout.resources.len());
                        self.places.insert(place, entry.0.span());
                        layout.resources.push(self.resource(entry, layout.resources.len())?);
                    }
                }
                "tables" => {
                    for value in array(value, "`tables`", "a list of tables, each begun with [[tables]]")? {
                        let hint = self.table(value, layout.tables.len())?;
                        layout.tables.push(hint);
                    }
                }
                unknown => return Err(unknown_key(key, unknown, "the layout", LAYOUT_KEYS)),
            }
        }
        let subject = "the layout".to_owned();
        layout.name = name.ok_or_else(|| {
            Wrong::new(0..0, LayoutProblem::MissingKey { subject, key: "name", example: "name = \"my_world\"" })
        })?;
        check(&layout)
            .map_err(|(place, problem)| Wrong { at: self.places.get(&place).map_or(0, |span| span.start), problem })?;
        Ok(layout)
    }

    fn component(&mut self, (key, value): Entry<'_>, id: usize) -> Result<ComponentLayout, Wrong> {
        let name = key.get_ref().clone().into_owned();
        let subject = format!("component `{name}`");
        let mut component = ComponentLayout { name, fields: vec![], storage: Storage::Table, track_changes: false };
        let mut unit = "";
        for (key, value) in entries(table(value, &subject, "a table, such as { fields = { x = \"f32\" } }")?) {
            match key.get_ref().as_ref() {
                "fields" => {
                    component.fields = self.fields(value, &component.name, |i| Place::ComponentField(id, i))?;
                }
                "unit" => unit = string(value, &format!("`unit` of {subject}"))?,
                "storage" => {
                    let name = string(value, &format!("`storage` of {subject}"))?;
                    component.storage = Storage::from_name(name).ok_or_else(|| {
                        let (subject, name) = (subject.clone(), name.to_owned());
                        Wrong::new(value.span(), LayoutProblem::UnknownStorage { subject, name })
                    })?;
                }
                "track_changes" => {
                    component.track_changes = value
                        .get_ref()
                        .as_bool()
                        .ok_or_else(|| wrong_kind(value, &format!("`track_changes` of {subject}"), "true or false"))?;
                }
                unknown => return Err(unknown_key(key, unknown, &subject, COMPONENT_KEYS)),
            }
        }
        give_unit(&mut component.fields, unit);
        Ok(component)
    }

    fn resource(&mut self, (key, value): Entry<'_>, id: usize) -> Result<ResourceLayout, Wrong> {
        let name = key.get_ref().clone().into_owned();
        let subject = format!("resource `{name}`");
        let mut resource = ResourceLayout { name, fields: vec![] };
        let mut unit = "";
        for (key, value) in entries(table(value, &subject, "a table, such as { fields = { x = \"f32\" } }")?) {
            match key.get_ref().as_ref() {
                "fields" => resource.fields = self.fields(value, &resource.name, |i| Place::ResourceField(id, i))?,
                "unit" => unit = string(value, &format!("`unit` of {subject}"))?,
                unknown => return Err(unknown_key(key, unknown, &subject, RESOURCE_KEYS)),
            }
        }
        give_unit(&mut resource.fields, unit);
        Ok(resource)
    }

    fn fields(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        owner: &str,
        place: impl Fn(usize) -> Place,
    ) -> Result<Vec<FieldLayout>, Wrong> {
        let subject = format!("`fields` of `{owner}`");
        let mut fields = Vec::new();
        for (key, value) in entries(table(value, &subject, "a table, such as { x = \"f32\" }")?) {
            self.places.insert(place(fields.len()), key.span());
            fields.push(field(key.get_ref(), value, owner)?);
        }
        Ok(fields)
    }

    fn table(&mut self, value: &Spanned<DeValue<'_>>, id: usize) -> Result<TableHint, Wrong> {
        self.places.insert(Place::Table(id), value.span());
        let subject = format!("table {id}");
        let (mut components, mut rows) = (None, None);
        for (key, value) in entries(table(value, &subject, "a table with `components` and `rows`")?) {
            match key.get_ref().as_ref() {
                "components" => {
                    let what = format!("`components` of {subject}");
                    let mut names = Vec::new();
                    for value in array(value, &what, "a list of names, such as [\"position\"]")? {
                        self.places.insert(Place::TableComponent(id, names.len()), value.span());
                        names.push(string(value, &format!("each of the {what}"))?.to_owned());
                    }
                    components = Some(names);
                }
                "rows" => {
                    let what = format!("`rows` of {subject}");
                    let number = value
                        .get_ref()
                        .as_integer()
                        .and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok())
                        .ok_or_else(|| wrong_kind(value, &what, "a number of rows, 0 or more"))?;
                    rows = Some(number);
                }
                unknown => return Err(unknown_key(key, unknown, &subject, TABLE_KEYS)),
            }
        }
        let missing = |key, example| {
            Wrong::new(value.span(), LayoutProblem::MissingKey { subject: subject.clone(), key, example })
        };
        Ok(TableHint {
            components: components.ok_or_else(|| missing("components", "components = [\"position\"]"))?,
            rows: rows.ok_or_else(|| missing("rows", "rows = 1000"))?,
        })
    }
}

/// Gives the unit of a component or a resource to the fields that have none of their own.
fn give_unit(fields: &mut [FieldLayout], unit: &str) {
    fields.iter_mut().filter(|field| field.unit.is_empty()).for_each(|field| unit.clone_into(&mut field.unit));
}

/// A field: its type as a string, or a table with `type` and what else is told of it.
fn field(name: &str, value: &Spanned<DeValue<'_>>, owner: &str) -> Result<FieldLayout, Wrong> {
    let subject = format!("field `{owner}.{name}`");
    if let Some(text) = value.get_ref().as_str() {
        let ty = field_type(text, value.span(), &subject)?;
        return Ok(FieldLayout::new(name, ty));
    }
    let expected = "a type such as \"f32\", or a table such as { type = \"f32\", default = 1.0 }";
    let (mut ty, mut default) = (None, None);
    let (mut unit, mut description) = (String::new(), String::new());
    for (key, value) in entries(table(value, &subject, expected)?) {
        match key.get_ref().as_ref() {
            "type" => ty = Some(field_type(string(value, &format!("`type` of {subject}"))?, value.span(), &subject)?),
            "default" => default = Some(value),
            "unit" => unit = string(value, &format!("`unit` of {subject}"))?.to_owned(),
            "description" => description = string(value, &format!("`description` of {subject}"))?.to_owned(),
            unknown => return Err(unknown_key(key, unknown, &subject, FIELD_KEYS)),
        }
    }
    let ty = ty.ok_or_else(|| {
        let subject = subject.clone();
        Wrong::new(value.span(), LayoutProblem::MissingKey { subject, key: "type", example: "type = \"f32\"" })
    })?;
    let default = default.map(|value| default_bytes(value, ty, &subject)).transpose()?;
    Ok(FieldLayout { name: name.to_owned(), ty, default, unit, description })
}

/// `f32`, or `[f32; 3]`.
fn field_type(text: &str, span: Range<usize>, subject: &str) -> Result<FieldType, Wrong> {
    let unknown = |nearest: Option<String>| {
        let problem = LayoutProblem::UnknownType { subject: subject.to_owned(), name: text.to_owned(), nearest };
        Wrong::new(span.clone(), problem)
    };
    let trimmed = text.trim();
    let Some(inner) = trimmed.strip_prefix('[') else {
        let scalar = ScalarType::from_name(trimmed).ok_or_else(|| unknown(meant_type(trimmed).map(str::to_owned)))?;
        return Ok(FieldType::scalar(scalar));
    };
    let (scalar, len) =
        inner.strip_suffix(']').and_then(|s| s.split_once(';')).ok_or_else(|| unknown(Some("[f32; 3]".to_owned())))?;
    let (scalar, len) = (scalar.trim(), len.trim());
    let scalar_type = ScalarType::from_name(scalar)
        .ok_or_else(|| unknown(meant_type(scalar).map(|scalar| format!("[{scalar}; {len}]"))))?;
    let len: u64 = len.parse().map_err(|_| unknown(Some(format!("[{scalar}; 3]"))))?;
    if len == 0 || len > u64::from(ARRAY_LEN_MAX) {
        let problem = LayoutProblem::ArrayLen { subject: subject.to_owned(), len };
        return Err(Wrong::new(span.clone(), problem));
    }
    Ok(FieldType::array(scalar_type, len as u32))
}

/// The type that was probably meant: other languages' names, then misspellings.
fn meant_type(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "float" | "single" | "float32" | "real" => "f32",
        "double" | "float64" => "f64",
        "int" | "integer" | "int32" | "i32_t" => "i32",
        "uint" | "unsigned" | "uint32" => "u32",
        "long" | "int64" | "isize" => "i64",
        "ulong" | "uint64" | "usize" | "size" => "u64",
        "short" | "int16" => "i16",
        "ushort" | "uint16" => "u16",
        "byte" | "uint8" | "char" => "u8",
        "int8" | "sbyte" => "i8",
        "boolean" | "bit" | "flag" => "bool",
        "handle" | "ref" | "id" => "entity",
        "vec2" | "float2" => "[f32; 2]",
        "vec3" | "float3" => "[f32; 3]",
        "vec4" | "float4" | "quat" => "[f32; 4]",
        other => return nearest(other, ScalarType::ALL.map(ScalarType::name)),
    })
}

/// A number of bytes: an integer, or a string such as "16 GiB".
fn bytes_max(value: &Spanned<DeValue<'_>>) -> Result<u64, Wrong> {
    match value.get_ref() {
        DeValue::Integer(i) => u64::from_str_radix(i.as_str(), i.radix()).ok().ok_or_else(|| i.to_string()),
        DeValue::String(text) => bytes_text(text).ok_or_else(|| text.clone().into_owned()),
        _ => return Err(wrong_kind(value, "`bytes_max`", "a number of bytes or a string such as \"16 GiB\"")),
    }
    .map_err(|text| Wrong::new(value.span(), LayoutProblem::BytesText { text }))
}

/// A number of bytes as people write it: `4096`, `64 MiB`, `16 GiB`; `None` for anything else.
///
/// ```
/// assert_eq!(hypostyle::layout::parse_bytes("64 MiB"), Some(64 << 20));
/// assert_eq!(hypostyle::layout::parse_bytes("many"), None);
/// ```
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    bytes_text(text)
}

/// Units of `bytes_max`, largest first.
pub(super) const BYTE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn bytes_text(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" => 1,
        unit => BYTE_UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn string<'a>(value: &'a Spanned<DeValue<'_>>, subject: &str) -> Result<&'a str, Wrong> {
    value.get_ref().as_str().ok_or_else(|| wrong_kind(value, subject, "a string"))
}

fn table<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    subject: &str,
    expected: &'static str,
) -> Result<&'a DeTable<'i>, Wrong> {
    value.get_ref().as_table().ok_or_else(|| wrong_kind(value, subject, expected))
}

fn array<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    subject: &str,
    expected: &'static str,
) -> Result<impl Iterator<Item = &'a Spanned<DeValue<'i>>>, Wrong> {
    value.get_ref().as_array().map(|a| a.iter()).ok_or_else(|| wrong_kind(value, subject, expected))
}

fn wrong_kind(value: &Spanned<DeValue<'_>>, subject: &str, expected: &'static str) -> Wrong {
    let problem = LayoutProblem::WrongKind { subject: subject.to_owned(), expected, found: describe(value.get_ref()) };
    Wrong::new(value.span(), problem)
}

/// A value in an error message: short ones in full.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) if s.len() <= 40 => format!("the string \"{s}\""),
        DeValue::Integer(i) if i.as_str().len() <= 40 => format!("the integer {i}"),
        DeValue::Float(f) if f.as_str().len() <= 40 => format!("the float {f}"),
        DeValue::Boolean(b) => b.to_string(),
        other => format!("of the kind {}", other.type_str()),
    }
}

fn unknown_key(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    name: &str,
    subject: &str,
    known: &'static [&'static str],
) -> Wrong {
    let hint = match nearest(name, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if known.contains(&"fields") => Some(format!("a field stands in fields = {{ {name} = \"f32\" }}")),
        None => None,
    };
    let problem = LayoutProblem::UnknownKey { subject: subject.to_owned(), key: name.to_owned(), known, hint };
    Wrong::new(key.span(), problem)
}

/// Line and column (characters), both from 1, of a byte of the text.
fn line_and_column(text: &str, at: usize) -> (u32, u32) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line as u32, column as u32) // a text is at most LAYOUT_BYTES_MAX long, or the place is its start
}

#[cfg(test)]
mod tests;
