//! One run: some die, each at a point that is drawn, others go on, and everything is looked at after each death.
#![forbid(unsafe_code)]

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use hypostyle::journal::{Journal, JournalError};
use hypostyle::regions::clean_stale;
use hypostyle::{Publication, Read, Reader, RegionTarget, Schedule, Simulation, System, Workers, World, checkpoint};

use super::life::{Note, journal};
use super::table::{Deaths, Wrong};
use super::{COURSE, ROWS, SEED, tide};
use crate::equality::undisturbed;
use crate::hostile;
use crate::scenes;
use crate::support::{Actor, Course, Random, Setting, fresh_region, newest};

/// Where a new writer can die, and how often it comes there at least.
const WRITER: &[(&str, u64)] = &[
    ("region-file-made", 5),
    ("region-made", 1),
    ("region-named", 1),
    ("mailbox-made", 1),
    ("lease-locked", 2),
    ("lease-taken", 2),
    ("grow", 2),
    ("grown", 2),
    ("growth-said", 2),
];
/// Where any writer can.
const ANY_WRITER: &[(&str, u64)] = &[
    ("batch-ran", 40),
    ("flipped", 40),
    ("applied", 20),
    ("inputs-taken", 6),
    ("inputs-applied", 6),
    ("reclaim", 6),
    ("directory-placed", 6),
    ("directory-written", 6),
    ("slot-filled", 6),
    ("word-stored", 6),
    ("withdrawn", 1),
    ("reinstated", 1),
    ("word-loaded", 6),
    ("lease-stored", 6),
    ("file-make", 3),
    ("chunk-write", 60),
    ("trailer-write", 3),
    ("file-sync", 3),
    ("file-synced", 3),
    ("file-rename", 3),
    ("file-renamed", 3),
    ("names-synced", 3),
    ("record-write", 6),
    ("record-written", 6),
    ("segment-sync", 3),
    ("segment-synced", 3),
    ("index-written", 2),
];
/// Where one that takes over can.
const HEIR: &[(&str, u64)] = &[("locks-taken", 1), ("signed-in", 1), ("mailbox-made", 1)];
/// Where one that ends can.
const LAST: &[(&str, u64)] = &[("region-renamed", 1), ("region-shrunk", 5), ("region-emptied", 1)];
/// Where workers can: passings at which one dies are above the jobs of a batch, so that its job is not given up.
const WORKER: &[(&str, u64)] = &[
    ("claimed", 131),
    ("begun", 131),
    ("undo-saved", 400),
    ("mid-record", 11),
    ("ran", 131),
    ("end-pushed", 131),
    ("published", 131),
    ("disarmed", 131),
];
/// Where workers can while they start, each with this probability, so that they are not given up.
const WORKER_START: &[&str] = &["started", "attached", "set-up", "ready"];
const WORKER_START_DIES: f64 = 0.3;
/// Where one can whose world ebbs and flows.
const TIDE: &[(&str, u64)] = &[("shrink-said", 1), ("grow", 6), ("grown", 6), ("growth-said", 6)];
/// Rows and frames of a scene whose jobs send what they record in several parts.
const FLOOD: (usize, u64) = (40_000, 6);
const READER: &[(&str, u64)] = &[("lease-locked", 9), ("lease-taken", 9), ("word-loaded", 40), ("lease-stored", 40)];
const SENDER: &[(&str, u64)] = &[("ring-taken", 1), ("input-pushed", 60), ("input-sent", 60)];

/// What all runs have in common.
pub struct Stage {
    whole: Course,
    flood: Course,
}

/// Anything that is not as it should be.
type Looked = Result<(), (Wrong, String)>;

fn wrong<T>(what: Wrong, told: impl Into<String>) -> Result<T, (Wrong, String)> {
    Err((what, told.into()))
}

/// What a writer said before it ended.
#[derive(Debug, Default)]
struct Said {
    frame: u64,
    recorded: u64,
    checkpoint: Option<u64>,
    deaths: usize,
    /// It was about to go back when it ended.
    back: bool,
    ends: bool,
    done: bool,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let number = || line.split(' ').nth(1).and_then(|text| text.parse().ok());
        match line.split(' ').next() {
            Some("frame") => (self.frame, self.back) = (number().unwrap_or(self.frame), false),
            Some("recorded") => self.recorded = number().unwrap_or(self.recorded),
            Some("checkpoint") => self.checkpoint = number(),
            Some("death") => self.deaths += 1,
            Some("back") => self.back = true,
            Some("ends") => self.ends = true,
            Some("done") => self.done = true,
            _ => {}
        }
    }
}

fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGKILL)
}

fn draw(random: &mut Random, points: &[(&'static str, u64)]) -> (&'static str, String) {
    let (point, times) = points[random.below(points.len() as u64) as usize];
    (point, format!("{point}:{}", 1 + random.below(times)))
}

impl Stage {
    pub fn new() -> Stage {
        let flood = undisturbed("flood", FLOOD.0, 0, FLOOD.1);
        Stage { whole: undisturbed("mixed", ROWS, SEED, COURSE), flood }
    }

    /// Plays the run of this number.
    pub fn play(&self, number: u64, random: &mut Random) -> Deaths {
        let mut deaths = Deaths::default();
        let looked = match number % 16 {
            0 | 8 => readers(random, &mut deaths),
            1 | 9 => senders(random, &mut deaths),
            2 => self.floods(random, &mut deaths),
            3 => tides(random, &mut deaths),
            _ => self.writers(random, &mut deaths),
        };
        deaths.wrong = looked.err();
        deaths
    }

    /// A writer, another one that takes over, and one that ends it.
    fn writers(&self, random: &mut Random, deaths: &mut Deaths) -> Looked {
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut said = Said::default();
        for turn in 0..2 {
            let fresh = !place.path().join("region").exists();
            let sets: &[&[(&str, u64)]] =
                if fresh { &[WRITER, ANY_WRITER, ANY_WRITER] } else { &[HEIR, ANY_WRITER, ANY_WRITER, LAST] };
            let set = sets[random.below(sets.len() as u64) as usize];
            let (point, fault) = draw(random, set);
            let who = if turn == 0 { "writer" } else { "heir" };
            let ends = set == LAST;
            if self.life(place.path(), random, &mut said, ends, &fault, deaths)? {
                deaths.places.push((who, point));
            }
            self.look(place.path(), &said)?;
            if said.ends && !place.path().join("region").exists() {
                // it died while it removed what nobody is to go on with
                return left_clean(place.path());
            }
        }
        if self.life(place.path(), random, &mut said, true, "none", deaths)? {
            return wrong(Wrong::Stuck, "the last writer was killed by somebody");
        }
        if !said.done {
            return wrong(Wrong::Stuck, format!("the last writer did not come to its end: {said:?}"));
        }
        left_clean(place.path())
    }

    /// A writer's life: whether it was killed.
    fn life(
        &self,
        place: &Path,
        random: &mut Random,
        said: &mut Said,
        last: bool,
        fault: &str,
        deaths: &mut Deaths,
    ) -> Result<bool, (Wrong, String)> {
        let with_workers = random.below(3) == 0;
        let workers = if with_workers { "processes:2" } else { "local" };
        let (point, worker_fault) = match random.below(3) {
            0 if with_workers => {
                let point = WORKER_START[random.below(WORKER_START.len() as u64) as usize];
                (point, format!("{point}:{}:{WORKER_START_DIES}", random.below(1 << 30)))
            }
            1 if with_workers => {
                let (point, times) = WORKER[random.below(WORKER.len() as u64) as usize];
                (point, format!("{point}:{}", times + random.below(times)))
            }
            _ => ("none", "none".to_owned()),
        };
        let place = place.to_str().unwrap();
        let frames = (4 + random.below(5)).to_string();
        let role = ["life", place, workers, &worker_fault, &frames, if last { "last" } else { "kept" }, fault];
        let mut actor = Actor::start(&role);
        (said.deaths, said.ends, said.done) = (0, false, false);
        while let Some(line) = actor.hear() {
            said.hear(&line);
        }
        let (_, status) = actor.finish();
        deaths.places.extend((0..said.deaths).map(|_| ("worker", point)));
        if !status.success() && !was_killed(status) {
            return wrong(Wrong::Stuck, format!("{role:?} ended with {status} after {said:?}"));
        }
        Ok(was_killed(status))
    }

    /// Workers die in the middle of what they send: nothing of it counts twice or not at all.
    fn floods(&self, random: &mut Random, deaths: &mut Deaths) -> Looked {
        let fault = format!("mid-record:{}", 11 + random.below(9));
        let setting = Setting {
            ring_bytes: 4096,
            publish_every: 1 + random.below(2),
            fault: Some(fault),
            ..Setting::new("flood", Workers::Processes(2))
        };
        let region = setting.region();
        let mut simulation = setting.start(scenes::world("flood", region.clone(), FLOOD.0, 0), 0);
        let mut reader = simulation.world().reader().unwrap();
        for patches in &self.flood.patches {
            let report = simulation.step(scenes::DT).map_err(|error| (Wrong::Stuck, error.to_string()))?;
            deaths.places.extend((0..report.deaths).map(|_| ("worker", "mid-record")));
            if report.patches != *patches {
                return wrong(Wrong::Lost, format!("patches of frame {}: {:?}", report.frame, report.patches));
            }
            let (frame, hash) = newest(&mut reader);
            if self.flood.hash_of(frame).is_some_and(|known| known != hash) {
                return wrong(Wrong::Mixed, format!("the generation is no state of frame {frame}"));
            }
        }
        drop((reader, simulation));
        let path = region.path().unwrap().unwrap();
        if path.exists() { wrong(Wrong::Residue, "the region is there") } else { Ok(()) }
    }

    /// Whether what is there now is what was said to be there.
    fn look(&self, place: &Path, said: &Said) -> Looked {
        let same = |frame: u64, hash: u64, what: &str| match self.whole.hash_of(frame) {
            Some(known) if known != hash => wrong(Wrong::Mixed, format!("{what} is no state of frame {frame}")),
            _ => Ok(()),
        };
        let least = |frame: u64, said: u64, what: &str| {
            if frame < said {
                wrong(Wrong::Lost, format!("{what} has frame {frame}, and {said} was said"))
            } else {
                Ok(())
            }
        };
        // going back undoes a frame, and is not said when it is done
        let back = u64::from(said.back);
        let region = RegionTarget::Directory(place.join("region"));
        if place.join("region").exists() {
            let mut reader = hostile::open(&region).map_err(|error| (Wrong::Lost, error.to_string()))?;
            let is_alive = reader.is_alive().map_err(|error| (Wrong::Stuck, error.to_string()))?;
            if is_alive {
                return wrong(Wrong::Stuck, "a dead writer's region has a writer");
            }
            if reader.newest() > 0 {
                check(&mut reader)?;
                let (frame, hash) = newest(&mut reader);
                same(frame, hash, "the newest generation")?;
                least(frame + back, said.frame, "the newest generation")?;
            } else if said.frame > 0 {
                return wrong(Wrong::Lost, "nothing is published any more");
            }
        } else if said.frame > 0 && !said.ends {
            return wrong(Wrong::Lost, "the region is gone");
        }
        let state = place.join("state");
        match checkpoint::open(&state).and_then(|file| Ok((file.frame(), file.load()?))) {
            Ok((frame, mut loaded)) => {
                same(frame, newest(&mut loaded).1, "the checkpoint")?;
                if let Some(said) = said.checkpoint {
                    least(frame + 1, said, "the checkpoint")?;
                }
            }
            Err(error) if state.exists() || said.checkpoint.is_some() => {
                return wrong(Wrong::Lost, format!("the checkpoint: {error}"));
            }
            Err(_) => {}
        }
        let mut recorded = 0;
        for number in (1..10).filter(|number| journal(place, *number).exists()) {
            let Some((frame, hash)) = last_recorded(&journal(place, number))? else { continue };
            same(frame, hash, "the journal's last state")?;
            recorded = recorded.max(frame);
        }
        least(recorded + 1, said.recorded, "the journal")
    }
}

/// The last state of a journal, all of which comes back.
fn last_recorded(path: &Path) -> Result<Option<(u64, u64)>, (Wrong, String)> {
    let lost = |error: JournalError| (Wrong::Lost, format!("the journal: {error}"));
    let journal = match Journal::open(path) {
        Err(JournalError::Empty { .. }) => return Ok(None),
        opened => opened.map_err(lost)?,
    };
    let found = journal.verify().map_err(lost)?;
    if !found.damaged.is_empty() {
        return wrong(Wrong::Lost, format!("the journal: {:?}", found.damaged));
    }
    let mut loaded = journal.replay_to(journal.last()).and_then(|replay| replay.load()).map_err(lost)?;
    Ok(Some(newest(&mut loaded)))
}

/// Nothing is left but files that are wanted; what is half made is known as such, and goes once it is old.
fn left_clean(place: &Path) -> Looked {
    let names_in = |place: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(place).map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
    };
    let journals: Vec<PathBuf> = (1..10).map(|number| journal(place, number)).filter(|path| path.exists()).collect();
    let all = || journals.iter().fold(names_in(place), |all, path| [all, names_in(path)].concat());
    for path in all() {
        let old = SystemTime::now() - Duration::from_secs(60);
        std::fs::File::open(&path).and_then(|file| file.set_modified(old)).unwrap();
    }
    for place in journals.iter().map(PathBuf::as_path).chain([place]) {
        clean_stale(Some(place), Duration::ZERO).map_err(|error| (Wrong::Residue, error.to_string()))?;
    }
    let is_wanted = |path: &PathBuf| {
        let end = path.extension().and_then(|end| end.to_str());
        journals.contains(path) || path.ends_with("state") || matches!(end, Some("journal" | "checkpoint"))
    };
    let left: Vec<PathBuf> = all().into_iter().filter(|path| !is_wanted(path)).collect();
    if left.is_empty() { Ok(()) } else { wrong(Wrong::Residue, format!("{left:?}")) }
}

/// Two writers die while their world grows and shrinks, and a third removes it.
fn tides(random: &mut Random, deaths: &mut Deaths) -> Looked {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let region = RegionTarget::Directory(place.path().join("region"));
    let directory = place.path().to_str().unwrap();
    let mut said = Said::default();
    for turn in 0..3 {
        let (point, fault) = if turn < 2 { draw(random, TIDE) } else { ("none", "none".to_owned()) };
        let mut actor = Actor::start(&["tide", directory, if turn < 2 { "kept" } else { "last" }, &fault]);
        while let Some(line) = actor.hear() {
            said.hear(&line);
        }
        let (_, status) = actor.finish();
        if was_killed(status) {
            deaths.places.push((if turn == 0 { "writer" } else { "heir" }, point));
        } else if !status.success() {
            return wrong(Wrong::Stuck, format!("it ended with {status} after {said:?}"));
        }
        if turn < 2 {
            let mut reader = hostile::open(&region).map_err(|error| (Wrong::Lost, error.to_string()))?;
            let frame =
                if reader.newest() == 0 { 0 } else { tide::look(&mut reader).map_err(|told| (Wrong::Mixed, told))? };
            if frame < said.frame {
                return wrong(Wrong::Lost, format!("frame {frame} is the newest, and {} was said", said.frame));
            }
        }
    }
    if said.done {
        left_clean(place.path())
    } else {
        wrong(Wrong::Stuck, format!("the last one did not end: {said:?}"))
    }
}

fn check(reader: &mut Reader) -> Looked {
    let snapshot = reader.pin().map_err(|error| (Wrong::Lost, error.to_string()))?;
    snapshot.check().map_err(|error| (Wrong::Mixed, error.to_string()))
}

/// Readers die while a writer runs on: it does not skip, and nobody holds anything in the end.
fn readers(random: &mut Random, deaths: &mut Deaths) -> Looked {
    let region = fresh_region();
    let setting = Setting::new("sealed", Workers::Local);
    let mut simulation = setting.start(scenes::world("sealed", region.clone(), 500, 0), 9);
    simulation.step(scenes::DT).unwrap();
    for _ in 0..6 {
        let (point, fault) = draw(random, READER);
        let mut actor = Actor::start(&["dying-reader", &region.to_string(), &fault]);
        let mut lines = Vec::new();
        while actor.child.try_wait().unwrap().is_none() {
            let report = simulation.step(scenes::DT).unwrap();
            if !matches!(report.publication, Some(Publication::Published(_))) {
                return wrong(Wrong::Stuck, format!("a reader that died at {point} is in the way"));
            }
        }
        while let Some(line) = actor.hear() {
            lines.push(line);
        }
        let (_, status) = actor.finish();
        if !was_killed(status) || lines != ["open"] {
            return wrong(Wrong::Mixed, format!("a reader said {lines:?} and ended with {status}"));
        }
        deaths.places.push(("reader", point));
        for _ in 0..4 {
            simulation.step(scenes::DT).unwrap();
        }
    }
    let reader = simulation.world().reader().unwrap();
    let leases = reader.leases().unwrap();
    if let Some(lease) = leases.iter().find(|lease| lease.alive && lease.generation.is_some()) {
        return wrong(Wrong::Residue, format!("{lease:?}"));
    }
    // a pin that a dead reader left goes as soon as it is in the way
    drop(reader);
    let path = region.path().unwrap().unwrap();
    drop(simulation);
    if path.exists() { wrong(Wrong::Residue, "the region is there") } else { Ok(()) }
}

/// Senders die while a writer takes what they send: what they said they sent is there, whole, and their rings are free.
fn senders(random: &mut Random, deaths: &mut Deaths) -> Looked {
    let region = fresh_region();
    let mut world = World::builder().component::<Note>().region(region.clone()).build().unwrap();
    let note = world.spawn(Note::new(0)).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Read<Note>>("look", |_, _| {}));
    let builder = Simulation::builder().workers(Workers::Local).inputs(["note"]);
    let mut simulation = builder.build(world, schedule).unwrap();
    simulation.step(scenes::DT).unwrap();
    let (mut from, mut known) = (1, 0);
    // more than there are rings
    for _ in 0..10 {
        let (point, fault) = draw(random, SENDER);
        let mut actor = Actor::start(&["dying-sender", &region.to_string(), &from.to_string(), &fault]);
        let mut ended = false;
        let mut last = from - 1;
        while !ended {
            ended = actor.child.try_wait().unwrap().is_some();
            simulation.step(scenes::DT).unwrap();
        }
        while let Some(line) = actor.hear() {
            last = line.strip_prefix("sent ").and_then(|text| text.parse().ok()).unwrap_or(last);
            known = last;
        }
        let (_, status) = actor.finish();
        if !was_killed(status) {
            return wrong(Wrong::Stuck, format!("a sender ended with {status} after {last}"));
        }
        deaths.places.push(("sender", point));
        simulation.step(scenes::DT).unwrap();
        let found: Note = simulation.world().get(note).unwrap();
        if found != Note::new(found.number) || found.number > last + 1 {
            return wrong(Wrong::Mixed, format!("{found:?} after {last} was sent"));
        }
        if found.number < known {
            return wrong(Wrong::Lost, format!("{found:?} after {known} was sent"));
        }
        known = found.number;
        from = last + 2;
    }
    let path = region.path().unwrap().unwrap();
    drop(simulation);
    if path.exists() { wrong(Wrong::Residue, "the region is there") } else { Ok(()) }
}
