#![forbid(unsafe_code)]
//! Names and types that a layout does not have.

/// A component or a resource that the layout does not have, or not as the Rust type declares it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownName {
    /// A component.
    #[error("there is no component `{0}` declared like that")]
    Component(String),
    /// A resource.
    #[error("there is no resource `{0}` declared like that")]
    Resource(String),
}
