//! The loom models: every interleaving of the ring and of publish, pin and reclaim, and the mutants that must fail.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::process;
use crate::report::Outcome;
use crate::tools::cargo;

/// Runs all models. They have a target directory of their own, as their flags would rebuild everything else.
pub(crate) fn run(left: Duration) -> Outcome {
    let mut command = cargo(
        "test --locked --release --package hypostyle --lib --no-default-features --target-dir target/loom -- models",
    );
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    process::run(command.env("RUSTFLAGS", format!("{flags} --cfg loom").trim_start()), left).tests_outcome()
}
