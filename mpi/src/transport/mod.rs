//! What carries bytes between ranks.
//!
//! A [`Transport`] is small: messages between two ranks arrive whole and in order, nothing blocks, and nothing waits for
//! an answer. Deadlines, collective calls and checks of what arrives are [`crate::Comm`]'s, once for all transports.

#[cfg(feature = "mpi")]
mod real;
mod threads;

use std::time::Duration;

use crate::error::ClusterError;

#[cfg(feature = "mpi")]
pub use real::{Aborter, MpiJob, MpiRanks};
pub use threads::{ThreadRank, run_threads};

/// Carries messages between ranks, without ever blocking.
pub trait Transport: Send {
    /// This rank, from 0.
    fn rank(&self) -> usize;
    /// Ranks in all.
    fn size(&self) -> usize;
    /// Begins to send a message.
    ///
    /// # Errors
    /// The rank is gone.
    fn post(&mut self, to: usize, message: Vec<u8>) -> Result<(), ClusterError>;
    /// The next message of a rank, if it is here.
    ///
    /// # Errors
    /// The rank is gone, and has left no message.
    fn take(&mut self, from: usize) -> Result<Option<Vec<u8>>, ClusterError>;
    /// A rank that has not yet taken what was posted to it, as far as the sender must keep it; none where all has left.
    ///
    /// # Errors
    /// A rank is gone.
    fn unsent(&mut self) -> Result<Option<usize>, ClusterError>;
    /// Memory for a message to be posted, with anything in it: that of an earlier message, where there is one.
    fn memory(&mut self) -> Vec<u8> {
        Vec::new()
    }
    /// Takes the memory of a message back that nobody needs any more.
    fn recycle(&mut self, _memory: Vec<u8>) {}
    /// Lets the processor go for a moment; `round` counts from 0 while nothing comes.
    fn pause(&mut self, round: u32) {
        pause(round);
    }
    /// This rank cannot go on. The others learn it at their next call, where the transport can tell them.
    fn failed(&mut self, _why: &str) {}
    /// Ends the run on all ranks: the others are told why, or are ended.
    fn abort(&mut self, why: &str);
}

/// Memory of messages, so that no frame takes new one. What is in it stays: only memory that grows is cleared.
#[derive(Debug, Default)]
struct Pool(Vec<Vec<u8>>);

/// Pieces of memory that wait for a message, at most; and bytes of one.
const POOLED_MAX: usize = 64;
const POOLED_BYTES_MAX: usize = 16 << 20;

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn put(&mut self, memory: Vec<u8>) {
        if self.0.len() < POOLED_MAX && (1..=POOLED_BYTES_MAX).contains(&memory.capacity()) {
            self.0.push(memory);
        }
    }
}

/// Rounds that spin, and rounds that let others run, before the first sleep.
const SPINS: u32 = 6;
const YIELDS: u32 = 20;
/// The longest sleep between two looks.
const SLEEP_MAX: Duration = Duration::from_micros(500);

/// Spins, then lets other threads run, then sleeps longer and longer.
pub(crate) fn pause(round: u32) {
    if round < SPINS {
        (0..1 << round).for_each(|_| std::hint::spin_loop());
    } else if round < YIELDS {
        std::thread::yield_now();
    } else {
        let sleep = Duration::from_micros(20) * (round - YIELDS + 1).min(64);
        std::thread::sleep(sleep.min(SLEEP_MAX));
    }
}
