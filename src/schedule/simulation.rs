//! A world, a schedule and a pool of workers: frames.
//!
//! A frame runs every group of every stage: build its program, run its jobs, make what they wrote live, apply their
//! patches in canonical order. Every few frames the world is published. Whatever fails, the world goes back to its
//! last generation, and the error says how many frames that undid.
#![forbid(unsafe_code)]

mod dense;
mod frame;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::commit::{Access, Commit, PatchCounts, Refusal, Scratch};
use crate::inputs::{InputError, Mailbox};
use crate::limits::{TIME_MAX, TRACE_EVENTS_DEFAULT, TRACE_EVENTS_MAX, TRACE_EVENTS_MIN, WORKERS_MAX};
use crate::os;
use crate::patch::RecordSizes;
use crate::region::{RegionError, worker_state};
use crate::trace::{EventKind, Phase, Recorder, Timeline, Trace};
use crate::worker::{
    Batch, HostedWorker, JobFailure, Place, Pool, PoolConfig, PoolError, PoolInfo, RegionForWorkers, Staged,
    WorkerCommand, WorkerKind, WorkerStatus, Workers,
};
use crate::world::store::expected::Writes;
use crate::world::{Publication, Rollback, World, WorldError};

use super::graph::{self, Group, ScheduleError, Stage};
use super::job::FrameInfo;
use super::memory::JobMemory;
use super::plan::Plan;
use super::program::build::{BuildContext, Work};
use super::recording::{self, SystemNames, names};
use super::repeat::{CompiledLoop, compile_loops};
use super::report::FrameReport;
use super::runner::SystemRunner;
use super::system::{Compiled, Home};
use super::{Schedule, compile, registrations};
use dense::Dense;

/// Work in nanoseconds below which a batch stays on main.
const SPLIT_NS_MIN: u64 = 20_000;
/// Nanoseconds between two looks at whether to go on.
const LOOK_NS: u64 = 50_000_000;
/// Calls of [`Simulation::run`] after which the region's worker slots are noted anew.
const NOTE_WORKERS_EVERY: u32 = 64;

/// What can go wrong with a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A system's job failed: the frame was abandoned.
    #[error("system `{system}`, rows {}..{} of the table of ({table}): {failure}; {undone} frame(s) undone, the world stands at frame {frame}", rows.start, rows.end)]
    Job {
        /// The system (several, where they are fused).
        system: String,
        /// The components of the table.
        table: String,
        /// The job's rows.
        rows: Range<u32>,
        /// What happened, and to which worker.
        failure: Box<JobFailure>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The pool failed as a whole.
    #[error("{failure}; {undone} frame(s) undone, the world stands at frame {frame}")]
    Pool {
        /// What happened.
        failure: Box<JobFailure>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// Patches were refused, and the simulation is strict ([`SimulationBuilder::strict`]).
    #[error(
        "{refused} patch(es) of system `{system}` were refused, the first one because {reason}; {undone} frame(s) undone, the world stands at frame {frame}"
    )]
    Refused {
        /// The system.
        system: String,
        /// Patches of it that were refused, in this call.
        refused: u64,
        /// Why the first one was.
        reason: Box<Refusal>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The values that a system reduces its rows to could not be combined: the frame was abandoned.
    #[error(
        "system `{system}` reduces its rows to resource `{resource}`: {message}; {undone} frame(s) undone, the world stands \
         at frame {frame}"
    )]
    Reduction {
        /// The system.
        system: String,
        /// The resource.
        resource: String,
        /// What happened.
        message: String,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// A condition or a loop's number of passes could not be evaluated: the frame was abandoned.
    #[error("{what}: {message}; {undone} frame(s) undone, the world stands at frame {frame}")]
    Condition {
        /// The system or the loop.
        what: String,
        /// What happened.
        message: String,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The world could not take the frame in.
    #[error("{source}; {undone} frame(s) undone, the world stands at frame {frame}")]
    World {
        /// What happened.
        source: Box<WorldError>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The world could not go back to its last generation, either.
    #[error("the frame failed ({failure}), and the world could not go back to its last generation: {source}")]
    Unrecoverable {
        /// Why the frame failed.
        failure: String,
        /// Why going back failed.
        source: Box<WorldError>,
    },
    /// The world has no room for what the schedule writes: every column that it writes is held twice.
    #[error("the world does not fit its schedule, which writes columns that are held twice: {source}")]
    Memory {
        /// What is needed.
        source: Box<WorldError>,
    },
    /// The simulation was closed.
    #[error("the simulation is closed; make a new one to run frames")]
    Closed,
    /// A time step that is no number.
    #[error("dt is {dt}; it must be a finite number")]
    TimeStep {
        /// What was given.
        dt: f64,
    },
    /// Time would leave the range of numbers.
    #[error(
        "{frames} frame(s) of dt {dt} from time {time} would lead beyond {TIME_MAX:e}, the most that time may be; run fewer \
         frames, or a smaller dt"
    )]
    TimeRange {
        /// The world's time.
        time: f64,
        /// Frames that were asked for.
        frames: u64,
        /// What was given.
        dt: f64,
    },
    /// The schedule does not fit.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The pool could not be started.
    #[error(transparent)]
    Start(#[from] PoolError),
    /// The world's region refuses: in a process that was forked off the one that made the world nothing is stepped.
    #[error(transparent)]
    Region(RegionError),
    /// The simulation cannot take these inputs.
    #[error("inputs: {0}")]
    Inputs(#[from] InputError),
}

/// Settings of a simulation. Made by [`Simulation::builder`].
#[derive(Debug)]
pub struct SimulationBuilder {
    config: PoolConfig,
    publish_every: u64,
    fuse: bool,
    strict: bool,
    seed: u64,
    tracing: bool,
    trace_events: u64,
    inputs: Vec<String>,
}

impl SimulationBuilder {
    /// Who runs jobs (default: automatic).
    #[must_use]
    pub fn workers(mut self, workers: Workers) -> Self {
        self.config.workers = workers;
        self
    }

    /// Publishes a generation every so many frames (default 1).
    #[must_use]
    pub fn publish_every(mut self, frames: u64) -> Self {
        self.publish_every = frames.max(1);
        self
    }

    /// Bytes of each worker's ring; a power of two, at least 256 (default 1 MiB).
    #[must_use]
    pub fn ring_bytes(mut self, bytes: usize) -> Self {
        self.config.ring_bytes = bytes;
        self
    }

    /// What to start as a worker process (default: this same executable without arguments).
    #[must_use]
    pub fn worker_command(mut self, command: WorkerCommand) -> Self {
        self.config.command = Some(command);
        self
    }

    /// Whether consecutive row-local systems run back to back on one range of rows (default: yes). The result is the
    /// same.
    #[must_use]
    pub fn fuse(mut self, fuse: bool) -> Self {
        self.fuse = fuse;
        self
    }

    /// Whether a refused patch fails its frame, with an error that names the system and the reason
    /// ([`StepError::Refused`]); default: no, refused patches are counted ([`PatchCounts::refused`]) and the frame goes on.
    /// Patches on entities that are gone, and inputs of other processes, are counted in either case.
    ///
    /// ```
    /// use hypostyle::{Component, Schedule, Simulation, StepError, System, With, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Fuel { litres: f32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Rocket;
    /// let mut world = World::builder().component::<Fuel>().component::<Rocket>().build()?;
    /// world.spawn(Rocket)?; // without a tank
    /// let mut schedule = Schedule::new();
    /// let burn = System::rows::<With<Rocket>>("burn", |job, ()| job.set_row(0, Fuel { litres: 0.0 }));
    /// schedule.add(burn.sets::<Fuel>());
    /// let mut simulation = Simulation::builder().strict(true).build(world, schedule)?;
    /// assert!(matches!(simulation.step(0.1), Err(StepError::Refused { system, .. }) if system == "burn"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// What the numbers of [`Job::random`](crate::Job::random) depend on, beside frame, system and entity (default 0). It is not
    /// part of the world: a simulation that goes on from a saved state gets it again.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether main runs jobs, too, where there are workers (default: yes). Where kernels may kill their process, say
    /// no.
    #[must_use]
    pub fn main_helps(mut self, helps: bool) -> Self {
        self.config.main_helps = helps;
        self
    }

    /// Whether it is recorded who does what when (default: yes): see [`Simulation::timeline`]. It costs well below a
    /// hundredth of the time of frames that are worth workers.
    #[must_use]
    pub fn tracing(mut self, tracing: bool) -> Self {
        self.tracing = tracing;
        self
    }

    /// How many events main and each worker keep of their timeline, 32 bytes each: rounded up to a power of two from
    /// [`TRACE_EVENTS_MIN`] to [`TRACE_EVENTS_MAX`] (default [`TRACE_EVENTS_DEFAULT`](crate::limits::TRACE_EVENTS_DEFAULT)).
    #[must_use]
    pub fn trace_events(mut self, events: u64) -> Self {
        self.trace_events = events.clamp(TRACE_EVENTS_MIN, TRACE_EVENTS_MAX).next_power_of_two();
        self
    }

    /// Takes inputs of other processes (and of this one): sets of these components, single fields (`velocity.x`) and
    /// resources. They come through a mailbox beside the region, are applied when frames begin, and are counted in
    /// [`FrameReport::inputs`]; see [`Reader::inputs`](crate::Reader::inputs). Default: none.
    #[must_use]
    pub fn inputs<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.inputs = names.into_iter().map(Into::into).collect();
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// A schedule that does not fit the world, workers that cannot be had.
    pub fn build(self, world: World, schedule: Schedule) -> Result<Simulation, StepError> {
        self.build_from(&mut Some(world), schedule)
    }

    /// As [`SimulationBuilder::build`]; the world is taken only where it succeeds.
    ///
    /// # Errors
    /// As for [`SimulationBuilder::build`]; there is no world.
    pub fn build_from(self, from: &mut Option<World>, schedule: Schedule) -> Result<Simulation, StepError> {
        let registry = Arc::clone(&from.as_ref().ok_or(StepError::Closed)?.registry);
        let mut compiled = compile(&schedule, &registry)?;
        divide(&mut compiled, self.config.workers)?;
        let world = from.as_mut().ok_or(StepError::Closed)?;
        let writes: Vec<_> = compiled.iter().map(expected).collect();
        world.expect(writes).map_err(|error| StepError::Memory { source: Box::new(error) })?;
        let done = self.join(from, schedule, compiled, registry);
        if let (Some(world), Err(_)) = (from, &done) {
            world.store.forget_expected();
        }
        done
    }

    fn join(
        mut self,
        from: &mut Option<World>,
        schedule: Schedule,
        compiled: Vec<Compiled>,
        registry: Arc<crate::table::Registry>,
    ) -> Result<Simulation, StepError> {
        let world = from.as_ref().ok_or(StepError::Closed)?;
        let compiled: Arc<[Compiled]> = compiled.into();
        let loops = compile_loops(&schedule.loops, &registry)?;
        let stages = graph::plan(&schedule, &compiled, &loops, &registry.layout, self.fuse)?;
        let plan = Plan::new(&stages, &compiled, &registry.layout);
        let payloads = schedule.systems.iter().map(|system| system.payload.clone()).collect();
        let runner = SystemRunner {
            systems: schedule.systems.into(),
            compiled: Arc::clone(&compiled),
            registry: Arc::clone(&registry),
            memory: JobMemory::Shared(Arc::clone(world.store.region.mapping())),
        };
        world.store.region.check_maker().map_err(StepError::Region)?;
        #[cfg(unix)]
        let workers_lock = world.store.region.workers_lock_file().map_err(StepError::Region)?.map(Arc::new);
        let region = world.store.region.path().map(|path| RegionForWorkers {
            path: path.to_string_lossy().into_owned(),
            layout_hash: world.layout_hash,
            #[cfg(unix)]
            workers_lock: workers_lock.clone(),
        });
        let rings = 1 + self.config.workers.count_max() as u32;
        let events = self.tracing.then_some(self.trace_events);
        let trace = recording::make(&world.store.region, names(&stages, &compiled), rings, events);
        self.config.trace.clone_from(&trace);
        let (pool, notice) = Pool::start(&self.config, Arc::new(runner), region, &registrations(&compiled))?;
        let mailbox = if self.inputs.is_empty() {
            // an earlier simulation's would be filled in vain
            world.store.region.remove_inputs().map_err(InputError::from)?;
            None
        } else {
            Some(Mailbox::create(&world.store.region, &registry.layout, &self.inputs)?)
        };
        let world = from.take().ok_or(StepError::Closed)?;
        let undo_bytes = matches!(notice.actual, Workers::Processes(_)).then_some(self.config.undo_bytes as u64);
        let mut simulation = Simulation {
            sizes: Arc::clone(&world.sizes),
            access: compiled.iter().map(|system| system.access.clone()).collect(),
            report: FrameReport { patches: vec![PatchCounts::default(); compiled.len()], ..FrameReport::default() },
            world,
            skips: vec![false; compiled.len()],
            compiled,
            loops,
            seed: self.seed,
            stages,
            plan,
            payloads,
            pool,
            notice,
            publish_every: self.publish_every,
            strict: self.strict,
            mailbox,
            undo_bytes,
            work: Work::default(),
            staged: Staged::new(),
            scratch: Scratch::default(),
            closed: false,
            since_publication: 0,
            status: Vec::with_capacity(WORKERS_MAX),
            unnoted: 0,
            runs: Vec::new(),
            dense: Dense::default(),
            recorder: trace.as_ref().map_or_else(Recorder::off, |trace| trace.recorder(0)),
            trace,
        };
        simulation.note_workers();
        Ok(simulation)
    }
}

/// What a system is going to write, as far as its declaration tells.
fn expected(system: &Compiled) -> Writes {
    let access = &system.access;
    let mut sets = access.sets.clone();
    sets.extend(access.accumulates.iter().map(|accumulation| accumulation.component));
    sets.sort_unstable();
    Writes {
        query: system.own.clone(),
        sets,
        adds: access.adds.clone(),
        spawns: access.spawns.clone(),
        lists: access.lists.clone(),
        moves_rows: access.despawns || !access.adds.is_empty() || !access.removes.is_empty() || system.sort.is_some(),
    }
}

/// Where some kernels are in worker processes only, those are another program's: they have no others.
fn divide(compiled: &mut [Compiled], workers: Workers) -> Result<(), ScheduleError> {
    let Some(external) = compiled.iter().find(|system| system.home == Home::Workers) else { return Ok(()) };
    if !matches!(workers, Workers::Processes(_)) {
        return Err(ScheduleError::External { system: external.name.clone() });
    }
    for system in compiled.iter_mut().filter(|system| system.home == Home::Everywhere) {
        system.home = Home::Main;
    }
    Ok(())
}

/// A world with a schedule and the workers that run it.
pub struct Simulation {
    /// Before the world: workers end before its region does.
    pool: Pool,
    world: World,
    compiled: Arc<[Compiled]>,
    access: Vec<Access>,
    sizes: Arc<RecordSizes>,
    loops: Vec<CompiledLoop>,
    /// By system: whether it does not run in the batch at hand.
    skips: Vec<bool>,
    seed: u64,
    stages: Vec<Stage>,
    plan: Plan,
    payloads: Vec<Vec<u8>>,
    notice: PoolInfo,
    publish_every: u64,
    /// Whether a refused patch fails its frame.
    strict: bool,
    /// Where inputs come from, if any are taken.
    mailbox: Option<Mailbox>,
    undo_bytes: Option<u64>,
    work: Work,
    staged: Staged,
    /// What commits keep for their memory.
    scratch: Scratch,
    report: FrameReport,
    closed: bool,
    since_publication: u64,
    /// Scratch of [`Simulation::note_workers`].
    status: Vec<WorkerStatus>,
    /// Calls of `run` since the worker slots were noted.
    unnoted: u32,
    /// Runs of rows, kept for their memory.
    runs: Vec<(u32, u32)>,
    /// What the batch's jobs wrote densely.
    dense: Dense,
    /// Main's.
    recorder: Recorder,
    trace: Option<Trace>,
}

/// Looks between frames at whether to go on.
struct Looks<'a> {
    go_on: &'a mut dyn FnMut() -> bool,
    looked_ns: u64,
    /// Frames that one pass may have, so that looks are not far between.
    frames_max: u64,
}

impl Looks<'_> {
    /// Whether to go on; asked where the last look is long enough ago.
    fn go_on(&mut self) -> bool {
        let since = os::monotonic_ns().saturating_sub(self.looked_ns);
        // passes grow until they take about as long as lies between two looks
        if since < LOOK_NS {
            self.frames_max = self.frames_max.saturating_mul(2);
            return true;
        }
        if since > 2 * LOOK_NS {
            self.frames_max = (self.frames_max / 2).max(1);
        }
        let go_on = (self.go_on)();
        self.looked_ns = os::monotonic_ns();
        go_on
    }
}

/// Why a frame failed, before the world went back.
enum Failed {
    Job(JobFailure),
    /// Patches of this system were refused.
    Refused {
        system: usize,
        refused: u64,
        reason: Refusal,
    },
    /// What the rows of this system came to could not be joined.
    Reduction {
        system: usize,
        resource: u16,
        message: String,
    },
    /// What says whether a system or loop runs could not be asked.
    Condition {
        what: String,
        message: String,
    },
    World(WorldError),
}

impl From<RegionError> for Failed {
    fn from(error: RegionError) -> Self {
        Failed::World(error.into())
    }
}

impl Simulation {
    /// Joins a world and a schedule, with everything else as it is by default.
    ///
    /// # Errors
    /// As [`SimulationBuilder::build`].
    pub fn new(world: World, schedule: Schedule, workers: Workers) -> Result<Simulation, StepError> {
        Simulation::builder().workers(workers).build(world, schedule)
    }

    /// Settings.
    #[must_use]
    pub fn builder() -> SimulationBuilder {
        SimulationBuilder {
            config: PoolConfig::default(),
            publish_every: 1,
            fuse: true,
            strict: false,
            seed: 0,
            tracing: true,
            trace_events: TRACE_EVENTS_DEFAULT,
            inputs: Vec::new(),
        }
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world, to change it between frames. What is changed belongs to the frame that comes next: it is published with it
    /// and, should it fail, undone with it. Who wants it seen, or safe, before that publishes ([`World::publish`]).
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// Whether the world's region stays after this process's normal exit, as [`World::set_keep_region`] says.
    pub fn set_keep_region(&mut self, keep: bool) {
        self.world.set_keep_region(keep);
    }

    /// Goes back by `frames` frames, as [`World::rollback`] does; the next step runs the frame after the one it landed
    /// on. Payloads stay as they are: they are not the world's.
    ///
    /// # Errors
    /// As [`World::rollback`].
    pub fn rollback(&mut self, frames: u64) -> Result<Rollback, WorldError> {
        self.since_publication = 0;
        self.world.rollback(frames)
    }

    /// Ends the simulation and its workers, and returns the world.
    #[must_use]
    pub fn into_world(mut self) -> World {
        self.close();
        self.world.store.forget_expected();
        self.world
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Which workers were asked for and which there are.
    #[must_use]
    pub fn workers(&self) -> &PoolInfo {
        &self.notice
    }

    /// Names of the systems, in the order of registration: that of [`FrameReport::patches`].
    pub fn system_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.compiled.iter().map(|compiled| compiled.name.as_str())
    }

    /// The work of the threads that the embedder is to bring, one each, where the simulation was made with
    /// [`Workers::Hosted`]; empty otherwise, and after the first call. Give each one to a thread that calls
    /// [`HostedWorker::run`]. Frames may begin before the threads have come: main (where it helps) does everything until
    /// then, and the results are the same bytes.
    ///
    /// ```
    /// # use hypostyle::{Component, Schedule, Simulation, System, Workers, World, Write};
    /// # #[derive(Component, Clone, Copy)] struct Mass { kg: f64 }
    /// # let world = World::builder().component::<Mass>().build()?;
    /// # let mut schedule = Schedule::new();
    /// # schedule.add(System::rows::<Write<Mass>>("burn", |_, mut mass| mass.kg.map(|kg| kg * 0.5)));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Hosted(2))?;
    /// let threads: Vec<_> =
    ///     simulation.hosted_workers().into_iter().map(|worker| std::thread::spawn(|| worker.run())).collect();
    /// simulation.run(10, 0.5)?;
    /// simulation.close();
    /// for thread in threads {
    ///     thread.join().expect("does not panic")?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn hosted_workers(&mut self) -> Vec<HostedWorker> {
        self.pool.take_hosted()
    }

    /// How each worker is doing.
    #[must_use]
    pub fn worker_status(&self) -> Vec<WorkerStatus> {
        self.pool.status()
    }

    /// Result of the newest frame.
    #[must_use]
    pub fn report(&self) -> &FrameReport {
        &self.report
    }

    /// Who did what when, in the last frames; empty where nothing is recorded.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        let mut timeline = Timeline::default();
        self.extend_timeline(&mut timeline);
        timeline
    }

    /// Adds to a timeline what was recorded since the last call, so that it can hold more than the last frames.
    pub fn extend_timeline(&self, timeline: &mut Timeline) {
        if let Some(trace) = &self.trace {
            timeline.extend(trace);
        }
    }

    /// Publishes a generation every so many frames from now on.
    pub fn set_publish_every(&mut self, frames: u64) {
        self.publish_every = frames.max(1);
    }

    /// Replaces a system's payload from the next frame on.
    ///
    /// # Errors
    /// No such system.
    pub fn set_payload(&mut self, system: &str, bytes: impl Into<Vec<u8>>) -> Result<(), ScheduleError> {
        match self.compiled.iter().position(|compiled| compiled.name == system) {
            Some(index) => {
                self.payloads[index] = bytes.into();
                Ok(())
            }
            None => Err(ScheduleError::UnknownName {
                system: "(payload)".to_owned(),
                relation: "for",
                other: system.to_owned(),
            }),
        }
    }

    /// Ends every worker. After it, [`Simulation::step`] is an error.
    pub fn close(&mut self) {
        self.pool.close();
        self.closed = true;
        if self.world.store.region.check_maker().is_err() {
            // the region and its mailbox are those of the process that this one was forked off
            return;
        }
        self.note_workers();
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.close(&self.world.store.region);
        }
    }

    /// Notes in the region's control words how each worker is doing, for whoever looks at the region.
    fn note_workers(&mut self) {
        self.unnoted = 0;
        self.pool.status_into(&mut self.status);
        let slots = &self.world.store.region.control().workers;
        for (index, slot) in slots.iter().enumerate() {
            let status = self.status.get(index);
            let state = match status {
                None => worker_state::NONE,
                Some(status) if !status.alive => worker_state::REPLACED,
                Some(status) if status.kind == WorkerKind::Thread => worker_state::THREAD,
                Some(_) => worker_state::PROCESS,
            };
            slot.pid.store(status.and_then(|status| status.pid).unwrap_or(0), Ordering::Relaxed);
            slot.jobs.store(status.map_or(0, |status| status.jobs), Ordering::Relaxed);
            slot.deaths.store(status.map_or(0, |status| status.deaths), Ordering::Relaxed);
            slot.state.store(state, Ordering::Relaxed);
        }
    }

    /// Runs one frame of `dt`, in units of simulated time. `dt` may be 0 (kernels run, time stands still) and negative
    /// (time runs backwards: kernels get it as it is); it must be finite, and must not take time beyond
    /// [`TIME_MAX`](crate::limits::TIME_MAX).
    ///
    /// # Errors
    /// A job or commit that failed: the frame is abandoned, the world stands at its last generation, and the next
    /// step works.
    pub fn step(&mut self, dt: f64) -> Result<&FrameReport, StepError> {
        self.run(1, dt)
    }

    /// Runs so many frames of `dt`. Where every system is row-local, all frames up to the next publication run on one
    /// range of rows before the next; the result is the same. The report is of the newest call.
    ///
    /// # Errors
    /// As [`Simulation::step`]; the frames before the last publication stand.
    pub fn run(&mut self, frames: u64, dt: f64) -> Result<&FrameReport, StepError> {
        self.run_some(frames, dt, None)
    }

    /// As [`Simulation::run`], for as long as `go_on` says, which is asked between frames, about twenty times a second. Once
    /// it says no the frames that were run stand: [`FrameReport::frame`] tells how far it came.
    ///
    /// ```
    /// # use hypostyle::{Component, Schedule, Simulation, System, Workers, World, Write};
    /// # #[derive(Component, Clone, Copy)] struct Mass { kg: f64 }
    /// # let world = World::builder().component::<Mass>().build()?;
    /// # let mut schedule = Schedule::new();
    /// # schedule.add(System::rows::<Write<Mass>>("burn", |_, mut mass| mass.kg.map(|kg| kg * 0.5)));
    /// # let mut simulation = Simulation::new(world, schedule, Workers::Local)?;
    /// let end = std::time::Instant::now() + std::time::Duration::from_millis(30);
    /// let report = simulation.run_while(u64::MAX, 0.5, &mut || std::time::Instant::now() < end)?;
    /// println!("{} frames", report.frame);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Simulation::run`].
    pub fn run_while(
        &mut self,
        frames: u64,
        dt: f64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<&FrameReport, StepError> {
        self.run_some(frames, dt, Some(Looks { go_on, looked_ns: os::monotonic_ns(), frames_max: 1 }))
    }

    fn run_some(&mut self, frames: u64, dt: f64, looks: Option<Looks<'_>>) -> Result<&FrameReport, StepError> {
        if self.closed {
            return Err(StepError::Closed);
        }
        if !dt.is_finite() {
            return Err(StepError::TimeStep { dt });
        }
        let time = self.world.time;
        let end = time + dt * frames as f64;
        // also where it is no number
        if end.is_nan() || end.abs() > TIME_MAX {
            return Err(StepError::TimeRange { time, frames, dt });
        }
        self.world.store.region.check_maker().map_err(StepError::Region)?;
        let begun = os::monotonic_ns();
        self.report.reset();
        let done = self.run_frames(frames, dt, looks);
        self.pool.end_frame();
        self.unnoted += 1;
        if self.unnoted >= NOTE_WORKERS_EVERY || self.report.deaths > 0 {
            self.note_workers();
        }
        self.report.frame = self.world.frame;
        self.report.elapsed = Duration::from_nanos(os::monotonic_ns().saturating_sub(begun));
        match done {
            Ok(()) => Ok(&self.report),
            Err(failed) => Err(self.abandon(failed)),
        }
    }

    fn run_frames(&mut self, frames: u64, dt: f64, mut looks: Option<Looks<'_>>) -> Result<(), Failed> {
        // something to go back to
        if self.world.store.published == 0 {
            self.report.publication = Some(self.publish()?);
            self.since_publication = 0;
        }
        let mut left = frames;
        while left > 0 && looks.as_mut().is_none_or(Looks::go_on) {
            let due = self.publish_every.saturating_sub(self.since_publication).max(1);
            let most = looks.as_ref().map_or(u64::MAX, |looks| looks.frames_max);
            let pass = if self.all_in_one() { left.min(due).min(most) } else { 1 };
            let (begun, number) = (self.recorder.now(), self.world.frame + 1);
            let span = tracing::debug_span!("frame", number, frames = pass);
            let done = span.in_scope(|| self.frame_and_publication(pass, dt));
            let (frames, failed) = (u16::try_from(pass).unwrap_or(u16::MAX), done.is_err());
            self.recorder.lap(begun, EventKind::Frame { number, frames, failed });
            done?;
            left -= pass;
        }
        Ok(())
    }

    fn frame_and_publication(&mut self, frames: u64, dt: f64) -> Result<(), Failed> {
        self.frame(frames, dt)?;
        self.since_publication += frames;
        if self.since_publication >= self.publish_every {
            let publication = self.publish()?;
            self.report.publication = Some(publication);
            // a skipped publication is tried again after the next frame
            if publication.is_published() {
                self.since_publication = 0;
            }
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<Publication, Failed> {
        let begun = self.recorder.now();
        let publication = self.world.publish().map_err(Failed::World)?;
        let store = &self.world.store;
        let pins = u16::try_from(store.pins().len()).unwrap_or(u16::MAX);
        let skipped = !publication.is_published();
        self.recorder.lap(begun, EventKind::Publish { generation: store.published, pins, skipped });
        Ok(publication)
    }

    /// Whether all frames up to the next publication can run on one range of rows: a single fusable group, nothing
    /// that keeps changed rows per frame, and no start-up to come.
    fn all_in_one(&self) -> bool {
        let mut groups = self.stages.iter().filter(|stage| stage.name != "startup").flat_map(|stage| &stage.groups);
        let (Some(group), None) = (groups.next(), groups.next()) else { return false };
        let started = self.world.frame > 0 || self.stages.iter().all(|s| s.name != "startup" || s.groups.is_empty());
        let tracked = self.world.layout().components().iter().any(|component| component.track_changes);
        let plain = |system: usize| self.compiled[system].fusable && self.compiled[system].conditions.is_empty();
        let looped = self.stages.iter().any(|stage| !stage.loops.is_empty());
        started && !tracked && !looped && group.systems().all(plain)
    }

    /// Takes the world back to its last generation and says what that undid.
    fn abandon(&mut self, failed: Failed) -> StepError {
        let reached = self.world.frame;
        let place = match &failed {
            Failed::Job(failure) => failure.job().and_then(|job| self.job_place(job as usize)),
            Failed::Refused { .. } | Failed::Reduction { .. } | Failed::Condition { .. } | Failed::World(_) => None,
        };
        if let Err(source) = self.world.restore_newest() {
            let failure = match failed {
                Failed::Job(failure) => failure.to_string(),
                Failed::World(error) => error.to_string(),
                Failed::Refused { reason, .. } => reason.to_string(),
                Failed::Reduction { message, .. } | Failed::Condition { message, .. } => message,
            };
            self.closed = true;
            return StepError::Unrecoverable { failure, source: Box::new(source) };
        }
        self.since_publication = 0;
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.undone(&self.sizes);
        }
        let frame = self.world.frame;
        let undone = reached - frame + 1;
        match (failed, place) {
            (Failed::Job(failure), Some((system, table, rows))) => {
                StepError::Job { system, table, rows, failure: Box::new(failure), undone, frame }
            }
            (Failed::Job(failure), None) => StepError::Pool { failure: Box::new(failure), undone, frame },
            (Failed::Refused { system, refused, reason }, _) => {
                let (system, reason) = (self.compiled[system].name.clone(), Box::new(reason));
                StepError::Refused { system, refused, reason, undone, frame }
            }
            (Failed::Reduction { system, resource, message }, _) => {
                let resource = self.world.layout().resources()[usize::from(resource)].name.clone();
                StepError::Reduction { system: self.compiled[system].name.clone(), resource, message, undone, frame }
            }
            (Failed::Condition { what, message }, _) => StepError::Condition { what, message, undone, frame },
            (Failed::World(source), _) => StepError::World { source: Box::new(source), undone, frame },
        }
    }

    fn job_place(&self, job: usize) -> Option<(String, String, Range<u32>)> {
        let rows = self.work.jobs.get(job)?;
        let table = &self.world.store.tables.get(rows.table as usize)?.shape;
        let names: Vec<&str> = table
            .components
            .iter()
            .map(|id| self.world.layout().components()[usize::from(*id)].name.as_str())
            .collect();
        let systems: Vec<&str> =
            self.work.systems_of(job).iter().map(|system| self.compiled[*system].name.as_str()).collect();
        Some((systems.join("`, `"), names.join(", "), rows.rows.clone()))
    }
}
