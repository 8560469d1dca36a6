//! What a worker process in a sandbox may still ask of the system: Landlock's rules on files, seccomp's list of calls.
//!
//! Two steps. [`write_only_to`], the first that such a process does: from then on whatever it is told leads it to no
//! other file that it could write. [`shut`], before its first job: it may use memory and what it has open, sleep, wake
//! and end, and nothing else. A call that is not on the list answers `EPERM`.
//!
//! Invariants: the list names calls and never paths, so no job opens a file, whatever its name; a file that is open can
//! be mapped, but neither read, written, cut, locked nor sent on (standard output and error can be written); memory
//! never becomes executable; signals reach this process alone. Every call that the worker's loop makes is on the list:
//! what is added there is added here.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// The rights that are known here. A kernel that knows fewer denies those; seccomp denies the calls behind all of them.
const KNOWN: ABI = ABI::V10;

/// Calls that are free, whatever their arguments.
const FREE: &[libc::c_long] = &[
    // memory; what is mapped executable is looked at apart
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // sleeping, waking, time
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    // who and where it is: libraries count on these to succeed
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getcpu,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    // what it has open: its size, whether main's handle says that main has ended
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_ppoll,
    // its own signals, threads and end
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// What this system lacks of a sandbox, each part with the reason; empty: nothing. It is tried, in a thread of its own.
pub(crate) fn lacks() -> Vec<String> {
    let tried = std::thread::Builder::new().spawn(|| shut_with(seccompiler::apply_filter)).map(|thread| thread.join());
    match tried {
        Ok(Ok(lacks)) => lacks,
        _ => vec!["a thread to try it in".to_owned()],
    }
}

/// Lets this thread, and those that it starts from now on, open these files and what lies below these directories to
/// write, all files to read, and no others. What is missing for that; empty: it holds.
pub(crate) fn write_only_to(files: &[PathBuf]) -> Vec<String> {
    let rules = || -> Result<RestrictionStatus, RulesetError> {
        let all = AccessFs::from_all(KNOWN);
        let mut rules = Ruleset::default().handle_access(all)?.create()?;
        let opened = |path: &PathBuf| PathFd::new(path).ok();
        let root = opened(&PathBuf::from("/")).map(|root| PathBeneath::new(root, AccessFs::from_read(KNOWN)));
        rules = rules.add_rules(root.into_iter().map(Ok::<_, RulesetError>))?;
        for file in files.iter().filter_map(opened) {
            // the right to a directory's entries is none to a file
            rules = rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile | AccessFs::WriteFile))?;
        }
        rules.restrict_self()
    };
    landlocked(rules()).err().into_iter().collect()
}

/// Leaves this process what it needs to run jobs on what it has mapped, for good. What is missing for that; empty: it
/// holds for all threads.
pub(crate) fn shut() -> Vec<String> {
    shut_with(seccompiler::apply_filter_all_threads)
}

fn shut_with(apply: impl FnOnce(&[seccompiler::sock_filter]) -> seccompiler::Result<()>) -> Vec<String> {
    let rules = || -> Result<RestrictionStatus, RulesetError> {
        let rules = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
        let rules = rules.handle_access(AccessNet::from_all(KNOWN))?.scope(Scope::from_all(KNOWN))?;
        rules.create()?.restrict_self()
    };
    let landlock = landlocked(rules());
    // last, as it forbids the calls of Landlock, too
    let seccomp = filter().and_then(|filter| apply(&filter)).map_err(|error| format!("seccomp ({error})"));
    [landlock, seccomp].into_iter().filter_map(Result::err).collect()
}

fn landlocked(restricted: Result<RestrictionStatus, RulesetError>) -> Result<(), String> {
    match restricted {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            Err("Landlock (the kernel was built or started without it)".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("Landlock ({error})")),
    }
}

/// The calls that are left, as a program for the kernel.
fn filter() -> seccompiler::Result<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let argument = |index, op, value| SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value);
    let when = |condition| SeccompRule::new(vec![condition]);
    let itself = when(argument(0, SeccompCmpOp::Eq, u64::from(std::process::id()))?)?;
    let told = [1, 2].map(|descriptor| when(argument(0, SeccompCmpOp::Eq, descriptor)?));
    let told = told.into_iter().collect::<Result<Vec<_>, _>>()?;
    let data = when(argument(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0)?)?;
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> = FREE.iter().map(|&call| (call, Vec::new())).collect();
    calls.extend([
        (libc::SYS_kill, vec![itself.clone()]),
        (libc::SYS_tgkill, vec![itself]),
        (libc::SYS_write, told.clone()),
        (libc::SYS_writev, told),
        (libc::SYS_mmap, vec![data.clone()]),
        (libc::SYS_mprotect, vec![data]),
    ]);
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    Ok(SeccompFilter::new(calls, refused, SeccompAction::Allow, arch)?.try_into()?)
}
