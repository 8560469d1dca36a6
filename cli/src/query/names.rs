//! Names of columns: they have dots in them, which SQL would take for a table's.
#![forbid(unsafe_code)]

use hypostyle::Layout;
use hypostyle::layout::{ComponentLayout, Storage};

use crate::failure::{Failure, Outcome};

/// Puts the names of columns that have dots or brackets in quotation marks, outside of texts, comments and names that are
/// quoted already.
pub(super) fn quoted(sql: &str, mut names: Vec<String>) -> String {
    // `spot.trail[0]` before `spot.trail`
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("--") {
            let end = rest.find('\n').unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            (rest, before) = (&rest[end..], ' ');
            continue;
        }
        if next == '\'' || next == '"' {
            let end = rest[1..].find(next).map_or(rest.len(), |end| end + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            before = next;
            continue;
        }
        let fits = |name: &&String| {
            let after = rest[name.len()..].chars().next();
            !after.is_some_and(part_of_name)
        };
        let found = names.iter().filter(|name| rest.starts_with(name.as_str())).find(fits);
        if let Some(name) = found.filter(|_| !part_of_name(before)) {
            out.push('"');
            out.push_str(name);
            out.push('"');
            rest = &rest[name.len()..];
            before = '"';
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            before = next;
        }
    }
    out
}

/// What to select: these components' columns, or all.
pub(super) fn selected(components: Option<&[String]>, layout: &Layout) -> Outcome<String> {
    let Some(components) = components else { return Ok("*".to_owned()) };
    let mut columns = vec!["entity".to_owned()];
    for name in components {
        let Some((_, component)) = layout.component(name) else {
            let known: Vec<&str> = layout.components().iter().map(|c| c.name.as_str()).collect();
            let message = format!("there is no component `{name}`; the layout has {}", known.join(", "));
            return Err(Failure::usage(message));
        };
        match component.fields.is_empty() || component.storage == Storage::Scratch {
            true => columns.push(format!("\"{name}\"")),
            false => columns.extend(dotted([component]).iter().map(|name| format!("\"{name}\""))),
        }
    }
    Ok(columns.join(", "))
}

/// The columns' names that SQL would misread: all but those of handles and of components without fields.
pub(super) fn dotted<'l>(components: impl IntoIterator<Item = &'l ComponentLayout>) -> Vec<String> {
    let mut names = Vec::new();
    // scratch is no part of a generation: a component without fields to those who read
    for component in components.into_iter().filter(|component| component.storage != Storage::Scratch) {
        for field in &component.fields {
            let name = format!("{}.{}", component.name, field.name);
            if field.ty.array_len == 0 {
                names.push(name);
            } else {
                names.extend((0..field.ty.elements()).map(|element| format!("{name}[{element}]")));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_are_columns() {
        let names = ["position.x", "position.xy", "spot.trail[0]", "spot.trail"];
        for (sql, expected) in [
            ("position.x > 1", "\"position.x\" > 1"),
            ("world.position.x>-position.xy", "world.\"position.x\">-\"position.xy\""),
            ("my_position.x", "my_position.x"),
            ("position.xyz", "position.xyz"),
            ("'position.x' = \"position.x\"", "'position.x' = \"position.x\""),
            ("spot.trail[0]+spot.trail[10]", "\"spot.trail[0]\"+\"spot.trail\"[10]"),
            ("'open", "'open"),
            ("1 -- it's position.x\n+ position.x", "1 -- it's position.x\n+ \"position.x\""),
        ] {
            assert_eq!(quoted(sql, names.map(str::to_owned).to_vec()), expected);
        }
    }
}
