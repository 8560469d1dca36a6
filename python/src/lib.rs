//! The native half of the Python package: regions, pins, and memory that numpy sees as arrays.
//!
//! Invariants
//! - Memory is handed out only together with a share of the pin that keeps it: whoever holds an array holds the pin. Memory
//!   of a job comes with a share of its token, and a job that ends while others have shares has failed.
//! - Arrays of snapshots are read-only, and so are the pages beneath them.
//! - What waits, or asks the system, does so without the interpreter's lock.
//!
//! It knows neither numpy nor Arrow: arrays are made in Python, of `Memory`'s array interface.

mod arrays;
mod errors;
mod file;
mod inputs;
mod job;
mod journal;
mod layout;
mod memory;
mod pin;
mod region;
mod scene;
mod small;
mod space;
mod steering;
mod system;
mod world;

use pyo3::prelude::*;

/// What the Python package is built on. Not for use by hand.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<region::Reader>()?;
    module.add_class::<pin::Pin>()?;
    module.add_class::<inputs::InputSender>()?;
    module.add_class::<steering::Steering>()?;
    module.add_class::<journal::Journal>()?;
    module.add_class::<journal::Walk>()?;
    module.add_class::<memory::Memory>()?;
    module.add_class::<world::World>()?;
    module.add_class::<job::Job>()?;
    module.add_function(wrap_pyfunction!(system::serve, module)?)?;
    module.add_function(wrap_pyfunction!(region::regions, module)?)?;
    module.add_function(wrap_pyfunction!(region::ranks, module)?)?;
    module.add_function(wrap_pyfunction!(pin::joined_hash, module)?)?;
    module.add_function(wrap_pyfunction!(pin::joined_checkpoint, module)?)?;
    module.add_function(wrap_pyfunction!(small::small_values, module)?)?;
    module.add_function(wrap_pyfunction!(small::small_nearest, module)?)?;
    module.add_function(wrap_pyfunction!(layout::parse_layout, module)?)?;
    module.add_function(wrap_pyfunction!(layout::did_you_mean, module)?)?;
    module.add_function(wrap_pyfunction!(region::clean, module)?)?;
    module.add_function(wrap_pyfunction!(region::clean_stale, module)?)?;
    module.add_function(wrap_pyfunction!(scene::scene_names, module)?)?;
    module.add_function(wrap_pyfunction!(scene::scene_about, module)?)?;
    module.add_function(wrap_pyfunction!(scene::scene_world, module)?)?;
    module.add_function(wrap_pyfunction!(scene::scene_observe, module)?)?;
    module.add_class::<scene::Watches>()?;
    module.add_function(wrap_pyfunction!(space::space_box, module)?)?;
    module.add_function(wrap_pyfunction!(space::space_wrap, module)?)?;
    module.add_function(wrap_pyfunction!(space::space_between, module)?)?;
    module.add_function(wrap_pyfunction!(space::space_cells, module)?)?;
    module.add_function(wrap_pyfunction!(space::space_keys, module)?)?;
    module.add_function(wrap_pyfunction!(space::space_starts, module)?)?;
    module.add_class::<space::Search>()?;
    module.add_function(wrap_pyfunction!(space::space_is_used_up, module)?)?;
    module.add_function(wrap_pyfunction!(space::space_curve, module)?)?;
    Ok(())
}
