//! The pools as a whole: every kind of worker gives the same records; nothing that a job or a death does changes them.

mod common;
#[cfg(all(unix, feature = "fault-injection"))]
mod faults;
mod hosted;
#[cfg(unix)]
mod processes;
mod speed;

use std::time::Duration;

use super::*;
use common::{Order, Setting, pool, records};

const KINDS: [Workers; 6] =
    [Workers::Local, Workers::Threads(1), Workers::Threads(3), Workers::Hosted(1), Workers::Hosted(3), Workers::Auto];

#[test]
fn workers_are_named_by_text() {
    for workers in [Workers::Auto, Workers::Local, Workers::Threads(3), Workers::Processes(64)] {
        assert_eq!(workers.to_string().parse(), Ok(workers));
    }
    for text in ["", "Auto", "threads", "threads:0", "threads:65", "processes:-1", "local:1", "threads:1 ", "hosted:1"]
    {
        assert!(text.parse::<Workers>().is_err(), "{text}");
    }
}

#[test]
fn every_pool_stages_the_same_records() {
    for jobs in [0, 1, 2, 7, 100] {
        let expected = records(Workers::Local, &Order::plain(1), jobs);
        assert_eq!(expected.len(), jobs as usize);
        for workers in KINDS {
            assert_eq!(records(workers, &Order::plain(1), jobs), expected, "{workers} {jobs}");
        }
    }
}

#[test]
fn a_batch_of_several_windows_runs_whole() {
    let jobs = 2 * shared::board::WINDOW_JOBS as u32 + 5;
    let order = Order { words: 1, ..Order::plain(9) };
    assert_eq!(records(Workers::Threads(2), &order, jobs), records(Workers::Local, &order, jobs));
}

#[test]
fn jobs_that_write_far_more_than_the_smallest_ring_lose_nothing() {
    let order = Order { words: 40_000, ..Order::plain(5) };
    let mut expected = None;
    for workers in KINDS {
        let mut setting = Setting::of(workers);
        setting.config.ring_bytes = crate::limits::RING_BYTES_MIN;
        let mut staged = Staged::new();
        let (mut pool, _) = setting.start();
        for _ in 0..3 {
            setting.run(&mut pool, &order, 5, &mut staged).unwrap();
            let found = common::all(&staged);
            assert!(found.iter().all(|records| records.len() > 100 * crate::limits::RING_BYTES_MIN));
            assert!(*expected.get_or_insert_with(|| found.clone()) == found, "{workers}");
        }
    }
}

#[test]
fn a_program_that_outgrows_its_block_arrives_whole() {
    let mut setting = Setting::of(Workers::Threads(2));
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    for words in [0, 10, 5000, 100, 100_000] {
        let order = Order { filler: words, ..Order::plain(words as u64) };
        setting.run(&mut pool, &order, 20, &mut staged).unwrap();
        assert_eq!(common::all(&staged), records(Workers::Local, &order, 20));
    }
}

#[test]
fn errors_and_panics_fail_the_batch_and_the_next_one_works() {
    for workers in KINDS {
        let mut setting = Setting::of(workers);
        let (mut pool, _) = setting.start();
        let mut staged = Staged::new();
        for round in 0..20 {
            let failure = setting.run(&mut pool, &Order::error(3), 12, &mut staged).unwrap_err();
            let JobFailure::Error { job: 3, message, .. } = &failure else { panic!("{workers} {failure:?}") };
            assert_eq!(message, "job 3 will not");
            let failure = setting.run(&mut pool, &Order::panic(7), 12, &mut staged).unwrap_err();
            let JobFailure::Panic { job: 7, message, .. } = &failure else { panic!("{workers} {failure:?}") };
            assert!(message.starts_with("job 7 panics (") && message.contains("common.rs"), "{message}");
            setting.run(&mut pool, &Order::plain(round), 12, &mut staged).unwrap();
            assert_eq!(common::all(&staged), records(Workers::Local, &Order::plain(round), 12), "{workers}");
        }
    }
}

#[test]
fn all_running_jobs_are_joined_before_a_failure_is_told() {
    for workers in [Workers::Threads(4), Workers::Hosted(4)] {
        let mut setting = Setting::of(workers);
        let (mut pool, _) = setting.start();
        let mut staged = Staged::new();
        for _ in 0..50 {
            let _ = setting.run(&mut pool, &Order::error(5), 40, &mut staged).unwrap_err();
            assert_eq!(setting.running(), 0, "a job still runs after run() has returned");
        }
    }
}

#[test]
fn a_patch_that_no_ring_takes_is_an_error() {
    for workers in KINDS {
        let mut setting = Setting::of(workers);
        setting.config.ring_bytes = 256;
        let (mut pool, _) = setting.start();
        let mut staged = Staged::new();
        let failure =
            setting.run(&mut pool, &Order { kind: common::HUGE, ..Order::plain(0) }, 3, &mut staged).unwrap_err();
        assert!(
            matches!(&failure, JobFailure::Error { message, .. } if message.contains("bytes")),
            "{workers} {failure:?}"
        );
    }
}

#[test]
fn an_overrun_that_cannot_be_killed_is_reported_when_the_job_returns() {
    for workers in [Workers::Local, Workers::Threads(2), Workers::Hosted(2)] {
        let mut setting = Setting::of(workers);
        let (mut pool, _) = setting.start();
        let mut staged = Staged::new();
        // long enough for every other job on a busy machine
        setting.deadline = Some(Duration::from_millis(400));
        let failure = setting.run(&mut pool, &Order::sleep(2, 1_000_000), 6, &mut staged).unwrap_err();
        assert!(matches!(failure, JobFailure::Deadline { job: 2, .. }), "{workers} {failure:?}");
        setting.deadline = Some(Duration::from_secs(1000));
        setting.run(&mut pool, &Order::plain(2), 6, &mut staged).unwrap();
    }
}

#[test]
fn a_closed_pool_says_so() {
    for workers in KINDS {
        let mut setting = Setting::of(workers);
        let (mut pool, _) = setting.start();
        let mut staged = Staged::new();
        setting.run(&mut pool, &Order::plain(0), 4, &mut staged).unwrap();
        pool.close();
        pool.close();
        assert_eq!(setting.run(&mut pool, &Order::plain(0), 4, &mut staged), Err(JobFailure::Closed), "{workers}");
        pool.end_frame();
        assert!(pool.status().is_empty());
    }
}

#[test]
fn a_batch_for_main_alone_runs_there() {
    let mut setting = Setting::of(Workers::Threads(2));
    setting.main_only = true;
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let report = setting.run(&mut pool, &Order::plain(0), 30, &mut staged).unwrap();
    assert_eq!((report.jobs_on_main, report.jobs_on_workers), (30, 0));
    assert!((0..30).all(|job| staged.run(job).worker().is_none()));
}

#[test]
fn workers_that_sleep_between_frames_are_woken() {
    for workers in [Workers::Threads(3), Workers::Hosted(3)] {
        let mut setting = Setting::of(workers);
        let (mut pool, _) = setting.start();
        let mut staged = Staged::new();
        let mut on_workers = 0;
        for _ in 0..10 {
            pool.end_frame();
            std::thread::sleep(Duration::from_millis(3));
            let report = setting.run(&mut pool, &Order::sleep(u32::MAX, 300), 8, &mut staged).unwrap();
            on_workers += report.jobs_on_workers;
        }
        assert!(on_workers > 0, "{workers}");
        assert_eq!(pool.status().iter().map(|worker| worker.jobs).sum::<u64>(), u64::from(on_workers));
    }
}

#[test]
fn impossible_configurations_are_refused() {
    let start = |workers, ring_bytes| {
        let mut setting = Setting::of(workers);
        setting.config.ring_bytes = ring_bytes;
        pool(&setting).err()
    };
    assert!(matches!(start(Workers::Threads(0), 1024), Some(PoolError::Count { .. })));
    assert!(matches!(start(Workers::Hosted(65), 1024), Some(PoolError::Count { .. })));
    if cfg!(unix) {
        assert!(matches!(
            start(Workers::Processes(65), 1024),
            Some(PoolError::Count { .. } | PoolError::PrivateRegion)
        ));
        assert!(matches!(start(Workers::Processes(1), 1024), Some(PoolError::PrivateRegion)));
    } else {
        assert!(matches!(start(Workers::Processes(1), 1024), Some(PoolError::Unsupported { .. })));
    }
    assert!(matches!(start(Workers::Local, 1000), Some(PoolError::Ring { .. })));
    assert!(matches!(start(Workers::Threads(1), 8), Some(PoolError::Ring { .. })));
}

#[test]
fn auto_says_what_it_became() {
    let (_pool, notice) = Setting::of(Workers::Auto).start();
    assert_eq!(notice.requested, Workers::Auto);
    match notice.actual {
        Workers::Threads(_) => assert_eq!(notice.fallback, None),
        Workers::Local => assert!(notice.fallback.is_some()),
        other => panic!("{other}"),
    }
}
