//! Applying a delta to a state. Nothing that the bytes say is believed before it is checked.

use hypostyle::layout::{Layout, ScalarType};
use hypostyle::limits::ARRAY_LEN_MAX;

use super::block::{Block, CONSTANT, Cursor, DROP, FIXED8, FIXED32, RAW, TABLE, VALUES};
use super::error::DeltaError;
use super::head::{FLAG_FULL, FLAG_LAST, FLAG_ZSTD, Head};
use super::quantise::{self, Fixed};
use super::rows::{ReadRows, RowsHead};
use super::state::{Role, State, StateColumn, StateTable};

/// Columns of one table: those of all components that a layout can have, and the engine's.
const COLUMNS_MAX: u32 = 1 << 20;

fn wrong<T>(what: &'static str, found: u64, expected: &'static str) -> Result<T, DeltaError> {
    Err(DeltaError::Value { what, found, expected })
}

impl State {
    /// Applies all messages of one delta (uncompressed). The layout is needed where fields were rounded. The state may
    /// become `bytes_max` large, no more.
    ///
    /// # Errors
    /// Bytes that are no delta, or not one for this state. Of what went wrong before the first block the state knows
    /// nothing; after that it is half changed.
    pub fn apply<M: AsRef<[u8]>>(
        &mut self,
        messages: &[M],
        layout: Option<&Layout>,
        bytes_max: u64,
    ) -> Result<(), DeltaError> {
        let mut parts = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let (head, body) = Head::decode(message.as_ref())?;
            let is_last = head.flags & FLAG_LAST != 0;
            if head.flags & FLAG_ZSTD != 0 {
                return wrong("the flags", head.flags.into(), "decompress the body first");
            }
            if head.part != index as u16 || is_last != (index + 1 == messages.len()) {
                return wrong("a part's number", head.part.into(), "all parts of one delta come in order");
            }
            parts.push((head, body));
        }
        let Some((head, _)) = parts.first().copied() else {
            return wrong("the number of messages", 0, "a delta has at least one");
        };
        let meta = |head: &Head| (head.flags & FLAG_FULL, head.from, head.to, head.frame, head.time.to_bits());
        if let Some((other, _)) = parts.iter().find(|(other, _)| meta(other) != meta(&head)) {
            return wrong("a part's generation", other.to, "all parts of one delta have the same");
        }
        if head.flags & FLAG_FULL != 0 {
            self.tables.clear();
        } else if head.from != self.generation {
            return Err(DeltaError::Generation { from: head.from, state: self.generation });
        }
        for (head, body) in parts {
            self.body(body, head.blocks, layout, bytes_max)?;
        }
        (self.generation, self.frame, self.time) = (head.to, head.frame, head.time);
        Ok(())
    }

    fn body(&mut self, body: &[u8], blocks: u32, layout: Option<&Layout>, bytes_max: u64) -> Result<(), DeltaError> {
        let mut cursor = Cursor::new(body);
        let mut rows = ReadRows::default();
        let mut previous = None;
        for _ in 0..blocks {
            let (block, rest) = Block::read(&mut cursor)?;
            if block.flags != 0 {
                return wrong("the flags of a block", block.flags.into(), "none are known");
            }
            match block.kind {
                TABLE => self.table(&block, rest, bytes_max)?,
                DROP => drop(self.tables.remove(&block.table)),
                VALUES => {
                    if block.rows == super::rows::SAME && previous != Some(block.table) {
                        return wrong("a table", block.table.into(), "rows are those of a block of the same table");
                    }
                    let Some(table) = self.tables.get_mut(&block.table) else {
                        return wrong("a table", block.table.into(), "it must be one that there is");
                    };
                    table.values(&block, rest, &mut rows, layout)?;
                    previous = Some(block.table);
                }
                other => return wrong("the kind of a block", other.into(), "it must be 1, 2 or 3"),
            }
        }
        if !cursor.is_at_end() {
            return wrong("the number of blocks", blocks.into(), "the body must end after them");
        }
        Ok(())
    }

    fn table(&mut self, block: &Block, mut rest: Cursor<'_>, bytes_max: u64) -> Result<(), DeltaError> {
        if block.a > COLUMNS_MAX {
            return wrong("the columns of a table", block.a.into(), "there cannot be so many");
        }
        let (rows, count) = (block.b, block.a as usize);
        let entries = rest.take("the columns of a table", 8 * count as u64)?;
        let mut columns: Vec<StateColumn> = Vec::with_capacity(count);
        let mut needed = 0u64;
        for entry in entries.as_chunks::<8>().0 {
            let [code, field, low, high, a, b, c, d] = *entry;
            let role = Role { code, field, component: u16::from_le_bytes([low, high]) };
            let item_bytes = u32::from_le_bytes([a, b, c, d]);
            let is_bits = matches!(code, Role::PRESENCE | Role::AREA);
            if !Role::KNOWN.contains(&code) || item_bytes > 8 * ARRAY_LEN_MAX || is_bits != (item_bytes == 0) {
                return wrong("a column's item", item_bytes.into(), "it must fit what the column is");
            }
            let column = StateColumn::new(role, item_bytes);
            needed = needed.saturating_add(column.items(rows) as u64 * column.unit() as u64);
            columns.push(column);
        }
        let components = rest.take("the components of a table", 2 * u64::from(block.c))?;
        rest.pad("the components of a table")?;
        if !rest.is_at_end() {
            return wrong("the length of a block", block.bytes.into(), "it must be that of what it holds");
        }
        let mut old = self.tables.remove(&block.table).map(|table| table.columns).unwrap_or_default();
        let needed = needed.saturating_add(self.bytes());
        if needed > bytes_max {
            return Err(DeltaError::TooLarge { needed, limit: bytes_max });
        }
        for column in &mut columns {
            if let Some(index) = old.iter().position(|o| o.role == column.role && o.item_bytes == column.item_bytes) {
                *column = old.swap_remove(index);
            }
            let bytes = column.items(rows) * column.unit();
            column.bytes.resize(bytes, 0);
        }
        let components = components.as_chunks::<2>().0.iter().map(|id| u16::from_le_bytes(*id)).collect();
        self.tables.insert(block.table, StateTable { rows, components, columns });
        Ok(())
    }
}

impl StateTable {
    fn values(
        &mut self,
        block: &Block,
        mut rest: Cursor<'_>,
        rows: &mut ReadRows,
        layout: Option<&Layout>,
    ) -> Result<(), DeltaError> {
        let row_count = self.rows;
        let Some(column) = self.columns.get_mut(block.a as usize) else {
            return wrong("a column", block.a.into(), "it must be one that the table has");
        };
        let (unit, items) = (column.unit(), column.items(row_count));
        let fixed = match block.values {
            RAW | CONSTANT => None,
            FIXED8..=FIXED32 => {
                let (offset, scale) = (rest.f64("the offset of values")?, rest.f64("the scale of values")?);
                Some((scalar_of(column.role, layout)?, Fixed { code: block.values, offset, scale }))
            }
            other => return wrong("the way of writing values", other.into(), "it must be 0 to 4"),
        };
        let head = RowsHead { encoding: block.rows, entries: block.b, items: block.c, first: block.d };
        rows.read(&head, &mut rest, items)?;
        let read;
        let values: &[u8] = match fixed {
            None => {
                let bytes = unit as u64 * if block.values == CONSTANT { 1 } else { rows.items as u64 };
                rest.take("the values of a block", bytes)?
            }
            Some((scalar, fixed)) => {
                let count = rows.items * (unit / scalar.bytes());
                let bytes = rest.take("the values of a block", (count * quantise::width(fixed.code)) as u64)?;
                let mut out = Vec::with_capacity(count * scalar.bytes());
                quantise::read(bytes, &fixed, scalar, &mut out);
                read = out;
                &read
            }
        };
        rest.pad("the values of a block")?;
        if !rest.is_at_end() {
            return wrong("the length of a block", block.bytes.into(), "it must be that of what it holds");
        }
        let mut from = 0;
        for &(first, count) in &rows.runs {
            let (first, count) = (first as usize, count as usize);
            let target = &mut column.bytes[first * unit..(first + count) * unit];
            if block.values == CONSTANT {
                target.chunks_exact_mut(unit).for_each(|item| item.copy_from_slice(values));
            } else {
                target.copy_from_slice(&values[from..from + target.len()]);
                from += target.len();
            }
        }
        Ok(())
    }
}

/// The type of a rounded field.
fn scalar_of(role: Role, layout: Option<&Layout>) -> Result<ScalarType, DeltaError> {
    let field = layout
        .filter(|_| role.code == Role::FIELD)
        .and_then(|layout| layout.components().get(usize::from(role.component)))
        .and_then(|component| component.fields.get(usize::from(role.field)));
    match field.map(|field| field.ty.scalar) {
        Some(scalar @ (ScalarType::F32 | ScalarType::F64)) => Ok(scalar),
        _ => wrong("a column", role.component.into(), "only float fields of a known layout are rounded"),
    }
}
