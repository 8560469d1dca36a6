//! Runs the `hypostyle` command for the tests that look at it from outside.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_hypostyle");

/// The program with these arguments. An interrupt that whoever runs the tests ignores (a shell's background job does)
/// is not ignored by the program: it would stay so.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(PROGRAM).args(args).stdin(Stdio::null());
    command
}

/// What it says.
pub fn output(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// The exit code; whatever happened, nothing panicked, and an error is one line.
pub fn code(output: &Output) -> i32 {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(stderr.lines().filter(|line| line.starts_with("error: ")).count() <= 1, "{stderr}");
    output.status.code().unwrap()
}

/// Stdout of a command that must succeed.
pub fn stdout(args: &[&str]) -> String {
    let output = output(args);
    assert_eq!(code(&output), 0, "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that must succeed says as JSON.
pub fn json(args: &[&str]) -> Value {
    let text = stdout(&[args, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}\n{text}"))
}

/// The exit code and stderr of a command that must fail.
pub fn failure(args: &[&str]) -> (i32, String) {
    let output = output(args);
    let code = code(&output);
    assert_ne!(code, 0, "{args:?} succeeded");
    (code, String::from_utf8(output.stderr).unwrap())
}

/// A directory for regions, and the path of one in it.
pub fn place() -> (tempfile::TempDir, PathBuf, String) {
    let directory = tempfile::tempdir().unwrap();
    let region = directory.path().join("region");
    let text = region.to_str().unwrap().to_owned();
    (directory, region, text)
}

/// The hash in a line `state HASH`.
pub fn state_of(text: &str) -> &str {
    let state = text.strip_prefix("state ").unwrap_or_else(|| panic!("`{text}`")).trim_end_matches('\n');
    assert!(state.len() == 16 && state.bytes().all(|byte| byte.is_ascii_hexdigit()), "`{text}`");
    state
}

/// A run in the background that is killed when the test ends.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts a long run in a region and waits until it has run some frames.
    pub fn start(region: &str, further: &[&str]) -> Running {
        let args =
            [&["run", "particles", "--entities", "2000", "--seconds", "600", "--region", region], further].concat();
        let mut running = Running(command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
        let begun = Instant::now();
        loop {
            let looked = output(&["hash", region, "--json"]);
            if code(&looked) == 0 {
                let data: Value = serde_json::from_slice(&looked.stdout).unwrap();
                if data["frame"].as_u64().unwrap() >= 3 {
                    return running;
                }
            }
            if let Some(status) = running.0.try_wait().unwrap() {
                let mut stderr = String::new();
                running.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                panic!("the run ended early ({status}): {stderr}");
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "no frame after two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }
}
