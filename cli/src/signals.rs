#![forbid(unsafe_code)]
//! Ctrl-C and its like: a flag that is looked at between frames; the second time the process ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            let code = i32::from(crate::failure::INTERRUPTED);
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop.0))?;
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    /// Whether it was asked.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
