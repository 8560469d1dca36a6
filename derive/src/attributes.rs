//! The attributes `#[component(...)]`, `#[resource(...)]`, `#[field(...)]` and `#[bundle(...)]` on structs and fields.
#![forbid(unsafe_code)]

use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, LitStr, Path, parse_quote};

use crate::name;

/// As the engine's limits have it.
const UNIT_BYTES_MAX: usize = 32;
/// As the engine's limits have it.
const DESCRIPTION_BYTES_MAX: usize = 255;

/// Which derive reads the attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Component,
    Resource,
    Field,
    Bundle,
}

impl Kind {
    /// The attribute's name, and the noun in messages.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Component => "component",
            Kind::Resource => "resource",
            Kind::Field => "field",
            Kind::Bundle => "bundle",
        }
    }
}

/// What is said of a struct.
pub struct StructAttributes {
    /// The name given, if one is.
    pub name: Option<LitStr>,
    /// Where its presence and its values are kept: a name of the engine's.
    pub storage: &'static str,
    /// Whether exact changed rows are kept.
    pub track_changes: bool,
    /// The unit of the fields that have none of their own.
    pub unit: Option<LitStr>,
    /// Where the engine's crate is.
    pub krate: Path,
}

impl StructAttributes {
    pub fn read(attributes: &[Attribute], kind: Kind) -> syn::Result<Self> {
        let krate = parse_quote!(::hypostyle);
        let mut out = StructAttributes { name: None, storage: "Table", track_changes: false, unit: None, krate };
        let known = match kind {
            Kind::Component => {
                "name = \"...\", storage = \"table\", \"toggle\", \"scratch\", \"list\" or \"scratch_list\", track_changes, \
                 unit = \"...\", crate = \"...\""
            }
            Kind::Resource => "name = \"...\", unit = \"...\", crate = \"...\"",
            Kind::Field => "unit = \"...\", crate = \"...\"",
            Kind::Bundle => "crate = \"...\"",
        };
        let named = matches!(kind, Kind::Component | Kind::Resource);
        each(attributes, kind, |meta| {
            if named && meta.path.is_ident("name") {
                let name: LitStr = meta.value()?.parse()?;
                if let Some(problem) = name::problem(&name.value()) {
                    return Err(syn::Error::new(name.span(), problem));
                }
                out.name = Some(name);
            } else if kind != Kind::Bundle && meta.path.is_ident("unit") {
                out.unit = Some(words(&meta, "unit", UNIT_BYTES_MAX)?);
            } else if meta.path.is_ident("crate") {
                out.krate = meta.value()?.parse::<LitStr>()?.parse()?;
            } else if kind == Kind::Component && meta.path.is_ident("storage") {
                let storage: LitStr = meta.value()?.parse()?;
                out.storage = match storage.value().as_str() {
                    "toggle" => "Toggle",
                    "table" => "Table",
                    "scratch" => "Scratch",
                    "list" => "List",
                    "scratch_list" => "ScratchList",
                    _ => {
                        let text = "storage is \"table\", \"toggle\", \"scratch\", \"list\" or \"scratch_list\"";
                        return Err(syn::Error::new(storage.span(), text));
                    }
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

/// What is said of a field.
#[derive(Default)]
pub struct FieldAttributes {
    pub name: Option<LitStr>,
    pub default: Option<Expr>,
    pub unit: Option<LitStr>,
    pub description: Option<LitStr>,
}

/// What is said of a field.
pub fn field_attributes(attributes: &[Attribute], kind: Kind) -> syn::Result<FieldAttributes> {
    let mut out = FieldAttributes::default();
    each(attributes, kind, |meta| {
        if kind == Kind::Bundle {
            return Err(meta.error("unknown attribute; a bundle field has no attributes"));
        }
        if meta.path.is_ident("name") {
            let name: LitStr = meta.value()?.parse()?;
            if let Some(problem) = name::problem(&name.value()) {
                return Err(syn::Error::new(name.span(), problem));
            }
            out.name = Some(name);
            return Ok(());
        }
        for (key, place, max) in
            [("unit", &mut out.unit, UNIT_BYTES_MAX), ("description", &mut out.description, DESCRIPTION_BYTES_MAX)]
        {
            if meta.path.is_ident(key) {
                *place = Some(words(&meta, key, max)?);
                return Ok(());
            }
        }
        if !meta.path.is_ident("default") {
            let known = "name = \"...\", default = <expression>, unit = \"...\", description = \"...\"";
            return Err(meta.error(format!("unknown attribute; a {} field has: {known}", kind.noun())));
        }
        if out.default.is_some() {
            return Err(syn::Error::new(meta.path.span(), "`default` is given twice"));
        }
        out.default = Some(meta.value()?.parse()?);
        Ok(())
    })?;
    Ok(out)
}

/// A text for people.
fn words(meta: &ParseNestedMeta<'_>, key: &str, max: usize) -> syn::Result<LitStr> {
    let text: LitStr = meta.value()?.parse()?;
    let value = text.value();
    if value.is_empty() || value.len() > max || value.chars().any(char::is_control) {
        let rule = format!("a {key} is one line of 1 to {max} bytes, without control characters");
        return Err(syn::Error::new(text.span(), rule));
    }
    Ok(text)
}

fn each(
    attributes: &[Attribute],
    kind: Kind,
    mut read: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    attributes.iter().filter(|a| a.path().is_ident(kind.noun())).try_for_each(|a| a.parse_nested_meta(&mut read))
}
