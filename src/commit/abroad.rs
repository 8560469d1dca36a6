//! Patches on entities that live in another part of a spread world: they are told to all parts as bytes, and carried out by the
//! one that has the row.
//!
//! What is told of a patch: id (u64), system (u32), component (u16), field (u8), 1 for a despawn and 0 for an accumulation (u8),
//! bytes of the value (u32), the value. All numbers are little-endian.
//!
//! Invariant: the outcome does not depend on the order of patches, and so on no part: exact joins and despawns have none. What
//! comes from other parts is hostile until it was checked here, as records are.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ops::Range;

use crate::Entity;
use crate::patch::Op;
use crate::region::RegionError;
use crate::table::Location;

use super::apply::{Commit, Current, Target};

/// Bytes of a patch without its value.
const HEAD_BYTES: usize = 20;

/// What a batch has for other parts.
#[derive(Debug, Default)]
pub(crate) struct Abroad {
    /// Whether there are other parts that get it.
    pub open: bool,
    /// The patches, and how many there are.
    sent: Vec<u8>,
    count: u64,
    /// Ids of the entities that have died here.
    died: Vec<u64>,
}

/// Why what other parts told cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AbroadError {
    #[error(transparent)]
    Region(#[from] RegionError),
    #[error("part {part} told patches that are none: {what}")]
    Told { part: usize, what: String },
    #[error("{sent} patches on entities that live in other parts were told, and {found} found theirs: {why}")]
    Lost { sent: u64, found: u64, why: &'static str },
}

/// A patch as it was told.
struct Told<'t> {
    id: u64,
    system: usize,
    component: u16,
    field: u8,
    despawns: bool,
    value: &'t [u8],
}

impl Abroad {
    pub(super) fn clear(&mut self) {
        self.sent.clear();
        self.count = 0;
        self.died.clear();
    }

    /// The patches: their number, then each.
    pub(crate) fn told(&self) -> Vec<u8> {
        [&self.count.to_le_bytes()[..], &self.sent].concat()
    }

    /// What was found of all that was told, and who died here: the number, then the ids.
    pub(crate) fn told_deaths(&self, found: u64) -> Vec<u8> {
        std::iter::once(&found).chain(&self.died).flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(super) fn died(&mut self, id: u64) {
        self.died.push(id);
    }

    fn push(&mut self, id: u64, system: usize, op: Op, (component, field): (u16, u8), value: &[u8]) {
        self.sent.extend_from_slice(&id.to_le_bytes());
        self.sent.extend_from_slice(&(system as u32).to_le_bytes());
        self.sent.extend_from_slice(&component.to_le_bytes());
        self.sent.extend_from_slice(&[field, u8::from(op == Op::Despawn)]);
        self.sent.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.sent.extend_from_slice(value);
        self.count += 1;
    }
}

/// The ids of all parts that have died, of what all parts told; all patches have found their entities.
pub(crate) fn deaths(all: &[Vec<u8>], sent: u64) -> Result<Vec<u64>, AbroadError> {
    let mut died = Vec::new();
    let mut found = 0_u64;
    for (part, told) in all.iter().enumerate() {
        let (words, []) = told.as_chunks::<8>() else {
            return Err(AbroadError::Told { part, what: "ids are 8 bytes each".to_owned() });
        };
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let own = words.next();
        let own =
            own.ok_or_else(|| AbroadError::Told { part, what: "nothing is said of what was found".to_owned() })?;
        found = found.wrapping_add(own);
        died.extend(words);
    }
    if found != sent {
        let why = if found < sent { "an id that is named is nobody's" } else { "an id is that of two entities" };
        return Err(AbroadError::Lost { sent, found, why });
    }
    Ok(died)
}

fn split<'t, const N: usize>(bytes: &mut &'t [u8]) -> Option<&'t [u8; N]> {
    let (word, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(word)
}

impl<'t> Told<'t> {
    /// The next of some; `None`: there is less than one.
    fn next(bytes: &mut &'t [u8]) -> Option<Told<'t>> {
        let id = u64::from_le_bytes(*split(bytes)?);
        let system = u32::from_le_bytes(*split(bytes)?) as usize;
        let component = u16::from_le_bytes(*split(bytes)?);
        let [field, despawns] = *split(bytes)?;
        let length = u32::from_le_bytes(*split(bytes)?) as usize;
        let (value, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        (despawns <= 1).then_some(Told { id, system, component, field, despawns: despawns == 1, value })
    }

    /// All of what a part told.
    fn all(mut bytes: &'t [u8]) -> Result<Vec<Told<'t>>, String> {
        let count =
            split::<8>(&mut bytes).map(|word| u64::from_le_bytes(*word)).ok_or("it has no number of patches")?;
        let mut all = Vec::with_capacity(bytes.len() / HEAD_BYTES);
        while !bytes.is_empty() {
            all.push(Told::next(&mut bytes).ok_or("one ends too early, or is of no kind")?);
        }
        if all.len() as u64 == count { Ok(all) } else { Err(format!("{count} were announced, {} came", all.len())) }
    }
}

impl Commit<'_> {
    /// Whether an entity lives elsewhere: then the patch is kept for who has it, or refused as one of those that must not be
    /// sent.
    pub(super) fn send(&mut self, current: &Current, entity: Entity, op: Op, place: (u16, u8), value: &[u8]) -> bool {
        let at = if entity.is_reserved() { None } else { self.store.locate(entity) };
        let Some(at) = at.filter(|at| self.is_elsewhere(*at)) else { return false };
        let id = self.id_at(at);
        match id.filter(|_| self.scratch.abroad.open && matches!(op, Op::Accumulate | Op::Despawn)) {
            Some(id) => self.scratch.abroad.push(id, current.system, op, place, value),
            None => self.miss(current, entity),
        }
        true
    }

    pub(super) fn is_elsewhere(&self, at: Location) -> bool {
        self.store.tables[at.table as usize].shape.elsewhere
    }

    /// The global id of a row.
    pub(super) fn id_at(&self, at: Location) -> Option<u64> {
        let component = self.registry.component::<crate::GlobalId>().ok()?;
        let column = self.store.tables[at.table as usize].shape.first(component)?;
        let ids = self.store.column_bytes(at.table, column).as_chunks::<8>().0;
        ids.get(at.row as usize).map(|id| u64::from_le_bytes(*id))
    }

    /// Applies the patches that all parts told to the rows that are here. Returns how many were told, and how many of them found
    /// their row here.
    pub(crate) fn receive(&mut self, all: &[Vec<u8>]) -> Result<(u64, u64), AbroadError> {
        let mut told: Vec<(usize, Told<'_>)> = Vec::new();
        for (part, bytes) in all.iter().enumerate() {
            let patches = Told::all(bytes).map_err(|what| AbroadError::Told { part, what })?;
            told.extend(patches.into_iter().map(|patch| (part, patch)));
        }
        for (part, patch) in &told {
            self.check_told(patch).map_err(|what| AbroadError::Told { part: *part, what })?;
        }
        let mut places: HashMap<u64, Option<Location>> = told.iter().map(|(_, patch)| (patch.id, None)).collect();
        if !places.is_empty() {
            self.find_ids(&mut places);
        }
        let mut found = 0;
        for (_, patch) in &told {
            let Some(Some(at)) = places.get(&patch.id) else { continue };
            found += 1;
            self.apply_told(patch, *at)?;
        }
        Ok((told.len() as u64, found))
    }

    /// Where the rows with these ids are, of those that are here.
    fn find_ids(&self, places: &mut HashMap<u64, Option<Location>>) {
        let Ok(component) = self.registry.component::<crate::GlobalId>() else { return };
        for (table, data) in self.store.data_tables().filter(|(_, data)| !data.shape.elsewhere) {
            let Some(column) = data.shape.first(component) else { continue };
            let ids = self.store.column_bytes(table, column).as_chunks::<8>().0;
            for (id, row) in ids.iter().zip(0..) {
                if let Some(place) = places.get_mut(&u64::from_le_bytes(*id)) {
                    *place = Some(Location { table, row });
                }
            }
        }
    }

    /// Whether a system may do what was told of it.
    fn check_told(&self, patch: &Told<'_>) -> Result<(), String> {
        let access = self.access.get(patch.system).ok_or_else(|| format!("there is no system {}", patch.system))?;
        if patch.despawns {
            let fits = access.despawns && patch.value.is_empty();
            return fits.then_some(()).ok_or_else(|| format!("system {} has no such despawn", patch.system));
        }
        let rules = access.accumulates.iter().find(|rules| rules.component == patch.component);
        let declared = rules.is_some_and(|rules| rules.rules(patch.field).is_some());
        match self.sizes.value(patch.component, patch.field).filter(|_| declared) {
            Some(bytes) if bytes == patch.value.len() => Ok(()),
            Some(bytes) => Err(format!("a value has {} bytes, and not {bytes}", patch.value.len())),
            None => Err(format!(
                "system {} does not accumulate on field {} of component {}",
                patch.system, patch.field, patch.component
            )),
        }
    }

    /// Applies a patch that was checked.
    fn apply_told(&mut self, patch: &Told<'_>, at: Location) -> Result<(), RegionError> {
        let current = Current {
            system: patch.system,
            table: at.table,
            rows: Range::default(),
            reserved: Entity::NULL,
            spawns: Range::default(),
            spawned: 0,
            list: None,
        };
        if patch.despawns {
            return self.apply_one(&current, Op::Despawn, Target::Row(at), 0, 0, &[]);
        }
        let access = self.access;
        let rules = access[patch.system].accumulates.iter().find(|rules| rules.component == patch.component);
        let rules = rules.expect("the patch was checked");
        self.accumulate_one(&current, rules, Target::Row(at), patch.field, patch.value)
    }
}
