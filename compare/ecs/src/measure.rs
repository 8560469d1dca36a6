//! Measuring: the contenders of a case run in turn, round after round, and must end in the same state.
//!
//! A contender is a state with a timed part, an untimed preparation before each timed part, and a checksum. All
//! contenders of a case run their timed part equally often, so that their final states are comparable.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::time::Instant;

use crate::row::{Row, check};

/// What was asked for on the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cases whose `group: case` contains one of these; none: all.
    pub cases: Vec<String>,
    /// Engines whose names contain one of these; none: all.
    pub engines: Vec<String>,
    /// Sizes instead of each case's own; none: those.
    pub entities: Vec<usize>,
    /// Timed rounds.
    pub rounds: usize,
    /// Tiny sizes, to see that everything works.
    pub quick: bool,
    /// Cores to use where a case uses all.
    pub cores: usize,
    /// Only names, nothing is measured.
    pub list: bool,
}

/// Where results are collected.
pub struct Bench {
    /// What was asked for.
    pub options: Options,
    /// Results so far.
    pub rows: Vec<Row>,
    /// Called with the rows of each finished comparison.
    pub tell: Box<dyn FnMut(&[Row])>,
}

/// States that should be equal and are not.
#[derive(Debug)]
pub struct Mismatch(String);

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

impl Bench {
    /// The sizes of a case.
    pub fn sizes(&self, full: &[usize], quick: &[usize]) -> Vec<usize> {
        match (&self.options.entities[..], self.options.quick) {
            ([], true) => quick.to_vec(),
            ([], false) => full.to_vec(),
            (asked, _) => asked.to_vec(),
        }
    }

    /// Begins a comparison, where it is wanted.
    pub fn field(&mut self, group: &str, case: &str, entities: usize) -> Option<Field<'_>> {
        let name = format!("{group}: {case}");
        let wanted = &self.options.cases;
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            return None;
        }
        if self.options.list {
            println!("{name}, {entities}");
            return None;
        }
        Some(Field {
            name: format!("{name}, {entities}"),
            bench: self,
            group: group.to_owned(),
            case: case.to_owned(),
            entities,
            operations: entities as u64,
            repeats: 1,
            unit: "ns/entity",
            contenders: Vec::new(),
        })
    }
}

/// One engine in one variant.
struct Contender {
    engine: &'static str,
    variant: String,
    note: String,
    subject: Box<dyn Subject>,
    times: Vec<f64>,
}

trait Subject {
    /// Prepares and runs `repeats` times; nanoseconds of the runs.
    fn run(&mut self, repeats: u64) -> f64;
    fn checksum(&mut self) -> u64;
}

struct Prepared<S, P, R, C> {
    state: S,
    prepare: P,
    run: R,
    check: C,
}

impl<S, P: FnMut(&mut S), R: FnMut(&mut S), C: FnMut(&mut S) -> u64> Subject for Prepared<S, P, R, C> {
    fn run(&mut self, repeats: u64) -> f64 {
        let mut nanoseconds = 0.0;
        for _ in 0..repeats {
            (self.prepare)(&mut self.state);
            let begun = Instant::now();
            (self.run)(&mut self.state);
            nanoseconds += begun.elapsed().as_nanos() as f64;
        }
        nanoseconds
    }

    fn checksum(&mut self) -> u64 {
        (self.check)(&mut self.state)
    }
}

struct Simple<S, R, C> {
    state: S,
    run: R,
    check: C,
}

impl<S, R: FnMut(&mut S), C: FnMut(&mut S) -> u64> Subject for Simple<S, R, C> {
    fn run(&mut self, repeats: u64) -> f64 {
        let begun = Instant::now();
        for _ in 0..repeats {
            (self.run)(&mut self.state);
        }
        begun.elapsed().as_nanos() as f64
    }

    fn checksum(&mut self) -> u64 {
        (self.check)(&mut self.state)
    }
}

/// A comparison being put together.
pub struct Field<'b> {
    bench: &'b mut Bench,
    name: String,
    group: String,
    case: String,
    entities: usize,
    operations: u64,
    repeats: u64,
    unit: &'static str,
    contenders: Vec<Contender>,
}

impl Field<'_> {
    /// Operations in one run, and what the time of one is called (default: one per entity, `ns/entity`).
    pub fn operations(&mut self, operations: u64, unit: &'static str) -> &mut Self {
        (self.operations, self.unit) = (operations, unit);
        self
    }

    /// Runs in one timed sample (default 1).
    pub fn repeats(&mut self, repeats: u64) -> &mut Self {
        self.repeats = repeats.max(1);
        self
    }

    /// Runs in one timed sample so that one takes about a millisecond, if an operation takes `ns`.
    pub fn repeats_for(&mut self, ns: f64) -> &mut Self {
        let target = if self.bench.options.quick { 1e4 } else { 2e6 };
        let repeats = (target / (ns * self.operations.max(1) as f64)).ceil() as u64;
        self.repeats(repeats.clamp(1, 10_000))
    }

    /// Runs in one timed sample: where this is only to see that everything works, and else.
    pub fn repeats_quick_or(&mut self, quick: u64, full: u64) -> &mut Self {
        self.repeats(if self.bench.options.quick { quick } else { full })
    }

    fn wants(&self, engine: &str) -> bool {
        let asked = &self.bench.options.engines;
        asked.is_empty() || asked.iter().any(|part| engine.contains(part.as_str()))
    }

    fn push(&mut self, engine: &'static str, variant: &str, subject: Box<dyn Subject>) {
        let (variant, times) = (variant.to_owned(), Vec::new());
        self.contenders.push(Contender { engine, variant, note: String::new(), subject, times });
    }

    /// Adds a contender without preparation.
    pub fn add<S: 'static>(
        &mut self,
        engine: &'static str,
        variant: &str,
        make: impl FnOnce() -> S,
        run: impl FnMut(&mut S) + 'static,
        check: impl FnMut(&mut S) -> u64 + 'static,
    ) -> &mut Self {
        if self.wants(engine) {
            self.say(&format!("making {engine}"));
            self.push(engine, variant, Box::new(Simple { state: make(), run, check }));
        }
        self
    }

    /// Adds a contender with an untimed preparation before each run.
    pub fn add_prepared<S: 'static>(
        &mut self,
        engine: &'static str,
        variant: &str,
        make: impl FnOnce() -> S,
        prepare: impl FnMut(&mut S) + 'static,
        run: impl FnMut(&mut S) + 'static,
        check: impl FnMut(&mut S) -> u64 + 'static,
    ) -> &mut Self {
        if self.wants(engine) {
            self.say(&format!("making {engine}"));
            self.push(engine, variant, Box::new(Prepared { state: make(), prepare, run, check }));
        }
        self
    }

    /// Says something about the contender that was added last, if it is of this engine.
    pub fn note(&mut self, engine: &str, note: &str) -> &mut Self {
        if let Some(last) = self.contenders.last_mut().filter(|last| last.engine == engine) {
            last.note = note.to_owned();
        }
        self
    }

    fn say(&self, what: &str) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{}: {what}", self.name);
            let _ = std::io::stderr().flush();
        }
    }

    /// Measures.
    ///
    /// # Errors
    /// Two engines that end in different states.
    pub fn measure(mut self) -> Result<(), Mismatch> {
        let rounds = self.bench.options.rounds;
        let warm = if self.bench.options.quick { 1 } else { 2 };
        let count = self.contenders.len();
        for round in 0..warm + rounds {
            self.say(&format!("round {} of {}", (round + 1).saturating_sub(warm), rounds));
            // each round begins with another contender: nobody always follows the same one
            for place in 0..count {
                let contender = &mut self.contenders[(place + round) % count];
                let nanoseconds = contender.subject.run(self.repeats);
                if round >= warm {
                    contender.times.push(nanoseconds / (self.repeats * self.operations) as f64);
                }
            }
        }
        self.say("checking");
        let mut rows = Vec::with_capacity(count);
        for contender in &mut self.contenders {
            contender.times.sort_by(f64::total_cmp);
            rows.push(Row {
                group: self.group.clone(),
                case: self.case.clone(),
                entities: self.entities as u64,
                engine: contender.engine.to_owned(),
                variant: contender.variant.clone(),
                unit: self.unit.to_owned(),
                median: quantile(&contender.times, 0.5),
                low: quantile(&contender.times, 0.25),
                high: quantile(&contender.times, 0.75),
                checksum: format!("{:016x}", contender.subject.checksum()),
                note: contender.note.clone(),
            });
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        check(&rows).map_err(Mismatch)?;
        (self.bench.tell)(&rows);
        self.bench.rows.extend(rows);
        Ok(())
    }
}

/// Between the two nearest values in proportion.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = last as f64 * q;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> Bench {
        let options = Options {
            cases: Vec::new(),
            engines: Vec::new(),
            entities: Vec::new(),
            rounds: 2,
            quick: true,
            cores: 1,
            list: false,
        };
        Bench { options, rows: Vec::new(), tell: Box::new(|_| {}) }
    }

    #[test]
    fn contenders_run_equally_often() {
        let mut bench = bench();
        let mut field = bench.field("g", "c", 1).expect("all cases are wanted");
        field.repeats(3);
        field.add("a", "", || 0u64, |n| *n += 1, |n| *n);
        field.add_prepared("b", "", || (0u64, 0u64), |s| s.0 += 1, |s| s.1 = s.0, |s| s.1);
        field.measure().expect("both count");
        assert_eq!(bench.rows.len(), 2);
        assert_eq!(bench.rows[0].checksum, format!("{:016x}", 9));
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.25), 1.5);
        assert_eq!(quantile(&[3.0], 0.75), 3.0);
    }

    #[test]
    fn different_states_are_an_error_that_names_both() {
        let mut bench = bench();
        let mut field = bench.field("g", "c", 1).expect("all cases are wanted");
        field.add("first", "", || (), |()| {}, |()| 1).add("second", "", || (), |()| {}, |()| 2);
        let error = field.measure().expect_err("the checksums differ").to_string();
        assert!(error.contains("first") && error.contains("second"), "{error}");
    }
}
