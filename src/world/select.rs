//! Queries on the world itself, between frames: looking, changing values, and structural change of everything that
//! matches. Where a query matches whole tables, structural change relabels tables and moves no row.
#![forbid(unsafe_code)]

use crate::component::Component;
use crate::layout::{FieldType, Storage};
use crate::{Entity, limits::JOB_ROWS};

use super::World;
use super::bundle::RegistryRef;
use super::error::WorldError;
use super::query::{Query, QueryPlan, mask_runs, matches};

/// A table's matching rows.
struct Selection {
    table: u32,
    /// First row and end of each run.
    runs: Vec<(u32, u32)>,
}

impl World {
    pub(crate) fn plan_of<Q: Query>(&self) -> Result<QueryPlan, WorldError> {
        let mut plan = QueryPlan::default();
        Q::describe(&RegistryRef(&self.registry), &mut plan)?;
        Ok(plan)
    }

    fn select(&self, plan: &QueryPlan) -> Vec<Selection> {
        let mut selections = Vec::new();
        for (index, table) in self.store.data_tables() {
            let Some(matched) = matches(plan, &table.shape) else { continue };
            let mut runs = Vec::new();
            let word = |column: u16, word: u32| {
                let offset = table.columns[usize::from(column)].live.offset + u64::from(word) * 8;
                self.store.arena.items::<u64>(offset, 1)[0]
            };
            mask_runs(&matched.mask, 0, table.rows, word, |start, end| runs.push((start, end)));
            if !runs.is_empty() {
                selections.push(Selection { table: index, runs });
            }
        }
        selections
    }

    fn field_type(&self, component: u16, field: u8) -> FieldType {
        self.layout().components()[usize::from(component)].fields[usize::from(field)].ty
    }

    /// Looks at everything that matches, a chunk at a time: rows of one table, in order, without those that a toggle leaves
    /// out.
    ///
    /// ```
    /// use hypostyle::{Component, Read, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// world.spawn_batch((1..=4).map(|kg| Mass { kg: f64::from(kg) }))?;
    /// let mut total = 0.0;
    /// world.query::<Read<Mass>>(|_entities, mass| total += mass.kg.iter().sum::<f64>())?;
    /// assert_eq!(total, 10.0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component; a query that writes (use [`World::query_mut`]).
    pub fn query<Q: Query>(&self, f: impl FnMut(&[Entity], Q::Item<'_>)) -> Result<(), WorldError> {
        let prepared = self.prepared::<Q>()?;
        if prepared.plan.writes() {
            self.queries.put::<Q>(prepared);
            return Err(WorldError::QueryWrites);
        }
        self.visit::<Q>(&prepared, f);
        self.queries.put::<Q>(prepared);
        Ok(())
    }

    /// Changes values of everything that matches, a chunk at a time: rows of one table, in order, without those that a
    /// toggle leaves out.
    ///
    /// # Errors
    /// An unknown component, no memory.
    pub fn query_mut<Q: Query>(&mut self, f: impl FnMut(&[Entity], Q::Item<'_>)) -> Result<(), WorldError> {
        self.check_maker()?;
        let prepared = self.prepared::<Q>()?;
        let done = self.secure_matches(&prepared);
        if done.is_ok() {
            self.visit::<Q>(&prepared, f);
        }
        self.queries.put::<Q>(prepared);
        done
    }

    /// How many entities match.
    ///
    /// # Errors
    /// An unknown component.
    pub fn count<Q: Query>(&self) -> Result<u64, WorldError> {
        let plan = self.plan_of::<Q>()?;
        Ok(self.select(&plan).iter().flat_map(|s| &s.runs).map(|(start, end)| u64::from(end - start)).sum())
    }

    /// Ends the lives of everything that matches; how many that were.
    ///
    /// # Errors
    /// An unknown component, no memory.
    pub fn despawn_where<Q: Query>(&mut self) -> Result<u64, WorldError> {
        self.check_maker()?;
        let plan = self.plan_of::<Q>()?;
        let mut count = 0;
        for selection in self.select(&plan) {
            let rows: Vec<u32> = selection.runs.iter().rev().flat_map(|(start, end)| (*start..*end).rev()).collect();
            let mut handles: Vec<Entity> = Vec::with_capacity(rows.len());
            let column = self.store.column_bytes(selection.table, 0);
            let all: &[Entity] = bytemuck::cast_slice(column);
            selection.runs.iter().for_each(|(start, end)| handles.extend(&all[*start as usize..*end as usize]));
            self.store.secure_table(selection.table)?;
            self.store.sweep(selection.table, &rows)?;
            self.store.release_handles(&handles)?;
            count += rows.len() as u64;
        }
        Ok(count)
    }

    /// Gives everything that matches a component with this value, or sets it where present; how many entities that
    /// were.
    ///
    /// # Errors
    /// An unknown component, no memory.
    pub fn add_where<Q: Query, C: Component>(&mut self, value: C) -> Result<u64, WorldError> {
        self.check_maker()?;
        let component = self.registry.component::<C>()?;
        let plan = self.plan_of::<Q>()?;
        let mut packed = vec![0; C::PACKED_BYTES];
        value.pack(&mut packed);
        let mut count = 0;
        for selection in self.select(&plan) {
            let rows: u64 = selection.runs.iter().map(|(start, end)| u64::from(end - start)).sum();
            count += rows;
            let (table, runs) = if C::STORAGE == Storage::Toggle {
                self.store.attach_toggle(selection.table, component)?;
                (selection.table, selection.runs)
            } else if self.store.tables[selection.table as usize].shape.slot(component).is_some() {
                (selection.table, selection.runs)
            } else {
                self.move_selection(selection.table, &selection.runs, component, true)?
            };
            for (start, end) in runs {
                self.fill(table, component, start, end - start, &packed)?;
            }
        }
        Ok(count)
    }

    /// Takes a component from everything that matches; how many entities had it.
    ///
    /// # Errors
    /// An unknown component, no memory.
    pub fn remove_where<Q: Query, C: Component>(&mut self) -> Result<u64, WorldError> {
        self.check_maker()?;
        let component = self.registry.component::<C>()?;
        let mut plan = self.plan_of::<Q>()?;
        plan.all.push(component);
        let mut count = 0;
        for selection in self.select(&plan) {
            count += selection.runs.iter().map(|(start, end)| u64::from(end - start)).sum::<u64>();
            match self.store.tables[selection.table as usize].shape.slot(component).and_then(|slot| slot.presence) {
                Some(_) => {
                    for (start, end) in &selection.runs {
                        self.store.clear_toggle(selection.table, component, *start, end - start)?;
                    }
                }
                None => {
                    self.move_selection(selection.table, &selection.runs, component, false)?;
                }
            }
        }
        Ok(count)
    }

    /// Moves selected rows to the table with one component more or less; returns that table and the rows' new runs.
    fn move_selection(
        &mut self,
        table: u32,
        runs: &[(u32, u32)],
        component: u16,
        add: bool,
    ) -> Result<(u32, Vec<(u32, u32)>), WorldError> {
        let to = self.store.neighbour(table, component, add)?;
        let all = self.store.tables[table as usize].rows;
        if runs == [(0, all)] && self.store.tables[to as usize].rows == 0 {
            self.store.relabel(table, to)?;
            return Ok((to, vec![(0, all)]));
        }
        let rows: Vec<u32> = runs.iter().flat_map(|(start, end)| *start..*end).collect();
        self.store.secure_table(table)?;
        let first = self.store.move_rows(table, &rows, to)?;
        let removed: Vec<u32> = rows.iter().rev().copied().collect();
        self.store.sweep(table, &removed)?;
        Ok((to, vec![(first, first + rows.len() as u32)]))
    }

    /// Writes one value to consecutive rows, and switches a toggle on.
    fn fill(&mut self, table: u32, component: u16, start: u32, len: u32, packed: &[u8]) -> Result<(), WorldError> {
        let slot = *self.store.tables[table as usize].shape.slot(component).expect("the caller made it");
        self.store.secure_component(table, component)?;
        let mut at = 0;
        for index in 0..slot.fields {
            let bytes = self.field_type(component, index as u8).bytes();
            let column = usize::from(slot.first + index);
            let value = &packed[at..at + bytes];
            let from = start as usize * bytes;
            let rows = &mut self.store.column_bytes_mut(table, column)[from..from + len as usize * bytes];
            for block in rows.chunks_mut(JOB_ROWS * bytes) {
                block.chunks_exact_mut(bytes).for_each(|row| row.copy_from_slice(value));
            }
            self.store.touched(table, column, start, len);
            at += bytes;
        }
        if let Some(presence) = slot.presence {
            let column = usize::from(presence);
            self.store.set_bits(table, column, start, len, true);
            self.store.touched(table, column, start, len);
        }
        Ok(self.store.mark_changed(table, component, self.parity(), start, len)?)
    }
}
