//! The extent allocator: which bytes of the data are in use. Pure arithmetic, private to the writer.
//!
//! Extents of a page or more are whole pages, taken best fit from runs of free pages. Smaller ones are rounded up to
//! a power of two from 64 bytes and share *slab* pages of one size class.
//!
//! Invariants
//! - The first page is never handed out, so offset 0 names no extent.
//! - Free runs are sorted, disjoint and coalesced; live extents and free runs never overlap.
//! - Every extent begins at a multiple of 64; whole pages begin at pages.
//! - *Holes* (free bytes that nothing backs) are filled by the region before an extent over them is handed out.
//! - In a steady state (frees and allocations of sizes seen before) nothing is allocated from the heap.
//!
//! All of it can be rebuilt from the extents that the generations name: [`ExtentPool::rebuild`]. This module must
//! never know about files, memory or readers: not to free what a reader holds is the caller's duty.
#![forbid(unsafe_code)]

use super::error::RegionError;
use super::runs::{Extent, Runs};
use crate::limits::{PAGE_BYTES, REGION_GROWTH_BYTES_MIN};

/// Bytes of the smallest size class.
const CLASS_BYTES_MIN: u64 = 64;
/// Size classes below a page: 64, 128, ... 2048.
const CLASSES: usize = 6;
/// Free runs, and pages of small extents, that there is room for from the start: most worlds never have more.
const FREE_RUNS_EXPECTED: usize = 64;
const _: () = assert!(CLASS_BYTES_MIN << CLASSES == PAGE_BYTES, "the largest class is half a page");

/// A page of small extents of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slab {
    page: u64,
    class: usize,
    /// Bit i: block i is in use.
    used: u64,
}

impl Slab {
    /// The bits of all blocks of a class.
    const fn full(class: usize) -> u64 {
        u64::MAX >> (64 - (PAGE_BYTES / class_bytes(class)))
    }
}

const fn class_bytes(class: usize) -> u64 {
    CLASS_BYTES_MIN << class
}

/// The length that is handed out for `bytes`, and its class if it is small; `None`: no such length exists.
fn round(bytes: u64) -> Option<(u64, Option<usize>)> {
    if bytes > PAGE_BYTES / 2 {
        return Some((bytes.checked_next_multiple_of(PAGE_BYTES)?, None));
    }
    let rounded = bytes.next_power_of_two().max(CLASS_BYTES_MIN);
    let class = (rounded / CLASS_BYTES_MIN).trailing_zeros() as usize;
    Some((rounded, Some(class)))
}

/// What must grow before an extent can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    /// The backed length that just suffices.
    pub least: u64,
    /// The one to aim for.
    pub wanted: u64,
}

/// The allocator's state.
#[derive(Clone, Debug)]
pub(crate) struct ExtentPool {
    backed: u64,
    bytes_max: u64,
    allocated: u64,
    free: Runs,
    holes: Runs,
    /// Sorted by page.
    slabs: Vec<Slab>,
    /// Per class, pages that have a free block.
    partial: [Vec<u64>; CLASSES],
}

impl ExtentPool {
    /// A pool over `backed` bytes, all free but the first page. Both lengths are whole pages.
    pub(crate) fn new(backed: u64, bytes_max: u64) -> Self {
        let mut pool = Self::unknown(backed, bytes_max);
        pool.free.insert(Extent { offset: PAGE_BYTES, bytes: backed - PAGE_BYTES });
        pool.holes = Runs::default();
        pool
    }

    /// A pool of which nothing is known: nothing is free before [`ExtentPool::rebuild`], and what will be free may
    /// be without backing.
    pub(crate) fn unknown(backed: u64, bytes_max: u64) -> Self {
        assert!(backed.is_multiple_of(PAGE_BYTES) && bytes_max.is_multiple_of(PAGE_BYTES), "lengths are whole pages");
        assert!(PAGE_BYTES <= backed && backed <= bytes_max, "the first page exists");
        let holes = Runs { runs: vec![Extent { offset: 0, bytes: backed }] };
        let mut pool = ExtentPool {
            backed,
            bytes_max,
            allocated: 0,
            free: Runs::default(),
            holes,
            slabs: Vec::new(),
            partial: Default::default(),
        };
        pool.make_lists_long();
        pool
    }

    /// Makes its lists so long that a steady state does not lengthen them: those of a copy are as long as what is in them.
    pub(crate) fn make_lists_long(&mut self) {
        self.free.runs.reserve(FREE_RUNS_EXPECTED);
        self.holes.runs.reserve(FREE_RUNS_EXPECTED);
        self.slabs.reserve(FREE_RUNS_EXPECTED);
        self.partial.iter_mut().for_each(|pages| pages.reserve(FREE_RUNS_EXPECTED));
    }

    /// Bytes that are backed (or were, before holes were made).
    pub(crate) fn backed(&self) -> u64 {
        self.backed
    }

    /// Bytes in live extents.
    pub(crate) fn allocated(&self) -> u64 {
        self.allocated
    }

    /// An extent of at least `bytes`; `None`: the pool must grow first. Its contents are anything.
    pub(crate) fn allocate(&mut self, bytes: u64) -> Option<Extent> {
        let (bytes, class) = round(bytes)?;
        let extent = match class {
            None => self.take_pages(bytes)?,
            Some(class) => self.take_block(class)?,
        };
        self.allocated += extent.bytes;
        Some(extent)
    }

    /// An extent of at least `bytes` in a *plan*: a copy of the pool that grows as far as it may. `low`: pages are taken at
    /// the lowest place that has them, else best fit. `None`: there is no such run.
    pub(crate) fn plan(&mut self, bytes: u64, low: bool) -> Option<Extent> {
        if low && let Some(extent) = self.allocate_low(bytes) {
            return Some(extent);
        }
        if let Some(extent) = self.allocate(bytes) {
            return Some(extent);
        }
        let growth = self.growth(bytes).ok()?;
        self.grow_to(growth.least);
        self.allocate(bytes)
    }

    fn allocate_low(&mut self, bytes: u64) -> Option<Extent> {
        let (bytes, None) = round(bytes)? else { return None };
        let run = self.free.runs.iter().find(|run| run.bytes >= bytes)?;
        let extent = Extent { offset: run.offset, bytes };
        self.free.subtract(extent);
        self.allocated += bytes;
        Some(extent)
    }

    /// Bytes in one piece that could still be had at the end of the data.
    pub(crate) fn end_room(&self) -> u64 {
        self.bytes_max - self.backed + self.free_tail().map_or(0, |run| run.bytes)
    }

    /// The length that is handed out for `bytes`.
    pub(crate) fn rounded(bytes: u64) -> u64 {
        round(bytes).map_or(u64::MAX, |(bytes, _)| bytes)
    }

    /// How far to grow for an extent of `bytes` that [`ExtentPool::allocate`] had no room for.
    ///
    /// # Errors
    /// [`RegionError::Full`] when `bytes_max` forbids it.
    pub(crate) fn growth(&self, bytes: u64) -> Result<Growth, RegionError> {
        let tail = self.free_tail().map_or(0, |run| run.bytes);
        let room = self.bytes_max - self.backed;
        let full = || {
            let needed = self.bytes_max.saturating_add(Self::rounded(bytes)).saturating_sub(room + tail);
            RegionError::Full { requested: bytes, available: room + tail, bytes_max: self.bytes_max, needed }
        };
        let (rounded, _) = round(bytes).ok_or_else(full)?;
        let least = rounded.max(PAGE_BYTES) - tail.min(rounded);
        if least > room {
            return Err(full());
        }
        let step = (self.backed / 8).next_multiple_of(PAGE_BYTES).max(growth_bytes_min());
        Ok(Growth { least: self.backed + least, wanted: self.backed + least.max(step).min(room) })
    }

    /// The data was grown: the new bytes are free and backed.
    pub(crate) fn grow_to(&mut self, backed: u64) {
        assert!(backed > self.backed && backed <= self.bytes_max, "growth stays within bytes_max");
        assert!(backed.is_multiple_of(PAGE_BYTES), "lengths are whole pages");
        self.free.insert(Extent { offset: self.backed, bytes: backed - self.backed });
        self.backed = backed;
    }

    /// The free run that ends where the data ends.
    pub(crate) fn free_tail(&self) -> Option<Extent> {
        self.free.runs.last().copied().filter(|run| run.end() == self.backed)
    }

    /// The data was cut to `backed` bytes, which is not below the free tail's begin.
    pub(crate) fn shrink_to(&mut self, backed: u64) {
        let gone = Extent { offset: backed, bytes: self.backed - backed };
        assert!(self.free_tail().is_some_and(|tail| tail.offset <= backed), "only free bytes are cut off");
        self.free.subtract(gone);
        self.holes.subtract(gone);
        self.backed = backed;
    }

    /// Free runs of at least `bytes` up to an end that something still backs, whole or in part.
    pub(crate) fn backed_runs(&self, bytes: u64, end: u64) -> Vec<Extent> {
        let fits = |run: &&Extent| run.bytes >= bytes && run.end() <= end;
        let backed = |run: &&Extent| self.holes.within(**run).map(|hole| hole.bytes).sum::<u64>() < run.bytes;
        self.free.runs.iter().filter(fits).filter(backed).copied().collect()
    }

    /// A range that lost its backing. Returns how many of its bytes had one.
    pub(crate) fn punched(&mut self, range: Extent) -> u64 {
        let before: u64 = self.holes.within(range).map(|hole| hole.bytes).sum();
        self.holes.subtract(range);
        self.holes.insert(range);
        range.bytes - before
    }

    /// The parts of a range's pages that nothing backs.
    pub(crate) fn holes_in(&self, extent: Extent) -> impl Iterator<Item = Extent> {
        self.holes.within(pages_of(extent))
    }

    /// The range's pages are backed again.
    pub(crate) fn filled(&mut self, extent: Extent) {
        self.holes.subtract(pages_of(extent));
    }

    /// Takes an extent back.
    ///
    /// # Panics
    /// When it is not a live extent: then two owners believe in the same bytes, and to go on would corrupt a world.
    pub(crate) fn free(&mut self, extent: Extent) {
        let Some((bytes, class)) = round(extent.bytes) else { panic!("{extent:?} was never handed out") };
        let extent = Extent { offset: extent.offset, bytes };
        assert!(
            extent.offset >= PAGE_BYTES && extent.offset <= self.backed && bytes <= self.backed - extent.offset,
            "{extent:?} lies in the data"
        );
        match class {
            None => {
                assert!(extent.offset.is_multiple_of(PAGE_BYTES), "{extent:?} begins at a page");
                self.free.insert(extent);
            }
            Some(class) => self.free_block(extent, class),
        }
        self.allocated -= extent.bytes;
    }

    /// Forgets everything and takes `named` for the live extents; the same extent may be named often.
    ///
    /// # Errors
    /// [`RegionError::BadExtent`] when they overlap or are not such as this allocator hands out; the pool stays as it
    /// was.
    pub(crate) fn rebuild(&mut self, named: &[Extent]) -> Result<(), RegionError> {
        let mut live = Vec::with_capacity(named.len());
        for &extent in named {
            live.push(self.check(extent)?);
        }
        live.sort_unstable();
        live.dedup();

        let mut free = Runs::default();
        let mut slabs: Vec<Slab> = Vec::new();
        let mut end = PAGE_BYTES; // everything below is accounted for
        for (extent, class) in live.iter().copied() {
            let overlaps =
                RegionError::BadExtent { offset: extent.offset, bytes: extent.bytes, what: "overlaps another" };
            let pages = pages_of(extent);
            if let (Some(class), Some(slab)) = (class, slabs.last_mut().filter(|slab| slab.page == pages.offset)) {
                let block = 1 << ((extent.offset - pages.offset) / extent.bytes);
                if slab.class != class || slab.used & block != 0 {
                    return Err(overlaps);
                }
                slab.used |= block;
                continue;
            }
            if pages.offset < end {
                return Err(overlaps);
            }
            free.insert(Extent { offset: end, bytes: pages.offset - end });
            end = pages.end();
            if let Some(class) = class {
                let used = 1 << ((extent.offset - pages.offset) / extent.bytes);
                slabs.push(Slab { page: pages.offset, class, used });
            }
        }
        free.insert(Extent { offset: end, bytes: self.backed - end });

        self.allocated = live.iter().map(|(extent, _)| extent.bytes).sum();
        self.free = free;
        self.slabs = slabs;
        self.partial.iter_mut().for_each(Vec::clear);
        for slab in self.slabs.iter().filter(|slab| slab.used != Slab::full(slab.class)) {
            self.partial[slab.class].push(slab.page);
        }
        Ok(())
    }

    /// A named extent, rounded as it was when it was handed out, with its class.
    fn check(&self, extent: Extent) -> Result<(Extent, Option<usize>), RegionError> {
        let bad = |what| RegionError::BadExtent { offset: extent.offset, bytes: extent.bytes, what };
        let (bytes, class) = round(extent.bytes).ok_or_else(|| bad("is too long"))?;
        let end = extent.offset.checked_add(bytes).ok_or_else(|| bad("is too long"))?;
        if extent.offset < PAGE_BYTES || end > self.backed {
            return Err(bad("lies outside the data"));
        }
        if !extent.offset.is_multiple_of(bytes.min(PAGE_BYTES)) {
            return Err(bad("begins where no extent of its length can"));
        }
        Ok((Extent { offset: extent.offset, bytes }, class))
    }

    /// Whole pages from the shortest run that has them, the lowest among equals.
    fn take_pages(&mut self, bytes: u64) -> Option<Extent> {
        let mut best: Option<Extent> = None;
        for run in self.free.runs.iter().filter(|run| run.bytes >= bytes) {
            if best.is_none_or(|best| run.bytes < best.bytes) {
                best = Some(*run);
            }
            if run.bytes == bytes {
                break;
            }
        }
        let extent = Extent { offset: best?.offset, bytes };
        self.free.subtract(extent);
        Some(extent)
    }

    fn slab_place(&self, page: u64) -> Result<usize, usize> {
        self.slabs.binary_search_by_key(&page, |slab| slab.page)
    }

    /// One block of a slab, of a new one if need be.
    fn take_block(&mut self, class: usize) -> Option<Extent> {
        let at = match self.partial[class].last() {
            Some(&page) => self.slab_place(page).expect("a page with free blocks is a slab"),
            None => {
                let page = self.take_pages(PAGE_BYTES)?.offset;
                let at = self.slab_place(page).expect_err("a free page was no slab");
                self.slabs.insert(at, Slab { page, class, used: 0 });
                self.partial[class].push(page);
                at
            }
        };
        let slab = &mut self.slabs[at];
        let block = slab.used.trailing_ones();
        slab.used |= 1 << block;
        let extent = Extent { offset: slab.page + u64::from(block) * class_bytes(class), bytes: class_bytes(class) };
        if slab.used == Slab::full(class) {
            self.partial[class].pop();
        }
        Some(extent)
    }

    fn free_block(&mut self, extent: Extent, class: usize) {
        let page = pages_of(extent).offset;
        let Ok(at) = self.slab_place(page) else { panic!("{extent:?} lies in no slab") };
        let slab = &mut self.slabs[at];
        let block = 1 << ((extent.offset - page) / extent.bytes);
        let begins = extent.offset.is_multiple_of(extent.bytes);
        assert!(begins && slab.class == class && slab.used & block != 0, "{extent:?} is not in use");
        let was_full = slab.used == Slab::full(class);
        slab.used &= !block;
        if slab.used == 0 {
            self.slabs.remove(at);
            if !was_full {
                self.partial[class].retain(|&other| other != page);
            }
            self.free.insert(Extent { offset: page, bytes: PAGE_BYTES });
        } else if was_full {
            self.partial[class].push(page);
        }
    }
}

/// What data grows by at least.
pub(super) fn growth_bytes_min() -> u64 {
    crate::fault::sized(REGION_GROWTH_BYTES_MIN, 4 * PAGE_BYTES)
}

/// The whole pages that an extent touches.
fn pages_of(extent: Extent) -> Extent {
    let offset = extent.offset & !(PAGE_BYTES - 1);
    Extent { offset, bytes: extent.end().next_multiple_of(PAGE_BYTES) - offset }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: u64 = 16 << 20;

    fn pool() -> ExtentPool {
        ExtentPool::new(1 << 20, BYTES_MAX)
    }

    /// Allocates as a region does, growing where needed.
    fn allocate(pool: &mut ExtentPool, bytes: u64) -> Result<Extent, RegionError> {
        if let Some(extent) = pool.allocate(bytes) {
            return Ok(extent);
        }
        let growth = pool.growth(bytes)?;
        assert!(pool.backed() < growth.least && growth.least <= growth.wanted && growth.wanted <= BYTES_MAX);
        pool.grow_to(growth.least);
        Ok(pool.allocate(bytes).expect("the least growth suffices"))
    }

    /// The naive twin: which of the data's 64-byte lines are in use.
    fn lines(live: &[Extent]) -> Vec<bool> {
        let mut lines = vec![false; (BYTES_MAX / 64) as usize];
        for extent in live {
            for line in &mut lines[(extent.offset / 64) as usize..(extent.end() / 64) as usize] {
                assert!(!*line, "{extent:?} overlaps another");
                *line = true;
            }
        }
        lines
    }

    fn check(pool: &ExtentPool, live: &[Extent]) {
        let lines = lines(live);
        assert_eq!(pool.allocated(), live.iter().map(|extent| extent.bytes).sum::<u64>());
        // Exactly the pages without a line in use are free, as maximal runs.
        let mut free = Runs::default();
        for page in 1..pool.backed() / PAGE_BYTES {
            let first = (page * PAGE_BYTES / 64) as usize;
            if !lines[first..first + (PAGE_BYTES / 64) as usize].contains(&true) {
                free.insert(Extent { offset: page * PAGE_BYTES, bytes: PAGE_BYTES });
            }
        }
        assert_eq!(pool.free, free);
        assert!(free.runs.windows(2).all(|pair| pair[0].end() < pair[1].offset), "runs are coalesced");
        let mut rebuilt = pool.clone();
        rebuilt.rebuild(live).expect("live extents are consistent");
        assert_eq!(rebuilt.free, pool.free);
        assert_eq!(rebuilt.slabs, pool.slabs);
        assert_eq!(rebuilt.allocated, pool.allocated);
        for (mut ours, mut theirs) in pool.partial.clone().into_iter().zip(rebuilt.partial) {
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Allocate(u64),
        Free(usize),
        Cut,
        Rebuild,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..2100u64).prop_map(Step::Allocate),
            4 => (1..300_000u64).prop_map(Step::Allocate),
            6 => any::<usize>().prop_map(Step::Free),
            1 => Just(Step::Cut),
            1 => Just(Step::Rebuild),
        ];
        proptest::collection::vec(step, 1..if cfg!(miri) { 10 } else { 120 })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn behaves_like_a_list_of_lines(steps in steps()) {
            let mut pool = pool();
            let mut live: Vec<Extent> = Vec::new();
            for step in steps {
                match step {
                    Step::Allocate(bytes) => match allocate(&mut pool, bytes) {
                        Ok(extent) => {
                            prop_assert!(extent.bytes >= bytes && extent.offset >= PAGE_BYTES);
                            prop_assert!(extent.offset.is_multiple_of(extent.bytes.min(PAGE_BYTES)));
                            prop_assert!(extent.end() <= pool.backed());
                            live.push(extent);
                        }
                        Err(RegionError::Full { available, .. }) => prop_assert!(available < bytes + PAGE_BYTES),
                        Err(error) => prop_assert!(false, "{error}"),
                    },
                    Step::Free(index) if !live.is_empty() => {
                        let extent = live.swap_remove(index % live.len());
                        pool.free(extent);
                    }
                    Step::Free(_) => {}
                    Step::Cut => {
                        if let Some(tail) = pool.free_tail() {
                            pool.shrink_to(tail.offset);
                        }
                    }
                    Step::Rebuild => pool.rebuild(&live).expect("live extents are consistent"),
                }
            }
            check(&pool, &live);
            for extent in live.drain(..) {
                pool.free(extent);
            }
            check(&pool, &[]);
            prop_assert!(pool.slabs.is_empty() && pool.free.runs.len() <= 1);
        }

        #[test]
        fn any_named_extents_are_answered(named in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..8)) {
            let named: Vec<Extent> = named.into_iter().map(|(offset, bytes)| Extent { offset, bytes }).collect();
            let _ = pool().rebuild(&named);
            let near: Vec<Extent> = named
                .iter()
                .map(|extent| Extent { offset: (extent.offset % (1 << 14)) & !63, bytes: extent.bytes % 9000 })
                .collect();
            let _ = pool().rebuild(&near);
        }
    }

    #[test]
    fn lengths_are_rounded_up() {
        for (bytes, rounded, class) in [
            (0, 64, Some(0)),
            (64, 64, Some(0)),
            (65, 128, Some(1)),
            (2048, 2048, Some(5)),
            (2049, 4096, None),
            (4096, 4096, None),
            (4097, 8192, None),
        ] {
            assert_eq!(round(bytes), Some((rounded, class)));
        }
        assert_eq!(round(u64::MAX), None);
        assert_eq!(Slab::full(0), u64::MAX);
        assert_eq!(Slab::full(5), 0b11);
    }

    #[test]
    fn a_full_pool_names_both_numbers() {
        let mut pool = pool();
        let error = allocate(&mut pool, BYTES_MAX).expect_err("the first page is missing");
        assert!(matches!(
            error,
            RegionError::Full { requested: BYTES_MAX, available, bytes_max: BYTES_MAX, .. }
                if available == BYTES_MAX - PAGE_BYTES
        ));
        assert!(matches!(allocate(&mut pool, u64::MAX), Err(RegionError::Full { .. })));
        let all = allocate(&mut pool, BYTES_MAX - PAGE_BYTES).expect("all but the first page");
        assert!(matches!(allocate(&mut pool, 1), Err(RegionError::Full { available: 0, .. })));
        pool.free(all);
        assert_eq!(pool.allocate(64).map(|extent| extent.offset), Some(PAGE_BYTES));
    }

    #[test]
    fn overlapping_or_foreign_extents_are_refused() {
        let named = |extents: &[(u64, u64)]| {
            let named: Vec<Extent> = extents.iter().map(|&(offset, bytes)| Extent { offset, bytes }).collect();
            pool().rebuild(&named)
        };
        named(&[(4096, 8192), (4096, 8192), (12288, 64), (12352, 60)]).expect("repeats and neighbours are right");
        for wrong in [
            &[(0, 4096)][..],
            &[(4096, 8192), (8192, 4096)],
            &[(4096, 64), (4096, 128)],
            &[(4096, 64), (4224, 128)],
            &[(4096, 64), (4096, 4096)],
            &[(4096, 4096), (4160, 64)],
            &[(4097, 4096)],
            &[(4096 + 64, 128)],
            &[(1 << 20, 64)],
            &[(4096, 1 << 20)],
            &[(u64::MAX - 63, 64)],
            &[(4096, u64::MAX)],
        ] {
            assert!(matches!(named(wrong), Err(RegionError::BadExtent { .. })), "{wrong:?}");
        }
    }

    #[test]
    #[should_panic(expected = "free twice")]
    fn freeing_twice_is_a_bug() {
        let mut pool = pool();
        let extent = pool.allocate(10_000).expect("there is room");
        pool.free(extent);
        pool.free(extent);
    }

    #[test]
    fn holes_are_known_until_filled() {
        let mut pool = pool();
        let first = pool.allocate(1 << 18).expect("there is room");
        pool.free(first);
        let run = pool.backed_runs(1 << 18, u64::MAX)[0];
        assert_eq!(pool.punched(run), run.bytes);
        assert_eq!(pool.punched(run), 0);
        assert!(pool.backed_runs(1, u64::MAX).is_empty());
        let small = pool.allocate(64).expect("there is room");
        let holes: Vec<Extent> = pool.holes_in(small).collect();
        assert_eq!(holes, [Extent { offset: PAGE_BYTES, bytes: PAGE_BYTES }]);
        pool.filled(small);
        assert_eq!(pool.holes_in(small).count(), 0);
        let unknown = ExtentPool::unknown(1 << 20, BYTES_MAX);
        assert_eq!(unknown.free_tail(), None);
        assert_eq!(unknown.holes_in(small).count(), 1);
    }

    #[test]
    fn the_steady_state_reuses_the_same_bytes() {
        let mut pool = pool();
        let (a, b) = (pool.allocate(9000).expect("room"), pool.allocate(70).expect("room"));
        for _ in 0..10 {
            pool.free(a);
            pool.free(b);
            assert_eq!((pool.allocate(9000), pool.allocate(70)), (Some(a), Some(b)));
        }
    }
}
