//! What a file looks like: the order of its head, where its tests stand, how long its functions are, how wide its text is.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::files::File;
use super::source::{code, positions};

/// Lines of the longest function.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines that a file may have.
const FILE_LINES_MAX: usize = 700;
/// Characters of the longest line of text.
const WIDTH_MAX: usize = 120;
/// Functions that may be longer: `path function  # why`, sorted.
pub(super) const LONG_FUNCTIONS: &str = "xtask/long-functions.txt";
/// Where functions may be as long as they are: tests are read from top to bottom, a case of the comparison lists its contenders.
const SCRIPTS: [&str; 3] = ["tests/", "compare/", "benches/"];
/// Pages that a program writes.
const WRITTEN: [&str; 3] = ["docs/BENCHMARKS", "docs/benchmarks", "docs/PHYSICS.md"];

/// A function of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub name: String,
    /// Its first line, from 1.
    pub line: usize,
    pub lines: usize,
}

/// The functions of a file's code that have a body.
pub(super) fn functions(code: &str) -> Vec<Function> {
    positions(code, "fn").filter_map(|at| function(code, at)).collect()
}

fn function(code: &str, at: usize) -> Option<Function> {
    let rest = &code[at + 2..];
    let name: String = rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut depth = 0_usize;
    let begin = rest.char_indices().find_map(|(index, c)| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' if depth == 0 => return Some(Some(index)),
            ';' if depth == 0 => return Some(None),
            _ => {}
        }
        None
    })??;
    let mut depth = 0_usize;
    let length = rest[begin..].char_indices().find_map(|(index, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(index)
    })?;
    let lines = rest[..begin + length].matches('\n').count() + 1;
    (!name.is_empty()).then(|| Function { name, line: code[..at].matches('\n').count() + 1, lines })
}

/// Functions that are longer than they may be and not on the list; what stands on the list in vain. And how many are on it.
pub(super) fn long_functions(list: &str, files: &[File]) -> (Vec<String>, usize) {
    let entry = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let (path, name) = line.trim().split_once(' ')?;
        Some((path.to_owned(), name.trim().to_owned()))
    };
    let mut listed: HashMap<(String, String), bool> = list.lines().filter_map(entry).map(|e| (e, false)).collect();
    let mut faults = Vec::new();
    let is_script = |file: &File| SCRIPTS.iter().any(|folder| file.path.starts_with(folder));
    for file in files.iter().filter(|file| file.is_rust() && !is_script(file)) {
        for found in functions(&code(&file.text)).into_iter().filter(|found| found.lines > FUNCTION_LINES_MAX) {
            match listed.get_mut(&(file.path.clone(), found.name.clone())) {
                Some(seen) => *seen = true,
                None => faults.push(format!(
                    "{}:{}: {} has {} lines; a function has {FUNCTION_LINES_MAX} at most, unless {LONG_FUNCTIONS} says why",
                    file.path, found.line, found.name, found.lines
                )),
            }
        }
    }
    let vain = listed.iter().filter(|(_, seen)| !**seen);
    faults.extend(vain.map(|((path, name), _)| {
        format!("{LONG_FUNCTIONS}: {path} has no function {name} that is too long; take it off the list")
    }));
    faults.sort();
    (faults, listed.len())
}

/// A file is short enough to be read in one go.
pub(super) fn length(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    (file.is_rust() && lines > FILE_LINES_MAX)
        .then(|| format!("{}: {lines} lines; a file has {FILE_LINES_MAX} at most: split it by its nouns", file.path))
}

/// The description comes first, then the attributes of the file.
pub(super) fn head(file: &File) -> Option<String> {
    let late = file.is_rust() && file.text.trim_start().starts_with("#![");
    late.then(|| format!("{}: begin with `//!`; `#![...]` stands after it", file.path))
}

/// Unit tests stand in `mod tests` of the file, or in `tests.rs` of its folder; nowhere else.
pub(super) fn tests_place(file: &File) -> Option<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let in_src = file.path.starts_with("src/") || file.path.contains("/src/");
    let odd = name.ends_with("_tests.rs") || name.starts_with("tests_") || name.ends_with("_test.rs");
    (file.is_rust() && in_src && odd)
        .then(|| format!("{}: unit tests of x.rs stand in its `mod tests`, or in x/tests.rs", file.path))
}

/// Text is wrapped; tables, code, pictures and what a program writes are not looked at.
pub(super) fn width(file: &File) -> Vec<String> {
    if !file.path.ends_with(".md") || WRITTEN.iter().any(|written| file.path.starts_with(written)) {
        return Vec::new();
    }
    let mut fenced = false;
    let mut faults = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let text = !fenced && !["|", "![", "    ", "["].iter().any(|mark| line.starts_with(mark));
        let width = line.chars().count();
        if text && width > WIDTH_MAX {
            faults.push(format!("{}:{}: {width} characters; text is wrapped at {WIDTH_MAX}", file.path, index + 1));
        }
    }
    faults
}

/// Items for the crate's own use that nobody names.
pub(super) fn dead(files: &[File]) -> Vec<String> {
    let code: Vec<(&File, String)> =
        files.iter().filter(|file| file.is_rust()).map(|file| (file, code(&file.text))).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (_, code) in &code {
        for word in code.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut faults = Vec::new();
    for (file, code) in &code {
        for (at, _) in code.match_indices("pub(") {
            let Some(item) = code[at..].split_once(')').and_then(|(_, rest)| declared(rest)) else { continue };
            if counts.get(item) == Some(&1) {
                let line = code[..at].matches('\n').count() + 1;
                faults.push(format!("{}:{line}: nobody uses {item}", file.path));
            }
        }
    }
    faults
}

/// The name of the item that this declares; a field or a path declares none.
fn declared(rest: &str) -> Option<&str> {
    const KINDS: [&str; 7] = ["fn", "struct", "enum", "static", "type", "trait", "mod"];
    let mut words = rest.split_whitespace();
    let word = loop {
        match words.next()? {
            "unsafe" | "async" | "extern" => {}
            "const" => {
                let next = words.next()?;
                break if KINDS.contains(&next) { words.next()? } else { next };
            }
            kind if KINDS.contains(&kind) => break words.next()?,
            _ => return None,
        }
    };
    let end = word.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(word.len());
    (end > 0).then(|| &word[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: String) -> File {
        File { path: path.to_owned(), text }
    }

    #[test]
    fn functions_are_measured() {
        let source = "fn a(x: [u8; 3]) -> u8 {\n    { 1 }\n}\ntrait T { fn b(); }\nconst fn c() {}\n";
        let found: Vec<_> = functions(source).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("a".to_owned(), 1, 3), ("c".to_owned(), 5, 1)]);
    }

    #[test]
    fn long_functions_are_split_or_listed() {
        let long = |lines: usize| file("src/a.rs", format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2)));
        assert_eq!(long_functions("", &[long(70)]), (vec![], 0));
        assert!(long_functions("", &[long(71)]).0[0].contains("src/a.rs:1: f has 71 lines"));
        assert_eq!(long_functions("src/a.rs f  # one table\n", &[long(71)]), (vec![], 1));
        assert!(long_functions("src/a.rs f  # one table\n", &[long(70)]).0[0].contains("take it off"));
    }

    #[test]
    fn long_files_are_faults() {
        let of = |lines: usize| length(&file("tests/a.rs", "f();\n".repeat(lines)));
        assert_eq!(of(700), None);
        assert!(of(701).is_some_and(|fault| fault.starts_with("tests/a.rs: 701 lines")));
    }

    #[test]
    fn heads_and_tests_have_one_place() {
        assert_eq!(head(&file("a.rs", "//! A.\n#![forbid(unsafe_code)]\n".to_owned())), None);
        assert!(head(&file("a.rs", "#![forbid(unsafe_code)]\n//! A.\n".to_owned())).is_some());
        let place = |path: &str| tests_place(&file(path, String::new())).is_some();
        assert!(place("src/a_tests.rs") && place("cli/src/tests_shared.rs"));
        assert!(!place("src/a/tests.rs") && !place("tests/a_tests.rs"));
    }

    #[test]
    fn text_is_wrapped_and_tables_are_not() {
        let wide = "x ".repeat(61);
        let text = format!("{wide}\n| {wide}|\n```\n{wide}\n```\n");
        let faults = width(&file("docs/a.md", text.clone()));
        assert!(faults.len() == 1 && faults[0].starts_with("docs/a.md:1: 122"), "{faults:?}");
        assert_eq!(width(&file("docs/benchmarks/a.md", text)), [""; 0]);
    }

    #[test]
    fn items_that_nobody_names_are_found() {
        let text = "pub(crate) fn used() {}\npub(super) const fn lost() {}\nstruct S { pub(crate) field: u8 }\n";
        let faults = dead(&[file("src/a.rs", text.to_owned()), file("src/b.rs", "fn f() { used(); }".to_owned())]);
        assert!(faults.len() == 1 && faults[0] == "src/a.rs:2: nobody uses lost", "{faults:?}");
    }
}
