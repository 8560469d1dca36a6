//! Systems that run only where a condition holds, and loops within a frame.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{
    Component, Loop, Read, Resource, Schedule, ScheduleError, Simulation, StepError, System, Workers, World, Write,
    dynamic,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Body {
    x: f64,
    v: f64,
}
#[derive(Component, Clone, Copy)]
struct Trail {
    text: [u8; 32],
    len: u32,
}
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
struct Control {
    on: bool,
    passes: i32,
    level: f32,
}

fn world(control: Control) -> World {
    let mut world = World::builder().component::<Body>().component::<Trail>().resource::<Control>().build().unwrap();
    world.spawn_batch((0..100).map(|i| (Body { x: f64::from(i), v: 0.0 }, Trail { text: [0; 32], len: 0 }))).unwrap();
    world.insert_resource(control).unwrap();
    world
}

const OFF: Control = Control { on: false, passes: 2, level: 1.5 };

/// Writes down that it ran, as one letter in every row.
fn mark(name: &str, letter: u8) -> System {
    System::rows::<Write<Trail>>(name, move |_, mut trail| {
        for row in 0..trail.len.len() {
            let at = trail.len[row] as usize;
            trail.text[row][at] = letter;
            trail.len[row] += 1;
        }
    })
}

fn trail(world: &World) -> String {
    let mut found = Vec::new();
    world
        .query::<Read<Trail>>(|_, trail| {
            let texts = trail.text.iter().zip(trail.len).map(|(text, len)| text[..*len as usize].to_vec());
            found.extend(texts);
        })
        .unwrap();
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "all rows saw the same");
    String::from_utf8(found[0].clone()).unwrap()
}

fn simulate(world: World, schedule: Schedule, workers: Workers, fuse: bool, publish_every: u64) -> Simulation {
    let builder = Simulation::builder().workers(workers).fuse(fuse).publish_every(publish_every);
    builder.build(world, schedule).unwrap()
}

#[test]
fn every_nth_frame_is_the_same_however_frames_are_run() {
    for (fuse, publish_every) in [(true, 1), (true, 12), (false, 5)] {
        let mut schedule = Schedule::new();
        schedule.add(mark("a", b'a'));
        schedule.add(mark("b", b'b').every(3));
        schedule.add(mark("c", b'c').every_from(4, 2));
        let mut simulation = simulate(world(OFF), schedule, Workers::Local, fuse, publish_every);
        simulation.run(7, 1.0).unwrap();
        assert_eq!(trail(simulation.world()), "aacabaaabca", "fuse {fuse}, a generation every {publish_every} frames");
    }
}

#[test]
fn a_system_runs_where_a_resource_says_so_and_touches_nothing_else() {
    let mut schedule = Schedule::new();
    schedule.add(mark("typed", b't').run_if::<Control>(|control| control.on));
    schedule.add(mark("named", b'n').run_if_named("control.level", dynamic::Comparison::AtLeast, 2.0));
    schedule.add(
        System::once("switch", |job| {
            job.set_resource(Control { on: job.frame() == 2, passes: 0, level: job.frame() as f32 })
        })
        .sets_resource::<Control>()
        .after("named"),
    );
    let mut simulation = simulate(world(OFF), schedule, Workers::Threads(1), true, 1);
    let (mut jobs, mut texts) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        jobs.push(simulation.step(1.0).unwrap().jobs);
        texts.push(trail(simulation.world()));
    }
    assert_eq!((texts, jobs), (vec!["".into(), "".into(), "tn".into(), "tnn".to_owned()], vec![1, 1, 2, 2]));
    // a frame in which nothing that writes rows has run shares all column memory with the one before
    let mut schedule = Schedule::new();
    schedule.add(mark("never", b'x').run_if::<Control>(|_| false));
    let mut simulation = simulate(world(OFF), schedule, Workers::Local, true, 1);
    simulation.step(1.0).unwrap();
    let before = simulation.world().usage();
    assert_eq!((simulation.run(50, 1.0).unwrap().jobs, simulation.report().rows), (0, 0));
    assert_eq!(simulation.world().usage(), before);
}

fn looped(times: Loop) -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add_loop(times);
    schedule.add_loop(Loop::new("inner").times(2).inside("outer"));
    schedule.add(mark("first", b'('));
    schedule.add(mark("a", b'a').in_loop("outer"));
    schedule.add(mark("b", b'b').in_loop("inner"));
    schedule.add(mark("c", b'c').in_loop("inner").every(2));
    schedule.add(mark("d", b'd').in_loop("outer"));
    schedule.add(mark("last", b')'));
    schedule
}

#[test]
fn loops_nest_and_count_by_numbers_and_resources() {
    for workers in [Workers::Local, Workers::Threads(2)] {
        for times in [
            Loop::new("outer").times(2),
            Loop::new("outer").times_of::<Control>(|control| control.passes as u32),
            Loop::new("outer").times_named("control.passes"),
        ] {
            let mut simulation = simulate(world(OFF), looped(times), workers, true, 1);
            simulation.step(1.0).unwrap();
            assert_eq!(trail(simulation.world()), "(abbdabbd)");
            simulation.world_mut().set_resource(Control { passes: 1, ..OFF }).unwrap();
        }
        let mut simulation =
            simulate(world(OFF), looped(Loop::new("outer").times_named("control.passes")), workers, true, 1);
        simulation.world_mut().set_resource(Control { passes: 0, ..OFF }).unwrap();
        simulation.step(1.0).unwrap();
        simulation.world_mut().set_resource(Control { passes: 1, ..OFF }).unwrap();
        simulation.step(1.0).unwrap();
        assert_eq!(trail(simulation.world()), "()(abcbcd)");
        simulation.world_mut().set_resource(Control { passes: -1, ..OFF }).unwrap();
        let error = simulation.step(1.0).unwrap_err();
        assert!(matches!(&error, StepError::Condition { what, frame: 2, .. } if what == "loop `outer`"), "{error}");
        assert!(error.to_string().contains("is to run -1 times"), "{error}");
        assert_eq!(trail(simulation.world()), "()(abcbcd)", "the last good generation stands");
    }
}

#[test]
fn loops_come_with_the_systems_that_name_them() {
    let taken = |names: &[&str]| {
        let (mut from, mut schedule) = (looped(Loop::new("outer").times(2)), Schedule::new());
        // a loop of a resource that this world has not: it is left where it is
        from.add_loop(Loop::new("other").times_named("nothing.count"));
        for name in names {
            schedule.add(from.take(name).unwrap());
            schedule.take_loops(&mut from);
        }
        schedule
    };
    for (names, expected) in [(&["a", "b", "last"][..], "abbabb)"), (&["b"], "bbbb"), (&["first", "last"], "()")] {
        let mut simulation = simulate(world(OFF), taken(names), Workers::Local, true, 1);
        simulation.step(1.0).unwrap();
        assert_eq!(trail(simulation.world()), expected);
    }
    // one that is there already stays
    let mut schedule = Schedule::new();
    schedule.add_loop(Loop::new("outer").times(3));
    let mut from = looped(Loop::new("outer").times(2));
    schedule.add(from.take("a").unwrap()).take_loops(&mut from);
    let mut simulation = simulate(world(OFF), schedule, Workers::Local, true, 1);
    simulation.step(1.0).unwrap();
    assert_eq!(trail(simulation.world()), "aaa");
}

#[test]
fn substeps_divide_the_frames_step() {
    let oscillate = || {
        System::rows::<Write<Body>>("oscillate", |job, mut body| {
            let (dt, time) = (job.dt(), job.time());
            for row in 0..job.len() {
                body.v[row] -= dt * body.x[row] + 1e-3 * time * f64::from(job.iteration());
                body.x[row] += dt * body.v[row];
            }
        })
    };
    let mut schedule = Schedule::new();
    schedule.add_loop(Loop::new("substeps").times(4).divides_step());
    schedule.add(oscillate().in_loop("substeps"));
    let mut simulation = simulate(world(OFF), schedule, Workers::Threads(1), true, 1);
    simulation.run(3, 0.5).unwrap();
    assert_eq!(simulation.world().time(), 1.5);
    let (mut x, mut v) = (7.0_f64, 0.0_f64);
    for frame in 0..3 {
        for pass in 0..4 {
            let time = f64::from(frame) * 0.5 + 0.125 * f64::from(pass);
            v -= 0.125 * x + 1e-3 * time * f64::from(pass);
            x += 0.125 * v;
        }
    }
    let mut found = Vec::new();
    simulation.world().query::<Read<Body>>(|_, body| found.extend_from_slice(body.x)).unwrap();
    assert_eq!(found[7], x);
}

fn schedule_error(schedule: Schedule) -> ScheduleError {
    match Simulation::new(world(OFF), schedule, Workers::Local).err().unwrap() {
        StepError::Schedule(error) => error,
        error => panic!("{error}"),
    }
}

#[test]
fn the_plan_says_when_systems_run() {
    let world = world(OFF);
    let mut schedule = Schedule::new();
    schedule.add_loop(Loop::new("steps").times(4).divides_step());
    schedule.add_loop(Loop::new("solve").times_named("control.passes").inside("steps"));
    schedule.add(mark("first", b'a').every(20).run_if::<Control>(|control| control.on));
    schedule.add(mark("again", b'b').in_loop("steps"));
    let solver = mark("solver", b'c').in_loop("solve").run_if_named("control.level", dynamic::Comparison::AtMost, 1.5);
    schedule.add(solver.every_from(5, 2));
    schedule.add(System::guard_within("bodies are near", "body", [("x", -1.0..=1e3), ("v", -1.0..=1.0)]));
    let plan = hypostyle::plan::Plan::of(&schedule, &world).unwrap().to_string();
    let lines = [
        "; every 20 frames; if resource control says so\n",
        "  loop steps: batches 2 to 3; 4 passes, which share the step\n",
        "  loop solve: batch 3; as many passes as resource control says\n",
        "; if control.level <= 1.5; every 5 frames from 2\n",
        "; guards that body.x, body.v is within bounds\n",
    ];
    for line in lines {
        assert!(plan.contains(line), "no `{line}` in\n{plan}");
    }
}

#[test]
fn what_is_declared_wrongly_is_said_when_the_schedule_is_built() {
    let with = |loops: Vec<Loop>, systems: Vec<System>| {
        let mut schedule = Schedule::new();
        loops.into_iter().for_each(|each| {
            schedule.add_loop(each);
        });
        systems.into_iter().for_each(|each| {
            schedule.add(each);
        });
        schedule_error(schedule).to_string()
    };
    let new = Loop::new;
    for (loops, systems, part) in [
        (vec![], vec![mark("a", b'a').in_loop("none")], "no such loop"),
        (vec![new("l"), new("l")], vec![], "two loops of this name"),
        (vec![new("l").inside("m")], vec![], "which is no loop"),
        (vec![new("l").inside("m"), new("m").inside("l")], vec![], "inside of itself"),
        (vec![new("l").times_named("control.level")], vec![], "is no integer"),
        (vec![new("l").times_named("control.speed")], vec![], "no field `speed`"),
        (
            vec![new("l")],
            vec![mark("a", b'a').in_loop("l"), mark("b", b'b').in_loop("l").stage("late")],
            "a loop lies in one stage",
        ),
        (
            vec![new("l")],
            vec![mark("a", b'a').in_loop("l").before("x"), mark("x", b'x'), mark("b", b'b').in_loop("l").after("x")],
            "is a cycle: x -> loop l -> x",
        ),
        (vec![], vec![mark("a", b'a').every(0)], "every 0 frames"),
        (vec![], vec![mark("a", b'a').run_if_named("control.passes", dynamic::Comparison::Less, 0.5)], "is an integer"),
        (vec![], vec![mark("a", b'a').run_if_named("control", dynamic::Comparison::Less, 1.0)], "`resource.field`"),
    ] {
        let error = with(loops, systems);
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn what_is_asked_in_vain_fails_the_frame() {
    let empty = || World::builder().component::<Trail>().component::<Body>().resource::<Control>().build().unwrap();
    let mut schedule = Schedule::new();
    schedule.add(mark("a", b'a').run_if::<Control>(|control| control.on));
    let error = Simulation::new(empty(), schedule, Workers::Local).unwrap().step(1.0).unwrap_err();
    assert!(error.to_string().contains("resource `control` has no value yet"), "{error}");
    let mut schedule = Schedule::new();
    schedule.add(mark("a", b'a').run_if::<Control>(|_| panic!("no answer")));
    let error = Simulation::new(world(OFF), schedule, Workers::Local).unwrap().step(1.0).unwrap_err();
    assert!(matches!(error, StepError::Condition { .. }) && error.to_string().contains("panicked"), "{error}");
}

#[test]
fn random_numbers_belong_to_the_entity_and_not_to_its_row() {
    let draw = |workers: Workers, by_name: bool, rows: u32, seed: u64| {
        let mut schedule = Schedule::new();
        schedule.add(match by_name {
            false => System::rows::<Write<Body>>("draw", |job, mut body| {
                for row in 0..job.len() {
                    body.v[row] = job.random(row).f64();
                }
            })
            .job_rows(rows),
            true => dynamic::system("draw", dynamic::Query::new().write("body"), |job| {
                let values: Vec<f64> = (0..job.len()).map(|row| job.random(row).f64()).collect();
                let hypostyle::dynamic::ColumnBytes::Write(v) = &mut job.columns()[1].bytes else {
                    return Err("v".into());
                };
                for (out, value) in v.as_chunks_mut::<8>().0.iter_mut().zip(values) {
                    *out = value.to_le_bytes();
                }
                Ok(())
            })
            .job_rows(rows),
        });
        let mut simulation = Simulation::builder().workers(workers).seed(seed).build(world(OFF), schedule).unwrap();
        simulation.run(2, 1.0).unwrap();
        let mut found = Vec::new();
        simulation.world().query::<Read<Body>>(|_, body| found.extend_from_slice(body.v)).unwrap();
        found
    };
    let found = draw(Workers::Local, false, 64, 9);
    assert_eq!(found, draw(Workers::Threads(2), true, 128, 9));
    assert_ne!(found, draw(Workers::Local, false, 64, 10));
    assert!(found.iter().all(|value| (0.0..1.0).contains(value)));
    // the same for ever and on every machine
    assert_eq!(found[0].to_bits(), FIRST);
}

/// The first entity's number in frame 2 of seed 9 in a system named `draw`.
const FIRST: u64 = 4_607_178_732_097_268_984;
