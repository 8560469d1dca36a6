//! Verlet lists: the order of the table, and who is within cutoff and skin. Made where an atom has moved too far.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Write};

use super::{Anchor, Cell, Drift, Force, Image, Melt, Neighbours, Place, Position, Rebuild, SpaceError, kernel};

/// Brings atoms into the box and gives each its cell; then the table is sorted by them.
pub(super) fn bin(first: bool) -> System {
    let name = if first { "first bin" } else { "bin" };
    let system = System::try_rows::<(Write<Position>, Write<Image>, Write<Cell>)>(
        name,
        move |job, (mut position, mut image, mut cell)| {
            let melt = job.resource::<Melt>()?;
            let (bounds, grid) = (melt.bounds()?, melt.grid()?);
            let columns =
                [(&mut position.x, &mut image.x), (&mut position.y, &mut image.y), (&mut position.z, &mut image.z)];
            for (axis, (at, image)) in columns.into_iter().enumerate() {
                for (at, image) in at.iter_mut().zip(image.iter_mut()) {
                    let (inside, boxes) = bounds.wrap_axis(axis, *at);
                    (*at, *image) = (inside, *image + boxes);
                }
            }
            for (row, key) in cell.key.iter_mut().enumerate() {
                *key = grid.key([position.x[row], position.y[row], position.z[row]]);
            }
            if !first {
                let before = job.resource::<Rebuild>()?;
                job.set_resource(Rebuild { frame: job.frame(), count: before.count + 1 });
            }
            Ok(())
        },
    )
    .reads_resource::<Melt>()
    .reads_resource::<Rebuild>()
    .sets_resource::<Rebuild>()
    .sort_by("cell.key")
    .sort_then_by("global_id.value")
    // made anew from the rows before anybody reads them
    .sort_leaves::<(Neighbours, Anchor, Place, Force)>();
    where_due(system, first)
}

/// Makes the lists.
pub(super) fn list(first: bool) -> System {
    let name = if first { "first list" } else { "list" };
    let system = System::try_neighbours::<(Write<Neighbours>, Write<Anchor>), (Read<Position>, Read<Cell>)>(
        name,
        move |job, (mut own, mut anchor), others| {
            let melt = job.resource::<Melt>()?;
            let Some(table) = others.own() else { return Ok(()) };
            let table = others.table(table);
            let (p, cells) = table.columns;
            let grid = melt.grid()?;
            let starts = job.cell_starts(cells.key, grid.count())?;
            let first_row = job.first_row();
            let lists = (&mut own.rows[..], &mut own.count[..]);
            kernel::lists(&melt, (&grid, &starts), [p.x, p.y, p.z], first_row, lists).map_err(|error| {
                let name = |row: usize| table.entities[row];
                match error {
                    SpaceError::TooMany { row, found, room } => format!(
                        "entity {} has {found} atoms within {} sigma, a list holds {room}: the melt is too dense here",
                        name(row),
                        melt.reach()
                    ),
                    SpaceError::SamePlace { row, other } => format!(
                        "entities {} and {} are at the same place: their force has no direction",
                        name(row),
                        name(other)
                    ),
                    other => other.to_string(),
                }
            })?;
            let rows = first_row..first_row + job.len();
            anchor.x.copy_from_slice(&p.x[rows.clone()]);
            anchor.y.copy_from_slice(&p.y[rows.clone()]);
            anchor.z.copy_from_slice(&p.z[rows]);
            Ok(())
        },
    )
    .reads_resource::<Melt>();
    where_due(system, first)
}

/// In the frame before the first, or where an atom has moved too far.
fn where_due(system: System, first: bool) -> System {
    match first {
        true => system.stage("startup"),
        false => system.run_if::<Drift>(|drift| drift.moved > 0),
    }
}
