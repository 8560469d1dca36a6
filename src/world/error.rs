//! What can go wrong with a world.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::generation::SnapshotError;
use crate::layout::LayoutError;
use crate::region::RegionError;
use crate::table::UnknownName;

use super::access::ghosts::GhostError;

/// What can go wrong with a world.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// The region could not do it.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The layout is not a layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A generation could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// No such component.
    #[error(
        "this world has no component `{name}` declared like that{hint}; register it with the builder, or add it to the \
         layout"
    )]
    UnknownComponent {
        /// What was asked for.
        name: String,
        /// A name that may have been meant, as [`did_you_mean`](crate::layout::did_you_mean) says it.
        hint: String,
    },
    /// No such field.
    #[error("component `{component}` has no field `{field}`{hint}")]
    UnknownField {
        /// The component.
        component: String,
        /// What was asked for.
        field: String,
        /// A name that may have been meant, as [`did_you_mean`](crate::layout::did_you_mean) says it.
        hint: String,
    },
    /// No such resource.
    #[error(
        "this world has no resource `{name}` declared like that{hint}; register it with the builder, or add it to the \
         layout"
    )]
    UnknownResource {
        /// What was asked for.
        name: String,
        /// A name that may have been meant, as [`did_you_mean`](crate::layout::did_you_mean) says it.
        hint: String,
    },
    /// The resource was never inserted.
    #[error("resource `{name}` has no value yet; insert it first")]
    MissingResource {
        /// The resource.
        name: String,
    },
    /// The resource has a value already.
    #[error("resource `{name}` has a value already; set it instead of inserting it twice")]
    DuplicateResource {
        /// The resource.
        name: String,
    },
    /// The numbers of generations are used up.
    #[error(
        "generation {newest} is the last one that this world can publish: no number is left; put its entities into a new \
         world, which begins with generation 1"
    )]
    NoGenerationLeft {
        /// The newest generation, which stays.
        newest: u64,
    },
    /// The numbers of frames are used up.
    #[error("frame {frame} is the last one that a world can come to; put its entities into a new world")]
    NoFrameLeft {
        /// The world's frame.
        frame: u64,
    },
    /// The handle's entity is gone.
    #[error("entity {entity} is no longer alive")]
    Stale {
        /// The handle.
        entity: Entity,
    },
    /// The entity lacks the component.
    #[error("entity {entity} has no component `{component}`")]
    Absent {
        /// The handle.
        entity: Entity,
        /// The component.
        component: String,
    },
    /// The entity does not match the query.
    #[error(
        "entity {entity} does not match the query: it lacks a component that the query asks for, or has one that the query \
         leaves out"
    )]
    NoMatch {
        /// The handle.
        entity: Entity,
    },
    /// A component given twice.
    #[error("component `{component}` is given twice")]
    DuplicateComponent {
        /// The component.
        component: String,
    },
    /// A Rust type and the layout disagree.
    #[error("the Rust types and the layout differ: {differences}")]
    LayoutsDiffer {
        /// Every difference, separated by semicolons.
        differences: String,
    },
    /// A component or resource that was implemented by hand contradicts itself.
    #[error(
        "`{name}` says that its packed value has {said} bytes, and its fields have {fields}; derive it, or let \
         PACKED_BYTES be the sum of its fields' bytes"
    )]
    PackedBytes {
        /// The component or resource.
        name: String,
        /// Its `PACKED_BYTES`.
        said: usize,
        /// The bytes of its fields, together.
        fields: usize,
    },
    /// Columns of different lengths.
    #[error("column `{column}` has {got} values for {want} entities")]
    ColumnLength {
        /// `component.field`.
        column: String,
        /// Values given.
        got: usize,
        /// Entities there are.
        want: usize,
    },
    /// A column of another type.
    #[error("column `{column}` holds {declared}, not {asked}")]
    ColumnType {
        /// `component.field`.
        column: String,
        /// What the layout says.
        declared: crate::layout::FieldType,
        /// What was asked for.
        asked: crate::layout::FieldType,
    },
    /// More entities than handles can name.
    #[error("a world holds at most {max} entities, and {asked} more were asked for")]
    TooManyEntities {
        /// Entities asked for.
        asked: u64,
        /// The limit.
        max: u32,
    },
    /// A query that nothing can match.
    #[error(
        "the query asks for entities with `{component}` and without it, which nothing can match; leave out `Without`, or \
         what asks for the component"
    )]
    Contradiction {
        /// The component.
        component: String,
    },
    /// An optional toggle.
    #[error("toggle component `{component}` cannot be optional; ask for it with Read, or leave it out with Without")]
    OptionalToggle {
        /// The component.
        component: String,
    },
    /// Changed rows of a component that is not tracked.
    #[error("component `{component}` keeps no changed rows; declare it with `track_changes`")]
    Untracked {
        /// The component.
        component: String,
    },
    /// No such prefab.
    #[error("there is no prefab `{name}`; defined are: {known}")]
    UnknownPrefab {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The one value of a component that is a list.
    #[error(
        "component `{component}` is a list, of which an entity has any number of values: spawn with `List::<...>::new()`, \
         write with `set_list`, read with `list` or, in a system, `reads_lists`"
    )]
    List {
        /// The component.
        component: String,
    },
    /// The list of a component that is none.
    #[error("component `{component}` is no list; declare it with `storage = \"list\"`, or use it as a value")]
    NoList {
        /// The component.
        component: String,
    },
    /// Bytes that are no elements.
    #[error("{got} bytes are no whole elements of list `{component}`, which take {element} bytes each")]
    ListBytes {
        /// The component.
        component: String,
        /// Bytes of an element.
        element: usize,
        /// Bytes given.
        got: usize,
    },
    /// No generation so old is kept.
    #[error(
        "the world stands at frame {frame} and cannot go back {frames} frame(s): {kept}; `keep_generations` says how many \
         it keeps"
    )]
    NotKept {
        /// Where the world stands.
        frame: u64,
        /// Frames to go back.
        frames: u64,
        /// What is kept, in words.
        kept: String,
    },
    /// Ghosts cannot be as asked.
    #[error(transparent)]
    Ghosts(#[from] GhostError),
    /// A query that writes where only looking is possible.
    #[error("the query writes components; use `query_mut`, or ask with `Read` instead of `Write`")]
    QueryWrites,
}

impl WorldError {
    /// The handle is of a dead entity.
    #[cold]
    #[inline(never)]
    pub(super) fn stale(entity: Entity) -> Self {
        WorldError::Stale { entity }
    }

    /// A component is a list, which has no value of its own.
    #[cold]
    #[inline(never)]
    pub(crate) fn list(component: &str) -> Self {
        WorldError::List { component: component.to_owned() }
    }

    /// The entity lacks this component.
    #[cold]
    #[inline(never)]
    pub(super) fn absent<C: crate::Component>(entity: Entity) -> Self {
        WorldError::Absent { entity, component: C::NAME.to_owned() }
    }
}

impl From<UnknownName> for WorldError {
    fn from(unknown: UnknownName) -> Self {
        match unknown {
            UnknownName::Component(name, hint) => WorldError::UnknownComponent { name, hint },
            UnknownName::Resource(name, hint) => WorldError::UnknownResource { name, hint },
        }
    }
}
