//! The order of rows by a key, and by a second column among rows of equal keys: stable, the same on every machine.
//!
//! A table is put in order in three steps: [`Store::find_order`] says where each row goes, [`Store::begin_order`] gives its
//! columns other extents, [`Store::end_order`] makes these the content. What lies between moves the rows: columns of
//! values by anybody, range by range ([`MovedColumn`]); what the writer trusts, handles and the entity map among it, by
//! [`Store::order_rest`].
#![forbid(unsafe_code)]

mod ties;

use crate::Entity;
use crate::layout::ScalarType;
use crate::limits::CHUNK_ROWS;
use crate::region::RegionError;
use crate::table::{ColumnKind, ENTITIES, Item, Location};

use super::Store;
use super::arena::Arena;
use super::rows::gather;

/// Bits of a key that one pass of the sort looks at, at most.
const DIGIT_BITS: u32 = 11;
/// Keys are counted one by one where there are no more of them than so many times the rows.
const COUNTED_MAX: usize = 2;
/// Rows ahead of which the entity map is asked for.
const AHEAD: usize = 16;

/// Lists that sorting needs, kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct SortScratch {
    keys: Vec<u64>,
    next_keys: Vec<u64>,
    order: Vec<u32>,
    next: Vec<u32>,
    /// A column of one extent, as it was.
    column: Vec<u8>,
}

/// A column of values whose rows are to stand in another order: where they are and where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MovedColumn {
    pub from: u64,
    pub to: u64,
    /// Bytes of a row.
    pub bytes: u32,
}

/// Looks at a column's values as keys: `$call`, with `$n` the bytes of a value and `$key` a function that makes of them an
/// integer in whose order the values stand.
macro_rules! by_key {
    ($scalar:expr, $n:ident, $key:ident => $call:expr) => {{
        macro_rules! call {
            ($bytes:literal, $make:expr) => {{
                const $n: usize = $bytes;
                let $key = $make;
                $call
            }};
        }
        match $scalar {
            ScalarType::U8 | ScalarType::Bool => call!(1, |b: [u8; 1]| u64::from(b[0])),
            ScalarType::I8 => call!(1, |b: [u8; 1]| u64::from(b[0] ^ 0x80)),
            ScalarType::U16 => call!(2, |b: [u8; 2]| u64::from(u16::from_le_bytes(b))),
            ScalarType::I16 => call!(2, |b: [u8; 2]| u64::from(u16::from_le_bytes(b) ^ 0x8000)),
            ScalarType::U32 => call!(4, |b: [u8; 4]| u64::from(u32::from_le_bytes(b))),
            ScalarType::I32 => call!(4, |b: [u8; 4]| u64::from(u32::from_le_bytes(b) ^ (1 << 31))),
            ScalarType::U64 | ScalarType::Entity => call!(8, u64::from_le_bytes),
            ScalarType::I64 => call!(8, |b: [u8; 8]| u64::from_le_bytes(b) ^ (1 << 63)),
            ScalarType::F32 => call!(4, |b: [u8; 4]| float_key(u64::from(u32::from_le_bytes(b)), 32)),
            ScalarType::F64 => call!(8, |b: [u8; 8]| float_key(u64::from_le_bytes(b), 64)),
        }
    }};
}

/// The bits of a float of `width` bits as an integer that orders as `total_cmp` does.
fn float_key(bits: u64, width: u32) -> u64 {
    let sign = 1 << (width - 1);
    if bits & sign == 0 { bits | sign } else { !bits & (u64::MAX >> (64 - width)) }
}

/// Finds the order of rows by their keys, stably; false: it is the one that they have. Floats order as `total_cmp` does.
pub(crate) fn find(scalar: ScalarType, column: &[u8], scratch: &mut SortScratch) -> bool {
    by_key!(scalar, N, key => find_by::<N>(column, scratch, key))
}

/// A column's values as integers in whose order they stand.
fn keys_of(scalar: ScalarType, column: &[u8], keys: &mut Vec<u64>) {
    keys.clear();
    by_key!(scalar, N, key => keys.extend(column.as_chunks::<N>().0.iter().map(|bytes| key(*bytes))));
}

fn find_by<const N: usize>(column: &[u8], scratch: &mut SortScratch, key: impl Fn([u8; N]) -> u64 + Copy) -> bool {
    let keys = column.as_chunks::<N>().0.iter().map(move |bytes| key(*bytes));
    if keys.clone().is_sorted() {
        return false;
    }
    let (least, most) = keys.clone().fold((u64::MAX, 0), |(least, most), key| (least.min(key), most.max(key)));
    let rows = keys.len();
    match u32::try_from(most - least) {
        Ok(span) if (span as usize) < COUNTED_MAX * rows => {
            count(scratch, keys.map(move |key| (key - least) as usize), span)
        }
        Ok(span) => radix_packed(scratch, keys.map(|key| key - least), span),
        Err(_) => {
            scratch.keys.clear();
            scratch.keys.extend(keys);
            radix(&scratch.keys, &mut scratch.order, &mut scratch.next);
        }
    }
    true
}

/// The places at which the values of a digit begin, from how many there are of each.
fn starts_of(counts: &mut [u32]) {
    let mut sum = 0;
    for count in counts {
        sum += std::mem::replace(count, sum);
    }
}

/// The order of keys up to `span` in one pass, with a place for each key. Rows that are nearly in order, as those of a table
/// that was sorted some frames ago, touch places one after the other.
fn count(scratch: &mut SortScratch, keys: impl ExactSizeIterator<Item = usize> + Clone, span: u32) {
    let SortScratch { order, next: places, .. } = scratch;
    places.clear();
    places.resize(span as usize + 1, 0);
    keys.clone().for_each(|key| places[key] += 1);
    starts_of(places);
    order.resize(keys.len(), 0);
    for (key, row) in keys.zip(0..) {
        let place = &mut places[key];
        order[*place as usize] = row;
        *place += 1;
    }
}

/// Least-significant-digit radix order of keys up to `span`: key and row side by side in a word, so that each pass reads one
/// row after the other. The last pass writes the rows alone.
fn radix_packed(scratch: &mut SortScratch, from: impl ExactSizeIterator<Item = u64>, span: u32) {
    let SortScratch { keys, next_keys, order, .. } = scratch;
    let bits = u32::BITS - span.leading_zeros();
    let passes = bits.div_ceil(DIGIT_BITS);
    let digit_bits = bits.div_ceil(passes);
    let mask = (1u64 << digit_bits) - 1;
    let digit = |word: u64, pass: u32| (word >> (32 + pass * digit_bits) & mask) as usize;
    let mut counts = [[0u32; 1 << DIGIT_BITS]; 3];
    let rows = from.len();
    keys.clear();
    keys.extend(from.zip(0..rows as u64).map(|(key, row)| {
        let word = key << 32 | row;
        for pass in 0..passes {
            counts[pass as usize][digit(word, pass)] += 1;
        }
        word
    }));
    next_keys.resize(if passes > 1 { rows } else { 0 }, 0);
    for pass in 0..passes - 1 {
        let starts = &mut counts[pass as usize];
        starts_of(starts);
        for word in keys.iter() {
            let place = &mut starts[digit(*word, pass)];
            next_keys[*place as usize] = *word;
            *place += 1;
        }
        std::mem::swap(keys, next_keys);
    }
    let starts = &mut counts[passes as usize - 1];
    starts_of(starts);
    order.resize(rows, 0);
    for word in keys.iter() {
        let place = &mut starts[digit(*word, passes - 1)];
        order[*place as usize] = *word as u32;
        *place += 1;
    }
}

/// The same of any keys, digits in which all agree left out.
fn radix(keys: &[u64], order: &mut Vec<u32>, next: &mut Vec<u32>) {
    order.clear();
    order.extend(0..keys.len() as u32);
    let differing = keys.iter().fold(0, |bits, key| bits | (key ^ keys[0]));
    next.clear();
    next.resize(keys.len(), 0);
    for shift in (0..64).step_by(DIGIT_BITS as usize) {
        let mask = (1u64 << DIGIT_BITS) - 1;
        if differing >> shift & mask == 0 {
            continue;
        }
        let digit = |row: u32| (keys[row as usize] >> shift & mask) as usize;
        let mut starts = [0u32; 1 << DIGIT_BITS];
        for row in 0..keys.len() as u32 {
            starts[digit(row)] += 1;
        }
        starts_of(&mut starts);
        for row in order.iter() {
            let place = &mut starts[digit(*row)];
            next[*place as usize] = *row;
            *place += 1;
        }
        std::mem::swap(order, next);
    }
}

impl Store {
    /// Finds how the rows of a table stand in the order of a column, and of a second one among rows of equal keys, stably
    /// ([`Self::order`]); false: they do already.
    pub(crate) fn find_order(&mut self, table: u32, key: usize, then: Option<usize>) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch.sort);
        let of = |column| (self.scalar_of(table, column), self.column_bytes(table, column));
        let (scalar, keys) = of(key);
        let mut moves = find(scalar, keys, &mut scratch);
        if let Some((second, values)) = then.map(of) {
            moves = ties::order(scalar, keys, (second, values), moves, &mut scratch);
        }
        self.scratch.sort = scratch;
        moves
    }

    /// The type of a field's column.
    fn scalar_of(&self, table: u32, column: usize) -> ScalarType {
        match self.tables[table as usize].columns[column].kind {
            ColumnKind::Field { component, field } => {
                self.layout.components()[usize::from(component)].fields[usize::from(field)].ty.scalar
            }
            kind => unreachable!("a schedule sorts by fields, not by {kind:?}"),
        }
    }

    /// The order that was found last: row `i` becomes what row `order[i]` was.
    pub(crate) fn order(&self) -> &[u32] {
        &self.scratch.sort.order
    }

    /// How a column takes part in an order that leaves the values of some components (sorted) where they are.
    fn part(&self, table: u32, column: usize, leaves: &[u16]) -> Part {
        let t = &self.tables[table as usize];
        match (t.columns[column].kind, t.columns[column].item) {
            (ColumnKind::Field { component, .. } | ColumnKind::Span { component, .. }, _)
                if leaves.binary_search(&component).is_ok() =>
            {
                Part::Stays
            }
            (_, Item::Bytes(bytes)) if t.is_scratch(column) => Part::OneExtent(bytes),
            (ColumnKind::Handle, Item::Bytes(_)) => Part::Handles,
            (_, Item::Bytes(bytes)) => Part::Values(bytes),
            (_, Item::Bit) => Part::Bits,
        }
    }

    /// Gives the columns of a table other extents for their rows in the order found; those of values are left to the caller.
    pub(crate) fn begin_order(
        &mut self,
        table: u32,
        leaves: &[u16],
        moved: &mut Vec<MovedColumn>,
    ) -> Result<(), RegionError> {
        self.steadily(|store| {
            moved.clear();
            store.write_partial(ENTITIES, 0)?;
            for column in 0..store.tables[table as usize].columns.len() {
                match store.part(table, column, leaves) {
                    Part::Values(bytes) => {
                        let (from, to) = store.write_whole(table, column, false)?;
                        moved.push(MovedColumn { from, to, bytes });
                    }
                    Part::Handles | Part::Bits => {
                        store.write_whole(table, column, false)?;
                    }
                    Part::Stays | Part::OneExtent(_) => {}
                }
            }
            Ok(())
        })
    }

    /// Moves all rows but those of [`MovedColumn`]s. It looks at none of these columns.
    pub(crate) fn order_rest(&mut self, table: u32, leaves: &[u16]) {
        let mut scratch = std::mem::take(&mut self.scratch.sort);
        let rows = self.tables[table as usize].rows;
        for c in 0..self.tables[table as usize].columns.len() {
            let column = &self.tables[table as usize].columns[c];
            let live = column.live.offset;
            let to = column.spare.as_ref().map_or(live, |spare| spare.extent.offset);
            match self.part(table, c, leaves) {
                Part::Handles => self.order_handles(table, (live, to), &scratch.order),
                Part::Bits => self.order_bits(table, c, to, &scratch.order),
                Part::OneExtent(bytes) => {
                    let data = self.arena.bytes_mut(live, u64::from(rows) * u64::from(bytes));
                    scratch.column.clear();
                    scratch.column.extend_from_slice(data);
                    gather(bytes as usize, &scratch.column, &scratch.order, data);
                }
                Part::Stays | Part::Values(_) => {}
            }
        }
        self.scratch.sort = scratch;
    }

    fn order_bits(&mut self, table: u32, column: usize, to: u64, order: &[u32]) {
        // bits beyond the rows are zero, here as in every bit column
        let words = self.tables[table as usize].capacity.div_ceil(64) as usize;
        let mut bits = std::mem::take(&mut self.scratch.words);
        bits.clear();
        bits.extend(order.chunks(64).map(|rows| {
            let bit = |(index, row): (usize, &u32)| u64::from(self.bit(table, column, *row)) << index;
            rows.iter().enumerate().map(bit).fold(0, |word, bit| word | bit)
        }));
        bits.resize(words, 0);
        self.arena.items_mut::<u64>(to, words).copy_from_slice(&bits);
        self.scratch.words = bits;
    }

    /// Moves the handles, and points the entity map to their new rows.
    fn order_handles(&mut self, table: u32, (from, to): (u64, u64), order: &[u32]) {
        let stamp = self.published + 1;
        let Store { tables, arena, .. } = self;
        let bytes = 8 * order.len() as u64;
        let (source, target) = arena.disjoint(from, bytes, to, bytes);
        gather(8, source, order, target);
        let entities = &mut tables[ENTITIES as usize];
        let (slots, capacity) = (entities.rows, entities.capacity);
        let map = &mut entities.columns[0];
        debug_assert!(map.building, "the map was made writable");
        let (stamps_at, total) = map.item.extent_bytes(capacity);
        let (handles, map_bytes) = arena.disjoint(to, bytes, map.live.offset, total);
        let handles: &[Entity] = bytemuck::cast_slice(handles);
        let (locations, stamps) = map_bytes.split_at_mut(stamps_at as usize);
        let locations: &mut [u64] = bytemuck::cast_slice_mut(&mut locations[..8 * slots as usize]);
        let stamps: &mut [u64] = bytemuck::cast_slice_mut(stamps);
        for (index, handle) in handles.iter().enumerate() {
            if let Some(later) = handles.get(index + AHEAD) {
                Arena::prefetch(locations, later.index() as usize);
            }
            let slot = handle.index() as usize;
            locations[slot] = Location { table, row: index as u32 }.to_bits();
            stamps[slot / CHUNK_ROWS] = stamp;
        }
        if handles.len() as u64 * 16 > u64::from(slots) {
            map.stale.set_all();
        } else {
            handles.iter().for_each(|handle| map.stale.add(handle.index(), 1, slots));
        }
    }

    /// All rows are where they go: that is the table's content now.
    pub(crate) fn end_order(&mut self, table: u32, leaves: &[u16]) {
        let rows = self.tables[table as usize].rows;
        for column in 0..self.tables[table as usize].columns.len() {
            match self.part(table, column, leaves) {
                Part::Stays => continue,
                Part::OneExtent(_) => {}
                Part::Values(_) | Part::Handles | Part::Bits => self.flip(table, column),
            }
            self.mark_dirty(table, column, 0, rows);
        }
    }
}

/// How a column's rows are put in another order.
enum Part {
    /// They are not.
    Stays,
    /// Values of so many bytes, into another extent.
    Values(u32),
    /// Values of so many bytes, in the only extent that there is.
    OneExtent(u32),
    Handles,
    Bits,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// With lists that are left from another column.
    fn order_of(scalar: ScalarType, column: &[u8]) -> Vec<u32> {
        let mut scratch = SortScratch {
            keys: vec![3; 9],
            next_keys: vec![4; 700],
            order: vec![7; 5],
            next: vec![1; 2],
            column: Vec::new(),
        };
        let rows = (column.len() / scalar.bytes()) as u32;
        if find(scalar, column, &mut scratch) { scratch.order } else { (0..rows).collect() }
    }

    proptest! {
        #[test]
        fn integers_order_as_a_stable_sort(
            keys in prop::collection::vec(any::<u64>().prop_map(|k| k % 5000), 0..500),
            first in prop::sample::select(vec![0, 1 << 20, u64::MAX - 5000]),
            factor in prop::sample::select(vec![1, 1 << 9, 1 << 18, 1 << 19, 1 << 30]),
        ) {
            let keys: Vec<u64> = keys.iter().map(|key| first.wrapping_add(key * factor)).collect();
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
