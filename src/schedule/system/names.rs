//! What a declaration names: queries, components and resources, each as a Rust type or by name.
#![forbid(unsafe_code)]

use crate::join::FieldJoin;
use crate::reduce::{PackedJoin, Reduction};
use crate::schedule::dynamic::Names;
use crate::schedule::error::KernelError;
use crate::table::{Registry, UnknownName};
use crate::world::access::bundle::RegistryRef;
use crate::world::access::query::QueryPlan;
use crate::world::error::WorldError;

/// A query, as a Rust type or by names.
pub(in crate::schedule) enum Describe {
    Typed(fn(&RegistryRef<'_>, &mut QueryPlan) -> Result<(), WorldError>),
    Named(Names),
}

impl Describe {
    pub(super) fn describe(&self, types: &RegistryRef<'_>, plan: &mut QueryPlan) -> Result<(), WorldError> {
        match self {
            Describe::Typed(describe) => describe(types, plan),
            Describe::Named(names) => names.describe(types, plan),
        }
    }
}

/// Components, as a Rust type or by name.
pub(super) enum Ids {
    Typed(fn(&RegistryRef<'_>, &mut Vec<u16>) -> Result<(), WorldError>),
    Named(String),
}

/// A resource, as a Rust type or by name.
pub(super) enum ResourceId {
    Typed(fn(&Registry) -> Result<u16, UnknownName>),
    Named(String),
}

impl ResourceId {
    pub(super) fn find(&self, registry: &Registry) -> Result<u16, UnknownName> {
        match self {
            ResourceId::Typed(find) => find(registry),
            ResourceId::Named(name) => registry.resource_named(name),
        }
    }
}

/// A resource that rows are reduced to, as a Rust type or by name.
pub(in crate::schedule) enum Reduces {
    Typed(fn(&Registry) -> Result<Reduction, UnknownName>),
    Named(String, Vec<(String, FieldJoin)>),
    /// The packed value of no rows, and a join of packed values.
    Packed(String, Vec<u8>, PackedJoin),
}

impl Reduces {
    pub(super) fn find(&self, registry: &Registry) -> Result<Reduction, KernelError> {
        match self {
            Reduces::Typed(find) => Ok(find(registry)?),
            Reduces::Named(name, joins) => {
                let id = registry.resource_named(name)?;
                Ok(Reduction::named(id, &registry.layout.resources()[usize::from(id)], joins)?)
            }
            Reduces::Packed(name, empty, join) => {
                let id = registry.resource_named(name)?;
                Ok(Reduction::packed(id, &registry.layout.resources()[usize::from(id)], empty, join)?)
            }
        }
    }
}
