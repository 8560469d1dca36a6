//! Ranks that are threads of one process: for tests, and for machines without an MPI.
//!
//! A rank that ends, by a return, an error or a panic, hangs up all of its lines: whoever waits for it gets an error at
//! once, after the messages that it left.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{Pool, Transport};
use crate::error::ClusterError;

/// Who failed first, and why.
type Failure = Arc<Mutex<Option<(usize, String)>>>;

/// One of several ranks that are threads.
#[derive(Debug)]
pub struct ThreadRank {
    rank: usize,
    lines: Arc<Lines>,
    failure: Failure,
    pool: Pool,
}

/// Both ends of a rank's lines to all ranks.
#[derive(Debug)]
struct Lines {
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

impl ThreadRank {
    /// All ranks of a new cluster, in order; each is moved to its thread.
    #[must_use]
    pub fn all(size: usize) -> Vec<ThreadRank> {
        let failure = Failure::default();
        let mut to: Vec<Vec<Sender<Vec<u8>>>> = (0..size).map(|_| Vec::with_capacity(size)).collect();
        let mut from: Vec<Vec<Mutex<Receiver<Vec<u8>>>>> = (0..size).map(|_| Vec::with_capacity(size)).collect();
        for to in &mut to {
            for from in &mut from {
                let (sender, receiver) = channel();
                to.push(sender);
                from.push(Mutex::new(receiver));
            }
        }
        let lines = to.into_iter().zip(from).map(|(to, from)| Arc::new(Lines { to, from })).enumerate();
        lines
            .map(|(rank, lines)| ThreadRank { rank, lines, failure: Arc::clone(&failure), pool: Pool::default() })
            .collect()
    }

    fn gone(&self, rank: usize) -> ClusterError {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match &*failure {
            Some((rank, why)) => ClusterError::Gone { rank: *rank, why: why.clone() },
            None => ClusterError::Gone { rank, why: "it has ended before the others".to_owned() },
        }
    }

    fn any_failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Transport for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.lines.to.len()
    }

    fn post(&mut self, to: usize, message: Vec<u8>) -> Result<(), ClusterError> {
        self.lines.to[to].send(message).map_err(|_| self.gone(to))
    }

    fn take(&mut self, from: usize) -> Result<Option<Vec<u8>>, ClusterError> {
        let line = self.lines.from[from].lock().unwrap_or_else(PoisonError::into_inner);
        match line.try_recv() {
            Ok(message) => Ok(Some(message)),
            Err(TryRecvError::Empty) if self.any_failed() => Err(self.gone(from)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(self.gone(from)),
        }
    }

    fn unsent(&mut self) -> Result<Option<usize>, ClusterError> {
        Ok(None)
    }

    fn memory(&mut self) -> Vec<u8> {
        self.pool.take()
    }

    fn recycle(&mut self, memory: Vec<u8>) {
        self.pool.put(memory);
    }

    fn abort(&mut self, why: &str) {
        self.failed(why);
    }

    fn failed(&mut self, why: &str) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| (self.rank, why.to_owned()));
    }
}

/// Runs `body` on so many ranks, each a thread with its [`ThreadRank`], and gives what each returned, in order.
///
/// # Errors
/// The error of the rank that failed first; a panic counts as one. The other ranks are ended by errors of their own calls.
pub fn run_threads<T, F>(size: usize, body: F) -> Result<Vec<T>, ClusterError>
where
    T: Send,
    F: Fn(ThreadRank) -> Result<T, ClusterError> + Sync,
{
    let ranks = ThreadRank::all(size);
    let Some(failure) = ranks.first().map(|rank| Arc::clone(&rank.failure)) else { return Ok(Vec::new()) };
    let one = |rank: ThreadRank| {
        let number = rank.rank;
        // the others learn of its end when it is known why: its lines hang up after that
        let _lines = Arc::clone(&rank.lines);
        let done = match catch_unwind(AssertUnwindSafe(|| body(rank))) {
            Ok(done) => done,
            Err(panic) => Err(ClusterError::Gone { rank: number, why: format!("it panicked: {}", told(&*panic)) }),
        };
        if let Err(error) = &done {
            let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| (number, error.to_string()));
        }
        done
    };
    let done: Vec<Result<T, ClusterError>> = thread::scope(|scope| {
        let threads: Vec<_> = ranks
            .into_iter()
            .map(|rank| {
                let (number, one) = (rank.rank, &one);
                thread::Builder::new().name(format!("rank {number}")).spawn_scoped(scope, move || one(rank))
            })
            .collect();
        let ends = threads.into_iter().enumerate();
        ends.map(|(rank, thread)| match thread.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => Err(ClusterError::Gone { rank, why: told(&*panic) }),
            Err(error) => Err(ClusterError::Gone { rank, why: format!("its thread cannot start: {error}") }),
        })
        .collect()
    });
    let first = failure.lock().unwrap_or_else(PoisonError::into_inner).take().map(|(rank, _)| rank);
    let mut all = Vec::with_capacity(size);
    let mut other = None;
    for (rank, done) in done.into_iter().enumerate() {
        match done {
            Ok(value) => all.push(value),
            Err(error) if first == Some(rank) => return Err(error),
            Err(error) => other = other.or(Some(error)),
        }
    }
    other.map_or(Ok(all), Err)
}

/// What a panic says.
fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
