//! The atomics the protocols are written with: `core`'s, or loom's when a model is being checked.
//!
//! Every protocol file (ring, pin) imports its atomics from here and from nowhere else, so that the code that is
//! model-checked is the code that runs. [`ordering!`] and [`fence_seq_cst!`] name the places that a model may weaken,
//! to show that it would notice; in every other build they are the ordering and the fence, and nothing else.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// `ordering!(RingTail, Ordering::Release)`: the ordering; `Relaxed` in a model that runs with the mutant `RingTail`.
#[cfg(not(all(test, loom)))]
macro_rules! ordering {
    ($mutant:ident, $ordering:expr) => {
        $ordering
    };
}
#[cfg(all(test, loom))]
macro_rules! ordering {
    ($mutant:ident, $ordering:expr) => {
        if $crate::primitive::mutant::Mutant::$mutant.is_active() {
            $crate::primitive::Ordering::Relaxed
        } else {
            $ordering
        }
    };
}
pub(crate) use ordering;

/// `fence_seq_cst!(PinFence)`: a sequentially consistent fence; none in a model that runs with the mutant `PinFence`.
#[cfg(not(all(test, loom)))]
macro_rules! fence_seq_cst {
    ($mutant:ident) => {
        $crate::primitive::fence($crate::primitive::Ordering::SeqCst)
    };
}
#[cfg(all(test, loom))]
macro_rules! fence_seq_cst {
    ($mutant:ident) => {
        if !$crate::primitive::mutant::Mutant::$mutant.is_active() {
            $crate::primitive::fence($crate::primitive::Ordering::SeqCst)
        }
    };
}
pub(crate) use fence_seq_cst;

/// Deliberate faults that the models must find. Only in model builds.
#[cfg(all(test, loom))]
pub(crate) mod mutant {
    use std::cell::Cell;

    /// One place whose ordering or fence can be taken away.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Mutant {
        /// The producer's store of the tail.
        RingTail,
        /// The consumer's store of the head.
        RingHead,
        /// The consumer's load of the tail.
        RingTailLoad,
        /// The producer's load of the head.
        RingHeadLoad,
        /// The fence between a reader's lease and its second look.
        PinFence,
        /// The fence before the writer scans the leases.
        ScanFence,
        /// The load of a lease in a scan.
        ScanLoad,
        /// The store that publishes a generation.
        Publish,
        /// The store that ends a lease.
        Unpin,
        /// The store of a lease, which also ends the one before it.
        Pin,
    }

    // loom runs a model's threads as coroutines of one thread, so a thread-local is seen by all of them and by no
    // other test.
    thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    impl Mutant {
        /// All of them.
        pub(crate) const ALL: [Mutant; 10] = [
            Mutant::RingTail,
            Mutant::RingHead,
            Mutant::RingTailLoad,
            Mutant::RingHeadLoad,
            Mutant::PinFence,
            Mutant::ScanFence,
            Mutant::ScanLoad,
            Mutant::Publish,
            Mutant::Unpin,
            Mutant::Pin,
        ];

        /// Whether the running model is to go without this.
        pub(crate) fn is_active(self) -> bool {
            ACTIVE.get() == Some(self)
        }

        /// Whether `model` fails without this.
        pub(crate) fn fails(self, model: impl FnOnce()) -> bool {
            ACTIVE.set(Some(self));
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(model));
            ACTIVE.set(None);
            result.is_err()
        }

        /// Asserts that `model` fails without this.
        pub(crate) fn must_fail(self, model: impl FnOnce()) {
            assert!(self.fails(model), "the model does not notice the lack of {self:?}");
        }
    }
}
