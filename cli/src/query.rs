//! `query SOURCE CONDITION`, `query SOURCE --sql SQL`: rows of a state.
//!
//! What it takes is very heavy to build; a program without the feature `query` says so when it is asked.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;

use crate::failure::Outcome;
use crate::source::Source;

/// What to ask.
#[derive(clap::Args)]
#[cfg_attr(not(feature = "query"), allow(dead_code, reason = "checked, and then refused"))]
pub(crate) struct Args {
    /// The region, the name of a world of several ranks, a checkpoint, or a journal's frame: DIR@FRAME.
    #[arg(value_name = "REGION|FILE|DIR@FRAME")]
    source: Source,
    /// Condition on rows, as in SQL: "position.x > 10 and velocity.y < 0".
    #[arg(value_name = "CONDITION", required_unless_present = "sql", conflicts_with = "sql")]
    condition: Option<String>,
    /// A complete SQL query. The table is `world`; its columns are `entity`, the fields of all components, and for components
    /// without fields a bool: whether the entity has it.
    #[arg(long, value_name = "SQL")]
    sql: Option<String>,
    /// Maximum number of rows for a condition (default: 100 in a printed table, else all).
    #[arg(long, value_name = "N", conflicts_with = "sql", value_parser = crate::numbers::count::<u64>)]
    limit: Option<u64>,
    /// Show only the columns of these components.
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "sql")]
    components: Option<Vec<String>>,
    /// Write the answer to a file; its name ends with .arrow, .parquet or .csv.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
#[cfg(not(feature = "query"))]
pub(crate) fn run(_args: &Args, _json: bool, _out: &mut dyn Write) -> Outcome {
    Err(crate::failure::Failure::usage(
        "this program was built without `query`: build it with `cargo build --release --features query`",
    ))
}

/// Runs the command.
#[cfg(feature = "query")]
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    use hypostyle::export::{self, ExportOptions, Format, query};

    use crate::{put_json, text};

    let format = args.output.as_deref().map(Format::of).transpose()?;
    let asked = match &args.source {
        Source::Cluster(name) => Asked::Ranks(crate::cluster::Cluster::open(name)?.reader),
        source => Asked::One(source.open()?.reader),
    };
    let columns = columns(args.components.as_deref(), asked.layout())?;
    let limit = args.limit.or((!json && args.output.is_none()).then_some(100));
    let sql = match (&args.sql, &args.condition) {
        (Some(sql), _) => sql.clone(),
        (None, condition) => {
            let limit = limit.map_or_else(String::new, |limit| format!(" limit {limit}"));
            format!("select {columns} from world where ({}){limit}", condition.as_deref().unwrap_or("true"))
        }
    };
    let sql = quoted(&sql, names(asked.layout().components()));
    let options = ExportOptions::default();
    let answer = match asked {
        Asked::One(reader) => query::run(reader, &sql, &options)?,
        Asked::Ranks(ranks) => {
            let parts = ranks.pin()?.into_iter().map(hypostyle::OwnedSnapshot::into_pinned).collect();
            query::run_parts(parts, &sql, &options)?
        }
    };
    if let (Some(path), Some(format)) = (&args.output, format) {
        let batches = answer.batches.into_iter().map(Ok);
        let exported = export::write_batches(path, format, answer.schema, batches)?;
        if json {
            return put_json(out, &serde_json::json!({ "path": path, "rows": exported.rows, "bytes": exported.bytes }));
        }
        let (rows, bytes) = (text::count(exported.rows), text::bytes(exported.bytes));
        return Ok(writeln!(out, "{rows} rows of {} columns: {bytes}, {}", exported.columns, path.display())?);
    }
    if json {
        return Ok(writeln!(out, "{}", query::json(&answer)?)?);
    }
    Ok(writeln!(out, "{}", query::table(&answer)?)?)
}

/// What is asked.
#[cfg(feature = "query")]
enum Asked {
    One(hypostyle::Reader),
    /// The ranks of one world, at one frame.
    Ranks(hypostyle::ClusterReader),
}

#[cfg(feature = "query")]
impl Asked {
    fn layout(&self) -> &hypostyle::Layout {
        match self {
            Asked::One(reader) => reader.layout(),
            Asked::Ranks(ranks) => ranks.layout(),
        }
    }
}

/// Puts the names of columns that have dots or brackets in quotation marks, outside of texts and names that are quoted
/// already.
#[cfg_attr(not(feature = "query"), allow(dead_code, reason = "tested all the same"))]
fn quoted(sql: &str, mut names: Vec<String>) -> String {
    // `spot.trail[0]` before `spot.trail`
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        if next == '\'' || next == '"' {
            let end = rest[1..].find(next).map_or(rest.len(), |end| end + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            before = next;
            continue;
        }
        let fits = |name: &&String| {
            let after = rest[name.len()..].chars().next();
            !after.is_some_and(part_of_name)
        };
        let found = names.iter().filter(|name| rest.starts_with(name.as_str())).find(fits);
        if let Some(name) = found.filter(|_| !part_of_name(before)) {
            out.push('"');
            out.push_str(name);
            out.push('"');
            rest = &rest[name.len()..];
            before = '"';
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            before = next;
        }
    }
    out
}

/// What to select: these components' columns, or all.
#[cfg(feature = "query")]
fn columns(components: Option<&[String]>, layout: &hypostyle::Layout) -> Outcome<String> {
    let Some(components) = components else { return Ok("*".to_owned()) };
    let mut columns = vec!["entity".to_owned()];
    for name in components {
        let Some((_, component)) = layout.component(name) else {
            let known: Vec<&str> = layout.components().iter().map(|c| c.name.as_str()).collect();
            let message = format!("there is no component `{name}`; the layout has {}", known.join(", "));
            return Err(crate::failure::Failure::usage(message));
        };
        match component.fields.is_empty() || component.storage == hypostyle::layout::Storage::Scratch {
            true => columns.push(format!("\"{name}\"")),
            false => columns.extend(names([component]).iter().map(|name| format!("\"{name}\""))),
        }
    }
    Ok(columns.join(", "))
}

/// The columns' names that SQL would misread: all but those of handles and of components without fields.
#[cfg_attr(not(feature = "query"), allow(dead_code, reason = "tested all the same"))]
fn names<'l>(components: impl IntoIterator<Item = &'l hypostyle::layout::ComponentLayout>) -> Vec<String> {
    let mut names = Vec::new();
    // scratch is no part of a generation: a component without fields to those who read
    for component in components.into_iter().filter(|component| component.storage != hypostyle::layout::Storage::Scratch)
    {
        for field in &component.fields {
            let name = format!("{}.{}", component.name, field.name);
            if field.ty.array_len == 0 {
                names.push(name);
            } else {
                names.extend((0..field.ty.elements()).map(|element| format!("{name}[{element}]")));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_are_columns() {
        let names = ["position.x", "position.xy", "spot.trail[0]", "spot.trail"];
        for (sql, expected) in [
            ("position.x > 1", "\"position.x\" > 1"),
            ("world.position.x>-position.xy", "world.\"position.x\">-\"position.xy\""),
            ("my_position.x", "my_position.x"),
            ("position.xyz", "position.xyz"),
            ("'position.x' = \"position.x\"", "'position.x' = \"position.x\""),
            ("spot.trail[0]+spot.trail[10]", "\"spot.trail[0]\"+\"spot.trail\"[10]"),
            ("'open", "'open"),
        ] {
            assert_eq!(quoted(sql, names.map(str::to_owned).to_vec()), expected);
        }
    }
}
