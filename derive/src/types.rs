//! Types of fields that are known to be wrong, with what to write instead. All others are the compiler's to judge.
#![forbid(unsafe_code)]

use syn::Type;

const TEXT: &str = "text is of any length, and columns are not; keep texts outside of the world and store a number, such as \
                    u32, or fixed bytes, such as [u8; 16]";

/// What is wrong with a field's type, if that is known.
pub fn problem(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Array(array) => problem(&array.elem),
        Type::Paren(inner) => problem(&inner.elem),
        Type::Group(inner) => problem(&inner.elem),
        Type::Tuple(_) => Some("a tuple is no column; give each part a field, or use a fixed array, such as [f32; 3]"),
        Type::Reference(reference) if is_named(&reference.elem, "str") => Some(TEXT),
        Type::Reference(_) | Type::Ptr(_) => {
            Some("addresses mean nothing in another process; store the value, or an Entity that has it")
        }
        Type::Path(path) if path.qself.is_none() => of_name(&path.path.segments.last()?.ident.to_string()),
        _ => None,
    }
}

fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident(name))
}

fn of_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "usize" => "usize has another size on other machines; use u32 or u64",
        "isize" => "isize has another size on other machines; use i32 or i64",
        "u128" | "i128" => "128-bit numbers are no column; use a fixed array, such as [u64; 2]",
        "char" => "a char is no column; store it as u32",
        "String" | "str" => TEXT,
        "Vec" | "VecDeque" | "HashMap" | "BTreeMap" | "HashSet" | "BTreeSet" => {
            "collections are of any length, and columns are not; use a fixed array, such as [f32; 3], a component of its own \
             with storage = \"list\", or an entity for each"
        }
        "Box" | "Rc" | "Arc" => "addresses mean nothing in another process; store the value, or an Entity that has it",
        "Option" => {
            "an Option is no column; use a value that stands for none (Entity::NULL, f32::NAN), or a component with \
             storage = \"toggle\", which entities have or not"
        }
        _ => return None,
    })
}
