//! Who runs next, who dies, what the system refuses: one seed decides, step by step, so that a step that is left out
//! changes nothing of the others. It notes where everybody passed, and copies what a dead writer would have left.

use std::collections::BTreeMap;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hypostyle::stage::{Director, Fate, MAIN};

use crate::model::program::mix;

/// A sequence of numbers from a seed.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    /// One time in so many.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What goes wrong in a step.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Workers that may die, and how likely at each point: one in so many.
    pub deaths: u64,
    pub death_odds: u64,
    /// The main thread's refusable points that pass before one is refused, and how many are refused then.
    pub refuse: Option<(u64, u64)>,
    /// Where what the writer would leave is copied: after so many of its points, from here to there.
    pub crash: Option<(u64, PathBuf, PathBuf)>,
}

/// How often a point was passed, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    pub times: u64,
    pub deaths: u64,
    pub crashes: u64,
    pub refusals: u64,
    pub recovered: u64,
}

/// What happened at all points; and of each two deaths, crashes or refusals that followed each other within a step.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub points: BTreeMap<&'static str, Passed>,
    pub pairs: BTreeMap<(&'static str, &'static str), u64>,
    pub switches: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        for (point, passed) in &other.points {
            let own = self.points.entry(point).or_default();
            own.times += passed.times;
            own.deaths += passed.deaths;
            own.crashes += passed.crashes;
            own.refusals += passed.refusals;
            own.recovered += passed.recovered;
        }
        for (pair, times) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += times;
        }
        self.switches += other.switches;
    }

    fn at(&mut self, point: &'static str) -> &mut Passed {
        self.points.entry(point).or_default()
    }
}

/// What the test and its director share.
#[derive(Debug, Default)]
pub struct State {
    pub trouble: Trouble,
    pub tally: Tally,
    /// Everything that was decided, as one number: equal for equal runs.
    pub digest: u64,
    /// What happened in this step, for the story.
    pub told: Vec<String>,
    /// Points at which something went wrong in this step.
    wrong: Vec<&'static str>,
    /// A copy of the region was made in this step, at this point.
    pub crashed_at: Option<&'static str>,
    /// What went wrong with copying.
    pub broken: Option<String>,
    dice: u64,
    stays: u64,
}

/// Shared by the test's main thread and its director.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a step with dice of its own.
    pub fn begin(&self, seed: u64, trouble: Trouble) {
        self.with(|state| {
            state.trouble = trouble;
            state.dice = seed;
            // some steps change from one to the other all the time, some hardly ever
            state.stays = 1 + mix(seed ^ 0x57a9) % 24;
            state.told.clear();
            state.wrong.clear();
            state.crashed_at = None;
        });
    }

    /// The step ended well: whoever died or was refused was borne.
    pub fn borne(&self) {
        self.with(|state| {
            for point in std::mem::take(&mut state.wrong) {
                state.tally.at(point).recovered += 1;
            }
        });
    }

    pub fn director(&self) -> Box<dyn Director> {
        Box::new(Seeded { shared: self.clone() })
    }
}

struct Seeded {
    shared: Shared,
}

/// Points at which main may be refused something.
const REFUSABLE: [&str; 7] =
    ["grow", "file-make", "chunk-write", "trailer-write", "file-sync", "file-rename", "worker-start"];
/// Points of main that are no step of a writer towards what outlives it.
const NOT_THE_WRITERS: [&str; 5] = ["begun", "lease-stored", "mid-event", "worker-start", "undo-saved"];

impl State {
    fn dice(&mut self) -> Dice {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Dice(self.dice)
    }

    fn goes_wrong(&mut self, point: &'static str) {
        if let Some(last) = self.wrong.last() {
            *self.tally.pairs.entry((*last, point)).or_default() += 1;
        }
        self.wrong.push(point);
    }

    fn pass(&mut self, actor: usize, point: &'static str) -> Fate {
        self.digest = point.bytes().fold(mix(self.digest ^ actor as u64), |hash, byte| mix(hash ^ u64::from(byte)));
        self.tally.at(point).times += 1;
        let mut dice = self.dice();
        if actor != MAIN {
            let may_die = point != "lease-stored" && self.trouble.deaths > 0;
            if may_die && dice.one_in(self.trouble.death_odds) {
                self.trouble.deaths -= 1;
                self.tally.at(point).deaths += 1;
                self.goes_wrong(point);
                self.told.push(format!("worker {actor} is killed at `{point}`"));
                return Fate::Die;
            }
            return Fate::Live;
        }
        if !NOT_THE_WRITERS.contains(&point) {
            self.crash(point);
        }
        if let (true, Some((after, times))) = (REFUSABLE.contains(&point), &mut self.trouble.refuse) {
            if *after > 0 {
                *after -= 1;
            } else if *times > 0 {
                *times -= 1;
                self.tally.at(point).refusals += 1;
                self.goes_wrong(point);
                self.told.push(format!("the system refuses at `{point}`"));
                return Fate::Refuse;
            }
        }
        Fate::Live
    }

    /// Copies what is there where the writer is to be killed.
    fn crash(&mut self, point: &'static str) {
        match &mut self.trouble.crash {
            Some((after, ..)) if *after > 0 => *after -= 1,
            Some(_) => {
                let Some((_, from, to)) = self.trouble.crash.take() else { return };
                match copy(&from, &to) {
                    Ok(()) => self.crashed_at = Some(point),
                    Err(error) => self.broken = Some(format!("copying {}: {error}", from.display())),
                }
                self.tally.at(point).crashes += 1;
                self.goes_wrong(point);
                self.told.push(format!("the writer is killed at `{point}`, in a copy"));
            }
            None => {}
        }
    }
}

/// Copies a directory of files; what is zero becomes holes.
pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let bytes = std::fs::read(entry.path())?;
        let path = to.join(entry.file_name());
        let mut out = std::fs::File::create(&path)?;
        for (number, page) in bytes.chunks(1 << 12).enumerate() {
            if page.iter().any(|byte| *byte != 0) {
                out.seek(SeekFrom::Start((number as u64) << 12))?;
                out.write_all(page)?;
            }
        }
        out.set_len(bytes.len() as u64)?;
        std::fs::set_permissions(&path, entry.metadata()?.permissions())?;
    }
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())
}

impl Director for Seeded {
    fn pass(&mut self, actor: usize, point: &'static str) -> Fate {
        self.shared.with(|state| state.pass(actor, point))
    }

    fn next(&mut self, actor: usize, ready: &[usize], rests: bool) -> usize {
        self.shared.with(|state| {
            let mut dice = state.dice();
            let own = ready.iter().position(|other| *other == actor).filter(|_| !rests);
            let place = match own {
                Some(own) if !dice.one_in(state.stays) => own,
                _ => dice.below(ready.len() as u64) as usize,
            };
            state.tally.switches += u64::from(ready[place] != actor);
            state.digest = mix(state.digest ^ ready[place] as u64);
            place
        })
    }

    fn elapsed(&mut self) -> Duration {
        self.shared.with(|state| {
            let mut dice = state.dice();
            // now and then somebody is not heard of for a while
            Duration::from_nanos(if dice.one_in(64) { dice.below(5_000_000) } else { 1000 + dice.below(20_000) })
        })
    }
}
