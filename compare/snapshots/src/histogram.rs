//! Durations in bins, so that a long run takes no more memory than a short one: exact below 256 ns, above within 0.4 %,
//! and the largest one exact.
#![forbid(unsafe_code)]

use crate::message::Summary;

/// Bins per octave.
const BINS: u64 = 256;
const BINS_LOG2: u32 = BINS.ilog2();
/// Octaves above the exact ones; longer durations, over an hour, fall into the last bin.
const OCTAVES: u32 = 34;

/// How often each duration was seen, nanoseconds.
pub struct Histogram {
    bins: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { bins: vec![0; (BINS * u64::from(OCTAVES + 1)) as usize], count: 0, max: 0 }
    }
}

fn bin(nanos: u64) -> usize {
    if nanos < BINS {
        return nanos as usize;
    }
    // the highest bit decides the octave, the bits below it the bin
    let octave = nanos.ilog2() - BINS_LOG2;
    (u64::from(octave + 1) * BINS + (nanos >> octave) - BINS) as usize
}

/// The middle of a bin.
fn value(bin: usize) -> f64 {
    let (octave, place) = (bin as u64 / BINS, bin as u64 % BINS);
    match octave {
        0 => place as f64,
        _ => ((place + BINS) << (octave - 1)) as f64 + 0.5 * ((1u64 << (octave - 1)) - 1) as f64,
    }
}

impl Histogram {
    /// Takes in a duration.
    pub fn push(&mut self, nanos: u64) {
        let last = self.bins.len() - 1;
        self.bins[bin(nanos).min(last)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn quantile(&self, q: f64) -> f64 {
        let rank = (self.count.saturating_sub(1) as f64 * q).round() as u64;
        let mut seen = 0;
        let found = self.bins.iter().position(|count| {
            seen += count;
            seen > rank
        });
        found.map_or(0.0, value).min(self.max as f64)
    }

    /// Median, 99th percentile, largest.
    pub fn summary(&self) -> Summary {
        Summary { count: self.count, p50: self.quantile(0.5), p99: self.quantile(0.99), max: self.max as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.summary(), Summary::default());
        (1..=101).rev().for_each(|nanos| histogram.push(nanos));
        assert_eq!(histogram.summary(), Summary { count: 101, p50: 51.0, p99: 100.0, max: 101.0 });
    }

    #[test]
    fn bins_are_narrow_and_in_order() {
        let mut last = 0;
        for nanos in
            (0..100_000).chain((17..42).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + (1 << (bit - 3))]))
        {
            let bin = bin(nanos);
            assert!(bin == last || bin == last + 1 || nanos > 100_000, "{nanos}");
            assert!((value(bin) - nanos as f64).abs() <= nanos as f64 * 0.004, "{nanos} is told as {}", value(bin));
            last = bin;
        }
        let mut histogram = Histogram::default();
        histogram.push(u64::MAX);
        assert_eq!(histogram.summary().count, 1);
    }
}
