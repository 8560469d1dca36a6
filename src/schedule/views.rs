//! Views by name: whole columns of other entities, as often as a system without Rust types wants them.
#![forbid(unsafe_code)]

use std::any::TypeId;

use super::dynamic::{self, Names, Table};
use super::error::JobError;
use super::system::{Compiled, Describe, System};

/// What a kernel asks for a view by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ViewId {
    /// The neighbours that it gets anyway, of a query by names.
    Neighbours,
    /// The type of the query.
    Typed(TypeId),
    Named(String),
}

impl System {
    /// As [`System::reads_view`], by names: all entities that have these components, whose whole columns the kernel reads with
    /// their values at the beginning of the batch ([`Job::view_named`](dynamic::Job::view_named)). The view has a name of the
    /// system's own.
    ///
    /// ```
    /// use hypostyle::dynamic::{self, ColumnBytes};
    /// use hypostyle::{Component, Schedule, Simulation, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Fish { sharks: u32, reefs: u32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Shark { x: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Reef { x: f64 }
    ///
    /// let mut world = World::builder().component::<Fish>().component::<Shark>().component::<Reef>().build()?;
    /// let fish = world.spawn(Fish { sharks: 0, reefs: 0 })?;
    /// world.spawn_batch([Shark { x: 3.0 }, Shark { x: 5.0 }])?;
    /// world.spawn(Reef { x: 1.5 })?;
    /// let look = dynamic::system("look", dynamic::Query::new().with("fish"), |job| {
    ///     let rows = |view: &str| Ok::<_, hypostyle::JobError>(job.view_named(view)?.map(|table| table.entities.len()).sum());
    ///     let (sharks, reefs): (usize, usize) = (rows("hunters")?, rows("shelter")?);
    ///     let packed = [(sharks as u32).to_le_bytes(), (reefs as u32).to_le_bytes()].concat();
    ///     Ok(job.set_named("fish", dynamic::Targets::Rows(&[0]), &packed)?)
    /// });
    /// let mut schedule = Schedule::new();
    /// schedule.add(look.sets_named("fish").reads_view_named("hunters", ["shark"]).reads_view_named("shelter", ["reef"]));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// let seen = simulation.world().get::<Fish>(fish)?;
    /// assert_eq!((seen.sharks, seen.reefs), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn reads_view_named(
        mut self,
        view: impl Into<String>,
        components: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let components = components.into_iter().map(Into::into).collect();
        self.others.push((ViewId::Named(view.into()), Describe::Named(Names::of_view(components))));
        self
    }
}

impl System {
    /// Declares that what its kernel looks at of others ([`System::neighbours`]) is own rows alone: where the world is one part
    /// of a spread world, that view shows no ghosts ([`World::set_ghosts`](crate::World::set_ghosts)), and its columns are sent to
    /// nobody. Views that [`System::reads_view`] declares still show them.
    ///
    /// It is for values that a part makes of its rows for its rows: where each stands in an order of its own, or what another
    /// row has computed for both, which the rows at the border compute once more of ghosts. What the kernel does must not
    /// depend on which rows are own ones; nothing checks that.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Total { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().component::<Total>().build()?;
    /// let body = world.spawn((Mass { kg: 1.0 }, Total { kg: 0.0 }))?;
    /// world.set_ghosts(0, 1, &[])?;
    /// let sum = System::neighbours::<Write<Total>, Read<Mass>>("sum", |_, mut total, others| {
    ///     total.kg.fill(others.tables().flat_map(|table| table.columns.kg).sum());
    /// });
    /// let mut schedule = Schedule::new();
    /// schedule.add(sum.without_ghosts());
    /// let mut simulation = Simulation::new(world, schedule, Workers::Local)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Total>(body)?.kg, 1.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A schedule with a system of another kind that declares it cannot be built.
    #[must_use]
    pub fn without_ghosts(mut self) -> Self {
        self.without_ghosts = true;
        let looks = self.looks;
        self.check(move |_| match looks {
            true => Ok(()),
            false => {
                Err("its kernel looks at no others, so no ghosts can be left out: make it with `System::neighbours`"
                    .into())
            }
        })
    }
}

impl Compiled {
    /// Whether one of its views shows ghosts.
    pub(crate) fn shows_ghosts(&self, view: usize) -> bool {
        view > 0 || !self.without_ghosts
    }
}

impl<'a> dynamic::Job<'_, 'a, '_> {
    /// The tables of the system's neighbours, in the order of their components (as the layout numbers them), whichever was
    /// there first.
    pub fn tables(&self) -> impl Iterator<Item = Table<'a>> {
        // where the query names none, its first view is one of those that have names
        let neighbours = self.job.compiled.views.first() == Some(&ViewId::Neighbours);
        self.tables_of(0).filter(move |_| neighbours)
    }

    /// The tables of a view that the system declares with [`System::reads_view_named`].
    ///
    /// # Errors
    /// A view that is not declared.
    pub fn view_named(&self, view: &str) -> Result<impl Iterator<Item = Table<'a>>, JobError> {
        let is_it = |id: &ViewId| matches!(id, ViewId::Named(name) if name == view);
        match self.job.compiled.views.iter().position(is_it) {
            Some(index) => Ok(self.tables_of(index)),
            None => Err(JobError::UndeclaredNamedView { view: view.to_owned() }),
        }
    }
}
