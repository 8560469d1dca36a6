//! Files that are written during a run (`--series`, a scene's dumps): rank 0 writes them of all ranks' rows, in the order in
//! which one process would have them.
//!
//! Invariant: whether there is a look after a frame is the same on all ranks, as a look takes them all.
#![forbid(unsafe_code)]

use hypostyle::{Simulation, World, checkpoint};
use hypostyle_mpi::{Cluster, ClusterError};
use hypostyle_scenes::command::Series;
use hypostyle_scenes::{SceneOptions, Watch};

use super::{Args, chain};

/// What looks at the world between frames.
pub(super) struct Watches {
    /// On rank 0.
    watches: Vec<Box<dyn Watch>>,
    /// Frames between two looks of each, on all ranks.
    every: Vec<u64>,
    /// The columns in whose order one process has rows.
    order: Vec<String>,
}

impl Watches {
    /// Makes the files, on rank 0.
    pub(super) fn create(
        args: &Args,
        options: &SceneOptions,
        cluster: &Cluster,
        order: &[String],
    ) -> Result<Watches, ClusterError> {
        let watches = match cluster.rank() {
            0 => made(args, options),
            _ => Ok(Vec::new()),
        };
        // all ranks learn of a failure and why, so none waits, and whichever is heard first says it
        let mut told = match &watches {
            Ok(watches) => {
                [1].into_iter().chain(watches.iter().flat_map(|watch| watch.every().to_le_bytes())).collect()
            }
            Err(why) => [&[0], why.as_bytes()].concat(),
        };
        cluster.comm(|comm| comm.broadcast("files of the run", &mut told))?;
        let watches = watches.map_err(ClusterError::World)?;
        let every: Vec<u64> = match told.split_first().map(|(made, rest)| (made, rest.as_chunks(), rest)) {
            Some((1, (words, []), _)) => words.iter().map(|word| u64::from_le_bytes(*word)).collect(),
            why => {
                let why = String::from_utf8_lossy(why.map_or(&[], |(.., why)| why)).into_owned();
                return Err(ClusterError::Gone { rank: 0, why });
            }
        };
        if every.contains(&0) {
            return Err(ClusterError::World("frames between two looks must be 1 or more".to_owned()));
        }
        Ok(Watches { watches, every, order: order.to_vec() })
    }

    /// Frames from this one to the next look; none without looks.
    pub(super) fn until(&self, frame: u64) -> Option<u64> {
        self.every.iter().map(|every| every - frame % every).min()
    }

    /// Whether somebody looks after this frame.
    fn is_due(&self, frame: u64) -> bool {
        self.every.iter().any(|every| frame.is_multiple_of(*every))
    }

    /// Looks at a world that has all rows: of rank 0 alone.
    pub(super) fn look_at(&mut self, world: &World) -> Result<(), ClusterError> {
        for watch in &mut self.watches {
            if world.frame().is_multiple_of(watch.every()) {
                watch.look(world).map_err(|error| ClusterError::World(chain(error.as_ref())))?;
            }
        }
        Ok(())
    }

    /// After a frame: whose turn it is looks at the rows of all ranks. A call of all ranks.
    pub(super) fn look(&mut self, cluster: &Cluster, simulation: &mut Simulation) -> Result<(), ClusterError> {
        if !self.is_due(simulation.world().frame()) {
            return Ok(());
        }
        if cluster.size() == 1 {
            return self.look_at(simulation.world());
        }
        let mine = own_part(cluster.rank(), simulation)?;
        let parts = cluster.comm(|comm| comm.gather("rows for the files of the run", &mine))?;
        drop(mine);
        if cluster.rank() != 0 {
            return Ok(());
        }
        let whole = checkpoint::join(parts, &self.order).map_err(|error| engine(0, error))?;
        self.look_at(&whole)
    }
}

fn made(args: &Args, options: &SceneOptions) -> Result<Vec<Box<dyn Watch>>, String> {
    let mut watches = args.scene.watches(options).map_err(|error| chain(error.as_ref()))?;
    if let Some(path) = &args.series {
        let series = Series::create(path, args.series_every, args.scene).map_err(|error| chain(&error))?;
        watches.push(Box::new(series));
    }
    Ok(watches)
}

/// This rank's part of the newest frame.
fn own_part(rank: usize, simulation: &mut Simulation) -> Result<Vec<u8>, ClusterError> {
    if !simulation.world_mut().publish().map_err(|error| engine(rank, error))?.is_published() {
        return Err(ClusterError::World("the frame could not be published: readers hold all memory".to_owned()));
    }
    let mut reader = simulation.world().reader().map_err(|error| engine(rank, error))?;
    let snapshot = reader.pin().map_err(|error| engine(rank, error))?;
    checkpoint::to_memory(&snapshot).map_err(|error| engine(rank, error))
}

fn engine(rank: usize, error: impl std::error::Error + Send + Sync + 'static) -> ClusterError {
    ClusterError::Engine { rank, source: Box::new(error) }
}
