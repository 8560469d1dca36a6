//! The simulator: random programs on the engine's real code, with workers, readers, writers and the system's refusals
//! as one seed says, beside the naive world. A seed that fails is made shorter and told step by step.

pub mod director;
mod files;
mod history;
mod hush;
mod mail;
pub mod play;
mod power;
mod shorten;
pub mod story;
pub mod tally;
mod watch;
mod weather;

use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use play::Ran;
use story::Story;
use tally::{Tally, quoted};

/// The directory of checkpoints beside a region.
const CHECKPOINTS: &str = "checkpoints";

/// A seed that failed, and what it came to.
pub struct Failed {
    pub seed: u64,
    pub told: String,
}

/// What became of many seeds.
pub struct Report {
    seeds: Range<u64>,
    /// Those that were played.
    done: u64,
    seconds: f64,
    pub tally: Tally,
    pub failed: Option<Failed>,
}

/// Plays one seed.
///
/// # Errors
/// Its shortened story where something is wrong.
pub fn seed(seed: u64) -> Result<Ran, Failed> {
    let story = Story::new(seed);
    play::quietly(&story).map_err(|failure| Failed { seed, told: shorten::told(&story, &failure) })
}

/// The story of a seed at the end of which something is wrong, as it is told.
pub fn wrong(seed: u64) -> String {
    let mut story = Story::new(seed);
    story.steps.push((seed, story::Step::Wrong));
    let failure = play::quietly(&story).expect_err("it goes wrong");
    shorten::told(&story, &failure)
}

/// Plays seeds on several threads, up to the first that fails. `progress`: how far it is, where anybody looks.
pub fn many(seeds: Range<u64>, threads: u64, progress: bool) -> Report {
    let (next, begun) = (AtomicU64::new(seeds.start), Instant::now());
    let said = AtomicU64::new(0);
    let sum = Mutex::new(Report { seeds: seeds.clone(), done: 0, seconds: 0.0, tally: Tally::default(), failed: None });
    let progress = progress && std::io::stderr().is_terminal();
    let add = |tally: &Tally, done: u64, failed: Option<Failed>| {
        let mut sum = sum.lock().expect("nobody panics with it");
        sum.tally.add(tally);
        sum.done += done;
        if sum.failed.is_none() {
            sum.failed = failed;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut own, mut done, mut failed) = (Tally::default(), 0, None);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds.end {
                        break;
                    }
                    done += 1;
                    match seed(number) {
                        Ok(ran) => own.add(&ran.tally),
                        Err(failure) => {
                            failed = Some(failure);
                            // nobody goes on to others
                            next.store(seeds.end, Ordering::Relaxed);
                            break;
                        }
                    }
                    let seconds = begun.elapsed().as_secs();
                    if progress && said.fetch_max(seconds, Ordering::Relaxed) < seconds {
                        let (played, all) = (number - seeds.start, seeds.end - seeds.start);
                        let _ = write!(std::io::stderr(), "\r{played} of {all} seeds in {seconds} s, none failed ");
                    }
                }
                add(&own, done, failed);
            });
        }
    });
    if progress {
        let _ = writeln!(std::io::stderr());
    }
    let sum = sum.into_inner().expect("nobody panics with it");
    Report { seconds: begun.elapsed().as_secs_f64(), ..sum }
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let Report { seeds, done, seconds, tally, failed } = self;
        let each = seconds / (*done).max(1) as f64;
        let first = seeds.start;
        let how = if failed.is_some() { "one failed" } else { "none failed" };
        let head = format!("{done} seeds from {first} in {seconds:.1} s, {each:.4} s each: {how}\n{}", tally.table());
        match failed {
            Some(failed) => format!("{head}\n{}\n", failed.told),
            None => head,
        }
    }

    /// For programs.
    pub fn json(&self) -> String {
        let Report { seeds, done, seconds, tally, failed } = self;
        let failed = failed.as_ref().map_or("null".to_owned(), |failed| {
            format!("{{\"seed\":{},\"story\":{}}}", failed.seed, quoted(&failed.told))
        });
        format!(
            "{{\"first\":{},\"seeds\":{done},\"seconds\":{seconds:.3},\"seconds_per_seed\":{:.6},\"failed\":{failed},{}}}\n",
            seeds.start,
            seconds / (*done).max(1) as f64,
            tally.json()
        )
    }
}
