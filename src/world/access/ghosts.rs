//! Ghosts of a table, given and taken by whoever has their rows: see [`World::set_ghosts`].
#![forbid(unsafe_code)]

use crate::limits::ENTITIES_MAX;
use crate::table::{ColumnKind, TableKind};
use crate::world::World;
use crate::world::error::WorldError;

use super::bulk::find_field;

/// What can go wrong with ghosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GhostError {
    /// More than a table can show.
    #[error("{rows} own rows and {ghosts} ghosts are more than the {} rows that a table can show", ENTITIES_MAX)]
    TooMany {
        /// Own rows of the table.
        rows: u64,
        /// Ghosts that it was to have.
        ghosts: u64,
    },
    /// A column that the table does not have.
    #[error("the table of ({table}) has no component `{component}`: its ghosts cannot have one")]
    NoComponent {
        /// The table's components.
        table: String,
        /// The component.
        component: String,
    },
    /// A system looks at a component that ghosts were not given.
    #[error(
        "system `{system}` looks at component `{component}` of all rows of the table of ({table}), whose ghosts were not \
         given it; set their ghosts with every component that views read"
    )]
    Missing {
        /// The system.
        system: String,
        /// The table's components.
        table: String,
        /// The component.
        component: String,
    },
    /// A system changes a row of another part.
    #[error(
        "system `{system}` has a patch on an entity that another part of the world owns: of the rows that a view shows it \
         can change own ones only (`NeighbourTable::own_rows`)"
    )]
    Patched {
        /// The system.
        system: String,
    },
    /// Ghosts that are to have handles, without their ids.
    #[error(
        "ghosts of the table of ({table}) have no `global_id.value`, by which they get handles; set their ghosts with it"
    )]
    Unnamed {
        /// The table's components.
        table: String,
    },
    /// Two ghosts with the same id.
    #[error("two ghosts have the same global id {id}: an entity lives in one part of the world")]
    Twice {
        /// The id.
        id: u64,
    },
    /// Which rows a view shows depends on bits, which ghosts do not have.
    #[error(
        "system `{system}` looks at those rows of the table of ({table}) that have a toggle or were changed; tables with \
         ghosts can only be looked at as a whole: make it a component with `storage = \"table\"`"
    )]
    Bits {
        /// The system.
        system: String,
        /// The table's components.
        table: String,
    },
}

impl World {
    /// The table of the entities with exactly these components; made, if there is none yet. Toggles among them get
    /// columns.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// let table = world.table_with(&["mass"])?;
    /// assert_eq!((table, world.table_rows(table)), (0, 0));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component, or one given twice; no memory.
    pub fn table_with(&mut self, components: &[&str]) -> Result<usize, WorldError> {
        self.check_maker()?;
        let mut ids = Vec::with_capacity(components.len());
        for name in components {
            let id = self.registry.component_named(name)?;
            if ids.contains(&id) {
                return Err(WorldError::DuplicateComponent { component: (*name).to_owned() });
            }
            ids.push(id);
        }
        let table = self.table_of(&ids)?;
        Ok((table - self.store.first_data) as usize)
    }

    /// Gives a table ghosts, in place of those that it had: copies of rows that another part of a spread world owns.
    /// Views of systems ([`System::neighbours`](crate::System::neighbours)) show them behind the table's own rows,
    /// with the handle [`Entity::GHOST`](crate::Entity::GHOST). Nothing else sees them: they are not counted, not
    /// queried, not hashed, not published and not saved.
    ///
    /// A column is given by its name (`position.x`), with the bytes of `rows` values. A system that looks at a
    /// component that was not given fails its frame ([`GhostError::Missing`]). The columns are copied: they stay as
    /// they are, whatever becomes of the table's rows, until they are set anew, changed ([`World::ghost_column_mut`])
    /// or cleared. They are cleared when the world goes back to an earlier state.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Total { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().component::<Total>().build()?;
    /// let body = world.spawn((Mass { kg: 1.0 }, Total { kg: 0.0 }))?;
    /// let kg: [f64; 2] = [10.0, 20.0];
    /// world.set_ghosts(0, 2, &[("mass.kg", bytemuck::bytes_of(&kg))])?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(System::neighbours::<Write<Total>, Read<Mass>>("sum", |_, mut total, others| {
    ///     total.kg.fill(others.tables().flat_map(|table| table.columns.kg).sum());
    /// }));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Local)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Total>(body)?.kg, 31.0);
    /// assert_eq!(simulation.world().entity_count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// No such component or field, or not one of this table; a column of another length; too many rows. The table has
    /// the ghosts then that it had.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn set_ghosts(&mut self, table: usize, rows: usize, columns: &[(&str, &[u8])]) -> Result<(), WorldError> {
        self.check_maker()?;
        let at = table + self.store.first_data as usize;
        let own = u64::from(self.store.tables[at].rows);
        let (ghosts, most) = (rows as u64, u64::from(ENTITIES_MAX));
        if own.saturating_add(ghosts) > most {
            return Err(GhostError::TooMany { rows: own, ghosts }.into());
        }
        let mut kinds = Vec::with_capacity(columns.len());
        for (name, bytes) in columns {
            let (kind, size) = self.ghost_kind(table, name)?;
            let want = rows.saturating_mul(size);
            if bytes.len() != want {
                return Err(WorldError::ColumnLength { column: (*name).to_owned(), got: bytes.len(), want });
            }
            kinds.push(kind);
        }
        let ghosts = &mut self.store.tables[at].ghosts;
        ghosts.reset(rows as u32);
        for (kind, (_, bytes)) in kinds.into_iter().zip(columns) {
            ghosts.set(kind, bytes);
        }
        self.store.note_ghosts();
        Ok(())
    }

    /// Ghosts of a table.
    ///
    /// # Panics
    /// If there is no such table.
    #[must_use]
    pub fn ghosts(&self, table: usize) -> usize {
        self.store.tables[table + self.store.first_data as usize].ghosts.rows as usize
    }

    /// Takes the ghosts of all tables away.
    pub fn clear_ghosts(&mut self) {
        for table in self.store.tables.iter_mut().filter(|table| table.kind == TableKind::Data) {
            table.ghosts.reset(0);
        }
        self.store.note_ghosts();
    }

    /// A column of a table's ghosts; `None`: they were not given it.
    ///
    /// # Errors
    /// No such component or field, or not one of this table.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn ghost_column(&self, table: usize, name: &str) -> Result<Option<&[u8]>, WorldError> {
        let (kind, _) = self.ghost_kind(table, name)?;
        Ok(self.store.tables[table + self.store.first_data as usize].ghosts.column(kind))
    }

    /// The same, to write: the next batch sees it.
    ///
    /// # Errors
    /// As for [`World::ghost_column`].
    ///
    /// # Panics
    /// If there is no such table.
    pub fn ghost_column_mut(&mut self, table: usize, name: &str) -> Result<Option<&mut [u8]>, WorldError> {
        let (kind, _) = self.ghost_kind(table, name)?;
        Ok(self.store.tables[table + self.store.first_data as usize].ghosts.column_mut(kind))
    }

    /// What a named column of a table holds, and bytes of a value.
    fn ghost_kind(&self, table: usize, name: &str) -> Result<(ColumnKind, usize), WorldError> {
        let (component, field, ty) = find_field(&self.registry, name)?;
        let at = table as u32 + self.store.first_data;
        if self.store.tables[at as usize].shape.slot(component).is_none() {
            let component = self.layout().components()[usize::from(component)].name.clone();
            return Err(GhostError::NoComponent { table: self.store.table_names(at), component }.into());
        }
        Ok((ColumnKind::Field { component, field }, ty.bytes()))
    }
}
