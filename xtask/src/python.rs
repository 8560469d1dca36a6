//! Exports as an analyst reads them: pyarrow, in an environment of its own under `target/`; and what the command answers
//! to SQL.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::Duration;

use crate::process::{ask, run};
use crate::report::Outcome;
use crate::tools::{cargo, root};

/// How long the packages may take to come.
const GET: Duration = Duration::from_mins(5);
/// How long a question may take.
const ASK: Duration = Duration::from_mins(1);

/// Builds the program with exports, gets pyarrow, runs the script.
pub(crate) fn run_scripts(left: Duration) -> Outcome {
    let environment = root().join("target/python");
    let python = environment.join("bin/python");
    let has_pyarrow = || ask(Command::new(&python).args(["-c", "import pyarrow; print(1)"]), ASK).is_some();
    if !has_pyarrow() {
        let made = run(Command::new("python3").args(["-m", "venv"]).arg(&environment), GET);
        if let Some(error) = made.error() {
            return Outcome::Skipped(format!("no Python environment can be made: {error}"));
        }
        let get = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pyarrow"];
        let got = run(Command::new(&python).args(get), GET);
        if !has_pyarrow() {
            let why = got.error().unwrap_or_else(|| "it is still missing".to_owned());
            return Outcome::Skipped(format!("pyarrow cannot be had: {why}"));
        }
    }
    let built = run(&mut cargo("build --locked --package hypostyle-cli --bin hypostyle --features export"), left);
    if built.error().is_some() {
        return built.outcome();
    }
    let files = root().join("target/python-files");
    // what an earlier run left would be read for this one's
    let _ = std::fs::remove_dir_all(&files);
    if let Err(error) = std::fs::create_dir_all(&files) {
        return Outcome::Failed(format!("{} cannot be made: {error}", files.display()));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let mut script = Command::new(&python);
    script.arg(root().join("tests/python/export.py")).arg(target.join("debug/hypostyle")).arg(&files);
    run(&mut script, left).outcome()
}

/// Builds the program with `query`, and asks it.
pub(crate) fn run_query(left: Duration) -> Outcome {
    let built = run(&mut cargo("build --locked --package hypostyle-cli --bin hypostyle --features query"), left);
    if built.error().is_some() {
        return built.outcome();
    }
    let files = root().join("target/query-files");
    let _ = std::fs::remove_dir_all(&files);
    if let Err(error) = std::fs::create_dir_all(&files) {
        return Outcome::Failed(format!("{} cannot be made: {error}", files.display()));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let mut script = Command::new("python3");
    script.arg(root().join("tests/python/query.py")).arg(target.join("debug/hypostyle")).arg(&files);
    run(&mut script, left).outcome()
}
