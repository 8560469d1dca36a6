//! States for analysts: Arrow record batches over a pinned generation's columns, and files of them.
//!
//! One schema for all tables: the entity's handle, then each component's fields. A row whose entity lacks a component
//! has nulls there; a component without fields is a column of its presence. A list is one Arrow list for each field. [`Batches`] gives each table as one or
//! more record batches. Columns are not copied: the batches hold the generation for as long as they live. What has
//! other bytes in Arrow is (bools are bits there, null handles are nulls).
//!
//! Architecture invariant: an ordinary reader; nothing here knows extents or directories.

mod batches;
mod csv;
mod error;
mod files;
mod lists;
mod memory;
mod order;
#[cfg(feature = "query")]
pub mod query;
mod row_groups;
mod schema;
mod series;
mod vtp;

pub use batches::Batches;
pub use error::ExportError;
pub use files::{Exported, Format, joined, write, write_batches, write_parts};
pub use series::{Series, series, series_of_ranks};

/// What to export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportOptions {
    /// These components alone, and entities in tables that have any of them; `None`: all.
    pub components: Option<Vec<String>>,
    /// Each element of an array as a column of its own, `velocity.v[0]`, rather than a fixed-size list. They are copied.
    pub flat: bool,
    /// Texts to add to the schema's metadata, beside the layout and what is told of the generation.
    pub metadata: Vec<(String, String)>,
    /// Rows in the order of these columns, whole numbers without a sign (of cells, of global ids); rows without a value come last.
    /// Parquet files say so, and have row groups of 128 k rows, so that readers leave out what a query cannot meet. What
    /// stands in order is not copied; else the state is, once.
    pub order: Vec<String>,
    /// Where the points of VTK's files are: a component with fields `x`, `y` and perhaps `z`. `None`: `position`, or the first that
    /// has them.
    pub points: Option<String>,
    /// Simulated time as a column beside the entities: of the frames of a data set.
    pub(crate) time: bool,
}

impl ExportOptions {
    /// Sets the components.
    #[must_use]
    pub fn components(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.components = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets whether arrays become columns.
    #[must_use]
    pub fn flat(mut self, flat: bool) -> Self {
        self.flat = flat;
        self
    }

    /// Sets the component of the points of VTK's files.
    #[must_use]
    pub fn points(mut self, component: impl Into<String>) -> Self {
        self.points = Some(component.into());
        self
    }

    /// Sets the order of rows.
    ///
    /// ```
    /// let options = hypostyle::export::ExportOptions::default().order(["cell.key", "global_id.value"]);
    /// assert_eq!(options.order.len(), 2);
    /// ```
    #[must_use]
    pub fn order(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.order = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Adds to the metadata.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((name.into(), value.into()));
        self
    }
}
