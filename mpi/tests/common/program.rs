//! The program from outside: its states, its processes and its regions.

use std::process::{Command, Output};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_hypostyle-mpi");

/// The launcher of the MPI that the program was built with: `HYPOSTYLE_MPIRUN`, or `mpirun`.
pub fn launcher() -> String {
    std::env::var("HYPOSTYLE_MPIRUN").unwrap_or_else(|_| "mpirun".to_owned())
}

/// Whether it is that of an Open MPI.
pub fn is_open_mpi() -> bool {
    let version = Command::new(launcher()).arg("--version").output().expect("a launcher");
    String::from_utf8_lossy(&version.stdout).contains("Open MPI")
}

/// The program on so many ranks.
pub fn mpirun(ranks: usize, words: &str) -> Command {
    let mut command = Command::new(launcher());
    if is_open_mpi() {
        command.args(["--allow-run-as-root", "--oversubscribe"]);
    }
    command.args(["-n", &ranks.to_string(), PROGRAM]).args(words.split_whitespace());
    command
}

pub fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The state that a command prints.
pub fn state(mut command: Command) -> String {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{}", told(&output));
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(line.starts_with("state-by-id ") && line.lines().count() == 1, "{line}");
    line
}

pub fn signal(signal: &str, process: &str) -> bool {
    Command::new("kill").args([signal, process]).status().unwrap().success()
}

pub fn is_there(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The processes that one has started, whichever of its threads did.
pub fn children(process: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let mut all: Vec<String> =
        threads.flat_map(|t| of(t).split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    all.sort();
    all
}

/// Names of the regions that a process writes, or wrote last.
pub fn regions_of(process: &str) -> Vec<String> {
    let all = hypostyle::regions::list().unwrap();
    all.into_iter().filter(|region| region.writer_pid.to_string() == process).map(|region| region.name).collect()
}
