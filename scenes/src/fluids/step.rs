//! The four systems of a step.
#![forbid(unsafe_code)]

use hypostyle::space::{Box3, CellGrid, NeighbourSearch, SpaceError};
use hypostyle::{Job, KernelError, Neighbours, Read, System, Write};

use super::law::{Law, Particle};
use super::{Cell, Density, Fluid, Position, Tank, Velocity};

/// Cells as wide as half of what a particle sees.
fn grid(tank: &Tank) -> Result<CellGrid<f64, 3>, SpaceError> {
    CellGrid::new(&Box3::open([0.0; 3], tank.side)?, 0.5 * tank.reach())
}

/// The cells; then the table is sorted by them.
pub(super) fn bin() -> System {
    System::try_rows::<(Write<Cell>, Read<Position>)>("bin", |job, (mut cell, at)| {
        let grid = grid(&job.resource::<Tank>()?)?;
        for (row, key) in cell.key.iter_mut().enumerate() {
            *key = grid.key([at.x[row], at.y[row], at.z[row]]);
        }
        Ok(())
    })
    .reads_resource::<Tank>()
    .sort_by("cell.key")
    .sort_then_by("global_id.value")
}

/// What particles see of each other.
type All = (Read<Position>, Read<Velocity>, Read<Fluid>, Read<Density>, Read<Cell>);

/// Sums over the neighbours of each of the job's rows: `add(sum, own, other)`, then `put(row, own, sum)`.
fn sum_over_neighbours<const N: usize>(
    job: &mut Job<'_, '_>,
    all: &Neighbours<'_, All>,
    tank: &Tank,
    law: &Law,
    add: impl Fn(&mut [f64; N], &Particle, &Particle),
    mut put: impl FnMut(usize, &Particle, [f64; N]),
) -> Result<(), KernelError> {
    let grid = grid(tank)?;
    let Some(own) = all.own() else { return Ok(()) };
    let (at, velocity, fluid, density, cell) = all.table(own).columns;
    let starts = job.cell_starts(cell.key, grid.count())?;
    let mut search = NeighbourSearch::new(&grid, &starts, [at.x, at.y, at.z], tank.reach());
    let masses = [tank.mass(0), tank.mass(1)];
    let particle = |row: usize| {
        let kind = fluid.kind[row];
        Particle {
            at: [at.x[row], at.y[row], at.z[row]],
            velocity: [velocity.x[row], velocity.y[row], velocity.z[row]],
            mass: masses[usize::from(kind != 0)],
            density: density.value[row],
            pressure: law.pressure(kind, density.value[row]),
        }
    };
    for row in 0..job.len() {
        let table_row = job.first_row() + row;
        let own = particle(table_row);
        let mut sum = [0.0; N];
        for other in search.of(table_row)? {
            add(&mut sum, &own, &particle(*other as usize));
        }
        put(row, &own, sum);
    }
    Ok(())
}

/// Densities, by how the neighbours move.
pub(super) fn compress() -> System {
    System::try_neighbours::<Write<Density>, All>("compress", |job, mut density, all| {
        let (tank, dt) = (job.resource::<Tank>()?, job.dt());
        let law = Law::new(&tank);
        let add = |sum: &mut [f64; 1], own: &Particle, other: &Particle| sum[0] += law.density_rate(own, other);
        sum_over_neighbours(job, &all, &tank, &law, add, |row, own, [rate]| {
            density.value[row] = own.density + dt * rate
        })
    })
    .reads_resource::<Tank>()
    .job_rows(256)
}

/// Velocities, by the new densities, the walls and gravity.
pub(super) fn push() -> System {
    System::try_neighbours::<Write<Velocity>, All>("push", |job, mut velocity, all| {
        let (tank, dt) = (job.resource::<Tank>()?, job.dt());
        let law = Law::new(&tank);
        let add = |sum: &mut [f64; 3], own: &Particle, other: &Particle| {
            for (sum, part) in sum.iter_mut().zip(law.acceleration(own, other)) {
                *sum += part;
            }
        };
        sum_over_neighbours(job, &all, &tank, &law, add, |row, own, sum| {
            let [x, y, z] = std::array::from_fn(|axis| sum[axis] + law.walls(own.at[axis], tank.side[axis]));
            velocity.x[row] = own.velocity[0] + dt * x;
            velocity.y[row] = own.velocity[1] + dt * (y - tank.gravity);
            velocity.z[row] = own.velocity[2] + dt * z;
        })
    })
    .reads_resource::<Tank>()
    .after("compress")
    .job_rows(256)
}

/// Places, by the new velocities.
pub(super) fn drift() -> System {
    System::try_rows::<(Write<Position>, Read<Velocity>, Read<Density>)>("drift", |job, (mut at, velocity, density)| {
        let (dt, tank) = (job.dt(), job.resource::<Tank>()?);
        at.x.map_with(velocity.x, |x, v| x + dt * v);
        at.y.map_with(velocity.y, |y, v| y + dt * v);
        at.z.map_with(velocity.z, |z, v| z + dt * v);
        let limit = tank.reach() / dt;
        for row in 0..job.len() {
            let v = [velocity.x[row], velocity.y[row], velocity.z[row]];
            let ok = v.iter().all(|v| v.abs() < limit) && density.value[row] > 0.0;
            if !ok {
                return Err(format!(
                    "entity {} has velocity {v:?} m/s and density {} kg/m^3 (frame {}): steps of {dt} s are too long for it",
                    job.entities()[row],
                    density.value[row],
                    job.frame()
                )
                .into());
            }
        }
        Ok(())
    })
    .reads_resource::<Tank>()
    .after("push")
}
