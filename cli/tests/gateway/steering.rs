//! Steering over HTTP: what a run sees of it, what others see, and what is refused.

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use hypostyle::{RegionTarget, Schedule, Simulation, Workers};
use serde_json::{Value, json};

use hypostyle_gateway::Tokens;

use super::client::{get, post, request};
use super::inputs::gateway;
use super::{Serving, commands, world, world_in};

const PAUSE: &str = r#"{"action": "pause"}"#;

fn simulation(steerable: bool) -> Simulation {
    simulation_in(RegionTarget::Heap, steerable)
}

fn simulation_in(region: RegionTarget, steerable: bool) -> Simulation {
    let builder = Simulation::builder().workers(Workers::Local).steerable(steerable);
    builder.build(world_in(region, 10), Schedule::new()).unwrap()
}

fn state(address: SocketAddr) -> Value {
    let answer = get(address, "/steering");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")));
    answer.json()
}

fn steered(address: SocketAddr, body: &str) -> Value {
    let answer = post(address, "/steering", "", body);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// The status of a refused request, and why.
fn refused(address: SocketAddr, more: &str, body: &str) -> (u16, String) {
    let answer = post(address, "/steering", more, body);
    (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
}

#[test]
fn a_run_is_steered_and_everybody_sees_it() {
    let mut simulation = simulation(true);
    let run = simulation.steering().unwrap();
    let serving = Serving::of(simulation.world(), |options| options.steer = true);
    assert_eq!(get(serving.address, "/layout").json()["steer"], true);
    simulation.step(0.1).unwrap();
    let (generation, frame) = (simulation.world().generation(), simulation.world().frame());
    let first = json!({
        "allowed": true, "steerable": true, "paused": false, "pace": null, "writer_alive": true,
        "generation": generation, "frame": frame, "time": 0.1,
    });
    assert_eq!(state(serving.address), first);
    assert_eq!(steered(serving.address, PAUSE)["paused"], true);
    assert!(run.is_paused());
    assert_eq!(steered(serving.address, r#"{"action": "step", "frames": 3}"#)["paused"], true);
    steered(serving.address, r#"{"action": "step"}"#);
    assert_eq!(run.take_steps(100), 4);
    simulation.step(0.1).unwrap();
    // the newest frame, and not one that was seen some time ago
    assert_eq!(state(serving.address)["frame"], frame + 1);
    assert_eq!(steered(serving.address, r#"{"action": "pace", "pace": 2.5}"#)["pace"], 2.5);
    assert_eq!(run.pace(), Some(2.5));
    assert_eq!(steered(serving.address, r#"{"action": "resume"}"#)["paused"], false);
    assert_eq!(steered(serving.address, r#"{"action": "pace", "pace": null}"#)["pace"], json!(null));
    assert!(!run.is_paused() && run.pace().is_none());
    serving.wait_for("steered_total", 6);
    // another one steers
    let wheel = simulation.world().reader().unwrap().steering().unwrap().unwrap();
    wheel.pause();
    wheel.set_pace(Some(9.0));
    let seen = state(serving.address);
    assert_eq!((&seen["paused"], &seen["pace"]), (&json!(true), &json!(9.0)));
}

#[test]
fn who_may_not_steer_or_asks_for_what_is_not_is_told() {
    let steerable = simulation(true);
    let run = steerable.steering().unwrap();
    let shown = Serving::of(steerable.world(), |_| {});
    assert_eq!(get(shown.address, "/layout").json()["steer"], false);
    let (status, why) = refused(shown.address, "", PAUSE);
    assert!(status == 403 && why.contains("--steer"), "{status} {why}");
    // it shows all the same
    let seen = state(shown.address);
    assert_eq!((&seen["allowed"], &seen["steerable"], &seen["paused"]), (&json!(false), &json!(true), &json!(false)));

    let serving = Serving::of(steerable.world(), |options| {
        options.steer = true;
        options.tokens = Some(Tokens::new(vec!["a long token".to_owned()]).unwrap());
        options.origins = vec!["https://lab.example".to_owned()];
    });
    let known = "Authorization: Bearer a long token\r\n";
    assert_eq!(refused(serving.address, "", PAUSE).0, 401);
    assert_eq!(refused(serving.address, "Authorization: Bearer another\r\n", PAUSE).0, 401);
    let foreign = format!("{known}Origin: https://evil.example\r\n");
    assert_eq!(refused(serving.address, &foreign, PAUSE).0, 403);
    for (body, why) in [("", "no JSON"), (r#"{"action": "stop"}"#, "no action `stop`")] {
        let (status, told) = refused(serving.address, known, body);
        assert!(status == 400 && told.contains(why) && told.contains(PAUSE), "{status} {told}");
    }
    let long = format!("{PAUSE}{}", " ".repeat(2000));
    let (status, told) = refused(serving.address, known, &long);
    assert!(status == 413 && told.contains("1024 bytes"), "{status} {told}");
    let answer = post(serving.address, "/steering?now", known, PAUSE);
    assert!(answer.status == 400 && answer.json()["error"].as_str().unwrap().contains("no parameter `now`"));
    assert_eq!(request(serving.address, "DELETE", "/steering", known).status, 405);
    assert!(!run.is_paused(), "nothing was done");
    // a page that may
    let page = format!("{known}Origin: https://lab.example\r\n");
    let answer = post(serving.address, "/steering", &page, PAUSE);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://lab.example")));
    assert!(run.is_paused());

    let off = Serving::try_of(steerable.world(), |options| {
        options.steer = true;
        options.listen = "0.0.0.0:0".parse().unwrap();
    });
    assert!(off.err().unwrap().to_string().contains("token"));
}

#[test]
fn nobody_to_steer_is_told_until_there_is_one() {
    let plain = world(3);
    let serving = Serving::of(&plain, |options| options.steer = true);
    assert_eq!(
        (&state(serving.address)["steerable"], &state(serving.address)["paused"]),
        (&json!(false), &json!(null))
    );
    let (status, why) = refused(serving.address, "", PAUSE);
    assert!(status == 409 && why.contains("run --steer"), "{status} {why}");

    let (_directory, path, region) = commands::place();
    let first = simulation_in(RegionTarget::Directory(path.clone()), true);
    let (_gateway, address) = gateway(&region, &["--steer"]);
    assert_eq!(steered(address, PAUSE)["paused"], true);
    drop(first);
    let (status, why) = refused(address, "", PAUSE);
    assert!(status == 409 && why.contains("has ended"), "{status} {why}");
    assert_eq!(state(address)["writer_alive"], false);
    // one that was killed cannot say that it has ended
    let killed_region = format!("{region}-killed");
    let run = ["run", "particles", "--entities", "10", "--seconds", "600", "--pace", "50", "--region"];
    let run = commands::command(&[&run[..], &[&killed_region, "--steer"]].concat()).stderr(Stdio::null()).spawn();
    let run = commands::Running(run.unwrap());
    until(|| commands::output(&["hash", &killed_region]).status.success());
    let (_killed_gateway, at) = gateway(&killed_region, &["--steer"]);
    steered(at, PAUSE);
    // as `kill -9` does
    drop(run);
    until(|| state(at)["writer_alive"] == false);
    assert_eq!((refused(at, "", PAUSE).0, &state(at)["steerable"]), (409, &json!(false)));
    // another run under the name is steered by the next request, and not by those before it
    let second = simulation_in(RegionTarget::Directory(path), true);
    assert!(!second.steering().unwrap().is_paused());
    assert_eq!(steered(address, PAUSE)["writer_alive"], true);
    assert!(second.steering().unwrap().is_paused());
}

#[test]
fn a_run_that_is_steered_over_http_ends_in_the_same_bytes() {
    let (_directory, _, region) = commands::place();
    let options = ["run", "particles", "--entities", "300", "--frames", "300", "--print-hash", "--publish-every", "7"];
    let alone = commands::stdout(&options);
    // after its first frame it has a quarter of an hour until the next one
    let mut run = commands::command(&[&options[..], &["--region", &region, "--steer", "--pace", "0.001"]].concat());
    let mut run = commands::Running(run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    until(|| commands::output(&["steer", &region]).status.success());
    steered_when_published(&region);
    let (_gateway, address) = gateway(&region, &["--steer"]);
    let stands = state(address)["frame"].as_u64().unwrap();
    assert_eq!((&state(address)["paused"], &state(address)["pace"]), (&json!(true), &json!(0.001)));
    steered(address, r#"{"action": "step", "frames": 3}"#);
    until(|| state(address)["frame"] == stands + 3);
    steered(address, r#"{"action": "step"}"#);
    until(|| state(address)["frame"] == stands + 4);
    assert_eq!(steered(address, r#"{"action": "pace", "pace": null}"#)["frame"], stands + 4);
    steered(address, r#"{"action": "resume"}"#);
    let mut printed = String::new();
    run.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(run.0.wait().unwrap().success());
    assert_eq!(printed, alone);
}

/// Lets a run come to a frame that it shows, where it stands.
fn steered_when_published(region: &str) {
    commands::stdout(&["steer", region, "step", "8"]);
    until(|| {
        let output = commands::output(&["hash", region, "--json"]);
        let shown = || serde_json::from_slice::<Value>(&output.stdout).unwrap()["frame"].as_u64().unwrap();
        output.status.success() && shown() >= 8
    });
}

/// Waits until it is so; what never comes ends with the test command.
fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(10));
    }
}
