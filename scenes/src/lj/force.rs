//! Forces of the neighbours.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Write};

use super::{Force, Melt, Neighbours, Place, Position, kernel};

/// The places of neighbours stand side by side for the forces: one piece of memory for each.
pub(super) fn pack(first: bool) -> System {
    let name = if first { "first pack" } else { "pack" };
    System::rows::<(Write<Place>, Read<Position>)>(name, |_, (mut place, p)| {
        kernel::pack(&mut place.at, [p.x, p.y, p.z]);
    })
    .stage(if first { "startup" } else { "update" })
}

/// The force on own rows.
pub(super) fn force(first: bool) -> System {
    let name = if first { "first force" } else { "force" };
    System::try_neighbours::<(Write<Force>, Read<Neighbours>), Read<Place>>(
        name,
        |job, (mut force, neighbours), others| {
            let melt = job.resource::<Melt>()?;
            let Some(own) = others.own() else { return Ok(()) };
            let places = others.table(own).columns.at;
            let lists = (neighbours.rows, neighbours.count);
            let force = [&mut force.x[..], &mut force.y, &mut force.z];
            kernel::forces(&melt, places, job.first_row(), lists, force)?;
            Ok(())
        },
    )
    .reads_resource::<Melt>()
    .stage(if first { "startup" } else { "update" })
}
