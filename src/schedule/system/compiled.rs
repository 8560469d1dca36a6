//! A system with its names looked up in a world: what the graph, the program and the runner need of it.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::commit::Access;
use crate::limits::JOB_ROWS;
use crate::random::system_number;
use crate::reduce::Reduction;
use crate::schedule::accumulate;
use crate::schedule::condition::Condition;
use crate::schedule::error::KernelError;
use crate::schedule::lists;
use crate::schedule::views::ViewId;
use crate::table::Registry;
use crate::world::access::bundle::RegistryRef;
use crate::world::access::query::QueryPlan;
use crate::world::error::WorldError;

use super::{Change, Describe, Home, Ids, System};

/// A system with its names looked up.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub name: String,
    pub stage: String,
    pub own: QueryPlan,
    /// What its views show, that of its kernel first.
    pub others: Vec<QueryPlan>,
    /// By view: what the kernel asks for it by.
    pub views: Vec<ViewId>,
    pub(in crate::schedule) without_ghosts: bool,
    pub access: Access,
    /// Components it looks at, sorted.
    pub reads: Vec<u16>,
    /// Components it changes, dense or by patches, sorted.
    pub writes: Vec<u16>,
    pub reads_resources: Vec<u16>,
    /// Components whose lists of its own rows it looks at, in the order in which their columns follow those of the query.
    pub reads_lists: Vec<u16>,
    /// The component whose lists it builds in place, for all rows, and nothing else.
    pub builds_lists: Option<u16>,
    /// What must hold for it to run.
    pub conditions: Vec<Condition>,
    /// Whether it runs whatever they say where scratch components are as new.
    pub rebuilds: bool,
    /// Resources that its kernel or a condition of it looks at, sorted.
    pub looks_at_resources: Vec<u16>,
    /// What its random numbers depend on.
    pub number: u64,
    /// By resource.
    pub reductions: Vec<Reduction>,
    pub job_rows: JobRows,
    /// Whether the kernel only gets its own rows and emits no patches, so that it can run back to back with others.
    pub fusable: bool,
    pub deadline: Option<Duration>,
    /// What it sorts by.
    pub sort: Option<Sort>,
    pub home: Home,
    /// Whether it has no rows, and one job a frame.
    pub once: bool,
    /// What it guards, for people.
    pub guards: Option<String>,
}

impl Compiled {
    /// The columns of its query, without those of its lists.
    pub(in crate::schedule) fn own_columns(&self) -> &[crate::world::access::query::ColumnAccess] {
        &self.own.columns[..self.own.columns.len() - 2 * self.reads_lists.len()]
    }

    /// How the system's rows are reduced to a resource, if they are.
    pub(crate) fn reduction(&self, resource: u16) -> Option<&Reduction> {
        self.reductions.iter().find(|reduction| reduction.resource == resource)
    }

    /// Resources that it changes, by patches or reductions, sorted.
    pub(crate) fn changes_resources(&self) -> Vec<u16> {
        let mut all = [&self.access.resources[..], &self.access.reduces].concat();
        all.sort_unstable();
        all
    }
}

/// How a system sorts the tables that it matches.
#[derive(Debug)]
pub(crate) struct Sort {
    /// The component of the key.
    pub component: u16,
    /// Its field.
    pub field: u8,
    /// Component and field of what rows of equal keys are put in the order of.
    pub then: Option<(u16, u8)>,
    /// Only in frames that this divides.
    pub every: u64,
    /// Components whose values stay where they are, sorted.
    pub leaves: Vec<u16>,
}

/// How a table's rows are cut into the jobs of a system. It depends on the data and the schedule, never on the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobRows {
    /// So many each.
    Fixed(u32),
    /// For kernels that are dear to call: few jobs, and enough to share.
    ByTable,
    /// For kernels that cost what their bytes cost.
    ByBytes,
}

/// Bytes of columns, old rows and new, that a job of a system that runs alone should not exceed.
const JOB_BYTES: u64 = 2 << 20;

impl JobRows {
    /// So many rows are one job, in a table of any size.
    pub(crate) fn least(self) -> u32 {
        match self {
            JobRows::Fixed(rows) => rows,
            JobRows::ByTable | JobRows::ByBytes => JOB_ROWS as u32,
        }
    }

    /// Rows per job in a table of `rows` rows, of which a row takes `row_bytes` bytes of the columns in use. `alone`:
    /// the rows are used once, so that nothing is gained by their staying in a cache.
    pub(crate) fn rows(self, rows: u32, row_bytes: u64, alone: bool) -> u32 {
        let unit = JOB_ROWS as u32;
        match self {
            JobRows::Fixed(rows) => rows,
            JobRows::ByTable => rows.div_ceil(8).clamp(unit, 16 * unit).next_multiple_of(unit),
            JobRows::ByBytes if alone => {
                let by_bytes = (JOB_BYTES / row_bytes.max(1)).min(u64::from(16 * unit)) as u32;
                (by_bytes.min(rows / 8) / unit * unit).max(unit)
            }
            JobRows::ByBytes => unit,
        }
    }
}

impl std::fmt::Display for JobRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JobRows::Fixed(rows) => write!(f, "{rows}"),
            JobRows::ByTable => f.write_str("by-table"),
            JobRows::ByBytes => f.write_str("by-bytes"),
        }
    }
}

/// Looks up a column that rows can be sorted by.
fn sort_column(registry: &Registry, name: &str) -> Result<(u16, u8), KernelError> {
    let (component, field, ty) = crate::world::access::bulk::find_field(registry, name)?;
    if ty.elements() != 1 {
        return Err(format!("it sorts by `{name}`, which is {ty}: sort by a field of one value").into());
    }
    Ok((component, field))
}

impl System {
    /// How it sorts.
    fn sort(&self, registry: &Registry) -> Result<Option<Sort>, KernelError> {
        let Some(name) = &self.sort_by else {
            if self.sort_every > 1 || !self.sort_leaves.is_empty() || self.sort_then_by.is_some() {
                return Err("it says how to sort, and not by what: add `.sort_by(\"component.field\")`".into());
            }
            return Ok(None);
        };
        let (component, field) = sort_column(registry, name)?;
        let then = self.sort_then_by.as_deref().map(|name| sort_column(registry, name)).transpose()?;
        let mut leaves = Vec::new();
        for ids in &self.sort_leaves {
            match ids {
                Ids::Typed(ids) => ids(&RegistryRef(registry), &mut leaves)?,
                Ids::Named(name) => leaves.push(registry.component_named(name)?),
            }
        }
        leaves.sort_unstable();
        leaves.dedup();
        for (component, name) in
            [Some((component, name)), then.map(|(id, _)| id).zip(self.sort_then_by.as_ref())].into_iter().flatten()
        {
            if leaves.binary_search(&component).is_ok() {
                return Err(format!("it sorts by `{name}` and leaves that component where it is: leave it out").into());
            }
        }
        Ok(Some(Sort { component, field, then, every: self.sort_every, leaves }))
    }

    /// Looks up every name and type.
    pub(crate) fn compile(&self, registry: &Registry) -> Result<Compiled, KernelError> {
        self.checks.iter().try_for_each(|check| check(registry))?;
        let types = RegistryRef(registry);
        let mut own = QueryPlan::default();
        self.own.describe(&types, &mut own)?;
        let reads_lists = self.lists.reads(&types, &mut own)?;
        let builds_lists = self.lists.builds(&types, &mut own)?;
        own.check(&types)?;
        let view = |(_, others): &(ViewId, Describe)| {
            let mut plan = QueryPlan::default();
            others.describe(&types, &mut plan)?;
            plan.check(&types)?;
            if plan.writes() { Err(WorldError::QueryWrites) } else { Ok(plan) }
        };
        let others: Vec<QueryPlan> = self.others.iter().map(view).collect::<Result<_, _>>()?;
        let mut access = Access { despawns: self.despawns, ..Access::default() };
        for (change, ids) in &self.changes {
            let list = match change {
                Change::Sets => &mut access.sets,
                Change::Adds => &mut access.adds,
                Change::Removes => &mut access.removes,
                Change::Spawns => &mut access.spawns,
            };
            match ids {
                Ids::Typed(ids) => ids(&types, list)?,
                Ids::Named(name) => list.push(registry.component_named(name)?),
            }
        }
        for resource in &self.sets_resources {
            access.resources.push(resource.find(registry)?);
        }
        let reductions: Vec<Reduction> = self
            .reduces
            .iter()
            .map(|(to, onto)| Ok(to.find(registry)?.onto(*onto)))
            .collect::<Result<_, KernelError>>()?;
        for reduction in &reductions {
            let resource = reduction.resource;
            if access.reduces.contains(&resource) || access.resources.contains(&resource) {
                let name = &registry.layout.resources()[usize::from(resource)].name;
                return Err(format!(
                    "it declares twice that it changes resource `{name}`: reduce to it once, or set it"
                )
                .into());
            }
            access.reduces.push(resource);
        }
        accumulate::compile(&self.accumulates, registry, &mut access)?;
        access.lists = self.lists.sets(&types)?;
        lists::refuse_values(&access, registry)?;
        let mut reads_resources: Vec<u16> =
            self.reads_resources.iter().map(|resource| resource.find(registry)).collect::<Result<_, _>>()?;
        let conditions: Vec<Condition> =
            self.conditions.iter().map(|declared| Condition::find(declared, registry)).collect::<Result<_, _>>()?;
        let mut looks_at_resources = reads_resources.clone();
        looks_at_resources.extend(conditions.iter().filter_map(Condition::resource));
        let sort = self.sort(registry)?;
        if let Some(component) = builds_lists {
            let alone = access == Access::default() && !own.writes() && sort.is_none();
            lists::refuse_other_work(alone, &reads_lists, component, registry)?;
        }
        let mut reads: Vec<u16> = Vec::new();
        for plan in std::iter::once(&own).chain(&others) {
            reads.extend(plan.columns.iter().filter(|column| !column.write).map(|column| column.component));
            reads.extend(&plan.optional);
            reads.extend(plan.all.iter().chain(&plan.none).chain(&plan.changed).chain(plan.any.iter().flatten()));
        }
        let mut writes: Vec<u16> =
            own.columns.iter().filter(|column| column.write).map(|column| column.component).collect();
        writes.extend(access.sets.iter().chain(&access.adds).chain(&access.removes).chain(&access.lists));
        writes.extend(builds_lists);
        writes.extend(access.accumulates.iter().map(|accumulation| accumulation.component));
        for list in [
            &mut reads,
            &mut writes,
            &mut access.sets,
            &mut access.adds,
            &mut access.removes,
            &mut access.spawns,
            &mut access.resources,
            &mut access.reduces,
            &mut reads_resources,
            &mut looks_at_resources,
        ] {
            list.sort_unstable();
            list.dedup();
        }
        let fusable = others.is_empty()
            && !self.once
            && access == Access::default()
            && sort.is_none()
            && builds_lists.is_none()
            && own.changed.is_empty()
            && self.deadline.is_none();
        Ok(Compiled {
            fusable,
            name: self.name.clone(),
            stage: self.stage.clone(),
            own,
            others,
            views: self.others.iter().map(|(view, _)| view.clone()).collect(),
            without_ghosts: self.without_ghosts,
            access,
            reads,
            writes,
            reads_resources,
            reads_lists,
            builds_lists,
            conditions,
            rebuilds: self.rebuilds,
            looks_at_resources,
            number: system_number(&self.name),
            reductions,
            job_rows: self.job_rows.map_or(self.default_rows, JobRows::Fixed),
            deadline: self.deadline,
            sort,
            home: self.home,
            once: self.once,
            guards: self.guards.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::JobRows;

    #[test]
    fn ranges_follow_the_bytes_of_a_row_where_rows_are_used_once() {
        let rows = |rows, bytes, alone| JobRows::ByBytes.rows(rows, bytes, alone);
        assert_eq!(rows(10_000_000, 36, true), 57_344);
        assert_eq!(rows(10_000_000, 12, true), 131_072, "never more than 16 times the smallest");
        assert_eq!(rows(10_000_000, 1 << 20, true), 8192, "never less");
        assert_eq!(rows(10_000_000, 0, true), 131_072, "no columns, no bytes");
        assert_eq!(rows(200_000, 12, true), 24_576, "an eighth");
        assert_eq!((rows(65_536, 12, true), rows(20, 12, true)), (8192, 8192));
        assert_eq!(rows(10_000_000, 12, false), 8192, "a range that several systems share stays in the cache");
        assert_eq!(JobRows::Fixed(64).rows(10_000_000, 12, true), 64);
    }
}
