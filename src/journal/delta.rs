#![forbid(unsafe_code)]
//! What differs between two states: found by stamps, told as runs of pieces and the difference of their bytes.
//!
//! The difference of a piece is the exclusive or of its bytes before and after; bytes that were not there are 0 before.
//! Numbers that change a little differ in few of their bits, which compresses well. Whoever applies a record needs the
//! state that it follows, to the byte.
//!
//! Invariants: what is not told has not changed; pieces beyond what a part had before are always told.

use std::io;

use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::codec::{Decoder, Encoder};
use crate::checkpoint::format::{self, Entry};
use crate::checkpoint::parts::{Part, Parts};
use crate::checkpoint::write::{part_bytes, tables_of};
use crate::limits::CHUNK_ROWS;
use crate::snapshot::Snapshot;
use crate::world::column::ColumnKind;

use super::format::{Record, Run};
use super::state::{Moment, State};

/// Bytes of a block before compression.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// Makes records. It keeps a copy of the last state that it saw.
pub(crate) struct Differ {
    pub state: State,
    encoder: Encoder,
    /// Differences of the part at hand.
    difference: Vec<u8>,
}

impl Differ {
    /// One that has seen this generation.
    pub(crate) fn new(state: State, level: i32) -> io::Result<Differ> {
        Ok(Differ { state, encoder: Encoder::new(level)?, difference: Vec::new() })
    }

    /// A record that leads from the last state to this generation, which is the last state from now on. Its blocks'
    /// bytes are appended to `payload`.
    pub(crate) fn record(&mut self, snapshot: &Snapshot<'_>, payload: &mut Vec<u8>) -> io::Result<Record> {
        let seen = self.state.moment;
        let tables = tables_of(snapshot);
        let same = tables == self.state.tables;
        let encoded = if same { Vec::new() } else { format::encode_tables(&tables) };
        let had = self.state.reshape(tables);
        let meta = snapshot.directory().meta;
        let moment = Moment { generation: meta.generation, frame: meta.frame, time: meta.time };
        let mut record =
            Record { previous: seen.generation, moment, tables: encoded, runs: Vec::new(), blocks: Vec::new() };
        let moved = self.moved(snapshot, seen.generation);
        let State { parts, bytes, .. } = &mut self.state;
        for (index, part) in parts.parts.iter().enumerate() {
            let new = part_bytes(snapshot, part);
            let old = &mut bytes[index];
            let stamps = if part.stamps { &[] } else { stamps_of(snapshot, part) };
            let moved = moved.get(part.table).map_or(&[][..], |moved| moved);
            let piece_bytes = part.piece_bytes();
            self.difference.clear();
            for (piece, (new, old)) in new.chunks(piece_bytes).zip(old.chunks_mut(piece_bytes)).enumerate() {
                let beyond = (piece * piece_bytes + new.len()) as u64 > had[index];
                let told = part.stamps
                    || stamps.get(piece).is_none_or(|stamp| *stamp > seen.generation)
                    || moved.get(piece).is_some_and(|moved| *moved);
                if !beyond && (!told || new == old) {
                    continue;
                }
                match record.runs.last_mut() {
                    Some(run) if run.part == index as u32 && run.first + run.count == piece as u32 => run.count += 1,
                    _ => record.runs.push(Run { part: index as u32, first: piece as u32, count: 1 }),
                }
                let at = self.difference.len();
                self.difference.extend_from_slice(new);
                exclusive_or(&mut self.difference[at..], old);
                old.copy_from_slice(new);
            }
            for raw in self.difference.chunks(BLOCK_BYTES) {
                let (encoding, stored) = self.encoder.encode(raw, part.width)?;
                payload.extend_from_slice(stored);
                record.blocks.push(Entry { bytes: stored.len() as u32, encoding, checksum: xxh3_64(stored) });
            }
        }
        self.state.moment = moment;
        Ok(record)
    }

    /// By table, the pieces in which other entities stand than before: columns of theirs may have come from another
    /// table as they are, with their stamps.
    fn moved(&self, snapshot: &Snapshot<'_>, seen: u64) -> Vec<Vec<bool>> {
        let State { parts, bytes, tables, .. } = &self.state;
        let mut moved = vec![Vec::new(); tables.len()];
        let is_location = |part: &&Part| kind(parts, part) == ColumnKind::Location && !part.stamps;
        let written = |part: &Part| stamps_of(snapshot, part).iter().any(|stamp| *stamp > seen);
        if !parts.parts.iter().find(is_location).is_some_and(written) {
            return moved;
        }
        for (part, old) in parts.parts.iter().zip(bytes).filter(|(part, _)| self.state.is_handles(part)) {
            let pieces = part_bytes(snapshot, part).chunks(part.piece_bytes()).zip(old.chunks(part.piece_bytes()));
            moved[part.table] = pieces.map(|(new, old)| new != old).collect();
        }
        moved
    }
}

fn kind(parts: &Parts, part: &Part) -> ColumnKind {
    parts.shapes[part.table].columns[part.column].0
}

/// The stamps of a part's rows.
fn stamps_of<'s>(snapshot: &'s Snapshot<'_>, part: &Part) -> &'s [u64] {
    let rows = snapshot.directory().tables[part.table].rows as usize;
    let stamps = Part { stamps: true, bytes: rows.div_ceil(CHUNK_ROWS) as u64 * 8, ..*part };
    bytemuck::cast_slice(part_bytes(snapshot, &stamps))
}

fn exclusive_or(target: &mut [u8], other: &[u8]) {
    target.iter_mut().zip(other).for_each(|(target, other)| *target ^= other);
}

/// What is wrong with a record: which part of it, and what.
pub(crate) type Wrong = (Option<usize>, &'static str);

/// Changes a state as a record says. `payload` is the record's blocks.
///
/// Where it fails, the state is no state any more.
pub(crate) fn apply(state: &mut State, record: &Record, payload: &[u8], decoder: &mut Decoder) -> Result<(), Wrong> {
    let wrong = |what| (None, what);
    if record.previous != state.moment.generation {
        return Err(wrong("it follows another generation"));
    }
    let had = if record.tables.is_empty() {
        state.bytes.iter().map(|bytes| bytes.len() as u64).collect()
    } else {
        let tables = format::decode_tables(&record.tables, &state.layout).map_err(|_| wrong("its tables are wrong"))?;
        check_growth(state, &tables, record)?;
        state.reshape(tables)
    };
    let State { parts, bytes, .. } = state;
    let (mut blocks, mut payload) = (record.blocks.iter(), payload);
    let mut runs = record.runs.as_slice();
    let mut raw = Vec::new();
    for (index, part) in parts.parts.iter().enumerate() {
        let own = runs.iter().take_while(|run| run.part as usize == index).count();
        let (own, rest) = runs.split_at(own);
        runs = rest;
        let wrong = |what| (Some(index), what);
        let piece = part.piece_bytes() as u64;
        let mut spans = Vec::with_capacity(own.len());
        let mut end = 0;
        for run in own {
            let from = u64::from(run.first) * piece;
            let to = (from + u64::from(run.count) * piece).min(part.bytes);
            if from >= to || from < end || run.count == 0 {
                return Err(wrong("its runs are not in order, or lie beyond the rows"));
            }
            end = to;
            spans.push(from as usize..to as usize);
        }
        // what is new is told to the last byte
        if had[index] < part.bytes && !covers(&spans, (had[index] / piece * piece) as usize, part.bytes as usize) {
            return Err(wrong("rows are missing"));
        }
        let total: usize = spans.iter().map(ExactSizeIterator::len).sum();
        raw.clear();
        raw.resize(total, 0);
        for out in raw.chunks_mut(BLOCK_BYTES) {
            let block = blocks.next().ok_or_else(|| wrong("blocks are missing"))?;
            let stored = payload.split_off(..block.bytes as usize).ok_or_else(|| wrong("bytes are missing"))?;
            if xxh3_64(stored) != block.checksum {
                return Err(wrong("a checksum differs"));
            }
            decoder.decode(block.encoding, stored, part.width, out).map_err(wrong)?;
        }
        let mut from = raw.as_slice();
        for span in spans {
            let (difference, rest) = from.split_at(span.len());
            exclusive_or(&mut bytes[index][span], difference);
            from = rest;
        }
    }
    if !runs.is_empty() || blocks.next().is_some() || !payload.is_empty() {
        return Err(wrong("it holds more than its tables have room for"));
    }
    state.moment = record.moment;
    Ok(())
}

/// Whether spans, in order, hold all bytes from `from` to `to`.
fn covers(spans: &[std::ops::Range<usize>], from: usize, to: usize) -> bool {
    let mut reached = from;
    for span in spans.iter().filter(|span| span.end > from) {
        if span.start > reached {
            return false;
        }
        reached = span.end;
    }
    reached >= to
}

/// Whether so much more memory is worth taking: each block tells of at most [`BLOCK_BYTES`].
fn check_growth(state: &State, tables: &[crate::checkpoint::parts::TableHead], record: &Record) -> Result<(), Wrong> {
    let bytes = |parts: &Parts| parts.count(1).map(|(_, bytes)| bytes);
    let (Some(before), Some(after)) = (bytes(&state.parts), bytes(&Parts::new(&state.layout, tables))) else {
        return Err((None, "its tables are too large"));
    };
    let told = record.blocks.len() as u64 * BLOCK_BYTES as u64;
    if after.saturating_sub(before) > told { Err((None, "its tables are too large")) } else { Ok(()) }
}
