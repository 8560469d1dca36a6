//! The simulator: random programs on the engine's real code, with workers, readers, writers and the system's refusals
//! as one seed says, beside the naive world. A seed that fails is made shorter and told step by step.

pub mod director;
mod hush;
pub mod play;
mod shorten;
pub mod story;
mod watch;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use director::Tally;
use play::Ran;
use story::Story;

/// Plays one seed; panics with its story where something is wrong.
pub fn seed(seed: u64) -> Ran {
    let story = Story::new(seed);
    match play::quietly(&story) {
        Ok(ran) => ran,
        Err(failure) => panic!("{}", shorten::told(&story, &failure)),
    }
}

/// Plays many seeds on several threads; what they passed.
pub fn many(seeds: std::ops::Range<u64>, threads: u64, progress: bool) -> Tally {
    let (next, tally, begun) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()), Instant::now());
    let said = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = Tally::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds.end {
                        break;
                    }
                    own.add(&seed(number).tally);
                    let seconds = begun.elapsed().as_secs();
                    if progress && said.fetch_max(seconds / 10, Ordering::Relaxed) < seconds / 10 {
                        let (done, all) = (number - seeds.start, seeds.end - seeds.start);
                        eprintln!("{done} of {all} seeds in {seconds} s, none failed");
                    }
                }
                tally.lock().expect("no thread panics while it adds").add(&own);
            });
        }
    });
    tally.into_inner().expect("no thread panics while it adds")
}

/// The table of points and the pairs of troubles.
pub fn table(tally: &Tally) -> String {
    use std::fmt::Write as _;
    let mut out = format!(
        "{:<18}{:>12}{:>9}{:>9}{:>10}{:>11}\n",
        "point", "passed", "deaths", "crashes", "refusals", "recovered"
    );
    for (point, passed) in &tally.points {
        let _ = writeln!(
            out,
            "{point:<18}{:>12}{:>9}{:>9}{:>10}{:>11}",
            passed.times, passed.deaths, passed.crashes, passed.refusals, passed.recovered
        );
    }
    let troubled = tally.points.values().filter(|passed| passed.deaths + passed.crashes + passed.refusals > 0).count();
    let pairs: u64 = tally.pairs.values().sum();
    let _ = writeln!(
        out,
        "pairs of troubles within one step: {} of {} pairs of points, {pairs} times; {} changes of turn",
        tally.pairs.len(),
        troubled * troubled,
        tally.switches
    );
    out
}
