//! The state that is asked, and what becomes of answers.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;

use hypostyle::export::query::{self, Answer, Asked, Json};
use hypostyle::export::{self, ExportOptions};
use hypostyle::{ClusterReader, Layout, OwnedSnapshot, SharedReader};

use crate::cluster::Cluster;
use crate::failure::Outcome;
use crate::format::Format;
use crate::source::Source;
use crate::{put_json, text};

use super::names;

/// How many rows of a condition a table for people has.
pub(super) const ROWS_SHOWN: usize = 100;

/// What is asked.
pub(super) enum State {
    One(SharedReader),
    /// The ranks of one world, at one frame.
    Ranks(ClusterReader),
}

impl State {
    pub(super) fn open(source: &Source) -> Outcome<State> {
        Ok(match source {
            Source::Cluster(name) => State::Ranks(Cluster::open(name)?.reader),
            source => State::One(source.open()?.reader.into()),
        })
    }

    pub(super) fn layout(&self) -> &Layout {
        match self {
            State::One(reader) => reader.layout(),
            State::Ranks(ranks) => ranks.layout(),
        }
    }

    /// The question with the layout's names in quotation marks.
    pub(super) fn quoted(&self, sql: &str) -> String {
        names::quoted(sql, names::dotted(self.layout().components()))
    }

    /// The newest generation, which is held until the answer is dropped, and its frame.
    pub(super) fn pin(&self) -> Outcome<(Asked, u64)> {
        let parts = match self {
            State::One(reader) => vec![reader.pin()?],
            State::Ranks(ranks) => ranks.pin()?,
        };
        let frame = parts.first().map_or(0, |part| part.snapshot().frame());
        let parts = parts.into_iter().map(OwnedSnapshot::into_pinned).collect();
        Ok((Asked::of(parts, &ExportOptions::default())?, frame))
    }

    pub(super) fn newest(&self) -> Outcome<Asked> {
        Ok(self.pin()?.0)
    }
}

/// Prints an answer.
pub(super) fn put(answer: &Answer, format: Format, out: &mut dyn Write) -> Outcome {
    match format {
        Format::Table => Ok(writeln!(out, "{}", query::table(answer)?)?),
        Format::Json => Ok(writeln!(out, "{}", query::json(answer, Json::Array)?)?),
        Format::Ndjson => Ok(write!(out, "{}", query::json(answer, Json::Lines)?)?),
        Format::Csv => Ok(write!(out, "{}", query::csv(answer)?)?),
    }
}

/// Writes an answer to a file.
pub(super) fn write(path: &Path, answer: Answer, json: bool, out: &mut dyn Write) -> Outcome {
    let batches = answer.batches.into_iter().map(Ok);
    let exported = export::write_batches(path, export::Format::of(path)?, answer.schema, batches)?;
    if json {
        return put_json(out, &serde_json::json!({ "path": path, "rows": exported.rows, "bytes": exported.bytes }));
    }
    let (rows, bytes) = (text::count(exported.rows), text::bytes(exported.bytes));
    Ok(writeln!(out, "{rows} rows of {} columns: {bytes}, {}", exported.columns, path.display())?)
}
