//! Named shared memory for worker processes: a mapping of crate `shared_memory`, made safe to touch.
//!
//! What this adds to the crate: the segment is allocated for real before anyone touches it, has mode 0600 whatever the
//! umask, and is locked by its owner, so that [`sweep`] can remove what killed owners left behind and nothing else.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use shared_memory::{Shmem, ShmemConf, ShmemError};

use crate::worker::shared::memory::MemoryError;

/// All names begin with this.
const PREFIX: &str = crate::limits::WORKER_MEMORY_PREFIX;
/// Then come so many digits that the segments of a process have in common, and its count of them: 31 bytes in all, as many as
/// some systems allow.
const OWNER_DIGITS: usize = 8;
const COUNT_DIGITS: usize = 5;
/// Names that are tried for a new segment before it is given up.
const NAMES_TRIED: usize = 64;
const FOLDER: &str = "/dev/shm";

/// A mapped segment.
pub(in crate::worker) struct Segment {
    shmem: Shmem,
    /// A forked copy must not unlink it.
    maker: crate::os::Maker,
    /// Holds the owner's lock; none: it is another process's, or the platform has none.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is none to hold"))]
    lock: Option<std::fs::File>,
}

/// The file of a segment, where segments are files.
pub(in crate::worker) fn path_of(id: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(format!("{FOLDER}{id}"))
}

/// A name that this process has not had of late.
fn next_id() -> String {
    static OWNER: OnceLock<u32> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let owner = OWNER.get_or_init(|| std::collections::hash_map::RandomState::new().build_hasher().finish() as u32);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) & ((1 << (4 * COUNT_DIGITS)) - 1);
    format!("/{PREFIX}{owner:0OWNER_DIGITS$x}{count:0COUNT_DIGITS$x}")
}

fn os_error(what: &'static str, id: &str, message: impl ToString) -> MemoryError {
    MemoryError::Os { what, id: id.to_owned(), message: message.to_string() }
}

impl Segment {
    /// A new segment of at least this many bytes, all zero.
    pub(in crate::worker) fn create(bytes: usize) -> Result<Segment, MemoryError> {
        // past the limit the kernel would send a signal that kills
        crate::os::check_file_limit(bytes as u64).map_err(|source| MemoryError::NoSpace { bytes, source })?;
        let (shmem, id) = Segment::named(bytes)?;
        // From here on an error drops `shmem`, which unlinks the segment.
        let lock = Segment::allocate(&id, bytes)?;
        Ok(Segment { shmem, maker: crate::os::Maker::this(), lock })
    }

    /// A segment under a name that nobody has.
    fn named(bytes: usize) -> Result<(Shmem, String), MemoryError> {
        for _ in 0..NAMES_TRIED {
            let id = next_id();
            match ShmemConf::new().size(bytes).os_id(&id).create() {
                Err(ShmemError::MappingIdExists) => {}
                made => return made.map_err(|error| os_error("create", &id, error)).map(|shmem| (shmem, id)),
            }
        }
        Err(os_error("create", &next_id(), "all names that were tried are taken"))
    }

    #[cfg(target_os = "linux")]
    fn allocate(id: &str, bytes: usize) -> Result<Option<std::fs::File>, MemoryError> {
        use rustix::fs::{FlockOperation, Mode, OFlags};
        let file = rustix::fs::open(path_of(id), OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|error| os_error("open", id, error))?;
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(|error| os_error("set the mode of", id, error))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| os_error("lock", id, error))?;
        let file = std::fs::File::from(file);
        Segment::back(&file, id, bytes)?;
        Ok(Some(file))
    }

    /// Puts memory behind so many bytes of the file.
    #[cfg(target_os = "linux")]
    fn back(file: &std::fs::File, id: &str, bytes: usize) -> Result<(), MemoryError> {
        loop {
            match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes as u64) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
                    return crate::os::allocate_range(file, 0, bytes as u64)
                        .map_err(|source| MemoryError::NoSpace { bytes, source });
                }
                Err(error @ (rustix::io::Errno::NOSPC | rustix::io::Errno::NOMEM | rustix::io::Errno::FBIG)) => {
                    return Err(MemoryError::NoSpace { bytes, source: error.into() });
                }
                Err(error) => return Err(os_error("allocate", id, error)),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(_id: &str, _bytes: usize) -> Result<Option<std::fs::File>, MemoryError> {
        Ok(None)
    }

    /// Makes it longer for those that map it anew; whoever has mapped it sees what was there before.
    #[cfg(target_os = "linux")]
    pub(in crate::worker) fn lengthen(&self, bytes: usize) -> Result<(), MemoryError> {
        let no_owner = || os_error("lengthen", self.id(), "another process owns it");
        crate::os::check_file_limit(bytes as u64).map_err(|source| MemoryError::NoSpace { bytes, source })?;
        Segment::back(self.lock.as_ref().ok_or_else(no_owner)?, self.id(), bytes)
    }

    /// Opens a segment that another process owns.
    pub(in crate::worker) fn open(id: &str) -> Result<Segment, MemoryError> {
        let shmem = ShmemConf::new().os_id(id).open().map_err(|error| os_error("open", id, error))?;
        Ok(Segment { shmem, maker: crate::os::Maker::this(), lock: None })
    }

    /// Its name.
    pub(in crate::worker) fn id(&self) -> &str {
        self.shmem.get_os_id()
    }

    /// Its size in bytes.
    pub(in crate::worker) fn len(&self) -> usize {
        self.shmem.len()
    }

    /// Where it is mapped.
    pub(in crate::worker) fn base(&self) -> *mut u8 {
        self.shmem.as_ptr()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.maker.is_here() {
            self.shmem.set_owner(false);
        }
    }
}

/// Unlinks the segments whose owners were killed before they could, and whose workers could not either
/// ([`remove_left`]). Returns how many.
///
/// A segment that is locked has a living owner, in whatever process namespace; one younger than ten seconds may just
/// not be locked yet. Errors mean that it is not ours to remove.
#[cfg(target_os = "linux")]
pub(in crate::worker) fn sweep() -> usize {
    let Ok(folder) = std::fs::read_dir(FOLDER) else { return 0 };
    let mut swept = 0;
    for entry in folder.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let young = entry
            .metadata()
            .and_then(|data| data.modified())
            .map_or(true, |at| at.elapsed().map_or(true, |age| age < std::time::Duration::from_secs(10)));
        if young {
            continue;
        }
        swept += usize::from(unlink_unlocked(&entry.path()));
    }
    swept
}

/// Unlinks a segment where nobody holds its lock.
#[cfg(target_os = "linux")]
fn unlink_unlocked(path: &std::path::Path) -> bool {
    use rustix::fs::{FlockOperation, Mode, OFlags};
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else { return false };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && std::fs::remove_file(path).is_ok()
}

/// Unlinks all segments of the process that made this one, which has ended. What somebody holds stays, and so does
/// all where this process is shut in a sandbox: the next pool, or `clean`, unlinks it.
#[cfg(target_os = "linux")]
pub(in crate::worker) fn remove_left(id: &str) {
    let Some(owner) = id.get(1..1 + PREFIX.len() + OWNER_DIGITS).filter(|owner| owner.starts_with(PREFIX)) else {
        return;
    };
    let Ok(folder) = std::fs::read_dir(FOLDER) else { return };
    for entry in folder.flatten() {
        if entry.file_name().to_string_lossy().starts_with(owner) {
            unlink_unlocked(&entry.path());
        }
    }
}

/// Nothing to sweep where segments have no files.
#[cfg(not(target_os = "linux"))]
pub(in crate::worker) fn sweep() -> usize {
    0
}
