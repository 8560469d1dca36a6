//! One column of one table: what it holds and which extents hold it.
//!
//! A column has a *live* extent (its content now) and, once it was written in two generations, a *spare* one: the
//! other half of the double buffer. `stale` says in which rows the spare differs from the live extent; it is all that
//! a catch-up has to copy. A live extent that no generation names is *building*: it may be written in place.
#![forbid(unsafe_code)]

use crate::layout::plan;
use crate::region::Extent;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ColumnKind {
    /// The handle of each row's entity (u64).
    Handle,
    /// A component's field.
    Field {
        /// Component id.
        component: u16,
        /// Field index.
        field: u8,
    },
    /// Where the elements of each row's list are in the pool of the component (u32).
    Span {
        /// Component id.
        component: u16,
        /// 0: the place of the first one, 1: how many there are.
        part: u8,
    },
    /// One presence bit per row of a toggle component.
    Presence {
        /// Component id.
        component: u16,
    },
    /// One bit per row written in frames of this parity, of a tracked component.
    Changed {
        /// Component id.
        component: u16,
        /// 0: even frames, 1: odd frames.
        parity: u8,
    },
    /// The entity map's table and row of each slot (u64).
    Location,
    /// The entity map's generation of each slot (u32).
    Generation,
    /// The resources' bytes (u8).
    Resources,
}

impl ColumnKind {
    /// Whether nearly every change writes it.
    pub(crate) fn is_always_expected(self) -> bool {
        matches!(self, ColumnKind::Location | ColumnKind::Generation | ColumnKind::Resources)
    }
}

/// Bits of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// So many bytes.
    Bytes(u32),
    /// A single bit, in words of 64.
    Bit,
}

impl Item {
    /// Bytes of a row; 0 of bits.
    #[inline]
    pub(crate) fn row_bytes(self) -> u32 {
        match self {
            Item::Bytes(bytes) => bytes,
            Item::Bit => 0,
        }
    }

    /// Offset of the stamps and size of an extent of `capacity` rows.
    pub(crate) fn extent_bytes(self, capacity: u32) -> (u64, u64) {
        let planned = match self {
            Item::Bytes(bytes) => plan::column_extent_bytes(u64::from(bytes), u64::from(capacity)),
            Item::Bit => plan::bit_column_extent_bytes(u64::from(capacity)),
        };
        planned.expect("2^32 rows of 2^16 bytes and their stamps fit 64 bits")
    }

    /// Offset of the stamps in an extent of `capacity` rows.
    #[inline]
    pub(crate) fn stamps_offset(self, capacity: u32) -> u64 {
        let row_bytes = match self {
            Item::Bytes(bytes) => u64::from(bytes) * u64::from(capacity),
            Item::Bit => u64::from(capacity).div_ceil(64) * 8,
        };
        // no overflow: 2^32 rows of 2^16 bytes
        (row_bytes + 63) & !63
    }
}

/// In which rows a spare extent differs from the live one. The list of runs keeps its memory: it is emptied and filled
/// again in every generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stale {
    /// In any row; then there are no runs.
    all: bool,
    /// In these runs (start, rows), in the order they were written; they may overlap.
    runs: Vec<(u32, u32)>,
    /// Rows of all runs.
    total: u64,
}

impl Stale {
    /// In any row.
    pub(crate) const fn all() -> Self {
        Stale { all: true, runs: Vec::new(), total: 0 }
    }

    /// From now on in any row.
    pub(crate) fn set_all(&mut self) {
        self.all = true;
        self.runs.clear();
        self.total = 0;
    }

    /// From now on in no row.
    pub(crate) fn clear(&mut self) {
        self.all = false;
        self.runs.clear();
        self.total = 0;
    }

    /// The runs; none: in any row.
    pub(crate) fn runs(&self) -> Option<&[(u32, u32)]> {
        (!self.all).then_some(&self.runs[..])
    }

    /// Adds `len` rows from `start` of a column of `rows` rows; past a sixteenth of scattered rows a whole copy is
    /// cheaper than a replay.
    #[inline]
    pub(crate) fn add(&mut self, start: u32, len: u32, rows: u32) {
        if self.all {
            return;
        }
        if let Some((last_start, last_len)) = self.runs.last_mut() {
            let end = u64::from(*last_start) + u64::from(*last_len);
            if start >= *last_start && u64::from(start) + u64::from(len) <= end {
                return;
            }
            if u64::from(start) == end {
                *last_len += len;
                self.total += u64::from(len);
                if self.total > u64::from(rows) {
                    self.set_all();
                }
                return;
            }
        }
        let runs_max = (u64::from(rows) / 16 + 64) as usize;
        if self.runs.len() == self.runs.capacity() {
            // in few steps, so that a list which is a little longer in one generation than in another does not grow late
            let wanted = (4 * self.runs.len()).max(256).min(runs_max + 1);
            self.runs.reserve_exact(wanted.saturating_sub(self.runs.len()).max(1));
        }
        self.runs.push((start, len));
        self.total += u64::from(len);
        let scattered = self.runs.len() > runs_max;
        if scattered || self.total > u64::from(rows) {
            self.set_all();
        }
    }
}

/// The other extent of a column.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    /// The bytes.
    pub extent: Extent,
    /// The generations that name it, first and last; (0, 0): none does.
    pub named: (u64, u64),
}

/// A column's content and its extents.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// What it holds.
    pub kind: ColumnKind,
    /// Size of a row.
    pub item: Item,
    /// The content now.
    pub live: Extent,
    /// Whether no generation names `live`.
    pub building: bool,
    /// The first generation that names `live`, where not building.
    pub named_since: u64,
    /// The other half of the double buffer.
    pub spare: Option<Spare>,
    /// Where `spare` differs from `live`.
    pub stale: Stale,
    /// The generation in which the column was taken over from another table; 0: never.
    pub moved: u64,
    /// Whether it is expected to be written: then there is room for another extent after every publication.
    pub expected: bool,
}

impl Column {
    /// A new column on a fresh extent.
    pub(crate) fn new(kind: ColumnKind, item: Item, live: Extent) -> Self {
        let expected = kind.is_always_expected();
        Column {
            kind,
            item,
            live,
            building: true,
            named_since: 0,
            spare: None,
            stale: Stale::all(),
            moved: 0,
            expected,
        }
    }
}
