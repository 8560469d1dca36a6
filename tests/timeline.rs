//! The timeline of a known schedule: every event is there, whoever ran the jobs. Counts and order; never how long.
#![expect(clippy::unwrap_used, reason = "a test may")]

use hypostyle::trace::{Event, EventKind, Phase, Timeline, Wait};
use hypostyle::{
    Component, Read, RegionTarget, Schedule, Simulation, SimulationBuilder, System, Workers, World, Write,
};

#[derive(Component, Clone, Copy)]
struct Place {
    x: f32,
}
#[derive(Component, Clone, Copy)]
struct Speed {
    x: f32,
}
#[derive(Component, Clone, Copy)]
struct Mark;

const ROWS: u32 = 4096;
const JOB_ROWS: u32 = 512;
const JOBS: u32 = ROWS / JOB_ROWS;
const FRAMES: u64 = 6;

/// A startup system, two that fuse, one with patches, one in a stage of its own that sorts.
fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    let mut add = |system: System| {
        schedule.add(system.job_rows(JOB_ROWS));
    };
    add(System::rows::<Write<Speed>>("begin", |_, mut speed| speed.x.map(|_| 1.0)).stage("startup"));
    add(System::rows::<(Write<Place>, Read<Speed>)>("move", |job, (mut place, speed)| {
        let dt = job.dt() as f32;
        place.x.map_with(speed.x, |x, v| x + v * dt);
    }));
    add(System::rows::<(Write<Speed>, Read<Place>)>("brake", |_, (mut speed, place)| {
        speed.x.map_with(place.x, |v, x| v - x * 0.01);
    }));
    add(System::rows::<Read<Place>>("mark", |job, place| {
        for row in 0..job.len() {
            if place.x[row] > 0.5 && (row as u64 + job.frame()).is_multiple_of(64) {
                job.add_row(row, Mark);
            }
        }
    })
    .adds::<Mark>()
    .after("brake"));
    add(System::rows::<(Read<Place>, Write<Speed>)>("order", |_, _| {}).stage("late").sort_by("place.x"));
    schedule
}

fn world(region: RegionTarget) -> World {
    let builder = World::builder().component::<Place>().component::<Speed>().component::<Mark>();
    let mut world = builder.region(region).build().unwrap();
    world.spawn_batch((0..ROWS).map(|i| (Place { x: (i % 7) as f32 }, Speed { x: 0.0 }))).unwrap();
    world
}

fn builder(workers: Workers) -> SimulationBuilder {
    // main leaves the jobs to the workers, so that there is something to wait for
    Simulation::builder().workers(workers).main_helps(false)
}

fn all(timeline: &Timeline) -> impl Iterator<Item = &Event> {
    timeline.lanes.iter().flat_map(|lane| &lane.events)
}

fn count(timeline: &Timeline, what: impl Fn(&EventKind) -> bool) -> u64 {
    all(timeline).filter(|event| what(&event.kind)).count() as u64
}

/// Jobs and their rows in a system's events.
fn of_system(timeline: &Timeline, name: &str) -> (u64, u64) {
    let number = timeline.systems.iter().position(|system| system == name).unwrap() as u32;
    let of = |event: &Event| match event.kind {
        EventKind::Job { system, rows, fused: false, .. } | EventKind::System { system, rows, .. }
            if system == number =>
        {
            Some(u64::from(rows))
        }
        _ => None,
    };
    all(timeline).filter_map(of).fold((0, 0), |(jobs, all), rows| (jobs + 1, all + rows))
}

fn check(timeline: &Timeline, jobs: u64, workers: usize) {
    assert_eq!((timeline.lost(), timeline.lanes.len()), (0, workers + 1));
    assert_eq!(timeline.systems, ["begin", "move", "brake", "mark", "order"]);
    assert!(all(timeline).all(|event| event.start_ns >= timeline.began_ns && event.end_ns() >= event.start_ns));
    let main = &timeline.lanes[0].events;
    let frames: Vec<u64> = main
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Frame { number, frames: 1, failed: false } => Some(number),
            _ => None,
        })
        .collect();
    assert_eq!(frames, (1..=FRAMES).collect::<Vec<_>>());
    // startup once, update and late in every frame; two batches of update, as two systems run as one
    assert_eq!(count(timeline, |kind| matches!(kind, EventKind::Stage { .. })), 1 + 2 * FRAMES);
    assert_eq!(timeline.batches.iter().map(|batch| batch.systems.len()).collect::<Vec<_>>(), [1, 2, 1, 1]);
    let batches = 1 + 3 * FRAMES;
    assert_eq!(count(timeline, |kind| matches!(kind, EventKind::Batch { .. })), batches);
    // where main is alone, only what makes patches, or sorts, takes a program, whose columns become content at its end
    let built = if workers == 0 { 2 * FRAMES } else { batches };
    for (phase, expected) in [(Phase::Build, built), (Phase::Run, batches), (Phase::Live, built)] {
        let found = count(timeline, |kind| matches!(kind, EventKind::Phase { phase: p, .. } if *p == phase));
        assert_eq!(found, expected, "{phase:?}");
    }
    assert_eq!(count(timeline, |kind| matches!(kind, EventKind::Phase { phase: Phase::Sort, .. })), FRAMES);
    assert!(count(timeline, |kind| matches!(kind, EventKind::Phase { phase: Phase::Apply, .. })) <= FRAMES);
    // the world was edited before the first frame
    assert_eq!(count(timeline, |kind| matches!(kind, EventKind::Publish { skipped: false, .. })), FRAMES + 1);
    // every job once, with its rows
    assert_eq!(count(timeline, |kind| matches!(kind, EventKind::Job { failed: false, attempt: 0, .. })), jobs);
    assert_eq!(count(timeline, |kind| matches!(kind, EventKind::Job { .. })), jobs);
    assert_eq!(of_system(timeline, "begin"), (u64::from(JOBS), u64::from(ROWS)));
    for name in ["move", "brake", "mark", "order"] {
        // rows move to the table of marked ones: as many in all, in more jobs
        let (jobs, rows) = of_system(timeline, name);
        assert_eq!(rows, u64::from(ROWS) * FRAMES, "{name}");
        assert!(jobs >= u64::from(JOBS) * FRAMES, "{name}: {jobs}");
    }
    let announced: u64 = main
        .iter()
        .map(|event| match event.kind {
            EventKind::Batch { jobs, .. } => u64::from(jobs),
            _ => 0,
        })
        .sum();
    assert_eq!(announced, jobs);
    let started = |kind: &EventKind| matches!(kind, EventKind::Started { .. });
    assert_eq!(count(timeline, started), workers as u64);
}

/// Within main's lane one event holds another or they are apart.
fn check_nesting(events: &[Event]) {
    let mut sorted: Vec<&Event> = events.iter().filter(|event| !matches!(event.kind, EventKind::Died { .. })).collect();
    sorted.sort_by_key(|event| (event.start_ns, std::cmp::Reverse(event.end_ns())));
    let mut open: Vec<&Event> = Vec::new();
    for event in sorted {
        while open.last().is_some_and(|outer| outer.end_ns() <= event.start_ns) {
            open.pop();
        }
        assert!(open.last().is_none_or(|outer| event.end_ns() <= outer.end_ns()), "{event:?} crosses {open:?}");
        open.push(event);
    }
}

fn run(workers: Workers) {
    let mut simulation = builder(workers).build(world(RegionTarget::Heap), schedule()).unwrap();
    let reader = simulation.world().reader().unwrap();
    let mut jobs = 0;
    for _ in 0..FRAMES {
        jobs += simulation.step(0.1).unwrap().jobs;
    }
    let hands = simulation.worker_status().len();
    let timeline = simulation.timeline();
    check(&timeline, jobs, hands);
    timeline.lanes.iter().for_each(|lane| check_nesting(&lane.events));
    if hands > 0 {
        assert!(timeline.lanes[1..].iter().any(|lane| !lane.events.is_empty()));
    }
    // a reader in this process sees the same, and after the end also that the workers have waited for work
    let seen = reader.timeline().unwrap();
    check(&seen, jobs, hands);
    simulation.close();
    let waits = |lane: &hypostyle::trace::Lane| {
        lane.events.iter().filter(|event| event.kind == EventKind::Wait(Wait::Work)).count()
    };
    assert!(simulation.timeline().lanes[1..].iter().all(|lane| waits(lane) > 0));
}

#[test]
fn every_event_is_there_with_main_alone() {
    run(Workers::Local);
}

#[test]
fn every_event_is_there_with_threads() {
    run(Workers::Threads(2));
}

#[test]
fn nothing_is_recorded_where_tracing_is_off() {
    let build = |world: World, tracing: bool| {
        let mut simulation = builder(Workers::Threads(1)).tracing(tracing).build(world, schedule()).unwrap();
        simulation.step(0.1).unwrap();
        simulation
    };
    let on = build(world(RegionTarget::Heap), true);
    assert!(on.timeline().events() > 0);
    let off = build(on.into_world(), false);
    assert_eq!(off.timeline(), Timeline::default());
    let error = off.world().reader().unwrap().timeline().unwrap_err();
    assert!(error.to_string().starts_with("the region has no timeline"), "{error}");
}

#[test]
fn a_short_ring_keeps_the_newest_events_and_counts_the_others() {
    let mut simulation = builder(Workers::Local).trace_events(1).build(world(RegionTarget::Heap), schedule()).unwrap();
    let mut whole = Timeline::default();
    for _ in 0..50 {
        simulation.step(0.1).unwrap();
        simulation.extend_timeline(&mut whole);
    }
    let timeline = simulation.timeline();
    assert_eq!(timeline.events(), 63, "a ring of the least size, but for the slot that is written next");
    assert!(timeline.lost() > 500 && timeline.whole_since_ns() > timeline.began_ns);
    assert!(matches!(timeline.lanes[0].events.last().unwrap().kind, EventKind::Frame { number: 50, .. }));
    // all that was ever written, counted in another way
    assert_eq!(timeline.lost() + 63, whole.lost() + whole.events() as u64);
    let newest = timeline.lanes[0].events.clone();
    whole.keep_newest(63);
    assert_eq!(whole.lanes[0].events, newest);
}

/// Frames in one pass: each system has an event for each frame of each job.
#[test]
fn frames_in_one_pass_are_told_system_by_system() {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Place>>("move", |_, mut place| place.x.map(|x| x + 1.0)).job_rows(JOB_ROWS));
    let mut simulation = builder(Workers::Local).publish_every(4).build(world(RegionTarget::Heap), schedule).unwrap();
    simulation.run(8, 0.1).unwrap();
    let timeline = simulation.timeline();
    assert_eq!(count(&timeline, |kind| matches!(kind, EventKind::Frame { frames: 4, .. })), 2);
    assert_eq!(count(&timeline, |kind| matches!(kind, EventKind::Job { fused: true, .. })), 2 * u64::from(JOBS));
    assert_eq!(of_system(&timeline, "move"), (8 * u64::from(JOBS), 8 * u64::from(ROWS)));
}

#[test]
fn a_frame_that_fails_says_so() {
    let mut schedule = Schedule::new();
    let fails = System::try_rows::<Write<Place>>("fails", |job, _| {
        if job.frame() == 2 && job.first_row() == 0 { Err("no".into()) } else { Ok(()) }
    });
    schedule.add(fails.job_rows(JOB_ROWS));
    let mut simulation = builder(Workers::Local).build(world(RegionTarget::Heap), schedule).unwrap();
    simulation.step(0.1).unwrap();
    simulation.step(0.1).unwrap_err();
    let timeline = simulation.timeline();
    assert_eq!(count(&timeline, |kind| matches!(kind, EventKind::Frame { number: 2, failed: true, .. })), 1);
    assert_eq!(count(&timeline, |kind| matches!(kind, EventKind::Job { failed: true, .. })), 1);
    assert_eq!(count(&timeline, |kind| matches!(kind, EventKind::Job { failed: false, .. })), u64::from(JOBS));
}

#[cfg(target_os = "linux")]
mod shared {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn target(directory: &tempfile::TempDir) -> RegionTarget {
        RegionTarget::Directory(directory.path().join("region"))
    }

    #[test]
    fn the_timeline_of_a_shared_region_is_a_file_that_readers_find() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("region/trace");
        let mut world = world(target(&directory));
        world.publish().unwrap();
        let reader = world.reader().unwrap();
        assert!(reader.timeline().is_err() && !file.exists(), "no simulation yet");
        let mut simulation = builder(Workers::Threads(2)).build(world, schedule()).unwrap();
        let mut jobs = 0;
        for _ in 0..FRAMES {
            jobs += simulation.step(0.1).unwrap().jobs;
        }
        let timeline = reader.timeline().unwrap();
        // the world was published before
        let publications = |kind: &EventKind| matches!(kind, EventKind::Publish { .. });
        assert_eq!(count(&timeline, publications), FRAMES);
        assert_eq!(count(&timeline, |kind| matches!(kind, EventKind::Job { .. })), jobs);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        // the next simulation's takes its place
        let mut simulation = builder(Workers::Local).build(simulation.into_world(), schedule()).unwrap();
        simulation.step(0.1).unwrap();
        let mut next = timeline.clone();
        reader.extend_timeline(&mut next).unwrap();
        assert_eq!((next.lanes.len(), next.lost()), (1, 0));
        assert!(next.events() > 0 && next.events() < timeline.events());
        let simulation = builder(Workers::Local).tracing(false).build(simulation.into_world(), schedule()).unwrap();
        assert!(reader.timeline().is_err() && !file.exists());
        drop(simulation);
        assert!(!directory.path().join("region").exists());
    }

    /// Whatever the file holds, a reader gets an answer.
    #[test]
    fn a_hostile_file_is_an_error_or_a_timeline() {
        let directory = tempfile::tempdir().unwrap();
        let mut simulation =
            builder(Workers::Threads(1)).trace_events(64).build(world(target(&directory)), schedule()).unwrap();
        simulation.step(0.1).unwrap();
        simulation.close();
        let reader = simulation.world().reader().unwrap();
        let path = directory.path().join("region/trace");
        let whole = std::fs::read(&path).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let mut state = 1u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let (mut read, mut refused) = (0, 0);
        for round in 0..300u64 {
            let mut bytes = whole.clone();
            for _ in 0..1 + round % 40 {
                // half of the changes in the first words of a page, where heads and sizes are
                let page = random() as usize % (bytes.len() / 4096) * 4096;
                let at = page + random() as usize % if round % 2 == 0 { 64 } else { 4096 };
                bytes[at] = random() as u8;
            }
            file.write_all_at(&bytes, 0).unwrap();
            match reader.timeline() {
                Ok(timeline) => {
                    assert!(timeline.lanes.iter().all(|lane| lane.events.len() <= 64 && lane.damaged <= 64));
                    let mut timeline = timeline;
                    timeline.keep_newest(5);
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(read > 20 && refused > 20, "{read} read, {refused} refused");
        for bytes in [0, 1, 4096, 8192, whole.len() as u64 - 1] {
            std::fs::write(&path, &whole[..bytes as usize]).unwrap();
            assert!(reader.timeline().is_err(), "{bytes} bytes");
        }
    }
}
