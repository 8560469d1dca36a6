//! A segment of a journal: its header, where its records are, and what is missing before it.
//!
//! A segment that was ended as it should has an index; of others the records are found one by one.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::{self, CheckpointError, FormatError};

use super::error::{Gap, JournalError, RecordDamage};
use super::format::{self, HEADER_BYTES, Header, INDEX_END_BYTES, Index, Place, RECORD_BYTES, Record};
use super::read::TruncatedTail;
use super::state::{Moment, State};
use super::write::{SEGMENT_SUFFIX, path_of};

/// A segment of a journal on disk.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) checkpoint: PathBuf,
    pub(super) header: Header,
    pub(super) places: Vec<Place>,
    pub(super) damaged: Vec<RecordDamage>,
    pub(super) bytes: u64,
    /// Where its records end.
    pub(super) records_end: u64,
    pub(super) chain: u64,
    /// The generation that the next segment begins with, 0 for none; nothing: it was not ended.
    pub(super) next: Option<u64>,
    /// The places before which a record cannot be read.
    pub(super) holes: Vec<usize>,
    /// What is missing between the segment before it and this one.
    pub(super) gap: Option<Gap>,
}

/// A generation of the timeline.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) moment: Moment,
    /// What is missing between the one before it and this one.
    pub(super) gap: Option<Gap>,
}

/// The segments of a directory, oldest first.
pub(super) fn segments_in(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(SEGMENT_SUFFIX));
        if name.is_some_and(|name| name.len() == 15 && name.bytes().all(|byte| byte.is_ascii_digit())) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl Segment {
    /// Reads header and places. Nothing: it was never begun.
    pub(super) fn open(path: &Path, last: bool) -> Result<(Option<Segment>, Option<TruncatedTail>), JournalError> {
        let io = |action| JournalError::io(action, path);
        let mut file = crate::os::open_regular(path).map_err(io("open"))?;
        let bytes = file.metadata().map_err(io("look at"))?.len();
        let mut header = [0; HEADER_BYTES];
        if bytes < HEADER_BYTES as u64 {
            return Ok((None, last.then(|| TruncatedTail { path: path.to_owned(), offset: 0, bytes })));
        }
        file.read_exact(&mut header).map_err(io("read"))?;
        let header =
            Header::decode(&header).map_err(|source| JournalError::Segment { path: path.to_owned(), source })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        if path_of(directory, header.base.generation, SEGMENT_SUFFIX).file_name() != path.file_name() {
            let what = "it begins with another generation than its name says";
            let source = FormatError::Content { part: "header", what };
            return Err(JournalError::Segment { path: path.to_owned(), source });
        }
        let checkpoint = path_of(directory, header.base.generation, ".checkpoint");
        let mut segment = Segment {
            path: path.to_owned(),
            checkpoint,
            header,
            places: Vec::new(),
            damaged: Vec::new(),
            bytes,
            records_end: bytes,
            chain: header.begin_chain(),
            next: None,
            holes: Vec::new(),
            gap: None,
        };
        if let Some((index, length)) = indexed(&mut file, bytes).map_err(io("read"))? {
            segment.places = index.places;
            segment.chain = index.chain;
            segment.next = Some(index.next);
            segment.records_end = bytes - length;
            return Ok((Some(segment), None));
        }
        let torn = segment.scan(&mut file, last).map_err(io("read"))?;
        Ok((Some(segment), torn))
    }

    /// Finds the records one by one.
    pub(super) fn scan(&mut self, file: &mut File, last: bool) -> std::io::Result<Option<TruncatedTail>> {
        let mut offset = HEADER_BYTES as u64;
        while offset < self.bytes {
            let left = self.bytes - offset;
            let mut begin = vec![0; left.min(RECORD_BYTES as u64) as usize];
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut begin)?;
            if format::begins_like_index(&begin) {
                self.records_end = offset;
                // all records were written, and its index was not
                let torn = last.then(|| TruncatedTail { path: self.path.clone(), offset, bytes: left });
                return Ok(torn);
            }
            let lengths = begin.first_chunk::<RECORD_BYTES>().and_then(Record::lengths);
            let whole = match lengths.filter(|lengths| lengths.record <= left) {
                None => false,
                Some(lengths) => {
                    // of the last record every byte is looked at: a loss of power may have left holes in it
                    let bytes = if last && lengths.record == left { lengths.record } else { lengths.head };
                    begin.resize(bytes as usize, 0);
                    file.seek(SeekFrom::Start(offset))?;
                    file.read_exact(&mut begin)?;
                    is_whole(&begin, lengths.head as usize)
                }
            };
            if whole {
                let moment = begin.first_chunk::<RECORD_BYTES>().map(Record::moment);
                self.places.extend(moment.map(|moment| Place { offset, moment }));
                self.chain = format::link(self.chain, format::checksum_of(&begin));
                offset += lengths.map_or(left, |lengths| lengths.record);
                continue;
            }
            let next = find_record(file, offset + 1, self.bytes)?;
            self.records_end = offset;
            if next.is_none() && last {
                return Ok(Some(TruncatedTail { path: self.path.clone(), offset, bytes: left }));
            }
            let problem = "its head is not whole, and more records follow";
            let (path, part) = (self.path.clone(), "its head".to_owned());
            self.damaged.push(RecordDamage { path, offset, generation: None, part, problem });
            self.records_end = self.bytes;
            self.holes.push(self.places.len());
            let Some(next) = next else { break };
            offset = next;
        }
        Ok(None)
    }

    /// What it leads to.
    pub(super) fn stops(&self) -> impl Iterator<Item = Stop> {
        let hole = |place: usize| self.holes.contains(&place).then(|| Gap::Record { path: self.path.clone() });
        let places = self.places.iter().enumerate();
        let stops = places.map(move |(at, place)| Stop { moment: place.moment, gap: hole(at) });
        std::iter::once(Stop { moment: self.header.base, gap: self.gap.clone() }).chain(stops)
    }

    /// What is missing between the segment before this one and this one.
    pub(super) fn gap_after(&self, before: Option<&Segment>) -> Option<Gap> {
        let Header { previous, chain, base, .. } = self.header;
        let Some(before) = before else {
            return (previous != 0).then(|| Gap::Beginning { path: self.path.clone(), generation: previous });
        };
        if let Some(next) = before.next.filter(|next| *next != 0 && *next != base.generation) {
            return Some(Gap::Segment { after: before.path.clone(), generation: next });
        }
        let path = || before.path.clone();
        (before.last().generation != previous || before.chain != chain).then(|| Gap::End {
            path: path(),
            generation: before.last().generation,
            expected: previous,
        })
    }

    /// The state that it begins with: that of its checkpoint, which must be the one that was written with it.
    pub(super) fn base(&self) -> Result<State, JournalError> {
        base_of(&self.header, &self.checkpoint)
    }

    pub(super) fn last(&self) -> Moment {
        self.places.last().map_or(self.header.base, |place| place.moment)
    }
}

/// The state that a segment with this header begins with, from its checkpoint.
pub(super) fn base_of(header: &Header, checkpoint: &Path) -> Result<State, JournalError> {
    let file = checkpoint::open(checkpoint)?;
    let state = State::of_checkpoint(&file)?;
    if file.identity() != header.checkpoint || state.moment != header.base {
        let what = "it is not the checkpoint that the segment was begun with";
        let source = FormatError::Content { part: "identity", what };
        return Err(CheckpointError::File { path: checkpoint.to_owned(), source }.into());
    }
    Ok(state)
}

/// Whether a record's head is whole, and as many of its blocks as there are.
pub(super) fn is_whole(bytes: &[u8], head: usize) -> bool {
    let Some((head, mut payload)) = bytes.split_at_checked(head) else { return false };
    let Ok(record) = Record::decode(head) else { return false };
    payload.is_empty()
        || record.blocks.iter().all(|block| {
            let stored = payload.split_off(..block.bytes as usize);
            stored.is_some_and(|stored| xxh3_64(stored) == block.checksum)
        })
}

/// A segment's index and its length, if it has one.
pub(super) fn indexed(file: &mut File, bytes: u64) -> std::io::Result<Option<(Index, u64)>> {
    if bytes < (HEADER_BYTES + INDEX_END_BYTES) as u64 {
        return Ok(None);
    }
    let mut end = [0; INDEX_END_BYTES];
    file.seek(SeekFrom::Start(bytes - INDEX_END_BYTES as u64))?;
    file.read_exact(&mut end)?;
    let room = bytes - HEADER_BYTES as u64;
    let Some(length) = format::index_length(&end).filter(|length| *length <= room) else { return Ok(None) };
    let mut index = vec![0; length as usize];
    file.seek(SeekFrom::Start(bytes - length))?;
    file.read_exact(&mut index)?;
    let index = format::decode_index(&index);
    let inside = |place: &Place| place.offset >= HEADER_BYTES as u64 && place.offset < bytes - length;
    let whole = |index: &Index| index.places.iter().all(inside) && index.places.is_sorted_by_key(|place| place.offset);
    Ok(index.filter(whole).map(|index| (index, length)))
}

/// The next offset at which a record's head is whole.
pub(super) fn find_record(file: &mut File, from: u64, bytes: u64) -> std::io::Result<Option<u64>> {
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(bytes.saturating_sub(from)).read_to_end(&mut rest)?;
    let is_record = |at: &usize| {
        let lengths = rest[*at..].first_chunk::<RECORD_BYTES>().and_then(Record::lengths);
        lengths.is_some_and(|lengths| {
            let head = usize::try_from(lengths.head).ok().and_then(|head| rest[*at..].get(..head));
            head.is_some_and(|head| Record::decode(head).is_ok())
        })
    };
    Ok((0..rest.len()).find(is_record).map(|at| from + at as u64))
}
