//! Thread- and AddressSanitizer over the library's unit tests: what their instrumented loads and stores show of races
//! between threads, and of reads and writes outside of what was allocated.
//!
//! The standard library is built with the sanitizer, too, or else it would see half of each synchronisation. Tests run one
//! at a time: maps are made and ended by system calls that a sanitizer does not see, and what one test wrote where another
//! has its map now would be a race. A sanitizer sees one process, so worker processes are left out.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::Duration;

use crate::process::{Tests, run};
use crate::report::Outcome;
use crate::tools::{nightly_cargo, nightly_source, root};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A sanitizer, and the tests that have something to show to it, by parts of their names; none: all.
const SANITIZERS: [(&str, &[&str]); 2] = [
    ("thread", &["worker::", "region::", "patch::", "trace::", "inputs::", "schedule::", "snapshot::"]),
    ("address", &[]),
];

/// Parts of names of tests that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("processes::", "worker processes: each is a process of its own"),
    ("child_", "parts of other tests, that are processes of their own"),
];

/// What ThreadSanitizer reports and what is no race, by a part of a function's name, and why.
const SUPPRESSIONS: &[(&str, &str)] = &[];

/// Cases of each property test: instrumented code is some ten times slower.
const PROPTEST_CASES: &str = "4";

/// Runs both.
pub(crate) fn both(left: Duration) -> Outcome {
    if let Err(why) = nightly_source() {
        return Outcome::Skipped(why);
    }
    let suppressions = root().join("target/thread-sanitizer.txt");
    let lines: String = SUPPRESSIONS.iter().map(|(name, why)| format!("# {why}\nrace:{name}\n")).collect();
    if let Err(error) = std::fs::write(&suppressions, lines) {
        return Outcome::Failed(format!("{}: {error}", suppressions.display()));
    }
    let options = format!("halt_on_error=0 exitcode=66 suppressions={}", suppressions.display());
    let mut told = Vec::new();
    for (sanitizer, tests) in SANITIZERS {
        let mut command = command(sanitizer, tests);
        // what tests leak on purpose is no fault of memory
        command.env("TSAN_OPTIONS", &options).env("ASAN_OPTIONS", "detect_leaks=0");
        let finished = run(&mut command, left);
        let Tests { passed, .. } = finished.tests;
        if let Some(error) = finished.error() {
            return Outcome::Failed(format!("{sanitizer}: {} ({error})", finished.tests));
        }
        if passed == 0 {
            return Outcome::Failed(format!("{sanitizer}: no test ran"));
        }
        told.push(format!("{sanitizer}: {}", finished.tests));
    }
    Outcome::Passed(told.join("; "))
}

fn command(sanitizer: &str, tests: &[&str]) -> Command {
    let mut command = nightly_cargo("test --locked --package hypostyle --lib --features checkpoint -Zbuild-std");
    command.args(["--target", TARGET, "--target-dir", "target/sanitize", "--", "--test-threads=1"]).args(tests);
    for (name, _) in LEFT_OUT {
        command.args(["--skip", name]);
    }
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let flags = format!("{flags} -Zsanitizer={sanitizer} -Cunsafe-allow-abi-mismatch=sanitizer");
    command.env("RUSTFLAGS", flags.trim_start()).env("PROPTEST_CASES", PROPTEST_CASES);
    command
}
