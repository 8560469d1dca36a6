//! Reductions: one value of many rows, whose bits depend on the rows alone.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::sync::atomic::{AtomicU64, Ordering};

use hypostyle::errors::JobFailure;
use hypostyle::{
    Component, Entities, Entity, ExactSum, FieldJoin, Read, Reduce, Resource, Schedule, ScheduleError, Simulation,
    StepError, System, Without, Workers, World, dynamic,
};

#[derive(Component, Clone, Copy)]
struct Charge {
    value: f64,
}
#[derive(Component, Clone, Copy)]
struct Other {
    x: u8,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Hidden;

#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq)]
struct Total {
    #[reduce(sum)]
    value: f64,
    #[reduce(min)]
    least: f64,
    #[reduce(max)]
    most: f64,
    #[reduce(sum)]
    rows: u64,
    #[reduce(max)]
    any_negative: bool,
    #[reduce(sum)]
    histogram: [u32; 4],
}

/// The row with the largest value, and how often values were joined.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
struct Highest {
    value: f64,
    who: Entity,
}

impl Reduce for Highest {
    fn empty() -> Self {
        Highest { value: f64::NEG_INFINITY, who: Entity::NULL }
    }
    fn join(self, later: Self) -> Self {
        assert!(later.value < 1e13, "a value out of range");
        if later.value > self.value { later } else { self }
    }
}

const ROWS: usize = 70_000;

/// Numbers of very different sizes: their sum depends on the order in which they are added.
fn number(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (index as u64) << 17;
    (mixed >> 40) as f64 * 10_f64.powi((mixed % 17) as i32 - 12) - 1.0
}

fn world(rows: usize) -> World {
    let builder = World::builder().component::<Charge>().component::<Other>().component::<Hidden>();
    let mut world = builder.resource::<Total>().resource::<Highest>().build().unwrap();
    let charge = |index: usize| Charge { value: number(index) };
    let plain = world.spawn_batch((0..rows).map(charge)).unwrap();
    world.spawn_batch((0..rows / 3).map(|index| (charge(index * 2), Other { x: 1 }))).unwrap();
    // pieces of one row, of a few and of many
    for (index, entity) in plain.iter().enumerate() {
        if index % 5 == 0 || (20_000..50_000).contains(&index) {
            world.add(*entity, Hidden).unwrap();
        }
    }
    world
}

fn total(values: &[f64]) -> Total {
    let mut total = Total::empty();
    for (row, &value) in values.iter().enumerate() {
        let mut histogram = [0; 4];
        histogram[row % 4] = 1;
        total = total.join(Total { value, least: value, most: value, rows: 1, any_negative: value < 0.0, histogram });
    }
    total
}

fn sum_up() -> System {
    System::rows::<(Read<Charge>, Without<Hidden>)>("sum up", |job, (charge, ())| job.reduce(total(charge.value)))
        .reduces::<Total>()
}

fn highest() -> System {
    System::rows::<(Read<Charge>, Entities)>("highest", |job, (charge, who)| {
        for (&value, &who) in charge.value.iter().zip(who) {
            job.reduce(Highest { value, who });
        }
    })
    .reduces::<Highest>()
}

fn run(workers: Workers, rows: usize) -> (Total, Highest, World) {
    let mut schedule = Schedule::new();
    schedule.add(sum_up());
    schedule.add(highest());
    let mut simulation = Simulation::new(world(rows), schedule, workers).unwrap();
    simulation.step(1.0).unwrap();
    let world = simulation.into_world();
    (world.resource().unwrap(), world.resource().unwrap(), world)
}

#[test]
fn the_bits_are_the_same_for_all_workers_and_between_frames() {
    let (expected, high, world) = run(Workers::Local, ROWS);
    for workers in [Workers::Threads(1), Workers::Threads(3)] {
        let (found, other, _) = run(workers, ROWS);
        assert_eq!((found.value.to_bits(), found, other), (expected.value.to_bits(), expected, high), "{workers}");
    }
    let between: Total =
        world.reduce::<(Read<Charge>, Without<Hidden>), _>(|_, (charge, ())| total(charge.value)).unwrap();
    assert_eq!((between.value.to_bits(), between), (expected.value.to_bits(), expected));
    // a plain loop, where the order does not matter
    let (mut rows, mut least, mut most) = (0, f64::INFINITY, f64::NEG_INFINITY);
    world
        .query::<(Read<Charge>, Without<Hidden>)>(|_, (charge, ())| {
            rows += charge.value.len() as u64;
            least = charge.value.iter().fold(least, |least, value| value.min(least));
            most = charge.value.iter().fold(most, |most, value| value.max(most));
        })
        .unwrap();
    assert_eq!((rows, least, most), (expected.rows, expected.least, expected.most));
    assert_eq!(u64::from(expected.histogram.iter().sum::<u32>()), rows);
    assert!(rows > 20_000 && world.get::<Charge>(high.who).unwrap().value == high.value);
    let mut in_order = 0.0;
    world.query::<(Read<Charge>, Without<Hidden>)>(|_, (c, ())| c.value.iter().for_each(|v| in_order += v)).unwrap();
    assert_ne!(in_order.to_bits(), expected.value.to_bits(), "the numbers are such that the shape of the sum matters");
    assert!((in_order - expected.value).abs() < 1e-9 * in_order.abs());
}

#[test]
fn every_row_is_looked_at_once_on_all_cores() {
    let world = world(ROWS);
    let (rows, sum) = (AtomicU64::new(0), AtomicU64::new(0));
    world
        .par_query::<Read<Charge>>(|entities, charge| {
            assert!(charge.value.len() == entities.len() && entities.len() <= 8192);
            rows.fetch_add(entities.len() as u64, Ordering::Relaxed);
            sum.fetch_add(entities.iter().map(|entity| u64::from(entity.index())).sum(), Ordering::Relaxed);
        })
        .unwrap();
    let count = world.entity_count();
    assert_eq!((rows.into_inner(), sum.into_inner()), (count, count * (count - 1) / 2));
    assert!(world.par_query::<hypostyle::Write<Charge>>(|_, _| {}).is_err());
}

#[test]
fn of_no_rows_is_the_empty_value_and_not_the_last_one() {
    let mut schedule = Schedule::new();
    schedule.add(sum_up());
    let mut simulation = Simulation::new(world(300), schedule, Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    assert!(simulation.world().resource::<Total>().unwrap().rows > 0);
    simulation.world_mut().despawn_where::<Read<Charge>>().unwrap();
    simulation.step(1.0).unwrap();
    assert_eq!(simulation.world().resource::<Total>().unwrap(), Total::empty());
    assert_eq!(simulation.world().reduce::<Read<Charge>, Total>(|_, c| total(c.value)).unwrap(), Total::empty());
}

/// Sums an array of doubles, as another language would.
fn by_name(name: &str) -> System {
    let query = dynamic::Query::new().read("charge").without("hidden");
    dynamic::system(name, query, |job| {
        let column = &mut job.columns()[0];
        let hypostyle::dynamic::ColumnBytes::Read(bytes) = column.bytes else { return Err("it reads".into()) };
        let values: Vec<f64> = bytes.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value)).collect();
        let total = total(&values);
        let mut packed = Vec::new();
        [total.value, total.least, total.most].iter().for_each(|value| packed.extend(value.to_le_bytes()));
        packed.extend(total.rows.to_le_bytes());
        packed.push(u8::from(total.any_negative));
        total.histogram.iter().for_each(|count| packed.extend(count.to_le_bytes()));
        job.reduce_named("total", &packed)?;
        assert!(job.reduce_named("total", &packed[1..]).is_err() && job.reduce_named("highest", &packed).is_err());
        Ok(())
    })
    .job_rows(8192)
}

const JOINS: [(&str, FieldJoin); 6] = [
    ("value", FieldJoin::Sum),
    ("least", FieldJoin::Min),
    ("most", FieldJoin::Max),
    ("rows", FieldJoin::Sum),
    ("any_negative", FieldJoin::Max),
    ("histogram", FieldJoin::Sum),
];

#[test]
fn by_name_the_bits_are_those_of_rust_types() {
    let (expected, _, world) = run(Workers::Local, ROWS);
    let mut schedule = Schedule::new();
    schedule.add(by_name("sum up").reduces_named("total", JOINS));
    let mut simulation = Simulation::new(world, schedule, Workers::Threads(2)).unwrap();
    simulation.step(1.0).unwrap();
    let found: Total = simulation.world().resource().unwrap();
    assert_eq!((found.value.to_bits(), found), (expected.value.to_bits(), expected));
}

/// As [`highest`], by packed values.
fn highest_packed(empty: &[u8]) -> System {
    let query = dynamic::Query::new().read("charge");
    let system = dynamic::system("highest", query, |job| {
        let entities: Vec<Entity> = job.entities().to_vec();
        let hypostyle::dynamic::ColumnBytes::Read(bytes) = job.columns()[0].bytes else {
            return Err("it reads".into());
        };
        for (value, who) in bytes.as_chunks::<8>().0.iter().zip(entities) {
            job.reduce_named("highest", &[*value, who.to_bits().to_le_bytes()].concat())?;
        }
        Ok(())
    });
    let value = |packed: &[u8]| f64::from_le_bytes(packed[..8].try_into().unwrap());
    let system = system.reduces_packed_named("highest", empty, move |earlier, later| {
        assert!(value(later) < 1e13, "a value out of range");
        if value(later) > value(earlier) {
            earlier.copy_from_slice(later);
        }
    });
    system.job_rows(64)
}

#[test]
fn packed_values_have_joins_of_ones_own() {
    let empty = [f64::NEG_INFINITY.to_le_bytes(), Entity::NULL.to_bits().to_le_bytes()].concat();
    let step = |world: World, workers| {
        let mut schedule = Schedule::new();
        schedule.add(highest_packed(&empty));
        let mut simulation = Simulation::new(world, schedule, workers).unwrap();
        simulation.step(1.0).map(drop)?;
        Ok::<Highest, StepError>(simulation.world().resource().unwrap())
    };
    let (_, expected, _) = run(Workers::Local, ROWS);
    for workers in [Workers::Local, Workers::Threads(2)] {
        assert_eq!(step(world(ROWS), workers).unwrap(), expected);
    }
    let none = World::builder().component::<Charge>().component::<Hidden>().resource::<Highest>().build().unwrap();
    assert_eq!(step(none, Workers::Local).unwrap(), Highest::empty());
    let mut wrong = world(1000);
    wrong.spawn(Charge { value: 1e18 }).unwrap();
    assert!(step(wrong, Workers::Local).unwrap_err().to_string().contains("a value out of range"));
    let error = build_error(highest_packed(&empty[1..]));
    assert!(error.contains("for resource `highest` has 15 bytes; the resource has 16"), "{error}");
}

fn build_error(system: System) -> String {
    let mut schedule = Schedule::new();
    schedule.add(system);
    let error = Simulation::new(world(10), schedule, Workers::Local).err().unwrap();
    assert!(matches!(error, StepError::Schedule(ScheduleError::Access { .. })), "{error}");
    error.to_string()
}

#[test]
fn what_is_declared_wrongly_is_said_when_the_schedule_is_built() {
    let error = build_error(by_name("a").reduces_named("total", JOINS.into_iter().skip(1)));
    assert!(error.contains("field `total.value` needs a join"), "{error}");
    let error = build_error(by_name("a").reduces_named("totals", JOINS));
    assert!(error.contains("totals"), "{error}");
    let error = build_error(sum_up().sets_resource::<Total>());
    assert!(error.contains("declares twice"), "{error}");
}

#[test]
fn what_goes_wrong_fails_the_frame_and_the_next_one_works() {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Read<Charge>>("undeclared", |job, _| job.reduce(Highest::empty())));
    let error = Simulation::new(world(10), schedule, Workers::Local).unwrap().step(1.0).unwrap_err();
    let StepError::Job { failure, .. } = error else { panic!("{error}") };
    assert!(
        matches!(&*failure, JobFailure::Error { message, .. } if message.contains("resource `highest`")),
        "{failure}"
    );

    // a join that panics on main, where the results of the jobs are joined
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<Read<Charge>>("too high", |job, _| {
            let value = if job.frame() == 2 { 1e18 } else { 1.0 };
            job.reduce(Highest { value, who: Entity::NULL });
        })
        .reduces::<Highest>()
        .job_rows(64),
    );
    let mut simulation = Simulation::new(world(300), schedule, Workers::Threads(1)).unwrap();
    simulation.step(1.0).unwrap();
    let error = simulation.step(1.0).unwrap_err();
    assert!(
        matches!(&error, StepError::Reduction { system, resource, frame: 1, .. }
        if system == "too high" && resource == "highest"),
        "{error}"
    );
    assert!(error.to_string().contains("a value out of range"), "{error}");
    assert_eq!((simulation.world().frame(), simulation.world().resource::<Highest>().unwrap().value), (1, 1.0));
}

#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq)]
struct Exact {
    #[reduce(sum)]
    sum: ExactSum,
    #[reduce(sum)]
    rows: u64,
}

#[test]
fn an_exact_sum_has_the_same_bits_for_any_jobs() {
    let run = |job_rows: u32, workers| {
        let builder = World::builder().component::<Charge>().resource::<Exact>();
        let mut world = builder.build().unwrap();
        world.spawn_batch((0..20_011).map(|index| Charge { value: number(index) })).unwrap();
        let mut schedule = Schedule::new();
        let sum = System::rows::<Read<Charge>>("sum", |job, charge| {
            job.reduce(Exact { sum: charge.value.iter().copied().collect(), rows: job.len() as u64 });
        });
        schedule.add(sum.reduces::<Exact>().job_rows(job_rows));
        let mut simulation = Simulation::new(world, schedule, workers).unwrap();
        simulation.step(1.0).unwrap();
        simulation.world().resource::<Exact>().unwrap()
    };
    let whole = run(1 << 20, Workers::Local);
    assert_eq!(whole.sum, (0..20_011).rev().map(number).collect(), "the digits, not the value alone");
    assert_eq!(whole.rows, 20_011);
    for (job_rows, workers) in [(64, Workers::Local), (192, Workers::Threads(2)), (8192, Workers::Threads(1))] {
        assert_eq!(run(job_rows, workers), whole);
    }
    let plain = |turn: usize| (0..20_011).map(|index| number((index + turn) % 20_011)).sum::<f64>();
    assert!((1..50).any(|turn| plain(turn) != plain(0)), "the order decides otherwise");
    const { assert!(Exact::EXACT && !Total::EXACT) };
}
