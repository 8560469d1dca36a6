//! The attributes `#[component(...)]` and `#[resource(...)]` on structs and fields.
#![forbid(unsafe_code)]

use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, LitStr, Path, parse_quote};

use crate::name;

/// Which derive reads the attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Component,
    Resource,
}

impl Kind {
    /// The attribute's name, and the noun in messages.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Component => "component",
            Kind::Resource => "resource",
        }
    }
}

/// What is said of a struct.
pub struct StructAttributes {
    /// The name given, if one is.
    pub name: Option<LitStr>,
    /// Whether presence is a bit.
    pub toggle: bool,
    /// Whether exact changed rows are kept.
    pub track_changes: bool,
    /// Where the engine's crate is.
    pub krate: Path,
}

impl StructAttributes {
    pub fn read(attributes: &[Attribute], kind: Kind) -> syn::Result<Self> {
        let krate = parse_quote!(::hypostyle);
        let mut out = StructAttributes { name: None, toggle: false, track_changes: false, krate };
        let known = match kind {
            Kind::Component => "name = \"...\", storage = \"table\" or \"toggle\", track_changes, crate = \"...\"",
            Kind::Resource => "name = \"...\", crate = \"...\"",
        };
        each(attributes, kind, |meta| {
            if meta.path.is_ident("name") {
                let name: LitStr = meta.value()?.parse()?;
                if let Some(problem) = name::problem(&name.value()) {
                    return Err(syn::Error::new(name.span(), problem));
                }
                out.name = Some(name);
            } else if meta.path.is_ident("crate") {
                out.krate = meta.value()?.parse::<LitStr>()?.parse()?;
            } else if kind == Kind::Component && meta.path.is_ident("storage") {
                let storage: LitStr = meta.value()?.parse()?;
                out.toggle = match storage.value().as_str() {
                    "toggle" => true,
                    "table" => false,
                    _ => return Err(syn::Error::new(storage.span(), "storage is \"table\" or \"toggle\"")),
                };
            } else if kind == Kind::Component && meta.path.is_ident("track_changes") {
                out.track_changes = true;
            } else {
                let fault =
                    if meta.path.is_ident("default") { "`default` belongs on a field" } else { "unknown attribute" };
                return Err(meta.error(format!("{fault}; a {} struct has: {known}", kind.noun())));
            }
            Ok(())
        })?;
        Ok(out)
    }
}

/// A field's default, if one is given.
pub fn field_default(attributes: &[Attribute], kind: Kind) -> syn::Result<Option<Expr>> {
    let mut default = None;
    each(attributes, kind, |meta| {
        if !meta.path.is_ident("default") {
            let text = format!("unknown attribute; a {} field has: default = <expression>", kind.noun());
            return Err(meta.error(text));
        }
        if default.is_some() {
            return Err(syn::Error::new(meta.path.span(), "`default` is given twice"));
        }
        default = Some(meta.value()?.parse()?);
        Ok(())
    })?;
    Ok(default)
}

fn each(
    attributes: &[Attribute],
    kind: Kind,
    mut read: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    attributes.iter().filter(|a| a.path().is_ident(kind.noun())).try_for_each(|a| a.parse_nested_meta(&mut read))
}
