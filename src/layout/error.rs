//! What can be wrong with a layout, and what would be right.
//!
//! [`LayoutProblem`] says what is wrong; [`LayoutError`] adds where. A problem never knows about files, so that the
//! same check speaks for layout files, Rust types and encoded layouts.
#![forbid(unsafe_code)]

use crate::layout::validate::EXPORT_COLUMNS;
use crate::layout::{FieldType, ScalarType};
use crate::limits::{
    ARRAY_LEN_MAX, ENTITIES_MAX, LAYOUT_BYTES_MAX, NAME_BYTES_MAX, PACKED_BYTES_MAX, WORLD_BYTES_MAX, WORLD_BYTES_MIN,
};

/// A layout that cannot be used: where, what is wrong, and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file as it was named.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file can be read, but says something wrong.
    #[error("{file}:{line}:{column}: {problem}")]
    File {
        /// The file as it was named.
        file: String,
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
        /// What is wrong there.
        problem: Box<LayoutProblem>,
    },
    /// A layout built in a program is wrong.
    #[error("{0}")]
    Invalid(Box<LayoutProblem>),
    /// Bytes that are not an encoded layout.
    #[error("not an encoded layout: at byte {offset}: {problem}")]
    Encoded {
        /// Where the first wrong byte is.
        offset: usize,
        /// What is wrong there.
        problem: Box<LayoutProblem>,
    },
}

impl LayoutError {
    /// What is wrong, without the place; `None` where the file could not even be read.
    #[must_use]
    pub fn problem(&self) -> Option<&LayoutProblem> {
        match self {
            LayoutError::Read { .. } => None,
            LayoutError::File { problem, .. }
            | LayoutError::Invalid(problem)
            | LayoutError::Encoded { problem, .. } => Some(problem),
        }
    }
}

/// One thing that is wrong with a layout. `subject` names the part, e.g. ``field `position.x` ``.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutProblem {
    /// The text is not TOML.
    #[error("not valid TOML: {message}")]
    Syntax {
        /// The TOML parser's message.
        message: String,
    },
    /// A key that the grammar does not have.
    #[error("unknown key `{key}` in {subject}; known keys: {}{}", known.join(", "), hint_text(hint))]
    UnknownKey {
        /// The part that has the key.
        subject: String,
        /// The key.
        key: String,
        /// The keys that the part may have.
        known: &'static [&'static str],
        /// A further hint.
        hint: Option<String>,
    },
    /// A key that must be there is not.
    #[error("{subject} has no `{key}`; add `{example}`")]
    MissingKey {
        /// The part that lacks the key.
        subject: String,
        /// The key.
        key: &'static str,
        /// A line that would be right.
        example: &'static str,
    },
    /// A value of the wrong kind.
    #[error("{subject} must be {expected}, but is {found}")]
    WrongKind {
        /// The value.
        subject: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A type that does not exist.
    #[error(
        "{subject} has the unknown type \"{name}\"{}; types: {}, and arrays such as \"[f32; 3]\"",
        did_you_mean(nearest),
        type_names()
    )]
    UnknownType {
        /// The field.
        subject: String,
        /// The type as written.
        name: String,
        /// The type that was probably meant.
        nearest: Option<String>,
    },
    /// A name of the wrong form.
    #[error("{subject} must be named in snake_case (a letter a-z, then a-z, 0-9 or _){}", did_you_mean(nearest))]
    BadName {
        /// The part, with its name.
        subject: String,
        /// The name in snake_case, if it can be had.
        nearest: Option<String>,
    },
    /// A name that is too long.
    #[error("{subject} has a name of {bytes} bytes; a name may have {NAME_BYTES_MAX}: shorten it")]
    NameTooLong {
        /// The part, with its name.
        subject: String,
        /// The name's length.
        bytes: usize,
    },
    /// The same name twice.
    #[error("{subject} is declared twice; rename or remove one")]
    Duplicate {
        /// The part, with its name.
        subject: String,
    },
    /// A component without published fields that is called as a column which exports have of their own.
    #[error(
        "{subject} has no published fields, so exports have a column of that name, and `{}` are columns of their own; rename it",
        EXPORT_COLUMNS.join("`, `")
    )]
    ExportColumn {
        /// The component, with its name.
        subject: String,
    },
    /// More parts than a limit allows.
    #[error("{subject} has {count} {parts}; at most {max} are possible")]
    TooMany {
        /// The whole.
        subject: String,
        /// The parts' noun.
        parts: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// An array that is too short or too long.
    #[error("{subject} is an array of {len} elements; an array has 1 to {ARRAY_LEN_MAX}")]
    ArrayLen {
        /// The field.
        subject: String,
        /// The length as written.
        len: u64,
    },
    /// A packed value that is too large.
    #[error("{subject} takes {bytes} bytes; at most {PACKED_BYTES_MAX} are possible: split it")]
    PackedBytes {
        /// The component or resource.
        subject: String,
        /// Bytes of its packed value.
        bytes: usize,
    },
    /// A resource without fields.
    #[error("{subject} has no fields; a resource needs at least one, such as fields = {{ value = \"f32\" }}")]
    NoFields {
        /// The resource.
        subject: String,
    },
    /// A list that has nothing to keep, or whose changes are to be kept.
    #[error("{subject} is a list: it needs fields, those of its elements, and cannot track changes")]
    List {
        /// The component.
        subject: String,
    },
    /// A scratch component that has nothing to keep, or whose changes are to be kept.
    #[error(
        "{subject} is scratch: it needs fields, and cannot track changes, as what is told of changes is part of the state"
    )]
    Scratch {
        /// The component.
        subject: String,
    },
    /// A default whose kind does not fit the type.
    #[error("the default of {subject} must be {}, but is {found}", default_form(*ty))]
    DefaultKind {
        /// The field.
        subject: String,
        /// The field's type.
        ty: FieldType,
        /// What was found.
        found: String,
    },
    /// A default that the type cannot hold.
    #[error("the default of {subject} is {value}, which {scalar} cannot hold ({})", scalar_range(*scalar))]
    DefaultRange {
        /// The field.
        subject: String,
        /// The field's scalar type.
        scalar: ScalarType,
        /// The value as written.
        value: String,
    },
    /// A default array of the wrong length.
    #[error("the default of {subject} has {found} elements; its type {ty} needs {}", ty.elements())]
    DefaultLen {
        /// The field.
        subject: String,
        /// The field's type.
        ty: FieldType,
        /// Elements found.
        found: usize,
    },
    /// A default whose bytes do not fit the type.
    #[error("the default of {subject} has {found} bytes; its type {ty} needs {}", ty.bytes())]
    DefaultBytes {
        /// The field.
        subject: String,
        /// The field's type.
        ty: FieldType,
        /// Bytes found.
        found: usize,
    },
    /// Default bytes that no value of the type has.
    #[error("the default of {subject} is not a value of {scalar} that a layout can hold: {rule}")]
    DefaultValue {
        /// The field.
        subject: String,
        /// The field's scalar type.
        scalar: ScalarType,
        /// What would be right.
        rule: &'static str,
    },
    /// A unit or a description that is too long, or has control characters.
    #[error(
        "the {what} of {subject} has {bytes} bytes; it is one line of at most {max} bytes, without control characters"
    )]
    Words {
        /// The field.
        subject: String,
        /// `unit` or `description`.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// A storage that does not exist.
    #[error(
        "{subject} has the unknown storage \"{name}\"; use \"table\", \"toggle\", \"scratch\", \"list\" or \"scratch_list\""
    )]
    UnknownStorage {
        /// The component.
        subject: String,
        /// The storage as written.
        name: String,
    },
    /// A number of bytes that cannot be read.
    #[error(
        "`bytes_max` is \"{text}\"; write a number of bytes, or a number and a unit (B, KiB, MiB, GiB, TiB) \
        such as \"16 GiB\""
    )]
    BytesText {
        /// The text as written.
        text: String,
    },
    /// A bound on the world's bytes that is itself out of bounds.
    #[error("`bytes_max` is {bytes}; it must lie between {WORLD_BYTES_MIN} (1 MiB) and {WORLD_BYTES_MAX} (64 TiB)")]
    BytesMax {
        /// The bound as given.
        bytes: u64,
    },
    /// A table names a component that does not exist.
    #[error("table {table} names the unknown component `{name}`{}", did_you_mean(nearest))]
    TableComponent {
        /// The table's place in the layout, from 0.
        table: usize,
        /// The name.
        name: String,
        /// The component that was probably meant.
        nearest: Option<String>,
    },
    /// A table names a component twice.
    #[error("table {table} names component `{name}` twice; remove one")]
    TableRepeats {
        /// The table's place in the layout, from 0.
        table: usize,
        /// The name.
        name: String,
    },
    /// Two tables with the same components.
    #[error("table {table} has the same components as table {first}; keep one, with the rows of both")]
    TableTwice {
        /// The first of the two, from 0.
        first: usize,
        /// The second of the two.
        table: usize,
    },
    /// More rows than a world can have entities.
    #[error("the tables up to table {table} expect {rows} rows; a world has at most {ENTITIES_MAX} entities")]
    TableRows {
        /// The table that goes past the limit, from 0.
        table: usize,
        /// The rows of all tables up to it.
        rows: u64,
    },
    /// A layout that is too large in all.
    #[error("the layout takes {bytes} bytes; at most {LAYOUT_BYTES_MAX} are possible")]
    TooLarge {
        /// Its bytes (of text, or encoded).
        bytes: u64,
    },
    /// A column that would be too large for any address space.
    #[error("a column of {rows} rows of {item_bytes} bytes has no size in 64 bits")]
    ColumnTooLarge {
        /// Bytes of a row.
        item_bytes: u64,
        /// Rows.
        rows: u64,
    },
    /// An encoded layout that ends early, goes on too long or holds an impossible value.
    #[error("{what} is {found}; {expected}")]
    EncodedValue {
        /// The part of the encoding.
        what: &'static str,
        /// What it holds.
        found: u64,
        /// What it must hold.
        expected: &'static str,
    },
    /// An encoded layout that ends too early.
    #[error("{what} takes {needed} bytes, but only {left} are left")]
    EncodedEnd {
        /// The part of the encoding.
        what: &'static str,
        /// Bytes it takes.
        needed: usize,
        /// Bytes left.
        left: usize,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default()
}

fn hint_text(hint: &Option<String>) -> String {
    hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default()
}

fn type_names() -> String {
    ScalarType::ALL.map(ScalarType::name).join(", ")
}

fn default_form(ty: FieldType) -> String {
    let one = match ty.scalar {
        ScalarType::F32 | ScalarType::F64 => "a number",
        small if small.is_small() => "a number",
        ScalarType::Bool => "true or false",
        ScalarType::Entity => "\"null\"",
        _ => "an integer",
    };
    if ty.array_len == 0 { one.to_owned() } else { format!("an array of {} elements, each {one}", ty.array_len) }
}

fn scalar_range(scalar: ScalarType) -> String {
    match scalar {
        ScalarType::F32 => format!("{:e} to {:e}; an integer only if it is exact", f32::MIN, f32::MAX),
        ScalarType::F64 => format!("{:e} to {:e}; an integer only if it is exact", f64::MIN, f64::MAX),
        ScalarType::Bool => "true or false".to_owned(),
        ScalarType::Entity => "only \"null\"".to_owned(),
        _ => match scalar.range() {
            Some((min, max)) => format!("{min:e} to {max:e}"),
            None => {
                let (min, max) = integer_range(scalar);
                format!("{min} to {max}")
            }
        },
    }
}

/// Smallest and largest value of an integer type; an empty range for the others.
pub(super) fn integer_range(scalar: ScalarType) -> (i128, i128) {
    match scalar {
        ScalarType::I8 => (i8::MIN.into(), i8::MAX.into()),
        ScalarType::I16 => (i16::MIN.into(), i16::MAX.into()),
        ScalarType::I32 => (i32::MIN.into(), i32::MAX.into()),
        ScalarType::I64 => (i64::MIN.into(), i64::MAX.into()),
        ScalarType::U8 => (0, u8::MAX.into()),
        ScalarType::U16 => (0, u16::MAX.into()),
        ScalarType::U32 => (0, u32::MAX.into()),
        ScalarType::U64 => (0, u64::MAX.into()),
        _ => (0, -1),
    }
}
