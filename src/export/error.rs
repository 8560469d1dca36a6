//! What can go wrong with an export.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::checkpoint::CheckpointError;
use crate::generation::SnapshotError;
use crate::journal::JournalError;
use crate::layout::did_you_mean;

/// What can go wrong with an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// No such component.
    #[error("there is no component `{name}`{}; the layout has {known}", did_you_mean(name, known.split(", ")))]
    UnknownComponent {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A list in a table of plain columns, as CSV is.
    #[error(
        "component `{component}` is a list, for which flat columns and points have no place: leave it out, or export to Arrow or Parquet"
    )]
    FlatList {
        /// The component.
        component: String,
    },
    /// Nothing says where points are.
    #[error(
        "{}: name a component with numbers `x` and `y`, and perhaps `z`, of one type as the place of points{}",
        named.as_ref().map_or_else(|| "no component has places".to_owned(), |named| format!("`{named}` has no places")),
        if known.is_empty() { String::new() } else { format!("; there are: {known}") }
    )]
    Points {
        /// What was asked for.
        named: Option<String>,
        /// Components that could be.
        known: String,
    },
    /// A name that does not say which format.
    #[error("{} does not say which format: use a name that ends with .arrow, .parquet, .csv or .vtp", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A directory that has another recording's frames, or other things.
    #[error("{} {what}: export to another directory, or to an empty one", path.display())]
    OtherRecording {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        what: String,
    },
    /// A column by which rows cannot be ordered.
    #[error(
        "rows cannot be ordered by `{column}`: name exported columns of whole numbers without a sign, as `global_id.value`"
    )]
    Order {
        /// What was asked for.
        column: String,
    },
    /// Journals of ranks that do not belong together.
    #[error(
        "the journal of rank {rank} has other frames than that of rank 0: they are not of one run, or one was cut off"
    )]
    Ranks {
        /// The first that differs.
        rank: usize,
    },
    /// Parts of a world that do not give one table.
    #[error("the parts have different columns, or there are none: give parts of one world, with the same components")]
    Parts,
    /// The generation could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The file could not be made.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A question that cannot be answered.
    #[error("the question cannot be answered: {what}")]
    Question {
        /// Why not.
        what: String,
    },
    /// Arrow refused something.
    #[error("cannot make Arrow data: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// Parquet refused something.
    #[error("cannot make a Parquet file: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}
