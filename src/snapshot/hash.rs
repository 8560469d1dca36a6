//! A generation's logical content as one number: entities with their components and values in handle order, the free
//! slots, the resources. Where rows, tables and extents lie does not matter. And as one that handles do not matter
//! to, either: by global ids.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::id_hash::{self, IdHash, IdHashError, State};
use crate::layout::{Layout, Storage};
use crate::table::{ColumnKind, Location};
use xxhash_rust::xxh3::Xxh3;

use super::reader::Snapshot;

impl Snapshot<'_> {
    /// The hash of the generation's logical content. Equal content gives equal hashes, wherever and however it was
    /// computed.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let layout = self.layout();
        let mut hash = Xxh3::new();
        let tables: Vec<_> = self.all_tables().collect();
        let sizes: Vec<usize> = layout.components().iter().map(crate::layout::ComponentLayout::packed_bytes).collect();
        let ids: Vec<Vec<u16>> = tables
            .iter()
            .map(|table| {
                let names: Vec<&str> = table.components().collect();
                (0..layout.components().len() as u16)
                    .filter(|id| names.contains(&layout.components()[usize::from(*id)].name.as_str()))
                    .collect()
            })
            .collect();
        let mut packed = Vec::new();
        for (slot, (bits, generation)) in self.locations().iter().zip(self.generations()).enumerate() {
            packed.clear();
            packed.extend_from_slice(&(slot as u32).to_le_bytes());
            packed.extend_from_slice(&generation.to_le_bytes());
            match Location::from_bits(*bits) {
                None => packed.extend_from_slice(b"free"),
                Some(at) => {
                    let index = (at.table as usize).wrapping_sub(self.first_data());
                    let Some(table) = tables.get(index) else { continue };
                    for component in &ids[index] {
                        let start = packed.len();
                        packed.extend_from_slice(&component.to_le_bytes());
                        if layout.components()[usize::from(*component)].storage == Storage::List {
                            table.pack_list(*component, at.row as usize, &mut packed);
                            continue;
                        }
                        packed.resize(start + 2 + sizes[usize::from(*component)], 0);
                        if !table.pack_row(*component, at.row as usize, &mut packed[start + 2..]) {
                            packed.truncate(start);
                        }
                    }
                    packed.extend_from_slice(b"live");
                }
            }
            hash.update(&packed);
        }
        for resource in layout.resources() {
            match self.resource_bytes(&resource.name) {
                Ok(Some(bytes)) => {
                    hash.update(b"set");
                    hash.update(bytes);
                }
                Ok(None) | Err(_) => hash.update(b"not"),
            }
        }
        hash.digest()
    }
}

impl Snapshot<'_> {
    /// The hash of the generation by the [`GlobalId`](crate::GlobalId)s of its entities, as
    /// [`World::hash_by_id`](crate::World::hash_by_id) gives it.
    ///
    /// # Errors
    /// An entity without an id; an id that two entities have.
    pub fn hash_by_id(&self) -> Result<IdHash, IdHashError> {
        id_hash::hash(self)
    }
}

impl State for Snapshot<'_> {
    fn layout(&self) -> &Layout {
        Snapshot::layout(self)
    }

    fn frame(&self) -> u64 {
        Snapshot::frame(self)
    }

    fn tables(&self) -> usize {
        Snapshot::tables(self).count()
    }

    fn components(&self, table: usize) -> &[u16] {
        &self.data_entry(table).components
    }

    fn column(&self, table: usize, kind: ColumnKind) -> Option<&[u8]> {
        let entry = self.data_entry(table);
        let column = entry.columns.iter().find(|column| column.kind == kind)?;
        Some(self.column_parts(entry, column).0)
    }

    fn elements(&self, component: u16) -> Vec<&[u8]> {
        let Some(pool) = self.pool(component) else { return Vec::new() };
        pool.columns.iter().map(|column| self.column_parts(pool, column).0).collect()
    }

    fn locate(&self, entity: Entity) -> Option<(usize, usize)> {
        Snapshot::locate(self, entity)
    }
}
