//! A timeline as boxes in lanes, for whatever draws them: which colour, from when to when, what it says when asked.
//!
//! Times count from the picture's begin. Boxes of one lane are sorted by their begins; those of kernels and commits do
//! not overlap, waits for a ring lie upon jobs.
#![forbid(unsafe_code)]

use hypostyle::trace::{Event, EventKind, Phase, Timeline, Wait};

use super::chrome::{batch_name, lane_name, phase_name};

/// Colours of systems, told apart on light and dark ground; further ones follow round the circle of hues. Red is for
/// deaths.
const PALETTE: [&str; 12] = [
    "#4c8bd0", "#f0923a", "#5aa858", "#a874c4", "#38a9a4", "#d9b32f", "#a8765a", "#e58bb1", "#6f7fe0", "#94bf4a",
    "#c4678c", "#4fb3d9",
];

/// A system's colour.
pub(super) fn system_colour(system: usize) -> String {
    match PALETTE.get(system) {
        Some(colour) => (*colour).to_owned(),
        None => hue((system - PALETTE.len()) as f64 * 137.508 + 20.0),
    }
}

/// A colour of middle lightness.
fn hue(degrees: f64) -> String {
    let channel = |shift: f64| {
        let k = (shift + degrees / 30.0) % 12.0;
        let value = 0.56 - 0.27 * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", channel(0.0), channel(8.0), channel(4.0))
}

/// What a box shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A system's kernels.
    System(u32),
    /// Main at a batch's build or commit.
    Serial(Phase),
    /// Main publishes.
    Publish { skipped: bool },
    /// Nothing to do.
    Idle,
    /// No room in the ring.
    RingFull,
    /// A job that was lost with its worker.
    Lost,
}

/// A box.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
    pub shape: Shape,
    /// Job, rows, table and attempt, or generation and pins, or the batch: as `detail` tells them.
    pub numbers: [u64; 4],
    pub failed: bool,
}

/// A point in time in a lane.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub at: u64,
    /// A death; else a job that was given out again.
    pub death: bool,
    pub text: String,
}

/// A runner.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub name: String,
    pub spans: Vec<Span>,
    pub marks: Vec<Mark>,
    pub jobs: u64,
    /// Time in kernels and in waits, within the picture.
    pub kernel_ns: u64,
    pub wait_ns: u64,
}

/// A part of time with a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Band {
    pub start: u64,
    pub end: u64,
    pub name: String,
    /// For a batch: its first system.
    pub system: Option<u32>,
    pub failed: bool,
}

/// All that is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Picture {
    pub title: String,
    pub subtitle: String,
    /// Names and colours of the systems.
    pub systems: Vec<(String, String)>,
    pub rows: Vec<Row>,
    pub frames: Vec<Band>,
    pub batches: Vec<Band>,
    pub length_ns: u64,
    /// Boxes that were left out, being the oldest.
    pub left_out: u64,
}

/// What part of the timeline to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Window {
    /// All of it.
    All,
    /// The last so many frames.
    Last(u64),
    /// Frames from this one to that one.
    Frames(u64, u64),
}

/// The frames' first and last moments, in order.
fn frames(timeline: &Timeline) -> Vec<(&Event, u64, u64, bool)> {
    let main = timeline.lanes.first().map(|lane| &lane.events[..]).unwrap_or_default();
    let mut frames: Vec<_> = main
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Frame { number, frames, failed } => {
                Some((event, number, number.saturating_add(u64::from(frames.max(1)) - 1), failed))
            }
            _ => None,
        })
        .collect();
    frames.sort_by_key(|(event, ..)| event.start_ns);
    frames
}

/// The time that a window covers; none: no such frames.
fn extent(timeline: &Timeline, window: Window) -> Option<(u64, u64)> {
    let frames = frames(timeline);
    let of = |some: &[(&Event, u64, u64, bool)]| {
        let (first, last) = (some.first()?, some.last()?);
        Some((first.0.start_ns, last.0.end_ns()))
    };
    match window {
        Window::All => {
            let events = || timeline.lanes.iter().flat_map(|lane| &lane.events);
            let (first, last) = (events().map(|event| event.start_ns).min()?, events().map(Event::end_ns).max()?);
            // before the first frame there is nothing to see but workers that wait
            let begin = frames.first().map_or(first, |frame| frame.0.start_ns.max(first));
            Some((begin.min(last), last))
        }
        Window::Last(count) => of(&frames[frames.len().saturating_sub(count.max(1) as usize)..]),
        Window::Frames(from, to) => {
            let inside: Vec<_> =
                frames.into_iter().filter(|(_, first, last, _)| *last >= from && *first <= to).collect();
            of(&inside)
        }
    }
}

/// Makes the picture of a window; none where the timeline has no such frames. Of more than `spans_max` boxes the
/// oldest are left out.
pub(super) fn picture(timeline: &Timeline, window: Window, spans_max: usize) -> Option<Picture> {
    let (mut begin, end) = extent(timeline, window)?;
    let mut left_out = 0;
    let inside = |event: &&Event| event.start_ns < end && event.end_ns() > begin && drawn(&event.kind);
    let mut ends: Vec<u64> =
        timeline.lanes.iter().flat_map(|lane| lane.events.iter().filter(inside).map(Event::end_ns)).collect();
    if ends.len() > spans_max {
        left_out = (ends.len() - spans_max) as u64;
        let (_, cut, _) = ends.select_nth_unstable(left_out as usize - 1);
        begin = *cut;
    }
    let mut picture = Picture {
        systems: (0..).zip(&timeline.systems).map(|(number, name)| (name.clone(), system_colour(number))).collect(),
        length_ns: (end - begin).max(1),
        left_out,
        ..Picture::default()
    };
    let clip = |event: &Event| (event.start_ns.max(begin) - begin, event.end_ns().min(end).saturating_sub(begin));
    for (number, lane) in timeline.lanes.iter().enumerate() {
        let mut row = Row { name: lane_name(number), ..Row::default() };
        for event in lane.events.iter().filter(|event| event.start_ns < end && event.end_ns() > begin) {
            let (start, end) = clip(event);
            match event.kind {
                EventKind::Job { .. } => {
                    row.jobs += 1;
                    row.kernel_ns += end - start;
                }
                EventKind::Wait(_) => row.wait_ns += end - start,
                _ => {}
            }
            if let Some((shape, numbers, failed)) = shape(&event.kind) {
                row.spans.push(Span { start, end, shape, numbers, failed });
            }
        }
        picture.rows.push(row);
    }
    told_by_main(timeline, (begin, end), &mut picture);
    picture.rows.iter_mut().for_each(|row| row.spans.sort_by_key(|span| (span.start, span.end)));
    for (event, first, last, failed) in frames(timeline) {
        if event.start_ns < end && event.end_ns() > begin {
            let (start, end) = clip(event);
            let name = if first == last { format!("{first}") } else { format!("{first}-{last}") };
            picture.frames.push(Band { start, end, name, system: None, failed });
        }
    }
    let main = timeline.lanes.first().map(|lane| &lane.events[..]).unwrap_or_default();
    for event in main.iter().filter(|event| event.start_ns < end && event.end_ns() > begin) {
        if let EventKind::Batch { batch, .. } = event.kind {
            let (start, end) = clip(event);
            let system = timeline.batches.get(batch as usize).and_then(|batch| batch.systems.first().copied());
            let name = batch_name(timeline, batch);
            picture.batches.push(Band { start, end, name, system, failed: false });
        }
    }
    picture.batches.sort_by_key(|band| band.start);
    Some(picture)
}

/// Whether an event becomes a box.
fn drawn(kind: &EventKind) -> bool {
    shape(kind).is_some()
}

fn shape(kind: &EventKind) -> Option<(Shape, [u64; 4], bool)> {
    match *kind {
        EventKind::Job { system, table, job, rows, attempt, fused: false, failed } => Some((
            Shape::System(system),
            [u64::from(job), u64::from(rows), u64::from(table), u64::from(attempt)],
            failed,
        )),
        EventKind::System { system, table, job, rows } => {
            Some((Shape::System(system), [u64::from(job), u64::from(rows), u64::from(table), 0], false))
        }
        EventKind::Phase { phase: phase @ (Phase::Build | Phase::Live | Phase::Apply | Phase::Sort), batch } => {
            Some((Shape::Serial(phase), [u64::from(batch), 0, 0, 0], false))
        }
        EventKind::Publish { generation, pins, skipped } => {
            Some((Shape::Publish { skipped }, [generation, u64::from(pins), 0, 0], false))
        }
        EventKind::Wait(Wait::Ring) => Some((Shape::RingFull, [0; 4], false)),
        EventKind::Wait(_) => Some((Shape::Idle, [0; 4], false)),
        _ => None,
    }
}

/// Deaths and what follows, which main records, belong to the workers' lanes.
fn told_by_main(timeline: &Timeline, (begin, end): (u64, u64), picture: &mut Picture) {
    let Some(main) = timeline.lanes.first() else { return };
    for event in main.events.iter().filter(|event| event.start_ns < end && event.end_ns() >= begin) {
        let at = event.end_ns().clamp(begin, end) - begin;
        let (worker, mark) = match event.kind {
            EventKind::Died { worker, deaths, job } => {
                let of = job.map_or_else(String::new, |job| format!(" in job {job}"));
                (worker, Mark { at, death: true, text: format!("died{of} (death {deaths} of this worker)") })
            }
            EventKind::Retried { worker, job, attempt } => {
                let text = format!("job {job} given out again (attempt {})", u32::from(attempt) + 1);
                (worker, Mark { at, death: false, text })
            }
            _ => continue,
        };
        let Some(row) = picture.rows.get_mut(worker as usize + 1) else { continue };
        row.marks.push(mark);
        if let EventKind::Died { job: Some(job), .. } = event.kind {
            let start = event.start_ns.max(begin) - begin;
            row.spans.push(Span {
                start: start.min(at),
                end: at,
                shape: Shape::Lost,
                numbers: [u64::from(job), 0, 0, 0],
                failed: true,
            });
        }
    }
}

impl Picture {
    /// What a box says when asked.
    pub(super) fn detail(&self, span: &Span) -> String {
        let [a, b, c, d] = span.numbers;
        match span.shape {
            Shape::System(system) => {
                let name = self.systems.get(system as usize).map_or("?", |(name, _)| name);
                let retry = if d > 0 { format!(", attempt {}", d + 1) } else { String::new() };
                let failed = if span.failed { ", failed" } else { "" };
                format!("{name}: job {a}, {b} rows of table {c}{retry}{failed}")
            }
            Shape::Serial(phase) => match phase {
                Phase::Build => "build: systems and tables become jobs".to_owned(),
                Phase::Live => "commit: what was written becomes live".to_owned(),
                Phase::Apply => "commit: patches are applied".to_owned(),
                Phase::Sort => "commit: tables are sorted".to_owned(),
                other => phase_name(other).to_owned(),
            },
            Shape::Publish { skipped: false } => format!("publishes generation {a}; {b} pins held"),
            Shape::Publish { skipped: true } => format!("skips a publication: readers hold all memory; {b} pins held"),
            Shape::Idle => "waits: nothing to do".to_owned(),
            Shape::RingFull => "waits: its ring is full".to_owned(),
            Shape::Lost => format!("job {a} was lost with its worker"),
        }
    }

    /// How many runners are in kernels, in `columns` equal parts of the time: from 0 to the number of rows.
    pub(super) fn at_work(&self, columns: usize) -> Vec<f64> {
        let mut busy = vec![0.0; columns];
        let width = self.length_ns as f64 / columns as f64;
        for span in self.rows.iter().flat_map(|row| &row.spans) {
            if !matches!(span.shape, Shape::System(_)) {
                continue;
            }
            let (from, to) = (span.start as f64 / width, span.end as f64 / width);
            for column in from as usize..(to.ceil() as usize).min(columns) {
                busy[column] += (to.min(column as f64 + 1.0) - from.max(column as f64)).max(0.0);
            }
        }
        busy
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, FRAME_NS};
    use super::*;

    #[test]
    fn boxes_lie_inside_and_kernels_and_commits_do_not_overlap() {
        let timeline = sample::timeline(3, 5);
        for window in [Window::All, Window::Last(2), Window::Frames(2, 4)] {
            let picture = picture(&timeline, window, 1000).expect("there are frames");
            assert_eq!(picture.rows.len(), 4);
            for row in &picture.rows {
                let mut end = 0;
                for span in row.spans.iter().filter(|span| span.shape != Shape::Lost) {
                    assert!(span.start >= end && span.end <= picture.length_ns, "{span:?} in {window:?}");
                    end = span.end;
                    assert!(!picture.detail(span).is_empty());
                }
            }
        }
        let last = picture(&timeline, Window::Last(2), 1000).expect("there are frames");
        assert_eq!((last.frames.len(), last.batches.len(), last.length_ns), (2, 4, FRAME_NS + 900_000));
        assert_eq!(last.frames[0].name, "4");
        assert_eq!(picture(&timeline, Window::Frames(9, 12), 1000), None);
        assert_eq!(picture(&Timeline::default(), Window::All, 1000), None);
    }

    #[test]
    fn a_death_stands_in_its_workers_lane() {
        let picture = picture(&sample::timeline(2, 3), Window::All, 1000).expect("there are frames");
        assert!(picture.rows[0].marks.is_empty() && picture.rows[2].marks.is_empty());
        assert_eq!(picture.rows[1].marks.iter().map(|mark| mark.death).collect::<Vec<_>>(), [true, false]);
        let lost: Vec<&Span> = picture.rows[1].spans.iter().filter(|span| span.shape == Shape::Lost).collect();
        assert_eq!((lost.len(), lost[0].end - lost[0].start), (1, 100_000));
    }

    #[test]
    fn of_too_many_boxes_the_newest_are_drawn() {
        let timeline = sample::timeline(2, 10);
        let picture = picture(&timeline, Window::All, 40).expect("there are frames");
        let spans: usize = picture.rows.iter().map(|row| row.spans.len()).sum();
        assert!((30..=45).contains(&spans) && picture.left_out > 50, "{spans}, {} left out", picture.left_out);
        assert_eq!(picture.frames.last().expect("one").name, "10");
    }

    #[test]
    fn runners_at_work_are_counted() {
        let picture = picture(&sample::timeline(1, 1), Window::All, 1000).expect("there are frames");
        // 0.9 ms in 18 columns of 50 µs
        let busy = picture.at_work(18);
        let wanted: Vec<f64> =
            [(1, 0.0), (8, 2.0), (2, 0.0), (4, 1.0), (3, 0.0)].iter().flat_map(|(n, v)| vec![*v; *n]).collect();
        assert!(busy.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{busy:?}");
    }

    #[test]
    fn colours_are_colours() {
        for system in 0..100 {
            let colour = system_colour(system);
            assert!(colour.len() == 7 && u32::from_str_radix(&colour[1..], 16).is_ok(), "{colour}");
        }
    }
}
