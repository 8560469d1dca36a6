//! Relations: fields of handles that lead from one entity to another, kept right by ready-made systems; and events, which
//! are entities of one frame.
//!
//! They are kernels on bytes, as guards are, so that all languages have the same ones.
#![forbid(unsafe_code)]

use crate::Component;
use crate::component::Entity;
use crate::layout::ScalarType;
use crate::table::Registry;
use crate::world::access::bulk::find_field;

use super::dynamic::{self, ColumnBytes, Targets};
use super::error::KernelError;
use super::system::System;

/// Bytes of a handle.
const HANDLE_BYTES: usize = size_of::<Entity>();

/// The component of a field of handles.
fn component_of(field: &str) -> String {
    field.split_once('.').map_or(field, |(component, _)| component).to_owned()
}

/// Checks that a name is that of a field of handles; of one handle, where arrays will not do.
fn check_handles(registry: &Registry, name: &str, one: bool) -> Result<(), KernelError> {
    let (_, _, ty) = find_field(registry, name)?;
    if ty.scalar != ScalarType::Entity {
        return Err(format!("`{name}` is {ty}, and no handle of an entity").into());
    }
    if one && ty.array_len > 0 {
        return Err(format!(
            "`{name}` is {ty}: it is not said which of the entities a row goes with; take a field of one"
        )
        .into());
    }
    Ok(())
}

/// Places, in a column, of handles that name an entity which is gone.
fn dead(bytes: &[u8], lives: impl Fn(Entity) -> bool) -> Vec<usize> {
    let handle = |bytes: &[u8; HANDLE_BYTES]| Entity::from_bits(u64::from_le_bytes(*bytes));
    let all = bytes.as_chunks::<HANDLE_BYTES>().0.iter().map(handle).enumerate();
    all.filter(|(_, entity)| *entity != Entity::NULL && !lives(*entity)).map(|(place, _)| place).collect()
}

/// Relations are fields of handles: `moon.planet`. A handle of an entity that is gone names nobody, for ever; these systems
/// say what follows. They see what earlier systems of the frame have ended, and look at one column; rows work in parallel.
impl System {
    /// A relation with cascade: an entity whose handle in this field names one that is gone goes as well. The null handle is no
    /// relation. One run ends what led to an entity that is gone; what led to that in turn goes with the next one: in the
    /// next frame, or in the next pass of a [`Loop`](super::Loop).
    ///
    /// ```
    /// use hypostyle::{Component, Entity, Schedule, Simulation, System, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Moon { planet: Entity }
    /// let mut world = World::builder().component::<Moon>().build()?;
    /// let planets = [world.spawn(())?, world.spawn(())?];
    /// let moons = planets.map(|planet| world.spawn(Moon { planet }));
    /// world.despawn(planets[0])?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(System::relation_cascade("moons go with their planets", "moon.planet"));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// let [gone, left] = moons;
    /// assert!(!simulation.world().contains(gone?) && simulation.world().contains(left?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn relation_cascade(name: impl Into<String>, field: impl Into<String>) -> Self {
        let field = field.into();
        let (query, looked_at) = (dynamic::Query::new().read(component_of(&field)), field.clone());
        let system = dynamic::system(name, query, move |job| {
            let gone = dead_of(job, &looked_at)?;
            let gone: Vec<u32> = gone.into_iter().map(|row| row as u32).collect();
            job.despawn_all(Targets::Rows(&gone))?;
            Ok(())
        });
        system.despawns().check(move |registry| check_handles(registry, &field, true))
    }

    /// A relation that is forgotten: a handle in this field that names an entity which is gone becomes the null handle, in arrays
    /// each for itself. Where none does, nothing is written.
    #[must_use]
    pub fn relation_clear(name: impl Into<String>, field: impl Into<String>) -> Self {
        let field = field.into();
        let (query, looked_at) = (dynamic::Query::new().write(component_of(&field)), field.clone());
        let system = dynamic::system(name, query, move |job| {
            let gone = dead_of(job, &looked_at)?;
            let column =
                job.columns().iter_mut().find(|column| is_named(column.component(), column.field(), &looked_at));
            if let (false, Some(ColumnBytes::Write(bytes))) = (gone.is_empty(), column.map(|column| &mut column.bytes))
            {
                let handles = bytes.as_chunks_mut::<HANDLE_BYTES>().0;
                gone.iter().for_each(|place| handles[*place] = Entity::NULL.to_bits().to_le_bytes());
            }
            Ok(())
        });
        system.check(move |registry| check_handles(registry, &field, false))
    }

    /// Ends the events of a kind with the frame: every entity with this component goes, in the stage `cleanup`.
    ///
    /// An event is an entity that one system spawns ([`Job::spawn`](super::Job::spawn)) and others, later in the same frame, have
    /// as their rows, or look at as neighbours: typed columns, in canonical order, worked on in parallel, with nothing to
    /// copy or to lock. Readers of a generation see the others' events, not these.
    ///
    /// ```
    /// use hypostyle::{Component, Entity, FieldJoin, Read, Schedule, Simulation, System, Workers, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Body { speed: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Crash { who: Entity, hardness: f64 }
    ///
    /// let mut world = World::builder().component::<Body>().component::<Crash>().build()?;
    /// let bodies = world.spawn_batch((0..10).map(|i| Body { speed: f64::from(i) }))?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(
    ///     System::rows::<Read<Body>>("collide", |job, body| {
    ///         for row in (0..job.len()).filter(|row| body.speed[*row] > 5.0) {
    ///             job.spawn(Crash { who: job.entities()[row], hardness: body.speed[row] });
    ///         }
    ///     })
    ///     .spawns::<Crash>(),
    /// );
    /// schedule.add(
    ///     System::rows::<Read<Crash>>("brake", |job, crash| {
    ///         for (who, hardness) in crash.who.iter().zip(crash.hardness) {
    ///             job.accumulate(*who, Body { speed: -0.5 * hardness });
    ///         }
    ///     })
    ///     .accumulates::<Body>(FieldJoin::Sum)
    ///     .after("collide"),
    /// );
    /// schedule.add(System::ends_events::<Crash>("crashes end"));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Body>(bodies[8])?.speed, 4.0);
    /// assert_eq!(simulation.world().entity_count(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ends_events<E: Component>(name: impl Into<String>) -> Self {
        Self::ends_events_named(name, E::NAME)
    }

    /// As [`System::ends_events`], by the component's name.
    #[must_use]
    pub fn ends_events_named(name: impl Into<String>, component: impl Into<String>) -> Self {
        let system = dynamic::system(name, dynamic::Query::new().with(component), |job| {
            let all: Vec<u32> = (0..job.len() as u32).collect();
            job.despawn_all(Targets::Rows(&all))?;
            Ok(())
        });
        system.despawns().stage("cleanup")
    }
}

fn is_named(component: &str, field: &str, name: &str) -> bool {
    name.split_once('.') == Some((component, field))
}

/// Places of dead handles in a field of the job's rows.
fn dead_of(job: &mut dynamic::Job<'_, '_, '_>, field: &str) -> Result<Vec<usize>, KernelError> {
    let map = job.map();
    let column = job.columns().iter().find(|column| is_named(column.component(), column.field(), field));
    let lives = |entity| map.has(entity);
    match column.map(|column| &column.bytes) {
        Some(ColumnBytes::Read(bytes)) => Ok(dead(bytes, lives)),
        Some(ColumnBytes::Write(bytes)) => Ok(dead(bytes, lives)),
        None => Err(format!("the job has no column `{field}`").into()),
    }
}
