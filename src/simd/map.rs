//! Wide vectors without asking: the loops of the `map` methods run in a version for AVX2 where the processor has it.
//!
//! Each is a function of its own that gets its columns as arguments: so the compiler knows that they do not overlap,
//! nor change what the user's closure has borrowed, and makes vectors of them.
//!
//! Invariant: the bytes are those of the plain version. AVX2 computes every element as SSE2 does; nothing that fuses or
//! reorders floating-point operations (FMA, fast-math) is ever switched on here.
#![cfg_attr(
    all(target_arch = "x86_64", not(miri)),
    expect(unsafe_code, reason = "calls a version for a processor feature that was looked for")
)]

use std::ops::Range;

use bytemuck::Pod;

#[cfg(all(target_arch = "x86_64", not(miri)))]
use super::Vectors;

/// Makes a function whose body is compiled for AVX2, too.
macro_rules! wide {
    ($(#[$attribute:meta])* fn $name:ident<$($t:ident),*>($($arg:ident: $ty:ty),*; $f:ident: $bound:path) $body:block) => {
        $(#[$attribute])*
        #[inline]
        pub(crate) fn $name<$($t: Copy),*>($($arg: $ty,)* mut $f: impl $bound) {
            #[cfg(all(target_arch = "x86_64", not(target_feature = "avx2"), not(miri)))]
            if Vectors::in_use() >= Vectors::Avx2 {
                #[target_feature(enable = "avx2")]
                fn avx2<$($t: Copy),*>($($arg: $ty,)* mut $f: impl $bound) $body
                // SAFETY: the processor has AVX2.
                return unsafe { avx2($($arg,)* $f) };
            }
            $body
        }
    };
}

wide! {
    /// Sets every value to `f(value)`.
    fn map_in_place<T>(values: &mut [T]; f: FnMut(T) -> T) {
        for value in values {
            *value = f(*value);
        }
    }
}

wide! {
    /// Sets every new value to `f(old value)`.
    fn map<T>(new: &mut [T], old: &[T]; f: FnMut(T) -> T) {
        for (new, old) in new.iter_mut().zip(old) {
            *new = f(*old);
        }
    }
}

wide! {
    /// Sets every value to `f(value, a's value)`.
    fn map_with_in_place<T, A>(values: &mut [T], a: &[A]; f: FnMut(T, A) -> T) {
        for (value, a) in values.iter_mut().zip(a) {
            *value = f(*value, *a);
        }
    }
}

wide! {
    /// Sets every new value to `f(old value, a's value)`.
    fn map_with<T, A>(new: &mut [T], old: &[T], a: &[A]; f: FnMut(T, A) -> T) {
        for ((new, old), a) in new.iter_mut().zip(old).zip(a) {
            *new = f(*old, *a);
        }
    }
}

wide! {
    /// Sets every value to `f(value, a's value, b's value)`.
    fn map_with2_in_place<T, A, B>(values: &mut [T], a: &[A], b: &[B]; f: FnMut(T, A, B) -> T) {
        for ((value, a), b) in values.iter_mut().zip(a).zip(b) {
            *value = f(*value, *a, *b);
        }
    }
}

wide! {
    /// Sets every new value to `f(old value, a's value, b's value)`.
    fn map_with2<T, A, B>(new: &mut [T], old: &[T], a: &[A], b: &[B]; f: FnMut(T, A, B) -> T) {
        for (((new, old), a), b) in new.iter_mut().zip(old).zip(a).zip(b) {
            *new = f(*old, *a, *b);
        }
    }
}

/// Bytes that are made in the first cache before they are streamed out.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const BLOCK_BYTES: usize = 4096;

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[repr(C, align(64))]
struct Block([u8; BLOCK_BYTES]);

/// Has `make(values, range)` make the new values of consecutive ranges, and writes them past the caches: old values and
/// others' columns stay in them instead. For columns that do not fit and that nobody reads soon.
#[inline]
pub(crate) fn streamed<T: Pod>(new: &mut [T], mut make: impl FnMut(&mut [T], Range<usize>)) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if new.as_ptr().addr().is_multiple_of(64) && align_of::<T>() <= 64 && Vectors::in_use() >= Vectors::Avx2 {
        // whole lines, so that every block but the last begins at one
        let rows = BLOCK_BYTES / size_of::<T>().max(1) / 64 * 64;
        if rows > 0 {
            let mut block = Block([0; BLOCK_BYTES]);
            let mut from = 0;
            for part in new.chunks_mut(rows) {
                let len = part.len();
                let values: &mut [T] = bytemuck::cast_slice_mut(&mut block.0[..size_of_val(part)]);
                make(values, from..from + len);
                from += len;
                // SAFETY: the processor has AVX2.
                unsafe { stream(bytemuck::cast_slice(values), bytemuck::cast_slice_mut(part)) };
            }
            // SYNC POINT: streamed stores. They are ordered by nothing else: the job's end must not be seen before them.
            // SAFETY: the processor has AVX2, and so SSE.
            unsafe { std::arch::x86_64::_mm_sfence() };
            return;
        }
    }
    let all = 0..new.len();
    make(new, all);
}

/// Copies bytes between places that begin at multiples of 64.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx2")]
fn stream(from: &[u8], to: &mut [u8]) {
    use std::arch::x86_64::{__m256i, _mm256_load_si256, _mm256_stream_si256};
    assert!(from.len() == to.len() && from.as_ptr().addr().is_multiple_of(32) && to.as_ptr().addr().is_multiple_of(32));
    let whole = from.len() / 32 * 32;
    for at in (0..whole).step_by(32) {
        // SAFETY: 32 bytes from a multiple of 32 on lie in both slices, aligned (asserted).
        unsafe {
            let value = _mm256_load_si256(from.as_ptr().add(at).cast::<__m256i>());
            _mm256_stream_si256(to.as_mut_ptr().add(at).cast::<__m256i>(), value);
        }
    }
    to[whole..].copy_from_slice(&from[whole..]);
}

/// As [`map`], past the caches.
#[inline]
pub(crate) fn map_streamed<T: Pod>(new: &mut [T], old: &[T], mut f: impl FnMut(T) -> T) {
    streamed(new, |new, rows| map(new, &old[rows], &mut f));
}

/// As [`map_with`], past the caches.
#[inline]
pub(crate) fn map_with_streamed<T: Pod, A: Copy>(new: &mut [T], old: &[T], a: &[A], mut f: impl FnMut(T, A) -> T) {
    streamed(new, |new, rows| map_with(new, &old[rows.clone()], &a[rows], &mut f));
}

/// As [`map_with2`], past the caches.
#[inline]
pub(crate) fn map_with2_streamed<T: Pod, A: Copy, B: Copy>(
    new: &mut [T],
    old: &[T],
    a: &[A],
    b: &[B],
    mut f: impl FnMut(T, A, B) -> T,
) {
    streamed(new, |new, rows| map_with2(new, &old[rows.clone()], &a[rows.clone()], &b[rows], &mut f));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_loops_give_the_same_bits() {
        let (mut state, mut old) = (1u32, Vec::new());
        for _ in 0..1003 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            old.push(f32::from_bits(state));
        }
        let (a, b): (Vec<f32>, Vec<f32>) = (old.iter().rev().copied().collect(), old.iter().map(|v| v * 0.3).collect());
        let f = |v: f32| (v * 1.1 + 0.3).sqrt() - v / 3.0;
        let g = |v: f32, a: f32| v * 0.7 + a * 1.3;
        let h = |v: f32, a: f32, b: f32| v * a + b / 1.7;
        // one by one, so that nothing is vectorised; which NaN comes out is nobody's business
        let check = |name: &str, got: &[f32], want: &dyn Fn(usize) -> f32| {
            for (row, got) in got.iter().enumerate() {
                let want = std::hint::black_box(want(std::hint::black_box(row)));
                assert!(want.to_bits() == got.to_bits() || (want.is_nan() && got.is_nan()), "{name}, row {row}");
            }
        };
        let mut new = vec![0.0; old.len()];
        map(&mut new, &old, f);
        check("map", &new, &|row| f(old[row]));
        map_with(&mut new, &old, &a, g);
        check("map_with", &new, &|row| g(old[row], a[row]));
        map_with2(&mut new, &old, &a, &b, h);
        check("map_with2", &new, &|row| h(old[row], a[row], b[row]));
        new.copy_from_slice(&old);
        map_in_place(&mut new, f);
        check("map in place", &new, &|row| f(old[row]));
        new.copy_from_slice(&old);
        map_with_in_place(&mut new, &a, g);
        check("map_with in place", &new, &|row| g(old[row], a[row]));
        new.copy_from_slice(&old);
        map_with2_in_place(&mut new, &a, &b, h);
        check("map_with2 in place", &new, &|row| h(old[row], a[row], b[row]));
        // past the caches: at every alignment, and in more than one block
        let long: Vec<f32> = (0..5).flat_map(|_| old.iter().copied()).collect();
        let mut memory = vec![0.0; long.len() + 32];
        for skip in 0..17 {
            memory.fill(0.5);
            let new = &mut memory[skip..skip + long.len()];
            map_streamed(new, &long, f);
            check("map streamed", new, &|row| f(long[row]));
            map_with_streamed(new, &long, &long, g);
            check("map_with streamed", new, &|row| g(long[row], long[row]));
            map_with2_streamed(new, &long, &long, &long, h);
            check("map_with2 streamed", new, &|row| h(long[row], long[row], long[row]));
            assert!(memory[..skip].iter().chain(&memory[skip + long.len()..]).all(|value| *value == 0.5), "{skip}");
        }
        let large = [[7u8; 24]; 700];
        let mut new = [[0u8; 24]; 700];
        map_streamed(&mut new, &large, |row| row.map(|byte| byte + 1));
        assert!(new.iter().flatten().all(|byte| *byte == 8));
    }
}
