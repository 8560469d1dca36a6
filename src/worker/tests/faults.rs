//! Deaths at each named point of the protocol.

use super::common::{Order, all, records};
use super::processes::{assert_written, command, setting};
use crate::worker::*;

const JOBS: u32 = 60;

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
