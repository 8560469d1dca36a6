//! What a hostile kernel would do with the system: calls as they are, without a library in between.
#![expect(unsafe_code, reason = "hostile calls of the system")]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use libc::{c_long, syscall};

/// A call by which a job would reach out of its rows.
pub struct Deed {
    pub name: &'static str,
    call: fn() -> c_long,
    /// Whether it does no harm where it is let through.
    pub harmless: bool,
}

const fn deed(name: &'static str, call: fn() -> c_long) -> Deed {
    Deed { name, call, harmless: false }
}

const fn harmless(name: &'static str, call: fn() -> c_long) -> Deed {
    Deed { name, call, harmless: true }
}

/// Makes a call with up to six arguments, each a number or an address.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {{
        // SAFETY: arguments that the kernel checks: names that are constants, addresses of this frame or none, numbers.
        // What the call does to others where it is let through is what the test is about.
        unsafe { syscall(libc::$number $(, $argument)*) }
    }};
}

/// The main process of this worker.
fn main_process() -> i32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// The file that workers of this main process would make.
pub fn file_of(main: i32) -> PathBuf {
    std::env::temp_dir().join(format!("hypostyle-deed-{main}"))
}

/// The name of that file, in a worker.
fn own_name() -> CString {
    CString::new(file_of(main_process()).into_os_string().into_vec()).expect("a path has no zero in it")
}

/// Descriptors that a worker may have open.
const DESCRIPTORS: std::ops::Range<i32> = 0..64;

/// The first answer that is neither a refusal nor that there is no such descriptor; or else a refusal.
fn for_each_descriptor(call: impl Fn(i32) -> c_long) -> c_long {
    let answers = DESCRIPTORS.map(|descriptor| match call(descriptor) {
        -1 => Err(io::Error::last_os_error().raw_os_error()),
        answer => Ok(answer),
    });
    let other = answers.into_iter().find(|answer| !matches!(answer, Err(Some(libc::EPERM | libc::EBADF))));
    // the last word is a refusal's again
    match other {
        Some(Ok(answer)) => answer,
        Some(Err(_)) => 0,
        None => call(DESCRIPTORS.start),
    }
}

/// Where `process_vm_writev` would write to.
static TARGET: u64 = 7;

fn write_to(pid: i32) -> c_long {
    let bytes = [1u8; 8];
    let own = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let theirs = libc::iovec { iov_base: (&raw const TARGET).cast_mut().cast(), iov_len: bytes.len() };
    call!(SYS_process_vm_writev, pid, &raw const own, 1, &raw const theirs, 1, 0)
}

fn fork(flags: i32) -> c_long {
    let answer = call!(SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0);
    if answer == 0 {
        // SAFETY: the child, if there is one, ends.
        unsafe { libc::_exit(0) }
    }
    answer
}

fn run_true() -> c_long {
    let (arguments, none) = ([c"/bin/true".as_ptr(), std::ptr::null()], [std::ptr::null::<libc::c_char>()]);
    call!(SYS_execve, c"/bin/true".as_ptr(), arguments.as_ptr(), none.as_ptr())
}

fn executable_memory() -> c_long {
    let (access, flags) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    call!(SYS_mmap, 0, 4096, access, flags, -1, 0)
}

/// All of them.
pub const DEEDS: &[Deed] = &[
    harmless("open a file to read", || call!(SYS_openat, libc::AT_FDCWD, c"/etc/passwd".as_ptr(), libc::O_RDONLY)),
    deed("make a file", || {
        let flags = libc::O_WRONLY | libc::O_CREAT;
        call!(SYS_openat, libc::AT_FDCWD, own_name().as_ptr(), flags, 0o600)
    }),
    deed("open a file beside one that is open", || {
        for_each_descriptor(|descriptor| call!(SYS_openat, descriptor, c"control".as_ptr(), libc::O_RDWR))
    }),
    deed("remove a file", || call!(SYS_unlinkat, libc::AT_FDCWD, own_name().as_ptr(), 0)),
    deed("cut what is open", || for_each_descriptor(|descriptor| call!(SYS_ftruncate, descriptor, 0))),
    deed("write to what is open, apart from standard output and error", || {
        let write = |descriptor: i32| call!(SYS_write, descriptor, c"x".as_ptr(), 1);
        for_each_descriptor(|descriptor| write(if matches!(descriptor, 1 | 2) { -1 } else { descriptor }))
    }),
    deed("write in the middle of what is open", || {
        for_each_descriptor(|descriptor| call!(SYS_pwrite64, descriptor, c"x".as_ptr(), 1, 0))
    }),
    deed("read what is open", || {
        let mut byte = 0u8;
        let at = &raw mut byte;
        for_each_descriptor(|descriptor| call!(SYS_pread64, descriptor, at, 1, 0))
    }),
    deed("lock and unlock what is open", || {
        for_each_descriptor(|descriptor| call!(SYS_flock, descriptor, libc::LOCK_UN))
    }),
    harmless("make a socket of the internet", || call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0)),
    harmless("make a socket of this machine", || call!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0)),
    harmless("make a pair of sockets", || {
        let mut pair = [0i32; 2];
        call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr())
    }),
    harmless("make a file in memory", || call!(SYS_memfd_create, c"hostile".as_ptr(), 0)),
    harmless("make an I/O ring", || {
        let mut parameters = [0u8; 256];
        call!(SYS_io_uring_setup, 1, parameters.as_mut_ptr())
    }),
    deed("trace main", || call!(SYS_ptrace, libc::PTRACE_SEIZE, main_process(), 0, 0)),
    deed("write into main", || write_to(main_process())),
    deed("take a descriptor of main", || for_each_descriptor(|descriptor| call!(SYS_pidfd_getfd, descriptor, 0, 0))),
    harmless("signal main", || call!(SYS_kill, main_process(), 0)),
    harmless("signal everybody", || call!(SYS_kill, -1, 0)),
    deed("fork", || fork(0)),
    harmless("fork, by the newer call", || call!(SYS_clone3, 0, 0)),
    deed("fork and share memory", || fork(libc::CLONE_VM | libc::CLONE_VFORK)),
    deed("run a program", run_true),
    harmless("make memory executable", executable_memory),
    harmless("get a descriptor of page faults", || call!(SYS_userfaultfd, libc::O_CLOEXEC)),
    harmless("load a program into the kernel", || call!(SYS_bpf, 0, 0, 0)),
    harmless("count events of the processor", || call!(SYS_perf_event_open, 0, 0, -1, -1, 0)),
    harmless("change its limits", || call!(SYS_prlimit64, 0, libc::RLIMIT_CORE, 0, 0)),
    harmless("ask what others may be told", || call!(SYS_prctl, libc::PR_GET_DUMPABLE, 0, 0, 0, 0)),
    deed("leave its namespaces", || call!(SYS_unshare, libc::CLONE_FS)),
    harmless("look at a file", || {
        let mut found = [0u8; 256];
        let (at, name) = (found.as_mut_ptr(), c"/etc/passwd".as_ptr());
        call!(SYS_statx, libc::AT_FDCWD, name, 0, libc::STATX_BASIC_STATS, at)
    }),
];

impl Deed {
    /// Does it; what the system answers.
    pub fn attempt(&self) -> io::Result<()> {
        if (self.call)() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
