//! The pages that name a test for each promise: the tests have to be there.
#![forbid(unsafe_code)]

use super::files::File;
use super::source::has_word;

/// The pages. A test is named as `` `path/of/file.rs name` ``.
const PAGES: [&str; 2] = ["docs/TESTING.md", "docs/SECURITY.md"];

/// Tests that the pages name and nobody has.
pub(super) fn missing(files: &[File]) -> Vec<String> {
    PAGES.iter().flat_map(|page| missing_of(page, files)).collect()
}

fn missing_of(path_of_page: &str, files: &[File]) -> Vec<String> {
    let Some(page) = files.iter().find(|file| file.path == path_of_page) else {
        return vec![format!("{path_of_page} is missing")];
    };
    let mut faults = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            let Some((path, name)) = quoted.split_once(' ') else { continue };
            if !(path.ends_with(".rs") || path.ends_with(".py")) {
                continue;
            }
            let there = files.iter().any(|file| file.path == path && has_word(&file.text, name));
            if !there {
                faults.push(format!("{path_of_page}:{}: there is no test {name} in {path}", index + 1));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_gone_is_told_with_its_line() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let page = "| it holds | `tests/a.rs one`, `tests/a.rs tw` |\n| so | `tests/b.rs one`, `cargo xtask house` |\n";
        let files = [file(PAGES[0], page), file("tests/a.rs", "fn one() {}\nfn two() {}\n")];
        let told = [
            "docs/TESTING.md:1: there is no test tw in tests/a.rs",
            "docs/TESTING.md:2: there is no test one in tests/b.rs",
            "docs/SECURITY.md is missing",
        ];
        assert_eq!(missing(&files), told);
    }
}
