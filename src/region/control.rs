//! The control file: the words that live while a region does. Only the writer stores to them.
//!
//! ```text
//! offset bytes
//!      0     8  magic "HYPOCTRL"
//!      8     4  format version
//!     12     4  kept: 1 when the last writer closed the region whole and left it, else 0
//!     16    16  region uuid, as in the descriptor
//!     32     8  data bytes: how much of the data is backed
//!     40     8  0
//!     48    16  boot id of the writer
//!     64     8  published: generation << 16 | directory slot; 0: nothing yet
//!    128     4  publications, wrapping; a futex
//!    192     8  writer epoch: 1 for the creator, one more per take-over
//!    200     4  writer process id, 0: none
//!    208     8  writer start, ns since 1970
//!    216     8  frames that the writer has ended
//!    224     8  publications that were skipped
//!    232   512  generations that readers may pin by their frame, each at its number modulo 32, 16 bytes each:
//!                generation << 16 | directory slot u64 (0: none), frame u64
//!   1024     8  bytes of the notes
//!   1032     8  XXH3-64 of the notes
//!   1040  3056  what the region's maker noted, once: lines `name=value` in UTF-8
//!   4096  4096  worker slots, 64 bytes each: process id u32, state u32 (0 none, 1 thread, 2 process,
//!                3 being replaced), jobs u64, deaths u64
//!   8192 16384  directory slots, 32 bytes each: generation u64, offset u64, bytes u64, checksum u64
//! ```
//!
//! All integers are little-endian; what is not named is 0. Readers map the file read-only: they load relaxed and then
//! fence, as an acquiring load may not be done on read-only memory.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::pin;
use crate::limits::{DIRECTORY_SLOTS, NOTES_BYTES_MAX, PINNABLE_GENERATIONS_MAX, WORKERS_MAX};
use crate::os;
use crate::primitive::{AtomicU32, AtomicU64, Ordering, fence};

/// Bytes of the control file.
pub(crate) const CONTROL_BYTES: u64 = 24 * 1024;
const MAGIC: u64 = u64::from_le_bytes(MAGIC_BYTES);
/// First bytes of the control file.
pub(super) const MAGIC_BYTES: [u8; 8] = *b"HYPOCTRL";

#[cfg(not(loom))]
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Control>() as u64 == CONTROL_BYTES);
    assert!(offset_of!(Control, data_bytes) == 32 && offset_of!(Control, boot_id) == 48);
    assert!(offset_of!(Control, published) == 64 && offset_of!(Control, publications) == 128);
    assert!(offset_of!(Control, writer_epoch) == 192 && offset_of!(Control, publish_skipped) == 224);
    assert!(offset_of!(Control, pinnable) == 232);
    assert!(offset_of!(Control, notes_bytes) == 1024 && offset_of!(Control, notes) == 1040);
    assert!(offset_of!(Control, workers) == 4096 && offset_of!(Control, slots) == 8192);
    assert!(cfg!(target_endian = "little"), "shared words are little-endian");
};

/// States of a worker slot.
pub(crate) mod worker_state {
    /// No worker.
    pub(crate) const NONE: u32 = 0;
    /// A thread that takes jobs.
    pub(crate) const THREAD: u32 = 1;
    /// A process that takes jobs.
    pub(crate) const PROCESS: u32 = 2;
    /// Starting, or dead and about to be replaced.
    pub(crate) const REPLACED: u32 = 3;
    /// None, for good: its starts came to nothing.
    pub(crate) const GIVEN_UP: u32 = 4;
}

/// What `inspect` shows of one worker. Padded to a cache line.
#[repr(C, align(64))]
pub(crate) struct WorkerSlot {
    /// Its process id; 0: a thread, or no worker.
    pub pid: AtomicU32,
    /// One of the numbers in [`worker_state`].
    pub state: AtomicU32,
    /// Jobs done.
    pub jobs: AtomicU64,
    /// Deaths in this slot.
    pub deaths: AtomicU64,
}

/// Where the directory of one generation lies.
#[repr(C)]
pub(crate) struct DirectorySlot {
    /// The generation; 0: the slot is free.
    pub generation: AtomicU64,
    /// Its extent's offset in the data.
    pub offset: AtomicU64,
    /// The directory's length.
    pub bytes: AtomicU64,
    /// XXH3-64 of the directory.
    pub checksum: AtomicU64,
}

/// A generation that readers may pin, beside the newest one or that one itself.
#[repr(C)]
pub(crate) struct Pinnable {
    /// See [`pin::word`]; 0: none.
    pub word: AtomicU64,
    /// The frame after which it was published: a hint, its directory says what is so.
    pub frame: AtomicU64,
}

/// The control words.
#[repr(C, align(4096))]
pub(crate) struct Control {
    magic: AtomicU64,
    version: AtomicU32,
    kept: AtomicU32,
    uuid: [AtomicU64; 2],
    data_bytes: AtomicU64,
    reserved_0: AtomicU64,
    boot_id: [AtomicU64; 2],
    /// The newest generation: see [`pin::word`]. Stored with Release by the writer; see [`Control::published`].
    pub published: AtomicU64,
    reserved_1: [AtomicU64; 7],
    /// Counts publications, wrapping; readers sleep on it.
    pub publications: AtomicU32,
    reserved_2: AtomicU32,
    reserved_3: [AtomicU64; 7],
    /// 1 for the creator, one more per take-over.
    pub writer_epoch: AtomicU64,
    /// The writer's process id; 0: none.
    pub writer_pid: AtomicU32,
    reserved_4: AtomicU32,
    /// When the writer began, ns since 1970.
    pub writer_started_ns: AtomicU64,
    /// Frames that the writer has ended: its heartbeat.
    pub frames: AtomicU64,
    /// Publications skipped because readers held all memory.
    pub publish_skipped: AtomicU64,
    pinnable: [Pinnable; PINNABLE_GENERATIONS_MAX],
    reserved_5: [AtomicU64; 35],
    notes_bytes: AtomicU64,
    notes_checksum: AtomicU64,
    notes: [AtomicU64; NOTES_BYTES_MAX / 8],
    /// The pool's workers.
    pub workers: [WorkerSlot; WORKERS_MAX],
    /// The generations' directories.
    pub slots: [DirectorySlot; DIRECTORY_SLOTS],
}

/// Loads a word that may lie in read-only memory, with acquire ordering.
fn load_acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

fn id_words(id: [u8; 16]) -> [u64; 2] {
    let value = u128::from_le_bytes(id);
    [value as u64, (value >> 64) as u64]
}

impl Control {
    /// Words of a private region, all 0.
    pub(crate) fn zeroed() -> Box<Self> {
        fn zeros<const N: usize>() -> [AtomicU64; N] {
            std::array::from_fn(|_| AtomicU64::new(0))
        }
        Box::new(Control {
            magic: AtomicU64::new(0),
            version: AtomicU32::new(0),
            kept: AtomicU32::new(0),
            uuid: zeros(),
            data_bytes: AtomicU64::new(0),
            reserved_0: AtomicU64::new(0),
            boot_id: zeros(),
            published: AtomicU64::new(0),
            reserved_1: zeros(),
            publications: AtomicU32::new(0),
            reserved_2: AtomicU32::new(0),
            reserved_3: zeros(),
            writer_epoch: AtomicU64::new(0),
            writer_pid: AtomicU32::new(0),
            reserved_4: AtomicU32::new(0),
            writer_started_ns: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            publish_skipped: AtomicU64::new(0),
            pinnable: std::array::from_fn(|_| Pinnable { word: AtomicU64::new(0), frame: AtomicU64::new(0) }),
            reserved_5: zeros(),
            notes_bytes: AtomicU64::new(0),
            notes_checksum: AtomicU64::new(0),
            notes: zeros(),
            workers: std::array::from_fn(|_| WorkerSlot {
                pid: AtomicU32::new(0),
                state: AtomicU32::new(0),
                jobs: AtomicU64::new(0),
                deaths: AtomicU64::new(0),
            }),
            slots: std::array::from_fn(|_| DirectorySlot {
                generation: AtomicU64::new(0),
                offset: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                checksum: AtomicU64::new(0),
            }),
        })
    }

    /// Writes the words of a new region; nobody else sees it yet.
    pub(crate) fn initialise(&self, uuid: [u8; 16], data_bytes: u64) {
        self.magic.store(MAGIC, Ordering::Relaxed);
        self.version.store(super::header::FORMAT_VERSION, Ordering::Relaxed);
        store_id(&self.uuid, uuid);
        self.data_bytes.store(data_bytes, Ordering::Release);
    }

    /// Writes what the maker of the region notes: once, before anyone relies on it. Names have neither `=` nor an end of a
    /// line, values no end of a line.
    ///
    /// # Errors
    /// The bytes that they take, where those are more than [`NOTES_BYTES_MAX`].
    pub(crate) fn set_notes(&self, notes: &[(String, String)]) -> Result<(), usize> {
        let line = |text: &str| text.replace(['\n', '\r'], " ");
        let lines = notes.iter().map(|(name, value)| format!("{}={}\n", line(name).replace('=', " "), line(value)));
        let text: String = lines.collect();
        if text.len() > NOTES_BYTES_MAX {
            return Err(text.len());
        }
        for (word, bytes) in self.notes.iter().zip(text.as_bytes().chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
        }
        self.notes_checksum.store(xxhash_rust::xxh3::xxh3_64(text.as_bytes()), Ordering::Relaxed);
        self.notes_bytes.store(text.len() as u64, Ordering::Release);
        Ok(())
    }

    /// What the maker of the region noted; nothing where the bytes are not whole.
    pub(crate) fn notes(&self) -> Vec<(String, String)> {
        let bytes = load_acquire(&self.notes_bytes);
        let Some(len) = usize::try_from(bytes).ok().filter(|len| *len <= NOTES_BYTES_MAX) else { return Vec::new() };
        let mut text: Vec<u8> =
            self.notes[..len.div_ceil(8)].iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        text.truncate(len);
        if xxhash_rust::xxh3::xxh3_64(&text) != self.notes_checksum.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let text = String::from_utf8(text).unwrap_or_default();
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        text.lines().filter_map(pair).collect()
    }

    /// Signs a writer in: the next epoch begins.
    pub(crate) fn sign_in(&self, boot_id: [u8; 16]) {
        self.kept.store(0, Ordering::Relaxed);
        store_id(&self.boot_id, boot_id);
        self.writer_pid.store(os::pid(), Ordering::Relaxed);
        self.writer_started_ns.store(os::unix_time_ns(), Ordering::Relaxed);
        for worker in &self.workers {
            worker.state.store(0, Ordering::Relaxed);
            worker.pid.store(0, Ordering::Relaxed);
        }
        // never 0, which says that no writer has come yet
        let next = self.writer_epoch.load(Ordering::Relaxed).checked_add(1).unwrap_or(1);
        self.writer_epoch.store(next, Ordering::Release);
    }

    /// Signs the writer out; `whole` once all bytes are where a restart of the machine cannot tear them.
    pub(crate) fn sign_out(&self, whole: bool) {
        self.writer_pid.store(0, Ordering::Relaxed);
        self.kept.store(whole.into(), Ordering::Release);
    }

    /// Whether the words belong to the region with this id and are of a known version.
    pub(crate) fn belongs_to(&self, uuid: [u8; 16]) -> bool {
        self.magic.load(Ordering::Relaxed) == MAGIC
            && self.version.load(Ordering::Relaxed) == super::header::FORMAT_VERSION
            && load_id(&self.uuid) == id_words(uuid)
    }

    /// Whether both belong to one region.
    pub(crate) fn is_same(&self, other: &Control) -> bool {
        load_id(&self.uuid) == load_id(&other.uuid)
    }

    /// Whether a writer of another run of the operating system left the region without closing it.
    pub(crate) fn is_torn(&self, boot_id: [u8; 16]) -> bool {
        !self.is_kept() && !self.is_of_boot(boot_id)
    }

    /// Whether the last writer closed the region whole and left it.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed) == 1
    }

    /// Whether the last writer ran in this run of the operating system.
    pub(crate) fn is_of_boot(&self, boot_id: [u8; 16]) -> bool {
        load_id(&self.boot_id) == id_words(boot_id)
    }

    /// How many bytes of the data are backed, as the writer says: a reader checks it against the file.
    pub(crate) fn data_bytes(&self) -> u64 {
        load_acquire(&self.data_bytes)
    }

    /// Says how many bytes are backed: after growing, before shrinking.
    pub(crate) fn set_data_bytes(&self, bytes: u64) {
        self.data_bytes.store(bytes, Ordering::Release);
    }

    /// The newest generation's word; 0: none yet. SYNC POINT publish: pairs with [`Control::publish`].
    pub(crate) fn published(&self) -> u64 {
        load_acquire(&self.published)
    }

    /// Makes a generation the newest one and wakes the readers that wait for it. SYNC POINT publish: pairs with
    /// [`Control::published`]; all that the generation names is written before. `waiters` is asked afterwards whether
    /// any reader can be waiting: it has said so before it looks at the word.
    pub(crate) fn publish(&self, word: u64, waiters: impl FnOnce() -> bool) {
        pin::publish(&self.published, word);
        self.publications.fetch_add(1, Ordering::SeqCst);
        if waiters() {
            os::wake_word(&self.publications);
        }
    }

    /// Offers a generation to readers that ask for its frame; the one that had its place is offered no longer. Only the
    /// writer calls this, with generations that are published and stay until [`Control::withdraw`] and a scan after it.
    pub(crate) fn offer(&self, word: u64, frame: u64) {
        let place = &self.pinnable[pinnable_place(pin::generation(word))];
        place.frame.store(frame, Ordering::Relaxed);
        pin::publish(&place.word, word);
    }

    /// Ends the offer of a generation, if there is one.
    pub(crate) fn withdraw(&self, generation: u64) {
        let place = &self.pinnable[pinnable_place(generation)];
        if pin::generation(place.word.load(Ordering::Relaxed)) == generation {
            pin::withdraw(&place.word);
        }
    }

    /// The generations that are offered, in no order.
    pub(crate) fn offered(&self) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let there = |place: &&Pinnable| place.word.load(Ordering::Relaxed) != pin::NOTHING;
        self.pinnable.iter().filter(there).map(|place| (&place.word, place.frame.load(Ordering::Relaxed)))
    }

    /// Waits until `published` is another word than `seen`, for `timeout` at most, and returns it.
    ///
    /// May return early with `seen` itself, never late: callers that need more look at their own clock.
    pub(crate) fn wait_published(&self, seen: u64, timeout: Duration) -> u64 {
        let publications = self.publications.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let word = self.published();
        if word != seen {
            return word;
        }
        os::wait_word(&self.publications, publications, timeout);
        self.published()
    }
}

/// Where a generation is offered.
fn pinnable_place(generation: u64) -> usize {
    // below the count, so it fits
    (generation % PINNABLE_GENERATIONS_MAX as u64) as usize
}

fn store_id(words: &[AtomicU64; 2], id: [u8; 16]) {
    for (word, value) in words.iter().zip(id_words(id)) {
        word.store(value, Ordering::Relaxed);
    }
}

fn load_id(words: &[AtomicU64; 2]) -> [u64; 2] {
    [words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_next_publication() {
        let control = Control::zeroed();
        control.publish(pin::word(1, 3), || false);
        assert_eq!(control.wait_published(0, Duration::ZERO), pin::word(1, 3));
        let seen = control.published();
        std::thread::scope(|scope| {
            let control = &control;
            let waiter = scope.spawn(move || {
                let mut word = seen;
                while word == seen {
                    word = control.wait_published(seen, Duration::from_secs(10));
                }
                word
            });
            control.publish(pin::word(2, 4), || true);
            assert_eq!(waiter.join().expect("the waiter ends"), pin::word(2, 4));
        });
    }

    /// The count that readers sleep on wraps: each still sees every publication, and the word that it waits for has all
    /// digits.
    #[test]
    fn readers_are_woken_where_the_count_of_publications_wraps() {
        const PUBLICATIONS: u64 = if cfg!(miri) { 10 } else { 2000 };
        let control = Control::zeroed();
        control.publications.store(u32::MAX - PUBLICATIONS as u32 / 2, Ordering::Relaxed);
        control.publish(pin::word(1, 0), || true);
        std::thread::scope(|scope| {
            let control = &control;
            let waiters: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(move || {
                        let mut seen = pin::word(1, 0);
                        while pin::generation(seen) < PUBLICATIONS {
                            let begun = std::time::Instant::now();
                            let word = control.wait_published(seen, Duration::from_secs(60));
                            // a wait that nobody ends is one of a minute
                            assert!(word > seen || begun.elapsed() < Duration::from_secs(50), "it was not woken");
                            seen = word.max(seen);
                        }
                    })
                })
                .collect();
            for generation in 2..=PUBLICATIONS {
                control.publish(pin::word(generation, (generation % 512) as u16), || true);
            }
            waiters.into_iter().for_each(|waiter| waiter.join().expect("the waiter ends"));
        });
        assert!(control.publications.load(Ordering::Relaxed) < PUBLICATIONS as u32, "it has wrapped");
    }

    #[test]
    fn the_epoch_of_writers_wraps_past_0() {
        let control = Control::zeroed();
        control.writer_epoch.store(u64::MAX - 1, Ordering::Relaxed);
        for expected in [u64::MAX, 1, 2] {
            control.sign_in([5; 16]);
            assert_eq!(control.writer_epoch.load(Ordering::Relaxed), expected);
        }
    }

    #[test]
    fn notes_are_whole_or_none() {
        let control = Control::zeroed();
        assert_eq!(control.notes(), []);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let notes = [pair("scene", "ants"), pair("seed", "12=3"), pair("läuft", "")];
        control.set_notes(&notes).expect("they fit");
        assert_eq!(control.notes(), notes);
        control.notes[1].fetch_xor(1 << 20, Ordering::Relaxed);
        assert_eq!(control.notes(), [], "damaged");
        control.notes_bytes.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(control.notes(), [], "rubbish");
        assert!(control.set_notes(&[pair("long", &"x".repeat(NOTES_BYTES_MAX))]).is_err());
    }

    #[test]
    fn a_writer_signs_in_and_out() {
        let control = Control::zeroed();
        control.initialise([3; 16], 4096);
        assert!(control.belongs_to([3; 16]) && !control.belongs_to([4; 16]));
        control.sign_in([5; 16]);
        assert_eq!(control.writer_epoch.load(Ordering::Relaxed), 1);
        assert!(!control.is_torn([5; 16]) && control.is_torn([6; 16]));
        control.sign_out(true);
        assert!(control.is_kept() && !control.is_torn([6; 16]));
        control.sign_in([6; 16]);
        assert!(!control.is_kept() && control.is_torn([5; 16]));
    }
}
