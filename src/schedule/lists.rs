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

use super::built::Built;
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
    builds: Vec<ListId>,
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

    /// What it builds in place, which rows must have.
    pub(super) fn builds(&self, types: &RegistryRef<'_>, own: &mut QueryPlan) -> Result<Option<u16>, KernelError> {
        let ids = ids(&self.builds, types)?;
        let name = |id: &u16| types.0.layout.components()[usize::from(*id)].name.clone();
        match &ids[..] {
            [] => Ok(None),
            [id] if types.0.layout.components()[usize::from(*id)].storage.is_scratch() => {
                own.all.push(*id);
                Ok(Some(*id))
            }
            [id] => Err(format!(
                "the lists of component `{}` are state, which is not built in place: declare `sets_lists` for it, or give \
                 it `storage = \"scratch_list\"`",
                name(id)
            )
            .into()),
            all => {
                let names: Vec<String> = all.iter().map(name).collect();
                Err(format!("it builds the lists of {}: one system builds those of one component", names.join(" and "))
                    .into())
            }
        }
    }

    /// What it sets, sorted.
    pub(super) fn sets(&self, types: &RegistryRef<'_>) -> Result<Vec<u16>, WorldError> {
        ids(&self.sets, types)
    }
}

/// A list is set as a whole, never as a value.
pub(super) fn refuse_values(access: &Access, registry: &Registry) -> Result<(), KernelError> {
    let components = registry.layout.components();
    match access.sets.iter().find(|id| components[usize::from(**id)].storage.is_list()) {
        None => Ok(()),
        Some(id) => {
            let name = &components[usize::from(*id)].name;
            Err(format!("component `{name}` is a list: declare `sets_lists` for it, in place of `sets`").into())
        }
    }
}

/// A system that builds lists may run its jobs twice, so it has no other result and does not look at what it builds.
pub(super) fn refuse_other_work(
    alone: bool,
    reads_lists: &[u16],
    component: u16,
    registry: &Registry,
) -> Result<(), KernelError> {
    let name = &registry.layout.components()[usize::from(component)].name;
    if reads_lists.contains(&component) {
        return Err(format!(
            "it reads the lists of `{name}` and builds them in place, where the old ones were: declare `sets_lists` in \
             place of `builds_lists`"
        )
        .into());
    }
    if !alone {
        return Err(format!(
            "it builds the lists of `{name}` in place, and writes, sets or sorts something else, too: that belongs into a \
             system of its own"
        )
        .into());
    }
    Ok(())
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

    /// Declares that the kernel makes all lists of a scratch component anew, in place: [`Job::set_list_row`], at most once for
    /// each row. Rows of which it sets none, and those that the system does not match, have empty lists afterwards.
    ///
    /// Elements go to their place at once, in no record and with no copy; each job has its own part of the memory. It is as
    /// large as the lists of the same jobs were the last time, and a little larger. Where lists do not fit, the jobs run again
    /// with more room, so the kernel has no other result: no columns to write, no patches, no reductions. A system that does
    /// not run in every frame needs [`System::rebuilds`] beside this, as for any scratch component.
    ///
    /// ```
    /// use hypostyle::{Component, List, Read, Schedule, Simulation, System, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Place { x: f64 }
    /// #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// #[component(storage = "scratch_list")]
    /// struct Near { row: u32 }
    ///
    /// let mut world = World::builder().component::<Place>().component::<Near>().build()?;
    /// let all = world.spawn_batch((0..9).map(|i| (Place { x: f64::from(i) }, List::<Near>::new())))?;
    /// let mut schedule = Schedule::new();
    /// let near = System::neighbours::<Read<Place>, Read<Place>>("near", |job, own, all| {
    ///     let x = all.table(0).columns.x;
    ///     for row in 0..job.len() {
    ///         let is_near = |other: &usize| (x[*other] - own.x[row]).abs() < 1.5;
    ///         let near: Vec<Near> = (0..x.len()).filter(is_near).map(|row| Near { row: row as u32 }).collect();
    ///         job.set_list_row(row, &near);
    ///     }
    /// });
    /// schedule.add(near.builds_lists::<Near>());
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().list::<Near>(all[4])?, [3, 4, 5].map(|row| Near { row }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn builds_lists<C: Component>(mut self) -> Self {
        self.lists.builds.push(ListId::Typed(list_id::<C>));
        self
    }

    /// As [`System::builds_lists`], by the component's name.
    #[must_use]
    pub fn builds_lists_named(mut self, component: impl Into<String>) -> Self {
        self.lists.builds.push(ListId::Named(component.into()));
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
        self.set_list_row_with(row, elements.len(), |index| elements[index]);
    }

    /// As [`Job::set_list_row`]; each element is made of its place in the list when it is written, so that no slice of them is
    /// needed.
    ///
    /// # Panics
    /// When the chunk has no such row.
    #[inline]
    pub fn set_list_row_with<C: Component>(&mut self, row: usize, length: usize, element: impl Fn(usize) -> C) {
        let row = self.row(row);
        self.put_list(ListTarget::Row(row), false, length, element);
    }

    /// Gives the entity in a row of the chunk a list, as the system declares with [`System::adds`]: where it has the component
    /// already, its list is set.
    ///
    /// ```
    /// use hypostyle::{Component, List, Read, Schedule, Simulation, System, Without, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Body { x: f64 }
    /// #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// #[component(storage = "list")]
    /// struct Visit { frame: u64 }
    ///
    /// let mut world = World::builder().component::<Body>().component::<Visit>().build()?;
    /// let body = world.spawn(Body { x: 1.0 })?;
    /// let mut schedule = Schedule::new();
    /// let begin = System::rows::<(Read<Body>, Without<Visit>)>("begin", |job, _| {
    ///     for row in 0..job.len() {
    ///         job.add_list_row(row, &[Visit { frame: job.frame() }]);
    ///     }
    /// });
    /// schedule.add(begin.adds::<List<Visit>>());
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.run(3, 1.0)?;
    /// assert_eq!(simulation.world().list::<Visit>(body)?, [Visit { frame: 1 }]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When the chunk has no such row.
    pub fn add_list_row<C: Component>(&mut self, row: usize, elements: &[C]) {
        let row = self.row(row);
        self.put_list(ListTarget::Row(row), true, elements.len(), |index| elements[index]);
    }

    /// As [`Job::add_list_row`], of any entity, also of one that this job spawns.
    pub fn add_list<C: Component>(&mut self, entity: Entity, elements: &[C]) {
        self.put_list(ListTarget::Entity(entity), true, elements.len(), |index| elements[index]);
    }

    /// As [`Job::set_list_row`], of any entity, also of one that this job spawns.
    pub fn set_list<C: Component>(&mut self, entity: Entity, elements: &[C]) {
        self.put_list(ListTarget::Entity(entity), false, elements.len(), |index| elements[index]);
    }

    #[inline]
    fn put_list<C: Component>(&mut self, target: ListTarget, adds: bool, length: usize, element: impl Fn(usize) -> C) {
        if !C::STORAGE.is_list() {
            let why = || WorldError::NoList { component: C::NAME.to_owned() }.to_string();
            self.error.get_or_insert_with(why);
            return;
        }
        let Some(id) = self.id::<C>() else { return };
        let write = |first: usize, out: &mut [u8]| {
            for (index, out) in out.chunks_exact_mut(C::PACKED_BYTES).enumerate() {
                element(first + index).pack(out);
            }
        };
        if !self.built.builds(id) {
            return self.writer.list(target, (id, adds), (length, C::PACKED_BYTES), write);
        }
        if let Err(why) = build_list(self.built, target, length, write) {
            self.error.get_or_insert(why);
        }
    }
}

/// Puts a list in its place.
#[inline]
fn build_list(
    built: &mut Built,
    target: ListTarget,
    length: usize,
    write: impl FnMut(usize, &mut [u8]),
) -> Result<(), String> {
    match target {
        ListTarget::Row(row) => built.put(row, length, write),
        ListTarget::Entity(entity) => Err(format!(
            "the list of entity {entity} is set by its handle: lists that are built in place are set by row"
        )),
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
        self.put_lists_named((component, false), targets, lengths, packed)
    }

    /// As [`Job::add_list_row`] and [`Job::add_list`], by the component's name, with what [`Self::set_lists_named`] takes.
    ///
    /// # Errors
    /// As [`Self::set_lists_named`].
    pub fn add_lists_named(
        &mut self,
        component: &str,
        targets: Targets<'_>,
        lengths: &[u32],
        packed: &[u8],
    ) -> Result<(), JobError> {
        self.put_lists_named((component, true), targets, lengths, packed)
    }

    fn put_lists_named(
        &mut self,
        (component, adds): (&str, bool),
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
        let Job { writer, entities, rows: own, built, error, .. } = &mut *self.job;
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
            let write = |first: usize, out: &mut [u8]| out.copy_from_slice(&elements[first * bytes..][..out.len()]);
            if !built.builds(id) {
                writer.list(target, (id, adds), (*length as usize, bytes), write);
            } else if let Err(why) = build_list(built, target, *length as usize, write) {
                error.get_or_insert(why);
            }
        }
        Ok(())
    }
}
