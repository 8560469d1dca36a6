//! One frame of a world of several ranks, each with a region, in a file or a set.
//!
//! Invariant: notes that say which part of the world a region has are in neither.
#![forbid(unsafe_code)]

use std::path::Path;

use super::error::CheckpointError;
use super::set::{CheckpointSet, SetFile};
use super::write::{CheckpointOptions, Report, write};
use super::{join, to_memory};
use crate::snapshot::Snapshot;

/// What [`write_ranks`] wrote.
#[derive(Debug)]
pub enum WrittenRanks {
    /// One file, as one process would have written it.
    File(Report),
    /// A file of each rank, and the manifest.
    Set(CheckpointSet),
}

impl WrittenRanks {
    /// Bytes of the checkpoints; the manifest is not counted.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        match self {
            WrittenRanks::File(report) => report.file_bytes,
            WrittenRanks::Set(set) => set.files().iter().map(|file| file.bytes).sum(),
        }
    }
}

/// Writes one frame of all ranks, given their snapshots by rank and what the region of rank 0 notes. A path that ends with
/// `.checkpoints` is that of a set's manifest, with a file of each rank beside it; any other is one file, as one process
/// would have written it. The notes of the world are kept, but for those that `options` has.
///
/// # Errors
/// Ranks that do not note in which order rows stand; parts that contradict each other; as [`write()`] and
/// [`CheckpointSet::write`]. Files of ranks may stay then; no manifest names them.
pub fn write_ranks(
    parts: &[Snapshot<'_>],
    noted: &[(String, String)],
    path: &Path,
    options: &CheckpointOptions,
) -> Result<WrittenRanks, CheckpointError> {
    let order = noted.iter().find(|(name, _)| name == "order").map(|(_, order)| order).ok_or(CheckpointError::Order)?;
    let order: Vec<String> = order.split(',').map(str::to_owned).collect();
    let mut options = options.clone();
    let given = std::mem::take(&mut options.notes);
    let kept = noted
        .iter()
        .filter(|(name, _)| !is_note_of_part(name) && given.iter().all(|(other, _)| other != name))
        .cloned();
    options.notes = given.iter().cloned().chain(kept).collect();
    if path.extension().is_some_and(|end| end == "checkpoints") {
        return write_set(path, parts, order, &options).map(WrittenRanks::Set);
    }
    let parts = parts.iter().map(to_memory).collect::<Result<_, _>>()?;
    let world = join(parts, &order)?;
    let mut reader = world.reader()?;
    Ok(WrittenRanks::File(write(&reader.pin()?, path, &options)?))
}

/// Whether a region's note of this name says which part of a world it is; all others are of the world.
fn is_note_of_part(name: &str) -> bool {
    matches!(name, "rank" | "ranks" | "cluster" | "order")
}

/// A checkpoint of each part, and the manifest, which has the notes of `options`.
fn write_set(
    path: &Path,
    parts: &[Snapshot<'_>],
    order: Vec<String>,
    options: &CheckpointOptions,
) -> Result<CheckpointSet, CheckpointError> {
    let folder = path.with_extension("");
    std::fs::create_dir_all(&folder).map_err(CheckpointError::io("make", &folder))?;
    let mut files = Vec::with_capacity(parts.len());
    for (rank, part) in parts.iter().enumerate() {
        let path = CheckpointSet::file_path_of(path, rank);
        write(part, &path, options)?;
        files.push(SetFile::of(&path)?);
    }
    let frame = parts.first().map_or(0, Snapshot::frame);
    CheckpointSet::write(path, frame, files, order, options.notes.clone())
}
