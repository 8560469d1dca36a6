//! Files of a story: checkpoints and journals, written while the system refuses, their writer dies or the power fails.

use std::path::Path;

use hypostyle::checkpoint;

use super::director::{Crashed, Dice, Trouble};
use super::history::History;
use super::play::{Play, tell_more};
use super::{CHECKPOINTS, weather};

impl Play {
    /// Begins another journal, where the story has one.
    pub(super) fn record(&mut self) {
        let Some(place) = self.place.as_ref().filter(|_| self.setup.journal) else { return };
        self.histories += 1;
        let directory = place.path().join(format!("journal-{}", self.histories));
        self.history = Some(History::start(self.world(), directory));
    }

    /// The newest generation goes to the journal, where the story has one.
    pub(super) fn record_newest(&mut self, number: usize, seed: u64) {
        let (Some(history), Some(place)) = (&mut self.history, &self.place) else { return };
        let world = self.simulation.as_ref().expect("there is a writer").world();
        let trouble = weather::of_records(&self.setup, number, seed, &history.directory, place.path());
        let crash = trouble.crash.clone();
        let safe = history.safe(crash.as_ref().is_some_and(|crash| crash.of == Crashed::Power));
        if let Some(refused) = history.look(world, &self.shared, trouble) {
            tell_more(&refused);
        }
        for line in self.shared.with(|state| std::mem::take(&mut state.told)) {
            tell_more(&line);
        }
        if let Some(crash) = crash.filter(|crash| crash.to.exists()) {
            history.goes_on(world, &crash.to, safe, "what was left of the journal");
        }
    }

    pub(super) fn checkpoint(&mut self) {
        if self.world().generation() == 0 {
            return;
        }
        let Some(place) = &self.place else { return };
        let directory = place.path().join(CHECKPOINTS);
        let path = directory.join("state");
        let mut reader = self.reader();
        let snapshot = reader.pin().expect("something is published");
        let trouble = self.shared.with(|state| state.trouble.clone());
        self.shared.begin_files(&directory, &self.disk, trouble);
        let written = checkpoint::write(&snapshot, &path, &checkpoint::CheckpointOptions::default());
        // what was written is there to stay
        self.is_late = written.is_ok() && self.shared.power_fails_late();
        self.disk = self.shared.end_files();
        match written {
            Ok(_) => self.kept = Some((snapshot.frame(), snapshot.hash())),
            Err(error) => {
                assert!(self.driver.tight, "a checkpoint could not be written: {error}");
                tell_more(&error);
                // the rename may have been the last thing that went well
                if let Ok(file) = checkpoint::open(&path)
                    && file.frame() == snapshot.frame()
                {
                    self.kept = Some((snapshot.frame(), snapshot.hash()));
                }
            }
        }
        let Some((frame, hash)) = self.kept else {
            return assert!(!path.exists(), "a checkpoint that was refused is not there");
        };
        let file = checkpoint::open(&path).expect("the last one that was written is whole");
        let mut loaded = file.load().expect("it is whole");
        assert_eq!((file.frame(), loaded.pin().expect("it was loaded").hash()), (frame, hash));
        let names = std::fs::read_dir(&directory).expect("it is there").count();
        assert_eq!(names, 1, "files that were not finished are gone");
    }

    /// Whoever wrote a checkpoint was killed, or the machine lost its power: the file is that of before, or the new one.
    pub(super) fn after_files(&self, left: &Path, before: Option<(u64, u64)>) {
        let (path, late) = (left.join("state"), self.is_late);
        match checkpoint::open(&path) {
            Ok(file) => {
                let mut loaded = file.load().expect("what is named is whole");
                let found = Some((file.frame(), loaded.pin().expect("it was loaded").hash()));
                let expected = (found == before && !late) || found == self.kept;
                assert!(expected, "{found:?} of {before:?} and {:?}, {late}", self.kept);
            }
            Err(error) => assert!(before.is_none() && !late && !path.exists(), "after a power failure: {error}"),
        }
        std::fs::remove_dir_all(left).expect("it is there");
    }

    /// The journal has what was recorded.
    pub(super) fn look_back(&mut self, seed: u64) {
        let (Some(history), Some(place)) = (&mut self.history, &self.place) else { return };
        let world = self.simulation.as_ref().expect("there is a writer").world();
        self.shared.calm();
        history.look(world, &self.shared, Trouble::default());
        if let Some(told) = history.check(world, &mut Dice(seed ^ 0x0070_4e11), &place.path().join("torn")) {
            tell_more(&told);
        }
    }
}
