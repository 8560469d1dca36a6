//! Forces of the neighbours.
#![forbid(unsafe_code)]

use hypostyle::space::PackedRows;
use hypostyle::{Read, System, Write};

use super::{Force, Melt, Neighbour, Place, Position, kernel, where_due};

/// The places of neighbours stand side by side for the forces: one piece of memory for each.
pub(super) fn pack(anew: bool) -> System {
    let name = if anew { "pack anew" } else { "pack" };
    let system = System::rows::<(Write<Place>, Read<Position>)>(name, |_, (mut place, p)| {
        kernel::pack(&mut place.at, [p.x, p.y, p.z]);
    });
    if anew { where_due::lists_are_new(system).rebuilds::<Place>() } else { system }
}

/// The force on own rows.
pub(super) fn force(anew: bool) -> System {
    let name = if anew { "force anew" } else { "force" };
    let system = System::try_neighbours::<Write<Force>, Read<Place>>(name, |job, mut force, others| {
        let melt = job.resource::<Melt>()?;
        let Some(own) = others.own() else { return Ok(()) };
        let places = others.table(own).columns.at;
        let (lists, first_row) = (job.lists::<Neighbour>()?, job.first_row());
        let words = lists.columns().packed;
        let force = [&mut force.x[..], &mut force.y, &mut force.z];
        kernel::forces(&melt, places, first_row, |row| PackedRows(&words[lists.range(row)]), force)?;
        Ok(())
    })
    .reads_lists::<Neighbour>()
    .reads_resource::<Melt>();
    if anew { where_due::lists_are_new(system).rebuilds::<Force>() } else { system }
}
