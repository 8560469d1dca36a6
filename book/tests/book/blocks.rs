//! A chapter as its blocks: what language, what text, and what is said of it in the comment above.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the comment above a block says: `<!-- not run: why -->`, `<!-- file: name -->`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// It is not run, for this reason.
    NotRun(String),
    /// It is a file of the chapter's directory.
    File(String),
}

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// The first word behind the fence, up to a comma.
    pub language: String,
    /// What stands behind the comma.
    pub attributes: String,
    pub text: String,
    pub note: Option<Note>,
    /// Whether nothing but blank lines stands between it and the block before.
    pub follows: bool,
}

impl Block {
    /// Why nobody runs it.
    pub(crate) fn not_run(&self) -> Option<&str> {
        match &self.note {
            Some(Note::NotRun(why)) => Some(why),
            _ => None,
        }
    }
}

/// A page of the book.
#[derive(Clone, Debug)]
pub(crate) struct Chapter {
    /// Under `docs/book`, without its ending.
    pub name: String,
    pub path: PathBuf,
    pub text: String,
    pub blocks: Vec<Block>,
}

/// All pages in `docs/book`, by name.
pub(crate) fn chapters() -> Vec<Chapter> {
    let folder = root().join("docs/book");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let blocks = blocks(&text).unwrap_or_else(|why| panic!("docs/book/{name}.md: {why}"));
        Chapter { name, path, text, blocks }
    };
    paths.into_iter().map(read).collect()
}

/// The blocks of a text.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut all: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let (mut note, mut follows) = (None, false);
    for (index, line) in text.lines().enumerate() {
        if let Some(mut block) = open.take() {
            if line == "```" {
                follows = true;
                all.push(block);
            } else {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
        } else if let Some(info) = line.trim_start().strip_prefix("```") {
            if line.starts_with(' ') {
                return Err(format!("line {}: a block begins at the margin", index + 1));
            }
            let (language, attributes) = info.split_once(',').unwrap_or((info, ""));
            let (language, attributes) = (language.trim().to_owned(), attributes.trim().to_owned());
            let (note, follows) = (note.take(), follows);
            open = Some(Block { line: index + 1, language, attributes, text: String::new(), note, follows });
        } else if !line.trim().is_empty() {
            note = said(line.trim())?;
            follows = false;
        }
    }
    match open {
        Some(block) => Err(format!("line {}: a block without an end", block.line)),
        None => Ok(all),
    }
}

/// What a line says of the block below.
fn said(line: &str) -> Result<Option<Note>, String> {
    let Some(comment) = line.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) else { return Ok(None) };
    match comment.trim().split_once(": ") {
        Some(("not run", why)) => Ok(Some(Note::NotRun(why.to_owned()))),
        Some(("file", name)) => Ok(Some(Note::File(name.to_owned()))),
        _ => Err(format!("a comment that says nothing of a block: {line}")),
    }
}

#[test]
fn blocks_have_languages_notes_and_order() {
    let text = "# T\n\n<!-- file: a.toml -->\n```toml\nx = 1\n```\n\n```text\n1\n```\nwords\n```rust,no_run\n```\n";
    let found = blocks(text).unwrap();
    let shown: Vec<_> = found.iter().map(|b| (b.line, b.language.as_str(), b.attributes.as_str(), b.follows)).collect();
    assert_eq!(shown, [(4, "toml", "", false), (8, "text", "", true), (12, "rust", "no_run", false)]);
    assert_eq!(found[0].note, Some(Note::File("a.toml".to_owned())));
    assert_eq!((found[0].text.as_str(), found[1].note.as_ref()), ("x = 1\n", None));
    assert!(blocks("```sh\nls\n").is_err() && blocks("<!-- mystery -->\n").is_err());
}
