//! The simulator for as many seeds as wanted: the ignored test of `tests/model.rs`, built as all tests are.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::process;
use crate::report::{Outcome, Runner};
use crate::tools::cargo;

/// How long a run may take at most.
const BOUND: Duration = Duration::from_hours(7 * 24);
/// Where the report is.
const REPORT: &str = "target/simulated.json";

/// Which seeds, and for whom.
struct Wanted {
    first: u64,
    seeds: u64,
    json: bool,
}

fn wanted(args: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted { first: 0, seeds: 10_000, json: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let which = match arg.as_str() {
            "--json" => {
                wanted.json = true;
                continue;
            }
            "--seeds" => &mut wanted.seeds,
            "--seed" => &mut wanted.first,
            other => return Err(format!("`simulate` takes no `{other}`")),
        };
        let number = args.next().and_then(|text| text.parse().ok());
        *which = number.ok_or_else(|| format!("`{arg}` wants a whole number"))?;
    }
    if wanted.seeds == 0 {
        return Err("`--seeds` wants a number above 0".to_owned());
    }
    Ok(wanted)
}

/// Plays seeds; true when none fails.
///
/// # Errors
/// The command line is wrong.
pub(crate) fn run(args: &[String]) -> Result<bool, String> {
    let wanted = wanted(args)?;
    if !wanted.json {
        return Ok(Runner::alone("simulate", |_| play(&wanted).0));
    }
    match play(&wanted) {
        (_, Some(told)) => {
            print!("{told}");
            Ok(told.contains("\"failed\":null"))
        }
        (outcome, None) => Err(format!("the simulator did not come to its report: {outcome:?}")),
    }
}

/// What came of it, and what the simulator told for programs.
fn play(wanted: &Wanted) -> (Outcome, Option<String>) {
    let told = crate::tools::root().join(REPORT);
    let _ = std::fs::remove_file(&told);
    let mut command = cargo("test --locked --package hypostyle --features fault-injection,export --test model");
    if wanted.json {
        command.arg("--quiet");
    }
    command.args(["--", "--ignored", "--nocapture", "--exact", "simulated::simulate_as_many_seeds_as_wanted"]);
    command.env("HYPOSTYLE_SIMULATE_SEED", wanted.first.to_string());
    command.env("HYPOSTYLE_SIMULATE_SEEDS", wanted.seeds.to_string());
    command.env("HYPOSTYLE_SIMULATE_JSON", &told);
    let outcome = if wanted.json {
        process::run_aside(&mut command, BOUND).outcome()
    } else {
        process::run(&mut command, BOUND).tests_outcome()
    };
    (outcome, std::fs::read_to_string(told).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_numbers_with_names() {
        let read = |words: &str| {
            let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            wanted(&args).map(|wanted| (wanted.first, wanted.seeds, wanted.json))
        };
        assert_eq!(read(""), Ok((0, 10_000, false)));
        assert_eq!(read("--seeds 5 --seed 7 --json"), Ok((7, 5, true)));
        assert_eq!(read("--seeds 0"), Err("`--seeds` wants a number above 0".to_owned()));
        assert_eq!(read("--seed"), Err("`--seed` wants a whole number".to_owned()));
        assert_eq!(read("--sed 1"), Err("`simulate` takes no `--sed`".to_owned()));
    }
}
