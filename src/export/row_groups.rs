//! Parquet: row groups of many batches, whose columns are encoded side by side.
//!
//! Invariants: what is in the file does not depend on how many threads encode it; memory is bounded by a row group.
#![forbid(unsafe_code)]

use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::ExportError;

/// Rows of a row group, at most.
const GROUP_ROWS: usize = 1 << 20;
/// The same of rows in order: readers leave out groups by their least and largest values.
const GROUP_ROWS_SORTED: usize = 1 << 17;

/// Writes a file of these batches, whose rows stand in the order of columns, if any.
///
/// # Errors
/// What the batches' maker says; what cannot be written.
pub(super) fn write(
    file: &mut (impl Write + Send),
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ExportError>>,
    order: &[String],
) -> Result<(), ExportError> {
    let rows = if order.is_empty() { GROUP_ROWS } else { GROUP_ROWS_SORTED };
    write_groups(file, schema, batches, order, rows)
}

/// With so many rows in each row group but the last.
fn write_groups(
    file: &mut (impl Write + Send),
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ExportError>>,
    order: &[String],
    group_rows: usize,
) -> Result<(), ExportError> {
    let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties(&schema, order)?))?;
    let (mut writer, factory) = writer.into_serialized_writer()?;
    let mut write_group = |group: &[RecordBatch]| -> Result<(), ExportError> {
        let columns = factory.create_column_writers(writer.flushed_row_groups().len())?;
        let mut fields: Vec<Vec<ArrowColumnWriter>> = schema.fields().iter().map(|_| Vec::new()).collect();
        for (leaf, column) in columns.into_iter().enumerate() {
            fields[writer.schema_descr().get_column_root_idx(leaf)].push(column);
        }
        let chunks = encode(&schema, group, fields)?;
        let mut row_group = writer.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        Ok(())
    };
    let (mut group, mut rows) = (Vec::new(), 0);
    for batch in batches {
        let mut batch = batch?;
        while rows + batch.num_rows() >= group_rows {
            let first = group_rows - rows;
            group.push(batch.slice(0, first));
            batch = batch.slice(first, batch.num_rows() - first);
            write_group(&group)?;
            group.clear();
            rows = 0;
        }
        if batch.num_rows() > 0 {
            rows += batch.num_rows();
            group.push(batch);
        }
    }
    if rows > 0 {
        write_group(&group)?;
    }
    writer.close()?;
    Ok(())
}

/// The place of a plain column among the leaves of the file's columns: each field is one, lists are one, too.
fn leaf(schema: &Schema, name: &str) -> Option<i32> {
    schema.index_of(name).ok().and_then(|index| i32::try_from(index).ok())
}

/// zstd, fast. A dictionary is tried for small integers alone: other numbers seldom repeat, and trying takes longer than
/// all else.
fn properties(schema: &Schema, order: &[String]) -> Result<WriterProperties, ExportError> {
    let sorted = |name: &String| {
        let index = leaf(schema, name).ok_or_else(|| ExportError::Order { column: name.clone() })?;
        Ok(SortingColumn { column_idx: index, descending: false, nulls_first: false })
    };
    let sorted = order.iter().map(sorted).collect::<Result<Vec<_>, ExportError>>()?;
    let mut properties = WriterProperties::builder()
        .set_sorting_columns(Some(sorted).filter(|sorted| !sorted.is_empty()))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false);
    for field in schema.fields() {
        use DataType::{Boolean, FixedSizeList, Float32, Float64, Int64, UInt64};
        if !matches!(field.data_type(), Boolean | FixedSizeList(..) | Float32 | Float64 | Int64 | UInt64) {
            let path = ColumnPath::new(vec![field.name().clone()]);
            properties = properties.set_column_dictionary_enabled(path, true);
        }
    }
    Ok(properties.build())
}

/// The columns of a row group; of each field its writers, one or more, in the order of the schema.
fn encode(
    schema: &Schema,
    group: &[RecordBatch],
    fields: Vec<Vec<ArrowColumnWriter>>,
) -> Result<Vec<ArrowColumnChunk>, ExportError> {
    let field = |index: usize, mut writers: Vec<ArrowColumnWriter>| -> Result<Vec<ArrowColumnChunk>, ExportError> {
        for batch in group {
            let leaves = compute_leaves(schema.field(index), batch.column(index))?;
            writers.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))?;
        }
        Ok(writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<_, _>>()?)
    };
    let threads = crate::os::cores().min(fields.len());
    if threads < 2 {
        let fields = fields.into_iter().enumerate().map(|(index, writers)| field(index, writers));
        return Ok(fields.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect());
    }
    let mut done: Vec<_> = fields.iter().map(|_| None).collect();
    let work = Mutex::new(fields.into_iter().zip(&mut done).enumerate());
    let run = || {
        loop {
            let next = work.lock().next();
            let Some((index, (writers, done))) = next else { return };
            *done = Some(field(index, writers));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    let mut chunks = Vec::new();
    for field in done {
        chunks.extend(field.expect("every field was taken, and a thread that panics is a panic here")?);
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use arrow_array::types::{Float32Type, Int16Type};
    use arrow_array::{Array, FixedSizeListArray, PrimitiveArray, StructArray};
    use arrow_schema::Field;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch(rows: usize, first: usize) -> RecordBatch {
        let numbers = || (first..first + rows).map(|row| row as f32).collect::<PrimitiveArray<Float32Type>>();
        let small = (first..first + rows).map(|row| (row % 3 > 0).then_some((row % 7) as i16));
        let triples = (3 * first..3 * (first + rows)).map(|item| item as f32);
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let triples = Arc::new(triples.collect::<PrimitiveArray<Float32Type>>());
        let triples = FixedSizeListArray::new(item, 3, triples, None);
        let [a, b] = ["a", "b"].map(|name| Arc::new(Field::new(name, DataType::Float32, true)));
        let pair = StructArray::from(vec![(a, Arc::new(numbers()) as _), (b, Arc::new(numbers()) as _)]);
        let small = small.collect::<PrimitiveArray<Int16Type>>();
        let columns: [(&str, Arc<dyn Array>, bool); 4] = [
            ("number", Arc::new(numbers()), false),
            ("pair", Arc::new(pair), true),
            ("small", Arc::new(small), true),
            ("triple", Arc::new(triples), false),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    #[test]
    fn rows_come_back_in_groups_whatever_the_batches() {
        let rows = [5, 0, 995, 3, 2000, 70];
        let mut first = 0;
        let batches = rows.iter().map(|rows| {
            first += rows;
            Ok(batch(*rows, first - rows))
        });
        let mut file = tempfile::tempfile().unwrap();
        write_groups(&mut file, batch(0, 0).schema(), batches, &[], 1000).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let groups: Vec<_> = builder.metadata().row_groups().iter().map(|group| group.num_rows() as usize).collect();
        assert_eq!(groups, [1000, 1000, 1000, 73]);
        let mut first = 0;
        for read in builder.with_batch_size(300).build().unwrap() {
            let read = read.unwrap();
            assert_eq!(read.columns(), batch(read.num_rows(), first).columns());
            first += read.num_rows();
        }
        assert_eq!(first, rows.iter().sum::<usize>());
    }

    #[test]
    fn a_file_of_nothing_has_its_schema() {
        let mut file = tempfile::tempfile().unwrap();
        let schema = batch(0, 0).schema();
        write(&mut file, schema.clone(), std::iter::empty(), &[]).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        assert_eq!(builder.schema().fields(), schema.fields());
        assert_eq!(builder.metadata().num_row_groups(), 0);
    }
}
