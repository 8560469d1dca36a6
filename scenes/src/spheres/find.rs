//! Verlet lists: the order of the table, and who may be touched. Made anew when a sphere has moved too far from where they
//! were made, or rows, sizes or the number of spheres have changed.
//!
//! A list follows from the state alone (the anchors, by whose cells the table is sorted), so a run that is resumed makes
//! the same one.
#![forbid(unsafe_code)]

use hypostyle::space::{Box3, CellGrid, NeighbourSearch, SpaceError};
use hypostyle::{Entity, GlobalId, Read, System, Write};

use super::{
    Anchor, Body, Cell, ContactLaw, Drift, JOB_ROWS, KEPT_MAX, Listed, NEAR_MAX, Near, Pace, Place, Pushes, RATIO_MAX,
    Slots, Sum, Walls, law,
};

/// How much further than touch lists reach, in radii of the smallest sphere: at rest, and at most.
const SKIN_MIN: f64 = 0.2;
const SKIN_MAX: f64 = 1.0;

impl Pace {
    /// Lists reach so much further than touch: as far as two can come nearer in a frame or two, within limits.
    fn skin(&self, dt: f64) -> f64 {
        (4.0 * self.speed_max * dt).clamp(SKIN_MIN * self.radius_min, SKIN_MAX * self.radius_min)
    }
}

impl Listed {
    pub(super) fn reach(&self) -> f64 {
        2.0 * self.radius_max + self.skin
    }

    /// Cells as wide as lists reach.
    pub(super) fn grid(&self, walls: &Walls) -> Result<CellGrid<f64, 3>, SpaceError> {
        let low = walls.min.map(f64::from);
        let side = std::array::from_fn(|axis| f64::from(walls.max[axis]) - low[axis]);
        CellGrid::new(&Box3::open(low, side)?, self.reach())
    }
}

/// The cells; then the table is sorted by them.
pub(super) fn bin(first: bool, substeps: u32) -> System {
    let name = if first { "first bin" } else { "bin" };
    let system =
        System::try_rows::<(Write<Cell>, Write<Anchor>, Read<Body>)>(name, move |job, (mut cell, mut anchor, body)| {
            let pace = job.resource::<Pace>()?;
            if pace.radius_max > RATIO_MAX * pace.radius_min {
                let Pace { radius_min: min, radius_max: max, .. } = pace;
                return Err(
                    format!("radii are from {min} to {max} m: they must be within a factor of {RATIO_MAX}").into()
                );
            }
            let dt = if first { job.dt() } else { job.dt() * f64::from(substeps) };
            let listed = Listed { skin: pace.skin(dt), radius_max: pace.radius_max, spheres: pace.spheres };
            if job.first_row() == 0 {
                job.set_resource(listed);
            }
            let grid = listed.grid(&job.resource::<Walls>()?)?;
            for (row, [x, y, z, radius]) in body.at.iter().enumerate() {
                cell.key[row] = grid.key([*x, *y, *z]);
                (anchor.x[row], anchor.y[row], anchor.z[row], anchor.radius[row]) = (*x, *y, *z, *radius);
            }
            Ok(())
        })
        .reads_resource::<Pace>()
        .reads_resource::<Walls>()
        .sets_resource::<Listed>()
        .sort_by("cell.key")
        .sort_then_by("global_id.value")
        // made anew from the rows before anybody reads them
        .sort_leaves::<(Near, Slots, Pushes, Sum, Place)>();
    where_due(system, first)
}

/// Lists who may be touched: first those that are not smaller (of equals, those with a higher id), whose contacts the
/// row keeps; then those that keep theirs with it.
pub(super) fn find(first: bool) -> System {
    let name = if first { "first find" } else { "find" };
    let system = System::try_neighbours::<(Write<Near>, Write<Place>), (Read<Anchor>, Read<Cell>, Read<GlobalId>)>(
        name,
        |job, (mut near, mut place), others| {
            let (listed, walls) = (job.resource::<Listed>()?, job.resource::<Walls>()?);
            let Some(own) = others.own() else { return Ok(()) };
            let table = others.table(own);
            let (anchor, cells, ids) = table.columns;
            let grid = listed.grid(&walls)?;
            let starts = job.cell_starts(cells.key, grid.count())?;
            let mut search = NeighbourSearch::new(&grid, &starts, [anchor.x, anchor.y, anchor.z], listed.reach());
            let place_rows = &mut place.row[..];
            let (lists, spans) = (near.partners.as_flattened_mut(), &mut near.span[..]);
            let (mut next, mut theirs) = (0, Vec::with_capacity(NEAR_MAX));
            for row in 0..job.len() {
                let i = job.first_row() + row;
                let found = search.of(i).map_err(|error| same_place(error, table.entities, ids.value))?;
                let (x, y, z, radius) = (anchor.x[i], anchor.y[i], anchor.z[i], anchor.radius[i]);
                let start = next;
                theirs.clear();
                for j in found {
                    let other = *j as usize;
                    let d = [anchor.x[other] - x, anchor.y[other] - y, anchor.z[other] - z];
                    let reach = radius + anchor.radius[other] + listed.skin;
                    if d[0] * d[0] + d[1] * d[1] + d[2] * d[2] >= reach * reach {
                        continue;
                    }
                    if (radius, ids.value[i]) < (anchor.radius[other], ids.value[other]) {
                        if let Some(place) = lists.get_mut(next) {
                            *place = *j;
                        }
                        next += 1;
                    } else {
                        theirs.push(*j);
                    }
                }
                let own = next;
                if own - start > KEPT_MAX {
                    return Err(format!(
                        "entity {} has more than {KEPT_MAX} that are not smaller within {} m of its surface, more than it \
                         can keep contacts with: choose radii that differ less",
                        table.entities[i], listed.skin
                    )
                    .into());
                }
                next += theirs.len();
                let Some(place) = lists.get_mut(own..next) else {
                    return Err(format!(
                        "entity {} and those around it have more than {NEAR_MAX} others each within {} m of their surfaces, \
                         more than lists hold: choose radii that differ less",
                        table.entities[i], listed.skin
                    )
                    .into());
                };
                place.copy_from_slice(&theirs);
                (spans[row], place_rows[row]) = ([start as u32, own as u32, next as u32, job.first_row() as u32], i as u32);
            }
            Ok(())
        },
    )
    .reads_resource::<Listed>()
    .reads_resource::<Walls>()
    .rebuilds::<Near>()
    .job_rows(JOB_ROWS);
    where_due(system, first)
}

/// Tells each row which place it has in the lists of those that keep their contacts with it.
pub(super) fn link(first: bool) -> System {
    let name = if first { "first link" } else { "link" };
    let system =
        System::try_neighbours::<(Write<Slots>, Read<Near>), Read<Near>>(name, |job, (mut slots, near), others| {
            let Some(own) = others.own() else { return Ok(()) };
            let all = others.table(own).columns;
            let (lists, all_lists) = (near.partners.as_flattened(), all.partners.as_flattened());
            let slots = slots.slots.as_flattened_mut();
            for row in 0..job.len() {
                let i = (job.first_row() + row) as u32;
                let [_, from, to, _] = near.span[row].map(|place| place as usize);
                for (j, slot) in lists[from..to].iter().zip(&mut slots[from..to]) {
                    // what a copy of another rank's keeps is computed here once more
                    let Some(span) = all.span.get(*j as usize) else { continue };
                    let [start, own, _, first] = span.map(|place| place as usize);
                    let kept = &all_lists[first * NEAR_MAX + start..first * NEAR_MAX + own];
                    let Some(place) = kept.iter().position(|with| *with == i) else {
                        return Err(format!("row {i} is not in the list of row {j}, which keeps their contact").into());
                    };
                    *slot = place as u8;
                }
            }
            Ok(())
        })
        .without_ghosts()
        .rebuilds::<Slots>()
        .job_rows(JOB_ROWS);
    where_due(system, first)
}

fn same_place(error: SpaceError, entities: &[Entity], ids: &[u64]) -> String {
    match error {
        SpaceError::SamePlace { row, other } => {
            let (one, other) = (named(entities, ids, row), named(entities, ids, other));
            format!("entities {one} and {other} are at one place: no direction to push")
        }
        other => other.to_string(),
    }
}

/// The name of a row's entity: its handle, or its global id if it is a copy of another rank's.
pub(super) fn named(entities: &[Entity], ids: &[u64], row: usize) -> String {
    match entities[row] {
        Entity::GHOST => format!("of global id {} on another rank", ids[row]),
        entity => entity.to_string(),
    }
}

/// In the frame before the first, or where a sphere has moved too far.
fn where_due(system: System, first: bool) -> System {
    match first {
        true => system.stage("startup"),
        false => system.run_if::<Drift>(|drift| drift.moved > 0).in_loop("substeps"),
    }
}

/// That the schedule's substeps are enough for the stiffness and the smallest sphere.
pub(super) fn enough(law: &ContactLaw, radius: f64, dt: f64, substeps: u32) -> Result<(), String> {
    let needed = law::substeps(law, radius, dt);
    // rounding may ask for one more
    if needed <= substeps + 1 {
        return Ok(());
    }
    Err(format!(
        "a stiffness of {} N/m and a radius of {radius} m need {needed} substeps of a frame of {dt} s \
         ({} in a contact), the schedule has {substeps}: make it with these --stiffness and --radii",
        law.stiffness,
        super::STEPS_PER_CONTACT
    ))
}
