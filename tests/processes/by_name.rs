//! Systems by name: the same bytes as those of Rust types, and kernels that only another program has.
#![forbid(unsafe_code)]

use hypostyle::errors::{JobFailure, PoolError};
use hypostyle::{
    Component, KernelError, Read, RegionTarget, Schedule, ScheduleError, Simulation, StepError, System, WorkerCommand,
    Workers, World, Write, dynamic,
};

use crate::support::{fresh_region, own, worker_command};

#[derive(Component, Clone, Copy)]
struct Place {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy)]
struct Speed {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy)]
struct Born {
    frame: u64,
}

const ROWS: usize = 3000;
const DT: f64 = 0.125;
const FRAMES: u64 = 6;

fn world(region: RegionTarget) -> World {
    let builder = World::builder().component::<Place>().component::<Speed>().component::<Born>().region(region);
    let mut world = builder.build().unwrap();
    for index in 0..ROWS {
        let speed = Speed { x: index as f32 * 0.25, y: 1.0 };
        world.spawn((Place { x: index as f32, y: 0.0 }, speed)).unwrap();
    }
    world
}

/// Rust's own system, which runs on main where others are in worker processes only.
fn slow() -> System {
    System::rows::<Write<Speed>>("slow", |_, mut speed| speed.x.map(|x| x * 0.75)).job_rows(256)
}

fn typed_move() -> System {
    System::rows::<(Write<Place>, Read<Speed>)>("move", |job, (mut place, speed)| {
        let dt = job.dt() as f32;
        place.x.map_with(speed.x, |x, v| x + v * dt);
        let first = job.entities()[0];
        if job.first_row().is_multiple_of(512) {
            job.set(first, Speed { x: 1.5, y: 2.5 });
            job.spawn(Born { frame: job.frame() });
        }
    })
    .sets::<Speed>()
    .spawns::<Born>()
    .job_rows(256)
}

fn query() -> dynamic::Query {
    dynamic::Query::new().write("place").read("speed")
}

fn declared(system: System) -> System {
    system.sets_named("speed").spawns_named("born").job_rows(256)
}

/// The same as [`typed_move`], on bytes.
fn move_bytes(job: &mut dynamic::Job<'_, '_, '_>) -> Result<(), KernelError> {
    let dt = job.dt() as f32;
    let first = job.entities()[0];
    let columns = job.columns();
    let names: Vec<_> = columns.iter().map(|column| (column.component(), column.field())).collect();
    assert_eq!(names, [("place", "x"), ("place", "y"), ("speed", "x"), ("speed", "y")]);
    let [place, _, speed, _] = columns else { return Err("four columns are wanted".into()) };
    let (dynamic::ColumnBytes::Write(place), dynamic::ColumnBytes::Read(speed)) = (&mut place.bytes, &speed.bytes)
    else {
        return Err("one is written, one read".into());
    };
    for (x, v) in place.as_chunks_mut::<4>().0.iter_mut().zip(speed.as_chunks::<4>().0) {
        *x = (f32::from_le_bytes(*x) + f32::from_le_bytes(*v) * dt).to_le_bytes();
    }
    if job.first_row().is_multiple_of(512) {
        let packed: Vec<u8> = [1.5_f32, 2.5].iter().flat_map(|value| value.to_le_bytes()).collect();
        job.set_named("speed", dynamic::Targets::Entities(&[first]), &packed)?;
        let reserved = job.reserved(0);
        let born = job.spawn_named(&["born"], 1, &job.frame().to_le_bytes())?;
        assert_eq!(born, [reserved]);
    }
    Ok(())
}

/// What a worker process has: more than main wants, in another order.
pub fn kernels(names: &[&str]) -> Result<Schedule, String> {
    assert_eq!(names, ["move"], "main's own systems are not wanted here");
    let mut schedule = Schedule::new();
    schedule.add(dynamic::system("unwanted", dynamic::Query::new(), |_| Ok(())));
    schedule.add(declared(dynamic::system("move", query(), move_bytes)));
    Ok(schedule)
}

fn run(schedule: Schedule, workers: Workers, fault: Option<&str>) -> (u64, u64, u64) {
    let region = if matches!(workers, Workers::Processes(_)) { fresh_region() } else { RegionTarget::Heap };
    let builder = Simulation::builder().workers(workers).worker_command(worker_command("by-name", fault));
    let mut simulation = builder.build(world(region), schedule).unwrap();
    let (mut on_main, mut deaths) = (0, 0);
    for _ in 0..FRAMES {
        let report = simulation.step(DT).unwrap();
        on_main += report.jobs_on_main;
        deaths += report.deaths;
        assert_eq!(report.total().refused, 0);
    }
    let mut reader = simulation.world().reader().unwrap();
    let hash = reader.pin().unwrap().hash();
    (hash, on_main, deaths)
}

fn both(other: System) -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(slow());
    schedule.add(other);
    schedule
}

/// Typed, by name, and in worker processes of another program that may die.
pub fn the_same_bytes() {
    let (typed, ..) = run(both(typed_move()), Workers::Local, None);
    for workers in [Workers::Local, Workers::Threads(2)] {
        let named = declared(dynamic::system("move", query(), move_bytes));
        assert_eq!(run(both(named), workers, None).0, typed, "{workers}");
    }
    let jobs = (ROWS as u64).div_ceil(256) * FRAMES;
    for (count, fault) in [(1, None), (2, None), (2, Some("published:4")), (2, Some("ran:5"))] {
        let external = declared(dynamic::external("move", query()));
        let (hash, on_main, deaths) = run(both(external), Workers::Processes(count), fault);
        assert_eq!(hash, typed, "{count} {fault:?}");
        assert_eq!(on_main, jobs, "main runs its own systems and no others");
        assert_eq!(deaths > 0, fault.is_some(), "{fault:?}");
    }
}

fn start_error(schedule: Schedule, workers: Workers, command: WorkerCommand) -> StepError {
    let mut held = Some(world(fresh_region()));
    let built = Simulation::builder().workers(workers).worker_command(command).build_from(&mut held, schedule);
    assert_eq!(held.map(|world| world.entity_count()), Some(ROWS as u64), "the world stays");
    built.err().unwrap()
}

/// Main never runs such a kernel, and says what is missing.
pub fn what_is_missing() {
    let external = || both(declared(dynamic::external("move", query())));
    let error = start_error(external(), Workers::Threads(1), worker_command("by-name", None));
    assert!(matches!(&error, StepError::Schedule(ScheduleError::External { system }) if system == "move"), "{error}");
    let others = both(dynamic::external("move", query().with("born")));
    let error = start_error(others, Workers::Processes(1), worker_command("by-name", None));
    assert!(matches!(error, StepError::Start(PoolError::RegistrationsDiffer { line: 2, .. })), "{error}");
    let mut schedule = Schedule::new();
    schedule.add(declared(dynamic::external("move", query())));
    let gone = WorkerCommand { program: own(), args: vec!["role".to_owned(), "deaf".to_owned()] };
    let error = start_error(schedule, Workers::Processes(1), gone);
    assert!(matches!(error, StepError::Start(PoolError::Exited { .. })), "{error}");

    let schedule = both(declared(dynamic::external("move", query())));
    let builder = Simulation::builder()
        .workers(Workers::Processes(1))
        .worker_command(worker_command("by-name", Some("claimed:1")));
    let mut simulation = builder.build(world(fresh_region()), schedule).unwrap();
    let error = simulation.step(DT).unwrap_err();
    let StepError::Job { system, failure, .. } = error else { panic!("{error}") };
    assert!(system == "move" && matches!(*failure, JobFailure::KilledWorkers { .. }), "{failure}");
}
