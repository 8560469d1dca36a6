//! Recordings as files: journals that were damaged, and a region with a timeline.
#![forbid(unsafe_code)]

#[cfg(feature = "checkpoint")]
use super::own_scratch;
use super::{Sample, scratch};
use crate::{RegionTarget, World};

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
pub(super) fn sample_trace() -> Vec<(&'static str, Vec<u8>)> {
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
