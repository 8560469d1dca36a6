//! What sees ghosts (views) and what does not (everything else), whatever becomes of the rows before them.
#![forbid(unsafe_code)]

use hypostyle::errors::GhostError;
use hypostyle::{
    Changed, Component, Entity, OwnedSnapshot, Read, Schedule, SharedReader, Simulation, Snapshot, StepError, System,
    With, Workers, World, WorldError, Write,
};

#[derive(Component, Clone, Copy)]
struct Mass {
    kg: f64,
}
#[derive(Component, Clone, Copy)]
struct Total {
    kg: f64,
    rows: u32,
    foreign: u32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "scratch")]
struct Note {
    number: u32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Asleep;
#[derive(Component, Clone, Copy)]
#[component(track_changes)]
struct Watched {
    number: u32,
}
#[derive(Component, Clone, Copy)]
struct Eye {
    kg: f64,
}

const BODY: [&str; 3] = ["mass", "total", "note"];

fn body(kg: f64) -> (Mass, Total, Note) {
    (Mass { kg }, Total { kg: 0.0, rows: 0, foreign: 0 }, Note { number: kg as u32 })
}

fn world(rows: u32) -> (World, Vec<Entity>) {
    let builder = World::builder().component::<Mass>().component::<Total>().component::<Note>().component::<Asleep>();
    let mut world = builder.component::<Watched>().component::<Eye>().keep_generations(4).build().unwrap();
    let all = world.spawn_batch((0..rows).map(|row| body(f64::from(row)))).unwrap();
    (world, all)
}

/// Gives the table of bodies ghosts with these masses, and notes of the same number.
fn set(world: &mut World, kg: &[f64]) -> usize {
    let table = world.table_with(&BODY).unwrap();
    let notes: Vec<u32> = kg.iter().map(|kg| *kg as u32).collect();
    let columns = [("mass.kg", bytemuck::cast_slice(kg)), ("note.number", bytemuck::cast_slice(&notes))];
    world.set_ghosts(table, kg.len(), &columns).unwrap();
    table
}

/// Sums all masses that it sees, in order; and checks that notes, which are scratch, go with them.
fn sum() -> System {
    System::try_neighbours::<Write<Total>, (Read<Mass>, Read<Note>)>("sum", |job, mut total, others| {
        let (mut kg, mut rows, mut foreign) = (0.0, 0, 0);
        for table in others.tables() {
            let (mass, note) = &table.columns;
            if mass.kg.len() != table.entities.len() || note.number.iter().zip(mass.kg).any(|(n, kg)| *n != *kg as u32)
            {
                return Err("columns of one table".into());
            }
            let ghosts = &table.entities[table.own_rows()..];
            if ghosts.iter().any(|ghost| *ghost != Entity::GHOST || others.locate(*ghost).is_some()) {
                return Err("ghosts have no handle of their own".into());
            }
            kg += mass.kg.iter().sum::<f64>();
            rows += mass.kg.len() as u32;
            foreign += ghosts.len() as u32;
        }
        let own = job.first_row()..job.first_row() + job.len();
        if job.entities().iter().zip(own).any(|(entity, row)| others.locate(*entity) != Some((0, row))) {
            return Err("own rows are where they are".into());
        }
        total.kg.fill(kg);
        total.rows.fill(rows);
        total.foreign.fill(foreign);
        Ok(())
    })
    .job_rows(64)
}

fn totals(world: &World) -> Vec<(f64, u32, u32)> {
    let mut all = Vec::new();
    world
        .query::<Read<Total>>(|_, t| {
            all.extend((0..t.kg.len()).map(|row| (t.kg[row], t.rows[row], t.foreign[row])));
        })
        .unwrap();
    all
}

/// Pins what was published last.
fn pin(world: &World) -> OwnedSnapshot {
    SharedReader::from(world.reader().unwrap()).pin().unwrap()
}

/// A checkpoint's bytes, without its header, which tells when it was made, and its trailer.
#[cfg(feature = "checkpoint")]
fn file(snapshot: &Snapshot<'_>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    hypostyle::checkpoint::write(snapshot, &path, &Default::default()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    bytes[256..bytes.len() - 32].to_vec()
}

/// Built without checkpoints.
#[cfg(not(feature = "checkpoint"))]
fn file(_: &Snapshot<'_>) -> Vec<u8> {
    Vec::new()
}

#[test]
fn views_show_ghosts_and_nothing_else_does() {
    let run = |ghosts: &[f64]| {
        let (mut world, _) = world(100);
        let table = set(&mut world, ghosts);
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<(Write<Mass>, Read<Total>)>("own rows", |job, (mut mass, _)| {
            assert_eq!(job.len(), 100);
            mass.kg.map(|kg| kg);
        }));
        // ghosts are looked at, and what is seen changes nothing
        schedule.add(System::neighbours::<Write<Note>, Read<Mass>>("look", |_, mut note, others| {
            let rows = others.tables().map(|table| table.columns.kg.len()).sum::<usize>();
            note.number.fill(rows as u32);
        }));
        let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
        simulation.run(3, 1.0).unwrap();
        let mut reader = simulation.world().reader().unwrap();
        let snapshot = reader.pin().unwrap();
        let hash = snapshot.hash();
        let rows = snapshot.tables().map(|table| table.rows()).sum::<usize>();
        let world = simulation.world();
        let mut seen = 0;
        world.query::<Read<Mass>>(|_, mass| seen += mass.kg.len()).unwrap();
        assert_eq!((world.entity_count(), rows, seen, world.table_rows(table)), (100, 100, 100, 100));
        assert_eq!((world.ghosts(table), world.table_entities(table).len()), (ghosts.len(), 100));
        let mut note = 0;
        world.query::<Read<Note>>(|_, notes| note = notes.number[0]).unwrap();
        assert_eq!(note as usize, 100 + ghosts.len(), "the view had them");
        (hash, file(&snapshot))
    };
    let (hash, file) = run(&[]);
    for ghosts in [1_usize, 28, 29, 500] {
        let (other, bytes) = run(&vec![7.0; ghosts]);
        assert_eq!(other, hash);
        assert_eq!(bytes.len(), file.len());
        // a table of 100 rows has room for 128, and a checkpoint says for how many
        assert!(ghosts > 28 || bytes == file, "a checkpoint has no byte of {ghosts} ghosts");
    }
}

/// Rows come and go, the table grows, generations are made: ghosts stay behind them all.
#[test]
fn ghosts_stay_behind_rows_that_come_go_and_move() {
    for publish_every in [1, 3] {
        let (mut world, _) = world(10);
        let ghosts = [1000.0, 2000.0, 4000.0];
        let table = set(&mut world, &ghosts);
        let mut schedule = Schedule::new();
        schedule.add(sum());
        let change = System::rows::<Read<Mass>>("change", |job, mass| {
            let frame = job.frame();
            for row in 0..job.len() {
                // of every three rows one goes in some frames, in others each brings another one
                if frame % 4 == 0 && job.table_row(row) % 3 == 0 {
                    job.despawn_row(row);
                } else if frame % 4 != 0 {
                    job.spawn(body(mass.kg[row] + 0.5));
                }
            }
        });
        schedule.add(change.spawns::<(Mass, Total, Note)>().despawns().after("sum"));
        let builder = Simulation::builder().workers(Workers::Threads(2)).publish_every(publish_every);
        let mut simulation = builder.build(world, schedule).unwrap();
        let mut sizes = Vec::new();
        for _ in 0..11 {
            let mut own = Vec::new();
            simulation.world().query::<Read<Mass>>(|_, mass| own.extend_from_slice(mass.kg)).unwrap();
            let before: Vec<Entity> = simulation.world().table_entities(table).to_vec();
            simulation.step(1.0).unwrap();
            let want: f64 = [own.iter().sum::<f64>(), 0.0].iter().sum::<f64>();
            let world = simulation.world();
            let seen: Vec<Total> = before.iter().filter_map(|entity| world.get::<Total>(*entity).ok()).collect();
            assert!(!seen.is_empty());
            for total in &seen {
                assert_eq!((total.rows as usize, total.foreign), (own.len() + 3, 3));
                assert!((total.kg - want - 7000.0).abs() < 1e-6, "{} is not {want} and 7000", total.kg);
            }
            sizes.push(own.len());
        }
        assert!(sizes.iter().max() > Some(&1000), "the table grew beyond its room: {sizes:?}");
        assert!(sizes.windows(2).any(|two| two[1] < two[0]), "rows went: {sizes:?}");
        assert_eq!(simulation.world().ghosts(table), 3);
    }
}

/// A generation is somebody else's: not a byte of it is written, also where its rows are gone from the table.
#[test]
fn what_a_generation_names_is_not_written() {
    for gone in [0, 1, 99, 100] {
        let (mut world, all) = world(100);
        world.spawn(Eye { kg: 0.0 }).unwrap();
        let mut schedule = Schedule::new();
        schedule.add(System::neighbours::<Write<Eye>, (Read<Mass>, Read<Total>)>("look", |_, mut eye, others| {
            eye.kg.fill(others.tables().flat_map(|table| table.columns.0.kg).sum());
        }));
        let builder = Simulation::builder().workers(Workers::Local).publish_every(1);
        let mut simulation = builder.build(world, schedule).unwrap();
        simulation.step(1.0).unwrap();
        let pinned = pin(simulation.world());
        let hash = pinned.snapshot().hash();
        let world = simulation.world_mut();
        if gone == 100 {
            // not a column is written where all rows go
            assert_eq!(world.despawn_where::<With<Mass>>().unwrap(), 100);
        } else {
            world.despawn_batch(&all[100 - gone..]).unwrap();
        }
        let table = world.table_with(&BODY).unwrap();
        let (kg, zeros) = ([5000.0; 28], [0_u32; 28]);
        let columns = [
            ("mass.kg", bytemuck::cast_slice(&kg)),
            ("total.kg", bytemuck::cast_slice(&kg)),
            ("total.rows", bytemuck::cast_slice(&zeros)),
            ("total.foreign", bytemuck::cast_slice(&zeros)),
        ];
        world.set_ghosts(table, 28, &columns).unwrap();
        simulation.run(2, 1.0).unwrap();
        let kept: f64 = (0..100 - gone).map(|kg| kg as f64).sum();
        let mut eye = 0.0;
        simulation.world().query::<Read<Eye>>(|_, eyes| eye = eyes.kg[0]).unwrap();
        assert_eq!(eye, kept + 28.0 * 5000.0, "{gone} rows are gone");
        assert_eq!(pinned.snapshot().hash(), hash, "{gone} rows are gone");
        simulation.rollback(2).unwrap();
        let world = simulation.world();
        assert_eq!((world.entity_count(), world.ghosts(table)), (101, 0), "ghosts of a later state are gone");
        assert_eq!(world.get::<Mass>(all[99]).unwrap().kg, 99.0);
        assert_eq!(pin(world).snapshot().hash(), hash);
    }
}

/// A patch on a row of another part would be lost: it fails the frame, in whatever form it comes.
#[test]
fn a_patch_on_a_ghost_fails_the_frame() {
    type Hit = fn(&mut hypostyle::Job<'_, '_>, Entity);
    let hits: [(&str, Hit); 5] = [
        ("sets", |job, ghost| job.set(ghost, Eye { kg: 1.0 })),
        ("sets among others", |job, ghost| {
            let own = job.entities()[0];
            job.set(own, Eye { kg: 2.0 });
            job.set(ghost, Eye { kg: 1.0 });
        }),
        ("adds", |job, ghost| job.add(ghost, Asleep)),
        ("accumulates", |job, ghost| job.accumulate(ghost, Mass { kg: 1.0 })),
        ("despawns", |job, ghost| job.despawn(ghost)),
    ];
    for (name, hit) in hits {
        let (mut world, all) = world(3);
        world.spawn(Eye { kg: 0.0 }).unwrap();
        set(&mut world, &[10.0]);
        let mut schedule = Schedule::new();
        let system = System::neighbours::<Read<Eye>, Read<Mass>>(name, move |job, _, others| {
            let table = others.table(0);
            job.set(Entity::NULL, Eye { kg: 0.0 });
            if job.frame() > 1 {
                hit(job, table.entities[table.own_rows()]);
            }
        });
        let system = system.sets::<Eye>().adds::<Asleep>().despawns();
        schedule.add(system.accumulates::<Mass>(hypostyle::FieldJoin::Sum));
        let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
        simulation.step(1.0).unwrap();
        let error = simulation.step(1.0).unwrap_err();
        assert!(error.to_string().contains(&format!("system `{name}` has a patch on an entity")), "{error}");
        let StepError::World { source, undone: 1, frame: 1 } = error else { panic!("{error}") };
        assert!(matches!(*source, WorldError::Ghosts(GhostError::Patched { .. })));
        assert_eq!(simulation.world().entity_count(), 4);
        assert!(simulation.world().contains(all[0]));
    }
}

#[test]
fn ghosts_can_be_changed_and_taken_away() {
    let (mut world, all) = world(2);
    let table = set(&mut world, &[10.0, 20.0]);
    let mut schedule = Schedule::new();
    schedule.add(sum());
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    assert_eq!(totals(simulation.world()), [(31.0, 4, 2); 2]);
    let column = simulation.world_mut().ghost_column_mut(table, "mass.kg").unwrap().unwrap();
    bytemuck::cast_slice_mut::<u8, f64>(column)[1] = 20.25;
    simulation.step(1.0).unwrap();
    assert_eq!(totals(simulation.world()), [(31.25, 4, 2); 2]);
    assert_eq!(simulation.world().ghost_column(table, "total.kg").unwrap(), None);
    simulation.world_mut().clear_ghosts();
    simulation.step(1.0).unwrap();
    assert_eq!(totals(simulation.world()), [(1.0, 2, 0); 2]);
    assert_eq!(simulation.world().get::<Mass>(all[1]).unwrap().kg, 1.0);
}

#[test]
fn what_ghosts_cannot_be_is_said() {
    let (mut world, all) = world(3);
    let table = set(&mut world, &[1.0]);
    let kg = 1.0_f64.to_le_bytes();
    let error = world.set_ghosts(table, 2, &[("mass.kg", &kg)]).unwrap_err();
    assert!(matches!(error, WorldError::ColumnLength { got: 8, want: 16, .. }), "{error}");
    let error = world.set_ghosts(table, 1, &[("eye.kg", &kg)]).unwrap_err();
    assert!(error.to_string().contains("has no component `eye`"), "{error}");
    let error = world.set_ghosts(table, usize::MAX, &[("mass.kg", &kg)]).unwrap_err();
    assert!(matches!(error, WorldError::Ghosts(GhostError::TooMany { rows: 3, .. })), "{error}");
    assert!(world.set_ghosts(table, 1, &[("mass.lb", &kg)]).is_err());
    assert_eq!(world.ghosts(table), 1, "it has the ghosts that it had");

    fn fails(world: World, system: System) -> (World, GhostError) {
        let mut schedule = Schedule::new();
        schedule.add(system);
        let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
        let error = simulation.step(1.0).unwrap_err();
        let StepError::World { source, undone: 1, .. } = error else { panic!("{error}") };
        let WorldError::Ghosts(error) = *source else { panic!("{source}") };
        simulation.step(1.0).unwrap();
        (simulation.into_world(), error)
    }
    let system = System::neighbours::<Write<Total>, Read<Total>>("totals", |_, _, _| {});
    // a column that is written as well is looked at as it was
    let (mut world, error) = fails(world, system);
    assert!(matches!(&error, GhostError::Missing { component, .. } if component == "total"), "{error}");
    world.add(all[0], Asleep).unwrap();
    set(&mut world, &[1.0]);
    let system = System::neighbours::<Write<Total>, (Read<Mass>, With<Asleep>)>("sleepers", |_, _, _| {});
    let (mut world, error) = fails(world, system);
    assert!(matches!(&error, GhostError::Bits { system, .. } if system == "sleepers"), "{error}");
    world.spawn((Watched { number: 1 }, Total { kg: 0.0, rows: 0, foreign: 0 })).unwrap();
    let watched = world.table_with(&["watched", "total"]).unwrap();
    world.set_ghosts(watched, 1, &[("watched.number", &[0; 4])]).unwrap();
    let system = System::neighbours::<Write<Total>, (Read<Watched>, Changed<Watched>)>("changes", |_, _, _| {});
    let (_, error) = fails(world, system);
    assert!(matches!(&error, GhostError::Bits { system, .. } if system == "changes"), "{error}");
}
