//! Figures from rounds: tables for people, JSON lines for programs.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use serde::Serialize;

use crate::run::{Case, Round, Rounds};

const MIB: f64 = (1 << 20) as f64;

/// A figure of one round: name, unit, value.
type Metric = (&'static str, &'static str, fn(&Round) -> f64);

/// Everything that is told of a round.
const METRICS: &[Metric] = &[
    ("publish p50", "us", |r| r.wrote.publish.p50 / 1e3),
    ("publish p99", "us", |r| r.wrote.publish.p99 / 1e3),
    ("publish max", "us", |r| r.wrote.publish.max / 1e3),
    ("commit alone p50", "us", |r| r.wrote.commit.p50 / 1e3),
    ("commit alone p99", "us", |r| r.wrote.commit.p99 / 1e3),
    ("publications", "1/s", |r| r.wrote.publish.count as f64 / r.wrote.seconds),
    ("skipped publications", "count", |r| r.wrote.skipped as f64),
    ("pin + unpin, new publication p50", "ns", |r| r.looked.pin_new.p50),
    ("pin + unpin, new publication p99", "ns", |r| r.looked.pin_new.p99),
    ("pin + unpin, unchanged p50", "ns", |r| r.looked.pin_unchanged.p50),
    ("pin + sum of one column p50", "us", |r| r.looked.one_column.p50 / 1e3),
    ("pin + sums of all columns p50", "us", |r| r.looked.all_columns.p50 / 1e3),
    ("age at pin p50", "us", |r| r.looked.age.p50 / 1e3),
    ("age at pin p99", "us", |r| r.looked.age.p99 / 1e3),
    ("engine memory", "MiB", |r| r.memory.files as f64 / MIB),
    ("writer RSS", "MiB", |r| r.memory.writer.0 as f64 / MIB),
    ("writer PSS", "MiB", |r| r.memory.writer.1 as f64 / MIB),
    ("reader RSS", "MiB", |r| r.memory.reader.0 as f64 / MIB),
    ("reader PSS", "MiB", |r| r.memory.reader.1 as f64 / MIB),
    ("frozen reader: publish p50", "us", |r| r.frozen.publish.p50 / 1e3),
    ("frozen reader: publish p99", "us", |r| r.frozen.publish.p99 / 1e3),
    ("frozen reader: publish max", "us", |r| r.frozen.publish.max / 1e3),
    ("frozen reader: publications", "1/s", |r| r.frozen.publish.count as f64 / r.frozen.seconds),
    ("frozen reader: skipped publications", "count", |r| r.frozen.skipped as f64),
    ("frozen reader: engine memory grew", "MiB", |r| (r.frozen_memory.files as f64 - r.memory.files as f64) / MIB),
];

/// Median, least and greatest time over the rounds in which what it is of happened; else nothing but zeros.
fn times(rounds: &[Round], value: fn(&Round) -> f64) -> (f64, f64, f64) {
    spread_of(rounds.iter().map(value).filter(|value| *value > 0.0).collect())
}

/// Median, least and greatest over the rounds.
fn spread(rounds: &[Round], value: fn(&Round) -> f64) -> (f64, f64, f64) {
    spread_of(rounds.iter().map(value).collect())
}

fn spread_of(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => (0.0, 0.0, 0.0),
        [only] => (*only, *only, *only),
        [low, .., high] if values.len() % 2 == 1 => (values[middle], *low, *high),
        [low, .., high] => (0.5 * (values[middle - 1] + values[middle]), *low, *high),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    group: &'static str,
    case: String,
    entities: usize,
    engine: &'static str,
    variant: &'a str,
    unit: &'static str,
    median: f64,
    low: f64,
    high: f64,
    checksum: String,
    note: String,
}

/// One case as JSON lines.
pub fn json(out: &mut dyn Write, case: Case, rows: usize, results: &[(Rounds, String)]) -> io::Result<()> {
    for (name, unit, value) in METRICS {
        for (result, note) in results {
            let timed = matches!(*unit, "us" | "ns");
            let (median, low, high) =
                if timed { times(&result.rounds, *value) } else { spread(&result.rounds, *value) };
            if timed && median == 0.0 {
                continue;
            }
            let line = Line {
                group: "snapshots",
                case: format!("{name} | {case}"),
                entities: rows,
                engine: result.engine.name(),
                variant: &result.way,
                unit,
                median,
                low,
                high,
                checksum: format!("{:016x}", result.checksum),
                note: note.clone(),
            };
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()
}

/// A number of nanoseconds for people.
fn time(nanos: f64) -> String {
    match nanos {
        0.0 => "-".to_owned(),
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e4 => format!("{:.2} us", n / 1e3),
        n if n < 1e6 => format!("{:.0} us", n / 1e3),
        n if n < 1e9 => format!("{:.2} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

fn print(out: &mut dyn Write, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells
            .enumerate()
            .map(
                |(i, cell)| {
                    if i < 2 { format!("{cell:<w$}", w = widths[i]) } else { format!("{cell:>w$}", w = widths[i]) }
                },
            )
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())
    };
    line(&mut head.iter().copied())?;
    for row in rows {
        line(&mut row.iter().map(String::as_str))?;
    }
    Ok(())
}

/// One case as two tables: the writer's side and the reader's.
pub fn table(out: &mut dyn Write, case: Case, results: &[(Rounds, String)]) -> io::Result<()> {
    writeln!(out, "\n{case}")?;
    let median = |result: &Rounds, value: fn(&Round) -> f64| spread(&result.rounds, value).0;
    let middle_of = |result: &Rounds, value: fn(&Round) -> f64| times(&result.rounds, value).0;
    let names = |result: &Rounds| vec![result.engine.name().to_owned(), result.way.clone()];
    let mut rows = Vec::new();
    for (result, _) in results {
        let (middle, low, high) = times(&result.rounds, |r| r.wrote.publish.p50);
        let mut row = names(result);
        row.push(time(middle));
        row.push(format!("{} .. {}", time(low), time(high)));
        row.push(time(middle_of(result, |r| r.wrote.publish.p99)));
        row.push(time(middle_of(result, |r| r.wrote.publish.max)));
        row.push(time(middle_of(result, |r| r.wrote.commit.p50)));
        row.push(format!("{:.0}", median(result, |r| r.wrote.publish.count as f64 / r.wrote.seconds)));
        row.push(time(middle_of(result, |r| r.frozen.publish.p50)));
        row.push(time(middle_of(result, |r| r.frozen.publish.p99)));
        row.push(time(middle_of(result, |r| r.frozen.publish.max)));
        row.push(format!("{:+.0}", median(result, |r| (r.frozen_memory.files as f64 - r.memory.files as f64) / MIB)));
        row.push(format!("{:.0}", median(result, |r| (r.wrote.skipped + r.frozen.skipped) as f64)));
        rows.push(row);
    }
    let head = [
        "writer",
        "",
        "publish p50",
        "spread",
        "p99",
        "max",
        "commit",
        "per s",
        "frozen: p50",
        "p99",
        "max",
        "MiB",
        "skipped",
    ];
    print(out, &head, &rows)?;
    rows.clear();
    for (result, _) in results {
        let mut row = names(result);
        row.push(time(middle_of(result, |r| r.looked.pin_new.p50)));
        row.push(time(middle_of(result, |r| r.looked.pin_new.p99)));
        row.push(time(middle_of(result, |r| r.looked.pin_unchanged.p50)));
        row.push(time(middle_of(result, |r| r.looked.one_column.p50)));
        row.push(time(middle_of(result, |r| r.looked.all_columns.p50)));
        row.push(time(middle_of(result, |r| r.looked.age.p50)));
        row.push(time(middle_of(result, |r| r.looked.age.p99)));
        for bytes in [
            |r: &Round| r.memory.files as f64,
            |r: &Round| r.memory.writer.1 as f64,
            |r: &Round| r.memory.reader.1 as f64,
        ] {
            row.push(format!("{:.0}", median(result, bytes) / MIB));
        }
        rows.push(row);
    }
    let head = [
        "reader",
        "",
        "pin new p50",
        "p99",
        "unchanged",
        "1 column",
        "6 columns",
        "age p50",
        "p99",
        "engine MiB",
        "writer PSS",
        "reader PSS",
    ];
    print(out, &head, &rows)?;
    let checksums: Vec<String> = results.iter().map(|(result, _)| format!("{:016x}", result.checksum)).collect();
    writeln!(out, "  same state in every reader: {}", checksums.first().map_or("-", String::as_str))
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_told_in_fitting_units() {
        for (nanos, text) in
            [(0.0, "-"), (12.0, "12 ns"), (1234.0, "1.23 us"), (123_456.0, "123 us"), (2.5e6, "2.50 ms")]
        {
            assert_eq!(time(nanos), text);
        }
    }
}
