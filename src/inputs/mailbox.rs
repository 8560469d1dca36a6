//! The writer's end: a mailbox beside the region, drained when a frame begins.
//!
//! Invariants: what is in `log` was taken from the rings, checked, and is contained in no published generation, so that
//! it can be applied again after a frame that failed; what it declares is kept in private memory, and the mailbox's
//! own words are never read but for the rings'.
#![forbid(unsafe_code)]

use std::fs::File;
use std::sync::atomic::Ordering;

use crate::commit::{Access, PatchCounts, Refusal};
use crate::fault;
use crate::layout::Layout;
use crate::limits::{INPUT_LOG_BYTES_MAX, INPUT_RINGS, INPUTS_MAX};
use crate::os;
use crate::patch::{Body, Consumer, DrainError, Op, RecordSizes, Records, Ring};
use crate::region::Region;

use super::InputError;
use super::words::{MAILBOX_BYTES, RingWords, Target, Words};

/// Frames between two looks whether the owner of a broken ring is gone.
const REVIVE_EVERY: u32 = 64;

/// One ring's consumer.
#[derive(Debug)]
struct Lane {
    words: RingWords,
    consumer: Consumer<RingWords>,
    broken: bool,
    /// Up to where its inputs are in the world, and up to where they are in the newest generation.
    applied: u64,
    kept: u64,
    /// Frames since a broken ring was looked at.
    waited: u32,
}

/// A simulation's inputs.
pub(crate) struct Mailbox {
    words: Words,
    /// What owners lock bytes of; none in a private region.
    file: Option<File>,
    targets: Vec<Target>,
    lanes: Vec<Lane>,
    access: Access,
    log: Vec<u8>,
    /// Where in `log` what was not yet applied begins.
    fresh: usize,
    /// The newest generation when `log` began.
    published: u64,
    /// Frames with what is in `log` that failed.
    failures: u32,
    /// Inputs given up, and not yet counted in a report.
    lost: u64,
    /// A forked copy must not close it.
    maker: os::Maker,
}

/// The component, field or resource of a name.
pub(super) fn target_of(layout: &Layout, name: &str) -> Result<Target, InputError> {
    let no_target = || InputError::NoTarget { name: name.to_owned() };
    let (component, field) = name.split_once('.').map_or((name, None), |(component, field)| (component, Some(field)));
    match (layout.component(component), field) {
        (Some((_, declared)), _) if declared.storage.is_list() => Err(InputError::List { name: component.to_owned() }),
        (Some((_, declared)), None) if declared.fields.is_empty() => Err(InputError::NoValue { name: name.to_owned() }),
        (Some((id, _)), None) => Ok(Target::Component { id: id as u16, field: 0 }),
        (Some((id, declared)), Some(field)) => {
            let index = declared.fields.iter().position(|declared| declared.name == field).ok_or_else(no_target)?;
            Ok(Target::Component { id: id as u16, field: index as u8 + 1 })
        }
        (None, None) => {
            let (id, declared) = layout.resource(name).ok_or_else(no_target)?;
            if declared.fields.is_empty() {
                return Err(InputError::NoValue { name: name.to_owned() });
            }
            Ok(Target::Resource { id: id as u16 })
        }
        (None, Some(_)) => Err(no_target()),
    }
}

impl Mailbox {
    /// Makes the mailbox of a region, in place of an earlier simulation's.
    ///
    /// # Errors
    /// Names that the layout does not have; no room; what the system refuses.
    pub(crate) fn create(
        region: &Region,
        layout: &Layout,
        names: &[String],
        steerable: bool,
    ) -> Result<Self, InputError> {
        let mut targets = Vec::new();
        for name in names {
            let target = target_of(layout, name)?;
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.len() > INPUTS_MAX {
            return Err(InputError::TooMany { found: targets.len() });
        }
        let mut access = Access::default();
        for target in &targets {
            match target {
                Target::Component { id, .. } => access.sets.push(*id),
                Target::Resource { id } => access.resources.push(*id),
            }
        }
        access.sets.sort_unstable();
        access.sets.dedup();
        access.resources.sort_unstable();
        let (block, file) = region.new_inputs(MAILBOX_BYTES)?;
        let words = Words::new(block)?;
        fault::point("mailbox-made");
        let lane = |index: usize| {
            let words = words.ring(index);
            let consumer = Ring::new(words.clone()).consumer();
            let consumer = consumer.map_err(|_| InputError::Broken { what: "a new ring is not empty" })?;
            Ok::<_, InputError>(Lane { words, consumer, broken: false, applied: 0, kept: 0, waited: 0 })
        };
        let lanes = (0..INPUT_RINGS).map(lane).collect::<Result<_, _>>()?;
        words.write_head(&targets, steerable);
        Ok(Mailbox {
            maker: os::Maker::this(),
            words,
            file,
            targets,
            lanes,
            access,
            log: Vec::new(),
            fresh: 0,
            published: 0,
            failures: 0,
            lost: 0,
        })
    }

    /// How the run is steered, if it is steerable.
    pub(crate) fn steering(&self) -> Option<super::Steering> {
        self.words.is_steerable().then(|| super::Steering::new(self.words.clone()))
    }

    /// Takes what the senders have published; what is to be applied now, in canonical order, and what it may change.
    /// `published` is the newest generation.
    pub(crate) fn take(&mut self, published: u64, sizes: &RecordSizes, counts: &mut PatchCounts) -> (&[u8], &Access) {
        self.settle(published);
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            counts.refuse(lost, || Refusal::Malformed("frames with these inputs failed twice".to_owned()));
        }
        let Mailbox { file, targets, lanes, log, .. } = self;
        for (index, lane) in lanes.iter_mut().enumerate() {
            if lane.broken {
                lane.revive(index, file.as_ref());
                continue;
            }
            if log.len() >= INPUT_LOG_BYTES_MAX {
                break;
            }
            let mut sink = |record: &[u8]| {
                match check(record, sizes, targets) {
                    Ok(()) => log.extend_from_slice(record),
                    Err(why) => counts.refuse(1, || why),
                }
                Ok::<(), std::convert::Infallible>(())
            };
            if let Err(DrainError::Ring(error)) = lane.consumer.drain(&mut sink) {
                let owner = lane.words.owner().load(Ordering::Relaxed);
                tracing::warn!(ring = index, owner, %error, "a sender broke its ring of inputs: it is not read any more");
                counts.refuse(1, || Refusal::Malformed(error.to_string()));
                lane.broken = true;
            }
        }
        fault::point("inputs-taken");
        (&self.log[self.fresh..], &self.access)
    }

    /// What was applied before the newest generation was published is in there.
    fn settle(&mut self, published: u64) {
        if self.published != published {
            self.published = published;
            self.log.drain(..self.fresh);
            (self.fresh, self.failures) = (0, 0);
            self.lanes.iter_mut().for_each(|lane| lane.kept = lane.applied);
        }
    }

    /// Notes what the next generation will contain, whoever publishes it.
    fn note(&self) {
        for lane in self.lanes.iter().filter(|lane| !lane.broken && lane.consumer.position() > 0) {
            lane.words.note(self.published + 1, lane.applied);
        }
    }

    /// What was taken is in the world: the generation after `published` will contain it.
    pub(crate) fn applied(&mut self) {
        self.fresh = self.log.len();
        self.lanes.iter_mut().for_each(|lane| lane.applied = lane.consumer.position());
        self.note();
    }

    /// The world is about to go back, at least to its newest generation: what was applied since is to be applied again.
    /// What to say where it does not: [`Mailbox::stayed`].
    pub(crate) fn goes_back(&mut self, published: u64) -> Undone {
        self.settle(published);
        let undone = Undone { fresh: self.fresh, applied: self.lanes.iter().map(|lane| lane.applied).collect() };
        self.fresh = 0;
        self.lanes.iter_mut().for_each(|lane| lane.applied = lane.kept);
        self.note();
        undone
    }

    /// It did not go back.
    pub(crate) fn stayed(&mut self, undone: Undone) {
        self.fresh = undone.fresh;
        self.lanes.iter_mut().zip(undone.applied).for_each(|(lane, applied)| lane.applied = applied);
        self.note();
    }

    /// A frame failed, and the world went back to its newest generation. What was applied since is to be applied again,
    /// once: no input shall keep a simulation from going on.
    pub(crate) fn undone(&mut self, published: u64, sizes: &RecordSizes) {
        self.goes_back(published);
        if self.log.is_empty() {
            return;
        }
        self.failures += 1;
        if self.failures >= 2 {
            self.lost += Records::new(&self.log, sizes).count() as u64;
            tracing::warn!(inputs = self.lost, "frames with these inputs failed twice: they are given up");
            self.log.clear();
        }
    }

    /// Nothing is taken any more.
    pub(crate) fn close(self, region: &Region) {
        if let Err(error) = region.remove_inputs() {
            tracing::warn!(%error, "the mailbox of a simulation that has ended stays behind");
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        if self.maker.is_here() {
            self.words.close();
        }
    }
}

/// What was to be undone.
pub(crate) struct Undone {
    fresh: usize,
    applied: Vec<u64>,
}

/// Whether a record may be applied. The bytes may be anything, but their length is that of the record's header.
fn check(record: &[u8], sizes: &RecordSizes, targets: &[Target]) -> Result<(), Refusal> {
    let mut records = Records::new(record, sizes);
    let body = match records.next() {
        Some(Ok(record)) => record.body,
        Some(Err(error)) => return Err(Refusal::Malformed(error.to_string())),
        None => return Err(Refusal::Malformed("an empty record".to_owned())),
    };
    let target = match body {
        Body::Entities { op: Op::Set, component, field, .. } => Target::Component { id: component, field },
        Body::SetResource { resource, .. } => Target::Resource { id: resource },
        _ => return Err(Refusal::Malformed("an input sets values of entities or a resource, nothing else".to_owned())),
    };
    if targets.iter().any(|declared| declared.covers(target)) {
        return Ok(());
    }
    Err(Refusal::Malformed(format!("an input sets what is not declared as one: {target:?}")))
}

impl Lane {
    /// Makes a broken ring as new once its owner is gone.
    fn revive(&mut self, index: usize, file: Option<&File>) {
        self.waited += 1;
        if self.waited < REVIVE_EVERY {
            return;
        }
        self.waited = 0;
        // holding the lock keeps a new owner away meanwhile
        let is_free = match file {
            Some(file) => os::try_lock_byte(file, index as u64).unwrap_or(false),
            None => self.words.owner().load(Ordering::Acquire) == 0,
        };
        if !is_free {
            return;
        }
        self.words.renew();
        if let Ok(consumer) = Ring::new(self.words.clone()).consumer() {
            self.consumer = consumer;
            (self.applied, self.kept) = (0, 0);
            self.broken = false;
        }
        if let Some(file) = file
            && let Err(error) = os::unlock_byte(file, index as u64)
        {
            tracing::warn!(%error, ring = index, "a ring of inputs stays locked");
        }
    }
}
