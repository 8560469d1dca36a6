//! hypostyle
#![allow(dead_code)]
mod column;
mod component;
pub mod layout;
pub mod limits;
mod primitive;

mod patch;
mod snapshot;
#[cfg(all(test, loom))]
mod tracked;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
