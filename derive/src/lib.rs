//! Derive macros of the hypostyle engine: [`Component`](macro@Component), [`Resource`](macro@Resource) and
//! [`Reduce`](macro@Reduce).
//!
//! Use them through the `hypostyle` crate, whose documentation has the examples. This crate only writes code: the
//! meaning of what it writes is documented at the traits.
#![forbid(unsafe_code)]

mod attributes;
mod expand;
mod name;
mod reduce;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct with named fields a component, and a unit struct a tag.
///
/// Fields may be `f32`, `f64`, signed and unsigned integers of 8 to 64 bits, `bool`, `Entity`, and fixed arrays of
/// these (but for `bool`, whose arrays are arrays of `Bool`). Beside the traits, `PositionColumns` and
/// `PositionColumnsMut` are generated for a component `Position` with fields.
///
/// On the struct: `#[component(name = "...", storage = "toggle", track_changes, crate = "...")]`.
/// On a field: `#[component(default = ...)]`, an expression of the field's type.
#[proc_macro_derive(Component, attributes(component))]
pub fn derive_component(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::component(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Makes a struct with named fields a resource.
///
/// On the struct: `#[resource(name = "...", crate = "...")]`.
/// On a field: `#[resource(default = ...)]`, an expression of the field's type.
#[proc_macro_derive(Resource, attributes(resource))]
pub fn derive_resource(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::resource(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Says how two values of a resource become one, field by field: see the trait.
///
/// On each field: `#[reduce(sum)]`, `#[reduce(min)]` or `#[reduce(max)]`.
#[proc_macro_derive(Reduce, attributes(reduce, resource))]
pub fn derive_reduce(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    reduce::reduce(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}
