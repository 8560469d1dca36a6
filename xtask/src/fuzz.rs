//! The fuzz targets: briefly in the test command, for hours by themselves.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::process::run;
use crate::report::Outcome;
use crate::tools::{cargo_fuzz, nightly_cargo, root};

/// How long each target runs in the test command.
const SHORT: Duration = Duration::from_secs(20);
/// How long building a target may take, and ending after its time.
const SLACK: Duration = Duration::from_mins(10);

/// The targets there are.
pub(crate) fn targets() -> Vec<String> {
    let Ok(files) = std::fs::read_dir(root().join("fuzz/fuzz_targets")) else { return Vec::new() };
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.ok()?.file_name().to_str()?.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    names
}

/// Every target for a short while.
pub(crate) fn short(left: Duration) -> Outcome {
    let targets = targets();
    if targets.is_empty() {
        return Outcome::Failed("there is no target in fuzz/fuzz_targets".to_owned());
    }
    if let Err(why) = cargo_fuzz() {
        return Outcome::Skipped(format!("{why}; the tests run the same doors over seeded inputs"));
    }
    let failed: Vec<String> =
        targets.iter().filter_map(|target| Some(format!("{target}: {}", fuzz(target, SHORT, left)?))).collect();
    if failed.is_empty() {
        Outcome::Passed(format!("{} for {} s each", targets.join(", "), SHORT.as_secs()))
    } else {
        Outcome::Failed(failed.join("; "))
    }
}

/// One target for as long as wanted.
pub(crate) fn long(target: &str, time: Duration) -> Outcome {
    if !targets().iter().any(|name| name == target) {
        return Outcome::Failed(format!("there is no target `{target}`; there are: {}", targets().join(", ")));
    }
    if let Err(why) = cargo_fuzz() {
        return Outcome::Skipped(why);
    }
    match fuzz(target, time, time + SLACK) {
        None => Outcome::Passed(format!("{target} for {} minutes", time.as_secs() / 60)),
        Some(error) => Outcome::Failed(error),
    }
}

/// Fuzzes a target; what went wrong, if anything.
fn fuzz(target: &str, time: Duration, left: Duration) -> Option<String> {
    let mut command = nightly_cargo("fuzz run");
    command.args([target, "--", &format!("-max_total_time={}", time.as_secs()), "-timeout=10", "-print_final_stats=1"]);
    run(&mut command, left.min(time + SLACK)).error()
}
