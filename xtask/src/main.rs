//! Everything that is done to the repository rather than by the engine: `cargo xtask test` and its parts.
//!
//! Invariants: no command reads from a terminal; every command that it starts has a bound in time; what cannot run on
//! this machine is reported as skipped, with the reason, and never counts as passed.
//! This program knows the engine only from outside: it starts cargo and reads source text.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command-line program")]

mod book;
mod compare;
mod engine_web;
mod failures;
mod first_hour;
mod fuzz;
mod house;
mod install_c;
mod lammps;
mod long;
mod loom;
mod machines;
mod miri;
mod mpi;
mod nats;
mod package;
mod process;
mod python;
mod ranks;
mod report;
mod sanitize;
mod soak;
mod test;
mod tools;
mod web;

use std::process::ExitCode;
use std::time::Duration;

use report::{Outcome, Runner};

const HELP: &str = "\
cargo xtask COMMAND

  test [--fail-fast] [--only STEP[,STEP...]] [--minutes-max N]
                          everything that decides whether the repository is sound (default: about 40 minutes, at
                          most 55; where the machine is slow, the last steps are left out)
  steps                   the names of the steps of `test`
  house                   the house rules alone, and figures: floors, crates, names, long functions
  loom [--mutants]        the loom models alone; with `--mutants` a table: each ordering, and the models that fail without it
  sanitize                the library's unit tests with ThreadSanitizer, then with AddressSanitizer
  miri [FILTER...]        the unit tests under Miri; without filters the list that `test` runs
  fuzz TARGET [--minutes N]
                          one target of fuzz/ (default: 60 minutes)
  simulate [--seeds N] [--seed S] [--json]
                          the simulator: N seeds from S on (default: 10000 from 0), and the points that they passed
  kills [--count N] [--seed S] [--json]
                          processes killed at named points (default: 2000), and what became of each
  torn [--rows N] [--seed S] [--json]
                          rows that readers check while writers are flat out and killed (default: 100000000)
  soak [--minutes N] [--kills N]
                          the ignored soak tests, again and again with new seeds (default: 60 minutes, 1000 kills each)
  machines                the scenes' states and the library's unit tests on aarch64 (emulated) and with musl; the unit
                          tests on Windows (wine)
  compare [--native] [ARGS...]
                          hypostyle beside other engines; `cargo xtask compare --help` names the arguments
  install-c --prefix DIR  the C interface: header, libraries, files for pkg-config and CMake
  first-hour              how long it takes from a clone to the first picture where nothing is built
  wheel                   a wheel of the Python package, with the command in it
  ranks [--atoms N] [--frames N] [--rounds N]
                          what ranks of MPI cost in CPU time (default: 32000 atoms a rank, 200 frames, 3 rounds), beside
                          LAMMPS
  book                    the book's pages, by mdBook, with the library's documentation beside them
  physics [ARGS...]       the scenes beside LAMMPS, rapier3d and loops by hand; `--help` names the arguments

Exit codes: 0 all is well, 1 something failed, 2 the command line is wrong.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, args)) = args.split_first() else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    if let Err(error) = std::env::set_current_dir(tools::root()) {
        println!("xtask: cannot enter {}: {error}", tools::root().display());
        return ExitCode::FAILURE;
    }
    let result = match command.as_str() {
        "test" => test(args),
        "steps" => steps(args),
        "house" => alone(args, "house", |_| house::check_and_print()),
        "loom" if args == ["--mutants"] => Ok(Runner::alone("loom", loom::mutants)),
        "loom" => alone(args, "loom", loom::run),
        "sanitize" => alone(args, "sanitize", sanitize::both),
        "miri" => Ok(Runner::alone("miri", |left| miri::long(args, left))),
        "fuzz" => fuzz(args),
        "simulate" => long::SIMULATE.run(args),
        "kills" => long::KILLS.run(args),
        "torn" => long::TORN.run(args),
        "soak" => soak(args),
        "machines" => alone(args, "machines", machines::states_and_units),
        "compare" => Ok(compare::full(args)),
        "physics" => Ok(compare::physics(args)),
        "ranks" => ranks(args),
        "book" => alone(args, "book", book::alone),
        "install-c" => install_c(args),
        "first-hour" => alone(args, "first-hour", first_hour::cold),
        "wheel" => alone(args, "wheel", |_| package::wheel_alone()),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(true)
        }
        other => Err(format!("there is no command `{other}`")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("xtask: {error}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn alone(args: &[String], name: &'static str, step: fn(Duration) -> Outcome) -> Result<bool, String> {
    match args {
        [] => Ok(Runner::alone(name, step)),
        [arg, ..] => Err(format!("`{name}` takes no `{arg}`")),
    }
}

fn steps(args: &[String]) -> Result<bool, String> {
    if let [arg, ..] = args {
        return Err(format!("`steps` takes no `{arg}`"));
    }
    for step in test::STEPS {
        println!("{:<14}{}", step.name, step.what);
    }
    Ok(true)
}

fn test(args: &[String]) -> Result<bool, String> {
    let mut runner = Runner::new(Duration::from_mins(40));
    let mut only: Option<Vec<&str>> = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--fail-fast" => runner.fail_fast = true,
            "--minutes-max" => runner.bound = minutes(arg, args.next())?,
            "--only" => {
                let names: Vec<&str> = args.next().ok_or("`--only` wants names of steps")?.split(',').collect();
                if let Some(name) = names.iter().find(|name| !test::STEPS.iter().any(|step| step.name == **name)) {
                    return Err(format!("there is no step `{name}`; `cargo xtask steps` names them"));
                }
                only = Some(names);
            }
            other => return Err(format!("`test` takes no `{other}`")),
        }
    }
    for step in test::STEPS {
        if only.as_ref().is_none_or(|names| names.contains(&step.name)) {
            runner.step(step);
        }
    }
    Ok(runner.finish(only.is_some()))
}

fn ranks(args: &[String]) -> Result<bool, String> {
    let mut size = ranks::Size { atoms: 32_000, frames: 200, rounds: 3 };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let which = match arg.as_str() {
            "--atoms" => &mut size.atoms,
            "--frames" => &mut size.frames,
            "--rounds" => &mut size.rounds,
            other => return Err(format!("`ranks` takes no `{other}`")),
        };
        let number = args.next().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
        *which = number.ok_or_else(|| format!("`{arg}` wants a number above 0"))?;
    }
    Ok(Runner::alone("ranks", |_| ranks::measure(&size)))
}

fn fuzz(args: &[String]) -> Result<bool, String> {
    match args {
        [target] if !target.starts_with('-') => {
            Ok(Runner::alone("fuzz", |_| fuzz::long(target, Duration::from_mins(60))))
        }
        [target, option, value] if option == "--minutes" => {
            let time = minutes(option, Some(value))?;
            Ok(Runner::alone("fuzz", |_| fuzz::long(target, time)))
        }
        _ => Err(format!("`fuzz` wants a target, one of: {}", fuzz::targets().join(", "))),
    }
}

fn soak(args: &[String]) -> Result<bool, String> {
    let (mut time, mut kills) = (Duration::from_mins(60), 1000);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--minutes" => time = minutes(arg, args.next())?,
            "--kills" => {
                kills = args.next().and_then(|text| text.parse().ok()).ok_or("`--kills` wants a whole number")?;
            }
            other => return Err(format!("`soak` takes no `{other}`")),
        }
    }
    Ok(Runner::alone("soak", |_| soak::run(time, kills)))
}

fn install_c(args: &[String]) -> Result<bool, String> {
    match args {
        [option, prefix] if option == "--prefix" => {
            Ok(Runner::alone("install-c", |_| install_c::install(std::path::Path::new(prefix))))
        }
        _ => Err("`install-c` wants `--prefix DIR`".to_owned()),
    }
}

fn minutes(option: &str, text: Option<&String>) -> Result<Duration, String> {
    text.and_then(|text| text.parse().ok())
        .filter(|minutes| (1..=100_000).contains(minutes))
        .map(Duration::from_mins)
        .ok_or_else(|| format!("`{option}` wants a whole number of minutes, 1 or more"))
}
