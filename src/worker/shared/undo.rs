//! The undo area: where a worker process keeps the old values of rows that it is about to write in place.
//!
//! A frozen input needs no undo: the job just runs again. A job that writes in place destroys its own input, so it
//! first saves those bytes here, in memory that outlives it. When the worker dies, main puts them back and frees the
//! job. The area is part of the worker's lane (words and tail):
//!
//! ```text
//! word 0   tag of the window << 1 | 1 while armed, else 0
//! word 1   the job                       word 2   bytes of whole entries
//! area     entries: offset in the data segment u64, bytes u64, the bytes, zeros up to a multiple of 8
//! ```
//!
//! Invariants: an entry counts (word 2) only once it is whole, and it counts before the kernel can write; the area is
//! armed from a job's begin until after its end was published, and main restores only for jobs that it has not seen
//! end. What a dead worker left is checked entry by entry, all of it before any of it is used.
#![expect(unsafe_code, reason = "copies to and from the lane's tail, whose exclusion is argued here")]

use std::sync::atomic::{Ordering, fence};

use crate::fault;
use crate::worker::shared::board::Window;
use crate::worker::shared::memory::Memory;

/// Words of the undo area's head.
pub(in crate::worker) const UNDO_WORDS: usize = 16;
const ARMED: usize = 0;
const JOB: usize = 1;
const USED: usize = 2;
const ENTRY_HEAD_BYTES: usize = 16;

/// Where a job saves what it is about to overwrite.
pub(crate) struct Undo<'a> {
    memory: &'a Memory,
    /// First byte of the area in the tail.
    at: usize,
    bytes: usize,
    used: usize,
}

impl<'a> Undo<'a> {
    /// Arms the area for a job.
    ///
    /// # Safety
    /// - The calling worker is the only one that uses this lane's area, until it is dead.
    /// - `at..at + bytes` of the tail is the area, and nothing else is there.
    pub(in crate::worker) unsafe fn begin(
        memory: &'a Memory,
        at: usize,
        bytes: usize,
        window: &Window,
        job: usize,
    ) -> Undo<'a> {
        let words = memory.words();
        words[ARMED].store(0, Ordering::Relaxed);
        words[USED].store(0, Ordering::Release);
        words[JOB].store(job as u64, Ordering::Release);
        words[ARMED].store(window.tag() << 1 | 1, Ordering::Release);
        Undo { memory, at, bytes, used: 0 }
    }

    /// Saves the bytes at `data_offset` of the data segment, which the job is about to overwrite. From its return on
    /// they are restored if the worker dies. False: they do not fit; the job must not overwrite them.
    #[must_use = "bytes that were not saved must not be overwritten"]
    pub(crate) fn save(&mut self, data_offset: u64, bytes: &[u8]) -> bool {
        let Some(end) = self.end_with(bytes.len()) else { return false };
        let mut head = [0; ENTRY_HEAD_BYTES];
        head[..8].copy_from_slice(&data_offset.to_le_bytes());
        head[8..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        // SAFETY: inside the area (`end_with`), which only this worker touches while it lives (`begin`).
        unsafe { self.memory.write_tail(self.at + self.used, &head) };
        // SAFETY: as above.
        unsafe { self.memory.write_tail(self.at + self.used + ENTRY_HEAD_BYTES, bytes) };
        self.used = end;
        self.memory.words()[USED].store(end as u64, Ordering::Release);
        // The kernel's plain writes come after this, whatever the compiler would prefer. (Only a death at an instruction
        // matters here, never another processor: instructions retire in order.)
        fence(Ordering::SeqCst);
        fault::point("undo-saved");
        true
    }

    fn end_with(&self, bytes: usize) -> Option<usize> {
        let end = bytes.checked_next_multiple_of(8)?.checked_add(self.used + ENTRY_HEAD_BYTES)?;
        (end <= self.bytes).then_some(end)
    }

    #[cfg(test)]
    /// Bytes that can still be saved in one piece.
    pub(crate) fn room(&self) -> usize {
        (self.bytes - self.used).saturating_sub(ENTRY_HEAD_BYTES) & !7
    }
}

/// A worker: its job's end was published; there is nothing to undo any more.
pub(in crate::worker) fn disarm(memory: &Memory) {
    memory.words()[ARMED].store(0, Ordering::Release);
}

/// What a dead worker left.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::worker) struct PendingUndo {
    /// The job of the window that it was armed for.
    pub job: u64,
    /// Whole entries, as bytes; not checked yet.
    pub entries: Vec<u8>,
}

/// Reads what a dead worker left for this window, as a private copy; none: nothing was armed.
///
/// # Safety
/// - The worker of this lane is dead and nobody has taken its place.
/// - `at..at + bytes` of the tail is the area.
pub(in crate::worker) unsafe fn pending_undo(
    memory: &Memory,
    at: usize,
    bytes: usize,
    window: &Window,
) -> Option<Result<PendingUndo, String>> {
    let words = memory.words();
    if words[ARMED].load(Ordering::Acquire) != window.tag() << 1 | 1 {
        return None;
    }
    let job = words[JOB].load(Ordering::Acquire);
    let used = words[USED].load(Ordering::Acquire);
    if used > bytes as u64 {
        return Some(Err(format!("{used} bytes in an area of {bytes}")));
    }
    let mut entries = Vec::new();
    // SAFETY: inside the area (checked above); its only writer is dead (the caller's duty).
    unsafe { memory.read_tail(at, used as usize, &mut entries) };
    Some(Ok(PendingUndo { job, entries }))
}

/// Walks a copy of entries: offset and bytes of each. Errors say what cannot be right.
pub(in crate::worker) fn entries(mut rest: &[u8]) -> impl Iterator<Item = Result<(u64, &[u8]), String>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((head, after)) = rest.split_first_chunk::<ENTRY_HEAD_BYTES>() else {
            rest = &[];
            return Some(Err("an entry ends within its head".to_owned()));
        };
        let (offset, len) = head.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        let (offset, len) = (number(offset), number(len));
        let padded = len.checked_next_multiple_of(8).filter(|&padded| padded <= after.len() as u64);
        let Some(padded) = padded else {
            rest = &[];
            return Some(Err(format!("an entry of {len} bytes where {} are left", after.len())));
        };
        rest = &after[padded as usize..];
        Some(Ok((offset, &after[..len as usize])))
    })
}

/// For tests elsewhere: damages the area's head.
#[cfg(test)]
pub(in crate::worker) fn set_used(memory: &Memory, used: u64) {
    memory.words()[USED].store(used, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::shared::memory::Plan;
    use proptest::prelude::*;

    const WINDOW: Window = Window { sequence: 6, jobs: 4, first: 0 };

    fn memory() -> Memory {
        Memory::heap(Plan { futexes: 0, words: UNDO_WORDS, tail_bytes: 256 }).unwrap()
    }

    fn left(memory: &Memory, window: &Window) -> Option<Result<PendingUndo, String>> {
        // SAFETY: the only user is this thread, whose Undo is gone.
        unsafe { pending_undo(memory, 128, 128, window) }
    }

    #[test]
    fn what_was_saved_is_left_behind_until_it_is_disarmed() {
        let memory = memory();
        assert_eq!(left(&memory, &WINDOW), None);
        // SAFETY: the only user.
        let mut undo = unsafe { Undo::begin(&memory, 128, 128, &WINDOW, 3) };
        assert!(undo.save(1000, &[1, 2, 3]));
        assert!(undo.save(2000, &[4; 16]));
        assert!(!undo.save(3000, &[5; 64]), "it does not fit");
        let room = undo.room();
        assert!(undo.save(4000, &vec![6; room]) && !undo.save(0, &[]));
        let found = left(&memory, &WINDOW).unwrap().unwrap();
        assert_eq!(found.job, 3);
        let all: Vec<_> =
            entries(&found.entries).map(|entry| entry.map(|(at, bytes)| (at, bytes.to_vec())).unwrap()).collect();
        assert_eq!(all[..2], [(1000, vec![1, 2, 3]), (2000, vec![4; 16])]);
        assert_eq!(left(&memory, &Window { sequence: 8, ..WINDOW }), None, "another window");
        disarm(&memory);
        assert_eq!(left(&memory, &WINDOW), None);
    }

    #[test]
    fn an_impossible_head_is_refused() {
        let memory = memory();
        // SAFETY: the only user.
        let _ = unsafe { Undo::begin(&memory, 128, 128, &WINDOW, 3) };
        set_used(&memory, 129);
        assert!(left(&memory, &WINDOW).unwrap().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), len in 0u64..64) {
            let mut bytes = bytes;
            if bytes.len() >= 16 {
                bytes[8..16].copy_from_slice(&len.to_le_bytes());
            }
            let mut errors = 0;
            for entry in entries(&bytes) {
                errors += usize::from(entry.is_err());
            }
            prop_assert!(errors <= 1);
        }
    }
}
