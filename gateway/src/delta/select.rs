//! What of a world a shadow follows or a delta carries.

use std::collections::{BTreeMap, BTreeSet};

use hypostyle::layout::{Layout, ScalarType};

use super::area::Area;
use super::state::{RESOURCES, Role};

/// A selection that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// Neither a component nor a field.
    #[error("there is no column {name:?}{}; a column is a component, or a field as in position.x", .nearest.as_ref().map(|n| format!(" (did you mean {n:?}?)")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: String,
        /// The most similar name that there is.
        nearest: Option<String>,
    },
    /// A field of the wrong type.
    #[error("{name} is of type {found}, but {wanted} is needed")]
    Type {
        /// The field.
        name: String,
        /// Its type.
        found: String,
        /// What would do.
        wanted: &'static str,
    },
    /// A number out of bounds.
    #[error("{what} is wrong: {expected}")]
    Number {
        /// What it is the number of.
        what: String,
        /// What it may be.
        expected: &'static str,
    },
}

/// A component, or one of its fields.
type Column = (u16, Option<u8>);

/// What of a world a shadow follows or a delta carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    resources: bool,
    /// `None`: all.
    components: Option<BTreeSet<u16>>,
    fields: BTreeSet<(u16, u8)>,
    area: Option<Area>,
    quantised: BTreeMap<(u16, u8), (ScalarType, f64)>,
}

impl Selection {
    /// All entities, components and resources, without the engine's own columns.
    #[must_use]
    pub fn view() -> Self {
        Selection { resources: true, components: None, fields: BTreeSet::new(), area: None, quantised: BTreeMap::new() }
    }

    /// These components (with all fields) and fields, the tables that have any of them, and the resources.
    ///
    /// # Errors
    /// A name that the layout does not have.
    pub fn columns<'n>(layout: &Layout, names: impl IntoIterator<Item = &'n str>) -> Result<Self, SelectError> {
        let (mut components, mut fields) = (BTreeSet::new(), BTreeSet::new());
        for name in names {
            let (component, field) = find(layout, name)?;
            components.insert(component);
            match field {
                Some(field) => drop(fields.insert((component, field))),
                None => fields.extend(
                    (0..layout.components()[usize::from(component)].published_fields().len())
                        .map(|f| (component, f as u8)),
                ),
            }
        }
        Ok(Selection { components: Some(components), fields, ..Selection::view() })
    }

    /// With or without the resources.
    #[must_use]
    pub fn resources(mut self, resources: bool) -> Self {
        self.resources = resources;
        self
    }

    /// Only rows inside a box: 1 to 3 numeric scalar fields with inclusive bounds. Tables without these fields are
    /// carried whole.
    ///
    /// # Errors
    /// An unknown field, one that is no number, bounds that are none.
    pub fn area<'n>(
        mut self,
        layout: &Layout,
        bounds: impl IntoIterator<Item = (&'n str, f64, f64)>,
    ) -> Result<Self, SelectError> {
        self.area = Some(Area::new(layout, bounds)?);
        Ok(self)
    }

    /// Lets a float field be rounded: the error is at most `error`.
    ///
    /// # Errors
    /// An unknown field, one that is no float, a bound that is no positive number.
    pub fn quantise(mut self, layout: &Layout, name: &str, error: f64) -> Result<Self, SelectError> {
        let (component, field, scalar) = find_field(layout, name)?;
        if !matches!(scalar, ScalarType::F32 | ScalarType::F64) {
            return Err(SelectError::Type { name: name.into(), found: scalar.to_string(), wanted: "a float" });
        }
        if !(error.is_normal() && error > 0.0) {
            let what = format!("the error bound of {name}");
            return Err(SelectError::Number { what, expected: "it must be a positive number" });
        }
        self.quantised.insert((component, field), (scalar, error));
        Ok(self)
    }

    /// The box, where there is one.
    #[must_use]
    pub fn area_ref(&self) -> Option<&Area> {
        self.area.as_ref()
    }

    /// A number that is equal for equal selections.
    #[must_use]
    pub fn key(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(format!("{self:?}").as_bytes())
    }

    /// Names of the quantised fields.
    #[must_use]
    pub fn quantised_names(&self, layout: &Layout) -> Vec<String> {
        let name = |(component, field): &(u16, u8)| {
            let component = &layout.components()[usize::from(*component)];
            format!("{}.{}", component.name, component.fields[usize::from(*field)].name)
        };
        self.quantised.keys().map(name).collect()
    }

    /// Whether it holds a component.
    #[must_use]
    pub fn has_component(&self, id: u16) -> bool {
        self.components.as_ref().is_none_or(|components| components.contains(&id))
    }

    /// Whether it holds a field.
    #[must_use]
    pub fn has_field(&self, component: u16, field: u8) -> bool {
        self.components.is_none() || self.fields.contains(&(component, field))
    }

    /// Whether it holds the resources.
    #[must_use]
    pub fn has_resources(&self) -> bool {
        self.resources
    }

    /// Whether it holds nothing that `other` does not.
    #[must_use]
    pub fn is_within(&self, other: &Selection) -> bool {
        let inside = match (&self.components, &other.components) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(others)) => own.is_subset(others) && self.fields.is_subset(&other.fields),
        };
        let seen = |area: &Area| area.fields().all(|(component, field)| other.has_field(component, field));
        inside && self.area.as_ref().is_none_or(seen) && (other.resources || !self.resources)
    }

    /// Keeps of the selection what `other` holds too; box and rounding stay.
    #[must_use]
    pub fn within(mut self, other: &Selection) -> Self {
        if let Some(others) = &other.components {
            match &mut self.components {
                Some(own) => {
                    own.retain(|id| others.contains(id));
                    self.fields.retain(|field| other.fields.contains(field));
                }
                None => {
                    self.components = Some(others.clone());
                    self.fields.clone_from(&other.fields);
                }
            }
        }
        self.resources &= other.resources;
        self
    }

    pub(super) fn selects_all(&self) -> bool {
        self.components.is_none()
    }

    pub(super) fn has_table(&self, id: u32, components: &[u16]) -> bool {
        match id {
            RESOURCES => self.resources,
            _ => self.components.is_none() || components.iter().any(|id| self.has_component(*id)),
        }
    }

    pub(super) fn has_column(&self, role: Role) -> bool {
        match role.code {
            Role::HANDLE | Role::RESOURCES => true,
            Role::FIELD => self.has_field(role.component, role.field),
            Role::PRESENCE => self.has_component(role.component),
            _ => false,
        }
    }

    pub(super) fn components_of(&self, components: &[u16]) -> Vec<u16> {
        components.iter().copied().filter(|id| self.has_component(*id)).collect()
    }

    pub(super) fn quantised(&self, role: Role) -> Option<(ScalarType, f64)> {
        if role.code != Role::FIELD {
            return None;
        }
        self.quantised.get(&(role.component, role.field)).copied()
    }
}

fn find(layout: &Layout, name: &str) -> Result<Column, SelectError> {
    let unknown = || {
        let nearest = layout.nearest_column(name);
        SelectError::Unknown { name: name.chars().take(200).collect(), nearest }
    };
    let (component, field) = match name.split_once('.') {
        Some((component, field)) => (component, Some(field)),
        None => (name, None),
    };
    let (id, declared) = layout.component(component).ok_or_else(unknown)?;
    let field = match field {
        None => None,
        Some(field) => {
            Some(declared.published_fields().iter().position(|f| f.name == field).ok_or_else(unknown)? as u8)
        }
    };
    Ok((id as u16, field))
}

/// Component, place and scalar of a field; array fields count by their scalars.
pub(super) fn find_field(layout: &Layout, name: &str) -> Result<(u16, u8, ScalarType), SelectError> {
    match find(layout, name)? {
        (component, Some(field)) => {
            let ty = layout.components()[usize::from(component)].fields[usize::from(field)].ty;
            Ok((component, field, ty.scalar))
        }
        (_, None) => Err(SelectError::Type { name: name.into(), found: "a component".into(), wanted: "a field" }),
    }
}
