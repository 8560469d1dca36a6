//! What a gateway shows: a region, or the regions of all ranks of a world, pinned at one frame.
//!
//! Invariants: the engine never waits for a frame that all ranks have for longer than [`PATIENCE`]; ranks are shown together
//! or not at all.
#![forbid(unsafe_code)]

use std::time::Duration;

use hypostyle::{
    ClusterReader, InputError, InputSender, Layout, OwnedSnapshot, Reader, Snapshot, SnapshotError, Steering, Timeline,
};

/// How long to look for a frame that all ranks have. They keep some, so it is there at once, but for those that begin.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a gateway shows: a region, or the regions of all ranks of a world. Made from a [`Reader`], or by [`Source::ranks`].
pub struct Source(Kind);

enum Kind {
    Region(Box<Reader>),
    Ranks(Ranks),
}

struct Ranks {
    /// By rank. They never pin.
    readers: Vec<Reader>,
    all: ClusterReader,
}

impl From<Reader> for Source {
    fn from(reader: Reader) -> Self {
        Source(Kind::Region(Box::new(reader)))
    }
}

impl Source {
    /// The world of these ranks, in their order ([`regions::ranks`](hypostyle::regions::ranks) says which there are). All entities
    /// must have global ids.
    ///
    /// # Errors
    /// No readers; ranks with different layouts, or with one that has no global ids.
    pub fn ranks(readers: Vec<Reader>) -> Result<Source, SnapshotError> {
        let own = readers.iter().map(Reader::try_clone).collect::<Result<Vec<_>, _>>()?;
        let all = ClusterReader::of(own)?;
        if all.layout().component("global_id").is_none() {
            let what = "entities of many ranks are shown by their ids: their layout needs `global_id`".to_owned();
            return Err(SnapshotError::Parts { what });
        }
        Ok(Source(Kind::Ranks(Ranks { readers, all })))
    }

    /// How many ranks; none of a region alone.
    pub(super) fn rank_count(&self) -> Option<usize> {
        match &self.0 {
            Kind::Region(_) => None,
            Kind::Ranks(ranks) => Some(ranks.readers.len()),
        }
    }

    /// The region, or that of rank 0.
    pub(super) fn first(&self) -> &Reader {
        match &self.0 {
            Kind::Region(reader) => reader,
            // `ClusterReader::of` has seen that there is one
            Kind::Ranks(ranks) => &ranks.readers[0],
        }
    }

    fn readers(&self) -> &[Reader] {
        match &self.0 {
            Kind::Region(reader) => std::slice::from_ref(reader),
            Kind::Ranks(ranks) => &ranks.readers,
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        self.first().layout()
    }

    pub(super) fn steering(&self) -> Result<Option<Steering>, InputError> {
        self.first().steering()
    }

    pub(super) fn inputs(&self) -> Result<Option<InputSender>, InputError> {
        self.first().inputs()
    }

    pub(super) fn extend_timeline(&self, timeline: &mut Timeline) -> Result<(), SnapshotError> {
        self.first().extend_timeline(timeline)
    }

    /// The newest generation that all have.
    pub(super) fn newest(&self) -> u64 {
        self.readers().iter().map(Reader::newest).min().unwrap_or(0)
    }

    /// Waits for a generation after this one, for a while.
    pub(super) fn wait(&self, after: u64, timeout: Duration) {
        let behind = self.readers().iter().find(|reader| reader.newest() <= after);
        let _ = behind.unwrap_or(self.first()).wait(after, timeout);
    }

    /// Whether all have live writers.
    pub(super) fn is_alive(&self) -> Result<bool, SnapshotError> {
        Ok(self.dead()?.is_none())
    }

    /// The first rank whose writer is gone.
    pub(super) fn dead(&self) -> Result<Option<usize>, SnapshotError> {
        for (rank, reader) in self.readers().iter().enumerate() {
            if !reader.is_alive()? {
                return Ok(Some(rank));
            }
        }
        Ok(None)
    }

    /// Whether these are the same regions.
    pub(super) fn is_same(&self, other: &Source) -> bool {
        let (own, others) = (self.readers(), other.readers());
        own.len() == others.len()
            && self.rank_count() == other.rank_count()
            && own.iter().zip(others).all(|(own, other)| own.is_same_region(other))
    }

    /// Pins the newest state for as long as it is looked at: by rank.
    pub(super) fn look<T>(&mut self, look: impl FnOnce(&[Snapshot<'_>]) -> T) -> Result<T, SnapshotError> {
        match &mut self.0 {
            Kind::Region(reader) => Ok(look(&[reader.pin()?])),
            Kind::Ranks(ranks) => {
                let pinned = ranks.all.pin_within(PATIENCE)?;
                let parts: Vec<Snapshot<'_>> = pinned.iter().map(OwnedSnapshot::snapshot).collect();
                check_ids(&parts)?;
                Ok(look(&parts))
            }
        }
    }

    /// The same, to be pinned on another thread.
    #[cfg(feature = "export")]
    pub(super) fn try_clone(&self) -> Result<Source, SnapshotError> {
        match &self.0 {
            Kind::Region(reader) => Ok(reader.try_clone()?.into()),
            Kind::Ranks(ranks) => {
                let readers = ranks.readers.iter().map(Reader::try_clone).collect::<Result<Vec<_>, _>>()?;
                Ok(Source(Kind::Ranks(Ranks { readers, all: ranks.all.clone() })))
            }
        }
    }

    /// Pins the newest state for longer: by rank.
    #[cfg(feature = "export")]
    pub(super) fn into_pinned(self) -> Result<Vec<hypostyle::columns::Pinned>, SnapshotError> {
        match self.0 {
            Kind::Region(reader) => Ok(vec![reader.into_pinned()?]),
            Kind::Ranks(ranks) => {
                Ok(ranks.all.pin_within(PATIENCE)?.into_iter().map(OwnedSnapshot::into_pinned).collect())
            }
        }
    }
}

/// Rows of ranks are known by their ids alone.
fn check_ids(parts: &[Snapshot<'_>]) -> Result<(), SnapshotError> {
    for (rank, part) in parts.iter().enumerate() {
        let without =
            part.tables().find(|table| table.rows() > 0 && !table.components().any(|name| name == "global_id"));
        if let Some(table) = without {
            let components = table.components().collect::<Vec<_>>().join(", ");
            let what = format!("rank {rank} has {} rows of ({components}) without `global_id`", table.rows());
            return Err(SnapshotError::Parts { what });
        }
    }
    Ok(())
}
