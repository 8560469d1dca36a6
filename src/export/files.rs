//! Exports as files: Arrow IPC, Parquet, CSV, VTK. A file appears whole or not at all.
#![forbid(unsafe_code)]

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use crate::checkpoint::CheckpointError;
use crate::checkpoint::place::NewFile;
use crate::snapshot::{Pinned, Reader};

use super::{Batches, ExportError, ExportOptions, csv, order, row_groups, vtp};

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Arrow IPC, the file format (Feather version 2). Uncompressed, so that a reader can map it.
    Arrow,
    /// Parquet, with zstd.
    Parquet,
    /// Comma-separated values with a line of names. Nulls are empty; arrays are columns of their own.
    Csv,
    /// VTK's PolyData in XML: points with all columns, for ParaView and PyVista.
    Vtp,
}

impl Format {
    /// The format that a file's name says.
    ///
    /// # Errors
    /// It says none.
    pub fn of(path: &Path) -> Result<Format, ExportError> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("arrow" | "feather" | "ipc") => Ok(Format::Arrow),
            Some("parquet") => Ok(Format::Parquet),
            Some("csv") => Ok(Format::Csv),
            Some("vtp") => Ok(Format::Vtp),
            _ => Err(ExportError::UnknownFormat { path: path.to_owned() }),
        }
    }

    /// How names of its files end.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Format::Arrow => "arrow",
            Format::Parquet => "parquet",
            Format::Csv => "csv",
            Format::Vtp => "vtp",
        }
    }

    /// Whether a file that begins so is one, and may be replaced by a newer one.
    fn alike(self) -> fn(&[u8]) -> bool {
        match self {
            Format::Arrow => |begin| begin.starts_with(b"ARROW1"),
            Format::Parquet => |begin| begin.starts_with(b"PAR1"),
            Format::Csv => |begin| begin.starts_with(b"entity"),
            Format::Vtp => |begin| begin.starts_with(b"<?xml"),
        }
    }
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Entities.
    pub rows: u64,
    /// Columns, the handles included.
    pub columns: usize,
    /// Record batches that it was written in.
    pub batches: u64,
    /// Its length.
    pub bytes: u64,
}

/// Writes the newest generation to a file; memory is bounded by a few batches. A file of the same format that is there
/// is replaced.
///
/// # Errors
/// As [`Batches::new`]; what the system refuses. Then no file has changed.
pub fn write(reader: Reader, path: &Path, format: Format, options: &ExportOptions) -> Result<Exported, ExportError> {
    let options = ExportOptions { flat: options.flat || format == Format::Csv, ..options.clone() };
    let batches = Batches::new(reader, &options)?;
    let schema = batches.schema();
    write_in_order(path, format, schema, batches, &options)
}

/// Writes generations that are parts of one world to a file, as [`write()`] does: part after part, each as record batches of
/// its own. What the schema tells of a generation is told of the first one.
///
/// # Errors
/// [`ExportError::Parts`]: there are none, or they have different columns; else as for [`write()`].
pub fn write_parts(
    parts: Vec<Pinned>,
    path: &Path,
    format: Format,
    options: &ExportOptions,
) -> Result<Exported, ExportError> {
    let options = ExportOptions { flat: options.flat || format == Format::Csv, ..options.clone() };
    let (schema, batches) = joined(parts, &options)?;
    write_in_order(path, format, schema, batches, &options)
}

/// The record batches of parts of one world that are pinned already, part after part, under the schema of the first.
///
/// # Errors
/// [`ExportError::Parts`]: there are none, or they have different columns; else as for [`Batches::of`].
pub fn joined(
    parts: Vec<Pinned>,
    options: &ExportOptions,
) -> Result<(SchemaRef, impl Iterator<Item = Result<RecordBatch, ExportError>> + use<>), ExportError> {
    let parts = parts.into_iter().map(|part| Batches::of(part, options)).collect::<Result<Vec<_>, _>>()?;
    let schema = parts.first().map(Batches::schema).ok_or(ExportError::Parts)?;
    if parts.iter().any(|part| part.schema().fields() != schema.fields()) {
        return Err(ExportError::Parts);
    }
    let own = Arc::clone(&schema);
    let batches = parts.into_iter().flatten().map(move |batch| {
        let batch = batch?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&own), batch.columns().to_vec(), &rows)?)
    });
    Ok((schema, batches))
}

/// Brings rows into the order that is asked for, and writes them.
fn write_in_order(
    path: &Path,
    format: Format,
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ExportError>>,
    options: &ExportOptions,
) -> Result<Exported, ExportError> {
    let points = options.points.as_deref();
    if options.order.is_empty() {
        return write_sorted(path, format, schema, batches, &[], points);
    }
    let batches = order::ordered(batches, &schema, &options.order)?;
    write_sorted(path, format, schema, batches.into_iter().map(Ok), &options.order, points)
}

/// Writes any record batches of a schema to a file, as [`write()`] does.
///
/// # Errors
/// What the batches' maker says; what the system refuses. Then no file has changed.
pub fn write_batches(
    path: &Path,
    format: Format,
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ExportError>>,
) -> Result<Exported, ExportError> {
    write_sorted(path, format, schema, batches, &[], None)
}

/// The same of rows that stand in the order of these columns.
fn write_sorted(
    path: &Path,
    format: Format,
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ExportError>>,
    columns: &[String],
    points: Option<&str>,
) -> Result<Exported, ExportError> {
    let mut new = NewFile::create(path, format.alike())?;
    let mut file = BufWriter::with_capacity(1 << 20, &mut new.file);
    let mut exported =
        Exported { path: path.to_owned(), format, rows: 0, columns: schema.fields().len(), batches: 0, bytes: 0 };
    let mut count = |batch: &RecordBatch| {
        exported.rows += batch.num_rows() as u64;
        exported.batches += 1;
    };
    match format {
        Format::Arrow => {
            let mut writer = arrow_ipc::writer::FileWriter::try_new(&mut file, &schema)?;
            for batch in batches {
                let batch = batch?;
                count(&batch);
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Format::Parquet => {
            let counted = batches.inspect(|batch| {
                if let Ok(batch) = batch {
                    count(batch);
                }
            });
            row_groups::write(&mut file, schema, counted, columns)?;
        }
        Format::Csv => {
            // a file of nothing still has its line of names
            csv::names(&mut file, &schema).map_err(CheckpointError::io("write", path))?;
            for batch in batches {
                let batch = batch?;
                count(&batch);
                csv::rows(&mut file, &batch)?;
            }
        }
        Format::Vtp => {
            // column by column: the batches only name the bytes of the generation
            let batches = batches.collect::<Result<Vec<_>, _>>()?;
            batches.iter().for_each(&mut count);
            vtp::write(&mut file, &schema, &batches, points, path)?;
        }
    }
    file.flush().map_err(CheckpointError::io("write", path))?;
    drop(file);
    exported.bytes = new.file.file().metadata().map_err(CheckpointError::io("look at", path))?.len();
    new.appear()?;
    Ok(exported)
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;
    use crate::checkpoint::sample;

    /// Past the process's limit of a file's length an export is an error that names it, in every format.
    #[test]
    fn exports_past_the_limit_of_the_process_are_errors() {
        crate::own_process::run("export::files::tests::exports_past_the_limit_of_the_process_are_errors", || {
            use rustix::process::{Resource, Rlimit, setrlimit};
            let directory = tempfile::tempdir().expect("a temporary directory");
            let limit = Rlimit { current: Some(2 << 10), maximum: None };
            setrlimit(Resource::Fsize, limit).expect("a limit");
            let world = sample::world();
            for format in [Format::Arrow, Format::Parquet, Format::Csv] {
                let name = format!("a.{}", format.extension());
                let path = directory.path().join(&name);
                let reader = world.reader().expect("a lease");
                let error = write(reader, &path, format, &ExportOptions::default()).expect_err("it is longer");
                assert!(error.to_string().contains("RLIMIT_FSIZE"), "{name}: {error}");
            }
            assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0);
        });
    }
}
