//! The functions as C calls them: right arguments, wrong ones, stale handles.
#![expect(unsafe_code, reason = "calls the interface as C does")]

use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

use hypostyle::{Component, Entity, List, RegionTarget, With, Without, World};

use crate::lists::*;
use crate::region::*;
use crate::snapshot::*;
use crate::status::{hypostyle_last_error, hypostyle_status as Status};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
}

#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Hot {
    degrees: f64,
}

fn error() -> String {
    // SAFETY: the message is zero-terminated and stays until this thread's next failure.
    unsafe { CStr::from_ptr(hypostyle_last_error()) }.to_str().expect("UTF-8").to_owned()
}

#[derive(Component, Clone, Copy)]
struct Tag;

#[derive(Component, Clone, Copy)]
#[component(storage = "list")]
struct Contact {
    other: Entity,
    slide: [f32; 3],
}

#[derive(Component, Clone, Copy)]
#[component(storage = "scratch_list")]
struct Near {
    row: u32,
}

/// A live world of three rows and its name.
fn world(test: &str) -> (World, CString) {
    let name = format!("capi-{test}-{}", std::process::id());
    let target = RegionTarget::Named(name.clone());
    let mut world = World::builder()
        .component::<Position>()
        .component::<Hot>()
        .component::<Tag>()
        .component::<Contact>()
        .component::<Near>()
        .region(target)
        .build()
        .expect("a region");
    for i in 0..3 {
        let position = Position { x: i as f32, y: -1.0 };
        if i == 1 {
            world.spawn((position, Hot { degrees: 40.0 })).expect("there is room");
        } else {
            world.spawn(position).expect("there is room");
        }
    }
    (world, CString::new(name).expect("no zero"))
}

fn open(name: &CStr) -> *mut hypostyle_reader {
    let mut region = null_mut();
    // SAFETY: a string, an output, and this process's own writer.
    assert_eq!(unsafe { hypostyle_open(name.as_ptr(), &mut region) }, Status::Ok, "{}", error());
    region
}

fn pin(region: *const hypostyle_reader) -> *mut hypostyle_snapshot {
    let mut snapshot = null_mut();
    // SAFETY: an output.
    assert_eq!(unsafe { hypostyle_pin(region, &mut snapshot) }, Status::Ok, "{}", error());
    snapshot
}

fn empty() -> hypostyle_column {
    hypostyle_column { data: null(), rows: 7, stride_bytes: 0, r#type: 0, array_len: 0 }
}

fn column(snapshot: *const hypostyle_snapshot, table: u32, name: &CStr) -> Result<hypostyle_column, Status> {
    let mut column = empty();
    // SAFETY: a string and an output.
    match unsafe { hypostyle_get_column(snapshot, table, name.as_ptr(), &mut column) } {
        Status::Ok => Ok(column),
        status => {
            assert_eq!(column.rows, 7, "a failure leaves its outputs alone");
            Err(status)
        }
    }
}

fn changed(snapshot: *const hypostyle_snapshot, table: u32, name: &CStr, since: u64) -> Result<Vec<u8>, Status> {
    let (mut chunks, mut count) = (7, 7);
    // SAFETY: a string and outputs; nothing is written without room.
    let status = unsafe {
        hypostyle_changed_since(snapshot, table, name.as_ptr(), since, null_mut(), 0, &mut chunks, &mut count)
    };
    if status != Status::Ok {
        assert_eq!((chunks, count), (7, 7), "a failure leaves its outputs alone");
        return Err(status);
    }
    let mut flags = vec![9; chunks as usize];
    if let Some(room) = chunks.checked_sub(1) {
        // SAFETY: a string, room for as many as it says.
        let status = unsafe {
            let out = flags.as_mut_ptr();
            hypostyle_changed_since(snapshot, table, name.as_ptr(), since, out, room, null_mut(), null_mut())
        };
        assert_eq!(status, Status::BadArgument);
        assert!(error().contains("ask for the count first"), "{}", error());
    }
    // SAFETY: a string, room for as many as it says.
    let status = unsafe {
        let out = flags.as_mut_ptr();
        hypostyle_changed_since(snapshot, table, name.as_ptr(), since, out, chunks, null_mut(), null_mut())
    };
    assert_eq!(status, Status::Ok, "{}", error());
    assert_eq!(flags.iter().map(|flag| u64::from(*flag)).sum::<u64>(), count);
    Ok(flags)
}

fn list(snapshot: *const hypostyle_snapshot, table: u32, name: &CStr) -> Result<hypostyle_list, (Status, String)> {
    let mut list = hypostyle_list { starts: null(), lengths: null(), rows: 7, elements: empty() };
    // SAFETY: a string and an output.
    match unsafe { hypostyle_get_list(snapshot, table, name.as_ptr(), &mut list) } {
        Status::Ok => Ok(list),
        status => {
            assert_eq!((list.rows, list.elements.rows), (7, 7), "a failure leaves its outputs alone");
            Err((status, error()))
        }
    }
}

#[test]
fn lists_are_read_in_place() {
    let (mut world, name) = world("lists");
    let first = world.spawn((Tag, List::<Contact>::new(), List::<Near>::new())).expect("there is room");
    let second = world.spawn((Tag, List::<Contact>::new(), List::<Near>::new())).expect("there is room");
    let contact = |other, slide| Contact { other, slide: [slide, 0.0, -slide] };
    world.set_list(second, &[contact(first, 1.0), contact(second, 2.0)]).expect("there is room");
    world.set_list(second, &[contact(first, 3.0), contact(first, 4.0), contact(second, 5.0)]).expect("there is room");
    world.set_list(first, &[contact(second, 6.0)]).expect("there is room");
    world.publish().expect("published");
    let region = open(&name);
    let snapshot = pin(region);
    // what happens later is no business of what is pinned
    world.set_list(second, &[contact(second, 7.0)]).expect("there is room");
    world.publish().expect("published");
    let (mut table, mut row) = (7, 7);
    for (entity, want) in [(first, vec![(second, 6.0)]), (second, vec![(first, 3.0), (first, 4.0), (second, 5.0)])] {
        // SAFETY: outputs.
        assert_eq!(unsafe { hypostyle_locate(snapshot, entity.to_bits(), &mut table, &mut row) }, Status::Ok);
        let (others, slides) = (
            list(snapshot, table, c"contact.other").expect("it has them"),
            list(snapshot, table, c"contact.slide").expect("it has them"),
        );
        assert_eq!((others.rows, others.elements.r#type), (2, hypostyle_type::Entity as u32));
        assert_eq!((slides.elements.stride_bytes, slides.elements.array_len), (12, 3));
        assert_eq!((slides.starts, slides.lengths), (others.starts, others.lengths), "one place for all fields");
        assert_eq!(slides.elements.rows, others.elements.rows);
        // SAFETY: there are so many rows.
        let (start, length) = unsafe { (*others.starts.add(row as usize), *others.lengths.add(row as usize)) };
        let got: Vec<(Entity, f32)> = (start as usize..(start + length) as usize)
            .map(|place| {
                assert!((place as u64) < others.elements.rows);
                // SAFETY: there are so many elements (looked at above).
                let other = unsafe { others.elements.data.cast::<u64>().add(place).read() };
                // SAFETY: as above.
                (Entity::from_bits(other), unsafe { slides.elements.data.cast::<[f32; 3]>().add(place).read() }[0])
            })
            .collect();
        assert_eq!(got, want);
    }
    let refused = |table, name| list(snapshot, table, name).expect_err("no such list");
    for (at, name, status, says) in [
        (table, c"contact.spring", Status::UnknownName, "`contact.other`, `contact.slide`"),
        (table, c"contact", Status::UnknownName, "`contact.other`"),
        (table, c"contacts.other", Status::UnknownName, "contacts"),
        (table, c"tag.other", Status::BadArgument, "tag"),
        (table, c"near.row", Status::Absent, "near"),
        (99, c"contact.other", Status::BadArgument, "no table 99"),
    ] {
        let (got, message) = refused(at, name);
        assert!(got == status && message.contains(says), "{name:?}: {got:?} {message}");
    }
    let bare = (0..table).find(|other| column(snapshot, *other, c"position.x").is_ok()).expect("three rows have one");
    assert_eq!(refused(bare, c"contact.other").0, Status::Absent);
    // SAFETY: a null output, which is refused; nothing of the snapshot is used any more.
    unsafe {
        assert_eq!(hypostyle_get_list(snapshot, table, c"contact.other".as_ptr(), null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_release(snapshot), Status::Ok);
    }
    assert_eq!(list(snapshot, table, c"contact.other").expect_err("it was released").0, Status::BadArgument);
    assert_eq!(hypostyle_close(region), Status::Ok);
}

/// Rows of another table that came with their column are told, which no column's own stamps do.
#[test]
fn what_changed_since_a_generation_is_told() {
    let (mut world, name) = world("changed");
    let all = world.spawn_batch((0..3000).map(|_| Position { x: 2.0, y: 0.0 })).expect("there is room");
    world.publish().expect("published");
    let region = open(&name);
    let since = hypostyle_newest(region);
    world.set(all[2500], Position { x: 3.0, y: 0.0 }).expect("it lives");
    world.publish().expect("published");
    let snapshot = pin(region);
    let table = (0..hypostyle_table_count(snapshot)).find(|table| hypostyle_table_rows(snapshot, *table) > 2000);
    let table = table.expect("the table of the positions");
    assert_eq!(changed(snapshot, table, c"position.x", since), Ok(vec![0, 0, 1]));
    assert_eq!(changed(snapshot, table, c"(entity)", since), Ok(vec![0, 0, 0]));
    assert_eq!(changed(snapshot, table, c"position.x", 0), Ok(vec![1, 1, 1]));
    assert_eq!(changed(snapshot, table, c"position.x", since + 1), Ok(vec![0, 0, 0]));
    assert_eq!(changed(snapshot, table, c"position.z", since), Err(Status::UnknownName));
    assert_eq!(changed(snapshot, 99, c"position.x", since), Err(Status::BadArgument));
    // SAFETY: nothing of it is used any more.
    assert_eq!(unsafe { hypostyle_release(snapshot) }, Status::Ok);
    let since = hypostyle_newest(region);
    world.add_where::<(With<Position>, Without<Tag>), Tag>(Tag).expect("there is room");
    world.publish().expect("published");
    let snapshot = pin(region);
    let full = (0..hypostyle_table_count(snapshot)).find(|table| hypostyle_table_rows(snapshot, *table) > 2000);
    assert_eq!(changed(snapshot, full.expect("it went to another table"), c"position.x", since), Ok(vec![1, 1, 1]));
    assert_eq!(changed(snapshot, table, c"position.x", since), Ok(vec![]));
    // SAFETY: nothing of it is used any more.
    assert_eq!(unsafe { hypostyle_release(snapshot) }, Status::Ok);
    assert_eq!(hypostyle_close(region), Status::Ok);
}

#[test]
fn a_region_is_read_in_place() {
    let (mut world, name) = world("read");
    let region = open(&name);
    let mut snapshot = null_mut();
    // SAFETY: an output.
    assert_eq!(unsafe { hypostyle_pin(region, &mut snapshot) }, Status::NothingPublished);
    world.publish().expect("published");
    let mut newest = 0;
    // SAFETY: an output.
    assert_eq!(unsafe { hypostyle_wait(region, 0, 1.0, &mut newest) }, Status::Ok);
    // SAFETY: an output.
    assert_eq!(unsafe { hypostyle_pin_frame(region, 1, &mut snapshot) }, Status::NotFound);
    assert!(error().contains("no generation of frame 1 to pin: there is that of frame 0"), "{}", error());
    // SAFETY: an output.
    assert_eq!(unsafe { hypostyle_pin_frame(region, 0, &mut snapshot) }, Status::Ok);
    // SAFETY: nothing of it is used any more.
    assert_eq!(unsafe { hypostyle_release(snapshot) }, Status::Ok);
    // SAFETY: no output.
    assert_eq!(unsafe { hypostyle_wait(region, newest, 0.0, null_mut()) }, Status::Timeout);
    assert_eq!((newest, hypostyle_newest(region)), (1, 1));
    let snapshot = pin(region);
    assert_eq!((hypostyle_generation(snapshot), hypostyle_frame(snapshot), hypostyle_time(snapshot)), (1, 0, 0.0));
    assert_eq!(hypostyle_entity_count(snapshot), 3);
    let (mut rows, mut sum, mut hot) = (0, 0.0, 0);
    for table in 0..hypostyle_table_count(snapshot) {
        let x = column(snapshot, table, c"position.x").expect("every table has it");
        assert_eq!((x.r#type, x.array_len, x.stride_bytes), (hypostyle_type::F32 as u32, 0, 4));
        assert_eq!(x.rows, hypostyle_table_rows(snapshot, table));
        // SAFETY: the column of a pinned snapshot.
        let values = unsafe { std::slice::from_raw_parts(x.data.cast::<f32>(), x.rows as usize) };
        rows += x.rows;
        sum += values.iter().sum::<f32>();
        let mut presence = hypostyle_presence { kind: hypostyle_presence_kind::None, words: null(), word_count: 0 };
        // SAFETY: a string and an output.
        assert_eq!(unsafe { hypostyle_get_presence(snapshot, table, c"hot".as_ptr(), &mut presence) }, Status::Ok);
        if presence.kind == hypostyle_presence_kind::Bits {
            assert_eq!(presence.word_count, x.rows.div_ceil(64));
            // SAFETY: the words of a pinned snapshot.
            hot += unsafe { *presence.words }.count_ones();
        }
        let (mut handles, mut count) = (null(), 0);
        // SAFETY: outputs.
        assert_eq!(unsafe { hypostyle_get_entities(snapshot, table, &mut handles, &mut count) }, Status::Ok);
        for row in 0..count {
            let (mut index, mut at) = (9, 9);
            // SAFETY: a row of the pinned snapshot.
            let handle = unsafe { *handles.add(row as usize) };
            // SAFETY: outputs.
            assert_eq!(unsafe { hypostyle_locate(snapshot, handle, &mut index, &mut at) }, Status::Ok);
            assert_eq!((index, at), (table, row));
        }
    }
    assert_eq!((rows, sum, hot), (3, 3.0, 1));
    assert_eq!(hypostyle_close(region), Status::Ok);
    assert_eq!(hypostyle_entity_count(snapshot), 3, "a snapshot outlives the region's handle");
    // SAFETY: nothing of it is used any more.
    assert_eq!(unsafe { hypostyle_release(snapshot) }, Status::Ok);
}

#[test]
fn the_layout_can_be_asked_for() {
    let (_world, name) = world("layout");
    let region = open(&name);
    // SAFETY: strings of an open region.
    let text = |pointer| unsafe { CStr::from_ptr(pointer) }.to_str().expect("UTF-8");
    let names: Vec<_> =
        (0..hypostyle_column_count(region)).map(|index| text(hypostyle_column_name(region, index))).collect();
    assert_eq!(names, ["position.x", "position.y", "hot.degrees"]);
    assert!(hypostyle_column_name(region, 3).is_null());
    assert!(error().contains("the layout has 3"), "{}", error());
    assert!(text(hypostyle_layout_toml(region)).contains("toggle"));
    assert_eq!(text(hypostyle_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(hypostyle_close(region), Status::Ok);
}

#[test]
fn wrong_arguments_are_answered() {
    let (mut world, name) = world("wrong");
    world.publish().expect("published");
    let region = open(&name);
    let snapshot = pin(region);
    for (name, status, part) in [
        (c"position.z", Status::UnknownName, "position.x"),
        (c"position", Status::UnknownName, "no column `position`"),
        (c"\xff", Status::BadArgument, "UTF-8"),
    ] {
        assert_eq!(column(snapshot, 0, name).err(), Some(status));
        assert!(error().contains(part), "{}", error());
    }
    assert_eq!(column(snapshot, 9, c"position.x").err(), Some(Status::BadArgument));
    assert!(error().contains("no table 9"), "{}", error());
    let mut out = empty();
    // SAFETY: null is allowed everywhere.
    unsafe {
        assert_eq!(hypostyle_get_column(snapshot, 0, null(), &mut out), Status::BadArgument);
        assert_eq!(hypostyle_get_column(snapshot, 0, c"position.x".as_ptr(), null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_get_column(null(), 0, c"position.x".as_ptr(), &mut out), Status::BadArgument);
        assert_eq!(hypostyle_get_presence(snapshot, 0, c"cold".as_ptr(), null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_get_entities(snapshot, 0, null_mut(), null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_locate(snapshot, u64::MAX, null_mut(), null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_get_resource(snapshot, c"gravity.x".as_ptr(), &mut out), Status::UnknownName);
        assert_eq!(hypostyle_open(null(), &mut null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_open(c"two words".as_ptr(), &mut null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_open(c"capi-there-is-none".as_ptr(), &mut null_mut()), Status::NotFound);
        assert!(error().contains("capi-there-is-none"), "{}", error());
        assert_eq!(hypostyle_open(name.as_ptr(), null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_wait(region, 0, -1.0, null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_wait(region, 0, f64::NAN, null_mut()), Status::BadArgument);
        let (mut index, mut row) = (0, 0);
        assert_eq!(hypostyle_locate(snapshot, u64::MAX, &mut index, &mut row), Status::Absent);
        assert_eq!(hypostyle_is_alive(region, null_mut()), Status::BadArgument);
        assert_eq!(hypostyle_release(snapshot), Status::Ok);
        assert_eq!(hypostyle_release(snapshot), Status::BadArgument, "a second time");
    }
    assert!(error().contains("not open"), "{}", error());
    assert_eq!((hypostyle_generation(snapshot), hypostyle_table_count(snapshot)), (0, 0));
    assert!(hypostyle_time(snapshot).is_nan());
    assert_eq!(hypostyle_close(region), Status::Ok);
    assert_eq!(hypostyle_close(region), Status::BadArgument);
    assert_eq!((hypostyle_newest(region), hypostyle_column_count(region)), (0, 0));
    assert!(hypostyle_layout_toml(region).is_null());
}

#[test]
fn a_wait_ends_when_the_writer_does() {
    let (mut world, name) = world("gone");
    world.publish().expect("published");
    let region = open(&name);
    let snapshot = pin(region);
    drop(world);
    // SAFETY: no output.
    assert_eq!(unsafe { hypostyle_wait(region, 1, f64::INFINITY, null_mut()) }, Status::WriterGone);
    assert!(error().contains("newest generation is 1"), "{}", error());
    let mut alive = true;
    // SAFETY: an output.
    assert_eq!(unsafe { hypostyle_is_alive(region, &mut alive) }, Status::Ok);
    assert!(!alive);
    assert_eq!(
        column(snapshot, 0, c"position.x").map(|column| column.rows).ok(),
        Some(hypostyle_table_rows(snapshot, 0))
    );
    // SAFETY: nothing of it is used any more.
    assert_eq!(unsafe { hypostyle_release(snapshot) }, Status::Ok);
    assert_eq!(hypostyle_close(region), Status::Ok);
}

/// How a wait without end ended, once `end` was called from another thread: again and again, as the wait may not
/// have begun at first.
fn ended_by(region: *const hypostyle_reader, mut end: impl FnMut()) -> (Status, String) {
    let (send, receive) = std::sync::mpsc::channel();
    let handle = region.addr();
    std::thread::spawn(move || {
        let region = std::ptr::without_provenance::<hypostyle_reader>(handle);
        // SAFETY: no output.
        let status = unsafe { hypostyle_wait(region, 1, f64::INFINITY, null_mut()) };
        send.send((status, error())).expect("the test listens");
    });
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(200));
        end();
        if let Ok(ended) = receive.recv_timeout(std::time::Duration::from_secs(1)) {
            return ended;
        }
    }
    panic!("the wait goes on")
}

#[test]
fn a_wait_is_ended_from_another_thread() {
    let (mut world, name) = world("ended");
    world.publish().expect("published");
    let region = open(&name);
    let interrupted = ended_by(region, || hypostyle_interrupt());
    assert_eq!(interrupted, (Status::Interrupted, "the wait was interrupted".to_owned()));
    assert_eq!(hypostyle_newest(region), 1, "it is open");
    assert_eq!(hypostyle_close(region), Status::Ok);
    for _ in 0..10 {
        let region = open(&name);
        let (status, message) = ended_by(region, || {
            let _ = hypostyle_close(region);
        });
        // a thread that comes too late finds it closed
        if status != Status::BadArgument {
            assert_eq!((status, &*message), (Status::Closed, "the region was closed while it was waited for"));
            return;
        }
    }
    panic!("no thread waited in time");
}
