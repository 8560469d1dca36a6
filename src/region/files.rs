//! The directory of a shared region: its files, how they come and go, and whose they are.
//!
//! ```text
//! descriptor  immutable: header and layout
//! control     live words of the writer
//! data        the extents
//! leases      one page per reader
//! lock        OFD locks, never unlinked while the region exists. Byte 1: the writer lives. Byte 0: it or a worker process
//!             that it started lives; workers inherit the open file that holds this lock
//! trace       timeline of the simulation; a region may be without
//! inputs      mailbox of the simulation, which other processes write to; a region may be without
//! ```
//!
//! Invariants
//! - A region appears whole, by a rename, and never over something that is there.
//! - Files are opened relative to the opened directory, so all are of one region, whatever is renamed meanwhile.
//! - Whoever removes a region holds its lock, and first renames it to a temporary name.
//! - Bytes of another user are not believed.
//! - A new writer begins when it has both locks: then nothing that the last one started can store any more.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control::CONTROL_BYTES;
use super::error::{HeaderError, RegionError};
use super::header::{DESCRIPTOR_BYTES_MAX, Descriptor};
use super::lease::LEASES_BYTES;
use super::mapping::ControlMap;
use super::target::RegionTarget;
use crate::fault;
use crate::limits::{PAGE_BYTES, WORKER_VARIABLE};
use crate::os;
use crate::trace::Block;

pub(super) const DESCRIPTOR: &str = "descriptor";
pub(super) const CONTROL: &str = "control";
pub(super) const DATA: &str = "data";
pub(super) const LEASES: &str = "leases";
pub(super) const LOCK: &str = "lock";
/// The timeline of the simulation that writes the region; a region may be without.
pub(super) const TRACE: &str = "trace";
/// The mailbox of the simulation that writes the region; a region may be without.
pub(super) const INPUTS: &str = "inputs";
/// Files that a region may have or not.
const OPTIONAL: [&str; 2] = [TRACE, INPUTS];
/// Every file that each region has; `lock` is removed last.
pub(super) const FILES: [&str; 5] = [DESCRIPTOR, CONTROL, DATA, LEASES, LOCK];
/// What directories of regions that come or go begin with.
pub(super) const TEMPORARY_PREFIX: &str = ".hypostyle-tmp-";
/// The byte of `lock` that the writer holds by an open file of its own.
pub(super) const WRITER_BYTE: u64 = 1;
/// The byte that the writer holds by an open file that its worker processes share.
pub(super) const WORKERS_BYTE: u64 = 0;
/// How long a take-over waits for a dead writer's workers to end by themselves,
const WORKERS_GRACE: Duration = Duration::from_millis(200);
/// and for their end in all.
const WORKERS_WAIT_MAX: Duration = Duration::from_secs(10);

/// A writer's hold on its region.
pub(super) struct WriterLock {
    /// Holds [`WRITER_BYTE`].
    pub writer: File,
    /// Holds [`WORKERS_BYTE`]; worker processes have it as their standard input when they begin.
    pub workers: File,
}

/// An open directory of a region.
pub(super) struct RegionDirectory {
    handle: File,
    pub path: PathBuf,
    pub target: RegionTarget,
}

impl RegionDirectory {
    /// Opens the directory of a region that should be there.
    pub(super) fn open(target: &RegionTarget) -> Result<Self, RegionError> {
        let not_found = || RegionError::NotFound { target: target.clone() };
        let path = target.path()?.ok_or_else(not_found)?;
        // In the directory of names anybody could have planted a link.
        let follow = matches!(target, RegionTarget::Directory(_));
        let handle = os::open_directory(&path, follow).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => not_found(),
            io::ErrorKind::NotADirectory => {
                RegionError::NotRegion { path: path.clone(), what: "it is no directory".to_owned() }
            }
            // the directory of another user's region does not even open
            io::ErrorKind::PermissionDenied => match std::fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.uid() != os::user_id() => {
                    RegionError::ForeignOwner { path: path.clone(), owner: metadata.uid() }
                }
                _ => RegionError::io("open", &path)(error),
            },
            _ => RegionError::io("open", &path)(error),
        })?;
        let owner = handle.metadata().map_err(RegionError::io("inspect", &path))?.uid();
        let user = os::user_id();
        if owner != user && user != 0 {
            return Err(RegionError::ForeignOwner { path, owner });
        }
        Ok(RegionDirectory { handle, path, target: target.clone() })
    }

    /// Opens a directory to remove what is in it: never through a link, whatever was given.
    pub(super) fn open_to_remove(target: &RegionTarget) -> Result<Self, RegionError> {
        let not_found = || RegionError::NotFound { target: target.clone() };
        let path: PathBuf = target.path()?.ok_or_else(not_found)?.components().collect();
        let is_link = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        if is_link {
            let what = "it is a link, and `clean` follows none: give the directory that it leads to".to_owned();
            return Err(RegionError::NotRegion { path, what });
        }
        let directory = RegionDirectory::open(target)?;
        let handle = os::open_directory(&path, false).map_err(RegionError::io("open", &path))?;
        let opened = RegionDirectory { handle, path, target: directory.target };
        if !opened.is_in_place() {
            return Err(not_found());
        }
        Ok(opened)
    }

    /// Checks everything before the first file is removed: that the directory holds a region's files and nothing else, all
    /// of them regular files, and, unless its name says that it is half made, that the descriptor or the control file is one
    /// by its first bytes.
    pub(super) fn check_removable(&self, is_half_made: bool) -> Result<(), RegionError> {
        let not_region = |what: String| Err(RegionError::NotRegion { path: self.path.clone(), what });
        for (name, is_file) in os::names_in(&self.handle).map_err(RegionError::io("read", &self.path))? {
            let shown = Path::new(&name).display();
            if !FILES.iter().chain(&OPTIONAL).any(|file| name == *file) {
                return not_region(format!("it holds {shown}"));
            }
            if !is_file {
                return not_region(format!("its {shown} is no regular file"));
            }
        }
        let begins = |name: &str, magic: &[u8; 8]| {
            let mut begin = [0; 8];
            self.file(name, false).is_ok_and(|file| file.read_exact_at(&mut begin, 0).is_ok()) && begin == *magic
        };
        if !is_half_made && !begins(DESCRIPTOR, &super::header::MAGIC) && !begins(CONTROL, &super::control::MAGIC_BYTES)
        {
            let what = "neither its descriptor nor its control file begins as a region's does: remove it by hand";
            return not_region(what.to_owned());
        }
        Ok(())
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |name: &str| self.file(name, false).ok().and_then(|file| Some(file.metadata().ok()?.len()));
        FILES.iter().chain(&OPTIONAL).filter_map(|name| bytes(name)).sum()
    }

    /// How long ago its directory or its control file changed last.
    pub(super) fn age(&self) -> std::time::Duration {
        let changed = |file: &File| file.metadata().and_then(|metadata| metadata.modified()).ok();
        let control = self.file(CONTROL, false).ok().and_then(|file| changed(&file));
        let newest = changed(&self.handle).max(control);
        newest.and_then(|at| at.elapsed().ok()).unwrap_or_default()
    }

    /// Whether the path still leads to this directory.
    pub(super) fn is_in_place(&self) -> bool {
        let same =
            |here: std::fs::Metadata, there: std::fs::Metadata| (here.dev(), here.ino()) == (there.dev(), there.ino());
        self.handle.metadata().ok().zip(self.looked_up()).is_some_and(|(a, b)| same(a, b))
    }

    fn looked_up(&self) -> Option<std::fs::Metadata> {
        std::fs::metadata(&self.path).ok()
    }

    /// Opens one of the files. The region may have gone since the directory was opened.
    pub(super) fn file(&self, name: &str, write: bool) -> Result<File, RegionError> {
        let path = self.path.join(name);
        let file = os::open_file(&self.handle, name, write).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if !self.is_in_place() => RegionError::NotFound { target: self.target.clone() },
            io::ErrorKind::NotFound => RegionError::Corrupt { path: path.clone(), what: "it is missing".to_owned() },
            _ => RegionError::io("open", &path)(error),
        })?;
        let metadata = file.metadata().map_err(RegionError::io("inspect", &path))?;
        if !metadata.is_file() {
            return Err(RegionError::Corrupt { path, what: "it is no regular file".to_owned() });
        }
        Ok(file)
    }

    /// Makes the file of the timeline or of the mailbox anew, with so many zeroed and backed bytes.
    pub(super) fn new_optional(&self, name: &str, bytes: u64) -> Result<File, RegionError> {
        self.remove_optional(name)?;
        let path = self.path.join(name);
        let file = os::create_file(&self.handle, name).map_err(RegionError::io("create", &path))?;
        if let Err(error) = allocate(&file, 0, bytes, &path) {
            self.remove_optional(name)?;
            return Err(error);
        }
        Ok(file)
    }

    /// Removes such a file, if there is one. Whoever has it mapped keeps what it holds.
    pub(super) fn remove_optional(&self, name: &str) -> Result<(), RegionError> {
        match os::remove_file(&self.handle, name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RegionError::io("remove", &self.path.join(name))(error))
            }
            _ => Ok(()),
        }
    }

    /// Opens and maps such a file; none: there is none.
    pub(super) fn optional(&self, name: &str, write: bool) -> Result<Option<(Block, File)>, RegionError> {
        let path = self.path.join(name);
        let file = match os::open_file(&self.handle, name, write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(RegionError::io("open", &path))?,
        };
        let metadata = file.metadata().map_err(RegionError::io("inspect", &path))?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(None);
        }
        let block = Block::file(&file, 0, metadata.len(), write).map_err(RegionError::io("map", &path))?;
        Ok(Some((block, file)))
    }

    /// Whether the region still has this very file under this name.
    pub(super) fn has(&self, name: &str, file: &File) -> bool {
        let there = os::open_file(&self.handle, name, false).and_then(|file| file.metadata());
        let same =
            |here: std::fs::Metadata, there: std::fs::Metadata| (here.dev(), here.ino()) == (there.dev(), there.ino());
        file.metadata().ok().zip(there.ok()).is_some_and(|(here, there)| same(here, there))
    }

    /// Opens one of the files, which must have `bytes`.
    pub(super) fn sized_file(&self, name: &str, write: bool, bytes: u64) -> Result<File, RegionError> {
        let file = self.file(name, write)?;
        let length = file_bytes(&file, &self.path.join(name))?;
        if length != bytes {
            let what = format!("it has {length} bytes instead of {bytes}");
            return Err(RegionError::Corrupt { path: self.path.join(name), what });
        }
        Ok(file)
    }

    /// Copies the descriptor out of its file and checks the copy.
    pub(super) fn descriptor(&self) -> Result<Descriptor, RegionError> {
        let path = self.path.join(DESCRIPTOR);
        let file = self.file(DESCRIPTOR, false)?;
        let length = file_bytes(&file, &path)?;
        let header = |source| RegionError::Header { path: path.clone(), source };
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        if wanted > DESCRIPTOR_BYTES_MAX {
            return Err(header(HeaderError::Length { bytes: length, expected: DESCRIPTOR_BYTES_MAX as u64 }));
        }
        let mut bytes = vec![0; wanted];
        file.read_exact_at(&mut bytes, 0).map_err(RegionError::io("read", &path))?;
        let descriptor = Descriptor::decode(&bytes).map_err(header)?;
        let machine_bytes = os::page_bytes();
        if machine_bytes > PAGE_BYTES {
            return Err(header(HeaderError::PageSize { page_bytes: PAGE_BYTES, machine_bytes }));
        }
        super::mapping::whole_pages(descriptor.bytes_max)?;
        Ok(descriptor)
    }

    /// Maps the control words, which must belong to the descriptor and not be torn by a restart of the machine.
    pub(super) fn control(&self, descriptor: &Descriptor) -> Result<ControlMap, RegionError> {
        let map = self.control_words(descriptor)?;
        if map.get().is_torn(os::boot_id()) {
            return Err(RegionError::OtherBoot { target: self.target.clone() });
        }
        Ok(map)
    }

    /// Maps the control words and checks that they belong to the descriptor.
    pub(super) fn control_words(&self, descriptor: &Descriptor) -> Result<ControlMap, RegionError> {
        let path = self.path.join(CONTROL);
        let file = self.sized_file(CONTROL, false, CONTROL_BYTES)?;
        let map = ControlMap::new(&file, false).map_err(RegionError::io("map", &path))?;
        if !map.get().belongs_to(descriptor.uuid) {
            return Err(RegionError::Corrupt { path, what: "it does not belong to the descriptor".to_owned() });
        }
        Ok(map)
    }

    /// Opens the data file, which must hold what the control words say.
    pub(super) fn data(&self, write: bool, said: u64, bytes_max: u64) -> Result<File, RegionError> {
        let path = self.path.join(DATA);
        let file = self.file(DATA, write)?;
        let real = file_bytes(&file, &path)?;
        let possible = said >= PAGE_BYTES && said.is_multiple_of(PAGE_BYTES) && said <= bytes_max;
        if !possible || real < said {
            let what = format!("it has {real} bytes, the control words say {said} of at most {bytes_max}");
            return Err(RegionError::Corrupt { path, what });
        }
        Ok(file)
    }

    /// Whether some process holds the writer's lock.
    pub(super) fn is_alive(&self) -> Result<bool, RegionError> {
        let file = self.file(LOCK, false)?;
        os::is_byte_locked(&file, WRITER_BYTE).map_err(RegionError::io("look at the lock of", &self.path))
    }

    /// Whether this process holds the writer's lock.
    pub(super) fn is_written_here(&self) -> Result<bool, RegionError> {
        Ok(os::Holders::of(&self.file(LOCK, false)?, WRITER_BYTE).is_this_process())
    }

    /// Takes the writer's lock; the file must be kept open.
    pub(super) fn lock(&self) -> Result<File, RegionError> {
        let file = self.file(LOCK, true)?;
        if !os::try_lock_byte(&file, WRITER_BYTE).map_err(RegionError::io("lock", &self.path))? {
            return Err(RegionError::Live { target: self.target.clone(), pid: self.writer_pid() });
        }
        // Whoever held it before may have removed the region.
        if !self.is_in_place() {
            return Err(RegionError::NotFound { target: self.target.clone() });
        }
        Ok(file)
    }

    /// Waits until nothing runs that the last writer started, and takes the lock that says so. The caller holds the
    /// writer's. A worker ends by itself when its main process has died; one that cannot is killed.
    pub(super) fn workers_lock(&self) -> Result<File, RegionError> {
        let file = self.file(LOCK, true)?;
        let begun = std::time::Instant::now();
        loop {
            if os::try_lock_byte(&file, WORKERS_BYTE).map_err(RegionError::io("lock", &self.path))? {
                return Ok(file);
            }
            let waited = begun.elapsed();
            if waited >= WORKERS_GRACE {
                let holders = os::Holders::of(&file, WORKERS_BYTE);
                if waited >= WORKERS_WAIT_MAX {
                    let (target, pids) = (self.target.clone(), holders.pids());
                    return Err(RegionError::Leftover { target, pids, waited });
                }
                holders.kill_workers(WORKER_VARIABLE);
            }
            std::thread::sleep(if waited < WORKERS_GRACE { Duration::from_millis(1) } else { WORKERS_GRACE / 8 });
        }
    }

    /// The writer's process id as the control words say; 0 when they cannot be read.
    pub(super) fn writer_pid(&self) -> u32 {
        let map =
            self.sized_file(CONTROL, false, CONTROL_BYTES).ok().and_then(|file| ControlMap::new(&file, false).ok());
        map.map_or(0, |map| map.get().writer_pid.load(crate::primitive::Ordering::Relaxed))
    }

    /// Removes the region. The caller holds its lock.
    pub(super) fn remove(mut self) -> Result<(), RegionError> {
        let temporary = temporary_path(&self.path)?;
        let was = std::mem::replace(&mut self.path, temporary);
        os::rename_no_replace(&was, &self.path).map_err(RegionError::io("rename", &was))?;
        fault::point("region-renamed");
        if !self.is_in_place() {
            // another directory was put there since: it gets its name back
            os::rename_no_replace(&self.path, &was).map_err(RegionError::io("rename", &self.path))?;
            return Err(RegionError::NotFound { target: self.target.clone() });
        }
        self.remove_files()
    }

    /// Removes the files of a directory with a temporary name, and the directory.
    pub(super) fn remove_files(self) -> Result<(), RegionError> {
        for name in OPTIONAL.into_iter().chain(FILES) {
            match os::remove_file(&self.handle, name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RegionError::io("remove", &self.path.join(name))(error));
                }
                _ => fault::point("region-shrunk"),
            }
        }
        fault::point("region-emptied");
        std::fs::remove_dir(&self.path).map_err(RegionError::io("remove", &self.path))
    }
}

pub(super) fn file_bytes(file: &File, path: &Path) -> Result<u64, RegionError> {
    Ok(file.metadata().map_err(RegionError::io("inspect", path))?.len())
}

/// Backs a range of a region's file, or says that there is no room, with both numbers.
pub(super) fn allocate(file: &File, offset: u64, bytes: u64, path: &Path) -> Result<(), RegionError> {
    os::allocate_range(file, offset, bytes).map_err(|error| {
        if let Some(limit) = os::limit_of_files(&error, offset.saturating_add(bytes)) {
            limit.into()
        } else if os::is_no_space(&error) {
            let available = os::space_available_bytes(file).unwrap_or(0);
            RegionError::NoSpace { place: path.display().to_string(), requested: bytes, available }
        } else {
            RegionError::io("allocate space for", path)(error)
        }
    })
}

/// A temporary name beside `path`.
fn temporary_path(path: &Path) -> Result<PathBuf, RegionError> {
    let id = os::random_id().map_err(RegionError::io("read", Path::new("/dev/urandom")))?;
    let name = format!("{TEMPORARY_PREFIX}{}-{:016x}", os::pid(), u128::from_le_bytes(id) as u64);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(parent.unwrap_or(Path::new(".")).join(name))
}

/// The files of a new region, still under a temporary name; removed unless it comes to [`NewRegion::appear`].
pub(super) struct NewRegion {
    directory: Option<RegionDirectory>,
    path: PathBuf,
    pub control: File,
    pub data: File,
    pub leases: File,
    pub lock: WriterLock,
}

impl NewRegion {
    /// Makes all files, backed and locked.
    pub(super) fn create(target: &RegionTarget, descriptor: &Descriptor, data_bytes: u64) -> Result<Self, RegionError> {
        let path = target.path()?.ok_or(RegionError::Unsupported { what: "a shared region" })?;
        if std::fs::symlink_metadata(&path).is_ok() {
            return Err(exists(target));
        }
        let temporary = temporary_path(&path)?;
        os::create_directory(&temporary).map_err(RegionError::io("create", &temporary))?;
        let directory = match os::open_directory(&temporary, false) {
            Ok(handle) => RegionDirectory { handle, path: temporary, target: target.clone() },
            Err(error) => {
                if let Err(error) = std::fs::remove_dir(&temporary) {
                    tracing::warn!(%error, "an unfinished region stays behind");
                }
                return Err(RegionError::io("open", &temporary)(error));
            }
        };
        // The lock comes first: it says that the creator lives.
        let files = (|| {
            let create = |name: &str, bytes: u64| {
                let file = os::create_file(&directory.handle, name).map_err(RegionError::io("create", &path))?;
                if bytes > 0 {
                    allocate(&file, 0, bytes, &path)?;
                }
                fault::point("region-file-made");
                Ok::<_, RegionError>(file)
            };
            let lock = create(LOCK, 0)?;
            if !os::try_lock_byte(&lock, WRITER_BYTE).map_err(RegionError::io("lock", &path))? {
                return Err(RegionError::Live { target: target.clone(), pid: 0 });
            }
            let workers = directory.workers_lock()?;
            let lock = WriterLock { writer: lock, workers };
            let control = create(CONTROL, CONTROL_BYTES)?;
            let leases = create(LEASES, LEASES_BYTES)?;
            let data = create(DATA, data_bytes)?;
            let bytes = descriptor.encode();
            let file = create(DESCRIPTOR, bytes.len() as u64)?;
            file.write_all_at(&bytes, 0).map_err(RegionError::io("write", &path))?;
            Ok::<_, RegionError>((control, data, leases, lock))
        })();
        match files {
            Ok((control, data, leases, lock)) => {
                Ok(NewRegion { directory: Some(directory), path, control, data, leases, lock })
            }
            Err(error) => {
                discard(directory);
                Err(error)
            }
        }
    }

    /// Gives the region its name: from now on it exists, and nothing more can fail.
    pub(super) fn appear(mut self) -> Result<(RegionDirectory, File, WriterLock), RegionError> {
        let again = |file: &File| file.try_clone().map_err(RegionError::io("open", &self.path));
        let data = again(&self.data)?;
        let lock = WriterLock { writer: again(&self.lock.writer)?, workers: again(&self.lock.workers)? };
        let mut directory = self.directory.take().expect("a new region has its directory until it appears");
        fault::point("region-made");
        match os::rename_no_replace(&directory.path, &self.path) {
            Ok(()) => {
                fault::point("region-named");
                directory.path.clone_from(&self.path);
                Ok((directory, data, lock))
            }
            Err(error) => {
                let target = directory.target.clone();
                discard(directory);
                let taken =
                    [io::ErrorKind::AlreadyExists, io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotADirectory];
                if taken.contains(&error.kind()) {
                    return Err(exists(&target));
                }
                Err(RegionError::io("name", &self.path)(error))
            }
        }
    }
}

impl Drop for NewRegion {
    fn drop(&mut self) {
        if let Some(directory) = self.directory.take() {
            discard(directory);
        }
    }
}

/// Removes what a creation that failed has left.
fn discard(directory: RegionDirectory) {
    if let Err(error) = directory.remove_files() {
        tracing::warn!(%error, "an unfinished region stays behind");
    }
}

fn exists(target: &RegionTarget) -> RegionError {
    match RegionDirectory::open(target).and_then(|directory| directory.is_alive()) {
        // whether that one lives cannot be told
        Err(error @ RegionError::ForeignOwner { .. }) => error,
        answer => RegionError::Exists { target: target.clone(), alive: answer.unwrap_or(false) },
    }
}
