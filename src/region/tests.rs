//! The conformance suite: what every kind of region must do, run on all of them; then what only shared ones can.

#[cfg(all(target_os = "linux", not(miri)))]
mod residue;
#[cfg(all(target_os = "linux", not(miri)))]
mod shared;

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::limits::{DIRECTORY_SLOTS, LEASES_MAX, PAGE_BYTES, REGION_BYTES_INITIAL};
use crate::primitive::Ordering;

pub(super) const LAYOUT: &[u8] = b"an encoded layout";
pub(super) const HASH: u64 = 0xFEED;
pub(super) const BYTES_MAX: u64 = if cfg!(miri) { 2 << 20 } else { 64 << 20 };
const _: () = assert!(BYTES_MAX > REGION_BYTES_INITIAL, "the tests see a region grow");

/// A target nobody else uses, cleaned up at the end whatever happens.
pub(super) struct Place {
    pub target: RegionTarget,
    _directory: Option<tempfile::TempDir>,
}

impl Place {
    fn heap() -> Self {
        Place { target: RegionTarget::Heap, _directory: None }
    }

    pub(super) fn named() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Place { target: RegionTarget::Named(format!("test-{}-{number}", std::process::id())), _directory: None }
    }

    pub(super) fn directory() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Place { target: RegionTarget::Directory(directory.path().join("world")), _directory: Some(directory) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.target.path().expect("a target").expect("is shared")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let RegionTarget::Named(_) = self.target {
            let _ = std::fs::remove_dir_all(self.path());
        }
    }
}

/// Every kind of region that this platform has.
fn places() -> Vec<Place> {
    if cfg!(all(target_os = "linux", not(miri))) {
        vec![Place::heap(), Place::named(), Place::directory()]
    } else {
        vec![Place::heap()]
    }
}

pub(super) fn create(target: &RegionTarget) -> Region {
    Region::create(target, LAYOUT, HASH, BYTES_MAX).expect("the region is created")
}

pub(super) fn write(region: &Region, extent: Extent, byte: u8) {
    assert!(extent.offset + extent.bytes <= region.mapping().backed());
    let start = region.mapping().data().wrapping_add(extent.offset as usize);
    #[expect(unsafe_code, reason = "tests write what they allocated")]
    // SAFETY: an allocated extent is backed, and this test is its only user.
    unsafe {
        start.write_bytes(byte, extent.bytes as usize);
    }
}

pub(super) fn read(data: *const u8, backed: u64, extent: Extent) -> Vec<u8> {
    assert!(extent.offset + extent.bytes <= backed);
    #[expect(unsafe_code, reason = "tests read what they wrote")]
    // SAFETY: the extent is backed, and nobody writes it while the test reads.
    unsafe {
        std::slice::from_raw_parts(data.wrapping_add(extent.offset as usize), extent.bytes as usize).to_vec()
    }
}

/// Whether all bytes of an extent are `byte`.
pub(super) fn holds(data: *const u8, backed: u64, extent: Extent, byte: u8) -> bool {
    read(data, backed, extent) == vec![byte; extent.bytes as usize]
}

#[test]
fn readers_see_what_the_writer_writes() {
    for place in places() {
        let mut region = create(&place.target);
        let reader = region.reader().expect("a reader opens");
        assert_eq!((reader.layout_bytes(), reader.layout_hash()), (LAYOUT, HASH));
        assert_eq!(reader.control().writer_epoch.load(Ordering::Relaxed), 1);
        let data = region.mapping().data();
        // Beyond the first backed bytes: the file grows under the maps.
        let extents: Vec<Extent> =
            [64, 5000, BYTES_MAX / 4].map(|bytes| region.allocate(bytes).expect("there is room")).to_vec();
        for (byte, extent) in (1..).zip(&extents) {
            write(&region, *extent, byte);
        }
        assert_eq!(region.mapping().data(), data, "data never moves");
        for (byte, extent) in (1..).zip(&extents) {
            assert!(holds(reader.data(), reader.backed(), *extent, byte));
        }
        let usage = region.usage();
        assert_eq!(usage.backed, reader.backed());
        assert_eq!(usage.allocated, extents.iter().map(|extent| extent.bytes).sum::<u64>());
        region.publish(pin::word(7, 3));
        assert_eq!(reader.control().published(), pin::word(7, 3));
        assert_eq!(reader.control().slots.len(), DIRECTORY_SLOTS);
        assert!(reader.is_alive().expect("tells"));
    }
}

#[test]
fn a_full_region_says_so_and_goes_on() {
    for place in places() {
        let mut region = create(&place.target);
        let error = region.allocate(2 * BYTES_MAX).expect_err("too much");
        assert!(
            matches!(error, RegionError::Full { requested, bytes_max, .. } if (requested, bytes_max) == (2 * BYTES_MAX, BYTES_MAX))
        );
        assert_eq!(region.usage().allocated, 0);
        let mut extents = Vec::new();
        while let Ok(extent) = region.allocate(BYTES_MAX / 7) {
            write(&region, extent, 1);
            extents.push(extent);
        }
        assert_eq!(extents.len(), 6);
        assert!(region.usage().backed <= BYTES_MAX);
        region.free(extents.remove(2));
        region.allocate(BYTES_MAX / 7).expect("freed bytes are used again");
    }
}

#[test]
fn prefaulted_memory_is_there_and_what_was_stays() {
    for place in places() {
        let mut region = create(&place.target);
        let extent = region.allocate(PAGE_BYTES).expect("room");
        write(&region, extent, 7);
        let mut heard = Vec::new();
        let bytes = BYTES_MAX / 2 + 1;
        region.prefault(bytes, |done, total| heard.push((done, total))).expect("there is memory");
        assert!(region.usage().backed >= bytes && region.usage().backed.is_multiple_of(PAGE_BYTES));
        assert!(heard.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 == pair[1].1), "{heard:?}");
        assert!(heard.first().is_some_and(|(done, _)| *done == 0), "{heard:?}");
        assert!(heard.last().is_some_and(|(done, total)| done == total), "{heard:?}");
        assert!(holds(region.mapping().data(), region.usage().backed, extent, 7));
        let backed = region.usage().backed;
        region.prefault(PAGE_BYTES, |_, _| {}).expect("it has more already");
        assert_eq!(region.usage().backed, backed);
        let error = region.prefault(BYTES_MAX + 1, |_, _| {}).expect_err("too much");
        assert!(matches!(error, RegionError::Full { .. }), "{error}");
        assert_eq!(region.usage().backed, backed);
    }
}

#[cfg_attr(miri, ignore = "regions under Miri are smaller than the end that a trim leaves")]
#[test]
fn trimmed_memory_can_be_used_again() {
    for place in places() {
        let mut region = create(&place.target);
        let piece = BYTES_MAX / 8;
        let extents: Vec<Extent> = (0..6).map(|_| region.allocate(piece).expect("there is room")).collect();
        for extent in &extents {
            write(&region, *extent, 9);
        }
        let full = region.usage().backed;
        // One hole inside, one run at the end.
        for index in [1, 4, 5] {
            region.free(extents[index]);
        }
        let given = region.trim().expect("trims");
        let after = region.usage().backed;
        assert!(given >= full - after && full - after >= 2 * piece, "{given} of {full}");
        assert_eq!(region.mapping().backed(), after);
        let again: Vec<Extent> = (0..3).map(|_| region.allocate(piece).expect("there is room")).collect();
        for extent in &again {
            write(&region, *extent, 5);
        }
        for index in [0, 2, 3] {
            assert!(holds(region.mapping().data(), region.mapping().backed(), extents[index], 9));
        }
    }
}

#[test]
fn rebuilding_frees_what_nobody_names() {
    for place in places() {
        let mut region = create(&place.target);
        let extents: Vec<Extent> =
            [64, 64, 9000, 70_000].map(|bytes| region.allocate(bytes).expect("there is room")).to_vec();
        let overlapping = Extent { offset: extents[2].offset + PAGE_BYTES, bytes: PAGE_BYTES };
        let usage = region.usage();
        assert!(matches!(region.rebuild(&[extents[2], overlapping]), Err(RegionError::BadExtent { .. })));
        assert_eq!(region.usage(), usage);
        region.rebuild(&[extents[0], extents[2]]).expect("consistent");
        assert_eq!(region.usage().allocated, extents[0].bytes + extents[2].bytes);
        assert_eq!(region.allocate(64).expect("there is room"), extents[1]);
        assert_eq!(region.allocate(70_000).expect("there is room"), extents[3]);
    }
}

#[test]
fn pins_are_seen_until_their_leases_end() {
    for place in places() {
        let region = create(&place.target);
        let readers = [region.reader().expect("opens"), region.reader().expect("opens")];
        let mut pins = vec![77];
        region.pinned(&mut pins);
        assert!(pins.is_empty());
        let leases: Vec<Lease> =
            readers.iter().chain(&readers).map(|reader| reader.take_lease().expect("a lease")).collect();
        for (word, lease) in (100..).zip(&leases) {
            lease.word().store(word, Ordering::SeqCst);
        }
        region.pinned(&mut pins);
        pins.sort_unstable();
        assert_eq!(pins, [100, 101, 102, 103]);
        leases[1].word().store(0, Ordering::Release);
        let mut leases = leases.into_iter();
        drop(leases.next());
        region.pinned(&mut pins);
        pins.sort_unstable();
        assert_eq!(pins, [102, 103]);
        drop(leases);
        region.pinned(&mut pins);
        assert!(pins.is_empty());
    }
}

#[test]
fn leases_are_bounded_and_come_back() {
    for place in places() {
        let region = create(&place.target);
        let reader = region.reader().expect("opens");
        let mut leases: Vec<Lease> = (0..LEASES_MAX).map(|_| reader.take_lease().expect("a lease")).collect();
        assert!(matches!(reader.take_lease(), Err(RegionError::NoLease)));
        leases.pop();
        let lease = reader.take_lease().expect("one is free again");
        assert_eq!(lease.word().load(Ordering::Relaxed), 0);
    }
}

#[test]
fn the_smallest_region_works_and_impossible_ones_are_refused() {
    for place in places() {
        let mut region = Region::create(&place.target, &[], 0, 1).expect("two pages");
        assert_eq!(region.usage().bytes_max, 2 * PAGE_BYTES);
        region.allocate(PAGE_BYTES).expect("one page");
        assert!(matches!(region.allocate(1), Err(RegionError::Full { available: 0, .. })));
        drop(region);
        for bytes_max in [u64::MAX, i64::MAX as u64] {
            let error = Region::create(&place.target, &[], 0, bytes_max).err().expect("no machine has that");
            assert!(matches!(error, RegionError::Unaddressable { .. }), "{error}");
        }
        // elsewhere an allocator may promise that much
        if cfg!(all(unix, not(miri))) {
            let error = Region::create(&place.target, &[], 0, 1 << 60).err().expect("no machine has that");
            assert!(matches!(error, RegionError::NoSpace { .. }), "{error}");
        }
        let long = vec![0; crate::limits::LAYOUT_BYTES_MAX + 1];
        assert!(matches!(Region::create(&place.target, &long, 0, 1), Err(RegionError::LayoutTooLong { .. })));
    }
}
