//! Writing many entities' components one by one: as [`super::lookup`], where columns lie is found once for all of them.
//!
//! A table is opened (see [`crate::world::store::single`]) when the first of its rows is written: tables that nobody
//! touches are not made writable. What was written is noted here, a byte a chunk, and goes into the store's notes at the
//! end; until then they say that all rows were written, so that nothing is missing where a [`LookupMut`] is forgotten and
//! not dropped.
//!
//! Invariant: the world is borrowed for as long as a [`LookupMut`] lives: columns move only where a table is opened, and all
//! is found again then.
#![forbid(unsafe_code)]

use std::marker::PhantomData;

use crate::Entity;
use crate::layout::Storage;
use crate::limits::CHUNK_ROWS;
use crate::table::{ENTITIES, Location, RowRuns};

use super::bundle::Bundle;
use super::lookup::Places;
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::single::lacks_columns;

/// Copies components of entities out and in, of one after the other: made by [`World::lookup_mut`].
pub struct LookupMut<'w, B: Bundle> {
    world: &'w mut World,
    places: Places,
    /// Where the entity map's columns begin, and how many slots it has.
    locations: u64,
    generations: u64,
    slots: u32,
    /// For each table where each field's column begins, and its bytes a row.
    columns: Vec<(u64, usize)>,
    /// Columns of a table.
    stride: usize,
    /// For each table that is open, whether rows of a chunk were written; nothing for all others.
    written: Vec<Vec<u8>>,
    /// The store's own notes of open tables, with their places.
    notes: Vec<(u32, u16, RowRuns)>,
    /// Whether a row of an open table may lack one of the components.
    toggles: bool,
    /// Whether changes of one of them are tracked: all rows are written the general way.
    tracked: bool,
    bundle: PhantomData<fn(B) -> B>,
}

impl World {
    /// Reads and writes components of many entities: as [`World::get`] and [`World::set`] for each of them, in less time
    /// where they are many. The world is free again when the look-up is dropped.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f32, y: f32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f32 }
    /// let mut world = World::builder().component::<Position>().component::<Mass>().build()?;
    /// let ships = world.spawn_batch((1..=3).map(|i| (Position { x: 1.0, y: 2.0 }, Mass { kg: i as f32 })))?;
    /// let mut look = world.lookup_mut::<Mass>()?;
    /// look.set(ships[0], Mass { kg: 7.0 })?;
    /// look.update(ships[1], |mass| mass.kg *= 2.0)?;
    /// assert_eq!(look.get(ships[1])?.kg, 4.0);
    /// drop(look);
    /// assert_eq!(world.get::<Mass>(ships[0])?.kg, 7.0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component, one given twice.
    pub fn lookup_mut<B: Bundle>(&mut self) -> Result<LookupMut<'_, B>, WorldError> {
        self.check_maker()?;
        let places = Places::of::<B>(self)?;
        self.check_repeats(&places.components)?;
        let declared = |id: &u16| &self.layout().components()[usize::from(*id)];
        let mut components = places.components.iter();
        let mut look = LookupMut {
            locations: 0,
            generations: 0,
            slots: self.store.tables[ENTITIES as usize].rows,
            columns: Vec::new(),
            stride: components.clone().map(|id| declared(id).fields.len()).sum(),
            written: vec![Vec::new(); self.store.tables.len()],
            notes: Vec::new(),
            toggles: components.clone().any(|id| declared(id).storage == Storage::Toggle),
            tracked: components.any(|id| declared(id).track_changes),
            world: self,
            places,
            bundle: PhantomData,
        };
        look.find();
        Ok(look)
    }
}

impl<B: Bundle> LookupMut<'_, B> {
    /// Copies an entity's components out.
    ///
    /// # Errors
    /// A dead entity, an entity without one of the components.
    #[inline]
    pub fn get(&self, entity: Entity) -> Result<B, WorldError> {
        let store = &self.world.store;
        let value = store.locate(entity).and_then(|at| self.places.read(&store.arena, at));
        value.map_or_else(|| self.world.get(entity), Ok)
    }

    /// Sets an entity's components.
    ///
    /// # Errors
    /// A dead entity, an entity without one of the components, no memory; nothing has changed then.
    #[inline]
    pub fn set(&mut self, entity: Entity, value: B) -> Result<(), WorldError> {
        if self.write(entity, &value) { Ok(()) } else { self.set_slowly(entity, &value) }
    }

    /// Changes an entity's components: `f` gets them, and what it leaves is set.
    ///
    /// # Errors
    /// As [`LookupMut::set`]; `f` is not called where there are no values.
    #[inline]
    pub fn update(&mut self, entity: Entity, f: impl FnOnce(&mut B)) -> Result<(), WorldError> {
        let mut value = self.get(entity)?;
        f(&mut value);
        self.set(entity, value)
    }

    /// Writes the components of an entity that has them all, if its table is open.
    #[inline(always)]
    fn write(&mut self, entity: Entity, value: &B) -> bool {
        let store = &mut self.world.store;
        let slot = u64::from(entity.index());
        if slot >= u64::from(self.slots) || !store.region.is_makers() {
            return false;
        }
        let location: u64 = store.arena.item(self.locations + 8 * slot);
        let generation: u32 = store.arena.item(self.generations + 4 * slot);
        // of a slot that is free no table is open
        let (table, row) = ((location >> 32) as usize, u64::from(location as u32));
        let Some(written) = self.written.get_mut(table) else { return false };
        let Some(written) = written.get_mut(row as usize / CHUNK_ROWS) else { return false };
        if generation != entity.generation() {
            return false;
        }
        if self.toggles && !self.places.are_present(&store.arena, Location { table: table as u32, row: row as u32 }) {
            return false;
        }
        let Some(columns) = self.columns.get(table * self.stride..) else { return false };
        let mut columns = columns.iter();
        *written = 1;
        value.each_field(&mut |value| {
            let Some((offset, _)) = columns.next().filter(|(_, bytes)| *bytes == value.len()) else { lacks_columns() };
            store.arena.write_value(offset + row * value.len() as u64, value);
        });
        true
    }

    /// The first row of a table, one of which changes are tracked, and what is refused.
    #[cold]
    #[inline(never)]
    fn set_slowly(&mut self, entity: Entity, value: &B) -> Result<(), WorldError> {
        self.world.check_maker()?;
        // says what the entity lacks
        self.world.get::<B>(entity)?;
        let at = self.world.find(entity)?;
        if self.tracked {
            return self.set_tracked(at, value);
        }
        self.open(at.table)?;
        let done = self.write(entity, value);
        assert!(done, "the table is open, and the entity has the components");
        Ok(())
    }

    fn set_tracked(&mut self, at: Location, value: &B) -> Result<(), WorldError> {
        let (parity, store) = (self.world.parity(), &mut self.world.store);
        let arrangements = store.arrangements;
        for component in &self.places.components {
            store.secure_component(at.table, *component)?;
        }
        let mut packed = vec![0; B::PACKED_BYTES];
        value.pack_all(&mut packed);
        let mut rest = &packed[..];
        for component in &self.places.components {
            let fields = &store.layout.components()[usize::from(*component)].fields;
            let (own, others) = rest.split_at(fields.iter().map(|field| field.ty.bytes()).sum());
            rest = others;
            store.write_packed(at.table, at.row, *component, own)?;
            store.mark_changed(at.table, *component, parity, at.row, 1)?;
        }
        if arrangements == store.arrangements {
            self.places.find_in(self.world, at.table as usize);
        } else {
            self.find();
        }
        Ok(())
    }

    /// Opens a table that has all components: its rows may be written.
    fn open(&mut self, table: u32) -> Result<(), WorldError> {
        loop {
            let store = &mut self.world.store;
            let arrangements = store.arrangements;
            for component in &self.places.components {
                store.secure_component(table, *component)?;
            }
            for component in &self.places.components {
                store.open_component(table, *component)?;
            }
            if arrangements == store.arrangements {
                break;
            }
            // columns of other tables were moved
            self.settle();
            self.find();
        }
        self.find_in(table as usize);
        let store = &mut self.world.store;
        for component in &self.places.components {
            self.notes.extend(store.lend_notes(table, *component).map(|(mark, notes)| (table, mark, notes)));
        }
        let rows = store.tables[table as usize].rows as usize;
        self.written[table as usize] = vec![0; rows.div_ceil(CHUNK_ROWS)];
        Ok(())
    }

    /// Gives the notes back, with what was written, and closes all tables.
    fn settle(&mut self) {
        for (table, mark, mut notes) in self.notes.drain(..) {
            let written = self.written[table as usize].iter().zip(0u32..).filter(|(written, _)| **written != 0);
            written.for_each(|(_, chunk)| notes.write_chunk(chunk));
            self.world.store.return_notes(table, mark, notes);
        }
        self.written.iter_mut().for_each(Vec::clear);
    }

    /// Finds where everything lies.
    fn find(&mut self) {
        let map = &self.world.store.tables[ENTITIES as usize];
        (self.locations, self.generations) = (map.columns[0].live.offset, map.columns[1].live.offset);
        self.places.find(self.world);
        self.columns.clear();
        for table in 0..self.world.store.tables.len() {
            self.columns.extend(self.places.columns(table));
        }
    }

    /// Finds where a table's columns lie.
    fn find_in(&mut self, table: usize) {
        self.places.find_in(self.world, table);
        let columns = self.columns[table * self.stride..][..self.stride].iter_mut();
        columns.zip(self.places.columns(table)).for_each(|(column, found)| *column = found);
    }
}

impl<B: Bundle> Drop for LookupMut<'_, B> {
    fn drop(&mut self) {
        self.settle();
    }
}
