//! Worlds whose components are known by name only, and frames that are computed outside of a simulation: for programs in
//! other languages.
//!
//! Such a frame is `begin_frame`, any number of accesses to columns, and `end_frame`; after an error in between call `go_back`.
#![forbid(unsafe_code)]

use crate::table::RESOURCES;
use std::sync::Arc;

use crate::Entity;
use crate::layout::{FieldType, Storage, did_you_mean};
use crate::limits::FRAME_MAX;
use crate::table::Presence;

use super::bulk::find_field;
use crate::world::World;
use crate::world::error::WorldError;

impl World {
    /// Number of tables. It never decreases.
    #[must_use]
    pub fn table_count(&self) -> usize {
        self.store.tables.len() - self.store.first_data as usize
    }

    /// Rows of a table.
    ///
    /// # Panics
    /// If there is no such table. The same holds for all methods that take a table.
    #[must_use]
    pub fn table_rows(&self, table: usize) -> usize {
        self.store.tables[table + self.store.first_data as usize].rows as usize
    }

    /// Whether a table's rows stand for entities that live elsewhere ([`Elsewhere`](crate::Elsewhere)): they are no part of the
    /// state.
    #[must_use]
    pub fn is_elsewhere(&self, table: usize) -> bool {
        self.store.tables[table + self.store.first_data as usize].shape.elsewhere
    }

    /// Whether handles may name what lives elsewhere: the layout has the component [`Elsewhere`](crate::Elsewhere).
    #[must_use]
    pub fn knows_elsewhere(&self) -> bool {
        self.layout().components().iter().any(crate::layout::ComponentLayout::is_elsewhere)
    }

    /// Names of the components that a table has columns for, toggles included.
    pub fn table_components(&self, table: usize) -> impl Iterator<Item = &str> {
        let components = self.layout().components();
        let ids = self.store.tables[table + self.store.first_data as usize].shape.components.iter();
        ids.map(|id| components[usize::from(*id)].name.as_str())
    }

    /// The handles of a table's rows.
    #[must_use]
    pub fn table_entities(&self, table: usize) -> &[Entity] {
        bytemuck::cast_slice(self.store.column_bytes(table as u32 + self.store.first_data, 0))
    }

    /// The column of a field (`position.x`) in a table: its component, place and type.
    fn find_column(&self, table: usize, name: &str) -> Result<Option<(u16, usize, FieldType)>, WorldError> {
        let (component, field, ty) = find_field(&self.registry, name)?;
        let slot = self.store.tables[table + self.store.first_data as usize].shape.slot(component);
        Ok(slot.map(|slot| (component, usize::from(slot.first) + usize::from(field), ty)))
    }

    /// A column by name (`position.x`), as bytes; `None` if the table lacks the component.
    ///
    /// # Errors
    /// No such component or field.
    pub fn table_column(&self, table: usize, name: &str) -> Result<Option<(FieldType, &[u8])>, WorldError> {
        let found = self.find_column(table, name)?;
        Ok(found.map(|(_, column, ty)| (ty, self.store.column_bytes(table as u32 + self.store.first_data, column))))
    }

    /// As [`World::table_column`], to write. All rows that have the component count as changed.
    ///
    /// The bytes keep their address until the world is changed in another way than through columns: by a publication, a
    /// spawn or a despawn.
    ///
    /// # Errors
    /// As for [`World::table_column`]; no memory.
    pub fn table_column_mut(&mut self, table: usize, name: &str) -> Result<Option<(FieldType, &mut [u8])>, WorldError> {
        self.check_maker()?;
        let Some((component, column, ty)) = self.find_column(table, name)? else { return Ok(None) };
        let (at, rows, parity) = (table as u32 + self.store.first_data, self.table_rows(table) as u32, self.parity());
        self.store.fixed = true;
        let done = self.write_column(at, component, column, rows, parity);
        self.store.fixed = false;
        done?;
        Ok(Some((ty, self.store.column_bytes_mut(at, column))))
    }

    /// Makes a column writable whose address, and that of others, the caller's caller has.
    fn write_column(
        &mut self,
        at: u32,
        component: u16,
        column: usize,
        rows: u32,
        parity: u8,
    ) -> Result<(), WorldError> {
        self.store.write_partial(at, column)?;
        self.store.mark_dirty(at, column, 0, rows);
        let shape = Arc::clone(&self.store.tables[at as usize].shape);
        match shape.slot(component).and_then(|slot| slot.presence) {
            None => self.store.mark_changed(at, component, parity, 0, rows)?,
            Some(presence) => {
                let has = |store: &crate::world::store::Store, row| store.bit(at, usize::from(presence), row);
                for row in 0..rows {
                    if has(&self.store, row) {
                        self.store.mark_changed(at, component, parity, row, 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Which rows of a table have a component.
    ///
    /// # Errors
    /// No such component.
    pub fn table_presence(&self, table: usize, component: &str) -> Result<Presence<'_>, WorldError> {
        let id = self.registry.component_named(component)?;
        let entry = &self.store.tables[table + self.store.first_data as usize];
        let Some(slot) = entry.shape.slot(id) else { return Ok(Presence::None) };
        if self.store.storage(id) != Storage::Toggle {
            return Ok(Presence::All);
        }
        Ok(slot.presence.map_or(Presence::None, |column| {
            let offset = entry.columns[usize::from(column)].live.offset;
            Presence::Bits(self.store.arena.items(offset, entry.rows.div_ceil(64) as usize))
        }))
    }

    /// The packed bytes of a resource by name; `None` if it has no value.
    ///
    /// # Errors
    /// No such resource.
    pub fn resource_bytes(&self, name: &str) -> Result<Option<&[u8]>, WorldError> {
        let (index, at, bytes) = self.find_resource(name)?;
        let all = self.store.column_bytes(RESOURCES, 0);
        Ok((all[index] != 0).then(|| &all[at..at + bytes]))
    }

    /// Gives a resource a value: its packed bytes.
    ///
    /// # Errors
    /// No such resource; bytes of another length.
    pub fn set_resource_bytes(&mut self, name: &str, packed: &[u8]) -> Result<(), WorldError> {
        self.check_maker()?;
        let (index, at, bytes) = self.find_resource(name)?;
        if packed.len() != bytes {
            return Err(WorldError::ColumnLength { column: name.to_owned(), got: packed.len(), want: bytes });
        }
        self.store.write_partial(RESOURCES, 0)?;
        let all = self.store.column_bytes_mut(RESOURCES, 0);
        all[index] = 1;
        all[at..at + bytes].copy_from_slice(packed);
        let rows = self.store.tables[RESOURCES as usize].rows;
        self.store.mark_dirty(RESOURCES, 0, 0, rows);
        Ok(())
    }

    fn find_resource(&self, name: &str) -> Result<(usize, usize, usize), WorldError> {
        let layout = self.layout();
        let unknown = || {
            let hint = did_you_mean(name, layout.resources().iter().map(|resource| resource.name.as_str()));
            WorldError::UnknownResource { name: name.to_owned(), hint }
        };
        let (index, declared) = layout.resource(name).ok_or_else(unknown)?;
        Ok((index, layout.resource_offset(index) as usize, declared.packed_bytes()))
    }

    /// Begins a frame that is computed outside of a simulation. Changes from now on belong to it.
    ///
    /// # Errors
    /// No memory; no number for the frame.
    pub fn begin_frame(&mut self) -> Result<(), WorldError> {
        self.check_maker()?;
        if self.frame >= FRAME_MAX {
            return Err(WorldError::NoFrameLeft { frame: self.frame });
        }
        // a frame that fails goes back to a generation, so there is one before the first frame
        if self.store.published == 0 {
            self.publish()?;
        }
        self.frame += 1;
        let parity = self.parity();
        for table in self.store.first_data..self.store.tables.len() as u32 {
            let rows = self.store.tables[table as usize].rows;
            let shape = Arc::clone(&self.store.tables[table as usize].shape);
            for changed in shape.slots.iter().filter_map(|slot| slot.changed) {
                let column = usize::from(changed) + usize::from(parity);
                self.store.write_partial(table, column)?;
                self.store.set_bits(table, column, 0, rows, false);
                self.store.mark_dirty(table, column, 0, rows);
            }
        }
        Ok(())
    }

    /// Ends the frame, and advances the simulated time by `dt` seconds.
    pub fn end_frame(&mut self, dt: f64) {
        self.time += dt;
    }

    /// Restores the newest published generation after a frame that failed, and returns how many frames that undid.
    ///
    /// # Errors
    /// Nothing has been published yet; the region is damaged.
    pub fn go_back(&mut self) -> Result<u64, WorldError> {
        self.check_maker()?;
        let frame = self.frame;
        self.restore_newest()?;
        Ok(frame.saturating_sub(self.frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Layout, ScalarType};

    const TOML: &str = "
        name = 'named'
        bytes_max = '4 MiB'
        [components.position]
        fields = { x = 'f32', at = '[u16; 2]' }
        track_changes = true
        [components.hot]
        storage = 'toggle'
        track_changes = true
        fields = { degrees = { type = 'f32', default = 7.0 } }
        [resources.gravity]
        fields = { x = 'f32', y = 'f32' }
    ";

    fn world() -> World {
        let layout = Layout::parse(TOML, "named").expect("a good layout");
        let mut world = World::builder().layout(layout).build().expect("a private world");
        let x: Vec<u8> = (0..100).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let at: Vec<u8> = (0..200u16).flat_map(u16::to_le_bytes).collect();
        let pairs = FieldType::array(ScalarType::U16, 2);
        let spawn = world.spawn_columns(100).column_bytes("position.x", f32_type(), &x);
        assert_eq!(spawn.column_bytes("position.at", pairs, &at).spawn().expect("there is room").len(), 100);
        let hot = world.spawn_columns(28).with_named("position").with_named("hot");
        assert_eq!(hot.spawn().expect("there is room").len(), 28);
        world
    }

    fn f32_type() -> FieldType {
        FieldType::scalar(ScalarType::F32)
    }

    #[test]
    fn columns_are_found_and_written_by_name() {
        let mut world = world();
        assert_eq!((world.table_count(), world.table_rows(0)), (1, 128));
        assert_eq!(world.table_components(0).collect::<Vec<_>>(), ["position", "hot"]);
        assert_eq!(world.table_entities(0)[5].index(), 5);
        let (ty, bytes) = world.table_column(0, "position.at").expect("is there").expect("is there");
        assert_eq!((ty.array_len, &bytes[..8]), (2, &[0, 0, 1, 0, 2, 0, 3, 0][..]));
        world.begin_frame().expect("there is room");
        let (_, bytes) = world.table_column_mut(0, "hot.degrees").expect("is there").expect("is there");
        assert_eq!(bytes[100 * 4..101 * 4], 7.0_f32.to_le_bytes());
        bytes[127 * 4..].copy_from_slice(&9.0_f32.to_le_bytes());
        world.end_frame(0.5);
        world.publish().expect("there is room");
        let mut reader = world.reader().expect("a lease");
        let snapshot = reader.pin().expect("published");
        assert_eq!((snapshot.frame(), snapshot.time()), (1, 0.5));
        let table = snapshot.tables().next().expect("one");
        assert_eq!(table.column::<f32>("hot.degrees").expect("f32").expect("there")[127], 9.0);
        let bits = [0, u64::MAX << 36];
        assert_eq!(table.changed("hot").expect("is there"), Some(&bits[..]), "those that have it");
        assert_eq!(table.changed("position").expect("is there"), Some(&[0, 0][..]), "not written");
        assert!(matches!(table.presence("hot").expect("there"), Presence::Bits(words) if words == bits));
        assert!(matches!(world.table_presence(0, "hot").expect("there"), Presence::Bits(words) if words == bits));
        assert!(matches!(world.table_presence(0, "position"), Ok(Presence::All)));
    }

    #[test]
    fn wrong_names_and_lengths_are_errors() {
        let mut world = world();
        assert!(matches!(world.table_column(0, "position.z"), Err(WorldError::UnknownField { .. })));
        assert!(matches!(world.table_column_mut(0, "cold.x"), Err(WorldError::UnknownComponent { .. })));
        assert!(matches!(world.table_presence(0, "cold"), Err(WorldError::UnknownComponent { .. })));
        let short = world.spawn_columns(2).column_bytes("position.x", f32_type(), &[0; 4]).spawn();
        assert!(matches!(short, Err(WorldError::ColumnLength { got: 1, want: 2, .. })));
        let other = world.spawn_columns(1).column_bytes("position.at", f32_type(), &[0; 4]).spawn();
        assert!(matches!(other, Err(WorldError::ColumnType { .. })));
        assert_eq!(world.entity_count(), 128);
    }

    #[test]
    fn resources_are_bytes_and_frames_can_be_undone() {
        let mut world = world();
        assert_eq!(world.resource_bytes("gravity").expect("is there"), None);
        world.set_resource_bytes("gravity", &[1; 8]).expect("fits");
        assert!(matches!(world.set_resource_bytes("gravity", &[1; 7]), Err(WorldError::ColumnLength { .. })));
        assert!(matches!(world.resource_bytes("wind"), Err(WorldError::UnknownResource { .. })));
        world.publish().expect("there is room");
        world.begin_frame().expect("there is room");
        let (_, bytes) = world.table_column_mut(0, "position.x").expect("is there").expect("is there");
        bytes.fill(0xff);
        world.set_resource_bytes("gravity", &[2; 8]).expect("fits");
        assert_eq!(world.go_back().expect("there is one"), 1);
        assert_eq!(world.resource_bytes("gravity").expect("is there"), Some(&[1; 8][..]));
        let (_, bytes) = world.table_column(0, "position.x").expect("is there").expect("is there");
        assert_eq!((world.frame(), &bytes[4..8]), (0, &1.0_f32.to_le_bytes()[..]));
    }
}
