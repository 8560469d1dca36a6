//! Derive macros of the hypostyle engine: `Component` and `Resource`.
