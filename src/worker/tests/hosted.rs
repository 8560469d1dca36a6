//! Threads that the embedder brings: late, never, or only to stop in the middle of a job.
#![expect(unsafe_code, reason = "reports the death of a thread that is parked for good")]

use super::common::{Order, STOP, STOPPING_THREAD, Setting, all, records};
use super::*;

fn setting(workers: usize) -> Setting {
    let mut setting = Setting::of(Workers::Hosted(workers));
    setting.brings_threads = false;
    setting
}

#[test]
fn main_works_alone_until_threads_come() {
    let mut setting = setting(2);
    let (mut pool, notice) = setting.start();
    assert_eq!((notice.actual, notice.fallback), (Workers::Hosted(2), None));
    assert_eq!(notice.actual.to_string(), "hosted:2");
    let mut staged = Staged::new();
    let report = setting.run(&mut pool, &Order::plain(3), 20, &mut staged).unwrap();
    assert_eq!((report.jobs_on_main, report.jobs_on_workers), (20, 0));
    assert!(pool.status().iter().all(|worker| !worker.alive && worker.kind == WorkerKind::Thread));
    let workers = pool.take_hosted();
    assert_eq!(workers.iter().map(HostedWorker::index).collect::<Vec<_>>(), [0, 1]);
    assert!(pool.take_hosted().is_empty(), "each once");
    for worker in workers {
        setting.threads.lock().push(std::thread::spawn(|| worker.run()));
    }
    while !pool.status().iter().all(|worker| worker.alive) {
        std::thread::yield_now();
    }
    let report = setting.run(&mut pool, &Order::sleep(u32::MAX, 2000), 20, &mut staged).unwrap();
    assert!(report.jobs_on_workers > 0, "{report:?}");
    assert_eq!(report.deaths, 0);
}

#[test]
fn a_worker_whose_thread_never_comes_is_done_without() {
    let mut setting = setting(2);
    let (mut pool, _) = setting.start();
    drop(pool.take_hosted());
    let mut staged = Staged::new();
    for round in 0..3 {
        pool.end_frame();
        setting.run(&mut pool, &Order::plain(round), 20, &mut staged).unwrap();
        assert_eq!(all(&staged), records(Workers::Local, &Order::plain(round), 20));
    }
}

#[test]
fn threads_that_come_too_late_have_nothing_to_do() {
    let mut setting = setting(2);
    let (mut pool, _) = setting.start();
    let workers = pool.take_hosted();
    pool.close();
    for worker in workers {
        worker.run().unwrap();
    }
}

#[cfg_attr(miri, ignore = "leaves a thread behind")]
#[test]
fn a_thread_that_stops_in_a_job_fails_the_batch_and_the_next_one_works() {
    let mut setting = setting(1);
    let (mut pool, _) = setting.start();
    for worker in pool.take_hosted() {
        let notice = worker.death_notice();
        std::thread::Builder::new().name(STOPPING_THREAD.to_owned()).spawn(|| worker.run()).unwrap();
        let running = setting.running.clone();
        std::thread::spawn(move || {
            while running.load(std::sync::atomic::Ordering::SeqCst) < 1000 {
                std::thread::sleep(Duration::from_millis(1));
            }
            // SAFETY: the thread is parked for good.
            unsafe { notice.report_death("it met a trap") };
        });
    }
    while !pool.status()[0].alive {
        std::thread::yield_now();
    }
    let mut staged = Staged::new();
    let order = Order { kind: STOP, ..Order::sleep(u32::MAX, 0) };
    let failure = loop {
        // main may have been quicker than the worker
        if let Err(failure) = setting.run(&mut pool, &order, 2000, &mut staged) {
            break failure;
        }
    };
    assert!(failure.to_string().contains("it met a trap"), "{failure}");
    assert!(!pool.status()[0].alive && pool.status()[0].deaths == 1);
    setting.run(&mut pool, &Order::plain(1), 20, &mut staged).unwrap();
    assert_eq!(all(&staged), records(Workers::Local, &Order::plain(1), 20));
}
