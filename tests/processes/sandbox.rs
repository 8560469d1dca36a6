//! Worker processes in a sandbox: a hostile job gets nowhere, and nothing else changes.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use hypostyle::errors::{JobFailure, PoolError};
use hypostyle::{Sandbox, Simulation, StepError, Workers};

use crate::deaths::follow;
use crate::deeds::{DEEDS, Deed, file_of};
use crate::equality::undisturbed;
use crate::scenes::{self, Fault, Mass, Position, Velocity};
use crate::support::{Actor, Setting, course, newest};

const ROWS: usize = 1200;

/// Whether this system has no sandbox; says so.
fn skips(test: &str) -> bool {
    let lacks = Sandbox::lacks();
    if !lacks.is_empty() {
        println!("SKIPPED sandbox::{test}: this system lacks {}", lacks.join(" and "));
    }
    !lacks.is_empty()
}

fn shut_in(schedule: &'static str) -> Setting {
    Setting { sandbox: Sandbox::Required, ..Setting::new(schedule, Workers::Processes(2)) }
}

/// A simulation in whose frames one job does what `payload` says: a deed, and whether it fails with what it is told.
fn reaching(setting: &Setting) -> Simulation {
    setting.start(scenes::world("reaching", setting.region(), ROWS, 0), 0)
}

fn order(simulation: &mut Simulation, deed: usize, reports: bool) {
    simulation.set_payload("step", [1, deed as u8, u8::from(reports)]).unwrap();
}

/// Every deed gets `EPERM`; the frame's bytes are those of a world in which nobody did any.
pub fn every_deed_is_refused() {
    if skips("every_deed_is_refused") {
        return;
    }
    let frames = DEEDS.len() as u64;
    let whole = undisturbed("reaching", ROWS, 0, frames);
    let mut simulation = reaching(&Setting { main_helps: true, ..shut_in("reaching") });
    let mut reader = simulation.world().reader().unwrap();
    for (at, deed) in DEEDS.iter().enumerate() {
        order(&mut simulation, at, false);
        let report = simulation.step(scenes::DT).unwrap_or_else(|error| panic!("{}: {error}", deed.name));
        assert_eq!((report.deaths, report.jobs_on_main), (0, 0), "{}", deed.name);
        let (frame, hash) = newest(&mut reader);
        assert_eq!(whole.hash_of(frame), Some(hash), "{}", deed.name);
    }
    assert!(!file_of(std::process::id() as i32).exists());
}

/// A kernel that fails with the refusal fails its frame as any other, and the next frame is as if nothing had been.
pub fn a_refusal_is_a_failure_like_any_other() {
    if skips("a_refusal_is_a_failure_like_any_other") {
        return;
    }
    let whole = undisturbed("reaching", ROWS, 0, 4);
    let mut simulation = reaching(&shut_in("reaching"));
    let mut reader = simulation.world().reader().unwrap();
    for frame in 1..=3 {
        order(&mut simulation, 0, true);
        let error = simulation.step(scenes::DT).unwrap_err();
        let StepError::Job { system, failure, .. } = &error else { panic!("{error}") };
        let JobFailure::Error { message, .. } = &**failure else { panic!("{error}") };
        let refused = format!("{}: {}", DEEDS[0].name, std::io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!((system.as_str(), message.as_str()), ("step", refused.as_str()));
        simulation.set_payload("step", [0]).unwrap();
        simulation.step(scenes::DT).unwrap();
        assert_eq!(newest(&mut reader), (frame, whole.hash_of(frame).unwrap()));
    }
}

/// What is refused in a sandbox is let through without one, or else the tests of it would show nothing.
pub fn without_one_the_deeds_are_let_through() {
    let mut simulation = reaching(&Setting::new("reaching", Workers::Processes(2)));
    let mut done = 0;
    for (at, _) in DEEDS.iter().enumerate().filter(|(_, deed)| deed.harmless) {
        order(&mut simulation, at, false);
        // the kernel fails where the answer is not a refusal
        done += usize::from(simulation.step(scenes::DT).is_err());
    }
    assert!(done >= 8, "only {done} of the deeds do anything on this system");
    order(&mut simulation, MAKING, false);
    let error = simulation.step(scenes::DT).unwrap_err();
    assert!(error.to_string().contains("while it was set up: Ok"), "{error}");
}

/// The number that asks whether a worker could make a file while it was set up.
const MAKING: usize = DEEDS.len();
/// Whether this worker could.
static MADE: OnceLock<Result<(), std::io::ErrorKind>> = OnceLock::new();

/// What a worker of the hostile schedule does while it is set up: it makes a file, and removes it.
pub fn make_a_file() {
    let path = std::env::temp_dir().join(format!("hypostyle-hostile-{}", std::process::id()));
    let made = std::fs::write(&path, "hostile").and_then(|()| std::fs::remove_file(&path));
    let _ = MADE.set(made.map_err(|error| error.kind()));
}

/// From its first instruction on: what a worker is led to by the board, which others can write, it cannot write.
pub fn nothing_is_written_while_a_worker_is_set_up() {
    if skips("nothing_is_written_while_a_worker_is_set_up") {
        return;
    }
    let mut simulation = reaching(&shut_in("reaching"));
    order(&mut simulation, MAKING, false);
    let error = simulation.step(scenes::DT).unwrap_err();
    assert!(error.to_string().contains("while it was set up: Err(PermissionDenied)"), "{error}");
}

/// A kernel that does what it must not, as its payload says: a deed, and whether it fails with what it was told.
pub fn reach(payload: &[u8]) -> Result<(), String> {
    let &[1, deed, reports] = payload else { return Ok(()) };
    if usize::from(deed) == MAKING {
        return Err(format!("while it was set up: {:?}", MADE.get().unwrap()));
    }
    let deed: &Deed = &DEEDS[usize::from(deed)];
    match deed.attempt() {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) && reports == 0 => Ok(()),
        Err(error) => Err(format!("{}: {error}", deed.name)),
        Ok(()) => Err(format!("{}: it was let through", deed.name)),
    }
}

/// The same bytes as without one: patches of all kinds, pairs, sorts, rings that are too small.
pub fn the_same_bytes() {
    if skips("the_same_bytes") {
        return;
    }
    for (schedule, rows) in [("mixed", 1500), ("pairs", 1200), ("sorted", 12_000), ("flood", 12_000)] {
        let whole = undisturbed(schedule, rows, 5, 6);
        for (ring_bytes, publish_every) in [(1 << 20, 1), (1024, 3)] {
            let setting = Setting { ring_bytes, publish_every, ..shut_in(schedule) };
            let mut simulation = setting.start(scenes::world(schedule, setting.region(), rows, 5), 5);
            course(&mut simulation, 6).assert_like(&whole, &setting);
            assert_eq!(simulation.report().deaths, 0);
            assert_shut_in(&simulation);
        }
    }
}

/// Every thread of every worker has the filter and cannot gain rights.
fn assert_shut_in(simulation: &Simulation) {
    let mut threads = 0;
    for pid in simulation.worker_status().into_iter().filter_map(|worker| worker.pid) {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let text = std::fs::read_to_string(thread.path().join("status")).unwrap();
            let of: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(":\t")).collect();
            assert_eq!((of["Seccomp"], of["NoNewPrivs"]), ("2", "1"), "{text}");
            threads += 1;
        }
    }
    // of each the one that works and the one that watches main
    assert_eq!(threads, 2 * 2);
}

/// Workers that die in it, wherever they are, are replaced by others in it.
pub fn deaths_are_recovered() {
    if skips("deaths_are_recovered") {
        return;
    }
    let whole = undisturbed("mixed", 1500, 21, 60);
    for fault in ["claimed:131", "undo-saved:40", "published:132", "random:7:0.0005"] {
        let setting = Setting { ring_bytes: 4096, fault: Some(fault.to_owned()), ..shut_in("mixed") };
        let mut simulation = setting.start(scenes::world("mixed", setting.region(), 1500, 21), 21);
        let deaths = follow(&mut simulation, &whole, 4, 3, &setting);
        assert!(deaths >= 3, "only {deaths} workers died of {fault}");
    }
    // one that aborts does so by a signal to itself, which is left to it
    let mut simulation = {
        let setting = shut_in("faulty");
        setting.start(scenes::world("faulty", setting.region(), ROWS, 0), 0)
    };
    simulation.set_payload("step", [Fault::Abort as u8]).unwrap();
    let error = simulation.step(scenes::DT).unwrap_err();
    let StepError::Job { failure, .. } = &error else { panic!("{error}") };
    assert!(matches!(&**failure, JobFailure::KilledWorkers { status, .. } if status.contains('6')), "{error}");
}

/// The region and the program outgrow what they had when the workers were shut in.
pub fn worlds_and_programs_grow() {
    if skips("worlds_and_programs_grow") {
        return;
    }
    let grown = |setting: &Setting| {
        let mut simulation = setting.start(scenes::world("faulty", setting.region(), 300, 0), 0);
        let mut hashes = Vec::new();
        let mut reader = simulation.world().reader().unwrap();
        let mut backed = Vec::new();
        for batch in [0, 3_000, 20_000, 100_000] {
            let body = |i: usize| {
                let place = (Position { x: i as f32, y: 1.0 }, Velocity { x: 0.5, y: i as f32 * 0.25 });
                (place.0, place.1, Mass { kg: 1.0, parts: [i as u16, 0, 1] })
            };
            simulation.world_mut().spawn_batch((0..batch).map(body)).unwrap();
            for _ in 0..3 {
                let report = simulation.step(scenes::DT).unwrap();
                assert_eq!(report.deaths, 0);
                hashes.push(newest(&mut reader));
            }
            backed.push(simulation.world().usage().backed);
        }
        assert!(backed.last() > Some(&(8 * backed[0])), "{backed:?}");
        hashes
    };
    let alone = grown(&Setting::new("faulty", Workers::Local));
    assert_eq!(grown(&shut_in("faulty")), alone);
    assert_eq!(grown(&Setting::new("faulty", Workers::Processes(2))), alone);
}

/// Threads cannot be shut in, and it is said.
pub fn what_cannot_be_shut_in() {
    for workers in [Workers::Local, Workers::Threads(2), Workers::Auto] {
        let setting = Setting { sandbox: Sandbox::Required, ..Setting::new("local", workers) };
        let world = scenes::world("local", setting.region(), 100, 0);
        let error = setting.builder().build(world, scenes::schedule("local")).map(drop).unwrap_err();
        let StepError::Start(PoolError::NothingToShutIn { .. }) = &error else { panic!("{error:?}") };
        assert!(error.to_string().contains("processes:N"), "{error}");
    }
}

/// On a system that lacks a part, that part is named; by best effort it is done without, and the rest holds.
pub fn what_a_system_lacks_is_named() {
    if skips("what_a_system_lacks_is_named") {
        return;
    }
    let refused = [libc::EPERM, libc::EACCES].map(|errno| std::io::Error::from_raw_os_error(errno).to_string());
    let through = "it was let through";
    // a file, which both know of, and a socket, of which seccomp alone knows
    for (call, part, file, socket) in
        [("landlock", "Landlock", &*refused[0], &*refused[0]), ("seccomp", "seccomp", &*refused[1], through)]
    {
        let (lines, status) = Actor::start(&["lacking", call]).finish();
        assert!(status.success(), "{status}: {lines:?}");
        let [required, lacks, said_of_file, said_of_socket] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(required.contains("as this system lacks") && required.contains(part), "{required}");
        assert!(lacks.starts_with(part) && !lacks.contains(" and "), "{lacks}");
        assert!(said_of_file.ends_with(file), "without {part}: {said_of_file}");
        assert!(said_of_socket.ends_with(socket), "without {part}: {said_of_socket}");
    }
}

/// The role of a main process on a system that lacks a part.
pub fn on_a_system_that_lacks(part: &str) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let call = if part == "landlock" { libc::SYS_landlock_create_ruleset } else { libc::SYS_seccomp };
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new([(call, Vec::new())].into(), SeccompAction::Allow, missing, arch).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
    let setting = shut_in("reaching");
    let world = scenes::world("reaching", setting.region(), ROWS, 0);
    println!("{}", setting.builder().build(world, scenes::schedule("reaching")).map(drop).unwrap_err());
    let mut simulation = reaching(&Setting { sandbox: Sandbox::BestEffort, ..setting });
    println!("{}", simulation.workers().sandbox_lacks.join(" and "));
    for name in ["open a file to read", "make a socket of this machine"] {
        let at = DEEDS.iter().position(|deed| deed.name == name).unwrap();
        order(&mut simulation, at, true);
        let error = simulation.step(scenes::DT).map(drop).unwrap_err();
        let StepError::Job { failure, .. } = &error else { panic!("{error}") };
        let JobFailure::Error { message, .. } = &**failure else { panic!("{error}") };
        println!("{message}");
    }
}
