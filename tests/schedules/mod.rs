//! Random schedules: what they are made of, which there are, how they run.
pub mod palette;
pub mod program;
pub mod run;
