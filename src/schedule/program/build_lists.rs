//! The room that jobs get for lists which they build in place, and what becomes of what they left there.
//!
//! How long lists become nobody knows before they are made. A system's jobs get the room that they had the last time;
//! the first time they get none. Where that is too little the jobs count what they lack, and run again with as much
//! and a little more. So lists that change slowly are made in one pass, others in two, and what is made is the same.
//! Where elements stand follows from the rows and from what was built before, never from workers.
#![forbid(unsafe_code)]

use crate::commit::{PatchCounts, Refusal};
use crate::region::RegionError;
use crate::schedule::graph::Group;
use crate::world::store::Store;
use crate::world::store::built::{BuiltLists, ListRoom};

use super::build::{BuildContext, Work};
use super::entries::{BuildHead, BuildSpans, ViewColumn};
use super::words::Entry;

/// Passes after which jobs whose lists have another length each time are refused.
const PASSES_MAX: u32 = 4;

/// How many elements the jobs of each system had when they built lists last. Kept from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct ListRooms {
    by_system: Vec<Vec<Known>>,
    /// Results of the jobs of the current batch.
    found: Vec<Known>,
    passes: u32,
}

/// What is known of the lists of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Elements that it had.
    elements: u64,
    /// Those that there is to be room for.
    room: u64,
}

/// The lists that the jobs of a batch build.
#[derive(Debug)]
pub(crate) struct BuiltWork {
    pub system: usize,
    pub component: u16,
    /// By job.
    pub rooms: Vec<ListRoom>,
    /// The word, after those of the tasks, where the program tells of it.
    pub words_at: u64,
}

impl Known {
    /// The room stays what it was as long as it is neither too small nor twice as large as what is needed.
    fn of(elements: u64, room: u64) -> Self {
        let fits = elements <= room && room <= 2 * elements + 64;
        let room = if fits { room } else { elements + spare_room(elements) };
        Known { elements, room: if elements == 0 { 0 } else { room } }
    }
}

/// What lists that have so many elements now may have more the next time: a 32nd, and four standard deviations of a count
/// of that many, which is most of it where they are few.
fn spare_room(elements: u64) -> u64 {
    elements / 32 + 4 * elements.isqrt() + 32
}

/// Gives each of so many jobs its room, one behind the other; the elements of all of them.
fn give_rooms(known: &[Known], jobs: usize, room: fn(&Known) -> u64, rooms: &mut Vec<ListRoom>) -> u64 {
    rooms.clear();
    let mut next = 0u64;
    for job in 0..jobs {
        let room = known.get(job).map_or(0, room);
        // a sum beyond 32 bits is refused with all of its rooms
        rooms.push(ListRoom { first: next as u32, room: room as u32 });
        next = next.saturating_add(room);
    }
    next
}

impl Work {
    /// Finds room for the lists that a group's system builds, if it does, and tells of it at the end of the tasks'
    /// words.
    pub(super) fn place_lists(&mut self, group: &Group, around: &mut BuildContext<'_>) -> Result<(), RegionError> {
        let kept = self.built.take();
        let builds = |system: usize| {
            around.compiled[system].builds_lists.filter(|_| !around.skips[system]).map(|id| (system, id))
        };
        let Some((system, component)) = group.systems().find_map(builds) else { return Ok(()) };
        if self.rows == 0 {
            return Ok(());
        }
        let mut rooms = kept.map_or_else(Vec::new, |built| built.rooms);
        let known = around.list_rooms.of(system, self.jobs.len());
        let elements = give_rooms(known, self.jobs.len(), |known| known.room, &mut rooms);
        if around.store.begin_lists(component, elements).is_err() {
            // in a tight world what they took the last time must do
            let elements = give_rooms(known, self.jobs.len(), |known| known.elements, &mut rooms);
            around.store.begin_lists(component, elements)?;
        }
        let words_at = self.task_words.len() as u64;
        self.built = Some(BuiltWork { system, component, rooms, words_at });
        self.push_built(around.store);
        Ok(())
    }

    fn push_built(&mut self, store: &Store) {
        let Work { built: Some(built), tasks, task_words, jobs, job_tasks, .. } = self else { return };
        let pool = &store.tables[store.pool(built.component) as usize];
        let fields = &store.layout.components()[usize::from(built.component)].fields;
        let (component, columns) = (u32::from(built.component), pool.columns.len() as u32);
        BuildHead { component, columns, elements: pool.rows }.encode(task_words);
        for (column, field) in pool.columns.iter().zip(fields) {
            ViewColumn { offset: column.live.offset, ty: field.ty }.encode(task_words);
        }
        for task in 0..tasks.len() as u32 {
            let job = job_tasks.partition_point(|other| *other < task);
            let spans = jobs.get(job).and_then(|job| store.span_offsets(job.table, built.component));
            let (starts, lengths) = spans.unwrap_or_default();
            BuildSpans { starts, lengths }.encode(task_words);
        }
        built.rooms.iter().for_each(|room| room.encode(task_words));
    }
}

impl ListRooms {
    /// What is known of a system that has so many jobs now: nothing, where it had another number of them.
    fn of(&self, system: usize, jobs: usize) -> &[Known] {
        self.by_system.get(system).filter(|known| known.len() == jobs).map_or(&[], |known| known)
    }

    /// A batch begins.
    pub(crate) fn begin(&mut self) {
        self.passes = 0;
    }

    /// Looks at what a batch's jobs left. True: the lists did not fit, and the jobs are to run again.
    pub(crate) fn settle(&mut self, work: &Work, store: &mut Store, counts: &mut [PatchCounts]) -> bool {
        let Some(built) = &work.built else { return false };
        self.passes += 1;
        let last = self.passes >= PASSES_MAX;
        let mut again = false;
        self.found.clear();
        for (job, room) in work.jobs.iter().zip(&built.rooms) {
            let had = u64::from(room.room);
            let left = store.built_lists(built.component, (job.table, &job.rows), *room);
            let why = match left {
                BuiltLists::Whole(elements) => {
                    self.found.push(Known::of(elements, had));
                    continue;
                }
                BuiltLists::Lacking(elements) => {
                    self.found.push(Known::of(elements, had));
                    if !last {
                        again = true;
                        continue;
                    }
                    format!("lists of {elements} elements in all, and of other lengths each time they were made")
                }
                BuiltLists::Outside(row) => {
                    self.found.push(Known::default());
                    format!("the list of row {row} is outside of its job's room")
                }
            };
            store.empty_lists(built.component, job.table, &job.rows);
            counts[built.system].refuse(1, || Refusal::Malformed(why));
        }
        if self.by_system.len() <= built.system {
            self.by_system.resize_with(built.system + 1, Vec::new);
        }
        self.by_system[built.system].clone_from(&self.found);
        again
    }
}
