//! A private copy of a world that follows a region and knows what changed when.
//!
//! Invariants: after a look the state holds exactly what the snapshot held of the selection; an item whose bytes differ
//! between two looks has a look number above the first one's. Row counts, shapes and components of tables have numbers of
//! their own. A chunk whose stamp is not newer than the last look is not read; columns of bits are always compared.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use hypostyle::columns::RawColumn;
use hypostyle::layout::{Layout, ScalarType};
use hypostyle::{Entity, GlobalIds, Snapshot};

use super::select::Selection;
use super::state::{Role, Source, State, StateColumn, StateTable, sources, sources_of_parts};
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
    /// The generation of each part of the world at the last look.
    seen: Vec<u64>,
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
            seen: Vec::new(),
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
        self.look((std::slice::from_ref(snapshot), false))
    }

    /// As [`Shadow::update`], of all parts of a world, by rank, that are pinned at one frame
    /// ([`ClusterReader`](hypostyle::ClusterReader)). Its generation is that of the part that has the least. Entities are known by
    /// their global ids, in fields too: what names nobody is null. Where there are more parts, or less, than before, all that
    /// was seen is forgotten.
    pub fn update_parts(&mut self, parts: &[Snapshot<'_>]) -> UpdateReport {
        self.look((parts, true))
    }

    fn look(&mut self, (parts, by_id): (&[Snapshot<'_>], bool)) -> UpdateReport {
        let generation = parts.iter().map(Snapshot::generation).min().unwrap_or(0);
        let others = !self.seen.is_empty() && self.seen.len() != parts.len();
        if let Some(revision) = self.newest().filter(|_| generation <= self.state.generation && !others) {
            return UpdateReport { revision, bytes_read: 0, chunks_changed: 0 };
        }
        if self.number == u32::MAX || others {
            // numbers have run out: what went before is forgotten
            *self = Shadow::new(std::mem::replace(&mut self.follows, Selection::view()));
        }
        let seen = std::mem::replace(&mut self.seen, parts.iter().map(Snapshot::generation).collect());
        self.number += 1;
        let revision = Revision { number: self.number, generation };
        let mut report = UpdateReport { revision, bytes_read: 0, chunks_changed: 0 };
        let links = Links::of(parts, by_id);
        let entries = if by_id { sources_of_parts(parts) } else { parts.iter().flat_map(sources).collect() };
        let entries: Vec<Source<'_>> =
            entries.into_iter().filter(|entry| self.follows.has_table(entry.id, entry.components)).collect();
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
            let seen = seen.get(entry.part).copied().unwrap_or(0);
            for ((column, track), source) in table.columns.iter_mut().zip(&mut track.columns).zip(columns) {
                let links = links.in_column(entry.part, column.role);
                take_column(column, track, (&source, links), (entry.rows, seen), &mut report);
            }
        }
        self.state.generation = generation;
        self.state.frame = parts.first().map_or(0, Snapshot::frame);
        self.state.time = parts.first().map_or(0.0, Snapshot::time);
        if self.looks.len() == LOOKS_KEPT {
            self.looks.pop_front();
        }
        self.looks.push_back(revision);
        report
    }
}

/// Whom fields of handles name, in a world of many parts: handles are those of a part alone.
struct Links<'s> {
    layout: Option<&'s Layout>,
    parts: Vec<Option<GlobalIds<'s>>>,
}

impl<'s> Links<'s> {
    fn of(parts: &'s [Snapshot<'_>], by_id: bool) -> Self {
        let layout = parts.first().filter(|_| by_id).map(Snapshot::layout);
        let entity = |layout: &&Layout| {
            let mut fields = layout.components().iter().flat_map(|component| &component.fields);
            fields.any(|field| field.ty.scalar == ScalarType::Entity)
        };
        match layout.filter(entity) {
            None => Links { layout: None, parts: Vec::new() },
            layout => Links { layout, parts: parts.iter().map(Snapshot::global_ids).collect() },
        }
    }

    /// Whom the handles in a column name; `None` where it has none.
    fn in_column(&self, part: usize, role: Role) -> Option<&GlobalIds<'s>> {
        let component = self.layout?.components().get(usize::from(role.component))?;
        let field = component.fields.get(usize::from(role.field))?;
        let is_link = role.code == Role::FIELD && field.ty.scalar == ScalarType::Entity;
        self.parts.get(part).filter(|_| is_link)?.as_ref()
    }
}

/// Handles as the ids that they name, or null.
fn named(handles: &[u8], ids: &GlobalIds<'_>) -> Vec<u8> {
    let id = |bits: &[u8; 8]| ids.of(Entity::from_bits(u64::from_le_bytes(*bits))).unwrap_or(Entity::NULL.to_bits());
    handles.as_chunks::<8>().0.iter().flat_map(|bits| id(bits).to_le_bytes()).collect()
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
    (new, links): (&RawColumn<'_>, Option<&GlobalIds<'_>>),
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
        let new_rows = links.map_or(Cow::Borrowed(new_rows), |links| Cow::Owned(named(new_rows, links)));
        let changed = take_over(old, &new_rows, unit);
        if !matches!(changed, Changed::None) {
            report.chunks_changed += 1;
            track.note(chunk, &changed, look);
        }
    }
}
