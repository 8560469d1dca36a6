//! Single cells of tables: where an entity is, which entity a row is, bits.
#![forbid(unsafe_code)]

use super::Store;
use crate::table::Location;

impl Store {
    /// The entity map's word of a slot in use.
    #[inline]
    pub(crate) fn location_bits(&self, slot: u32) -> u64 {
        self.arena.item(self.tables[0].columns[0].live.offset + 8 * u64::from(slot))
    }

    /// The generation of a slot in use.
    #[inline]
    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.arena.item(self.tables[0].columns[1].live.offset + 4 * u64::from(slot))
    }

    /// Where an entity is; `None` where the handle is stale.
    #[inline]
    pub(crate) fn locate(&self, entity: crate::Entity) -> Option<Location> {
        let slot = entity.index();
        let [map, ..] = &self.tables[..] else { return None };
        let [locations, generations, ..] = &map.columns[..] else { return None };
        if slot >= map.rows {
            return None;
        }
        // both are read whatever the first one says: neither waits for the other
        let location: u64 = self.arena.item(locations.live.offset + 8 * u64::from(slot));
        let generation: u32 = self.arena.item(generations.live.offset + 4 * u64::from(slot));
        if generation != entity.generation() { None } else { Location::from_bits(location) }
    }

    /// The handle of a row.
    pub(crate) fn handle(&self, table: u32, row: u32) -> crate::Entity {
        self.arena.item(self.tables[table as usize].columns[0].live.offset + 8 * u64::from(row))
    }

    /// A bit of a bit column.
    #[inline]
    pub(crate) fn bit(&self, table: u32, column: usize, row: u32) -> bool {
        let offset = self.tables[table as usize].columns[column].live.offset + u64::from(row / 64) * 8;
        self.arena.item::<u64>(offset) >> (row % 64) & 1 != 0
    }

    /// Sets a bit of a (building) bit column.
    #[inline]
    pub(crate) fn set_bit(&mut self, table: u32, column: usize, row: u32, value: bool) {
        let offset = self.tables[table as usize].columns[column].live.offset + u64::from(row / 64) * 8;
        let word: u64 = self.arena.item(offset);
        self.arena.set_word(offset, word & !(1 << (row % 64)) | u64::from(value) << (row % 64));
    }

    /// Sets `len` bits from `start` of a (building) bit column.
    pub(crate) fn set_bits(&mut self, table: u32, column: usize, start: u32, len: u32, value: bool) {
        if len == 0 {
            return;
        }
        let end = start + len;
        let first = start / 64;
        let last = (end - 1) / 64;
        let offset = self.tables[table as usize].columns[column].live.offset + u64::from(first) * 8;
        let words = self.arena.items_mut::<u64>(offset, (last - first + 1) as usize);
        let count = words.len();
        for (index, word) in words.iter_mut().enumerate() {
            let low = if index == 0 { u64::MAX << (start % 64) } else { u64::MAX };
            let high = if index + 1 == count && !end.is_multiple_of(64) { (1 << (end % 64)) - 1 } else { u64::MAX };
            let mask = low & high;
            *word = if value { *word | mask } else { *word & !mask };
        }
    }

    /// Whether the entity in this row has a component: the table has it, and its bit is set if it is a toggle.
    #[inline]
    pub(crate) fn has(&self, table: u32, row: u32, component: u16) -> bool {
        match self.tables[table as usize].shape.slot(component) {
            None => false,
            Some(slot) => slot.presence.is_none_or(|column| self.bit(table, usize::from(column), row)),
        }
    }
}
