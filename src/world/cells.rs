#![forbid(unsafe_code)]
//! Single cells of tables: where an entity is, which entity a row is, bits, and packed values to read.

use super::column::Item;
use super::store::{Location, Store};

impl Store {
    /// The entity map's word of a slot in use.
    pub(crate) fn location_bits(&self, slot: u32) -> u64 {
        self.arena.items::<u64>(self.tables[0].columns[0].live.offset + 8 * u64::from(slot), 1)[0]
    }

    /// The generation of a slot in use.
    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.arena.items::<u32>(self.tables[0].columns[1].live.offset + 4 * u64::from(slot), 1)[0]
    }

    /// Where an entity is; `None` where the handle is stale.
    pub(crate) fn locate(&self, entity: crate::Entity) -> Option<Location> {
        let slot = entity.index();
        if slot >= self.tables[0].rows || self.generation(slot) != entity.generation() {
            return None;
        }
        Location::from_bits(self.location_bits(slot))
    }

    /// The handle of a row.
    pub(crate) fn handle(&self, table: u32, row: u32) -> crate::Entity {
        let offset = self.tables[table as usize].columns[0].live.offset + 8 * u64::from(row);
        self.arena.items::<crate::Entity>(offset, 1)[0]
    }

    /// A bit of a bit column.
    pub(crate) fn bit(&self, table: u32, column: usize, row: u32) -> bool {
        let offset = self.tables[table as usize].columns[column].live.offset + u64::from(row / 64) * 8;
        self.arena.items::<u64>(offset, 1)[0] >> (row % 64) & 1 != 0
    }

    /// Sets a bit of a (building) bit column.
    pub(crate) fn set_bit(&mut self, table: u32, column: usize, row: u32, value: bool) {
        let offset = self.tables[table as usize].columns[column].live.offset + u64::from(row / 64) * 8;
        let word = &mut self.arena.items_mut::<u64>(offset, 1)[0];
        *word = *word & !(1 << (row % 64)) | u64::from(value) << (row % 64);
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
    pub(crate) fn has(&self, table: u32, row: u32, component: u16) -> bool {
        match self.tables[table as usize].shape.slot(component) {
            None => false,
            Some(slot) => slot.presence.is_none_or(|column| self.bit(table, usize::from(column), row)),
        }
    }

    /// Reads a component's packed value from a row of a table that has its columns.
    pub(crate) fn read_packed(&self, table: u32, row: u32, component: u16, out: &mut [u8]) {
        let t = &self.tables[table as usize];
        let slot = *t.shape.slot(component).expect("the caller looked the component up");
        let mut at = 0;
        for column in &t.columns[usize::from(slot.first)..usize::from(slot.first + slot.fields)] {
            let Item::Bytes(bytes) = column.item else { unreachable!("fields are stored in bytes") };
            let from = column.live.offset + u64::from(row) * u64::from(bytes);
            out[at..at + bytes as usize].copy_from_slice(self.arena.bytes(from, u64::from(bytes)));
            at += bytes as usize;
        }
    }
}
