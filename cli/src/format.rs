//! `--format`: how a command prints data: as a table for people, or for other programs.
#![forbid(unsafe_code)]

use clap::ValueEnum;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table, for people.
    #[default]
    Table,
    /// One JSON object.
    Json,
    /// A JSON object in each line.
    Ndjson,
    /// Comma-separated values, with a line of names first.
    Csv,
}

impl Format {
    /// With what `--json` says, which is short for one of them.
    pub(crate) fn or_json(self, json: bool) -> Format {
        if json && self == Format::Table { Format::Json } else { self }
    }
}
