//! The commands that look at states: `diff`.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod commands;

use std::path::Path;

use hypostyle::checkpoint::{self, Options};
use hypostyle::{Component, Resource, World};
use serde_json::{Value, json};

use commands::{code, failure, output, place, stdout};

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
    checkpoint::write(&world.reader().unwrap().pin().unwrap(), path, &Options::default()).unwrap();
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
