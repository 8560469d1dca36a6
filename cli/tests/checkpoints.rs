//! Checkpoints as a program and as a user meet them: what goes on from one is what would have been without.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod commands;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use hypostyle::checkpoint::{self, CheckpointError, CheckpointOptions, Keeper, KeeperOptions};
use hypostyle::{Reader, RegionTarget, Simulation, Workers, World};
use serde_json::Value;

use commands::{Running, code, command, failure, json, output, place, state_of, stdout};
use hypostyle_scenes as scenes;
use scenes::{Scene, SceneOptions};

/// Scenes with a small world each, and with one that has several tables.
const SCENES: [(&dyn Scene, u64, u64); 7] = [
    (&scenes::particles::Particles, 3000, 9),
    (&scenes::spheres::Spheres, 200, 40),
    (&scenes::nbody::NBody, 60, 6),
    (&scenes::lj::LennardJones, 256, 20),
    (&scenes::fluids::Fluids, 600, 8),
    (&scenes::field::Plasma, 3000, 10),
    (&scenes::epidemic::Epidemic, 2000, 12),
];

fn options(entities: u64) -> SceneOptions {
    SceneOptions::new(Some(entities), 7)
}

fn begin(scene: &dyn Scene, entities: u64, workers: Workers) -> Simulation {
    let world = scene.world(&options(entities), World::builder()).unwrap();
    Simulation::new(world, scene.schedule(&options(entities)), workers).unwrap()
}

/// Runs frames; the hash of each.
fn run(simulation: &mut Simulation, scene: &dyn Scene, frames: u64) -> Vec<u64> {
    let mut reader = simulation.world().reader().unwrap();
    let hash = |_| {
        simulation.step(scene.dt()).unwrap();
        reader.pin().unwrap().hash()
    };
    (0..frames).map(hash).collect()
}

/// A generation's bytes, without the time at which they were written: rows, their order, stamps, changed bits, free
/// slots, capacities.
fn bytes(reader: &mut Reader, path: &Path) -> Vec<u8> {
    checkpoint::write(&reader.pin().unwrap(), path, &CheckpointOptions::default().level(0)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let end = bytes.len() - 8;
    bytes[96..104].fill(0);
    bytes[248..256].fill(0);
    bytes[end..].fill(0);
    bytes
}

#[test]
fn every_scene_goes_on_bit_for_bit() {
    let directory = tempfile::tempdir().unwrap();
    let (file, dump) = (directory.path().join("file"), directory.path().join("dump"));
    let mut cases: Vec<_> = SCENES.map(|(scene, entities, frames)| (scene, options(entities), frames)).into();
    // over a tree, in the middle between two sorts
    cases.push((&scenes::nbody::NBody, options(2000).with("theta", 0.6), 11));
    for (scene, options, frames) in cases {
        let world = scene.world(&options, World::builder()).unwrap();
        let mut whole = Simulation::new(world, scene.schedule(&options), Workers::Local).unwrap();
        run(&mut whole, scene, frames);
        let mut reader = whole.world().reader().unwrap();
        let report = checkpoint::write(&reader.pin().unwrap(), &file, &CheckpointOptions::default()).unwrap();
        assert_eq!((report.frame, report.generation), (frames, whole.world().generation()));
        // the original goes on undisturbed
        let hashes = run(&mut whole, scene, frames);
        let state = bytes(&mut reader, &dump);
        for workers in [Workers::Local, Workers::Threads(2)] {
            let world = World::restore(&file, &RegionTarget::Heap).unwrap();
            assert_eq!((world.frame(), world.generation()), (report.frame, report.generation));
            let mut again = Simulation::new(world, scene.schedule(&options), workers).unwrap();
            assert_eq!(run(&mut again, scene, frames), hashes, "{} with {workers}", scene.name());
            let mut reader = again.world().reader().unwrap();
            assert!(bytes(&mut reader, &dump) == state, "{} with {workers}: other bytes", scene.name());
        }
    }
}

#[test]
fn the_command_goes_on_bit_for_bit_with_all_workers() {
    for (scene, entities, frames) in SCENES {
        let (_directory, path, text) = place();
        let (name, entities) = (scene.name(), entities.to_string());
        let (half, all) = (frames.to_string(), (2 * frames).to_string());
        let common = ["run", name, "--print-hash"];
        let fresh = [&common[..], &["--entities", &entities, "--seed", "7"]].concat();
        let whole = stdout(&[&fresh[..], &["--frames", &all]].concat());
        stdout(&[&fresh[..], &["--frames", &half, "--checkpoint", &text, "--workers", "processes:2"]].concat());
        let file = path.join(format!("{name}-{frames:012}.checkpoint"));
        for from in [file.to_str().unwrap(), &text] {
            for workers in ["local", "processes:2"] {
                // scene, seed and entities are the checkpoint's
                let args = [&common[..], &["--frames", &half, "--from", from, "--workers", workers]].concat();
                assert_eq!(state_of(&stdout(&args)), state_of(&whole), "{args:?}");
            }
        }
        let report = json(&["run", name, "--frames", "1", "--from", &text]);
        assert_eq!((&report["seed"], &report["frame"]), (&7.into(), &(frames + 1).into()));
        assert_eq!(report["from"], file.to_str().unwrap());
    }
}

#[test]
fn a_reader_writes_one_while_the_simulation_runs() {
    let (directory, _, name) = place();
    let file = directory.path().join("live.checkpoint");
    let file = file.to_str().unwrap();
    let mut running = Running::start(&name, &["--seed", "7"]);
    let report = json(&["checkpoint", &name, "-o", file, "--note", "seed=7", "--note", "entities=2000"]);
    assert!(running.0.try_wait().unwrap().is_none(), "it goes on");
    let leases = json(&["inspect", &name])["leases"].clone();
    assert_eq!(leases, Value::Array(Vec::new()), "the pin is gone");
    drop(running);
    let frame = report["frame"].as_u64().unwrap();
    assert!(frame >= 3 && report["entities"].as_u64().unwrap() > 1000);
    let undisturbed = |frames: u64| {
        let frames = frames.to_string();
        stdout(&["run", "particles", "--entities", "2000", "--seed", "7", "--frames", &frames, "--print-hash"])
    };
    assert_eq!(json(&["hash", file])["state"], state_of(&undisturbed(frame)));
    let on = stdout(&["run", "particles", "--from", file, "--frames", "4", "--print-hash"]);
    assert_eq!(state_of(&on), state_of(&undisturbed(frame + 4)));
    // written anew with more effort, it is the same state with the same notes
    let small = directory.path().join("small");
    let small = small.to_str().unwrap();
    let again = json(&["checkpoint", file, "-o", small, "--level", "19", "--note", "by=hand"]);
    assert!(again["file_bytes"].as_u64().unwrap() < report["file_bytes"].as_u64().unwrap());
    assert_eq!(json(&["hash", small])["state"], json(&["hash", file])["state"]);
    let notes = &json(&["inspect", small])["checkpoint"]["notes"];
    assert_eq!((&notes["seed"], &notes["by"]), (&"7".into(), &"hand".into()));
}

#[test]
fn commands_read_a_checkpoint_as_they_read_a_region() {
    let (directory, _, name) = place();
    let checkpoints = directory.path().join("c");
    let checkpoints = checkpoints.to_str().unwrap();
    let run = ["run", "particles", "--entities", "2000", "--frames", "5", "--region", &name, "--keep"];
    stdout(&[&run[..], &["--checkpoint", checkpoints]].concat());
    let file = format!("{checkpoints}/particles-000000000005.checkpoint");
    for (command, keys) in [
        ("hash", &["state", "frame", "generation", "time"][..]),
        ("stats", &["columns", "frame", "generation"]),
        ("inspect", &["snapshot", "layout"]),
    ] {
        let (of_region, of_file) = (json(&[command, &name]), json(&[command, &file]));
        for key in keys {
            // memory is the region's own
            let strip = |data: &Value| {
                let mut data = data[key].clone();
                if *key == "snapshot" {
                    data["bytes"] = Value::Null;
                    for table in data["tables"].as_array_mut().unwrap() {
                        table["bytes"] = Value::Null;
                        for column in table["columns"].as_array_mut().unwrap() {
                            column["bytes"] = Value::Null;
                        }
                    }
                }
                data
            };
            assert_eq!(strip(&of_region), strip(&of_file), "{command} {key}");
        }
        assert!(of_file["region"].is_null() && !of_file["checkpoint"].is_null(), "{of_file}");
        assert!(!of_region["region"].is_null() && of_region["checkpoint"].is_null(), "{of_region}");
    }
    let text = stdout(&["inspect", &file]);
    for word in ["note seed", "[components.position]", "position.x", "table (", "resources"] {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
}

#[test]
fn damage_is_found_told_and_passed_over() {
    let (_directory, path, text) = place();
    let run = ["run", "particles", "--entities", "2000", "--print-hash"];
    let first = stdout(&[&run[..], &["--frames", "4", "--checkpoint", &text]].concat());
    stdout(&[&run[..], &["--frames", "4", "--checkpoint", &text, "--from", &text]].concat());
    let file = |frame: u32| path.join(format!("particles-{frame:012}.checkpoint")).to_str().unwrap().to_owned();
    let (old, new) = (file(4), file(8));
    assert!(stdout(&["verify", &old, &new]).lines().all(|line| line.contains(": whole, frame ")));
    let mut bytes = std::fs::read(&new).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&new, &bytes).unwrap();
    let output = output(&["verify", &old, &new, "--json"]);
    assert_eq!(code(&output), 7);
    let data: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(data["checkpoints"][0]["whole"], true);
    let damage = &data["checkpoints"][1]["damaged"];
    assert_eq!(damage.as_array().unwrap().len(), 1, "{damage}");
    assert!(damage[0]["rows"][1].as_u64().unwrap() > damage[0]["rows"][0].as_u64().unwrap(), "{damage}");
    assert!(damage[0]["offset"].as_u64().unwrap() <= middle as u64);
    for command in [&["hash"][..], &["stats"], &["inspect"], &["run", "particles", "--from"]] {
        let (code, message) = failure(&[command, &[&new]].concat());
        assert!(code == 7 && message.contains("is damaged") && message.contains("it holds rows"), "{message}");
    }
    // a directory gives the newest whole one
    let on = stdout(&["run", "particles", "--frames", "0", "--from", &text, "--print-hash"]);
    assert_eq!(state_of(&on), state_of(&first));
    std::fs::write(&old, &bytes[..middle]).unwrap();
    let (code, message) = failure(&["verify", &old]);
    assert!(code == 7 && message.contains("cut short"), "{message}");
    let (code, message) = failure(&["run", "particles", "--from", &text]);
    assert!(code == 3 && message.contains("there is no whole checkpoint in"), "{message}");
}

#[test]
fn wrong_usage_is_told_and_has_its_code() {
    let (directory, path, text) = place();
    stdout(&["run", "nbody", "--frames", "2", "--checkpoint", &text]);
    let file = path.join("nbody-000000000002.checkpoint");
    let file = file.to_str().unwrap();
    let (taken, absent) = (directory.path().join("letter"), directory.path().join("no/such/file"));
    std::fs::write(&taken, "dear").unwrap();
    let (taken, absent) = (taken.to_str().unwrap(), absent.to_str().unwrap());
    for (args, wanted, words) in [
        (&["checkpoint", file, "-o", taken][..], 6, "exists and is another kind of file"),
        (&["checkpoint", file, "-o", "/"], 6, "exists and is another kind of file"),
        (&["checkpoint", file, "-o", absent], 3, "cannot make"),
        (&["checkpoint", file, "-o", file, "--level", "20"], 2, "use 0 to 19"),
        (&["checkpoint", file, "-o", file, "--level", "-1"], 2, "use 0 to 19"),
        (&["checkpoint", file, "-o", file, "--note", "a"], 2, "NAME=VALUE"),
        (&["checkpoint", file, "-o", file, "--note", "a=1", "--note", "a=2"], 2, "given twice"),
        (&["checkpoint", "hypostyle-no-such-region", "-o", file], 3, "there is no region"),
        (&["checkpoint", "two words", "-o", file], 2, "no file `two words`"),
        (&["hash", "absent.checkpoint"], 3, "cannot open absent.checkpoint"),
        (&["verify", absent], 3, "cannot open"),
        (&["verify", taken], 7, "is no checkpoint"),
        (&["hash", taken], 7, "is no checkpoint"),
        (&["run", "particles", "--from", file], 4, "one of scene nbody, not of particles"),
        (&["run", "nbody", "--from", absent], 3, "cannot open"),
        (&["run", "nbody", "--from", file, "--resume", "--region", "x"], 2, "cannot be used with"),
        (&["run", "nbody", "--checkpoint-every", "3"], 2, "needs --checkpoint DIR or --record DIR"),
        (&["run", "nbody", "--frames", "1", "--checkpoint", &text, "--checkpoint-level", "99"], 2, "use 0 to 19"),
        (&["run", "nbody", "--frames", "1", "--checkpoint", taken], 6, "cannot make"),
    ] {
        let (code, message) = failure(args);
        assert!(code == wanted && message.contains(words), "{args:?}: {code} {message}");
    }
    assert_eq!(std::fs::read(taken).unwrap(), b"dear");
    assert!(stdout(&["verify", file]).contains("whole"));
}

/// The checkpoints in a directory that are there under their own names.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "checkpoint"));
    files.sort();
    files
}

/// Runs that are killed again and again, each going on from the newest checkpoint, come to what one run comes to. After
/// every death every file that is there is whole, and none that was the newest is missing.
#[test]
fn a_death_at_any_instant_leaves_the_last_checkpoint() {
    let (_directory, path, text) = place();
    let common = ["run", "particles", "--checkpoint", &text, "--checkpoint-every", "1", "--checkpoint-keep", "2"];
    let mut newest = 0;
    let mut killed_in_the_making = 0;
    for round in 0..25_u64 {
        let further: &[&str] = if newest == 0 { &["--entities", "20000", "--seed", "3"] } else { &["--from", &text] };
        let args = [&common[..], &["--seconds", "600"], further].concat();
        let mut running = Running(command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while files(&path).len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint after two minutes");
            std::thread::sleep(Duration::from_millis(1));
        }
        // anywhere: in the first write, between two, in a rename
        std::thread::sleep(Duration::from_micros(round * 7_357 % 150_000));
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        let all = std::fs::read_dir(&path).unwrap().count();
        let found = files(&path);
        killed_in_the_making += all - found.len();
        // the one that is about to go may still be there
        assert!((2..=3).contains(&found.len()), "{found:?}");
        let frames: Vec<u64> = found
            .iter()
            .map(|file| {
                let file = checkpoint::open(file).unwrap();
                assert_eq!(file.verify().unwrap().damaged, []);
                file.frame()
            })
            .collect();
        let last = *frames.iter().max().unwrap();
        assert!(last >= newest, "checkpoint {newest} was there and is gone: {frames:?}");
        newest = last;
    }
    assert!(killed_in_the_making > 0, "no death met a file in the making");
    // what the dead left half made goes once it is old
    std::thread::sleep(Duration::from_millis(2100));
    let args = ["run", "particles", "--frames", "0", "--from", &text, "--checkpoint", &text, "--print-hash"];
    let state = stdout(&args);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), files(&path).len());
    let frames = newest.to_string();
    let whole =
        stdout(&["run", "particles", "--entities", "20000", "--seed", "3", "--frames", &frames, "--print-hash"]);
    assert_eq!(state_of(&state), state_of(&whole), "after {frames} frames");
}

fn keeper(simulation: &Simulation, directory: &Path, every: u64) -> Keeper {
    let options = KeeperOptions {
        directory: directory.to_owned(),
        prefix: "ants".to_owned(),
        every_frames: Some(every),
        every: None,
        keep: 2,
        options: CheckpointOptions::default(),
    };
    Keeper::start(simulation.world().reader().unwrap(), simulation.world().frame(), options).unwrap()
}

/// Waits until the keeper has done so many things.
fn wait(keeper: &mut Keeper, frame: u64, done: u64) {
    let begun = Instant::now();
    while keeper.kept().written + keeper.kept().failed < done {
        keeper.look(frame).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_newest_are_kept_and_a_failure_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoints");
    let scene = &scenes::nbody::NBody;
    let mut simulation = begin(scene, 10, Workers::Local);
    let mut keeper = keeper(&simulation, &path, 3);
    // others' files: another prefix, no checkpoint, one that a living process makes
    for name in ["antsy-000000000001.checkpoint", "ants-old.checkpoint", "ants-000000000001.checkpoint"] {
        std::fs::write(path.join(name), "dear").unwrap();
    }
    for frame in 1..=10 {
        simulation.step(scene.dt()).unwrap();
        let begun = keeper.look(frame).unwrap();
        assert_eq!(begun, frame % 3 == 0, "frame {frame}");
        wait(&mut keeper, frame, frame / 3);
    }
    let frames = |path: &Path| -> Vec<u64> {
        checkpoint::in_directory(path, Some("ants")).unwrap().iter().map(|found| found.frame).collect()
    };
    assert_eq!(frames(&path), [9, 6], "newest first");
    std::fs::rename(&path, directory.path().join("away")).unwrap();
    simulation.run(2, scene.dt()).unwrap();
    assert!(keeper.look(12).unwrap());
    wait(&mut keeper, 12, 4);
    assert!(matches!(keeper.kept().failure, Some(CheckpointError::Io { .. })), "{:?}", keeper.kept());
    assert!(!keeper.look(12).unwrap(), "the next one is due later");
    std::fs::rename(directory.path().join("away"), &path).unwrap();
    simulation.step(scene.dt()).unwrap();
    let kept = keeper.finish().unwrap();
    assert_eq!((kept.written, kept.failed, kept.newest.unwrap().frame), (4, 1, 13));
    assert!(kept.failure.is_none());
    assert_eq!(frames(&path), [13, 9]);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 5, "what is not ours stays");
}

#[test]
fn a_slow_keeper_hurries_when_it_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let scene = &scenes::particles::Particles;
    let mut simulation = begin(scene, 100_000, Workers::Local);
    let reader = || simulation.world().reader().unwrap();
    let options = |percent| KeeperOptions {
        directory: directory.path().to_owned(),
        prefix: "slow".to_owned(),
        every_frames: Some(1),
        every: None,
        keep: 2,
        options: CheckpointOptions::default().pace_percent(percent),
    };
    for percent in [0, 101] {
        let refused = Keeper::start(reader(), 0, options(percent)).err().unwrap();
        assert!(matches!(refused, CheckpointError::Pace { percent: other } if other == percent), "{refused}");
    }
    let mut keeper = Keeper::start(reader(), 0, options(1)).unwrap();
    assert!(!keeper.is_writing().unwrap());
    run(&mut simulation, scene, 1);
    let hash = simulation.world().reader().unwrap().pin().unwrap().hash();
    assert!(keeper.look(1).unwrap());
    assert!(keeper.is_writing().unwrap(), "some chunks at a hundredth of a core");
    assert!(!keeper.look(1).unwrap());
    run(&mut simulation, scene, 2);
    let kept = keeper.finish().unwrap();
    assert_eq!((kept.written, kept.newest.unwrap().frame), (2, 3));
    let oldest = &checkpoint::in_directory(directory.path(), Some("slow")).unwrap()[1];
    assert_eq!(checkpoint::open(&oldest.path).unwrap().load().unwrap().pin().unwrap().hash(), hash);
}

#[test]
fn a_held_generation_is_written_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let scene = &scenes::particles::Particles;
    let mut simulation = begin(scene, 2000, Workers::Local);
    run(&mut simulation, scene, 3);
    let pinned = simulation.world().reader().unwrap().into_pinned().unwrap();
    let hash = pinned.snapshot().hash();
    run(&mut simulation, scene, 6);
    // looking at it does not end the pin
    assert_eq!((pinned.snapshot().hash(), pinned.snapshot().frame()), (hash, 3));
    let file = directory.path().join("held");
    let written = std::thread::scope(|scope| {
        let write =
            scope.spawn(|| checkpoint::write(&pinned.snapshot(), &file, &CheckpointOptions::default()).unwrap());
        run(&mut simulation, scene, 6);
        write.join().unwrap()
    });
    assert_eq!(written.frame, 3);
    assert_eq!(checkpoint::open(&file).unwrap().load().unwrap().pin().unwrap().hash(), hash);
    let mut reader = pinned.unpin();
    assert_eq!(reader.pin().unwrap().frame(), 15);
}
