//! A table's rows are put in another order, as the jobs of a batch of its own.
//!
//! ```text
//! OrderHead     magic · rows | rows of a job << 32 · columns                            3 words
//! OrderColumn   one for each column: from · to · bytes of a row                         3 words each
//! order         for each row the one that comes to stand there, 32 bits each            bytes, padded to words
//! ```
//!
//! A job moves its rows of every column. It reads extents that nobody writes meanwhile and writes rows that are its own, so
//! it can run again. As any program its words may be rubbish for a worker process, and are checked.
#![expect(unsafe_code, reason = "rows of columns are copied by address")]

use crate::gather::copy_rows;
use crate::schedule::memory::JobMemory;
use crate::trace::JobTrace;
use crate::world::store::MovedColumn;

use super::words::{Entry, Words, halves, push_bytes, rubbish};

/// First word of such a program.
const MAGIC: u64 = u64::from_le_bytes(*b"HYPOSORT");

/// What is put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderHead {
    pub rows: u32,
    /// Rows of a job.
    pub job_rows: u32,
    pub columns: u32,
}

impl Entry for OrderHead {
    const WORDS: usize = 3;

    fn encode(&self, words: &mut Vec<u64>) {
        let OrderHead { rows, job_rows, columns } = *self;
        words.extend([MAGIC, halves(rows, job_rows), u64::from(columns)]);
    }

    fn decode(words: &mut Words<'_>) -> Result<Self, String> {
        if words.next()? != MAGIC {
            return Err(rubbish());
        }
        let (rows, job_rows) = words.pair()?;
        let columns = u32::try_from(words.next()?).map_err(|_| rubbish())?;
        Ok(OrderHead { rows, job_rows, columns })
    }
}

impl Entry for MovedColumn {
    const WORDS: usize = 3;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([self.from, self.to, u64::from(self.bytes)]);
    }

    fn decode(words: &mut Words<'_>) -> Result<Self, String> {
        let (from, to) = (words.next()?, words.next()?);
        let bytes = u32::try_from(words.next()?).map_err(|_| rubbish())?;
        Ok(MovedColumn { from, to, bytes })
    }
}

/// Puts a program together.
pub(crate) fn encode(head: OrderHead, columns: &[MovedColumn], order: &[u32], words: &mut Vec<u64>) {
    words.clear();
    head.encode(words);
    columns.iter().for_each(|column| column.encode(words));
    push_bytes(words, bytemuck::cast_slice(order));
}

/// Whether a program is such a one.
pub(crate) fn is_order(program: &[u64]) -> bool {
    program.first() == Some(&MAGIC)
}

/// Runs a job of such a program.
pub(crate) fn run(program: &[u64], job: u32, memory: &JobMemory, trace: &mut JobTrace<'_>) -> Result<(), String> {
    let mut words = Words::at(program, 0)?;
    let head = OrderHead::decode(&mut words)?;
    let first = u64::from(job) * u64::from(head.job_rows);
    if first >= u64::from(head.rows) {
        return Err(format!("the program has no job {job}"));
    }
    let (start, rows) = (first as usize, u64::from(head.rows));
    let end = start.saturating_add(head.job_rows as usize).min(head.rows as usize);
    trace.hide();
    let columns = words;
    for _ in 0..head.columns {
        MovedColumn::decode(&mut words)?;
    }
    let order = words.bytes(4 * rows)?;
    let order = &bytemuck::cast_slice::<u8, u32>(order)[start..end];
    // no early exit: this way it is a vector loop
    if order.iter().fold(0, |most, row| most.max(*row)) >= head.rows {
        return Err(rubbish());
    }
    let mut words = columns;
    for _ in 0..head.columns {
        let MovedColumn { from, to, bytes } = MovedColumn::decode(&mut words)?;
        let total = rows * u64::from(bytes);
        let overlap = from < to.saturating_add(total) && to < from.saturating_add(total);
        if overlap || bytes == 0 {
            return Err(rubbish());
        }
        let source = memory.read(from, total)?;
        let target = memory.write(to, total, first * u64::from(bytes))?;
        // SAFETY: both are mapped (checked) and apart (checked): every row of the order is one of the source's (checked),
        // and the target has room for the job's own ones, of which the order has as many. Nobody writes the source, and
        // nobody but this job these rows of the target, while the batch runs.
        unsafe { copy_rows(order, bytes as usize, source, true, target) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_written() {
        let head = OrderHead { rows: 5, job_rows: 64, columns: 2 };
        let columns = [MovedColumn { from: 64, to: 128, bytes: 4 }, MovedColumn { from: 192, to: 256, bytes: 12 }];
        let mut words = vec![1, 2, 3];
        encode(head, &columns, &[4, 3, 2, 1, 0], &mut words);
        assert!(is_order(&words) && !is_order(&words[1..]));
        assert_eq!(words.len(), OrderHead::WORDS + 2 * MovedColumn::WORDS + 3);
        let mut reader = Words::at(&words, 0).unwrap();
        assert_eq!(OrderHead::decode(&mut reader).unwrap(), head);
        assert_eq!(columns.map(|_| MovedColumn::decode(&mut reader).unwrap()), columns);
        assert_eq!(bytemuck::cast_slice::<u8, u32>(reader.bytes(20).unwrap()), [4, 3, 2, 1, 0]);
    }
}
