//! A schedule's plan, for people: stages, groups, batches, and why two systems are apart.
#![forbid(unsafe_code)]

use crate::table::Registry;
use std::fmt;

use crate::layout::Layout;

use super::graph::{self, Stage};
use super::repeat::compile_loops;
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
}

/// Systems that run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// Batches of one group run back to back on one range of rows.
    pub group: usize,
    /// Its systems, in canonical order.
    pub systems: Vec<SystemPlan>,
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagePlan {
    /// Its name.
    pub name: String,
    /// Its batches in order.
    pub batches: Vec<BatchPlan>,
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
    pub(crate) fn new(stages: &[Stage], compiled: &[Compiled], layout: &Layout) -> Plan {
        let names = |ids: &[u16]| ids.iter().map(|id| layout.components()[usize::from(*id)].name.clone()).collect();
        let system = |index: usize| {
            let system = &compiled[index];
            SystemPlan {
                name: system.name.clone(),
                reads: names(&system.reads),
                writes: names(&system.writes),
                row_local: system.others.is_none(),
                patches: system.access != crate::commit::Access::default(),
                sort_by: system.sort.as_ref().map(|Sort { component, field, .. }| {
                    let component = &layout.components()[usize::from(*component)];
                    format!("{}.{}", component.name, component.fields[usize::from(*field)].name)
                }),
            }
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
        let stages = {
            let loops = compile_loops(&schedule.loops, registry)?;
            graph::plan(schedule, &compiled, &loops, &registry.layout, true)?
        };
        Ok(Plan::new(&stages, &compiled, &registry.layout))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            writeln!(f, "stage {}", stage.name)?;
            let mut last_group = None;
            for (number, batch) in stage.batches.iter().enumerate() {
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
                    match &system.sort_by {
                        Some(column) => writeln!(f, "; then sorts by {column}")?,
                        None => writeln!(f)?,
                    }
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
