//! Loops over small numbers that kernels see as `f32`: converted in registers, a block of rows at a time.
//!
//! Where the processor has F16C (all that have AVX2 do), halves are converted by it. It does what the plain version does,
//! but that it keeps the payloads of NaN: these are made the one NaN before.
//!
//! Invariant: the bytes are those of the plain version.
#![cfg_attr(
    all(target_arch = "x86_64", not(miri)),
    expect(unsafe_code, reason = "calls a version for processor features that were looked for")
)]

use std::ops::Range;

use super::AsF32;
use crate::simd::map::streamed;

/// Rows that are converted at once: they stay in the first cache.
const BLOCK: usize = 256;

/// How a slice is converted: by plain code, or with instructions.
trait Convert: Copy {
    fn widen<T: AsF32>(self, from: &[T], to: &mut [f32]);
    fn narrow<T: AsF32>(self, from: &[f32], to: &mut [T]);
}

#[derive(Clone, Copy)]
struct Plain;

impl Convert for Plain {
    #[inline(always)]
    fn widen<T: AsF32>(self, from: &[T], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.to_f32();
        }
    }
    #[inline(always)]
    fn narrow<T: AsF32>(self, from: &[f32], to: &mut [T]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = T::from_f32(*from);
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod wide {
    use std::arch::x86_64::{
        _CMP_UNORD_Q, _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128, _mm_storeu_si128, _mm256_blendv_ps, _mm256_cmp_ps,
        _mm256_cvtph_ps, _mm256_cvtps_ph, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps,
    };

    use super::{Convert, Plain};
    use crate::layout::{FieldType, ScalarType};
    use crate::small::{AsF32, F16};

    /// A witness that the processor has AVX2 and F16C.
    #[derive(Clone, Copy)]
    pub(super) struct F16c(());

    impl F16c {
        #[inline]
        pub(super) fn new() -> Option<Self> {
            let found = crate::simd::Vectors::in_use() >= crate::simd::Vectors::Avx2
                && std::arch::is_x86_feature_detected!("f16c");
            found.then_some(F16c(()))
        }
    }

    impl Convert for F16c {
        #[inline(always)]
        fn widen<T: AsF32>(self, from: &[T], to: &mut [f32]) {
            if T::TYPE == FieldType::scalar(ScalarType::F16) {
                // SAFETY: the processor has both; `self` says so.
                return unsafe { widen(bytemuck::cast_slice(from), to) };
            }
            Plain.widen(from, to);
        }
        #[inline(always)]
        fn narrow<T: AsF32>(self, from: &[f32], to: &mut [T]) {
            if T::TYPE == FieldType::scalar(ScalarType::F16) {
                // SAFETY: the processor has both; `self` says so.
                return unsafe { narrow(from, bytemuck::cast_slice_mut(to)) };
            }
            Plain.narrow(from, to);
        }
    }

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn widen(from: &[F16], to: &mut [f32]) {
        let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
        for (from, to) in from.iter().zip(to) {
            // SAFETY: eight halves are 16 bytes, eight floats 32.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast()))) };
        }
        Plain.widen(from_rest, to_rest);
    }

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn narrow(from: &[f32], to: &mut [F16]) {
        let nan = _mm256_set1_ps(f32::from_bits(0x7fc0_0000));
        let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
        for (from, to) in from.iter().zip(to) {
            // SAFETY: eight floats are 32 bytes, eight halves 16.
            unsafe {
                let value = _mm256_loadu_ps(from.as_ptr());
                let value = _mm256_blendv_ps(value, nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
                let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value);
                _mm_storeu_si128(to.as_mut_ptr().cast(), halves);
            }
        }
        Plain.narrow(from_rest, to_rest);
    }
}

/// Makes a function whose body is compiled for AVX2 and F16C, too; `$convert` is how it converts.
macro_rules! converted {
    ($(#[$attribute:meta])* $vis:vis fn $name:ident<$($t:ident),*>($($arg:ident: $ty:ty),*; $f:ident: $bound:path) |$convert:ident| $body:block) => {
        $(#[$attribute])*
        #[inline]
        $vis fn $name<$($t: AsF32),*>($($arg: $ty,)* $f: impl $bound) {
            #[inline(always)]
            fn body<$($t: AsF32),*>($($arg: $ty,)* mut $f: impl $bound, $convert: impl Convert) $body
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            if let Some(f16c) = wide::F16c::new() {
                #[target_feature(enable = "avx2,f16c")]
                fn avx2<$($t: AsF32),*>($($arg: $ty,)* $f: impl $bound, f16c: wide::F16c) {
                    body($($arg,)* $f, f16c);
                }
                // SAFETY: the processor has both, as the witness says.
                return unsafe { avx2($($arg,)* $f, f16c) };
            }
            body($($arg,)* $f, Plain);
        }
    };
}

/// The ranges of blocks of so many rows.
#[inline(always)]
fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(BLOCK).map(move |from| from..rows.min(from + BLOCK))
}

converted! {
    /// Sets every value to `f(value)`.
    pub(crate) fn map_in_place<T>(values: &mut [T]; f: FnMut(f32) -> f32) |convert| {
        let mut wide = [0.0; BLOCK];
        for rows in blocks(values.len()) {
            let (values, wide) = (&mut values[rows.clone()], &mut wide[..rows.len()]);
            convert.widen(values, wide);
            wide.iter_mut().for_each(|value| *value = f(*value));
            convert.narrow(wide, values);
        }
    }
}

converted! {
    /// Sets every new value to `f(old value)`.
    pub(crate) fn map<T>(new: &mut [T], old: &[T]; f: FnMut(f32) -> f32) |convert| {
        let mut wide = [0.0; BLOCK];
        for rows in blocks(new.len()) {
            let wide = &mut wide[..rows.len()];
            convert.widen(&old[rows.clone()], wide);
            wide.iter_mut().for_each(|value| *value = f(*value));
            convert.narrow(wide, &mut new[rows]);
        }
    }
}

converted! {
    /// Sets every value to `f(value, a's value)`.
    pub(crate) fn map_with_in_place<T, A>(values: &mut [T], a: &[A]; f: FnMut(f32, f32) -> f32) |convert| {
        let (mut wide, mut wide_a) = ([0.0; BLOCK], [0.0; BLOCK]);
        for rows in blocks(values.len()) {
            let (values, wide, wide_a) = (&mut values[rows.clone()], &mut wide[..rows.len()], &mut wide_a[..rows.len()]);
            convert.widen(values, wide);
            convert.widen(&a[rows], wide_a);
            wide.iter_mut().zip(wide_a).for_each(|(value, a)| *value = f(*value, *a));
            convert.narrow(wide, values);
        }
    }
}

converted! {
    /// Sets every new value to `f(old value, a's value)`.
    pub(crate) fn map_with<T, A>(new: &mut [T], old: &[T], a: &[A]; f: FnMut(f32, f32) -> f32) |convert| {
        let (mut wide, mut wide_a) = ([0.0; BLOCK], [0.0; BLOCK]);
        for rows in blocks(new.len()) {
            let (wide, wide_a) = (&mut wide[..rows.len()], &mut wide_a[..rows.len()]);
            convert.widen(&old[rows.clone()], wide);
            convert.widen(&a[rows.clone()], wide_a);
            wide.iter_mut().zip(wide_a).for_each(|(value, a)| *value = f(*value, *a));
            convert.narrow(wide, &mut new[rows]);
        }
    }
}

/// As [`map`], past the caches.
#[inline]
pub(crate) fn map_streamed<T: AsF32>(new: &mut [T], old: &[T], mut f: impl FnMut(f32) -> f32) {
    streamed(new, |new, rows| map(new, &old[rows], &mut f));
}

/// As [`map_with`], past the caches.
#[inline]
pub(crate) fn map_with_streamed<T: AsF32, A: AsF32>(
    new: &mut [T],
    old: &[T],
    a: &[A],
    mut f: impl FnMut(f32, f32) -> f32,
) {
    streamed(new, |new, rows| map_with(new, &old[rows.clone()], &a[rows], &mut f));
}

converted! {
    fn widen_all<T>(from: &[T], to: &mut [f32]; _f: FnMut()) |convert| {
        convert.widen(from, to);
    }
}

converted! {
    fn narrow_all<T>(from: &[f32], to: &mut [T]; _f: FnMut()) |convert| {
        convert.narrow(from, to);
    }
}

/// Small numbers as `f32`, with the widest vectors that this processor has.
///
/// # Panics
/// When the slices have different lengths.
///
/// ```
/// use hypostyle::small::{Snorm16, widen};
/// let mut wide = [0.0; 2];
/// widen(&[Snorm16::from_f32(-1.0), Snorm16::from_f32(1.0)], &mut wide);
/// assert_eq!(wide, [-1.0, 1.0]);
/// ```
pub fn widen<T: AsF32>(from: &[T], to: &mut [f32]) {
    assert_eq!(from.len(), to.len(), "as many numbers as there is room for");
    widen_all(from, to, || {});
}

/// The small numbers that are nearest to values, with the widest vectors that this processor has.
///
/// # Panics
/// When the slices have different lengths.
///
/// ```
/// use hypostyle::small::{Bf16, narrow};
/// let mut small = [Bf16::default(); 2];
/// narrow(&[1.0, 1e30], &mut small);
/// assert_eq!((small[0].to_f32(), small[1].to_f32()), (1.0, 1.00025555e30));
/// ```
pub fn narrow<T: AsF32>(from: &[f32], to: &mut [T]) {
    assert_eq!(from.len(), to.len(), "as much room as there are numbers");
    narrow_all(from, to, || {});
}
