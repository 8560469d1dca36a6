//! Names and types that a layout does not have.
#![forbid(unsafe_code)]

/// A component or a resource that the layout does not have, or not as the Rust type declares it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownName {
    /// A component, and the end of a message about it.
    #[error("there is no component `{0}` declared like that{1}")]
    Component(String, String),
    /// A resource, and the end of a message about it.
    #[error("there is no resource `{0}` declared like that{1}")]
    Resource(String, String),
}
