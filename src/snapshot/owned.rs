//! Snapshots that own what they need: for other languages, other threads, and everything that outlives a borrow.
//!
//! A [`SharedReader`] is a reader that any number of threads share. Each [`OwnedSnapshot`] of it has a lease of its own
//! and keeps it, with the mapping, until it is dropped; then the lease is given back, but for [`IDLE_MAX`] that wait for
//! the next snapshot. So many snapshots of different generations can be held at a time, as many as a region has leases,
//! and a reader that holds none delays nobody.
//!
//! Invariants: a reader in `idle` has no pin; a process that was forked off never ends a pin of its maker's and never
//! uses its maker's leases, nor a lock that another thread of the maker may have held.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::layout::Layout;
use crate::os;
use crate::region::LeaseInfo;
use crate::world::KeptGeneration;

use super::reader::{Pinned, Reader, Snapshot};
use crate::generation::SnapshotError;

/// A reader that threads share, whose snapshots own their pins. Clones are the same reader.
#[derive(Clone)]
pub struct SharedReader {
    shared: Arc<Shared>,
}

struct Shared {
    /// Never pins; all others are made of it.
    first: Reader,
    /// Readers without a pin.
    idle: Mutex<Vec<Reader>>,
    maker: os::Maker,
}

/// Leases that a reader keeps for its next snapshots.
const IDLE_MAX: usize = 1;

impl From<Reader> for SharedReader {
    fn from(reader: Reader) -> Self {
        let (idle, maker) = (Mutex::default(), os::Maker::this());
        SharedReader { shared: Arc::new(Shared { first: reader, idle, maker }) }
    }
}

impl SharedReader {
    /// The layout, in full.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        self.shared.first.layout()
    }

    /// The reader that never pins.
    pub(crate) fn first(&self) -> &Reader {
        &self.shared.first
    }

    /// Whether the region has a live writer.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn is_alive(&self) -> Result<bool, SnapshotError> {
        self.shared.first.is_alive()
    }

    /// The leases of all readers, this one's included.
    ///
    /// # Errors
    /// What the system refuses; the region was removed.
    pub fn leases(&self) -> Result<Vec<LeaseInfo>, SnapshotError> {
        self.shared.first.leases()
    }

    /// The newest published generation; 0: none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.shared.first.newest()
    }

    /// Waits until a generation newer than `after` is published; the newest one, or `None` after `timeout`.
    #[must_use]
    pub fn wait(&self, after: u64, timeout: Duration) -> Option<u64> {
        self.shared.first.wait(after, timeout)
    }

    /// Pins the newest generation until the snapshot is dropped.
    ///
    /// ```
    /// use hypostyle::{Component, SharedReader, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// world.spawn(Mass { kg: 2.5 })?;
    /// world.publish()?;
    /// let reader = SharedReader::from(world.reader()?);
    /// let pinned = reader.pin()?;
    /// let counted = std::thread::spawn(move || pinned.snapshot().entity_count());
    /// assert_eq!(counted.join().expect("it does not panic"), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Nothing published yet; a damaged directory; no lease is free; the region was removed and this reader has no
    /// idle lease left.
    pub fn pin(&self) -> Result<OwnedSnapshot, SnapshotError> {
        let reader = self.idle_reader().unwrap_or_else(|| self.shared.first.beside());
        Ok(OwnedSnapshot { pinned: Some(reader.into_pinned()?), home: self.clone(), maker: os::Maker::this() })
    }

    /// The generations that [`SharedReader::pin_frame`] can pin: see [`Reader::frames`].
    #[must_use]
    pub fn frames(&self) -> Vec<KeptGeneration> {
        self.shared.first.frames()
    }

    /// Pins the generation of a frame, as [`Reader::pin_frame`] does, for as long as the answer lives.
    ///
    /// # Errors
    /// [`SnapshotError::NotKept`]; else as for [`SharedReader::pin`].
    pub fn pin_frame(&self, frame: u64) -> Result<OwnedSnapshot, SnapshotError> {
        let reader = self.idle_reader().unwrap_or_else(|| self.shared.first.beside());
        let pinned = Some(reader.into_pinned_frame(frame)?);
        Ok(OwnedSnapshot { pinned, home: self.clone(), maker: os::Maker::this() })
    }

    /// Waits as [`SharedReader::wait`] does, for as long as `go_on` says: see [`Reader::wait_while`].
    #[must_use]
    pub fn wait_while(&self, after: u64, go_on: impl FnMut() -> bool) -> Option<u64> {
        self.shared.first.wait_while(after, go_on)
    }

    /// A reader without a pin; none: make one.
    fn idle_reader(&self) -> Option<Reader> {
        if !self.shared.maker.is_here() {
            return None;
        }
        self.shared.idle.lock().pop()
    }

    fn give_back(&self, reader: Reader) {
        let mut idle = self.shared.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(reader);
            return;
        }
        drop(idle);
        // and with it the lease
        drop(reader);
    }
}

/// A pinned generation that borrows from nobody. It can be sent to another thread, and shared between threads.
pub struct OwnedSnapshot {
    /// `None` only while it is being dropped.
    pinned: Option<Pinned>,
    home: SharedReader,
    maker: os::Maker,
}

impl OwnedSnapshot {
    /// The generation, to look at.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        match &self.pinned {
            Some(pinned) => pinned.snapshot(),
            None => unreachable!("nobody looks at what is being dropped"),
        }
    }

    /// The pinned generation alone, with a reader of its own.
    #[must_use]
    pub fn into_pinned(mut self) -> Pinned {
        match self.pinned.take() {
            Some(pinned) => pinned,
            None => unreachable!("nobody looks at what is being dropped"),
        }
    }

    /// The reader that it was pinned with.
    #[must_use]
    pub fn reader(&self) -> &SharedReader {
        &self.home
    }
}

impl Drop for OwnedSnapshot {
    fn drop(&mut self) {
        let Some(pinned) = self.pinned.take() else { return };
        // A forked child drops its copy of the maker's: the lease sees to it that the pin stays.
        let reader = pinned.unpin();
        if self.maker.is_here() && self.home.shared.maker.is_here() {
            self.home.give_back(reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;
    use crate::layout::{ComponentLayout, FieldLayout, FieldType, ScalarType, Storage};

    fn world() -> World {
        let field = FieldLayout::new("x", FieldType::scalar(ScalarType::U32));
        let component = ComponentLayout {
            name: "position".into(),
            fields: vec![field],
            storage: Storage::Table,
            track_changes: false,
        };
        let layout = Layout::new("owned", vec![component], Vec::new(), Vec::new(), 1 << 22).expect("a good layout");
        World::builder().layout(layout).build().expect("a private world")
    }

    /// Publishes `rows` more rows with this value.
    fn publish(world: &mut World, rows: usize, value: u32) -> u64 {
        world.spawn_columns(rows).column("position.x", &vec![value; rows]).spawn().expect("there is room");
        world.publish().expect("there is room");
        world.generation()
    }

    fn values(pinned: &OwnedSnapshot) -> Vec<u32> {
        let snapshot = pinned.snapshot();
        snapshot
            .tables()
            .flat_map(|t| t.column::<u32>("position.x").expect("is there").unwrap_or_default().to_vec())
            .collect()
    }

    #[test]
    fn snapshots_are_sent_and_shared() {
        fn check<T: Send + Sync>() {}
        check::<SharedReader>();
        check::<OwnedSnapshot>();
    }

    #[test]
    fn each_snapshot_keeps_its_own_generation() {
        let mut world = world();
        let reader = SharedReader::from(world.reader().expect("a lease is free"));
        assert!(matches!(reader.pin(), Err(SnapshotError::NothingPublished)));
        let first = publish(&mut world, 3, 1);
        let one = reader.pin().expect("published");
        let second = publish(&mut world, 2, 2);
        let two = reader.pin().expect("published");
        assert_eq!((one.snapshot().generation(), two.snapshot().generation()), (first, second));
        assert_eq!((values(&one), values(&two)), (vec![1; 3], vec![1, 1, 1, 2, 2]));
        let held = |reader: &SharedReader| {
            let mut held: Vec<u64> =
                reader.leases().expect("heap").iter().filter_map(|lease| lease.generation).collect();
            held.sort_unstable();
            held
        };
        assert_eq!(held(&reader), [first, second]);
        drop(one);
        assert_eq!(held(&reader), [second]);
        let two = std::thread::spawn(move || (values(&two).len(), two)).join().expect("does not panic").1;
        let home = two.reader().clone();
        drop((reader, world));
        assert_eq!(values(&two).len(), 5, "a snapshot outlives its reader, and a private one its world");
        drop(two);
        assert!(held(&home).is_empty());
    }

    #[test]
    fn leases_are_used_again() {
        let mut world = world();
        publish(&mut world, 1, 7);
        let reader = SharedReader::from(world.reader().expect("a lease is free"));
        for round in 0..2 * crate::limits::LEASES_MAX as u32 {
            let pinned = reader.pin().expect("one lease is enough");
            assert_eq!(values(&pinned).len(), 1 + round as usize);
            drop(pinned);
            publish(&mut world, 1, round);
        }
        assert_eq!(reader.leases().expect("heap").len(), 1, "that of its snapshots");
        let all: Vec<_> = std::iter::from_fn(|| reader.pin().ok()).collect();
        assert_eq!(all.len(), crate::limits::LEASES_MAX);
        assert!(matches!(reader.pin(), Err(SnapshotError::Region(crate::RegionError::NoLease))));
        let other = SharedReader::from(world.reader().expect("opening takes no lease"));
        assert!(matches!(other.pin(), Err(SnapshotError::Region(crate::RegionError::NoLease))));
        drop(all);
        assert!(reader.leases().expect("heap").len() <= IDLE_MAX, "what nobody holds is given back");
        drop(other.pin().expect("there is room for others"));
    }
}
