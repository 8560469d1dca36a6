#![forbid(unsafe_code)]
//! A journal as a data set: a file for every so many frames, in directories that say which.

use std::path::Path;

use crate::checkpoint::CheckpointError;
use crate::journal::Journal;
use crate::snapshot::Reader;

use super::{ExportError, ExportOptions, Format, write};

/// A data set that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Series {
    /// The frames that it has, ascending.
    pub frames: Vec<u64>,
    /// Rows of all of them.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Writes the frames of a journal that are multiples of `every` to `directory`, each as `frame=000123/part-0.parquet`:
/// what pyarrow, polars, DuckDB and others read as one data set with a column `frame`. `options` is asked for each
/// state. Frames that were undone are left out.
///
/// # Errors
/// As [`write()`]; a damaged journal. Files that are whole by then stay.
pub fn series(
    journal: &Journal,
    directory: &Path,
    format: Format,
    every: u64,
    mut options: impl FnMut(&mut Reader) -> Result<ExportOptions, ExportError>,
) -> Result<Series, ExportError> {
    let end = match format {
        Format::Arrow => "arrow",
        Format::Parquet => "parquet",
        Format::Csv => "csv",
    };
    let mut done = Series::default();
    let mut replay = journal.replay()?;
    for entry in journal.entries() {
        while replay.entry()?.generation < entry.generation && replay.advance()? {}
        if !entry.frame.is_multiple_of(every.max(1)) {
            continue;
        }
        let mut reader = replay.load()?;
        let options = options(&mut reader)?;
        let place = directory.join(format!("frame={:06}", entry.frame));
        std::fs::create_dir_all(&place).map_err(CheckpointError::io("make", &place))?;
        let exported = write(reader, &place.join(format!("part-0.{end}")), format, &options)?;
        done.frames.push(entry.frame);
        done.rows += exported.rows;
        done.bytes += exported.bytes;
    }
    Ok(done)
}
