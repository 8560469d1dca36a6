//! A Gantt chart as an SVG file: one lane per runner, readable at two and at sixty-four.
//!
//! What is narrower than a pixel is not drawn box by box: each column of pixels shows how much of it was what, from
//! the bottom up.
#![forbid(unsafe_code)]

use std::fmt::Write;

use hypostyle::trace::Phase;

use super::picture::{Picture, Row, Shape, Span};
use super::summary::{Summary, percent};
use crate::text;

const WIDTH: f64 = 1440.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 84.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;
/// Narrower boxes go into columns.
const NARROW: f64 = 1.0;

/// Colours for light and dark ground. Plain ones: not every program that shows SVG knows variables.
const STYLE: &str = "
text{font:12px system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1c2330}
.h{font-size:17px;font-weight:600}.t{font-size:11px}.e{text-anchor:end}.m{text-anchor:middle}.b{font-size:11px;fill:#fff}.d{fill:#10151d}
.s,.t{fill:#667085}.ground{fill:#fff}.lane{fill:#f3f5f8}.rule{stroke:#d8dde6}.frame{stroke:#667085;stroke-dasharray:4 3}
.build{fill:#98a4b5}.live{fill:#6f7e93}.apply{fill:#4f5d73}.publish{fill:#2b3545}.stripe{fill:#b4bdcb}.ringstripe{fill:#f79009}
.idle{fill:url(#wait)}.ring{fill:url(#ring)}.lost{fill:#d92d20;fill-opacity:.22;stroke:#d92d20;stroke-dasharray:3 2}
.failed{stroke:#d92d20;stroke-width:2}.dead{stroke:#d92d20;stroke-width:2.5;fill:none}.again{fill:none;stroke:#d92d20;stroke-width:1.5}
.area{fill:#5aa858;fill-opacity:.55}
@media (prefers-color-scheme:dark){
text{fill:#e6eaf0}.s,.t{fill:#98a2b3}.b{fill:#fff}.d{fill:#10151d}.ground{fill:#12161d}.lane{fill:#1a2029}.rule{stroke:#3a4352}
.frame{stroke:#98a2b3}.build{fill:#4d596c}.live{fill:#6f7c90}.apply{fill:#8d99ab}.publish{fill:#c3ccd9}.stripe{fill:#4a5568}}
";

/// Text for XML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // control characters have no place in XML
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

/// The class of a box that is no system's.
pub(super) fn class(shape: Shape) -> &'static str {
    match shape {
        Shape::Serial(Phase::Build) => "build",
        Shape::Serial(Phase::Apply | Phase::Sort) => "apply",
        Shape::Serial(_) => "live",
        Shape::Publish { .. } => "publish",
        Shape::Idle => "idle",
        Shape::RingFull => "ring",
        Shape::Lost | Shape::System(_) => "lost",
    }
}

/// Whether dark letters are read better on this colour.
fn is_light(colour: &str) -> bool {
    let channel = |at: usize| colour.get(at..at + 2).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0);
    channel(1) * 299 + channel(3) * 587 + channel(5) * 114 > 140_000
}

/// A text cut to a width in pixels; none where not even its first letters fit.
fn fitting(text: &str, width: f64) -> Option<String> {
    let letters = ((width - 6.0) / 6.2).max(0.0) as usize;
    let count = text.chars().count();
    match letters {
        _ if count <= letters => Some(text.to_owned()),
        0..4 => None,
        _ => Some(text.chars().take(letters - 1).chain(['…']).collect()),
    }
}

/// A round step of time such that about `count` of them fill `length`.
fn step(length: f64, count: f64) -> f64 {
    let rough = (length / count).max(1.0);
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= rough).unwrap_or(10.0 * power)
}

/// One drawing.
struct Drawing<'a> {
    picture: &'a Picture,
    out: String,
    lane: f64,
    gap: f64,
}

/// Writing to a string does not fail.
macro_rules! put {
    ($self:ident, $($part:tt)*) => {{ let _ = write!($self.out, $($part)*); }};
}

/// The chart of a picture, with the numbers of the whole timeline beside its legend.
pub(super) fn svg(picture: &Picture, summary: &Summary) -> String {
    let rows = picture.rows.len().max(1) as f64;
    let lane = (560.0 / rows).clamp(11.0, 40.0).floor();
    let gap = if lane > 20.0 { 6.0 } else { 2.0 };
    Drawing { picture, out: String::new(), lane, gap }.draw(summary)
}

impl Drawing<'_> {
    fn x(&self, ns: u64) -> f64 {
        LEFT + ns as f64 / self.picture.length_ns as f64 * PLOT
    }

    fn draw(mut self, summary: &Summary) -> String {
        let picture = self.picture;
        let lanes_at = 104.0;
        let lanes_end = lanes_at + picture.rows.len() as f64 * (self.lane + self.gap);
        let area_at = lanes_end + 10.0;
        let axis_at = area_at + 46.0;
        let legend_at = axis_at + 52.0;
        let shown = summary.systems.iter().filter(|row| row.calls > 0).count();
        let height = legend_at + 26.0 + 20.0 * shown.max(4) as f64 + 16.0;
        put!(
            self,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">"
        );
        put!(self, "<title>{}</title><style>{}</style>", escape(&picture.title), STYLE.trim());
        put!(
            self,
            "<defs><pattern id=\"wait\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"1.4\" height=\"6\" class=\"stripe\"/></pattern><pattern id=\"ring\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"3\" height=\"6\" class=\"ringstripe\"/></pattern></defs>"
        );
        put!(self, "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>");
        put!(self, "<text class=\"h\" x=\"16\" y=\"28\">{}</text>", escape(&picture.title));
        put!(self, "<text class=\"s\" x=\"16\" y=\"48\">{}</text>", escape(&picture.subtitle));
        self.frames(62.0, axis_at);
        self.batches(82.0);
        for (number, row) in picture.rows.iter().enumerate() {
            self.row(row, lanes_at + number as f64 * (self.lane + self.gap));
        }
        self.at_work(area_at);
        self.axis(axis_at, lanes_at);
        self.legend(legend_at, summary);
        self.out.push_str("</svg>\n");
        self.out
    }

    fn frames(&mut self, y: f64, end: f64) {
        put!(self, "<text class=\"t e\" x=\"{}\" y=\"{}\">frame</text>", LEFT - 8.0, y + 11.0);
        let mut free = 0.0;
        for band in &self.picture.frames {
            let (from, to) = (self.x(band.start), self.x(band.end));
            if to - from > 3.0 {
                put!(self, "<line class=\"frame\" x1=\"{from:.2}\" x2=\"{from:.2}\" y1=\"{y}\" y2=\"{end}\"/>");
            }
            if from >= free && to - from > 12.0 {
                let failed = if band.failed { " failed" } else { "" };
                put!(
                    self,
                    "<text class=\"t\" x=\"{:.2}\" y=\"{}\">{}{failed}</text>",
                    from + 4.0,
                    y + 11.0,
                    escape(&band.name)
                );
                free = from + 16.0 + 7.0 * band.name.len() as f64;
            }
        }
    }

    fn batches(&mut self, y: f64) {
        put!(self, "<text class=\"t e\" x=\"{}\" y=\"{}\">batch</text>", LEFT - 8.0, y + 12.0);
        for band in &self.picture.batches {
            let (from, width) = (self.x(band.start), self.x(band.end) - self.x(band.start));
            if width < 0.7 {
                continue;
            }
            let colour = band.system.and_then(|system| self.picture.systems.get(system as usize));
            let colour = colour.map_or("#888888", |(_, colour)| colour);
            put!(
                self,
                "<g><title>batch {}: {}</title><rect x=\"{from:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"16\" rx=\"2\" fill=\"{colour}\" fill-opacity=\".22\" stroke=\"{colour}\" stroke-width=\".8\"/>",
                escape(&band.name),
                text::nanoseconds((band.end - band.start) as f64),
                (width - 0.6).max(0.5),
            );
            if let Some(name) = fitting(&band.name, width) {
                put!(self, "<text class=\"t\" x=\"{:.2}\" y=\"{}\">{}</text>", from + 4.0, y + 12.0, escape(&name));
            }
            self.out.push_str("</g>");
        }
    }

    fn row(&mut self, row: &Row, y: f64) {
        let lane = self.lane;
        put!(self, "<rect class=\"lane\" x=\"{LEFT}\" y=\"{y}\" width=\"{PLOT}\" height=\"{lane}\"/>");
        let middle = y + lane / 2.0 + 4.0;
        let class = if lane < 14.0 { "t e" } else { "e" };
        put!(self, "<text class=\"{class}\" x=\"{}\" y=\"{middle:.1}\">{}</text>", LEFT - 8.0, escape(&row.name));
        let of = |ns: u64| text::percent(ns as f64 / self.picture.length_ns as f64);
        let (used, x) = (of(row.kernel_ns), WIDTH - RIGHT + 8.0);
        put!(
            self,
            "<text class=\"t\" x=\"{x}\" y=\"{middle:.1}\">{used}<title>{} jobs, {used} of the time in kernels, {} waiting</title></text>",
            row.jobs,
            of(row.wait_ns),
        );
        let mut columns = Columns::default();
        for span in row.spans.iter().filter(|span| span.shape == Shape::Idle) {
            self.span(span, y, &mut columns);
        }
        self.columns(&mut columns, y);
        for span in row.spans.iter().filter(|span| span.shape != Shape::Idle) {
            self.span(span, y, &mut columns);
        }
        self.columns(&mut columns, y);
        for mark in &row.marks {
            let (x, r) = (self.x(mark.at), (lane / 2.0 - 2.0).min(7.0));
            let centre = y + lane / 2.0;
            let shape = if mark.death {
                format!(
                    "<path class=\"dead\" d=\"M{:.2} {:.2}l{d} {d}m0 -{d}l-{d} {d}\"/>",
                    x - r,
                    centre - r,
                    d = 2.0 * r
                )
            } else {
                format!("<circle class=\"again\" cx=\"{x:.2}\" cy=\"{centre:.2}\" r=\"{:.1}\"/>", r + 3.0)
            };
            put!(self, "<g><title>{}</title>{shape}</g>", escape(&mark.text));
        }
    }

    fn span(&mut self, span: &Span, y: f64, columns: &mut Columns) {
        let (from, to) = (self.x(span.start), self.x(span.end));
        let width = to - from;
        if width < NARROW && span.shape != Shape::Lost {
            columns.add(from, to, span.shape);
            return;
        }
        let lane = self.lane;
        let detail = format!("{} · {}", self.picture.detail(span), text::nanoseconds((span.end - span.start) as f64));
        let (fill, colour) = self.fill(span.shape);
        let inset = if width > 4.0 { 0.6 } else { 0.0 };
        let (y, height) = match span.shape {
            Shape::Idle => (y + lane * 0.25, lane * 0.5),
            Shape::RingFull => (y + lane * 0.6, lane * 0.4),
            _ => (y, lane),
        };
        put!(
            self,
            "<g><title>{}</title><rect {fill} x=\"{from:.2}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{height:.1}\"{}/>",
            escape(&detail),
            width - inset,
            if span.failed && colour.is_some() { " class=\"failed\"" } else { "" },
        );
        if let (Some(colour), Shape::System(system), true) = (colour, span.shape, lane >= 16.0) {
            let name = self.picture.systems.get(system as usize).map_or("?", |(name, _)| name);
            if let Some(name) = fitting(name, width) {
                let dark = if is_light(&colour) { " d" } else { "" };
                put!(
                    self,
                    "<text class=\"b{dark}\" x=\"{:.2}\" y=\"{:.1}\">{}</text>",
                    from + 3.0,
                    y + height / 2.0 + 4.0,
                    escape(&name)
                );
            }
        }
        self.out.push_str("</g>");
    }

    /// The attributes of a box, and its colour where it has one of its own.
    fn fill(&self, shape: Shape) -> (String, Option<String>) {
        match shape {
            Shape::System(system) => {
                let colour = self.picture.systems.get(system as usize).map_or("#888888", |(_, colour)| colour);
                (format!("fill=\"{colour}\""), Some(colour.to_owned()))
            }
            other => (format!("class=\"{}\"", class(other)), None),
        }
    }

    /// Draws what was too narrow, and forgets it.
    fn columns(&mut self, columns: &mut Columns, y: f64) {
        let lane = self.lane;
        for (x, parts) in columns.0.drain(..) {
            let mut bottom = y + lane;
            for (shape, part) in parts {
                let height = (part.min(1.0) * lane).min(bottom - y);
                if height < 0.2 {
                    continue;
                }
                bottom -= height;
                let (fill, _) = self.fill(shape);
                put!(self, "<rect {fill} x=\"{x}\" y=\"{bottom:.2}\" width=\"1\" height=\"{height:.2}\"/>");
            }
        }
    }

    /// How many runners are in kernels.
    fn at_work(&mut self, y: f64) {
        const HEIGHT: f64 = 36.0;
        let rows = self.picture.rows.len().max(1) as f64;
        let columns = (PLOT / 2.0) as usize;
        put!(self, "<text class=\"t e\" x=\"{}\" y=\"{}\">at work</text>", LEFT - 8.0, y + HEIGHT / 2.0 + 4.0);
        put!(self, "<rect class=\"lane\" x=\"{LEFT}\" y=\"{y}\" width=\"{PLOT}\" height=\"{HEIGHT}\"/>");
        put!(self, "<path class=\"area\" d=\"M{LEFT} {}", y + HEIGHT);
        let mut last = f64::NAN;
        for (column, busy) in self.picture.at_work(columns).into_iter().enumerate() {
            let top = y + HEIGHT - (busy / rows).min(1.0) * HEIGHT;
            if (top - last).abs() > 0.05 || last.is_nan() {
                put!(self, "H{:.1}V{top:.1}", LEFT + column as f64 * 2.0);
                last = top;
            }
        }
        put!(self, "H{}V{}Z\"/>", WIDTH - RIGHT, y + HEIGHT);
        put!(self, "<text class=\"t\" x=\"{}\" y=\"{}\">{} of {}</text>", WIDTH - RIGHT + 8.0, y + 10.0, rows, rows);
        put!(self, "<text class=\"t\" x=\"{}\" y=\"{}\">0</text>", WIDTH - RIGHT + 8.0, y + HEIGHT);
    }

    fn axis(&mut self, y: f64, top: f64) {
        let length = self.picture.length_ns as f64;
        let step = step(length, 10.0);
        let mut at = 0.0;
        while at <= length {
            let x = LEFT + at / length * PLOT;
            put!(self, "<line class=\"rule\" x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"{y}\" y2=\"{}\"/>", y + 6.0);
            put!(
                self,
                "<line class=\"rule\" x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"{top}\" y2=\"{y}\" stroke-opacity=\".35\"/>"
            );
            let label = if at == 0.0 { "0".to_owned() } else { text::nanoseconds(at) };
            put!(self, "<text class=\"t m\" x=\"{x:.2}\" y=\"{}\">{label}</text>", y + 20.0);
            at += step;
        }
        put!(self, "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>", WIDTH - RIGHT);
    }

    fn legend(&mut self, y: f64, summary: &Summary) {
        let heads = [
            (300.0, "calls"),
            (390.0, "total"),
            (480.0, "p50"),
            (570.0, "p99"),
            (660.0, "ns/row"),
            (750.0, "parallel"),
            (840.0, "waiting"),
        ];
        put!(self, "<text class=\"t\" x=\"38\" y=\"{y}\">system</text>");
        for (x, head) in heads {
            put!(self, "<text class=\"t e\" x=\"{x}\" y=\"{y}\">{head}</text>");
        }
        let shown = summary.systems.iter().enumerate().filter(|(_, row)| row.calls > 0);
        for (place, (number, row)) in shown.enumerate() {
            let y = y + 20.0 * (place + 1) as f64;
            let (name, colour) = &self.picture.systems[number];
            put!(self, "<rect fill=\"{colour}\" x=\"16\" y=\"{}\" width=\"14\" height=\"14\" rx=\"2\"/>", y - 11.5);
            let name = fitting(name, 210.0).unwrap_or_default();
            put!(self, "<text x=\"38\" y=\"{y}\">{}</text>", escape(&name));
            let cells = [
                text::count(row.calls),
                text::nanoseconds(row.total_ns as f64),
                text::nanoseconds(row.p50_ns as f64),
                text::nanoseconds(row.p99_ns as f64),
                row.ns_per_row().map_or_else(|| "-".to_owned(), |ns| format!("{ns:.2}")),
                percent(row.parallel),
                percent(row.waiting),
            ];
            for ((x, _), cell) in heads.iter().zip(cells) {
                put!(self, "<text class=\"e\" x=\"{x}\" y=\"{y}\">{cell}</text>");
            }
        }
        let others = [
            ("build", "main builds a batch"),
            ("live", "main makes written columns live"),
            ("apply", "main applies patches, sorts"),
            ("publish", "main publishes"),
            ("idle", "waits: nothing to do"),
            ("ring", "waits: its ring is full"),
            ("lost", "job lost with its worker"),
        ];
        for (place, (class, name)) in others.into_iter().enumerate() {
            let (x, y) = (940.0 + 250.0 * (place / 4) as f64, y + 20.0 * (place % 4) as f64);
            put!(self, "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"14\" height=\"14\" rx=\"2\"/>", y - 11.5);
            put!(self, "<text x=\"{}\" y=\"{y}\">{name}</text>", x + 22.0);
        }
    }
}

/// What is too narrow to be drawn alone, by column of pixels.
#[derive(Default)]
struct Columns(Vec<(f64, Vec<(Shape, f64)>)>);

impl Columns {
    fn add(&mut self, from: f64, to: f64, shape: Shape) {
        let mut at = from;
        while at < to || at == from {
            let column = at.floor();
            let part = (to.min(column + 1.0) - at).max(0.0);
            if self.0.last().is_none_or(|(last, _)| *last != column) {
                self.0.push((column, Vec::new()));
            }
            if let Some((_, parts)) = self.0.last_mut() {
                match parts.iter_mut().find(|(known, _)| *known == shape) {
                    Some((_, sum)) => *sum += part,
                    None => parts.push((shape, part)),
                }
            }
            at = column + 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::{Window, picture};
    use super::super::sample;
    use super::super::summary::summarize;
    use super::*;

    /// Every tag is closed by its own end, attributes are quoted, and nothing else begins with `<` or `&`.
    fn assert_well_formed(xml: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = xml;
        while let Some(at) = rest.find('<') {
            check_text(&rest[..at]);
            let end = rest[at..].find('>').expect("a tag ends") + at;
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
                continue;
            }
            let closed = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            let name = tag.split(' ').next().expect("a name");
            assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric()), "{tag}");
            let mut attributes = tag[name.len()..].trim();
            let mut seen = Vec::new();
            while !attributes.is_empty() {
                let (key, value) = attributes.split_once("=\"").unwrap_or_else(|| panic!("{tag}"));
                let (value, more) = value.split_once('"').expect("a quoted value ends");
                assert!(key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-:".contains(letter)), "{tag}");
                assert!(!seen.contains(&key), "`{key}` twice in {tag}");
                seen.push(key);
                check_text(value);
                attributes = more.trim_start();
            }
            if !closed {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?} not closed");
        check_text(rest);
    }

    fn check_text(text: &str) {
        for (at, _) in text.match_indices('&') {
            let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
            assert!(known.iter().any(|entity| text[at..].starts_with(entity)), "{text}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    fn chart(workers: usize, frames: u64, window: Window) -> String {
        let timeline = sample::timeline(workers, frames);
        let mut picture = picture(&timeline, window, 100_000).expect("there are frames");
        picture.title = "<title> & \"more\"".to_owned();
        svg(&picture, &summarize(&timeline))
    }

    #[test]
    fn charts_are_well_formed_xml() {
        for (workers, frames) in [(0, 1), (1, 3), (64, 20), (2, 2000)] {
            assert_well_formed(&chart(workers, frames, Window::All));
        }
    }

    #[test]
    fn every_runner_system_and_death_is_there() {
        let chart = chart(3, 3, Window::Last(2));
        for text in ["main", "worker 0", "worker 2", "&lt;mark&gt;", "brake", "died in job 1", "given out again"] {
            assert!(chart.contains(text), "{text}");
        }
        assert!(!chart.contains("worker 3"));
    }

    #[test]
    fn many_narrow_boxes_become_columns() {
        let (few, many) = (chart(1, 20, Window::All).len(), chart(1, 20_000, Window::All).len());
        assert!(many < 40 * few && many < 3 << 20, "{few} and {many} bytes");
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([step(100.0, 10.0), step(101.0, 10.0), step(7e6, 10.0), step(0.0, 10.0)], [10.0, 20.0, 1e6, 1.0]);
        assert_eq!(fitting("a long name", 40.0).as_deref(), Some("a lo…"));
        assert_eq!((fitting("long name", 20.0), fitting("ab", 20.0)), (None, Some("ab".to_owned())));
    }
}
