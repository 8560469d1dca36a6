//! Regions whose bytes are damaged: typed errors, never a panic or a signal.
//!
//! A child opens them, so that a signal is seen; it goes through all damages and says which one it was at.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use hypostyle::regions::inspect;
use hypostyle::{RegionTarget, Workers, World};
use xxhash_rust::xxh3::xxh3_64;

use crate::hostile;
use crate::scenes;
use crate::support::{Actor, Setting, mix};

const FILES: [&str; 5] = ["descriptor", "control", "data", "leases", "lock"];

/// Makes a small kept region in a directory.
fn make(path: &Path) {
    let mut world = scenes::world("mixed", RegionTarget::Directory(path.to_owned()), 120, 3);
    world.set_keep_region(true);
    let mut simulation = Setting::new("mixed", Workers::Local).start(world, 3);
    simulation.run(4, scenes::DT).unwrap();
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// A change of one file's bytes.
struct Damage {
    file: &'static str,
    at: u64,
    bytes: Vec<u8>,
    /// Whether the newest directory's checksum is made to fit again.
    sealed: bool,
}

/// Where the newest generation's directory is.
struct Newest {
    slot_at: u64,
    offset: u64,
    bytes: u64,
}

fn word(path: &Path, at: u64) -> u64 {
    let mut bytes = [0; 8];
    fs::File::open(path).unwrap().read_exact_at(&mut bytes, at).unwrap();
    u64::from_le_bytes(bytes)
}

impl Newest {
    fn of(region: &Path) -> Newest {
        let control = region.join("control");
        let published = word(&control, 64);
        let slot_at = 8192 + 32 * (published & 0xffff);
        assert_eq!(word(&control, slot_at), published >> 16, "the slot of the newest generation");
        Newest { slot_at, offset: word(&control, slot_at + 8), bytes: word(&control, slot_at + 16) }
    }
}

/// Applies a damage; what was there, to restore it.
fn apply(region: &Path, newest: &Newest, damage: &Damage) -> Vec<(&'static str, u64, Vec<u8>)> {
    let mut undo = Vec::new();
    let mut write = |file: &'static str, at: u64, bytes: &[u8]| {
        let open = fs::File::options().read(true).write(true).open(region.join(file)).unwrap();
        let mut old = vec![0; bytes.len()];
        open.read_exact_at(&mut old, at).unwrap();
        open.write_all_at(bytes, at).unwrap();
        undo.push((file, at, old));
    };
    write(damage.file, damage.at, &damage.bytes);
    if damage.sealed {
        let mut directory = vec![0; newest.bytes as usize];
        fs::File::open(region.join("data")).unwrap().read_exact_at(&mut directory, newest.offset).unwrap();
        write("control", newest.slot_at + 24, &xxh3_64(&directory).to_le_bytes());
    }
    undo
}

fn restore(region: &Path, undo: &[(&'static str, u64, Vec<u8>)]) {
    for (file, at, bytes) in undo.iter().rev() {
        fs::File::options().write(true).open(region.join(file)).unwrap().write_all_at(bytes, *at).unwrap();
    }
}

/// Flips of one byte: of the newest directory (with the old checksum, and with one that fits), every one of its slot
/// and of the named control words, of the descriptor; then some bytes of everything else, whole entries and whole pages
/// of noise, the entity map among them. A larger `step` leaves more out.
fn damages(region: &Path, newest: &Newest, step: usize) -> Vec<Damage> {
    let mut damages = Vec::new();
    let mut flip = |file: &'static str, at: u64, sealed: bool, mask: u8| {
        let mut byte = [0];
        fs::File::open(region.join(file)).unwrap().read_exact_at(&mut byte, at).unwrap();
        damages.push(Damage { file, at, bytes: vec![byte[0] ^ mask], sealed });
    };
    let masks = |at: u64| [0x01, 0x80, 0xff, 1 << (mix(at) % 8)][mix(at) as usize % 4];
    for at in newest.offset..newest.offset + newest.bytes {
        let sealed = !mix(at).is_multiple_of(8);
        if mix(at >> 3).is_multiple_of(step as u64) || at < newest.offset + 256 {
            flip("data", at, sealed, masks(at));
        }
    }
    for at in (0..232).chain(newest.slot_at..newest.slot_at + 32) {
        flip("control", at, false, masks(at));
    }
    for at in (0..fs::metadata(region.join("descriptor")).unwrap().len()).step_by(step) {
        flip("descriptor", at, false, masks(at));
    }
    let bytes = fs::metadata(region.join("data")).unwrap().len();
    for index in 0..400 / step as u64 {
        flip("data", mix(index) % bytes, false, 0xff);
    }
    for at in (0..fs::metadata(region.join("leases")).unwrap().len()).step_by(4096 * 64) {
        flip("leases", at, false, 0xff);
        flip("leases", at + 8, false, 0xff);
    }
    // whole columns of garbage: all that the directory names, the entity map first
    for index in 0..48 {
        let entry = newest.offset + newest.bytes.min(64) + index * 32;
        damages.push(Damage {
            file: "data",
            at: entry,
            bytes: (0..32).map(|k| mix(index ^ k) as u8).collect(),
            sealed: true,
        });
    }
    for at in (0..bytes).step_by(4096).filter(|at| mix(*at).is_multiple_of(step as u64)) {
        let len = 4096.min(bytes - at);
        damages.push(Damage {
            file: "data",
            at,
            bytes: (0..len).map(|k| mix(at ^ k) as u8).collect(),
            sealed: at <= newest.offset && newest.offset < at + len,
        });
    }
    damages
}

/// Runs one trial after the other; panics are counted and told, and whatever is an error is fine.
struct Trials {
    tried: u64,
    errors: u64,
    panics: u64,
}

impl Trials {
    fn run(&mut self, what: &str, trial: impl FnOnce() -> Result<(), String>) {
        // whoever looks at a child that died of a signal finds here where it was
        println!("at {what}");
        self.tried += 1;
        match catch_unwind(AssertUnwindSafe(trial)) {
            Ok(done) => self.errors += u64::from(done.is_err()),
            Err(_) => {
                self.panics += 1;
                println!("panic {what}");
            }
        }
    }

    fn end(self) {
        println!("tried {} errors {} panics {}", self.tried, self.errors, self.panics);
    }
}

/// Opens, pins and reads all there is to read.
fn read(target: &RegionTarget) -> Result<(), String> {
    let info = inspect(target);
    let mut reader = hostile::open(target).map_err(|error| error.to_string())?;
    let snapshot = reader.pin().map_err(|error| error.to_string())?;
    let _ = (snapshot.hash(), snapshot.memory(), snapshot.entity_count(), info.is_stale());
    for table in snapshot.tables() {
        for component in snapshot.layout().components() {
            let _ = table
                .presence(&component.name)
                .map(|presence| (0..table.rows()).filter(|r| presence.contains(*r)).count());
            for field in &component.fields {
                let name = format!("{}.{}", component.name, field.name);
                let _ = table.column_bytes(&name).map(|column| column.map(|(_, bytes)| xxh3_64(bytes)));
                let _ = table.changed_since(&name, 1).map(|changed| changed.map(|changed| changed.runs().count()));
            }
        }
        for entity in table.entities() {
            let _ = snapshot.locate(*entity);
            let _ = snapshot.get::<scenes::Position>(*entity);
        }
    }
    let _ = snapshot.resource::<scenes::Weather>();
    Ok(())
}

/// Takes over, steps, and publishes.
fn resume(target: &RegionTarget) -> Result<(), String> {
    let world = World::resume(target).map_err(|error| error.to_string())?;
    let mut simulation = Setting::new("mixed", Workers::Local)
        .builder()
        .build(world, scenes::schedule("mixed"))
        .map_err(|e| e.to_string())?;
    simulation.run(2, scenes::DT).map_err(|error| error.to_string())?;
    Ok(())
}

/// The role that reads a region with each damage.
pub fn read_all(region: &Path) {
    let newest = Newest::of(region);
    let target = RegionTarget::Directory(region.to_owned());
    let mut trials = Trials { tried: 0, errors: 0, panics: 0 };
    for damage in damages(region, &newest, 2) {
        let undo = apply(region, &newest, &damage);
        trials.run(&format!("{} {} {}", damage.file, damage.at, damage.sealed), || read(&target));
        restore(region, &undo);
    }
    read(&target).expect("undamaged again");
    trials.end();
}

/// The role that takes over a copy of a region with each damage.
pub fn resume_all(region: &Path) {
    let newest = Newest::of(region);
    let damaged = region.with_extension("damaged");
    let target = RegionTarget::Directory(damaged.clone());
    let mut trials = Trials { tried: 0, errors: 0, panics: 0 };
    for damage in damages(region, &newest, 8) {
        copy(region, &damaged);
        apply(&damaged, &newest, &damage);
        trials.run(&format!("{} {} {}", damage.file, damage.at, damage.sealed), || resume(&target));
    }
    copy(region, &damaged);
    resume(&target).expect("undamaged");
    trials.end();
}

/// The role that meets files of wrong lengths, of other regions, and none at all.
pub fn files_all(region: &Path) {
    let damaged = region.with_extension("damaged");
    let other = region.with_extension("other");
    make(&other);
    let target = RegionTarget::Directory(damaged.clone());
    let mut trials = Trials { tried: 0, errors: 0, panics: 0 };
    let mut both = |what: &str, damage: &dyn Fn()| {
        for writing in [false, true] {
            copy(region, &damaged);
            damage();
            trials.run(what, || if writing { resume(&target) } else { read(&target) });
        }
    };
    for file in FILES {
        let path = damaged.join(file);
        let bytes = fs::metadata(region.join(file)).unwrap().len();
        both(&format!("no {file}"), &|| fs::remove_file(&path).unwrap());
        both(&format!("{file} of another region"), &|| {
            fs::copy(other.join(file), &path).unwrap();
        });
        both(&format!("{file} is a directory"), &|| {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        });
        both(&format!("{file} is zeros"), &|| fs::write(&path, vec![0; bytes as usize]).unwrap());
        both(&format!("{file} is noise"), &|| fs::write(&path, noise(bytes)).unwrap());
        for length in [0, 1, 63, bytes / 3, bytes / 2, bytes.saturating_sub(4096), bytes.saturating_sub(1), bytes + 1] {
            let cut = || fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
            both(&format!("{file} of {length} of {bytes} bytes"), &cut);
        }
    }
    trials.end();
}

fn noise(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|at| mix(at) as u8).collect()
}

/// Has a child try everything; it must end by itself.
fn child(role: &str, tried_min: u64, errors_min: u64) {
    // thousands of copies: in memory where there is such a place
    let parent = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let region = parent.path().join("region");
    make(&region);
    let (lines, status) = Actor::start(&[role, region.to_str().unwrap()]).finish();
    let panics: Vec<&String> = lines.iter().filter(|line| line.starts_with("panic")).collect();
    assert!(status.success(), "{status}, {:?}, {panics:?}", lines.last());
    assert_eq!(panics, Vec::<&String>::new());
    let last: Vec<u64> = lines.last().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
    println!("    {role}: {}", lines.last().unwrap());
    assert!(last[0] >= tried_min && last[1] >= errors_min, "{:?}", lines.last());
}

/// Whatever byte is wrong.
pub fn to_readers() {
    child("rubbish-read", 2000, 1000);
}

/// Whatever byte is wrong.
pub fn to_writers() {
    child("rubbish-resume", 700, 300);
}

/// Cut, exchanged, missing files.
pub fn truncated_and_foreign() {
    child("rubbish-files", 100, 60);
}
