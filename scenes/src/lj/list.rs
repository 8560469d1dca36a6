//! Verlet lists: the order of the table, and who is within cutoff and skin. Made where an atom has moved too far.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Write};

use super::{
    Anchor, Cell, Drift, Force, Image, Melt, Neighbours, Place, Position, Rebuild, RowsMoved, SpaceError, kernel,
};

/// When lists are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before the first frame.
    First,
    /// In frames in which an atom has moved too far.
    Due,
    /// Once more from the anchors, where rows are at other places than before.
    RowsMoved,
}

impl When {
    /// The name of a system.
    fn name(self, what: &str) -> String {
        match self {
            When::First => format!("first {what}"),
            When::Due => what.to_owned(),
            When::RowsMoved => format!("{what} again"),
        }
    }

    fn on(self, system: System) -> System {
        match self {
            When::First => system.stage("startup"),
            When::Due => system.run_if::<Drift>(|drift| drift.moved > 0),
            When::RowsMoved => system.run_if::<RowsMoved>(|moved| moved.due > 0).before("drift"),
        }
    }
}

/// Brings atoms into the box and gives each its cell; then the table is sorted by them, and in a cell by ids.
pub(super) fn bin(when: When) -> System {
    let first = when == When::First;
    let system = System::try_rows::<(Write<Position>, Write<Image>, Write<Cell>)>(
        when.name("bin"),
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
    when.on(system)
}

/// Notes where atoms are.
pub(super) fn anchor(when: When) -> System {
    let system = System::rows::<(Write<Anchor>, Read<Position>)>(when.name("anchor"), |_, (mut anchor, position)| {
        anchor.x.copy_from_slice(position.x);
        anchor.y.copy_from_slice(position.y);
        anchor.z.copy_from_slice(position.z);
    });
    when.on(system)
}

/// The lists of rows at other places are made.
pub(super) fn made() -> System {
    System::once("lists are made again", |job| job.set_resource(RowsMoved { due: 0 }))
        .run_if::<RowsMoved>(|moved| moved.due > 0)
        .sets_resource::<RowsMoved>()
        .after(When::RowsMoved.name("list"))
        .before("drift")
}

/// Makes the lists, of the anchors: they can be made again as long as these stand.
pub(super) fn list(when: When) -> System {
    let system = System::try_neighbours::<Write<Neighbours>, (Read<Anchor>, Read<Cell>)>(
        when.name("list"),
        move |job, mut own, others| {
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
            Ok(())
        },
    )
    .reads_resource::<Melt>();
    when.on(system)
}
