//! What ranks cost, in CPU time: messages, the order of rows, and atoms of one rank beside those of several.
//!
//! The melt, with as many atoms on each rank, on one, two and four processes in turn. Shares are of the CPU time of the
//! ranks' main threads, waiting left out, so that other programs on the machine change them little.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::Duration;

use crate::process::{ask, run};
use crate::report::Outcome;
use crate::tools::{cargo, root};

const RANKS: [u64; 3] = [1, 2, 4];
const BUILD: Duration = Duration::from_mins(20);
const RUN: Duration = Duration::from_mins(10);

/// What is wanted: shares of the CPU time, at 32,000 atoms a rank.
const EXCHANGE_MAX: f64 = 0.02;
const ORDER_MAX: f64 = 0.03;

/// What one run told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    ns: f64,
    exchange: f64,
    order: f64,
}

/// How much to run.
pub(crate) struct Size {
    pub(crate) atoms: u64,
    pub(crate) frames: u64,
    pub(crate) rounds: u64,
}

/// Builds the program, runs it, and prints a table.
pub(crate) fn measure(size: &Size) -> Outcome {
    if let Err(why) = crate::mpi::installed() {
        return Outcome::Skipped(why);
    }
    let mut build = cargo("build --release --locked --package hypostyle-mpi --features mpi");
    if let Some(error) = run(&mut build, BUILD).error() {
        return Outcome::Failed(format!("the program does not build: {error}"));
    }
    let mut told = vec![Vec::new(); RANKS.len()];
    // in turn, so that what else the machine does is shared by all
    for _ in 0..size.rounds {
        for (of, ranks) in told.iter_mut().zip(RANKS) {
            match once(ranks, size) {
                Ok(one) => of.push(one),
                Err(why) => return Outcome::Failed(why),
            }
        }
    }
    let medians: Vec<Told> = told.iter().map(|of| middle(of)).collect();
    println!("{:<6} {:>16} {:>10} {:>9} {:>9}", "ranks", "ns/atom/frame", "of one", "messages", "order");
    for (ranks, told) in RANKS.iter().zip(&medians) {
        let (of_one, exchange, order) = (told.ns / medians[0].ns, 100.0 * told.exchange, 100.0 * told.order);
        println!("{ranks:<6} {:>16.2} {of_one:>10.3} {exchange:>7.2} % {order:>7.2} %", told.ns);
    }
    let within = |share: fn(&Told) -> f64, most: f64| medians.iter().all(|told| share(told) <= most);
    let word = |holds| if holds { "kept" } else { "not kept" };
    let (exchange, order) = (within(|told| told.exchange, EXCHANGE_MAX), within(|told| told.order, ORDER_MAX));
    Outcome::Passed(format!(
        "messages at most {:.0} %: {}; order of rows at most {:.0} %: {}",
        100.0 * EXCHANGE_MAX,
        word(exchange),
        100.0 * ORDER_MAX,
        word(order)
    ))
}

fn once(ranks: u64, size: &Size) -> Result<Told, String> {
    let program = root().join("target/release/hypostyle-mpi");
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &ranks.to_string()]).arg(program);
    command.args(["run", "lj", "--no-observe", "--json", "--frames", &size.frames.to_string()]);
    command.args(["--entities", &(size.atoms * ranks).to_string()]);
    let text = ask(&mut command, RUN).ok_or_else(|| format!("the run on {ranks} ranks failed"))?;
    read(&text).ok_or_else(|| format!("the run on {ranks} ranks told no numbers"))
}

/// The numbers of a run's JSON, each on a line of its own.
fn read(text: &str) -> Option<Told> {
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("\"{name}\": ")))?;
        line.trim_end_matches(',').parse().ok()
    };
    let ns = number("cpu_ns_per_entity_and_frame")?;
    Some(Told { ns, exchange: number("exchange")?, order: number("order")? })
}

/// The median of each number.
fn middle(told: &[Told]) -> Told {
    let median = |which: fn(&Told) -> f64| {
        let mut all: Vec<f64> = told.iter().map(which).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    Told { ns: median(|told| told.ns), exchange: median(|told| told.exchange), order: median(|told| told.order) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_the_middle_is_taken() {
        let text = "{\n  \"cpu_ns_per_entity_and_frame\": 425.5,\n  \"share_of_cpu\": {\n    \"exchange\": 0.01,\n    \"order\": 0.002\n  }\n}";
        let told = Told { ns: 425.5, exchange: 0.01, order: 0.002 };
        assert_eq!(read(text), Some(told));
        assert_eq!(read("{}"), None);
        let slow = Told { ns: 900.0, ..told };
        assert_eq!(middle(&[slow, told, Told { ns: 1.0, ..told }]).ns, 425.5);
    }
}
