//! One world over processes, under the mpirun of a real MPI.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{ask, run};
use crate::report::Outcome;
use crate::tools::{cargo, debian};

/// An MPI, its compiler wrapper, and what its header is read with.
const PACKAGES: &[&str] = &["openmpi-bin", "libopenmpi-dev", "libclang-dev"];
/// Another one, under names of its own.
const OTHER_PACKAGES: &[&str] = &["mpich", "libmpich-dev"];
const OTHER: (&str, &str) = ("mpirun.mpich", "mpicc.mpich");
/// How long a program may take to say its version.
const ASK: Duration = Duration::from_secs(20);

/// Builds with the feature, and runs all tests of the package; then those of the program with another MPI.
pub(crate) fn test(left: Duration) -> Outcome {
    let begun = Instant::now();
    if let Err(why) = installed() {
        return Outcome::Skipped(why);
    }
    let left = |begun: Instant| left.saturating_sub(begun.elapsed());
    let other = other_installed();
    // cargo does not see that bindings are those of another MPI
    if other && let Some(error) = forget_bindings(left(begun)) {
        return Outcome::Failed(error);
    }
    let lint = "clippy --locked --package hypostyle-mpi --all-targets --features mpi -- -D warnings";
    if let Some(error) = run(&mut cargo(lint), left(begun)).error() {
        return Outcome::Failed(format!("clippy: {error}"));
    }
    let mut tests = cargo("test --locked --package hypostyle-mpi --profile test --features mpi");
    let first = run(&mut tests, left(begun)).tests_outcome();
    let Outcome::Passed(passed) = first else { return first };
    if !other {
        return Outcome::Passed(format!("{passed}; there is no MPICH"));
    }
    if let Some(error) = forget_bindings(left(begun)) {
        return Outcome::Failed(error);
    }
    let mut tests = cargo("test --locked --package hypostyle-mpi --profile test --features mpi --test mpirun");
    tests.env("HYPOSTYLE_MPIRUN", OTHER.0).env("MPICC", OTHER.1);
    let second = run(&mut tests, left(begun)).tests_outcome();
    let again = forget_bindings(left(begun));
    match (second, again) {
        (Outcome::Passed(more), None) => Outcome::Passed(format!("{passed}; with MPICH {more}")),
        (Outcome::Failed(why), _) => Outcome::Failed(format!("with MPICH: {why}")),
        (_, Some(error)) => Outcome::Failed(error),
        (other, None) => other,
    }
}

/// Has the bindings of the MPI made anew by what comes next.
fn forget_bindings(left: Duration) -> Option<String> {
    let error = run(&mut cargo("clean --locked --package mpi-sys --package mpi"), left).error()?;
    Some(format!("the bindings of an MPI cannot be made anew: {error}"))
}

/// Whether there is a second MPI; it is installed where there is none.
fn other_installed() -> bool {
    let there = || {
        ask(Command::new(OTHER.1).arg("-v"), ASK).is_some()
            && ask(Command::new(OTHER.0).arg("--version"), ASK).is_some()
    };
    debian("MPICH", OTHER_PACKAGES, there).is_ok()
}

/// Whether there is an MPI; it is installed where there is none.
pub(crate) fn installed() -> Result<(), String> {
    let says = |program: &str| ask(Command::new(program).arg("--version"), ASK).is_some();
    debian("MPI (mpirun, mpicc)", PACKAGES, || says("mpirun") && says("mpicc"))
}
