//! Publish and pin: how a reader holds a generation without a lock that the writer waits on.
//!
//! `published` is one word: generation << 16 | directory slot; 0: nothing yet. A reader's lease is a word of its own
//! that holds the published word it pins; 0: none.
//!
//! ```text
//! reader: word = published; lease = word; fence(SeqCst); published still word?  -> pinned, else again
//! writer: published = next; ...; fence(SeqCst); read all leases                 -> reuse what is neither
//! ```
//!
//! The two fences are in one total order (Dekker's argument): either the reader's comes first, and the writer's scan
//! sees the lease; or the writer's comes first, and the reader's second look sees a newer word and tries again. So a
//! generation that was not the published one at the scan's fence, and is in no lease after it, is pinned by nobody,
//! now or ever. SeqCst on the accesses alone is not enough; the models at the end run without each part and fail.
//!
//! Generations that are kept have a word each that is pinned in the same way, for readers that ask for one frame: the
//! writer withdraws it before it scans.
//!
//! Invariants: a word that is pinned never comes back once it was replaced; published words only grow; the writer
//! never writes a lease, a reader nothing but its own. This file never knows what a generation holds or where the
//! words live.
#![forbid(unsafe_code)]

use crate::primitive::{AtomicU64, Ordering, fence_seq_cst, ordering};

/// The word of no generation.
pub(crate) const NOTHING: u64 = 0;
/// Bits of the directory slot in a word.
pub(crate) const SLOT_BITS: u32 = 16;
/// The largest number that fits a word. No generation has it: the columns that are written after the last generation
/// are stamped with it. At 1000 generations a second they last for nine thousand years.
pub(crate) const GENERATION_MAX: u64 = (1 << (64 - SLOT_BITS)) - 1;
/// How often a reader looks again before it gives up on a word that never stands still. The writer would have to
/// publish between two neighbouring loads every time: only a hostile one does.
const ATTEMPTS_MAX: u32 = if cfg!(loom) { 4 } else { 1 << 16 };

const _: () = assert!(crate::limits::DIRECTORY_SLOTS <= 1 << SLOT_BITS, "a word names every slot");
const _: () = assert!(GENERATION_MAX <= crate::limits::FRAME_MAX, "generations are exact in an f64, as frames are");

/// The word of a generation (1 to [`GENERATION_MAX`]) in a directory slot.
#[inline]
pub(crate) const fn word(generation: u64, slot: u16) -> u64 {
    debug_assert!(generation > 0 && generation <= GENERATION_MAX);
    (generation << SLOT_BITS) | slot as u64
}

/// The generation of a word.
#[inline]
pub(crate) const fn generation(word: u64) -> u64 {
    word >> SLOT_BITS
}

/// The directory slot of a word.
#[inline]
pub(crate) const fn slot(word: u64) -> u16 {
    word as u16
}

/// Pins the published generation in `lease`, which is this reader's own, and returns its word. Until
/// [`unpin`], or another `pin` in the same lease, nothing that the generation names is reused.
///
/// `None`: nothing is published, or (a hostile writer) the published word never stands still; the lease is empty then.
#[inline]
pub(crate) fn pin(published: &AtomicU64, lease: &AtomicU64) -> Option<u64> {
    let mut word = published.load(Ordering::Relaxed);
    for _ in 0..ATTEMPTS_MAX {
        if word == NOTHING {
            break;
        }
        crate::fault::point("word-loaded");
        // SYNC POINT lease: it may end an older pin, whose reads come before it.
        lease.store(word, ordering!(Pin, Ordering::Release));
        crate::fault::point("lease-stored");
        fence_seq_cst!(PinFence);
        // SYNC POINT published: what the generation names was written before it was published. The fence acquires what
        // the first load saw; an acquiring load may not be done here, as readers map the word read-only.
        let again = published.load(Ordering::Relaxed);
        if again == word {
            return Some(word);
        }
        word = again;
    }
    unpin(lease);
    None
}

/// Ends the pin in `lease`.
#[inline]
pub(crate) fn unpin(lease: &AtomicU64) {
    // SYNC POINT lease: the reader's reads come before the writer's reuse.
    lease.store(NOTHING, ordering!(Unpin, Ordering::Release));
}

/// Publishes a generation that is complete. Only the writer calls this.
#[inline]
pub(crate) fn publish(published: &AtomicU64, word: u64) {
    // SYNC POINT published: everything written before is seen by the reader that pins the word.
    published.store(word, ordering!(Publish, Ordering::Release));
}

/// Ends the offer of a kept generation: after the next [`scan`] it is pinned by those in the leases alone. Only the
/// writer calls this.
#[inline]
pub(crate) fn withdraw(offered: &AtomicU64) {
    // ordered before the scan's loads by its fence
    offered.store(NOTHING, Ordering::Relaxed);
}

/// Calls `each` with the place and the word of every pin. After this, a generation that is neither published nor among
/// them is free for good. Only the writer calls this, after it has published what replaces the generations that it
/// wants to reuse. `leases` is asked for the leases after the fence: which there are may be a word that readers raise
/// before they pin.
pub(crate) fn scan<'a, I: Iterator<Item = &'a AtomicU64>>(
    leases: impl FnOnce() -> I,
    mut each: impl FnMut(usize, u64),
) {
    fence_seq_cst!(ScanFence);
    for (place, lease) in leases().enumerate() {
        // SYNC POINT lease: a reader's reads come before the reuse of what it no longer pins.
        let word = lease.load(ordering!(ScanLoad, Ordering::Acquire));
        if word != NOTHING {
            each(place, word);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn words(leases: &[AtomicU64]) -> Vec<u64> {
        let mut out = Vec::new();
        scan(|| leases.iter(), |_, word| out.push(word));
        out
    }

    #[test]
    fn a_word_has_a_generation_and_a_slot() {
        for (g, s) in [(1, 0), (1, u16::MAX), (GENERATION_MAX, 511)] {
            assert_eq!((generation(word(g, s)), slot(word(g, s))), (g, s));
            assert_ne!(word(g, s), NOTHING);
        }
        assert!(word(2, 0) > word(1, u16::MAX), "published words grow");
    }

    #[test]
    fn a_pin_is_seen_until_it_ends() {
        let (published, leases) = (AtomicU64::new(NOTHING), [const { AtomicU64::new(NOTHING) }; 3]);
        assert_eq!(pin(&published, &leases[1]), None);
        assert!(words(&leases).is_empty());
        publish(&published, word(1, 0));
        assert_eq!(pin(&published, &leases[1]), Some(word(1, 0)));
        publish(&published, word(2, 1));
        assert_eq!(pin(&published, &leases[2]), Some(word(2, 1)));
        assert_eq!(words(&leases), [word(1, 0), word(2, 1)]);
        unpin(&leases[1]);
        assert_eq!(words(&leases), [word(2, 1)]);
        publish(&published, word(3, 0));
        assert_eq!(pin(&published, &leases[2]), Some(word(3, 0)), "a pin in the same lease ends the one before");
        assert_eq!(words(&leases), [word(3, 0)]);
        publish(&published, NOTHING);
        assert_eq!(pin(&published, &leases[2]), None);
        assert_eq!(leases[2].load(Ordering::Relaxed), NOTHING, "a failed pin leaves an empty lease");
    }

    #[test]
    fn a_withdrawn_generation_is_pinned_no_more() {
        let (offered, leases) = (AtomicU64::new(word(7, 3)), [const { AtomicU64::new(NOTHING) }; 2]);
        assert_eq!(pin(&offered, &leases[0]), Some(word(7, 3)));
        withdraw(&offered);
        assert_eq!(pin(&offered, &leases[1]), None);
        assert_eq!(words(&leases), [word(7, 3)], "who has it keeps it");
    }

    #[test]
    fn a_pinned_slot_is_never_reused() {
        const SLOTS: usize = 4;
        let generations = if cfg!(miri) { 40 } else { 100_000 };
        let published = AtomicU64::new(word(1, 0));
        let leases = [const { AtomicU64::new(NOTHING) }; 2];
        let slots = [const { [const { AtomicU64::new(1) }; 8] }; SLOTS];
        let stop = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for lease in &leases {
                scope.spawn(|| {
                    while stop.load(Ordering::Relaxed) == 0 {
                        let word = pin(&published, lease).expect("published");
                        for value in &slots[usize::from(slot(word))] {
                            assert_eq!(value.load(Ordering::Relaxed), generation(word));
                        }
                        unpin(lease);
                    }
                });
            }
            for next in 2..generations {
                let current = published.load(Ordering::Relaxed);
                let pinned = words(&leases);
                let free =
                    (0..SLOTS as u16).find(|s| *s != slot(current) && pinned.iter().all(|word| slot(*word) != *s));
                let free = free.expect("two readers, one published: one of four is free");
                slots[usize::from(free)].iter().for_each(|value| value.store(next, Ordering::Relaxed));
                publish(&published, word(next, free));
            }
            stop.store(1, Ordering::Relaxed);
        });
    }
}

#[cfg(all(test, loom))]
pub(crate) mod models {
    //! Every interleaving of a writer that reuses slots and a reader that pins; and what each ordering is for.

    use std::sync::Arc;

    use super::*;
    use crate::primitive::mutant::Mutant;
    use crate::tracked::TrackedWords;

    struct World {
        published: AtomicU64,
        lease: AtomicU64,
        /// Each slot's bytes: the generation that was written there. Plain memory: only the protocol orders it.
        slots: TrackedWords,
    }

    /// Generation 1 is in slot 0; the writer makes 2 in slot 1, and 3 and on in whatever is free.
    fn reuse(generations: u64, pins: usize) {
        loom::model(move || {
            let slots = TrackedWords::new([1, 0]);
            let world =
                Arc::new(World { published: AtomicU64::new(word(1, 0)), lease: AtomicU64::new(NOTHING), slots });
            let reader = {
                let world = Arc::clone(&world);
                loom::thread::spawn(move || {
                    for _ in 0..pins {
                        let word = pin(&world.published, &world.lease).expect("published");
                        assert_eq!(world.slots.get(usize::from(slot(word))), generation(word), "a pinned slot");
                        unpin(&world.lease);
                    }
                })
            };
            let mut current = word(1, 0);
            for next in 2..=generations {
                let next = word(next, 1 - slot(current));
                let mut free = true;
                scan(|| [&world.lease].into_iter(), |_, word| free &= slot(word) != slot(next));
                if !free {
                    break;
                }
                world.slots.set(usize::from(slot(next)), generation(next));
                publish(&world.published, next);
                current = next;
            }
            reader.join().expect("the reader saw what it pinned");
        });
    }

    /// What the models are called.
    pub(crate) const MODELS: [(&str, fn()); 3] =
        [("pin and reuse", small), ("two pins in one lease", two_pins), ("a kept generation is let go", let_go)];

    fn small() {
        reuse(3, 1);
    }

    /// Generation 1 is in slot 0 and kept; the writer lets go of it and writes 2 there.
    fn let_go() {
        loom::model(|| {
            let slots = TrackedWords::new([1, 0]);
            let world =
                Arc::new(World { published: AtomicU64::new(word(1, 0)), lease: AtomicU64::new(NOTHING), slots });
            let reader = {
                let world = Arc::clone(&world);
                loom::thread::spawn(move || {
                    if let Some(word) = pin(&world.published, &world.lease) {
                        assert_eq!(world.slots.get(usize::from(slot(word))), generation(word), "a pinned slot");
                        unpin(&world.lease);
                    }
                })
            };
            withdraw(&world.published);
            let mut free = true;
            scan(|| [&world.lease].into_iter(), |_, _| free = false);
            if free {
                world.slots.set(0, 2);
            }
            reader.join().expect("the reader saw what it pinned");
        });
    }

    #[test]
    fn what_was_let_go_is_reused_only_where_nobody_has_it() {
        let_go();
    }

    #[test]
    fn without_the_readers_fence_a_kept_generation_is_lost() {
        Mutant::PinFence.must_fail(let_go);
    }

    #[test]
    fn without_the_writers_fence_a_kept_generation_is_lost() {
        Mutant::ScanFence.must_fail(let_go);
    }

    fn two_pins() {
        reuse(3, 2);
    }

    #[test]
    fn a_pinned_slot_is_never_reused() {
        small();
        two_pins();
    }

    #[test]
    fn without_the_readers_fence_it_fails() {
        Mutant::PinFence.must_fail(small);
    }

    #[test]
    fn without_the_writers_fence_it_fails() {
        Mutant::ScanFence.must_fail(small);
    }

    #[test]
    fn without_release_of_the_published_word_it_fails() {
        Mutant::Publish.must_fail(small);
    }

    #[test]
    fn without_release_at_the_end_of_a_lease_it_fails() {
        Mutant::Unpin.must_fail(small);
    }

    #[test]
    fn without_acquire_of_the_leases_it_fails() {
        Mutant::ScanLoad.must_fail(small);
    }

    #[test]
    fn without_release_of_the_next_lease_it_fails() {
        Mutant::Pin.must_fail(two_pins);
    }
}
