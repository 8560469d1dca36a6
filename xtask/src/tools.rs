//! What is on this machine, and getting what can be had.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{ask, run};

/// How long a question to a tool may take.
const ASK: Duration = Duration::from_mins(1);
/// How long getting a toolchain's part may take.
const GET: Duration = Duration::from_mins(3);

/// How long Debian's packages may take to come.
const DEBIAN: Duration = Duration::from_mins(5);

/// Checks that a program is here, after an attempt to install Debian's packages where it is not.
///
/// # Errors
/// Why it cannot be had.
pub(crate) fn debian(program: &str, packages: &[&str], there: impl Fn() -> bool) -> Result<(), String> {
    if there() {
        return Ok(());
    }
    let mut get = Command::new("apt-get");
    get.args(["install", "--yes", "--no-install-recommends"]).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    let finished = run(&mut get, DEBIAN);
    if there() {
        return Ok(());
    }
    let why = finished.error().unwrap_or_else(|| "it is still missing".to_owned());
    Err(format!("there is no {program}, and apt-get did not help: {why}"))
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds.
pub(crate) fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The program, without what the cargo that runs this one says about this one's own build.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO" {
            command.env_remove(name);
        }
    }
    command
}

/// The cargo that runs this program, doing what `words` say.
pub(crate) fn cargo(words: &str) -> Command {
    let mut command = clean(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words.split_whitespace());
    command
}

/// The nightly toolchain's cargo, doing what `words` say.
pub(crate) fn nightly_cargo(words: &str) -> Command {
    let mut command = clean("rustup");
    command.args(["run", "nightly", "cargo"]).args(words.split_whitespace());
    command
}

/// Checks that a target's standard library is here, after an attempt to get it where it is not.
///
/// # Errors
/// Why it cannot be had.
pub(crate) fn target(name: &str) -> Result<(), String> {
    let library = || {
        let sysroot = ask(clean("rustc").args(["--print", "sysroot"]), ASK)?;
        let path: PathBuf = [sysroot.trim(), "lib", "rustlib", name, "lib"].iter().collect();
        path.is_dir().then_some(())
    };
    if library().is_some() {
        return Ok(());
    }
    let finished = run(clean("rustup").args(["target", "add", name]), GET);
    library().ok_or_else(|| {
        let why = finished.error().unwrap_or_else(|| "it is still missing".to_owned());
        format!("the target {name} is not installed, and `rustup target add` did not help: {why}")
    })
}

/// Checks that there is a nightly toolchain.
///
/// # Errors
/// That there is none.
pub(crate) fn nightly() -> Result<(), String> {
    ask(clean("rustup").args(["run", "nightly", "rustc", "--version"]), ASK)
        .map(drop)
        .ok_or_else(|| "there is no nightly toolchain (`rustup toolchain install nightly`)".to_owned())
}

/// Checks that the nightly toolchain has the standard library's source, after an attempt to get it where it has not.
///
/// # Errors
/// Why it cannot be had.
pub(crate) fn nightly_source() -> Result<(), String> {
    nightly()?;
    let source = || {
        let sysroot = ask(clean("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]), ASK)?;
        let path: PathBuf = [sysroot.trim(), "lib", "rustlib", "src", "rust", "library", "std"].iter().collect();
        path.is_dir().then_some(())
    };
    if source().is_some() {
        return Ok(());
    }
    let finished = run(clean("rustup").args(["component", "add", "rust-src", "--toolchain", "nightly"]), GET);
    source().ok_or_else(|| {
        let why = finished.error().unwrap_or_else(|| "it is still missing".to_owned());
        format!("the nightly toolchain has no rust-src, and `rustup component add` did not help: {why}")
    })
}

/// Checks that Miri is here, after an attempt to get it where it is not.
///
/// # Errors
/// Why it cannot be had.
pub(crate) fn miri() -> Result<(), String> {
    nightly()?;
    let found = || ask(&mut nightly_cargo("miri --version"), ASK).filter(|version| version.starts_with("miri"));
    if found().is_some() {
        return Ok(());
    }
    let add = ["component", "add", "miri", "rust-src", "--toolchain", "nightly"];
    let finished = run(clean("rustup").args(add), GET);
    found().map(drop).ok_or_else(|| {
        let why = finished.error().unwrap_or_else(|| "it is still missing".to_owned());
        format!("Miri is not installed, and `rustup component add` did not help: {why}")
    })
}

/// Checks that cargo-fuzz is here.
///
/// # Errors
/// What is missing.
pub(crate) fn cargo_fuzz() -> Result<(), String> {
    nightly()?;
    ask(&mut nightly_cargo("fuzz --version"), ASK)
        .map(drop)
        .ok_or_else(|| "cargo-fuzz is not installed (`cargo install cargo-fuzz --locked`)".to_owned())
}

/// Checks that cargo-deny is here.
///
/// # Errors
/// That it is not.
pub(crate) fn cargo_deny() -> Result<(), String> {
    ask(&mut cargo("deny --version"), ASK)
        .map(drop)
        .ok_or_else(|| "cargo-deny is not installed (`cargo install cargo-deny --locked`)".to_owned())
}
