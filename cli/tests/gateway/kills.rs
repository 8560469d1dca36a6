//! Gateways that are killed at named points: the run goes on without a skipped publication, nobody holds anything, and the
//! next gateway gives clients the state that the region has, and takes their inputs.
#![cfg(all(target_os = "linux", feature = "fault-injection"))]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hypostyle::{Publication, RegionTarget, Schedule, Simulation, System, Workers, Write};
use hypostyle_gateway::delta::Selection;
use serde_json::{Value, json};

use super::client::Client;
use super::inputs::gateway;
use super::{Position, Wind, commands, truth, world_in};

const SIGKILL: i32 = 9;

/// Where a gateway can die, and on which passing: it takes a lease and pins, takes a ring and sends inputs on.
const POINTS: &[(&str, u64)] = &[
    ("lease-locked", 1),
    ("lease-taken", 1),
    ("word-loaded", 9),
    ("lease-stored", 1),
    ("lease-stored", 7),
    ("ring-taken", 1),
    ("input-pushed", 1),
    ("input-pushed", 4),
    ("input-sent", 1),
    ("input-sent", 4),
];

/// A gateway that dies there, and where it listens if it lives long enough to say so.
fn doomed(region: &str, fault: &str) -> (Child, Option<std::net::SocketAddr>) {
    let args = ["gateway", region, "--listen", "127.0.0.1:0", "--json", "--inputs"];
    let mut command = commands::command(&args);
    command.env("HYPOSTYLE_KILL", fault).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains('}') && stdout.read_line(&mut text).unwrap() > 0 {}
    let told: Option<Value> = serde_json::from_str(&text).ok();
    (child, told.map(|told| told["address"].as_str().unwrap().parse().unwrap()))
}

fn step(simulation: &mut Simulation) {
    let report = simulation.step(0.1).unwrap();
    assert!(matches!(report.publication, Some(Publication::Published(_))), "a dead gateway is in the way");
}

#[test]
fn a_gateway_that_is_killed_anywhere_is_in_nobodys_way() {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = place.path().join("region");
    let region = path.to_str().unwrap();
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Position>>("move", |_, mut p| p.y.map_with(&p.x, |y, x| y + x)));
    let builder = Simulation::builder().workers(Workers::Local).inputs(["wind"]);
    let mut simulation = builder.build(world_in(RegionTarget::Directory(path.clone()), 500), schedule).unwrap();
    let layout = simulation.world().layout().clone();
    let mut sent = 1.0_f64;
    for (point, passing) in POINTS {
        step(&mut simulation);
        let (mut child, address) = doomed(region, &format!("{point}:{passing}"));
        // the client's connection breaks: whatever it says then is no news
        let first = sent;
        let client = address.map(|address| {
            let layout = layout.clone();
            std::thread::spawn(move || {
                let mut client = Client::open(address, json!({}));
                for number in 1..=20u32 {
                    client.input(number, "wind", &(first + f64::from(number)).to_le_bytes());
                }
                loop {
                    client.receive(&layout);
                    client.acknowledge();
                }
            })
        });
        let begun = Instant::now();
        let status = loop {
            step(&mut simulation);
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(begun.elapsed() < Duration::from_secs(60), "it does not come to {point}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(status.signal(), Some(SIGKILL), "{point}");
        assert!(client.is_none_or(|client| client.join().is_err()), "{point}: the connection outlived the gateway");
        step(&mut simulation);
        let speed = simulation.world().resource::<Wind>().unwrap().speed;
        assert!(speed == speed.floor() && speed <= first + 20.0, "{point}: {speed} was never sent");
        let leases = simulation.world().reader().unwrap().leases().unwrap();
        assert!(leases.iter().all(|lease| !lease.alive), "{point}: {leases:?}");
        sent = first + 21.0;
        let (next, address) = gateway(region, &["--inputs"]);
        let mut client = Client::open(address, json!({}));
        client.input(1, "wind", &sent.to_le_bytes());
        while client.input < 1 {
            step(&mut simulation);
            client.receive(&layout);
            client.acknowledge();
        }
        client.catch_up(simulation.world().generation(), &layout);
        assert!(client.state == truth(simulation.world(), Selection::view()), "{point}");
        assert_eq!(simulation.world().resource::<Wind>().unwrap().speed, sent, "{point}");
        drop(next);
    }
}
