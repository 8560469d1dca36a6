//! Cells of one size that fill a box.
#![forbid(unsafe_code)]

use super::curves::{hilbert2, hilbert3, morton2, morton3};
use super::{Bounds, Real, SpaceError};

/// Cells that fill a box, each at least so wide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellGrid<T, const N: usize> {
    bounds: Bounds<T, N>,
    cells: [i32; N],
    width: [T; N],
}

impl<T: Real, const N: usize> CellGrid<T, N> {
    /// Most cells along a side: all keys fit 30 bits.
    pub const CELLS_MAX: u32 = 1 << (30 / N);

    /// The cells of a box: as many as fit with a width of at least `width_min`, and no more than
    /// [`CELLS_MAX`](CellGrid::CELLS_MAX) along each side.
    ///
    /// # Errors
    /// A width that is not finite and above 0.
    pub fn new(bounds: &Bounds<T, N>, width_min: T) -> Result<Self, SpaceError> {
        let width = width_min.to_f64();
        if !(width.is_finite() && width > 0.0) {
            return Err(SpaceError::Width { width });
        }
        let most = f64::from(Self::CELLS_MAX);
        let side = bounds.side();
        let cells = side.map(|side| (side / width_min).to_f64().floor().clamp(1.0, most) as i32);
        let width = std::array::from_fn(|axis| side[axis] / T::from_f64(f64::from(cells[axis])));
        Ok(CellGrid { bounds: *bounds, cells, width })
    }

    /// The box.
    #[must_use]
    pub fn bounds(&self) -> &Bounds<T, N> {
        &self.bounds
    }

    /// Cells along each side.
    #[must_use]
    pub fn cells(&self) -> [i32; N] {
        self.cells
    }

    /// How wide one is.
    #[must_use]
    pub fn width(&self) -> [T; N] {
        self.width
    }

    /// Cells in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cells.iter().map(|cells| *cells as usize).product()
    }

    /// The cell of a place; of one outside of the box the nearest, and the first where it is no number.
    #[inline]
    #[must_use]
    pub fn cell(&self, at: [T; N]) -> [i32; N] {
        std::array::from_fn(|axis| {
            let cell = ((at[axis] - self.bounds.low()[axis]) / self.width[axis]).to_f64() as i32;
            cell.clamp(0, self.cells[axis] - 1)
        })
    }

    /// The number of a cell that is in the grid: consecutive along the first axis, line after line.
    #[inline]
    #[must_use]
    pub fn number(&self, cell: [i32; N]) -> u32 {
        (0..N).rev().fold(0, |number, axis| number * self.cells[axis] as u32 + cell[axis] as u32)
    }

    /// The cell of a number.
    #[must_use]
    pub fn cell_of(&self, number: u32) -> [i32; N] {
        let mut rest = number;
        self.cells.map(|cells| {
            let at = rest % cells as u32;
            rest /= cells as u32;
            at as i32
        })
    }

    /// The key of a place for tables in which [`super::NeighbourSearch`] looks: the number of its cell.
    #[inline]
    #[must_use]
    pub fn key(&self, at: [T; N]) -> u32 {
        self.number(self.cell(at))
    }
}

impl<T: Real> CellGrid<T, 3> {
    /// The key of a place along Morton's curve ([`morton3`]): what is near is often near in the table, on a large scale, too.
    #[must_use]
    pub fn morton(&self, at: [T; 3]) -> u32 {
        morton3(self.cell(at).map(|cell| cell as u32)) as u32
    }

    /// The key of a place along Hilbert's curve ([`hilbert3`]): consecutive cells are always neighbours.
    #[must_use]
    pub fn hilbert(&self, at: [T; 3]) -> u32 {
        hilbert3(self.cell(at).map(|cell| cell as u32), 10) as u32
    }
}

impl<T: Real> CellGrid<T, 2> {
    /// As [`CellGrid::<T, 3>::morton`], in the plane.
    #[must_use]
    pub fn morton(&self, at: [T; 2]) -> u32 {
        morton2(self.cell(at).map(|cell| cell as u32)) as u32
    }

    /// As [`CellGrid::<T, 3>::hilbert`], in the plane.
    #[must_use]
    pub fn hilbert(&self, at: [T; 2]) -> u32 {
        hilbert2(self.cell(at).map(|cell| cell as u32), 15) as u32
    }
}
