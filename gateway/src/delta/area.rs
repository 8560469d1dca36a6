//! Rows inside a box: bounds on one to three fields.

use std::collections::BTreeMap;

use hypostyle::layout::{Layout, ScalarType};

use super::select::{SelectError, find_field};
use super::state::{Role, State, StateTable};

/// One field and its bounds, inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Side {
    component: u16,
    field: u8,
    scalar: ScalarType,
    min: f64,
    max: f64,
}

/// A box in the space of one to three numeric fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Area {
    sides: Vec<Side>,
}

/// Which rows of each table are inside: bits, like those of a presence column. Tables without the fields are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AreaMasks {
    pub(super) tables: BTreeMap<u32, Vec<u64>>,
}

impl AreaMasks {
    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tables.values().map(|words| 8 * words.len()).sum()
    }
}

impl Area {
    pub(super) fn new<'n>(
        layout: &Layout,
        bounds: impl IntoIterator<Item = (&'n str, f64, f64)>,
    ) -> Result<Self, SelectError> {
        let mut sides: Vec<Side> = Vec::new();
        for (name, min, max) in bounds {
            let (component, field, scalar) = find_field(layout, name)?;
            let ty = layout.components()[usize::from(component)].fields[usize::from(field)].ty;
            if ty.array_len != 0 || matches!(scalar, ScalarType::Bool | ScalarType::Entity) {
                let wanted = "a number that is no array";
                return Err(SelectError::Type { name: name.into(), found: ty.to_string(), wanted });
            }
            if min.is_nan() || max.is_nan() || min > max {
                let expected = "the smaller bound comes first, and both are numbers";
                return Err(SelectError::Number { what: format!("the range of {name}"), expected });
            }
            sides.push(Side { component, field, scalar, min, max });
        }
        if !(1..=3).contains(&sides.len()) {
            return Err(SelectError::Number { what: "the box".into(), expected: "it has one to three fields" });
        }
        Ok(Area { sides })
    }

    /// Component and place of each of its fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = (u16, u8)> {
        self.sides.iter().map(|side| (side.component, side.field))
    }

    /// Which rows of a state are inside now.
    #[must_use]
    pub fn masks(&self, state: &State) -> AreaMasks {
        let tables = state.tables.iter().filter_map(|(id, table)| Some((*id, self.mask(table)?)));
        AreaMasks { tables: tables.collect() }
    }

    fn mask(&self, table: &StateTable) -> Option<Vec<u64>> {
        let mut words = vec![u64::MAX; (table.rows as usize).div_ceil(64)];
        for side in &self.sides {
            let role = Role { code: Role::FIELD, field: side.field, component: side.component };
            side.narrow(&table.column(role)?.bytes, &mut words);
        }
        if let Some(last) = words.last_mut().filter(|_| !table.rows.is_multiple_of(64)) {
            *last &= u64::MAX >> (64 - table.rows % 64);
        }
        Some(words)
    }
}

impl Side {
    /// Clears the bits of rows outside.
    fn narrow(&self, bytes: &[u8], words: &mut [u64]) {
        macro_rules! narrow {
            ($type:ty, $bytes:literal) => {{
                let values = bytes.as_chunks::<$bytes>().0;
                for (word, values) in words.iter_mut().zip(values.chunks(64)) {
                    let inside = |bytes: &[u8; $bytes]| {
                        let value = <$type>::from_le_bytes(*bytes) as f64;
                        value >= self.min && value <= self.max
                    };
                    *word &= values.iter().enumerate().fold(0, |bits, (i, v)| bits | u64::from(inside(v)) << i);
                }
            }};
        }
        match self.scalar {
            ScalarType::F32 => narrow!(f32, 4),
            ScalarType::F64 => narrow!(f64, 8),
            ScalarType::I8 => narrow!(i8, 1),
            ScalarType::I16 => narrow!(i16, 2),
            ScalarType::I32 => narrow!(i32, 4),
            ScalarType::I64 => narrow!(i64, 8),
            ScalarType::U8 | ScalarType::Bool => narrow!(u8, 1),
            ScalarType::U16 => narrow!(u16, 2),
            ScalarType::U32 => narrow!(u32, 4),
            ScalarType::U64 | ScalarType::Entity => narrow!(u64, 8),
            small => {
                // nobody has made a side of another type
                let value = |bytes: &[u8]| small.small_value(bytes).map_or(f64::NAN, f64::from);
                for (word, values) in words.iter_mut().zip(bytes.chunks(64 * small.bytes())) {
                    let inside = |value: f64| value >= self.min && value <= self.max;
                    let values = values.chunks_exact(small.bytes()).enumerate();
                    *word &= values.fold(0, |bits, (i, bytes)| bits | u64::from(inside(value(bytes))) << i);
                }
            }
        }
    }
}
