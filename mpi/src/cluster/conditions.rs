//! The conditions under which many ranks give the bytes of one, as far as a schedule's declarations show them.
//!
//! What they cannot show is in docs/distributed.md: random numbers are drawn by global id, never by handle, and neighbours
//! are combined in the order in which they are found.
#![forbid(unsafe_code)]

use hypostyle::World;
use hypostyle::exchange::{AccumulationNeeds, ExchangeNeeds, SystemNeeds};
use hypostyle::layout::{ComponentLayout, ScalarType, Storage};

use crate::domain::Looks;
use crate::error::ClusterError;

/// The component of global ids.
pub(crate) const GLOBAL_ID: &str = "global_id";

/// Whether rows are sorted by their ids.
pub(crate) fn is_by_id(key: &(String, String)) -> bool {
    (key.0.as_str(), key.1.as_str()) == (GLOBAL_ID, "value")
}

/// Checks all conditions. `links`: entities may name each other by handles.
///
/// # Errors
/// The first that a system, or the world, breaks.
pub(crate) fn check(world: &World, needs: &ExchangeNeeds, looks: &Looks, links: bool) -> Result<(), ClusterError> {
    if let Some(input) = needs.inputs.first() {
        let what = format!("inputs (`{input}`) are not accepted on many ranks: no rank knows which one has the entity");
        return Err(ClusterError::World(what));
    }
    check_world(world, looks, links)?;
    let sorts_by_id = needs.systems.iter().any(|system| system.sort.as_ref().is_some_and(|sort| is_by_id(&sort.key)));
    for system in &needs.systems {
        let broken = once(system)
            .or_else(|| reductions(system))
            .or_else(|| views(world, system, looks, links))
            .or_else(|| patches(system, looks, links))
            .or_else(|| if links { linked_comings(system, sorts_by_id) } else { comings(system, looks) });
        if let Some(condition) = broken {
            return Err(ClusterError::Condition { system: system.name.clone(), condition });
        }
    }
    let Some(domain) = looks.near() else { return Ok(()) };
    let viewer = needs.systems.iter().find(|system| !system.views.is_empty());
    let sorts = needs.systems.iter().any(|system| system.sort.as_ref().is_some_and(|sort| sort.key == domain.key));
    match viewer {
        Some(system) if !sorts => Err(ClusterError::Condition {
            system: system.name.clone(),
            condition: format!(
                "it looks at neighbours, but no system sorts rows by `{}`, after which rows change ranks and ghosts are made",
                domain.key_column()
            ),
        }),
        _ => Ok(()),
    }
}

/// All rows have ids; what names other rows cannot leave them behind.
fn check_world(world: &World, looks: &Looks, links: bool) -> Result<(), ClusterError> {
    for table in 0..world.table_count() {
        let names: Vec<&str> = world.table_components(table).collect();
        if world.table_rows(table) > 0 && !names.contains(&GLOBAL_ID) {
            return Err(ClusterError::World(format!(
                "entities of ({}) have no `{GLOBAL_ID}`: on many ranks each entity needs one",
                names.join(", ")
            )));
        }
    }
    let components = world.layout().components();
    let naming = components.iter().find(|component| component.fields.iter().any(names_entities));
    // where no row changes ranks, none is left behind
    if let Some(naming) = naming.filter(|_| !links && *looks != Looks::Own) {
        let name = &naming.name;
        return Err(ClusterError::World(match looks {
            Looks::All => format!(
                "component `{name}` has handles of entities, which may live on other ranks: give the layout the component \
                 `elsewhere` (`hypostyle::Elsewhere`), by which they are known here"
            ),
            Looks::Own | Looks::Near(_) => format!(
                "component `{name}` has handles of entities: rows that change ranks would leave those that they name behind; \
                 handles are kept where systems look at all rows (`Looks::All`)"
            ),
        }));
    }
    let resource = world.layout().resources().iter().find(|resource| resource.fields.iter().any(names_entities));
    if let Some(resource) = resource.filter(|_| links) {
        return Err(ClusterError::World(format!(
            "resource `{}` has handles of entities, which are others on each rank: keep the global id",
            resource.name
        )));
    }
    let Some(domain) = looks.near() else { return Ok(()) };
    let key = components.iter().find(|component| component.name == domain.key.0);
    let field = key.and_then(|key| key.fields.iter().find(|field| field.name == domain.key.1));
    match field {
        Some(field) if field.ty.scalar == ScalarType::U32 && field.ty.bytes() == 4 => Ok(()),
        _ => Err(ClusterError::World(format!("there is no column `{}` of u32, the key of cells", domain.key_column()))),
    }
}

fn names_entities(field: &hypostyle::layout::FieldLayout) -> bool {
    field.ty.scalar == ScalarType::Entity
}

/// A system without rows runs on each rank.
fn once(system: &SystemNeeds) -> Option<String> {
    let changes = patched(system)?;
    (system.once || system.any_rows)
        .then(|| format!("it has no rows of its own, so every rank runs it, and each would {changes}"))
}

fn reductions(system: &SystemNeeds) -> Option<String> {
    let rounded = system.reductions.iter().find(|reduction| !reduction.exact)?;
    Some(format!(
        "it reduces to `{}` by a join that depends on the order of rows: write one of whole numbers, min, max or or, or an exact sum",
        rounded.resource
    ))
}

fn views(world: &World, system: &SystemNeeds, looks: &Looks, links: bool) -> Option<String> {
    if system.views.is_empty() {
        return None;
    }
    if *looks == Looks::Own {
        return Some("it looks at rows of others, but the world names no space in which they are near".to_owned());
    }
    // what is patched by handle is carried out by who has the row, and refused where the order would count
    if let Some(changes) = patched(system).filter(|_| !links) {
        return Some(format!("it looks at rows of others and may {changes}, which may be on another rank"));
    }
    for view in system.views.iter().filter(|view| view.ghosts) {
        if let Some(condition) = view.conditions.first() {
            return Some(format!("which rows it looks at depends on `{condition}`, which ghosts do not have"));
        }
        let layout = |name: &String| world.layout().components().iter().find(|component| component.name == *name);
        let odd = |component: &&ComponentLayout| !matches!(component.storage, Storage::Table | Storage::Scratch);
        if let Some(odd) = view.components.iter().filter_map(layout).find(odd) {
            return Some(format!("it looks at `{}` of others, a toggle or a list, which ghosts do not have", odd.name));
        }
    }
    None
}

fn patches(system: &SystemNeeds, looks: &Looks, links: bool) -> Option<String> {
    let joined = |one: &&AccumulationNeeds| links && one.exact;
    if let Some(one) = system.accumulates.iter().find(|one| !joined(one)) {
        let why = if links {
            ": by a sum of floats, which depends on the order; take whole numbers, min, max or or"
        } else {
            ""
        };
        return Some(format!("it accumulates on `{}` of entities that may be on another rank{why}", one.component));
    }
    let both = |one: &&AccumulationNeeds| {
        [&system.sets, &system.adds, &system.removes].iter().any(|c| c.contains(&one.component))
    };
    if let Some(one) = system.accumulates.iter().find(both) {
        return Some(format!(
            "it accumulates on `{0}` and sets, adds or removes `{0}`: which comes first depends on who is on which rank; make it two systems",
            one.component
        ));
    }
    let spawns = !system.spawns.is_empty();
    if spawns && !system.spawns.iter().any(|component| component == GLOBAL_ID) {
        return Some(format!("it spawns entities without a `{GLOBAL_ID}`: give them the id's child of who spawns"));
    }
    if (looks.near().is_some() || links) && !system.changed.is_empty() {
        let what = system.changed.join("`, `");
        return Some(format!(
            "its rows are those whose `{what}` changed, and rows that change ranks all count as changed"
        ));
    }
    None
}

/// Where entities name each other, rows that systems look at come into the order of their ids again, on all ranks together.
fn linked_comings(system: &SystemNeeds, sorts_by_id: bool) -> Option<String> {
    let what = patched(system).filter(|_| !sorts_by_id && moves_rows(system))?;
    Some(format!(
        "it may {what}, but no system sorts rows by `global_id.value`, after which rows stand in the order of their ids on all \
         ranks together, as systems look at them"
    ))
}

/// Whether rows come, go or change tables.
fn moves_rows(system: &SystemNeeds) -> bool {
    system.despawns || [&system.spawns, &system.adds, &system.removes].iter().any(|names| !names.is_empty())
}

/// Where systems look at all rows, each rank has those of its share of the ids, from the beginning to the end.
fn comings(system: &SystemNeeds, looks: &Looks) -> Option<String> {
    let moves = [
        (!system.spawns.is_empty(), "spawns entities"),
        (system.despawns, "despawns entities"),
        (!system.adds.is_empty(), "adds components"),
        (!system.removes.is_empty(), "removes components"),
    ];
    let (_, what) = moves.into_iter().find(|(does, _)| *does && *looks == Looks::All)?;
    Some(format!(
        "it {what}, but systems look at all rows, which stand in the order of their ids on all ranks together"
    ))
}

/// What a system does to entities, beyond writing its own rows.
fn patched(system: &SystemNeeds) -> Option<&'static str> {
    [
        (!system.spawns.is_empty(), "spawn entities"),
        (system.despawns, "despawn entities"),
        (!system.sets.is_empty(), "set components of entities"),
        (!system.adds.is_empty(), "add components to entities"),
        (!system.removes.is_empty(), "remove components of entities"),
        (!system.accumulates.is_empty(), "accumulate on entities"),
        (!system.lists.is_empty(), "set lists of entities"),
    ]
    .into_iter()
    .find_map(|(does, what)| does.then_some(what))
}
