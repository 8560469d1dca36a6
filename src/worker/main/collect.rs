//! What main makes of the records that come out of one worker's ring: whole jobs, or nothing.
//!
//! Invariants: bytes go to the worker's arena in the order in which they came, so that a job's records lie in one
//! piece; a job counts with its end and not before; whatever a worker sends, only a job that this worker has claimed
//! and that is not done can begin, and nothing but a job that began can go on or end.
#![forbid(unsafe_code)]

use crate::patch::{HEADER_BYTES, Header, Kind};

use crate::worker::serve::job::Fault;

/// The job under way on a worker's ring.
#[derive(Debug)]
struct Open {
    job: u32,
    attempt: u32,
    /// Where its records start in the arena.
    start: usize,
    /// Records so far, its begin included: the sequence that the next one must have.
    records: u32,
    fault: Option<Fault>,
}

/// Collects one worker's records.
#[derive(Debug, Default)]
pub(in crate::worker) struct Collector {
    open: Option<Open>,
}

/// A job that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::worker) struct Ended {
    pub job: u32,
    pub attempt: u32,
    /// Its records in the arena.
    pub start: usize,
    pub end: usize,
    pub records: u32,
    pub spawned: u32,
    pub fault: Option<Fault>,
}

/// `N` u32 of a record's payload.
fn words<const N: usize>(record: &[u8]) -> Result<[u32; N], String> {
    let payload = record.get(HEADER_BYTES..HEADER_BYTES + 4 * N).filter(|_| record.len() == HEADER_BYTES + 4 * N);
    let payload = payload.ok_or_else(|| format!("a control record of {} bytes", record.len()))?;
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(payload.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    Ok(words)
}

impl Collector {
    /// Forgets what is under way: the worker is dead, or a new one takes its place.
    pub(in crate::worker) fn reset(&mut self) {
        self.open = None;
    }

    /// Takes one record. `may_begin` says whether this worker holds this job for this attempt. An error says how the
    /// worker broke the protocol.
    pub(in crate::worker) fn take(
        &mut self,
        record: &[u8],
        arena: &mut Vec<u8>,
        may_begin: impl FnOnce(u32, u32) -> bool,
    ) -> Result<Option<Ended>, String> {
        let header = record.first_chunk::<HEADER_BYTES>().ok_or("a record without a header")?;
        let header = Header::decode(header);
        let kind = Kind::from_code(header.kind);
        if kind == Some(Kind::JobBegin) {
            let [job, attempt] = words(record)?;
            if let Some(open) = &self.open {
                return Err(format!("job {job} begins before job {} has ended", open.job));
            }
            if !may_begin(job, attempt) {
                return Err(format!("job {job} begins in attempt {attempt}, which the worker has not claimed"));
            }
            self.open = Some(Open { job, attempt, start: arena.len(), records: 1, fault: None });
            return Ok(None);
        }
        let open = self.open.as_mut().ok_or_else(|| format!("a record of kind {} outside of any job", header.kind))?;
        if header.sequence != open.records {
            return Err(format!("record {} of job {} where {} is due", header.sequence, open.job, open.records));
        }
        match kind {
            Some(Kind::JobEnd) => {
                let [job, attempt, records, spawned, ok, _] = words(record)?;
                let agree = (job, attempt, records) == (open.job, open.attempt, open.records);
                let open = self.open.take().filter(|open| agree && (ok != 0) == open.fault.is_none());
                let open = open.ok_or_else(|| format!("the end of job {job} does not fit what came before"))?;
                let Open { start, fault, .. } = open;
                // 0 where there were 2^32
                let records =
                    records.checked_sub(1).ok_or_else(|| format!("job {job} has more records than can be counted"))?;
                Ok(Some(Ended { job, attempt, start, end: arena.len(), records, spawned, fault }))
            }
            Some(Kind::Failure) => {
                let text = &record[HEADER_BYTES..];
                let text = &text[..text.len().min(header.count as usize)];
                open.fault.get_or_insert(Fault::decode(&String::from_utf8_lossy(text)));
                open.records = open.records.wrapping_add(1);
                Ok(None)
            }
            _ => {
                arena.extend_from_slice(record);
                open.records = open.records.wrapping_add(1);
                Ok(None)
            }
        }
    }
}

/// Where the body of a job that main itself wrote lies: behind its begin, before its end, and what the end says.
pub(in crate::worker) fn own_job(job: &[u8]) -> Option<(std::ops::Range<usize>, u32, u32)> {
    const BEGIN_BYTES: usize = HEADER_BYTES + 8;
    const END_BYTES: usize = HEADER_BYTES + 24;
    let end_at = job.len().checked_sub(END_BYTES).filter(|&at| at >= BEGIN_BYTES)?;
    let [_, _, records, spawned, _, _] = words(&job[end_at..]).ok()?;
    Some((BEGIN_BYTES..end_at, records.checked_sub(1)?, spawned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::PatchWriter;

    /// The records of one job.
    fn job(job: u32, attempt: u32, fault: Option<&str>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut writer = PatchWriter::new(&mut out, 1024, None);
        writer.begin_job(job, attempt);
        writer.range(3, 0, 0..8, (0, 1));
        writer.resource(1, 4, |bytes| bytes.fill(9));
        if let Some(message) = fault {
            writer.failure(message);
        }
        writer.end_job(job, attempt, fault.is_none());
        writer.end().unwrap();
        let mut records = Vec::new();
        let mut rest = &out[..];
        while let Some(bytes) = rest.first_chunk::<4>() {
            let (record, after) = rest.split_at(u32::from_le_bytes(*bytes) as usize);
            records.push(record.to_vec());
            rest = after;
        }
        records
    }

    #[test]
    fn a_job_counts_with_its_end() {
        let mut arena = vec![0; 8];
        let mut collector = Collector::default();
        let records = job(5, 2, None);
        let (last, body) = records.split_last().unwrap();
        for record in body {
            assert_eq!(collector.take(record, &mut arena, |job, attempt| (job, attempt) == (5, 2)), Ok(None));
        }
        let ended = collector.take(last, &mut arena, |_, _| false).unwrap().unwrap();
        assert_eq!((ended.start, ended.end), (8, arena.len()));
        assert_eq!((ended.job, ended.attempt, ended.records, ended.spawned, ended.fault), (5, 2, 2, 0, None));
        let whole = records.concat();
        let (body, records, spawned) = own_job(&whole).unwrap();
        assert_eq!((&whole[body], records, spawned), (&arena[8..], 2, 0));
    }

    #[test]
    fn a_failure_comes_with_its_message() {
        let (mut arena, mut collector) = (Vec::new(), Collector::default());
        let ended =
            job(0, 0, Some("Pboom")).iter().find_map(|record| collector.take(record, &mut arena, |_, _| true).unwrap());
        assert_eq!(ended.unwrap().fault, Some(Fault::Panic("boom".to_owned())));
    }

    #[test]
    fn whatever_does_not_fit_breaks_the_protocol() {
        let records = job(1, 0, None);
        let take = |order: &[usize], claimed: bool| {
            let (mut arena, mut collector) = (Vec::new(), Collector::default());
            order.iter().try_fold(None, |_, &at| collector.take(&records[at], &mut arena, |_, _| claimed))
        };
        assert!(take(&[0, 1, 2, 3], true).unwrap().is_some());
        assert!(take(&[0], false).is_err(), "not claimed");
        assert!(take(&[1], true).is_err(), "outside of any job");
        assert!(take(&[0, 0], true).is_err(), "a job in a job");
        assert!(take(&[0, 2], true).is_err(), "a record is missing");
        assert!(take(&[0, 1, 3], true).is_err(), "the end knows of more records");
        assert!(take(&[0, 1, 2, 3, 3], true).is_err(), "an end without a job");
    }

    /// Records of failures take no memory, so a worker can send as many as it likes.
    #[test]
    fn a_job_with_more_records_than_can_be_counted_breaks_the_protocol() {
        for (before, is_counted) in [(u32::MAX - 1, true), (u32::MAX, false)] {
            let (mut arena, mut collector) = (Vec::new(), Collector::default());
            let records = job(1, 0, Some("Pboom"));
            assert_eq!(collector.take(&records[0], &mut arena, |_, _| true), Ok(None));
            collector.open.as_mut().unwrap().records = before;
            let mut send = |record: &[u8], sequence: u32| {
                let mut record = record.to_vec();
                record[12..16].copy_from_slice(&sequence.to_le_bytes());
                if record.len() == HEADER_BYTES + 24 {
                    record[HEADER_BYTES + 8..][..4].copy_from_slice(&sequence.to_le_bytes());
                }
                collector.take(&record, &mut arena, |_, _| true)
            };
            assert_eq!(send(&records[3], before), Ok(None), "one more failure");
            let ended = send(records.last().unwrap(), before.wrapping_add(1));
            assert_eq!(ended.as_ref().is_ok_and(|ended| ended.as_ref().unwrap().records == before), is_counted);
            assert!(is_counted || ended.unwrap_err().contains("more records than can be counted"));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_record_is_taken_without_panic(
            kind in 0u8..9, sequence in 0u32..3, payload in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
        ) {
            let (mut arena, mut collector) = (Vec::new(), Collector::default());
            let begin = job(1, 0, None).swap_remove(0);
            let _ = collector.take(&begin, &mut arena, |_, _| true);
            let header = Header { bytes: 0, kind, field: 0, component: 0, count: payload.len() as u32 + 9, sequence };
            let record = [&header.encode()[..], &payload[..]].concat();
            let _ = collector.take(&record, &mut arena, |_, _| true);
        }
    }
}
