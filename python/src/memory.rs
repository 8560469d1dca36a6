//! Bytes of a pinned generation, as an object that numpy turns into an array without copying.
#![forbid(unsafe_code)]

use std::sync::Arc;

use hypostyle::{FieldType, OwnedSnapshot, ScalarType};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// Bytes of a pinned generation. `numpy.asarray` makes a read-only array on them, which keeps the generation pinned.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Memory {
    address: usize,
    rows: usize,
    ty: FieldType,
    /// Keeps the bytes where they are, and as they are.
    _pin: Arc<OwnedSnapshot>,
}

impl Memory {
    /// Rows of this type; `bytes` belong to the pinned generation.
    pub(crate) fn new(pin: &Arc<OwnedSnapshot>, ty: FieldType, bytes: &[u8]) -> Self {
        Memory { address: bytes.as_ptr().addr(), rows: bytes.len() / ty.bytes(), ty, _pin: Arc::clone(pin) }
    }
}

/// A scalar as numpy writes its type.
pub(crate) fn type_string(scalar: ScalarType) -> &'static str {
    match scalar {
        ScalarType::F32 => "<f4",
        ScalarType::F64 => "<f8",
        ScalarType::I8 => "|i1",
        ScalarType::I16 => "<i2",
        ScalarType::I32 => "<i4",
        ScalarType::I64 => "<i8",
        ScalarType::U8 => "|u1",
        ScalarType::U16 => "<u2",
        ScalarType::U32 => "<u4",
        ScalarType::U64 | ScalarType::Entity => "<u8",
        ScalarType::Bool => "|b1",
    }
}

#[pymethods]
impl Memory {
    #[getter]
    fn address(&self) -> usize {
        self.address
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.rows * self.ty.bytes()
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        let shape = match self.ty.array_len {
            0 => PyTuple::new(py, [self.rows])?,
            len => PyTuple::new(py, [self.rows, len as usize])?,
        };
        interface.set_item("version", 3)?;
        interface.set_item("typestr", type_string(self.ty.scalar))?;
        interface.set_item("shape", shape)?;
        // true: read-only
        interface.set_item("data", (self.address, true))?;
        Ok(interface)
    }
}
