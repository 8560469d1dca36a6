//! The shell commands of the guide for analysts: each one runs, beside a live simulation.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod commands;

use std::path::Path;
use std::process::{Command, Stdio};

use commands::{PROGRAM, Running, code, stdout};

/// The lines of the blocks of shell commands that begin with the program.
fn lines(text: &str) -> Vec<&str> {
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.filter(|block| block.starts_with("hypostyle ")).flat_map(str::lines).collect()
}

#[test]
fn every_command_of_the_guide_runs() {
    let guide = include_str!("../../docs/analysis.md");
    let mut lines = lines(guide).into_iter();
    let first = lines.next().unwrap();
    assert!(first.starts_with("hypostyle run ") && first.contains("--region demo"), "{first}");
    let directory = tempfile::tempdir().unwrap();
    let region = format!("guide-{}", std::process::id());
    let running = Running::start(&region, &[]);
    let path = format!("{}:{}", Path::new(PROGRAM).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut count = 0;
    for line in lines {
        let script = line.replace(" demo ", &format!(" {region} "));
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(directory.path()).env("PATH", &path).stdin(Stdio::null());
        let output = shell.output().unwrap();
        let (code, stderr) = (code(&output), String::from_utf8_lossy(&output.stderr));
        let heavy = line.starts_with("hypostyle query ") && !cfg!(feature = "query")
            || line.starts_with("hypostyle export ") && !cfg!(feature = "export");
        if heavy {
            assert!(code == 2 && stderr.contains("was built without"), "{line}: {stderr}");
        } else {
            assert_eq!(code, 0, "{line}: {stderr}");
            assert!(!output.stdout.is_empty(), "{line} says something");
        }
        count += 1;
    }
    assert!(count >= 17, "the guide has {count} commands");
    drop(running);
    stdout(&["clean", &region]);
}
