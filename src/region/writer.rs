//! The writer's side of a region: create or take over, allocate, grow, give back, close.
//!
//! Invariants: one [`Region`] per region in the whole machine (the lock); a failed growth leaves everything as it
//! was; the backed length is raised after the file has grown and lowered before it shrinks.
#![expect(unsafe_code, reason = "gives free memory of a private region back")]

use std::path::Path;
use std::sync::Arc;

use super::control::Control;
use super::error::RegionError;
use super::extent::{ExtentPool, growth_bytes_min};
use super::mapping::{Mapping, whole_pages};
use super::reader::{MailboxParts, ReaderMap};
use super::runs::Extent;
use super::target::RegionTarget;
use crate::fault;
use crate::limits::{LAYOUT_BYTES_MAX, NOTES_BYTES_MAX, PAGE_BYTES, PUNCH_BYTES_MIN, REGION_BYTES_INITIAL};
use crate::os;
use crate::trace::Block;

/// Up to here a private region grows without a look at the machine's memory.
const HEAP_UNCHECKED_BYTES: u64 = 8 << 20;

/// How a region's memory is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of the data that are backed by memory or disk.
    pub backed: u64,
    /// Bytes in extents.
    pub allocated: u64,
    /// The most bytes the data may have.
    pub bytes_max: u64,
}

/// What a shared region has on the file system.
#[cfg(unix)]
struct Files {
    directory: super::files::RegionDirectory,
    data: std::fs::File,
    /// The writer's locks; closed last.
    lock: super::files::WriterLock,
}

#[cfg(unix)]
impl Files {
    /// One of the files that a region may be without, made anew, backed and mapped.
    fn new_optional(
        &self,
        name: &str,
        target: &RegionTarget,
        bytes: u64,
    ) -> Result<(Arc<Block>, std::fs::File), RegionError> {
        check_memory(target, bytes)?;
        let file = self.directory.new_optional(name, bytes)?;
        let block = Block::file(&file, 0, bytes, true);
        let path = self.directory.path.join(name);
        Ok((Arc::new(block.map_err(RegionError::io("map", &path))?), file))
    }
}

/// A region as its only writer has it.
///
/// Dropping it removes a shared region, unless [`Region::set_keep`] said otherwise.
pub(crate) struct Region {
    target: RegionTarget,
    mapping: Arc<Mapping>,
    pool: ExtentPool,
    layout: Arc<[u8]>,
    layout_hash: u64,
    keep: bool,
    /// A forked child's copy must leave the region alone.
    maker: os::Maker,
    #[cfg(unix)]
    files: Option<Files>,
}

impl Region {
    /// Makes a new region of up to `bytes_max` bytes of data.
    ///
    /// # Errors
    /// [`RegionError::Exists`] when something is in the way; lack of room; what the system refuses.
    pub(crate) fn create(
        target: &RegionTarget,
        layout_bytes: &[u8],
        layout_hash: u64,
        bytes_max: u64,
    ) -> Result<Self, RegionError> {
        let bytes_max = whole_pages(bytes_max)?;
        let layout = Arc::from(layout_bytes);
        if layout_bytes.len() > LAYOUT_BYTES_MAX {
            let (bytes, bytes_max) = (layout_bytes.len() as u64, LAYOUT_BYTES_MAX as u64);
            return Err(RegionError::LayoutTooLong { bytes, bytes_max });
        }
        let data_bytes = fault::sized(REGION_BYTES_INITIAL, 16 * PAGE_BYTES).min(bytes_max);
        if !matches!(target, RegionTarget::Heap) {
            return Self::create_shared(target, layout, layout_hash, bytes_max, data_bytes);
        }
        let mapping = Mapping::heap(bytes_max, data_bytes)?;
        mapping.control().sign_in(os::boot_id());
        let pool = ExtentPool::new(mapping.backed(), mapping.bytes_max());
        Ok(Region {
            target: target.clone(),
            mapping: Arc::new(mapping),
            pool,
            layout,
            layout_hash,
            keep: false,
            maker: os::Maker::this(),
            #[cfg(unix)]
            files: None,
        })
    }

    #[cfg(unix)]
    fn create_shared(
        target: &RegionTarget,
        layout: Arc<[u8]>,
        layout_hash: u64,
        bytes_max: u64,
        data_bytes: u64,
    ) -> Result<Self, RegionError> {
        use super::error::HeaderError;
        use super::files::NewRegion;
        use super::header::Descriptor;

        let path = target.path()?.ok_or(RegionError::Unsupported { what: "a shared region" })?;
        let machine_bytes = os::page_bytes();
        if machine_bytes > PAGE_BYTES {
            let source = HeaderError::PageSize { page_bytes: PAGE_BYTES, machine_bytes };
            return Err(RegionError::Header { path, source });
        }
        let uuid = os::random_id().map_err(RegionError::io("make an id for", &path))?;
        let (boot_id, created_ns) = (os::boot_id(), os::unix_time_ns());
        let descriptor = Descriptor {
            bytes_max,
            layout_hash,
            uuid,
            boot_id,
            created_ns,
            read_only_compatible: 0,
            layout: layout.to_vec(),
        };
        check_memory(target, data_bytes)?;
        let new = NewRegion::create(target, &descriptor, data_bytes)?;
        let leases = new.leases.try_clone().map_err(RegionError::io("open", &path))?;
        let mapping = Mapping::shared(&new.data, &new.control, leases, data_bytes, bytes_max)
            .map_err(unmappable(bytes_max, &path))?;
        mapping.control().initialise(uuid, data_bytes);
        mapping.control().sign_in(boot_id);
        let (directory, data, lock) = new.appear()?;
        Ok(Region {
            target: target.clone(),
            mapping: Arc::new(mapping),
            pool: ExtentPool::new(data_bytes, bytes_max),
            layout,
            layout_hash,
            keep: false,
            maker: os::Maker::this(),
            files: Some(Files { directory, data, lock }),
        })
    }

    #[cfg(not(unix))]
    fn create_shared(
        _target: &RegionTarget,
        _layout: Arc<[u8]>,
        _layout_hash: u64,
        _bytes_max: u64,
        _data_bytes: u64,
    ) -> Result<Self, RegionError> {
        Err(RegionError::Unsupported { what: "a shared region" })
    }

    /// `bytes_max`, or less where the process's address space is limited: a private region reserves once what it may have, and
    /// of a shared one the process has a second map when it reads, too.
    pub(crate) fn within_limits(target: &RegionTarget, bytes_max: u64) -> u64 {
        let share = if matches!(target, RegionTarget::Heap) { 2 } else { 4 };
        match os::address_space_left().map(|left| left / share) {
            Some(most) if most < bytes_max => {
                tracing::info!(bytes_max, most, "the limit of the address space leaves room for less");
                (most & !(os::HUGE_PAGE_BYTES - 1)).max(REGION_BYTES_INITIAL)
            }
            _ => bytes_max,
        }
    }

    /// Becomes the writer of a region whose writer is gone. Gives the encoded layout too.
    ///
    /// Nothing can be allocated before [`Region::rebuild`] said what is in use.
    ///
    /// # Errors
    /// [`RegionError::Live`] when the writer is not gone; [`RegionError::NotFound`]; a damaged or foreign region.
    #[cfg(unix)]
    pub(crate) fn take_over(target: &RegionTarget) -> Result<(Self, Vec<u8>), RegionError> {
        use super::control::CONTROL_BYTES;
        use super::files::{CONTROL, DATA, LEASES, RegionDirectory};
        use super::lease::LEASES_BYTES;

        let directory = RegionDirectory::open(target)?;
        let writer = directory.lock()?;
        let lock = super::files::WriterLock { writer, workers: directory.workers_lock()? };
        fault::point("locks-taken");
        let descriptor = directory.descriptor()?;
        descriptor.check_writable().map_err(|source| RegionError::Header { path: directory.path.clone(), source })?;
        let said = directory.control(&descriptor)?.get().data_bytes();
        let bytes_max = descriptor.bytes_max;
        let data = directory.data(true, said, bytes_max)?;
        let control = directory.sized_file(CONTROL, true, CONTROL_BYTES)?;
        let leases = directory.sized_file(LEASES, true, LEASES_BYTES)?;
        let path = directory.path.join(DATA);
        // A writer that died while it grew the file left more than it said.
        data.set_len(said).map_err(RegionError::io("cut", &path))?;
        let mapping =
            Mapping::shared(&data, &control, leases, said, bytes_max).map_err(unmappable(bytes_max, &path))?;
        mapping.control().sign_in(os::boot_id());
        fault::point("signed-in");
        let region = Region {
            target: target.clone(),
            mapping: Arc::new(mapping),
            pool: ExtentPool::unknown(said, bytes_max),
            layout: Arc::from(&descriptor.layout[..]),
            layout_hash: descriptor.layout_hash,
            // Until the new writer is known to work, what is there is worth more than tidiness.
            keep: true,
            maker: os::Maker::this(),
            files: Some(Files { directory, data, lock }),
        };
        Ok((region, descriptor.layout))
    }

    /// Becomes the writer of a region whose writer is gone: not on this platform.
    ///
    /// # Errors
    /// Always [`RegionError::Unsupported`].
    #[cfg(not(unix))]
    pub(crate) fn take_over(_target: &RegionTarget) -> Result<(Self, Vec<u8>), RegionError> {
        Err(RegionError::Unsupported { what: "a shared region" })
    }

    /// The memory; keeps it mapped as long as anyone holds it.
    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Notes in a region that was made just now what its maker wants to be known of it.
    ///
    /// # Errors
    /// [`RegionError::TooLarge`] where it does not fit.
    pub(crate) fn note(&self, notes: &[(String, String)]) -> Result<(), RegionError> {
        let limit = NOTES_BYTES_MAX as u64;
        let too_large = |asked: usize| RegionError::TooLarge { what: "bytes of notes", asked: asked as u64, limit };
        self.control().set_notes(notes).map_err(too_large)
    }

    /// The control words.
    pub(crate) fn control(&self) -> &Control {
        self.mapping.control()
    }

    /// Where it lives.
    pub(crate) fn target(&self) -> &RegionTarget {
        &self.target
    }

    /// Whether this process may change it.
    ///
    /// # Errors
    /// [`RegionError::Forked`] in a process that was forked off the maker.
    #[inline]
    pub(crate) fn check_maker(&self) -> Result<(), RegionError> {
        if self.is_makers() { Ok(()) } else { Err(forked(self.maker)) }
    }

    /// Whether this process made it.
    #[inline]
    pub(crate) fn is_makers(&self) -> bool {
        self.maker.is_here()
    }

    /// The open file that worker processes are to inherit: as long as one of them has it, nobody takes the region over.
    /// `None`: a private region.
    ///
    /// # Errors
    /// What the system refuses.
    #[cfg(unix)]
    pub(crate) fn workers_lock_file(&self) -> Result<Option<std::fs::File>, RegionError> {
        let Some(files) = &self.files else { return Ok(None) };
        files.lock.workers.try_clone().map(Some).map_err(RegionError::io("open", &files.directory.path))
    }

    /// The directory of its files; `None`: a private region.
    pub(crate) fn path(&self) -> Option<&Path> {
        #[cfg(unix)]
        return self.files.as_ref().map(|files| files.directory.path.as_path());
        #[cfg(not(unix))]
        None
    }

    #[cfg(test)]
    /// The hash that came with the layout.
    pub(crate) fn layout_hash(&self) -> u64 {
        self.layout_hash
    }

    /// Zeroed words for the timeline, where readers find them: beside the region's other files. They take the place of
    /// an earlier simulation's.
    ///
    /// # Errors
    /// No room; what the system refuses.
    pub(crate) fn new_trace(&self, bytes: u64) -> Result<Arc<Block>, RegionError> {
        #[cfg(unix)]
        if let Some(files) = &self.files {
            return files.new_optional(super::files::TRACE, &self.target, bytes).map(|(block, _)| block);
        }
        let block = Arc::new(Block::heap(bytes));
        self.mapping.set_trace(Some(block.clone()));
        Ok(block)
    }

    /// There is no timeline any more.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn remove_trace(&self) -> Result<(), RegionError> {
        #[cfg(unix)]
        if let Some(files) = &self.files {
            return files.directory.remove_optional(super::files::TRACE);
        }
        self.mapping.set_trace(None);
        Ok(())
    }

    /// Zeroed words for a mailbox; and the file where it is one.
    ///
    /// # Errors
    /// No room; what the system refuses.
    pub(crate) fn new_inputs(&self, bytes: u64) -> Result<MailboxParts, RegionError> {
        #[cfg(unix)]
        if let Some(files) = &self.files {
            let (block, file) = files.new_optional(super::files::INPUTS, &self.target, bytes)?;
            return Ok((block, Some(file)));
        }
        let block = Arc::new(Block::heap(bytes));
        self.mapping.set_inputs(Some(block.clone()));
        Ok((block, None))
    }

    /// There is no mailbox any more.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn remove_inputs(&self) -> Result<(), RegionError> {
        #[cfg(unix)]
        if let Some(files) = &self.files {
            return files.directory.remove_optional(super::files::INPUTS);
        }
        self.mapping.set_inputs(None);
        Ok(())
    }

    /// Whether dropping it leaves the region for readers and a later writer. True after a take-over, else false.
    pub(crate) fn set_keep(&mut self, keep: bool) {
        self.keep = keep;
    }

    /// How its memory is used.
    pub(crate) fn usage(&self) -> Usage {
        Usage { backed: self.pool.backed(), allocated: self.pool.allocated(), bytes_max: self.mapping.bytes_max() }
    }

    /// A reader in this process.
    ///
    /// # Errors
    /// Those of [`ReaderMap::open`].
    pub(crate) fn reader(&self) -> Result<ReaderMap, RegionError> {
        if self.mapping.is_heap() {
            return Ok(ReaderMap::of_heap(self.mapping.clone(), self.layout.clone(), self.layout_hash));
        }
        ReaderMap::open(&self.target)
    }

    /// An extent of at least `bytes`, backed; its contents are anything. The data grows where it must.
    ///
    /// # Errors
    /// [`RegionError::Full`] or [`RegionError::NoSpace`]; then nothing has changed.
    pub(crate) fn allocate(&mut self, bytes: u64) -> Result<Extent, RegionError> {
        let extent = match self.pool.allocate(bytes) {
            Some(extent) => extent,
            None => {
                let growth = self.pool.growth(bytes)?;
                if self.grow_to(growth.wanted).is_err() {
                    self.grow_to(growth.least)?;
                }
                self.pool.allocate(bytes).expect("the least growth suffices for the allocation")
            }
        };
        if let Err(error) = self.fill_holes(extent) {
            self.pool.free(extent);
            return Err(error);
        }
        Ok(extent)
    }

    /// The allocator as it stands, to make a plan with.
    pub(crate) fn pool(&self) -> &ExtentPool {
        &self.pool
    }

    /// Puts a plan into force: a copy of the pool in which extents were freed and taken. `fresh` are those that were
    /// taken; their contents are anything.
    ///
    /// # Errors
    /// [`RegionError::NoSpace`]: the machine has no room for it; then nothing has changed.
    pub(crate) fn adopt(&mut self, mut plan: ExtentPool, fresh: &[Extent]) -> Result<(), RegionError> {
        if plan.backed() > self.pool.backed() {
            let step = (self.pool.backed() / 8).next_multiple_of(PAGE_BYTES).max(growth_bytes_min());
            let aim = self.pool.backed().saturating_add(step).min(self.mapping.bytes_max()).max(plan.backed());
            if self.grow_to(aim).is_err() {
                self.grow_to(plan.backed())?;
            }
            if self.pool.backed() > plan.backed() {
                plan.grow_to(self.pool.backed());
            }
        }
        plan.make_lists_long();
        std::mem::swap(&mut plan, &mut self.pool);
        for extent in fresh {
            if let Err(error) = self.fill_holes(*extent) {
                self.pool = plan;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The live reader that holds the oldest generation: its process id, as it sees itself, and that generation.
    pub(crate) fn oldest_reader(&self) -> Option<(u32, u64)> {
        self.mapping.oldest_reader()
    }

    /// Takes an extent back. No reader may hold it: that is the caller's duty.
    ///
    /// # Panics
    /// When it is not in use.
    pub(crate) fn free(&mut self, extent: Extent) {
        self.pool.free(extent);
    }

    /// Takes `named` for all extents in use, whatever was before; an extent may be named more than once.
    ///
    /// # Errors
    /// [`RegionError::BadExtent`] when they overlap or lie outside the data, [`RegionError::NoSpace`]; then nothing has
    /// changed.
    pub(crate) fn rebuild(&mut self, named: &[Extent]) -> Result<(), RegionError> {
        let mut pool = self.pool.clone();
        pool.rebuild(named)?;
        std::mem::swap(&mut pool, &mut self.pool);
        for extent in named {
            if let Err(error) = self.fill_holes(*extent) {
                self.pool = pool;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives free memory back to the system: the data's end, and long free runs inside it. Returns how much. An end no
    /// longer than two growths stays: the next extent that is needed for a moment would only take it again.
    ///
    /// # Errors
    /// What the system refuses; what was given back until then is given back.
    pub(crate) fn trim(&mut self) -> Result<u64, RegionError> {
        let before = self.pool.backed();
        let stays = 2 * (before / 8).max(growth_bytes_min());
        if let Some(tail) = self.pool.free_tail().filter(|tail| tail.offset >= PAGE_BYTES && tail.bytes > stays) {
            self.shrink_to(tail)?;
        }
        let mut given = before - self.pool.backed();
        // what is left of the end stays
        for run in self.pool.backed_runs(fault::sized(PUNCH_BYTES_MIN, 2 * PAGE_BYTES), self.pool.backed() - 1) {
            if self.punch(run)? {
                given += self.pool.punched(run);
            }
        }
        Ok(given)
    }

    /// Makes a generation, which is complete, the newest one.
    pub(crate) fn publish(&self, word: u64) {
        self.mapping.control().publish(word, || self.mapping.had_readers());
    }

    /// The generation words that live readers hold; a dead reader's is cleared, unless it is the published one's.
    /// `out` is emptied first.
    pub(crate) fn pinned(&self, out: &mut Vec<u64>) {
        out.clear();
        self.mapping.pinned(out);
    }

    /// As [`Region::pinned`], and the published word's dead readers are cleared as well: for when what they hold is in
    /// the way of the next publication. Costs a system call per pin.
    pub(crate) fn pinned_by_living(&self, out: &mut Vec<u64>) {
        out.clear();
        self.mapping.pinned_by_living(out);
    }

    #[cfg(test)]
    /// Ends the writer; `keep`: the region stays for readers and a later writer, else it is removed.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn close(mut self, keep: bool) -> Result<(), RegionError> {
        self.keep = keep;
        self.end()
    }

    fn grow_to(&mut self, backed: u64) -> Result<(), RegionError> {
        self.grow_with(backed, Region::back)
    }

    /// Grows the data; `back(region, from, to)` backs the new bytes.
    pub(super) fn grow_with(
        &mut self,
        backed: u64,
        back: impl FnOnce(&Region, u64, u64) -> Result<(), RegionError>,
    ) -> Result<(), RegionError> {
        let from = self.pool.backed();
        fault::refusal("grow").map_err(|error| RegionError::io("grow", &self.place())(error))?;
        // looking would take longer than all else
        if !(self.mapping.is_heap() && backed <= HEAP_UNCHECKED_BYTES) {
            check_memory(&self.target, backed - from)?;
        }
        let done = back(self, from, backed);
        #[cfg(unix)]
        if let (Some(files), Err(_)) = (&self.files, &done) {
            // Part of the new bytes may be there.
            files.data.set_len(from).map_err(RegionError::io("cut", &files.directory.path))?;
        }
        done?;
        fault::point("grown");
        self.pool.grow_to(backed);
        self.mapping.set_backed(backed);
        fault::point("growth-said");
        tracing::debug!(from, backed, "the region's data has grown");
        Ok(())
    }

    /// Backs a part of the bytes that the data is about to get.
    pub(super) fn back(&self, from: u64, to: u64) -> Result<(), RegionError> {
        #[cfg(unix)]
        if let Some(files) = &self.files {
            self.back_hugely(from, to);
            super::files::allocate(&files.data, from, to - from, &files.directory.path)?;
        }
        let _ = from;
        self.mapping.commit(to)
    }

    /// Backs what it can of a named region's new bytes with huge pages: they are mapped in a tenth of the time, and
    /// looked up without missing. What it cannot is left to be backed by small ones.
    #[cfg(unix)]
    fn back_hugely(&self, from: u64, to: u64) {
        let Some(files) = self.files.as_ref().filter(|_| matches!(self.target, RegionTarget::Named(_))) else { return };
        let (from, fresh) = (from & !(os::HUGE_PAGE_BYTES - 1), from.next_multiple_of(os::HUGE_PAGE_BYTES));
        let to = to & !(os::HUGE_PAGE_BYTES - 1);
        if from >= to {
            return;
        }
        if let Err(error) = os::allocate_first_pages(&files.data, fresh..to) {
            tracing::debug!(%error, "no room for huge pages");
        } else if !self.mapping.collapse(from, to) {
            tracing::debug!(from, to, "the system gives no huge pages");
        }
    }

    /// Where it is, for errors.
    fn place(&self) -> std::path::PathBuf {
        self.path().map_or_else(|| "the process's memory".into(), Path::to_path_buf)
    }

    fn shrink_to(&mut self, tail: Extent) -> Result<(), RegionError> {
        self.mapping.set_backed(tail.offset);
        fault::point("shrink-said");
        #[cfg(unix)]
        if let Some(files) = &self.files
            && let Err(error) = files.data.set_len(tail.offset)
        {
            self.mapping.set_backed(self.pool.backed());
            return Err(RegionError::io("cut", &files.directory.path)(error));
        }
        if self.mapping.is_heap() {
            // SAFETY: free bytes: nobody uses them, and an extent's contents are anything until written.
            unsafe { self.mapping.discard(tail.offset, tail.bytes) };
        }
        self.pool.shrink_to(tail.offset);
        Ok(())
    }

    /// Whether the free run's memory could be given back.
    fn punch(&self, run: Extent) -> Result<bool, RegionError> {
        #[cfg(unix)]
        if let Some(files) = &self.files {
            return os::punch_hole(&files.data, run.offset, run.bytes)
                .map_err(RegionError::io("give back memory of", &files.directory.path));
        }
        // SAFETY: as in `shrink_to`.
        Ok(unsafe { self.mapping.discard(run.offset, run.bytes) })
    }

    /// Backs the extent's pages where they lost their memory.
    fn fill_holes(&mut self, extent: Extent) -> Result<(), RegionError> {
        #[cfg(unix)]
        if let Some(files) = &self.files {
            for hole in self.pool.holes_in(extent) {
                super::files::allocate(&files.data, hole.offset, hole.bytes, &files.directory.path)?;
            }
        }
        self.pool.filled(extent);
        Ok(())
    }

    #[cfg(unix)]
    fn end(&mut self) -> Result<(), RegionError> {
        let Some(files) = self.files.take().filter(|_| self.maker.is_here()) else { return Ok(()) };
        let Files { directory, data, lock } = files;
        let done = if self.keep {
            // Only what reached the disk survives a restart of the machine.
            let synced = data.sync_all().map_err(RegionError::io("write out", &directory.path)).and_then(|()| {
                let control = directory.file(super::files::CONTROL, true)?;
                let descriptor = directory.file(super::files::DESCRIPTOR, true)?;
                control.sync_all().and(descriptor.sync_all()).map_err(RegionError::io("write out", &directory.path))?;
                self.control().sign_out(true);
                control.sync_all().map_err(RegionError::io("write out", &directory.path))
            });
            if synced.is_err() {
                self.control().sign_out(false);
            }
            synced
        } else {
            self.control().sign_out(false);
            if directory.is_in_place() { directory.remove() } else { Ok(()) }
        };
        drop(lock);
        done
    }

    #[cfg(not(unix))]
    fn end(&mut self) -> Result<(), RegionError> {
        Ok(())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, target = %self.target, "a region could not be closed");
        }
    }
}

/// What a process hears that was forked off the maker of something.
#[cold]
pub(crate) fn forked(maker: os::Maker) -> RegionError {
    RegionError::Forked { maker: maker.pid(), pid: os::pid() }
}

/// Refuses growth that the machine's memory cannot hold: a private region would die of it later, without a word.
fn check_memory(target: &RegionTarget, bytes: u64) -> Result<(), RegionError> {
    if matches!(target, RegionTarget::Directory(_)) {
        return Ok(());
    }
    if let Some(limit) = os::limit_of_group(bytes) {
        return Err(limit.into());
    }
    match os::memory_available_bytes() {
        Some(available) if available < bytes => {
            Err(RegionError::NoSpace { place: "the machine's memory".to_owned(), requested: bytes, available })
        }
        _ => Ok(()),
    }
}

/// What a refused map means: mostly that the process has no such range of addresses.
#[cfg(unix)]
fn unmappable(bytes_max: u64, path: &Path) -> impl FnOnce(std::io::Error) -> RegionError {
    move |error| {
        if error.kind() == std::io::ErrorKind::OutOfMemory {
            if let Some(limit) = os::limit_of_memory(bytes_max) {
                return limit.into();
            }
            let place = "the process's address space".to_owned();
            return RegionError::NoSpace { place, requested: bytes_max, available: 0 };
        }
        RegionError::io("map", path)(error)
    }
}
