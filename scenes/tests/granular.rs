//! Spheres beside LAMMPS's `gran/hooke/history`, and what many of them do: a drum, a hopper, slopes.
//!
//! The reference data are of LAMMPS 29 Sep 2021: `data/gran-hooke` holds the state that it read, the input that made the
//! others (its first line says how to call it), and its positions, velocities and spins after some steps.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "all of it is test code, and tells what it has measured")]

mod lab;

use std::path::Path;

use hypostyle::{Simulation, Workers, World};
use hypostyle_scenes::spheres::{ContactLaw, Observation, Spheres, Spin, Vessel, Walls, look};
use hypostyle_scenes::{Scene, SceneOptions};

use lab::{Ball, Lab, ball, law, near};

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gran-hooke").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The numbers of a line.
fn row(line: &str) -> Vec<f64> {
    line.split([' ', ',']).map(|number| number.parse().unwrap()).collect()
}

/// The state that LAMMPS begins with: diameters of 1 m, masses of 1 kg.
fn begin() -> Vec<Ball> {
    let text = text("spheres.data");
    let (atoms, velocities) = text.split_once("Velocities").unwrap();
    let rows = |part: &str| part.trim().lines().map(row).collect::<Vec<_>>();
    let atoms = rows(atoms.split_once("# sphere").unwrap().1);
    let velocities = rows(velocities);
    atoms.iter().zip(velocities).map(|(at, v)| ball([at[4], at[5], at[6]], [v[1], v[2], v[3]])).collect()
}

/// The greatest deviations of positions, velocities and spins, over the greatest of each.
fn deviations(lab: &Lab, file: &str) -> [f64; 3] {
    let (mut most, mut off) = ([0.0f64; 3], [0.0f64; 3]);
    for (index, line) in text(file).lines().skip(1).enumerate() {
        let want = row(line);
        for (kind, got) in [lab.at(index), lab.velocity(index), lab.spin(index)].into_iter().enumerate() {
            for axis in 0..3 {
                let want = want[1 + 3 * kind + axis];
                most[kind] = most[kind].max(want.abs());
                off[kind] = off[kind].max((got[axis] - want).abs());
            }
        }
    }
    std::array::from_fn(|kind| if off[kind] == 0.0 { 0.0 } else { off[kind] / most[kind] })
}

/// 48 spheres fall onto a floor and into each other: 2,256 and 4,512 steps of 1 / (240 * 47) s.
#[test]
fn as_lammps_computes_it() {
    for (friction, name) in [(0.0, "frictionless"), (0.3, "friction")] {
        let mut lab = Lab::new(law(9.81, 0.5, friction).with("stiffness", 1e6), 20.0, &begin());
        // a floor, and no other wall near
        let walls = Walls { min: [-20.0, 0.0, -20.0], max: [40.0; 3] };
        let world = lab.simulation.world_mut();
        world.set_resource(walls).unwrap();
        // its arms are as long as the radii
        let law = world.resource::<ContactLaw>().unwrap();
        world.set_resource(ContactLaw { arm_share: 0.0, ..law }).unwrap();
        for steps in [2256, 4512] {
            lab.run(0.2);
            let off = deviations(&lab, &format!("{name}-{steps}.csv"));
            println!("{name}, {steps} steps: {off:?} of positions, velocities, spins");
            assert!(off.iter().all(|off| *off <= 1e-8), "{name}, {steps} steps: {off:?}");
        }
        assert!(lab.look().contacts > 0, "{:?}", lab.look());
    }
}

/// A scene, run for some frames by some workers.
fn run(options: &SceneOptions, frames: u64, workers: Workers) -> Simulation {
    let world = Spheres.world(options, World::builder()).unwrap();
    let builder = Simulation::builder().workers(workers).publish_every(1000);
    let mut simulation = builder.build(world, Spheres.schedule(options)).unwrap();
    for worker in simulation.hosted_workers() {
        std::thread::spawn(|| worker.run());
    }
    simulation.run(frames, Spheres.dt()).unwrap();
    simulation
}

fn seen(simulation: &Simulation) -> Observation {
    look(simulation.world()).unwrap()
}

fn drum(turn: f64, friction: f64) -> SceneOptions {
    law(9.81, 0.5, friction).with("shape", "drum").with("turn", turn)
}

/// A sphere in a drum that turns slides until its surface moves as the drum's does; one that begins so stays on the spot, as
/// there is no rolling friction.
#[test]
fn a_sphere_in_a_drum_comes_to_roll() {
    let options = SceneOptions { entities: Some(1), ..drum(0.5, 0.3) };
    let begin = |spin: f64| {
        let world = Spheres.world(&options, World::builder()).unwrap();
        let vessel = world.resource::<Vessel>().unwrap();
        let mut lab = Lab::of(world, &options);
        let [x, y, _] = vessel.axis;
        let y = y - vessel.radius + 0.5 - 9.81 / 20_000.0;
        lab.place(0, ball([x, y, 1.9], [0.0; 3]));
        let entity = lab.all[0];
        lab.simulation.world_mut().set(entity, Spin { x: 0.0, y: 0.0, z: spin }).unwrap();
        (lab, vessel, [x, y])
    };
    let (mut lab, vessel, _) = begin(0.0);
    let wall = vessel.turn * vessel.radius;
    // friction brings it there in 2/7 v / (mu g)
    lab.run(0.5 + 2.0 / 7.0 * wall / (0.3 * 9.81));
    for _ in 0..10 {
        lab.run(0.5);
        let (place, v) = (lab.at(0), lab.velocity(0));
        let n = [place[0] - vessel.axis[0], place[1] - vessel.axis[1]];
        let along = (v[1] * n[0] - v[0] * n[1]) / n[0].hypot(n[1]);
        near(along + lab.spin(0)[2] * 0.5, wall, 0.01);
    }
    let (mut lab, _, [x, y]) = begin(wall / 0.5);
    lab.run(5.0);
    near(lab.spin(0)[2] * 0.5, wall, 0.01);
    near(lab.at(0)[0], x, 0.02);
    near(lab.at(0)[1], y, 0.001);
}

/// The bed of a drum that turns slowly stands at its angle of repose: steeper with more friction, and level without any.
#[test]
fn the_bed_of_a_drum_stands_at_an_angle_of_repose() {
    let slope = |friction: f64, turn: f64| {
        let options = SceneOptions { entities: Some(200), ..drum(turn, friction).with("radii", "0.4,0.5") };
        // it turns by more than the slope, and then slides again and again
        let mut simulation = run(&options, 1500, Workers::Local);
        let mut sum = 0.0;
        for _ in 0..20 {
            simulation.run(60, Spheres.dt()).unwrap();
            sum += seen(&simulation).slope() / 20.0;
        }
        println!("friction {friction}, {turn} rad/s: slope {sum:.3}");
        sum
    };
    let level = slope(0.0, 0.1);
    assert!(level.abs() < 0.02, "{level}");
    let (little, much, back) = (slope(0.2, 0.1), slope(0.6, 0.1), slope(0.6, -0.1));
    // tan 15 and tan 35 degrees: dry spheres of glass or steel have 20 to 30
    assert!(little > 0.1 && much > little + 0.02, "{little} {much}");
    assert!((0.27..0.70).contains(&much), "{much}");
    assert!((-0.70..-0.27).contains(&back), "{back}");
}

/// How many spheres a second leave a hopper with a flat bottom, by the law of Beverloo, Leniger and van de Velde, "The flow
/// of granular solids through orifices" (1961): 0.58 n sqrt(g) (D - 1.4 d)^(5/2), with n spheres in a unit of volume.
#[test]
fn a_hopper_flows_as_beverloo_says() {
    let flow = |orifice: f64| {
        let options = law(9.81, 0.5, 0.5).with("shape", "hopper").with("funnel", 0).with("orifice", orifice);
        let options = SceneOptions { entities: Some(1500), ..options };
        let mut simulation = run(&options, 360, Workers::Local);
        let before = seen(&simulation).passed;
        simulation.run(480, Spheres.dt()).unwrap();
        let after = seen(&simulation);
        let density = 0.6 / (std::f64::consts::PI / 6.0);
        let law = 0.58 * density * 9.81f64.sqrt() * (orifice - 1.4).powf(2.5);
        let flow = (after.passed - before) as f64 / 2.0;
        println!("orifice {orifice}: {flow} spheres a second, by the law {law:.1}; {after:?}");
        (flow, law)
    };
    let (narrow, wide) = (flow(4.0), flow(6.0));
    for (flow, law) in [narrow, wide] {
        near(flow / law, 1.0, 0.25);
    }
}

/// A bottom that is flat keeps a rest, whose slope is an angle of repose, too; what has left it lies on the floor.
#[test]
fn a_hopper_runs_empty_but_for_a_slope() {
    let options = law(9.81, 0.3, 0.5).with("shape", "hopper").with("orifice", 5);
    let left = |funnel: f64| {
        let options = SceneOptions { entities: Some(400), ..options.clone() }.with("funnel", funnel);
        let seen = seen(&run(&options, 2400, Workers::Local));
        println!("funnel {funnel}: {seen:?}");
        seen.spheres - seen.passed
    };
    let (flat, steep) = (left(0.0), left(1.5));
    assert!(steep == 0 && flat > 0 && flat < 200, "{flat} {steep}");
}

#[test]
fn the_same_bytes_in_a_drum_and_a_hopper() {
    for shape in ["drum", "hopper"] {
        let options = SceneOptions::new(Some(700), 3).with("shape", shape).with("radii", "0.3,0.6");
        let hash = |workers: Workers| {
            let simulation = run(&options, 120, workers);
            simulation.world().reader().unwrap().pin().unwrap().hash()
        };
        let local = hash(Workers::Local);
        for workers in [Workers::Threads(3), Workers::Hosted(2)] {
            assert_eq!(local, hash(workers), "{shape}, {workers}");
        }
    }
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let refused = |options: SceneOptions| Spheres.world(&options, World::builder()).err().unwrap().to_string();
    let of = |shape: &str| SceneOptions::new(Some(9), 0).with("shape", shape);
    assert!(refused(of("cone")).contains("box, drum or hopper"));
    assert!(refused(of("drum").with("turn", "fast")).contains("a number from -10 to 10"));
    assert!(refused(of("hopper").with("orifice", 0.5)).contains("--orifice 0.5"));
    assert!(refused(of("hopper").with("funnel", -1)).contains("a number from 0 to 4"));
}
