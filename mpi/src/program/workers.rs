//! Worker processes of ranks: this program again, with a schedule made from the same words; and the regions in which they
//! find their rank's rows.
//!
//! Each rank with worker processes has a named region of its own, `SCENE-JOB-rRANK`. The job is a number of sixteen digits
//! that rank 0 draws and all take over: ranks of one job differ by their rank, those of several jobs by the job, also where
//! machines or containers count their processes anew and share their memory.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, Hasher};

use clap::Parser;
use hypostyle::{RegionTarget, Simulation, SimulationBuilder, Workers, World, WorldBuilder};
use hypostyle_mpi::{ClusterError, Comm};
use hypostyle_scenes::SceneOptions;
use hypostyle_scenes::command;

use super::Args;

/// The note of such a region: its name. No other program has notes of this name, and no other region is removed.
const NOTE: &str = "hypostyle-mpi.job";

/// The schedule that this process's arguments name. Without one the rank refuses this worker, and says so.
#[cfg(unix)]
pub(crate) fn schedule() -> hypostyle::Schedule {
    match crate::Cli::try_parse() {
        Ok(crate::Cli { command: crate::Command::Worker(args) }) => args.schedule(),
        _ => hypostyle::Schedule::new(),
    }
}

/// What a rank's worker processes need.
pub(super) struct Regions {
    /// Where there are such workers.
    name: Option<String>,
}

impl Regions {
    /// The same job for all ranks. Regions that killed ranks of earlier jobs left on this machine are removed first.
    pub(super) fn of(args: &Args, comm: &mut Comm) -> Result<Regions, ClusterError> {
        let rank = comm.rank();
        // a world that is published has a region anyway
        if !matches!(args.workers, Workers::Processes(_)) || args.region.is_some() {
            return Ok(Regions { name: None });
        }
        remove_residue();
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let mut job = format!("{random:016x}").into_bytes();
        comm.broadcast("name of the job", &mut job)?;
        let job = String::from_utf8_lossy(&job).into_owned();
        Ok(Regions { name: Some(format!("{}-{job}-r{rank}", args.scene.name())) })
    }

    /// A new world where workers find it.
    pub(super) fn world(&self) -> WorldBuilder {
        match &self.name {
            None => World::builder(),
            Some(name) => World::builder().region(RegionTarget::Named(name.clone())).note(NOTE, name.clone()),
        }
    }
}

/// A simulation's settings.
pub(super) fn builder(args: &Args, options: &SceneOptions, rank: usize) -> Result<SimulationBuilder, ClusterError> {
    // who steers writes into rank 0's mailbox
    let builder = Simulation::builder().workers(args.workers).publish_every(args.publish_every);
    let builder = builder.steerable(args.steer && rank == 0);
    #[cfg(unix)]
    let builder =
        builder.worker_command(command::worker_command(args.scene, options).map_err(|error| {
            ClusterError::World(format!("this program, which workers are, cannot be found: {error}"))
        })?);
    #[cfg(not(unix))]
    let _ = options;
    Ok(builder)
}

/// Removes what killed ranks of earlier jobs left: a share of a world, which nobody can go on from. Ranks of one machine
/// may do so at once. What cannot be removed is not in the way.
fn remove_residue() {
    let Ok(regions) = hypostyle::regions::list() else { return };
    for region in regions.iter().filter(|region| region.is_stale() && !region.temporary) {
        if region.notes.iter().any(|(note, name)| note == NOTE && *name == region.name) {
            // another rank was faster, or it is another user's
            let _ = hypostyle::regions::clean(&RegionTarget::from_path(&region.path));
        }
    }
}
