//! What a record says, applied to the state that it follows.
//!
//! A record tells runs of pieces, and of each part either the difference of their bytes or the bytes as they are
//! ([`VALUES`]). The difference of a piece is the exclusive or of its bytes before and after; bytes that were not there are
//! 0 before. Numbers that change a little differ in few of their bits, which compresses well. Whoever applies a record
//! needs the state that it follows, to the byte.
//!
//! Invariants: what is not told has not changed; pieces beyond what a part had before are always told. A record is
//! hostile until checked.
#![forbid(unsafe_code)]

use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::codec::Decoder;
use crate::checkpoint::format;
use crate::checkpoint::parts::Parts;

use super::format::Record;
use super::state::State;

/// Bytes of a block before compression.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;
/// Beside a block's encoding: its bytes are those that come, and not the difference.
pub(crate) const VALUES: u32 = 0x100;

pub(crate) fn exclusive_or(target: &mut [u8], other: &[u8]) {
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
        raw.resize(total, 0);
        let mut values = None;
        for out in raw.chunks_mut(BLOCK_BYTES) {
            let block = blocks.next().ok_or_else(|| wrong("blocks are missing"))?;
            let own = block.encoding & VALUES != 0;
            if *values.get_or_insert(own) != own {
                return Err(wrong("its blocks tell now values and now differences"));
            }
            let stored = payload.split_off(..block.bytes as usize).ok_or_else(|| wrong("bytes are missing"))?;
            if xxh3_64(stored) != block.checksum {
                return Err(wrong("a checksum differs"));
            }
            decoder.decode(block.encoding & !VALUES, stored, part.width, out).map_err(wrong)?;
        }
        let mut from = raw.as_slice();
        for span in spans {
            let (difference, rest) = from.split_at(span.len());
            match values {
                Some(true) => bytes[index][span].copy_from_slice(difference),
                _ => exclusive_or(&mut bytes[index][span], difference),
            }
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
