//! How a file comes to its place: whole or not at all.
//!
//! It is written under another name in the same directory, brought to disk, renamed, and the directory brought to disk.
//! Whoever looks at any instant, or after a loss of power, finds the file that was there before or the new one. While
//! it is written it is locked, so that what a dead process left is told from what a living one makes.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::fault;
use crate::os::Output;

use super::error::CheckpointError;

/// What files in the making begin with.
const TEMPORARY_PREFIX: &str = ".hypostyle-tmp-";
/// Attempts at a name that nobody uses.
const ATTEMPTS_MAX: u32 = 1000;

/// A file in the making. Dropped before [`NewFile::appear`], it is gone.
pub(crate) struct NewFile {
    /// To write to.
    pub(crate) file: Output,
    temporary: PathBuf,
    path: PathBuf,
    appeared: bool,
}

impl NewFile {
    /// Begins a file that is to be at `path`. An empty file that is there may be replaced, and one whose first 8 bytes
    /// are `alike`.
    ///
    /// # Errors
    /// [`CheckpointError::Taken`] where something else is there; what the system refuses.
    pub(crate) fn create(path: &Path, alike: fn(&[u8]) -> bool) -> Result<NewFile, CheckpointError> {
        check_free(path, alike)?;
        fault::refusal("file-make").map_err(CheckpointError::io("make", path))?;
        if path.file_name().is_none() {
            return Err(CheckpointError::Taken { path: path.to_owned() });
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut attempt = 0;
        loop {
            let name = format!("{TEMPORARY_PREFIX}{}-{attempt}", crate::os::pid());
            let temporary = path.with_file_name(name);
            match options.open(&temporary) {
                Ok(file) => {
                    let file = Output::new(file).map_err(CheckpointError::io("look at", &temporary))?;
                    let new = NewFile { file, temporary, path: path.to_owned(), appeared: false };
                    // where a file system has no locks, the file is only not told from a dead one's
                    if let Err(error) = new.file.file().try_lock() {
                        tracing::debug!(%error, "a file in the making is not locked");
                    }
                    return Ok(new);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && attempt < ATTEMPTS_MAX => {
                    attempt += 1;
                }
                Err(error) => return Err(CheckpointError::io("make", &temporary)(error)),
            }
        }
    }

    /// Brings it to disk and to its place.
    ///
    /// # Errors
    /// What the system refuses; then nothing has changed.
    pub(crate) fn appear(mut self) -> Result<(), CheckpointError> {
        let synced = fault::refusal("file-sync").and_then(|()| self.file.file().sync_all());
        synced.map_err(CheckpointError::io("write out", &self.temporary))?;
        fault::point("file-synced");
        let renamed = fault::refusal("file-rename").and_then(|()| std::fs::rename(&self.temporary, &self.path));
        renamed.map_err(CheckpointError::io("make", &self.path))?;
        self.appeared = true;
        fault::point("file-renamed");
        sync_directory(&self.path)?;
        fault::point("names-synced");
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.appeared {
            // what is left of it is swept later
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// The directory that a file is in.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Brings the names in a file's directory to disk.
fn sync_directory(path: &Path) -> Result<(), CheckpointError> {
    if cfg!(unix) {
        let parent = parent_of(path);
        File::open(parent).and_then(|file| file.sync_all()).map_err(CheckpointError::io("write out", parent))?;
    }
    Ok(())
}

/// Nothing, an empty file or one of its own kind may be replaced.
fn check_free(path: &Path, alike: fn(&[u8]) -> bool) -> Result<(), CheckpointError> {
    let taken = || CheckpointError::Taken { path: path.to_owned() };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CheckpointError::io("look at", path)(error)),
        Ok(metadata) if !metadata.is_file() => return Err(taken()),
        Ok(metadata) if metadata.len() == 0 => return Ok(()),
        Ok(_) => {}
    }
    let mut begin = Vec::new();
    let read = crate::os::open_regular(path).and_then(|file| file.take(8).read_to_end(&mut begin));
    read.map_err(CheckpointError::io("look at", path))?;
    if alike(&begin) { Ok(()) } else { Err(taken()) }
}

/// The files of a directory whose names end with `suffix`, and where a prefix is given are `PREFIX-` and digits before it.
///
/// # Errors
/// What the system refuses.
pub(super) fn of_prefix(directory: &Path, prefix: Option<&str>, suffix: &str) -> Result<Vec<PathBuf>, CheckpointError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(CheckpointError::io("read", directory))? {
        let path = entry.map_err(CheckpointError::io("read", directory))?.path();
        let Some(stem) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(suffix)) else { continue };
        // another prefix may begin like this one
        let of = |prefix| {
            let frame = stem.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
            frame.is_some_and(|frame| frame.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if prefix.is_none_or(of) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Removes what dead processes left half made in a directory. Files of living ones are locked, and stay.
///
/// # Errors
/// What the system refuses.
pub(crate) fn sweep(directory: &Path) -> Result<(), CheckpointError> {
    for entry in std::fs::read_dir(directory).map_err(CheckpointError::io("read", directory))? {
        let entry = entry.map_err(CheckpointError::io("read", directory))?;
        if !entry.file_name().as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            continue;
        }
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let unlocked = || OpenOptions::new().write(true).open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        // its maker has it open before it is locked: a young one may be about to be
        let old = || {
            entry.metadata().and_then(|m| m.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() >= 2))
        };
        if is_file && old() && unlocked() {
            // somebody else may have been quicker
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}
