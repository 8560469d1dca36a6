//! Random numbers by counter: a number is a function of seed, frame, system and entity, and of nothing else.
//!
//! The generator is Philox4x32-10 of J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as
//! easy as 1, 2, 3" (SC 2011), with the test vectors of their library Random123. It uses integers alone, so that every machine
//! gives the same numbers.
//!
//! Who draws what:
//! - the key of a kernel's call is the first half of the block with key `seed` and counter
//!   `(frame low, frame high, system low, system high + iteration)`, where `system` is the XXH3 hash of the system's name and
//!   `iteration` its pass in a loop;
//! - a row's numbers are the blocks with that key and counter `(block, 0, index, generation)` of its entity, block by block,
//!   each its four words in order;
//! - those of a global id are the blocks with that key and counter `(block, 2^31, id low, id high)`.
#![forbid(unsafe_code)]

use crate::component::Entity;

/// Rounds of the generator.
const ROUNDS: usize = 10;

/// The generator: four words of a key of two and a counter of four.
#[must_use]
const fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let mut round = 0;
    while round < ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let (a, b) = (0xD251_1F53 * counter[0] as u64, 0xCD9E_8D57 * counter[2] as u64);
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        round += 1;
    }
    counter
}

/// The key of one call of a kernel.
const fn call_key(seed: u64, frame: u64, system: u64, iteration: u32) -> [u32; 2] {
    let high = ((system >> 32) as u32).wrapping_add(iteration);
    let block = philox([frame as u32, (frame >> 32) as u32, system as u32, high], [seed as u32, (seed >> 32) as u32]);
    [block[0], block[1]]
}

/// The number that stands for a system of this name.
pub(crate) fn system_number(name: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(name.as_bytes())
}

/// Where the random numbers of one call of a kernel come from: those of any entity, also of other rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomKey([u32; 2]);

impl RandomKey {
    pub(crate) const fn new(seed: u64, frame: u64, system: u64, iteration: u32) -> Self {
        RandomKey(call_key(seed, frame, system, iteration))
    }

    /// An entity's numbers, from the first one on. [`Entity::NULL`] stands for numbers that belong to none.
    #[inline]
    #[must_use]
    pub const fn of(self, entity: Entity) -> Random {
        Random::new(self.0, 0, entity.index(), entity.generation())
    }

    /// The numbers of a global id, from the first one on.
    #[inline]
    #[must_use]
    pub const fn of_id(self, id: u64) -> Random {
        Random::new(self.0, 1 << 31, id as u32, (id >> 32) as u32)
    }
}

/// A row's random numbers in one call of a kernel, one after the other. They depend on the simulation's seed, the frame, the
/// system's name and the entity alone: not on workers, rows, order or machine. Made by [`Job::random`](crate::Job::random).
///
/// ```
/// use hypostyle::{Component, Schedule, Simulation, System, Workers, World, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Position { x: f64 }
/// let mut world = World::builder().component::<Position>().build()?;
/// let walker = world.spawn(Position { x: 0.0 })?;
/// let mut schedule = Schedule::new();
/// schedule.add(System::rows::<Write<Position>>("walk", |job, mut position| {
///     for row in 0..job.len() {
///         let mut random = job.random(row);
///         position.x[row] += if random.below(2) == 0 { 1.0 } else { -1.0 };
///         position.x[row] += 0.125 * random.f64();
///     }
/// }));
/// let mut simulation = Simulation::builder().workers(Workers::Auto).seed(7).build(world, schedule)?;
/// simulation.run(100, 1.0)?;
/// assert!(simulation.world().get::<Position>(walker)?.x.abs() < 112.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    /// Words of the block that were given out.
    used: usize,
}

impl Random {
    /// `kind`: 0 for a handle's numbers, 2^31 for those of a global id.
    const fn new(key: [u32; 2], kind: u32, low: u32, high: u32) -> Self {
        Random { key, counter: [0, kind, low, high], block: [0; 4], used: 4 }
    }

    /// The next 32 random bits.
    #[inline]
    #[must_use = "the numbers go on with each call"]
    pub fn u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            self.used = 0;
            let (low, carry) = self.counter[0].overflowing_add(1);
            self.counter[0] = low;
            self.counter[1] = self.counter[1].wrapping_add(u32::from(carry));
        }
        let word = self.block[self.used];
        self.used += 1;
        word
    }

    /// The next 64 random bits: two words, the lower one first.
    #[inline]
    #[must_use = "the numbers go on with each call"]
    pub fn u64(&mut self) -> u64 {
        let low = self.u32();
        u64::from(low) | u64::from(self.u32()) << 32
    }

    /// A number from 0 to below 1, a multiple of 2^-53: the upper bits of [`Random::u64`].
    #[inline]
    #[must_use = "the numbers go on with each call"]
    pub fn f64(&mut self) -> f64 {
        (self.u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A number from 0 to below 1, a multiple of 2^-24: the upper bits of [`Random::u32`].
    #[inline]
    #[must_use = "the numbers go on with each call"]
    pub fn f32(&mut self) -> f32 {
        (self.u32() >> 8) as f32 * (1.0 / (1_u32 << 24) as f32)
    }

    /// An integer below `bound`, all equally likely (D. Lemire, "Fast random integer generation in an interval", 2019).
    ///
    /// # Panics
    /// When `bound` is 0.
    #[must_use = "the numbers go on with each call"]
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "there is no number below 0");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.u32()) * u64::from(bound);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_test_vectors() {
        // kat_vectors of Random123: philox4x32 10
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn numbers_come_word_by_word_and_are_uniform() {
        let key = call_key(7, 3, system_number("walk"), 0);
        let blocks: Vec<u32> = (0..3).flat_map(|block| philox([block, 0, 5, 1], key)).collect();
        let mut random = Random::new(key, 0, 5, 1);
        assert_eq!((0..12).map(|_| random.u32()).collect::<Vec<_>>(), blocks);
        let mut random = Random::new(key, 0, 5, 1);
        assert_eq!(random.u64(), u64::from(blocks[0]) | u64::from(blocks[1]) << 32);
        assert_eq!(random.f32(), (blocks[2] >> 8) as f32 / 16_777_216.0);
        let (mut sum, mut counts) = (0.0, [0; 7]);
        for index in 0..70_000 {
            let mut random = Random::new(key, 0, index, 0);
            sum += random.f64();
            counts[random.below(7) as usize] += 1;
        }
        // six standard deviations
        assert!((sum / 70_000.0 - 0.5).abs() < 6.0 * (1.0_f64 / 12.0 / 70_000.0).sqrt());
        assert!(counts.iter().all(|count| (*count as f64 - 10_000.0).abs() < 6.0 * 8_571.0_f64.sqrt()), "{counts:?}");
    }

    #[test]
    fn seed_frame_system_pass_and_entity_or_id_each_decide() {
        let first = |key, index, generation| Random::new(key, 0, index, generation).u64();
        let key = |seed, frame, name, pass| call_key(seed, frame, system_number(name), pass);
        let base = key(1, 1, "a", 0);
        let all = [
            first(base, 1, 0),
            first(base, 2, 0),
            first(base, 1, 1),
            first(key(2, 1, "a", 0), 1, 0),
            first(key(1, 2, "a", 0), 1, 0),
            first(key(1, 1, "b", 0), 1, 0),
            first(key(1, 1, "a", 1), 1, 0),
            first(key(1 << 32, 1, "a", 0), 1, 0),
            RandomKey(base).of_id(1).u64(),
            RandomKey(base).of_id(2).u64(),
            RandomKey(base).of_id(1 | 1 << 32).u64(),
        ];
        let mut distinct = all.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
    }
}
