//! How long it takes to state out an empty batch and join it. Run by state: `cargo test --release -- --ignored speed`.
#![expect(clippy::print_stdout, reason = "a measurement")]

#[cfg(unix)]
use std::time::Duration;
use std::time::Instant;

use super::common::{Order, Setting};
use super::*;

pub(super) fn measure(setting: &mut Setting, label: &str) {
    let (mut pool, _) = setting.start();
    let mut staged = Staged::new();
    let order = Order { words: 0, filler: 60, ..Order::plain(0) };
    // With a deadline main leaves all jobs of a pool of processes to the workers: a full round trip.
    let counts: &[u32] = if setting.deadline.is_some() { &[1, 2] } else { &[2, 16, 128] };
    for &jobs in counts {
        let mut times: Vec<u128> = Vec::new();
        let mut on_workers = 0;
        for round in 0..20_000 {
            let begun = Instant::now();
            on_workers += setting.run(&mut pool, &order, jobs, &mut staged).unwrap().jobs_on_workers;
            if round >= 1000 {
                times.push(begun.elapsed().as_nanos());
            }
        }
        times.sort_unstable();
        let at = |share: usize| times[times.len() * share / 1000];
        println!(
            "{label}: {jobs} empty jobs: p50 {} ns, p99 {} ns, p99.9 {} ns; on workers {:.0} %",
            at(500),
            at(990),
            at(999),
            100.0 * f64::from(on_workers) / (20_000.0 * f64::from(jobs))
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn speed_of_empty_batches() {
    for workers in [Workers::Local, Workers::Threads(1), Workers::Threads(2)] {
        measure(&mut Setting::of(workers), &workers.to_string());
    }
    #[cfg(unix)]
    for count in [1, 2] {
        measure(&mut super::processes::setting(count, 256, ""), &Workers::Processes(count).to_string());
        let mut setting = super::processes::setting(count, 256, "");
        setting.deadline = Some(Duration::from_secs(1000));
        measure(&mut setting, &format!("processes:{count}, by workers alone"));
    }
}
