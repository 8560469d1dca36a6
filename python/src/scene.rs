//! The scenes that come with the engine: their worlds and their systems, to be run from Python.
#![forbid(unsafe_code)]

use hypostyle::Schedule;
use hypostyle::layout::did_you_mean;
use pyo3::prelude::*;

use crate::errors::error;
use crate::world::{World, target};
use hypostyle_scenes::{self as scenes, Scene, SceneOptions, Watch};

/// A scene with what decides it.
#[derive(Clone)]
pub(crate) struct Chosen {
    scene: &'static dyn Scene,
    options: SceneOptions,
}

impl Chosen {
    fn new(name: &str, entities: Option<u64>, seed: u64, own: Options) -> PyResult<Self> {
        let scene = scenes::find(name).ok_or_else(|| {
            let known: Vec<&str> = scenes::all().iter().map(|scene| scene.name()).collect();
            let hint = did_you_mean(name, known.iter().copied());
            error("UnknownNameError", format!("there is no scene `{name}`{hint}; there are {}", known.join(", ")))
        })?;
        let known: Vec<&str> = scene.options().iter().map(|option| option.name).collect();
        if let Some((name, _)) = own.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let hint = did_you_mean(name, known.iter().copied());
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ").replace('-', "_") };
            let text = format!("scene `{}` has no option `{name}`{hint}; it has {known}", scene.name());
            return Err(error("UnknownNameError", text));
        }
        Ok(Chosen { scene, options: SceneOptions { own, ..SceneOptions::new(entities, seed) } })
    }
}

/// A `hypostyle.NativeSystem`, attribute by attribute.
#[derive(FromPyObject)]
pub(crate) struct Native {
    name: String,
    scene: String,
    entities: Option<u64>,
    seed: u64,
    options: Options,
}

impl Native {
    /// Adds the system to a schedule. The scene's own schedule, from which others of its systems can be taken, is kept.
    pub(crate) fn add_to(self, schedule: &mut Schedule, kept: &mut Vec<Kept>) -> PyResult<()> {
        let chosen = Chosen::new(&self.scene, self.entities, self.seed, self.options)?;
        let at = kept.iter().position(|each| each.scene == self.scene && each.options == chosen.options);
        let at = at.unwrap_or_else(|| {
            let schedule = chosen.scene.schedule(&chosen.options);
            kept.push(Kept { scene: self.scene.clone(), options: chosen.options, schedule });
            kept.len() - 1
        });
        let kept = &mut kept[at];
        let system = kept.schedule.take(&self.name);
        // one that is listed twice is the schedule's error
        let system = system.or_else(|| chosen.scene.schedule(&kept.options).take(&self.name));
        let none = || error("UnknownNameError", format!("scene `{}` has no system `{}`", self.scene, self.name));
        schedule.add(system.ok_or_else(none)?).take_loops(&mut kept.schedule);
        Ok(())
    }
}

/// A scene's schedule, without the systems that were taken from it.
pub(crate) struct Kept {
    scene: String,
    options: SceneOptions,
    schedule: Schedule,
}

/// Options that only one scene has, as text, by name.
type Options = Vec<(String, String)>;

/// A scene's one line about itself, entities, step of time, frames of a run, the names of its systems, and its options: name,
/// value, and one sentence each.
type About = (&'static str, u64, f64, Option<u64>, Vec<String>, Vec<(&'static str, &'static str, &'static str)>);

/// The names of all scenes.
#[pyfunction]
pub(crate) fn scene_names() -> Vec<&'static str> {
    scenes::all().iter().map(|scene| scene.name()).collect()
}

/// What a scene says of itself.
#[pyfunction]
pub(crate) fn scene_about(name: &str, entities: Option<u64>, seed: u64, own: Options) -> PyResult<About> {
    let Chosen { scene, options } = Chosen::new(name, entities, seed, own)?;
    let names = scene.schedule(&options).names().map(str::to_owned).collect();
    let entities = options.entities.unwrap_or(scene.default_entities());
    let own = scene.options().iter().map(|option| (option.name, option.value, option.about)).collect();
    Ok((scene.about(), entities, scene.dt(), scene.default_frames(), names, own))
}

/// A scene's world as it begins.
#[pyfunction]
pub(crate) fn scene_world(
    py: Python<'_>,
    name: &str,
    entities: Option<u64>,
    seed: u64,
    own: Options,
    region: Option<&str>,
    keep_region: bool,
) -> PyResult<World> {
    let Chosen { scene, options } = Chosen::new(name, entities, seed, own)?;
    let builder = hypostyle::World::builder().region(target(region)?).keep_region(keep_region);
    let made = py.detach(|| scene.world(&options, builder).map_err(|failed| failed.to_string()));
    World::of(made.map_err(|failed| error("HypostyleError", failed))?)
}

/// What a scene says of a world: energies, counts.
#[pyfunction]
pub(crate) fn scene_observe(py: Python<'_>, name: &str, world: &World) -> PyResult<Vec<(String, String, f64)>> {
    let Chosen { scene, .. } = Chosen::new(name, None, 0, Options::new())?;
    let lines = world.observe(py, |world| scene.observe(world).map_err(|failed| failed.to_string()))?;
    let lines = lines.map_err(|failed| error("HypostyleError", failed))?;
    Ok(lines.into_iter().map(|line| (line.label, line.value, line.number)).collect())
}

/// What looks at a scene's world while it runs, and writes files: those that the scene's options name.
#[pyclass(unsendable, module = "hypostyle._native")]
pub(crate) struct Watches(Vec<Box<dyn Watch>>);

#[pymethods]
impl Watches {
    #[new]
    fn new(name: &str, entities: Option<u64>, seed: u64, own: Options) -> PyResult<Self> {
        let Chosen { scene, options } = Chosen::new(name, entities, seed, own)?;
        scene.watches(&options).map(Watches).map_err(|failed| error("HypostyleError", failed.to_string()))
    }

    /// Frames until one of them wants to look again; None: there are none.
    fn until(&self, frame: u64) -> Option<u64> {
        self.0.iter().map(|watch| watch.every() - frame % watch.every()).min()
    }

    /// Lets those look whose turn it is.
    fn look(&mut self, world: &World) -> PyResult<()> {
        world
            .look(|world| {
                let mut due = self.0.iter_mut().filter(|watch| world.frame().is_multiple_of(watch.every()));
                due.try_for_each(|watch| watch.look(world)).map_err(|failed| failed.to_string())
            })?
            .map_err(|failed| error("HypostyleError", failed))
    }
}
