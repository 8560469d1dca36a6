//! Recordings as files: checkpoints and journals that were damaged, and a region with a timeline.
#![expect(unsafe_code, reason = "opens a region of its own")]

#[cfg(feature = "checkpoint")]
use super::own_scratch;
use super::regions::lay_out;
use super::{Sample, scratch};
use crate::{Reader, RegionTarget, World};

/// A recording of two segments, as names and bytes of its files.
#[cfg(feature = "checkpoint")]
fn sample_journal() -> Vec<(String, Vec<u8>)> {
    use crate::journal::{Recorder, RecorderOptions};
    let directory = scratch("recording");
    let _ = std::fs::remove_dir_all(&directory);
    let mut world = World::builder().component::<Sample>().bytes_max(1 << 22).build().expect("it is small");
    world.spawn_batch((0..90).map(|i| Sample { x: 0.5, id: i })).expect("there is room");
    world.publish().expect("nobody holds anything");
    let options = RecorderOptions { checkpoint_every: 2, ..RecorderOptions::new(&directory) };
    let mut recorder = Recorder::start(&world, options).expect("a thread can be had");
    for id in 0..4 {
        recorder.look().expect("it can be written");
        world.begin_frame().expect("it can be begun");
        world.spawn(Sample { x: 1.5, id }).expect("there is room");
        world.end_frame(0.5);
        world.publish().expect("nobody holds it all");
    }
    recorder.finish().expect("it can be written");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(&directory)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read"))
        .map(|entry| {
            let bytes = std::fs::read(entry.path()).expect("it can be read");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    files.sort();
    files
}

/// A damaged journal: each 4 bytes of the input pick a file, a place in it and a new value; an input that begins with an odd
/// byte cuts the last file it names short, one whose bit 1 is set leaves it out. What verifies as whole and finished comes
/// back, frame by frame.
#[cfg(feature = "checkpoint")]
pub fn journal(input: &[u8]) {
    use crate::journal::Journal;
    static TEMPLATE: std::sync::OnceLock<Vec<(String, Vec<u8>)>> = std::sync::OnceLock::new();
    let mut files = TEMPLATE.get_or_init(sample_journal).clone();
    let mut last = 0;
    for edit in input.get(1..).unwrap_or_default().chunks_exact(4) {
        last = usize::from(edit[0]) % files.len();
        let bytes = &mut files[last].1;
        let place = (usize::from(edit[1]) << 8 | usize::from(edit[2])) % bytes.len();
        bytes[place] = edit[3];
    }
    let first = input.first().copied().unwrap_or(0);
    if let (1, Some(place)) = (first % 2, input.last()) {
        let bytes = &mut files[last].1;
        bytes.truncate(bytes.len() * usize::from(*place) / 256);
    }
    if first & 2 != 0 {
        files.remove(last);
    }
    let directory = own_scratch("journal");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory can be made");
    for (name, bytes) in &files {
        std::fs::write(directory.join(name), bytes).expect("it can be written");
    }
    let Ok(journal) = Journal::open(&directory) else { return };
    let Ok(verified) = journal.verify() else { return };
    let mut whole = true;
    for entry in journal.entries() {
        match journal.replay_to(entry).and_then(|replay| replay.load()) {
            Ok(mut reader) => {
                let snapshot = reader.pin().expect("what was loaded has a generation");
                assert_eq!((snapshot.generation(), snapshot.frame()), (entry.generation, entry.frame));
            }
            Err(_) => whole = false,
        }
    }
    assert!(whole || !verified.damaged.is_empty(), "what is whole comes back");
    let complete = journal.entries().len() == 5;
    assert!(complete || !verified.damaged.is_empty() || !verified.finished, "what is missing is told");
}

/// A region whose simulation ran some frames.
fn sample_trace() -> Vec<(&'static str, Vec<u8>)> {
    let parent = scratch("traced");
    let _ = std::fs::remove_dir_all(parent.join("region"));
    let target = RegionTarget::Directory(parent.join("region"));
    let builder = World::builder().component::<Sample>().bytes_max(1 << 20).region(target).keep_region(true);
    let mut world = builder.build().expect("a small region can be made");
    world.spawn_batch((0..300).map(|i| Sample { x: 0.5, id: i })).expect("there is room");
    let mut schedule = crate::Schedule::new();
    schedule.add(crate::System::rows::<crate::Write<Sample>>("age", |_, mut sample| sample.x.map(|x| x + 1.0)));
    let mut simulation = crate::Simulation::new(world, schedule, crate::Workers::Local).expect("it is valid");
    simulation.run(5, 0.5).expect("it runs");
    let files = ["descriptor", "control", "data", "leases", "lock", "trace"]
        .map(|name| (name, std::fs::read(parent.join("region").join(name)).expect("the region has this file")));
    simulation.world_mut().set_keep_region(false);
    files.to_vec()
}

/// Arbitrary bytes as a checkpoint, or a whole one with damage: an input that begins with an odd byte is the file; else
/// each 3 bytes after it pick a place and a new value, and bit 1 of the first byte mends the checksums.
#[cfg(feature = "checkpoint")]
pub fn checkpoint_decode(input: &[u8]) {
    use crate::checkpoint::sample;
    static TEMPLATE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let Some((first, input)) = input.split_first() else { return };
    let mut bytes = input.to_vec();
    if first & 1 == 0 {
        let template = || sample::bytes_of(&mut sample::world().reader().expect("a lease is free"), 1);
        bytes.clone_from(TEMPLATE.get_or_init(template));
        for edit in input.as_chunks::<3>().0 {
            let place = (usize::from(edit[0]) << 8 | usize::from(edit[1])) % bytes.len();
            bytes[place] = edit[2];
        }
    }
    if first & 2 != 0 {
        sample::mend(&mut bytes);
    }
    read_checkpoint(bytes);
}

/// Opens a checkpoint, checks it, loads it and looks at everything, as far as it gets.
#[cfg(feature = "checkpoint")]
pub(crate) fn read_checkpoint(bytes: Vec<u8>) {
    let Ok(file) = crate::checkpoint::CheckpointFile::of_bytes(bytes) else { return };
    // a layout may ask for any amount of memory, and get an error or wait for it: not here
    if file.raw_bytes() > 1 << 24 {
        return;
    }
    let whole = file.verify().expect("memory can be read").damaged.is_empty();
    let Ok(mut reader) = file.load() else { return };
    assert!(whole, "what is damaged is not loaded");
    let snapshot = reader.pin().expect("what was loaded has a generation");
    assert_eq!(snapshot.entity_count(), file.entity_count());
    std::hint::black_box(snapshot.hash());
}

/// A region's timeline whose file was damaged: each 4 bytes of the input are a place (3 bytes) and a new value; a first byte
/// that is odd cuts it short. Then it is read.
pub fn trace(input: &[u8]) {
    static TEMPLATE: std::sync::OnceLock<Vec<(&'static str, Vec<u8>)>> = std::sync::OnceLock::new();
    let mut files = TEMPLATE.get_or_init(sample_trace).clone();
    let bytes = &mut files.last_mut().expect("the trace is the last").1;
    for edit in input.get(1..).unwrap_or_default().chunks_exact(4) {
        let place = usize::from(edit[0]) << 16 | usize::from(edit[1]) << 8 | usize::from(edit[2]);
        let place = place % bytes.len();
        bytes[place] = edit[3];
    }
    if let (Some(1), Some(place)) = (input.first().map(|first| first % 2), input.last()) {
        bytes.truncate(bytes.len() * usize::from(*place) / 256);
    }
    let target = lay_out(&files);
    // SAFETY: nobody else writes to the files.
    let Ok(reader) = (unsafe { Reader::open(&target) }) else { return };
    if let Ok(timeline) = reader.timeline() {
        std::hint::black_box(timeline);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[cfg(feature = "checkpoint")]
    #[cfg_attr(miri, ignore = "files")]
    #[test]
    fn damaged_journals_give_what_they_have() {
        journal(&[0]);
        for seed in 0..300 {
            let mut random = Random(seed);
            let mut input = vec![[0u8, 0, 0, 1, 2, 3][random.below(6)]];
            for _ in 0..random.below(4) {
                let bound = [130, 1 << 16][random.below(2)];
                let [high, low] = (random.below(bound) as u16).to_be_bytes();
                input.extend([random.below(64) as u8, high, low, random.next() as u8]);
            }
            journal(&input);
        }
    }

    #[cfg_attr(miri, ignore = "regions of files")]
    #[test]
    fn damaged_traces_are_answered() {
        trace(&[0]);
        for seed in 0..300 {
            let mut random = Random(seed);
            let mut input = vec![u8::from(random.below(5) == 0)];
            for _ in 0..random.below(6) {
                // the header, the names, the first events
                let bound = [64, 4400, 20_000][random.below(3)];
                let place = random.below(bound) as u32;
                let [_, high, middle, low] = place.to_be_bytes();
                input.extend([high, middle, low, random.next() as u8]);
            }
            trace(&input);
        }
    }

    #[cfg(feature = "checkpoint")]
    #[cfg_attr(miri, ignore = "files")]
    #[test]
    fn checkpoints_survive_damage() {
        checkpoint_decode(&[]);
        for seed in 0..600 {
            let mut random = Random(seed);
            let mut input = vec![random.below(256) as u8 & if random.below(8) == 0 { 0xff } else { 0xfe }];
            for _ in 0..random.below(6) {
                // the head is where damage matters
                let bound = if random.below(2) == 0 { 800 } else { 1 << 16 };
                let [high, low] = (random.below(bound) as u16).to_be_bytes();
                input.extend([
                    high,
                    low,
                    if random.below(2) == 0 { random.next() as u8 } else { random.below(4) as u8 },
                ]);
            }
            checkpoint_decode(&input);
        }
    }
}
