//! The three systems of a step.
#![forbid(unsafe_code)]

use hypostyle::space::{Box3, CellGrid, NeighbourSearch, SpaceError};
use hypostyle::{Read, System, Write};

use super::law::{Change, Law, Particle};
use super::{Cell, Density, Fluid, Position, Rates, Tank, Velocity};

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
}

/// What the neighbours and the walls do to each particle.
pub(super) fn rates() -> System {
    type All = (Read<Position>, Read<Velocity>, Read<Fluid>, Read<Density>, Read<Cell>);
    System::try_neighbours::<Write<Rates>, All>("rates", |job, mut rates, all| {
        let tank = job.resource::<Tank>()?;
        let (grid, law) = (grid(&tank)?, Law::new(&tank));
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
            let mut sum = Change::default();
            for other in search.of(table_row)? {
                let change = law.change(&own, &particle(*other as usize));
                for (sum, part) in sum.acceleration.iter_mut().zip(change.acceleration) {
                    *sum += part;
                }
                sum.density += change.density;
            }
            let [x, y, z] = std::array::from_fn(|axis| sum.acceleration[axis] + law.walls(own.at[axis], tank.side[axis]));
            (rates.x[row], rates.y[row], rates.z[row], rates.density[row]) = (x, y, z, sum.density);
        }
        Ok(())
    })
    .reads_resource::<Tank>()
    .job_rows(256)
}

/// Velocities, then places; densities.
pub(super) fn advance() -> System {
    type Moved = (Write<Position>, Write<Velocity>, Write<Density>, Read<Rates>);
    System::try_rows::<Moved>("move", |job, (mut at, mut velocity, mut density, rates)| {
        let (dt, tank) = (job.dt(), job.resource::<Tank>()?);
        let fall = tank.gravity;
        velocity.x.map_with(rates.x, |v, a| v + dt * a);
        velocity.y.map_with(rates.y, |v, a| v + dt * (a - fall));
        velocity.z.map_with(rates.z, |v, a| v + dt * a);
        at.x.map_with(&velocity.x, |x, v| x + dt * v);
        at.y.map_with(&velocity.y, |y, v| y + dt * v);
        at.z.map_with(&velocity.z, |z, v| z + dt * v);
        density.value.map_with(rates.density, |density, rate| density + dt * rate);
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
}
