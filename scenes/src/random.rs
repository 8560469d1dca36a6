//! Random numbers that need no state: each one is a hash of the seed, of whom it is for, of when, and of its use.
#![forbid(unsafe_code)]

/// Mixes 64 bits (the finaliser of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014).
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers; two streams with different keys have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    key: u64,
    drawn: u64,
}

impl Random {
    /// The stream of `seed`, for the `who`th of something, at `when`.
    pub const fn new(seed: u64, who: u64, when: u64) -> Self {
        let key = mix(seed.wrapping_add(GOLDEN));
        let key = mix((key ^ who).wrapping_add(GOLDEN));
        let key = mix((key ^ when).wrapping_add(GOLDEN));
        Random { key, drawn: 0 }
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.drawn += 1;
        mix(self.key.wrapping_add(self.drawn.wrapping_mul(GOLDEN)))
    }

    /// Uniform in 0..1, 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..1, 24 bits.
    pub fn unit_f32(&mut self) -> f32 {
        (self.bits() >> 40) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Uniform in `from..to`.
    pub fn range_f32(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.unit_f32()
    }

    /// A direction, uniform on the sphere.
    pub fn direction(&mut self) -> [f64; 3] {
        loop {
            let [x, y, z] = [self.unit() * 2.0 - 1.0, self.unit() * 2.0 - 1.0, self.unit() * 2.0 - 1.0];
            let square = x * x + y * y + z * z;
            if square > 1e-6 && square <= 1.0 {
                let length = square.sqrt();
                return [x / length, y / length, z / length];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "targets without a test harness have no tests")]
    use super::*;

    #[test]
    fn numbers_are_spread_and_streams_apart() {
        let mut random = Random::new(1, 2, 3);
        let mean = (0..10_000).map(|_| random.unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        let firsts: std::collections::HashSet<u64> =
            (0..30).map(|i| Random::new(i % 3, i / 3 % 3, i / 9).bits()).collect();
        assert_eq!(firsts.len(), 30);
        let [x, y, z] = random.direction();
        assert!((x * x + y * y + z * z - 1.0).abs() < 1e-12);
        assert!((0..1000).all(|_| (-2.0..3.0).contains(&random.range_f32(-2.0, 3.0))));
    }
}
