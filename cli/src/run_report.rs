//! The result of a run, as tables and as JSON.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use hypostyle::checkpoint::Kept;
use hypostyle::journal::Recorded;
use hypostyle::workers::{WorkerKind, WorkerStatus};
use hypostyle::{PatchCounts, RegionTarget, Sandbox, Simulation};
use serde_json::{Value, json};

use crate::meter::Meter;
use crate::scenes::{Line, Scene};
use crate::table::Table;
use crate::{run_checkpoints, text};

/// A run at its end.
pub(crate) struct Report {
    pub scene: &'static dyn Scene,
    pub seed: u64,
    /// The checkpoint that it went on from.
    pub from: Option<PathBuf>,
    pub kept: bool,
    pub interrupted: bool,
    pub entities_before: u64,
    pub generation_before: u64,
    /// What the scene said of itself before the first frame.
    pub before: Vec<Line>,
    /// And after the last.
    pub after: Vec<Line>,
    /// Frames and their hashes, where they are asked for and were not printed.
    pub states: Vec<(u64, u64)>,
    /// The last frame's hash, where it is asked for, and of which kind it is.
    pub state: Option<(&'static str, String)>,
    /// Whether it took inputs of other processes.
    pub takes_inputs: bool,
    pub sandbox: Sandbox,
    pub meter: Meter,
    pub workers: Vec<WorkerStatus>,
    /// The checkpoints that it wrote, if any were asked for.
    pub checkpoints: Option<Kept>,
    /// What it recorded, if that was asked for.
    pub recorded: Option<Recorded>,
    /// The trace that was written.
    pub trace: Option<TraceFile>,
}

/// A trace that was written.
pub(crate) struct TraceFile {
    pub path: PathBuf,
    pub events: usize,
    /// Older ones, which it lacks.
    pub lost: u64,
}

impl Report {
    /// What main spent in kernels: all but the workers' part.
    fn main_busy(&self) -> Duration {
        let workers: u64 = self.workers.iter().map(|worker| worker.busy_ns).sum();
        self.meter.busy.saturating_sub(Duration::from_nanos(workers))
    }

    fn usage(&self, busy: Duration) -> f64 {
        if self.meter.elapsed.is_zero() { 0.0 } else { busy.as_secs_f64() / self.meter.elapsed.as_secs_f64() }
    }

    /// The tables.
    pub(crate) fn text(&self, simulation: &Simulation) -> String {
        let mut out = self.summary(simulation).to_string();
        // writing to a string cannot fail
        let _ = write!(out, "\n{}", self.workers_table());
        let patches = self.patches_table(simulation);
        if !patches.is_empty() {
            let _ = write!(out, "\n{patches}");
        }
        let inputs = std::iter::once(("(inputs)", &self.meter.inputs));
        for (system, counts) in simulation.system_names().zip(&self.meter.patches).chain(inputs) {
            if let Some(refusal) = &counts.example {
                let _ = writeln!(out, "first refusal of {system}: {refusal}");
            }
        }
        if !self.after.is_empty() {
            let mut table = Table::new(&["scene", ">before", ">after"]);
            for line in &self.after {
                let before = self.before.iter().find(|other| other.label == line.label);
                table.row([
                    line.label.clone(),
                    before.map_or_else(String::new, |b| b.value.clone()),
                    line.value.clone(),
                ]);
            }
            let _ = write!(out, "\n{table}");
        }
        out
    }

    fn summary(&self, simulation: &Simulation) -> Table {
        let (world, meter) = (simulation.world(), &self.meter);
        let mut table = Table::pairs();
        let interrupted = if self.interrupted { " (interrupted)" } else { "" };
        table.pair("scene", format!("{}, seed {}{interrupted}", self.scene.name(), self.seed));
        let last = format!("the last is frame {}, time {}", text::count(world.frame()), text::number(world.time()));
        table.pair("frames", format!("{} in {}; {last}", text::count(meter.frames), text::time(meter.elapsed)));
        let (before, after) = (text::count(self.entities_before), text::count(world.entity_count()));
        table.pair("entities", format!("{before} before, {after} after"));
        if meter.frames > 0 {
            let (p50, p99) = (text::time(meter.times.quantile(0.5)), text::time(meter.times.quantile(0.99)));
            table
                .pair("time per frame", format!("p50 {p50}, p99 {p99}, at most {}", text::time(meter.times.longest())));
        }
        if let Some(ns) = meter.ns_per_entity() {
            table.pair("per entity and frame", text::nanoseconds(ns));
        }
        let notice = simulation.workers();
        let fallback = notice.fallback.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        let asked =
            if notice.requested == notice.actual { String::new() } else { format!(", asked for {}", notice.requested) };
        let lacks = match notice.sandbox_lacks.as_slice() {
            [] if self.sandbox == Sandbox::Off => String::new(),
            [] => ", in a sandbox".to_owned(),
            lacks => format!(", in a sandbox without {}", lacks.join(" and ")),
        };
        table.pair("workers", format!("{}{asked}{fallback}{lacks}", notice.actual));
        let deaths =
            format!("{} workers died, {} jobs ran again", text::count(meter.deaths), text::count(meter.retries));
        table.pair("deaths", deaths);
        let published = text::count(world.generation() - self.generation_before);
        let skipped = text::count(world.skipped_publications());
        table.pair("generations", format!("{published} published, {skipped} skipped"));
        let usage = world.usage();
        let (allocated, backed) = (text::bytes(usage.allocated), text::bytes(usage.backed));
        table.pair("memory", format!("{allocated} in use, {backed} held, at most {}", text::bytes(usage.bytes_max)));
        if let Some(from) = &self.from {
            table.pair("went on from", from.display());
        }
        if let Some(kept) = &self.checkpoints {
            run_checkpoints::put(kept, &mut table);
        }
        if let Some(recorded) = &self.recorded {
            run_checkpoints::put_recorded(recorded, &mut table);
        }
        match world.region() {
            RegionTarget::Heap => {}
            region if self.kept => table.pair("region", format!("{region}, kept")),
            region => table.pair("region", format!("{region}, removed now")),
        }
        if let Some(TraceFile { path, events, lost }) = &self.trace {
            let (path, events, lost) = (path.display(), text::count(*events as u64), text::count(*lost));
            table.pair("trace", format!("{path}: the newest {events} events, {lost} older ones lost"));
        }
        table
    }

    fn workers_table(&self) -> Table {
        let mut table = Table::new(&["worker", ">jobs", ">in kernels", ">use", ">deaths"]);
        let (all, main) = self.meter.jobs;
        let busy = self.main_busy();
        let row = |name: String, jobs: u64, busy: Duration, deaths: u64| {
            [name, text::count(jobs), text::time(busy), text::percent(self.usage(busy)), text::count(deaths)]
        };
        // main's own count, as jobs in one call of many frames are counted once
        table.row(row("main".to_owned(), main.min(all), busy, 0));
        for worker in &self.workers {
            let kind = if worker.kind == WorkerKind::Process { "process" } else { "thread" };
            let given_up = if worker.given_up { ", given up" } else { "" };
            let name = format!("{kind} {}{given_up}", worker.index);
            table.row(row(name, worker.jobs, Duration::from_nanos(worker.busy_ns), worker.deaths));
        }
        table
    }

    fn patches_table(&self, simulation: &Simulation) -> Table {
        let heads = [
            "system",
            ">rows written",
            ">applied",
            ">overwritten",
            ">spawned",
            ">despawned",
            ">stale",
            ">absent",
            ">refused",
        ];
        let mut table = Table::new(&heads);
        let row = |name: &str, counts: &PatchCounts| {
            let numbers = [
                counts.dense_rows,
                counts.applied,
                counts.overwritten,
                counts.spawned,
                counts.despawned,
                counts.stale,
                counts.absent,
                counts.refused,
            ];
            std::iter::once(name.to_owned()).chain(numbers.map(text::count)).collect::<Vec<_>>()
        };
        for (system, counts) in simulation.system_names().zip(&self.meter.patches) {
            table.row(row(system, counts));
        }
        if self.takes_inputs {
            table.row(row("(inputs)", &self.meter.inputs));
        }
        if self.meter.patches.len() > 1 {
            table.row(row("all", &self.meter.total()));
        }
        table
    }

    /// The same as data; docs/cli.md describes the fields.
    pub(crate) fn json(&self, simulation: &Simulation) -> Value {
        let (world, meter, notice) = (simulation.world(), &self.meter, simulation.workers());
        let usage = world.usage();
        let seconds = |duration: Duration| duration.as_secs_f64();
        let lines = |lines: &[Line]| {
            lines.iter().map(|line| (line.label.clone(), json!(line.value))).collect::<serde_json::Map<_, _>>()
        };
        let systems = simulation.system_names().zip(&meter.patches).map(|(name, counts)| patches_json(name, counts));
        let mut data = json!({
            "scene": self.scene.name(),
            "seed": self.seed,
            "interrupted": self.interrupted,
            "frames": meter.frames,
            "frame": world.frame(),
            "time": world.time(),
            "entities_before": self.entities_before,
            "entities": world.entity_count(),
            "seconds": seconds(meter.elapsed),
            "frame_seconds": {
                "p50": seconds(meter.times.quantile(0.5)),
                "p99": seconds(meter.times.quantile(0.99)),
                "max": seconds(meter.times.longest()),
            },
            "ns_per_entity": meter.ns_per_entity(),
            "workers": {
                "requested": notice.requested.to_string(),
                "actual": notice.actual.to_string(),
                "fallback": notice.fallback,
                "sandbox": self.sandbox.to_string(),
                "sandbox_lacks": notice.sandbox_lacks,
                "each": self.workers_json(),
            },
            "deaths": meter.deaths,
            "retries": meter.retries,
            "generation": world.generation(),
            "published": world.generation() - self.generation_before,
            "publish_skipped": world.skipped_publications(),
            "memory": { "allocated": usage.allocated, "backed": usage.backed, "bytes_max": usage.bytes_max },
            "region": (*world.region() != RegionTarget::Heap).then(|| world.region().to_string()),
            "kept": self.kept,
            "from": self.from,
            "checkpoints": self.checkpoints.as_ref().map(run_checkpoints::kept_json),
            "journal": self.recorded.as_ref().map(run_checkpoints::recorded_json),
            "trace": self.trace.as_ref().map(|TraceFile { path, events, lost }| {
                json!({ "file": path.to_string_lossy(), "events": events, "lost": lost })
            }),
            "patches": patches_json("all", &meter.total()),
            "systems": systems.collect::<Vec<_>>(),
            "inputs": self.takes_inputs.then(|| patches_json("(inputs)", &meter.inputs)),
            "before": lines(&self.before),
            "after": lines(&self.after),
        });
        if let Some((kind, state)) = &self.state {
            data[kind.replace('-', "_")] = json!(state);
        }
        if !self.states.is_empty() {
            let state = |(frame, state): &(u64, u64)| json!({ "frame": frame, "state": text::hash(*state) });
            data["states"] = self.states.iter().map(state).collect();
        }
        data
    }

    fn workers_json(&self) -> Vec<Value> {
        let main = self.main_busy();
        let mut all = vec![json!({
            "kind": "main", "jobs": self.meter.jobs.1, "busy_seconds": main.as_secs_f64(), "use": self.usage(main), "deaths": 0,
        })];
        all.extend(self.workers.iter().map(|worker| {
            let busy = Duration::from_nanos(worker.busy_ns);
            json!({
                "kind": if worker.kind == WorkerKind::Process { "process" } else { "thread" },
                "index": worker.index,
                "pid": worker.pid,
                "jobs": worker.jobs,
                "busy_seconds": busy.as_secs_f64(),
                "use": self.usage(busy),
                "deaths": worker.deaths,
                "given_up": worker.given_up,
            })
        }));
        all
    }
}

fn patches_json(system: &str, counts: &PatchCounts) -> Value {
    json!({
        "system": system,
        "rows_written": counts.dense_rows,
        "applied": counts.applied,
        "overwritten": counts.overwritten,
        "spawned": counts.spawned,
        "despawned": counts.despawned,
        "stale": counts.stale,
        "absent": counts.absent,
        "refused": counts.refused,
        "first_refusal": counts.example.as_ref().map(ToString::to_string),
    })
}
