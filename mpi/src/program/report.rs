//! What rank 0 prints at the end.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::time::Duration;

use hypostyle::Simulation;
use hypostyle_mpi::{Cluster, ClusterError};
use serde::{Deserialize, Serialize};

use super::Args;
use super::ensemble::Member;
use super::run::Done;

/// How long a rank's frames took.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) elapsed: Duration,
    /// In calls of all ranks.
    pub(super) inside: Duration,
    /// CPU time of the main thread.
    pub(super) cpu: Duration,
    /// Of it, while it waited for other ranks.
    pub(super) waiting: Duration,
}

/// What one rank did. Times are microseconds.
#[derive(Serialize, Deserialize)]
struct Rank {
    rows: u64,
    ghosts: u64,
    rows_moved: u64,
    ghost_rows_sent: u64,
    rebuilds: u64,
    cuts: u64,
    messages: u64,
    bytes: u64,
    inside: u64,
    elapsed: u64,
    cpu: u64,
    /// CPU time of the main thread: for rows that move, ghosts that are made and that get values, sums; of waiting for
    /// others; for the order of rows at rebuilds.
    moving: u64,
    renewing: u64,
    forwarding: u64,
    agreeing: u64,
    waiting: u64,
    ordering: u64,
    /// Of kernels, on all workers.
    busy: u64,
    busy_since_cut: u64,
    workers_died: u64,
}

impl Rank {
    /// CPU time of all that goes between ranks.
    fn exchanging(&self) -> u64 {
        self.moving + self.renewing + self.forwarding + self.agreeing
    }
}

/// What all ranks did, as rank 0 knows it; on others it is empty.
#[derive(Default)]
pub(super) struct Totals {
    frames: u64,
    elapsed: Duration,
    /// Of the time of kernels, between the first two cuts.
    first_imbalance: f64,
    ranks: Vec<Rank>,
}

/// Gathers what all ranks did.
pub(super) fn totals(
    cluster: &Cluster,
    simulation: &Simulation,
    frames: u64,
    times: Times,
) -> Result<Totals, ClusterError> {
    let (did, traffic) = cluster.report();
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mine = Rank {
        rows: simulation.world().entity_count(),
        ghosts: did.ghosts,
        rows_moved: did.rows_moved,
        ghost_rows_sent: did.ghost_rows_sent,
        rebuilds: did.rebuilds,
        cuts: did.balanced,
        messages: traffic.messages,
        bytes: traffic.bytes,
        inside: microseconds(times.inside),
        elapsed: microseconds(times.elapsed),
        cpu: microseconds(times.cpu),
        moving: microseconds(did.moving),
        renewing: microseconds(did.renewing),
        forwarding: microseconds(did.forwarding),
        agreeing: microseconds(did.agreeing),
        waiting: microseconds(times.waiting),
        ordering: microseconds(did.ordering),
        busy: microseconds(did.busy),
        busy_since_cut: microseconds(did.busy_since_cut),
        workers_died: simulation.worker_status().iter().map(|worker| worker.deaths).sum(),
    };
    let told = serde_json::to_vec(&mine).map_err(|error| ClusterError::World(format!("a rank's totals: {error}")))?;
    let all = cluster.comm(|comm| comm.gather("totals", &told))?;
    let mut ranks = Vec::with_capacity(all.len());
    for (rank, told) in all.iter().enumerate() {
        let bad = |error| ClusterError::Message { rank, what: format!("its totals: {error}") };
        ranks.push(serde_json::from_slice(told).map_err(bad)?);
    }
    Ok(Totals { frames, elapsed: times.elapsed, first_imbalance: did.first_imbalance, ranks })
}

impl Totals {
    fn sum(&self, which: fn(&Rank) -> u64) -> u64 {
        self.ranks.iter().map(which).sum()
    }

    /// The largest over the mean.
    fn imbalance(&self, which: fn(&Rank) -> u64) -> f64 {
        let most = self.ranks.iter().map(which).max().unwrap_or(0);
        most as f64 * self.ranks.len() as f64 / self.sum(which).max(1) as f64
    }

    /// Time in calls over time in all, of all ranks.
    fn inside(&self) -> f64 {
        self.sum(|rank| rank.inside) as f64 / self.sum(|rank| rank.elapsed).max(1) as f64
    }

    /// A share of the CPU time of all ranks' main threads, waiting left out.
    fn share(&self, which: fn(&Rank) -> u64) -> f64 {
        self.sum(which) as f64 / self.sum(|rank| rank.cpu.saturating_sub(rank.waiting)).max(1) as f64
    }

    fn json(&self, args: &Args, done: &Done) -> serde_json::Value {
        let (rows, cpu) = (self.sum(|rank| rank.rows), self.sum(|rank| rank.cpu.saturating_sub(rank.waiting)));
        serde_json::json!({
            "scene": args.scene.name(),
            "seed": done.seed,
            "workers": args.workers.to_string(),
            "frames": self.frames,
            "seconds": self.elapsed.as_secs_f64(),
            "entities": rows,
            "state_by_id": done.hash.map(|hash| hash.to_string()),
            "cpu_ns_per_entity_and_frame": cpu as f64 * 1e3 / (rows * self.frames).max(1) as f64,
            "share_of_cpu": {
                "exchange": self.share(Rank::exchanging),
                "order": self.share(|rank| rank.ordering),
            },
            "imbalance": {
                "rows": self.imbalance(|rank| rank.rows),
                "kernels_between_first_cuts": self.first_imbalance,
                "kernels_since_last_cut": self.imbalance(|rank| rank.busy_since_cut),
            },
            "ranks": self.ranks,
            "checkpoints": done.checkpoints,
        })
    }
}

/// Prints the table, and the hash, if it is asked for.
pub(super) fn print(args: &Args, done: &Done) {
    if args.json {
        println!("{:#}", done.totals.json(args, done));
        return;
    }
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
    let rows = totals.sum(|rank| rank.rows);
    pair("entities", format!("{rows}, {:.1} ns each and frame", per(totals.frames * rows)));
    if totals.ranks.len() > 1 {
        across(totals, &mut pair);
    }
    let died = totals.sum(|rank| rank.workers_died);
    if died > 0 {
        pair("workers that died", format!("{died}, each replaced"));
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

/// What goes between ranks.
fn across(totals: &Totals, pair: &mut dyn FnMut(&str, String)) {
    pair("balance", format!("the largest rank has {:.3} of the mean", totals.imbalance(|rank| rank.rows)));
    let before = match totals.first_imbalance {
        0.0 => String::new(),
        before => format!("{before:.3} of the mean between the first two cuts, "),
    };
    let now = totals.imbalance(|rank| rank.busy_since_cut);
    pair("balance of time", format!("the slowest rank's kernels took {before}{now:.3} since the last cut"));
    let (exchanging, ordering) = (totals.share(Rank::exchanging), totals.share(|rank| rank.ordering));
    pair("communication", format!("{:.2} % of the time of all ranks, waiting included", 100.0 * totals.inside()));
    let shares = format!("{:.2} % ghosts, moves, sums; {:.2} % order of rows", 100.0 * exchanging, 100.0 * ordering);
    pair("of CPU time", format!("{shares}; waiting left out"));
    let frames = totals.frames.max(1) as f64;
    let messages = totals.sum(|rank| rank.messages) as f64 / frames;
    let kib = totals.sum(|rank| rank.bytes) as f64 / frames / 1024.0;
    pair("messages", format!("{messages:.1} and {kib:.1} KiB a frame, all ranks"));
    let (moved, sent) = (totals.sum(|rank| rank.rows_moved), totals.sum(|rank| rank.ghost_rows_sent));
    pair("rows sent", format!("{moved} changed ranks, {sent} as ghosts"));
    let (rebuilds, cuts) = totals.ranks.first().map_or((0, 0), |rank| (rank.rebuilds, rank.cuts));
    let ghosts = totals.sum(|rank| rank.ghosts);
    pair("rebuilds", format!("{rebuilds}, space cut {cuts} times; {ghosts} ghosts now"));
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
