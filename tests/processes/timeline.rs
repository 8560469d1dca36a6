//! What the timeline tells of worker processes, also of those that die, in the middle of an event or anywhere else.
#![forbid(unsafe_code)]

use hypostyle::Workers;
use hypostyle::trace::{Event, EventKind, Phase, Timeline};

use crate::hostile;
use crate::scenes;
use crate::support::Setting;

/// Sums of the frames' reports.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    jobs: u64,
    deaths: u64,
    retries: u64,
}

/// The timeline of a run, as another process would read it, and what the reports say.
fn run(fault: Option<&str>, frames: u64) -> (Timeline, Sums) {
    let setting = Setting { fault: fault.map(str::to_owned), ..Setting::new("mixed", Workers::Processes(2)) };
    let target = setting.region();
    let mut simulation = setting.start(scenes::world("mixed", target.clone(), 1500, 21), 21);
    let reader = hostile::open(&target).unwrap();
    let mut timeline = Timeline::default();
    let mut sums = Sums::default();
    for _ in 0..frames {
        let report = simulation.step(scenes::DT).unwrap();
        sums.jobs += report.jobs;
        sums.deaths += report.deaths;
        sums.retries += report.retries;
        reader.extend_timeline(&mut timeline).unwrap();
    }
    assert!(timeline.lanes.iter().all(|lane| lane.damaged == 0 && lane.lost == 0), "{fault:?}");
    (timeline, sums)
}

fn count(timeline: &Timeline, what: impl Fn(&EventKind) -> bool) -> u64 {
    timeline.lanes.iter().flat_map(|lane| &lane.events).filter(|event| what(&event.kind)).count() as u64
}

fn jobs(timeline: &Timeline) -> u64 {
    count(timeline, |kind| matches!(kind, EventKind::Job { failed: false, .. }))
}

/// Each worker process writes to its own ring, and main's and its clocks agree.
pub fn every_event_of_every_process() {
    let (timeline, sums) = run(None, 30);
    assert_eq!((timeline.lanes.len(), jobs(&timeline)), (3, sums.jobs));
    assert_eq!(count(&timeline, |kind| matches!(kind, EventKind::Started { pid, .. } if *pid > 0)), 2);
    // a worker's job lies within a batch of main's
    let batches: Vec<&Event> =
        timeline.lanes[0].events.iter().filter(|event| matches!(event.kind, EventKind::Batch { .. })).collect();
    for event in timeline.lanes[1..].iter().flat_map(|lane| &lane.events) {
        if let EventKind::Job { .. } = event.kind {
            let inside = |batch: &&&Event| batch.start_ns <= event.start_ns && event.end_ns() <= batch.end_ns();
            assert!(batches.iter().find(inside).is_some(), "{event:?}");
        }
    }
}

/// Deaths are told with the job that was lost, and leave nothing that is no event.
pub fn of_dying_workers() {
    // whether a job whose worker died there has an event all the same
    for (fault, told) in [("mid-event:50", false), ("begun:12", false), ("ran:12", true), ("published:13", false)] {
        let (timeline, sums) = run(Some(fault), 12);
        assert!(sums.deaths > 0, "{fault}");
        let died = count(&timeline, |kind| matches!(kind, EventKind::Died { .. }));
        // of deaths after the last batch no report tells
        assert!((sums.deaths..=sums.deaths + 2).contains(&died), "{fault}: {died} died, {sums:?}");
        assert_eq!(count(&timeline, |kind| matches!(kind, EventKind::Retried { .. })), sums.retries, "{fault}");
        let twice = if told { retries_of_kernels(&timeline, |_| true) } else { 0 };
        assert_eq!(jobs(&timeline), sums.jobs + twice, "{fault}");
        let again = |kind: &EventKind| matches!(kind, EventKind::Job { attempt, .. } if *attempt > 0);
        // jobs that were lost at least once have one end each
        let retried = if told { twice } else { retries_of_kernels(&timeline, |attempt| attempt == 1) };
        // what was published is not run again
        assert_eq!(retried > 0, !fault.starts_with("published"), "{fault}");
        assert_eq!(count(&timeline, again), retried, "{fault}");
        let starts = count(&timeline, |kind| matches!(kind, EventKind::Started { .. }));
        assert!((2..=2 + died).contains(&starts), "{fault}: {starts} starts, {sums:?}");
    }
}

/// How often jobs of kernels were given out again. Jobs that move rows, between the ends of a sort, have no events of their
/// own.
fn retries_of_kernels(timeline: &Timeline, wanted: impl Fn(u8) -> bool) -> u64 {
    let main = &timeline.lanes[0].events;
    let sorts: Vec<&Event> =
        main.iter().filter(|event| matches!(event.kind, EventKind::Phase { phase: Phase::Sort, .. })).collect();
    let sorting =
        |event: &Event| sorts.iter().any(|sort| sort.start_ns <= event.start_ns && event.end_ns() <= sort.end_ns());
    let counts =
        |event: &&Event| matches!(event.kind, EventKind::Retried { attempt, .. } if wanted(attempt)) && !sorting(event);
    main.iter().filter(counts).count() as u64
}
