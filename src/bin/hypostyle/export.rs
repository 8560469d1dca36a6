#![forbid(unsafe_code)]
//! `export SOURCE -o FILE`: the newest generation as an Arrow, Parquet or CSV file.
//!
//! What it takes is heavy to build; a program without the feature `export` says so when it is asked.

use std::io::Write;
use std::path::PathBuf;

use crate::failure::Outcome;
use crate::source::Source;

/// What to export.
#[derive(clap::Args)]
#[cfg_attr(not(feature = "export"), allow(dead_code, reason = "checked, and then refused"))]
pub(crate) struct Args {
    /// The region, or a checkpoint.
    #[arg(value_name = "REGION|FILE")]
    source: Source,
    /// The file; its name ends with .arrow, .parquet or .csv.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// These components alone, and the entities of tables that have any of them.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    components: Option<Vec<String>>,
    /// Each element of an array as a column of its own, rather than a list. CSV files are always so.
    #[arg(long)]
    flat: bool,
}

/// Runs the command.
#[cfg(not(feature = "export"))]
pub(crate) fn run(_args: &Args, _json: bool, _out: &mut dyn Write) -> Outcome {
    Err(crate::failure::Failure::usage(
        "this program was built without `export`: build it with `cargo build --release --features export`",
    ))
}

/// Runs the command.
#[cfg(feature = "export")]
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    use hypostyle::export::{self, ExportOptions, Format};

    use crate::{put_json, text, values};

    let format = Format::of(&args.output)?;
    let mut opened = args.source.open()?;
    let mut options = ExportOptions::default().flat(args.flat);
    if let Some(names) = &args.components {
        options = options.components(names.clone());
    }
    {
        let snapshot = opened.reader.pin()?;
        let mut resources = serde_json::Map::new();
        for resource in snapshot.layout().resources() {
            let bytes = snapshot.resource_bytes(&resource.name)?;
            let value = bytes.map_or(serde_json::Value::Null, |bytes| values::packed(&resource.fields, bytes));
            resources.insert(resource.name.clone(), value);
        }
        options = options.metadata("hypostyle.resources", serde_json::Value::Object(resources).to_string());
    }
    let exported = export::write(opened.reader, &args.output, format, &options)?;
    if json {
        return put_json(
            out,
            &serde_json::json!({
                "path": exported.path,
                "format": format!("{format:?}").to_lowercase(),
                "rows": exported.rows,
                "columns": exported.columns,
                "batches": exported.batches,
                "bytes": exported.bytes,
            }),
        );
    }
    let (rows, bytes) = (text::count(exported.rows), text::bytes(exported.bytes));
    Ok(writeln!(out, "{rows} rows of {} columns: {bytes}, {}", exported.columns, exported.path.display())?)
}
