//! Worlds of random layouts, driven by name: bulk spawns by columns, despawns, frames that despawn, pinned generations.

use std::collections::{BTreeMap, BTreeSet};

use hypostyle::layout::{ComponentLayout, FieldLayout, Storage, TableHint};
use hypostyle::{
    BulkSpawn, Entities, Entity, FieldType, Layout, ScalarType, Schedule, Simulation, Snapshot, System, Workers, World,
    small,
};
use proptest::prelude::*;

use super::look::{contents, rows};
use super::program::mix;

/// What happens next. Numbers pick from what there is.
#[derive(Clone, Debug)]
enum Act {
    Spawn { components: u8, given: u32, count: u16, seed: u32 },
    Despawn { who: u16 },
    DespawnAll,
    Frame { one_in: u8 },
    Pin,
    Unpin { which: u8 },
}

#[derive(Clone, Debug)]
pub struct Plan {
    layout: Layout,
    acts: Vec<Act>,
    publish_every: u64,
}

fn field() -> impl Strategy<Value = (FieldType, Option<u64>)> {
    let ty =
        (prop::sample::select(ScalarType::ALL.as_slice()), prop::sample::select([0u32, 0, 0, 1, 2, 3, 8].as_slice()));
    (ty.prop_map(|(scalar, array_len)| FieldType { scalar, array_len }), prop::option::weighted(0.3, any::<u64>()))
}

/// The bytes of a value: any for numbers, 0 or 1 for bools.
fn bytes_of(ty: FieldType, seed: u64) -> Vec<u8> {
    let mut out: Vec<u8> = (0..ty.bytes()).map(|at| mix(seed ^ (at as u64) << 32) as u8).collect();
    match ty.scalar {
        ScalarType::Bool => out.iter_mut().for_each(|byte| *byte &= 1),
        // no NaN: only one of them may be a default
        ScalarType::F32 => out.iter_mut().skip(3).step_by(4).for_each(|byte| *byte &= 0x3f),
        ScalarType::F16 | ScalarType::Bf16 => out.iter_mut().skip(1).step_by(2).for_each(|byte| *byte &= 0x3f),
        // no -128 nor -32768, which a default may not be
        ScalarType::Snorm8 | ScalarType::Snorm16 => out.iter_mut().for_each(|byte| *byte &= 0x7f),
        ScalarType::F64 => out.iter_mut().skip(7).step_by(8).for_each(|byte| *byte &= 0x3f),
        _ => {}
    }
    out
}

fn layouts() -> impl Strategy<Value = Layout> {
    let component = (prop::collection::vec(field(), 0..4), any::<bool>(), any::<bool>());
    (prop::collection::vec(component, 1..7), prop::option::of((any::<u8>(), 1u64..300))).prop_map(
        |(components, hint)| {
            let components: Vec<ComponentLayout> = components
                .into_iter()
                .enumerate()
                .map(|(index, (fields, toggle, track_changes))| ComponentLayout {
                    name: format!("c{index}"),
                    storage: if toggle { Storage::Toggle } else { Storage::Table },
                    track_changes,
                    fields: fields
                        .into_iter()
                        .enumerate()
                        .map(|(index, (ty, default))| FieldLayout {
                            // handles have one default only
                            default: default.filter(|_| ty.scalar != ScalarType::Entity).map(|seed| bytes_of(ty, seed)),
                            ..FieldLayout::new(format!("f{index}"), ty)
                        })
                        .collect(),
                })
                .collect();
            let hints = hint.map(|(mask, rows)| TableHint {
                components: components
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| mask >> i & 1 != 0)
                    .map(|(_, c)| c.name.clone())
                    .collect(),
                rows,
            });
            Layout::new("any", components, vec![], hints.into_iter().collect(), 1 << 26)
                .expect("the generator makes valid layouts")
        },
    )
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let act = prop_oneof![
        5 => (any::<u8>(), any::<u32>(), 0u16..400, any::<u32>())
            .prop_map(|(components, given, count, seed)| Act::Spawn { components, given, count, seed }),
        4 => any::<u16>().prop_map(|who| Act::Despawn { who }),
        1 => Just(Act::DespawnAll),
        5 => (1u8..20).prop_map(|one_in| Act::Frame { one_in }),
        2 => Just(Act::Pin),
        2 => any::<u8>().prop_map(|which| Act::Unpin { which }),
    ];
    (layouts(), prop::collection::vec(act, 1..24), 1u64..4).prop_map(|(layout, acts, publish_every)| Plan {
        layout,
        acts,
        publish_every,
    })
}

/// Values of one column, in memory that any column type may look at.
struct Values {
    name: String,
    ty: FieldType,
    words: Vec<u64>,
    bytes: usize,
}

impl Values {
    fn of<T: hypostyle::columns::ColumnItem>(&self) -> &[T] {
        bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(&self.words)[..self.bytes])
    }

    fn give<'w, 'a>(&'a self, spawn: BulkSpawn<'w, 'a>) -> BulkSpawn<'w, 'a> {
        macro_rules! typed {
            ($($scalar:ident => $T:ty),*) => {
                match (self.ty.scalar, self.ty.array_len) {
                    $((ScalarType::$scalar, 0) => spawn.column(&self.name, self.of::<$T>()),
                      (ScalarType::$scalar, 1) => spawn.column(&self.name, self.of::<[$T; 1]>()),
                      (ScalarType::$scalar, 2) => spawn.column(&self.name, self.of::<[$T; 2]>()),
                      (ScalarType::$scalar, 3) => spawn.column(&self.name, self.of::<[$T; 3]>()),
                      (ScalarType::$scalar, _) => spawn.column(&self.name, self.of::<[$T; 8]>()),)*
                }
            };
        }
        typed!(F32 => f32, F64 => f64, I8 => i8, I16 => i16, I32 => i32, I64 => i64, U8 => u8, U16 => u16, U32 => u32,
            U64 => u64, Bool => hypostyle::Bool, Entity => Entity, F16 => small::F16, Bf16 => small::Bf16,
            Unorm8 => small::Unorm8, Unorm16 => small::Unorm16, Snorm8 => small::Snorm8, Snorm16 => small::Snorm16)
    }
}

#[derive(Default)]
struct Model {
    entities: BTreeMap<(u32, u32), BTreeMap<usize, Vec<u8>>>,
    generations: Vec<u32>,
    free: BTreeSet<u32>,
}

impl Model {
    fn allocate(&mut self) -> Entity {
        let slot = self.free.pop_first().unwrap_or_else(|| {
            self.generations.push(0);
            self.generations.len() as u32 - 1
        });
        Entity::from_parts(slot, self.generations[slot as usize])
    }

    fn kill(&mut self, (slot, generation): (u32, u32)) {
        assert!(self.entities.remove(&(slot, generation)).is_some());
        self.generations[slot as usize] += 1;
        self.free.insert(slot);
    }
}

fn culled(entity: Entity, frame: u64, one_in: u8) -> bool {
    mix(entity.to_bits() ^ mix(frame)).is_multiple_of(u64::from(one_in))
}

fn spawn(world: &mut World, model: &mut Model, (components, given, count, seed): (u8, u32, u16, u32)) {
    let layout = world.layout().clone();
    let mut columns = Vec::new();
    let mut chosen = Vec::new();
    let mut rows = vec![BTreeMap::new(); usize::from(count)];
    let mut number = 0u64;
    for (index, component) in layout.components().iter().enumerate() {
        if components >> index & 1 == 0 {
            continue;
        }
        chosen.push(component.name.clone());
        rows.iter_mut().for_each(|row| drop(row.insert(index, Vec::new())));
        for field in &component.fields {
            number += 1;
            let values: Vec<Vec<u8>> = if given >> number & 1 != 0 {
                let value = |row| bytes_of(field.ty, u64::from(seed) << 20 ^ row << 5 ^ number);
                let values: Vec<Vec<u8>> = (0..u64::from(count)).map(value).collect();
                let bytes = values.concat();
                let mut words = vec![0; bytes.len().div_ceil(8)];
                bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(&bytes);
                let name = format!("{}.{}", component.name, field.name);
                columns.push(Values { name, ty: field.ty, words, bytes: bytes.len() });
                values
            } else {
                let zero = if field.ty.scalar == ScalarType::Entity { 0xff } else { 0 };
                let default = field.default.clone().unwrap_or_else(|| vec![zero; field.ty.bytes()]);
                vec![default; usize::from(count)]
            };
            for (row, value) in rows.iter_mut().zip(values) {
                row.get_mut(&index).expect("inserted above").extend(value);
            }
        }
    }
    let mut bulk = world.spawn_columns(usize::from(count));
    for name in &chosen {
        // a column implies its component: sometimes nothing else names it
        if !columns.iter().any(|column| column.name.starts_with(&format!("{name}."))) {
            bulk = bulk.with_named(name);
        }
    }
    for column in &columns {
        bulk = column.give(bulk);
    }
    let handles = bulk.spawn().expect("the columns fit");
    assert_eq!(handles.len(), rows.len());
    for (entity, row) in handles.into_iter().zip(rows) {
        assert_eq!(entity, model.allocate(), "the lowest free slot");
        model.entities.insert((entity.index(), entity.generation()), row);
    }
}

pub fn run(plan: &Plan) {
    let world = World::builder().layout(plan.layout.clone()).build().expect("the layout is valid");
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<Entities>("cull", |job, entities| {
            for (row, entity) in entities.iter().enumerate() {
                if culled(*entity, job.frame(), job.payload()[0]) {
                    job.despawn_row(row);
                }
            }
        })
        .job_rows(64)
        .payload([1])
        .despawns(),
    );
    let mut simulation = Simulation::builder()
        .workers(Workers::Local)
        .publish_every(plan.publish_every)
        .build(world, schedule)
        .expect("the schedule is sound");
    let mut readers: Vec<_> =
        (0..=plan.acts.len()).map(|_| simulation.world().reader().expect("there are leases")).collect();
    let (newest, readers) = readers.split_first_mut().expect("there is one more than acts");
    let mut readers = readers.iter_mut();
    let mut pins: Vec<(Snapshot<'_>, u64)> = Vec::new();
    let mut model = Model::default();
    for (number, act) in plan.acts.iter().enumerate() {
        match act {
            Act::Spawn { components, given, count, seed } => {
                spawn(simulation.world_mut(), &mut model, (*components, *given, *count, *seed));
            }
            Act::Despawn { who } => {
                let keys: Vec<_> = model.entities.keys().copied().collect();
                if let Some(key) = keys.get(usize::from(*who) % keys.len().max(1)) {
                    simulation.world_mut().despawn(Entity::from_parts(key.0, key.1)).expect("it lives");
                    model.kill(*key);
                    let again = simulation.world_mut().despawn(Entity::from_parts(key.0, key.1));
                    assert!(again.is_err(), "it is gone");
                }
            }
            Act::DespawnAll => {
                let count = simulation.world_mut().despawn_where::<()>().expect("there is room");
                assert_eq!(count, model.entities.len() as u64);
                let keys: Vec<_> = model.entities.keys().copied().collect();
                keys.into_iter().for_each(|key| model.kill(key));
            }
            Act::Frame { one_in } => {
                simulation.set_payload("cull", [*one_in]).expect("the system is there");
                let frame = simulation.world().frame() + 1;
                let mut order = rows(simulation.world());
                for table in &mut order {
                    for row in (0..table.len()).rev() {
                        if culled(table[row], frame, *one_in) {
                            table.swap_remove(row);
                        }
                    }
                }
                order.retain(|table| !table.is_empty());
                simulation.step(1.0).expect("nothing fails");
                assert_eq!(rows(simulation.world()), order, "highest first, the last row takes a removed row's place");
                let keys: Vec<_> = model.entities.keys().copied().collect();
                let gone = |key: &(u32, u32)| culled(Entity::from_parts(key.0, key.1), frame, *one_in);
                keys.into_iter().filter(gone).for_each(|key| model.kill(key));
            }
            Act::Pin => {
                simulation.world_mut().publish().expect("there is room");
                if let Some(reader) = readers.next() {
                    let snapshot = reader.pin().expect("something is published");
                    let hash = snapshot.hash();
                    pins.push((snapshot, hash));
                }
            }
            Act::Unpin { which } => {
                if !pins.is_empty() {
                    pins.swap_remove(usize::from(*which) % pins.len());
                }
            }
        }
        if number % 3 == 0 || matches!(act, Act::Pin) || number + 1 == plan.acts.len() {
            simulation.world_mut().publish().expect("there is room");
            let snapshot = newest.pin().expect("something is published");
            assert_eq!(snapshot.entity_count(), model.entities.len() as u64);
            assert!(contents(&snapshot).0 == model.entities, "contents after act {number}");
        }
        for (pinned, hash) in &pins {
            assert_eq!(pinned.hash(), *hash, "generation {} changed under its pin", pinned.generation());
        }
    }
}
