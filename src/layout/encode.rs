//! A layout as bytes, and the hash of what decides the meaning of a world's bytes.
//!
//! The encoding is canonical: a layout has exactly one, and bytes that decode are what their layout encodes to. All
//! integers are little-endian, nothing is padded, every count is checked against its limit before it is believed.
//!
//! ```text
//! layout     4  magic "HYLA"
//!            4  u32 version, 1
//!            8  u64 bytes of the whole encoding
//!            8  u64 bytes_max
//!            2  u16 components       (at most COMPONENTS_MAX)
//!            2  u16 resources        (at most RESOURCES_MAX)
//!            2  u16 tables           (at most TABLE_HINTS_MAX)
//!            2  u16 0
//!            .  name
//!            .  components, resources, tables, one after the other
//! name       1  u8 length in bytes   (at most NAME_BYTES_MAX)
//!            .  ASCII: a-z, then a-z 0-9 _
//! component  .  name
//!            1  u8 flags: bit 0 toggle storage, bit 1 tracks changes, bit 2 scratch storage; the others 0
//!            1  u8 fields            (at most FIELDS_MAX)
//!            .  fields
//! resource   .  name
//!            1  u8 fields            (1 to FIELDS_MAX)
//!            .  fields
//! field      .  name
//!            1  u8 scalar type: f32 1, f64 2, i8 3, i16 4, i32 5, i64 6, u8 7, u16 8, u32 9, u64 10, bool 11,
//!               entity 12
//!            1  u8 flags: bit 0 a default follows, bit 1 a unit and a description follow; the others 0
//!            2  u16 array length, 0 for a plain scalar (at most ARRAY_LEN_MAX)
//!            .  the default: the value's bytes
//!            .  text: the unit, text: the description (one of them may be empty)
//! text       1  u8 length in bytes   (at most UNIT_BYTES_MAX, DESCRIPTION_BYTES_MAX)
//!            .  UTF-8 without control characters
//! table      8  u64 rows
//!            2  u16 components
//!            .  u16 each: the component's id (its place in the layout)
//! ```
#![forbid(unsafe_code)]

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::layout::validate::validate;
use crate::layout::{
    ComponentLayout, FieldLayout, FieldType, Layout, LayoutError, LayoutProblem, ResourceLayout, ScalarType, Storage,
    TableHint,
};
use crate::limits::{
    ARRAY_LEN_MAX, COMPONENTS_MAX, FIELDS_MAX, LAYOUT_BYTES_MAX, NAME_BYTES_MAX, RESOURCES_MAX, TABLE_HINTS_MAX,
};

const MAGIC: [u8; 4] = *b"HYLA";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
/// Where the whole encoding's length stands.
const LENGTH_OFFSET: usize = 8;
const FLAG_TOGGLE: u8 = 1;
const FLAG_TRACK_CHANGES: u8 = 2;
const FLAG_SCRATCH: u8 = 4;
const FLAG_LIST: u8 = 8;
const FIELD_DEFAULT: u8 = 1;
const FIELD_WORDS: u8 = 2;
const LIST_AND_SCRATCH: u8 = FLAG_LIST | FLAG_SCRATCH;
/// Begins what is hashed, so that a change of the rules changes every hash.
const HASH_PREFIX: &[u8] = b"hypostyle layout 1";

impl Layout {
    /// The layout's canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.bytes_max.to_le_bytes());
        for count in [self.components.len(), self.resources.len(), self.tables.len(), 0] {
            put_u16(&mut out, count);
        }
        put_name(&mut out, &self.name);
        for component in &self.components {
            put_component(&mut out, component, true);
        }
        for resource in &self.resources {
            put_resource(&mut out, resource, true);
        }
        let ids: HashMap<&str, usize> = self.components.iter().enumerate().map(|(i, c)| (c.name.as_str(), i)).collect();
        for table in &self.tables {
            out.extend_from_slice(&table.rows.to_le_bytes());
            put_u16(&mut out, table.components.len());
            for name in &table.components {
                put_u16(&mut out, ids[name.as_str()]);
            }
        }
        let bytes = out.len() as u64;
        out[LENGTH_OFFSET..LENGTH_OFFSET + 8].copy_from_slice(&bytes.to_le_bytes());
        out
    }

    /// Reads a layout from its canonical bytes and validates it. The bytes may come from anywhere.
    ///
    /// # Errors
    /// [`LayoutError::Encoded`] where the bytes are not an encoding, [`LayoutError::Invalid`] where they encode
    /// something that no layout may be.
    pub fn decode(bytes: &[u8]) -> Result<Layout, LayoutError> {
        let mut reader = Reader { bytes, at: 0 };
        let layout =
            reader.layout().map_err(|problem| LayoutError::Encoded { offset: reader.at, problem: problem.into() })?;
        validate(&layout)?;
        Ok(layout)
    }

    /// The hash (xxh3, 64 bits) of what decides the meaning of a world's bytes: components and resources in order,
    /// their names, fields, types, storage and tracking. The world's name, defaults, tables and `bytes_max` do not
    /// count.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut out = HASH_PREFIX.to_vec();
        put_u16(&mut out, self.components.len());
        put_u16(&mut out, self.resources.len());
        for component in &self.components {
            put_component(&mut out, component, false);
        }
        for resource in &self.resources {
            put_resource(&mut out, resource, false);
        }
        xxh3_64(&out)
    }
}

/// Appends a count or id that validation has bounded to 16 bits.
fn put_u16(out: &mut Vec<u8>, value: usize) {
    debug_assert!(u16::try_from(value).is_ok(), "bounded by validation");
    out.extend_from_slice(&(value as u16).to_le_bytes());
}

/// Appends a name; validation has bounded its length to one byte.
fn put_name(out: &mut Vec<u8>, name: &str) {
    debug_assert!(name.len() <= NAME_BYTES_MAX, "bounded by validation");
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

fn put_component(out: &mut Vec<u8>, component: &ComponentLayout, defaults: bool) {
    put_name(out, &component.name);
    let storage = match component.storage {
        Storage::Table => 0,
        Storage::Toggle => FLAG_TOGGLE,
        Storage::Scratch => FLAG_SCRATCH,
        Storage::List => FLAG_LIST,
        Storage::ScratchList => LIST_AND_SCRATCH,
    };
    out.push(storage | if component.track_changes { FLAG_TRACK_CHANGES } else { 0 });
    put_fields(out, &component.fields, defaults);
}

fn put_resource(out: &mut Vec<u8>, resource: &ResourceLayout, defaults: bool) {
    put_name(out, &resource.name);
    put_fields(out, &resource.fields, defaults);
}

/// Appends fields, with or without what does not decide the meaning of bytes.
fn put_fields(out: &mut Vec<u8>, fields: &[FieldLayout], whole: bool) {
    debug_assert!(fields.len() <= FIELDS_MAX, "bounded by validation");
    out.push(fields.len() as u8);
    for field in fields {
        let default = field.default.as_ref().filter(|_| whole);
        let words = whole && has_words(field);
        put_name(out, &field.name);
        out.push(field.ty.scalar as u8);
        out.push(if default.is_some() { FIELD_DEFAULT } else { 0 } | if words { FIELD_WORDS } else { 0 });
        put_u16(out, field.ty.array_len as usize);
        if let Some(bytes) = default {
            out.extend_from_slice(bytes);
        }
        for text in [&field.unit, &field.description].into_iter().filter(|_| words) {
            debug_assert!(u8::try_from(text.len()).is_ok(), "bounded by validation");
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn has_words(field: &FieldLayout) -> bool {
    !field.unit.is_empty() || !field.description.is_empty()
}

/// Length of [`Layout::encode`] for a layout whose parts are within their limits, without encoding it.
pub(super) fn encoded_bytes(layout: &Layout) -> u64 {
    let fields = |fields: &[FieldLayout]| -> usize {
        let words = |f: &FieldLayout| if has_words(f) { 2 + f.unit.len() + f.description.len() } else { 0 };
        fields.iter().map(|f| 5 + f.name.len() + f.default.as_ref().map_or(0, Vec::len) + words(f)).sum()
    };
    let components: usize = layout.components.iter().map(|c| 3 + c.name.len() + fields(&c.fields)).sum();
    let resources: usize = layout.resources.iter().map(|r| 2 + r.name.len() + fields(&r.fields)).sum();
    let tables: usize = layout.tables.iter().map(|t| 10 + 2 * t.components.len()).sum();
    (HEADER_BYTES + 1 + layout.name.len() + components + resources + tables) as u64
}

/// Reads an encoding front to back; `at` stands at the part that is being read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn layout(&mut self) -> Result<Layout, LayoutProblem> {
        if self.bytes.len() > LAYOUT_BYTES_MAX {
            return Err(LayoutProblem::TooLarge { bytes: self.bytes.len() as u64 });
        }
        let magic = self.array("the magic")?;
        if magic != MAGIC {
            let found = u32::from_le_bytes(magic).into();
            return Err(wrong("the magic", found, "an encoded layout begins with \"HYLA\""));
        }
        let version = u32::from_le_bytes(self.array("the version")?);
        if version != VERSION {
            return Err(wrong("the version", version.into(), "this build reads version 1"));
        }
        let length = u64::from_le_bytes(self.array("the length")?);
        if length != self.bytes.len() as u64 {
            return Err(wrong("the length", length, "it must be the length of the bytes given"));
        }
        let bytes_max = u64::from_le_bytes(self.array("bytes_max")?);
        let components = self.count("the number of components", COMPONENTS_MAX)?;
        let resources = self.count("the number of resources", RESOURCES_MAX)?;
        let tables = self.count("the number of tables", TABLE_HINTS_MAX)?;
        self.count("the reserved word", 0)?;
        let name = self.name()?;
        // Vectors grow as their parts turn up, so a count alone never allocates anything.
        let mut layout = Layout { name, bytes_max, components: vec![], resources: vec![], tables: vec![] };
        for _ in 0..components {
            layout.components.push(self.component()?);
        }
        for _ in 0..resources {
            layout.resources.push(ResourceLayout { name: self.name()?, fields: self.fields()? });
        }
        for _ in 0..tables {
            layout.tables.push(self.table(&layout.components)?);
        }
        if self.at != self.bytes.len() {
            let left = (self.bytes.len() - self.at) as u64;
            return Err(wrong("what follows the layout", left, "an encoding ends with its last table"));
        }
        Ok(layout)
    }

    fn component(&mut self) -> Result<ComponentLayout, LayoutProblem> {
        let name = self.name()?;
        let [flags] = self.array("a component's flags")?;
        if flags & !(FLAG_TOGGLE | FLAG_TRACK_CHANGES | FLAG_SCRATCH | FLAG_LIST) != 0 {
            return Err(wrong("a component's flags", flags.into(), "only bits 0 to 3 are known"));
        }
        let storage = match flags & (FLAG_TOGGLE | FLAG_SCRATCH | FLAG_LIST) {
            0 => Storage::Table,
            FLAG_TOGGLE => Storage::Toggle,
            FLAG_SCRATCH => Storage::Scratch,
            FLAG_LIST => Storage::List,
            LIST_AND_SCRATCH => Storage::ScratchList,
            _ => return Err(wrong("a component's flags", flags.into(), "a toggle is neither scratch nor a list")),
        };
        let fields = self.fields()?;
        Ok(ComponentLayout { name, fields, storage, track_changes: flags & FLAG_TRACK_CHANGES != 0 })
    }

    fn fields(&mut self) -> Result<Vec<FieldLayout>, LayoutProblem> {
        let [count] = self.array("the number of fields")?;
        if usize::from(count) > FIELDS_MAX {
            return Err(wrong("the number of fields", count.into(), "it must be within FIELDS_MAX"));
        }
        (0..count).map(|_| self.field()).collect()
    }

    fn field(&mut self) -> Result<FieldLayout, LayoutProblem> {
        let name = self.name()?;
        let [code] = self.array("a field's scalar type")?;
        let scalar = ScalarType::from_code(code)
            .ok_or_else(|| wrong("a field's scalar type", code.into(), "types have the codes 1 to 12"))?;
        let [flags] = self.array("a field's flags")?;
        if flags & !(FIELD_DEFAULT | FIELD_WORDS) != 0 {
            return Err(wrong("a field's flags", flags.into(), "only bits 0 and 1 are known"));
        }
        let array_len = self.count("an array's length", ARRAY_LEN_MAX as usize)?.into();
        let ty = FieldType { scalar, array_len };
        let has_default = flags & FIELD_DEFAULT != 0;
        let default = if has_default { Some(self.take("a default", ty.bytes())?.to_vec()) } else { None };
        let mut field = FieldLayout { default, ..FieldLayout::new(name, ty) };
        if flags & FIELD_WORDS != 0 {
            (field.unit, field.description) = (self.text("a unit")?, self.text("a description")?);
            if !has_words(&field) {
                return Err(wrong("a field's flags", flags.into(), "bit 1 says that there is a unit or a description"));
            }
        }
        Ok(field)
    }

    fn table(&mut self, known: &[ComponentLayout]) -> Result<TableHint, LayoutProblem> {
        let rows = u64::from_le_bytes(self.array("a table's rows")?);
        let count = self.count("a table's components", known.len())?;
        let mut components = Vec::new();
        for _ in 0..count {
            let id = u16::from_le_bytes(self.array("a table's component")?);
            let component = known
                .get(usize::from(id))
                .ok_or_else(|| wrong("a table's component", id.into(), "it must be the id of a component"))?;
            components.push(component.name.clone());
        }
        Ok(TableHint { components, rows })
    }

    fn name(&mut self) -> Result<String, LayoutProblem> {
        let [len] = self.array("a name's length")?;
        if usize::from(len) > NAME_BYTES_MAX {
            return Err(wrong("a name's length", len.into(), "it must be within NAME_BYTES_MAX"));
        }
        let bytes = self.take("a name", len.into())?;
        match bytes.iter().find(|b| !b.is_ascii()) {
            Some(byte) => Err(wrong("a name's byte", (*byte).into(), "names are ASCII")),
            None => Ok(bytes.iter().copied().map(char::from).collect()),
        }
    }

    fn text(&mut self, what: &'static str) -> Result<String, LayoutProblem> {
        let [len] = self.array(what)?;
        let bytes = self.take(what, len.into())?;
        str::from_utf8(bytes).map(str::to_owned).map_err(|_| wrong(what, len.into(), "it must be UTF-8"))
    }

    fn count(&mut self, what: &'static str, max: usize) -> Result<u16, LayoutProblem> {
        let count = u16::from_le_bytes(self.array(what)?);
        if usize::from(count) > max {
            return Err(wrong(what, count.into(), "it must be within its limit"));
        }
        Ok(count)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], LayoutProblem> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(what, N)?);
        Ok(out)
    }

    fn take(&mut self, what: &'static str, needed: usize) -> Result<&'a [u8], LayoutProblem> {
        let rest = &self.bytes[self.at..];
        if needed > rest.len() {
            return Err(LayoutProblem::EncodedEnd { what, needed, left: rest.len() });
        }
        self.at += needed;
        Ok(&rest[..needed])
    }
}

fn wrong(what: &'static str, found: u64, expected: &'static str) -> LayoutProblem {
    LayoutProblem::EncodedValue { what, found, expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::arbitrary::layouts;
    use crate::limits::WORLD_BYTES_MIN;

    fn small() -> Layout {
        let x = FieldLayout {
            default: Some(1.0_f32.to_le_bytes().to_vec()),
            ..FieldLayout::new("x", FieldType::scalar(ScalarType::F32))
        };
        let at = ComponentLayout {
            name: "at".into(),
            fields: vec![x.clone()],
            storage: Storage::Toggle,
            track_changes: true,
        };
        let g = ResourceLayout { name: "g".into(), fields: vec![FieldLayout { default: None, ..x }] };
        let table = TableHint { components: vec!["at".into()], rows: 7 };
        Layout::new("w", vec![at], vec![g], vec![table], WORLD_BYTES_MIN).unwrap()
    }

    /// The format is fixed: these bytes must decode for ever.
    #[test]
    fn bytes_are_as_documented() {
        let mut expected = b"HYLA\x01\0\0\0".to_vec();
        expected.extend_from_slice(&70_u64.to_le_bytes());
        expected.extend_from_slice(&(1_u64 << 20).to_le_bytes());
        expected.extend_from_slice(&[1, 0, 1, 0, 1, 0, 0, 0]);
        expected.extend_from_slice(b"\x01w");
        expected.extend_from_slice(b"\x02at\x03\x01\x01x\x01\x01\0\0\0\0\x80\x3f");
        expected.extend_from_slice(b"\x01g\x01\x01x\x01\0\0\0");
        expected.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(small().encode(), expected);
        assert_eq!(Layout::decode(&expected).unwrap(), small());
    }

    /// Words stand behind the default, and their flag beside its own.
    #[test]
    fn units_and_descriptions_are_encoded_where_there_are_any() {
        let mut layout = small();
        layout.components[0].fields[0].unit = "m/s²".into();
        layout.resources[0].fields[0].description = "how \"strong\"".into();
        let (plain, told) = (small().encode(), layout.encode());
        let with = |text: &[u8]| told.windows(text.len()).any(|bytes| bytes == text);
        assert!(with(b"\x01x\x01\x03\0\0\0\0\x80\x3f\x05m/s\xc2\xb2\0"), "{told:?}");
        assert!(with(b"\x01x\x01\x02\0\0\0\x0chow \"strong\""), "{told:?}");
        assert_eq!((told.len(), layout.hash()), (plain.len() + 7 + 14, small().hash()));
        assert_eq!(Layout::decode(&told).unwrap(), layout);
        // a flag without words is not how it is encoded
        let at = told.windows(8).position(|bytes| bytes == *b"\x05m/s\xc2\xb2\0\x01").unwrap();
        let mut none = told.clone();
        none.splice(at..at + 7, [0, 0]);
        none[LENGTH_OFFSET..LENGTH_OFFSET + 8].copy_from_slice(&(told.len() as u64 - 5).to_le_bytes());
        assert!(Layout::decode(&none).unwrap_err().to_string().contains("bit 1 says that there is a unit"));
        layout.components[0].fields[0].unit = "a\nb".into();
        assert!(Layout::decode(&layout.encode()).unwrap_err().to_string().contains("one line of at most 32 bytes"));
    }

    #[test]
    fn hash_sees_only_what_decides_the_bytes() {
        let layout = small();
        let mut same = layout.clone();
        same.name = "other".into();
        same.bytes_max *= 2;
        same.tables.clear();
        same.components[0].fields[0].default = None;
        assert_eq!(same.hash(), layout.hash());
        let changes: [fn(&mut Layout); 8] = [
            |l| l.components[0].name = "to".into(),
            |l| l.components[0].storage = Storage::Table,
            |l| l.components[0].track_changes = false,
            |l| l.components[0].fields[0].name = "y".into(),
            |l| l.components[0].fields[0].ty = FieldType::scalar(ScalarType::U32),
            |l| l.components[0].fields[0].ty = FieldType::array(ScalarType::F32, 1),
            |l| l.resources[0].name = "h".into(),
            |l| l.resources.clear(),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut other = layout.clone();
            change(&mut other);
            assert_ne!(other.hash(), layout.hash(), "change {i}");
        }
    }

    #[test]
    fn errors_say_where() {
        let good = small().encode();
        let error = |bytes: &[u8]| Layout::decode(bytes).unwrap_err().to_string();
        assert_eq!(error(b"HY"), "not an encoded layout: at byte 0: the magic takes 4 bytes, but only 2 are left");
        assert!(error(b"HYLX0000").contains("begins with \"HYLA\""));
        assert!(error(&good[..good.len() - 1]).contains("the length is 70"));
        let mut bad = good.clone();
        bad[26] = 0xff;
        bad[27] = 0xff;
        assert!(error(&bad).contains("the number of resources is 65535"), "{}", error(&bad));
        let mut bad = good;
        bad[33] = b'W';
        assert!(error(&bad).contains("snake_case"), "{}", error(&bad));
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(layout in layouts()) {
            let bytes = layout.encode();
            prop_assert_eq!(bytes.len() as u64, encoded_bytes(&layout));
            prop_assert_eq!(Layout::decode(&bytes).unwrap(), layout);
        }

        #[test]
        fn mutated_bytes_are_refused_or_canonical(
            layout in layouts(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
            truncate in any::<bool>(),
        ) {
            let mut bytes = layout.encode();
            if truncate {
                bytes.truncate(cut.index(bytes.len()));
                let len = bytes.len() as u64;
                if let Some(length) = bytes.get_mut(8..16) {
                    length.copy_from_slice(&len.to_le_bytes());
                }
            }
            for (place, value) in changes {
                if !bytes.is_empty() {
                    let at = place.index(bytes.len());
                    bytes[at] = value;
                }
            }
            if let Ok(layout) = Layout::decode(&bytes) {
                prop_assert_eq!(layout.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_canonical(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = b"HYLA\x01\0\0\0".to_vec();
            bytes.extend_from_slice(&(16 + tail.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&tail);
            if let Ok(layout) = Layout::decode(&bytes) {
                prop_assert_eq!(layout.encode(), bytes);
            }
        }
    }
}
