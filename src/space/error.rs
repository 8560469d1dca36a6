//! What can be wrong with boxes, cells and lists.
#![forbid(unsafe_code)]

/// Why a tool of space refuses.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// A side of a box.
    #[error("axis {axis} of a box goes from {low} on and is {side} long: both must be finite, and the side above 0")]
    Side {
        /// Which axis, from 0.
        axis: usize,
        /// Where it begins.
        low: f64,
        /// Its length.
        side: f64,
    },
    /// The width of cells.
    #[error("cells of width {width}: it must be finite and above 0")]
    Width {
        /// The width.
        width: f64,
    },
    /// A periodic side that is too short.
    #[error(
        "axis {axis} of a periodic box is {side} long: it must be longer than {least}, twice the cutoff and two skins, so that \
         no row meets another one in two images"
    )]
    Narrow {
        /// Which axis, from 0.
        axis: usize,
        /// Its length.
        side: f64,
        /// What it must be longer than.
        least: f64,
    },
    /// The keys of a table are not in order.
    #[error("row {row} has the key {key} after {before}: sort the table by its keys first (`System::sort_by`)")]
    Unsorted {
        /// The first row that is out of order.
        row: usize,
        /// Its key.
        key: u32,
        /// The key of the row before.
        before: u32,
    },
    /// A key that no cell has.
    #[error("row {row} has the key {key}, and there are {cells} cells: give it the key of the same grid")]
    NoCell {
        /// The row.
        row: usize,
        /// Its key.
        key: u32,
        /// Cells of the grid.
        cells: usize,
    },
    /// Two rows at one place have no direction between them.
    #[error("rows {row} and {other} are at the same place: their force has no direction")]
    SamePlace {
        /// One.
        row: usize,
        /// The other.
        other: usize,
    },
    /// Words that are no packed list.
    #[error("{words} words of a packed list are left where {wanted} must follow: `PackedRows::pack` makes such lists")]
    NotPacked {
        /// Words that are left.
        words: usize,
        /// Words that must be there.
        wanted: usize,
    },
}
