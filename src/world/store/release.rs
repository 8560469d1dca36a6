//! Handles of entities that are gone: their slots become free, and their generations go on.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::region::RegionError;
use crate::table::{ENTITIES, Item, LOCATION_FREE};

use super::Store;

/// Handles of one run of slots, on average, from which on runs are released as a whole.
const RUN_HANDLES_MIN: usize = 8;

impl Store {
    /// Ends the lives of handles: their slots are free for the next batch, under the next generation; a slot whose
    /// generations are used up is retired.
    pub(crate) fn release_handles(&mut self, handles: &[Entity]) -> Result<(), RegionError> {
        if handles.is_empty() {
            return Ok(());
        }
        self.write_partial(ENTITIES, 0)?;
        self.write_partial(ENTITIES, 1)?;
        let mut runs = std::mem::take(&mut self.scratch.runs);
        runs.clear();
        let runs_max = handles.len() / RUN_HANDLES_MIN;
        for handle in handles {
            if let Some((start, len)) = runs.last_mut()
                && *start + *len == handle.index()
            {
                *len += 1;
            } else if runs.len() < runs_max {
                runs.push((handle.index(), 1));
            } else {
                runs.clear();
                break;
            }
        }
        if runs.is_empty() {
            self.release_slots(handles);
        } else {
            self.release_runs(&runs);
        }
        self.scratch.runs = runs;
        Ok(())
    }

    /// Slots that are all over the map.
    fn release_slots(&mut self, handles: &[Entity]) {
        let mut slots = std::mem::take(&mut self.scratch.slots);
        slots.clear();
        slots.extend(handles.iter().map(|handle| handle.index()));
        let total = self.tables[ENTITIES as usize].rows as usize;
        let (offset, _) = self.span(ENTITIES, 0, false);
        let locations = self.arena.items_mut::<u64>(offset, total);
        for slot in &slots {
            locations[*slot as usize] = LOCATION_FREE;
        }
        let (offset, _) = self.span(ENTITIES, 1, false);
        let generations = self.arena.items_mut::<u32>(offset, total);
        let mut used_up = 0;
        for slot in &slots {
            let generation = &mut generations[*slot as usize];
            *generation = generation.saturating_add(1);
            used_up += usize::from(*generation >= Entity::GENERATIONS_END);
        }
        for column in 0..2 {
            self.mark_dirty_rows(ENTITIES, column, &slots);
        }
        if used_up > 0 {
            slots.retain(|slot| self.generation(*slot) < Entity::GENERATIONS_END);
        }
        self.free_slots.insert_all(&slots);
        self.scratch.slots = slots;
    }

    /// Runs of slots (first, how many), at the speed of memory.
    fn release_runs(&mut self, runs: &[(u32, u32)]) {
        let total = self.tables[ENTITIES as usize].rows as usize;
        let slots = |(start, len): &(u32, u32)| *start as usize..(*start + *len) as usize;
        let (offset, _) = self.span(ENTITIES, 0, false);
        let locations = self.arena.items_mut::<u64>(offset, total);
        runs.iter().for_each(|run| locations[slots(run)].fill(LOCATION_FREE));
        let (offset, _) = self.span(ENTITIES, 1, false);
        let generations = self.arena.items_mut::<u32>(offset, total);
        let mut newest = 0;
        for run in runs {
            for generation in &mut generations[slots(run)] {
                *generation = generation.saturating_add(1);
                newest = newest.max(*generation);
            }
        }
        for (start, len) in runs {
            self.mark_dirty(ENTITIES, 0, *start, *len);
            self.mark_dirty(ENTITIES, 1, *start, *len);
            if newest < Entity::GENERATIONS_END {
                self.free_slots.insert_run(*start, *len);
                continue;
            }
            for slot in *start..*start + *len {
                // the others are used up
                if self.generation(slot) < Entity::GENERATIONS_END {
                    self.free_slots.insert(slot);
                }
            }
        }
    }

    /// Takes all rows off a table.
    ///
    /// # Errors
    /// There is no room to write its bits.
    pub(in crate::world) fn sweep_all(&mut self, table: u32) -> Result<(), RegionError> {
        let rows = self.tables[table as usize].rows;
        for c in 0..self.tables[table as usize].columns.len() {
            if self.tables[table as usize].columns[c].item == Item::Bit && rows > 0 {
                self.write_partial(table, c)?;
                self.set_bits(table, c, 0, rows, false);
                self.mark_dirty(table, c, 0, rows);
            }
        }
        self.tables[table as usize].rows = 0;
        self.dirty = true;
        Ok(())
    }
}
