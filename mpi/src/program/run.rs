//! One rank of a run: its share of the world, its frames, checkpoints, and what all ranks say together at the end.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hypostyle::journal::Recorder;
use hypostyle::{IdHash, Schedule, Simulation, World, WorldBuilder};
use hypostyle_mpi::bricks::Cells;
use hypostyle_mpi::set::{self, Manifest, Origin};
use hypostyle_mpi::{Cluster, ClusterError, Comm, Domain, Looks, Publication, thread_cpu_time};
use hypostyle_scenes::command::pace::End;
use hypostyle_scenes::{Line, Scene, SceneOptions, Space};

use super::log::Log;
use super::report::{self, Times, Totals};
use super::steer::Steered;
use super::watches::Watches;
use super::workers::{self, Regions};
use super::{Args, PrintHash, chain, record};

/// Frames of a run where neither the options nor the scene say.
const FRAMES_DEFAULT: u64 = 300;
/// The column of global ids.
const IDS: &str = "global_id.value";
/// Frames between two looks at the clock, at most.
const FRAMES_PER_CALL_MAX: u64 = 64;

/// What a rank has done.
pub(super) struct Done {
    pub(super) before: Vec<Line>,
    pub(super) after: Vec<Line>,
    pub(super) hash: Option<IdHash>,
    pub(super) totals: Totals,
    pub(super) from: Option<PathBuf>,
    pub(super) checkpoints: Vec<PathBuf>,
    pub(super) seed: u64,
}

pub(super) fn run(args: &Args, comm: Comm) -> Result<(), ClusterError> {
    let cluster = Cluster::new(comm, args.balance_every).balance_by(args.balance.into());
    if args.show_ranks {
        show_ranks(&cluster)?;
    }
    let from = start(args, &cluster)?;
    let options = match &from {
        Some((path, manifest)) => options_of(args, path, manifest)?,
        None => args.options()?,
    };
    let told = format!("{} {options:?} {:?} {:?}", args.scene.name(), args.frames, from.as_ref().map(|(path, _)| path));
    cluster.comm(|comm| comm.all_equal("scene, options or checkpoint", told.as_bytes()))?;
    let schedule = args.scene.schedule(&options);
    let order = order(&schedule);
    let mut watches = Watches::create(args, &options, &cluster, &order)?;
    let log = Log::create(args, &cluster)?;
    let origin = origin(args.scene, &options);
    let publication = publication(args, &cluster, &origin, &order)?;
    let regions = cluster.comm(|comm| Regions::of(args, comm))?;
    let builder = || publication.as_ref().map_or_else(|| regions.world(), Publication::builder);
    let (world, seen) = match &from {
        Some((path, manifest)) => (manifest.restore(path, &cluster, builder)?, Vec::new()),
        None => fresh(args, &options, &cluster, builder(), &mut watches)?,
    };
    let looks = looks(args.scene, &options, &world)?;
    let builder = workers::builder(args, &options, cluster.rank())?;
    let mut simulation = cluster.simulation(world, schedule, looks, builder)?;
    check_order(&cluster, &order)?;
    if from.is_some() {
        watches.look(&cluster, &mut simulation)?;
    }
    let begun = Instant::now();
    let (before, cpu) = (cluster.report().1, thread_cpu_time());
    let recorder = record::start(args, &cluster, &mut simulation, &origin)?;
    let mut beside = Beside { origin: &origin, written: Vec::new(), recorder, watches, log };
    let frames = frames(args, &cluster, &mut simulation, &mut beside)?;
    let Beside { written: checkpoints, recorder, .. } = beside;
    record::finish(recorder, cluster.rank())?;
    let cpu = thread_cpu_time().saturating_sub(cpu);
    let (elapsed, after) = (begun.elapsed(), cluster.report().1);
    let (inside, waiting) = (after.inside - before.inside, after.waiting - before.waiting);
    let hash = match args.print_hash {
        Some(PrintHash::ById) => Some(cluster.hash_by_id(simulation.world())?),
        None => None,
    };
    let totals = report::totals(&cluster, &simulation, frames, Times { elapsed, inside, cpu, waiting })?;
    let mut seen_after = Vec::new();
    if !args.no_observe {
        cluster.gather_rows(simulation.world_mut(), cluster.key_column().as_deref())?;
        if cluster.rank() == 0 {
            seen_after = observe(args.scene, simulation.world())?;
        }
    }
    simulation.close();
    if cluster.rank() == 0 {
        let from = from.map(|(path, _)| path);
        report::print(
            args,
            &Done { before: seen, after: seen_after, hash, totals, from, checkpoints, seed: options.seed },
        );
    }
    cluster.comm(|comm| comm.barrier("end"))
}

fn origin(scene: &dyn Scene, options: &SceneOptions) -> Origin {
    Origin {
        scene: scene.name().to_owned(),
        entities: options.entities,
        seed: options.seed,
        options: options.own.clone(),
    }
}

/// Where the world is published, if it is.
fn publication(
    args: &Args,
    cluster: &Cluster,
    origin: &Origin,
    order: &[String],
) -> Result<Option<Publication>, ClusterError> {
    let Some(region) = &args.region else { return Ok(None) };
    let mut notes = origin.notes();
    notes.push(("order".to_owned(), order.join(",")));
    Publication::new(cluster, region, args.keep_generations as usize, notes).map(Some)
}

/// The columns in whose order one process has rows: those by which systems sort, and ids.
fn order(schedule: &Schedule) -> Vec<String> {
    let mut sorts = schedule.sorts().filter(|(key, then)| *key == IDS || *then == Some(IDS));
    let key = sorts.next().map(|(key, _)| key.to_owned()).filter(|key| key != IDS);
    key.into_iter().chain([IDS.to_owned()]).collect()
}

/// What is noted must be what ranks go by.
fn check_order(cluster: &Cluster, order: &[String]) -> Result<(), ClusterError> {
    let goes_by = cluster.key_column();
    if goes_by.as_ref().is_none_or(|key| order.first() == Some(key)) {
        return Ok(());
    }
    let by = goes_by.unwrap_or_default();
    Err(ClusterError::World(format!("systems sort by {}, and space has its cells in {by}", order.join(", then "))))
}

/// The set of checkpoints to go on from.
fn start(args: &Args, cluster: &Cluster) -> Result<Option<(PathBuf, Manifest)>, ClusterError> {
    let path = match (&args.from, &args.checkpoints) {
        (Some(path), _) if path.is_dir() => {
            let none = || ClusterError::File {
                path: path.clone(),
                what: format!("there is no complete set of checkpoints of scene {} in it", args.scene.name()),
            };
            Some(newest(args, cluster, path)?.ok_or_else(none)?)
        }
        (Some(path), _) => Some(path.clone()),
        (None, Some(directory)) if args.restart => newest(args, cluster, directory)?,
        _ => None,
    };
    path.map(|path| set::open(&path).map(|manifest| (path, manifest))).transpose()
}

/// The newest complete set of the scene in a directory. Rank 0 decides, as directories of several machines may differ for a
/// moment.
fn newest(args: &Args, cluster: &Cluster, directory: &Path) -> Result<Option<PathBuf>, ClusterError> {
    let found = match cluster.rank() {
        0 => set::newest(directory, args.scene.name())?,
        _ => None,
    };
    let mut path = found.map_or_else(Vec::new, |path| path.to_string_lossy().into_owned().into_bytes());
    cluster.comm(|comm| comm.broadcast("newest checkpoints", &mut path))?;
    let path = String::from_utf8_lossy(&path).into_owned();
    Ok((!path.is_empty()).then(|| PathBuf::from(path)))
}

/// What the run of a checkpoint was made with; other options are refused.
fn options_of(args: &Args, path: &Path, manifest: &Manifest) -> Result<SceneOptions, ClusterError> {
    let origin = &manifest.origin;
    let differs = |what: &str| {
        let what = format!("these are checkpoints of {what}: leave that option out, or begin anew");
        Err(ClusterError::File { path: path.to_owned(), what })
    };
    if origin.scene != args.scene.name() {
        return differs(&format!("scene {}", origin.scene));
    }
    if args.seed.is_some_and(|seed| seed != origin.seed) {
        return differs(&format!("--seed {}", origin.seed));
    }
    if args.entities.is_some() && args.entities != origin.entities {
        return differs("another number of --entities");
    }
    for (name, given) in args.own.of(args.scene).map_err(ClusterError::World)? {
        if !origin.options.contains(&(name.clone(), given)) {
            return differs(&format!("another --{name}"));
        }
    }
    Ok(SceneOptions { entities: origin.entities, seed: origin.seed, own: origin.options.clone() })
}

/// The world as one process makes it, seen whole, and then this rank's share.
fn fresh(
    args: &Args,
    options: &SceneOptions,
    cluster: &Cluster,
    builder: WorldBuilder,
    watches: &mut Watches,
) -> Result<(World, Vec<Line>), ClusterError> {
    let made = args.scene.world(options, builder);
    let mut world = made.map_err(|error| ClusterError::World(chain(error.as_ref())))?;
    let see = cluster.rank() == 0 && !args.no_observe;
    let before = if see { observe(args.scene, &world)? } else { Vec::new() };
    watches.look_at(&world)?;
    if cluster.size() > 1 {
        cluster.keep_share(&mut world)?;
    }
    Ok((world, before))
}

fn looks(scene: &'static dyn Scene, options: &SceneOptions, world: &World) -> Result<Looks, ClusterError> {
    if scene.looks_at_all(options) {
        return Ok(Looks::All);
    }
    let space = scene.space(world).map_err(|error| ClusterError::World(chain(error.as_ref())))?;
    let Some(space) = space else { return Ok(Looks::Own) };
    let domain = Domain::new(cells(&space), space.key, space.reach);
    if !space.changes {
        return Ok(domain.into());
    }
    let follow = move |world: &World| {
        let space = scene.space(world).map_err(|error| chain(error.as_ref()))?;
        let space = space.ok_or("the scene has no space any more")?;
        Ok((cells(&space), space.reach))
    };
    Ok(domain.follow(follow).into())
}

fn cells(space: &Space) -> Cells {
    Cells { along: space.along, periodic: space.periodic }
}

fn observe(scene: &dyn Scene, world: &World) -> Result<Vec<Line>, ClusterError> {
    scene.observe(world).map_err(|error| ClusterError::World(chain(error.as_ref())))
}

/// What goes on beside the frames.
struct Beside<'a> {
    origin: &'a Origin,
    written: Vec<PathBuf>,
    recorder: Option<Recorder>,
    watches: Watches,
    log: Log,
}

/// Runs the frames, and writes checkpoints where they are due and at the end. Gives the number of frames.
fn frames(
    args: &Args,
    cluster: &Cluster,
    simulation: &mut Simulation,
    beside: &mut Beside<'_>,
) -> Result<u64, ClusterError> {
    let frames = match args.until {
        Some(time) => End::Time(time).frames(simulation.world(), args.scene.dt()).unwrap_or(0),
        None => args.frames.or(args.scene.default_frames()).unwrap_or(FRAMES_DEFAULT),
    };
    let mut left = frames;
    let rank = cluster.rank();
    let mut steered = Steered::new(args, simulation, rank);
    beside.log.look(args, cluster, simulation, true)?;
    while left > 0 {
        let frame = simulation.world().frame();
        let until = args.checkpoint_every.map_or(u64::MAX, |every| every - frame % every);
        // each generation is recorded
        let per_call = if beside.recorder.is_some() { args.publish_every } else { FRAMES_PER_CALL_MAX };
        let until_look = beside.watches.until(frame).unwrap_or(u64::MAX);
        let most = left.min(until).min(until_look).min(per_call).min(FRAMES_PER_CALL_MAX);
        let now = steered.allow(cluster, simulation, most)?;
        if now == 0 {
            continue;
        }
        let ran = simulation.run(now, args.scene.dt()).map(drop);
        ran.map_err(|error| ClusterError::Engine { rank, source: Box::new(error) })?;
        left -= now;
        record::look(&mut beside.recorder, rank)?;
        beside.watches.look(cluster, simulation)?;
        beside.log.look(args, cluster, simulation, left == 0)?;
        let Some(directory) = &args.checkpoints else { continue };
        if left == 0 || now == until {
            beside.written.push(set::write(cluster, simulation, directory, beside.origin)?);
            if rank == 0 {
                for why in set::prune(directory, &beside.origin.scene, args.checkpoint_keep) {
                    eprintln!("an old checkpoint stays: {why}");
                }
            }
        }
    }
    Ok(frames)
}

/// Which process each rank is.
fn show_ranks(cluster: &Cluster) -> Result<(), ClusterError> {
    let mine = std::process::id().to_string();
    let all = cluster.comm(|comm| comm.gather("ranks", mine.as_bytes()))?;
    for (rank, process) in all.iter().enumerate() {
        eprintln!("rank {rank} is process {}", String::from_utf8_lossy(process));
    }
    Ok(())
}

/// Frames of one rank alone.
pub(super) fn alone(
    args: &Args,
    options: &SceneOptions,
    regions: &Regions,
) -> Result<(Simulation, u64, Duration), ClusterError> {
    let engine = |error: Box<dyn std::error::Error + Send + Sync>| ClusterError::Engine { rank: 0, source: error };
    let made = args.scene.world(options, regions.world());
    let world = made.map_err(|error| ClusterError::World(chain(error.as_ref())))?;
    let builder = workers::builder(args, options, 0)?;
    let mut simulation = builder.build(world, args.scene.schedule(options)).map_err(|error| engine(Box::new(error)))?;
    let frames = args.frames.or(args.scene.default_frames()).unwrap_or(FRAMES_DEFAULT);
    let begun = Instant::now();
    simulation.run(frames, args.scene.dt()).map(drop).map_err(|error| engine(Box::new(error)))?;
    Ok((simulation, frames, begun.elapsed()))
}
