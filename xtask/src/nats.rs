//! Publishing on a broker, against a real nats-server.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::process::run;
use crate::report::Outcome;
use crate::tools::{cargo, debian};

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
    debian("nats-server", &["nats-server"], || find().is_some())?;
    find().ok_or_else(|| "nats-server went away".to_owned())
}
