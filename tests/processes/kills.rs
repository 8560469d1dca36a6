//! Processes that are killed at named points, whoever they are and whatever they do, and after each death: what is there
//! is what was published, whoever comes next goes on from it bit for bit, and in the end nothing is left.
#![forbid(unsafe_code)]

mod drama;
mod life;
mod table;
mod tide;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hypostyle::Workers;
use hypostyle::regions::{ResidueKind, residue};

use crate::scenes;
use crate::support::{Random, Setting, mix, setting_of};
use drama::Stage;
pub use life::{Note, live, read, send};
use table::Table;
pub use tide::ebb_and_flow;

/// Rows of the world that writers write.
const ROWS: usize = 300;
const SEED: u64 = 31;
/// Frames of the course that all runs must follow.
const COURSE: u64 = 40;
/// How long what a dead main left of its workers' memory may lie there, and a little.
const MEMORY_STAYS: Duration = Duration::from_secs(11);

/// A few dozen, as part of every run of the tests.
pub fn a_few_dozen() {
    let table = kill(1, 56, false);
    assert!(table.is_well(), "{}", table.text());
    assert!(table.kills() >= 56, "{}", table.text());
}

/// As many as wanted.
pub fn as_many_as_wanted() {
    let (seed, count) = (setting_of("HYPOSTYLE_KILLS_SEED", 1), setting_of("HYPOSTYLE_KILLS_COUNT", 2000));
    let table = kill(seed, count, true);
    if let Some(path) = std::env::var_os("HYPOSTYLE_KILLS_JSON") {
        std::fs::write(path, table.json()).unwrap();
    }
    println!("{}", table.text());
    assert!(table.is_well(), "not all is well, see above");
}

/// Kills at least so many processes; `all`: goes on until all points were met, and looks at what is left in the end.
fn kill(seed: u64, count: u64, all: bool) -> Table {
    let begun = Instant::now();
    let stage = Stage::new();
    let (table, next) = (Mutex::new(Table::default()), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while table.lock().unwrap().kills() < count {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let deaths = stage.play(number, &mut Random(mix(seed) ^ number << 32));
                    table.lock().unwrap().add(deaths);
                    assert!(number < 100 + 20 * count, "processes do not come to where they are to die");
                }
            });
        }
    });
    let mut table = table.into_inner().unwrap();
    if all {
        table.memory_left = memory_left();
    }
    table.seconds = begun.elapsed().as_secs_f64();
    table
}

/// Segments of dead mains that are still there when somebody starts workers.
fn memory_left() -> usize {
    std::thread::sleep(MEMORY_STAYS);
    let setting = Setting::new("mixed", Workers::Processes(1));
    let mut simulation = setting.start(scenes::world("mixed", setting.region(), ROWS, SEED), SEED);
    simulation.step(scenes::DT).unwrap();
    let left = residue(None, Duration::ZERO).unwrap();
    left.iter().filter(|residue| matches!(residue.kind, ResidueKind::WorkerMemory)).count()
}
