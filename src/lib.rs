//! hypostyle
#![allow(dead_code)]
mod primitive;
pub mod limits;
pub mod layout;
mod component;
mod column;

mod patch;
mod snapshot;
#[cfg(all(test, loom))]
mod tracked;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
