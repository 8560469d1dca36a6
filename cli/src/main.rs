//! The `hypostyle` command: runs scenes and looks at the regions of other processes.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "fault-injection")]
    die_if_told();
    hypostyle_cli::main(hypostyle_scenes::all())
}

/// A test wants this process to be killed somewhere.
#[cfg(feature = "fault-injection")]
fn die_if_told() {
    if let Ok(fault) = std::env::var("HYPOSTYLE_KILL") {
        assert!(hypostyle::stage::kill_at(&fault), "`{fault}` is no fault");
    }
}
