//! One hypostyle world over the ranks of MPI: each rank an ordinary world with a part of the rows.
//!
//! The modules stand in floors: each imports those above it only.

mod error;
mod meter;

pub mod launch;
pub mod transport;

mod comm;

pub mod bricks;
mod bytes;
mod domain;

mod cluster;

pub mod model;
mod publish;
pub mod set;

pub use cluster::{Balance, Cluster, Report};
pub use comm::{Comm, DEADLINE_DEFAULT, MESSAGE_BYTES_MAX, PART_BYTES_MAX, Traffic};
pub use domain::{Domain, Looks};
pub use error::ClusterError;
pub use meter::thread_cpu_time;
pub use publish::Publication;
