//! Guards: what is not as it must be fails its frame, and the last good generation stands.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{
    Component, Read, Reduce, Resource, Schedule, Simulation, StepError, System, Tolerance, Workers, World, Write,
};

#[derive(Component, Clone, Copy)]
struct Body {
    x: f32,
    at: [f64; 3],
    kind: u16,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Asleep;
#[derive(Resource, Reduce, Clone, Copy)]
struct Thermo {
    #[reduce(sum)]
    energy: f64,
    #[reduce(sum)]
    count: u64,
}
#[derive(Resource, Clone, Copy)]
struct Ledger {
    other: u32,
    energy: f64,
}

const ROWS: usize = 20_000;

fn world() -> World {
    let builder = World::builder().component::<Body>().component::<Asleep>();
    let mut world = builder.resource::<Thermo>().resource::<Ledger>().build().unwrap();
    let body = |i: usize| Body { x: i as f32, at: [0.25, i as f64, -1.0], kind: (i % 7) as u16 };
    let made = world.spawn_batch((0..ROWS).map(body)).unwrap();
    made.iter().step_by(3).for_each(|entity| world.add(*entity, Asleep).unwrap());
    world.insert_resource(Ledger { other: 7, energy: f64::NAN }).unwrap();
    world
}

/// Spoils a row in frame 3.
fn spoil(row: usize, what: fn(&mut BodyColumnsMut<'_>, usize)) -> System {
    System::rows::<Write<Body>>("spoil", move |job, mut body| {
        let first = job.first_row();
        if job.frame() == 3 && (first..first + job.len()).contains(&row) {
            what(&mut body, row - first);
        }
    })
}

fn broken(workers: Workers, spoil: System, guard: System) -> String {
    let mut schedule = Schedule::new();
    schedule.add(spoil);
    schedule.add(guard);
    let mut simulation = Simulation::builder().workers(workers).build(world(), schedule).unwrap();
    simulation.run(2, 1.0).unwrap();
    let hash = |simulation: &Simulation| simulation.world().reader().unwrap().pin().unwrap().hash();
    let before = hash(&simulation);
    let error = simulation.step(1.0).unwrap_err();
    assert!(matches!(&error, StepError::Job { system, .. } if system.contains("guard")), "{error}");
    assert_eq!((simulation.world().frame(), hash(&simulation)), (2, before));
    error.to_string()
}

#[test]
fn the_first_broken_row_is_named_by_any_workers() {
    for workers in [Workers::Local, Workers::Threads(3)] {
        let nan = broken(
            workers,
            spoil(12_345, |body, row| {
                body.at[row][2] = f64::NAN;
                body.x[row + 5] = f32::INFINITY;
            }),
            System::guard_finite("guard", "body"),
        );
        assert!(nan.contains("`body.at` of entity 12345v0 (row 12345) is NaN in frame 3"), "{nan}");
        let infinite = broken(
            workers,
            spoil(19_999, |b, row| b.x[row] = f32::NEG_INFINITY),
            System::guard_finite("guard", "body"),
        );
        assert!(infinite.contains("`body.x` of entity 19999v0 (row 19999) is -inf in frame 3"), "{infinite}");
        let bounds = || {
            let all = [("x", 0.0..=2e4), ("at[0]", 0.0..=0.5), ("at[2]", -1.0..=-1.0), ("kind", 0.0..=6.0)];
            System::guard_within("guard", "body", all)
        };
        let out = broken(workers, spoil(64, |b, row| b.at[row][0] = 0.75), bounds());
        assert!(
            out.contains("`body.at` of entity 64v0 (row 64) is 0.75 in frame 3; it must be from 0 to 0.5"),
            "{out}"
        );
        let none = broken(workers, spoil(65, |b, row| b.at[row][2] = f64::NAN), bounds());
        assert!(none.contains("row 65) is NaN"), "{none}");
        let kind = broken(workers, spoil(0, |b, row| b.kind[row] = 7), bounds());
        assert!(kind.contains("`body.kind` of entity 0v0 (row 0) is 7"), "{kind}");
        // what no bound is for
        let mut schedule = Schedule::new();
        schedule.add(spoil(70, |b, row| b.at[row][1] = f64::NAN));
        schedule.add(bounds());
        Simulation::new(world(), schedule, workers).unwrap().run(4, 1.0).unwrap();
    }
}

#[test]
fn a_conserved_number_is_what_it_was_also_after_a_resume() {
    let schedule = |drift: f64| {
        let mut schedule = Schedule::new();
        schedule.add(
            System::rows::<Read<Body>>("sum", move |job, body| {
                let grown = if job.frame() > 5 { drift } else { 1.0 };
                let energy = body.x.iter().map(|x| f64::from(*x) * grown).sum();
                job.reduce(Thermo { energy, count: body.x.len() as u64 });
            })
            .reduces::<Thermo>(),
        );
        schedule.add(System::guard_conserved("guard", "thermo.energy", "ledger.energy", Tolerance::Relative(1e-6)));
        schedule.add(System::guard_conserved("guard 2", "thermo.count", "ledger.energy", Tolerance::Absolute(1e12)));
        schedule
    };
    let mut simulation = Simulation::new(world(), schedule(1.0 + 1e-7), Workers::Threads(1)).unwrap();
    simulation.run(10, 1.0).unwrap();
    let ledger: Ledger = simulation.world().resource().unwrap();
    let energy = (ROWS * (ROWS - 1) / 2) as f64;
    assert_eq!((ledger.other, ledger.energy), (7, energy));
    // another simulation of the same world goes by the same reference
    let mut simulation = Simulation::new(simulation.into_world(), schedule(1.1), Workers::Local).unwrap();
    let error = simulation.step(1.0).unwrap_err().to_string();
    assert!(error.contains("`thermo.energy` is") && error.contains("in frame 11, and was"), "{error}");
    assert_eq!(simulation.world().frame(), 10);
}

#[test]
fn what_is_declared_wrongly_is_said_when_the_schedule_is_built() {
    for (guard, part) in [
        (System::guard_finite("g", "bodies"), "bodies"),
        (System::guard_finite("g", "asleep"), "no floating-point field"),
        (System::guard_within("g", "body", [("y", 0.0..=1.0)]), "no field `y`"),
        (System::guard_within("g", "body", [("at[3]", 0.0..=1.0)]), "no element 3"),
        (System::guard_within("g", "body", [("at[x]", 0.0..=1.0)]), "write `at[0]`"),
        (System::guard_within("g", "body", [("x", 1.0..=0.0)]), "leave no number"),
        (System::guard_conserved("g", "thermo.energy", "thermo.energy", Tolerance::Absolute(1.0)), "of one resource"),
        (System::guard_conserved("g", "thermo.energy", "ledger.other", Tolerance::Absolute(1.0)), "is an integer"),
        (System::guard_conserved("g", "thermo.heat", "ledger.energy", Tolerance::Absolute(1.0)), "no field `heat`"),
    ] {
        let mut schedule = Schedule::new();
        schedule.add(guard);
        let error = Simulation::new(world(), schedule, Workers::Local).err().unwrap().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
}
