//! The bytes of patches: what a kernel's changes look like in a job's buffer and in a ring.
//!
//! A record starts at a multiple of 8 and is a multiple of 8 bytes long; integers are little-endian.
//!
//! ```text
//! byte  0        4     5      6          8        12         16
//!       | bytes  |kind | field| component| count  | sequence | payload ... zeros up to a multiple of 8 |
//! ```
//!
//! | field       | type | meaning                                                                            |
//! |-------------|------|------------------------------------------------------------------------------------|
//! | `bytes`     | u32  | the whole record with header and closing zeros, a multiple of 8                    |
//! | `kind`      | u8   | [`Kind`]                                                                           |
//! | `field`     | u8   | 0: the whole component; else a field's index + 1                                   |
//! | `component` | u16  | component id; of a spawn: how many components; of a resource: its id               |
//! | `count`     | u32  | entries of a run, entities of a spawn, bytes of a message; else 0                  |
//! | `sequence`  | u32  | place in the job, counted from 0 at its `JobBegin`, modulo 2^32; 0 in a pad        |
//!
//! | kind                       | payload                                                                    |
//! |----------------------------|----------------------------------------------------------------------------|
//! | 1 `Pad`                    | none; ignored. The one kind that may be 8 bytes long (half a header)       |
//! | 2 `JobBegin`               | job u32, attempt u32                                                       |
//! | 3 `JobEnd`                 | job u32, attempt u32, records before this one u32, spawned u32, ok u32, 0 u32 |
//! | 4 `Failure`                | message, UTF-8                                                             |
//! | 5 `Range`                  | first row u32, end row u32: a dense write of the job's own rows            |
//! | 6 `Spawn`                  | component ids u16 × n, zeros to 8, then per entity its packed values       |
//! | 7 `SetResource`            | packed value                                                               |
//! | 9 `Reduce`                 | packed value: the result of the job's rows, of a resource                  |
//! | 16..20 rows: set, add, remove, despawn     | entries, each: row of the job's table u32, packed value    |
//! | 20 `AccumulateRows`                        | as a set of rows: what is joined to the value that is there |
//! | 24..28 entities: set, add, remove, despawn | entries, each: handle u64, packed value                    |
//! | 28 `AccumulateEntities`                    | as a set of entities: what is joined to the value there    |
//! | 32 `ListRow`, 33 `ListEntity`              | row u32 and 0 u32, or handle u64; then `count` packed elements |
//!
//! A list that is longer than a record goes in pieces, one record after the other: of a piece that begins a list bit 0 of
//! `field` is set, of one that ends it bit 1. Bit 2 is that of lists that are added where their target has none.
//!
//! How the values of an accumulation are joined is no part of the record: the system declares it.
//!
//! Invariants: codes never change their meaning; 0 is no kind, so zeroed memory is no record. The writer
//! (`writer.rs`) and the reader (`records.rs`) meet here and nowhere else.
//! This file never sees a table, an entity map or shared memory.
#![forbid(unsafe_code)]

use crate::layout::{ComponentLayout, Layout, SPAN_BYTES};

/// Records start and end at multiples of this.
pub(crate) const RECORD_ALIGN: usize = 8;
/// Bytes of a record's header.
pub(crate) const HEADER_BYTES: usize = 16;
/// Bytes of an entry's row.
pub(crate) const ROW_BYTES: usize = 4;
/// Bytes of an entry's handle.
pub(crate) const HANDLE_BYTES: usize = 8;

/// Bytes of the record of this kind.
pub(crate) const JOB_BEGIN_BYTES: usize = HEADER_BYTES + 8;
/// Bytes of the record of this kind.
pub(crate) const JOB_END_BYTES: usize = HEADER_BYTES + 24;
/// Bytes of the record of this kind.
pub(crate) const RANGE_BYTES: usize = HEADER_BYTES + 16;

/// What a record is. The codes are part of the format; 0 is none, so that zeroed memory is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    Pad = 1,
    JobBegin = 2,
    JobEnd = 3,
    Failure = 4,
    Range = 5,
    Spawn = 6,
    SetResource = 7,
    Changed = 8,
    Reduce = 9,
    SetRows = 16,
    AddRows = 17,
    RemoveRows = 18,
    DespawnRows = 19,
    AccumulateRows = 20,
    SetEntities = 24,
    AddEntities = 25,
    RemoveEntities = 26,
    DespawnEntities = 27,
    AccumulateEntities = 28,
    ListRow = 32,
    ListEntity = 33,
}

/// In the header's `field` of a piece of a list: it is the first one.
pub(crate) const LIST_BEGINS: u8 = 1;
/// The same: it is the last one.
pub(crate) const LIST_ENDS: u8 = 2;
/// The same: where the target lacks the component, it is added.
pub(crate) const LIST_ADDS: u8 = 4;
/// Bytes before the elements of a piece.
pub(crate) const LIST_TARGET_BYTES: usize = 8;

impl Kind {
    #[cfg(test)]
    /// All kinds.
    pub(crate) const ALL: [Kind; 21] = [
        Kind::Pad,
        Kind::JobBegin,
        Kind::JobEnd,
        Kind::Failure,
        Kind::Range,
        Kind::Spawn,
        Kind::SetResource,
        Kind::Changed,
        Kind::Reduce,
        Kind::SetRows,
        Kind::AddRows,
        Kind::RemoveRows,
        Kind::DespawnRows,
        Kind::AccumulateRows,
        Kind::SetEntities,
        Kind::AddEntities,
        Kind::RemoveEntities,
        Kind::DespawnEntities,
        Kind::AccumulateEntities,
        Kind::ListRow,
        Kind::ListEntity,
    ];

    /// The kind with this code, if there is one.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Kind::Pad,
            2 => Kind::JobBegin,
            3 => Kind::JobEnd,
            4 => Kind::Failure,
            5 => Kind::Range,
            6 => Kind::Spawn,
            7 => Kind::SetResource,
            8 => Kind::Changed,
            9 => Kind::Reduce,
            16 => Kind::SetRows,
            17 => Kind::AddRows,
            18 => Kind::RemoveRows,
            19 => Kind::DespawnRows,
            20 => Kind::AccumulateRows,
            24 => Kind::SetEntities,
            25 => Kind::AddEntities,
            26 => Kind::RemoveEntities,
            27 => Kind::DespawnEntities,
            28 => Kind::AccumulateEntities,
            32 => Kind::ListRow,
            33 => Kind::ListEntity,
            _ => return None,
        })
    }
}

/// What a run does to each of its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// Sets a component or a field that is present.
    Set,
    /// Gives a component, or sets it where present.
    Add,
    /// Takes a component away.
    Remove,
    /// Ends the entity.
    Despawn,
    /// Joins a value to the one of a component or a field that is present.
    Accumulate,
}

impl Op {
    /// The kind of a run of this over rows.
    #[inline]
    pub(crate) const fn rows(self) -> Kind {
        match self {
            Op::Set => Kind::SetRows,
            Op::Add => Kind::AddRows,
            Op::Remove => Kind::RemoveRows,
            Op::Despawn => Kind::DespawnRows,
            Op::Accumulate => Kind::AccumulateRows,
        }
    }

    /// The kind of a run of this over handles.
    #[inline]
    pub(crate) const fn entities(self) -> Kind {
        match self {
            Op::Set => Kind::SetEntities,
            Op::Add => Kind::AddEntities,
            Op::Remove => Kind::RemoveEntities,
            Op::Despawn => Kind::DespawnEntities,
            Op::Accumulate => Kind::AccumulateEntities,
        }
    }
}

/// `bytes`, rounded up to the record alignment.
#[inline]
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(RECORD_ALIGN)
}

/// The first 16 bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub bytes: u32,
    pub kind: u8,
    pub field: u8,
    pub component: u16,
    pub count: u32,
    pub sequence: u32,
}

impl Header {
    /// The header as bytes.
    #[inline]
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..4].copy_from_slice(&self.bytes.to_le_bytes());
        out[4] = self.kind;
        out[5] = self.field;
        out[6..8].copy_from_slice(&self.component.to_le_bytes());
        out[8..12].copy_from_slice(&self.count.to_le_bytes());
        out[12..16].copy_from_slice(&self.sequence.to_le_bytes());
        out
    }

    /// The header from bytes; nothing is checked.
    #[inline]
    pub(crate) fn decode(b: &[u8; HEADER_BYTES]) -> Self {
        Header {
            bytes: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            kind: b[4],
            field: b[5],
            component: u16::from_le_bytes([b[6], b[7]]),
            count: u32::from_le_bytes([b[8], b[9], b[10], b[11]]),
            sequence: u32::from_le_bytes([b[12], b[13], b[14], b[15]]),
        }
    }
}

/// Bytes of every packed value a record can carry: per component and field, per resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordSizes {
    /// Per component: where its sizes start in `sizes`; one more at the end.
    starts: Vec<u32>,
    /// Per component: the packed value, then each field.
    sizes: Vec<u32>,
    resources: Vec<u32>,
    /// Per component: bytes of a list's element; 0: it is no list.
    elements: Vec<u32>,
}

impl RecordSizes {
    /// The sizes that a layout declares.
    pub(crate) fn new(layout: &Layout) -> Self {
        let components = layout.components().iter().map(|c| {
            let (list, span) = (c.storage.is_list(), [SPAN_BYTES / 2; 2]);
            let fields = c.fields.iter().filter(move |_| !list).map(|f| f.ty.bytes());
            span.into_iter().filter(move |_| list).chain(fields)
        });
        let sizes = Self::from_parts(components, layout.resources().iter().map(|r| r.packed_bytes()));
        let element = |c: &ComponentLayout| if c.storage.is_list() { c.packed_bytes() as u32 } else { 0 };
        RecordSizes { elements: layout.components().iter().map(element).collect(), ..sizes }
    }

    /// Sizes from the field sizes of each component and the packed size of each resource.
    pub(crate) fn from_parts<F: IntoIterator<Item = usize>>(
        components: impl IntoIterator<Item = F>,
        resources: impl IntoIterator<Item = usize>,
    ) -> Self {
        let mut out = RecordSizes { starts: vec![0], ..Self::default() };
        for fields in components {
            let packed = out.sizes.len();
            out.sizes.push(0);
            for bytes in fields {
                out.sizes.push(bytes as u32);
                out.sizes[packed] += bytes as u32;
            }
            out.starts.push(out.sizes.len() as u32);
        }
        out.resources = resources.into_iter().map(|bytes| bytes as u32).collect();
        out
    }

    #[cfg(any(test, feature = "fuzzing"))]
    /// The same, where components are lists with elements of so many bytes (0: no list).
    pub(crate) fn with_elements(self, elements: Vec<u32>) -> Self {
        RecordSizes { elements, ..self }
    }

    /// Bytes of a component's packed value (`field` 0) or of its field `field - 1`; `None`: there is no such thing.
    #[inline]
    pub(crate) fn value(&self, component: u16, field: u8) -> Option<usize> {
        let start = *self.starts.get(usize::from(component))? as usize;
        let end = *self.starts.get(usize::from(component) + 1)? as usize;
        self.sizes.get(start..end)?.get(usize::from(field)).map(|bytes| *bytes as usize)
    }

    /// Bytes of an element of a component that is a list; `None`: it is none.
    #[inline]
    pub(crate) fn element(&self, component: u16) -> Option<usize> {
        let bytes = *self.elements.get(usize::from(component))?;
        (bytes > 0).then_some(bytes as usize)
    }

    /// Bytes of a resource's packed value; `None`: there is no such resource.
    #[inline]
    pub(crate) fn resource(&self, resource: u16) -> Option<usize> {
        self.resources.get(usize::from(resource)).map(|bytes| *bytes as usize)
    }
}
