//! Counting: a child that stops at two marks, and a parent that lets it go step by step in between.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::process::{Child, Command, Stdio};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::paths::{PATHS, Path};

/// More than so many times what is written down is a failure.
const BOUND: f64 = 1.2;
const LIMITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/guard.toml");
/// Where the paths that use wide instructions were counted.
const NEEDS: &str = "avx2";

/// As a child: the path of this number. Else: all paths.
pub fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.first().map(String::as_str) {
        Some("--path") => child(&PATHS[args[1].parse::<usize>()?]),
        Some("--write") => all(true),
        None => all(false),
        Some(other) => Err(format!("{other:?} is no option: there is `--write`").into()),
    }
}

fn child(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut run = (path.make)()?;
    // the parent says when it watches
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    raise(Signal::SIGSTOP)?;
    let units = run();
    raise(Signal::SIGSTOP)?;
    println!("{}", units?);
    Ok(())
}

/// Instructions of a path per unit of its work.
fn count(number: usize) -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--path", &number.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    // copies of the C library that loop in one instruction trap at each turn of it
    command.env(
        "GLIBC_TUNABLES",
        "glibc.cpu.x86_rep_movsb_threshold=1099511627776:glibc.cpu.x86_rep_stosb_threshold=1099511627776",
    );
    let mut child = command.spawn()?;
    let counted = watch(&mut child);
    if counted.is_err() {
        // whatever went wrong, it does not stay
        child.kill()?;
    }
    let steps = counted?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status).into());
    }
    let units: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(steps as f64 / units as f64)
}

/// Steps between the marks.
fn watch(child: &mut Child) -> Result<u64, Box<dyn Error>> {
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    ptrace::attach(pid).map_err(|error| format!("a program may not watch its child here: {error}"))?;
    stopped(pid, Signal::SIGSTOP)?;
    ptrace::cont(pid, None)?;
    let mut stdin = child.stdin.take().ok_or("the child has no input")?;
    stdin.write_all(b"go\n")?;
    stopped(pid, Signal::SIGSTOP)?;
    let mut steps = 0;
    loop {
        ptrace::step(pid, None)?;
        match waitpid(pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => steps += 1,
            WaitStatus::Stopped(_, Signal::SIGSTOP) => break,
            other => return Err(format!("between the marks it stopped with {other:?}").into()),
        }
    }
    ptrace::detach(pid, None)?;
    Ok(steps)
}

fn stopped(pid: Pid, signal: Signal) -> Result<(), Box<dyn Error>> {
    loop {
        match waitpid(pid, None)? {
            WaitStatus::Stopped(_, got) if got == signal => return Ok(()),
            // it was not yet this program when it was attached
            WaitStatus::Stopped(_, Signal::SIGTRAP) => ptrace::cont(pid, None)?,
            other => return Err(format!("before a mark it stopped with {other:?}").into()),
        }
    }
}

/// Parent and child take turns: on one processor that is ten times faster.
fn stay_on_one_processor() -> Result<(), Box<dyn Error>> {
    let all = sched_getaffinity(Pid::from_raw(0))?;
    let mut one = CpuSet::new();
    for cpu in 0..CpuSet::count() {
        if all.is_set(cpu)? {
            one.set(cpu)?;
            break;
        }
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

fn all(write: bool) -> Result<(), Box<dyn Error>> {
    if !std::is_x86_feature_detected!("avx2") {
        println!("guard: skipped: the counts are of a processor with {NEEDS}, which this one lacks");
        return Ok(());
    }
    let limits: BTreeMap<String, f64> = match std::fs::read_to_string(LIMITS) {
        Ok(text) => toml::from_str(&text)?,
        Err(_) if write => BTreeMap::new(),
        Err(error) => return Err(format!("{LIMITS}: {error}").into()),
    };
    stay_on_one_processor()?;
    let mut worse = Vec::new();
    let mut counts = BTreeMap::new();
    println!("{:<38} {:>12} {:>12} {:>7}  instructions per", "path", "counted", "written", "ratio");
    for (number, path) in PATHS.iter().enumerate() {
        let counted = count(number).map_err(|error| format!("{}: {error}", path.name))?;
        let known = limits.get(path.name).copied();
        let ratio = known.map(|known| counted / known);
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        println!("{:<38} {:>12.2} {:>12} {:>7}  {}", path.name, counted, shown(known), shown(ratio), path.unit);
        counts.insert(path.name.to_owned(), (counted * 100.0).round() / 100.0);
        match ratio {
            None if !write => worse.push(format!("{} has no count in {LIMITS}", path.name)),
            Some(ratio) if ratio > BOUND => worse.push(format!("{} takes {ratio:.2} times what it took", path.name)),
            _ => {}
        }
    }
    if write {
        let note = "# Instructions per unit of each path, as `cargo bench --bench guard` counts them.\n";
        std::fs::write(LIMITS, format!("{note}{}", toml::to_string(&counts)?))?;
        return Ok(());
    }
    if worse.is_empty() { Ok(()) } else { Err(worse.join("; ").into()) }
}
