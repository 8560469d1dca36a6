//! After warm-up the frame path allocates nothing: not in main, not in worker threads.
//!
//! The binary counts every allocation of its process. Its worker processes are the same binary, each with a counter
//! of its own that nobody looks at: of a pool of processes main's side is what is counted.
#![expect(unsafe_code, reason = "counts allocations, which only a global allocator can")]
#![expect(clippy::print_stdout, reason = "reports as a test harness does")]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::alloc::{GlobalAlloc, Layout as Block, System as Heap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hypostyle::{
    AnyOf, Changed, Component, Entities, Entity, FieldJoin, List, Publication, Read, RegionTarget, Resource, Schedule,
    Simulation, System, Without, Workers, World, Write,
};

static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
/// When set, the first allocation that is counted shows where it comes from.
static SHOW: AtomicBool = AtomicBool::new(false);

struct Counting;

fn count(bytes: usize) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    if SHOW.swap(false, Ordering::Relaxed) {
        println!("{}", std::backtrace::Backtrace::force_capture());
        SHOW.store(true, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches atomics only (and, when asked to show,
// allocates itself with showing switched off).
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        count(block.size());
        // SAFETY: the caller's duties are the same.
        unsafe { Heap.alloc(block) }
    }
    unsafe fn alloc_zeroed(&self, block: Block) -> *mut u8 {
        count(block.size());
        // SAFETY: the caller's duties are the same.
        unsafe { Heap.alloc_zeroed(block) }
    }
    unsafe fn realloc(&self, at: *mut u8, block: Block, bytes: usize) -> *mut u8 {
        count(bytes);
        // SAFETY: the caller's duties are the same.
        unsafe { Heap.realloc(at, block, bytes) }
    }
    unsafe fn dealloc(&self, at: *mut u8, block: Block) {
        // SAFETY: the caller's duties are the same.
        unsafe { Heap.dealloc(at, block) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy)]
#[component(track_changes)]
struct Charge {
    q: i32,
}
#[derive(Component, Clone, Copy)]
struct Near {
    other: Entity,
    distance: f32,
}
#[derive(Component, Clone, Copy)]
struct Hot;
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Frozen {
    since: f32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Seen;
#[derive(Component, Clone, Copy)]
struct Cell {
    key: u32,
}
#[derive(Component, Clone, Copy)]
struct Heat {
    joules: f64,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "scratch")]
struct Trail {
    x: f32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "list")]
struct Tie {
    to: Entity,
    pull: f32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "scratch_list")]
struct Draft {
    place: u32,
}
#[derive(Resource, Clone, Copy)]
struct Wind {
    #[resource(default = 1.0)]
    x: f32,
}

const ROWS: usize = 4000;

fn world(region: RegionTarget) -> World {
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .component::<Charge>()
        .component::<Near>()
        .component::<Hot>()
        .component::<Frozen>()
        .component::<Seen>()
        .component::<Cell>()
        .component::<Heat>()
        .component::<Trail>()
        .component::<Tie>()
        .component::<Draft>()
        .resource::<Wind>()
        .region(region)
        .build()
        .unwrap();
    let row = |i: usize| {
        let body = (Position { x: i as f32, y: 1.0 }, Velocity { x: 0.5, y: 0.25 });
        let state = (body, Charge { q: i as i32 }, Near { other: Entity::NULL, distance: 0.0 }, Cell { key: 0 });
        (state, Heat { joules: 0.0 }, Trail { x: 0.0 }, List::<Tie>::new(), List::<Draft>::new())
    };
    let all = world.spawn_batch((0..ROWS).map(row)).unwrap();
    for (i, entity) in all.iter().enumerate() {
        let near = Near { other: all[(i * 7 + 3) % ROWS], distance: 0.0 };
        world.set(*entity, near).unwrap();
    }
    world
}

/// The same number of rows is hot, frozen, seen, despawned and spawned in every cycle of 32 frames.
fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    // small jobs: every worker gets some of each kind
    let mut add = |system: System| {
        schedule.add(system.job_rows(256));
    };
    add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut p, v)| {
        let dt = job.dt() as f32;
        p.x.map_with(v.x, |x, v| x + v * dt);
        p.y.map_with(v.y, |y, v| y + v * dt);
    }));
    add(System::rows::<(Write<Velocity>, Read<Position>)>("turn", |_, (mut v, p)| {
        v.x.map_with(p.y, |x, y| x - y * 0.001);
    }));
    add(System::neighbours::<(Write<Near>, Read<Position>), Read<Position>>("near", |job, (mut near, own), view| {
        for row in 0..job.len() {
            if let Some((table, at)) = view.locate(near.other[row]) {
                near.distance[row] = view.table(table).columns.x[at] - own.x[row];
            }
        }
    }));
    add(System::rows::<(Read<Charge>, Entities)>("patches", |job, (charge, own)| {
        for row in 0..job.len() {
            match (u64::from(own[row].index()) + job.frame()) % 32 {
                // deposits on entities that move, too
                0 => {
                    job.accumulate(own[row], Heat { joules: 1.0 });
                    job.add_row(row, Hot);
                }
                1 => {
                    job.remove_row::<Hot>(row);
                    job.accumulate(own[row], Heat { joules: 1.0 });
                }
                2 => job.add_row(row, Frozen { since: 1.0 }),
                3 => job.set_row(row, Charge { q: charge.q[row] ^ 1 }),
                4 => job.add_row(row, Seen),
                5 => job.set(own[row], Charge { q: charge.q[row] + 1 }),
                6 => job.remove_row::<Frozen>(row),
                7 => job.remove_row::<Seen>(row),
                8 => job.set(own[row], Near { other: own[row], distance: 1.0 }),
                _ => {}
            }
        }
    })
    .adds::<(Hot, Frozen, Seen)>()
    .removes::<(Hot, Frozen, Seen)>()
    .sets::<(Charge, Near)>()
    .accumulates::<Heat>(FieldJoin::Sum));
    // some lists are set and others stay, all of the other kind are set
    add(System::rows::<Entities>("tie", |job, own| {
        for row in 0..job.len() {
            if (u64::from(own[row].index()) + job.frame()).is_multiple_of(8) {
                job.set_list_row(row, &[Tie { to: own[row], pull: 0.5 }; 3]);
            }
            job.set_list_row(row, &[Draft { place: own[row].index() }; 5]);
        }
    })
    .sets_lists::<Tie>()
    .sets_lists::<Draft>());
    add(System::try_rows::<Write<Charge>>("untie", |job, mut charge| {
        let ties = job.lists::<Tie>()?;
        for row in 0..job.len() {
            if ties.iter(row).any(|tie| tie.pull > 2.0) {
                charge.q[row] += 1;
            }
        }
        Ok(())
    })
    .reads_lists::<Tie>());
    add(System::rows::<(Read<Position>, Read<Velocity>)>("renew", |job, (p, v)| {
        for row in 0..job.len() {
            if (u64::from(job.entities()[row].index()) + job.frame()) % 64 == 40 {
                job.despawn_row(row);
                let body = (Position { x: p.x[row], y: 0.0 }, Velocity { x: v.x[row], y: v.y[row] });
                let state = (Charge { q: 0 }, Cell { key: 0 }, Heat { joules: 0.0 }, Trail { x: 0.0 });
                let child = job.spawn((body, state, List::<Tie>::new(), List::<Draft>::new()));
                job.add(child, Near { other: child, distance: 0.0 });
                job.set_list(child, &[Tie { to: child, pull: 1.0 }; 3]);
            }
        }
    })
    .despawns()
    .spawns::<(Position, Velocity, Charge, Cell, Heat, Trail)>()
    .spawns::<(List<Tie>, List<Draft>)>()
    .sets_lists::<Tie>()
    .adds::<Near>());
    add(System::rows::<(Write<Velocity>, Changed<Charge>)>("echo", |_, (mut v, ())| {
        v.y.iter_mut().for_each(|y| *y = -*y);
    }));
    add(System::try_rows::<(Write<Velocity>, AnyOf<(Frozen, Seen)>, Without<Hot>)>("wind", |job, (mut v, (), ())| {
        let wind: Wind = job.resource()?;
        v.x.iter_mut().for_each(|x| *x = *x * 0.5 + wind.x);
        Ok(())
    })
    .reads_resource::<Wind>());
    add(System::rows::<Read<Cell>>("weather", |job, cell| {
        if job.first_row() == 0 {
            job.set_resource(Wind { x: cell.key[0] as f32 });
        }
    })
    .sets_resource::<Wind>());
    add(System::rows::<(Write<Cell>, Read<Position>)>("cells", |_, (mut cell, p)| {
        for (key, x) in cell.key.iter_mut().zip(p.x) {
            *key = (x.abs() as u32) / 16;
        }
    })
    .stage("late")
    .sort_by("cell.key"));
    schedule
}

const WARM_UP: u64 = 160;
const FRAMES: u64 = 100;
/// Who runs which job is chance where there are workers: each may meet its first job of a kind, or its largest share of
/// a batch, late. So many times the frames are counted anew.
const WINDOWS_MAX: u64 = 20;

/// Allocations in `FRAMES` frames.
fn allocations_in_frames(simulation: &mut Simulation, publish_every: u64) -> (u64, u64) {
    let before = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    let mut published = 0;
    for _ in 0..FRAMES {
        let report = simulation.step(0.01).unwrap();
        published += u64::from(matches!(report.publication, Some(Publication::Published(_))));
    }
    let after = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    assert_eq!(published, FRAMES / publish_every, "every due generation was published");
    let total = simulation.report().total();
    assert!(total.spawned > 0 && total.despawned == total.spawned && total.applied > 500 && total.refused == 0);
    (after.0 - before.0, after.1 - before.1)
}

/// Allocations in `FRAMES` frames after warm-up.
fn allocations(workers: Workers, publish_every: u64) -> (u64, u64) {
    let region = match workers {
        Workers::Processes(_) => RegionTarget::Named(format!("allocation-{}", std::process::id())),
        _ => RegionTarget::Heap,
    };
    let mut simulation = Simulation::builder()
        .workers(workers)
        .publish_every(publish_every)
        .main_helps(false)
        .build(world(region), schedule())
        .unwrap();
    for _ in 0..WARM_UP {
        simulation.step(0.01).unwrap();
    }
    SHOW.store(std::env::var_os("SHOW_ALLOCATIONS").is_some(), Ordering::Relaxed);
    let windows = if workers == Workers::Local { 1 } else { WINDOWS_MAX };
    let mut least = (u64::MAX, u64::MAX);
    for _ in 0..windows {
        least = least.min(allocations_in_frames(&mut simulation, publish_every));
        if least.0 == 0 {
            break;
        }
    }
    SHOW.store(false, Ordering::Relaxed);
    least
}

fn main() {
    if hypostyle::serve(schedule).unwrap() {
        return;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let pools = [
        ("local", Workers::Local, 1),
        ("local_in_place", Workers::Local, 4),
        ("threads", Workers::Threads(2), 1),
        ("processes", Workers::Processes(2), 1),
    ];
    let name = |pool: &str| format!("no_allocation_on_the_frame_path_{pool}");
    if args.iter().any(|arg| arg == "--list") {
        pools.iter().for_each(|(pool, ..)| println!("{}: test", name(pool)));
        return;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let ignored = args.iter().any(|arg| arg == "--ignored");
    let wanted = |pool: &str| !ignored && (filters.is_empty() || filters.iter().any(|f| name(pool).contains(*f)));
    let (mut passed, mut failed) = (0, 0);
    for (pool, workers, publish_every) in pools {
        if !wanted(pool) {
            continue;
        }
        let (count, bytes) = allocations(workers, publish_every);
        if count == 0 {
            passed += 1;
            println!("test {} ... ok", name(pool));
        } else {
            failed += 1;
            println!("{count} allocations of {bytes} bytes in {FRAMES} frames");
            println!("test {} ... FAILED", name(pool));
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out",
        pools.len() - passed - failed
    );
    std::process::exit(if failed == 0 { 0 } else { 101 });
}
