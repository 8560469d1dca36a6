//! The words of a trace: memory of this process, or a file of the region, or a part of one.
//!
//! Invariants: the words stay where they are while the block lives; everybody reaches them as aligned 64-bit atomics,
//! in every process. A block of a file that was mapped to be read is never stored to: its users see to that, by
//! making recorders of no such block.
#![cfg_attr(unix, expect(unsafe_code, reason = "sees a mapped file as atomics"))]

use std::sync::atomic::AtomicU64;

enum Backing {
    Heap(Box<[AtomicU64]>),
    #[cfg(unix)]
    File {
        map: crate::os::FileMap,
        words: usize,
    },
}

/// Shared words.
pub(crate) struct Block {
    backing: Backing,
}

impl Block {
    /// Zeroed words of this process's own.
    pub(crate) fn heap(bytes: u64) -> Block {
        let words = (0..bytes / 8).map(|_| AtomicU64::new(0)).collect();
        Block { backing: Backing::Heap(words) }
    }

    /// Maps so many bytes of a file, which must have them backed, from `offset` on, a multiple of the page size.
    ///
    /// # Errors
    /// What the system refuses.
    #[cfg(unix)]
    pub(crate) fn file(file: &std::fs::File, offset: u64, bytes: u64, write: bool) -> std::io::Result<Block> {
        let end = offset.checked_add(bytes);
        if end.is_none_or(|end| file.metadata().map_or(true, |metadata| metadata.len() < end)) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(bytes).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let map = crate::os::FileMap::new(file, offset, len, write)?;
        Ok(Block { backing: Backing::File { map, words: len / 8 } })
    }

    /// The words.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        match &self.backing {
            Backing::Heap(words) => words,
            #[cfg(unix)]
            Backing::File { map, words } => {
                // SAFETY: the map has 8 × `words` bytes, which the file had when it was mapped and nobody cuts (duty of
                // every opener of a region), begins at a page, lives as long as `self`, and is reached by nothing but
                // 64-bit atomics, of which any bytes are a value.
                unsafe { std::slice::from_raw_parts(map.as_mut_ptr().cast::<AtomicU64>(), *words) }
            }
        }
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("words", &self.words().len()).finish_non_exhaustive()
    }
}
