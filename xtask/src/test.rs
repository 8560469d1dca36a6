//! The steps of `cargo xtask test`: cheap ones first, each showing one thing.
//!
//! Steps share `target/` as far as their flags allow; the models and Miri build into directories of their own.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::process::{ask, run};
use crate::report::{Outcome, Step};
use crate::tools::{cargo, cargo_deny};
use crate::{
    book, compare, engine_web, first_hour, fuzz, house, install_c, loom, machines, miri, mpi, nats, package, python,
    web,
};

/// The profile that tests run in: cargo's flags. `test` is `dev`, which has `opt-level = 1`, overflow checks and debug assertions.
pub(crate) const TEST_PROFILE: &str = "--profile test";
/// Features of the tests: the command's by default, by name so that no test is left out where they change, and points at which
/// processes can be killed.
pub(crate) const TEST_FEATURES: &str = "--features hypostyle/fault-injection,hypostyle/export,hypostyle/sandbox,\
     hypostyle-cli/export,hypostyle-cli/gateway,hypostyle-cli/pages,hypostyle-cli/sandbox,hypostyle-cli/fault-injection";
/// How long cargo may take to list files.
const ASK: Duration = Duration::from_mins(1);
/// Where the core must compile without an operating system.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// All steps, in order; those that can be left out for want of time come last.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "house",
        what: "headers, the list of unsafe files, words, floors, long functions, wide text",
        wants_minutes: 0,
        run: |_| house::check(),
    },
    Step {
        name: "format",
        what: "every file is formatted",
        wants_minutes: 0,
        run: |left| plain("fmt --all --check", left),
    },
    Step {
        name: "lint",
        what: "no warnings: workspace, all targets",
        wants_minutes: 0,
        run: |left| plain("clippy --locked --workspace --all-targets -- -D warnings", left),
    },
    Step {
        name: "lint-bare",
        what: "no warnings: the library without default features",
        wants_minutes: 0,
        run: |left| plain("clippy --locked --package hypostyle --lib --no-default-features -- -D warnings", left),
    },
    Step { name: "licences", what: "licences and sources of all crates (cargo-deny)", wants_minutes: 0, run: licences },
    Step {
        name: "targets",
        what: "no warnings: the library for Windows, macOS, musl, aarch64 and WebAssembly",
        wants_minutes: 0,
        run: machines::compiles,
    },
    Step { name: "docs", what: "the documentation has no broken parts", wants_minutes: 0, run: docs },
    Step { name: "tests", what: "unit and integration tests, with fault injection", wants_minutes: 0, run: tests },
    Step {
        name: "doc-tests",
        what: "every example in the documentation and the README",
        wants_minutes: 0,
        run: doc_tests,
    },
    Step {
        name: "book",
        what: "the book: its commands run in order and print what it shows, its links lead somewhere",
        wants_minutes: 0,
        run: book::test,
    },
    Step {
        name: "install-c",
        what: "the C interface, installed and found by pkg-config; what `cargo package` holds",
        wants_minutes: 0,
        run: |left| packaged().map_or_else(Outcome::Failed, |()| install_c::test(left)),
    },
    Step {
        name: "loom",
        what: "models of the lock-free protocols, and their mutants",
        wants_minutes: 0,
        run: loom::run,
    },
    Step { name: "fuzz", what: "every fuzz target for a short while", wants_minutes: 0, run: fuzz::short },
    Step {
        name: "guard",
        what: "instructions of the hot paths, against those written down",
        wants_minutes: 3,
        run: |left| plain("bench --locked --package hypostyle --bench guard --no-default-features", left),
    },
    Step {
        name: "web",
        what: "the web package and the page: unit tests, Chromium, a real gateway",
        wants_minutes: 8,
        run: web::test,
    },
    Step {
        name: "engine-web",
        what: "the engine in WebAssembly: the native states in node and Chromium, with workers and without",
        wants_minutes: 9,
        run: engine_web::test,
    },
    Step {
        name: "python",
        what: "the Python package: lints, wheel, tests on live simulations",
        wants_minutes: 12,
        run: package::test,
    },
    Step {
        name: "first-hour",
        what: "a newcomer's path from an empty directory: command, own world, wheel, tarball, bundlers, page",
        wants_minutes: 5,
        run: first_hour::test,
    },
    Step {
        name: "format-page",
        what: "regions, files and traces read in Python from docs/format.md alone",
        wants_minutes: 3,
        run: python::run_format,
    },
    Step { name: "pyarrow", what: "exports, read with pyarrow", wants_minutes: 6, run: python::run_scripts },
    Step { name: "miri", what: "unit tests on the heap under Miri", wants_minutes: 11, run: miri::short },
    Step {
        name: "nats",
        what: "frames on a real nats-server: late followers, restarts, lost stores",
        wants_minutes: 8,
        run: nats::test,
    },
    Step {
        name: "mpi",
        what: "one world over the processes of a real MPI: equal states, deaths, restarts",
        wants_minutes: 6,
        run: mpi::test,
    },
    Step {
        name: "machines",
        what: "the scenes' states on aarch64 (emulated) and with musl are this machine's",
        wants_minutes: 8,
        run: machines::states,
    },
    Step {
        name: "compare",
        what: "other engines do the same work and end in equal states",
        wants_minutes: 14,
        run: compare::quick,
    },
    Step {
        name: "lint-features",
        what: "no warnings: every feature but `query` and `nats`",
        wants_minutes: 7,
        run: |left| {
            plain(
                "clippy --locked --package hypostyle --package hypostyle-cli --all-targets \
                 --features hypostyle/fault-injection,hypostyle/fuzzing,hypostyle-cli/pages -- -D warnings",
                left,
            )
        },
    },
    Step { name: "query", what: "questions in SQL; it builds DataFusion", wants_minutes: 25, run: python::run_query },
];

fn plain(words: &str, left: Duration) -> Outcome {
    run(&mut cargo(words), left).outcome()
}

/// The packages hold what a user needs to build them, and no more.
fn packaged() -> Result<(), String> {
    for (package, wanted) in [
        ("hypostyle", &["README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"][..]),
        ("hypostyle-derive", &["README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"][..]),
    ] {
        let words = format!("package --list --allow-dirty --offline --package {package}");
        let list = ask(&mut cargo(&words), ASK).ok_or(format!("`cargo {words}` fails"))?;
        let missing = wanted.iter().find(|file| !list.lines().any(|line| line == **file));
        let odd =
            list.lines().find(|line| ["xtask/", "web/", "compare/", "tests/"].iter().any(|f| line.starts_with(f)));
        if let Some(file) = missing {
            return Err(format!("the package {package} has no {file}"));
        }
        if let Some(file) = odd {
            return Err(format!("the package {package} holds {file}, which is of no use there"));
        }
    }
    Ok(())
}

fn licences(left: Duration) -> Outcome {
    match cargo_deny() {
        Ok(()) => plain("deny --offline --locked check licenses bans sources", left),
        Err(why) => Outcome::Skipped(why),
    }
}

/// The documentation of what a program of one's own uses.
pub(crate) fn docs(left: Duration) -> Outcome {
    let mut command = cargo(
        "doc --locked --no-deps --lib --package hypostyle --package hypostyle-derive --package hypostyle-gateway \
         --package hypostyle-cli",
    );
    run(command.env("RUSTDOCFLAGS", "-D warnings"), left).outcome()
}

/// Libraries, binaries and integration tests; benches only have to compile, which `lint` shows. Exports are among them, as
/// they are among what the command has by default: the Arrow and Parquet crates read them back, the gateway sends them.
fn tests(left: Duration) -> Outcome {
    // a test runs the examples, as the programs that they are
    let examples = plain(&format!("build --locked --workspace --examples {TEST_PROFILE} {TEST_FEATURES}"), left);
    if !matches!(examples, Outcome::Passed(_)) {
        return examples;
    }
    // the book has a step of its own
    let words = format!(
        "test --locked --workspace --exclude hypostyle-book --lib --bins --tests --no-fail-fast {TEST_PROFILE} {TEST_FEATURES}"
    );
    run(&mut cargo(&words), left).tests_outcome()
}

/// With the features of `tests`, so that nothing is built twice.
fn doc_tests(left: Duration) -> Outcome {
    let words = format!("test --locked --workspace --doc {TEST_PROFILE} {TEST_FEATURES}");
    run(&mut cargo(&words), left).tests_outcome()
}

#[cfg(test)]
mod tests {
    use super::STEPS;

    #[test]
    fn names_are_unique_single_words() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(
                step.name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && step.name.len() < 14,
                "{}",
                step.name
            );
            assert!(STEPS[..index].iter().all(|other| other.name != step.name), "{}", step.name);
        }
    }
}
