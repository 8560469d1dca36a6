//! A delta as bytes: from what a shadow knows, for a selection, since a look.
//!
//! Invariants: the delta's cost follows what changed (and, per column, one number for each chunk and one bit for each
//! item). No part is longer than it may be. Blocks of a part can be read without any other part, after the parts before.

use hypostyle::layout::ScalarType;

use super::area::AreaMasks;
use super::block::{BLOCK_BYTES, Block, CONSTANT, DROP, RAW, TABLE, VALUES};
use super::head::{FLAG_FULL, FLAG_LAST, HEAD_BYTES, Head};
use super::quantise;
use super::rows::{Part, Rows, SAME};
use super::select::Selection;
use super::shadow::{Revision, Shadow, TableTrack};
use super::state::{FIRST_DATA, Role, StateColumn, StateTable};
use super::track::Track;

/// The shortest bound on a message: a block of 64 items of the largest type fits.
pub(crate) const MESSAGE_BYTES_MIN: usize = 1 << 20;

/// What changed between two looks, as messages.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The generation that it leads on from; 0: none, it is full.
    pub from: u64,
    /// The generation that it leads to.
    pub to: u64,
    /// The frame after which that was published.
    pub frame: u64,
    /// Simulated time after that frame.
    pub time: f64,
    /// Items of columns that it carries.
    pub items: u64,
    parts: Vec<PartBytes>,
}

#[derive(Clone, Debug)]
struct PartBytes {
    /// Room for the head, then blocks.
    bytes: Vec<u8>,
    blocks: u32,
}

impl Delta {
    /// Its messages, with heads as in `docs/protocol.md`.
    #[must_use]
    pub fn into_messages(self, subscription: u32) -> Vec<Vec<u8>> {
        let count = self.parts.len();
        let (from, to, frame, time) = (self.from, self.to, self.frame, self.time);
        let finish = |(index, part): (usize, PartBytes)| {
            let mut bytes = part.bytes;
            let last = if index + 1 == count { FLAG_LAST } else { 0 };
            let head = Head {
                flags: last | if from == 0 { FLAG_FULL } else { 0 },
                bytes: bytes.len() as u32,
                subscription,
                part: index as u16,
                parts: u16::try_from(count).unwrap_or(0),
                from,
                to,
                frame,
                time,
                blocks: part.blocks,
                input: 0,
                body_bytes: (bytes.len() - HEAD_BYTES) as u32,
            };
            bytes[..HEAD_BYTES].copy_from_slice(&head.encode());
            bytes
        };
        self.parts.into_iter().enumerate().map(finish).collect()
    }
}

impl Shadow {
    /// What of a selection changed since a look (`None`: all of it). No message becomes longer than
    /// `message_bytes_max`, or 1 MiB where that is less.
    ///
    /// Where the selection has a box, `masks` are those of now ([`Area::masks`](super::Area::masks) of
    /// [`Shadow::state`]) and, where they are still known, those of that look.
    #[must_use]
    pub fn delta(
        &self,
        since: Option<Revision>,
        selection: &Selection,
        masks: (Option<&AreaMasks>, Option<&AreaMasks>),
        message_bytes_max: usize,
    ) -> Delta {
        self.delta_in(since, selection, masks, message_bytes_max, &mut |_| None)
    }

    /// As [`Shadow::delta`], in memory of the caller's: `memory` is asked for an empty vector where so many bytes come
    /// that a message's own would have to grow.
    #[must_use]
    pub(crate) fn delta_in(
        &self,
        since: Option<Revision>,
        selection: &Selection,
        masks: (Option<&AreaMasks>, Option<&AreaMasks>),
        message_bytes_max: usize,
        memory: &mut dyn FnMut(usize) -> Option<Vec<u8>>,
    ) -> Delta {
        let state = self.state();
        let number = since.map_or(0, |look| look.number);
        let mut packer = Packer::new(message_bytes_max.max(MESSAGE_BYTES_MIN), memory);
        let mut pending = Vec::new();
        for (&id, &at) in &self.dropped {
            if at > number && since.is_some() {
                packer.begin(BLOCK_BYTES);
                packer.push(&Block { kind: DROP, bytes: BLOCK_BYTES as u32, table: id, ..Block::default() });
            }
        }
        for (&id, table) in &state.tables {
            let Some(track) = self.tracks.get(&id).filter(|_| selection.has_table(id, &table.components)) else {
                continue;
            };
            let mask = |masks: Option<&'_ AreaMasks>| masks.and_then(|masks| masks.tables.get(&id).cloned());
            let view = TableDelta {
                id,
                table,
                track,
                since: if was_selected(track, id, selection, number) { number } else { 0 },
                selection,
                mask: mask(masks.0),
                mask_before: mask(masks.1).filter(|_| since.is_some()),
            };
            view.head(&mut packer);
            pending.push(view);
        }
        for view in &pending {
            view.values(&mut packer);
        }
        Delta {
            from: since.map_or(0, |look| look.generation),
            to: state.generation,
            frame: state.frame,
            time: state.time,
            items: packer.items,
            parts: packer.parts,
        }
    }
}

/// Whether the selection already held the table at a look: tables can gain toggles.
fn was_selected(track: &TableTrack, id: u32, selection: &Selection, look: u32) -> bool {
    if selection.selects_all() || id < FIRST_DATA {
        return track.created <= look;
    }
    track.components.iter().any(|(id, since)| selection.has_component(*id) && (*since).max(track.created) <= look)
}

/// One table of a delta.
struct TableDelta<'a> {
    id: u32,
    table: &'a StateTable,
    track: &'a TableTrack,
    since: u32,
    selection: &'a Selection,
    mask: Option<Vec<u64>>,
    mask_before: Option<Vec<u64>>,
}

/// One column of a delta.
struct Column<'a> {
    index: u32,
    unit: usize,
    bytes: &'a [u8],
    rows: Rows,
    rounding: Option<(ScalarType, f64)>,
}

impl TableDelta<'_> {
    fn columns(&self) -> impl Iterator<Item = (&StateColumn, &Track)> {
        self.table.columns.iter().zip(&self.track.columns).filter(|(column, _)| self.selection.has_column(column.role))
    }

    fn head(&self, packer: &mut Packer<'_>) {
        if self.track.head <= self.since {
            return;
        }
        let area = self.mask.as_ref().map(|_| (Role { code: Role::AREA, field: 0, component: 0 }, 0));
        let columns: Vec<(Role, u32)> =
            self.columns().map(|(column, _)| (column.role, column.item_bytes)).chain(area).collect();
        let components = self.selection.components_of(&self.table.components);
        let bytes = BLOCK_BYTES + 8 * columns.len() + (2 * components.len()).next_multiple_of(8);
        packer.begin(bytes);
        packer.push(&Block {
            kind: TABLE,
            bytes: bytes as u32,
            table: self.id,
            a: columns.len() as u32,
            b: self.table.rows,
            c: components.len() as u32,
            ..Block::default()
        });
        let out = packer.bytes();
        for (role, item_bytes) in columns {
            out.extend_from_slice(&[role.code, role.field]);
            out.extend_from_slice(&role.component.to_le_bytes());
            out.extend_from_slice(&item_bytes.to_le_bytes());
        }
        components.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
        out.resize(out.len().next_multiple_of(8), 0);
    }

    fn values(&self, packer: &mut Packer<'_>) {
        let mut index = 0;
        let mut collected = Vec::new();
        for (column, track) in self.columns() {
            let (unit, rounding) = (column.unit(), self.selection.quantised(column.role));
            let mut rows = track.since(self.since);
            if column.role.code == Role::FIELD {
                self.narrow(&mut rows);
            }
            collected.push(Column { index, unit, bytes: &column.bytes, rows, rounding });
            index += 1;
        }
        collected.retain(|column| !column.rows.is_empty());
        for group in collected.chunk_by(|a, b| a.rows == b.rows) {
            packer.group(self.id, group);
        }
        if let Some(mask) = &self.mask {
            let mut rows = Rows::all(mask.len());
            if let Some(before) = self.mask_before.as_ref().filter(|_| self.since > 0) {
                rows = Rows::none(mask.len());
                for (word, bits) in mask.iter().enumerate() {
                    if before.get(word) != Some(bits) {
                        rows.fill(word, word + 1);
                    }
                }
            }
            let bytes = bytemuck::cast_slice(mask);
            let column = Column { index, unit: 8, bytes, rows, rounding: None };
            if !column.rows.is_empty() {
                packer.group(self.id, &[column]);
            }
        }
    }

    /// Leaves out rows outside of the box, and adds those that have come inside.
    fn narrow(&self, rows: &mut Rows) {
        let Some(mask) = &self.mask else { return };
        for (word, (rows, inside)) in rows.words_mut().iter_mut().zip(mask).enumerate() {
            let before = self.mask_before.as_ref().and_then(|before| before.get(word)).copied().unwrap_or(0);
            *rows = (*rows & inside) | (inside & !before);
        }
    }
}

/// Puts blocks into parts.
struct Packer<'a> {
    message_bytes_max: usize,
    parts: Vec<PartBytes>,
    items: u64,
    memory: &'a mut dyn FnMut(usize) -> Option<Vec<u8>>,
}

impl<'a> Packer<'a> {
    fn new(message_bytes_max: usize, memory: &'a mut dyn FnMut(usize) -> Option<Vec<u8>>) -> Self {
        let first = PartBytes { bytes: vec![0; HEAD_BYTES], blocks: 0 };
        Packer { message_bytes_max, parts: vec![first], items: 0, memory }
    }

    fn part(&mut self) -> &mut PartBytes {
        self.parts.last_mut().expect("there is always one, from the beginning")
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.part().bytes
    }

    fn fits(&mut self, bytes: usize) -> bool {
        let max = self.message_bytes_max;
        let part = self.part();
        part.blocks == 0 || part.bytes.len() + bytes <= max
    }

    /// Makes room for a block: in a new part where it does not fit.
    fn begin(&mut self, bytes: usize) {
        if !self.fits(bytes) {
            self.parts.push(PartBytes { bytes: vec![0; HEAD_BYTES], blocks: 0 });
        }
    }

    fn push(&mut self, block: &Block) {
        let part = self.part();
        part.bytes.extend_from_slice(&block.encode());
        part.blocks += 1;
    }

    /// Sees to it that a part with room for so many more bytes need not grow for them.
    fn reserve(&mut self, bytes: usize) {
        let old = self.bytes();
        let needed = old.len() + bytes;
        if old.capacity() >= needed {
            return;
        }
        if let Some(mut new) = (self.memory)(needed) {
            let old = self.bytes();
            new.extend_from_slice(old);
            *old = new;
        }
    }

    /// Columns of one table with the same rows.
    fn group(&mut self, table: u32, columns: &[Column<'_>]) {
        let Some(rows) = columns.first().map(|column| &column.rows) else { return };
        let unit = columns.iter().map(|column| column.unit).max().unwrap_or(8);
        // rows take at most 4 bytes for each item
        let items_max = (self.message_bytes_max - HEAD_BYTES - BLOCK_BYTES - 64) / (unit + 4);
        for part in rows.parts(items_max.max(64)) {
            let mut is_first = true;
            for column in columns {
                self.values(table, column, &part, is_first);
                is_first = false;
            }
        }
    }

    fn values(&mut self, table: u32, column: &Column<'_>, rows: &Part<'_>, is_first: bool) {
        let bound = BLOCK_BYTES + 16 + (rows.items * column.unit).next_multiple_of(8);
        let same = !is_first && self.fits(bound);
        if !same {
            self.begin(bound + rows.bytes());
        }
        self.reserve(bound + if same { 0 } else { rows.bytes() });
        self.items += rows.items as u64;
        let out = self.bytes();
        let begin = out.len();
        out.resize(begin + BLOCK_BYTES, 0);
        let mut block = Block {
            kind: VALUES,
            values: RAW,
            rows: if same { SAME } else { rows.encoding },
            table,
            a: column.index,
            b: if same { 0 } else { rows.entries() as u32 },
            c: rows.items as u32,
            d: if same { 0 } else { rows.first() as u32 },
            ..Block::default()
        };
        match column.rounding {
            None => {
                if !same {
                    rows.write(out);
                }
                let values = out.len();
                gather(column.bytes, column.unit, rows, out);
                if is_constant(&out[values..], column.unit) {
                    block.values = CONSTANT;
                    out.truncate(values + column.unit);
                }
            }
            Some((scalar, error)) => {
                let mut raw = Vec::with_capacity(rows.items * column.unit);
                gather(column.bytes, column.unit, rows, &mut raw);
                let values = quantise::scalars(&raw, scalar);
                let fixed = quantise::choose(&values, scalar, error).filter(|_| !is_constant(&raw, column.unit));
                if let Some(fixed) = &fixed {
                    block.values = fixed.code;
                    out.extend_from_slice(&fixed.offset.to_le_bytes());
                    out.extend_from_slice(&fixed.scale.to_le_bytes());
                }
                if !same {
                    rows.write(out);
                }
                match &fixed {
                    Some(fixed) => quantise::write(&values, fixed, out),
                    None if is_constant(&raw, column.unit) => {
                        block.values = CONSTANT;
                        out.extend_from_slice(&raw[..column.unit]);
                    }
                    None => out.extend_from_slice(&raw),
                }
            }
        }
        out.resize(out.len().next_multiple_of(8), 0);
        block.bytes = (out.len() - begin) as u32;
        out[begin..begin + BLOCK_BYTES].copy_from_slice(&block.encode());
        self.part().blocks += 1;
    }
}

/// Appends the items of a column.
fn gather(bytes: &[u8], unit: usize, rows: &Part<'_>, out: &mut Vec<u8>) {
    out.reserve(rows.items * unit);
    match unit {
        4 => gather_items::<4>(bytes, rows, out),
        8 => gather_items::<8>(bytes, rows, out),
        _ => rows.for_runs(|first, count| out.extend_from_slice(&bytes[first * unit..(first + count) * unit])),
    }
}

fn gather_items<const N: usize>(bytes: &[u8], rows: &Part<'_>, out: &mut Vec<u8>) {
    let items = bytes.as_chunks::<N>().0;
    rows.for_runs(|first, count| match count {
        1 => out.extend_from_slice(&items[first]),
        _ => out.extend_from_slice(items[first..first + count].as_flattened()),
    });
}

/// Whether there are several items, and all are alike.
fn is_constant(values: &[u8], unit: usize) -> bool {
    values.len() > unit && values[unit..] == values[..values.len() - unit]
}
