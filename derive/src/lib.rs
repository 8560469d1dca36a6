//! Derive macros of the hypostyle engine: [`Component`](macro@Component), [`Resource`](macro@Resource),
//! [`Field`](macro@Field), [`Bundle`](macro@Bundle) and [`Reduce`](macro@Reduce).
//!
//! Use them through the `hypostyle` crate, whose documentation has the examples. This crate only writes code: the
//! meaning of what it writes is documented at the traits.
#![forbid(unsafe_code)]

mod attributes;
mod expand;
mod fields;
mod name;
mod reduce;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a component, and a unit struct a tag.
///
/// Fields may be `f32`, `f64`, signed and unsigned integers of 8 to 64 bits, `bool`, `Entity`, fixed arrays of these, and
/// structs with `#[derive(Field)]` or `#[derive(Component)]`, whose columns are named `outer_inner`. The fields of a tuple
/// struct are `value_0`, `value_1`, ...; that of a tuple struct with one field is `value`. Beside the traits,
/// `PositionColumns` and `PositionColumnsMut` are generated for a component `Position` with fields.
///
/// On the struct: `#[component(name = "...", storage = "toggle", track_changes, unit = "...", crate = "...")]`; the unit is
/// that of the fields that have none of their own.
/// On a field: `#[component(name = "...", default = ..., unit = "m/s", description = "...")]`; the default is an expression
/// of the field's type, unit and description are for people: they stand in the layout, and go where the columns go.
#[proc_macro_derive(Component, attributes(component))]
pub fn derive_component(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::component(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Makes a struct with fields a resource. Fields are as those of components.
///
/// On the struct: `#[resource(name = "...", unit = "...", crate = "...")]`.
/// On a field: `#[resource(name = "...", default = ..., unit = "...", description = "...")]`, as on those of components.
#[proc_macro_derive(Resource, attributes(resource))]
pub fn derive_resource(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::resource(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Makes a struct a field of components and resources: each of its own fields is a column of the component that has it.
///
/// On the struct: `#[field(unit = "...", crate = "...")]`.
/// On a field: `#[field(name = "...", default = ..., unit = "...", description = "...")]`. Those of the outer field are used
/// instead of these.
#[proc_macro_derive(Field, attributes(field))]
pub fn derive_field(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::field(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Makes a struct whose fields are components, or bundles, a bundle: entities are spawned with it, and it is copied out of
/// them, as a tuple is.
///
/// On the struct: `#[bundle(crate = "...")]`.
#[proc_macro_derive(Bundle, attributes(bundle))]
pub fn derive_bundle(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::bundle(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Says how two values of a resource become one, field by field: see the trait.
///
/// On each field: `#[reduce(sum)]`, `#[reduce(min)]`, `#[reduce(max)]` or `#[reduce(or)]`.
#[proc_macro_derive(Reduce, attributes(reduce, resource))]
pub fn derive_reduce(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    reduce::reduce(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}
