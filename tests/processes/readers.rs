//! Readers in other processes: what they pin is whole and stays as it is, and they are in nobody's way.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use hypostyle::{Publication, RegionTarget, Simulation, Snapshot, Workers};
use rustix::process::Signal;

use crate::hostile;
use crate::scenes::{self, Clock, Marked, Sealed, Sparse, seal_of, sparse_seal};
use crate::support::{Actor, Setting, fresh_region, mix};

/// Checks every row of a generation of the sealed scene: each row's seal, that all rows are of one frame, that handles
/// and rows lead to each other. How many rows there were, or what is wrong.
pub fn check_rows(snapshot: &Snapshot<'_>) -> Result<usize, String> {
    let mut rows = 0;
    let frame = snapshot.frame();
    for (index, table) in snapshot.tables().enumerate() {
        let sealed = table.columns::<Sealed>().map_err(|error| error.to_string())?;
        let sparse = table.columns::<Sparse>().map_err(|error| error.to_string())?;
        let marked = table.columns::<Marked>().map_err(|error| error.to_string())?;
        let presence = table.presence("marked").map_err(|error| error.to_string())?;
        let (Some(sealed), Some(sparse)) = (sealed, sparse) else {
            if table.rows() > 0 {
                return Err(format!("table {index} lacks columns"));
            }
            continue;
        };
        for (row, entity) in table.entities().iter().enumerate() {
            let place = || format!("row {row} of table {index} ({entity}) of frame {frame}");
            if snapshot.locate(*entity) != Some((index, row)) {
                return Err(format!("{}: its handle leads to {:?}", place(), snapshot.locate(*entity)));
            }
            if sealed.frame[row] != frame {
                return Err(format!("{}: it is of frame {}", place(), sealed.frame[row]));
            }
            if sealed.seal[row] != seal_of(sealed.id[row], sealed.x[row], sealed.y[row], frame) {
                return Err(format!("{}: its seal is broken", place()));
            }
            if sparse.seal[row] != sparse_seal(sparse.value[row], sparse.parts[row]) {
                return Err(format!("{}: its sparse seal is broken", place()));
            }
            if let Some(marked) = &marked
                && presence.contains(row)
                && marked.seal[row] != mix(u64::from(marked.since[row])) as u32
            {
                return Err(format!("{}: its mark's seal is broken", place()));
            }
        }
        rows += table.rows();
    }
    let clock: Clock = snapshot.resource().map_err(|error| error.to_string())?;
    if clock.frame != frame || clock.seal != mix(frame) {
        return Err(format!("the clock of frame {frame} says {}", clock.frame));
    }
    Ok(rows)
}

/// The role of a reader that checks so many generations.
pub fn check(target: &RegionTarget, generations: u64) {
    let mut reader = hostile::open(target).unwrap();
    let (mut seen, mut rows, mut last) = (0, 0, 0);
    println!("open");
    while seen < generations {
        let newest = reader.wait(last, Duration::from_secs(60)).expect("the writer goes on");
        assert!(newest > last);
        let snapshot = reader.pin().unwrap();
        assert!(snapshot.generation() >= newest, "generations grow");
        last = snapshot.generation();
        match check_rows(&snapshot) {
            Ok(count) => rows += count,
            Err(message) => {
                println!("{message}");
                std::process::exit(1);
            }
        }
        seen += 1;
    }
    println!("checked {seen} generations, {rows} rows");
}

const ROWS: usize = 4000;

fn start(workers: Workers, region: RegionTarget, publish_every: u64) -> Simulation {
    let setting = Setting { publish_every, main_helps: true, ..Setting::new("sealed", workers) };
    setting.start(scenes::world("sealed", region, ROWS, 0), 9)
}

/// Two readers check all that they can pin while the writer runs flat out.
pub fn every_row_of_every_pinned_generation() {
    for (workers, publish_every) in
        [(Workers::Local, 1), (Workers::Threads(1), 2), (Workers::Processes(1), 1), (Workers::Processes(2), 3)]
    {
        let region = fresh_region();
        let mut simulation = start(workers, region.clone(), publish_every);
        simulation.run(publish_every, scenes::DT).unwrap();
        let mut readers: Vec<Actor> = (0..2).map(|_| Actor::start(&["checker", &region.to_string(), "150"])).collect();
        readers.iter_mut().for_each(|reader| assert_eq!(reader.hear().as_deref(), Some("open")));
        let first = simulation.world().generation();
        while readers.iter_mut().any(|reader| reader.child.try_wait().unwrap().is_none()) {
            simulation.run(publish_every, scenes::DT).unwrap();
            assert!(simulation.world().frame() < 200_000, "the readers see generations");
        }
        assert!(simulation.world().generation() - first >= 150);
        assert_eq!(simulation.world().skipped_publications(), 0);
        for reader in readers {
            let (lines, status) = reader.finish();
            assert!(status.success() && lines.len() == 1, "{status}: {lines:?}");
            assert!(lines[0].starts_with("checked 150 generations"), "{lines:?}");
        }
    }
}

/// It neither stops the simulation nor loses its snapshot.
pub fn a_stopped_reader() {
    let region = fresh_region();
    let mut simulation = start(Workers::Processes(1), region.clone(), 1);
    simulation.run(3, scenes::DT).unwrap();
    let mut reader = Actor::start(&["reader", &region.to_string()]);
    assert_eq!(reader.hear().as_deref(), Some("open"));
    let pinned: u64 = reader.ask("pin").parse().unwrap();
    let before = reader.ask("hash");
    reader.signal(Signal::STOP);
    for _ in 0..100 {
        let report = simulation.step(scenes::DT).unwrap();
        assert!(matches!(report.publication, Some(Publication::Published(_))));
    }
    assert_eq!(simulation.world().generation(), pinned + 100);
    assert_eq!(simulation.world().skipped_publications(), 0);
    reader.signal(Signal::CONT);
    assert_eq!(reader.ask("hash"), before);
    assert!(reader.ask("check").starts_with("Ok("));
    assert_eq!(reader.ask("unpin"), "unpinned");
    assert_ne!(reader.ask("hash"), before);
}

/// A simulation whose region has room for itself and little more.
fn tight() -> (RegionTarget, Simulation) {
    const BIG: usize = 60_000;
    // as much as the scene comes to when nobody holds anything, and a little
    let setting = Setting::new("sealed", Workers::Local);
    let mut loose = setting.start(scenes::sealed_world(RegionTarget::Heap, BIG, None), 9);
    loose.run(60, scenes::DT).unwrap();
    let bytes_max = loose.world().usage().backed + (1 << 20);
    drop(loose);
    let region = fresh_region();
    let mut world = scenes::sealed_world(region.clone(), BIG, Some(bytes_max));
    world.set_publish_wait(Duration::from_millis(1));
    let mut simulation = setting.start(world, 9);
    simulation.run(30, scenes::DT).unwrap();
    assert_eq!(simulation.world().skipped_publications(), 0, "alone the writer has room");
    (region, simulation)
}

/// What a live reader holds stays; the writer counts what it could not publish, goes on, and publishes again.
pub fn a_live_holder_makes_publications_skip() {
    let (region, mut simulation) = tight();
    let mut reader = Actor::start(&["reader", &region.to_string()]);
    assert_eq!(reader.hear().as_deref(), Some("open"));
    let pinned: u64 = reader.ask("pin").parse().unwrap();
    let before = reader.ask("hash");
    let mut skipped = 0;
    for _ in 0..20 {
        let frame = simulation.world().frame();
        let report = simulation.step(scenes::DT).unwrap();
        assert_eq!(report.frame, frame + 1, "the simulation goes on");
        skipped += u64::from(matches!(report.publication, Some(Publication::Skipped { .. })));
    }
    assert!(skipped >= 10, "only {skipped} of 20 publications were skipped");
    assert_eq!(simulation.world().skipped_publications(), skipped);
    assert_eq!(hypostyle::regions::inspect(&region).publish_skipped, skipped);
    assert!(simulation.world().generation() <= pinned + 20 - skipped);
    assert_eq!(reader.ask("hash"), before, "it was not robbed");
    assert!(reader.ask("check").starts_with("Ok("));
    assert_eq!(reader.ask("unpin"), "unpinned");
    for _ in 0..10 {
        let report = simulation.step(scenes::DT).unwrap();
        assert!(matches!(report.publication, Some(Publication::Published(_))), "{:?}", report.publication);
    }
    assert_eq!(simulation.world().skipped_publications(), skipped);
    assert_eq!(reader.ask("hash").split(' ').next(), Some(simulation.world().frame().to_string().as_str()));
}

/// As soon as it is in the way.
pub fn a_killed_reader_frees_its_pin() {
    let (region, mut simulation) = tight();
    for _ in 0..5 {
        let mut reader = Actor::start(&["reader", &region.to_string()]);
        assert_eq!(reader.hear().as_deref(), Some("open"));
        reader.ask("pin");
        reader.kill();
        for _ in 0..5 {
            let report = simulation.step(scenes::DT).unwrap();
            assert!(matches!(report.publication, Some(Publication::Published(_))), "{:?}", report.publication);
        }
    }
    assert_eq!(simulation.world().skipped_publications(), 0);
}

/// Neither by a store nor by asking for more rights.
pub fn a_reader_cannot_write() {
    let region = fresh_region();
    let mut simulation = start(Workers::Local, region.clone(), 1);
    simulation.run(2, scenes::DT).unwrap();
    let mut reader = Actor::start(&["reader", &region.to_string()]);
    assert_eq!(reader.hear().as_deref(), Some("open"));
    reader.ask("pin");
    let before = reader.ask("hash");
    assert_eq!(reader.ask("protect"), libc::EACCES.to_string(), "the pages cannot be made writable");
    assert_eq!(reader.ask("hash"), before);
    reader.tell("store");
    let begun = Instant::now();
    let (_, status) = reader.finish();
    assert!(begun.elapsed() < Duration::from_secs(600));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGSEGV), "{status}");
    let mut own = simulation.world().reader().unwrap();
    let (frame, hash) = crate::support::newest(&mut own);
    assert_eq!(format!("{frame} {hash:016x}"), before);
    simulation.step(scenes::DT).unwrap();
}
