//! VTK's files, read back by a reader of their own: every point and every value is what the world says.
#![cfg(feature = "export")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hypostyle::export::{self, ExportError, ExportOptions, Format};
use hypostyle::journal::{Journal, Recorder, RecorderOptions};
use hypostyle::small::{F16, Unorm8};
use hypostyle::{Component, Entity, Schedule, Simulation, System, Workers, World, Write};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f64,
    y: f64,
    z: f64,
}
#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
    y: f32,
    z: f32,
}
#[derive(Component, Clone, Copy)]
struct Cell {
    x: i16,
    y: i16,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Lit {
    glow: Unorm8,
    heat: F16,
    of: [u32; 2],
    by: Entity,
    on: bool,
}

fn world() -> World {
    let builder = World::builder().component::<Position>().component::<Velocity>();
    let mut world = builder.component::<Cell>().component::<Lit>().build().unwrap();
    for i in 0..5_i16 {
        let at = f64::from(i);
        let entity = world
            .spawn((
                Position { x: at + 0.1, y: -at, z: 2.0 * at },
                Velocity { x: 0.5, y: f32::from(i), z: -1.0 },
                Cell { x: i, y: -i },
            ))
            .unwrap();
        if i % 2 == 0 {
            let lit = Lit { glow: Unorm8::from_bits(51), heat: F16::from_f32(1.5), of: [7, 8], by: entity, on: i == 2 };
            world.add(entity, lit).unwrap();
        }
    }
    // in a table of its own: it has no velocity
    world.spawn((Position { x: 9.0, y: 9.0, z: 9.0 }, Cell { x: 9, y: 9 })).unwrap();
    world.publish().unwrap();
    world
}

/// An array of a file: its type, its components and its bytes.
struct Read {
    kind: String,
    components: usize,
    bytes: Vec<u8>,
}

impl Read {
    fn f64(&self) -> Vec<f64> {
        match self.kind.as_str() {
            "Float64" => self.bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            "Float32" => self.bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            "Int32" => self.bytes.as_chunks::<4>().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
            "Int64" => self.bytes.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            other => panic!("{other}"),
        }
    }
    fn u64(&self) -> Vec<u64> {
        assert_eq!(self.kind, "Int64");
        self.bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect()
    }
}

/// The text of a file, and its arrays by name.
fn read(path: &Path) -> (String, BTreeMap<String, Read>) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut arrays = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("<DataArray")) {
        let word =
            |name: &str| line.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
        assert_eq!(word("format"), "binary");
        let (_, inside) = line.strip_suffix("</DataArray>").unwrap().split_once('>').unwrap();
        let bytes = BASE64_STANDARD.decode(inside).unwrap();
        let (length, bytes) = bytes.split_first_chunk::<8>().unwrap();
        assert_eq!(u64::from_le_bytes(*length), bytes.len() as u64, "{}", word("Name"));
        let bytes = bytes.to_vec();
        let read = Read { kind: word("type"), components: word("NumberOfComponents").parse().unwrap(), bytes };
        assert!(["Int32", "Int64", "Float32", "Float64"].contains(&read.kind.as_str()), "{}", read.kind);
        assert!(arrays.insert(word("Name"), read).is_none());
    }
    // OVITO looks for the points first
    assert!(text.find("<Piece").unwrap() < text.find("<FieldData").unwrap());
    (text, arrays)
}

#[test]
fn points_have_all_that_entities_have() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("world.vtp");
    let world = world();
    let done = export::write(world.reader().unwrap(), &path, Format::of(&path).unwrap(), &ExportOptions::default());
    let done = done.unwrap();
    assert_eq!((done.rows, done.bytes), (6, std::fs::metadata(&path).unwrap().len()));
    let (text, arrays) = read(&path);
    assert!(text.contains("NumberOfPoints=\"6\" NumberOfVerts=\"6\""), "{text}");
    let entities = arrays["entity"].u64();
    assert_eq!(arrays["Points"].kind, "Float64");
    let points = arrays["Points"].f64();
    assert_eq!(arrays["velocity"].components, 3);
    let velocity = arrays["velocity"].f64();
    for (row, entity) in entities.iter().enumerate() {
        let entity = Entity::from_bits(*entity);
        let Position { x, y, z } = world.get::<Position>(entity).unwrap();
        assert_eq!(points[3 * row..3 * row + 3], [x, y, z]);
        match world.get::<Velocity>(entity) {
            Ok(v) => assert_eq!(velocity[3 * row..3 * row + 3], [v.x, v.y, v.z].map(f64::from)),
            Err(_) => assert!(velocity[3 * row..3 * row + 3].iter().all(|value| value.is_nan())),
        }
        let lit = world.get::<Lit>(entity).ok();
        let floats = |name: &str| arrays[name].f64();
        assert_eq!(floats("lit.glow")[row], lit.map_or(0.0, |_| 51.0), "bits, as in Arrow");
        assert!(lit.map_or(floats("lit.heat")[row].is_nan(), |_| floats("lit.heat")[row] == 1.5));
        assert_eq!(floats("lit.of")[2 * row..2 * row + 2], lit.map_or([0.0; 2], |lit| lit.of.map(f64::from)));
        assert_eq!(floats("lit.on")[row], f64::from(u8::from(lit.is_some_and(|lit| lit.on))));
        assert_eq!(arrays["lit.by"].u64()[row], lit.map_or(Entity::NULL, |lit| lit.by).to_bits());
        assert_eq!(floats("cell.x")[row], f64::from(world.get::<Cell>(entity).unwrap().x));
    }
    assert_eq!((arrays["connectivity"].u64(), arrays["offsets"].u64()), ((0..6).collect(), (1..7).collect()));
    assert!(!arrays.contains_key("position.x") && arrays["position"].components == 3);
}

#[test]
fn points_are_where_one_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("world.vtp");
    let world = world();
    let write = |options: &ExportOptions| export::write(world.reader().unwrap(), &path, Format::Vtp, options);
    write(&ExportOptions::default().points("cell")).unwrap();
    let points = read(&path).1.remove("Points").unwrap();
    // whole numbers become floats, and what lies in a plane has a z of 0
    assert_eq!((points.kind.as_str(), &points.f64()[..6]), ("Float32", &[0.0, 0.0, 0.0, 1.0, -1.0, 0.0][..]));
    let error = write(&ExportOptions::default().points("lit")).unwrap_err();
    let says = "`lit` has no places: name a component with numbers `x` and `y`, and perhaps `z`, of one type as the place of \
                points; there are: position, velocity, cell";
    assert_eq!(error.to_string(), says);
    let error = write(&ExportOptions::default().components(["lit"])).unwrap_err();
    assert!(matches!(error, ExportError::Points { named: None, .. }), "{error}");
    assert!(error.to_string().starts_with("no component has places"), "{error}");
    // nothing of it: a file that viewers open
    let empty = World::builder().component::<Position>().build().unwrap();
    let mut empty = empty;
    empty.publish().unwrap();
    export::write(empty.reader().unwrap(), &path, Format::Vtp, &ExportOptions::default()).unwrap();
    assert!(read(&path).0.contains("NumberOfPoints=\"0\" NumberOfVerts=\"0\""));
}

#[test]
fn frames_of_a_journal_have_their_times() {
    let directory = tempfile::tempdir().unwrap();
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Position>>("rise", |job, mut at| at.z.map(|z| z + job.dt())));
    let world = world();
    let journal = directory.path().join("journal");
    let mut recorder = Recorder::start(&world, RecorderOptions::new(&journal)).unwrap();
    recorder.look().unwrap();
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    for _ in 0..6 {
        simulation.step(0.25).unwrap();
        recorder.look().unwrap();
    }
    recorder.finish().unwrap();
    let set = directory.path().join("set");
    let journal = Journal::open(&journal).unwrap();
    let done = export::series(&journal, &set, Format::Vtp, 3, |_| Ok(ExportOptions::default())).unwrap();
    assert_eq!(done.times.len(), done.frames.len());
    let text = std::fs::read_to_string(set.join("frames.pvd")).unwrap();
    for (frame, time) in done.frames.iter().zip(&done.times) {
        let line = format!("<DataSet timestep=\"{time}\" part=\"0\" file=\"frame={frame}/part-0.vtp\"/>");
        assert!(text.contains(&line), "{line}\n{text}");
        let (head, arrays) = read(&set.join(format!("frame={frame}/part-0.vtp")));
        assert!(head.contains(&format!("format=\"ascii\">{time}</DataArray>")), "{head}");
        assert_eq!(arrays["Points"].f64()[2], *time, "the first rises with time");
    }
    assert_eq!(done.times.last(), Some(&1.5));
}
