//! Relations by handles, and events of one frame.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{
    Component, Entities, Entity, JobError, Loop, Read, Resource, Schedule, Simulation, System, With, Without, Workers,
    World, Write,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Child {
    parent: Entity,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Links {
    to: [Entity; 3],
    strength: u8,
}
#[derive(Component, Clone, Copy)]
struct Name {
    number: u32,
}
#[derive(Component, Clone, Copy)]
struct Event {
    from: Entity,
    number: u32,
}

fn world() -> World {
    let builder = World::builder().component::<Child>().component::<Links>().component::<Name>();
    builder.component::<Event>().build().unwrap()
}

/// Chains of children: each entity's parent is the one before; every tenth has none.
fn chains(world: &mut World, count: u32) -> Vec<Entity> {
    let mut all: Vec<Entity> = Vec::new();
    for number in 0..count {
        let parent = if number % 10 == 0 { Entity::NULL } else { all[number as usize - 1] };
        all.push(world.spawn((Child { parent }, Name { number })).unwrap());
    }
    all
}

#[test]
fn children_go_with_their_parents_a_step_each_run() {
    for (workers, passes, frames) in [(Workers::Local, 1, 9), (Workers::Threads(2), 9, 1)] {
        let mut world = world();
        let all = chains(&mut world, 30_000);
        for first in all.iter().step_by(30) {
            world.despawn(*first).unwrap();
        }
        let mut schedule = Schedule::new();
        schedule.add_loop(Loop::new("cascade").times(passes));
        schedule.add(System::relation_cascade("go", "child.parent").in_loop("cascade"));
        let mut simulation = Simulation::new(world, schedule, workers).unwrap();
        simulation.run(frames, 1.0).unwrap();
        let world = simulation.world();
        assert_eq!(world.entity_count(), 20_000, "{workers}");
        assert!(all.iter().enumerate().all(|(index, entity)| world.contains(*entity) == (index % 30 >= 10)));
    }
}

#[test]
fn handles_of_what_is_gone_are_forgotten() {
    let mut world = world();
    let all = world.spawn_batch((0..100).map(|number| Name { number })).unwrap();
    let to = |i: usize| Links { to: [all[i], Entity::NULL, all[(i + 1) % 100]], strength: i as u8 };
    let linked = world.spawn_batch((0..100).map(to)).unwrap();
    for entity in all.iter().step_by(4) {
        world.despawn(*entity).unwrap();
    }
    // takes the place of one that is gone
    world.spawn(Name { number: 7 }).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(System::relation_clear("forget", "links.to"));
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    let changed = |simulation: &mut Simulation| {
        let before = simulation.world().generation();
        simulation.step(1.0).unwrap();
        let mut reader = simulation.world().reader().unwrap();
        let snapshot = reader.pin().unwrap();
        let tables: Vec<_> = snapshot.tables().collect();
        tables
            .iter()
            .filter_map(|table| table.changed_since("links.to", before).unwrap())
            .any(|chunks| !chunks.is_empty())
    };
    assert!(changed(&mut simulation));
    for (index, entity) in linked.iter().enumerate() {
        let keep = |i: usize| if i.is_multiple_of(4) { Entity::NULL } else { all[i] };
        let want = Links { to: [keep(index), Entity::NULL, keep((index + 1) % 100)], strength: index as u8 };
        assert_eq!(simulation.world().get::<Links>(*entity).unwrap(), want);
    }
    assert!(!changed(&mut simulation), "nothing is written where nothing is gone");
}

#[test]
fn events_live_from_their_system_to_the_end_of_the_frame() {
    fn run(workers: Workers) -> (Vec<u32>, u64) {
        let mut world = world();
        chains(&mut world, 20_000);
        let mut schedule = Schedule::new();
        schedule.add(
            System::rows::<(Read<Name>, Entities)>("send", |job, (name, who)| {
                let frame = job.frame();
                for row in (0..job.len()).filter(|row| (u64::from(name.number[*row]) + frame).is_multiple_of(3)) {
                    job.spawn(Event { from: who[row], number: name.number[row] });
                }
            })
            .spawns::<Event>(),
        );
        schedule.add(
            System::neighbours::<Write<Name>, Read<Event>>("take", |_, mut name, events| {
                let events: Vec<_> = events.tables().collect();
                let all: usize = events.iter().map(|table| table.columns.number.len()).sum();
                assert!((6666..=6667).contains(&all), "those of this frame, and no others: {all}");
                let sum =
                    events.iter().flat_map(|table| table.columns.number).fold(0, |a: u32, b| a.wrapping_mul(31) ^ b);
                name.number.iter_mut().for_each(|number| *number = number.wrapping_add(sum % 3 * 3));
            })
            .after("send"),
        );
        schedule.add(System::ends_events::<Event>("events end"));
        let mut simulation = Simulation::new(world, schedule, workers).unwrap();
        simulation.run(4, 1.0).unwrap();
        assert_eq!(simulation.world().entity_count(), 20_000);
        let mut numbers = Vec::new();
        simulation.world().query::<Read<Name>>(|_, name| numbers.extend_from_slice(name.number)).unwrap();
        let hash = simulation.world().reader().unwrap().pin().unwrap().hash();
        (numbers, hash)
    }
    let expected = run(Workers::Local);
    assert!(run(Workers::Threads(3)) == expected);
}

#[test]
fn relations_are_fields_of_handles() {
    let error = |system: System| {
        let mut schedule = Schedule::new();
        schedule.add(system);
        Simulation::new(world(), schedule, Workers::Local).err().unwrap().to_string()
    };
    assert!(error(System::relation_cascade("it", "name.number")).contains("`name.number` is u32"));
    assert!(error(System::relation_cascade("it", "links.to")).contains("take a field of one"));
    assert!(error(System::relation_clear("it", "links.other")).contains("other"));
}

#[derive(Resource, Clone, Copy)]
struct Table {
    odd: u8,
    values: [f64; 100],
}
#[derive(Resource, Clone, Copy)]
struct Grid {
    values: [f32; 1000],
    cells: u16,
}

#[test]
fn resources_are_looked_at_where_they_are() {
    let mut world = World::builder().component::<Name>().resource::<Table>().resource::<Grid>().build().unwrap();
    world.spawn(Name { number: 0 }).unwrap();
    world.insert_resource(Table { odd: 1, values: [0.5; 100] }).unwrap();
    world.insert_resource(Grid { values: std::array::from_fn(|i| i as f32), cells: 3 }).unwrap();
    let mut schedule = Schedule::new();
    let look = System::try_rows::<Write<Name>>("look", |job, mut name| {
        let values = job.resource_elements::<Grid, f32>("values")?;
        let cells = job.resource_elements::<Grid, u16>("cells")?;
        name.number[0] = values[700] as u32 + u32::from(cells[0]);
        let wrong = job.resource_elements::<Grid, f64>("values");
        assert!(matches!(wrong, Err(JobError::Elements { .. })), "another type");
        let wrong = job.resource_elements::<Table, f64>("values");
        assert!(wrong.unwrap_err().to_string().contains("larger types first"));
        assert_eq!(job.resource_elements::<Table, u8>("odd")?, [1]);
        Ok(())
    });
    schedule.add(look.reads_resource::<Grid>().reads_resource::<Table>());
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    let mut number = 0;
    simulation.world().query::<Read<Name>>(|_, name| number = name.number[0]).unwrap();
    assert_eq!(number, 703);
}

#[derive(Component, Clone, Copy)]
struct Armed {
    at: u32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Noted;
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Seen {
    gained: u32,
    lost: u32,
}

/// Whether an entity is armed after a frame.
fn armed(number: u32, frame: u64) -> bool {
    (u64::from(number) * 7 + frame * frame / 3) % 5 < 2
}

#[test]
fn each_gain_and_each_loss_is_seen_once() {
    for (workers, publish_every) in [(Workers::Local, 1), (Workers::Threads(2), 3)] {
        let builder = World::builder().component::<Armed>().component::<Noted>().component::<Seen>();
        let mut world = builder.component::<Name>().build().unwrap();
        let row = |number| (Name { number }, Seen { gained: 0, lost: 0 });
        let all = world.spawn_batch((0..20_000).map(row)).unwrap();
        for (number, entity) in all.iter().enumerate().filter(|(number, _)| armed(*number as u32, 0)) {
            world.add(*entity, Armed { at: number as u32 }).unwrap();
        }
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<(Write<Seen>, With<Armed>, Without<Noted>)>("gained", |_, (mut seen, (), ())| {
            seen.gained.map(|count| count + 1);
        }));
        schedule.add(System::rows::<(Write<Seen>, Without<Armed>, With<Noted>)>("lost", |_, (mut seen, (), ())| {
            seen.lost.map(|count| count + 1);
        }));
        schedule.add(System::marks_gained("note", "armed", "noted").after("gained"));
        schedule.add(System::marks_lost("forget", "armed", "noted").after("lost"));
        // some change before those who look, some after
        let turn = |name: &str, part: u32| {
            System::rows::<Read<Name>>(name, move |job, names| {
                for (row, number) in names.number.iter().enumerate().filter(|(_, number)| *number % 2 == part) {
                    match armed(*number, job.frame()) {
                        true => job.add_row(row, Armed { at: *number }),
                        false => job.remove_row::<Armed>(row),
                    }
                }
            })
            .adds::<Armed>()
            .removes::<Armed>()
        };
        schedule.add(turn("early", 0).before("gained").before("lost"));
        schedule.add(turn("late", 1).after("note").after("forget"));
        let mut simulation =
            Simulation::builder().workers(workers).publish_every(publish_every).build(world, schedule).unwrap();
        const FRAMES: u64 = 12;
        simulation.run(FRAMES, 1.0).unwrap();
        for (number, entity) in all.iter().enumerate() {
            let number = number as u32;
            // what those who look have seen: in each frame what it came to, or what the frame before did
            let states = (1..=FRAMES).map(|frame| armed(number, frame - u64::from(number % 2 == 1)));
            let (mut want, mut before) = (Seen { gained: 0, lost: 0 }, false);
            for state in states {
                want.gained += u32::from(state && !before);
                want.lost += u32::from(!state && before);
                before = state;
            }
            assert_eq!(simulation.world().get::<Seen>(*entity).unwrap(), want, "entity {number}, {workers}");
        }
    }
}

#[test]
fn what_marks_is_a_tag() {
    let mut schedule = Schedule::new();
    schedule.add(System::marks_gained("note", "child", "name"));
    let Err(error) = Simulation::new(world(), schedule, Workers::Local) else { panic!("a field is no tag") };
    let error = error.to_string();
    assert!(error.contains("component `name` has 1 field(s); what marks the known entities is a tag"), "{error}");
}
