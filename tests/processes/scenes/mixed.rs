//! Every kind of system and of patch in one schedule.
#![forbid(unsafe_code)]

use hypostyle::{
    AnyOf, Changed, Entities, Entity, FieldJoin, List, Loop, Read, RegionTarget, Schedule, System, With, Without,
    World, Write,
};

use super::components::*;
use super::{roll, seed_of};
use crate::support::mix;

pub(super) fn world(region: RegionTarget, rows: usize, seed: u64) -> World {
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
                // few, so that long runs stay small
                6 if link.is_some() && roll % 256 == 6 => {
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
    // built in place, of rows that lie apart, and longer in some frames: then the jobs run twice
    let sketch = System::rows::<(Read<Position>, Without<Frozen>)>("sketch", |job, (p, ())| {
        let growth = 1 + job.frame() % 5;
        for row in (0..job.len()).rev().filter(|row| row % 7 != 3) {
            let value = p.y[row].to_bits();
            job.set_list_row(row, &vec![Draft { value }; u64::from(value % 9).pow(2) as usize * growth as usize]);
        }
    });
    schedule.add(sketch.builds_lists::<Draft>().after("pull").job_rows(64));
    let recall = System::try_rows::<Write<Velocity>>("recall", |job, mut v| {
        let drafts = job.lists::<Draft>()?;
        for row in 0..job.len() {
            let sum = drafts.iter(row).fold(0u32, |sum, draft| sum.wrapping_mul(3).wrapping_add(draft.value));
            v.x[row] += (sum % 5) as f32;
        }
        Ok(())
    });
    schedule.add(recall.reads_lists::<Draft>().after("sketch").job_rows(128));
}

/// Every kind of system and of patch.
pub(super) fn schedule(schedule: &mut Schedule) {
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
