//! Scratch components: which systems compute them anew where a state is taken up without them.
#![forbid(unsafe_code)]

use crate::Component;
use crate::table::Registry;

use super::error::KernelError;
use super::system::System;

/// Whether a component is scratch.
fn is_scratch(registry: &Registry, id: u16) -> Result<(), KernelError> {
    let declared = &registry.layout.components()[usize::from(id)];
    if declared.storage.is_scratch() {
        return Ok(());
    }
    Err(format!("component `{}` is state, which needs no rebuilding; only `storage = \"scratch\"` does", declared.name)
        .into())
}

impl System {
    /// Declares that the system computes a scratch component from the state alone. Where that is as new (in a world's first
    /// frame, and in the first one after a resume, a take-over, a rollback or a frame that failed) the system runs whatever
    /// its conditions say ([`System::run_if`], [`System::every`]).
    ///
    /// A run that is resumed has the bytes of one that was not where what is rebuilt is what was there: a list of neighbours
    /// that is made anew every 20 frames is, where states are kept in those frames, or where what is computed with it does not
    /// depend on when it was made.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f64 }
    /// #[derive(Component, Clone, Copy)]
    /// #[component(storage = "scratch")]
    /// struct Near { cells: [u32; 8] }
    ///
    /// let mut world = World::builder().component::<Position>().component::<Near>().build()?;
    /// let body = world.spawn((Position { x: 2.5 }, Near { cells: [0; 8] }))?;
    /// let mut schedule = Schedule::new();
    /// schedule.add(
    ///     System::rows::<(Write<Near>, Read<Position>)>("near", |_, (mut near, position)| {
    ///         near.cells.iter_mut().zip(position.x).for_each(|(cells, x)| cells[0] = *x as u32);
    ///     })
    ///     .every(20)
    ///     .rebuilds::<Near>(),
    /// );
    /// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    /// simulation.step(1.0)?;
    /// assert_eq!(simulation.world().get::<Near>(body)?.cells[0], 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn rebuilds<C: Component>(mut self) -> Self {
        self.rebuilds = true;
        self.check(|registry| is_scratch(registry, registry.component::<C>()?))
    }

    /// As [`System::rebuilds`], by the component's name.
    #[must_use]
    pub fn rebuilds_named(mut self, component: impl Into<String>) -> Self {
        self.rebuilds = true;
        let name = component.into();
        self.check(move |registry| is_scratch(registry, registry.component_named(&name)?))
    }
}
