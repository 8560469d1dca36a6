//! Worlds that Python makes, fills, steps and publishes.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use hypostyle::journal::{JournalError, Recorded, Recorder};
use hypostyle::{
    Entity, FieldType, FrameReport, Layout, PatchCounts, Publication, RegionError, RegionTarget, ScalarType,
    SharedReader, Simulation, StepError, WorkerCommand, Workers, WorldError,
};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::{error, of_region, of_snapshot, of_step, of_world};
use crate::file::Source;
use crate::job::{in_kernel, is_lent, take_raised};
use crate::journal::{of_journal, recorded, recorder_options};
use crate::layout::{LayoutParts, parts};
use crate::pin::Pin;
use crate::steering::Steering;
use crate::system::{DeclaredLoop, Listed, schedule};

/// How long frames run without a look at the signals, about.
const LOOK: Duration = Duration::from_millis(50);

/// What a world of Python is at the moment.
enum State {
    /// On its own.
    World(Box<hypostyle::World>),
    /// With systems, and workers that run them.
    Simulation(Box<Simulation>),
    Closed,
}

impl State {
    fn world(&self) -> Option<&hypostyle::World> {
        match self {
            State::World(world) => Some(world),
            State::Simulation(simulation) => Some(simulation.world()),
            State::Closed => None,
        }
    }

    fn world_mut(&mut self) -> Option<&mut hypostyle::World> {
        match self {
            State::World(world) => Some(world),
            State::Simulation(simulation) => Some(simulation.world_mut()),
            State::Closed => None,
        }
    }

    fn simulation(&mut self) -> Result<&mut Simulation, StepError> {
        match self {
            State::Simulation(simulation) => Ok(simulation),
            _ => Err(StepError::Closed),
        }
    }
}

/// A world of this process.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct World {
    /// Who made it: a process that was forked off may read.
    pid: u32,
    state: Mutex<State>,
    layout: Layout,
    reader: SharedReader,
    name: String,
    /// Writes its generations down.
    recorder: Mutex<Option<Recorder>>,
}

/// Not from within a system: there the world is as the system's rows show it.
fn check_outside() -> PyResult<()> {
    if in_kernel() {
        let message = "a system is running: it has its rows and its patches, and the world is for between frames";
        return Err(error("HypostyleError", message.to_owned()));
    }
    Ok(())
}

/// Not while anybody has arrays of rows.
fn check_not_lent() -> PyResult<()> {
    if is_lent() {
        let message = "arrays of the world's rows are still held: a system must let go of them, or keep copies";
        return Err(error("HypostyleError", message.to_owned()));
    }
    Ok(())
}

/// Results of several runs together.
#[derive(Default)]
struct Total {
    frame: u64,
    generation: Option<u64>,
    skipped: bool,
    jobs: u64,
    jobs_on_main: u64,
    rows: u64,
    deaths: u64,
    retries: u64,
    elapsed: Duration,
    busy: Duration,
    inputs: PatchCounts,
    patches: Vec<PatchCounts>,
}

impl Total {
    fn add(&mut self, report: &FrameReport) {
        self.frame = report.frame;
        match report.publication {
            Some(Publication::Published(generation)) => (self.generation, self.skipped) = (Some(generation), false),
            Some(Publication::Skipped { .. }) => self.skipped = true,
            None => {}
        }
        self.jobs += report.jobs;
        self.jobs_on_main += report.jobs_on_main;
        self.rows += report.rows;
        self.deaths += report.deaths;
        self.retries += report.retries;
        self.elapsed += report.elapsed;
        self.busy += report.busy;
        self.inputs.add(&report.inputs);
        self.patches.resize_with(report.patches.len(), PatchCounts::default);
        for (sum, counts) in self.patches.iter_mut().zip(&report.patches) {
            sum.add(counts);
        }
    }

    fn into_dict(self, py: Python<'_>, skipped: Option<String>) -> PyResult<Bound<'_, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("frame", self.frame)?;
        dict.set_item("generation", self.generation)?;
        dict.set_item("skipped", skipped)?;
        dict.set_item("jobs", self.jobs)?;
        dict.set_item("jobs_on_main", self.jobs_on_main)?;
        dict.set_item("rows", self.rows)?;
        dict.set_item("deaths", self.deaths)?;
        dict.set_item("retries", self.retries)?;
        dict.set_item("seconds", self.elapsed.as_secs_f64())?;
        dict.set_item("busy_seconds", self.busy.as_secs_f64())?;
        let numbers = |counts: &PatchCounts| {
            let refusal = counts.example.as_ref().map(ToString::to_string);
            let numbers = [
                counts.applied,
                counts.overwritten,
                counts.stale,
                counts.absent,
                counts.refused,
                counts.spawned,
                counts.despawned,
            ];
            (numbers, counts.dense_rows, refusal)
        };
        dict.set_item("inputs", numbers(&self.inputs))?;
        dict.set_item("patches", self.patches.iter().map(numbers).collect::<Vec<_>>())?;
        Ok(dict)
    }
}

impl World {
    pub(crate) fn of(world: hypostyle::World) -> PyResult<Self> {
        let reader = world.reader().map_err(|error| of_snapshot(&error))?.into();
        let name = world.region().to_string();
        let layout = world.layout().clone();
        let (state, recorder) = (Mutex::new(State::World(Box::new(world))), Mutex::default());
        Ok(World { pid: std::process::id(), state, layout, reader, name, recorder })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_forked(&self) -> bool {
        std::process::id() != self.pid
    }

    /// Not in a process that was forked off: the world is its maker's.
    fn check_maker(&self) -> PyResult<()> {
        if self.is_forked() {
            return Err(of_region(&RegionError::Forked { maker: self.pid, pid: std::process::id() }));
        }
        Ok(())
    }

    /// In a process that was forked off: not where another thread held the world then, which nobody will ever let go.
    fn check_free(&self) -> PyResult<()> {
        if self.is_forked() && matches!(self.state.try_lock(), Err(TryLockError::WouldBlock)) {
            return self.check_maker();
        }
        Ok(())
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&hypostyle::World) -> Result<T, WorldError> + Send,
    ) -> PyResult<T> {
        check_outside()?;
        self.check_free()?;
        let done = py.detach(|| self.lock().world().map(look));
        done.ok_or_else(|| self.closed())?.map_err(|error| of_world(&error))
    }

    /// Looks at the world, for whatever that says.
    pub(crate) fn observe<T: Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&hypostyle::World) -> T + Send,
    ) -> PyResult<T> {
        self.with(py, |world| Ok(look(world)))
    }

    /// The same, on this thread alone.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&hypostyle::World) -> T) -> PyResult<T> {
        check_outside()?;
        self.check_free()?;
        self.lock().world().map(look).ok_or_else(|| self.closed())
    }

    /// The same for what moves or publishes columns: not while anybody has arrays of them.
    fn change<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut hypostyle::World) -> Result<T, WorldError> + Send,
    ) -> PyResult<T> {
        check_outside()?;
        self.check_maker()?;
        check_not_lent()?;
        let done = py.detach(|| self.lock().world_mut().map(act));
        done.ok_or_else(|| self.closed())?.map_err(|error| of_world(&error))
    }

    fn simulate<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Simulation) -> Result<T, StepError> + Send,
    ) -> PyResult<T> {
        check_outside()?;
        self.check_free()?;
        py.detach(|| self.lock().simulation().and_then(act)).map_err(|error| of_step(&error))
    }

    /// Why a publication was left out: who holds the memory that it needs.
    fn skipped(&self, py: Python<'_>, frame: u64) -> String {
        let leases = py.detach(|| self.reader.leases()).unwrap_or_default();
        let holders: Vec<String> = leases
            .iter()
            .filter(|lease| lease.alive)
            .filter_map(|lease| Some(format!("process {} holds generation {}", lease.pid, lease.generation?)))
            .collect();
        let holders = if holders.is_empty() { "no reader holds one any more".to_owned() } else { holders.join(", ") };
        format!(
            "frame {frame} stands, but is not published: bytes_max = {} B has no room for a generation beside those that \
             readers hold ({holders}); release those, or raise bytes_max",
            self.layout.bytes_max()
        )
    }

    fn is_recorded(&self) -> bool {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Hands the newest generation to the recorder, if there is one.
    fn record_newest(&self) -> Result<(), JournalError> {
        match &mut *self.recorder.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(recorder) => recorder.look().map(drop),
            None => Ok(()),
        }
    }

    /// Writes down what there is, and closes the journal; none: nothing is recorded.
    fn end_recording(&self) -> Result<Option<Recorded>, JournalError> {
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take();
        recorder.map(|mut recorder| recorder.look().and_then(|_| recorder.finish())).transpose()
    }

    fn closed(&self) -> PyErr {
        error("ClosedError", format!("the world in {} was closed", self.name))
    }
}

pub(crate) fn target(region: Option<&str>) -> PyResult<RegionTarget> {
    region.map_or(Ok(RegionTarget::Heap), |text| text.parse().map_err(|error| of_region(&error)))
}

/// Whole handles of 8 bytes.
fn handles(bytes: &[u8]) -> Vec<Entity> {
    bytes.as_chunks::<8>().0.iter().map(|bits| Entity::from_bits(u64::from_le_bytes(*bits))).collect()
}

/// Columns of values, which no other thread of Python changes any more.
fn owned(columns: Vec<(String, Bound<'_, PyBytes>)>) -> Vec<(String, Vec<u8>)> {
    columns.into_iter().map(|(name, bytes)| (name, bytes.as_bytes().to_vec())).collect()
}

/// The same with the types of their fields.
fn typed<'c>(layout: &Layout, columns: &'c [(String, Vec<u8>)]) -> Vec<(&'c str, FieldType, &'c [u8])> {
    columns.iter().map(|(name, bytes)| (name.as_str(), field(layout, name), bytes.as_slice())).collect()
}

#[pymethods]
impl World {
    #[new]
    fn new(
        py: Python<'_>,
        layout: &str,
        region: Option<&str>,
        keep_region: bool,
        replace: bool,
        keep_generations: usize,
    ) -> PyResult<Self> {
        let target = target(region)?;
        let layout = Layout::parse(layout, "layout").map_err(|error| of_world(&error.into()))?;
        if replace && region.is_some() {
            match py.detach(|| hypostyle::regions::clean(&target)) {
                Ok(()) | Err(RegionError::NotFound { .. }) => {}
                Err(error) => return Err(of_region(&error)),
            }
        }
        let builder = hypostyle::World::builder().layout(layout).region(target).keep_region(keep_region);
        let made = py.detach(|| builder.keep_generations(keep_generations).build());
        World::of(made.map_err(|error| of_world(&error))?)
    }

    #[staticmethod]
    fn resume(py: Python<'_>, region: &str, keep_region: bool) -> PyResult<Self> {
        let target = target(Some(region))?;
        let made = py.detach(|| hypostyle::World::builder().keep_region(keep_region).resume(&target));
        World::of(made.map_err(|error| of_world(&error))?)
    }

    /// A world that goes on from a checkpoint, or from a frame of a journal.
    #[staticmethod]
    fn restore(py: Python<'_>, source: &str, region: Option<&str>, keep_region: bool) -> PyResult<Self> {
        let source = Source::parse(source)?;
        let builder = hypostyle::World::builder().region(target(region)?).keep_region(keep_region);
        let Some(made) = py.detach(|| source.restore(builder))? else {
            let message = format!("{source} is no checkpoint and no journal: to go on from a region, resume it");
            return Err(error("RegionNotFoundError", message));
        };
        World::of(made)
    }

    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        check_outside()?;
        if self.is_forked() {
            // the copy goes with the process, and what is behind it is the maker's
            return Ok(());
        }
        if py.detach(|| self.lock().world().is_some()) {
            check_not_lent()?;
        }
        // What closes a region, or ends workers, may take a while.
        let ended = py.detach(|| {
            let ended = self.end_recording();
            drop(std::mem::replace(&mut *self.lock(), State::Closed));
            ended
        });
        ended.map(drop).map_err(|failed| of_journal(&failed))
    }

    fn layout<'py>(&self, py: Python<'py>) -> LayoutParts<'py> {
        parts(py, &self.layout)
    }

    /// Frame, time, newest generation, entities.
    fn state(&self, py: Python<'_>) -> PyResult<(u64, f64, u64, u64)> {
        self.with(py, |world| Ok((world.frame(), world.time(), world.generation(), world.entity_count())))
    }

    /// Makes room for so many more entities with these components.
    fn reserve(&self, py: Python<'_>, count: u64, components: Vec<String>) -> PyResult<()> {
        self.change(py, |world| world.reserve_named(components.iter().map(String::as_str), count))
    }

    /// Spawns entities with these components; columns by name, as the bytes of their values. The handles, 8 bytes each.
    fn spawn<'py>(
        &self,
        py: Python<'py>,
        count: usize,
        components: Vec<String>,
        columns: Vec<(String, Bound<'py, PyBytes>)>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let columns = owned(columns);
        let spawned = self.change(py, |world| {
            let fields: Vec<FieldType> = columns.iter().map(|(name, _)| field(world.layout(), name)).collect();
            let mut spawn = world.spawn_columns(count);
            for component in &components {
                spawn = spawn.with_named(component);
            }
            for ((name, bytes), ty) in columns.iter().zip(fields) {
                spawn = spawn.column_bytes(name, ty, bytes);
            }
            spawn.spawn()
        })?;
        Ok(PyBytes::new(py, bytemuck::cast_slice(&spawned)))
    }

    /// Sets columns of entities, 8 bytes each: of each one value for each of them. All of it, or nothing.
    fn set(&self, py: Python<'_>, entities: &[u8], columns: Vec<(String, Bound<'_, PyBytes>)>) -> PyResult<()> {
        let (entities, columns) = (handles(entities), owned(columns));
        self.change(py, |world| {
            let columns = typed(world.layout(), &columns);
            world.set_columns(&entities, &columns)
        })
    }

    /// Gives entities a component, 8 bytes each, with one value for each of them in the columns. All of it, or nothing.
    fn add(
        &self,
        py: Python<'_>,
        entities: &[u8],
        component: &str,
        columns: Vec<(String, Bound<'_, PyBytes>)>,
    ) -> PyResult<()> {
        let (entities, columns) = (handles(entities), owned(columns));
        self.change(py, |world| {
            let columns = typed(world.layout(), &columns);
            world.add_columns(&entities, component, &columns)
        })
    }

    /// Takes a component from entities; how many had it. All of it, or nothing.
    fn remove(&self, py: Python<'_>, entities: &[u8], component: &str) -> PyResult<u64> {
        let entities = handles(entities);
        self.change(py, |world| world.remove_named(&entities, component))
    }

    /// Ends the lives of entities, 8 bytes each. All of them must live.
    fn despawn(&self, py: Python<'_>, entities: &[u8]) -> PyResult<()> {
        let entities = handles(entities);
        self.change(py, |world| world.despawn_batch(&entities))
    }

    fn contains(&self, py: Python<'_>, entity: u64) -> PyResult<bool> {
        self.with(py, |world| Ok(world.contains(Entity::from_bits(entity))))
    }

    fn resource<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let bytes = self.with(py, |world| Ok(world.resource_bytes(name)?.map(<[u8]>::to_vec)))?;
        Ok(bytes.map(|bytes| PyBytes::new(py, &bytes)))
    }

    fn set_resource(&self, py: Python<'_>, name: &str, packed: &[u8]) -> PyResult<()> {
        self.change(py, |world| world.set_resource_bytes(name, packed))
    }

    /// Joins the world with systems and workers: from now on it can be stepped.
    #[pyo3(signature = (systems, stages, workers, command, publish_every, fuse, main_helps, tracing, strict, loops, seed, inputs, steerable))]
    #[expect(clippy::too_many_arguments, reason = "Python's side of it names them")]
    fn schedule(
        &self,
        py: Python<'_>,
        systems: Vec<Listed>,
        stages: Vec<(String, String)>,
        workers: &str,
        command: Option<(String, Vec<String>)>,
        publish_every: u64,
        fuse: bool,
        main_helps: bool,
        tracing: bool,
        strict: bool,
        loops: Vec<DeclaredLoop>,
        seed: u64,
        inputs: Vec<String>,
        steerable: bool,
    ) -> PyResult<()> {
        check_outside()?;
        self.check_maker()?;
        check_not_lent()?;
        let workers: Workers = workers.parse().map_err(|error| PyValueError::new_err(format!("{error}")))?;
        let schedule = schedule(systems, stages, loops)?;
        let mut builder = Simulation::builder().workers(workers).publish_every(publish_every).fuse(fuse);
        builder = builder.main_helps(main_helps).tracing(tracing).strict(strict).seed(seed);
        builder = builder.inputs(inputs).steerable(steerable);
        if let Some((program, args)) = command {
            builder = builder.worker_command(WorkerCommand { program: program.into(), args });
        }
        let made = py.detach(|| {
            let mut state = self.lock();
            match std::mem::replace(&mut *state, State::Closed) {
                State::World(world) => {
                    let mut world = Some(*world);
                    let made = builder.build_from(&mut world, schedule);
                    *state = match (made, world) {
                        (Ok(simulation), _) => State::Simulation(Box::new(simulation)),
                        (Err(error), None) => return Err(Some(error)),
                        (Err(error), Some(world)) => {
                            *state = State::World(Box::new(world));
                            return Err(Some(error));
                        }
                    };
                    Ok(())
                }
                other => {
                    *state = other;
                    Err(None)
                }
            }
        });
        made.map_err(|failed| match failed {
            Some(failed) => of_step(&failed),
            None if py.detach(|| self.lock().world().is_none()) => self.closed(),
            None => error("HypostyleError", "the world has a simulation already: close that first".to_owned()),
        })
    }

    /// Ends the workers, and takes the systems off the world.
    fn unschedule(&self, py: Python<'_>) -> PyResult<()> {
        check_outside()?;
        if self.is_forked() {
            return Ok(());
        }
        py.detach(|| {
            let mut state = self.lock();
            *state = match std::mem::replace(&mut *state, State::Closed) {
                State::Simulation(simulation) => State::World(Box::new(simulation.into_world())),
                other => other,
            };
        });
        Ok(())
    }

    /// Runs frames and returns the call's result. `publish_every`: how often generations are made meanwhile. Signals
    /// are looked at several times a second, between frames.
    fn run<'py>(&self, py: Python<'py>, frames: u64, dt: f64, publish_every: u64) -> PyResult<Bound<'py, PyDict>> {
        check_outside()?;
        self.check_maker()?;
        let _ = take_raised();
        let mut total = Total::default();
        let (mut left, mut pass) = (frames, 1);
        loop {
            check_not_lent()?;
            // a recorder wants every generation, the newest of which it finds after a pass
            let now = left.min(if self.is_recorded() { pass.min(publish_every.max(1)) } else { pass });
            let begun = Instant::now();
            let report = py.detach(|| {
                let mut state = self.lock();
                let simulation = state.simulation()?;
                simulation.set_publish_every(publish_every);
                simulation.run(now, dt).map(|report| total.add(report))
            });
            report.map_err(|failed| {
                let raised = take_raised();
                match raised {
                    // an interrupt, or an exit
                    Some(raised) if !raised.is_instance_of::<PyException>(py) => raised,
                    raised => {
                        let failed = of_step(&failed);
                        failed.set_cause(py, raised);
                        failed
                    }
                }
            })?;
            py.detach(|| self.record_newest()).map_err(|failed| of_journal(&failed))?;
            left -= now;
            if left == 0 {
                break;
            }
            py.check_signals()?;
            // as many frames as leave the signals alone for some tens of milliseconds
            pass = match begun.elapsed() {
                took if took < LOOK / 2 => pass.saturating_mul(2),
                took if took > LOOK => (pass / 2).max(1),
                _ => pass,
            };
        }
        let skipped = total.skipped.then(|| self.skipped(py, total.frame));
        total.into_dict(py, skipped)
    }

    /// The plan, to read.
    fn plan(&self, py: Python<'_>) -> PyResult<String> {
        self.simulate(py, |simulation| Ok(simulation.plan().to_string()))
    }

    /// How the run is steered; None: it is not steerable.
    fn steering(&self, py: Python<'_>) -> PyResult<Option<Steering>> {
        self.simulate(py, |simulation| Ok(simulation.steering().map(Steering::new)))
    }

    /// The workers that there are, and why they are not those that were asked for.
    fn workers(&self, py: Python<'_>) -> PyResult<(String, Option<String>)> {
        self.simulate(py, |simulation| {
            let notice = simulation.workers();
            Ok((notice.actual.to_string(), notice.fallback.clone()))
        })
    }

    /// How each worker is doing: index, process id, whether it takes jobs, jobs, deaths, seconds in kernels, whether it is
    /// given up.
    #[expect(clippy::type_complexity, reason = "Python's side of it names them")]
    fn worker_status(&self, py: Python<'_>) -> PyResult<Vec<(usize, Option<u32>, bool, u64, u64, f64, bool)>> {
        self.simulate(py, |simulation| {
            let status = simulation.worker_status();
            let parts = status.iter().map(|worker| {
                let seconds = worker.busy_ns as f64 * 1e-9;
                (worker.index, worker.pid, worker.alive, worker.jobs, worker.deaths, seconds, worker.given_up)
            });
            Ok(parts.collect())
        })
    }

    fn set_payload(&self, py: Python<'_>, system: &str, payload: Vec<u8>) -> PyResult<()> {
        self.check_maker()?;
        self.simulate(py, |simulation| Ok(simulation.set_payload(system, payload)?))
    }

    /// The generation's number.
    fn publish(&self, py: Python<'_>) -> PyResult<u64> {
        let published = self.change(py, |world| Ok((world.publish()?, world.frame())))?;
        py.detach(|| self.record_newest()).map_err(|failed| of_journal(&failed))?;
        match published {
            (Publication::Published(generation), _) => Ok(generation),
            (Publication::Skipped { .. }, frame) => Err(error("NotPublishedError", self.skipped(py, frame))),
        }
    }

    /// Goes back by so many frames. The frame it stands at, and how many were undone.
    fn rollback(&self, py: Python<'_>, frames: u64) -> PyResult<(u64, u64)> {
        check_outside()?;
        self.check_maker()?;
        check_not_lent()?;
        let done = py.detach(|| match &mut *self.lock() {
            State::World(world) => Some(world.rollback(frames).map_err(|failed| of_world(&failed))),
            State::Simulation(simulation) => Some(simulation.rollback(frames).map_err(|failed| of_world(&failed))),
            State::Closed => None,
        });
        let back = done.ok_or_else(|| self.closed())??;
        py.detach(|| self.record_newest()).map_err(|failed| of_journal(&failed))?;
        Ok((back.frame, back.undone))
    }

    /// Begins to write every generation into a journal.
    fn record(&self, py: Python<'_>, directory: PathBuf, checkpoint_every: u64, skip: bool) -> PyResult<()> {
        check_outside()?;
        self.check_maker()?;
        let options = recorder_options(directory, checkpoint_every, skip);
        let begun = py.detach(|| {
            let state = self.lock();
            let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
            match (state.world(), &*recorder) {
                (None, _) => return Err(self.closed()),
                (_, Some(other)) => {
                    let message = format!("the world is recorded to {} already", other.directory().display());
                    return Err(error("HypostyleError", message));
                }
                (Some(world), None) => {
                    *recorder = Some(Recorder::start(world, options).map_err(|failed| of_journal(&failed))?);
                }
            }
            Ok(())
        });
        begun?;
        py.detach(|| self.record_newest()).map_err(|failed| of_journal(&failed))
    }

    /// Ends a recording; None: there is none.
    fn stop_recording<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        check_outside()?;
        self.check_maker()?;
        let done = py.detach(|| self.end_recording()).map_err(|failed| of_journal(&failed))?;
        done.map(|done| recorded(py, &done)).transpose()
    }

    fn pin(&self, py: Python<'_>) -> PyResult<Pin> {
        self.with(py, |_| Ok(()))?;
        Ok(Pin::new(py.detach(|| self.reader.pin()).map_err(|error| of_snapshot(&error))?))
    }
}

/// The type of a field by its whole name; any, where there is none: whoever uses it finds that out.
fn field(layout: &Layout, name: &str) -> FieldType {
    let found = name.split_once('.').and_then(|(component, field)| {
        let (_, declared) = layout.component(component)?;
        declared.fields.iter().find(|other| other.name == field).map(|found| found.ty)
    });
    found.unwrap_or(FieldType::scalar(ScalarType::U8))
}
