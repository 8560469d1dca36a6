//! CPU time of a thread: what shares of a step are measured in, as it does not count what other processes take.
#![forbid(unsafe_code)]

use std::time::Duration;

/// CPU time of the calling thread so far; 0 where the system does not tell it.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_counts_and_sleep_does_not() {
        let begun = thread_cpu_time();
        std::thread::sleep(Duration::from_millis(60));
        let slept = thread_cpu_time() - begun;
        assert!(slept < Duration::from_millis(30), "{slept:?}");
        let (begun, wall) = (thread_cpu_time(), std::time::Instant::now());
        while thread_cpu_time() - begun < Duration::from_millis(5) {
            assert!(wall.elapsed() < Duration::from_secs(60), "work takes no time");
        }
    }
}
