//! Verlet lists: the order of the table, and who is within cutoff and skin. Made where an atom has moved too far.
#![forbid(unsafe_code)]

use hypostyle::space::PackedRows;
use hypostyle::{List, Read, System, Write};

use super::{Anchor, Cell, Force, Image, Melt, Neighbour, Place, Position, Rebuild, SpaceError, kernel, where_due};

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
                for (row, (at, image)) in at.iter_mut().zip(image.iter_mut()).enumerate() {
                    let (inside, boxes) = bounds.wrap_axis(axis, *at);
                    let all =
                        Image::of(*image, boxes).map_err(|why| format!("entity {}: {why}", job.entities()[row]))?;
                    (*at, *image) = (inside, all);
                }
            }
            for (row, key) in cell.key.iter_mut().enumerate() {
                *key = grid.key([position.x[row], position.y[row], position.z[row]].map(anchored));
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
    .sort_leaves::<(List<Neighbour>, Anchor, Place, Force)>();
    where_due::atoms_moved(system, first)
}

/// Notes where atoms are in this frame: of these places the lists are made, now and wherever the state is taken up.
pub(super) fn anchor(first: bool) -> System {
    let name = if first { "first anchor" } else { "anchor" };
    let system = System::rows::<(Write<Anchor>, Read<Position>)>(name, |_, (mut anchor, p)| {
        for (anchor, p) in [(&mut anchor.x, p.x), (&mut anchor.y, p.y), (&mut anchor.z, p.z)] {
            anchor.iter_mut().zip(p).for_each(|(anchor, p)| *anchor = anchored(*p));
        }
    });
    where_due::atoms_moved(system, first)
}

/// A coordinate as an anchor has it.
fn anchored(at: f64) -> f32 {
    at as f32
}

/// Makes the lists.
pub(super) fn list(anew: bool) -> System {
    let name = if anew { "list anew" } else { "list" };
    let system = System::try_neighbours::<Read<Cell>, (Read<Anchor>, Read<Cell>)>(name, |job, _, others| {
        let melt = job.resource::<Melt>()?;
        let Some(table) = others.own() else { return Ok(()) };
        let table = others.table(table);
        let (p, cells) = table.columns;
        let grid = melt.grid()?;
        let starts = job.cell_starts(cells.key, grid.count())?;
        let rows = job.first_row()..job.first_row() + job.len();
        let mut words = Vec::new();
        let take = |row: usize, found: &[u32]| {
            words.clear();
            PackedRows::pack(found, &mut words);
            job.set_list_row_with(row, words.len(), |index| Neighbour { packed: words[index] });
        };
        kernel::lists(melt.reach() as f32, (&grid, &starts), [p.x, p.y, p.z], rows, take).map_err(
            |error| match error {
                SpaceError::SamePlace { row, other } => format!(
                    "entities {} and {} are at the same place: their force has no direction",
                    table.entities[row], table.entities[other]
                ),
                other => other.to_string(),
            },
        )?;
        Ok(())
    })
    .builds_lists::<Neighbour>()
    .reads_resource::<Melt>();
    if anew { where_due::lists_are_new(system).rebuilds::<Neighbour>() } else { where_due::atoms_moved(system, false) }
}
