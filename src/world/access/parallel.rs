//! Looking at all of a world between frames, on all cores: what is found does not depend on how many there are.
//!
//! Rows are cut into the ranges that a system's jobs have by default, threads take them one by one, and what they give is
//! joined in the order of the ranges by the tree of reductions.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::Entity;
use crate::limits::JOB_ROWS;
use crate::reduce::{Reduce, tree};

use super::query::Query;
use crate::world::World;
use crate::world::error::WorldError;

impl World {
    /// As [`World::query`], on all cores: `f` is called with at most 8,192 rows of one table at a time, by any thread and in
    /// any order.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use hypostyle::{Component, Read, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// world.spawn_batch((0..20_000).map(|kg| Mass { kg: f64::from(kg) }))?;
    /// let heavy = AtomicUsize::new(0);
    /// world.par_query::<Read<Mass>>(|_entities, mass| {
    ///     heavy.fetch_add(mass.kg.iter().filter(|kg| **kg >= 15_000.0).count(), Ordering::Relaxed);
    /// })?;
    /// assert_eq!(heavy.into_inner(), 5_000);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component; a query that writes.
    ///
    /// # Panics
    /// If `f` panics.
    pub fn par_query<Q: Query>(&self, f: impl Fn(&[Entity], Q::Item<'_>) + Sync) -> Result<(), WorldError> {
        self.by_range::<Q, ()>(|entities, item, _| f(entities, item)).map(drop)
    }

    /// Reduces all matching entities to one value, on all cores. `f` returns the value of at most 8,192 rows of one table; the
    /// result has the same bits as that of a system with the same kernel ([`System::reduces`](crate::System::reduces), with
    /// [`job_rows(8192)`](crate::System::job_rows)), whatever the number of cores.
    ///
    /// ```
    /// use hypostyle::{Component, Read, Reduce, Resource, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// #[derive(Resource, Reduce, Clone, Copy)]
    /// struct Total { #[reduce(sum)] kg: f64, #[reduce(sum)] bodies: u64 }
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// world.spawn_batch((1..=4).map(|kg| Mass { kg: f64::from(kg) }))?;
    /// let total: Total = world.reduce::<Read<Mass>, _>(|entities, mass| {
    ///     Total { kg: mass.kg.iter().sum(), bodies: entities.len() as u64 }
    /// })?;
    /// assert_eq!((total.kg, total.bodies), (10.0, 4));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component; a query that writes.
    ///
    /// # Panics
    /// If `f` or a join panics.
    pub fn reduce<Q: Query, R: Reduce>(&self, f: impl Fn(&[Entity], Q::Item<'_>) -> R + Sync) -> Result<R, WorldError> {
        let mut found = self.by_range::<Q, R>(|entities, item, so_far: &mut Option<R>| {
            let value = f(entities, item);
            *so_far = Some(so_far.map_or(value, |earlier| earlier.join(value)));
        })?;
        tree(found.len(), |earlier, later| found[earlier] = found[earlier].join(found[later]));
        Ok(found.first().copied().unwrap_or_else(R::empty))
    }

    /// Visits ranges of rows, each with a value of its own; the values that were made, in the order of the ranges.
    fn by_range<Q: Query, T: Send>(
        &self,
        f: impl Fn(&[Entity], Q::Item<'_>, &mut Option<T>) + Sync,
    ) -> Result<Vec<T>, WorldError> {
        let prepared = self.prepared::<Q>()?;
        if prepared.plan.writes() {
            self.queries.put::<Q>(prepared);
            return Err(WorldError::QueryWrites);
        }
        let ranges = self.ranges(&prepared, JOB_ROWS as u32);
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            let mut own = Vec::new();
            while let Some(range) = ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut value = None;
                self.visit_range::<Q>(&prepared, range.clone(), &mut |entities, item| f(entities, item, &mut value));
                own.extend(value.map(|value| ((range.0, range.1.start), value)));
            }
            found.lock().append(&mut own);
        };
        let threads = threads_for(ranges.len());
        if threads == 1 {
            work();
        } else {
            std::thread::scope(|scope| {
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
                work();
                for other in others {
                    if let Err(panic) = other.join() {
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
        self.queries.put::<Q>(prepared);
        let mut found = found.into_inner();
        found.sort_unstable_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }
}

/// Threads that are worth it for so many ranges.
fn threads_for(ranges: usize) -> usize {
    // starting a thread costs about as much as a range
    let most = ranges / 4;
    if most < 2 || cfg!(target_family = "wasm") {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(most)
}
