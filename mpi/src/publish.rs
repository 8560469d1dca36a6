//! Publication of all ranks under one name: each rank its region, with notes that say to what it belongs.
//!
//! Readers on the machine pin all ranks at one frame ([`hypostyle::ClusterReader`]): each keeps some generations beside the
//! newest. Regions appear with their notes and go at the end, so there is no list of them that could be wrong.
#![forbid(unsafe_code)]

use hypostyle::regions::{self, RANKS_MAX};
use hypostyle::{RegionTarget, World, WorldBuilder};
use xxhash_rust::xxh3::xxh3_64;

use crate::cluster::Cluster;
use crate::error::ClusterError;

/// Where this rank publishes its part of the world.
#[derive(Clone, Debug)]
pub struct Publication {
    region: RegionTarget,
    keep: usize,
    notes: Vec<(String, String)>,
}

impl Publication {
    /// Under this name on all ranks, with so many generations kept beside the newest (3 are enough for readers that pin and
    /// let go), and `notes` on each region. A call of all ranks. Regions of the name that a dead run left are removed, but
    /// for those that it kept.
    ///
    /// # Errors
    /// A rank that is gone; a region that is left and cannot be removed, or is of a live run.
    pub fn new(
        cluster: &Cluster,
        name: &RegionTarget,
        keep: usize,
        notes: Vec<(String, String)>,
    ) -> Result<Publication, ClusterError> {
        let (rank, size) = (cluster.rank(), cluster.size());
        // the same number on all ranks, and another one in each run
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut id = xxh3_64(format!("{} {}", std::process::id(), now.as_nanos()).as_bytes()).to_le_bytes().to_vec();
        cluster.comm(|comm| comm.broadcast("publication", &mut id))?;
        let id = id.as_slice().try_into().map(u64::from_le_bytes);
        let id = id.map_err(|_| ClusterError::Message { rank: 0, what: "a number has not 8 bytes".to_owned() })?;
        let removed = remove_left(name, rank, size).map_err(|error| error.to_string());
        // all ranks learn of a failure, so none waits
        let told = removed.as_ref().err().cloned().unwrap_or_default();
        let all = cluster.comm(|comm| comm.all_gather("regions", told.as_bytes()))?;
        removed.map_err(ClusterError::World)?;
        if let Some((rank, why)) = all.iter().enumerate().find(|(_, told)| !told.is_empty()) {
            return Err(ClusterError::Gone { rank, why: String::from_utf8_lossy(why).into_owned() });
        }
        let own = regions::notes_of_rank(rank, size, id).map(|(name, value)| (name.to_owned(), value));
        let notes = own.into_iter().chain(notes).collect();
        Ok(Publication { region: name.of_rank(rank), keep, notes })
    }

    /// The builder of this rank's world.
    #[must_use]
    pub fn builder(&self) -> WorldBuilder {
        let builder = World::builder().region(self.region.clone()).keep_generations(self.keep);
        self.notes.iter().fold(builder, |builder, (name, value)| builder.note(name.clone(), value.clone()))
    }
}

/// Removes what a dead run left of this rank's region; rank 0 also those of ranks that are no more.
fn remove_left(name: &RegionTarget, rank: usize, size: usize) -> Result<(), hypostyle::RegionError> {
    let remove = |rank: usize| -> Result<bool, hypostyle::RegionError> {
        let target = name.of_rank(rank);
        let there = target.path()?.is_some_and(|path| path.exists());
        if there && regions::inspect(&target).is_stale() {
            regions::clean(&target)?;
        }
        Ok(there)
    };
    remove(rank)?;
    let mut further = size;
    while rank == 0 && further < RANKS_MAX && remove(further)? {
        further += 1;
    }
    Ok(())
}
