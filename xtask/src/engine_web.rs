//! The engine in WebAssembly: both modules are built, and reach the native program's states in node and in Chromium.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::run;
use crate::report::Outcome;
use crate::test::WASM;
use crate::tools::{cargo, nightly_source, root, target, target_directory};
use crate::web::{chromium, done, node, packages};

/// Builds and tests the engine.
pub(crate) fn test(left: Duration) -> Outcome {
    let begun = Instant::now();
    match steps(&|| left.saturating_sub(begun.elapsed())) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Failed(why),
    }
}

fn steps(left: &dyn Fn() -> Duration) -> Result<Outcome, String> {
    let web = root().join("web");
    // the module on shared memory takes a standard library that was built for it
    if let Err(why) = node().and_then(|()| packages(&web)).and_then(|()| target(WASM)).and_then(|()| nightly_source()) {
        return Ok(Outcome::Skipped(why));
    }
    let npm = |script: &str| {
        let mut command = Command::new("npm");
        command.args(["run", "--silent", script]).current_dir(&web);
        command
    };
    done("the engine's modules", &run(&mut npm("build:engine"), left()))?;
    // as the step `web` does, which has built it
    done("the program", &run(&mut cargo("build --locked --package hypostyle-cli --bin hypostyle"), left()))?;
    let target = target_directory();
    let mut tests = npm("test:engine");
    tests.env("HYPOSTYLE_PROGRAM", target.join("debug/hypostyle"));
    let chromium = chromium();
    if let Ok(path) = &chromium {
        tests.env("HYPOSTYLE_CHROMIUM", path);
    }
    done("the engine in node and Chromium", &run(&mut tests, left()))?;
    Ok(match chromium {
        Ok(_) => Outcome::Passed("the native states in node and Chromium, with workers and in-process".to_owned()),
        Err(why) => Outcome::Skipped(format!("in node all is well; no page was looked at: {why}")),
    })
}
