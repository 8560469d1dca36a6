//! What is written is what is read: each structure by itself, then whole programs of random worlds, then programs of which
//! bits are not what they were.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;

use super::build::{BuildContext, Work};
use super::build_lists::ListRooms;
use super::entries::*;
use super::task::{Found, Task};
use super::words::{Entry, Words, halves, push_bytes, type_word, word_type};
use crate::layout::{FieldType, ScalarType};
use crate::schedule::graph::{self, Group};
use crate::schedule::job::FrameInfo;
use crate::schedule::memory::JobMemory;
use crate::schedule::{Schedule, System, compile};
use crate::world::store::built::ListRoom;
use crate::{Component, List, Read, With, Without, World, Write};

/// A structure's words are as many as it says, and give the structure back, whatever stands around them.
fn comes_back<E: Entry + PartialEq + Debug>(entry: &E) -> Result<(), TestCaseError> {
    let mut words = vec![u64::MAX; 3];
    entry.encode(&mut words);
    prop_assert_eq!(words.len(), 3 + E::WORDS);
    words.push(u64::MAX);
    let mut reader = Words::at(&words, 3).map_err(TestCaseError::fail)?;
    let read = E::decode(&mut reader).map_err(TestCaseError::fail)?;
    prop_assert_eq!(&read, entry);
    prop_assert_eq!(reader.place(), 3 + E::WORDS, "each of its words was read, and none beyond");
    for short in 3..3 + E::WORDS {
        let mut reader = Words::at(&words[..short], 3).map_err(TestCaseError::fail)?;
        prop_assert!(E::decode(&mut reader).is_err(), "{short} words are too few");
    }
    Ok(())
}

fn types() -> impl Strategy<Value = FieldType> {
    (prop::sample::select(ScalarType::ALL.as_slice()), 0..=crate::limits::ARRAY_LEN_MAX)
        .prop_map(|(scalar, array_len)| FieldType { scalar, array_len })
}

proptest! {
    #[test]
    fn structures_come_back(n in any::<[u32; 6]>(), at in any::<[u64; 12]>(), new in any::<Option<u64>>(),
                            ty in types(), flag in any::<bool>()) {
        comes_back(&Head {
            frame: at[0],
            time: f64::from(n[0]),
            dt: -f64::from(n[1]),
            frames: at[1],
            jobs: at[2],
            tasks: at[3],
            tasks_at: at[4],
            resources_offset: at[5],
            resources_bytes: at[6],
            locations_offset: at[7],
            generations_offset: at[8],
            slots: at[9],
            words: at[10],
            batch_tag: at[11],
            seed: at[0],
            iteration: n[0],
            serial: at[1],
            builds_at: at[2],
        })?;
        comes_back(&JobEntry { task: n[0], system: n[1], start: n[2], end: n[3] })?;
        comes_back(&TaskHead { table: n[0], rows: n[1], handles: at[0], columns: n[2], systems: n[3] })?;
        let new = new.filter(|offset| *offset != u64::MAX);
        comes_back(&ColumnEntry { old: at[0], new, ty, component: n[0] as u16, field: n[1] as u8 })?;
        comes_back(&SystemHead {
            system: n[0], columns: n[1], optionals: n[2], conditions: n[3], views: n[4], payload_bytes: n[5], lists: n[1],
        })?;
        comes_back(&ListHead { component: n[0], columns: n[1], elements: n[2] })?;
        comes_back(&ColumnUse { place: n[0], write: flag })?;
        comes_back(&MaskHead { negated: flag, bits: n[0] })?;
        comes_back(&ViewHead {
            table: n[0], rows: n[1], ghosts: n[3], handles: at[0], columns: n[2], conditions: n[3], optionals: n[4],
            view: n[5], elsewhere: (n[4], n[0]),
        })?;
        comes_back(&ViewColumn { offset: at[0], ty })?;
        comes_back(&BuildHead { component: n[0], columns: n[1], elements: n[2] })?;
        comes_back(&BuildSpans { starts: at[0], lengths: at[1] })?;
        comes_back(&ListRoom { first: n[0], room: n[1] })?;
    }

    #[test]
    fn payloads_come_back(bytes in prop::collection::vec(any::<u8>(), 0..40), low in any::<u32>(), high in any::<u32>()) {
        let mut words = vec![halves(low, high)];
        push_bytes(&mut words, &bytes);
        words.push(7);
        let mut reader = Words::at(&words, 0).map_err(TestCaseError::fail)?;
        prop_assert_eq!(reader.pair(), Ok((low, high)));
        prop_assert_eq!(reader.bytes(bytes.len() as u64), Ok(&bytes[..]));
        prop_assert_eq!(reader.next(), Ok(7));
        prop_assert!(reader.next().is_err());
    }

    #[test]
    fn a_type_is_a_word_or_none(ty in types(), word in any::<u64>()) {
        prop_assert_eq!(word_type(type_word(ty)), Some(ty));
        prop_assert!(word_type(word).is_none_or(|ty| type_word(ty) == word));
    }
}

#[derive(Component, Clone, Copy)]
struct Place {
    x: f64,
    #[allow(dead_code, reason = "a further column")]
    tag: [u16; 3],
}
#[derive(Component, Clone, Copy)]
struct Speed {
    x: f64,
}
#[derive(Component, Clone, Copy)]
struct Heat {
    kelvin: f32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Awake {}

#[derive(Component, Clone, Copy)]
#[component(storage = "scratch_list")]
struct Row {
    #[allow(dead_code, reason = "a field of the elements")]
    row: u32,
}

/// How many entities have which components: 0 to 7 are the sets of speed, heat and awake beside a place.
type Counts = [u16; 8];

/// Jobs of a batch as the world says they must be, from its tables.
struct Made {
    world: World,
    work: Work,
    systems: usize,
    memory: JobMemory,
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Place>, Read<Speed>)>("move", |_, _| {}).payload(*b"twelve bytes").job_rows(64));
    schedule.add(System::rows::<(Write<Heat>, Option<Read<Speed>>)>("warm", |_, _| {}).payload(*b"x").job_rows(128));
    schedule.add(System::rows::<(Read<Place>, Write<Speed>, With<Awake>)>("push", |_, _| {}));
    schedule.add(System::neighbours::<(Write<Heat>, Without<Awake>), (Read<Place>, Option<Read<Speed>>, With<Awake>)>(
        "look",
        |_, _, _| {},
    ));
    schedule.add(System::once("count", |_| {}));
    schedule.add(System::rows::<Read<Place>>("build", |_, _| {}).builds_lists::<Row>().job_rows(64));
    schedule
}

fn make(counts: &Counts, picked: &[usize], fused: bool) -> Made {
    let builder = World::builder().component::<Place>().component::<Speed>().component::<Heat>();
    let mut world = builder.component::<Awake>().component::<Row>().build().expect("a world");
    for (set, count) in counts.iter().enumerate() {
        for _ in 0..*count {
            let entity = world.spawn((Place { x: 0.0, tag: [1; 3] }, List::<Row>::new())).expect("a place");
            if set & 1 != 0 {
                world.add(entity, Speed { x: 1.0 }).expect("a speed");
            }
            if set & 2 != 0 {
                world.add(entity, Heat { kelvin: 1.0 }).expect("a heat");
            }
            if set & 4 != 0 {
                world.add(entity, Awake {}).expect("a toggle");
            }
        }
    }
    let schedule = schedule();
    let compiled = compile(&schedule, &world.registry).expect("names that there are");
    let payloads: Vec<Vec<u8>> = schedule.systems.iter().map(|system| system.payload.clone()).collect();
    let batch = |systems: Vec<usize>| graph::Batch { systems };
    let batches =
        if fused { picked.iter().map(|system| batch(vec![*system])).collect() } else { vec![batch(picked.to_vec())] };
    let mut work = Work::default();
    let mut around = BuildContext {
        store: &mut world.store,
        compiled: &compiled,
        payloads: &payloads,
        skips: &vec![false; compiled.len()],
        info: FrameInfo { frame: 3, time: 0.5, dt: 0.25, iteration: 0, seed: 1 },
        batch_tag: 99,
        frames: 2,
        undo_bytes: None,
        list_rooms: &mut ListRooms::default(),
    };
    // once more where columns were moved to make room, as a frame does
    for _ in 0..2 {
        work.build(&Group { batches: batches.clone() }, &mut around).expect("memory");
    }
    let memory = JobMemory::Shared(Arc::clone(world.store.region.mapping()));
    Made { world, work, systems: compiled.len(), memory }
}

impl Made {
    fn decode(&self, program: &[u64], job: u32, task: &mut Task) -> Result<(Head, JobEntry, TaskHead), String> {
        let head = Head::decode(&mut Words::at(program, 0)?)?;
        let found = Found::of(program, &head, job)?;
        let (entry, task_head) = (found.job, found.task);
        task.decode(found, self.systems, &self.memory)?;
        let building = task.building(program, &head, job, (entry, task_head.rows), &self.memory)?;
        let whole = std::ptr::eq(program, &raw const self.work.words[..]);
        let builds = self.work.built.as_ref().map(|built| built.component).filter(|_| entry.start < entry.end);
        assert!(!whole || building.as_ref().map(|building| building.component) == builds);
        let spans = whole.then(|| self.world.store.span_offsets(task_head.table, 4)).flatten();
        if let Some((building, (starts, lengths))) = building.zip(spans) {
            let skip = 4 * u64::from(entry.start);
            assert_eq!(building.starts.cast_const().cast(), self.address(starts + skip));
            assert_eq!(building.lengths.cast_const().cast(), self.address(lengths + skip));
        }
        Ok((head, entry, task_head))
    }

    /// The address of a byte of the data segment.
    fn address(&self, offset: u64) -> *const u8 {
        self.memory.read(offset, 0).expect("an offset of the world")
    }

    /// Checks a task, read for a job of these rows, against the tables of the world.
    fn check(&self, task: &Task, table: u32, rows: Range<u32>, schedule: &Schedule) -> Result<(), TestCaseError> {
        let store = &self.world.store;
        let data = &store.tables[table as usize];
        for column in &task.columns {
            let fields = &self.world.layout().components()[usize::from(column.component)].fields;
            prop_assert_eq!(column.ty, fields[usize::from(column.field)].ty);
            let place = data.shape.slot(column.component).expect("a component that the table has").first;
            let live = data.columns[usize::from(place) + usize::from(column.field)].live.offset;
            prop_assert_eq!(column.old_offset, live);
            let skip = u64::from(rows.start) * column.ty.bytes() as u64;
            if !column.in_place {
                prop_assert_eq!(column.old, self.address(live + skip));
            }
            let written = self.work.written.iter().find(|written| {
                (written.table, written.component, written.field) == (table, column.component, column.field)
            });
            prop_assert_eq!(column.new.is_null(), written.is_none());
            if let Some(written) = written {
                prop_assert_eq!(column.new.cast_const(), self.address(written.offset + skip));
                prop_assert_eq!(written.flip, !column.in_place);
            }
        }
        for system in &task.systems {
            let declared = &schedule.systems[system.system as usize];
            let payload = Words::at(&self.work.words, system.payload.0 as u64)
                .and_then(|mut w| w.bytes(u64::from(system.payload.1)));
            prop_assert_eq!(payload, Ok(&declared.payload[..]), "{}", &declared.name);
            let used = &task.columns_used[system.columns.clone()];
            let writes = |used: &super::task::Used| used.write;
            let (columns, written) = (used.len(), used.iter().filter(|used| writes(used)).count());
            let speed = data.shape.slot(1).is_some();
            let (masks, views) = (system.masks.len(), system.views.len());
            let awake = data.shape.slot(3).is_some();
            match declared.name.as_str() {
                "move" => prop_assert_eq!((columns, written, masks, views), (3, 2, 0, 0)),
                "warm" => prop_assert_eq!((columns, written, masks, views), (1 + usize::from(speed), 1, 0, 0)),
                "push" => prop_assert_eq!((columns, written, masks, views), (3, 1, 1, 0)),
                "look" => {
                    prop_assert_eq!((columns, written, masks), (1, 1, usize::from(awake)));
                    let seen = store.data_tables().filter(|(_, data)| data.rows > 0 && data.shape.slot(3).is_some());
                    // in the order of their components, whichever table came first
                    let mut seen: Vec<_> = seen.collect();
                    seen.sort_by_key(|(_, data)| {
                        let toggle = |id: &&u16| store.storage(**id) == crate::layout::Storage::Toggle;
                        data.shape.components.iter().filter(|id| !toggle(id)).collect::<Vec<_>>()
                    });
                    let seen: Vec<(u32, u32)> = seen.iter().map(|(index, data)| (*index, data.rows)).collect();
                    let views = &task.views[system.views.clone()];
                    prop_assert_eq!(views.iter().map(|view| (view.table, view.rows)).collect::<Vec<_>>(), seen);
                }
                "build" => prop_assert_eq!((columns, written, masks, views), (2, 0, 0, 0)),
                "count" => prop_assert_eq!((columns, written, masks, views), (0, 0, 0, 0)),
                other => prop_assert!(false, "no system is called {}", other),
            }
        }
        Ok(())
    }
}

fn worlds() -> impl Strategy<Value = (Counts, Vec<usize>, bool)> {
    let counts = prop::array::uniform8(prop_oneof![Just(0_u16), 1..70_u16, Just(64_u16), 100..300_u16]);
    // what runs back to back is row-local; the others are in a batch of their own
    let fused = prop_oneof![Just((vec![0, 1], true)), Just((vec![2, 1], true))];
    let alone = (0..6_usize).prop_map(|system| (vec![system], false));
    (counts, prop_oneof![fused, alone]).prop_map(|(counts, (picked, fused))| (counts, picked, fused))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whole_programs_say_what_the_world_is((counts, picked, fused) in worlds()) {
        let (made, schedule) = (make(&counts, &picked, fused), schedule());
        let mut task = Task::default();
        let mut seen: Vec<(usize, u32, u32)> = Vec::new();
        for (index, job) in made.work.jobs.iter().enumerate() {
            let read = made.decode(&made.work.words, index as u32, &mut task);
            let (head, entry, task_head) = read.map_err(TestCaseError::fail)?;
            prop_assert_eq!((head.frame, head.time, head.dt, head.frames), (3, 0.5, 0.25, 2));
            prop_assert_eq!((head.jobs, head.words), (made.work.jobs.len() as u64, made.work.words.len() as u64));
            prop_assert_eq!((entry.start..entry.end, task_head.table), (job.rows.clone(), job.table));
            let systems: Vec<usize> = task.systems.iter().map(|system| system.system as usize).collect();
            prop_assert_eq!(&systems[..], made.work.systems_of(index));
            made.check(&task, task_head.table, entry.start..entry.end, &schedule)?;
            seen.extend(systems.iter().map(|system| (*system, task_head.table, entry.end - entry.start)));
        }
        // every system of the batch saw every row of every table that it matches, once
        for system in picked {
            for (table, data) in made.world.store.data_tables() {
                let has = |component: u16| data.shape.slot(component).is_some();
                let matches = match system { 0 => has(1), 1 | 3 => has(2), 2 => has(1) && has(3), 5 => true, _ => false };
                let rows: u32 = seen.iter().filter(|(s, t, _)| (*s, *t) == (system, table)).map(|(.., rows)| rows).sum();
                prop_assert_eq!(rows, if matches { data.rows } else { 0 }, "system {}, table {}", system, table);
            }
        }
    }

    #[test]
    fn damaged_programs_are_errors_or_programs((counts, picked, fused) in worlds(),
                                               hits in prop::collection::vec((any::<prop::sample::Index>(), 0..64_u32), 1..4),
                                               cut in any::<prop::sample::Index>()) {
        let made = make(&counts, &picked, fused);
        let mut task = Task::default();
        let mut words = made.work.words.clone();
        for (word, bit) in hits {
            let at = word.index(words.len());
            words[at] ^= 1 << bit;
        }
        // a sizeable list of nothing would take long and prove little: what is read ends with the words
        let short = &words[..cut.index(words.len())];
        for job in 0..made.work.jobs.len() as u32 {
            let _ = made.decode(&words, job, &mut task);
            let _ = made.decode(short, job, &mut task);
        }
    }
}
