//! Patches on entities that live in another part of a spread world: they are told to all parts as bytes, and carried out by the
//! one that has the row.
//!
//! What is told of a patch: id (u64), system (u32), component (u16), field (u8), what it does (u8, a place in [`OPS`]), bytes
//! of the value (u32), the value. All numbers are little-endian.
//!
//! Invariant: the outcome does not depend on the order of patches, and so on no part. Exact joins and despawns have no order.
//! Sets, adds and removes by handle wait, those on rows that are here as well, until those of all parts are here; then each
//! entity gets one value of a component, or the frame fails ([`super::alike`]). What comes from other parts is hostile until
//! it was checked here, as records are.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::Entity;
use crate::patch::Op;
use crate::region::RegionError;
use crate::table::Location;

use super::apply::{Commit, Current, Target};

/// Bytes of a patch without its value.
const HEAD_BYTES: usize = 20;
/// What a patch may do, by its number.
const OPS: [Op; 5] = [Op::Accumulate, Op::Despawn, Op::Set, Op::Add, Op::Remove];

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
    /// Sets, adds and removes of rows that are here, by handle.
    own: Vec<Waiting>,
    /// The values of these.
    values: Vec<u8>,
    /// Components that jobs added to rows of their own, or removed.
    by_row: HashSet<(u32, u32, u16)>,
    /// The first patch that no other part can carry out.
    unsendable: Option<Unsendable>,
}

/// A patch of a system that is not sent.
#[derive(Clone, Copy, Debug)]
struct Unsendable {
    system: usize,
    component: u16,
    what: &'static str,
}

/// A set, add or remove of a row that is here.
#[derive(Clone, Debug)]
struct Waiting {
    at: Location,
    system: usize,
    op: Op,
    component: u16,
    field: u8,
    value: Range<usize>,
}

/// A set, add or remove of a row that is here, whoever it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aimed<'t> {
    pub(super) at: Location,
    pub(super) system: usize,
    pub(super) op: Op,
    pub(super) component: u16,
    pub(super) field: u8,
    pub(super) value: &'t [u8],
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
    #[error(
        "`{component}` of the entity with global id {id} is changed twice in one batch, {what}: which comes last depends on who \
         lives where; let one row decide, or accumulate"
    )]
    Differ { system: usize, component: String, id: u64, what: &'static str },
    #[error("`{component}` of entities that may live in another part: {what}")]
    Unsendable { system: usize, component: String, what: &'static str },
}

impl AbroadError {
    /// The system whose patches it is about.
    pub(crate) fn system(&self) -> Option<usize> {
        match self {
            AbroadError::Differ { system, .. } | AbroadError::Unsendable { system, .. } => Some(*system),
            AbroadError::Region(_) | AbroadError::Told { .. } | AbroadError::Lost { .. } => None,
        }
    }
}

/// A patch as it was told.
struct Told<'t> {
    id: u64,
    system: usize,
    component: u16,
    field: u8,
    op: Op,
    value: &'t [u8],
}

impl Abroad {
    pub(super) fn clear(&mut self) {
        self.sent.clear();
        self.count = 0;
        self.died.clear();
        self.own.clear();
        self.values.clear();
        self.by_row.clear();
        self.unsendable = None;
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
        let number = OPS.iter().position(|other| *other == op).unwrap_or(OPS.len());
        self.sent.extend_from_slice(&[field, number as u8]);
        self.sent.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.sent.extend_from_slice(value);
        self.count += 1;
    }

    /// Keeps a set, add or remove of a row that is here.
    fn wait(&mut self, at: Location, system: usize, op: Op, (component, field): (u16, u8), value: &[u8]) {
        let from = self.values.len();
        self.values.extend_from_slice(value);
        self.own.push(Waiting { at, system, op, component, field, value: from..self.values.len() });
    }

    /// A job added a component to a row of its own, or removed it.
    pub(super) fn changed_by_row(&mut self, at: Location, component: u16) {
        self.by_row.insert((at.table, at.row, component));
    }

    pub(super) fn is_changed_by_row(&self, at: Location, component: u16) -> bool {
        self.by_row.contains(&(at.table, at.row, component))
    }

    /// There is a patch that is not sent.
    pub(super) fn refuse(&mut self, system: usize, component: u16, what: &'static str) {
        self.unsendable.get_or_insert(Unsendable { system, component, what });
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
        let [field, op] = *split(bytes)?;
        let length = u32::from_le_bytes(*split(bytes)?) as usize;
        let (value, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        let op = *OPS.get(usize::from(op))?;
        Some(Told { id, system, component, field, op, value })
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
    /// sent. A set, add or remove waits for those of other parts, whoever has the row.
    pub(super) fn send(&mut self, current: &Current, entity: Entity, op: Op, place: (u16, u8), value: &[u8]) -> bool {
        let at = if entity.is_reserved() { None } else { self.store.locate(entity) };
        let Some(at) = at else { return false };
        let (elsewhere, open) = (self.is_elsewhere(at), self.scratch.abroad.open);
        let waits = open && matches!(op, Op::Set | Op::Add | Op::Remove);
        if !elsewhere && !waits {
            return false;
        }
        let Some(id) = self.id_at(at).filter(|_| open) else {
            self.miss(current, entity);
            return true;
        };
        if !waits {
            self.scratch.abroad.push(id, current.system, op, place, value);
            return true;
        }
        let (component, field) = place;
        // handles of new entities become real ones while the job is known that made them
        let given = op != Op::Remove;
        if given && self.checked_value(current, component, field, value).is_none() {
            return true;
        }
        let value = if given { std::mem::take(&mut self.scratch.value) } else { Vec::new() };
        if !elsewhere {
            self.scratch.abroad.wait(at, current.system, op, place, &value);
        } else if given && !self.registry.entity_offsets[usize::from(component)].is_empty() {
            let what = "a value with handles is given to no entity that lives elsewhere; keep the global id";
            self.scratch.abroad.refuse(current.system, component, what);
        } else {
            self.scratch.abroad.push(id, current.system, op, place, &value);
        }
        if given {
            self.scratch.value = value;
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

    /// Applies the patches that all parts told to the rows that are here, and those of its own that have waited. Returns how
    /// many were told, and how many of them found their row here.
    pub(crate) fn receive(&mut self, all: &[Vec<u8>]) -> Result<(u64, u64), AbroadError> {
        if let Some(Unsendable { system, component, what }) = self.scratch.abroad.unsendable {
            return Err(AbroadError::Unsendable { system, component: self.name(component), what });
        }
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
        let (own, values) =
            (std::mem::take(&mut self.scratch.abroad.own), std::mem::take(&mut self.scratch.abroad.values));
        let mut aimed: Vec<Aimed<'_>> = own
            .iter()
            .map(|Waiting { at, system, op, component, field, value }| Aimed {
                at: *at,
                system: *system,
                op: *op,
                component: *component,
                field: *field,
                value: &values[value.clone()],
            })
            .collect();
        let mut found = 0;
        for (_, patch) in &told {
            let Some(Some(at)) = places.get(&patch.id) else { continue };
            found += 1;
            let Told { system, component, field, op, value, .. } = *patch;
            match op {
                Op::Accumulate | Op::Despawn => self.apply_told(patch, *at)?,
                Op::Set | Op::Add | Op::Remove => aimed.push(Aimed { at: *at, system, op, component, field, value }),
            }
        }
        self.apply_alike(&mut aimed)?;
        drop(aimed);
        (self.scratch.abroad.own, self.scratch.abroad.values) = (own, values);
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
        let Told { system, component, field, op, value, .. } = *patch;
        let access = self.access.get(system).ok_or_else(|| format!("there is no system {system}"))?;
        let rules = access.accumulates.iter().find(|rules| rules.component == component);
        let among = |components: &[u16]| components.binary_search(&component).is_ok();
        let no_handles =
            self.registry.entity_offsets.get(usize::from(component)).is_some_and(|offsets| offsets.is_empty());
        let value_type = self.sizes.element(component).is_none() && no_handles;
        let (declared, does) = match op {
            Op::Despawn => {
                let fits = access.despawns && value.is_empty();
                return fits.then_some(()).ok_or_else(|| format!("system {system} has no such despawn"));
            }
            Op::Accumulate => (rules.is_some_and(|rules| rules.rules(field).is_some()), "accumulate on"),
            Op::Set => (among(&access.sets) && value_type, "set"),
            Op::Add => (among(&access.adds) && value_type && field == 0, "add"),
            Op::Remove => (among(&access.removes) && field == 0, "remove"),
        };
        let bytes = self.sizes.value(component, field).filter(|_| declared);
        match bytes.map(|bytes| if op == Op::Remove { 0 } else { bytes }) {
            Some(bytes) if bytes == value.len() => Ok(()),
            Some(bytes) => Err(format!("a value has {} bytes, and not {bytes}", value.len())),
            None => Err(format!("system {system} does not {does} field {field} of component {component}")),
        }
    }

    /// What a patch is applied by that belongs to no job here.
    pub(super) fn of_others(&self, system: usize, table: u32) -> Current {
        Current {
            system,
            table,
            rows: Range::default(),
            reserved: Entity::NULL,
            spawns: Range::default(),
            spawned: 0,
            list: None,
        }
    }

    /// Applies an accumulation or a despawn that was checked.
    fn apply_told(&mut self, patch: &Told<'_>, at: Location) -> Result<(), RegionError> {
        let current = self.of_others(patch.system, at.table);
        if patch.op == Op::Despawn {
            return self.apply_one(&current, Op::Despawn, Target::Row(at), 0, 0, &[]);
        }
        let access = self.access;
        let rules = access[patch.system].accumulates.iter().find(|rules| rules.component == patch.component);
        let rules = rules.expect("the patch was checked");
        self.accumulate_one(&current, rules, Target::Row(at), patch.field, patch.value)
    }
}
