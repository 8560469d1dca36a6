//! A query with conditions over a million entities: A and B and not C, a += b. At several densities of matches, which
//! lie at random or together, and spread over many tables. Times are per match.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, ComponentId, QueryAPI, QueryBuilderImpl};
use hypostyle::{Component, Read, Schedule, Simulation, System, Without, Workers, World, Write};
use shipyard::{IntoIter as _, View, ViewMut};

use crate::checksum::Checksum;
use crate::components::{A, B, C};
use crate::letters::{BEVY_INSERT, FLECS_SET, HECS_ADD, NAMES, REGISTER, SHIPYARD_ADD};
use crate::measure::{Bench, Field, Mismatch};
use crate::support::{bevy_pairs, flecs_pairs, hash, simulation, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

/// As C, but its presence is a bit.
#[derive(Clone, Copy, Component)]
#[component(storage = "toggle")]
struct Toggled {
    value: f32,
}

/// Which entities match, and in which tables they are.
#[derive(Clone)]
struct Layout {
    /// Whether an entity has C, which means that it does not match.
    has_c: Vec<bool>,
    /// Letters beside A, B and C; 0 letters: all in the fewest tables.
    letters: usize,
}

impl Layout {
    fn letters_of(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        let bits = hash(index.wrapping_mul(7));
        (0..self.letters).filter(move |letter| bits >> letter & 1 == 1)
    }

    fn matches(&self) -> usize {
        self.has_c.iter().filter(|has| !**has).count()
    }
}

fn a(index: usize) -> A {
    A { value: index as f32 }
}

fn b(index: usize) -> B {
    B { value: (index % 16) as f32 }
}

fn slices(a: &mut [A], b: &[B]) {
    a.iter_mut().zip(b).for_each(|(a, b)| a.value += b.value);
}

fn add(sum: &mut Checksum, a: &A) {
    sum.add_f32([a.value]);
}

/// All comparisons.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[1_000_000], &[1_000]) {
        for percent in [100, 50, 1] {
            let random = (0..n).map(|index| hash(index) % 100 >= percent).collect();
            let together = (0..n).map(|index| index as u64 * 100 >= percent * n as u64).collect();
            for (name, has_c) in [("at random", random), ("together", together)] {
                let layout = Layout { has_c, letters: 0 };
                measure(bench, n, &format!("{percent} % match, {name}"), &layout)?;
                if percent == 100 {
                    break;
                }
            }
        }
        let has_c = (0..n).map(|index| hash(index) % 100 >= 50).collect();
        let letters = if bench.options.quick { 3 } else { 9 };
        measure(bench, n, "50 % match, 1,024 tables", &Layout { has_c, letters })?;
    }
    Ok(())
}

fn measure(bench: &mut Bench, n: usize, case: &str, layout: &Layout) -> Result<(), Mismatch> {
    let Some(mut field) = bench.field("filtered query", case, n) else { return Ok(()) };
    field.operations(layout.matches().max(1) as u64, "ns/match").repeats(10);
    ours(&mut field, layout);
    bevy(&mut field, layout);
    hecs(&mut field, layout);
    flecs(&mut field, layout);
    shipyard(&mut field, layout);
    field.measure()
}

// hypostyle

/// `toggle`: C is a toggle.
fn world(layout: &Layout, toggle: bool) -> World {
    let n = layout.has_c.len();
    let builder = World::builder().component::<A>().component::<B>().component::<C>().component::<Toggled>();
    let builder = REGISTER[..layout.letters].iter().fold(builder, |builder, register| register(builder));
    let mut world = builder.bytes_max((256 << 20) + n as u64 * 256).build().expect("a world can be made");
    // by table, and rows of each in order
    let mut tables: std::collections::BTreeMap<(bool, Vec<usize>), (Vec<f32>, Vec<f32>)> = Default::default();
    for (index, has_c) in layout.has_c.iter().enumerate() {
        let (a_values, b_values) = tables.entry((*has_c && !toggle, layout.letters_of(index).collect())).or_default();
        a_values.push(a(index).value);
        b_values.push(b(index).value);
    }
    let mut of_entities = Vec::with_capacity(n);
    for ((has_c, letters), (a_values, b_values)) in &tables {
        let mut spawn = world.spawn_columns(a_values.len()).column("a.value", a_values).column("b.value", b_values);
        spawn = if *has_c { spawn.with::<C>() } else { spawn };
        spawn = letters.iter().fold(spawn, |spawn, letter| spawn.with_named(NAMES[*letter]));
        let entities = spawn.spawn().expect("there is memory");
        of_entities.extend(entities.into_iter().zip(a_values.iter().map(|value| *value as usize)));
    }
    if toggle {
        for (entity, index) in of_entities {
            if layout.has_c[index] {
                world.add(entity, Toggled { value: 0.0 }).expect("it is alive");
            }
        }
    }
    world
}

fn checksum_of_ours(world: &World) -> u64 {
    let mut sum = Checksum::new();
    let query = world.query::<Read<A>>(|_, a| a.value.iter().for_each(|a| add(&mut sum, &A { value: *a })));
    query.expect("a known component");
    sum.get()
}

fn ours(field: &mut Field<'_>, layout: &Layout) {
    type Plain = (Write<A>, Read<B>, Without<C>);
    type Toggle = (Write<A>, Read<B>, Without<Toggled>);
    let query = |world: &mut World| {
        let query = world.query_mut::<Plain>(|_, (mut a, b, ())| a.value.map_with(b.value, |a, b| a + b));
        query.expect("known components");
    };
    field.add(OURS, "query_mut, no generations", || world(layout, false), query, |world| checksum_of_ours(world));
    let check = |simulation: &mut Simulation| checksum_of_ours(simulation.world());
    for (every, variant) in [(1, "a generation every frame"), (10, "a generation every 10 frames")] {
        let make = || {
            let mut schedule = Schedule::new();
            schedule.add(System::rows::<Plain>("add", |_, (mut a, b, ())| a.value.map_with(b.value, |a, b| a + b)));
            simulation(world(layout, false), schedule, Workers::Local, every)
        };
        field.add(OURS, variant, make, step, check);
    }
    if layout.letters == 0 {
        let make = || {
            let mut schedule = Schedule::new();
            schedule.add(System::rows::<Toggle>("add", |_, (mut a, b, ())| a.value.map_with(b.value, |a, b| a + b)));
            simulation(world(layout, true), schedule, Workers::Local, 10)
        };
        field.add(OURS, "C is a toggle, a generation every 10 frames", make, step, check);
    }
}

// bevy_ecs

type BevyQuery = bevy::QueryState<(&'static mut A, &'static B), bevy::Without<C>>;
type Bevy = (bevy::World, BevyQuery);

fn bevy(field: &mut Field<'_>, layout: &Layout) {
    let make = || {
        let mut world = bevy::World::new();
        for (index, has_c) in layout.has_c.iter().enumerate() {
            let mut entity = world.spawn_empty();
            layout.letters_of(index).for_each(|letter| BEVY_INSERT[letter](&mut entity, 0.0));
            match has_c {
                true => entity.insert((a(index), b(index), C { value: 0.0 })),
                false => entity.insert((a(index), b(index))),
            };
        }
        let query = world.query_filtered();
        (world, query)
    };
    let for_each = |(world, query): &mut Bevy| query.iter_mut(world).for_each(|(mut a, b)| a.value += b.value);
    let contiguous = |(world, query): &mut Bevy| bevy_pairs!(query, world, slices);
    let check = |(world, _): &mut Bevy| {
        let mut sum = Checksum::new();
        world.query::<&A>().iter(world).for_each(|a| add(&mut sum, a));
        sum.get()
    };
    field.add(BEVY, "for_each", make, for_each, check);
    field.add(BEVY, "contiguous_iter_mut, change detection bypassed", make, contiguous, check);
}

// hecs

fn hecs(field: &mut Field<'_>, layout: &Layout) {
    let make = || {
        let mut world = hecs::World::new();
        let mut builder = hecs::EntityBuilder::new();
        for (index, has_c) in layout.has_c.iter().enumerate() {
            layout.letters_of(index).for_each(|letter| HECS_ADD[letter](&mut builder, 0.0));
            builder.add_bundle((a(index), b(index)));
            if *has_c {
                builder.add(C { value: 0.0 });
            }
            world.spawn(builder.build());
        }
        world
    };
    let query = |world: &mut hecs::World| {
        let query = world.query_mut::<(&mut A, &B)>().without::<&C>();
        query.into_iter().for_each(|(a, b)| a.value += b.value);
    };
    let columns = |world: &mut hecs::World| {
        for archetype in world.archetypes().filter(|archetype| !archetype.has::<C>()) {
            let (Some(mut a), Some(b)) = (archetype.get::<&mut A>(), archetype.get::<&B>()) else { continue };
            slices(&mut a, &b);
        }
    };
    let check = |world: &mut hecs::World| {
        let mut sum = Checksum::new();
        world.query_mut::<&A>().into_iter().for_each(|a| add(&mut sum, a));
        sum.get()
    };
    field.add(HECS, "query_mut", make, query, check);
    field.add(HECS, "columns of archetypes", make, columns, check);
}

// flecs

type Flecs = (flecs::Query<(&'static mut A, &'static B)>, flecs::World);

fn flecs(field: &mut Field<'_>, layout: &Layout) {
    let make = || {
        let world = flecs::World::new();
        for (index, has_c) in layout.has_c.iter().enumerate() {
            let entity = world.entity();
            layout.letters_of(index).for_each(|letter| FLECS_SET[letter](entity, 0.0));
            entity.set(a(index)).set(b(index));
            if *has_c {
                entity.set(C { value: 0.0 });
            }
        }
        (world.query().without(C::id()).set_cached().build(), world)
    };
    let check = |(_, world): &mut Flecs| {
        let mut sum = Checksum::new();
        world.new_query::<&A>().each(|a| add(&mut sum, a));
        sum.get()
    };
    field.add(FLECS, "each", make, |(query, _): &mut Flecs| query.each(|(a, b)| a.value += b.value), check);
    field.add(FLECS, "run with slices", make, |(query, _): &mut Flecs| flecs_pairs!(query, A, B, slices), check);
}

// shipyard

fn shipyard(field: &mut Field<'_>, layout: &Layout) {
    let make = || {
        let mut world = shipyard::World::new();
        for (index, has_c) in layout.has_c.iter().enumerate() {
            let entity = world.add_entity((a(index), b(index)));
            layout.letters_of(index).for_each(|letter| SHIPYARD_ADD[letter](&mut world, entity, 0.0));
            if *has_c {
                world.add_component(entity, C { value: 0.0 });
            }
        }
        world
    };
    let iter = |world: &mut shipyard::World| {
        world.run(|mut a: ViewMut<'_, A>, b: View<'_, B>, c: View<'_, C>| {
            (&mut a, &b, !&c).iter().for_each(|(a, b, _)| a.value += b.value);
        });
    };
    let check = |world: &mut shipyard::World| {
        let mut sum = Checksum::new();
        world.run(|a: View<'_, A>| a.iter().for_each(|a| add(&mut sum, a)));
        sum.get()
    };
    field.add(SHIPYARD, "iter", make, iter, check);
}
