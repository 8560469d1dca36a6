//! iceoryx2's blackboard: one entry holds the whole state, written in place in the cell that is not published.
//!
//! Entries are updated one by one, so only a single entry can be a consistent state. A reader copies it out and does so
//! again whenever the writer came back to the cell meanwhile; it cannot hold a state in place. The type decides the
//! size, so there are two sizes. Whoever calls this needs a stack for several states.
#![expect(unsafe_code, reason = "an entry's value is initialised by hand and may cross processes")]

use iceoryx2::port::reader::{EntryHandle, Reader as Port};
use iceoryx2::port::writer::{EntryHandleMut, Writer as WriterPort};
use iceoryx2::prelude::*;

use super::pubsub::{node, step_dirty};
use super::{Failure, Outcome, Reader, Spec, Stamp, View, Writer};
use crate::clock::nanos;
use crate::model::{COLUMNS, DirtySet, initial_column};

/// The only way.
pub const LOAN: &str = "one entry";

const ROWS_FULL: usize = 1_000_000;
const ROWS_QUICK: usize = 20_000;

type Service = ipc::Service;
type Key = u64;

/// The whole state: six columns, and the stamp.
#[derive(Clone, Copy)]
#[repr(C)]
struct Board<const ROWS: usize> {
    publication: u64,
    nanos: u64,
    columns: [[f32; ROWS]; COLUMNS],
}

// SAFETY: plain numbers in C order, without pointers or padding, and the same program on both sides.
unsafe impl<const ROWS: usize> ZeroCopySend for Board<ROWS> {}

/// Whether there is a type for so many rows.
pub fn takes(rows: usize) -> bool {
    rows == ROWS_FULL || rows == ROWS_QUICK
}

/// The service with the initial state.
pub fn writer(spec: &Spec) -> Result<Box<dyn Writer>, Failure> {
    match spec.rows {
        ROWS_QUICK => BoardWriter::<ROWS_QUICK>::create(spec),
        _ => BoardWriter::<ROWS_FULL>::create(spec),
    }
}

/// The service, opened.
pub fn reader(spec: &Spec) -> Result<Box<dyn Reader>, Failure> {
    match spec.rows {
        ROWS_QUICK => BoardReader::<ROWS_QUICK>::open(spec),
        _ => BoardReader::<ROWS_FULL>::open(spec),
    }
}

struct BoardWriter<const ROWS: usize> {
    entry: Option<EntryHandleMut<Service, Key, Board<ROWS>>>,
    /// The state: the published cell cannot be looked at without a copy.
    state: Box<Board<ROWS>>,
    _writer: WriterPort<Service, Key>,
    _node: Node<Service>,
}

impl<const ROWS: usize> BoardWriter<ROWS> {
    // a frame of several states must not become part of the other engines' stacks
    #[inline(never)]
    fn create(spec: &Spec) -> Result<Box<dyn Writer>, Failure> {
        let node = node(spec)?;
        let mut board = Board { publication: 0, nanos: nanos(), columns: [[0.0; ROWS]; COLUMNS] };
        for (column, values) in board.columns.iter_mut().enumerate() {
            values.copy_from_slice(&initial_column(spec.seed, column, spec.rows));
        }
        let service = node.service_builder(&"world".try_into()?).blackboard_creator::<Key>().add(0, board).create()?;
        let writer = service.writer_builder().create()?;
        let entry = writer.entry::<Board<ROWS>>(&0)?;
        Ok(Box::new(BoardWriter { entry: Some(entry), state: Box::new(board), _writer: writer, _node: node }))
    }
}

impl<const ROWS: usize> Writer for BoardWriter<ROWS> {
    fn publish(&mut self, dirty: &DirtySet, publication: u64) -> Result<Outcome, Failure> {
        let entry = self.entry.take().ok_or("the entry was lost")?;
        let state = &mut *self.state;
        step_dirty(state.columns.as_flattened_mut(), dirty, ROWS);
        let mut loan = entry.loan_uninit();
        let place: *mut Board<ROWS> = loan.value_mut().as_mut_ptr();
        // SAFETY: the loan is one board, not yet looked at by anybody; the source is another one.
        unsafe { std::ptr::copy_nonoverlapping(state, place, 1) };
        let commit_began = nanos();
        // SAFETY: inside the loan.
        unsafe { (&raw mut (*place).publication).write(publication) };
        // SAFETY: inside the loan.
        unsafe { (&raw mut (*place).nanos).write(commit_began) };
        // SAFETY: the copy filled it.
        self.entry = Some(unsafe { loan.assume_init_and_update() });
        Ok(Outcome { commit_began, visible: true, kept: true })
    }
}

struct BoardReader<const ROWS: usize> {
    entry: EntryHandle<Service, Key, Board<ROWS>>,
    _reader: Port<Service, Key>,
    _node: Node<Service>,
}

impl<const ROWS: usize> BoardReader<ROWS> {
    #[inline(never)]
    fn open(spec: &Spec) -> Result<Box<dyn Reader>, Failure> {
        let node = node(spec)?;
        let service = node.service_builder(&"world".try_into()?).blackboard_opener::<Key>().open()?;
        let reader = service.reader_builder().create()?;
        let entry = reader.entry::<Board<ROWS>>(&0)?;
        Ok(Box::new(BoardReader { entry, _reader: reader, _node: node }))
    }
}

impl<const ROWS: usize> View for Board<ROWS> {
    fn stamp(&self) -> Stamp {
        Stamp { publication: self.publication, nanos: self.nanos }
    }

    fn column(&self, column: usize, visit: &mut dyn FnMut(usize, &[f32])) {
        visit(0, &self.columns[column]);
    }
}

impl<const ROWS: usize> Reader for BoardReader<ROWS> {
    fn pinned(&mut self, look: &mut dyn FnMut(&dyn View)) -> Result<bool, Failure> {
        let value = self.entry.get();
        look(&*value);
        Ok(true)
    }

    fn pins(&mut self, times: u32) -> Result<(), Failure> {
        for _ in 0..times {
            std::hint::black_box(&*self.entry.get());
        }
        Ok(())
    }
}
