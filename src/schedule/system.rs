//! Declaring a system: its kernel, what it reads and writes, when it runs.
#![forbid(unsafe_code)]

use crate::table::{Registry, UnknownName};
use std::time::Duration;

use crate::Resource;
use crate::commit::Access;
use crate::join::FieldJoin;
use crate::limits::JOB_ROWS;
use crate::random::system_number;
use crate::reduce::{PackedJoin, Reduce, Reduction};
use crate::world::access::bundle::{Bundle, RegistryRef};
use crate::world::access::query::{Fetch, Query, QueryPlan};
use crate::world::error::WorldError;

use super::accumulate::{self, Accumulates};
use super::condition::{self, Condition};
use super::dynamic::Names;
use super::error::KernelError;
use super::job::Job;
use super::neighbours::{NeighbourSet, Neighbours};

/// The stages that every schedule has, in order. `startup` runs once per world, before `update` of its first frame; it does
/// not run again in another simulation of that world or after a resume.
pub const STAGES: [&str; 5] = ["startup", "update", "late", "render", "cleanup"];

/// What a kernel is called with, type-erased.
pub(crate) trait Kernel: Send + Sync {
    fn run<'a>(&self, job: &mut Job<'a, '_>, fetch: &mut Fetch<'a>, views: NeighbourSet<'a>)
    -> Result<(), KernelError>;
}

struct RowsKernel<Q, F>(F, std::marker::PhantomData<fn() -> Q>);

impl<Q, F> Kernel for RowsKernel<Q, F>
where
    Q: Query,
    F: for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>) -> Result<(), KernelError> + Send + Sync,
{
    fn run<'a>(&self, job: &mut Job<'a, '_>, fetch: &mut Fetch<'a>, _: NeighbourSet<'a>) -> Result<(), KernelError> {
        (self.0)(job, Q::fetch(fetch))
    }
}

struct NeighbourKernel<Q, O, F>(F, std::marker::PhantomData<fn() -> (Q, O)>);

impl<Q, O, F> Kernel for NeighbourKernel<Q, O, F>
where
    Q: Query,
    O: Query,
    F: for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>, Neighbours<'a, O>) -> Result<(), KernelError> + Send + Sync,
{
    fn run<'a>(
        &self,
        job: &mut Job<'a, '_>,
        fetch: &mut Fetch<'a>,
        views: NeighbourSet<'a>,
    ) -> Result<(), KernelError> {
        let own = job.table();
        let (map, item) = (job.map(), Q::fetch(fetch));
        (self.0)(job, item, Neighbours::new(views, own, map))
    }
}

/// A query, as a Rust type or by names.
pub(super) enum Describe {
    Typed(fn(&RegistryRef<'_>, &mut QueryPlan) -> Result<(), WorldError>),
    Named(Names),
}

impl Describe {
    fn describe(&self, types: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        match self {
            Describe::Typed(describe) => describe(types, plan),
            Describe::Named(names) => names.describe(types, plan),
        }
    }
}

/// Components, as a Rust type or by name.
enum Ids {
    Typed(fn(&RegistryRef<'_>, &mut Vec<u16>) -> Result<(), WorldError>),
    Named(String),
}

/// A resource, as a Rust type or by name.
enum ResourceId {
    Typed(fn(&Registry) -> Result<u16, UnknownName>),
    Named(String),
}

impl ResourceId {
    fn find(&self, registry: &Registry) -> Result<u16, UnknownName> {
        match self {
            ResourceId::Typed(find) => find(registry),
            ResourceId::Named(name) => registry.resource_named(name),
        }
    }
}

/// A resource that rows are reduced to, as a Rust type or by name.
pub(super) enum Reduces {
    Typed(fn(&Registry) -> Result<Reduction, UnknownName>),
    Named(String, Vec<(String, FieldJoin)>),
    /// The packed value of no rows, and a join of packed values.
    Packed(String, Vec<u8>, PackedJoin),
}

impl Reduces {
    fn find(&self, registry: &Registry) -> Result<Reduction, KernelError> {
        match self {
            Reduces::Typed(find) => Ok(find(registry)?),
            Reduces::Named(name, joins) => {
                let id = registry.resource_named(name)?;
                Ok(Reduction::named(id, &registry.layout.resources()[usize::from(id)], joins)?)
            }
            Reduces::Packed(name, empty, join) => {
                let id = registry.resource_named(name)?;
                Ok(Reduction::packed(id, &registry.layout.resources()[usize::from(id)], empty, join)?)
            }
        }
    }
}

/// Where a system's kernel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Home {
    /// In main, and in all workers.
    #[default]
    Everywhere,
    /// In worker processes only.
    Workers,
    /// In main only: the worker processes are another program's.
    Main,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Sets,
    Adds,
    Removes,
    Spawns,
}

/// A system that another is ordered by.
#[derive(Clone, Debug)]
pub(crate) struct Neighbour {
    pub system: String,
    /// Whether the schedule may do without it.
    pub optional: bool,
}

/// A kernel and its declarations: what it reads and writes, when it runs, what it may change by patches.
///
/// ```
/// use hypostyle::{Component, Read, System, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Position { x: f32 }
/// #[derive(Component, Clone, Copy)]
/// struct Velocity { x: f32 }
/// let integrate = System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut position, velocity)| {
///     let dt = job.dt() as f32;
///     position.x.map_with(velocity.x, |x, v| x + v * dt);
/// });
/// # let _ = integrate;
/// ```
pub struct System {
    pub(crate) name: String,
    pub(crate) stage: String,
    pub(crate) before: Vec<Neighbour>,
    pub(crate) after: Vec<Neighbour>,
    pub(crate) payload: Vec<u8>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) job_rows: Option<u32>,
    pub(crate) sort_by: Option<String>,
    sort_every: u64,
    sort_leaves: Vec<Ids>,
    pub(crate) kernel: Box<dyn Kernel>,
    pub(super) home: Home,
    once: bool,
    default_rows: JobRows,
    own: Describe,
    others: Option<Describe>,
    changes: Vec<(Change, Ids)>,
    despawns: bool,
    sets_resources: Vec<ResourceId>,
    reads_resources: Vec<ResourceId>,
    /// And whether what the rows came to is joined to the value that is there.
    pub(super) reduces: Vec<(Reduces, bool)>,
    pub(super) accumulates: Vec<Accumulates>,
    pub(super) conditions: Vec<condition::Declared>,
    pub(super) in_loop: Option<String>,
    /// Whether it runs where scratch components are as new.
    pub(super) rebuilds: bool,
    checks: Vec<Check>,
}

/// Something that must be so of a world's names.
type Check = Box<dyn Fn(&Registry) -> Result<(), KernelError> + Send + Sync>;

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System").field("name", &self.name).field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl System {
    pub(super) fn new(
        name: impl Into<String>,
        own: Describe,
        others: Option<Describe>,
        kernel: Box<dyn Kernel>,
        default_rows: JobRows,
    ) -> Self {
        System {
            home: Home::Everywhere,
            once: false,
            default_rows,
            name: name.into(),
            stage: "update".to_owned(),
            before: Vec::new(),
            after: Vec::new(),
            payload: Vec::new(),
            deadline: None,
            job_rows: None,
            sort_by: None,
            sort_every: 1,
            sort_leaves: Vec::new(),
            kernel,
            own,
            others,
            changes: Vec::new(),
            despawns: false,
            sets_resources: Vec::new(),
            reads_resources: Vec::new(),
            reduces: Vec::new(),
            accumulates: Vec::new(),
            conditions: Vec::new(),
            in_loop: None,
            rebuilds: false,
            checks: Vec::new(),
        }
    }

    /// A row-local system: its kernel gets chunks of matching rows and no other rows.
    ///
    /// The empty query `()` matches every entity; in an empty world the kernel of such a system gets one chunk without rows.
    /// For work that does not concern rows use [`System::once`].
    pub fn rows<Q: Query>(
        name: impl Into<String>,
        kernel: impl for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>) + Send + Sync + 'static,
    ) -> Self {
        Self::try_rows::<Q>(name, move |job, item| {
            kernel(job, item);
            Ok(())
        })
    }

    /// As [`System::rows`], with a kernel that can fail with any error or a text ([`KernelError`]). If it fails, the frame is
    /// abandoned.
    pub fn try_rows<Q: Query>(
        name: impl Into<String>,
        kernel: impl for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>) -> Result<(), KernelError> + Send + Sync + 'static,
    ) -> Self {
        fn boxed<Q: Query, F>(kernel: F) -> Box<dyn Kernel>
        where
            F: for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>) -> Result<(), KernelError> + Send + Sync + 'static,
        {
            Box::new(RowsKernel::<Q, F>(kernel, std::marker::PhantomData))
        }
        Self::new(name, Describe::Typed(Q::describe), None, boxed::<Q, _>(kernel), JobRows::ByBytes)
    }

    /// A row-local system whose kernel gets one row at a time: the job, the row's place in the chunk, and its values, with
    /// `&mut C` for [`Write`](crate::Write). A column of which no value changes is not touched. Kernels of
    /// [`System::rows`] work on whole columns, which is faster.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Fuel { left: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Burn { rate: f64 }
    /// let mut world = World::builder().component::<Fuel>().component::<Burn>().build()?;
    /// let rocket = world.spawn((Fuel { left: 2.0 }, Burn { rate: 1.5 }))?;
    /// let mut schedule = Schedule::new();
    /// let burn = System::for_each::<(Write<Fuel>, Read<Burn>)>("burn", |job, row, (fuel, burn)| {
    ///     fuel.left -= burn.rate * job.dt();
    ///     if fuel.left < 0.0 {
    ///         job.remove_row::<Burn>(row);
    ///     }
    /// });
    /// schedule.add(burn.removes::<Burn>());
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.run(3, 1.0)?;
    /// assert_eq!(simulation.world().get::<Fuel>(rocket)?.left, -1.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each<Q: Query>(
        name: impl Into<String>,
        kernel: impl for<'a, 'w, 'r> Fn(&mut Job<'a, 'w>, usize, Q::Row<'r>) + Send + Sync + 'static,
    ) -> Self {
        Self::rows::<Q>(name, move |job, mut item| {
            let rows = job.len();
            Q::for_each(&mut item, rows, |row, values| kernel(job, row, values));
        })
    }

    /// A system without rows: its kernel runs once per frame. It may spawn, set resources, and patch entities whose handles
    /// it knows.
    ///
    /// ```
    /// # use hypostyle::{Component, System};
    /// # #[derive(Component, Clone, Copy)] struct Seed { size: f32 }
    /// let sow = System::once("sow", |job| {
    ///     job.spawn(Seed { size: 1.0 });
    /// });
    /// let sow = sow.spawns::<Seed>().stage("startup");
    /// # let _ = sow;
    /// ```
    pub fn once(
        name: impl Into<String>,
        kernel: impl for<'a, 'w> Fn(&mut Job<'a, 'w>) + Send + Sync + 'static,
    ) -> Self {
        Self::try_once(name, move |job| {
            kernel(job);
            Ok(())
        })
    }

    /// As [`System::once`], with a kernel that can fail. If it fails, the frame is abandoned.
    pub fn try_once(
        name: impl Into<String>,
        kernel: impl for<'a, 'w> Fn(&mut Job<'a, 'w>) -> Result<(), KernelError> + Send + Sync + 'static,
    ) -> Self {
        let mut system = Self::try_rows::<()>(name, move |job, ()| kernel(job));
        system.once = true;
        system
    }

    /// A system with neighbours: its kernel gets chunks of its own rows, and the whole columns of all entities that `O`
    /// matches, with their values at the beginning of the batch. `O` only reads.
    pub fn neighbours<Q: Query, O: Query>(
        name: impl Into<String>,
        kernel: impl for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>, Neighbours<'a, O>) + Send + Sync + 'static,
    ) -> Self {
        Self::try_neighbours::<Q, O>(name, move |job, item, view| {
            kernel(job, item, view);
            Ok(())
        })
    }

    /// As [`System::neighbours`], with a kernel that can fail, as in [`System::try_rows`].
    pub fn try_neighbours<Q: Query, O: Query>(
        name: impl Into<String>,
        kernel: impl for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>, Neighbours<'a, O>) -> Result<(), KernelError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        fn boxed<Q: Query, O: Query, F>(kernel: F) -> Box<dyn Kernel>
        where
            F: for<'a, 'w> Fn(&mut Job<'a, 'w>, Q::Item<'a>, Neighbours<'a, O>) -> Result<(), KernelError>
                + Send
                + Sync
                + 'static,
        {
            Box::new(NeighbourKernel::<Q, O, F>(kernel, std::marker::PhantomData))
        }
        let (own, others) = (Describe::Typed(Q::describe), Some(Describe::Typed(O::describe)));
        Self::new(name, own, others, boxed::<Q, O, _>(kernel), NEIGHBOUR_JOB_ROWS)
    }

    /// Checks names when the schedule is built.
    pub(super) fn check(
        mut self,
        check: impl Fn(&Registry) -> Result<(), KernelError> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    /// Makes it a system without rows.
    pub(super) fn without_rows(mut self) -> Self {
        self.once = true;
        self
    }

    /// Puts the system in a stage (default `update`).
    #[must_use]
    pub fn stage(mut self, stage: impl Into<String>) -> Self {
        self.stage = stage.into();
        self
    }

    /// Runs before another system of its stage.
    #[must_use]
    pub fn before(mut self, system: impl Into<String>) -> Self {
        self.before.push(Neighbour { system: system.into(), optional: false });
        self
    }

    /// As [`System::before`], but without an error if the schedule has no such system, or has it in another stage. For
    /// plugins that are used in any combination.
    #[must_use]
    pub fn before_if_present(mut self, system: impl Into<String>) -> Self {
        self.before.push(Neighbour { system: system.into(), optional: true });
        self
    }

    /// Runs after another system of its stage.
    #[must_use]
    pub fn after(mut self, system: impl Into<String>) -> Self {
        self.after.push(Neighbour { system: system.into(), optional: false });
        self
    }

    /// As [`System::after`], but without an error if the schedule has no such system: see [`System::before_if_present`].
    #[must_use]
    pub fn after_if_present(mut self, system: impl Into<String>) -> Self {
        self.after.push(Neighbour { system: system.into(), optional: true });
        self
    }

    /// Declares that the kernel sets components by patches.
    #[must_use]
    pub fn sets<B: Bundle>(mut self) -> Self {
        self.changes.push((Change::Sets, Ids::Typed(B::ids)));
        self
    }

    /// Declares that the kernel adds components.
    #[must_use]
    pub fn adds<B: Bundle>(mut self) -> Self {
        self.changes.push((Change::Adds, Ids::Typed(B::ids)));
        self
    }

    /// Declares that the kernel removes components.
    #[must_use]
    pub fn removes<B: Bundle>(mut self) -> Self {
        self.changes.push((Change::Removes, Ids::Typed(B::ids)));
        self
    }

    /// Declares that the kernel spawns entities with (some of) these components.
    #[must_use]
    pub fn spawns<B: Bundle>(mut self) -> Self {
        self.changes.push((Change::Spawns, Ids::Typed(B::ids)));
        self
    }

    /// Declares that the kernel despawns entities.
    #[must_use]
    pub fn despawns(mut self) -> Self {
        self.despawns = true;
        self
    }

    /// Declares that the kernel sets a resource.
    #[must_use]
    pub fn sets_resource<R: Resource>(mut self) -> Self {
        self.sets_resources.push(ResourceId::Typed(Registry::resource::<R>));
        self
    }

    /// Declares that the kernel reads a resource.
    #[must_use]
    pub fn reads_resource<R: Resource>(mut self) -> Self {
        self.reads_resources.push(ResourceId::Typed(Registry::resource::<R>));
        self
    }

    /// Declares that the kernel reduces its rows to a resource ([`Job::reduce`], [`Reduce`]). When all jobs of the batch have
    /// ended, the resource gets the combined value, or [`Reduce::empty`] if no job gave one. The next batch sees it.
    ///
    /// The values of a job are combined in row order, those of the jobs by one tree over the canonical order of jobs. So the
    /// bits of the result depend only on the rows and on [`System::job_rows`].
    #[must_use]
    pub fn reduces<R: Reduce>(mut self) -> Self {
        self.reduces.push((Reduces::Typed(|registry| registry.resource::<R>().map(Reduction::typed::<R>)), false));
        self
    }

    /// As [`System::reduces`], by the names of the resource and of its fields, each with its join.
    ///
    /// ```
    /// use hypostyle::FieldJoin;
    /// use hypostyle::dynamic::{self, Query};
    /// let weigh = dynamic::system("weigh", Query::new().read("mass"), |job| {
    ///     let rows = job.len() as u64;
    ///     job.reduce_named("total", &rows.to_le_bytes())?;
    ///     Ok(())
    /// });
    /// let weigh = weigh.reduces_named("total", [("bodies", FieldJoin::Sum)]);
    /// # let _ = weigh;
    /// ```
    #[must_use]
    pub fn reduces_named<N: Into<String>>(
        mut self,
        resource: impl Into<String>,
        joins: impl IntoIterator<Item = (N, FieldJoin)>,
    ) -> Self {
        let joins = joins.into_iter().map(|(field, join)| (field.into(), join)).collect();
        self.reduces.push((Reduces::Named(resource.into(), joins), false));
        self
    }

    /// As [`System::sets`], by the component's name.
    #[must_use]
    pub fn sets_named(mut self, component: impl Into<String>) -> Self {
        self.changes.push((Change::Sets, Ids::Named(component.into())));
        self
    }

    /// As [`System::adds`], by the component's name.
    #[must_use]
    pub fn adds_named(mut self, component: impl Into<String>) -> Self {
        self.changes.push((Change::Adds, Ids::Named(component.into())));
        self
    }

    /// As [`System::removes`], by the component's name.
    #[must_use]
    pub fn removes_named(mut self, component: impl Into<String>) -> Self {
        self.changes.push((Change::Removes, Ids::Named(component.into())));
        self
    }

    /// As [`System::spawns`], by a component's name.
    #[must_use]
    pub fn spawns_named(mut self, component: impl Into<String>) -> Self {
        self.changes.push((Change::Spawns, Ids::Named(component.into())));
        self
    }

    /// As [`System::sets_resource`], by the resource's name.
    #[must_use]
    pub fn sets_resource_named(mut self, resource: impl Into<String>) -> Self {
        self.sets_resources.push(ResourceId::Named(resource.into()));
        self
    }

    /// As [`System::reads_resource`], by the resource's name.
    #[must_use]
    pub fn reads_resource_named(mut self, resource: impl Into<String>) -> Self {
        self.reads_resources.push(ResourceId::Named(resource.into()));
        self
    }

    /// Bytes that the kernel gets with every job ([`Job::payload`]).
    #[must_use]
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = bytes.into();
        self
    }

    /// Maximum time of one job. A worker process that needs longer is killed and its job fails.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Rows per job, rounded up to a multiple of 64. Default: 512 with neighbours, 8192 if row-local. A
    /// row-local system without patches that runs alone gets larger jobs of a large table: 2 MiB of the columns that it
    /// uses, at most an 8th of the rows. The canonical order of patches depends on this number.
    #[must_use]
    pub fn job_rows(mut self, rows: u32) -> Self {
        self.job_rows = Some(rows.clamp(64, 1 << 20).next_multiple_of(64));
        self
    }

    /// After the system's batch, sorts the rows of every matching table by this column (`cell.key`), stably. Handles stay
    /// valid.
    #[must_use]
    pub fn sort_by(mut self, column: impl Into<String>) -> Self {
        self.sort_by = Some(column.into());
        self
    }

    /// Sorts in frames whose number `n` divides alone, where it sorts ([`System::sort_by`]): rows that drift out of their
    /// order slowly need no more.
    #[must_use]
    pub fn sort_every(mut self, n: u64) -> Self {
        self.sort_every = n.max(1);
        self
    }

    /// Leaves the values of a component where they are when it sorts ([`System::sort_by`]): row `i` keeps what row `i` had,
    /// which then is another entity's. For what is made anew from the rows anyhow, as lists of neighbours: it costs no copy.
    #[must_use]
    pub fn sort_leaves<B: Bundle>(mut self) -> Self {
        self.sort_leaves.push(Ids::Typed(B::ids));
        self
    }

    /// As [`System::sort_leaves`], by the component's name.
    #[must_use]
    pub fn sort_leaves_named(mut self, component: impl Into<String>) -> Self {
        self.sort_leaves.push(Ids::Named(component.into()));
        self
    }
}

/// A system with its names looked up.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub name: String,
    pub stage: String,
    pub own: QueryPlan,
    pub others: Option<QueryPlan>,
    pub access: Access,
    /// Components it looks at, sorted.
    pub reads: Vec<u16>,
    /// Components it changes, dense or by patches, sorted.
    pub writes: Vec<u16>,
    pub reads_resources: Vec<u16>,
    /// What must hold for it to run.
    pub conditions: Vec<Condition>,
    /// Whether it runs whatever they say where scratch components are as new.
    pub rebuilds: bool,
    /// Resources that its kernel or a condition of it looks at, sorted.
    pub looks_at_resources: Vec<u16>,
    /// What its random numbers depend on.
    pub number: u64,
    /// By resource.
    pub reductions: Vec<Reduction>,
    pub job_rows: JobRows,
    /// Whether the kernel only gets its own rows and emits no patches, so that it can run back to back with others.
    pub fusable: bool,
    pub deadline: Option<Duration>,
    /// What it sorts by.
    pub sort: Option<Sort>,
    pub home: Home,
    /// Whether it has no rows, and one job a frame.
    pub once: bool,
}

impl Compiled {
    /// How the system's rows are reduced to a resource, if they are.
    pub(crate) fn reduction(&self, resource: u16) -> Option<&Reduction> {
        self.reductions.iter().find(|reduction| reduction.resource == resource)
    }

    /// Resources that it changes, by patches or reductions, sorted.
    pub(crate) fn changes_resources(&self) -> Vec<u16> {
        let mut all = [&self.access.resources[..], &self.access.reduces].concat();
        all.sort_unstable();
        all
    }
}

/// How a system sorts the tables that it matches.
#[derive(Debug)]
pub(crate) struct Sort {
    /// The component of the key.
    pub component: u16,
    /// Its field.
    pub field: u8,
    /// Only in frames that this divides.
    pub every: u64,
    /// Components whose values stay where they are, sorted.
    pub leaves: Vec<u16>,
}

/// How a table's rows are cut into the jobs of a system. It depends on the data and the schedule, never on the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobRows {
    /// So many each.
    Fixed(u32),
    /// For kernels that are dear to call: few jobs, and enough to share.
    ByTable,
    /// For kernels that cost what their bytes cost.
    ByBytes,
}

/// Bytes of columns, old rows and new, that a job of a system that runs alone should not exceed.
const JOB_BYTES: u64 = 2 << 20;

impl JobRows {
    /// Rows per job in a table of `rows` rows, of which a row takes `row_bytes` bytes of the columns in use. `alone`:
    /// the rows are used once, so that nothing is gained by their staying in a cache.
    pub(crate) fn rows(self, rows: u32, row_bytes: u64, alone: bool) -> u32 {
        let unit = JOB_ROWS as u32;
        match self {
            JobRows::Fixed(rows) => rows,
            JobRows::ByTable => rows.div_ceil(8).clamp(unit, 16 * unit).next_multiple_of(unit),
            JobRows::ByBytes if alone => {
                let by_bytes = (JOB_BYTES / row_bytes.max(1)).min(u64::from(16 * unit)) as u32;
                (by_bytes.min(rows / 8) / unit * unit).max(unit)
            }
            JobRows::ByBytes => unit,
        }
    }
}

impl std::fmt::Display for JobRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JobRows::Fixed(rows) => write!(f, "{rows}"),
            JobRows::ByTable => f.write_str("by-table"),
            JobRows::ByBytes => f.write_str("by-bytes"),
        }
    }
}

/// Rows per job of a system that looks at neighbours.
const NEIGHBOUR_JOB_ROWS: JobRows = JobRows::Fixed(512);

impl System {
    /// How it sorts.
    fn sort(&self, registry: &Registry) -> Result<Option<Sort>, KernelError> {
        let Some(name) = &self.sort_by else {
            if self.sort_every > 1 || !self.sort_leaves.is_empty() {
                return Err("it says how to sort, and not by what: add `.sort_by(\"component.field\")`".into());
            }
            return Ok(None);
        };
        let (component, field, _) = crate::world::access::bulk::find_field(registry, name)?;
        let mut leaves = Vec::new();
        for ids in &self.sort_leaves {
            match ids {
                Ids::Typed(ids) => ids(&RegistryRef(registry), &mut leaves)?,
                Ids::Named(name) => leaves.push(registry.component_named(name)?),
            }
        }
        leaves.sort_unstable();
        leaves.dedup();
        if leaves.binary_search(&component).is_ok() {
            return Err(format!("it sorts by `{name}` and leaves that component where it is: leave it out").into());
        }
        Ok(Some(Sort { component, field, every: self.sort_every, leaves }))
    }

    /// Looks up every name and type.
    pub(crate) fn compile(&self, registry: &Registry) -> Result<Compiled, KernelError> {
        self.checks.iter().try_for_each(|check| check(registry))?;
        let types = RegistryRef(registry);
        let mut own = QueryPlan::default();
        self.own.describe(&types, &mut own)?;
        own.check(&types)?;
        let others = match &self.others {
            None => None,
            Some(others) => {
                let mut plan = QueryPlan::default();
                others.describe(&types, &mut plan)?;
                plan.check(&types)?;
                if plan.writes() {
                    return Err(WorldError::QueryWrites.into());
                }
                Some(plan)
            }
        };
        let mut access = Access { despawns: self.despawns, ..Access::default() };
        for (change, ids) in &self.changes {
            let list = match change {
                Change::Sets => &mut access.sets,
                Change::Adds => &mut access.adds,
                Change::Removes => &mut access.removes,
                Change::Spawns => &mut access.spawns,
            };
            match ids {
                Ids::Typed(ids) => ids(&types, list)?,
                Ids::Named(name) => list.push(registry.component_named(name)?),
            }
        }
        for resource in &self.sets_resources {
            access.resources.push(resource.find(registry)?);
        }
        let reductions: Vec<Reduction> = self
            .reduces
            .iter()
            .map(|(to, onto)| Ok(to.find(registry)?.onto(*onto)))
            .collect::<Result<_, KernelError>>()?;
        for reduction in &reductions {
            let resource = reduction.resource;
            if access.reduces.contains(&resource) || access.resources.contains(&resource) {
                let name = &registry.layout.resources()[usize::from(resource)].name;
                return Err(format!(
                    "it declares twice that it changes resource `{name}`: reduce to it once, or set it"
                )
                .into());
            }
            access.reduces.push(resource);
        }
        accumulate::compile(&self.accumulates, registry, &mut access)?;
        let mut reads_resources: Vec<u16> =
            self.reads_resources.iter().map(|resource| resource.find(registry)).collect::<Result<_, _>>()?;
        let conditions: Vec<Condition> =
            self.conditions.iter().map(|declared| Condition::find(declared, registry)).collect::<Result<_, _>>()?;
        let mut looks_at_resources = reads_resources.clone();
        looks_at_resources.extend(conditions.iter().filter_map(Condition::resource));
        let sort = self.sort(registry)?;
        let mut reads: Vec<u16> = Vec::new();
        for plan in [Some(&own), others.as_ref()].into_iter().flatten() {
            reads.extend(plan.columns.iter().filter(|column| !column.write).map(|column| column.component));
            reads.extend(&plan.optional);
            reads.extend(plan.all.iter().chain(&plan.none).chain(&plan.changed).chain(plan.any.iter().flatten()));
        }
        let mut writes: Vec<u16> =
            own.columns.iter().filter(|column| column.write).map(|column| column.component).collect();
        writes.extend(access.sets.iter().chain(&access.adds).chain(&access.removes));
        writes.extend(access.accumulates.iter().map(|accumulation| accumulation.component));
        for list in [
            &mut reads,
            &mut writes,
            &mut access.sets,
            &mut access.adds,
            &mut access.removes,
            &mut access.spawns,
            &mut access.resources,
            &mut access.reduces,
            &mut reads_resources,
            &mut looks_at_resources,
        ] {
            list.sort_unstable();
            list.dedup();
        }
        let fusable = others.is_none()
            && !self.once
            && access == Access::default()
            && sort.is_none()
            && own.changed.is_empty()
            && self.deadline.is_none();
        Ok(Compiled {
            fusable,
            name: self.name.clone(),
            stage: self.stage.clone(),
            own,
            others,
            access,
            reads,
            writes,
            reads_resources,
            conditions,
            rebuilds: self.rebuilds,
            looks_at_resources,
            number: system_number(&self.name),
            reductions,
            job_rows: self.job_rows.map_or(self.default_rows, JobRows::Fixed),
            deadline: self.deadline,
            sort,
            home: self.home,
            once: self.once,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::JobRows;

    #[test]
    fn ranges_follow_the_bytes_of_a_row_where_rows_are_used_once() {
        let rows = |rows, bytes, alone| JobRows::ByBytes.rows(rows, bytes, alone);
        assert_eq!(rows(10_000_000, 36, true), 57_344);
        assert_eq!(rows(10_000_000, 12, true), 131_072, "never more than 16 times the smallest");
        assert_eq!(rows(10_000_000, 1 << 20, true), 8192, "never less");
        assert_eq!(rows(10_000_000, 0, true), 131_072, "no columns, no bytes");
        assert_eq!(rows(200_000, 12, true), 24_576, "an eighth");
        assert_eq!((rows(65_536, 12, true), rows(20, 12, true)), (8192, 8192));
        assert_eq!(rows(10_000_000, 12, false), 8192, "a range that several systems share stays in the cache");
        assert_eq!(JobRows::Fixed(64).rows(10_000_000, 12, true), 64);
    }
}
