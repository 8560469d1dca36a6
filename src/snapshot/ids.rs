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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::ColumnRole;
    use crate::world::World;
    use crate::{Component, Elsewhere, GlobalId};

    #[derive(Component, Clone, Copy)]
    struct Moon {
        planet: Entity,
    }

    #[test]
    fn rows_of_what_lives_elsewhere_are_not_shown_and_lend_their_ids() {
        let builder = World::builder().component::<GlobalId>().component::<Elsewhere>().component::<Moon>();
        let mut world = builder.build().expect("a private world");
        let planets: Vec<Entity> =
            (0..5000).map(|id| world.spawn(GlobalId::root(id)).expect("there is room")).collect();
        let moon = world.spawn((GlobalId::root(9000), Moon { planet: planets[7] })).expect("there is room");
        let table = world.table_with(&["global_id"]).expect("planets are there");
        let away: Vec<u32> = (0..3000).collect();
        world.leave_rows(table, &away).expect("they have ids");
        world.publish().expect("there is room");
        let mut reader = world.reader().expect("a lease");
        let snapshot = reader.pin().expect("published");
        assert_eq!((snapshot.entity_count(), world.entity_count()), (2001, 2001));
        let mut listed = 0;
        for table in snapshot.tables() {
            let handles = table.entities();
            let ids = table.column::<u64>(COLUMN).expect("is there").unwrap_or_default();
            assert_eq!((handles.len(), ids.len()), (table.rows(), table.rows()));
            listed += table.rows();
            if table.is_elsewhere() {
                assert_eq!(table.rows(), 0);
                assert!(table.raw_columns().all(|column| column.bytes().is_empty()));
                assert!(table.raw_columns().any(|column| column.role() == ColumnRole::Handle));
                assert!(table.raw_columns().all(|column| column.changed_since(0).is_empty()));
            }
        }
        assert_eq!(listed, 2001);
        assert!(snapshot.changed_since(0).all(|column| column.chunks.runs().all(|rows| rows.end <= 2000)));
        // what is named by handles has its id all the same, and the state is what the world says
        let ids = snapshot.global_ids().expect("the layout has them");
        assert_eq!((ids.of(planets[7]), ids.of(moon), ids.of(Entity::NULL)), (Some(7), Some(9000), None));
        assert_eq!(snapshot.get::<GlobalId>(planets[7]).expect("it is alive").value, 7);
        assert_eq!(snapshot.hash_by_id().expect("all have ids"), world.hash_by_id().expect("all have ids"));
        snapshot.check().expect("all rows are checked");
    }
}
