//! `stats REGION|FILE [COLUMN...]`: columns of the newest generation in a few numbers.
//!
//! A column is gathered over all tables; rows whose toggle is off do not count. Two passes: the mean first, then
//! deviation and histogram around it.
#![forbid(unsafe_code)]

use std::io::Write;

use hypostyle::layout::{Storage, did_you_mean};
use hypostyle::{FieldType, Layout, OwnedSnapshot, ScalarType, Snapshot, SnapshotError};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::failure::{Failure, Outcome};
use crate::format::Format;
use crate::source::Source;
use crate::table::Table;
use crate::values::{Number, scalar};
use crate::{put_json, text};

/// Bins of a histogram.
const BINS: usize = 16;

/// The first line of CSV.
pub(crate) const CSV_HEAD: &str = "column,count,nan,infinite,null,min,max,mean,deviation";

/// What to describe.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region, or the world of several ranks; a checkpoint, or the manifest of a set of them.
    #[arg(value_name = "REGION|FILE")]
    source: Source,
    /// Columns: `position.x`, a component's name for all of its columns, or a pattern, '*.x' (default: all).
    #[arg(value_name = "COLUMN")]
    columns: Vec<String>,
    /// How to print them; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// A column, or one element of a column of arrays.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    name: String,
    rows: u64,
    nan: u64,
    infinite: u64,
    null: u64,
    range: Option<(Number, Number)>,
    /// Of what is finite.
    finite: u64,
    sum: f64,
    mean: f64,
    squares: f64,
    is_entity: bool,
    bins: [u64; BINS],
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    if let Source::Cluster(name) = &args.source {
        let pinned = Cluster::open(name)?.reader.pin()?;
        let parts: Vec<Snapshot<'_>> = pinned.iter().map(OwnedSnapshot::snapshot).collect();
        return describe(args, &parts, json, out);
    }
    let mut opened = args.source.open()?;
    describe(args, &[opened.reader.pin()?], json, out)
}

/// Describes a state, or the parts of one.
fn describe(args: &Args, parts: &[Snapshot<'_>], json: bool, out: &mut dyn Write) -> Outcome {
    let Some(snapshot) = parts.first() else { return Ok(()) };
    let columns = columns(snapshot.layout(), &args.columns)?;
    let mut all = Vec::new();
    for (name, ty) in &columns {
        all.extend(stats(parts, name, *ty)?);
    }
    match args.format.or_json(json) {
        Format::Json => {
            let data = json!({
                "region": args.source.region(),
                "checkpoint": args.source.checkpoint(),
                "generation": snapshot.generation(),
                "frame": snapshot.frame(),
                "columns": all.iter().map(Stats::json).collect::<Vec<_>>(),
            });
            return put_json(out, &data);
        }
        Format::Ndjson => {
            for stats in &all {
                writeln!(out, "{}", stats.json())?;
            }
            return Ok(());
        }
        Format::Csv => {
            writeln!(out, "{CSV_HEAD}")?;
            for stats in &all {
                writeln!(out, "{}", stats.csv())?;
            }
            return Ok(());
        }
        Format::Table => {}
    }
    let mut table =
        Table::new(&["column", ">rows", ">min", ">max", ">mean", ">deviation", "histogram, min to max", "remarks"]);
    for stats in &all {
        table.row(stats.cells());
    }
    let (generation, frame) = (text::count(snapshot.generation()), text::count(snapshot.frame()));
    match parts.len() {
        1 => writeln!(out, "generation {generation}, frame {frame}")?,
        ranks => writeln!(out, "{ranks} ranks, frame {frame}")?,
    }
    Ok(write!(out, "{table}")?)
}

/// The columns that were asked for, or all.
pub(crate) fn columns(layout: &Layout, asked: &[String]) -> Outcome<Vec<(String, FieldType)>> {
    let all: Vec<(String, FieldType)> = layout
        .components()
        .iter()
        // scratch is no part of a generation
        .filter(|component| component.storage != Storage::Scratch)
        .flat_map(|component| {
            component
                .published_fields()
                .iter()
                .map(move |field| (format!("{}.{}", component.name, field.name), field.ty))
        })
        .collect();
    if asked.is_empty() {
        return Ok(all);
    }
    let known = || all.iter().map(|(name, _)| name.as_str());
    let mut chosen: Vec<(String, FieldType)> = Vec::new();
    for name in asked {
        let meant = all.iter().filter(|(column, _)| is_meant(name, column));
        let before = chosen.len();
        let mut found = false;
        for column in meant {
            found = true;
            // two patterns may name one column
            if !chosen[..before].contains(column) {
                chosen.push(column.clone());
            }
        }
        if !found {
            let components = layout.components().iter().map(|component| component.name.as_str());
            let (hint, known) = (did_you_mean(name, known().chain(components)), known().collect::<Vec<_>>().join(", "));
            return Err(Failure::usage(format!("there is no column `{name}`{hint}; the region has {known}")));
        }
    }
    Ok(chosen)
}

/// Whether a word of the command line means a column: its name, its component's name, or a pattern with `*` and `?`.
fn is_meant(word: &str, column: &str) -> bool {
    word == column || column.strip_prefix(word).is_some_and(|rest| rest.starts_with('.')) || fits(word, column)
}

/// Whether a name fits a pattern: `*` stands for any characters, `?` for one.
fn fits(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => name.is_empty(),
        Some('*') => {
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter().any(|at| fits(pattern.as_str(), &name[at..]))
        }
        Some(first) => {
            let mut name = name.chars();
            name.next().is_some_and(|c| first == '?' || first == c) && fits(pattern.as_str(), name.as_str())
        }
    }
}

/// One [`Stats`] per element of the field.
pub(crate) fn stats(parts: &[Snapshot<'_>], name: &str, ty: FieldType) -> Result<Vec<Stats>, SnapshotError> {
    let element = |index: usize| Stats {
        name: if ty.array_len == 0 { name.to_owned() } else { format!("{name}[{index}]") },
        is_entity: ty.scalar == ScalarType::Entity,
        ..Stats::default()
    };
    let mut all: Vec<Stats> = (0..ty.elements()).map(element).collect();
    each(parts, name, ty, |element, number| all[element].add(number))?;
    all.iter_mut().for_each(|stats| stats.mean = stats.sum / stats.finite as f64);
    each(parts, name, ty, |element, number| all[element].spread(number))?;
    Ok(all)
}

/// Every value of a column whose row has the component, with the element's index.
fn each(
    parts: &[Snapshot<'_>],
    name: &str,
    ty: FieldType,
    mut value: impl FnMut(usize, Number),
) -> Result<(), SnapshotError> {
    let component = name.split_once('.').map_or(name, |(component, _)| component);
    for table in parts.iter().flat_map(Snapshot::tables) {
        let Some((_, bytes)) = table.column_bytes(name)? else { continue };
        let presence = table.presence(component)?;
        for (row, bytes) in bytes.chunks_exact(ty.bytes()).enumerate().filter(|(row, _)| presence.contains(*row)) {
            debug_assert!(row < table.rows());
            for (element, bytes) in bytes.chunks_exact(ty.scalar.bytes()).enumerate() {
                value(element, scalar(ty.scalar, bytes));
            }
        }
    }
    Ok(())
}

impl Stats {
    /// The column's name, with the element of an array.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn add(&mut self, number: Number) {
        self.rows += 1;
        match number {
            Number::Entity(entity) => return self.null += u64::from(entity.is_none()),
            Number::Float(value) if value.is_nan() => return self.nan += 1,
            Number::Float(value) if value.is_infinite() => return self.infinite += 1,
            Number::Float(_) | Number::Integer(_) => {}
        }
        self.finite += 1;
        self.sum += number.to_f64();
        let (low, high) = self.range.unwrap_or((number, number));
        let less = |a: Number, b: Number| match (a, b) {
            (Number::Integer(a), Number::Integer(b)) => a < b,
            (a, b) => a.to_f64() < b.to_f64(),
        };
        self.range =
            Some((if less(number, low) { number } else { low }, if less(high, number) { number } else { high }));
    }

    fn spread(&mut self, number: Number) {
        let Some((low, high)) = self.range else { return };
        let value = number.to_f64();
        if !value.is_finite() {
            return;
        }
        self.squares += (value - self.mean) * (value - self.mean);
        // halves, lest the width of a range of large floats overflow
        let (low, high) = (low.to_f64() / 2.0, high.to_f64() / 2.0);
        let place = if high > low { (value / 2.0 - low) / (high - low) } else { 0.0 };
        self.bins[((place * BINS as f64) as usize).min(BINS - 1)] += 1;
    }

    /// Of the rows at hand, not an estimate for a larger number.
    fn deviation(&self) -> f64 {
        (self.squares / self.finite as f64).sqrt()
    }

    fn bar(&self) -> String {
        const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let most = self.bins.iter().copied().max().unwrap_or(0).max(1);
        let step = |count: u64| match count {
            0 => ' ',
            count => STEPS[(u128::from(count) * 8 / u128::from(most)).clamp(1, 8) as usize - 1],
        };
        self.bins.iter().map(|count| step(*count)).collect()
    }

    /// Name, rows, minimum, maximum, mean, deviation, histogram, remarks.
    pub(crate) fn cells(&self) -> [String; 8] {
        let mut remarks = Vec::new();
        for (count, what) in [(self.nan, "NaN"), (self.infinite, "infinite"), (self.null, "null")] {
            if count > 0 {
                remarks.push(format!("{} {what}", text::count(count)));
            }
        }
        let (name, rows, remarks) = (self.name.clone(), text::count(self.rows), remarks.join(", "));
        let none = || "-".to_owned();
        match self.range {
            None => [name, rows, none(), none(), none(), none(), String::new(), remarks],
            Some((low, high)) => {
                let (mean, deviation) = (text::number(self.mean), text::number(self.deviation()));
                [name, rows, low.text(), high.text(), mean, deviation, self.bar(), remarks]
            }
        }
    }

    /// A line of CSV under [`CSV_HEAD`]; what there is not is empty.
    pub(crate) fn csv(&self) -> String {
        let range =
            |pick: fn((Number, Number)) -> Number| self.range.map_or_else(String::new, |range| pick(range).plain());
        let some = |value: f64| self.range.map_or_else(String::new, |_| value.to_string());
        let null = if self.is_entity { self.null.to_string() } else { String::new() };
        let (low, high) = (range(|(low, _)| low), range(|(_, high)| high));
        let (mean, deviation) = (some(self.mean), some(self.deviation()));
        let Stats { name, rows, nan, infinite, .. } = self;
        // names have neither commas nor quotes
        format!("{name},{rows},{nan},{infinite},{null},{low},{high},{mean},{deviation}")
    }

    pub(crate) fn json(&self) -> Value {
        let range = |pick: fn((Number, Number)) -> Number| self.range.map(|range| pick(range).json());
        let some = |value: f64| self.range.map(|_| value);
        json!({
            "name": self.name,
            "count": self.rows,
            "nan": self.nan,
            "infinite": self.infinite,
            "null": if self.is_entity { Some(self.null) } else { None },
            "min": range(|(low, _)| low),
            "max": range(|(_, high)| high),
            "mean": some(self.mean),
            "deviation": some(self.deviation()),
            "histogram": self.range.map(|_| self.bins),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[Number]) -> Stats {
        let mut stats = Stats::default();
        numbers.iter().for_each(|number| stats.add(*number));
        stats.mean = stats.sum / stats.finite as f64;
        numbers.iter().for_each(|number| stats.spread(*number));
        stats
    }

    #[test]
    fn numbers_that_are_none_are_counted_and_left_out() {
        let stats = of(&[1.0, f64::NAN, 3.0, f64::INFINITY, 5.0].map(Number::Float));
        assert_eq!((stats.rows, stats.nan, stats.infinite, stats.finite), (5, 1, 1, 3));
        assert_eq!(stats.range, Some((Number::Float(1.0), Number::Float(5.0))));
        assert_eq!(stats.mean, 3.0);
        assert!((stats.deviation() - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(stats.bins.iter().sum::<u64>(), 3);
        assert_eq!((stats.bins[0], stats.bins[8], stats.bins[15]), (1, 1, 1));
        assert_eq!(stats.bar(), "█       █      █");
    }

    #[test]
    fn patterns_name_columns() {
        for (word, column) in [
            ("position.x", "position.x"),
            ("position", "position.x"),
            ("*.x", "position.x"),
            ("po*", "position.x"),
            ("position.?", "position.x"),
            ("*", "a.b"),
        ] {
            assert!(is_meant(word, column), "{word} {column}");
        }
        for (word, column) in
            [("pos", "position.x"), ("position.", "position.x"), ("*.y", "position.x"), ("?", "a.b"), ("", "a.b")]
        {
            assert!(!is_meant(word, column), "{word} {column}");
        }
    }

    #[test]
    fn a_line_of_csv_has_all_digits_and_leaves_out_what_is_not_there() {
        assert_eq!(of(&[0.1, 0.3].map(Number::Float)).csv(), ",2,0,0,,0.1,0.3,0.2,0.09999999999999999");
        assert_eq!(of(&[]).csv(), ",0,0,0,,,,,");
        assert_eq!(CSV_HEAD.split(',').count(), of(&[]).csv().split(',').count());
    }

    #[test]
    fn extremes_of_integers_are_exact_and_wide_ranges_do_not_overflow() {
        let stats = of(&[Number::Integer(i128::from(u64::MAX)), Number::Integer(i128::from(u64::MAX) - 1)]);
        assert_eq!(stats.cells()[2..4], ["18446744073709551614", "18446744073709551615"]);
        let stats = of(&[Number::Float(f64::MAX), Number::Float(f64::MIN)]);
        assert_eq!((stats.bins[0], stats.bins[15]), (1, 1));
        assert_eq!(of(&[]).cells()[1..3], ["0", "-"]);
    }
}
