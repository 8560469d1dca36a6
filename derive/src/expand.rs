//! From a struct to the impls of `Plain` and `Component`, `Resource`, `Field` or `Bundle`.
#![forbid(unsafe_code)]

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::{DeriveInput, Path};

use crate::attributes::{Kind, StructAttributes};
use crate::fields::{Bodies, Columns, Field, bodies, fields};
use crate::name;

/// `#[derive(Component)]`.
pub fn component(input: &DeriveInput) -> syn::Result<TokenStream> {
    let attributes = StructAttributes::read(&input.attrs, Kind::Component)?;
    let fields = fields(input, Kind::Component, attributes.unit.as_ref())?;
    let krate = private(&attributes.krate);
    let plain = plain(input, &attributes, &fields)?;
    let columns = Columns::of(input, &fields, &krate);
    // a tag has nothing to store in a field
    let field = if fields.is_empty() { quote!() } else { field_impl(input, &fields, &columns, &krate) };
    let numbers = numbers(input, &fields, &krate);
    let ident = &input.ident;
    let storage = syn::Ident::new(attributes.storage, proc_macro2::Span::call_site());
    let track_changes = attributes.track_changes;
    let Columns { structs, read, write, take, take_mut, value_at, value_at_mut, store_at } = columns;
    Ok(quote! {
        #structs
        #plain
        #field
        #numbers
        #[automatically_derived]
        impl #krate::Component for #ident {
            const STORAGE: #krate::Storage = #krate::Storage::#storage;
            const TRACK_CHANGES: bool = #track_changes;
            type Columns<'a> = #read;
            type ColumnsMut<'a> = #write;
            #[inline]
            fn columns<'a>(__cursor: &mut #krate::ColumnCursor<'a>) -> Self::Columns<'a> {
                #take
            }
            #[inline]
            fn columns_mut<'a>(__cursor: &mut #krate::ColumnCursor<'a>) -> Self::ColumnsMut<'a> {
                #take_mut
            }
            #[inline(always)]
            fn row_of(__columns: &Self::Columns<'_>, __row: usize) -> Self {
                #value_at
            }
            #[inline(always)]
            fn row_of_mut(__columns: &Self::ColumnsMut<'_>, __row: usize) -> Self {
                #value_at_mut
            }
            #[inline(always)]
            fn set_row(__columns: &mut Self::ColumnsMut<'_>, __row: usize, __before: &Self, __after: &Self) {
                #store_at
            }
        }
    })
}

/// Fields that are numbers of one type, at most: `x`, `y`, `z`, `w`.
const NUMBERS_MAX: usize = 4;

/// The impl of `Numbers`, where all fields are `f32` or all are `f64`.
fn numbers(input: &DeriveInput, fields: &[Field<'_>], krate: &TokenStream) -> TokenStream {
    let Some(ty) = fields.first().map(|field| field.ty) else { return quote!() };
    let is = |ty: &syn::Type, name: &str| matches!(ty, syn::Type::Path(path) if path.path.is_ident(name));
    let all = |name: &str| fields.iter().all(|field| is(field.ty, name));
    if fields.len() > NUMBERS_MAX || !(all("f32") || all("f64")) {
        return quote!();
    }
    let (ident, count) = (&input.ident, fields.len());
    let members: Vec<_> = fields.iter().map(|field| &field.member).collect();
    quote! {
        #[automatically_derived]
        impl #krate::Numbers<#ty, #count> for #ident {
            #[inline]
            fn numbers<'a>(__columns: &Self::Columns<'a>) -> [&'a [#ty]; #count] {
                [#(__columns.#members),*]
            }
            #[inline]
            fn numbers_mut<'s>(__columns: &'s mut Self::ColumnsMut<'_>) -> [&'s mut [#ty]; #count] {
                [#(&mut __columns.#members[..]),*]
            }
        }
    }
}

/// `#[derive(Resource)]`.
pub fn resource(input: &DeriveInput) -> syn::Result<TokenStream> {
    let attributes = StructAttributes::read(&input.attrs, Kind::Resource)?;
    let fields = fields(input, Kind::Resource, attributes.unit.as_ref())?;
    if fields.is_empty() {
        return Err(syn::Error::new(input.ident.span(), "a resource needs at least one field"));
    }
    let plain = plain(input, &attributes, &fields)?;
    let krate = private(&attributes.krate);
    let ident = &input.ident;
    Ok(quote! {
        #plain
        #[automatically_derived]
        impl #krate::Resource for #ident {}
    })
}

/// `#[derive(Field)]`.
pub fn field(input: &DeriveInput) -> syn::Result<TokenStream> {
    let attributes = StructAttributes::read(&input.attrs, Kind::Field)?;
    let fields = fields(input, Kind::Field, attributes.unit.as_ref())?;
    if fields.is_empty() {
        return Err(syn::Error::new(
            input.ident.span(),
            "a struct that is a field needs at least one field of its own",
        ));
    }
    let krate = private(&attributes.krate);
    let columns = Columns::of(input, &fields, &krate);
    let structs = &columns.structs;
    let field = field_impl(input, &fields, &columns, &krate);
    Ok(quote! {
        #structs
        #field
    })
}

/// `#[derive(Bundle)]`.
pub fn bundle(input: &DeriveInput) -> syn::Result<TokenStream> {
    let attributes = StructAttributes::read(&input.attrs, Kind::Bundle)?;
    let fields = fields(input, Kind::Bundle, None)?;
    let krate = private(&attributes.krate);
    let ident = &input.ident;
    let members: Vec<_> = fields.iter().map(|field| &field.member).collect();
    let bindings: Vec<_> = fields.iter().map(|field| &field.binding).collect();
    let traits: Vec<TokenStream> = fields
        .iter()
        .map(|field| {
            let ty = field.ty;
            quote::quote_spanned!(syn::spanned::Spanned::span(ty)=> <#ty as #krate::Bundle>)
        })
        .collect();
    Ok(quote! {
        #[automatically_derived]
        impl #krate::SealedBundle for #ident {}
        #[automatically_derived]
        impl #krate::Bundle for #ident {
            const PACKED_BYTES: usize = 0 #(+ #traits::PACKED_BYTES)*;
            fn ids(
                __registry: &#krate::RegistryRef<'_>,
                __out: &mut #krate::Vec<u16>,
            ) -> ::core::result::Result<(), #krate::WorldError> {
                #(#traits::ids(__registry, __out)?;)*
                ::core::result::Result::Ok(())
            }
            #[inline]
            fn pack_all(&self, __out: &mut [u8]) {
                let __rest = __out;
                #(
                    let (__bytes, __rest) = __rest.split_at_mut(#traits::PACKED_BYTES);
                    #traits::pack_all(&self.#members, __bytes);
                )*
                let _ = __rest;
            }
            #[inline(always)]
            fn each_field(&self, __write: &mut impl ::core::ops::FnMut(&[u8])) {
                #(#traits::each_field(&self.#members, __write);)*
                let _ = __write;
            }
            #[inline(always)]
            fn fetch(__row: &#krate::RowRef<'_>) -> ::core::result::Result<Self, #krate::WorldError> {
                #(let #bindings = #traits::fetch(__row)?;)*
                ::core::result::Result::Ok(Self { #(#members: #bindings),* })
            }
            #[inline(always)]
            fn look(__row: &mut #krate::RowOffsets<'_>) -> ::core::option::Option<Self> {
                #(let #bindings = #traits::look(__row)?;)*
                ::core::option::Option::Some(Self { #(#members: #bindings),* })
            }
        }
    })
}

/// The engine's module for generated code.
fn private(krate: &Path) -> TokenStream {
    quote!(#krate::__private)
}

/// The impl of `Plain`.
fn plain(input: &DeriveInput, attributes: &StructAttributes, fields: &[Field<'_>]) -> syn::Result<TokenStream> {
    let krate = private(&attributes.krate);
    let ident = &input.ident;
    let name = match &attributes.name {
        Some(name) => name.value(),
        None => name::snake_case(&ident.unraw().to_string()),
    };
    if let Some(problem) = name::problem(&name) {
        let text = format!("{problem}; give another with #[... (name = \"...\")]");
        return Err(syn::Error::new(ident.span(), text));
    }
    let Bodies { bytes, declare, pack, unpack, each, from, .. } = bodies(fields, &krate, false);
    Ok(quote! {
        #[automatically_derived]
        impl #krate::Plain for #ident {
            const NAME: &'static str = #name;
            const PACKED_BYTES: usize = #bytes;
            fn fields() -> #krate::Vec<#krate::FieldLayout> {
                let mut __fields = #krate::Vec::new();
                let __out = &mut __fields;
                #declare
                let _ = __out;
                __fields
            }
            #[inline]
            fn pack(&self, __out: &mut [u8]) {
                #pack
            }
            #[inline]
            fn unpack(__bytes: &[u8]) -> Self {
                #unpack
            }
            #[inline(always)]
            fn each_field(&self, __write: &mut impl ::core::ops::FnMut(&[u8])) {
                #each
            }
            #[inline(always)]
            fn from_fields(__read: &mut impl ::core::ops::FnMut(&mut [u8])) -> Self {
                #from
            }
        }
    })
}

/// The impl of `Field`: the struct as a field of another one.
fn field_impl(input: &DeriveInput, fields: &[Field<'_>], columns: &Columns, krate: &TokenStream) -> TokenStream {
    let ident = &input.ident;
    let Bodies { bytes, columns: count, declare, pack, unpack, each, from } = bodies(fields, krate, true);
    let Columns { read, write, take, take_mut, value_at, value_at_mut, store_at, .. } = columns;
    quote! {
        #[automatically_derived]
        impl #krate::Field for #ident {
            type Columns<'a> = #read;
            type ColumnsMut<'a> = #write;
            const BYTES: usize = #bytes;
            const COLUMNS: usize = #count;
            fn declare(
                __name: &str,
                __default: ::core::option::Option<Self>,
                __out: &mut #krate::Vec<#krate::FieldLayout>,
            ) {
                #declare
            }
            #[inline]
            fn pack_items(&self, __out: &mut [u8]) {
                #pack
            }
            #[inline]
            fn unpack_items(__bytes: &[u8]) -> Self {
                #unpack
            }
            #[inline(always)]
            fn each_item(&self, __write: &mut impl ::core::ops::FnMut(&[u8])) {
                #each
            }
            #[inline(always)]
            fn from_items(__read: &mut impl ::core::ops::FnMut(&mut [u8])) -> Self {
                #from
            }
            #[inline]
            fn take<'a>(__cursor: &mut #krate::ColumnCursor<'a>) -> Self::Columns<'a> {
                #take
            }
            #[inline]
            fn take_mut<'a>(__cursor: &mut #krate::ColumnCursor<'a>) -> Self::ColumnsMut<'a> {
                #take_mut
            }
            #[inline(always)]
            fn value_at(__columns: &Self::Columns<'_>, __row: usize) -> Self {
                #value_at
            }
            #[inline(always)]
            fn value_at_mut(__columns: &Self::ColumnsMut<'_>, __row: usize) -> Self {
                #value_at_mut
            }
            #[inline(always)]
            fn store_at(__columns: &mut Self::ColumnsMut<'_>, __row: usize, __before: &Self, __after: &Self) {
                #store_at
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let input: DeriveInput = syn::parse_str(text).unwrap();
        component(&input).expect_err("it must not compile").to_string()
    }

    #[test]
    fn what_cannot_be_a_component_says_why() {
        for (text, part) in [
            ("enum State { A, B }", "not an enum"),
            ("union U { a: u32, b: f32 }", "not a union"),
            ("struct P<T> { x: T }", "no generics"),
            ("struct P<'a> { x: &'a f32 }", "no generics"),
            ("struct P(f32, usize);", "field `1` of a component: usize has another size"),
            ("struct P { #[component(name = \"X\")] x: f32 }", "`X` is not snake_case"),
            ("struct P { _x: f32 }", "`_x` is not snake_case"),
            ("struct P { index: usize }", "field `index` of a component: usize has another size"),
            ("struct P { name: std::string::String }", "text is of any length"),
            ("struct P { name: &'static str }", "text is of any length"),
            ("struct P { list: Vec<f32> }", "[f32; 3]"),
            ("struct P { target: Option<Entity> }", "Entity::NULL"),
            ("struct P { at: (f32, f32) }", "a tuple"),
            ("struct P { names: [String; 3] }", "text is of any length"),
            ("struct Größe { x: f32 }", "is not snake_case"),
            ("#[component(name = \"Pos\")] struct P { x: f32 }", "`Pos` is not snake_case"),
            ("#[component(storage = \"sparse\")] struct P;", "\"list\" or \"scratch_list\""),
            ("#[component(stroage = \"toggle\")] struct P;", "unknown attribute"),
            ("#[component(default = 1.0)] struct P { x: f32 }", "belongs on a field"),
            ("#[component(unit = \"\")] struct P { x: f32 }", "a unit is one line"),
            ("struct P { #[component(track_changes)] x: f32 }", "a component field has: name"),
            ("struct P { #[component(default = 1.0, default = 2.0)] x: f32 }", "given twice"),
            ("struct P { #[component(unit = \"\")] x: f32 }", "a unit is one line of 1 to 32 bytes"),
            ("struct P { #[component(description = \"a\\nb\")] x: f32 }", "without control characters"),
        ] {
            let error = error(text);
            assert!(error.contains(part), "{text} gives {error}");
        }
        let many: String = (0..65).map(|i| format!("f{i}: u8,")).collect();
        assert!(error(&format!("struct P {{ {many} }}")).contains("at most 64"));
    }

    #[test]
    fn what_cannot_be_a_resource_says_why() {
        let error = |text| resource(&syn::parse_str(text).unwrap()).expect_err("it must not compile").to_string();
        assert!(error("struct Empty;").contains("at least one field"));
        assert!(error("#[resource(storage = \"toggle\")] struct R { x: f32 }").contains("a resource struct has: name"));
        assert!(error("enum R { A }").contains("a resource is a struct"));
    }

    #[test]
    fn what_cannot_be_a_field_or_a_bundle_says_why() {
        let error = |text| field(&syn::parse_str(text).unwrap()).expect_err("it must not compile").to_string();
        assert!(error("struct V;").contains("at least one field"));
        assert!(error("enum V { A }").contains("a field is a struct"));
        assert!(error("#[field(name = \"v\")] struct V { x: f32 }").contains("a field struct has: unit = "));
        let error = |text| bundle(&syn::parse_str(text).unwrap()).expect_err("it must not compile").to_string();
        assert!(error("enum B { A }").contains("a bundle is a struct"));
        assert!(error("struct B<T> { a: T }").contains("no generics"));
        assert!(error("struct B { #[bundle(default = A)] a: A }").contains("a bundle field has no attributes"));
    }

    #[test]
    fn raw_names_lose_their_mark() {
        let input: DeriveInput = syn::parse_str("struct P { r#type: u8 }").unwrap();
        assert!(component(&input).unwrap().to_string().contains("\"type\""));
    }
}
