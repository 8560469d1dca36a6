//! Why a cluster's run ends. Each message names the rank, where one is to blame.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use thiserror::Error;

/// Why a cluster's run ends.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum ClusterError {
    /// A rank sent nothing in time: it is dead, cut off, or much slower than the others.
    #[error(
        "rank {rank} sent no message for {waited:?} (waiting for `{what}`): it is dead, cut off or too slow; \
         give it more time with --deadline"
    )]
    Deadline {
        /// The one that is waited for.
        rank: usize,
        /// What is waited for.
        what: String,
        /// For so long.
        waited: std::time::Duration,
    },
    /// A rank is gone: its process or thread has ended.
    #[error("rank {rank} is gone: {why}")]
    Gone {
        /// The one that ended.
        rank: usize,
        /// Why, as far as it is known.
        why: String,
    },
    /// A message is not what it must be.
    #[error("the message of rank {rank} is not valid: {what}")]
    Message {
        /// The sender.
        rank: usize,
        /// What is wrong.
        what: String,
    },
    /// Two ranks are at different places of the program.
    #[error(
        "rank {rank} is at another place: this rank is at `{here}`, message {sequence} of rank {rank} is not of it"
    )]
    Disagree {
        /// The other one.
        rank: usize,
        /// What this rank does.
        here: String,
        /// Number of the message between the two.
        sequence: u64,
    },
    /// Ranks have different values of what must be equal.
    #[error("rank {rank} has another {what} than rank 0: all ranks must be given the same program and options")]
    Differs {
        /// The first that differs.
        rank: usize,
        /// What must be equal.
        what: String,
    },
    /// A call of MPI failed.
    #[error("MPI: {call} failed: {what}")]
    Mpi {
        /// The function.
        call: &'static str,
        /// What MPI says.
        what: String,
    },
    /// The launcher and the MPI library do not know each other.
    #[error(
        "the launcher started {launched} processes, but MPI says this is a world of {size}: `mpirun` is of another MPI \
         than the one this program was built with; use that one's mpirun"
    )]
    Launcher {
        /// As the launcher's environment says.
        launched: u64,
        /// As MPI says.
        size: usize,
    },
    /// This program was built without MPI, but started by a launcher.
    #[error(
        "the launcher started {launched} processes, but this program was built without MPI: build it with \
         `--features mpi`, or use `--ranks {launched}` without a launcher"
    )]
    NoMpi {
        /// As the launcher's environment says.
        launched: u64,
    },
    /// A schedule breaks a condition under which many ranks give the bytes of one.
    #[error("system `{system}`: {condition}")]
    Condition {
        /// The system.
        system: String,
        /// What is the case, and what would be right.
        condition: String,
    },
    /// A world cannot be spread.
    #[error("{0}")]
    World(String),
    /// Rows were lost or doubled when they changed ranks.
    #[error(
        "rows were lost or doubled when they changed ranks in frame {frame}: {before} before, {after} after; ids: {ids:?}"
    )]
    Lost {
        /// The frame.
        frame: u64,
        /// Rows of all ranks before.
        before: u64,
        /// After.
        after: u64,
        /// The global ids, the first few.
        ids: Vec<u64>,
    },
    /// A file of a set of checkpoints.
    #[error("{}: {what}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The engine refused something.
    #[error("rank {rank}: {source}")]
    Engine {
        /// On this rank.
        rank: usize,
        /// What the engine says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
