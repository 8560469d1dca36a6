//! How many bytes a table's columns take, and where their change stamps stand. Pure arithmetic, all of it checked.
//!
//! ```text
//! extent of a column            rows          capacity * item_bytes  (bits: 8 bytes for each 64 rows begun)
//!                               padding       to a multiple of 64
//!                               stamps        8 bytes for each CHUNK_ROWS rows begun
//! ```
//!
//! A table's columns stand in one order: the handles; each component's fields, components in the order of their
//! ids; a presence bit column for each toggle; a changed bit column for each tracked component. Invariant: the order
//! and the sizes depend on the layout, the set of components and the capacity, and on nothing else.
#![forbid(unsafe_code)]

use crate::layout::{Layout, LayoutProblem, SPAN_BYTES, Storage};
use crate::limits::{CHUNK_ROWS, COLUMN_ALIGN};

/// Bytes of one chunk's change stamp.
pub const STAMP_BYTES: u64 = 8;
/// Bytes of one entity handle, the item of a table's first column.
pub const HANDLE_BYTES: u64 = 8;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnRole {
    /// The handles of the rows' entities.
    Handles,
    /// A component's field.
    Field {
        /// The component's id.
        component: usize,
        /// The field's place in the component.
        field: usize,
    },
    /// Where the elements of a row's list are: the place of the first one, then how many there are.
    Span {
        /// The component's id.
        component: usize,
        /// 0: the place; 1: the number.
        part: usize,
    },
    /// One bit per row: whether it has a toggle component.
    Presence {
        /// The component's id.
        component: usize,
    },
    /// One bit per row: whether a tracked component was changed.
    Changed {
        /// The component's id.
        component: usize,
    },
}

/// The extent of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnPlan {
    /// What the column holds.
    pub role: ColumnRole,
    /// Bytes of a row; 0 for a column of bits.
    pub item_bytes: u64,
    /// Bytes from the extent's start to the first stamp; a multiple of 64.
    pub stamps_offset: u64,
    /// Bytes of rows, padding and stamps.
    pub extent_bytes: u64,
}

/// Where the stamps of a column begin and where its extent ends, both in bytes from the extent's start; `None` where
/// the numbers pass 64 bits.
#[must_use]
pub fn column_extent_bytes(item_bytes: u64, capacity_rows: u64) -> Option<(u64, u64)> {
    extent(item_bytes.checked_mul(capacity_rows)?, capacity_rows)
}

/// As [`column_extent_bytes`], for a column of one bit per row in 64-bit words.
#[must_use]
pub fn bit_column_extent_bytes(capacity_rows: u64) -> Option<(u64, u64)> {
    extent(capacity_rows.div_ceil(64).checked_mul(8)?, capacity_rows)
}

fn extent(row_bytes: u64, capacity_rows: u64) -> Option<(u64, u64)> {
    let stamps_offset = row_bytes.checked_next_multiple_of(COLUMN_ALIGN as u64)?;
    let stamps = capacity_rows.div_ceil(CHUNK_ROWS as u64).checked_mul(STAMP_BYTES)?;
    Some((stamps_offset, stamps_offset.checked_add(stamps)?))
}

/// The columns of a table with these components (ids, ascending, each once) and this capacity.
///
/// # Errors
/// [`LayoutProblem::ColumnTooLarge`] where a column's size passes 64 bits.
///
/// # Panics
/// When an id is not one of the layout's, or the ids do not ascend.
pub fn table_columns(
    layout: &Layout,
    components: &[usize],
    capacity_rows: u64,
) -> Result<Vec<ColumnPlan>, LayoutProblem> {
    assert!(components.is_sorted_by(|a, b| a < b), "a table's components are given in ascending order, each once");
    let items = |role, item_bytes| {
        let (stamps_offset, extent_bytes) = column_extent_bytes(item_bytes, capacity_rows)
            .ok_or(LayoutProblem::ColumnTooLarge { item_bytes, rows: capacity_rows })?;
        Ok(ColumnPlan { role, item_bytes, stamps_offset, extent_bytes })
    };
    let bits = |role| {
        let (stamps_offset, extent_bytes) = bit_column_extent_bytes(capacity_rows)
            .ok_or(LayoutProblem::ColumnTooLarge { item_bytes: 0, rows: capacity_rows })?;
        Ok(ColumnPlan { role, item_bytes: 0, stamps_offset, extent_bytes })
    };
    let mut columns = vec![items(ColumnRole::Handles, HANDLE_BYTES)?];
    for &component in components {
        for (field, declared) in layout.components[component].published_fields().iter().enumerate() {
            columns.push(items(ColumnRole::Field { component, field }, declared.ty.bytes() as u64)?);
        }
        if layout.components[component].storage == Storage::List {
            for part in 0..2 {
                columns.push(items(ColumnRole::Span { component, part }, SPAN_BYTES as u64 / 2)?);
            }
        }
    }
    for &component in components {
        if layout.components[component].storage == Storage::Toggle {
            columns.push(bits(ColumnRole::Presence { component })?);
        }
    }
    for &component in components {
        if layout.components[component].track_changes {
            columns.push(bits(ColumnRole::Changed { component })?);
        }
    }
    for &component in components {
        if layout.components[component].storage == Storage::Scratch {
            for (field, declared) in layout.components[component].fields.iter().enumerate() {
                columns.push(items(ColumnRole::Field { component, field }, declared.ty.bytes() as u64)?);
            }
        }
        if layout.components[component].storage == Storage::ScratchList {
            for part in 0..2 {
                columns.push(items(ColumnRole::Span { component, part }, SPAN_BYTES as u64 / 2)?);
            }
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn extents_of_known_sizes() {
        assert_eq!(column_extent_bytes(4, 0), Some((0, 0)));
        assert_eq!(column_extent_bytes(4, 1), Some((64, 72)));
        assert_eq!(column_extent_bytes(4, 1024), Some((4096, 4104)));
        assert_eq!(column_extent_bytes(12, 1025), Some((12352, 12368)));
        assert_eq!(bit_column_extent_bytes(1), Some((64, 72)));
        assert_eq!(bit_column_extent_bytes(513), Some((128, 136)));
        assert_eq!(column_extent_bytes(8, u64::MAX / 8), None);
        assert_eq!(column_extent_bytes(u64::MAX, 2), None);
        assert_eq!(column_extent_bytes(1, u64::MAX), None);
        assert!(bit_column_extent_bytes(u64::MAX).is_some());
    }

    proptest! {
        #[test]
        fn extents_hold_their_rows_and_stamps(item in 1_u64..10_000, rows in 0_u64..1 << 33) {
            let (stamps, end) = column_extent_bytes(item, rows).unwrap();
            prop_assert!(stamps >= item * rows && stamps < item * rows + 64 && stamps.is_multiple_of(64));
            let chunks = (end - stamps) / 8;
            prop_assert_eq!((end - stamps) % 8, 0);
            prop_assert!(chunks * 1024 >= rows && chunks * 1024 < rows + 1024);
            let (stamps, _) = bit_column_extent_bytes(rows).unwrap();
            prop_assert!(stamps * 8 >= rows && stamps.is_multiple_of(64) && stamps * 8 < rows + 64 * 8 + 64);
        }
    }

    /// What a layout plans, as text that a reviewer can read.
    fn describe(layout: &Layout) -> String {
        let mut out = format!("{} hash {:016x}\n", layout.name(), layout.hash());
        for (id, c) in layout.components().iter().enumerate() {
            writeln!(
                out,
                "component {id} {} packed {} {:?}{}",
                c.name,
                c.packed_bytes(),
                c.storage,
                if c.track_changes { " tracked" } else { "" }
            )
            .unwrap();
        }
        for (id, r) in layout.resources().iter().enumerate() {
            writeln!(out, "resource {id} {} packed {}", r.name, r.packed_bytes()).unwrap();
        }
        for (id, table) in layout.tables().iter().enumerate() {
            let mut ids: Vec<usize> = table.components.iter().map(|c| layout.component(c).unwrap().0).collect();
            ids.sort_unstable();
            writeln!(out, "table {id} rows {} components {ids:?}", table.rows).unwrap();
            for plan in table_columns(layout, &ids, table.rows).unwrap() {
                let name = |c: usize| layout.components()[c].name.as_str();
                let column = match plan.role {
                    ColumnRole::Handles => "handles".to_owned(),
                    ColumnRole::Field { component, field } => {
                        format!("{}.{}", name(component), layout.components()[component].fields[field].name)
                    }
                    ColumnRole::Span { component, part } => format!("span {part} of {}", name(component)),
                    ColumnRole::Presence { component } => format!("presence of {}", name(component)),
                    ColumnRole::Changed { component } => format!("changed of {}", name(component)),
                };
                let ColumnPlan { item_bytes, stamps_offset, extent_bytes, .. } = plan;
                writeln!(out, "  {column}: item {item_bytes} stamps at {stamps_offset} extent {extent_bytes}").unwrap();
            }
        }
        out
    }

    /// A layout's plan and hash may only change on purpose: run with HYPOSTYLE_BLESS=1 to accept a change.
    #[test]
    fn golden_plans() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("layouts");
        let bless = std::env::var_os("HYPOSTYLE_BLESS").is_some();
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
        files.sort();
        assert!(files.len() >= 3, "the example layouts are there");
        for file in files {
            let layout = Layout::from_file(&file).unwrap();
            let golden = folder.join("golden").join(file.with_extension("txt").file_name().unwrap());
            let planned = describe(&layout);
            if bless {
                std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
                std::fs::write(&golden, &planned).unwrap();
            }
            let expected = std::fs::read_to_string(&golden).unwrap_or_default();
            assert_eq!(planned, expected, "{} differs; HYPOSTYLE_BLESS=1 accepts it", golden.display());
            assert_eq!(Layout::decode(&layout.encode()).unwrap(), layout);
        }
    }
}
