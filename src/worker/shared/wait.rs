//! Waiting: spin while an answer is near, sleep on a word when it is not.
//!
//! Spinning costs 0.1-1 us to hear news, any sleep 5-130 us. Where there are more runners than cores, spinning yields.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use crossbeam_utils::Backoff;

use crate::os::Instant;

/// The owner of the word sleeps, or is about to.
pub(in crate::worker) const ASLEEP: u32 = 1;
/// The owner of the word is awake.
pub(in crate::worker) const AWAKE: u32 = 0;

/// Sleeps on `bell` until woken, at most `timeout`, unless `news` holds. Sleeping through is impossible: the sleeper
/// declares itself, then looks for news; the sender stores its news, then looks for sleepers (SYNC POINT: bell).
pub(in crate::worker) fn sleep(bell: &AtomicU32, timeout: Duration, news: impl FnOnce() -> bool) {
    bell.store(ASLEEP, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    if !news() {
        sleep_on(bell, timeout);
    }
    bell.store(AWAKE, Ordering::SeqCst);
}

/// Wakes the owner of `bell` if it sleeps. The news must have been stored before (SYNC POINT: bell).
#[inline]
pub(in crate::worker) fn wake(bell: &AtomicU32) {
    fence(Ordering::SeqCst);
    if bell.load(Ordering::SeqCst) == ASLEEP {
        bell.store(AWAKE, Ordering::SeqCst);
        wake_up(bell);
    }
}

#[cfg(target_os = "linux")]
fn sleep_on(bell: &AtomicU32, timeout: Duration) {
    #[cfg(feature = "fault-injection")]
    if crate::fault::stage::sleep(std::ptr::from_ref(bell).addr(), timeout) {
        return;
    }
    use rustix::thread::futex;
    let timeout = futex::Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    // Every way to return (woken, timed out, interrupted, word changed) means: look again.
    let _ = futex::wait(bell, futex::Flags::empty(), ASLEEP, Some(&timeout));
}

#[cfg(target_os = "linux")]
fn wake_up(bell: &AtomicU32) {
    #[cfg(feature = "fault-injection")]
    if crate::fault::stage::wake(std::ptr::from_ref(bell).addr()) {
        return;
    }
    let _ = rustix::thread::futex::wake(bell, rustix::thread::futex::Flags::empty(), 1);
}

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
fn sleep_on(bell: &AtomicU32, timeout: Duration) {
    crate::os::sleep_on(bell, ASLEEP, timeout);
}

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
fn wake_up(bell: &AtomicU32) {
    crate::os::wake(bell, 1);
}

/// Without futexes: a short sleep, then the caller looks again.
#[cfg(not(any(target_os = "linux", all(target_arch = "wasm32", target_feature = "atomics"))))]
fn sleep_on(_bell: &AtomicU32, timeout: Duration) {
    if crate::os::can_sleep() {
        std::thread::sleep(timeout.min(Duration::from_millis(1)));
    }
}

#[cfg(not(any(target_os = "linux", all(target_arch = "wasm32", target_feature = "atomics"))))]
fn wake_up(_bell: &AtomicU32) {}

/// Turns after which a spinner that does not yield begins again with short pauses: news is heard within 8 of them.
const SHORT_TURNS: u32 = 4;

/// Counts the turns of a waiting loop and spends each one fittingly.
pub(in crate::worker) struct Spinner {
    backoff: Backoff,
    turns: u32,
    yielding: bool,
    since: Option<Instant>,
}

impl Spinner {
    /// `yielding`: there are more runners than cores.
    pub(in crate::worker) fn new(yielding: bool) -> Spinner {
        Spinner { backoff: Backoff::new(), turns: 0, yielding, since: None }
    }

    /// Something happened: be quick again.
    pub(in crate::worker) fn reset(&mut self) {
        *self = Spinner::new(self.yielding);
    }

    /// Spends one turn. True once spinning has lasted `limit` and sleeping is due.
    pub(in crate::worker) fn turn(&mut self, limit: Duration) -> bool {
        self.turns = self.turns.wrapping_add(1);
        #[cfg(feature = "fault-injection")]
        if crate::fault::stage::give_way() {
            return self.turns.is_multiple_of(2);
        }
        if self.yielding {
            if cfg!(target_family = "wasm") && self.turns > 2 * SHORT_TURNS {
                // Nothing yields there but sleep.
                return true;
            }
            // pauses that double, then yields
            self.backoff.snooze();
        } else {
            if self.turns.is_multiple_of(SHORT_TURNS) {
                self.backoff.reset();
            }
            self.backoff.spin();
        }
        if !self.turns.is_multiple_of(if self.yielding { 16 } else { 32 }) {
            return false;
        }
        match self.since {
            None => {
                self.since = Some(Instant::now());
                limit.is_zero()
            }
            Some(since) => since.elapsed() >= limit,
        }
    }
}
