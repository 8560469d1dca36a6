//! The other programs of the comparison: `compare-snapshots`, where it is built beside this one, and `compare/web` in
//! node. Each prints its rows as JSON lines.
//!
//! What cannot run on this machine is skipped, and the reason is said; what runs and fails is an error.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::Options;
use crate::row::{Row, parse_lines};

/// How many rounds the snapshots get, unless it was said: each takes seconds.
const SNAPSHOT_ROUNDS: usize = 3;

/// The rows of all other programs that are wanted and can run.
///
/// # Errors
/// A program that failed, or printed something else than rows.
pub fn run(options: &Options, rounds: Option<usize>) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (name, program) in [("snapshots", snapshots as Program), ("web", web)] {
        match program(options, rounds) {
            Ok(Some(mut command)) => rows.extend(rows_of(name, &mut command)?),
            Ok(None) => {}
            Err(why) => eprintln!("{name}: skipped: {why}"),
        }
    }
    if options.engines.is_empty() && options.cases.is_empty() {
        eprintln!("web: ecsia: skipped: it is not in the npm registry");
    }
    Ok(rows)
}

/// How to start a program; none: it is not wanted. The error is why it cannot run here.
type Program = fn(&Options, Option<usize>) -> Result<Option<Command>, String>;

fn snapshots(options: &Options, rounds: Option<usize>) -> Result<Option<Command>, String> {
    let wanted = options.cases.is_empty() || options.cases.iter().any(|part| "snapshots".contains(part.as_str()));
    // its engines have other names: asking for some of this program's asks for none of its
    if !wanted || !options.engines.is_empty() {
        return Ok(None);
    }
    let program = std::env::current_exe().ok().map(|this| this.with_file_name("compare-snapshots"));
    let program = program.filter(|path| path.is_file()).ok_or("compare-snapshots is not built beside this program")?;
    let mut command = Command::new(program);
    command.arg("--json");
    if options.quick {
        command.arg("--quick");
    } else {
        command.args(["--rounds", &rounds.unwrap_or(SNAPSHOT_ROUNDS).to_string()]);
    }
    Ok(Some(command))
}

fn web(options: &Options, rounds: Option<usize>) -> Result<Option<Command>, String> {
    // sizes are the program's own
    let wanted = options.engines.is_empty() || options.engines.iter().any(|part| "bitECS".contains(part.as_str()));
    if !wanted || !options.entities.is_empty() {
        return Ok(None);
    }
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("web");
    if !folder.join("node_modules").is_dir() {
        let words = ["ci", "--silent", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=20000"];
        let status = Command::new("npm").args(words).current_dir(&folder).stdin(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("`npm ci` in {} failed: {status}", folder.display())),
            Err(error) => return Err(format!("npm cannot be started: {error}")),
        }
    }
    if !Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Err("node cannot be started".to_owned());
    }
    let mut command = Command::new("node");
    command.arg("run.mjs").current_dir(folder);
    if options.quick {
        command.arg("--quick");
    }
    if let Some(rounds) = rounds {
        command.args(["--rounds", &rounds.to_string()]);
    }
    if !options.cases.is_empty() {
        command.args(["--cases", &options.cases.join(",")]);
    }
    Ok(Some(command))
}

fn rows_of(name: &str, command: &mut Command) -> Result<Vec<Row>, String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{name} cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} failed: {}", output.status));
    }
    parse_lines(&String::from_utf8_lossy(&output.stdout)).map_err(|error| format!("{name}: {error}"))
}
