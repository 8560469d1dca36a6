//! Where the tables stand in their list, and where an entity stands in them.
#![forbid(unsafe_code)]

/// The entity map's place among the tables.
pub(crate) const ENTITIES: u32 = 0;
/// The resources' place among the tables.
pub(crate) const RESOURCES: u32 = 1;
/// The place of the first pool of list elements among the tables: one for each component that is a list, in their order.
/// The tables of entities follow.
pub(crate) const FIRST_POOL: u32 = 2;
/// A slot that no entity uses.
pub(crate) const LOCATION_FREE: u64 = u64::MAX;

/// Table and row of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Place among the tables.
    pub table: u32,
    /// Row in it.
    pub row: u32,
}

impl Location {
    /// As stored in the entity map.
    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.table) << 32 | u64::from(self.row)
    }

    /// From the entity map.
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        (bits != LOCATION_FREE).then_some(Location { table: (bits >> 32) as u32, row: bits as u32 })
    }
}
