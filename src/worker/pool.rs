//! The pool as the schedule sees it: start, run a batch, end of frame, close.
//!
//! Invariant: the records that `run` stages are the same whoever ran the jobs; after a failure the next `run` works.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::limits::WORKERS_MAX;
use crate::patch::{PatchWriter, Ring};
use crate::trace::Recorder;

use super::collect::own_job;
use super::crew::Crew;
use super::error::{JobFailure, PoolError};
use super::job::{self, Fault};
use super::staged::JobRun;
use super::{
    Batch, BatchReport, HostedWorker, Place, PoolConfig, PoolNotice, RegionForWorkers, Runner, RunnerName, Staged,
    WorkerKind, WorkerStatus, Workers,
};

/// Who runs the jobs.
enum Hands {
    Local,
    Crew(Box<Crew>),
    Closed,
}

/// The workers of one schedule, main included.
pub(crate) struct Pool {
    hands: Hands,
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
    ) -> Result<(Pool, PoolNotice), PoolError> {
        let ring =
            |error: crate::patch::RingError| PoolError::Ring { bytes: config.ring_bytes, message: error.to_string() };
        Ring::bytes_needed(config.ring_bytes).map_err(ring)?;
        let (hands, got, fallback) = hands(config, &runner, region.as_ref(), registrations)?;
        let recorder = config.trace.as_ref().map_or_else(Recorder::off, |trace| trace.recorder(0));
        let pool = Pool { hands, runner, record_bytes_max: config.ring_bytes / 2, recorder };
        Ok((pool, PoolNotice { asked: config.workers, got, fallback }))
    }

    /// Runs all jobs of a batch and stages their records. When it returns, no job is running.
    ///
    /// # Errors
    /// The first failure: of several jobs that failed, the lowest that was run. Then nothing that is staged counts.
    pub(crate) fn run(&mut self, batch: &mut Batch<'_>, staged: &mut Staged) -> Result<BatchReport, JobFailure> {
        match &mut self.hands {
            Hands::Closed => Err(JobFailure::Closed),
            Hands::Local => {
                staged.reset(batch.jobs, 0);
                run_all(self.runner.as_ref(), batch, self.record_bytes_max, staged, &self.recorder)
            }
            Hands::Crew(crew) => {
                staged.reset(batch.jobs, WORKERS_MAX);
                let alone = match batch.place {
                    Place::Main => true,
                    Place::Workers => false,
                    Place::Anywhere => (batch.main_only || batch.jobs <= 1) && !crew.must_share(batch),
                };
                if alone {
                    let record_bytes_max = crew.record_bytes_max();
                    return run_all(self.runner.as_ref(), batch, record_bytes_max, staged, &self.recorder);
                }
                crew.run(batch, staged)
            }
        }
    }

    /// No further batch is near: the workers may sleep.
    pub(crate) fn end_frame(&mut self) {
        if let Hands::Crew(crew) = &mut self.hands {
            crew.end_frame();
        }
    }

    /// Ends every worker. A later `run` is a clear error.
    pub(crate) fn close(&mut self) {
        self.hands = Hands::Closed;
    }

    /// What the embedder's threads are to run, once; none for other pools.
    pub(crate) fn take_hosted(&mut self) -> Vec<HostedWorker> {
        match &mut self.hands {
            Hands::Crew(crew) => crew.take_hosted(),
            Hands::Local | Hands::Closed => Vec::new(),
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
        if let Hands::Crew(crew) = &self.hands {
            crew.status(out);
        }
    }
}

fn hands(
    config: &PoolConfig,
    runner: &Arc<dyn Runner>,
    region: Option<&RegionForWorkers>,
    registrations: &str,
) -> Result<(Hands, Workers, Option<String>), PoolError> {
    let crew = |kind, count| {
        if !(1..=WORKERS_MAX).contains(&count) {
            return Err(PoolError::Count { workers: config.workers, max: WORKERS_MAX });
        }
        let crew = Crew::start(config, kind, count, runner.clone(), region, registrations)?;
        Ok(Hands::Crew(Box::new(crew)))
    };
    match config.workers {
        Workers::Local => Ok((Hands::Local, Workers::Local, None)),
        Workers::Hosted(count) => Ok((crew(WorkerKind::Thread, count)?, config.workers, None)),
        Workers::Auto if cfg!(target_family = "wasm") => {
            let why = "threads are the host's to bring on this platform";
            Ok((Hands::Local, Workers::Local, Some(why.to_owned())))
        }
        Workers::Threads(_) if cfg!(target_family = "wasm") => Err(PoolError::Unsupported { workers: config.workers }),
        Workers::Threads(count) => Ok((crew(WorkerKind::Thread, count)?, config.workers, None)),
        Workers::Processes(_) if !cfg!(unix) => Err(PoolError::Unsupported { workers: config.workers }),
        #[cfg(unix)]
        Workers::Processes(_) if std::env::var_os(super::process::VARIABLE).is_some() => Err(PoolError::InsideWorker),
        Workers::Processes(count) => {
            if region.is_none() {
                return Err(PoolError::PrivateRegion);
            }
            Ok((crew(WorkerKind::Process, count)?, config.workers, None))
        }
        Workers::Auto => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let count = (cores - 1).min(WORKERS_MAX);
            if count == 0 {
                return Ok((Hands::Local, Workers::Local, Some("there is one core".to_owned())));
            }
            match crew(WorkerKind::Thread, count) {
                Ok(hands) => Ok((hands, Workers::Threads(count), None)),
                Err(error) => {
                    tracing::warn!(%error, "no worker threads can be had: main works alone");
                    Ok((Hands::Local, Workers::Local, Some(error.to_string())))
                }
            }
        }
    }
}

/// Runs all jobs on main, in order.
fn run_all(
    runner: &dyn Runner,
    batch: &Batch<'_>,
    record_bytes_max: usize,
    staged: &mut Staged,
    recorder: &Recorder,
) -> Result<BatchReport, JobFailure> {
    for job in 0..batch.jobs {
        run_on_main(runner, batch, job, record_bytes_max, staged, recorder)?;
    }
    Ok(BatchReport { jobs_on_main: batch.jobs, ..BatchReport::default() })
}

/// Runs one job on main and stages its records.
pub(super) fn run_on_main(
    runner: &dyn Runner,
    batch: &Batch<'_>,
    number: u32,
    record_bytes_max: usize,
    staged: &mut Staged,
    recorder: &Recorder,
) -> Result<(), JobFailure> {
    let (arena, out) = staged.main_arena();
    let start = arena.len();
    out.clear();
    // As a worker sends: a writer that may spill cuts its records elsewhere than one that may not, and the staged bytes
    // are to be the same whoever ran the job.
    let mut spill = |records: &mut Vec<u8>| {
        arena.append(records);
        Ok(())
    };
    let mut writer = PatchWriter::new(out, record_bytes_max, Some(&mut spill));
    let ran = job::run(runner, batch.program, (number, 0), &mut writer, None, recorder);
    drop(writer);
    arena.append(out);
    let runner = RunnerName::Main;
    if let Some(fault) = ran.fault {
        arena.truncate(start);
        return Err(of_fault(fault, number, runner));
    }
    let Some((body, records, spawned)) = own_job(&arena[start..]) else {
        let message = "a job without begin and end".to_owned();
        return Err(JobFailure::Protocol { job: number, runner, message });
    };
    let run = JobRun { records, spawned, elapsed_ns: ran.elapsed_ns, ..JobRun::default() };
    staged.note(number, None, start + body.start, start + body.end, run);
    match (batch.deadline)(number) {
        Some(deadline) if u128::from(ran.elapsed_ns) > deadline.as_nanos() => {
            Err(JobFailure::Deadline { job: number, deadline, tries: 1, runner })
        }
        _ => Ok(()),
    }
}

/// A kernel's fault as the batch's failure.
pub(super) fn of_fault(fault: Fault, job: u32, runner: RunnerName) -> JobFailure {
    match fault {
        Fault::Error(message) => JobFailure::Error { job, runner, message },
        Fault::Panic(message) => JobFailure::Panic { job, runner, message },
    }
}
