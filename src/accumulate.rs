//! Accumulating patches: what a system declares of them, and what a job joins before it makes patches of it.
//!
//! Deposits on one target that come near each other in a job are joined in the job ([`Combiner`]), so that a target
//! which all rows hit costs no patch each. What is joined where follows from the job's deposits alone.
#![forbid(unsafe_code)]

use crate::component::Entity;
use crate::join::{FieldJoin, FieldRule};
use crate::layout::{ComponentLayout, ScalarType};
use crate::patch::{Op, PatchWriter};

/// How a system's deposits on a component are joined to its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accumulation {
    pub component: u16,
    /// By field; a field without a rule takes none.
    rules: Vec<Option<FieldRule>>,
    whole: bool,
}

impl Accumulation {
    /// One join for all fields.
    ///
    /// # Errors
    /// A field whose values have no such join; no fields.
    pub(crate) fn all(component: u16, declared: &ComponentLayout, join: FieldJoin) -> Result<Self, String> {
        let joins: Vec<(String, FieldJoin)> = declared.fields.iter().map(|field| (field.name.clone(), join)).collect();
        Self::named(component, declared, &joins)
    }

    /// A join for each of some fields.
    ///
    /// # Errors
    /// A field that is not there, or whose values have no such join; no fields.
    pub(crate) fn named(
        component: u16,
        declared: &ComponentLayout,
        joins: &[(String, FieldJoin)],
    ) -> Result<Self, String> {
        let name = &declared.name;
        if declared.storage.is_list() {
            return Err(format!(
                "component `{name}` is a list: nothing is accumulated on it; set it with `sets_lists`"
            ));
        }
        let mut rules = vec![None; declared.fields.len()];
        if joins.is_empty() {
            return Err(format!("nothing can be accumulated on component `{name}` without a field"));
        }
        for (field, join) in joins {
            let Some(place) = declared.fields.iter().position(|other| other.name == *field) else {
                let known: Vec<&str> = declared.fields.iter().map(|field| field.name.as_str()).collect();
                let known = known.join(", ");
                return Err(format!("component `{name}` has no field `{field}` to accumulate on; it has {known}"));
            };
            let ty = declared.fields[place].ty;
            let Some(rule) = FieldRule::new(ty, *join) else {
                return Err(format!("field `{name}.{field}` is {ty}, which has no {}", join.name()));
            };
            rules[place] = Some(rule);
        }
        let whole = rules.iter().all(Option::is_some);
        Ok(Accumulation { component, rules, whole })
    }

    /// The rules of a patch on a field, counted from 1, or on all of them (0), in their order. `None`: it has none for one of
    /// them.
    pub(crate) fn rules(&self, field: u8) -> Option<&[Option<FieldRule>]> {
        let rules = match usize::from(field).checked_sub(1) {
            None => &self.rules[..],
            Some(field) => self.rules.get(field..=field)?,
        };
        rules.iter().all(Option::is_some).then_some(rules)
    }

    /// Whether it has a rule for each field.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether its joins have the same bits in any order and grouping.
    pub(crate) fn is_exact(&self) -> bool {
        self.rules.iter().flatten().all(|rule| rule.is_exact())
    }

    /// The rule of a field, counted from 0.
    pub(crate) fn rule(&self, field: usize) -> Option<FieldRule> {
        self.rules.get(field).copied().flatten()
    }

    /// How values of a field, or of all, are joined in the fastest way.
    fn sums(&self, field: u8) -> Sums {
        let rules = self.rules(field).unwrap_or_default();
        let all = |scalar| rules.iter().flatten().all(|rule| rule.is_sum_of(scalar));
        match () {
            () if all(ScalarType::F64) => Sums::F64,
            () if all(ScalarType::F32) => Sums::F32,
            () => Sums::None,
        }
    }

    /// Joins packed values of a field, or of all.
    fn join(&self, field: u8, earlier: &mut [u8], later: &[u8]) {
        let mut at = 0;
        for rule in self.rules(field).into_iter().flatten().flatten() {
            let bytes = at..at + rule.bytes();
            at = bytes.end;
            rule.join(&mut earlier[bytes.clone()], &later[bytes]);
        }
    }
}

/// Whether all that is joined are sums of one type: most deposits are.
#[derive(Clone, Copy, Debug)]
enum Sums {
    F64,
    F32,
    None,
}

/// Adds packed numbers.
#[inline(always)]
fn add<T: bytemuck::Pod + std::ops::Add<Output = T>>(earlier: &mut [u8], later: &[u8]) {
    for (own, later) in earlier.chunks_exact_mut(size_of::<T>()).zip(later.chunks_exact(size_of::<T>())) {
        let sum = bytemuck::pod_read_unaligned::<T>(own) + bytemuck::pod_read_unaligned::<T>(later);
        own.copy_from_slice(bytemuck::bytes_of(&sum));
    }
}

/// Bytes of a value that is looked at on the stack.
const VALUE_BYTES: usize = 64;

/// No target.
const NOBODY: u64 = u64::MAX;
/// Bytes of targets and values that a job keeps of one kind of deposit: they stay in a core's cache.
const KEPT_BYTES: usize = 1 << 16;
const SLOTS_MAX: usize = 4096;
const SLOTS_MIN: usize = 16;
/// After so many deposits it is asked whether joining pays: whether at least one in so many met an earlier one. A deposit that
/// is kept in vain costs twice what one costs that is passed on at once, so the first look comes soon. By then few of a
/// thousand targets have been met twice, which is enough to go on; later it has to pay.
const FIRST_WINDOW: (u32, u32) = (256, 16);
const WINDOW: (u32, u32) = (2048, 4);
/// Slots that are in use until then, of a kind that has more.
const FIRST_SLOTS: usize = 1024;
/// If not, so many are passed on as they come before it is tried again.
const PASSED_ON: u32 = 1 << 14;

/// The deposits of one job, joined by target. Kept from job to job for its memory.
///
/// Invariant: kinds are in the order of their keys, whatever jobs came before. They become patches in that order, and patches
/// of two kinds may be on one value.
#[derive(Debug, Default)]
pub(crate) struct Combiner {
    kinds: Vec<Deposits>,
    /// The kind that was deposited last.
    last: usize,
    /// The kind of which deposits are passed on at the moment, as one word; 0: none. How many are left of it stands here then,
    /// and not with the kind.
    passing: u64,
    left: u32,
}

/// A kind of deposit as one word, which is not 0.
#[inline]
const fn word(component: u16, field: u8, by_row: bool, bytes: usize) -> u64 {
    1 | (by_row as u64) << 1 | (field as u64) << 8 | (component as u64) << 16 | (bytes as u32 as u64) << 32
}

/// Deposits on one component, or on one field of it, by row or by handle.
#[derive(Debug)]
struct Deposits {
    component: u16,
    field: u8,
    by_row: bool,
    bytes: usize,
    sums: Sums,
    targets: Vec<u64>,
    values: Vec<u8>,
    /// How many of them are in use: a power of two.
    slots: usize,
    /// Whether there may be any.
    used: bool,
    /// Whether `sums` is this job's.
    known: bool,
    asked: u32,
    joined: u32,
    /// After how many deposits it is asked whether joining pays, and which part of them must have been joined.
    window: (u32, u32),
    /// Deposits to pass on as they come.
    pass_on: u32,
}

/// What a deposit is on: a row of the job's table or any entity, and which field of which component.
#[derive(Clone, Copy)]
pub(crate) enum Onto {
    /// A place in the job's table.
    Row(u32),
    /// A handle.
    Entity(Entity),
}

impl Onto {
    #[inline]
    fn bits(self) -> u64 {
        match self {
            Onto::Row(row) => u64::from(row),
            Onto::Entity(entity) => entity.to_bits(),
        }
    }

    #[inline]
    fn number(self) -> usize {
        match self {
            Onto::Row(row) => row as usize,
            Onto::Entity(entity) => entity.index() as usize,
        }
    }
}

impl Deposits {
    fn new(accumulation: &Accumulation, field: u8, by_row: bool, bytes: usize) -> Self {
        let slots = (KEPT_BYTES / (size_of::<u64>() + bytes)).clamp(SLOTS_MIN, SLOTS_MAX);
        // the largest power of two that is no more
        let slots = 1 << slots.ilog2();
        Deposits {
            component: accumulation.component,
            field,
            by_row,
            bytes,
            sums: accumulation.sums(field),
            targets: vec![NOBODY; slots],
            values: vec![0; slots * bytes],
            slots: slots.min(FIRST_SLOTS),
            used: false,
            known: true,
            asked: 0,
            joined: 0,
            window: FIRST_WINDOW,
            pass_on: 0,
        }
    }

    /// What makes it another kind than others.
    fn key(&self) -> (u16, u8, bool, usize) {
        (self.component, self.field, self.by_row, self.bytes)
    }

    /// The same kind of another world may be joined in another way.
    fn learn(&mut self, accumulation: &Accumulation) {
        self.sums = accumulation.sums(self.field);
        self.known = true;
    }

    fn clear(&mut self) {
        self.known = false;
        if std::mem::take(&mut self.used) {
            self.targets[..self.slots].fill(NOBODY);
        }
        (self.asked, self.joined, self.pass_on) = (0, 0, 0);
        self.begin();
    }

    fn write(&self, target: u64, value: &[u8], writer: &mut PatchWriter<'_>) {
        let put = |out: &mut [u8]| out.copy_from_slice(value);
        if self.by_row {
            // rows are given as numbers of 32 bits
            writer.row(Op::Accumulate, self.component, self.field, target as u32, self.bytes, put);
        } else {
            let entity = Entity::from_bits(target);
            writer.entity(Op::Accumulate, self.component, self.field, entity, self.bytes, put);
        }
    }

    /// Makes a patch of what a slot holds.
    fn evict(&mut self, slot: usize, writer: &mut PatchWriter<'_>) {
        self.write(self.targets[slot], &self.values[slot * self.bytes..][..self.bytes], writer);
    }

    fn flush(&mut self, writer: &mut PatchWriter<'_>) {
        if !std::mem::take(&mut self.used) {
            return;
        }
        for slot in 0..self.slots {
            let target = std::mem::replace(&mut self.targets[slot], NOBODY);
            if target != NOBODY {
                self.write(target, &self.values[slot * self.bytes..][..self.bytes], writer);
            }
        }
    }

    /// Whether joining pays, after a window of deposits.
    #[cold]
    fn judge(&mut self, writer: &mut PatchWriter<'_>) {
        let pays = self.joined >= self.asked / self.window.1;
        if !pays {
            self.pass_on = PASSED_ON;
            self.flush(writer);
        }
        (self.asked, self.joined) = (0, 0);
        if pays {
            self.window = WINDOW;
            self.spread();
        } else {
            self.begin();
        }
    }

    /// Nothing is known of the deposits to come. There are none in the slots.
    fn begin(&mut self) {
        self.window = FIRST_WINDOW;
        self.slots = self.targets.len().min(FIRST_SLOTS);
    }

    /// Takes all slots in use. No two targets come to want the same one: they had different ones when there were fewer.
    fn spread(&mut self) {
        let few = std::mem::replace(&mut self.slots, self.targets.len());
        for slot in if few < self.slots { 0..few } else { 0..0 } {
            let target = self.targets[slot];
            if target == NOBODY {
                continue;
            }
            let number = if self.by_row { target as usize } else { Entity::from_bits(target).index() as usize };
            let place = number & (self.slots - 1);
            if place != slot {
                self.targets[slot] = NOBODY;
                self.targets[place] = target;
                self.values.copy_within(slot * self.bytes..(slot + 1) * self.bytes, place * self.bytes);
            }
        }
    }
}

/// Makes a patch of a deposit as it comes.
#[inline(always)]
pub(crate) fn pass_on(
    component: u16,
    field: u8,
    onto: Onto,
    bytes: usize,
    put: impl FnOnce(&mut [u8]),
    writer: &mut PatchWriter<'_>,
) {
    match onto {
        Onto::Row(row) => writer.row(Op::Accumulate, component, field, row, bytes, put),
        Onto::Entity(entity) => writer.entity(Op::Accumulate, component, field, entity, bytes, put),
    }
}

impl Combiner {
    /// A job begins.
    pub(crate) fn clear(&mut self) {
        self.passing = 0;
        self.kinds.iter_mut().for_each(Deposits::clear);
    }

    /// Whether the next deposit of this kind is passed on as it comes; then it counts as passed on, and its system has
    /// declared it. What [`Combiner::deposit`] finds out anyhow, on a shorter way.
    #[inline(always)]
    pub(crate) fn passes(&mut self, component: u16, field: u8, by_row: bool, bytes: usize) -> bool {
        let passes = self.passing == word(component, field, by_row, bytes) && self.left > 0;
        self.left -= u32::from(passes);
        passes
    }

    /// Gives the number of deposits to pass on back to its kind.
    #[inline]
    fn settle(&mut self) {
        if std::mem::take(&mut self.passing) != 0
            && let Some(kind) = self.kinds.get_mut(self.last)
        {
            kind.pass_on = self.left;
        }
    }

    #[inline]
    fn kind(&mut self, accumulation: &Accumulation, field: u8, by_row: bool, bytes: usize) -> &mut Deposits {
        let component = accumulation.component;
        let key = (component, field, by_row, bytes);
        if self.kinds.get(self.last).is_none_or(|kind| kind.key() != key) {
            self.last = self.kinds.binary_search_by_key(&key, Deposits::key).unwrap_or_else(|place| {
                self.kinds.insert(place, Deposits::new(accumulation, field, by_row, bytes));
                place
            });
        }
        &mut self.kinds[self.last]
    }

    /// Joins a value of `bytes` packed bytes, which `put` writes, to what its target is given. The system declares
    /// `accumulation`, with rules for this field.
    #[inline(always)]
    pub(crate) fn deposit(
        &mut self,
        accumulation: &Accumulation,
        field: u8,
        onto: Onto,
        bytes: usize,
        put: impl FnOnce(&mut [u8]),
        writer: &mut PatchWriter<'_>,
    ) {
        self.settle();
        let by_row = matches!(onto, Onto::Row(_));
        let kind = self.kind(accumulation, field, by_row, bytes);
        let target = onto.bits();
        if kind.pass_on > 0 || target == NOBODY {
            let left = kind.pass_on.saturating_sub(1);
            (self.left, self.passing) = (left, word(accumulation.component, field, by_row, bytes));
            return pass_on(accumulation.component, field, onto, bytes, put, writer);
        }
        if !kind.known {
            kind.learn(accumulation);
        }
        kind.used = true;
        kind.asked += 1;
        let slot = onto.number() & (kind.slots - 1);
        let values = &mut kind.values[slot * bytes..][..bytes];
        if kind.targets[slot] == target {
            kind.joined += 1;
            if bytes <= VALUE_BYTES {
                let mut value = [0; VALUE_BYTES];
                let value = &mut value[..bytes];
                put(value);
                match kind.sums {
                    Sums::F64 => add::<f64>(values, value),
                    Sums::F32 => add::<f32>(values, value),
                    Sums::None => accumulation.join(field, values, value),
                }
            } else {
                let mut value = vec![0; bytes];
                put(&mut value);
                accumulation.join(field, values, &value);
            }
        } else {
            if kind.targets[slot] != NOBODY {
                kind.evict(slot, writer);
            }
            kind.targets[slot] = target;
            put(&mut kind.values[slot * bytes..][..bytes]);
        }
        if kind.asked == kind.window.0 {
            kind.judge(writer);
        }
    }

    /// Makes patches of all that is left.
    pub(crate) fn flush(&mut self, writer: &mut PatchWriter<'_>) {
        self.kinds.iter_mut().for_each(|kind| kind.flush(writer));
    }
}
