//! What the jobs of a batch left behind: records whose job's end was published, in job order for any workers.
//!
//! Each runner's records lie one job after the other in an arena of that runner; a table leads from job to arena.
//! Reused from batch to batch: nothing is allocated once the arenas have grown.
#![forbid(unsafe_code)]

/// Where a job's records are, and how the job went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobRun {
    pub(in crate::worker) arena: u8,
    pub(in crate::worker) start: usize,
    pub(in crate::worker) bytes: usize,
    /// Records the job left.
    pub records: u32,
    /// Entities the job spawned.
    pub spawned: u32,
    /// How many workers died with the job before it went through.
    pub attempt: u8,
    /// How long the kernel ran, nanoseconds; 0 where there is no clock.
    pub elapsed_ns: u64,
}

impl JobRun {
    #[cfg(test)]
    /// The worker that ran the job; none: main.
    pub(crate) fn worker(&self) -> Option<usize> {
        usize::from(self.arena).checked_sub(1)
    }
}

/// The committed records of each job of the last batch.
#[derive(Default)]
pub(crate) struct Staged {
    /// 0: main's; w + 1: worker w's.
    arenas: Vec<Vec<u8>>,
    jobs: Vec<JobRun>,
    /// What main's job has written and not yet added to its arena.
    scratch: Vec<u8>,
}

impl Staged {
    /// Empty; grows with use.
    pub(crate) fn new() -> Staged {
        Staged::default()
    }

    #[cfg(test)]
    /// Number of jobs of the last batch.
    pub(crate) fn jobs(&self) -> u32 {
        self.jobs.len() as u32
    }

    /// A job's records, without its begin and end; empty for a job that left none.
    ///
    /// # Panics
    /// For a job that the last batch did not have.
    pub(crate) fn records(&self, job: u32) -> &[u8] {
        let run = &self.jobs[job as usize];
        self.arenas.get(usize::from(run.arena)).map_or(&[], |arena| &arena[run.start..run.start + run.bytes])
    }

    /// How a job went.
    ///
    /// # Panics
    /// For a job that the last batch did not have.
    pub(crate) fn run(&self, job: u32) -> &JobRun {
        &self.jobs[job as usize]
    }

    /// Forgets all records, keeps all memory.
    pub(in crate::worker) fn reset(&mut self, jobs: u32, workers: usize) {
        self.jobs.clear();
        self.jobs.resize(jobs as usize, JobRun::default());
        self.arenas.iter_mut().for_each(Vec::clear);
        if self.arenas.len() < workers + 1 {
            self.arenas.resize_with(workers + 1, Vec::new);
        }
    }

    /// The buffer of main (`None`) or of a worker.
    pub(in crate::worker) fn arena(&mut self, worker: Option<usize>) -> &mut Vec<u8> {
        &mut self.arenas[worker.map_or(0, |worker| worker + 1)]
    }

    /// Main's buffer, and the one for the job that it runs.
    pub(in crate::worker) fn main_arena(&mut self) -> (&mut Vec<u8>, &mut Vec<u8>) {
        (&mut self.arenas[0], &mut self.scratch)
    }

    /// Notes that a job's records are `start..end` of this arena.
    pub(in crate::worker) fn note(&mut self, job: u32, worker: Option<usize>, start: usize, end: usize, run: JobRun) {
        let arena = worker.map_or(0, |worker| worker as u8 + 1);
        debug_assert!(start <= end && end <= self.arenas[usize::from(arena)].len());
        self.jobs[job as usize] = JobRun { arena, start, bytes: end - start, ..run };
    }
}
