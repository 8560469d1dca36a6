//! Entities that live in another part of a spread world: rows that leave and come back under their handles, ghosts with
//! handles, patches on rows of others; and what is refused of what other parts tell.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hypostyle::exchange::{Exchange, ExchangeError};
use hypostyle::{
    Component, Dangling, Elsewhere, Entity, FieldJoin, GlobalId, List, Read, RowBatchError, Schedule, Simulation,
    System, Workers, World, Write,
};
use proptest::prelude::*;

#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
struct Node {
    sum: u32,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Edge {
    ends: [Entity; 2],
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "list")]
struct Friend {
    who: Entity,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Mark {
    number: u32,
}

fn empty() -> World {
    let builder = World::builder().component::<GlobalId>().component::<Elsewhere>().component::<Node>();
    builder.component::<Edge>().component::<Friend>().component::<Mark>().build().unwrap()
}

/// Nodes with the ids from 0 on, and edges between them with those from 100 on.
fn world(nodes: u64, edges: &[[u64; 2]]) -> (World, Vec<Entity>) {
    let mut world = empty();
    let all = world.spawn_batch((0..nodes).map(|id| (GlobalId::root(id), Node { sum: id as u32 }))).unwrap();
    for (id, ends) in (100..).zip(edges) {
        world.spawn((GlobalId::root(id), Edge { ends: ends.map(|end| all[end as usize]) })).unwrap();
    }
    (world, all)
}

const NODES: [&str; 2] = ["global_id", "node"];

fn id(world: &World, entity: Entity) -> u64 {
    world.get::<GlobalId>(entity).unwrap().value
}

proptest! {
    #[test]
    fn rows_leave_and_come_back_under_their_handles(
        edges in prop::collection::vec([0u64..12, 0u64..12], 1..20),
        leaving in prop::collection::vec(prop::collection::btree_set(0u32..12, 0..12), 1..4),
        friends in prop::collection::vec(0usize..12, 0..6),
    ) {
        let (mut world, all) = world(12, &edges);
        let list: Vec<Friend> = friends.iter().map(|who| Friend { who: all[*who] }).collect();
        let fan = world.spawn((GlobalId::root(500), List::<Friend>::new())).unwrap();
        world.set_list(fan, &list).unwrap();
        let hash = world.hash_by_id().unwrap();
        let nodes = world.table_with(&NODES).unwrap();
        for rows in leaving {
            let rows: Vec<u32> = rows.into_iter().collect();
            let gone: Vec<Entity> = rows.iter().map(|row| world.table_entities(nodes)[*row as usize]).collect();
            let count = world.entity_count();
            let bytes = world.copy_rows(nodes, &rows).unwrap().encode();
            world.leave_rows(nodes, &rows).unwrap();
            prop_assert_eq!(world.entity_count(), count - rows.len() as u64);
            prop_assert!(all.iter().all(|entity| world.contains(*entity)), "they live on");
            let mut seen = Vec::new();
            world.query::<Read<GlobalId>>(|_, id| seen.extend_from_slice(id.value)).unwrap();
            prop_assert_eq!(seen.len() as u64, world.entity_count());
            prop_assert!(gone.iter().all(|entity| !seen.contains(&id(&world, *entity))), "no query sees them");
            prop_assert!(world.publish().unwrap().is_published());
            let mut reader = world.reader().unwrap();
            let snapshot = reader.pin().unwrap();
            snapshot.check().unwrap();
            prop_assert_eq!(snapshot.entity_count(), world.entity_count());
            // what is left and what has left are the whole, also as readers see it
            let mut there = empty();
            let batch = there.decode_rows(&bytes).unwrap();
            there.put_rows(&[batch], Dangling::Refuse).unwrap();
            let other = there.hash_by_id().unwrap();
            prop_assert_eq!(snapshot.hash_by_id().unwrap(), world.hash_by_id().unwrap());
            let rest = world.hash_by_id().unwrap();
            prop_assert_eq!(rest.combine(other), Some(hash));
            drop(snapshot);
            let back = world.decode_rows(&bytes).unwrap();
            prop_assert_eq!(world.put_rows(&[back], Dangling::Refuse).unwrap(), gone);
            prop_assert_eq!(world.hash_by_id().unwrap(), hash);
        }
        // nothing stands for them any more
        prop_assert_eq!(world.name_ghosts().unwrap(), Vec::<u64>::new());
        let stubs = world.table_with(&["global_id", "elsewhere"]).unwrap();
        prop_assert!(world.is_elsewhere(stubs) && world.table_rows(stubs) == 0);
    }
}

#[test]
fn rows_that_arrive_name_what_is_not_here() {
    let (whole, _) = world(3, &[[0, 2], [2, 1]]);
    let (nodes, edges) = (0, 1);
    let mut part = empty();
    let batch = part.decode_rows(&whole.copy_rows(edges, &[0, 1]).unwrap().encode()).unwrap();
    let refused = part.put_rows(std::slice::from_ref(&batch), Dangling::Refuse).unwrap_err();
    assert!(matches!(refused, RowBatchError::Dangling { .. }), "{refused}");
    assert!(part.put_rows(std::slice::from_ref(&batch), Dangling::Elsewhere).unwrap().len() == 2);
    assert_eq!((part.entity_count(), part.name_ghosts().unwrap()), (2, vec![0, 1, 2]));
    // they are those that come later
    let batch = part.decode_rows(&whole.copy_rows(nodes, &[2, 0]).unwrap().encode()).unwrap();
    let came = part.put_rows(&[batch], Dangling::Refuse).unwrap();
    let mut ends = Vec::new();
    part.query::<Read<Edge>>(|_, edge| ends.extend_from_slice(edge.ends)).unwrap();
    assert_eq!((ends[0], ends[1][0]), ([came[1], came[0]], came[0]));
    assert_eq!((id(&part, ends[1][1]), part.name_ghosts().unwrap()), (1, vec![1]));
    // a world that knows nothing of other parts cannot have them
    let mut plain = World::builder().component::<GlobalId>().component::<Edge>().build().unwrap();
    plain.spawn((GlobalId::root(1), Edge { ends: [Entity::NULL; 2] })).unwrap();
    assert!(plain.leave_rows(0, &[0]).unwrap_err().to_string().contains("elsewhere"));
    assert_eq!(plain.entity_count(), 1);
    let mut nameless = empty();
    nameless.spawn(Node::default()).unwrap();
    let refused = nameless.leave_rows(0, &[0]).unwrap_err();
    assert!(matches!(refused, RowBatchError::Unnamed { .. }), "{refused}");
}

#[test]
fn an_id_that_comes_twice_is_known_once() {
    let (mut world, all) = world(2, &[[0, 1]]);
    let nodes = world.table_with(&NODES).unwrap();
    let bytes = world.copy_rows(nodes, &[1]).unwrap().encode();
    world.leave_rows(nodes, &[1]).unwrap();
    let batch = world.decode_rows(&bytes).unwrap();
    let came = world.put_rows(&[batch.clone(), batch], Dangling::Refuse).unwrap();
    assert_eq!(came[0], all[1]);
    assert!(came[1] != all[1] && world.contains(came[1]));
    assert!(world.hash_by_id().is_err(), "the hash finds it");
}

/// What a part of a world tells and is told.
#[derive(Clone, Default)]
struct Line {
    told: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    others: BTreeMap<&'static str, Vec<u8>>,
}

impl Exchange for Line {
    fn tell(&mut self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.told.lock().unwrap().insert(what.to_owned(), mine.to_vec());
        let mut all = vec![mine.to_vec()];
        all.extend(self.others.get(what).cloned());
        Ok(all)
    }
}

/// A world of which node 2 lives elsewhere, and is a ghost; its handle, and those of all nodes.
fn part() -> (World, Vec<Entity>) {
    let (mut world, all) = world(4, &[[0, 2], [2, 3], [1, 3]]);
    let nodes = world.table_with(&NODES).unwrap();
    world.leave_rows(nodes, &[2]).unwrap();
    set_ghosts(&mut world, &[2]).unwrap();
    (world, all)
}

fn set_ghosts(world: &mut World, ids: &[u64]) -> Result<Vec<u64>, hypostyle::WorldError> {
    let nodes = world.table_with(&NODES).unwrap();
    let column: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let sums: Vec<u8> = ids.iter().flat_map(|id| (7 * *id as u32).to_le_bytes()).collect();
    world.set_ghosts(nodes, ids.len(), &[("global_id.value", &column), ("node.sum", &sums)]).unwrap();
    world.name_ghosts()
}

fn look(seen: Arc<Mutex<Vec<(u64, u32, usize)>>>) -> Schedule {
    let look = System::try_neighbours::<Read<Edge>, (Read<Node>, Read<GlobalId>)>("look", move |job, edge, nodes| {
        for end in edge.ends.iter().flatten() {
            let Some((table, row)) = nodes.locate(*end) else { continue };
            let table = nodes.table(table);
            assert_eq!(table.entities[row], *end);
            let (node, id) = table.columns;
            seen.lock().unwrap().push((id.value[row], node.sum[row], job.len()));
        }
        Ok(())
    });
    let mut schedule = Schedule::new();
    schedule.add(look);
    schedule
}

#[test]
fn views_find_ghosts_by_their_handles() {
    let (mut world, all) = part();
    assert_eq!(set_ghosts(&mut world, &[2]).unwrap(), Vec::<u64>::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut simulation = Simulation::new(world, look(Arc::clone(&seen)), Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    assert_eq!(*seen.lock().unwrap(), [(0, 0, 3), (2, 14, 3), (2, 14, 3), (3, 3, 3), (1, 1, 3), (3, 3, 3)]);
    // others beside it, and in another order: the handle is the same
    seen.lock().unwrap().clear();
    let world = simulation.world_mut();
    assert_eq!(set_ghosts(world, &[9, 2, 8]).unwrap(), Vec::<u64>::new());
    assert_eq!(id(world, all[2]), 2);
    simulation.step(1.0).unwrap();
    assert_eq!(seen.lock().unwrap()[1], (2, 14, 3));
    // named and no ghost: it is kept, and no view shows it
    seen.lock().unwrap().clear();
    let world = simulation.world_mut();
    assert_eq!(set_ghosts(world, &[8]).unwrap(), [2]);
    assert!(world.contains(all[2]));
    simulation.step(1.0).unwrap();
    assert_eq!(seen.lock().unwrap().iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [0, 3, 1, 3]);
    let twice = set_ghosts(simulation.world_mut(), &[5, 6, 5]).unwrap_err();
    assert!(twice.to_string().contains("same global id 5"), "{twice}");
}

/// Each edge adds 1 to its ends.
fn add() -> Schedule {
    let mut schedule = Schedule::new();
    let add = System::rows::<Read<Edge>>("add", |job, edge| {
        edge.ends.iter().flatten().for_each(|end| job.accumulate(*end, Node { sum: 1 }));
    });
    schedule.add(add.accumulates::<Node>(FieldJoin::Sum));
    schedule
}

/// The edge with the id 100 ends its second end, which is node 2.
fn strike() -> Schedule {
    let mut schedule = Schedule::new();
    let strike = System::rows::<(Read<Edge>, Read<GlobalId>)>("strike", |job, (edge, id)| {
        if let Some(row) = (0..job.len()).find(|row| id.value[*row] == 100) {
            job.despawn(edge.ends[row][1]);
        }
    });
    schedule.add(strike.despawns());
    schedule
}

fn run(world: World, schedule: Schedule, line: &Line) -> Result<World, String> {
    let builder = Simulation::builder().workers(Workers::Local).exchange(Box::new(line.clone()));
    step(builder.build(world, schedule).unwrap())
}

fn step(mut simulation: Simulation) -> Result<World, String> {
    match simulation.step(1.0) {
        Ok(_) => Ok(std::mem::replace(simulation.world_mut(), empty())),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                text.push_str(&format!(": {error}"));
                source = error.source();
            }
            Err(text)
        }
    }
}

fn words(all: &[u64]) -> Vec<u8> {
    all.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A patch as it is told; it accumulates (0), despawns (1), sets (2), adds (3) or removes (4).
fn patch(id: u64, system: u32, (component, field): (u16, u8), op: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = [&id.to_le_bytes()[..], &system.to_le_bytes(), &component.to_le_bytes()].concat();
    bytes.extend([field, op]);
    bytes.extend((value.len() as u32).to_le_bytes());
    [&bytes, value].concat()
}

fn patches(all: &[Vec<u8>]) -> Vec<u8> {
    [words(&[all.len() as u64]), all.concat()].concat()
}

/// The number of the component `node` in the layout.
fn node() -> u16 {
    empty().layout().components().iter().position(|component| component.name == "node").unwrap() as u16
}

#[test]
fn patches_on_rows_of_others_are_told_and_carried_out() {
    let (world, all) = part();
    let mut line = Line::default();
    // another part has node 2, which two edges add to, and adds 5 to node 1 here
    line.others.insert("patches", patches(&[patch(1, 0, (node(), 0), 0, &5u32.to_le_bytes())]));
    line.others.insert("deaths", words(&[1]));
    let world = run(world, add(), &line).unwrap();
    let sum = |world: &World, node: usize| world.get::<Node>(all[node]).unwrap().sum;
    assert_eq!([0, 1, 3].map(|node| sum(&world, node)), [1, 1 + 1 + 5, 3 + 2]);
    let told = line.told.lock().unwrap()["patches"].clone();
    let two = patch(2, 0, (node(), 0), 0, &2u32.to_le_bytes());
    assert_eq!(told, patches(&[two]), "a job joins what is on one entity");
}

#[test]
fn who_dies_elsewhere_is_gone_here() {
    let (world, all) = part();
    let mut line = Line::default();
    // the other part has found the patch on node 2, which has died of it there; and it ends node 3 here
    line.others.insert("patches", patches(&[patch(3, 0, (0, 0), 1, &[])]));
    line.others.insert("deaths", words(&[1, 2]));
    let world = run(world, strike(), &line).unwrap();
    assert_eq!([0, 1, 2, 3].map(|node| world.contains(all[node])), [true, true, false, false]);
    let told = line.told.lock().unwrap();
    assert_eq!(told["patches"], patches(&[patch(2, 0, (0, 0), 1, &[])]));
    assert_eq!(told["deaths"], words(&[1, 3]), "one patch has found its entity here, which has died of it");
}

#[test]
fn what_other_parts_tell_is_checked() {
    let value = 1u32.to_le_bytes();
    let good = patch(1, 0, (node(), 0), 0, &value);
    let cut = &good[..good.len() - 1];
    for (bytes, says) in [
        (vec![], "no number of patches"),
        (vec![1, 2, 3], "no number of patches"),
        (words(&[1]), "1 were announced, 0 came"),
        (words(&[u64::MAX]), "were announced, 0 came"),
        ([words(&[1]), cut.to_vec()].concat(), "ends too early"),
        (patches(&[patch(1, 0, (node(), 0), 5, &value)]), "of no kind"),
        (patches(&[patch(1, 0, (node(), 0), 2, &value)]), "does not set field 0"),
        (patches(&[patch(1, 0, (node(), 0), 3, &value)]), "does not add field 0"),
        (patches(&[patch(1, 0, (node(), 0), 4, &value)]), "does not remove field 0"),
        (patches(&[patch(1, 7, (node(), 0), 0, &value)]), "no system 7"),
        (patches(&[patch(1, 0, (0, 0), 0, &[0; 8])]), "does not accumulate"),
        (patches(&[patch(1, 0, (999, 0), 0, &value)]), "does not accumulate"),
        (patches(&[patch(1, 0, (node(), 9), 0, &value)]), "does not accumulate"),
        (patches(&[patch(1, 0, (node(), 0), 0, &value[1..])]), "has 3 bytes, and not 4"),
        (patches(&[patch(1, 0, (0, 0), 1, &[])]), "no such despawn"),
        (patches(&[patch(77, 0, (node(), 0), 0, &value)]), "nobody's"),
    ] {
        let mut line = Line::default();
        line.others.insert("patches", bytes.clone());
        line.others.insert("deaths", words(&[1]));
        let error = run(part().0, add(), &line).map(drop).unwrap_err();
        assert!(error.contains(says), "{bytes:?}: {error}");
    }
    for (bytes, says) in [
        (vec![], "nothing is said"),
        (vec![1], "8 bytes each"),
        (words(&[0]), "nobody's"),
        (words(&[9]), "two entities"),
    ] {
        let mut line = Line::default();
        line.others.insert("deaths", bytes.clone());
        let error = run(part().0, add(), &line).map(drop).unwrap_err();
        assert!(error.contains(says), "{bytes:?}: {error}");
    }
}

/// Edges with an id of at least `from` change their second end, and then each edge's job changes rows of its own, by row.
fn change(op: Op, from: u64, own: bool) -> Schedule {
    type Edges = (Read<Edge>, Read<GlobalId>);
    let change = System::rows::<Edges>("change", move |job, (edge, id)| {
        for row in (0..job.len()).filter(|row| id.value[*row] >= from) {
            let end = edge.ends[row][1];
            match op {
                Op::Set => job.set(end, Node { sum: 70 + id.value[row] as u32 }),
                Op::Mark => job.add(end, Mark { number: 70 + id.value[row] as u32 }),
                Op::Unmark => job.remove::<Mark>(end),
            }
            match (own, op) {
                (false, _) => {}
                (true, Op::Set) => job.set_row(row, Edge { ends: [end; 2] }),
                (true, Op::Mark) => job.add_row(row, Mark { number: 1 }),
                (true, Op::Unmark) => job.remove_row::<Mark>(row),
            }
        }
    });
    let mut schedule = Schedule::new();
    schedule.add(change.sets::<Node>().sets::<Edge>().adds::<Mark>().removes::<Mark>());
    schedule
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Set,
    Mark,
    Unmark,
}

/// The number of a component in the layout.
fn number_of(name: &str) -> u16 {
    empty().layout().components().iter().position(|component| component.name == name).unwrap() as u16
}

#[test]
fn sets_adds_and_removes_on_rows_of_others_are_told_and_carried_out() {
    let mark = number_of("mark");
    let value = |number: u32| number.to_le_bytes();
    // the edge with the id 100 leads to node 2, which lives elsewhere, the others to node 3, which is here
    let line = Line::default();
    let (part_of, all) = part();
    let world = run(part_of, change(Op::Set, 102, true), &line).unwrap();
    assert_eq!(world.get::<Node>(all[3]).unwrap().sum, 172);
    assert_eq!(line.told.lock().unwrap()["patches"], patches(&[]), "what is here is not told");
    let line = Line::default();
    run(part().0, change(Op::Mark, 100, false), &line).map(drop).unwrap_err();
    let told = line.told.lock().unwrap()["patches"].clone();
    assert_eq!(told, patches(&[patch(2, 0, (mark, 0), 3, &value(170))]), "it lives elsewhere");
    // what others tell, one after the other
    for (op, bytes, marks, sum) in [
        (Op::Set, patch(3, 0, (node(), 1), 2, &value(172)), None, 172),
        (Op::Set, patch(1, 0, (node(), 0), 2, &value(4)), None, 172),
        (Op::Mark, patch(3, 0, (mark, 0), 3, &value(172)), Some(172), 3),
        (Op::Mark, patch(0, 0, (mark, 0), 3, &value(9)), Some(172), 3),
        (Op::Unmark, patch(3, 0, (mark, 0), 4, &[]), None, 3),
    ] {
        let mut line = Line::default();
        line.others.insert("patches", patches(std::slice::from_ref(&bytes)));
        line.others.insert("deaths", words(&[0]));
        let (part, all) = part();
        let world = run(part, change(op, 102, false), &line).unwrap();
        let mark = |node: usize| world.get::<Mark>(all[node]).ok().map(|mark| mark.number);
        assert_eq!((mark(3), world.get::<Node>(all[3]).unwrap().sum), (marks, sum), "{bytes:?}");
        let others = (op, world.get::<Node>(all[1]).unwrap().sum, mark(0));
        assert!(
            [
                (Op::Set, 1, None),
                (Op::Set, 4, None),
                (Op::Mark, 1, None),
                (Op::Mark, 1, Some(9)),
                (Op::Unmark, 1, None)
            ]
            .contains(&others),
            "{others:?}"
        );
    }
}

#[test]
fn patches_that_differ_fail_the_frame_whoever_they_are_of() {
    let mark = number_of("mark");
    let value = |number: u32| number.to_le_bytes();
    let says = |schedule: Schedule, told: &[Vec<u8>]| {
        let mut line = Line::default();
        line.others.insert("patches", patches(told));
        line.others.insert("deaths", words(&[0]));
        run(part().0, schedule, &line).map(drop).unwrap_err()
    };
    // two rows that are here; one of others; set there and added here; once by its row
    for (schedule, told, what) in [
        (change(Op::Set, 101, false), vec![], "values that differ"),
        (change(Op::Mark, 101, false), vec![], "values that differ"),
        (change(Op::Set, 102, false), vec![patch(3, 0, (node(), 1), 2, &value(171))], "values that differ"),
        (change(Op::Mark, 102, false), vec![patch(3, 0, (mark, 0), 4, &[])], "once set, once added or removed"),
        (
            change(Op::Unmark, 200, false),
            vec![patch(1, 0, (node(), 0), 2, &value(1)), patch(1, 0, (node(), 1), 2, &value(2))],
            "values that differ",
        ),
    ] {
        let error = says(schedule, &told);
        assert!(error.contains("`change`") && error.contains(what) && error.contains("global id"), "{error}");
    }
    // rows that are changed by themselves and by others
    for (op, told, ends) in [
        ("set", patch(3, 0, (node(), 0), 2, &value(5)), false),
        ("set", patch(3, 0, (node(), 0), 2, &value(33)), true),
        ("add", patch(3, 0, (mark, 0), 3, &value(33)), false),
        ("remove", patch(3, 0, (mark, 0), 3, &value(33)), false),
    ] {
        let mut schedule = Schedule::new();
        let own = System::rows::<(Read<Node>, Read<GlobalId>)>("own", move |job, (_, id)| {
            let row = (0..job.len()).find(|row| id.value[*row] == 3);
            match (op, row) {
                ("set", Some(row)) => job.set_row(row, Node { sum: 33 }),
                ("add", Some(row)) => job.add_row(row, Mark { number: 33 }),
                (_, Some(row)) => job.remove_row::<Mark>(row),
                (_, None) => {}
            }
        });
        schedule.add(own.sets::<Node>().adds::<Mark>().removes::<Mark>());
        let mut line = Line::default();
        line.others.insert("patches", patches(&[told]));
        line.others.insert("deaths", words(&[0]));
        let ended = run(part().0, schedule, &line).map(drop);
        match ends {
            true => ended.unwrap(),
            false => {
                let error = ended.unwrap_err();
                assert!(error.contains("`own`") && error.contains("once by its row"), "{error}");
            }
        }
    }
}

#[test]
fn what_no_other_part_can_carry_out_fails_the_frame_by_name() {
    let ran = |system: System, line: &Line| {
        let mut schedule = Schedule::new();
        schedule.add(system);
        run(part().0, schedule, line).map(drop)
    };
    // the first end of the edge 101 lives elsewhere, and 100 is an edge here: its value has handles
    let line = Line::default();
    let ends = |job: &mut hypostyle::Job<'_, '_>, entity| job.set(entity, Edge { ends: [Entity::NULL; 2] });
    let set = System::rows::<Read<Edge>>("lead", move |job, edge| ends(job, edge.ends[1][0])).sets::<Edge>();
    let error = ran(set, &line).unwrap_err();
    assert!(error.contains("`lead`") && error.contains("`edge`") && error.contains("handles"), "{error}");
    let set = System::rows::<Read<Edge>>("turn", move |job, _| ends(job, job.entities()[0])).sets::<Edge>();
    ran(set, &line).unwrap();
    for (name, to_own) in [("befriend", false), ("befriend own", true)] {
        let befriend = System::rows::<Read<Edge>>(name, move |job, edge| {
            let who = if to_own { job.entities()[0] } else { edge.ends[0][0] };
            job.set_list(who, &[Friend { who: Entity::NULL }]);
        });
        let error = ran(befriend.sets_lists::<Friend>(), &line).unwrap_err();
        assert!(error.contains(&format!("`{name}`")) && error.contains("list"), "{error}");
    }
    // where nobody is there to tell, an accumulation fails as well
    let error = step(Simulation::new(part().0, add(), Workers::Local).unwrap()).map(drop).unwrap_err();
    assert!(error.contains("`add`"), "{error}");
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Node>>("grow", |_, mut node| node.sum.map(|sum| sum + 1)));
    let mut simulation = Simulation::new(part().0, schedule, Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    assert_eq!(simulation.world().entity_count(), 6, "what stands for node 2 is no node");
}
