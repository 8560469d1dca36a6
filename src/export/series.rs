//! A journal as a data set: a file for every so many frames, in directories that say which.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::checkpoint::CheckpointError;
use crate::journal::Journal;
use crate::snapshot::Reader;

use super::{ExportError, ExportOptions, Format, write};

/// A data set that was written.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// The frames that it has, ascending.
    pub frames: Vec<u64>,
    /// Simulated seconds of each.
    pub times: Vec<f64>,
    /// Rows of all of them.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// The file that says whose frames a directory has. Tools leave names out that begin so.
const RECORDING: &str = "_hypostyle_recording";

/// Writes the frames of a journal that are multiples of `every` to `directory`, each as `frame=123/part-0.parquet`:
/// what pyarrow, polars, DuckDB and others read as one data set with a column `frame`, a whole number, beside a column
/// `time`. `options` is asked for each state. Frames that were undone are left out. The recording's number stands in each
/// file's metadata as `hypostyle.recording`, and in the directory, which no other recording can be exported to.
///
/// # Errors
/// [`ExportError::OtherRecording`]: the directory has another recording's frames, or other files. As [`write()`]; a damaged
/// journal. Files that are whole by then stay.
pub fn series(
    journal: &Journal,
    directory: &Path,
    format: Format,
    every: u64,
    options: impl FnMut(&mut Reader) -> Result<ExportOptions, ExportError>,
) -> Result<Series, ExportError> {
    let recording = format!("{:016x}", journal.recording_id());
    claim(directory, &recording)?;
    let mut done = Series::default();
    let to = Destination { directory, format, every, recording: &recording, rank: None };
    frames_of(journal, &to, options, &mut done)?;
    collection(&to, 1, &done)?;
    Ok(done)
}

/// Writes the frames of the journals of all ranks of a cluster, by rank, as [`series`] does of one: each frame of each rank as
/// `frame=123/rank=0/part-0.parquet`, so that the data set has a column `rank`, too.
///
/// # Errors
/// As [`series`]; [`ExportError::Ranks`]: journals that do not have the same frames. Files that are whole by then stay.
pub fn series_of_ranks(
    journals: &[Journal],
    directory: &Path,
    format: Format,
    every: u64,
    mut options: impl FnMut(&mut Reader) -> Result<ExportOptions, ExportError>,
) -> Result<Series, ExportError> {
    let frames = |journal: &Journal| {
        let frames = journal.entries().map(|entry| entry.frame).filter(|frame| frame.is_multiple_of(every.max(1)));
        frames.collect::<Vec<_>>()
    };
    let first = journals.first().map(frames).unwrap_or_default();
    if let Some(rank) = journals.iter().position(|journal| frames(journal) != first) {
        return Err(ExportError::Ranks { rank });
    }
    let ids: Vec<u8> = journals.iter().flat_map(|journal| journal.recording_id().to_le_bytes()).collect();
    let recording = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&ids));
    claim(directory, &recording)?;
    let mut done = Series::default();
    for (rank, journal) in journals.iter().enumerate() {
        let to = Destination { directory, format, every, recording: &recording, rank: Some(rank) };
        frames_of(journal, &to, &mut options, &mut done)?;
    }
    let to = Destination { directory, format, every, recording: &recording, rank: Some(0) };
    collection(&to, journals.len(), &done)?;
    Ok(done)
}

/// Of VTK's files the one that says which are of which time, `frames.pvd`: what ParaView opens.
fn collection(to: &Destination<'_>, parts: usize, done: &Series) -> Result<(), ExportError> {
    if to.format != Format::Vtp {
        return Ok(());
    }
    let mut text = "<?xml version=\"1.0\"?>\n<VTKFile type=\"Collection\" version=\"1.0\">\n<Collection>\n".to_owned();
    for (frame, time) in done.frames.iter().zip(&done.times) {
        for part in 0..parts {
            let rank = to.rank.map_or_else(String::new, |_| format!("rank={part}/"));
            text +=
                &format!("<DataSet timestep=\"{time}\" part=\"{part}\" file=\"frame={frame}/{rank}part-0.vtp\"/>\n");
        }
    }
    text += "</Collection>\n</VTKFile>\n";
    let path = to.directory.join("frames.pvd");
    crate::os::write_whole(&path, text.as_bytes()).map_err(CheckpointError::io("write", &path))?;
    Ok(())
}

/// Where frames of a journal go.
struct Destination<'d> {
    directory: &'d Path,
    format: Format,
    every: u64,
    recording: &'d str,
    rank: Option<usize>,
}

/// Writes the frames of one journal.
fn frames_of(
    journal: &Journal,
    to: &Destination<'_>,
    mut options: impl FnMut(&mut Reader) -> Result<ExportOptions, ExportError>,
    done: &mut Series,
) -> Result<(), ExportError> {
    let end = to.format.extension();
    let mut replay = journal.replay()?;
    for entry in journal.entries() {
        while replay.entry()?.generation < entry.generation && replay.advance()? {}
        if !entry.frame.is_multiple_of(to.every.max(1)) {
            continue;
        }
        let mut reader = replay.load()?;
        let time = reader.pin()?.time();
        let mut options = options(&mut reader)?.metadata("hypostyle.recording", to.recording);
        // VTK's files have it in a place of its own
        options.time = to.format != Format::Vtp;
        let mut place = to.directory.join(format!("frame={}", entry.frame));
        if let Some(rank) = to.rank {
            options = options.metadata("hypostyle.rank", rank.to_string());
            place.push(format!("rank={rank}"));
        }
        std::fs::create_dir_all(&place).map_err(CheckpointError::io("make", &place))?;
        let exported = write(reader, &place.join(format!("part-0.{end}")), to.format, &options)?;
        if to.rank.is_none_or(|rank| rank == 0) {
            done.frames.push(entry.frame);
            done.times.push(time);
        }
        done.rows += exported.rows;
        done.bytes += exported.bytes;
    }
    Ok(())
}

/// Makes the directory this recording's, where it is empty or missing; one that is this recording's already stays so.
fn claim(directory: &Path, recording: &str) -> Result<(), ExportError> {
    let io = CheckpointError::io;
    let marker = directory.join(RECORDING);
    let other = |what: String| Err(ExportError::OtherRecording { path: directory.to_owned(), what });
    match crate::os::read_regular(&marker, 64) {
        Ok(found) if found == recording.as_bytes() => Ok(()),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found).into_owned();
            other(format!("has frames of recording {found}, and this is recording {recording}"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(directory).map_err(io("make", directory))?;
            let mut entries = std::fs::read_dir(directory).map_err(io("read", directory))?;
            if entries.next().is_some() {
                return other(format!("has files, and no `{RECORDING}` that says whose they are"));
            }
            crate::os::write_whole(&marker, recording.as_bytes()).map_err(io("write", &marker))?;
            Ok(())
        }
        Err(error) => Err(io("read", &marker)(error).into()),
    }
}
