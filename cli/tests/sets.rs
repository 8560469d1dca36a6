//! Sets of checkpoints of many ranks, as the command meets them: every command that takes a checkpoint takes a manifest.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod commands;

use std::path::{Path, PathBuf};

use commands::{code, failure, json, output, stdout};
use hypostyle::checkpoint::{self, CheckpointOptions, CheckpointSet, SetFile};
use hypostyle::{Simulation, Workers, World};
use hypostyle_scenes::{Scene, SceneOptions, find};

const FRAMES: u64 = 25;

/// A scene after some frames: as one checkpoint, and as a set of three, each with every third row.
fn write(name: &str, entities: u64, directory: &Path) -> (PathBuf, PathBuf) {
    let (scene, options): (&dyn Scene, _) = (find(name).unwrap(), SceneOptions::new(Some(entities), 7));
    let world = scene.world(&options, World::builder()).unwrap();
    let key = scene.space(&world).unwrap().map(|space| space.key.to_owned());
    let mut simulation = Simulation::new(world, scene.schedule(&options), Workers::Local).unwrap();
    simulation.run(FRAMES, scene.dt()).unwrap();
    let notes = [("scene", name.to_owned()), ("seed", "7".to_owned()), ("entities", entities.to_string())];
    let notes: Vec<_> = notes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut how = CheckpointOptions::default();
    how.notes.clone_from(&notes);
    let one = directory.join("one.checkpoint");
    checkpoint::write(&simulation.world().reader().unwrap().pin().unwrap(), &one, &how).unwrap();
    let manifest = CheckpointSet::path_of(directory, name, FRAMES);
    std::fs::create_dir(manifest.with_extension("")).unwrap();
    let mut files = Vec::new();
    for rank in 0..3 {
        let mut part = World::builder().restore(&one).unwrap();
        for table in 0..part.table_count() {
            let others: Vec<u32> = (0..part.table_rows(table) as u32).filter(|row| row % 3 != rank).collect();
            part.remove_rows(table, &others).unwrap();
        }
        assert!(part.publish().unwrap().is_published());
        let path = CheckpointSet::file_path_of(&manifest, rank as usize);
        checkpoint::write(&part.reader().unwrap().pin().unwrap(), &path, &how).unwrap();
        files.push(SetFile::of(&path).unwrap());
    }
    let order = key.into_iter().chain(["global_id.value".to_owned()]).collect();
    CheckpointSet::write(&manifest, FRAMES, files, order, notes).unwrap();
    (one, manifest)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_plain_process_goes_on_from_a_set() {
    for (name, entities) in [("lj", 2048), ("particles", 3000), ("fluids", 600)] {
        let directory = tempfile::tempdir().unwrap();
        let (one, set) = write(name, entities, directory.path());
        let go_on = |from: &Path| stdout(&["run", name, "--frames", "25", "--from", text(from), "--print-hash=by-id"]);
        let want = go_on(&one);
        assert_eq!(go_on(&set), want, "{name}");
        let entities = entities.to_string();
        let seed = ["run", name, "--seed", "7", "--entities", &entities, "--frames", "50", "--print-hash=by-id"];
        assert_eq!(stdout(&seed), want, "{name} in one go");
    }
}

#[test]
fn commands_take_a_manifest_where_they_take_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let (one, set) = write("lj", 2048, directory.path());
    let (one, set) = (text(&one), text(&set));
    assert_eq!(stdout(&["hash", "--by-id", set]), stdout(&["hash", "--by-id", one]));
    let of = |source: &str| json(&["stats", source, "position.x"])["columns"][0].clone();
    let (a, b) = (of(one), of(set));
    assert_eq!((&a["count"], &a["min"], &a["max"]), (&b["count"], &b["min"], &b["max"]));
    let looked = json(&["inspect", set]);
    assert_eq!(looked["checkpoints"]["files"].as_array().unwrap().len(), 3);
    assert_eq!((&looked["snapshot"]["entities"], &looked["snapshot"]["frame"]), (&2048.into(), &FRAMES.into()));
    assert!(stdout(&["inspect", set]).contains("note scene"));
    // and as one file, with its notes
    let joined = directory.path().join("joined.checkpoint");
    let joined = text(&joined);
    stdout(&["checkpoint", set, "-o", joined]);
    assert_eq!(json(&["inspect", joined])["checkpoint"]["notes"]["scene"], "lj");
    assert!(stdout(&["verify", joined]).contains("whole, frame 25"));
    // rows in the order of cells and ids, as the one process has them
    let csv = |source: &str, name: &str| {
        let path = directory.path().join(name);
        let components = "global_id,position,velocity";
        stdout(&["export", source, "-o", text(&path), "--components", components]);
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().map(|line| line.split_once(',').unwrap().1.to_owned());
        rows.collect::<Vec<_>>()
    };
    assert_eq!(csv(set, "set.csv"), csv(one, "one.csv"));
}

#[test]
fn diff_matches_entities_of_sets_by_their_ids() {
    let directory = tempfile::tempdir().unwrap();
    let (one, set) = write("lj", 2048, directory.path());
    let (one, set) = (text(&one), text(&set));
    let same = json(&["diff", one, set]);
    assert_eq!((&same["same"], &same["entities"]["both"], &same["by_id"]), (&true.into(), &2048.into(), &true.into()));
    let further = directory.path().join("further");
    stdout(&["run", "lj", "--frames", "1", "--from", set, "--checkpoint", text(&further), "--print-hash"]);
    let further = further.join("lj-000000000026.checkpoint");
    let differ = output(&["diff", set, text(&further), "--json"]);
    assert_eq!(code(&differ), 1);
    let differ: serde_json::Value = serde_json::from_slice(&differ.stdout).unwrap();
    assert_eq!(differ["entities"]["both"], 2048);
    let moved = differ["columns"].as_array().unwrap().iter().find(|column| column["name"] == "position.x").unwrap();
    assert_eq!(moved["differ"], 2048);
}

#[test]
fn verify_finds_what_is_damaged_in_a_set() {
    let directory = tempfile::tempdir().unwrap();
    let (_, manifest) = write("lj", 2048, directory.path());
    let set = text(&manifest);
    assert!(stdout(&["verify", set]).contains("whole, frame 25, 2,048 entities in 3 files"));
    assert!(stdout(&["verify", text(directory.path())]).contains("2,048 entities in 3 files"), "of a directory");
    assert_eq!(json(&["verify", set])["sets"][0]["whole"], true);
    // one byte of one file
    let file = CheckpointSet::file_path_of(&manifest, 1);
    let bytes = std::fs::read(&file).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    for words in [&["verify", set][..], &["hash", set], &["run", "lj", "--frames", "1", "--from", set]] {
        let (code, told) = failure(words);
        assert!(code == 7 && told.contains("rank-00001.checkpoint") && told.contains("another hash"), "{told}");
    }
    // a file that is missing
    std::fs::remove_file(&file).unwrap();
    let (_, told) = failure(&["hash", set]);
    assert!(told.contains("rank-00001.checkpoint"), "{told}");
    std::fs::write(&file, &bytes).unwrap();
    // files of two worlds
    let other = tempfile::tempdir().unwrap();
    let (_, others) = write("particles", 2048, other.path());
    let strange = CheckpointSet::file_path_of(&others, 1);
    std::fs::copy(&strange, &file).unwrap();
    let mut files = CheckpointSet::open(&manifest).unwrap().files().to_vec();
    files[1] = SetFile::of(&file).unwrap();
    CheckpointSet::write(&manifest, FRAMES, files, Vec::new(), Vec::new()).unwrap();
    let (code, told) = failure(&["verify", set]);
    assert!(code == 7 && told.contains("another layout"), "{told}");
    // no manifest at all
    std::fs::write(&manifest, "frame = 25\n").unwrap();
    let (code, told) = failure(&["verify", set]);
    assert!(code == 7 && told.contains("it is no manifest"), "{told}");
    let (code, told) = failure(&["hash", "nowhere.checkpoints"]);
    assert!(code == 3 && told.contains("nowhere.checkpoints"), "{told}");
}
