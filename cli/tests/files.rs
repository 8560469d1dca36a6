//! Files as a user has them: of other kinds, of other recordings, missing, left behind.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod commands;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use commands::{code, command, failure, json, output, place, stdout};

/// How long a command may take before it counts as one that hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// What a command says that must not wait for anybody.
fn ends(args: &[&str]) -> Output {
    let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > HANGS_AFTER {
            child.kill().unwrap();
            panic!("{args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// Every command that reads files, on everything that is none.
#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let fifo = |path: &str| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, directory.path().join(name)).unwrap();
    let mut odd = Vec::new();
    for end in ["checkpoint", "toml", "json"] {
        fifo(&path(&format!("fifo.{end}")));
        link(&format!("fifo.{end}"), &format!("to-fifo.{end}"));
        link(&format!("nowhere.{end}"), &format!("dangling.{end}"));
        link(&format!("loop.{end}"), &format!("loop.{end}"));
        link("/dev/zero", &format!("zero.{end}"));
        std::fs::create_dir(path(&format!("directory.{end}"))).unwrap();
        std::mem::forget(std::os::unix::net::UnixListener::bind(path(&format!("socket.{end}"))).unwrap());
        let kinds = ["fifo", "to-fifo", "dangling", "loop", "zero", "directory", "socket"];
        odd.extend(kinds.iter().map(|kind| path(&format!("{kind}.{end}"))));
    }
    odd.push("/dev/zero".to_owned());
    // inside what is a directory as it should be
    let journal = path("journal");
    std::fs::create_dir(&journal).unwrap();
    fifo(&format!("{journal}/000000000000001.journal"));
    let region = path("region");
    std::fs::create_dir(&region).unwrap();
    for name in ["descriptor", "control", "data", "leases", "lock"] {
        fifo(&format!("{region}/{name}"));
    }
    odd.extend([journal, region]);
    let out = path("out");
    let file = format!("{out}.checkpoint");
    for odd in &odd {
        let frame = format!("{odd}@3");
        let commands: Vec<Vec<&str>> = vec![
            vec!["inspect", odd],
            vec!["hash", odd],
            vec!["hash", &frame],
            vec!["stats", odd],
            vec!["verify", odd],
            vec!["checkpoint", odd, "-o", &file],
            vec!["replay", odd],
            vec!["diff", odd, odd],
            vec!["trace", odd],
            vec!["layout", "check", odd],
            vec!["run", "nbody", "--frames", "1", "--from", odd],
            vec!["export", odd, "-o", "x.csv"],
            vec!["gateway", "no-such-region", "--token-file", odd],
            vec!["watch", odd],
            vec!["clean", odd],
        ];
        for command in commands {
            let output = ends(&command);
            assert_ne!(code(&output), 0, "{command:?} succeeded");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(stderr.lines().any(|line| line.starts_with("error: ")), "{command:?}: {stderr}");
        }
    }
    assert!(!Path::new(&file).exists());
    let (_, message) = failure(&["verify", &path("fifo.checkpoint")]);
    assert!(message.contains("it is a FIFO, not a regular file"), "{message}");
}

/// A segment that is missing is told, and no frame is given for another.
#[test]
fn a_missing_segment_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().to_str().unwrap();
    stdout(&["run", "nbody", "--frames", "30", "--record", journal, "--checkpoint-every", "5"]);
    let whole = json(&["verify", journal])["journals"][0].clone();
    assert_eq!((&whole["whole"], &whole["finished"]), (&true.into(), &true.into()), "{whole}");
    let mut segments: Vec<_> = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|end| end == "journal"));
    segments.sort();
    std::fs::remove_file(&segments[3]).unwrap();
    let found = output(&["verify", journal]);
    assert_eq!(code(&found), 7);
    assert!(String::from_utf8_lossy(&found.stdout).contains("is missing"), "{found:?}");
    let (code, message) = failure(&["replay", journal, "--to", "18"]);
    assert!(code == 7 && message.contains("frame 18 is missing"), "{message}");
    assert_eq!(json(&["replay", journal, "--to", "28"])["frame"], 28);
    let (code, _) = failure(&["replay", journal, "--hash-every-frame"]);
    assert_eq!(code, 7);
}

/// What is left behind is listed, and removed where that is said; a region that is damaged verifies as such.
#[test]
fn residue_is_listed_first() {
    let (directory, region, text) = place();
    let parent = directory.path().to_str().unwrap();
    let left = directory.path().join(".hypostyle-tmp-1-0");
    std::fs::write(&left, "half").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    std::fs::File::options().write(true).open(&left).unwrap().set_modified(long_ago).unwrap();
    let listed = stdout(&["clean", "--in", parent]);
    assert!(listed.contains("half-written file") && listed.contains("nothing was removed"), "{listed}");
    assert!(stdout(&["clean", "--in", parent, "--older-than", "3h"]).contains("no stale regions"));
    stdout(&["clean", "--all-stale", "--dry-run", "--in", parent]);
    assert!(left.exists());
    let removed = json(&["clean", "--all-stale", "--older-than", "1h", "--in", parent]);
    assert_eq!(removed["removed"][0]["kind"], "half-written file", "{removed}");
    assert!(!left.exists());
    // columns have no checksum: the check is asked for
    stdout(&["run", "nbody", "--entities", "50", "--frames", "2", "--region", &text, "--keep"]);
    assert!(stdout(&["verify", &text]).contains("whole, frame 2, 50 entities"));
    let control = std::fs::read(region.join("control")).unwrap();
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    let at = word(&control, 8192 + 32 * (word(&control, 64) & 0xffff) + 8);
    let mut data = std::fs::read(region.join("data")).unwrap();
    let tables = word(&data, at + 12) & 0xffff_ffff;
    // the first column of the first table: where the entities are
    let locations = word(&data, at + 64 + 24 * tables + 8);
    data[locations] ^= 1;
    std::fs::write(region.join("data"), data).unwrap();
    let (code, message) = failure(&["verify", &text]);
    assert!(code == 7 && message.contains("is not its own"), "{message}");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&region, &link).unwrap();
    let (code, message) = failure(&["clean", link.to_str().unwrap()]);
    assert!(code == 7 && message.contains("it is a link"), "{message}");
    assert!(stdout(&["clean", &text, "--dry-run"]).contains("would be removed") && region.exists());
    stdout(&["clean", &text]);
    assert!(!region.exists());
}
