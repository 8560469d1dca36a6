//! What commands that run scenes share: a scene, its options and numbers on a command line.
#![forbid(unsafe_code)]

pub mod numbers;
mod own_options;

use hypostyle::layout::did_you_mean;

use crate::Scene;

pub use own_options::OwnOptions;

/// The scene of a name on the command line.
///
/// # Errors
/// There is none; the message names those there are.
pub fn scene(name: &str) -> Result<&'static dyn Scene, String> {
    crate::find(name).ok_or_else(|| {
        let known: Vec<_> = crate::all().iter().map(|scene| scene.name()).collect();
        let hint = did_you_mean(name, known.iter().copied());
        format!("there is no such scene{hint}; there are {}", known.join(", "))
    })
}
