//! The order of rows by their keys: stable, the same on every machine; by one who looks at all of them, or by many of whom each
//! looks at a part.
//!
//! Many first tell apart which rows belong into which [`Buckets`] of keys, in the order of the rows; then each orders the rows
//! of some buckets ([`RowOrder`]). A stable order is one and the same, however it was found.
#![forbid(unsafe_code)]

use crate::layout::ScalarType;

use super::ties;

/// Bits of a key that one pass of the sort looks at, at most.
const DIGIT_BITS: u32 = 11;
/// Keys are counted one by one where there are no more of them than so many times the rows.
const COUNTED_MAX: usize = 2;
/// Buckets of keys, at most.
pub(crate) const BUCKETS_MAX: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 10;

/// Lists that sorting needs, kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct SortScratch {
    pub(super) keys: Vec<u64>,
    next_keys: Vec<u64>,
    /// For each place the row that comes to stand there.
    pub(super) order: Vec<u32>,
    next: Vec<u32>,
    /// A column of one extent, as it was.
    pub(super) column: Vec<u8>,
    /// A bit for each row that an order has.
    pub(super) seen: Vec<u64>,
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
            ScalarType::U8 | ScalarType::Bool | ScalarType::Unorm8 => call!(1, |b: [u8; 1]| b[0]),
            ScalarType::I8 | ScalarType::Snorm8 => call!(1, |b: [u8; 1]| b[0] ^ 0x80),
            ScalarType::U16 | ScalarType::Unorm16 => call!(2, u16::from_le_bytes),
            ScalarType::I16 | ScalarType::Snorm16 => call!(2, |b: [u8; 2]| u16::from_le_bytes(b) ^ 0x8000),
            ScalarType::U32 => call!(4, u32::from_le_bytes),
            ScalarType::I32 => call!(4, |b: [u8; 4]| u32::from_le_bytes(b) ^ (1 << 31)),
            ScalarType::U64 | ScalarType::Entity => call!(8, u64::from_le_bytes),
            ScalarType::I64 => call!(8, |b: [u8; 8]| u64::from_le_bytes(b) ^ (1 << 63)),
            ScalarType::F32 => call!(4, |b: [u8; 4]| float_key(u64::from(u32::from_le_bytes(b)), 32) as u32),
            // the same form: sign and magnitude
            ScalarType::F16 | ScalarType::Bf16 => {
                call!(2, |b: [u8; 2]| float_key(u64::from(u16::from_le_bytes(b)), 16) as u16)
            }
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
    by_key!(scalar, N, key => find_by::<N, _>(column, scratch, key))
}

/// A column's values as integers in whose order they stand.
pub(super) fn keys_of(scalar: ScalarType, column: &[u8], keys: &mut Vec<u64>) {
    keys.clear();
    by_key!(scalar, N, key => keys.extend(column.as_chunks::<N>().0.iter().map(|bytes| u64::from(key(*bytes)))));
}

/// What a first look at keys tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// They are in order.
    InOrder,
    /// They are not, and lie between these two.
    Between(u64, u64),
}

/// Looks at keys.
pub(crate) fn look(scalar: ScalarType, column: &[u8]) -> Look {
    by_key!(scalar, N, key => look_by::<N, _>(column, key))
}

fn look_by<const N: usize, K: Copy + Ord + Into<u64>>(column: &[u8], key: impl Fn([u8; N]) -> K + Copy) -> Look {
    let mut keys = column.as_chunks::<N>().0.iter().map(move |bytes| key(*bytes));
    if keys.clone().is_sorted() {
        return Look::InOrder;
    }
    let Some(first) = keys.next() else { return Look::InOrder };
    let (least, most) = keys.fold((first, first), |(least, most), key| (least.min(key), most.max(key)));
    Look::Between(least.into(), most.into())
}

fn find_by<const N: usize, K: Copy + Ord + Into<u64>>(
    column: &[u8],
    scratch: &mut SortScratch,
    key: impl Fn([u8; N]) -> K + Copy,
) -> bool {
    let Look::Between(least, most) = look_by::<N, K>(column, key) else { return false };
    let keys = column.as_chunks::<N>().0.iter().map(move |bytes| -> u64 { key(*bytes).into() });
    let rows = keys.len();
    match u32::try_from(most - least) {
        Ok(span) if (span as usize) < COUNTED_MAX * rows => {
            count(scratch, keys.map(move |key| (key - least) as usize), span)
        }
        Ok(span) => radix_packed(scratch, keys.map(|key| key - least), span),
        Err(_) => {
            scratch.keys.clear();
            scratch.keys.extend(keys);
            let SortScratch { keys, order, next, .. } = scratch;
            if !few_astray(keys, order, next) {
                radix(keys, order, next);
            }
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

/// One in so many rows may be out of order, for the others to be left as they stand.
const ASTRAY_ONE_IN: usize = 16;

/// The order of keys of which all but a few stand in it, as in a table by ids from which some rows went and to which some came:
/// those few are sorted, and merged with the others. False: they are too many.
fn few_astray(keys: &[u64], order: &mut Vec<u32>, astray: &mut Vec<u32>) -> bool {
    order.clear();
    astray.clear();
    let key = |row: u32| keys[row as usize];
    let most = keys.len() / ASTRAY_ONE_IN;
    for row in 0..keys.len() as u32 {
        if let Some(last) = order.last().copied().filter(|last| key(*last) > key(row)) {
            // whichever of the two is out of order: a high key that stands among low ones goes, too
            order.pop();
            astray.push(last);
            let is_low = order.last().is_some_and(|last| key(*last) > key(row));
            if is_low {
                astray.push(row);
            }
            if astray.len() > most {
                return false;
            }
            if is_low {
                continue;
            }
        }
        order.push(row);
    }
    astray.sort_unstable_by_key(|row| (key(*row), *row));
    // from the end, where there is room
    let mut kept = order.len();
    order.resize(keys.len(), 0);
    for at in (0..keys.len()).rev() {
        let Some(last) = astray.last().copied() else { break };
        if kept > 0 && (key(order[kept - 1]), order[kept - 1]) > (key(last), last) {
            kept -= 1;
            order[at] = order[kept];
        } else {
            order[at] = last;
            astray.pop();
        }
    }
    true
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

/// Ranges of keys of one width, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buckets {
    /// The least key of all.
    pub least: u64,
    /// Bits of a key that do not matter.
    pub shift: u32,
    /// How many there are, [`BUCKETS_MAX`] at most.
    pub count: u32,
}

/// How many keys lie in each bucket, or where each one's next row goes.
pub(crate) type PerBucket = [u32; BUCKETS_MAX];

impl Buckets {
    /// Buckets of all keys between two.
    pub(crate) fn between(least: u64, most: u64) -> Buckets {
        let shift = (u64::BITS - (most - least).leading_zeros()).saturating_sub(BUCKET_BITS);
        Buckets { least, shift, count: ((most - least) >> shift) as u32 + 1 }
    }

    #[inline(always)]
    fn of(&self, key: u64) -> usize {
        (key.wrapping_sub(self.least) >> self.shift) as usize
    }

    /// How many of these keys lie in each bucket; none: there is one that lies in none.
    pub(crate) fn count(&self, scalar: ScalarType, keys: &[u8]) -> Option<PerBucket> {
        // keys of a table that was sorted some frames ago lie in the same bucket: two in turn do not wait for each other
        let mut counts = [[0; BUCKETS_MAX]; 2];
        let mut outside = false;
        by_key!(scalar, N, key => {
            for pair in keys.as_chunks::<N>().0.chunks(2) {
                for (counts, bytes) in counts.iter_mut().zip(pair) {
                    let bucket = self.of(key(*bytes).into());
                    outside |= bucket >= self.count as usize;
                    counts[bucket % BUCKETS_MAX] += 1;
                }
            }
        });
        let [mut counts, more] = counts;
        counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        (!outside).then_some(counts)
    }

    /// Gives each of these keys, in their order, the next place of its bucket. `put` gets the place and which key it is.
    pub(crate) fn place(&self, scalar: ScalarType, keys: &[u8], mut next: PerBucket, mut put: impl FnMut(u32, u32)) {
        by_key!(scalar, N, key => {
            for (bytes, row) in keys.as_chunks::<N>().0.iter().zip(0..) {
                let place = &mut next[self.of(key(*bytes).into()) % BUCKETS_MAX];
                put(*place, row);
                *place = place.wrapping_add(1);
            }
        });
    }
}

/// Puts some of a table's rows in order. Kept for its memory.
#[derive(Debug, Default)]
pub(crate) struct RowOrder {
    keys: Vec<u64>,
    seconds: Vec<u64>,
    ordered: Vec<u32>,
    scratch: SortScratch,
}

impl RowOrder {
    /// Rows, given as they stand, in the order of a column, and of a second one among those of equal keys. None: a row is not in
    /// the columns.
    pub(crate) fn of(
        &mut self,
        rows: &[u32],
        (scalar, keys): (ScalarType, &[u8]),
        then: Option<(ScalarType, &[u8])>,
    ) -> Option<&[u32]> {
        let RowOrder { keys: own, seconds, ordered, scratch } = self;
        pick(scalar, keys, rows, own)?;
        let mut moves = find(ScalarType::U64, bytemuck::cast_slice(own), scratch);
        if let Some((scalar, values)) = then {
            pick(scalar, values, rows, seconds)?;
            let seconds = (ScalarType::U64, bytemuck::cast_slice(seconds));
            moves = ties::order(ScalarType::U64, bytemuck::cast_slice(own), seconds, moves, scratch);
        }
        ordered.clear();
        match moves {
            true => ordered.extend(scratch.order.iter().map(|place| rows[*place as usize])),
            false => ordered.extend_from_slice(rows),
        }
        Some(ordered)
    }
}

/// The keys of some rows.
fn pick(scalar: ScalarType, column: &[u8], rows: &[u32], keys: &mut Vec<u64>) -> Option<()> {
    keys.clear();
    by_key!(scalar, N, key => {
        let column = column.as_chunks::<N>().0;
        if rows.iter().any(|row| *row as usize >= column.len()) {
            return None;
        }
        keys.extend(rows.iter().map(|row| u64::from(key(column[*row as usize]))));
    });
    Some(())
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
            ..SortScratch::default()
        };
        let rows = (column.len() / scalar.bytes()) as u32;
        if find(scalar, column, &mut scratch) { scratch.order } else { (0..rows).collect() }
    }

    /// As jobs find it: rows into buckets by several, buckets in order by several.
    fn order_by_parts(scalar: ScalarType, column: &[u8], then: Option<(ScalarType, &[u8])>, parts: usize) -> Vec<u32> {
        let bytes = scalar.bytes();
        let rows = column.len() / bytes;
        let Look::Between(least, most) = look(scalar, column) else { return (0..rows as u32).collect() };
        let buckets = Buckets::between(least, most);
        let chunks: Vec<&[u8]> = column.chunks(rows.div_ceil(parts) * bytes).collect();
        let mut counts: Vec<PerBucket> = chunks.iter().map(|keys| buckets.count(scalar, keys).unwrap()).collect();
        let totals: Vec<u32> = (0..BUCKETS_MAX).map(|at| counts.iter().map(|counts| counts[at]).sum()).collect();
        let mut sum = 0;
        for bucket in 0..BUCKETS_MAX {
            for counts in &mut counts {
                sum += std::mem::replace(&mut counts[bucket], sum);
            }
        }
        assert_eq!(sum as usize, rows);
        let mut places = vec![u32::MAX; rows];
        for (at, (keys, next)) in chunks.iter().zip(counts).enumerate() {
            let first = (at * rows.div_ceil(parts)) as u32;
            buckets.place(scalar, keys, next, |place, row| places[place as usize] = first + row);
        }
        let mut order = Vec::new();
        let mut one = RowOrder::default();
        let mut at = 0;
        for total in totals.chunks(BUCKETS_MAX / parts) {
            let end = at + total.iter().sum::<u32>() as usize;
            order.extend_from_slice(one.of(&places[at..end], (scalar, column), then).unwrap());
            at = end;
        }
        order
    }

    #[test]
    fn rows_and_keys_that_are_not_there_are_refused() {
        let keys = [1u32, 700, 3];
        let buckets = Buckets::between(1, 600);
        assert_eq!(buckets.count(ScalarType::U32, bytemuck::cast_slice(&keys[..1])).unwrap()[0], 1);
        assert!(buckets.count(ScalarType::U32, bytemuck::cast_slice(&keys)).is_none());
        assert!(buckets.count(ScalarType::U32, bytemuck::bytes_of(&0u32)).is_none());
        let mut order = RowOrder::default();
        let keys = (ScalarType::U32, bytemuck::cast_slice(&keys));
        assert_eq!(order.of(&[1, 2], keys, None), Some(&[2, 1][..]));
        assert_eq!(order.of(&[1, 3], keys, None), None);
    }

    proptest! {
        #[test]
        fn parts_find_the_order_of_the_whole(
            keys in prop::collection::vec(any::<u64>().prop_map(|k| k % 5000), 2..600),
            seconds in prop::collection::vec(any::<i16>().prop_map(|k| k % 50), 600),
            first in prop::sample::select(vec![0, 1 << 20, u64::MAX - 5000]),
            factor in prop::sample::select(vec![1, 0, 1 << 9, 1 << 30, 1 << 50]),
            parts in 1usize..9,
        ) {
            let keys: Vec<u64> = keys.iter().map(|key| first.wrapping_add(key.wrapping_mul(factor))).collect();
            let column = bytemuck::cast_slice(&keys);
            let mut want: Vec<u32> = (0..keys.len() as u32).collect();
            want.sort_by_key(|row| keys[*row as usize]);
            prop_assert_eq!(order_by_parts(ScalarType::U64, column, None, parts), &want[..]);
            prop_assert_eq!(order_of(ScalarType::U64, column), &want[..]);
            // in whose order rows of equal keys already stand is another function's to look at
            if !keys.is_sorted() {
                let then = (ScalarType::I16, bytemuck::cast_slice(&seconds));
                want.sort_by_key(|row| (keys[*row as usize], seconds[*row as usize]));
                prop_assert_eq!(order_by_parts(ScalarType::U64, column, Some(then), parts), want);
            }
            let floats: Vec<f32> = keys.iter().map(|key| f32::from_bits(*key as u32)).collect();
            let mut want: Vec<u32> = (0..keys.len() as u32).collect();
            want.sort_by(|a, b| floats[*a as usize].total_cmp(&floats[*b as usize]));
            prop_assert_eq!(order_by_parts(ScalarType::F32, bytemuck::cast_slice(&floats), None, parts), want);
        }

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
        fn a_few_rows_that_are_astray_come_into_order(
            keys in prop::collection::vec(any::<u64>().prop_map(|k| (k % 300) << 40), 1..700),
            moved in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..24),
        ) {
            let mut keys = keys;
            keys.sort_unstable();
            // some take places of others, which go to the end
            for (hole, from) in &moved {
                let (hole, from) = (hole.index(keys.len()), from.index(keys.len()));
                let gone = std::mem::replace(&mut keys[hole], 7 << 40);
                keys.push(gone);
                keys.swap(from, hole);
            }
            let mut want: Vec<u32> = (0..keys.len() as u32).collect();
            want.sort_by_key(|row| keys[*row as usize]);
            let (mut order, mut astray) = (vec![3; 4], vec![5; 6]);
            let few = few_astray(&keys, &mut order, &mut astray);
            prop_assert!(few || 8 * moved.len() > keys.len() / ASTRAY_ONE_IN);
            if few {
                prop_assert_eq!(&order, &want);
            }
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
