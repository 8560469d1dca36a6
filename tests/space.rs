//! Tables that are sorted by cells: where the cells begin, what a sort leaves, how often it sorts.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::space::CellStarts;
use hypostyle::{Component, Entity, Read, Schedule, Simulation, StepError, System, Workers, World, Write};

#[derive(Component, Clone, Copy)]
struct Cell {
    key: u32,
}

#[derive(Component, Clone, Copy)]
struct Id {
    id: u32,
}

/// Of the row, and of no entity.
#[derive(Component, Clone, Copy)]
struct Note {
    row: u32,
}

/// What a kernel saw of its own cell: its first row and its end.
#[derive(Component, Clone, Copy)]
struct Seen {
    rows: [u32; 2],
}

const CELLS: u32 = 50;

fn key_of(id: u32, frame: u64) -> u32 {
    (u64::from(id) * 7919 + frame * 31) as u32 % CELLS
}

fn world(n: u32) -> World {
    let builder = World::builder().component::<Cell>().component::<Id>().component::<Note>().component::<Seen>();
    let mut world = builder.build().unwrap();
    let rows = (0..n).map(|id| (Cell { key: 0 }, Id { id }, Note { row: id }, Seen { rows: [0; 2] }));
    world.spawn_batch(rows).unwrap();
    world
}

fn bin() -> System {
    System::rows::<(Write<Cell>, Read<Id>)>("bin", |job, (mut cell, id)| {
        let frame = job.frame();
        cell.key.map_with(id.id, |_, id| key_of(id, frame));
    })
    .sort_by("cell.key")
    .sort_leaves::<Note>()
}

fn look() -> System {
    System::try_neighbours::<(Write<Seen>, Read<Cell>), Read<Cell>>("look", |job, (mut seen, own), others| {
        let Some(table) = others.own() else { return Ok(()) };
        let starts = job.cell_starts(others.table(table).columns.key, CELLS as usize)?;
        for (seen, key) in seen.rows.iter_mut().zip(own.key) {
            let rows = starts.rows(*key);
            *seen = [rows.start as u32, rows.end as u32];
        }
        Ok(())
    })
    .job_rows(64)
}

fn hash(world: &World) -> u64 {
    world.reader().unwrap().pin().unwrap().hash()
}

#[test]
fn kernels_know_where_cells_begin_in_every_frame_and_pool() {
    let mut hashes = Vec::new();
    for workers in [Workers::Local, Workers::Threads(1), Workers::Threads(3)] {
        let mut schedule = Schedule::new();
        schedule.add(bin()).add(look().after("bin"));
        let mut simulation = Simulation::new(world(1000), schedule, workers).unwrap();
        for _ in 0..5 {
            simulation.step(1.0).unwrap();
            let world = simulation.world();
            world
                .query::<(Read<Cell>, Read<Seen>, Read<Note>)>(|_, (cell, seen, note)| {
                    let starts = CellStarts::of_sorted(cell.key, CELLS as usize).unwrap();
                    for row in 0..cell.key.len() {
                        let rows = starts.rows(cell.key[row]);
                        assert_eq!(seen.rows[row], [rows.start as u32, rows.end as u32], "row {row}");
                        assert_eq!(note.row[row], row as u32, "a sort left it where it was");
                    }
                })
                .unwrap();
        }
        hashes.push(hash(simulation.world()));
    }
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

/// A table can be another one at the same place in the next batch: what was made for one batch is not given to another.
#[test]
fn starts_of_one_simulation_are_not_those_of_the_next() {
    for n in [100, 300, 100, 200] {
        let mut schedule = Schedule::new();
        schedule.add(bin()).add(look().after("bin"));
        let mut simulation = Simulation::new(world(n), schedule, Workers::Local).unwrap();
        simulation.step(1.0).unwrap();
        let end = |world: &World| {
            let mut last = 0;
            world.query::<Read<Seen>>(|_, seen| last = seen.rows.iter().map(|rows| rows[1]).max().unwrap()).unwrap();
            last
        };
        assert_eq!(end(simulation.world()), n);
    }
}

#[test]
fn tables_are_sorted_in_every_third_frame_alone() {
    let mut schedule = Schedule::new();
    schedule.add(bin().sort_every(3));
    let mut simulation = Simulation::new(world(500), schedule, Workers::Local).unwrap();
    let order = |world: &World| {
        let (mut ids, mut sorted, mut entities) = (Vec::new(), false, Vec::<Entity>::new());
        world
            .query::<(Read<Id>, Read<Cell>)>(|all, (id, cell)| {
                ids.extend_from_slice(id.id);
                entities.extend_from_slice(all);
                sorted = cell.key.is_sorted();
            })
            .unwrap();
        assert!(entities.iter().zip(&ids).all(|(entity, id)| world.get::<Id>(*entity).unwrap().id == *id));
        (ids, sorted)
    };
    let mut before = order(simulation.world()).0;
    for frame in 1..=7 {
        simulation.step(1.0).unwrap();
        let (ids, sorted) = order(simulation.world());
        assert_eq!((sorted, ids != before), (frame % 3 == 0, frame % 3 == 0), "frame {frame}");
        before = ids;
    }
}

#[test]
fn keys_that_are_no_column_or_not_sorted_are_errors() {
    let run = |system: System| {
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<(Write<Cell>, Read<Id>)>("keys", |_, (mut cell, id)| {
            cell.key.map_with(id.id, |_, id| key_of(id, 1));
        }));
        schedule.add(system.after("keys"));
        let mut simulation = Simulation::new(world(200), schedule, Workers::Local).unwrap();
        match simulation.step(1.0) {
            Err(error @ StepError::Job { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let unsorted = run(look());
    assert!(unsorted.contains("sort the table by its keys first"), "{unsorted}");
    let own = run(System::try_neighbours::<Read<Cell>, Read<Cell>>("own", |job, own, _| {
        job.cell_starts(&own.key[1..], CELLS as usize)?;
        Ok(())
    }));
    assert!(own.contains("the 199 keys are not a whole column of u32"), "{own}");
}

#[test]
fn schedules_that_cannot_sort_so_are_refused() {
    let build = |system: System| {
        let mut schedule = Schedule::new();
        schedule.add(system);
        Simulation::new(world(1), schedule, Workers::Local).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let itself = build(bin().sort_leaves::<Cell>());
    assert!(itself.contains("it sorts by `cell.key` and leaves that component where it is"), "{itself}");
    let nothing = build(System::rows::<Read<Cell>>("nothing", |_, _| {}).sort_every(2));
    assert!(nothing.contains("it says how to sort, and not by what"), "{nothing}");
    let unknown = build(bin().sort_leaves_named("nonsense"));
    assert!(unknown.contains("nonsense"), "{unknown}");
}
