//! The floors of `src/`: which folder imports which, from the paths in the code, and the circles among them.
//!
//! A file directly under `src/` is a folder of its own. Names at the crate's root count as the module that `lib.rs` takes
//! them from. Tests are left out, and so is what only tests and fuzzing use: they stand beside the house.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use super::files::File;
use super::source::{code, positions};

/// Not part of the building: the list of names, and what tests and fuzz targets use.
const OUTSIDE: [&str; 3] = ["lib", "fuzzing", "own_process"];

/// What each folder imports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Floors {
    /// By folder: what it imports, with the files that do.
    pub imports: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// By folder: files and lines.
    pub sizes: BTreeMap<String, (usize, usize)>,
}

impl Floors {
    /// The floors of the files under `src/`.
    pub(crate) fn of(files: &[File]) -> Floors {
        let names = files.iter().find(|file| file.path == "src/lib.rs").map(|lib| root_names(&code(&lib.text)));
        let names = names.unwrap_or_default();
        let mut floors = Floors::default();
        for file in files.iter().filter(|file| file.is_rust()) {
            let Some(path) = file.path.strip_prefix("src/").filter(|path| !is_test(path)) else { continue };
            let folder = path.split('/').next().unwrap_or(path).trim_end_matches(".rs");
            if OUTSIDE.contains(&folder) {
                continue;
            }
            let (count, lines) = floors.sizes.entry(folder.to_owned()).or_default();
            *count += 1;
            *lines += file.text.lines().count();
            let imports = floors.imports.entry(folder.to_owned()).or_default();
            for head in heads(shipped(&code(&file.text))) {
                let to = names.get(&head).unwrap_or(&head);
                if to != folder && !OUTSIDE.contains(&to.as_str()) {
                    imports.entry(to.clone()).or_default().insert(file.path.clone());
                }
            }
        }
        // names that are no folder: macros, derives
        let known: BTreeSet<String> = floors.imports.keys().cloned().collect();
        floors.imports.values_mut().for_each(|imports| imports.retain(|to, _| known.contains(to)));
        floors
    }

    /// The folders from the ground up, each above all that it imports; then the circles that are left.
    pub(crate) fn order(&self) -> (Vec<&str>, Vec<&str>) {
        let mut order: Vec<&str> = Vec::new();
        let mut left: Vec<&str> = self.imports.keys().map(String::as_str).collect();
        loop {
            let stands = |folder: &&str| self.imports[*folder].keys().all(|to| order.contains(&to.as_str()));
            let (ready, rest): (Vec<&str>, Vec<&str>) = left.iter().copied().partition(stands);
            if ready.is_empty() {
                return (order, in_circles(self, rest));
            }
            order.extend(ready);
            left = rest;
        }
    }

    /// Each circle's imports as faults.
    pub(crate) fn faults(&self) -> Vec<String> {
        let (_, circles) = self.order();
        let mut faults = Vec::new();
        for folder in &circles {
            for (to, files) in self.imports[*folder].iter().filter(|(to, _)| circles.contains(&to.as_str())) {
                let files: Vec<&str> = files.iter().map(String::as_str).collect();
                faults.push(format!(
                    "src/{folder} imports {to} and stands in a circle with it ({}): a noun that both need wants a floor \
                     below them",
                    files.join(", ")
                ));
            }
        }
        faults
    }

    /// The folders in floor order with what they import.
    pub(crate) fn table(&self) -> String {
        let (order, circles) = self.order();
        let mut text = format!("{:<12} {:>5} {:>7}  imports\n", "folder", "files", "lines");
        for folder in order.into_iter().chain(circles) {
            let (files, lines) = self.sizes.get(folder).copied().unwrap_or_default();
            let imports: Vec<&str> = self.imports[folder].keys().map(String::as_str).collect();
            text += &format!("{folder:<12} {files:>5} {lines:>7}  {}\n", imports.join(" "));
        }
        text
    }
}

/// Of folders that cannot be put in order, those that reach themselves; the others only stand on them.
fn in_circles<'a>(floors: &Floors, left: Vec<&'a str>) -> Vec<&'a str> {
    let reaches_itself = |folder: &&str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![*folder]);
        while let Some(at) = next.pop() {
            for to in floors.imports.get(at).into_iter().flat_map(BTreeMap::keys) {
                if to == folder {
                    return true;
                }
                if seen.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        false
    };
    left.into_iter().filter(reaches_itself).collect()
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("tests.rs")
        || path.rsplit('/').next().is_some_and(|f| f.starts_with("tests"))
}

/// All before the first test module that stands in the file itself.
fn shipped(code: &str) -> &str {
    let is_test_module = |at: &usize| {
        let before = code[..*at].trim_end();
        let attribute = before.rfind("#[").map_or("", |begin| &before[begin..]);
        let opens = code[*at..].find(['{', ';']).is_some_and(|end| code[*at + end..].starts_with('{'));
        opens && attribute.ends_with(']') && attribute.starts_with("#[cfg(") && attribute.contains("test")
    };
    let end = positions(code, "mod").find(is_test_module);
    &code[..end.unwrap_or(code.len())]
}

/// The first word after each `crate::`, also of groups.
fn heads(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.extend(word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut begins = true;
                for (index, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && (c.is_alphabetic() || c == '_') => {
                            found.extend(word(&group[index..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// Names at the crate's root, with the module that each comes from.
fn root_names(lib: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (at, _) in lib.match_indices("pub use ") {
        let Some((path, _)) = lib[at + "pub use ".len()..].split_once(';') else { continue };
        let Some((module, list)) = path.split_once("::").filter(|(module, _)| *module != "crate") else { continue };
        for name in list.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|name| !name.is_empty()) {
            names.entry(name.to_owned()).or_insert_with(|| module.trim().to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn folders_stand_in_order_above_what_they_import() {
        let files = [
            file(
                "src/lib.rs",
                "mod a;\nmod b;\npub use a::{Thing, Other};\npub use b::Last;\npub mod p { pub use crate::a::Q; }\n",
            ),
            file("src/a.rs", "//! crate::c is only named\nstruct Thing;"),
            file("src/b/mod.rs", "use crate::{Thing, limits::{X, Y}};\n"),
            file("src/limits.rs", ""),
            file("src/c/x.rs", "use crate::Last;\n#[cfg(test)]\nmod tests { use crate::d::Z; }"),
            file("src/c/tests.rs", "use crate::d::Z;"),
            file("src/d.rs", "use crate::{a, c::Q};"),
        ];
        let floors = Floors::of(&files);
        assert_eq!(floors.order(), (vec!["a", "limits", "b", "c", "d"], vec![]));
        assert_eq!(floors.faults(), [""; 0]);
        assert!(floors.table().contains("b                1       1  a limits\n"), "{}", floors.table());
        assert!(floors.imports["d"].contains_key("a"), "what is exported again for macros is no name of the root");
    }

    #[test]
    fn circles_are_faults_and_those_above_them_are_not() {
        let files = [
            file("src/a.rs", "fn f() { crate::b::g() }"),
            file("src/b/mod.rs", "fn g() {}"),
            file("src/b/deep.rs", "use crate::a;"),
            file("src/top.rs", "use crate::b;"),
        ];
        let floors = Floors::of(&files);
        assert_eq!(floors.order().1, ["a", "b"]);
        let faults = floors.faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[1].contains("src/b/deep.rs"), "{faults:?}");
    }
}
