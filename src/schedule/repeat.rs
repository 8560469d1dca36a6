//! Loops: groups of systems that run several times within a frame, for substeps and iterations of solvers.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::Resource;
use crate::layout::Layout;
use crate::limits::LOOP_PASSES_MAX;
use crate::table::Registry;

use super::condition::{FindResource, Look, Value, look_at, number_named};
use super::error::KernelError;
use super::{ScheduleError, System};

/// How often a loop runs, as it was declared.
enum Times {
    Fixed(u32),
    Typed(FindResource, Look<u64>),
    Named(String),
}

/// Systems that run several times within a frame: those that name the loop with [`System::in_loop`], in the order of their
/// accesses, `before` and `after`. For the rest of its stage a loop is like one system: a system that is ordered before (or
/// after) one of its systems runs before the first (or after the last) pass.
///
/// ```
/// use hypostyle::{Component, Loop, Schedule, Simulation, System, Workers, World, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Body { x: f64, v: f64 }
/// let mut world = World::builder().component::<Body>().build()?;
/// let body = world.spawn(Body { x: 1.0, v: 0.0 })?;
/// let mut schedule = Schedule::new();
/// schedule.add_loop(Loop::new("substeps").times(8).divides_step());
/// schedule.add(
///     System::rows::<Write<Body>>("spring", |job, mut body| {
///         let dt = job.dt();
///         for row in 0..job.len() {
///             body.v[row] -= dt * body.x[row];
///             body.x[row] += dt * body.v[row];
///         }
///     })
///     .in_loop("substeps"),
/// );
/// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
/// simulation.step(0.8)?; // 8 steps of 0.1
/// assert!((simulation.world().get::<Body>(body)?.x - 0.8_f64.cos()).abs() < 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loop {
    pub(super) name: String,
    times: Times,
    pub(super) inside: Option<String>,
    divides_step: bool,
}

impl std::fmt::Debug for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loop").field("name", &self.name).field("inside", &self.inside).finish_non_exhaustive()
    }
}

impl Loop {
    /// A loop with one pass.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Loop { name: name.into(), times: Times::Fixed(1), inside: None, divides_step: false }
    }

    /// Number of passes in each frame; with 0 its systems do not run.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Times::Fixed(times);
        self
    }

    /// Number of passes from a resource, evaluated on main when the loop begins.
    #[must_use]
    pub fn times_of<R: Resource>(mut self, times: impl Fn(&R) -> u32 + Send + Sync + 'static) -> Self {
        self.times =
            Times::Typed(Registry::resource::<R>, Arc::new(move |packed| u64::from(times(&R::unpack(packed)))));
        self
    }

    /// Number of passes from an integer field of a resource (`solver.iterations`).
    #[must_use]
    pub fn times_named(mut self, number: impl Into<String>) -> Self {
        self.times = Times::Named(number.into());
        self
    }

    /// Nests it in another loop: all its passes run in each pass of the outer loop.
    #[must_use]
    pub fn inside(mut self, outer: impl Into<String>) -> Self {
        self.inside = Some(outer.into());
        self
    }

    /// Divides the time step: in each pass [`Job::dt`](crate::Job::dt) is the step outside of the loop divided by the number of
    /// passes, and [`Job::time`](crate::Job::time) advances by it.
    #[must_use]
    pub fn divides_step(mut self) -> Self {
        self.divides_step = true;
        self
    }

    pub(super) fn compile(&self, registry: &Registry) -> Result<CompiledLoop, KernelError> {
        let times = match &self.times {
            Times::Fixed(times) => Count::Fixed(u64::from(*times)),
            Times::Typed(find, look) => Count::Resource(find(registry)?, Arc::clone(look)),
            Times::Named(name) => {
                let (resource, number) = number_named(name, registry)?;
                if !number.is_integer() {
                    return Err(format!("`{name}` is no integer, and cannot count passes").into());
                }
                // what is below 0 is more than any loop may have
                let look: Look<u64> = Arc::new(move |packed| match number.read(packed) {
                    Value::Integer(times) => u64::try_from(times).unwrap_or(u64::MAX),
                    Value::Float(_) => u64::MAX,
                });
                Count::Resource(resource, look)
            }
        };
        Ok(CompiledLoop { name: self.name.clone(), times, divides_step: self.divides_step })
    }
}

#[derive(Clone)]
enum Count {
    Fixed(u64),
    Resource(u16, Look<u64>),
}

/// A loop with its names looked up.
#[derive(Clone)]
pub(crate) struct CompiledLoop {
    pub name: String,
    times: Count,
    pub divides_step: bool,
}

impl CompiledLoop {
    /// The resource that says how often it runs.
    pub(super) fn resource(&self) -> Option<u16> {
        match self.times {
            Count::Fixed(_) => None,
            Count::Resource(resource, _) => Some(resource),
        }
    }

    /// How often it runs, for people.
    pub(super) fn text(&self, layout: &Layout) -> String {
        let passes = match self.times {
            Count::Fixed(1) => "1 pass".to_owned(),
            Count::Fixed(times) => format!("{times} passes"),
            Count::Resource(resource, _) => {
                format!("as many passes as resource {} says", layout.resources()[usize::from(resource)].name)
            }
        };
        if self.divides_step { passes + ", which share the step" } else { passes }
    }

    /// How often it runs now; else what is wrong.
    pub(super) fn passes(&self, resources: &[u8], layout: &Layout) -> Result<u32, String> {
        let times = match &self.times {
            Count::Fixed(times) => *times,
            Count::Resource(resource, look) => look_at(*resource, look, resources, layout)?,
        };
        match u32::try_from(times).ok().filter(|times| *times <= LOOP_PASSES_MAX) {
            Some(times) => Ok(times),
            None => Err(format!("it is to run {} times; the most is {LOOP_PASSES_MAX}", times as i64)),
        }
    }
}

/// Looks up the loops of a schedule.
pub(super) fn compile_loops(loops: &[Loop], registry: &Registry) -> Result<Vec<CompiledLoop>, ScheduleError> {
    let compile = |each: &Loop| {
        each.compile(registry)
            .map_err(|error| ScheduleError::Loop { name: each.name.clone(), message: super::error::text_of(&*error) })
    };
    loops.iter().map(compile).collect()
}

impl System {
    /// Runs in each pass of a loop of the schedule: see [`Loop`].
    #[must_use]
    pub fn in_loop(mut self, name: impl Into<String>) -> Self {
        self.in_loop = Some(name.into());
        self
    }
}

/// Turns elapsed time into frames of one step: for games and views that run a simulation beside a clock.
///
/// ```
/// use hypostyle::FixedStep;
/// let mut fixed = FixedStep::new(0.01);
/// // at each tick of the clock: `simulation.run(fixed.frames(elapsed), fixed.dt())`
/// assert_eq!((fixed.frames(0.016), fixed.frames(0.016), fixed.frames(0.016)), (1, 2, 1));
/// assert!((fixed.fraction() - 0.8).abs() < 1e-9);
/// ```
#[derive(Clone, Debug)]
pub struct FixedStep {
    dt: f64,
    frames_max: u64,
    /// Time for which no frame has run yet.
    owed: f64,
}

impl FixedStep {
    /// Frames of `dt`, and at most 8 of them at once.
    ///
    /// # Panics
    /// When `dt` is not a positive number.
    #[must_use]
    pub fn new(dt: f64) -> Self {
        assert!(dt.is_finite() && dt > 0.0, "a fixed step is a positive number, not {dt}");
        FixedStep { dt, frames_max: 8, owed: 0.0 }
    }

    /// Maximum number of frames at once (default 8): a simulation that is slower than the clock falls behind instead of
    /// blocking the program.
    #[must_use]
    pub fn frames_max(mut self, frames: u64) -> Self {
        self.frames_max = frames.max(1);
        self
    }

    /// The step.
    #[must_use]
    pub fn dt(&self) -> f64 {
        self.dt
    }

    /// Number of frames that are due after this much more time. Frames beyond the maximum are dropped. Negative times and
    /// NaN count as 0.
    #[must_use = "these frames are counted as run"]
    pub fn frames(&mut self, elapsed: f64) -> u64 {
        if elapsed.is_finite() && elapsed > 0.0 {
            self.owed += elapsed;
        }
        let due = (self.owed / self.dt).floor();
        if due > self.frames_max as f64 {
            self.owed = 0.0;
            return self.frames_max;
        }
        self.owed = (self.owed - due * self.dt).max(0.0);
        due as u64
    }

    /// Fraction of a step, from 0 to 1, for which no frame has run yet: for interpolation between the last two frames.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        (self.owed / self.dt).clamp(0.0, 1.0)
    }
}
