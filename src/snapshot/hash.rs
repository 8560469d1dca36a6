//! A generation's logical content as one number: entities with their components and values in handle order, the free
//! slots, the resources. Where rows, tables and extents lie does not matter.
#![forbid(unsafe_code)]

use crate::table::{FIRST_DATA, Location};
use xxhash_rust::xxh3::Xxh3;

use super::reader::Snapshot;

impl Snapshot<'_> {
    /// The hash of the generation's logical content. Equal content gives equal hashes, wherever and however it was
    /// computed.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let layout = self.layout();
        let mut hash = Xxh3::new();
        let tables: Vec<_> = self.tables().collect();
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
                    let index = (at.table as usize).wrapping_sub(FIRST_DATA as usize);
                    let Some(table) = tables.get(index) else { continue };
                    for component in &ids[index] {
                        let start = packed.len();
                        packed.extend_from_slice(&component.to_le_bytes());
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
