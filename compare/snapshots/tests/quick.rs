//! The short comparison, from end to end: every engine's reader sees the same state, and nothing stays behind.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn all_engines_show_the_same_states_and_leave_nothing() {
    let child = Command::new(env!("CARGO_BIN_EXE_compare-snapshots"))
        .args(["--quick", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let name = format!("compare-snapshots-{}-", child.id());
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let mut checksums: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let word = |key: &str| line[key].as_str().expect("a text").to_owned();
        assert_eq!((word("group").as_str(), line["entities"].as_u64()), ("snapshots", Some(20_000)));
        let (low, median, high) = (line["low"].as_f64(), line["median"].as_f64(), line["high"].as_f64());
        assert!(low.is_some() && low <= median && median <= high, "{line}");
        let case = word("case").split(" | ").nth(1).expect("a case").to_owned();
        checksums.entry(case).or_default().push((word("engine"), word("checksum")));
    }
    assert_eq!(checksums.len(), 5);
    for (case, seen) in checksums {
        let mut engines: Vec<&str> = seen.iter().map(|(engine, _)| engine.as_str()).collect();
        engines.sort_unstable();
        engines.dedup();
        assert_eq!(engines.len(), 4, "{case}: {engines:?}");
        assert!(seen.iter().all(|(_, checksum)| *checksum == seen[0].1), "{case}");
    }
    let left = std::fs::read_dir("/dev/shm").expect("shared memory is a directory").flatten();
    let left: Vec<_> = left.filter(|entry| entry.file_name().to_string_lossy().contains(&name)).collect();
    assert!(left.is_empty(), "{left:?}");
}
