//! A group of bodies walks the tree: what pulls on it, and how strongly.
#![forbid(unsafe_code)]

use hypostyle::simd::{WideKernel, wide};

use super::tree::{Forest, GROUP, Shape};

/// Bodies whose sums are computed side by side.
const LANES: usize = 8;

/// What pulls on a group.
#[derive(Default)]
pub(super) struct Sources {
    /// Bodies: place and mass.
    bodies: Vec<[f64; 4]>,
    /// Nodes: centre, mass, second moments.
    nodes: Vec<([f64; 4], [f64; 6])>,
    stack: Vec<(usize, usize)>,
}

/// Neighbours on the curve, their places filled up with that of the first one.
pub(super) struct Group {
    at: [[f64; GROUP]; 3],
    len: usize,
}

impl Group {
    /// Of at most [`GROUP`] bodies, and one at least.
    pub(super) fn new(at: [&[f64]; 3]) -> Group {
        let len = at[0].len();
        Group { at: at.map(|x| std::array::from_fn(|row| if row < len { x[row] } else { x[0] })), len }
    }

    /// Fills `sources` with what pulls on the group.
    pub(super) fn walk(&self, forest: &Forest<'_>, shape: &Shape, theta: f64, sources: &mut Sources) {
        let Sources { bodies, nodes, stack } = sources;
        bodies.clear();
        nodes.clear();
        stack.push(shape.root());
        let bounds: [(f64, f64); 3] = std::array::from_fn(|axis| {
            self.at[axis].iter().fold((f64::MAX, f64::MIN), |(min, max), x| (min.min(*x), max.max(*x)))
        });
        let m = forest.moments;
        while let Some(node) = stack.pop() {
            let row = shape.row(node);
            let (mass, centre) = (m.mass[row], [m.x[row], m.y[row], m.z[row]]);
            if mass == 0.0 {
                continue;
            }
            let (mut radius, mut distance) = (0.0, 0.0);
            for axis in 0..3 {
                let x = centre[axis];
                let far = f64::max(m.max[row][axis] - x, x - m.min[row][axis]);
                let off = f64::max(f64::max(bounds[axis].0 - x, x - bounds[axis].1), 0.0);
                (radius, distance) = (radius + far * far, distance + off * off);
            }
            if radius < theta * theta * distance {
                nodes.push(([centre[0], centre[1], centre[2], mass], m.second[row]));
            } else if node.0 > 0 {
                stack.extend(shape.children(node).rev());
            } else {
                let (at, mass) = (forest.at, forest.mass);
                bodies
                    .extend(Shape::bodies(node.1, mass.len()).map(|row| [at.x[row], at.y[row], at.z[row], mass[row]]));
            }
        }
    }

    /// The pull of the sources on each of the group, per unit of its mass, for G = 1.
    pub(super) fn pull(&self, sources: &Sources, softening_square: f64) -> impl Iterator<Item = [f64; 3]> + use<> {
        let mut pulls = [[0.0; GROUP]; 3];
        for first in (0..self.len).step_by(LANES) {
            let at = std::array::from_fn(|axis| std::array::from_fn(|lane| self.at[axis][first + lane]));
            let sums = wide(Pull { at, sources, softening_square });
            for (pulls, sum) in pulls.iter_mut().zip(sums) {
                pulls[first..first + LANES].copy_from_slice(&sum);
            }
        }
        (0..self.len).map(move |row| [pulls[0][row], pulls[1][row], pulls[2][row]])
    }
}

/// The pull on so many bodies side by side, source by source.
struct Pull<'a> {
    at: [[f64; LANES]; 3],
    sources: &'a Sources,
    softening_square: f64,
}

impl WideKernel for Pull<'_> {
    type Output = [[f64; LANES]; 3];

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut sums = [[0.0; LANES]; 3];
        for [x, y, z, mass] in &self.sources.bodies {
            let d = self.offsets([*x, *y, *z]);
            for lane in 0..LANES {
                let square =
                    d[0][lane] * d[0][lane] + d[1][lane] * d[1][lane] + d[2][lane] * d[2][lane] + self.softening_square;
                let weight = mass / (square * square.sqrt());
                // a body at the very place does not pull
                let weight = if square > 0.0 { weight } else { 0.0 };
                for axis in 0..3 {
                    sums[axis][lane] += d[axis][lane] * weight;
                }
            }
        }
        for ([x, y, z, mass], second) in &self.sources.nodes {
            let d = self.offsets([*x, *y, *z]);
            let trace = second[0] + second[1] + second[2];
            for lane in 0..LANES {
                let d = [d[0][lane], d[1][lane], d[2][lane]];
                let square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + self.softening_square;
                let inverse = 1.0 / square;
                let cube = inverse * inverse.sqrt();
                let fifth = cube * inverse;
                // the second moments times the offset, and the quadrupole 3 S - tr(S) from them
                let along = [
                    second[0] * d[0] + second[3] * d[1] + second[4] * d[2],
                    second[3] * d[0] + second[1] * d[1] + second[5] * d[2],
                    second[4] * d[0] + second[5] * d[1] + second[2] * d[2],
                ];
                let form = 3.0 * (along[0] * d[0] + along[1] * d[1] + along[2] * d[2])
                    - trace * (square - self.softening_square);
                let weight = mass * cube + 2.5 * form * fifth * inverse + trace * fifth;
                for axis in 0..3 {
                    sums[axis][lane] += d[axis] * weight - 3.0 * along[axis] * fifth;
                }
            }
        }
        sums
    }
}

impl Pull<'_> {
    #[inline(always)]
    fn offsets(&self, source: [f64; 3]) -> [[f64; LANES]; 3] {
        std::array::from_fn(|axis| self.at[axis].map(|x| source[axis] - x))
    }
}
