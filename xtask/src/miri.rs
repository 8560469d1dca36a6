//! The unit tests of everything that lives on the heap, under Miri: no undefined behaviour in the unsafe files.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::process::{Tests, run};
use crate::report::Outcome;
use crate::tools::{miri, nightly_cargo};

/// Which tests: parts of their paths. Unsafe files first, then what is built on them; each must name at least one test.
const FILTERS: &[&str] = &[
    "column::",
    "region::pin::",
    "region::tests::",
    "worker::shared::undo::",
    "patch::",
    "fuzzing::",
    "world::access::query::",
    "world::store::rows::",
    "region::control::",
];
/// How long they may take together. Filters that do not get their turn are named; one that takes all of it has failed.
const BOUND: Duration = Duration::from_mins(10);
/// Cases of each property test: Miri is some hundred times slower than the machine.
const PROPTEST_CASES: &str = "4";

/// The short run of the test command.
pub(crate) fn short(left: Duration) -> Outcome {
    run_filters(FILTERS.iter().copied(), left.min(BOUND))
}

/// These filters, or all of the list, without any hurry.
pub(crate) fn long(filters: &[String], left: Duration) -> Outcome {
    if filters.is_empty() {
        run_filters(FILTERS.iter().copied(), left)
    } else {
        run_filters(filters.iter().map(String::as_str), left)
    }
}

fn run_filters<'a>(filters: impl Iterator<Item = &'a str>, bound: Duration) -> Outcome {
    if let Err(why) = miri() {
        return Outcome::Skipped(why);
    }
    // The build, and Miri's own standard library the first time, do not count against the tests.
    let mut build = nightly_cargo("miri test --locked --package hypostyle --lib --no-default-features --no-run");
    if let Some(error) = run(build.env("MIRIFLAGS", FLAGS), bound).error() {
        return Outcome::Failed(format!("the tests do not build: {error}"));
    }
    let begun = Instant::now();
    let (mut tests, mut faults, mut left_out) = (Tests::default(), Vec::new(), Vec::new());
    for (index, filter) in filters.enumerate() {
        let left = bound.saturating_sub(begun.elapsed());
        if left.is_zero() {
            left_out.push(filter);
            continue;
        }
        let mut command = nightly_cargo("miri test --locked --package hypostyle --lib --no-default-features --");
        command.arg(filter).env("MIRIFLAGS", FLAGS).env("PROPTEST_CASES", PROPTEST_CASES);
        let finished = run(&mut command, left);
        tests.add(finished.tests);
        match finished.error() {
            // Cut short, as others went before it.
            Some(_) if finished.is_late() && index > 0 && !finished.tests.any_failed() => left_out.push(filter),
            Some(error) => faults.push(format!("{filter} {error}")),
            None if finished.tests.passed == 0 => faults.push(format!("{filter} names no test")),
            None => {}
        }
    }
    let rest = if left_out.is_empty() {
        String::new()
    } else {
        format!("; NOT FINISHED for lack of time: {}", left_out.join(" "))
    };
    if faults.is_empty() {
        Outcome::Passed(format!("{tests}{rest}"))
    } else {
        Outcome::Failed(format!("{tests}; {}{rest}", faults.join("; ")))
    }
}

const FLAGS: &str = "-Zmiri-disable-isolation";
