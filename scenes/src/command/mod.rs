//! What commands that run scenes share: a scene, its options and numbers on a command line.
#![forbid(unsafe_code)]

pub mod numbers;
mod own_options;
pub mod pace;
mod series;
mod worker;

use std::sync::OnceLock;

use hypostyle::layout::did_you_mean;

use crate::Scene;

pub use own_options::OwnOptions;
pub use series::Series;
pub use worker::{WorkerArgs, worker_command};

/// The scenes of this program's command line, where not all of this crate's.
static OFFERED: OnceLock<&'static [&'static dyn Scene]> = OnceLock::new();

/// Makes these the scenes of this program's command line, once, before it is parsed.
///
/// # Errors
/// No scene, two of one name, or another call was first.
pub fn offer(scenes: &'static [&'static dyn Scene]) -> Result<(), String> {
    let twice = |(at, scene): (usize, &&dyn Scene)| scenes[..at].iter().any(|other| other.name() == scene.name());
    if let Some((_, scene)) = scenes.iter().enumerate().find(|(at, scene)| twice((*at, scene))) {
        return Err(format!("two scenes are named `{}`: give one another name", scene.name()));
    }
    if scenes.is_empty() {
        return Err("there are no scenes: give the command line at least one".to_owned());
    }
    OFFERED.set(scenes).map_err(|_| "the scenes of this command line are set already".to_owned())
}

/// The scenes of this program's command line.
pub fn all() -> &'static [&'static dyn Scene] {
    OFFERED.get().copied().unwrap_or_else(crate::all)
}

/// The scene of a name on the command line.
///
/// # Errors
/// There is none; the message names those there are.
pub fn scene(name: &str) -> Result<&'static dyn Scene, String> {
    all().iter().copied().find(|scene| scene.name() == name).ok_or_else(|| {
        let known: Vec<_> = all().iter().map(|scene| scene.name()).collect();
        let hint = did_you_mean(name, known.iter().copied());
        format!("there is no such scene{hint}; there are {}", known.join(", "))
    })
}
