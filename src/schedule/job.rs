//! What a kernel gets in addition to its columns: the frame, its rows, its payload, resources, and the patch writer.
#![forbid(unsafe_code)]

use crate::table::Registry;
use std::any::TypeId;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::accumulate::Combiner;
use crate::layout::ScalarType;
use crate::patch::{Op, PatchWriter};
use crate::random::{Random, RandomKey};
use crate::reduce::{Reduce, Reduced};
use crate::space::CellStarts;
use crate::world::access::bundle::{Bundle, RegistryRef};
use crate::world::access::query::Query;
use crate::{Component, Entity, Resource, WorldError};

use super::built::Built;
use super::error::JobError;
use super::kept_starts::KeptStarts;
use super::neighbours::{EntityMap, ListSet, NeighbourRows, NeighbourSet, Neighbours};
use super::system::Compiled;
use super::views::ViewId;

/// Which type is which component of one registry: the last few looked up.
#[derive(Default)]
pub(crate) struct IdCache {
    /// Whose ids these are. Held, so that no other registry can come to stand at its address.
    registry: Option<Arc<Registry>>,
    components: Vec<(TypeId, u16)>,
    bundles: Vec<(TypeId, Vec<u16>)>,
}

impl IdCache {
    /// Forgets ids of any other registry: a thread runs jobs of one simulation after the other.
    pub(crate) fn serve(&mut self, registry: &Arc<Registry>) {
        if !self.registry.as_ref().is_some_and(|own| Arc::ptr_eq(own, registry)) {
            *self = IdCache { registry: Some(Arc::clone(registry)), ..IdCache::default() };
        }
    }
}

/// The frame that a job belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FrameInfo {
    pub frame: u64,
    pub time: f64,
    pub dt: f64,
    /// Which pass of a loop it is.
    pub iteration: u32,
    /// What random numbers depend on.
    pub seed: u64,
}

/// Where a chunk's rows are in their table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OwnRows<'a> {
    /// One after the other from this one on.
    From(u32),
    /// One place for each.
    At(&'a [u32]),
}

impl OwnRows<'_> {
    /// The place of a row that the chunk has.
    #[inline]
    pub(crate) fn place(&self, row: usize) -> u32 {
        match self {
            OwnRows::From(first) => first + row as u32,
            OwnRows::At(rows) => rows[row],
        }
    }
}

/// A kernel's view of its job, and its patch writer.
///
/// Rows are given by their index in the chunk, entities by handle. A patch is checked and applied when the batch is
/// committed: no value changes while the kernel runs. The system declares which kinds it makes.
///
/// ```
/// use hypostyle::{Component, Entity, Read, Schedule, Simulation, System, With, Workers, World, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Cell { mass: f64 }
/// #[derive(Component, Clone, Copy)]
/// struct Parent { cell: Entity }
/// let mut world = World::builder().component::<Cell>().component::<Parent>().build()?;
/// let first = world.spawn(Cell { mass: 4.0 })?;
/// let mut schedule = Schedule::new();
/// let divide = System::rows::<Read<Cell>>("divide", |job, cell| {
///     for row in 0..job.len() {
///         let own = job.entities()[row];
///         if cell.mass[row] > 1.0 {
///             let half = Cell { mass: 0.5 * cell.mass[row] };
///             job.set_row(row, half);                            // a row of its own
///             let child = job.spawn((half, Parent { cell: own })); // a new entity, whose handle can be used at once
///             job.add(own, Parent { cell: child });              // any entity
///         } else {
///             job.despawn_row(row);
///         }
///     }
/// });
/// schedule.add(divide.sets::<Cell>().adds::<Parent>().spawns::<(Cell, Parent)>().despawns());
/// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
/// let counts = simulation.step(1.0)?.patches[0].clone();
/// assert_eq!((counts.spawned, counts.despawned, counts.refused), (1, 0, 0));
/// let child = simulation.world().get::<Parent>(first)?.cell; // the real handle, now that the batch is committed
/// assert_eq!(simulation.world().get::<Cell>(child)?.mass, 2.0);
/// simulation.run(2, 1.0)?;
/// assert_eq!(simulation.world().count::<With<Cell>>()?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Job<'a, 'w> {
    pub(crate) frame: FrameInfo,
    /// Its number in the batch.
    pub(crate) index: u32,
    /// The key of its random numbers, once they are asked for.
    pub(crate) random_key: Option<RandomKey>,
    pub(crate) payload: &'a [u8],
    pub(crate) entities: &'a [Entity],
    pub(crate) rows: OwnRows<'a>,
    pub(crate) table: u32,
    pub(crate) map: EntityMap<'a>,
    pub(crate) resources: &'a [u8],
    pub(crate) compiled: &'a Compiled,
    pub(crate) registry: &'a Registry,
    /// Whether the memory of the job's columns is to be closed after it.
    pub(crate) revoke: &'a Cell<bool>,
    pub(crate) cache: &'a mut IdCache,
    pub(crate) starts: &'a mut KeptStarts,
    /// The lists that it builds in place.
    pub(crate) built: &'a mut Built,
    /// The lists of its rows.
    pub(crate) lists: ListSet<'a>,
    /// What its system's views show.
    pub(crate) views: NeighbourSet<'a>,
    /// Of the batch's program.
    pub(crate) serial: u64,
    /// The result of the job's rows so far.
    pub(crate) reduced: &'a mut Reduced,
    /// What it deposits on components, until it becomes patches.
    pub(crate) combiner: &'a mut Combiner,
    /// The component that the last patch was of.
    pub(crate) last: Option<(TypeId, u16)>,
    pub(crate) writer: &'a mut PatchWriter<'w>,
    pub(crate) error: &'a mut Option<String>,
}

impl<'a> Job<'a, '_> {
    /// The frame's number, from 1.
    #[must_use]
    pub fn frame(&self) -> u64 {
        self.frame.frame
    }

    /// Simulated time at the beginning of the frame, seconds.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.frame.time
    }

    /// The frame's time step, seconds.
    #[must_use]
    pub fn dt(&self) -> f64 {
        self.frame.dt
    }

    /// The number of the current pass of the system's loop, from 0; of the innermost one if loops are nested ([`super::Loop`]).
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.frame.iteration
    }

    /// The job's number in its batch, from 0. It depends on the tables' rows and the schedule, never on the workers.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// The random numbers of one of the chunk's rows in this frame, from its first one on: see [`Random`]. A second call for
    /// the same row begins anew.
    ///
    /// # Panics
    /// When the chunk has no such row.
    #[inline]
    #[must_use]
    pub fn random(&mut self, row: usize) -> Random {
        let entity = self.entities[row];
        self.random_key().of(entity)
    }

    /// The random numbers of a global id ([`GlobalId`](crate::GlobalId)) in this frame, from the first one on: as those of
    /// [`Job::random`], but the same whatever handle the entity has. They are none of those that handles give.
    ///
    /// ```
    /// use hypostyle::{Component, GlobalId, Read, System, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f64 }
    /// let walk = System::rows::<(Write<Position>, Read<GlobalId>)>("walk", |job, (mut position, id)| {
    ///     for row in 0..job.len() {
    ///         position.x[row] += job.random_of_id(id.value[row]).f64();
    ///     }
    /// });
    /// # let _ = walk;
    /// ```
    #[inline]
    #[must_use]
    pub fn random_of_id(&mut self, id: u64) -> Random {
        self.random_key().of_id(id)
    }

    /// The key of this call's random numbers: for numbers of other entities, or of no entity.
    #[inline]
    #[must_use]
    pub fn random_key(&mut self) -> RandomKey {
        let FrameInfo { seed, frame, iteration, .. } = self.frame;
        let number = self.compiled.number;
        *self.random_key.get_or_insert_with(|| RandomKey::new(seed, frame, number, iteration))
    }

    /// The system's plain bytes: what [`System::payload`](super::System::payload) and
    /// [`Simulation::set_payload`](super::Simulation::set_payload) gave it.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The handles of the chunk's rows.
    #[must_use]
    pub fn entities(&self) -> &'a [Entity] {
        self.entities
    }

    /// Rows of the chunk.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether the chunk has no rows: true for [`super::System::once`], and for the empty query in an empty world.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// The chunk's first row in its table. For a system with neighbours, row `i` of the chunk is row `first_row() + i` of
    /// the table, and of that table's columns in a [`super::Neighbours`]. The same holds for a row-local system, unless its
    /// query skips rows because of toggles: see [`Job::table_row`].
    #[must_use]
    pub fn first_row(&self) -> usize {
        self.rows.place(0) as usize
    }

    /// The table row of one of the chunk's rows; they ascend. A row-local system gets the matching rows side by side in one
    /// chunk, also if its query matches, say, only every other row of the table.
    ///
    /// # Panics
    /// When the chunk has no such row.
    #[must_use]
    pub fn table_row(&self, row: usize) -> usize {
        self.row(row) as usize
    }

    /// Whole columns of all entities that a query matches, with their values at the beginning of the batch: a view that the
    /// system declares with [`super::System::reads_view`], where an example stands.
    ///
    /// # Errors
    /// A view that is not declared.
    pub fn view<O: Query>(&self) -> Result<Neighbours<'a, O>, JobError> {
        let id = ViewId::Typed(TypeId::of::<O>());
        match self.compiled.views.iter().position(|view| *view == id) {
            Some(view) => Ok(Neighbours::new(self.views.of_view(view as u32), self.table, self.map)),
            None => Err(JobError::UndeclaredView { query: std::any::type_name::<O>() }),
        }
    }

    pub(crate) fn table(&self) -> u32 {
        self.table
    }

    pub(crate) fn map(&self) -> EntityMap<'a> {
        self.map
    }

    /// Copies out a resource that the system declares with [`super::System::reads_resource`].
    ///
    /// # Errors
    /// A resource that is unknown, undeclared or without a value.
    pub fn resource<R: Resource>(&self) -> Result<R, JobError> {
        self.packed_resource::<R>().map(R::unpack)
    }

    /// The packed value of a resource that the system declares to read, where it is.
    pub(super) fn packed_resource<R: Resource>(&self) -> Result<&'a [u8], JobError> {
        let id = self.registry.resource::<R>()?;
        if self.compiled.reads_resources.binary_search(&id).is_err() {
            return Err(JobError::Undeclared { resource: R::NAME.to_owned() });
        }
        if self.resources[usize::from(id)] == 0 {
            return Err(JobError::NoValue { resource: R::NAME.to_owned() });
        }
        let at = self.registry.layout.resource_offset(usize::from(id)) as usize;
        Ok(&self.resources[at..at + R::PACKED_BYTES])
    }

    /// The first rows of the cells of a table that is sorted by their numbers ([`super::System::sort_by`]), from its whole
    /// column of keys as a view shows it, with ghosts behind its own rows that are in order, too. A worker makes them once for
    /// all of its jobs of a batch.
    ///
    /// # Errors
    /// Keys that are not such a column, are not in order, or are of no cell of `cells`.
    pub fn cell_starts(&mut self, keys: &[u32], cells: usize) -> Result<Rc<CellStarts>, JobError> {
        let column = self.views.columns.iter().position(|column| {
            column.old == keys.as_ptr().cast()
                && column.len == keys.len()
                && column.ty.scalar == ScalarType::U32
                && column.ty.array_len == 0
        });
        let holds = |table: &&NeighbourRows| column.is_some_and(|column| table.columns.contains(&(column as u32)));
        let own = match self.views.tables.iter().find(holds) {
            Some(table) => table.own_rows as usize,
            None if keys.is_empty() => 0,
            None => return Err(JobError::NoWholeColumn { rows: keys.len() }),
        };
        Ok(self.starts.of(self.serial, (keys, own), cells)?)
    }

    #[inline]
    pub(super) fn id<C: Component>(&mut self) -> Option<u16> {
        match self.last {
            Some((ty, id)) if ty == TypeId::of::<C>() => Some(id),
            _ => self.look_up::<C>(),
        }
    }

    /// The id of a component of which an entity has one value.
    #[inline]
    pub(super) fn valued<C: Component>(&mut self) -> Option<u16> {
        if C::STORAGE.is_list() {
            self.error.get_or_insert_with(|| WorldError::list(C::NAME).to_string());
            return None;
        }
        self.id::<C>()
    }

    fn look_up<C: Component>(&mut self) -> Option<u16> {
        let id = self.known::<C>()?;
        self.last = Some((TypeId::of::<C>(), id));
        Some(id)
    }

    fn known<C: Component>(&mut self) -> Option<u16> {
        let ty = TypeId::of::<C>();
        if let Some((_, id)) = self.cache.components.iter().find(|(other, _)| *other == ty) {
            return Some(*id);
        }
        match self.registry.component::<C>() {
            Ok(id) => {
                self.cache.components.push((ty, id));
                Some(id)
            }
            Err(error) => {
                self.error.get_or_insert_with(|| error.to_string());
                None
            }
        }
    }

    #[inline]
    pub(super) fn row(&self, row: usize) -> u32 {
        assert!(row < self.entities.len(), "row {row} of a chunk of {} rows", self.entities.len());
        self.rows.place(row)
    }

    /// Sets a component of the entity in a row of the chunk.
    ///
    /// # Panics
    /// If the chunk has no such row. The same holds for all patches on rows.
    #[inline]
    pub fn set_row<C: Component>(&mut self, row: usize, value: C) {
        let row = self.row(row);
        if let Some(id) = self.valued::<C>() {
            self.writer.row(Op::Set, id, 0, row, C::PACKED_BYTES, |out| value.pack(out));
        }
    }

    /// Adds a component to the entity in a row of the chunk; if the entity has it, sets it.
    #[inline]
    pub fn add_row<C: Component>(&mut self, row: usize, value: C) {
        let row = self.row(row);
        if let Some(id) = self.valued::<C>() {
            self.writer.row(Op::Add, id, 0, row, C::PACKED_BYTES, |out| value.pack(out));
        }
    }

    /// Removes a component from the entity in a row of the chunk.
    #[inline]
    pub fn remove_row<C: Component>(&mut self, row: usize) {
        let row = self.row(row);
        if let Some(id) = self.id::<C>() {
            self.writer.row(Op::Remove, id, 0, row, 0, |_| {});
        }
    }

    /// Despawns the entity in a row of the chunk.
    #[inline]
    pub fn despawn_row(&mut self, row: usize) {
        let row = self.row(row);
        self.writer.row(Op::Despawn, 0, 0, row, 0, |_| {});
    }

    /// Sets a component of any entity.
    #[inline]
    pub fn set<C: Component>(&mut self, entity: Entity, value: C) {
        if let Some(id) = self.valued::<C>() {
            self.writer.entity(Op::Set, id, 0, entity, C::PACKED_BYTES, |out| value.pack(out));
        }
    }

    /// Adds a component to any entity; if the entity has it, sets it.
    #[inline]
    pub fn add<C: Component>(&mut self, entity: Entity, value: C) {
        if let Some(id) = self.valued::<C>() {
            self.writer.entity(Op::Add, id, 0, entity, C::PACKED_BYTES, |out| value.pack(out));
        }
    }

    /// Removes a component from any entity.
    #[inline]
    pub fn remove<C: Component>(&mut self, entity: Entity) {
        if let Some(id) = self.id::<C>() {
            self.writer.entity(Op::Remove, id, 0, entity, 0, |_| {});
        }
    }

    /// Despawns any entity.
    #[inline]
    pub fn despawn(&mut self, entity: Entity) {
        self.writer.entity(Op::Despawn, 0, 0, entity, 0, |_| {});
    }

    /// Spawns an entity. The returned handle is reserved: later patches of this job may use it, also as a value. It becomes
    /// the real handle when the batch is committed.
    #[inline]
    pub fn spawn<B: Bundle>(&mut self, bundle: B) -> Entity {
        let ty = TypeId::of::<B>();
        let index = match self.cache.bundles.iter().position(|(other, _)| *other == ty) {
            Some(index) => index,
            None => {
                let mut ids = Vec::new();
                if let Err(error) = B::ids(&RegistryRef(self.registry), &mut ids) {
                    self.error.get_or_insert_with(|| error.to_string());
                    return Entity::NULL;
                }
                self.cache.bundles.push((ty, ids));
                self.cache.bundles.len() - 1
            }
        };
        let ids = &self.cache.bundles[index].1;
        self.writer.spawn(ids, B::PACKED_BYTES, |out| bundle.pack_all(out))
    }

    /// Sets a resource that the system declares with [`super::System::sets_resource`].
    pub fn set_resource<R: Resource>(&mut self, value: R) {
        match self.registry.resource::<R>() {
            Ok(id) => self.writer.resource(id, R::PACKED_BYTES, |out| value.pack(out)),
            Err(error) => {
                self.error.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Combines a value with those of the job's earlier rows. When all jobs of the batch have ended, the resource that the
    /// system declares with [`super::System::reduces`] gets the combined value of all rows.
    ///
    /// A call costs about 10 ns. It is fastest to combine the rows in a loop of the kernel and to call this once per job;
    /// the bits of the result are then those of that loop.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Velocity { x: f64 }
    /// #[derive(Resource, Reduce, Clone, Copy)]
    /// struct Gas {
    ///     #[reduce(sum)]
    ///     energy: f64,
    ///     #[reduce(max)]
    ///     fastest: f64,
    /// }
    /// let mut world = World::builder().component::<Velocity>().resource::<Gas>().build()?;
    /// world.spawn_batch((0..100).map(|i| Velocity { x: f64::from(i) }))?;
    /// let mut schedule = Schedule::new();
    /// let measure = System::rows::<Read<Velocity>>("measure", |job, v| {
    ///     let one = |x: &f64| Gas { energy: 0.5 * x * x, fastest: x.abs() };
    ///     job.reduce(v.x.iter().fold(Gas::empty(), |all, x| all.join(one(x))));
    /// });
    /// schedule.add(measure.reduces::<Gas>());
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().resource::<Gas>()?.fastest, 99.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reduce<R: Reduce>(&mut self, value: R) {
        match self.registry.resource::<R>() {
            Ok(id) if self.compiled.reduction(id).is_some() => {
                let join = |packed: &mut [u8]| R::unpack(packed).join(value).pack(packed);
                self.reduced.add(id, R::PACKED_BYTES, |packed| value.pack(packed), join);
            }
            Ok(_) => self.refuse_reduce(R::NAME),
            Err(error) => {
                self.error.get_or_insert_with(|| error.to_string());
            }
        }
    }

    #[cold]
    pub(super) fn refuse_reduce(&mut self, name: &str) {
        self.error.get_or_insert_with(|| {
            format!("the system does not declare that it reduces its rows to resource `{name}`; add `.reduces::<...>()` to it")
        });
    }
}
