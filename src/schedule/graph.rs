#![forbid(unsafe_code)]
//! Systems into stages, batches and groups.
//!
//! Within a stage, explicit order (`before`, `after`) is sorted topologically, ties by registration; along that order
//! every two systems that conflict (one writes what the other reads or writes) are ordered, too. A system's batch is
//! 1 + the highest batch among its predecessors. Consecutive batches of row-local systems without patches are one
//! *group*: their kernels run back to back on one range of rows.

use std::collections::{BTreeSet, HashMap};

use crate::layout::Layout;

use super::system::{Compiled, Neighbour, STAGES, System};

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Two systems of one name.
    #[error("there are two systems named `{name}`; names are unique")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// An order that names nobody.
    #[error("system `{system}` is to run {relation} `{other}`, but there is no such system")]
    UnknownName {
        /// Who says so.
        system: String,
        /// `before` or `after`.
        relation: &'static str,
        /// Who is not there.
        other: String,
    },
    /// An order across stages.
    #[error(
        "system `{system}` of stage `{stage}` is to run {relation} `{other}` of stage `{other_stage}`; order is within a stage"
    )]
    OtherStage {
        /// Who says so.
        system: String,
        /// Its stage.
        stage: String,
        /// `before` or `after`.
        relation: &'static str,
        /// The other.
        other: String,
        /// The other's stage.
        other_stage: String,
    },
    /// A stage that is none.
    #[error("system `{system}` is in stage `{stage}`, but the stages are {known}")]
    UnknownStage {
        /// Who.
        system: String,
        /// Where it wants to be.
        stage: String,
        /// What there is.
        known: String,
    },
    /// A cycle.
    #[error("the order of these systems is a cycle: {cycle}")]
    Cycle {
        /// The systems, each before the next.
        cycle: String,
    },
    /// A system whose kernel is in worker processes only, and other workers.
    #[error(
        "only worker processes have the kernel of system `{system}`: run it with `Workers::Processes` and their command"
    )]
    External {
        /// Who.
        system: String,
    },
    /// A component, resource or query that does not fit the world.
    #[error("system `{system}`: {message}")]
    Access {
        /// Who.
        system: String,
        /// What does not fit.
        message: String,
    },
}

/// One batch: systems that run together, as places in the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub systems: Vec<usize>,
}

/// Batches that run as one: more than one only where all of them are row-local without patches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub batches: Vec<Batch>,
}

impl Group {
    /// The systems in order.
    pub(crate) fn systems(&self) -> impl Iterator<Item = usize> + '_ {
        self.batches.iter().flat_map(|batch| batch.systems.iter().copied())
    }
}

/// A stage's groups, and why its systems are apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub name: String,
    pub groups: Vec<Group>,
    /// (earlier, later, why).
    pub reasons: Vec<(usize, usize, String)>,
}

/// Why two systems cannot share a batch.
fn conflict(a: &Compiled, b: &Compiled, layout: &Layout) -> Option<String> {
    let common = |x: &[u16], y: &[u16]| x.iter().find(|id| y.binary_search(id).is_ok()).copied();
    let component = |id: u16| layout.components()[usize::from(id)].name.clone();
    let resource = |id: u16| layout.resources()[usize::from(id)].name.clone();
    if a.home != b.home {
        return Some("only worker processes have the kernel of one of them".to_owned());
    }
    if let Some(id) = common(&a.writes, &b.writes) {
        return Some(format!("both write {}", component(id)));
    }
    if let Some(id) = common(&a.writes, &b.reads) {
        return Some(format!("{} writes {}, {} reads it", a.name, component(id), b.name));
    }
    if let Some(id) = common(&a.reads, &b.writes) {
        return Some(format!("{} reads {}, {} writes it", a.name, component(id), b.name));
    }
    let (a_sets, b_sets) = (a.changes_resources(), b.changes_resources());
    if let Some(id) = common(&a_sets, &b_sets) {
        return Some(format!("both set resource {}", resource(id)));
    }
    if let Some(id) = common(&a_sets, &b.reads_resources) {
        return Some(format!("{} sets resource {}, {} reads it", a.name, resource(id), b.name));
    }
    if let Some(id) = common(&a.reads_resources, &b_sets) {
        return Some(format!("{} reads resource {}, {} sets it", a.name, resource(id), b.name));
    }
    if a.sort_by.is_some() || b.sort_by.is_some() {
        return Some("one of them sorts tables at its end".to_owned());
    }
    None
}

/// Puts systems into stages, batches and groups.
pub(crate) fn plan(
    systems: &[System],
    compiled: &[Compiled],
    stages: &[String],
    layout: &Layout,
    fuse: bool,
) -> Result<Vec<Stage>, ScheduleError> {
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for (index, system) in systems.iter().enumerate() {
        if by_name.insert(&system.name, index).is_some() {
            return Err(ScheduleError::DuplicateName { name: system.name.clone() });
        }
        if !stages.contains(&system.stage) {
            return Err(ScheduleError::UnknownStage {
                system: system.name.clone(),
                stage: system.stage.clone(),
                known: stages.join(", "),
            });
        }
    }
    let mut explicit: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); systems.len()];
    for (index, system) in systems.iter().enumerate() {
        for (names, relation) in [(&system.before, "before"), (&system.after, "after")] {
            for Neighbour { system: name, optional } in names {
                let found = by_name.get(name.as_str()).copied();
                if *optional && found.is_none_or(|other| systems[other].stage != system.stage) {
                    continue;
                }
                let Some(other) = found else {
                    return Err(ScheduleError::UnknownName {
                        system: system.name.clone(),
                        relation,
                        other: name.clone(),
                    });
                };
                if systems[other].stage != system.stage {
                    return Err(ScheduleError::OtherStage {
                        system: system.name.clone(),
                        stage: system.stage.clone(),
                        relation,
                        other: name.clone(),
                        other_stage: systems[other].stage.clone(),
                    });
                }
                let (first, then) = if relation == "before" { (index, other) } else { (other, index) };
                explicit[then].insert(first);
            }
        }
    }
    stages
        .iter()
        .map(|stage| {
            let members: Vec<usize> = (0..systems.len()).filter(|index| systems[*index].stage == *stage).collect();
            plan_stage(stage, &members, &explicit, compiled, layout, fuse)
        })
        .collect()
}

fn plan_stage(
    stage: &str,
    members: &[usize],
    explicit: &[BTreeSet<usize>],
    compiled: &[Compiled],
    layout: &Layout,
    fuse: bool,
) -> Result<Stage, ScheduleError> {
    let order = topological(members, explicit, compiled)?;
    let mut level: HashMap<usize, usize> = HashMap::new();
    let mut reasons = Vec::new();
    for (place, &system) in order.iter().enumerate() {
        let mut own = 0;
        for &earlier in &order[..place] {
            let why = if explicit[system].contains(&earlier) {
                Some("told so".to_owned())
            } else {
                conflict(&compiled[earlier], &compiled[system], layout)
            };
            if let Some(why) = why {
                own = own.max(level[&earlier] + 1);
                reasons.push((earlier, system, why));
            }
        }
        level.insert(system, own);
    }
    let batches = level.values().max().map_or(0, |highest| highest + 1);
    let mut groups: Vec<Group> = Vec::new();
    let home = |group: &Group| compiled[group.batches[0].systems[0]].home;
    let mut open = false;
    for number in 0..batches {
        // canonical: by registration
        let mut systems: Vec<usize> = members.iter().copied().filter(|system| level[system] == number).collect();
        systems.sort_unstable();
        let fusable = fuse && systems.iter().all(|system| compiled[*system].fusable);
        let batch = Batch { systems };
        match groups.last_mut() {
            Some(group) if open && fusable && home(group) == compiled[batch.systems[0]].home => {
                group.batches.push(batch)
            }
            _ => groups.push(Group { batches: vec![batch] }),
        }
        open = fusable;
    }
    Ok(Stage { name: stage.to_owned(), groups, reasons })
}

fn topological(
    members: &[usize],
    explicit: &[BTreeSet<usize>],
    compiled: &[Compiled],
) -> Result<Vec<usize>, ScheduleError> {
    let mut order = Vec::with_capacity(members.len());
    let mut left: Vec<usize> = members.to_vec();
    while !left.is_empty() {
        let ready = left.iter().position(|system| explicit[*system].iter().all(|first| order.contains(first)));
        match ready {
            Some(index) => order.push(left.remove(index)),
            None => return Err(ScheduleError::Cycle { cycle: cycle(&left, explicit, compiled) }),
        }
    }
    Ok(order)
}

/// One cycle among systems that all wait for each other.
fn cycle(left: &[usize], explicit: &[BTreeSet<usize>], compiled: &[Compiled]) -> String {
    let mut path = vec![left[0]];
    loop {
        let last = path[path.len() - 1];
        let Some(next) = explicit[last].iter().copied().find(|first| left.contains(first)) else { break };
        if let Some(begin) = path.iter().position(|system| *system == next) {
            let mut names: Vec<&str> =
                path[begin..].iter().rev().map(|system| compiled[*system].name.as_str()).collect();
            names.push(names[0]);
            return names.join(" -> ");
        }
        path.push(next);
    }
    left.iter().map(|system| compiled[*system].name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The stages of a new schedule.
pub(crate) fn default_stages() -> Vec<String> {
    STAGES.iter().map(|stage| (*stage).to_owned()).collect()
}
