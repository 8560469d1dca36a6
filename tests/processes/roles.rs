//! What children do: readers, writers and those who open rubbish. They answer on stdout, line by line.
#![forbid(unsafe_code)]

use std::io::BufRead;
use std::time::Duration;

use hypostyle::{RegionTarget, Snapshot, Workers};

use crate::hostile;
use crate::kills;
use crate::namespaces;
use crate::readers;
use crate::rights;
use crate::rubbish;
use crate::sandbox;
use crate::support::newest;
use crate::takeover;
use crate::torn;

/// Plays a role.
pub fn play(args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let target = |text: &str| text.parse::<RegionTarget>().unwrap();
    match args[..] {
        ["checker", region, generations] => readers::check(&target(region), generations.parse().unwrap()),
        ["reader", region] => reader(&target(region)),
        ["writer", region, workers, publish_every, seed] => takeover::write(
            target(region),
            workers.parse::<Workers>().unwrap(),
            publish_every.parse().unwrap(),
            seed.parse().unwrap(),
        ),
        ["life", directory, workers, worker_fault, frames, last, fault] => {
            let frames = frames.parse().unwrap();
            kills::live(directory.as_ref(), workers, worker_fault, frames, last == "last", fault);
        }
        ["tide", directory, last, fault] => kills::ebb_and_flow(directory.as_ref(), last == "last", fault),
        ["dying-reader", region, fault] => kills::read(&target(region), fault),
        ["dying-sender", region, from, fault] => kills::send(&target(region), from.parse().unwrap(), fault),
        ["torn-writer", region, workers, seed] => {
            torn::write(target(region), workers.parse().unwrap(), seed.parse().unwrap());
        }
        ["torn-reader", region, rows] => torn::read(&target(region), rows.parse().unwrap()),
        ["rights", region, writer] => rights::report(&target(region), writer.parse().unwrap(), false),
        ["stranger", region, writer] => rights::report(&target(region), writer.parse().unwrap(), true),
        ["visit", region] => namespaces::visit(&target(region)),
        ["take-over", region] => namespaces::take_over(&target(region)),
        ["lacking", part] => sandbox::on_a_system_that_lacks(part),
        ["stuck-writer", region] => takeover::write_and_hang(target(region)),
        ["rubbish-read", directory] => rubbish::read_all(directory.as_ref()),
        ["rubbish-resume", directory] => rubbish::resume_all(directory.as_ref()),
        ["rubbish-files", directory] => rubbish::files_all(directory.as_ref()),
        _ => panic!("no such role: {args:?}"),
    }
}

/// A reader that does as it is told: pin, hash, unpin, wait, store.
fn reader(target: &RegionTarget) {
    let mut reader = hostile::open(target).unwrap();
    let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
    println!("open");
    while let Some(line) = lines.next() {
        match line.as_str() {
            "pin" => {
                let snapshot = reader.pin().unwrap();
                println!("{}", snapshot.generation());
                hold(&snapshot, &mut lines);
                println!("unpinned");
            }
            "newest" => println!("{}", reader.newest()),
            "hash" => {
                let (frame, hash) = newest(&mut reader);
                println!("{frame} {hash:016x}");
            }
            "wait" => {
                let seen = reader.newest();
                println!("{}", reader.wait(seen, Duration::from_secs(60)).is_some());
            }
            "alive" => println!("{}", reader.is_alive().unwrap()),
            other => panic!("no such command: {other}"),
        }
    }
}

/// The commands of a reader that holds a snapshot.
fn hold(snapshot: &Snapshot<'_>, lines: &mut impl Iterator<Item = String>) {
    for line in lines {
        let column = || snapshot.tables().next().unwrap().entities();
        match line.as_str() {
            "hash" => println!("{} {:016x}", snapshot.frame(), snapshot.hash()),
            "check" => println!("{:?}", readers::check_rows(snapshot)),
            "store" => hostile::scribble(column()),
            "protect" => match hostile::make_writable(column()) {
                Ok(()) => println!("writable"),
                Err(error) => println!("{}", error.raw_os_error().unwrap()),
            },
            "unpin" => return,
            other => panic!("no such command while pinned: {other}"),
        }
    }
}
