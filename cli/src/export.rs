//! `export SOURCE -o FILE`: the newest generation as an Arrow, Parquet, CSV or VTK file. `export DIR -o OUTDIR --every N`: the
//! frames of a journal as a data set of such files.
//!
//! What it takes is in the default build; a program without the feature `export` says so when it is asked.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;

use crate::failure::Outcome;
use crate::source::Source;

/// What to export.
#[derive(clap::Args)]
#[cfg_attr(not(feature = "export"), allow(dead_code, reason = "checked, and then refused"))]
pub(crate) struct Args {
    /// The region, or the world of several ranks; a checkpoint, or the manifest of a set; a journal's frame (DIR@FRAME), or
    /// a journal.
    #[arg(value_name = "REGION|FILE|DIR[@FRAME]")]
    source: Source,
    /// The file; its name ends with .arrow, .parquet, .csv or .vtp (VTK: ParaView). With --every the directory of the data set.
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// File format: arrow, parquet, csv or vtp (default: from the output's name, else parquet).
    #[arg(long, value_name = "FORMAT", value_parser = ["arrow", "parquet", "csv", "vtp"])]
    format: Option<String>,
    /// Export every frame of a journal that is a multiple of N, as `frame=123/part-0.parquet`; of the journals of many ranks as
    /// `frame=123/rank=0/part-0.parquet`.
    #[arg(long, value_name = "N", value_parser = crate::numbers::positive::<u64>)]
    every: Option<u64>,
    /// Export only these components, and only entities of tables that have at least one of them.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    components: Option<Vec<String>>,
    /// Write rows in the order of these columns of whole numbers, as cell.key,global_id.value; Parquet files say so (default: that
    /// of a set of checkpoints, or of the journals of many ranks).
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    order: Option<Vec<String>>,
    /// In .vtp files, the component whose x, y and z are the places of points (default: position, or the first that has them).
    #[arg(long, value_name = "COMPONENT")]
    points: Option<String>,
    /// Write each element of an array as its own column instead of a list. CSV files always do.
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

/// What to tell with a state: its resources.
#[cfg(feature = "export")]
fn options(
    args: &Args,
    snapshot: &hypostyle::Snapshot<'_>,
    order: Option<&str>,
) -> Result<hypostyle::export::ExportOptions, hypostyle::export::ExportError> {
    use crate::values;

    let mut options = hypostyle::export::ExportOptions::default().flat(args.flat);
    if let Some(names) = &args.components {
        options = options.components(names.clone());
    }
    let exported = |column: &String| {
        let component = column.split('.').next().unwrap_or_default();
        args.components.as_ref().is_none_or(|names| names.iter().any(|name| name == component))
    };
    if let Some(points) = &args.points {
        options = options.points(points);
    }
    options = match (&args.order, order) {
        (Some(columns), _) => options.order(columns.clone()),
        // as ranks have them, as far as it is exported
        (None, Some(noted)) => options.order(noted.split(',').map(str::to_owned).take_while(exported)),
        (None, None) => options,
    };
    let mut resources = serde_json::Map::new();
    for resource in snapshot.layout().resources() {
        let bytes = snapshot.resource_bytes(&resource.name)?;
        let value = bytes.map_or(serde_json::Value::Null, |bytes| values::packed(&resource.fields, bytes));
        resources.insert(resource.name.clone(), value);
    }
    Ok(options.metadata("hypostyle.resources", serde_json::Value::Object(resources).to_string()))
}

/// Runs the command.
#[cfg(feature = "export")]
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    use hypostyle::OwnedSnapshot;
    use hypostyle::export::{self, Format};

    use crate::cluster::Cluster;
    use crate::failure::Failure;
    use crate::source::{open_journal, open_journals};
    use crate::{put_json, text};

    let format = args.format.as_deref().map(|name| match name {
        "arrow" => Format::Arrow,
        "csv" => Format::Csv,
        "vtp" => Format::Vtp,
        _ => Format::Parquet,
    });
    if let Some(every) = args.every {
        let format = format.unwrap_or(Format::Parquet);
        let done = match &args.source {
            Source::Journal(directory, None) => {
                let journal = open_journal(directory)?;
                export::series(&journal, &args.output, format, every, |reader| options(args, &reader.pin()?, None))?
            }
            Source::Journals(directory) => {
                let journals = open_journals(directory)?;
                let order = journals.first().and_then(|journal| journal.note("order"));
                export::series_of_ranks(&journals, &args.output, format, every, |reader| {
                    options(args, &reader.pin()?, order)
                })?
            }
            _ => return Err(Failure::usage("--every is for a journal, or those of many ranks: give the directory")),
        };
        if json {
            let data = serde_json::json!({
                "path": args.output, "frames": done.frames, "rows": done.rows, "bytes": done.bytes,
            });
            return put_json(out, &data);
        }
        let (frames, rows) = (text::count(done.frames.len() as u64), text::count(done.rows));
        let path = args.output.display();
        return Ok(writeln!(out, "{frames} frames of {rows} rows in all: {}, {path}", text::bytes(done.bytes))?);
    }
    let format = format.map_or_else(|| Format::of(&args.output), Ok)?;
    let exported = if let Source::Cluster(name) = &args.source {
        let parts = Cluster::open(name)?.reader.pin()?;
        let options = options(args, &parts[0].snapshot(), None)?.metadata("hypostyle.ranks", parts.len().to_string());
        let parts = parts.into_iter().map(OwnedSnapshot::into_pinned).collect();
        export::write_parts(parts, &args.output, format, &options)?
    } else {
        let mut opened = args.source.open()?;
        let order = opened.set.as_ref().map(|set| set.order().join(","));
        let options = options(args, &opened.reader.pin()?, order.as_deref())?;
        export::write(opened.reader, &args.output, format, &options)?
    };
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
