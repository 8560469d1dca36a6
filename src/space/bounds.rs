//! Boxes: open or periodic along each axis.
#![forbid(unsafe_code)]

use super::{Real, SpaceError};
use crate::simd::lanes::Lanes;

/// A box of `N` dimensions, each axis open or periodic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds<T, const N: usize> {
    low: [T; N],
    side: [T; N],
    inverse: [T; N],
    periodic: [bool; N],
}

/// A box in space.
pub type Box3<T = f64> = Bounds<T, 3>;
/// A rectangle in the plane.
pub type Box2<T = f64> = Bounds<T, 2>;

impl<T: Real, const N: usize> Bounds<T, N> {
    /// A box from `low` on, of these sides, periodic along some axes.
    ///
    /// # Errors
    /// A side that is not finite and above 0.
    pub fn new(low: [T; N], side: [T; N], periodic: [bool; N]) -> Result<Self, SpaceError> {
        for axis in 0..N {
            let (low, side) = (low[axis].to_f64(), side[axis].to_f64());
            if !(low.is_finite() && side.is_finite() && side > 0.0) {
                return Err(SpaceError::Side { axis, low, side });
            }
        }
        Ok(Bounds { low, side, inverse: side.map(|side| T::ONE / side), periodic })
    }

    /// A box from 0 on that is periodic along all axes.
    ///
    /// # Errors
    /// As [`Bounds::new`].
    pub fn periodic(side: [T; N]) -> Result<Self, SpaceError> {
        Self::new([T::ZERO; N], side, [true; N])
    }

    /// A box without periodic axes. What is outside of it counts as being in the cell at its border.
    ///
    /// # Errors
    /// As [`Bounds::new`].
    pub fn open(low: [T; N], side: [T; N]) -> Result<Self, SpaceError> {
        Self::new(low, side, [false; N])
    }

    /// Where the axes begin.
    #[must_use]
    pub fn low(&self) -> [T; N] {
        self.low
    }

    /// The sides.
    #[must_use]
    pub fn side(&self) -> [T; N] {
        self.side
    }

    /// Which axes are periodic.
    #[must_use]
    pub fn is_periodic(&self) -> [bool; N] {
        self.periodic
    }

    /// The product of the sides.
    #[must_use]
    pub fn volume(&self) -> T {
        self.side.into_iter().fold(T::ONE, |volume, side| volume * side)
    }

    /// Whether a place is in the box, borders included.
    #[must_use]
    pub fn contains(&self, at: [T; N]) -> bool {
        (0..N).all(|axis| at[axis] >= self.low[axis] && at[axis] <= self.low[axis] + self.side[axis])
    }

    /// A coordinate brought into the box along one axis, and by how many boxes it was outside: 0 where the axis is open.
    #[inline]
    #[must_use]
    pub fn wrap_axis(&self, axis: usize, at: T) -> (T, i32) {
        if !self.periodic[axis] {
            return (at, 0);
        }
        let boxes = ((at - self.low[axis]) / self.side[axis]).floor();
        (at - boxes * self.side[axis], boxes.to_f64() as i32)
    }

    /// A place brought into the box, and by how many boxes it was outside along each axis.
    #[inline]
    #[must_use]
    pub fn wrap(&self, at: [T; N]) -> ([T; N], [i32; N]) {
        let (mut inside, mut boxes) = (at, [0; N]);
        for axis in 0..N {
            (inside[axis], boxes[axis]) = self.wrap_axis(axis, at[axis]);
        }
        (inside, boxes)
    }

    /// The distance along one axis to the nearest image of what is `d` away (the minimum image convention).
    #[inline(always)]
    #[must_use]
    pub fn nearest_axis(&self, axis: usize, d: T) -> T {
        if !self.periodic[axis] {
            return d;
        }
        d - self.side[axis] * ((d * self.inverse[axis] + T::ROUND) - T::ROUND)
    }

    /// What leads from the nearest image of `b` to `a`.
    #[inline]
    #[must_use]
    pub fn between(&self, a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|axis| self.nearest_axis(axis, a[axis] - b[axis]))
    }

    /// The square of the distance between a place and the nearest image of another.
    #[inline]
    #[must_use]
    pub fn distance_square(&self, a: [T; N], b: [T; N]) -> T {
        self.between(a, b).into_iter().fold(T::ZERO, |sum, d| sum + d * d)
    }
}

/// Along which axes the neighbours of a place may be images across the border.
#[derive(Clone, Copy, Debug)]
pub(super) struct Across<T, const N: usize> {
    side: [T; N],
    inverse: [T; N],
    axes: [bool; N],
    /// Whether there is such an axis.
    pub any: bool,
}

impl<T: Real, const N: usize> Across<T, N> {
    /// Of a place and what is within `reach` of it.
    #[inline(always)]
    pub(super) fn of(bounds: &Bounds<T, N>, at: [T; N], reach: T) -> Self {
        let (mut axes, mut any) = ([false; N], false);
        for axis in 0..N {
            let (low, high) = (bounds.low[axis] + reach, bounds.low[axis] + bounds.side[axis] - reach);
            let inside = at[axis] >= low && at[axis] <= high;
            axes[axis] = bounds.periodic[axis] && !inside;
            any |= axes[axis];
        }
        Across { side: bounds.side, inverse: bounds.inverse, axes, any }
    }

    /// [`Bounds::nearest_axis`] in lanes, along axes that ask for it; along the others it would change nothing.
    #[inline(always)]
    pub(super) fn nearest<L: Lanes<T>>(&self, lanes: L, axis: usize, d: L::V) -> L::V {
        if !self.axes[axis] {
            return d;
        }
        let round = lanes.splat(T::ROUND);
        let boxes = lanes.sub(lanes.add(lanes.mul(d, lanes.splat(self.inverse[axis])), round), round);
        lanes.sub(d, lanes.mul(lanes.splat(self.side[axis]), boxes))
    }
}
