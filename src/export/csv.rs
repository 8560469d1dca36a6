//! CSV: a line of names, then a line for each row. Nulls are empty.
//!
//! Numbers with a point are the shortest text that reads back as the same bits. The bytes are those that the crate
//! `arrow-csv` writes, which compiles a fifth of the Arrow implementation to format every type that there is; exports have
//! numbers, truth values and texts. Other types need the feature `query`, whose answers may have them.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Schema};

use crate::layout::ScalarType;

/// Appends the text of a row's value.
type Cell<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// Writes the line of names.
pub(super) fn names(file: &mut impl Write, schema: &Schema) -> io::Result<()> {
    let mut lines = csv::Writer::from_writer(file);
    lines.write_record(schema.fields().iter().map(|field| field.name()))?;
    lines.flush()
}

/// Writes a batch's rows, each as a line.
///
/// # Errors
/// A column is of a type that is not written; what the system refuses.
pub(super) fn rows(file: &mut impl Write, batch: &RecordBatch) -> Result<(), ArrowError> {
    let cells: Option<Vec<Cell<'_>>> = cells(batch);
    let Some(cells) = cells else { return others(file, batch) };
    let mut lines = csv::Writer::from_writer(file);
    let mut text = Vec::new();
    for row in 0..batch.num_rows() {
        for cell in &cells {
            text.clear();
            cell(row, &mut text);
            lines.write_field(&text).map_err(io::Error::from)?;
        }
        lines.write_record(None::<&[u8]>).map_err(io::Error::from)?;
    }
    Ok(lines.flush()?)
}

/// `None`: a column is of a type that is not written.
fn cells(batch: &RecordBatch) -> Option<Vec<Cell<'_>>> {
    let schema = batch.schema_ref();
    let told = schema.fields().iter().map(|field| field.metadata().get("hypostyle.type").map_or("", String::as_str));
    batch
        .columns()
        .iter()
        .zip(told)
        .map(|(column, told)| small(column.as_ref(), told).or_else(|| cell(column.as_ref())))
        .collect()
}

/// Small numbers, in Arrow their bits, as the numbers that they stand for.
fn small<'a>(column: &'a dyn Array, told: &str) -> Option<Cell<'a>> {
    // of one of them, or of the elements of an array of them
    let scalar = ScalarType::from_name(told.trim_start_matches('[').split(';').next()?)?;
    if !scalar.is_small() || scalar == ScalarType::F16 {
        return None;
    }
    let data = column.to_data();
    let (size, from) = (scalar.bytes(), data.offset() * scalar.bytes());
    // the column's own bytes, held and not copied
    let bytes = data.buffers().first()?.clone();
    bytes.get(from..from + data.len() * size)?;
    Some(valid(column, move |row, text| {
        let at = from + row * size;
        let value = scalar.small_value(&bytes[at..at + size]).unwrap_or(f32::NAN);
        text.extend(ryu::Buffer::new().format(value).as_bytes());
    }))
}

fn cell(column: &dyn Array) -> Option<Cell<'_>> {
    Some(match column.data_type() {
        DataType::Int8 => integer::<Int8Type>(column),
        DataType::Int16 => integer::<Int16Type>(column),
        DataType::Int32 => integer::<Int32Type>(column),
        DataType::Int64 => integer::<Int64Type>(column),
        DataType::UInt8 => integer::<UInt8Type>(column),
        DataType::UInt16 => integer::<UInt16Type>(column),
        DataType::UInt32 => integer::<UInt32Type>(column),
        DataType::UInt64 => integer::<UInt64Type>(column),
        DataType::Float16 => {
            let values = column.as_primitive::<Float16Type>();
            let text = |value: f32, text: &mut Vec<u8>| text.extend(ryu::Buffer::new().format(value).as_bytes());
            valid(column, move |row, out| text(values.value(row).to_f32(), out))
        }
        DataType::Float32 => float::<Float32Type>(column),
        DataType::Float64 => float::<Float64Type>(column),
        DataType::Boolean => {
            let values = column.as_boolean();
            valid(column, move |row, text| text.extend(if values.value(row) { &b"true"[..] } else { b"false" }))
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            valid(column, move |row, text| text.extend(values.value(row).as_bytes()))
        }
        _ => return None,
    })
}

fn integer<T: ArrowPrimitiveType<Native: Display>>(column: &dyn Array) -> Cell<'_> {
    let values = column.as_primitive::<T>();
    valid(column, move |row, text| {
        // memory takes every byte
        let _ = write!(text, "{}", values.value(row));
    })
}

fn float<T: ArrowPrimitiveType<Native: ryu::Float>>(column: &dyn Array) -> Cell<'_> {
    let values = column.as_primitive::<T>();
    valid(column, move |row, text| text.extend(ryu::Buffer::new().format(values.value(row)).as_bytes()))
}

/// A null has no text.
fn valid<'a>(column: &'a dyn Array, cell: impl Fn(usize, &mut Vec<u8>) + 'a) -> Cell<'a> {
    Box::new(move |row, text| {
        if column.is_valid(row) {
            cell(row, text);
        }
    })
}

#[cfg(feature = "query")]
fn others(file: &mut impl Write, batch: &RecordBatch) -> Result<(), ArrowError> {
    arrow_csv::WriterBuilder::new().with_header(false).build(file).write(batch)
}

#[cfg(not(feature = "query"))]
fn others(_file: &mut impl Write, batch: &RecordBatch) -> Result<(), ArrowError> {
    let schema = batch.schema();
    let odd = schema.fields().iter().zip(batch.columns()).find(|(_, column)| cell(column.as_ref()).is_none());
    let (name, ty) = odd.map_or(("", &DataType::Null), |(field, _)| (field.name(), field.data_type()));
    Err(ArrowError::CsvError(format!(
        "column `{name}` is of type {ty}, which is not written as CSV (dates and the like are with the feature `query`): \
         choose another format"
    )))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int8Array, StringArray, UInt64Array};

    use super::*;

    fn written(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)));
        let batch = batch.expect("columns of one length");
        let mut bytes = Vec::new();
        names(&mut bytes, &batch.schema()).expect("memory takes it");
        rows(&mut bytes, &batch).expect("types that are written");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn values_are_the_shortest_texts_that_read_back() {
        let text = written(vec![
            ("a", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)]))),
            ("b,c", Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::MIN_POSITIVE), None]))),
            ("d", Arc::new(Float64Array::from(vec![1.0, -0.0, 1e300]))),
            ("e", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
            ("f", Arc::new(Int8Array::from(vec![i8::MIN, 0, 1]))),
            ("g", Arc::new(StringArray::from(vec!["plain", "a \"b\", c", "two\nlines"]))),
        ]);
        let lines = [
            "a,\"b,c\",d,e,f,g",
            "18446744073709551615,0.1,1.0,true,-128,plain",
            ",1.1754944e-38,-0.0,false,0,\"a \"\"b\"\", c\"",
            "0,,1e300,,1,\"two\nlines\"\n",
        ];
        assert_eq!(text, lines.join("\n"));
        assert_eq!(written(vec![("a", Arc::new(Int8Array::from(vec![None, Some(3)])))]), "a\n\"\"\n3\n");
        let floats = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 123_456_789.0, 1e16, 5e-324];
        let wanted = "x\nNaN\ninf\n-inf\n123456789.0\n1e16\n5e-324\n";
        assert_eq!(written(vec![("x", Arc::new(Float64Array::from(floats)))]), wanted);
    }

    #[cfg(not(feature = "query"))]
    #[test]
    fn other_types_are_errors_that_name_the_column() {
        let list: ArrayRef = Arc::new(arrow_array::NullArray::new(2));
        let batch = RecordBatch::try_from_iter([("void", list)]).expect("one column");
        let error = rows(&mut Vec::new(), &batch).expect_err("it is not written");
        assert!(error.to_string().contains("column `void` is of type Null"), "{error}");
    }
}
