//! The unit tests of everything that lives on the heap, under Miri: no undefined behaviour in the unsafe files.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::process::{Tests, run};
use crate::report::Outcome;
use crate::tools::{miri, nightly_cargo};

/// Which tests: parts of their paths. The unsafe files and what is built on them; each must name at least one test.
const FILTERS: &[&str] = &[
    "column::",
    "fuzzing::",
    "patch::",
    "region::control::",
    "region::extent::",
    "region::header::",
    "region::tests::",
    "snapshot::",
    "worker::claim::",
    "worker::undo::",
    "world::",
];
/// How long one filter's tests may take; longer is a failure.
const FILTER_BOUND: Duration = Duration::from_mins(4);
/// How long they may take together; filters that do not get their turn are named.
const BOUND: Duration = Duration::from_mins(8);
/// Cases of each property test: Miri is some hundred times slower than the machine.
const PROPTEST_CASES: &str = "4";

/// The short run of the test command.
pub(crate) fn short(left: Duration) -> Outcome {
    let filters: Vec<String> = FILTERS.iter().map(|&filter| filter.to_owned()).collect();
    run_filters(&filters, left.min(BOUND), FILTER_BOUND)
}

/// These filters, or all of the list, without any hurry.
pub(crate) fn long(filters: &[String], left: Duration) -> Outcome {
    if filters.is_empty() {
        let filters: Vec<String> = FILTERS.iter().map(|&filter| filter.to_owned()).collect();
        run_filters(&filters, left, left)
    } else {
        run_filters(filters, left, left)
    }
}

fn run_filters(filters: &[String], bound: Duration, filter_bound: Duration) -> Outcome {
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
    for filter in filters {
        let left = bound.saturating_sub(begun.elapsed());
        if left.is_zero() {
            left_out.push(filter.as_str());
            continue;
        }
        let mut command = nightly_cargo("miri test --locked --package hypostyle --lib --no-default-features --");
        command.arg(filter).env("MIRIFLAGS", FLAGS).env("PROPTEST_CASES", PROPTEST_CASES);
        let finished = run(&mut command, left.min(filter_bound));
        tests.add(finished.tests);
        match finished.error() {
            // Not its own fault: it began late.
            Some(_) if finished.is_late() && left < filter_bound => left_out.push(filter),
            Some(error) => faults.push(format!("{filter} {error}")),
            None if finished.tests.passed == 0 => faults.push(format!("{filter} names no test")),
            None => {}
        }
    }
    let rest =
        if left_out.is_empty() { String::new() } else { format!("; NOT RUN for lack of time: {}", left_out.join(" ")) };
    if faults.is_empty() {
        Outcome::Passed(format!("{tests}{rest}"))
    } else {
        Outcome::Failed(format!("{tests}; {}{rest}", faults.join("; ")))
    }
}

const FLAGS: &str = "-Zmiri-disable-isolation";
