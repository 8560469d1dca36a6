//! One job, on main or on a worker: its begin, its kernel with errors and panics caught, its end.
//!
//! Invariant: whatever the kernel does short of ending the process, the writer holds whole records and the job's end.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::os;
use crate::patch::PatchWriter;
use crate::trace::{JobTrace, Recorder};

use crate::fault;
use crate::worker::{Runner, Undo};

/// How a kernel failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Fault {
    /// It returned an error.
    Error(String),
    /// It panicked.
    Panic(String),
}

impl Fault {
    /// As the message of a failure record: one letter for the kind, then the text.
    pub(in crate::worker) fn encode(&self) -> String {
        match self {
            Fault::Error(message) => format!("E{message}"),
            Fault::Panic(message) => format!("P{message}"),
        }
    }

    /// From a failure record's message.
    pub(in crate::worker) fn decode(text: &str) -> Fault {
        match text.split_at_checked(1) {
            Some(("P", message)) => Fault::Panic(message.to_owned()),
            Some(("E", message)) => Fault::Error(message.to_owned()),
            _ => Fault::Error(text.to_owned()),
        }
    }
}

/// How a job went.
pub(in crate::worker) struct Ran {
    /// How long the kernel ran; 0 where there is no clock.
    pub elapsed_ns: u64,
    /// When it ended, ns of the monotonic clock.
    pub ended_ns: u64,
    /// How it failed, if it did.
    pub fault: Option<Fault>,
}

/// Runs a job: its records, from begin to end, go to `writer`.
pub(in crate::worker) fn run(
    runner: &dyn Runner,
    program: &[u64],
    (job, attempt): (u32, u8),
    writer: &mut PatchWriter<'_>,
    undo: Option<&mut Undo<'_>>,
    recorder: &Recorder,
) -> Ran {
    writer.begin_job(job, u32::from(attempt));
    fault::point("begun");
    let begun = os::monotonic_ns();
    let mut trace = JobTrace::begin(recorder, job, begun);
    let result = catch(|| runner.run_job(program, job, writer, undo, &mut trace));
    let ended_ns = os::monotonic_ns();
    let fault = match result {
        Err(message) => Some(Fault::Panic(message)),
        Ok(Err(message)) => Some(Fault::Error(message)),
        Ok(Ok(())) => writer.error().map(|error| Fault::Error(error.to_string())),
    };
    if let Some(fault) = &fault {
        writer.failure(&fault.encode());
    }
    trace.end(begun, ended_ns, attempt, fault.is_some());
    writer.end_job(job, u32::from(attempt), fault.is_none());
    Ran { elapsed_ns: ended_ns.saturating_sub(begun), ended_ns, fault }
}

thread_local! {
    static IN_KERNEL: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a kernel; a panic becomes its message and place, and nothing is printed.
pub(in crate::worker) fn catch<T>(kernel: impl FnOnce() -> T) -> Result<T, String> {
    capture_panics();
    let outer = IN_KERNEL.replace(true);
    let result = catch_unwind(AssertUnwindSafe(kernel));
    IN_KERNEL.set(outer);
    result.map_err(|payload| {
        #[cfg(feature = "fault-injection")]
        if fault::stage::is_death(payload.as_ref()) {
            std::panic::resume_unwind(payload);
        }
        let message = PANIC.with_borrow_mut(Option::take).unwrap_or_else(|| text_of(payload.as_ref()).to_owned());
        // Dropping a payload is the kernel's code too.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        message
    })
}

fn text_of(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Once in a process: puts a hook before the present one that keeps the kernels' panics and passes on all others.
fn capture_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // where a panic is the end, somebody should hear of it
            if cfg!(panic = "abort") || !IN_KERNEL.try_with(Cell::get).unwrap_or(false) {
                return previous(info);
            }
            let text = text_of(info.payload());
            let text = match info.location() {
                Some(place) => format!("{text} ({place})"),
                None => text.to_owned(),
            };
            PANIC.with_borrow_mut(|slot| *slot = Some(text));
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_place() {
        let message = catch(|| panic!("row {} is odd", 7)).unwrap_err();
        assert!(message.starts_with("row 7 is odd (") && message.contains("job.rs:"), "{message}");
        assert_eq!(catch(|| 5), Ok(5));
        let message = catch(|| std::panic::panic_any(5u8)).unwrap_err();
        assert!(message.starts_with("a panic without a message"), "{message}");
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert!(catch(|| std::panic::panic_any(Bomb)).is_err());
    }

    #[test]
    fn faults_survive_the_way_through_a_record() {
        for fault in [Fault::Error("é E".to_owned()), Fault::Panic(String::new())] {
            assert_eq!(Fault::decode(&fault.encode()), fault);
        }
        assert_eq!(Fault::decode(""), Fault::Error(String::new()));
        assert_eq!(Fault::decode("é"), Fault::Error("é".to_owned()));
    }
}
