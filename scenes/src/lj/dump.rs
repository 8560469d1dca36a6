//! Snapshots that OVITO, VMD and ASE read: LAMMPS's text dump, extended XYZ.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use hypostyle::{GlobalId, Read, World};

use super::super::{SceneError, Watch};
use super::{Image, Melt, Position, Velocity};

/// A file of snapshots.
pub(super) struct Dump {
    path: String,
    out: BufWriter<File>,
    every: u64,
    xyz: bool,
}

/// An atom as it is written: wrapped into the box.
struct Row {
    id: u64,
    at: [f64; 3],
    image: [i32; 3],
    velocity: [f64; 3],
}

impl Dump {
    pub(super) fn create(path: &str, every: u64) -> Result<Self, SceneError> {
        let file = File::create(path).map_err(|error| SceneError::File { path: path.to_owned(), error })?;
        let xyz = std::path::Path::new(path).extension().is_some_and(|end| end.eq_ignore_ascii_case("xyz"));
        Ok(Dump { path: path.to_owned(), out: BufWriter::new(file), every, xyz })
    }

    /// The text dump: https://docs.lammps.org/dump.html.
    fn lammps(&mut self, frame: u64, melt: &Melt, atoms: &[Row]) -> std::io::Result<()> {
        let out = &mut self.out;
        writeln!(out, "ITEM: TIMESTEP\n{frame}\nITEM: NUMBER OF ATOMS\n{}", atoms.len())?;
        writeln!(out, "ITEM: BOX BOUNDS pp pp pp")?;
        for side in melt.side {
            writeln!(out, "0 {side}")?;
        }
        writeln!(out, "ITEM: ATOMS id type x y z ix iy iz vx vy vz")?;
        for Row { id, at: [x, y, z], image: [ix, iy, iz], velocity: [vx, vy, vz] } in atoms {
            writeln!(out, "{id} 1 {x} {y} {z} {ix} {iy} {iz} {vx} {vy} {vz}")?;
        }
        Ok(())
    }

    /// Extended XYZ: https://github.com/libAtoms/extxyz.
    fn extended_xyz(&mut self, world: &World, melt: &Melt, atoms: &[Row]) -> std::io::Result<()> {
        let (out, [x, y, z]) = (&mut self.out, melt.side);
        writeln!(out, "{}", atoms.len())?;
        write!(out, "Lattice=\"{x} 0 0 0 {y} 0 0 0 {z}\" Properties=species:S:1:pos:R:3:velo:R:3:id:I:1")?;
        writeln!(out, " Time={} Step={} pbc=\"T T T\"", world.time(), world.frame())?;
        for Row { id, at: [x, y, z], velocity: [vx, vy, vz], .. } in atoms {
            writeln!(out, "Ar {x} {y} {z} {vx} {vy} {vz} {id}")?;
        }
        Ok(())
    }
}

impl Watch for Dump {
    fn every(&self) -> u64 {
        self.every
    }

    fn look(&mut self, world: &World) -> Result<(), Box<dyn Error>> {
        let melt = world.resource::<Melt>()?;
        let (bounds, mut atoms) = (melt.bounds()?, Vec::new());
        world.query::<(Read<GlobalId>, Read<Position>, Read<Image>, Read<Velocity>)>(
            |entities, (id, p, image, v)| {
                for row in 0..entities.len() {
                    let inside: [_; 3] = std::array::from_fn(|axis| {
                        let (at, boxes) = bounds.wrap_axis(axis, [p.x, p.y, p.z][axis][row]);
                        (at, boxes + i32::from([image.x, image.y, image.z][axis][row]))
                    });
                    atoms.push(Row {
                        id: id.value[row],
                        at: inside.map(|(at, _)| at),
                        image: inside.map(|(_, boxes)| boxes),
                        velocity: [v.x[row], v.y[row], v.z[row]],
                    });
                }
            },
        )?;
        atoms.sort_by_key(|atom| atom.id);
        let written = match self.xyz {
            true => self.extended_xyz(world, &melt, &atoms),
            false => self.lammps(world.frame(), &melt, &atoms),
        };
        let written = written.and_then(|()| self.out.flush());
        Ok(written.map_err(|error| SceneError::File { path: self.path.clone(), error })?)
    }
}
