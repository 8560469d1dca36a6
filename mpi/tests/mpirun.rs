//! The program under a real mpirun: equal states on one to four processes, and what happens where one dies or is cut off.
//!
//! It needs an `mpirun` of the MPI that the program was built with; `cargo xtask test` sees to that.
#![cfg(feature = "mpi")]
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::program::{PROGRAM, is_open_mpi, is_there, mpirun, regions_of, signal, state, told};

/// On one process without mpirun.
fn alone(words: &str) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(words.split_whitespace());
    state(command)
}

#[test]
fn states_are_equal_on_one_to_four_processes() {
    for words in [
        "run lj --entities 2048 --frames 40 --print-hash=by-id --balance-every 2",
        "run particles --entities 10_000 --frames 60 --print-hash=by-id --workers threads:2",
        "run field --entities 2000 --frames 20 --print-hash=by-id",
        "run nbody --entities 402 --frames 20 --print-hash=by-id --workers threads:2",
        "run lj --entities 20_000 --frames 10 --no-observe --print-hash=by-id --workers processes:1",
    ] {
        let want = alone(words);
        for ranks in 1..=4 {
            assert_eq!(state(mpirun(ranks, words)), want, "{words} on {ranks} processes");
        }
    }
}

#[test]
fn a_restart_on_fewer_processes_ends_in_the_same_state() {
    let directory = tempfile::tempdir().unwrap();
    let set = format!("--checkpoint {} --no-observe", directory.path().display());
    let run = format!("run lj --entities 2048 --frames 15 --print-hash=by-id {set}");
    let want = alone("run lj --entities 2048 --frames 30 --print-hash=by-id");
    state(mpirun(4, &run));
    assert_eq!(state(mpirun(3, &format!("{run} --restart"))), want);
    // the newest in a directory, with which nothing but what was run is left to say
    let from = format!("run lj --from {} --frames 0 --no-observe --print-hash=by-id", directory.path().display());
    assert_eq!(state(mpirun(2, &from)), want);
}

/// A long run, and the processes of its ranks.
fn long(ranks: usize, more: &str) -> (Child, BufReader<std::process::ChildStderr>, Vec<String>) {
    let words = format!("run lj --entities 2048 --frames 10_000_000 --no-observe --show-ranks {more}");
    let mut child = mpirun(ranks, &words).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut processes = Vec::new();
    while processes.len() < ranks {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it began");
        if let Some((_, process)) = line.trim().split_once(" is process ") {
            processes.push(process.to_owned());
        }
    }
    (child, lines, processes)
}

/// Waits until no process is left: one that was killed may still be giving its memory back when the launcher has ended.
fn all_end(processes: &[String]) {
    let begun = Instant::now();
    while processes.iter().any(|process| is_there(process)) {
        assert!(begun.elapsed() < Duration::from_mins(1), "processes are left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_death_of_a_process_ends_the_job() {
    let (mut child, mut lines, processes) = long(3, "--deadline 600");
    assert!(signal("-KILL", &processes[1]));
    // it ends: a run of ten million frames, long before any deadline
    assert!(!child.wait().unwrap().success());
    let mut told = String::new();
    lines.read_to_string(&mut told).unwrap();
    // that of MPICH tells the signal on its standard output
    assert!(!is_open_mpi() || (told.contains("rank 1") && told.contains("signal 9")), "{told}");
    all_end(&processes);
}

#[test]
fn the_death_of_a_process_with_workers_leaves_nothing_that_the_next_run_does_not_take() {
    let (mut child, _lines, processes) = long(3, "--deadline 600 --workers processes:1");
    let regions = || processes.iter().map(|process| regions_of(process).len()).collect::<Vec<_>>();
    let begun = Instant::now();
    while regions() != [1, 1, 1] {
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", regions());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(signal("-KILL", &processes[1]));
    assert!(!child.wait().unwrap().success());
    // workers see the end of their ranks by themselves, and hold the regions until then
    let begun = Instant::now();
    while regions() != [0, 0, 0] {
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", regions());
        state(mpirun(2, "run lj --entities 2048 --frames 1 --no-observe --print-hash=by-id --workers processes:1"));
    }
}

#[test]
fn a_process_that_is_silent_is_named_and_the_job_ends() {
    let (mut child, mut lines, processes) = long(3, "--deadline 8");
    assert!(signal("-STOP", &processes[1]));
    assert!(!child.wait().unwrap().success());
    let mut told = String::new();
    lines.read_to_string(&mut told).unwrap();
    assert!(told.contains("rank 1 sent no message for 8s"), "{told}");
    all_end(&processes);
}

#[test]
fn the_launcher_of_another_mpi_is_told() {
    // a launcher that sets its variables, but whose ranks are each a world of one
    let mut command = Command::new(PROGRAM);
    command.args(["run", "lj", "--entities", "2048", "--frames", "1"]).env("PMI_SIZE", "4");
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(told(&output).contains("started 4 processes, but MPI says this is a world of 1"), "{}", told(&output));
}
