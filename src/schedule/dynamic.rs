//! Systems whose components are known by name only: kernels of other languages, in this process or in worker processes
//! alone.
//!
//! Such a system is a query by names ([`Query`]) and a kernel on bytes ([`Job`]). To the schedule it is like
//! any other: it knows neither what language a kernel is written in, nor what calls it.
#![forbid(unsafe_code)]

use crate::table::Registry;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::Entity;
use crate::column::Mut;
use crate::layout::{ComponentLayout, FieldType, Layout};
use crate::patch::Op;
use crate::world::access::bulk::find_field;
use crate::world::access::bundle::RegistryRef;
use crate::world::access::query::{Fetch, QueryPlan};
use crate::world::error::WorldError;

use super::error::{JobError, KernelError};
use super::job::Job as TypedJob;
use super::neighbours::{NeighbourRows, NeighbourSet};
use super::system::{Describe, Home, JobRows, Kernel, Reduces, System};

/// Rows per job of a system that is declared by names and looks at neighbours.
const NAMED_NEIGHBOUR_JOB_ROWS: JobRows = JobRows::Fixed(4096);

/// A query by names: the components of a system that has no Rust types.
///
/// ```
/// use hypostyle::dynamic;
/// let query = dynamic::Query::new().read("velocity").write("position").without("frozen");
/// let push = dynamic::external("push", query);
/// # let _ = push;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Query {
    own: Names,
    others: Option<Names>,
}

/// One side of a query, by names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    reads: Vec<String>,
    writes: Vec<String>,
    with: Vec<String>,
    without: Vec<String>,
}

impl Names {
    /// Adds what is named to a plan, as the Rust types would.
    pub(super) fn describe(&self, types: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        let id = |name: &String| types.0.component_named(name);
        for (names, write) in [(&self.writes, true), (&self.reads, false)] {
            for name in names {
                let component = id(name)?;
                plan.all.push(component);
                plan.columns_of(types, component, write, false)?;
            }
        }
        for name in &self.with {
            plan.all.push(id(name)?);
        }
        for name in &self.without {
            plan.none.push(id(name)?);
        }
        Ok(())
    }
}

impl Query {
    /// A query that matches every entity.
    #[must_use]
    pub fn new() -> Self {
        Query::default()
    }

    /// The entity has the component; its columns are read.
    #[must_use]
    pub fn read(mut self, component: impl Into<String>) -> Self {
        self.own.reads.push(component.into());
        self
    }

    /// The entity has the component; its columns are written.
    #[must_use]
    pub fn write(mut self, component: impl Into<String>) -> Self {
        self.own.writes.push(component.into());
        self
    }

    /// The entity has the component; its columns are not used.
    #[must_use]
    pub fn with(mut self, component: impl Into<String>) -> Self {
        self.own.with.push(component.into());
        self
    }

    /// The entity lacks the component.
    #[must_use]
    pub fn without(mut self, component: impl Into<String>) -> Self {
        self.own.without.push(component.into());
        self
    }

    /// The kernel also reads the whole columns of all entities that have this component (and all others named with this
    /// method), with their values at the beginning of the batch.
    #[must_use]
    pub fn neighbours(mut self, component: impl Into<String>) -> Self {
        self.others.get_or_insert_default().reads.push(component.into());
        self
    }
}

struct BytesKernel<F>(F);

impl<F> Kernel for BytesKernel<F>
where
    F: for<'j, 'a, 'w> Fn(&mut Job<'j, 'a, 'w>) -> Result<(), KernelError> + Send + Sync,
{
    fn run<'a>(
        &self,
        job: &mut TypedJob<'a, '_>,
        fetch: &mut Fetch<'a>,
        views: NeighbourSet<'a>,
    ) -> Result<(), KernelError> {
        let registry: &'a Registry = job.registry;
        let mut columns = Vec::with_capacity(job.compiled.own.columns.len());
        for access in job.compiled.own_columns() {
            let taken = if access.write {
                fetch.columns.write_bytes().map(|(ty, bytes)| (ty, ColumnBytes::Write(bytes)))
            } else {
                fetch.columns.read_bytes().map(|(ty, bytes)| (ty, ColumnBytes::Read(bytes)))
            };
            let (ty, bytes) = taken.ok_or("the program has fewer columns than the query")?;
            columns.push(Column { declared: declared(registry, access.component), field: access.field, ty, bytes });
        }
        (self.0)(&mut Job { job, columns, views })
    }
}

/// The kernel of a system whose kernel is elsewhere.
struct NoKernel;

impl Kernel for NoKernel {
    fn run<'a>(&self, _: &mut TypedJob<'a, '_>, _: &mut Fetch<'a>, _: NeighbourSet<'a>) -> Result<(), KernelError> {
        Err("this process has no kernel for the system".into())
    }
}

fn declared(registry: &Registry, component: u16) -> &ComponentLayout {
    &registry.layout.components()[usize::from(component)]
}

/// A system that knows components by name only. A call of its kernel is assumed to be expensive: by default a job has an
/// 8th of its table's rows, at least 8,192 and at most 131,072; with neighbours 4,096.
pub fn system(
    name: impl Into<String>,
    query: Query,
    kernel: impl for<'j, 'a, 'w> Fn(&mut Job<'j, 'a, 'w>) -> Result<(), KernelError> + Send + Sync + 'static,
) -> System {
    System::of_names(name.into(), query, Box::new(BytesKernel(kernel)))
}

/// As [`System::once`], for kernels that know resources by name only.
pub fn once(
    name: impl Into<String>,
    kernel: impl for<'j, 'a, 'w> Fn(&mut Job<'j, 'a, 'w>) -> Result<(), KernelError> + Send + Sync + 'static,
) -> System {
    System::of_names(name.into(), Query::new(), Box::new(BytesKernel(kernel))).without_rows()
}

/// A system whose kernel exists in the worker processes only, which run another program: the one that
/// [`SimulationBuilder::worker_command`](crate::SimulationBuilder::worker_command) names. That program registers the
/// system under the same name and with the same query, and calls [`serve`](crate::dynamic::serve).
///
/// A simulation that has such systems runs all others on main alone.
pub fn external(name: impl Into<String>, query: Query) -> System {
    let mut system = System::of_names(name.into(), query, Box::new(NoKernel));
    system.home = Home::Workers;
    system
}

impl System {
    fn of_names(name: String, query: Query, kernel: Box<dyn Kernel>) -> Self {
        let rows = if query.others.is_some() { NAMED_NEIGHBOUR_JOB_ROWS } else { JobRows::ByTable };
        System::new(
            name,
            Describe::Named(query.own),
            query.others.map(|others| (None, Describe::Named(others))),
            kernel,
            rows,
        )
    }

    /// As [`System::reduces`], by the resource's name, its packed value where no row gave anything, and a join of packed
    /// values: the later one into the earlier one. It is called on main, and where a job reduces more than once. It must
    /// depend on the two values alone; its panic is the frame's error.
    ///
    /// ```
    /// use hypostyle::dynamic::{self, Query};
    /// let nearest = dynamic::system("nearest", Query::new().read("position"), |job| {
    ///     job.reduce_named("nearest", &4.5_f64.to_le_bytes())?;
    ///     Ok(())
    /// });
    /// let nearest = nearest.reduces_packed_named("nearest", f64::INFINITY.to_le_bytes(), |earlier, later| {
    ///     let metres = |packed: &[u8]| packed.try_into().map_or(f64::NAN, f64::from_le_bytes);
    ///     if metres(later) < metres(earlier) {
    ///         earlier.copy_from_slice(later);
    ///     }
    /// });
    /// # let _ = nearest;
    /// ```
    #[must_use]
    pub fn reduces_packed_named(
        mut self,
        resource: impl Into<String>,
        empty: impl Into<Vec<u8>>,
        join: impl Fn(&mut [u8], &[u8]) + Send + Sync + 'static,
    ) -> Self {
        self.reduces.push((Reduces::Packed(resource.into(), empty.into(), Arc::new(join)), false));
        self
    }

    /// The place of a system that runs in main only, in a worker process.
    pub(super) fn absent(name: &str) -> Self {
        let mut system = Self::of_names(name.to_owned(), Query::default(), Box::new(NoKernel));
        system.home = Home::Main;
        system
    }
}

/// The bytes of a column's rows.
pub enum ColumnBytes<'a> {
    /// To read.
    Read(&'a [u8]),
    /// To write. Rows that are left alone keep their values.
    Write(Mut<'a, u8>),
}

/// One column of a job, or of a table of its neighbours.
pub struct Column<'a> {
    declared: &'a ComponentLayout,
    field: u8,
    /// The type of its values.
    pub ty: FieldType,
    /// The rows.
    pub bytes: ColumnBytes<'a>,
}

impl<'a> Column<'a> {
    /// Its component's name.
    #[must_use]
    pub fn component(&self) -> &'a str {
        &self.declared.name
    }

    /// Its field's name.
    #[must_use]
    pub fn field(&self) -> &'a str {
        &self.declared.fields[usize::from(self.field)].name
    }
}

/// One table of a job's neighbours.
pub struct Table<'a> {
    /// The handles of its rows.
    pub entities: &'a [Entity],
    /// Its columns, to read.
    pub columns: Vec<Column<'a>>,
    /// Whether the job's own rows are among its rows.
    pub is_own: bool,
    /// The table's own rows, the first ones; all others are ghosts ([`World::set_ghosts`](crate::World::set_ghosts)).
    pub own_rows: usize,
    table: &'a NeighbourRows,
    set: NeighbourSet<'a>,
}

impl Table<'_> {
    /// Whether all of its rows match; if not, ask [`Table::matches`].
    #[must_use]
    pub fn matches_all(&self) -> bool {
        self.table.masks.is_empty()
    }

    /// Whether a row matches: in tables with toggles not every row need.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn matches(&self, row: usize) -> bool {
        assert!(row < self.entities.len(), "row {row} of a table of {} rows", self.entities.len());
        self.set.matches(self.table, row)
    }
}

/// The targets of a patch.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'t> {
    /// Rows of the job's chunk, by index.
    Rows(&'t [u32]),
    /// Any entities, also those that this job spawned.
    Entities(&'t [Entity]),
}

impl Targets<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Targets::Rows(rows) => rows.len(),
            Targets::Entities(entities) => entities.len(),
        }
    }
}

/// A job whose columns are bytes with names. All of [`TypedJob`] is there as well.
pub struct Job<'j, 'a, 'w> {
    pub(super) job: &'j mut TypedJob<'a, 'w>,
    columns: Vec<Column<'a>>,
    views: NeighbourSet<'a>,
}

impl<'a, 'w> Deref for Job<'_, 'a, 'w> {
    type Target = TypedJob<'a, 'w>;
    fn deref(&self) -> &TypedJob<'a, 'w> {
        self.job
    }
}

impl<'a, 'w> DerefMut for Job<'_, 'a, 'w> {
    fn deref_mut(&mut self) -> &mut TypedJob<'a, 'w> {
        self.job
    }
}

impl<'a> Job<'_, 'a, '_> {
    /// The world's layout.
    #[must_use]
    pub fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.job.registry.layout)
    }

    /// The number of this run of the job's batch: all jobs of the run have it, and no other run in this process. What is made
    /// of whole columns of neighbours may be kept under it for further jobs.
    #[must_use]
    pub fn batch_serial(&self) -> u64 {
        self.job.serial
    }

    pub(super) fn registry(&self) -> &'a Registry {
        self.job.registry
    }

    /// The bytes of all resources.
    pub(super) fn resources_bytes(&self) -> &'a [u8] {
        self.job.resources
    }

    /// The columns of the components that the system writes, then of those that it reads, in the order of its query.
    pub fn columns(&mut self) -> &mut [Column<'a>] {
        &mut self.columns
    }

    /// The tables of the system's neighbours.
    pub fn tables(&self) -> impl Iterator<Item = Table<'a>> {
        let (set, own, compiled, registry) = (self.views, self.job.table(), self.job.compiled, self.job.registry);
        (0..set.tables.len()).map(move |index| {
            let (table, entities, mut cursor) = set.table(index);
            let accesses = compiled.others.first().map_or(&[][..], |others| &others.columns);
            let columns = accesses.iter().map_while(|access| {
                let (ty, bytes) = cursor.read_bytes()?;
                let bytes = ColumnBytes::Read(bytes);
                Some(Column { declared: declared(registry, access.component), field: access.field, ty, bytes })
            });
            let own_rows = table.own_rows as usize;
            Table { entities, columns: columns.collect(), is_own: table.table == own, own_rows, table, set }
        })
    }

    /// The packed bytes of a resource that the system declares to read.
    ///
    /// # Errors
    /// A resource that is unknown, undeclared or without a value.
    pub fn resource_named(&self, name: &str) -> Result<&'a [u8], JobError> {
        let layout = &self.job.registry.layout;
        let id = self.job.registry.resource_named(name)?;
        if self.job.compiled.reads_resources.binary_search(&id).is_err() {
            return Err(JobError::Undeclared { resource: name.to_owned() });
        }
        let (index, resources) = (usize::from(id), self.job.resources);
        if resources[index] == 0 {
            return Err(JobError::NoValue { resource: name.to_owned() });
        }
        let at = layout.resource_offset(index) as usize;
        Ok(&resources[at..at + layout.resources()[index].packed_bytes()])
    }

    /// Sets a component (`position`), or one field of it (`position.x`): packed values, one for each target, or one for
    /// all of them.
    ///
    /// # Errors
    /// An unknown name, values of another length, a row that the chunk does not have. The same holds for all patches by name.
    pub fn set_named(&mut self, name: &str, targets: Targets<'_>, values: &[u8]) -> Result<(), JobError> {
        let (component, field, bytes) = self.place(name)?;
        self.patch(Op::Set, (component, field), targets, bytes, values)
    }

    /// Adds a component to entities, or sets it if they have it: packed values, one for each target, or one for all.
    ///
    /// # Errors
    /// As [`Job::set_named`].
    pub fn add_named(&mut self, component: &str, targets: Targets<'_>, values: &[u8]) -> Result<(), JobError> {
        let component = self.valued(component)?;
        let bytes = declared(self.job.registry, component).packed_bytes();
        self.patch(Op::Add, (component, 0), targets, bytes, values)
    }

    /// Removes a component from entities.
    ///
    /// # Errors
    /// As [`Job::set_named`].
    pub fn remove_named(&mut self, component: &str, targets: Targets<'_>) -> Result<(), JobError> {
        let component = self.component(component)?;
        self.patch(Op::Remove, (component, 0), targets, 0, &[])
    }

    /// Despawns entities.
    ///
    /// # Errors
    /// A row that the chunk does not have.
    pub fn despawn_all(&mut self, targets: Targets<'_>) -> Result<(), JobError> {
        self.patch(Op::Despawn, (0, 0), targets, 0, &[])
    }

    /// The reserved handle of the `ordinal`th entity that this kernel spawns from now on, counted from 0.
    #[must_use]
    pub fn reserved(&self, ordinal: u32) -> Entity {
        self.job.writer.next_handle(ordinal)
    }

    /// Spawns entities with these components: for each entity the packed values of all components in order, or one such
    /// value for all of them. Their handles are reserved: later patches of this job may name them.
    ///
    /// # Errors
    /// An unknown name, values of another length.
    pub fn spawn_named(&mut self, components: &[&str], count: usize, values: &[u8]) -> Result<Vec<Entity>, JobError> {
        let ids: Vec<u16> = components.iter().map(|name| self.component(name)).collect::<Result<_, _>>()?;
        let bytes = ids.iter().map(|id| declared(self.job.registry, *id).row_bytes()).sum();
        let values = Values::new(values, count, bytes)?;
        let spawn = |index| self.job.writer.spawn(&ids, bytes, |out| out.copy_from_slice(values.get(index)));
        Ok((0..count).map(spawn).collect())
    }

    /// As [`TypedJob::reduce`], by the resource's name: a packed value of all its fields, which is joined as the system declares
    /// with [`System::reduces_named`].
    ///
    /// # Errors
    /// An unknown or undeclared resource, bytes of another length, a bool that is neither 0 nor 1.
    pub fn reduce_named(&mut self, name: &str, packed: &[u8]) -> Result<(), JobError> {
        let id = self.job.registry.resource_named(name)?;
        let bytes = self.job.registry.layout.resources()[usize::from(id)].packed_bytes();
        if packed.len() != bytes {
            return Err(JobError::ResourceBytes { resource: name.to_owned(), bytes, got: packed.len() });
        }
        let compiled = self.job.compiled;
        let Some(reduction) = compiled.reduction(id) else {
            return Err(JobError::UndeclaredReduction { resource: name.to_owned() });
        };
        if self.job.registry.resource_bool_offsets[usize::from(id)].iter().any(|at| packed[*at as usize] > 1) {
            return Err(JobError::NotABool { resource: name.to_owned() });
        }
        self.job.reduced.add(id, bytes, |out| out.copy_from_slice(packed), |earlier| reduction.join(earlier, packed));
        Ok(())
    }

    /// Sets a resource that the system declares to set: its packed bytes.
    ///
    /// # Errors
    /// An unknown resource, bytes of another length.
    pub fn set_resource_named(&mut self, name: &str, packed: &[u8]) -> Result<(), JobError> {
        let id = self.job.registry.resource_named(name)?;
        let bytes = self.job.registry.layout.resources()[usize::from(id)].packed_bytes();
        if packed.len() != bytes {
            return Err(JobError::ResourceBytes { resource: name.to_owned(), bytes, got: packed.len() });
        }
        self.job.writer.resource(id, bytes, |out| out.copy_from_slice(packed));
        Ok(())
    }

    /// In a worker process: invalidates the addresses of all written columns when this job has ended. Code of another
    /// language that kept such an address and uses it later is killed by the operating system. In main this has no effect.
    pub fn revoke(&mut self) {
        self.job.revoke.set(true);
    }

    /// A component (`position`), or a field of it (`position.x`): its id, the field counted from 1, its bytes.
    pub(super) fn place(&self, name: &str) -> Result<(u16, u8, usize), JobError> {
        if name.contains('.') {
            let (component, field, ty) = find_field(self.job.registry, name)?;
            return Ok((component, field + 1, ty.bytes()));
        }
        let component = self.valued(name)?;
        Ok((component, 0, declared(self.job.registry, component).packed_bytes()))
    }

    /// A component of which an entity has one value.
    fn valued(&self, name: &str) -> Result<u16, JobError> {
        let id = self.component(name)?;
        if declared(self.job.registry, id).storage.is_list() {
            return Err(crate::WorldError::list(name).into());
        }
        Ok(id)
    }

    fn component(&self, name: &str) -> Result<u16, JobError> {
        Ok(self.job.registry.component_named(name)?)
    }

    fn patch(
        &mut self,
        op: Op,
        (component, field): (u16, u8),
        targets: Targets<'_>,
        bytes: usize,
        values: &[u8],
    ) -> Result<(), JobError> {
        let values = Values::new(values, targets.len(), bytes)?;
        let TypedJob { writer, entities, rows: own, .. } = &mut *self.job;
        match targets {
            Targets::Rows(rows) => {
                if let Some(row) = rows.iter().find(|row| **row as usize >= entities.len()) {
                    return Err(JobError::NoRow { row: *row, rows: entities.len() });
                }
                for (index, row) in rows.iter().enumerate() {
                    let write = |out: &mut [u8]| out.copy_from_slice(values.get(index));
                    writer.row(op, component, field, own.place(*row as usize), bytes, write);
                }
            }
            Targets::Entities(entities) => {
                for (index, entity) in entities.iter().enumerate() {
                    let write = |out: &mut [u8]| out.copy_from_slice(values.get(index));
                    writer.entity(op, component, field, *entity, bytes, write);
                }
            }
        }
        Ok(())
    }
}

/// Packed values, one for each target, or one for all of them.
pub(super) struct Values<'v> {
    bytes: &'v [u8],
    /// Bytes of one.
    each: usize,
    one: bool,
}

impl<'v> Values<'v> {
    pub(super) fn new(bytes: &'v [u8], count: usize, each: usize) -> Result<Self, JobError> {
        let one = bytes.len() == each;
        if one || Some(bytes.len()) == count.checked_mul(each) {
            return Ok(Values { bytes, each, one });
        }
        Err(JobError::Values { count, each, got: bytes.len() })
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> &'v [u8] {
        if self.one { self.bytes } else { &self.bytes[index * self.each..][..self.each] }
    }
}
