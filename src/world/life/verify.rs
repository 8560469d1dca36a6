//! Whether the state of a world that was made of foreign bytes is one: see [`crate::generation::check`].
#![forbid(unsafe_code)]

use crate::generation::SnapshotError;
use crate::generation::check::{Check, Looked};
use crate::limits::CHUNK_ROWS;
use crate::table::Item;

use crate::world::store::Store;

/// Checks the store of a world that was restored or taken over, as generation `generation` after `frame`.
pub(in crate::world) fn check(store: &Store, generation: u64, frame: u64) -> Result<(), SnapshotError> {
    let mut check = Check::new(generation, frame, store.pools())?;
    for (index, table) in store.tables.iter().enumerate() {
        let rows = u64::from(table.rows);
        for column in table.published_columns() {
            let used = match column.item {
                Item::Bytes(bytes) => rows * u64::from(bytes),
                Item::Bit => rows.div_ceil(64) * 8,
            };
            let stamps_at = column.live.offset + column.item.stamps_offset(table.capacity);
            check.stamps(store.arena.bytes(stamps_at, rows.div_ceil(CHUNK_ROWS as u64) * 8))?;
            let looked = Looked { table: index, kind: column.kind, item: column.item, rows: table.rows };
            check.rows(looked, store.arena.bytes(column.live.offset, used).into())?;
        }
    }
    check.end()
}
