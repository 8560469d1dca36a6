#![forbid(unsafe_code)]
//! Whether the entities of a generation that another process left agree with each other.
//!
//! A directory has a checksum; the columns that it names have none. What the engine itself relies on is looked at here,
//! once, when a region is taken over: that handles and the entity map lead to each other, row by row. What fields hold
//! is any bytes, and means no harm.

use crate::Entity;
use crate::generation::SnapshotError;
use crate::table::{ENTITIES, LOCATION_FREE, Location};

use super::store::Store;

/// Checks that every row's handle leads to that row and that nothing else is alive.
pub(super) fn check_entities(store: &Store) -> Result<(), SnapshotError> {
    let slots = store.tables[ENTITIES as usize].rows;
    let mut rows = 0;
    for (table, data) in store.data_tables() {
        for row in 0..data.rows {
            let handle = store.handle(table, row);
            let slot = handle.index();
            let agrees = slot < slots
                && handle.generation() < Entity::GENERATIONS_END
                && store.generation(slot) == handle.generation()
                && store.location_bits(slot) == Location { table, row }.to_bits();
            if !agrees {
                return Err(SnapshotError::Entities(format!(
                    "the handle in row {row} of table {table} is not its own"
                )));
            }
        }
        rows += u64::from(data.rows);
    }
    let alive = (0..slots).filter(|slot| store.location_bits(*slot) != LOCATION_FREE).count() as u64;
    if alive != rows {
        return Err(SnapshotError::Entities(format!("it has {alive} live entities and {rows} rows")));
    }
    Ok(())
}
