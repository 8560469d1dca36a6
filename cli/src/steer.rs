//! `steer REGION`: pauses a run that was started with `--steer`, lets it run some frames, sets its pace.
#![forbid(unsafe_code)]

use std::io::Write;

use hypostyle::{RegionTarget, Steering};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::open::open;
use crate::{cluster, pace, put_json, text};

/// What to do.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region, or the world of several ranks.
    #[arg(value_name = "NAME|DIR")]
    region: RegionTarget,
    /// Without one the state is printed.
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Action {
    /// Let it stand still after its current frame; its newest state stays readable.
    Pause,
    /// Let it go on.
    Resume,
    /// Let it run so many frames, and then stand still.
    Step {
        /// Frames.
        #[arg(value_name = "N", default_value_t = 1, value_parser = crate::numbers::positive::<u64>)]
        frames: u64,
    },
    /// Let it run at most so many frames per second of real time; `max`: as many as it can.
    Pace {
        /// Frames per second.
        #[arg(value_name = "N|max", value_parser = parse_pace)]
        per_second: PerSecond,
    },
}

/// A pace, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PerSecond(Option<f64>);

fn parse_pace(text: &str) -> Result<PerSecond, String> {
    match text {
        "max" => Ok(PerSecond(None)),
        number => pace::parse_pace(number).map(|pace| PerSecond(Some(pace))).map_err(|why| format!("{why}, or `max`")),
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    // of ranks it is rank 0 that is steered, and the others with it
    let region = if cluster::is_one(&args.region) { args.region.of_rank(0) } else { args.region.clone() };
    let reader = open(&region)?;
    let steering = reader.steering()?.ok_or_else(|| {
        let name = &args.region;
        Failure::usage(format!("the run in region {name} is not steerable, or has ended: start it with `run --steer`"))
    })?;
    match args.action {
        None => {}
        Some(Action::Pause) => steering.pause(),
        Some(Action::Resume) => steering.resume(),
        Some(Action::Step { frames }) => steering.step(frames),
        Some(Action::Pace { per_second: PerSecond(pace) }) => steering.set_pace(pace),
    }
    if json {
        return put_json(out, &json!({ "paused": steering.is_paused(), "pace": steering.pace() }));
    }
    Ok(writeln!(out, "{}", told(&steering))?)
}

/// In a few words.
pub(crate) fn told(steering: &Steering) -> String {
    let state = if steering.is_paused() { "paused" } else { "running" };
    match steering.pace() {
        None => format!("{state}, as fast as it goes"),
        Some(pace) => format!("{state}, at most {} frames per second", text::number(pace)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_number_or_none() {
        assert_eq!(parse_pace("max"), Ok(PerSecond(None)));
        assert_eq!(parse_pace("60"), Ok(PerSecond(Some(60.0))));
        assert!(parse_pace("fast").expect_err("no pace").contains("`max`"));
    }
}
