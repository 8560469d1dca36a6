//! Temperature, energies and pressure, measured from the state alone.
//!
//! Nothing is taken from the lists that the simulation keeps: pairs are found anew, so a pair that a list has lost
//! shows. Sums go by rows, so the bits depend on the state alone.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use hypostyle::{Read, World};

use super::super::{SceneError, Watch};
use super::{Box3, Melt, Position, Velocity, kernel};

/// What is to be seen, in reduced units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thermo {
    /// Atoms.
    pub atoms: u64,
    /// 2 * kinetic energy / (3 N - 3).
    pub temperature: f64,
    /// Per atom.
    pub potential: f64,
    /// Kinetic and potential energy, per atom.
    pub total: f64,
    /// ((3 N - 3) T + virial) / (3 V).
    pub pressure: f64,
}

/// Measures.
///
/// # Errors
/// A world of another scene.
pub fn thermo(world: &World) -> Result<Thermo, Box<dyn Error>> {
    let melt = world.resource::<Melt>()?;
    let bounds = melt.bounds()?;
    let mut places: Vec<[f64; 3]> = Vec::new();
    let mut twice_kinetic = 0.0;
    world.query::<(Read<Position>, Read<Velocity>)>(|entities, (p, v)| {
        for row in 0..entities.len() {
            places.push(std::array::from_fn(|axis| bounds.wrap_axis(axis, [p.x, p.y, p.z][axis][row]).0));
            twice_kinetic += v.x[row] * v.x[row] + v.y[row] * v.y[row] + v.z[row] * v.z[row];
        }
    })?;
    let n = places.len() as f64;
    let (potential, virial) = pairs(&places, &melt, &bounds);
    let freedom = 3.0 * n - 3.0;
    let temperature = twice_kinetic / freedom;
    Ok(Thermo {
        atoms: places.len() as u64,
        temperature,
        potential: potential / n,
        total: potential / n + 0.5 * twice_kinetic / n,
        pressure: (freedom * temperature + virial) / (3.0 * bounds.volume()),
    })
}

/// Potential energy and virial (the sum of distance times force over pairs).
fn pairs(places: &[[f64; 3]], melt: &Melt, bounds: &Box3) -> (f64, f64) {
    let cells = melt.side.map(|side| ((side / melt.cutoff) as usize).clamp(1, 1024));
    let cell = |at: &[f64; 3]| -> [usize; 3] {
        std::array::from_fn(|axis| ((at[axis] / melt.side[axis] * cells[axis] as f64) as usize).min(cells[axis] - 1))
    };
    let number = |[x, y, z]: [usize; 3]| (z * cells[1] + y) * cells[0] + x;
    let mut starts = vec![0usize; cells.iter().product::<usize>() + 1];
    for at in places {
        starts[number(cell(at)) + 1] += 1;
    }
    for index in 1..starts.len() {
        starts[index] += starts[index - 1];
    }
    let (mut next, mut sorted) = (starts.clone(), vec![(0usize, [0.0; 3]); places.len()]);
    for (row, at) in places.iter().enumerate() {
        let place = &mut next[number(cell(at))];
        sorted[*place] = (row, *at);
        *place += 1;
    }
    // each cell once, however few there are
    let around = |axis: usize, at: usize| {
        let n = cells[axis];
        let list = if n < 3 { [0, 1, 2] } else { [(at + n - 1) % n, at, (at + 1) % n] };
        list.into_iter().take(n.min(3))
    };
    let square_max = melt.cutoff * melt.cutoff;
    let (mut energy, mut virial) = (0.0, 0.0);
    for (row, at) in places.iter().enumerate() {
        let [x, y, z] = cell(at);
        let (mut own_energy, mut own_virial) = (0.0, 0.0);
        for z in around(2, z) {
            for y in around(1, y) {
                for x in around(0, x) {
                    let index = number([x, y, z]);
                    for (other, place) in &sorted[starts[index]..starts[index + 1]] {
                        let square = bounds.distance_square(*at, *place);
                        if *other > row && square < square_max {
                            let inverse = 1.0 / square;
                            let sixth = inverse * inverse * inverse;
                            own_energy += 4.0 * sixth * (sixth - 1.0);
                            own_virial += square * kernel::factor(square);
                        }
                    }
                }
            }
        }
        energy += own_energy;
        virial += own_virial;
    }
    (energy, virial)
}

/// A time series in a CSV file.
pub(super) struct ThermoFile {
    path: String,
    out: BufWriter<File>,
    every: u64,
}

impl ThermoFile {
    pub(super) fn create(path: &str, every: u64) -> Result<Self, SceneError> {
        let fail = |error| SceneError::File { path: path.to_owned(), error };
        let mut out = BufWriter::new(File::create(path).map_err(fail)?);
        writeln!(out, "step,temperature,potential_energy_per_atom,total_energy_per_atom,pressure").map_err(fail)?;
        Ok(ThermoFile { path: path.to_owned(), out, every })
    }
}

impl Watch for ThermoFile {
    fn every(&self) -> u64 {
        self.every
    }

    fn look(&mut self, world: &World) -> Result<(), Box<dyn Error>> {
        let Thermo { temperature, potential, total, pressure, .. } = thermo(world)?;
        writeln!(self.out, "{},{temperature},{potential},{total},{pressure}", world.frame())
            .and_then(|()| self.out.flush())
            .map_err(|error| SceneError::File { path: self.path.clone(), error })?;
        Ok(())
    }
}
