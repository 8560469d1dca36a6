//! Which rows of others systems look at, and how a world's rows are spread for it.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use hypostyle::World;
use hypostyle::exchange::ExchangeError;

use crate::bricks::Cells;
use crate::error::ClusterError;

/// Which rows of others the systems of a world look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Looks {
    /// At none: any rank can have any row.
    #[default]
    Own,
    /// At those that are near: space is cut into bricks.
    Near(Domain),
    /// At all: each rank has its share in the order of global ids, and copies of what views read of the rows of all others.
    /// It takes that memory, and that message between any two ranks, on each.
    All,
}

impl Looks {
    /// The space of which systems look at a part.
    pub(crate) fn near(&self) -> Option<&Domain> {
        match self {
            Looks::Near(domain) => Some(domain),
            Looks::Own | Looks::All => None,
        }
    }
}

impl From<Domain> for Looks {
    fn from(domain: Domain) -> Looks {
        Looks::Near(domain)
    }
}

impl From<Option<Domain>> for Looks {
    fn from(domain: Option<Domain>) -> Looks {
        domain.map_or(Looks::Own, Looks::Near)
    }
}

/// The space of a world whose systems look at neighbours: cells, which column has a row's cell, how far systems look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The cells.
    pub cells: Cells,
    /// The column of the keys: component and field. Its values are `u32`, the numbers of cells.
    pub key: (String, String),
    /// So many cells off a system looks, along each axis.
    pub reach: [u32; 3],
    follows: Follows,
}

/// What cells and reach follow from, if they change.
#[derive(Clone, Default)]
struct Follows(Option<Arc<Follow>>);

type Follow = dyn Fn(&World) -> Result<(Cells, [u32; 3]), ExchangeError> + Send + Sync;

impl fmt::Debug for Follows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "the world" } else { "nothing" })
    }
}

impl PartialEq for Follows {
    fn eq(&self, other: &Follows) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Follows {}

impl Domain {
    /// Of cells, with the column that has the number of a row's cell (`cell.key`), and so many cells off that systems look.
    ///
    /// ```
    /// use hypostyle_mpi::{Domain, bricks::Cells};
    /// let cells = Cells { along: [10, 10, 10], periodic: [true; 3] };
    /// let domain = Domain::new(cells, "cell.key", [2; 3]);
    /// assert_eq!(domain.key_column(), "cell.key");
    /// ```
    #[must_use]
    pub fn new(cells: Cells, key: &str, reach: [u32; 3]) -> Self {
        let (component, field) = key.split_once('.').unwrap_or((key, ""));
        Domain { cells, key: (component.to_owned(), field.to_owned()), reach, follows: Follows::default() }
    }

    /// With cells and a reach that change: they are what `follow` makes of the world, asked anew at each sort by the key,
    /// before rows change ranks. Then space is cut anew, too, if they are others. They may depend on resources alone, which
    /// all ranks have alike: rows are not yet in their places. Ranks compare what they found.
    ///
    /// ```
    /// use hypostyle::{Resource, World};
    /// use hypostyle_mpi::{Domain, bricks::Cells};
    /// #[derive(Clone, Copy, Resource)]
    /// struct Grid { along: u32 }
    /// let cells = |along| Cells { along: [along; 3], periodic: [true; 3] };
    /// let domain = Domain::new(cells(10), "cell.key", [1; 3]).follow(move |world: &World| {
    ///     Ok((cells(world.resource::<Grid>()?.along), [1; 3]))
    /// });
    /// # let _ = domain;
    /// ```
    #[must_use]
    pub fn follow(
        mut self,
        follow: impl Fn(&World) -> Result<(Cells, [u32; 3]), ExchangeError> + Send + Sync + 'static,
    ) -> Self {
        self.follows = Follows(Some(Arc::new(follow)));
        self
    }

    /// Cells and reach as they are to be now; `None`: they never change.
    pub(crate) fn now(&self, world: &World) -> Result<Option<(Cells, [u32; 3])>, ClusterError> {
        let Some(follow) = &self.follows.0 else { return Ok(None) };
        follow(world)
            .map(Some)
            .map_err(|error| ClusterError::World(format!("the cells of `{}`: {error}", self.key_column())))
    }

    /// The name of the column of the keys.
    #[must_use]
    pub fn key_column(&self) -> String {
        format!("{}.{}", self.key.0, self.key.1)
    }
}
