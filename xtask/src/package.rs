//! The Python package: a virtual environment, a wheel, its lints, and its tests on live simulations.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Finished, ask, run};
use crate::report::Outcome;
use crate::tools::{cargo, root};

/// What the tests need beside the package itself.
const TOOLS: &[&str] =
    &["maturin>=1.9,<2", "numpy", "pyarrow", "pandas", "polars", "matplotlib", "xarray", "mypy", "pytest"];
/// What some tests need: those that cannot be had are named, and their tests are skipped.
const MORE_TOOLS: &[&str] = &[
    "numba",
    "ase",
    "ovito",
    "vtk",
    "h5py",
    "openpmd-api",
    "pint",
    "rerun-sdk",
    "duckdb",
    "dask[dataframe]",
    "zarr",
    "anywidget",
    "nbclient",
    "ipykernel",
];
/// How long Python may take to say its version.
const ASK: Duration = Duration::from_mins(1);

/// How long building a wheel may take.
const BUILD: Duration = Duration::from_mins(30);

/// Builds a wheel, with the command in it.
pub(crate) fn wheel_alone() -> Outcome {
    let begun = Instant::now();
    let left = || BUILD.saturating_sub(begun.elapsed());
    match environment(&root().join("target"), &left).and_then(|environment| wheel(&environment, &left)) {
        Ok(wheel) => Outcome::Passed(wheel.display().to_string()),
        Err(why) => Outcome::Failed(why),
    }
}

/// The wheel of what is there now: built where that is not done yet.
pub(crate) fn newest(left: &dyn Fn() -> Duration) -> Result<PathBuf, String> {
    wheel(&environment(&root().join("target"), left)?, left)
}

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

    let wheel = wheel(&environment, left)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"]).arg(&wheel);
    done("installing the wheel", &run(&mut install, left()))?;

    let example = "build --locked --release --package hypostyle --package hypostyle-cli --example python_workers";
    done("the example", &run(&mut cargo(example), left()))?;
    // its ranks are threads here, so that no MPI is needed
    let ranks = "build --locked --release --package hypostyle-mpi --bin hypostyle-mpi";
    done("the program of many ranks", &run(&mut cargo(ranks), left()))?;
    let mut tests = Command::new(&python);
    // From `tests`, so that nothing finds the package's sources instead of what was installed.
    tests.args(["-m", "pytest", "--config-file", "../pyproject.toml", "."]).current_dir(crate_path.join("tests"));
    tests.env("HYPOSTYLE_PROGRAM", target.join("release/hypostyle")).env("PYTHONDONTWRITEBYTECODE", "1");
    tests.env("HYPOSTYLE_MPI_PROGRAM", target.join("release/hypostyle-mpi"));
    tests.env("HYPOSTYLE_EXAMPLE", target.join("release/examples/python_workers"));
    done("the tests", &run(&mut tests, left()))?;
    let name = wheel.file_name().map(|name| name.to_string_lossy().into_owned());
    let skipped = missing.iter().map(|tool| format!("; SKIPPED what needs {tool}, which cannot be had"));
    Ok(Outcome::Passed(name.unwrap_or_default() + &skipped.collect::<String>()))
}

/// Gets what some tests need; what is missing afterwards.
fn more_tools(python: &Path, left: &dyn Fn() -> Duration) -> Vec<&'static str> {
    let is_there = |tool: &str| {
        let module = module_of(tool);
        ask(Command::new(python).args(["-c", &format!("import {module}; print(1)")]), ASK).is_some()
    };
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

/// What a package is imported as.
fn module_of(tool: &str) -> String {
    match tool.split('[').next().unwrap_or(tool) {
        "rerun-sdk" => "rerun".to_owned(),
        name => name.replace('-', "_"),
    }
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

/// Builds the command and the wheel that carries it, as a file of its scripts.
fn wheel(environment: &Path, left: &dyn Fn() -> Duration) -> Result<PathBuf, String> {
    let (target, crate_path) = (root().join("target"), root().join("python"));
    let program = "build --locked --release --package hypostyle-cli --bin hypostyle";
    done("the command", &run(&mut cargo(program), left()))?;
    let scripts = crate_path.join("hypostyle.data/scripts");
    let command = scripts.join("hypostyle");
    std::fs::create_dir_all(&scripts)
        .and_then(|()| std::fs::copy(target.join("release/hypostyle"), &command))
        .map_err(|error| format!("{}: {error}", command.display()))?;
    // a smaller wheel; without the tool the command is the same but for names in backtraces
    let _ = ask(Command::new("strip").arg(&command), ASK);
    let wheels = target.join("python-crate/wheels");
    let _ = std::fs::remove_dir_all(&wheels);
    let mut build = Command::new(environment.join("bin/maturin"));
    build.args(["build", "--release", "--locked", "--interpreter"]).arg(environment.join("bin/python"));
    build.arg("--out").arg(&wheels).current_dir(&crate_path).env("CARGO_TARGET_DIR", target.join("python-crate"));
    let built = run(&mut build, left());
    done("the wheel", &built)?;
    let wheel = newest_wheel(&wheels)?;
    // maturin looks at the library alone
    let needed = std::fs::read(&command).ok().and_then(|bytes| glibc(&bytes));
    let name = wheel.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match (needed, promised(&name)) {
        (Some(needed), Some(promised)) if needed > promised => {
            Err(format!("{name} promises glibc 2.{promised}, and the command in it needs 2.{needed}"))
        }
        _ => Ok(wheel),
    }
}

/// The minor version of glibc 2 that a wheel's tag promises to do with.
fn promised(wheel: &str) -> Option<u32> {
    let (_, tag) = wheel.split_once("manylinux_2_")?;
    tag.split('_').next()?.parse().ok()
}

/// The highest minor version of glibc 2 whose symbols a program names.
fn glibc(program: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"GLIBC_2.";
    let minor = |at: usize| {
        let digits = program[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits
            .take(4)
            .fold(None, |number: Option<u32>, digit| Some(number.unwrap_or(0) * 10 + u32::from(*digit - b'0')))
    };
    let named = program.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    named.filter_map(|(at, _)| minor(at)).max()
}

fn newest_wheel(directory: &Path) -> Result<PathBuf, String> {
    let files = std::fs::read_dir(directory).map_err(|error| format!("no wheels: {error}"))?;
    let mut wheels = files.filter_map(Result::ok).map(|file| file.path());
    wheels
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .ok_or_else(|| "maturin left no wheel".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wheel_promises_is_compared_with_what_the_command_needs() {
        assert_eq!(promised("hypostyle-0.1.0-cp310-abi3-manylinux_2_34_x86_64.whl"), Some(34));
        assert_eq!(promised("hypostyle-0.1.0-cp310-abi3-linux_x86_64.whl"), None);
        assert_eq!(glibc(b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.17\0"), Some(34));
        assert_eq!(glibc(b"GLIBC_2. GLIB"), None);
    }

    #[test]
    fn packages_are_imported_by_the_names_of_their_modules() {
        let modules = ["dask[dataframe]", "openpmd-api", "rerun-sdk", "vtk"].map(module_of);
        assert_eq!(modules, ["dask", "openpmd_api", "rerun", "vtk"]);
    }
}
