//! A world, a schedule and a pool of workers: frames.
//!
//! A frame runs every group of every stage: build its program, run its jobs, make what they wrote live, apply their
//! patches in canonical order. Every few frames the world is published. Whatever fails, the world goes back to its
//! last generation, and the error says how many frames that undid.
#![forbid(unsafe_code)]

mod builder;
mod dense;
mod direct;
mod error;
mod exchange;
mod frame;
mod sort;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::commit::{Access, Commit, Scratch};
use crate::inputs::Mailbox;
use crate::limits::{FRAME_MAX, TIME_MAX};
use crate::os;
use crate::patch::RecordSizes;
use crate::region::worker_state;
use crate::trace::{EventKind, Phase, Recorder, Timeline, Trace};
use crate::worker::{Batch, HostedWorker, Place, Pool, PoolInfo, Staged, WorkerKind, WorkerStatus, Workers};
use crate::world::{Publication, Rollback, World, WorldError};

use super::Schedule;
use super::direct::Direct;
use super::graph::{Group, ScheduleError, Stage};
use super::job::FrameInfo;
use super::plan::Plan;
use super::program::build::{BuildContext, Work};
use super::program::build_lists::ListRooms;
use super::recording::SystemNames;
use super::repeat::CompiledLoop;
use super::report::FrameReport;
use super::runner::SystemRunner;
use super::system::Compiled;
pub use builder::SimulationBuilder;
use dense::Dense;
use error::Failed;
pub use error::StepError;
use exchange::Exchanging;

/// Work in nanoseconds below which a batch stays on main.
const SPLIT_NS_MIN: u64 = 20_000;
/// Nanoseconds between two looks at whether to go on.
const LOOK_NS: u64 = 50_000_000;
/// Calls of [`Simulation::run`] after which the region's worker slots are noted anew.
const NOTE_WORKERS_EVERY: u32 = 64;

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
    /// What it does between batches, if it is one part of a spread world.
    exchange: Option<Exchanging>,
    undo_bytes: Option<u64>,
    /// What main's kernels run with.
    runner: Arc<SystemRunner>,
    /// What is kept of groups that it runs without a program.
    direct: Direct,
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
    /// How much room jobs get for lists that they build.
    list_rooms: ListRooms,
    /// Main's.
    recorder: Recorder,
    /// Where there is a timeline: when what was recorded last ended, and so what comes next begins.
    recorded_ns: u64,
    trace: Option<Trace>,
}

/// Simulations go from thread to thread.
const _: () = {
    const fn goes<T: Send>() {}
    goes::<Simulation>();
};

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
        SimulationBuilder::default()
    }

    /// The world.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world, to change it between frames. What is changed belongs to the frame that comes next: it is published with it
    /// and, should it fail, undone with it. Who wants it seen, or safe, before that publishes ([`World::publish`]).
    pub fn world_mut(&mut self) -> &mut World {
        if let Some(exchange) = &mut self.exchange {
            exchange.forget();
        }
        &mut self.world
    }

    /// Whether the world's region stays after this process's normal exit, as [`World::set_keep_region`] says.
    pub fn set_keep_region(&mut self, keep: bool) {
        self.world.set_keep_region(keep);
    }

    /// Goes back by `frames` frames, as [`World::rollback`] does; the next step runs the frame after the one it landed
    /// on. Payloads stay as they are: they are not the world's. Inputs that were applied in frames that it undoes and that
    /// no generation contains yet are applied again when that frame begins.
    ///
    /// # Errors
    /// As [`World::rollback`].
    pub fn rollback(&mut self, frames: u64) -> Result<Rollback, WorldError> {
        if self.world.store.region.check_maker().is_err() {
            // the mailbox is the maker's as well
            return self.world.rollback(frames);
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.forget();
        }
        let published = self.world.store.published;
        let undone = self.mailbox.as_mut().map(|mailbox| mailbox.goes_back(published));
        let back = self.world.rollback(frames);
        if matches!(back, Err(WorldError::NotKept { .. })) {
            if let Some((mailbox, undone)) = self.mailbox.as_mut().zip(undone) {
                mailbox.stayed(undone);
            }
        } else {
            self.since_publication = 0;
        }
        back
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

    /// Replaces a system's payload from the next frame on: plain bytes that are no state, such as where a viewer points.
    ///
    /// ```
    /// use hypostyle::{Component, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Boat { x: f64 }
    /// let mut world = World::builder().component::<Boat>().build()?;
    /// let boat = world.spawn(Boat { x: 0.0 })?;
    /// let mut schedule = Schedule::new();
    /// let blow = System::try_rows::<Write<Boat>>("blow", |job, mut boat| {
    ///     let wind = f64::from_le_bytes(job.payload().try_into()?);
    ///     boat.x.map(|x| x + wind);
    ///     Ok(())
    /// });
    /// schedule.add(blow.payload(1.0_f64.to_le_bytes()));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// simulation.set_payload("blow", 5.0_f64.to_le_bytes())?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Boat>(boat)?.x, 6.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// How other processes want the run to go; `None`: it is not steerable ([`SimulationBuilder::steerable`]).
    #[must_use]
    pub fn steering(&self) -> Option<crate::Steering> {
        self.mailbox.as_ref()?.steering()
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

    /// Notes in the region's control words how each worker is doing, for observers of the region.
    fn note_workers(&mut self) {
        self.unnoted = 0;
        self.pool.status_into(&mut self.status);
        let slots = &self.world.store.region.control().workers;
        for (index, slot) in slots.iter().enumerate() {
            let status = self.status.get(index);
            let state = match status {
                None => worker_state::NONE,
                Some(status) if status.given_up => worker_state::GIVEN_UP,
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
    /// As [`Simulation::step`]; the frames before the last publication stand. [`StepError::FrameRange`]: they would lead
    /// beyond [`FRAME_MAX`](crate::limits::FRAME_MAX), and none was run.
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
    /// As [`Simulation::run`]. [`StepError::FrameRange`] only where not one more frame can be run.
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
        let left = FRAME_MAX.saturating_sub(self.world.frame);
        if frames > left && (looks.is_none() || left == 0) {
            return Err(StepError::FrameRange { frame: self.world.frame, frames });
        }
        let frames = frames.min(left);
        self.world.store.region.check_maker().map_err(StepError::Region)?;
        let begun = os::monotonic_ns();
        self.recorded_ns = if self.recorder.is_on() { begun } else { 0 };
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
            let (begun, number) = (self.recorded_ns, self.world.frame + 1);
            let span = tracing::debug_span!("frame", number, frames = pass);
            let done = span.in_scope(|| self.frame_and_publication(pass, dt));
            let (frames, failed) = (u16::try_from(pass).unwrap_or(u16::MAX), done.is_err());
            self.recorded_ns = self.recorder.lap(begun, EventKind::Frame { number, frames, failed });
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
        let begun = self.recorded_ns;
        let publication = self.world.publish().map_err(Failed::World)?;
        let store = &self.world.store;
        let pins = u16::try_from(store.pins().len()).unwrap_or(u16::MAX);
        let skipped = !publication.is_published();
        self.recorded_ns = self.recorder.lap(begun, EventKind::Publish { generation: store.published, pins, skipped });
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
        started && !tracked && !looped && self.exchange.is_none() && group.systems().all(plain)
    }

    /// Takes the world back to its last generation and says what that undid.
    fn abandon(&mut self, failed: Failed) -> StepError {
        if let Some(exchange) = &mut self.exchange {
            exchange.failed(&failed.to_string());
        }
        let reached = self.world.frame;
        let place = match &failed {
            Failed::Job(failure) => failure.job().and_then(|job| self.job_place(job as usize)),
            _ => None,
        };
        if let Err(source) = self.world.restore_newest() {
            self.closed = true;
            return StepError::Unrecoverable { failure: failed.to_string(), source: Box::new(source) };
        }
        self.since_publication = 0;
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.undone(self.world.store.published, &self.sizes);
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
            (Failed::Exchange { at, source }, _) => StepError::Exchange { at, source, undone, frame },
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
