//! What differs between two states: found by what changed since, and by a copy of the state before where that is worth it.
//!
//! Most parts change either in a few of their rows or in nearly all of them. The first are compared with the state before,
//! and their difference is short. Of the second everything that was written goes into the record as it is, from where it
//! lies: then nothing is compared and no copy kept up to date, until they are looked at again. Where there is time to
//! spare all differences are made, and compressed.
//!
//! Invariant: a part of the state that is not up to date is marked, and never compared with.
#![forbid(unsafe_code)]

use crate::table::ColumnKind;
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::codec::{Encoder, RAW, WITHOUT_ZEROS, without_zeros};
use crate::checkpoint::format::{self, Entry};
use crate::checkpoint::parts::{Part, Parts};
use crate::checkpoint::write::{part_bytes, tables_of};
use crate::generation::ChangedChunks;
use crate::snapshot::Snapshot;

use super::delta::{BLOCK_BYTES, VALUES, exclusive_or};
use super::format::{Record, Run};
use super::recorder::Compress;
use super::state::{Moment, State};

/// Records after which a part that is told as it is gets looked at again.
const LOOK_AGAIN: u32 = 64;
/// The part of the time between generations that compression may take where it has to be spare: one in so many.
const SPARE: u32 = 8;
/// What compression is thought to take before any was done, nanoseconds for each byte.
const NS_PER_BYTE: f64 = 6.0;

/// The bytes of a record's blocks: some lie in the generation, the others in memory of their own.
#[derive(Default)]
pub(crate) struct Payload<'s> {
    pub own: Vec<u8>,
    pub pieces: Vec<Bytes<'s>>,
    pub total: u64,
}

/// Bytes of a payload.
pub(crate) enum Bytes<'s> {
    /// The next so many of its own.
    Own(usize),
    /// These.
    Shared(&'s [u8]),
}

impl<'s> Payload<'s> {
    fn note(&mut self, entry: Entry, record: &mut Record) {
        self.total += u64::from(entry.bytes);
        record.blocks.push(entry);
    }

    /// What was appended to its own memory since it had `before` bytes.
    fn owned(&mut self, before: usize, encoding: u32, record: &mut Record) {
        let stored = &self.own[before..];
        let entry = Entry { bytes: stored.len() as u32, encoding, checksum: xxh3_64(stored) };
        match self.pieces.last_mut() {
            Some(Bytes::Own(bytes)) => *bytes += stored.len(),
            _ => self.pieces.push(Bytes::Own(stored.len())),
        }
        self.note(entry, record);
    }

    fn shared(&mut self, stored: &'s [u8], encoding: u32, record: &mut Record) {
        self.pieces.push(Bytes::Shared(stored));
        self.note(Entry { bytes: stored.len() as u32, encoding, checksum: xxh3_64(stored) }, record);
    }
}

/// What is known of a part.
#[derive(Clone, Copy, Default)]
struct Habit {
    /// The state has older bytes of it.
    stale: bool,
    /// Nearly all of it changes.
    dense: bool,
    /// Records since that was found.
    records: u32,
}

/// Makes records. It keeps a copy of the last state that it saw, of what changes densely an older one.
pub(crate) struct Differ {
    pub state: State,
    habits: Vec<Habit>,
    encoder: Encoder,
    pub compress: Compress,
    /// Nanoseconds that compression took for each byte, lately.
    ns_per_byte: f64,
    /// Bytes of dense parts in the record before.
    dense_bytes: u64,
    /// When the record before was begun.
    before: Option<Instant>,
    /// What is told of the part at hand, in one of two ways.
    told: Vec<u8>,
    changes: Changes,
}

impl Differ {
    /// One that has seen this generation.
    pub(crate) fn new(state: State, level: i32, compress: Compress) -> io::Result<Differ> {
        Ok(Differ {
            habits: vec![Habit::default(); state.parts.parts.len()],
            state,
            encoder: Encoder::new(level)?,
            compress: if level == 0 { Compress::Never } else { compress },
            ns_per_byte: NS_PER_BYTE,
            dense_bytes: 0,
            before: None,
            told: Vec::new(),
            changes: Changes::default(),
        })
    }

    /// Whether the next record is to be compressed.
    fn compresses(&mut self) -> bool {
        let now = Instant::now();
        let since = self.before.replace(now).map_or(Duration::MAX, |before| now - before);
        match self.compress {
            Compress::Always => true,
            Compress::Never => false,
            Compress::WhenIdle => {
                // what was measured once may have been bad luck
                self.ns_per_byte = self.ns_per_byte * 0.99 + NS_PER_BYTE * 0.01;
                self.dense_bytes as f64 * self.ns_per_byte <= (since / SPARE).as_nanos() as f64
            }
        }
    }

    /// A record that leads from the last state to this generation, which is the last state from now on. Its blocks'
    /// bytes are appended to `payload`.
    pub(crate) fn record<'s>(&mut self, snapshot: &'s Snapshot<'_>, payload: &mut Payload<'s>) -> io::Result<Record> {
        let hard = self.compresses();
        let begun = Instant::now();
        let seen = self.state.moment;
        let tables = tables_of(snapshot);
        let same = tables == self.state.tables;
        let encoded = if same { Vec::new() } else { format::encode_tables(&tables) };
        let old_parts = (!same).then(|| self.state.parts.clone());
        let had = self.state.reshape(tables);
        if let Some(old) = old_parts {
            self.take_habits(&old);
        }
        let meta = snapshot.directory().meta;
        let moment = Moment { generation: meta.generation, frame: meta.frame, time: meta.time };
        let mut record =
            Record { previous: seen.generation, moment, tables: encoded, runs: Vec::new(), blocks: Vec::new() };
        self.dense_bytes = 0;
        for index in 0..had.len() {
            let part = self.state.parts.parts[index];
            let newer = newer_than(snapshot, &part, seen.generation);
            let told = |piece: usize| part.stamps || newer.contains(piece);
            // what stands for the places of rows is compared with, always
            let must = part.stamps || self.state.is_handles(&part);
            let habit = &mut self.habits[index];
            habit.records += 1;
            let as_it_is = !must && (habit.stale || habit.dense && !hard);
            let look_again = as_it_is && (hard || habit.records >= LOOK_AGAIN);
            let task = Task { index, had: had[index], hard, new: part_bytes(snapshot, &part) };
            if as_it_is {
                habit.stale = true;
                self.put_values(&task, &told, &mut record, payload)?;
            } else {
                self.put_difference(&task, &told, &mut record, payload)?;
            }
            if look_again {
                // compared with again from the next record on
                self.state.bytes[index].copy_from_slice(task.new);
                self.habits[index] = Habit { dense: hard, ..Habit::default() };
            }
        }
        if hard && self.dense_bytes > 0 {
            let took = begun.elapsed().as_nanos() as f64 / self.dense_bytes as f64;
            self.ns_per_byte = 0.5 * (self.ns_per_byte + took);
        }
        self.state.moment = moment;
        Ok(record)
    }

    /// The pieces that are told, as they are.
    fn put_values<'s>(
        &mut self,
        task: &Task<'s>,
        told: &dyn Fn(usize) -> bool,
        record: &mut Record,
        payload: &mut Payload<'s>,
    ) -> io::Result<()> {
        let part = self.state.parts.parts[task.index];
        let piece_bytes = part.piece_bytes();
        let first = record.runs.len();
        for (piece, new) in task.new.chunks(piece_bytes).enumerate() {
            if told(piece) || task.beyond(piece * piece_bytes + new.len()) {
                push(&mut record.runs, task.index, piece);
            }
        }
        let span = |run: &Run| {
            let from = run.first as usize * piece_bytes;
            &task.new[from..(from + run.count as usize * piece_bytes).min(task.new.len())]
        };
        let spans: usize = record.runs[first..].iter().map(|run| span(run).len()).sum();
        self.dense_bytes += spans as u64;
        let whole = match &record.runs[first..] {
            [run] if !task.hard => Some(span(run)),
            _ => None,
        };
        if let Some(whole) = whole {
            whole.chunks(BLOCK_BYTES).for_each(|block| payload.shared(block, VALUES | RAW, record));
            return Ok(());
        }
        self.told.clear();
        record.runs[first..].iter().for_each(|run| self.told.extend_from_slice(span(run)));
        for raw in self.told.chunks(BLOCK_BYTES) {
            let before = payload.own.len();
            let encoding = if task.hard {
                let (encoding, stored) = self.encoder.encode(raw, part.width)?;
                payload.own.extend_from_slice(stored);
                encoding
            } else {
                payload.own.extend_from_slice(raw);
                RAW
            };
            payload.owned(before, VALUES | encoding, record);
        }
        Ok(())
    }

    /// The pieces that are told and differ, as differences.
    fn put_difference(
        &mut self,
        task: &Task<'_>,
        told: &dyn Fn(usize) -> bool,
        record: &mut Record,
        payload: &mut Payload<'_>,
    ) -> io::Result<()> {
        let State { parts, bytes, .. } = &mut self.state;
        let part = parts.parts[task.index];
        let old = &mut bytes[task.index];
        let piece_bytes = part.piece_bytes();
        let short = !task.hard && piece_bytes.is_multiple_of(GROUP_BYTES);
        self.told.clear();
        self.changes.clear();
        let mut count = 0;
        for (piece, (new, old)) in task.new.chunks(piece_bytes).zip(old.chunks_mut(piece_bytes)).enumerate() {
            let beyond = task.beyond(piece * piece_bytes + new.len());
            if !beyond && !part.stamps && !told(piece) {
                continue;
            }
            if short {
                if !self.changes.piece(new, old) && !beyond {
                    self.changes.forget(new.len());
                    continue;
                }
            } else {
                if !beyond && new == old {
                    continue;
                }
                let at = self.told.len();
                self.told.extend_from_slice(new);
                exclusive_or(&mut self.told[at..], old);
                old.copy_from_slice(new);
            }
            push(&mut record.runs, task.index, piece);
            count += 1;
        }
        if count == 0 {
            return Ok(());
        }
        let dense = if short {
            self.changes.put(record, payload);
            self.changes.values.len() > self.changes.bytes / 4
        } else {
            self.put_told(task.hard, &part, record, payload)?
        };
        if dense {
            self.dense_bytes += if short { self.changes.bytes } else { self.told.len() } as u64;
        }
        self.habits[task.index] = Habit { dense, ..Habit::default() };
        Ok(())
    }

    /// Differences as they were collected. Whether most of them are no zeros.
    fn put_told(
        &mut self,
        hard: bool,
        part: &Part,
        record: &mut Record,
        payload: &mut Payload<'_>,
    ) -> io::Result<bool> {
        let mut dense = false;
        for raw in self.told.chunks(BLOCK_BYTES) {
            let before = payload.own.len();
            let sparse = without_zeros(raw, &mut payload.own);
            dense |= !sparse;
            let encoding = if hard {
                payload.own.truncate(before);
                let (encoding, stored) = self.encoder.encode(raw, part.width)?;
                payload.own.extend_from_slice(stored);
                encoding
            } else if sparse {
                WITHOUT_ZEROS
            } else {
                payload.own.extend_from_slice(raw);
                RAW
            };
            payload.owned(before, encoding, record);
        }
        Ok(dense)
    }

    /// Gives the habits of parts as they were to the same parts as they are.
    fn take_habits(&mut self, old: &Parts) {
        let key = |parts: &Parts, part: &Part| (part.table, kind(parts, part), part.stamps);
        let known: HashMap<_, _> = old.parts.iter().map(|part| key(old, part)).zip(self.habits.drain(..)).collect();
        let parts = &self.state.parts;
        let habit = |part| known.get(&key(parts, part)).copied().unwrap_or_default();
        self.habits = parts.parts.iter().map(habit).collect();
    }
}

fn kind(parts: &Parts, part: &Part) -> ColumnKind {
    parts.shapes[part.table].columns[part.column].0
}

/// The pieces of a part (but of stamps) that may differ from those of a generation.
fn newer_than<'s>(snapshot: &'s Snapshot<'_>, part: &Part, generation: u64) -> ChangedChunks<'s> {
    let table = &snapshot.directory().tables[part.table];
    let column = &table.columns[part.column];
    let (_, stamps) = snapshot.column_parts(table, column);
    ChangedChunks::new(stamps, table.rows as usize, column.moved, generation)
}

/// Bytes of which one word of a block without zeros tells.
const GROUP_BYTES: usize = 64 * 8;

/// A part's differences without their zeros, found in one walk.
#[derive(Default)]
struct Changes {
    /// Which words of a group are not 0.
    masks: Vec<u64>,
    /// Those words.
    values: Vec<u8>,
    /// The last bytes, where they are no whole word.
    rest: Vec<u8>,
    /// All bytes that are told, zeros included.
    bytes: usize,
}

impl Changes {
    fn clear(&mut self) {
        self.masks.clear();
        self.values.clear();
        self.rest.clear();
        self.bytes = 0;
    }

    /// Adds a piece, of whole groups unless it is the part's last, and brings the old one up to date. Whether they differ.
    fn piece(&mut self, new: &[u8], old: &mut [u8]) -> bool {
        self.bytes += new.len();
        let mut differ = false;
        for (new, old) in new.chunks(GROUP_BYTES).zip(old.chunks_mut(GROUP_BYTES)) {
            let (words, rest) = new.as_chunks::<8>();
            let (old_words, old_rest) = old.as_chunks_mut::<8>();
            let mut mask = 0u64;
            if words != old_words {
                for (place, (new, old)) in words.iter().zip(old_words).enumerate() {
                    if new != old {
                        mask |= 1 << place;
                        let difference = u64::from_le_bytes(*new) ^ u64::from_le_bytes(*old);
                        self.values.extend_from_slice(&difference.to_le_bytes());
                        *old = *new;
                    }
                }
            }
            if !words.is_empty() {
                self.masks.push(mask);
            }
            self.rest.extend(rest.iter().zip(&*old_rest).map(|(new, old)| new ^ old));
            differ |= mask != 0 || rest != old_rest;
            old_rest.copy_from_slice(rest);
        }
        differ
    }

    /// Takes the last piece back, in which nothing differs.
    fn forget(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.masks.truncate((self.bytes / 8).div_ceil(64));
        self.rest.clear();
    }

    /// Puts the blocks.
    fn put(&self, record: &mut Record, payload: &mut Payload<'_>) {
        let mut values = self.values.as_slice();
        let mut masks = self.masks.as_slice();
        for from in (0..self.bytes).step_by(BLOCK_BYTES) {
            let bytes = BLOCK_BYTES.min(self.bytes - from);
            let before = payload.own.len();
            let (own, others) = masks.split_at((bytes / 8).div_ceil(64));
            masks = others;
            let words: usize = own.iter().map(|mask| mask.count_ones() as usize).sum();
            let (changed, others) = values.split_at(8 * words);
            values = others;
            own.iter().for_each(|mask| payload.own.extend_from_slice(&mask.to_le_bytes()));
            let rest = if bytes.is_multiple_of(8) { &[][..] } else { &self.rest };
            let has_rest = rest.iter().any(|byte| *byte != 0);
            if !rest.is_empty() {
                payload.own.extend_from_slice(&u64::from(has_rest).to_le_bytes());
            }
            payload.own.extend_from_slice(changed);
            if has_rest {
                payload.own.extend_from_slice(rest);
            }
            payload.owned(before, WITHOUT_ZEROS, record);
        }
    }
}

/// A part to be told.
struct Task<'s> {
    index: usize,
    /// Bytes that it had.
    had: u64,
    /// Whether to compress.
    hard: bool,
    new: &'s [u8],
}

impl Task<'_> {
    /// Whether a piece that ends there has bytes that were not there before.
    fn beyond(&self, end: usize) -> bool {
        end as u64 > self.had
    }
}

fn push(runs: &mut Vec<Run>, part: usize, piece: usize) {
    match runs.last_mut() {
        Some(run) if run.part == part as u32 && run.first + run.count == piece as u32 => run.count += 1,
        _ => runs.push(Run { part: part as u32, first: piece as u32, count: 1 }),
    }
}
