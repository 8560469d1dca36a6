//! Forces between pairs: lists that keep themselves, beside a loop over all pairs.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::pairs::{PairLists, PairState};
use hypostyle::simd::Vectors;
use hypostyle::space::{Bounds, Box2, Box3, SpaceError};
use hypostyle::{
    Component, Entity, GlobalId, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World, Write,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Position {
    x: f64,
    y: f64,
    z: f64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Velocity {
    x: f64,
    y: f64,
    z: f64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "scratch")]
struct Force {
    x: f64,
    y: f64,
    z: f64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Charge {
    e: f64,
}
/// Another order.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Mixed {
    key: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Odd;
#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq)]
struct Potential {
    #[reduce(sum)]
    energy: f64,
}

const CUTOFF: f64 = 1.0;
const SKIN: f64 = 0.2;

type Lists = PairLists<Position, Force, f64, 3>;

/// Periodic along two axes.
fn lists() -> Lists {
    let bounds = Bounds::new([-1.0, 0.0, 2.0], [6.0, 5.0, 7.0], [true, true, false]).unwrap();
    PairLists::new(bounds, CUTOFF, SKIN).unwrap()
}

/// Force over distance, and the energy, of springs that push.
fn law(square: f64) -> (f64, [f64; 1]) {
    let distance = square.sqrt();
    (8.0 * (CUTOFF - distance) / distance, [4.0 * (CUTOFF - distance) * (CUTOFF - distance)])
}

/// A number from 0 to 1, the same for the same `i`.
fn unit(i: u64) -> f64 {
    (GlobalId::root(i).child(0, 0).value >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
}

fn body(i: u64) -> (GlobalId, Position, Velocity, Force, Charge, Mixed) {
    let at = Position { x: 6.0 * unit(3 * i) - 1.0, y: 5.0 * unit(3 * i + 1), z: 2.0 + 7.0 * unit(3 * i + 2) };
    let v = [3, 4, 5].map(|k| 3.0 * unit(1_000_000 * k + i) - 1.5);
    let velocity = Velocity { x: v[0], y: v[1], z: v[2] };
    let charge = Charge { e: if i.is_multiple_of(3) { 2.0 } else { -1.0 } };
    let mixed = Mixed { key: (i as u32).wrapping_mul(0x9E37_79B9) >> 12 };
    (GlobalId::root(i), at, velocity, Force { x: 0.0, y: 0.0, z: 0.0 }, charge, mixed)
}

fn world(lists: &Lists, count: u64) -> World {
    let builder = World::builder().component::<GlobalId>().component::<Velocity>().component::<Charge>();
    let builder = lists.register(builder.component::<Odd>().component::<Mixed>()).resource::<Potential>();
    let mut world = builder.build().unwrap();
    world.spawn_batch((0..count).map(|i| (body(i), lists.parts()))).unwrap();
    world
}

fn drift() -> System {
    System::rows::<(Write<Position>, Read<Velocity>)>("move", |job, (mut at, v)| {
        let dt = job.dt();
        at.x.map_with(v.x, |x, v| x + v * dt);
        at.y.map_with(v.y, |y, v| y + v * dt);
        at.z.map_with(v.z, |z, v| z + v * dt);
    })
}

/// Pushes; the walls at both ends of the open axis throw back.
fn kick() -> System {
    System::rows::<(Write<Velocity>, Read<Force>, Read<Position>)>("kick", |job, (mut v, f, at)| {
        let dt = job.dt();
        v.x.map_with(f.x, |v, f| v + f * dt);
        v.y.map_with(f.y, |v, f| v + f * dt);
        v.z.map_with(f.z, |v, f| v + f * dt);
        for row in 0..job.len() {
            if (at.z[row] < 2.0 && v.z[row] < 0.0) || (at.z[row] > 9.0 && v.z[row] > 0.0) {
                v.z[row] = -v.z[row];
            }
        }
    })
}

fn schedule(lists: &Lists) -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(drift());
    lists.add_to(&mut schedule);
    let force = System::pairs_and_sum("force", lists, law, |job, [twice]| {
        job.reduce(Potential { energy: 0.5 * twice });
        Ok(())
    });
    schedule.add(force.reduces::<Potential>()).add(kick());
    schedule
}

/// Every entity's place and force, by id.
fn forces(world: &World) -> Vec<(u64, [f64; 3], [f64; 3])> {
    let mut all = Vec::new();
    world
        .query::<(Read<GlobalId>, Read<Position>, Read<Force>)>(|_, (id, at, f)| {
            for row in 0..id.value.len() {
                all.push((id.value[row], [at.x[row], at.y[row], at.z[row]], [f.x[row], f.y[row], f.z[row]]));
            }
        })
        .unwrap();
    all.sort_by_key(|(id, ..)| *id);
    all
}

/// The same by a loop over all pairs.
fn check(world: &World, bounds: &Box3, law: impl Fn(f64, u64, u64) -> f64) {
    let all = forces(world);
    let mut pairs = 0;
    for (id, at, force) in &all {
        let mut want = [0.0; 3];
        for (other, place, _) in &all {
            let d = bounds.between(*at, *place);
            let square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
            if other != id && square < CUTOFF * CUTOFF {
                pairs += 1;
                let value = law(square, *id, *other);
                (0..3).for_each(|axis| want[axis] += value * d[axis]);
            }
        }
        for axis in 0..3 {
            assert!((want[axis] - force[axis]).abs() < 1e-10, "entity {id}, axis {axis}: {force:?}, not {want:?}");
        }
    }
    assert!(pairs > all.len(), "{pairs} pairs of {} are no test", all.len());
}

#[test]
fn forces_are_those_of_a_loop_over_all_pairs_for_as_long_as_it_runs() {
    let lists = lists();
    let bounds = Bounds::new([-1.0, 0.0, 2.0], [6.0, 5.0, 7.0], [true, true, false]).unwrap();
    let mut simulation = Simulation::new(world(&lists, 500), schedule(&lists), Workers::Local).unwrap();
    for _ in 0..120 {
        simulation.step(0.01).unwrap();
        check(simulation.world(), &bounds, |square, _, _| law(square).0);
    }
    let state = simulation.world().resource::<PairState>().unwrap();
    assert!(state.made > 5 && state.made < 60, "lists were made {} times in 120 frames", state.made);
    let energy = simulation.world().resource::<Potential>().unwrap().energy;
    let all = forces(simulation.world());
    let mut want = 0.0;
    for (i, (_, a, _)) in all.iter().enumerate() {
        for (_, b, _) in &all[i + 1..] {
            let square = bounds.distance_square(*a, *b);
            want += if square < CUTOFF * CUTOFF { law(square).1[0] } else { 0.0 };
        }
    }
    assert!((energy / want - 1.0).abs() < 1e-12, "{energy}, not {want}");
}

#[test]
fn who_comes_and_goes_is_noticed() {
    let lists = lists();
    let bounds = Bounds::new([-1.0, 0.0, 2.0], [6.0, 5.0, 7.0], [true, true, false]).unwrap();
    let mut simulation = Simulation::new(world(&lists, 400), schedule(&lists), Workers::Local).unwrap();
    let mut entities: Vec<Entity> = Vec::new();
    for frame in 0..40_u64 {
        simulation.step(0.001).unwrap();
        check(simulation.world(), &bounds, |square, _, _| law(square).0);
        let world = simulation.world_mut();
        if entities.is_empty() {
            world.query::<Read<Position>>(|of, _| entities.extend_from_slice(of)).unwrap();
        }
        match frame % 4 {
            0 => world.despawn(entities.swap_remove(7)).unwrap(),
            1 => entities.push(world.spawn((body(1000 + frame), lists.parts())).unwrap()),
            // as many as before
            2 => {
                world.despawn(entities.swap_remove(3)).unwrap();
                entities.push(world.spawn((body(1000 + frame), lists.parts())).unwrap());
            }
            _ => {}
        }
    }
    let made = simulation.world().resource::<PairState>().unwrap().made;
    assert!((30..36).contains(&made), "lists are made anew where somebody came or went, {made} times");
}

#[test]
fn lists_are_made_anew_where_somebody_else_has_sorted_the_table() {
    let lists = lists();
    let bounds = Bounds::new([-1.0, 0.0, 2.0], [6.0, 5.0, 7.0], [true, true, false]).unwrap();
    let mut schedule = schedule(&lists);
    schedule.add(System::rows::<Read<GlobalId>>("by id", |_, _| {}).sort_by("mixed.key").every(4).after("kick"));
    let mut simulation = Simulation::new(world(&lists, 400), schedule, Workers::Local).unwrap();
    for _ in 0..12 {
        simulation.step(0.001).unwrap();
        check(simulation.world(), &bounds, |square, _, _| law(square).0);
    }
    let made = simulation.world().resource::<PairState>().unwrap().made;
    assert!((3..6).contains(&made), "lists were made {made} times in 12 frames");
}

#[test]
fn charges_of_both_decide() {
    let lists = lists();
    let bounds = Bounds::new([-1.0, 0.0, 2.0], [6.0, 5.0, 7.0], [true, true, false]).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(drift());
    lists.add_to(&mut schedule);
    let by = |square: f64, [a]: [f64; 1], [b]: [f64; 1]| a * b * (1.0 - square);
    schedule.add(System::pairs_by::<Charge, _, _, _, _, _>("force", &lists, by).job_rows(64));
    let mut simulation = Simulation::new(world(&lists, 500), schedule, Workers::Threads(2)).unwrap();
    let e = |id: u64| body(id).4.e;
    for _ in 0..10 {
        simulation.step(0.02).unwrap();
        check(simulation.world(), &bounds, |square, a, b| e(a) * e(b) * (1.0 - square));
    }
}

#[test]
fn the_bytes_are_the_same_for_any_workers_and_vectors() {
    let run = |workers: Workers, vectors: Vectors| {
        vectors.limit();
        let lists = lists();
        let mut schedule = schedule(&lists);
        schedule.add(System::rows::<Read<Position>>("last", |_, _| {}).after("kick"));
        let mut simulation = Simulation::new(world(&lists, 3000), schedule, workers).unwrap();
        simulation.run(60, 0.01).unwrap();
        Vectors::Avx512.limit();
        let mut world = simulation.into_world();
        world.publish().unwrap();
        world.reader().unwrap().pin().unwrap().hash()
    };
    let want = run(Workers::Local, Vectors::Avx512);
    assert_eq!(run(Workers::Threads(1), Vectors::Avx512), want);
    assert_eq!(run(Workers::Threads(3), Vectors::Avx512), want);
    assert_eq!(run(Workers::Threads(2), Vectors::Baseline), want);
    assert_eq!(run(Workers::Local, Vectors::Avx2), want);
}

#[cfg(feature = "checkpoint")]
#[test]
fn a_run_that_is_resumed_has_the_bytes_of_one_that_was_not() {
    use hypostyle::checkpoint::{self, CheckpointOptions};
    let lists = lists();
    let builder = |lists: &Lists| {
        let builder = World::builder().component::<GlobalId>().component::<Velocity>().component::<Charge>();
        lists.register(builder.component::<Odd>().component::<Mixed>()).resource::<Potential>()
    };
    let path = std::env::temp_dir().join(format!("hypostyle-pairs-{}.checkpoint", std::process::id()));
    let hash = |world: &mut World| {
        world.publish().unwrap();
        world.reader().unwrap().pin().unwrap().hash()
    };
    let simulation = |world, workers| Simulation::new(world, schedule(&lists), workers).unwrap();
    let resumed = |workers| simulation(checkpoint::open(&path).unwrap().restore(builder(&lists)).unwrap(), workers);
    let mut whole = simulation(world(&lists, 400), Workers::Local);
    let (mut kept_lists, mut made) = (0, 0);
    for frame in 1..=16 {
        whole.step(0.01).unwrap();
        whole.world_mut().publish().unwrap();
        checkpoint::write(&whole.world().reader().unwrap().pin().unwrap(), &path, &CheckpointOptions::default())
            .unwrap();
        let state = whole.world().resource::<PairState>().unwrap();
        kept_lists += u32::from(state.made == made);
        made = state.made;
        let (mut one, mut other) = (resumed(Workers::Threads(2)), simulation(world(&lists, 400), Workers::Local));
        one.run(5, 0.01).unwrap();
        for _ in 0..frame {
            other.step(0.01).unwrap();
            other.world_mut().publish().unwrap();
        }
        other.run(5, 0.01).unwrap();
        assert_eq!(hash(one.world_mut()), hash(other.world_mut()), "resumed after frame {frame}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(kept_lists > 5, "lists that hold longer than a frame were taken up {kept_lists} times");
}

#[test]
fn rows_follow_their_ids_where_that_is_asked_for() {
    let by_id = lists().by_id();
    let mut simulation = Simulation::new(world(&by_id, 600), schedule(&by_id), Workers::Local).unwrap();
    simulation.run(3, 0.01).unwrap();
    let mut order = Vec::new();
    simulation
        .world()
        .query::<(Read<hypostyle::pairs::PairCell>, Read<GlobalId>)>(|_, (cell, id)| {
            order.extend(cell.key.iter().copied().zip(id.value.iter().copied()));
        })
        .unwrap();
    assert!(order.is_sorted() && order.len() == 600);
}

#[test]
fn what_is_wrong_is_named() {
    let narrow = PairLists::<Position, Force, f64, 3>::new(Box3::periodic([9.0, 2.6, 9.0]).unwrap(), 1.0, 0.2);
    assert_eq!(narrow.unwrap_err(), SpaceError::Narrow { axis: 1, side: 2.6, least: 2.8 });
    let open = Box3::open([0.0; 3], [9.0, 2.6, 9.0]).unwrap();
    assert!(PairLists::<Position, Force, f64, 3>::new(open, 1.0, 0.2).is_ok());
    let none = PairLists::<Position, Force, f64, 3>::new(open, 1.0, 0.0);
    assert_eq!(none.unwrap_err(), SpaceError::Width { width: 0.0 });

    let step = |change: &dyn Fn(&mut World)| {
        let lists = lists();
        let mut world = world(&lists, 50);
        change(&mut world);
        let mut simulation = Simulation::new(world, schedule(&lists), Workers::Local).unwrap();
        std::error::Error::source(&simulation.step(0.01).unwrap_err()).map(ToString::to_string).unwrap_or_default()
            + &simulation.step(0.01).unwrap_err().to_string()
    };
    let spawn = |world: &mut World, x: f64, z: f64| {
        let (id, at, velocity, force, charge, mixed) = body(77);
        let at = Position { x, z, ..at };
        world.spawn(((id, at, Velocity { x: 0.0, y: 0.0, ..velocity }, force, charge, mixed), lists().parts())).unwrap()
    };
    let nowhere = step(&|world| _ = spawn(world, f64::NAN, 3.0));
    assert!(nowhere.contains("entity 50v0 is at [NaN") && nowhere.contains("that is no place"), "{nowhere}");
    let far = step(&|world| _ = spawn(world, 1.0, 100.0));
    assert!(far.contains("more than four sides out of the open box"), "{far}");
    let twice = step(&|world| {
        spawn(world, 1.0, 3.0);
        spawn(world, 1.0, 3.0);
    });
    assert!(twice.contains("are at the same place"), "{twice}");
    let tables = step(&|world| {
        let odd = spawn(world, 1.0, 3.0);
        world.add(odd, Odd).unwrap();
    });
    assert!(tables.contains("rows with pairs are in 2 tables"), "{tables}");
}

#[derive(Component, Clone, Copy)]
struct Place {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy)]
struct Push {
    x: f32,
    y: f32,
}

#[derive(Resource, Reduce, Clone, Copy)]
struct Bonds {
    #[reduce(sum)]
    count: u64,
}

#[test]
fn in_the_plane_with_less_digits() {
    let lists = PairLists::<Place, Push, f32, 2>::new(Box2::periodic([30.0; 2]).unwrap(), 1.5, 0.3).unwrap();
    let mut world = lists.register(World::builder()).resource::<Bonds>().build().unwrap();
    // a lattice: everyone has four neighbours at a distance of 1, and four at the root of 2
    let at = |i: u32| Place { x: (i % 30) as f32 + 0.25, y: (i / 30) as f32 + 0.25 };
    world.spawn_batch((0..900).map(|i| (at(i), Push { x: 1.0, y: 1.0 }, lists.parts()))).unwrap();
    let mut schedule = Schedule::new();
    lists.add_to(&mut schedule);
    let count = |square| (square, [1.0]);
    let count = System::pairs_and_sum("count", &lists, count, |job, [bonds]| {
        job.reduce(Bonds { count: bonds as u64 });
        Ok(())
    });
    schedule.add(count.reduces::<Bonds>());
    let mut simulation = Simulation::new(world, schedule, Workers::Threads(2)).unwrap();
    simulation.run(2, 1.0).unwrap();
    assert_eq!(simulation.world().resource::<Bonds>().unwrap().count, 900 * 8);
    simulation
        .world()
        .query::<Read<Push>>(|_, push| {
            assert!(push.x.iter().chain(push.y).all(|push| push.abs() < 1e-4), "all pushes are opposite");
        })
        .unwrap();
}
