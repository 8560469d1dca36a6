//! A made-up timeline for tests: three systems, two of which run as one; a death and what follows from it.
#![forbid(unsafe_code)]

use hypostyle::trace::{Event, EventKind, Lane, Phase, Timeline, TimelineBatch, Wait};

/// Nanoseconds of a frame.
pub(super) const FRAME_NS: u64 = 1_000_000;
/// Rows of a job.
pub(super) const ROWS: u32 = 1000;

fn event(start_ns: u64, duration_ns: u64, kind: EventKind) -> Event {
    Event { start_ns, duration_ns, kind }
}

/// So many workers and frames of [`FRAME_NS`]. In each frame the batch `move + brake` runs for 0.4 ms on all lanes and
/// `<mark>` for 0.2 ms on main alone; in the second one worker 0 dies.
pub(super) fn timeline(workers: usize, frames: u64) -> Timeline {
    let began = 5_000_000_000;
    let mut lanes: Vec<Vec<Event>> = vec![Vec::new(); workers + 1];
    for worker in 0..workers as u32 {
        lanes[0].push(event(began, 0, EventKind::Started { worker, pid: 100 + worker }));
    }
    let mut free = vec![began; workers + 1];
    for number in 1..=frames {
        let at = began + number * FRAME_NS;
        let phase = |start, ns, phase, batch| event(at + start, ns, EventKind::Phase { phase, batch });
        lanes[0].push(phase(0, 50_000, Phase::Build, 0));
        for (lane, events) in lanes.iter_mut().enumerate() {
            let (attempt, dies) = (u8::from(number == 2 && lane == 0), number == 2 && lane == 1);
            if lane > 0 {
                events.push(event(free[lane], at + 50_000 - free[lane], EventKind::Wait(Wait::Work)));
                free[lane] = at + 450_000;
            }
            if dies {
                continue;
            }
            let job = lane as u32;
            let system = |system| EventKind::System { system, table: 2, job, rows: ROWS };
            events.push(event(at + 50_000, 200_000, system(0)));
            events.push(event(at + 250_000, 200_000, system(1)));
            let kind = EventKind::Job { system: 0, table: 2, job, rows: ROWS, attempt, fused: true, failed: false };
            events.push(event(at + 50_000, 400_000, kind));
        }
        if number == 2 && workers > 0 {
            lanes[0].push(event(at + 50_000, 100_000, EventKind::Died { worker: 0, deaths: 1, job: Some(1) }));
            lanes[0].push(event(at + 150_000, 0, EventKind::Retried { worker: 0, job: 1, attempt: 1 }));
        }
        let main = &mut lanes[0];
        main.push(phase(50_000, 400_000, Phase::Run, 0));
        main.push(phase(450_000, 50_000, Phase::Live, 0));
        main.push(event(at, 500_000, EventKind::Batch { batch: 0, jobs: workers as u32 + 1, rows: 9 }));
        main.push(phase(500_000, 50_000, Phase::Build, 1));
        let kind = EventKind::Job { system: 2, table: 3, job: 0, rows: 10, attempt: 0, fused: false, failed: false };
        main.push(event(at + 550_000, 200_000, kind));
        main.push(event(at + 750_000, 10_000, EventKind::Wait(Wait::Workers)));
        main.push(phase(550_000, 210_000, Phase::Run, 1));
        main.push(phase(760_000, 40_000, Phase::Apply, 1));
        main.push(event(at + 500_000, 300_000, EventKind::Batch { batch: 1, jobs: 1, rows: 10 }));
        main.push(event(at, 800_000, EventKind::Stage { stage: 0 }));
        let publish = EventKind::Publish { generation: number, pins: 1, skipped: number == 3 };
        main.push(event(at + 800_000, 100_000, publish));
        main.push(event(at, 900_000, EventKind::Frame { number, frames: 1, failed: false }));
    }
    Timeline {
        systems: ["move", "brake", "<mark> & \"more\""].map(str::to_owned).to_vec(),
        stages: vec!["update".to_owned()],
        batches: vec![TimelineBatch { stage: 0, systems: vec![0, 1] }, TimelineBatch { stage: 0, systems: vec![2] }],
        lanes: lanes.into_iter().map(|events| Lane::of(events, 0, 0)).collect(),
        began_ns: began,
        began_unix_ns: 1_700_000_000_000_000_000,
        pid: 77,
    }
}
