//! Publishing on a broker, against a real nats-server.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::run;
use crate::report::Outcome;
use crate::tools::cargo;

/// How long a package may take to come.
const GET: Duration = Duration::from_mins(3);
/// Where a nats-server may be.
const SERVERS: &[&str] = &["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"];

/// Builds with the feature, and runs its tests.
pub(crate) fn test(left: Duration) -> Outcome {
    let begun = Instant::now();
    let server = match server() {
        Ok(path) => path,
        Err(why) => return Outcome::Skipped(why),
    };
    let left = |begun: Instant| left.saturating_sub(begun.elapsed());
    let lint = "clippy --locked --package hypostyle-gateway --package hypostyle-cli --lib --bins --test nats \
                --features hypostyle-cli/nats -- -D warnings";
    if let Some(error) = run(&mut cargo(lint), left(begun)).error() {
        return Outcome::Failed(format!("clippy: {error}"));
    }
    let mut tests = cargo("test --locked --package hypostyle-cli --test nats --profile test --features nats");
    tests.env("HYPOSTYLE_NATS_SERVER", server).env("HYPOSTYLE_NATS_REQUIRED", "1");
    run(&mut tests, left(begun)).tests_outcome()
}

/// The path of a nats-server, installed where it is not.
fn server() -> Result<PathBuf, String> {
    let named = std::env::var_os("HYPOSTYLE_NATS_SERVER").map(PathBuf::from);
    let find = || {
        let known = SERVERS.iter().map(PathBuf::from);
        named.clone().into_iter().chain(known).find(|path| path.is_file())
    };
    if let Some(path) = find() {
        return Ok(path);
    }
    let mut get = Command::new("apt-get");
    get.args(["install", "--yes", "--no-install-recommends", "nats-server"]).env("DEBIAN_FRONTEND", "noninteractive");
    let finished = run(&mut get, GET);
    find().ok_or_else(|| {
        let why = finished.error().unwrap_or_else(|| "it is still missing".to_owned());
        format!("there is no nats-server, and apt-get did not help: {why}")
    })
}
