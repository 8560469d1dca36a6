//! For how long a list of neighbours holds.
#![forbid(unsafe_code)]

use super::Real;
use crate::simd::{WideKernel, wide};

/// How much further than the cutoff lists reach. While nobody has moved more than half of it since they were made, every pair
/// within the cutoff is in a list (L. Verlet, Physical Review 159, 98, 1967).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skin<T>(pub T);

impl<T: Real> Skin<T> {
    /// Whether any of some particles has moved so far from where the lists were made that they must be made anew. True,
    /// too, where a place is no number.
    ///
    /// The places where they were then may be of less digits than those where they are: lists that are made of rounded places
    /// lose no pair, as what was rounded away counts as movement.
    #[must_use]
    pub fn is_used_up<const N: usize, M: Real + Into<T>>(self, at: [&[T]; N], made_at: [&[M]; N]) -> bool {
        wide(Moved { at, made_at, limit: T::from_f64(0.25) * self.0 * self.0 })
    }
}

struct Moved<'a, T, M, const N: usize> {
    at: [&'a [T]; N],
    made_at: [&'a [M]; N],
    limit: T,
}

impl<T: Real, M: Real + Into<T>, const N: usize> WideKernel for Moved<'_, T, M, N> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let lengths = self.at.iter().map(|column| column.len()).chain(self.made_at.iter().map(|column| column.len()));
        let rows = lengths.min().unwrap_or(0);
        let (at, made_at) = (self.at.map(|column| &column[..rows]), self.made_at.map(|column| &column[..rows]));
        let mut moved = 0u32;
        for row in 0..rows {
            let mut square = T::ZERO;
            for axis in 0..N {
                let d = at[axis][row] - made_at[axis][row].into();
                square = square + d * d;
            }
            let stays = square <= self.limit;
            moved |= u32::from(!stays);
        }
        moved != 0
    }
}
