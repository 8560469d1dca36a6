//! Other machines: the library compiles for them without a warning, and the scenes end in the same states there.
//!
//! An aarch64 program runs in qemu's user mode. Where the kernel was told of it (binfmt_misc) it starts worker
//! processes, too. A program that is linked with musl runs as it is. On Windows, which wine stands for, the library alone is
//! tested: private worlds, with threads.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{ask, run};
use crate::report::Outcome;
use crate::test::{TEST_FEATURES, TEST_PROFILE};
use crate::tools::{cargo, debian, target, target_directory};

/// Where the core compiles, without features: the last has no operating system.
const COMPILES: &[&str] = &[
    "x86_64-pc-windows-gnu",
    "aarch64-apple-darwin",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-gnu",
    crate::test::WASM,
];
/// How long a program may take to say its version, and a scene to end, on a machine that is emulated on a busy one.
const ASK: Duration = Duration::from_mins(5);
/// Scenes, small: an emulated processor does a tenth of the work.
const SCENES: &[(&str, &str)] = &[
    ("particles", "--entities 3000 --frames 60"),
    ("spheres", "--entities 150 --frames 20"),
    ("nbody", "--frames 200"),
    ("nbody", "--entities 300 --theta 0.5 --frames 5"),
    ("lj", "--entities 500 --frames 20"),
    ("fluids", "--entities 800 --frames 10"),
    ("field", "--entities 4000 --frames 20"),
    ("epidemic", "--entities 2000 --frames 20"),
];
const POOLS: &[&str] = &["local", "threads:2", "processes:2"];
/// Unit tests of what qemu's user mode does not do: a program that cannot be started is seen to start there, and a file
/// larger than its file system can be mapped and has room.
const NOT_EMULATED: &[&str] = &["a_program_that_does_not_serve_is_named", "a_segment_larger_than_the_file_system"];

/// What Debian's wine lacks of what Rust's standard library asks Windows for, in C: where its random numbers come from.
const WINE_LACKS: &str = r"
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
    return SystemFunction036(data, (ULONG)length);
}
";
const WINDOWS: Machine = Machine {
    triple: "x86_64-pc-windows-gnu",
    packages: &["gcc-mingw-w64-x86-64", "wine64"],
    compiler: "x86_64-w64-mingw32-gcc",
    emulator: Some("/usr/lib/wine/wine64"),
};

/// A machine that the program is built for and runs on.
struct Machine {
    triple: &'static str,
    packages: &'static [&'static str],
    /// The C compiler.
    compiler: &'static str,
    /// What runs a program that the kernel does not run. Its programs are linked with their own compiler.
    emulator: Option<&'static str>,
}

const MACHINES: &[Machine] = &[
    Machine { triple: "x86_64-unknown-linux-musl", packages: &["musl-tools"], compiler: "musl-gcc", emulator: None },
    Machine {
        triple: "aarch64-unknown-linux-gnu",
        packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user"],
        compiler: "aarch64-linux-gnu-gcc",
        emulator: Some("qemu-aarch64"),
    },
];

/// The core compiles for other systems and processors, without a warning.
pub(crate) fn compiles(left: Duration) -> Outcome {
    let begun = Instant::now();
    let mut missing = Vec::new();
    for triple in COMPILES {
        if let Err(why) = target(triple) {
            missing.push(why);
            continue;
        }
        let words =
            format!("clippy --locked --package hypostyle --lib --no-default-features --target {triple} -- -D warnings");
        if let Some(why) = run(&mut cargo(&words), left.saturating_sub(begun.elapsed())).error() {
            return Outcome::Failed(format!("{triple}: {why}"));
        }
    }
    match missing.as_slice() {
        [] => Outcome::Passed(COMPILES.join(", ")),
        some => Outcome::Skipped(some.join("; ")),
    }
}

/// The scenes' states on other machines are this one's.
pub(crate) fn states(left: Duration) -> Outcome {
    ended(every(left, false))
}

/// The same, and the library's unit tests on each.
pub(crate) fn states_and_units(left: Duration) -> Outcome {
    ended(every(left, true))
}

fn ended(result: Result<Outcome, String>) -> Outcome {
    result.unwrap_or_else(Outcome::Failed)
}

fn every(left: Duration, units: bool) -> Result<Outcome, String> {
    let begun = Instant::now();
    let left = || left.saturating_sub(begun.elapsed());
    let built =
        run(&mut cargo(&format!("build --locked --workspace --bin hypostyle {TEST_PROFILE} {TEST_FEATURES}")), left());
    built.error().map_or(Ok(()), Err)?;
    let wanted = SCENES.iter().map(|scene| state(&program(None), scene, "local")).collect::<Result<Vec<_>, _>>()?;
    let (mut done, mut skipped) = (Vec::new(), Vec::new());
    for machine in MACHINES {
        if let Err(why) = machine.installed() {
            skipped.push(format!("{}: {why}", machine.triple));
            continue;
        }
        let mut build = machine.cargo("build --package hypostyle-cli --bin hypostyle");
        run(&mut build, left()).error().map_or(Ok(()), |why| Err(format!("{}: {why}", machine.triple)))?;
        let spawns = machine.spawns();
        let (pools, program) = (if spawns { POOLS } else { &POOLS[..2] }, machine.program(spawns));
        for (scene, wanted) in SCENES.iter().zip(&wanted) {
            for pool in pools {
                let found = state(&program, scene, pool)?;
                println!("{:<26} {:<10} {pool:<12} {found}", machine.triple, scene.0);
                if found != *wanted {
                    let (name, options) = scene;
                    return Err(format!(
                        "{}: {name} {options} with {pool} ends in state {found}, here in {wanted}",
                        machine.triple
                    ));
                }
            }
        }
        if !spawns {
            skipped.push(format!(
                "{}: no worker processes, as the kernel was not told of {} (binfmt_misc)",
                machine.triple,
                machine.emulator.unwrap_or_default()
            ));
        }
        if units {
            let outcome = run(&mut machine.unit_tests(), left()).tests_outcome();
            let Outcome::Passed(note) = outcome else { return Ok(outcome) };
            done.push(format!("{}: {} scenes, {note}", machine.triple, SCENES.len()));
        } else {
            done.push(format!("{}: {} scenes with {} kinds of workers", machine.triple, SCENES.len(), pools.len()));
        }
    }
    if units {
        match windows(&left) {
            Outcome::Passed(note) => done.push(format!("{}: {note}", WINDOWS.triple)),
            Outcome::Skipped(why) => skipped.push(format!("{}: {why}", WINDOWS.triple)),
            failed @ Outcome::Failed(_) => return Ok(failed),
        }
    }
    let done = done.join("; ");
    Ok(match skipped.as_slice() {
        [] => Outcome::Passed(done),
        some => Outcome::Skipped([some, &[done]].concat().join("; ")),
    })
}

/// The library's unit tests under wine.
fn windows(left: &dyn Fn() -> Duration) -> Outcome {
    if let Err(why) = WINDOWS.installed() {
        return Outcome::Skipped(why);
    }
    let mut tests = WINDOWS.cargo("test --package hypostyle --lib");
    if let Err(why) = give_wine_what_it_lacks() {
        return Outcome::Failed(why);
    }
    tests.args(["--", "--test-threads", "2"]);
    run(tests.env("WINEDEBUG", "-all").env("WINEPREFIX", directory(Some(WINDOWS.triple)).join("wine")), left())
        .tests_outcome()
}

/// Puts the library where programs that wine runs find it: beside the tests.
fn give_wine_what_it_lacks() -> Result<(), String> {
    let beside = directory(Some(WINDOWS.triple)).join("debug").join("deps");
    let source = beside.join("bcryptprimitives.c");
    let told = |error: std::io::Error| format!("{}: {error}", source.display());
    std::fs::create_dir_all(&beside).map_err(told)?;
    std::fs::write(&source, WINE_LACKS).map_err(told)?;
    let mut compile = Command::new(WINDOWS.compiler);
    compile.arg("-shared").arg("-o").arg(beside.join("bcryptprimitives.dll")).arg(&source).arg("-ladvapi32");
    run(&mut compile, ASK).error().map_or(Ok(()), Err)
}

/// The path of the test profile's program, of another machine or of this one.
fn program(triple: Option<&str>) -> Vec<String> {
    vec![directory(triple).join("debug").join("hypostyle").display().to_string()]
}

/// Where cargo builds for a machine, or for this one.
fn directory(triple: Option<&str>) -> PathBuf {
    let target = target_directory();
    target.join(triple.unwrap_or_default())
}

/// The state in which a scene ends.
fn state(program: &[String], (scene, options): &(&str, &str), workers: &str) -> Result<String, String> {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).args(["run", scene, "--print-hash", "--workers", workers]).args(options.split(' '));
    let said = ask(&mut command, ASK).ok_or_else(|| format!("{command:?} fails"))?;
    let state = said.lines().find_map(|line| line.strip_prefix("state "));
    state.map(str::to_owned).ok_or_else(|| format!("{command:?} prints no state: {said}"))
}

impl Machine {
    /// The program, with what runs it where the kernel does not, as words.
    fn program(&self, spawns: bool) -> Vec<String> {
        let program = program(Some(self.triple));
        match self.emulator {
            Some(emulator) if !spawns => [vec![emulator.to_owned()], program].concat(),
            _ => program,
        }
    }

    /// Whether the kernel starts the machine's programs, and so the program its workers.
    fn spawns(&self) -> bool {
        ask(Command::new(&program(Some(self.triple))[0]).arg("--version"), ASK).is_some()
    }

    /// Cargo for this machine, without features that need more than a C compiler.
    fn cargo(&self, words: &str) -> Command {
        let mut command =
            cargo(&format!("{words} --locked --no-default-features {TEST_PROFILE} --target {}", self.triple));
        let variable = |what: &str| format!("CARGO_TARGET_{}_{what}", self.triple.to_uppercase().replace('-', "_"));
        command.env(variable("RUSTFLAGS"), "-Ctarget-feature=+crt-static");
        if let Some(emulator) = self.emulator {
            command.env(variable("LINKER"), self.compiler).env(variable("RUNNER"), emulator);
        }
        command
    }

    fn unit_tests(&self) -> Command {
        let mut tests = self.cargo("test --package hypostyle --lib --features fault-injection,checkpoint");
        tests.args(["--", "--test-threads", "2"]);
        if self.emulator.is_some() {
            tests.args(NOT_EMULATED.iter().flat_map(|test| ["--skip", test]));
        }
        tests
    }

    /// Whether all that it wants is here, after an attempt to get it where it is not.
    fn installed(&self) -> Result<(), String> {
        target(self.triple)?;
        let there = || {
            [Some(self.compiler), self.emulator]
                .into_iter()
                .flatten()
                .all(|program| ask(Command::new(program).arg("--version"), ASK).is_some())
        };
        debian(self.compiler, self.packages, there)
    }
}
