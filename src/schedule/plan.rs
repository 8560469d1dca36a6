//! A schedule's plan, for people: stages, groups, batches, and why two systems are apart.
#![forbid(unsafe_code)]

use crate::table::Registry;
use std::fmt;
use std::ops::Range;

use crate::layout::Layout;

use super::condition::Condition;
use super::graph::{self, LoopSpan, Stage};
use super::repeat::{CompiledLoop, compile_loops};
use super::system::{Compiled, Sort};
use super::{Schedule, ScheduleError, compile};

/// What a system looks at and changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemPlan {
    /// Its name.
    pub name: String,
    /// Components it reads.
    pub reads: Vec<String>,
    /// Components it writes, in place or by patches.
    pub writes: Vec<String>,
    /// Whether it gets its own rows alone.
    pub row_local: bool,
    /// Whether it emits patches.
    pub patches: bool,
    /// The column that tables are sorted by after it.
    pub sort_by: Option<String>,
    /// The column that rows of equal keys are put in the order of.
    pub sort_then_by: Option<String>,
    /// What must hold for it to run, in words: `every 20 frames`, `if oven.on == 1`.
    pub conditions: Vec<String>,
    /// Whether it runs whatever they say where scratch components are as new.
    pub rebuilds: bool,
    /// What it guards, in words, if it is a guard.
    pub guards: Option<String>,
}

/// Systems that run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// Batches of one group run back to back on one range of rows.
    pub group: usize,
    /// Its systems, in canonical order.
    pub systems: Vec<SystemPlan>,
}

/// Batches that run several times within a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopPlan {
    /// Its name.
    pub name: String,
    /// How often they run, in words: `4 passes, which share the step`.
    pub passes: String,
    /// Places of its batches among the stage's.
    pub batches: Range<usize>,
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagePlan {
    /// Its name.
    pub name: String,
    /// Its batches in order.
    pub batches: Vec<BatchPlan>,
    /// Its loops, each before those inside of it.
    pub loops: Vec<LoopPlan>,
    /// Pairs of systems that are apart, earlier first, and why.
    pub apart: Vec<(String, String, String)>,
}

/// A schedule's plan. Its `Display` is a readable dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The stages that have systems.
    pub stages: Vec<StagePlan>,
}

impl Plan {
    pub(crate) fn new(stages: &[Stage], compiled: &[Compiled], loops: &[CompiledLoop], layout: &Layout) -> Plan {
        let names = |ids: &[u16]| ids.iter().map(|id| layout.components()[usize::from(*id)].name.clone()).collect();
        let column = |(component, field): (u16, u8)| {
            let component = &layout.components()[usize::from(component)];
            format!("{}.{}", component.name, component.fields[usize::from(field)].name)
        };
        let system = |index: usize| {
            let system = &compiled[index];
            let sort = system.sort.as_ref();
            SystemPlan {
                name: system.name.clone(),
                reads: names(&system.reads),
                writes: names(&system.writes),
                row_local: system.others.is_empty(),
                patches: system.access != crate::commit::Access::default(),
                sort_by: sort.map(|Sort { component, field, .. }| column((*component, *field))),
                sort_then_by: sort.and_then(|sort| sort.then).map(column),
                conditions: system.conditions.iter().map(Condition::text).collect(),
                rebuilds: system.rebuilds,
                guards: system.guards.clone(),
            }
        };
        let loops_of = |stage: &Stage| {
            let batches_before =
                |group: usize| stage.groups[..group].iter().map(|members| members.batches.len()).sum::<usize>();
            let plan = |span: &LoopSpan| LoopPlan {
                name: loops[span.number].name.clone(),
                passes: loops[span.number].text(layout),
                batches: batches_before(span.groups.start)..batches_before(span.groups.end),
            };
            stage.loops.iter().map(plan).collect()
        };
        let stages = stages
            .iter()
            .filter(|stage| !stage.groups.is_empty())
            .map(|stage| StagePlan {
                name: stage.name.clone(),
                batches: stage
                    .groups
                    .iter()
                    .enumerate()
                    .flat_map(|(group, members)| members.batches.iter().map(move |batch| (group, batch)))
                    .map(|(group, batch)| BatchPlan {
                        group,
                        systems: batch.systems.iter().map(|index| system(*index)).collect(),
                    })
                    .collect(),
                loops: loops_of(stage),
                apart: stage
                    .reasons
                    .iter()
                    .map(|(a, b, why)| (compiled[*a].name.clone(), compiled[*b].name.clone(), why.clone()))
                    .collect(),
            })
            .collect();
        Plan { stages }
    }

    /// The plan of a schedule on a world's layout.
    ///
    /// # Errors
    /// What is wrong with the schedule.
    pub fn of(schedule: &Schedule, world: &crate::World) -> Result<Plan, ScheduleError> {
        let registry: &Registry = &world.registry;
        let compiled = compile(schedule, registry)?;
        let loops = compile_loops(&schedule.loops, registry)?;
        let stages = graph::plan(schedule, &compiled, &loops, &registry.layout, true)?;
        Ok(Plan::new(&stages, &compiled, &loops, &registry.layout))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            writeln!(f, "stage {}", stage.name)?;
            let mut last_group = None;
            for (number, batch) in stage.batches.iter().enumerate() {
                for each in stage.loops.iter().filter(|each| each.batches.start == number && !each.batches.is_empty()) {
                    let LoopPlan { name, passes, batches } = each;
                    let (first, last) = (batches.start + 1, batches.end);
                    let which =
                        if first == last { format!("batch {first}") } else { format!("batches {first} to {last}") };
                    writeln!(f, "  loop {name}: {which}; {passes}")?;
                }
                let members = stage.batches.iter().filter(|other| other.group == batch.group).count();
                if members > 1 && last_group != Some(batch.group) {
                    writeln!(f, "  fused: the next {members} batches run back to back on one range of rows")?;
                }
                last_group = Some(batch.group);
                writeln!(f, "  batch {}", number + 1)?;
                for system in &batch.systems {
                    let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
                    write!(f, "    {:<20} ", system.name)?;
                    write!(f, "{}", if system.row_local { "own rows" } else { "neighbours" })?;
                    write!(f, "{}", if system.patches { " + patches" } else { "" })?;
                    write!(f, "; reads {}; writes {}", list(&system.reads), list(&system.writes))?;
                    if let Some(what) = &system.guards {
                        write!(f, "; guards {what}")?;
                    }
                    for condition in &system.conditions {
                        write!(f, "; {condition}")?;
                    }
                    write!(f, "{}", if system.rebuilds { "; anyhow where scratch is new" } else { "" })?;
                    if let Some(column) = &system.sort_by {
                        write!(f, "; then sorts by {column}")?;
                    }
                    if let Some(column) = &system.sort_then_by {
                        write!(f, ", then {column}")?;
                    }
                    writeln!(f)?;
                }
            }
            if !stage.apart.is_empty() {
                writeln!(f, "  apart")?;
                for (earlier, later, why) in &stage.apart {
                    writeln!(f, "    {earlier} before {later}: {why}")?;
                }
            }
        }
        Ok(())
    }
}
