//! A walk through a journal: record by record, from a checkpoint on.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Deref;

use crate::checkpoint::codec::Decoder;
use crate::snapshot::Reader;
use crate::world::{World, WorldBuilder};

use super::delta;
use super::error::{JournalError, RecordDamage};
use super::format::{self, RECORD_BYTES, Record};
use super::read::{Entry, Journal};
use super::segment::Segment;
use super::state::State;

/// A walk through a journal, generation by generation. It borrows the journal, or holds a share of it:
/// `Replay<Arc<Journal>>`.
pub struct Replay<J> {
    journal: J,
    segment: usize,
    /// The next record of the segment.
    next: usize,
    file: File,
    decoder: Decoder,
    /// Nothing: a record could not be applied.
    pub(super) state: Option<State>,
    /// The chain of the segment's records so far.
    pub(super) chain: u64,
    buffer: Vec<u8>,
}

impl<J: Deref<Target = Journal>> Replay<J> {
    /// Begins at the first generation of a journal: [`Journal::replay`], for a journal that is shared.
    ///
    /// # Errors
    /// A damaged checkpoint; what the system refuses.
    pub fn new(journal: J) -> Result<Self, JournalError> {
        Replay::begin(journal, 0)
    }

    /// Begins at an entry of a journal: [`Journal::replay_to`], for a journal that is shared.
    ///
    /// # Errors
    /// Damage on the way; what the system refuses.
    pub fn at(journal: J, entry: Entry) -> Result<Self, JournalError>
    where
        J: Clone,
    {
        let begun_by_then = |segment: &Segment| segment.header.base.generation <= entry.generation;
        let mut segment = journal.segments.partition_point(begun_by_then);
        let mut failure = None;
        while segment > 0 {
            segment -= 1;
            match Replay::begin(journal.clone(), segment).and_then(|replay| replay.forward(entry.generation)) {
                Ok(replay) => return Ok(replay),
                Err(error) => {
                    if segment > 0 {
                        tracing::warn!(%error, "going on from an earlier checkpoint");
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or(JournalError::Gone))
    }

    pub(super) fn begin(journal: J, segment: usize) -> Result<Self, JournalError> {
        let state = journal.segments[segment].base()?;
        Replay::of(journal, segment, state)
    }

    pub(super) fn of(journal: J, segment: usize, state: State) -> Result<Self, JournalError> {
        let Segment { path, header, .. } = &journal.segments[segment];
        let file = crate::os::open_regular(path).map_err(JournalError::io("open", path))?;
        let chain = header.begin_chain();
        let decoder = Decoder::new().map_err(JournalError::io("decompress", path))?;
        Ok(Replay { journal, segment, next: 0, file, decoder, state: Some(state), chain, buffer: Vec::new() })
    }

    fn forward(mut self, generation: u64) -> Result<Self, JournalError> {
        while self.state()?.moment.generation < generation {
            if !self.advance()? {
                return Err(JournalError::Gone);
            }
        }
        // the generations on the way are those that the journal told of, or something is missing
        if self.state()?.moment.generation != generation {
            return Err(JournalError::Gone);
        }
        Ok(self)
    }

    fn state(&self) -> Result<&State, JournalError> {
        self.state.as_ref().ok_or(JournalError::Gone)
    }

    /// The generation at which it stands.
    ///
    /// # Errors
    /// The step before failed.
    pub fn entry(&self) -> Result<Entry, JournalError> {
        Ok(self.state()?.moment.into())
    }

    /// Goes on to the next generation that was recorded, also where it is one that was undone later. False: it was the
    /// last.
    ///
    /// # Errors
    /// A damaged record, or something that is missing: then the walk is over.
    pub fn advance(&mut self) -> Result<bool, JournalError> {
        if self.within()? {
            return Ok(true);
        }
        let Some(segment) = self.journal.segments.get(self.segment + 1) else { return Ok(false) };
        if let Some(gap) = &segment.gap {
            self.state = None;
            return Err(JournalError::Broken(gap.clone()));
        }
        let continues = self.state()?.moment.generation == segment.header.base.generation;
        self.segment += 1;
        self.next = 0;
        self.file = crate::os::open_regular(&segment.path).map_err(JournalError::io("open", &segment.path))?;
        self.chain = segment.header.begin_chain();
        if continues {
            return self.advance();
        }
        self.state = None;
        self.state = Some(segment.base()?);
        Ok(true)
    }

    /// The same within the segment.
    pub(super) fn within(&mut self) -> Result<bool, JournalError> {
        self.state()?;
        let segment = &self.journal.segments[self.segment];
        let Some(&place) = segment.places.get(self.next) else { return Ok(false) };
        self.next += 1;
        let mut state = self.state.take().ok_or(JournalError::Gone)?;
        let damage = |part: String, problem| {
            let (path, generation) = (segment.path.clone(), Some(place.moment.generation));
            JournalError::Damaged(Box::new(RecordDamage { path, offset: place.offset, generation, part, problem }))
        };
        let head = || "its head".to_owned();
        let end = segment.bytes;
        let io = |action| JournalError::io(action, &segment.path);
        let mut begin = [0; RECORD_BYTES];
        if end - place.offset < RECORD_BYTES as u64 {
            return Err(damage(head(), "it ends early"));
        }
        self.file.seek(SeekFrom::Start(place.offset)).map_err(io("read"))?;
        self.file.read_exact(&mut begin).map_err(io("read"))?;
        let lengths = Record::lengths(&begin).filter(|lengths| lengths.record <= end - place.offset);
        let lengths = lengths.ok_or_else(|| damage(head(), "it is no record"))?;
        self.buffer.resize(lengths.record as usize, 0);
        self.buffer[..RECORD_BYTES].copy_from_slice(&begin);
        self.file.read_exact(&mut self.buffer[RECORD_BYTES..]).map_err(io("read"))?;
        let (head_bytes, payload) = self.buffer.split_at(lengths.head as usize);
        let record = Record::decode(head_bytes).map_err(|problem| damage(head(), problem))?;
        if record.moment != place.moment {
            return Err(damage(head(), "it is of another generation than the index says"));
        }
        self.chain = format::link(self.chain, format::checksum_of(head_bytes));
        if let Err((part, problem)) = delta::apply(&mut state, &record, payload, &mut self.decoder) {
            return Err(damage(part.map_or_else(head, |part| state.name(part)), problem));
        }
        self.state = Some(state);
        Ok(true)
    }

    /// Loads the state into private memory, to be looked at as any region is. It has one generation, its own.
    ///
    /// # Errors
    /// The step before failed; entities that contradict each other; no memory.
    pub fn load(&self) -> Result<Reader, JournalError> {
        self.state()?.load()
    }

    /// Makes a world that goes on from the state bit for bit, in a new region.
    ///
    /// # Errors
    /// As [`Replay::load`]; a region that cannot be made; Rust types that differ from the layout.
    pub fn restore(&self, builder: WorldBuilder) -> Result<World, JournalError> {
        self.state()?.restore(builder)
    }
}
