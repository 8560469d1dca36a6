//! A sender's end: one ring of a mailbox, in whatever process.
//!
//! Invariants: it owns its ring by a lock that goes with its process; every input is checked against the layout before
//! it becomes a record, and a record is whole in the ring before the tail that shows it is published.
#![forbid(unsafe_code)]

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::fault;
use crate::layout::{FieldLayout, Layout, ScalarType};
use crate::limits::INPUT_RINGS;
use crate::os;
use crate::patch::{HANDLE_BYTES, HEADER_BYTES, Header, Kind, Producer, Ring, padded};
use crate::region::{ReaderMap, RegionError, forked};
use crate::snapshot::{Reader, SharedReader};

use super::InputError;
use super::mailbox::target_of;
use super::words::{RingWords, Target, Words};

/// Sends inputs to the simulation that writes a region. Made by [`Reader::inputs`](crate::Reader::inputs).
///
/// An input is a `set` of a declared component, of one field, or of a resource. It is applied when a frame begins, in
/// the order of sending; what the writer refuses then (an entity that is gone, a component that it does not have) is
/// counted in the frame's report.
pub struct InputSender {
    map: Arc<ReaderMap>,
    layout: Arc<Layout>,
    words: Words,
    /// Holds the lock of the ring.
    file: Option<File>,
    ring: RingWords,
    producer: Producer<RingWords>,
    declared: Vec<Target>,
    names: Vec<String>,
    sequence: u32,
    record: Vec<u8>,
    /// The ring is this process's, and not a forked one's.
    maker: os::Maker,
}

impl Reader {
    /// A way to send inputs to the simulation that writes the region; `None`: it takes none.
    ///
    /// # Errors
    /// Its mailbox is broken, has no free ring, or is not to be had.
    pub fn inputs(&self) -> Result<Option<InputSender>, InputError> {
        let (map, layout) = self.parts();
        InputSender::open(map, layout)
    }
}

impl SharedReader {
    /// As [`Reader::inputs`].
    ///
    /// # Errors
    /// As there.
    pub fn inputs(&self) -> Result<Option<InputSender>, InputError> {
        self.first().inputs()
    }
}

impl InputSender {
    /// Takes a free ring of the region's mailbox; `None`: its simulation takes no inputs.
    pub(crate) fn open(map: &Arc<ReaderMap>, layout: &Arc<Layout>) -> Result<Option<Self>, InputError> {
        let Some((block, file)) = map.inputs()? else { return Ok(None) };
        let words = Words::new(block)?;
        let declared = words.read_head()?;
        // a mailbox may be there for steering alone
        if words.is_closed() || declared.is_empty() {
            return Ok(None);
        }
        let names = declared.iter().map(|target| name_of(layout, *target)).collect::<Option<Vec<_>>>();
        let names = names.ok_or(InputError::Broken { what: "it declares what the layout does not have" })?;
        for index in 0..INPUT_RINGS {
            let ring = words.ring(index);
            if !take(&ring, file.as_ref(), index)? {
                continue;
            }
            fault::point("ring-taken");
            let producer = match Ring::new(ring.clone()) {
                ring if ring.is_poisoned() => None,
                ring => ring.producer().ok(),
            };
            let Some(producer) = producer else {
                release(&ring, file.as_ref(), index);
                continue;
            };
            let (map, layout) = (Arc::clone(map), Arc::clone(layout));
            let (record, maker) = (Vec::new(), os::Maker::this());
            let sender =
                InputSender { map, layout, words, file, ring, producer, declared, names, sequence: 0, record, maker };
            return Ok(Some(sender));
        }
        Err(InputError::NoRing)
    }

    /// What the simulation takes: components, fields (`velocity.x`) and resources.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the simulation that made the mailbox still takes inputs. (One that was killed cannot say no.)
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.words.is_closed() && self.map.has_inputs(self.words.block(), self.file.as_ref())
    }

    /// Sends an input, and gives the position in the ring after it: [`InputSender::contained`] tells which generations
    /// contain what stands before a position. `name` is one of [`InputSender::names`], or a field of one.
    ///
    /// Of a component or a field, `payload` is one or more of: the handle (8 bytes), the value with its fields one after
    /// the other, without padding. Of a resource, it is the value alone. All little-endian.
    ///
    /// # Errors
    /// What is wrong with the input, a full ring, a mailbox that is closed; nothing was sent then.
    pub fn send(&mut self, name: &str, payload: &[u8]) -> Result<u64, InputError> {
        if !self.maker.is_here() {
            return Err(forked(self.maker).into());
        }
        if self.words.is_closed() {
            return Err(InputError::Closed);
        }
        let undeclared = || InputError::Undeclared { name: name.to_owned() };
        let target = target_of(&self.layout, name).map_err(|_| undeclared())?;
        if !self.declared.iter().any(|declared| declared.covers(target)) {
            return Err(undeclared());
        }
        let header = self.header(target, name, payload)?;
        self.record.clear();
        self.record.extend_from_slice(&header.encode());
        self.record.extend_from_slice(payload);
        self.record.resize(header.bytes as usize, 0);
        let broken = |_| InputError::Broken { what: "the writer's end of the ring is" };
        if !self.producer.try_push(&self.record).map_err(broken)? {
            return Err(InputError::Full);
        }
        fault::point("input-pushed");
        self.producer.publish();
        fault::point("input-sent");
        self.sequence = self.sequence.wrapping_add(1);
        Ok(self.producer.position())
    }

    /// What a published generation contains: all that was sent before this position. `None`: that is not known.
    #[must_use]
    pub fn contained(&self, generation: u64) -> Option<u64> {
        self.ring.contained(generation)
    }

    /// The record's header, where the payload is one of this target.
    fn header(&self, target: Target, name: &str, payload: &[u8]) -> Result<Header, InputError> {
        let length = |expected: String| InputError::Length { name: name.to_owned(), bytes: payload.len(), expected };
        let (fields, head_bytes) = self.fields(target);
        let value_bytes: usize = fields.iter().map(|field| field.ty.bytes()).sum();
        let stride = head_bytes + value_bytes;
        let count = payload.len() / stride;
        if payload.is_empty() || !payload.len().is_multiple_of(stride) || (head_bytes == 0 && count != 1) {
            return Err(length(match head_bytes {
                0 => format!("it must be {value_bytes}"),
                _ => format!("it must be a multiple of {stride}: a handle of 8 and a value of {value_bytes} each"),
            }));
        }
        let bytes = padded(HEADER_BYTES + payload.len());
        if bytes > self.producer.record_bytes_max() {
            return Err(length(format!("it may be at most {}", self.producer.record_bytes_max() - HEADER_BYTES)));
        }
        if !payload.chunks_exact(stride).all(|entry| bools_are_such(fields, &entry[head_bytes..])) {
            return Err(InputError::NotABool { name: name.to_owned() });
        }
        let (kind, field, component, count) = match target {
            Target::Component { id, field } => (Kind::SetEntities, field, id, count as u32),
            Target::Resource { id } => (Kind::SetResource, 0, id, 0),
        };
        Ok(Header { bytes: bytes as u32, kind: kind as u8, field, component, count, sequence: self.sequence })
    }

    /// The fields of a target's value, and the bytes before each value.
    fn fields(&self, target: Target) -> (&[FieldLayout], usize) {
        match target {
            Target::Component { id, field } => {
                let fields = &self.layout.components()[usize::from(id)].fields;
                let one = usize::from(field).checked_sub(1);
                (one.map_or(&fields[..], |field| std::slice::from_ref(&fields[field])), HANDLE_BYTES)
            }
            Target::Resource { id } => (&self.layout.resources()[usize::from(id)].fields, 0),
        }
    }
}

impl Drop for InputSender {
    fn drop(&mut self) {
        // closing the file gives the lock back
        if self.maker.is_here() {
            self.ring.owner().store(0, Ordering::Release);
        }
    }
}

fn bools_are_such(fields: &[FieldLayout], mut value: &[u8]) -> bool {
    fields.iter().all(|field| {
        let (own, rest) = value.split_at(field.ty.bytes());
        value = rest;
        field.ty.scalar != ScalarType::Bool || own.iter().all(|byte| *byte <= 1)
    })
}

/// The name of a target; `None`: the layout has none such, or nothing to set.
fn name_of(layout: &Layout, target: Target) -> Option<String> {
    match target {
        Target::Component { id, field } => {
            let component = layout.components().get(usize::from(id)).filter(|declared| !declared.fields.is_empty())?;
            match usize::from(field).checked_sub(1) {
                None => Some(component.name.clone()),
                Some(field) => Some(format!("{}.{}", component.name, component.fields.get(field)?.name)),
            }
        }
        Target::Resource { id } => {
            let resource = layout.resources().get(usize::from(id)).filter(|declared| !declared.fields.is_empty())?;
            Some(resource.name.clone())
        }
    }
}

/// Takes a ring; false: it has an owner.
fn take(ring: &RingWords, file: Option<&File>, index: usize) -> Result<bool, InputError> {
    let pid = u64::from(os::pid().max(1));
    let Some(file) = file else {
        return Ok(ring.owner().compare_exchange(0, pid, Ordering::Acquire, Ordering::Relaxed).is_ok());
    };
    let locked = os::try_lock_byte(file, index as u64);
    let taken = locked.map_err(|error| RegionError::io("lock a ring of", std::path::Path::new("inputs"))(error))?;
    if taken {
        ring.owner().store(pid, Ordering::Relaxed);
    }
    Ok(taken)
}

fn release(ring: &RingWords, file: Option<&File>, index: usize) {
    ring.owner().store(0, Ordering::Release);
    if let Some(file) = file {
        // it goes with the file at the latest
        let _ = os::unlock_byte(file, index as u64);
    }
}
