//! What is done with a run of many ranks as with one of one process: files that it writes, its pace, those who steer it.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "opening a region is a promise about its writer")]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::program::{PROGRAM, state, told};
use common::scene;
use hypostyle::regions::ranks;
use hypostyle::{ClusterReader, Reader, RegionTarget, Simulation, Steering, Workers, World};
use hypostyle_scenes::command::Series;
use hypostyle_scenes::{Scene, SceneOptions, Watch};

fn program(words: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words.split_whitespace());
    command
}

fn bytes(directory: &Path, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).unwrap()
}

/// A run of one plain process that writes a series of what the scene observes, and the scene's own files.
fn plain_files((scene, options): (&'static dyn Scene, &SceneOptions), series: &Path, frames: u64) {
    let mut watches = scene.watches(options).unwrap();
    watches.push(Box::new(Series::create(series, 10, scene).unwrap()));
    let world = scene.world(options, World::builder()).unwrap();
    let mut simulation = Simulation::new(world, scene.schedule(options), Workers::Local).unwrap();
    let look = |watches: &mut Vec<Box<dyn Watch>>, world: &World| {
        let due = |watch: &&mut Box<dyn Watch>| world.frame().is_multiple_of(watch.every());
        watches.iter_mut().filter(due).for_each(|watch| watch.look(world).unwrap());
    };
    look(&mut watches, simulation.world());
    for _ in 0..frames {
        simulation.run(1, scene.dt()).unwrap();
        look(&mut watches, simulation.world());
    }
}

#[test]
fn files_that_a_run_writes_are_those_of_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name).display().to_string();
    let (scene, mut options) = scene("lj", 2048);
    let own = |dump: &str, thermo: &str| {
        [("dump", place(dump)), ("dump-every", "15".into()), ("thermo", place(thermo)), ("thermo-every", "10".into())]
    };
    options.own.extend(own("plain.dump", "plain.thermo").map(|(name, value)| (name.to_owned(), value)));
    plain_files((scene, &options), &directory.path().join("plain.csv"), 45);
    for ranks in [1, 2, 4] {
        let own: Vec<String> =
            own("ranks.dump", "ranks.thermo").iter().map(|(name, value)| format!("--{name} {value}")).collect();
        let words = format!(
            "run lj --entities 2048 --seed 7 --frames 45 --balance-every 2 --ranks {ranks} --no-observe --series {} \
             --series-every 10 {}",
            place("ranks.csv"),
            own.join(" ")
        );
        let output = program(&words).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        for end in ["dump", "thermo", "csv"] {
            let (want, got) =
                (bytes(directory.path(), &format!("plain.{end}")), bytes(directory.path(), &format!("ranks.{end}")));
            assert!(want.len() > 200 && got == want, "{end} of {ranks} ranks");
        }
    }
}

#[test]
fn a_series_is_that_of_one_process_in_scenes_without_space_and_with_links() {
    let directory = tempfile::tempdir().unwrap();
    for (name, entities) in [("particles", 3000), ("nbody", 300), ("epidemic", 2000)] {
        let (scene, options) = scene(name, entities);
        plain_files((scene, &options), &directory.path().join("plain.csv"), 30);
        for ranks in [2, 3] {
            let words = format!(
                "run {name} --entities {entities} --seed 7 --frames 30 --ranks {ranks} --no-observe --series {} \
                 --series-every 10",
                directory.path().join("ranks.csv").display()
            );
            let output = program(&words).output().unwrap();
            assert!(output.status.success(), "{}", told(&output));
            let (want, got) = (bytes(directory.path(), "plain.csv"), bytes(directory.path(), "ranks.csv"));
            let (want, got) = (String::from_utf8(want).unwrap(), String::from_utf8(got).unwrap());
            // where no system sorts, sums go by another order of rows
            match name {
                "particles" => near(&got, &want),
                _ => assert_eq!(got, want, "{name} on {ranks} ranks"),
            }
        }
    }
}

#[test]
fn a_log_has_a_line_of_each_rank_whenever_rank_0_says() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.ndjson");
    let run = |log: &Path| {
        let words = "run lj --entities 2048 --frames 200 --ranks 3 --no-observe --log-every 0 --log";
        program(words).arg(log).output().unwrap()
    };
    let output = run(&log);
    assert!(output.status.success(), "{}", told(&output));
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 9 && lines.len().is_multiple_of(3), "{text}");
    for (at, ranks) in lines.chunks(3).enumerate() {
        let of = |name: &str| ranks.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
        assert_eq!(of("rank"), [0, 1, 2]);
        assert_eq!(of("entities").iter().filter_map(serde_json::Value::as_u64).sum::<u64>(), 2048);
        let frame = ranks[0]["frame"].as_u64().unwrap();
        assert!(of("frame").iter().all(|other| *other == frame), "{text}");
        assert_eq!(frame == 0, at == 0, "{text}");
        for line in ranks {
            let seconds = |name: &str| line[name].as_f64();
            match (seconds("frame_seconds"), seconds("calls_seconds")) {
                (Some(frame), Some(calls)) => assert!(at > 0 && frame > 0.0 && calls > 0.0 && calls <= frame, "{line}"),
                none => assert!(at == 0 && none == (None, None), "{line}"),
            }
        }
    }
    assert_eq!(lines.last().map(|line| line["frame"] == 200), Some(true));
    let refused = run(Path::new("/nowhere/at/all"));
    assert!(
        !refused.status.success() && told(&refused).contains("cannot write `/nowhere/at/all`"),
        "{}",
        told(&refused)
    );
}

/// The same table, but for the last digits of its numbers.
fn near(got: &str, want: &str) {
    assert_eq!(got.lines().next(), want.lines().next());
    let numbers = |text: &str| -> Vec<f64> {
        text.lines().skip(1).flat_map(|line| line.split(',')).map(|number| number.parse().unwrap()).collect()
    };
    let (got, want) = (numbers(got), numbers(want));
    assert!(got.len() == want.len() && got.len() > 20);
    assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() <= 1e-12 * want.abs()), "{got:?} {want:?}");
}

#[test]
fn a_file_that_cannot_be_made_ends_all_ranks() {
    let output = program("run lj --entities 2048 --frames 5 --ranks 3 --series /nowhere/at/all.csv").output().unwrap();
    assert!(!output.status.success() && told(&output).contains("/nowhere/at/all.csv"), "{}", told(&output));
}

/// A run that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The ranks under a name, once all are there and have published.
fn wait_for(name: &RegionTarget, child: &mut Child) -> (ClusterReader, Steering) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_mins(2) && child.try_wait().unwrap().is_none(), "they do not begin");
        std::thread::sleep(Duration::from_millis(2));
        let Ok(Some(parts)) = ranks(name) else { continue };
        // SAFETY: the program under test writes it.
        let open = |rank| unsafe { Reader::open(&name.of_rank(rank)) };
        let Ok(readers) = (0..parts.len()).map(open).collect::<Result<Vec<_>, _>>() else { continue };
        let reader = ClusterReader::of(readers).unwrap();
        let Ok(Some(steering)) = reader.ranks()[0].steering() else { continue };
        if reader.pin().is_ok() {
            return (reader, steering);
        }
    }
}

fn frame(reader: &ClusterReader) -> u64 {
    reader.pin().unwrap()[0].snapshot().frame()
}

/// The frame at which it stands still.
fn still(reader: &ClusterReader) -> u64 {
    let begun = Instant::now();
    loop {
        let before = frame(reader);
        std::thread::sleep(Duration::from_millis(300));
        if frame(reader) == before {
            return before;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "it does not stand still");
    }
}

#[test]
fn a_run_that_is_steered_ends_in_the_state_of_one_that_was_not() {
    let want = state(program("run lj --entities 864 --frames 60 --no-observe --print-hash=by-id"));
    let directory = tempfile::tempdir().unwrap();
    let name = RegionTarget::Directory(directory.path().join("melt"));
    for publish_every in [1, 7] {
        let words = format!(
            "run lj --entities 864 --frames 60 --no-observe --print-hash=by-id --ranks 3 --steer --pace 20 --region {} \
             --publish-every {publish_every}",
            directory.path().join("melt").display()
        );
        let mut child = Running(program(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let (reader, wheel) = wait_for(&name, &mut child.0);
        assert_eq!(wheel.pace(), Some(20.0));
        wheel.pause();
        let first = still(&reader);
        assert!(first < 60);
        wheel.step(3);
        let begun = Instant::now();
        while frame(&reader) < first + 3 {
            assert!(begun.elapsed() < Duration::from_mins(1), "it does not step");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(still(&reader), first + 3, "three frames and no more, on all ranks");
        wheel.set_pace(None);
        wheel.resume();
        let mut printed = String::new();
        child.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        assert_eq!(printed, want);
        assert!(child.0.wait().unwrap().success());
    }
}

#[test]
fn a_run_goes_to_a_time_at_a_pace() {
    let (scene, _) = scene("lj", 864);
    let want = state(program("run lj --entities 864 --frames 12 --no-observe --print-hash=by-id"));
    let until = scene.dt() * 12.0;
    let begun = Instant::now();
    let words = format!("run lj --entities 864 --until {until} --pace 40 --no-observe --print-hash=by-id --ranks 2");
    assert_eq!(state(program(&words)), want);
    assert!(begun.elapsed() >= Duration::from_millis(250), "twelve frames of forty a second");
}
