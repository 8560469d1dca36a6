//! A private copy of a world that follows a region and knows what changed when.
//!
//! Invariants: after a look the state holds exactly what the snapshot held of the selection; an item whose bytes differ
//! between two looks has a look number above the first one's. Row counts, shapes and components of tables have numbers of
//! their own. A chunk whose stamp is not newer than the last look is not read; columns of bits are always compared.

use std::collections::{BTreeMap, VecDeque};

use hypostyle::Snapshot;
use hypostyle::columns::RawColumn;

use super::select::Selection;
use super::state::{Role, Source, State, StateColumn, StateTable, sources};
use super::track::{CHUNK, Changed, Track, take_over};

/// How many looks can be found again by their generation.
const LOOKS_KEPT: usize = 1 << 14;

/// The state of a shadow after one update. Revisions of one shadow count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision {
    pub(super) number: u32,
    pub(super) generation: u64,
}

impl Revision {
    /// The generation that it holds.
    #[must_use]
    pub fn generation(self) -> u64 {
        self.generation
    }
}

/// Result of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpdateReport {
    /// The state after it.
    pub revision: Revision,
    /// Bytes that were compared or copied.
    pub bytes_read: u64,
    /// Chunks of columns in which something changed.
    pub chunks_changed: u64,
}

/// What is known of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct TableTrack {
    /// The look at which it appeared.
    pub created: u32,
    /// The look at which rows, components or columns last changed.
    pub head: u32,
    /// The look at which each component appeared.
    pub components: BTreeMap<u16, u32>,
    pub columns: Vec<Track>,
}

/// A private copy of what a selection names of a world, with the looks at which each item last changed.
pub struct Shadow {
    pub(super) follows: Selection,
    pub(super) state: State,
    pub(super) tracks: BTreeMap<u32, TableTrack>,
    /// Tables that vanished, and when.
    pub(super) dropped: BTreeMap<u32, u32>,
    number: u32,
    looks: VecDeque<Revision>,
}

impl Shadow {
    /// A shadow that has seen nothing. It can give deltas of whatever `follows` holds.
    #[must_use]
    pub fn new(follows: Selection) -> Self {
        Shadow {
            follows,
            state: State::new(),
            tracks: BTreeMap::new(),
            dropped: BTreeMap::new(),
            number: 0,
            looks: VecDeque::new(),
        }
    }

    /// What it follows, as it was at the last look.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last look.
    #[must_use]
    pub fn newest(&self) -> Option<Revision> {
        self.looks.back().copied()
    }

    /// The revision at a generation; `None` where there was none, or too long ago.
    #[must_use]
    pub fn revision_at(&self, generation: u64) -> Option<Revision> {
        let index = self.looks.binary_search_by_key(&generation, |look| look.generation).ok()?;
        self.looks.get(index).copied()
    }

    /// Takes over what changed since the last look. Snapshots must be of one region (and, after a writer's death, of
    /// its next writer); another one takes another shadow. The same generation, or an older one, changes nothing.
    pub fn update(&mut self, snapshot: &Snapshot<'_>) -> UpdateReport {
        let (seen, generation) = (self.state.generation, snapshot.generation());
        if let Some(revision) = self.newest().filter(|_| generation <= seen) {
            return UpdateReport { revision, bytes_read: 0, chunks_changed: 0 };
        }
        if self.number == u32::MAX {
            // numbers have run out: what went before is forgotten
            *self = Shadow::new(std::mem::replace(&mut self.follows, Selection::view()));
        }
        let seen = self.state.generation;
        self.number += 1;
        let revision = Revision { number: self.number, generation };
        let mut report = UpdateReport { revision, bytes_read: 0, chunks_changed: 0 };
        let entries: Vec<Source<'_>> =
            sources(snapshot).filter(|entry| self.follows.has_table(entry.id, entry.components)).collect();
        let followed = |id: u32| entries.binary_search_by_key(&id, |entry| entry.id).is_ok();
        let gone: Vec<u32> = self.state.tables.keys().copied().filter(|id| !followed(*id)).collect();
        for id in gone {
            self.state.tables.remove(&id);
            self.tracks.remove(&id);
            self.dropped.insert(id, revision.number);
        }
        for entry in &entries {
            let table = self.state.tables.entry(entry.id).or_default();
            let track = self.tracks.entry(entry.id).or_insert_with(|| TableTrack {
                created: revision.number,
                head: revision.number,
                ..TableTrack::default()
            });
            self.dropped.remove(&entry.id);
            let columns = reshape(table, track, entry, &self.follows, revision.number);
            for ((column, track), source) in table.columns.iter_mut().zip(&mut track.columns).zip(columns) {
                take_column(column, track, &source, (entry.rows, seen), &mut report);
            }
        }
        self.state.generation = generation;
        self.state.frame = snapshot.frame();
        self.state.time = snapshot.time();
        if self.looks.len() == LOOKS_KEPT {
            self.looks.pop_front();
        }
        self.looks.push_back(revision);
        report
    }
}

/// Brings a table's head and list of columns up to date; the snapshot's columns that it follows, in order.
fn reshape<'s>(
    table: &mut StateTable,
    track: &mut TableTrack,
    entry: &Source<'s>,
    follows: &Selection,
    look: u32,
) -> Vec<RawColumn<'s>> {
    let columns: Vec<&(Role, RawColumn<'s>)> =
        entry.columns.iter().filter(|(role, _)| follows.has_column(*role)).collect();
    let components = follows.components_of(entry.components);
    let same_columns = table.columns.len() == columns.len()
        && table.columns.iter().zip(&columns).all(|(known, (role, _))| known.role == *role);
    if !same_columns {
        let mut old: Vec<_> = table.columns.drain(..).zip(track.columns.drain(..)).collect();
        for (role, raw) in &columns {
            let (known, known_track) = match old.iter().position(|(known, _)| known.role == *role) {
                Some(index) => old.swap_remove(index),
                None => (StateColumn::new(*role, raw.row_bytes().unwrap_or(0)), Track::default()),
            };
            table.columns.push(known);
            track.columns.push(known_track);
        }
    }
    if table.components != components {
        let previous = std::mem::take(&mut track.components);
        track.components = components.iter().map(|id| (*id, previous.get(id).copied().unwrap_or(look))).collect();
    }
    if !same_columns || table.rows != entry.rows || table.components != components {
        track.head = look;
    }
    (table.rows, table.components) = (entry.rows, components);
    columns.into_iter().map(|(_, raw)| *raw).collect()
}

/// Takes over what of a column of so many rows may have changed since a generation that was seen.
fn take_column(
    column: &mut StateColumn,
    track: &mut Track,
    new: &RawColumn<'_>,
    (rows, seen): (u32, u64),
    report: &mut UpdateReport,
) {
    let look = report.revision.number;
    let unit = column.unit();
    let before = column.bytes.len() / unit;
    let items = column.items(rows);
    let newer = new.changed_since(seen);
    column.bytes.resize(items * unit, 0);
    track.resize(items, look);
    let bits = column.item_bytes == 0;
    let chunks = column.bytes.chunks_mut(CHUNK * unit).zip(new.bytes().chunks(CHUNK * unit));
    for (chunk, (old, new_rows)) in chunks.enumerate() {
        let is_grown = (chunk + 1) * CHUNK > before && before < items;
        if !(bits || is_grown || newer.contains(chunk)) {
            continue;
        }
        report.bytes_read += old.len() as u64;
        let changed = take_over(old, new_rows, unit);
        if !matches!(changed, Changed::None) {
            report.chunks_changed += 1;
            track.note(chunk, &changed, look);
        }
    }
}
