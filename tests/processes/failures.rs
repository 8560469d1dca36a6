//! Jobs that fail: the frame is abandoned, the error says what and where, the world stands, the next frame runs.
#![forbid(unsafe_code)]

use std::time::Duration;

use hypostyle::errors::{JobFailure, PoolError};
use hypostyle::{Publication, RegionTarget, Simulation, StepError, WorkerCommand, Workers, errors::RunnerName};

use crate::equality::undisturbed;
use crate::scenes::{self, FAULTY_ROW, Fault};
use crate::support::{Course, Setting, course, in_worker, newest, own, worker_command};

const ROWS: usize = 1200;

/// A failed step's error, checked: the system, its rows and table, what was undone and where the world stands.
#[track_caller]
fn failing_step(simulation: &mut Simulation, fault: Fault, undone: u64, stands: u64) -> JobFailure {
    simulation.set_payload("step", [fault as u8]).unwrap();
    let error = simulation.step(scenes::DT).unwrap_err();
    let text = error.to_string();
    let StepError::Job { system, table, rows, failure, undone: said, frame } = error else { panic!("{error}") };
    assert_eq!((system.as_str(), rows.start as usize, said, frame), ("step", FAULTY_ROW, undone, stands), "{text}");
    assert!(table.contains("position") && table.contains("velocity"), "{table}");
    assert!(text.contains("`step`") && text.contains(&format!("{FAULTY_ROW}..")), "{text}");
    assert!(text.contains(&format!("{undone} frame(s) undone, the world stands at frame {stands}")), "{text}");
    assert_eq!(simulation.world().frame(), stands);
    *failure
}

/// Three failures, each with other frames before it; the world stands each time, and goes on as if nothing had been.
fn fails_and_goes_on(setting: &Setting, fault: Fault, whole: &Course, check: impl Fn(&JobFailure)) {
    let mut simulation = setting.start(scenes::world(setting.schedule, setting.region(), ROWS, 0), 0);
    let mut reader = simulation.world().reader().unwrap();
    let every = setting.publish_every;
    let known = |frame: u64| whole.hashes.iter().find(|(other, _)| *other == frame).unwrap().1;
    let mut stands = 0;
    for good in [2, 4, 0, 3] {
        simulation.set_payload("step", [Fault::Nothing as u8]).unwrap();
        for _ in 0..good {
            simulation.step(scenes::DT).unwrap();
        }
        let reached = stands + good;
        stands += good / every * every;
        check(&failing_step(&mut simulation, fault, reached - stands + 1, stands));
        if stands > 0 {
            // the world itself, and not only what readers see
            assert!(matches!(simulation.world_mut().publish().unwrap(), Publication::Published(_)));
            assert_eq!(newest(&mut reader), (stands, known(stands)), "after {fault:?} under {setting:?}");
        }
    }
    simulation.set_payload("step", [Fault::Nothing as u8]).unwrap();
    for _ in 0..every {
        simulation.step(scenes::DT).unwrap();
    }
    assert_eq!(newest(&mut reader), (stands + every, known(stands + every)));
}

fn process_runner(failure: &RunnerName) -> bool {
    matches!(failure, RunnerName::Process { pid: 1.., .. })
}

/// It kills three workers, never main.
pub fn a_job_that_always_kills_its_worker() {
    let whole = undisturbed("faulty", ROWS, 0, 20);
    for (fault, signal) in [(Fault::Abort, "6"), (Fault::KillItself, "9")] {
        for publish_every in [1, 3] {
            // main is not to help with jobs that may kill; where it does, the dead worker's job is left to workers
            for main_helps in [false, true] {
                if main_helps && fault == Fault::Abort {
                    continue;
                }
                let setting = Setting { publish_every, ..Setting::new("faulty", Workers::Processes(2)) };
                fails_and_goes_on(&setting, fault, &whole, |failure| {
                    let JobFailure::KilledWorkers { deaths: 3, runner, status, .. } = failure else {
                        panic!("{failure}")
                    };
                    assert!(process_runner(runner) && status.contains(signal), "{failure}");
                });
            }
        }
    }
}

/// Wherever it runs.
pub fn a_kernel_that_panics_or_errs() {
    let whole = undisturbed("faulty", ROWS, 0, 20);
    for workers in [Workers::Local, Workers::Threads(2), Workers::Processes(2)] {
        for publish_every in [1, 3] {
            let setting = Setting { publish_every, ..Setting::new("faulty", workers) };
            let right = |runner: &RunnerName| match workers {
                Workers::Local => *runner == RunnerName::Main,
                Workers::Threads(_) => matches!(runner, RunnerName::Thread { .. }),
                _ => process_runner(runner),
            };
            fails_and_goes_on(&setting, Fault::Panic, &whole, |failure| {
                let JobFailure::Panic { runner, message, .. } = failure else { panic!("{failure}") };
                assert!(right(runner) && message.contains("the kernel is asked to panic"), "{failure}");
            });
            fails_and_goes_on(&setting, Fault::Error, &whole, |failure| {
                let JobFailure::Error { runner, message, .. } = failure else { panic!("{failure}") };
                assert!(right(runner) && message.contains("the kernel is asked to fail"), "{failure}");
            });
        }
    }
}

/// With a deadline it is killed, three times; main, which helps, leaves it to the workers.
pub fn a_kernel_that_hangs() {
    let whole = undisturbed("deadline", ROWS, 0, 20);
    for (publish_every, main_helps) in [(1, true), (3, false)] {
        let setting = Setting { publish_every, main_helps, ..Setting::new("deadline", Workers::Processes(2)) };
        fails_and_goes_on(&setting, Fault::Hang, &whole, |failure| {
            let JobFailure::Deadline { deadline, tries: 3, runner, .. } = failure else { panic!("{failure}") };
            assert!(process_runner(runner) && *deadline == Duration::from_millis(400), "{failure}");
        });
    }
}

/// After it has closed, a simulation says so; its world stays.
pub fn a_closed_simulation() {
    for workers in [Workers::Local, Workers::Threads(2), Workers::Processes(2)] {
        let setting = Setting::new("faulty", workers);
        let mut simulation = setting.start(scenes::world("faulty", setting.region(), ROWS, 0), 0);
        course(&mut simulation, 3);
        let pids: Vec<u32> = simulation.worker_status().iter().filter_map(|worker| worker.pid).collect();
        let mut reader = simulation.world().reader().unwrap();
        let before = newest(&mut reader);
        simulation.close();
        for _ in 0..2 {
            assert!(matches!(simulation.step(scenes::DT), Err(StepError::Closed)));
        }
        assert_eq!(newest(&mut reader), before);
        assert_eq!(matches!(workers, Workers::Processes(_)), !pids.is_empty());
        for pid in pids {
            assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "worker {pid} is gone");
        }
        assert_eq!(simulation.into_world().frame(), 3);
    }
}

fn start_error(command: WorkerCommand) -> PoolError {
    let setting = Setting::new("faulty", Workers::Processes(2));
    let world = scenes::world("faulty", setting.region(), ROWS, 0);
    let path = world.region().path().unwrap().unwrap();
    let built = setting.builder().worker_command(command).build(world, scenes::schedule("faulty"));
    let Err(StepError::Start(error)) = built else { panic!("it started, or failed otherwise") };
    assert!(!path.exists(), "the world's region is gone with the world");
    error
}

/// The error names the first line that differs, and both lines.
pub fn registrations_that_differ() {
    let error = start_error(worker_command("faulty-otherwise", None));
    let PoolError::RegistrationsDiffer { line: 2, main, worker, name } = &error else { panic!("{error}") };
    assert!(process_runner(name));
    assert!(main.starts_with("step ") && main.contains("rows=64"), "{main}");
    assert!(worker.starts_with("step ") && worker.contains("rows=128"), "{worker}");
}

/// It is told that `serve` must be called.
pub fn an_executable_that_never_serves() {
    let role = |role: &str| WorkerCommand { program: own(), args: vec!["role".to_owned(), role.to_owned()] };
    for command in [role("deaf"), role("forgetful"), WorkerCommand { program: "/bin/true".into(), args: Vec::new() }] {
        let error = start_error(command);
        assert!(matches!(error, PoolError::Exited { .. }), "{error}");
        assert!(error.to_string().contains("serve"), "{error}");
    }
    let missing = start_error(WorkerCommand { program: "/nowhere/at-all".into(), args: Vec::new() });
    assert!(matches!(missing, PoolError::Spawn { .. }), "{missing}");
    let private = Setting::new("faulty", Workers::Processes(1));
    let world = scenes::world("faulty", RegionTarget::Heap, ROWS, 0);
    let built = private.builder().build(world, scenes::schedule("faulty"));
    assert!(matches!(built.err(), Some(StepError::Start(PoolError::PrivateRegion))));
}

/// The role of a program that starts a simulation of its own where it should serve.
pub fn forgetful() {
    let setting = Setting::new("faulty", Workers::Processes(1));
    let world = scenes::world("faulty", setting.region(), 64, 0);
    let built = setting.builder().build(world, scenes::schedule("faulty"));
    assert!(matches!(built.err(), Some(StepError::Start(PoolError::InsideWorker))), "no workers of workers");
    assert!(!in_worker());
}

/// Stray stores into columns that no system of the worker writes, and into handles: the worker dies, nothing changes.
pub fn a_worker_cannot_write_what_is_undeclared() {
    let whole = undisturbed("faulty", ROWS, 0, 20);
    for fault in [Fault::WriteUndeclared, Fault::WriteHandles] {
        for publish_every in [1, 3] {
            let setting = Setting { publish_every, ..Setting::new("faulty", Workers::Processes(2)) };
            fails_and_goes_on(&setting, fault, &whole, |failure| {
                let JobFailure::KilledWorkers { deaths: 3, status, .. } = failure else { panic!("{failure}") };
                assert!(status.contains("11"), "a segmentation fault: {status}");
            });
        }
    }
}
