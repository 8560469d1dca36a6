//! The rules, each a function from text to faults.
#![forbid(unsafe_code)]

use super::UNSAFE_LIST;
use super::files::File;
use super::source::{code, has_word, positions};

/// A word that does not belong into the repository.
struct Word {
    word: &'static str,
    place: Place,
    why: &'static str,
}

/// Where a word is looked for.
#[derive(PartialEq, Eq)]
enum Place {
    /// In all text of all files.
    Anywhere,
    /// In Rust code, not in its comments and literals.
    Code,
    /// In Rust files, but neither in test code nor in documentation.
    Shipped,
}

/// The words, in pieces, so that this file keeps its own rules.
const WORDS: &[Word] = &[
    Word { word: concat!("FIX", "ME"), place: Place::Anywhere, why: "a note to oneself" },
    Word { word: concat!("XX", "X"), place: Place::Anywhere, why: "a note to oneself" },
    Word { word: concat!("todo", "!("), place: Place::Code, why: "unfinished code" },
    Word { word: concat!("unimplemented", "!("), place: Place::Code, why: "unfinished code" },
    Word { word: concat!("dbg", "!("), place: Place::Code, why: "a trace of debugging" },
    Word { word: concat!("/wo", "rk/"), place: Place::Anywhere, why: "one machine's path" },
    Word { word: concat!("/ho", "me/"), place: Place::Anywhere, why: "one machine's path" },
    Word { word: concat!("/ro", "ot/"), place: Place::Anywhere, why: "one machine's path" },
    Word { word: concat!("/Us", "ers/"), place: Place::Anywhere, why: "one machine's path" },
    Word { word: concat!("/t", "mp/"), place: Place::Shipped, why: "`std::env::temp_dir` knows the path" },
];

/// Files whose words are others'.
const NOT_OUR_WORDS: &[&str] = &[
    "Cargo.lock",
    "compare/Cargo.lock",
    "compare/web/package-lock.json",
    "fuzz/Cargo.lock",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "web/engine/Cargo.lock",
    "web/package-lock.json",
];

/// Files that stand at the root; `.gitattributes` and the like beside them.
const AT_ROOT: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

/// No other file stands at the root: what programs leave where they were started does not belong there.
pub(crate) fn at_root(file: &File) -> Option<String> {
    let is_known = file.path.contains('/') || file.path.starts_with('.') || AT_ROOT.contains(&file.path.as_str());
    (!is_known).then(|| format!("{}: no such file belongs at the root; `AT_ROOT` lists those that do", file.path))
}

/// A Rust file begins with its description.
pub(crate) fn header(file: &File) -> Option<String> {
    if !file.is_rust() {
        return None;
    }
    let mut lines = file.text.lines().skip_while(|line| line.trim().is_empty());
    let mut first = lines.next().unwrap_or_default();
    // Inner attributes may come first, on one line or several.
    while first.starts_with("#![") {
        let mut line = first;
        while !line.trim_end().ends_with(']') {
            let Some(next) = lines.next() else { break };
            line = next;
        }
        first = lines.find(|line| !line.trim().is_empty()).unwrap_or_default();
    }
    let described = first.strip_prefix("//!").is_some_and(|text| !text.trim().is_empty());
    (!described).then(|| format!("{}: begin with `//!`: what the file holds and its invariants", file.path))
}

/// The list of unsafe files is exact.
pub(crate) fn unsafe_list(list: &str, files: &[File]) -> Vec<String> {
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let listed: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let mut faults = Vec::new();
    for pair in listed.windows(2) {
        if pair[0] >= pair[1] {
            faults.push(format!(
                "{UNSAFE_LIST}: {} stands after {}; keep the list sorted, each file once",
                pair[1], pair[0]
            ));
        }
    }
    for file in files.iter().filter(|file| file.is_rust()) {
        let found = has_word(&code(&file.text), "unsafe");
        match (found, listed.contains(&file.path.as_str())) {
            (true, false) => faults.push(format!(
                "{}: unsafe code outside of {UNSAFE_LIST}: move it into a listed file, or list this one and say why",
                file.path
            )),
            (false, true) => {
                faults.push(format!("{UNSAFE_LIST}: {} holds no unsafe code; take it off the list", file.path))
            }
            _ => {}
        }
    }
    for path in listed {
        if !files.iter().any(|file| file.path == path) {
            faults.push(format!("{UNSAFE_LIST}: there is no file {path}; take it off the list"));
        }
    }
    faults
}

/// No forbidden words.
pub(crate) fn words(file: &File) -> Vec<String> {
    if NOT_OUR_WORDS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let code = if file.is_rust() { code(&file.text) } else { String::new() };
    let mut faults = Vec::new();
    for Word { word, place, why } in WORDS {
        let text: &str = match place {
            Place::Anywhere => &file.text,
            Place::Code => &code,
            Place::Shipped if file.is_rust() => shipped(file, &code),
            Place::Shipped => continue,
        };
        for at in positions(text, word).filter(|at| !word.starts_with('/') || starts_a_path(text, *at)) {
            let (line, from) = line_of(text, at);
            let comment = text[from..].trim_start().starts_with("//");
            if *place != Place::Shipped || !comment {
                faults.push(format!("{}:{line}: `{word}`: {why}", file.path));
            }
        }
    }
    faults
}

/// The part of a Rust file that is no test code: all before the first `#[cfg(test)]`, by whatever condition.
fn shipped<'a>(file: &'a File, code: &str) -> &'a str {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let in_tests =
        |folder: &str| file.path.starts_with(&format!("{folder}/")) || file.path.contains(&format!("/{folder}/"));
    if in_tests("tests") || in_tests("benches") || name.starts_with("tests") || name.ends_with("tests.rs") {
        return "";
    }
    let end = ["#[cfg(test)]", "#[cfg(all(test"].iter().filter_map(|mark| code.find(mark)).min();
    &file.text[..end.unwrap_or(file.text.len())]
}

/// Whether the `/` at this place begins an absolute path: `framework/x` and `a/b/` do not hold one.
fn starts_a_path(text: &str, at: usize) -> bool {
    !text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "._-~}/".contains(c))
}

/// The number of the line of a place, and where the line begins.
fn line_of(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |end| end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn files_begin_with_their_description() {
        for text in [
            "//! What it is.\n",
            "\n//! What it is.\n",
            "#![forbid(unsafe_code)]\n//! What it is.\n",
            "#![expect(\n    dead_code,\n    reason = \"x\"\n)]\n\n//! What it is.\n",
        ] {
            assert_eq!(header(&file("src/a.rs", text)), None, "{text}");
        }
        for text in ["", "use a;\n", "//!\n", "// A comment.\n//! Late.\n", "#![forbid(unsafe_code)]\nuse a;\n"] {
            assert!(header(&file("src/a.rs", text)).is_some(), "{text}");
        }
        assert_eq!(header(&file("README.md", "# x")), None);
    }

    #[test]
    fn strangers_at_the_root_are_told() {
        for path in ["README.md", ".gitignore", "src/run.log"] {
            assert_eq!(at_root(&file(path, "")), None, "{path}");
        }
        assert!(at_root(&file("run.log", "")).is_some_and(|fault| fault.starts_with("run.log: ")));
    }

    #[test]
    fn the_unsafe_list_is_exact() {
        let files = [file("src/a.rs", "unsafe fn f() {}"), file("src/b.rs", "// unsafe"), file("c.md", "unsafe")];
        assert_eq!(unsafe_list("# why\nsrc/a.rs # reads columns\n", &files), [""; 0]);
        for (list, part) in [
            ("", "src/a.rs: unsafe code outside"),
            ("src/a.rs\nsrc/b.rs", "src/b.rs holds no unsafe"),
            ("src/a.rs\nsrc/z.rs", "there is no file src/z.rs"),
            ("src/a.rs\nsrc/a.rs", "sorted"),
        ] {
            let faults = unsafe_list(list, &files);
            assert!(faults.len() == 1 && faults[0].contains(part), "{list}: {faults:?}");
        }
    }

    #[test]
    fn forbidden_words_are_found_where_they_count() {
        let (home, temporary) = (concat!("/ho", "me/me"), concat!("/t", "mp/x"));
        let (note, macro_call) = (concat!("FIX", "ME"), concat!("todo", "!()"));
        let count = |path: &str, text: String| words(&file(path, &text)).len();
        assert_eq!(count("docs/a.md", format!("see {home}")), 1);
        assert_eq!(count("docs/a.md", format!("`{temporary}` is fine in docs, docs{home} is no absolute path")), 0);
        assert_eq!(count("src/a.rs", format!("// {note}: later")), 1);
        assert_eq!(count("src/a.rs", format!("// PRE{note}D")), 0);
        assert_eq!(count("src/a.rs", format!("fn f() {{ {macro_call} }}")), 1);
        assert_eq!(count("src/a.rs", format!("/// Not {macro_call}.\nconst A: &str = \"{macro_call}\";")), 0);
        assert_eq!(count("src/a.rs", format!("const A: &str = \"{temporary}\";")), 1);
        assert_eq!(count("src/a.rs", format!("    /// As {temporary}.")), 0);
        assert_eq!(count("src/a.rs", format!("#[cfg(test)]\nmod tests {{ const A: &str = \"{temporary}\"; }}")), 0);
        assert_eq!(count("tests/a.rs", format!("const A: &str = \"{temporary}\";")), 0);
        assert_eq!(count("src/x/tests/shared.rs", format!("const A: &str = \"{temporary}\";")), 0);
        let fault = &words(&file("src/a.rs", &format!("\n\n// {note}")))[0];
        assert!(fault.starts_with("src/a.rs:3: "), "{fault}");
    }
}
