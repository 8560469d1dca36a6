//! Worlds of several ranks, each with a region, as the command meets them: by one name, at one frame.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod commands;

use commands::{failure, json, place, stdout};
use hypostyle::regions::notes_of_rank;
use hypostyle::{RegionTarget, Schedule, Simulation, Workers, World};
use hypostyle_scenes::{SceneOptions, find};

const ENTITIES: u64 = 900;

/// The part of a rank of a world that three ranks share, published after frame 0.
fn part(name: &RegionTarget, rank: usize, run: u64) -> World {
    let builder = World::builder().region(name.of_rank(rank)).keep_generations(2);
    let builder =
        notes_of_rank(rank, 3, run).into_iter().fold(builder, |builder, (name, value)| builder.note(name, value));
    let builder = builder.note("scene", "particles").note("order", "global_id.value");
    let scene = find("particles").unwrap();
    let mut world = scene.world(&SceneOptions::new(Some(ENTITIES), 7), builder).unwrap();
    for table in 0..world.table_count() {
        let others: Vec<u32> = (0..world.table_rows(table) as u32).filter(|row| *row as usize % 3 != rank).collect();
        world.remove_rows(table, &others).unwrap();
    }
    assert!(world.publish().unwrap().is_published());
    world
}

fn whole() -> World {
    find("particles").unwrap().world(&SceneOptions::new(Some(ENTITIES), 7), World::builder()).unwrap()
}

#[test]
fn commands_take_the_name_of_all_ranks() {
    let (directory, path, name) = place();
    let target = RegionTarget::Directory(path);
    let _parts = [0, 1, 2].map(|rank| part(&target, rank, 7));
    let want = whole();
    let entities = want.entity_count();
    assert_eq!(stdout(&["hash", "--by-id", &name]).trim(), format!("state-by-id {}", want.hash_by_id().unwrap()));
    let looked = json(&["inspect", &name]);
    assert_eq!((&looked["snapshot"]["entities"], &looked["snapshot"]["frame"]), (&entities.into(), &0.into()));
    assert_eq!(looked["cluster"]["ranks"].as_array().unwrap().len(), 3);
    let of_ranks = looked["snapshot"]["rank_entities"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap());
    assert_eq!(of_ranks.sum::<u64>(), entities);
    assert!(stdout(&["inspect", &name]).contains("on 3 ranks of this machine"));
    let listed = json(&["list", directory.path().to_str().unwrap()]);
    assert_eq!(
        (&listed["clusters"][0]["name"], listed["regions"].as_array().unwrap().len()),
        (&name.as_str().into(), 3)
    );
    assert!(stdout(&["list", directory.path().to_str().unwrap()]).contains("a world of 3 ranks, 3 of them live"));
    let counted = json(&["stats", &name, "position.x"])["columns"][0]["count"].as_u64().unwrap();
    assert!(counted >= ENTITIES, "{counted}");
    assert!(stdout(&["stats", &name, "position.x"]).starts_with("3 ranks, frame 0"));
    let watched = json(&["watch", &name, "position.x", "--count", "1"]);
    assert_eq!((&watched["frame"], &watched["columns"][0]["count"]), (&0.into(), &counted.into()));
    let drawn = stdout(&["top", &name, "--once", "--interval", "0"]);
    assert!(drawn.contains(&format!("{} entities", entities)) || drawn.contains("entities in"), "{drawn}");
    let file = directory.path().join("all.csv");
    let written = json(&["export", &name, "-o", file.to_str().unwrap(), "--components", "global_id,position"]);
    assert_eq!(written["rows"], counted);
    // in the order of ids, over all ranks
    let columns = ["export", &name, "-o", file.to_str().unwrap(), "--components", "global_id,position"];
    json(&[&columns[..], &["--order", "global_id.value"]].concat());
    let text = std::fs::read_to_string(&file).unwrap();
    let ids: Vec<u64> = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert!(ids.len() as u64 == counted && ids.is_sorted(), "{ids:?}");
    let (code, told) = failure(&["export", &name, "-o", file.to_str().unwrap(), "--order", "position.x"]);
    assert!(code != 0 && told.contains("rows cannot be ordered by `position.x`"), "{told}");
}

#[test]
fn a_checkpoint_of_all_ranks_is_a_set_or_one_file() {
    let (directory, path, name) = place();
    let target = RegionTarget::Directory(path);
    let _parts = [0, 1, 2].map(|rank| part(&target, rank, 7));
    let want = format!("state-by-id {}", whole().hash_by_id().unwrap());
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (one, set) = (file("melt.checkpoint"), file("particles-000000000000.checkpoints"));
    let written = json(&["checkpoint", &name, "-o", &one, "--note", "why=test"]);
    assert_eq!(written["entities"], whole().entity_count());
    let written = json(&["checkpoint", &name, "-o", &set]);
    assert_eq!(
        (&written["files"].as_array().unwrap().len(), &written["order"]),
        (&3, &serde_json::json!(["global_id.value"]))
    );
    for file in [&one, &set] {
        assert_eq!(stdout(&["hash", "--by-id", file]).trim(), want, "{file}");
        stdout(&["verify", file]);
        // what is needed to go on is in it, and nothing that is of the ranks alone
        let run = stdout(&["run", "particles", "--from", file, "--frames", "0", "--print-hash=by-id"]);
        assert_eq!(run.trim(), want);
    }
    let noted = json(&["inspect", &one])["checkpoint"]["notes"].clone();
    assert_eq!(noted, serde_json::json!({ "scene": "particles", "why": "test" }));
    // a note that is given takes the place of the world's
    stdout(&["checkpoint", &name, "-o", &one, "--note", "scene=mine"]);
    assert_eq!(json(&["inspect", &one])["checkpoint"]["notes"], serde_json::json!({ "scene": "mine" }));
    let (code, told) = failure(&["checkpoint", &name, "-o", &format!("{one}/in-a-file.checkpoints")]);
    assert!(code != 0 && told.contains("directory"), "{told}");
    let (code, told) = failure(&["steer", &name, "pause"]);
    assert!(code == 2 && told.contains("not steerable"), "{told}");
}

#[cfg(feature = "query")]
#[test]
fn rows_of_all_ranks_are_asked() {
    let (_directory, path, name) = place();
    let target = RegionTarget::Directory(path);
    let _parts = [0, 1, 2].map(|rank| part(&target, rank, 7));
    let answer =
        json(&["query", &name, "--sql", "select count(*) as n, count(distinct global_id.value) as ids from world"]);
    let entities = whole().entity_count();
    assert_eq!((&answer[0]["n"], &answer[0]["ids"]), (&entities.into(), &entities.into()));
}

#[test]
fn every_frame_that_all_ranks_have_is_watched_until_one_is_gone() {
    let (_directory, path, name) = place();
    let target = RegionTarget::Directory(path);
    // a schedule without systems: frames pass
    let simulation = |rank| Simulation::new(part(&target, rank, 7), Schedule::new(), Workers::Local).unwrap();
    let mut parts = [0, 1, 2].map(simulation);
    let watch = ["watch", &name, "position.x", "--json"];
    let mut child = commands::command(&watch).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["frame"], 0);
    for frame in 1..=2_u64 {
        for part in &mut parts {
            part.step(0.1).unwrap();
        }
        let told = next();
        assert_eq!((&told["frame"], &told["missed"]), (&frame.into(), &0.into()));
    }
    drop(parts);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_done_with_ranks_is_said() {
    let (_directory, path, name) = place();
    let target = RegionTarget::Directory(path);
    let first = part(&target, 0, 7);
    let (code, told) = failure(&["inspect", &name]);
    assert!(code == 3 && told.contains("rank 1 cannot be read: it is not here"), "{told}");
    let second = part(&target, 1, 7);
    let other = part(&target, 2, 8);
    let (code, told) = failure(&["hash", "--by-id", &name]);
    assert!(code == 3 && told.contains("rank 2 cannot be read: its region is left of another run"), "{told}");
    drop(other);
    let third = part(&target, 2, 7);
    let (code, told) = failure(&["hash", &name]);
    assert!(code == 2 && told.contains("--by-id"), "{told}");
    let (code, told) = failure(&["diff", &name, &name]);
    assert!(code == 2 && told.contains("region-rank-00000"), "{told}");
    // each part is a region as any
    assert_eq!(json(&["inspect", &format!("{name}-rank-00001")])["region"]["alive"], true);
    drop((first, second, third));
    let (code, _) = failure(&["inspect", &name]);
    assert_eq!(code, 3);
}
