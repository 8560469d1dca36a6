//! Worker processes of ranks: this program again, with a schedule made from the same words; and the regions in which they
//! find their rank's rows.
//!
//! Each rank with worker processes has a named region of its own, `SCENE-JOB-rRANK`. The job is a number of sixteen digits
//! that rank 0 draws and all take over: ranks of one job differ by their rank, those of several jobs by the job, also where
//! machines or containers count their processes anew and share their memory.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, Hasher};

use clap::Parser;
use hypostyle::{RegionTarget, Schedule, Simulation, SimulationBuilder, Workers, World, WorldBuilder};
use hypostyle_mpi::{ClusterError, Comm};
use hypostyle_scenes::command::{self, OwnOptions};
use hypostyle_scenes::{Scene, SceneOptions};

use super::Args;

/// What a region of a rank is noted to be.
const NOTE: &str = "rank";

/// What a worker must know to build the same schedule.
#[derive(clap::Args)]
pub(crate) struct WorkerArgs {
    #[arg(value_parser = command::scene)]
    scene: &'static dyn Scene,
    #[arg(long)]
    entities: Option<u64>,
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    own: OwnOptions,
}

/// The schedule that this process's arguments name. Without one the rank refuses this worker, and says so.
pub(crate) fn schedule() -> Schedule {
    match crate::Cli::try_parse() {
        Ok(crate::Cli { command: crate::Command::Worker(args) }) => {
            // the rank has refused options of other scenes
            let own = args.own.of(args.scene).unwrap_or_default();
            args.scene.schedule(&SceneOptions { entities: args.entities, seed: args.seed, own })
        }
        _ => Schedule::new(),
    }
}

/// What a rank's worker processes need.
pub(super) struct Regions {
    /// Where there are such workers.
    name: Option<String>,
    rank: usize,
}

impl Regions {
    /// The same job for all ranks. Regions that killed ranks of earlier jobs left on this machine are removed first.
    pub(super) fn of(args: &Args, comm: &mut Comm) -> Result<Regions, ClusterError> {
        let rank = comm.rank();
        if !matches!(args.workers, Workers::Processes(_)) {
            return Ok(Regions { name: None, rank });
        }
        remove_residue();
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let mut job = format!("{random:016x}").into_bytes();
        comm.broadcast("name of the job", &mut job)?;
        let job = String::from_utf8_lossy(&job).into_owned();
        Ok(Regions { name: Some(format!("{}-{job}-r{rank}", args.scene.name())), rank })
    }

    /// A new world where workers find it.
    pub(super) fn world(&self) -> WorldBuilder {
        match &self.name {
            None => World::builder(),
            Some(name) => World::builder().region(RegionTarget::Named(name.clone())).note(NOTE, self.rank),
        }
    }

    /// The same, of several worlds the first: the others are in memory of their own, and go into it.
    pub(super) fn first(&self) -> impl Fn() -> WorldBuilder {
        let first = std::cell::Cell::new(Some(self.world()));
        move || first.take().unwrap_or_default()
    }
}

/// A simulation's settings.
pub(super) fn builder(args: &Args, options: &SceneOptions) -> Result<SimulationBuilder, ClusterError> {
    let builder = Simulation::builder().workers(args.workers).publish_every(args.publish_every);
    #[cfg(unix)]
    let builder = builder.worker_command(hypostyle::WorkerCommand {
        program: std::env::current_exe().map_err(|error| {
            ClusterError::World(format!("this program, which workers are, cannot be found: {error}"))
        })?,
        args: words(args.scene, options),
    });
    #[cfg(not(unix))]
    let _ = options;
    Ok(builder)
}

/// What [`WorkerArgs`] are made from.
#[cfg(unix)]
fn words(scene: &dyn Scene, options: &SceneOptions) -> Vec<String> {
    let mut words = vec!["worker".to_owned(), scene.name().to_owned(), "--seed".to_owned(), options.seed.to_string()];
    if let Some(entities) = options.entities {
        words.extend(["--entities".to_owned(), entities.to_string()]);
    }
    words.extend(options.own.iter().map(|(name, value)| format!("--{name}={value}")));
    words
}

/// Removes what killed ranks of earlier jobs left: a share of a world, which nobody can go on from. Ranks of one machine
/// may do so at once. What cannot be removed is not in the way.
fn remove_residue() {
    let Ok(regions) = hypostyle::regions::list() else { return };
    for region in regions.iter().filter(|region| region.is_stale() && !region.temporary) {
        if region.notes.iter().any(|(name, _)| name == NOTE) {
            // another rank was faster, or it is another user's
            let _ = hypostyle::regions::clean(&RegionTarget::from_path(&region.path));
        }
    }
}
