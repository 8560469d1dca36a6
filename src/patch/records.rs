//! Reading records back: framing checked against the layout's sizes, nothing else.
//!
//! Invariants: [`Records`] yields only records whose length agrees with kind, count and packed sizes, and never reads
//! outside its slice, whatever the bytes. It says nothing about rows, handles, duplicate components or permissions:
//! the commit checks those. A spawn of tags alone has no bytes per entity, so its `count` is bounded by nothing here.
//! This file never sees a table, an entity map or shared memory: it works on private copies.
#![forbid(unsafe_code)]

use crate::component::Entity;
use crate::limits::COMPONENTS_MAX;
use crate::patch::error::RecordError;
use crate::patch::record::{
    HANDLE_BYTES, HEADER_BYTES, Header, JOB_BEGIN_BYTES, JOB_END_BYTES, Kind, LIST_ADDS, LIST_BEGINS, LIST_ENDS,
    LIST_TARGET_BYTES, Op, RANGE_BYTES, RECORD_ALIGN, ROW_BYTES, RecordSizes, padded,
};

/// The last record of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobEnd {
    pub job: u32,
    pub attempt: u32,
    /// Records of the job before this one, `JobBegin` included; equal to this record's sequence.
    pub records: u32,
    /// Entities the job spawned.
    pub spawned: u32,
    pub ok: bool,
}

#[allow(dead_code, reason = "all of the format is read; the commit looks at what it needs")]
/// One record, checked for framing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub sequence: u32,
    pub body: Body<'a>,
}

#[allow(dead_code, reason = "all of the format is read; the commit looks at what it needs")]
/// What a record says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body<'a> {
    JobBegin {
        job: u32,
        attempt: u32,
    },
    JobEnd(JobEnd),
    Failure {
        message: &'a str,
    },
    /// A system of the job, the `member`th of those that run together, wrote rows of a column in place, in so many `passes`.
    Range {
        component: u16,
        field: u8,
        start: u32,
        end: u32,
        member: u32,
        passes: u32,
    },
    /// Rows of a tracked component that differ from what they were: a bit each, from row `first` on.
    Changed {
        component: u16,
        first: u32,
        words: &'a [[u8; 8]],
    },
    Spawn(SpawnRun<'a>),
    SetResource {
        resource: u16,
        value: &'a [u8],
    },
    /// The result of the job's rows, of a resource that its system reduces to.
    Reduce {
        resource: u16,
        value: &'a [u8],
    },
    /// A piece of a list that is set.
    List(ListPiece<'a>),
    Rows {
        op: Op,
        component: u16,
        field: u8,
        entries: Entries<'a, ROW_BYTES>,
    },
    Entities {
        op: Op,
        component: u16,
        field: u8,
        entries: Entries<'a, HANDLE_BYTES>,
    },
}

/// Whose list is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListTarget {
    /// A row of the job's table.
    Row(u32),
    /// Any entity.
    Entity(Entity),
}

/// A piece of a list that is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListPiece<'a> {
    pub component: u16,
    pub target: ListTarget,
    /// Whether it is the first one.
    pub begins: bool,
    /// Whether it is the last one.
    pub ends: bool,
    /// Whether the component is added where the target lacks it.
    pub adds: bool,
    /// Packed elements.
    pub elements: &'a [u8],
}

/// The entries of a run: a target of `T` bytes and a packed value each, interleaved and unaligned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries<'a, const T: usize> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a, const T: usize> Entries<'a, T> {
    /// Number of entries.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.stride
    }

    #[cfg(any(test, feature = "fuzzing"))]
    /// Bytes of one value.
    #[inline]
    pub(crate) fn value_bytes(&self) -> usize {
        self.stride - T
    }

    /// `count` entries from `first`, or as many as there are.
    #[inline]
    pub(crate) fn slice(&self, first: usize, count: usize) -> Entries<'a, T> {
        let end = (first + count).min(self.len());
        Entries { bytes: &self.bytes[first * self.stride..end * self.stride], stride: self.stride }
    }

    /// Bytes from one entry to the next.
    #[inline]
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The entries' bytes, `T + value_bytes` each.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    fn split(entry: &'a [u8]) -> ([u8; T], &'a [u8]) {
        let (target, value) = entry.split_first_chunk::<T>().expect("the stride is T or more");
        (*target, value)
    }

    #[inline]
    fn raw(&self) -> impl ExactSizeIterator<Item = ([u8; T], &'a [u8])> + Clone + use<'a, T> {
        self.bytes.chunks_exact(self.stride).map(Self::split)
    }

    #[cfg(test)]
    #[inline]
    fn raw_get(&self, index: usize) -> Option<([u8; T], &'a [u8])> {
        let start = index.checked_mul(self.stride)?;
        self.bytes.get(start..start.checked_add(self.stride)?).map(Self::split)
    }
}

impl<'a> Entries<'a, ROW_BYTES> {
    /// Row and packed value of each entry, in the order of writing.
    #[inline]
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (u32, &'a [u8])> + use<'a> {
        self.raw().map(|(row, value)| (u32::from_le_bytes(row), value))
    }

    #[cfg(test)]
    /// One entry; for looking ahead.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<(u32, &'a [u8])> {
        self.raw_get(index).map(|(row, value)| (u32::from_le_bytes(row), value))
    }
}

impl<'a> Entries<'a, HANDLE_BYTES> {
    /// Handle and packed value of each entry, in the order of writing.
    #[inline]
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Entity, &'a [u8])> + Clone + use<'a> {
        self.raw().map(|(handle, value)| (Entity::from_bits(u64::from_le_bytes(handle)), value))
    }

    #[cfg(test)]
    /// One entry; for looking ahead.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<(Entity, &'a [u8])> {
        self.raw_get(index).map(|(handle, value)| (Entity::from_bits(u64::from_le_bytes(handle)), value))
    }
}

/// A run of spawned entities that have the same components.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpawnRun<'a> {
    ids: &'a [u8],
    count: u32,
    value_bytes: usize,
    values: &'a [u8],
}

impl<'a> SpawnRun<'a> {
    /// Ids of the components, in the order of the packed values. May repeat: the commit refuses that.
    #[inline]
    pub(crate) fn components(&self) -> impl ExactSizeIterator<Item = u16> + use<'a> {
        self.ids.as_chunks::<2>().0.iter().map(|id| u16::from_le_bytes(*id))
    }

    /// Entities. Not bounded by the record's length where `value_bytes` is 0.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    #[cfg(test)]
    /// Bytes of one entity's packed values.
    #[inline]
    pub(crate) fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    #[cfg(test)]
    /// The packed values of all entities, one entity after the other.
    #[inline]
    pub(crate) fn values(&self) -> &'a [u8] {
        self.values
    }

    /// The packed values of one entity; empty where the components have no fields.
    #[inline]
    pub(crate) fn value(&self, index: u32) -> Option<&'a [u8]> {
        if index >= self.count {
            return None;
        }
        let start = (index as usize).checked_mul(self.value_bytes)?;
        self.values.get(start..start.checked_add(self.value_bytes)?)
    }
}

/// Iterates over a slice of whole records. Pads are skipped; after an error there is nothing more.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    sizes: &'a RecordSizes,
}

impl<'a> Records<'a> {
    /// Records of `bytes`, whose values have `sizes`.
    pub(crate) fn new(bytes: &'a [u8], sizes: &'a RecordSizes) -> Self {
        Records { bytes, at: 0, sizes }
    }

    /// The next record that is no pad.
    fn advance(&mut self) -> Result<Option<Record<'a>>, RecordError> {
        loop {
            let at = self.at;
            let rest = &self.bytes[at..];
            let Some(half) = rest.first_chunk::<8>() else {
                return if rest.is_empty() { Ok(None) } else { Err(RecordError::Truncated { at, left: rest.len() }) };
            };
            let bytes = u32::from_le_bytes([half[0], half[1], half[2], half[3]]);
            let length = bytes as usize;
            let pad = half[4] == Kind::Pad as u8;
            let least = if pad { RECORD_ALIGN } else { HEADER_BYTES };
            if length < least || length > rest.len() || !length.is_multiple_of(RECORD_ALIGN) {
                return Err(RecordError::Bytes { at, bytes, left: rest.len() });
            }
            self.at += length;
            if pad {
                continue;
            }
            let Some((header, payload)) = rest[..length].split_first_chunk::<HEADER_BYTES>() else {
                return Err(RecordError::Truncated { at, left: rest.len() });
            };
            let header = Header::decode(header);
            let body = Checked { at, header, payload, sizes: self.sizes }.body()?;
            return Ok(Some(Record { sequence: header.sequence, body }));
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.at = self.bytes.len();
        }
        next.transpose()
    }
}

impl std::iter::FusedIterator for Records<'_> {}

/// A record under check.
struct Checked<'a> {
    at: usize,
    header: Header,
    payload: &'a [u8],
    sizes: &'a RecordSizes,
}

impl<'a> Checked<'a> {
    fn body(&self) -> Result<Body<'a>, RecordError> {
        let Header { field, component, kind, .. } = self.header;
        let Some(kind) = Kind::from_code(kind) else {
            return Err(RecordError::Kind { at: self.at, kind });
        };
        Ok(match kind {
            Kind::Pad => return Err(RecordError::Kind { at: self.at, kind: kind as u8 }),
            Kind::JobBegin => {
                self.plain(0, 0, JOB_BEGIN_BYTES)?;
                Body::JobBegin { job: self.word(0), attempt: self.word(1) }
            }
            Kind::JobEnd => {
                self.plain(0, 0, JOB_END_BYTES)?;
                Body::JobEnd(JobEnd {
                    job: self.word(0),
                    attempt: self.word(1),
                    records: self.word(2),
                    spawned: self.word(3),
                    ok: self.word(4) == 1,
                })
            }
            Kind::Failure => self.failure()?,
            Kind::Range => {
                self.plain(component, field, RANGE_BYTES)?;
                self.value_bytes()?;
                let (start, end) = (self.word(0), self.word(1));
                if start > end {
                    return Err(RecordError::Rows { at: self.at, start, end });
                }
                Body::Range { component, field, start, end, member: self.word(2), passes: self.word(3) }
            }
            Kind::Changed => self.changed()?,
            Kind::Spawn => Body::Spawn(self.spawn()?),
            Kind::SetResource => Body::SetResource { resource: component, value: self.resource()? },
            Kind::Reduce => Body::Reduce { resource: component, value: self.resource()? },
            Kind::ListRow | Kind::ListEntity => self.list(kind)?,
            Kind::SetRows => self.rows(Op::Set, self.value_bytes()?)?,
            Kind::AddRows => self.rows(Op::Add, self.whole_bytes()?)?,
            Kind::RemoveRows => self.rows(Op::Remove, self.whole_bytes().map(|_| 0)?)?,
            Kind::DespawnRows => self.rows(Op::Despawn, self.no_component()?)?,
            Kind::AccumulateRows => self.rows(Op::Accumulate, self.value_bytes()?)?,
            Kind::AccumulateEntities => self.entities(Op::Accumulate, self.value_bytes()?)?,
            Kind::SetEntities => self.entities(Op::Set, self.value_bytes()?)?,
            Kind::AddEntities => self.entities(Op::Add, self.whole_bytes()?)?,
            Kind::RemoveEntities => self.entities(Op::Remove, self.whole_bytes().map(|_| 0)?)?,
            Kind::DespawnEntities => self.entities(Op::Despawn, self.no_component()?)?,
        })
    }

    /// The packed value of the resource that the header names.
    fn resource(&self) -> Result<&'a [u8], RecordError> {
        let resource = self.header.component;
        let bytes = self.sizes.resource(resource).ok_or(RecordError::Resource { at: self.at, resource })?;
        self.plain(resource, 0, padded(HEADER_BYTES + bytes))?;
        Ok(&self.payload[..bytes])
    }

    fn list(&self, kind: Kind) -> Result<Body<'a>, RecordError> {
        let Header { field, component, .. } = self.header;
        let element =
            self.sizes.element(component).ok_or(RecordError::Component { at: self.at, component, field: 0 })?;
        if field > LIST_BEGINS | LIST_ENDS | LIST_ADDS {
            return Err(self.bad_header());
        }
        let used = LIST_TARGET_BYTES + self.length(LIST_TARGET_BYTES, element)?;
        let target = match kind {
            Kind::ListRow => ListTarget::Row(self.word(0)),
            _ => ListTarget::Entity(Entity::from_bits(u64::from(self.word(0)) | u64::from(self.word(1)) << 32)),
        };
        let is = |bit| field & bit != 0;
        let (begins, ends, adds) = (is(LIST_BEGINS), is(LIST_ENDS), is(LIST_ADDS));
        let elements = &self.payload[LIST_TARGET_BYTES..used];
        Ok(Body::List(ListPiece { component, target, begins, ends, adds, elements }))
    }

    fn rows(&self, op: Op, value_bytes: usize) -> Result<Body<'a>, RecordError> {
        let Header { field, component, .. } = self.header;
        Ok(Body::Rows { op, component, field, entries: self.entries(value_bytes)? })
    }

    fn entities(&self, op: Op, value_bytes: usize) -> Result<Body<'a>, RecordError> {
        let Header { field, component, .. } = self.header;
        Ok(Body::Entities { op, component, field, entries: self.entries(value_bytes)? })
    }

    fn entries<const T: usize>(&self, value_bytes: usize) -> Result<Entries<'a, T>, RecordError> {
        let stride = T + value_bytes;
        let used = self.length(0, stride)?;
        Ok(Entries { bytes: &self.payload[..used], stride })
    }

    fn spawn(&self) -> Result<SpawnRun<'a>, RecordError> {
        let n = usize::from(self.header.component);
        if self.header.field != 0 || n > COMPONENTS_MAX {
            return Err(self.bad_header());
        }
        let ids_bytes = padded(2 * n);
        let Some((ids, values)) = self.payload.split_at_checked(ids_bytes) else {
            let expected = (HEADER_BYTES + ids_bytes) as u64;
            return Err(self.bad_length(expected));
        };
        let ids = &ids[..2 * n];
        let mut value_bytes = 0;
        for id in ids.as_chunks::<2>().0 {
            let component = u16::from_le_bytes(*id);
            let bytes = self.sizes.value(component, 0);
            value_bytes += bytes.ok_or(RecordError::Component { at: self.at, component, field: 0 })?;
        }
        let used = self.length(ids_bytes, value_bytes)?;
        Ok(SpawnRun { ids, count: self.header.count, value_bytes, values: &values[..used] })
    }

    fn changed(&self) -> Result<Body<'a>, RecordError> {
        let Header { component, count, .. } = self.header;
        self.whole_bytes()?;
        self.length(8, 8)?;
        let first = self.word(0);
        // the last row's number fits 32 bits
        match first.is_multiple_of(64) && u64::from(first) + 64 * u64::from(count) <= 1 << 32 {
            true => Ok(Body::Changed { component, first, words: self.payload[8..].as_chunks::<8>().0 }),
            false => {
                Err(RecordError::Rows { at: self.at, start: first, end: first.wrapping_add(count.wrapping_mul(64)) })
            }
        }
    }

    fn failure(&self) -> Result<Body<'a>, RecordError> {
        if self.header.field != 0 || self.header.component != 0 {
            return Err(self.bad_header());
        }
        let used = self.length(0, 1)?;
        match std::str::from_utf8(&self.payload[..used]) {
            Ok(message) => Ok(Body::Failure { message }),
            Err(_) => Err(RecordError::Message { at: self.at }),
        }
    }

    /// The little-endian word `index` of the payload, whose length was checked.
    fn word(&self, index: usize) -> u32 {
        let words = self.payload.as_chunks::<4>().0;
        words.get(index).map_or(0, |word| u32::from_le_bytes(*word))
    }

    /// Bytes of the value that component and field name.
    fn value_bytes(&self) -> Result<usize, RecordError> {
        let Header { field, component, .. } = self.header;
        self.sizes.value(component, field).ok_or(RecordError::Component { at: self.at, component, field })
    }

    /// Bytes of the component's packed value, for kinds that take no field.
    fn whole_bytes(&self) -> Result<usize, RecordError> {
        if self.header.field != 0 { Err(self.bad_header()) } else { self.value_bytes() }
    }

    /// Nothing, for kinds that take no component.
    fn no_component(&self) -> Result<usize, RecordError> {
        if self.header.field != 0 || self.header.component != 0 { Err(self.bad_header()) } else { Ok(0) }
    }

    /// Checks a record of fixed length without a count.
    fn plain(&self, component: u16, field: u8, expected: usize) -> Result<(), RecordError> {
        let header = self.header;
        if header.component != component || header.field != field || header.count != 0 {
            return Err(self.bad_header());
        }
        if header.bytes as usize != expected { Err(self.bad_length(expected as u64)) } else { Ok(()) }
    }

    /// Checks that `count` entries of `stride` bytes after `before` bytes fill the payload; their bytes.
    fn length(&self, before: usize, stride: usize) -> Result<usize, RecordError> {
        // No overflow: count < 2^32 and stride < 2^29 (4096 components of 64 KiB).
        let used = u64::from(self.header.count) * stride as u64;
        let expected = (HEADER_BYTES as u64 + before as u64 + used).next_multiple_of(RECORD_ALIGN as u64);
        if u64::from(self.header.bytes) != expected { Err(self.bad_length(expected)) } else { Ok(used as usize) }
    }

    fn bad_length(&self, expected: u64) -> RecordError {
        RecordError::Length { at: self.at, kind: self.header.kind, bytes: self.header.bytes, expected }
    }

    fn bad_header(&self) -> RecordError {
        let Header { kind, field, component, count, .. } = self.header;
        RecordError::Header { at: self.at, kind, field, component, count }
    }
}
