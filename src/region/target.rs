//! Where a region lives: its kind, its name or its path, as users write them.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::RegionError;
use crate::limits::NAME_BYTES_MAX;
use crate::os;

/// What named regions' directories begin with.
pub(crate) const NAMED_PREFIX: &str = "hypostyle.";

/// Where a region lives.
///
/// Parsed from text, anything with a `/` or a leading `.` is a directory and all else a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegionTarget {
    /// In this process's own memory: private, gone with the process.
    Heap,
    /// In shared memory under a name: letters, digits, `_` and `-`, at most 64 of them.
    Named(String),
    /// In a directory of this path, which must not exist yet when the region is created; its parent must.
    Directory(PathBuf),
}

impl RegionTarget {
    /// The directory that holds the region's files; `None` for a private one.
    ///
    /// # Errors
    /// A name that is none, or a platform without named regions.
    pub fn path(&self) -> Result<Option<PathBuf>, RegionError> {
        match self {
            RegionTarget::Heap => Ok(None),
            RegionTarget::Directory(path) => Ok(Some(path.clone())),
            RegionTarget::Named(name) => {
                check_name(name)?;
                let root = os::named_root().ok_or(RegionError::Unsupported { what: "a named region" })?;
                Ok(Some(root.join(format!("{NAMED_PREFIX}{name}"))))
            }
        }
    }

    /// The target whose files lie in `path`.
    #[must_use]
    pub fn from_path(path: &Path) -> Self {
        let name = || {
            let name = path.file_name()?.to_str()?.strip_prefix(NAMED_PREFIX)?;
            (path.parent() == os::named_root() && check_name(name).is_ok()).then(|| name.to_owned())
        };
        name().map_or_else(|| RegionTarget::Directory(path.to_owned()), RegionTarget::Named)
    }
}

/// A name that can be a file's name and a word on a command line.
fn check_name(name: &str) -> Result<(), RegionError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    if fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        Ok(())
    } else {
        Err(RegionError::BadName { name: name.to_owned() })
    }
}

impl FromStr for RegionTarget {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        if text.contains('/') || text.starts_with('.') {
            return Ok(RegionTarget::Directory(text.into()));
        }
        check_name(text)?;
        Ok(RegionTarget::Named(text.to_owned()))
    }
}

impl fmt::Display for RegionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegionTarget::Heap => f.write_str("private region"),
            RegionTarget::Named(name) => f.write_str(name),
            RegionTarget::Directory(path) => {
                let text = path.display().to_string();
                if text.contains('/') || text.starts_with('.') { f.write_str(&text) } else { write!(f, "./{text}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_a_target_and_back() {
        for (text, target) in [
            ("ants", RegionTarget::Named("ants".into())),
            ("a-1_B", RegionTarget::Named("a-1_B".into())),
            ("./ants", RegionTarget::Directory("./ants".into())),
            ("/data/ants", RegionTarget::Directory("/data/ants".into())),
            (".ants", RegionTarget::Directory(".ants".into())),
        ] {
            assert_eq!(text.parse::<RegionTarget>().expect(text), target);
            assert_eq!(target.to_string(), text);
        }
        assert_eq!(RegionTarget::Directory("ants".into()).to_string(), "./ants");
        for text in ["", "two words", "ants.1", "näme", &"x".repeat(65)] {
            assert!(matches!(text.parse::<RegionTarget>(), Err(RegionError::BadName { .. })), "{text}");
        }
        assert!(RegionTarget::Named("../x".into()).path().is_err());
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn a_path_leads_back_to_its_target() {
        let named = RegionTarget::Named("ants".into());
        assert_eq!(RegionTarget::from_path(&named.path().expect("a path").expect("has one")), named);
        let path = Path::new("elsewhere/hypostyle.ants");
        assert_eq!(RegionTarget::from_path(path), RegionTarget::Directory(path.into()));
    }
}
