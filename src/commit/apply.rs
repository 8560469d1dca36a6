//! Applying a batch's patches in canonical order.
//!
//! Jobs come in canonical order (system, table, row range), records within a job in sequence. Values are written at
//! once; structural changes are collected ([`PendingSet`]) and carried out by [`super::structural`] when every record
//! was read. Records are untrusted: kind, component, row, handle and the system's declared changes are checked here,
//! on a private copy of the bytes.
#![forbid(unsafe_code)]

use crate::table::{Location, RESOURCES, Registry};
use std::ops::Range;

use crate::Entity;
use crate::accumulate::Accumulation;
use crate::layout::Storage;
use crate::limits::ENTITIES_MAX;
use crate::patch::{Body, Entries, HANDLE_BYTES, Op, RecordSizes, Records, SpawnRun, first_reserved};
use crate::region::RegionError;
use crate::world::store::Store;

use super::marks::{Marks, SPAWNS};
use super::pending::{Change, NONE, PendingSet};
use super::report::{PatchCounts, Refusal};
use super::sets::Way;

/// What a system may change by patches. Component ids are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub sets: Vec<u16>,
    pub adds: Vec<u16>,
    pub removes: Vec<u16>,
    pub spawns: Vec<u16>,
    /// Components whose lists it sets.
    pub lists: Vec<u16>,
    pub despawns: bool,
    /// What it accumulates on components, by component.
    pub accumulates: Vec<Accumulation>,
    pub resources: Vec<u16>,
    /// Resources that its rows are reduced to.
    pub reduces: Vec<u16>,
}

/// Whose rows a job ran on. Its place in the batch is its place in the canonical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobRows {
    /// The system, as a place among `access` and `counts`.
    pub system: usize,
    /// The table of its rows.
    pub table: u32,
    /// Its own rows.
    pub rows: Range<u32>,
}

/// A column of handles that a job wrote densely, in its own rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DenseHandles {
    pub job: usize,
    pub table: u32,
    pub column: u16,
    /// Handles in a row's value.
    pub per_row: u32,
}

/// What stays allocated from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub pending: PendingSet,
    /// Handles of the batch's new entities.
    pub spawned: Vec<Entity>,
    /// Per job: the first of its new entities.
    bases: Vec<u32>,
    components: Vec<u16>,
    tables: Vec<u16>,
    sorted: Vec<u16>,
    pub(super) value: Vec<u8>,
    pub(super) structural: super::structural::Lists,
    pub(super) sets: super::sets::SetLists,
    pub(super) marks: Marks,
    pub(crate) partials: super::reduce::Partials,
    pub(crate) abroad: super::abroad::Abroad,
    /// A system with a patch on an entity that another part of a spread world owns.
    pub(crate) aimed_at_ghost: Option<usize>,
}

impl Scratch {
    /// Whether the commit that was applied last set a resource.
    pub(crate) fn has_set_resource(&self, resource: u16) -> bool {
        self.marks.has_set_resource(resource)
    }
}

/// A commit in progress.
pub(crate) struct Commit<'a> {
    pub store: &'a mut Store,
    pub registry: &'a Registry,
    pub sizes: &'a RecordSizes,
    pub access: &'a [Access],
    /// Whose changed bits the writes of this frame set.
    pub parity: u8,
    /// Names frame and batch: reserved handles come of it.
    pub batch_tag: u64,
    /// Where jobs may have left reserved handles of their own.
    pub dense: &'a [DenseHandles],
    pub scratch: &'a mut Scratch,
    pub counts: &'a mut [PatchCounts],
}

/// What a patch aims at.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Row(Location),
    Spawn(u32),
}

/// The job whose records are being read.
pub(super) struct Current {
    pub system: usize,
    pub table: u32,
    pub rows: Range<u32>,
    /// The handle of its first spawn.
    pub(super) reserved: Entity,
    /// Its new entities, as places among the batch's.
    pub(super) spawns: Range<u32>,
    /// How many of them were reached.
    pub(super) spawned: u32,
    /// The list whose pieces are being read.
    pub list: Option<super::lists::OpenList>,
}

impl Commit<'_> {
    /// Applies the records of all jobs, given in canonical order. On an error nothing can be said about the store:
    /// the frame is abandoned by its caller.
    pub(crate) fn apply<'r>(
        &mut self,
        jobs: &[JobRows],
        records: &dyn Fn(usize) -> &'r [u8],
    ) -> Result<(), RegionError> {
        self.read(jobs, records)?;
        self.carry_out()
    }

    /// Reads the records of all jobs, and changes values; what is structural is still to be carried out.
    pub(crate) fn read<'r>(
        &mut self,
        jobs: &[JobRows],
        records: &dyn Fn(usize) -> &'r [u8],
    ) -> Result<(), RegionError> {
        self.scratch.pending.clear();
        self.scratch.marks.clear();
        self.scratch.partials.clear();
        self.scratch.spawned.clear();
        self.scratch.bases.clear();
        self.scratch.aimed_at_ghost = None;
        self.scratch.abroad.clear();
        let total = self.count_spawns(jobs, records)?;
        if total > 0 {
            let mut spawned = std::mem::take(&mut self.scratch.spawned);
            let taken = self.store.take_handles(total, &mut spawned);
            self.scratch.spawned = spawned;
            taken?;
            self.resolve_dense(jobs, total);
        }
        for (index, job) in jobs.iter().enumerate() {
            let end = self.scratch.bases.get(index + 1).copied().unwrap_or(total);
            self.apply_job(index, job, records(index), self.scratch.bases[index]..end)?;
        }
        Ok(())
    }

    /// Carries out what is structural.
    pub(crate) fn carry_out(&mut self) -> Result<(), RegionError> {
        self.finish()?;
        self.store.settle_lists()
    }

    /// Puts real handles in place of the reserved ones of its own that a job wrote densely. Rows are where they were when it
    /// ran: nothing was applied yet. A reserved handle of another job is left as it is, stale.
    fn resolve_dense(&mut self, jobs: &[JobRows], total: u32) {
        let Scratch { bases, spawned, .. } = &*self.scratch;
        for dense in self.dense {
            let (Some(job), Some(from)) = (jobs.get(dense.job), bases.get(dense.job).copied()) else { continue };
            let count = bases.get(dense.job + 1).copied().unwrap_or(total) - from;
            if count == 0 {
                continue;
            }
            let first = first_reserved(self.batch_tag, dense.job as u32);
            let table = &self.store.tables[dense.table as usize];
            let per_row = u64::from(dense.per_row);
            let at = table.columns[usize::from(dense.column)].live.offset + 8 * per_row * u64::from(job.rows.start);
            let handles = (job.rows.end - job.rows.start) as usize * dense.per_row as usize;
            for handle in self.store.arena.items_mut::<Entity>(at, handles) {
                if let Some(ordinal) = handle.ordinal(first, count) {
                    *handle = spawned[(from + ordinal) as usize];
                }
            }
        }
    }

    fn count_spawns<'r>(&mut self, jobs: &[JobRows], records: &dyn Fn(usize) -> &'r [u8]) -> Result<u32, RegionError> {
        let mut total: u64 = 0;
        // what a system spawns without having declared it is refused, but its handles are counted all the same
        for index in 0..jobs.len() {
            self.scratch.bases.push(total as u32);
            for record in Records::new(records(index), self.sizes) {
                if let Ok(record) = record
                    && let Body::Spawn(run) = record.body
                {
                    total += u64::from(run.count());
                    if total > u64::from(ENTITIES_MAX) {
                        return Err(RegionError::TooLarge {
                            what: "entities spawned by one batch",
                            asked: total,
                            limit: u64::from(ENTITIES_MAX),
                        });
                    }
                }
            }
        }
        Ok(total as u32)
    }

    /// The job that is applied, of which nothing is yet.
    fn current(&self, index: usize, job: &JobRows, spawns: Range<u32>) -> Current {
        Current {
            system: job.system,
            table: job.table,
            rows: job.rows.clone(),
            reserved: first_reserved(self.batch_tag, index as u32),
            spawns,
            spawned: 0,
            list: None,
        }
    }

    fn apply_job(
        &mut self,
        index: usize,
        job: &JobRows,
        records: &[u8],
        spawns: Range<u32>,
    ) -> Result<(), RegionError> {
        let mut current = self.current(index, job, spawns);
        for record in Records::new(records, self.sizes) {
            let body = match record {
                Ok(record) => record.body,
                Err(error) => {
                    self.counts[job.system].refuse(1, || Refusal::Malformed(error.to_string()));
                    break;
                }
            };
            match body {
                // framing of jobs is the pool's, dense writes were seen to before
                Body::JobBegin { .. }
                | Body::JobEnd(_)
                | Body::Failure { .. }
                | Body::Range { .. }
                | Body::Changed { .. } => {}
                Body::Spawn(run) => self.spawn(&mut current, &run)?,
                Body::List(piece) => self.list(&mut current, &piece)?,
                Body::SetResource { resource, value } => self.set_resource(&current, resource, value)?,
                Body::Reduce { resource, value } => self.keep_partial(&current, resource, value),
                Body::Rows { op: Op::Accumulate, component, field, entries } => {
                    self.accumulate_rows(&current, component, field, &entries)?;
                }
                Body::Entities { op: Op::Accumulate, component, field, entries } => {
                    self.accumulate_entities(&current, component, field, &entries)?;
                }
                Body::Rows { op, component, field, entries } => {
                    if !self.declared(&current, op, component, entries.len()) {
                        continue;
                    }
                    if op == Op::Set && self.plain_rows(&current, component) {
                        self.change_plain_rows(&current, Way::Set, component, field, &entries)?;
                        continue;
                    }
                    for (row, value) in entries.iter() {
                        if self.refuse_foreign(&current, row) {
                            continue;
                        }
                        let at = Location { table: current.table, row };
                        if self.scratch.abroad.open && matches!(op, Op::Add | Op::Remove) {
                            self.scratch.abroad.changed_by_row(at, component);
                        }
                        self.apply_one(&current, op, Target::Row(at), component, field, value)?;
                    }
                }
                Body::Entities { op, component, field, entries } => {
                    self.change_entities(&current, op, (component, field), &entries)?;
                }
            }
        }
        Ok(())
    }

    /// Applies patches on any entities.
    fn change_entities(
        &mut self,
        current: &Current,
        op: Op,
        (component, field): (u16, u8),
        entries: &Entries<'_, HANDLE_BYTES>,
    ) -> Result<(), RegionError> {
        if !self.declared(current, op, component, entries.len()) {
            return Ok(());
        }
        if op == Op::Set && !self.scratch.abroad.open && self.plain_values(component) {
            return self.change_plain_entities(current, Way::Set, component, field, entries);
        }
        for (entity, value) in entries.iter() {
            if self.send(current, entity, op, (component, field), value) {
                continue;
            }
            match self.target(current, entity) {
                Some(target) => self.apply_one(current, op, target, component, field, value)?,
                None => self.miss(current, entity),
            }
        }
        Ok(())
    }

    /// Whether a row is not the job's own; then the patch is refused.
    pub(super) fn refuse_foreign(&mut self, current: &Current, row: u32) -> bool {
        let Range { start, end } = current.rows;
        let foreign = !current.rows.contains(&row);
        if foreign {
            self.counts[current.system].refuse(1, || Refusal::ForeignRow { row, start, end });
        }
        foreign
    }

    pub(super) fn name(&self, component: u16) -> String {
        self.registry.layout.components()[usize::from(component)].name.clone()
    }

    /// Whether the system may do this; if not, `count` patches are refused.
    fn declared(&mut self, current: &Current, op: Op, component: u16, count: usize) -> bool {
        let access = &self.access[current.system];
        let (allowed, what) = match op {
            Op::Set => (&access.sets, "sets"),
            // with its elements, never as a value
            Op::Add if self.sizes.element(component).is_some() => (&access.sets, "adds a value of list"),
            Op::Add => (&access.adds, "adds"),
            Op::Remove => (&access.removes, "removes"),
            Op::Despawn => {
                if !access.despawns {
                    let why = || Refusal::Undeclared {
                        what: "despawns entities of any component, not only",
                        component: String::new(),
                    };
                    self.counts[current.system].refuse(count as u64, why);
                }
                return self.access[current.system].despawns;
            }
            // their fields are looked at as well, elsewhere
            Op::Accumulate => return false,
        };
        if allowed.binary_search(&component).is_ok() {
            return true;
        }
        let component = self.name(component);
        self.counts[current.system].refuse(count as u64, || Refusal::Undeclared { what, component });
        false
    }

    /// Counts a patch on an entity that is not here.
    pub(super) fn miss(&mut self, current: &Current, entity: Entity) {
        self.counts[current.system].stale += 1;
        if entity == Entity::GHOST || self.store.locate(entity).is_some_and(|at| self.is_elsewhere(at)) {
            self.scratch.aimed_at_ghost = Some(current.system);
        }
    }

    pub(super) fn target(&self, current: &Current, entity: Entity) -> Option<Target> {
        if entity.is_reserved() {
            let spawn = current.spawns.start + entity.ordinal(current.reserved, current.spawned)?;
            return (self.scratch.pending.of_spawn[spawn as usize] != NONE).then_some(Target::Spawn(spawn));
        }
        // what lives elsewhere is no row to change
        self.store.locate(entity).filter(|at| !self.is_elsewhere(*at)).map(Target::Row)
    }

    /// Keeps a value (the part from byte `from` of one with bools and entities at these offsets) in the scratch, with
    /// real handles in place of reserved ones. False: a bool is none.
    fn resolve(&mut self, current: &Current, value: &[u8], from: usize, bools: &[u32], entities: &[u32]) -> bool {
        self.scratch.value.clear();
        self.scratch.value.extend_from_slice(value);
        let inside = |offset: &u32| (*offset as usize).checked_sub(from).filter(|at| *at < value.len());
        if bools.iter().filter_map(inside).any(|at| value[at] > 1) {
            return false;
        }
        let mut kept = std::mem::take(&mut self.scratch.value);
        entities.iter().filter_map(inside).for_each(|at| self.make_real(current, &mut kept[at..at + 8]));
        self.scratch.value = kept;
        true
    }

    /// Puts the real handle in place of a reserved one: of a spawn that was refused, one that is dead; of another job or
    /// frame, the null handle, which is counted as stale.
    pub(super) fn make_real(&mut self, current: &Current, handle: &mut [u8]) {
        let bits = u64::from_le_bytes((&*handle).try_into().expect("a handle is 8 bytes"));
        let entity = Entity::from_bits(bits);
        if entity.is_reserved() {
            let spawn = entity.ordinal(current.reserved, current.spawned);
            let real = spawn.map(|ordinal| self.scratch.spawned[(current.spawns.start + ordinal) as usize]);
            self.counts[current.system].stale += u64::from(real.is_none());
            handle.copy_from_slice(&real.unwrap_or(Entity::NULL).to_bits().to_le_bytes());
        }
    }

    /// Checks bools and puts real handles in place of reserved ones. `None`: refused (and counted).
    pub(super) fn checked_value(&mut self, current: &Current, component: u16, field: u8, value: &[u8]) -> Option<()> {
        let registry = self.registry;
        let id = usize::from(component);
        let from = self.field_offset(component, field);
        if self.resolve(current, value, from, &registry.bool_offsets[id], &registry.entity_offsets[id]) {
            return Some(());
        }
        let component = self.name(component);
        self.counts[current.system].refuse(1, || Refusal::NotABool { component });
        None
    }

    /// Where a field (counted from 1) begins in a component's packed value; 0 is the whole.
    pub(super) fn field_offset(&self, component: u16, field: u8) -> usize {
        (1..field).filter_map(|f| self.sizes.value(component, f)).sum()
    }

    fn spawn(&mut self, current: &mut Current, run: &SpawnRun<'_>) -> Result<(), RegionError> {
        let count = run.count();
        let mut components = std::mem::take(&mut self.scratch.components);
        components.clear();
        components.extend(run.components());
        let access = &self.access[current.system];
        let undeclared = components.iter().copied().find(|c| access.spawns.binary_search(c).is_err());
        let mut tables = std::mem::take(&mut self.scratch.tables);
        tables.clear();
        tables.extend(components.iter().copied().filter(|c| self.store.storage(*c) != Storage::Toggle));
        tables.sort_unstable();
        let sorted = &mut self.scratch.sorted;
        sorted.clear();
        sorted.extend_from_slice(&components);
        sorted.sort_unstable();
        let repeated = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let refused = match (undeclared, repeated) {
            (Some(component), _) => Some(Refusal::Undeclared { what: "spawns", component: self.name(component) }),
            (None, Some(component)) => Some(Refusal::Repeated { component: self.name(component) }),
            (None, None) => None,
        };
        if let Some(why) = refused {
            self.counts[current.system].refuse(u64::from(count), || why);
            self.scratch.pending.of_spawn.extend(std::iter::repeat_n(NONE, count as usize));
            current.spawned += count;
            self.scratch.components = components;
            self.scratch.tables = tables;
            return Ok(());
        }
        let target = self.store.table_for(&tables)?;
        self.scratch.tables = tables;
        for index in 0..count {
            let value = run.value(index).unwrap_or_default();
            let entry = self.scratch.pending.insert_spawn(target);
            current.spawned += 1;
            let mut at = 0;
            for &component in &components {
                let bytes = self.sizes.value(component, 0).expect("the record was checked against the sizes");
                if self.sizes.element(component).is_some() {
                    // it begins without elements, whatever the record says
                    let empty = self.scratch.pending.keep(&crate::world::store::lists::span_bytes(0, 0));
                    self.scratch.pending.push(entry, component, Change::Value(empty));
                    at += bytes;
                    continue;
                }
                // a spawn whose value is refused still exists, with what the component has where none is given
                let kept = match self.checked_value(current, component, 0, &value[at..at + bytes]) {
                    Some(()) => self.scratch.pending.keep(&self.scratch.value),
                    None => {
                        let default = self.registry.layout.components()[usize::from(component)].packed_default();
                        self.scratch.pending.keep(&default)
                    }
                };
                self.scratch.pending.push(entry, component, Change::Value(kept));
                at += bytes;
            }
        }
        self.counts[current.system].applied += u64::from(count);
        self.counts[current.system].spawned += u64::from(count);
        self.scratch.components = components;
        Ok(())
    }

    fn set_resource(&mut self, current: &Current, resource: u16, value: &[u8]) -> Result<(), RegionError> {
        if self.access[current.system].resources.binary_search(&resource).is_err() {
            let component = self.registry.layout.resources()[usize::from(resource)].name.clone();
            self.counts[current.system].refuse(1, || Refusal::Undeclared { what: "sets resource", component });
            return Ok(());
        }
        let registry = self.registry;
        let id = usize::from(resource);
        let (bools, entities) = (&registry.resource_bool_offsets[id], &registry.resource_entity_offsets[id]);
        if !self.resolve(current, value, 0, bools, entities) {
            let component = registry.layout.resources()[id].name.clone();
            self.counts[current.system].refuse(1, || Refusal::NotABool { component });
            return Ok(());
        }
        self.store.write_partial(RESOURCES, 0)?;
        let offset = registry.layout.resource_offset(id) as usize;
        let bytes = self.store.column_bytes_mut(RESOURCES, 0);
        bytes[id] = 1;
        bytes[offset..offset + value.len()].copy_from_slice(&self.scratch.value);
        let rows = self.store.tables[RESOURCES as usize].rows;
        self.store.mark_dirty(RESOURCES, 0, 0, rows);
        let replaced = self.scratch.marks.set_resource(resource, registry.layout.resources().len());
        self.counts[current.system].set(1, replaced);
        Ok(())
    }

    pub(super) fn apply_one(
        &mut self,
        current: &Current,
        op: Op,
        target: Target,
        component: u16,
        field: u8,
        value: &[u8],
    ) -> Result<(), RegionError> {
        if op == Op::Despawn {
            let fresh = match target {
                Target::Row(Location { table, row }) => {
                    let rows = self.store.tables[table as usize].rows;
                    self.scratch.pending.despawn(table, row, rows)
                }
                Target::Spawn(spawn) => self.scratch.pending.despawn_spawn(spawn),
            };
            let counts = &mut self.counts[current.system];
            // a second despawn of the same entity finds it gone
            if fresh {
                counts.applied += 1;
                counts.despawned += 1;
            } else {
                counts.stale += 1;
            }
            return Ok(());
        }
        if op != Op::Remove && self.checked_value(current, component, field, value).is_none() {
            return Ok(());
        }
        let entry = match target {
            Target::Row(Location { table, row }) => self.scratch.pending.find(table, row),
            Target::Spawn(spawn) => Some(self.scratch.pending.of_spawn[spawn as usize]),
        };
        let toggle = self.store.storage(component) == Storage::Toggle;
        let present = self.is_present(target, entry, component, toggle);
        match op {
            Op::Set if !present => {
                self.refuse_absent(current, target, component);
                return Ok(());
            }
            Op::Remove if !present => {
                self.counts[current.system].absent += 1;
                return Ok(());
            }
            _ => self.count(current, op, target, component, field, present),
        }
        debug_assert!(op != Op::Accumulate, "these are applied elsewhere");
        match (target, entry) {
            // values and toggles of rows that stay where they are
            (Target::Row(Location { table, row }), None) if present && op != Op::Remove => {
                self.write_value(table, row, component, field)
            }
            (Target::Row(Location { table, row }), _) if toggle => {
                // a toggle's bit and value travel with the row, should it move later
                if op == Op::Add {
                    self.store.attach_toggle(table, component)?;
                }
                if op != Op::Set {
                    self.store.write_presence(table, row, component, op == Op::Add)?;
                }
                if op == Op::Remove {
                    return Ok(());
                }
                self.write_value(table, row, component, field)
            }
            (Target::Row(Location { table, row }), entry) => {
                let rows = self.store.tables[table as usize].rows;
                let entry = entry.unwrap_or_else(|| self.scratch.pending.find_or_insert(table, row, rows));
                self.change_pending(entry, op, component, field, present)
            }
            (Target::Spawn(spawn), _) => {
                let entry = self.scratch.pending.of_spawn[spawn as usize];
                if toggle {
                    self.push_change(entry, op, component, field);
                    return Ok(());
                }
                self.change_pending(entry, op, component, field, present)
            }
        }
    }

    /// Counts a patch on one entity that takes effect.
    pub(super) fn count(
        &mut self,
        current: &Current,
        op: Op,
        target: Target,
        component: u16,
        field: u8,
        present: bool,
    ) {
        let (table, row, total) = match target {
            Target::Row(Location { table, row }) => (table, row, self.store.tables[table as usize].rows),
            Target::Spawn(spawn) => (SPAWNS, spawn, self.scratch.spawned.len() as u32),
        };
        let counts = &mut self.counts[current.system];
        match op {
            Op::Set | Op::Add if present => {
                counts.set(1, self.scratch.marks.set((table, total), component, field, &[row]));
            }
            Op::Remove => {
                self.scratch.marks.remove(table, component, row);
                counts.applied += 1;
            }
            Op::Set | Op::Add | Op::Despawn | Op::Accumulate => counts.applied += 1,
        }
    }

    /// Counts sets of rows of a table that take effect.
    pub(super) fn count_sets(&mut self, current: &Current, table: u32, component: u16, field: u8, rows: &[u32]) {
        let total = self.store.tables[table as usize].rows;
        let replaced = self.scratch.marks.set((table, total), component, field, rows);
        self.counts[current.system].set(rows.len() as u64, replaced);
    }

    /// Counts a set of a component that its entity does not have.
    pub(super) fn refuse_absent(&mut self, current: &Current, target: Target, component: u16) {
        let entity = match target {
            Target::Row(Location { table, row }) => self.store.handle(table, row),
            Target::Spawn(spawn) => self.scratch.spawned[spawn as usize],
        };
        let component = self.name(component);
        self.counts[current.system].refuse(1, || Refusal::Absent { component, entity });
    }

    pub(super) fn is_present(&self, target: Target, entry: Option<u32>, component: u16, toggle: bool) -> bool {
        match (target, entry) {
            (Target::Row(Location { table, row }), None) => self.store.has(table, row, component),
            (Target::Row(Location { table, row }), Some(_)) if toggle => self.store.has(table, row, component),
            (Target::Spawn(_), Some(entry)) if toggle => {
                self.scratch.pending.presence(entry, component).unwrap_or(false)
            }
            (_, Some(entry)) => {
                let table = self.scratch.pending.entries[entry as usize].target;
                self.store.tables[table as usize].shape.slot(component).is_some()
            }
            (Target::Spawn(_), None) => false,
        }
    }

    /// Writes the checked value to a row that has the component.
    pub(super) fn write_value(&mut self, table: u32, row: u32, component: u16, field: u8) -> Result<(), RegionError> {
        let value = std::mem::take(&mut self.scratch.value);
        let done = super::structural::write_value(self.store, table, row, component, field, &value);
        self.scratch.value = value;
        done?;
        self.store.mark_changed(table, component, self.parity, row, 1)
    }

    fn push_change(&mut self, entry: u32, op: Op, component: u16, field: u8) {
        let change = match op {
            Op::Remove | Op::Despawn => Change::Removed,
            Op::Set | Op::Add | Op::Accumulate => {
                let at = self.scratch.pending.keep(&self.scratch.value);
                if field == 0 { Change::Value(at) } else { Change::Field(field, at) }
            }
        };
        self.scratch.pending.push(entry, component, change);
    }

    pub(super) fn change_pending(
        &mut self,
        entry: u32,
        op: Op,
        component: u16,
        field: u8,
        present: bool,
    ) -> Result<(), RegionError> {
        if op == Op::Remove || !present {
            let from = self.scratch.pending.entries[entry as usize].target;
            let to = self.store.neighbour(from, component, op != Op::Remove)?;
            self.scratch.pending.entries[entry as usize].target = to;
        }
        self.push_change(entry, op, component, field);
        Ok(())
    }
}
