//! The long version of the tests that kill, and a long and crowded run whose curves are printed: ignored tests with `soak` in
//! their names, again and again.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::long::FEATURES;
use crate::process::{self, Tests};
use crate::report::Outcome;
use crate::tools::cargo;

/// How long a round may take; longer is a hang.
const ROUND: Duration = Duration::from_mins(60);

/// The long and crowded run of a round takes a quarter of the time, within these seconds.
const CROWD_SECONDS: std::ops::RangeInclusive<u64> = 15..=1800;

/// Rounds of all soak tests until the time is up, each round with a seed of its own and so many kills.
pub(crate) fn run(time: Duration, kills: u64) -> Outcome {
    let begun = Instant::now();
    let mut tests = Tests::default();
    for round in 1u64.. {
        let features = FEATURES.split(',').map(|feature| format!("hypostyle/{feature}")).collect::<Vec<_>>().join(",");
        let mut command = cargo(&format!(
            "test --locked --package hypostyle --package hypostyle-cli --package hypostyle-scenes --release \
             --features {features} --tests -- --ignored --nocapture soak"
        ));
        let crowd = (time.as_secs() / 4).clamp(*CROWD_SECONDS.start(), *CROWD_SECONDS.end());
        command.env("HYPOSTYLE_SOAK_SECONDS", crowd.to_string());
        command.env("HYPOSTYLE_SOAK_KILLS", kills.to_string()).env("HYPOSTYLE_SOAK_SEED", round.to_string());
        let finished = process::run(&mut command, ROUND);
        tests.add(finished.tests);
        if let Some(error) = finished.error() {
            return Outcome::Failed(format!("round {round}, seed {round}: {} ({error})", finished.tests));
        }
        if tests.passed == 0 {
            return Outcome::Failed("there is no ignored test with `soak` in its name".to_owned());
        }
        if begun.elapsed() >= time {
            return Outcome::Passed(format!("{round} rounds: {tests}"));
        }
    }
    unreachable!("rounds go on until the time is up")
}
