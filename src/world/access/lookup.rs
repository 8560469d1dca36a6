//! Looking up many entities' components one by one: where their columns lie is found once for all of them.
//!
//! Invariant: the world is borrowed for as long as a [`Lookup`] lives, so that no extent of it changes hands.
#![forbid(unsafe_code)]

use crate::table::{ENTITIES, Location};
use std::marker::PhantomData;

use crate::layout::Storage;
use crate::{Component, Entity};

use super::bundle::{Bundle, RegistryRef};
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::arena::Arena;
use crate::world::store::single::lacks_columns;

/// In place of an offset: the table lacks the component.
const LACKS: u64 = u64::MAX;

/// Copies components of entities out, of one after the other: made by [`World::lookup`].
pub struct Lookup<'w, B> {
    world: &'w World,
    locations: &'w [u64],
    generations: &'w [u32],
    places: Places,
    bundle: PhantomData<fn() -> B>,
}

/// Where the columns of a bundle's components lie, in each table.
pub(super) struct Places {
    pub(super) components: Vec<u16>,
    /// For each table, and in it for each component: where its presence bits lie (0 if it has none; [`LACKS`]), and where
    /// each field's column.
    offsets: Vec<u64>,
    /// Beside each offset of a table: of a component's presence bits how many fields it has, of a field its bytes.
    sizes: Vec<u32>,
    /// Where the fields stand among the offsets of a table.
    fields: Vec<usize>,
    /// Offsets of a table.
    stride: usize,
}

impl Places {
    pub(super) fn of<B: Bundle>(world: &World) -> Result<Self, WorldError> {
        let mut components = Vec::new();
        B::ids(&RegistryRef(&world.registry), &mut components)?;
        let declared = world.layout().components();
        let (mut sizes, mut fields) = (Vec::new(), Vec::new());
        for component in &components {
            let own = &declared[usize::from(*component)].fields;
            sizes.push(own.len() as u32);
            fields.extend(sizes.len()..sizes.len() + own.len());
            sizes.extend(own.iter().map(|field| field.ty.bytes() as u32));
        }
        let stride = sizes.len();
        let mut places = Places { components, offsets: Vec::new(), sizes, fields, stride };
        places.find(world);
        Ok(places)
    }

    /// Finds them, in all tables.
    pub(super) fn find(&mut self, world: &World) {
        self.offsets.resize(self.stride * world.store.tables.len(), LACKS);
        (0..world.store.tables.len()).for_each(|table| self.find_in(world, table));
    }

    /// Finds them, in one table.
    pub(super) fn find_in(&mut self, world: &World, table: usize) {
        let offsets = &mut self.offsets[table * self.stride..][..self.stride];
        let table = &world.store.tables[table];
        let live = |column: u16| table.columns[usize::from(column)].live.offset;
        let mut at = 0;
        for component in &self.components {
            let fields = self.sizes[at] as usize;
            if let Some(slot) = table.shape.slot(*component) {
                offsets[at] = slot.presence.map_or(0, live);
                for (offset, column) in offsets[at + 1..][..fields].iter_mut().zip(slot.first..) {
                    *offset = live(column);
                }
            } else {
                offsets[at..][..1 + fields].fill(LACKS);
            }
            at += 1 + fields;
        }
    }

    #[inline(always)]
    fn of_table(&self, table: u32) -> Option<&[u64]> {
        let from = table as usize * self.stride;
        self.offsets.get(from..from + self.stride)
    }

    /// Whether a row has all components.
    #[inline(always)]
    pub(super) fn are_present(&self, arena: &Arena, at: Location) -> bool {
        let Some(offsets) = self.of_table(at.table) else { return false };
        let row = u64::from(at.row);
        let mut head = 0;
        for _ in &self.components {
            let presence = offsets[head];
            if presence == LACKS || presence != 0 && arena.item::<u64>(presence + 8 * (row / 64)) >> (row % 64) & 1 == 0
            {
                return false;
            }
            head += 1 + self.sizes[head] as usize;
        }
        true
    }

    /// Where each field's column of a table begins, and its bytes a row.
    pub(super) fn columns(&self, table: usize) -> impl Iterator<Item = (u64, usize)> + '_ {
        let from = table * self.stride;
        self.fields.iter().map(move |field| (self.offsets[from + field], self.sizes[*field] as usize))
    }

    /// A row's values; none where the row lacks one of the components.
    #[inline(always)]
    pub(super) fn read<B: Bundle>(&self, arena: &Arena, at: Location) -> Option<B> {
        let offsets = self.of_table(at.table)?;
        B::look(&mut RowOffsets { arena, offsets, sizes: &self.sizes, row: u64::from(at.row) })
    }
}

/// Where a row's values are, as bundles read them.
pub struct RowOffsets<'a> {
    arena: &'a Arena,
    offsets: &'a [u64],
    /// As in [`Places`], beside the offsets.
    sizes: &'a [u32],
    row: u64,
}

impl RowOffsets<'_> {
    /// A component's value; none where the row lacks it.
    #[inline(always)]
    pub(in crate::world) fn read<C: Component>(&mut self) -> Option<C> {
        let ([presence, offsets @ ..], [fields, sizes @ ..]) = (self.offsets, self.sizes) else { lacks_columns() };
        let fields = *fields as usize;
        let (Some((own, offsets)), Some((own_sizes, sizes))) =
            (offsets.split_at_checked(fields), sizes.split_at_checked(fields))
        else {
            lacks_columns()
        };
        (self.offsets, self.sizes) = (offsets, sizes);
        if *presence == LACKS {
            return None;
        }
        if C::STORAGE == Storage::Toggle && *presence != 0 {
            let word: u64 = self.arena.item(*presence + 8 * (self.row / 64));
            if word >> (self.row % 64) & 1 == 0 {
                return None;
            }
        }
        let mut columns = own.iter().zip(own_sizes);
        Some(C::from_fields(&mut |value| {
            // as many bytes as the field has, whatever type the caller asks for
            let Some((offset, _)) = columns.next().filter(|(_, bytes)| **bytes as usize == value.len()) else {
                lacks_columns()
            };
            self.arena.read_value(offset + self.row * value.len() as u64, value);
        }))
    }
}

impl World {
    /// Looks up components of many entities: as [`World::get`] for each of them, in less time where they are many.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f32, y: f32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f32 }
    /// let mut world = World::builder().component::<Position>().component::<Mass>().build()?;
    /// let ships = world.spawn_batch((1..=3).map(|i| (Position { x: 1.0, y: 2.0 }, Mass { kg: i as f32 })))?;
    /// let look = world.lookup::<(Position, Mass)>()?;
    /// let mut sum = 0.0;
    /// for ship in ships {
    ///     let (position, mass) = look.get(ship)?;
    ///     sum += position.y * mass.kg;
    /// }
    /// assert_eq!(sum, 12.0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component.
    pub fn lookup<B: Bundle>(&self) -> Result<Lookup<'_, B>, WorldError> {
        let places = Places::of::<B>(self)?;
        let map = &self.store.tables[ENTITIES as usize];
        let slots = map.rows as usize;
        Ok(Lookup {
            world: self,
            locations: self.store.arena.items(map.columns[0].live.offset, slots),
            generations: self.store.arena.items(map.columns[1].live.offset, slots),
            places,
            bundle: PhantomData,
        })
    }
}

impl<B: Bundle> Lookup<'_, B> {
    /// Copies an entity's components out.
    ///
    /// # Errors
    /// A dead entity, an entity without one of the components.
    #[inline]
    pub fn get(&self, entity: Entity) -> Result<B, WorldError> {
        let slot = entity.index() as usize;
        if let (Some(location), Some(generation)) = (self.locations.get(slot), self.generations.get(slot))
            && *generation == entity.generation()
            && let Some(at) = Location::from_bits(*location)
            && let Some(value) = self.places.read(&self.world.store.arena, at)
        {
            return Ok(value);
        }
        self.refuse(entity)
    }

    /// Why there is no value: said by the slower way.
    #[cold]
    #[inline(never)]
    fn refuse(&self, entity: Entity) -> Result<B, WorldError> {
        self.world.get(entity)
    }
}
