//! The limits of this process: which one refuses what was asked for, and what it allows.
//!
//! Invariant: nothing here changes a limit; what cannot be read is no limit. Numbers are a moment's: they explain a refusal
//! and choose defaults, and a caller that asks the system must still accept its answer.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// A limit that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Its name, and how a shell sets it.
    pub name: &'static str,
    /// What it counts.
    pub what: &'static str,
    /// How much was asked for.
    pub requested: u64,
    /// How much of it is left.
    pub available: u64,
    /// How much it allows in all.
    pub allowed: u64,
    /// What to do about it.
    pub hint: &'static str,
}

/// A line of `/proc/self/status` or `/proc/meminfo`, in bytes.
fn kib_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn own_memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib_line(&status, name).unwrap_or(0)
}

/// Bytes of address space that the process may still reserve, where it is limited.
pub(crate) fn address_space_left() -> Option<u64> {
    getrlimit(Resource::As).current.map(|limit| limit.saturating_sub(own_memory("VmSize")))
}

/// The limit that keeps the process from reserving `bytes` of address space, or from making them writable.
pub(crate) fn limit_of_memory(requested: u64) -> Option<Limit> {
    let of = |resource, name, what, in_use: &str, hint| {
        let allowed = getrlimit(resource).current?;
        let available = allowed.saturating_sub(own_memory(in_use));
        (available < requested).then_some(Limit { name, what, requested, available, allowed, hint })
    };
    let address = "raise it, or give the world a smaller `bytes_max` (`run --bytes-max`)";
    let data = "raise it, or make the world smaller";
    of(Resource::As, "RLIMIT_AS (`ulimit -v`)", "bytes of address space", "VmSize", address)
        .or_else(|| of(Resource::Data, "RLIMIT_DATA (`ulimit -d`)", "bytes of writable memory", "VmData", data))
        .or_else(|| limit_of_commitment(requested))
}

/// Where the machine promises no more memory than it has.
fn limit_of_commitment(requested: u64) -> Option<Limit> {
    let strict = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").ok()?.trim() == "2";
    let meminfo = strict.then(|| std::fs::read_to_string("/proc/meminfo").ok()).flatten()?;
    let (allowed, promised) = (kib_line(&meminfo, "CommitLimit")?, kib_line(&meminfo, "Committed_AS")?);
    let available = allowed.saturating_sub(promised);
    let (name, what) = ("vm.overcommit_memory=2", "bytes that the machine promises to processes");
    let hint = "end other processes, make the world smaller, or raise vm.overcommit_ratio";
    (available < requested).then_some(Limit { name, what, requested, available, allowed, hint })
}

/// The limit that a refusal of the system comes of, if it is one that counts files or their bytes. `end`: where the file
/// was to end.
pub(crate) fn limit_of_files(error: &io::Error, end: u64) -> Option<Limit> {
    if error.raw_os_error() == Some(libc::EMFILE) {
        let allowed = getrlimit(Resource::Nofile).current.unwrap_or(0);
        return Some(Limit {
            name: "RLIMIT_NOFILE (`ulimit -n`)",
            what: "open files",
            requested: 1,
            available: 0,
            allowed,
            hint: "raise it, or close files",
        });
    }
    let allowed = getrlimit(Resource::Fsize).current?;
    (error.kind() == io::ErrorKind::FileTooLarge && end > allowed).then_some(Limit {
        name: "RLIMIT_FSIZE (`ulimit -f`)",
        what: "bytes of one file",
        requested: end,
        available: allowed,
        allowed,
        hint: "raise it, or make the world smaller",
    })
}

/// What the memory limit of the process's control group has left, where that is less than `requested`.
pub(crate) fn limit_of_group(requested: u64) -> Option<Limit> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let (available, allowed) = group_memory(Path::new("/sys/fs/cgroup"), &groups)?;
    (available < requested).then_some(Limit {
        name: "the control group's memory limit",
        what: "bytes of memory",
        requested,
        available,
        allowed,
        hint: "raise it (in a container `--memory`), or make the world smaller",
    })
}

/// Bytes left and bytes allowed, of whichever group on the way up leaves least.
fn group_memory(root: &Path, groups: &str) -> Option<(u64, u64)> {
    let number = |path: &Path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let mut least: Option<(u64, u64)> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (base, [max, current, idle]) = match controllers {
            "" => (root.to_owned(), ["memory.max", "memory.current", "inactive_file "]),
            _ if controllers.split(',').any(|each| each == "memory") => {
                let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];
                (root.join("memory"), names)
            }
            _ => continue,
        };
        let own = base.join(path.trim_start_matches('/'));
        // in a container the group's own files may stand at the root
        for group in own.ancestors().take_while(|group| group.starts_with(&base)) {
            let (Some(allowed), Some(used)) = (number(&group.join(max)), number(&group.join(current))) else {
                continue;
            };
            let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
            // what files have cached, and nobody has used for a while, is given up first
            let cached = stat.lines().find_map(|line| line.strip_prefix(idle)?.trim().parse::<u64>().ok());
            let left = allowed.saturating_sub(used.saturating_sub(cached.unwrap_or(0)));
            if least.is_none_or(|(before, _)| left < before) {
                least = Some((left, allowed));
            }
        }
    }
    least
}

/// The name of a user, as the machine's list of users has it.
pub(crate) fn user_name(user: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(user)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_counts_and_idle_files_do_not() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            std::fs::write(path, text).expect("writes");
        };
        assert_eq!(group_memory(root.path(), "0::/"), None);
        put("a/memory.max", "1000\n");
        put("a/memory.current", "700\n");
        put("a/memory.stat", "anon 5\ninactive_file 100\n");
        put("a/b/memory.max", "max\n");
        put("a/b/memory.current", "600\n");
        assert_eq!(group_memory(root.path(), "0::/a/b\n"), Some((400, 1000)));
        put("a/b/memory.max", "650\n");
        assert_eq!(group_memory(root.path(), "0::/a/b\n"), Some((50, 650)));
        put("memory/v1/memory.limit_in_bytes", "99\n");
        put("memory/v1/memory.usage_in_bytes", "9\n");
        assert_eq!(group_memory(root.path(), "3:cpu,cpuacct:/v1\n4:memory:/v1\n"), Some((90, 99)));
    }

    #[test]
    fn users_have_names() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(user_name(4_000_000_001), None);
    }

    #[test]
    fn what_is_not_limited_is_not_in_the_way() {
        assert_eq!(limit_of_files(&io::ErrorKind::StorageFull.into(), 5), None);
        let full = io::Error::from_raw_os_error(libc::EMFILE);
        assert!(limit_of_files(&full, 0).is_some_and(|limit| limit.what == "open files" && limit.allowed > 0));
    }
}
