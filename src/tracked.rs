//! Plain shared memory as loom models see it: words whose unsynchronised use fails the model. Only in model builds.
#![expect(unsafe_code, reason = "shares loom's cells between a model's threads")]

use loom::cell::UnsafeCell;

/// Words that any thread may read and write, as far as loom sees an order between conflicting uses.
pub(crate) struct TrackedWords(Vec<UnsafeCell<u64>>);

// SAFETY: loom's threads are coroutines of one thread, and loom fails the model on a use that races with another one.
unsafe impl Sync for TrackedWords {}
// SAFETY: as above.
unsafe impl Send for TrackedWords {}

impl TrackedWords {
    /// Words with these values.
    pub(crate) fn new(words: impl IntoIterator<Item = u64>) -> Self {
        TrackedWords(words.into_iter().map(UnsafeCell::new).collect())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads a word.
    #[track_caller]
    pub(crate) fn get(&self, index: usize) -> u64 {
        // SAFETY: loom panics before this where the read races with a write.
        self.0[index].with(|word| unsafe { *word })
    }

    /// Writes a word.
    #[track_caller]
    pub(crate) fn set(&self, index: usize, value: u64) {
        // SAFETY: loom panics before this where the write races with another use.
        self.0[index].with_mut(|word| unsafe { *word = value });
    }
}
