//! A table's rows are put in another order, as the jobs of a batch of its own.
//!
//! ```text
//! OrderHead     magic · rows | rows of a job << 32 · columns · order at, or 0            4 words
//! order         for each row the one that comes to stand there, 32 bits each:           bytes, padded to words
//!               here, where it is in no extent
//! OrderColumn   one for each column: from · to · bytes of a row                         3 words each
//! ```
//!
//! A job moves its rows of every column. Columns are moved group by group, by programs that differ in their columns
//! alone. A job reads extents that nobody writes meanwhile and writes rows that are its own, so it can run again. As any
//! program its words may be rubbish for a worker process, and are checked.
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
    /// Where the order is; 0, where nothing is, stands for the program itself.
    pub order_at: u64,
}

impl Entry for OrderHead {
    const WORDS: usize = 4;

    fn encode(&self, words: &mut Vec<u64>) {
        let OrderHead { rows, job_rows, columns, order_at } = *self;
        words.extend([MAGIC, halves(rows, job_rows), u64::from(columns), order_at]);
    }

    fn decode(words: &mut Words<'_>) -> Result<Self, String> {
        if words.next()? != MAGIC {
            return Err(rubbish());
        }
        let (rows, job_rows) = words.pair()?;
        let columns = u32::try_from(words.next()?).map_err(|_| rubbish())?;
        Ok(OrderHead { rows, job_rows, columns, order_at: words.next()? })
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

/// Puts a program together that moves no column yet. `order` is for programs that hold it themselves.
pub(crate) fn begin(head: OrderHead, order: &[u32], words: &mut Vec<u64>) {
    words.clear();
    head.encode(words);
    if head.order_at == 0 {
        push_bytes(words, bytemuck::cast_slice(order));
    }
}

/// Makes these its columns, in place of those before.
pub(crate) fn set_columns(columns: &[MovedColumn], words: &mut Vec<u64>) -> Result<(), String> {
    let head = OrderHead::decode(&mut Words::at(words, 0)?)?;
    let order = if head.order_at == 0 { (4 * head.rows as usize).div_ceil(8) } else { 0 };
    words.truncate(OrderHead::WORDS + order);
    columns.iter().for_each(|column| column.encode(words));
    words[2] = columns.len() as u64;
    Ok(())
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
    let order = if head.order_at == 0 {
        bytemuck::cast_slice(words.bytes(4 * rows)?)
    } else {
        let order = memory.read(head.order_at, 4 * rows)?.cast::<u32>();
        // SAFETY: as many rows, mapped (checked), aligned as extents are, which nobody writes while the batch runs.
        unsafe { std::slice::from_raw_parts(order, head.rows as usize) }
    };
    let order: &[u32] = &order[start..end];
    // no early exit: this way it is a vector loop
    if order.iter().fold(0, |most, row| most.max(*row)) >= head.rows {
        return Err(rubbish());
    }
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
        let columns = [MovedColumn { from: 64, to: 128, bytes: 4 }, MovedColumn { from: 192, to: 256, bytes: 12 }];
        for order_at in [0, 640] {
            let head = OrderHead { rows: 5, job_rows: 64, columns: 0, order_at };
            let mut words = vec![1, 2, 3];
            begin(head, &[4, 3, 2, 1, 0], &mut words);
            assert!(is_order(&words) && !is_order(&words[1..]));
            for columns in [&columns[..1], &columns] {
                set_columns(columns, &mut words).unwrap();
                let mut reader = Words::at(&words, 0).unwrap();
                let said = OrderHead::decode(&mut reader).unwrap();
                assert_eq!(said, OrderHead { columns: columns.len() as u32, ..head });
                if order_at == 0 {
                    assert_eq!(bytemuck::cast_slice::<u8, u32>(reader.bytes(20).unwrap()), [4, 3, 2, 1, 0]);
                }
                for column in columns {
                    assert_eq!(MovedColumn::decode(&mut reader).unwrap(), *column);
                }
                assert_eq!(reader.place(), words.len());
            }
        }
    }
}
