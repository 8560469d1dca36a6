//! hypostyle
#![allow(dead_code)]
mod primitive;
pub mod limits;
pub mod layout;
mod component;
mod column;
mod os;
mod region;
mod world;
mod snapshot;
mod schedule;
mod worker;
mod patch;
mod commit;
#[cfg(all(test, loom))]
mod tracked;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

extern crate self as hypostyle;

pub use column::{ColumnCursor, Mut};
pub use component::{Bool, ColumnItem, Component, Entity, Field, Plain, Resource, Scalar};
pub use hypostyle_derive::{Component, Resource};
pub use layout::{
    ComponentLayout, FieldLayout, FieldType, Layout, LayoutError, ResourceLayout, ScalarType, Storage, TableHint,
};

/// What the code that the derives write refers to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use std::string::String;
    pub use std::vec::Vec;

    pub use bytemuck;

    pub use crate::column::{ColumnCursor, Mut};
    pub use crate::component::{ColumnItem, Component, Field, Plain, Resource};
    pub use crate::layout::{FieldLayout, Storage};
}
