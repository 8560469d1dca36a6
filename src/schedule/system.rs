//! Declaring a system: its kernel, what it reads and writes, when it runs.
#![forbid(unsafe_code)]

mod compiled;
mod kernel;
mod names;

use std::any::TypeId;
use std::time::Duration;

use crate::Resource;
use crate::join::FieldJoin;
use crate::reduce::{Reduce, Reduction};
use crate::table::Registry;
use crate::world::access::bundle::Bundle;
use crate::world::access::query::Query;

use super::accumulate::Accumulates;
use super::condition;
use super::error::KernelError;
use super::job::Job;
use super::neighbours::Neighbours;
use super::views::ViewId;
pub(crate) use compiled::{Compiled, JobRows, Sort};
pub(crate) use kernel::Kernel;
use kernel::{NeighbourKernel, RowsKernel};
pub(super) use names::{Describe, Reduces};
use names::{Ids, ResourceId};

/// The stages that every schedule has, in order. `startup` runs once per world, before `update` of its first frame; it does
/// not run again in another simulation of that world or after a resume.
pub const STAGES: [&str; 5] = ["startup", "update", "late", "render", "cleanup"];

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

/// Rows per job of a system that looks at neighbours.
const NEIGHBOUR_JOB_ROWS: JobRows = JobRows::Fixed(512);

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
    sort_then_by: Option<String>,
    sort_every: u64,
    sort_leaves: Vec<Ids>,
    pub(crate) kernel: Box<dyn Kernel>,
    pub(super) home: Home,
    once: bool,
    default_rows: JobRows,
    own: Describe,
    /// What its views show: that of its kernel first, each with the type of its query.
    pub(super) others: Vec<(ViewId, Describe)>,
    /// Whether the first of them is its kernel's.
    pub(super) looks: bool,
    /// Whether that one shows no ghosts.
    pub(super) without_ghosts: bool,
    changes: Vec<(Change, Ids)>,
    despawns: bool,
    sets_resources: Vec<ResourceId>,
    reads_resources: Vec<ResourceId>,
    /// And whether the rows' result is joined to the value that is there.
    pub(super) reduces: Vec<(Reduces, bool)>,
    pub(super) accumulates: Vec<Accumulates>,
    pub(super) conditions: Vec<condition::Declared>,
    pub(super) in_loop: Option<String>,
    /// Whether it runs where scratch components are as new.
    pub(super) rebuilds: bool,
    pub(super) lists: super::lists::Declared,
    checks: Vec<Check>,
    /// What it guards, for people.
    guards: Option<String>,
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
        others: Option<(ViewId, Describe)>,
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
            sort_then_by: None,
            sort_every: 1,
            sort_leaves: Vec::new(),
            kernel,
            own,
            looks: others.is_some(),
            others: others.into_iter().collect(),
            without_ghosts: false,
            changes: Vec::new(),
            despawns: false,
            sets_resources: Vec::new(),
            reads_resources: Vec::new(),
            reduces: Vec::new(),
            accumulates: Vec::new(),
            conditions: Vec::new(),
            in_loop: None,
            rebuilds: false,
            lists: super::lists::Declared::default(),
            checks: Vec::new(),
            guards: None,
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
    /// abandoned: the world stands at its last generation, and the next step works. Kernels that read resources or lists can
    /// fail, so most are of this kind.
    ///
    /// ```
    /// use hypostyle::{Component, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Tank { litres: f64 }
    /// let mut world = World::builder().component::<Tank>().build()?;
    /// let tank = world.spawn(Tank { litres: 1.5 })?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(System::try_rows::<Write<Tank>>("burn", |job, mut tank| {
    ///     tank.litres.map(|litres| litres - 1.0);
    ///     match tank.litres.iter().position(|litres| *litres < 0.0) {
    ///         Some(row) => Err(format!("the tank of {} is empty", job.entities()[row]).into()),
    ///         None => Ok(()),
    ///     }
    /// }));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Local)?;
    /// simulation.step(1.0)?;
    /// let error = simulation.step(1.0).unwrap_err();
    /// assert!(error.to_string().contains("is empty"));
    /// assert_eq!(simulation.world().get::<Tank>(tank)?.litres, 0.5); // nothing of that frame is left
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// matches, with their values at the beginning of the batch. `O` only reads. It may read what `Q` writes: the kernel then
    /// sees the values from before.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Heat { kelvin: f64 }
    /// let mut world = World::builder().component::<Heat>().build()?;
    /// let rods = world.spawn_batch([0.0, 0.0, 90.0].map(|kelvin| Heat { kelvin }))?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(System::neighbours::<Write<Heat>, Read<Heat>>("mix", |job, mut own, all| {
    ///     let (mut sum, mut count) = (0.0, 0);
    ///     for table in all.tables() {
    ///         sum += table.columns.kelvin.iter().sum::<f64>();
    ///         count += table.entities.len();
    ///     }
    ///     for row in 0..job.len() {
    ///         own.kelvin[row] += 0.5 * (sum / count as f64 - own.kelvin[row]);
    ///     }
    /// }));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Heat>(rods[2])?.kelvin, 60.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let (own, others) =
            (Describe::Typed(Q::describe), Some((ViewId::Typed(TypeId::of::<O>()), Describe::Typed(O::describe))));
        Self::new(name, own, others, boxed::<Q, O, _>(kernel), NEIGHBOUR_JOB_ROWS)
    }

    /// Says what it guards.
    pub(super) fn guards(mut self, what: String) -> Self {
        self.guards = Some(what);
        self
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

    /// Puts the system in a stage (default `update`). Stages run one after the other ([`STAGES`](crate::STAGES), and those
    /// of [`Schedule::add_stage`](crate::Schedule::add_stage)); `startup` runs once in the life of a world.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Plant { size: f64 }
    /// let mut schedule = Schedule::new();
    /// let sow = System::once("sow", |job| {
    ///     for i in 0..10 {
    ///         job.spawn(Plant { size: f64::from(i) });
    ///     }
    /// });
    /// schedule.add(sow.spawns::<Plant>().stage("startup"));
    /// schedule.add(System::rows::<Write<Plant>>("grow", |_, mut plant| plant.size.map(|size| size + 1.0)));
    /// schedule.add_stage("harvest", "late");
    /// let cut = System::rows::<Read<Plant>>("cut", |job, plant| {
    ///     (0..job.len()).filter(|row| plant.size[*row] > 9.0).for_each(|row| job.despawn_row(row));
    /// });
    /// schedule.add(cut.despawns().stage("harvest"));
    /// let mut simulation = Simulation::new(World::builder().component::<Plant>().build()?, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().entity_count(), 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Declares that the kernel looks at whole columns of other entities ([`Job::view`]), as [`System::neighbours`] does, which
    /// has one such view. A system of any kind may have several, each of a query that only reads.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Fish { x: f64, fear: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Shark { x: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Reef { x: f64 }
    /// let mut world = World::builder().component::<Fish>().component::<Shark>().component::<Reef>().build()?;
    /// let fish = world.spawn(Fish { x: 1.0, fear: 0.0 })?;
    /// world.spawn_batch([Shark { x: 3.0 }, Shark { x: 5.0 }])?;
    /// world.spawn(Reef { x: 1.5 })?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(
    ///     System::try_rows::<Write<Fish>>("fear", |job, mut fish| {
    ///         let (sharks, reefs) = (job.view::<Read<Shark>>()?, job.view::<Read<Reef>>()?);
    ///         for row in 0..job.len() {
    ///             let own = fish.x[row];
    ///             let near = sharks.tables().flat_map(|table| table.columns.x).map(|x| (x - own).abs());
    ///             let safe = reefs.tables().flat_map(|table| table.columns.x).any(|x| (x - own).abs() < 0.1);
    ///             fish.fear[row] = if safe { 0.0 } else { 1.0 / near.fold(f64::INFINITY, f64::min) };
    ///         }
    ///         Ok(())
    ///     })
    ///     .reads_view::<Read<Shark>>()
    ///     .reads_view::<Read<Reef>>(),
    /// );
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Fish>(fish)?.fear, 0.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn reads_view<O: Query>(mut self) -> Self {
        self.others.push((ViewId::Typed(TypeId::of::<O>()), Describe::Typed(O::describe)));
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
    /// valid. Neighbours in space become neighbours in memory; [`Job::cell_starts`] then says where each cell begins.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Cell { key: u32 }
    /// let mut world = World::builder().component::<Position>().component::<Cell>().build()?;
    /// let dots = world.spawn_batch([2.5, 0.5, 1.5].map(|x| (Position { x }, Cell { key: 0 })))?;
    /// let mut schedule = Schedule::new();
    /// let bin = System::rows::<(Read<Position>, Write<Cell>)>("bin", |_, (at, mut cell)| {
    ///     cell.key.map_with(at.x, |_, x| x as u32);
    /// });
    /// schedule.add(bin.sort_by("cell.key"));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// let mut order = Vec::new();
    /// simulation.world().query::<Read<Position>>(|_, at| order.extend_from_slice(at.x))?;
    /// assert_eq!(order, [0.5, 1.5, 2.5]);
    /// assert_eq!(simulation.world().get::<Position>(dots[0])?.x, 2.5); // a handle leads to its entity
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sort_by(mut self, column: impl Into<String>) -> Self {
        self.sort_by = Some(column.into());
        self
    }

    pub(super) fn sort_then_by_column(&self) -> Option<&str> {
        self.sort_then_by.as_deref()
    }

    /// Where it sorts ([`System::sort_by`]), puts rows of equal keys in the order of another column. With a key and a column
    /// whose values all differ, as those of [`GlobalId`](crate::GlobalId), the order of rows does not depend on the order
    /// before. Tables without this column are sorted by the key alone.
    ///
    /// ```
    /// # use hypostyle::{Component, GlobalId, System, Write};
    /// # #[derive(Component, Clone, Copy)] struct Cell { key: u32 }
    /// let bin = System::rows::<Write<Cell>>("bin", |_, _| {}).sort_by("cell.key").sort_then_by("global_id.value");
    /// # let _ = bin;
    /// ```
    #[must_use]
    pub fn sort_then_by(mut self, column: impl Into<String>) -> Self {
        self.sort_then_by = Some(column.into());
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
