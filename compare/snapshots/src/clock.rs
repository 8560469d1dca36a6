//! The clock that all processes share.
#![forbid(unsafe_code)]

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock.
pub fn nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until then.
pub fn sleep_until(then: u64) {
    let left = then.saturating_sub(nanos());
    if left > 0 {
        std::thread::sleep(Duration::from_nanos(left));
    }
}
