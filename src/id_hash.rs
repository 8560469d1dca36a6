//! A state as one number that does not depend on handles, rows or tables: a sum over entities, each by its global id.
//!
//! The hash of an entity is the XXH3 (128 bits) of its id and then, for each component in the order of names, of
//! - 8 bytes, the XXH3 (64 bits) of the component's name and the names and types of its fields,
//! - of a list its length (u64),
//! - the fields' bytes, of a list for each element; of a handle the global id of the entity that it names, and for null and dead
//!   entities `u64::MAX`. Of what lives elsewhere ([`Elsewhere`](crate::Elsewhere)) the id counts where a handle names it.
//!
//! Components that the entity lacks and scratch components are left out. So are handles, places of rows, resources
//! and time. This file never knows whether the state is a world or a generation of one.
#![forbid(unsafe_code)]

use std::fmt;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::component::{Entity, Plain};
use crate::global_id::GlobalId;
use crate::layout::{ComponentLayout, FieldType, Layout, ScalarType, Storage};
use crate::table::ColumnKind;

/// The hash of a state by global ids. Hashes of the parts of a state, one of each rank, combine to that of the whole.
/// Its `Display` is 32 hex digits.
///
/// ```
/// use hypostyle::{Component, GlobalId, World};
/// #[derive(Component, Clone, Copy)]
/// struct Mass { kg: f64 }
/// let hash_of = |ids: &[u64]| {
///     let mut world = World::builder().component::<GlobalId>().component::<Mass>().build()?;
///     world.spawn_batch(ids.iter().map(|id| (GlobalId::root(*id), Mass { kg: *id as f64 })))?;
///     Ok::<_, Box<dyn std::error::Error>>(world.hash_by_id()?)
/// };
/// let whole = hash_of(&[1, 2, 3])?;
/// assert_eq!(hash_of(&[3, 1, 2])?, whole, "the order of rows does not matter");
/// assert_eq!(hash_of(&[2])?.combine(hash_of(&[1, 3])?), Some(whole));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdHash {
    sum: u128,
    rows: u64,
    frame: u64,
}

impl IdHash {
    /// Entities of the state.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The frame of the state.
    #[must_use]
    pub fn frame(&self) -> u64 {
        self.frame
    }

    /// The hash of two parts of a state together, in any order; `None` where they are of different frames.
    #[must_use]
    pub fn combine(self, other: IdHash) -> Option<IdHash> {
        let (sum, rows) = (self.sum.wrapping_add(other.sum), self.rows.wrapping_add(other.rows));
        (self.frame == other.frame).then_some(IdHash { sum, rows, frame: self.frame })
    }

    /// The hash as bytes, to be sent to another process: the sum over entities, their number and the frame,
    /// little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.sum.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.rows.to_le_bytes());
        bytes[24..].copy_from_slice(&self.frame.to_le_bytes());
        bytes
    }

    /// A hash of its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> IdHash {
        let all = |range: std::ops::Range<usize>| {
            bytes[range].iter().rev().fold(0, |number: u128, byte| number << 8 | u128::from(*byte))
        };
        IdHash { sum: all(0..16), rows: all(16..24) as u64, frame: all(24..32) as u64 }
    }
}

impl fmt::Display for IdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", xxh3_128(&self.to_bytes()))
    }
}

/// Why a state has no hash by ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdHashError {
    /// The layout has no ids.
    #[error("no entity has a global id: the layout has no component `global_id` with one field `value` of type u64")]
    NoComponent,
    /// An entity without an id.
    #[error("entity {entity} has no `global_id`: every entity needs one to be found by")]
    NoId {
        /// The entity.
        entity: Entity,
    },
    /// Two entities with the same id.
    #[error("entities {first} and {second} have the same global id {id}: give every entity one of its own")]
    Twice {
        /// The id.
        id: u64,
        /// One of the entities.
        first: Entity,
        /// The other one.
        second: Entity,
    },
}

/// A state whose entities can be looked at, table by table.
pub(crate) trait State {
    /// The layout.
    fn layout(&self) -> &Layout;
    /// The frame.
    fn frame(&self) -> u64;
    /// Tables of entities.
    fn tables(&self) -> usize;
    /// Components of a table, toggles included.
    fn components(&self, table: usize) -> &[u16];
    /// The rows in use of a column; none where the table lacks it.
    fn column(&self, table: usize, kind: ColumnKind) -> Option<&[u8]>;
    /// The fields of all elements of a list.
    fn elements(&self, component: u16) -> Vec<&[u8]>;
    /// Table and row of an entity; none of a dead one.
    fn locate(&self, entity: Entity) -> Option<(usize, usize)>;
}

/// Words of 8 bytes.
fn words(bytes: &[u8]) -> &[[u8; 8]] {
    bytes.as_chunks::<8>().0
}

fn handles<'s>(state: &'s impl State, table: usize) -> impl Iterator<Item = Entity> + 's {
    let column = state.column(table, ColumnKind::Handle).unwrap_or_default();
    words(column).iter().map(|bits| Entity::from_bits(u64::from_le_bytes(*bits)))
}

/// Whether a table's rows stand for entities that live elsewhere: they lend their ids to handles, and are no part of the state.
fn is_elsewhere(state: &impl State, table: usize) -> bool {
    state.components(table).iter().any(|component| state.layout().components()[usize::from(*component)].is_elsewhere())
}

/// The ids of all rows, by table: none where a table lacks them.
struct Ids<'s>(Vec<Option<&'s [[u8; 8]]>>);

impl<'s> Ids<'s> {
    fn of(state: &'s impl State) -> Result<Ids<'s>, IdHashError> {
        let (component, declared) = state.layout().component(GlobalId::NAME).ok_or(IdHashError::NoComponent)?;
        let field = declared.fields.first().filter(|field| field.ty == FieldType::scalar(ScalarType::U64));
        if declared.storage != Storage::Table || field.is_none() {
            return Err(IdHashError::NoComponent);
        }
        let kind = ColumnKind::Field { component: component as u16, field: 0 };
        let ids = Ids((0..state.tables()).map(|table| state.column(table, kind).map(words)).collect());
        ids.check(state)?;
        Ok(ids)
    }

    /// Every row has an id, and none has another's.
    fn check(&self, state: &impl State) -> Result<(), IdHashError> {
        let mut all: Vec<(u64, Entity)> = Vec::new();
        for (table, ids) in self.0.iter().enumerate().filter(|(table, _)| !is_elsewhere(state, *table)) {
            match ids {
                Some(ids) => {
                    all.extend(ids.iter().zip(handles(state, table)).map(|(id, own)| (u64::from_le_bytes(*id), own)));
                }
                None => match handles(state, table).next() {
                    Some(entity) => return Err(IdHashError::NoId { entity }),
                    None => continue,
                },
            }
        }
        all.sort_unstable_by_key(|(id, entity)| (*id, entity.to_bits()));
        match all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(IdHashError::Twice { id: pair[0].0, first: pair[0].1, second: pair[1].1 }),
            None => Ok(()),
        }
    }

    /// What stands for a handle: the id of what it names, or `u64::MAX`.
    fn of_handle(&self, state: &impl State, bits: [u8; 8]) -> [u8; 8] {
        let at = state.locate(Entity::from_bits(u64::from_le_bytes(bits)));
        let id = at.and_then(|(table, row)| self.0.get(table).copied().flatten()?.get(row).copied());
        id.unwrap_or(u64::MAX.to_le_bytes())
    }
}

/// A component's columns in a table, or those of its elements.
struct Part<'s> {
    /// Stands for the component's name and fields.
    prefix: u64,
    presence: Option<&'s [[u8; 8]]>,
    /// Places and lengths of lists.
    spans: Option<[&'s [[u8; 4]]; 2]>,
    /// Bytes of a row, whether they are handles, and the rows.
    fields: Vec<(usize, bool, &'s [u8])>,
}

fn prefix_of(declared: &ComponentLayout) -> u64 {
    let mut text = declared.name.clone();
    for field in &declared.fields {
        text.push_str(&format!("\n{}: {}", field.name, field.ty));
    }
    xxh3_64(text.as_bytes())
}

impl<'s> Part<'s> {
    fn of(state: &'s impl State, table: usize, component: u16) -> Option<Part<'s>> {
        let declared = &state.layout().components()[usize::from(component)];
        if declared.storage.is_scratch() {
            return None;
        }
        let lists = declared.storage == Storage::List;
        let own = |(field, _)| state.column(table, ColumnKind::Field { component, field }).unwrap_or_default();
        let columns: Vec<&[u8]> =
            if lists { state.elements(component) } else { (0u8..).zip(&declared.fields).map(own).collect() };
        let span = |part| {
            let column = state.column(table, ColumnKind::Span { component, part });
            column.unwrap_or_default().as_chunks::<4>().0
        };
        let fields = declared.fields.iter().zip(columns);
        Some(Part {
            prefix: prefix_of(declared),
            presence: (declared.storage == Storage::Toggle)
                .then(|| words(state.column(table, ColumnKind::Presence { component }).unwrap_or_default())),
            spans: lists.then(|| [span(0), span(1)]),
            fields: fields
                .map(|(field, column)| (field.ty.bytes(), field.ty.scalar == ScalarType::Entity, column))
                .collect(),
        })
    }

    /// Elements that all columns have.
    fn elements(&self) -> usize {
        self.fields.iter().map(|(bytes, _, column)| column.len() / bytes).min().unwrap_or(0)
    }

    /// Appends what a row has of the component, if it has it.
    fn pack(&self, state: &impl State, ids: &Ids<'_>, row: usize, out: &mut Vec<u8>) {
        let is_on =
            |words: &[[u8; 8]]| words.get(row / 64).is_some_and(|word| word[row % 64 / 8] >> (row % 8) & 1 != 0);
        if !self.presence.is_none_or(is_on) {
            return;
        }
        out.extend_from_slice(&self.prefix.to_le_bytes());
        let Some(spans) = self.spans else { return self.pack_values(state, ids, row, out) };
        let [start, length] = spans.map(|part| part.get(row).map_or(0, |number| u32::from_le_bytes(*number)) as usize);
        out.extend_from_slice(&(length as u64).to_le_bytes());
        // a damaged region's spans may lead anywhere
        let end = (start + length).min(self.elements());
        (start..end).for_each(|element| self.pack_values(state, ids, element, out));
    }

    fn pack_values(&self, state: &impl State, ids: &Ids<'_>, at: usize, out: &mut Vec<u8>) {
        for (bytes, handles, column) in &self.fields {
            let value = column.get(at * bytes..(at + 1) * bytes).unwrap_or_default();
            if *handles {
                words(value).iter().for_each(|bits| out.extend_from_slice(&ids.of_handle(state, *bits)));
            } else {
                out.extend_from_slice(value);
            }
        }
    }
}

/// The hash of a state.
pub(crate) fn hash(state: &impl State) -> Result<IdHash, IdHashError> {
    let ids = Ids::of(state)?;
    let (mut sum, mut rows) = (0u128, 0u64);
    let mut packed = Vec::new();
    let names = state.layout().components();
    for (table, own) in ids.0.iter().enumerate() {
        let Some(own) = own.filter(|_| !is_elsewhere(state, table)) else { continue };
        let mut components = state.components(table).to_vec();
        components.sort_unstable_by_key(|component| &names[usize::from(*component)].name);
        let parts: Vec<Part<'_>> =
            components.iter().filter_map(|component| Part::of(state, table, *component)).collect();
        for (row, id) in own.iter().enumerate() {
            packed.clear();
            packed.extend_from_slice(id);
            parts.iter().for_each(|part| part.pack(state, &ids, row, &mut packed));
            sum = sum.wrapping_add(xxh3_128(&packed));
        }
        rows += own.len() as u64;
    }
    Ok(IdHash { sum, rows, frame: state.frame() })
}
