//! The simulated world and its ground truth: six columns, one step per dirty row, and what every row must be after
//! any number of publications.
//!
//! All values are integers below 2^16 held as `f32`, and arithmetic is modulo 2^16: exact in any order and with any
//! vector width. A row's value follows from how often it was dirty, so the state after publication k is known without
//! replaying it. This file knows no engine.
#![forbid(unsafe_code)]

use std::mem::MaybeUninit;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Columns: position x, y, z, then velocity x, y, z.
pub const COLUMNS: usize = 6;
/// Axes; column `axis` is a position, column `axis + AXES` its velocity.
pub const AXES: usize = 3;
/// Values are smaller than this.
const MODULUS: f32 = 65_536.0;
/// What a step adds to a velocity, by axis.
const ACCELERATION: [f32; AXES] = [1.0, 3.0, 7.0];
/// Dirty sets are used in turn, so many of them.
pub const SETS: usize = 16;
/// Rows of one cluster, where dirty rows lie together.
const CLUSTER_ROWS: u64 = 1000;

#[inline(always)]
fn wrap(value: f32) -> f32 {
    if value >= MODULUS { value - MODULUS } else { value }
}

/// The next position.
#[inline(always)]
pub fn next_position(position: f32, velocity: f32) -> f32 {
    wrap(position + velocity)
}

/// The next velocity.
#[inline(always)]
pub fn next_velocity(axis: usize, velocity: f32) -> f32 {
    wrap(velocity + ACCELERATION[axis])
}

/// Steps rows of one axis where they stand.
pub fn step_in_place(axis: usize, position: &mut [f32], velocity: &mut [f32]) {
    for (p, v) in position.iter_mut().zip(velocity) {
        *p = next_position(*p, *v);
        *v = next_velocity(axis, *v);
    }
}

/// Steps rows of one axis from one place to another. The outputs are as long as the inputs and written in full.
pub fn step_into(
    axis: usize,
    position: &[f32],
    velocity: &[f32],
    new_position: &mut [MaybeUninit<f32>],
    new_velocity: &mut [MaybeUninit<f32>],
) {
    let rows = position.len();
    assert!(
        velocity.len() == rows && new_position.len() == rows && new_velocity.len() == rows,
        "columns of one length"
    );
    for row in 0..rows {
        new_position[row].write(next_position(position[row], velocity[row]));
        new_velocity[row].write(next_velocity(axis, velocity[row]));
    }
}

fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn initial_bits(seed: u64, column: usize, row: usize) -> u64 {
    mixed(mixed(seed ^ column as u64) ^ row as u64) & 0xffff
}

/// A column's first values.
pub fn initial_column(seed: u64, column: usize, rows: usize) -> Vec<f32> {
    (0..rows).map(|row| initial_bits(seed, column, row) as f32).collect()
}

/// How dirty rows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pattern {
    /// Runs of consecutive rows.
    Clustered,
    /// Single rows anywhere.
    Random,
}

/// How many rows a publication changes, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dirtiness {
    /// Percent of all rows; 100: every row, whatever the pattern.
    pub percent: u32,
    /// How they lie.
    pub pattern: Pattern,
}

impl Dirtiness {
    /// Whether every row changes.
    pub fn is_whole(self) -> bool {
        self.percent >= 100
    }
}

impl std::fmt::Display for Dirtiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.is_whole(), self.pattern) {
            (true, _) => f.write_str("100 % dirty"),
            (_, Pattern::Clustered) => write!(f, "{} % dirty in runs", self.percent),
            (_, Pattern::Random) => write!(f, "{} % dirty at random", self.percent),
        }
    }
}

impl FromStr for Dirtiness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (percent, pattern) = match text.strip_suffix('r') {
            Some(percent) => (percent, Pattern::Random),
            None => (text.strip_suffix('c').unwrap_or(text), Pattern::Clustered),
        };
        match percent.parse() {
            Ok(percent) if (1..=100).contains(&percent) => Ok(Dirtiness { percent, pattern }),
            _ => Err(format!(
                "`{text}` is no dirtiness; it is a percentage from 1 to 100, `1c` in runs or `1r` at random"
            )),
        }
    }
}

/// The rows that one publication changes: runs (first row, rows), in order and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirtySet {
    /// The runs.
    pub runs: Vec<[u32; 2]>,
    /// Rows of all runs together.
    pub rows: u32,
}

impl DirtySet {
    fn of_rows(dirty: &[bool]) -> Self {
        let mut set = DirtySet::default();
        for (row, _) in dirty.iter().enumerate().filter(|(_, dirty)| **dirty) {
            set.rows += 1;
            match set.runs.last_mut() {
                Some([first, rows]) if *first + *rows == row as u32 => *rows += 1,
                _ => set.runs.push([row as u32, 1]),
            }
        }
        set
    }

    /// Whether it is all of `rows` rows.
    pub fn is_whole(&self, rows: usize) -> bool {
        self.runs == [[0, rows as u32]]
    }
}

/// The dirty sets of a case, the same for every engine; publication k uses set (k - 1) modulo their number.
pub fn dirty_sets(seed: u64, rows: usize, dirtiness: Dirtiness) -> Vec<DirtySet> {
    let wanted = ((rows as u64 * u64::from(dirtiness.percent)) / 100).max(1);
    (0..SETS as u64)
        .map(|index| {
            if dirtiness.is_whole() {
                return DirtySet { runs: vec![[0, rows as u32]], rows: rows as u32 };
            }
            let unit = match dirtiness.pattern {
                Pattern::Clustered => CLUSTER_ROWS.min(wanted),
                Pattern::Random => 1,
            };
            let mut dirty = vec![false; rows];
            let mut state = mixed(seed ^ index << 32 ^ u64::from(dirtiness.percent));
            let mut left = wanted / unit;
            while left > 0 {
                state = mixed(state);
                let first = (state % (rows as u64 / unit) * unit) as usize;
                if !dirty[first] {
                    dirty[first..first + unit as usize].fill(true);
                    left -= 1;
                }
            }
            DirtySet::of_rows(&dirty)
        })
        .collect()
}

/// An order-free sum over values and their places: engines that hand a column out in pieces get the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// Takes in consecutive rows of a column.
    pub fn add(&mut self, column: usize, first_row: usize, values: &[f32]) {
        for (row, value) in values.iter().enumerate() {
            let place = ((first_row + row) * COLUMNS + column) as u64;
            let bits = u64::from(value.to_bits()) | place << 32;
            let product = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.0 = self.0.wrapping_add((product ^ product >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9));
        }
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// The checksum of the whole state after `publications`.
pub fn expected(seed: u64, rows: usize, sets: &[DirtySet], publications: u64) -> u64 {
    let mut counts = vec![0u64; rows];
    for (index, set) in sets.iter().enumerate() {
        let (rounds, rest) = (publications / sets.len() as u64, publications % sets.len() as u64);
        let uses = rounds + u64::from((index as u64) < rest);
        for [first, len] in &set.runs {
            counts[*first as usize..(first + len) as usize].iter_mut().for_each(|count| *count += uses);
        }
    }
    let mut checksum = Checksum::default();
    for axis in 0..AXES {
        let acceleration = ACCELERATION[axis] as u64;
        for (row, &count) in counts.iter().enumerate() {
            let (p, v) = (initial_bits(seed, axis, row), initial_bits(seed, axis + AXES, row));
            let turns = if count % 2 == 0 {
                (count / 2).wrapping_mul(count.wrapping_sub(1))
            } else {
                count.wrapping_mul((count - 1) / 2)
            };
            let position =
                p.wrapping_add(count.wrapping_mul(v)).wrapping_add(acceleration.wrapping_mul(turns)) & 0xffff;
            let velocity = v.wrapping_add(acceleration.wrapping_mul(count)) & 0xffff;
            checksum.add(axis, row, &[position as f32]);
            checksum.add(axis + AXES, row, &[velocity as f32]);
        }
    }
    checksum.get()
}

/// A sum that reads every value and vectorises.
pub fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for lane in 0..16 {
            lanes[lane] += chunk[lane];
        }
    }
    lanes.iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_is_what_stepping_gives() {
        let rows = 3000;
        for text in ["1c", "10r", "100"] {
            let dirtiness: Dirtiness = text.parse().expect("a dirtiness");
            let sets = dirty_sets(7, rows, dirtiness);
            let mut columns: Vec<Vec<f32>> = (0..COLUMNS).map(|column| initial_column(7, column, rows)).collect();
            for publication in 1..=300u64 {
                for [first, len] in &sets[((publication - 1) % SETS as u64) as usize].runs {
                    let range = *first as usize..(first + len) as usize;
                    let (positions, velocities) = columns.split_at_mut(AXES);
                    for axis in 0..AXES {
                        step_in_place(axis, &mut positions[axis][range.clone()], &mut velocities[axis][range.clone()]);
                    }
                }
                let mut checksum = Checksum::default();
                for (column, values) in columns.iter().enumerate() {
                    checksum.add(column, 0, &values[..1000]);
                    checksum.add(column, 1000, &values[1000..]);
                }
                assert_eq!(checksum.get(), expected(7, rows, &sets, publication), "{text}, publication {publication}");
            }
        }
    }

    #[test]
    fn a_checksum_knows_values_and_places() {
        let of = |column, first, values: &[f32]| {
            let mut checksum = Checksum::default();
            checksum.add(column, first, values);
            checksum.get()
        };
        let right = of(1, 10, &[1.0, 2.0]);
        for wrong in [of(1, 10, &[2.0, 1.0]), of(1, 11, &[1.0, 2.0]), of(2, 10, &[1.0, 2.0]), of(1, 10, &[1.0, 3.0])] {
            assert_ne!(right, wrong);
        }
    }

    #[test]
    fn sets_have_the_rows_they_should_have() {
        for (text, rows) in [("1c", 200), ("1r", 200), ("10c", 2000), ("10r", 2000), ("100", 20_000)] {
            for set in dirty_sets(1, 20_000, text.parse().expect("a dirtiness")) {
                assert_eq!(set.rows, rows, "{text}");
                assert_eq!(set.runs.iter().map(|[_, len]| len).sum::<u32>(), rows, "{text}");
            }
        }
        assert!("0".parse::<Dirtiness>().is_err() && "x".parse::<Dirtiness>().is_err());
    }
}
