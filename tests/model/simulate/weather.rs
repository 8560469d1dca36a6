//! What goes wrong in a step, by the story's weather.

use std::path::{Path, PathBuf};

use super::CHECKPOINTS;
use super::director::{
    CRASHES, CRASHES_BACK, Crash, Crashed, Dice, POWER_FAILS, REFUSED, REFUSED_FILES, REFUSED_RECORDS, Trouble,
};
use super::story::{Setup, Step, Weather};

/// What goes wrong in a step. `places`: the region, where one is published in files, and the directory that it is in.
pub fn trouble(setup: &Setup, number: usize, seed: u64, step: &Step, places: Option<(&Path, &Path)>) -> Trouble {
    let mut dice = Dice(seed ^ 0x7_0ab1e);
    let mut trouble = Trouble::default();
    let storm = setup.weather == Weather::Storm;
    let any = |dice: &mut Dice, weather: Weather| setup.weather == weather || (storm && dice.one_in(3));
    if any(&mut dice, Weather::Deaths) {
        trouble.deaths = 1 + dice.below(2);
        trouble.death_odds = 1 << (2 + dice.below(9));
    }
    if setup.weather == Weather::Slaughter {
        trouble.deaths = 1 + dice.below(24);
        trouble.death_odds = 1 << (1 + dice.below(7));
    }
    if any(&mut dice, Weather::Refusals) {
        let times = 1 + dice.below(3);
        trouble.refuse = Some(match step {
            Step::Checkpoint => match dice.pick(&REFUSED_FILES) {
                chunk @ "chunk-write" => (chunk, dice.below(80), times),
                once => (once, 0, times),
            },
            _ => (dice.pick(&REFUSED), dice.below(3), times),
        });
    }
    if any(&mut dice, Weather::Crashes) {
        trouble.crash = places.and_then(|places| crash(number, step, &mut dice, places));
    }
    trouble
}

fn crash(number: usize, step: &Step, dice: &mut Dice, (at, place): (&Path, &Path)) -> Option<Crash> {
    if matches!(step, Step::TakeOver | Step::SecondOpener) {
        return None;
    }
    let to = place.join(format!("copy-{number}"));
    if matches!(step, Step::Checkpoint) {
        return Some(crash_of_files(dice, &place.join(CHECKPOINTS), to));
    }
    let points: &[&str] = if matches!(step, Step::Rollback(_)) { &CRASHES_BACK } else { &CRASHES };
    let point = dice.one_in(2).then(|| dice.pick(points));
    let many = if point.is_none() && matches!(step, Step::Frame { .. }) { 56 } else { 4 };
    let after = dice.below(many);
    Some(Crash { point, after, from: at.to_owned(), to, of: Crashed::Writer })
}

fn crash_of_files(dice: &mut Dice, from: &Path, to: PathBuf) -> Crash {
    let of = dice.pick(&[Crashed::FileWriter, Crashed::Power, Crashed::Power]);
    let point = dice.one_in(2).then(|| dice.pick(&POWER_FAILS));
    let after = match point {
        Some("chunk-write") => dice.below(40),
        Some(_) => dice.below(2),
        None => dice.below(56),
    };
    Crash { point, after, from: from.to_owned(), to, of }
}

/// What goes wrong while a generation is recorded. `place`: where copies are made.
pub fn of_records(setup: &Setup, number: usize, seed: u64, journal: &Path, place: &Path) -> Trouble {
    let mut dice = Dice(seed ^ 0x0070_4e11);
    let mut trouble = Trouble::default();
    let storm = setup.weather == Weather::Storm;
    let mut any = |weather: Weather| (setup.weather == weather || storm) && dice.one_in(3);
    let (refused, crashed) = (any(Weather::Refusals), any(Weather::Crashes));
    if refused {
        trouble.refuse = Some((dice.pick(&REFUSED_RECORDS), dice.below(2), 1));
    }
    if crashed {
        trouble.crash = Some(crash_of_files(&mut dice, journal, place.join(format!("records-{number}"))));
    }
    trouble
}
