//! The two types of numbers that space is measured in.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::simd::lanes::LaneItem;

mod sealed {
    /// Numbers that have lanes.
    #[expect(private_bounds, reason = "what lanes are is nobody's business outside")]
    pub trait Sealed: super::LaneItem {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`.
pub trait Real:
    sealed::Sealed
    + Copy
    + PartialOrd
    + Debug
    + Default
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The smallest normal number.
    const TINY: Self;
    /// Adding and taking it away rounds a number to a whole one.
    #[doc(hidden)]
    const ROUND: Self;
    /// A little more than 1: so much longer is a reach from which rounding has cut nothing.
    #[doc(hidden)]
    const A_LITTLE_MORE: Self;
    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// The whole number at or below.
    #[must_use]
    fn floor(self) -> Self;
    /// The square root.
    #[must_use]
    fn sqrt(self) -> Self;
}

macro_rules! real {
    ($t:ident, $digits:expr, $more:expr) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const TINY: Self = $t::MIN_POSITIVE;
            const ROUND: Self = 1.5 * (1u64 << $digits) as $t;
            const A_LITTLE_MORE: Self = $more;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn floor(self) -> Self {
                $t::floor(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
        }
    };
}

real!(f32, 23, 1.0 + 1e-5);
real!(f64, 52, 1.0 + 1e-9);
