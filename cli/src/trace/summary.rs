//! What a timeline comes to: numbers per system, per lane, and where the time of all runners went.
//!
//! Only the part of the timeline counts in which no lane lacks events. In a batch's time, from its build to its end,
//! each runner either runs kernels, or waits, or does the rest: build, commit, claims. A system's *parallel* is the
//! kernels' part of all runners' time in the batches that it is in, its *waiting* is the waits' part.
#![forbid(unsafe_code)]

use hypostyle::trace::{Event, EventKind, Timeline, Wait};
use serde_json::{Value, json};

use super::chrome::lane_name;
use crate::table::Table;
use crate::text;

/// What CSV has of a system, with the names that JSON has.
pub(super) const SYSTEM_COLUMNS: &[&str] =
    &["system", "calls", "rows", "seconds", "p50_seconds", "p99_seconds", "ns_per_row", "parallel", "waiting"];

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// One system's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SystemRow {
    pub name: String,
    /// How often its kernel ran: once per job and frame.
    pub calls: u64,
    pub rows: u64,
    pub total_ns: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    /// Kernels' part of all runners' time; none where no whole batch was seen.
    pub parallel: Option<f64>,
    /// Waits' part of it.
    pub waiting: Option<f64>,
}

impl SystemRow {
    pub(super) fn ns_per_row(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.total_ns as f64 / self.rows as f64)
    }
}

/// One lane's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LaneRow {
    pub jobs: u64,
    pub kernel_ns: u64,
    pub wait_ns: u64,
    pub ring_ns: u64,
    pub deaths: u64,
    pub lost: u64,
    pub damaged: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Summary {
    pub systems: Vec<SystemRow>,
    pub lanes: Vec<LaneRow>,
    pub frames: u64,
    /// Time in frames.
    pub frame_ns: u64,
    pub publications: u64,
    pub skipped: u64,
    pub retries: u64,
    pub events: usize,
    pub lost: u64,
    /// Parts of all runners' time in frames.
    pub kernels: f64,
    pub waiting: f64,
}

/// A batch that was seen whole.
struct Seen {
    start: u64,
    end: u64,
    batch: u32,
    kernel_ns: u64,
    wait_ns: u64,
}

/// Adds the part of an event that lies in each of the intervals, which are sorted and apart.
fn spread(seen: &mut [Seen], event: &Event, add: impl Fn(&mut Seen, u64)) -> u64 {
    let first = seen.partition_point(|one| one.end <= event.start_ns);
    let mut inside = 0;
    for one in seen[first..].iter_mut().take_while(|one| one.start < event.end_ns()) {
        let part = event.end_ns().min(one.end).saturating_sub(event.start_ns.max(one.start));
        inside += part;
        add(one, part);
    }
    inside
}

fn quantile(sorted: &[u64], q: f64) -> u64 {
    sorted.get(((sorted.len().saturating_sub(1)) as f64 * q).round() as usize).copied().unwrap_or(0)
}

/// Makes intervals apart: those of a file can be anything.
fn apart(mut seen: Vec<Seen>) -> Vec<Seen> {
    seen.sort_by_key(|one| one.start);
    let mut end = 0;
    seen.retain(|one| {
        let fits = one.start >= end && one.end >= one.start;
        if fits {
            end = one.end;
        }
        fits
    });
    seen
}

/// Sums a timeline up.
pub(super) fn summarize(timeline: &Timeline) -> Summary {
    let since = timeline.whole_since_ns();
    let whole = |event: &&Event| event.start_ns >= since;
    let main = timeline.lanes.first().map(|lane| &lane.events[..]).unwrap_or_default();
    let interval = |event: &Event, batch: u32| Seen {
        start: event.start_ns,
        end: event.end_ns(),
        batch,
        kernel_ns: 0,
        wait_ns: 0,
    };
    let (mut batches, mut frames) = (Vec::new(), Vec::new());
    let mut summary = Summary { events: timeline.events(), lost: timeline.lost(), ..Summary::default() };
    for event in main.iter().filter(whole) {
        match event.kind {
            EventKind::Batch { batch, .. } => batches.push(interval(event, batch)),
            EventKind::Frame { frames: number, .. } => {
                summary.frames += u64::from(number);
                frames.push(interval(event, 0));
            }
            EventKind::Publish { skipped, .. } => {
                summary.publications += u64::from(!skipped);
                summary.skipped += u64::from(skipped);
            }
            EventKind::Retried { .. } => summary.retries += 1,
            _ => {}
        }
    }
    let (mut batches, mut frames) = (apart(batches), apart(frames));
    let mut times: Vec<Vec<u64>> = vec![Vec::new(); timeline.systems.len()];
    let mut rows = vec![0u64; timeline.systems.len()];
    let mut used = 0;
    for lane in &timeline.lanes {
        let mut row = LaneRow { lost: lane.lost, damaged: lane.damaged, ..LaneRow::default() };
        used += u64::from(!lane.events.is_empty() || lane.lost > 0);
        for event in lane.events.iter().filter(|event| event.end_ns() > since) {
            match event.kind {
                EventKind::Job { system, rows: of, fused, .. } => {
                    row.jobs += 1;
                    if !fused
                        && event.start_ns >= since
                        && let Some(times) = times.get_mut(system as usize)
                    {
                        times.push(event.duration_ns);
                        rows[system as usize] += u64::from(of);
                    }
                    row.kernel_ns += spread(&mut frames, event, |one, part| one.kernel_ns += part);
                    spread(&mut batches, event, |one, part| one.kernel_ns += part);
                }
                EventKind::System { system, rows: of, .. } if event.start_ns >= since => {
                    if let Some(times) = times.get_mut(system as usize) {
                        times.push(event.duration_ns);
                        rows[system as usize] += u64::from(of);
                    }
                }
                EventKind::Wait(wait) => {
                    let in_job = wait == Wait::Ring;
                    let add = |one: &mut Seen, part: u64| {
                        one.wait_ns += part;
                        if in_job {
                            one.kernel_ns = one.kernel_ns.saturating_sub(part);
                        }
                    };
                    let inside = spread(&mut frames, event, add);
                    spread(&mut batches, event, add);
                    *(if in_job { &mut row.ring_ns } else { &mut row.wait_ns }) += inside;
                }
                _ => {}
            }
        }
        summary.lanes.push(row);
    }
    for event in main.iter().filter(whole) {
        if let EventKind::Died { worker, .. } = event.kind
            && let Some(lane) = summary.lanes.get_mut(worker as usize + 1)
        {
            lane.deaths += 1;
        }
    }
    let runners = used.max(1) as f64;
    summary.frame_ns = frames.iter().map(|frame| frame.end - frame.start).sum();
    let all = summary.frame_ns as f64 * runners;
    if all > 0.0 {
        summary.kernels = frames.iter().map(|one| one.kernel_ns).sum::<u64>() as f64 / all;
        summary.waiting = frames.iter().map(|one| one.wait_ns).sum::<u64>() as f64 / all;
    }
    for (number, (mut times, rows)) in times.into_iter().zip(rows).enumerate() {
        times.sort_unstable();
        let member = |one: &&Seen| {
            let batch = timeline.batches.get(one.batch as usize);
            batch.is_some_and(|batch| batch.systems.contains(&(number as u32)))
        };
        let (mut all, mut kernels, mut waits) = (0.0, 0.0, 0.0);
        for one in batches.iter().filter(member) {
            all += (one.end - one.start) as f64 * runners;
            kernels += one.kernel_ns as f64;
            waits += one.wait_ns as f64;
        }
        let part = |part: f64| (all > 0.0).then(|| part / all);
        summary.systems.push(SystemRow {
            name: timeline.systems[number].clone(),
            calls: times.len() as u64,
            rows,
            total_ns: times.iter().sum(),
            p50_ns: quantile(&times, 0.5),
            p99_ns: quantile(&times, 0.99),
            parallel: part(kernels),
            waiting: part(waits),
        });
    }
    summary
}

/// A part as text, `-` where there is none.
pub(super) fn percent(part: Option<f64>) -> String {
    part.map_or_else(|| "-".to_owned(), text::percent)
}

impl Summary {
    /// Runners of which anything is known.
    pub(super) fn runners(&self) -> usize {
        self.lanes.iter().filter(|lane| **lane != LaneRow::default()).count().max(1)
    }

    /// The first line: what was seen.
    pub(super) fn head(&self) -> String {
        let lost = if self.lost > 0 { format!(", {} older ones lost", text::count(self.lost)) } else { String::new() };
        format!(
            "{} frames in {} · {} runners: {} of their time in kernels, {} waiting · {} events{lost}",
            text::count(self.frames),
            text::nanoseconds(self.frame_ns as f64),
            self.runners(),
            text::percent(self.kernels),
            text::percent(self.waiting),
            text::count(self.events as u64),
        )
    }

    /// Tables for people.
    pub(super) fn text(&self) -> String {
        let mut systems =
            Table::new(&["system", ">calls", ">rows", ">total", ">p50", ">p99", ">ns/row", ">parallel", ">waiting"]);
        for row in self.systems.iter().filter(|row| row.calls > 0) {
            systems.row([
                row.name.clone(),
                text::count(row.calls),
                text::count(row.rows),
                text::nanoseconds(row.total_ns as f64),
                text::nanoseconds(row.p50_ns as f64),
                text::nanoseconds(row.p99_ns as f64),
                row.ns_per_row().map_or_else(|| "-".to_owned(), |ns| format!("{ns:.2}")),
                percent(row.parallel),
                percent(row.waiting),
            ]);
        }
        let mut lanes = Table::new(&["runner", ">jobs", ">in kernels", ">waiting", ">for its ring", ">use", ">deaths"]);
        for (number, row) in self.lanes.iter().enumerate() {
            lanes.row([
                lane_name(number),
                text::count(row.jobs),
                text::nanoseconds(row.kernel_ns as f64),
                text::nanoseconds(row.wait_ns as f64),
                text::nanoseconds(row.ring_ns as f64),
                percent((self.frame_ns > 0).then(|| row.kernel_ns as f64 / self.frame_ns as f64)),
                text::count(row.deaths),
            ]);
        }
        let mut more = String::new();
        if self.skipped > 0 {
            more.push_str(&format!("\n{} publications skipped: readers hold all memory\n", text::count(self.skipped)));
        }
        if self.retries > 0 {
            more.push_str(&format!("\n{} jobs given out again after a death\n", text::count(self.retries)));
        }
        format!("{}\n\n{systems}\n{lanes}{more}", self.head())
    }

    /// The numbers of systems for programs.
    pub(super) fn systems_json(&self) -> Vec<Value> {
        let row = |row: &SystemRow| {
            json!({
                "system": row.name,
                "calls": row.calls,
                "rows": row.rows,
                "seconds": seconds(row.total_ns),
                "p50_seconds": seconds(row.p50_ns),
                "p99_seconds": seconds(row.p99_ns),
                "ns_per_row": row.ns_per_row(),
                "parallel": row.parallel,
                "waiting": row.waiting,
            })
        };
        self.systems.iter().map(row).collect()
    }

    /// All of it for programs.
    pub(super) fn json(&self, source: &str) -> Value {
        let lanes: Vec<Value> = self
            .lanes
            .iter()
            .enumerate()
            .map(|(number, row)| {
                json!({
                    "runner": lane_name(number),
                    "jobs": row.jobs,
                    "kernel_seconds": seconds(row.kernel_ns),
                    "wait_seconds": seconds(row.wait_ns),
                    "ring_seconds": seconds(row.ring_ns),
                    "deaths": row.deaths,
                    "lost": row.lost,
                    "damaged": row.damaged,
                })
            })
            .collect();
        json!({
            "source": source,
            "frames": self.frames,
            "seconds": seconds(self.frame_ns),
            "runners": self.runners(),
            "kernels": self.kernels,
            "waiting": self.waiting,
            "published": self.publications,
            "publish_skipped": self.skipped,
            "retries": self.retries,
            "events": self.events,
            "lost": self.lost,
            "systems": self.systems_json(),
            "lanes": lanes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, ROWS};
    use super::*;

    #[test]
    fn a_timeline_is_summed_up() {
        let summary = summarize(&sample::timeline(1, 4));
        assert_eq!((summary.frames, summary.frame_ns, summary.runners()), (4, 3_600_000, 2));
        assert_eq!((summary.publications, summary.skipped, summary.retries), (3, 1, 1));
        let [first, _, mark] = &summary.systems[..] else { panic!("three systems") };
        // two runners in four frames, but for the one that died
        assert_eq!((first.calls, first.rows, first.total_ns), (7, 7 * u64::from(ROWS), 7 * 200_000));
        assert_eq!((first.p50_ns, first.p99_ns), (200_000, 200_000));
        assert_eq!(first.ns_per_row(), Some(200.0));
        // 7 × 0.4 ms of kernels in 4 batches of 0.5 ms on two runners; the worker waits while main builds and commits
        let near = |value: Option<f64>, wanted: f64| value.is_some_and(|value| (value - wanted).abs() < 1e-9);
        assert!(near(first.parallel, 7.0 * 0.4 / 4.0), "{first:?}");
        assert!(near(first.waiting, 7.0 * 0.05 / 4.0), "{first:?}");
        // main alone, 0.2 of 0.3 ms; it waits 0.01 ms, the worker all the time where the next wait tells so
        assert!(near(mark.parallel, 0.8 / 2.4), "{mark:?}");
        assert!(near(mark.waiting, (0.04 + 3.0 * 0.3) / 2.4), "{mark:?}");
        assert_eq!((summary.lanes[1].jobs, summary.lanes[1].deaths), (3, 1));
        assert!(summary.text().contains("<mark>"));
        assert_eq!(summary.json("x")["systems"][0]["calls"], 7);
    }

    #[test]
    fn nothing_comes_to_nothing() {
        let summary = summarize(&Timeline::default());
        assert_eq!((summary.frames, summary.runners()), (0, 1));
        assert!(!summary.text().is_empty());
    }

    #[test]
    fn where_a_lane_lost_events_only_the_rest_counts() {
        let mut timeline = sample::timeline(1, 6);
        let whole = summarize(&timeline);
        timeline.keep_newest(timeline.events() / 2);
        let half = summarize(&timeline);
        assert!(half.frames >= 2 && half.frames < whole.frames && half.lost > 0);
        let calls = half.systems[0].calls;
        assert!((2 * half.frames..=2 * half.frames + 2).contains(&calls), "{calls} in {} frames", half.frames);
        assert_eq!(half.systems[0].p50_ns, whole.systems[0].p50_ns);
    }
}
