//! Queries on the world itself, between frames: reading, changing values, and structural changes of all matching
//! entities. Where a query matches whole tables, structural change relabels tables and moves no row.
#![forbid(unsafe_code)]

use crate::component::Component;
use crate::layout::Storage;
use crate::table::{Column, ENTITIES, Item};
use crate::{Entity, limits::JOB_ROWS};

use super::bundle::RegistryRef;
use super::compare::Compared;
use super::query::{Query, QueryPlan, mask_runs, matches};
use crate::world::World;
use crate::world::error::WorldError;

/// First row and end of each run of rows.
type Runs = Vec<(u32, u32)>;

/// A table's matching rows.
pub(super) struct Selection {
    pub(super) table: u32,
    pub(super) runs: Runs,
}

impl Selection {
    pub(super) fn rows(&self) -> u64 {
        self.runs.iter().map(|(start, end)| u64::from(end - start)).sum()
    }

    fn is_all(&self, rows: u32) -> bool {
        self.runs == [(0, rows)]
    }

    /// All rows, highest first.
    fn descending(&self) -> Vec<u32> {
        self.runs.iter().rev().flat_map(|(start, end)| (*start..*end).rev()).collect()
    }
}

/// Selected rows on their way to another table.
struct Move {
    selection: Selection,
    to: u32,
    /// New columns, where the tables' columns change hands and no row is copied.
    fresh: Option<Vec<Column>>,
}

impl World {
    pub(crate) fn plan_of<Q: Query>(&self) -> Result<QueryPlan, WorldError> {
        let mut plan = QueryPlan::default();
        let registry = RegistryRef(&self.registry);
        Q::describe(&registry, &mut plan)?;
        plan.check(&registry)?;
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

    /// Calls `f` once per chunk of matching rows, table by table. A chunk holds rows of one table, in order. For one row at
    /// a time use [`World::for_each`].
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

    /// Calls `f` once per chunk of matching rows, table by table, to change values. A chunk holds rows of one table, in
    /// order. For one row at a time use [`World::for_each_mut`]. Rows of tracked components whose values differ afterwards
    /// count as changed. If `f` panics, the panic is passed on: values that `f` wrote before it stay written, all others are
    /// unchanged.
    ///
    /// # Errors
    /// An unknown component, no memory; nothing has changed then.
    pub fn query_mut<Q: Query>(&mut self, f: impl FnMut(&[Entity], Q::Item<'_>)) -> Result<(), WorldError> {
        self.check_maker()?;
        let mut prepared = self.prepared::<Q>()?;
        let secured = self.secure_matches(&mut prepared).and_then(|written| Compared::new(self, &written));
        // the rows that `f` changes are marked where `compared` ends, as it does where `f` panics
        let done = secured.map(|compared| compared.world.visit::<Q>(&prepared, f));
        self.queries.put::<Q>(prepared);
        done
    }

    /// Number of matching entities.
    ///
    /// # Errors
    /// An unknown component.
    pub fn count<Q: Query>(&self) -> Result<u64, WorldError> {
        let plan = self.plan_of::<Q>()?;
        Ok(self.select(&plan).iter().flat_map(|s| &s.runs).map(|(start, end)| u64::from(end - start)).sum())
    }

    /// Despawns every matching entity, and returns how many there were.
    ///
    /// # Errors
    /// An unknown component, no memory; nothing has changed then.
    pub fn despawn_where<Q: Query>(&mut self) -> Result<u64, WorldError> {
        self.check_maker()?;
        let plan = self.plan_of::<Q>()?;
        self.store.begin_change();
        let selections = self.select(&plan);
        for selection in &selections {
            self.secure_leaving(selection)?;
        }
        let mut count = 0;
        for selection in selections {
            let rows = self.store.tables[selection.table as usize].rows;
            let mut handles: Vec<Entity> = Vec::with_capacity(selection.rows() as usize);
            let column = self.store.column_bytes(selection.table, 0);
            let all: &[Entity] = bytemuck::cast_slice(column);
            selection.runs.iter().for_each(|(start, end)| handles.extend(&all[*start as usize..*end as usize]));
            if selection.is_all(rows) {
                self.store.sweep_all(selection.table)?;
            } else {
                self.store.sweep(selection.table, &selection.descending())?;
            }
            self.store.release_handles(&handles)?;
            count += selection.rows();
        }
        Ok(count)
    }

    /// Makes writable what is written when rows leave their table.
    fn secure_leaving(&mut self, selection: &Selection) -> Result<(), WorldError> {
        let table = &self.store.tables[selection.table as usize];
        if !selection.is_all(table.rows) {
            return Ok(self.store.secure_table(selection.table)?);
        }
        self.store.secure_table(ENTITIES)?;
        for column in 0..self.store.tables[selection.table as usize].columns.len() {
            if self.store.tables[selection.table as usize].columns[column].item == Item::Bit {
                self.store.write_partial(selection.table, column)?;
            }
        }
        Ok(())
    }

    /// Adds the component to every matching entity, or sets it if the entity has it, and returns how many matched.
    ///
    /// # Errors
    /// An unknown component, no memory; nothing has changed then.
    pub fn add_where<Q: Query, C: Component>(&mut self, value: C) -> Result<u64, WorldError> {
        self.check_maker()?;
        let component = super::bundle::valued::<C>(&self.registry)?;
        let plan = self.plan_of::<Q>()?;
        let mut packed = vec![0; C::PACKED_BYTES];
        value.pack(&mut packed);
        let selections = self.select(&plan);
        self.add_selected(selections, component, &packed)
    }

    /// Gives selected rows a component with this value, or sets it where present; how many rows that were.
    pub(super) fn add_selected(
        &mut self,
        selections: Vec<Selection>,
        component: u16,
        packed: &[u8],
    ) -> Result<u64, WorldError> {
        let toggle = self.store.storage(component) == Storage::Toggle;
        let has = |world: &World, selection: &Selection| {
            toggle || world.store.tables[selection.table as usize].shape.slot(component).is_some()
        };
        let (staying, leaving): (Vec<_>, Vec<_>) = selections.into_iter().partition(|s| has(self, s));
        for selection in &staying {
            if toggle {
                self.store.attach_toggle(selection.table, component)?;
            }
            self.store.secure_component(selection.table, component)?;
        }
        let moves = self.plan_moves(leaving, component, true)?;
        // in the order of the tables, as rows may be appended where others stand
        let mut count = 0;
        let mut steps: Vec<(u32, Option<Move>, Runs)> =
            staying.into_iter().map(|selection| (selection.table, None, selection.runs)).collect();
        steps.extend(moves.into_iter().map(|step| (step.selection.table, Some(step), Vec::new())));
        steps.sort_by_key(|(table, ..)| *table);
        for (table, step, runs) in steps {
            let (table, runs) = match step {
                None => (table, runs),
                Some(step) => self.carry_out_move(step)?,
            };
            for (start, end) in runs {
                count += u64::from(end - start);
                self.fill(table, component, start, end - start, packed)?;
            }
        }
        Ok(count)
    }

    /// Removes the component from every matching entity, and returns how many had it.
    ///
    /// # Errors
    /// An unknown component, no memory; nothing has changed then.
    pub fn remove_where<Q: Query, C: Component>(&mut self) -> Result<u64, WorldError> {
        self.check_maker()?;
        let component = self.registry.component::<C>()?;
        let mut plan = self.plan_of::<Q>()?;
        plan.all.push(component);
        let selections = self.select(&plan);
        self.remove_selected(selections, component)
    }

    /// Takes a component from selected rows, which have it; how many those were.
    pub(super) fn remove_selected(&mut self, selections: Vec<Selection>, component: u16) -> Result<u64, WorldError> {
        let count = selections.iter().map(Selection::rows).sum();
        if self.store.storage(component) == Storage::Toggle {
            for selection in &selections {
                self.store.secure_component(selection.table, component)?;
            }
            for selection in &selections {
                for (start, end) in &selection.runs {
                    self.store.clear_toggle(selection.table, component, *start, end - start)?;
                }
            }
            return Ok(count);
        }
        for step in self.plan_moves(selections, component, false)? {
            self.carry_out_move(step)?;
        }
        Ok(count)
    }

    /// Finds where selected rows go that get a component or lose one, and makes room for all of them. What follows cannot
    /// fail.
    fn plan_moves(&mut self, selections: Vec<Selection>, component: u16, add: bool) -> Result<Vec<Move>, WorldError> {
        self.store.begin_change();
        let mut moves: Vec<Move> = Vec::with_capacity(selections.len());
        let mut before: Vec<(u32, u32)> = Vec::new();
        let mut done = Ok(());
        for selection in selections {
            let planned = self.store.neighbour(selection.table, component, add).map(|to| {
                before.push((to, self.store.tables[to as usize].capacity));
                moves.push(Move { selection, to, fresh: None });
            });
            done = done.and(planned);
        }
        for index in 0..moves.len() {
            let (from, to) = (moves[index].selection.table, moves[index].to);
            let rows = self.store.tables[from as usize].rows;
            let alone = moves.iter().filter(|other| other.to == to).count() == 1;
            let relabels = alone && moves[index].selection.is_all(rows) && self.store.tables[to as usize].rows == 0;
            let part = done.and_then(|()| {
                if relabels {
                    self.store.attach_toggles_of(from, to)?;
                    moves[index].fresh = Some(self.store.columns_to_relabel(from, to)?);
                    return self.store.secure_table(ENTITIES);
                }
                self.store.attach_toggles_in_use(from, &moves[index].selection.descending(), to)?;
                let to_rows: u64 =
                    moves.iter().filter(|other| other.to == to).map(|other| other.selection.rows()).sum();
                self.store.reserve(to, u64::from(self.store.tables[to as usize].rows) + to_rows)?;
                self.store.secure_table(to)
            });
            done = part;
            if done.is_ok() && !relabels {
                done = self.secure_leaving(&moves[index].selection).map_err(|error| match error {
                    WorldError::Region(error) => error,
                    _ => unreachable!("to make columns writable takes memory alone"),
                });
            }
        }
        if let Err(error) = done {
            for step in &mut moves {
                step.fresh.take().into_iter().flatten().for_each(|column| self.store.retire_column(column));
            }
            before.iter().for_each(|(table, capacity)| self.store.give_back(*table, *capacity));
            return Err(error.into());
        }
        Ok(moves)
    }

    /// Moves selected rows to their table; returns it and the rows' new runs.
    fn carry_out_move(&mut self, step: Move) -> Result<(u32, Runs), WorldError> {
        let Move { selection, to, fresh } = step;
        if let Some(fresh) = fresh {
            let all = self.store.tables[selection.table as usize].rows;
            self.store.relabel(selection.table, to, fresh)?;
            return Ok((to, vec![(0, all)]));
        }
        let rows: Vec<u32> = selection.runs.iter().flat_map(|(start, end)| *start..*end).collect();
        let first = self.store.move_rows(selection.table, &rows, to)?;
        self.store.sweep(selection.table, &selection.descending())?;
        Ok((to, vec![(first, first + rows.len() as u32)]))
    }

    /// Writes one value to consecutive rows, and switches a toggle on.
    fn fill(&mut self, table: u32, component: u16, start: u32, len: u32, packed: &[u8]) -> Result<(), WorldError> {
        let slot = *self.store.tables[table as usize].shape.slot(component).expect("the caller made it");
        self.store.secure_component(table, component)?;
        let mut at = 0;
        for index in 0..slot.fields {
            let column = usize::from(slot.first + index);
            let bytes = self.store.tables[table as usize].columns[column].item.row_bytes() as usize;
            let value = &packed[at..at + bytes];
            let from = start as usize * bytes;
            let rows = &mut self.store.column_bytes_mut(table, column)[from..from + len as usize * bytes];
            for block in rows.chunks_mut(JOB_ROWS * bytes) {
                block.chunks_exact_mut(bytes).for_each(|row| row.copy_from_slice(value));
            }
            self.store.mark_dirty(table, column, start, len);
            at += bytes;
        }
        if let Some(presence) = slot.presence {
            let column = usize::from(presence);
            self.store.set_bits(table, column, start, len, true);
            self.store.mark_dirty(table, column, start, len);
        }
        Ok(self.store.mark_changed(table, component, self.parity(), start, len)?)
    }
}
