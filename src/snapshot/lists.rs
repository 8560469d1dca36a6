//! Lists of a snapshot as they lie in memory, by name.
#![forbid(unsafe_code)]

use crate::generation::SnapshotError;
use crate::layout::{ComponentLayout, FieldType};
use crate::value::ColumnItem;

/// The lists of a table's rows, of one component, in place: where each row's list begins among the elements, how many it has,
/// and the elements of all lists of the component, one column per field.
///
/// In numpy's and Arrow's words: a list view whose offsets and sizes are two columns.
#[derive(Clone, Debug)]
pub struct RawLists<'s> {
    pub(super) declared: &'s ComponentLayout,
    pub(super) starts: &'s [u32],
    pub(super) lengths: &'s [u32],
    pub(super) columns: Vec<(FieldType, &'s [u8])>,
    pub(super) elements: usize,
}

impl<'s> RawLists<'s> {
    /// The place of each row's first element. With its length it stays within the elements.
    #[must_use]
    pub fn starts(&self) -> &'s [u32] {
        self.starts
    }

    /// How many elements each row's list has.
    #[must_use]
    pub fn lengths(&self) -> &'s [u32] {
        self.lengths
    }

    /// Elements there are, those of other tables' rows and those that no row has any more included.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Whether the rows' lists stand one after the other, in the order of the rows and without gaps: then the starts and the end
    /// of the last list are the offsets of an Arrow list.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        let mut next = self.starts.first().copied().unwrap_or(0);
        self.starts.iter().zip(self.lengths).all(|(start, length)| {
            let fits = *start == next;
            next = start.wrapping_add(*length);
            fits
        })
    }

    /// The columns of the elements: each field's name and type, and the bytes of its values.
    pub fn columns(&self) -> impl Iterator<Item = (&'s str, FieldType, &'s [u8])> + '_ {
        let named = self.declared.fields.iter().zip(&self.columns);
        named.map(|(field, (ty, bytes))| (field.name.as_str(), *ty, *bytes))
    }

    /// A field of all elements, typed.
    ///
    /// # Errors
    /// No such field, or another type.
    pub fn column<T: ColumnItem>(&self, field: &str) -> Result<&'s [T], SnapshotError> {
        let name = || format!("{}.{field}", self.declared.name);
        let Some((_, declared, bytes)) = self.columns().find(|(other, ..)| *other == field) else {
            let known: Vec<&str> = self.columns().map(|(name, ..)| name).collect();
            return Err(SnapshotError::UnknownColumn { name: name(), known: known.join(", ") });
        };
        if declared != T::TYPE {
            return Err(SnapshotError::Type { name: name(), declared, asked: T::TYPE });
        }
        Ok(bytemuck::cast_slice(bytes))
    }
}
