//! Which rows of tracked components a visit changed: their bytes are kept before it and compared after it, as with rows
//! that a job writes. Components that are not tracked cost nothing.
//!
//! Invariant: room for the changed bits was made before the visit, so that its end cannot fail.
#![forbid(unsafe_code)]

use crate::column::note_changes;
use crate::table::Item;
use crate::world::World;
use crate::world::error::WorldError;

use super::query::bit_runs;

/// Rows of a tracked component's column that a visit may write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub table: u32,
    pub component: u16,
    pub column: usize,
    /// The first one, and the one behind the last.
    pub rows: (u32, u32),
}

/// Rows of a column as they were.
#[derive(Debug)]
struct Before {
    table: u32,
    component: u16,
    column: usize,
    /// The first of the rows, a multiple of 64.
    first: u32,
    bytes: Vec<u8>,
}

/// A world that a visit changes. When it is dropped, also by a panic of the visitor, the rows that differ are marked.
pub(super) struct Compared<'w> {
    pub(super) world: &'w mut World,
    before: Vec<Before>,
}

impl<'w> Compared<'w> {
    /// Keeps rows of building columns as they are, and makes room for the changed bits. The columns of a component stand
    /// one after the other.
    pub(super) fn new(world: &'w mut World, written: &[Written]) -> Result<Self, WorldError> {
        let mut before = Vec::with_capacity(written.len());
        for Written { table, component, column, rows } in written {
            let parity = usize::from(world.parity());
            let store = &mut world.store;
            let changed = store.tables[*table as usize].shape.slot(*component).and_then(|slot| slot.changed);
            let Some(changed) = changed else { continue };
            store.write_partial(*table, usize::from(changed) + parity)?;
            let of = &store.tables[*table as usize].columns[*column];
            let Item::Bytes(row_bytes) = of.item else { continue };
            let first = rows.0 / 64 * 64;
            let at = of.live.offset + u64::from(first) * u64::from(row_bytes);
            let bytes = store.arena.items::<u8>(at, (rows.1 - first) as usize * row_bytes as usize).to_vec();
            before.push(Before { table: *table, component: *component, column: *column, first, bytes });
        }
        Ok(Compared { world, before })
    }

    fn mark(&mut self) -> Result<(), WorldError> {
        let parity = self.world.parity();
        let (mut words, mut runs) = (Vec::new(), Vec::new());
        // a component's columns stand one after the other
        for of_component in self.before.chunk_by(|a, b| (a.table, a.component) == (b.table, b.component)) {
            let Before { table, component, first, .. } = of_component[0];
            words.clear();
            runs.clear();
            let mut rows = 0;
            for Before { column, bytes, .. } in of_component {
                let column = &self.world.store.tables[table as usize].columns[*column];
                let Item::Bytes(row_bytes) = column.item else { continue };
                rows = bytes.len() as u32 / row_bytes;
                words.resize(rows.div_ceil(64) as usize, 0);
                let at = column.live.offset + u64::from(first) * u64::from(row_bytes);
                let after = self.world.store.arena.items::<u8>(at, bytes.len());
                note_changes(bytes, after, row_bytes as usize, &mut words);
            }
            bit_runs(0, rows, |word| words[word as usize], |from, to| runs.push((from, to)));
            for (from, to) in &runs {
                self.world.store.mark_changed(table, component, parity, first + from, to - from)?;
            }
        }
        Ok(())
    }
}

impl Drop for Compared<'_> {
    fn drop(&mut self) {
        if !self.before.is_empty() {
            self.mark().expect("`new` made room for the changed bits, and nobody published since");
        }
    }
}
