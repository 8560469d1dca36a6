//! The comparison with other engines: its own workspace, built only here.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::Duration;

use crate::process::run;
use crate::report::Outcome;
use crate::tools::{cargo, root};

const MANIFEST: &str = "--manifest-path compare/Cargo.toml";
/// How long a full run may take.
const FULL: Duration = Duration::from_hours(12);

/// Measures; `args` go to the program, but for `--native`.
pub(crate) fn full(args: &[String]) -> bool {
    let native = args.iter().any(|arg| arg == "--native");
    // every package of the workspace: the program starts the others that it finds beside itself
    let mut build = with_flags(cargo(&format!("build --locked --release --workspace {MANIFEST}")), native);
    if let Some(error) = run(&mut build, FULL).error() {
        println!("compare: it does not build: {error}");
        return false;
    }
    let mut start =
        with_flags(cargo(&format!("run --quiet --locked --release --package compare-ecs {MANIFEST} --")), native);
    start.args(args.iter().filter(|arg| *arg != "--native"));
    // not through `run`: the program shows its progress on the terminal
    start.status().is_ok_and(|status| status.success())
}

/// Measures the scenes of record beside other programs; `args` go to the program.
pub(crate) fn physics(args: &[String]) -> bool {
    let mut start = cargo("run --quiet --locked --release --manifest-path compare/physics/Cargo.toml --");
    start.args(args);
    // not through `run`: the program shows its progress on the terminal
    start.status().is_ok_and(|status| status.success())
}

/// For this machine's processor, in a target directory of its own: C code, too.
fn with_flags(mut command: Command, native: bool) -> Command {
    if native {
        command.env("RUSTFLAGS", "-Ctarget-cpu=native").env("CFLAGS", "-march=native");
        command.env("CARGO_TARGET_DIR", root().join("compare/target/native"));
    }
    command
}

/// Everything once at tiny sizes: all engines must end in equal states.
pub(crate) fn quick(left: Duration) -> Outcome {
    let format = run(&mut cargo(&format!("fmt --all --check {MANIFEST}")), left);
    if let Some(error) = format.error() {
        return Outcome::Failed(format!("not formatted: {error}"));
    }
    // one of the tests runs everything
    run(&mut cargo(&format!("test --locked --workspace {MANIFEST} -- --nocapture")), left).tests_outcome()
}
