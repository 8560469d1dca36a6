//! Memory of messages, kept from one state for the next: what was used before has its pages already.
//!
//! Invariants: what is kept is at most twice the buffers of the largest recent update, and nothing once no update has
//! asked for [`IDLE`]; a buffer comes back when the last holder of its bytes lets go of them, on whichever thread.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use parking_lot::Mutex;

/// Without updates for so long, the memory goes back.
const IDLE: Duration = Duration::from_secs(5);

/// Buffers of one size.
#[derive(Debug)]
pub(super) struct Buffers {
    /// Of each, bytes.
    capacity: usize,
    /// Taken for the update that is being encoded.
    taken: usize,
    used: Instant,
    spare: Arc<Mutex<Spare>>,
}

#[derive(Debug, Default)]
struct Spare {
    kept: Vec<Vec<u8>>,
    kept_max: usize,
}

/// A buffer in use. It comes back when it is dropped.
struct Lent {
    bytes: Vec<u8>,
    spare: Arc<Mutex<Spare>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut spare = self.spare.lock();
        if spare.kept.len() < spare.kept_max {
            spare.kept.push(bytes);
        }
    }
}

impl Buffers {
    pub(super) fn new(capacity: usize) -> Self {
        Buffers { capacity, taken: 0, used: Instant::now(), spare: Arc::default() }
    }

    /// An empty buffer that holds a whole message; `None` where less than a quarter of it would be used.
    pub(super) fn take(&mut self, needed: usize) -> Option<Vec<u8>> {
        if needed < self.capacity / 4 || needed > self.capacity {
            return None;
        }
        self.taken += 1;
        let mut bytes = self.spare.lock().kept.pop().unwrap_or_else(|| Vec::with_capacity(self.capacity));
        bytes.clear();
        Some(bytes)
    }

    /// Bytes that give their memory back, where it is a buffer's.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        if bytes.capacity() != self.capacity {
            return Bytes::from(bytes);
        }
        Bytes::from_owner(Lent { bytes, spare: Arc::clone(&self.spare) })
    }

    /// Call after each update: what it took, twice, may be kept.
    pub(super) fn end_update(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        if taken > 0 {
            self.used = Instant::now();
            let mut spare = self.spare.lock();
            spare.kept_max = spare.kept_max.max(2 * taken);
        }
    }

    /// Call now and then: gives back what nobody has asked for in a while.
    pub(super) fn tidy(&self) {
        if self.used.elapsed() >= IDLE {
            self.clear();
        }
    }

    fn clear(&self) {
        let old = std::mem::take(&mut *self.spare.lock());
        drop(old);
    }

    /// For tests: how many are kept.
    #[cfg(test)]
    fn kept(&self) -> usize {
        self.spare.lock().kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An update of so many full messages.
    fn update(buffers: &mut Buffers, count: usize) -> Vec<Bytes> {
        let messages = (0..count).map(|_| buffers.take(1000).unwrap()).collect::<Vec<_>>();
        buffers.end_update();
        let fill = |(index, mut bytes): (usize, Vec<u8>)| {
            assert!(bytes.is_empty());
            bytes.resize(1000, index as u8);
            buffers.lend(bytes)
        };
        messages.into_iter().enumerate().map(fill).collect()
    }

    #[test]
    fn memory_comes_back_with_the_last_holder() {
        let mut buffers = Buffers::new(1024);
        let first = update(&mut buffers, 3);
        let held = first[1].clone();
        let at = first[0].as_ptr();
        drop(first);
        assert_eq!(buffers.kept(), 2);
        assert_eq!(held, vec![1; 1000]);
        let second = update(&mut buffers, 3);
        assert!(second.iter().any(|bytes| bytes.as_ptr() == at), "the same memory");
        assert_eq!(held, vec![1; 1000], "what somebody holds is not written");
        drop((held, second));
        assert_eq!(buffers.kept(), 4);
    }

    #[test]
    fn what_is_kept_is_bounded_and_goes() {
        let mut buffers = Buffers::new(1024);
        let all: Vec<_> = (0..5).map(|_| update(&mut buffers, 2)).collect();
        drop(all);
        assert_eq!(buffers.kept(), 4);
        buffers.tidy();
        assert_eq!(buffers.kept(), 4, "it was just used");
        let late = update(&mut buffers, 1);
        buffers.clear();
        drop(late);
        assert_eq!(buffers.kept(), 0, "what comes back afterwards goes as well");
    }

    #[test]
    fn small_messages_have_their_own_memory() {
        let mut buffers = Buffers::new(1024);
        assert!(buffers.take(255).is_none() && buffers.take(1025).is_none());
        buffers.end_update();
        drop(buffers.lend(vec![1; 10]));
        assert_eq!(buffers.kept(), 0);
    }
}
