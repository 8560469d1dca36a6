//! What a journal costs: the same frames of `particles` without one and with one, in turn.
//!
//! Each round's time ends when what it made is written, so what the recording thread does counts in full, beside the
//! frames or after them.

use std::error::Error;

use hypostyle::checkpoint::{self, CheckpointOptions as How};
use hypostyle::journal::{Compress, Recorder, RecorderOptions};
use hypostyle::{Simulation, Workers, World};

use crate::{SceneOptions, find};

use super::{Case, Figure, Options, compare};

/// Frames between two checkpoints where a run is kept by them alone, and its frames run again when they are asked for.
const CHECKPOINT_EVERY: u64 = 100;

/// A generation per frame, and one every ten frames.
pub fn group(options: &Options, size: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let scene = find("particles").expect("the scene is compiled in");
    let settings = SceneOptions::new(Some(size as u64), 1);
    let begin = |publish_every: u64| -> Result<Simulation, Box<dyn Error>> {
        let world = scene.world(&settings, World::builder()).map_err(|error| error.to_string())?;
        let builder = Simulation::builder().workers(Workers::Local).publish_every(publish_every);
        Ok(builder.build(world, scene.schedule(&settings))?)
    };
    let place = std::env::temp_dir().join(format!("hypostyle-bench-journal-{}", std::process::id()));
    let mut figures = Vec::new();
    let dt = scene.dt();
    for publish_every in [1, 10] {
        // several generations a round: the thread works beside the frames, but for the last one
        let frames = ((4_000_000 / size).clamp(10, 200) as u64 / 10 * 10).max(4 * publish_every);
        let (mut plain, mut recorded, mut kept) = (begin(publish_every)?, begin(publish_every)?, begin(publish_every)?);
        kept.run(10, dt)?;
        let mut reader = Some(kept.world().reader()?);
        let path = place.join("kept.checkpoint");
        // where there is time to spare, compression takes up to an eighth of it; here there is none
        let how = RecorderOptions { compress: Compress::Never, ..RecorderOptions::new(&place) };
        let mut recorder = Recorder::start(recorded.world(), how)?;
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
            Case::new(format!("with a checkpoint every {CHECKPOINT_EVERY} frames alone"), || {
                let pinned = reader.take().expect("it came back").into_pinned().expect("there is a generation");
                let to = path.clone();
                let writing = std::thread::spawn(move || {
                    checkpoint::write(&pinned.snapshot(), &to, &How::default()).expect("it can be written");
                    pinned
                });
                for _ in 0..CHECKPOINT_EVERY {
                    kept.step(dt).expect("the scene's frames do not fail");
                }
                reader = Some(writing.join().expect("writing does not panic").unpin());
                CHECKPOINT_EVERY * size as u64
            }),
        ];
        let group = format!("recording, particles, {size} entities, a generation every {publish_every} frame(s)");
        figures.extend(compare(&group, "ns/entity", options.rounds, cases));
        let recorded = recorder.finish()?;
        if let Some(group) = figures.last().map(|figure| figure.group.clone()) {
            let bytes = recorded.bytes as f64 / recorded.generations.max(1) as f64 / size as f64;
            let case = "bytes in the journal, by generation and entity".to_owned();
            figures.push(Figure { group, case, unit: "bytes", median: bytes, quartiles: (bytes, bytes), ratio: 1.0 });
        }
        std::fs::remove_dir_all(&place)?;
    }
    Ok(figures)
}
