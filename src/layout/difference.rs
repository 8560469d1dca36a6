//! How two layouts differ, part by part, and which differences a world survives.
//!
//! `a.difference(&b)` reads `a` as what is there (a layout file, a region) and `b` as what is wanted (a program's
//! types, a newer file). A difference is compatible where bytes laid out by `a` mean the same under `b`. Invariant:
//! the layouts' hashes are equal exactly where no difference [changes the meaning](Difference::changes_meaning).
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt;

use crate::layout::{FieldLayout, FieldType, Layout, Storage};

/// The kind of a layout's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// A component.
    Component,
    /// A resource.
    Resource,
    /// A field of a component.
    ComponentField,
    /// A field of a resource.
    ResourceField,
}

/// A part of a layout, by its name: `position`, or `position.x` for a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Its name; a field's with its owner's before it.
    pub name: String,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            PartKind::Component => "component",
            PartKind::Resource => "resource",
            PartKind::ComponentField => "field",
            PartKind::ResourceField => "resource field",
        };
        write!(f, "{kind} `{}`", self.name)
    }
}

/// One difference between what is there and what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The world's name. Compatible.
    Name {
        /// What is there.
        there: String,
        /// What is wanted.
        wanted: String,
    },
    /// The bound on its bytes. Compatible.
    BytesMax {
        /// What is there.
        there: u64,
        /// What is wanted.
        wanted: u64,
    },
    /// The expected tables. Compatible: they are made when they are needed.
    Tables,
    /// The part is there, but not wanted.
    Unwanted {
        /// The part.
        part: Part,
    },
    /// The part is wanted, but not there. Compatible for a component or resource after all that are there.
    Missing {
        /// The part.
        part: Part,
        /// Whether it comes after all that are there.
        at_end: bool,
    },
    /// The part stands elsewhere among its like.
    Moved {
        /// The part.
        part: Part,
        /// Its place there, from 0.
        there: usize,
        /// Its place wanted, from 0.
        wanted: usize,
    },
    /// The field's type.
    FieldType {
        /// The field.
        part: Part,
        /// What is there.
        there: FieldType,
        /// What is wanted.
        wanted: FieldType,
    },
    /// The field's default. Compatible: it only decides values that are yet to be given.
    Default {
        /// The field.
        part: Part,
    },
    /// The field's unit or description. Compatible: they are for people.
    Words {
        /// The field.
        part: Part,
    },
    /// Where the component's presence is kept.
    Storage {
        /// The component.
        part: Part,
        /// What is there.
        there: Storage,
        /// What is wanted.
        wanted: Storage,
    },
    /// Whether exact changed rows are kept.
    Tracking {
        /// The component.
        part: Part,
        /// What is there.
        there: bool,
        /// What is wanted.
        wanted: bool,
    },
}

impl Difference {
    /// Whether a world that was laid out as it is there can be used as it is wanted.
    #[must_use]
    pub fn is_compatible(&self) -> bool {
        match self {
            Difference::Missing { part, at_end } => {
                *at_end && matches!(part.kind, PartKind::Component | PartKind::Resource)
            }
            other => !other.changes_meaning(),
        }
    }

    /// Whether the difference shows in [`Layout::hash`].
    #[must_use]
    pub fn changes_meaning(&self) -> bool {
        !matches!(
            self,
            Difference::Name { .. }
                | Difference::BytesMax { .. }
                | Difference::Tables
                | Difference::Default { .. }
                | Difference::Words { .. }
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Name { there, wanted } => write!(f, "the world is named `{there}`, wanted `{wanted}`"),
            Difference::BytesMax { there, wanted } => write!(f, "`bytes_max` is {there}, wanted {wanted}"),
            Difference::Tables => f.write_str("other tables are expected"),
            Difference::Unwanted { part } => write!(f, "{part} is there, but not wanted"),
            Difference::Missing { part, at_end: true } => {
                write!(f, "{part} is wanted, but not there (it can be added at the end)")
            }
            Difference::Missing { part, at_end: false } => write!(f, "{part} is wanted, but not there"),
            Difference::Moved { part, there, wanted } => {
                write!(f, "{part} stands at place {there}, wanted at {wanted}: declare both in the same order")
            }
            Difference::FieldType { part, there, wanted } => write!(f, "{part} is {there}, wanted {wanted}"),
            Difference::Default { part } => write!(f, "{part} has another default"),
            Difference::Words { part } => write!(f, "{part} has another unit or description"),
            Difference::Storage { part, there, wanted } => {
                write!(f, "{part} is stored as {}, wanted {}", storage_name(*there), storage_name(*wanted))
            }
            Difference::Tracking { part, there, wanted } => {
                let verb = |tracked| if tracked { "tracked" } else { "not tracked" };
                write!(f, "changes of {part} are {}, wanted {}", verb(*there), verb(*wanted))
            }
        }
    }
}

fn storage_name(storage: Storage) -> &'static str {
    match storage {
        Storage::Table => "\"table\"",
        Storage::Toggle => "\"toggle\"",
        Storage::Scratch => "\"scratch\"",
        Storage::List => "\"list\"",
        Storage::ScratchList => "\"scratch_list\"",
    }
}

impl Layout {
    /// All differences between this layout (what is there) and another (what is wanted); none where they are equal.
    #[must_use]
    pub fn difference(&self, wanted: &Layout) -> Vec<Difference> {
        let mut out = Vec::new();
        if self.name != wanted.name {
            out.push(Difference::Name { there: self.name.clone(), wanted: wanted.name.clone() });
        }
        if self.bytes_max != wanted.bytes_max {
            out.push(Difference::BytesMax { there: self.bytes_max, wanted: wanted.bytes_max });
        }
        let part = |name: &str| Part { kind: PartKind::Component, name: name.to_owned() };
        let names = |l: &Layout| l.components.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        for (there, other) in common(&names(self), &names(wanted), part, &mut out) {
            let (a, b) = (&self.components[there], &wanted.components[other]);
            if a.storage != b.storage {
                out.push(Difference::Storage { part: part(&a.name), there: a.storage, wanted: b.storage });
            }
            if a.track_changes != b.track_changes {
                let (there, wanted) = (a.track_changes, b.track_changes);
                out.push(Difference::Tracking { part: part(&a.name), there, wanted });
            }
            fields(PartKind::ComponentField, &a.name, &a.fields, &b.fields, &mut out);
        }
        let part = |name: &str| Part { kind: PartKind::Resource, name: name.to_owned() };
        let names = |l: &Layout| l.resources.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
        for (there, other) in common(&names(self), &names(wanted), part, &mut out) {
            let (a, b) = (&self.resources[there], &wanted.resources[other]);
            fields(PartKind::ResourceField, &a.name, &a.fields, &b.fields, &mut out);
        }
        if self.tables != wanted.tables {
            out.push(Difference::Tables);
        }
        out
    }
}

/// Reports parts that only one side has or that stand elsewhere; returns the places of those that both have.
fn common(
    there: &[String],
    wanted: &[String],
    part: impl Fn(&str) -> Part,
    out: &mut Vec<Difference>,
) -> Vec<(usize, usize)> {
    let places: HashMap<&str, usize> = wanted.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let mut both = Vec::new();
    for (i, name) in there.iter().enumerate() {
        match places.get(name.as_str()) {
            None => out.push(Difference::Unwanted { part: part(name) }),
            Some(&j) => {
                if i != j {
                    out.push(Difference::Moved { part: part(name), there: i, wanted: j });
                }
                both.push((i, j));
            }
        }
    }
    let shared: HashMap<usize, usize> = both.iter().map(|(i, j)| (*j, *i)).collect();
    for (j, name) in wanted.iter().enumerate().filter(|(j, _)| !shared.contains_key(j)) {
        out.push(Difference::Missing { part: part(name), at_end: j >= there.len() });
    }
    both
}

fn fields(kind: PartKind, owner: &str, there: &[FieldLayout], wanted: &[FieldLayout], out: &mut Vec<Difference>) {
    let part = |name: &str| Part { kind, name: format!("{owner}.{name}") };
    let names = |fields: &[FieldLayout]| fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    for (i, j) in common(&names(there), &names(wanted), part, out) {
        let (a, b) = (&there[i], &wanted[j]);
        if a.ty != b.ty {
            out.push(Difference::FieldType { part: part(&a.name), there: a.ty, wanted: b.ty });
        } else if default_of(a) != default_of(b) {
            out.push(Difference::Default { part: part(&a.name) });
        }
        if (&a.unit, &a.description) != (&b.unit, &b.description) {
            out.push(Difference::Words { part: part(&a.name) });
        }
    }
}

/// A default's bytes, also where it is not spelt out.
fn default_of(field: &FieldLayout) -> Vec<u8> {
    let mut out = vec![0; field.ty.bytes()];
    field.write_default(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::arbitrary::layouts;

    const BASE: &str = "name = 'w'\n[components]\na = { fields = { x = 'f32', y = 'f32' } }\nb = {}\n\
        [resources]\ng = { fields = { v = 'f64' } }\n";

    fn differences(edit: impl Fn(String) -> String) -> Vec<(String, bool)> {
        let base = Layout::parse(BASE, "base").unwrap();
        let other = Layout::parse(&edit(BASE.to_owned()), "other").unwrap();
        base.difference(&other).iter().map(|d| (d.to_string(), d.is_compatible())).collect()
    }

    #[test]
    fn each_difference_is_named_and_judged() {
        let one = |from: &str, to: &str| match differences(|s| s.replace(from, to)).as_slice() {
            [(text, ok)] => (text.clone(), *ok),
            other => panic!("one difference for {from} -> {to}, not {other:?}"),
        };
        let yes = |text: &str| (text.to_owned(), true);
        let no = |text: &str| (text.to_owned(), false);
        assert_eq!(one("'w'", "'v'"), yes("the world is named `w`, wanted `v`"));
        assert_eq!(one("'w'", "'w'\nbytes_max = '1 MiB'"), yes("`bytes_max` is 17179869184, wanted 1048576"));
        assert_eq!(
            one("b = {}", "b = {}\nc = {}"),
            yes("component `c` is wanted, but not there (it can be added at the end)")
        );
        assert_eq!(one("b = {}", ""), no("component `b` is there, but not wanted"));
        assert_eq!(one("x = 'f32'", "x = 'f64'"), no("field `a.x` is f32, wanted f64"));
        assert_eq!(one("x = 'f32'", "x = { type = 'f32', default = 1 }"), yes("field `a.x` has another default"));
        assert_eq!(
            one("x = 'f32'", "x = { type = 'f32', unit = 'm' }"),
            yes("field `a.x` has another unit or description")
        );
        assert_eq!(
            one("v = 'f64'", "v = 'f64', w = 'u8'"),
            no("resource field `g.w` is wanted, but not there (it can be added at the end)")
        );
        assert_eq!(
            one("b = {}", "b = { storage = 'toggle' }"),
            no("component `b` is stored as \"table\", wanted \"toggle\"")
        );
        assert_eq!(
            one("b = {}", "b = { track_changes = true }"),
            no("changes of component `b` are not tracked, wanted tracked")
        );
        assert_eq!(differences(|s| s + "[[tables]]\ncomponents = ['a']\nrows = 1"), [yes("other tables are expected")]);
        let swapped = differences(|s| s.replace("x = 'f32', y", "y = 'f32', x"));
        assert_eq!(swapped[0], no("field `a.x` stands at place 0, wanted at 1: declare both in the same order"));
        let inserted = differences(|s| s.replace("b = {}", "c = {}\nb = {}"));
        assert_eq!(inserted.len(), 2);
        assert!(inserted.iter().all(|(_, compatible)| !compatible), "{inserted:?}");
    }

    /// A default spelt out and the same one left out are the same.
    #[test]
    fn an_explicit_zero_is_no_difference() {
        assert_eq!(differences(|s| s.replace("x = 'f32'", "x = { type = 'f32', default = 0.0 }")), []);
    }

    proptest! {
        #[test]
        fn hashes_agree_with_differences(a in layouts(), b in layouts(), same in any::<bool>()) {
            let mut b = b;
            if same {
                b.components = a.components.clone();
                b.resources = a.resources.clone();
                b.tables.clear();
            }
            prop_assert_eq!(a.difference(&a), vec![]);
            let meaning = a.difference(&b).iter().any(Difference::changes_meaning);
            prop_assert_eq!(a.hash() != b.hash(), meaning);
        }
    }
}
