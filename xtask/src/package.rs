//! The Python package: a virtual environment, a wheel, its lints, and its tests on live simulations.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Finished, ask, run};
use crate::report::Outcome;
use crate::tools::{cargo, root};

/// What the tests need beside the package itself.
const TOOLS: &[&str] = &["maturin>=1.9,<2", "numpy", "pyarrow", "pandas", "polars", "matplotlib", "mypy", "pytest"];
/// What some tests need: those that cannot be had are named, and their tests are skipped.
const MORE_TOOLS: &[&str] = &["numba", "ase", "ovito"];
/// How long Python may take to say its version.
const ASK: Duration = Duration::from_mins(1);

/// Builds and tests the package.
pub(crate) fn test(left: Duration) -> Outcome {
    let begun = Instant::now();
    match steps(&|| left.saturating_sub(begun.elapsed())) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Failed(why),
    }
}

fn steps(left: &dyn Fn() -> Duration) -> Result<Outcome, String> {
    let target = root().join("target");
    let environment = environment(&target, left)?;
    let python = environment.join("bin/python");
    let missing = more_tools(&python, left);
    let crate_path = root().join("python");
    let manifest = "--manifest-path python/Cargo.toml";
    done("the crate's format", &run(&mut cargo(&format!("fmt {manifest} --check")), left()))?;
    let mut lint = cargo(&format!("clippy --locked {manifest} -- -D warnings"));
    // Its own directory: other features and another profile than the workspace's.
    lint.env("CARGO_TARGET_DIR", target.join("python-crate"));
    done("the crate's lints", &run(&mut lint, left()))?;

    let wheels = target.join("python-crate/wheels");
    let _ = std::fs::remove_dir_all(&wheels);
    let mut build = Command::new(environment.join("bin/maturin"));
    build.args(["build", "--release", "--locked", "--interpreter"]).arg(&python).arg("--out").arg(&wheels);
    done(
        "the wheel",
        &run(build.current_dir(&crate_path).env("CARGO_TARGET_DIR", target.join("python-crate")), left()),
    )?;
    let wheel = newest_wheel(&wheels)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"]).arg(&wheel);
    done("installing the wheel", &run(&mut install, left()))?;

    let programs =
        "build --locked --release --package hypostyle --package hypostyle-cli --bin hypostyle --example python_workers";
    done("the programs", &run(&mut cargo(programs), left()))?;
    let mut tests = Command::new(&python);
    // From `tests`, so that nothing finds the package's sources instead of what was installed.
    tests.args(["-m", "pytest", "--config-file", "../pyproject.toml", "."]).current_dir(crate_path.join("tests"));
    tests.env("HYPOSTYLE_PROGRAM", target.join("release/hypostyle")).env("PYTHONDONTWRITEBYTECODE", "1");
    tests.env("HYPOSTYLE_EXAMPLE", target.join("release/examples/python_workers"));
    done("the tests", &run(&mut tests, left()))?;
    let name = wheel.file_name().map(|name| name.to_string_lossy().into_owned());
    let skipped = missing.iter().map(|tool| format!("; SKIPPED what needs {tool}, which cannot be had"));
    Ok(Outcome::Passed(name.unwrap_or_default() + &skipped.collect::<String>()))
}

/// Gets what some tests need; what is missing afterwards.
fn more_tools(python: &Path, left: &dyn Fn() -> Duration) -> Vec<&'static str> {
    let is_there =
        |tool: &str| ask(Command::new(python).args(["-c", &format!("import {tool}; print(1)")]), ASK).is_some();
    let mut missing = MORE_TOOLS.to_vec();
    missing.retain(|tool| {
        if is_there(tool) {
            return false;
        }
        let mut install = Command::new(python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", tool]);
        run(&mut install, left()).error().is_some() || !is_there(tool)
    });
    missing
}

fn done(what: &str, finished: &Finished) -> Result<(), String> {
    finished.error().map_or(Ok(()), |error| Err(format!("{what}: {error}")))
}

/// A virtual environment with the tools in it; made where there is none.
fn environment(target: &Path, left: &dyn Fn() -> Duration) -> Result<PathBuf, String> {
    let environment = target.join("python-venv");
    let python = environment.join("bin/python");
    if ask(Command::new(&python).arg("--version"), ASK).is_none() {
        let version = ask(Command::new("python3").args(["-c", "import sys; print(sys.version_info >= (3, 10))"]), ASK);
        match version.as_deref().map(str::trim) {
            Some("True") => {}
            Some(_) => return Err("python3 is older than 3.10: install a newer one".to_owned()),
            None => return Err("there is no `python3`: install Python 3.10 or newer, with venv and pip".to_owned()),
        }
        let mut make = Command::new("python3");
        done("the virtual environment", &run(make.args(["-m", "venv"]).arg(&environment), left()))?;
    }
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(TOOLS);
    done("the tools (are the package registries in reach?)", &run(&mut install, left()))?;
    Ok(environment)
}

fn newest_wheel(directory: &Path) -> Result<PathBuf, String> {
    let files = std::fs::read_dir(directory).map_err(|error| format!("no wheels: {error}"))?;
    let mut wheels = files.filter_map(Result::ok).map(|file| file.path());
    wheels
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .ok_or_else(|| "maturin left no wheel".to_owned())
}
