//! Time, and what else only the host of a WebAssembly module knows. Elsewhere the standard library knows it.
//!
//! Invariant: nothing here panics where nobody has said anything: time stands still then, and every wait is over at
//! once.
#![forbid(unsafe_code)]

#[cfg(all(not(target_family = "wasm"), feature = "fault-injection"))]
pub(crate) use crate::fault::stage::Instant;
#[cfg(all(not(target_family = "wasm"), not(feature = "fault-injection")))]
pub(crate) use std::time::Instant;

#[cfg(target_family = "wasm")]
pub use wasm::{Host, set_host};
#[cfg(target_family = "wasm")]
pub(crate) use wasm::{Instant, now_ns};

/// Runners that can work at the same time.
pub(crate) fn cores() -> usize {
    #[cfg(target_family = "wasm")]
    return wasm::cores();
    #[cfg(not(target_family = "wasm"))]
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether a thread can sleep: not where it is the only one there can be.
pub(crate) fn can_sleep() -> bool {
    cfg!(any(not(target_family = "wasm"), target_feature = "atomics"))
}

#[cfg(target_family = "wasm")]
mod wasm {
    use std::sync::OnceLock;
    use std::time::Duration;

    /// What the host of a WebAssembly module tells it. Only there.
    #[derive(Clone, Copy, Debug)]
    pub struct Host {
        /// Nanoseconds since some moment, the same one in all threads; never runs backwards, never 0.
        pub now_ns: fn() -> u64,
        /// Threads that can run at the same time.
        pub cores: usize,
    }

    static HOST: OnceLock<Host> = OnceLock::new();

    /// Tells the library about its host, once in a process, before anything else; false: that has happened already.
    /// Without it there is no time: reports and timelines say 0, and nothing is waited for. Only in WebAssembly.
    pub fn set_host(host: Host) -> bool {
        HOST.set(host).is_ok()
    }

    /// Nanoseconds since some moment; 0: there is no clock.
    pub(crate) fn now_ns() -> u64 {
        HOST.get().map_or(0, |host| (host.now_ns)())
    }

    pub(super) fn cores() -> usize {
        HOST.get().map_or(1, |host| host.cores.max(1))
    }

    /// A moment.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant {
        ns: u64,
    }

    impl Instant {
        pub(crate) fn now() -> Instant {
            Instant { ns: now_ns() }
        }

        /// Time since then; endless where there is no clock.
        pub(crate) fn elapsed(self) -> Duration {
            match now_ns() {
                0 => Duration::MAX,
                now => Duration::from_nanos(now.saturating_sub(self.ns)),
            }
        }
    }

    impl std::ops::Add<Duration> for Instant {
        type Output = Instant;

        fn add(self, time: Duration) -> Instant {
            Instant { ns: self.ns.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)) }
        }
    }
}
