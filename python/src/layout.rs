//! A layout as tuples, of which Python makes its own objects.
#![forbid(unsafe_code)]

use hypostyle::Layout;
use hypostyle::layout::FieldLayout;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::of_world;

/// Name, scalar type, numpy's name of that, array length (0: none), the default's bytes, unit, description.
type Field<'py> = (String, &'static str, &'static str, u32, Bound<'py, PyBytes>, String, String);
/// Name, storage, whether changes are tracked, fields.
type Component<'py> = (String, &'static str, bool, Vec<Field<'py>>);
/// Name, fields.
type Resource<'py> = (String, Vec<Field<'py>>);

/// Name, hash, most bytes, TOML, components, resources.
pub(crate) type LayoutParts<'py> = (String, u64, u64, String, Vec<Component<'py>>, Vec<Resource<'py>>);

fn fields<'py>(py: Python<'py>, fields: &[FieldLayout]) -> Vec<Field<'py>> {
    let field = |field: &FieldLayout| {
        let mut default = vec![0; field.ty.bytes()];
        field.write_default(&mut default);
        let scalar = field.ty.scalar;
        let numpy = crate::memory::type_string(scalar);
        let (unit, description) = (field.unit.clone(), field.description.clone());
        (field.name.clone(), scalar.name(), numpy, field.ty.array_len, PyBytes::new(py, &default), unit, description)
    };
    fields.iter().map(field).collect()
}

/// What a layout file declares.
#[pyfunction]
pub(crate) fn parse_layout<'py>(py: Python<'py>, layout: &str) -> PyResult<LayoutParts<'py>> {
    let layout = Layout::parse(layout, "layout").map_err(|error| of_world(&error.into()))?;
    Ok(parts(py, &layout))
}

/// The end of a message about a name that is not there.
#[pyfunction]
pub(crate) fn did_you_mean(name: &str, known: Vec<String>) -> String {
    hypostyle::layout::did_you_mean(name, known.iter().map(String::as_str))
}

pub(crate) fn parts<'py>(py: Python<'py>, layout: &Layout) -> LayoutParts<'py> {
    let components = layout.components().iter().map(|component| {
        (component.name.clone(), component.storage.name(), component.track_changes, fields(py, &component.fields))
    });
    let resources = layout.resources().iter().map(|resource| (resource.name.clone(), fields(py, &resource.fields)));
    (
        layout.name().to_owned(),
        layout.hash(),
        layout.bytes_max(),
        layout.to_toml(),
        components.collect(),
        resources.collect(),
    )
}
