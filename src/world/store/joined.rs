//! Many values at once, joined to those of scattered rows: as [`super::scatter`], which replaces them.
#![forbid(unsafe_code)]

use crate::join::{FieldRule, WithJoin};

use super::Store;
use super::arena::Arena;
use super::scatter::Values;

/// Values that are joined to rows of a column.
struct Scattered<'s> {
    data: &'s mut [u8],
    bytes: usize,
    rows: &'s [u32],
    values: Values<'s>,
    picks: Option<&'s [u32]>,
    in_order: bool,
}

impl WithJoin for Scattered<'_> {
    fn run<T: bytemuck::Pod>(self, _: T, join: impl Fn(T, T) -> T + Copy) {
        let Scattered { data, bytes, rows, values, picks, in_order } = self;
        let data: &mut [T] = bytemuck::cast_slice_mut(data);
        let per_row = bytes / size_of::<T>();
        if let (None, 1, true, Some(first)) = (picks, per_row, in_order, rows.first()) {
            let own = data[*first as usize..][..rows.len()].iter_mut();
            for (own, entry) in own.zip(values.bytes.chunks_exact(values.stride)) {
                *own = join(*own, bytemuck::pod_read_unaligned(&entry[values.at..values.at + size_of::<T>()]));
            }
            return;
        }
        for row in rows {
            Arena::prefetch(data, *row as usize * per_row);
        }
        if picks.is_none() && per_row == 1 {
            for (row, entry) in rows.iter().zip(values.bytes.chunks_exact(values.stride)) {
                let own = &mut data[*row as usize];
                *own = join(*own, bytemuck::pod_read_unaligned(&entry[values.at..values.at + size_of::<T>()]));
            }
            return;
        }
        for (index, row) in rows.iter().enumerate() {
            let entry = picks.map_or(index, |picks| picks[index] as usize);
            let later = values.get(entry, bytes).chunks_exact(size_of::<T>());
            let own = &mut data[*row as usize * per_row..][..per_row];
            own.iter_mut().zip(later).for_each(|(own, later)| *own = join(*own, bytemuck::pod_read_unaligned(later)));
        }
    }
}

impl Store {
    /// Joins values to rows in use of a (building) byte column, in the order given, with stamps and catch-up notes. Row `i`
    /// gets the value of entry `picks[i]`, or of entry `i` without picks.
    pub(crate) fn scatter_joined(
        &mut self,
        table: u32,
        column: usize,
        rule: FieldRule,
        rows: &[u32],
        values: Values<'_>,
        picks: Option<&[u32]>,
    ) {
        self.change_rows(table, column, rows, |data, bytes, in_order| {
            debug_assert_eq!(bytes, rule.bytes(), "the rule is the column's");
            rule.with(Scattered { data, bytes, rows, values, picks, in_order });
        });
    }
}
