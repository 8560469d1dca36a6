//! Boxes, cells and searches for neighbours on columns that numpy holds: the work of `hypostyle::space`, array by array.
//!
//! Columns come as the bytes of one type of number, and go out as bytearrays, which numpy takes as they are.
#![forbid(unsafe_code)]

use bytemuck::Pod;
use hypostyle::space::{Bounds, CellGrid, CellStarts, NeighbourSearch, Real, Skin, SpaceError};
use hypostyle::space::{hilbert2, hilbert3, morton2, morton3};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

/// A `hypostyle.space.Box`, attribute by attribute.
#[derive(FromPyObject)]
pub(crate) struct BoxParts {
    low: Vec<f64>,
    side: Vec<f64>,
    periodic: Vec<bool>,
    /// Whether its numbers are of 32 bits.
    single: bool,
}

/// Columns of one type, as bytes.
type Columns<'py> = Vec<Bound<'py, PyBytes>>;
type Array<'py> = Bound<'py, PyByteArray>;

fn wrong(failed: &SpaceError) -> PyErr {
    PyValueError::new_err(failed.to_string())
}

/// A type of number that columns are of.
trait Number: Real + Pod {}
impl Number for f32 {}
impl Number for f64 {}

fn bounds<T: Number, const N: usize>(parts: &BoxParts) -> PyResult<Bounds<T, N>> {
    let axes = |values: &[f64]| std::array::from_fn(|axis| T::from_f64(values[axis]));
    let periodic = std::array::from_fn(|axis| parts.periodic[axis]);
    Bounds::new(axes(&parts.low), axes(&parts.side), periodic).map_err(|failed| wrong(&failed))
}

fn grid<T: Number, const N: usize>(parts: &BoxParts, width: f64) -> PyResult<CellGrid<T, N>> {
    CellGrid::new(&bounds(parts)?, T::from_f64(width)).map_err(|failed| wrong(&failed))
}

/// The columns of all axes, each as long as the first.
fn columns<T: Pod, const N: usize>(at: &Columns<'_>) -> PyResult<[Vec<T>; N]> {
    let all: Vec<Vec<T>> = at.iter().map(|column| values(column.as_bytes())).collect();
    let lengths: Vec<usize> = all.iter().map(Vec::len).collect();
    let all: Result<[Vec<T>; N], _> = all.try_into();
    match all {
        Ok(all) if lengths.iter().all(|length| *length == lengths[0]) => Ok(all),
        _ => Err(PyValueError::new_err(format!(
            "places are {N} columns of one length, one for each axis of the box; these are of the lengths {lengths:?}"
        ))),
    }
}

fn values<T: Pod>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

fn array<'py, T: Pod>(py: Python<'py>, values: &[T]) -> Array<'py> {
    PyByteArray::new(py, bytemuck::cast_slice(values))
}

fn place<T: Copy, const N: usize>(at: &[Vec<T>; N], row: usize) -> [T; N] {
    std::array::from_fn(|axis| at[axis][row])
}

/// Calls a generic function with the type of number and the dimensions of a box.
macro_rules! of_kind {
    ($parts:expr, $function:ident($($argument:expr),*)) => {{
        let parts: &BoxParts = $parts;
        let axes = parts.side.len();
        if parts.low.len() != axes || parts.periodic.len() != axes {
            return Err(PyValueError::new_err("a box has as many sides as beginnings and periodic axes"));
        }
        match (parts.single, axes) {
            (false, 2) => $function::<f64, 2>($($argument),*),
            (false, 3) => $function::<f64, 3>($($argument),*),
            (true, 2) => $function::<f32, 2>($($argument),*),
            (true, 3) => $function::<f32, 3>($($argument),*),
            _ => Err(PyValueError::new_err(format!("a box has 2 or 3 axes; not {axes}"))),
        }
    }};
}

/// Checks a box.
#[pyfunction]
pub(crate) fn space_box(parts: BoxParts) -> PyResult<f64> {
    fn run<T: Number, const N: usize>(parts: &BoxParts) -> PyResult<f64> {
        Ok(bounds::<T, N>(parts)?.volume().to_f64())
    }
    of_kind!(&parts, run(&parts))
}

/// Places brought into a box, column by column, and by how many boxes they were outside (32 bits each).
#[pyfunction]
pub(crate) fn space_wrap<'py>(
    py: Python<'py>,
    parts: BoxParts,
    at: Columns<'py>,
) -> PyResult<(Vec<Array<'py>>, Vec<Array<'py>>)> {
    fn run<'py, T: Number, const N: usize>(
        py: Python<'py>,
        parts: &BoxParts,
        at: &Columns<'py>,
    ) -> PyResult<(Vec<Array<'py>>, Vec<Array<'py>>)> {
        let (bounds, mut at) = (bounds::<T, N>(parts)?, columns::<T, N>(at)?);
        let mut boxes: [Vec<i32>; N] = std::array::from_fn(|axis| vec![0; at[axis].len()]);
        py.detach(|| {
            for axis in 0..N {
                for (at, boxes) in at[axis].iter_mut().zip(&mut boxes[axis]) {
                    (*at, *boxes) = bounds.wrap_axis(axis, *at);
                }
            }
        });
        let at = at.iter().map(|column| array(py, column)).collect();
        Ok((at, boxes.iter().map(|column| array(py, column)).collect()))
    }
    of_kind!(&parts, run(py, &parts, &at))
}

/// What leads from the nearest images of the second places to the first ones, column by column.
#[pyfunction]
pub(crate) fn space_between<'py>(
    py: Python<'py>,
    parts: BoxParts,
    a: Columns<'py>,
    b: Columns<'py>,
) -> PyResult<Vec<Array<'py>>> {
    fn run<'py, T: Number, const N: usize>(
        py: Python<'py>,
        parts: &BoxParts,
        a: &Columns<'py>,
        b: &Columns<'py>,
    ) -> PyResult<Vec<Array<'py>>> {
        let (bounds, mut a, b) = (bounds::<T, N>(parts)?, columns::<T, N>(a)?, columns::<T, N>(b)?);
        if a[0].len() != b[0].len() {
            return Err(PyValueError::new_err("there must be as many places on both sides"));
        }
        for axis in 0..N {
            a[axis].iter_mut().zip(&b[axis]).for_each(|(a, b)| *a = bounds.nearest_axis(axis, *a - *b));
        }
        Ok(a.iter().map(|column| array(py, column)).collect())
    }
    of_kind!(&parts, run(py, &parts, &a, &b))
}

/// Cells along each side, and how wide one is.
#[pyfunction]
pub(crate) fn space_cells(parts: BoxParts, width: f64) -> PyResult<(Vec<i32>, Vec<f64>)> {
    fn run<T: Number, const N: usize>(parts: &BoxParts, width: f64) -> PyResult<(Vec<i32>, Vec<f64>)> {
        let grid = grid::<T, N>(parts, width)?;
        Ok((grid.cells().to_vec(), grid.width().iter().map(|width| width.to_f64()).collect()))
    }
    of_kind!(&parts, run(&parts, width))
}

/// What keys of places follow.
#[derive(Clone, Copy)]
enum Key {
    Cell,
    Morton,
    Hilbert,
}

impl Key {
    fn named(name: &str) -> PyResult<Self> {
        match name {
            "cell" => Ok(Key::Cell),
            "morton" => Ok(Key::Morton),
            "hilbert" => Ok(Key::Hilbert),
            other => Err(PyValueError::new_err(format!("there is no curve `{other}`"))),
        }
    }

    /// As the methods of grids in two and in three dimensions: all keys fit 30 bits.
    fn of<T: Number, const N: usize>(self, grid: &CellGrid<T, N>, at: [T; N]) -> u32 {
        let cell = grid.cell(at).map(|cell| cell as u32);
        match (self, &cell[..]) {
            (Key::Morton, &[x, y]) => morton2([x, y]) as u32,
            (Key::Morton, &[x, y, z]) => morton3([x, y, z]) as u32,
            (Key::Hilbert, &[x, y]) => hilbert2([x, y], 15) as u32,
            (Key::Hilbert, &[x, y, z]) => hilbert3([x, y, z], 10) as u32,
            _ => grid.key(at),
        }
    }
}

/// The keys of places, 32 bits each: `cell`, the number of the cell, `morton` or `hilbert`.
#[pyfunction]
pub(crate) fn space_keys<'py>(
    py: Python<'py>,
    parts: BoxParts,
    width: f64,
    curve: &str,
    at: Columns<'py>,
) -> PyResult<Array<'py>> {
    fn run<'py, T: Number, const N: usize>(
        py: Python<'py>,
        parts: &BoxParts,
        width: f64,
        curve: &str,
        at: &Columns<'py>,
    ) -> PyResult<Array<'py>> {
        let (grid, at) = (grid::<T, N>(parts, width)?, columns::<T, N>(at)?);
        let key = Key::named(curve)?;
        let keys: Vec<u32> = py.detach(|| (0..at[0].len()).map(|row| key.of(&grid, place(&at, row))).collect());
        Ok(array(py, &keys))
    }
    of_kind!(&parts, run(py, &parts, width, curve, &at))
}

/// The first row of each cell, and where the last one ends (32 bits each), from a sorted column of keys.
#[pyfunction]
pub(crate) fn space_starts<'py>(py: Python<'py>, keys: &[u8], cells: usize) -> PyResult<Array<'py>> {
    let keys: Vec<u32> = values(keys);
    let starts = py.detach(|| CellStarts::of_sorted(&keys, cells)).map_err(|failed| wrong(&failed))?;
    let last = u32::try_from(keys.len()).map_err(|_| PyValueError::new_err("a table has fewer than 2^32 rows"))?;
    let firsts = (0..cells as u32).map(|cell| starts.rows(cell).start as u32);
    Ok(array(py, &firsts.chain([last]).collect::<Vec<_>>()))
}

/// What finds neighbours in a table, whatever its numbers and axes.
trait Lists: Send + Sync {
    fn rows(&self) -> usize;
    /// Where the list of each of these rows begins and the last one ends, and all lists.
    fn lists(&self, rows: std::ops::Range<usize>) -> Result<(Vec<i64>, Vec<u32>), SpaceError>;
}

struct Table<T, const N: usize> {
    grid: CellGrid<T, N>,
    starts: CellStarts,
    at: [Vec<T>; N],
    reach: T,
}

impl<T: Number, const N: usize> Lists for Table<T, N> {
    fn rows(&self) -> usize {
        self.at[0].len()
    }

    fn lists(&self, rows: std::ops::Range<usize>) -> Result<(Vec<i64>, Vec<u32>), SpaceError> {
        let columns = std::array::from_fn(|axis| &self.at[axis][..]);
        let mut search = NeighbourSearch::new(&self.grid, &self.starts, columns, self.reach);
        let (mut offsets, mut found) = (vec![0_i64], Vec::new());
        for row in rows {
            found.extend_from_slice(search.of(row)?);
            offsets.push(found.len() as i64);
        }
        Ok((offsets, found))
    }
}

/// A search for neighbours in a table that is sorted by the keys of its cells. It has copies of all that it looks at.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Search(Box<dyn Lists>);

#[pymethods]
impl Search {
    #[new]
    fn new(py: Python<'_>, parts: BoxParts, width: f64, keys: &[u8], at: Columns<'_>, reach: f64) -> PyResult<Self> {
        fn run<T: Number, const N: usize>(
            py: Python<'_>,
            parts: &BoxParts,
            width: f64,
            keys: &[u8],
            at: &Columns<'_>,
            reach: f64,
        ) -> PyResult<Search> {
            let (grid, at) = (grid::<T, N>(parts, width)?, columns::<T, N>(at)?);
            if !(reach.is_finite() && reach > 0.0) {
                return Err(PyValueError::new_err(format!("a reach of {reach}: it must be finite and above 0")));
            }
            let (keys, rows): (Vec<u32>, usize) = (values(keys), at[0].len());
            if keys.len() != rows {
                return Err(PyValueError::new_err(format!("there are {rows} places and {} keys", keys.len())));
            }
            let starts = py.detach(|| CellStarts::of_sorted(&keys, grid.count())).map_err(|failed| wrong(&failed))?;
            Ok(Search(Box::new(Table { grid, starts, at, reach: T::from_f64(reach) })))
        }
        of_kind!(&parts, run(py, &parts, width, keys, &at, reach))
    }

    fn __len__(&self) -> usize {
        self.0.rows()
    }

    /// The lists of rows: where each begins and the last one ends (64 bits each), and all of them (32 bits each).
    fn lists<'py>(&self, py: Python<'py>, first: usize, count: usize) -> PyResult<(Array<'py>, Array<'py>)> {
        let rows = self.0.rows();
        let end = first.checked_add(count).filter(|end| *end <= rows);
        let wrong_rows = || format!("{count} rows from row {first} on are not there: the table has {rows}");
        let end = end.ok_or_else(|| PyIndexError::new_err(wrong_rows()))?;
        let (offsets, found) = py.detach(|| self.0.lists(first..end)).map_err(|failed| wrong(&failed))?;
        Ok((array(py, &offsets), array(py, &found)))
    }
}

/// Whether any place has moved more than half of a skin.
#[pyfunction]
pub(crate) fn space_is_used_up(
    py: Python<'_>,
    single: bool,
    skin: f64,
    at: Columns<'_>,
    made_at: Columns<'_>,
) -> PyResult<bool> {
    fn run<T: Number, const N: usize>(
        py: Python<'_>,
        skin: f64,
        at: &Columns<'_>,
        made_at: &Columns<'_>,
    ) -> PyResult<bool> {
        let (at, made_at) = (columns::<T, N>(at)?, columns::<T, N>(made_at)?);
        if at[0].len() != made_at[0].len() {
            return Err(PyValueError::new_err("there must be as many places on both sides"));
        }
        Ok(py.detach(|| {
            let now: [&[T]; N] = std::array::from_fn(|axis| &at[axis][..]);
            Skin(T::from_f64(skin)).is_used_up(now, std::array::from_fn(|axis| &made_at[axis][..]))
        }))
    }
    let ones = vec![1.0; at.len()];
    let parts = BoxParts { low: ones.clone(), side: ones, periodic: vec![false; at.len()], single };
    of_kind!(&parts, run(py, skin, &at, &made_at))
}

/// Keys of cells along a curve, 64 bits each; `bits` of each coordinate count along Hilbert's.
#[pyfunction]
pub(crate) fn space_curve<'py>(py: Python<'py>, curve: &str, cells: Columns<'py>, bits: u32) -> PyResult<Array<'py>> {
    let keys: Vec<u64> = match cells.len() {
        2 => {
            let cells = columns::<u32, 2>(&cells)?;
            let key = |cell| if curve == "morton" { morton2(cell) } else { hilbert2(cell, bits) };
            py.detach(|| (0..cells[0].len()).map(|row| key(place(&cells, row))).collect())
        }
        _ => {
            let cells = columns::<u32, 3>(&cells)?;
            let key = |cell| if curve == "morton" { morton3(cell) } else { hilbert3(cell, bits) };
            py.detach(|| (0..cells[0].len()).map(|row| key(place(&cells, row))).collect())
        }
    };
    Ok(array(py, &keys))
}
