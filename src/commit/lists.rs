//! Lists that jobs set: pieces of packed elements become staged elements, and the span of the row that has them.
//!
//! Pieces of one list follow each other in one job's records; nothing of a list counts before its last piece. Elements are
//! untrusted as any value: flags are checked, and handles that the job reserved become real ones.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::patch::{ListPiece, ListTarget, Op};
use crate::region::RegionError;
use crate::table::Location;
use crate::world::store::lists::span_bytes;

use super::apply::{Commit, Current, Target};
use super::report::Refusal;

/// A list of which some pieces were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenList {
    component: u16,
    target: ListTarget,
    /// Whether the component is added where it is absent.
    adds: bool,
    /// Elements so far; none: it is refused, and so is what follows of it.
    elements: Option<u32>,
}

impl Commit<'_> {
    /// Takes one piece of a list.
    pub(super) fn list(&mut self, current: &mut Current, piece: &ListPiece<'_>) -> Result<(), RegionError> {
        let ListPiece { component, target, begins, ends, adds, elements } = *piece;
        if begins {
            let elements = self.may_set_list(current, component, target, adds).then_some(0);
            current.list = Some(OpenList { component, target, adds, elements });
        }
        let open = current.list.as_mut();
        let open = open.filter(|list| (list.component, list.target, list.adds) == (component, target, adds));
        let Some(open) = open else {
            let component = self.name(component);
            let why =
                || Refusal::Malformed(format!("a piece of a list `{component}` that does not follow its first one"));
            self.counts[current.system].refuse(1, why);
            return Ok(());
        };
        if let Some(before) = open.elements {
            let bytes = self.sizes.element(component).expect("the record was checked against the sizes");
            let whole = self.stage(current, component, bytes, elements)?;
            let now = whole.then_some(before + (elements.len() / bytes) as u32);
            current.list = Some(OpenList { component, target, adds, elements: now });
        }
        if !ends {
            return Ok(());
        }
        match current.list.take() {
            Some(OpenList { elements: Some(length), .. }) => {
                let op = if adds { Op::Add } else { Op::Set };
                self.set_span(current, op, component, target, length)
            }
            _ => Ok(()),
        }
    }

    /// Whether the system may set this list; if not, that is counted.
    fn may_set_list(&mut self, current: &Current, component: u16, target: ListTarget, adds: bool) -> bool {
        let access = &self.access[current.system];
        let (declared, what) = if adds { (&access.adds, "adds") } else { (&access.lists, "sets lists of") };
        if declared.binary_search(&component).is_err() {
            let component = self.name(component);
            self.counts[current.system].refuse(1, || Refusal::Undeclared { what, component });
            return false;
        }
        let found = match target {
            ListTarget::Row(row) if self.refuse_foreign(current, row) => return false,
            ListTarget::Row(row) => Some(Target::Row(Location { table: current.table, row })),
            ListTarget::Entity(entity) if self.scratch.abroad.open && !entity.is_reserved() => {
                let what = "a list is given to rows of the job's own alone";
                self.scratch.abroad.refuse(current.system, component, what);
                return false;
            }
            ListTarget::Entity(entity) => self.target(current, entity),
        };
        let Some(found) = found else {
            if let ListTarget::Entity(entity) = target {
                self.miss(current, entity);
            }
            return false;
        };
        let present = adds || self.is_present(found, self.entry_of(found), component, false);
        if !present {
            self.refuse_absent(current, found, component);
        }
        present
    }

    /// What is pending of a target.
    fn entry_of(&self, target: Target) -> Option<u32> {
        match target {
            Target::Row(Location { table, row }) => self.scratch.pending.find(table, row),
            Target::Spawn(spawn) => Some(self.scratch.pending.of_spawn[spawn as usize]),
        }
    }

    /// Stages elements; false: one of them is refused.
    fn stage(&mut self, current: &Current, component: u16, bytes: usize, elements: &[u8]) -> Result<bool, RegionError> {
        let registry = self.registry;
        let (bools, handles) =
            (&registry.bool_offsets[usize::from(component)], &registry.entity_offsets[usize::from(component)]);
        let at = |offset: &u32| *offset as usize;
        if elements.chunks_exact(bytes).any(|element| bools.iter().any(|offset| element[at(offset)] > 1)) {
            let component = self.name(component);
            self.counts[current.system].refuse(1, || Refusal::NotABool { component });
            return Ok(false);
        }
        let handle = |element: &[u8], offset: &u32| {
            let bytes = element[at(offset)..at(offset) + 8].try_into().expect("a handle is 8 bytes");
            Entity::from_bits(u64::from_le_bytes(bytes))
        };
        let is_reserved = |element: &[u8]| handles.iter().any(|offset| handle(element, offset).is_reserved());
        if !elements.chunks_exact(bytes).any(is_reserved) {
            self.store.stage(component, elements)?;
            return Ok(true);
        }
        let mut resolved = std::mem::take(&mut self.scratch.value);
        resolved.clear();
        resolved.extend_from_slice(elements);
        for element in resolved.chunks_exact_mut(bytes) {
            handles.iter().for_each(|offset| self.make_real(current, &mut element[at(offset)..at(offset) + 8]));
        }
        let staged = self.store.stage(component, &resolved);
        self.scratch.value = resolved;
        staged.map(|_| true)
    }

    /// Gives a row the last `length` staged elements.
    fn set_span(
        &mut self,
        current: &Current,
        op: Op,
        component: u16,
        target: ListTarget,
        length: u32,
    ) -> Result<(), RegionError> {
        let end = self.store.stage(component, &[])?;
        let start = if length == 0 { 0 } else { end - length };
        let target = match target {
            ListTarget::Row(row) => Target::Row(Location { table: current.table, row }),
            ListTarget::Entity(entity) => match self.target(current, entity) {
                Some(target) => target,
                None => return Ok(()),
            },
        };
        let entry = self.entry_of(target);
        let present = self.is_present(target, entry, component, false);
        self.count(current, op, target, component, 0, present);
        self.scratch.value.clear();
        self.scratch.value.extend_from_slice(&span_bytes(start, length));
        match (target, entry) {
            (Target::Row(Location { table, row }), None) if present => self.write_value(table, row, component, 0),
            (Target::Row(Location { table, row }), None) => {
                let rows = self.store.tables[table as usize].rows;
                let entry = self.scratch.pending.find_or_insert(table, row, rows);
                self.change_pending(entry, op, component, 0, present)
            }
            (_, Some(entry)) => self.change_pending(entry, op, component, 0, present),
            (Target::Spawn(_), None) => Ok(()),
        }
    }
}
