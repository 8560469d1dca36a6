//! The melt over plain vectors and rayon, with the scene's own kernels: what the engine costs is the difference.

use std::error::Error;

use hypostyle::space::{CellStarts, PackedRows, Skin, SpaceError};
use hypostyle::{GlobalId, Read, World};
use hypostyle_scenes::lj::kernel;
use hypostyle_scenes::lj::{Melt as Law, Position, Velocity};
use rayon::prelude::*;

/// Rows of one task.
const ROWS: usize = 2048;

type Axes = [Vec<f64>; 3];

/// All columns.
pub struct Melt {
    law: Law,
    id: Vec<u64>,
    at: Axes,
    image: [Vec<i16>; 3],
    velocity: Axes,
    force: Axes,
    anchor: [Vec<f32>; 3],
    place: Vec<[f64; 4]>,
    key: Vec<u32>,
    /// Of the rows of each task, one after the other, and where each row's begins.
    lists: Vec<(Vec<u16>, Vec<u32>)>,
    begun: bool,
}

impl Melt {
    /// What a world of the scene holds before its first frame.
    pub fn of(world: &World) -> Result<Melt, Box<dyn Error>> {
        let (mut id, mut at, mut velocity) = (Vec::new(), Axes::default(), Axes::default());
        world.query::<(Read<GlobalId>, Read<Position>, Read<Velocity>)>(|_, (own, p, v)| {
            id.extend_from_slice(own.value);
            for (all, some) in at.iter_mut().zip([p.x, p.y, p.z]) {
                all.extend_from_slice(some);
            }
            for (all, some) in velocity.iter_mut().zip([v.x, v.y, v.z]) {
                all.extend_from_slice(some);
            }
        })?;
        let n = id.len();
        let zeros = || std::array::from_fn(|_| vec![0.0; n]);
        Ok(Melt {
            law: world.resource()?,
            id,
            at,
            image: std::array::from_fn(|_| vec![0; n]),
            velocity,
            force: zeros(),
            anchor: std::array::from_fn(|_| vec![0.0; n]),
            place: vec![[0.0; 4]; n],
            key: vec![0; n],
            lists: vec![Default::default(); n.div_ceil(ROWS)],
            begun: false,
        })
    }

    /// A step of velocity Verlet.
    pub fn step(&mut self, dt: f64) -> Result<(), SpaceError> {
        if !self.begun {
            self.begun = true;
            self.rebuild()?;
            self.forces()?;
        }
        if self.drift(dt) {
            self.rebuild()?;
        }
        self.forces()?;
        let half = 0.5 * dt;
        let [vx, vy, vz] = &mut self.velocity;
        let [fx, fy, fz] = &self.force;
        for (v, f) in [(vx, fx), (vy, fy), (vz, fz)] {
            (v.par_chunks_mut(ROWS), f.par_chunks(ROWS)).into_par_iter().for_each(|(v, f)| kick(v, f, half));
        }
        Ok(())
    }

    /// Whether an atom has moved more than half of the skin.
    fn drift(&mut self, dt: f64) -> bool {
        let ([x, y, z], [vx, vy, vz], [fx, fy, fz], [ax, ay, az]) =
            (&mut self.at, &mut self.velocity, &self.force, &self.anchor);
        let skin = Skin(self.law.skin);
        let half = 0.5 * dt;
        let places = (x.par_chunks_mut(ROWS), y.par_chunks_mut(ROWS), z.par_chunks_mut(ROWS)).into_par_iter();
        let speeds = (vx.par_chunks_mut(ROWS), vy.par_chunks_mut(ROWS), vz.par_chunks_mut(ROWS)).into_par_iter();
        let pulls = (fx.par_chunks(ROWS), fy.par_chunks(ROWS), fz.par_chunks(ROWS)).into_par_iter();
        let anchors = (ax.par_chunks(ROWS), ay.par_chunks(ROWS), az.par_chunks(ROWS)).into_par_iter();
        let moved = (places, speeds, pulls, anchors).into_par_iter().map(|((x, y, z), (vx, vy, vz), f, a)| {
            kick(vx, f.0, half);
            kick(vy, f.1, half);
            kick(vz, f.2, half);
            kick(x, vx, dt);
            kick(y, vy, dt);
            kick(z, vz, dt);
            skin.is_used_up([x, y, z], [a.0, a.1, a.2])
        });
        // every part is to be moved, whatever the others found
        moved.reduce(|| false, |a, b| a | b)
    }

    /// Wraps atoms into the box, sorts them by their cells, and makes the lists.
    fn rebuild(&mut self) -> Result<(), SpaceError> {
        let (bounds, grid) = (self.law.bounds()?, self.law.grid()?);
        for axis in 0..3 {
            let columns = (self.at[axis].par_iter_mut(), self.image[axis].par_iter_mut());
            columns.into_par_iter().for_each(|(at, image)| {
                let (inside, boxes) = bounds.wrap_axis(axis, *at);
                (*at, *image) = (inside, *image + boxes as i16);
            });
        }
        let at = &self.at;
        self.key
            .par_iter_mut()
            .enumerate()
            .for_each(|(row, key)| *key = grid.key([at[0][row], at[1][row], at[2][row]].map(|at| at as f32)));
        let mut order: Vec<u32> = (0..self.key.len() as u32).collect();
        let key = &self.key;
        order.par_sort_by_key(|row| (key[*row as usize], self.id[*row as usize]));
        gather(&mut self.id, &order);
        gather(&mut self.key, &order);
        for axis in 0..3 {
            gather(&mut self.at[axis], &order);
            gather(&mut self.image[axis], &order);
            gather(&mut self.velocity[axis], &order);
            self.anchor[axis].iter_mut().zip(&self.at[axis]).for_each(|(anchor, at)| *anchor = *at as f32);
        }
        let (law, key) = (&self.law, &self.key);
        let at = [&self.anchor[0][..], &self.anchor[1], &self.anchor[2]];
        let reach = law.reach() as f32;
        let starts = CellStarts::of_sorted(key, grid.count())?;
        self.lists.par_iter_mut().enumerate().try_for_each(|(part, (words, begins))| {
            words.clear();
            begins.clear();
            let part = part * ROWS..((part + 1) * ROWS).min(key.len());
            kernel::lists(reach, (&grid, &starts), at, part, |_, found| {
                begins.push(words.len() as u32);
                PackedRows::pack(found, words);
            })?;
            begins.push(words.len() as u32);
            Ok(())
        })
    }

    fn forces(&mut self) -> Result<(), SpaceError> {
        let at = (self.at[0].par_chunks(ROWS), self.at[1].par_chunks(ROWS), self.at[2].par_chunks(ROWS));
        (self.place.par_chunks_mut(ROWS), at)
            .into_par_iter()
            .for_each(|(place, (x, y, z))| kernel::pack(place, [x, y, z]));
        let at = &self.place[..];
        let (law, lists) = (&self.law, &self.lists);
        let [x, y, z] = &mut self.force;
        let parts = (x.par_chunks_mut(ROWS), y.par_chunks_mut(ROWS), z.par_chunks_mut(ROWS)).into_par_iter();
        parts.enumerate().try_for_each(|(part, (x, y, z))| {
            let (words, begins) = &lists[part];
            let list = |row: usize| PackedRows(&words[begins[row] as usize..begins[row + 1] as usize]);
            kernel::forces(law, at, part * ROWS, list, [x, y, z])
        })
    }

    /// Bytes of all columns and lists.
    pub fn bytes(&self) -> usize {
        fn of<T>(column: &Vec<T>) -> usize {
            column.capacity() * size_of::<T>()
        }
        let axes = [&self.at, &self.velocity, &self.force].into_iter().flatten().map(of).sum::<usize>();
        let lists = self.lists.iter().map(|(rows, begins)| of(rows) + of(begins)).sum::<usize>();
        let small = self.anchor.iter().map(of).sum::<usize>() + self.image.iter().map(of).sum::<usize>();
        axes + small + of(&self.id) + of(&self.key) + of(&self.place) + lists
    }

    /// The atoms with their places, in the order of the table.
    #[cfg(test)]
    pub fn places(&self) -> Vec<(u64, [f64; 3])> {
        (0..self.id.len()).map(|row| (self.id[row], [self.at[0][row], self.at[1][row], self.at[2][row]])).collect()
    }
}

fn kick(values: &mut [f64], by: &[f64], times: f64) {
    for (value, by) in values.iter_mut().zip(by) {
        *value += times * by;
    }
}

fn gather<T: Copy + Send + Sync>(column: &mut Vec<T>, order: &[u32]) {
    *column = order.par_iter().map(|row| column[*row as usize]).collect();
}
