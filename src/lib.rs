//! hypostyle
mod primitive;
pub mod limits;
pub mod layout;
mod component;
mod column;
