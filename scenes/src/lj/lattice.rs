//! The beginning of `bench/in.lj`: an fcc lattice, velocities of one temperature.
#![forbid(unsafe_code)]

use super::super::random::Random;
use super::{SceneError, Start};

/// Atoms per volume, sigma^-3.
const DENSITY: f64 = 0.8442;
const TEMPERATURE: f64 = 1.44;
/// Fewest unit cells along a side: less than this, and an atom would meet its own image.
const CELLS_MIN: u64 = 4;
/// Atoms of a unit cell, in units of its side.
const BASIS: [[f64; 3]; 4] = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]];

/// Unit cells along each side, as even as they can be; `None` where the number has no such lattice.
fn cells(atoms: u64) -> Option<[u64; 3]> {
    if !atoms.is_multiple_of(4) {
        return None;
    }
    let cells = atoms / 4;
    let mut best: Option<[u64; 3]> = None;
    for x in (CELLS_MIN..).take_while(|x| x * x * x <= cells).filter(|x| cells.is_multiple_of(*x)) {
        let rest = cells / x;
        for y in (x..).take_while(|y| y * y <= rest).filter(|y| rest.is_multiple_of(*y)) {
            let z = rest / y;
            if best.is_none_or(|[bx, _, bz]| z * bx < bz * x) {
                best = Some([x, y, z]);
            }
        }
    }
    // no needles
    best.filter(|[x, _, z]| *z <= 8 * *x)
}

/// Sides of the box and the atoms.
pub(super) fn melt(atoms: u64, seed: u64) -> Result<([f64; 3], Vec<Start>), SceneError> {
    let Some(cells) = cells(atoms) else {
        let least = 4 * CELLS_MIN * CELLS_MIN * CELLS_MIN;
        let below = (least..atoms).rev().take(1 << 16).find(|n| self::cells(*n).is_some());
        let above = (atoms.max(least)..).take(1 << 16).find(|n| self::cells(*n).is_some());
        let near: Vec<String> = [below, above].into_iter().flatten().map(|n| n.to_string()).collect();
        let want = format!(
            "an fcc lattice has 4 atoms in each of X * Y * Z unit cells, at least {CELLS_MIN} along each side: write {}",
            near.join(" or ")
        );
        return Err(SceneError::Entities { asked: atoms, want });
    };
    let unit = (4.0 / DENSITY).cbrt();
    let side = cells.map(|cells| cells as f64 * unit);
    let mut all = Vec::with_capacity(atoms as usize);
    for z in 0..cells[2] {
        for y in 0..cells[1] {
            for x in 0..cells[0] {
                for basis in BASIS {
                    let index = all.len() as u64;
                    let cell = [x as f64, y as f64, z as f64];
                    let mut random = Random::new(seed, index, 0);
                    all.push(Start {
                        id: index as u32 + 1,
                        at: std::array::from_fn(|axis| (cell[axis] + basis[axis]) * unit),
                        velocity: std::array::from_fn(|_| random.unit() - 0.5),
                    });
                }
            }
        }
    }
    heat(&mut all);
    Ok((side, all))
}

/// Takes the momentum of all out of each velocity, and scales them to the temperature.
fn heat(atoms: &mut [Start]) {
    let n = atoms.len() as f64;
    for axis in 0..3 {
        let mean = atoms.iter().map(|atom| atom.velocity[axis]).sum::<f64>() / n;
        atoms.iter_mut().for_each(|atom| atom.velocity[axis] -= mean);
    }
    let square: f64 = atoms.iter().map(|atom| atom.velocity.iter().map(|v| v * v).sum::<f64>()).sum();
    let scale = (TEMPERATURE * (3.0 * n - 3.0) / square).sqrt();
    atoms.iter_mut().for_each(|atom| atom.velocity = atom.velocity.map(|v| v * scale));
}
