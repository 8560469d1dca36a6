//! What worlds and generations hold, by their own functions and by the model, and queries to compare them by.

use std::collections::BTreeMap;

use hypostyle::Plain as _;
use hypostyle::{AnyOf, Changed, Entities, Entity, Query, Snapshot, With, Without, World, WorldError};

use super::components::*;
use super::naive::{Naive, Wanted};
use super::program::mix;

/// Runs an expression with `$Q` as the query type of an index.
macro_rules! with_query {
    ($index:expr, $Q:ident => $body:expr) => {
        match $index % QUERIES.len() {
            0 => {
                type $Q = With<Position>;
                $body
            }
            1 => {
                type $Q = Without<Tag>;
                $body
            }
            2 => {
                type $Q = (With<Counter>, Without<Asleep>);
                $body
            }
            3 => {
                type $Q = Changed<Health>;
                $body
            }
            4 => {
                type $Q = ();
                $body
            }
            5 => {
                type $Q = AnyOf<(Shield, Mark)>;
                $body
            }
            6 => {
                type $Q = (With<Charge>, AnyOf<(Asleep, Tag)>);
                $body
            }
            7 => {
                type $Q = (Changed<Charge>, Changed<Mark>, Without<Health>);
                $body
            }
            _ => {
                type $Q = (Changed<Mark>, AnyOf<(Health, Counter)>);
                $body
            }
        }
    };
}

pub(crate) use with_query;

/// What the queries of `with_query` want.
pub const QUERIES: [Wanted; 9] = [
    Wanted { all: &[0], none: &[], any: &[], changed: &[] },
    Wanted { all: &[], none: &[5], any: &[], changed: &[] },
    Wanted { all: &[1], none: &[7], any: &[], changed: &[] },
    Wanted { all: &[], none: &[], any: &[], changed: &[8] },
    Wanted { all: &[], none: &[], any: &[], changed: &[] },
    Wanted { all: &[], none: &[], any: &[6, 10], changed: &[] },
    Wanted { all: &[9], none: &[], any: &[7, 5], changed: &[] },
    Wanted { all: &[], none: &[8], any: &[], changed: &[9, 10] },
    Wanted { all: &[], none: &[], any: &[8, 1], changed: &[10] },
];

/// What a world or a generation holds: by handle, by component.
pub type Contents = BTreeMap<(u32, u32), BTreeMap<usize, Vec<u8>>>;

pub fn expected(model: &Naive) -> Contents {
    let bytes = |components: &BTreeMap<usize, super::naive::Value>| {
        components.iter().map(|(component, value)| (*component, value.bytes.clone())).collect()
    };
    model.entities.iter().map(|(key, components)| (*key, bytes(components))).collect()
}

/// Per table: its components and the entities of its rows.
pub type RowOrder = Vec<(Vec<usize>, Vec<Entity>)>;

/// Everything in a generation, by name, and its rows' order.
pub fn contents(snapshot: &Snapshot<'_>) -> (Contents, RowOrder) {
    let layout = snapshot.layout();
    let mut out = Contents::new();
    let mut order = Vec::new();
    for table in snapshot.tables() {
        let entities = table.entities();
        let mut shape = Vec::new();
        for entity in entities {
            let fresh = out.insert((entity.index(), entity.generation()), BTreeMap::new()).is_none();
            assert!(fresh, "{entity} stands in two rows");
        }
        for (index, component) in layout.components().iter().enumerate() {
            let presence = table.presence(&component.name).expect("it is in the layout");
            if component.name == Trail::NAME {
                let lists = table.lists::<Trail>().expect("it is in the layout");
                for (row, entity) in entities.iter().enumerate().filter(|(row, _)| presence.contains(*row)) {
                    let list: Vec<Trail> = lists.as_ref().expect("it has some").iter(row).collect();
                    let of = out.get_mut(&(entity.index(), entity.generation())).expect("inserted above");
                    of.insert(index, Trail::packed(&list));
                }
                if lists.is_some() {
                    shape.push(index);
                }
                continue;
            }
            let mut columns = Vec::new();
            for field in &component.fields {
                let name = format!("{}.{}", component.name, field.name);
                if let Some((ty, bytes)) = table.column_bytes(&name).expect("it is in the layout") {
                    columns.push((ty.bytes(), bytes));
                }
            }
            if table.components().any(|name| name == component.name) {
                shape.push(index);
            }
            for (row, entity) in entities.iter().enumerate() {
                if presence.contains(row) {
                    assert_eq!(columns.len(), component.fields.len(), "`{}` has its columns", component.name);
                    let value = columns.iter().flat_map(|(n, bytes)| bytes[row * n..(row + 1) * n].to_vec()).collect();
                    let of = out.get_mut(&(entity.index(), entity.generation())).expect("inserted above");
                    of.insert(index, value);
                }
            }
        }
        order.push((shape, entities.to_vec()));
    }
    (out, order)
}

pub fn same(got: &Contents, want: &Contents, what: &str) {
    if got == want {
        return;
    }
    let handles = |c: &Contents| c.keys().copied().collect::<Vec<_>>();
    assert_eq!(handles(got), handles(want), "{what}: live handles");
    for (key, components) in want {
        let named = |c: &BTreeMap<usize, Vec<u8>>| c.iter().map(|(i, b)| (name_of(*i), b.clone())).collect::<Vec<_>>();
        assert_eq!(named(&got[key]), named(components), "{what}: components of {}v{}", key.0, key.1);
    }
}

/// The world by its own functions.
fn contents_of_world(world: &World) -> Contents {
    let mut out = Contents::new();
    let mut all = Vec::new();
    world.query::<Entities>(|entities, _| all.extend_from_slice(entities)).expect("no component is asked for");
    for entity in all {
        let mut components = BTreeMap::new();
        assert!(world.contains(entity));
        for component in 0..COMPONENTS {
            with_component!(component, C => {
                let got = world.get::<C>(entity);
                assert_eq!(world.has::<C>(entity), got.is_ok());
                match got {
                    Ok(value) => drop(components.insert(component, pack(value))),
                    Err(WorldError::Absent { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            });
        }
        match world.list::<Trail>(entity) {
            Ok(list) => drop(components.insert(TRAIL, Trail::packed(&list))),
            Err(WorldError::Absent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(out.insert((entity.index(), entity.generation()), components).is_none());
    }
    out
}

/// The handles of every table that has rows, in order.
pub fn rows(world: &World) -> Vec<Vec<Entity>> {
    let mut tables = Vec::new();
    world.query::<()>(|entities, ()| tables.push(entities.to_vec())).expect("no component is asked for");
    tables
}

fn entities_of<Q: Query>(world: &World) -> Vec<Entity> {
    let mut all = Vec::new();
    world
        .query::<(Entities, Q)>(|entities, (same, _)| {
            assert_eq!(entities, same);
            all.extend_from_slice(entities);
        })
        .expect("all components are known");
    assert_eq!(world.count::<Q>().expect("all components are known"), all.len() as u64);
    all.sort_by_key(|entity| (entity.index(), entity.generation()));
    all
}

pub fn compare(world: &World, model: &Naive, what: &str) {
    same(&contents_of_world(world), &expected(model), what);
    assert_eq!(world.entity_count(), model.entities.len() as u64);
    assert_eq!((world.frame(), world.time()), (model.frame, model.time), "{what}: frame and time");
    for (index, wanted) in QUERIES.iter().enumerate() {
        let got = with_query!(index, Q => entities_of::<Q>(world));
        assert_eq!(got, model.matching(wanted), "{what}: query {index}, {wanted:?}");
    }
    let score = world.resource::<Score>().ok().map(pack);
    let gravity = world.resource::<Gravity>().ok().map(pack);
    let census = world.resource::<Census>().ok().map(pack);
    assert_eq!([score, gravity, census], model.resources, "{what}: resources");
}

pub fn hash_of(order: &[(Vec<usize>, Vec<Entity>)]) -> u64 {
    let words = order.iter().flat_map(|(shape, entities)| {
        let shape = shape.iter().map(|component| *component as u64);
        shape.chain([u64::MAX]).chain(entities.iter().map(|entity| entity.to_bits()))
    });
    words.fold(0, |hash, word| mix(hash ^ word))
}
