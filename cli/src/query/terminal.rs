//! A line of a terminal, with editing, what was typed before, and completion by Tab.
#![forbid(unsafe_code)]

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::failure::Outcome;

use super::statement;

/// What came of waiting for a line.
pub(super) enum Line {
    /// It is whole.
    Typed(String),
    /// Ctrl-C.
    Cancelled,
    /// Ctrl-D.
    End,
}

/// The terminal.
pub(super) struct Terminal {
    editor: Editor<Words, MemHistory>,
}

impl Terminal {
    /// One that completes these words.
    pub(super) fn new(words: Vec<String>) -> Outcome<Terminal> {
        let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
        let mut editor = Editor::with_history(config, MemHistory::new())?;
        editor.set_helper(Some(Words(words)));
        Ok(Terminal { editor })
    }

    /// Waits for a line, or for several that belong together.
    pub(super) fn line(&mut self, prompt: &str) -> Outcome<Line> {
        match self.editor.readline(prompt) {
            Ok(typed) => Ok(Line::Typed(typed)),
            Err(ReadlineError::Interrupted) => Ok(Line::Cancelled),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(error.into()),
        }
    }
}

/// The words that Tab completes.
struct Words(Vec<String>);

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..at).unwrap_or(line);
        let from = statement::word_begins(typed);
        let word = &typed[from..];
        let fits = |known: &&String| !word.is_empty() && known.starts_with(word);
        Ok((from, self.0.iter().filter(fits).cloned().collect()))
    }
}

impl Validator for Words {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match statement::is_whole(typed.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Helper for Words {}
