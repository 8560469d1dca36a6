//! `plan SCENE`: stages, batches, and why two systems are apart.
#![forbid(unsafe_code)]

use std::io::Write;

use hypostyle::World;
use hypostyle::plan::{BatchPlan, LoopPlan, Plan, StagePlan, SystemPlan};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::format::{Format, put_data};
use crate::scenes::{Scene, SceneOptions};
use hypostyle_scenes::command::OwnOptions;

/// What to show.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scene; `scenes` lists them.
    #[arg(value_parser = hypostyle_scenes::command::scene)]
    scene: &'static dyn Scene,
    /// Entities to begin with (default: the scene's own number).
    #[arg(long, value_name = "N", value_parser = crate::numbers::count::<u64>)]
    entities: Option<u64>,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 0, value_parser = crate::numbers::count::<u64>)]
    seed: u64,
    #[command(flatten)]
    own: OwnOptions,
    /// How to print it, `csv` and `ndjson` a row for each system; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let options = SceneOptions {
        entities: args.entities,
        seed: args.seed,
        own: args.own.of(args.scene).map_err(Failure::usage)?,
    };
    let world = args.scene.world(&options, World::builder()).map_err(|error| Failure::of(error.as_ref()))?;
    let plan = Plan::of(&args.scene.schedule(&options), &world)?;
    let format = args.format.or_json(json);
    if format != Format::Table {
        let stages: Vec<Value> = plan.stages.iter().map(stage_json).collect();
        let data = json!({ "scene": args.scene.name(), "stages": stages });
        return put_data(format, &data, COLUMNS, &system_rows(&plan), out);
    }
    Ok(write!(out, "{plan}")?)
}

/// What CSV has of a system: where it runs, and what it declares.
const COLUMNS: &[&str] = &[
    "stage",
    "batch",
    "group",
    "name",
    "reads",
    "writes",
    "row_local",
    "patches",
    "sort_by",
    "sort_then_by",
    "conditions",
    "rebuilds",
    "guards",
];

/// A row for each system.
fn system_rows(plan: &Plan) -> Vec<Value> {
    let mut rows = Vec::new();
    for stage in &plan.stages {
        for (number, batch) in stage.batches.iter().enumerate() {
            for system in &batch.systems {
                let mut row = system_json(system);
                row["stage"] = json!(stage.name);
                row["batch"] = json!(number);
                row["group"] = json!(batch.group);
                rows.push(row);
            }
        }
    }
    rows
}

fn stage_json(stage: &StagePlan) -> Value {
    let apart =
        |(earlier, later, why): &(String, String, String)| json!({ "earlier": earlier, "later": later, "why": why });
    json!({
        "name": stage.name,
        "batches": stage.batches.iter().map(batch_json).collect::<Vec<_>>(),
        "loops": stage.loops.iter().map(loop_json).collect::<Vec<_>>(),
        "apart": stage.apart.iter().map(apart).collect::<Vec<_>>(),
    })
}

fn loop_json(each: &LoopPlan) -> Value {
    let LoopPlan { name, passes, batches } = each;
    json!({ "name": name, "passes": passes, "batches": [batches.start, batches.end] })
}

fn batch_json(batch: &BatchPlan) -> Value {
    json!({ "group": batch.group, "systems": batch.systems.iter().map(system_json).collect::<Vec<_>>() })
}

fn system_json(system: &SystemPlan) -> Value {
    json!({
        "name": system.name,
        "reads": system.reads,
        "writes": system.writes,
        "row_local": system.row_local,
        "patches": system.patches,
        "sort_by": system.sort_by,
        "sort_then_by": system.sort_then_by,
        "conditions": system.conditions,
        "rebuilds": system.rebuilds,
        "guards": system.guards,
    })
}
