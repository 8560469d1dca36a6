//! What only shared regions can do: names, locks, deaths, hostile files.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use super::super::files::{CONTROL, DATA, DESCRIPTOR, FILES, LEASES, LOCK, TEMPORARY_PREFIX};
use super::*;
use crate::limits::{LEASES_MAX, PAGE_BYTES};
use crate::os::inject;
use crate::primitive::Ordering;

fn shared_places() -> [Place; 2] {
    [Place::named(), Place::directory()]
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it exists").permissions().mode() & 0o7777
}

/// Names in a directory.
pub(super) fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

/// This test program again, running one of the `child_*` tests on `target`; it says "ready" when it is.
fn spawn(test: &str, target: &RegionTarget) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", &format!("region::tests::shared::{test}"), "--ignored", "--nocapture", "--test-threads=1"])
        .env("HYPOSTYLE_TEST_TARGET", target.path().expect("a target").expect("is shared"))
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let stdout = child.stdout.take().expect("is piped");
    let ready = BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line.contains("ready"));
    assert!(ready, "the child is ready");
    child
}

fn child_target() -> Option<RegionTarget> {
    std::env::var_os("HYPOSTYLE_TEST_TARGET").map(|path| RegionTarget::from_path(Path::new(&path)))
}

fn say_ready_and_wait() {
    let mut stdout = std::io::stdout();
    stdout.write_all(b"\nready\n").and_then(|()| stdout.flush()).expect("the parent listens");
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn kill(mut child: Child) {
    child.kill().expect("is killed");
    child.wait().expect("is reaped");
}

#[test]
#[ignore = "a part of other tests"]
fn child_writes() {
    let Some(target) = child_target() else { return };
    let mut region = create(&target);
    let extent = region.allocate(100_000).expect("there is room");
    write(&region, extent, 42);
    region.publish(pin::word(9, 1));
    say_ready_and_wait();
}

#[test]
#[ignore = "a part of other tests"]
fn child_pins() {
    let Some(target) = child_target() else { return };
    let reader = ReaderMap::open(&target).expect("opens");
    let lease = reader.take_lease().expect("a lease");
    lease.word().store(pin::word(5, 5), Ordering::SeqCst);
    say_ready_and_wait();
}

/// Under a umask and a file size limit of its own, as both are the process's.
#[test]
#[ignore = "a part of other tests"]
fn child_has_odd_settings() {
    use rustix::process::{Resource, Rlimit, setrlimit, umask};
    let Some(target) = child_target() else { return };
    umask(rustix::fs::Mode::from_raw_mode(0o777));
    let mut region = create(&target);
    setrlimit(Resource::Fsize, Rlimit { current: Some(8 << 20), maximum: None }).expect("a limit");
    region.allocate(4 << 20).expect("below the limit");
    let usage = region.usage();
    let error = region.allocate(8 << 20).expect_err("above the limit");
    let RegionError::Limit { limit, allowed, .. } = &error else { panic!("{error}") };
    assert_eq!((*limit, *allowed), ("RLIMIT_FSIZE (`ulimit -f`)", 8 << 20), "{error}");
    assert_eq!(region.usage(), usage);
    say_ready_and_wait();
}

#[test]
fn files_are_private_and_whole() {
    for place in shared_places() {
        let region = create(&place.target);
        assert_eq!(region.path(), Some(&*place.path()));
        assert_eq!(mode(&place.path()), 0o700);
        let mut found = names(&place.path());
        found.sort();
        assert_eq!(found, [CONTROL, DATA, DESCRIPTOR, LEASES, LOCK]);
        for name in FILES {
            assert_eq!(mode(&place.path().join(name)), 0o600, "{name}");
        }
        drop(region);
        assert!(!place.path().exists());
    }
}

#[test]
fn modes_and_limits_hold_under_odd_settings() {
    let place = Place::named();
    let child = spawn("child_has_odd_settings", &place.target);
    assert_eq!(mode(&place.path()), 0o700);
    for name in FILES {
        assert_eq!(mode(&place.path().join(name)), 0o600, "{name}");
    }
    kill(child);
}

#[test]
fn a_region_is_never_clobbered() {
    for place in shared_places() {
        let mut region = create(&place.target);
        let error = Region::create(&place.target, LAYOUT, HASH, BYTES_MAX).err().expect("it exists");
        assert!(matches!(error, RegionError::Exists { alive: true, .. }), "{error}");
        assert!(
            matches!(Region::take_over(&place.target), Err(RegionError::Live { pid, .. }) if pid == std::process::id())
        );
        assert!(matches!(clean(&place.target), Err(RegionError::Live { .. })));
        region.set_keep(true);
        drop(region);
        let error = Region::create(&place.target, LAYOUT, HASH, BYTES_MAX).err().expect("it exists");
        assert!(matches!(error, RegionError::Exists { alive: false, .. }), "{error}");
        clean(&place.target).expect("nobody needs it");
        assert!(matches!(ReaderMap::open(&place.target), Err(RegionError::NotFound { .. })));
        create(&place.target);
    }
    // Nor is anything else.
    let place = Place::directory();
    std::fs::write(place.path(), "a file").expect("writes");
    let error = Region::create(&place.target, LAYOUT, HASH, BYTES_MAX).err().expect("it exists");
    assert!(matches!(error, RegionError::Exists { .. }), "{error}");
    assert!(matches!(ReaderMap::open(&place.target), Err(RegionError::NotRegion { .. })));
    assert!(clean(&place.target).is_err());
    assert_eq!(std::fs::read(place.path()).expect("it is there"), b"a file");
}

#[test]
fn nobody_sees_half_a_region() {
    for place in shared_places() {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (done, target) = (&done, &place.target);
            let openers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(move || {
                        let mut opened = 0;
                        while !done.load(Ordering::Relaxed) {
                            match ReaderMap::open(target).and_then(|reader| reader.take_lease().map(|_| reader)) {
                                Ok(reader) => {
                                    assert_eq!(reader.layout_bytes(), LAYOUT);
                                    assert!(reader.backed() >= PAGE_BYTES);
                                    opened += 1;
                                }
                                Err(RegionError::NotFound { .. }) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                        opened
                    })
                })
                .collect();
            for _ in 0..60 {
                let region = create(target);
                std::thread::yield_now();
                region.close(false).expect("closes");
            }
            let kept = create(target);
            while ReaderMap::open(target).is_err() {}
            done.store(true, Ordering::Relaxed);
            let opened: u32 = openers.into_iter().map(|opener| opener.join().expect("no half region")).sum();
            drop(kept);
            assert!(opened > 0, "the openers saw something");
        });
    }
}

#[test]
fn one_of_many_creators_wins() {
    for place in shared_places() {
        let target = &place.target;
        let created = std::thread::scope(|scope| {
            let creators: Vec<_> =
                (0..4).map(|_| scope.spawn(|| Region::create(target, LAYOUT, HASH, BYTES_MAX))).collect();
            let all: Vec<_> = creators.into_iter().map(|creator| creator.join().expect("no panic")).collect();
            let lost = |result: &&Result<Region, RegionError>| matches!(result, Err(RegionError::Exists { .. }));
            assert_eq!(all.iter().filter(lost).count(), 3);
            all.into_iter().filter(Result::is_ok).count()
        });
        assert_eq!(created, 1);
        if let RegionTarget::Directory(path) = &place.target {
            assert!(names(path.parent().expect("has a parent")).is_empty(), "losers leave nothing");
        }
    }
}

#[test]
fn lack_of_space_changes_nothing() {
    for place in shared_places() {
        inject::limit_space(Some(100 * PAGE_BYTES));
        let error = Region::create(&place.target, LAYOUT, HASH, BYTES_MAX).err().expect("no space");
        assert!(matches!(error, RegionError::NoSpace { .. }), "{error}");
        inject::limit_space(None);
        assert!(!place.path().exists());

        let mut region = create(&place.target);
        let usage = region.usage();
        // Less than a growth step, and then less than the extent.
        inject::limit_space(Some(300_000 * 4));
        let grown = region.allocate(usage.backed).expect("the least growth fits");
        assert_eq!(grown.bytes, usage.backed);
        let usage = region.usage();
        let error = region.allocate(3 << 20).expect_err("no space");
        assert!(matches!(error, RegionError::NoSpace { requested, .. } if requested >= 2 << 20), "{error}");
        assert_eq!(region.usage(), usage);
        assert_eq!(std::fs::metadata(place.path().join(DATA)).expect("data").len(), usage.backed);
        // Holes cannot be filled either.
        inject::limit_space(None);
        let hole = region.allocate(4 << 20).expect("there is room");
        let wall = region.allocate(PAGE_BYTES).expect("there is room");
        region.free(hole);
        region.trim().expect("trims");
        let usage = region.usage();
        inject::limit_space(Some(0));
        assert!(matches!(region.allocate(4 << 20), Err(RegionError::NoSpace { .. })));
        assert_eq!(region.usage(), usage);
        inject::limit_space(None);
        assert_eq!(region.allocate(4 << 20).expect("there is room"), hole);
        region.free(wall);
    }
}

#[test]
fn trimmed_memory_goes_back_to_the_system() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::named();
    let mut region = create(&place.target);
    let extents: Vec<Extent> = (0..3).map(|_| region.allocate(4 << 20).expect("there is room")).collect();
    let held = || std::fs::metadata(place.path().join(DATA)).expect("data").blocks() * 512;
    let full = held();
    assert_eq!(full, region.usage().backed);
    region.free(extents[0]);
    assert_eq!(region.trim().expect("trims"), full - held());
    assert!(held() <= full - (4 << 20));
    assert_eq!(region.trim().expect("trims"), 0, "nothing is given back twice");
    region.allocate(4 << 20).expect("there is room");
    assert_eq!(held(), region.usage().backed);
}

#[test]
fn a_dead_writer_leaves_its_region_to_readers_and_the_next_writer() {
    for place in shared_places() {
        let child = spawn("child_writes", &place.target);
        let info = inspect(&place.target);
        assert!(info.alive && !info.is_stale() && info.error.is_none(), "{info:?}");
        assert_eq!((info.writer_pid, info.generation, info.bytes_max), (child.id(), 9, BYTES_MAX));
        assert!(matches!(Region::take_over(&place.target), Err(RegionError::Live { pid, .. }) if pid == child.id()));
        let reader = ReaderMap::open(&place.target).expect("opens");
        assert!(reader.is_alive().expect("tells"));
        kill(child);
        assert!(!reader.is_alive().expect("tells"));
        let info = inspect(&place.target);
        assert!(!info.alive && info.is_stale() && info.same_boot && info.error.is_none(), "{info:?}");

        let named = Extent { offset: PAGE_BYTES, bytes: 100_000 };
        let all_42 = |data, backed| holds(data, backed, named, 42);
        let late = ReaderMap::open(&place.target).expect("opens without a writer");
        assert!(all_42(late.data(), late.backed()));
        let (mut region, layout) = Region::take_over(&place.target).expect("the writer is gone");
        assert_eq!((layout.as_slice(), region.layout_hash()), (LAYOUT, HASH));
        assert_eq!(region.control().writer_epoch.load(Ordering::Relaxed), 2);
        assert_eq!(region.control().published(), pin::word(9, 1));
        region.rebuild(&[named]).expect("consistent");
        let extent = region.allocate(100_000).expect("there is room");
        assert!(extent.offset >= named.offset + named.bytes);
        write(&region, extent, 43);
        assert!(all_42(reader.data(), reader.backed()), "an old reader still reads");
        assert!(reader.is_alive().expect("tells"));
        region.close(false).expect("closes");
        assert!(!reader.is_alive().expect("tells"));
        assert!(all_42(reader.data(), reader.backed()), "mapped memory outlives its name");
        assert!(matches!(reader.take_lease(), Err(RegionError::NotFound { .. })));
    }
}

#[test]
fn a_dead_readers_pin_is_cleared_and_a_live_ones_kept() {
    for place in shared_places() {
        let region = create(&place.target);
        let child = spawn("child_pins", &place.target);
        let own = region.reader().expect("opens").take_lease().expect("a lease");
        own.word().store(pin::word(6, 6), Ordering::SeqCst);
        let mut pins = Vec::new();
        region.pinned(&mut pins);
        pins.sort_unstable();
        assert_eq!(pins, [pin::word(5, 5), pin::word(6, 6)]);
        assert!(inspect(&place.target).reader_pids.contains(&child.id()));
        kill(child);
        // Of the published generation it is in nobody's way, of an older one it is.
        region.publish(pin::word(5, 5));
        region.pinned(&mut pins);
        assert_eq!(pins.len(), 2);
        // Unless its memory is needed for the next publication.
        region.pinned_by_living(&mut pins);
        assert_eq!(pins, [pin::word(6, 6)]);
        region.publish(pin::word(6, 6));
        region.pinned(&mut pins);
        assert_eq!(pins, [pin::word(6, 6)]);
        // Its lease is free again, and empty.
        let reader = region.reader().expect("opens");
        let leases: Vec<Lease> = (1..LEASES_MAX).map(|_| reader.take_lease().expect("a lease")).collect();
        region.pinned(&mut pins);
        assert_eq!(pins, [pin::word(6, 6)]);
        drop(leases);
    }
}

#[test]
fn a_stale_pin_never_outlives_its_lease() {
    let place = Place::named();
    let region = create(&place.target);
    kill(spawn("child_pins", &place.target));
    // Taken over by a new reader before the writer looked.
    let lease = region.reader().expect("opens").take_lease().expect("a lease");
    assert_eq!(lease.word().load(Ordering::Relaxed), 0);
    let mut pins = Vec::new();
    region.pinned(&mut pins);
    assert!(pins.is_empty());
}

#[test]
fn kept_regions_stay_and_stale_ones_go() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let target = |name: &str| RegionTarget::Directory(parent.path().join(name));
    create(&target("kept")).close(true).expect("closes");
    let live = create(&target("live"));
    kill(spawn("child_writes", &target("dead")));
    std::fs::create_dir(parent.path().join("foreign")).expect("a directory");
    std::fs::write(parent.path().join("foreign/descriptor"), "mine").expect("writes");
    std::fs::write(parent.path().join("foreign/lock"), "mine").expect("writes");
    // What a creator left that died half way: one long ago, one just now.
    let old = parent.path().join(format!("{TEMPORARY_PREFIX}1-0"));
    let young = parent.path().join(format!("{TEMPORARY_PREFIX}1-1"));
    for path in [&old, &young] {
        std::fs::create_dir(path).expect("a directory");
        std::fs::write(path.join(LOCK), "").expect("writes");
    }
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::open(&old).and_then(|file| file.set_modified(long_ago)).expect("sets the time");

    let listed = list_in(parent.path()).expect("lists");
    assert_eq!(listed.len(), 6);
    let cleaned: Vec<PathBuf> =
        clean_stale(Some(parent.path()), Duration::ZERO).expect("cleans").into_iter().map(|info| info.path).collect();
    assert_eq!(cleaned, [old, parent.path().join("dead")]);
    let mut left = names(parent.path());
    left.sort();
    assert_eq!(left, [&format!("{TEMPORARY_PREFIX}1-1"), "foreign", "kept", "live"]);
    drop(live);

    // A kept one can be taken over, and is removed on request.
    let (region, _) = Region::take_over(&target("kept")).expect("nobody has it");
    drop(region);
    clean(&target("kept")).expect("nobody has it");
    // A directory with anything else in it is never removed.
    let mut region = create(&target("mixed"));
    region.set_keep(true);
    drop(region);
    std::fs::write(parent.path().join("mixed/notes"), "mine").expect("writes");
    assert!(matches!(clean(&target("mixed")), Err(RegionError::NotRegion { .. })));
    assert_eq!(names(&parent.path().join("mixed")).len(), FILES.len() + 1);
}

#[test]
fn named_regions_are_listed() {
    let place = Place::named();
    let region = create(&place.target);
    let listed = list().expect("lists");
    let info = listed.iter().find(|info| info.path == place.path()).expect("is listed");
    assert!(info.alive && info.error.is_none() && info.name == place.target.to_string(), "{info:?}");
    assert_eq!((info.bytes_backed, info.layout_hash), (region.usage().backed, HASH));
}

/// A kept region, to be damaged.
fn kept(place: &Place) -> PathBuf {
    create(&place.target).close(true).expect("closes");
    place.path()
}

/// Nothing that an opener does may panic or touch unbacked memory, whatever it answers.
fn open_all(target: &RegionTarget) -> [Result<(), RegionError>; 2] {
    let _ = inspect(target);
    let reader = ReaderMap::open(target).map(|reader| {
        if reader.backed() > 0 {
            let _ = read(reader.data(), reader.backed(), Extent { offset: reader.backed() - 1, bytes: 1 });
        }
    });
    // between a fork and the exec of another test's child, a lock that was let go of here is held there
    let patient = || {
        for _ in 0..1000 {
            match Region::take_over(target) {
                Err(RegionError::Live { .. }) => std::thread::sleep(Duration::from_millis(1)),
                answer => return answer,
            }
        }
        Region::take_over(target)
    };
    let writer = patient().map(|(region, _)| {
        let last = Extent { offset: region.mapping().backed() - 1, bytes: 1 };
        let _ = read(region.mapping().data(), region.mapping().backed(), last);
    });
    [reader, writer]
}

#[test]
fn every_damaged_descriptor_is_refused() {
    let place = Place::directory();
    let path = kept(&place).join(DESCRIPTOR);
    let whole = std::fs::read(&path).expect("reads");
    for at in 0..whole.len() {
        for bits in [1, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] ^= bits;
            std::fs::write(&path, bytes).expect("writes");
            for answer in open_all(&place.target) {
                assert!(matches!(answer, Err(RegionError::Header { .. })), "byte {at}: {answer:?}");
            }
        }
    }
    for length in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..length]).expect("writes");
        assert!(open_all(&place.target).iter().all(Result::is_err), "{length} bytes");
    }
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(1 << 40)).expect("a huge file");
    assert!(open_all(&place.target).iter().all(Result::is_err));
    std::fs::write(&path, &whole).expect("writes");
    assert!(open_all(&place.target).iter().all(Result::is_ok));
}

#[test]
fn every_damaged_control_word_is_answered() {
    let place = Place::named();
    let path = kept(&place).join(CONTROL);
    let whole = std::fs::read(&path).expect("reads");
    for at in (0..256).chain((256..whole.len()).step_by(509)) {
        for bits in [1, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] ^= bits;
            std::fs::write(&path, bytes).expect("writes");
            let answers = open_all(&place.target);
            let identity = at < 12 || (16..32).contains(&at);
            assert!(!identity || answers.iter().all(Result::is_err), "byte {at}: {answers:?}");
        }
    }
    for length in [0, 1, 4096, whole.len() - 1, whole.len() + 1] {
        let mut bytes = whole.clone();
        bytes.resize(length, 0);
        std::fs::write(&path, bytes).expect("writes");
        assert!(open_all(&place.target).iter().all(|answer| matches!(answer, Err(RegionError::Corrupt { .. }))));
    }
}

#[test]
fn missing_short_and_strange_files_are_refused() {
    for name in FILES {
        let place = Place::directory();
        let path = kept(&place).join(name);
        let away = place.path().join("..").join(name);
        std::fs::rename(&path, &away).expect("renames");
        let is_needed = |reader: bool| !reader || [DESCRIPTOR, CONTROL, DATA].contains(&name);
        let check = |what: &str| {
            let [reader, writer] = open_all(&place.target);
            assert_eq!(reader.is_err(), is_needed(true), "{name} {what}: {reader:?}");
            assert!(writer.is_err(), "{name} {what}");
        };
        check("missing");
        std::os::unix::fs::symlink(&away, &path).expect("links");
        check("a link");
        std::fs::remove_file(&path).expect("removes");
        std::fs::create_dir(&path).expect("a directory");
        check("a directory");
        std::fs::remove_dir(&path).expect("removes");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a fifo");
        check("a fifo");
        std::fs::remove_file(&path).expect("removes");
        if name != LOCK {
            std::fs::write(&path, "short").expect("writes");
            check("short");
        }
        std::fs::rename(&away, &path).expect("renames");
        assert!(open_all(&place.target).iter().all(Result::is_ok), "{name}");
    }
}

#[test]
fn a_file_cut_after_opening_is_not_believed() {
    let place = Place::named();
    let region = create(&place.target);
    let data = std::fs::File::options().write(true).open(place.path().join(DATA)).expect("opens");
    let reader = ReaderMap::open(&place.target).expect("opens");
    region.control().set_data_bytes(BYTES_MAX);
    data.set_len(3 * PAGE_BYTES).expect("cuts");
    assert_eq!(reader.backed(), 3 * PAGE_BYTES);
}

#[test]
fn a_region_of_another_boot_is_torn_unless_it_was_closed() {
    for (is_closed, place) in [false, true].into_iter().zip(shared_places()) {
        let region = create(&place.target);
        let path = place.path().join(CONTROL);
        let left = std::fs::read(&path).expect("reads");
        region.close(true).expect("closes");
        let mut bytes = if is_closed { std::fs::read(&path).expect("reads") } else { left };
        bytes[48..64].fill(0xAB);
        std::fs::write(&path, bytes).expect("writes");
        for answer in open_all(&place.target) {
            assert_eq!(matches!(answer, Err(RegionError::OtherBoot { .. })), !is_closed, "{answer:?}");
        }
        let info = inspect(&place.target);
        assert_eq!((info.is_stale(), info.error.is_some()), (!is_closed, !is_closed), "{info:?}");
    }
}

#[test]
fn workers_read_all_and_write_through_windows() {
    for place in shared_places() {
        let mut region = create(&place.target);
        let mut worker = WorkerMap::open(&place.path()).expect("opens");
        assert_eq!((worker.layout_bytes(), worker.layout_hash()), (LAYOUT, HASH));
        let extents: Vec<Extent> =
            [64, 256, 3 << 20].map(|bytes| region.allocate(bytes).expect("there is room")).to_vec();
        for (byte, extent) in (1..).zip(&extents) {
            write(&region, *extent, 0);
            let start = worker.window(extent.offset, extent.bytes).expect("a window");
            assert_eq!(worker.window(extent.offset, extent.bytes).expect("the same one"), start);
            #[expect(unsafe_code, reason = "a test writes through its window")]
            // SAFETY: the window is `bytes` long, and the test is its only user.
            unsafe {
                start.write_bytes(byte, extent.bytes as usize);
            }
            assert!(holds(worker.data(), worker.backed(), *extent, byte));
            assert!(holds(region.mapping().data(), worker.backed(), *extent, byte));
        }
        let backed = worker.backed();
        for (offset, bytes) in [(0, 0), (backed, 1), (backed - 1, 2), (u64::MAX, 1), (1, u64::MAX)] {
            assert!(matches!(worker.window(offset, bytes), Err(RegionError::OutOfBounds { .. })), "{offset} {bytes}");
        }
        worker.trim_windows();
    }
}

#[test]
fn readers_wait_for_generations_through_read_only_memory() {
    let place = Place::named();
    let region = create(&place.target);
    let reader = ReaderMap::open(&place.target).expect("opens");
    // the writer wakes nobody before there is a reader with a lease
    let lease = reader.take_lease().expect("a lease");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let mut seen = 0;
            while seen < pin::word(50, 0) {
                seen = reader.control().wait_published(seen, Duration::from_secs(60));
            }
        });
        for generation in 1..=50 {
            region.publish(pin::word(generation, 0));
            std::thread::yield_now();
        }
        waiter.join().expect("it ends");
    });
    drop(lease);
}

/// What is removed is a region, by its own files and through no link; everything is looked at before the first file goes.
#[test]
fn only_regions_are_removed_and_never_by_a_link() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| parent.path().join(name);
    let target = |name: &str| RegionTarget::Directory(path(name));
    let make = |name: &str| {
        let mut region = create(&target(name));
        region.set_keep(true);
    };
    let refused = |name: &str, what: &str| {
        let before = names(&path(name));
        let error = clean(&target(name)).expect_err("it is not removed");
        assert!(matches!(&error, RegionError::NotRegion { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(names(&path(name)), before, "nothing is removed");
    };
    // files that have the names, and are somebody's own
    std::fs::create_dir(path("mine")).expect("a directory");
    for name in FILES {
        std::fs::write(path("mine").join(name), "letters").expect("writes");
    }
    refused("mine", "neither its descriptor nor its control file");
    // a link, with and without a slash at its end
    make("real");
    std::os::unix::fs::symlink("real", path("link")).expect("links");
    refused("link", "it is a link");
    refused("link/", "it is a link");
    assert_eq!(names(&path("real")).len(), FILES.len());
    // a directory, and a link, in the place of a file
    make("half");
    std::fs::remove_file(path("half").join(DATA)).expect("removes");
    std::fs::create_dir(path("half").join(DATA)).expect("a directory");
    refused("half", "its data is no regular file");
    make("linked");
    std::fs::rename(path("linked").join(DATA), path("outside")).expect("renames");
    std::os::unix::fs::symlink("../outside", path("linked").join(DATA)).expect("links");
    refused("linked", "its data is no regular file");
    // one of the two that say what it is does
    for (name, file) in [("without-descriptor", DESCRIPTOR), ("without-control", CONTROL)] {
        make(name);
        std::fs::write(path(name).join(file), "letters").expect("writes");
        clean(&target(name)).expect("it is a region");
        assert!(!path(name).exists());
    }
    clean(&target("real")).expect("it is a region");
}
