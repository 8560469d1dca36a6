//! Rows of equal keys in the order of a second column.
//!
//! The rows are in the order of their keys already, so that those of equal keys are runs. A run that is in order, as nearly all are
//! in a table that was sorted some frames ago, costs one look at its rows.
#![forbid(unsafe_code)]

use crate::layout::ScalarType;

use super::keys::{SortScratch, keys_of};

/// Puts rows of equal keys in the order of a second column, stably. `moves`: the rows' order by their keys was found in
/// `scratch`; otherwise they are in it. False: rows are in order by both.
pub(super) fn order(
    key: ScalarType,
    keys: &[u8],
    (second, values): (ScalarType, &[u8]),
    moves: bool,
    scratch: &mut SortScratch,
) -> bool {
    let mut made = std::mem::take(&mut scratch.keys);
    let seconds = match second {
        ScalarType::U64 | ScalarType::Entity => bytemuck::cast_slice(values),
        _ => {
            keys_of(second, values, &mut made);
            &made[..]
        }
    };
    let order = &mut scratch.order;
    // keys are equal where their bytes are, whatever their type
    let moves = match key.bytes() {
        1 => order_runs::<1>(keys, seconds, moves, order),
        2 => order_runs::<2>(keys, seconds, moves, order),
        4 => order_runs::<4>(keys, seconds, moves, order),
        _ => order_runs::<8>(keys, seconds, moves, order),
    };
    scratch.keys = made;
    moves
}

fn order_runs<const N: usize>(keys: &[u8], seconds: &[u64], moves: bool, order: &mut Vec<u32>) -> bool {
    let keys = keys.as_chunks::<N>().0;
    let wrong = |row: usize, next: usize| (keys[row] == keys[next]) & (seconds[row] > seconds[next]);
    if !moves {
        // to the end, and without a branch: nearly always it is true of all
        let pairs = keys.array_windows::<2>().zip(seconds.array_windows::<2>());
        let any_wrong = pairs.fold(false, |any, ([a, b], [c, d])| any | ((a == b) & (c > d)));
        if !any_wrong {
            return false;
        }
        order.clear();
        order.extend(0..keys.len() as u32);
    }
    let mut at = 1;
    while at < order.len() {
        if !wrong(order[at - 1] as usize, order[at] as usize) {
            at += 1;
            continue;
        }
        let key = keys[order[at] as usize];
        let has_key = |row: &&u32| keys[**row as usize] == key;
        let first = at - order[..at].iter().rev().take_while(has_key).count();
        let end = at + order[at..].iter().take_while(has_key).count();
        // the sort by keys was stable: rows of a run ascend
        order[first..end].sort_unstable_by_key(|row| (seconds[*row as usize], *row));
        at = end + 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::find;
    use super::*;

    /// With lists that are left from another column.
    fn order_of(key: (ScalarType, &[u8]), second: (ScalarType, &[u8])) -> Option<Vec<u32>> {
        let mut scratch = SortScratch::default();
        (scratch.keys, scratch.order) = (vec![3; 9], vec![7; 5]);
        let moves = find(key.0, key.1, &mut scratch);
        order(key.0, key.1, second, moves, &mut scratch).then_some(scratch.order)
    }

    /// As they are drawn, or in order already, or nearly.
    fn arranged(mut rows: Vec<(u8, i16)>, in_order: u8) -> Vec<(u8, i16)> {
        if in_order > 0 {
            rows.sort_unstable();
        }
        if in_order > 1 && rows.len() > 2 {
            let (a, b) = (rows.len() / 2, rows.len() / 3);
            rows.swap(a, b);
        }
        rows
    }

    proptest! {
        #[test]
        fn rows_stand_in_the_order_of_both_whatever_their_order_was(
            rows in prop::collection::vec((0u8..6, -9i16..9), 0..300), in_order in 0u8..3,
        ) {
            let rows = arranged(rows, in_order);
            let mut want: Vec<u32> = (0..rows.len() as u32).collect();
            want.sort_by_key(|row| rows[*row as usize]);
            let want = Some(want).filter(|_| !rows.is_sorted());
            let keys: Vec<u8> = rows.iter().map(|(key, _)| *key).collect();
            let wide: Vec<u64> = rows.iter().map(|(key, _)| u64::from(*key) << 40).collect();
            let real: Vec<f32> = rows.iter().map(|(key, _)| f32::from(*key) - 2.5).collect();
            let seconds: Vec<i16> = rows.iter().map(|(_, second)| *second).collect();
            let ids: Vec<u64> = rows.iter().map(|(_, second)| (*second as u64) ^ 1 << 63).collect();
            let keys = [
                (ScalarType::U8, &keys[..]),
                (ScalarType::U64, bytemuck::cast_slice(&wide)),
                (ScalarType::F32, bytemuck::cast_slice(&real)),
            ];
            for key in keys {
                prop_assert_eq!(&order_of(key, (ScalarType::I16, bytemuck::cast_slice(&seconds))), &want);
                prop_assert_eq!(&order_of(key, (ScalarType::U64, bytemuck::cast_slice(&ids))), &want);
            }
        }
    }

    #[test]
    fn a_run_of_many_rows_costs_no_square_of_them() {
        let ids: Vec<u64> = (0..200_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let keys = vec![0u8; 2 * ids.len()];
        let order =
            order_of((ScalarType::U16, &keys), (ScalarType::U64, bytemuck::cast_slice(&ids))).expect("it moves");
        assert!(order.iter().map(|row| ids[*row as usize]).is_sorted());
    }
}
