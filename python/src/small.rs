//! Small numbers for Python: what their bits stand for, and the bits nearest to numbers.
#![forbid(unsafe_code)]

use hypostyle::ScalarType;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

fn small(scalar: &str) -> PyResult<ScalarType> {
    ScalarType::from_name(scalar).filter(|scalar| scalar.is_small()).ok_or_else(|| {
        let known: Vec<&str> =
            ScalarType::ALL.into_iter().filter(|scalar| scalar.is_small()).map(ScalarType::name).collect();
        PyValueError::new_err(format!("`{scalar}` is no small number; these are: {}", known.join(", ")))
    })
}

/// Of all bits from 0 on, as unsigned integers, the float32 they stand for.
#[pyfunction]
pub(crate) fn small_values<'py>(py: Python<'py>, scalar: &str) -> PyResult<Bound<'py, PyBytes>> {
    let scalar = small(scalar)?;
    let mut values: Vec<u8> = Vec::new();
    for bits in 0..1_u32 << (8 * scalar.bytes()) {
        let value = scalar.small_value(&bits.to_le_bytes()[..scalar.bytes()]).unwrap_or(f32::NAN);
        values.extend_from_slice(&value.to_le_bytes());
    }
    Ok(PyBytes::new(py, &values))
}

/// The bits of the small numbers nearest to float32 numbers.
#[pyfunction]
pub(crate) fn small_nearest<'py>(py: Python<'py>, scalar: &str, values: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let scalar = small(scalar)?;
    let (values, []) = values.as_chunks::<4>() else {
        return Err(PyValueError::new_err(format!("{} bytes are no whole float32 numbers", values.len())));
    };
    let mut bits = Vec::with_capacity(values.len() * scalar.bytes());
    for value in values {
        scalar.put_small(f32::from_le_bytes(*value), &mut bits);
    }
    Ok(PyBytes::new(py, &bits))
}
