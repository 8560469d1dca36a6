//! Lists in systems: what a system declares of them, how its kernel reads those of its own rows and sets those of any.
#![forbid(unsafe_code)]

use crate::commit::Access;
use crate::lists::Lists;
use crate::patch::ListTarget;
use crate::table::Registry;
use crate::world::access::bundle::RegistryRef;
use crate::world::access::lists::{list_id, list_named};
use crate::world::access::query::QueryPlan;
use crate::world::error::WorldError;
use crate::{Component, Entity};

use super::dynamic::{self, Targets};
use super::error::{JobError, KernelError};
use super::job::Job;
use super::system::System;

/// A component that is a list, as a Rust type or by name.
enum ListId {
    Typed(fn(&RegistryRef<'_>) -> Result<u16, WorldError>),
    Named(String),
}

impl ListId {
    fn find(&self, types: &RegistryRef<'_>) -> Result<u16, WorldError> {
        match self {
            ListId::Typed(find) => find(types),
            ListId::Named(name) => list_named(types, name),
        }
    }
}

/// The lists that a system declares.
#[derive(Default)]
pub(super) struct Declared {
    reads: Vec<ListId>,
    sets: Vec<ListId>,
}

fn ids(lists: &[ListId], types: &RegistryRef<'_>) -> Result<Vec<u16>, WorldError> {
    let mut ids: Vec<u16> = lists.iter().map(|list| list.find(types)).collect::<Result<_, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

impl Declared {
    /// What it reads, sorted, and as part of its query.
    pub(super) fn reads(&self, types: &RegistryRef<'_>, own: &mut QueryPlan) -> Result<Vec<u16>, WorldError> {
        let ids = ids(&self.reads, types)?;
        ids.iter().for_each(|id| own.spans_of(*id));
        Ok(ids)
    }

    /// What it sets, sorted.
    pub(super) fn sets(&self, types: &RegistryRef<'_>) -> Result<Vec<u16>, WorldError> {
        ids(&self.sets, types)
    }
}

/// A list is set as a whole, never as a value.
pub(super) fn refuse_values(access: &Access, registry: &Registry) -> Result<(), KernelError> {
    let components = registry.layout.components();
    match access.sets.iter().chain(&access.adds).find(|id| components[usize::from(**id)].storage.is_list()) {
        None => Ok(()),
        Some(id) => {
            let name = &components[usize::from(*id)].name;
            Err(format!("component `{name}` is a list: declare `sets_lists` for it, in place of `sets` and `adds`")
                .into())
        }
    }
}

impl System {
    /// Declares that the kernel reads the lists of its own rows ([`Job::lists`]). Rows without the component are left out, as
    /// if the query asked for it.
    #[must_use]
    pub fn reads_lists<C: Component>(mut self) -> Self {
        self.lists.reads.push(ListId::Typed(list_id::<C>));
        self
    }

    /// As [`System::reads_lists`], by the component's name.
    #[must_use]
    pub fn reads_lists_named(mut self, component: impl Into<String>) -> Self {
        self.lists.reads.push(ListId::Named(component.into()));
        self
    }

    /// Declares that the kernel sets lists ([`Job::set_list_row`], [`Job::set_list`]).
    ///
    /// A list of any length is set as a whole, when the batch is committed; the last one in canonical order stays. Neither
    /// the elements nor where they are in memory depend on workers.
    #[must_use]
    pub fn sets_lists<C: Component>(mut self) -> Self {
        self.lists.sets.push(ListId::Typed(list_id::<C>));
        self
    }

    /// As [`System::sets_lists`], by the component's name.
    #[must_use]
    pub fn sets_lists_named(mut self, component: impl Into<String>) -> Self {
        self.lists.sets.push(ListId::Named(component.into()));
        self
    }
}

impl<'a> Job<'a, '_> {
    /// The lists of the chunk's rows, as they were when the batch began.
    ///
    /// # Errors
    /// A component that is unknown, no list, or not declared with [`System::reads_lists`].
    pub fn lists<C: Component>(&self) -> Result<Lists<'a, C>, JobError> {
        let id = list_id::<C>(&RegistryRef(self.registry))?;
        let found = self.lists.get(id);
        let (mut columns, elements, spans) =
            found.ok_or_else(|| JobError::UndeclaredList { component: C::NAME.to_owned() })?;
        Ok(Lists::new(C::columns(&mut columns), spans, elements))
    }

    /// Sets the list of a row of the chunk, as the system declares with [`System::sets_lists`]: when the batch is committed,
    /// these elements take the place of those that it has. The entity must have the component.
    ///
    /// ```
    /// use hypostyle::{Component, List, Read, Schedule, Simulation, System, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Number { n: u32 }
    /// #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// #[component(storage = "list")]
    /// struct Divisor { of: u32 }
    ///
    /// let mut world = World::builder().component::<Number>().component::<Divisor>().build()?;
    /// let numbers = world.spawn_batch((1..=12).map(|n| (Number { n }, List::<Divisor>::new())))?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(
    ///     System::rows::<Read<Number>>("divide", |job, number| {
    ///         for row in 0..job.len() {
    ///             let n = number.n[row];
    ///             let divisors: Vec<Divisor> = (1..=n).filter(|d| n % d == 0).map(|of| Divisor { of }).collect();
    ///             job.set_list_row(row, &divisors);
    ///         }
    ///     })
    ///     .sets_lists::<Divisor>(),
    /// );
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// let divisors = simulation.world().list::<Divisor>(numbers[5])?;
    /// assert_eq!(divisors.iter().map(|divisor| divisor.of).collect::<Vec<_>>(), [1, 2, 3, 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When the chunk has no such row.
    pub fn set_list_row<C: Component>(&mut self, row: usize, elements: &[C]) {
        let row = self.row(row);
        self.put_list(ListTarget::Row(row), elements);
    }

    /// As [`Job::set_list_row`], of any entity, also of one that this job spawns.
    pub fn set_list<C: Component>(&mut self, entity: Entity, elements: &[C]) {
        self.put_list(ListTarget::Entity(entity), elements);
    }

    fn put_list<C: Component>(&mut self, target: ListTarget, elements: &[C]) {
        if !C::STORAGE.is_list() {
            let why = || WorldError::NoList { component: C::NAME.to_owned() }.to_string();
            self.error.get_or_insert_with(why);
            return;
        }
        let Some(id) = self.id::<C>() else { return };
        self.writer.list(target, id, (elements.len(), C::PACKED_BYTES), |first, out| {
            for (out, element) in out.chunks_exact_mut(C::PACKED_BYTES).zip(&elements[first..]) {
                element.pack(out);
            }
        });
    }
}

/// The lists of a chunk's rows, as bytes.
pub struct ListBytes<'a> {
    /// Where each row's list begins among the elements.
    pub starts: &'a [u32],
    /// How many elements it has.
    pub lengths: &'a [u32],
    /// The elements of all lists, column by column: the field's type, and the bytes of its values.
    pub columns: Vec<(crate::FieldType, &'a [u8])>,
}

impl<'a> dynamic::Job<'_, 'a, '_> {
    /// As [`Job::lists`], by the component's name.
    ///
    /// # Errors
    /// As [`Job::lists`].
    pub fn lists_named(&self, component: &str) -> Result<ListBytes<'a>, JobError> {
        let id = list_named(&RegistryRef(self.job.registry), component)?;
        let found = self.job.lists.get(id);
        let (mut columns, _, (starts, lengths)) =
            found.ok_or_else(|| JobError::UndeclaredList { component: component.to_owned() })?;
        let columns = std::iter::from_fn(|| columns.read_bytes()).collect();
        Ok(ListBytes { starts, lengths, columns })
    }

    /// As [`Job::set_list_row`] and [`Job::set_list`], by the component's name: how many elements each target gets, and the
    /// packed elements of all of them, one after the other.
    ///
    /// # Errors
    /// A component that is unknown or no list; other than one length for each target; bytes that are not so many elements; a
    /// row that the chunk does not have.
    pub fn set_lists_named(
        &mut self,
        component: &str,
        targets: Targets<'_>,
        lengths: &[u32],
        packed: &[u8],
    ) -> Result<(), JobError> {
        let registry = self.job.registry;
        let id = list_named(&RegistryRef(registry), component)?;
        let bytes = registry.layout.components()[usize::from(id)].packed_bytes();
        let total: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
        if lengths.len() != targets.len() || total.checked_mul(bytes as u64) != Some(packed.len() as u64) {
            let (count, got) = (lengths.len(), packed.len());
            return Err(JobError::ListLengths { component: component.to_owned(), targets: targets.len(), count, got });
        }
        let Job { writer, entities, rows: own, .. } = &mut *self.job;
        let rows = entities.len();
        let mut rest = packed;
        for (index, length) in lengths.iter().enumerate() {
            let target = match targets {
                Targets::Rows(picked) if picked[index] as usize >= rows => {
                    return Err(JobError::NoRow { row: picked[index], rows });
                }
                Targets::Rows(picked) => ListTarget::Row(own.place(picked[index] as usize)),
                Targets::Entities(entities) => ListTarget::Entity(entities[index]),
            };
            let (elements, later) = rest.split_at(*length as usize * bytes);
            rest = later;
            writer.list(target, id, (*length as usize, bytes), |first, out| {
                out.copy_from_slice(&elements[first * bytes..][..out.len()]);
            });
        }
        Ok(())
    }
}
