//! Ghosts for a batch: behind the rows of which columns they are needed.
#![forbid(unsafe_code)]

use crate::layout::Storage;
use crate::schedule::graph::Group;
use crate::table::ColumnKind;
use crate::world::{GhostError, WorldError};

use super::build::BuildContext;
use super::matches::Matches;

/// Puts ghosts where the views of a group's systems look for them.
/// `columns` is kept for its memory.
pub(super) fn lay(
    group: &Group,
    matches: &Matches,
    around: &mut BuildContext<'_>,
    columns: &mut Vec<(u32, u16)>,
) -> Result<(), WorldError> {
    columns.clear();
    for system in group.systems().filter(|system| !around.skips[*system]) {
        let compiled = &around.compiled[system];
        for view in 0..compiled.others.len() {
            if !compiled.shows_ghosts(view) {
                continue;
            }
            for (index, data) in around.store.data_tables().filter(|(_, data)| data.ghosts.rows > 0) {
                let Some(matched) = matches.others(system, view, index) else { continue };
                let kinds = || matched.columns.iter().flatten().map(|column| data.columns[usize::from(*column)].kind);
                if !matched.mask.is_empty() || kinds().any(|kind| is_toggle(around, kind)) {
                    let (system, table) = (compiled.name.clone(), around.store.table_names(index));
                    return Err(GhostError::Bits { system, table }.into());
                }
                columns.push((index, 0));
                for (column, kind) in matched.columns.iter().flatten().zip(kinds()) {
                    if data.ghosts.column(kind).is_none() {
                        let (system, table) = (compiled.name.clone(), around.store.table_names(index));
                        return Err(GhostError::Missing { system, table, component: name(around, kind) }.into());
                    }
                    columns.push((index, *column));
                }
            }
        }
    }
    columns.sort_unstable();
    columns.dedup();
    Ok(around.store.lay_ghosts(columns)?)
}

/// Whether a column's component is there or not by a bit of each row.
fn is_toggle(around: &BuildContext<'_>, kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::Field { component, .. } if around.store.storage(component) == Storage::Toggle)
}

/// The component of a field's column.
fn name(around: &BuildContext<'_>, kind: ColumnKind) -> String {
    match kind {
        ColumnKind::Field { component, .. } => around.store.layout.components()[usize::from(component)].name.clone(),
        _ => String::new(),
    }
}
