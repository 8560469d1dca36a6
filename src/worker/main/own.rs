//! Jobs that main runs itself, and their records, staged as those of a worker are.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::patch::PatchWriter;
use crate::trace::Recorder;
use crate::worker::error::JobFailure;
use crate::worker::serve::job::{self, Fault};
use crate::worker::{Batch, BatchReport, Runner, RunnerName};

use super::collect::own_job;
use super::staged::{JobRun, Staged};

/// Runs all jobs on main, in order.
pub(super) fn run_all(
    runner: &dyn Runner,
    batch: &mut Batch<'_>,
    record_bytes_max: usize,
    staged: &mut Staged,
    recorder: &Recorder,
) -> Result<BatchReport, JobFailure> {
    if let Some(beside) = batch.beside.take() {
        beside();
    }
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
    // must be the same for any worker.
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

/// Jobs that main runs without a program, one after the other: their records, of which there are hardly ever any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunOnMain {
    record_bytes_max: usize,
}

impl RunOnMain {
    pub(super) fn new(record_bytes_max: usize) -> RunOnMain {
        RunOnMain { record_bytes_max }
    }

    /// What the jobs record with.
    pub(crate) fn writer<'a>(&self, out: &'a mut Vec<u8>) -> PatchWriter<'a> {
        PatchWriter::new(out, self.record_bytes_max, None)
    }

    /// Runs a job whose first spawn has the handle `reserved`. True: it recorded something.
    ///
    /// # Errors
    /// The kernel failed, or what it recorded is no patch.
    #[inline]
    pub(crate) fn job(
        &self,
        number: u32,
        reserved: Entity,
        writer: &mut PatchWriter<'_>,
        kernel: impl FnOnce(&mut PatchWriter<'_>) -> Result<(), String>,
    ) -> Result<bool, JobFailure> {
        writer.reserve_from(reserved);
        let fault = match job::catch(|| kernel(writer)) {
            Err(message) => Fault::Panic(message),
            Ok(Err(message)) => Fault::Error(message),
            Ok(Ok(())) if writer.is_unused() => return Ok(false),
            Ok(Ok(())) => match writer.error() {
                Some(error) => Fault::Error(error.to_string()),
                None => return Ok(true),
            },
        };
        Err(of_fault(fault, number, RunnerName::Main))
    }

    /// Begins a batch of so many jobs, none of which has left anything yet.
    pub(crate) fn stage(&self, jobs: u32, staged: &mut Staged) {
        staged.reset(jobs, 0);
    }

    /// Stages what a job recorded.
    pub(crate) fn note(&self, number: u32, writer: &mut PatchWriter<'_>, staged: &mut Staged) {
        let (arena, _) = staged.main_arena();
        let start = arena.len();
        writer.take(arena);
        let end = arena.len();
        staged.note(number, None, start, end, JobRun::default());
    }
}

/// A kernel's fault as the batch's failure.
pub(super) fn of_fault(fault: Fault, job: u32, runner: RunnerName) -> JobFailure {
    match fault {
        Fault::Error(message) => JobFailure::Error { job, runner, message },
        Fault::Panic(message) => JobFailure::Panic { job, runner, message },
    }
}
