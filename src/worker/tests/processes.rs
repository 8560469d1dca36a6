//! Pools of worker processes: this test binary, started again to run [`process_child`] alone.
#![expect(clippy::print_stdout, reason = "a main process under test tells its workers' pids")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::common::{BAD_UNDO, DIE, JOB_WORDS, Order, Setting, TestRunner, all, data_plan, pool, records};
use crate::worker::shared::memory::{Memory, Plan};
use crate::worker::*;

/// What the worker processes of all these tests run. In any other process it does nothing.
#[test]
fn process_child() {
    let make = |start: &WorkerStart| {
        let path = start.region_path.clone().unwrap_or_default();
        let (id, options) = path.split_once('|').unwrap();
        assert_eq!(start.layout_hash, 99);
        let plan = Plan { futexes: 0, words: usize::MAX, tail_bytes: 0 };
        let data = Memory::open(id, plan).map_err(|error| WorkerError::Setup(error.to_string()))?;
        if options == "unwilling" {
            return Err(WorkerError::Setup("it does not want to".to_owned()));
        }
        if let Some(micros) = options.strip_prefix("killed=") {
            let micros: u64 = micros.parse().unwrap();
            let random = std::process::id().wrapping_mul(0x9E37_79B9) as u64;
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(1000 + random % micros));
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            });
        }
        let registrations =
            if options == "other" { "system a\nsystem c".to_owned() } else { start.registrations.clone() };
        let runner = Arc::new(TestRunner { data: Some(data), running: Arc::default() });
        Ok(Served { runner, registrations, recorder: crate::trace::Recorder::off() })
    };
    match serve_with(make) {
        Ok(_) => {}
        Err(WorkerError::RegistrationsDiffer { .. } | WorkerError::Setup(_)) => std::process::exit(3),
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn command(fault: Option<&str>) -> WorkerCommand {
    let own = std::env::current_exe().unwrap();
    let mut args: Vec<String> =
        ["--exact", "worker::tests::processes::process_child", "-q"].map(str::to_owned).to_vec();
    match fault {
        None => WorkerCommand { program: own, args },
        Some(fault) => {
            // `env` becomes what it starts: the worker is main's child all the same.
            args.splice(0..0, [format!("HYPOSTYLE_FAULT={fault}"), own.to_str().unwrap().to_owned()]);
            WorkerCommand { program: "/usr/bin/env".into(), args }
        }
    }
}

/// A pool of processes with data for this many jobs.
pub(super) fn setting(workers: usize, jobs: u32, options: &str) -> Setting {
    let mut setting = Setting::of(Workers::Processes(workers));
    let data = Memory::create(data_plan(jobs)).unwrap();
    let id = data.id().unwrap().to_owned();
    setting.region = Some(RegionForWorkers { path: format!("{id}|{options}"), layout_hash: 99, workers_lock: None });
    setting.runner_data = Some(Memory::open(&id, data_plan(jobs)).unwrap());
    setting.data = Some(data);
    setting.config.command = Some(command(None));
    setting
}

/// Asserts that each job wrote its rows in place exactly this often.
pub(super) fn assert_written(setting: &Setting, jobs: u32, times: u64) {
    let words = setting.data.as_ref().unwrap().words();
    for (at, word) in words[..jobs as usize * JOB_WORDS].iter().enumerate() {
        assert_eq!(word.load(Ordering::Relaxed), times, "word {at} of job {}", at / JOB_WORDS);
    }
}

#[test]
fn processes_stage_the_same_records_as_main_alone() {
    let mut setting = setting(2, 50, "");
    let (mut pool, notice) = setting.start();
    assert_eq!(notice.actual, Workers::Processes(2));
    let mut staged = Staged::new();
    let mut on_workers = 0;
    for round in 0..20 {
        // Jobs long enough for the workers to get some.
        let order = Order { micros: 200, kind: super::common::SLEEP, job: u64::from(u32::MAX), ..Order::plain(round) };
        on_workers += setting.run(&mut pool, &order, 50, &mut staged).unwrap().jobs_on_workers;
        assert_eq!(all(&staged), records(Workers::Local, &order, 50));
        assert_written(&setting, 50, round + 1);
    }
    assert!(on_workers > 0);
    assert!(pool.status().iter().all(|worker| worker.alive && worker.pid.is_some() && worker.deaths == 0));
}

#[test]
fn small_rings_and_large_programs_work_across_processes() {
    let mut setting = setting(2, 8, "");
    setting.config.ring_bytes = 1024;
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let mut local = Setting::of(Workers::Local);
    local.config.ring_bytes = 1024;
    let (mut alone, _) = local.start();
    let mut expected = Staged::new();
    for round in 0..6 {
        let order = Order { words: 20_000, filler: 3000 << round, ..Order::plain(round) };
        setting.run(&mut pool, &order, 8, &mut staged).unwrap();
        local.run(&mut alone, &order, 8, &mut expected).unwrap();
        assert!(all(&staged) == all(&expected), "round {round}");
    }
}

#[test]
fn errors_and_panics_in_processes_fail_the_batch_and_kill_nobody() {
    let mut setting = setting(2, 30, "");
    // Main keeps out of jobs with a deadline: the workers get them all.
    setting.deadline = Some(Duration::from_secs(100));
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    for _ in 0..5 {
        let failure = setting.run(&mut pool, &Order::error(3), 30, &mut staged).unwrap_err();
        let JobFailure::Error { job: 3, runner: RunnerName::Process { .. }, message } = failure else {
            panic!("{failure:?}")
        };
        assert_eq!(message, "job 3 will not");
        let failure = setting.run(&mut pool, &Order::panic(7), 30, &mut staged).unwrap_err();
        assert!(
            matches!(&failure, JobFailure::Panic { job: 7, message, .. } if message.contains("common.rs")),
            "{failure:?}"
        );
        let report = setting.run(&mut pool, &Order::plain(1), 30, &mut staged).unwrap();
        assert_eq!((report.jobs_on_main, report.jobs_on_workers, report.deaths), (0, 30, 0));
    }
}

#[test]
fn a_job_that_kills_its_workers_fails_and_never_runs_in_main() {
    let mut setting = setting(2, 10, "");
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    setting.deadline = Some(Duration::from_secs(100));
    for round in 0..3 {
        let failure =
            setting.run(&mut pool, &Order { kind: DIE, job: 4, ..Order::plain(0) }, 10, &mut staged).unwrap_err();
        let JobFailure::KilledWorkers { job: 4, deaths: 3, status, .. } = &failure else { panic!("{failure:?}") };
        assert!(status.contains('9'), "{status}");
        assert_eq!(pool.status().iter().map(|worker| worker.deaths).sum::<u64>(), 3 * (round + 1));
        setting.run(&mut pool, &Order::plain(round), 10, &mut staged).unwrap();
        assert_eq!(all(&staged), records(Workers::Local, &Order::plain(round), 10));
    }
}

#[test]
fn kill_9_at_random_instants_changes_no_byte() {
    let jobs = 200;
    let mut setting = setting(3, jobs, "killed=20000");
    setting.config.deaths_per_job_max = 60;
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let (mut rounds, mut deaths, mut undone, mut retries) = (0, 0, 0, 0);
    while (deaths < 60 || undone == 0) && rounds < 2000 {
        let order = Order { words: 3000, ..Order::plain(rounds) };
        let report = setting.run(&mut pool, &order, jobs, &mut staged).unwrap();
        rounds += 1;
        deaths += report.deaths;
        undone += report.undone;
        retries += report.retries;
        if rounds % 8 == 1 {
            assert!(all(&staged) == records(Workers::Local, &order, jobs), "round {rounds}");
        }
        assert_written(&setting, jobs, rounds);
    }
    println!("{rounds} rounds of {jobs} jobs, {deaths} deaths, {retries} retries, {undone} undone");
    assert!(deaths >= 60 && undone > 0);
}

#[test]
fn workers_killed_between_batches_are_replaced() {
    let mut setting = setting(2, 20, "");
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    for round in 0..5 {
        for worker in pool.status() {
            let Some(pid) = worker.pid.and_then(|pid| rustix::process::Pid::from_raw(pid as i32)) else { continue };
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        setting.run(&mut pool, &Order::plain(round), 20, &mut staged).unwrap();
        assert_eq!(all(&staged), records(Workers::Local, &Order::plain(round), 20));
        assert_written(&setting, 20, round + 1);
        let begun = Instant::now();
        while !pool.status().iter().all(|worker| worker.alive && worker.deaths == round + 1) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", pool.status());
            pool.end_frame();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_job_that_hangs_past_its_deadline_is_killed_and_fails() {
    let mut setting = setting(2, 10, "");
    setting.deadline = Some(Duration::from_millis(400));
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let failure = setting.run(&mut pool, &Order::sleep(6, 1_000_000_000), 10, &mut staged).unwrap_err();
    assert!(matches!(failure, JobFailure::Deadline { job: 6, tries: 3, .. }), "{failure:?}");
    setting.deadline = Some(Duration::from_secs(100));
    setting.run(&mut pool, &Order::plain(1), 10, &mut staged).unwrap();
}

#[test]
fn undo_bytes_outside_of_the_job_are_not_restored() {
    let mut setting = setting(1, 10, "");
    setting.deadline = Some(Duration::from_secs(100));
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let failure =
        setting.run(&mut pool, &Order { kind: BAD_UNDO, job: 4, ..Order::plain(0) }, 10, &mut staged).unwrap_err();
    assert!(matches!(failure, JobFailure::Undo { job: 4, .. }), "{failure:?}");
    let words = setting.data.as_ref().unwrap().words();
    assert!(words[3 * JOB_WORDS..4 * JOB_WORDS].iter().all(|word| word.load(Ordering::Relaxed) <= 1));
    setting.run(&mut pool, &Order::plain(0), 10, &mut staged).unwrap();
}

#[test]
fn workers_that_cannot_come_back_are_given_up_and_main_goes_on_alone() {
    let mut setting = setting(2, 20, "");
    setting.config.respawn_failures_max = 3;
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    setting.run(&mut pool, &Order::plain(1), 20, &mut staged).unwrap();
    // Unlinks the data: no further process can open it.
    setting.data = None;
    for worker in pool.status() {
        let pid = rustix::process::Pid::from_raw(worker.pid.unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    setting.deadline = Some(Duration::from_secs(100));
    for round in 0..3 {
        let report = setting.run(&mut pool, &Order::plain(round), 20, &mut staged).unwrap();
        assert_eq!((report.jobs_on_main, report.jobs_on_workers), (20, 0));
        assert_eq!(all(&staged), records(Workers::Local, &Order::plain(round), 20));
    }
    // the first, if it had done a job, and the three
    let given_up = |worker: &WorkerStatus| worker.given_up && !worker.alive && (3..=4).contains(&worker.deaths);
    assert!(pool.status().iter().all(given_up), "{:?}", pool.status());
}

#[test]
fn a_job_that_killed_the_last_worker_fails_rather_than_run_in_main() {
    let mut setting = setting(1, 20, "");
    setting.config.respawn_failures_max = 3;
    setting.deadline = Some(Duration::from_secs(100));
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let keep = setting.data.take().unwrap();
    let id = keep.id().unwrap().to_owned();
    setting.data = Some(Memory::open(&id, data_plan(20)).unwrap());
    drop(keep);
    let failure = setting.run(&mut pool, &Order { kind: DIE, job: 4, ..Order::plain(0) }, 20, &mut staged).unwrap_err();
    assert!(matches!(&failure, JobFailure::NoWorkers { job: 4, .. }), "{failure:?}");
    setting.run(&mut pool, &Order::plain(0), 20, &mut staged).unwrap();
}

#[test]
fn other_registrations_are_refused_with_both_lines() {
    let setting = setting(2, 1, "other");
    let error = pool(&setting).err().unwrap();
    let PoolError::RegistrationsDiffer { line: 2, main, worker, .. } = &error else { panic!("{error}") };
    assert_eq!((main.as_str(), worker.as_str()), ("system b", "system c"));
}

#[test]
fn a_worker_that_cannot_be_set_up_says_why() {
    let error = pool(&setting(1, 1, "unwilling")).err().unwrap();
    assert!(matches!(&error, PoolError::Refused { message, .. } if message.contains("does not want to")), "{error}");
}

#[test]
fn a_worker_that_is_killed_at_every_start_is_given_up() {
    let mut setting = setting(2, 1, "");
    setting.config.respawn_failures_max = 3;
    let args = vec!["-c".to_owned(), "kill -9 $$".to_owned()];
    setting.config.command = Some(WorkerCommand { program: "/bin/sh".into(), args });
    let error = pool(&setting).err().unwrap();
    let PoolError::Died { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("3 times") && reason.contains('9'), "{reason}");
    assert!(!error.to_string().contains("serve"), "that is not the cause: {error}");
}

#[test]
fn a_program_that_does_not_serve_is_named() {
    let mut setting = setting(1, 1, "");
    setting.config.command = Some(WorkerCommand { program: "/bin/true".into(), args: Vec::new() });
    let error = pool(&setting).err().unwrap();
    assert!(matches!(&error, PoolError::Exited { program, .. } if program == "/bin/true"), "{error}");
    setting.config.command = Some(WorkerCommand { program: "/bin/sleep".into(), args: vec!["1000".to_owned()] });
    setting.config.startup_timeout = Duration::from_millis(100);
    let error = pool(&setting).err().unwrap();
    assert!(matches!(&error, PoolError::Timeout { .. }), "{error}");
    setting.config.command = Some(WorkerCommand { program: "/no/such/program".into(), args: Vec::new() });
    let error = pool(&setting).err().unwrap();
    assert!(matches!(&error, PoolError::Spawn { .. }), "{error}");
}

#[test]
fn closing_ends_all_workers() {
    let mut setting = setting(3, 10, "");
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    setting.run(&mut pool, &Order::plain(0), 10, &mut staged).unwrap();
    let pids: Vec<_> = pool.status().iter().filter_map(|worker| worker.pid).collect();
    assert_eq!(pids.len(), 3);
    pool.close();
    assert!(pids.iter().all(|&pid| !lives(pid)));
    assert_eq!(setting.run(&mut pool, &Order::plain(0), 10, &mut staged), Err(JobFailure::Closed));
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// A main process for [`workers_do_not_outlive_main`]; in any other process it does nothing.
#[test]
fn doomed_main() {
    if std::env::var_os("HYPOSTYLE_TEST_DOOMED").is_none() {
        return;
    }
    let mut setting = setting(2, 10, "");
    let (mut pool, _) = setting.start();
    let pids: Vec<_> = pool.status().iter().filter_map(|worker| worker.pid).map(|pid| pid.to_string()).collect();
    println!("\nworkers {}", pids.join(" "));
    setting.deadline = Some(Duration::from_secs(1000));
    let _ = setting.run(&mut pool, &Order::sleep(u32::MAX, 1_000_000_000), 10, &mut Staged::new());
}

#[test]
fn workers_do_not_outlive_main() {
    use std::io::BufRead;
    let mut main = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker::tests::processes::doomed_main", "--nocapture"])
        .env("HYPOSTYLE_TEST_DOOMED", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(main.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("workers ")).unwrap();
    let pids: Vec<u32> = line.split(' ').skip(1).map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.len() == 2 && pids.iter().all(|&pid| lives(pid)));
    main.kill().unwrap();
    main.wait().unwrap();
    let begun = Instant::now();
    while pids.iter().any(|&pid| lives(pid)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "a worker outlived main");
        std::thread::sleep(Duration::from_millis(5));
    }
}
