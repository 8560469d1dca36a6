//! `trace diff A B`: two runs, system by system. Ratios are B to A: below 1, B is quicker.
#![forbid(unsafe_code)]

use std::io::Write;

use serde_json::{Value, json};

use super::load;
use super::summary::{Summary, SystemRow, percent, summarize};
use crate::failure::Outcome;
use crate::table::Table;
use crate::{put_json, text};

/// What to compare.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A trace file, or a region.
    a: String,
    /// Another one.
    b: String,
}

/// Compares.
pub(super) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let (a, b) = (summarize(&load(&args.a)?), summarize(&load(&args.b)?));
    if json {
        return put_json(out, &as_json(args, &a, &b));
    }
    Ok(write!(out, "{}", as_text(&a, &b))?)
}

/// Systems of both, by name: A's order, then those that only B has.
fn pairs<'a>(a: &'a Summary, b: &'a Summary) -> Vec<(Option<&'a SystemRow>, Option<&'a SystemRow>)> {
    let find = |summary: &'a Summary, name: &str| summary.systems.iter().find(|row| row.name == name);
    let mut pairs: Vec<_> = a.systems.iter().map(|row| (Some(row), find(b, &row.name))).collect();
    pairs.extend(b.systems.iter().filter(|row| find(a, &row.name).is_none()).map(|row| (None, Some(row))));
    pairs.retain(|(a, b)| [a, b].into_iter().flatten().any(|row| row.calls > 0));
    pairs
}

/// A system's kernel time per frame.
fn per_frame(summary: &Summary, row: Option<&SystemRow>) -> Option<f64> {
    row.filter(|_| summary.frames > 0).map(|row| row.total_ns as f64 / summary.frames as f64)
}

fn ratio(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.zip(b).filter(|(a, _)| *a > 0.0).map(|(a, b)| b / a)
}

fn frame_ns(summary: &Summary) -> Option<f64> {
    (summary.frames > 0).then(|| summary.frame_ns as f64 / summary.frames as f64)
}

fn as_text(a: &Summary, b: &Summary) -> String {
    let time = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), text::nanoseconds);
    let times = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let mut table = Table::new(&[
        "system",
        ">A/frame",
        ">B/frame",
        ">B:A",
        ">A p50",
        ">B p50",
        ">B:A",
        ">A ns/row",
        ">B ns/row",
        ">B:A",
        ">A parallel",
        ">B",
        ">A waiting",
        ">B",
    ]);
    for (x, y) in pairs(a, b) {
        let of = |pick: fn(&SystemRow) -> Option<f64>| (x.and_then(pick), y.and_then(pick));
        let frame = (per_frame(a, x), per_frame(b, y));
        let p50 = of(|row| Some(row.p50_ns as f64));
        let row = of(SystemRow::ns_per_row);
        let two = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let (parallel, waiting) = (of(|row| row.parallel), of(|row| row.waiting));
        table.row([
            x.or(y).map(|row| row.name.clone()).unwrap_or_default(),
            time(frame.0),
            time(frame.1),
            times(ratio(frame.0, frame.1)),
            time(p50.0),
            time(p50.1),
            times(ratio(p50.0, p50.1)),
            two(row.0),
            two(row.1),
            times(ratio(row.0, row.1)),
            percent(parallel.0),
            percent(parallel.1),
            percent(waiting.0),
            percent(waiting.1),
        ]);
    }
    let whole = times(ratio(frame_ns(a), frame_ns(b)));
    let frames = format!("frame: A {}, B {}, B:A {whole}", time(frame_ns(a)), time(frame_ns(b)));
    format!("A: {}\nB: {}\n{frames}\n\n{table}", a.head(), b.head())
}

fn as_json(args: &Args, a: &Summary, b: &Summary) -> Value {
    let systems: Vec<Value> = pairs(a, b)
        .into_iter()
        .map(|(x, y)| {
            let side = |summary: &Summary, row: Option<&SystemRow>| {
                row.map(|row| {
                    json!({
                        "calls": row.calls,
                        "rows": row.rows,
                        "frame_seconds": per_frame(summary, Some(row)).map(|ns| ns / 1e9),
                        "p50_seconds": row.p50_ns as f64 / 1e9,
                        "ns_per_row": row.ns_per_row(),
                        "parallel": row.parallel,
                        "waiting": row.waiting,
                    })
                })
            };
            let p50 = |row: Option<&SystemRow>| row.map(|row| row.p50_ns as f64);
            json!({
                "system": x.or(y).map(|row| &row.name),
                "a": side(a, x),
                "b": side(b, y),
                "frame_ratio": ratio(per_frame(a, x), per_frame(b, y)),
                "p50_ratio": ratio(p50(x), p50(y)),
                "ns_per_row_ratio":
                    ratio(x.and_then(SystemRow::ns_per_row), y.and_then(SystemRow::ns_per_row)),
            })
        })
        .collect();
    json!({
        "a": a.json(&args.a),
        "b": b.json(&args.b),
        "frame_ratio": ratio(frame_ns(a), frame_ns(b)),
        "systems": systems,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn systems_are_paired_by_name_and_ratios_are_b_to_a() {
        let a = summarize(&sample::timeline(1, 4));
        let mut slower = sample::timeline(1, 8);
        slower.systems[2] = "other".to_owned();
        for event in slower.lanes.iter_mut().flat_map(|lane| &mut lane.events) {
            if matches!(event.kind, hypostyle::trace::EventKind::System { system: 0, .. }) {
                event.duration_ns *= 3;
            }
        }
        let b = summarize(&slower);
        let args = Args { a: "a".to_owned(), b: "b".to_owned() };
        let value = as_json(&args, &a, &b);
        let names: Vec<&str> = (0..4).filter_map(|at| value["systems"][at]["system"].as_str()).collect();
        assert_eq!(names, ["move", "brake", "<mark> & \"more\"", "other"]);
        assert_eq!(value["systems"][0]["p50_ratio"], 3.0);
        assert_eq!(value["systems"][1]["p50_ratio"], 1.0);
        assert!(value["systems"][2]["b"].is_null() && value["systems"][3]["a"].is_null());
        assert_eq!(value["frame_ratio"], 1.0);
        let text = as_text(&a, &b);
        assert!(text.contains("3.00") && text.lines().any(|line| line.starts_with("other")), "{text}");
    }
}
