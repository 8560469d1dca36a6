//! Systems, their order, and the frames they make.
//!
//! A [`Schedule`] is a list of declared [`System`]s. [`Simulation`] joins it with a world and a pool of workers:
//! systems become batches ([`graph`]), a batch and the tables of the moment become a program of plain words
//! ([`program`]), whose jobs run on column memory ([`runner`]) wherever the pool puts them.
//!
//! Architecture invariant: what a batch computes depends on the world and the schedule alone, never on the pool.

mod accumulate;
mod built;
mod condition;
mod direct;
pub(crate) mod dynamic;
mod error;
pub(crate) mod exchange;
mod graph;
mod guard;
mod job;
mod kept_starts;
mod known;
mod lists;
mod memory;
mod neighbours;
pub(crate) mod pairs;
mod plan;
mod program;
mod rebuild;
mod recording;
mod relation;
mod repeat;
mod report;
mod runner;
mod serve;
mod simulation;
mod system;
mod views;

pub use condition::Comparison;
pub use error::{JobError, KernelError};
pub use graph::ScheduleError;
pub use guard::Tolerance;
pub use job::Job;
pub use lists::ListBytes;
pub use neighbours::{NeighbourTable, Neighbours};
pub use plan::{BatchPlan, LoopPlan, Plan, StagePlan, SystemPlan};
pub use repeat::{FixedStep, Loop};
pub use report::FrameReport;
#[cfg(unix)]
pub use serve::{serve, serve_by_name};
pub use simulation::{Simulation, SimulationBuilder, StepError};
pub use system::{STAGES, System};

/// Systems, in the order of their registration.
///
/// ```
/// use hypostyle::{Component, Schedule, System, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Age { seconds: f32 }
/// let mut schedule = Schedule::new();
/// schedule.add(System::rows::<Write<Age>>("grow old", |job, mut age| {
///     let dt = job.dt() as f32;
///     age.seconds.map(|seconds| seconds + dt);
/// }));
/// assert_eq!(schedule.len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Schedule {
    pub(crate) systems: Vec<System>,
    loops: Vec<Loop>,
    extra_stages: Vec<(String, String)>,
}

impl Schedule {
    /// A schedule without systems.
    #[must_use]
    pub fn new() -> Self {
        Schedule::default()
    }

    /// Registers a system. Names are unique; ties in order go by registration.
    pub fn add(&mut self, system: System) -> &mut Self {
        self.systems.push(system);
        self
    }

    /// Takes a system out, to register it elsewhere.
    pub fn take(&mut self, name: &str) -> Option<System> {
        let at = self.systems.iter().position(|system| system.name == name)?;
        Some(self.systems.remove(at))
    }

    /// Takes the loops that systems of this schedule name and it lacks, those around them, and further stages, out of the
    /// schedule from which the systems were taken ([`Schedule::take`]).
    ///
    /// ```
    /// use hypostyle::{Loop, Schedule, System};
    /// let mut ready = Schedule::new();
    /// ready.add_loop(Loop::new("solve").times(8));
    /// ready.add(System::once("relax", |_| {}).in_loop("solve"));
    /// let mut own = Schedule::new();
    /// own.add(ready.take("relax").ok_or("no such system")?);
    /// own.take_loops(&mut ready);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn take_loops(&mut self, from: &mut Schedule) -> &mut Self {
        loop {
            let named = self.systems.iter().filter_map(|system| system.in_loop.as_ref());
            let named = named.chain(self.loops.iter().filter_map(|each| each.inside.as_ref()));
            let mut missing = named.filter(|name| !self.loops.iter().any(|own| own.name == **name));
            let Some(at) = missing.find_map(|name| from.loops.iter().position(|each| each.name == *name)) else {
                break;
            };
            self.loops.push(from.loops.remove(at));
        }
        for (name, after) in std::mem::take(&mut from.extra_stages) {
            if !self.extra_stages.iter().any(|(own, _)| *own == name) {
                self.extra_stages.push((name, after));
            }
        }
        self
    }

    /// The systems' names, in the order of their registration.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.systems.iter().map(|system| system.name.as_ref())
    }

    /// The columns in whose order systems leave rows, system after system: [`System::sort_by`], [`System::sort_then_by`].
    pub fn sorts(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.systems.iter().filter_map(|system| Some((system.sort_by.as_deref()?, system.sort_then_by_column())))
    }

    /// Names a further stage, which runs right after another one.
    pub fn add_stage(&mut self, name: impl Into<String>, after: impl Into<String>) -> &mut Self {
        self.extra_stages.push((name.into(), after.into()));
        self
    }

    /// Declares a loop: systems that name it run several times within a frame. See [`Loop`].
    pub fn add_loop(&mut self, repeated: Loop) -> &mut Self {
        self.loops.push(repeated);
        self
    }

    /// Registered systems.
    #[must_use]
    pub fn len(&self) -> usize {
        self.systems.len()
    }

    /// Whether no system is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.systems.is_empty()
    }

    /// The stages in order.
    pub(crate) fn stages(&self) -> Result<Vec<String>, ScheduleError> {
        let mut stages = graph::default_stages();
        for (name, after) in &self.extra_stages {
            let Some(place) = stages.iter().position(|stage| stage == after) else {
                return Err(ScheduleError::UnknownStage {
                    system: format!("(stage {name})"),
                    stage: after.clone(),
                    known: stages.join(", "),
                });
            };
            if stages.contains(name) {
                return Err(ScheduleError::DuplicateName { name: name.clone() });
            }
            stages.insert(place + 1, name.clone());
        }
        Ok(stages)
    }
}

/// Looks up every name of every system.
pub(crate) fn compile(
    schedule: &Schedule,
    registry: &crate::table::Registry,
) -> Result<Vec<system::Compiled>, ScheduleError> {
    schedule
        .systems
        .iter()
        .map(|system| {
            system.compile(registry).map_err(|error| ScheduleError::Access {
                system: system.name.clone(),
                message: error::text_of(&*error),
            })
        })
        .collect()
}

/// What the line of a system begins with that runs in main only.
const MAIN_ONLY: &str = "main: ";

/// One line a system: what a worker process must have registered in the same way.
pub(crate) fn registrations(compiled: &[system::Compiled]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for system in compiled {
        // writing to a string does not fail
        if system.home == system::Home::Main {
            let _ = writeln!(text, "{MAIN_ONLY}{}", system.name);
            continue;
        }
        let _ = writeln!(
            text,
            "{} stage={} rows={} own={:?} others={:?} changes={:?} resources={:?} sort={:?} reduces={:?}",
            system.name,
            system.stage,
            system.job_rows,
            system.own,
            system.others,
            system.access,
            system.reads_resources,
            system.sort,
            system.reductions
        );
    }
    text
}
