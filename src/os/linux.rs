//! Linux: `rustix` where it has the call, `libc` for open-file-description locks, `/proc` for the rest.
//!
//! Invariants: every file is opened close-on-exec; no function blocks on a lock or on a FIFO; an interrupted call is
//! taken up again.
#![expect(unsafe_code, reason = "fcntl(F_OFD_*) has no safe wrapper")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::thread::futex;

/// Bytes that one fallocate call asks for: small enough to end between two timer signals.
const ALLOCATE_STEP_BYTES: u64 = 16 << 20;

/// The directory that holds named regions.
pub(crate) fn named_root() -> Option<&'static Path> {
    Some(Path::new("/dev/shm"))
}

/// The machine's page size.
pub(crate) fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// The effective user.
pub(crate) fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Lets this thread stand back: where cores are scarce, others go first. What the system refuses stays as it is.
#[cfg(feature = "checkpoint")]
pub(crate) fn stand_back() {
    /// A tenth of a core's time while others want all of it.
    const NICE: i32 = 10;
    // without a process the calls are about the calling thread, on Linux alone
    if let Ok(now) = rustix::process::getpriority_process(None)
        && now < NICE
    {
        let _ = rustix::process::setpriority_process(None, NICE);
    }
}

/// An id of this run of the operating system; zero when it cannot be told.
pub(crate) fn boot_id() -> [u8; 16] {
    // a process does not outlive a boot
    static BOOT_ID: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes()
    })
}

/// Sixteen random bytes. Needs no descriptor: what has none left must still be able to remove what it made.
pub(crate) fn random_id() -> io::Result<[u8; 16]> {
    let mut id = [0u8; 16];
    loop {
        // SAFETY: writes at most as many bytes as the array has.
        match unsafe { libc::getrandom(id.as_mut_ptr().cast(), id.len(), 0) } {
            16 => return Ok(id),
            // less than asked for comes of a signal alone
            0.. => {}
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// How many forks lie between this process and the one that first asked.
static FORKS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How many forks were counted so far; 0 for ever where they cannot be.
#[inline]
pub(super) fn forks_counted() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// A number that differs between a process and those that are forked off it: the forks that were counted or, where they
/// cannot be, the process id, which is never 0. Costs no system call.
pub(crate) fn process_mark() -> u32 {
    static COUNTED: OnceLock<bool> = OnceLock::new();
    // SAFETY: the handler adds to an atomic and does nothing else, which may be done in a child at any moment.
    let counted = *COUNTED.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } == 0);
    // the number of the process serves, too, if more slowly
    if counted { FORKS.load(Ordering::Relaxed) } else { std::process::id() }
}

/// Bytes that the machine could still hand out without swapping, by its own estimate.
pub(crate) fn memory_available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Bytes free in the file system that holds `file`.
pub(crate) fn space_available_bytes(file: &File) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(file).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Bytes of an open file, by the one call for it that a sandbox allows.
pub(crate) fn file_bytes(file: &File) -> io::Result<u64> {
    Ok(rustix::fs::fstat(file)?.st_size as u64)
}

/// Nanoseconds of the clock that all processes of this machine share and that never runs backwards.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// Opens a directory. `follow`: whether a symbolic link at the end of the path is followed.
pub(crate) fn open_directory(path: &Path, follow: bool) -> io::Result<File> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Makes a directory with mode 0700, whatever the umask.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    rustix::fs::mkdir(path, Mode::RWXU)?;
    rustix::fs::chmod(path, Mode::RWXU)?;
    Ok(())
}

/// Opens a file of a directory: never through a link, never waiting on a FIFO.
pub(crate) fn open_file(directory: &File, name: &str, write: bool) -> io::Result<File> {
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?))
}

/// Opens a file without waiting for anybody: a FIFO, a terminal or a lock of another process. What it is, is not looked
/// at: see [`super::open_regular`].
pub(crate) fn open_without_waiting(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// The names in an open directory, whatever its path leads to by now, each with whether it is a regular file (a link is
/// none). What is removed meanwhile may be missing.
pub(crate) fn names_in(directory: &File) -> io::Result<Vec<(std::ffi::OsString, bool)>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let stat = match rustix::fs::statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => continue,
            stat => stat?,
        };
        let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
        names.push((std::ffi::OsStr::from_bytes(name).to_owned(), is_file));
    }
    names.sort();
    Ok(names)
}

/// Makes a new file in a directory with mode 0600, whatever the umask.
pub(crate) fn create_file(directory: &File, name: &str) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(rustix::fs::openat(directory, name, flags, mode)?);
    rustix::fs::fchmod(&file, mode)?;
    Ok(file)
}

/// Removes a file of a directory.
pub(crate) fn remove_file(directory: &File, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)
}

/// Renames a directory, never over something that is there.
pub(crate) fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::CWD;
    #[cfg(test)]
    let answer = super::inject::errno().map_or_else(
        || rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE),
        |errno| Err(Errno::from_raw_os_error(errno)),
    );
    #[cfg(not(test))]
    let answer = rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE);
    match answer {
        // File systems without the flag, and sandboxes without the call: a plain rename of a directory replaces an empty
        // directory at most, and one that is there already is seen before.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => {
            if std::fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Ok(rustix::fs::rename(from, to)?)
        }
        done => Ok(done?),
    }
}

/// Backs `bytes` of a file from `offset` on with real memory or disk, growing the file where needed. New bytes are 0.
///
/// On an error a part may be backed: the caller truncates or punches it away.
pub(crate) fn allocate_range(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    #[cfg(test)]
    super::inject::take_space(bytes)?;
    let end = offset.checked_add(bytes).ok_or(io::ErrorKind::FileTooLarge)?;
    check_file_limit(end)?;
    let mut at = offset;
    while at < end {
        let step = (end - at).min(ALLOCATE_STEP_BYTES);
        match fallocate(file, FallocateFlags::empty(), at, step) {
            Ok(()) => at += step,
            Err(Errno::INTR) => {}
            Err(error) if is_without_call(error) => return write_zeros(file, at, end),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// `fallocate`, which tests let fail.
fn fallocate(file: &File, flags: FallocateFlags, offset: u64, bytes: u64) -> Result<(), Errno> {
    #[cfg(test)]
    if let Some(errno) = super::inject::errno() {
        return Err(Errno::from_raw_os_error(errno));
    }
    rustix::fs::fallocate(file, flags, offset, bytes)
}

/// Whether the file system lacks a call, or a sandbox refuses it: then there is another way.
fn is_without_call(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM)
}

/// Backs the first page of every huge page of a range that begins and ends at multiples of one, growing the file.
pub(crate) fn allocate_first_pages(file: &File, range: std::ops::Range<u64>) -> io::Result<()> {
    check_file_limit(range.end)?;
    for at in range.step_by(super::HUGE_PAGE_BYTES as usize) {
        match rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), at, page_bytes())) {
            Err(error) if is_without_call(error) => write_zeros(file, at, at + page_bytes())?,
            done => done?,
        }
    }
    Ok(())
}

/// Past the process's limit the kernel would send a signal that kills.
pub(crate) fn check_file_limit(end: u64) -> io::Result<()> {
    match rustix::process::getrlimit(rustix::process::Resource::Fsize).current {
        Some(limit) if end > limit => {
            let what = format!(
                "RLIMIT_FSIZE (`ulimit -f`) allows {limit} bytes of one file, and it would have {end}: raise it, or write \
                 less"
            );
            Err(io::Error::new(io::ErrorKind::FileTooLarge, what))
        }
        _ => Ok(()),
    }
}

/// Backs `at..end` by writing zeros; the bytes there are free or do not exist yet.
fn write_zeros(file: &File, mut at: u64, end: u64) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    while at < end {
        let step = usize::try_from(end - at).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(&zeros[..step], at)?;
        at += step as u64;
    }
    Ok(())
}

/// Gives back what backs `bytes` of a file from `offset` on; the file's size stays. False: the file system cannot.
pub(crate) fn punch_hole(file: &File, offset: u64, bytes: u64) -> io::Result<bool> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    loop {
        match fallocate(file, flags, offset, bytes) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) if is_without_call(error) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

fn byte_lock(file: &File, command: libc::c_int, kind: libc::c_int, byte: u64) -> io::Result<libc::flock> {
    let start = libc::off_t::try_from(byte).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `flock` is plain integers, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start;
    lock.l_len = 1;
    // SAFETY: the descriptor is open for the borrow of `file`, and `lock` is a valid `flock` that outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(lock),
    }
}

/// Tries to lock one byte for this open file description. False: another one holds it.
///
/// The kernel releases the lock when the last descriptor of this open file is closed, so also at any kind of death.
pub(crate) fn try_lock_byte(file: &File, byte: u64) -> io::Result<bool> {
    match byte_lock(file, libc::F_OFD_SETLK, libc::F_WRLCK, byte) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Releases a byte that this open file description has locked.
pub(crate) fn unlock_byte(file: &File, byte: u64) -> io::Result<()> {
    byte_lock(file, libc::F_OFD_SETLK, libc::F_UNLCK, byte).map(|_| ())
}

/// Whether another open file description holds the byte.
pub(crate) fn is_byte_locked(file: &File, byte: u64) -> io::Result<bool> {
    Ok(byte_lock(file, libc::F_OFD_GETLK, libc::F_WRLCK, byte)?.l_type != libc::F_UNLCK as libc::c_short)
}

/// Sleeps until the word is woken, is no longer `expected`, or the time is over. May wake for no reason.
///
/// The word may lie in a shared mapping, also in a read-only one.
pub(crate) fn wait_word(word: &AtomicU32, expected: u32, timeout: Duration) {
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    let timeout = rustix::time::Timespec { tv_sec: seconds, tv_nsec: timeout.subsec_nanos().into() };
    // Every error (changed, timed out, interrupted) means the same to the caller: look again.
    let _ = futex::wait(word, futex::Flags::empty(), expected, Some(&timeout));
}

/// Wakes everyone that sleeps on the word, in any process.
pub(crate) fn wake_word(word: &AtomicU32) {
    // It can fail on a bad address only, and a reference is none.
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]

    fn a_lock_belongs_to_the_open_file_and_not_to_the_process() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let handle = open_directory(directory.path(), true).expect("opens");
        let first = create_file(&handle, "lock").expect("creates");
        let second = open_file(&handle, "lock", true).expect("opens");
        assert!(try_lock_byte(&first, 7).expect("locks"));
        assert!(!try_lock_byte(&second, 7).expect("is refused"));
        assert!(try_lock_byte(&second, 8).expect("another byte is free"));
        assert!(is_byte_locked(&second, 7).expect("tells"));
        assert!(!is_byte_locked(&first, 7).expect("one's own lock is no conflict"));
        unlock_byte(&first, 7).expect("unlocks");
        assert!(try_lock_byte(&second, 7).expect("is free now"));
        drop(second);
        assert!(!is_byte_locked(&first, 7).expect("closing releases"));
    }

    /// Sandboxes refuse these calls, and some file systems lack them: then bytes are written, and names are looked at.
    #[test]
    fn what_lacks_a_call_is_done_another_way() {
        use crate::os::inject;
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir_in("/dev/shm").expect("a temporary directory");
        let handle = open_directory(directory.path(), true).expect("opens");
        for errno in [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS] {
            let file = create_file(&handle, "data").expect("creates");
            let (from, to) = (directory.path().join("from"), directory.path().join("to"));
            std::fs::create_dir(&from).expect("a directory");
            std::fs::create_dir(&to).expect("a directory");
            inject::fail_calls(Some(errno.raw_os_error()));
            let backed = allocate_range(&file, 0, 300_000);
            let first_pages = allocate_first_pages(&file, 2 << 20..4 << 20);
            let punched = punch_hole(&file, 0, 4096);
            let taken = rename_no_replace(&from, &to);
            std::fs::remove_dir(&to).expect("it was not replaced");
            let renamed = rename_no_replace(&from, &to);
            inject::fail_calls(None);
            backed.expect("it is written");
            first_pages.expect("they are written");
            assert!(!punched.expect("it stays as it is"), "{errno}");
            assert_eq!(taken.expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
            renamed.expect("it is free");
            // really backed: of the hole between the two nothing is
            let found = file.metadata().expect("stat");
            let pages = 300_000u64.div_ceil(4096) + 1;
            assert_eq!((found.len(), found.blocks() * 512), ((2 << 20) + 4096, pages * 4096), "{errno}");
            remove_file(&handle, "data").expect("removes");
            std::fs::remove_dir(&to).expect("removes");
        }
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        use crate::os::{open_regular, read_regular};
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), b"whole").expect("writes");
        std::os::unix::fs::symlink("file", path("link")).expect("links");
        std::os::unix::fs::symlink("loop", path("loop")).expect("links");
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).expect("a FIFO");
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("binds");
        assert_eq!(read_regular(&path("file"), 5).expect("reads"), b"whole");
        assert_eq!(read_regular(&path("link"), 5).expect("a link leads to it"), b"whole");
        let error = read_regular(&path("file"), 4).expect_err("it is longer");
        assert!(error.to_string().contains("more than 4 bytes"), "{error}");
        for (place, what) in [
            (path("fifo"), "it is a FIFO, not a regular file"),
            (path("socket"), "it is a socket, not a regular file"),
            (directory.path().to_owned(), "it is a directory, not a regular file"),
            ("/dev/zero".into(), "it is a device, not a regular file"),
        ] {
            let error = open_regular(&place).expect_err("no regular file");
            assert_eq!(error.to_string(), what, "{}", place.display());
        }
        assert!(open_regular(&path("loop")).is_err());
    }

    #[test]

    fn allocated_ranges_are_backed_and_holes_are_not() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir_in("/dev/shm").expect("a temporary directory");
        let handle = open_directory(directory.path(), true).expect("opens");
        let file = create_file(&handle, "data").expect("creates");
        allocate_range(&file, 0, 40 << 20).expect("backs");
        let full = file.metadata().expect("stat");
        assert_eq!((full.len(), full.blocks() * 512), (40 << 20, 40 << 20));
        assert!(punch_hole(&file, 1 << 20, 8 << 20).expect("punches"));
        let holed = file.metadata().expect("stat");
        assert_eq!((holed.len(), holed.blocks() * 512), (40 << 20, 32 << 20));
        write_zeros(&file, 1 << 20, 9 << 20).expect("writes");
        assert_eq!(file.metadata().expect("stat").blocks() * 512, 40 << 20);
    }

    #[cfg(feature = "checkpoint")]
    #[test]
    fn a_thread_stands_back_alone() {
        let nice = || rustix::process::getpriority_process(None).expect("tells");
        let before = nice();
        let thread = std::thread::spawn(move || {
            stand_back();
            nice()
        });
        assert_eq!(thread.join().expect("does not panic"), before.max(10));
        assert_eq!(nice(), before);
    }

    #[test]
    fn the_machine_can_be_asked() {
        assert!(page_bytes().is_power_of_two());
        assert_ne!(boot_id(), [0; 16]);
        assert_eq!(boot_id(), boot_id());
        assert!(memory_available_bytes().is_some_and(|bytes| bytes > 0));
        assert_ne!(random_id().expect("random bytes"), random_id().expect("random bytes"));
    }
}
