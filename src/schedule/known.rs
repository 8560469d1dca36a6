//! Which entities got or lost a component: a tag says which were known to have it, and two ready-made systems keep it right.
//!
//! The tag is state like any other, so that a resumed or rolled back world knows the same.
#![forbid(unsafe_code)]

use crate::table::Registry;

use super::dynamic::{self, Targets};
use super::error::KernelError;
use super::system::System;

/// Checks that a component is a tag.
fn check_tag(registry: &Registry, tag: &str) -> Result<(), KernelError> {
    let declared = &registry.layout.components()[usize::from(registry.component_named(tag)?)];
    match declared.fields.len() {
        0 => Ok(()),
        fields => {
            Err(format!("component `{tag}` has {fields} field(s); what marks the known entities is a tag").into())
        }
    }
}

/// Exactly which entities got or lost a component. `(With<Charge>, Without<Known>)` matches who got a charge since these systems ran
/// last, `(Without<Charge>, With<Known>)` who lost it (and lives). The systems before them in the frame see each change
/// once, whatever made it: patches of later systems or of earlier ones, or the owner between frames. Who loses a component
/// and gets it back in between did not change. A tag with `storage = "toggle"` costs a bit for each row.
impl System {
    /// Gives a tag to all entities that have a component and not the tag.
    ///
    /// ```
    /// use hypostyle::{Component, Schedule, Simulation, System, With, Without, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Charge { q: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// #[component(storage = "toggle")]
    /// struct Known;
    /// #[derive(Component, Clone, Copy)]
    /// struct Log { came: u32, went: u32 }
    ///
    /// let mut world = World::builder().component::<Charge>().component::<Known>().component::<Log>().build()?;
    /// let ion = world.spawn((Charge { q: 1.0 }, Log { came: 0, went: 0 }))?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(System::rows::<(Write<Log>, With<Charge>, Without<Known>)>("came", |_, (mut log, (), ())| {
    ///     log.came.map(|times| times + 1);
    /// }));
    /// schedule.add(System::rows::<(Write<Log>, Without<Charge>, With<Known>)>("went", |_, (mut log, (), ())| {
    ///     log.went.map(|times| times + 1);
    /// }));
    /// schedule.add(System::marks_gained("charges are known", "charge", "known").after("came"));
    /// schedule.add(System::marks_lost("lost charges are known", "charge", "known").after("went"));
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.run(3, 1.0)?;
    /// simulation.world_mut().remove::<Charge>(ion)?;
    /// simulation.run(3, 1.0)?;
    /// let log = simulation.world().get::<Log>(ion)?;
    /// assert_eq!((log.came, log.went), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn marks_gained(name: impl Into<String>, component: impl Into<String>, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        let query = dynamic::Query::new().with(component).without(tag.clone());
        let (given, checked) = (tag.clone(), tag.clone());
        let system = dynamic::system(name, query, move |job| {
            let all: Vec<u32> = (0..job.len() as u32).collect();
            Ok(job.add_named(&given, Targets::Rows(&all), &[])?)
        });
        system.adds_named(tag).check(move |registry| check_tag(registry, &checked))
    }

    /// Takes a tag from all entities that have it and not the component: see [`System::marks_gained`].
    #[must_use]
    pub fn marks_lost(name: impl Into<String>, component: impl Into<String>, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        let query = dynamic::Query::new().with(tag.clone()).without(component);
        let (taken, checked) = (tag.clone(), tag.clone());
        let system = dynamic::system(name, query, move |job| {
            let all: Vec<u32> = (0..job.len() as u32).collect();
            Ok(job.remove_named(&taken, Targets::Rows(&all))?)
        });
        system.removes_named(tag).check(move |registry| check_tag(registry, &checked))
    }
}
