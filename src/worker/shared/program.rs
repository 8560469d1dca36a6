//! The program of a batch where the workers can read it: a block of words beside the board.
//!
//! Invariants: the block is replaced by a larger one when a program outgrows it, and its number on the board with it;
//! words change only while no window is on.
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
        Ok(Program { shared, heap, memory, words, number: 1, version: 0 })
    }

    /// Makes room for a program: a larger block replaces one that it outgrew.
    pub(in crate::worker) fn reserve(&mut self, words: usize) -> Result<(), MemoryError> {
        if words > self.words {
            self.words = words.next_power_of_two();
            self.memory = Program::block(self.words, self.shared)?;
            self.number += 1;
            *lock(&self.heap) = (self.number, self.memory.clone());
        }
        Ok(())
    }

    /// Stores a program. The window is shut.
    pub(in crate::worker) fn store(&mut self, program: &[u64], board: &Board) {
        for (word, &value) in self.memory.words().iter().zip(program) {
            word.store(value, Ordering::Relaxed);
        }
        self.version += 1;
        board.set_program(program.len(), self.version, self.number, self.memory.id().unwrap_or(""));
    }
}
