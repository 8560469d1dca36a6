//! Frozen generations: how the writer publishes them and how readers pin them.
//!
//! Architecture invariant: nothing here imports the commit; the two meet at words in the region's control page.
#![forbid(unsafe_code)]

pub(crate) mod pin;
