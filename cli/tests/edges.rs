//! The command where its surroundings are odd: limits, signals that are ignored, terminals that go, regions that were kept,
//! other users.
#![allow(clippy::unwrap_used, reason = "all of it is test code")]

mod commands;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use commands::{PROGRAM, Running, code, failure, json, output, place, state_of, stdout};

/// The command under limits that a shell sets.
fn limited(limits: &str, args: &str) -> Output {
    let script = format!("{limits}; exec {PROGRAM} {args}");
    Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn left_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_private_world_runs_where_addresses_and_data_are_limited() {
    for limits in ["ulimit -v 4194304", "ulimit -d 524288", "ulimit -v 2097152"] {
        let ran = limited(limits, "run particles --entities 2000 --frames 3 --workers local");
        assert_eq!(code(&ran), 0, "{limits}: {}", stderr(&ran));
    }
}

#[test]
fn the_limit_that_is_in_the_way_is_named() {
    let run = "run particles --entities 2000 --frames 3 --workers local";
    let refused = limited("ulimit -v 4194304", &format!("{run} --bytes-max '8 GiB'"));
    assert_ne!(code(&refused), 0);
    assert!(stderr(&refused).contains("RLIMIT_AS") && stderr(&refused).contains("--bytes-max"), "{}", stderr(&refused));
    let refused = limited("ulimit -d 65536", "run particles --entities 2000000 --frames 3 --workers local");
    assert_ne!(code(&refused), 0);
    assert!(stderr(&refused).contains("RLIMIT_DATA"), "{}", stderr(&refused));
    let (directory, _, region) = place();
    let refused = limited("ulimit -f 2048", &format!("run particles --entities 200000 --frames 3 --region {region}"));
    assert_ne!(code(&refused), 0);
    assert!(stderr(&refused).contains("RLIMIT_FSIZE"), "{}", stderr(&refused));
    assert_eq!(left_in(directory.path()), Vec::<String>::new());
}

#[test]
fn a_create_that_runs_out_of_files_leaves_nothing() {
    let mut refused = 0;
    for files in 4..30 {
        let (directory, _, region) = place();
        let limits = format!("ulimit -n {files}");
        let ran =
            limited(&limits, &format!("run particles --entities 100 --frames 1 --workers local --region {region}"));
        refused += u32::from(code(&ran) != 0);
        assert_eq!(left_in(directory.path()), Vec::<String>::new(), "{files} files: {}", stderr(&ran));
        if code(&ran) == 0 {
            break;
        }
    }
    assert!(refused > 2, "only {refused} limits were in the way");
}

#[test]
fn a_recording_past_the_limit_of_files_is_an_error_and_no_death() {
    let files = tempfile::tempdir().unwrap();
    let journal = files.path().join("journal");
    let run = "run particles --entities 20000 --frames 60 --workers local --record";
    let ran = limited("ulimit -f 1024", &format!("{run} {}", journal.display()));
    // a signal would leave no code
    assert!(ran.status.code().is_some_and(|code| code != 0), "{}: {}", ran.status, stderr(&ran));
    assert!(stderr(&ran).starts_with("error: ") && stderr(&ran).contains("RLIMIT_FSIZE"), "{}", stderr(&ran));
}

#[test]
fn what_was_kept_stays_kept_and_knows_what_it_was_made_with() {
    let (_directory, path, region) = place();
    let run = ["run", "particles", "--entities", "500", "--seed", "7", "--workers", "local", "--print-hash"];
    let whole = stdout(&[&run[..], &["--frames", "5"]].concat());
    stdout(&[&run[..], &["--frames", "3", "--region", &region, "--keep"]].concat());
    let resume = ["run", "particles", "--resume", "--region", &region, "--workers", "local", "--print-hash"];
    for (further, named) in [(["--seed", "8"], "--seed 7"), (["--entities", "501"], "--entities 500")] {
        let (code, message) = failure(&[&resume[..], &further, &["--frames", "1"]].concat());
        assert!(code == 4 && message.contains(named), "{code} {message}");
    }
    let (code, message) = failure(&["run", "nbody", "--resume", "--region", &region, "--frames", "1"]);
    assert!(code == 4 && message.contains("scene particles"), "{code} {message}");
    let gone_on = stdout(&[&resume[..], &["--frames", "2"]].concat());
    assert_eq!(state_of(&gone_on), state_of(&whole));
    assert!(path.exists(), "it was kept, and is kept");
    let listed = json(&["list", path.parent().unwrap().to_str().unwrap()]);
    assert_eq!(listed["regions"][0]["kept"], true);
    assert_eq!(listed["regions"][0]["notes"]["seed"], "7");
    stdout(&[&resume[..], &["--frames", "1", "--seed", "7", "--entities", "500"]].concat());
    assert!(path.exists());
}

/// Names that are not there, and those that were meant.
#[test]
fn a_name_that_is_nearly_one_is_told() {
    let name = format!("edges-meant-{}", std::process::id());
    let run = ["run", "particles", "--entities", "100", "--frames", "1", "--workers", "local"];
    stdout(&[&run[..], &["--region", &name, "--keep"]].concat());
    let nearly = name.replace("meant", "ment");
    for (words, meant) in [
        (vec!["inspect", &nearly], name.as_str()),
        (vec!["run", "partciles"], "particles"),
        (vec!["plan", "sphere"], "spheres"),
        (vec!["stats", &name, "positon.x"], "position.x"),
        (vec!["watch", &name, "position.xx"], "position.x"),
    ] {
        let (_, message) = failure(&words);
        assert!(message.contains(&format!("did you mean `{meant}`?")), "{words:?}: {message}");
    }
    stdout(&["clean", &name]);
}

#[test]
fn a_run_that_is_to_be_kept_and_never_begins_leaves_nothing() {
    let (directory, _, region) = place();
    let run = ["run", "particles", "--entities", "400000", "--frames", "1", "--keep", "--region", &region];
    failure(&[&run[..], &["--bytes-max", "1 MiB"]].concat());
    assert_eq!(left_in(directory.path()), Vec::<String>::new());
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let script = format!("trap '' HUP; exec {PROGRAM} run particles --entities 2000 --seconds 600 --workers local");
    let child = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let mut running = Running(child);
    let pid = running.0.id();
    // once SIGTERM is caught, the others are what they will be
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:").map(str::to_owned)).unwrap_or_default();
        u64::from_str_radix(line.trim(), 16).unwrap_or(0)
    };
    let begun = Instant::now();
    while caught() >> 14 & 1 == 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "it never begins");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(caught() & 1, 0, "SIGHUP is caught, and was to be ignored");
    running.signal(rustix::process::Signal::HUP);
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.0.try_wait().unwrap().is_none(), "it ended by a signal that it was to ignore");
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
}

/// A signal while a large scene is being made is not kept for later: the process ends, and takes along what it had begun.
#[test]
fn a_signal_ends_a_scene_that_is_being_made() {
    let (directory, path, region) = place();
    let run =
        ["run", "particles", "--entities", "3000000", "--seconds", "600", "--workers", "local", "--region", &region];
    let mut running = Running(commands::command(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let begun = Instant::now();
    while left_in(directory.path()).is_empty() {
        assert!(
            running.0.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(120),
            "it never begins"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    let published = path.exists() && output(&["hash", &region]).status.success();
    assert!(!published, "the scene was made before anybody could say stop");
    running.signal(rustix::process::Signal::INT);
    let asked = Instant::now();
    while running.0.try_wait().unwrap().is_none() {
        assert!(asked.elapsed() < Duration::from_secs(60), "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
    assert_eq!(left_in(directory.path()), Vec::<String>::new());
}

#[test]
fn top_ends_with_its_terminal() {
    let (directory, _, region) = place();
    let _run = Running::start(&region, &["--workers", "local"]);
    let noted = directory.path().join("code");
    // the shell survives the hang-up, to tell how the program ended
    let shown = format!("trap : HUP; {PROGRAM} top {region}; echo $? > {}", noted.display());
    let script = Command::new("script")
        .args(["-qec", &shown, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // the terminal comes from a tool that not every machine has
    let Ok(script) = script else { return };
    let mut script = Running(script);
    let begun = Instant::now();
    let mut top = None;
    while top.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no picture");
        std::thread::sleep(Duration::from_millis(20));
        top = descendants(script.0.id()).into_iter().find(|pid| is_top(*pid));
    }
    let top = top.unwrap();
    // it has drawn by then, mostly; it must end either way
    std::thread::sleep(Duration::from_millis(700));
    script.0.kill().unwrap();
    script.0.wait().unwrap();
    let begun = Instant::now();
    while is_top(top) {
        assert!(begun.elapsed() < Duration::from_secs(120), "it goes on without a terminal");
        std::thread::sleep(Duration::from_millis(20));
    }
    let code = || std::fs::read_to_string(&noted).unwrap_or_default();
    while code().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(120), "the shell never ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(code().trim(), "130", "it is interrupted, and does not break down");
}

/// Whether a process is the program, looking at a region, and lives.
fn is_top(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    words.next() == Some(PROGRAM.as_bytes()) && words.next() == Some(b"top")
}

fn descendants(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<u32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let further = children.iter().flat_map(|pid| descendants(*pid)).collect::<Vec<_>>();
    [children, further].concat()
}

/// As root alone: the program as the user `nobody`.
fn as_nobody(args: &[&str]) -> Option<Output> {
    const NOBODY: u32 = 65534;
    let mut command = Command::new(PROGRAM);
    command.args(args).uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::null());
    // who is not root, or keeps the program where others cannot reach it, cannot try
    command.output().ok()
}

#[test]
fn another_users_region_is_told_from_a_dead_one() {
    let name = format!("edges-{}", std::process::id());
    let run = Running::start(&name, &["--workers", "local"]);
    // it is killed, and its region has a place of its own: for all users
    let remove = |run: Running| {
        drop(run);
        assert!(output(&["clean", &name]).status.success(), "nothing is left");
    };
    let Some(listed) = as_nobody(&["list", "--json"]) else { return remove(run) };
    assert_eq!(code(&listed), 0, "{}", stderr(&listed));
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let found = listed["regions"].as_array().unwrap().iter().find(|region| region["name"] == name.as_str()).unwrap();
    assert_eq!((&found["owner_name"], &found["state"]), (&"root".into(), &"another_users".into()), "{found}");
    assert_eq!(found["stale"], false);
    let other = ["run", "particles", "--entities", "10", "--frames", "1", "--workers", "local", "--region", &name];
    for args in [&other[..], &["hash", &name], &["clean", &name]] {
        let refused = as_nobody(args).unwrap();
        assert_ne!(code(&refused), 0);
        let said = stderr(&refused);
        assert!(said.contains("root (0)") && !said.contains("writer is gone"), "{args:?}: {said}");
    }
    assert!(output(&["hash", &name]).status.success(), "it lives");
    remove(run);
}
