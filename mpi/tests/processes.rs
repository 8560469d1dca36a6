//! Ranks whose workers are processes: the same states, whoever dies, and nothing left that the next run does not take.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::program::{PROGRAM, children, is_there, regions_of, signal, state};

fn program(words: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words.split_whitespace());
    command
}

#[test]
fn states_are_equal_with_local_workers_threads_and_processes() {
    for words in [
        "run lj --entities 20_000 --frames 30 --balance-every 1",
        "run field --entities 20_000 --frames 20",
        "run fluids --entities 1200 --frames 6",
        "run spheres --entities 1200 --frames 90 --gravity 40 --shape drum --balance-every 1",
    ] {
        let words = format!("{words} --no-observe --print-hash=by-id");
        let want = state(program(&words));
        for (ranks, workers) in [(1, "processes:2"), (2, "threads:2"), (2, "processes:2"), (3, "processes:1")] {
            let words = format!("{words} --ranks {ranks} --workers {workers}");
            assert_eq!(state(program(&words)), want, "{words}");
        }
    }
}

#[test]
fn a_restart_with_worker_processes_on_fewer_ranks_ends_in_the_same_state() {
    let directory = tempfile::tempdir().unwrap();
    let set = format!("--checkpoint {} --no-observe", directory.path().display());
    let run = format!("run lj --entities 20_000 --frames 10 --print-hash=by-id {set} --workers processes:1");
    let want = state(program("run lj --entities 20_000 --frames 20 --print-hash=by-id --no-observe"));
    state(program(&format!("{run} --ranks 3")));
    assert_eq!(state(program(&format!("{run} --ranks 2 --restart"))), want);
}

#[test]
fn runs_of_an_ensemble_have_worker_processes_too() {
    let words = "run particles --entities 100_000 --frames 20 --no-observe --print-hash=by-id --ensemble --ranks 2";
    let told = |workers: &str| {
        let output = program(&format!("{words} --workers {workers}")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let want = told("local");
    assert_eq!(want.lines().count(), 2, "{want}");
    assert_eq!(told("processes:2"), want);
}

/// A run with worker processes, and those that its ranks have at last.
#[expect(clippy::zombie_processes, reason = "the caller waits for it; where the workers do not come, the test fails")]
fn with_workers(ranks: usize, frames: u64) -> (Child, Vec<String>) {
    let words = format!(
        "run lj --entities 20_000 --frames {frames} --no-observe --print-hash=by-id --ranks {ranks} --workers processes:2"
    );
    let child = program(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    loop {
        let workers = children(&child.id().to_string());
        if workers.len() == 2 * ranks {
            return (child, workers);
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "there are {} workers", workers.len());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_death_of_workers_changes_nothing() {
    let want = state(program("run lj --entities 20_000 --frames 60 --no-observe --print-hash=by-id"));
    let (mut child, _) = with_workers(2, 60);
    // one after the other, so that each is replaced
    for round in 0..4 {
        std::thread::sleep(Duration::from_millis(100));
        let workers = children(&child.id().to_string());
        if let Some(worker) = workers.get(round % workers.len().max(1)) {
            // it may be gone by now: the run may have ended
            signal("-KILL", worker);
        }
    }
    let (mut told, mut table) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut table).unwrap();
    assert!(child.wait().unwrap().success(), "{table}");
    assert_eq!(told, want);
    assert!(table.contains("workers that died"), "{table}");
}

#[test]
fn what_killed_ranks_leave_is_taken_by_the_next_run() {
    let (mut child, workers) = with_workers(3, 10_000_000);
    let process = child.id().to_string();
    assert_eq!(regions_of(&process).len(), 3, "each rank has a region of its own");
    assert!(signal("-KILL", &process));
    child.wait().unwrap();
    let begun = Instant::now();
    while workers.iter().any(|worker| is_there(worker)) {
        assert!(begun.elapsed() < Duration::from_mins(1), "workers outlive their ranks");
        std::thread::sleep(Duration::from_millis(20));
    }
    state(program("run lj --entities 2048 --frames 1 --no-observe --print-hash=by-id --workers processes:1"));
    assert_eq!(regions_of(&process), [] as [String; 0]);
}
