//! Named points of the engine's protocols at which a test can kill a worker, look at what a dead writer would have
//! left, or have the system refuse something. Without the feature `fault-injection` nothing of this is compiled.
//!
//! Real processes: `HYPOSTYLE_FAULT` holds `point:n` (the n-th passing of that point in a process kills it),
//! `point:seed:probability` (each passing of it kills with that probability), or the same with `random` for any point.
//! Only worker processes obey, and those that were told to by [`kill_at`], as the command does with what `HYPOSTYLE_KILL` holds.
//!
//! Simulated ones: where a [`stage`] is set up, whoever passes a point asks its director what comes next.
//!
//! Points of a worker: as it starts `started`, `attached` (to the board), `set-up` (it has all it needs), `ready` (it has said
//! so); then, in the order in which a job passes them: `claimed`, `begun`, `undo-saved` (some of a job's undo
//! records are in place), `mid-record` (part of a job's records is written, unpublished), `ran` (the kernel is through,
//! its end is not written), `end-pushed` (written, unpublished), `published` (before the undo area is disarmed),
//! `disarmed`. Also `mid-event`, wherever an event of the timeline is half written. The others are the writer's; they
//! stand where it changes what outlives it.
#![forbid(unsafe_code)]

/// Passes a point. Compiles to nothing without the feature.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn point(_name: &'static str) {}

/// Makes this process obey `HYPOSTYLE_FAULT`.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn arm() {}

/// What the system says at a point where a test may have it refuse. Without the feature it never does.
///
/// # Errors
/// A test wants one.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn refusal(_name: &'static str) -> std::io::Result<()> {
    Ok(())
}

/// A size, or the one that it has on a stage, where ends are met more often. Without the feature it is what it is.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn sized<T>(size: T, _on_stage: T) -> T {
    size
}

/// A thread that works while the one that started it waits. Without the feature it is nothing.
#[cfg(all(not(feature = "fault-injection"), feature = "checkpoint"))]
pub(crate) struct Guest;

#[cfg(all(not(feature = "fault-injection"), feature = "checkpoint"))]
impl Guest {
    /// Of the calling thread.
    #[inline(always)]
    pub(crate) fn of_this_thread() -> Self {
        Guest
    }

    /// The thread that calls this is the guest.
    #[inline(always)]
    pub(crate) fn enter(self) {}
}

#[cfg(feature = "fault-injection")]
pub mod stage;

#[cfg(feature = "fault-injection")]
pub use armed::kill_at;
#[cfg(feature = "fault-injection")]
pub(crate) use armed::{arm, point, refusal};
#[cfg(all(feature = "fault-injection", feature = "checkpoint"))]
pub(crate) use stage::Guest;
#[cfg(feature = "fault-injection")]
pub(crate) use stage::sized;

#[cfg(feature = "fault-injection")]
mod armed {
    use std::sync::OnceLock;

    use parking_lot::Mutex;

    enum Fault {
        At { point: String, left: u64 },
        Random { point: Option<String>, state: u64, probability: f64 },
    }

    static FAULT: OnceLock<Mutex<Fault>> = OnceLock::new();

    fn parse(text: &str) -> Option<Fault> {
        let mut parts = text.split(':');
        let name = parts.next()?;
        let number = parts.next()?.parse().ok()?;
        match parts.next() {
            None => Some(Fault::At { point: name.to_owned(), left: number }),
            // The pid keeps a replacement from dying exactly where its predecessor did.
            Some(text) => Some(Fault::Random {
                point: Some(name).filter(|name| *name != "random").map(str::to_owned),
                state: (number ^ (u64::from(std::process::id()) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
                probability: text.parse().ok()?,
            }),
        }
    }

    /// This process dies as a text says that `HYPOSTYLE_FAULT` could have; false: it says nothing such, or it was told
    /// before.
    #[must_use]
    pub fn kill_at(fault: &str) -> bool {
        parse(fault).is_some_and(|fault| FAULT.set(Mutex::new(fault)).is_ok())
    }

    /// Makes this process obey `HYPOSTYLE_FAULT`.
    pub(crate) fn arm() {
        if let Some(fault) = std::env::var("HYPOSTYLE_FAULT").ok().as_deref().and_then(parse) {
            let _ = FAULT.set(Mutex::new(fault));
        }
    }

    /// Passes a point: the process may end here, at once and without any clean-up.
    pub(crate) fn point(name: &'static str) {
        super::stage::pass(name);
        obey(name);
    }

    /// What the system says at a point where it can refuse, and where this process may end as well.
    ///
    /// # Errors
    /// A test wants one.
    pub(crate) fn refusal(name: &'static str) -> std::io::Result<()> {
        obey(name);
        super::stage::refusal(name)
    }

    fn obey(name: &'static str) {
        let Some(fault) = FAULT.get() else { return };
        let hit = match &mut *fault.lock() {
            Fault::At { point, left } => {
                *left = left.saturating_sub(u64::from(point == name));
                point == name && *left == 0
            }
            Fault::Random { point: Some(point), .. } if point != name => false,
            Fault::Random { state, probability, .. } => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                ((*state >> 11) as f64) < *probability * (1u64 << 53) as f64
            }
        };
        if hit {
            #[cfg(unix)]
            {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                loop {
                    std::thread::park();
                }
            }
            #[cfg(not(unix))]
            std::process::abort();
        }
    }
}
