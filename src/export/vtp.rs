//! VTK's PolyData in XML (.vtp): points for ParaView, VisIt, PyVista and OVITO, each entity one.
//!
//! <https://docs.vtk.org/en/latest/vtk_file_formats/vtkxml_file_format.html>. What OVITO asks beyond that: arrays stand in
//! their elements ("binary"), in base64, each with its length in bytes as u64 before it in one run; their types are
//! `Int32`, `Int64`, `Float32` or `Float64`; each point is a cell of its own; and `FieldData` stands after the points.
//! VTK knows no nulls: floats are NaN there, integers 0, and no entity has all bits set, which is -1.
//!
//! Three fields `x`, `y`, `z` of one type are one vector, as viewers want them: `velocity`.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Schema};
use base64::prelude::BASE64_STANDARD;
use base64::write::EncoderWriter;

use crate::checkpoint::CheckpointError;

use super::ExportError;

/// One array of the file: columns that stand side by side.
struct Values {
    name: String,
    kind: &'static str,
    bytes: usize,
    columns: Vec<usize>,
    components: usize,
    /// Of entities, of which none is all bits.
    handles: bool,
}

impl Values {
    fn total(&self, rows: usize) -> u64 {
        (rows * self.components * self.bytes) as u64
    }
}

/// VTK's name of the type that holds a column's values, and the bytes of one. There is no u64: one above the largest i64
/// has the same bits, and a handle so is the same handle.
fn kind(ty: &DataType) -> Option<(&'static str, usize)> {
    Some(match ty {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            ("Int32", 4)
        }
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => ("Int64", 8),
        DataType::Float16 | DataType::Float32 => ("Float32", 4),
        DataType::Float64 => ("Float64", 8),
        _ => return None,
    })
}

/// The columns `x`, `y` and, where it is there, `z` of a component, if they are numbers of one type.
fn axes(schema: &Schema, component: &str) -> Option<Vec<usize>> {
    let find = |axis: &str| schema.index_of(&format!("{component}.{axis}")).ok();
    let mut found = vec![find("x")?, find("y")?];
    found.extend(find("z"));
    let ty = schema.field(found[0]).data_type();
    let same = found.iter().all(|column| schema.field(*column).data_type() == ty);
    (same && kind(ty).is_some() && *ty != DataType::Boolean).then_some(found)
}

fn component_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(component, _)| component)
}

/// Where the points are: the component that is named, else `position`, else the first that has `x` and `y`.
fn points(schema: &Schema, named: Option<&str>) -> Result<Values, ExportError> {
    let mut known: Vec<&str> = schema.fields().iter().map(|field| component_of(field.name())).collect();
    known.dedup();
    let candidates: Vec<&str> = known.into_iter().filter(|component| axes(schema, component).is_some()).collect();
    let chosen = match named {
        Some(named) => candidates.iter().find(|component| **component == named),
        None => candidates.iter().find(|component| **component == "position").or(candidates.first()),
    };
    let Some(columns) = chosen.and_then(|component| axes(schema, component)) else {
        return Err(ExportError::Points { named: named.map(str::to_owned), known: candidates.join(", ") });
    };
    let double = *schema.field(columns[0]).data_type() == DataType::Float64;
    let (kind, bytes) = if double { ("Float64", 8) } else { ("Float32", 4) };
    Ok(Values { name: "Points".to_owned(), kind, bytes, columns, components: 3, handles: false })
}

/// What is told of each point: all columns, those of vectors together.
fn data(schema: &Schema) -> Result<Vec<Values>, ExportError> {
    let mut all: Vec<Values> = Vec::new();
    for (column, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if all.iter().any(|values| values.columns.contains(&column)) {
            continue;
        }
        let (ty, components) = match field.data_type() {
            DataType::FixedSizeList(item, len) => (item.data_type(), *len as usize),
            ty => (ty, 1),
        };
        let Some((kind, bytes)) = kind(ty) else {
            return Err(match ty {
                DataType::List(_) | DataType::LargeList(_) => {
                    ExportError::FlatList { component: component_of(name).to_owned() }
                }
                ty => {
                    ArrowError::SchemaError(format!("column `{name}` is {ty}, for which points have no place")).into()
                }
            });
        };
        let handles = field.metadata().get("hypostyle.type").is_some_and(|ty| ty.contains("entity"));
        let vector = axes(schema, component_of(name)).filter(|columns| columns.len() == 3 && columns[0] == column);
        all.push(match vector {
            Some(columns) => {
                Values { name: component_of(name).to_owned(), kind, bytes, columns, components: 3, handles }
            }
            None => Values { name: name.clone(), kind, bytes, columns: vec![column], components, handles },
        });
    }
    Ok(all)
}

/// Writes batches of a schema to a file of this path.
///
/// # Errors
/// [`ExportError::Points`]: nothing says where the points are; [`ExportError::FlatList`]; what the system refuses.
pub(super) fn write(
    file: &mut impl Write,
    schema: &Schema,
    batches: &[RecordBatch],
    named: Option<&str>,
    path: &Path,
) -> Result<(), ExportError> {
    let (points, data) = (points(schema, named)?, data(schema)?);
    put(file, schema, batches, (&points, &data)).map_err(CheckpointError::io("write", path))?;
    Ok(())
}

fn put(
    file: &mut impl Write,
    schema: &Schema,
    batches: &[RecordBatch],
    (points, data): (&Values, &[Values]),
) -> io::Result<()> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let time = schema.metadata().get("hypostyle.time").map_or("0", String::as_str);
    writeln!(file, "<?xml version=\"1.0\"?>")?;
    writeln!(file, "<VTKFile type=\"PolyData\" version=\"1.0\" byte_order=\"LittleEndian\" header_type=\"UInt64\">")?;
    writeln!(
        file,
        "<PolyData>\n<Piece NumberOfPoints=\"{rows}\" NumberOfVerts=\"{rows}\" NumberOfLines=\"0\" NumberOfStrips=\"0\" NumberOfPolys=\"0\">"
    )?;
    writeln!(file, "<Points>")?;
    array(file, points, batches, rows)?;
    writeln!(file, "</Points>\n<PointData>")?;
    for values in data {
        array(file, values, batches, rows)?;
    }
    writeln!(file, "</PointData>\n<Verts>")?;
    // each point a cell, so that it is shown
    whole_numbers(file, "connectivity", rows, 0)?;
    whole_numbers(file, "offsets", rows, 1)?;
    write!(
        file,
        "</Verts>\n</Piece>\n<FieldData><DataArray type=\"Float64\" Name=\"TimeValue\" NumberOfTuples=\"1\" format=\"ascii\">{time}</DataArray></FieldData>\n</PolyData>\n</VTKFile>\n"
    )
}

/// An element with an array of so many bytes, which `fill` writes.
fn element(
    file: &mut dyn Write,
    (kind, name, components): (&str, &str, usize),
    bytes: u64,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    // those of a layout hold only a-z, 0-9, `_`, `.` and brackets
    let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    write!(file, "<DataArray type=\"{kind}\" Name=\"{name}\" NumberOfComponents=\"{components}\" format=\"binary\">")?;
    let mut encoder = EncoderWriter::new(&mut *file, &BASE64_STANDARD);
    encoder.write_all(&bytes.to_le_bytes())?;
    fill(&mut encoder)?;
    encoder.finish()?;
    drop(encoder);
    writeln!(file, "</DataArray>")
}

/// An array of so many whole numbers, from `first`.
fn whole_numbers(file: &mut dyn Write, name: &str, rows: usize, first: u64) -> io::Result<()> {
    element(file, ("Int64", name, 1), 8 * rows as u64, |out| {
        (0..rows as u64).try_for_each(|row| out.write_all(&(row + first).to_le_bytes()))
    })
}

/// An array's values, row by row; a component that no column has is 0.
fn array(file: &mut dyn Write, values: &Values, batches: &[RecordBatch], rows: usize) -> io::Result<()> {
    element(file, (values.kind, &values.name, values.components), values.total(rows), |out| {
        for batch in batches {
            let columns: Vec<Vec<u8>> =
                values.columns.iter().map(|column| bytes_of(batch.column(*column), values)).collect();
            if let [own] = &columns[..] {
                out.write_all(own)?;
                continue;
            }
            let zero = [0; 8];
            for row in 0..batch.num_rows() {
                let at = row * values.bytes..(row + 1) * values.bytes;
                for lane in 0..values.components {
                    out.write_all(columns.get(lane).map_or(&zero[..values.bytes], |column| &column[at.clone()]))?;
                }
            }
        }
        Ok(())
    })
}

/// A column's values as the file has them.
fn bytes_of(column: &ArrayRef, values: &Values) -> Vec<u8> {
    let (mut own, elements) = match column.as_fixed_size_list_opt() {
        Some(list) => (bytes_of(list.values(), values), list.value_length() as usize),
        None => (converted(column, values), 1),
    };
    let Some(nulls) = column.nulls() else { return own };
    for (row, bytes) in own.chunks_exact_mut(elements * values.bytes).enumerate() {
        if nulls.is_null(row) {
            nothing(values, bytes);
        }
    }
    own
}

/// Numbers of any type as the file's.
fn converted(column: &ArrayRef, values: &Values) -> Vec<u8> {
    if let Some(bools) = column.as_boolean_opt() {
        return bools.values().iter().flat_map(|value| i32::from(value).to_le_bytes()).collect();
    }
    macro_rules! numbers {
        ($($arrow:ident $float:expr, $whole:expr);*) => { $(
            if let Some(column) = column.as_primitive_opt::<$arrow>() {
                let numbers = column.values().iter();
                return match values.kind {
                    "Float64" => numbers.map($float).flat_map(f64::to_le_bytes).collect(),
                    "Float32" => numbers.map($float).flat_map(|value| (value as f32).to_le_bytes()).collect(),
                    "Int64" => numbers.map($whole).flat_map(i64::to_le_bytes).collect(),
                    _ => numbers.map($whole).flat_map(|value| (value as i32).to_le_bytes()).collect(),
                };
            }
        )* };
    }
    numbers!(
        Float16Type |v| f64::from(*v), |v| f64::from(*v) as i64;
        Float32Type |v| f64::from(*v), |v| *v as i64;
        Float64Type |v| *v, |v| *v as i64;
        Int8Type |v| f64::from(*v), |v| i64::from(*v);
        Int16Type |v| f64::from(*v), |v| i64::from(*v);
        Int32Type |v| f64::from(*v), |v| i64::from(*v);
        Int64Type |v| *v as f64, |v| *v;
        UInt8Type |v| f64::from(*v), |v| i64::from(*v);
        UInt16Type |v| f64::from(*v), |v| i64::from(*v);
        UInt32Type |v| f64::from(*v), |v| i64::from(*v);
        UInt64Type |v| *v as f64, |v| v.cast_signed()
    );
    // `kind` knows no others
    vec![0; column.len() * values.bytes]
}

/// What stands for a null: no number, no entity, 0.
fn nothing(values: &Values, bytes: &mut [u8]) {
    match values.kind {
        "Float32" => bytes.as_chunks_mut::<4>().0.fill(f32::NAN.to_le_bytes()),
        "Float64" => bytes.as_chunks_mut::<8>().0.fill(f64::NAN.to_le_bytes()),
        // handles, as they are in columns
        _ if values.handles => bytes.fill(u8::MAX),
        _ => bytes.fill(0),
    }
}
