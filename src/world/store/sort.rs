//! The order of rows by an integer key: stable, the same on every machine.
#![forbid(unsafe_code)]

use crate::layout::ScalarType;
use crate::region::RegionError;
use crate::table::{ColumnKind, ENTITIES, Item};

use super::Store;
use super::rows::gather;

/// Lists that sorting needs, kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct SortScratch {
    keys: Vec<u64>,
    order: Vec<u32>,
    next: Vec<u32>,
}

/// Row indices in the order of their keys; equal keys keep their order. Floats order as `total_cmp` does.
pub(crate) fn order<'s>(scalar: ScalarType, column: &[u8], scratch: &'s mut SortScratch) -> &'s [u32] {
    let SortScratch { keys, order, next } = scratch;
    keys.clear();
    fn collect<const N: usize>(keys: &mut Vec<u64>, column: &[u8], key: impl Fn([u8; N]) -> u64) {
        keys.extend(column.chunks_exact(N).map(|bytes| key(bytes.try_into().expect("chunks are N bytes"))));
    }
    /// Floats in an order that integers have.
    fn float_key(bits: u64, width: u32) -> u64 {
        let sign = 1 << (width - 1);
        if bits & sign == 0 { bits | sign } else { !bits & (u64::MAX >> (64 - width)) }
    }
    match scalar {
        ScalarType::U8 | ScalarType::Bool => collect::<1>(keys, column, |b| u64::from(b[0])),
        ScalarType::I8 => collect::<1>(keys, column, |b| u64::from(b[0] ^ 0x80)),
        ScalarType::U16 => collect::<2>(keys, column, |b| u64::from(u16::from_le_bytes(b))),
        ScalarType::I16 => collect::<2>(keys, column, |b| u64::from(u16::from_le_bytes(b) ^ 0x8000)),
        ScalarType::U32 => collect::<4>(keys, column, |b| u64::from(u32::from_le_bytes(b))),
        ScalarType::I32 => collect::<4>(keys, column, |b| u64::from(u32::from_le_bytes(b) ^ (1 << 31))),
        ScalarType::U64 | ScalarType::Entity => collect::<8>(keys, column, u64::from_le_bytes),
        ScalarType::I64 => collect::<8>(keys, column, |b| u64::from_le_bytes(b) ^ (1 << 63)),
        ScalarType::F32 => collect::<4>(keys, column, |b| float_key(u64::from(u32::from_le_bytes(b)), 32)),
        ScalarType::F64 => collect::<8>(keys, column, |b| float_key(u64::from_le_bytes(b), 64)),
    }
    radix(keys, order, next);
    order
}

/// Least-significant-digit radix order, 11 bits a pass, passes without any differing bit left out.
fn radix(keys: &[u64], order: &mut Vec<u32>, next: &mut Vec<u32>) {
    const BITS: u32 = 11;
    order.clear();
    order.extend(0..keys.len() as u32);
    if keys.is_sorted() {
        return;
    }
    let differing = keys.iter().fold(0, |bits, key| bits | (key ^ keys[0]));
    next.clear();
    next.resize(keys.len(), 0);
    for shift in (0..64).step_by(BITS as usize) {
        let mask = (1u64 << BITS) - 1;
        if differing >> shift & mask == 0 {
            continue;
        }
        let digit = |row: u32| (keys[row as usize] >> shift & mask) as usize;
        let mut starts = [0u32; 1 << BITS];
        for row in 0..keys.len() as u32 {
            starts[digit(row)] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for row in order.iter() {
            let place = &mut starts[digit(*row)];
            next[*place as usize] = *row;
            *place += 1;
        }
        std::mem::swap(order, next);
    }
}

impl Store {
    /// Puts a table's rows in the order of a column, stably; true when any row moved. Values of the components `leaves`
    /// (sorted) stay where they are.
    pub(crate) fn sort_table(&mut self, table: u32, key_column: usize, leaves: &[u16]) -> Result<bool, RegionError> {
        let t = table as usize;
        let ColumnKind::Field { component, field } = self.tables[t].columns[key_column].kind else {
            return Ok(false);
        };
        let ty = self.layout.components()[usize::from(component)].fields[usize::from(field)].ty;
        let mut scratch = std::mem::take(&mut self.scratch.sort);
        let order = order(ty.scalar, self.column_bytes(table, key_column), &mut scratch);
        let moves = !order.is_sorted();
        let done = if moves { self.put_in_order(table, order, leaves) } else { Ok(()) };
        self.scratch.sort = scratch;
        done.map(|()| moves)
    }

    /// Puts a table's rows in this order: row `i` becomes what row `order[i]` was.
    fn put_in_order(&mut self, table: u32, order: &[u32], leaves: &[u16]) -> Result<(), RegionError> {
        let t = table as usize;
        let rows = self.tables[t].rows;
        self.write_partial(ENTITIES, 0)?;
        for c in 0..self.tables[t].columns.len() {
            if let ColumnKind::Field { component, .. } = self.tables[t].columns[c].kind
                && leaves.binary_search(&component).is_ok()
            {
                continue;
            }
            if self.tables[t].is_scratch(c) {
                self.put_scratch_in_order(table, c, order);
                continue;
            }
            let (from, to) = self.write_whole(table, c, false)?;
            match self.tables[t].columns[c].item {
                Item::Bytes(bytes) => {
                    let total = u64::from(rows) * u64::from(bytes);
                    let (source, target) = self.arena.disjoint(from, total, to, total);
                    gather(bytes as usize, source, order, target);
                }
                Item::Bit => {
                    // bits beyond the rows are zero, here as in every bit column
                    let words = self.tables[t].capacity.div_ceil(64) as usize;
                    let mut bits = std::mem::take(&mut self.scratch.words);
                    bits.clear();
                    bits.extend(order.chunks(64).map(|rows| {
                        let bit = |(index, row): (usize, &u32)| u64::from(self.bit(table, c, *row)) << index;
                        rows.iter().enumerate().map(bit).fold(0, |word, bit| word | bit)
                    }));
                    bits.resize(words, 0);
                    self.arena.items_mut::<u64>(to, words).copy_from_slice(&bits);
                    self.scratch.words = bits;
                }
            }
            self.flip(table, c);
            self.mark_dirty(table, c, 0, rows);
        }
        self.place_rows(table, 0, rows);
        Ok(())
    }

    /// The same of one column that has one extent.
    fn put_scratch_in_order(&mut self, table: u32, column: usize, order: &[u32]) {
        let rows = self.tables[table as usize].rows;
        let Item::Bytes(bytes) = self.tables[table as usize].columns[column].item else {
            unreachable!("fields are bytes")
        };
        let total = u64::from(rows) * u64::from(bytes);
        let live = self.tables[table as usize].columns[column].live.offset;
        let before = self.arena.bytes(live, total).to_vec();
        gather(bytes as usize, &before, order, self.arena.bytes_mut(live, total));
        self.mark_dirty(table, column, 0, rows);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// With lists that are left from another column.
    fn order_of(scalar: ScalarType, column: &[u8]) -> Vec<u32> {
        let mut scratch = SortScratch { keys: vec![3; 9], order: vec![7; 5], next: vec![1; 2] };
        order(scalar, column, &mut scratch).to_vec()
    }

    proptest! {
        #[test]
        fn integers_order_as_a_stable_sort(keys in prop::collection::vec(any::<u64>().prop_map(|k| k % 5000), 0..500)) {
            let mut want: Vec<u32> = (0..keys.len() as u32).collect();
            want.sort_by_key(|row| keys[*row as usize]);
            prop_assert_eq!(order_of(ScalarType::U64, bytemuck::cast_slice(&keys)), want);
        }

        #[test]
        fn floats_order_as_total_cmp(keys in prop::collection::vec(any::<f32>(), 0..300)) {
            let mut want: Vec<u32> = (0..keys.len() as u32).collect();
            want.sort_by(|a, b| keys[*a as usize].total_cmp(&keys[*b as usize]));
            prop_assert_eq!(order_of(ScalarType::F32, bytemuck::cast_slice(&keys)), want);
        }

        #[test]
        fn signed_integers_order(keys in prop::collection::vec(any::<i32>(), 0..300)) {
            let mut want: Vec<u32> = (0..keys.len() as u32).collect();
            want.sort_by_key(|row| keys[*row as usize]);
            prop_assert_eq!(order_of(ScalarType::I32, bytemuck::cast_slice(&keys)), want);
        }
    }
}
