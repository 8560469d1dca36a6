//! What the bytes mean: components, fields, resources, and the tables an author expects.
//!
//! A [`Layout`] comes from a `layouts/*.toml` file ([`Layout::parse`]), from Rust types (a world's builder) or from
//! the descriptor of a region ([`Layout::decode`]). Wherever it comes from it has passed the same validation.
//! This module knows nothing of memory: it never sees an address, an extent or a row.

#[cfg(test)]
pub(crate) mod arbitrary;
mod difference;
mod encode;
mod error;
pub(crate) mod nearest;
mod parse;
mod parse_default;
pub mod plan;
mod resources;
mod to_toml;
mod validate;

pub use difference::{Difference, Part, PartKind};
pub use error::{LayoutError, LayoutProblem};
pub use nearest::did_you_mean;
pub use parse::parse_bytes;

use crate::limits::ARRAY_LEN_MAX;

/// The scalar types a field can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ScalarType {
    /// 32-bit IEEE 754 float.
    F32 = 1,
    /// 64-bit IEEE 754 float.
    F64 = 2,
    /// 8-bit signed integer.
    I8 = 3,
    /// 16-bit signed integer.
    I16 = 4,
    /// 32-bit signed integer.
    I32 = 5,
    /// 64-bit signed integer.
    I64 = 6,
    /// 8-bit unsigned integer.
    U8 = 7,
    /// 16-bit unsigned integer.
    U16 = 8,
    /// 32-bit unsigned integer.
    U32 = 9,
    /// 64-bit unsigned integer.
    U64 = 10,
    /// One byte, 0 or 1.
    Bool = 11,
    /// An entity handle, 8 bytes.
    Entity = 12,
    /// 16-bit IEEE 754 float ([`small`](crate::small)).
    F16 = 13,
    /// The upper half of a 32-bit float.
    Bf16 = 14,
    /// 0 to 1 in steps of 1/255.
    Unorm8 = 15,
    /// 0 to 1 in steps of 1/65535.
    Unorm16 = 16,
    /// -1 to 1 in steps of 1/127.
    Snorm8 = 17,
    /// -1 to 1 in steps of 1/32767.
    Snorm16 = 18,
}

impl ScalarType {
    /// All scalar types, in the order of their codes.
    pub const ALL: [ScalarType; 18] = [
        ScalarType::F32,
        ScalarType::F64,
        ScalarType::I8,
        ScalarType::I16,
        ScalarType::I32,
        ScalarType::I64,
        ScalarType::U8,
        ScalarType::U16,
        ScalarType::U32,
        ScalarType::U64,
        ScalarType::Bool,
        ScalarType::Entity,
        ScalarType::F16,
        ScalarType::Bf16,
        ScalarType::Unorm8,
        ScalarType::Unorm16,
        ScalarType::Snorm8,
        ScalarType::Snorm16,
    ];

    /// Bytes of one value.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            ScalarType::I8 | ScalarType::U8 | ScalarType::Bool | ScalarType::Unorm8 | ScalarType::Snorm8 => 1,
            ScalarType::I16
            | ScalarType::U16
            | ScalarType::F16
            | ScalarType::Bf16
            | ScalarType::Unorm16
            | ScalarType::Snorm16 => 2,
            ScalarType::F32 | ScalarType::I32 | ScalarType::U32 => 4,
            ScalarType::F64 | ScalarType::I64 | ScalarType::U64 | ScalarType::Entity => 8,
        }
    }

    /// The name used in layout files: `f32`, `bool`, `entity`, ...
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ScalarType::F32 => "f32",
            ScalarType::F64 => "f64",
            ScalarType::I8 => "i8",
            ScalarType::I16 => "i16",
            ScalarType::I32 => "i32",
            ScalarType::I64 => "i64",
            ScalarType::U8 => "u8",
            ScalarType::U16 => "u16",
            ScalarType::U32 => "u32",
            ScalarType::U64 => "u64",
            ScalarType::Bool => "bool",
            ScalarType::Entity => "entity",
            ScalarType::F16 => "f16",
            ScalarType::Bf16 => "bf16",
            ScalarType::Unorm8 => "unorm8",
            ScalarType::Unorm16 => "unorm16",
            ScalarType::Snorm8 => "snorm8",
            ScalarType::Snorm16 => "snorm16",
        }
    }

    /// The type with this code, if there is one.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == code)
    }

    /// The type with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
}

impl std::fmt::Display for ScalarType {
    /// Its name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A field's type: a scalar, or a fixed array of scalars (one interleaved column).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldType {
    /// The scalar, or the array's element.
    pub scalar: ScalarType,
    /// 0 for a plain scalar, else the array's length (1 to [`ARRAY_LEN_MAX`]).
    pub array_len: u32,
}

impl FieldType {
    /// A plain scalar.
    #[must_use]
    pub const fn scalar(scalar: ScalarType) -> Self {
        FieldType { scalar, array_len: 0 }
    }

    /// A fixed array.
    ///
    /// # Panics
    /// When `len` is 0 or more than [`ARRAY_LEN_MAX`].
    #[must_use]
    pub const fn array(scalar: ScalarType, len: u32) -> Self {
        assert!(len > 0 && len <= ARRAY_LEN_MAX, "an array field has 1 to ARRAY_LEN_MAX elements");
        FieldType { scalar, array_len: len }
    }

    /// Scalars per row.
    #[must_use]
    pub const fn elements(self) -> usize {
        if self.array_len == 0 { 1 } else { self.array_len as usize }
    }

    /// Bytes per row.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.elements() * self.scalar.bytes()
    }
}

impl std::fmt::Display for FieldType {
    /// `f32`, or `[f32; 3]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.array_len == 0 {
            f.write_str(self.scalar.name())
        } else {
            write!(f, "[{}; {}]", self.scalar.name(), self.array_len)
        }
    }
}

/// One field of a component or resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldLayout {
    /// `snake_case`.
    pub name: String,
    /// Its type.
    pub ty: FieldType,
    /// The value's bytes (little-endian, `ty.bytes()` long) where none is given; `None`: zero, and the null handle
    /// for an entity.
    pub default: Option<Vec<u8>>,
    /// The unit of its numbers, for people: `m/s`, `kg·m²`; empty: none is told.
    pub unit: String,
    /// What it is, in a few words, for people; empty: nothing is told.
    pub description: String,
}

impl FieldLayout {
    /// A field whose default is zero, without a unit and a description.
    ///
    /// ```
    /// use hypostyle::layout::{FieldLayout, FieldType, ScalarType};
    /// let mass = FieldLayout { unit: "kg".into(), ..FieldLayout::new("mass", FieldType::scalar(ScalarType::F64)) };
    /// assert_eq!(mass.default, None);
    /// ```
    #[must_use]
    pub fn new(name: impl Into<String>, ty: FieldType) -> FieldLayout {
        FieldLayout { name: name.into(), ty, default: None, unit: String::new(), description: String::new() }
    }

    /// Writes the bytes that the field has where no value is given.
    ///
    /// # Panics
    /// When `out` is not `ty.bytes()` long.
    pub fn write_default(&self, out: &mut [u8]) {
        match &self.default {
            Some(bytes) => out.copy_from_slice(bytes),
            None => {
                assert_eq!(out.len(), self.ty.bytes(), "the default of a field is as long as its type");
                out.fill(if self.ty.scalar == ScalarType::Entity { 0xff } else { 0 });
            }
        }
    }
}

/// Bytes of what a row holds of a list: the place of its first element and how many there are, u32 each.
pub(crate) const SPAN_BYTES: usize = 8;

/// The packed defaults of a list of fields.
fn packed_default(fields: &[FieldLayout]) -> Vec<u8> {
    let mut out = vec![0; fields.iter().map(|f| f.ty.bytes()).sum()];
    let mut at = 0;
    for field in fields {
        let end = at + field.ty.bytes();
        field.write_default(&mut out[at..end]);
        at = end;
    }
    out
}

/// Where a component's presence is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Having it decides the entity's table; adding or removing it moves the entity at commit.
    #[default]
    Table,
    /// One presence bit per row; adding or removing it is a bit.
    Toggle,
    /// As a table component, but its values belong to the run and not to the state: they are in memory once, are never
    /// published, hashed, recorded or sent, and are as new (the fields' defaults) wherever a state is taken up again.
    Scratch,
    /// A list per entity, of any length: the fields are those of its elements. Having it decides the entity's table.
    List,
    /// As a list, but it belongs to the run and not to the state, as what is scratch: in memory once, empty wherever a
    /// state is taken up again.
    ScratchList,
}

impl Storage {
    /// Whether an entity has a list of values rather than one.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Storage::List | Storage::ScratchList)
    }

    /// Whether the values are in no generation.
    #[must_use]
    pub const fn is_scratch(self) -> bool {
        matches!(self, Storage::Scratch | Storage::ScratchList)
    }

    /// Its name in layout files: `table`, `toggle`, `scratch`, `list`, `scratch_list`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Storage::Table => "table",
            Storage::Toggle => "toggle",
            Storage::Scratch => "scratch",
            Storage::List => "list",
            Storage::ScratchList => "scratch_list",
        }
    }

    /// The storage with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Storage::Table, Storage::Toggle, Storage::Scratch, Storage::List, Storage::ScratchList];
        all.into_iter().find(|storage| storage.name() == name)
    }
}

/// One component: a named set of fields. No fields: a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentLayout {
    /// `snake_case`.
    pub name: String,
    /// Its fields in order; a packed value is their bytes, one after the other, without padding.
    pub fields: Vec<FieldLayout>,
    /// Where its presence is kept.
    pub storage: Storage,
    /// Whether exact changed rows are kept.
    pub track_changes: bool,
}

impl ComponentLayout {
    /// Whether it is what entities have that live elsewhere ([`Elsewhere`](crate::Elsewhere)).
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.name == "elsewhere" && self.fields.is_empty() && self.storage == Storage::Table
    }

    /// Bytes of a packed value: the fields' bytes one after the other.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.fields.iter().map(|f| f.ty.bytes()).sum()
    }

    /// The packed value whose fields all have their defaults.
    #[must_use]
    pub fn packed_default(&self) -> Vec<u8> {
        packed_default(&self.fields)
    }

    /// The fields that are columns of the rows in a generation, one value each: none of a scratch component, which readers
    /// see as a tag, and none of a list, of which an entity has any number of values.
    #[must_use]
    pub fn published_fields(&self) -> &[FieldLayout] {
        if self.storage.is_scratch() || self.storage.is_list() { &[] } else { &self.fields }
    }

    /// Bytes of what a row holds of it: of a list where its elements are ([`SPAN_BYTES`]), else the packed value.
    #[must_use]
    pub(crate) fn row_bytes(&self) -> usize {
        if self.storage.is_list() { SPAN_BYTES } else { self.packed_bytes() }
    }

    /// What a row holds of it where nothing is given: of a list that it is empty, else the packed default.
    #[must_use]
    pub(crate) fn row_default(&self) -> Vec<u8> {
        if self.storage.is_list() { vec![0; SPAN_BYTES] } else { self.packed_default() }
    }
}

/// One resource: a named singleton of plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceLayout {
    /// `snake_case`.
    pub name: String,
    /// Its fields in order, packed as a component's.
    pub fields: Vec<FieldLayout>,
}

impl ResourceLayout {
    /// Bytes of a packed value.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.fields.iter().map(|f| f.ty.bytes()).sum()
    }

    /// The packed value whose fields all have their defaults.
    #[must_use]
    pub fn packed_default(&self) -> Vec<u8> {
        packed_default(&self.fields)
    }
}

/// A table that the author expects: made at creation, with room for `rows`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableHint {
    /// Names of its components (table and toggle components alike).
    pub components: Vec<String>,
    /// Rows to make room for.
    pub rows: u64,
}

/// A world's declaration. Build one with [`Layout::parse`], [`Layout::new`] or [`Layout::decode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(crate) name: String,
    pub(crate) components: Vec<ComponentLayout>,
    pub(crate) resources: Vec<ResourceLayout>,
    pub(crate) tables: Vec<TableHint>,
    pub(crate) bytes_max: u64,
}

/// Bytes a world may grow to where its layout does not say: 16 GiB of address space, not of memory.
pub const BYTES_MAX_DEFAULT: u64 = 16 << 30;

impl Layout {
    /// Validates and builds a layout from its parts.
    ///
    /// # Errors
    /// What is wrong with a name, a field, a table or a limit.
    pub fn new(
        name: impl Into<String>,
        components: Vec<ComponentLayout>,
        resources: Vec<ResourceLayout>,
        tables: Vec<TableHint>,
        bytes_max: u64,
    ) -> Result<Self, LayoutError> {
        let layout = Layout { name: name.into(), components, resources, tables, bytes_max };
        validate::validate(&layout)?;
        Ok(layout)
    }

    /// The world's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The components; a component's id is its place here.
    #[must_use]
    pub fn components(&self) -> &[ComponentLayout] {
        &self.components
    }

    /// The resources; a resource's id is its place here.
    #[must_use]
    pub fn resources(&self) -> &[ResourceLayout] {
        &self.resources
    }

    /// The tables the author expects.
    #[must_use]
    pub fn tables(&self) -> &[TableHint] {
        &self.tables
    }

    /// The most bytes the world's data may take.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The ids of the components that are lists, ascending.
    pub(crate) fn lists(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..).zip(&self.components).filter(|(_, component)| component.storage.is_list()).map(|(id, _)| id)
    }

    /// The id and declaration of a component.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<(usize, &ComponentLayout)> {
        self.components.iter().enumerate().find(|(_, c)| c.name == name)
    }

    /// The id and declaration of a resource.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<(usize, &ResourceLayout)> {
        self.resources.iter().enumerate().find(|(_, r)| r.name == name)
    }
}
