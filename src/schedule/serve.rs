//! The worker process's side: the same systems, registered again, on the region of the process that started it.
#![forbid(unsafe_code)]
#![cfg(unix)]

use crate::table::Registry;
use std::path::Path;
use std::sync::Arc;

use crate::layout::Layout;
use crate::region::WorkerMap;
use crate::trace::{Recorder, RingPlace};
use crate::worker::{Served, WorkerError, WorkerStart, serve_with};

use super::error::{KernelError, text_of};
use super::memory::JobMemory;
use super::runner::SystemRunner;
use super::{Schedule, System, compile, registrations};

/// Runs jobs for the process that started this one, if it was started as a worker. To be called first thing in
/// `main`: when it returns true, the work is done and `main` returns.
///
/// `schedule` must register the same systems as the main process does.
///
/// ```no_run
/// # fn my_schedule() -> hypostyle::Schedule { hypostyle::Schedule::new() }
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     if hypostyle::serve(my_schedule)? {
///         return Ok(());
///     }
///     // the simulation
///     Ok(())
/// }
/// ```
///
/// # Errors
/// What keeps this process from working; the main process is told, too.
pub fn serve(schedule: impl FnOnce() -> Schedule) -> Result<bool, WorkerError> {
    serve_as(|_| Ok(schedule()), |schedule, _| Ok(schedule))
}

/// As [`serve`], for a program that has kernels for others to choose from, or that is not the main process's: `schedule`
/// gets the names of the systems that main wants to run here, and registers them in any order. Systems that it registers
/// beside are left out.
///
/// # Errors
/// As for [`serve`]; so is what `schedule` returns.
pub fn serve_by_name<E: Into<KernelError>>(
    schedule: impl FnOnce(&[&str]) -> Result<Schedule, E>,
) -> Result<bool, WorkerError> {
    serve_as(|names| schedule(names).map_err(|error| text_of(&*error.into())), in_order)
}

/// The names of the systems that main wants to run here, of its registrations; `None` where one runs in main only.
fn names(registrations: &str) -> impl Iterator<Item = Result<&str, &str>> {
    registrations.lines().map(|line| match line.strip_prefix(super::MAIN_ONLY) {
        Some(name) => Err(name),
        None => Ok(line.split_once(" stage=").map_or(line, |(name, _)| name)),
    })
}

/// The systems in main's order, with empty places for those that run in main only.
fn in_order(mut schedule: Schedule, registrations: &str) -> Result<Schedule, String> {
    let mut systems = Vec::new();
    for name in names(registrations) {
        match name {
            Err(name) => systems.push(System::absent(name)),
            Ok(name) => match schedule.systems.iter().position(|system| system.name == name) {
                Some(at) => systems.push(schedule.systems.swap_remove(at)),
                None => return Err(format!("this program has no system `{name}`")),
            },
        }
    }
    schedule.systems = systems;
    Ok(schedule)
}

fn serve_as(
    schedule: impl FnOnce(&[&str]) -> Result<Schedule, String>,
    arrange: fn(Schedule, &str) -> Result<Schedule, String>,
) -> Result<bool, WorkerError> {
    serve_with(|start: &WorkerStart| {
        let refuse = |error: &dyn std::fmt::Display| WorkerError::Setup(error.to_string());
        let path = start.region_path.as_deref().ok_or_else(|| WorkerError::Setup("main names no region".to_owned()))?;
        let map = WorkerMap::open(Path::new(path)).map_err(|error| refuse(&error))?;
        if map.layout_hash() != start.layout_hash {
            let (found, wanted) = (map.layout_hash(), start.layout_hash);
            return Err(WorkerError::Setup(format!("region {path} has layout {found:016x}, main's is {wanted:016x}")));
        }
        let recorder = start.trace.map_or_else(Recorder::off, |place| recorder(&map, &place));
        let layout = Layout::decode(map.layout_bytes()).map_err(|error| refuse(&error))?;
        let registry = Arc::new(Registry::new(Arc::new(layout), &[], &[]));
        let wanted: Vec<&str> = names(&start.registrations).filter_map(Result::ok).collect();
        let schedule = schedule(&wanted).and_then(|schedule| arrange(schedule, &start.registrations));
        let schedule = schedule.map_err(WorkerError::Setup)?;
        let compiled = compile(&schedule, &registry).map_err(|error| refuse(&error))?;
        let text = registrations(&compiled);
        let runner = SystemRunner {
            systems: schedule.systems.into(),
            compiled: compiled.into(),
            registry,
            memory: JobMemory::Worker(Box::new(parking_lot::Mutex::new(map))),
        };
        Ok(Served { runner: Arc::new(runner), registrations: text, recorder })
    })
}

/// The writing end of this worker's ring of the timeline. Where it cannot be had, nothing is recorded: that is no
/// reason not to work.
fn recorder(map: &WorkerMap, place: &RingPlace) -> Recorder {
    let Some(bytes) = place.bytes() else { return Recorder::off() };
    match map.trace_ring(place.offset, bytes) {
        Ok(block) => Recorder::of_ring(block, place),
        Err(error) => {
            tracing::warn!(%error, "a worker records no timeline");
            Recorder::off()
        }
    }
}
