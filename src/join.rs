//! How two values become one: sums, minima, maxima and bits, typed or packed.
//!
//! Reductions and accumulating patches join by these and by nothing else, so that a sum has the same bits everywhere.
#![forbid(unsafe_code)]

use crate::component::Field;
use crate::layout::{FieldType, ScalarType};

/// How the values of one field are joined.
///
/// | join | numbers | bool | where no row gave anything |
/// |---|---|---|---|
/// | sum | `+`; integers stop at the ends of their range | - | 0 |
/// | min | the smaller one, -0 before 0; not-a-number loses to any number | and | the largest value; infinity |
/// | max | the larger one, likewise | or | the smallest value; minus infinity |
/// | or | integers: each bit that is set in one of them; floats have none | or | 0 |
///
/// Arrays are joined element by element: a histogram is a sum of arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldJoin {
    /// The sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The bits of both.
    Or,
}

impl FieldJoin {
    /// The join with this name: `sum`, `min`, `max` or `or`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sum" => Some(FieldJoin::Sum),
            "min" => Some(FieldJoin::Min),
            "max" => Some(FieldJoin::Max),
            "or" => Some(FieldJoin::Or),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            FieldJoin::Sum => "sum",
            FieldJoin::Min => "min",
            FieldJoin::Max => "max",
            FieldJoin::Or => "or",
        }
    }
}

/// A field's type whose values have a minimum and a maximum. Used by `#[derive(Reduce)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no minimum and maximum",
    note = "`#[reduce(min)]` and `#[reduce(max)]` are for numbers, bool and arrays of them; for others write `impl Reduce` by hand"
)]
pub trait Ordered: Field {
    /// What is larger than any other.
    const LARGEST: Self;
    /// What is smaller than any other.
    const SMALLEST: Self;
    /// The smaller one, in any order.
    #[must_use]
    fn least(self, later: Self) -> Self;
    /// The larger one, in any order.
    #[must_use]
    fn greatest(self, later: Self) -> Self;
}

/// A field's type whose values have a sum. Used by `#[derive(Reduce)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no sum",
    note = "`#[reduce(sum)]` is for numbers and arrays of them; a bool has `min` (and) and `max` (or)"
)]
pub trait Summed: Field {
    /// Nothing.
    const ZERO: Self;
    /// Whether a sum has the same bits in any order and grouping, as long as it stays in the range of its type.
    const EXACT: bool;
    /// Both together; integers stop at the ends of their range.
    #[must_use]
    fn plus(self, later: Self) -> Self;
}

/// A field's type whose values have bits to be set. Used by `#[derive(Reduce)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no bits to be set",
    note = "`#[reduce(or)]` is for integers, bool and arrays of them"
)]
pub trait Bits: Field {
    /// None set.
    const CLEAR: Self;
    /// The bits of both.
    #[must_use]
    fn with_bits(self, later: Self) -> Self;
}

macro_rules! bits {
    ($($t:ty = $clear:expr),*) => { $(
        impl Bits for $t {
            const CLEAR: Self = $clear;
            #[inline]
            fn with_bits(self, later: Self) -> Self { self | later }
        }
        impl<const N: usize> Bits for [$t; N] where [$t; N]: Field {
            const CLEAR: Self = [$clear; N];
            #[inline]
            fn with_bits(mut self, later: Self) -> Self {
                self.iter_mut().zip(later).for_each(|(own, later)| *own |= later);
                self
            }
        }
    )* };
}
bits!(i8 = 0, i16 = 0, i32 = 0, i64 = 0, u8 = 0, u16 = 0, u32 = 0, u64 = 0, bool = false);

macro_rules! arrays {
    ($($t:ty),*) => { $(
        impl<const N: usize> Summed for [$t; N] where [$t; N]: Field {
            const ZERO: Self = [<$t as Summed>::ZERO; N];
            const EXACT: bool = <$t as Summed>::EXACT;
            #[inline]
            fn plus(mut self, later: Self) -> Self {
                self.iter_mut().zip(later).for_each(|(own, later)| *own = own.plus(later));
                self
            }
        }
    )* };
}
macro_rules! ordered_arrays {
    ($($t:ty),*) => { $(
        impl<const N: usize> Ordered for [$t; N] where [$t; N]: Field {
            const LARGEST: Self = [<$t as Ordered>::LARGEST; N];
            const SMALLEST: Self = [<$t as Ordered>::SMALLEST; N];
            #[inline]
            fn least(mut self, later: Self) -> Self {
                self.iter_mut().zip(later).for_each(|(own, later)| *own = own.least(later));
                self
            }
            #[inline]
            fn greatest(mut self, later: Self) -> Self {
                self.iter_mut().zip(later).for_each(|(own, later)| *own = own.greatest(later));
                self
            }
        }
    )* };
}
macro_rules! integers {
    ($($t:ty),*) => { $(
        impl Summed for $t {
            const ZERO: Self = 0;
            const EXACT: bool = true;
            #[inline]
            fn plus(self, later: Self) -> Self { self.saturating_add(later) }
        }
        impl Ordered for $t {
            const LARGEST: Self = <$t>::MAX;
            const SMALLEST: Self = <$t>::MIN;
            #[inline]
            fn least(self, later: Self) -> Self { if later < self { later } else { self } }
            #[inline]
            fn greatest(self, later: Self) -> Self { if later > self { later } else { self } }
        }
    )* };
}
macro_rules! floats {
    ($($t:ty),*) => { $(
        impl Summed for $t {
            const ZERO: Self = 0.0;
            const EXACT: bool = false;
            #[inline]
            fn plus(self, later: Self) -> Self { self + later }
        }
        // not the library's `min`, which may give either zero of 0 and -0; of two that are no numbers one is chosen by its
        // bits, so that the order does not matter
        impl Ordered for $t {
            const LARGEST: Self = <$t>::INFINITY;
            const SMALLEST: Self = <$t>::NEG_INFINITY;
            #[inline]
            fn least(self, later: Self) -> Self {
                let before = later < self || (later == self && later.is_sign_negative());
                if before || (self.is_nan() && (!later.is_nan() || later.to_bits() < self.to_bits())) { later } else { self }
            }
            #[inline]
            fn greatest(self, later: Self) -> Self {
                let before = later > self || (later == self && later.is_sign_positive());
                if before || (self.is_nan() && (!later.is_nan() || later.to_bits() < self.to_bits())) { later } else { self }
            }
        }
    )* };
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);
floats!(f32, f64);
arrays!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64);
ordered_arrays!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool);

impl Ordered for bool {
    const LARGEST: Self = true;
    const SMALLEST: Self = false;
    #[inline]
    fn least(self, later: Self) -> Self {
        self && later
    }
    #[inline]
    fn greatest(self, later: Self) -> Self {
        self || later
    }
}

/// What is done with a join once its type is known.
pub(crate) trait WithJoin {
    /// `join` takes the earlier value and the later one.
    fn run<T: bytemuck::Pod>(self, empty: T, join: impl Fn(T, T) -> T + Copy);
}

/// The values of one field, and how they are joined: only what has such a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FieldRule {
    ty: FieldType,
    join: FieldJoin,
}

impl FieldRule {
    /// `None`: such values have no such join.
    pub(crate) fn new(ty: FieldType, join: FieldJoin) -> Option<Self> {
        let fits = match ty.scalar {
            ScalarType::Entity => false,
            ScalarType::Bool => join != FieldJoin::Sum,
            ScalarType::F32 | ScalarType::F64 => join != FieldJoin::Or,
            // what is added up needs more digits than they have
            small if small.is_small() => false,
            _ => true,
        };
        fits.then_some(FieldRule { ty, join })
    }

    /// Whether it is a sum of numbers of this type.
    pub(crate) fn is_sum_of(self, scalar: ScalarType) -> bool {
        (self.join, self.ty.scalar) == (FieldJoin::Sum, scalar)
    }

    /// Whether the join has the same bits in any order and grouping: all but sums of floats.
    pub(crate) fn is_exact(self) -> bool {
        self.join != FieldJoin::Sum || !matches!(self.ty.scalar, ScalarType::F32 | ScalarType::F64)
    }

    /// Bytes of one value.
    pub(crate) fn bytes(self) -> usize {
        self.ty.bytes()
    }

    /// Calls `with` with the join of one scalar.
    #[inline]
    pub(crate) fn with(self, with: impl WithJoin) {
        macro_rules! by_type {
            ($(($scalar:ident $t:ty; $($join:ident $empty:ident $function:path),*)),*) => {
                match (self.ty.scalar, self.join) {
                    $($((ScalarType::$scalar, FieldJoin::$join) => with.run::<$t>(<$t>::$empty, $function),)*)*
                    // no rule is made of these
                    (
                        ScalarType::Entity
                        | ScalarType::F16
                        | ScalarType::Bf16
                        | ScalarType::Unorm8
                        | ScalarType::Unorm16
                        | ScalarType::Snorm8
                        | ScalarType::Snorm16,
                        _,
                    )
                    | (ScalarType::Bool, FieldJoin::Sum)
                    | (ScalarType::F32 | ScalarType::F64, FieldJoin::Or) => {}
                    // a byte of 0 or 1: its minimum is `and`, its maximum `or`
                    (ScalarType::Bool, FieldJoin::Min) => with.run::<u8>(1, u8::least),
                    (ScalarType::Bool, FieldJoin::Max | FieldJoin::Or) => with.run::<u8>(0, u8::greatest),
                }
            };
        }
        by_type!(
            (F32 f32; Sum ZERO f32::plus, Min LARGEST f32::least, Max SMALLEST f32::greatest),
            (F64 f64; Sum ZERO f64::plus, Min LARGEST f64::least, Max SMALLEST f64::greatest),
            (I8 i8; Sum ZERO i8::plus, Min LARGEST i8::least, Max SMALLEST i8::greatest, Or CLEAR i8::with_bits),
            (I16 i16; Sum ZERO i16::plus, Min LARGEST i16::least, Max SMALLEST i16::greatest, Or CLEAR i16::with_bits),
            (I32 i32; Sum ZERO i32::plus, Min LARGEST i32::least, Max SMALLEST i32::greatest, Or CLEAR i32::with_bits),
            (I64 i64; Sum ZERO i64::plus, Min LARGEST i64::least, Max SMALLEST i64::greatest, Or CLEAR i64::with_bits),
            (U8 u8; Sum ZERO u8::plus, Min LARGEST u8::least, Max SMALLEST u8::greatest, Or CLEAR u8::with_bits),
            (U16 u16; Sum ZERO u16::plus, Min LARGEST u16::least, Max SMALLEST u16::greatest, Or CLEAR u16::with_bits),
            (U32 u32; Sum ZERO u32::plus, Min LARGEST u32::least, Max SMALLEST u32::greatest, Or CLEAR u32::with_bits),
            (U64 u64; Sum ZERO u64::plus, Min LARGEST u64::least, Max SMALLEST u64::greatest, Or CLEAR u64::with_bits)
        );
    }

    /// Joins packed values, of one field each; bools in them are 0 or 1.
    #[inline]
    pub(crate) fn join(self, earlier: &mut [u8], later: &[u8]) {
        struct Packed<'p>(&'p mut [u8], &'p [u8]);
        impl WithJoin for Packed<'_> {
            #[inline]
            fn run<T: bytemuck::Pod>(self, _: T, join: impl Fn(T, T) -> T + Copy) {
                for (own, later) in self.0.chunks_exact_mut(size_of::<T>()).zip(self.1.chunks_exact(size_of::<T>())) {
                    let joined = join(bytemuck::pod_read_unaligned(own), bytemuck::pod_read_unaligned(later));
                    own.copy_from_slice(bytemuck::bytes_of(&joined));
                }
            }
        }
        self.with(Packed(earlier, later));
    }

    /// Writes a packed value that changes nothing it is joined to.
    pub(crate) fn write_empty(self, out: &mut [u8]) {
        struct Empty<'p>(&'p mut [u8]);
        impl WithJoin for Empty<'_> {
            fn run<T: bytemuck::Pod>(self, empty: T, _: impl Fn(T, T) -> T + Copy) {
                self.0
                    .chunks_exact_mut(size_of::<T>())
                    .for_each(|item| item.copy_from_slice(bytemuck::bytes_of(&empty)));
            }
        }
        self.with(Empty(out));
    }
}
