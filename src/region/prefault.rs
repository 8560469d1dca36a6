//! Taking memory before it is needed: a region's data grows at once, by several threads, and every page of it is in the
//! writer's page tables before the first frame.
//!
//! Invariant: contents stay as they are, and a failure leaves the region as long as it was.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use super::error::RegionError;
use super::writer::Region;
use crate::limits::PAGE_BYTES;
use crate::os;

/// What a thread takes at a time: enough for its work to outweigh the taking, and little enough to see progress.
const STEP_BYTES: u64 = 32 << 20;
const _: () = assert!(STEP_BYTES.is_multiple_of(os::HUGE_PAGE_BYTES), "no huge page belongs to two threads");

impl Region {
    /// Grows the data to `bytes`, unless it has them, and maps all of them for the writer. `progress` hears how many of
    /// how many bytes are done, on this thread.
    ///
    /// # Errors
    /// More than the region may have, no memory, or a system that cannot; then the region is as it was.
    pub(crate) fn prefault(&mut self, bytes: u64, mut progress: impl FnMut(u64, u64)) -> Result<(), RegionError> {
        let from = self.usage().backed;
        let bytes_max = self.usage().bytes_max;
        if bytes > bytes_max {
            return Err(RegionError::Full { requested: bytes, available: bytes_max, bytes_max, needed: bytes });
        }
        let to = bytes.next_multiple_of(PAGE_BYTES).max(from);
        // both passes count: memory that is taken, and memory that is mapped
        let total = (to - from) + to;
        progress(0, total);
        if to > from {
            self.grow_with(to, |region, from, to| {
                in_parallel(from..to, |from, to| region.back(from, to), &mut |done| progress(done, total))
            })?;
        }
        let grown = to - from;
        in_parallel(0..to, |from, to| self.populate(from, to), &mut |done| progress(grown + done, total))
    }

    /// Maps the pages of these bytes for the writer, all of them backed.
    ///
    /// # Errors
    /// No memory, or a system that cannot; contents stay as they are.
    pub(crate) fn touch(&self, mut ranges: Vec<std::ops::Range<u64>>) -> Result<(), RegionError> {
        ranges.sort_unstable_by_key(|range| range.start);
        let backed = self.usage().backed;
        let mut pages: Vec<std::ops::Range<u64>> = Vec::new();
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            let (from, to) =
                (range.start / PAGE_BYTES * PAGE_BYTES, range.end.next_multiple_of(PAGE_BYTES).min(backed));
            match pages.last_mut() {
                Some(last) if from <= last.end => last.end = last.end.max(to),
                _ => pages.push(from..to),
            }
        }
        pages.into_iter().try_for_each(|run| in_parallel(run, |from, to| self.populate(from, to), &mut |_| {}))
    }

    fn populate(&self, from: u64, to: u64) -> Result<(), RegionError> {
        let place = self.path().unwrap_or_else(|| std::path::Path::new("the process's memory"));
        self.mapping().populate(from, to).map_err(RegionError::io("map", place))
    }
}

/// Does a range in steps on as many threads as there are processors; the first error is told, and ends it.
fn in_parallel(
    range: std::ops::Range<u64>,
    step: impl Fn(u64, u64) -> Result<(), RegionError> + Sync,
    done: &mut dyn FnMut(u64),
) -> Result<(), RegionError> {
    let mut steps = Vec::new();
    let mut at = range.start;
    while at < range.end {
        // but for the first and the last, steps begin and end at multiples of their length
        let end = (at + 1).next_multiple_of(STEP_BYTES).min(range.end);
        steps.push((at, end));
        at = end;
    }
    let threads = if cfg!(unix) { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let mut finished = 0;
    if threads == 1 || steps.len() < 2 {
        for (from, to) in steps {
            step(from, to)?;
            finished += to - from;
            done(finished);
        }
        return Ok(());
    }
    let next = AtomicU64::new(0);
    let (steps, step, next) = (&steps, &step, &next);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads.min(steps.len()) {
            let sender = sender.clone();
            scope.spawn(move || {
                while let Some((from, to)) = steps.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    // nobody hears it when an earlier step has failed: then there is nothing more to do
                    if sender.send(step(*from, *to).map(|()| to - from)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut result = Ok(());
        for bytes in receiver {
            match bytes {
                Ok(bytes) => {
                    finished += bytes;
                    done(finished);
                }
                Err(error) => {
                    next.store(steps.len() as u64, Ordering::Relaxed);
                    result = result.and(Err(error));
                }
            }
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_done_once_and_the_first_error_ends_it() {
        let seen = parking_lot::Mutex::new(Vec::new());
        let mut last = 0;
        let range = STEP_BYTES / 2..5 * STEP_BYTES + 4096;
        let all = in_parallel(
            range.clone(),
            |from, to| {
                seen.lock().push((from, to));
                Ok(())
            },
            &mut |done| {
                assert!(done > last, "it goes on");
                last = done;
            },
        );
        all.expect("no step fails");
        let mut seen = seen.into_inner();
        seen.sort_unstable();
        assert_eq!(last, range.end - range.start);
        assert_eq!((seen[0].0, seen[seen.len() - 1].1), (range.start, range.end));
        assert!(seen.windows(2).all(|pair| pair[0].1 == pair[1].0), "{seen:?}");
        let refused = || RegionError::Full { requested: 7, available: 0, bytes_max: 0, needed: 7 };
        let failed = in_parallel(
            0..64 * STEP_BYTES,
            |from, _| if from == STEP_BYTES { Err(refused()) } else { Ok(()) },
            &mut |_| {},
        );
        assert!(matches!(failed, Err(RegionError::Full { requested: 7, .. })), "{failed:?}");
    }
}
