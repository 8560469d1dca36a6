//! Small numbers that kernels see as `f32`: halves of floats, and fractions of integers.
//!
//! A column of them is a half or a quarter of the memory of one of `f32`, and where memory is the limit it takes as much less
//! time. They are for what needs no more digits: colours, directions, velocities of particles that are looked at.
//!
//! | type | bytes | values | steps |
//! |---|---|---|---|
//! | [`F16`] | 2 | to 65504, infinities, NaN | 11 bits: 0.0005 at 1 |
//! | [`Bf16`] | 2 | as `f32` | 8 bits: 0.004 to 0.008 at 1 |
//! | [`Unorm8`], [`Unorm16`] | 1, 2 | 0 to 1 | 1/255, 1/65535 |
//! | [`Snorm8`], [`Snorm16`] | 1, 2 | -1 to 1 | 1/127, 1/32767 |
//!
//! [`Mut::map_f32`](crate::Mut::map_f32) and its siblings convert in registers, a block of rows at a time; [`widen`] and
//! [`narrow`] do so for slices.
//!
//! Invariant: conversions have the same bits on every machine and with every vector. To `f32` they are exact, or the nearest
//! one (fractions); back it is the nearest, of two that are as near the even one. All NaN become one.
//!
//! ```
//! use hypostyle::small::{F16, Unorm8};
//! use hypostyle::{Component, World, Write};
//! #[derive(Clone, Copy, Component)]
//! struct Spark {
//!     speed: F16,
//!     glow: Unorm8,
//! }
//! let mut world = World::builder().component::<Spark>().build()?;
//! let spark = world.spawn(Spark { speed: F16::from_f32(2.0), glow: Unorm8::from_f32(1.0) })?;
//! world.query_mut::<Write<Spark>>(|_, mut spark| {
//!     spark.speed.map_f32(|speed| speed * 0.75);
//!     spark.glow.map_f32(|glow| glow - 0.2);
//! })?;
//! let spark = world.get::<Spark>(spark)?;
//! assert_eq!((spark.speed.to_f32(), spark.glow.to_f32()), (1.5, 0.8));
//! # Ok::<(), hypostyle::WorldError>(())
//! ```

mod fractions;
mod halves;
pub(crate) mod narrow;

pub use narrow::{narrow, widen};

use bytemuck::{Pod, Zeroable};

use crate::layout::ScalarType;
use crate::value::ColumnItem;

/// Numbers that kernels see as `f32`: `f32` itself and the small ones. Sealed.
pub trait AsF32: ColumnItem {
    /// The value: exact, or the nearest `f32`.
    #[must_use]
    fn to_f32(self) -> f32;
    /// The nearest to a value; of two that are as near the even one. What is out of range is the end of it, or an infinity
    /// where there is one.
    #[must_use]
    fn from_f32(value: f32) -> Self;
}

impl AsF32 for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
}

macro_rules! small {
    ($($(#[$doc:meta])* $name:ident($bits:ty), $to:path, $from:path;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Pod, Zeroable)]
        #[repr(transparent)]
        pub struct $name($bits);

        impl $name {
            /// A number from its bits.
            #[must_use]
            pub const fn from_bits(bits: $bits) -> Self {
                $name(bits)
            }
            /// Its bits, as they are in a column.
            #[must_use]
            pub const fn to_bits(self) -> $bits {
                self.0
            }
            /// The value: exact, or the nearest `f32`.
            #[must_use]
            #[inline(always)]
            pub fn to_f32(self) -> f32 {
                $to(self.0)
            }
            /// The nearest to a value; see [`AsF32::from_f32`].
            #[must_use]
            #[inline(always)]
            pub fn from_f32(value: f32) -> Self {
                $name($from(value))
            }
        }

        impl AsF32 for $name {
            #[inline(always)]
            fn to_f32(self) -> f32 {
                $to(self.0)
            }
            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                $name($from(value))
            }
        }

        impl From<$name> for f32 {
            fn from(value: $name) -> f32 {
                value.to_f32()
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.to_f32().into()
            }
        }

        /// By value: NaN is not NaN, and zero is minus zero.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.to_f32() == other.to_f32()
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                self.to_f32().partial_cmp(&other.to_f32())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.to_f32(), f)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.to_f32(), f)
            }
        }
    )* };
}

small! {
    /// IEEE 754 binary16: 11 bits of precision, to 65504.
    F16(u16), halves::f16_to_f32, halves::f16_from_f32;
    /// The upper half of an `f32`: its range with 8 bits of precision.
    Bf16(u16), halves::bf16_to_f32, halves::bf16_from_f32;
    /// 0 to 1 in steps of 1/255. NaN becomes 0.
    Unorm8(u8), fractions::unorm8_to_f32, fractions::unorm8_from_f32;
    /// 0 to 1 in steps of 1/65535. NaN becomes 0.
    Unorm16(u16), fractions::unorm16_to_f32, fractions::unorm16_from_f32;
    /// -1 to 1 in steps of 1/127; the bits -128 are -1, too. NaN becomes 0.
    Snorm8(i8), fractions::snorm8_to_f32, fractions::snorm8_from_f32;
    /// -1 to 1 in steps of 1/32767; the bits -32768 are -1, too. NaN becomes 0.
    Snorm16(i16), fractions::snorm16_to_f32, fractions::snorm16_from_f32;
}

crate::value::scalars!(F16 => F16, Bf16 => Bf16, Unorm8 => Unorm8, Unorm16 => Unorm16, Snorm8 => Snorm8, Snorm16 => Snorm16);

impl ScalarType {
    /// Whether kernels see it as `f32` though it is smaller.
    #[must_use]
    pub const fn is_small(self) -> bool {
        self.range().is_some()
    }

    /// The least and the greatest value of a small type, infinities aside; `None` of others.
    #[must_use]
    pub const fn range(self) -> Option<(f32, f32)> {
        match self {
            ScalarType::F16 => Some((-65504.0, 65504.0)),
            // all ones but the last bit of the exponent
            ScalarType::Bf16 => Some((f32::from_bits(0xff7f_0000), f32::from_bits(0x7f7f_0000))),
            ScalarType::Unorm8 | ScalarType::Unorm16 => Some((0.0, 1.0)),
            ScalarType::Snorm8 | ScalarType::Snorm16 => Some((-1.0, 1.0)),
            _ => None,
        }
    }

    /// The value of a small number from its little-endian bytes; `None`: the type is none, or `bytes` are not as long as it.
    ///
    /// ```
    /// use hypostyle::ScalarType;
    /// assert_eq!(ScalarType::F16.small_value(&[0x00, 0x3e]), Some(1.5));
    /// assert_eq!(ScalarType::U16.small_value(&[0x00, 0x3e]), None);
    /// ```
    #[must_use]
    pub fn small_value(self, bytes: &[u8]) -> Option<f32> {
        fn of<T: AsF32>(bytes: &[u8]) -> Option<f32> {
            bytemuck::try_pod_read_unaligned::<T>(bytes).ok().map(T::to_f32)
        }
        match self {
            ScalarType::F16 => of::<F16>(bytes),
            ScalarType::Bf16 => of::<Bf16>(bytes),
            ScalarType::Unorm8 => of::<Unorm8>(bytes),
            ScalarType::Unorm16 => of::<Unorm16>(bytes),
            ScalarType::Snorm8 => of::<Snorm8>(bytes),
            ScalarType::Snorm16 => of::<Snorm16>(bytes),
            _ => None,
        }
    }

    /// Appends the little-endian bytes of the small number nearest to a value, and says whether the type is one.
    pub fn put_small(self, value: f32, out: &mut Vec<u8>) -> bool {
        fn put<T: AsF32>(value: f32, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(bytemuck::bytes_of(&T::from_f32(value)));
            true
        }
        match self {
            ScalarType::F16 => put::<F16>(value, out),
            ScalarType::Bf16 => put::<Bf16>(value, out),
            ScalarType::Unorm8 => put::<Unorm8>(value, out),
            ScalarType::Unorm16 => put::<Unorm16>(value, out),
            ScalarType::Snorm8 => put::<Snorm8>(value, out),
            ScalarType::Snorm16 => put::<Snorm16>(value, out),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
