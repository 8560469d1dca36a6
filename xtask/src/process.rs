//! Starting other programs: shown before they run, bounded in time, their test results counted as they pass by.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::failures::{self, Listener};
use crate::report::Outcome;

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long a program's last output may take to arrive after its end: a process it left behind may hold the pipe.
const DRAIN: Duration = Duration::from_secs(2);

/// Tests that passed by in a program's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
    /// Single tests that were seen to fail, also where no result of all of them followed.
    lines_failed: u64,
}

impl Tests {
    /// Counts a line of libtest's: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn count(&mut self, line: &str) {
        self.lines_failed += u64::from(line.starts_with("test ") && line.trim_end().ends_with("... FAILED"));
        let Some(at) = line.find("test result: ") else { return };
        let words: Vec<&str> = line[at..].split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let number = || pair[0].parse::<u64>().unwrap_or(0);
            match pair[1] {
                "passed" => self.passed += number(),
                "failed" => self.failed += number(),
                "ignored" => self.ignored += number(),
                _ => {}
            }
        }
    }

    /// Whether any test failed, as far as the output went.
    pub(crate) fn any_failed(&self) -> bool {
        self.failed + self.lines_failed > 0
    }

    /// Adds another count.
    pub(crate) fn add(&mut self, other: Tests) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.lines_failed += other.lines_failed;
    }
}

impl fmt::Display for Tests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)
    }
}

/// How a program ended.
#[derive(Debug)]
pub(crate) enum End {
    /// By itself.
    Exit(ExitStatus),
    /// It was killed, with everything it had started, after this time.
    Late(Duration),
    /// It could not be started.
    Absent(String),
}

/// A program's end and the tests that it ran.
#[derive(Debug)]
pub(crate) struct Finished {
    pub end: End,
    pub tests: Tests,
}

impl Finished {
    /// What went wrong, if anything.
    pub(crate) fn error(&self) -> Option<String> {
        match &self.end {
            End::Exit(status) if status.success() => None,
            End::Exit(status) => Some(status.to_string()),
            End::Late(bound) => Some(format!("killed after {:.0} s: it took too long or hung", bound.as_secs_f64())),
            End::Absent(error) => Some(error.clone()),
        }
    }

    /// Whether it was killed for the time it took.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.end, End::Late(_))
    }

    /// The outcome of a program that runs no tests.
    pub(crate) fn outcome(&self) -> Outcome {
        self.error().map_or_else(|| Outcome::Passed(String::new()), Outcome::Failed)
    }

    /// The outcome of a program that runs tests; having run none is a failure.
    pub(crate) fn tests_outcome(&self) -> Outcome {
        match self.error() {
            Some(error) => Outcome::Failed(format!("{} ({error})", self.tests)),
            None if self.tests.passed == 0 => Outcome::Failed("no test ran".to_owned()),
            None => Outcome::Passed(self.tests.to_string()),
        }
    }
}

/// Runs a program to its end, at most for `bound`; its output passes through. It gets no input.
pub(crate) fn run(command: &mut Command, bound: Duration) -> Finished {
    println!("$ {}", shown(command));
    let tests = Arc::new(Mutex::new(Tests::default()));
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let name = command.get_program().to_string_lossy();
            return Finished { end: End::Absent(format!("cannot start `{name}`: {error}")), tests: Tests::default() };
        }
    };
    let reader = child.stdout.take().map(|stdout| {
        let tests = Arc::clone(&tests);
        thread::spawn(move || pass_through(BufReader::new(stdout), &tests))
    });
    let end = wait(&mut child, bound);
    if let Some(reader) = reader {
        let begun = Instant::now();
        while !reader.is_finished() && begun.elapsed() < DRAIN {
            thread::sleep(POLL);
        }
    }
    let tests = *tests.lock().unwrap_or_else(PoisonError::into_inner);
    Finished { end, tests }
}

/// Runs a program to its end, at most for `bound`, without its output: what it tells is in a file.
pub(crate) fn run_aside(command: &mut Command, bound: Duration) -> Finished {
    let tests = Tests::default();
    match command.stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
        Ok(mut child) => Finished { end: wait(&mut child, bound), tests },
        Err(error) => Finished { end: End::Absent(format!("cannot start it: {error}")), tests },
    }
}

/// Runs a program silently; its output if it succeeded within `bound`.
pub(crate) fn ask(command: &mut Command, bound: Duration) -> Option<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let stdout = child.stdout.take()?;
    let reader = thread::spawn(move || std::io::read_to_string(stdout).unwrap_or_default());
    match wait(&mut child, bound) {
        End::Exit(status) if status.success() => reader.join().ok(),
        _ => None,
    }
}

fn pass_through(mut from: impl BufRead, tests: &Mutex<Tests>) {
    let mut line = Vec::new();
    let mut listener = Listener::default();
    while matches!(from.read_until(b'\n', &mut line), Ok(bytes) if bytes > 0) {
        let text = String::from_utf8_lossy(&line);
        tests.lock().unwrap_or_else(PoisonError::into_inner).count(&text);
        if let Some(failure) = listener.hear(&text) {
            failures::keep(failure);
        }
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
        line.clear();
    }
}

fn wait(child: &mut Child, bound: Duration) -> End {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return End::Exit(status),
            Ok(None) if begun.elapsed() < bound => thread::sleep(POLL),
            Ok(None) => {
                kill_tree(child);
                return End::Late(bound);
            }
            Err(error) => return End::Absent(format!("cannot wait for it: {error}")),
        }
    }
}

/// Kills a child and its descendants. Those are found through /proc; where there is none, only the child is killed.
fn kill_tree(child: &mut Child) {
    let mut ids = vec![child.id()];
    let mut next = 0;
    while let Some(id) = ids.get(next) {
        let children = children_of(*id);
        ids.extend(children);
        next += 1;
    }
    // From the top, so that nobody who would start more is left; the child itself last and through its own handle,
    // because its id stays ours until then.
    let descendants: Vec<String> = ids[1..].iter().map(u32::to_string).collect();
    if !descendants.is_empty() {
        let _ = Command::new("sh").args(["-c", "kill -KILL \"$@\" 2>/dev/null", "kill"]).args(descendants).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn children_of(id: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { return Vec::new() };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|children| children.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// The command as one would type it, with the variables that were set for it.
fn shown(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy()))))
        .collect();
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    words.extend([program].into_iter().chain(command.get_args()).map(|word| quoted(&word.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_tests_are_counted() {
        let mut tests = Tests::default();
        tests.count("running 3 tests");
        tests.count("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 4 filtered out; finished in 0.02s\n");
        tests.count("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.5s");
        assert_eq!(tests, Tests { passed: 13, failed: 2, ignored: 3, lines_failed: 0 });
        let mut cut = Tests::default();
        cut.count("test a::b ... ok\n");
        assert!(!cut.any_failed());
        cut.count("test a::c ... FAILED\n");
        assert!(cut.any_failed() && tests.any_failed());
    }

    #[test]
    fn a_run_without_tests_is_no_success() {
        let finished = run(Command::new("true").env("A", "b c"), Duration::from_secs(10));
        assert_eq!(finished.outcome(), Outcome::Passed(String::new()));
        assert_eq!(finished.tests_outcome(), Outcome::Failed("no test ran".to_owned()));
        assert!(run(&mut Command::new("false"), Duration::from_secs(10)).error().is_some());
        assert!(run(&mut Command::new("./no-such-program"), Duration::from_secs(10)).error().is_some());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_takes_too_long_is_killed_with_its_descendants() {
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c 'sleep 1000; true' & wait"]);
        let mut child = command.stdin(Stdio::null()).spawn().expect("there is a shell");
        let grandchild = loop {
            let children = children_of(child.id());
            if let Some(found) = children.iter().find_map(|id| children_of(*id).first().copied()) {
                break found;
            }
            thread::sleep(POLL);
        };
        assert!(matches!(wait(&mut child, Duration::ZERO), End::Late(_)));
        // Whoever adopted it may take a moment to collect it: gone, or dead and uncollected.
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| !stat.is_empty() && !rest.starts_with(['Z', 'X']))
        };
        while alive() {
            thread::sleep(POLL);
        }
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("cargo");
        command.args(["test", "--", "a b"]).env("RUSTFLAGS", "--cfg loom");
        assert_eq!(shown(&command), "RUSTFLAGS='--cfg loom' cargo test -- 'a b'");
    }
}
