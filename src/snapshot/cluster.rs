//! Readers of a world that several processes write, each its part: all parts pinned at one frame.
//!
//! Invariant: the snapshots that are given out together are of one frame.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::generation::SnapshotError;
use crate::layout::Layout;

use super::owned::{OwnedSnapshot, SharedReader};
use super::reader::Reader;

/// How long to look for a frame that all parts have. Ranks are a frame apart at most, which takes as long as a frame.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait between two looks.
const REST: Duration = Duration::from_micros(200);

/// A reader of all parts of a world: one of each rank. Any number of threads share it.
///
/// The writers have to keep some generations beside the newest ([`WorldBuilder::keep_generations`]): they publish a frame
/// one after the other.
///
/// ```
/// use hypostyle::{ClusterReader, Component, World};
/// #[derive(Component, Clone, Copy)]
/// struct Mass { kg: f64 }
/// let make = || World::builder().component::<Mass>().keep_generations(1).build();
/// let (mut a, mut b) = (make()?, make()?);
/// a.publish()?;
/// b.publish()?;
/// let reader = ClusterReader::of(vec![a.reader()?, b.reader()?])?;
/// let parts = reader.pin()?;
/// assert_eq!(parts[0].snapshot().frame(), parts[1].snapshot().frame());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`WorldBuilder::keep_generations`]: crate::WorldBuilder::keep_generations
#[derive(Clone)]
pub struct ClusterReader {
    ranks: Vec<SharedReader>,
}

impl ClusterReader {
    /// Of a reader of each part ([`regions::ranks`](crate::regions::ranks) says which there are).
    ///
    /// # Errors
    /// No readers; parts with different layouts.
    pub fn of(ranks: Vec<Reader>) -> Result<ClusterReader, SnapshotError> {
        let Some(first) = ranks.first() else {
            return Err(SnapshotError::Parts { what: "there are none".to_owned() });
        };
        if let Some(rank) = ranks.iter().position(|reader| reader.layout() != first.layout()) {
            let what = format!("rank {rank} has another layout than rank 0");
            return Err(SnapshotError::Parts { what });
        }
        Ok(ClusterReader { ranks: ranks.into_iter().map(SharedReader::from).collect() })
    }

    /// The readers of the parts, by rank.
    #[must_use]
    pub fn ranks(&self) -> &[SharedReader] {
        &self.ranks
    }

    /// The layout, which all parts have.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        self.ranks[0].layout()
    }

    /// The frames that all parts have at this moment, oldest first.
    #[must_use]
    pub fn frames(&self) -> Vec<u64> {
        let mut common: Option<Vec<u64>> = None;
        for rank in &self.ranks {
            let mut frames: Vec<u64> = rank.frames().iter().map(|kept| kept.frame).collect();
            frames.sort_unstable();
            frames.dedup();
            common = Some(match common {
                None => frames,
                Some(common) => common.into_iter().filter(|frame| frames.binary_search(frame).is_ok()).collect(),
            });
        }
        common.unwrap_or_default()
    }

    /// Pins the newest frame that all parts have, by rank.
    ///
    /// # Errors
    /// [`SnapshotError::NothingPublished`]: a part has published nothing; [`SnapshotError::Parts`]: no frame could be pinned
    /// in all parts; else as for [`SharedReader::pin`].
    pub fn pin(&self) -> Result<Vec<OwnedSnapshot>, SnapshotError> {
        self.pin_within(PATIENCE)
    }

    /// As [`ClusterReader::pin`], which waits ten seconds for a frame that all parts have, but no longer than this.
    ///
    /// # Errors
    /// As for [`ClusterReader::pin`].
    pub fn pin_within(&self, patience: Duration) -> Result<Vec<OwnedSnapshot>, SnapshotError> {
        let begun = Instant::now();
        loop {
            match self.frames().last().map(|frame| self.pin_frame(*frame)) {
                Some(Ok(parts)) => return Ok(parts),
                // it went away between the two looks, or the parts have none in common at this moment
                Some(Err(SnapshotError::NotKept { .. })) | None => {}
                Some(Err(error)) => return Err(error),
            }
            if self.ranks.iter().any(|rank| rank.newest() == 0) {
                return Err(SnapshotError::NothingPublished);
            }
            if begun.elapsed() > patience {
                let newest = |rank: &SharedReader| rank.frames().last().map_or(0, |kept| kept.frame);
                let newest: Vec<String> = self.ranks.iter().map(|rank| newest(rank).to_string()).collect();
                let what = format!(
                    "no frame could be pinned in all of them; their newest frames are {}: writers must keep generations \
                     beside the newest (`keep_generations`)",
                    newest.join(", ")
                );
                return Err(SnapshotError::Parts { what });
            }
            std::thread::sleep(REST);
        }
    }

    /// Pins the generations of a frame, by rank.
    ///
    /// # Errors
    /// [`SnapshotError::NotKept`]: a part has none of this frame; else as for [`SharedReader::pin`].
    pub fn pin_frame(&self, frame: u64) -> Result<Vec<OwnedSnapshot>, SnapshotError> {
        self.ranks.iter().map(|rank| rank.pin_frame(frame)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{ComponentLayout, FieldLayout, FieldType, ScalarType, Storage};
    use crate::world::World;

    fn world(field: &str, keep: usize) -> World {
        let field = FieldLayout::new(field, FieldType::scalar(ScalarType::U64));
        let component =
            ComponentLayout { name: "part".into(), fields: vec![field], storage: Storage::Table, track_changes: false };
        let layout = Layout::new("parts", vec![component], Vec::new(), Vec::new(), 1 << 22).expect("a good layout");
        World::builder().layout(layout).keep_generations(keep).build().expect("a private world")
    }

    fn reader(worlds: &[World]) -> Result<ClusterReader, SnapshotError> {
        ClusterReader::of(worlds.iter().map(|world| world.reader().expect("a lease")).collect())
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        assert!(matches!(ClusterReader::of(Vec::new()), Err(SnapshotError::Parts { .. })));
        let error = reader(&[world("x", 1), world("y", 1)]).err().expect("they differ").to_string();
        assert!(error.contains("rank 1 has another layout"), "{error}");
        let mut worlds = [world("x", 1), world("x", 1)];
        worlds[0].publish().expect("there is room");
        let error = reader(&worlds).expect("they are alike").pin().err();
        assert!(matches!(error, Some(SnapshotError::NothingPublished)));
    }
}
