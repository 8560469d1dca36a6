//! Systems whose kernels are functions of Python, in a list with those that are not.
#![forbid(unsafe_code)]

use std::panic::resume_unwind;
use std::time::Duration;

use hypostyle::{FieldJoin, Loop, Schedule, System, Tolerance, dynamic};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::error;
use crate::job;
use crate::scene::Native;

/// A system of either kind, as Python lists them.
#[derive(FromPyObject)]
#[expect(clippy::large_enum_variant, reason = "a list of a few, made once for a simulation")]
pub(crate) enum Listed {
    /// One of a scene's.
    Native(Native),
    /// A function.
    Python(Declared),
}

/// What is joined, and each field's join.
type Joins = Vec<(String, Vec<(String, String)>)>;

/// A `hypostyle.System`, attribute by attribute.
#[derive(FromPyObject)]
pub(crate) struct Declared {
    name: String,
    reads: Vec<String>,
    writes: Vec<String>,
    with_: Vec<String>,
    without: Vec<String>,
    neighbours: Vec<String>,
    sets: Vec<String>,
    adds: Vec<String>,
    removes: Vec<String>,
    spawns: Vec<String>,
    despawns: bool,
    resources: Vec<String>,
    sets_resources: Vec<String>,
    /// Resource, and each field's join.
    reduces: Joins,
    /// Resource, its packed value of no rows, and what joins two packed values.
    _reduces_own: Vec<(String, Vec<u8>, Py<PyAny>)>,
    accumulates_resource: Joins,
    /// Component, and each field's join; of a field without a name: that of all fields.
    accumulates: Joins,
    stage: String,
    before: Vec<String>,
    after: Vec<String>,
    payload: Vec<u8>,
    deadline: Option<f64>,
    job_rows: Option<u32>,
    sort_by: Option<String>,
    sort_then_by: Option<String>,
    sort_every: u64,
    sort_leaves: Vec<String>,
    /// A number of a resource, a sign, and what it is compared with.
    run_if: Vec<(String, String, f64)>,
    /// Frames, and the first one.
    every: Option<(u64, u64)>,
    in_loop: Option<String>,
    rebuilds: Vec<String>,
    guard: Option<Guard>,
    _call: Py<PyAny>,
}

/// Fields, each with the join of this name.
fn joins_of(name: &str, joins: Vec<(String, String)>) -> PyResult<Vec<(String, FieldJoin)>> {
    let join = |(field, join): (String, String)| match FieldJoin::from_name(&join) {
        Some(join) => Ok((field, join)),
        None => Err(pyo3::exceptions::PyValueError::new_err(format!(
            "`{name}.{field}` is joined by `{join}`; the joins are `sum`, `min`, `max` and `or`"
        ))),
    };
    joins.into_iter().map(join).collect()
}

/// A system with what it reduces its rows to, by named joins and by those of Python, and what it accumulates on.
fn reducing(
    mut system: System,
    reduces: Joins,
    reduces_own: Vec<(String, Vec<u8>, Py<PyAny>)>,
    accumulates_resource: Joins,
    accumulates: Joins,
) -> PyResult<System> {
    for (resource, joins) in reduces {
        let joins = joins_of(&resource, joins)?;
        system = system.reduces_named(resource, joins);
    }
    for (resource, empty, join) in reduces_own {
        system = system.reduces_packed_named(resource, empty, move |earlier, later| join_of(&join, earlier, later));
    }
    for (resource, joins) in accumulates_resource {
        let joins = joins_of(&resource, joins)?;
        system = system.accumulates_resource_named(resource, joins);
    }
    for (component, joins) in accumulates {
        let joins = joins_of(&component, joins)?;
        system = match &joins[..] {
            [(field, join)] if field.is_empty() => system.accumulates_all_named(component, *join),
            _ => system.accumulates_named(component, joins),
        };
    }
    Ok(system)
}

impl Declared {
    fn system(self) -> PyResult<System> {
        let is_once = self.reads.is_empty() && self.writes.is_empty() && self.with_.is_empty();
        let mut query = dynamic::Query::new();
        query = self.reads.into_iter().fold(query, dynamic::Query::read);
        query = self.writes.into_iter().fold(query, dynamic::Query::write);
        query = self.with_.into_iter().fold(query, dynamic::Query::with);
        query = self.without.into_iter().fold(query, dynamic::Query::without);
        query = self.neighbours.into_iter().fold(query, dynamic::Query::neighbours);
        let (call, resources) = (self._call, self.resources.clone());
        let mut system = match self.guard {
            Some(guard) => guard.system(self.name),
            None if is_once => dynamic::once(self.name, move |work| job::call(work, &call, &resources)),
            None => dynamic::system(self.name, query, move |work| job::call(work, &call, &resources)),
        };
        system = system.stage(self.stage).payload(self.payload);
        system = self.sets.into_iter().fold(system, System::sets_named);
        system = self.adds.into_iter().fold(system, System::adds_named);
        system = self.removes.into_iter().fold(system, System::removes_named);
        system = self.spawns.into_iter().fold(system, System::spawns_named);
        system = self.resources.into_iter().fold(system, System::reads_resource_named);
        system = self.sets_resources.into_iter().fold(system, System::sets_resource_named);
        system = reducing(system, self.reduces, self._reduces_own, self.accumulates_resource, self.accumulates)?;
        system = self.rebuilds.into_iter().fold(system, System::rebuilds_named);
        system = self.before.into_iter().fold(system, System::before);
        system = self.after.into_iter().fold(system, System::after);
        if self.despawns {
            system = system.despawns();
        }
        if let Some(seconds) = self.deadline {
            let deadline = Duration::try_from_secs_f64(seconds).ok().filter(|deadline| !deadline.is_zero());
            let wrong = || pyo3::exceptions::PyValueError::new_err("a deadline is a positive number of seconds");
            system = system.deadline(deadline.ok_or_else(wrong)?);
        }
        if let Some(rows) = self.job_rows {
            system = system.job_rows(rows);
        }
        if let Some(column) = self.sort_by {
            system = system.sort_by(column).sort_every(self.sort_every);
        }
        if let Some(column) = self.sort_then_by {
            system = system.sort_then_by(column);
        }
        system = self.sort_leaves.into_iter().fold(system, System::sort_leaves_named);
        for (number, sign, with) in self.run_if {
            let wrong = || {
                let text = format!("`{sign}` compares nothing; write ==, !=, <, <=, > or >=");
                pyo3::exceptions::PyValueError::new_err(text)
            };
            system = system.run_if_named(number, dynamic::Comparison::from_sign(&sign).ok_or_else(wrong)?, with);
        }
        if let Some((frames, first)) = self.every {
            system = system.every_from(frames, first);
        }
        if let Some(name) = self.in_loop {
            system = system.in_loop(name);
        }
        Ok(system)
    }
}

/// Joins a packed value to an earlier one by a function of Python. What it raises is the join's panic, which is an error of the
/// frame.
fn join_of(join: &Py<PyAny>, earlier: &mut [u8], later: &[u8]) {
    let joined = Python::attach(|py| -> PyResult<Vec<u8>> {
        join.call1(py, (PyBytes::new(py, earlier), PyBytes::new(py, later)))?.extract(py)
    });
    match joined {
        Ok(joined) if joined.len() == earlier.len() => earlier.copy_from_slice(&joined),
        Ok(joined) => resume_unwind(Box::new(format!("it gave {} bytes for {}", joined.len(), earlier.len()))),
        Err(raised) => resume_unwind(Box::new(raised.to_string())),
    }
}

/// What a guard looks at: `finite` or `within` a component, with bounds, or `conserved`, a number, its reference, by how much
/// it may differ and whether that is a part.
#[derive(FromPyObject)]
struct Guard(String, String, Vec<(String, f64, f64)>, String, f64, bool);

impl Guard {
    fn system(self, name: String) -> System {
        let Guard(kind, what, bounds, reference, most, relative) = self;
        match kind.as_str() {
            "cascade" => System::relation_cascade(name, what),
            "clear" => System::relation_clear(name, what),
            "events" => System::ends_events_named(name, what),
            "finite" => System::guard_finite(name, what),
            "within" => {
                let bounds = bounds.into_iter().map(|(field, least, most)| (field, least..=most));
                System::guard_within(name, what, bounds)
            }
            _ => {
                let tolerance = if relative { Tolerance::Relative(most) } else { Tolerance::Absolute(most) };
                System::guard_conserved(name, what, reference, tolerance)
            }
        }
    }
}

/// A `hypostyle.Loop`, attribute by attribute.
#[derive(FromPyObject)]
pub(crate) struct DeclaredLoop {
    name: String,
    times: Times,
    inside: Option<String>,
    divides_step: bool,
}

/// How often a loop runs: a number, or the name of one.
#[derive(FromPyObject)]
enum Times {
    Fixed(u32),
    Named(String),
}

impl DeclaredLoop {
    /// The loop as the schedule takes it.
    pub(crate) fn made(self) -> Loop {
        let mut made = Loop::new(self.name);
        made = match self.times {
            Times::Fixed(times) => made.times(times),
            Times::Named(number) => made.times_named(number),
        };
        if let Some(outer) = self.inside {
            made = made.inside(outer);
        }
        if self.divides_step { made.divides_step() } else { made }
    }
}

/// A schedule of these systems, in this order; with loops that systems of scenes name, where there are none of these names.
pub(crate) fn schedule(
    systems: Vec<Listed>,
    stages: Vec<(String, String)>,
    loops: Vec<DeclaredLoop>,
) -> PyResult<Schedule> {
    let (mut schedule, mut kept) = (Schedule::new(), Vec::new());
    for each in loops {
        schedule.add_loop(each.made());
    }
    for (name, after) in stages {
        schedule.add_stage(name, after);
    }
    for listed in systems {
        match listed {
            Listed::Native(native) => native.add_to(&mut schedule, &mut kept)?,
            Listed::Python(declared) => {
                schedule.add(declared.system()?);
            }
        }
    }
    Ok(schedule)
}

/// Serves a simulation, if this process was started as one of its workers; False at once, if not. `systems(names)` gives
/// the systems that are wanted.
#[pyfunction]
pub(crate) fn serve(py: Python<'_>, systems: Py<PyAny>, stages: Vec<(String, String)>) -> PyResult<bool> {
    let served = py.detach(|| {
        hypostyle::dynamic::serve(|names| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Python::attach(|py| {
                let found: Vec<Listed> = systems.call1(py, (names,))?.extract(py)?;
                schedule(found, stages, Vec::new())
            })
            .map_err(|raised: PyErr| raised.to_string())
        })
    });
    served.map_err(|failed| error("WorkersError", failed.to_string()))
}
