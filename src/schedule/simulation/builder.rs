//! Settings of a simulation, and how a world, a schedule and workers become one.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::commit::{PatchCounts, Scratch};
use crate::inputs::{InputError, Mailbox};
use crate::limits::{TRACE_EVENTS_DEFAULT, TRACE_EVENTS_MAX, TRACE_EVENTS_MIN, WORKERS_MAX};
use crate::schedule::direct::Direct;
use crate::schedule::exchange::Exchange;
use crate::schedule::graph::{self, ScheduleError};
use crate::schedule::memory::JobMemory;
use crate::schedule::plan::Plan;
use crate::schedule::program::build::Work;
use crate::schedule::program::build_lists::ListRooms;
use crate::schedule::recording::{self, names};
use crate::schedule::repeat::compile_loops;
use crate::schedule::report::FrameReport;
use crate::schedule::runner::SystemRunner;
use crate::schedule::system::{Compiled, Home};
use crate::schedule::{Schedule, compile, registrations};
use crate::trace::Recorder;
use crate::worker::{Pool, PoolConfig, RegionForWorkers, Sandbox, Staged, WorkerCommand, Workers};
use crate::world::World;
use crate::world::store::expected::Writes;

use super::Simulation;
use super::dense::Dense;
use super::error::StepError;
use super::exchange::Exchanging;

/// Settings of a simulation. Made by [`Simulation::builder`].
pub struct SimulationBuilder {
    config: PoolConfig,
    publish_every: u64,
    fuse: bool,
    strict: bool,
    seed: u64,
    tracing: bool,
    trace_events: u64,
    inputs: Vec<String>,
    steerable: bool,
    exchange: Option<Box<dyn Exchange>>,
}

impl std::fmt::Debug for SimulationBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SimulationBuilder { config, publish_every, fuse, strict, seed, inputs, exchange, .. } = self;
        f.debug_struct("SimulationBuilder")
            .field("config", config)
            .field("publish_every", publish_every)
            .field("fuse", fuse)
            .field("strict", strict)
            .field("seed", seed)
            .field("inputs", inputs)
            .field("exchange", &exchange.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for SimulationBuilder {
    fn default() -> Self {
        SimulationBuilder {
            config: PoolConfig::default(),
            publish_every: 1,
            fuse: true,
            strict: false,
            seed: 0,
            tracing: true,
            trace_events: TRACE_EVENTS_DEFAULT,
            inputs: Vec::new(),
            steerable: false,
            exchange: None,
        }
    }
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

    /// Whether worker processes are shut in a sandbox before their first job (default: no). Then a kernel that opens a
    /// file or a socket, starts a process or a thread, or reaches into another process gets the error `EPERM`, and may fail
    /// with it; what kernels need besides their columns is opened where the schedule is made, before. Main runs no kernel
    /// that a worker can run, whatever [`main_helps`](Self::main_helps) says. What is left to a hostile kernel: the memory and
    /// time of its process, the region's data, the workers' board.
    ///
    /// # Errors
    /// Of [`build`](Self::build): workers that are no processes; with [`Sandbox::Required`] a system that lacks a part,
    /// which is named.
    #[must_use]
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.config.sandbox = sandbox;
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

    /// Whether a timeline of all jobs and phases is recorded (default: yes): see [`Simulation::timeline`]. It costs well below a
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

    /// Whether other processes may steer the run: pause it, let it run some frames, set its pace ([`Steering`](crate::Steering);
    /// default: no). The simulation itself never waits: the program that calls [`Simulation::run`] asks
    /// [`Simulation::steering`] between frames.
    #[must_use]
    pub fn steerable(mut self, steerable: bool) -> Self {
        self.steerable = steerable;
        self
    }

    /// Makes it one part of a spread world: what is to be done between the batches of its frames (default: nothing). Its
    /// frames never run several at once on one range of rows ([`Simulation::run`]).
    #[must_use]
    pub fn exchange(mut self, exchange: Box<dyn Exchange>) -> Self {
        self.exchange = Some(exchange);
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
        // a world makes room for what is expected, which is its maker's to do
        world.store.region.check_maker().map_err(StepError::Region)?;
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
        let world = from.as_mut().ok_or(StepError::Closed)?;
        let compiled: Arc<[Compiled]> = compiled.into();
        let loops = compile_loops(&schedule.loops, &registry)?;
        let stages = graph::plan(&schedule, &compiled, &loops, &registry.layout, self.fuse)?;
        let plan = Plan::new(&stages, &compiled, &loops, &registry.layout);
        let payloads = schedule.systems.iter().map(|system| system.payload.clone()).collect();
        let refused = |source| StepError::ExchangeRefused { source };
        let exchange = self.exchange.take().map(|exchange| Exchanging::begin(exchange, world, &compiled, &self.inputs));
        let exchange = exchange.transpose().map_err(refused)?;
        let runner = Arc::new(SystemRunner {
            systems: schedule.systems.into(),
            compiled: Arc::clone(&compiled),
            registry: Arc::clone(&registry),
            memory: JobMemory::Shared(Arc::clone(world.store.region.mapping())),
        });
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
        let (pool, notice) = Pool::start(&self.config, runner.clone(), region, &registrations(&compiled))?;
        let mailbox = if self.inputs.is_empty() && !self.steerable {
            // an earlier simulation's would be filled in vain
            world.store.region.remove_inputs().map_err(InputError::from)?;
            None
        } else {
            Some(Mailbox::create(&world.store.region, &registry.layout, &self.inputs, self.steerable)?)
        };
        let world = from.take().ok_or(StepError::Closed)?;
        let may_die = matches!(notice.actual, Workers::Processes(_)) || notice.actual.is_simulated();
        let undo_bytes = may_die.then_some(self.config.undo_bytes as u64);
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
            exchange,
            undo_bytes,
            runner,
            direct: Direct::default(),
            work: Work::default(),
            staged: Staged::new(),
            scratch: Scratch::default(),
            closed: false,
            since_publication: 0,
            status: Vec::with_capacity(WORKERS_MAX),
            unnoted: 0,
            runs: Vec::new(),
            dense: Dense::default(),
            list_rooms: ListRooms::default(),
            recorder: trace.as_ref().map_or_else(Recorder::off, |trace| trace.recorder(0)),
            recorded_ns: 0,
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
