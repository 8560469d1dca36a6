//! From a struct to the impls of `Plain`, `Component` or `Resource`, and to the structs of its columns.
//!
//! Columns are taken from the cursor in the order of the fields, which is the order that the generated layout
//! declares; a packed value is the fields' items in the same order without padding.
#![forbid(unsafe_code)]

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Expr, Fields, Ident, Path, Type};

use crate::attributes::{Kind, StructAttributes, field_default};
use crate::{name, types};

/// Fields that a component or resource may have; the engine's own limit.
const FIELDS_MAX: usize = 64;

/// One field as the derive sees it.
struct Field<'a> {
    ident: &'a Ident,
    name: String,
    ty: &'a Type,
    default: Option<Expr>,
}

/// `#[derive(Component)]`.
pub fn component(input: &DeriveInput) -> syn::Result<TokenStream> {
    let attributes = StructAttributes::read(&input.attrs, Kind::Component)?;
    let fields = fields(input, Kind::Component)?;
    let plain = plain(input, &attributes, &fields)?;
    let krate = private(&attributes.krate);
    let ident = &input.ident;
    let storage = if attributes.toggle { quote!(Toggle) } else { quote!(Table) };
    let track_changes = attributes.track_changes;
    let (structs, columns, columns_mut, take, take_mut) = if fields.is_empty() {
        (
            quote!(),
            quote!(()),
            quote!(()),
            quote!({
                let _ = cursor;
            }),
            quote!({
                let _ = cursor;
            }),
        )
    } else {
        let (columns, columns_mut) = (format_ident!("{ident}Columns"), format_ident!("{ident}ColumnsMut"));
        let structs = column_structs(input, &columns, &columns_mut, &fields, &krate);
        let items: Vec<TokenStream> = fields.iter().map(|f| item(f, &krate)).collect();
        let idents: Vec<&Ident> = fields.iter().map(|f| f.ident).collect();
        // Struct fields are evaluated in the order written: the order of the declared columns.
        let take = quote!(#columns { #(#idents: cursor.read::<#items>()),* });
        let take_mut = quote!(#columns_mut { #(#idents: cursor.write::<#items>()),* });
        (structs, quote!(#columns<'a>), quote!(#columns_mut<'a>), take, take_mut)
    };
    Ok(quote! {
        #structs
        #plain
        #[automatically_derived]
        impl #krate::Component for #ident {
            const STORAGE: #krate::Storage = #krate::Storage::#storage;
            const TRACK_CHANGES: bool = #track_changes;
            type Columns<'a> = #columns;
            type ColumnsMut<'a> = #columns_mut;
            #[inline]
            fn columns<'a>(cursor: &mut #krate::ColumnCursor<'a>) -> Self::Columns<'a> {
                #take
            }
            #[inline]
            fn columns_mut<'a>(cursor: &mut #krate::ColumnCursor<'a>) -> Self::ColumnsMut<'a> {
                #take_mut
            }
        }
    })
}

/// `#[derive(Resource)]`.
pub fn resource(input: &DeriveInput) -> syn::Result<TokenStream> {
    let attributes = StructAttributes::read(&input.attrs, Kind::Resource)?;
    let fields = fields(input, Kind::Resource)?;
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

/// The engine's module for generated code.
fn private(krate: &Path) -> TokenStream {
    quote!(#krate::__private)
}

/// What a field's column holds.
fn item(field: &Field<'_>, krate: &TokenStream) -> TokenStream {
    let ty = field.ty;
    // what is wrong with a field's type is said where the type stands
    quote_spanned!(ty.span()=> <#ty as #krate::Field>::Item)
}

/// The struct's fields, or why it cannot be derived for.
fn fields(input: &DeriveInput, kind: Kind) -> syn::Result<Vec<Field<'_>>> {
    let noun = kind.noun();
    let data = match &input.data {
        Data::Struct(data) => data,
        Data::Enum(data) => {
            let text = format!("a {noun} is a struct, not an enum: store a number such as u8 in a field");
            return Err(syn::Error::new(data.enum_token.span, text));
        }
        Data::Union(data) => {
            return Err(syn::Error::new(data.union_token.span, format!("a {noun} is a struct, not a union")));
        }
    };
    if !input.generics.params.is_empty() {
        let text =
            format!("a {noun} has no generics: its layout has one name and fixed types; write one struct per type");
        return Err(syn::Error::new(input.generics.span(), text));
    }
    let named = match &data.fields {
        Fields::Unit => return Ok(vec![]),
        Fields::Named(named) => &named.named,
        Fields::Unnamed(unnamed) => {
            let text = format!("a {noun}'s fields need names, such as {{ value: f32 }}: each names a column");
            return Err(syn::Error::new(unnamed.span(), text));
        }
    };
    if named.len() > FIELDS_MAX {
        let text = format!("{} fields; a {noun} has at most {FIELDS_MAX}", named.len());
        return Err(syn::Error::new(input.ident.span(), text));
    }
    named
        .iter()
        .map(|field| {
            let ident = field.ident.as_ref().expect("a named field has a name");
            let name = ident.unraw().to_string();
            if let Some(problem) = name::problem(&name) {
                return Err(syn::Error::new(ident.span(), problem));
            }
            if let Some(problem) = types::problem(&field.ty) {
                return Err(syn::Error::new(field.ty.span(), format!("field `{name}` of a {noun}: {problem}")));
            }
            Ok(Field { ident, name, ty: &field.ty, default: field_default(&field.attrs, kind)? })
        })
        .collect()
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
    let items: Vec<TokenStream> = fields.iter().map(|f| item(f, &krate)).collect();
    let layouts = fields.iter().zip(&items).map(|(field, item)| {
        let (name, ty) = (&field.name, field.ty);
        let default = match &field.default {
            None => quote!(::core::option::Option::None),
            Some(value) => quote!({
                let value: #ty = #value;
                let item: #item = <#ty as #krate::Field>::to_item(value);
                ::core::option::Option::Some(#krate::bytemuck::bytes_of(&item).to_vec())
            }),
        };
        quote!(#krate::FieldLayout {
            name: #krate::String::from(#name),
            ty: <#item as #krate::ColumnItem>::TYPE,
            default: #default,
        })
    });
    let idents: Vec<&Ident> = fields.iter().map(|f| f.ident).collect();
    let types: Vec<&Type> = fields.iter().map(|f| f.ty).collect();
    let wrong_length = "a packed value fills its bytes";
    Ok(quote! {
        #[automatically_derived]
        impl #krate::Plain for #ident {
            const NAME: &'static str = #name;
            const PACKED_BYTES: usize = 0 #(+ ::core::mem::size_of::<#items>())*;
            fn fields() -> #krate::Vec<#krate::FieldLayout> {
                #krate::Vec::from([#(#layouts),*])
            }
            #[inline]
            fn pack(&self, __out: &mut [u8]) {
                ::core::assert_eq!(__out.len(), <Self as #krate::Plain>::PACKED_BYTES, #wrong_length);
                let __rest = __out;
                #(
                    let (__bytes, __rest) = __rest.split_at_mut(::core::mem::size_of::<#items>());
                    let __item: #items = <#types as #krate::Field>::to_item(self.#idents);
                    __bytes.copy_from_slice(#krate::bytemuck::bytes_of(&__item));
                )*
                let _ = __rest;
            }
            #[inline]
            fn unpack(__bytes: &[u8]) -> Self {
                ::core::assert_eq!(__bytes.len(), <Self as #krate::Plain>::PACKED_BYTES, #wrong_length);
                let __rest = __bytes;
                #(
                    let (__bytes, __rest) = __rest.split_at(::core::mem::size_of::<#items>());
                    let __item: #items = #krate::bytemuck::pod_read_unaligned(__bytes);
                    let #idents = <#types as #krate::Field>::from_item(__item);
                )*
                let _ = __rest;
                Self { #(#idents),* }
            }
            #[inline(always)]
            fn each_field(&self, __write: &mut impl ::core::ops::FnMut(&[u8])) {
                #(
                    let __item: #items = <#types as #krate::Field>::to_item(self.#idents);
                    __write(#krate::bytemuck::bytes_of(&__item));
                )*
                let _ = __write;
            }
            #[inline(always)]
            fn from_fields(__read: &mut impl ::core::ops::FnMut(&mut [u8])) -> Self {
                #(
                    let mut __item: #items = #krate::bytemuck::Zeroable::zeroed();
                    __read(#krate::bytemuck::bytes_of_mut(&mut __item));
                    let #idents = <#types as #krate::Field>::from_item(__item);
                )*
                let _ = __read;
                Self { #(#idents),* }
            }
        }
    })
}

/// `PositionColumns` and `PositionColumnsMut`.
fn column_structs(
    input: &DeriveInput,
    columns: &Ident,
    columns_mut: &Ident,
    fields: &[Field<'_>],
    krate: &TokenStream,
) -> TokenStream {
    let vis = &input.vis;
    let ident = &input.ident;
    let items: Vec<TokenStream> = fields.iter().map(|f| item(f, krate)).collect();
    let idents: Vec<&Ident> = fields.iter().map(|f| f.ident).collect();
    let doc = format!("The columns of [`{ident}`], to read: one slice per field, a row each.");
    let doc_mut =
        format!("The columns of [`{ident}`], to write: one per field; a row that is not touched keeps its value.");
    let docs: Vec<String> = fields.iter().map(|f| format!("`{}` of each row.", f.name)).collect();
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy)]
        #[allow(dead_code)]
        #vis struct #columns<'a> {
            #(
                #[doc = #docs]
                #vis #idents: &'a [#items],
            )*
        }
        #[doc = #doc_mut]
        #[allow(dead_code)]
        #vis struct #columns_mut<'a> {
            #(
                #[doc = #docs]
                #vis #idents: #krate::Mut<'a, #items>,
            )*
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
            ("struct P(f32, f32);", "need names"),
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
            ("#[component(storage = \"sparse\")] struct P;", "\"table\" or \"toggle\""),
            ("#[component(stroage = \"toggle\")] struct P;", "unknown attribute"),
            ("#[component(default = 1.0)] struct P { x: f32 }", "belongs on a field"),
            ("struct P { #[component(track_changes)] x: f32 }", "a component field has: default"),
            ("struct P { #[component(default = 1.0, default = 2.0)] x: f32 }", "given twice"),
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
    fn raw_names_lose_their_mark() {
        let input: DeriveInput = syn::parse_str("struct P { r#type: u8 }").unwrap();
        assert!(component(&input).unwrap().to_string().contains("\"type\""));
    }
}
