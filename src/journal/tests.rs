//! Journals of small worlds: every state comes back to the byte, whatever is cut off or overwritten.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::checkpoint::sample::{self, Marked, Spot, Warm, Wind};
use crate::{Entity, World};

use super::differ::{Differ, Payload};
use super::format::Record;
use super::state::State;
use super::*;
use crate::checkpoint::codec::Decoder;

/// All bytes of a generation that a reader could see, and what it says of itself.
fn whole(world: &World) -> State {
    State::of(&world.reader().unwrap().pin().unwrap())
}

fn assert_same(found: &State, expected: &State) {
    assert_eq!((found.moment, &found.tables), (expected.moment, &expected.tables));
    for (index, (a, b)) in found.bytes.iter().zip(&expected.bytes).enumerate() {
        assert!(a == b, "generation {}: {} differs", expected.moment.generation, expected.name(index));
    }
    assert_eq!(found.bytes.len(), expected.bytes.len());
}

/// A frame of edits: what, and where.
fn edit(world: &mut World, (what, place): (u8, usize)) {
    let alive: Vec<Entity> = {
        let mut reader = world.reader().unwrap();
        let snapshot = reader.pin().unwrap();
        snapshot.tables().flat_map(|table| table.entities().to_vec()).collect()
    };
    let spot = |i: usize| Spot { x: i as f32 * 0.5, trail: [1.0, i as f64, -2.5] };
    let picked = alive[place % alive.len()];
    match what {
        0 => world.set(picked, spot(place)).unwrap(),
        1 => world.add(picked, Warm { heat: place as u16 }).unwrap(),
        2 => world.add(picked, Marked).unwrap(),
        3 => drop(world.remove::<Marked>(picked)),
        4 if alive.len() > 1 => world.despawn(picked).unwrap(),
        5 => drop(world.spawn_batch((0..place % 1500).map(spot)).unwrap()),
        6 => world.set_resource(Wind { speed: place as f32 }).unwrap(),
        7 => drop(world.remove::<Warm>(picked)),
        // whole tables change hands
        8 => alive.iter().for_each(|entity| world.add(*entity, Marked).unwrap()),
        9 => alive.iter().for_each(|entity| drop(world.remove::<Marked>(*entity))),
        10 => drop(world.rollback(place as u64 % 4)),
        // every row, so that whole columns differ
        12 => alive.iter().enumerate().for_each(|(i, entity)| world.add(*entity, spot(i + place)).unwrap()),
        _ => {}
    }
    if what != 10 {
        world.begin_frame().unwrap();
        world.end_frame(0.5);
        world.publish().unwrap();
    }
}

/// Records edits; every state.
fn record(directory: &Path, edits: &[(u8, usize)], every: u64) -> (World, Vec<State>) {
    record_so(directory, edits, every, Compress::Always)
}

fn record_so(directory: &Path, edits: &[(u8, usize)], every: u64, compress: Compress) -> (World, Vec<State>) {
    let mut world = sample::world_of(64 << 20);
    world.set_keep_generations(4);
    let options = RecorderOptions { checkpoint_every: every, compress, ..RecorderOptions::new(directory) };
    let mut recorder = Recorder::start(&world, options).unwrap();
    let mut states = vec![whole(&world)];
    recorder.look().unwrap();
    for one in edits {
        edit(&mut world, *one);
        if recorder.look().unwrap() {
            states.push(whole(&world));
        }
    }
    let recorded = recorder.finish().unwrap();
    assert_eq!((recorded.generations, recorded.skipped), (states.len() as u64, 0));
    (world, states)
}

/// Every state that the journal has, from its beginning on.
fn assert_replays(directory: &Path, states: &[State]) {
    let journal = Journal::open(directory).unwrap();
    let mut replay = journal.replay().unwrap();
    for (index, expected) in states.iter().enumerate() {
        assert_same(replay.state.as_ref().unwrap(), expected);
        assert_eq!(replay.advance().unwrap(), index + 1 < states.len());
    }
    for entry in journal.entries() {
        let expected = states.iter().find(|state| state.moment.generation == entry.generation).unwrap();
        assert_same(journal.replay_to(entry).unwrap().state.as_ref().unwrap(), expected);
        assert_eq!(journal.at(entry.frame).unwrap(), entry);
    }
    let verified = journal.verify().unwrap();
    assert_eq!((verified.generations, verified.damaged), (states.len() as u64, Vec::new()));
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "journal"));
    paths.sort();
    paths
}

const EDITS: [(u8, usize); 14] = [
    (0, 3),
    (5, 1300),
    (1, 9),
    (2, 11),
    (4, 5),
    (8, 0),
    (6, 7),
    (9, 0),
    (3, 1),
    (5, 40),
    (10, 2),
    (7, 9),
    (0, 700),
    (4, 8),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 40 }))]

    #[test]
    fn every_state_comes_back_to_the_byte(
        edits in prop::collection::vec((0u8..13, 0usize..2000), 1..40), every in 1u64..20,
        compress in prop::sample::select(vec![Compress::Never, Compress::WhenIdle, Compress::Always]),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (_world, states) = record_so(directory.path(), &edits, every, compress);
        assert_replays(directory.path(), &states);
    }
}

/// Columns that change densely are told as they are, looked at again, compressed when there is time, in any order.
#[test]
fn dense_changes_come_back_whatever_there_was_time_for() {
    let mut world = sample::world_of(64 << 20);
    edit(&mut world, (5, 1499));
    edit(&mut world, (5, 1200));
    let mut state = whole(&world);
    let mut differ = Differ::new(state.clone(), 1, Compress::Never).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut as_they_are = 0;
    for round in 0..200usize {
        let what = if round % 9 == 5 { (0, round) } else { (12, round) };
        edit(&mut world, if round % 50 == 20 { (5, 700) } else { what });
        differ.compress = if round % 11 > 8 { Compress::Always } else { Compress::Never };
        let mut reader = world.reader().unwrap();
        let snapshot = reader.pin().unwrap();
        let mut payload = Payload::default();
        let record = differ.record(&snapshot, &mut payload).unwrap();
        let mut bytes = record.encode(payload.total);
        let head = bytes.len();
        write::put(&mut bytes, &[], &payload).unwrap();
        let record = Record::decode(&bytes[..head]).unwrap();
        as_they_are += record.blocks.iter().filter(|block| block.encoding & delta::VALUES != 0).count();
        delta::apply(&mut state, &record, &bytes[head..], &mut decoder).unwrap();
        assert_same(&state, &State::of(&snapshot));
    }
    assert!(as_they_are > 200, "{as_they_are}");
}

#[test]
fn whatever_is_cut_off_the_rest_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let (_world, states) = record(directory.path(), &EDITS, 100);
    let path = &segments(directory.path())[0];
    let bytes = std::fs::read(path).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for cut in (128..bytes.len()).step_by(37).chain(bytes.len() - 30..bytes.len()) {
        std::fs::write(path, &bytes[..cut]).unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        let mut replay = journal.replay().unwrap();
        let mut count = 0;
        loop {
            count += 1;
            if !replay.advance().unwrap() {
                break;
            }
        }
        assert_same(replay.state.as_ref().unwrap(), &states[count - 1]);
        seen.insert(count);
        if let Some(torn) = journal.truncated_tail() {
            assert_eq!(torn.offset + torn.bytes, cut as u64);
            assert!(torn.to_string().contains("unfinished record: its writer died"), "{torn}");
        }
        assert_eq!(journal.verify().unwrap().damaged, Vec::<String>::new());
    }
    assert_eq!(seen.len(), states.len(), "from the first generation to the last");
}

/// Any byte that is overwritten is told, or harmless.
#[test]
fn no_damage_goes_unseen() {
    let directory = tempfile::tempdir().unwrap();
    let (_world, states) = record(directory.path(), &EDITS, 100);
    let path = &segments(directory.path())[0];
    let bytes = std::fs::read(path).unwrap();
    let mut told = 0;
    for at in (0..bytes.len()).step_by(41).chain(0..260) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(path, &damaged).unwrap();
        let journal = match Journal::open(directory.path()) {
            Ok(journal) => journal,
            Err(error) => {
                assert!(at < 128, "byte {at}: {error}");
                told += 1;
                continue;
            }
        };
        let mut replay = journal.replay().unwrap();
        let mut count = 0;
        let failure = loop {
            assert_same(replay.state.as_ref().unwrap(), &states[count]);
            count += 1;
            match replay.advance() {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        let verified = journal.verify().unwrap();
        assert_eq!(failure.is_none(), verified.damaged.is_empty(), "byte {at}: {verified:?}");
        if let Some(error) = failure {
            told += 1;
            let text = error.to_string();
            assert!(matches!(error, JournalError::Damaged(_)) && text.contains("of generation"), "byte {at}: {text}");
            assert!(replay.advance().is_err() && replay.load().is_err(), "the walk is over");
        } else {
            // the index, or bytes that mean nothing
            assert!(count == states.len() || journal.truncated_tail().is_some(), "byte {at}: {count} generations");
        }
    }
    assert!(told > 100, "{told}");
}

/// A damaged checkpoint is passed over where an earlier one leads to the same state.
#[test]
fn an_earlier_checkpoint_stands_in() {
    let directory = tempfile::tempdir().unwrap();
    let (_world, states) = record(directory.path(), &EDITS, 5);
    let second = segments(directory.path())[1].with_extension("checkpoint");
    let mut bytes = std::fs::read(&second).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&second, bytes).unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    for expected in &states {
        let moment = expected.moment;
        if let Some(entry) = journal.entries().find(|entry| entry.generation == moment.generation) {
            assert_same(journal.replay_to(entry).unwrap().state.as_ref().unwrap(), expected);
        }
    }
    let damaged = journal.verify().unwrap().damaged;
    assert!(damaged.len() == 1 && damaged[0].contains("chunk"), "{damaged:?}");
}

#[test]
fn a_recording_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let (world, mut states) = record(directory.path(), &EDITS, 100);
    let path = segments(directory.path())[0].clone();
    // as if the writer had died in the middle of a record
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 600).unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let (last, torn) = (journal.last(), journal.truncated_tail().cloned());
    assert!(torn.is_some());
    let mut again = journal.replay_to(last).unwrap().restore(World::builder().component::<Spot>()).unwrap();
    states.truncate(states.iter().position(|state| state.moment.generation == last.generation).unwrap() + 1);
    let mut recorder = Recorder::start(&again, RecorderOptions::new(directory.path())).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), torn.unwrap().offset, "cut off");
    recorder.look().unwrap();
    again.begin_frame().unwrap();
    again.publish().unwrap();
    states.push(whole(&again));
    recorder.finish().unwrap();
    assert_replays(directory.path(), &states);
    // a world that stands earlier is another history
    let refused = Recorder::start(&sample::world_of(64 << 20), RecorderOptions::new(directory.path())).err().unwrap();
    assert!(refused.to_string().contains("record to another directory"), "{refused}");
    drop(world);
}

/// A loss of power may leave holes in any record that was not on disk yet.
#[test]
fn what_stands_behind_a_hole_is_cut_off_where_a_recording_is_gone_on_with() {
    for in_head in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (world, _states) = record(directory.path(), &EDITS, 100);
        let path = segments(directory.path())[0].clone();
        let bounds = Journal::open(directory.path()).unwrap().record_bounds(0);
        let mut bytes = std::fs::read(&path).unwrap();
        // it was not ended, and its third record has a hole
        bytes.truncate(*bounds.last().unwrap() as usize);
        let hole = if in_head { bounds[2] as usize } else { bounds[3] as usize - 8 };
        bytes[hole..hole + 8].fill(0);
        std::fs::write(&path, bytes).unwrap();
        assert!(!Journal::open(directory.path()).unwrap().verify().unwrap().damaged.is_empty());
        let mut recorder = Recorder::start(&world, RecorderOptions::new(directory.path())).unwrap();
        recorder.look().unwrap();
        recorder.finish().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert_eq!(journal.verify().unwrap().damaged, [""; 0]);
        let left = (journal.record_bounds(0).len(), journal.last().generation);
        assert_eq!(left, (3, world.generation()), "in its head: {in_head}");
    }
}

/// A death in between would leave neither the old segment nor the new one.
#[test]
fn a_segment_that_begins_where_a_recording_is_gone_on_with_stays() {
    let directory = tempfile::tempdir().unwrap();
    let options = || RecorderOptions { checkpoint_every: 2, ..RecorderOptions::new(directory.path()) };
    let mut world = sample::world_of(64 << 20);
    let mut recorder = Recorder::start(&world, options()).unwrap();
    let mut states = Vec::new();
    let mut look = |recorder: &mut Recorder, world: &World| {
        recorder.look().unwrap();
        recorder.flush().unwrap();
        states.push(whole(world));
    };
    look(&mut recorder, &world);
    for _ in 0..2 {
        edit(&mut world, (0, 1));
        look(&mut recorder, &world);
    }
    recorder.finish().unwrap();
    let last = segments(directory.path()).pop().unwrap();
    let inodes = |path: &Path| {
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
        (inode(path), inode(&path.with_extension("checkpoint")))
    };
    let before = inodes(&last);
    let mut recorder = Recorder::start(&world, options()).unwrap();
    recorder.look().unwrap();
    recorder.flush().unwrap();
    assert_eq!((segments(directory.path()).pop(), inodes(&last)), (Some(last.clone()), before));
    edit(&mut world, (1, 1));
    recorder.look().unwrap();
    recorder.finish().unwrap();
    states.push(whole(&world));
    assert_replays(directory.path(), &states);
}

#[test]
fn generations_that_were_left_out_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = sample::world_of(64 << 20);
    let mut recorder = Recorder::start(&world, RecorderOptions::new(directory.path())).unwrap();
    recorder.look().unwrap();
    for _ in 0..3 {
        edit(&mut world, (0, 1));
    }
    recorder.look().unwrap();
    let expected = whole(&world);
    let recorded = recorder.finish().unwrap();
    assert_eq!((recorded.generations, recorded.skipped), (2, 2));
    let journal = Journal::open(directory.path()).unwrap();
    assert_same(journal.replay_to(journal.last()).unwrap().state.as_ref().unwrap(), &expected);
    let error = journal.at(99).unwrap_err().to_string();
    assert!(error.contains("no frame 99: it has frames 0 to 3"), "{error}");
    assert!(matches!(Journal::open(&directory.path().join("none")), Err(JournalError::Empty { .. })));
}

/// A writer that dies when it went back leaves that to the next one; a generation of another frame is another history.
#[test]
fn a_recording_of_a_world_that_went_back_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let (mut world, mut states) = record(directory.path(), &[(0, 1), (0, 2), (5, 40), (12, 3)], 100);
    world.rollback(3).unwrap();
    let mut recorder = Recorder::start(&world, RecorderOptions::new(directory.path())).unwrap();
    recorder.look().unwrap();
    states.push(whole(&world));
    edit(&mut world, (5, 60));
    recorder.look().unwrap();
    states.push(whole(&world));
    recorder.finish().unwrap();
    assert_replays(directory.path(), &states);

    let mut other = sample::world_of(64 << 20);
    while other.generation() < world.generation() {
        other.publish().unwrap();
    }
    let refused = Recorder::start(&other, RecorderOptions::new(directory.path())).err().unwrap().to_string();
    let newest = world.generation();
    for frame in ["goes to frame 2 already", "stands at frame 0"] {
        assert!(refused.contains(&format!("{frame} (generation {newest})")), "{refused}");
    }
}

/// Edits without a rollback: each is a frame, so that the frame is the state's place in the list.
fn course(edits: usize) -> Vec<(u8, usize)> {
    EDITS.iter().copied().filter(|(what, _)| *what != 10).cycle().take(edits).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What a damaged journal may say: every frame that it gives is that frame, and where a frame is not given something is told.
/// Whether anything was.
fn assert_honest(directory: &Path, states: &[State], what: &str) -> bool {
    let journal = match Journal::open(directory) {
        Ok(journal) => journal,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "{what}");
            return true;
        }
    };
    let verified = journal.verify().unwrap();
    let mut missing = 0;
    for (frame, expected) in (0u64..).zip(states) {
        match journal.at(frame).and_then(|entry| journal.replay_to(entry)) {
            Ok(replay) => {
                let found = replay.state.as_ref().unwrap();
                assert_eq!(found.moment.frame, frame, "{what}: asked for frame {frame}");
                assert_same(found, expected);
            }
            Err(error) => {
                assert!(!matches!(error, JournalError::Gone), "{what}: frame {frame}: {error}");
                missing += 1;
            }
        }
    }
    let told = !verified.damaged.is_empty() || !verified.finished;
    assert!(told || missing == 0, "{what}: {missing} frames are missing, and it is whole and finished");
    told
}

/// Whatever is missing of a recording, cut off, swapped or of another one is told, and no frame is given for another.
#[test]
fn a_damaged_journal_gives_no_frame_for_another() {
    let original = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let (_world, states) = record(original.path(), &course(11), 3);
    let (_world, _) = record(other.path(), &course(12)[1..], 3);
    let whole = Journal::open(original.path()).unwrap();
    let verified = whole.verify().unwrap();
    assert!(verified.damaged.is_empty() && verified.finished && whole.gaps().count() == 0, "{verified:?}");
    let names: Vec<_> = segments(original.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert!(names.len() >= 4, "{names:?}");
    let attempt = |what: &str, damage: &dyn Fn(&Path)| {
        let directory = tempfile::tempdir().unwrap();
        copy(original.path(), directory.path());
        damage(directory.path());
        assert_honest(directory.path(), &states, what)
    };
    let told = |what: &str, damage: &dyn Fn(&Path)| assert!(attempt(what, damage), "{what}: nothing is told");
    for (index, name) in names.iter().enumerate() {
        let checkpoint = Path::new(name).with_extension("checkpoint");
        told(&format!("{name:?} is missing"), &|directory| {
            std::fs::remove_file(directory.join(name)).unwrap();
        });
        told(&format!("{name:?} and its checkpoint are missing"), &|directory| {
            std::fs::remove_file(directory.join(name)).unwrap();
            std::fs::remove_file(directory.join(&checkpoint)).unwrap();
        });
        told(&format!("{checkpoint:?} is missing"), &|directory| {
            std::fs::remove_file(directory.join(&checkpoint)).unwrap();
        });
        told(&format!("all from {name:?} on are missing"), &|directory| {
            for name in &names[index..] {
                std::fs::remove_file(directory.join(name)).unwrap();
            }
        });
        told(&format!("{name:?} is of another recording"), &|directory| {
            std::fs::copy(other.path().join(name), directory.join(name)).unwrap();
        });
        told(&format!("{checkpoint:?} is of another recording"), &|directory| {
            std::fs::copy(other.path().join(&checkpoint), directory.join(&checkpoint)).unwrap();
        });
        let next = &names[(index + 1) % names.len()];
        told(&format!("{name:?} and {next:?} are swapped"), &|directory| {
            std::fs::copy(original.path().join(name), directory.join(next)).unwrap();
            std::fs::copy(original.path().join(next), directory.join(name)).unwrap();
        });
        let bytes = std::fs::read(original.path().join(name)).unwrap();
        let bounds = whole.record_bounds(index);
        for cut in bounds.iter().flat_map(|bound| [bound - 1, *bound, bound + 1]) {
            let what = format!("{name:?} is cut at {cut}");
            let is_told = attempt(&what, &|directory| {
                std::fs::write(directory.join(name), &bytes[..cut as usize]).unwrap();
            });
            // of a segment that others follow the index alone is no loss: the chain tells that all records are there
            assert!(is_told || Some(&cut) == bounds.last(), "{what}: nothing is told");
        }
    }
    // a word on what is missing, and where
    let directory = tempfile::tempdir().unwrap();
    copy(original.path(), directory.path());
    std::fs::remove_file(directory.path().join(&names[1])).unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let gap = journal.gaps().next().unwrap().to_string();
    assert!(gap.contains("the segment that begins with generation") && gap.contains("is missing"), "{gap}");
    let between = journal.at(5).unwrap_err().to_string();
    assert!(between.contains("frame 5 is missing: the journal has frame 3"), "{between}");
    let refused = Recorder::start(&_world, RecorderOptions::new(directory.path())).err().unwrap();
    assert!(refused.to_string().contains("is damaged"), "{refused}");
}

/// A recording that was finished and later appended to, without its last segment.
#[test]
fn a_recording_that_was_appended_to_misses_its_last_segment() {
    let directory = tempfile::tempdir().unwrap();
    let (mut world, mut states) = record(directory.path(), &course(5), 100);
    assert!(Journal::open(directory.path()).unwrap().is_finished());
    let mut recorder = Recorder::start(&world, RecorderOptions::new(directory.path())).unwrap();
    recorder.look().unwrap();
    edit(&mut world, (0, 4));
    states.push(whole(&world));
    recorder.look().unwrap();
    recorder.finish().unwrap();
    assert_replays(directory.path(), &states);
    assert!(Journal::open(directory.path()).unwrap().is_finished());
    std::fs::remove_file(&segments(directory.path())[1]).unwrap();
    let verified = Journal::open(directory.path()).unwrap().verify().unwrap();
    assert!(!verified.finished && verified.damaged[0].contains("is missing"), "{verified:?}");
}

/// Past the process's limit of a file's length a recording ends as an error that names the limit, with what was recorded
/// before whole; the same for checkpoints.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn files_past_the_limit_of_the_process_are_errors() {
    crate::own_process::run("journal::tests::files_past_the_limit_of_the_process_are_errors", past_the_limit);
}

#[cfg(all(target_os = "linux", not(miri)))]
fn past_the_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let directory = tempfile::tempdir().unwrap();
    let limit = |bytes: Option<u64>| setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    let kept = [100 << 10, 30 << 10];
    limit(Some(kept[0]));
    let mut world = sample::world_of(64 << 20);
    let options = RecorderOptions { compress: Compress::Never, ..RecorderOptions::new(directory.path()) };
    let mut recorder = Recorder::start(&world, options).unwrap();
    let mut states = vec![whole(&world)];
    recorder.look().unwrap();
    let error = loop {
        edit(&mut world, (5, 200));
        let said = recorder.look().and_then(|_| recorder.flush());
        match said {
            Ok(()) => states.push(whole(&world)),
            Err(error) => break error,
        }
        assert!(states.len() < 100, "nothing was in the way");
    };
    assert!(error.to_string().contains("RLIMIT_FSIZE (`ulimit -f`) allows 102400 bytes"), "{error}");
    drop(recorder);
    assert!(states.len() > 3, "{}", states.len());
    // no part of the record that did not fit
    let journal = Journal::open(directory.path()).unwrap();
    assert!(journal.truncated_tail().is_none());
    assert_replays(directory.path(), &states);

    // below a limit that the generation alone is above
    limit(Some(kept[1]));
    let path = directory.path().join("large");
    let options = crate::checkpoint::CheckpointOptions::default().level(0);
    let mut reader = world.reader().unwrap();
    let error = crate::checkpoint::write(&reader.pin().unwrap(), &path, &options).unwrap_err();
    assert!(error.to_string().contains("RLIMIT_FSIZE"), "{error}");
    assert!(std::fs::read_dir(directory.path()).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        !name.to_string_lossy().contains("large") && !name.to_string_lossy().contains("tmp")
    }));
    limit(None);
    crate::checkpoint::write(&reader.pin().unwrap(), &path, &options).unwrap();
}
