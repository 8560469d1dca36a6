//! One entity's row, or all rows one by one: what queries give chunk by chunk, here as values of components.
//!
//! Invariant: what a [`ValueMut`] writes when it ends was made writable when it was made, so that its end cannot fail.
#![forbid(unsafe_code)]

use std::ops::{Deref, DerefMut};

use crate::table::Location;
use crate::{Component, Entity};

use super::bundle::valued;
use super::compare::Compared;
use super::query::Query;
use crate::world::World;
use crate::world::error::WorldError;

/// A component of an entity, to read and to change: made by [`World::get_mut`]. A value that was borrowed mutably is
/// written back when this ends, and its row counts as changed.
pub struct ValueMut<'w, C: Component> {
    world: &'w mut World,
    at: Location,
    component: u16,
    value: C,
    borrowed: bool,
}

impl<C: Component> Deref for ValueMut<'_, C> {
    type Target = C;
    #[inline]
    fn deref(&self) -> &C {
        &self.value
    }
}

impl<C: Component> DerefMut for ValueMut<'_, C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut C {
        self.borrowed = true;
        &mut self.value
    }
}

impl<C: Component> Drop for ValueMut<'_, C> {
    #[inline]
    fn drop(&mut self) {
        if self.borrowed {
            // a copy: the value itself may stay in registers
            let value = self.value;
            let done = self.world.write_open(self.at, self.component, &value);
            done.expect("`get_mut` made every column of the component writable, and nobody published since");
        }
    }
}

impl<C: Component + std::fmt::Debug> std::fmt::Debug for ValueMut<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl World {
    /// A component of an entity, to change in place. The fields lie in columns of their own, so this is a copy of them,
    /// which is written back when it goes out of scope.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Health { points: u32 }
    /// let mut world = World::builder().component::<Health>().build()?;
    /// let knight = world.spawn(Health { points: 100 })?;
    /// world.get_mut::<Health>(knight)?.points -= 30;
    /// assert_eq!(world.get::<Health>(knight)?.points, 70);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component, a dead entity, an entity without the component, no memory.
    #[inline]
    pub fn get_mut<C: Component>(&mut self, entity: Entity) -> Result<ValueMut<'_, C>, WorldError> {
        self.check_maker()?;
        let component = valued::<C>(&self.registry)?;
        let at = self.find(entity)?;
        let value = self.store.read_single::<C>(&self.store.tables[at.table as usize], at.row, component);
        let Some(value) = value else { return Err(WorldError::absent::<C>(entity)) };
        if C::TRACK_CHANGES {
            self.store.secure_component(at.table, component)?;
        } else {
            self.store.open_component(at.table, component)?;
        }
        Ok(ValueMut { world: self, at, component, value, borrowed: false })
    }

    /// The values of one entity that a query asks for.
    ///
    /// ```
    /// use hypostyle::{Component, Read, With, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f32 }
    /// let mut world = World::builder().component::<Position>().component::<Mass>().build()?;
    /// let ship = world.spawn(Position { x: 1.0 })?;
    /// let (position, mass) = world.query_one::<(Read<Position>, Option<Read<Mass>>)>(ship)?;
    /// assert!(position.x == 1.0 && mass.is_none());
    /// assert!(world.query_one::<(Read<Position>, With<Mass>)>(ship).is_err());
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component, a dead entity, an entity that does not match; a query that writes (use
    /// [`World::query_one_mut`]).
    pub fn query_one<Q: Query>(&self, entity: Entity) -> Result<Q::Values, WorldError> {
        let prepared = self.prepared::<Q>()?;
        let done = match self.store.locate(entity) {
            _ if prepared.plan.writes() => Err(WorldError::QueryWrites),
            None => Err(WorldError::stale(entity)),
            Some(at) => {
                let mut values = None;
                self.visit_one::<Q>(&prepared, at, |item| values = Some(Q::values(item, 0)));
                values.ok_or(WorldError::NoMatch { entity })
            }
        };
        self.queries.put::<Q>(prepared);
        done
    }

    /// Changes values of one entity that a query asks for. Tracked components whose values differ afterwards count as
    /// changed.
    ///
    /// ```
    /// use hypostyle::{Component, Read, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Velocity { x: f32 }
    /// let mut world = World::builder().component::<Position>().component::<Velocity>().build()?;
    /// let ship = world.spawn((Position { x: 1.0 }, Velocity { x: 2.0 }))?;
    /// world.query_one_mut::<(Write<Position>, Read<Velocity>)>(ship, |(position, velocity)| position.x += velocity.x)?;
    /// assert_eq!(world.get::<Position>(ship)?.x, 3.0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component, a dead entity, an entity that does not match, no memory; nothing has changed then.
    pub fn query_one_mut<Q: Query>(&mut self, entity: Entity, f: impl FnOnce(Q::Row<'_>)) -> Result<(), WorldError> {
        self.check_maker()?;
        let prepared = self.prepared::<Q>()?;
        let done = match self.store.locate(entity) {
            None => Err(WorldError::stale(entity)),
            Some(at) if !self.matches_row(&prepared, at) => Err(WorldError::NoMatch { entity }),
            Some(at) => {
                self.secure_one(&prepared, at).and_then(|written| Compared::new(self, &written)).map(|compared| {
                    compared.world.visit_one::<Q>(&prepared, at, |item| {
                        let before = Q::values(item, 0);
                        let mut after = before;
                        f(Q::row(&mut after));
                        Q::store(item, 0, &before, &after);
                    });
                })
            }
        };
        self.queries.put::<Q>(prepared);
        done
    }

    /// Calls `f` with every matching entity and its values, row by row, table by table. [`World::query`] gives whole
    /// chunks of columns, which is faster.
    ///
    /// ```
    /// use hypostyle::{Component, Read, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass(f64);
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// world.spawn_batch((1..=4).map(|kg| Mass(f64::from(kg))))?;
    /// let mut heaviest = None;
    /// world.for_each::<Read<Mass>>(|entity, mass| {
    ///     if heaviest.is_none_or(|(_, other)| mass.0 > other) {
    ///         heaviest = Some((entity, mass.0));
    ///     }
    /// })?;
    /// assert_eq!(heaviest.map(|(_, kg)| kg), Some(4.0));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`World::query`].
    pub fn for_each<Q: Query>(&self, mut f: impl FnMut(Entity, Q::Row<'_>)) -> Result<(), WorldError> {
        self.query::<Q>(|entities, mut item| {
            Q::for_each(&mut item, entities.len(), |row, values| f(entities[row], values));
        })
    }

    /// Calls `f` with every matching entity and its values to change, row by row, table by table. Rows of tracked
    /// components whose values differ afterwards count as changed. [`World::query_mut`] gives whole chunks of columns, which
    /// is faster.
    ///
    /// ```
    /// use hypostyle::{Component, Read, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Velocity { x: f32 }
    /// let mut world = World::builder().component::<Position>().component::<Velocity>().build()?;
    /// let ship = world.spawn((Position { x: 1.0 }, Velocity { x: 2.0 }))?;
    /// world.for_each_mut::<(Write<Position>, Read<Velocity>)>(|_, (position, velocity)| position.x += velocity.x)?;
    /// assert_eq!(world.get::<Position>(ship)?.x, 3.0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`World::query_mut`].
    pub fn for_each_mut<Q: Query>(&mut self, mut f: impl FnMut(Entity, Q::Row<'_>)) -> Result<(), WorldError> {
        self.query_mut::<Q>(|entities, mut item| {
            Q::for_each(&mut item, entities.len(), |row, values| f(entities[row], values));
        })
    }

    /// Despawns every entity, and returns how many there were. Their handles are stale from then on. Resources, prefabs,
    /// the frame number and the time stay.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass(f64);
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// let entity = world.spawn(Mass(1.0))?;
    /// assert_eq!(world.clear()?, 1);
    /// assert!(!world.contains(entity) && world.entity_count() == 0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// No memory; nothing has changed then.
    pub fn clear(&mut self) -> Result<u64, WorldError> {
        self.despawn_where::<()>()
    }
}
