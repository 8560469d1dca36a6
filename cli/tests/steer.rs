//! A run that others steer: it stands still, runs some frames, goes on, and ends in the same bytes.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod commands;

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use commands::{command, failure, json, place, stdout};

/// The newest frame, once something is published.
fn frame(region: &str) -> u64 {
    json(&["hash", region])["frame"].as_u64().unwrap()
}

/// Waits until it is so; what never comes ends with the test command.
fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_run_stands_still_steps_and_goes_on_to_the_same_bytes() {
    let (_directory, _, region) = place();
    let options = ["run", "particles", "--entities", "300", "--frames", "300", "--print-hash", "--publish-every", "7"];
    let alone = stdout(&options);
    // after its first frame it has a quarter of an hour until the next one
    let more = ["--region", &region, "--steer", "--pace", "0.001"];
    let mut run = command(&[&options[..], &more].concat());
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    until(|| commands::output(&["steer", &region]).status.success());
    assert_eq!(stdout(&["steer", &region, "pause"]), "paused, at most 0.001 frames per second\n");
    // its first frame may have been before or not; then it shows where it stands, though no publication is due
    stdout(&["steer", &region, "step", "8"]);
    until(|| frame_so_far(&region).is_some_and(|frame| frame >= 8));
    let stands = frame(&region);
    assert!(stands <= 9);
    stdout(&["steer", &region, "step", "3"]);
    until(|| frame(&region) == stands + 3);
    stdout(&["steer", &region, "step"]);
    until(|| frame(&region) == stands + 4);
    assert_eq!(stdout(&["steer", &region, "pace", "max"]), "paused, as fast as it goes\n");
    assert_eq!(frame(&region), stands + 4);
    let state = json(&["steer", &region, "resume"]);
    assert_eq!((state["paused"].as_bool(), state["pace"].as_f64()), (Some(false), None));
    let mut printed = String::new();
    run.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(printed, alone);
}

/// The newest frame of a region that may not be there yet.
fn frame_so_far(region: &str) -> Option<u64> {
    let output = commands::output(&["hash", region, "--json"]);
    output
        .status
        .success()
        .then(|| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["frame"].as_u64())?
}

#[test]
fn what_is_not_steerable_says_so() {
    let (_directory, _, region) = place();
    stdout(&["run", "particles", "--entities", "10", "--frames", "1", "--region", &region, "--keep"]);
    let (code, message) = failure(&["steer", &region, "pause"]);
    assert!(code == 2 && message.contains("run --steer"), "{message}");
    assert_eq!(failure(&["steer", "/no/such/region"]).0, 3);
    assert_eq!(failure(&["steer", &region, "pace", "fast"]).0, 2);
    assert_eq!(failure(&["run", "particles", "--steer"]).0, 2);
}
