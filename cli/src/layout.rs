//! `layout check FILE...`: what layout files declare, or what is wrong with them.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;

use hypostyle::Layout;
use hypostyle::layout::FieldLayout;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::table::Table;
use crate::{put_json, text, values};

/// What to do with layout files.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check layout files and print their components, resources and tables.
    Check(Args),
}

/// What to check.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs `layout check`. Every file is looked at, whatever is wrong with the others.
pub(crate) fn check(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let mut worst = None;
    let mut checked = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        match Layout::from_file(file) {
            Ok(layout) if json => {
                let mut data = layout_json(&layout);
                data["file"] = json!(name);
                checked.push(data);
            }
            Ok(layout) => put_layout(&name, &layout, out)?,
            Err(error) => {
                let failure = Failure::from(error);
                worst = worst.max(Some(failure.code));
                checked.push(json!({ "file": name, "error": failure.message }));
                failure.print();
            }
        }
    }
    if json {
        put_json(out, &json!({ "layouts": checked }))?;
    }
    worst.map_or(Ok(()), |code| Err(Failure::told(code)))
}

fn put_layout(file: &str, layout: &Layout, out: &mut dyn Write) -> Outcome {
    let bytes_max = text::bytes(layout.bytes_max());
    writeln!(out, "{file}: {}, hash {}, at most {bytes_max}", layout.name(), text::hash(layout.hash()))?;
    let mut table = Table::new(&["  component", "storage", ">bytes", "fields"]);
    for component in layout.components() {
        let tracked = if component.track_changes { ", tracked" } else { "" };
        let storage = format!("{}{tracked}", component.storage.name());
        let name = format!("  {}", component.name);
        table.row([name, storage, component.packed_bytes().to_string(), fields_text(&component.fields)]);
    }
    for resource in layout.resources() {
        let (bytes, fields) = (resource.packed_bytes().to_string(), fields_text(&resource.fields));
        table.row([format!("  {}", resource.name), "resource".to_owned(), bytes, fields]);
    }
    write!(out, "{table}")?;
    for hint in layout.tables() {
        writeln!(out, "  expects {} rows of ({})", text::count(hint.rows), hint.components.join(", "))?;
    }
    Ok(())
}

fn fields_text(fields: &[FieldLayout]) -> String {
    if fields.is_empty() {
        return "(tag)".to_owned();
    }
    fields.iter().map(|field| format!("{}: {}", field.name, field.ty)).collect::<Vec<_>>().join(", ")
}

/// A layout as JSON.
pub(crate) fn layout_json(layout: &Layout) -> Value {
    let components = layout.components().iter().map(|component| {
        json!({
            "name": component.name,
            "storage": component.storage.name(),
            "track_changes": component.track_changes,
            "bytes": component.packed_bytes(),
            "fields": fields_json(&component.fields),
        })
    });
    let resources = layout.resources().iter().map(|resource| {
        json!({
            "name": resource.name,
            "bytes": resource.packed_bytes(),
            "fields": fields_json(&resource.fields),
        })
    });
    let tables = layout.tables().iter().map(|hint| json!({ "components": hint.components, "rows": hint.rows }));
    json!({
        "name": layout.name(),
        "hash": text::hash(layout.hash()),
        "bytes_max": layout.bytes_max(),
        "components": components.collect::<Vec<_>>(),
        "resources": resources.collect::<Vec<_>>(),
        "tables": tables.collect::<Vec<_>>(),
    })
}

fn fields_json(fields: &[FieldLayout]) -> Value {
    let field = |field: &FieldLayout| {
        json!({
            "name": field.name,
            "type": field.ty.to_string(),
            "bytes": field.ty.bytes(),
            "default": field.default.as_ref().map(|bytes| values::field(field.ty, bytes)),
            "unit": field.unit,
            "description": field.description,
        })
    };
    Value::Array(fields.iter().map(field).collect())
}
