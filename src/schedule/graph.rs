//! Systems into stages, batches and groups.
//!
//! Within a stage, explicit order (`before`, `after`) is sorted topologically, ties by registration; along that order
//! every two systems that conflict (one writes what the other reads or writes) are ordered, too. A system's batch is
//! 1 + the highest batch among its predecessors. Consecutive batches of row-local systems without patches are one
//! *group*: their kernels run back to back on one range of rows.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::layout::Layout;

use super::Schedule;
use super::repeat::{CompiledLoop, Loop};
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
    /// A loop that does not fit its systems or the world.
    #[error("loop `{name}`: {message}")]
    Loop {
        /// Which.
        name: String,
        /// What does not fit.
        message: String,
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
    /// Loops over parts of the groups, each before those inside of it.
    pub loops: Vec<LoopSpan>,
    /// (earlier, later, why).
    pub reasons: Vec<(usize, usize, String)>,
}

/// Groups that run in each pass of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoopSpan {
    /// Its place among the schedule's loops.
    pub number: usize,
    pub groups: Range<usize>,
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
    if let Some(id) = common(&a_sets, &b.looks_at_resources) {
        return Some(format!("{} sets resource {}, {} reads it", a.name, resource(id), b.name));
    }
    if let Some(id) = common(&a.looks_at_resources, &b_sets) {
        return Some(format!("{} reads resource {}, {} sets it", a.name, resource(id), b.name));
    }
    if a.builds_lists.is_some() || b.builds_lists.is_some() {
        return Some("one of them builds lists in place".to_owned());
    }
    if a.sort.is_some() || b.sort.is_some() {
        return Some("one of them sorts tables at its end".to_owned());
    }
    None
}

/// Puts systems into stages, batches and groups.
pub(crate) fn plan(
    schedule: &Schedule,
    compiled: &[Compiled],
    loops: &[CompiledLoop],
    layout: &Layout,
    fuse: bool,
) -> Result<Vec<Stage>, ScheduleError> {
    let (systems, stages) = (&schedule.systems[..], schedule.stages()?);
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
    let explicit = explicit(systems, &by_name)?;
    let nesting = Nesting::of(systems, &schedule.loops)?;
    let planner = Planner { compiled, loops, nesting, explicit, layout, fuse };
    let plan_stage = |name: &String| {
        let members: Vec<usize> = (0..systems.len()).filter(|index| systems[*index].stage == *name).collect();
        let mut stage = Stage { name: name.clone(), groups: Vec::new(), loops: Vec::new(), reasons: Vec::new() };
        planner.block(&members, None, &mut stage)?;
        Ok(stage)
    };
    stages.iter().map(plan_stage).collect()
}

/// By system: those that were told to run before it.
fn explicit(systems: &[System], by_name: &HashMap<&str, usize>) -> Result<Vec<BTreeSet<usize>>, ScheduleError> {
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
    Ok(explicit)
}

/// Which system and which loop lies directly in which loop.
struct Nesting {
    of_system: Vec<Option<usize>>,
    of_loop: Vec<Option<usize>>,
}

impl Nesting {
    fn of(systems: &[System], loops: &[Loop]) -> Result<Self, ScheduleError> {
        let wrong = |name: &str, message: String| ScheduleError::Loop { name: name.to_owned(), message };
        let find = |name: &str| loops.iter().position(|each| each.name == name);
        for (index, each) in loops.iter().enumerate() {
            if find(&each.name) != Some(index) {
                return Err(wrong(&each.name, "there are two loops of this name; names are unique".to_owned()));
            }
        }
        let mut of_loop = Vec::new();
        for each in loops {
            let outer = match &each.inside {
                None => None,
                Some(outer) => match find(outer) {
                    None => {
                        return Err(wrong(&each.name, format!("it is to lie inside of `{outer}`, which is no loop")));
                    }
                    found => found,
                },
            };
            of_loop.push(outer);
        }
        for (index, each) in loops.iter().enumerate() {
            let outwards = std::iter::successors(of_loop[index], |outer| of_loop[*outer]);
            if outwards.take(loops.len()).any(|outer| outer == index) {
                return Err(wrong(&each.name, "it lies inside of itself".to_owned()));
            }
        }
        let mut of_system = Vec::new();
        let mut stage_of: Vec<Option<&System>> = vec![None; loops.len()];
        for system in systems {
            let direct = match &system.in_loop {
                None => None,
                Some(name) => match find(name) {
                    None => {
                        return Err(wrong(
                            name,
                            format!("there is no such loop, but system `{}` is in it", system.name),
                        ));
                    }
                    found => found,
                },
            };
            for each in std::iter::successors(direct, |outer| of_loop[*outer]) {
                let first = *stage_of[each].get_or_insert(system);
                if first.stage != system.stage {
                    let (a, b) = (&first.stage, &system.stage);
                    let message = format!(
                        "system `{}` is in stage `{a}`, `{}` in `{b}`; a loop lies in one stage",
                        first.name, system.name
                    );
                    return Err(wrong(&loops[each].name, message));
                }
            }
            of_system.push(direct);
        }
        Ok(Nesting { of_system, of_loop })
    }

    /// What a system is part of in a block: itself, or a loop that lies directly in the block. `None`: it is elsewhere.
    fn node(&self, system: usize, block: Option<usize>) -> Option<Node> {
        if self.of_system[system] == block {
            return Some(Node::System(system));
        }
        let mut outwards = std::iter::successors(self.of_system[system], |outer| self.of_loop[*outer]);
        outwards.find(|each| self.of_loop[*each] == block).map(Node::Loop)
    }
}

/// A part of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    System(usize),
    Loop(usize),
}

struct Planner<'a> {
    compiled: &'a [Compiled],
    loops: &'a [CompiledLoop],
    nesting: Nesting,
    explicit: Vec<BTreeSet<usize>>,
    layout: &'a Layout,
    fuse: bool,
}

/// A node and its systems.
struct Part {
    node: Node,
    systems: Vec<usize>,
}

impl Planner<'_> {
    /// Adds the groups of a block, which is a loop or a whole stage, to a stage.
    fn block(&self, members: &[usize], block: Option<usize>, stage: &mut Stage) -> Result<(), ScheduleError> {
        let mut parts: Vec<Part> = Vec::new();
        for &system in members {
            let Some(node) = self.nesting.node(system, block) else { continue };
            match parts.iter_mut().find(|part| part.node == node) {
                Some(part) => part.systems.push(system),
                None => parts.push(Part { node, systems: vec![system] }),
            }
        }
        let order = self.topological(&parts)?;
        let mut levels = vec![0; parts.len()];
        for (place, &later) in order.iter().enumerate() {
            for &earlier in &order[..place] {
                if let Some((from, to, why)) = self.apart(&parts[earlier], &parts[later]) {
                    levels[later] = levels[later].max(levels[earlier] + 1);
                    stage.reasons.push((from, to, why));
                }
            }
        }
        let home = |group: &Group| self.compiled[group.batches[0].systems[0]].home;
        let mut open = false;
        for level in 0..levels.iter().max().map_or(0, |highest| highest + 1) {
            let at_level = || parts.iter().zip(&levels).filter(|(_, own)| **own == level).map(|(part, _)| part);
            // canonical: by registration
            let mut systems: Vec<usize> =
                at_level().filter(|part| matches!(part.node, Node::System(_))).map(|part| part.systems[0]).collect();
            systems.sort_unstable();
            if !systems.is_empty() {
                let fusable = self.fuse && systems.iter().all(|system| self.compiled[*system].fusable);
                let batch = Batch { systems };
                match stage.groups.last_mut() {
                    Some(group) if open && fusable && home(group) == self.compiled[batch.systems[0]].home => {
                        group.batches.push(batch)
                    }
                    _ => stage.groups.push(Group { batches: vec![batch] }),
                }
                open = fusable;
            }
            for part in at_level() {
                let Node::Loop(number) = part.node else { continue };
                let (first, place) = (stage.groups.len(), stage.loops.len());
                stage.loops.push(LoopSpan { number, groups: first..first });
                self.block(&part.systems, Some(number), stage)?;
                stage.loops[place].groups.end = stage.groups.len();
                open = false;
            }
        }
        Ok(())
    }

    /// Why a part must end before another begins: a system of each, and the reason.
    fn apart(&self, earlier: &Part, later: &Part) -> Option<(usize, usize, String)> {
        let pairs = || earlier.systems.iter().flat_map(|a| later.systems.iter().map(|b| (*a, *b)));
        if let Some((a, b)) = pairs().find(|(a, b)| self.explicit[*b].contains(a)) {
            return Some((a, b, "told so".to_owned()));
        }
        let found = pairs()
            .find_map(|(a, b)| conflict(&self.compiled[a], &self.compiled[b], self.layout).map(|why| (a, b, why)));
        found.or_else(|| {
            let counts = |part: &Part, other: &Part| {
                let Node::Loop(number) = part.node else { return None };
                let resource = self.counts(number).find(|id| {
                    other.systems.iter().any(|system| self.compiled[*system].changes_resources().contains(id))
                })?;
                let name = &self.layout.resources()[usize::from(resource)].name;
                Some(format!("one sets resource {name}, which says how often loop {} runs", self.loops[number].name))
            };
            let why = counts(earlier, later).or_else(|| counts(later, earlier))?;
            Some((earlier.systems[0], later.systems[0], why))
        })
    }

    /// Resources that say how often a loop, or one inside of it, runs.
    fn counts(&self, number: usize) -> impl Iterator<Item = u16> + '_ {
        let inside = move |each: usize| {
            std::iter::successors(Some(each), |outer| self.nesting.of_loop[*outer]).any(|outer| outer == number)
        };
        (0..self.loops.len()).filter(move |each| inside(*each)).filter_map(|each| self.loops[each].resource())
    }

    fn topological(&self, parts: &[Part]) -> Result<Vec<usize>, ScheduleError> {
        let before = |first: &Part, then: &Part| {
            then.systems.iter().any(|system| first.systems.iter().any(|other| self.explicit[*system].contains(other)))
        };
        let edges: Vec<BTreeSet<usize>> = parts
            .iter()
            .map(|then| {
                let firsts =
                    parts.iter().enumerate().filter(|(_, first)| first.node != then.node && before(first, then));
                firsts.map(|(index, _)| index).collect()
            })
            .collect();
        let mut order = Vec::with_capacity(parts.len());
        let mut left: Vec<usize> = (0..parts.len()).collect();
        while !left.is_empty() {
            match left.iter().position(|part| edges[*part].iter().all(|first| order.contains(first))) {
                Some(index) => order.push(left.remove(index)),
                None => return Err(ScheduleError::Cycle { cycle: self.cycle(parts, &left, &edges) }),
            }
        }
        Ok(order)
    }

    /// One cycle among parts that all wait for each other.
    fn cycle(&self, parts: &[Part], left: &[usize], edges: &[BTreeSet<usize>]) -> String {
        let name = |part: &usize| match parts[*part].node {
            Node::System(system) => self.compiled[system].name.clone(),
            Node::Loop(number) => format!("loop {}", self.loops[number].name),
        };
        let mut path = vec![left[0]];
        loop {
            let last = path[path.len() - 1];
            let Some(next) = edges[last].iter().copied().find(|first| left.contains(first)) else { break };
            if let Some(begin) = path.iter().position(|part| *part == next) {
                let mut names: Vec<String> = path[begin..].iter().rev().map(name).collect();
                names.push(names[0].clone());
                return names.join(" -> ");
            }
            path.push(next);
        }
        left.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// The stages of a new schedule.
pub(crate) fn default_stages() -> Vec<String> {
    STAGES.iter().map(|stage| (*stage).to_owned()).collect()
}
