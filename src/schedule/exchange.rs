//! Between the batches of a frame: where a world that is one part of many takes and gives.
//!
//! A simulation without an [`Exchange`] never comes here. With one, it calls it on its own thread, between batches, with
//! the whole world. Invariant: which calls come, in which order and with which arguments, follows from the schedule and
//! from resources alone, never from the rows of this world; so all parts make the same calls.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::World;
use crate::layout::Layout;
use crate::world::access::query::{QueryPlan, concerns};

/// What an exchange may fail with.
pub type ExchangeError = Box<dyn std::error::Error + Send + Sync>;

/// What one part of a spread world does between the batches of a frame, given to
/// [`SimulationBuilder::exchange`](crate::SimulationBuilder::exchange).
///
/// Every part runs the same schedule, and resources that conditions and loops look at are equal on all of them. Then every
/// part makes the same calls in the same order, also one without rows, and each call may wait for the other parts. A batch
/// that a condition leaves out makes none.
///
/// In a frame, around each batch that runs: `refresh` where its views read what is stale; the batch; `agree` for each
/// resource that its systems set; `reduce` for each resource that they reduce to; for each of its systems that sorts,
/// `before_sort` and `after_sort`. Then, once, `end_frame`. Where systems of a batch change entities that live in other parts,
/// two calls of `tell` come after it.
///
/// An error fails the step ([`StepError::Exchange`](crate::StepError::Exchange)), and the world goes back.
///
/// ```
/// use hypostyle::exchange::{Exchange, ExchangeError, ExchangeNeeds};
/// use hypostyle::{Component, Schedule, Simulation, System, Workers, World, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Mass { kg: f64 }
/// /// The only part there is.
/// struct Alone;
/// impl Exchange for Alone {
///     fn begin(&mut self, _: &mut World, needs: &ExchangeNeeds) -> Result<(), ExchangeError> {
///         match needs.systems.iter().find(|system| system.despawns) {
///             Some(system) => Err(format!("system `{}` despawns entities", system.name).into()),
///             None => Ok(()),
///         }
///     }
/// }
/// let world = World::builder().component::<Mass>().build()?;
/// let mut schedule = Schedule::new();
/// schedule.add(System::rows::<Write<Mass>>("burn", |_, mut mass| mass.kg.map(|kg| kg * 0.5)));
/// let builder = Simulation::builder().workers(Workers::Local).exchange(Box::new(Alone));
/// builder.build(world, schedule)?.step(0.1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(unused_variables, reason = "what is not overridden does nothing; names are for the reader")]
pub trait Exchange: Send {
    /// Called once, when the simulation is built: what the schedule does, for conditions to be checked.
    ///
    /// # Errors
    /// A condition that does not hold; the simulation is not built.
    fn begin(&mut self, world: &mut World, needs: &ExchangeNeeds) -> Result<(), ExchangeError> {
        Ok(())
    }

    /// The keys of a sort are new, and rows are not yet in their order: rows may leave and come.
    ///
    /// # Errors
    /// Whatever fails the step.
    fn before_sort(&mut self, world: &mut World, point: &SortPoint) -> Result<(), ExchangeError> {
        Ok(())
    }

    /// Rows are in order (whether they had to be moved or not): ghosts are to be made anew ([`World::set_ghosts`]). When it
    /// returns, the ghosts of all tables count as fresh.
    ///
    /// # Errors
    /// Whatever fails the step.
    fn after_sort(&mut self, world: &mut World, point: &SortPoint) -> Result<(), ExchangeError> {
        Ok(())
    }

    /// Views of the batch to come read components that were written since ghosts got them. When it returns, ghosts count as
    /// fresh in these.
    ///
    /// # Errors
    /// Whatever fails the step.
    fn refresh(&mut self, world: &mut World, stale: &Stale<'_>) -> Result<(), ExchangeError> {
        Ok(())
    }

    /// A system's rows were reduced to `value` here: it is to become the value of all parts. `join` joins a later value into
    /// an earlier one. The bytes are to be compared, sent and joined as a whole; they are not the resource's packed bytes.
    ///
    /// # Errors
    /// Whatever fails the step.
    fn reduce(
        &mut self,
        resource: &str,
        value: &mut [u8],
        join: &dyn Fn(&mut [u8], &[u8]),
    ) -> Result<(), ExchangeError> {
        Ok(())
    }

    /// Systems of a batch may set a resource, whose packed bytes are `value`. `wrote`: one did here. Where any part wrote,
    /// `value` becomes what was written there, which must be the same on all parts that did. Returned is whether any part
    /// wrote.
    ///
    /// # Errors
    /// Parts that wrote different bytes; whatever else fails the step.
    fn agree(&mut self, resource: &str, wrote: bool, value: &mut [u8]) -> Result<bool, ExchangeError> {
        Ok(wrote)
    }

    /// Systems of a batch may accumulate on entities, or despawn them, that live in another part ([`Elsewhere`](crate::Elsewhere)):
    /// gives what each part told, in the order of parts, this one included. `what` names what is told. Bytes are the engine's,
    /// which checks them; what it makes of them depends on no order. A world without handles makes no such call.
    ///
    /// # Errors
    /// Whatever fails the step; that there are no other parts to tell.
    fn tell(&mut self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        Err(format!("this exchange tells no other part of {what}").into())
    }

    /// Kernels of a batch have run here, for so long, on all workers together: for shares of space by measured time. It
    /// comes on parts that have rows alone, so it must not wait for others.
    fn worked(&mut self, busy: Duration) {}

    /// The frame's last batch has run; a publication may come next.
    ///
    /// # Errors
    /// Whatever fails the step.
    fn end_frame(&mut self, world: &mut World) -> Result<(), ExchangeError> {
        Ok(())
    }

    /// The step failed on this part, for its own reason or for an error of the exchange, and its world goes back: the others
    /// must not wait for it.
    fn failed(&mut self, message: &str) {}
}

/// A sort, before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SortPoint {
    /// The system after whose batch it is.
    pub system: String,
    /// The column of the keys: component and field.
    pub key: (String, String),
    pub(crate) component: u16,
    pub(crate) query: QueryPlan,
}

impl SortPoint {
    /// The tables that are sorted.
    pub fn tables(&self, world: &World) -> impl Iterator<Item = usize> {
        let first = world.store.first_data;
        let sorted = world
            .store
            .data_tables()
            .filter(|(_, table)| table.shape.slot(self.component).is_some() && concerns(&self.query, &table.shape));
        sorted.map(move |(table, _)| (table - first) as usize)
    }
}

/// What ghosts lack.
#[derive(Clone, Copy, Debug)]
pub struct Stale<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) components: &'a [u16],
    pub(crate) rows_moved: bool,
}

impl<'a> Stale<'a> {
    /// Names of the components that views of the batch read and that were written since ghosts got them, in the order of
    /// the layout.
    pub fn components(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let layout = self.layout;
        self.components.iter().map(|id| layout.components()[usize::from(*id)].name.as_str())
    }

    /// Whether rows may have come, gone or moved since ghosts were made: then they are to be made anew, as after a sort.
    /// True at the beginning, and where the world was changed between frames or went back.
    #[must_use]
    pub fn rows_moved(&self) -> bool {
        self.rows_moved
    }
}

/// What a schedule does that concerns other parts of a spread world. All names are those of the layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExchangeNeeds {
    /// The systems, in the order of their registration.
    pub systems: Vec<SystemNeeds>,
    /// What inputs may set ([`SimulationBuilder::inputs`](crate::SimulationBuilder::inputs)).
    pub inputs: Vec<String>,
}

/// What a system does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemNeeds {
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Whether it has no rows, and so runs once a frame on every part.
    pub once: bool,
    /// Whether its query is the empty one, which also runs, without rows, where a world is empty.
    pub any_rows: bool,
    /// Components that it writes densely in its own rows.
    pub writes: Vec<String>,
    /// What it reads of all rows.
    pub views: Vec<ViewNeeds>,
    /// Components on whose changes its query depends.
    pub changed: Vec<String>,
    /// Components that it sets by patches, of own rows or others.
    pub sets: Vec<String>,
    /// Components that it adds.
    pub adds: Vec<String>,
    /// Components that it removes.
    pub removes: Vec<String>,
    /// Components that it spawns entities with.
    pub spawns: Vec<String>,
    /// Whether it despawns entities.
    pub despawns: bool,
    /// Components on which it accumulates, of own rows or others.
    pub accumulates: Vec<AccumulationNeeds>,
    /// Components whose lists it sets.
    pub lists: Vec<String>,
    /// Resources that it sets.
    pub resources: Vec<String>,
    /// Resources that its rows are reduced to.
    pub reductions: Vec<ReductionNeeds>,
    /// How it sorts.
    pub sort: Option<SortNeeds>,
}

/// A view of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewNeeds {
    /// Components whose columns it reads, those included that only some tables have.
    pub components: Vec<String>,
    /// Toggles and tracked components on which it depends which rows match.
    pub conditions: Vec<String>,
    /// Whether it shows ghosts ([`System::without_ghosts`](crate::System::without_ghosts)).
    pub ghosts: bool,
    /// Components that its tables must have, and those that they must not have; toggles left out.
    pub required: Vec<String>,
    /// As `required`.
    pub excluded: Vec<String>,
}

impl ViewNeeds {
    /// Whether it may show rows of a table with these components.
    #[must_use]
    pub fn may_show(&self, components: &[&str]) -> bool {
        let has = |name: &String| components.contains(&name.as_str());
        self.required.iter().all(has) && !self.excluded.iter().any(has)
    }
}

/// What a system accumulates on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccumulationNeeds {
    /// The component.
    pub component: String,
    /// Whether its joins give the same bits in any order and grouping.
    pub exact: bool,
}

/// A reduction of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReductionNeeds {
    /// The resource.
    pub resource: String,
    /// Whether its join gives the same bits in any order and grouping ([`Reduce::EXACT`](crate::Reduce::EXACT)).
    pub exact: bool,
    /// Whether the result is joined to the value that is there.
    pub onto: bool,
}

/// A sort of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SortNeeds {
    /// The column of the keys: component and field.
    pub key: (String, String),
    /// The column that rows of equal keys are put in the order of.
    pub then: Option<(String, String)>,
    /// It sorts in frames that this divides.
    pub every: u64,
    /// Components whose values stay where they are.
    pub leaves: Vec<String>,
}
