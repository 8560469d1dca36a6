//! Who runs next, who dies, what the system refuses: one seed decides, step by step, so that a step that is left out
//! changes nothing of the others. It notes where everybody passed, and copies what a dead writer would have left.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hypostyle::stage::{Director, Fate, MAIN};

use super::power::Disk;
use super::tally::Tally;
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

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
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
    /// What of main's is refused, after so many that are not, and how many times then.
    pub refuse: Option<(&'static str, u64, u64)>,
    pub crash: Option<Crash>,
}

/// Where what the writer would leave is copied.
#[derive(Clone, Debug)]
pub struct Crash {
    /// At this point, or at any of the writer's,
    pub point: Option<&'static str>,
    /// after so many.
    pub after: u64,
    pub from: PathBuf,
    pub to: PathBuf,
    pub of: Crashed,
}

/// What ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crashed {
    /// The writer of a region.
    Writer,
    /// Whoever writes files.
    FileWriter,
    /// The machine: what was not synced may be lost.
    Power,
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
    /// Files that are written in this step, and what of them is on the disk.
    pub files: Option<PathBuf>,
    pub disk: Disk,
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

    /// Nothing more goes wrong in this step.
    pub fn calm(&self) {
        self.with(|state| state.trouble = Trouble::default());
    }

    /// What goes wrong from here on in the step, while files of a directory are written, of which this is on the disk.
    pub fn begin_files(&self, directory: &Path, disk: &Disk, trouble: Trouble) {
        self.with(|state| {
            state.disk = disk.clone();
            state.files = Some(directory.to_owned());
            state.trouble = trouble;
        });
    }

    /// No files are written any more, and nothing more goes wrong; what is on the disk.
    pub fn end_files(&self) -> Disk {
        self.calm();
        self.with(|state| {
            state.files = None;
            std::mem::take(&mut state.disk)
        })
    }

    /// If the power was to fail and has not yet, it does now: whether it did.
    pub fn power_fails_late(&self) -> bool {
        self.with(|state| {
            let pending = state.trouble.crash.as_mut().filter(|crash| crash.of == Crashed::Power);
            let is_pending = pending.map(|crash| (crash.point, crash.after) = (None, 0)).is_some();
            if is_pending {
                state.crash("names-synced");
            }
            is_pending
        })
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

/// What may be refused while a checkpoint is written,
pub const REFUSED_FILES: [&str; 5] = ["file-make", "chunk-write", "trailer-write", "file-sync", "file-rename"];
/// while a generation is recorded,
pub const REFUSED_RECORDS: [&str; 5] = ["record-write", "segment-sync", "file-make", "file-sync", "file-rename"];
/// where the machine may lose its power meanwhile,
pub const POWER_FAILS: [&str; 12] = [
    "file-make",
    "chunk-write",
    "trailer-write",
    "file-sync",
    "file-synced",
    "file-rename",
    "file-renamed",
    "names-synced",
    "record-write",
    "record-written",
    "segment-synced",
    "index-written",
];
/// and what at any time.
pub const REFUSED: [&str; 2] = ["grow", "worker-start"];
/// Points of a writer at which it may be killed.
pub const CRASHES: [&str; 14] = [
    "grow",
    "grown",
    "growth-said",
    "shrink-said",
    "batch-ran",
    "flipped",
    "applied",
    "directory-placed",
    "directory-written",
    "slot-filled",
    "word-stored",
    "reclaim",
    "inputs-taken",
    "inputs-applied",
];
/// The same of one that goes back.
pub const CRASHES_BACK: [&str; 6] =
    ["withdrawn", "reinstated", "directory-placed", "directory-written", "slot-filled", "word-stored"];
/// Where those die who are no workers, which the stage cannot show: a reader that is thrown out lets go.
const READERS: [&str; 5] = ["lease-locked", "lease-taken", "word-loaded", "lease-stored", "rests"];
/// Points at which a worker passes far more often than at others.
const OFTEN: [&str; 2] = ["spins", "sleeps"];

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
            let may_die = self.trouble.deaths > 0 && !READERS.contains(&point);
            let odds = if OFTEN.contains(&point) { 8 * self.trouble.death_odds } else { self.trouble.death_odds };
            if may_die && dice.one_in(odds) {
                self.trouble.deaths -= 1;
                self.tally.at(point).deaths += 1;
                self.goes_wrong(point);
                self.told.push(format!("worker {actor} is killed at `{point}`"));
                return Fate::Die;
            }
            return Fate::Live;
        }
        if let Err(error) = self.sync(point) {
            self.broken = Some(format!("reading files: {error}"));
        }
        self.crash(point);
        if let Some((refused, after, times)) = &mut self.trouble.refuse
            && *refused == point
        {
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

    /// Notes what is on the disk.
    fn sync(&mut self, point: &'static str) -> std::io::Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        match point {
            "file-synced" => self.disk.files_synced(files, |name| name.starts_with(".hypostyle-tmp-")),
            // where one is synced, the others are
            "segment-synced" => self.disk.files_synced(files, |name| name.ends_with(".journal")),
            "names-synced" => self.disk.names_synced(files),
            _ => Ok(()),
        }
    }

    /// Copies what is there where the writer is to be killed.
    fn crash(&mut self, point: &'static str) {
        let wanted = |crash: &&mut Crash| match (crash.point, crash.of) {
            (Some(wanted), _) => wanted == point,
            (None, Crashed::Writer) => CRASHES.contains(&point) || CRASHES_BACK.contains(&point),
            (None, Crashed::FileWriter | Crashed::Power) => POWER_FAILS.contains(&point),
        };
        let Some(crash) = self.trouble.crash.as_mut().filter(wanted) else { return };
        if crash.after > 0 {
            crash.after -= 1;
            return;
        }
        let Some(Crash { from, to, of, .. }) = self.trouble.crash.take() else { return };
        let left = match of {
            Crashed::Power => {
                let mut dice = self.dice();
                self.disk.fail(&from, &to, &mut dice)
            }
            Crashed::Writer | Crashed::FileWriter => copy(&from, &to),
        };
        match left {
            Ok(()) => self.crashed_at = Some(point),
            Err(error) => self.broken = Some(format!("copying {}: {error}", from.display())),
        }
        self.tally.at(point).crashes += 1;
        self.goes_wrong(point);
        let what = match of {
            Crashed::Writer => "the writer is killed",
            Crashed::FileWriter => "whoever writes files is killed",
            Crashed::Power => "the power fails",
        };
        self.told.push(format!("{what} at `{point}`, in a copy"));
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
