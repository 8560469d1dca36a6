//! `plan SCENE`: stages, batches, and why two systems are apart.
#![forbid(unsafe_code)]

use std::io::Write;

use hypostyle::World;
use hypostyle::plan::{BatchPlan, LoopPlan, Plan, StagePlan, SystemPlan};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::put_json;
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
    if json {
        let stages: Vec<Value> = plan.stages.iter().map(stage_json).collect();
        return put_json(out, &json!({ "scene": args.scene.name(), "stages": stages }));
    }
    Ok(write!(out, "{plan}")?)
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
    let system = |system: &SystemPlan| {
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
    };
    json!({ "group": batch.group, "systems": batch.systems.iter().map(system).collect::<Vec<_>>() })
}
