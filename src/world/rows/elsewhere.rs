//! Entities that live elsewhere: rows that leave and are still named here, and handles of ghosts.
//!
//! Such an entity has one row in the table of ([`GlobalId`], [`Elsewhere`]), the *stub*. It comes into being where a row leaves
//! ([`World::leave_rows`]), where a row arrives that names what is not here ([`Dangling::Elsewhere`](super::Dangling)), and for
//! each ghost ([`World::name_ghosts`]); it ends where its row arrives, or where the entity dies where it lives.
//!
//! Invariant: no two stubs have the same id, and none has that of a row here, as long as ids of rows are unique.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use crate::layout::ScalarType;
use crate::table::{ColumnKind, ENTITIES, IdMap, Location, TableKind};
use crate::{Elsewhere, Entity, GlobalId};

use super::error::RowBatchError;
use crate::world::World;
use crate::world::access::ghosts::GhostError;
use crate::world::error::WorldError;

/// The stubs by their ids: the handle, and the row.
pub(super) type Stubs = IdMap<u64, (Entity, u32)>;

impl World {
    /// Takes rows out of a table, as [`World::remove_rows`] does, but their entities live on: elsewhere, under the same handles.
    /// When their rows come back ([`World::put_rows`]) these handles lead to them. The world has the component [`Elsewhere`].
    ///
    /// # Errors
    /// [`RowBatchError::Row`]; [`RowBatchError::Unnamed`]; a layout without [`Elsewhere`]; no memory. Nothing has changed then.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn leave_rows(&mut self, table: usize, rows: &[u32]) -> Result<(), RowBatchError> {
        self.check_maker()?;
        self.check_rows(table, rows)?;
        let at = table as u32 + self.store.first_data;
        let stubs = self.stub_table()?;
        if rows.is_empty() || at == stubs {
            return Ok(());
        }
        let mut leaving: Vec<(Entity, u64)> = Vec::with_capacity(rows.len());
        for row in rows {
            let entity = self.store.handle(at, *row);
            let id = self.global_id_at(Location { table: at, row: *row }).ok_or(RowBatchError::Unnamed { entity })?;
            leaving.push((entity, id));
        }
        self.store.begin_change();
        let before = self.store.tables[stubs as usize].rows;
        self.store.reserve(stubs, u64::from(before) + rows.len() as u64)?;
        self.store.secure_table(stubs)?;
        self.store.secure_table(at)?;
        self.append_stubs(stubs, &leaving)?;
        let mut gone = rows.to_vec();
        gone.sort_unstable_by(|a, b| b.cmp(a));
        self.store.sweep(at, &gone)?;
        Ok(())
    }

    /// Gives the ghosts of all tables handles, which views show and find ([`Neighbours::locate`](crate::Neighbours::locate)), and
    /// which stay the same for as long as the entities live. Forgets what lives elsewhere, is no ghost and is named by no field
    /// here; returns the ids of what is left, ascending: what is named here and is no ghost.
    ///
    /// Ghosts are given their ids before ([`World::set_ghosts`] with `global_id.value`). When rows come or go, ghosts have no
    /// handles any more until this is called again.
    ///
    /// # Errors
    /// [`GhostError::Unnamed`], [`GhostError::Twice`]; a layout without [`Elsewhere`]; no memory. Handles are as they were then.
    pub fn name_ghosts(&mut self) -> Result<Vec<u64>, WorldError> {
        self.check_maker()?;
        let stubs = self.stub_table()?;
        let component = self.registry.component::<GlobalId>()?;
        let known = self.stubs();
        let kind = ColumnKind::Field { component, field: 0 };
        // the new stubs, in the order of ghosts; and of each table with ghosts where its first stands
        let mut ids: Vec<u64> = Vec::new();
        let mut firsts: Vec<(u32, u32)> = Vec::new();
        for (index, table) in self.store.data_tables().filter(|(_, table)| table.ghosts.rows > 0) {
            let column = table.ghosts.column(kind);
            let column = column.ok_or_else(|| GhostError::Unnamed { table: self.store.table_names(index) })?;
            firsts.push((index, ids.len() as u32));
            ids.extend(words(column));
        }
        let mut shown: HashSet<u64> = HashSet::with_capacity(ids.len());
        if let Some(id) = ids.iter().find(|id| !shown.insert(**id)) {
            return Err(GhostError::Twice { id: *id }.into());
        }
        let others = || known.iter().filter(|(id, _)| !shown.contains(id));
        let named = if others().next().is_some() { self.named() } else { HashSet::new() };
        let is_named = |entity: &Entity| named.contains(&entity.to_bits());
        let mut kept: Vec<u64> = others().filter(|(_, (entity, _))| is_named(entity)).map(|(id, _)| *id).collect();
        kept.sort_unstable();
        let mut gone: Vec<Entity> =
            others().map(|(_, (entity, _))| *entity).filter(|entity| !is_named(entity)).collect();
        gone.sort_unstable();
        ids.extend_from_slice(&kept);
        self.set_stubs(stubs, &ids, &known, &gone)?;
        for (index, first) in firsts {
            let rows = self.store.tables[index as usize].ghosts.rows;
            let handles = self.store.column_bytes(stubs, 0);
            let handles = handles[8 * first as usize..8 * (first + rows) as usize].to_vec();
            let ghosts = &mut self.store.tables[index as usize].ghosts;
            ghosts.set(ColumnKind::Handle, &handles);
            ghosts.named = Some((stubs, first));
        }
        Ok(kept)
    }

    /// Ends what lives elsewhere and has one of these ids.
    pub(crate) fn end_elsewhere(&mut self, ids: &HashSet<u64>) -> Result<(), WorldError> {
        let Some(stubs) = self.known_stub_table() else { return Ok(()) };
        let mut ended: Vec<(u32, Entity)> = self
            .stubs()
            .into_iter()
            .filter(|(id, _)| ids.contains(id))
            .map(|(_, (entity, row))| (row, entity))
            .collect();
        if ended.is_empty() {
            return Ok(());
        }
        ended.sort_unstable_by(|a, b| b.cmp(a));
        let rows: Vec<u32> = ended.iter().map(|(row, _)| *row).collect();
        let handles: Vec<Entity> = ended.iter().map(|(_, entity)| *entity).collect();
        self.take_stubs(stubs, &rows)?;
        Ok(self.store.release_handles(&handles)?)
    }

    /// The table of stubs, made where there is none.
    pub(super) fn stub_table(&mut self) -> Result<u32, WorldError> {
        let ids = [self.registry.component::<GlobalId>()?, self.registry.component::<Elsewhere>()?];
        self.table_of(&ids)
    }

    fn known_stub_table(&self) -> Option<u32> {
        let (id, elsewhere) =
            (self.registry.component::<GlobalId>().ok()?, self.registry.component::<Elsewhere>().ok()?);
        let is_it =
            |components: &[u16]| components.len() == 2 && [id, elsewhere].iter().all(|c| components.contains(c));
        self.store.data_tables().find(|(_, table)| is_it(&table.shape.components)).map(|(index, _)| index)
    }

    /// All stubs.
    pub(super) fn stubs(&self) -> Stubs {
        let mut found = Stubs::default();
        let Some(table) = self.known_stub_table() else { return found };
        let Some(column) = self.id_column(table) else { return found };
        let handles = words(self.store.column_bytes(table, 0)).map(Entity::from_bits);
        found.extend(words(self.store.column_bytes(table, column)).zip(handles.zip(0..)));
        found
    }

    /// Where a table has ids.
    pub(crate) fn id_column(&self, table: u32) -> Option<usize> {
        let component = self.registry.component::<GlobalId>().ok()?;
        self.store.tables[table as usize].shape.first(component)
    }

    /// Appends stubs under these handles. There is room, and what is to change is writable.
    pub(super) fn append_stubs(&mut self, table: u32, new: &[(Entity, u64)]) -> Result<(), WorldError> {
        let first = self.store.append(table, new.len() as u32)?;
        self.write_stubs(table, first, new);
        Ok(())
    }

    fn write_stubs(&mut self, table: u32, first: u32, all: &[(Entity, u64)]) {
        let column = self.id_column(table).expect("a table of stubs has ids");
        let from = 8 * first as usize;
        for (column, value) in [(0, (|stub| stub.0.to_bits()) as fn(&(Entity, u64)) -> u64), (column, |stub| stub.1)] {
            let bytes = &mut self.store.column_bytes_mut(table, column)[from..from + 8 * all.len()];
            bytes.as_chunks_mut::<8>().0.iter_mut().zip(all).for_each(|(to, stub)| *to = value(stub).to_le_bytes());
            self.store.mark_dirty(table, column, first, all.len() as u32);
        }
        let handles: Vec<Entity> = all.iter().map(|(entity, _)| *entity).collect();
        self.store.place(&handles, table, first);
        self.store.forget_ghost_names();
    }

    /// Takes stubs out, whose handles are the caller's. Rows are sorted from highest to lowest.
    pub(super) fn take_stubs(&mut self, table: u32, rows: &[u32]) -> Result<(), WorldError> {
        self.store.forget_ghost_names();
        Ok(self.store.sweep(table, rows)?)
    }

    /// From now on the stubs have these ids, in this order: known ones keep their handles, these are released, others are new.
    fn set_stubs(&mut self, table: u32, ids: &[u64], known: &Stubs, gone: &[Entity]) -> Result<(), WorldError> {
        let is_so = |(id, row): (&u64, u32)| known.get(id).is_some_and(|(_, at)| *at == row);
        if ids.len() == known.len() && ids.iter().zip(0..).all(is_so) {
            return Ok(());
        }
        self.store.begin_change();
        let fresh = ids.iter().filter(|id| !known.contains_key(id)).count() as u32;
        let (before, after) = (known.len() as u32, ids.len() as u32);
        self.store.reserve(table, u64::from(after))?;
        self.reserve_handles(fresh)?;
        self.store.secure_table(table)?;
        let mut handles = Vec::with_capacity(fresh as usize);
        self.store.take_handles(fresh, &mut handles)?;
        let mut handles = handles.into_iter();
        let entity = |id: &u64| known.get(id).map(|(entity, _)| *entity).or_else(|| handles.next());
        let all: Vec<(Entity, u64)> = ids.iter().map(entity).zip(ids).filter_map(|(e, id)| Some((e?, *id))).collect();
        if after > before {
            self.store.append(table, after - before)?;
        } else {
            let surplus: Vec<u32> = (after..before).rev().collect();
            self.store.sweep(table, &surplus)?;
        }
        // nothing but whole columns from here on; a table that was emptied has others now
        self.store.secure_table(table)?;
        self.write_stubs(table, 0, &all);
        Ok(self.store.release_handles(gone)?)
    }

    /// The handles in all fields of entities and lists.
    fn named(&self) -> HashSet<u64> {
        let mut named = HashSet::new();
        let tables = self.store.tables.iter().enumerate().skip(ENTITIES as usize + 1);
        for (index, table) in tables.filter(|(_, table)| matches!(table.kind, TableKind::Data | TableKind::Pool)) {
            for (column, (kind, _)) in table.shape.columns.iter().enumerate() {
                let ColumnKind::Field { component, field } = *kind else { continue };
                let ty = self.registry.layout.components()[usize::from(component)].fields[usize::from(field)].ty;
                if ty.scalar == ScalarType::Entity {
                    named.extend(words(self.store.column_bytes(index as u32, column)));
                }
            }
        }
        named
    }
}

/// Words of 8 bytes.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}
