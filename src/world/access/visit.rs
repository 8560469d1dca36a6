//! Visiting what a query matches, between frames. What a query matches is kept from call to call: looked at again is a
//! table only when its shape has changed.
//!
//! Invariant: a kept match belongs to the very shape that it was made from; shapes never change, tables get new ones.
#![expect(unsafe_code, reason = "hands out column slices of the writer's own tables")]

use crate::table::{Location, Shape, Table};
use std::any::TypeId;
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Entity;
use crate::column::{ColumnCursor, RawColumn, RowState};
use crate::gather::{Gathered, Pieces};
use crate::layout::FieldType;

use super::compare::Written;
use super::query::{Fetch, MaskTerm, Matched, Query, QueryPlan, bit_runs, matches};
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::Store;

/// Queries whose matches a world keeps.
const KEPT_QUERIES_MAX: usize = 64;

/// A query and what it matches.
#[derive(Debug)]
pub(in crate::world) struct Prepared {
    pub plan: QueryPlan,
    /// Of the plan's columns.
    types: Vec<FieldType>,
    /// Of all data tables, in order.
    tables: Vec<Known>,
    /// The place of the first data table.
    first_data: u32,
    /// Tables that match.
    matching: Vec<u32>,
    /// For which shapes that is ([`Store::shapes`](crate::world::store::Store)).
    shapes: u64,
    /// Per table that matches and column that is written there: that all of its rows were noted as written.
    noted: Vec<Noted>,
}

/// All rows of a column were noted as written. It holds for as long as the column is what it was then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Noted {
    /// In which extent.
    offset: u64,
    /// After which generation.
    published: u64,
    rows: u32,
}

#[derive(Debug)]
struct Known {
    shape: Arc<Shape>,
    matched: Option<Matched>,
}

impl Prepared {
    fn matched(&self, table: u32) -> &Matched {
        let known = &self.tables[(table - self.first_data) as usize];
        known.matched.as_ref().expect("`matching` lists tables that match")
    }
}

/// Prepared queries that nobody uses at the moment, by type; the one put back last stands last.
#[derive(Debug, Default)]
pub(in crate::world) struct Queries(Mutex<Vec<(TypeId, Box<Prepared>)>>);

impl Queries {
    fn take<Q: Query>(&self) -> Option<Box<Prepared>> {
        let mut kept = self.0.lock();
        let place = kept.iter().rposition(|(ty, _)| *ty == TypeId::of::<Q>())?;
        Some(kept.remove(place).1)
    }

    /// Keeps a prepared query for the next call.
    pub(in crate::world) fn put<Q: Query>(&self, prepared: Box<Prepared>) {
        let mut kept = self.0.lock();
        if kept.len() == KEPT_QUERIES_MAX {
            kept.remove(0);
        }
        kept.push((TypeId::of::<Q>(), prepared));
    }
}

/// Lists of one table's visit, kept for their memory.
#[derive(Default)]
struct Visit {
    raw: Vec<RawColumn>,
    part: Vec<RawColumn>,
    states: Vec<Cell<RowState>>,
    bits: Vec<u64>,
    gathered: Gathered,
}

thread_local! {
    static VISIT: Cell<Option<Box<Visit>>> = const { Cell::new(None) };
}

impl World {
    /// The query, with the tables of the moment. Whoever takes it puts it back.
    pub(in crate::world) fn prepared<Q: Query>(&self) -> Result<Box<Prepared>, WorldError> {
        let mut prepared = match self.queries.take::<Q>() {
            Some(prepared) => prepared,
            None => {
                let plan = self.plan_of::<Q>()?;
                let components = self.layout().components();
                let ty = |component: u16, field: u8| components[usize::from(component)].fields[usize::from(field)].ty;
                let types = plan.columns.iter().map(|access| ty(access.component, access.field)).collect();
                let first_data = self.store.first_data;
                let (tables, matching, noted) = (Vec::new(), Vec::new(), Vec::new());
                Box::new(Prepared { plan, types, tables, first_data, matching, shapes: 0, noted })
            }
        };
        if prepared.shapes == self.store.shapes {
            return Ok(prepared);
        }
        prepared.shapes = self.store.shapes;
        prepared.noted.clear();
        let Prepared { plan, tables, matching, .. } = &mut *prepared;
        let mut news = false;
        for (index, (_, table)) in self.store.data_tables().enumerate() {
            if tables.get(index).is_some_and(|known| Arc::ptr_eq(&known.shape, &table.shape)) {
                continue;
            }
            let known = Known { shape: Arc::clone(&table.shape), matched: matches(plan, &table.shape) };
            news = true;
            match tables.get_mut(index) {
                Some(old) => *old = known,
                None => tables.push(known),
            }
        }
        // a world that was restored or went back may have fewer tables
        let count = self.store.tables.len() - self.store.first_data as usize;
        if news || tables.len() > count {
            tables.truncate(count);
            matching.clear();
            let those = (self.store.first_data..).zip(tables.iter()).filter(|(_, known)| known.matched.is_some());
            matching.extend(those.map(|(table, _)| table));
        }
        Ok(prepared)
    }

    /// The rows of a range that match, a bit each, into `bits`; how they lie. The range begins at a multiple of 64.
    fn pieces(&self, table: &Table, rows: Range<u32>, mask: &[MaskTerm], bits: &mut Vec<u64>) -> Pieces {
        let len = rows.end - rows.start;
        if len == 0 {
            return Pieces::None;
        }
        if mask.is_empty() {
            return Pieces::All;
        }
        let (first, words) = (u64::from(rows.start / 64) * 8, len.div_ceil(64) as usize);
        let column =
            |column: u16| self.store.arena.items::<u64>(table.columns[usize::from(column)].live.offset + first, words);
        bits.clear();
        bits.extend(
            (0..words).map(|word| mask.iter().fold(u64::MAX, |bits, term| bits & term.word(|c| column(c)[word]))),
        );
        if !len.is_multiple_of(64) {
            bits[words - 1] &= (1 << (len % 64)) - 1;
        }
        Pieces::of(bits, len)
    }

    /// Makes the columns that a query writes ready to be written, and notes the rows that it will write; those of tracked
    /// components.
    pub(super) fn secure_matches(&mut self, prepared: &mut Prepared) -> Result<Vec<Written>, WorldError> {
        if !prepared.plan.writes() {
            return Ok(Vec::new());
        }
        let mut visit = VISIT.take().unwrap_or_default();
        let done = self.secure_tables(prepared, &mut visit.bits);
        VISIT.set(Some(visit));
        done
    }

    fn secure_tables(&mut self, prepared: &mut Prepared, bits: &mut Vec<u64>) -> Result<Vec<Written>, WorldError> {
        let mut written = Vec::new();
        let mut noted = std::mem::take(&mut prepared.noted);
        let mut next = 0;
        for index in &prepared.matching {
            let matched = prepared.matched(*index);
            let table = &self.store.tables[*index as usize];
            let rows = table.rows;
            if matched.mask.is_empty() && prepared.plan.columns.iter().all(|a| !table_tracks(table, a.component)) {
                let columns = prepared.plan.columns.iter().zip(&matched.columns);
                for (_, column) in columns.filter(|(access, _)| access.write) {
                    let Some(column) = column else { continue };
                    if noted.len() == next {
                        noted.push(Noted::default());
                    }
                    self.secure_whole((*index, usize::from(*column)), rows, &mut noted[next])?;
                    next += 1;
                }
                continue;
            }
            let pieces = self.pieces(table, 0..rows, &matched.mask, bits);
            if pieces == Pieces::None {
                continue;
            }
            // short pieces are noted as one: what is copied too often keeps its value
            let mut span = (0, rows);
            if pieces != Pieces::All {
                span = (u32::MAX, 0);
                bit_runs(0, rows, |word| bits[word as usize], |from, to| span = (span.0.min(from), to));
            }
            for (access, column) in prepared.plan.columns.iter().zip(&matched.columns) {
                let (true, Some(column)) = (access.write, column) else { continue };
                self.store.write_partial(*index, usize::from(*column))?;
                if pieces != Pieces::Long {
                    self.store.mark_dirty(*index, usize::from(*column), span.0, span.1 - span.0);
                }
                if pieces == Pieces::Long {
                    let mut runs = Vec::new();
                    bit_runs(0, rows, |word| bits[word as usize], |from, to| runs.push((from, to)));
                    for (from, to) in runs {
                        self.store.mark_dirty(*index, usize::from(*column), from, to - from);
                    }
                }
                if table_tracks(&self.store.tables[*index as usize], access.component) {
                    let (component, column) = (access.component, usize::from(*column));
                    written.push(Written { table: *index, component, column, rows: span });
                }
            }
        }
        prepared.noted = noted;
        Ok(written)
    }

    /// Makes a column ready to be written and notes that all of its rows will be, unless that is as it was left.
    #[inline]
    fn secure_whole(&mut self, (table, column): (u32, usize), rows: u32, noted: &mut Noted) -> Result<(), WorldError> {
        if rows == 0 {
            return Ok(());
        }
        let published = self.store.published;
        let now = |store: &Store| {
            let column = &store.tables[table as usize].columns[column];
            let is_noted = column.building && column.stale.runs().is_none();
            (Noted { offset: column.live.offset, published, rows }, is_noted)
        };
        if now(&self.store) != (*noted, true) {
            self.store.write_partial(table, column)?;
            self.store.mark_dirty(table, column, 0, rows);
            *noted = now(&self.store).0;
        }
        Ok(())
    }

    /// Whether the entity in a row matches.
    pub(super) fn matches_row(&self, prepared: &Prepared, at: Location) -> bool {
        self.matched_row(prepared, at).is_some()
    }

    fn matched_row<'p>(&self, prepared: &'p Prepared, at: Location) -> Option<&'p Matched> {
        let matched = prepared.tables.get((at.table - prepared.first_data) as usize)?.matched.as_ref()?;
        let table = &self.store.tables[at.table as usize];
        let word = |column: u16| {
            let offset = table.columns[usize::from(column)].live.offset + 8 * u64::from(at.row / 64);
            self.store.arena.item::<u64>(offset)
        };
        matched.mask.iter().all(|term| term.word(word) >> (at.row % 64) & 1 == 1).then_some(matched)
    }

    /// Makes what a query writes of a row that matches ready to be written, and notes that it will be; what is of tracked
    /// components.
    pub(super) fn secure_one(&mut self, prepared: &Prepared, at: Location) -> Result<Vec<Written>, WorldError> {
        let mut written = Vec::new();
        let columns = prepared.plan.columns.iter().zip(&prepared.matched(at.table).columns);
        for (access, column) in columns.filter(|(access, _)| access.write) {
            let Some(column) = column else { continue };
            self.store.write_partial(at.table, usize::from(*column))?;
            self.store.mark_dirty(at.table, usize::from(*column), at.row, 1);
            if table_tracks(&self.store.tables[at.table as usize], access.component) {
                let (component, column) = (access.component, usize::from(*column));
                written.push(Written { table: at.table, component, column, rows: (at.row, at.row + 1) });
            }
        }
        Ok(written)
    }

    /// Calls `f` with the chunk of one row, if it matches; what the query writes was secured.
    pub(super) fn visit_one<Q: Query>(&self, prepared: &Prepared, at: Location, f: impl FnOnce(&mut Q::Item<'_>)) {
        let Some(matched) = self.matched_row(prepared, at) else { return };
        let table = &self.store.tables[at.table as usize];
        let raw: Vec<RawColumn> = (prepared.plan.columns.iter().zip(&matched.columns).zip(&prepared.types))
            .filter_map(|((access, column), ty)| {
                let rows = self.store.arena.address(table.columns[usize::from((*column)?)].live.offset);
                // SAFETY: a row of the table's, into a column that has all of them.
                let row = unsafe { rows.add(at.row as usize * ty.bytes()) };
                let new = if access.write { row } else { std::ptr::null_mut() };
                Some(RawColumn { old: row, new, ty: *ty, len: 1, streams: false })
            })
            .collect();
        let states = vec![Cell::new(RowState::Whole); raw.len()];
        let entities = self.store.arena.items::<Entity>(table.columns[0].live.offset, table.rows as usize);
        // SAFETY: as in `visit`: `secure_one` saw to what is written.
        let columns = unsafe { ColumnCursor::new(&raw, &states) };
        let entities = &entities[at.row as usize..at.row as usize + 1];
        f(&mut Q::fetch(&mut Fetch { columns, entities, present: &matched.present, next_optional: 0 }));
    }

    /// Calls `f` with everything that matches; what the query writes was secured.
    pub(in crate::world) fn visit<Q: Query>(&self, prepared: &Prepared, mut f: impl FnMut(&[Entity], Q::Item<'_>)) {
        // taken out: `f` may look at worlds
        let mut visit = VISIT.take().unwrap_or_default();
        for index in &prepared.matching {
            let rows = self.store.tables[*index as usize].rows;
            self.visit_rows::<Q>(prepared, (*index, 0..rows), &mut visit, &mut f);
        }
        VISIT.set(Some(visit));
    }

    /// Calls `f` with the rows of a range of a matching table that match. The range begins at a multiple of 64 and ends in
    /// the table.
    fn visit_rows<Q: Query>(
        &self,
        prepared: &Prepared,
        (index, rows): (u32, Range<u32>),
        visit: &mut Visit,
        f: &mut impl FnMut(&[Entity], Q::Item<'_>),
    ) {
        let Visit { raw, part, states, bits, gathered } = visit;
        let table = &self.store.tables[index as usize];
        assert!(rows.start <= rows.end && rows.end <= table.rows && rows.start.is_multiple_of(64), "rows of the table");
        let matched = prepared.matched(index);
        let pieces = self.pieces(table, rows.clone(), &matched.mask, bits);
        let (first, len) = (rows.start as usize, (rows.end - rows.start) as usize);
        raw.clear();
        for ((access, column), ty) in prepared.plan.columns.iter().zip(&matched.columns).zip(&prepared.types) {
            let Some(column) = column else { continue };
            let address = self.store.arena.address(table.columns[usize::from(*column)].live.offset);
            // SAFETY: `first` rows into a column of as many or more (asserted).
            let address = unsafe { address.add(first * ty.bytes()) };
            let new = if access.write { address } else { std::ptr::null_mut() };
            raw.push(RawColumn { old: address, new, ty: *ty, len, streams: false });
        }
        states.clear();
        states.resize_with(raw.len(), || Cell::new(RowState::Whole));
        let entities = self.store.arena.items::<Entity>(table.columns[0].live.offset, table.rows as usize);
        let entities = &entities[first..first + len];
        let mut call = |raw: &[RawColumn], states: &[Cell<RowState>], entities: &[Entity]| {
            // SAFETY: live columns of the writer's own table, or rows that were gathered from them; written ones are
            // building (`secure_matches` saw to that) and the world is borrowed mutably there, so nobody else sees them; a
            // query names a written component once (`Write::describe`).
            let columns = unsafe { ColumnCursor::new(raw, states) };
            let mut fetch = Fetch { columns, entities, present: &matched.present, next_optional: 0 };
            f(entities, Q::fetch(&mut fetch));
        };
        match pieces {
            Pieces::None => {}
            Pieces::All => call(raw, states, entities),
            Pieces::Short => {
                // SAFETY: a bit for each of the range's rows, which all these columns have; nobody else writes them.
                unsafe { gathered.take(bits, rows.start, raw, states, entities) };
                let gathered_call = || call(&gathered.columns, &gathered.states, &gathered.entities);
                let done = catch_unwind(AssertUnwindSafe(gathered_call));
                // SAFETY: the columns that were taken from; `f` has ended, its slices are gone.
                unsafe { gathered.put(raw, states) };
                // what `f` wrote before it panicked is written, as where it writes in place
                done.unwrap_or_else(|panic| resume_unwind(panic));
            }
            Pieces::Long => bit_runs(
                0,
                len as u32,
                |word| bits[word as usize],
                |from, to| {
                    let (from, len) = (from as usize, (to - from) as usize);
                    part.clear();
                    part.extend(raw.iter().map(|column| {
                        // SAFETY: `from` rows into a column of more.
                        let old = unsafe { column.old.add(from * column.ty.bytes()) };
                        let new = if column.new.is_null() { column.new } else { old.cast_mut() };
                        RawColumn { old, new, ty: column.ty, len, streams: false }
                    }));
                    call(part, states, &entities[from..from + len]);
                },
            ),
        }
    }

    /// The matching tables' rows in ranges of so many, which is a multiple of 64, in canonical order.
    pub(super) fn ranges(&self, prepared: &Prepared, rows: u32) -> Vec<(u32, Range<u32>)> {
        let mut ranges = Vec::new();
        for index in &prepared.matching {
            let all = self.store.tables[*index as usize].rows;
            let starts = (0..all).step_by(rows as usize);
            ranges.extend(starts.map(|start| (*index, start..start.saturating_add(rows).min(all))));
        }
        ranges
    }

    /// As [`World::visit`], of one range of a query that only reads: several threads may do so at once.
    pub(super) fn visit_range<Q: Query>(
        &self,
        prepared: &Prepared,
        (index, rows): (u32, Range<u32>),
        f: &mut impl FnMut(&[Entity], Q::Item<'_>),
    ) {
        assert!(!prepared.plan.writes(), "rows that are written are one thread's");
        let mut visit = VISIT.take().unwrap_or_default();
        self.visit_rows::<Q>(prepared, (index, rows), &mut visit, f);
        VISIT.set(Some(visit));
    }
}

fn table_tracks(table: &Table, component: u16) -> bool {
    table.shape.slot(component).is_some_and(|slot| slot.changed.is_some())
}
