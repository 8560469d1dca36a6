//! A process that was forked off the one that made a world: it reads, it changes nothing, and it takes nothing along when
//! it ends.
#![expect(unsafe_code, reason = "forks")]

use hypostyle::checkpoint::{CheckpointOptions, Keeper, KeeperOptions};
use hypostyle::journal::{Recorder, RecorderOptions};
use hypostyle::{InputError, RegionError, RegionTarget, SnapshotError, StepError, Workers, World, WorldError};

use crate::equality::undisturbed;
use crate::hostile;
use crate::scenes::{self, Hot, Position};
use crate::support::{Setting, fresh_region, newest};

const ROWS: usize = 600;

/// Runs `child` in a process that is forked off, which ends without more ado; what it found wrong.
fn forked(child: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("hypostyle-fork-{}", std::process::id()));
    // SAFETY: the child uses what the library promises to a forked process, and ends by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            let found = found.unwrap_or_else(|_| Err("it panicked".to_owned()));
            if let Err(message) = &found {
                let _ = std::fs::write(&path, message);
            }
            // SAFETY: ends the process and nothing else.
            unsafe { libc::_exit(i32::from(found.is_err())) }
        }
        pid => {
            assert!(pid > 0, "{}", std::io::Error::last_os_error());
            let pid = rustix::process::Pid::from_raw(pid);
            let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
            let message = std::fs::read_to_string(&path).unwrap_or_default();
            let _ = std::fs::remove_file(&path);
            if status.exit_status() == Some(0) { Ok(()) } else { Err(format!("{status:?}: {message}")) }
        }
    }
}

fn refused<T>(what: &str, done: Result<T, WorldError>) -> Result<(), String> {
    match done {
        Err(WorldError::Region(RegionError::Forked { maker, pid })) if maker != pid => Ok(()),
        Err(error) => Err(format!("{what}: {error}")),
        Ok(_) => Err(format!("{what} was done")),
    }
}

fn changes(world: &mut World) -> Result<(), String> {
    let entity = world.reader().ok().and_then(|mut reader| {
        let snapshot = reader.pin().ok()?;
        snapshot.tables().find_map(|table| table.entities().first().copied())
    });
    let entity = entity.ok_or("there is an entity, and it can be read")?;
    refused("spawn", world.spawn(Hot))?;
    refused("spawn_batch", world.spawn_batch([Hot, Hot]))?;
    refused("spawn_columns", world.spawn_columns(3).spawn())?;
    refused("set", world.set(entity, Position { x: 1.0, y: 2.0 }))?;
    refused("add", world.add(entity, Hot))?;
    refused("remove", world.remove::<Hot>(entity))?;
    refused("despawn", world.despawn(entity))?;
    refused("despawn_batch", world.despawn_batch(&[entity]))?;
    let real = hypostyle::FieldType::scalar(hypostyle::ScalarType::F32);
    refused("set_columns", world.set_columns(&[entity], &[("position.x", real, &[0; 4])]))?;
    refused("add_columns", world.add_columns(&[entity], "hot", &[]))?;
    refused("remove_named", world.remove_named(&[entity], "hot"))?;
    refused("query_one_mut", world.query_one_mut::<hypostyle::Write<Position>>(entity, |_| {}))?;
    refused("get_mut", world.get_mut::<Position>(entity).map(drop))?;
    refused("add_where", world.add_where::<hypostyle::Read<Position>, Hot>(Hot))?;
    refused("remove_where", world.remove_where::<hypostyle::Read<Position>, Hot>())?;
    refused("table_column_mut", world.table_column_mut(0, "position.x").map(drop))?;
    refused("reserve", world.reserve::<Hot>(5))?;
    refused("despawn_where", world.despawn_where::<hypostyle::Read<Position>>())?;
    refused("query_mut", world.query_mut::<hypostyle::Write<Position>>(|_, _| {}))?;
    refused("prefault", world.prefault(1 << 20, |_, _| {}))?;
    refused("rollback", world.rollback(1))?;
    refused("publish", world.publish())
}

pub fn reads_and_changes_nothing() {
    for (workers, region) in [
        (Workers::Local, RegionTarget::Heap),
        (Workers::Local, fresh_region()),
        (Workers::Threads(2), fresh_region()),
        (Workers::Processes(2), fresh_region()),
    ] {
        child_of(workers, &region);
    }
}

/// A world that is not run yet: building a simulation would make room in it.
pub fn builds_nothing() {
    for region in [RegionTarget::Heap, fresh_region()] {
        let world = scenes::world("faulty", region.clone(), ROWS, 0);
        let before = world.usage();
        forked(|| {
            // SAFETY: a copy of what the parent goes on with; in this process it is used here alone, and never dropped.
            let copy = unsafe { std::ptr::read(&world) };
            let mut copy = Some(copy);
            let built =
                Setting::new("faulty", Workers::Local).builder().build_from(&mut copy, scenes::schedule("faulty"));
            let usage = copy.as_ref().map(World::usage);
            match built {
                Err(StepError::Region(RegionError::Forked { .. })) if usage == Some(before) => Ok(()),
                Err(error) => Err(format!("build: {error}; {before:?} became {usage:?}")),
                Ok(_) => Err("a simulation was built".to_owned()),
            }
        })
        .unwrap_or_else(|found| panic!("{region}: {found}"));
    }
}

fn child_of(workers: Workers, region: &RegionTarget) {
    let whole = undisturbed("faulty", ROWS, 0, 6);
    let files = tempfile::tempdir().unwrap();
    let setting = Setting::new("faulty", workers);
    let world = scenes::world("faulty", region.clone(), ROWS, 0);
    let mut simulation = setting.builder().inputs(["position"]).build(world, scenes::schedule("faulty")).unwrap();
    simulation.step(scenes::DT).unwrap();
    let pids: Vec<Option<u32>> = simulation.worker_status().iter().map(|worker| worker.pid).collect();
    let mut reader = simulation.world().reader().unwrap();
    let mut sender = reader.inputs().unwrap().unwrap();
    let keeping = KeeperOptions {
        directory: files.path().join("kept"),
        prefix: "fork".to_owned(),
        every_frames: Some(1),
        every: None,
        keep: 2,
        options: CheckpointOptions::default(),
    };
    let mut keeper = Keeper::start(simulation.world().reader().unwrap(), 0, keeping).unwrap();
    let mut recorder = Recorder::start(simulation.world(), RecorderOptions::new(files.path().join("journal"))).unwrap();
    let shared = hypostyle::SharedReader::from(simulation.world().reader().unwrap());
    let owned = shared.pin().unwrap();
    let snapshot = reader.pin().unwrap();
    let held = |shared: &hypostyle::SharedReader| {
        let leases = shared.leases().unwrap();
        leases.iter().filter(|lease| lease.generation.is_some() && lease.alive).count()
    };
    let (before, hash) = (held(&shared), snapshot.hash());

    for _ in 0..2 {
        // what the child ends, it ends in its copy: the compiler sees one process and no second use
        let found = forked(|| {
            // SAFETY: copies of values that the parent goes on with; in this process they are used here alone.
            let copy = |simulation: &hypostyle::Simulation| unsafe { std::ptr::read(simulation) };
            let mut simulation = copy(&simulation);
            // SAFETY: as above.
            let (mut keeper, mut recorder, mut sender) =
                unsafe { (std::ptr::read(&keeper), std::ptr::read(&recorder), std::ptr::read(&sender)) };
            // SAFETY: as above.
            let (owned, snapshot) = unsafe { (std::ptr::read(&owned), std::ptr::read(&snapshot)) };
            if owned.snapshot().hash() != hash || snapshot.hash() != hash {
                return Err("what the parent holds cannot be read".to_owned());
            }
            let mut own = simulation.world().reader().map_err(|error| error.to_string())?;
            if newest(&mut own).1 != hash || shared.pin().map_err(|error| error.to_string())?.snapshot().hash() != hash
            {
                return Err("the newest generation cannot be read".to_owned());
            }
            changes(simulation.world_mut())?;
            for done in [simulation.step(scenes::DT).map(drop), simulation.run(3, scenes::DT).map(drop)] {
                if !matches!(done, Err(StepError::Region(RegionError::Forked { .. }))) {
                    return Err(format!("step: {done:?}"));
                }
            }
            let sent = sender.send("position", &[0; 64]);
            if !matches!(sent, Err(InputError::Region(RegionError::Forked { .. }))) {
                return Err(format!("send: {sent:?}"));
            }
            let kept = keeper.look(100).map_err(|error| error.to_string());
            let recorded = recorder.look().map_err(|error| error.to_string());
            for done in [kept, recorded] {
                if !done.as_ref().is_err_and(|message| message.contains("forked")) {
                    return Err(format!("a file was written: {done:?}"));
                }
            }
            drop((keeper, recorder, sender, snapshot, owned));
            simulation.close();
            drop(simulation);
            Ok(())
        });
        assert_eq!(found, Ok(()), "{workers} in {region}");
    }

    assert_eq!(held(&shared), before, "the child gave a pin back that was not its own");
    assert_eq!((snapshot.hash(), owned.snapshot().hash()), (hash, hash));
    drop((snapshot, owned));
    if *region != RegionTarget::Heap {
        assert!(hostile::open(region).unwrap().is_alive().unwrap(), "the region is there");
    }
    assert!(sender.is_current(), "the mailbox is open");
    assert!(!matches!(sender.send("position", &[0; 3]), Err(InputError::Region(_) | InputError::Closed)));
    for frame in 2..6 {
        simulation.step(scenes::DT).unwrap();
        assert_eq!(newest(&mut reader), (frame, whole.hash_of(frame).unwrap()));
        recorder.look().unwrap();
        keeper.look(frame).unwrap();
    }
    let now: Vec<Option<u32>> = simulation.worker_status().iter().map(|worker| worker.pid).collect();
    assert_eq!(now, pids, "the workers live on");
    assert_eq!(simulation.worker_status().iter().map(|worker| worker.deaths).sum::<u64>(), 0);
    assert!(recorder.finish().unwrap().generations >= 4);
    assert!(keeper.finish().unwrap().written >= 1);
    assert!(matches!(hostile::open(&fresh_region()), Err(SnapshotError::Region(RegionError::NotFound { .. }))));
}
