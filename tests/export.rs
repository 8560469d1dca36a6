//! Exports read back with the Arrow and Parquet crates: every value, null and handle is what the world says.
#![cfg(feature = "export")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int16Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use hypostyle::export::{self, Batches, ExportError, ExportOptions, Format};
use hypostyle::{Component, Entity, Layout, World};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Spot {
    #[component(unit = "m", description = "to the right")]
    x: f32,
    cell: [i16; 3],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Link {
    to: Entity,
    both: [Entity; 2],
    firm: bool,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Marked;
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Counted {
    a: i8,
    b: u8,
    c: u16,
    d: i32,
    e: u32,
    f: i64,
    g: u64,
    h: f64,
}

/// What there is to know of an entity.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    spot: Option<Spot>,
    link: Option<Link>,
    marked: bool,
}

fn world(spots: u32) -> (World, BTreeMap<u64, Known>) {
    let builder = World::builder().component::<Spot>().component::<Link>().component::<Marked>();
    let mut world = builder.component::<Counted>().build().unwrap();
    let spot = |i: u32| Spot { x: i as f32 * 0.1, cell: [i as i16, -1, (i % 7) as i16] };
    let all = world.spawn_batch((0..spots).map(spot)).unwrap();
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    for (i, entity) in all.iter().enumerate() {
        known.insert(entity.to_bits(), Known { spot: Some(spot(i as u32)), link: None, marked: false });
        if i % 3 == 0 {
            let to = if i % 2 == 0 { Entity::default() } else { all[i - 1] };
            let link = Link { to, both: [*entity, Entity::default()], firm: i % 4 == 1 };
            world.add(*entity, link).unwrap();
            known.get_mut(&entity.to_bits()).unwrap().link = Some(link);
        }
    }
    for i in 0..5 {
        let entity =
            world.spawn((Marked, Counted { a: -i, b: 1, c: 2, d: -3, e: 4, f: -5, g: u64::MAX, h: 0.5 })).unwrap();
        known.insert(entity.to_bits(), Known { spot: None, link: None, marked: true });
    }
    world.despawn(all[2]).unwrap();
    known.remove(&all[2].to_bits());
    world.publish().unwrap();
    (world, known)
}

/// What batches say.
fn read(batches: &[RecordBatch]) -> BTreeMap<u64, Known> {
    let mut known = BTreeMap::new();
    for batch in batches {
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no {name}"));
        let entity = column("entity").as_primitive::<UInt64Type>();
        let x = column("spot.x").as_primitive::<Float32Type>();
        let cell = column("spot.cell").as_fixed_size_list();
        let to = column("link.to").as_primitive::<UInt64Type>();
        let both = column("link.both").as_fixed_size_list();
        let firm = column("link.firm").as_boolean();
        let marked = column("marked").as_boolean();
        let handle = |array: &arrow_array::UInt64Array, row| {
            if array.is_null(row) { Entity::default() } else { Entity::from_bits(array.value(row)) }
        };
        for row in 0..batch.num_rows() {
            assert_eq!(
                (x.is_null(row), to.is_null(row) && firm.is_valid(row)),
                (cell.is_null(row), to.is_null(row) && both.is_valid(row))
            );
            let spot = x.is_valid(row).then(|| {
                let values = cell.value(row);
                let values = values.as_primitive::<Int16Type>();
                Spot { x: x.value(row), cell: [values.value(0), values.value(1), values.value(2)] }
            });
            let link = firm.is_valid(row).then(|| {
                let pair = both.value(row);
                let pair = pair.as_primitive::<UInt64Type>();
                Link { to: handle(to, row), both: [handle(pair, 0), handle(pair, 1)], firm: firm.value(row) }
            });
            let before = known.insert(entity.value(row), Known { spot, link, marked: marked.value(row) });
            assert_eq!(before, None, "an entity is one row");
        }
    }
    known
}

fn read_arrow(path: &Path) -> (SchemaRef, Vec<RecordBatch>) {
    let reader = arrow_ipc::reader::FileReader::try_new(File::open(path).unwrap(), None).unwrap();
    (reader.schema(), reader.map(Result::unwrap).collect())
}

fn read_parquet(path: &Path) -> (SchemaRef, Vec<RecordBatch>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    // its batches are without the file's metadata
    (builder.schema().clone(), builder.build().unwrap().map(Result::unwrap).collect())
}

#[test]
fn batches_and_files_hold_what_the_world_holds() {
    let directory = tempfile::tempdir().unwrap();
    let (world, known) = world(1000);
    let batches: Vec<_> =
        Batches::new(world.reader().unwrap(), &ExportOptions::default()).unwrap().map(Result::unwrap).collect();
    assert_eq!(read(&batches), known);
    let layout = Layout::parse(&batches[0].schema().metadata()["hypostyle.layout"], "metadata").unwrap();
    assert_eq!(layout.hash(), world.layout().hash());
    assert_eq!(batches[0].schema().metadata()["hypostyle.generation"], "1");
    for (name, read_file) in [("a.arrow", read_arrow as fn(&Path) -> _), ("a.parquet", read_parquet)] {
        let path = directory.path().join(name);
        let options = ExportOptions::default().metadata("by", "a test");
        let exported = export::write(world.reader().unwrap(), &path, Format::of(&path).unwrap(), &options).unwrap();
        assert_eq!((exported.rows, exported.bytes), (known.len() as u64, std::fs::metadata(&path).unwrap().len()));
        let (schema, batches) = read_file(&path);
        assert_eq!(read(&batches), known, "{name}");
        assert_eq!(schema.metadata()["by"], "a test");
        let told = schema.field_with_name("spot.x").unwrap().metadata();
        assert_eq!((told["unit"].as_str(), told["description"].as_str()), ("m", "to the right"));
        assert!(!schema.field_with_name("spot.cell").unwrap().metadata().contains_key("unit"));
        assert!(matches!(
            batches[0].schema().field_with_name("spot.cell").unwrap().data_type(),
            DataType::FixedSizeList(_, 3)
        ));
        let counted = batches.iter().flat_map(|batch| {
            let column = batch.column_by_name("counted.g").unwrap().as_primitive::<UInt64Type>().clone();
            column.iter().flatten().collect::<Vec<_>>()
        });
        assert_eq!(counted.collect::<Vec<_>>(), [u64::MAX; 5]);
    }
}

#[test]
fn columns_are_not_copied_and_outlive_the_world() {
    let (mut world, known) = world(1000);
    let batches: Vec<_> =
        Batches::new(world.reader().unwrap(), &ExportOptions::default()).unwrap().map(Result::unwrap).collect();
    let mut reader = world.reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let table = snapshot.tables().find(|table| table.rows() > 900).unwrap();
    let column = batches[0].column_by_name("spot.x").unwrap().as_primitive::<Float32Type>();
    assert_eq!(column.values().as_ptr(), table.column::<f32>("spot.x").unwrap().unwrap().as_ptr(), "the very bytes");
    drop(snapshot);
    // the generation is held: its bytes stay whatever the world does
    for _ in 0..5 {
        world.query_mut::<hypostyle::Write<Spot>>(|_, mut spot| spot.x.fill(-1.0)).unwrap();
        world.publish().unwrap();
    }
    drop(reader);
    drop(world);
    assert_eq!(read(&batches), known);
}

#[test]
fn tables_larger_than_a_batch_are_cut() {
    let (world, known) = world((1 << 18) + 1000);
    let batches: Vec<_> =
        Batches::new(world.reader().unwrap(), &ExportOptions::default()).unwrap().map(Result::unwrap).collect();
    assert!(batches.len() >= 3 && batches[0].num_rows() == 1 << 18);
    assert_eq!(read(&batches), known);
}

#[test]
fn components_can_be_chosen_and_arrays_be_flat() {
    let directory = tempfile::tempdir().unwrap();
    let (world, known) = world(20);
    let options = ExportOptions::default().components(["link", "spot"]).flat(true);
    let batches: Vec<_> = Batches::new(world.reader().unwrap(), &options).unwrap().map(Result::unwrap).collect();
    let schema = batches[0].schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let wanted = ["entity", "spot.x", "spot.cell[0]", "spot.cell[1]", "spot.cell[2]"];
    assert_eq!(names, [&wanted[..], &["link.to", "link.both[0]", "link.both[1]", "link.firm"]].concat());
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 19, "those that are only marked are left out");
    let third = batches[0].column_by_name("spot.cell[2]").unwrap().as_primitive::<Int16Type>();
    let entity = batches[0].column_by_name("entity").unwrap().as_primitive::<UInt64Type>();
    for row in 0..third.len() {
        assert_eq!(third.value(row), known[&entity.value(row)].spot.unwrap().cell[2]);
    }
    let path = directory.path().join("a.csv");
    export::write(world.reader().unwrap(), &path, Format::Csv, &ExportOptions::default()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + known.len());
    assert!(lines[0].starts_with("entity,spot.x,spot.cell[0],spot.cell[1],spot.cell[2],link.to,"), "{}", lines[0]);
    assert!(lines[1].starts_with("0,0.0,0,-1,0,,0,,false,false,"), "{}", lines[1]);
    // a file of its own kind is replaced, another is not
    export::write(world.reader().unwrap(), &path, Format::Csv, &ExportOptions::default()).unwrap();
    let error = export::write(world.reader().unwrap(), &path, Format::Arrow, &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("another kind of file"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let unknown = ExportOptions::default().components(["spto"]);
    let error = Batches::new(world.reader().unwrap(), &unknown).err().unwrap();
    assert!(matches!(error, ExportError::UnknownComponent { .. }), "{error}");
    assert!(matches!(Format::of(Path::new("a.xls")), Err(ExportError::UnknownFormat { .. })));
}

#[test]
fn an_empty_world_is_a_file_with_a_schema() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::builder().component::<Spot>().build().unwrap();
    world.publish().unwrap();
    for name in ["a.arrow", "a.parquet", "a.csv"] {
        let path = directory.path().join(name);
        let format = Format::of(&path).unwrap();
        let exported = export::write(world.reader().unwrap(), &path, format, &ExportOptions::default()).unwrap();
        assert_eq!((exported.rows, exported.batches), (0, 0));
        assert!(exported.bytes > 10, "{name}");
    }
    assert_eq!(read_arrow(&directory.path().join("a.arrow")).1.len(), 0);
    assert!(std::fs::read_to_string(directory.path().join("a.csv")).unwrap().starts_with("entity,spot.x,"));
}

/// A recording of frames 0 to 12.
fn record(directory: &Path) -> hypostyle::journal::Journal {
    use hypostyle::journal::{Journal, Recorder, RecorderOptions};
    use hypostyle::{Schedule, Simulation, Workers};
    let (world, _) = world(40);
    let mut recorder = Recorder::start(&world, RecorderOptions::new(directory)).unwrap();
    recorder.look().unwrap();
    let mut simulation = Simulation::new(world, Schedule::new(), Workers::Local).unwrap();
    for _ in 0..12 {
        simulation.step(0.25).unwrap();
        recorder.look().unwrap();
    }
    recorder.finish().unwrap();
    Journal::open(directory).unwrap()
}

/// A data set is one recording's: its number stands in the files, and frames of another are never put among them.
#[test]
fn a_data_set_belongs_to_one_recording() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let (one, other) = (record(&place("one")), record(&place("other")));
    assert_ne!(one.recording_id(), other.recording_id());
    let series = |journal, every| {
        export::series(journal, &place("frames"), Format::Parquet, every, |_| Ok(ExportOptions::default()))
    };
    assert_eq!(series(&one, 4).unwrap().frames, [0, 4, 8, 12]);
    let file = place("frames/frame=12/part-0.parquet");
    let (schema, batches) = read_parquet(&file);
    assert_eq!(schema.metadata()["hypostyle.recording"], format!("{:016x}", one.recording_id()));
    let times = batches[0].column_by_name("time").unwrap().as_primitive::<arrow_array::types::Float64Type>();
    assert!(!times.is_empty() && times.values().iter().all(|time| *time == 3.0), "12 frames of 0.25");
    // more of the same recording is welcome
    assert_eq!(series(&one, 6).unwrap().frames, [0, 6, 12]);
    let before = std::fs::read(&file).unwrap();
    let error = series(&other, 4).unwrap_err();
    assert!(matches!(&error, ExportError::OtherRecording { .. }), "{error}");
    assert!(error.to_string().contains("to another directory"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    // so is what nobody says whose it is
    std::fs::remove_file(place("frames/_hypostyle_recording")).unwrap();
    assert!(matches!(series(&one, 4), Err(ExportError::OtherRecording { .. })));
}
