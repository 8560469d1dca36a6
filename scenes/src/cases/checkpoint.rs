//! What a checkpoint costs the frames that go on meanwhile, and how fast it is written and brought back.
//!
//! Rounds with and without are taken in turn, all of one simulation, so that its memory lies where it lies for all of them:
//! frames alone, beside a thread that writes as fast as it can, and beside a keeper. A round with a checkpoint ends with the
//! frame in which that is whole and on disk; after the rounds one of the newest state is restored, which must have its hash.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use hypostyle::checkpoint::{self, CheckpointOptions as How, Keeper, KeeperOptions};
use hypostyle::{Simulation, Workers, World};

use crate::{SceneOptions, find};

use super::{Case, Figure, Options, compare};

/// Frames of a round without a checkpoint, at most.
const FRAMES_ALONE_MAX: u64 = 40;

/// A figure of its own.
fn single(group: &str, case: &str, unit: &'static str, mut values: Vec<f64>) -> Figure {
    values.sort_by(f64::total_cmp);
    let at = |q: f64| super::quantile(&values, q);
    Figure {
        group: group.to_owned(),
        case: case.to_owned(),
        unit,
        median: at(0.5),
        quartiles: (at(0.25), at(0.75)),
        ratio: 1.0,
    }
}

/// Writes whenever it is looked at and there is a newer generation.
fn keeper(simulation: &Simulation, directory: PathBuf) -> Result<Keeper, Box<dyn Error>> {
    let options = KeeperOptions {
        directory,
        prefix: "bench".to_owned(),
        every_frames: Some(1),
        every: None,
        keep: 1,
        options: How::default(),
    };
    // the frame before the world's: it is due at once
    Ok(Keeper::start(simulation.world().reader()?, simulation.world().frame() - 1, options)?)
}

/// Frames beside checkpoints.
pub fn group(options: &Options, size: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let scene = find("particles").expect("the scene is compiled in");
    let settings = SceneOptions::new(Some(size as u64), 1);
    let begin = || -> Result<Simulation, Box<dyn Error>> {
        let world = scene.world(&settings, World::builder()).map_err(|error| error.to_string())?;
        Ok(Simulation::builder().workers(Workers::Local).build(world, scene.schedule(&settings))?)
    };
    let place = std::env::temp_dir().join(format!("hypostyle-bench-checkpoint-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    let path = place.join("world.checkpoint");
    let written = std::cell::RefCell::new(begin()?);
    written.borrow_mut().step(scene.dt())?;
    let mut keeper = keeper(&written.borrow(), place.join("kept"))?;
    let mut reader = Some(written.borrow().world().reader()?);
    let (mut reports, mut kept, mut skipped, mut skipped_kept) = (Vec::new(), Vec::new(), 0, 0);
    let dt = scene.dt();
    // as many frames without as the last checkpoint took, if those are few
    let frames = std::cell::Cell::new(8u64);
    let cases = vec![
        Case::new("frames alone", || {
            let (frames, mut alone) = (frames.get().min(FRAMES_ALONE_MAX), written.borrow_mut());
            for _ in 0..frames {
                alone.step(dt).expect("the scene's frames do not fail");
            }
            frames * size as u64
        }),
        Case::new("frames while a checkpoint is written as fast as it can be", || {
            let mut written = written.borrow_mut();
            let pinned = reader.take().expect("it came back").into_pinned().expect("there is a generation");
            let to = path.clone();
            let writing = std::thread::spawn(move || {
                let report = checkpoint::write(&pinned.snapshot(), &to, &How::default()).expect("it can be written");
                (report, pinned)
            });
            let before = written.world().skipped_publications();
            let mut count = 0;
            while !writing.is_finished() {
                written.step(dt).expect("the scene's frames do not fail");
                count += 1;
            }
            skipped += written.world().skipped_publications() - before;
            frames.set(u64::max(count, 1));
            let (report, pinned) = writing.join().expect("writing does not panic");
            reports.push(report);
            reader = Some(pinned.unpin());
            frames.get() * size as u64
        }),
        Case::new("frames while a keeper writes one", || {
            let mut written = written.borrow_mut();
            let before = written.world().skipped_publications();
            assert!(keeper.look(written.world().frame()).expect("the thread lives"), "one is due");
            let mut count = 0;
            while keeper.is_writing().expect("the thread lives") {
                written.step(dt).expect("the scene's frames do not fail");
                count += 1;
            }
            skipped_kept += written.world().skipped_publications() - before;
            frames.set(u64::max(count, 1));
            kept.push(keeper.kept().newest.clone().expect("it can be written"));
            frames.get() * size as u64
        }),
    ];
    let name = format!("checkpoint, particles, {size} entities, local, a generation every frame");
    let mut figures = compare(&name, "ns/entity", options.rounds, cases);
    for (who, reports, skipped) in [("as fast as it can be", &reports, skipped), ("by a keeper", &kept, skipped_kept)] {
        let speed = |report: &checkpoint::Report| report.raw_bytes as f64 / 1e6 / report.elapsed.as_secs_f64();
        let skipped = vec![skipped as f64];
        figures.push(single(&name, &format!("publications left out, {who}"), "frames", skipped));
        figures.push(single(
            &name,
            &format!("written beside the frames, {who}"),
            "MB/s",
            reports.iter().map(speed).collect(),
        ));
    }
    let sizes = reports.iter().map(|report| report.file_bytes as f64 / report.raw_bytes as f64).collect();
    figures.push(single(&name, "bytes of the file per byte", "", sizes));
    // what is restored is what was pinned
    let pinned = reader.take().expect("it came back").into_pinned()?;
    let hash = pinned.snapshot().hash();
    checkpoint::write(&pinned.snapshot(), &path, &How::default())?;
    drop((pinned, keeper, written));
    let mut seconds = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let world = checkpoint::open(&path)?.restore(World::builder())?;
        seconds.push(begun.elapsed().as_secs_f64());
        let restored = world.reader()?.pin()?.hash();
        assert_eq!(restored, hash, "a restored world is the one that was written");
    }
    figures.push(single(&name, "restored, with the same hash", "s", seconds));
    std::fs::remove_dir_all(&place)?;
    Ok(figures)
}
