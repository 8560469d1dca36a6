//! Ctrl-C and its like: a flag that is looked at between frames; the second time the process ends at once.
//!
//! Invariant: a signal that was ignored when the process began stays ignored: `nohup` and shells that start something in
//! the background mean it.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_utils::sync::{Parker, Unparker};

/// How often the watching thread looks at the flag.
const LOOK: Duration = Duration::from_millis(20);

/// Whether the process was asked to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on such signals set the flag.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn catch() -> std::io::Result<Stop> {
        let stop = Stop::default();
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
            stop.at(&[SIGINT, SIGTERM, SIGHUP])?;
        }
        Ok(stop)
    }

    /// The same, but for the end of a terminal (SIGHUP), which sets the other flag: something is to be read again.
    ///
    /// # Errors
    /// What the system refuses.
    #[cfg(feature = "gateway")]
    pub(crate) fn catch_all_but_hangups() -> std::io::Result<(Stop, Arc<AtomicBool>)> {
        let (stop, again) = (Stop::default(), Arc::new(AtomicBool::new(false)));
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
            stop.at(&[SIGINT, SIGTERM])?;
            if !is_ignored(SIGHUP) {
                signal_hook::flag::register(SIGHUP, Arc::clone(&again))?;
            }
        }
        Ok((stop, again))
    }

    #[cfg(unix)]
    fn at(&self, signals: &[i32]) -> std::io::Result<()> {
        for &signal in signals.iter().filter(|signal| !is_ignored(**signal)) {
            let code = i32::from(crate::failure::INTERRUPTED);
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&self.0))?;
            signal_hook::flag::register(signal, Arc::clone(&self.0))?;
        }
        Ok(())
    }

    /// Whether it was asked.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs what takes long and looks at nothing. Where the process is asked to end meanwhile and `work` goes on for longer
    /// than `grace`, `clear_up` is called, on another thread, and the process ends.
    pub(crate) fn over<T>(&self, grace: Duration, clear_up: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        let parker = Parker::new();
        let watcher = parker.unparker().clone();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let parker = parker;
                let is_done = || done.load(Ordering::Acquire);
                while !is_done() && !self.is_asked() {
                    parker.park_timeout(LOOK);
                }
                let asked = std::time::Instant::now();
                while !is_done() && asked.elapsed() < grace {
                    parker.park_timeout(LOOK);
                }
                if !is_done() {
                    clear_up();
                    std::process::exit(crate::failure::INTERRUPTED.into());
                }
            });
            // also where `work` panics
            let _ended = Ended { done: &done, watcher };
            work()
        })
    }
}

struct Ended<'a> {
    done: &'a AtomicBool,
    watcher: Unparker,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        self.watcher.unpark();
    }
}

/// A file that grows past the process's limit becomes an error of the writer, and no longer its death.
///
/// # Errors
/// What the system refuses.
pub(crate) fn survive_long_files() -> std::io::Result<()> {
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// Whether the process ignores a signal.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) >> (signal - 1) & 1 != 0
}

/// The signals that the process ignores, a bit each from signal 1 on.
#[cfg(unix)]
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_in_time_goes_on() {
        let stop = Stop::default();
        assert_eq!(stop.over(Duration::ZERO, || unreachable!("nobody asked"), || 7), 7);
        stop.0.store(true, Ordering::Relaxed);
        assert_eq!(stop.over(Duration::from_secs(3600), || unreachable!("there was time"), || 8), 8);
    }

    #[test]
    #[cfg(unix)]
    fn ignored_signals_are_bits() {
        assert_eq!(ignored("Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n"), 1 | 1 << 12);
        assert_eq!(ignored("rubbish"), 0);
    }
}
