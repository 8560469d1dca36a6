//! What a run may choose: entities, seed, and the options that only one scene has, as text.
#![forbid(unsafe_code)]

use std::fmt;

/// An option that a scene declares: `--name VALUE` on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SceneOption {
    /// Its name, words joined by `-`.
    pub name: &'static str,
    /// What stands for its value in the help.
    pub value: &'static str,
    /// One sentence, with the default and the unit.
    pub about: &'static str,
}

/// What a run may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SceneOptions {
    /// How many entities, where not the scene's default.
    pub entities: Option<u64>,
    /// Decides every random number.
    pub seed: u64,
    /// Options that the scene declares, by name.
    pub own: Vec<(String, String)>,
}

impl SceneOptions {
    /// So many entities, and a seed.
    pub fn new(entities: Option<u64>, seed: u64) -> Self {
        SceneOptions { entities, seed, own: Vec::new() }
    }

    /// With an option of the scene's own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.own.push((name.to_owned(), value.to_string()));
        self
    }

    /// The text of an option of the scene's own; the last one counts.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.own.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// An option of the scene's own as a number within bounds (both included).
    ///
    /// # Errors
    /// It is no such number.
    pub fn number<T>(&self, name: &str, least: T, most: T) -> Result<Option<T>, SceneError>
    where
        T: std::str::FromStr + PartialOrd + fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<T>() {
            Ok(value) if value >= least && value <= most => Ok(Some(value)),
            _ => Err(SceneError::Option {
                name: name.to_owned(),
                value: text.to_owned(),
                want: format!("a number from {least} to {most}"),
            }),
        }
    }
}

/// Why a scene cannot begin.
#[derive(Debug)]
pub enum SceneError {
    /// An option's value is not what it must be.
    Option {
        /// Of the option.
        name: String,
        /// What was given.
        value: String,
        /// What to give instead.
        want: String,
    },
    /// So many entities cannot be placed.
    Entities {
        /// What was asked for.
        asked: u64,
        /// What to ask for instead.
        want: String,
    },
    /// A file that cannot be read or written.
    File {
        /// Where.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A line of an input file is not what it must be. Lines and columns count from 1.
    Input {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// The column's number and name, where one value is wrong.
        column: Option<(usize, &'static str)>,
        /// What is the case, and what to write instead.
        what: String,
    },
}

impl fmt::Display for SceneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SceneError::Option { name, value, want } => write!(f, "--{name} {value}: it must be {want}"),
            SceneError::Entities { asked, want } => write!(f, "--entities {asked}: {want}"),
            SceneError::File { path, error } => write!(f, "{path}: {error}"),
            SceneError::Input { path, line, column: None, what } => write!(f, "{path}, line {line}: {what}"),
            SceneError::Input { path, line, column: Some((number, name)), what } => {
                write!(f, "{path}, line {line}, column {number} ({name}): {what}")
            }
        }
    }
}

impl std::error::Error for SceneError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SceneError::File { error, .. } => Some(error),
            _ => None,
        }
    }
}
