//! What a kernel can be told that it asked for in vain.
#![forbid(unsafe_code)]

use crate::WorldError;
use crate::table::UnknownName;

/// What a kernel that can fail returns: any error, or a text. `?` takes typed errors and texts alike, and
/// `Err("no fuel".into())` says something of one's own. The frame is abandoned, and its error has the message.
pub type KernelError = Box<dyn std::error::Error + Send + Sync>;

/// What a job was asked for in vain.
///
/// ```
/// use hypostyle::{Component, JobError, Resource, System, Write};
/// #[derive(Component, Clone, Copy)]
/// struct Speed { y: f32 }
/// #[derive(Resource, Clone, Copy)]
/// struct Gravity { y: f32 }
/// let fall = System::try_rows::<Write<Speed>>("fall", |job, mut speed| {
///     let gravity = match job.resource::<Gravity>() {
///         Err(JobError::NoValue { .. }) => Gravity { y: -9.81 },
///         known => known?,
///     };
///     let dt = job.dt() as f32;
///     speed.y.map(|y| y + gravity.y * dt);
///     Ok(())
/// });
/// let _ = fall.reads_resource::<Gravity>();
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The world has no such component, field or resource.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A resource that the system did not declare.
    #[error("the system does not declare that it reads resource `{resource}`; add `.reads_resource::<...>()` to it")]
    Undeclared {
        /// The resource.
        resource: String,
    },
    /// Elements that do not fit their lists.
    #[error(
        "lists of `{component}` for {targets} targets were given {count} lengths and {got} bytes of elements: there is a \
         length for each target, and as many packed elements as they come to"
    )]
    ListLengths {
        /// The component.
        component: String,
        /// Targets.
        targets: usize,
        /// Lengths given.
        count: usize,
        /// Bytes given.
        got: usize,
    },
    /// Lists that the system did not declare.
    #[error("the system does not declare that it reads lists of `{component}`; add `.reads_lists::<...>()` to it")]
    UndeclaredList {
        /// The component.
        component: String,
    },
    /// A view that the system did not declare.
    #[error("the system does not declare that it looks at `{query}`; add `.reads_view::<{query}>()` to it")]
    UndeclaredView {
        /// The query's type.
        query: &'static str,
    },
    /// The same, by its name.
    #[error(
        "the system does not declare that it looks at a view `{view}`; add `.reads_view_named(\"{view}\", ...)` to it"
    )]
    UndeclaredNamedView {
        /// The view's name.
        view: String,
    },
    /// A resource that the system does not reduce its rows to.
    #[error(
        "the system does not declare that it reduces its rows to resource `{resource}`; add `.reduces_named(...)` to it"
    )]
    UndeclaredReduction {
        /// The resource.
        resource: String,
    },
    /// A component or a field that the system does not accumulate on.
    #[error("the system does not declare that it accumulates on `{name}`; add `.accumulates_named(...)` to it")]
    UndeclaredAccumulation {
        /// The component, or the field.
        name: String,
    },
    /// A resource has no such field whose elements could be worked on.
    #[error("field `{field}` of resource `{resource}` cannot be worked on in place: {why}")]
    Elements {
        /// The resource.
        resource: String,
        /// The field.
        field: String,
        /// What is not as it must be.
        why: String,
    },
    /// A bool that is neither 0 nor 1.
    #[error("a bool of resource `{resource}` is neither 0 nor 1")]
    NotABool {
        /// The resource.
        resource: String,
    },
    /// A resource that was never given a value.
    #[error("resource `{resource}` has no value yet; insert it before the first frame")]
    NoValue {
        /// The resource.
        resource: String,
    },
    /// Values of another length.
    #[error("{count} values of {each} bytes are wanted, or one, and not {got} bytes")]
    Values {
        /// Targets.
        count: usize,
        /// Bytes of one value.
        each: usize,
        /// Bytes given.
        got: usize,
    },
    /// Keys that are no whole column of a view.
    #[error(
        "the {rows} keys are not a whole column of u32 that a view shows: declare a system of neighbours that reads it, and give the column of `others.table(...)`"
    )]
    NoWholeColumn {
        /// Keys given.
        rows: usize,
    },
    /// Keys of which no cells come.
    #[error(transparent)]
    Space(#[from] crate::space::SpaceError),
    /// A row that the chunk does not have.
    #[error("there is no row {row} in a chunk of {rows} rows")]
    NoRow {
        /// What was asked for.
        row: u32,
        /// Rows of the chunk.
        rows: usize,
    },
    /// A resource's value of another length.
    #[error("resource `{resource}` takes {bytes} bytes, not {got}")]
    ResourceBytes {
        /// The resource.
        resource: String,
        /// Its bytes.
        bytes: usize,
        /// Bytes given.
        got: usize,
    },
}

impl From<UnknownName> for JobError {
    fn from(unknown: UnknownName) -> Self {
        JobError::World(unknown.into())
    }
}

/// An error's message, with those of what it came from, as it travels from a worker to main.
pub(super) fn text_of(error: &(dyn std::error::Error + Send + Sync)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
