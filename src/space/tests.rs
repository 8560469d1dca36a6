//! Lists and forces beside loops over all pairs, with every kind of vectors.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;
use crate::simd::Vectors;

/// Places of some particles, in and a little out of a box, and which axes are periodic.
fn cloud<const N: usize>() -> impl Strategy<Value = (Vec<[f64; N]>, [f64; N], [bool; N], f64)> {
    let place = prop::array::uniform::<_, N>(-0.2..1.2f64);
    let side = prop::array::uniform::<_, N>(1.0..9.0f64);
    (prop::collection::vec(place, 0..120), side, prop::array::uniform::<_, N>(any::<bool>()), 0.2..0.5f64).prop_map(
        |(mut places, side, periodic, part)| {
            let reach = part * side.iter().copied().fold(f64::MAX, f64::min);
            for place in &mut places {
                for axis in 0..N {
                    place[axis] *= side[axis];
                }
            }
            (places, side, periodic, reach)
        },
    )
}

/// A table that is sorted by its cells.
struct Sorted<T, const N: usize> {
    bounds: Bounds<T, N>,
    grid: CellGrid<T, N>,
    starts: CellStarts,
    at: [Vec<T>; N],
}

fn sorted<T: Real, const N: usize>(
    places: &[[f64; N]],
    side: [f64; N],
    periodic: [bool; N],
    width: f64,
) -> Sorted<T, N> {
    let bounds = Bounds::new([T::ZERO; N], side.map(T::from_f64), periodic).expect("sides above 0");
    let grid = CellGrid::new(&bounds, T::from_f64(width)).expect("a width above 0");
    let mut places: Vec<[T; N]> = places.iter().map(|place| bounds.wrap(place.map(T::from_f64)).0).collect();
    places.sort_by_key(|place| grid.key(*place));
    let keys: Vec<u32> = places.iter().map(|place| grid.key(*place)).collect();
    let starts = CellStarts::of_sorted(&keys, grid.count()).expect("sorted keys");
    let at = std::array::from_fn(|axis| places.iter().map(|place| place[axis]).collect());
    Sorted { bounds, grid, starts, at }
}

impl<T: Real, const N: usize> Sorted<T, N> {
    fn columns(&self) -> [&[T]; N] {
        self.at.each_ref().map(|column| &column[..])
    }

    fn place(&self, row: usize) -> [T; N] {
        std::array::from_fn(|axis| self.at[axis][row])
    }

    /// What a loop over all rows finds.
    fn near(&self, row: usize, reach: T) -> Vec<u32> {
        let square_max = reach * reach;
        (0..self.at[0].len())
            .filter(|other| *other != row)
            .filter(|other| self.bounds.distance_square(self.place(row), self.place(*other)) < square_max)
            .map(|other| other as u32)
            .collect()
    }
}

/// With each kind of vectors that this processor has.
fn with_all_vectors<R: PartialEq + std::fmt::Debug>(mut compute: impl FnMut() -> R) -> R {
    let results: Vec<R> = Vectors::ALL
        .into_iter()
        .map(|vectors| {
            // other tests run with these for a moment: the bits are the same
            vectors.limit();
            compute()
        })
        .collect();
    Vectors::Avx512.limit();
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "vectors change the bits: {results:?}");
    results.into_iter().next().expect("there are some")
}

fn searched<T: Real, const N: usize>(table: &Sorted<T, N>, reach: T) -> Vec<Result<Vec<u32>, SpaceError>> {
    let mut search = NeighbourSearch::new(&table.grid, &table.starts, table.columns(), reach);
    (0..table.at[0].len()).map(|row| search.of(row).map(<[u32]>::to_vec)).collect()
}

fn check<T: Real, const N: usize>(
    (places, side, periodic, reach): (Vec<[f64; N]>, [f64; N], [bool; N], f64),
    cells: f64,
) -> Result<(), TestCaseError> {
    let table = sorted::<T, N>(&places, side, periodic, reach / cells);
    let reach = T::from_f64(reach);
    let found = with_all_vectors(|| searched(&table, reach));
    let mut lists = Vec::new();
    for (row, found) in found.into_iter().enumerate() {
        let mut found = found.map_err(|error| TestCaseError::fail(error.to_string()))?;
        lists.push(found.clone());
        found.sort_unstable();
        prop_assert_eq!(found, table.near(row, reach), "row {} of {:?}", row, table.at);
    }
    let words: Vec<Vec<u16>> = lists
        .iter()
        .map(|list| {
            let mut words = Vec::new();
            PackedRows::pack(list, &mut words);
            words
        })
        .collect();
    // forces of a smooth law, beside a plain sum
    let n = lists.len();
    let cutoff = T::from_f64(0.9) * reach;
    let law = |square: T| (T::ONE - square / (reach * reach), [square, T::ONE]);
    let (forces, sums) = with_all_vectors(|| {
        let mut forces: [Vec<T>; N] = std::array::from_fn(|_| vec![T::ONE; n]);
        let pairs = PairForces::new(&table.bounds, table.columns(), cutoff, reach);
        let sums = pairs.set_and_sum(0, |row| &lists[row], forces.each_mut().map(|column| &mut column[..]), law);
        let packed: Vec<[T; 4]> =
            (0..n).map(|row| std::array::from_fn(|axis| if axis < N { table.at[axis][row] } else { T::ONE })).collect();
        let mut beside: [Vec<T>; N] = std::array::from_fn(|_| vec![T::ONE; n]);
        let pairs = PairForces::packed(&table.bounds, &packed, cutoff, reach);
        pairs.set(0, |row| &lists[row], beside.each_mut().map(|column| &mut column[..]), |square| law(square).0);
        assert_eq!(forces, beside, "side by side");
        let packed = |row: usize| PackedRows(&words[row]);
        let again = pairs.set_packed_and_sum(0, packed, beside.each_mut().map(|column| &mut column[..]), law);
        assert_eq!((&forces, sums), (&beside, again), "packed lists");
        (
            forces.map(|column| column.into_iter().map(T::to_f64).map(f64::to_bits).collect::<Vec<_>>()),
            sums.map(T::to_f64),
        )
    });
    let mut count = 0;
    for row in 0..n {
        let mut want = [0.0; N];
        for other in table.near(row, cutoff) {
            let d = table.bounds.between(table.place(row), table.place(other as usize));
            let factor = law(d.iter().fold(T::ZERO, |sum, d| sum + *d * *d)).0.to_f64();
            want = std::array::from_fn(|axis| want[axis] + factor * d[axis].to_f64());
            count += 1;
        }
        for axis in 0..N {
            let got = f64::from_bits(forces[axis][row]);
            prop_assert!((got - want[axis]).abs() < 1e-3 * reach.to_f64(), "row {}: {} {}", row, got, want[axis]);
        }
    }
    prop_assert_eq!(sums[1], f64::from(count), "every pair from both sides");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_space(cloud in cloud::<3>(), cells in 0.5..3.0f64) {
        check::<f64, 3>(cloud, cells)?;
    }

    #[test]
    fn in_the_plane(cloud in cloud::<2>(), cells in 0.5..3.0f64) {
        check::<f64, 2>(cloud, cells)?;
    }

    #[test]
    fn in_single_precision(solid in cloud::<3>(), plane in cloud::<2>(), cells in 0.5..3.0f64) {
        check::<f32, 3>(solid, cells)?;
        check::<f32, 2>(plane, cells)?;
    }

    #[test]
    fn places_come_into_the_box(at in prop::array::uniform3(-50.0..50.0f64), low in prop::array::uniform3(-5.0..5.0f64),
                                side in prop::array::uniform3(0.5..9.0f64), periodic in prop::array::uniform3(any::<bool>())) {
        let bounds = Box3::new(low, side, periodic).expect("sides above 0");
        let (inside, boxes) = bounds.wrap(at);
        for axis in 0..3 {
            prop_assert!((inside[axis] + f64::from(boxes[axis]) * side[axis] - at[axis]).abs() < 1e-12);
            let wrapped = inside[axis] >= low[axis] - 1e-12 && inside[axis] <= low[axis] + side[axis] + 1e-12;
            prop_assert_eq!(wrapped || !periodic[axis], true);
            prop_assert_eq!(periodic[axis] || inside[axis] == at[axis], true);
            let nearest = bounds.nearest_axis(axis, at[axis]);
            prop_assert!(!periodic[axis] || nearest.abs() <= 0.5 * side[axis] + 1e-12);
        }
        let grid = CellGrid::new(&bounds, 0.7).expect("a width above 0");
        let cell = grid.cell(inside);
        prop_assert_eq!(grid.cell_of(grid.number(cell)), cell);
        prop_assert!(grid.width().iter().zip(side).all(|(width, side)| *width >= 0.7f64.min(side) - 1e-12));
    }
}

#[test]
fn the_same_place_is_an_error_with_all_vectors() {
    let places: Vec<[f64; 3]> = (0..20).map(|i| [0.2 * f64::from(i % 19), 1.0, 1.0]).collect();
    let table = sorted::<f64, 3>(&places, [4.0; 3], [true; 3], 0.5);
    let found = with_all_vectors(|| searched(&table, 1.0));
    let faults: Vec<_> = found.into_iter().filter_map(Result::err).collect();
    assert_eq!(faults, [SpaceError::SamePlace { row: 0, other: 3 }, SpaceError::SamePlace { row: 3, other: 0 }]);
}

#[test]
fn each_row_of_some_gets_its_list() {
    let mut places: Vec<[f64; 3]> = (0..6).map(|i| [0.1 * f64::from(i), 1.0, 1.0]).collect();
    let table = sorted::<f64, 3>(&places, [4.0; 3], [true; 3], 0.5);
    let mut search = NeighbourSearch::new(&table.grid, &table.starts, table.columns(), 1.0);
    let mut lists = Vec::new();
    assert_eq!(search.each(2..4, |index, found| lists.push((index, found.to_vec()))), Ok(()));
    assert_eq!(lists, [(0, vec![0, 1, 3, 4, 5]), (1, vec![0, 1, 2, 4, 5])]);
    places[5] = places[4];
    let table = sorted::<f64, 3>(&places, [4.0; 3], [true; 3], 0.5);
    let mut search = NeighbourSearch::new(&table.grid, &table.starts, table.columns(), 1.0);
    let mut taken = 0;
    assert_eq!(search.each(0..6, |_, _| taken += 1), Err(SpaceError::SamePlace { row: 4, other: 5 }));
    assert_eq!(taken, 4);
}

#[test]
fn a_pair_that_is_computed_once_has_the_forces_of_one_that_is_computed_twice() {
    let places: Vec<[f64; 3]> =
        (0..400).map(|i| [0.618 * f64::from(i), 0.37 * f64::from(i), 0.731 * f64::from(i)].map(|x| x % 4.0)).collect();
    let table = sorted::<f64, 3>(&places, [4.0; 3], [true; 3], 0.6);
    let at = table.columns();
    let charge: Vec<f64> = (0..400).map(|i| f64::from(i % 7) - 3.0).collect();
    let law = |square: f64, [a]: [f64; 1], [b]: [f64; 1]| (a * b / (0.1 + square), [a * b + square]);
    // three jobs, the last one of fewer rows
    let run = |once: bool| {
        let (mut force, mut total) = (vec![[0.0; 400]; 3], 0.0);
        for job in [0..150, 150..300, 300..400] {
            let mut search = NeighbourSearch::new(&table.grid, &table.starts, at, 1.2);
            let mut lists = Vec::new();
            let mut take = |_: usize, found: &[u32]| lists.push(found.to_vec());
            match once {
                true => search.each_once(job.clone(), &mut take).expect("no two at one place"),
                false => search.each(job.clone(), &mut take).expect("no two at one place"),
            }
            let pairs = PairForces::new(&table.bounds, at, 1.2, 1.2);
            let pairs = if once { pairs.once() } else { pairs };
            let [x, y, z] = &mut force[..] else { unreachable!("three axes") };
            let own = [&mut x[job.clone()], &mut y[job.clone()], &mut z[job.clone()]];
            let [sum] = pairs.set_by_and_sum(job.start, |row| &lists[row][..], own, [&charge], law);
            total += sum;
        }
        (force, total)
    };
    let twice = with_all_vectors(|| run(false));
    let once = with_all_vectors(|| run(true));
    let mut own = 0.0f64;
    for axis in 0..3 {
        for row in 0..400 {
            let (a, b) = (twice.0[axis][row], once.0[axis][row]);
            assert!((a - b).abs() < 1e-11, "row {row}: {a} and {b}");
            own = own.max(a.abs());
        }
    }
    assert!(own > 1.0 && (twice.1 - once.1).abs() < 1e-9 * twice.1.abs(), "{own}, {} and {}", twice.1, once.1);
    // by hand
    let (row, bounds) = (170, &table.bounds);
    let mut want = [0.0; 3];
    for other in (0..400).filter(|other| *other != row) {
        let d: [f64; 3] = std::array::from_fn(|axis| bounds.nearest_axis(axis, at[axis][row] - at[axis][other]));
        let square = d.iter().map(|d| d * d).sum::<f64>();
        if square < 1.44 {
            (0..3).for_each(|axis| want[axis] += d[axis] * law(square, [charge[row]], [charge[other]]).0);
        }
    }
    assert!((0..3).all(|axis| (want[axis] - once.0[axis][row]).abs() < 1e-11), "{want:?}");
}

/// The order that the Python package has, too: its test has the same sums.
#[test]
fn the_force_on_a_row_is_eight_sums_joined_in_pairs() {
    let places: Vec<[f64; 3]> =
        (0..500).map(|i| [0.618 * f64::from(i), 0.37 * f64::from(i), 0.731 * f64::from(i)].map(|x| x % 4.0)).collect();
    let table = sorted::<f64, 3>(&places, [4.0; 3], [true; 3], 0.7);
    let at = table.columns();
    let charge: Vec<f64> = (0..500).map(|i| 0.37 * f64::from(i) % 1.0 - 0.5).collect();
    let mut lists = Vec::new();
    let mut search = NeighbourSearch::new(&table.grid, &table.starts, at, 1.4);
    search.each(100..160, |_, found| lists.push(found.to_vec())).expect("no two at one place");
    let force = with_all_vectors(|| {
        let mut force = vec![[0.0; 60]; 3];
        let [x, y, z] = &mut force[..] else { unreachable!("three axes") };
        let pairs = PairForces::new(&table.bounds, at, 1.3, 1.3);
        pairs.set_by(100, |row| &lists[row][..], [x, y, z], [&charge], |square, [a], [b]| a * b / square);
        force
    });
    assert!(lists.iter().any(|list| list.len() > 16));
    for (index, list) in lists.iter().enumerate() {
        let row = 100 + index;
        let mut sums = [[0.0; 8]; 3];
        for (place, other) in list.iter().map(|other| *other as usize).enumerate() {
            let d: [f64; 3] =
                std::array::from_fn(|axis| table.bounds.nearest_axis(axis, at[axis][row] - at[axis][other]));
            let square = (d[0] * d[0] + d[1] * d[1]) + d[2] * d[2];
            let value = if square < 1.3 * 1.3 { charge[row] * charge[other] / square } else { 0.0 };
            (0..3).for_each(|axis| sums[axis][place % 8] += d[axis] * value);
        }
        for axis in 0..3 {
            let [a, b, c, d, e, f, g, h] = sums[axis];
            assert_eq!(force[axis][index], ((a + b) + (c + d)) + ((e + f) + (g + h)), "row {row}");
        }
    }
}

#[test]
#[should_panic(expected = "of a list are in a table of 2")]
fn a_list_that_names_no_row_is_refused() {
    let bounds = Box3::open([0.0; 3], [9.0; 3]).expect("a box");
    let at = [&[0.0, 1.0][..], &[0.0; 2], &[0.0; 2]];
    let [mut x, mut y, mut z] = [[0.0; 2]; 3];
    PairForces::new(&bounds, at, 2.0, 2.0).set(0, |_| &[1, 2], [&mut x, &mut y, &mut z], |square| square);
}

#[test]
#[should_panic(expected = "1 words of a packed list are left where 2 must follow")]
fn a_packed_list_that_is_none_is_refused() {
    let bounds = Box3::open([0.0; 3], [9.0; 3]).expect("a box");
    let at = [&[0.0, 1.0][..], &[0.0; 2], &[0.0; 2]];
    let [mut x, mut y, mut z] = [[0.0; 2]; 3];
    let pairs = PairForces::new(&bounds, at, 2.0, 2.0);
    pairs.set_packed(0, |_| PackedRows(&[2, 0, 0, 1]), [&mut x, &mut y, &mut z], |square| square);
}

#[test]
fn movement_counts_from_rounded_places() {
    let at = [0.1f64, 0.7, 123.456_789];
    let rounded = at.map(|x| x as f32);
    let off = (at[2] - f64::from(rounded[2])).abs();
    assert!(off > 1e-6, "{off}");
    let used = |skin: f64| with_all_vectors(|| Skin(skin).is_used_up([&at[..]], [&rounded[..]]));
    assert!(used(1.99 * off) && !used(2.01 * off));
}

#[test]
fn a_skin_is_used_up_by_one_that_moved_more_than_half_of_it() {
    let (a, mut b) = (vec![1.0; 100], vec![1.0; 100]);
    b[77] = 1.2;
    let used = |at: &[f64]| with_all_vectors(|| Skin(0.4).is_used_up([at, &a], [&a, &a]));
    assert!(!used(&b[..77]));
    b[77] = 1.1999;
    assert!(!used(&b));
    b[77] = 1.2001;
    assert!(used(&b));
    b[77] = f64::NAN;
    assert!(used(&b), "what is no number");
}

#[test]
fn boxes_and_cells_of_nothing_are_refused() {
    for side in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(Box2::periodic([1.0, side]), Err(SpaceError::Side { axis: 1, .. })), "{side}");
    }
    let bounds = Box2::<f32>::open([0.0; 2], [4.0, 1e9]).expect("a box");
    assert!(matches!(CellGrid::new(&bounds, 0.0), Err(SpaceError::Width { .. })));
    let grid = CellGrid::new(&bounds, 1.0).expect("cells");
    assert_eq!(grid.cells(), [4, 1 << 15], "keys fit 30 bits");
    assert_eq!(grid.cell([f32::NAN, 1e30]), [0, (1 << 15) - 1]);
}
