//! Tests that go on for as long as wanted, ignored by the others and built as they are: simulated stories, kills at named
//! points, readers that look for torn rows.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::process;
use crate::report::{Outcome, Runner};
use crate::tools::cargo;

/// How long a run may take at most.
const BOUND: Duration = Duration::from_hours(7 * 24);

/// The library's features that these tests want, as do those of `soak`.
pub(crate) const FEATURES: &str = "fault-injection,checkpoint,export,sandbox";

/// A test that takes a number and a seed, and leaves a report.
pub(crate) struct Long {
    pub name: &'static str,
    /// The option that says how much.
    option: &'static str,
    /// So much, and the seed to begin with, where nothing is said.
    default: (u64, u64),
    /// The target that has the test, and the test.
    target: &'static str,
    test: &'static str,
    /// What the names of its settings begin with.
    settings: &'static str,
    /// With release's optimizations: it is long for what it computes.
    release: bool,
}

/// Stories of the simulator.
pub(crate) const SIMULATE: Long = Long {
    name: "simulate",
    option: "--seeds",
    default: (10_000, 0),
    target: "model",
    test: "simulated::simulate_as_many_seeds_as_wanted",
    settings: "HYPOSTYLE_SIMULATE",
    release: true,
};

/// Kills at named points.
pub(crate) const KILLS: Long = Long {
    name: "kills",
    option: "--count",
    default: (2000, 1),
    target: "processes",
    test: "kills::as_many_as_wanted",
    settings: "HYPOSTYLE_KILLS",
    release: false,
};

/// Rows that readers check.
pub(crate) const TORN: Long = Long {
    name: "torn",
    option: "--rows",
    default: (100_000_000, 1),
    target: "processes",
    test: "torn::as_many_rows_as_wanted",
    settings: "HYPOSTYLE_TORN",
    release: false,
};

#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    count: u64,
    seed: u64,
    json: bool,
}

impl Long {
    fn wanted(&self, args: &[String]) -> Result<Wanted, String> {
        let (count, seed) = self.default;
        let mut wanted = Wanted { count, seed, json: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let which = match arg.as_str() {
                "--json" => {
                    wanted.json = true;
                    continue;
                }
                "--seed" => &mut wanted.seed,
                option if option == self.option => &mut wanted.count,
                other => return Err(format!("`{}` takes no `{other}`", self.name)),
            };
            let number = args.next().and_then(|text| text.parse().ok());
            *which = number.ok_or_else(|| format!("`{arg}` wants a whole number"))?;
        }
        if wanted.count == 0 {
            return Err(format!("`{}` wants a number above 0", self.option));
        }
        Ok(wanted)
    }

    /// Runs it; true when all is well.
    ///
    /// # Errors
    /// The command line is wrong.
    pub(crate) fn run(&self, args: &[String]) -> Result<bool, String> {
        let wanted = self.wanted(args)?;
        if !wanted.json {
            return Ok(Runner::alone(self.name, |_| self.play(&wanted).0));
        }
        match self.play(&wanted) {
            (outcome, Some(told)) => {
                print!("{told}");
                Ok(matches!(outcome, Outcome::Passed(_)))
            }
            (outcome, None) => Err(format!("`{}` did not come to its report: {outcome:?}", self.name)),
        }
    }

    /// What came of it, and what it told for programs.
    fn play(&self, wanted: &Wanted) -> (Outcome, Option<String>) {
        let told = crate::tools::root().join("target").join(format!("{}.json", self.name));
        let _ = std::fs::remove_file(&told);
        let mut command = cargo(&format!("test --locked --package hypostyle --features {FEATURES} --test"));
        command.arg(self.target);
        if self.release {
            command.arg("--release");
        }
        if wanted.json {
            command.arg("--quiet");
        }
        command.args(["--", "--ignored", "--nocapture", "--exact", self.test]);
        command.env(format!("{}_COUNT", self.settings), wanted.count.to_string());
        command.env(format!("{}_SEED", self.settings), wanted.seed.to_string());
        command.env(format!("{}_JSON", self.settings), &told);
        let outcome = if wanted.json {
            process::run_aside(&mut command, BOUND).outcome()
        } else {
            process::run(&mut command, BOUND).tests_outcome()
        };
        (outcome, std::fs::read_to_string(told).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cargo leaves out, in silence, what wants more features than it is given.
    #[test]
    fn the_tests_have_the_features_that_they_want() {
        let manifest = include_str!("../../Cargo.toml");
        for target in [SIMULATE.target, KILLS.target, TORN.target] {
            let name = format!("name = \"{target}\"");
            // one that wants nothing need not be named
            let own = manifest.split("\n[").find(|part| part.starts_with("[test]") && part.contains(&name));
            let wanted = own.and_then(|own| own.lines().find_map(|line| line.strip_prefix("required-features = ")));
            for feature in wanted.unwrap_or_default().split('"').skip(1).step_by(2) {
                let has = FEATURES.split(',').any(|has| has == feature);
                assert!(has, "{target} wants {feature}");
            }
        }
    }

    #[test]
    fn options_are_numbers_with_names() {
        let read = |long: &Long, words: &str| {
            let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            long.wanted(&args)
        };
        assert_eq!(read(&KILLS, ""), Ok(Wanted { count: 2000, seed: 1, json: false }));
        assert_eq!(read(&KILLS, "--count 5 --seed 7 --json"), Ok(Wanted { count: 5, seed: 7, json: true }));
        assert_eq!(read(&TORN, "--rows 5"), Ok(Wanted { count: 5, seed: 1, json: false }));
        assert_eq!(read(&TORN, "--count 5"), Err("`torn` takes no `--count`".to_owned()));
        assert_eq!(read(&KILLS, "--count 0"), Err("`--count` wants a number above 0".to_owned()));
        assert_eq!(read(&KILLS, "--count"), Err("`--count` wants a whole number".to_owned()));
        assert_eq!(read(&SIMULATE, ""), Ok(Wanted { count: 10_000, seed: 0, json: false }));
        assert_eq!(read(&SIMULATE, "--sed 1"), Err("`simulate` takes no `--sed`".to_owned()));
    }
}
