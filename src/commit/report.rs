//! Counts of what a commit did with the patches of each system; no patch is dropped silently.
#![forbid(unsafe_code)]

use crate::Entity;

/// Why a patch was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// An invalid record.
    #[error("malformed record: {0}")]
    Malformed(String),
    /// The system did not declare this kind of change.
    #[error("the system does not declare that it {what} `{component}`")]
    Undeclared {
        /// `sets`, `adds`, ...
        what: &'static str,
        /// The component or resource; empty for despawns.
        component: String,
    },
    /// A row outside of the job's own.
    #[error("row {row} is not one of the job's own rows {start}..{end}")]
    ForeignRow {
        /// The row.
        row: u32,
        /// First own row.
        start: u32,
        /// End of the own rows.
        end: u32,
    },
    /// A set of a component that the entity lacks.
    #[error("set of absent component `{component}` on {entity}")]
    Absent {
        /// The component.
        component: String,
        /// The entity.
        entity: Entity,
    },
    /// A bool that is neither 0 nor 1.
    #[error("a bool of component `{component}` is neither 0 nor 1")]
    NotABool {
        /// The component.
        component: String,
    },
    /// A component given twice in one spawn.
    #[error("component `{component}` is given twice in one spawn")]
    Repeated {
        /// The component.
        component: String,
    },
}

/// Counts of one system's patches in one batch, frame or run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchCounts {
    /// Patches that took effect (or would have, if their entity or component had not been removed in the same batch).
    pub applied: u64,
    /// Sets that a later set of the same batch, in canonical order, replaced: of the same component of the same entity, of
    /// the same field if only fields were set, or of the same resource. An add of a component that the entity has counts as
    /// a set.
    pub overwritten: u64,
    /// Patches on handles of dead entities, and reserved handles of other jobs in values of patches (which become null).
    pub stale: u64,
    /// Removes of components that the entity did not have.
    pub absent: u64,
    /// Patches that were refused.
    pub refused: u64,
    /// Entities spawned.
    pub spawned: u64,
    /// Entities despawned.
    pub despawned: u64,
    /// Rows of the jobs in which the system accessed a written column mutably.
    pub dense_rows: u64,
    /// The first refusal.
    pub example: Option<Refusal>,
}

impl PatchCounts {
    /// Everything but dense rows: the patches that travelled.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.applied + self.overwritten + self.stale + self.absent + self.refused
    }

    /// Adds another count.
    pub fn add(&mut self, other: &PatchCounts) {
        self.applied += other.applied;
        self.overwritten += other.overwritten;
        self.stale += other.stale;
        self.absent += other.absent;
        self.refused += other.refused;
        self.spawned += other.spawned;
        self.despawned += other.despawned;
        self.dense_rows += other.dense_rows;
        if self.example.is_none() {
            self.example.clone_from(&other.example);
        }
    }

    /// So many sets were carried out, which replaced so many earlier ones (each other's among them). Who sets a component
    /// has it for himself in a batch, so that all of them are one system's.
    pub(crate) fn set(&mut self, count: u64, replaced: u64) {
        self.applied = (self.applied + count).saturating_sub(replaced);
        self.overwritten += replaced;
    }

    pub(crate) fn refuse(&mut self, count: u64, why: impl FnOnce() -> Refusal) {
        self.refused += count;
        if self.example.is_none() {
            self.example = Some(why());
        }
    }
}
