//! Neighbours within a distance: the scene's cells and lists, beside trees.

use std::error::Error;

use hypostyle::space::{CellGrid, CellStarts};
use hypostyle::{Read, World};
use hypostyle_scenes::lj::kernel;
use hypostyle_scenes::lj::{LennardJones, Melt, Position};
use hypostyle_scenes::{Scene, SceneOptions};
use kiddo::{ImmutableKdTree, SquaredEuclidean};

use crate::Options;
use crate::measure::{Case, Sample, timed};

/// One case: all neighbours of all atoms of a melt, made from nothing.
pub fn cases(options: &Options) -> Result<Vec<Case>, Box<dyn Error>> {
    let atoms = if options.quick { 4_000 } else { 256_000 };
    Ok(vec![Case {
        name: format!("search, all within 2.9 of each of {atoms} atoms, structure and lists from nothing, 1 thread"),
        unit: "atom",
        units: atoms as f64,
        things: ("atom", atoms as f64),
        contenders: vec![
            ("kiddo, a k-d tree, within().unsorted()".to_owned(), Box::new(move || tree(atoms))),
            ("lj: sorted by cells, lists of rows".to_owned(), Box::new(move || cells(atoms))),
        ],
    }])
}

type Places = (Melt, [Vec<f64>; 3]);

fn places(atoms: u64) -> Result<Places, Box<dyn Error>> {
    let options = SceneOptions { entities: Some(atoms), ..SceneOptions::default() };
    let world = LennardJones.world(&options, World::builder())?;
    let mut at: [Vec<f64>; 3] = Default::default();
    world.query::<Read<Position>>(|_, p| {
        for (all, some) in at.iter_mut().zip([p.x, p.y, p.z]) {
            all.extend_from_slice(some);
        }
    })?;
    Ok((world.resource::<Melt>()?, at))
}

/// Atoms near the border have more neighbours here than in the tree, which has no images: the count is checked within.
fn cells(atoms: u64) -> Result<Sample, Box<dyn Error>> {
    let (melt, at) = places(atoms)?;
    let n = at[0].len();
    let mut found = 0;
    let sample = timed(|| {
        let reach = melt.cutoff + melt.skin;
        let grid = CellGrid::new(&melt.bounds()?, 0.5 * reach)?;
        let mut order: Vec<(u32, u32)> = (0..n).map(|i| (grid.key([at[0][i], at[1][i], at[2][i]]), i as u32)).collect();
        order.sort_unstable();
        let keys: Vec<u32> = order.iter().map(|(key, _)| *key).collect();
        let sorted: [Vec<f64>; 3] =
            std::array::from_fn(|axis| order.iter().map(|(_, row)| at[axis][*row as usize]).collect());
        let (mut rows, mut count): (Vec<u32>, _) = (Vec::new(), vec![0; n]);
        let starts = CellStarts::of_sorted(&keys, grid.count())?;
        let at = [&sorted[0][..], &sorted[1], &sorted[2]];
        kernel::lists(reach, (&grid, &starts), at, 0..n, |row, found| {
            rows.extend_from_slice(found);
            count[row] = found.len() as u32;
        })?;
        found = count.iter().map(|count| u64::from(*count)).sum();
        Ok(())
    })?;
    check(found, n)?;
    Ok(sample)
}

fn tree(atoms: u64) -> Result<Sample, Box<dyn Error>> {
    let (melt, at) = places(atoms)?;
    let n = at[0].len();
    let points: Vec<[f64; 3]> = (0..n).map(|i| [at[0][i], at[1][i], at[2][i]]).collect();
    let reach = melt.cutoff + melt.skin;
    let mut found = 0;
    let sample = timed(|| {
        let tree: ImmutableKdTree<f64, 3> = ImmutableKdTree::new_from_slice(&points)?;
        let mut lists: Vec<Vec<u32>> = Vec::with_capacity(n);
        for point in &points {
            let near = tree.query(point).within::<SquaredEuclidean<f64>>(reach * reach).unsorted().execute();
            lists.push(near.into_iter().map(|near| near.item).collect());
        }
        found = lists.iter().map(|list| list.len() as u64 - 1).sum();
        Ok(())
    })?;
    check(found, n)?;
    Ok(sample)
}

/// A melt has 86 atoms within this distance; those at the border fewer where there are no images.
fn check(found: u64, atoms: usize) -> Result<(), String> {
    let each = found as f64 / atoms as f64;
    if (40.0..90.0).contains(&each) { Ok(()) } else { Err(format!("{each} neighbours an atom")) }
}
