//! Steps, their outcomes, and the table at the end.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::failures;

/// One step of a test run.
pub(crate) struct Step {
    /// One word, for `--only` and the table.
    pub name: &'static str,
    /// What it shows when it passes.
    pub what: &'static str,
    /// Minutes that it may take where nothing is built yet: with fewer left of a run of all steps it is skipped, aloud.
    /// 0: it always runs.
    pub wants_minutes: u64,
    /// Runs it; the argument is how long it may take.
    pub run: fn(Duration) -> Outcome,
}

/// How a step ended, with what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well. The note may be empty.
    Passed(String),
    /// Something is wrong.
    Failed(String),
    /// It cannot run on this machine.
    Skipped(String),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Outcome::Passed(_) => "ok",
            Outcome::Failed(_) => "FAILED",
            Outcome::Skipped(_) => "SKIPPED",
        }
    }

    fn note(&self) -> &str {
        match self {
            Outcome::Passed(note) | Outcome::Failed(note) | Outcome::Skipped(note) => note,
        }
    }
}

/// How long after the bound a step may still run: on a machine that others use, too, all steps take longer, and none of them
/// is wrong for that.
const GRACE: Duration = Duration::from_mins(15);

/// Runs steps one after the other and remembers how they ended.
pub(crate) struct Runner {
    /// Stop at the first failure.
    pub fail_fast: bool,
    /// Until when steps begin that can be left out. Those that cannot have a little longer.
    pub bound: Duration,
    /// How long after the bound a step may still run.
    grace: Duration,
    begun: Instant,
    done: Vec<(&'static str, Outcome, Duration)>,
    /// What is known of failed tests, by step.
    failures: Vec<(&'static str, Vec<String>)>,
}

impl Runner {
    /// A run whose last steps are left out where `bound` is near.
    pub(crate) fn new(bound: Duration) -> Self {
        Runner { fail_fast: false, bound, grace: GRACE, begun: Instant::now(), done: Vec::new(), failures: Vec::new() }
    }

    /// Runs a single step, bounded by a day. True unless it failed; here a skip is a failure, as nothing was done.
    pub(crate) fn alone(name: &'static str, run: impl FnOnce(Duration) -> Outcome) -> bool {
        let day = Duration::from_hours(24);
        let mut runner = Runner::new(day);
        runner.record(name, || run(day));
        runner.finish(false) && !matches!(runner.done[..], [(_, Outcome::Skipped(_), _)])
    }

    /// Runs a step, unless an earlier failure or the time says otherwise.
    pub(crate) fn step(&mut self, step: &Step) {
        if self.fail_fast && self.failed().next().is_some() {
            return;
        }
        println!("\n==== {}: {}", step.name, step.what);
        let elapsed = self.begun.elapsed();
        let to_begin = self.bound.saturating_sub(elapsed);
        let left = (self.bound + self.grace).saturating_sub(elapsed);
        self.record(step.name, || {
            if to_begin < Duration::from_mins(step.wants_minutes) {
                let (minutes, wants, name) = (to_begin.as_secs() / 60, step.wants_minutes, step.name);
                let why = format!("it may take {wants} minutes, {minutes} are left: `cargo xtask test --only {name}`");
                return Outcome::Skipped(why);
            }
            if left.is_zero() { Outcome::Failed("not run: no time was left".to_owned()) } else { (step.run)(left) }
        });
    }

    fn record(&mut self, name: &'static str, run: impl FnOnce() -> Outcome) {
        let begun = Instant::now();
        // what an earlier step left is not this one's
        drop(failures::take());
        // A fault of this program must not hide the steps after it.
        let outcome = catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Outcome::Failed("xtask itself panicked: see above".to_owned()));
        let time = begun.elapsed();
        println!("---- {name}: {} in {:.1} s{}", outcome.word(), time.as_secs_f64(), dashed(outcome.note()));
        let seen = failures::take();
        if matches!(outcome, Outcome::Failed(_)) {
            self.failures.push((name, seen));
        }
        self.done.push((name, outcome, time));
    }

    fn failed(&self) -> impl Iterator<Item = &'static str> {
        self.done.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_))).map(|(name, ..)| *name)
    }

    /// Prints the table and the verdict; true when nothing failed.
    pub(crate) fn finish(&self, partial: bool) -> bool {
        if self.done.len() > 1 || partial {
            print!("{}", self.table());
        }
        print!("{}", self.failed_tests());
        let failed: Vec<_> = self.failed().collect();
        let skipped = self.done.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Skipped(_))).count();
        let total = self.begun.elapsed().as_secs_f64();
        if failed.is_empty() {
            let skips = if skipped == 0 { String::new() } else { format!(", {skipped} SKIPPED") };
            let part = if partial { " of the chosen steps" } else { "" };
            println!("ok{part}: {} passed{skips}, in {total:.1} s", self.done.len() - skipped);
        } else {
            println!("FAILED: {} ({} of {} steps, in {total:.1} s)", failed.join(", "), failed.len(), self.done.len());
        }
        failed.is_empty()
    }

    /// The failed tests of every step with what replays them: the end of a log is enough.
    fn failed_tests(&self) -> String {
        let mut text = String::new();
        for (step, lines) in &self.failures {
            let _ = writeln!(text, "failed in {step}: `cargo xtask test --only {step}`");
            for line in lines {
                let _ = writeln!(text, "    {line}");
            }
        }
        text
    }

    fn table(&self) -> String {
        let mut table = format!("\n{:<14} {:<8} {:>9}  {}\n", "step", "result", "time", "notes");
        for (name, outcome, time) in &self.done {
            let note = outcome.note().lines().next().unwrap_or_default();
            let _ = writeln!(table, "{name:<14} {:<8} {:>7.1} s  {note}", outcome.word(), time.as_secs_f64());
        }
        table.push('\n');
        table
    }
}

fn dashed(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(" - {note}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Step =
        Step { name: "good", what: "passes", wants_minutes: 0, run: |_| Outcome::Passed("3 passed".into()) };
    const BAD: Step =
        Step { name: "bad", what: "fails", wants_minutes: 0, run: |_| Outcome::Failed("why\nmore".into()) };
    const SKIP: Step =
        Step { name: "absent", what: "cannot run", wants_minutes: 0, run: |_| Outcome::Skipped("no tool".into()) };
    const PANIC: Step = Step { name: "panic", what: "panics", wants_minutes: 0, run: |_| panic!("a fault of a step") };

    #[test]
    fn a_failure_fails_the_run_and_later_steps_still_run() {
        let mut runner = Runner::new(Duration::from_mins(1));
        [&OK, &BAD, &SKIP].into_iter().for_each(|step| runner.step(step));
        assert_eq!(runner.done.len(), 3);
        assert!(!runner.finish(false));
        let table = runner.table();
        assert!(table.contains("FAILED") && table.contains("SKIPPED") && table.contains("no tool"), "{table}");
        assert!(!table.contains("more"), "one line for each step: {table}");
    }

    #[test]
    fn a_slow_machine_leaves_out_steps_and_fails_none() {
        let mut runner = Runner::new(Duration::ZERO);
        let optional = Step { wants_minutes: 1, run: |_| Outcome::Failed("run".into()), ..BAD };
        [&OK, &optional].into_iter().for_each(|step| runner.step(step));
        assert!(runner.finish(false), "{}", runner.table());
        assert!(matches!(runner.done[1].1, Outcome::Skipped(_)));
    }

    #[test]
    fn the_last_lines_name_the_failed_tests() {
        let mut runner = Runner::new(Duration::from_mins(1));
        runner.step(&BAD);
        // in place of what other tests of this process may have left
        runner.failures = vec![("bad", vec!["a::b".to_owned()])];
        assert!(!runner.finish(false));
        assert!(runner.failed_tests().contains("failed in bad") && runner.failed_tests().contains("    a::b\n"));
    }

    #[test]
    fn fail_fast_stops_at_the_first_failure() {
        let mut runner = Runner::new(Duration::from_mins(1));
        runner.fail_fast = true;
        [&BAD, &OK].into_iter().for_each(|step| runner.step(step));
        assert_eq!(runner.failed().collect::<Vec<_>>(), ["bad"]);
        assert_eq!(runner.done.len(), 1);
    }

    #[test]
    fn a_skip_passes_a_run_and_fails_a_command() {
        let mut runner = Runner::new(Duration::from_mins(1));
        [&OK, &SKIP].into_iter().for_each(|step| runner.step(step));
        assert!(runner.finish(false));
        assert!(!Runner::alone("absent", SKIP.run));
        assert!(Runner::alone("good", OK.run));
    }

    #[test]
    fn a_panicking_step_fails_and_the_next_one_runs() {
        let mut runner = Runner::new(Duration::from_mins(1));
        [&PANIC, &OK].into_iter().for_each(|step| runner.step(step));
        assert_eq!(runner.failed().collect::<Vec<_>>(), ["panic"]);
        assert_eq!(runner.done.len(), 2);
    }

    #[test]
    fn without_time_a_step_fails_without_running() {
        let mut runner = Runner::new(Duration::ZERO);
        runner.grace = Duration::ZERO;
        runner.step(&PANIC);
        assert!(matches!(&runner.done[0].1, Outcome::Failed(note) if note.contains("no time")));
    }
}
