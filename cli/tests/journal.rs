//! Journals as a program and as a user meet them: every frame of a run comes back, whatever became of the run.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod commands;

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use commands::{Running, code, command, failure, json, output, state_of, stdout};
use serde_json::Value;

/// The scenes, each with a small world and frames in which much happens.
const SCENES: [(&str, &str, u64); 3] = [("particles", "2000", 11), ("spheres", "150", 30), ("nbody", "60", 7)];

/// Hashes in lines `frame N HASH`.
fn frames_of(text: &str) -> HashMap<u64, String> {
    let line = |line: &str| {
        let mut words = line.strip_prefix("frame ")?.split(' ');
        Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn every_frame_of_every_scene_comes_back() {
    for (scene, entities, frames) in SCENES {
        for workers in ["local", "processes:2"] {
            let directory = tempfile::tempdir().unwrap();
            let journal = directory.path().join("journal");
            let journal = journal.to_str().unwrap();
            let number = frames.to_string();
            let begin = ["run", scene, "--entities", entities, "--seed", "7", "--workers", workers];
            let run = [&begin[..], &["--frames", &number, "--record", journal, "--checkpoint-every", "4"]].concat();
            let live = frames_of(&stdout(&[&run[..], &["--hash-every-frame"]].concat()));
            assert_eq!(live.len() as u64, frames);
            let mut replayed = frames_of(&stdout(&["replay", journal, "--hash-every-frame"]));
            assert!(replayed.remove(&0).is_some(), "the state before the first frame, too");
            assert_eq!(replayed, live, "{scene} with {workers}");
            for frame in [1, frames / 2, frames] {
                let place = format!("{journal}@{frame}");
                assert_eq!(json(&["hash", &place])["state"], live[&frame].as_str());
                assert_eq!(json(&["stats", &place])["frame"], frame);
                let text = stdout(&["replay", journal, "--to", &frame.to_string(), "--print-hash"]);
                assert_eq!(state_of(&text), live[&frame]);
                // a run from there ends as the first one did
                let left = (frames - frame).to_string();
                let on = stdout(&["run", scene, "--from", &place, "--frames", &left, "--print-hash"]);
                assert_eq!(state_of(&on), live[&frames], "{place}");
            }
            let file = directory.path().join("middle.checkpoint");
            let file = file.to_str().unwrap();
            let middle = (frames / 2).to_string();
            stdout(&["replay", journal, "--to", &middle, "-o", file]);
            assert_eq!(json(&["hash", file])["state"], live[&(frames / 2)].as_str());
            assert_eq!(json(&["inspect", file])["checkpoint"]["notes"]["scene"], scene);
            assert_eq!(code(&output(&["diff", file, &format!("{journal}@{middle}")])), 0);
            assert!(stdout(&["verify", journal]).contains(&format!("whole, {} generations", frames + 1)));
        }
    }
}

/// Without a journal, the frames after a checkpoint are run again.
#[test]
fn any_frame_of_a_run_comes_back_from_its_checkpoints() {
    for (scene, entities, frames) in SCENES {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        let kept = kept.to_str().unwrap();
        let number = frames.to_string();
        let begin = ["run", scene, "--entities", entities, "--seed", "7", "--frames", &number];
        let keep = ["--checkpoint", kept, "--checkpoint-every", "4", "--checkpoint-keep", "100"];
        let live = frames_of(&stdout(&[&begin[..], &keep, &["--hash-every-frame"]].concat()));
        let mut again = frames_of(&stdout(&["replay", kept, "--hash-every-frame"]));
        assert!(again.remove(&0).is_some(), "the state before the first frame, too");
        assert_eq!(again, live, "{scene}");
        for frame in [1, frames / 2, frames] {
            let place = format!("{kept}@{frame}");
            let found = json(&["hash", &place]);
            assert_eq!((&found["frame"], &found["state"]), (&frame.into(), &live[&frame].as_str().into()));
            let text = stdout(&["replay", kept, "--to", &frame.to_string(), "--print-hash"]);
            assert_eq!(state_of(&text), live[&frame]);
            let left = (frames - frame).to_string();
            let on = stdout(&["run", scene, "--from", &place, "--frames", &left, "--print-hash"]);
            assert_eq!(state_of(&on), live[&frames], "{place}");
        }
        let (code, message) = failure(&["hash", &format!("{kept}@{}", frames + 1)]);
        assert!(code == 3 && message.contains(&format!("end at frame {frames}")), "{message}");
        // a state that no frame leads to
        let other = directory.path().join("other.checkpoint");
        let other = other.to_str().unwrap();
        let last = std::fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
        let text = stdout(&["replay", kept, "--to", "1", "-o", other]);
        assert!(text.contains("frame 1:"), "{text}");
        let further = (frames - 1).to_string();
        let swerved = ["run", scene, "--from", other, "--frames", &further, "--seed", "8"];
        let swerved = [&swerved[..], &["--checkpoint", directory.path().to_str().unwrap()]].concat();
        stdout(&swerved);
        let swerved = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let swerved = swerved.filter(|path| path.to_str().unwrap().contains(scene)).max().unwrap();
        std::fs::copy(swerved, last).unwrap();
        let (code, message) = failure(&["replay", kept, "--hash-every-frame"]);
        assert!(code == 2 && message.contains("are of different runs"), "{message}");
    }
}

/// Frames that are not published are not recorded; asked for, the one before them comes.
#[test]
fn frames_between_generations_lead_to_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().to_str().unwrap();
    let run = ["run", "nbody", "--frames", "20", "--publish-every", "6", "--record", journal, "--json"];
    let recorded = json(&run[..run.len() - 1])["journal"].clone();
    // of frames 0, 6, 12, 18, and 20 at the end
    assert_eq!((&recorded["generations"], &recorded["skipped"]), (&5.into(), &0.into()), "{recorded}");
    for (asked, found) in [("0", 0), ("5", 0), ("6", 6), ("17", 12), ("20", 20)] {
        assert_eq!(json(&["replay", journal, "--to", asked])["frame"], found);
    }
    let (code, message) = failure(&["hash", &format!("{journal}@21")]);
    assert!(code == 3 && message.contains("no frame 21: it has frames 0 to 20"), "{message}");
}

/// Killed at any instant: what was recorded before is there, and is what an undisturbed run had.
#[test]
fn a_killed_run_leaves_a_journal() {
    let begin = ["run", "particles", "--entities", "3000", "--seed", "5"];
    let mut longest = 0;
    let mut kept = Vec::new();
    for round in 0u64..6 {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path().join("journal");
        let text = journal.to_str().unwrap().to_owned();
        let args = [&begin[..], &["--seconds", "600", "--record", &text, "--checkpoint-every", "7"]].concat();
        let mut running = Running(command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        // it has begun to record
        while code(&output(&["replay", &text])) != 0 {
            assert!(running.0.try_wait().unwrap().is_none(), "it runs");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(37 * round * round + 3));
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        let found = json(&["verify", &text])["journals"][0].clone();
        assert_eq!(found["whole"], true, "{found}");
        let last = found["frames"][1].as_u64().unwrap();
        longest = longest.max(last);
        kept.push((last, frames_of(&stdout(&["replay", &text, "--hash-every-frame"]))));
        // appended to in place
        let on = ["run", "particles", "--from", &text, "--record", &text, "--frames", "3", "--print-hash"];
        let on = state_of(&stdout(&on)).to_owned();
        let whole = json(&["verify", &text])["journals"][0].clone();
        assert_eq!((&whole["whole"], &whole["frames"][1]), (&true.into(), &(last + 3).into()), "{whole}");
        kept.push((last + 3, HashMap::from([(last + 3, on)])));
    }
    let frames = (longest + 3).to_string();
    let undisturbed = frames_of(&stdout(&[&begin[..], &["--frames", &frames, "--hash-every-frame"]].concat()));
    for (last, hashes) in &kept {
        assert!(hashes.contains_key(last));
        for (frame, hash) in hashes.iter().filter(|(frame, _)| **frame > 0) {
            assert_eq!(hash, &undisturbed[frame], "frame {frame} of a run killed after {last}");
        }
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().to_str().unwrap();
    stdout(&["run", "particles", "--entities", "2000", "--frames", "6", "--record", journal]);
    let segment = directory.path().join("000000000000001.journal");
    let mut bytes = std::fs::read(&segment).unwrap();
    // in the last block of the first record
    let record = u64::from_le_bytes(*bytes[136..].first_chunk().unwrap()) as usize;
    bytes[128 + record - 5] ^= 8;
    std::fs::write(&segment, bytes).unwrap();
    let output = output(&["verify", journal, "--json"]);
    assert_eq!(code(&output), 7);
    let data: Value = serde_json::from_slice(&output.stdout).unwrap();
    let damaged = data["journals"][0]["damaged"][0].as_str().unwrap();
    for word in ["the record of generation", "at byte", "in table (", "checksum"] {
        assert!(damaged.contains(word), "no `{word}` in {damaged}");
    }
    let (code, message) = failure(&["hash", journal]);
    assert!(code == 7 && message.contains("is damaged"), "{message}");
    // what comes before the damage is there
    stdout(&["hash", &format!("{journal}@0")]);
}

#[test]
fn another_history_is_not_mixed_in() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().to_str().unwrap();
    let run = ["run", "nbody", "--record", journal, "--frames"];
    stdout(&[&run[..], &["5"]].concat());
    let (code, message) = failure(&[&run[..], &["5"]].concat());
    assert!(code == 6 && message.contains("goes to frame 5 already"), "{message}");
    let (code, message) = failure(&["run", "particles", "--record", journal, "--frames", "9"]);
    assert!(code == 6 && message.contains("of another layout"), "{message}");
    assert!(stdout(&["verify", journal]).contains("whole, 6 generations"));
    let (code, _) = failure(&["replay", "/nowhere/at/all"]);
    assert_eq!(code, 3);
    let (code, message) = failure(&["run", "nbody", "--frames", "1", "--checkpoint-every", "3"]);
    assert!(code == 2 && message.contains("--record"), "{message}");
}
