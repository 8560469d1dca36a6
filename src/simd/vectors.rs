//! Which vectors a processor has, and kernels that run with the widest of them.
#![cfg_attr(
    all(target_arch = "x86_64", not(miri)),
    expect(unsafe_code, reason = "calls versions for processor features that were looked for")
)]

use std::sync::atomic::{AtomicU8, Ordering};

/// The vectors that loops and kernels run with. The results are the same bits with each; see [`wide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vectors {
    /// What the program was compiled for: SSE2 on x86-64.
    Baseline,
    /// 256 bits.
    Avx2,
    /// 512 bits: AVX-512 F, VL, DQ and BW.
    Avx512,
}

/// The widest that may be used.
static WIDEST: AtomicU8 = AtomicU8::new(Vectors::Avx512 as u8);

impl Vectors {
    /// All of them, narrow ones first.
    pub const ALL: [Vectors; 3] = [Vectors::Baseline, Vectors::Avx2, Vectors::Avx512];

    /// The widest that this processor has.
    #[must_use]
    #[inline]
    pub fn of_processor() -> Vectors {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if std::arch::is_x86_feature_detected!("avx2") {
            let wider = std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512bw");
            return if wider { Vectors::Avx512 } else { Vectors::Avx2 };
        }
        Vectors::Baseline
    }

    /// Those that are used: the widest of the processor that [`Vectors::limit`] allows.
    #[must_use]
    #[inline]
    pub fn in_use() -> Vectors {
        let widest = match WIDEST.load(Ordering::Relaxed) {
            0 => Vectors::Baseline,
            1 => Vectors::Avx2,
            _ => Vectors::Avx512,
        };
        widest.min(Self::of_processor())
    }

    /// From now on nothing wider than these is used in this process: to compare speeds, and to see that the bits are the
    /// same. It may be called at any time, while kernels run, too.
    pub fn limit(self) {
        WIDEST.store(self as u8, Ordering::Relaxed);
    }
}

/// A computation that [`wide`] runs with the widest vectors that this processor has.
///
/// Mark `run` and what it calls `#[inline(always)]`: only what is inlined is compiled anew for the wide vectors.
pub trait WideKernel {
    /// What it computes.
    type Output;
    /// Computes it.
    fn run(self) -> Self::Output;
}

/// Runs a kernel in a version for AVX-512 or AVX2 where the processor has it, else as the rest of the program is compiled.
/// The bits are the same: nothing is fused or reordered, so a kernel that sums in lanes of its own has one result everywhere.
///
/// ```
/// struct Dot<'a>(&'a [f64], &'a [f64]);
/// impl hypostyle::simd::WideKernel for Dot<'_> {
///     type Output = f64;
///     #[inline(always)]
///     fn run(self) -> f64 {
///         let mut lanes = [0.0; 4];
///         for (a, b) in self.0.as_chunks::<4>().0.iter().zip(self.1.as_chunks::<4>().0) {
///             for lane in 0..4 {
///                 lanes[lane] += a[lane] * b[lane];
///             }
///         }
///         (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
///     }
/// }
/// assert_eq!(hypostyle::simd::wide(Dot(&[1.0, 2.0, 3.0, 4.0], &[1.0; 4])), 10.0);
/// ```
#[inline]
pub fn wide<K: WideKernel>(kernel: K) -> K::Output {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn avx512<K: WideKernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        #[target_feature(enable = "avx2")]
        fn avx2<K: WideKernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        match Vectors::in_use() {
            // SAFETY: the processor has these.
            Vectors::Avx512 => return unsafe { avx512(kernel) },
            // SAFETY: the processor has AVX2.
            Vectors::Avx2 => return unsafe { avx2(kernel) },
            Vectors::Baseline => {}
        }
    }
    kernel.run()
}
