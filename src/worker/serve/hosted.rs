//! Workers that run on threads of the embedder: the pool makes the work, the embedder brings the threads.
//!
//! Invariants: nobody else ever runs the work of a [`HostedWorker`]; its link says that it has ended only when no
//! thread can touch the world for it any more. Until a thread has come, main does the worker's part.
#![expect(unsafe_code, reason = "that a thread has ended short of returning is the embedder's word")]

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::os::Instant;

use crate::worker::error::WorkerError;
use crate::worker::shared::board::Board;
use crate::worker::shared::program::lock;
use crate::worker::shared::wait;

/// No thread has come.
const VACANT: u32 = 0;
/// One is at work.
const SERVING: u32 = 1;
/// It has left.
const ENDED: u32 = 2;
/// The pool closed before one came.
const CLOSED: u32 = 3;

/// How long main sleeps between two looks at a link that is to end.
const LOOK: Duration = Duration::from_millis(1);

/// Where main sees how a hosted worker stands.
pub(in crate::worker) struct HostedLink {
    state: AtomicU32,
    board: Board,
    reason: Mutex<Option<String>>,
}

impl HostedLink {
    /// A vacant one.
    pub(in crate::worker) fn new(board: Board) -> Arc<HostedLink> {
        Arc::new(HostedLink { state: AtomicU32::new(VACANT), board, reason: Mutex::new(None) })
    }

    /// Whether a thread is at work.
    pub(in crate::worker) fn is_serving(&self) -> bool {
        self.state.load(Ordering::Acquire) == SERVING
    }

    /// Why the thread has left, if it has.
    pub(in crate::worker) fn ended(&self) -> Option<String> {
        // SYNC POINT: hosted end
        let ended = self.state.load(Ordering::Acquire) == ENDED;
        ended.then(|| lock(&self.reason).clone().unwrap_or_else(|| "its thread ended".to_owned()))
    }

    /// Takes no new threads, and waits until those that are here have left, at most `grace`. What a thread that has not
    /// left by then still holds, it holds by counted references. The board says already that the pool is closing.
    pub(in crate::worker) fn close(&self, grace: Duration) {
        let begun = Instant::now();
        let vacant = self.state.compare_exchange(VACANT, CLOSED, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        while !vacant && self.is_serving() && begun.elapsed() < grace {
            wait::sleep(self.board.main_bell(), LOOK, || !self.is_serving());
        }
    }

    fn end(&self) {
        // SYNC POINT: hosted end
        self.state.store(ENDED, Ordering::SeqCst);
        wait::wake(self.board.main_bell());
    }
}

/// Says on the link that the thread has left, however it does.
struct Leave(Arc<HostedLink>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A worker's part of a pool, for a thread that the embedder brings: see `Simulation::hosted_workers`.
pub struct HostedWorker {
    index: usize,
    link: Arc<HostedLink>,
    serve: Option<Box<dyn FnOnce() -> Result<(), WorkerError> + Send>>,
}

impl HostedWorker {
    pub(in crate::worker) fn new(
        index: usize,
        link: Arc<HostedLink>,
        serve: impl FnOnce() -> Result<(), WorkerError> + Send + 'static,
    ) -> HostedWorker {
        HostedWorker { index, link, serve: Some(Box::new(serve)) }
    }

    /// Its index in the pool.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Works on this thread until the simulation is closed. It sleeps where there is nothing to do. Returns at once
    /// where the simulation is closed already.
    ///
    /// # Errors
    /// What makes it impossible to go on; the simulation goes on without it.
    pub fn run(mut self) -> Result<(), WorkerError> {
        let Some(serve) = self.serve.take() else { return Ok(()) };
        let came = self.link.state.compare_exchange(VACANT, SERVING, Ordering::SeqCst, Ordering::SeqCst);
        if came.is_err() {
            return Ok(());
        }
        let _leave = Leave(Arc::clone(&self.link));
        serve()
    }

    /// What the embedder keeps to report the worker's death where its thread may stop without returning or unwinding.
    #[must_use]
    pub fn death_notice(&self) -> DeathNotice {
        DeathNotice { link: Arc::clone(&self.link) }
    }
}

impl Drop for HostedWorker {
    fn drop(&mut self) {
        // Nobody will come.
        let _ = self.link.state.compare_exchange(VACANT, ENDED, Ordering::SeqCst, Ordering::SeqCst);
    }
}

impl fmt::Debug for HostedWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedWorker").field("index", &self.index).finish_non_exhaustive()
    }
}

/// For threads that can stop in the middle, as a WebAssembly thread does in a trap: how their simulation hears of it.
#[derive(Clone)]
pub struct DeathNotice {
    link: Arc<HostedLink>,
}

impl DeathNotice {
    /// Tells the simulation that the worker's thread stopped, and why. The job that it had fails, as what it wrote
    /// cannot be undone, and with it the frame. Without effect where the worker was not at work.
    ///
    /// # Safety
    /// - The thread that was in [`HostedWorker::run`] executes nothing of it any more, and never will.
    pub unsafe fn report_death(&self, reason: impl Into<String>) {
        if self.link.is_serving() {
            *lock(&self.link.reason) = Some(reason.into());
            self.link.end();
        }
    }
}

impl fmt::Debug for DeathNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeathNotice").field("serving", &self.link.is_serving()).finish()
    }
}
