//! A file that is written from its end on, and that the process's limit of a file's length does not kill.
//!
//! Past `RLIMIT_FSIZE` the kernel sends SIGXFSZ, which ends a process that does not ignore it. A library may not change
//! what signals do, so the limit is looked at before each write: what does not fit is an error that names it, and none
//! of it is written.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};

/// A file that grows at its end.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
    /// Where the next write begins, from the file's start.
    at: u64,
}

impl Output {
    /// Goes on at the end of a file that was opened to append, or that is new.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let at = file.metadata()?.len();
        Ok(Output { file, at })
    }

    /// Whether so many bytes more fit: to be asked before a record is written in pieces, so that none of it is.
    ///
    /// # Errors
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge), with the limit's name.
    pub(crate) fn check_room(&self, bytes: u64) -> io::Result<()> {
        super::check_file_limit(self.at.checked_add(bytes).ok_or(io::ErrorKind::FileTooLarge)?)
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check_room(bytes.len() as u64)?;
        let written = self.file.write(bytes)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a small file anew.
///
/// # Errors
/// What the system refuses; [`FileTooLarge`](io::ErrorKind::FileTooLarge), with the limit's name.
#[cfg(feature = "export")]
pub(crate) fn write_whole(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    super::check_file_limit(bytes.len() as u64)?;
    std::fs::write(path, bytes)
}
