//! How a table's rows stand in the order of a key is found, as the jobs of three batches.
//!
//! ```text
//! FindHead      magic · step | columns · rows | rows of a job · least key · bits that do not matter | buckets
//!               · counts at · places at · order at                                      8 words
//! KeyColumn     the key, and the column that orders rows of equal keys, if any
//!               type · at                                                              2 words each
//! cut           last step: for each job where its places end                            1 word each
//! ```
//!
//! | step | a job of it | reads | writes |
//! |------|-------------|-------|--------|
//! | count | counts how many keys of its rows lie in each bucket | keys | its counts |
//! | place | puts its rows into the buckets, in their order | keys, its counts, which are places by then | their places |
//! | order | puts the rows of some buckets in order | places, keys | its part of the order |
//!
//! Main makes places of counts in between. A job reads what nobody writes meanwhile, and what it writes is its own and does not
//! depend on what was there, so it can run again. As any program its words may be rubbish for a worker process, and so may be
//! what others have left in the extents; all of it is checked.
#![expect(unsafe_code, reason = "columns and parts of extents are reached by address")]

use std::cell::Cell;

use crate::layout::ScalarType;
use crate::schedule::memory::JobMemory;
use crate::trace::JobTrace;
use crate::world::store::keys::{BUCKETS_MAX, Buckets, PerBucket, RowOrder};

use super::words::{Entry, Words, halves, rubbish};

/// First word of such a program.
const MAGIC: u64 = u64::from_le_bytes(*b"HYPOFIND");

thread_local! {
    static ROWS: Cell<Option<Box<RowOrder>>> = const { Cell::new(None) };
}

/// What the jobs of a batch do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Count,
    Place,
    Order,
}

/// What is looked for, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FindHead {
    pub step: Step,
    pub rows: u32,
    /// Rows of a job that counts or places.
    pub job_rows: u32,
    pub buckets: Buckets,
    /// For each of these jobs a number for each bucket.
    pub counts_at: u64,
    /// Rows by buckets.
    pub places_at: u64,
    /// Rows in order.
    pub order_at: u64,
    /// Whether there is a second column.
    pub then: bool,
}

/// A column of keys: type of its values, and where they are.
type KeyColumn = (ScalarType, u64);

impl Entry for FindHead {
    const WORDS: usize = 8;

    fn encode(&self, words: &mut Vec<u64>) {
        let FindHead { step, rows, job_rows, buckets, counts_at, places_at, order_at, then } = *self;
        let Buckets { least, shift, count } = buckets;
        let columns = 1 + u32::from(then);
        words.extend([MAGIC, halves(step as u32, columns), halves(rows, job_rows), least, halves(shift, count)]);
        words.extend([counts_at, places_at, order_at]);
    }

    fn decode(words: &mut Words<'_>) -> Result<Self, String> {
        if words.next()? != MAGIC {
            return Err(rubbish());
        }
        let (step, columns) = words.pair()?;
        let step = [Step::Count, Step::Place, Step::Order].into_iter().find(|known| *known as u32 == step);
        let (rows, job_rows) = words.pair()?;
        let least = words.next()?;
        let (shift, count) = words.pair()?;
        if columns.wrapping_sub(1) > 1
            || shift >= u64::BITS
            || count == 0
            || count as usize > BUCKETS_MAX
            || job_rows == 0
        {
            return Err(rubbish());
        }
        Ok(FindHead {
            step: step.ok_or_else(rubbish)?,
            rows,
            job_rows,
            buckets: Buckets { least, shift, count },
            counts_at: words.next()?,
            places_at: words.next()?,
            order_at: words.next()?,
            then: columns == 2,
        })
    }
}

/// Puts a program together. `cuts`: where the places of each job of the last step end.
pub(crate) fn encode(head: FindHead, key: KeyColumn, then: Option<KeyColumn>, cuts: &[u32], words: &mut Vec<u64>) {
    words.clear();
    head.encode(words);
    for (scalar, at) in [Some(key), then].into_iter().flatten() {
        words.extend([scalar as u64, at]);
    }
    words.extend(cuts.iter().map(|cut| u64::from(*cut)));
}

/// Whether a program is such a one.
pub(crate) fn is_find(program: &[u64]) -> bool {
    program.first() == Some(&MAGIC)
}

/// Counts as many keys of each bucket as there are rows and makes of them where each job's rows of each bucket begin; how many
/// rows each bucket has. None: they are not as many.
pub(crate) fn places_of(counts: &mut [u32], rows: u32) -> Option<PerBucket> {
    let mut totals = [0; BUCKETS_MAX];
    let mut sum = 0u32;
    for (bucket, total) in totals.iter_mut().enumerate() {
        let first = sum;
        for of_job in counts.chunks_exact_mut(BUCKETS_MAX) {
            let next = sum.checked_add(of_job[bucket]).filter(|next| *next <= rows)?;
            of_job[bucket] = sum;
            sum = next;
        }
        *total = sum - first;
    }
    (sum == rows).then_some(totals)
}

/// Runs a job of such a program.
pub(crate) fn run(program: &[u64], job: u32, memory: &JobMemory, trace: &mut JobTrace<'_>) -> Result<(), String> {
    trace.hide();
    let mut words = Words::at(program, 0)?;
    let head = FindHead::decode(&mut words)?;
    let mut column = || -> Result<(ScalarType, &[u8]), String> {
        let (code, at) = (words.next()?, words.next()?);
        let scalar = u8::try_from(code).ok().and_then(ScalarType::from_code).ok_or_else(rubbish)?;
        let bytes = u64::from(head.rows) * scalar.bytes() as u64;
        let values = memory.read(at, bytes)?;
        // SAFETY: a column of the table, mapped (checked), which nobody writes while the batch runs.
        Ok((scalar, unsafe { std::slice::from_raw_parts(values, bytes as usize) }))
    };
    let key = column()?;
    let then = if head.then { Some(column()?) } else { None };
    match head.step {
        Step::Count => count(&head, job, key, memory),
        Step::Place => place(&head, job, key, memory),
        Step::Order => order(&head, job, (key, then), words, memory),
    }
}

/// The rows of a job that counts or places, and where its counts are.
fn part(head: &FindHead, job: u32) -> Result<(u32, u32, u64), String> {
    let first = u64::from(job) * u64::from(head.job_rows);
    if first >= u64::from(head.rows) {
        return Err(format!("the program has no job {job}"));
    }
    let (first, skip) = (first as u32, u64::from(job) * size_of::<PerBucket>() as u64);
    Ok((first, first.saturating_add(head.job_rows).min(head.rows), skip))
}

/// Bytes of the counts of all jobs.
fn counts_bytes(head: &FindHead) -> u64 {
    u64::from(head.rows.div_ceil(head.job_rows)) * size_of::<PerBucket>() as u64
}

fn keys_of((scalar, keys): (ScalarType, &[u8]), (first, end): (u32, u32)) -> (ScalarType, &[u8]) {
    (scalar, &keys[first as usize * scalar.bytes()..end as usize * scalar.bytes()])
}

fn count(head: &FindHead, job: u32, key: (ScalarType, &[u8]), memory: &JobMemory) -> Result<(), String> {
    let (first, end, skip) = part(head, job)?;
    let (scalar, keys) = keys_of(key, (first, end));
    let counts = head.buckets.count(scalar, keys).ok_or_else(rubbish)?;
    let target = memory.write(head.counts_at, counts_bytes(head), skip)?;
    // SAFETY: the job's own counts, mapped (checked), of which there are as many; main reads them when the batch has ended.
    unsafe { std::ptr::copy_nonoverlapping(counts.as_ptr().cast::<u8>(), target, size_of::<PerBucket>()) };
    Ok(())
}

fn place(head: &FindHead, job: u32, key: (ScalarType, &[u8]), memory: &JobMemory) -> Result<(), String> {
    let (first, end, skip) = part(head, job)?;
    let (scalar, keys) = keys_of(key, (first, end));
    let counts = memory.read(head.counts_at, counts_bytes(head))?;
    let mut next: PerBucket = [0; BUCKETS_MAX];
    // SAFETY: the job's own counts, mapped (checked), which nobody writes while the batch runs.
    unsafe {
        std::ptr::copy_nonoverlapping(
            counts.add(skip as usize),
            next.as_mut_ptr().cast::<u8>(),
            size_of::<PerBucket>(),
        );
    }
    let places = memory.write(head.places_at, 4 * u64::from(head.rows), 0)?.cast::<u32>();
    let mut outside = false;
    head.buckets.place(scalar, keys, next, |place, row| {
        if place < head.rows {
            // SAFETY: a place inside of the extent (checked), aligned as extents are; a place is one job's alone, by the
            // counts, and nobody reads it while the batch runs.
            unsafe { places.add(place as usize).write(first + row) };
        } else {
            outside = true;
        }
    });
    if outside { Err(rubbish()) } else { Ok(()) }
}

/// Columns by which rows are ordered.
type Keys<'a> = ((ScalarType, &'a [u8]), Option<(ScalarType, &'a [u8])>);

fn order(
    head: &FindHead,
    job: u32,
    (key, then): Keys<'_>,
    mut cuts: Words<'_>,
    memory: &JobMemory,
) -> Result<(), String> {
    let mut first = 0;
    for _ in 0..job {
        first = cuts.next()?;
    }
    let end = cuts.next()?;
    if first > end || end > u64::from(head.rows) {
        return Err(rubbish());
    }
    if first == end {
        return Ok(());
    }
    let total = 4 * u64::from(head.rows);
    let places = memory.read(head.places_at, total)?.cast::<u32>();
    let (first, len) = (first as usize, (end - first) as usize);
    // SAFETY: a part of the extent (checked), aligned as extents are, which nobody writes while the batch runs.
    let rows = unsafe { std::slice::from_raw_parts(places.add(first), len) };
    let target = memory.write(head.order_at, total, 4 * first as u64)?;
    let mut finder = ROWS.take().unwrap_or_default();
    let done = match finder.of(rows, key, then) {
        Some(ordered) => {
            // SAFETY: the job's own part of the order, mapped (checked); as many rows as it was given. Another extent than the
            // places, or rows of main's that are checked once all have ended.
            unsafe { std::ptr::copy(ordered.as_ptr().cast::<u8>(), target, 4 * len) };
            Ok(())
        }
        None => Err(rubbish()),
    };
    ROWS.set(Some(finder));
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_written() {
        for (step, then) in [(Step::Count, None), (Step::Place, Some((ScalarType::U64, 640))), (Step::Order, None)] {
            let head = FindHead {
                step,
                rows: 70,
                job_rows: 64,
                buckets: Buckets { least: 1 << 60, shift: 7, count: 900 },
                counts_at: 64,
                places_at: 128,
                order_at: 192,
                then: then.is_some(),
            };
            let mut words = vec![1, 2, 3];
            encode(head, (ScalarType::F32, 320), then, &[64, 70], &mut words);
            assert!(is_find(&words) && !is_find(&words[1..]));
            let mut reader = Words::at(&words, 0).unwrap();
            assert_eq!(FindHead::decode(&mut reader).unwrap(), head);
            let mut rest = vec![ScalarType::F32 as u64, 320];
            rest.extend(then.into_iter().flat_map(|(scalar, at)| [scalar as u64, at]));
            rest.extend([64, 70]);
            assert_eq!(words[FindHead::WORDS..], rest);
        }
    }

    #[test]
    fn counts_that_are_not_those_of_the_rows_are_refused() {
        let mut counts = vec![0; 2 * BUCKETS_MAX];
        (counts[3], counts[BUCKETS_MAX + 3], counts[BUCKETS_MAX + 4]) = (2, 5, 1);
        let totals = places_of(&mut counts.clone(), 8).unwrap();
        assert_eq!((totals[2], totals[3], totals[4]), (0, 7, 1));
        assert!(places_of(&mut counts.clone(), 9).is_none());
        assert!(places_of(&mut counts.clone(), 7).is_none());
        counts[9] = u32::MAX;
        assert!(places_of(&mut counts, 8).is_none());
    }
}
