//! Random valid layouts for property tests. Compiled for tests only.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use proptest::prelude::*;

use crate::layout::{ComponentLayout, FieldLayout, FieldType, Layout, ResourceLayout, ScalarType, Storage, TableHint};
use crate::limits::{WORLD_BYTES_MAX, WORLD_BYTES_MIN};

/// Any valid layout with up to six components, five fields each.
pub(crate) fn layouts() -> impl Strategy<Value = Layout> {
    let components = prop::collection::vec(
        (name(), fields(0..5), 0..5_u8, any::<bool>()).prop_map(|(name, fields, storage, track_changes)| {
            let storage = match storage {
                1 => Storage::Toggle,
                2 if !fields.is_empty() && !track_changes => Storage::Scratch,
                3 if !fields.is_empty() && !track_changes => Storage::List,
                4 if !fields.is_empty() && !track_changes => Storage::ScratchList,
                _ => Storage::Table,
            };
            ComponentLayout { name, fields, storage, track_changes }
        }),
        0..6,
    );
    let resources =
        prop::collection::vec((name(), fields(1..5)).prop_map(|(name, fields)| ResourceLayout { name, fields }), 0..4);
    let tables =
        prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0..100_000_u64), 0..3);
    let bytes_max =
        prop_oneof![(0_u32..=26).prop_map(|shift| WORLD_BYTES_MIN << shift), WORLD_BYTES_MIN..=WORLD_BYTES_MAX];
    (name(), components, resources, tables, bytes_max).prop_map(|(name, components, resources, tables, bytes_max)| {
        let components = unique(components, |c| c.name.clone());
        let resources = unique(resources, |r| r.name.clone());
        let mut tables: Vec<TableHint> = tables
            .into_iter()
            .map(|(picks, rows)| {
                let picks = if components.is_empty() { vec![] } else { picks };
                let names = picks.iter().map(|i| components[i.index(components.len())].name.clone()).collect();
                TableHint { components: unique(names, String::clone), rows }
            })
            .collect();
        let mut sets = HashSet::new();
        tables.retain(|t| {
            let mut set = t.components.clone();
            set.sort();
            sets.insert(set)
        });
        Layout::new(name, components, resources, tables, bytes_max).expect("the generator makes valid layouts only")
    })
}

/// A snake_case name; short ones are likely, so that two layouts often share some.
pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-f]", 1 => "[a-z][a-z0-9_]{0,10}", 1 => "[a-z][a-z0-9_]{63}"]
}

fn fields(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<FieldLayout>> {
    prop::collection::vec(field(), count).prop_map(|fields| unique(fields, |f| f.name.clone()))
}

/// A unit or a description of so many bytes at most: often none, with what has to be escaped, and characters of any length.
fn words(bytes: usize) -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => "[ -~é²·𝛼]{1,8}", 1 => Just("\\".repeat(bytes))]
}

fn field() -> impl Strategy<Value = FieldLayout> {
    let ty = (
        prop::sample::select(ScalarType::ALL.as_slice()),
        prop_oneof![4 => Just(0_u32), 1 => 1..5_u32, 1 => 1..200_u32],
    )
        .prop_map(|(scalar, array_len)| FieldType { scalar, array_len });
    (name(), ty).prop_flat_map(|(name, ty)| {
        let values = prop::collection::vec(scalar(ty.scalar), ty.elements()).prop_map(|v| v.concat());
        (prop::option::of(values), words(32), words(255)).prop_map(move |(default, unit, description)| FieldLayout {
            default,
            unit,
            description,
            ..FieldLayout::new(name.clone(), ty)
        })
    })
}

/// The bytes of any value that a default may have.
fn scalar(scalar: ScalarType) -> BoxedStrategy<Vec<u8>> {
    match scalar {
        ScalarType::F32 => prop_oneof![any::<f32>(), prop::num::f32::ANY]
            .prop_map(|v| if v.is_nan() { f32::from_bits(0x7fc0_0000) } else { v }.to_le_bytes().to_vec())
            .boxed(),
        ScalarType::F64 => prop_oneof![any::<f64>(), prop::num::f64::ANY]
            .prop_map(|v| if v.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { v }.to_le_bytes().to_vec())
            .boxed(),
        ScalarType::Bool => any::<bool>().prop_map(|v| vec![u8::from(v)]).boxed(),
        ScalarType::Entity => Just(vec![0xff; 8]).boxed(),
        small if small.is_small() => any::<f32>()
            .prop_map(move |v| {
                let mut bytes = Vec::new();
                small.put_small(v, &mut bytes);
                bytes
            })
            .boxed(),
        _ => prop_oneof![Just(0x00), Just(0xff), Just(0x80), any::<u8>()]
            .prop_flat_map(move |b| {
                prop_oneof![Just(vec![b; scalar.bytes()]), prop::collection::vec(any::<u8>(), scalar.bytes())]
            })
            .boxed(),
    }
}

/// The items whose keys have not turned up before.
fn unique<T>(items: Vec<T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert(key(item))).collect()
}
