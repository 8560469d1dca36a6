//! Worlds that go back or stand side by side: faults that were there once, each as a scenario of its own.
#![forbid(unsafe_code)]

use hypostyle::{Component, Read, Schedule, Simulation, StepError, System, With, Workers, World};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Number {
    value: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Other {
    value: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Tag;
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Toggle {
    value: u32,
}

/// Two worlds on one thread, whose components have other ids: ids looked up for the first were used for the second.
#[test]
fn worlds_of_one_thread_do_not_share_component_ids() {
    let schedule = || {
        let mut schedule = Schedule::new();
        let kernel = |job: &mut hypostyle::Job<'_, '_>, number: <Read<Number> as hypostyle::Query>::Item<'_>| {
            for row in 0..job.len() {
                job.set_row(row, Number { value: number.value[row] + 1 });
                job.add_row(row, Tag);
                job.spawn(Other { value: 5 });
            }
        };
        schedule.add(System::rows::<Read<Number>>("patch", kernel).sets::<Number>().adds::<Tag>().spawns::<Other>());
        schedule
    };
    let first = World::builder().component::<Number>().component::<Other>().component::<Tag>();
    let second = World::builder().component::<Tag>().component::<Other>().component::<Number>();
    for builder in [first, second] {
        let mut world = builder.build().unwrap();
        let entity = world.spawn(Number { value: 1 }).unwrap();
        let mut simulation = Simulation::new(world, schedule(), Workers::Local).unwrap();
        let total = simulation.step(1.0).unwrap().total();
        assert_eq!((total.applied, total.refused, total.spawned), (3, 0, 1), "{total:?}");
        assert_eq!(simulation.world().get::<Number>(entity).unwrap(), Number { value: 2 });
        assert!(simulation.world().has::<Tag>(entity));
    }
}

/// A world that went back to its last generation no longer found its tables that have toggles, and made new ones
/// beside them: rows of the same entities then stood in another order than without the failure.
#[test]
fn a_world_that_went_back_finds_its_tables_with_toggles() {
    let mut schedule = Schedule::new();
    schedule.add(System::try_rows::<With<Number>>("fail", |job, ()| match job.payload() {
        [1] => Err("asked to".into()),
        _ => Ok(()),
    }));
    let world = World::builder().component::<Number>().component::<Tag>().component::<Toggle>().build();
    let mut simulation = Simulation::new(world.unwrap(), schedule, Workers::Local).unwrap();
    let first = simulation.world_mut().spawn((Number { value: 1 }, Toggle { value: 1 })).unwrap();
    simulation.step(1.0).unwrap();
    simulation.set_payload("fail", [1]).unwrap();
    assert!(matches!(simulation.step(1.0), Err(StepError::Job { undone: 1, .. })));
    let second = simulation.world_mut().spawn(Number { value: 2 }).unwrap();
    simulation.world_mut().add(first, Tag).unwrap();
    simulation.world_mut().remove::<Tag>(first).unwrap();
    simulation.world_mut().publish().unwrap();
    let mut reader = simulation.world().reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let rows: Vec<Vec<_>> =
        snapshot.tables().map(|table| table.entities().to_vec()).filter(|e| !e.is_empty()).collect();
    assert_eq!(rows, [vec![second, first]], "one table holds both");
}
