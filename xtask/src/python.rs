//! Python beside the command, in an environment of its own under `target/`: exports as an analyst reads them (pyarrow),
//! the bytes as somebody reads them who has docs/format.md alone (numpy), and what the command answers to SQL.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{ask, run};
use crate::report::Outcome;
use crate::tools::{cargo, root, target_directory};

/// How long the packages may take to come.
const GET: Duration = Duration::from_mins(5);
/// How long a question may take.
const ASK: Duration = Duration::from_mins(1);

/// Builds the program with exports and reads what it writes with pyarrow.
pub(crate) fn run_scripts(left: Duration) -> Outcome {
    let script = Script { packages: &["pyarrow"], features: &["export"], path: "tests/python/export.py" };
    script.run(left).unwrap_or_else(|outcome| outcome)
}

/// Reads regions, checkpoints, journals and traces in Python, from their described bytes.
pub(crate) fn run_format(left: Duration) -> Outcome {
    let script = Script { packages: &["numpy", "zstandard"], features: &[], path: "tests/format/agree.py" };
    script.run(left).unwrap_or_else(|outcome| outcome)
}

/// Builds the program with `query`, and asks it.
pub(crate) fn run_query(left: Duration) -> Outcome {
    let script = Script { packages: &[], features: &["query"], path: "tests/python/query.py" };
    script.run(left).unwrap_or_else(|outcome| outcome)
}

/// A script that runs the program.
struct Script {
    /// Packages that it imports, of the same names.
    packages: &'static [&'static str],
    /// Of the program.
    features: &'static [&'static str],
    /// From the root. Its arguments are the program and a folder for files.
    path: &'static str,
}

impl Script {
    /// Runs it; what stands in its way is the error.
    fn run(&self, left: Duration) -> Result<Outcome, Outcome> {
        let python = environment(self.packages).map_err(Outcome::Skipped)?;
        let words =
            format!("build --locked --package hypostyle-cli --bin hypostyle --features {}", self.features.join(","));
        let built = run(&mut cargo(words.trim_end_matches("--features ")), left);
        if built.error().is_some() {
            return Err(built.outcome());
        }
        let name = self.path.rsplit('/').next().unwrap_or(self.path).trim_end_matches(".py");
        let files = root().join("target/python-files").join(name);
        // what an earlier run left would be read for this one's
        let _ = std::fs::remove_dir_all(&files);
        std::fs::create_dir_all(&files)
            .map_err(|error| Outcome::Failed(format!("{} cannot be made: {error}", files.display())))?;
        let target = target_directory();
        let mut script = Command::new(python);
        script.arg("-B").arg(root().join(self.path)).arg(target.join("debug/hypostyle")).arg(&files);
        Ok(run(&mut script, left).outcome())
    }
}

/// A Python that has these packages, in `target/python`; without any, the machine's own.
fn environment(packages: &[&str]) -> Result<PathBuf, String> {
    if packages.is_empty() {
        return Ok("python3".into());
    }
    let environment = root().join("target/python");
    let python = environment.join("bin/python");
    let imports = format!("import {}; print(1)", packages.join(", "));
    let has_all = || ask(Command::new(&python).args(["-c", &imports]), ASK).is_some();
    if has_all() {
        return Ok(python);
    }
    let made = run(Command::new("python3").args(["-m", "venv"]).arg(&environment), GET);
    if let Some(error) = made.error() {
        return Err(format!("no Python environment can be made: {error}"));
    }
    let get = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let got = run(Command::new(&python).args(get).args(packages), GET);
    if has_all() {
        return Ok(python);
    }
    let why = got.error().unwrap_or_else(|| "something is still missing".to_owned());
    Err(format!("{} cannot be had: {why}", packages.join(", ")))
}
