//! `--log FILE`: how the run is going, a line of JSON of each rank every some seconds, written by rank 0.
//!
//! Invariant: rank 0's clock says when, for all ranks; a run without a log sends nothing for it.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hypostyle::Simulation;
use hypostyle_mpi::{Cluster, ClusterError, Traffic};

use super::Args;

/// When rank 0 writes lines, and since when they tell.
pub(super) struct Log {
    is_asked: bool,
    every: Duration,
    begun: Instant,
    /// On rank 0.
    file: Option<File>,
    /// Of the last line: when it was, its frame, and what had gone between the ranks.
    last: Option<(Instant, u64, Traffic)>,
}

impl Log {
    /// Makes the file, on rank 0. A call of all ranks where there is to be a log.
    pub(super) fn create(args: &Args, cluster: &Cluster) -> Result<Log, ClusterError> {
        let mut file = None;
        if let Some(path) = &args.log {
            let made = (cluster.rank() == 0).then(|| File::create(path)).transpose();
            let made = made.map_err(|error| failed(path, &error));
            // all ranks learn of a failure and why, so none waits
            let mut why = made.as_ref().err().cloned().unwrap_or_default().into_bytes();
            cluster.comm(|comm| comm.broadcast("log", &mut why))?;
            file = made.map_err(ClusterError::World)?;
            if !why.is_empty() {
                return Err(ClusterError::Gone { rank: 0, why: String::from_utf8_lossy(&why).into_owned() });
            }
        }
        let every = Duration::from_secs_f64(args.log_every);
        Ok(Log { is_asked: args.log.is_some(), every, begun: Instant::now(), file, last: None })
    }

    /// Between frames: a line of each rank, where it is time or `always`. A call of all ranks where there is a log.
    pub(super) fn look(
        &mut self,
        args: &Args,
        cluster: &Cluster,
        simulation: &Simulation,
        always: bool,
    ) -> Result<(), ClusterError> {
        if !self.is_asked {
            return Ok(());
        }
        let due = self.last.is_none_or(|(at, ..)| at.elapsed() >= self.every);
        let mut is_due = vec![u8::from(due || always)];
        cluster.comm(|comm| comm.broadcast("is a line due", &mut is_due))?;
        if is_due != [1] {
            return Ok(());
        }
        let line = self.line(cluster, simulation);
        let lines = cluster.comm(|comm| comm.gather("lines of the log", line.as_bytes()))?;
        if let (Some(file), Some(path)) = (&mut self.file, &args.log) {
            file.write_all(&lines.concat()).map_err(|error| ClusterError::World(failed(path, &error)))?;
        }
        Ok(())
    }

    fn line(&mut self, cluster: &Cluster, simulation: &Simulation) -> String {
        let (world, now) = (simulation.world(), Instant::now());
        let (did, traffic) = cluster.report();
        let since = self.last.replace((now, world.frame(), traffic)).map(|(at, frame, before)| {
            let frames = world.frame().saturating_sub(frame);
            let inside = (traffic.inside - before.inside).as_secs_f64();
            (frames > 0).then(|| ((now - at).as_secs_f64() / frames as f64, inside / frames as f64))
        });
        let (frame_seconds, calls_seconds) = since.flatten().unzip();
        let line = serde_json::json!({
            "rank": cluster.rank(),
            "frame": world.frame(),
            "time": world.time(),
            "seconds": self.begun.elapsed().as_secs_f64(),
            "entities": world.entity_count(),
            "ghosts": did.ghosts,
            "frame_seconds": frame_seconds,
            "calls_seconds": calls_seconds,
        });
        format!("{line}\n")
    }
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write `{}`: {error}", path.display())
}
