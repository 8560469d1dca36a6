//! Looking at regions from outside, and removing what dead processes left.
//!
//! Invariants: nothing here disturbs a live region; nothing is removed without its lock, nor through a link, nor from a
//! directory that holds anything but a region. Everything is checked before the first file is removed.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::error::RegionError;
use super::target::RegionTarget;
use crate::layout::nearest::nearest;
use crate::os;

/// What can be told of a region from outside.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RegionInfo {
    /// Its name, or its path.
    pub name: String,
    /// The directory of its files.
    pub path: PathBuf,
    /// Whether it has a temporary name: it is being made or removed, or a process died doing so.
    pub temporary: bool,
    /// Whether a process writes it (or makes or removes it).
    pub alive: bool,
    /// Whether its last writer closed it whole and left it on purpose.
    pub kept: bool,
    /// Whether its last writer ran since the machine started.
    pub same_boot: bool,
    /// The writer's process id as it sees itself; 0: none.
    pub writer_pid: u32,
    /// 1 for the creator, one more per take-over.
    pub writer_epoch: u64,
    /// The newest generation; 0: none.
    pub generation: u64,
    /// Frames that the writer has ended.
    pub frames: u64,
    /// Generations that were not published because readers held all memory.
    pub publish_skipped: u64,
    /// Process ids of the readers that hold a generation, as they see themselves; dead ones too, until they are in the way.
    pub reader_pids: Vec<u32>,
    /// Bytes of its data.
    pub bytes_backed: u64,
    /// The most bytes its data may have.
    pub bytes_max: u64,
    /// The hash of its layout.
    pub layout_hash: u64,
    /// When it was created, ns since 1970.
    pub created_ns: u64,
    /// The id of the user whose it is.
    pub owner: u32,
    /// What its maker noted: name and value.
    pub notes: Vec<(String, String)>,
    /// Why it cannot be read; then the numbers above are 0.
    pub error: Option<String>,
}

impl RegionInfo {
    /// Whether it is another user's: then nothing else can be told of it, not even whether it lives. (Root may look at all.)
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        cfg!(unix) && self.owner != os::user_id() && os::user_id() != 0
    }

    /// The name of the user whose it is; the number, where the machine knows no name.
    #[must_use]
    pub fn owner_name(&self) -> String {
        os::user_name(self.owner).unwrap_or_else(|| self.owner.to_string())
    }

    /// Whether nobody needs it: its writer is gone, and did not leave it on purpose. False where that cannot be read.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let is_readable = self.temporary || self.writer_epoch > 0;
        is_readable && !self.alive && !self.kept
    }
}

impl RegionTarget {
    /// The name of a region that there is, closest to this one's that there is not: for messages. None: no name is close
    /// enough to have been meant.
    #[must_use]
    pub fn similar(&self) -> Option<String> {
        let RegionTarget::Named(name) = self else { return None };
        let known = list().unwrap_or_default();
        let known = known.iter().filter(|region| !region.temporary && region.name != *name);
        nearest(name, known.map(|region| region.name.as_str())).map(str::to_owned)
    }
}

/// All named regions.
///
/// # Errors
/// What the system refuses; a region that cannot be read is listed with its error.
pub fn list() -> Result<Vec<RegionInfo>, RegionError> {
    os::named_root().map_or_else(|| Ok(Vec::new()), list_in)
}

/// All regions in a directory, by name: in the directory of named ones those, elsewhere all that have the files.
///
/// # Errors
/// As for [`list`].
#[cfg(unix)]
pub fn list_in(parent: &Path) -> Result<Vec<RegionInfo>, RegionError> {
    shared::regions_in(parent).map(|paths| paths.iter().map(|path| inspect(&RegionTarget::from_path(path))).collect())
}

/// All regions in a directory: none on this platform.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn list_in(_parent: &Path) -> Result<Vec<RegionInfo>, RegionError> {
    Ok(Vec::new())
}

/// What can be told of one region.
#[must_use]
pub fn inspect(target: &RegionTarget) -> RegionInfo {
    let mut info = RegionInfo {
        name: target.to_string(),
        path: target.path().ok().flatten().unwrap_or_default(),
        temporary: false,
        alive: false,
        kept: false,
        same_boot: false,
        writer_pid: 0,
        writer_epoch: 0,
        generation: 0,
        frames: 0,
        publish_skipped: 0,
        reader_pids: Vec::new(),
        bytes_backed: 0,
        bytes_max: 0,
        layout_hash: 0,
        created_ns: 0,
        owner: os::user_id(),
        notes: Vec::new(),
        error: None,
    };
    #[cfg(unix)]
    let looked = shared::look(target, &mut info);
    #[cfg(not(unix))]
    let looked: Result<(), RegionError> = Err(RegionError::Unsupported { what: "a shared region" });
    info.error = looked.err().map(|error| error.to_string());
    info
}

/// Removes a region whose writer is gone, kept or not, readable or not.
///
/// # Errors
/// [`RegionError::Live`]; [`RegionError::NotFound`]; [`RegionError::NotRegion`]: it is a link, holds other things, or no file
/// of it says that it is a region. Then nothing was removed.
#[cfg(unix)]
pub fn clean(target: &RegionTarget) -> Result<(), RegionError> {
    shared::clean(target)
}

/// Removes a region: there are none on this platform.
///
/// # Errors
/// Always [`RegionError::Unsupported`].
#[cfg(not(unix))]
pub fn clean(_target: &RegionTarget) -> Result<(), RegionError> {
    Err(RegionError::Unsupported { what: "a shared region" })
}

/// Removes a region that this very process writes: for one that has to end at once, by a signal, while its world is out of
/// reach. Readers keep what they have mapped.
///
/// # Errors
/// [`RegionError::Live`] where another process writes it, or none; [`RegionError::NotFound`]; what the system refuses.
#[cfg(unix)]
pub fn abandon(target: &RegionTarget) -> Result<(), RegionError> {
    shared::abandon(target)
}

/// Removes a region: there are none on this platform.
///
/// # Errors
/// Always [`RegionError::Unsupported`].
#[cfg(not(unix))]
pub fn abandon(_target: &RegionTarget) -> Result<(), RegionError> {
    Err(RegionError::Unsupported { what: "a shared region" })
}

#[cfg(unix)]
pub(super) mod shared {
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::RegionInfo;
    use crate::os;
    use crate::primitive::Ordering;
    use crate::region::error::RegionError;
    use crate::region::files::{DESCRIPTOR, LEASES, LOCK, RegionDirectory, TEMPORARY_PREFIX};
    use crate::region::lease::{LEASES_BYTES, reader_pids};
    use crate::region::pin;
    use crate::region::target::{NAMED_PREFIX, RegionTarget};

    /// How long a directory with a temporary name may be without its lock: a creator takes it at once.
    const UNLOCKED_MAX: Duration = Duration::from_secs(10);

    fn is_temporary(path: &Path) -> bool {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(TEMPORARY_PREFIX))
    }

    /// Paths that look like regions, sorted.
    pub(super) fn regions_in(parent: &Path) -> Result<Vec<PathBuf>, RegionError> {
        let named = Some(parent) == os::named_root();
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(parent).map_err(RegionError::io("read", parent))? {
            let entry = entry.map_err(RegionError::io("read", parent))?;
            let (path, name) = (entry.path(), entry.file_name());
            let has_name = named && name.to_str().is_some_and(|name| name.starts_with(NAMED_PREFIX));
            let has_files = || !named && path.join(DESCRIPTOR).is_file() && path.join(LOCK).is_file();
            if is_temporary(&path) || has_name || has_files() {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Bytes and age of a region's files.
    pub(in crate::region) fn measure(path: &Path) -> (u64, Duration) {
        let directory = RegionDirectory::open(&RegionTarget::from_path(path));
        directory.map_or((0, Duration::ZERO), |directory| (directory.bytes(), directory.age()))
    }

    pub(super) fn look(target: &RegionTarget, info: &mut RegionInfo) -> Result<(), RegionError> {
        if let Ok(metadata) = std::fs::symlink_metadata(&info.path) {
            info.owner = metadata.uid();
        }
        let directory = RegionDirectory::open(target)?;
        info.temporary = is_temporary(&info.path);
        info.alive = match directory.is_alive() {
            Ok(alive) => alive || info.temporary && is_young(&directory),
            Err(_) if info.temporary => is_young(&directory),
            Err(error) => return Err(error),
        };
        if info.temporary {
            return Ok(());
        }
        let descriptor = directory.descriptor()?;
        info.bytes_max = descriptor.bytes_max;
        info.layout_hash = descriptor.layout_hash;
        info.created_ns = descriptor.created_ns;
        let map = directory.control_words(&descriptor)?;
        let control = map.get();
        info.kept = control.is_kept();
        info.same_boot = control.is_of_boot(os::boot_id());
        info.writer_pid = control.writer_pid.load(Ordering::Relaxed);
        info.writer_epoch = control.writer_epoch.load(Ordering::Relaxed);
        info.generation = pin::generation(control.published());
        info.notes = control.notes();
        info.frames = control.frames.load(Ordering::Relaxed);
        info.publish_skipped = control.publish_skipped.load(Ordering::Relaxed);
        info.bytes_backed = control.data_bytes();
        let mut pages = vec![0; LEASES_BYTES as usize];
        let leases = directory.sized_file(LEASES, false, LEASES_BYTES)?;
        leases.read_exact_at(&mut pages, 0).map_err(RegionError::io("read", &info.path))?;
        info.reader_pids = reader_pids(&pages);
        directory.control(&descriptor).map(|_| ())
    }

    /// Whether a process may still be about to lock it.
    fn is_young(directory: &RegionDirectory) -> bool {
        let changed = std::fs::metadata(&directory.path).and_then(|metadata| metadata.modified());
        changed.is_ok_and(|time| time.elapsed().map_or(true, |age| age < UNLOCKED_MAX))
    }

    pub(super) fn abandon(target: &RegionTarget) -> Result<(), RegionError> {
        let directory = RegionDirectory::open_to_remove(target)?;
        directory.check_removable(false)?;
        if !directory.is_written_here()? {
            return Err(RegionError::Live { target: target.clone(), pid: directory.writer_pid() });
        }
        directory.remove()
    }

    pub(super) fn clean(target: &RegionTarget) -> Result<(), RegionError> {
        let directory = RegionDirectory::open_to_remove(target)?;
        let is_half_made = is_temporary(&directory.path);
        directory.check_removable(is_half_made)?;
        if !is_half_made {
            let _lock = directory.lock()?;
            return directory.remove();
        }
        // Of a region half made or half removed even the lock may be missing.
        if is_young(&directory) {
            return Err(RegionError::Live { target: target.clone(), pid: 0 });
        }
        let _lock = match directory.lock() {
            Ok(lock) => Some(lock),
            Err(RegionError::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        };
        directory.remove_files()
    }
}
