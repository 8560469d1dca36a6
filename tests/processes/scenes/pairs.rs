//! Rows that push each other: lists of pairs that keep themselves, and rows that come and go.
#![forbid(unsafe_code)]

use hypostyle::pairs::{PairLists, PairParts};
use hypostyle::space::Box2;
use hypostyle::{Component, Read, RegionTarget, Schedule, System, World, Write};

use super::roll;

#[derive(Component, Clone, Copy)]
pub struct Place {
    x: f64,
    y: f64,
}
#[derive(Component, Clone, Copy)]
pub struct Speed {
    x: f64,
    y: f64,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "scratch")]
pub struct Push {
    x: f64,
    y: f64,
}

const SIDE: f64 = 30.0;

type Parts = (Place, Speed, Push, PairParts);

fn lists() -> PairLists<Place, Push, f64, 2> {
    PairLists::new(Box2::periodic([SIDE; 2]).unwrap(), 1.0, 0.5).unwrap()
}

/// A row that begins at a place and with a speed that follow from a number.
fn row(number: u64) -> Parts {
    let part = |shift: u32| f64::from((number >> shift) as u16) / 65_536.0;
    let speed = Speed { x: part(32) - 0.5, y: part(48) - 0.5 };
    (Place { x: SIDE * part(0), y: SIDE * part(16) }, speed, Push { x: 0.0, y: 0.0 }, lists().parts())
}

pub fn world(region: RegionTarget, rows: usize, seed: u64) -> World {
    let mut world = lists().register(World::builder().component::<Speed>().region(region)).build().unwrap();
    world.spawn_batch((0..rows as u64).map(|index| row(crate::support::mix(seed ^ index << 20)))).unwrap();
    world
}

pub fn schedule(schedule: &mut Schedule) {
    let lists = lists();
    schedule.add(System::rows::<(Write<Place>, Read<Speed>)>("drift", |job, (mut at, v)| {
        let dt = job.dt();
        at.x.map_with(v.x, |x, v| x + v * dt);
        at.y.map_with(v.y, |y, v| y + v * dt);
    }));
    lists.add_to(schedule);
    schedule.add(System::pairs("push", &lists, |square| 1.0 - square).job_rows(128));
    schedule.add(System::rows::<(Write<Speed>, Read<Push>)>("kick", |job, (mut v, push)| {
        let dt = job.dt();
        v.x.map_with(push.x, |v, f| v + f * dt);
        v.y.map_with(push.y, |v, f| v + f * dt);
    }));
    let live = System::rows::<Read<Place>>("live", |job, _| {
        for place in 0..job.len() {
            match roll(job, 0, place, 1) % 400 {
                0 => job.despawn_row(place),
                1 => drop(job.spawn(row(roll(job, 0, place, 2)))),
                _ => {}
            }
        }
    });
    // some frames make lists anew only where somebody has moved
    schedule.add(live.despawns().spawns::<Parts>().every(3).after("kick").job_rows(128));
}
