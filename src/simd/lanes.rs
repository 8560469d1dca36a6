//! Eight numbers side by side, in whatever registers the processor has for them.
//!
//! [`on_lanes`] runs a kernel that is written once, over any [`Lanes`], with the widest that there are. Every operation is
//! that of IEEE 754 on each lane, rounded to the nearest; there is none that fuses two. So the bits are the same for all.
#![expect(unsafe_code, reason = "intrinsics of a processor feature that was looked for; unchecked gathers")]

#[cfg(all(target_arch = "x86_64", not(miri)))]
use std::arch::x86_64::*;

#[cfg(all(target_arch = "x86_64", not(miri)))]
use super::Vectors;

/// Lanes, of every type and on every machine: sums have this shape.
pub(crate) const WIDTH: usize = 8;

/// Eight numbers of type `T` and what can be done with them. A value of the type stands for the processor's having what its
/// methods need: it comes from [`on_lanes`] alone.
pub(crate) trait Lanes<T>: Copy {
    /// Eight numbers.
    type V: Copy;
    fn splat(self, value: T) -> Self::V;
    fn load(self, from: &[T; WIDTH]) -> Self::V;
    fn store(self, value: Self::V, to: &mut [T; WIDTH]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// A bit for each lane in which `a` is less than `b`; none where one is not a number.
    fn below(self, a: Self::V, b: Self::V) -> u8;
    /// The lanes of `mask`, each as `first` + its number, one after the other at the begin of `to`; what follows is anything.
    fn pick(self, first: u32, mask: u8, to: &mut [u32; WIDTH]);
    /// Whether all rows are less than `len`.
    fn all_within(self, rows: &[u32; WIDTH], len: u32) -> bool;
    /// Numbers of a column.
    ///
    /// # Safety
    /// - Each of `rows` is less than the column's length.
    unsafe fn gather(self, column: &[T], rows: &[u32; WIDTH]) -> Self::V;
    /// The first three numbers of rows of four.
    ///
    /// # Safety
    /// - Each of `rows` is less than the column's length.
    unsafe fn gather_three(self, column: &[[T; 4]], rows: &[u32; WIDTH]) -> [Self::V; 3];
}

/// A number type that has lanes.
pub(crate) trait LaneItem: Copy + 'static {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    type Avx2: Lanes<Self>;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    type Avx512: Lanes<Self>;
    type Plain: Lanes<Self>;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    /// # Safety
    /// - The processor has AVX2.
    unsafe fn avx2() -> Self::Avx2;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    /// # Safety
    /// - The processor has AVX-512 F, VL, DQ and BW.
    unsafe fn avx512() -> Self::Avx512;
    fn plain() -> Self::Plain;
}

/// A computation over lanes. Mark `run`, and what it calls, `#[inline(always)]`.
pub(crate) trait LaneKernel<T> {
    type Output;
    fn run<L: Lanes<T>>(self, lanes: L) -> Self::Output;
}

/// Runs a kernel with the lanes of this processor.
#[inline]
pub(crate) fn on_lanes<T: LaneItem, K: LaneKernel<T>>(kernel: K) -> K::Output {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn avx512<T: LaneItem, K: LaneKernel<T>>(kernel: K) -> K::Output {
            // SAFETY: this function runs where the processor has them.
            kernel.run(unsafe { T::avx512() })
        }
        #[target_feature(enable = "avx2")]
        fn avx2<T: LaneItem, K: LaneKernel<T>>(kernel: K) -> K::Output {
            // SAFETY: this function runs where the processor has it.
            kernel.run(unsafe { T::avx2() })
        }
        match Vectors::in_use() {
            // SAFETY: the processor has these.
            Vectors::Avx512 => return unsafe { avx512(kernel) },
            // SAFETY: the processor has AVX2.
            Vectors::Avx2 => return unsafe { avx2(kernel) },
            Vectors::Baseline => {}
        }
    }
    kernel.run(T::plain())
}

/// Asks for rows that are about to be read. A hint: nothing depends on it.
#[inline(always)]
pub(crate) fn prefetch<T>(rows: &[T]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for line in rows.chunks((64 / size_of::<T>()).max(1)) {
        // SAFETY: a prefetch reads nothing that the program sees, and the address is a slice's.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = rows;
}

/// Lanes that the compiler makes of plain operations.
#[derive(Clone, Copy)]
pub(crate) struct Plain(());

macro_rules! plain {
    ($t:ty) => {
        impl Lanes<$t> for Plain {
            type V = [$t; WIDTH];
            #[inline(always)]
            fn splat(self, value: $t) -> Self::V {
                [value; WIDTH]
            }
            #[inline(always)]
            fn load(self, from: &[$t; WIDTH]) -> Self::V {
                *from
            }
            #[inline(always)]
            fn store(self, value: Self::V, to: &mut [$t; WIDTH]) {
                *to = value;
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                std::array::from_fn(|lane| a[lane] + b[lane])
            }
            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                std::array::from_fn(|lane| a[lane] - b[lane])
            }
            #[inline(always)]
            fn mul(self, a: Self::V, b: Self::V) -> Self::V {
                std::array::from_fn(|lane| a[lane] * b[lane])
            }
            #[inline(always)]
            fn below(self, a: Self::V, b: Self::V) -> u8 {
                (0..WIDTH).fold(0, |mask, lane| mask | u8::from(a[lane] < b[lane]) << lane)
            }
            #[inline(always)]
            fn pick(self, first: u32, mask: u8, to: &mut [u32; WIDTH]) {
                let mut next = 0;
                for lane in 0..WIDTH {
                    // at most `lane` were picked before this one
                    to[next & (WIDTH - 1)] = first.wrapping_add(lane as u32);
                    next += usize::from(mask >> lane & 1);
                }
            }
            #[inline(always)]
            fn all_within(self, rows: &[u32; WIDTH], len: u32) -> bool {
                rows.iter().fold(true, |all, row| all & (*row < len))
            }
            #[inline(always)]
            unsafe fn gather(self, column: &[$t], rows: &[u32; WIDTH]) -> Self::V {
                // SAFETY: the caller's rows are in the column.
                rows.map(|row| unsafe { *column.get_unchecked(row as usize) })
            }
            #[inline(always)]
            unsafe fn gather_three(self, column: &[[$t; 4]], rows: &[u32; WIDTH]) -> [Self::V; 3] {
                let mut all = [[0.0; WIDTH]; 3];
                for lane in 0..WIDTH {
                    // SAFETY: the caller's rows are in the column.
                    let row = unsafe { column.get_unchecked(rows[lane] as usize) };
                    (all[0][lane], all[1][lane], all[2][lane]) = (row[0], row[1], row[2]);
                }
                all
            }
        }
    };
}

plain!(f32);
plain!(f64);

/// The numbers of a mask's lanes, a byte each.
#[cfg(all(target_arch = "x86_64", not(miri)))]
static PICKED: [u64; 256] = {
    let mut all = [0; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut lane, mut at) = (0, 0);
        while lane < 8 {
            if mask >> lane & 1 != 0 {
                all[mask] |= (lane as u64) << (8 * at);
                at += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    all
};

/// [`Lanes::pick`] by a table.
///
/// # Safety
/// - The processor has AVX2.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
unsafe fn pick_avx2(first: u32, mask: u8, to: &mut [u32; WIDTH]) {
    // SAFETY: the processor has AVX2 (contract); `to` has the 32 bytes that are written.
    unsafe {
        let lanes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(PICKED[usize::from(mask)] as i64));
        let rows = _mm256_add_epi32(_mm256_set1_epi32(first as i32), lanes);
        _mm256_storeu_si256(to.as_mut_ptr().cast(), rows);
    }
}

/// [`Lanes::all_within`]: none is the greater one of itself and `len`.
///
/// # Safety
/// - The processor has AVX2.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
unsafe fn all_within_avx2(rows: &[u32; WIDTH], len: u32) -> bool {
    // SAFETY: the processor has AVX2 (contract); 8 rows are there.
    unsafe {
        let rows = _mm256_loadu_si256(rows.as_ptr().cast());
        let greater = _mm256_max_epu32(rows, _mm256_set1_epi32(len as i32));
        _mm256_movemask_epi8(_mm256_cmpeq_epi32(greater, rows)) == 0
    }
}

/// The arithmetic of eight numbers in one register.
#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! one_register {
    ($t:ty: $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident) => {
        #[inline(always)]
        fn splat(self, value: $t) -> Self::V {
            // SAFETY: the processor has what the type stands for (a value of it says so); so everywhere below.
            unsafe { $splat(value) }
        }
        #[inline(always)]
        fn load(self, from: &[$t; WIDTH]) -> Self::V {
            // SAFETY: as above; 8 numbers are there.
            unsafe { $load(from.as_ptr()) }
        }
        #[inline(always)]
        fn store(self, value: Self::V, to: &mut [$t; WIDTH]) {
            // SAFETY: as above; there is room for 8 numbers.
            unsafe { $store(to.as_mut_ptr(), value) };
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { $add(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { $sub(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { $mul(a, b) }
        }
    };
}

/// Two registers of four, or one of eight.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

#[cfg(all(target_arch = "x86_64", not(miri)))]
impl Lanes<f64> for Avx2 {
    type V = [__m256d; 2];
    #[inline(always)]
    fn splat(self, value: f64) -> Self::V {
        // SAFETY: the processor has AVX2 (a value of the type says so); so everywhere below.
        unsafe { [_mm256_set1_pd(value); 2] }
    }
    #[inline(always)]
    fn load(self, from: &[f64; WIDTH]) -> Self::V {
        // SAFETY: as above; 8 numbers are there.
        unsafe { [_mm256_loadu_pd(from.as_ptr()), _mm256_loadu_pd(from.as_ptr().add(4))] }
    }
    #[inline(always)]
    fn store(self, value: Self::V, to: &mut [f64; WIDTH]) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_pd(to.as_mut_ptr(), value[0]) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_pd(to.as_mut_ptr().add(4), value[1]) };
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { [_mm256_add_pd(a[0], b[0]), _mm256_add_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { [_mm256_sub_pd(a[0], b[0]), _mm256_sub_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { [_mm256_mul_pd(a[0], b[0]), _mm256_mul_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn below(self, a: Self::V, b: Self::V) -> u8 {
        // SAFETY: as above.
        let low = unsafe { _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(a[0], b[0])) };
        // SAFETY: as above.
        let high = unsafe { _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(a[1], b[1])) };
        (low | high << 4) as u8
    }
    #[inline(always)]
    fn pick(self, first: u32, mask: u8, to: &mut [u32; WIDTH]) {
        // SAFETY: as above.
        unsafe { pick_avx2(first, mask, to) }
    }
    #[inline(always)]
    fn all_within(self, rows: &[u32; WIDTH], len: u32) -> bool {
        // SAFETY: as above.
        unsafe { all_within_avx2(rows, len) }
    }
    #[inline(always)]
    unsafe fn gather_three(self, column: &[[f64; 4]], rows: &[u32; WIDTH]) -> [Self::V; 3] {
        // SAFETY: as above; the caller's rows are in the column, and each has the 32 bytes that are read.
        unsafe {
            let row = |lane: usize| _mm256_loadu_pd(column.get_unchecked(rows[lane] as usize).as_ptr());
            // x x | z z, and y y | w w, of two rows
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            let (xz, yw) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            let (xz_more, yw_more) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
            let (a, b, c, d) = (row(4), row(5), row(6), row(7));
            let (xz_high, yw_high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            let (xz_last, yw_last) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
            [
                [_mm256_permute2f128_pd::<0x20>(xz, xz_more), _mm256_permute2f128_pd::<0x20>(xz_high, xz_last)],
                [_mm256_permute2f128_pd::<0x20>(yw, yw_more), _mm256_permute2f128_pd::<0x20>(yw_high, yw_last)],
                [_mm256_permute2f128_pd::<0x31>(xz, xz_more), _mm256_permute2f128_pd::<0x31>(xz_high, xz_last)],
            ]
        }
    }
    #[inline(always)]
    unsafe fn gather(self, column: &[f64], rows: &[u32; WIDTH]) -> Self::V {
        // SAFETY: the caller's rows are in the column.
        let at = |lane: usize| unsafe { *column.get_unchecked(rows[lane] as usize) };
        // SAFETY: as above.
        unsafe { [_mm256_setr_pd(at(0), at(1), at(2), at(3)), _mm256_setr_pd(at(4), at(5), at(6), at(7))] }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
impl Lanes<f32> for Avx2 {
    type V = __m256;
    one_register!(f32: _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps);
    #[inline(always)]
    fn below(self, a: Self::V, b: Self::V) -> u8 {
        // SAFETY: as above.
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) as u8 }
    }
    #[inline(always)]
    fn pick(self, first: u32, mask: u8, to: &mut [u32; WIDTH]) {
        // SAFETY: as above.
        unsafe { pick_avx2(first, mask, to) }
    }
    #[inline(always)]
    fn all_within(self, rows: &[u32; WIDTH], len: u32) -> bool {
        // SAFETY: as above.
        unsafe { all_within_avx2(rows, len) }
    }
    #[inline(always)]
    unsafe fn gather_three(self, column: &[[f32; 4]], rows: &[u32; WIDTH]) -> [Self::V; 3] {
        // SAFETY: as above; the caller's rows are in the column, and each has the 16 bytes that are read.
        unsafe {
            let row = |lane: usize| _mm_loadu_ps(column.get_unchecked(rows[lane] as usize).as_ptr());
            let two = |lane: usize| _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(row(lane)), row(lane + 4));
            let (a, b, c, d) = (two(0), two(1), two(2), two(3));
            // x x y y, and z z w w, of two rows and the two that are four further
            let (xy, zw) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (xy_more, zw_more) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(xy, xy_more),
                _mm256_shuffle_ps::<0xee>(xy, xy_more),
                _mm256_shuffle_ps::<0x44>(zw, zw_more),
            ]
        }
    }
    #[inline(always)]
    unsafe fn gather(self, column: &[f32], rows: &[u32; WIDTH]) -> Self::V {
        // SAFETY: the caller's rows are in the column.
        let at = |lane: usize| unsafe { *column.get_unchecked(rows[lane] as usize) };
        // SAFETY: as above.
        unsafe { _mm256_setr_ps(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)) }
    }
}

/// One register of eight.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

#[cfg(all(target_arch = "x86_64", not(miri)))]
impl Lanes<f64> for Avx512 {
    type V = __m512d;
    one_register!(f64: _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_add_pd, _mm512_sub_pd, _mm512_mul_pd);
    #[inline(always)]
    fn below(self, a: Self::V, b: Self::V) -> u8 {
        // SAFETY: as above.
        unsafe { _mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn pick(self, first: u32, mask: u8, to: &mut [u32; WIDTH]) {
        // SAFETY: as above; `to` has the 32 bytes that are written.
        unsafe {
            let rows = _mm256_add_epi32(_mm256_set1_epi32(first as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_maskz_compress_epi32(mask, rows));
        }
    }
    #[inline(always)]
    fn all_within(self, rows: &[u32; WIDTH], len: u32) -> bool {
        // SAFETY: as above; 8 rows are there.
        unsafe {
            let rows = _mm256_loadu_si256(rows.as_ptr().cast());
            _mm256_cmpge_epu32_mask(rows, _mm256_set1_epi32(len as i32)) == 0
        }
    }
    #[inline(always)]
    unsafe fn gather_three(self, column: &[[f64; 4]], rows: &[u32; WIDTH]) -> [Self::V; 3] {
        // SAFETY: as above; the caller's rows are in the column, and each has the 32 bytes that are read.
        unsafe {
            let row = |lane: usize| _mm256_loadu_pd(column.get_unchecked(rows[lane] as usize).as_ptr());
            let two = |lane: usize| _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(row(lane)), row(lane + 4));
            let (a, b, c, d) = (two(0), two(1), two(2), two(3));
            // x x | z z, and y y | w w, of two rows and the two that are four further
            let (xz, yw) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
            let (xz_more, yw_more) = (_mm512_unpacklo_pd(c, d), _mm512_unpackhi_pd(c, d));
            let first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
            let second = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
            [
                _mm512_permutex2var_pd(xz, first, xz_more),
                _mm512_permutex2var_pd(yw, first, yw_more),
                _mm512_permutex2var_pd(xz, second, xz_more),
            ]
        }
    }
    #[inline(always)]
    unsafe fn gather(self, column: &[f64], rows: &[u32; WIDTH]) -> Self::V {
        // SAFETY: the caller's rows are in the column.
        let at = |lane: usize| unsafe { *column.get_unchecked(rows[lane] as usize) };
        // SAFETY: as above.
        unsafe { _mm512_setr_pd(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)) }
    }
}

impl LaneItem for f64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    type Avx2 = Avx2;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    type Avx512 = Avx512;
    type Plain = Plain;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    unsafe fn avx2() -> Avx2 {
        Avx2(())
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    unsafe fn avx512() -> Avx512 {
        Avx512(())
    }
    fn plain() -> Plain {
        Plain(())
    }
}

impl LaneItem for f32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    type Avx2 = Avx2;
    /// Eight of them fill 256 bits; the shape of sums is the same everywhere.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    type Avx512 = Avx2;
    type Plain = Plain;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    unsafe fn avx2() -> Avx2 {
        Avx2(())
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    unsafe fn avx512() -> Avx2 {
        Avx2(())
    }
    fn plain() -> Plain {
        Plain(())
    }
}
