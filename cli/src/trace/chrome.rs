//! Timelines as files of Chrome's trace event format, which Perfetto and `chrome://tracing` open, and back.
//!
//! One event a line. What that format has no place for (names by number, lost events) stands under `hypostyle`, and
//! an event's numbers under `args`, so that a timeline is read back as it was. Files of other programs are refused.
#![forbid(unsafe_code)]

use std::io::{BufWriter, Write};
use std::path::Path;

use hypostyle::trace::{Event, EventKind, Lane, Phase, Timeline, TimelineBatch, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::{self, Failure, Outcome};

/// The version of what stands under `hypostyle`.
const FORMAT: u32 = 1;

/// The names of phases, in files and in pictures.
pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Build => "build",
        Phase::Run => "run",
        Phase::Live => "live",
        Phase::Apply => "apply",
        Phase::Sort => "sort",
        _ => "phase",
    }
}

/// What is waited for, in files.
fn wait_name(wait: Wait) -> &'static str {
    match wait {
        Wait::Work => "work",
        Wait::Workers => "workers",
        Wait::Ring => "ring",
        _ => "wait",
    }
}

/// The name of a lane.
pub(super) fn lane_name(lane: usize) -> String {
    if lane == 0 { "main".to_owned() } else { format!("worker {}", lane - 1) }
}

/// A system's name.
pub(super) fn system_name(timeline: &Timeline, system: u32) -> &str {
    timeline.systems.get(system as usize).map_or("?", String::as_str)
}

/// The names of a batch's systems.
pub(super) fn batch_name(timeline: &Timeline, batch: u32) -> String {
    let Some(batch) = timeline.batches.get(batch as usize) else { return "?".to_owned() };
    let names: Vec<&str> = batch.systems.iter().map(|system| system_name(timeline, *system)).collect();
    names.join(" + ")
}

/// Name, category, lane and numbers of an event.
fn describe(timeline: &Timeline, lane: usize, kind: &EventKind) -> (String, &'static str, usize, Value) {
    let on = |worker: u32| worker as usize + 1;
    match *kind {
        EventKind::Frame { number, frames, failed } => {
            let name = match frames {
                1 => format!("frame {number}"),
                _ => format!("frames {number} to {}", number + u64::from(frames.max(1)) - 1),
            };
            (name, "frame", lane, json!({ "number": number, "frames": frames, "failed": failed }))
        }
        EventKind::Stage { stage } => {
            let name = timeline.stages.get(stage as usize).cloned().unwrap_or_else(|| "?".to_owned());
            (name, "stage", lane, json!({ "stage": stage }))
        }
        EventKind::Batch { batch, jobs, rows } => {
            (batch_name(timeline, batch), "batch", lane, json!({ "batch": batch, "jobs": jobs, "rows": rows }))
        }
        EventKind::Phase { phase, batch } => {
            let name = phase_name(phase);
            (name.to_owned(), "phase", lane, json!({ "phase": name, "batch": batch }))
        }
        EventKind::Publish { generation, pins, skipped } => {
            let name = if skipped { "publication skipped".to_owned() } else { format!("publish {generation}") };
            (name, "publish", lane, json!({ "generation": generation, "pins": pins, "skipped": skipped }))
        }
        EventKind::Job { system, table, job, rows, attempt, fused, failed } => {
            let more = if fused { " ..." } else { "" };
            let args = json!({
                "system": system, "table": table, "job": job, "rows": rows,
                "attempt": attempt, "fused": fused, "failed": failed,
            });
            (format!("{}{more}", system_name(timeline, system)), "job", lane, args)
        }
        EventKind::System { system, table, job, rows } => {
            let args = json!({ "system": system, "table": table, "job": job, "rows": rows });
            (system_name(timeline, system).to_owned(), "system", lane, args)
        }
        EventKind::Wait(wait) => {
            let name = match wait {
                Wait::Work => "waits for work",
                Wait::Workers => "waits for workers",
                Wait::Ring => "waits for room in its ring",
                _ => "waits",
            };
            (name.to_owned(), "wait", lane, json!({ "wait": wait_name(wait) }))
        }
        EventKind::Started { worker, pid } => {
            ("started".to_owned(), "started", on(worker), json!({ "worker": worker, "pid": pid }))
        }
        EventKind::Died { worker, deaths, job } => {
            ("died".to_owned(), "died", on(worker), json!({ "worker": worker, "deaths": deaths, "job": job }))
        }
        EventKind::Retried { worker, job, attempt } => {
            let args = json!({ "worker": worker, "job": job, "attempt": attempt });
            (format!("job {job} given out again"), "retried", on(worker), args)
        }
        _ => ("?".to_owned(), "other", lane, json!({})),
    }
}

/// What the format itself has no place for.
#[derive(Serialize, Deserialize)]
struct Own {
    format: u32,
    systems: Vec<String>,
    stages: Vec<String>,
    batches: Vec<OwnBatch>,
    lanes: Vec<OwnLane>,
    /// As text: more digits than some readers of JSON keep.
    began_ns: String,
    began_unix_ns: String,
    pid: u32,
}

#[derive(Serialize, Deserialize)]
struct OwnBatch {
    stage: u32,
    systems: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct OwnLane {
    lost: u64,
    damaged: u64,
}

/// Writes a timeline to a file.
pub(super) fn write(timeline: &Timeline, path: &Path) -> Outcome {
    let file = std::fs::File::create(path).map_err(|error| failed("write", path, &error))?;
    let mut out = BufWriter::new(file);
    put(timeline, &mut out).and_then(|()| out.flush()).map_err(|error| failed("write", path, &error))
}

/// An error with the file's name.
pub(super) fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    // a pipe that nobody reads is a failure here: only stdout may end early
    let code = Failure::of(error).code.max(failure::OTHER);
    Failure::new(code, format!("cannot {what} {}: {error}", path.display()))
}

fn put(timeline: &Timeline, out: &mut dyn Write) -> std::io::Result<()> {
    let own = Own {
        format: FORMAT,
        systems: timeline.systems.clone(),
        stages: timeline.stages.clone(),
        batches: timeline
            .batches
            .iter()
            .map(|batch| OwnBatch { stage: batch.stage, systems: batch.systems.clone() })
            .collect(),
        lanes: timeline.lanes.iter().map(|lane| OwnLane { lost: lane.lost, damaged: lane.damaged }).collect(),
        began_ns: timeline.began_ns.to_string(),
        began_unix_ns: timeline.began_unix_ns.to_string(),
        pid: timeline.pid,
    };
    writeln!(out, "{{\"displayTimeUnit\":\"ns\",\"hypostyle\":{},\"traceEvents\":[", serde_json::to_string(&own)?)?;
    let pid = timeline.pid;
    let meta =
        |name: &str, tid: usize, args: Value| json!({ "name": name, "ph": "M", "pid": pid, "tid": tid, "args": args });
    write!(out, "{}", meta("process_name", 0, json!({ "name": "hypostyle" })))?;
    for lane in 0..timeline.lanes.len() {
        write!(out, ",\n{}", meta("thread_name", lane, json!({ "name": lane_name(lane) })))?;
        write!(out, ",\n{}", meta("thread_sort_index", lane, json!({ "sort_index": lane })))?;
    }
    for (number, lane) in timeline.lanes.iter().enumerate() {
        for event in &lane.events {
            let (name, category, tid, args) = describe(timeline, number, &event.kind);
            let instant = matches!(event.kind, EventKind::Started { .. } | EventKind::Retried { .. });
            // a thread's instant event; else a complete one
            let shape = if instant { "\"ph\":\"i\",\"s\":\"t\"" } else { "\"ph\":\"X\"" };
            write!(
                out,
                ",\n{{\"name\":{},\"cat\":\"{category}\",{shape},\"ts\":{},\"dur\":{},\"pid\":{pid},\"tid\":{tid},\"args\":{args}}}",
                Value::String(name),
                Micros(event.start_ns.saturating_sub(timeline.began_ns)),
                Micros(event.duration_ns),
            )?;
        }
    }
    writeln!(out, "\n]}}")
}

/// Nanoseconds as microseconds with all their digits.
struct Micros(u64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

#[derive(Deserialize)]
struct File {
    hypostyle: Option<Own>,
    #[serde(rename = "traceEvents")]
    events: Vec<FileEvent>,
}

#[derive(Deserialize)]
struct FileEvent {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    tid: usize,
    #[serde(default)]
    args: Args,
}

/// The numbers of all kinds of events.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    number: u64,
    frames: u16,
    failed: bool,
    stage: u32,
    batch: u32,
    jobs: u32,
    rows: u32,
    phase: String,
    generation: u64,
    pins: u16,
    skipped: bool,
    system: u32,
    table: u16,
    job: Option<u32>,
    attempt: u8,
    fused: bool,
    wait: String,
    worker: u32,
    pid: u32,
    deaths: u32,
}

impl FileEvent {
    fn kind(&self) -> Option<EventKind> {
        let args = &self.args;
        let &Args { number, frames, failed, stage, batch, jobs, rows, generation, pins, skipped, .. } = args;
        let &Args { system, table, attempt, fused, worker, pid, deaths, .. } = args;
        let job = args.job.unwrap_or(0);
        Some(match self.cat.as_str() {
            "frame" => EventKind::Frame { number, frames, failed },
            "stage" => EventKind::Stage { stage },
            "batch" => EventKind::Batch { batch, jobs, rows },
            "phase" => {
                let all = [Phase::Build, Phase::Run, Phase::Live, Phase::Apply, Phase::Sort];
                EventKind::Phase { phase: all.into_iter().find(|phase| phase_name(*phase) == args.phase)?, batch }
            }
            "publish" => EventKind::Publish { generation, pins, skipped },
            "job" => EventKind::Job { system, table, job, rows, attempt, fused, failed },
            "system" => EventKind::System { system, table, job, rows },
            "wait" => {
                let all = [Wait::Work, Wait::Workers, Wait::Ring];
                EventKind::Wait(all.into_iter().find(|wait| wait_name(*wait) == args.wait)?)
            }
            "started" => EventKind::Started { worker, pid },
            "died" => EventKind::Died { worker, deaths, job: args.job },
            "retried" => EventKind::Retried { worker, job, attempt },
            _ => return None,
        })
    }
}

/// The longest trace file that is read, bytes.
const TRACE_BYTES_MAX: u64 = 4 << 30;

/// Reads a timeline from a file.
pub(super) fn read(path: &Path) -> Outcome<Timeline> {
    let text = hypostyle::files::read_regular(path, TRACE_BYTES_MAX).map_err(|error| failed("read", path, &error))?;
    parse(&text).map_err(|what| Failure::new(failure::NOT_USABLE, format!("{}: {what}", path.display())))
}

fn parse(text: &[u8]) -> Result<Timeline, String> {
    let file: File = serde_json::from_slice(text).map_err(|error| format!("it is no trace: {error}"))?;
    let own = file.hypostyle.ok_or("it is a trace of another program; write one with `run --trace FILE`")?;
    if own.format != FORMAT {
        return Err(format!("it has format {}, this program reads {FORMAT}", own.format));
    }
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no time"));
    let began_ns = number(&own.began_ns)?;
    let mut events: Vec<Vec<Event>> = vec![Vec::new(); own.lanes.len()];
    for event in &file.events {
        let Some(kind) = event.kind() else { continue };
        // what main tells of a worker is drawn in that worker's lane, and is main's nevertheless
        let told = matches!(kind, EventKind::Started { .. } | EventKind::Died { .. } | EventKind::Retried { .. });
        let lane = events.get_mut(if told { 0 } else { event.tid }).ok_or("it has an event of a lane that it lacks")?;
        // from a float to the nearest integer, within bounds
        let nanoseconds = |micros: f64| (micros * 1000.0).round() as u64;
        let start_ns = began_ns.saturating_add(nanoseconds(event.ts));
        lane.push(Event { start_ns, duration_ns: nanoseconds(event.dur), kind });
    }
    let lanes = events.into_iter().zip(&own.lanes).map(|(events, lane)| Lane::of(events, lane.lost, lane.damaged));
    Ok(Timeline {
        began_ns,
        began_unix_ns: number(&own.began_unix_ns)?,
        pid: own.pid,
        lanes: lanes.collect(),
        batches: own
            .batches
            .into_iter()
            .map(|batch| TimelineBatch { stage: batch.stage, systems: batch.systems })
            .collect(),
        systems: own.systems,
        stages: own.stages,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn text(timeline: &Timeline) -> Vec<u8> {
        let mut out = Vec::new();
        put(timeline, &mut out).expect("a vector takes all");
        out
    }

    #[test]
    fn a_timeline_is_read_back_as_it_was() {
        let timeline = sample::timeline(3, 4);
        assert_eq!(parse(&text(&timeline)), Ok(timeline));
    }

    #[test]
    fn other_programs_see_what_the_format_promises() {
        let timeline = sample::timeline(2, 2);
        let value: Value = serde_json::from_slice(&text(&timeline)).expect("it is JSON");
        let events = value["traceEvents"].as_array().expect("an array");
        let names: Vec<&str> = events
            .iter()
            .filter(|event| event["name"] == "thread_name")
            .filter_map(|event| event["args"]["name"].as_str())
            .collect();
        assert_eq!(names, ["main", "worker 0", "worker 1"]);
        for event in events {
            match event["ph"].as_str() {
                Some("X") => assert!(event["ts"].is_f64() && event["dur"].as_f64() >= Some(0.0), "{event}"),
                Some("i") => assert!(event["ts"].is_f64() && event["s"] == "t", "{event}"),
                Some("M") => {}
                other => panic!("{other:?}: {event}"),
            }
            assert!(event["tid"].as_u64() < Some(3) && event["name"].is_string());
        }
        let recorded: usize = timeline.lanes.iter().map(|lane| lane.events.len()).sum();
        assert_eq!(events.len(), recorded + 1 + 2 * 3);
    }

    #[test]
    fn what_is_no_trace_of_ours_is_refused() {
        for (text, why) in [
            ("", "no trace"),
            ("[]", "no trace"),
            ("{\"traceEvents\":[]}", "another program"),
            ("{\"traceEvents\":3}", "no trace"),
        ] {
            assert!(parse(text.as_bytes()).is_err_and(|error| error.contains(why)), "{text}");
        }
        let timeline = sample::timeline(1, 1);
        let good = String::from_utf8(text(&timeline)).expect("UTF-8");
        assert!(parse(good.replace("\"format\":1", "\"format\":9").as_bytes()).is_err());
        assert!(parse(good.replace("\"tid\":1", "\"tid\":77").as_bytes()).is_err());
        assert!(parse(&good.as_bytes()[..good.len() - 20]).is_err());
        let odd = good.replace("\"dur\":", "\"dur\":-1e300,\"was\":");
        assert!(parse(odd.as_bytes()).is_ok(), "odd times are times");
    }
}
