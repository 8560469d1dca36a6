//! The scenes of these tests: their components, worlds and schedules, by name, so that a worker can be told which.
//!
//! Everything that a kernel does depends on the seed (its payload), the frame, and what it reads; never on who runs it.
#![forbid(unsafe_code)]

use std::time::Duration;

use hypostyle::{
    AnyOf, Changed, Component, Entities, Entity, Field, FieldJoin, Job, List, Loop, Read, Reduce, RegionTarget,
    Resource, Schedule, Simulation, System, With, Without, World, Write,
};

use crate::hostile;
use crate::support::mix;

/// The step of all scenes.
pub const DT: f64 = 0.0625;

#[derive(Component, Clone, Copy, Debug)]
pub struct Position {
    pub x: f32,
    pub y: f32,
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Velocity {
    pub x: f32,
    pub y: f32,
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Mass {
    pub kg: f64,
    pub parts: [u16; 3],
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Energy {
    pub value: f64,
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Link {
    pub to: Entity,
    pub strength: i32,
}
#[derive(Field, Clone, Copy, Debug)]
pub struct Spin {
    pub axis: [f32; 3],
    pub rate: f32,
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Rotor(pub Spin, pub u32);
#[derive(Component, Clone, Copy, Debug)]
pub struct Hot;
#[derive(Component, Clone, Copy, Debug)]
#[component(track_changes)]
pub struct Charge {
    pub q: i32,
    pub on: bool,
}
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Frozen {
    pub since: f32,
}
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Seen;
#[derive(Component, Clone, Copy, Debug)]
pub struct Cell {
    pub key: u32,
}
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "scratch")]
pub struct Near {
    pub sums: [f64; 5],
    pub places: [u32; 3],
}
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "list")]
pub struct Contact {
    pub other: Entity,
    pub spring: [f32; 3],
    pub on: bool,
}
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "scratch_list")]
pub struct Draft {
    pub value: u32,
}
#[derive(Resource, Clone, Copy, Debug)]
pub struct Weather {
    #[resource(default = 0.25)]
    pub wind: f32,
    #[resource(default = 1)]
    pub storms: u32,
}

#[derive(Resource, Reduce, Clone, Copy, Debug)]
pub struct Census {
    #[reduce(sum)]
    pub drift: f64,
    #[reduce(max)]
    pub fastest: f32,
    #[reduce(sum)]
    pub rows: u64,
    #[reduce(sum)]
    pub histogram: [u32; 5],
}

/// What all frames have left, joined to what was there.
#[derive(Resource, Reduce, Clone, Copy, Debug)]
pub struct Ledger {
    #[reduce(sum)]
    pub drift: [f64; 7],
    #[reduce(or)]
    pub seen: u32,
}

/// A row whose every field is sealed by one of them; written whole in each frame.
#[derive(Component, Clone, Copy, Debug)]
pub struct Sealed {
    pub id: u64,
    pub x: f32,
    pub y: f32,
    pub frame: u64,
    pub seal: u64,
}
/// Sealed as well, written here and there.
#[derive(Component, Clone, Copy, Debug)]
pub struct Sparse {
    pub value: u32,
    pub parts: [u16; 3],
    pub seal: u32,
}
/// Sealed as well, comes and goes.
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Marked {
    pub since: u32,
    pub seal: u32,
}
#[derive(Resource, Clone, Copy, Debug)]
pub struct Clock {
    #[resource(default = 0)]
    pub frame: u64,
    #[resource(default = 0)]
    pub seal: u64,
}

impl Sealed {
    pub fn new(id: u64, x: f32, y: f32, frame: u64) -> Sealed {
        Sealed { id, x, y, frame, seal: seal_of(id, x, y, frame) }
    }
}

pub fn seal_of(id: u64, x: f32, y: f32, frame: u64) -> u64 {
    mix(id ^ mix(u64::from(x.to_bits()) << 32 | u64::from(y.to_bits())) ^ mix(frame).rotate_left(17))
}

impl Sparse {
    pub fn new(value: u32) -> Sparse {
        let parts = [value as u16, (value >> 8) as u16, !value as u16];
        Sparse { value, parts, seal: sparse_seal(value, parts) }
    }
}

pub fn sparse_seal(value: u32, parts: [u16; 3]) -> u32 {
    mix(u64::from(value) | u64::from(parts[0]) << 32 ^ u64::from(parts[1]) << 40 ^ u64::from(parts[2]) << 48) as u32
}

impl Marked {
    pub fn new(since: u32) -> Marked {
        Marked { since, seal: mix(u64::from(since)) as u32 }
    }
}

/// Systems of every schedule that have a seed as their payload.
const SEEDED: [&str; 12] =
    ["touch", "heat", "charges", "births", "adopts", "leaks", "weather", "wrong", "stir", "poke", "flip", "swap"];

/// Gives all systems their seed.
pub fn seed(simulation: &mut Simulation, seed: u64) {
    for system in SEEDED {
        // a schedule has some of them
        let _ = simulation.set_payload(system, seed.to_le_bytes());
    }
}

/// The schedule of this name.
pub fn schedule(name: &str) -> Schedule {
    let mut schedule = Schedule::new();
    match name {
        "mixed" => mixed(&mut schedule),
        "local" => local(&mut schedule),
        "flood" => flood(&mut schedule),
        "sealed" => sealed(&mut schedule),
        "faulty" => faulty(&mut schedule, None, 64),
        "faulty-otherwise" => faulty(&mut schedule, None, 128),
        "deadline" => faulty(&mut schedule, Some(Duration::from_millis(400)), 64),
        _ => panic!("there is no schedule `{name}`"),
    }
    schedule
}

/// The world of a scene.
pub fn world(scene: &str, region: RegionTarget, rows: usize, seed: u64) -> World {
    match scene {
        "mixed" => mixed_world(region, rows, seed),
        "sealed" => sealed_world(region, rows, None),
        _ => plain_world(region, rows),
    }
}

/// The job's seed.
fn seed_of(job: &Job<'_, '_>) -> u64 {
    job.payload().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A number for an entity of this frame and this purpose.
fn roll(job: &Job<'_, '_>, seed: u64, row: usize, purpose: u64) -> u64 {
    mix(seed ^ mix(job.frame() << 8 | purpose) ^ mix(u64::from(job.entities()[row].index())))
}

fn mixed_world(region: RegionTarget, rows: usize, seed: u64) -> World {
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .component::<Mass>()
        .component::<Energy>()
        .component::<Link>()
        .component::<Rotor>()
        .component::<Hot>()
        .component::<Charge>()
        .component::<Frozen>()
        .component::<Seen>()
        .component::<Cell>()
        .component::<Near>()
        .component::<Contact>()
        .component::<Draft>()
        .resource::<Weather>()
        .resource::<Census>()
        .resource::<Ledger>()
        .bytes_max(1 << 30)
        .region(region)
        .build()
        .unwrap();
    let number = |i: usize, k: u64| (mix(seed ^ mix(i as u64) ^ k) % 1000) as f32 * 0.125;
    let body = |i: usize| {
        let position = Position { x: number(i, 1), y: number(i, 2) };
        let velocity = Velocity { x: number(i, 3) - 60.0, y: number(i, 4) - 60.0 };
        (position, velocity, Energy { value: 0.0 })
    };
    let mass = |i: usize| Mass { kg: 1.0 + f64::from(number(i, 5)), parts: [i as u16, 7, (i * 3) as u16] };
    let rotor = |i: usize| Rotor(Spin { axis: [0.0, number(i, 6), 1.0], rate: 0.25 }, i as u32);
    let link = |to: Entity, i: usize| Link { to, strength: i as i32 };
    let first = world
        .spawn_batch((0..rows / 2).map(|i| {
            let lists = (List::<Contact>::new(), List::<Draft>::new());
            (body(i), Cell { key: 0 }, Near { sums: [0.5; 5], places: [7; 3] }, lists)
        }))
        .unwrap();
    let at = |i: usize| first[mix(seed ^ i as u64) as usize % first.len()];
    world.spawn_batch((0..rows / 4).map(|i| (body(i + 7), link(at(i), i), mass(i), rotor(i)))).unwrap();
    let linked = world.spawn_batch((0..rows / 4).map(|i| (body(i + 9), link(at(i + 1), i), List::<Contact>::new())));
    let linked = linked.unwrap();
    for (i, entity) in linked.iter().enumerate().step_by(5) {
        world.add(*entity, Charge { q: i as i32, on: i % 2 == 0 }).unwrap();
    }
    world
}

/// Lists that are set, grown, emptied and read: of own rows, of others, and of rows that are new.
fn lists(schedule: &mut Schedule) {
    let contact = |other: Entity, n: u64| Contact { other, spring: [n as f32, 0.5, -1.0], on: n.is_multiple_of(3) };
    let touch = System::try_rows::<(Read<Position>, Option<Read<Link>>)>("touch", move |job, (p, link)| {
        let seed = seed_of(job);
        let contacts = job.lists::<Contact>()?;
        for row in 0..job.len() {
            let own = job.entities()[row];
            let roll = roll(job, seed, row, 9);
            let mut list: Vec<Contact> = contacts.iter(row).collect();
            match roll % 16 {
                // longer than the smallest ring
                0 => list = (0..roll / 16 % 90).map(|n| contact(own, n)).collect(),
                1..=4 => list.push(contact(own, roll)),
                5 => list.clear(),
                6 => {
                    let child =
                        job.spawn((Position { x: p.x[row], y: 0.0 }, List::<Contact>::new(), List::<Draft>::new()));
                    job.set_list(child, &[contact(child, 1), contact(own, roll % 1000)]);
                    job.set_list(child, &[Draft { value: roll as u32 }; 5]);
                    list.push(contact(child, 7));
                }
                7 => {
                    if let Some(link) = &link {
                        job.set_list(link.to[row], &[contact(own, roll % 100); 3]);
                    }
                    continue;
                }
                _ => continue,
            }
            job.set_list_row(row, &list);
        }
        Ok(())
    });
    let touch = touch.reads_lists::<Contact>().sets_lists::<Contact>().sets_lists::<Draft>().job_rows(64);
    schedule.add(touch.spawns::<(Position, List<Contact>, List<Draft>)>());
    let draft = System::rows::<(Read<Position>, With<Draft>)>("draft", |job, (p, ())| {
        for row in 0..job.len() {
            let value = p.x[row].to_bits();
            job.set_list_row(row, &vec![Draft { value }; (value % 20) as usize]);
        }
    });
    schedule.add(draft.sets_lists::<Draft>().after("touch").job_rows(128));
    let pull = System::try_rows::<Write<Velocity>>("pull", |job, mut v| {
        let (contacts, drafts) = (job.lists::<Contact>()?, job.lists::<Draft>()?);
        for row in 0..job.len() {
            let pull: f32 = contacts.columns().spring[contacts.range(row)].iter().map(|spring| spring[0] * 0.125).sum();
            let known = contacts.iter(row).filter(|contact| contact.on && !contact.other.is_reserved()).count();
            let draft: u32 = drafts.columns().value[drafts.range(row)].iter().fold(0, |sum, value| sum ^ value);
            v.y[row] += (pull % 8.0) + known as f32 + (draft % 3) as f32;
        }
        Ok(())
    });
    schedule.add(pull.reads_lists::<Contact>().reads_lists::<Draft>().after("draft").job_rows(64));
}

/// Every kind of system and of patch.
fn mixed(schedule: &mut Schedule) {
    schedule.add(
        System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut p, v)| {
            let dt = job.dt() as f32;
            p.x.map_with(v.x, |x, v| x + v * dt);
            p.y.map_with(v.y, |y, v| y + v * dt);
        })
        .job_rows(128),
    );
    schedule.add(
        System::rows::<(Write<Velocity>, Option<Read<Mass>>)>("drag", |_, (mut v, mass)| match mass {
            Some(mass) => v.x.map_with(mass.kg, |x, kg| x * (1.0 - 0.01 / kg as f32)),
            None => v.y.map(|y| y * 0.998),
        })
        .job_rows(64),
    );
    schedule.add(
        System::neighbours::<(Write<Energy>, Read<Position>, Option<Read<Link>>), Read<Position>>(
            "energy",
            |job, (mut energy, own, link), view| {
                for row in 0..job.len() {
                    let mut sum = 0.0;
                    let near = |table: usize, at: usize| {
                        let other = view.table(table).columns;
                        let (dx, dy) = (f64::from(other.x[at] - own.x[row]), f64::from(other.y[at] - own.y[row]));
                        dx * dx + dy * dy
                    };
                    for table in 0..view.len().min(4) {
                        let rows = view.table(table).entities.len();
                        sum += near(table, (job.first_row() + row * 7) % rows);
                    }
                    if let Some(link) = &link
                        && let Some((table, at)) = view.locate(link.to[row])
                    {
                        sum += near(table, at) * f64::from(link.strength[row]);
                    }
                    energy.value[row] = sum;
                }
            },
        )
        .job_rows(64),
    );
    schedule.add(
        // looks at the very column that it writes: as it was, wherever other jobs are
        System::neighbours::<Write<Mass>, Read<Mass>>("relax", |job, mut mass, view| {
            let Some(table) = view.own() else { return };
            let old = view.table(table).columns;
            let rows = old.kg.len();
            for row in 0..job.len() {
                let at = job.first_row() + row;
                let (before, after) = (old.kg[(at + rows - 67 % rows) % rows], old.kg[(at + 67) % rows]);
                mass.kg[row] = mass.kg[row] * 0.5 + (before + after) * 0.25;
            }
        })
        .job_rows(64),
    );
    schedule.add(
        System::rows::<Read<Position>>("heat", |job, p| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                match roll(job, seed, row, 1) % 40 {
                    0 | 1 => job.add_row(row, Hot),
                    2 => job.add_row(row, Charge { q: row as i32, on: true }),
                    3 | 4 => job.add_row(row, Frozen { since: p.x[row] }),
                    5 | 6 => job.add_row(row, Seen),
                    7 | 8 => job.remove_row::<Frozen>(row),
                    9 => job.remove_row::<Seen>(row),
                    10..=14 => job.remove_row::<Hot>(row),
                    15 => {
                        job.add_row(row, Hot);
                        job.remove_row::<Charge>(row);
                        job.add_row(row, Frozen { since: -1.0 });
                    }
                    16 => job.set_row(row, Energy { value: f64::from(p.y[row]) }),
                    _ => {}
                }
            }
        })
        .adds::<(Hot, Charge, Frozen, Seen)>()
        .removes::<(Hot, Charge, Frozen, Seen)>()
        .sets::<Energy>()
        .job_rows(64),
    );
    schedule.add(
        System::rows::<(Read<Charge>, Option<Read<Link>>)>("charges", |job, (charge, link)| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                let q = charge.q[row].wrapping_mul(3) ^ row as i32;
                match roll(job, seed, row, 2) % 4 {
                    0 => job.set_row(row, Charge { q, on: !charge.on[row].get() }),
                    1 => {
                        if let Some(link) = &link {
                            job.set(link.to[row], Velocity { x: q as f32, y: 0.5 });
                        }
                    }
                    _ => {}
                }
            }
        })
        .sets::<(Charge, Velocity)>()
        .job_rows(64),
    );
    lists(schedule);
    schedule.add(spins());
    schedule.add(births());
    schedule.add(adopts());
    schedule.add(
        // declared to be written, and touched in few jobs and fewer rows
        System::rows::<(Write<Charge>, Write<Mass>)>("leaks", |job, (mut charge, mut mass)| {
            let seed = seed_of(job);
            for row in (0..job.len()).filter(|row| roll(job, seed, *row, 6).is_multiple_of(90)) {
                charge.q[row] = charge.q[row].wrapping_add(1);
                if charge.q[row] % 4 == 0 {
                    mass.parts[row][2] ^= 1;
                }
            }
        })
        .job_rows(64),
    );
    schedule.add(
        System::rows::<(Write<Velocity>, Changed<Charge>)>("echo", |_, (mut v, ())| {
            v.x.iter_mut().for_each(|x| *x = -*x);
        })
        .job_rows(64),
    );
    schedule.add(
        System::rows::<Read<Cell>>("weather", |job, cell| {
            let seed = seed_of(job);
            if job.first_row() == 0 {
                let storms = cell.key.iter().fold(seed as u32, |sum, key| sum.wrapping_mul(31) ^ key);
                job.set_resource(Weather { wind: (storms % 64) as f32 * 0.25, storms });
            }
        })
        .sets_resource::<Weather>()
        .job_rows(256),
    );
    schedule.add(
        System::try_rows::<(Write<Velocity>, AnyOf<(Frozen, Seen)>)>("wind", |job, (mut v, ())| {
            let weather: Weather = job.resource()?;
            v.y.iter_mut().for_each(|y| *y += weather.wind);
            Ok(())
        })
        .reads_resource::<Weather>()
        .job_rows(64),
    );
    schedule.add(
        // pieces of rows, of several tables; what comes of it decides what the next batch does
        System::rows::<(Read<Velocity>, Without<Seen>)>("census", |job, (v, ())| {
            for (row, (x, y)) in v.x.iter().zip(v.y).enumerate() {
                let mut histogram = [0; 5];
                histogram[job.table_row(row) % 5] = 1;
                let drift = f64::from(x * y) * 0.1;
                job.reduce(Census { drift, fastest: x.abs(), rows: 1, histogram });
            }
        })
        .reduces::<Census>()
        .job_rows(64),
    );
    schedule.add(
        System::try_rows::<Write<Velocity>>("breeze", |job, mut v| {
            let census: Census = job.resource()?;
            let push = (census.drift / (census.rows as f64 + f64::from(census.fastest))) as f32 * 1e-3;
            v.x.map(|x| x * 0.999 + push);
            Ok(())
        })
        .reads_resource::<Census>()
        .after("census")
        .job_rows(64),
    );
    // passes as many as the census says, none among them; with patches, births, random numbers and a system that rests
    schedule.add_loop(Loop::new("settle").times_of::<Census>(|census| census.rows as u32 % 4).divides_step());
    schedule.add(
        System::rows::<(Write<Velocity>, Read<Energy>)>("jitter", |job, (mut v, _)| {
            let dt = job.dt() as f32;
            for row in (0..job.len()).filter(|row| row % 3 != 0) {
                v.x[row] += (job.random(row).f32() - 0.5) * dt;
            }
        })
        .in_loop("settle")
        .job_rows(64),
    );
    schedule.add(
        System::rows::<Read<Velocity>>("spray", |job, v| {
            let (pass, first) = (job.iteration(), job.first_row());
            if first < 64 && job.random(0).below(3) == 0 {
                let own = job.spawn((Position { x: v.x[0], y: pass as f32 }, Cell { key: pass }));
                job.set_row(0, Energy { value: f64::from(pass) + 0.5 });
                job.add(own, Link { to: own, strength: 1 });
            }
            if first == 128 {
                job.despawn_row(0);
            }
        })
        .spawns::<(Position, Cell)>()
        .adds::<Link>()
        .sets::<Energy>()
        .despawns()
        .in_loop("settle")
        .run_if::<Census>(|census| census.rows % 3 != 0)
        .job_rows(64),
    );
    // scratch: computed of the state, changed in place in systems of its own, used
    schedule.add(
        System::rows::<(Write<Near>, Read<Position>)>("near", |job, (mut near, p)| {
            for row in 0..job.len() {
                near.sums[row] = [f64::from(p.x[row]) * 0.1; 5];
                near.places[row] = [job.entities()[row].index(), 1, 2];
            }
        })
        .rebuilds::<Near>()
        .job_rows(64),
    );
    schedule.add(
        System::rows::<(Write<Near>, Read<Velocity>)>("nearer", |job, (mut near, v)| {
            for row in 0..job.len() {
                near.sums[row] = [f64::from(v.x[row]) * 0.1; 5];
            }
        })
        .after("near")
        .job_rows(64),
    );
    schedule.add(
        System::rows::<(Write<Near>, Read<Velocity>)>("nearest", |job, (mut near, v)| {
            for row in 0..job.len() {
                near.sums[row].iter_mut().for_each(|sum| *sum = *sum * 3.0 + f64::from(v.y[row]));
            }
        })
        .after("nearer")
        .job_rows(64),
    );
    schedule.add(
        System::neighbours::<Write<Energy>, Read<Near>>("draw", |job, mut energy, view| {
            let (first, tables) = (job.first_row(), view.len());
            if tables == 0 {
                // all that had one are gone
                return;
            }
            for row in 0..job.len() {
                let table = view.table((first + row) % tables);
                let Some(sums) = table.columns.sums.get((first + row * 7) % table.columns.sums.len().max(1)) else {
                    continue;
                };
                energy.value[row] += sums[row % 5] * 1e-3;
            }
        })
        .after("nearest")
        .job_rows(64),
    );
    // deposits on rows of many tables, on hot ones, on rows that move, on births, on what is not there
    schedule.add(
        System::rows::<(Read<Link>, Read<Velocity>)>("strain", |job, (link, v)| {
            for row in 0..job.len() {
                job.accumulate(link.to[row], Energy { value: f64::from(v.x[row]) * 0.1 });
                job.accumulate(job.entities()[row / 9], Energy { value: f64::from(v.y[row]) * 0.1 });
                job.accumulate_row(row / 5, Charge { q: row as i32, on: v.x[row] > 0.0 });
                job.accumulate(link.to[row], Frozen { since: v.y[row] });
                if row == 7 {
                    let own = job.spawn((Energy { value: 0.1 }, Frozen { since: 0.5 }));
                    job.accumulate(own, Energy { value: 0.3 });
                    job.accumulate(own, Frozen { since: 0.75 });
                    job.add_row(row, Hot);
                    job.despawn(link.to[row]);
                }
            }
        })
        .accumulates::<Energy>(FieldJoin::Sum)
        .accumulates::<Charge>(FieldJoin::Max)
        .accumulates_named("frozen", [("since", FieldJoin::Min)])
        .spawns::<(Energy, Frozen)>()
        .adds::<Hot>()
        .despawns()
        .job_rows(64),
    );
    schedule.add(
        System::try_rows::<Read<Velocity>>("ledger", |job, v| {
            let first = job.first_row();
            let drift = job.elements::<Ledger, f64>("drift")?;
            v.x.iter().enumerate().for_each(|(row, x)| drift[(first + row) % 7] += f64::from(*x) * 0.1);
            job.elements::<Ledger, u32>("seen")?[0] |= 1 << (first / 64 % 32);
            Ok(())
        })
        .accumulates_resource::<Ledger>()
        .job_rows(64),
    );
    schedule.add(
        System::rows::<Write<Energy>>("fade", |_, mut energy| energy.value.map(|value| value * 0.75))
            .every_from(3, 2)
            .job_rows(64),
    );
    schedule.add(
        System::rows::<(Write<Frozen>, Without<Seen>)>("thaw", |_, (mut frozen, ())| {
            frozen.since.iter_mut().for_each(|since| *since += 0.5);
        })
        .job_rows(64),
    );
    schedule.add(
        System::rows::<(Write<Cell>, Read<Position>)>("cells", |job, (mut cell, p)| {
            for row in 0..job.len() {
                cell.key[row] = (p.x[row].abs() as u32 / 4) << 8 | (p.y[row].abs() as u32 / 4) & 0xff;
            }
        })
        .stage("late")
        .sort_by("cell.key")
        .job_rows(128),
    );
    schedule.add(wrong());
}

/// Row by row, with columns to write that only some tables have.
fn spins() -> System {
    type Query = (Write<Energy>, Option<Write<Rotor>>, Read<Velocity>);
    let system = System::for_each::<Query>("spins", |job, row, (energy, rotor, velocity)| {
        let Some(rotor) = rotor else {
            energy.value += 0.5;
            return;
        };
        if velocity.x > 0.0 {
            rotor.0.rate += velocity.y;
            rotor.0.axis[0] = rotor.0.rate * 0.5;
        }
        rotor.1 = rotor.1.wrapping_mul(5).wrapping_add(1);
        if rotor.1.is_multiple_of(64) {
            job.remove_row::<Rotor>(row);
        }
    });
    system.removes::<Rotor>().job_rows(64)
}

/// Spawns with reserved handles, and deaths of all kinds.
fn births() -> System {
    System::rows::<(Read<Position>, Read<Velocity>, Option<Read<Link>>, Entities)>(
        "births",
        |job, (p, v, link, own)| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                let position = Position { x: p.x[row] * 0.5, y: p.y[row] };
                let velocity = Velocity { x: v.y[row], y: -v.x[row] };
                // few rows give birth, all may die: numbers stay where they are
                let fertile = job.first_row() + row < 400;
                match roll(job, seed, row, 3) % 128 {
                    0..4 if fertile => {
                        let child = job.spawn((position, velocity, Energy { value: 1.0 }));
                        job.add(child, Link { to: own[row], strength: 2 });
                        job.add_row(row, Link { to: child, strength: -1 });
                    }
                    4..6 if fertile => {
                        let child = job.spawn((position, velocity, Energy { value: 2.0 }, Cell { key: 9 }));
                        let other =
                            job.spawn((position, velocity, Energy { value: 3.0 }, Link { to: child, strength: 5 }));
                        job.add(other, Seen);
                        job.set(other, Energy { value: 4.0 });
                        job.add(child, Frozen { since: 1.0 });
                        job.remove::<Cell>(child);
                    }
                    6 if fertile => {
                        let lost = job.spawn((position, velocity, Energy { value: 0.0 }));
                        job.despawn(lost);
                    }
                    8..10 => job.despawn_row(row),
                    10..12 => {
                        if let Some(link) = &link {
                            job.despawn(link.to[row]);
                        }
                    }
                    12..16 => {
                        if let Some(link) = &link {
                            job.add(link.to[row], Mass { kg: 2.0, parts: [1, 2, row as u16] });
                            job.remove::<Charge>(link.to[row]);
                        }
                    }
                    _ => {}
                }
            }
        },
    )
    .spawns::<(Position, Velocity, Energy, Cell, Link)>()
    .adds::<(Link, Seen, Frozen, Mass)>()
    .sets::<Energy>()
    .removes::<(Cell, Charge)>()
    .despawns()
    .job_rows(64)
}

/// Writes handles of its spawns densely: new ones take the place of those that are gone.
fn adopts() -> System {
    System::rows::<(Write<Link>, Read<Position>)>("adopts", |job, (mut link, p)| {
        let seed = seed_of(job);
        for row in 0..job.len() {
            assert!(!link.to[row].is_reserved(), "a link is null or was real once");
            let fertile = job.first_row() + row < 200;
            match roll(job, seed, row, 5) % 128 {
                0..4 if fertile => {
                    let position = Position { x: p.x[row], y: -p.y[row] };
                    link.to[row] = job.spawn((position, Velocity { x: 0.5, y: 0.5 }));
                    link.strength[row] += 1;
                }
                // may not be spawned: dead at once
                4 => link.to[row] = job.spawn(Hot),
                _ => {}
            }
        }
    })
    .spawns::<(Position, Velocity)>()
    .job_rows(64)
}

/// Patches that must be refused, or find nothing.
fn wrong() -> System {
    System::rows::<(Read<Energy>, Option<Read<Link>>)>("wrong", |job, (_, link)| {
        let seed = seed_of(job);
        for row in 0..job.len() {
            match roll(job, seed, row, 4) % 64 {
                0 => job.set_row(row, Position { x: 1.0, y: 1.0 }),
                1 => job.set_row(row, Charge { q: 1, on: false }),
                2 => job.remove_row::<Hot>(row),
                3 => job.despawn_row(row),
                4..8 => {
                    if let Some(link) = &link {
                        job.set(link.to[row], Charge { q: 99, on: true });
                    }
                }
                _ => {}
            }
        }
    })
    .sets::<Charge>()
    .removes::<Hot>()
    .stage("cleanup")
    .job_rows(64)
}

/// Row-local systems that all fuse.
fn local(schedule: &mut Schedule) {
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut p, v)| {
        let dt = job.dt() as f32;
        p.x.map_with(v.x, |x, v| x + v * dt);
        p.y.iter_mut().zip(v.y).for_each(|(y, v)| *y += v * dt);
    }));
    schedule.add(System::rows::<(Write<Velocity>, Read<Position>)>("turn", |job, (mut v, p)| {
        let k = job.time() as f32 * 0.001 + job.frame() as f32 * 0.01;
        v.x.map_with(p.y, |x, y| x - y * k);
        v.y.map_with(p.x, |y, x| y + x * k);
    }));
    schedule.add(System::rows::<(Write<Mass>, Read<Velocity>, Without<Frozen>)>("grow", |_, (mut mass, v, ())| {
        mass.kg.map_with(v.x, |kg, x| kg + f64::from(x) * 0.125);
        mass.parts.iter_mut().for_each(|parts| parts[1] = parts[1].wrapping_add(parts[0]));
    }));
}

/// Jobs whose patches are more than a worker keeps to itself: it sends them in several parts.
fn flood(schedule: &mut Schedule) {
    schedule.add(
        System::rows::<(Write<Velocity>, Read<Mass>)>("flood", |job, (mut v, mass)| {
            for row in 0..job.len() {
                let parts = [row as u16, mass.parts[row][0].wrapping_mul(5), job.frame() as u16];
                job.set_row(row, Mass { kg: f64::from(v.x[row]), parts });
                v.x[row] = v.x[row] * 0.5 + row as f32;
            }
        })
        .sets::<Mass>(),
    );
    schedule.add(System::rows::<(Write<Position>, Read<Mass>)>("settle", |_, (mut p, mass)| {
        p.y.map_with(mass.kg, |y, kg| y + kg as f32);
    }));
}

fn plain_world(region: RegionTarget, rows: usize) -> World {
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .component::<Mass>()
        .component::<Hot>()
        .component::<Frozen>()
        .bytes_max(1 << 30)
        .region(region)
        .build()
        .unwrap();
    let mut body = |i: usize| {
        let i16 = i as u16;
        (
            Position { x: i as f32, y: 1.0 },
            Velocity { x: 0.5, y: i as f32 * 0.25 },
            Mass { kg: 1.0, parts: [i16, 0, 1] },
        )
    };
    let all = world.spawn_batch((0..rows).map(&mut body)).unwrap();
    for entity in all.iter().step_by(3) {
        world.add(*entity, Frozen { since: 0.0 }).unwrap();
    }
    world
}

/// What a kernel of the faulty schedule is to do, as the first byte of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    Abort,
    KillItself,
    Panic,
    Error,
    Hang,
    WriteUndeclared,
    WriteHandles,
}

const FAULTS: [Fault; 8] = [
    Fault::Nothing,
    Fault::Abort,
    Fault::KillItself,
    Fault::Panic,
    Fault::Error,
    Fault::Hang,
    Fault::WriteUndeclared,
    Fault::WriteHandles,
];

/// The first of the rows whose job is at fault.
pub const FAULTY_ROW: usize = 256;

/// A dense system, one with patches, and one that does what its payload says.
fn faulty(schedule: &mut Schedule, deadline: Option<Duration>, job_rows: u32) {
    schedule.add(System::rows::<Write<Mass>>("count", |job, mut mass| {
        let frame = job.frame() as f64;
        mass.kg.map(|kg| kg * 0.5 + frame);
    }));
    let step = System::try_rows::<(Write<Velocity>, Read<Position>)>("step", |job, (mut v, p)| {
        for (x, y) in v.x.iter_mut().zip(p.y) {
            *x += *y;
        }
        let fault = FAULTS[usize::from(*job.payload().first().unwrap_or(&0))];
        if job.first_row() == FAULTY_ROW {
            hostile::commit(fault, p.x, job.entities())?;
        }
        for row in (0..job.len()).step_by(17) {
            if (row as u64 + job.frame()).is_multiple_of(2) {
                job.add_row(row, Hot)
            } else {
                job.remove_row::<Hot>(row)
            }
        }
        v.y.map(|y| y + 1.0);
        Ok(())
    });
    let step = step.adds::<Hot>().removes::<Hot>().job_rows(job_rows);
    schedule.add(match deadline {
        Some(deadline) => step.deadline(deadline),
        None => step,
    });
}

/// A world of sealed rows.
pub fn sealed_world(region: RegionTarget, rows: usize, bytes_max: Option<u64>) -> World {
    let mut world = World::builder()
        .component::<Sealed>()
        .component::<Sparse>()
        .component::<Marked>()
        .component::<Hot>()
        .resource::<Clock>()
        .bytes_max(bytes_max.unwrap_or(1 << 30))
        .region(region)
        .build()
        .unwrap();
    world.set_resource(Clock { frame: 0, seal: mix(0) }).unwrap();
    let row = |i: usize| (Sealed::new(mix(i as u64), i as f32, 0.5, 0), Sparse::new(i as u32));
    world.spawn_batch((0..rows).map(row)).unwrap();
    world
}

fn sealed(schedule: &mut Schedule) {
    schedule.add(
        System::rows::<(Read<Sparse>, With<Sealed>)>("poke", |job, (sparse, ())| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                if roll(job, seed, row, 1).is_multiple_of(50) {
                    job.set_row(row, Sparse::new(sparse.value[row].wrapping_mul(3).wrapping_add(1)));
                }
            }
        })
        .sets::<Sparse>(),
    );
    schedule.add(
        System::rows::<With<Sealed>>("flip", |job, ()| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                match roll(job, seed, row, 2) % 64 {
                    0 => job.add_row(row, Marked::new(job.frame() as u32)),
                    1 => job.remove_row::<Marked>(row),
                    2 => job.add_row(row, Hot),
                    3..6 => job.remove_row::<Hot>(row),
                    _ => {}
                }
            }
        })
        .adds::<(Marked, Hot)>()
        .removes::<(Marked, Hot)>(),
    );
    schedule.add(
        System::rows::<(Read<Sealed>, Read<Sparse>)>("swap", |job, (sealed, sparse)| {
            let seed = seed_of(job);
            for row in 0..job.len() {
                if roll(job, seed, row, 3).is_multiple_of(100) {
                    job.despawn_row(row);
                    let id = mix(sealed.id[row]);
                    job.spawn((Sealed::new(id, 1.0, sealed.x[row], job.frame()), Sparse::new(sparse.value[row])));
                }
            }
        })
        .despawns()
        .spawns::<(Sealed, Sparse)>(),
    );
    schedule.add(
        System::rows::<Write<Sealed>>("stir", |job, mut sealed| {
            let (frame, dt) = (job.frame(), job.dt() as f32);
            sealed.x.map(|x| x * 0.75 + dt);
            for row in 0..job.len() {
                sealed.y[row] += sealed.x[row];
                sealed.frame[row] = frame;
                sealed.seal[row] = seal_of(sealed.id[row], sealed.x[row], sealed.y[row], frame);
            }
        })
        .stage("late"),
    );
    schedule.add(
        System::rows::<With<Sealed>>("clock", |job, ()| {
            if job.first_row() == 0 {
                job.set_resource(Clock { frame: job.frame(), seal: mix(job.frame()) });
            }
        })
        .sets_resource::<Clock>()
        .stage("cleanup"),
    );
}
