//! The scenes that come with the engine: their worlds and their systems, to be run from Python.
#![forbid(unsafe_code)]

use hypostyle::layout::did_you_mean;
use hypostyle::{Schedule, System};
use pyo3::prelude::*;

use crate::errors::error;
use crate::world::{World, target};
use hypostyle_scenes::{self as scenes, Scene, SceneOptions};

/// A scene with what decides it.
#[derive(Clone)]
pub(crate) struct Chosen {
    scene: &'static dyn Scene,
    options: SceneOptions,
}

impl Chosen {
    fn new(name: &str, entities: Option<u64>, seed: u64) -> PyResult<Self> {
        let scene = scenes::find(name).ok_or_else(|| {
            let known: Vec<&str> = scenes::all().iter().map(|scene| scene.name()).collect();
            let hint = did_you_mean(name, known.iter().copied());
            error("UnknownNameError", format!("there is no scene `{name}`{hint}; there are {}", known.join(", ")))
        })?;
        Ok(Chosen { scene, options: SceneOptions::new(entities, seed) })
    }
}

/// A `hypostyle.NativeSystem`, attribute by attribute.
#[derive(FromPyObject)]
pub(crate) struct Native {
    name: String,
    scene: String,
    entities: Option<u64>,
    seed: u64,
}

impl Native {
    pub(crate) fn system(self) -> PyResult<System> {
        let chosen = Chosen::new(&self.scene, self.entities, self.seed)?;
        let mut schedule: Schedule = chosen.scene.schedule(&chosen.options);
        schedule
            .take(&self.name)
            .ok_or_else(|| error("UnknownNameError", format!("scene `{}` has no system `{}`", self.scene, self.name)))
    }
}

/// A scene's one line about itself, entities, step of time, frames of a run, and the names of its systems.
type About = (&'static str, u64, f64, Option<u64>, Vec<String>);

/// The names of all scenes.
#[pyfunction]
pub(crate) fn scene_names() -> Vec<&'static str> {
    scenes::all().iter().map(|scene| scene.name()).collect()
}

/// What a scene says of itself.
#[pyfunction]
pub(crate) fn scene_about(name: &str, entities: Option<u64>, seed: u64) -> PyResult<About> {
    let Chosen { scene, options } = Chosen::new(name, entities, seed)?;
    let names = scene.schedule(&options).names().map(str::to_owned).collect();
    let entities = options.entities.unwrap_or(scene.default_entities());
    Ok((scene.about(), entities, scene.dt(), scene.default_frames(), names))
}

/// A scene's world as it begins.
#[pyfunction]
pub(crate) fn scene_world(
    py: Python<'_>,
    name: &str,
    entities: Option<u64>,
    seed: u64,
    region: Option<&str>,
    keep_region: bool,
) -> PyResult<World> {
    let Chosen { scene, options } = Chosen::new(name, entities, seed)?;
    let builder = hypostyle::World::builder().region(target(region)?).keep_region(keep_region);
    let made = py.detach(|| scene.world(&options, builder).map_err(|failed| failed.to_string()));
    World::of(made.map_err(|failed| error("HypostyleError", failed))?)
}

/// What a scene says of a world: energies, counts.
#[pyfunction]
pub(crate) fn scene_observe(py: Python<'_>, name: &str, world: &World) -> PyResult<Vec<(String, String)>> {
    let Chosen { scene, .. } = Chosen::new(name, None, 0)?;
    let lines = world.observe(py, |world| scene.observe(world).map_err(|failed| failed.to_string()))?;
    let lines = lines.map_err(|failed| error("HypostyleError", failed))?;
    Ok(lines.into_iter().map(|line| (line.label, line.value)).collect())
}
