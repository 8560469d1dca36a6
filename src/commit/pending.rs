//! Structural changes of a batch, collected while its patches are read and carried out afterwards.
//!
//! A pending entity has a target set of components (a table) and a chain of values, in canonical order, that are
//! written once it stands in its new row. Rows stay where they are until every patch was read, so that patches may
//! name them.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ops::Range;

/// No pending entry; no further value.
pub(crate) const NONE: u32 = u32::MAX;

/// What happens to a component of a pending entity.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// It is given, with this packed value (a range of the values' bytes).
    Value(usize),
    /// One field of it is set.
    Field(u8, usize),
    /// A value is joined to one field of it, or to all (0), by the rules of this system.
    Joined(u8, usize, usize),
    /// It is taken.
    Removed,
}

/// One link of a pending entity's chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub component: u16,
    pub change: Change,
    pub next: u32,
}

/// An entity that changes tables, or a new one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// Its table; [`NONE`] for a new entity.
    pub table: u32,
    /// Its row, or which of the batch's new entities it is.
    pub row: u32,
    /// The table it goes to.
    pub target: u32,
    first: u32,
    last: u32,
}

/// All of a batch's structural changes. Kept between batches for its memory.
#[derive(Debug, Default)]
pub(crate) struct PendingSet {
    pub entries: Vec<Pending>,
    nodes: Vec<Node>,
    pub values: Vec<u8>,
    /// Per table: the pending entry of each row.
    of_row: HashMap<u32, Vec<u32>>,
    /// The pending entry of each new entity.
    pub of_spawn: Vec<u32>,
    /// Per table: the rows despawned, as bits.
    despawned: HashMap<u32, Vec<u64>>,
    /// Despawned new entities, as bits.
    despawned_spawns: Vec<u64>,
}

impl PendingSet {
    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        for entry in self.entries.drain(..) {
            if entry.table != NONE
                && let Some(rows) = self.of_row.get_mut(&entry.table)
            {
                rows[entry.row as usize] = NONE;
            }
        }
        self.nodes.clear();
        self.values.clear();
        self.of_spawn.clear();
        self.despawned.values_mut().for_each(Vec::clear);
        self.despawned_spawns.clear();
    }

    /// The pending entry of a row.
    #[inline]
    pub(crate) fn find(&self, table: u32, row: u32) -> Option<u32> {
        self.of_row.get(&table)?.get(row as usize).copied().filter(|entry| *entry != NONE)
    }

    /// Whether any row of a table is pending.
    pub(crate) fn concerns(&self, table: u32) -> bool {
        !self.entries.is_empty() && self.of_row.get(&table).is_some_and(|rows| !rows.is_empty())
    }

    /// The pending entry of a row, made where there is none.
    pub(crate) fn find_or_insert(&mut self, table: u32, row: u32, rows: u32) -> u32 {
        let of_row = self.of_row.entry(table).or_default();
        if of_row.len() < rows as usize {
            of_row.resize(rows as usize, NONE);
        }
        let slot = &mut of_row[row as usize];
        if *slot == NONE {
            *slot = self.entries.len() as u32;
            self.entries.push(Pending { table, row, target: table, first: NONE, last: NONE });
        }
        *slot
    }

    /// A pending entry for a new entity.
    pub(crate) fn insert_spawn(&mut self, target: u32) -> u32 {
        let entry = self.entries.len() as u32;
        let row = self.of_spawn.len() as u32;
        self.entries.push(Pending { table: NONE, row, target, first: NONE, last: NONE });
        self.of_spawn.push(entry);
        entry
    }

    /// Keeps a packed value; returns where.
    pub(crate) fn keep(&mut self, value: &[u8]) -> usize {
        let at = self.values.len();
        self.values.extend_from_slice(value);
        at
    }

    /// Appends a change to an entry's chain.
    pub(crate) fn push(&mut self, entry: u32, component: u16, change: Change) {
        let node = self.nodes.len() as u32;
        self.nodes.push(Node { component, change, next: NONE });
        let pending = &mut self.entries[entry as usize];
        if pending.last == NONE {
            pending.first = node;
        } else {
            self.nodes[pending.last as usize].next = node;
        }
        pending.last = node;
    }

    /// The changes of an entry in order.
    pub(crate) fn chain(&self, entry: u32) -> impl Iterator<Item = Node> + '_ {
        let mut next = self.entries[entry as usize].first;
        std::iter::from_fn(move || {
            let node = *self.nodes.get(next as usize)?;
            next = node.next;
            Some(node)
        })
    }

    /// The last change of a component of an entry that decides its presence.
    pub(crate) fn presence(&self, entry: u32, component: u16) -> Option<bool> {
        self.chain(entry)
            .filter(|node| node.component == component)
            .filter_map(|node| match node.change {
                Change::Value(_) => Some(true),
                Change::Removed => Some(false),
                Change::Field(..) | Change::Joined(..) => None,
            })
            .last()
    }

    /// Marks a row as despawned; false when it was already.
    pub(crate) fn despawn(&mut self, table: u32, row: u32, rows: u32) -> bool {
        let words = self.despawned.entry(table).or_default();
        if words.len() < (rows as usize).div_ceil(64) {
            words.resize((rows as usize).div_ceil(64), 0);
        }
        mark(words, row)
    }

    /// Whether a row was despawned.
    pub(crate) fn is_despawned(&self, table: u32, row: u32) -> bool {
        self.despawned.get(&table).is_some_and(|words| is_marked(words, row))
    }

    /// Marks a new entity as despawned; false when it was already.
    pub(crate) fn despawn_spawn(&mut self, spawn: u32) -> bool {
        let words = (spawn as usize + 1).div_ceil(64);
        if self.despawned_spawns.len() < words {
            self.despawned_spawns.resize(words, 0);
        }
        mark(&mut self.despawned_spawns, spawn)
    }

    /// Whether a new entity was despawned.
    pub(crate) fn is_spawn_despawned(&self, spawn: u32) -> bool {
        is_marked(&self.despawned_spawns, spawn)
    }

    /// The despawned rows of a table, highest first.
    pub(crate) fn despawned_rows(&self, table: u32, out: &mut Vec<u32>) {
        out.clear();
        if let Some(words) = self.despawned.get(&table) {
            for (index, word) in words.iter().enumerate().rev() {
                let mut word = *word;
                while word != 0 {
                    let bit = 63 - word.leading_zeros();
                    out.push(index as u32 * 64 + bit);
                    word &= !(1 << bit);
                }
            }
        }
    }

    /// The tables with despawned rows.
    pub(crate) fn despawned_tables(&self, out: &mut Vec<u32>) {
        out.clear();
        out.extend(self.despawned.iter().filter(|(_, words)| words.iter().any(|w| *w != 0)).map(|(table, _)| *table));
        out.sort_unstable();
    }

    /// The bytes of a kept value.
    pub(crate) fn value(&self, range: Range<usize>) -> &[u8] {
        &self.values[range]
    }
}

fn mark(words: &mut [u64], bit: u32) -> bool {
    let word = &mut words[bit as usize / 64];
    let fresh = *word >> (bit % 64) & 1 == 0;
    *word |= 1 << (bit % 64);
    fresh
}

fn is_marked(words: &[u64], bit: u32) -> bool {
    words.get(bit as usize / 64).is_some_and(|word| word >> (bit % 64) & 1 != 0)
}
