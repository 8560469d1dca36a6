//! Who holds a lock of an open file: asked of the kernel, process by process.
//!
//! A lock of an open file description tells nobody its holder, but `/proc` shows with every descriptor the locks that go
//! with it. Invariants: a process is only ever signalled through a handle that was opened before it was seen to hold the
//! lock, so never one that merely has its number, in time or in another process namespace (`/proc` may be that of another
//! one than this process's own); processes of other users and of namespaces that `/proc` does not show are not seen.
#![forbid(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The processes that have an open file with a certain lock.
pub(crate) struct Holders {
    found: Vec<(u32, OwnedFd)>,
}

impl Holders {
    /// Looks for those that hold the lock on this byte of the file, through whatever open file.
    pub(crate) fn of(file: &File, byte: u64) -> Holders {
        let mut found = Vec::new();
        let (Ok(metadata), Ok(processes)) = (file.metadata(), std::fs::read_dir("/proc")) else {
            return Holders { found };
        };
        for process in processes.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let Some(handle) = handle_of(pid) else { continue };
            if holds(&process.path(), metadata.ino(), byte) {
                found.push((pid.unsigned_abs(), handle));
            }
        }
        Holders { found }
    }

    /// Their process ids.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.found.iter().map(|(pid, _)| *pid).collect()
    }

    /// Whether this process is one of them.
    pub(crate) fn is_this_process(&self) -> bool {
        own_number().is_some_and(|own| self.found.iter().any(|(pid, _)| *pid == own))
    }

    /// Kills those that were started with this variable in their environment.
    pub(crate) fn kill_workers(&self, variable: &str) {
        for (pid, handle) in &self.found {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let is_worker = environment
                .split(|byte| *byte == 0)
                .any(|entry| entry.strip_prefix(variable.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")));
            if is_worker && Some(*pid) != own_number() {
                // the handle is that of a process that held the lock; the process that has its number by now is not hit
                let _ = pidfd_send_signal(handle, Signal::KILL);
            }
        }
    }
}

/// The number that `/proc` has for this process.
fn own_number() -> Option<u32> {
    std::fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}

/// A handle of the process that `/proc` has under this number. Where that is another namespace's, the process of this
/// number here is another one, or none.
fn handle_of(pid: i32) -> Option<OwnedFd> {
    let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd())).ok()?;
    let shown = about.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    (shown.trim().parse() == Ok(pid)).then_some(handle)
}

/// Whether one of the process's descriptors shows such a lock.
fn holds(process: &Path, inode: u64, byte: u64) -> bool {
    let Ok(descriptors) = std::fs::read_dir(process.join("fdinfo")) else { return false };
    let of_inode = format!(":{inode}");
    descriptors.flatten().any(|entry| {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("lock:")).any(|lock| {
            // 1: OFDLCK ADVISORY WRITE -1 00:1b:1234 0 0
            let words: Vec<&str> = lock.split_whitespace().collect();
            let [.., kind, _, _, _, file, from, to] = words[..] else { return false };
            let first = from.parse::<u64>().ok();
            let last = if to == "EOF" { Some(u64::MAX) } else { to.parse().ok() };
            kind == "OFDLCK"
                && file.ends_with(&of_inode)
                && first.zip(last).is_some_and(|(first, last)| (first..=last).contains(&byte))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os;

    #[test]
    fn a_lock_is_found_with_its_holder() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let handle = os::open_directory(directory.path(), true).expect("opens");
        let file = os::create_file(&handle, "lock").expect("creates");
        assert!(!Holders::of(&file, 3).is_this_process());
        assert!(os::try_lock_byte(&file, 3).expect("locks"));
        assert!(Holders::of(&file, 3).is_this_process());
        assert!(!Holders::of(&file, 2).is_this_process(), "another byte");
        Holders::of(&file, 3).kill_workers("PATH");
        os::unlock_byte(&file, 3).expect("unlocks");
        assert!(Holders::of(&file, 3).pids().is_empty());
    }
}
