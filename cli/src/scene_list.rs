//! `scenes`: the scenes there are.
#![forbid(unsafe_code)]

use std::io::Write;

use serde_json::json;

use crate::failure::Outcome;
use crate::scenes::Scene;
use crate::scenes::command;
use crate::table::Table;
use crate::{put_json, text};

/// Runs the command.
pub(crate) fn run(json: bool, out: &mut dyn Write) -> Outcome {
    if json {
        let scene = |scene: &&dyn Scene| {
            json!({
                "name": scene.name(),
                "about": scene.about(),
                "entities": scene.default_entities(),
                "dt": scene.dt(),
                "frames": scene.default_frames(),
                "options": scene.options().iter().map(|option| {
                    json!({ "name": option.name, "value": option.value, "about": option.about })
                }).collect::<Vec<_>>(),
            })
        };
        return put_json(out, &json!({ "scenes": command::all().iter().map(scene).collect::<Vec<_>>() }));
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
