//! The starts of cells that a worker's thread keeps for the jobs of one batch.
//!
//! Invariant: what is kept is of a column that nobody writes while the batch runs, and is given for that batch's program alone:
//! no two programs of a main process have one serial number, and a worker process serves one main process.
#![forbid(unsafe_code)]

use std::rc::Rc;
use std::sync::Arc;

use crate::space::{CellStarts, SpaceError};
use crate::table::Registry;

/// Columns that one batch can look at before what was made first is made anew.
const KEPT_MAX: usize = 4;

/// Starts of cells, by batch and column.
#[derive(Default)]
pub(crate) struct KeptStarts {
    /// Whose columns these are. Held, so that no other registry can come to stand at its address.
    registry: Option<Arc<Registry>>,
    kept: Vec<Kept>,
    /// Which one is made anew next.
    next: usize,
}

#[derive(PartialEq, Eq)]
struct Key {
    serial: u64,
    column: usize,
    rows: usize,
    own: usize,
    cells: usize,
}

struct Kept {
    key: Option<Key>,
    starts: Rc<CellStarts>,
}

impl KeptStarts {
    /// Forgets those of any other simulation.
    pub(crate) fn serve(&mut self, registry: &Arc<Registry>) {
        if !self.registry.as_ref().is_some_and(|own| Arc::ptr_eq(own, registry)) {
            *self = KeptStarts { registry: Some(Arc::clone(registry)), ..KeptStarts::default() };
        }
    }

    /// Those of a whole frozen column: the keys of all rows that it shows, and how many of them are its table's own.
    pub(crate) fn of(
        &mut self,
        serial: u64,
        (keys, own): (&[u32], usize),
        cells: usize,
    ) -> Result<Rc<CellStarts>, SpaceError> {
        let key = Key { serial, column: keys.as_ptr().addr(), rows: keys.len(), own, cells };
        if let Some(kept) = self.kept.iter().find(|kept| kept.key.as_ref() == Some(&key)) {
            return Ok(Rc::clone(&kept.starts));
        }
        if self.kept.len() < KEPT_MAX {
            self.next = self.kept.len();
            self.kept.push(Kept { key: None, starts: Rc::default() });
        }
        let place = self.next;
        self.next = (place + 1) % KEPT_MAX;
        let kept = &mut self.kept[place];
        kept.key = None;
        // holders of the old ones keep them
        Rc::make_mut(&mut kept.starts).refill_with_ghosts(keys, own, cells)?;
        kept.key = Some(key);
        Ok(Rc::clone(&kept.starts))
    }
}
