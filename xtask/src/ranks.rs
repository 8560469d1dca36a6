//! What ranks cost, in CPU time: messages, the order of rows, and atoms of one rank beside those of several.
//!
//! The melt, with as many atoms on each rank, on one, two and four processes in turn. Shares are of the CPU time of the
//! ranks' main threads, waiting left out, so that other programs on the machine change them little. LAMMPS runs the same
//! atoms on the same ranks in the same rounds, where it is installed; its times have its waiting in them, so the CPU time
//! of both is told with it, too.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::Duration;

use crate::lammps::{self, Took};
use crate::process::{ask, run};
use crate::report::Outcome;
use crate::tools::{cargo, root};

const RANKS: [u64; 3] = [1, 2, 4];
const BUILD: Duration = Duration::from_mins(20);
const RUN: Duration = Duration::from_mins(10);

/// What is wanted: shares of the CPU time, at 32,000 atoms a rank.
const EXCHANGE_MAX: f64 = 0.02;
const ORDER_MAX: f64 = 0.03;
/// Points between the weak scaling of LAMMPS and of this.
const SCALING_MAX: f64 = 3.0;

/// What one run told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    /// CPU time of an atom and frame, without waiting, and with it.
    ns: f64,
    all_ns: f64,
    exchange: f64,
    order: f64,
    /// By the clock, of an atom and frame.
    wall_ns: f64,
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
    costs(size).map_or_else(Outcome::Failed, Outcome::Passed)
}

fn costs(size: &Size) -> Result<String, String> {
    let beside = lammps::is_installed();
    if !beside {
        println!("there is no LAMMPS (lmp; Debian: lammps): it is left out");
    }
    let (mut told, mut took) = (vec![Vec::new(); RANKS.len()], vec![Vec::new(); RANKS.len()]);
    // in turn, so that what else the machine does is shared by all
    for _ in 0..size.rounds {
        for ((told, took), ranks) in told.iter_mut().zip(&mut took).zip(RANKS) {
            told.push(once(ranks, size)?);
            if beside {
                took.push(lammps::run(&mut mpirun(ranks), (size.atoms * ranks, size.frames), RUN)?);
            }
        }
    }
    let of: Vec<Told> = told.iter().map(|of| middle(of)).collect();
    println!(
        "{:<6} {:>16} {:>8} {:>9} {:>9} {:>13} {:>8}",
        "ranks", "ns/atom/frame", "of one", "messages", "order", "with waiting", "of one"
    );
    for (ranks, told) in RANKS.iter().zip(&of) {
        let (exchange, order) = (100.0 * told.exchange, 100.0 * told.order);
        println!(
            "{ranks:<6} {:>16.2} {:>8.3} {exchange:>7.2} % {order:>7.2} % {:>13.2} {:>8.3}",
            told.ns,
            told.ns / of[0].ns,
            told.all_ns,
            told.all_ns / of[0].all_ns
        );
    }
    let word = |holds| if holds { "kept" } else { "not kept" };
    let within = |share: fn(&Told) -> f64, most: f64| of.iter().all(|told| share(told) <= most);
    let (exchange, order) = (within(|told| told.exchange, EXCHANGE_MAX), within(|told| told.order, ORDER_MAX));
    let mut text = format!(
        "messages at most {:.0} %: {}; order of rows at most {:.0} %: {}",
        100.0 * EXCHANGE_MAX,
        word(exchange),
        100.0 * ORDER_MAX,
        word(order)
    );
    if beside {
        let took: Vec<Took> = took.iter().map(|of| middle_of(of)).collect();
        let (points, faster) = compare(&of, &took);
        text += &format!(
            "; at most {SCALING_MAX} points of weak scaling behind LAMMPS: {}; two ranks keep more of one's speed than two of \
             LAMMPS: {}",
            word(points <= SCALING_MAX),
            word(faster)
        );
    }
    Ok(text)
}

/// Prints the times of LAMMPS. Gives how many points of weak scaling it is ahead at most, and whether two ranks here keep more
/// of the speed of one by the clock.
fn compare(of: &[Told], took: &[Took]) -> (f64, bool) {
    println!("{:<6} {:>16} {:>8} {:>16} {:>16}", "LAMMPS", "ns/atom/frame", "of one", "points ahead", "times as fast");
    let mut most = f64::MIN;
    for ((ranks, told), took_here) in RANKS.iter().zip(of).zip(took) {
        let (ours, theirs) = (told.all_ns / of[0].all_ns, took_here.cpu_ns / took[0].cpu_ns);
        let points = 100.0 * (ours - theirs);
        most = most.max(points);
        let fast = took_here.cpu_ns / told.all_ns;
        println!("{ranks:<6} {:>16.2} {theirs:>8.3} {points:>16.1} {fast:>16.2}", took_here.cpu_ns);
    }
    // twice the atoms on twice the ranks: an atom takes half of the time
    let (ours, theirs) = (of[0].wall_ns / of[1].wall_ns / 2.0, took[0].wall_ns / took[1].wall_ns / 2.0);
    println!("two ranks by the clock: {:.1} % of twice the speed of one, LAMMPS {:.1} %", 100.0 * ours, 100.0 * theirs);
    (most, ours >= theirs)
}

fn mpirun(ranks: u64) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &ranks.to_string()]);
    command
}

fn once(ranks: u64, size: &Size) -> Result<Told, String> {
    let mut command = mpirun(ranks);
    command.arg(root().join("target/release/hypostyle-mpi"));
    command.args(["run", "lj", "--no-observe", "--json", "--frames", &size.frames.to_string()]);
    let atoms = size.atoms * ranks;
    command.args(["--entities", &atoms.to_string()]);
    let text = ask(&mut command, RUN).ok_or_else(|| format!("the run on {ranks} ranks failed"))?;
    read(&text, atoms * size.frames).ok_or_else(|| format!("the run on {ranks} ranks told no numbers"))
}

/// The numbers of a run's JSON, each on a line of its own: those of ranks, too.
fn read(text: &str, atom_frames: u64) -> Option<Told> {
    let all = |name: &str| -> Vec<f64> {
        let name = format!("\"{name}\": ");
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(&name));
        lines.filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
    };
    let one = |name: &str| all(name).first().copied();
    let sum = |name: &str| all(name).iter().sum::<f64>();
    let atom_frames = atom_frames as f64;
    Some(Told {
        ns: one("cpu_ns_per_entity_and_frame")?,
        all_ns: sum("cpu") * 1e3 / atom_frames,
        exchange: one("exchange")?,
        order: one("order")?,
        wall_ns: one("seconds")? * 1e9 / atom_frames,
    })
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The median of each number.
fn middle(told: &[Told]) -> Told {
    let median = |which: fn(&Told) -> f64| median(told.iter().map(which).collect());
    Told {
        ns: median(|told| told.ns),
        all_ns: median(|told| told.all_ns),
        exchange: median(|told| told.exchange),
        order: median(|told| told.order),
        wall_ns: median(|told| told.wall_ns),
    }
}

fn middle_of(took: &[Took]) -> Took {
    let median = |which: fn(&Took) -> f64| median(took.iter().map(which).collect());
    Took { cpu_ns: median(|took| took.cpu_ns), wall_ns: median(|took| took.wall_ns) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_the_middle_is_taken() {
        let text = "{\n  \"cpu_ns_per_entity_and_frame\": 425.5,\n  \"cpu\": 3,\n  \"cpu\": 4,\n  \"seconds\": 2.5,\n  \"exchange\": 0.01,\n    \"order\": 0.002\n  }\n}";
        let told = Told { ns: 425.5, all_ns: 7.0, exchange: 0.01, order: 0.002, wall_ns: 2.5e6 };
        assert_eq!(read(text, 1000), Some(told));
        assert_eq!(read("{}", 1000), None);
        let slow = Told { ns: 900.0, ..told };
        assert_eq!(middle(&[slow, told, Told { ns: 1.0, ..told }]).ns, 425.5);
    }
}
