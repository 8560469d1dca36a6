//! Which rows of others systems look at, and how a world's rows are spread for it.
#![forbid(unsafe_code)]

use crate::bricks::Cells;

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
}

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
        Domain { cells, key: (component.to_owned(), field.to_owned()), reach }
    }

    /// The name of the column of the keys.
    #[must_use]
    pub fn key_column(&self) -> String {
        format!("{}.{}", self.key.0, self.key.1)
    }
}
