//! Deaths at each named point of the protocol.

use super::common::{Order, Setting, all, records};
use super::processes::{assert_written, command, setting};
use crate::worker::*;

const JOBS: u32 = 60;

/// Workers whose program is replaced, once `after` is there, by one that dies as `fault` says.
fn turning(setting: &mut Setting, fault: &str, after: &std::path::Path) {
    let WorkerCommand { program, args } = command(None);
    let script = format!("[ -e {} ] && export HYPOSTYLE_FAULT={fault}; exec \"$0\" \"$@\"", after.display());
    let words = ["-c".to_owned(), script, program.display().to_string()];
    // the shell becomes the program: the worker is main's child all the same
    let args = words.into_iter().chain(args).collect();
    setting.config.command = Some(WorkerCommand { program: "/bin/sh".into(), args });
}

fn kill_all(pool: &Pool) {
    for pid in pool.status().iter().filter_map(|worker| worker.pid) {
        let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

fn deaths(pool: &Pool) -> Vec<u64> {
    pool.status().iter().map(|worker| worker.deaths).collect()
}

/// A pool of two whose workers are ready and dead from now on, before they take a job. Main does not help.
fn useless(setting: &mut Setting) -> (Pool, tempfile::TempDir) {
    let turned = tempfile::tempdir().unwrap();
    setting.config.main_helps = false;
    setting.config.respawn_failures_max = 4;
    turning(setting, "ready:1", &turned.path().join("turned"));
    let (mut pool, _) = setting.start();
    setting.run(&mut pool, &Order::plain(0), JOBS, &mut Staged::new()).unwrap();
    std::fs::write(turned.path().join("turned"), "").unwrap();
    kill_all(&pool);
    (pool, turned)
}

#[test]
fn workers_that_die_before_they_take_a_job_are_given_up_and_main_does_the_jobs() {
    let mut setting = setting(2, JOBS, "");
    let (mut pool, _turned) = useless(&mut setting);
    let mut staged = Staged::new();
    let report = setting.run(&mut pool, &Order::plain(1), JOBS, &mut staged).unwrap();
    assert_eq!((report.jobs_on_main, report.jobs_on_workers), (JOBS, 0));
    assert!(all(&staged) == records(Workers::Local, &Order::plain(1), JOBS));
    assert_written(&setting, JOBS, 2);
    assert!(pool.status().iter().all(|worker| worker.given_up && !worker.alive), "{:?}", pool.status());
    // the first, which had finished jobs or was one of the four, and those after it
    let died = deaths(&pool);
    assert!(died.iter().all(|deaths| (4..=5).contains(deaths)), "{died:?}");
    for round in 2..5 {
        setting.run(&mut pool, &Order::plain(round), JOBS, &mut staged).unwrap();
        pool.end_frame();
    }
    assert_eq!(deaths(&pool), died, "nobody is started any more");
}

#[test]
fn workers_that_die_between_batches_without_having_done_a_job_are_given_up() {
    let mut setting = setting(2, JOBS, "");
    let (mut pool, _turned) = useless(&mut setting);
    let begun = std::time::Instant::now();
    while !pool.status().iter().all(|worker| worker.given_up) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", pool.status());
        pool.end_frame();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let died = deaths(&pool);
    assert!(died.iter().all(|deaths| (4..=5).contains(deaths)), "{died:?}");
}

#[test]
fn where_main_must_not_run_a_job_and_all_workers_are_given_up_it_fails() {
    let mut setting = setting(2, JOBS, "");
    let (mut pool, _turned) = useless(&mut setting);
    setting.place = Place::Workers;
    for _ in 0..2 {
        let failure = setting.run(&mut pool, &Order::plain(1), JOBS, &mut Staged::new()).unwrap_err();
        let JobFailure::NoWorkers { reason, .. } = &failure else { panic!("{failure:?}") };
        assert!(reason.contains("4 times in a row before it did a job"), "{reason}");
    }
}

/// Each does one batch and dies.
#[test]
fn workers_that_do_jobs_are_replaced_for_ever() {
    let mut setting = setting(1, JOBS, "");
    setting.config.main_helps = false;
    setting.config.respawn_failures_max = 2;
    setting.config.command = Some(command(Some(&format!("disarmed:{JOBS}"))));
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    for round in 0..9 {
        let report = setting.run(&mut pool, &Order::plain(round), JOBS, &mut staged).unwrap();
        assert_eq!((report.jobs_on_main, report.jobs_on_workers), (0, JOBS));
        assert_written(&setting, JOBS, round + 1);
    }
    let status = pool.status();
    assert!(status[0].deaths >= 8 && !status[0].given_up, "{status:?}");
}

/// Runs rounds until workers died this often; every round must give the bytes of a pool without deaths.
fn survive(fault: &str, deaths_min: u32) {
    let mut setting = setting(2, JOBS, "");
    // The workers may die in step, each with the same job.
    setting.config.deaths_per_job_max = 60;
    setting.config.command = Some(command(Some(fault)));
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let (mut rounds, mut deaths) = (0, 0);
    while deaths < deaths_min {
        assert!(rounds < 3000, "{fault}: {deaths} deaths in {rounds} rounds");
        // Enough records for the ring to be sent to in the middle of a job, and time for the workers to come in.
        let order = Order {
            words: 9000,
            micros: 50,
            kind: super::common::SLEEP,
            job: u64::from(u32::MAX),
            ..Order::plain(rounds)
        };
        let report = setting.run(&mut pool, &order, JOBS, &mut staged);
        let report = report.unwrap_or_else(|failure| panic!("{fault}, round {rounds}: {failure}"));
        deaths += report.deaths;
        if report.deaths > 0 {
            assert!(all(&staged) == records(Workers::Local, &order, JOBS), "{fault}, round {rounds}");
        }
        rounds += 1;
        assert_written(&setting, JOBS, rounds);
    }
}

#[test]
fn a_death_at_any_point_changes_no_byte() {
    // Each in the third job of a process or so; a job passes some of them several times.
    for fault in
        ["claimed:3", "begun:3", "undo-saved:6", "mid-record:11", "ran:3", "end-pushed:3", "published:3", "disarmed:3"]
    {
        survive(fault, 6);
    }
}

#[test]
fn deaths_at_random_points_change_no_byte() {
    for seed in 1..4 {
        survive(&format!("random:{seed}:0.01"), 20);
    }
}

#[test]
fn of_several_failures_the_first_jobs_is_told_whoever_dies() {
    let mut setting = setting(2, JOBS, "");
    setting.config.deaths_per_job_max = 60;
    // most die before they have finished a job
    setting.config.respawn_failures_max = u32::MAX;
    // every second job or so of a process ends with it: the first job's worker, too
    setting.config.command = Some(command(Some("random:7:0.2")));
    // main keeps out of jobs with a deadline
    setting.deadline = Some(std::time::Duration::from_secs(1000));
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let order = Order::error(u64::from(u32::MAX));
    for round in 0..40 {
        let failure = setting.run(&mut pool, &order, JOBS, &mut staged).expect_err("all jobs fail");
        assert!(matches!(failure, JobFailure::Error { job: 0, .. }), "round {round}: {failure:?}");
    }
    let deaths: u64 = pool.status().iter().map(|worker| worker.deaths).sum();
    assert!(deaths >= 20, "{deaths} deaths");
}
