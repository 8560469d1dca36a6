//! What peers need to give another process a consistent state: a mapping with two halves, written in turn, and a word
//! that says which one is whole.
//!
//! It is what a user of such an engine would write by hand, at its simplest: it knows no readers that are still busy
//! with the older half.
#![expect(unsafe_code, reason = "maps a file of its own")]

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::MmapMut;
use rayon::prelude::*;

const HEADER_BYTES: usize = 4096;

/// A shared mapping with two halves.
pub struct Sharing {
    map: MmapMut,
    half_bytes: usize,
    current: usize,
}

impl Sharing {
    /// Two halves of so many bytes, all pages present.
    pub fn new(half_bytes: usize) -> Self {
        let file = anonymous_file();
        let half_bytes = half_bytes.next_multiple_of(4096);
        file.set_len((HEADER_BYTES + 2 * half_bytes) as u64).expect("a file can be sized");
        // SAFETY: a file that this process has just made, under a name that is gone: nobody else changes its size.
        let mut map = unsafe { MmapMut::map_mut(&file) }.expect("a file of one's own can be mapped");
        map.fill(0);
        Sharing { map, half_bytes, current: 0 }
    }

    /// Copies these columns' bytes one after the other into the other half and makes it the current one.
    pub fn publish<'a>(&mut self, columns: impl IntoIterator<Item = &'a [u8]>) {
        let mut rest = self.next();
        for column in columns {
            let (head, tail) = rest.split_at_mut(column.len());
            head.copy_from_slice(column);
            rest = tail;
        }
        self.flip();
    }

    /// The same with all cores.
    pub fn publish_parallel<'a>(&mut self, columns: impl IntoIterator<Item = &'a [u8]>) {
        const BLOCK: usize = 256 << 10;
        let mut rest = self.next();
        for column in columns {
            let (head, tail) = rest.split_at_mut(column.len());
            head.par_chunks_mut(BLOCK).zip(column.par_chunks(BLOCK)).for_each(|(to, from)| to.copy_from_slice(from));
            rest = tail;
        }
        self.flip();
    }

    fn next(&mut self) -> &mut [u8] {
        let at = HEADER_BYTES + (1 - self.current) * self.half_bytes;
        &mut self.map[at..at + self.half_bytes]
    }

    fn flip(&mut self) {
        self.current = 1 - self.current;
        fence(Ordering::Release);
        self.map[..8].copy_from_slice(&(self.current as u64).to_le_bytes());
    }

    /// What a reader sees.
    pub fn current(&self) -> &[u8] {
        let half = u64::from_le_bytes(self.map[..8].try_into().expect("eight bytes")) as usize;
        &self.map[HEADER_BYTES + half * self.half_bytes..][..self.half_bytes]
    }
}

/// A file in shared memory (elsewhere: among temporary files) whose name is gone.
fn anonymous_file() -> File {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let shared = Path::new("/dev/shm");
    let folder: PathBuf = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let name = format!("compare-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = folder.join(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).expect("a file can be made");
    std::fs::remove_file(&path).expect("a file of one's own can be removed");
    file
}
