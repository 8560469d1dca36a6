//! Accumulating: deposits on components of any entity and on resources, declared by systems and made by jobs.
#![forbid(unsafe_code)]

use crate::Component;
use crate::Resource;
use crate::accumulate::{Accumulation, Onto, pass_on};
use crate::commit::Access;
use crate::component::Entity;
use crate::join::FieldJoin;
use crate::layout::ResourceLayout;
use crate::reduce::{Reduce, Reduction};
use crate::table::{Registry, UnknownName};
use crate::value::Scalar;

use super::dynamic::{self, Targets, Values};
use super::error::{JobError, KernelError};
use super::job::Job;
use super::system::{Reduces, System};

/// A component that a system accumulates on, as a Rust type or by name.
pub(super) enum Accumulates {
    Typed(fn(&Registry) -> Result<u16, UnknownName>, FieldJoin),
    Named(String, Vec<(String, FieldJoin)>),
    AllNamed(String, FieldJoin),
}

/// Looks up what a system accumulates on.
pub(super) fn compile(declared: &[Accumulates], registry: &Registry, access: &mut Access) -> Result<(), KernelError> {
    for accumulates in declared {
        let component = |id: u16| &registry.layout.components()[usize::from(id)];
        let found = match accumulates {
            Accumulates::Typed(find, join) => {
                let id = find(registry)?;
                Accumulation::all(id, component(id), *join)?
            }
            Accumulates::AllNamed(name, join) => {
                let id = registry.component_named(name)?;
                Accumulation::all(id, component(id), *join)?
            }
            Accumulates::Named(name, joins) => {
                let id = registry.component_named(name)?;
                Accumulation::named(id, component(id), joins)?
            }
        };
        let name = &component(found.component).name;
        if access.accumulates.iter().any(|other| other.component == found.component) {
            return Err(format!("it declares twice that it accumulates on component `{name}`").into());
        }
        for (list, what) in [(&access.sets, "sets"), (&access.adds, "adds"), (&access.removes, "removes")] {
            if list.contains(&found.component) {
                return Err(format!(
                    "it accumulates on component `{name}` and {what} it by patches: deposits that another job's patch \
                     replaces would be lost; do one of both in a system of its own"
                )
                .into());
            }
        }
        access.accumulates.push(found);
    }
    access.accumulates.sort_unstable_by_key(|accumulation| accumulation.component);
    Ok(())
}

impl System {
    /// Declares that the kernel accumulates on a component of any entity ([`Job::accumulate`]): deposits are joined to each
    /// field's value in canonical order, when the batch is committed. So the bits of a floating-point sum depend on the rows
    /// and on [`System::job_rows`] alone. What the kernel writes of the component in its own rows is there before.
    ///
    /// ```
    /// use hypostyle::{Component, Entity, FieldJoin, Read, Schedule, Simulation, System, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Hit { target: Entity, damage: u32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Damage { points: u32 }
    ///
    /// let mut world = World::builder().component::<Hit>().component::<Damage>().build()?;
    /// let ship = world.spawn(Damage { points: 1 })?;
    /// world.spawn_batch((0..10).map(|_| Hit { target: ship, damage: 5 }))?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(
    ///     System::rows::<Read<Hit>>("hits", |job, hit| {
    ///         for (&target, &points) in hit.target.iter().zip(hit.damage) {
    ///             job.accumulate(target, Damage { points });
    ///         }
    ///     })
    ///     .accumulates::<Damage>(FieldJoin::Sum),
    /// );
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Damage>(ship)?.points, 51);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn accumulates<C: Component>(mut self, join: FieldJoin) -> Self {
        self.accumulates.push(Accumulates::Typed(Registry::component::<C>, join));
        self
    }

    /// As [`System::accumulates`], by the component's name and those of its fields, each with its join. [`Job::accumulate`]
    /// needs all of them, [`dynamic::Job::accumulate_named`] those of the field that it names.
    #[must_use]
    pub fn accumulates_named<N: Into<String>>(
        mut self,
        component: impl Into<String>,
        joins: impl IntoIterator<Item = (N, FieldJoin)>,
    ) -> Self {
        let joins = joins.into_iter().map(|(field, join)| (field.into(), join)).collect();
        self.accumulates.push(Accumulates::Named(component.into(), joins));
        self
    }

    /// As [`System::accumulates`], by the component's name: one join for all of its fields.
    #[must_use]
    pub fn accumulates_all_named(mut self, component: impl Into<String>, join: FieldJoin) -> Self {
        self.accumulates.push(Accumulates::AllNamed(component.into(), join));
        self
    }

    /// As [`System::reduces`], but the result of the rows is joined to the value that the resource has: a grid that particles
    /// leave their charge on, a score. Where no row gave anything it is left alone.
    #[must_use]
    pub fn accumulates_resource<R: Reduce>(mut self) -> Self {
        let find = |registry: &Registry| registry.resource::<R>().map(Reduction::typed::<R>);
        self.reduces.push((Reduces::Typed(find), true));
        self
    }

    /// As [`System::accumulates_resource`], by the resource's name and those of its fields, each with its join.
    #[must_use]
    pub fn accumulates_resource_named<N: Into<String>>(
        mut self,
        resource: impl Into<String>,
        joins: impl IntoIterator<Item = (N, FieldJoin)>,
    ) -> Self {
        let joins = joins.into_iter().map(|(field, join)| (field.into(), join)).collect();
        self.reduces.push((Reduces::Named(resource.into(), joins), true));
        self
    }
}

impl Job<'_, '_> {
    /// Joins a value to the component of any entity, as the system declares with [`System::accumulates`].
    ///
    /// Deposits on one entity that come near each other are joined in the job and become one patch: a target that all rows
    /// hit costs little. What is joined where follows from the job's deposits alone. Patches are counted, not deposits.
    #[inline]
    pub fn accumulate<C: Component>(&mut self, entity: Entity, value: C) {
        self.deposit(Onto::Entity(entity), value);
    }

    /// As [`Job::accumulate`], for an own row.
    ///
    /// # Panics
    /// When the chunk has no such row.
    #[inline]
    pub fn accumulate_row<C: Component>(&mut self, row: usize, value: C) {
        let row = self.row(row);
        self.deposit(Onto::Row(row), value);
    }

    #[inline]
    fn deposit<C: Component>(&mut self, onto: Onto, value: C) {
        let Some(id) = self.id::<C>() else { return };
        let by_row = matches!(onto, Onto::Row(_));
        if self.combiner.passes(id, 0, by_row, C::PACKED_BYTES) {
            return pass_on(id, 0, onto, C::PACKED_BYTES, |out| value.pack(out), self.writer);
        }
        self.deposit_closely(id, onto, value);
    }

    /// The same where more is to be asked.
    #[inline]
    fn deposit_closely<C: Component>(&mut self, id: u16, onto: Onto, value: C) {
        let declared = self.compiled.access.accumulates.iter().find(|other| other.component == id);
        let Some(rules) = declared.filter(|rules| rules.is_whole()) else { return self.refuse_deposit(C::NAME) };
        self.combiner.deposit(rules, 0, onto, C::PACKED_BYTES, |out| value.pack(out), self.writer);
    }

    #[cold]
    fn refuse_deposit(&mut self, name: &str) {
        self.error.get_or_insert_with(|| {
            format!(
                "the system does not declare that it accumulates on all of component `{name}`; add \
                 `.accumulates::<...>(...)` to it"
            )
        });
    }

    /// Joins a value to the result of the job's earlier rows, as [`Job::reduce`] does: for a resource that the system declares
    /// with [`System::accumulates_resource`].
    #[inline]
    pub fn accumulate_resource<R: Reduce>(&mut self, value: R) {
        self.reduce(value);
    }

    /// The job's result so far for one field of a resource that its system reduces to or accumulates on, to be changed in
    /// place, element by element: at first the join's empty value (0 for a sum). For grids, histograms and tables of any kind
    /// this is the fastest way, as no deposit costs more than the kernel's own loop. Jobs are joined as with [`Job::reduce`].
    ///
    /// ```
    /// use hypostyle::{Component, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Charge { x: f64, q: f64 }
    /// #[derive(Resource, Reduce, Clone, Copy)]
    /// struct Mesh { #[reduce(sum)] density: [f64; 64] }
    ///
    /// let mut world = World::builder().component::<Charge>().resource::<Mesh>().build()?;
    /// world.spawn_batch((0..1000).map(|i| Charge { x: f64::from(i) / 1000.0, q: 1.0 }))?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(
    ///     System::try_rows::<Read<Charge>>("deposit", |job, charge| {
    ///         let density = job.elements::<Mesh, f64>("density")?;
    ///         for (&x, &q) in charge.x.iter().zip(charge.q) {
    ///             density[(x * 64.0) as usize] += q;
    ///         }
    ///         Ok(())
    ///     })
    ///     .accumulates_resource::<Mesh>(),
    /// );
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.run(2, 1.0)?;
    /// assert_eq!(simulation.world().resource::<Mesh>()?.density.iter().sum::<f64>(), 2000.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A resource that is unknown or not declared; a field that is unknown, of another type, or not at a multiple of its
    /// element's size.
    pub fn elements<R: Resource, T: Scalar>(&mut self, field: &str) -> Result<&mut [T], JobError> {
        let id = self.registry.resource::<R>()?;
        let (at, bytes) = place_of(&self.registry.layout.resources()[usize::from(id)], field, Some(T::TYPE.name()))?;
        let Some(reduction) = self.compiled.reduction(id) else {
            return Err(JobError::UndeclaredReduction { resource: R::NAME.to_owned() });
        };
        let packed = self.reduced.value(id, reduction.empty());
        bytemuck::try_cast_slice_mut(&mut packed[at..at + bytes]).map_err(|_| misplaced::<T>(R::NAME, field, at))
    }
}

impl<'a> Job<'a, '_> {
    /// One field of a resource in place, element by element, without a copy: a grid or a table that kernels read, declared with
    /// [`System::reads_resource`].
    ///
    /// ```
    /// use hypostyle::{Component, Resource, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Ion { x: f64, pull: f64 }
    /// #[derive(Resource, Clone, Copy)]
    /// struct Mesh { field: [f64; 64] }
    ///
    /// let mut world = World::builder().component::<Ion>().resource::<Mesh>().build()?;
    /// let ion = world.spawn(Ion { x: 2.25, pull: 0.0 })?;
    /// world.insert_resource(Mesh { field: std::array::from_fn(|cell| cell as f64) })?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(
    ///     System::try_rows::<Write<Ion>>("pull", |job, mut ion| {
    ///         let field = job.resource_elements::<Mesh, f64>("field")?;
    ///         for row in 0..job.len() {
    ///             ion.pull[row] = field[ion.x[row] as usize];
    ///         }
    ///         Ok(())
    ///     })
    ///     .reads_resource::<Mesh>(),
    /// );
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Ion>(ion)?.pull, 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Job::resource`]; a field as in [`Job::elements`].
    pub fn resource_elements<R: Resource, T: Scalar>(&self, field: &str) -> Result<&'a [T], JobError> {
        let id = usize::from(self.registry.resource::<R>()?);
        let (at, bytes) = place_of(&self.registry.layout.resources()[id], field, Some(T::TYPE.name()))?;
        let packed = self.packed_resource::<R>()?;
        bytemuck::try_cast_slice(&packed[at..at + bytes]).map_err(|_| misplaced::<T>(R::NAME, field, at))
    }
}

/// What is said of elements that lie where they cannot be looked at in place.
fn misplaced<T: Scalar>(resource: &str, field: &str, at: usize) -> JobError {
    let size = T::TYPE.bytes();
    let why = format!("it begins at byte {at}, which is no multiple of {size}; put the fields of larger types first");
    JobError::Elements { resource: resource.to_owned(), field: field.to_owned(), why }
}

/// Where a field of a resource lies in its packed value.
fn place_of(declared: &ResourceLayout, field: &str, scalar: Option<&str>) -> Result<(usize, usize), JobError> {
    let mut at = 0;
    for other in &declared.fields {
        if other.name == field {
            let ty = other.ty;
            return match scalar.filter(|name| *name != ty.scalar.name()) {
                None => Ok((at, ty.bytes())),
                Some(name) => Err(JobError::Elements {
                    resource: declared.name.clone(),
                    field: field.to_owned(),
                    why: format!("it is {ty}, not {name}"),
                }),
            };
        }
        at += other.ty.bytes();
    }
    let known: Vec<&str> = declared.fields.iter().map(|field| field.name.as_str()).collect();
    let why = format!("there is no such field; there are {}", known.join(", "));
    Err(JobError::Elements { resource: declared.name.clone(), field: field.to_owned(), why })
}

impl dynamic::Job<'_, '_, '_> {
    /// Joins values to a component (`force`), or to one field of it (`force.x`), as the system declares with
    /// [`System::accumulates_named`]: packed values, one for each target, or one for all of them.
    ///
    /// # Errors
    /// As [`dynamic::Job::set_named`]; a component or a field that is not declared.
    pub fn accumulate_named(&mut self, name: &str, targets: Targets<'_>, values: &[u8]) -> Result<(), JobError> {
        let (component, field, bytes) = self.place(name)?;
        let declared = self.job.compiled.access.accumulates.iter().find(|other| other.component == component);
        let Some(rules) = declared.filter(|rules| rules.rules(field).is_some()) else {
            return Err(JobError::UndeclaredAccumulation { name: name.to_owned() });
        };
        let values = Values::new(values, targets.len(), bytes)?;
        let Job { combiner, writer, entities, rows: own, .. } = &mut *self.job;
        let mut put = |onto: Onto, index: usize| {
            combiner.deposit(rules, field, onto, bytes, |out| out.copy_from_slice(values.get(index)), writer);
        };
        match targets {
            Targets::Rows(rows) => {
                if let Some(row) = rows.iter().find(|row| **row as usize >= entities.len()) {
                    return Err(JobError::NoRow { row: *row, rows: entities.len() });
                }
                rows.iter().enumerate().for_each(|(index, row)| put(Onto::Row(own.place(*row as usize)), index));
            }
            Targets::Entities(entities) => {
                entities.iter().enumerate().for_each(|(index, entity)| put(Onto::Entity(*entity), index));
            }
        }
        Ok(())
    }

    /// As [`Job::elements`], by names and as bytes: the packed elements of one field, to be worked on in place.
    ///
    /// # Errors
    /// A resource that is unknown or not declared, an unknown field.
    pub fn elements_named(&mut self, resource: &str, field: &str) -> Result<&mut [u8], JobError> {
        let id = self.job.registry.resource_named(resource)?;
        let (at, bytes) = place_of(&self.job.registry.layout.resources()[usize::from(id)], field, None)?;
        let Some(reduction) = self.job.compiled.reduction(id) else {
            return Err(JobError::UndeclaredReduction { resource: resource.to_owned() });
        };
        Ok(&mut self.job.reduced.value(id, reduction.empty())[at..at + bytes])
    }
}
