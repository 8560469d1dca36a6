//! The fields of a struct, and the code that each of the derives needs of them: declarations, packed values, columns.
//!
//! Columns are taken from the cursor in the order of the fields, which is the order that the generated layout
//! declares; a packed value is the fields' items in the same order without padding. What a field is, a column or a
//! struct of columns, is the engine's trait `Field` to say.
#![forbid(unsafe_code)]

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Expr, Ident, Index, LitStr, Member, Type};

use crate::attributes::{FieldAttributes, Kind, field_attributes};
use crate::{name, types};

/// Fields that a component or resource may have; the engine's own limit.
const FIELDS_MAX: usize = 64;

/// What a field's columns are called.
pub enum FieldName {
    /// By its own name, behind that of an outer field.
    Own(String),
    /// By its number in a tuple struct, behind the name of an outer field or `value`.
    Numbered(usize),
    /// As the outer field, or `value`: the only field of a tuple struct.
    Outer,
}

/// One field as the derives see it.
pub struct Field<'a> {
    pub member: Member,
    /// A name for its value in generated code.
    pub binding: Ident,
    pub name: FieldName,
    pub ty: &'a Type,
    default: Option<Expr>,
    unit: Option<LitStr>,
    description: Option<LitStr>,
}

impl Field<'_> {
    /// In documentation.
    fn label(&self) -> String {
        match &self.member {
            Member::Named(ident) => ident.unraw().to_string(),
            Member::Unnamed(index) => format!("{}", index.index),
        }
    }
}

/// The struct's fields, or why it cannot be derived for; those without a unit of their own have this one.
pub fn fields<'a>(input: &'a DeriveInput, kind: Kind, unit: Option<&LitStr>) -> syn::Result<Vec<Field<'a>>> {
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
    let count = data.fields.len();
    if count > FIELDS_MAX {
        let text = format!("{count} fields; a {noun} has at most {FIELDS_MAX}");
        return Err(syn::Error::new(input.ident.span(), text));
    }
    let with_unit = |field: Field<'a>| Field { unit: field.unit.or(unit.cloned()), ..field };
    (0..).zip(&data.fields).map(|(index, field)| one(index, count, field, kind).map(with_unit)).collect()
}

fn one(index: usize, count: usize, field: &syn::Field, kind: Kind) -> syn::Result<Field<'_>> {
    let attributes = field_attributes(&field.attrs, kind)?;
    let member = match &field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index { index: index as u32, span: field.ty.span() }),
    };
    let name = match (attributes.name, &field.ident) {
        (Some(name), _) => FieldName::Own(name.value()),
        (None, Some(ident)) => {
            let name = ident.unraw().to_string();
            if let Some(problem) = name::problem(&name).filter(|_| kind != Kind::Bundle) {
                return Err(syn::Error::new(ident.span(), problem));
            }
            FieldName::Own(name)
        }
        (None, None) if count == 1 => FieldName::Outer,
        (None, None) => FieldName::Numbered(index),
    };
    let binding = format_ident!("__field_{index}");
    let FieldAttributes { default, unit, description, .. } = attributes;
    let field = Field { member, binding, name, ty: &field.ty, default, unit, description };
    // what a bundle is made of is the compiler's to judge
    match types::problem(field.ty).filter(|_| kind != Kind::Bundle) {
        None => Ok(field),
        Some(problem) => {
            let text = format!("field `{}` of a {}: {problem}", field.label(), kind.noun());
            Err(syn::Error::new(field.ty.span(), text))
        }
    }
}

/// Bodies of functions over all fields, in order.
pub struct Bodies {
    /// Sum of the fields' bytes.
    pub bytes: TokenStream,
    /// Sum of the fields' columns.
    pub columns: TokenStream,
    /// Appends to `__out`; `__name` is an outer field's name, `__default` an optional value of the struct.
    pub declare: TokenStream,
    /// From `self` to `__out`.
    pub pack: TokenStream,
    /// From `__bytes`.
    pub unpack: TokenStream,
    /// Calls `__write`.
    pub each: TokenStream,
    /// Calls `__read`.
    pub from: TokenStream,
}

/// Those of a struct; `nested`: as a field of another one, whose defaults come first.
pub fn bodies(fields: &[Field<'_>], krate: &TokenStream, nested: bool) -> Bodies {
    let members: Vec<&Member> = fields.iter().map(|field| &field.member).collect();
    let bindings: Vec<&Ident> = fields.iter().map(|field| &field.binding).collect();
    let traits: Vec<TokenStream> = fields.iter().map(|field| as_field(field, krate)).collect();
    let declare = fields.iter().zip(&traits).map(|(field, as_field)| declaration(field, as_field, krate, nested));
    let wrong_length = "a packed value fills its bytes";
    Bodies {
        bytes: quote!(0 #(+ #traits::BYTES)*),
        columns: quote!(0 #(+ #traits::COLUMNS)*),
        declare: quote!(#(#declare)*),
        pack: quote! {
            ::core::assert_eq!(__out.len(), 0 #(+ #traits::BYTES)*, #wrong_length);
            let __rest = __out;
            #(
                let (__bytes, __rest) = __rest.split_at_mut(#traits::BYTES);
                #traits::pack_items(&self.#members, __bytes);
            )*
            let _ = __rest;
        },
        unpack: quote! {
            ::core::assert_eq!(__bytes.len(), 0 #(+ #traits::BYTES)*, #wrong_length);
            let __rest = __bytes;
            #(
                let (__bytes, __rest) = __rest.split_at(#traits::BYTES);
                let #bindings = #traits::unpack_items(__bytes);
            )*
            let _ = __rest;
            Self { #(#members: #bindings),* }
        },
        each: quote! {
            #(#traits::each_item(&self.#members, __write);)*
            let _ = __write;
        },
        from: quote! {
            #(let #bindings = #traits::from_items(__read);)*
            let _ = __read;
            Self { #(#members: #bindings),* }
        },
    }
}

/// The field's type as the engine's trait sees it. What is wrong with it is said where the type stands.
fn as_field(field: &Field<'_>, krate: &TokenStream) -> TokenStream {
    let ty = field.ty;
    quote_spanned!(ty.span()=> <#ty as #krate::Field>)
}

fn declaration(field: &Field<'_>, as_field: &TokenStream, krate: &TokenStream, nested: bool) -> TokenStream {
    let (member, ty) = (&field.member, field.ty);
    let own = match &field.default {
        None => quote!(::core::option::Option::None),
        Some(value) => quote!({
            let value: #ty = #value;
            ::core::option::Option::Some(value)
        }),
    };
    let default = if nested {
        quote!(match __default {
            ::core::option::Option::Some(value) => ::core::option::Option::Some(value.#member),
            ::core::option::Option::None => #own,
        })
    } else {
        own
    };
    let name = match (&field.name, nested) {
        (FieldName::Own(name), false) => quote!(#name),
        (FieldName::Own(name), true) => quote!(&#krate::nested_name(__name, #name)),
        (FieldName::Numbered(index), false) => {
            let name = format!("value_{index}");
            quote!(#name)
        }
        (FieldName::Numbered(index), true) => {
            let number = index.to_string();
            quote!(&#krate::nested_name(__name, #number))
        }
        (FieldName::Outer, false) => quote!("value"),
        (FieldName::Outer, true) => quote!(__name),
    };
    let told = [("unit", &field.unit), ("description", &field.description)].into_iter().filter_map(|(key, text)| {
        let (key, text) = (format_ident!("{key}"), text.as_ref()?);
        Some(quote!(__told.#key = ::std::string::String::from(#text);))
    });
    let told: Vec<TokenStream> = told.collect();
    let declare = quote!(#as_field::declare(#name, #default, __out););
    match told.is_empty() {
        true => declare,
        // all columns of a field that has several
        false => quote!({
            let __first = __out.len();
            #declare
            for __told in &mut __out[__first..] {
                #(#told)*
            }
        }),
    }
}

/// `PositionColumns` and `PositionColumnsMut`, and how rows and cursors lead to them.
pub struct Columns {
    pub structs: TokenStream,
    pub read: TokenStream,
    pub write: TokenStream,
    pub take: TokenStream,
    pub take_mut: TokenStream,
    pub value_at: TokenStream,
    pub value_at_mut: TokenStream,
    pub store_at: TokenStream,
}

impl Columns {
    /// Those of a struct without fields.
    fn none() -> Self {
        let ignore = |name: &str| {
            let name = format_ident!("{name}");
            quote!(let _ = #name;)
        };
        let (cursor, row, before) = (ignore("__cursor"), ignore("__row"), ignore("__before"));
        let (columns, after) = (ignore("__columns"), ignore("__after"));
        Columns {
            structs: quote!(),
            read: quote!(()),
            write: quote!(()),
            take: cursor.clone(),
            take_mut: cursor,
            value_at: quote!(#columns #row Self {}),
            value_at_mut: quote!(#columns #row Self {}),
            store_at: quote!(#columns #row #before #after),
        }
    }

    pub fn of(input: &DeriveInput, fields: &[Field<'_>], krate: &TokenStream) -> Self {
        if fields.is_empty() {
            return Self::none();
        }
        let ident = &input.ident;
        let (columns, columns_mut) = (format_ident!("{ident}Columns"), format_ident!("{ident}ColumnsMut"));
        let traits: Vec<TokenStream> = fields.iter().map(|field| as_field(field, krate)).collect();
        let members: Vec<&Member> = fields.iter().map(|field| &field.member).collect();
        // Struct fields are evaluated in the order written: the order of the declared columns.
        Columns {
            structs: structs(input, &columns, &columns_mut, fields, &traits),
            read: quote!(#columns<'a>),
            write: quote!(#columns_mut<'a>),
            take: quote!(#columns { #(#members: #traits::take(__cursor)),* }),
            take_mut: quote!(#columns_mut { #(#members: #traits::take_mut(__cursor)),* }),
            value_at: quote!(Self { #(#members: #traits::value_at(&__columns.#members, __row)),* }),
            value_at_mut: quote!(Self { #(#members: #traits::value_at_mut(&__columns.#members, __row)),* }),
            store_at: quote! {
                #(#traits::store_at(&mut __columns.#members, __row, &__before.#members, &__after.#members);)*
            },
        }
    }
}

fn structs(
    input: &DeriveInput,
    columns: &Ident,
    columns_mut: &Ident,
    fields: &[Field<'_>],
    traits: &[TokenStream],
) -> TokenStream {
    let (vis, ident) = (&input.vis, &input.ident);
    let doc = format!("The columns of [`{ident}`], to read: one slice per field, a row each.");
    let doc_mut =
        format!("The columns of [`{ident}`], to write: one per field; a row that is not touched keeps its value.");
    let docs: Vec<String> = fields.iter().map(|field| format!("`{}` of each row.", field.label())).collect();
    let names: Vec<TokenStream> = fields
        .iter()
        .map(|field| match &field.member {
            Member::Named(ident) => quote!(#ident:),
            Member::Unnamed(_) => quote!(),
        })
        .collect();
    let read = quote!(#(#[doc = #docs] #vis #names #traits::Columns<'a>,)*);
    let write = quote!(#(#[doc = #docs] #vis #names #traits::ColumnsMut<'a>,)*);
    let named = matches!(fields.first().map(|field| &field.member), Some(Member::Named(_)));
    let (read, write) =
        if named { (quote!({ #read }), quote!({ #write })) } else { (quote!((#read);), quote!((#write);)) };
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy)]
        #[allow(dead_code)]
        #vis struct #columns<'a> #read
        #[doc = #doc_mut]
        #[allow(dead_code)]
        #vis struct #columns_mut<'a> #write
    }
}
