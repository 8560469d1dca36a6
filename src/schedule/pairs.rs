//! Forces between pairs as a few calls: the components, the resources and the systems that keep lists of neighbours.
//!
//! It is the way that `space` describes, put together once: cells by which the table is sorted, places of which lists are
//! made, packed lists, and a watch over who has moved or gone. All of it is made of the public tools.
#![forbid(unsafe_code)]

use std::marker::PhantomData;

use crate::space::{Bounds, CellGrid, NeighbourSearch, PackedRows, PairForces, Real, Skin, SpaceError};
use crate::{Component, List, Read, Reduce, Resource, WorldBuilder, Write};

use super::Schedule;
use super::error::{JobError, KernelError};
use super::job::Job;
use super::neighbours::{NeighbourTable, Neighbours};
use super::system::System;

/// A component whose fields are `N` numbers of one type: a place, a force, a charge. `#[derive(Component)]` implements it
/// for structs of one to four fields that are all `f32` or all `f64`.
///
/// ```
/// use hypostyle::{Component, Read, World, pairs::Numbers};
/// #[derive(Component, Clone, Copy)]
/// struct Position { x: f64, y: f64 }
///
/// let mut world = World::builder().component::<Position>().build()?;
/// world.spawn(Position { x: 1.0, y: 2.0 })?;
/// world.query::<Read<Position>>(|_, at| assert_eq!(Position::numbers(&at), [[1.0], [2.0]]))?;
/// # Ok::<(), hypostyle::WorldError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a component of {N} numbers of type `{T}`",
    note = "`#[derive(Component)]` makes one of a struct with {N} fields of type `{T}` and no others"
)]
pub trait Numbers<T, const N: usize>: Component {
    /// The columns of the fields, in their order.
    fn numbers<'a>(columns: &Self::Columns<'a>) -> [&'a [T]; N];
    /// The columns of the fields, to write. All rows count as written.
    fn numbers_mut<'s>(columns: &'s mut Self::ColumnsMut<'_>) -> [&'s mut [T]; N];
}

/// The cell of a row, by which its table is sorted. [`PairLists`] keeps it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCell {
    /// Its number in the grid.
    pub key: u32,
}

/// Where a row was when lists were made, to the digits of an `f32`; no number before the first time. [`PairLists`] keeps it.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct PairAnchor {
    /// Along the first axis.
    pub x: f32,
    /// Along the second.
    pub y: f32,
    /// Along the third; 0 in the plane.
    pub z: f32,
}

/// A word of a row's list: the rows within reach of it, packed ([`PackedRows`]). [`PairLists`] keeps it.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[component(storage = "scratch_list")]
pub struct PairRow {
    /// The word.
    pub packed: u16,
}

/// What is looked at in every frame.
#[derive(Resource, Reduce, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairWatch {
    /// 1 where a row has moved more than half of the skin since lists were made, is new, or rows are no longer in the order of
    /// their cells.
    #[reduce(max)]
    pub moved: u32,
    /// Rows that there are.
    #[reduce(sum)]
    pub rows: u64,
}

/// What lists are made of, and whether they are made in this frame.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairState {
    /// Rows that there were when lists were made.
    pub rows: u64,
    /// How often lists were made.
    pub made: u64,
    /// 1 in frames in which they are.
    pub due: u32,
}

/// What a row needs beside its place, with its first values.
pub type PairParts = (PairCell, PairAnchor, List<PairRow>);

/// Lists of the pairs of rows that are near each other, for a simulation with short forces: the components, resources and
/// systems that keep them, made anew where somebody has moved more than half of the skin, has come or has gone.
///
/// `P` is the component of the places (two or three numbers), `F` that of the forces. All rows with both are one table:
/// rows of several tables would not see each other, and are refused.
///
/// In a frame: the user's movement; the systems of [`PairLists::add_to`]; a force of [`System::pairs`]; what uses it. What
/// spawns, despawns or sorts comes before the first of these or after the last. Places are brought back into the box along
/// periodic axes when lists are made.
///
/// ```
/// use hypostyle::pairs::PairLists;
/// use hypostyle::space::Box3;
/// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
///
/// #[derive(Component, Clone, Copy)]
/// struct Position { x: f64, y: f64, z: f64 }
/// #[derive(Component, Clone, Copy)]
/// struct Velocity { x: f64, y: f64, z: f64 }
/// #[derive(Component, Clone, Copy)]
/// #[component(storage = "scratch")]
/// struct Force { x: f64, y: f64, z: f64 }
///
/// let lists = PairLists::<Position, Force, f64, 3>::new(Box3::periodic([8.0; 3])?, 1.0, 0.25)?;
/// let mut schedule = Schedule::new();
/// schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("move", |job, (mut at, v)| {
///     let dt = job.dt();
///     at.x.map_with(v.x, |x, v| x + v * dt);
///     at.y.map_with(v.y, |y, v| y + v * dt);
///     at.z.map_with(v.z, |z, v| z + v * dt);
/// }));
/// lists.add_to(&mut schedule);
/// // force over distance, of the square of the distance: a soft repulsion
/// schedule.add(System::pairs("force", &lists, |square| 1.0 - square));
/// schedule.add(System::rows::<(Write<Velocity>, Read<Force>)>("kick", |job, (mut v, f)| {
///     let dt = job.dt();
///     v.x.map_with(f.x, |v, f| v + f * dt);
///     v.y.map_with(f.y, |v, f| v + f * dt);
///     v.z.map_with(f.z, |v, f| v + f * dt);
/// }));
///
/// let builder = World::builder().component::<Velocity>();
/// let mut world = lists.register(builder).build()?;
/// world.spawn_batch((0..1000).map(|i| {
///     let [x, y, z] = [i % 10, i / 10 % 10, i / 100].map(|at| 0.8 * f64::from(at));
///     let force = Force { x: 0.0, y: 0.0, z: 0.0 };
///     (Position { x, y, z }, Velocity { x: 0.1 * (y - 4.0), y: 0.0, z: 0.0 }, force, lists.parts())
/// }))?;
/// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
/// simulation.run(5, 0.01)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PairLists<P, F, T, const N: usize> {
    space: Space<T, N>,
    by_id: bool,
    of: PhantomData<fn() -> (P, F)>,
}

/// The box and how far lists reach in it.
#[derive(Clone, Copy, Debug)]
struct Space<T, const N: usize> {
    bounds: Bounds<T, N>,
    grid: CellGrid<f32, N>,
    cutoff: T,
    skin: T,
    /// Cutoff and skin, and what rounding can make of a distance.
    reach: f32,
}

impl<P, F, T: Copy, const N: usize> Clone for PairLists<P, F, T, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, F, T: Copy, const N: usize> Copy for PairLists<P, F, T, N> {}

impl<P, F, T: std::fmt::Debug, const N: usize> std::fmt::Debug for PairLists<P, F, T, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairLists").field("space", &self.space).field("by_id", &self.by_id).finish()
    }
}

/// Names of the systems of [`PairLists::add_to`], in their order.
pub const PAIR_SYSTEMS: [&str; 5] = ["pairs watch", "pairs due", "pairs bin", "pairs anchor", "pairs list"];

impl<P: Numbers<T, N>, F: Numbers<T, N>, T: Real, const N: usize> PairLists<P, F, T, N>
where
    f32: Into<T>,
{
    /// Lists of pairs up to `cutoff` apart in a box. They reach `skin` further, and so hold until somebody has moved half of
    /// that: with a larger skin they are made less often and are longer.
    ///
    /// # Errors
    /// A cutoff or skin that is not finite and above 0; a periodic side of the box that is not longer than twice the cutoff
    /// and two skins, so that a row would meet another one in two images.
    ///
    /// # Panics
    /// In other than two or three dimensions.
    pub fn new(bounds: Bounds<T, N>, cutoff: T, skin: T) -> Result<Self, SpaceError> {
        assert!(N == 2 || N == 3, "pairs are near each other in the plane or in space");
        for width in [cutoff, skin].map(T::to_f64) {
            if !(width.is_finite() && width > 0.0) {
                return Err(SpaceError::Width { width });
            }
        }
        let twice = 2.0 * (cutoff.to_f64() + 2.0 * skin.to_f64());
        let (low, side) = (bounds.low().map(T::to_f64), bounds.side().map(T::to_f64));
        let periodic = bounds.is_periodic();
        if let Some(axis) = (0..N).find(|axis| periodic[*axis] && side[*axis] <= twice) {
            return Err(SpaceError::Narrow { axis, side: side[axis], least: twice });
        }
        // the farthest coordinate there may be: a unit of its last digit is the most that one step of rounding is off
        let far = (0..N).map(|axis| {
            let more = if periodic[axis] { 0.0 } else { OUTSIDE * side[axis] };
            (low[axis] - more).abs().max((low[axis] + side[axis] + more).abs()).max(side[axis])
        });
        let reach = cutoff.to_f64() + skin.to_f64();
        let reach = (reach + 4.0 * f64::from(f32::EPSILON) * far.fold(reach, f64::max)) as f32;
        let rounded = Bounds::new(low.map(|low| low as f32), side.map(|side| side as f32), periodic)?;
        let grid = CellGrid::new(&rounded, 0.5 * reach)?;
        Ok(PairLists { space: Space { bounds, grid, cutoff, skin, reach }, by_id: false, of: PhantomData })
    }

    /// With the rows of a cell in the order of their [`GlobalId`](crate::GlobalId)s: sums are then in the same order whatever
    /// happened to the table before, as on the ranks of a spread world.
    #[must_use]
    pub fn by_id(mut self) -> Self {
        self.by_id = true;
        self
    }

    /// The cells by whose numbers ([`PairCell`]) the table is sorted.
    #[must_use]
    pub fn grid(&self) -> &CellGrid<f32, N> {
        &self.space.grid
    }

    /// How far lists reach: cutoff and skin, and what rounding can make of a distance.
    #[must_use]
    pub fn reach(&self) -> f32 {
        self.space.reach
    }

    /// Registers all components and resources, those of places and forces included.
    pub fn register(&self, builder: WorldBuilder) -> WorldBuilder {
        let builder = builder.component::<P>().component::<F>();
        let builder = builder.component::<PairCell>().component::<PairAnchor>().component::<PairRow>();
        builder.resource::<PairWatch>().resource::<PairState>()
    }

    /// What an entity needs beside its place and its force.
    #[must_use]
    pub fn parts(&self) -> PairParts {
        let anchor = PairAnchor { x: f32::NAN, y: f32::NAN, z: 0.0 };
        (PairCell { key: 0 }, anchor, List::new())
    }

    /// Adds the systems that keep the lists ([`PAIR_SYSTEMS`]), behind those that are there.
    pub fn add_to<'s>(&self, schedule: &'s mut Schedule) -> &'s mut Schedule {
        schedule.add(self.watch()).add(due()).add(self.bin()).add(self.anchor()).add(self.list())
    }

    /// Whether somebody has moved too far, is new, or stands elsewhere in the table; and how many there are.
    fn watch(&self) -> System {
        let skin = Skin(self.space.skin);
        System::rows::<(Read<P>, Read<PairAnchor>, Read<PairCell>)>(PAIR_SYSTEMS[0], move |job, (at, anchor, cell)| {
            let made_at: [&[f32]; N] = axes(&anchor);
            let moved = skin.is_used_up(P::numbers(&at), made_at) || !cell.key.is_sorted();
            job.reduce(PairWatch { moved: u32::from(moved), rows: job.len() as u64 });
        })
        .reduces::<PairWatch>()
    }

    /// Brings rows back into the box and gives each its cell; then the table is sorted by them.
    fn bin(&self) -> System {
        let space = self.space;
        let system =
            System::try_rows::<(Write<P>, Write<PairCell>)>(PAIR_SYSTEMS[2], move |job, (mut at, mut cell)| {
                let mut at = P::numbers_mut(&mut at);
                for (row, key) in cell.key.iter_mut().enumerate() {
                    let (inside, _) = space.bounds.wrap(at.each_ref().map(|column| column[row]));
                    if let Some(why) = space.misplaced(inside) {
                        return Err(format!("entity {} is at {inside:?}: {why}", job.entities()[row]).into());
                    }
                    *key = space.grid.key(inside.map(rounded));
                    at.iter_mut().zip(inside).for_each(|(column, inside)| column[row] = inside);
                }
                Ok(())
            })
            .sort_by("pair_cell.key")
            // made anew from the rows before anybody reads them
            .sort_leaves::<(PairAnchor, List<PairRow>)>();
        let system = if self.by_id { system.sort_then_by("global_id.value") } else { system };
        where_due(system)
    }

    /// Notes the places of which the lists are made, now and wherever the state is taken up.
    fn anchor(&self) -> System {
        where_due(System::rows::<(Write<PairAnchor>, Read<P>)>(PAIR_SYSTEMS[3], |_, (mut anchor, at)| {
            let columns = [&mut anchor.x, &mut anchor.y, &mut anchor.z];
            for (to, at) in columns.into_iter().zip(P::numbers(&at)) {
                to.iter_mut().zip(at).for_each(|(to, at)| *to = rounded(*at));
            }
        }))
    }

    /// Makes the lists.
    fn list(&self) -> System {
        let space = self.space;
        let system = System::try_neighbours::<Read<PairCell>, (Read<PairAnchor>, Read<PairCell>)>(
            PAIR_SYSTEMS[4],
            move |job, _, others| {
                let Some(table) = only(&others)? else { return Ok(()) };
                let (anchor, cell) = table.columns;
                let at: [&[f32]; N] = axes(&anchor);
                let starts = job.cell_starts(cell.key, space.grid.count())?;
                let rows = job.first_row()..job.first_row() + job.len();
                let mut words = Vec::new();
                let done = NeighbourSearch::new(&space.grid, &starts, at, space.reach).each(rows, |row, found| {
                    words.clear();
                    PackedRows::pack(found, &mut words);
                    job.set_list_row_with(row, words.len(), |index| PairRow { packed: words[index] });
                });
                done.map_err(|error| named(&table, error))
            },
        )
        .builds_lists::<PairRow>()
        .rebuilds::<PairRow>();
        where_due(system)
    }
}

/// How many sides off an open box a row may be: places further off have too few digits left in an anchor.
const OUTSIDE: f64 = 4.0;

impl<T: Real, const N: usize> Space<T, N> {
    /// Why a place is none.
    fn misplaced(&self, at: [T; N]) -> Option<&'static str> {
        let (low, side) = (self.bounds.low(), self.bounds.side());
        let more = |axis: usize| T::from_f64(OUTSIDE) * side[axis];
        // a number that is none is within nothing
        let good = |axis: usize| at[axis] >= low[axis] - more(axis) && at[axis] <= low[axis] + side[axis] + more(axis);
        if (0..N).all(good) {
            return None;
        }
        if at.iter().any(|at| !at.to_f64().is_finite()) {
            return Some(
                "that is no place; the step may be too long, or two rows too near each other at the beginning",
            );
        }
        Some("that is more than four sides out of the open box; make the box larger")
    }
}

fn rounded<T: Real>(at: T) -> f32 {
    at.to_f64() as f32
}

/// The axes that there are.
fn axes<'a, const N: usize>(anchor: &<PairAnchor as Component>::Columns<'a>) -> [&'a [f32]; N] {
    let all = [anchor.x, anchor.y, anchor.z];
    std::array::from_fn(|axis| all[axis])
}

/// Where lists are made anew.
fn where_due(system: System) -> System {
    system.run_if::<PairState>(|state| state.due != 0)
}

/// Says whether lists are made in this frame: where somebody has moved or come, or where there are not as many as before.
fn due() -> System {
    System::try_once(PAIR_SYSTEMS[1], |job| {
        let watch = job.resource::<PairWatch>()?;
        let before = match job.resource::<PairState>() {
            Err(JobError::NoValue { .. }) => None,
            state => Some(state?),
        };
        let mut state = before.unwrap_or_default();
        state.due = u32::from(watch.moved != 0 || watch.rows != state.rows);
        if state.due != 0 {
            (state.rows, state.made) = (watch.rows, state.made + 1);
        }
        if before != Some(state) {
            job.set_resource(state);
        }
        Ok(())
    })
    .reads_resource::<PairWatch>()
    .reads_resource::<PairState>()
    .sets_resource::<PairState>()
    .after(PAIR_SYSTEMS[0])
}

/// The job's own table, which must be the only one with rows.
fn only<'a, Q: crate::Query>(others: &Neighbours<'a, Q>) -> Result<Option<NeighbourTable<'a, Q>>, KernelError> {
    let tables = others.tables().filter(|table| !table.entities.is_empty()).count();
    if tables > 1 {
        return Err(format!(
            "rows with pairs are in {tables} tables, which do not see each other: give them the same components, and what \
             tells them apart as a value or a toggle"
        )
        .into());
    }
    Ok(others.own().map(|own| others.table(own)))
}

/// An error of space, with handles in place of rows.
fn named<Q: crate::Query>(table: &NeighbourTable<'_, Q>, error: SpaceError) -> KernelError {
    match error {
        SpaceError::SamePlace { row, other } => {
            let (a, b) = (table.entities[row], table.entities[other]);
            format!("entities {a} and {b} are at the same place: their force has no direction").into()
        }
        error => error.into(),
    }
}

impl System {
    /// A system that sets the force on each row: the sum over the rows of its list ([`PairLists`]) of a law of the square of the
    /// distance. The law gives force over distance, above 0 where two push each other apart; it runs on eight pairs at a
    /// time, in the widest vectors that the processor has, with the same bits in all ([`PairForces`]).
    ///
    /// ```
    /// use hypostyle::pairs::PairLists;
    /// use hypostyle::{Component, System, space::Box2};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f32, y: f32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Force { x: f32, y: f32 }
    ///
    /// let lists = PairLists::<Position, Force, f32, 2>::new(Box2::periodic([50.0; 2])?, 2.5, 0.3)?;
    /// let force = System::pairs("force", &lists, |square| {
    ///     let sixth = 1.0 / (square * square * square);
    ///     (48.0 * sixth * sixth - 24.0 * sixth) / square
    /// });
    /// # let _ = force;
    /// # Ok::<(), hypostyle::space::SpaceError>(())
    /// ```
    pub fn pairs<P: Numbers<T, N>, F: Numbers<T, N>, T: Real, const N: usize>(
        name: impl Into<String>,
        lists: &PairLists<P, F, T, N>,
        law: impl Fn(T) -> T + Copy + Send + Sync + 'static,
    ) -> Self {
        Self::pairs_and_sum(name, lists, move |square| (law(square), []), |_, []| Ok(()))
    }

    /// As [`System::pairs`]; the law gives further quantities of a pair, too, as its energy. `sums` gets their sums over the
    /// lists of a job's rows, in which each pair is met from both sides, to reduce them: declare that with
    /// [`System::reduces`].
    ///
    /// ```
    /// # use hypostyle::pairs::PairLists;
    /// # use hypostyle::{Component, Reduce, Resource, System, space::Box2};
    /// # #[derive(Component, Clone, Copy)]
    /// # struct Position { x: f64, y: f64 }
    /// # #[derive(Component, Clone, Copy)]
    /// # struct Force { x: f64, y: f64 }
    /// #[derive(Resource, Reduce, Clone, Copy)]
    /// struct Potential {
    ///     #[reduce(sum)]
    ///     energy: f64,
    /// }
    /// # let lists = PairLists::<Position, Force, f64, 2>::new(Box2::periodic([50.0; 2])?, 1.0, 0.3)?;
    /// let spring = |square: f64| {
    ///     let distance = square.sqrt();
    ///     ((1.0 - distance) / distance, [0.5 * (1.0 - distance) * (1.0 - distance)])
    /// };
    /// let force = System::pairs_and_sum("force", &lists, spring, |job, [twice]| {
    ///     job.reduce(Potential { energy: 0.5 * twice });
    ///     Ok(())
    /// });
    /// let force = force.reduces::<Potential>();
    /// # let _ = force;
    /// # Ok::<(), hypostyle::space::SpaceError>(())
    /// ```
    pub fn pairs_and_sum<P: Numbers<T, N>, F: Numbers<T, N>, T: Real, const N: usize, const K: usize>(
        name: impl Into<String>,
        lists: &PairLists<P, F, T, N>,
        law: impl Fn(T) -> (T, [T; K]) + Copy + Send + Sync + 'static,
        sums: impl Fn(&mut Job<'_, '_>, [T; K]) -> Result<(), KernelError> + Send + Sync + 'static,
    ) -> Self {
        let space = lists.space;
        Self::try_neighbours::<Write<F>, Read<P>>(name, move |job, mut force, others| {
            let Some(table) = only(&others)? else { return Ok(()) };
            let near = job.lists::<PairRow>()?;
            let words = near.columns().packed;
            let totals = space.forces(P::numbers(&table.columns)).set_packed_and_sum(
                job.first_row(),
                |row| PackedRows(&words[near.range(row)]),
                F::numbers_mut(&mut force),
                law,
            );
            sums(job, totals)
        })
        .reads_lists::<PairRow>()
        .after_if_present(PAIR_SYSTEMS[4])
    }

    /// As [`System::pairs`], with a law that depends on numbers of both rows, too, as charges, radii or kinds: `C` is their
    /// component. The law gets the square of the distance, the numbers of the row, and those of the other one.
    ///
    /// ```
    /// # use hypostyle::pairs::PairLists;
    /// # use hypostyle::{Component, System, space::Box2};
    /// # #[derive(Component, Clone, Copy)]
    /// # struct Position { x: f64, y: f64 }
    /// # #[derive(Component, Clone, Copy)]
    /// # struct Force { x: f64, y: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Charge { e: f64 }
    /// # let lists = PairLists::<Position, Force, f64, 2>::new(Box2::periodic([50.0; 2])?, 1.0, 0.3)?;
    /// let law = |square: f64, [a]: [f64; 1], [b]: [f64; 1]| a * b / (square * square.sqrt());
    /// let force = System::pairs_by::<Charge, _, _, _, _, _>("force", &lists, law);
    /// # let _ = force;
    /// # Ok::<(), hypostyle::space::SpaceError>(())
    /// ```
    pub fn pairs_by<C, P, F, T, const N: usize, const M: usize>(
        name: impl Into<String>,
        lists: &PairLists<P, F, T, N>,
        law: impl Fn(T, [T; M], [T; M]) -> T + Copy + Send + Sync + 'static,
    ) -> Self
    where
        C: Numbers<T, M>,
        P: Numbers<T, N>,
        F: Numbers<T, N>,
        T: Real,
    {
        let space = lists.space;
        Self::try_neighbours::<Write<F>, (Read<P>, Read<C>)>(name, move |job, mut force, others| {
            let Some(table) = only(&others)? else { return Ok(()) };
            let (at, numbers) = table.columns;
            let near = job.lists::<PairRow>()?;
            let words = near.columns().packed;
            let list = |row: usize| PackedRows(&words[near.range(row)]);
            let forces = F::numbers_mut(&mut force);
            space.forces(P::numbers(&at)).set_packed_by(job.first_row(), list, forces, C::numbers(&numbers), law);
            Ok(())
        })
        .reads_lists::<PairRow>()
        .after_if_present(PAIR_SYSTEMS[4])
    }
}

impl<T: Real, const N: usize> Space<T, N> {
    fn forces<'a>(&self, at: [&'a [T]; N]) -> PairForces<'a, T, N> {
        // what both rows of a pair have moved since the lists were made is less than a skin
        PairForces::new(&self.bounds, at, self.cutoff, self.cutoff + self.skin + self.skin)
    }
}
