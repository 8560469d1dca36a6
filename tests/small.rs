//! Small numbers wherever numbers are: in kernels of all kinds of workers, sorted by, guarded, compared, exported.
#![expect(clippy::unwrap_used, reason = "a test may")]

use hypostyle::dynamic::Comparison;
use hypostyle::small::{AsF32, Bf16, F16, Snorm8, Unorm8, Unorm16};
use hypostyle::{Component, Read, Resource, ScalarType, Schedule, Simulation, System, With, Workers, World, Write};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Spark {
    heat: F16,
    #[component(default = Unorm8::from_bits(51))]
    glow: Unorm8,
    tilt: [Snorm8; 2],
}
#[derive(Component, Clone, Copy)]
struct Key {
    at: Bf16,
}
#[derive(Resource, Clone, Copy)]
struct Lamp {
    level: Unorm16,
}

fn spark(i: usize) -> Spark {
    let i = i as f32;
    Spark {
        heat: F16::from_f32(i * 0.5 - 700.0),
        glow: Unorm8::from_f32(i / 3000.0),
        tilt: [Snorm8::from_f32(-0.5); 2],
    }
}

fn world() -> World {
    let builder = World::builder().component::<Spark>().component::<Key>().resource::<Lamp>();
    let mut world = builder.build().unwrap();
    // no multiple of a block's rows, nor of a chunk's
    world
        .spawn_batch((0..3001).map(|i| (spark(i), Key { at: Bf16::from_f32(((i * 7919) % 3001) as f32 - 1500.0) })))
        .unwrap();
    world
}

/// Kernels see floats, and what they leave has the same bits for all workers, whether a generation is pinned or not.
#[test]
fn maps_have_the_same_bits_for_all_workers() {
    let step = |x: f32| x * 0.97 + 0.25;
    let run = |workers: Workers| {
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<Write<Spark>>("cool", move |_, mut spark| {
            spark.heat.map_f32(step);
            let glow = spark.glow.to_vec();
            spark.heat.map_f32_with(&glow, |heat, glow| heat - glow);
        }));
        let mut simulation = Simulation::builder().workers(workers).publish_every(2).build(world(), schedule).unwrap();
        let mut reader = simulation.world().reader().unwrap();
        simulation.run(2, 1.0).unwrap();
        let pinned = reader.pin().unwrap();
        simulation.run(3, 1.0).unwrap();
        drop(pinned);
        let world = simulation.world();
        let entities = world.table_entities(0).to_vec();
        world.get_batch::<Spark>(&entities).unwrap().iter().map(|spark| spark.heat.to_bits()).collect::<Vec<_>>()
    };
    let plain: Vec<u16> = (0..3001)
        .map(|i| {
            let glow = spark(i).glow.to_f32();
            let frame = |heat: F16| F16::from_f32(F16::from_f32(step(heat.to_f32())).to_f32() - glow);
            (0..5).fold(spark(i).heat, |heat, _| frame(heat)).to_bits()
        })
        .collect();
    assert!(run(Workers::Local) == plain);
    assert!(run(Workers::Threads(3)) == plain);
}

#[test]
fn rows_are_sorted_by_value() {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<With<Key>>("sort", |_, ()| {}).sort_by("key.at"));
    let mut simulation = Simulation::new(world(), schedule, Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    let mut keys: Vec<f32> = Vec::new();
    simulation.world().query::<Read<Key>>(|_, key| keys.extend(key.at.iter().map(|at| at.to_f32()))).unwrap();
    assert!(keys.len() == 3001 && keys.is_sorted() && keys[0] == -1504.0, "negative ones come first");
}

#[test]
fn guards_and_conditions_see_values() {
    let failed = |guard: System| {
        let mut schedule = Schedule::new();
        schedule.add(guard);
        let mut simulation = Simulation::new(world(), schedule, Workers::Local).unwrap();
        simulation.step(1.0).map(drop).map_err(|error| error.to_string())
    };
    assert!(failed(System::guard_within("warm", "spark", [("heat", -700.0..=800.0), ("glow", 0.0..=1.0)])).is_ok());
    let told = failed(System::guard_within("warm", "spark", [("heat", -700.0..=799.5)])).unwrap_err();
    assert!(told.contains("`spark.heat`") && told.contains("is 800 in frame 1"), "{told}");
    let told = failed(System::guard_within("tilted", "spark", [("tilt[1]", 0.0..=1.0)])).unwrap_err();
    assert!(told.contains("is -0.503937"), "{told}");

    let mut world = world();
    world.insert_resource(Lamp { level: Unorm16::from_f32(0.5) }).unwrap();
    let mut schedule = Schedule::new();
    let warm = |name: &str| System::rows::<Write<Spark>>(name, |_, mut spark| spark.heat.map_f32(|heat| heat + 1.0));
    schedule.add(warm("lit").run_if_named("lamp.level", Comparison::Greater, 0.4));
    schedule.add(warm("bright").run_if_named("lamp.level", Comparison::Greater, 0.6));
    let entity = world.table_entities(0)[0];
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    assert_eq!(simulation.world().get::<Spark>(entity).unwrap().heat.to_f32(), -699.0, "one of the two ran");
}

#[test]
fn defaults_are_those_of_the_layout_and_stay_what_they_are() {
    let world = world();
    let text = world.layout().to_toml();
    assert!(text.contains("glow = { type = \"unorm8\", default = 0.2 }"), "{text}");
    assert_eq!(&hypostyle::Layout::parse(&text, "sparks.toml").unwrap(), world.layout());
    for (default, says) in [("1.5", "0e0 to 1e0"), ("\"x\"", "a number"), ("-1", "0e0 to 1e0")] {
        let text = format!(
            "name = \"w\"\nbytes_max = \"64 MiB\"\n[components.a]\nfields = {{ x = {{ type = \"unorm8\", default = {default} }} }}"
        );
        let error = hypostyle::Layout::parse(&text, "w.toml").unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(ScalarType::ALL.iter().filter(|scalar| scalar.is_small()).count() == 6 && 2.5_f32.to_f32() == 2.5);
}

#[cfg(feature = "export")]
#[test]
fn csv_has_numbers() {
    use hypostyle::export::{self, ExportOptions, Format};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sparks.csv");
    let mut world = World::builder().component::<Spark>().build().unwrap();
    world
        .spawn(Spark {
            heat: F16::from_f32(1.5),
            glow: Unorm8::from_bits(51),
            tilt: [Snorm8::from_bits(127), Snorm8::from_bits(-128)],
        })
        .unwrap();
    world.publish().unwrap();
    export::write(world.reader().unwrap(), &path, Format::Csv, &ExportOptions::default()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().nth(1).unwrap().split_once(',').unwrap().1;
    assert_eq!(line, "1.5,0.2,1.0,-1.0", "{text}");
}
