//! A scene that runs: frames, hashes, and snapshots of pinned generations.
//!
//! Invariant: an address that was told stays what it is until its snapshot is released.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use hypostyle::workers::HostedWorker;
use hypostyle::{OwnedSnapshot, Presence, Publication, Schedule, SharedReader, Simulation, TableView, Workers, World};

use crate::answer::Object;
use hypostyle_scenes::SceneOptions;

/// What runs.
pub(crate) struct About {
    pub(crate) scene: String,
    pub(crate) about: String,
    /// Simulated seconds of a frame.
    pub(crate) dt: f64,
}

/// A world under way.
pub(crate) struct Engine {
    about: About,
    simulation: Simulation,
    reader: SharedReader,
    snapshots: BTreeMap<u32, OwnedSnapshot>,
    snapshots_ever: u32,
    jobs_on_workers: u64,
}

impl Engine {
    /// Makes a scene's world and its workers.
    pub(crate) fn start(
        name: &str,
        entities: f64,
        seed: u64,
        threads: usize,
        publish_every: u64,
    ) -> Result<Engine, String> {
        let all = crate::offered();
        let scene = all.iter().copied().find(|scene| scene.name() == name).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|scene| scene.name()).collect();
            format!("there is no scene `{name}`; there are {}", names.join(", "))
        })?;
        if !(entities.fract() == 0.0 && (0.0..=4e9).contains(&entities)) {
            return Err(format!("{entities} entities: it must be a whole number from 1, or 0 for the scene's own"));
        }
        let entities = if entities > 0.0 { entities as u64 } else { scene.default_entities() };
        let options = SceneOptions::new(Some(entities), seed);
        let world = scene.world(&options, World::builder()).map_err(|error| error.to_string())?;
        let about = About { scene: name.to_owned(), about: scene.about().to_owned(), dt: scene.dt() };
        Engine::new(world, scene.schedule(&options), about, threads, publish_every)
    }

    /// Makes the workers of a world.
    pub(crate) fn new(
        world: World,
        schedule: Schedule,
        about: About,
        threads: usize,
        publish_every: u64,
    ) -> Result<Engine, String> {
        let workers = if threads == 0 { Workers::Local } else { Workers::Hosted(threads) };
        let simulation = Simulation::builder()
            .workers(workers)
            .publish_every(publish_every)
            .build(world, schedule)
            .map_err(|error| error.to_string())?;
        let reader = simulation.world().reader().map_err(|error| error.to_string())?.into();
        Ok(Engine { about, simulation, reader, snapshots: BTreeMap::new(), snapshots_ever: 0, jobs_on_workers: 0 })
    }

    /// What the host's threads are to run.
    pub(crate) fn hosted_workers(&mut self) -> Vec<HostedWorker> {
        self.simulation.hosted_workers()
    }

    /// What runs.
    pub(crate) fn about(&self) -> String {
        Object::new()
            .text("scene", &self.about.scene)
            .text("about", &self.about.about)
            .seconds("dt", self.about.dt)
            .number("entities", self.simulation.world().entity_count())
            .end()
    }

    /// Runs frames.
    pub(crate) fn step(&mut self, frames: u64) -> Result<String, String> {
        let report = self.simulation.run(frames, self.about.dt).map_err(|error| error.to_string())?;
        self.jobs_on_workers += report.jobs - report.jobs_on_main;
        let (frame, elapsed_ns) = (report.frame, report.elapsed.as_nanos() as u64);
        let world = self.simulation.world();
        let answer = Object::new().number("frame", frame).number("generation", world.generation());
        Ok(answer.seconds("time", world.time()).number("elapsedNs", elapsed_ns).end())
    }

    /// Has the newest state published.
    fn publish(&mut self) -> Result<(), String> {
        if self.reader.newest() > 0 {
            let pinned = self.reader.pin().map_err(|error| error.to_string())?;
            if pinned.snapshot().frame() == self.simulation.world().frame() {
                return Ok(());
            }
        }
        match self.simulation.world_mut().publish().map_err(|error| error.to_string())? {
            Publication::Skipped { .. } => {
                Err("snapshots hold all that a new generation needs: release some".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The newest state's hash.
    pub(crate) fn hash(&mut self) -> Result<String, String> {
        self.publish()?;
        let pinned = self.reader.pin().map_err(|error| error.to_string())?;
        Ok(format!("{:016x}", pinned.snapshot().hash()))
    }

    /// Pins the newest generation and says where its columns are.
    pub(crate) fn pin(&mut self) -> Result<String, String> {
        if self.reader.newest() == 0 {
            self.publish()?;
        }
        let pinned = self.reader.pin().map_err(|error| error.to_string())?;
        self.snapshots_ever += 1;
        let snapshot = pinned.snapshot();
        let answer = Object::new()
            .number("id", u64::from(self.snapshots_ever))
            .number("generation", snapshot.generation())
            .number("frame", snapshot.frame())
            .seconds("time", snapshot.time())
            .number("entities", snapshot.entity_count())
            .list("tables", snapshot.tables().map(|table| describe(&table, snapshot.layout())))
            .end();
        drop(snapshot);
        self.snapshots.insert(self.snapshots_ever, pinned);
        Ok(answer)
    }

    /// Lets a snapshot's generation go.
    pub(crate) fn release(&mut self, snapshot: u32) -> Result<String, String> {
        match self.snapshots.remove(&snapshot) {
            Some(_) => Ok(String::new()),
            None => Err(format!("there is no snapshot {snapshot}, or it was released before")),
        }
    }

    /// How frames and workers are doing.
    pub(crate) fn status(&self) -> String {
        let workers = self.simulation.worker_status();
        let worker = |status: &hypostyle::workers::WorkerStatus| {
            let about = Object::new().number("index", status.index as u64).number("alive", u64::from(status.alive));
            about.number("jobs", status.jobs).number("busyNs", status.busy_ns)
        };
        Object::new()
            .number("frame", self.simulation.world().frame())
            .number("entities", self.simulation.world().entity_count())
            .number("jobsOnWorkers", self.jobs_on_workers)
            .list("workers", workers.iter().map(worker))
            .end()
    }
}

/// A table's rows, and the address of each of its columns.
fn describe(table: &TableView<'_>, layout: &hypostyle::Layout) -> Object {
    let mut columns = vec![column("(entity)", "u64", 1, bytes_of(table.entities()))];
    for component in table.components() {
        let Some((_, declared)) = layout.component(component) else { continue };
        for field in &declared.fields {
            let name = format!("{component}.{}", field.name);
            if let Ok(Some((ty, bytes))) = table.column_bytes(&name) {
                columns.push(column(&name, ty.scalar.name(), u64::from(ty.array_len.max(1)), place(bytes)));
            }
        }
        if let Ok(Presence::Bits(words)) = table.presence(component) {
            columns.push(column(&format!("{component} (presence)"), "bits", 1, bytes_of(words)));
        }
    }
    Object::new().number("rows", table.rows() as u64).list("columns", columns)
}

fn column(name: &str, ty: &str, values: u64, (address, bytes): (u64, u64)) -> Object {
    Object::new()
        .text("name", name)
        .text("type", ty)
        .number("values", values)
        .number("at", address)
        .number("bytes", bytes)
}

fn bytes_of<T>(items: &[T]) -> (u64, u64) {
    (items.as_ptr().addr() as u64, size_of_val(items) as u64)
}

fn place(bytes: &[u8]) -> (u64, u64) {
    bytes_of(bytes)
}
