//! Entry points for the fuzz targets: each takes arbitrary bytes to a place that must survive them. Not part of the public
//! interface.
//!
//! An entry point returns normally for every input; a panic, a hang or an access outside its memory is a bug. The same entry points
//! run over seeded inputs in the ordinary tests.

mod layouts;
mod mailbox;
#[cfg(unix)]
mod recordings;
mod records;
#[cfg(unix)]
mod regions;
mod rows;
mod told;

pub use layouts::layout_decode;
pub use mailbox::inputs_mailbox;
#[cfg(all(unix, feature = "checkpoint", test))]
pub(crate) use recordings::read_checkpoint;
#[cfg(unix)]
pub use recordings::trace;
#[cfg(all(unix, feature = "checkpoint"))]
pub use recordings::{checkpoint_decode, journal};
pub use records::ring_records;
#[cfg(unix)]
pub use regions::{region_open, takeover};
#[cfg(feature = "checkpoint")]
pub use rows::checkpoint_set;
pub use rows::row_batch;
pub use told::told_patches;

#[cfg(unix)]
use crate::Component;

#[cfg(unix)]
#[derive(Component, Clone, Copy)]
struct Sample {
    x: f32,
    id: u64,
}

/// A directory of this process's own.
#[cfg(unix)]
fn scratch(what: &str) -> std::path::PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    let path = std::env::temp_dir().join(format!("hypostyle-fuzzing-{}-{what}", std::process::id()));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).expect("a temporary directory can be made");
    path
}

/// A directory of this thread's own: tests run beside each other.
#[cfg(unix)]
fn own_scratch(what: &str) -> std::path::PathBuf {
    let thread = std::thread::current();
    let own: String = thread.name().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    scratch(&format!("{what}-{own}"))
}

/// Numbers of a seed, so that a failure can be had again.
#[cfg(test)]
struct Random(u64);

#[cfg(test)]
impl Random {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
