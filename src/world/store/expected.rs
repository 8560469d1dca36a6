//! Which columns a simulation's schedule is going to write: those get room for two extents, and the tables that get rows
//! get room for some more of them.
//!
//! It is a forecast from declarations. What it leaves out (entities of tables that a system does not match, ended by
//! their handles) is looked at when it happens: it fits, or the frame is refused.
#![forbid(unsafe_code)]

use crate::layout::Storage;
use crate::region::RegionError;
use crate::table::{ColumnKind, Shape, TableKind};

use super::Store;
use crate::world::access::query::{QueryPlan, concerns};

/// Tables that get rows have room for so many more: one in so many of what they have, as there is memory.
const PARTS: [u64; 3] = [8, 16, 32];

/// So many rows more at least.
const ROWS_MORE_MIN: u64 = 64;

/// Rows that there is room for at least, beside those of a table that gets rows.
pub(in crate::world) fn margin_rows(rows: u32) -> u32 {
    (rows / PARTS[PARTS.len() - 1] as u32).max(ROWS_MORE_MIN as u32)
}

/// What one system writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    /// Its own rows.
    pub query: QueryPlan,
    /// Components that it sets by patches, sorted.
    pub sets: Vec<u16>,
    /// Components that it adds, sorted.
    pub adds: Vec<u16>,
    /// Components of what it spawns, sorted.
    pub spawns: Vec<u16>,
    /// Components whose lists it sets, sorted.
    pub lists: Vec<u16>,
    /// Whether its own rows leave their table, or are sorted.
    pub moves_rows: bool,
}

/// What a schedule writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected(Vec<Writes>);

impl Expected {
    /// Whether rows come, go or change their places.
    pub(super) fn moves_rows(&self) -> bool {
        let moves = |writes: &Writes| writes.moves_rows || !writes.spawns.is_empty() || !writes.adds.is_empty();
        self.0.iter().any(moves)
    }
}

impl Writes {
    fn is_all(&self, shape: &Shape) -> bool {
        self.moves_rows && concerns(&self.query, shape) || self.gains_rows(shape)
    }

    /// Whether the table gets rows of this system.
    fn gains_rows(&self, shape: &Shape) -> bool {
        let is_spawned =
            |slot: &crate::table::Slot| slot.presence.is_some() || self.spawns.binary_search(&slot.component).is_ok();
        let spawned = !self.spawns.is_empty() && shape.slots.iter().all(is_spawned);
        spawned || shape.components.iter().any(|component| self.adds.binary_search(component).is_ok())
    }

    fn sets_list(&self, component: u16) -> bool {
        self.lists.binary_search(&component).is_ok()
    }

    fn writes_field(&self, shape: &Shape, component: u16, field: u8) -> bool {
        let dense = self.query.columns.iter().any(|a| a.write && (a.component, a.field) == (component, field));
        dense && concerns(&self.query, shape) || self.sets.binary_search(&component).is_ok()
    }
}

impl Store {
    /// Notes what a schedule is going to write, and finds room for it.
    ///
    /// # Errors
    /// The world has no room for it now.
    pub(in crate::world) fn expect(&mut self, writes: Vec<Writes>) -> Result<(), RegionError> {
        self.begin_expecting(writes);
        self.make_room_for_expected()
    }

    pub(in crate::world) fn begin_expecting(&mut self, writes: Vec<Writes>) {
        self.close_all();
        self.begin_change();
        self.expected = Expected(writes);
        self.mark_expected();
    }

    fn make_room_for_expected(&mut self) -> Result<(), RegionError> {
        if self.is_roomy(0) {
            return Ok(());
        }
        self.take_expected()?;
        if !self.secure_next()? {
            return Err(self.full(self.lacking_bytes()));
        }
        let all = 0..self.tables.len() as u32;
        let tables: Vec<u32> = all.filter(|table| self.tables[*table as usize].gains_rows).collect();
        // new rows stand beside those that they replace until a batch's end
        let before: Vec<u32> = tables.iter().map(|table| self.tables[*table as usize].capacity).collect();
        let mut done = Ok(());
        for part in PARTS {
            for (table, before) in tables.iter().zip(&before) {
                let rows = u64::from(self.tables[*table as usize].rows);
                let wanted = (rows + rows / part).max(rows + ROWS_MORE_MIN).next_multiple_of(64);
                if wanted > u64::from(*before) {
                    done = done.and_then(|()| self.resize(*table, u32::try_from(wanted).unwrap_or(u32::MAX)));
                }
            }
            if done.is_ok() || part == PARTS[PARTS.len() - 1] {
                break;
            }
            for (table, before) in tables.iter().zip(&before) {
                self.give_back(*table, *before);
            }
            done = Ok(());
        }
        done
    }

    /// Nothing is expected to be written any more but what always is.
    pub(crate) fn forget_expected(&mut self) {
        self.expected = Expected::default();
        self.mark_expected();
    }

    /// Marks the columns of all tables.
    pub(in crate::world) fn mark_expected(&mut self) {
        for table in 0..self.tables.len() as u32 {
            self.mark_expected_table(table);
        }
    }

    /// Marks the columns of a new table, or of one that has other columns by now.
    pub(in crate::world) fn mark_expected_table(&mut self, table: u32) {
        let Store { tables, expected, layout, .. } = self;
        let table = &mut tables[table as usize];
        let shape = std::sync::Arc::clone(&table.shape);
        let all = expected.0.iter().any(|writes| writes.is_all(&shape));
        table.gains_rows = match table.kind {
            TableKind::Data => expected.0.iter().any(|writes| writes.gains_rows(&shape)),
            TableKind::Entities => expected.0.iter().any(|writes| !writes.spawns.is_empty()),
            TableKind::Resources => false,
            TableKind::Pool => expected.0.iter().any(|writes| writes.sets_list(shape.components[0])),
        };
        let is_pool = table.kind == TableKind::Pool;
        let published = table.shape.published;
        // scratch is written in place
        table.columns[published..].iter_mut().for_each(|column| column.expected = false);
        for column in &mut table.columns[..published] {
            if is_pool {
                column.expected = table.gains_rows;
                continue;
            }
            column.expected = all
                || column.kind.is_always_expected()
                || match column.kind {
                    ColumnKind::Field { component, field } => {
                        expected.0.iter().any(|writes| writes.writes_field(&shape, component, field))
                    }
                    ColumnKind::Presence { component } => {
                        debug_assert_eq!(layout.components()[usize::from(component)].storage, Storage::Toggle);
                        expected.0.iter().any(|writes| writes.sets.binary_search(&component).is_ok())
                    }
                    ColumnKind::Span { component, .. } => expected.0.iter().any(|writes| writes.sets_list(component)),
                    // cleared in every frame
                    ColumnKind::Changed { .. } => !expected.0.is_empty(),
                    _ => false,
                };
        }
    }
}
