//! A plan: memory found on a copy of the allocator, and not yet taken.
//!
//! Invariant: a plan's steps are carried out in its order; each one's target was free of everything but its own source
//! when it was planned, so it is when it is copied.
#![forbid(unsafe_code)]

use crate::limits::PAGE_BYTES;
use crate::region::{Extent, ExtentPool};
use crate::table::Item;

/// What a plan is to find room for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ask<'a> {
    /// A table that moves to another capacity: its rows up to the third number keep their bytes, in use or not.
    pub grow: Option<(u32, u32, u32)>,
    /// Extents.
    pub extents: &'a [u64],
    /// What is asked for is the room of a directory, which each plan has counted already.
    pub directory: bool,
    /// There is so much room that nothing beside this table has to be looked at.
    pub narrow: bool,
}

/// How far a plan goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    /// It drops spares, and makes those anew that are needed.
    pub drop_spares: bool,
    /// It slides building extents towards the beginning.
    pub slide: bool,
    /// It gives tables the room that their rows need, and no more.
    pub exact: bool,
    /// What a growing table gets slides as well; else it takes the places that fit best.
    pub low: bool,
}

impl Effort {
    /// It takes what is free.
    pub(super) const PLAIN: Self = Effort { drop_spares: false, slide: false, exact: false, low: false };
    pub(super) const SPARES: Self = Effort { drop_spares: true, ..Self::PLAIN };
    pub(super) const SLIDE: Self = Effort { slide: true, ..Self::SPARES };
    pub(super) const EXACT: Self = Effort { exact: true, ..Self::SLIDE };
    /// One after the other, where plain is not enough.
    pub(super) const MORE: [Self; 5] = [
        Self::SPARES,
        Self::SLIDE,
        Effort { low: true, ..Self::SLIDE },
        Self::EXACT,
        Effort { low: true, ..Self::EXACT },
    ];
}

/// The other extent of a column, as a plan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Other {
    None,
    /// Free to be written, or to be dropped.
    Free(Extent),
    /// Free once the next generation is out.
    Later(Extent),
    /// A reader holds it.
    Held(Extent),
}

/// A column as a plan sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub table: u32,
    pub column: usize,
    pub item: Item,
    pub bytes: u64,
    pub live: Extent,
    pub building: bool,
    pub expected: bool,
    pub other: Other,
    /// Whether its spare was dropped.
    pub dropped: bool,
}

/// A column's content gets another extent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub table: u32,
    pub column: usize,
    pub to: Extent,
    /// The table's capacity then; none: as it is.
    pub capacity: Option<u32>,
}

/// An extent that a plan is to find a place for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub bytes: u64,
    pub what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// The content of this cell, in a table of another capacity.
    Live(usize, u32),
    /// The other extent of this cell.
    Spare(usize),
    /// So many in the list of those that were asked for.
    Asked(usize),
}

/// Memory found, not yet taken.
pub(super) struct Plan {
    pub pool: ExtentPool,
    pub cells: Vec<Cell>,
    pub steps: Vec<Step>,
    /// What was asked for.
    pub extents: Vec<Extent>,
    /// Spares made anew, by cell.
    pub spares: Vec<(usize, Extent)>,
    /// What becomes free when the next generation is out.
    pub later: Vec<Extent>,
    pub fresh: Vec<Extent>,
    pub kept: Option<(u32, u32)>,
}

impl Plan {
    pub(super) fn take(&mut self, bytes: u64, low: bool) -> Option<Extent> {
        let extent = self.pool.plan(bytes, low)?;
        self.fresh.push(extent);
        Some(extent)
    }

    /// Drops every spare that nothing names. Those of building columns stay: a batch may be about to write there.
    pub(super) fn drop_spares(&mut self) {
        for cell in self.cells.iter_mut().filter(|cell| !cell.building) {
            if let Other::Free(extent) = cell.other {
                self.pool.free(extent);
                cell.other = Other::None;
                cell.dropped = true;
            }
        }
    }

    /// Moves building extents towards the beginning, those of one table left out: what is free is in one piece then, as far
    /// as no generation's extents lie between.
    pub(super) fn slide(&mut self, but: Option<u32>) -> Option<()> {
        let movable = |cell: &Cell| cell.building && cell.live.bytes >= PAGE_BYTES && Some(cell.table) != but;
        let mut order: Vec<usize> = (0..self.cells.len()).filter(|cell| movable(&self.cells[*cell])).collect();
        order.sort_unstable_by_key(|cell| self.cells[*cell].live.offset);
        for index in order {
            let cell = self.cells[index];
            self.pool.free(cell.live);
            let to = self.pool.plan(cell.live.bytes, true)?;
            if to.offset != cell.live.offset {
                self.fresh.push(to);
                self.steps.push(Step { table: cell.table, column: cell.column, to, capacity: None });
                self.cells[index].live = to;
            }
        }
        Some(())
    }

    /// What a table's columns need for another capacity. Their spares are free at once, or later.
    pub(super) fn resize(&mut self, table: u32, capacity: u32) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (index, cell) in self.cells.iter_mut().enumerate().filter(|(_, cell)| cell.table == table) {
            match cell.other {
                Other::None | Other::Held(_) => {}
                Other::Free(extent) => self.pool.free(extent),
                Other::Later(extent) => self.later.push(extent),
            }
            cell.bytes = cell.item.extent_bytes(capacity).1;
            cell.other = Other::None;
            cell.dropped = true;
            wanted.push(Wanted { bytes: cell.bytes, what: What::Live(index, capacity) });
        }
        wanted
    }

    /// Spares that the next writes need now: those of frozen columns that are expected to be written.
    pub(super) fn spares_now(&self, growing: Option<u32>) -> impl Iterator<Item = Wanted> {
        let needs = move |cell: &Cell| {
            Some(cell.table) != growing && cell.expected && !cell.building && !matches!(cell.other, Other::Free(_))
        };
        let cells = self.cells.iter().enumerate().filter(move |(_, cell)| needs(cell));
        cells.map(|(index, cell)| Wanted { bytes: cell.bytes, what: What::Spare(index) })
    }

    /// Finds places, for the largest first. A column that moves gives its own place free just before it gets another: no step
    /// writes where a later one reads.
    pub(super) fn place(&mut self, mut wanted: Vec<Wanted>, low: bool) -> Option<()> {
        wanted.sort_by_key(|wanted| std::cmp::Reverse(wanted.bytes));
        for Wanted { bytes, what } in wanted {
            match what {
                What::Asked(index) => self.extents[index] = self.take(bytes, low)?,
                What::Live(index, capacity) => {
                    let cell = self.cells[index];
                    if cell.building {
                        self.pool.free(cell.live)
                    } else {
                        self.later.push(cell.live)
                    }
                    let to = self.take(bytes, low)?;
                    self.steps.push(Step { table: cell.table, column: cell.column, to, capacity: Some(capacity) });
                    self.cells[index] = Cell { live: to, building: true, ..cell };
                }
                What::Spare(index) => match self.take(bytes, false) {
                    Some(extent) => {
                        self.spares.push((index, extent));
                        if let Other::Later(extent) = self.cells[index].other {
                            self.later.push(extent);
                        }
                        self.cells[index].other = Other::Free(extent);
                    }
                    // one that a reader holds may come free in time
                    None if matches!(self.cells[index].other, Other::None) => return None,
                    None => {}
                },
            }
        }
        Some(())
    }

    /// Whether every expected column can have its other extent once the next generation is out.
    pub(super) fn lasts(&self, directories: usize, directory_bytes: u64, slack: u64) -> bool {
        let mut pool = self.pool.clone();
        if (0..directories).any(|_| pool.plan(directory_bytes, false).is_none()) {
            return false;
        }
        if slack > 0 && pool.plan(slack, false).is_none() {
            return false;
        }
        self.later.iter().for_each(|extent| pool.free(*extent));
        let needs = |cell: &&Cell| cell.expected && cell.building && matches!(cell.other, Other::None | Other::Held(_));
        let mut wanted: Vec<u64> = self.cells.iter().filter(needs).map(|cell| cell.bytes).collect();
        wanted.sort_unstable();
        wanted.iter().rev().all(|bytes| pool.plan(*bytes, false).is_some())
    }
}
