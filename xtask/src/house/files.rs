//! The repository's text files. Build output, dependencies and what is not UTF-8 are left out.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

/// Directories that are not part of the repository, wherever they are.
const NOT_OURS: &[&str] = &[".git", "target", "node_modules", "__pycache__", "corpus", "artifacts", "coverage"];
/// Larger files are data.
const BYTES_MAX: u64 = 1 << 20;

/// A file with its path from the root, `/` between its parts.
pub(crate) struct File {
    pub path: String,
    pub text: String,
}

impl File {
    /// Whether it is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// All files under `root`, sorted by path.
pub(crate) fn collect(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    walk(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn walk(directory: &Path, prefix: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let (kind, path) = (entry.file_type()?, format!("{prefix}{name}"));
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file()
            && entry.metadata()?.len() <= BYTES_MAX
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            files.push(File { path, text });
        }
    }
    Ok(())
}
