//! Which global ids the entities of a generation have.
#![forbid(unsafe_code)]

use crate::component::Entity;

use super::reader::Snapshot;

/// The column of ids.
const COLUMN: &str = "global_id.value";

/// The global ids of a generation's entities, also of those that live elsewhere and are named here
/// ([`Elsewhere`](crate::Elsewhere)).
#[derive(Clone)]
pub struct GlobalIds<'s> {
    snapshot: &'s Snapshot<'s>,
    /// By table; empty: its entities have none.
    tables: Vec<&'s [u64]>,
}

impl<'r> Snapshot<'r> {
    /// The global ids, to ask for those of many entities; none where the layout has no [`GlobalId`](crate::GlobalId).
    ///
    /// ```
    /// use hypostyle::{GlobalId, World};
    /// let mut world = World::builder().component::<GlobalId>().build()?;
    /// let body = world.spawn(GlobalId::root(3))?;
    /// world.publish()?;
    /// let mut reader = world.reader()?;
    /// let snapshot = reader.pin()?;
    /// let ids = snapshot.global_ids().expect("the layout has them");
    /// assert_eq!(ids.of(body), Some(GlobalId::root(3).value));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn global_ids(&'r self) -> Option<GlobalIds<'r>> {
        let ids = |table: super::TableView<'r>| table.column::<u64>(COLUMN).map(Option::unwrap_or_default);
        // no such column, or one of another type, is none of ids
        let tables = self.all_tables().map(ids).collect::<Result<Vec<_>, _>>().ok()?;
        self.layout().component("global_id")?;
        Some(GlobalIds { snapshot: self, tables })
    }
}

impl GlobalIds<'_> {
    /// The id of an entity; none of a dead one, and of one without an id.
    #[must_use]
    pub fn of(&self, entity: Entity) -> Option<u64> {
        let (table, row) = self.snapshot.locate(entity)?;
        self.tables.get(table)?.get(row).copied()
    }
}
