//! Rows as plain bytes: which components they have, and the bytes of each column.
//!
//! Encoded, a batch is a head of 32 bytes, the components, and the parts one after the other; all numbers are little-endian.
//!
//! ```text
//!  0  8  "HYPOROWS"
//!  8  4  version: 1
//! 12  4  rows
//! 16  8  hash of the layout
//! 24  4  components
//! 28  4  0
//! 32  2  each component's number in the layout, ascending; scratch components and toggles included
//!  .. .. the parts
//! ```
//!
//! The parts are those of the columns of a table with these components, handles left out: the rows' bytes of a field, the words
//! of a column of bits, and of a list the rows' lengths (u32) and behind them each field of all elements. So the sizes of all
//! parts follow from the layout, the components, the rows, and the lengths.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::layout::{FieldType, Layout, ScalarType, Storage};
use crate::table::{ColumnKind, Item, Shape};

use super::error::RowBatchError;

const MAGIC: [u8; 8] = *b"HYPOROWS";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 32;

/// Rows of one table, out of a world: [`World::take_rows`](crate::World::take_rows), [`World::put_rows`](crate::World::put_rows).
#[derive(Clone, Debug)]
pub struct RowBatch {
    pub(super) layout: Arc<Layout>,
    pub(super) layout_hash: u64,
    pub(super) shape: Arc<Shape>,
    pub(super) rows: u32,
    /// In the order of [`parts_of`].
    pub(super) parts: Vec<Vec<u8>>,
}

/// What one part of a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A field of the rows.
    Field { component: u16, field: u8, ty: FieldType },
    /// Bits of the rows.
    Bits(ColumnKind),
    /// How many elements each row's list has.
    Lengths { component: u16 },
    /// A field of the elements of all rows' lists: those of the last [`Part::Lengths`].
    Elements { component: u16, field: u8, ty: FieldType },
}

impl Part {
    /// The component and the type of what may be handles or flags.
    pub(super) fn values(self) -> Option<(u16, FieldType)> {
        match self {
            Part::Field { component, ty, .. } | Part::Elements { component, ty, .. } => Some((component, ty)),
            Part::Bits(_) | Part::Lengths { .. } => None,
        }
    }
}

/// The parts of rows of a table, in order.
pub(super) fn parts_of(layout: &Layout, shape: &Shape) -> Vec<Part> {
    let fields = |component: u16| {
        let fields = &layout.components()[usize::from(component)].fields;
        (0u8..).zip(fields.iter().map(|field| field.ty))
    };
    let mut parts = Vec::new();
    for &(kind, item) in &shape.columns {
        match (kind, item) {
            (ColumnKind::Field { component, field }, _) => {
                let ty = layout.components()[usize::from(component)].fields[usize::from(field)].ty;
                parts.push(Part::Field { component, field, ty });
            }
            (ColumnKind::Span { component, part: 1 }, _) => {
                parts.push(Part::Lengths { component });
                parts.extend(fields(component).map(|(field, ty)| Part::Elements { component, field, ty }));
            }
            (_, Item::Bit) => parts.push(Part::Bits(kind)),
            _ => {}
        }
    }
    parts
}

/// Lengths of lists.
pub(super) fn lengths(part: &[u8]) -> impl Iterator<Item = u32> + '_ {
    part.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

impl RowBatch {
    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// Names of the rows' components, toggles that some of them may lack included.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.shape.components.iter().map(|id| self.layout.components()[usize::from(*id)].name.as_str())
    }

    /// The values of a field (`position.x`), one for each row, as bytes one after the other; of a field of handles the global ids
    /// of the entities (u64). `None` where the rows lack the component, or its values are a list.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<(FieldType, &[u8])> {
        let (component, field) = name.split_once('.')?;
        let (id, declared) = self.layout.component(component)?;
        let index = declared.fields.iter().position(|other| other.name == field)?;
        let parts = parts_of(&self.layout, &self.shape);
        parts.iter().zip(&self.parts).find_map(|(part, bytes)| match part {
            Part::Field { component, field, ty } if (usize::from(*component), usize::from(*field)) == (id, index) => {
                Some((*ty, &bytes[..]))
            }
            _ => None,
        })
    }

    /// Appends the batch's bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let parts: usize = self.parts.iter().map(Vec::len).sum();
        out.reserve(HEAD_BYTES + 2 * self.shape.components.len() + parts);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.layout_hash.to_le_bytes());
        out.extend_from_slice(&(self.shape.components.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        self.shape.components.iter().for_each(|component| out.extend_from_slice(&component.to_le_bytes()));
        self.parts.iter().for_each(|part| out.extend_from_slice(part));
    }

    /// The batch's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// A batch of its bytes, which may be anybody's.
    pub(super) fn decode(layout: &Arc<Layout>, layout_hash: u64, bytes: &[u8]) -> Result<RowBatch, RowBatchError> {
        let malformed = |what: String| RowBatchError::Malformed { what };
        let Some((head, mut rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Err(malformed(format!("there are {}, and the head takes {HEAD_BYTES}", bytes.len())));
        };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if head[..8] != MAGIC || word(8) != VERSION || word(28) != 0 {
            return Err(malformed(format!("they do not begin as a batch of version {VERSION} does")));
        }
        let got = u64::from(word(16)) | u64::from(word(20)) << 32;
        if got != layout_hash {
            return Err(RowBatchError::Layout { got, want: layout_hash });
        }
        let (rows, count) = (word(12), word(24) as usize);
        let ids = rest.split_off(..2 * count).ok_or_else(|| malformed(format!("they end among {count} components")))?;
        let ids: Vec<u16> = ids.as_chunks::<2>().0.iter().map(|id| u16::from_le_bytes(*id)).collect();
        let known = layout.components().len();
        if !ids.is_sorted_by(|a, b| a < b) || ids.last().is_some_and(|last| usize::from(*last) >= known) {
            return Err(malformed(format!("components are {ids:?}, which do not ascend below {known}")));
        }
        let shape = Arc::new(Shape::new(layout, &ids));
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut elements = 0;
        for part in parts_of(layout, &shape) {
            let size = match part {
                Part::Field { ty, .. } => u64::from(rows) * ty.bytes() as u64,
                Part::Bits(_) => u64::from(rows).div_ceil(64) * 8,
                Part::Lengths { .. } => u64::from(rows) * 4,
                // no more than 2^32 times 2^32 elements of at most 2^16 bytes: it may be more than 64 bits hold
                Part::Elements { ty, .. } => u64::saturating_mul(elements, ty.bytes() as u64),
            };
            let left = rest.len();
            let taken = usize::try_from(size).ok().and_then(|size| rest.split_off(..size));
            let taken =
                taken.ok_or_else(|| malformed(format!("{size} bytes of {part:?} are missing: {left} are left")))?;
            check_part(part, rows, taken).map_err(malformed)?;
            if let Part::Lengths { .. } = part {
                elements = lengths(taken).map(u64::from).sum();
            }
            parts.push(taken.to_vec());
        }
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes follow the last part", rest.len())));
        }
        Ok(RowBatch { layout: Arc::clone(layout), layout_hash, shape, rows, parts })
    }

    /// Components that decide the rows' table, and toggles that some rows may have.
    pub(super) fn component_ids(&self) -> &[u16] {
        &self.shape.components
    }

    /// Lists among the components, each with the elements of all rows.
    pub(super) fn list_elements(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let parts = parts_of(&self.layout, &self.shape).into_iter().zip(&self.parts);
        parts.filter_map(|(part, bytes)| match part {
            Part::Lengths { component } => Some((component, lengths(bytes).map(u64::from).sum())),
            _ => None,
        })
    }

    /// Whether a toggle is on for any row, where the component is one.
    pub(super) fn is_in_use(&self, component: u16) -> bool {
        if self.layout.components()[usize::from(component)].storage != Storage::Toggle {
            return true;
        }
        let parts = parts_of(&self.layout, &self.shape).into_iter().zip(&self.parts);
        let mut presence = parts.filter(|(part, _)| *part == Part::Bits(ColumnKind::Presence { component }));
        presence.any(|(_, words)| words.iter().any(|byte| *byte != 0))
    }
}

/// What the engine relies on in a column: flags are 0 or 1, and there are no bits for rows that there are not.
fn check_part(part: Part, rows: u32, bytes: &[u8]) -> Result<(), String> {
    match part {
        Part::Bits(_) => {
            let beyond = rows % 64;
            match bytes.last_chunk::<8>() {
                Some(word) if beyond > 0 && u64::from_le_bytes(*word) >> beyond != 0 => {
                    Err(format!("{part:?} has bits for rows that there are not: there are {rows}"))
                }
                _ => Ok(()),
            }
        }
        Part::Field { ty, .. } | Part::Elements { ty, .. } if ty.scalar == ScalarType::Bool => {
            match bytes.iter().find(|byte| **byte > 1) {
                Some(byte) => Err(format!("a bool of {part:?} is {byte}, and not 0 or 1")),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
