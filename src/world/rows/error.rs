//! What can go wrong with rows on their way between worlds.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::world::error::WorldError;

/// What can go wrong with rows on their way between worlds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowBatchError {
    /// The world could not do it.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The bytes are not those of rows.
    #[error("these bytes are no batch of rows: {what}")]
    Malformed {
        /// What is wrong with them.
        what: String,
    },
    /// The rows are of a world with another layout.
    #[error(
        "the rows are of a world whose layout has the hash {got:016x}, and this one's has {want:016x}; worlds that exchange rows \
         have one layout"
    )]
    Layout {
        /// The hash of the rows' layout.
        got: u64,
        /// The hash of this world's layout.
        want: u64,
    },
    /// A row that the table does not have, or one that is asked for twice.
    #[error("row {row} is not one of the {rows} rows of table {table}, or is given twice")]
    Row {
        /// The table.
        table: usize,
        /// The row.
        row: u32,
        /// Rows that the table has.
        rows: u32,
    },
    /// A handle in a field names an entity that has no global id, by which it could be found elsewhere.
    #[error(
        "`{component}` of entity {entity} names entity {target}, which has no `global_id`: give it one when it is spawned, so \
         that the handle can travel"
    )]
    NoId {
        /// The entity whose row travels.
        entity: Entity,
        /// The component that has the handle.
        component: String,
        /// The entity that the handle names.
        target: Entity,
    },
    /// A row whose entity is to live elsewhere, and has no id.
    #[error(
        "entity {entity} has no `global_id`, by which what lives elsewhere is known here: give it one when it is spawned"
    )]
    Unnamed {
        /// The entity.
        entity: Entity,
    },
    /// A handle in a field names an entity that is not here.
    #[error(
        "`{component}` of a row that arrived names the entity with global id {id}, which is not in this world: rows travel \
         together with what they name, or dangling handles are made null (`Dangling::Null`)"
    )]
    Dangling {
        /// The component that has the handle.
        component: String,
        /// The global id of the entity that it names.
        id: u64,
    },
}

impl From<crate::RegionError> for RowBatchError {
    fn from(error: crate::RegionError) -> Self {
        RowBatchError::World(error.into())
    }
}
