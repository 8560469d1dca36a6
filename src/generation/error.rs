//! What can go wrong with a snapshot.
#![forbid(unsafe_code)]

use crate::layout::{FieldType, LayoutError, Storage, did_you_mean};
use crate::region::RegionError;

/// What can go wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The region could not be opened or leased.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The region's layout is not a layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Nothing was published yet.
    #[error("the region has no generation yet; wait for its writer's first frame")]
    NothingPublished,
    /// No generation of that frame can be pinned.
    #[error(
        "the region has no generation of frame {frame} to pin: {kept}; its writer keeps as many as `keep_generations` says"
    )]
    NotKept {
        /// The frame that was asked for.
        frame: u64,
        /// What there is.
        kept: String,
    },
    /// Parts of a world that do not give one state.
    #[error("the parts of the world cannot be read as one: {what}")]
    Parts {
        /// Why not.
        what: String,
    },
    /// Nothing was recorded, or what is there is no timeline.
    #[error("the region has no timeline: {why}")]
    NoTimeline {
        /// Why not.
        why: &'static str,
    },
    /// A directory that is none.
    #[error("the generation's directory is damaged: {0}")]
    Directory(String),
    /// Entities that contradict each other.
    #[error("the generation's entities are damaged: {0}")]
    Entities(String),
    /// The one value of a component that is a list.
    #[error(
        "component `{component}` is a list: an entity has any number of values of it; ask for them with `TableView::lists` \
         or `Snapshot::list`"
    )]
    List {
        /// The component.
        component: String,
    },
    /// The lists of a component that is none.
    #[error("component `{component}` is no list; ask for its columns, or declare it with `storage = \"list\"`")]
    NoList {
        /// The component.
        component: String,
    },
    /// Values of a scratch component, which no generation has.
    #[error("the values of component `{component}` are scratch: they are no part of a generation")]
    Scratch {
        /// The component.
        component: String,
    },
    /// No such component or field.
    #[error("there is no column `{name}`{}; the layout has {known}", did_you_mean(name, known.split(", ")))]
    UnknownColumn {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No such resource.
    #[error("there is no resource `{name}`{}; the layout has {known}", did_you_mean(name, known.split(", ")))]
    UnknownResource {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Another type.
    #[error("column `{name}` holds {declared}, not {asked}")]
    Type {
        /// What was asked for.
        name: String,
        /// What the layout says.
        declared: FieldType,
        /// What was asked for.
        asked: FieldType,
    },
}

impl SnapshotError {
    /// Refuses to give the one value of a component that has none in a generation.
    pub(crate) fn refuse_valueless(name: &str, storage: Storage) -> Result<(), SnapshotError> {
        let component = || name.to_owned();
        match storage {
            Storage::Table | Storage::Toggle => Ok(()),
            Storage::List => Err(SnapshotError::List { component: component() }),
            Storage::Scratch | Storage::ScratchList => Err(SnapshotError::Scratch { component: component() }),
        }
    }

    pub(crate) fn directory(what: &str) -> Self {
        SnapshotError::Directory(what.to_owned())
    }
}
