//! The book in `docs/`: its commands run, its links lead somewhere, and mdBook builds it where mdBook is.
//!
//! Its blocks of Rust are tested by the step `doc-tests`, those of Python by `python`, those of JavaScript by `web`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Finished, ask, run};
use crate::report::Outcome;
use crate::test::{TEST_FEATURES, TEST_PROFILE, docs};
use crate::tools::{cargo, root, target_directory};

/// How long a question to mdBook may take.
const ASK: Duration = Duration::from_mins(1);
/// What to do where mdBook is not.
const GET: &str = "mdbook is not installed (`cargo install mdbook --no-default-features --locked`)";

/// Runs what the book shows, and builds it.
pub(crate) fn test(left: Duration) -> Outcome {
    let begun = Instant::now();
    let left = || left.saturating_sub(begun.elapsed());
    let documented = docs(left());
    if !matches!(documented, Outcome::Passed(_)) {
        return documented;
    }
    // an example is among them so that features are those of the tests, and nothing is built twice
    let programs = "--bin hypostyle --bin hypostyle-mpi --example hello";
    let built =
        run(&mut cargo(&format!("build --locked --workspace {programs} {TEST_PROFILE} {TEST_FEATURES}")), left());
    if built.error().is_some() {
        return built.outcome();
    }
    let words = format!("test --locked --workspace --test book {TEST_PROFILE} {TEST_FEATURES}");
    let tested = run(cargo(&words).env("HYPOSTYLE_API", target_directory().join("doc")), left());
    if tested.error().is_some() {
        return tested.tests_outcome();
    }
    match mdbook() {
        Err(why) => Outcome::Passed(format!("SKIPPED the pages themselves: {why}")),
        Ok(()) => pages(left()).map_or_else(Outcome::Failed, |path| Outcome::Passed(path.display().to_string())),
    }
}

/// Builds the pages, with the documentation of the library beside them.
pub(crate) fn alone(left: Duration) -> Outcome {
    let begun = Instant::now();
    if let Err(why) = mdbook() {
        return Outcome::Failed(why);
    }
    match docs(left) {
        Outcome::Passed(_) => pages(left.saturating_sub(begun.elapsed()))
            .map_or_else(Outcome::Failed, |path| Outcome::Passed(path.join("index.html").display().to_string())),
        other => other,
    }
}

fn mdbook() -> Result<(), String> {
    ask(Command::new("mdbook").arg("--version"), ASK).map(drop).ok_or_else(|| GET.to_owned())
}

/// Where they are.
fn pages(left: Duration) -> Result<PathBuf, String> {
    let path = target_directory().join("book");
    let mut build = Command::new("mdbook");
    build.arg("build").arg(root().join("docs")).arg("--dest-dir").arg(&path);
    done("the pages", &run(&mut build, left))?;
    copy(&target_directory().join("doc"), &path.join("api")).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn done(what: &str, finished: &Finished) -> Result<(), String> {
    finished.error().map_or(Ok(()), |error| Err(format!("{what}: {error}")))
}
