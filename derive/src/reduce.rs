//! `#[derive(Reduce)]`: a join for each field, as `#[reduce(...)]` says.
#![forbid(unsafe_code)]

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Field, Fields, Ident};

use crate::attributes::{Kind, StructAttributes};

/// The impl of `Reduce`.
pub fn reduce(input: &DeriveInput) -> syn::Result<TokenStream> {
    let attributes = StructAttributes::read(&input.attrs, Kind::Resource)?;
    let krate = &attributes.krate;
    let ident = &input.ident;
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        _ => return Err(syn::Error::new(ident.span(), "rows are reduced to a struct with named fields")),
    };
    let Fields::Named(fields) = fields else {
        return Err(syn::Error::new(fields.span(), "rows are reduced to a struct with named fields"));
    };
    let mut empty = Vec::new();
    let mut joined = Vec::new();
    let mut exact = Vec::new();
    for field in &fields.named {
        let (name, ty, join) = (&field.ident, &field.ty, join(field)?);
        let (kind, value, function) = match join.to_string().as_str() {
            "sum" => ("Summed", "ZERO", "plus"),
            "min" => ("Ordered", "LARGEST", "least"),
            "or" => ("Bits", "CLEAR", "with_bits"),
            _ => ("Ordered", "SMALLEST", "greatest"),
        };
        if join == "sum" {
            exact.push(quote!(&& <#ty as #krate::__private::Summed>::EXACT));
        }
        let [kind, value, function] = [kind, value, function].map(|text| Ident::new(text, ty.span()));
        empty.push(quote!(#name: <#ty as #krate::__private::#kind>::#value));
        joined.push(quote!(#name: <#ty as #krate::__private::#kind>::#function(self.#name, later.#name)));
    }
    Ok(quote! {
        #[automatically_derived]
        impl #krate::Reduce for #ident {
            const EXACT: bool = true #(#exact)*;
            #[inline]
            fn empty() -> Self {
                Self { #(#empty),* }
            }
            #[inline]
            fn join(self, later: Self) -> Self {
                Self { #(#joined),* }
            }
        }
    })
}

/// `sum`, `min`, `max` or `or`.
fn join(field: &Field) -> syn::Result<Ident> {
    let mut found: Option<Ident> = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("reduce")) {
        attribute.parse_nested_meta(|meta| {
            let known = ["sum", "min", "max", "or"].iter().any(|name| meta.path.is_ident(name));
            let Some(ident) = meta.path.get_ident().filter(|_| known) else {
                return Err(meta.error(
                    "unknown join; a field has #[reduce(sum)], #[reduce(min)], #[reduce(max)] or #[reduce(or)]",
                ));
            };
            if found.replace(ident.clone()).is_some() {
                return Err(meta.error("a field has one join"));
            }
            Ok(())
        })?;
    }
    found.ok_or_else(|| {
        let text =
            "a field that rows are reduced to needs #[reduce(sum)], #[reduce(min)], #[reduce(max)] or #[reduce(or)]";
        syn::Error::new(field.span(), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_reduced_to_says_why() {
        for (text, part) in [
            ("struct R { x: f64 }", "needs #[reduce(sum)]"),
            ("struct R { #[reduce(mean)] x: f64 }", "unknown join"),
            ("struct R { #[reduce(sum, max)] x: f64 }", "one join"),
            ("struct R(f64);", "named fields"),
            ("enum R { A }", "named fields"),
        ] {
            let error = reduce(&syn::parse_str(text).unwrap()).expect_err("it must not compile").to_string();
            assert!(error.contains(part), "{text} gives {error}");
        }
    }
}
