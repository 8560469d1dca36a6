//! The tree of Barnes and Hut, "A hierarchical O(N log N) force-calculation algorithm", 1986, over bodies in the order of a
//! space-filling curve.
//!
//! The bodies' table is sorted along a Morton curve now and then. Each run of [`LEAF`] rows is a leaf, each run of [`FAN`]
//! nodes of a level is a node of the next one: the tree follows from the number of bodies alone, and a body that has left its
//! place on the curve makes its node's box wider, never the forces wrong. Nodes are entities with their [`Moments`]: mass,
//! centre, second moments and box, summed level by level, from the leaves up, in the loop `tree`.
//!
//! A group of [`GROUP`] bodies walks the tree once (Barnes, "A modified tree code: don't laugh; it runs", 1990). A node counts as
//! a whole where its radius around its centre of mass is less than theta times its distance from the group's box (the criterion
//! of Salmon and Warren, "Skeletons from the treecode closet", 1994, whose error is bounded for theta below 1): by its mass
//! and its quadrupole. What is nearer is opened, down to the bodies. The order of every sum follows from rows alone.
#![forbid(unsafe_code)]

use hypostyle::space::morton3;
use hypostyle::{Component, Loop, Read, Reduce, Resource, System, Write};

use super::walk::{Group, Sources};
use super::{Acceleration, Gravitation, Mass, MassColumns, Position, PositionColumns};

/// A body's place along the curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Order {
    key: u64,
}

/// Which node of the tree it is.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Node {
    /// 0: a leaf.
    level: u32,
    /// Its number in its level.
    index: u32,
}

/// What a node's bodies are as a whole. A node without bodies has no mass.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Moments {
    pub(super) mass: f64,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) z: f64,
    /// Corner of the box around its bodies with the least coordinates.
    pub(super) min: [f64; 3],
    /// The opposite one.
    pub(super) max: [f64; 3],
    /// Sums of mass times offset times offset from the centre of mass: xx, yy, zz, xy, xz, yz.
    pub(super) second: [f64; 6],
}

/// The box around all bodies.
#[derive(Clone, Copy, Debug, PartialEq, Resource, Reduce)]
pub struct Bounds {
    #[reduce(min)]
    min: [f64; 3],
    #[reduce(max)]
    max: [f64; 3],
}

/// Bodies of a leaf.
const LEAF: usize = 16;
/// Nodes that make one of the next level.
const FAN: usize = 4;
/// Bodies that walk together.
pub(super) const GROUP: usize = 32;
/// Frames between two sorts.
const SORT_EVERY: u64 = 16;

/// The tree over so many bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Where each level begins in the table of nodes, leaves first, and how many nodes it has.
    levels: Vec<(usize, usize)>,
}

impl Shape {
    pub(super) fn new(bodies: usize) -> Shape {
        let mut levels = vec![(0, bodies.div_ceil(LEAF).max(1))];
        while let Some((first, count)) = levels.last().copied().filter(|(_, count)| *count > 1) {
            levels.push((first + count, count.div_ceil(FAN)));
        }
        Shape { levels }
    }

    /// All nodes, in the order of their table.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Node, Moments)> + '_ {
        self.levels.iter().enumerate().flat_map(|(level, (_, count))| {
            (0..*count).map(move |index| (Node { level: level as u32, index: index as u32 }, NONE))
        })
    }

    pub(super) fn root(&self) -> (usize, usize) {
        (self.levels.len() - 1, 0)
    }

    /// The row of a node in the table of nodes.
    pub(super) fn row(&self, (level, index): (usize, usize)) -> usize {
        self.levels[level].0 + index
    }

    /// The nodes of the level below that make a node.
    pub(super) fn children(
        &self,
        (level, index): (usize, usize),
    ) -> impl DoubleEndedIterator<Item = (usize, usize)> + Clone + use<> {
        let end = ((index + 1) * FAN).min(self.levels[level - 1].1);
        (index * FAN..end).map(move |child| (level - 1, child))
    }

    /// The bodies of a leaf, of so many.
    pub(super) fn bodies(index: usize, bodies: usize) -> std::ops::Range<usize> {
        (index * LEAF).min(bodies)..((index + 1) * LEAF).min(bodies)
    }

    fn holds(&self, bodies: usize) -> bool {
        bodies <= self.levels[0].1 * LEAF
    }
}

/// A node without bodies.
const NONE: Moments =
    Moments { mass: 0.0, x: 0.0, y: 0.0, z: 0.0, min: [f64::MAX; 3], max: [f64::MIN; 3], second: [0.0; 6] };

/// Everything there is: bodies and nodes.
pub(super) type All = (Option<Read<Position>>, Option<Read<Mass>>, Option<Read<Node>>, Option<Read<Moments>>);

/// The bodies and the nodes, as they were when the batch began.
pub(super) struct Forest<'a> {
    pub(super) at: PositionColumns<'a>,
    pub(super) mass: &'a [f64],
    pub(super) moments: MomentsColumns<'a>,
}

impl<'a> Forest<'a> {
    /// Finds the two tables.
    fn find(all: &hypostyle::Neighbours<'a, All>, shape: &Shape) -> Result<Forest<'a>, String> {
        let (mut bodies, mut nodes): (Vec<(PositionColumns<'a>, MassColumns<'a>)>, Vec<_>) = (Vec::new(), Vec::new());
        for table in all.tables() {
            match table.columns {
                (Some(at), Some(mass), None, None) => bodies.push((at, mass)),
                (None, None, Some(node), Some(moments)) => nodes.push((node, moments)),
                _ => {}
            }
        }
        let ([(at, mass)], [(node, moments)]) = (&bodies[..], &nodes[..]) else {
            return Err(format!(
                "bodies are in {} tables and nodes in {}: the tree is over one table of bodies, all of the same components",
                bodies.len(),
                nodes.len()
            ));
        };
        let rows = shape.row(shape.root()) + 1;
        if !shape.holds(mass.value.len()) || node.level.len() != rows {
            return Err(format!(
                "{} bodies and {} nodes: this tree has {rows} nodes for {} bodies at most",
                mass.value.len(),
                node.level.len(),
                shape.levels[0].1 * LEAF
            ));
        }
        Ok(Forest { at: *at, mass: mass.value, moments: *moments })
    }
}

/// The systems before `attract`: the box around all bodies, their order along the curve, the nodes' moments.
pub(super) fn systems(shape: &Shape) -> (Loop, [System; 3]) {
    (Loop::new("tree").times(shape.levels.len() as u32), [bounds(), order(), moments(shape.clone())])
}

fn bounds() -> System {
    System::rows::<Read<Position>>("bounds", |job, at| {
        let mut all = Bounds::empty();
        for ((x, y), z) in at.x.iter().zip(at.y).zip(at.z) {
            all = all.join(Bounds { min: [*x, *y, *z], max: [*x, *y, *z] });
        }
        job.reduce(all);
    })
    .reduces::<Bounds>()
    .every_from(SORT_EVERY, 1)
}

fn order() -> System {
    System::try_rows::<(Write<Order>, Read<Position>)>("order", |job, (mut order, at)| {
        let bounds: Bounds = job.resource()?;
        for (row, key) in order.key.iter_mut().enumerate() {
            *key = key_of([at.x[row], at.y[row], at.z[row]], &bounds);
        }
        Ok(())
    })
    .reads_resource::<Bounds>()
    .every_from(SORT_EVERY, 1)
    .sort_by("order.key")
}

/// Cells along each axis: 2^21.
const CELLS: f64 = 2_097_152.0;

/// The place along Morton's curve through the box.
fn key_of(at: [f64; 3], bounds: &Bounds) -> u64 {
    morton3(std::array::from_fn(|axis| {
        let width = bounds.max[axis] - bounds.min[axis];
        // casts saturate, and take what is no number for 0
        let cell = ((at[axis] - bounds.min[axis]) / width * CELLS) as u32;
        cell.min(CELLS as u32 - 1)
    }))
}

/// The moments of one level in each pass of the loop.
fn moments(shape: Shape) -> System {
    System::try_neighbours::<(Read<Node>, Write<Moments>), All>("moments", move |job, (node, mut moments), all| {
        let level = job.iteration();
        if !node.level.contains(&level) {
            return Ok(());
        }
        let forest = Forest::find(&all, &shape)?;
        for row in 0..job.len() {
            if node.level[row] != level {
                continue;
            }
            let here = (level as usize, node.index[row] as usize);
            if shape.row(here) != job.first_row() + row {
                return Err(format!(
                    "entity {} is not the node that it says: nodes stay where they are",
                    job.entities()[row]
                )
                .into());
            }
            let sum = if level == 0 {
                of_bodies(&forest, Shape::bodies(here.1, forest.mass.len()))
            } else {
                of_children(&forest, shape.children(here).map(|child| shape.row(child)))
            };
            (moments.mass[row], moments.x[row], moments.y[row], moments.z[row]) = (sum.mass, sum.x, sum.y, sum.z);
            (moments.min[row], moments.max[row], moments.second[row]) = (sum.min, sum.max, sum.second);
        }
        Ok(())
    })
    .in_loop("tree")
    .after("order")
    .job_rows(1024)
}

fn of_bodies(forest: &Forest<'_>, rows: std::ops::Range<usize>) -> Moments {
    let (at, mass) = (forest.at, forest.mass);
    let parts = rows.map(|row| {
        let at = [at.x[row], at.y[row], at.z[row]];
        Moments { mass: mass[row], x: at[0], y: at[1], z: at[2], min: at, max: at, second: [0.0; 6] }
    });
    joined(parts)
}

fn of_children(forest: &Forest<'_>, rows: impl Iterator<Item = usize> + Clone) -> Moments {
    let m = forest.moments;
    joined(rows.map(|row| Moments {
        mass: m.mass[row],
        x: m.x[row],
        y: m.y[row],
        z: m.z[row],
        min: m.min[row],
        max: m.max[row],
        second: m.second[row],
    }))
}

/// Parts as one, about their common centre of mass.
fn joined(parts: impl Iterator<Item = Moments> + Clone) -> Moments {
    let mut sum = NONE;
    for part in parts.clone() {
        sum.mass += part.mass;
        (sum.x, sum.y, sum.z) = (sum.x + part.mass * part.x, sum.y + part.mass * part.y, sum.z + part.mass * part.z);
        for axis in 0..3 {
            sum.min[axis] = f64::min(sum.min[axis], part.min[axis]);
            sum.max[axis] = f64::max(sum.max[axis], part.max[axis]);
        }
    }
    if sum.mass <= 0.0 {
        return Moments { mass: 0.0, ..sum };
    }
    (sum.x, sum.y, sum.z) = (sum.x / sum.mass, sum.y / sum.mass, sum.z / sum.mass);
    for part in parts {
        let d = [part.x - sum.x, part.y - sum.y, part.z - sum.z];
        let products = [d[0] * d[0], d[1] * d[1], d[2] * d[2], d[0] * d[1], d[0] * d[2], d[1] * d[2]];
        for ((sum, own), product) in sum.second.iter_mut().zip(part.second).zip(products) {
            *sum += own + part.mass * product;
        }
    }
    sum
}

/// What all others do to each body, by the tree.
pub(super) fn attract(shape: Shape, theta: f64) -> System {
    System::try_neighbours::<(Read<Position>, Write<Acceleration>), All>(
        "attract",
        move |job, (own, mut acceleration), all| {
            let law = job.resource::<Gravitation>()?;
            let forest = Forest::find(&all, &shape)?;
            let mut sources = Sources::default();
            let mut row = 0;
            while row < job.len() {
                // groups are of the table, wherever jobs begin
                let end = ((job.first_row() + row) / GROUP + 1) * GROUP - job.first_row();
                let rows = row..end.min(job.len());
                let group = Group::new([own.x, own.y, own.z].map(|x| &x[rows.clone()]));
                group.walk(&forest, &shape, theta, &mut sources);
                let pulls = group.pull(&sources, law.softening * law.softening);
                for (row, pull) in rows.zip(pulls) {
                    acceleration.x[row] = law.constant * pull[0];
                    acceleration.y[row] = law.constant * pull[1];
                    acceleration.z[row] = law.constant * pull[2];
                }
                row = end;
            }
            Ok(())
        },
    )
    .reads_resource::<Gravitation>()
    .after("moments")
    .job_rows(512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_curve() {
        let bounds = Bounds { min: [0.0; 3], max: [1.0; 3] };
        assert_eq!(key_of([0.0; 3], &bounds), 0);
        assert_eq!(key_of([1.0; 3], &bounds), (1 << 63) - 1);
        assert_eq!(key_of([0.5, 0.0, 0.0], &bounds), 1 << 60);
        assert_eq!(key_of([0.0, 0.5, 0.25], &bounds), 1 << 61 | 1 << 59);
        // all at one place, and what is no number
        assert_eq!(key_of([2.0; 3], &Bounds { min: [2.0; 3], max: [2.0; 3] }), 0);
    }

    #[test]
    fn every_body_is_in_one_leaf_and_every_node_in_one_parent() {
        for bodies in [0, 1, 15, 16, 17, 63, 64, 65, 1000, 4097] {
            let shape = Shape::new(bodies);
            assert_eq!(shape.nodes().count(), shape.row(shape.root()) + 1);
            for (row, (node, _)) in shape.nodes().enumerate() {
                assert_eq!(shape.row((node.level as usize, node.index as usize)), row);
            }
            let mut stack = vec![shape.root()];
            let mut next = 0;
            while let Some(node) = stack.pop() {
                if node.0 > 0 {
                    stack.extend(shape.children(node).rev());
                } else {
                    let rows = Shape::bodies(node.1, bodies);
                    assert_eq!(rows.start, next);
                    next = rows.end;
                }
            }
            assert_eq!(next, bodies);
            assert!(shape.holds(bodies));
        }
    }

    #[test]
    fn moments_of_moments_are_those_of_the_bodies() {
        let body = |mass: f64, at: [f64; 3]| Moments {
            mass,
            x: at[0],
            y: at[1],
            z: at[2],
            min: at,
            max: at,
            second: [0.0; 6],
        };
        let bodies =
            [body(1.0, [0.0, 0.0, 1.0]), body(2.0, [3.0, -1.0, 0.5]), body(0.5, [-2.0, 4.0, 0.0]), body(1.5, [1.0; 3])];
        let whole = joined(bodies.into_iter());
        let halves =
            joined([joined(bodies[..2].iter().copied()), NONE, joined(bodies[2..].iter().copied())].into_iter());
        assert_eq!((whole.mass, whole.min, whole.max), (5.0, [-2.0, -1.0, 0.0], [3.0, 4.0, 1.0]));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(whole.x, halves.x) && close(whole.y, halves.y) && close(whole.z, halves.z));
        assert!(whole.second.iter().zip(halves.second).all(|(a, b)| close(*a, b)), "{whole:?} {halves:?}");
    }
}
