//! Bytes of a pinned generation, or of a job's rows, as an object that numpy turns into an array without copying.
#![forbid(unsafe_code)]

use std::sync::Arc;

use hypostyle::{FieldType, OwnedSnapshot, ScalarType};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// What keeps bytes where they are.
enum Keeper {
    /// A pin: they are also as they were.
    Pin(#[expect(dead_code, reason = "held, not looked at")] Arc<OwnedSnapshot>),
    /// A job: they are there until its kernel returns. The token tells that somebody has them still.
    Job(#[expect(dead_code, reason = "held, not looked at")] Arc<()>),
}

/// Bytes of a pinned generation. `numpy.asarray` makes a read-only array on them, which keeps the generation pinned. Of
/// a job: bytes of a column, for a kernel.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Memory {
    address: usize,
    rows: usize,
    ty: FieldType,
    writable: bool,
    keeper: Keeper,
}

impl Memory {
    /// Rows of this type; `bytes` belong to the pinned generation.
    pub(crate) fn new(pin: &Arc<OwnedSnapshot>, ty: FieldType, bytes: &[u8]) -> Self {
        let (address, rows) = (bytes.as_ptr().addr(), bytes.len() / ty.bytes());
        Memory { address, rows, ty, writable: false, keeper: Keeper::Pin(Arc::clone(pin)) }
    }

    /// Rows of this type, of a job's. Its end looks whether anybody has them still.
    pub(crate) fn of_job(token: &Arc<()>, ty: FieldType, address: usize, rows: usize, writable: bool) -> Self {
        Memory { address, rows, ty, writable, keeper: Keeper::Job(Arc::clone(token)) }
    }
}

/// A scalar as numpy writes its type.
pub(crate) fn type_string(scalar: ScalarType) -> &'static str {
    match scalar {
        ScalarType::F32 => "<f4",
        ScalarType::F64 => "<f8",
        ScalarType::F16 => "<f2",
        ScalarType::I8 | ScalarType::Snorm8 => "|i1",
        ScalarType::I16 | ScalarType::Snorm16 => "<i2",
        ScalarType::I32 => "<i4",
        ScalarType::I64 => "<i8",
        ScalarType::U8 | ScalarType::Unorm8 => "|u1",
        // numpy has no bfloat16: the bits, as of the fractions
        ScalarType::U16 | ScalarType::Bf16 | ScalarType::Unorm16 => "<u2",
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

    /// Whether a pin keeps it.
    #[getter]
    fn pinned(&self) -> bool {
        match &self.keeper {
            Keeper::Pin(_) => true,
            Keeper::Job(_) => false,
        }
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.rows * self.ty.bytes()
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        // made for every array of every job: its words are kept
        let interface = PyDict::new(py);
        let shape = match self.ty.array_len {
            0 => PyTuple::new(py, [self.rows])?,
            len => PyTuple::new(py, [self.rows, len as usize])?,
        };
        let kind = match self.ty.scalar {
            ScalarType::F32 => intern!(py, "<f4"),
            ScalarType::F64 => intern!(py, "<f8"),
            ScalarType::U64 | ScalarType::Entity => intern!(py, "<u8"),
            other => &PyString::new(py, type_string(other)),
        };
        interface.set_item(intern!(py, "version"), 3)?;
        interface.set_item(intern!(py, "typestr"), kind)?;
        interface.set_item(intern!(py, "shape"), shape)?;
        interface.set_item(intern!(py, "data"), (self.address, !self.writable))?;
        Ok(interface)
    }
}
