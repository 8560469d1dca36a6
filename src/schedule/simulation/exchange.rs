//! Where a simulation calls its exchange, and what it knows of the freshness of ghosts.
//!
//! Invariant: whether and with what an exchange is called follows from the schedule, from conditions, and from whether the
//! world was changed between frames; never from rows, of which other parts have others.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::accumulate::Accumulation;
use crate::commit::{Across, deaths};
use crate::layout::{ComponentLayout, Layout, Storage};
use crate::schedule::exchange::{
    AccumulationNeeds, Exchange, ExchangeError, ExchangeNeeds, ReductionNeeds, SortNeeds, SortPoint, Stale,
    SystemNeeds, ViewNeeds,
};
use crate::schedule::graph::Group;
use crate::schedule::system::Compiled;
use crate::table::RESOURCES;
use crate::world::World;

use super::Simulation;
use super::error::Failed;

/// An exchange, and what it is told.
pub(super) struct Exchanging {
    exchange: Box<dyn Exchange>,
    /// By system.
    points: Vec<Option<SortPoint>>,
    /// By component: whether it was written since ghosts got it.
    stale: Vec<bool>,
    /// Whether handles may name what lives in another part.
    links: bool,
    /// Whether rows came, went or moved since ghosts were made.
    rows_moved: bool,
    /// The stale components that a batch reads. Kept for its memory.
    asked: Vec<u16>,
}

impl Exchanging {
    /// Tells an exchange what the schedule needs.
    pub(super) fn begin(
        mut exchange: Box<dyn Exchange>,
        world: &mut World,
        compiled: &[Compiled],
        inputs: &[String],
    ) -> Result<Exchanging, ExchangeError> {
        let registry = Arc::clone(&world.registry);
        let systems = compiled.iter().map(|system| needs(system, &registry.layout)).collect();
        exchange.begin(world, &ExchangeNeeds { systems, inputs: inputs.to_vec() })?;
        let layout = &registry.layout;
        Ok(Exchanging {
            exchange,
            points: compiled.iter().map(|system| point(system, layout)).collect(),
            stale: vec![true; layout.components().len()],
            links: layout.components().iter().any(ComponentLayout::is_elsewhere),
            rows_moved: true,
            asked: Vec::with_capacity(layout.components().len()),
        })
    }

    /// The world was changed where nothing is known of it.
    pub(super) fn forget(&mut self) {
        self.rows_moved = true;
    }

    /// The step failed.
    pub(super) fn failed(&mut self, message: &str) {
        self.forget();
        self.exchange.failed(message);
    }

    /// Tells other parts something, and gives what all told.
    pub(super) fn tell(&mut self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.exchange.tell(what, mine)
    }

    /// Kernels have run for so long.
    pub(super) fn worked(&mut self, busy: Duration) {
        self.exchange.worked(busy);
    }

    /// A system has run.
    fn ran(&mut self, system: &Compiled, layout: &Layout) {
        for component in &system.writes {
            self.stale[usize::from(*component)] = true;
        }
        let access = &system.access;
        let moves = |component: &u16| layout.components()[usize::from(*component)].storage != Storage::Toggle;
        self.rows_moved |=
            access.despawns || !access.spawns.is_empty() || access.adds.iter().chain(&access.removes).any(moves);
    }

    /// Ghosts are as their rows.
    fn fresh(&mut self) {
        self.stale.fill(false);
        self.rows_moved = false;
    }
}

/// The column's component and field.
fn names(layout: &Layout, component: u16, field: u8) -> (String, String) {
    let component = &layout.components()[usize::from(component)];
    (component.name.clone(), component.fields[usize::from(field)].name.clone())
}

fn point(system: &Compiled, layout: &Layout) -> Option<SortPoint> {
    system.sort.as_ref().map(|sort| SortPoint {
        system: system.name.clone(),
        key: names(layout, sort.component, sort.field),
        component: sort.component,
        query: system.own.clone(),
    })
}

fn needs(system: &Compiled, layout: &Layout) -> SystemNeeds {
    let name = |id: &u16| layout.components()[usize::from(*id)].name.clone();
    let resource = |id: u16| layout.resources()[usize::from(id)].name.clone();
    let all = |ids: &[u16]| ids.iter().map(name).collect::<Vec<_>>();
    let sorted = |mut ids: Vec<u16>| {
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let no_toggles = |ids: &[u16]| {
        let rest = ids.iter().filter(|id| layout.components()[usize::from(**id)].storage != Storage::Toggle);
        rest.copied().collect::<Vec<u16>>()
    };
    let written = system.own.columns.iter().filter(|column| column.write).map(|column| column.component);
    let views = system.others.iter().enumerate().map(|(number, view)| {
        let decides = view.all.iter().chain(&view.none).chain(view.any.iter().flatten());
        let toggles = decides.filter(|id| layout.components()[usize::from(**id)].storage == Storage::Toggle);
        ViewNeeds {
            components: all(&sorted(view.columns.iter().map(|column| column.component).collect())),
            conditions: all(&sorted(toggles.chain(&view.changed).copied().collect())),
            ghosts: system.shows_ghosts(number),
            required: all(&no_toggles(&view.all)),
            excluded: all(&no_toggles(&view.none)),
        }
    });
    let access = &system.access;
    let accumulation =
        |one: &Accumulation| AccumulationNeeds { component: name(&one.component), exact: one.is_exact() };
    SystemNeeds {
        name: system.name.clone(),
        stage: system.stage.clone(),
        once: system.once,
        any_rows: !system.once && system.own.is_empty(),
        writes: all(&sorted(written.collect())),
        views: views.collect(),
        changed: all(&system.own.changed),
        sets: all(&access.sets),
        adds: all(&access.adds),
        removes: all(&access.removes),
        spawns: all(&access.spawns),
        despawns: access.despawns,
        accumulates: access.accumulates.iter().map(accumulation).collect(),
        lists: all(&access.lists),
        resources: access.resources.iter().map(|id| resource(*id)).collect(),
        reductions: system
            .reductions
            .iter()
            .map(|reduction| ReductionNeeds {
                resource: resource(reduction.resource),
                exact: reduction.is_exact(),
                onto: reduction.onto,
            })
            .collect(),
        sort: system.sort.as_ref().map(|sort| SortNeeds {
            key: names(layout, sort.component, sort.field),
            then: sort.then.map(|(component, field)| names(layout, component, field)),
            every: sort.every,
            leaves: all(&sort.leaves),
        }),
    }
}

impl Simulation {
    /// Brings ghosts up to date that the batch to come looks at.
    pub(super) fn refresh_ghosts(&mut self, group: &Group) -> Result<(), Failed> {
        let Simulation { world, compiled, skips, exchange: Some(exchanging), .. } = self else { return Ok(()) };
        let asked = &mut exchanging.asked;
        asked.clear();
        let systems = group.systems().filter(|system| !skips[*system]);
        let mut looks = false;
        let views =
            |system: usize| compiled[system].others.iter().enumerate().map(move |(view, plan)| (system, view, plan));
        for (system, number, view) in systems.flat_map(views) {
            if !compiled[system].shows_ghosts(number) {
                continue;
            }
            looks = true;
            let read = view.columns.iter().map(|column| column.component);
            asked.extend(read.filter(|component| exchanging.rows_moved || exchanging.stale[usize::from(*component)]));
        }
        asked.sort_unstable();
        asked.dedup();
        if !looks || (asked.is_empty() && !exchanging.rows_moved) {
            return Ok(());
        }
        let registry = Arc::clone(&world.registry);
        let stale = Stale { layout: &registry.layout, components: asked, rows_moved: exchanging.rows_moved };
        let done = exchanging.exchange.refresh(world, &stale);
        done.map_err(|source| Failed::Exchange {
            at: format!("new values for the batch of {}", first(group, compiled)),
            source,
        })?;
        if exchanging.rows_moved {
            exchanging.fresh();
        } else {
            exchanging.asked.iter().for_each(|component| exchanging.stale[usize::from(*component)] = false);
        }
        Ok(())
    }

    /// Whether systems of a group may change entities that live in other parts.
    pub(super) fn changes_others(&self, group: &Group) -> bool {
        let changes = |system: usize| {
            let access = &self.compiled[system].access;
            let components = [&access.sets, &access.adds, &access.removes, &access.lists];
            let patches = access.despawns || !access.accumulates.is_empty();
            !self.skips[system] && (patches || components.iter().any(|components| !components.is_empty()))
        };
        self.exchange.as_ref().is_some_and(|exchanging| exchanging.links) && group.systems().any(changes)
    }

    /// Whether systems of a group may end entities.
    pub(super) fn ends_others(&self, group: &Group) -> bool {
        group.systems().any(|system| !self.skips[system] && self.compiled[system].access.despawns)
    }

    /// All parts' patches were told, and of `sent` so many have found their entities here: all have found theirs. What has died
    /// in other parts ends here.
    pub(super) fn end_elsewhere(&mut self, (sent, found): (u64, u64)) -> Result<(), Failed> {
        let Simulation { world, scratch, exchange: Some(exchanging), .. } = self else { return Ok(()) };
        let failed = |source: ExchangeError| Failed::Exchange { at: "who has died".to_owned(), source };
        let all = exchanging.tell("deaths", &scratch.abroad.told_deaths(found)).map_err(failed)?;
        let died = deaths(&all, sent).map_err(|error| failed(error.into()))?;
        Ok(world.end_elsewhere(&died.into_iter().collect())?)
    }

    /// A batch has run: what its systems write is stale in ghosts; resources that they set become equal everywhere.
    pub(super) fn agree(&mut self, group: &Group, patches: bool) -> Result<(), Failed> {
        let Simulation { world, compiled, skips, scratch, exchange: Some(exchanging), .. } = self else {
            return Ok(());
        };
        let registry = Arc::clone(&world.registry);
        let layout = &registry.layout;
        for system in group.systems().filter(|system| !skips[*system]) {
            exchanging.ran(&compiled[system], layout);
            for id in compiled[system].access.resources.iter().copied() {
                let wrote = patches && scratch.has_set_resource(id);
                let name = &layout.resources()[usize::from(id)].name;
                let at = layout.resource_offset(usize::from(id)) as usize;
                let bytes = layout.resources()[usize::from(id)].packed_bytes();
                let mut value = world.store.column_bytes(RESOURCES, 0)[at..at + bytes].to_vec();
                let agreed = exchanging.exchange.agree(name, wrote, &mut value);
                let agreed = agreed.map_err(|source| {
                    let at = format!("resource `{name}`, set by system `{}`", compiled[system].name);
                    Failed::Exchange { at, source }
                })?;
                if agreed {
                    world.set_resource_bytes(name, &value).map_err(Failed::World)?;
                }
            }
        }
        Ok(())
    }

    /// Before a system's sort, or after it.
    pub(super) fn at_sort(&mut self, system: usize, after: bool) -> Result<(), Failed> {
        let Simulation { world, exchange: Some(exchanging), .. } = self else { return Ok(()) };
        let Some(point) = &exchanging.points[system] else { return Ok(()) };
        let done = if after {
            exchanging.exchange.after_sort(world, point)
        } else {
            exchanging.exchange.before_sort(world, point)
        };
        done.map_err(|source| {
            let when = if after { "after" } else { "before" };
            Failed::Exchange { at: format!("{when} the sort of system `{}`", point.system), source }
        })?;
        if after {
            exchanging.fresh();
        }
        Ok(())
    }

    /// The frame's batches have run.
    pub(super) fn end_exchange(&mut self) -> Result<(), Failed> {
        let Simulation { world, exchange: Some(exchanging), .. } = self else { return Ok(()) };
        let done = exchanging.exchange.end_frame(world);
        done.map_err(|source| Failed::Exchange { at: "the frame's end".to_owned(), source })
    }
}

impl Across for Exchanging {
    fn reduce(
        &mut self,
        resource: &str,
        value: &mut [u8],
        join: &dyn Fn(&mut [u8], &[u8]),
    ) -> Result<(), ExchangeError> {
        self.exchange.reduce(resource, value, join)
    }
}

/// The first system of a group, for people.
fn first(group: &Group, compiled: &[Compiled]) -> String {
    group
        .systems()
        .next()
        .map_or_else(|| "no system".to_owned(), |system| format!("system `{}`", compiled[system].name))
}
