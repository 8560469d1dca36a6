//! What random schedules are made of: components and resources of every storage, and one system of each thing that a system
//! can do. What a kernel does to a row depends on the row's values, its entity, the frame and the system's salt; sums are of
//! floats, so that a row that stands elsewhere, or a patch that comes earlier, shows in the bits.

use hypostyle::dynamic::ColumnBytes;
use hypostyle::{
    AnyOf, Changed, Component, Entities, Entity, Job, List, Neighbours, Read, Reduce, Resource, System, With, Without,
    Write, dynamic,
};

#[derive(Component, Clone, Copy, Debug)]
pub struct Place {
    pub x: f64,
    pub cell: u32,
    pub seed: u32,
}

#[derive(Component, Clone, Copy, Debug)]
#[component(track_changes)]
pub struct Energy {
    pub level: f64,
}

/// Sums over rows nearby, made anew from places.
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "scratch")]
pub struct Near {
    #[component(default = 0.5)]
    pub sum: f64,
    pub count: u32,
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Bond {
    pub from: Entity,
    pub to: Entity,
    pub weight: f64,
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Hit {
    pub on: Entity,
    pub power: f64,
}

#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Shield {
    pub power: f32,
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Owner {
    pub of: Entity,
}

/// Any number of entities that a row is tied to.
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "list")]
pub struct Tie {
    pub to: Entity,
    pub pull: f64,
}

/// A sum in which the order shows.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Total {
    pub sum: f64,
    pub rows: u64,
    pub last: Entity,
}

impl Reduce for Total {
    fn empty() -> Self {
        Total { sum: 0.0, rows: 0, last: Entity::NULL }
    }
    fn join(self, later: Self) -> Self {
        Total { sum: self.sum + later.sum * 0.75, rows: self.rows + later.rows, last: later.last }
    }
}

pub const CELLS: usize = 16;

#[derive(Resource, Reduce, Clone, Copy, Debug)]
pub struct Mesh {
    #[reduce(sum)]
    pub charge: [f64; CELLS],
    #[reduce(max)]
    pub top: [u32; CELLS],
}

#[derive(Resource, Clone, Copy, Debug)]
pub struct Control {
    pub level: f64,
    pub passes: u32,
    pub on: bool,
}

pub fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// A number of some size and sign, never a whole one.
pub fn float(seed: u64) -> f64 {
    let size = [1e-9, 1e-3, 1.0, 1e4][(seed >> 60) as usize % 4];
    ((mix(seed) >> 40) as f64 / 7919.0 - 1000.0) * size
}

pub const KINDS: u8 = 34;

struct Salt(u64);

impl Salt {
    /// A number for a row in this frame and pass.
    fn of(&self, job: &Job<'_, '_>, row: u64) -> u64 {
        mix(row ^ mix(self.0 ^ job.frame() << 8 ^ u64::from(job.iteration())))
    }

    fn fires(&self, job: &Job<'_, '_>, row: u64, one_in: u64) -> bool {
        self.of(job, row).is_multiple_of(one_in)
    }
}

/// What a number of the palette does. `salt` tells systems of one kind apart.
pub fn system(kind: u8, name: &str, salt: u32) -> System {
    let s = Salt(u64::from(salt));
    match kind {
        0 => System::rows::<Write<Place>>(name, move |job, mut place| {
            for row in 0..job.len() {
                let n = s.of(job, u64::from(place.seed[row]));
                place.x[row] = place.x[row] * 0.75 + float(n) * job.dt() + job.time();
                place.cell[row] = (n >> 8) as u32 % 97;
            }
        }),
        1 => System::rows::<(Write<Energy>, Read<Place>)>(name, move |job, (mut energy, place)| {
            for row in 0..job.len() {
                if s.fires(job, u64::from(place.seed[row]), 3) {
                    energy.level[row] = energy.level[row] * 0.5 + place.x[row];
                }
            }
        }),
        2 => System::rows::<(Write<Energy>, Changed<Energy>)>(name, |job, (mut energy, ())| {
            for row in 0..job.len() {
                energy.level[row] = energy.level[row] / 3.0 + 1e-3;
            }
        }),
        3 => near(name),
        4 => System::rows::<(Write<Place>, Read<Near>)>(name, |job, (mut place, near)| {
            for row in 0..job.len() {
                place.x[row] += near.sum[row] * 1e-3 + f64::from(near.count[row]);
            }
        }),
        5 => System::rows::<(Read<Energy>, Entities)>(name, |job, (energy, entities)| {
            for (row, entity) in entities.iter().enumerate() {
                job.reduce(Total { sum: energy.level[row], rows: 1, last: *entity });
            }
        })
        .reduces::<Total>(),
        6 => System::rows::<(Read<Owner>, Read<Place>)>(name, |job, (owner, place)| {
            for row in 0..job.len() {
                let part = Energy { level: place.x[row] / 3.0 };
                if place.seed[row] & 1 == 0 {
                    job.accumulate(owner.of[row], part);
                } else {
                    job.accumulate_row(row, part);
                }
            }
        })
        .accumulates::<Energy>(hypostyle::FieldJoin::Sum),
        7 => System::rows::<Read<Bond>>(name, |job, bond| {
            for row in 0..job.len() {
                job.accumulate(bond.from[row], Energy { level: bond.weight[row] });
                job.accumulate(bond.to[row], Energy { level: -bond.weight[row] / 7.0 });
            }
        })
        .accumulates::<Energy>(hypostyle::FieldJoin::Sum),
        8 => System::try_rows::<(Read<Place>, Without<Bond>)>(name, |job, (place, ())| {
            let charge = job.elements::<Mesh, f64>("charge")?;
            for (x, cell) in place.x.iter().zip(place.cell) {
                charge[*cell as usize % CELLS] += x / 3.0;
            }
            Ok(())
        })
        .accumulates_resource::<Mesh>(),
        9 => System::try_rows::<Write<Place>>(name, |job, mut place| {
            let charge = job.resource_elements::<Mesh, f64>("charge")?;
            for row in 0..job.len() {
                place.x[row] += charge[place.cell[row] as usize % CELLS] * 1e-6;
            }
            Ok(())
        })
        .reads_resource::<Mesh>(),
        10 => System::rows::<(Read<Place>, Entities)>(name, move |job, (place, entities)| {
            for (row, entity) in entities.iter().enumerate() {
                let n = s.of(job, u64::from(place.seed[row]));
                let born = Place { x: place.x[row] / 3.0, cell: place.cell[row], seed: n as u32 };
                match n % 200 {
                    0 => drop(job.spawn((born, Energy { level: float(n) }, Owner { of: *entity }))),
                    1 => drop(job.spawn((born, Near { sum: 1.0, count: 2 }))),
                    2 => {
                        let child = job.spawn((born, Shield { power: 2.0 }, Energy { level: 1.0 }));
                        job.spawn(Bond { from: *entity, to: child, weight: float(n) });
                    }
                    3 => {
                        let child = job.spawn((born, Owner { of: Entity::NULL }));
                        job.set(child, Owner { of: child });
                    }
                    _ => {}
                }
            }
        })
        .spawns::<(Place, Energy, Near, Owner)>()
        .spawns::<(Shield, Bond)>()
        .sets::<Owner>(),
        11 => System::rows::<Read<Place>>(name, move |job, place| {
            for row in 0..job.len() {
                if s.fires(job, u64::from(place.seed[row]), 40) {
                    job.despawn_row(row);
                }
            }
        })
        .despawns(),
        12 => System::rows::<Read<Place>>(name, move |job, place| {
            for row in 0..job.len() {
                match s.of(job, u64::from(place.seed[row])) % 20 {
                    0 | 1 => job.add_row(row, Shield { power: place.x[row] as f32 }),
                    2 => job.remove_row::<Shield>(row),
                    _ => {}
                }
            }
        })
        .adds::<Shield>()
        .removes::<Shield>(),
        13 => System::rows::<(Read<Place>, Entities)>(name, move |job, (place, entities)| {
            for row in 0..job.len() {
                let n = s.of(job, u64::from(place.seed[row]));
                match n % 60 {
                    0 => job.add_row(row, Energy { level: float(n) }),
                    1 => job.remove_row::<Energy>(row),
                    2 => job.add_row(row, Near { sum: 0.125, count: 0 }),
                    3 => job.remove::<Near>(entities[row]),
                    4 => job.add(entities[row], Owner { of: entities[entities.len() - 1 - row] }),
                    5 => job.remove_row::<Owner>(row),
                    _ => {}
                }
            }
        })
        .adds::<(Energy, Near, Owner)>()
        .removes::<(Energy, Near, Owner)>()
        // chunks are jobs, and a row's partner is of its job
        .job_rows(128),
        14 => System::rows::<(Read<Place>, Read<Owner>, Entities)>(name, move |job, (place, owner, entities)| {
            for row in 0..job.len() {
                let n = s.of(job, u64::from(place.seed[row]));
                if n.is_multiple_of(8) {
                    let on = if n & 64 == 0 { owner.of[row] } else { entities[row] };
                    job.spawn(Hit { on, power: place.x[row] });
                }
            }
        })
        .spawns::<Hit>(),
        15 => System::rows::<Read<Hit>>(name, |job, hit| {
            for row in 0..job.len() {
                job.set(hit.on[row], Energy { level: hit.power[row] });
            }
        })
        .sets::<Energy>(),
        16 => System::ends_events::<Hit>(name),
        17 => System::rows::<(Read<Near>, Entities)>(name, |job, (near, entities)| {
            for row in 0..job.len() {
                job.accumulate(entities[row], Energy { level: near.sum[row] });
                if near.count[row] % 50 == 49 {
                    job.set_row(row, Near { sum: 0.0, count: 1 });
                }
            }
        })
        .sets::<Near>()
        .accumulates::<Energy>(hypostyle::FieldJoin::Max),
        18 => System::relation_cascade(name, if salt & 1 == 0 { "bond.from" } else { "bond.to" }),
        19 => System::relation_clear(name, "owner.of"),
        20 => {
            let sort = System::rows::<Read<Place>>(name, |_, _| {}).sort_by("place.cell");
            let sort = sort.sort_every(1 + u64::from(salt % 3));
            if salt & 16 == 0 { sort } else { sort.sort_leaves::<Near>() }
        }
        21 => System::rows::<Write<Place>>(name, |job, mut place| {
            for row in 0..job.len() {
                let mut random = job.random(row);
                place.x[row] += random.f64();
                place.cell[row] ^= random.below(13);
            }
        }),
        22 => System::rows::<(Write<Energy>, Read<Place>)>(name, |job, (mut energy, place)| {
            let mean = place.x.iter().sum::<f64>() / job.len() as f64;
            let at = (job.index() * 1000 + job.first_row()) as f64;
            for row in 0..job.len() {
                energy.level[row] += mean * 1e-3 + at;
            }
        }),
        23 => System::for_each::<(Write<Place>, With<Energy>)>(name, |job, row, (place, ())| {
            place.x += (job.table_row(row) % 64 + job.len()) as f64 * 1e-4;
        }),
        24 => System::once(name, move |job| {
            let n = s.of(job, 1);
            job.set_resource(Control { level: (n % 5) as f64, passes: n as u32 % 4, on: n & 128 == 0 });
        })
        .sets_resource::<Control>(),
        25 => System::neighbours::<(Write<Energy>, Read<Owner>), (Read<Place>, Read<Near>)>(
            name,
            |job, (mut energy, owner), others: Neighbours<'_, (Read<Place>, Read<Near>)>| {
                for row in 0..job.len() {
                    if let Some((table, at)) = others.locate(owner.of[row]) {
                        let (place, near) = others.table(table).columns;
                        energy.level[row] += place.x[at] + near.sum[at] + (at % 1000) as f64;
                    }
                }
            },
        ),
        26 => System::try_once(name, move |job| {
            let total: Total = job.resource()?;
            let bits = total.sum.to_bits() ^ total.rows;
            job.set_resource(Control { level: (mix(bits) % 5) as f64, passes: (bits % 3) as u32, on: bits & 2 == 0 });
            if total.last != Entity::NULL {
                job.set(total.last, Energy { level: total.sum });
            }
            Ok(())
        })
        .reads_resource::<Total>()
        .sets_resource::<Control>()
        .sets::<Energy>(),
        27 => System::rows::<(AnyOf<(Shield, Owner)>, Entities)>(name, move |job, ((), entities)| {
            // the last of many wins: by handle, across jobs
            for entity in entities {
                if s.fires(job, entity.to_bits(), 3) {
                    job.set(*entity, Shield { power: (s.of(job, entity.to_bits()) % 1000) as f32 });
                }
            }
        })
        .sets::<Shield>(),
        28 => dynamic::system(name, dynamic::Query::new().write("place").with("shield"), |job| {
            let x = job.columns().iter_mut().find(|column| column.field() == "x").ok_or("place has an x")?;
            let ColumnBytes::Write(bytes) = &mut x.bytes else { return Err("place is written".into()) };
            for x in bytemuck::try_cast_slice_mut::<u8, f64>(&mut bytes[..]).map_err(|error| error.to_string())? {
                *x = *x * 0.5 - 0.125;
            }
            Ok(())
        }),
        29 => System::try_rows::<(Write<Energy>, Read<Place>)>(name, move |job, (mut energy, place)| {
            for row in 0..job.len() {
                energy.level[row] += 1.0;
                let seed = u64::from(place.seed[row]);
                if job.frame() > 2 && s.fires(job, seed, 3000) {
                    return Err(format!("the row of seed {seed} does not like frame {}", job.frame()).into());
                }
            }
            Ok(())
        })
        .job_rows(64),
        30 => System::try_rows::<(Read<Place>, Entities)>(name, move |job, (place, entities)| {
            let before = job.lists::<Tie>()?;
            let mut ties = Vec::new();
            for row in 0..job.len() {
                let n = s.of(job, u64::from(place.seed[row]));
                // some stay, some are new; now and then many, in one system all
                if s.0 & 3 > 0 && !n.is_multiple_of(5) {
                    continue;
                }
                ties.clear();
                ties.extend(before.iter(row).filter(|tie| tie.to.index() % 3 > 0));
                let count = if n % 301 == 7 { 200 } else { n % 4 };
                ties.extend(
                    (0..count).map(|k| Tie { to: entities[mix(n ^ k) as usize % entities.len()], pull: float(k) }),
                );
                if n & 64 == 0 {
                    job.set_list_row(row, &ties);
                } else {
                    job.set_list(entities[row], &ties);
                }
            }
            Ok(())
        })
        .reads_lists::<Tie>()
        .sets_lists::<Tie>()
        .job_rows(128),
        31 => System::try_rows::<Write<Energy>>(name, |job, mut energy| {
            let ties = job.lists::<Tie>()?;
            for row in 0..job.len() {
                energy.level[row] += ties.iter(row).map(|tie| tie.pull).sum::<f64>();
                energy.level[row] += ties.columns().pull[ties.range(row)].len() as f64;
            }
            Ok(())
        })
        .reads_lists::<Tie>(),
        32 => System::rows::<(Read<Place>, Read<Owner>)>(name, move |job, (place, owner)| {
            // the last one in canonical order stays; some have no list
            for row in 0..job.len() {
                let n = s.of(job, u64::from(place.seed[row]));
                match n % 9 {
                    0 => {
                        let child = job.spawn((Energy { level: 0.5 }, Owner { of: owner.of[row] }, List::<Tie>::new()));
                        job.set_list(child, &[Tie { to: child, pull: float(n) }, Tie { to: owner.of[row], pull: 1.0 }]);
                    }
                    1..4 => {
                        job.set_list(owner.of[row], &vec![Tie { to: Entity::NULL, pull: float(n) }; n as usize % 6])
                    }
                    4 => job.remove_row::<Tie>(row),
                    _ => {}
                }
            }
        })
        .spawns::<(Energy, Owner, List<Tie>)>()
        .removes::<List<Tie>>()
        .sets_lists::<Tie>(),
        _ => System::rows::<(Read<Place>, Write<Shield>)>(name, |job, (place, mut shield)| {
            let mut top = 0.0;
            for row in 0..job.len() {
                top = f64::max(top, place.x[row].abs().min(1e6));
                shield.power[row] += place.x[row].abs().min(100.0) as f32;
            }
            job.accumulate_resource(Mesh { charge: [0.0; CELLS], top: [top as u32; CELLS] });
        })
        .accumulates_resource::<Mesh>()
        .job_rows(64),
    }
}

/// Sums over the rows around each row, in every table.
fn near(name: &str) -> System {
    System::neighbours::<(Write<Near>, Read<Place>), Read<Place>>(
        name,
        |job, (mut near, place), others: Neighbours<'_, Read<Place>>| {
            for row in 0..job.len() {
                let (mut sum, mut count) = (place.x[row], 0);
                for table in others.tables() {
                    let x = table.columns.x;
                    let at = (place.seed[row] as usize + job.table_row(row)) % x.len().max(1);
                    for value in &x[at..(at + 3).min(x.len())] {
                        sum += value / 3.0;
                        count += 1;
                    }
                }
                near.sum[row] = sum;
                near.count[row] = count;
            }
        },
    )
    .rebuilds::<Near>()
}
