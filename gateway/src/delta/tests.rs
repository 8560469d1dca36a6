//! Random worlds, random changes: a delta applied to an old state is the new state, byte for byte.

use hypostyle::small::{F16, Unorm8};
use hypostyle::{Component, Entity, Resource, World};
use proptest::prelude::*;

use super::block::{BLOCK_BYTES, Block, Cursor};
use super::*;

const BYTES_MAX: u64 = 1 << 30;
const MESSAGE: usize = 1 << 20;

#[derive(Component, Clone, Copy)]
#[component(track_changes)]
struct Position {
    x: f32,
    y: f32,
}

#[derive(Component, Clone, Copy)]
struct Spin {
    axis: [f64; 3],
}

#[derive(Component, Clone, Copy)]
struct Small {
    a: u8,
}

#[derive(Component, Clone, Copy)]
#[component(storage = "toggle", track_changes)]
struct Hot {
    heat: u16,
}

#[derive(Component, Clone, Copy)]
struct Marked;

/// Clients see which entities have it, and no elements.
#[derive(Component, Clone, Copy)]
#[component(storage = "list")]
struct Tie {
    to: Entity,
    pull: f32,
}

#[derive(Resource, Clone, Copy)]
struct Wind {
    v: [f32; 2],
}

fn world() -> World {
    let builder = World::builder().component::<Position>().component::<Spin>().component::<Small>();
    builder
        .component::<Hot>()
        .component::<Marked>()
        .component::<Tie>()
        .resource::<Wind>()
        .bytes_max(1 << 26)
        .build()
        .unwrap()
}

/// A change of a world.
#[derive(Clone, Debug)]
enum Step {
    Spawn { count: usize, kind: u8 },
    Despawn { every: usize, from: usize },
    Write { every: usize, from: usize, value: f32 },
    Toggle { every: usize, on: bool },
    Move { every: usize, add: bool },
    Tie { every: usize, length: usize },
    Resource { value: f32 },
    Publish,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let every = || prop_oneof![Just(1usize), 2usize..9, 50usize..900];
    let value = || (-2i8..3).prop_map(f32::from);
    let step = prop_oneof![
        2 => (1usize..1700, 0u8..4).prop_map(|(count, kind)| Step::Spawn { count, kind }),
        2 => (every(), 0usize..50).prop_map(|(every, from)| Step::Despawn { every: every + 1, from }),
        4 => (every(), 0usize..2000, value()).prop_map(|(every, from, value)| Step::Write { every, from, value }),
        2 => (every(), any::<bool>()).prop_map(|(every, on)| Step::Toggle { every, on }),
        2 => (every(), any::<bool>()).prop_map(|(every, add)| Step::Move { every, add }),
        1 => (every(), 0usize..40).prop_map(|(every, length)| Step::Tie { every: every + 20, length }),
        1 => value().prop_map(|value| Step::Resource { value }),
        5 => Just(Step::Publish),
    ];
    prop::collection::vec(step, 1..50)
}

fn chosen(world: &World, every: usize, from: usize) -> Vec<Entity> {
    let all = (0..world.table_count()).flat_map(|table| world.table_entities(table).to_vec());
    all.skip(from).step_by(every).collect()
}

fn change(world: &mut World, step: &Step) {
    match *step {
        Step::Spawn { count, kind } => {
            let x: Vec<f32> = (0..count).map(|i| (i % 7) as f32).collect();
            let axes = vec![[1.0f64, 2.0, 3.0]; count];
            let small = vec![kind; count];
            let mut spawn = world.spawn_columns(count);
            if kind != 3 {
                spawn = spawn.column("position.x", &x).column("position.y", &x);
            }
            if kind == 1 {
                spawn = spawn.column("spin.axis", &axes);
            }
            if kind >= 2 {
                spawn = spawn.column("small.a", &small);
            }
            spawn.spawn().unwrap();
        }
        Step::Despawn { every, from } => {
            chosen(world, every, from).into_iter().for_each(|entity| world.despawn(entity).unwrap());
        }
        Step::Tie { every, length } => {
            for entity in chosen(world, every, 0) {
                world.set_list(entity, &vec![Tie { to: entity, pull: 0.5 }; length]).unwrap();
            }
        }
        Step::Write { every, from, value } => {
            for entity in chosen(world, every, from) {
                let _ = world.set(entity, Position { x: value, y: 1.0 });
            }
        }
        Step::Toggle { every, on } => {
            for entity in chosen(world, every, 0) {
                match on {
                    true => world.add(entity, Hot { heat: 7 }).unwrap(),
                    false => drop(world.remove::<Hot>(entity).unwrap()),
                }
            }
        }
        Step::Move { every, add } => {
            for entity in chosen(world, every, 1) {
                match add {
                    true => world.add(entity, Marked).unwrap(),
                    false => drop(world.remove::<Marked>(entity).unwrap()),
                }
            }
        }
        Step::Resource { value } => {
            let wind = Wind { v: [value, 0.0] };
            if world.insert_resource(wind).is_err() {
                world.set_resource(wind).unwrap();
            }
        }
        Step::Publish => {}
    }
}

/// What a selection holds of a state.
fn projected(state: &State, selection: &Selection) -> State {
    let mut out = state.clone();
    out.tables.retain(|id, table| selection.has_table(*id, &table.components));
    for table in out.tables.values_mut() {
        table.columns.retain(|column| selection.has_column(column.role));
        table.components = selection.components_of(&table.components);
    }
    out
}

/// A client: its state and the look that it is at.
struct Client {
    selection: Selection,
    state: State,
    revision: Option<Revision>,
    /// It takes every so many generations.
    every: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 48 }))]

    #[test]
    fn deltas_lead_from_any_look_to_the_newest(steps in steps(), drops in any::<u64>()) {
        let mut world = world();
        let layout = world.layout().clone();
        let names = |names: &[&str]| Selection::columns(&layout, names.iter().copied()).unwrap();
        let few = names(&["position.y", "hot"]);
        let mut shadows = [Shadow::new(Selection::view()), Shadow::new(few.clone())];
        let client = |selection, every| Client { selection, state: State::new(), revision: None, every };
        let mut clients = [
            client(Selection::view(), 1),
            client(Selection::view(), 3),
            client(few.clone(), 2),
            client(names(&["marked"]).resources(false), 2),
        ];
        let mut reader = world.reader().unwrap();
        let mut count = 0usize;
        for step in steps.iter().chain([&Step::Publish]) {
            change(&mut world, step);
            if !matches!(step, Step::Publish) {
                continue;
            }
            world.publish().unwrap();
            world.begin_frame().unwrap();
            count += 1;
            // looks miss some generations
            if drops >> (count % 64) & 1 != 0 && count.is_multiple_of(5) {
                continue;
            }
            let snapshot = reader.pin().unwrap();
            let whole = State::of(&snapshot);
            for shadow in &mut shadows {
                let look = shadow.update(&snapshot).revision;
                prop_assert_eq!(look.generation(), snapshot.generation());
                prop_assert_eq!(shadow.revision_at(look.generation()), Some(look));
            }
            prop_assert!(shadows[0].state() == &whole, "a shadow of all is the state");
            prop_assert!(shadows[1].state() == &projected(&whole, &few), "one of few columns holds these");
            for client in clients.iter_mut().filter(|client| count.is_multiple_of(client.every)) {
                let shadow = &shadows[usize::from(client.selection == few)];
                let delta = shadow.delta(client.revision, &client.selection, (None, None), MESSAGE);
                let messages = delta.into_messages(0);
                client.state.apply(&messages, None, BYTES_MAX).unwrap();
                let expected = projected(&whole, &client.selection);
                prop_assert!(client.state == expected, "{:?}", client.selection);
                client.revision = shadow.newest();
            }
        }
    }

    #[test]
    fn damaged_deltas_are_refused_or_applied(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        aligned in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut world = world();
        change(&mut world, &Step::Spawn { count: 300, kind: 1 });
        change(&mut world, &Step::Toggle { every: 3, on: true });
        world.publish().unwrap();
        let mut shadow = Shadow::new(Selection::view());
        shadow.update(&world.reader().unwrap().pin().unwrap());
        let mut message = shadow.delta(None, &Selection::view(), (None, None), MESSAGE).into_messages(0).remove(0);
        for (place, value) in edits {
            // lengths and kinds stand in words
            let at = place.index(message.len());
            let at = if aligned { at & !3 } else { at };
            message[at] = value;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        let mut state = State::new();
        let _ = state.apply(&[message], None, 1 << 20);
        prop_assert!(state.bytes() <= 1 << 20);
    }
}

/// A world of so many rows at x = row.
fn line(rows: usize) -> World {
    let mut world = world();
    let x: Vec<f32> = (0..rows).map(|i| i as f32).collect();
    let y = vec![0.5f32; rows];
    world.spawn_columns(rows).column("position.x", &x).column("position.y", &y).spawn().unwrap();
    world.publish().unwrap();
    world
}

#[test]
fn a_small_change_is_a_small_delta() {
    let mut world = line(100_000);
    let mut reader = world.reader().unwrap();
    let mut shadow = Shadow::new(Selection::view());
    let first = shadow.update(&reader.pin().unwrap());
    let entities = world.table_entities(0).to_vec();
    for row in [5, 5_000, 77_777] {
        world.set(entities[row], Position { x: -1.0, y: 0.5 }).unwrap();
    }
    world.publish().unwrap();
    let second = shadow.update(&reader.pin().unwrap());
    assert!(second.bytes_read < first.bytes_read / 20, "unchanged chunks are not read: {second:?}");
    assert_eq!(second.chunks_changed, 3);
    let delta = shadow.delta(Some(first.revision), &Selection::view(), (None, None), MESSAGE);
    assert_eq!(delta.items, 3, "y has the value that it had");
    let messages = delta.into_messages(0);
    // three rows as a list, and one value for all of them
    assert_eq!(messages[0].len(), HEAD_BYTES + BLOCK_BYTES + 16 + 8);
}

#[test]
fn large_states_come_in_parts() {
    let world = line(700_000);
    let mut reader = world.reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let mut shadow = Shadow::new(Selection::view());
    shadow.update(&snapshot);
    let messages = shadow.delta(None, &Selection::view(), (None, None), MESSAGE).into_messages(0);
    assert!(messages.len() > 7 && messages.iter().all(|m| m.len() <= MESSAGE && m.len().is_multiple_of(8)));
    let mut state = State::new();
    state.apply(&messages, None, BYTES_MAX).unwrap();
    assert!(state == State::of(&snapshot));
    let (one, rest) = messages.split_at(3);
    assert!(matches!(state.apply(one, None, BYTES_MAX), Err(DeltaError::Value { .. })), "parts are missing");
    assert!(state.apply(rest, None, BYTES_MAX).is_err(), "the first parts are missing");
    assert!(matches!(State::new().apply(&messages, None, 1 << 20), Err(DeltaError::TooLarge { .. })));
}

#[test]
fn values_start_where_typed_arrays_can() {
    let world = line(3_000);
    let mut shadow = Shadow::new(Selection::view());
    shadow.update(&world.reader().unwrap().pin().unwrap());
    let messages = shadow.delta(None, &Selection::view(), (None, None), MESSAGE).into_messages(1);
    let (head, body) = Head::decode(&messages[0]).unwrap();
    assert_eq!((head.flags, head.subscription, head.parts), (FLAG_FULL | FLAG_LAST, 1, 1));
    let mut cursor = Cursor::new(body);
    let blocks: Vec<Block> = (0..head.blocks).map(|_| Block::read(&mut cursor).unwrap().0).collect();
    assert!(cursor.is_at_end() && blocks.iter().all(|block| block.bytes.is_multiple_of(8)));
    let ways: Vec<_> = blocks[blocks.len() - 3..].iter().map(|block| (block.rows, block.values, block.c)).collect();
    assert_eq!(ways, [(0, 0, 3_000), (3, 0, 3_000), (3, 1, 3_000)], "handles; x; y, which is 0.5 everywhere");
}

#[test]
fn rows_outside_the_box_stay_as_they_were() {
    let mut world = line(10_000);
    let layout = world.layout().clone();
    let selection = Selection::view().area(&layout, [("position.x", 100.0, 199.0)]).unwrap();
    let area = selection.area_ref().unwrap();
    let mut reader = world.reader().unwrap();
    let mut shadow = Shadow::new(Selection::view());
    let mut client = State::new();
    let entities = world.table_entities(0).to_vec();
    let (mut look, mut before) = (None, None);
    for round in 0..4 {
        let snapshot = reader.pin().unwrap();
        let report = shadow.update(&snapshot);
        let masks = area.masks(shadow.state());
        let delta = shadow.delta(look, &selection, (Some(&masks), before.as_ref()), MESSAGE);
        assert!(round == 0 || delta.items < 200, "{}", delta.items);
        client.apply(&delta.into_messages(0), None, BYTES_MAX).unwrap();
        let table = &client.tables[&2];
        let x = table.column(Role { code: Role::FIELD, field: 0, component: 0 }).unwrap();
        let inside = table.column(Role { code: Role::AREA, field: 0, component: 0 }).unwrap();
        let truth = snapshot.tables().next().unwrap().column::<f32>("position.x").unwrap().unwrap().to_vec();
        let mut count = 0;
        for (row, bytes) in x.bytes.as_chunks::<4>().0.iter().enumerate() {
            let is_inside = inside.bytes[row / 8] >> (row % 8) & 1 != 0;
            assert_eq!(is_inside, (100.0..=199.0).contains(&truth[row]), "round {round} row {row}");
            if is_inside {
                assert_eq!(f32::from_le_bytes(*bytes), truth[row]);
                count += 1;
            }
        }
        assert!(count > 0);
        (look, before) = (Some(report.revision), Some(masks));
        drop(snapshot);
        // some come in, some go out, some move outside
        for row in 0..50 {
            world.set(entities[row + 50 * round], Position { x: 150.0 + round as f32, y: 1.0 }).unwrap();
            world.set(entities[row + 5_000], Position { x: 7.0, y: round as f32 }).unwrap();
            world.set(entities[row + 120], Position { x: -3.0, y: 0.0 }).unwrap();
        }
        world.publish().unwrap();
    }
}

#[test]
fn boxes_are_in_numbers_and_not_in_bits() {
    #[derive(Component, Clone, Copy)]
    struct Spark {
        x: F16,
        glow: Unorm8,
    }
    let mut world = World::builder().component::<Spark>().build().unwrap();
    let spark = |i: u8| Spark { x: F16::from_f32(f32::from(i) - 64.0), glow: Unorm8::from_f32(f32::from(i) / 128.0) };
    world.spawn_batch((0..129).map(spark)).unwrap();
    world.publish().unwrap();
    let layout = world.layout().clone();
    let mut shadow = Shadow::new(Selection::view());
    shadow.update(&world.reader().unwrap().pin().unwrap());
    let inside = |bounds: &[(&str, f64, f64)]| {
        let selection = Selection::view().area(&layout, bounds.iter().copied()).unwrap();
        let masks = selection.area_ref().unwrap().masks(shadow.state());
        let words = masks.tables.values().next().unwrap();
        (0..129).filter(|row| words[row / 64] >> (row % 64) & 1 != 0).collect::<Vec<_>>()
    };
    assert_eq!(inside(&[("spark.x", -2.0, 2.0)]), (62..=66).collect::<Vec<_>>());
    assert_eq!(inside(&[("spark.glow", 0.995, 1.0)]), [128]);
    assert_eq!(inside(&[("spark.glow", 0.49, 0.51), ("spark.x", 0.0, 9.0)]), [64, 65]);
}

#[test]
fn rounded_values_stay_within_their_bound() {
    let world = line(5_000);
    let layout = world.layout().clone();
    let exact = Selection::view();
    let rounded = Selection::view().quantise(&layout, "position.x", 0.25).unwrap();
    let mut shadow = Shadow::new(Selection::view());
    shadow.update(&world.reader().unwrap().pin().unwrap());
    let messages = shadow.delta(None, &rounded, (None, None), MESSAGE).into_messages(0);
    let plain = shadow.delta(None, &exact, (None, None), MESSAGE).into_messages(0);
    assert!(messages[0].len() + 2 * 5_000 <= plain[0].len() + 64, "two bytes instead of four");
    let mut state = State::new();
    assert!(state.apply(&messages, None, BYTES_MAX).is_err(), "without the layout nobody knows the type");
    state.apply(&messages, Some(&layout), BYTES_MAX).unwrap();
    let x = state.tables[&2].column(Role { code: Role::FIELD, field: 0, component: 0 }).unwrap();
    for (row, bytes) in x.bytes.as_chunks::<4>().0.iter().enumerate() {
        assert!((f32::from_le_bytes(*bytes) - row as f32).abs() <= 0.2501);
    }
}

#[test]
fn selections_say_what_is_wrong() {
    let layout = world().layout().clone();
    let error = |error: SelectError| error.to_string();
    let unknown = Selection::columns(&layout, ["positoin"]).unwrap_err();
    assert!(error(unknown).contains("did you mean \"position\""));
    assert!(error(Selection::view().quantise(&layout, "small.a", 0.1).unwrap_err()).contains("float"));
    assert!(Selection::view().quantise(&layout, "position.x", 0.0).is_err());
    assert!(Selection::view().area(&layout, [("position.x", 2.0, 1.0)]).is_err());
    assert!(Selection::view().area(&layout, [("spin.axis", 0.0, 1.0)]).is_err());
    assert!(Selection::view().area(&layout, []).is_err());
    let narrow = Selection::columns(&layout, ["position.x", "marked"]).unwrap();
    assert!(narrow.is_within(&Selection::view()) && !Selection::view().is_within(&narrow));
    assert_eq!(Selection::view().within(&narrow), narrow);
    assert_ne!(narrow.key(), Selection::view().key());
}

/// Rows that come by relabelling a whole table bring their columns' stamps along, which may be older than any look.
#[test]
fn rows_of_a_relabelled_table_are_seen() {
    let mut world = world();
    let spin = |value: f64| Spin { axis: [value; 3] };
    world.spawn_batch((0..100).map(|i| spin(f64::from(i)))).unwrap();
    let others = world.spawn_batch((0..100).map(|i| (spin(-1.0 - f64::from(i)), Small { a: 1 }))).unwrap();
    world.publish().unwrap();
    let mut reader = world.reader().unwrap();
    let mut shadow = Shadow::new(Selection::view());
    shadow.update(&reader.pin().unwrap());
    // the table of both components is emptied, and the other one's columns become its own
    others.into_iter().for_each(|entity| world.despawn(entity).unwrap());
    assert_eq!(world.add_where::<hypostyle::Read<Spin>, Small>(Small { a: 2 }).unwrap(), 100);
    world.publish().unwrap();
    let snapshot = reader.pin().unwrap();
    let whole = State::of(&snapshot);
    shadow.update(&snapshot);
    assert!(shadow.state() == &whole);
}
