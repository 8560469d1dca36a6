//! Which ranks there are, and what each runs.
#![forbid(unsafe_code)]

mod ensemble;
mod log;
mod model;
mod record;
mod report;
mod run;
mod steer;
mod watches;
mod workers;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use hypostyle::{RegionTarget, Workers};
use hypostyle_mpi::transport::{Transport, run_threads};
use hypostyle_mpi::{Balance, ClusterError, Comm, launch};
use hypostyle_scenes::command::{self, OwnOptions, numbers, pace};
use hypostyle_scenes::{Scene, SceneOptions};

pub(crate) use command::WorkerArgs;
pub(crate) use model::{ModelArgs, print as print_model};
#[cfg(unix)]
pub(crate) use workers::schedule as worker_schedule;

/// Ranks as threads of one process, at most.
const THREAD_RANKS_MAX: usize = 1024;

/// What to run, and how.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scene.
    #[arg(value_parser = command::scene)]
    pub(crate) scene: &'static dyn Scene,
    /// Entities to begin with (default: the scene's own number).
    #[arg(long, value_name = "N", value_parser = numbers::count::<u64>)]
    pub(crate) entities: Option<u64>,
    /// Frames to run; further ones with --from and --restart. Default: the scene's own number, or 300.
    #[arg(long, value_name = "N", value_parser = numbers::count::<u64>)]
    pub(crate) frames: Option<u64>,
    /// Run until the simulation's time is this, in the scene's unit.
    #[arg(long, value_name = "TIME", conflicts_with = "frames", value_parser = pace::parse_time)]
    pub(crate) until: Option<f64>,
    /// Run at most N frames per second of real time.
    #[arg(long, value_name = "N", conflicts_with = "ensemble", value_parser = pace::parse_pace)]
    pub(crate) pace: Option<f64>,
    /// Let other processes pause the run, let it run some frames, and set its pace: `hypostyle steer NAME`, keys of `top`, the
    /// page of `gateway --steer`.
    #[arg(long, requires = "region")]
    pub(crate) steer: bool,
    /// Seed of all random numbers (default: 0, or that of the checkpoint's run).
    #[arg(long, value_name = "S", value_parser = numbers::count::<u64>)]
    pub(crate) seed: Option<u64>,
    /// Workers of each rank: local, auto, threads:N or processes:N.
    #[arg(long, value_name = "WORKERS", default_value_t = Workers::Local)]
    pub(crate) workers: Workers,
    /// Publish a generation every N frames: each is what a failed frame goes back to.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = numbers::positive::<u64>)]
    pub(crate) publish_every: u64,
    /// Publish the world under this name, or in directories beside this path, for other processes of this machine: each rank
    /// in a region of its own, NAME-rank-00000 and so on, which readers find as one by NAME.
    #[arg(long, value_name = "NAME|DIR", conflicts_with = "ensemble")]
    pub(crate) region: Option<RegionTarget>,
    /// Keep N generations beside the newest, so that readers find one frame on all ranks.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "region", value_parser = clap::value_parser!(u64).range(1..=hypostyle::limits::KEPT_GENERATIONS_MAX as u64))]
    pub(crate) keep_generations: u64,
    /// Ranks that are threads of this process, where there is no mpirun.
    #[arg(long, value_name = "N", value_parser = numbers::positive::<usize>)]
    pub(crate) ranks: Option<usize>,
    /// Cut space anew at every N-th time that rows change ranks; 0: at the first time alone.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = numbers::count::<u64>)]
    pub(crate) balance_every: u64,
    /// What bricks of space are to have the same of: rows, or the time of the kernels, measured since the last cut. States
    /// do not depend on it.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = BalanceBy::Rows)]
    pub(crate) balance: BalanceBy,
    /// How long a rank waits for another one from which nothing comes, seconds.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = numbers::positive::<u64>)]
    pub(crate) deadline: u64,
    /// Print `state-by-id <hex>`, the hash of the last frame, on stdout; the table goes to stderr.
    #[arg(long, value_enum, value_name = "WHICH", require_equals = true)]
    pub(crate) print_hash: Option<PrintHash>,
    /// Do not observe the scene at the end: that takes the memory of the whole world on rank 0, and sends each row once.
    #[arg(long)]
    pub(crate) no_observe: bool,
    /// Write what the scene observes (energies, counts) to a CSV file, a line every --series-every frames. Each look takes the
    /// memory of the whole world on rank 0, and sends each row once.
    #[arg(long, value_name = "FILE", conflicts_with = "ensemble")]
    pub(crate) series: Option<PathBuf>,
    /// Frames between two lines of --series.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "series", value_parser = numbers::positive::<u64>)]
    pub(crate) series_every: u64,
    /// Write how the run is going to this file, JSON in lines, one of each rank every --log-every seconds: its rows and ghosts,
    /// and seconds of a frame and of its calls to other ranks since the line before.
    #[arg(long, value_name = "FILE", conflicts_with = "ensemble")]
    pub(crate) log: Option<PathBuf>,
    /// Seconds of real time between two lines of a rank in --log.
    #[arg(long, value_name = "S", default_value_t = 1.0, requires = "log", value_parser = numbers::seconds)]
    pub(crate) log_every: f64,
    /// Write a set of checkpoints to this directory at the end, and every --checkpoint-every frames.
    #[arg(long = "checkpoint", value_name = "DIR")]
    pub(crate) checkpoints: Option<PathBuf>,
    /// Frames between two sets of checkpoints.
    #[arg(long, value_name = "N", requires = "checkpoints", value_parser = numbers::positive::<u64>)]
    pub(crate) checkpoint_every: Option<u64>,
    /// Number of sets to keep.
    #[arg(long, value_name = "K", requires = "checkpoints", default_value_t = 3, value_parser = numbers::positive::<usize>)]
    pub(crate) checkpoint_keep: usize,
    /// Record every generation of each rank to a journal of its own in this directory; journals of as many ranks that are there
    /// are appended to.
    #[arg(long, value_name = "DIR", conflicts_with = "ensemble")]
    pub(crate) record: Option<PathBuf>,
    /// Continue from the set of checkpoints of this manifest, or from the newest complete set in this directory, on any number
    /// of ranks.
    #[arg(long, value_name = "MANIFEST|DIR")]
    pub(crate) from: Option<PathBuf>,
    /// Continue from the newest complete set in the directory of --checkpoint, if there is one.
    #[arg(long, requires = "checkpoints", conflicts_with = "from")]
    pub(crate) restart: bool,
    /// Run each rank on its own, with a seed of its own: the seed of rank r is --seed + r.
    #[arg(long, conflicts_with_all = ["from", "checkpoints"])]
    pub(crate) ensemble: bool,
    /// Print the table as JSON, on stdout, the hash in it.
    #[arg(long, conflicts_with = "ensemble")]
    pub(crate) json: bool,
    /// Say on stderr which process each rank is.
    #[arg(long)]
    pub(crate) show_ranks: bool,
    #[command(flatten)]
    pub(crate) own: OwnOptions,
}

/// What bricks are to have the same of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BalanceBy {
    /// Rows.
    Rows,
    /// Time that kernels ran.
    Time,
}

impl From<BalanceBy> for Balance {
    fn from(by: BalanceBy) -> Balance {
        match by {
            BalanceBy::Rows => Balance::Rows,
            BalanceBy::Time => Balance::Time,
        }
    }
}

/// Which hash to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrintHash {
    /// That of the last frame, by global ids.
    ById,
}

impl Args {
    /// What decides the scene, as given.
    pub(crate) fn options(&self) -> Result<SceneOptions, ClusterError> {
        let own = self.own.of(self.scene).map_err(ClusterError::World)?;
        Ok(SceneOptions { entities: self.entities, seed: self.seed.unwrap_or(0), own })
    }

    fn comm(&self, transport: Box<dyn Transport>) -> Comm {
        Comm::new(transport).deadline(Duration::from_secs(self.deadline))
    }
}

/// Finds the ranks, and runs this process's.
pub(crate) fn main(args: &Args) -> Result<(), Box<dyn Error>> {
    let launched = launch::launched().filter(|processes| *processes > 1);
    if let (Some(processes), Some(_)) = (launched, args.ranks) {
        return Err(format!("--ranks is for runs without a launcher, which has started {processes} ranks here").into());
    }
    match launched {
        Some(launched) => under_launcher(args, launched),
        None => on_threads(args),
    }
}

fn on_threads(args: &Args) -> Result<(), Box<dyn Error>> {
    let ranks = args.ranks.unwrap_or(1);
    if ranks > THREAD_RANKS_MAX {
        return Err(format!("--ranks {ranks}: at most {THREAD_RANKS_MAX} threads of one process").into());
    }
    run_threads(ranks, |rank| one_rank(args, args.comm(Box::new(rank))))?;
    Ok(())
}

#[cfg(feature = "mpi")]
fn under_launcher(args: &Args, _: u64) -> Result<(), Box<dyn Error>> {
    let (job, ranks) = hypostyle_mpi::transport::MpiRanks::start()?;
    let abort = ranks.aborter();
    let rank = ranks.rank();
    let done = one_rank(args, args.comm(Box::new(ranks)));
    if let Err(error) = done {
        // one text, so that those of several ranks stay apart
        let told = format!("error: {} (told by rank {rank})\n", chain(&error));
        eprint!("{told}");
        // the others wait for this one: it ends them all
        abort.abort();
    }
    drop(job);
    Ok(())
}

#[cfg(not(feature = "mpi"))]
fn under_launcher(_: &Args, launched: u64) -> Result<(), Box<dyn Error>> {
    Err(ClusterError::NoMpi { launched }.into())
}

fn one_rank(args: &Args, comm: Comm) -> Result<(), ClusterError> {
    if args.ensemble { ensemble::run(args, comm) } else { run::run(args, comm) }
}

/// An error with what led to it, each message once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}
