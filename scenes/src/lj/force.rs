//! Forces of the neighbours.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Write};

use super::{Force, Melt, Neighbours, Position, kernel};

/// The force on own rows.
pub(super) fn force(first: bool) -> System {
    let name = if first { "first force" } else { "force" };
    System::try_neighbours::<(Write<Force>, Read<Neighbours>), Read<Position>>(
        name,
        |job, (mut force, neighbours), others| {
            let melt = job.resource::<Melt>()?;
            let Some(own) = others.own() else { return Ok(()) };
            let p = others.table(own).columns;
            let lists = (neighbours.rows, neighbours.count);
            let force = [&mut force.x[..], &mut force.y, &mut force.z];
            kernel::forces(&melt, [p.x, p.y, p.z], job.first_row(), lists, force)?;
            Ok(())
        },
    )
    .reads_resource::<Melt>()
    .stage(if first { "startup" } else { "update" })
}
