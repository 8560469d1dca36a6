//! A runner for tests: its records depend on program and job alone, it fails where it is told to, and it writes in
//! place where there is data.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::super::*;
use crate::patch::PatchWriter;
use crate::trace::JobTrace;
use crate::worker::shared::memory::{Memory, Plan};

pub(super) const PLAIN: u64 = 0;
pub(super) const ERROR: u64 = 1;
pub(super) const PANIC: u64 = 2;
pub(super) const SLEEP: u64 = 3;
pub(super) const DIE: u64 = 4;
pub(super) const HUGE: u64 = 5;
pub(super) const BAD_UNDO: u64 = 6;
/// The job stops for good, if a thread of this name runs it.
pub(super) const STOP: u64 = 7;
pub(super) const STOPPING_THREAD: &str = "stops";

/// Data words that each job increments.
pub(super) const JOB_WORDS: usize = 64;

/// What a batch of the test runner does, as its program.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub kind: u64,
    pub job: u64,
    pub micros: u64,
    /// Makes batches differ.
    pub salt: u64,
    /// Values that each job sets.
    pub words: u64,
    /// Words that only make the program longer.
    pub filler: usize,
}

impl Order {
    pub(super) fn plain(salt: u64) -> Order {
        Order { kind: PLAIN, job: u64::MAX, micros: 0, salt, words: 20, filler: 3 }
    }

    pub(super) fn error(job: u64) -> Order {
        Order { kind: ERROR, job, ..Order::plain(job) }
    }

    pub(super) fn panic(job: u64) -> Order {
        Order { kind: PANIC, job, ..Order::plain(job) }
    }

    /// One job sleeps, or (`u32::MAX`) all do.
    pub(super) fn sleep(job: u32, micros: u64) -> Order {
        Order { kind: SLEEP, job: u64::from(job), micros, ..Order::plain(0) }
    }

    pub(super) fn program(&self) -> Vec<u64> {
        let mut program = vec![self.kind, self.job, self.micros, self.salt, self.words];
        program.extend((0..self.filler as u64).map(|at| at ^ self.salt));
        program
    }
}

pub(super) struct TestRunner {
    pub data: Option<Memory>,
    pub running: Arc<AtomicU32>,
}

struct Count<'a>(&'a AtomicU32);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Runner for TestRunner {
    fn run_job(
        &self,
        program: &[u64],
        job: u32,
        out: &mut PatchWriter<'_>,
        undo: Option<&mut Undo<'_>>,
        _trace: &mut JobTrace<'_>,
    ) -> Result<(), String> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let _count = Count(&self.running);
        let [kind, target, micros, salt, words, filler @ ..] = program else {
            return Err("a short program".to_owned());
        };
        if !filler.iter().enumerate().all(|(at, &word)| word == at as u64 ^ salt) {
            return Err("a damaged program".to_owned());
        }
        let hit = u64::from(job) == *target || *target == u64::from(u32::MAX);
        let mut state = salt.wrapping_mul(31).wrapping_add(u64::from(job)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        #[cfg(unix)]
        let in_worker = undo.is_some();
        let mut work = |out: &mut PatchWriter<'_>, words: u64| {
            for at in 0..words {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let value = state.to_le_bytes();
                if at % 7 == 3 {
                    out.spawn(&[1, 2], 8, |bytes| bytes.copy_from_slice(&value));
                } else {
                    out.row(crate::patch::Op::Set, (state % 3) as u16, 0, at as u32, 8, |bytes| {
                        bytes.copy_from_slice(&value)
                    });
                }
            }
        };
        work(out, words / 2);
        self.write_in_place(job, undo, *kind == BAD_UNDO && hit)?;
        work(out, words - words / 2);
        match *kind {
            ERROR if hit => return Err(format!("job {job} will not")),
            PANIC if hit => panic!("job {job} panics"),
            SLEEP if hit => std::thread::sleep(Duration::from_micros(*micros)),
            STOP if std::thread::current().name() == Some(STOPPING_THREAD) => {
                // added, not stored: main counts its own jobs meanwhile
                self.running.fetch_add(1000, Ordering::SeqCst);
                loop {
                    std::thread::park();
                }
            }
            HUGE => out.row(crate::patch::Op::Set, 0, 0, 0, 4096, |bytes| bytes.fill(1)),
            #[cfg(unix)]
            DIE | BAD_UNDO if hit && in_worker => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                std::thread::sleep(Duration::from_secs(100));
            }
            DIE if hit => return Err("a job that kills ran in main".to_owned()),
            _ => {}
        }
        Ok(())
    }
}

impl TestRunner {
    /// Adds one to each of the job's words: what must happen exactly once.
    fn write_in_place(&self, job: u32, undo: Option<&mut Undo<'_>>, bad: bool) -> Result<(), String> {
        let Some(data) = &self.data else { return Ok(()) };
        let first = job as usize * JOB_WORDS;
        let words = data.words().get(first..first + JOB_WORDS).ok_or("a job beyond the data")?;
        if let Some(undo) = undo {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
            let at = first as u64 * 8;
            let (one, two) = bytes.split_at(bytes.len() / 2);
            let offset = if bad { at.wrapping_sub(8) } else { at };
            if !undo.save(offset, one) || !undo.save(at + one.len() as u64, two) {
                return Err("the undo area is full".to_owned());
            }
        }
        for word in words {
            word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A pool and what its batches are given.
pub(super) struct Setting {
    pub config: PoolConfig,
    pub region: Option<RegionForWorkers>,
    pub registrations: String,
    pub deadline: Option<Duration>,
    pub main_only: bool,
    pub place: Place,
    /// The data as main maps it, to check and to restore.
    pub data: Option<Memory>,
    /// The same data as the runner maps it.
    pub runner_data: Option<Memory>,
    pub running: Arc<AtomicU32>,
    /// Brings threads where they are the embedder's to bring.
    pub brings_threads: bool,
    pub threads: Mutex<Vec<std::thread::JoinHandle<Result<(), WorkerError>>>>,
}

/// Threads end after the pool, which is made after its setting.
impl Drop for Setting {
    fn drop(&mut self) {
        for thread in self.threads.get_mut().drain(..) {
            if !std::thread::panicking() {
                thread.join().unwrap().unwrap();
            }
        }
    }
}

pub(super) fn data_plan(jobs: u32) -> Plan {
    Plan { futexes: 0, words: jobs as usize * JOB_WORDS, tail_bytes: 0 }
}

impl Setting {
    pub(super) fn of(workers: Workers) -> Setting {
        Setting {
            config: PoolConfig { workers, ..PoolConfig::default() },
            region: None,
            registrations: "system a\nsystem b".to_owned(),
            deadline: None,
            main_only: false,
            place: Place::Anywhere,
            data: None,
            runner_data: None,
            running: Arc::default(),
            brings_threads: true,
            threads: Mutex::default(),
        }
    }

    pub(super) fn start(&mut self) -> (Pool, PoolInfo) {
        pool(self).unwrap()
    }

    pub(super) fn running(&self) -> u32 {
        self.running.load(Ordering::SeqCst)
    }

    pub(super) fn run(
        &self,
        pool: &mut Pool,
        order: &Order,
        jobs: u32,
        staged: &mut Staged,
    ) -> Result<BatchReport, JobFailure> {
        let program = order.program();
        let mut restore = |offset: u64, bytes: &[u8]| {
            let data = self.data.as_ref().expect("only jobs with data save");
            for (at, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
                data.words()[offset as usize / 8 + at].store(u64::from_le_bytes(*eight), Ordering::Relaxed);
            }
        };
        let mut batch = Batch {
            program: &program,
            jobs,
            main_only: self.main_only,
            place: self.place,
            deadline: &|_| self.deadline,
            undo_allowed: &|job, offset, bytes| {
                let own = u64::from(job) * JOB_WORDS as u64 * 8;
                offset >= own && offset.checked_add(bytes).is_some_and(|end| end <= own + JOB_WORDS as u64 * 8)
            },
            restore: &mut restore,
            beside: None,
        };
        pool.run(&mut batch, staged)
    }
}

pub(super) fn pool(setting: &Setting) -> Result<(Pool, PoolInfo), PoolError> {
    #[cfg(unix)]
    let open = |data: &Memory| Memory::open(data.id()?, Plan { futexes: 0, words: usize::MAX, tail_bytes: 0 }).ok();
    #[cfg(not(unix))]
    let open = |_: &Memory| None::<Memory>;
    let data = setting.runner_data.as_ref().and_then(open);
    let runner = TestRunner { data, running: setting.running.clone() };
    let (mut pool, notice) =
        Pool::start(&setting.config, Arc::new(runner), setting.region.clone(), &setting.registrations)?;
    if setting.brings_threads {
        let threads = pool.take_hosted().into_iter().map(|worker| std::thread::spawn(|| worker.run()));
        setting.threads.lock().extend(threads);
    }
    Ok((pool, notice))
}

/// Each job's records.
pub(super) fn all(staged: &Staged) -> Vec<Vec<u8>> {
    (0..staged.jobs()).map(|job| staged.records(job).to_vec()).collect()
}

/// What a new pool makes of one batch.
pub(super) fn records(workers: Workers, order: &Order, jobs: u32) -> Vec<Vec<u8>> {
    let mut setting = Setting::of(workers);
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let report = setting.run(&mut pool, order, jobs, &mut staged).unwrap();
    assert_eq!(report.jobs_on_main + report.jobs_on_workers, jobs);
    all(&staged)
}
