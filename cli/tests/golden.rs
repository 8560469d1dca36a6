//! Files of every format version that was ever written, as they were written then: they open, they hold what they held,
//! and a run goes on from them as it did. Files of versions to come are refused by number.
//!
//! `HYPOSTYLE_BLESS=1` writes those of today's version that are not there yet; files that are there stay as they are.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod commands;

use std::fs;
use std::path::{Path, PathBuf};

use commands::{failure, json, state_of, stdout};

/// What runs are of: all kinds of patches, toggles, handles and lists are among them.
const RUNS: [(&str, &str); 3] = [("particles", "90"), ("epidemic", "60"), ("nbody", "5")];
const SEED: &str = "3";
/// The frame of the checkpoint, and how many the journal has.
const FRAMES: u64 = 6;
/// How many a run goes on for.
const ON: u64 = 5;

/// The files of a kind: a directory for each version, its number at the end.
fn golden(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut found: Vec<PathBuf> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{kind}-")))
        .collect();
    found.sort();
    found
}

/// The directory of today's version, which is read off a file: made, where it is asked for and is not there.
fn today(kind: &str, version: u32, make: impl FnOnce(&Path)) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{kind}-{version}"));
    if !path.exists() && std::env::var_os("HYPOSTYLE_BLESS").is_some() {
        fs::create_dir_all(&path).unwrap();
        make(&path);
    }
    assert!(
        path.exists(),
        "{kind} files are of version {version} now: `HYPOSTYLE_BLESS=1 cargo test -p hypostyle-cli --test golden` keeps \
         one of each"
    );
    path
}

/// The version in a file's first bytes.
fn version(file: &Path) -> u32 {
    let bytes = fs::read(file).unwrap();
    u32::from_le_bytes(bytes[12..16].try_into().unwrap())
}

/// The same file, of a version to come.
fn of_the_future(file: &Path, to: &Path) {
    let mut bytes = fs::read(file).unwrap();
    bytes[12..16].copy_from_slice(&77_u32.to_le_bytes());
    fs::write(to, bytes).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(scene: &str, entities: &str, frames: u64, more: &[&str]) -> String {
    let frames = frames.to_string();
    let begin = ["run", scene, "--entities", entities, "--seed", SEED, "--frames", &frames, "--workers", "local"];
    let said = stdout(&[&begin[..], more, &["--print-hash"]].concat());
    state_of(&said).to_owned()
}

/// The one file of a directory whose name ends so.
fn one(directory: &Path, end: &str) -> PathBuf {
    let mut names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| text(path).ends_with(end)).unwrap_or_else(|| panic!("no *{end} in {}", directory.display()))
}

#[test]
fn checkpoints_of_all_versions_open_and_runs_go_on() {
    let made = tempfile::tempdir().unwrap();
    for (scene, entities) in RUNS {
        let now = made.path().join(scene);
        run(scene, entities, FRAMES, &["--checkpoint", text(&now)]);
        let now = one(&now, ".checkpoint");
        let keep = |directory: &Path| {
            for (scene, entities) in RUNS {
                let to = made.path().join(format!("{scene}-kept"));
                run(scene, entities, FRAMES, &["--checkpoint", text(&to)]);
                fs::copy(one(&to, ".checkpoint"), directory.join(format!("{scene}.checkpoint"))).unwrap();
            }
        };
        today("checkpoint", version(&now), keep);
        let all = golden("checkpoint");
        assert!(!all.is_empty());
        for directory in all {
            let file = directory.join(format!("{scene}.checkpoint"));
            let file = text(&file);
            assert_eq!(json(&["hash", file])["state"], run(scene, entities, FRAMES, &[]).as_str(), "{file}");
            assert!(stdout(&["verify", file]).contains("whole"), "{file}");
            let on = ON.to_string();
            let went =
                stdout(&["run", scene, "--from", file, "--frames", &on, "--workers", "threads:2", "--print-hash"]);
            assert_eq!(state_of(&went), run(scene, entities, FRAMES + ON, &[]), "{file}");
        }
        let future = made.path().join("future.checkpoint");
        of_the_future(&now, &future);
        let (code, said) = failure(&["hash", text(&future)]);
        assert!(code == 7 && said.contains("its version is 77"), "{code}: {said}");
    }
}

#[test]
fn journals_of_all_versions_give_back_every_frame() {
    let made = tempfile::tempdir().unwrap();
    for (scene, entities) in RUNS {
        let now = made.path().join(scene);
        run(scene, entities, FRAMES, &["--record", text(&now), "--checkpoint-every", "4"]);
        let keep = |directory: &Path| {
            for (scene, entities) in RUNS {
                let to = directory.join(scene);
                run(scene, entities, FRAMES, &["--record", text(&to), "--checkpoint-every", "4"]);
            }
        };
        today("journal", version(&one(&now, ".journal")), keep);
        let all = golden("journal");
        assert!(!all.is_empty());
        for directory in all {
            let journal = directory.join(scene);
            assert!(stdout(&["verify", text(&journal)]).contains(&format!("{} generations", FRAMES + 1)));
            for frame in 1..=FRAMES {
                let place = format!("{}@{frame}", text(&journal));
                assert_eq!(json(&["hash", &place])["state"], run(scene, entities, frame, &[]).as_str(), "{place}");
            }
        }
        let segment = one(&now, ".journal");
        of_the_future(&segment, &segment);
        let (code, said) = failure(&["hash", &format!("{}@{FRAMES}", text(&now))]);
        assert!(code == 7 && said.contains("its version is 77"), "{code}: {said}");
    }
}

#[test]
fn traces_of_all_versions_are_read() {
    let made = tempfile::tempdir().unwrap();
    let now = made.path().join("now.trace");
    let record = |file: &Path| {
        run("nbody", "5", FRAMES, &["--trace", text(file)]);
    };
    record(&now);
    let read = |file: &Path| serde_json::from_slice::<serde_json::Value>(&fs::read(file).unwrap()).unwrap();
    let format = read(&now)["hypostyle"]["format"].as_u64().unwrap();
    today("trace", u32::try_from(format).unwrap(), |directory| record(&directory.join("nbody.trace")));
    for directory in golden("trace") {
        let file = directory.join("nbody.trace");
        let said = stdout(&["trace", text(&file)]);
        assert!(said.starts_with(&format!("{FRAMES} frames in ")), "{said}");
    }
    let mut future = read(&now);
    future["hypostyle"]["format"] = 77.into();
    fs::write(&now, future.to_string()).unwrap();
    let (code, said) = failure(&["trace", text(&now)]);
    assert!(code == 7 && said.contains("77"), "{code}: {said}");
}
