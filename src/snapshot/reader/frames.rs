//! Pinning the generation of one frame, among those that the writer keeps.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;

use crate::generation::SnapshotError;
use crate::region::{Lease, pin};
use crate::world::KeptGeneration;

use super::{Pinned, Reader, Snapshot};

impl Reader {
    /// The generations that [`Reader::pin_frame`] can pin at this moment, oldest first: the newest, and (at most
    /// [`PINNABLE_GENERATIONS_MAX`](crate::limits::PINNABLE_GENERATIONS_MAX) with it) those that the writer keeps beside it.
    #[must_use]
    pub fn frames(&self) -> Vec<KeptGeneration> {
        let offered = self.map.control().offered();
        let mut all: Vec<_> = offered
            .map(|(word, frame)| KeptGeneration { generation: pin::generation(word.load(Ordering::Relaxed)), frame })
            .filter(|kept| kept.generation != 0)
            .collect();
        all.sort_unstable_by_key(|kept| kept.generation);
        all
    }

    /// Pins the generation that was published after this frame, as [`Reader::pin`] pins the newest: it is there as long as
    /// it is the newest or the writer keeps it ([`WorldBuilder::keep_generations`](crate::WorldBuilder::keep_generations)),
    /// also after another writer has taken over. So a reader of several regions that go on side by side finds one frame.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().keep_generations(1).build()?;
    /// world.publish()?;
    /// let mut reader = world.reader()?;
    /// let frame = world.frame();
    /// assert_eq!(reader.pin_frame(frame)?.frame(), frame);
    /// assert!(reader.pin_frame(frame + 1).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SnapshotError::NotKept`]: there is none, or none any more; else as for [`Reader::pin`].
    pub fn pin_frame(&mut self, frame: u64) -> Result<Snapshot<'_>, SnapshotError> {
        if !self.lease.as_ref().is_some_and(Lease::is_own) {
            self.take_lease()?;
        }
        let Some(lease) = &self.lease else { unreachable!("taken above") };
        // of a frame that was undone and run again, the newer one
        let offered = self.map.control().offered().filter(|(_, of)| *of == frame);
        let place = offered.max_by_key(|(word, _)| word.load(Ordering::Relaxed));
        let Some(word) = place.and_then(|(place, _)| pin::pin(place, lease.word())) else {
            return Err(self.not_kept(frame));
        };
        if let Err(error) = self.read_directory(word) {
            self.end_pin();
            return Err(error);
        }
        // another one may have come to its place
        if self.cached.as_ref().is_none_or(|directory| directory.meta.frame != frame) {
            self.end_pin();
            return Err(self.not_kept(frame));
        }
        match &self.cached {
            Some(directory) => Ok(Snapshot { reader: self, directory, held: false }),
            None => unreachable!("read_directory keeps what it read"),
        }
    }

    #[cold]
    fn not_kept(&self, frame: u64) -> SnapshotError {
        let frames: Vec<String> = self.frames().iter().map(|kept| kept.frame.to_string()).collect();
        let kept = match &frames[..] {
            [] => "nothing is published yet".to_owned(),
            [only] => format!("there is that of frame {only}"),
            frames => format!("there are those of frames {}", frames.join(", ")),
        };
        SnapshotError::NotKept { frame, kept }
    }

    /// Pins the generation of a frame for as long as the answer lives.
    ///
    /// # Errors
    /// As [`Reader::pin_frame`]; the reader is gone then.
    pub fn into_pinned_frame(mut self, frame: u64) -> Result<Pinned, SnapshotError> {
        let mut snapshot = self.pin_frame(frame)?;
        snapshot.held = true;
        drop(snapshot);
        Ok(Pinned { reader: self })
    }
}
