//! The scene: atoms in a periodic square that push each other, sorted by cell and id.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use hypostyle::space::{Bounds, CellGrid, NeighbourSearch, PairForces};
use hypostyle::{Component, Entity, GlobalId, Read, Reduce, Resource, Schedule, System, World, Write};

pub const SIDE: f64 = 16.0;
pub const REACH: f64 = 2.0;
pub const DT: f64 = 0.06;

#[derive(Component, Clone, Copy)]
pub struct Cell {
    pub key: u32,
}
#[derive(Component, Clone, Copy)]
pub struct Position {
    pub x: f64,
    pub y: f64,
}
#[derive(Component, Clone, Copy)]
pub struct Velocity {
    pub x: f64,
    pub y: f64,
}
#[derive(Component, Clone, Copy)]
pub struct Force {
    pub x: f64,
    pub y: f64,
}
#[derive(Component, Clone, Copy)]
pub struct Crowd {
    pub near: u32,
}

/// What the rows come to.
#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    #[reduce(sum)]
    pub atoms: u64,
    #[reduce(max)]
    pub fastest: f64,
    #[reduce(min)]
    pub leftmost: f64,
    #[reduce(sum)]
    pub columns: [u32; 8],
}

/// Grows by what rows give, in some frames.
#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq)]
pub struct Visits {
    #[reduce(sum)]
    pub count: u64,
}

/// Where one atom is, told by its row alone.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct Leader {
    pub x: f64,
}

/// A sum of floats, whose bits depend on the order.
#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq)]
pub struct Energy {
    #[reduce(sum)]
    pub kinetic: f64,
}

/// An atom as it travels.
pub type Atom = (GlobalId, Cell, Position, Velocity, Force, Crowd);

pub const COMPONENTS: [&str; 6] = ["global_id", "cell", "position", "velocity", "force", "crowd"];

pub fn bounds() -> Bounds<f64, 2> {
    Bounds::periodic([SIDE; 2]).unwrap()
}

pub fn grid() -> CellGrid<f64, 2> {
    CellGrid::new(&bounds(), REACH / 2.0).unwrap()
}

pub fn empty_world() -> World {
    let builder = World::builder().component::<GlobalId>().component::<Cell>().component::<Position>();
    let builder = builder.component::<Velocity>().component::<Force>().component::<Crowd>();
    builder.resource::<Facts>().resource::<Visits>().resource::<Leader>().resource::<Energy>().build().unwrap()
}

/// Atoms on a lattice that was shaken.
pub fn atoms() -> Vec<Atom> {
    let shake = |n: u64| ((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 24) - 0.5) * 0.6;
    let atom = |n: u64| {
        let at = |lattice: u64, salt: u64| (lattice as f64 + 0.5 + shake(n + salt)).rem_euclid(SIDE);
        (
            GlobalId::root(n * 37 % 256),
            Cell { key: 0 },
            Position { x: at(n % 16, 1000), y: at(n / 16, 2000) },
            Velocity { x: 4.0 * shake(n + 3000), y: 4.0 * shake(n + 4000) },
            Force { x: 0.0, y: 0.0 },
            Crowd { near: 0 },
        )
    };
    (0..256).map(atom).collect()
}

pub fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(bin()).add(push()).add(fly()).add(crowd()).add(report()).add(visit()).add(lead());
    schedule
}

fn bin() -> System {
    let grid = grid();
    System::rows::<(Write<Cell>, Read<Position>)>("bin", move |job, (mut cell, at)| {
        for row in 0..job.len() {
            cell.key[row] = grid.key([at.x[row], at.y[row]]);
        }
    })
    .sort_by("cell.key")
    .sort_then_by("global_id.value")
}

fn push() -> System {
    let (bounds, grid) = (bounds(), grid());
    System::try_neighbours::<Write<Force>, (Read<Position>, Read<Cell>)>("push", move |job, mut force, others| {
        let table = others.table(others.own().ok_or("a view without the own table")?);
        let (at, cell) = &table.columns;
        let starts = job.cell_starts(cell.key, grid.count())?;
        let mut lists: Vec<Vec<u32>> = Vec::new();
        let places = [at.x, at.y];
        let rows = job.first_row()..job.first_row() + job.len();
        NeighbourSearch::new(&grid, &starts, places, REACH).each(rows, |_, found| lists.push(found.to_vec()))?;
        let (mut x, mut y) = (vec![0.0; job.len()], vec![0.0; job.len()]);
        PairForces::new(&bounds, places, REACH, REACH).set(
            job.first_row(),
            |row| &lists[row],
            [&mut x, &mut y],
            |square| 3.0 * (REACH * REACH - square) / square,
        );
        for row in 0..job.len() {
            (force.x[row], force.y[row]) = (x[row], y[row]);
        }
        Ok(())
    })
    .job_rows(64)
    .after("bin")
}

fn fly() -> System {
    let bounds = bounds();
    System::rows::<(Write<Position>, Write<Velocity>, Read<Force>)>("fly", move |job, (mut at, mut v, force)| {
        let dt = job.dt();
        for row in 0..job.len() {
            v.x[row] += force.x[row] * dt;
            v.y[row] += force.y[row] * dt;
            let ([x, y], _) = bounds.wrap([at.x[row] + v.x[row] * dt, at.y[row] + v.y[row] * dt]);
            (at.x[row], at.y[row]) = (x, y);
        }
    })
    .after("push")
}

/// Looks at places that have changed since the sort.
fn crowd() -> System {
    let bounds = bounds();
    System::neighbours::<(Write<Crowd>, Read<Position>), Read<Position>>(
        "crowd",
        move |job, (mut crowd, own), others| {
            for row in 0..job.len() {
                let near = |x: f64, y: f64| bounds.distance_square([own.x[row], own.y[row]], [x, y]) < 1.2 * 1.2;
                let tables = others.tables().map(|table| {
                    let places = table.columns.x.iter().zip(table.columns.y);
                    places.filter(|(x, y)| near(**x, **y)).count() as u32
                });
                crowd.near[row] = tables.sum();
            }
        },
    )
    .job_rows(64)
    .after("fly")
}

fn report() -> System {
    System::rows::<(Read<Position>, Read<Velocity>)>("report", |job, (at, v)| {
        for row in 0..job.len() {
            let mut columns = [0; 8];
            columns[(at.x[row] / 2.0) as usize % 8] = 1;
            let fastest = v.x[row] * v.x[row] + v.y[row] * v.y[row];
            job.reduce(Facts { atoms: 1, fastest, leftmost: at.x[row], columns });
        }
    })
    .reduces::<Facts>()
    .after("crowd")
}

fn visit() -> System {
    System::rows::<Read<Position>>("visit", |job, at| {
        if job.frame() > 3 {
            let count = at.x.iter().filter(|x| **x < 1.0).count() as u64;
            if count > 0 {
                job.reduce(Visits { count });
            }
        }
    })
    .accumulates_resource::<Visits>()
    .after("crowd")
}

fn lead() -> System {
    System::rows::<(Read<Position>, Read<GlobalId>)>("lead", |job, (at, id)| {
        if let Some(row) = id.value.iter().position(|id| *id == 7) {
            job.set_resource(Leader { x: at.x[row] });
        }
    })
    .sets_resource::<Leader>()
    .after("crowd")
}

/// Sums energies, which parts of a world cannot.
pub fn weigh() -> System {
    System::rows::<Read<Velocity>>("weigh", |job, v| {
        job.reduce(Energy { kinetic: v.x.iter().chain(v.y).map(|v| v * v).sum() });
    })
    .reduces::<Energy>()
}

/// All of a world's atoms, by id: the bits of all they have.
pub fn by_id(world: &World) -> BTreeMap<u64, Vec<u64>> {
    let table = (0..world.table_count()).filter(|table| world.table_rows(*table) > 0);
    let entities: Vec<Entity> = table.flat_map(|table| world.table_entities(table).to_vec()).collect();
    entities.into_iter().map(|entity| pack(&world.get::<Atom>(entity).unwrap())).map(|atom| (atom[0], atom)).collect()
}

/// An atom as words.
pub fn pack(atom: &Atom) -> Vec<u64> {
    let (id, cell, at, v, force, crowd) = atom;
    let floats = [at.x, at.y, v.x, v.y, force.x, force.y].map(f64::to_bits);
    [&[id.value, u64::from(cell.key), u64::from(crowd.near)], &floats[..]].concat()
}

/// Words that were one.
pub fn unpack(words: &[u64]) -> Atom {
    let float = |at: usize| f64::from_bits(words[at]);
    (
        GlobalId { value: words[0] },
        Cell { key: words[1] as u32 },
        Position { x: float(3), y: float(4) },
        Velocity { x: float(5), y: float(6) },
        Force { x: float(7), y: float(8) },
        Crowd { near: words[2] as u32 },
    )
}

/// The packed bytes of the resources.
pub fn resources(world: &World) -> Vec<Option<Vec<u8>>> {
    ["facts", "visits", "leader"].map(|name| world.resource_bytes(name).unwrap().map(<[u8]>::to_vec)).to_vec()
}
