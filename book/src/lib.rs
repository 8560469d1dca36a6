//! The blocks of Rust in the book (`docs/book`), as documentation tests; the rest of it is tested in `tests/book`.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/README.md")]
pub struct Introduction;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/cookbook.md")]
pub struct Cookbook;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/gateway.md")]
pub struct Gateway;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/history.md")]
pub struct History;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/lists.md")]
pub struct Lists;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/memory.md")]
pub struct Memory;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/neighbours.md")]
pub struct Neighbours;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/own-simulation.md")]
pub struct OwnSimulation;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/patches.md")]
pub struct Patches;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/porting.md")]
pub struct Porting;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/processes.md")]
pub struct Processes;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/queries.md")]
pub struct Queries;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/reductions.md")]
pub struct Reductions;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/resources.md")]
pub struct Resources;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/schedules.md")]
pub struct Schedules;

#[cfg(doctest)]
#[doc = include_str!("../../docs/book/who-sees-what.md")]
pub struct WhoSeesWhat;
