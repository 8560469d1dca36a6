//! One world over processes, under the mpirun of a real MPI.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{ask, run};
use crate::report::Outcome;
use crate::tools::cargo;

/// How long packages may take to come.
const GET: Duration = Duration::from_mins(3);
/// An MPI, its compiler wrapper, and what its header is read with.
const PACKAGES: &[&str] = &["openmpi-bin", "libopenmpi-dev", "libclang-dev"];
/// How long a program may take to say its version.
const ASK: Duration = Duration::from_secs(20);

/// Builds with the feature, and runs all tests of the package.
pub(crate) fn test(left: Duration) -> Outcome {
    let begun = Instant::now();
    if let Err(why) = installed() {
        return Outcome::Skipped(why);
    }
    let left = |begun: Instant| left.saturating_sub(begun.elapsed());
    let lint = "clippy --locked --package hypostyle-mpi --all-targets --features mpi -- -D warnings";
    if let Some(error) = run(&mut cargo(lint), left(begun)).error() {
        return Outcome::Failed(format!("clippy: {error}"));
    }
    let mut tests = cargo("test --locked --package hypostyle-mpi --profile test --features mpi");
    run(&mut tests, left(begun)).tests_outcome()
}

/// Whether there is an MPI; it is installed where there is none.
pub(crate) fn installed() -> Result<(), String> {
    let there = || {
        let says = |program: &str| ask(Command::new(program).arg("--version"), ASK).is_some();
        says("mpirun") && says("mpicc")
    };
    if there() {
        return Ok(());
    }
    let mut get = Command::new("apt-get");
    get.args(["install", "--yes", "--no-install-recommends"]).args(PACKAGES).env("DEBIAN_FRONTEND", "noninteractive");
    let finished = run(&mut get, GET);
    if there() {
        return Ok(());
    }
    let why = finished.error().unwrap_or_else(|| "mpirun or mpicc is still missing".to_owned());
    Err(format!("there is no MPI, and apt-get did not help: {why}"))
}
