//! A Gantt chart as one HTML file that needs nothing else: `gantt.html` with the picture's numbers in it.
#![forbid(unsafe_code)]

use std::fmt::Write;

use hypostyle::trace::{Phase, Timeline};
use serde_json::{Value, json};

use super::chrome::{batch_name, lane_name};
use super::picture::{Band, Picture, Shape, Span};
use super::summary::{Summary, percent};
use super::svg::escape;
use crate::text;

const PAGE: &str = include_str!("gantt.html");
/// Columns of the line above the chart that shows how many runners are at work.
const OVERVIEW_COLUMNS: usize = 1200;

/// The page's number for what a box shows: a system's own, or one below zero.
fn kind(shape: Shape) -> i64 {
    match shape {
        Shape::System(system) => i64::from(system),
        Shape::Serial(Phase::Build) => -1,
        Shape::Serial(Phase::Apply) => -3,
        Shape::Serial(Phase::Sort) => -4,
        Shape::Serial(_) => -2,
        Shape::Publish { skipped: false } => -5,
        Shape::Publish { skipped: true } => -6,
        Shape::Idle => -7,
        Shape::RingFull => -8,
        Shape::Lost => -9,
    }
}

/// Eight numbers a box, side by side.
fn flat(spans: &[Span]) -> String {
    let mut out = String::from("[");
    for span in spans {
        let [a, b, c, d] = span.numbers;
        let comma = if out.len() > 1 { "," } else { "" };
        let (start, duration, failed) = (span.start, span.end - span.start, u8::from(span.failed));
        // writing to a string does not fail
        let _ = write!(out, "{comma}{start},{duration},{},{a},{b},{c},{d},{failed}", kind(span.shape));
    }
    out.push(']');
    out
}

fn tables(summary: &Summary) -> Value {
    let systems: Vec<Vec<String>> = summary
        .systems
        .iter()
        .filter(|row| row.calls > 0)
        .map(|row| {
            vec![
                row.name.clone(),
                text::count(row.calls),
                text::nanoseconds(row.total_ns as f64),
                text::nanoseconds(row.p50_ns as f64),
                text::nanoseconds(row.p99_ns as f64),
                row.ns_per_row().map_or_else(|| "-".to_owned(), |ns| format!("{ns:.2}")),
                percent(row.parallel),
                percent(row.waiting),
            ]
        })
        .collect();
    let runners: Vec<Vec<String>> = summary
        .lanes
        .iter()
        .enumerate()
        .map(|(number, row)| {
            vec![
                lane_name(number),
                text::count(row.jobs),
                text::nanoseconds(row.kernel_ns as f64),
                text::nanoseconds(row.wait_ns as f64),
                text::nanoseconds(row.ring_ns as f64),
                text::count(row.deaths),
            ]
        })
        .collect();
    json!([
        {
            "caption": "Systems, in the whole timeline",
            "heads": ["system", "calls", "total", "p50", "p99", "ns/row", "parallel", "waiting"],
            "rows": systems,
        },
        {
            "caption": "Runners, in the whole timeline",
            "heads": ["runner", "jobs", "in kernels", "waiting", "for its ring", "deaths"],
            "rows": runners,
        },
    ])
}

/// The page's numbers, as JSON.
pub(super) fn data(timeline: &Timeline, picture: &Picture, summary: &Summary) -> String {
    let frame = |band: &Band| json!([band.start, band.end, band.name, band.failed]);
    let batch = |band: &Band| json!([band.start, band.end, band.name, band.system]);
    let names: Vec<String> = (0..timeline.batches.len() as u32).map(|number| batch_name(timeline, number)).collect();
    let head = json!({
        "title": picture.title,
        "subtitle": picture.subtitle,
        "length": picture.length_ns,
        "systems": picture.systems,
        "names": names,
        "frames": picture.frames.iter().map(frame).collect::<Vec<_>>(),
        "batches": picture.batches.iter().map(batch).collect::<Vec<_>>(),
        "busy": picture.at_work(OVERVIEW_COLUMNS).iter().map(|busy| (busy * 100.0).round() / 100.0).collect::<Vec<_>>(),
        "tables": tables(summary),
    });
    let mut data = head.to_string();
    // the boxes without a detour by way of values: there are many
    data.pop();
    data.push_str(",\"rows\":[");
    for (number, row) in picture.rows.iter().enumerate() {
        let marks: Vec<Value> =
            row.marks.iter().map(|mark| json!({ "at": mark.at, "death": mark.death, "text": mark.text })).collect();
        let comma = if number > 0 { "," } else { "" };
        let (name, marks) = (Value::from(row.name.as_str()), Value::from(marks));
        let _ = write!(data, "{comma}{{\"name\":{name},\"marks\":{marks},\"spans\":{}}}", flat(&row.spans));
    }
    data.push_str("]}");
    data
}

/// The page of a picture of a timeline.
pub(super) fn html(timeline: &Timeline, picture: &Picture, summary: &Summary) -> String {
    let data = data(timeline, picture, summary);
    // inside a script element nothing may look like its end
    let data = data.replace('<', "\\u003c");
    PAGE.replace("%TITLE%", &escape(&picture.title)).replace("%DATA%", &data)
}

#[cfg(test)]
mod tests {
    use super::super::picture::{Window, picture};
    use super::super::sample;
    use super::super::summary::summarize;
    use super::*;

    fn page() -> (Picture, String) {
        let timeline = sample::timeline(3, 3);
        let mut picture = picture(&timeline, Window::All, 100_000).expect("there are frames");
        picture.title = "</script><b>".to_owned();
        let page = html(&timeline, &picture, &summarize(&timeline));
        (picture, page)
    }

    #[test]
    fn the_pages_data_are_the_picture() {
        let (picture, page) = page();
        let begin = page.find("<script id=\"data\" type=\"application/json\">").expect("the data") + 42;
        let end = begin + page[begin..].find("</script>").expect("its end");
        let data: Value = serde_json::from_str(&page[begin..end]).expect("JSON");
        assert_eq!(data["title"], "</script><b>");
        assert_eq!(data["systems"][2][0], "<mark> & \"more\"");
        for (number, row) in picture.rows.iter().enumerate() {
            let spans = data["rows"][number]["spans"].as_array().expect("an array");
            assert_eq!(spans.len(), 8 * row.spans.len());
            assert_eq!(data["rows"][number]["marks"].as_array().map(Vec::len), Some(row.marks.len()));
        }
        assert_eq!(data["busy"].as_array().map(Vec::len), Some(OVERVIEW_COLUMNS));
    }

    #[test]
    fn the_page_needs_no_network_and_nothing_escapes_from_it() {
        let (_, page) = page();
        for text in ["http:", "https:", "//cdn", "import(", "fetch(", "@import", "src=\"", "%DATA%", "%TITLE%"] {
            assert!(!page.contains(text), "{text}");
        }
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(page.contains("<title>&lt;/script&gt;&lt;b&gt;</title>") && !page.contains("<b>"));
        assert!(page.contains("default-src 'none'"));
    }
}
