//! Contacts with a history: each disc keeps, in a list, how long it has touched each of its neighbours. The lists follow
//! their rows, which are sorted in every frame, and are keyed by the other disc's handle, which never changes.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::prelude::*;

/// Discs on a circle of circumference 1, each with a speed of its own.
#[derive(Component, Clone, Copy)]
struct Disc {
    at: f64,
    speed: f64,
}
/// Its place in the order of the rows.
#[derive(Component, Clone, Copy)]
struct Place {
    key: u32,
}
/// One element of a disc's list; the list is sorted by `other`.
#[derive(Component, Clone, Copy)]
#[component(storage = "list")]
struct Contact {
    other: Entity,
    frames: u32,
}

/// How near two discs are that touch.
const NEAR: f64 = 0.003;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut world = World::builder().component::<Disc>().component::<Place>().component::<Contact>().build()?;
    world.spawn_batch((0..500u32).map(|i| {
        // scattered, the same in every run
        let number = |k: u32| f64::from(i.wrapping_mul(k) >> 8 & 0xFFFF) / 65_536.0;
        let disc = Disc { at: number(0x9E37_79B9), speed: 0.02 * (number(0x85EB_CA6B) - 0.5) };
        (disc, Place { key: 0 }, List::<Contact>::new())
    }))?;

    let mut schedule = Schedule::new();
    let fly = System::rows::<(Write<Disc>, Write<Place>)>("fly", |job, (mut disc, mut place)| {
        let dt = job.dt();
        for row in 0..job.len() {
            disc.at[row] = (disc.at[row] + disc.speed[row] * dt).rem_euclid(1.0);
            place.key[row] = (disc.at[row] * 1e9) as u32;
        }
    });
    schedule.add(fly.sort_by("place.key"));
    let touch = System::try_neighbours::<Read<Disc>, Read<Disc>>("touch", |job, disc, all| {
        let before = job.lists::<Contact>()?;
        let table = all.table(all.own().ok_or("the discs see themselves")?);
        let rows = table.entities.len();
        let mut now: Vec<Contact> = Vec::new();
        for row in 0..job.len() {
            now.clear();
            let own = job.first_row() + row;
            // rows are in the order of the circle: neighbours are those before and after
            for other in
                (1..rows).map(|step| (own + step) % rows).take_while(|other| near(&disc, row, &table.columns, *other))
            {
                now.push(grown(&before, row, table.entities[other]));
            }
            for other in (1..rows)
                .map(|step| (own + rows - step) % rows)
                .take_while(|other| near(&disc, row, &table.columns, *other))
            {
                now.push(grown(&before, row, table.entities[other]));
            }
            now.sort_unstable_by_key(|contact| contact.other);
            job.set_list_row(row, &now);
        }
        Ok(())
    });
    schedule.add(touch.reads_lists::<Contact>().sets_lists::<Contact>().after("fly"));

    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    for _ in 0..3 {
        simulation.run(20, 0.05)?;
        let mut reader = simulation.world().reader()?;
        let snapshot = reader.pin()?;
        let table = snapshot.tables().next().ok_or("there are discs")?;
        let contacts = table.lists::<Contact>()?.ok_or("with contacts")?;
        let count: usize = (0..contacts.rows()).map(|row| contacts.len(row)).sum();
        let oldest = (0..contacts.rows()).flat_map(|row| contacts.iter(row)).map(|contact| contact.frames).max();
        println!("frame {}: {count} contacts, the oldest of {} frames", snapshot.frame(), oldest.unwrap_or(0));
    }
    Ok(())
}

/// Whether a disc touches another one.
fn near(own: &DiscColumns<'_>, row: usize, all: &DiscColumns<'_>, other: usize) -> bool {
    let apart = (own.at[row] - all.at[other]).abs();
    apart.min(1.0 - apart) < NEAR
}

/// The contact with another disc: a frame older than it was, or new.
fn grown(before: &Lists<'_, Contact>, row: usize, other: Entity) -> Contact {
    let frames = before.find(row, before.columns().other, other).map_or(0, |place| before.columns().frames[place]);
    Contact { other, frames: frames + 1 }
}
