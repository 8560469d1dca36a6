//! The `hypostyle` command: runs scenes and looks at the regions of other processes.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hypostyle_cli::main(hypostyle_scenes::all())
}
