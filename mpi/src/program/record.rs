//! Journals of ranks: each rank records its part, to `DIR/rank-00000` and so on.
#![forbid(unsafe_code)]

use std::path::Path;

use hypostyle::Simulation;
use hypostyle::journal::{Journal, Recorder, RecorderOptions};
use hypostyle_mpi::set::Origin;
use hypostyle_mpi::{Cluster, ClusterError};

use super::Args;

/// The recorder of this rank, if there is to be one; the state before the first frame is recorded.
pub(super) fn start(
    args: &Args,
    cluster: &Cluster,
    simulation: &mut Simulation,
    origin: &Origin,
) -> Result<Option<Recorder>, ClusterError> {
    let Some(directory) = &args.record else { return Ok(None) };
    let (rank, size) = (cluster.rank(), cluster.size());
    let begun = begin(directory, rank, size, cluster, simulation, origin);
    // all ranks learn of a failure, so none waits
    let told = begun.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let all = cluster.comm(|comm| comm.all_gather("journals", told.as_bytes()))?;
    let recorder = begun?;
    match all.iter().enumerate().find(|(_, told)| !told.is_empty()) {
        Some((rank, why)) => Err(ClusterError::Gone { rank, why: String::from_utf8_lossy(why).into_owned() }),
        None => Ok(Some(recorder)),
    }
}

fn begin(
    directory: &Path,
    rank: usize,
    size: usize,
    cluster: &Cluster,
    simulation: &mut Simulation,
    origin: &Origin,
) -> Result<Recorder, ClusterError> {
    let own = directory.join(format!("rank-{rank:05}"));
    let further = directory.join(format!("rank-{size:05}"));
    let bad = |what: String| ClusterError::File { path: directory.to_owned(), what };
    let known = match Journal::is_journal(&own) {
        true => Journal::open(&own).map_err(|error| engine(rank, error))?.note("ranks").map(str::to_owned),
        false => None,
    };
    if further.exists() || known.as_ref().is_some_and(|known| *known != size.to_string()) {
        let known = known.unwrap_or_else(|| "more".to_owned());
        return Err(bad(format!(
            "it has the journals of {known} ranks, and these are {size}: record to another directory"
        )));
    }
    std::fs::create_dir_all(directory).map_err(|error| bad(error.to_string()))?;
    let mut how = RecorderOptions::new(own);
    how.options.notes = origin.notes();
    let order: Vec<String> = cluster.key_column().into_iter().chain(["global_id.value".to_owned()]).collect();
    how.options.notes.extend([
        ("rank".to_owned(), rank.to_string()),
        ("ranks".to_owned(), size.to_string()),
        ("order".to_owned(), order.join(",")),
    ]);
    let mut recorder = Recorder::start(simulation.world(), how).map_err(|error| engine(rank, error))?;
    // the state before the first frame belongs to it
    if !simulation.world_mut().publish().map_err(|error| engine(rank, error))?.is_published() {
        return Err(ClusterError::World("the frame could not be published: readers hold all memory".to_owned()));
    }
    recorder.look().map_err(|error| engine(rank, error))?;
    Ok(recorder)
}

/// Records what was published.
pub(super) fn look(recorder: &mut Option<Recorder>, rank: usize) -> Result<(), ClusterError> {
    match recorder {
        Some(recorder) => recorder.look().map(drop).map_err(|error| engine(rank, error)),
        None => Ok(()),
    }
}

/// Writes what is left. A call of this rank alone.
pub(super) fn finish(recorder: Option<Recorder>, rank: usize) -> Result<(), ClusterError> {
    match recorder {
        Some(recorder) => recorder.finish().map(drop).map_err(|error| engine(rank, error)),
        None => Ok(()),
    }
}

fn engine(rank: usize, error: impl std::error::Error + Send + Sync + 'static) -> ClusterError {
    ClusterError::Engine { rank, source: Box::new(error) }
}
