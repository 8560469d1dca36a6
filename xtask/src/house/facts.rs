//! Figures of the house that `cargo xtask house` prints: crates, public names, examples.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::time::Duration;

use super::files::File;
use super::source::code;
use crate::process::ask;
use crate::tools::cargo;

/// How long cargo may take to list crates.
const ASK: Duration = Duration::from_mins(1);

/// The figures, a line each.
pub(super) fn table(files: &[File]) -> String {
    let list = |words: &str| crates(words).unwrap_or_default();
    let crates = |words: &str| match list(words).len() {
        0 => "not known".to_owned(),
        count => count.to_string(),
    };
    let names = files.iter().find(|file| file.path == "src/lib.rs").map(|lib| root_names(&code(&lib.text)));
    let examples = files.iter().filter(|file| is_example(&file.path)).count();
    format!(
        "crates that the library is built of, itself included: {}\n\
         crates that the command is built of: {}; without default features: {}; with `query`: {}\n\
         in several versions: of the library's {}; of the command's {}\n\
         public names at the root: {}\n\
         examples: {examples}\n",
        crates("hypostyle"),
        crates("hypostyle-cli"),
        crates("hypostyle-cli --no-default-features"),
        crates("hypostyle-cli --features query"),
        several(&list("hypostyle")),
        several(&list("hypostyle-cli")),
        names.unwrap_or_default().len(),
    )
}

fn is_example(path: &str) -> bool {
    path.ends_with(".rs") && (path.starts_with("examples/") || path.contains("/examples/"))
}

/// The names that stand there with more than one version.
fn several(crates: &BTreeSet<(String, String)>) -> String {
    let names: Vec<&str> = crates.iter().map(|(name, _)| name.as_str()).collect();
    let twice: BTreeSet<&str> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    if twice.is_empty() { "none".to_owned() } else { twice.into_iter().collect::<Vec<_>>().join(" ") }
}

/// The crates that a package is built of for this machine, with their versions.
fn crates(words: &str) -> Option<BTreeSet<(String, String)>> {
    let words = format!("tree --locked --offline --edges normal --prefix none --format {{p}} --package {words}");
    let text = ask(&mut cargo(&words), ASK)?;
    let names = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    Some(names.collect())
}

/// The names that `lib.rs` makes public: modules, and what it takes from them. Names in its modules are not at the root.
fn root_names(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for statement in outermost(code).split(';') {
        let statement = statement.trim_start_matches(|c: char| c.is_whitespace());
        let Some(at) = statement.rfind("\npub ").map(|at| at + 1).or(statement.starts_with("pub ").then_some(0)) else {
            continue;
        };
        let item = &statement[at + "pub ".len()..];
        if let Some(module) = item.strip_prefix("mod ") {
            names.insert(module.trim().to_owned());
        } else if let Some(path) = item.strip_prefix("use ") {
            let list = path.split_once('{').map_or(path, |(_, list)| list.trim_end().trim_end_matches('}'));
            let last = |name: &str| name.rsplit([':', ' ']).next().unwrap_or_default().to_owned();
            names.extend(list.split(',').map(|name| last(name.trim())).filter(|name| !name.is_empty()));
        }
    }
    names
}

/// The code with each module's body as one `;`.
fn outermost(code: &str) -> String {
    let mut out = String::new();
    let (mut rest, mut open) = (code, 0_usize);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = (&rest[..at], rest.as_bytes()[at]);
        // lists of names are no bodies
        let opens = brace == b'{' && (open > 0 || !before.trim_end().ends_with("::"));
        let closes = brace == b'}' && open > 0;
        if open == 0 {
            out += before;
            out += if opens { ";" } else { &rest[at..=at] };
        }
        open = open + usize::from(opens) - usize::from(closes);
        rest = &rest[at + 1..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_in_several_versions_are_named() {
        let crates = |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(several(&crates(&[("a", "v1"), ("b", "v1"), ("b", "v2"), ("b", "v3"), ("c", "v2")])), "b");
        assert_eq!(several(&crates(&[("a", "v1"), ("b", "v1")])), "none");
    }

    #[test]
    fn names_at_the_root_are_counted() {
        let lib = "mod a;\npub mod limits;\npub use a::{B, C as D,\n    E};\n#[cfg(unix)]\npub use f::G;\npub(crate) use h::I;\n\
                   pub mod errors {\n    pub use a::{J, K};\n    pub fn f() { {} }\n    pub use a::L;\n}\npub use a::M;\n";
        let names: Vec<String> = root_names(lib).into_iter().collect();
        assert_eq!(names, ["B", "D", "E", "G", "M", "errors", "limits"]);
    }
}
