//! What one row of a column can hold: scalars, and fixed arrays of them.
//!
//! It never knows a component or a column: those stand on it.
#![forbid(unsafe_code)]

use bytemuck::Pod;

use crate::layout::{FieldType, ScalarType};
use crate::limits::ARRAY_LEN_MAX;

/// Keeps others from adding types that no layout has.
pub(crate) mod sealed {
    /// A type of the engine's.
    pub trait Sealed {}
}

/// The element types of columns. Sealed: its implementors are exactly the types of [`ScalarType`].
pub trait Scalar: Pod + Default + PartialEq + std::fmt::Debug + Send + Sync + sealed::Sealed {
    /// The scalar's type.
    const TYPE: ScalarType;
}

/// What one row of a column holds: a scalar or a fixed array of scalars. Sealed.
pub trait ColumnItem: Pod + Send + Sync + sealed::Sealed {
    /// The field type this is the row of.
    const TYPE: FieldType;
}

/// Makes types the scalars of a layout.
macro_rules! scalars {
    ($($t:ty => $v:ident),* $(,)?) => { $(
        impl $crate::value::sealed::Sealed for $t {}
        impl $crate::value::Scalar for $t { const TYPE: $crate::layout::ScalarType = $crate::layout::ScalarType::$v; }
        impl $crate::value::ColumnItem for $t {
            const TYPE: $crate::layout::FieldType = $crate::layout::FieldType::scalar($crate::layout::ScalarType::$v);
        }
    )* };
}
pub(crate) use scalars;

scalars!(f32 => F32, f64 => F64, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32,
    u64 => U64);

impl<T: Scalar, const N: usize> sealed::Sealed for [T; N] {}

impl<T: Scalar, const N: usize> ColumnItem for [T; N]
where
    [T; N]: Pod,
{
    const TYPE: FieldType = {
        assert!(N <= ARRAY_LEN_MAX as usize, "an array field has 1 to ARRAY_LEN_MAX elements");
        FieldType::array(T::TYPE, N as u32)
    };
}
