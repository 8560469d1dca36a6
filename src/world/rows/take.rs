//! Rows out of a world.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::layout::ScalarType;
use crate::table::{ColumnKind, Item, Location};
use crate::{Entity, GlobalId};

use super::batch::{Part, RowBatch, parts_of};
use super::error::RowBatchError;
use crate::world::World;
use crate::world::store::rows::gather;

impl World {
    /// Takes rows out of a table, with everything that they have, and despawns their entities: they go on elsewhere, where the batch
    /// is put in ([`World::put_rows`]). The batch has the rows in the order given. Rows behind them take their places, so that
    /// places of rows that were noted before are void.
    ///
    /// Handles in the rows' fields and lists travel as the [`GlobalId`]s of the entities that they name; those of dead entities
    /// as null. Handles of the taken entities that are left in this world are stale from now on.
    ///
    /// ```
    /// use hypostyle::{Component, Dangling, GlobalId, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let make = || World::builder().component::<GlobalId>().component::<Mass>().build();
    /// let (mut here, mut there) = (make()?, make()?);
    /// here.spawn_batch((0..9).map(|n| (GlobalId::root(n), Mass { kg: n as f64 })))?;
    /// let bytes = here.take_rows(0, &[3, 5])?.encode();
    /// let arrived = there.decode_rows(&bytes)?;
    /// let entities = there.put_rows(&[arrived], Dangling::Refuse)?;
    /// assert_eq!((here.entity_count(), there.get::<Mass>(entities[1])?.kg), (7, 5.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RowBatchError::Row`], [`RowBatchError::NoId`]; no memory. Nothing has changed then.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn take_rows(&mut self, table: usize, rows: &[u32]) -> Result<RowBatch, RowBatchError> {
        self.check_maker()?;
        let batch = self.copy_rows(table, rows)?;
        self.remove_rows(table, rows)?;
        Ok(batch)
    }

    /// Copies rows of a table, with everything that they have, and leaves them where they are: as [`World::take_rows`] does.
    ///
    /// # Errors
    /// [`RowBatchError::Row`], [`RowBatchError::NoId`].
    ///
    /// # Panics
    /// If there is no such table.
    pub fn copy_rows(&self, table: usize, rows: &[u32]) -> Result<RowBatch, RowBatchError> {
        self.check_rows(table, rows)?;
        let at = table as u32 + self.store.first_data;
        let entry = &self.store.tables[at as usize];
        let shape = Arc::clone(&entry.shape);
        let mut parts = Vec::with_capacity(shape.columns.len());
        for (column, &(kind, item)) in shape.columns.iter().enumerate() {
            match (kind, item) {
                (ColumnKind::Handle, _) | (ColumnKind::Span { part: 0, .. }, _) => {}
                (ColumnKind::Span { component, .. }, _) => self.copy_lists(at, component, rows, &mut parts),
                (_, Item::Bytes(bytes)) => {
                    let mut copy = vec![0; rows.len() * bytes as usize];
                    gather(bytes as usize, self.store.column_bytes(at, column), rows, &mut copy);
                    self.clear_absent(at, kind, rows, &mut copy);
                    parts.push(copy);
                }
                (_, Item::Bit) => {
                    let word = |rows: &[u32]| {
                        let bit = |(index, row): (usize, &u32)| u64::from(self.store.bit(at, column, *row)) << index;
                        rows.iter().enumerate().map(bit).fold(0, |word, bit| word | bit).to_le_bytes()
                    };
                    parts.push(rows.chunks(64).flat_map(word).collect());
                }
            }
        }
        let layout = Arc::clone(&self.registry.layout);
        let mut batch = RowBatch { layout, layout_hash: self.layout_hash, shape, rows: rows.len() as u32, parts };
        self.name_by_id(at, rows, &mut batch)?;
        Ok(batch)
    }

    /// Despawns the entities of rows.
    ///
    /// # Errors
    /// [`RowBatchError::Row`]; no memory. Nothing has changed then.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn remove_rows(&mut self, table: usize, rows: &[u32]) -> Result<(), RowBatchError> {
        self.check_maker()?;
        self.check_rows(table, rows)?;
        let handles = self.table_entities(table);
        let gone: Vec<Entity> = rows.iter().map(|row| handles[*row as usize]).collect();
        Ok(self.despawn_batch(&gone)?)
    }

    pub(super) fn check_rows(&self, table: usize, rows: &[u32]) -> Result<(), RowBatchError> {
        let known = self.table_rows(table) as u32;
        let mut sorted = rows.to_vec();
        sorted.sort_unstable();
        let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        match twice.or(sorted.last().copied().filter(|last| *last >= known)) {
            Some(row) => Err(RowBatchError::Row { table, row, rows: known }),
            None => Ok(()),
        }
    }

    /// Puts zeros, and null for handles, in the place of what is left in rows whose toggle is off.
    fn clear_absent(&self, table: u32, kind: ColumnKind, rows: &[u32], copy: &mut [u8]) {
        let ColumnKind::Field { component, field } = kind else { return };
        let presence = self.store.tables[table as usize].shape.slot(component).and_then(|slot| slot.presence);
        let Some(presence) = presence else { return };
        let ty = self.layout().components()[usize::from(component)].fields[usize::from(field)].ty;
        let nothing = if ty.scalar == ScalarType::Entity { u8::MAX } else { 0 };
        for (row, value) in rows.iter().zip(copy.chunks_exact_mut(ty.bytes())) {
            if !self.store.bit(table, usize::from(presence), *row) {
                value.fill(nothing);
            }
        }
    }

    /// Copies the lengths of rows' lists, and their elements field by field.
    fn copy_lists(&self, table: u32, component: u16, rows: &[u32], parts: &mut Vec<Vec<u8>>) {
        let Some((starts, lengths)) = self.store.spans(table, component) else { return };
        parts.push(rows.iter().flat_map(|row| lengths[*row as usize].to_le_bytes()).collect());
        let pool = self.store.pool(component);
        for column in 0..self.store.tables[pool as usize].columns.len() {
            let bytes = self.store.tables[pool as usize].columns[column].item.row_bytes() as usize;
            let elements = self.store.column_bytes(pool, column);
            let mut copy = Vec::new();
            for row in rows.iter().map(|row| *row as usize) {
                let (start, length) = (starts[row] as usize, lengths[row] as usize);
                copy.extend_from_slice(&elements[start * bytes..(start + length) * bytes]);
            }
            parts.push(copy);
        }
    }

    /// Puts global ids in the place of handles.
    fn name_by_id(&self, table: u32, rows: &[u32], batch: &mut RowBatch) -> Result<(), RowBatchError> {
        let mut lengths: Vec<usize> = Vec::new();
        for (index, part) in parts_of(&batch.layout, &batch.shape).into_iter().enumerate() {
            if let Part::Lengths { .. } = part {
                lengths = super::batch::lengths(&batch.parts[index]).map(|length| length as usize).collect();
            }
            let Some((component, ty)) = part.values().filter(|(_, ty)| ty.scalar == ScalarType::Entity) else {
                continue;
            };
            let handles = batch.parts[index].as_chunks_mut::<8>().0;
            for (place, bits) in handles.iter_mut().enumerate() {
                let target = Entity::from_bits(u64::from_le_bytes(*bits));
                let Some(at) = self.store.locate(target) else {
                    *bits = Entity::NULL.to_bits().to_le_bytes();
                    continue;
                };
                let Some(id) = self.global_id_at(at) else {
                    let row = match part {
                        Part::Elements { .. } => row_of_element(&lengths, place / ty.elements()),
                        _ => place / ty.elements(),
                    };
                    let entity = self.store.handle(table, rows[row]);
                    let component = batch.layout.components()[usize::from(component)].name.clone();
                    return Err(RowBatchError::NoId { entity, component, target });
                };
                *bits = id.to_le_bytes();
            }
        }
        Ok(())
    }

    /// The global id of the entity in a row.
    pub(in crate::world) fn global_id_at(&self, at: Location) -> Option<u64> {
        let component = self.registry.component::<GlobalId>().ok()?;
        let column = self.store.tables[at.table as usize].shape.first(component)?;
        let ids = self.store.column_bytes(at.table, column).as_chunks::<8>().0;
        Some(u64::from_le_bytes(ids[at.row as usize]))
    }
}

/// Which row an element belongs to, where the rows' lists follow each other.
fn row_of_element(lengths: &[usize], element: usize) -> usize {
    let mut end = 0;
    lengths
        .iter()
        .position(|length| {
            end += length;
            element < end
        })
        .expect("there are as many elements as the lengths say")
}
