//! Sets of checkpoints: one world in the files of several processes, and a manifest that names them.
//!
//! A set of frame 100 in a directory is `lj-000000000100.checkpoints`, the manifest, and `lj-000000000100/`, which has
//! `rank-00000.checkpoint` and so on, ordinary checkpoints of parts of the rows. The manifest is TOML, which this library
//! reads anyway. It is made last and appears whole: where it is, the set is complete. It has the length and the hash
//! (XXH3, 128 bits) of each file.
//!
//! Invariants: a manifest is hostile until checked, and names files beside it alone; a file is believed once its bytes
//! have the hash.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use xxhash_rust::xxh3::Xxh3;

use crate::limits::CHECKPOINT_SET_BYTES_MAX;

use super::error::CheckpointError;
use super::format;
use super::place::{self, NewFile};
use super::read::{self, CheckpointFile};

/// What names of manifests end with.
const SUFFIX: &str = ".checkpoints";
/// What a manifest begins with, before the number of its format.
const BEGIN: &str = "hypostyle_checkpoints = ";
/// The only format there is.
const FORMAT: u64 = 1;
/// Bytes of a file that are read at once.
const READ_BYTES: usize = 1 << 20;

/// A complete set of checkpoints.
///
/// ```no_run
/// use hypostyle::{World, checkpoint::CheckpointSet};
/// let set = CheckpointSet::open("melt/lj-000000000100.checkpoints".as_ref())?;
/// let world = set.restore(World::builder())?;
/// assert_eq!((world.frame(), world.entity_count()), (set.frame(), set.rows()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSet {
    path: PathBuf,
    frame: u64,
    rows: u64,
    notes: Vec<(String, String)>,
    order: Vec<String>,
    files: Vec<SetFile>,
}

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFile {
    /// Its length.
    pub bytes: u64,
    /// XXH3 of 128 bits.
    pub hash: u128,
    /// Rows in it.
    pub rows: u64,
}

impl SetFile {
    /// What a manifest says of a checkpoint that was written.
    ///
    /// # Errors
    /// A file that cannot be read, or is no checkpoint.
    pub fn of(path: &Path) -> Result<SetFile, CheckpointError> {
        let rows = read::open(path)?.entity_count();
        let (bytes, hash) = hash_of(path)?;
        Ok(SetFile { bytes, hash, rows })
    }
}

/// Length and hash of a file.
fn hash_of(path: &Path) -> Result<(u64, u128), CheckpointError> {
    let io = CheckpointError::io;
    let mut file = crate::os::open_regular(path).map_err(io("open", path))?;
    let (mut state, mut bytes, mut piece) = (Xxh3::new(), 0, vec![0; READ_BYTES]);
    loop {
        match file.read(&mut piece).map_err(io("read", path))? {
            0 => return Ok((bytes, state.digest128())),
            read => {
                state.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
}

impl CheckpointSet {
    /// Where the manifest of a set of a frame is.
    #[must_use]
    pub fn path_of(directory: &Path, prefix: &str, frame: u64) -> PathBuf {
        directory.join(format!("{prefix}-{frame:012}{SUFFIX}"))
    }

    /// Where the file of a rank is, given where the manifest is.
    #[must_use]
    pub fn file_path_of(manifest: &Path, rank: usize) -> PathBuf {
        manifest.with_extension("").join(format!("rank-{rank:05}.checkpoint"))
    }

    /// Writes a manifest of files that are there: the set is complete from then on. `order` are the columns in whose
    /// order the rows stand where all are in one world; `notes` are kept as a checkpoint keeps them.
    ///
    /// # Errors
    /// Notes that do not fit; a name that is none of a manifest; no files; what the system refuses. Then nothing changed.
    pub fn write(
        path: &Path,
        frame: u64,
        files: Vec<SetFile>,
        order: Vec<String>,
        notes: Vec<(String, String)>,
    ) -> Result<CheckpointSet, CheckpointError> {
        format::check_notes(&notes).map_err(|what| CheckpointError::Notes { what })?;
        let rows = files.iter().map(|file| file.rows).fold(0, u64::saturating_add);
        let set = CheckpointSet { path: path.to_owned(), frame, rows, notes, order, files };
        // what could not be read is not written
        let text = set.to_toml();
        if CheckpointSet::parse(path, &text)? != set {
            return Err(set.bad("its columns and notes cannot be written"));
        }
        let mut new = NewFile::create(path, begins_like_one)?;
        new.file.write_all(text.as_bytes()).map_err(CheckpointError::io("write", path))?;
        new.appear()?;
        Ok(set)
    }

    /// Whether a file begins as a manifest does.
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        let mut begin = [0; BEGIN.len()];
        let read = crate::os::open_regular(path).and_then(|mut file| file.read_exact(&mut begin));
        read.is_ok() && begin == BEGIN.as_bytes()
    }

    /// Reads and checks a manifest. Its files are looked at when they are opened.
    ///
    /// # Errors
    /// No such file; one that is no manifest; numbers that contradict each other.
    pub fn open(path: &Path) -> Result<CheckpointSet, CheckpointError> {
        let bytes =
            crate::os::read_regular(path, CHECKPOINT_SET_BYTES_MAX).map_err(CheckpointError::io("open", path))?;
        let text = String::from_utf8(bytes).map_err(|_| bad(path, "it is no text"))?;
        CheckpointSet::parse(path, &text)
    }

    /// As [`CheckpointSet::open`], of the text of a manifest that is at `path`.
    ///
    /// # Errors
    /// As [`CheckpointSet::open`].
    pub(crate) fn parse(path: &Path, text: &str) -> Result<CheckpointSet, CheckpointError> {
        let name =
            path.file_name().and_then(|name| name.to_str()?.strip_suffix(SUFFIX)).filter(|name| !name.is_empty());
        if name.is_none() {
            return Err(bad(path, format!("a manifest's name ends with `{SUFFIX}`, and its files are beside it")));
        }
        let Some(rest) = text.strip_prefix(BEGIN) else {
            return Err(bad(
                path,
                format!("it is no manifest of checkpoints: it does not begin with `{}`", BEGIN.trim()),
            ));
        };
        let format = rest.lines().next().unwrap_or_default();
        if format.parse() != Ok(FORMAT) {
            return Err(bad(path, format!("its format is {format}, this program knows {FORMAT}")));
        }
        let table = DeTable::parse(text).map_err(|error| bad(path, error.message().to_owned()))?;
        let set = Manifest { path, table: table.get_ref() }.set()?;
        let sum = set.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.rows));
        match sum {
            Some(rows) if rows == set.rows && !set.files.is_empty() => Ok(set),
            _ => Err(set.bad("its files do not have the rows that it says")),
        }
    }

    fn to_toml(&self) -> String {
        let mut out = format!("{BEGIN}{FORMAT}\nframe = {}\nrows = {}\n", self.frame, self.rows);
        // writing to a String cannot fail
        let order: Vec<String> = self.order.iter().map(|column| quoted(column)).collect();
        let _ = writeln!(out, "order = [{}]\n\n[notes]", order.join(", "));
        for (name, value) in &self.notes {
            let _ = writeln!(out, "{} = {}", quoted(name), quoted(value));
        }
        for (rank, SetFile { bytes, hash, rows }) in self.files.iter().enumerate() {
            let _ = writeln!(out, "\n[[files]] # rank {rank}\nbytes = {bytes}\nhash = \"{hash:032x}\"\nrows = {rows}");
        }
        out
    }

    /// The manifest.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// After this frame.
    #[must_use]
    pub fn frame(&self) -> u64 {
        self.frame
    }

    /// Rows of all files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The texts that its maker kept beside it.
    #[must_use]
    pub fn notes(&self) -> &[(String, String)] {
        &self.notes
    }

    /// A note by name.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The columns in whose order the rows stand where all are in one world.
    #[must_use]
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// What it says of its files, one of each rank.
    #[must_use]
    pub fn files(&self) -> &[SetFile] {
        &self.files
    }

    /// Where a rank's file is.
    #[must_use]
    pub fn file_path(&self, rank: usize) -> PathBuf {
        CheckpointSet::file_path_of(&self.path, rank)
    }

    /// Opens a rank's file: every byte of it is read and compared with the manifest's hash.
    ///
    /// # Errors
    /// A file that is missing, or not the one that was written.
    ///
    /// # Panics
    /// If there is no such rank.
    pub fn file(&self, rank: usize) -> Result<CheckpointFile, CheckpointError> {
        let (path, told) = (self.file_path(rank), &self.files[rank]);
        let (bytes, hash) = hash_of(&path)?;
        if bytes != told.bytes || hash != told.hash {
            return Err(bad(&path, "it is not the file that the manifest names: its bytes have another hash"));
        }
        let file = read::open(&path)?;
        if file.frame() != self.frame || file.entity_count() != told.rows {
            return Err(bad(&path, format!("it is of frame {}, and the set of frame {}", file.frame(), self.frame)));
        }
        Ok(file)
    }

    /// Whether all files are there with their lengths.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let whole = |(rank, file): (usize, &SetFile)| {
            std::fs::metadata(self.file_path(rank)).is_ok_and(|there| there.len() == file.bytes)
        };
        self.files.iter().enumerate().all(whole)
    }

    /// The sets in a directory whose names begin with `PREFIX-`, newest first. What is no manifest is left out.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn in_directory(directory: &Path, prefix: Option<&str>) -> Result<Vec<CheckpointSet>, CheckpointError> {
        let mut found = Vec::new();
        for path in place::of_prefix(directory, prefix, SUFFIX)? {
            match CheckpointSet::open(&path) {
                Ok(set) => found.push(set),
                Err(error) => tracing::debug!(%error, "left out"),
            }
        }
        found.sort_by(|a, b| (b.frame, &b.path).cmp(&(a.frame, &a.path)));
        Ok(found)
    }

    /// The newest complete set in a directory; `None`: there is none.
    ///
    /// # Errors
    /// What the system refuses. A directory that is missing has none.
    pub fn newest(directory: &Path, prefix: Option<&str>) -> Result<Option<CheckpointSet>, CheckpointError> {
        if !directory.exists() {
            return Ok(None);
        }
        let mut all = CheckpointSet::in_directory(directory, prefix)?.into_iter();
        Ok(all.find(CheckpointSet::is_complete))
    }

    /// Removes it: its files, and the manifest last. Where that fails or is cut short, what is left is a set that is not
    /// complete ([`CheckpointSet::newest`] leaves it out), which can be found and removed again.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn remove(self) -> Result<(), CheckpointError> {
        let gone = |path: &Path, removed: std::io::Result<()>| match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CheckpointError::io("remove", path)(error))
            }
            _ => Ok(()),
        };
        for rank in 0..self.files.len() {
            let path = self.file_path(rank);
            gone(&path, std::fs::remove_file(&path))?;
        }
        let directory = self.path.with_extension("");
        gone(&directory, std::fs::remove_dir(&directory))?;
        gone(&self.path, std::fs::remove_file(&self.path))
    }

    fn bad(&self, what: impl Into<String>) -> CheckpointError {
        bad(&self.path, what)
    }
}

pub(super) fn bad(path: &Path, what: impl Into<String>) -> CheckpointError {
    CheckpointError::Set { path: path.to_owned(), what: what.into() }
}

/// What holds for every text that is taken for a manifest: it says the same once it is written again.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn check_text(text: &str) {
    let path = Path::new("fuzz-000000000000.checkpoints");
    let Ok(set) = CheckpointSet::parse(path, text) else { return };
    assert_eq!(CheckpointSet::parse(path, &set.to_toml()).expect("what was accepted can be written"), set);
    assert!((0..set.files.len()).all(|rank| set.file_path(rank).starts_with("fuzz-000000000000")));
}

fn begins_like_one(begin: &[u8]) -> bool {
    begin.len() >= 8 && BEGIN.as_bytes().starts_with(begin)
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => {
                // writing to a String cannot fail
                let _ = write!(out, "\\U{:08X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// The parts of a manifest.
struct Manifest<'t> {
    path: &'t Path,
    table: &'t DeTable<'t>,
}

impl Manifest<'_> {
    fn set(&self) -> Result<CheckpointSet, CheckpointError> {
        let mut set = CheckpointSet {
            path: self.path.to_owned(),
            frame: self.number(self.table, "frame")?,
            rows: self.number(self.table, "rows")?,
            notes: Vec::new(),
            order: Vec::new(),
            files: Vec::new(),
        };
        for column in self.array("order")? {
            set.order.push(self.text(column, "a column of `order`")?);
        }
        let notes = match self.table.get("notes").map(toml::Spanned::get_ref) {
            Some(DeValue::Table(notes)) => notes,
            _ => return Err(bad(self.path, "`notes` must be a table of texts")),
        };
        let mut noted: Vec<_> = notes.iter().collect();
        noted.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in noted {
            set.notes.push((name.get_ref().to_string(), self.text(value.get_ref(), "a note")?));
        }
        format::check_notes(&set.notes).map_err(|what| bad(self.path, what))?;
        for file in self.array("files")? {
            let DeValue::Table(file) = file else { return Err(bad(self.path, "`files` must be tables")) };
            let hash = self.text(self.value(file, "hash")?, "`hash`")?;
            let hash = (hash.len() == 32).then(|| u128::from_str_radix(&hash, 16).ok()).flatten();
            let hash = hash.ok_or_else(|| bad(self.path, "`hash` must be 32 hexadecimal digits"))?;
            set.files.push(SetFile { bytes: self.number(file, "bytes")?, hash, rows: self.number(file, "rows")? });
        }
        Ok(set)
    }

    fn value<'v>(&self, table: &'v DeTable<'v>, key: &str) -> Result<&'v DeValue<'v>, CheckpointError> {
        table.get(key).map(toml::Spanned::get_ref).ok_or_else(|| bad(self.path, format!("`{key}` is missing")))
    }

    fn number(&self, table: &DeTable<'_>, key: &str) -> Result<u64, CheckpointError> {
        let number = match self.value(table, key)? {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.ok_or_else(|| bad(self.path, format!("`{key}` must be a whole number of at most 64 bits")))
    }

    fn text(&self, value: &DeValue<'_>, what: &str) -> Result<String, CheckpointError> {
        match value {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(bad(self.path, format!("{what} must be a text"))),
        }
    }

    fn array(&self, key: &str) -> Result<impl Iterator<Item = &DeValue<'_>>, CheckpointError> {
        match self.value(self.table, key)? {
            DeValue::Array(items) => Ok(items.iter().map(toml::Spanned::get_ref)),
            _ => Err(bad(self.path, format!("`{key}` must be a list"))),
        }
    }
}

#[cfg(all(test, not(miri)))]
mod tests;
