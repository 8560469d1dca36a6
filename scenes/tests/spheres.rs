//! Spheres beside what mechanics says: impacts, friction, rolling, conserved sums, the loss of a support, clear errors.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod lab;

use std::collections::BTreeMap;

use hypostyle::{Entity, Read, Simulation, Workers, World, checkpoint};
use hypostyle_scenes::spheres::{Position, Radius, Spheres, Spin, Velocity, look};
use hypostyle_scenes::{Scene, SceneOptions};

use lab::{Ball, Lab, Vector, ball, entities, law, near, numbers};

/// Slow approach comes back as fast approach does; momentum stays, whether the other one moves or rests, is of the same
/// size or not.
#[test]
fn central_impacts() {
    for e in [0.1, 0.5, 0.9, 1.0] {
        for v in [0.02, 0.4, 2.0, 10.0] {
            let balls = [ball([40.0, 50.0, 50.0], [v, 0.0, 0.0]), ball([41.1, 50.0, 50.0], [0.0; 3])];
            let mut lab = Lab::new(law(0.0, e, 0.3), 100.0, &balls);
            let after = lab.run(0.1 / v + 0.1);
            // the restitution is met within 0.03
            let tolerance = 0.015 * v;
            near(after.velocity(0)[0], 0.5 * (1.0 - e) * v, tolerance);
            near(after.velocity(1)[0], 0.5 * (1.0 + e) * v, tolerance);
            near(after.look().momentum[0], v, 1e-12);
        }
    }
    // eight times the mass: (m1 - e m2) / (m1 + m2) v and (1 + e) m1 / (m1 + m2) v
    let heavy = Ball { radius: 1.0, ..ball([40.0, 50.0, 50.0], [2.0, 0.0, 0.0]) };
    let balls = [heavy, ball([41.6, 50.0, 50.0], [0.0; 3])];
    let mut lab = Lab::new(law(0.0, 0.5, 0.3), 100.0, &balls);
    lab.run(0.5);
    near(lab.velocity(0)[0], 2.0 * (8.0 - 0.5) / 9.0, 0.01);
    near(lab.velocity(1)[0], 2.0 * 1.5 * 8.0 / 9.0, 0.04);
}

/// One that lies still is hit as any other: nothing sleeps.
#[test]
fn a_resting_sphere_is_hit() {
    let floor = 0.5 - 9.81 / 20_000.0;
    for v in [0.1, 1.0, 4.0, 20.0] {
        let balls = [ball([50.0, floor, 50.0], [0.0; 3]), ball([54.2, floor, 50.0], [0.0; 3])];
        let mut lab = Lab::new(law(9.81, 0.5, 0.0), 100.0, &balls);
        lab.run(5.0);
        lab.place(1, ball([51.2, floor, 50.0], [-v, 0.0, 0.0]));
        lab.run(0.3 / v + 0.1);
        near(lab.velocity(0)[0], -0.75 * v, 0.015 * v);
        near(lab.velocity(1)[0], -0.25 * v, 0.015 * v);
        near(lab.look().momentum[0], -v, 1e-12);
    }
}

/// All six walls give back what the restitution says, at any speed.
#[test]
fn impacts_on_walls() {
    for (e, v) in [(0.1, 0.02), (0.5, 0.3), (0.5, 10.0), (0.9, 2.0), (1.0, 0.4)] {
        for axis in 0..3 {
            for (at, v) in [(0.6, -v), (99.4, v)] {
                let (mut place, mut velocity) = ([50.0; 3], [0.0; 3]);
                (place[axis], velocity[axis]) = (at, v);
                let mut lab = Lab::new(law(0.0, e, 0.3), 100.0, &[ball(place, velocity)]);
                lab.run(0.2 / v.abs() + 0.1);
                near(lab.velocity(0)[axis], -e * v, 0.03 * v.abs());
            }
        }
    }
}

/// A column in balance stays: each contact carries what is above it.
#[test]
fn columns_stand() {
    for n in [2, 10, 50] {
        let deep = |above: usize| above as f64 * 9.81 / 20_000.0;
        let mut y = -0.5;
        let balls: Vec<Ball> = (0..n)
            .map(|i| {
                y += 1.0 - deep(n - i);
                ball([5.0, y, 5.0], [0.0; 3])
            })
            .collect();
        let mut lab = Lab::new(law(9.81, 0.3, 0.3), 100.0, &balls);
        lab.run(2.0);
        near(lab.at(n - 1)[1], y, 1e-9);
        assert_eq!((lab.at(n - 1)[0], lab.at(n - 1)[2]), (5.0, 5.0));
        near(lab.look().kinetic, 0.0, 1e-12);
    }
}

/// Without friction the tangential velocities stay, and the normal ones are those of a central impact.
#[test]
fn an_oblique_impact() {
    // the line of centres is turned by 30 degrees when they meet
    let (sin, cos) = (0.5, 0.75f64.sqrt());
    let balls = [ball([40.0, 50.0, 50.0], [3.0, 0.0, 0.0]), ball([40.0 + 0.3 + cos, 50.0 + sin, 50.0], [0.0; 3])];
    let mut lab = Lab::new(law(0.0, 1.0, 0.0), 100.0, &balls);
    lab.run(0.5);
    let normal = 3.0 * cos;
    // spheres turn around each other a little while they touch
    near(lab.velocity(1)[0], normal * cos, 0.03);
    near(lab.velocity(1)[1], normal * sin, 0.03);
    near(lab.velocity(0)[0], 3.0 - normal * cos, 0.03);
    near(lab.velocity(0)[1], -normal * sin, 0.03);
    assert_eq!(lab.spin(0), [0.0; 3]);
    let energy = lab.look().energy();
    near(energy, 4.5, 0.01);
    // with friction both spin the same way, and momentum and angular momentum stay
    let mut lab = Lab::new(law(0.0, 0.8, 0.4), 100.0, &balls);
    let before = lab.look();
    let after = lab.run(0.5).look();
    assert!(lab.spin(0)[2] != 0.0 && lab.spin(0)[2].signum() == lab.spin(1)[2].signum());
    for axis in 0..3 {
        near(after.momentum[axis], before.momentum[axis], 1e-12);
        near(after.angular_momentum[axis], before.angular_momentum[axis], 1e-10);
    }
}

/// Heights of bounces off the floor fall by the square of the restitution.
#[test]
fn bounces_off_the_floor() {
    let mut lab = Lab::new(law(9.81, 0.5, 0.3), 100.0, &[ball([50.0, 10.5, 50.0], [0.0; 3])]);
    let (mut peaks, mut before) = (Vec::new(), -1.0);
    for _ in 0..1200 {
        lab.run(Spheres.dt());
        let v = lab.velocity(0)[1];
        if before > 0.0 && v <= 0.0 {
            peaks.push(lab.at(0)[1] - 0.5);
        }
        before = v;
    }
    assert!(peaks.len() >= 3, "{peaks:?}");
    let heights = [10.0, peaks[0], peaks[1], peaks[2]];
    for [before, after] in heights.array_windows() {
        near((after / before).sqrt(), 0.5, 0.03);
    }
    let after = lab.look();
    near(after.kinetic, 0.0, 1e-4);
    near(lab.at(0)[1], 0.5 - 9.81 / 20_000.0, 1e-3);
}

#[test]
fn spheres_are_in_the_table_that_was_reserved_for_them() {
    let options = SceneOptions { entities: Some(100), ..SceneOptions::default() };
    let world = Spheres.world(&options, World::builder()).unwrap();
    let with_bodies = |table: &usize| world.table_components(*table).any(|name| name == "body");
    let rows: Vec<usize> = (0..world.table_count()).filter(with_bodies).map(|table| world.table_rows(table)).collect();
    assert_eq!(rows, [100]);
}

#[test]
fn a_fall_is_a_parabola() {
    let mut lab = Lab::new(law(9.81, 0.5, 0.3), 100.0, &[ball([50.0, 99.0, 50.0], [1.0, 0.0, 0.0])]);
    lab.run(4.0);
    near(lab.at(0)[1], 99.0 - 0.5 * 9.81 * 16.0, 1e-9);
    near(lab.at(0)[0], 54.0, 1e-9);
    // nothing limits it: 39 m/s
    near(lab.velocity(0)[1], -39.24, 1e-9);
}

/// A sliding sphere decelerates by friction times gravity, and rolls in the end with 5/7 of its speed.
#[test]
fn sliding_becomes_rolling() {
    let rest = 0.5 - 9.81 / 20_000.0;
    for mu in [0.1, 0.3] {
        let mut lab = Lab::new(law(9.81, 0.5, mu), 100.0, &[ball([5.0, rest, 50.0], [6.0, 0.0, 0.0])]);
        lab.run(0.25);
        near(lab.velocity(0)[0], 6.0 - mu * 9.81 * 0.25, 0.02);
        // 2/7 v / (mu g) seconds
        lab.run(2.0);
        let (v, w) = (lab.velocity(0)[0], lab.spin(0)[2]);
        near(v, 6.0 * 5.0 / 7.0, 0.02);
        near(v + w * rest, 0.0, 0.02);
    }
}

/// Five in a row, a little apart: the last one takes the speed of the first.
#[test]
fn newtons_cradle() {
    let balls: Vec<Ball> = (0..5)
        .map(|i| ball([40.0 + 1.02 * f64::from(i), 50.0, 50.0], [if i == 0 { 1.0 } else { 0.0 }, 0.0, 0.0]))
        .collect();
    let mut lab = Lab::new(law(0.0, 1.0, 0.3), 100.0, &balls);
    lab.run(0.5);
    for index in 0..4 {
        near(lab.velocity(index)[0], 0.0, 0.01);
    }
    near(lab.velocity(4)[0], 1.0, 0.01);
}

/// 512 spheres that fall together in free space, with friction and loss: momentum and angular momentum stay.
#[test]
fn momentum_of_a_free_gas_stays() {
    let mut random = numbers(99);
    let balls: Vec<Ball> = (0..512)
        .map(|i| {
            let p = [f64::from(i % 8), f64::from(i / 8 % 8), f64::from(i / 64)];
            ball(p.map(|p| 46.0 + 1.1 * p), p.map(|p| 3.5 - p + random()))
        })
        .collect();
    let mut lab = Lab::new(law(0.0, 0.5, 0.3), 100.0, &balls);
    let before = lab.look();
    for _ in 0..4 {
        let after = lab.run(0.25).look();
        for axis in 0..3 {
            near(after.momentum[axis], before.momentum[axis], 1e-10);
            near(after.angular_momentum[axis], before.angular_momentum[axis], 1e-8);
        }
    }
    assert!(lab.look().kinetic < 0.5 * before.kinetic, "they have met: {:?}", lab.look());
}

#[test]
fn an_elastic_gas_keeps_its_energy() {
    let mut random = numbers(12345);
    let balls: Vec<Ball> = (0..216)
        .map(|i| {
            let at = [f64::from(i % 6), f64::from(i / 6 % 6), f64::from(i / 36)].map(|p| 1.0 + 1.9 * p);
            ball(at, [(); 3].map(|()| 3.0 * random()))
        })
        .collect();
    let mut lab = Lab::new(law(0.0, 1.0, 0.0), 11.6, &balls);
    let before = lab.look().energy();
    for _ in 0..8 {
        let after = lab.run(1.0).look().energy();
        near(after / before, 1.0, 5e-3);
    }
}

/// Nothing hangs in the air when what it lay on is gone.
#[test]
fn a_column_falls_when_its_support_is_taken_away() {
    let balls: Vec<Ball> = (0..10).map(|i| ball([5.0, 0.5 + f64::from(i), 5.0], [0.0; 3])).collect();
    let mut lab = Lab::new(law(9.81, 0.3, 0.3), 100.0, &balls);
    lab.run(6.0);
    let top = lab.at(9)[1];
    assert!(top > 9.4 && top < 9.51, "{top}");
    near(lab.look().kinetic, 0.0, 1e-3);
    let lowest = lab.all[0];
    lab.simulation.world_mut().despawn(lowest).unwrap();
    // the column stretches as it falls; its centre of mass falls freely
    let centre = |lab: &Lab| (1..10).map(|index| lab.at(index)[1]).sum::<f64>() / 9.0;
    let before = centre(&lab);
    lab.run(0.25);
    near(before - centre(&lab), 0.5 * 9.81 * 0.0625, 0.01);
    lab.run(6.0);
    near(lab.at(9)[1], top - 1.0, 0.02);
}

#[test]
fn what_cannot_be_followed_names_its_entity() {
    let balls = [ball([50.0, 5.0, 50.0], [0.0; 3]), ball([53.0, 5.0, 50.0], [0.0; 3])];
    let with = |change: &dyn Fn(&mut World, Entity)| {
        let mut lab = Lab::new(law(9.81, 0.5, 0.3), 100.0, &balls);
        lab.run(0.1);
        let second = lab.all[1];
        change(lab.simulation.world_mut(), second);
        let error = lab.error(1);
        assert!(error.contains(&second.to_string()), "{error}");
        error
    };
    let at = |x, y, z| move |world: &mut World, entity| world.set(entity, Position { x, y, z }).unwrap();
    let moving = |x| move |world: &mut World, entity| world.set(entity, Velocity { x, y: 0.0, z: 0.0 }).unwrap();
    assert!(with(&moving(f64::NAN)).contains("must be numbers"));
    assert!(with(&at(f64::NAN, 5.0, 5.0)).contains("NaN"));
    assert!(with(&moving(1000.0)).contains("moves at 1000"));
    assert!(with(&at(50.0, -3.0, 50.0)).contains("from a wall: place it inside"));
    assert!(with(&at(50.0, 500.0, 50.0)).contains("from a wall: place it inside"));
    assert!(
        with(&|world, entity| world.set(entity, Spin { x: f64::INFINITY, y: 0.0, z: 0.0 }).unwrap())
            .contains("must be numbers")
    );
    let first = entities(Lab::new(law(9.81, 0.5, 0.3), 100.0, &balls).simulation.world())[0];
    let same = |world: &mut World, entity| {
        let place: Position = world.get(first).unwrap();
        world.set(entity, place).unwrap();
    };
    assert!(with(&same).contains("are at one place"));
    let deep = |world: &mut World, entity| {
        let Position { x, y, z } = world.get(first).unwrap();
        world.set(entity, Position { x: x + 0.2, y, z }).unwrap();
    };
    assert!(with(&deep).contains("overlap by 0."));
    // options, and a schedule that does not fit the world
    let refused = |options: SceneOptions| Spheres.world(&options, World::builder()).err().unwrap().to_string();
    assert!(refused(SceneOptions::new(None, 0).with("radii", "0.1,0.5")).contains("MAX at most 4 times MIN"));
    assert!(refused(SceneOptions::new(None, 0).with("restitution", "1.5")).contains("a number from 0 to 1"));
    let world = Spheres.world(&law(9.81, 0.5, 0.3).with("stiffness", 1e6), World::builder()).unwrap();
    let mut simulation = Simulation::new(world, Spheres.schedule(&law(9.81, 0.5, 0.3)), Workers::Local).unwrap();
    let error = simulation.step(Spheres.dt()).unwrap_err().to_string();
    assert!(error.contains("the schedule has") && error.contains("--stiffness"), "{error}");
}

fn places(world: &World) -> BTreeMap<Entity, Vector> {
    let mut places = BTreeMap::new();
    world
        .query::<Read<Position>>(|entities, p| {
            for (row, entity) in entities.iter().enumerate() {
                places.insert(*entity, [p.x[row], p.y[row], p.z[row]]);
            }
        })
        .unwrap();
    places
}

/// Spheres of radii within a factor of four come to rest on the floor and on each other, and energy only falls.
#[test]
fn a_heap_comes_to_rest() {
    let options = SceneOptions::new(Some(300), 3).with("radii", "0.25,1.0").with("restitution", 0.3);
    let world = Spheres.world(&options, World::builder()).unwrap();
    let builder = Simulation::builder().workers(Workers::Local).publish_every(10_000);
    let mut simulation = builder.build(world, Spheres.schedule(&options)).unwrap();
    let mut least = look(simulation.world()).unwrap().energy();
    for _ in 0..40 {
        simulation.run(60, Spheres.dt()).unwrap();
        let seen = look(simulation.world()).unwrap();
        assert!(seen.energy() <= least * 1.001, "{seen:?} after {least}");
        assert!(seen.overlap < 0.3, "{seen:?}");
        least = least.min(seen.energy());
    }
    let seen = look(simulation.world()).unwrap();
    assert!(seen.kinetic / seen.potential < 1e-3 && seen.contacts > 300, "{seen:?}");
    let before = places(simulation.world());
    simulation.run(240, Spheres.dt()).unwrap();
    let mut drifts: Vec<f64> = places(simulation.world())
        .into_iter()
        .map(|(entity, now)| (0..3).map(|axis| (now[axis] - before[&entity][axis]).abs()).fold(0.0, f64::max))
        .collect();
    drifts.sort_by(f64::total_cmp);
    // without rolling friction a few on top may still roll
    assert!(drifts[240] < 0.02, "{:?}", &drifts[230..]);
}

/// The springs survive the sorting of rows, whoever computes: also a pile of different sizes, published rarely.
#[test]
fn the_same_bytes_for_all_workers_and_any_publish_rate() {
    let options = SceneOptions::new(Some(700), 5).with("radii", "0.2,0.6");
    let hashes = |workers: Workers, publish_every: u64| {
        let world = Spheres.world(&options, World::builder()).unwrap();
        let builder = Simulation::builder().workers(workers).publish_every(publish_every);
        let mut simulation = builder.build(world, Spheres.schedule(&options)).unwrap();
        for worker in simulation.hosted_workers() {
            std::thread::spawn(|| worker.run());
        }
        let mut reader = simulation.world().reader().unwrap();
        let hash = |_| {
            simulation.run(30, Spheres.dt()).unwrap();
            reader.pin().unwrap().hash()
        };
        (0..4).map(hash).collect::<Vec<u64>>()
    };
    let local = hashes(Workers::Local, 1);
    for workers in [Workers::Threads(1), Workers::Threads(4), Workers::Hosted(2)] {
        assert_eq!(local, hashes(workers, 1), "{workers}");
    }
    assert_eq!(local, hashes(Workers::Threads(2), 15));
}

/// What somebody changes between frames is noticed in a state from a file as in the world that goes on, whose lists know the
/// rows that they were made for: the last row goes, which leaves the others where they are; the first goes, whose place the
/// last one takes; all but the last; one goes to another table and back.
#[test]
fn a_changed_world_has_the_same_future_from_a_file() {
    let options = SceneOptions::new(Some(150), 5).with("radii", "0.3,0.8").with("gravity", "30");
    let options = options.with("restitution", "0.2").with("stiffness", "60000");
    let directory = tempfile::tempdir().unwrap();
    let begin = |world| {
        Simulation::builder().workers(Workers::Local).publish_every(1).build(world, Spheres.schedule(&options)).unwrap()
    };
    type Change<'a> = &'a dyn Fn(&mut World, &[Entity]);
    let changes: [(&str, Change<'_>); 6] = [
        ("nothing", &|_, _| {}),
        ("the last goes", &|world, all| world.despawn(all[149]).unwrap()),
        ("the first goes", &|world, all| world.despawn(all[0]).unwrap()),
        ("one is left", &|world, all| all[..149].iter().for_each(|entity| world.despawn(*entity).unwrap())),
        ("one goes to another table and comes back", &|world, all| {
            let radius: Radius = world.get(all[7]).unwrap();
            world.remove::<Radius>(all[7]).unwrap();
            world.add(all[7], radius).unwrap();
        }),
        ("the last is another one", &|world, all| {
            let radius: Radius = world.get(all[149]).unwrap();
            world.set(all[149], Radius { value: 0.9 * radius.value }).unwrap();
        }),
    ];
    for (what, change) in changes {
        let mut simulation = begin(Spheres.world(&options, World::builder()).unwrap());
        // they lie in a heap, and lists hold for many frames
        simulation.run(500, Spheres.dt()).unwrap();
        let mut all = Vec::new();
        simulation.world().query::<Read<Position>>(|entities, _| all.extend_from_slice(entities)).unwrap();
        change(simulation.world_mut(), &all);
        simulation.world_mut().publish().unwrap();
        let path = directory.path().join(what.replace(' ', "-"));
        let mut reader = simulation.world().reader().unwrap();
        checkpoint::write(&reader.pin().unwrap(), &path, &checkpoint::CheckpointOptions::default()).unwrap();
        let mut resumed = begin(checkpoint::open(&path).unwrap().restore(World::builder()).unwrap());
        for frames in [1, 2, 20] {
            simulation.run(frames, Spheres.dt()).unwrap();
            resumed.run(frames, Spheres.dt()).unwrap();
            let hash = |simulation: &Simulation| simulation.world().hash_by_id().unwrap();
            assert_eq!(hash(&simulation), hash(&resumed), "{what}, {frames} frames later");
        }
    }
}
