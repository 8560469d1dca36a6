//! What a run measures: frame times in fixed memory, patches, entities.
#![forbid(unsafe_code)]

use std::time::Duration;

use hypostyle::{FrameReport, PatchCounts};

/// Buckets per doubling: times are kept to about 3 %.
const STEPS_LOG2: u32 = 5;

/// A histogram of times with buckets that grow as the times do.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    buckets: Vec<u64>,
    count: u64,
    longest: u64,
}

impl Default for Times {
    fn default() -> Self {
        Times { buckets: vec![0; 64 << STEPS_LOG2], count: 0, longest: 0 }
    }
}

fn bucket(ns: u64) -> usize {
    let high = 63 - ns.max(1).leading_zeros();
    if high <= STEPS_LOG2 {
        return ns as usize;
    }
    let shift = high - STEPS_LOG2;
    ((u64::from(shift) << STEPS_LOG2) + (ns >> shift)) as usize
}

/// The middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let shift = (bucket as u64 >> STEPS_LOG2).saturating_sub(1);
    if bucket < 2 << STEPS_LOG2 {
        return bucket as u64;
    }
    let low = (bucket as u64 - (shift << STEPS_LOG2)) << shift;
    low + (1 << shift) / 2
}

impl Times {
    /// Adds so many frames that each took this long.
    pub(crate) fn add(&mut self, time: Duration, frames: u64) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(ns)] += frames;
        self.count += frames;
        self.longest = self.longest.max(ns);
    }

    /// The time that this part of the frames did not exceed; 0 without frames.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (bucket, frames) in self.buckets.iter().enumerate() {
            seen += frames;
            if seen >= wanted && *frames > 0 {
                return Duration::from_nanos(middle(bucket).min(self.longest));
            }
        }
        Duration::ZERO
    }

    /// The longest.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }
}

/// All frames of a run together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    /// Times of frames.
    pub times: Times,
    /// Frames run.
    pub frames: u64,
    /// Entities, summed over frames.
    pub entity_frames: u64,
    /// Time of all frames.
    pub elapsed: Duration,
    /// Time of all kernels, on all workers.
    pub busy: Duration,
    /// Jobs, and those that main ran.
    pub jobs: (u64, u64),
    /// Workers that died.
    pub deaths: u64,
    /// Jobs that ran again after a death.
    pub retries: u64,
    /// Inputs of other processes.
    pub inputs: PatchCounts,
    /// Patches of each system.
    pub patches: Vec<PatchCounts>,
}

impl Meter {
    /// Adds the results of `frames` frames, with the number of entities after them.
    pub(crate) fn add(&mut self, report: &FrameReport, frames: u64, entities: u64) {
        self.times.add(report.elapsed / u32::try_from(frames.max(1)).unwrap_or(u32::MAX), frames);
        self.frames += frames;
        self.entity_frames += frames * entities;
        self.elapsed += report.elapsed;
        self.busy += report.busy;
        self.jobs.0 += report.jobs;
        self.jobs.1 += report.jobs_on_main;
        self.deaths += report.deaths;
        self.retries += report.retries;
        self.inputs.add(&report.inputs);
        self.patches.resize(report.patches.len(), PatchCounts::default());
        for (all, counts) in self.patches.iter_mut().zip(&report.patches) {
            all.add(counts);
        }
    }

    /// Nanoseconds per entity and frame.
    pub(crate) fn ns_per_entity(&self) -> Option<f64> {
        (self.entity_frames > 0).then(|| self.elapsed.as_nanos() as f64 / self.entity_frames as f64)
    }

    /// Patches of all systems.
    pub(crate) fn total(&self) -> PatchCounts {
        let mut total = PatchCounts::default();
        self.patches.iter().for_each(|counts| total.add(counts));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_all_times_in_order() {
        let mut last = 0;
        for ns in (0..4096).chain((12..64).flat_map(|bit| [1 << bit, (1 << bit) + (1 << (bit - 1))])).chain([u64::MAX])
        {
            let place = bucket(ns);
            assert!(place == last || place > last && (place == last + 1 || ns >= 4096), "{ns}");
            last = place;
            let off = middle(place).abs_diff(ns) as f64;
            assert!(off <= ns as f64 / 32.0, "{ns}: {}", middle(place));
        }
        assert!(last < Times::default().buckets.len());
    }

    #[test]
    fn quantiles() {
        let mut times = Times::default();
        assert_eq!(times.quantile(0.5), Duration::ZERO);
        for ms in 1..=100 {
            times.add(Duration::from_millis(ms), 1);
        }
        let near = |part: f64, ms: f64| (times.quantile(part).as_secs_f64() * 1e3 - ms).abs() <= ms * 0.04;
        assert!(near(0.5, 50.0) && near(0.99, 99.0) && near(1.0, 100.0));
        assert_eq!(times.longest(), Duration::from_millis(100));
    }
}
