//! A world that ebbs and flows, so that its data grows and shrinks; whoever writes it dies meanwhile.
#![forbid(unsafe_code)]

use std::path::Path;

use hypostyle::{Entity, Reader, RegionTarget, SnapshotError, World, WorldError, regions};

use super::life::{Note, doomed};

/// Rows of a high tide, one frame long, and of a low one.
const HIGH: usize = 300_000;
const LOW: usize = 1_000;
/// Frames from one high tide to the next: more than the publications after which a world gives memory back.
const EBB: u64 = 280;
/// Frames of a life: the data grows, shrinks, and grows again.
const FRAMES: u64 = EBB + 20;

/// Rows after a frame.
fn rows_after(frame: u64) -> usize {
    if frame % EBB == 1 { HIGH } else { LOW }
}

/// The role of a writer in a directory: it makes the region, or takes it over, and says each frame that is published.
pub fn ebb_and_flow(directory: &Path, last: bool, fault: &str) {
    doomed(fault);
    let target = RegionTarget::Directory(directory.join("region"));
    let fresh = || World::builder().component::<Note>().bytes_max(1 << 28).region(target.clone()).build().unwrap();
    let mut world = match directory.join("region").exists().then(|| World::resume(&target)) {
        None => fresh(),
        Some(Err(WorldError::Snapshot(SnapshotError::NothingPublished))) => {
            regions::clean(&target).unwrap();
            fresh()
        }
        Some(resumed) => resumed.unwrap(),
    };
    let mut rows: Vec<Entity> = match world.frame() {
        0 => Vec::new(),
        _ => rows_of(&mut world.reader().unwrap()),
    };
    for _ in 0..FRAMES {
        world.begin_frame().unwrap();
        let wanted = rows_after(world.frame());
        if rows.len() < wanted {
            let from = rows.len() as u64;
            rows.extend(world.spawn_batch((from..wanted as u64).map(Note::new)).unwrap());
        } else if rows.len() > wanted {
            world.despawn_batch(&rows.split_off(wanted)).unwrap();
        }
        world.set(rows[0], Note::new(world.frame())).unwrap();
        world.end_frame(1.0);
        world.publish().unwrap();
        println!("frame {}", world.frame());
    }
    world.set_keep_region(!last);
    println!("ends");
    drop(world);
    println!("done");
}

fn rows_of(reader: &mut Reader) -> Vec<Entity> {
    let snapshot = reader.pin().unwrap();
    snapshot.tables().flat_map(|table| table.entities().to_vec()).collect()
}

/// What is wrong with the newest generation, which should be the state of its frame; that frame.
pub fn look(reader: &mut Reader) -> Result<u64, String> {
    let snapshot = reader.pin().map_err(|error| error.to_string())?;
    snapshot.check().map_err(|error| error.to_string())?;
    let frame = snapshot.frame();
    let (mut row, mut wrong) = (0, 0);
    for table in snapshot.tables() {
        let column = |name| table.column::<u64>(name).map_err(|error| error.to_string()).map(Option::unwrap_or_default);
        for (number, seal) in column("note.number")?.iter().zip(column("note.seal")?) {
            let expected = Note::new(if row == 0 { frame } else { row });
            wrong += u64::from((*number, *seal) != (expected.number, expected.seal));
            row += 1;
        }
    }
    if row != if frame == 0 { 0 } else { rows_after(frame) as u64 } || wrong > 0 {
        return Err(format!("after frame {frame} there are {row} rows, {wrong} of them are not what they should be"));
    }
    Ok(frame)
}
