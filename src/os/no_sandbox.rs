//! No sandbox: the feature `sandbox` is off, or the platform is not Linux on 64 bits.
#![forbid(unsafe_code)]

use std::path::PathBuf;

const WHY: &str = if cfg!(all(target_os = "linux", target_pointer_width = "64")) {
    "the feature `sandbox`, without which this program was built"
} else {
    "seccomp and Landlock, which this platform has not"
};

/// What is missing for a sandbox.
pub(crate) fn lacks() -> Vec<String> {
    vec![WHY.to_owned()]
}

/// As [`lacks`]: nothing is forbidden.
pub(crate) fn write_only_to(_files: &[PathBuf]) -> Vec<String> {
    lacks()
}

/// As [`lacks`]: nothing is forbidden.
pub(crate) fn shut() -> Vec<String> {
    lacks()
}
