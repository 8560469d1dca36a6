//! `scenes`: the scenes there are.
#![forbid(unsafe_code)]

use std::io::Write;

use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::format::{Format, put_rows};
use crate::scenes::{Scene, SceneOption, command};
use crate::table::Table;
use crate::{put_json, text};

/// What CSV has of a scene, with the names that JSON has.
const COLUMNS: &[&str] = &["name", "entities", "dt", "frames", "about"];

/// How to list them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How to print them; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let format = args.format.or_json(json);
    if format != Format::Table {
        let scenes: Vec<Value> = command::all().iter().map(|scene| as_json(*scene)).collect();
        return match format {
            Format::Json => put_json(out, &json!({ "scenes": scenes })),
            _ => put_rows(format, COLUMNS, &scenes, out),
        };
    }
    let mut table = Table::new(&["scene", ">entities", ">dt", ">frames", "about"]);
    for scene in command::all() {
        let frames = scene.default_frames().map_or_else(|| "-".to_owned(), text::count);
        let dt = text::number(scene.dt());
        table.row([
            scene.name().to_owned(),
            text::count(scene.default_entities()),
            dt,
            frames,
            scene.about().to_owned(),
        ]);
    }
    write!(out, "{table}")?;
    for scene in command::all().iter().filter(|scene| !scene.options().is_empty()) {
        let mut table = Table::new(&["option", "about"]);
        for option in scene.options() {
            table.row([format!("--{} {}", option.name, option.value), option.about.to_owned()]);
        }
        write!(out, "\noptions of {} alone:\n{table}", scene.name())?;
    }
    Ok(())
}

fn as_json(scene: &dyn Scene) -> Value {
    let option = |option: &SceneOption| json!({ "name": option.name, "value": option.value, "about": option.about });
    json!({
        "name": scene.name(),
        "about": scene.about(),
        "entities": scene.default_entities(),
        "dt": scene.dt(),
        "frames": scene.default_frames(),
        "options": scene.options().iter().map(option).collect::<Vec<_>>(),
    })
}
