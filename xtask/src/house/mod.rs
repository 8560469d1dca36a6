//! House rules: what the repository asks of its own files, beyond what the compiler and clippy see.
//!
//! - Every Rust file begins with `//!`, or with inner attributes and then `//!`.
//! - `unsafe` stands in the files that `xtask/unsafe-files.txt` lists, in all of them, and nowhere else.
//! - Words that do not belong into the repository: unfinished code, notes to oneself, one machine's paths.
//! - No file stands at the root that is not known there.
//! - The folders of `src/` import one another without circles.
//! - `//!` comes before `#![...]`; unit tests stand in `mod tests` or in `tests.rs` of a folder.
//! - Functions have at most 70 lines, but for those that `xtask/long-functions.txt` names with a reason; text in Markdown has
//!   at most 120 characters a line.
//! - What is `pub(crate)` or `pub(super)` is used.
//! - Rust files have at most 700 lines.
//! - Tests that docs/TESTING.md names as evidence exist.
#![forbid(unsafe_code)]

mod evidence;
mod facts;
mod files;
mod floors;
mod rules;
mod shape;
mod source;

use crate::report::Outcome;
use crate::tools::root;

/// The list of files that may hold unsafe code: a path in each line, `#` begins a comment.
const UNSAFE_LIST: &str = "xtask/unsafe-files.txt";

/// Checks all rules on all files of the repository, and prints the figures of the house.
pub(crate) fn check_and_print() -> Outcome {
    match files::collect(root()) {
        Ok(files) => print!("{}", facts::table(&files)),
        Err(error) => return Outcome::Failed(format!("cannot read the repository: {error}")),
    }
    check()
}

/// Checks all rules on all files of the repository.
pub(crate) fn check() -> Outcome {
    let files = match files::collect(root()) {
        Ok(files) => files,
        Err(error) => return Outcome::Failed(format!("cannot read the repository: {error}")),
    };
    let Some(list) = files.iter().find(|file| file.path == UNSAFE_LIST) else {
        return Outcome::Failed(format!("{UNSAFE_LIST} is missing"));
    };
    let mut faults = rules::unsafe_list(&list.text, &files);
    let floors = floors::Floors::of(&files);
    print!("{}", floors.table());
    faults.extend(floors.faults());
    for file in &files {
        faults.extend(rules::at_root(file));
        faults.extend(rules::header(file));
        faults.extend(rules::words(file));
        faults.extend(shape::tests_place(file));
    }
    faults.extend(files.iter().filter_map(shape::head));
    faults.extend(files.iter().flat_map(shape::width));
    let list = files.iter().find(|file| file.path == shape::LONG_FUNCTIONS).map_or("", |file| file.text.as_str());
    let (long_functions, listed) = shape::long_functions(list, &files);
    println!("functions over 70 lines: {listed} with a reason, {} without", long_functions.len());
    faults.extend(long_functions);
    faults.extend(shape::dead(&files));
    faults.extend(files.iter().filter_map(shape::length));
    faults.extend(evidence::missing(&files));
    faults.iter().for_each(|fault| println!("error: {fault}"));
    if faults.is_empty() {
        Outcome::Passed(format!("{} files", files.len()))
    } else {
        Outcome::Failed(format!("{} faults", faults.len()))
    }
}
