//! What must not be possible, or must not do harm: stray stores, and opening regions of other processes.
#![expect(unsafe_code, reason = "these tests store where they must not, and open regions of their own children")]

use hypostyle::{Entity, Reader, RegionTarget, SnapshotError};

use crate::scenes::Fault;
use crate::support::in_worker;

/// Opens a region of these tests.
pub fn open(target: &RegionTarget) -> Result<Reader, SnapshotError> {
    // SAFETY: regions of these tests are written by this executable alone, through the library, or are damaged while
    // nobody pins them.
    unsafe { Reader::open(target) }
}

/// Stores a byte where shared memory must be read-only; if it is, the process dies by a signal.
pub fn scribble<T>(shared: &[T]) {
    let address = shared.as_ptr().cast_mut().cast::<u8>();
    // SAFETY: none is claimed for the store: that it cannot happen is what is tested, in a process that is to die of
    // it. Where it does happen, the test fails.
    unsafe { address.write_volatile(0xA5) };
}

/// Asks the system to make the pages of a slice writable; why it refused.
pub fn make_writable<T>(shared: &[T]) -> Result<(), std::io::Error> {
    let page = 4096;
    let start = shared.as_ptr().addr() / page * page;
    let address = shared.as_ptr().cast_mut().cast::<core::ffi::c_void>().with_addr(start);
    // SAFETY: changes the protection of a page that this process has mapped, to more than it had.
    let answer = unsafe { libc::mprotect(address, page, libc::PROT_READ | libc::PROT_WRITE) };
    if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Does what a kernel should not do. What ends a process is done in workers only.
pub fn commit(fault: Fault, undeclared: &[f32], handles: &[Entity]) -> Result<(), String> {
    match fault {
        Fault::Abort if in_worker() => std::process::abort(),
        Fault::KillItself if in_worker() => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        Fault::Hang if in_worker() => loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        },
        Fault::WriteUndeclared if in_worker() => scribble(undeclared),
        Fault::WriteHandles if in_worker() => scribble(handles),
        Fault::Panic => panic!("the kernel is asked to panic"),
        Fault::Error => return Err("the kernel is asked to fail".to_owned()),
        _ => {}
    }
    Ok(())
}

/// Becomes the user `nobody`, for good, in no group but its own, and stays one that may look at itself.
pub fn become_nobody() {
    const NOBODY: libc::uid_t = 65534;
    // SAFETY: changes who this process is, for all its threads, and nothing in its memory.
    let answers = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setresgid(NOBODY, NOBODY, NOBODY),
            libc::setresuid(NOBODY, NOBODY, NOBODY),
            // or else `/proc/self` would be closed to it, and refuse what the files' modes are to refuse
            libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0),
        ]
    };
    assert_eq!(answers, [0; 4], "{}", std::io::Error::last_os_error());
}

/// Writes a byte into another process; why the system refused.
pub fn write_into<T>(pid: u32, shared: &[T]) -> Result<(), std::io::Error> {
    let byte = [0xA5u8];
    let own = libc::iovec { iov_base: byte.as_ptr().cast_mut().cast(), iov_len: 1 };
    let theirs = libc::iovec { iov_base: shared.as_ptr().cast_mut().cast(), iov_len: 1 };
    // SAFETY: one byte that is there is read; what is written belongs to another process, which is what is tested.
    let answer = unsafe { libc::process_vm_writev(pid as i32, &raw const own, 1, &raw const theirs, 1, 0) };
    if answer == 1 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
