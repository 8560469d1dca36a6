//! The commands that look at states: `diff`, `watch`, `top`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod commands;

use std::io::BufRead as _;
use std::path::Path;
use std::process::Stdio;

use hypostyle::checkpoint::{self, CheckpointOptions};
use hypostyle::{Component, Resource, World};
use serde_json::{Value, json};

use commands::{Running, code, command, failure, output, place, stdout};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Spot {
    x: f32,
    cell: [i32; 2],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Warm {
    heat: u16,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Marked;
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
struct Wind {
    speed: f64,
}

/// A world of 10 spots; warm are those with even numbers.
fn world() -> World {
    let builder = World::builder().component::<Spot>().component::<Warm>().component::<Marked>().resource::<Wind>();
    let mut world = builder.build().unwrap();
    let all = world.spawn_batch((0..10).map(|i| Spot { x: i as f32, cell: [i, -i] })).unwrap();
    for (heat, entity) in all.iter().enumerate().step_by(2) {
        world.add(*entity, Warm { heat: heat as u16 }).unwrap();
    }
    world.insert_resource(Wind { speed: 1.5 }).unwrap();
    world
}

fn save(world: &mut World, path: &Path) -> String {
    world.publish().unwrap();
    checkpoint::write(&world.reader().unwrap().pin().unwrap(), path, &CheckpointOptions::default()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// `diff A B --json`, whose exit code must say the same as its answer.
fn diff(a: &str, b: &str) -> Value {
    let output = output(&["diff", a, b, "--json"]);
    let data: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(code(&output), i32::from(data["same"] == false), "{data}");
    assert!(output.stderr.is_empty());
    data
}

fn named<'v>(data: &'v Value, list: &str, name: &str) -> &'v Value {
    data[list].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap()
}

#[test]
fn differences_are_found_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    let mut original = world();
    let a = save(&mut original, &a);
    let mut other = world();
    let same = save(&mut other, &b);
    let data = diff(&a, &same);
    assert_eq!((&data["same"], &data["entities"]["both"]), (&true.into(), &10.into()));
    assert!(stdout(&["diff", &a, &same]).contains("the same: 10 entities"));

    let mut handles = Vec::new();
    other.query::<hypostyle::With<Spot>>(|entities, _| handles.extend_from_slice(entities)).unwrap();
    handles.sort_by_key(|entity| entity.index());
    other.despawn(handles[9]).unwrap();
    // the slot of the one that is gone, but another entity
    other.spawn(Spot { x: 100.0, cell: [0, 0] }).unwrap();
    other.spawn(Marked).unwrap();
    other.remove::<Warm>(handles[4]).unwrap();
    other.add(handles[5], Warm { heat: 7 }).unwrap();
    other.set(handles[6], Warm { heat: 16 }).unwrap();
    other.set(handles[1], Spot { x: 1.25, cell: [1, -4] }).unwrap();
    other.set(handles[2], Spot { x: f32::NAN, cell: [2, -2] }).unwrap();
    other.add(handles[3], Marked).unwrap();
    other.set_resource(Wind { speed: -2.0 }).unwrap();
    let b = save(&mut other, &b);
    let data = diff(&a, &b);
    let entities = &data["entities"];
    assert_eq!([&entities["both"], &entities["only_a"], &entities["only_b"]], [9, 1, 2]);
    assert_eq!(entities["first_only_a"], json!([handles[9].to_string()]));
    let warm = named(&data, "components", "warm");
    assert_eq!([&warm["only_a"], &warm["only_b"]], [1, 1]);
    assert_eq!(warm["first_only_a"], json!([handles[4].to_string()]));
    assert_eq!(named(&data, "components", "marked")["only_b"], 1);
    assert_eq!(named(&data, "components", "spot")["only_b"], 0);
    let x = named(&data, "columns", "spot.x");
    assert_eq!([&x["compared"], &x["differ"]], [9, 2]);
    assert_eq!((&x["largest"], &x["first"][0]["a"], &x["first"][0]["b"]), (&0.25.into(), &1.0.into(), &1.25.into()));
    let cell = named(&data, "columns", "spot.cell");
    assert_eq!((&cell["differ"], &cell["largest"], &cell["first"][0]["b"]), (&1.into(), &3.0.into(), &json!([1, -4])));
    // of rows that are warm in both: 0, 2, 6, 8
    let heat = named(&data, "columns", "warm.heat");
    assert_eq!([&heat["compared"], &heat["differ"]], [4, 1]);
    assert_eq!(data["resources"], json!([{ "name": "wind", "a": { "speed": 1.5 }, "b": { "speed": -2.0 } }]));
    let text = output(&["diff", &a, &b]);
    assert_eq!(code(&text), 1);
    let text = String::from_utf8(text.stdout).unwrap();
    for word in ["only in a", "spot.cell", "[1,-1] | [1,-4]", "wind"] {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    let back = diff(&b, &a);
    assert_eq!([&back["entities"]["only_a"], &back["entities"]["only_b"]], [2, 1]);
    let shown = output(&["diff", &a, &b, "--show", "1", "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(named(&shown, "columns", "spot.x")["first"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_seen_of_entities_differs_too() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    let a = save(&mut world(), &a);
    let mut other = world();
    let gone = other.spawn(Marked).unwrap();
    other.despawn(gone).unwrap();
    let b = save(&mut other, &b);
    let data = diff(&a, &b);
    assert_eq!((&data["same"], &data["free_slots_differ"]), (&false.into(), &true.into()));
    // another layout
    let mut tags = World::builder().component::<Marked>().build().unwrap();
    tags.spawn(Marked).unwrap();
    let c = save(&mut tags, &directory.path().join("c"));
    let data = diff(&a, &c);
    assert!(data["layout"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("`spot`")), "{data}");
}

#[test]
fn regions_and_checkpoints_are_compared() {
    let (directory, _, name) = place();
    let checkpoints = directory.path().join("c");
    let run = ["run", "particles", "--entities", "1000", "--frames"];
    let kept = ["--region", &name, "--keep", "--checkpoint", checkpoints.to_str().unwrap()];
    stdout(&[&run[..], &["6"], &kept].concat());
    let file = checkpoints.join("particles-000000000006.checkpoint");
    let file = file.to_str().unwrap();
    assert_eq!(diff(&name, file)["same"], true);
    assert_eq!(diff(&name, &name)["same"], true);
    stdout(&["run", "particles", "--from", file, "--frames", "2", "--checkpoint", checkpoints.to_str().unwrap()]);
    let data = diff(&name, &checkpoints.join("particles-000000000008.checkpoint").to_string_lossy());
    assert_eq!((&data["a"]["frame"], &data["b"]["frame"]), (&6.into(), &8.into()));
    assert!(named(&data, "columns", "position.x")["differ"].as_u64().unwrap() > 900);
    assert_eq!(failure(&["diff", &name, "absent.checkpoint"]).0, 3);
    assert_eq!(failure(&["diff", &name, "two words"]).0, 2);
    assert_eq!(failure(&["diff", &name]).0, 2);
}

#[test]
fn every_generation_is_watched_until_the_writer_is_gone() {
    let (_directory, _, name) = place();
    let mut running = Running::start(&name, &["--seed", "7"]);
    let text = stdout(&["watch", &name, "position.x", "velocity.y", "--count", "4", "--json"]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    for pair in lines.windows(2) {
        let (one, two) = (pair[0]["generation"].as_u64().unwrap(), pair[1]["generation"].as_u64().unwrap());
        assert!(one < two && pair[1]["missed"] == two - one - 1, "{text}");
        assert!(pair[0]["frame"].as_u64() < pair[1]["frame"].as_u64());
    }
    for line in &lines {
        let names: Vec<_> = line["columns"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
        assert_eq!(names, ["position.x", "velocity.y"]);
        assert!(line["columns"][0]["count"].as_u64().unwrap() > 1000);
    }
    // one that goes on sees the writer's death, and ends well
    let watch = ["watch", &name, "position.x", "--interval", "0.05"];
    let mut watching = Running(command(&watch).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = std::io::BufReader::new(watching.0.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("histogram"));
    assert!(lines.next().unwrap().unwrap().contains("position.x"));
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert!(lines.all(|line| line.unwrap().contains("position.x")));
    assert_eq!(watching.0.wait().unwrap().code(), Some(0));
    // what is left is described once
    assert_eq!(stdout(&["watch", &name, "position.x"]).lines().count(), 2);
    let (code, message) = failure(&["watch", &name, "position.w"]);
    assert!(code == 2 && message.contains("position.x"), "{message}");
    assert_eq!(failure(&["watch", "hypostyle-no-such-region", "position.x"]).0, 3);
}

#[test]
fn a_region_is_drawn_where_there_is_no_terminal() {
    let (_directory, region, name) = place();
    let running = Running::start(&name, &["--workers", "threads:1"]);
    let mut reader = reader_of(&region);
    let snapshot = reader.pin().unwrap();
    let text = stdout(&["top", &name, "--interval", "0.1"]);
    let held = format!("generation {}", snapshot.generation());
    let pid = std::process::id().to_string();
    let words =
        ["live, process", "frame ", "per frame", "position.x", "components", "1 other readers", "thread", &held, &pid];
    for word in words {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    drop(running);
    let text = stdout(&["top", &name, "--once", "--interval", "0"]);
    assert!(text.contains("stale") && text.contains("0 workers") && !text.contains("live, process"), "{text}");
    assert_eq!(failure(&["top", &name, "--json"]).0, 2);
    assert_eq!(failure(&["top", "hypostyle-no-such-region"]).0, 3);
}

/// A reader of a region that a command writes.
#[expect(unsafe_code, reason = "opening a region is a promise about its writer")]
fn reader_of(region: &Path) -> hypostyle::Reader {
    let target = hypostyle::RegionTarget::Directory(region.to_owned());
    // SAFETY: the writer is the command under test, and nobody else writes to its directory.
    unsafe { hypostyle::Reader::open(&target) }.unwrap()
}

#[cfg(not(feature = "export"))]
#[test]
fn a_program_without_exports_says_so() {
    let (code, message) = failure(&["export", "ants", "-o", "ants.parquet"]);
    assert!(code == 2 && message.contains("--features export"), "{message}");
}
