//! Do streaming stores pay? A double-buffered `position += velocity * dt` (old columns to new ones, then the other way
//! round), once with plain stores and once with stores that go past the caches, at sizes from the first cache to main
//! memory. Rounds are interleaved; medians with quartiles, in ns per entity. `cargo bench --bench streaming`.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "streaming stores are intrinsics"))]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!("streaming stores are measured on x86-64 only");
}

#[cfg(target_arch = "x86_64")]
fn main() {
    measured::run();
}

#[cfg(target_arch = "x86_64")]
mod measured {
    use std::arch::x86_64::{__m256i, _mm_sfence, _mm256_load_si256, _mm256_stream_si256};
    use std::hint::black_box;
    use std::time::Instant;

    const DT: f32 = 1e-3;
    const ROUNDS: usize = 15;
    /// Entities that a round moves, at least: small worlds run many frames.
    const MOVED: usize = 20_000_000;
    /// Values that are made in the first cache before they are streamed out.
    const BLOCK: usize = 256;

    #[repr(C, align(64))]
    #[derive(Clone, Copy)]
    struct Line([f32; 16]);

    #[repr(C, align(64))]
    struct Block([f32; BLOCK]);

    /// A column that begins at a multiple of 64 bytes.
    struct Column(Vec<Line>);

    impl Column {
        fn new(len: usize) -> Column {
            Column(vec![Line([1.0; 16]); len.div_ceil(16)])
        }

        fn values(&self) -> &[f32] {
            // SAFETY: lines are sixteen floats each, one after the other.
            unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
        }

        fn values_mut(&mut self) -> &mut [f32] {
            // SAFETY: lines are sixteen floats each, one after the other.
            unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
        }
    }

    #[target_feature(enable = "avx2")]
    fn plain(new: &mut [f32], old: &[f32], velocity: &[f32]) {
        for ((new, old), velocity) in new.iter_mut().zip(old).zip(velocity) {
            *new = old + velocity * DT;
        }
    }

    #[target_feature(enable = "avx2")]
    fn streamed(new: &mut [f32], old: &[f32], velocity: &[f32]) {
        let mut block = Block([0.0; BLOCK]);
        for ((new, old), velocity) in new.chunks_mut(BLOCK).zip(old.chunks(BLOCK)).zip(velocity.chunks(BLOCK)) {
            plain(&mut block.0[..new.len()], old, velocity);
            for at in (0..new.len()).step_by(8) {
                // SAFETY: columns are whole lines at multiples of 64 bytes, so eight floats from a multiple of eight on
                // lie in both, aligned to 32.
                unsafe {
                    let value = _mm256_load_si256(block.0.as_ptr().add(at).cast::<__m256i>());
                    _mm256_stream_si256(new.as_mut_ptr().add(at).cast::<__m256i>(), value);
                }
            }
        }
        _mm_sfence();
    }

    struct World {
        positions: [[Column; 3]; 2],
        velocity: [Column; 3],
    }

    impl World {
        fn new(len: usize) -> World {
            let three = || [Column::new(len), Column::new(len), Column::new(len)];
            World { positions: [three(), three()], velocity: three() }
        }

        fn frame(&mut self, pass: fn(&mut [f32], &[f32], &[f32])) {
            let [one, two] = &mut self.positions;
            for ((new, old), velocity) in two.iter_mut().zip(&*one).zip(&self.velocity) {
                pass(new.values_mut(), old.values(), velocity.values());
            }
            self.positions.swap(0, 1);
        }
    }

    fn quartiles(times: &mut [f64]) -> [f64; 3] {
        times.sort_by(f64::total_cmp);
        [times[times.len() / 4], times[times.len() / 2], times[times.len() * 3 / 4]]
    }

    pub(super) fn run() {
        if std::env::args().any(|argument| argument == "--test") || !std::arch::is_x86_feature_detected!("avx2") {
            println!("streaming: measured only by `cargo bench`, on processors with AVX2");
            return;
        }
        // SAFETY: the processor has AVX2, for both.
        let plain: fn(&mut [f32], &[f32], &[f32]) = |new, old, velocity| unsafe { plain(new, old, velocity) };
        // SAFETY: as above.
        let streamed: fn(&mut [f32], &[f32], &[f32]) = |new, old, velocity| unsafe { streamed(new, old, velocity) };
        println!("{:>12} {:>10} {:>24} {:>24} {:>8}", "entities", "MB", "plain ns (quartiles)", "streamed ns", "ratio");
        for len in [10_000, 100_000, 1_000_000, 4_000_000, 10_000_000] {
            let mut worlds = [World::new(len), World::new(len)];
            let frames = MOVED.div_ceil(len);
            let mut times = [Vec::new(), Vec::new()];
            for round in 0..ROUNDS {
                for turn in 0..2 {
                    let which = (round + turn) % 2;
                    let begun = Instant::now();
                    for _ in 0..frames {
                        worlds[which].frame(if which == 0 { plain } else { streamed });
                    }
                    times[which].push(begun.elapsed().as_nanos() as f64 / (frames * len) as f64);
                }
            }
            let sums = worlds.each_ref().map(|world| {
                world.positions[0]
                    .iter()
                    .flat_map(|column| column.values())
                    .map(|value| value.to_bits() as u64)
                    .sum::<u64>()
            });
            assert_eq!(black_box(sums)[0], sums[1], "both did the same work");
            let [a, b] = times.each_mut().map(|times| quartiles(times));
            println!(
                "{len:>12} {:>10.1} {:>9.3} ({:.3} - {:.3}) {:>9.3} ({:.3} - {:.3}) {:>8.2}",
                (len * 36) as f64 / 1e6,
                a[1],
                a[0],
                a[2],
                b[1],
                b[0],
                b[2],
                b[1] / a[1]
            );
        }
    }
}
