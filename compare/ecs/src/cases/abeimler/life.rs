//! Entities are made and ended one by one, lose and gain a component, and are looked at in no order.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, ComponentId, IdOperations, QueryAPI};
use hypostyle::{Entity, Read, Schedule, Simulation, System, With, Workers, World};
use shipyard::{EntitiesView, EntitiesViewMut, Get as _, IntoIter as _, Remove as _, View, ViewMut};

use super::{Content, Place, Speed, content, place, speed};
use crate::checksum::Checksum;
use crate::flecs_raw::Getter;
use crate::measure::{Bench, Field, Mismatch};
use crate::support::{shuffled, simulation, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[65_536, 1_048_576], &[500]) {
        if let Some(mut field) =
            bench.field("abeimler's ecs_benchmark", "create, 2 components, one by one or in bulk", n)
        {
            create_two(&mut field, n);
            field.measure()?;
        }
        if let Some(mut field) =
            bench.field("abeimler's ecs_benchmark", "create, 3 components, one by one or in bulk", n)
        {
            create_three(&mut field, n);
            field.measure()?;
        }
        if let Some(mut field) = bench.field("abeimler's ecs_benchmark", "destroy, one by one", n) {
            destroy(&mut field, n);
            field.measure()?;
        }
        if let Some(mut field) = bench.field("abeimler's ecs_benchmark", "remove and add a component, each entity", n) {
            remove_add(&mut field, n);
            field.measure()?;
        }
        if let Some(mut field) = bench.field("abeimler's ecs_benchmark", "get 2 components at random", n) {
            get(&mut field, n);
            field.measure()?;
        }
    }
    Ok(())
}

fn sum_of<'a>(rows: impl Iterator<Item = (&'a Place, &'a Speed)>) -> u64 {
    let mut sum = Checksum::new();
    rows.for_each(|(p, s)| sum.add_f32([p.x, p.y, s.x, s.y]));
    sum.get()
}

fn empty(n: usize) -> World {
    let builder = World::builder().component::<Place>().component::<Speed>().component::<Content>();
    builder.bytes_max((64 << 20) + n as u64 * 256).build().expect("a world can be made")
}

fn checksum_of_ours(world: &World) -> u64 {
    let mut sum = Checksum::new();
    let query = world.query::<(Read<Place>, Read<Speed>)>(|_, (p, s)| {
        (0..p.x.len()).for_each(|row| sum.add_f32([p.x[row], p.y[row], s.x[row], s.y[row]]));
    });
    query.expect("known components");
    sum.get()
}

fn checksum_of_bevy(world: &mut bevy::World) -> u64 {
    sum_of(world.query::<(&Place, &Speed)>().iter(world))
}

fn checksum_of_hecs(world: &mut hecs::World) -> u64 {
    sum_of(world.query_mut::<(&Place, &Speed)>().into_iter())
}

fn checksum_of_flecs(world: &flecs::World) -> u64 {
    let mut sum = Checksum::new();
    world.new_query::<(&Place, &Speed)>().each(|(p, s)| sum.add_f32([p.x, p.y, s.x, s.y]));
    sum.get()
}

fn checksum_of_shipyard(world: &shipyard::World) -> u64 {
    world.run(|p: View<'_, Place>, s: View<'_, Speed>| sum_of((&p, &s).iter()))
}

/// Creation into a new world with each engine: `$bundle` makes what an entity is spawned with.
macro_rules! create {
    ($name:ident, $bundle:expr, $set:expr, $Bundle:ty, $storages:ty, $view:expr) => {
        fn $name(field: &mut Field<'_>, n: usize) {
            let bundle: fn(usize) -> $Bundle = $bundle;
            let prepare = move |world: &mut World| *world = empty(n);
            let each = move |world: &mut World| {
                for i in 0..n {
                    world.spawn(bundle(i)).expect("there is memory");
                }
            };
            let batch = move |world: &mut World| {
                world.spawn_batch((0..n).map(bundle)).expect("there is memory");
            };
            field.add_prepared(OURS, "World::spawn, each", || empty(n), prepare, each, |w| checksum_of_ours(w));
            field.add_prepared(OURS, "spawn_batch", || empty(n), prepare, batch, |w| checksum_of_ours(w));
            let prepare = |world: &mut bevy::World| *world = bevy::World::new();
            let each = move |world: &mut bevy::World| {
                for i in 0..n {
                    world.spawn(bundle(i));
                }
            };
            let batch = move |world: &mut bevy::World| {
                world.spawn_batch((0..n).map(bundle)).for_each(drop);
            };
            field.add_prepared(BEVY, "spawn, each", bevy::World::new, prepare, each, checksum_of_bevy);
            field.add_prepared(BEVY, "spawn_batch", bevy::World::new, prepare, batch, checksum_of_bevy);
            let prepare = |world: &mut hecs::World| *world = hecs::World::new();
            let each = move |world: &mut hecs::World| {
                for i in 0..n {
                    world.spawn(bundle(i));
                }
            };
            let batch = move |world: &mut hecs::World| {
                world.spawn_batch((0..n).map(bundle)).for_each(drop);
            };
            field.add_prepared(HECS, "spawn, each", hecs::World::new, prepare, each, checksum_of_hecs);
            field.add_prepared(HECS, "spawn_batch", hecs::World::new, prepare, batch, checksum_of_hecs);
            let prepare = |world: &mut flecs::World| *world = flecs::World::new();
            let each = move |world: &mut flecs::World| {
                for i in 0..n {
                    $set(world.entity(), bundle(i));
                }
            };
            field.add_prepared(FLECS, "entity().set, each", flecs::World::new, prepare, each, |w| checksum_of_flecs(w));
            let prepare = |world: &mut shipyard::World| *world = shipyard::World::new();
            let each = move |world: &mut shipyard::World| {
                world.run(|mut entities: EntitiesViewMut<'_>, views: $storages| $view(&mut entities, views, n, bundle));
            };
            let batch = move |world: &mut shipyard::World| {
                world.bulk_add_entity((0..n).map(bundle)).for_each(drop);
            };
            let check = |world: &mut shipyard::World| checksum_of_shipyard(world);
            field.add_prepared(SHIPYARD, "add_entity, each", shipyard::World::new, prepare, each, check);
            field.add_prepared(SHIPYARD, "bulk_add_entity", shipyard::World::new, prepare, batch, check);
        }
    };
}

type Two = (Place, Speed);
type TwoViews<'v> = (ViewMut<'v, Place>, ViewMut<'v, Speed>);
type Three = (Place, Speed, Content);
type ThreeViews<'v> = (ViewMut<'v, Place>, ViewMut<'v, Speed>, ViewMut<'v, Content>);

create!(
    create_two,
    two,
    |entity: flecs::EntityView<'_>, (p, s): Two| {
        entity.set(p).set(s);
    },
    Two,
    TwoViews<'_>,
    |all: &mut EntitiesViewMut<'_>, (mut p, mut s): TwoViews<'_>, n: usize, bundle: fn(usize) -> Two| {
        for i in 0..n {
            all.add_entity((&mut p, &mut s), bundle(i));
        }
    }
);
create!(
    create_three,
    |i| (place(i), speed(i), content(i)),
    |entity: flecs::EntityView<'_>, (p, s, c): Three| {
        entity.set(p).set(s).set(c);
    },
    Three,
    ThreeViews<'_>,
    |all: &mut EntitiesViewMut<'_>, (mut p, mut s, mut c): ThreeViews<'_>, n: usize, bundle: fn(usize) -> Three| {
        for i in 0..n {
            all.add_entity((&mut p, &mut s, &mut c), bundle(i));
        }
    }
);

fn two(i: usize) -> Two {
    (place(i), speed(i))
}

/// A world and its entities.
type State<W, E> = (W, Vec<E>);

fn ours(n: usize) -> State<World, Entity> {
    let mut world = empty(n);
    let entities = world.spawn_batch((0..n).map(two)).expect("there is memory");
    (world, entities)
}

fn bevy_world(n: usize) -> State<bevy::World, bevy::Entity> {
    let mut world = bevy::World::new();
    let entities = world.spawn_batch((0..n).map(two)).collect();
    (world, entities)
}

fn hecs_world(n: usize) -> State<hecs::World, hecs::Entity> {
    let mut world = hecs::World::new();
    let entities = world.spawn_batch((0..n).map(two)).collect();
    (world, entities)
}

fn flecs_world(n: usize) -> State<flecs::World, flecs::Entity> {
    let world = flecs::World::new();
    let entities = (0..n).map(|i| world.entity().set(place(i)).set(speed(i)).id()).collect();
    (world, entities)
}

fn shipyard_world(n: usize) -> State<shipyard::World, shipyard::EntityId> {
    let mut world = shipyard::World::new();
    let entities = world.bulk_add_entity((0..n).map(two)).collect();
    (world, entities)
}

fn destroy(field: &mut Field<'_>, n: usize) {
    let prepare = move |state: &mut State<World, Entity>| *state = ours(n);
    let run = |(world, entities): &mut State<World, Entity>| {
        entities.iter().for_each(|entity| world.despawn(*entity).expect("it is alive"));
    };
    field.add_prepared(OURS, "World::despawn", || ours(n), prepare, run, |(world, _)| world.entity_count());
    let make = || {
        let mut schedule = Schedule::new();
        let system = System::rows::<With<Place>>("destroy", |job, ()| {
            (0..job.len()).for_each(|row| job.despawn_row(row));
        });
        schedule.add(system.despawns());
        simulation(empty(n), schedule, Workers::Local, 1)
    };
    let prepare = move |simulation: &mut Simulation| {
        simulation.world_mut().spawn_batch((0..n).map(two)).expect("there is memory");
        simulation.world_mut().publish().expect("there is memory");
    };
    field.add_prepared(OURS, "patches on own rows", make, prepare, step, |state| state.world().entity_count());
    let prepare = move |state: &mut State<bevy::World, bevy::Entity>| *state = bevy_world(n);
    let run = |(world, entities): &mut State<bevy::World, bevy::Entity>| {
        entities.iter().for_each(|entity| {
            world.despawn(*entity);
        });
    };
    let check = |(world, _): &mut State<bevy::World, bevy::Entity>| world.query::<&Place>().iter(world).count() as u64;
    field.add_prepared(BEVY, "despawn", || bevy_world(n), prepare, run, check);
    let prepare = move |state: &mut State<hecs::World, hecs::Entity>| *state = hecs_world(n);
    let run = |(world, entities): &mut State<hecs::World, hecs::Entity>| {
        entities.iter().for_each(|entity| world.despawn(*entity).expect("it is alive"));
    };
    field.add_prepared(HECS, "despawn", || hecs_world(n), prepare, run, |(world, _)| u64::from(world.len()));
    let prepare = move |state: &mut State<flecs::World, flecs::Entity>| *state = flecs_world(n);
    let run = |(world, entities): &mut State<flecs::World, flecs::Entity>| {
        entities.iter().for_each(|entity| world.entity_from_id(*entity).destruct());
    };
    let check = |(world, _): &mut State<flecs::World, flecs::Entity>| {
        let mut count = 0;
        world.new_query::<&Place>().each(|_| count += 1);
        count
    };
    field.add_prepared(FLECS, "destruct", || flecs_world(n), prepare, run, check);
    let prepare = move |state: &mut State<shipyard::World, shipyard::EntityId>| *state = shipyard_world(n);
    let run = |(world, entities): &mut State<shipyard::World, shipyard::EntityId>| {
        entities.iter().for_each(|entity| {
            world.delete_entity(*entity);
        });
    };
    let check =
        |(world, _): &mut State<shipyard::World, shipyard::EntityId>| world.run(|p: View<'_, Place>| p.len() as u64);
    field.add_prepared(SHIPYARD, "delete_entity", || shipyard_world(n), prepare, run, check);
}

fn remove_add(field: &mut Field<'_>, n: usize) {
    let run = |(world, entities): &mut State<World, Entity>| {
        for (i, entity) in entities.iter().enumerate() {
            world.remove::<Speed>(*entity).expect("it is alive");
            world.add(*entity, speed(i)).expect("it is alive");
        }
    };
    field.add(OURS, "World::remove and add", || ours(n), run, |(world, _)| checksum_of_ours(world));
    let run = |(world, entities): &mut State<bevy::World, bevy::Entity>| {
        for (i, entity) in entities.iter().enumerate() {
            let mut entity = world.entity_mut(*entity);
            entity.remove::<Speed>();
            entity.insert(speed(i));
        }
    };
    field.add(BEVY, "remove and insert", || bevy_world(n), run, |(world, _)| checksum_of_bevy(world));
    let run = |(world, entities): &mut State<hecs::World, hecs::Entity>| {
        for (i, entity) in entities.iter().enumerate() {
            world.remove_one::<Speed>(*entity).expect("it has one");
            world.insert_one(*entity, speed(i)).expect("it is alive");
        }
    };
    field.add(HECS, "remove_one and insert_one", || hecs_world(n), run, |(world, _)| checksum_of_hecs(world));
    let run = |(world, entities): &mut State<flecs::World, flecs::Entity>| {
        for (i, entity) in entities.iter().enumerate() {
            world.entity_from_id(*entity).remove(Speed::id()).set(speed(i));
        }
    };
    field.add(FLECS, "remove and set", || flecs_world(n), run, |(world, _)| checksum_of_flecs(world));
    let run = |(world, entities): &mut State<shipyard::World, shipyard::EntityId>| {
        world.run(|all: EntitiesView<'_>, mut speeds: ViewMut<'_, Speed>| {
            for (i, entity) in entities.iter().enumerate() {
                speeds.remove(*entity);
                all.add_component(*entity, &mut speeds, speed(i));
            }
        });
    };
    field.add(
        SHIPYARD,
        "remove and add_component",
        || shipyard_world(n),
        run,
        |(world, _)| checksum_of_shipyard(world),
    );
}

/// Whom to look at, and what was seen.
struct Look<W, E> {
    world: W,
    entities: Vec<E>,
    seen: f32,
}

fn look<W, E: Copy>((world, entities): State<W, E>) -> Look<W, E> {
    let entities = shuffled(entities.len()).iter().map(|index| entities[*index as usize]).collect();
    Look { world, entities, seen: 0.0 }
}

fn seen<W, E>(look: &mut Look<W, E>) -> u64 {
    u64::from(look.seen.to_bits())
}

fn get(field: &mut Field<'_>, n: usize) {
    let run = |look: &mut Look<World, Entity>| {
        look.seen = 0.0;
        for entity in &look.entities {
            let place = look.world.get::<Place>(*entity).expect("it is alive");
            let speed = look.world.get::<Speed>(*entity).expect("it is alive");
            look.seen += place.x + speed.y;
        }
    };
    field.add(OURS, "World::get", || look(ours(n)), run, seen);
    let run = |look: &mut Look<World, Entity>| {
        look.seen = 0.0;
        let both = look.world.lookup::<(Place, Speed)>().expect("they are registered");
        for entity in &look.entities {
            let (place, speed) = both.get(*entity).expect("it is alive");
            look.seen += place.x + speed.y;
        }
    };
    field.add(OURS, "World::lookup", || look(ours(n)), run, seen);
    let run = |look: &mut Look<bevy::World, bevy::Entity>| {
        look.seen = 0.0;
        let mut query = look.world.query::<(&Place, &Speed)>();
        let query = query.query(&look.world);
        for entity in &look.entities {
            let (place, speed) = query.get(*entity).expect("it is alive");
            look.seen += place.x + speed.y;
        }
    };
    field.add(BEVY, "Query::get", || look(bevy_world(n)), run, seen);
    let run = |look: &mut Look<hecs::World, hecs::Entity>| {
        look.seen = 0.0;
        let view = look.world.view::<(&Place, &Speed)>();
        for entity in &look.entities {
            let (place, speed) = view.get(*entity).expect("it is alive");
            look.seen += place.x + speed.y;
        }
    };
    field.add(HECS, "View::get", || look(hecs_world(n)), run, seen);
    let run = |look: &mut Look<flecs::World, flecs::Entity>| {
        look.seen = 0.0;
        let (places, speeds) = (Getter::<Place>::new(&look.world), Getter::<Speed>::new(&look.world));
        for entity in &look.entities {
            let place = places.get(*entity).expect("it is alive");
            let speed = speeds.get(*entity).expect("it is alive");
            look.seen += place.x + speed.y;
        }
    };
    field.add(FLECS, "ecs_get_id", || look(flecs_world(n)), run, seen);
    let run = |look: &mut Look<shipyard::World, shipyard::EntityId>| {
        look.seen = 0.0;
        look.world.run(|places: View<'_, Place>, speeds: View<'_, Speed>| {
            for entity in &look.entities {
                let (place, speed) = (&places, &speeds).get(*entity).expect("it is alive");
                look.seen += place.x + speed.y;
            }
        });
    };
    field.add(SHIPYARD, "views", || look(shipyard_world(n)), run, seen);
}
