//! The book in `docs/book`: its shell commands run, its links lead somewhere, and every block is run by somebody.
//!
//! Rust blocks are documentation tests of this crate (`cargo test --doc --package hypostyle-book`). Blocks of Python and of
//! JavaScript run in `python/tests/test_book.py` and `web/tests/live/book.test.ts`.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "all of it is test code")]

mod blocks;
mod expect;
mod links;
mod shell;

use blocks::{Chapter, Note, chapters, root};

/// Who runs a block of a language.
fn runner(language: &str, attributes: &str) -> Option<&'static str> {
    match (language, attributes) {
        ("rust", "" | "no_run" | "should_panic") => Some("the documentation tests"),
        ("sh" | "bash", "") => Some("this test"),
        ("python", "") => Some("python/tests/test_book.py"),
        ("js", "") => Some("web/tests/live/book.test.ts"),
        _ => None,
    }
}

/// Blocks that nobody runs; a chapter, a line and a reason each.
fn not_run(chapters: &[Chapter]) -> Vec<(&str, usize, &str)> {
    let mut all = Vec::new();
    for chapter in chapters {
        all.extend(chapter.blocks.iter().filter_map(|b| b.not_run().map(|why| (chapter.name.as_str(), b.line, why))));
    }
    all
}

#[test]
fn every_block_is_run_or_says_why_not() {
    let chapters = chapters();
    assert!(chapters.len() >= 20, "{} chapters", chapters.len());
    let mut run = 0;
    for chapter in &chapters {
        let mut before: Option<&blocks::Block> = None;
        for block in &chapter.blocks {
            let place = format!("docs/book/{}.md:{}", chapter.name, block.line);
            let output = block.language == "text";
            let after = before.is_some_and(|before| block.follows && runner(&before.language, "").is_some());
            match (&block.note, runner(&block.language, &block.attributes)) {
                // of a language that nobody runs, or one that could be: with a reason
                (Some(Note::NotRun(why)), _) => assert!(why.len() > 12, "{place}: a reason, please: {why}"),
                (Some(Note::File(_)), _) | (None, Some(_)) => run += 1,
                (None, None) if output && (after || block.attributes == "drawing") => {}
                (None, None) => panic!("{place}: nobody runs `{}`; say `<!-- not run: why -->`", block.language),
            }
            before = Some(block);
        }
    }
    let left = not_run(&chapters);
    for (chapter, line, why) in &left {
        eprintln!("not run: docs/book/{chapter}.md:{line}: {why}");
    }
    eprintln!("{run} blocks are run, {} are not", left.len());
    assert!(left.len() * 6 <= run, "{} of {run} blocks are not run", left.len());
}

#[test]
fn every_chapter_has_its_rust_tested() {
    let source = std::fs::read_to_string(root().join("book/src/lib.rs")).unwrap();
    for chapter in chapters() {
        let rust = chapter.blocks.iter().any(|block| block.language == "rust");
        let named = source.contains(&format!("docs/book/{}.md", chapter.name));
        assert_eq!(rust, named, "book/src/lib.rs names the chapters with Rust in them: {}", chapter.name);
    }
}
