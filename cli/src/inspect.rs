//! `inspect REGION|FILE`: all that can be told of a region without stopping its writer, or of a checkpoint.
#![forbid(unsafe_code)]

use std::io::Write;

use hypostyle::columns::ColumnMemory;
use hypostyle::regions::{LeaseInfo, RegionInfo};
use hypostyle::workers::WorkerInfo;
use hypostyle::{Layout, Reader, Snapshot, SnapshotError};
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::format::{Format, put_data};
use crate::list::{info_json, state};
use crate::source::{Opened, Source};
use crate::table::Table;
use crate::{cluster, layout, text, values};

/// What CSV has: of each table's columns, of the tables of a world of several ranks.
pub(crate) const COLUMNS: &[&str] = &["components", "rows", "capacity", "column", "bytes", "used"];

/// What to show.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region, or the world of several ranks; a checkpoint, or the manifest of a set of them.
    #[arg(value_name = "REGION|FILE")]
    source: Source,
    /// How to print it, `csv` and `ndjson` the columns in memory; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// A pinned generation in numbers.
struct Generation {
    generation: u64,
    frame: u64,
    time: f64,
    entities: u64,
    slots: usize,
    memory: (u64, u64),
    tables: Vec<TableInfo>,
    resources: Vec<(String, Value)>,
}

struct TableInfo {
    components: Vec<String>,
    rows: usize,
    capacity: usize,
    columns: Vec<ColumnMemory>,
}

impl Generation {
    fn of(snapshot: &Snapshot<'_>) -> Result<Generation, SnapshotError> {
        let tables = snapshot.tables().map(|table| TableInfo {
            components: table.components().map(str::to_owned).collect(),
            rows: table.rows(),
            capacity: table.capacity(),
            columns: table.column_memory(),
        });
        let resource = |resource: &hypostyle::layout::ResourceLayout| {
            let bytes = snapshot.resource_bytes(&resource.name)?;
            let value = bytes.map_or(Value::Null, |bytes| values::packed(&resource.fields, bytes));
            Ok((resource.name.clone(), value))
        };
        Ok(Generation {
            generation: snapshot.generation(),
            frame: snapshot.frame(),
            time: snapshot.time(),
            entities: snapshot.entity_count(),
            slots: snapshot.slots(),
            memory: snapshot.memory(),
            tables: tables.collect(),
            resources: snapshot.layout().resources().iter().map(resource).collect::<Result<_, SnapshotError>>()?,
        })
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let format = args.format.or_json(json);
    if let Source::Cluster(name) = &args.source {
        return cluster::inspect(name, format, out);
    }
    let mut opened = args.source.open()?;
    let Source::Region(target) = &args.source else { return from_file(&mut opened, format, out) };
    let mut reader = opened.reader;
    let info = hypostyle::regions::inspect(target);
    // before this reader pins anything itself
    let own = std::process::id();
    let leases: Vec<LeaseInfo> = reader.leases()?.into_iter().filter(|lease| lease.pid != own).collect();
    // what a dead writer noted of its workers is of no use
    let workers = if info.alive { reader.workers() } else { Vec::new() };
    let generation = generation(&mut reader)?;
    if format != Format::Table {
        let mut data = json!({
            "region": info_json(&info),
            "checkpoint": null,
            "checkpoints": null,
            "layout": layout::layout_json(reader.layout()),
            "leases": leases,
            "workers": workers,
            "snapshot": generation.as_ref().map(generation_json),
        });
        data["layout"]["toml"] = json!(reader.layout().to_toml());
        return put_data(format, &data, COLUMNS, &column_rows(generation.as_ref()), out);
    }
    put_region(&info, generation.as_ref(), out)?;
    put_layout(reader.layout(), out)?;
    if let Some(generation) = &generation {
        put_tables(generation, out)?;
    }
    put_leases(&leases, out)?;
    put_workers(&workers, out)
}

/// The same of a file: it has no writer, no readers and no workers.
fn from_file(opened: &mut Opened, format: Format, out: &mut dyn Write) -> Outcome {
    let generation = generation(&mut opened.reader)?;
    let layout = opened.reader.layout();
    if format != Format::Table {
        let mut data = json!({
            "region": null,
            "checkpoint": opened.file.as_ref().map(crate::checkpoint::file_json),
            "checkpoints": opened.set.as_ref().map(crate::checkpoint::set_json),
            "layout": layout::layout_json(layout),
            "leases": [],
            "workers": [],
            "snapshot": generation.as_ref().map(generation_json),
        });
        data["layout"]["toml"] = json!(layout.to_toml());
        return put_data(format, &data, COLUMNS, &column_rows(generation.as_ref()), out);
    }
    if let Some(file) = &opened.file {
        write!(out, "{}", crate::checkpoint::file_table(file))?;
    }
    if let Some(set) = &opened.set {
        crate::checkpoint::put_set(set, out)?;
    }
    put_layout(layout, out)?;
    generation.map_or(Ok(()), |generation| put_tables(&generation, out))
}

fn put_layout(layout: &Layout, out: &mut dyn Write) -> Outcome {
    writeln!(out, "\nlayout {}\n", text::hash(layout.hash()))?;
    for line in layout.to_toml().lines() {
        writeln!(out, "{}", format!("    {line}").trim_end())?;
    }
    Ok(())
}

fn generation(reader: &mut Reader) -> Outcome<Option<Generation>> {
    match reader.pin() {
        Ok(snapshot) => Ok(Some(Generation::of(&snapshot)?)),
        Err(SnapshotError::NothingPublished) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn generation_json(generation: &Generation) -> Value {
    let column = |column: &ColumnMemory| json!({ "name": column.name, "bytes": column.bytes, "used": column.used });
    let table = |table: &TableInfo| {
        json!({
            "components": table.components,
            "rows": table.rows,
            "capacity": table.capacity,
            "bytes": table.columns.iter().map(|column| column.bytes).sum::<u64>(),
            "columns": table.columns.iter().map(column).collect::<Vec<_>>(),
        })
    };
    json!({
        "generation": generation.generation,
        "frame": generation.frame,
        "time": generation.time,
        "entities": generation.entities,
        "slots": generation.slots,
        "bytes": generation.memory.0,
        "used": generation.memory.1,
        "tables": generation.tables.iter().map(table).collect::<Vec<_>>(),
        "resources": generation.resources.iter().cloned().collect::<serde_json::Map<_, _>>(),
    })
}

/// A row for each column of each table.
fn column_rows(generation: Option<&Generation>) -> Vec<Value> {
    let tables = generation.into_iter().flat_map(|generation| &generation.tables);
    let rows = tables.flat_map(|table| {
        table.columns.iter().map(move |column| {
            json!({
                "components": table.components,
                "rows": table.rows,
                "capacity": table.capacity,
                "column": column.name,
                "bytes": column.bytes,
                "used": column.used,
            })
        })
    });
    rows.collect()
}

fn put_region(info: &RegionInfo, generation: Option<&Generation>, out: &mut dyn Write) -> Outcome {
    let mut table = Table::pairs();
    table.pair("region", &info.name);
    table.pair("path", info.path.display());
    table.pair("state", state(info));
    if info.alive {
        table.pair("writer", format!("process {}, the region's writer number {}", info.writer_pid, info.writer_epoch));
    }
    table.pair("made", text::ago(info.created_ns));
    match generation {
        None => table.pair("generation", "none yet"),
        Some(generation) => {
            table.pair("generation", text::count(generation.generation));
            table.pair("frame", text::count(generation.frame));
            table.pair("time", generation.time);
            let slots = text::count(generation.slots as u64);
            table.pair("entities", format!("{} in {slots} slots", text::count(generation.entities)));
        }
    }
    table.pair("skipped", format!("{} publications", text::count(info.publish_skipped)));
    let (backed, most) = (text::bytes(info.bytes_backed), text::bytes(info.bytes_max));
    let generation = generation.map_or_else(String::new, |generation| {
        format!(
            "; this generation {}, {} of it in use",
            text::bytes(generation.memory.0),
            text::bytes(generation.memory.1)
        )
    });
    table.pair("memory", format!("{backed} of at most {most}{generation}"));
    Ok(write!(out, "{table}")?)
}

fn put_tables(generation: &Generation, out: &mut dyn Write) -> Outcome {
    for table in &generation.tables {
        let bytes = text::bytes(table.columns.iter().map(|column| column.bytes).sum());
        let (rows, capacity) = (text::count(table.rows as u64), text::count(table.capacity as u64));
        writeln!(out, "\ntable ({}): {rows} rows, room for {capacity}, {bytes}", table.components.join(", "))?;
        let mut columns = Table::new(&["  column", ">memory", ">in use"]);
        for column in &table.columns {
            columns.row([format!("  {}", column.name), text::bytes(column.bytes), text::bytes(column.used)]);
        }
        write!(out, "{columns}")?;
    }
    if !generation.resources.is_empty() {
        writeln!(out, "\nresources")?;
        let mut resources = Table::pairs();
        for (name, value) in &generation.resources {
            resources
                .pair(&format!("  {name}"), if value.is_null() { "no value".to_owned() } else { value.to_string() });
        }
        write!(out, "{resources}")?;
    }
    Ok(())
}

fn put_leases(leases: &[LeaseInfo], out: &mut dyn Write) -> Outcome {
    if leases.is_empty() {
        return Ok(writeln!(out, "\nno other readers")?);
    }
    let mut table = Table::new(&["lease", "reader", "holds", "reader is"]);
    for lease in leases {
        let holds =
            lease.generation.map_or_else(|| "nothing".to_owned(), |generation| format!("generation {generation}"));
        let alive = if lease.alive { "alive" } else { "gone; its pin goes when it is in the way" };
        table.row([lease.index.to_string(), format!("process {}", lease.pid), holds, alive.to_owned()]);
    }
    Ok(write!(out, "\n{table}")?)
}

fn put_workers(workers: &[WorkerInfo], out: &mut dyn Write) -> Outcome {
    if workers.is_empty() {
        return Ok(writeln!(out, "\nno workers")?);
    }
    let mut table = Table::new(&["worker", "what", ">jobs", ">deaths"]);
    for worker in workers {
        let what = match (worker.state, worker.pid) {
            (hypostyle::workers::WorkerState::Thread, _) => "thread".to_owned(),
            (hypostyle::workers::WorkerState::Process, Some(pid)) => format!("process {pid}"),
            (hypostyle::workers::WorkerState::Process, None) => "process".to_owned(),
            (hypostyle::workers::WorkerState::GivenUp, _) => "given up".to_owned(),
            (_, _) => "being replaced".to_owned(),
        };
        table.row([worker.index.to_string(), what, text::count(worker.jobs), text::count(worker.deaths)]);
    }
    Ok(write!(out, "\n{table}")?)
}
