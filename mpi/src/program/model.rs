//! The model of time as a table, for the melt.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use hypostyle_mpi::model::{Link, melt};
use hypostyle_scenes::command::numbers;

const RANKS: [u32; 6] = [1, 2, 8, 64, 512, 1024];

/// What the table is for.
#[derive(clap::Args)]
pub(crate) struct ModelArgs {
    /// Atoms of each rank.
    #[arg(long, value_name = "N", default_value_t = 32_000, value_parser = numbers::positive::<u64>)]
    entities: u64,
    /// From a rank to another, microseconds.
    #[arg(long, value_name = "US", default_value_t = 2.0)]
    latency: f64,
    /// Gigabytes a second, of a rank.
    #[arg(long, value_name = "GB/S", default_value_t = 1.0)]
    bandwidth: f64,
    /// Kernels, nanoseconds of a row and frame.
    #[arg(long, value_name = "NS", default_value_t = 240.0)]
    row_ns: f64,
    /// Packing, sending, taking in and placing a byte, nanoseconds of a rank's processor.
    #[arg(long, value_name = "NS", default_value_t = 0.5)]
    byte_ns: f64,
}

/// Prints the table.
pub(crate) fn print(args: &ModelArgs) -> Result<(), Box<dyn std::error::Error>> {
    let numbers =
        [("latency", args.latency), ("bandwidth", args.bandwidth), ("row-ns", args.row_ns), ("byte-ns", args.byte_ns)];
    for (name, number) in numbers {
        if !(number.is_finite() && number > 0.0) {
            return Err(format!("--{name} {number}: write a number above 0").into());
        }
    }
    print!("{}", table(args));
    Ok(())
}

fn table(args: &ModelArgs) -> String {
    let link = Link { latency_us: args.latency, gb_per_s: args.bandwidth, byte_ns: args.byte_ns };
    let mut out = String::new();
    let (rows, latency, bandwidth) = (args.entities, args.latency, args.bandwidth);
    let _ = writeln!(out, "{rows} atoms a rank; {latency} us, {bandwidth} GB/s a rank; times in us, of a frame");
    let _ = writeln!(
        out,
        "{:<6} {:>9} {:>8} {:>10} {:>8} {:>9} {:>8} {:>9} {:>8} {:>10}",
        "ranks", "bricks", "ghosts", "neighbours", "KiB", "rows", "packing", "forwarded", "sums", "efficiency"
    );
    for ranks in RANKS {
        let mut load = melt(rows as f64 * f64::from(ranks));
        load.row_ns = args.row_ns;
        let (sent, time) = (load.sent(ranks), load.time(ranks, link));
        let bricks = load.bricks(ranks).map(|parts| parts.to_string()).join("x");
        let _ = writeln!(
            out,
            "{ranks:<6} {bricks:>9} {:>8.0} {:>10} {:>8.0} {:>9.0} {:>8.0} {:>9.0} {:>8.0} {:>8.1} %",
            sent.ghosts,
            sent.neighbours,
            sent.bytes / 1024.0,
            time.rows,
            time.packing,
            time.forwarding,
            time.reducing,
            100.0 * time.efficiency()
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_number_of_ranks() {
        let args = ModelArgs { entities: 32_000, latency: 2.0, bandwidth: 1.0, row_ns: 240.0, byte_ns: 0.5 };
        let told = table(&args);
        assert_eq!(told.lines().count(), 2 + RANKS.len(), "{told}");
        let last = told.lines().last().unwrap_or_default();
        assert!(last.starts_with("1024") && last.contains("8x8x16"), "{last}");
        assert!(print(&ModelArgs { latency: f64::NAN, ..args }).is_err());
    }
}
