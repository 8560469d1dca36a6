//! Recording a job's patches: runs of entries are encoded straight into the job's buffer.
//!
//! Consecutive entries of one kind, component, field and size share one header (a run). A run is closed, and its
//! header completed, when another kind follows, when it would pass `record_bytes_max`, or when the buffer is to be
//! sent (spilled) to the ring.
//!
//! Invariants: `buffer[..cursor]` is written, and whole records but for the open run at `run_start`; `cursor` never
//! passes `limit`, which keeps room for a run's closing zeros; with no run open `key` is 0, so the next entry takes
//! the slow path. However the writer goes away (a panicking kernel included), the caller's vector holds whole records.
//! This file never knows a layout: sizes are the caller's word, and the reader of the records checks them.
#![forbid(unsafe_code)]

use crate::component::Entity;
use crate::limits::{COMPONENTS_MAX, FAILURE_BYTES_MAX, PATCH_SPILL_BYTES, RECORD_BYTES_MIN};
use crate::patch::error::PatchError;
use crate::patch::record::{
    HANDLE_BYTES, HEADER_BYTES, Header, Kind, LIST_ADDS, LIST_BEGINS, LIST_ENDS, LIST_TARGET_BYTES, Op, RECORD_ALIGN,
    ROW_BYTES, padded,
};
use crate::patch::records::ListTarget;

/// Sends the whole records in the buffer and takes them out of it. It may wait for room.
pub(crate) type Spill<'a> = dyn FnMut(&mut Vec<u8>) -> Result<(), PatchError> + 'a;

/// Bytes by which the buffer first grows; later steps double up to `GROW_BYTES_MAX`. Small enough to stay in cache.
const GROW_BYTES_MIN: usize = 1 << 10;
const GROW_BYTES_MAX: usize = 1 << 14;
/// Spawns that one job can make: the last index with the reserved generation is the null handle.
const SPAWNS_MAX: u32 = u32::MAX - 1;
const NO_RUN: u64 = 0;

/// What a run is of: two entries share a run only where this is equal.
#[inline]
const fn key(kind: Kind, component: u16, field: u8, value_bytes: usize) -> u64 {
    kind as u64 | (field as u64) << 8 | (component as u64) << 16 | (value_bytes as u32 as u64) << 32
}

/// Records the patches of one job after the other.
pub(crate) struct PatchWriter<'a> {
    out: &'a mut Vec<u8>,
    /// `out`'s contents while the writer lives.
    buffer: Vec<u8>,
    cursor: usize,
    limit: usize,
    key: u64,
    run_start: usize,
    /// Bytes between the run's start and its first entry.
    run_head_bytes: usize,
    /// Bytes of one entry of the run; 0 in spawns of tags alone.
    run_stride: usize,
    /// `spawned` when the run began.
    run_spawned: u32,
    sequence: u32,
    spawned: u32,
    /// The handle of the job's first spawn.
    reserved: Entity,
    record_bytes_max: usize,
    spill: Option<&'a mut Spill<'a>>,
    spill_at: usize,
    grow_bytes: usize,
    error: Option<PatchError>,
    /// Whether a spill failed: then nothing more is recorded.
    cut_off: bool,
}

impl<'a> PatchWriter<'a> {
    /// A writer that appends to `out`, which holds whole records or nothing.
    ///
    /// No record becomes longer than `record_bytes_max`, rounded down to 8 (a ring's limit; at least
    /// [`RECORD_BYTES_MIN`]). With a `spill`, the buffer is sent whenever it would pass [`PATCH_SPILL_BYTES`]; what is
    /// left at the end stays in `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>, record_bytes_max: usize, spill: Option<&'a mut Spill<'a>>) -> Self {
        debug_assert!(record_bytes_max >= RECORD_BYTES_MIN, "no ring takes so little");
        debug_assert!(out.len().is_multiple_of(RECORD_ALIGN), "the buffer holds whole records");
        let buffer = std::mem::take(out);
        let spill_at = if spill.is_some() { buffer.len() + spill_bytes() } else { usize::MAX };
        PatchWriter {
            out,
            cursor: buffer.len(),
            buffer,
            limit: 0,
            key: NO_RUN,
            run_start: 0,
            run_head_bytes: 0,
            run_stride: 0,
            run_spawned: 0,
            sequence: 0,
            spawned: 0,
            reserved: Entity::reserved(0),
            record_bytes_max: record_bytes_max.clamp(RECORD_BYTES_MIN, 1 << 30) & !(RECORD_ALIGN - 1),
            spill,
            spill_at,
            grow_bytes: GROW_BYTES_MIN,
            error: None,
            cut_off: false,
        }
    }

    /// Records `op` on an absolute row of the job's table. `value_bytes` is 0 for `Remove` and `Despawn`; `write`
    /// fills exactly that many bytes, which hold rubbish before.
    #[inline]
    pub(crate) fn row(
        &mut self,
        op: Op,
        component: u16,
        field: u8,
        row: u32,
        value_bytes: usize,
        write: impl FnOnce(&mut [u8]),
    ) {
        self.entry(op.rows(), component, field, row.to_le_bytes(), value_bytes, write);
    }

    /// Records `op` on the entity with a handle, which may be a reserved one of this job.
    #[inline]
    pub(crate) fn entity(
        &mut self,
        op: Op,
        component: u16,
        field: u8,
        entity: Entity,
        value_bytes: usize,
        write: impl FnOnce(&mut [u8]),
    ) {
        self.entry(op.entities(), component, field, entity.to_bits().to_le_bytes(), value_bytes, write);
    }

    #[inline]
    fn entry<const T: usize>(
        &mut self,
        kind: Kind,
        component: u16,
        field: u8,
        target: [u8; T],
        value_bytes: usize,
        write: impl FnOnce(&mut [u8]),
    ) {
        const { assert!(T == ROW_BYTES || T == HANDLE_BYTES) };
        let key = key(kind, component, field, value_bytes);
        let bytes = T + value_bytes;
        if (key != self.key || self.cursor + bytes > self.limit) && !self.open(key, &[], bytes) {
            return;
        }
        let end = self.cursor + bytes;
        let entry = &mut self.buffer[self.cursor..end];
        entry[..T].copy_from_slice(&target);
        write(&mut entry[T..]);
        self.cursor = end;
    }

    /// Records a spawn with these components; `write` fills their packed values in the same order. The handle is
    /// reserved: later patches of the job may name it, and it becomes an entity at the commit.
    #[inline]
    pub(crate) fn spawn(&mut self, components: &[u16], value_bytes: usize, write: impl FnOnce(&mut [u8])) -> Entity {
        let entity = self.reserved.nth(self.spawned);
        let key = key(Kind::Spawn, components.len() as u16, 0, value_bytes);
        let same = key == self.key && self.spawns(components) && self.cursor + value_bytes <= self.limit;
        if self.spawned >= SPAWNS_MAX {
            self.fail(PatchError::TooManySpawns { max: SPAWNS_MAX });
            return Entity::NULL;
        }
        if !same && !self.open(key, components, value_bytes) {
            return Entity::NULL;
        }
        let end = self.cursor + value_bytes;
        write(&mut self.buffer[self.cursor..end]);
        self.cursor = end;
        self.spawned += 1;
        entity
    }

    /// Records that the list of a row or an entity becomes `count` elements of `element_bytes` each: `write` fills in the
    /// packed ones from an index on. A list that is longer than a record goes in pieces. `adds`: the component, too, where
    /// it is absent.
    pub(crate) fn list(
        &mut self,
        target: ListTarget,
        (component, adds): (u16, bool),
        (count, element_bytes): (usize, usize),
        mut write: impl FnMut(usize, &mut [u8]),
    ) {
        let room = self.record_bytes_max.min(PATCH_SPILL_BYTES) - HEADER_BYTES - LIST_TARGET_BYTES;
        let most = match room / element_bytes {
            0 => (self.record_bytes_max - HEADER_BYTES - LIST_TARGET_BYTES) / element_bytes,
            most => most,
        };
        // an element that no record takes is refused by the first
        let most = most.max(1);
        let mut first = 0;
        loop {
            let n = most.min(count - first);
            let begins = if first == 0 { LIST_BEGINS } else { 0 };
            let ends = if first + n == count { LIST_ENDS } else { 0 };
            let bits = begins | ends | if adds { LIST_ADDS } else { 0 };
            let bytes = LIST_TARGET_BYTES + n * element_bytes;
            let (kind, word) = match target {
                ListTarget::Row(row) => (Kind::ListRow, u64::from(row)),
                ListTarget::Entity(entity) => (Kind::ListEntity, entity.to_bits()),
            };
            let Some(payload) = self.record_of_field(kind, component, bits, n as u32, bytes) else { return };
            payload[..LIST_TARGET_BYTES].copy_from_slice(&word.to_le_bytes());
            write(first, &mut payload[LIST_TARGET_BYTES..]);
            first += n;
            if first == count {
                return;
            }
        }
    }

    /// Records a new value of a resource.
    pub(crate) fn resource(&mut self, resource: u16, bytes: usize, write: impl FnOnce(&mut [u8])) {
        if let Some(payload) = self.record(Kind::SetResource, resource, 0, bytes) {
            write(payload);
        }
    }

    /// Records the result of the job's rows, of a resource.
    pub(crate) fn reduced(&mut self, resource: u16, value: &[u8]) {
        if let Some(payload) = self.record(Kind::Reduce, resource, 0, value.len()) {
            payload.copy_from_slice(value);
        }
    }

    /// Records that the job's `member`th system wrote these rows of a component's column in place, in so many passes.
    pub(crate) fn range(
        &mut self,
        component: u16,
        field: u8,
        rows: std::ops::Range<u32>,
        (member, passes): (u32, u32),
    ) {
        if let Some(payload) = self.record_of_field(Kind::Range, component, field, 0, 16) {
            put_words(payload, [rows.start, rows.end, member, passes]);
        }
    }

    /// Records which rows of a tracked component changed: a bit each from row `first` on, which is a multiple of 64. Words
    /// without any are left out.
    pub(crate) fn changed(&mut self, component: u16, first: u32, words: &[u64]) {
        let words_max = (self.record_bytes_max - HEADER_BYTES - 8) / 8;
        for (number, words) in words.chunks(words_max).enumerate() {
            let Some(from) = words.iter().position(|word| *word != 0) else { continue };
            let to = words.iter().rposition(|word| *word != 0).map_or(from, |last| last + 1);
            let first = first + 64 * (number * words_max + from) as u32;
            let words = &words[from..to];
            if let Some(payload) = self.record(Kind::Changed, component, words.len() as u32, 8 + 8 * words.len()) {
                payload[..4].copy_from_slice(&first.to_le_bytes());
                for (out, word) in payload[8..].as_chunks_mut::<8>().0.iter_mut().zip(words) {
                    *out = word.to_le_bytes();
                }
            }
        }
    }

    /// The handle of the `ordinal`th spawn from now on.
    pub(crate) fn next_handle(&self, ordinal: u32) -> Entity {
        self.reserved.nth(self.spawned.saturating_add(ordinal))
    }

    /// Reserves this job's handles from this one on. Nothing was spawned yet.
    pub(crate) fn reserve_from(&mut self, first: Entity) {
        debug_assert!(self.spawned == 0 && first.is_reserved(), "before the first spawn");
        self.reserved = first;
    }

    /// Begins a job: sequence and reserved handles count from 0 again.
    pub(crate) fn begin_job(&mut self, job: u32, attempt: u32) {
        self.close();
        self.sequence = 0;
        self.spawned = 0;
        if let Some(payload) = self.record(Kind::JobBegin, 0, 0, 8) {
            put_words(payload, [job, attempt]);
        }
    }

    /// Ends a job. `ok` is recorded as false where a patch could not be recorded.
    pub(crate) fn end_job(&mut self, job: u32, attempt: u32, ok: bool) {
        self.close();
        let ok = ok && self.error.is_none();
        let (records, spawned) = (self.sequence, self.spawned);
        if let Some(payload) = self.record_even_so(Kind::JobEnd, 0, 0, 24) {
            put_words(payload, [job, attempt, records, spawned, u32::from(ok), 0]);
        }
    }

    /// Records why the job failed, cut at [`FAILURE_BYTES_MAX`] or at what a record takes.
    pub(crate) fn failure(&mut self, message: &str) {
        let bytes = message.floor_char_boundary(FAILURE_BYTES_MAX.min(self.record_bytes_max - HEADER_BYTES));
        if let Some(payload) = self.record_even_so(Kind::Failure, 0, bytes as u32, bytes) {
            payload.copy_from_slice(&message.as_bytes()[..bytes]);
        }
    }

    /// The first thing that went wrong, if anything did. Patches after it are not recorded, `failure` and `end_job`
    /// are (but for a failed spill).
    pub(crate) fn error(&self) -> Option<&PatchError> {
        self.error.as_ref()
    }

    /// Whether nothing was recorded, nor tried.
    #[inline]
    pub(crate) fn is_unused(&self) -> bool {
        self.cursor == 0 && self.key == NO_RUN && self.spawned == 0 && self.error.is_none()
    }

    /// Appends what was recorded to `to`, and begins anew.
    pub(crate) fn take(&mut self, to: &mut Vec<u8>) {
        self.close();
        to.extend_from_slice(&self.buffer[..self.cursor]);
        (self.cursor, self.sequence, self.spawned) = (0, 0, 0);
    }

    #[cfg(test)]
    /// Closes the last run and hands the buffer back: `out` holds whole records.
    ///
    /// # Errors
    /// The first thing that went wrong since the writer was made.
    pub(crate) fn end(mut self) -> Result<(), PatchError> {
        self.close();
        self.error.take().map_or(Ok(()), Err)
    }

    /// Whether the open spawn run is of these components.
    #[inline]
    fn spawns(&self, components: &[u16]) -> bool {
        let ids = &self.buffer[self.run_start + HEADER_BYTES..][..2 * components.len()];
        ids.as_chunks::<2>().0.iter().zip(components).all(|(id, component)| *id == component.to_le_bytes())
    }

    /// Makes room for an entry of `bytes`: in the open run where it is of the same key, else in a new one.
    #[cold]
    #[inline(never)]
    fn open(&mut self, key: u64, components: &[u16], bytes: usize) -> bool {
        let end = self.cursor + bytes;
        let same = key == self.key && (components.is_empty() || self.spawns(components));
        if same && end <= self.run_start + self.record_bytes_max && end <= self.spill_at {
            self.reserve(end);
            return true;
        }
        debug_assert!(components.len() <= COMPONENTS_MAX, "a layout has no more");
        let head_bytes = HEADER_BYTES + padded(2 * components.len());
        if self.error.is_some() || !self.start(head_bytes + bytes) {
            return false;
        }
        self.run_start = self.cursor;
        self.run_head_bytes = head_bytes;
        self.run_stride = bytes;
        self.run_spawned = self.spawned;
        self.key = key;
        self.reserve(self.cursor + head_bytes + bytes);
        let head = &mut self.buffer[self.cursor..][..head_bytes];
        head[HEADER_BYTES..].fill(0);
        for (id, component) in head[HEADER_BYTES..].as_chunks_mut::<2>().0.iter_mut().zip(components) {
            *id = component.to_le_bytes();
        }
        self.cursor += head_bytes;
        true
    }

    /// Closes the open run and makes sure that a record of `bytes` may follow.
    fn start(&mut self, bytes: usize) -> bool {
        self.close();
        if self.cut_off {
            return false;
        }
        if bytes > self.record_bytes_max {
            self.fail(PatchError::TooLarge { bytes: padded(bytes), max: self.record_bytes_max });
            return false;
        }
        if self.cursor + bytes > self.spill_at
            && let Some(spill) = &mut self.spill
        {
            self.buffer.truncate(self.cursor);
            let sent = spill(&mut self.buffer);
            self.cursor = self.buffer.len();
            self.spill_at = self.cursor + spill_bytes();
            if let Err(error) = sent {
                self.cut_off = true;
                self.fail(error);
                return false;
            }
        }
        true
    }

    /// Grows the buffer to hold `end` bytes and a run's closing zeros, and sets how far the open run may go.
    fn reserve(&mut self, end: usize) {
        if self.buffer.len() < end + RECORD_ALIGN {
            let len = (end + RECORD_ALIGN).max(self.cursor + self.grow_bytes);
            self.grow_bytes = (2 * self.grow_bytes).min(GROW_BYTES_MAX);
            self.buffer.resize(len, 0);
        }
        let run_end = (self.run_start + self.record_bytes_max).min(self.spill_at.max(end));
        self.limit = run_end.min(self.buffer.len() - RECORD_ALIGN);
    }

    /// Writes the open run's header, with the count and length it has now.
    fn close(&mut self) {
        if self.key == NO_RUN {
            return;
        }
        let bytes = self.cursor - self.run_start;
        let spawned = self.spawned - self.run_spawned;
        let count = if self.key as u8 == Kind::Spawn as u8 {
            spawned
        } else {
            ((bytes - self.run_head_bytes) / self.run_stride) as u32
        };
        let header = Header {
            bytes: padded(bytes) as u32,
            kind: self.key as u8,
            field: (self.key >> 8) as u8,
            component: (self.key >> 16) as u16,
            count,
            sequence: self.sequence,
        };
        self.key = NO_RUN;
        self.limit = 0;
        if count == 0 {
            // A kernel panicked while it wrote the run's first value.
            self.cursor = self.run_start;
            return;
        }
        self.buffer[self.run_start..][..HEADER_BYTES].copy_from_slice(&header.encode());
        self.buffer[self.cursor..self.run_start + padded(bytes)].fill(0);
        self.cursor = self.run_start + padded(bytes);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Writes a record that is no run, unless something went wrong before; its payload, to be filled.
    fn record(&mut self, kind: Kind, component: u16, count: u32, payload_bytes: usize) -> Option<&mut [u8]> {
        self.record_of_field(kind, component, 0, count, payload_bytes)
    }

    /// The same, of one field.
    fn record_of_field(
        &mut self,
        kind: Kind,
        component: u16,
        field: u8,
        count: u32,
        payload_bytes: usize,
    ) -> Option<&mut [u8]> {
        if self.error.is_some() {
            return None;
        }
        let start = self.record_at(kind, component, field, count, payload_bytes)?;
        Some(&mut self.buffer[start + HEADER_BYTES..][..payload_bytes])
    }

    /// The same, whatever went wrong but a spill.
    fn record_even_so(&mut self, kind: Kind, component: u16, count: u32, payload_bytes: usize) -> Option<&mut [u8]> {
        let start = self.record_at(kind, component, 0, count, payload_bytes)?;
        Some(&mut self.buffer[start + HEADER_BYTES..][..payload_bytes])
    }

    fn record_at(&mut self, kind: Kind, component: u16, field: u8, count: u32, payload_bytes: usize) -> Option<usize> {
        let bytes = padded(HEADER_BYTES + payload_bytes);
        if !self.start(bytes) {
            return None;
        }
        let start = self.cursor;
        self.reserve(start + bytes);
        self.limit = 0;
        let header = Header { bytes: bytes as u32, kind: kind as u8, field, component, count, sequence: self.sequence };
        let record = &mut self.buffer[start..][..bytes];
        // the caller fills the list it asks for
        if !matches!(kind, Kind::ListRow | Kind::ListEntity) {
            record.fill(0);
        }
        record[HEADER_BYTES + payload_bytes..].fill(0);
        record[..HEADER_BYTES].copy_from_slice(&header.encode());
        self.cursor += bytes;
        self.sequence = self.sequence.wrapping_add(1);
        Some(start)
    }

    fn fail(&mut self, error: PatchError) {
        self.error.get_or_insert(error);
    }
}

impl Drop for PatchWriter<'_> {
    fn drop(&mut self) {
        self.close();
        self.buffer.truncate(self.cursor);
        *self.out = std::mem::take(&mut self.buffer);
    }
}

/// When what is recorded is sent.
fn spill_bytes() -> usize {
    crate::fault::sized(PATCH_SPILL_BYTES, 384)
}

fn put_words<const N: usize>(payload: &mut [u8], words: [u32; N]) {
    for (out, word) in payload.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *out = word.to_le_bytes();
    }
}
