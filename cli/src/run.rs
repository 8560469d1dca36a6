//! `run SCENE`: a scene's frames, with a line of progress on a terminal and a table at the end.
//!
//! Invariants: a region that was made here goes with this command unless it is to be kept; one that was resumed goes
//! only when the run ended as it should.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hypostyle::checkpoint::Keeper;
use hypostyle::journal::Recorder;
use hypostyle::plan::Plan;
use hypostyle::regions::RegionInfo;
use hypostyle::{Reader, RegionTarget, Sandbox, Schedule, Simulation, Workers, World, WorldBuilder};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::{self, Failure, Outcome};
use crate::log::Log;
use crate::meter::Meter;
use crate::run_checkpoints::Start;
use crate::run_report::{Report, TraceFile};
use crate::scenes::{Line, Scene, SceneOptions, Watch};
use crate::signals::Stop;
use crate::trace::Collector;
use crate::{numbers, pace, put_json, run_checkpoints, scenes, text};
use hypostyle_scenes::command::pace::{Drive, End};
use hypostyle_scenes::command::{OwnOptions, Series};

/// Seconds that a scene runs where nothing else is said.
const SECONDS_DEFAULT: f64 = 5.0;
/// Frames between two looks at the clock, at most.
const FRAMES_PER_CALL_MAX: u64 = 64;
/// Events between two looks at the rings, at most, where a trace is written.
const TRACE_RING_EVENTS: u64 = 1 << 16;
/// How long a world that is being made may go on after the process was asked to end.
const MAKING_GRACE: Duration = Duration::from_millis(300);
/// Time between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// How to run what.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scene; `scenes` lists them.
    #[arg(value_parser = hypostyle_scenes::command::scene)]
    scene: &'static dyn Scene,
    /// Entities to begin with (default: the scene's own number).
    #[arg(long, value_name = "N", value_parser = numbers::count::<u64>)]
    entities: Option<u64>,
    /// Frames to run (further ones, with --resume and --from). Default: the scene's own number, or else 5 seconds.
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = numbers::count::<u64>)]
    frames: Option<u64>,
    /// Run for this many seconds of real time.
    #[arg(long, value_name = "S", value_parser = numbers::seconds)]
    seconds: Option<f64>,
    /// Run until the simulation's time is this, in the scene's unit.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["frames", "seconds"], value_parser = pace::parse_time)]
    until: Option<f64>,
    /// Run at most this many frames per second of real time, for those who watch (default: as fast as it goes).
    #[arg(long, value_name = "N", value_parser = pace::parse_pace)]
    pace: Option<f64>,
    /// Workers that run the systems: auto, local, threads:N or processes:N.
    #[arg(long, value_name = "WORKERS", default_value_t = Workers::Auto)]
    workers: Workers,
    /// Shut worker processes in, so that no kernel opens a file, a socket or a process: all of it (required), or what the
    /// system has of it (best-effort). Linux, with processes:N.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "required",
        default_value_t = Sandbox::Off)]
    sandbox: Sandbox,
    /// Seed of all random numbers (default: 0; with --from the seed of the checkpoint's run).
    #[arg(long, value_name = "S", value_parser = numbers::count::<u64>)]
    seed: Option<u64>,
    /// Run in shared memory of this name, or in this directory, for other processes to read.
    #[arg(long, value_name = "NAME|DIR")]
    region: Option<RegionTarget>,
    /// Accept inputs from other processes (a gateway with --inputs): values of these components, fields (velocity.x) and
    /// resources.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    inputs: Vec<String>,
    /// Let other processes pause the run, let it run some frames, and set its pace: `steer`, keys of `top`.
    #[arg(long, requires = "region")]
    steer: bool,
    /// Upper limit of the world's memory, as in `2 GiB` (default: from the number of entities; less where the process's
    /// address space is limited).
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, conflicts_with = "resume")]
    bytes_max: Option<u64>,
    /// Publish a generation every N frames.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = numbers::positive::<u64>)]
    publish_every: u64,
    /// Keep N generations beside the newest: readers can pin each by its frame.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=hypostyle::limits::KEPT_GENERATIONS_MAX as u64))]
    keep_generations: u64,
    /// Keep the region after the run, for readers and for --resume.
    #[arg(long, requires = "region")]
    keep: bool,
    /// Print `state <hex>`, the hash of the last frame, on stdout; the table goes to stderr. With =every also a line
    /// per frame. With =by-id print `state-by-id <hex>` instead: entities by their global ids.
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "last")]
    print_hash: Option<PrintHash>,
    /// Print `frame N <hex>`, the hash of each frame.
    #[arg(long)]
    hash_every_frame: bool,
    /// Bytes of each worker's ring: a power of two, at least 256 (default 1 MiB).
    #[arg(long, value_name = "N", value_parser = numbers::bytes::<usize>)]
    ring_bytes: Option<usize>,
    /// Touch this many MiB of memory before the first entity is made, on all processors; a world needs twice the bytes of
    /// its columns.
    #[arg(long, value_name = "MIB", conflicts_with_all = ["resume", "from"], value_parser = numbers::count::<u64>)]
    prefault: Option<u64>,
    /// Write a timeline of all workers to a file, for `trace`, Perfetto or chrome://tracing.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Number of events that the trace keeps; the newest ones.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, requires = "trace", value_parser = numbers::positive::<usize>)]
    trace_events: usize,
    /// Write what the scene observes (energies, counts) to a CSV file, a line every --series-every frames.
    #[arg(long, value_name = "FILE")]
    series: Option<PathBuf>,
    /// Frames between two lines of --series.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "series", value_parser = numbers::positive::<u64>)]
    series_every: u64,
    /// Write how the run is going to a file, a JSON object in each line: frame, time, time per frame, what the scene observes.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Seconds of real time between two lines of --log.
    #[arg(long, value_name = "S", default_value_t = 1.0, requires = "log", value_parser = numbers::seconds)]
    log_every: f64,
    /// Seconds between two lines on stderr about how the run is going, where stderr is no terminal; 0: none.
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = numbers::seconds)]
    say_every: f64,
    /// Take options from a TOML file, as in `frames = 100`; those on the command line win.
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Resume a region whose writer has exited. Its --seed and --entities are stored in it; a kept region stays kept.
    #[arg(long, requires = "region")]
    resume: bool,
    /// Continue from this checkpoint, from a set of checkpoints of many ranks (its manifest), from the scene's newest valid
    /// checkpoint in this directory, from the last frame of a
    /// journal, or from another frame: DIR@FRAME. Files made by `run` store their --seed and --entities.
    #[arg(long, value_name = "FILE|DIR|DIR@FRAME", conflicts_with = "resume")]
    from: Option<PathBuf>,
    #[command(flatten)]
    own: OwnOptions,
    #[command(flatten)]
    checkpoints: run_checkpoints::CheckpointArgs,
}

/// Which hashes to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PrintHash {
    /// The last frame's.
    Last,
    /// Every frame's.
    Every,
    /// The last frame's by global ids, in which neither handles nor the order of rows count.
    ById,
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let say = || "it must be a number of bytes, or a number and a unit (B, KiB, MiB, GiB, TiB)".to_owned();
    hypostyle::layout::parse_bytes(text).ok_or_else(say)
}

impl Args {
    /// What decides the scene where a region is resumed: what it was made with. Another one is refused.
    fn options_of(&self, region: &RegionInfo) -> Outcome<SceneOptions> {
        let noted = |name: &str| region.notes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let refuse = |message: String| Failure::new(failure::LAYOUT, message);
        if let Some(scene) = noted("scene").filter(|scene| *scene != self.scene.name()) {
            let (name, own) = (&region.name, self.scene.name());
            return Err(refuse(format!("region {name} holds a world of scene {scene}, not of {own}")));
        }
        let decide =
            |name: &str, given: Option<u64>| match (given, noted(name).and_then(|text| text.parse::<u64>().ok())) {
                (Some(given), Some(noted)) if given != noted => Err(refuse(format!(
                    "region {} was made with --{name} {noted}, not {given}: leave --{name} out, or make a new region",
                    region.name
                ))),
                (given, noted) => Ok(given.or(noted)),
            };
        let mut own = self.own.of(self.scene).map_err(Failure::usage)?;
        for option in self.scene.options() {
            let Some(noted) = noted(&format!("option.{}", option.name)) else { continue };
            match own.iter().find(|(name, _)| name == option.name) {
                None => own.push((option.name.to_owned(), noted.to_owned())),
                Some((_, given)) if given == noted => {}
                Some((name, given)) => {
                    let region = &region.name;
                    return Err(refuse(format!("region {region} was made with {name}={noted}, not {name}={given}")));
                }
            }
        }
        let (entities, seed) = (decide("entities", self.entities)?, decide("seed", self.seed)?.unwrap_or(0));
        Ok(SceneOptions { entities, seed, own })
    }

    /// What decides the scene: as given, else as the checkpoint's run had it, else the default.
    fn options(&self, from: Option<&Start>) -> Outcome<SceneOptions> {
        let noted = |name| from.and_then(|start| start.note(name)?.parse::<u64>().ok());
        let decide = |name, given: Option<u64>| {
            let noted = noted(name);
            if let (Some(given), Some(noted)) = (given, noted)
                && given != noted
            {
                tracing::warn!(given, noted, "{name} is another than that of the checkpoint's run");
            }
            given.or(noted)
        };
        let mut own = self.own.of(self.scene).map_err(Failure::usage)?;
        for option in self.scene.options() {
            let Some(noted) = from.and_then(|start| start.note(&format!("option.{}", option.name))) else { continue };
            match own.iter().find(|(name, _)| name == option.name) {
                None => own.push((option.name.to_owned(), noted.to_owned())),
                Some((_, given)) if given == noted => {}
                Some((name, given)) => {
                    tracing::warn!(given, noted, "--{name} is another than that of the checkpoint's run");
                }
            }
        }
        let (entities, seed) = (decide("entities", self.entities), decide("seed", self.seed).unwrap_or(0));
        Ok(SceneOptions { entities, seed, own })
    }

    fn prints_each(&self) -> bool {
        self.hash_every_frame || self.print_hash == Some(PrintHash::Every)
    }

    fn end(&self) -> End {
        match (self.frames, self.seconds, self.until, self.scene.default_frames()) {
            (Some(frames), _, _, _) => End::Frames(frames),
            (_, Some(seconds), _, _) => End::Seconds(seconds),
            (_, _, Some(time), _) => End::Time(time),
            (_, _, _, Some(frames)) => End::Frames(frames),
            (_, _, _, None) => End::Seconds(SECONDS_DEFAULT),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let stop = Stop::catch()?;
    if !args.inputs.is_empty() && region(args) == RegionTarget::Heap {
        return Err(Failure::usage("--inputs needs --region: inputs come from other processes"));
    }
    let from = args.from.as_deref().map(|path| run_checkpoints::open(path, args.scene)).transpose()?;
    let resumed = args.region.as_ref().filter(|_| args.resume).map(hypostyle::regions::inspect);
    let options = match &resumed {
        Some(region) => args.options_of(region)?,
        None => args.options(from.as_ref())?,
    };
    let keep = args.keep || resumed.is_some_and(|region| region.kept);
    let mut watches = args.scene.watches(&options).map_err(|error| Failure::of(error.as_ref()))?;
    if let Some(path) = &args.series {
        let series = Series::create(path, args.series_every, args.scene);
        watches.push(Box::new(series.map_err(|error| Failure::of(&error))?));
    }
    let mut simulation = build(args, &options, from.as_ref(), &stop)?;
    if let Some(fallback) = &simulation.workers().fallback {
        tracing::info!(%fallback, "the workers are not those that were asked for");
    }
    // what was resumed may be a world of another scene that the schedule happens to fit
    let before = observe(args, simulation.world()).map_err(|failure| {
        if args.resume || from.is_some() { Failure { code: failure::LAYOUT, ..failure } } else { failure }
    })?;
    let entities_before = simulation.world().entity_count();
    let generation_before = simulation.world().generation();
    let mut hashes = Hashes { print: args.prints_each() && !json, ..Hashes::default() };
    let mut meter = Meter::default();
    let mut keeper = args.checkpoints.keeper(args.scene, &options, simulation.world())?;
    let mut recorder = args.checkpoints.recorder(args.scene, &options, simulation.world())?;
    if let Some(recorder) = &mut recorder {
        // the state before the first frame belongs to it
        let mut reader = simulation.world().reader()?;
        publish_last(&mut simulation, &mut reader)?;
        recorder.look()?;
    }
    let mut collector = args.trace.as_ref().map(|_| Collector::new(args.trace_events));
    let plain = (!std::io::stderr().is_terminal()).then_some(args.say_every);
    let mut log = Log::create(args.scene, plain, args.log.as_deref().map(|path| (path, args.log_every)))?;
    log.look(simulation.world(), &meter, true)?;
    let beside = Beside {
        keeper: &mut keeper,
        recorder: &mut recorder,
        collector: &mut collector,
        watches: &mut watches,
        log: &mut log,
    };
    let done = frames(args, &mut simulation, &mut meter, &mut hashes, beside, &stop, out);
    if done.is_err() {
        // what led to it is worth most
        let _ = write_trace(args, &mut simulation, &mut collector);
    }
    done?;
    log.look(simulation.world(), &meter, true)?;
    let after = observe(args, simulation.world())?;
    let mut reader = simulation.world().reader()?;
    if keep || args.print_hash.is_some() || keeper.is_some() || recorder.is_some() {
        publish_last(&mut simulation, &mut reader)?;
    }
    let kept = keeper.map(Keeper::finish).transpose()?;
    let recorded = recorder.map(Recorder::finish).transpose()?;
    let state = match args.print_hash {
        Some(PrintHash::ById) => Some(("state-by-id", reader.pin()?.hash_by_id()?.to_string())),
        Some(PrintHash::Last | PrintHash::Every) => Some(("state", text::hash(reader.pin()?.hash()))),
        None => None,
    };
    let interrupted = stop.is_asked();
    let workers = simulation.worker_status();
    let trace = write_trace(args, &mut simulation, &mut collector)?;
    let report = Report {
        scene: args.scene,
        seed: options.seed,
        from: from.as_ref().map(Start::path),
        kept: keep,
        interrupted,
        entities_before,
        generation_before,
        before,
        after,
        states: hashes.states,
        state,
        takes_inputs: !args.inputs.is_empty(),
        sandbox: args.sandbox,
        meter,
        workers,
        checkpoints: kept,
        recorded,
        trace,
    };
    if json {
        put_json(out, &report.json(&simulation))?;
    } else if let Some((kind, state)) = &report.state {
        // stdout is for the hash alone; where stderr is closed nobody wants the table
        let _ = write!(std::io::stderr(), "{}", crate::ascii::fitting(&report.text(&simulation)));
        writeln!(out, "{kind} {state}")?;
    } else if hashes.print {
        let _ = write!(std::io::stderr(), "{}", crate::ascii::fitting(&report.text(&simulation)));
    } else {
        write!(out, "{}", report.text(&simulation))?;
    }
    drop(reader);
    simulation.close();
    simulation.set_keep_region(keep);
    match report.checkpoints.and_then(|kept| kept.failure) {
        Some(error) => Err(Failure::from(error).before("the newest checkpoint was not written")),
        None if interrupted => Err(Failure::told(failure::INTERRUPTED)),
        None => Ok(()),
    }
}

/// Ends the workers, so that their last waits are told, and writes the trace, if one is asked for.
fn write_trace(
    args: &Args,
    simulation: &mut Simulation,
    collector: &mut Option<Collector>,
) -> Outcome<Option<TraceFile>> {
    let (Some(path), Some(mut collector)) = (&args.trace, collector.take()) else { return Ok(None) };
    simulation.close();
    collector.collect(simulation);
    let (events, lost) = collector.write(path)?;
    Ok(Some(TraceFile { path: path.clone(), events, lost }))
}

/// The world, made or taken over, with its schedule and its workers.
fn build(args: &Args, options: &SceneOptions, from: Option<&Start>, stop: &Stop) -> Outcome<Simulation> {
    let schedule = args.scene.schedule(options);
    let new = region(args);
    // the region of a world that is being made goes with the process
    let abandon = || {
        if let Err(error) = hypostyle::regions::abandon(&new) {
            tracing::debug!(%error, "nothing to take along");
        }
    };
    let world = match from {
        Some(start) => stop.over(MAKING_GRACE, abandon, || restore(args, options, &schedule, start))?,
        None if args.resume => resume(args, &schedule)?,
        None => stop.over(MAKING_GRACE, abandon, || make(args, options))?,
    };
    let mut builder = Simulation::builder().workers(args.workers).publish_every(args.publish_every);
    builder = builder.inputs(args.inputs.iter().cloned()).steerable(args.steer).sandbox(args.sandbox);
    if args.trace.is_some() {
        builder = builder.trace_events(TRACE_RING_EVENTS);
    }
    if let Some(bytes) = args.ring_bytes {
        builder = builder.ring_bytes(bytes);
    }
    #[cfg(unix)]
    {
        builder = builder.worker_command(scenes::command::worker_command(args.scene, options)?);
    }
    Ok(builder.build(world, schedule)?)
}

/// The region of a new world.
fn region(args: &Args) -> RegionTarget {
    match (&args.region, args.workers) {
        (Some(region), _) => region.clone(),
        // worker processes have to find the world
        (None, Workers::Processes(_)) => RegionTarget::Named(format!("{}-{}", args.scene.name(), std::process::id())),
        (None, _) => RegionTarget::Heap,
    }
}

/// The builder of a new world, which notes what decides the scene. It is kept, if at all, once it has a generation.
fn builder(args: &Args, options: &SceneOptions) -> WorldBuilder {
    let entities = options.entities.unwrap_or(args.scene.default_entities());
    let builder = World::builder().region(region(args)).keep_generations(args.keep_generations as usize);
    let builder = builder.note("scene", args.scene.name());
    let builder = builder.note("seed", options.seed).note("entities", entities);
    let own = options.own.iter();
    let builder = own.fold(builder, |builder, (name, value)| builder.note(format!("option.{name}"), value));
    match args.bytes_max {
        Some(bytes) => builder.bytes_max(bytes),
        None => builder,
    }
}

fn make(args: &Args, options: &SceneOptions) -> Outcome<World> {
    let mut builder = builder(args, options);
    if let Some(mib) = args.prefault {
        let bytes = mib.checked_mul(1 << 20).ok_or_else(|| Failure::usage("--prefault: that many MiB do not exist"))?;
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(1).with_message(format!("memory, {}", text::bytes(bytes)));
            bar.set_draw_target(ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:20} {percent:>3} %  {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        builder = builder.prefault(bytes, move |done, total| {
            let Some(bar) = &bar else { return };
            bar.set_length(total);
            bar.set_position(done);
            if done == total {
                bar.finish_and_clear();
            }
        });
    }
    args.scene.world(options, builder).map_err(|error| Failure::of(error.as_ref()))
}

fn resume(args: &Args, schedule: &Schedule) -> Outcome<World> {
    let region = args.region.as_ref().ok_or_else(|| Failure::usage("--resume needs --region"))?;
    // kept until the run has ended well: whatever fails, nothing is lost
    let builder = World::builder().keep_region(true).keep_generations(args.keep_generations as usize);
    let world = builder.resume(region)?;
    check_scene(args, schedule, &world, &format!("region {region}"))?;
    Ok(world)
}

fn restore(args: &Args, options: &SceneOptions, schedule: &Schedule, start: &Start) -> Outcome<World> {
    let what = start.what();
    if let Some(scene) = start.note("scene").filter(|scene| *scene != args.scene.name()) {
        let message = format!("{what} is one of scene {scene}, not of {}", args.scene.name());
        return Err(Failure::new(failure::LAYOUT, message));
    }
    let world = start.restore(builder(args, options))?;
    check_scene(args, schedule, &world, &what)?;
    Ok(world)
}

/// Whether the scene's schedule fits the world.
fn check_scene(args: &Args, schedule: &Schedule, world: &World, what: &str) -> Outcome {
    Plan::of(schedule, world).map(drop).map_err(|error| {
        let what = format!("{what} does not hold a world of scene {}: {error}", args.scene.name());
        Failure::new(failure::LAYOUT, what)
    })
}

fn observe(args: &Args, world: &World) -> Outcome<Vec<Line>> {
    args.scene.observe(world).map_err(|error| Failure::of(error.as_ref()))
}

/// Hashes of all frames, where they are asked for.
#[derive(Default)]
struct Hashes {
    print: bool,
    states: Vec<(u64, u64)>,
}

/// Who looks on between frames.
struct Beside<'a> {
    keeper: &'a mut Option<Keeper>,
    recorder: &'a mut Option<Recorder>,
    collector: &'a mut Option<Collector>,
    watches: &'a mut [Box<dyn Watch>],
    log: &'a mut Log,
}

fn frames(
    args: &Args,
    simulation: &mut Simulation,
    meter: &mut Meter,
    hashes: &mut Hashes,
    beside: Beside<'_>,
    stop: &Stop,
    out: &mut dyn Write,
) -> Outcome {
    let end = args.end();
    let (frames, seconds) = (end.frames(simulation.world(), args.scene.dt()), end.seconds());
    let mut drive = Drive::new(args.pace, simulation.steering());
    let mut shown = None;
    let mut reader = if args.prints_each() { Some(simulation.world().reader()?) } else { None };
    let per_call = if reader.is_some() { 1 } else { args.publish_every.min(FRAMES_PER_CALL_MAX) };
    let mut progress = Progress::new(frames);
    let begun = Instant::now();
    look(beside.watches, simulation.world())?;
    loop {
        let left = frames.map_or(u64::MAX, |frames| frames - meter.frames);
        let over = seconds.is_some_and(|seconds| begun.elapsed().as_secs_f64() >= seconds);
        if left == 0 || over || stop.is_asked() {
            return Ok(());
        }
        let frame = simulation.world().frame();
        let until_look = beside.watches.iter().map(|watch| watch.every() - frame % watch.every()).min();
        let now = drive.allow(per_call.min(left).min(until_look.unwrap_or(u64::MAX)));
        if now == 0 {
            if drive.is_paused() && shown != Some(frame) {
                // who paused it wants to see where it stands
                show(simulation)?;
                shown = Some(frame);
            }
            continue;
        }
        let ran = simulation.run(now, args.scene.dt()).cloned();
        if let Some(collector) = beside.collector {
            collector.collect(simulation);
        }
        if args.keep && simulation.world().generation() > 0 {
            // before there was a generation nobody could have gone on from it
            simulation.set_keep_region(true);
        }
        let report = ran?;
        meter.add(&report, now, simulation.world().entity_count());
        if let Some(reader) = &mut reader {
            publish_last(simulation, reader)?;
            let (frame, state) = (simulation.world().frame(), reader.pin()?.hash());
            if hashes.print {
                writeln!(out, "frame {frame} {}", text::hash(state))?;
            } else {
                hashes.states.push((frame, state));
            }
        }
        look(beside.watches, simulation.world())?;
        run_checkpoints::look(beside.keeper, simulation)?;
        if let Some(recorder) = beside.recorder {
            recorder.look()?;
        }
        beside.log.look(simulation.world(), meter, false)?;
        progress.show(simulation, meter);
    }
}

/// Lets those look whose turn it is.
fn look(watches: &mut [Box<dyn Watch>], world: &World) -> Outcome {
    for watch in watches {
        if world.frame().is_multiple_of(watch.every()) {
            watch.look(world).map_err(|error| Failure::of(error.as_ref()))?;
        }
    }
    Ok(())
}

/// Publishes the newest frame, unless that is done already, or readers hold all memory.
fn show(simulation: &mut Simulation) -> Outcome {
    let mut reader = simulation.world().reader()?;
    let shown = reader.newest() > 0 && reader.pin()?.frame() == simulation.world().frame();
    if !shown {
        simulation.world_mut().publish()?;
    }
    Ok(())
}

/// Makes sure that the newest generation is that of the newest frame.
fn publish_last(simulation: &mut Simulation, reader: &mut Reader) -> Outcome {
    let published = reader.newest() > 0 && reader.pin()?.frame() == simulation.world().frame();
    if !published && !simulation.world_mut().publish()?.is_published() {
        return Err(Failure::new(failure::OTHER, "the last frame could not be published: readers hold all memory"));
    }
    Ok(())
}

/// The line of progress: on a terminal only.
struct Progress {
    bar: Option<ProgressBar>,
    shown: Instant,
    busy: Duration,
    elapsed: Duration,
}

impl Progress {
    fn new(frames: Option<u64>) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let (bar, template) = match frames {
                Some(frames) => (ProgressBar::new(frames), "{bar:20} {percent:>3} %  {wide_msg}"),
                None => (ProgressBar::new_spinner(), "{spinner} {elapsed}  {wide_msg}"),
            };
            bar.set_draw_target(ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Progress { bar, shown: Instant::now(), busy: Duration::ZERO, elapsed: Duration::ZERO }
    }

    fn show(&mut self, simulation: &Simulation, meter: &Meter) {
        let Some(bar) = &self.bar else { return };
        if self.shown.elapsed() < PROGRESS_EVERY {
            return;
        }
        let hands = simulation.worker_status().len() + 1;
        let time = (meter.elapsed - self.elapsed).as_secs_f64() * hands as f64;
        let usage = if time > 0.0 { (meter.busy - self.busy).as_secs_f64() / time } else { 0.0 };
        (self.shown, self.busy, self.elapsed) = (Instant::now(), meter.busy, meter.elapsed);
        bar.set_position(meter.frames);
        let message = format!(
            "frame {} · {} per entity · workers {} · {} patches",
            text::count(simulation.world().frame()),
            meter.ns_per_entity().map_or_else(|| "-".to_owned(), text::nanoseconds),
            text::percent(usage),
            text::count(meter.total().total()),
        );
        bar.set_message(crate::ascii::fitting(&message).into_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
