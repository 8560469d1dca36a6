//! What rank 0 prints at the end.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::time::Duration;

use hypostyle::Simulation;
use hypostyle_mpi::{Cluster, ClusterError};

use super::Args;
use super::ensemble::Member;
use super::run::Done;

/// Numbers of each rank.
const NUMBERS: usize = 13;

/// What all ranks did, as rank 0 knows it; on others it is empty.
#[derive(Default)]
pub(super) struct Totals {
    frames: u64,
    elapsed: Duration,
    /// Of the time of kernels, between the first two cuts.
    first_imbalance: f64,
    /// Of each rank: rows, ghosts, rows that left, rows sent as ghosts, rebuilds, cuts, messages, bytes, microseconds in
    /// calls, microseconds in all, deaths of workers, microseconds of kernels in all, and since the last cut.
    ranks: Vec<[u64; NUMBERS]>,
}

/// Gathers what all ranks did.
pub(super) fn totals(
    cluster: &Cluster,
    simulation: &Simulation,
    frames: u64,
    (elapsed, inside): (Duration, Duration),
) -> Result<Totals, ClusterError> {
    let (did, traffic) = cluster.report();
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mine: [u64; NUMBERS] = [
        simulation.world().entity_count(),
        did.ghosts,
        did.rows_moved,
        did.ghost_rows_sent,
        did.rebuilds,
        did.balanced,
        traffic.messages,
        traffic.bytes,
        microseconds(inside),
        microseconds(elapsed),
        simulation.worker_status().iter().map(|worker| worker.deaths).sum(),
        microseconds(did.busy),
        microseconds(did.busy_since_cut),
    ];
    let bytes: Vec<u8> = mine.iter().flat_map(|number| number.to_le_bytes()).collect();
    let all = cluster.comm(|comm| comm.gather("totals", &bytes))?;
    let mut ranks = Vec::with_capacity(all.len());
    for (rank, bytes) in all.iter().enumerate() {
        let what = format!("its totals have {} bytes", bytes.len());
        let words = bytes.as_chunks::<8>().0;
        let words: [[u8; 8]; NUMBERS] = words.try_into().map_err(|_| ClusterError::Message { rank, what })?;
        ranks.push(words.map(u64::from_le_bytes));
    }
    Ok(Totals { frames, elapsed, first_imbalance: did.first_imbalance, ranks })
}

impl Totals {
    fn sum(&self, which: usize) -> u64 {
        self.ranks.iter().map(|rank| rank[which]).sum()
    }

    /// The largest over the mean.
    fn balance(&self, which: usize) -> f64 {
        let most = self.ranks.iter().map(|rank| rank[which]).max().unwrap_or(0);
        most as f64 * self.ranks.len() as f64 / self.sum(which).max(1) as f64
    }

    /// Time in calls over time in all, of all ranks.
    fn share(&self) -> f64 {
        self.sum(8) as f64 / self.sum(9).max(1) as f64
    }
}

/// Prints the table, and the hash, if it is asked for.
pub(super) fn print(args: &Args, done: &Done) {
    let table = table(args, done);
    match done.hash {
        Some(hash) => {
            eprint!("{table}");
            println!("state-by-id {hash}");
        }
        None => print!("{table}"),
    }
}

fn table(args: &Args, done: &Done) -> String {
    let (mut out, totals) = (String::new(), &done.totals);
    let mut pair = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<22} {value}");
    };
    let seconds = totals.elapsed.as_secs_f64();
    let per = |count: u64| seconds * 1e9 / count.max(1) as f64;
    pair("scene", format!("{}, seed {}", args.scene.name(), done.seed));
    if let Some(from) = &done.from {
        pair("went on from", from.display().to_string());
    }
    pair("ranks", format!("{}, each with workers {}", totals.ranks.len(), args.workers));
    pair("frames", format!("{} in {seconds:.3} s, {:.3} ms each", totals.frames, per(totals.frames) / 1e6));
    pair("entities", format!("{}, {:.1} ns each and frame", totals.sum(0), per(totals.frames * totals.sum(0))));
    if totals.ranks.len() > 1 {
        pair("balance", format!("the largest rank has {:.3} of the mean", totals.balance(0)));
        let before = match totals.first_imbalance {
            0.0 => String::new(),
            before => format!("{before:.3} of the mean between the first two cuts, "),
        };
        pair("balance of time", format!("the slowest rank's kernels took {before}{:.3} now", totals.balance(12)));
        pair("communication", format!("{:.2} % of the time of all ranks, waiting included", 100.0 * totals.share()));
        let frames = totals.frames.max(1) as f64;
        let (messages, kib) = (totals.sum(6) as f64 / frames, totals.sum(7) as f64 / frames / 1024.0);
        pair("messages", format!("{messages:.1} and {kib:.1} KiB a frame, all ranks"));
        pair("rows sent", format!("{} changed ranks, {} as ghosts", totals.sum(2), totals.sum(3)));
        let (rebuilds, cuts) = (totals.ranks[0][4], totals.ranks[0][5]);
        pair("rebuilds", format!("{rebuilds}, space cut {cuts} times; {} ghosts now", totals.sum(1)));
    }
    if totals.sum(10) > 0 {
        pair("workers that died", format!("{}, each replaced", totals.sum(10)));
    }
    if let Some(newest) = done.checkpoints.last() {
        pair("checkpoints", format!("{} sets; the newest is {}", done.checkpoints.len(), newest.display()));
    }
    for (index, line) in done.after.iter().enumerate() {
        let before = done.before.get(index).map_or_else(String::new, |before| format!("{} before, ", before.value));
        pair(&line.label, format!("{before}{} after", line.value));
    }
    out
}

/// Prints a table of all runs.
pub(super) fn print_ensemble(args: &Args, members: &[Member]) {
    let mut out = String::new();
    let _ = writeln!(out, "{} runs of {}", members.len(), args.scene.name());
    for member in members {
        let lines: Vec<String> = member.lines.iter().map(|(label, value)| format!("{label} {value}")).collect();
        let (seed, frames, seconds) = (member.seed, member.frames, member.seconds);
        let _ = writeln!(out, "seed {seed}: {frames} frames in {seconds:.3} s; {}", lines.join(", "));
    }
    match args.print_hash {
        None => print!("{out}"),
        Some(_) => {
            eprint!("{out}");
            for member in members {
                println!("seed {} state-by-id {}", member.seed, member.state.as_deref().unwrap_or("none"));
            }
        }
    }
}
