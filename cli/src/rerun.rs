//! Frames between the checkpoints of a run: the same systems on the same state, again.
//!
//! What `run` does follows from the scene, its entities, its seed and the number of frames alone, and checkpoints keep
//! all of these. So any frame can be had from the newest checkpoint before it, or from the scene's beginning, at the cost
//! of running the frames between.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use hypostyle::checkpoint::{self, CheckpointFile, Found};
use hypostyle::{Reader, Simulation, Workers, World, WorldBuilder};

use crate::failure::{self, Failure, Outcome};
use crate::scenes::{self, Scene, SceneOptions};

/// A run that left checkpoints.
pub(crate) struct Rerun {
    directory: PathBuf,
    /// The oldest first.
    found: Vec<Found>,
    scene: &'static dyn Scene,
    options: SceneOptions,
    notes: Vec<(String, String)>,
}

impl Rerun {
    /// Whether a directory has checkpoints.
    pub(crate) fn is_one(directory: &Path) -> bool {
        directory.is_dir() && checkpoint::in_directory(directory, None).is_ok_and(|found| !found.is_empty())
    }

    /// The run of which a directory has checkpoints.
    pub(crate) fn open(directory: &Path) -> Outcome<Rerun> {
        let mut found = checkpoint::in_directory(directory, None)?;
        found.reverse();
        let nothing = || Failure::new(failure::NOT_FOUND, format!("{} has no checkpoints", directory.display()));
        let files = found.iter().map(|found| checkpoint::open(&found.path)).collect::<Result<Vec<_>, _>>()?;
        let file = files.last().ok_or_else(nothing)?;
        let notes = file.notes().to_vec();
        let decisive =
            |file: &CheckpointFile| ["scene", "seed", "entities"].map(|name| file.note(name).map(str::to_owned));
        let [name, seed, entities] = decisive(file);
        if let Some(other) = files.iter().find(|other| decisive(other) != decisive(file)) {
            let (one, other) = (file.path().display(), other.path().display());
            return Err(Failure::usage(format!("{one} and {other} are of different runs: keep them apart")));
        }
        let (name, seed) = name.zip(seed).ok_or_else(|| {
            Failure::usage(format!("{} does not say of which scene and seed it is", file.path().display()))
        })?;
        let scene = scenes::command::scene(&name).map_err(|why| Failure::usage(format!("scene `{name}`: {why}")))?;
        let number = |text: String| {
            text.parse::<u64>().map_err(|_| Failure::usage(format!("a checkpoint's note `{text}` is no number")))
        };
        let own = scene.options().iter().filter_map(|option| {
            let value = file.note(&format!("option.{}", option.name))?;
            Some((option.name.to_owned(), value.to_owned()))
        });
        let own = own.collect();
        let options = SceneOptions { entities: entities.map(number).transpose()?, seed: number(seed)?, own };
        Ok(Rerun { directory: directory.to_owned(), found, scene, options, notes })
    }

    /// What its checkpoints say beside the state.
    pub(crate) fn notes(&self) -> &[(String, String)] {
        &self.notes
    }

    /// The newest checkpoint's frame.
    pub(crate) fn last(&self) -> u64 {
        self.found.last().map_or(0, |found| found.frame)
    }

    /// The world as it was after a frame, in a region of the builder's.
    pub(crate) fn at(&self, frame: u64, builder: WorldBuilder) -> Outcome<Frames> {
        if frame > self.last() {
            let (path, last) = (self.directory.display(), self.last());
            let message = format!("the checkpoints in {path} end at frame {last}, before frame {frame}");
            return Err(Failure::new(failure::NOT_FOUND, message));
        }
        for found in self.found.iter().rev().filter(|found| found.frame <= frame) {
            let file = checkpoint::open(&found.path)?;
            match file.verify()?.damaged.first() {
                None => return self.frames(file.restore(builder)?, frame),
                Some(damage) => tracing::warn!(%damage, "going on from an earlier checkpoint"),
            }
        }
        let world = self.scene.world(&self.options, builder).map_err(|error| Failure::of(error.as_ref()))?;
        self.frames(world, frame)
    }

    /// The world before its first frame.
    pub(crate) fn begin(&self) -> Outcome<Frames> {
        let world = self.scene.world(&self.options, World::builder());
        self.frames(world.map_err(|error| Failure::of(error.as_ref()))?, 0)
    }

    fn frames(&self, world: World, frame: u64) -> Outcome<Frames> {
        let builder = Simulation::builder().workers(Workers::Auto).publish_every(u64::MAX);
        let simulation = builder.build(world, self.scene.schedule(&self.options))?;
        let mut frames = Frames { simulation, dt: self.scene.dt() };
        frames.run(frame)?;
        Ok(frames)
    }

    /// The hash that a checkpoint of a frame has, if there is one.
    pub(crate) fn hash_of(&self, frame: u64) -> Outcome<Option<(PathBuf, u64)>> {
        let Some(found) = self.found.iter().find(|found| found.frame == frame) else { return Ok(None) };
        let hash = checkpoint::open(&found.path)?.load()?.pin()?.hash();
        Ok(Some((found.path.clone(), hash)))
    }
}

/// A world that is being run again.
pub(crate) struct Frames {
    simulation: Simulation,
    dt: f64,
}

impl Frames {
    /// Runs up to a frame.
    pub(crate) fn run(&mut self, frame: u64) -> Outcome {
        let left = frame.saturating_sub(self.simulation.world().frame());
        if left > 0 {
            self.simulation.run(left, self.dt)?;
        }
        Ok(())
    }

    /// The world, to go on with.
    pub(crate) fn into_world(self) -> World {
        self.simulation.into_world()
    }

    /// The state, to be looked at.
    pub(crate) fn reader(&mut self) -> Outcome<Reader> {
        let mut reader = self.simulation.world().reader()?;
        let published = reader.newest() > 0 && reader.pin()?.frame() == self.simulation.world().frame();
        if !published && !self.simulation.world_mut().publish()?.is_published() {
            return Err(Failure::new(failure::OTHER, "the frame could not be published: there is no memory left"));
        }
        Ok(reader)
    }
}
