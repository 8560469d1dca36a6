//! Record batches over a generation: table after table, each in slices.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, PrimitiveArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::SchemaRef;

use crate::component::Entity;
use crate::generation::SnapshotError;
use crate::layout::{FieldType, ScalarType};
use crate::snapshot::{Pinned, Reader, TableView};
use crate::table::Presence;

use super::memory::Held;
use super::schema::{Source, data_type, item_field, schema};
use super::{ExportError, ExportOptions};

/// Rows of one batch: what a writer encodes at once. A multiple of 64, so that bits can be sliced.
const BATCH_ROWS: usize = 1 << 18;

/// A generation as record batches. It holds the generation, and so does every batch that came of it.
///
/// Each table that has rows gives one batch or more, in the order of the tables and their rows.
pub struct Batches {
    held: Held,
    schema: SchemaRef,
    sources: Vec<Source>,
    /// Table and rows of each batch.
    parts: std::vec::IntoIter<(usize, Range<usize>)>,
}

impl Batches {
    /// Pins the newest generation.
    ///
    /// # Errors
    /// Nothing to pin; an unknown component.
    pub fn new(reader: Reader, options: &ExportOptions) -> Result<Batches, ExportError> {
        Batches::of(reader.into_pinned()?, options)
    }

    /// Batches of a generation that is pinned already.
    ///
    /// # Errors
    /// An unknown component.
    pub fn of(pinned: Pinned, options: &ExportOptions) -> Result<Batches, ExportError> {
        let held = Held::new(pinned);
        let (schema, sources, parts) = {
            let snapshot = held.pinned().snapshot();
            let (schema, sources) = schema(&snapshot, options)?;
            let wanted = |table: &TableView<'_>| match &options.components {
                _ if table.is_elsewhere() => false,
                None => true,
                Some(names) => table.components().any(|name| names.iter().any(|other| other == name)),
            };
            let tables = snapshot.tables().enumerate().filter(|(_, table)| wanted(table));
            let parts: Vec<_> = tables
                .flat_map(|(index, table)| {
                    let rows = table.rows();
                    (0..rows).step_by(BATCH_ROWS).map(move |from| (index, from..rows.min(from + BATCH_ROWS)))
                })
                .collect();
            (schema, sources, parts.into_iter())
        };
        Ok(Batches { held, schema, sources, parts })
    }

    /// The schema of all batches, with the layout and what is told of the generation in its metadata.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn batch(&self, table: usize, rows: Range<usize>) -> Result<RecordBatch, ExportError> {
        let snapshot = self.held.pinned().snapshot();
        let found = snapshot.tables().nth(table);
        let table = found.ok_or_else(|| SnapshotError::Directory("a table is missing".to_owned()))?;
        let columns = Columns { held: &self.held, table: &table, rows: rows.clone() };
        let arrays = self.sources.iter().map(|source| columns.array(source)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (table, rows) = self.parts.next()?;
        Some(self.batch(table, rows))
    }
}

/// Some rows of a table.
pub(super) struct Columns<'t> {
    pub(super) held: &'t Held,
    pub(super) table: &'t TableView<'t>,
    pub(super) rows: Range<usize>,
}

impl Columns<'_> {
    fn array(&self, source: &Source) -> Result<ArrayRef, ExportError> {
        match source {
            Source::Entity => {
                let bytes: &[u8] = bytemuck::cast_slice(&self.table.entities()[self.rows.clone()]);
                let values = ScalarBuffer::from(self.held.buffer(bytes));
                Ok(Arc::new(PrimitiveArray::<UInt64Type>::new(values, None)))
            }
            Source::Time => {
                let time = self.held.pinned().snapshot().time();
                Ok(Arc::new(PrimitiveArray::<Float64Type>::from_value(time, self.rows.len())))
            }
            Source::Presence { component } => {
                let present = match self.table.presence(component)? {
                    Presence::None => BooleanBuffer::new_unset(self.rows.len()),
                    Presence::All => BooleanBuffer::new_set(self.rows.len()),
                    Presence::Bits(words) => self.bits(words),
                };
                Ok(Arc::new(BooleanArray::new(present, None)))
            }
            Source::List { component, field, ty } => self.lists(component, field, *ty),
            Source::Field { component, name, ty, element } => self.field(component, name, *ty, *element),
        }
    }

    /// Presence bits, in place: words of 64 from the lowest bit up are what Arrow has, too.
    fn bits(&self, words: &[u64]) -> BooleanBuffer {
        let words = &words[self.rows.start / 64..self.rows.end.div_ceil(64)];
        BooleanBuffer::new(self.held.buffer(bytemuck::cast_slice(words)), 0, self.rows.len())
    }

    fn field(
        &self,
        component: &str,
        name: &str,
        ty: FieldType,
        element: Option<usize>,
    ) -> Result<ArrayRef, ExportError> {
        let len = self.rows.len();
        let list = ty.array_len > 0 && element.is_none();
        let nothing = || {
            let item = data_type(ty.scalar);
            let list_type = arrow_schema::DataType::FixedSizeList(item_field(ty.scalar), ty.array_len as i32);
            new_null_array(if list { &list_type } else { &item }, len)
        };
        let nulls = match self.table.presence(component)? {
            Presence::None => return Ok(nothing()),
            Presence::All => None,
            Presence::Bits(words) => Some(NullBuffer::new(self.bits(words))).filter(|nulls| nulls.null_count() > 0),
        };
        let Some((_, bytes)) = self.table.column_bytes(name)? else { return Ok(nothing()) };
        let bytes = &bytes[self.rows.start * ty.bytes()..self.rows.end * ty.bytes()];
        match element {
            Some(element) => Ok(self.picked(bytes, ty, element, nulls)),
            None if list => {
                let items = self.scalars(self.held.buffer(bytes), ty.scalar, None);
                let size = ty.array_len as i32;
                Ok(Arc::new(FixedSizeListArray::try_new(item_field(ty.scalar), size, items, nulls)?))
            }
            None => Ok(self.scalars(self.held.buffer(bytes), ty.scalar, nulls)),
        }
    }

    /// One element of each array.
    fn picked(&self, bytes: &[u8], ty: FieldType, element: usize, nulls: Option<NullBuffer>) -> ArrayRef {
        let size = ty.scalar.bytes();
        let picked: Vec<u8> = bytes
            .chunks_exact(ty.bytes())
            .flat_map(|row| &row[element * size..(element + 1) * size])
            .copied()
            .collect();
        // of the widest alignment
        let mut words = vec![0u64; picked.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..picked.len()].copy_from_slice(&picked);
        let buffer = Buffer::from_vec(words).slice_with_length(0, picked.len());
        self.scalars(buffer, ty.scalar, nulls)
    }

    pub(super) fn scalars(&self, values: Buffer, scalar: ScalarType, nulls: Option<NullBuffer>) -> ArrayRef {
        match scalar {
            ScalarType::F32 => primitive::<Float32Type>(values, nulls),
            ScalarType::F64 => primitive::<Float64Type>(values, nulls),
            ScalarType::F16 => primitive::<Float16Type>(values, nulls),
            ScalarType::I8 | ScalarType::Snorm8 => primitive::<Int8Type>(values, nulls),
            ScalarType::I16 | ScalarType::Snorm16 => primitive::<Int16Type>(values, nulls),
            ScalarType::I32 => primitive::<Int32Type>(values, nulls),
            ScalarType::I64 => primitive::<Int64Type>(values, nulls),
            ScalarType::U8 | ScalarType::Unorm8 => primitive::<UInt8Type>(values, nulls),
            ScalarType::U16 | ScalarType::Unorm16 | ScalarType::Bf16 => primitive::<UInt16Type>(values, nulls),
            ScalarType::U32 => primitive::<UInt32Type>(values, nulls),
            ScalarType::U64 => primitive::<UInt64Type>(values, nulls),
            ScalarType::Bool => {
                let bits = BooleanBuffer::collect_bool(values.len(), |row| values[row] != 0);
                Arc::new(BooleanArray::new(bits, nulls))
            }
            ScalarType::Entity => {
                let handles: ScalarBuffer<u64> = values.into();
                let nowhere = Entity::default().to_bits();
                let some = NullBuffer::new(BooleanBuffer::collect_bool(handles.len(), |row| handles[row] != nowhere));
                let nulls = NullBuffer::union(nulls.as_ref(), Some(&some)).filter(|nulls| nulls.null_count() > 0);
                Arc::new(PrimitiveArray::<UInt64Type>::new(handles, nulls))
            }
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(values: Buffer, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}
