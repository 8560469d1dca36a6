//! A journal of a story: every generation that it was given comes back, and of one that is torn, those before the tear.

use std::path::{Path, PathBuf};

use hypostyle::World;
use hypostyle::journal::{Backpressure, Journal, JournalError, Recorder, RecorderOptions};

use super::director::{Dice, Shared, Trouble, copy};
use super::power::Disk;

pub struct History {
    recorder: Option<Recorder>,
    pub directory: PathBuf,
    /// What of it is on the disk.
    disk: Disk,
    /// Generations with their hashes.
    recorded: Vec<(u64, u64)>,
    /// How many of them are on the disk: all before the newest segment began, or when a recorder ended.
    durable: usize,
}

/// Of a segment's header, which is on the disk before the segment has its name.
const HEADER_BYTES: usize = 128;

fn options(directory: &Path) -> RecorderOptions {
    let backpressure = Backpressure::Wait;
    RecorderOptions { checkpoint_every: 4, queue: 1, backpressure, ..RecorderOptions::new(directory) }
}

fn start(world: &World, directory: &Path) -> Recorder {
    Recorder::start(world, options(directory)).expect("a journal can be made, or gone on with")
}

/// Hands the newest generation over, and waits until it is written: whether there was one.
fn look(recorder: &mut Recorder) -> Result<bool, JournalError> {
    let looked = recorder.look()?;
    recorder.flush()?;
    Ok(looked)
}

/// Notes the newest generation; where a recorder begins, it is given what the one before it was given last.
fn note(world: &World, recorded: &mut Vec<(u64, u64)>) {
    let mut reader = world.reader().expect("there are leases");
    let snapshot = reader.pin().expect("something is published");
    if recorded.last().is_none_or(|(last, _)| *last < snapshot.generation()) {
        recorded.push((snapshot.generation(), snapshot.hash()));
    }
}

/// All that a journal has; `torn`: up to a record that is not whole, if there is one.
fn walk(journal: &Journal, torn: bool) -> Vec<(u64, u64)> {
    let mut replay = journal.replay().expect("its first state is whole");
    let mut out = Vec::new();
    loop {
        let mut loaded = replay.load().expect("it is whole");
        let snapshot = loaded.pin().expect("it was loaded");
        out.push((snapshot.generation(), snapshot.hash()));
        match replay.advance() {
            Ok(true) => {}
            Err(JournalError::Damaged(_)) if torn => return out,
            ended => {
                assert!(ended.is_ok(), "records are whole: {:?}", ended.err());
                return out;
            }
        }
    }
}

/// The last segment of a journal.
fn last_segment(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?.map(|entry| entry.expect("it is there").path());
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "journal");
    entries.filter(is_segment).max()
}

impl History {
    pub fn start(world: &World, directory: PathBuf) -> History {
        let recorder = Some(start(world, &directory));
        History { recorder, directory, disk: Disk::default(), recorded: Vec::new(), durable: 0 }
    }

    /// To be called after each step, while this goes wrong; what was refused.
    pub fn look(&mut self, world: &World, shared: &Shared, trouble: Trouble) -> Option<String> {
        let recorder = self.recorder.as_mut()?;
        let segment = last_segment(&self.directory);
        let may_fail = trouble.refuse.is_some();
        shared.begin_files(&self.directory, &self.disk, trouble);
        let looked = look(recorder);
        self.disk = shared.end_files();
        match looked {
            Ok(false) => return None,
            Ok(true) => {}
            Err(error) => {
                assert!(may_fail, "a generation could not be recorded: {error}");
                // the journal ends there, and another recorder goes on
                self.recorder = None;
                self.resume(world);
                assert_eq!(look(self.recorder.as_mut()?).map_err(|error| error.to_string()), Ok(true));
                note(world, &mut self.recorded);
                self.durable = self.recorded.len();
                self.disk = Disk::of(&self.directory).expect("it can be read");
                return Some(error.to_string());
            }
        }
        note(world, &mut self.recorded);
        if last_segment(&self.directory) != segment {
            self.durable = self.recorded.len();
        }
        None
    }

    /// The writer ends.
    pub fn pause(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.finish().expect("it can be ended");
            self.durable = self.recorded.len();
        }
    }

    /// Another one goes on.
    pub fn resume(&mut self, world: &World) {
        self.recorder = Some(start(world, &self.directory));
        // what was cut off is off the disk
        self.disk = Disk::of(&self.directory).expect("it can be read");
    }

    /// How many generations nothing takes away: all that were recorded, or those that are on the disk.
    pub fn safe(&self, power_fails: bool) -> usize {
        if power_fails { self.durable } else { self.recorded.len() }
    }

    /// All of it comes back; and of a copy that is torn somewhere, the beginning, with which a recorder goes on.
    pub fn check(&self, world: &World, dice: &mut Dice, torn: &Path) -> Option<String> {
        if self.recorded.is_empty() {
            return None;
        }
        let journal = Journal::open(&self.directory).expect("a journal is there");
        assert_eq!(walk(&journal, false), self.recorded, "generations of the journal");
        copy(&self.directory, torn).expect("it can be copied");
        let segment = last_segment(torn).expect("a journal has segments");
        let bytes = std::fs::read(&segment).expect("it is there");
        let mut kept = dice.below(bytes.len() as u64 + 1).max(HEADER_BYTES as u64) as usize;
        if dice.one_in(2) {
            // near its end
            kept = kept.max(bytes.len().saturating_sub(dice.below(200) as usize));
        }
        let mut left = bytes[..kept].to_vec();
        // a file may have its length before it has its bytes
        if dice.one_in(3) {
            left.resize(bytes.len().min(kept + dice.below(300) as usize), 0);
        }
        std::fs::write(&segment, &left).expect("it can be written");
        let told = format!("the journal's last segment keeps {kept} of {} bytes", bytes.len());
        let all = self.recorded.len();
        self.goes_on(world, torn, if kept < bytes.len() { 0 } else { all }, &told);
        Some(told)
    }

    /// Of what is left of a journal at least so many generations come back, in order, and a recorder goes on with it.
    pub fn goes_on(&self, world: &World, left: &Path, at_least: usize, told: &str) {
        let before = match Journal::open(left) {
            Ok(journal) => walk(&journal, true),
            Err(JournalError::Empty { .. }) => Vec::new(),
            Err(error) => panic!("{told}: {error}"),
        };
        assert!(self.recorded.starts_with(&before), "{told}: {before:?} of {:?}", self.recorded);
        assert!(before.len() >= at_least, "{told}: {before:?} of {:?}, {at_least} were safe", self.recorded);
        let mut recorded = before;
        let mut recorder = start(world, left);
        look(&mut recorder).expect("it can be recorded");
        note(world, &mut recorded);
        recorder.finish().expect("it can be ended");
        assert_eq!(walk(&Journal::open(left).expect("a journal is there"), false), recorded, "{told}, and went on");
        std::fs::remove_dir_all(left).expect("it is there");
    }
}
