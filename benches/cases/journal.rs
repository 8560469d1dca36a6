//! What a journal costs: the same frames of `particles` without one and with one, in turn.
//!
//! Each round's time ends when what it made is written, so what the recording thread does counts in full, beside the
//! frames or after them.

use std::error::Error;

use hypostyle::journal::{Recorder, RecorderOptions};
use hypostyle::{Simulation, Workers, World};

use crate::scenes::{SceneOptions, find};

use super::{Case, Figure, Options, compare};

/// A generation per frame, and one every ten frames.
pub fn group(options: &Options, size: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let scene = find("particles").expect("the scene is compiled in");
    let settings = SceneOptions { entities: Some(size as u64), seed: 1 };
    let begin = |publish_every: u64| -> Result<Simulation, Box<dyn Error>> {
        let world = scene.world(&settings, World::builder()).map_err(|error| error.to_string())?;
        let builder = Simulation::builder().workers(Workers::Local).publish_every(publish_every);
        Ok(builder.build(world, scene.schedule(&settings))?)
    };
    let frames = (4_000_000 / size).clamp(10, 200) as u64 / 10 * 10;
    let place = std::env::temp_dir().join(format!("hypostyle-bench-journal-{}", std::process::id()));
    let mut figures = Vec::new();
    for publish_every in [1, 10] {
        let (mut plain, mut recorded) = (begin(publish_every)?, begin(publish_every)?);
        let mut recorder = Recorder::start(recorded.world(), RecorderOptions::new(&place))?;
        let dt = scene.dt();
        let cases = vec![
            Case::new("without", || {
                for _ in 0..frames {
                    plain.step(dt).expect("the scene's frames do not fail");
                }
                frames * size as u64
            }),
            Case::new("with a journal", || {
                for _ in 0..frames {
                    recorded.step(dt).expect("the scene's frames do not fail");
                    recorder.look().expect("the journal can be written");
                }
                recorder.flush().expect("the journal can be written");
                frames * size as u64
            }),
        ];
        let group = format!("recording, particles, {size} entities, a generation every {publish_every} frame(s)");
        figures.extend(compare(&group, "ns/entity", options.rounds, cases));
        recorder.finish()?;
        std::fs::remove_dir_all(&place)?;
    }
    Ok(figures)
}
