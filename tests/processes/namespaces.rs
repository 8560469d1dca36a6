//! Processes of two process namespaces, as of two containers, that share `/dev/shm`: between them a process's number
//! means nothing, and may be another's. Who lives, and who holds what, is told by locks alone.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::io::BufRead as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use hypostyle::errors::PoolError;
use hypostyle::regions::{clean, inspect};
use hypostyle::{
    Publication, Read, RegionError, RegionTarget, Schedule, Simulation, System, WorkerCommand, Workers, World,
    WorldError,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::equality::undisturbed;
use crate::hostile;
use crate::kills::Note;
use crate::scenes;
use crate::support::{Actor, Setting, Subreaper, course, fresh_region, newest, own, worker_command};

const ROWS: usize = 600;
const LONG: Duration = Duration::from_secs(60);

/// What puts a command into a process namespace of its own; nothing, and a word of it, where that is not allowed.
/// `proc`: it has a `/proc` of its own, too, as in a container; or else that of this namespace.
fn apart(test: &str, proc: bool) -> Option<Vec<String>> {
    let mut words = vec!["unshare", "--pid", "--fork", "--kill-child"];
    if !rustix::process::geteuid().is_root() {
        words.extend(["--user", "--map-current-user"]);
    }
    if proc {
        words.push("--mount-proc");
    }
    let tried = Command::new(words[0]).args(&words[1..]).arg("true").stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("SKIPPED namespaces::{test}: `{} true` fails here", words.join(" "));
        return None;
    }
    Some(words.into_iter().map(str::to_owned).collect())
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process that a command has become here, which knows it by another number.
fn only_child(of: u32) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    Pid::from_raw(children.trim().parse().unwrap()).unwrap()
}

/// The role of one in another namespace: a reader that also sends.
pub fn visit(target: &RegionTarget) {
    let mut reader = hostile::open(target).unwrap();
    let mut sender = reader.inputs().unwrap().expect("it takes inputs");
    println!("pid {}", std::process::id());
    let snapshot = reader.pin().unwrap();
    println!("holds {} {:016x}", snapshot.generation(), snapshot.hash());
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("send", number)) => {
                let mut payload = hypostyle::Entity::from_parts(0, 0).to_bits().to_le_bytes().to_vec();
                let note = Note::new(number.parse().unwrap());
                payload.extend([note.number.to_le_bytes(), note.seal.to_le_bytes()].concat());
                sender.send("note", &payload).unwrap();
                println!("sent");
            }
            _ => println!("holds {} {:016x}", snapshot.generation(), snapshot.hash()),
        }
    }
}

fn noted() -> (RegionTarget, hypostyle::Entity, Simulation) {
    let region = fresh_region();
    let mut world = World::builder().component::<Note>().region(region.clone()).build().unwrap();
    let note = world.spawn(Note::new(0)).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Read<Note>>("look", |_, _| {}));
    let builder = Simulation::builder().workers(Workers::Local).inputs(["note"]);
    let mut simulation = builder.build(world, schedule).unwrap();
    simulation.step(scenes::DT).unwrap();
    (region, note, simulation)
}

/// Its number is that of a process that lives here, too (1 always does), and that is never asked.
pub fn a_reader_and_a_sender() {
    let Some(apart) = apart("a_reader_and_a_sender", true) else { return };
    let (region, note, mut simulation) = noted();
    let mut visitor = Actor::start_by(&apart, &["visit", &region.to_string()]);
    assert_eq!(visitor.hear().as_deref(), Some("pid 1"));
    let held = visitor.hear().unwrap();
    let step = |simulation: &mut Simulation| {
        let report = simulation.step(scenes::DT).unwrap();
        assert!(matches!(report.publication, Some(Publication::Published(_))), "{report:?}");
    };
    for number in 1..=40 {
        assert_eq!(visitor.ask(&format!("send {number}")), "sent");
        step(&mut simulation);
        assert_eq!(simulation.world().get::<Note>(note).unwrap(), Note::new(number));
        assert_eq!(visitor.ask("hash"), held, "a reader that lives is never robbed");
    }
    let leases = |simulation: &Simulation| simulation.world().reader().unwrap().leases().unwrap();
    let of_visitor = |lease: &hypostyle::regions::LeaseInfo| lease.pid == 1 && lease.generation.is_some();
    assert!(leases(&simulation).iter().any(|lease| of_visitor(lease) && lease.alive), "{:?}", leases(&simulation));
    visitor.kill();
    // a dead one's lease is free, although a process of its number lives
    wait_until("the lease of the dead is seen to be", || {
        !leases(&simulation).iter().any(|lease| lease.alive && of_visitor(lease))
    });
    for _ in 0..4 {
        step(&mut simulation);
    }
    assert!(!leases(&simulation).iter().any(of_visitor), "{:?}", leases(&simulation));
    // and so is its ring
    for number in 41..=60 {
        let mut next = Actor::start_by(&apart, &["visit", &region.to_string()]);
        assert!(next.hear().is_some() && next.hear().is_some());
        assert_eq!(next.ask(&format!("send {number}")), "sent");
        step(&mut simulation);
        assert_eq!(simulation.world().get::<Note>(note).unwrap(), Note::new(number));
        // what is killed here is `unshare`, and the visitor a moment later: it is gone when nobody can speak any more
        next.kill();
        assert_eq!(next.hear(), None);
    }
}

/// A writer with worker processes in another namespace: it lives, a reader here is not robbed, other pools here do not
/// sweep its memory away, and once it is killed another process here goes on from it, bit for bit.
pub fn a_writer_and_its_workers() {
    let Some(apart) = apart("a_writer_and_its_workers", true) else { return };
    let whole = undisturbed("mixed", ROWS, 13, 120);
    let region = fresh_region();
    let mut writer = Actor::start_by(&apart, &["writer", &region.to_string(), "processes:2", "1", "13"]);
    assert!(writer.hear().unwrap().starts_with("pids ["));
    for _ in 0..3 {
        writer.hear().unwrap();
    }
    // stopped, so that its course stays short; it lives all the same
    let main = only_child(writer.child.id());
    kill_process(main, Signal::STOP).unwrap();
    let mut reader = hostile::open(&region).unwrap();
    assert!(reader.is_alive().unwrap());
    let info = inspect(&region);
    assert!(info.alive && info.writer_pid == 1 && !info.is_stale(), "{info:?}");
    assert!(matches!(World::resume(&region), Err(WorldError::Region(RegionError::Live { .. }))));
    assert!(matches!(clean(&region), Err(RegionError::Live { .. })));
    // its workers' memory looks old, and nobody here has the numbers of its processes
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", main.as_raw_nonzero())).unwrap();
    let memory: HashSet<&str> = maps.split_whitespace().filter(|word| word.contains("/hypostyle-worker-")).collect();
    assert!(memory.len() >= 4, "the board, two lanes, the program: {memory:?}");
    for path in memory {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    {
        let snapshot = reader.pin().unwrap();
        let (frame, held) = (snapshot.frame(), snapshot.hash());
        assert_eq!(whole.hash_of(frame), Some(held));
        let setting = Setting::new("mixed", Workers::Processes(1));
        let mut other = setting.start(scenes::world("mixed", setting.region(), ROWS, 13), 13);
        course(&mut other, 4).assert_like(&whole, &setting);
        kill_process(main, Signal::CONT).unwrap();
        for _ in 0..30 {
            writer.hear().expect("it goes on");
        }
        assert_eq!(snapshot.hash(), held, "a reader that lives is never robbed");
    }
    writer.kill();
    wait_until("the writer is seen to be dead", || !reader.is_alive().unwrap());
    let (frame, hash) = newest(&mut reader);
    assert!(frame < 110, "the course is too short for {frame} frames");
    assert_eq!(whole.hash_of(frame), Some(hash));
    let world = World::resume(&region).unwrap();
    assert_eq!(world.frame(), frame);
    let mut simulation = Setting::new("mixed", Workers::Processes(2)).start(world, 13);
    for (frame, hash) in course(&mut simulation, 4).hashes {
        assert_eq!(whole.hash_of(frame), Some(hash), "frame {frame}");
    }
}

/// A worker that is started in another namespace is no child of main: it is told so, and so is main.
pub fn a_worker_of_its_own() {
    let Some(mut apart) = apart("a_worker_of_its_own", false) else { return };
    let WorkerCommand { program, args } = worker_command("mixed", None);
    apart.push(program.to_str().unwrap().to_owned());
    apart.extend(args);
    let command = WorkerCommand { program: apart.remove(0).into(), args: apart };
    let setting = Setting::new("mixed", Workers::Processes(1));
    let world = scenes::world("mixed", setting.region(), ROWS, 1);
    let built = setting.builder().worker_command(command).build(world, scenes::schedule("mixed"));
    let error = built.map(drop).unwrap_err();
    let refused = |error: &PoolError| matches!(error, PoolError::Refused { .. });
    let pool = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<PoolError>());
    let text = format!("{error}: {}", pool.map(ToString::to_string).unwrap_or_default());
    assert!(pool.is_none_or(refused) && text.contains("must be a direct child of the main process"), "{text}");
}

/// The role of one that takes a region over in another namespace, where another process has this number.
pub fn take_over(target: &RegionTarget) {
    match World::resume(target) {
        Err(WorldError::Region(error @ RegionError::Leftover { .. })) => println!("refused {error}"),
        other => println!("{:?}", other.map(drop)),
    }
}

/// A stopped worker outlives its main. Who takes the region over from another namespace, and sees this one's `/proc`,
/// cannot end it; a process there that happens to have its number is left alone, and the refusal is clear.
pub fn who_has_the_number_of_another() {
    let test = "who_has_the_number_of_another";
    let Some(apart) = apart(test, false) else { return };
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED namespaces::{test}: only root can choose the number of a process");
        return;
    }
    let region = fresh_region();
    let _subreaper = Subreaper::new();
    let mut main = Actor::start(&["stuck-writer", &region.to_string()]);
    let line = main.hear().unwrap();
    let pid: i32 = line.trim_start_matches("pids [").trim_end_matches(']').parse().unwrap();
    assert_eq!(main.hear().unwrap(), "hangs");
    let worker = Pid::from_raw(pid).unwrap();
    kill_process(worker, Signal::STOP).unwrap();
    main.kill();
    let script = "echo $(($1 - 1)) > /proc/sys/kernel/ns_last_pid; sleep 1000 & [ $! = $1 ] || exit 77
        \"$2\" role take-over \"$3\"; kill -0 $1 && echo lives";
    let mut command = Command::new(&apart[0]);
    command.args(&apart[1..]).args(["sh", "-c", script, "sh", &pid.to_string()]).arg(own()).arg(region.to_string());
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    kill_process(worker, Signal::KILL).unwrap();
    if output.status.code() == Some(77) {
        println!("SKIPPED namespaces::{test}: the number of a process cannot be chosen");
    } else {
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.len() == 2 && lines[1] == "lives", "{said}");
        assert!(lines[0].starts_with("refused") && lines[0].contains("cannot be seen from here"), "{said}");
    }
    drop(World::resume(&region).unwrap());
}
