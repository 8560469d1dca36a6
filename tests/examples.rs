//! Every example runs, and shows what it says.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::path::PathBuf;
use std::process::Command;

/// What an example printed. `cargo test` builds examples beside the tests; `cargo test --test examples` alone does not.
fn output_of(name: &str) -> String {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    path.push(name);
    assert!(path.exists(), "{} is not built: run `cargo build --examples` first", path.display());
    let output = Command::new(&path).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}{err}", output.status);
    out.into_owned()
}

#[test]
fn hello_falls_as_bodies_do() {
    // 100 m - g / 2 within the error of the step
    assert_eq!(output_of("hello"), "after 1.0 s: 95.090 m, -9.810 m/s\n");
}

#[test]
fn spawned_drops_are_as_many_as_fly() {
    let out = output_of("spawn_and_despawn");
    let drops: Vec<u32> = out.lines().map(|line| line.split_whitespace().nth(2).unwrap().parse().unwrap()).collect();
    // 400 a second, each for about two seconds
    assert_eq!(drops[0], 400, "{out}");
    assert!(drops[3] > 700 && drops[3] < 900, "{out}");
}

#[test]
fn birds_agree_at_last() {
    let out = output_of("neighbours");
    let numbers: Vec<f64> = out.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(numbers[0] < 0.1 && numbers[1] > 0.3, "{out}");
}

#[test]
fn a_drop_keeps_its_energy() {
    let out = output_of("pairs");
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    let energies: Vec<f64> = words.iter().map(|words| words[3].parse().unwrap()).collect();
    let made: u64 = words[2][7].parse().unwrap();
    assert!(energies.iter().all(|energy| (energy - energies[0]).abs() < 0.003), "{out}");
    assert!(energies[0] < -1.0 && made > 10 && made < 500, "{out}");
}

#[test]
fn a_thermostat_sets_the_energy() {
    let out = output_of("reduction");
    assert!(out.lines().last().unwrap().starts_with("frame 2: energy 0.500000 each"), "{out}");
}

#[test]
fn a_walk_spreads_as_its_steps() {
    let out = output_of("random_walk");
    let last = out.lines().last().unwrap();
    let square: f64 = last.split_whitespace().nth(2).unwrap().trim_end_matches(':').parse().unwrap();
    assert!((square / 100.0 - 1.0).abs() < 0.06, "{out}");
}

#[test]
fn contacts_grow_old() {
    let out = output_of("lists");
    let ages: Vec<u32> = out.lines().map(|line| line.rsplit(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(ages.len(), 3, "{out}");
    assert!(ages[0] > 10 && ages[1] > ages[0] && ages[2] <= 60, "{out}");
}

#[test]
fn substeps_keep_energy() {
    let out = output_of("substeps");
    let last = out.lines().last().unwrap();
    let energy: f64 = last.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!((energy / 200.0 - 1.0).abs() < 0.02, "{out}");
}

#[test]
#[cfg(target_os = "linux")]
fn processes_have_the_same_state() {
    let out = output_of("worker_processes");
    let deaths: Vec<&str> = out.lines().map(|line| line.split(", ").nth(1).unwrap()).collect();
    assert_eq!(deaths, ["0 deaths", "1 deaths"], "{out}");
}

#[test]
#[cfg(target_os = "linux")]
fn another_process_reads_and_steers() {
    let out = output_of("read_from_another_process");
    assert_eq!(out.matches("the other process: frame").count(), 3, "{out}");
    assert_eq!(output_of("inputs"), "after 1 s: 1.0 m\nthe other process: pedal at 3 m/s\nafter 2 s: 4.0 m\n");
}

#[test]
#[cfg(feature = "checkpoint")]
fn files_bring_back_the_same_state() {
    assert!(output_of("checkpoint").contains("from the file"));
    let out = output_of("journal");
    assert!(out.contains("frame  5: mean heat 294.950") && out.contains("frame 30: mean heat 21.174"), "{out}");
}

#[test]
#[cfg(feature = "export")]
fn a_state_becomes_a_parquet_file() {
    assert!(output_of("export").starts_with("5000 rows in "));
}
