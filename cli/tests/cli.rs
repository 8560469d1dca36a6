//! The command line, as a user and as a script sees it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod commands;

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use commands::{Running, code, command, failure, json, output, place, state_of, stdout};

const SMALL: [&str; 4] = ["--entities", "2000", "--seed", "7"];

#[test]
fn a_run_ends_with_tables_and_leaves_nothing() {
    let (directory, region, name) = place();
    let args = [&["run", "particles", "--frames", "12", "--region", &name][..], &SMALL].concat();
    let text = stdout(&args);
    for word in ["scene", "particles, seed 7", "time per frame", "p99", "per entity", "main", "refused", "memory"] {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    assert!(!region.exists());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let data = json(&args);
    assert_eq!((&data["frames"], &data["frame"], &data["seed"]), (&12.into(), &12.into(), &7.into()));
    assert_eq!(data["entities_before"], 2000);
    assert!(data["frame_seconds"]["p50"].as_f64().unwrap() <= data["frame_seconds"]["max"].as_f64().unwrap());
    assert!(data["systems"].as_array().unwrap().iter().any(|system| system["rows_written"].as_u64().unwrap() > 0));
    assert!(data.get("state").is_none());
}

#[test]
fn the_hash_is_one_line_and_that_of_the_kept_region() {
    let (_directory, _, name) = place();
    let run = [&["run", "particles", "--frames", "10", "--print-hash"][..], &SMALL].concat();
    let output = output(&run);
    assert_eq!(code(&output), 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let state = state_of(&text);
    assert!(String::from_utf8(output.stderr).unwrap().contains("time per frame"), "the table is on stderr");

    // frame 10 is no multiple of 7: it is published at the end
    let kept = [&run[..], &["--region", &name, "--keep", "--publish-every", "7"]].concat();
    assert_eq!(state_of(&stdout(&kept)), state);
    assert_eq!(state_of(&stdout(&["hash", &name])), state);
    let data = json(&["hash", &name]);
    assert_eq!((data["state"].as_str().unwrap(), &data["frame"]), (state, &10.into()));
    let data = json(&["inspect", &name]);
    assert_eq!((&data["snapshot"]["frame"], &data["region"]["state"]), (&10.into(), &"kept".into()));
    let rows: u64 = data["snapshot"]["tables"].as_array().unwrap().iter().map(|t| t["rows"].as_u64().unwrap()).sum();
    assert_eq!(data["snapshot"]["entities"], rows);
    assert_eq!(data["layout"]["hash"], data["region"]["layout_hash"]);
    let text = stdout(&["inspect", &name]);
    for word in ["[components.position]", "position.x", "no workers", "generation", "room for"] {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    // the name is taken, and says what to do
    let (code, message) = failure(&kept);
    assert!(code == 6 && message.contains("resume it, or remove it"), "{message}");
    assert_eq!(json(&run)["state"], state);
    assert_eq!(stdout(&["clean", &name]).lines().count(), 1);
    assert_eq!(failure(&["hash", &name]).0, 3);
}

#[test]
fn the_hash_by_ids_is_that_of_the_kept_region_too() {
    let (_directory, _, name) = place();
    let run = [&["run", "particles", "--frames", "5", "--print-hash=by-id"][..], &SMALL].concat();
    let state = stdout(&[&run[..], &["--region", &name, "--keep"]].concat());
    let hex = state.strip_prefix("state-by-id ").unwrap().trim_end();
    assert!(hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{state}");
    assert_eq!(stdout(&["hash", "--by-id", &name]), state);
    assert_eq!(json(&["hash", "--by-id", &name])["state_by_id"], hex);
    assert_eq!(json(&run)["state_by_id"], hex);
    assert_eq!(stdout(&[&run[..], &["--workers", "threads:2"]].concat()), state);
    let other = [&["run", "particles", "--frames", "6", "--print-hash=by-id"][..], &SMALL].concat();
    assert_ne!(stdout(&other), state);
    for scene in ["lj", "field", "spheres", "fluids", "epidemic", "nbody"] {
        let run = ["run", scene, "--entities", "256", "--frames", "2", "--workers", "local", "--print-hash=by-id"];
        assert!(stdout(&run).starts_with("state-by-id "), "{scene}");
    }
    let (_, message) = failure(&["run", "nbody", "--theta", "0.5", "--frames", "1", "--print-hash=by-id"]);
    assert!(message.contains("no entity has a global id"), "{message}");
}

#[test]
fn every_frame_is_the_same_for_all_workers() {
    let run = [&["run", "particles", "--frames", "8", "--hash-every-frame"][..], &SMALL].concat();
    let with = |further: &[&str]| stdout(&[&run[..], further].concat());
    let local = with(&["--workers", "local"]);
    assert_eq!(local.lines().count(), 8);
    assert!(local.starts_with("frame 1 ") && local.lines().all(|line| line.len() == "frame 1 ".len() + 16), "{local}");
    assert_eq!(local, with(&["--workers", "threads:2", "--ring-bytes", "1024"]));
    assert_eq!(local, with(&["--workers", "processes:2"]));
    assert_eq!(local, with(&["--workers", "processes:2", "--ring-bytes", "1024", "--publish-every", "3"]));
    let every = stdout(&[&["run", "particles", "--frames", "8", "--print-hash=every"][..], &SMALL].concat());
    let (frames, last) = every.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(format!("{frames}\n"), local);
    assert!(local.trim_end().ends_with(state_of(last)));
    let states = json(&run)["states"].as_array().unwrap().clone();
    let lines: Vec<_> =
        states.iter().map(|s| format!("frame {} {}", s["frame"], s["state"].as_str().unwrap())).collect();
    assert_eq!(lines, local.lines().collect::<Vec<_>>());
    let other =
        stdout(&["run", "particles", "--frames", "8", "--hash-every-frame", "--entities", "2000", "--seed", "8"]);
    assert_ne!(local, other, "the seed matters");
}

#[test]
fn a_killed_run_reads_lists_cleans_and_goes_on() {
    let (directory, region, name) = place();
    let parent = directory.path().to_str().unwrap();
    let mut running = Running::start(&name, &["--seed", "7", "--workers", "threads:1"]);

    // live: seen, and left alone
    let regions = json(&["list", parent]);
    assert_eq!(
        (&regions["regions"][0]["state"], &regions["regions"][0]["name"]),
        (&"live".into(), &name.as_str().into())
    );
    let (code, message) = failure(&["clean", &name]);
    assert!(code == 6 && message.contains("live writer"), "{message}");
    assert_eq!(json(&["clean", "--in", parent])["removed"], Value::Array(Vec::new()));
    assert_eq!(failure(&["run", "particles", "--frames", "1", "--region", &name]).0, 6);
    assert_eq!(failure(&["run", "particles", "--frames", "1", "--region", &name, "--resume"]).0, 6);
    let data = json(&["inspect", &name]);
    assert_eq!((&data["workers"][0]["state"], data["workers"].as_array().unwrap().len()), (&"thread".into(), 1));
    assert_eq!(data["leases"], Value::Array(Vec::new()), "its own lease is not told of");

    running.0.kill().unwrap();
    running.0.wait().unwrap();
    let dead = json(&["hash", &name]);
    let frame = dead["frame"].as_u64().unwrap();
    assert!(frame >= 3);
    assert_eq!(json(&["list", parent])["regions"][0]["state"], "stale");
    assert!(stdout(&["list", parent]).contains("hypostyle clean"));

    // another scene's world is refused, and stays as it is
    let (code, message) = failure(&["run", "nbody", "--frames", "1", "--region", &name, "--resume"]);
    assert!(code == 4, "{message}");
    assert_eq!(json(&["hash", &name])["state"], dead["state"]);

    let resumed = ["run", "particles", "--frames", "5", "--region", &name, "--resume", "--keep", "--print-hash"];
    let resumed = stdout(&[&resumed[..], &SMALL].concat());
    let frames = (frame + 5).to_string();
    let whole = stdout(&[&["run", "particles", "--frames", &frames, "--print-hash"][..], &SMALL].concat());
    assert_eq!(state_of(&resumed), state_of(&whole), "after {frames} frames");
    assert_eq!(json(&["list", parent])["regions"][0]["state"], "kept");
    assert!(stdout(&["clean", "--in", parent]).contains("no stale regions"), "kept is not stale");
    assert!(region.exists());
    // what was kept stays, also where a run that goes on from it does not say so
    stdout(&["run", "particles", "--frames", "1", "--region", &name, "--resume"]);
    assert_eq!(json(&["list", parent])["regions"][0]["state"], "kept");
    stdout(&["clean", &name]);
    assert!(!region.exists());
}

#[test]
fn stale_regions_are_cleaned_on_request() {
    let (directory, region, name) = place();
    let parent = directory.path().to_str().unwrap();
    let mut running = Running::start(&name, &["--workers", "processes:1"]);
    let data = json(&["inspect", &name]);
    assert_eq!(data["workers"][0]["state"], "process");
    let worker = data["workers"][0]["pid"].as_u64().unwrap();
    assert!(Path::new(&format!("/proc/{worker}")).exists());
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert!(region.exists());
    let removed = json(&["clean", "--all-stale", "--in", parent]);
    assert_eq!(removed["removed"][0]["name"], name.as_str());
    assert!(!region.exists());
    assert_eq!(json(&["list", parent])["regions"], Value::Array(Vec::new()));
    assert!(stdout(&["list", parent]).contains("no regions"));
}

#[test]
fn an_interrupted_run_ends_its_frame_and_cleans_up() {
    for (signal, workers) in [(rustix::process::Signal::INT, "processes:1"), (rustix::process::Signal::TERM, "local")] {
        let (directory, region, name) = place();
        let running = Running::start(&name, &["--workers", workers]);
        running.signal(signal);
        let mut running = std::mem::ManuallyDrop::new(running);
        let status = running.0.wait().unwrap();
        assert_eq!(status.code(), Some(130));
        assert!(!region.exists());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[test]
fn columns_are_described() {
    let (_directory, _, name) = place();
    stdout(&["run", "nbody", "--frames", "3", "--region", &name, "--keep"]);
    let data = json(&["stats", &name]);
    let columns = data["columns"].as_array().unwrap();
    let x = columns.iter().find(|column| column["name"] == "position.x").unwrap();
    assert_eq!((&x["count"], &x["nan"]), (&5.into(), &0.into()));
    let (least, mean, most) = (x["min"].as_f64().unwrap(), x["mean"].as_f64().unwrap(), x["max"].as_f64().unwrap());
    assert!(least < mean && mean < most);
    assert_eq!(x["histogram"].as_array().unwrap().iter().map(|bin| bin.as_u64().unwrap()).sum::<u64>(), 5);
    let text = stdout(&["stats", &name, "position.y", "velocity.x"]);
    assert_eq!(text.lines().count(), 4, "{text}");
    let (code, message) = failure(&["stats", &name, "position.w"]);
    assert!(code == 2 && message.contains("position.x"), "{message}");
}

#[test]
fn layouts_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (directory.path().join("good.toml"), directory.path().join("bad.toml"));
    std::fs::write(&good, "name = \"w\"\n[components.position]\nfields = { x = \"f32\", v = \"[f64; 2]\" }\n").unwrap();
    std::fs::write(&bad, "name = \"w\"\n[components.position]\nfields = { x = \"f33\" }\n").unwrap();
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    assert!(stdout(&["layout", "check", good]).contains("x: f32, v: [f64; 2]"));
    let layout = &json(&["layout", "check", good])["layouts"][0];
    assert_eq!((&layout["components"][0]["bytes"], &layout["name"]), (&20.into(), &"w".into()));
    let (code, message) = failure(&["layout", "check", bad, good]);
    assert!(code == 4 && message.contains("bad.toml:3:") && message.contains("f33"), "{message}");
    let data = output(&["layout", "check", bad, good, "--json"]);
    let data: Value = serde_json::from_slice(&data.stdout).unwrap();
    assert!(data["layouts"][0]["error"].as_str().unwrap().contains("f33"));
    assert_eq!(data["layouts"][1]["name"], "w");
    assert_eq!(failure(&["layout", "check", "/no/such/file.toml"]).0, 3);
}

#[test]
fn scenes_and_plans_are_shown() {
    let scenes = json(&["scenes"]);
    let names: Vec<_> = scenes["scenes"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"particles") && names.contains(&"nbody"));
    let text = stdout(&["scenes"]);
    for name in names {
        assert!(text.contains(name));
        let plan = json(&["plan", name, "--entities", "864"]);
        assert!(!plan["stages"][0]["batches"][0]["systems"][0]["name"].as_str().unwrap().is_empty());
        assert!(stdout(&["plan", name, "--entities", "864"]).contains("batch 1"));
    }
}

#[test]
fn a_scene_has_options_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let thermo = directory.path().join("thermo.csv");
    let run = |workers: &[&str]| {
        let begin = ["run", "lj", "--entities", "864", "--frames", "25", "--skin", "0.2", "--print-hash"];
        let thermo = ["--thermo", thermo.to_str().unwrap(), "--thermo-every", "10"];
        let state = stdout(&[&begin[..], &thermo, workers].concat());
        (state, std::fs::read_to_string(thermo[1]).unwrap())
    };
    let local = run(&["--workers", "local"]);
    assert_eq!(local.1.lines().count(), 4, "{}", local.1);
    for workers in ["processes:1", "processes:2", "processes:3"] {
        assert_eq!(local, run(&["--workers", workers, "--publish-every", "4"]), "{workers}");
    }
    assert!(stdout(&["scenes"]).contains("--thermo-every K"));
    assert!(stdout(&["run", "--help"]).contains("--thermo-every <K>"));
}

#[test]
fn what_a_scene_observes_goes_to_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("series.csv");
    let file = path.to_str().unwrap();
    let run = ["run", "field", "--entities", "1000", "--frames", "25", "--series", file, "--series-every", "10"];
    stdout(&run);
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["frame", "time", "electrons", "charge", "field_energy", "total_energy"]);
    assert_eq!(rows[1..].iter().map(|row| row[0]).collect::<Vec<_>>(), ["0", "10", "20"], "{text}");
    assert!(rows[1..].iter().all(|row| row.len() == 6 && row[2] == "1000"), "{text}");
    let absent = directory.path().join("none").join("series.csv");
    let (code, message) = failure(&["run", "field", "--frames", "1", "--series", absent.to_str().unwrap()]);
    assert!(code != 0 && message.contains("series.csv"), "{code} {message}");
}

#[test]
fn a_tree_has_the_same_bytes_in_processes() {
    let run = |workers: &[&str]| {
        let begin = ["run", "nbody", "--entities", "2000", "--theta", "0.7", "--frames", "18", "--print-hash"];
        stdout(&[&begin[..], workers].concat())
    };
    let local = run(&["--workers", "local"]);
    for workers in ["processes:1", "processes:3"] {
        assert_eq!(local, run(&["--workers", workers, "--publish-every", "5"]), "{workers}");
    }
}

#[test]
fn wrong_usage_is_told_and_has_its_code() {
    for args in [
        &["run", "no-such-scene"][..],
        &["run", "particles", "--frames", "1", "--seconds", "1"],
        &["run", "particles", "--workers", "threads:0"],
        &["run", "particles", "--keep"],
        &["run", "particles", "--resume"],
        &["run", "particles", "--publish-every", "0"],
        &["run", "particles", "--frames", "1", "--entities", "10", "--ring-bytes", "100", "--workers", "threads:1"],
        &["run", "particles", "--region", "no name"],
        &["hash"],
        &["worker", "particles", "--seed", "1"],
        &["no-such-command"],
        &["run", "particles", "--thermo", "t.csv", "--frames", "0"],
        &["run", "lj", "--entities", "10"],
        &["run", "lj", "--skin", "much"],
        &["run", "nbody", "--entities", "100", "--theta", "1"],
    ] {
        assert_eq!(failure(args).0, 2, "{args:?}");
    }
    assert!(failure(&["run", "no-such-scene"]).1.contains("particles"));
    let message = failure(&["run", "particles", "--thermo", "t.csv"]).1;
    assert!(message.contains("--thermo is an option of scene lj, not of particles"), "{message}");
    let (code, message) = failure(&["hash", "hypostyle-no-such-region"]);
    assert!(code == 3 && message.contains("there is no region hypostyle-no-such-region"), "{message}");
    assert_eq!(failure(&["inspect", "/no/such/region"]).0, 3);
    assert_eq!(failure(&["clean", "/no/such/region"]).0, 3);
    assert_eq!(failure(&["run", "particles", "--resume", "--region", "/no/such/region"]).0, 3);
    let help = stdout(&["--help"]);
    assert!(help.contains("Exit codes") && !help.contains("worker process."));
}

#[test]
fn what_is_no_region_stays() {
    let (_directory, region, name) = place();
    stdout(&["run", "nbody", "--frames", "1", "--region", &name, "--keep"]);
    std::fs::write(region.join("letter.txt"), "dear").unwrap();
    assert_eq!(failure(&["clean", &name]).0, 7);
    assert!(region.join("letter.txt").exists());
    std::fs::remove_file(region.join("letter.txt")).unwrap();
    for entry in std::fs::read_dir(&region).unwrap() {
        let path = entry.unwrap().path();
        let bytes = vec![0xa5; std::fs::metadata(&path).unwrap().len().min(1 << 20) as usize];
        std::fs::write(path, bytes).unwrap();
    }
    for args in [&["hash", &name][..], &["inspect", &name], &["stats", &name]] {
        assert_eq!(failure(args).0, 7, "{args:?}");
    }
    // nothing says that it is a region; then its descriptor does
    let (code, message) = failure(&["clean", &name]);
    assert!(code == 7 && message.contains("neither its descriptor nor its control file"), "{message}");
    assert_eq!(std::fs::read_dir(&region).unwrap().count(), 6, "nothing was removed");
    std::fs::write(region.join("descriptor"), "HYPOSTYL, and nothing else of it").unwrap();
    assert_eq!(json(&["list", region.parent().unwrap().to_str().unwrap()])["regions"][0]["state"], "unreadable");
    stdout(&["clean", &name]);
    assert!(!region.exists());
}

#[test]
fn other_readers_are_listed() {
    let (_directory, region, name) = place();
    // writer and reader are this process
    let target = hypostyle::RegionTarget::Directory(region);
    let mut world = hypostyle::World::builder().region(target).build().unwrap();
    assert_eq!(failure(&["hash", &name]).0, 3, "nothing is published yet");
    assert_eq!(json(&["inspect", &name])["snapshot"], Value::Null);
    world.publish().unwrap();
    let mut reader = world.reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let leases = json(&["inspect", &name])["leases"].clone();
    assert_eq!(leases.as_array().unwrap().len(), 1);
    assert_eq!(leases[0]["pid"], std::process::id());
    assert_eq!((&leases[0]["generation"], &leases[0]["alive"]), (&snapshot.generation().into(), &true.into()));
    assert!(stdout(&["inspect", &name]).contains("holds"));
    drop(snapshot);
    assert_eq!(json(&["inspect", &name])["leases"][0]["generation"], Value::Null);
    drop(reader);
    assert_eq!(json(&["inspect", &name])["leases"], Value::Array(Vec::new()));
}

#[test]
fn a_closed_pipe_is_no_error() {
    for args in [&["scenes"][..], &["list"], &["--help"], &["plan", "particles", "--entities", "10"]] {
        let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 0, "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_run_ends_at_a_time_and_keeps_its_pace() {
    let run = |args: &[&str]| -> serde_json::Value {
        let out = stdout(&[&["run", "nbody", "--workers", "local", "--json"], args].concat());
        serde_json::from_str(&out).unwrap()
    };
    let until = run(&["--until", "0.25"]);
    assert_eq!((until["frames"].as_u64(), until["frame"].as_u64()), (Some(25), Some(25)), "{until}");
    let begun = std::time::Instant::now();
    let paced = run(&["--frames", "11", "--pace", "50"]);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!(paced["frames"], 11, "{paced}");
    let failure = output(&["run", "nbody", "--until", "1", "--frames", "3"]);
    assert_eq!(code(&failure), 2);
}
