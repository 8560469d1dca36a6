//! One rank of a run: its share of the world, its frames, checkpoints, and what all ranks say together at the end.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hypostyle::journal::Recorder;
use hypostyle::{IdHash, Simulation, World, WorldBuilder};
use hypostyle_mpi::bricks::Cells;
use hypostyle_mpi::set::{self, Manifest, Origin};
use hypostyle_mpi::{Cluster, ClusterError, Comm, Domain, Looks, Publication, thread_cpu_time};
use hypostyle_scenes::{Line, Scene, SceneOptions, Space};

use super::report::{self, Times, Totals};
use super::workers::{self, Regions};
use super::{Args, PrintHash, chain, record};

/// Frames of a run where neither the options nor the scene say.
const FRAMES_DEFAULT: u64 = 300;
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
    let watches = args.scene.watches(&options).map_err(|error| ClusterError::World(chain(error.as_ref())))?;
    if !watches.is_empty() && cluster.size() > 1 {
        let what = "options that write files during the run (a series, a dump) are for one rank: no rank has all rows";
        return Err(ClusterError::World(what.to_owned()));
    }
    let origin = origin(args.scene, &options);
    let publication = publication(args, &cluster, &origin)?;
    let regions = cluster.comm(|comm| Regions::of(args, comm))?;
    let builder = || publication.as_ref().map_or_else(|| regions.world(), Publication::builder);
    let (world, seen) = match &from {
        Some((path, manifest)) => (manifest.restore(path, &cluster, builder)?, Vec::new()),
        None => fresh(args, &options, &cluster, builder())?,
    };
    let looks = looks(args.scene, &options, &world)?;
    let builder = workers::builder(args, &options)?;
    let mut simulation = cluster.simulation(world, args.scene.schedule(&options), looks, builder)?;
    let begun = Instant::now();
    let (before, cpu) = (cluster.report().1, thread_cpu_time());
    let mut checkpoints = Vec::new();
    let mut recorder = record::start(args, &cluster, &mut simulation, &origin)?;
    let frames = frames(args, &cluster, &mut simulation, &origin, &mut checkpoints, &mut recorder)?;
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
fn publication(args: &Args, cluster: &Cluster, origin: &Origin) -> Result<Option<Publication>, ClusterError> {
    let Some(region) = &args.region else { return Ok(None) };
    Publication::new(cluster, region, args.keep_generations as usize, origin.notes()).map(Some)
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
) -> Result<(World, Vec<Line>), ClusterError> {
    let made = args.scene.world(options, builder);
    let mut world = made.map_err(|error| ClusterError::World(chain(error.as_ref())))?;
    let see = cluster.rank() == 0 && !args.no_observe;
    let before = if see { observe(args.scene, &world)? } else { Vec::new() };
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

/// Runs the frames, and writes checkpoints where they are due and at the end. Gives the number of frames.
fn frames(
    args: &Args,
    cluster: &Cluster,
    simulation: &mut Simulation,
    origin: &Origin,
    written: &mut Vec<PathBuf>,
    recorder: &mut Option<Recorder>,
) -> Result<u64, ClusterError> {
    let frames = args.frames.or(args.scene.default_frames()).unwrap_or(FRAMES_DEFAULT);
    let mut left = frames;
    let rank = cluster.rank();
    while left > 0 {
        let frame = simulation.world().frame();
        let until = args.checkpoint_every.map_or(u64::MAX, |every| every - frame % every);
        // each generation is recorded
        let per_call = if recorder.is_some() { args.publish_every } else { FRAMES_PER_CALL_MAX };
        let now = left.min(until).min(per_call).min(FRAMES_PER_CALL_MAX);
        let ran = simulation.run(now, args.scene.dt()).map(drop);
        ran.map_err(|error| ClusterError::Engine { rank, source: Box::new(error) })?;
        left -= now;
        record::look(recorder, rank)?;
        let Some(directory) = &args.checkpoints else { continue };
        if left == 0 || now == until {
            written.push(set::write(cluster, simulation, directory, origin)?);
            if rank == 0 {
                set::prune(directory, &origin.scene, args.checkpoint_keep);
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
    let builder = workers::builder(args, options)?;
    let mut simulation = builder.build(world, args.scene.schedule(options)).map_err(|error| engine(Box::new(error)))?;
    let frames = args.frames.or(args.scene.default_frames()).unwrap_or(FRAMES_DEFAULT);
    let begun = Instant::now();
    simulation.run(frames, args.scene.dt()).map(drop).map_err(|error| engine(Box::new(error)))?;
    Ok((simulation, frames, begun.elapsed()))
}
