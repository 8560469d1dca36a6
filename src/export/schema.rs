//! The schema of an export: which Arrow columns there are, and of what they are made.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::layout::{FieldLayout, FieldType, Layout, ScalarType, Storage};
use crate::snapshot::Snapshot;

use super::lists::list_type;
use super::{ExportError, ExportOptions};

/// What an Arrow column is made of.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The rows' handles.
    Entity,
    /// Simulated time, the same in every row.
    Time,
    /// Whether the rows have a component.
    Presence { component: String },
    /// A field of the elements of a list.
    List { component: String, field: String, ty: FieldType },
    /// A field; of an array one element, or all.
    Field { component: String, name: String, ty: FieldType, element: Option<usize> },
}

/// The Arrow type of a scalar.
pub(super) fn data_type(scalar: ScalarType) -> DataType {
    match scalar {
        ScalarType::F32 => DataType::Float32,
        ScalarType::F64 => DataType::Float64,
        ScalarType::I8 => DataType::Int8,
        ScalarType::I16 => DataType::Int16,
        ScalarType::I32 => DataType::Int32,
        ScalarType::I64 => DataType::Int64,
        ScalarType::U8 => DataType::UInt8,
        ScalarType::U16 => DataType::UInt16,
        ScalarType::U32 => DataType::UInt32,
        ScalarType::U64 | ScalarType::Entity => DataType::UInt64,
        ScalarType::Bool => DataType::Boolean,
        ScalarType::F16 => DataType::Float16,
        // as they are: what they mean is in the field's metadata
        ScalarType::Bf16 | ScalarType::Unorm16 => DataType::UInt16,
        ScalarType::Unorm8 => DataType::UInt8,
        ScalarType::Snorm8 => DataType::Int8,
        ScalarType::Snorm16 => DataType::Int16,
    }
}

/// The elements of a fixed-size list. Handles among them may be null, and all where the list is.
pub(super) fn item_field(scalar: ScalarType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type(scalar), true))
}

/// The schema and what each of its columns is made of.
pub(super) fn schema(
    snapshot: &Snapshot<'_>,
    options: &ExportOptions,
) -> Result<(SchemaRef, Vec<Source>), ExportError> {
    let layout = snapshot.layout();
    for name in options.components.iter().flatten() {
        if layout.component(name).is_none() {
            let known = layout.components().iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(ExportError::UnknownComponent { name: name.clone(), known });
        }
    }
    let mut fields = vec![Field::new("entity", DataType::UInt64, false)];
    let mut sources = vec![Source::Entity];
    if options.time {
        // no column of a component has this name
        fields.push(Field::new("time", DataType::Float64, false));
        sources.push(Source::Time);
    }
    let wanted = |name: &String| options.components.as_ref().is_none_or(|names| names.contains(name));
    for component in layout.components().iter().filter(|component| wanted(&component.name)) {
        if component.storage == Storage::List {
            for field in &component.fields {
                let name = format!("{}.{}", component.name, field.name);
                if options.flat {
                    return Err(ExportError::FlatList { component: component.name.clone() });
                }
                let told = told(field, format!("list<{}>", field.ty));
                fields.push(Field::new(name, list_type(field.ty), true).with_metadata(told));
                let (component, field, ty) = (component.name.clone(), field.name.clone(), field.ty);
                sources.push(Source::List { component, field, ty });
            }
            continue;
        }
        if component.published_fields().is_empty() {
            fields.push(Field::new(&component.name, DataType::Boolean, false));
            sources.push(Source::Presence { component: component.name.clone() });
        }
        for field in component.published_fields() {
            let name = format!("{}.{}", component.name, field.name);
            let source = |element| Source::Field {
                component: component.name.clone(),
                name: name.clone(),
                ty: field.ty,
                element,
            };
            let add = |name: &str, ty| Field::new(name, ty, true).with_metadata(told(field, field.ty.to_string()));
            let scalar = data_type(field.ty.scalar);
            if field.ty.array_len == 0 {
                fields.push(add(&name, scalar));
                sources.push(source(None));
            } else if options.flat {
                for element in 0..field.ty.elements() {
                    fields.push(add(&format!("{name}[{element}]"), scalar.clone()));
                    sources.push(source(Some(element)));
                }
            } else {
                let list = DataType::FixedSizeList(item_field(field.ty.scalar), field.ty.array_len as i32);
                fields.push(add(&name, list));
                sources.push(source(None));
            }
        }
    }
    let schema = Schema::new_with_metadata(fields, metadata(snapshot, layout, options));
    Ok((Arc::new(schema), sources))
}

/// A field's metadata: its type in layouts, and the unit and the description that it has there.
fn told(field: &FieldLayout, ty: String) -> HashMap<String, String> {
    let words = [("unit", &field.unit), ("description", &field.description)];
    let words =
        words.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), text.clone()));
    words.chain([("hypostyle.type".to_owned(), ty)]).collect()
}

fn metadata(snapshot: &Snapshot<'_>, layout: &Layout, options: &ExportOptions) -> HashMap<String, String> {
    let told = [
        ("hypostyle.layout", layout.to_toml()),
        ("hypostyle.layout_hash", format!("{:016x}", layout.hash())),
        ("hypostyle.generation", snapshot.generation().to_string()),
        ("hypostyle.frame", snapshot.frame().to_string()),
        ("hypostyle.time", snapshot.time().to_string()),
    ];
    let told = told.into_iter().map(|(name, value)| (name.to_owned(), value));
    told.chain(options.metadata.iter().cloned()).collect()
}
