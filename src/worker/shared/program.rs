//! The program of a batch where the workers can read it: a block of words beside the board.
//!
//! Invariants: the block is lengthened, or else replaced by a larger one, when a program outgrows it, and has a new
//! number on the board then; words change only while no window is on; worker processes can only read them. On Linux it is
//! one segment for life: a worker that has it open needs to open nothing any more.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::worker::serve::worker_loop::ProgramBlock;
use crate::worker::shared::board::Board;
use crate::worker::shared::memory::{Memory, MemoryError, Plan};

/// Locks; nobody panics while it holds the lock. The standard library's mutex, as it is the one that can wait in WebAssembly.
pub(in crate::worker) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the program of the present batch lies for the workers.
pub(in crate::worker) struct Program {
    shared: bool,
    /// For threads.
    pub heap: Arc<Mutex<ProgramBlock>>,
    /// What owns the segment.
    owner: Arc<Memory>,
    memory: Arc<Memory>,
    words: usize,
    number: u64,
    version: u64,
}

impl Program {
    fn block(words: usize, shared: bool) -> Result<Arc<Memory>, MemoryError> {
        let plan = Plan { futexes: 0, words, tail_bytes: 0 };
        #[cfg(unix)]
        if shared {
            return Memory::create(plan).map(Arc::new);
        }
        let _ = shared;
        Memory::heap(plan).map(Arc::new)
    }

    /// An empty block.
    pub(in crate::worker) fn new(shared: bool) -> Result<Program, MemoryError> {
        let words = 1 << 12;
        let memory = Program::block(words, shared)?;
        let heap = Arc::new(Mutex::new((1, memory.clone())));
        Ok(Program { shared, heap, owner: memory.clone(), memory, words, number: 1, version: 0 })
    }

    /// Makes room for a program: a larger block replaces one that it outgrew.
    pub(in crate::worker) fn reserve(&mut self, words: usize) -> Result<(), MemoryError> {
        if words > self.words {
            let words = words.next_power_of_two();
            self.enlarge(words)?;
            self.words = words;
            self.number += 1;
            *lock(&self.heap) = (self.number, self.memory.clone());
        }
        Ok(())
    }

    fn enlarge(&mut self, words: usize) -> Result<(), MemoryError> {
        #[cfg(target_os = "linux")]
        if self.shared {
            self.memory = Arc::new(self.owner.longer(Plan { futexes: 0, words, tail_bytes: 0 })?);
            return Ok(());
        }
        self.memory = Program::block(words, self.shared)?;
        self.owner = self.memory.clone();
        Ok(())
    }

    /// Its segment; none for threads.
    pub(in crate::worker) fn id(&self) -> Option<&str> {
        self.owner.id()
    }

    /// Tells workers where programs will be, before there is one.
    pub(in crate::worker) fn announce(&self, board: &Board) {
        board.set_program(0, self.version, self.number, self.id().unwrap_or(""));
    }

    /// Stores a program. The window is shut.
    pub(in crate::worker) fn store(&mut self, program: &[u64], board: &Board) {
        for (word, &value) in self.memory.words().iter().zip(program) {
            word.store(value, Ordering::Relaxed);
        }
        self.version += 1;
        board.set_program(program.len(), self.version, self.number, self.owner.id().unwrap_or(""));
    }
}

/// The program's segment as a worker process has it open: to read.
#[cfg(unix)]
pub(in crate::worker) struct ProgramFile {
    id: String,
    file: std::fs::File,
}

#[cfg(unix)]
impl ProgramFile {
    /// Opens the segment.
    pub(in crate::worker) fn open(id: &str) -> Result<ProgramFile, MemoryError> {
        use rustix::fs::Mode;
        use rustix::shm::OFlags;
        let file = rustix::shm::open(id, OFlags::RDONLY, Mode::empty()).map_err(|error| MemoryError::Os {
            what: "open",
            id: id.to_owned(),
            message: error.to_string(),
        })?;
        Ok(ProgramFile { id: id.to_owned(), file: file.into() })
    }

    /// The segment that the board names, as it is now. Where it is the one that is open nothing is opened.
    pub(in crate::worker) fn map(&mut self, id: &str) -> Result<Memory, MemoryError> {
        if id != self.id {
            *self = ProgramFile::open(id)?;
        }
        Memory::view(&self.id, &self.file)
    }
}
