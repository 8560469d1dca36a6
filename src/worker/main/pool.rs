//! The pool as the schedule sees it: start, run a batch, end of frame, close.
//!
//! Invariant: the records that `run` stages are the same for any workers; after a failure the next `run` works.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::limits::WORKERS_MAX;
use crate::patch::Ring;
use crate::trace::Recorder;

use crate::worker::error::{JobFailure, PoolError};
use crate::worker::main::own::{RunOnMain, run_all};
use crate::worker::main::set::WorkerSet;
use crate::worker::{
    Batch, BatchReport, HostedWorker, Place, PoolConfig, PoolInfo, RegionForWorkers, Runner, Sandbox, Staged,
    WorkerKind, WorkerStatus, Workers,
};

/// Who runs the jobs.
enum Runners {
    Local,
    Set(Box<WorkerSet>),
    Closed,
}

/// The workers of one schedule, main included.
pub(crate) struct Pool {
    hands: Runners,
    runner: Arc<dyn Runner>,
    record_bytes_max: usize,
    recorder: Recorder,
}

impl Pool {
    /// Starts the workers that `config` asks for. Worker processes need the region that they are to open, and must
    /// report registrations that equal `registrations`, line by line. The notice tells what `auto` became, and why.
    pub(crate) fn start(
        config: &PoolConfig,
        runner: Arc<dyn Runner>,
        region: Option<RegionForWorkers>,
        registrations: &str,
    ) -> Result<(Pool, PoolInfo), PoolError> {
        let ring =
            |error: crate::patch::RingError| PoolError::Ring { bytes: config.ring_bytes, message: error.to_string() };
        Ring::bytes_needed(config.ring_bytes).map_err(ring)?;
        let sandbox_lacks = lacks(config)?;
        let (hands, got, fallback) = hands(config, &runner, region.as_ref(), registrations)?;
        let recorder = config.trace.as_ref().map_or_else(Recorder::off, |trace| trace.recorder(0));
        let pool = Pool { hands, runner, record_bytes_max: config.ring_bytes / 2, recorder };
        Ok((pool, PoolInfo { requested: config.workers, actual: got, fallback, sandbox_lacks }))
    }

    /// Runs all jobs of a batch and stages their records. When it returns, no job is running.
    ///
    /// # Errors
    /// The first failure: of several jobs that would fail, that of the lowest, whoever runs what. Then nothing that is
    /// staged counts.
    pub(crate) fn run(&mut self, batch: &mut Batch<'_>, staged: &mut Staged) -> Result<BatchReport, JobFailure> {
        match &mut self.hands {
            Runners::Closed => Err(JobFailure::Closed),
            Runners::Local => {
                staged.reset(batch.jobs, 0);
                run_all(self.runner.as_ref(), batch, self.record_bytes_max, staged, &self.recorder)
            }
            Runners::Set(set) => {
                staged.reset(batch.jobs, WORKERS_MAX);
                batch.place = set.place(batch.place);
                let alone = match batch.place {
                    Place::Main => true,
                    Place::Workers => false,
                    Place::Anywhere => (batch.main_only || batch.jobs <= 1) && !set.must_share(batch),
                };
                if alone {
                    let record_bytes_max = set.record_bytes_max();
                    return run_all(self.runner.as_ref(), batch, record_bytes_max, staged, &self.recorder);
                }
                set.run(batch, staged)
            }
        }
    }

    /// Whether main would run a batch alone, all of it: then it may do so without a program. `is_small`: it is not worth
    /// sharing.
    pub(crate) fn alone(&self, is_small: bool, place: Place) -> Option<RunOnMain> {
        match &self.hands {
            Runners::Local => Some(RunOnMain::new(self.record_bytes_max)),
            Runners::Set(set) => {
                let place = set.place(place);
                let alone = place == Place::Main || (place == Place::Anywhere && is_small && !set.must_share_untimed());
                alone.then(|| RunOnMain::new(set.record_bytes_max()))
            }
            Runners::Closed => None,
        }
    }

    /// Workers that it has beside main.
    pub(crate) fn workers(&self) -> u64 {
        match &self.hands {
            Runners::Set(set) => set.count(),
            Runners::Local | Runners::Closed => 0,
        }
    }

    /// Whether there are workers beside main.
    pub(crate) fn has_workers(&self) -> bool {
        matches!(self.hands, Runners::Set(_))
    }

    /// No further batch is near: the workers may sleep.
    pub(crate) fn end_frame(&mut self) {
        if let Runners::Set(set) = &mut self.hands {
            set.end_frame();
        }
    }

    /// Ends every worker. A later `run` is a clear error.
    pub(crate) fn close(&mut self) {
        self.hands = Runners::Closed;
    }

    /// What the embedder's threads are to run, once; none for other pools.
    pub(crate) fn take_hosted(&mut self) -> Vec<HostedWorker> {
        match &mut self.hands {
            Runners::Set(set) => set.take_hosted(),
            Runners::Local | Runners::Closed => Vec::new(),
        }
    }

    /// How each worker is doing; none for a pool without.
    pub(crate) fn status(&self) -> Vec<WorkerStatus> {
        let mut status = Vec::new();
        self.status_into(&mut status);
        status
    }

    /// Fills `out` with how each worker is doing. Without an allocation where `out` has room.
    pub(crate) fn status_into(&self, out: &mut Vec<WorkerStatus>) {
        out.clear();
        if let Runners::Set(set) = &self.hands {
            set.status(out);
        }
    }
}

/// What the system lacks of the sandbox that is wanted.
fn lacks(config: &PoolConfig) -> Result<Vec<String>, PoolError> {
    if config.sandbox == Sandbox::Off {
        return Ok(Vec::new());
    }
    let Workers::Processes(_) = config.workers else {
        return Err(PoolError::NothingToShutIn { workers: config.workers });
    };
    let lacks = Sandbox::lacks();
    if lacks.is_empty() {
        return Ok(lacks);
    }
    if config.sandbox == Sandbox::Required {
        return Err(PoolError::SandboxLacks { lacks });
    }
    tracing::warn!(lacks = lacks.join(" and "), "the workers' sandbox is not whole");
    Ok(lacks)
}

fn hands(
    config: &PoolConfig,
    runner: &Arc<dyn Runner>,
    region: Option<&RegionForWorkers>,
    registrations: &str,
) -> Result<(Runners, Workers, Option<String>), PoolError> {
    let start = |kind, count| {
        if !(1..=WORKERS_MAX).contains(&count) {
            return Err(PoolError::Count { workers: config.workers, max: WORKERS_MAX });
        }
        let set = WorkerSet::start(config, kind, count, runner.clone(), region, registrations)?;
        Ok(Runners::Set(Box::new(set)))
    };
    match config.workers {
        Workers::Local => Ok((Runners::Local, Workers::Local, None)),
        Workers::Hosted(count) => Ok((start(WorkerKind::Thread, count)?, config.workers, None)),
        Workers::Auto if cfg!(target_family = "wasm") => {
            let why = "threads are the host's to bring on this platform";
            Ok((Runners::Local, Workers::Local, Some(why.to_owned())))
        }
        Workers::Threads(_) if cfg!(target_family = "wasm") => Err(PoolError::Unsupported { workers: config.workers }),
        Workers::Threads(count) => Ok((start(WorkerKind::Thread, count)?, config.workers, None)),
        Workers::Processes(_) if !cfg!(unix) => Err(PoolError::Unsupported { workers: config.workers }),
        #[cfg(unix)]
        Workers::Processes(_) if std::env::var_os(crate::worker::serve::process::VARIABLE).is_some() => {
            Err(PoolError::InsideWorker)
        }
        #[cfg(feature = "fault-injection")]
        Workers::Simulated(count) => Ok((start(WorkerKind::Process, count)?, config.workers, None)),
        Workers::Processes(count) => {
            if region.is_none() {
                return Err(PoolError::PrivateRegion);
            }
            Ok((start(WorkerKind::Process, count)?, config.workers, None))
        }
        Workers::Auto => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let count = (cores - 1).min(WORKERS_MAX);
            if count == 0 {
                return Ok((Runners::Local, Workers::Local, Some("there is one core".to_owned())));
            }
            match start(WorkerKind::Thread, count) {
                Ok(hands) => Ok((hands, Workers::Threads(count), None)),
                Err(error) => {
                    tracing::warn!(%error, "no worker threads can be had: main works alone");
                    Ok((Runners::Local, Workers::Local, Some(error.to_string())))
                }
            }
        }
    }
}
