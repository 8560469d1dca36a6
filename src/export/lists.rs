//! Lists of rows as Arrow lists: one for each field of the elements. Where the rows' lists stand one after the other in memory,
//! as systems that set all of them leave them, their elements are not copied.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, LargeListArray, new_null_array};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use crate::generation::SnapshotError;
use crate::layout::FieldType;

use super::ExportError;
use super::batches::Columns;
use super::schema::{data_type, item_field};

/// The elements of a list of this field.
fn element_field(ty: FieldType) -> Arc<Field> {
    let scalar = data_type(ty.scalar);
    let ty =
        if ty.array_len == 0 { scalar } else { DataType::FixedSizeList(item_field(ty.scalar), ty.array_len as i32) };
    Arc::new(Field::new("item", ty, true))
}

/// The Arrow type of lists of this field.
pub(super) fn list_type(ty: FieldType) -> DataType {
    DataType::LargeList(element_field(ty))
}

/// Whether lists stand one after the other; which elements they are together.
fn together(starts: &[u32], lengths: &[u32]) -> Option<Range<usize>> {
    let first = starts.first().map_or(0, |start| *start as usize);
    let mut next = first;
    for (start, length) in starts.iter().zip(lengths) {
        if *length > 0 && *start as usize != next {
            // empty ones in front may be anywhere
            if next != first {
                return None;
            }
            return together_from(starts, lengths);
        }
        next += *length as usize;
    }
    Some(first..next)
}

/// The same, from the first list that has elements on.
fn together_from(starts: &[u32], lengths: &[u32]) -> Option<Range<usize>> {
    let from = lengths.iter().position(|length| *length > 0)?;
    if from == 0 { None } else { together(&starts[from..], &lengths[from..]) }
}

impl Columns<'_> {
    /// One field of the rows' lists.
    pub(super) fn lists(&self, component: &str, field: &str, ty: FieldType) -> Result<ArrayRef, ExportError> {
        let Some(lists) = self.table.lists_named(component)? else {
            return Ok(new_null_array(&list_type(ty), self.rows.len()));
        };
        let (starts, lengths) = (&lists.starts()[self.rows.clone()], &lists.lengths()[self.rows.clone()]);
        let column = lists.columns().find(|(name, ..)| *name == field);
        let (.., bytes) = column.ok_or_else(|| SnapshotError::Directory("a list lacks a field".to_owned()))?;
        let size = ty.bytes();
        let values = match together(starts, lengths) {
            Some(elements) => self.held.buffer(&bytes[elements.start * size..elements.end * size]),
            None => {
                let total: usize = lengths.iter().map(|length| *length as usize * size).sum();
                // of the widest alignment
                let mut words = vec![0u64; total.div_ceil(8)];
                let mut rest = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..total];
                for (start, length) in starts.iter().zip(lengths) {
                    let (own, later) = rest.split_at_mut(*length as usize * size);
                    own.copy_from_slice(&bytes[*start as usize * size..][..own.len()]);
                    rest = later;
                }
                Buffer::from_vec(words).slice_with_length(0, total)
            }
        };
        let scalars = self.scalars(values, ty.scalar, None);
        let elements: ArrayRef = match ty.array_len {
            0 => scalars,
            len => Arc::new(FixedSizeListArray::try_new(item_field(ty.scalar), len as i32, scalars, None)?),
        };
        let mut end = 0;
        let ends = lengths.iter().map(|length| {
            end += i64::from(*length);
            end
        });
        let offsets: Vec<i64> = std::iter::once(0).chain(ends).collect();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(LargeListArray::try_new(element_field(ty), offsets, elements, None)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_together_where_only_empty_ones_stand_elsewhere() {
        assert_eq!(together(&[], &[]), Some(0..0));
        assert_eq!(together(&[5, 7, 7], &[2, 0, 3]), Some(5..10));
        assert_eq!(together(&[5, 0, 7], &[2, 0, 3]), Some(5..10));
        assert_eq!(together(&[0, 0, 7, 9], &[0, 0, 2, 1]), Some(7..10));
        assert_eq!(together(&[5, 8], &[2, 1]), None);
        assert_eq!(together(&[8, 5], &[2, 1]), None);
        assert_eq!(together(&[3, 4], &[0, 0]), Some(3..3));
    }
}
