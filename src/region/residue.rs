//! What dead processes left behind: regions, half-made regions, memory of workers, files in the making.
//!
//! Invariants: what a living process holds is locked, and is never residue; what is too young to be locked yet is none
//! either; a file is looked at and removed by way of one open directory, and never through a link.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::RegionError;
use super::list::RegionInfo;
use crate::os;

/// What it is that a dead process left.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ResidueKind {
    /// A region whose writer died without keeping it.
    Region(Box<RegionInfo>),
    /// The directory of a region that was being made or removed.
    HalfMadeRegion,
    /// Memory that a main process shared with its workers.
    WorkerMemory,
    /// A checkpoint or another file that was being written.
    HalfMadeFile,
}

/// What a dead process left behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Residue {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: ResidueKind,
    /// Bytes of its files.
    pub bytes: u64,
    /// How long ago it changed last.
    pub age: Duration,
}

impl std::fmt::Display for ResidueKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ResidueKind::Region(_) => "region",
            ResidueKind::HalfMadeRegion => "half-made region",
            ResidueKind::WorkerMemory => "memory of workers",
            ResidueKind::HalfMadeFile => "half-written file",
        })
    }
}

/// What dead processes left in `parent` (`None`: the directory of named regions) and did not touch for `older_than`. Nothing
/// is removed: see [`Residue::remove`].
///
/// # Errors
/// What the system refuses when it lists the directory.
pub fn residue(parent: Option<&Path>, older_than: Duration) -> Result<Vec<Residue>, RegionError> {
    let mut found = Vec::new();
    let named: Option<&Path> = os::named_root();
    let Some(parent) = parent.or(named) else { return Ok(found) };
    for info in super::list_in(parent)?.into_iter().filter(RegionInfo::is_stale) {
        #[cfg(unix)]
        let (bytes, age) = super::list::shared::measure(&info.path);
        #[cfg(not(unix))]
        let (bytes, age) = (0, Duration::ZERO);
        let path = info.path.clone();
        let is_half_made = info.temporary;
        let kind = if is_half_made { ResidueKind::HalfMadeRegion } else { ResidueKind::Region(Box::new(info)) };
        found.push(Residue { path, kind, bytes, age });
    }
    #[cfg(unix)]
    found.extend(files::in_directory(parent)?);
    found.retain(|residue| residue.age >= older_than);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Removes all that dead processes left in `parent` (`None`: the directory of named regions) and did not touch for
/// `older_than`, and returns it. What was left on purpose stays: see [`clean`](super::clean).
///
/// # Errors
/// What the system refuses when it lists the directory. What cannot be removed stays, and is logged.
pub fn clean_stale(parent: Option<&Path>, older_than: Duration) -> Result<Vec<Residue>, RegionError> {
    let mut cleaned = Vec::new();
    for residue in residue(parent, older_than)? {
        match residue.remove() {
            Ok(()) => cleaned.push(residue),
            // It went, or came back to life, since it was listed.
            Err(RegionError::NotFound { .. } | RegionError::Live { .. }) => {}
            Err(error) => tracing::warn!(%error, "residue stays"),
        }
    }
    Ok(cleaned)
}

impl Residue {
    /// Removes it, where it is still what it was when it was found.
    ///
    /// # Errors
    /// [`RegionError::Live`]; [`RegionError::NotFound`]; [`RegionError::NotRegion`]: there is something else there now.
    pub fn remove(&self) -> Result<(), RegionError> {
        match self.kind {
            ResidueKind::Region(_) | ResidueKind::HalfMadeRegion => {
                super::clean(&super::RegionTarget::from_path(&self.path))
            }
            #[cfg(unix)]
            ResidueKind::WorkerMemory | ResidueKind::HalfMadeFile => files::remove(&self.path),
            #[cfg(not(unix))]
            _ => Err(RegionError::Unsupported { what: "removing files of dead processes" }),
        }
    }
}

/// Files of their own: locked by the process that they belong to for as long as it lives.
#[cfg(unix)]
mod files {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::time::Duration;

    use super::{Residue, ResidueKind};
    use crate::limits::WORKER_MEMORY_PREFIX;
    use crate::os;
    use crate::region::error::RegionError;
    use crate::region::files::TEMPORARY_PREFIX;
    use crate::region::target::RegionTarget;

    /// How long a file may be without its lock: its maker takes it at once.
    const UNLOCKED_MAX: Duration = Duration::from_secs(10);

    fn kind_of(name: &str, is_named_root: bool) -> Option<ResidueKind> {
        if name.starts_with(TEMPORARY_PREFIX) {
            return Some(ResidueKind::HalfMadeFile);
        }
        (is_named_root && name.starts_with(WORKER_MEMORY_PREFIX)).then_some(ResidueKind::WorkerMemory)
    }

    pub(super) fn in_directory(parent: &Path) -> Result<Vec<Residue>, RegionError> {
        let directory = os::open_directory(parent, true).map_err(RegionError::io("open", parent))?;
        let is_named_root = Some(parent) == os::named_root();
        let mut found = Vec::new();
        for (name, is_file) in os::names_in(&directory).map_err(RegionError::io("read", parent))? {
            let Some(name) = name.to_str().filter(|_| is_file) else { continue };
            let Some(kind) = kind_of(name, is_named_root) else { continue };
            let Some((_, bytes, age)) = unlocked(&directory, name) else { continue };
            found.push(Residue { path: parent.join(name), kind, bytes, age });
        }
        Ok(found)
    }

    /// Opens and locks a file that nobody holds and nobody is about to hold, with its bytes and age; nothing: it is another
    /// user's, a living process's, or too young.
    fn unlocked(directory: &File, name: &str) -> Option<(File, u64, Duration)> {
        let file = os::open_file(directory, name, false).ok()?;
        let metadata = file.metadata().ok()?;
        let user = os::user_id();
        let age = metadata.modified().ok()?.elapsed().ok()?;
        let is_ours = metadata.is_file() && (metadata.uid() == user || user == 0);
        (is_ours && age >= UNLOCKED_MAX && file.try_lock().is_ok()).then_some((file, metadata.len(), age))
    }

    pub(super) fn remove(path: &Path) -> Result<(), RegionError> {
        let target = || RegionTarget::Directory(path.to_owned());
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = os::open_directory(parent, true).map_err(RegionError::io("open", parent))?;
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| RegionError::NotFound { target: target() })?;
        if kind_of(name, Some(parent) == os::named_root()).is_none() {
            let what = "its name is not one of a file of a dead process".to_owned();
            return Err(RegionError::NotRegion { path: path.to_owned(), what });
        }
        // held until it is gone
        let Some((_file, ..)) = unlocked(&directory, name) else {
            return Err(RegionError::Live { target: target(), pid: 0 });
        };
        os::remove_file(&directory, name).map_err(RegionError::io("remove", path))
    }
}
