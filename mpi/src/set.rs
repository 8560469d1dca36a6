//! Checkpoints of many ranks: each rank its file, and a manifest that names them all ([`CheckpointSet`]).
//!
//! The manifest is written last: where it is, the set is complete. All ranks see one directory.
//!
//! A set is restored on any number of ranks: rank r takes the files r, r + n, r + 2 n and so on of n ranks. Where its rows
//! belong is found when the simulation begins ([`crate::Cluster::simulation`]).
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use hypostyle::checkpoint::{self, CheckpointError, CheckpointOptions, CheckpointSet, SetFile};
use hypostyle::{Simulation, World, WorldBuilder};

use crate::bytes::{Read, put_u64};
use crate::cluster::Cluster;
use crate::error::ClusterError;

/// The column of global ids.
const IDS: &str = "global_id.value";

/// What decides a world, and where it stands. In files it is notes, as those that `hypostyle run` writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// The scene.
    pub scene: String,
    /// How many entities it began with, if not its own number.
    pub entities: Option<u64>,
    /// Of all random numbers.
    pub seed: u64,
    /// The scene's own options.
    pub options: Vec<(String, String)>,
}

impl Origin {
    /// As notes of a file or a region.
    #[must_use]
    pub fn notes(&self) -> Vec<(String, String)> {
        let mut notes = vec![("scene".to_owned(), self.scene.clone()), ("seed".to_owned(), self.seed.to_string())];
        notes.extend(self.entities.map(|entities| ("entities".to_owned(), entities.to_string())));
        notes.extend(self.options.iter().map(|(name, value)| (format!("option.{name}"), value.clone())));
        notes
    }

    fn of(notes: &[(String, String)]) -> Result<Origin, String> {
        let mut origin = Origin::default();
        let number = |name: &str, value: &str| {
            value.parse::<u64>().map_err(|_| format!("its note `{name}` must be a whole number, not `{value}`"))
        };
        for (name, value) in notes {
            match name.as_str() {
                "scene" => origin.scene.clone_from(value),
                "seed" => origin.seed = number(name, value)?,
                "entities" => origin.entities = Some(number(name, value)?),
                _ => {
                    if let Some(name) = name.strip_prefix("option.") {
                        origin.options.push((name.to_owned(), value.clone()));
                    }
                }
            }
        }
        Ok(origin)
    }
}

/// A complete set of checkpoints, and what was run.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What was run.
    pub origin: Origin,
    /// The files.
    pub set: CheckpointSet,
}

/// Writes a set of the newest frame: every rank its file, then rank 0 the manifest. Gives the manifest's path.
///
/// # Errors
/// A file that cannot be written; a rank that is gone.
pub fn write(
    cluster: &Cluster,
    simulation: &mut Simulation,
    directory: &Path,
    origin: &Origin,
) -> Result<PathBuf, ClusterError> {
    let (rank, frame) = (cluster.rank(), simulation.world().frame());
    let path = CheckpointSet::path_of(directory, &origin.scene, frame);
    let written = write_own(simulation, &path, rank, origin);
    // all ranks learn of a failure and why, so none waits
    let mut told = vec![u8::from(written.is_ok())];
    match &written {
        Ok(file) => {
            put_u64(&mut told, file.bytes);
            put_u64(&mut told, file.hash as u64);
            put_u64(&mut told, (file.hash >> 64) as u64);
            put_u64(&mut told, file.rows);
        }
        Err(error) => told.extend_from_slice(error.to_string().as_bytes()),
    }
    let all = cluster.comm(|comm| comm.all_gather("checkpoints", &told))?;
    written?;
    let mut files = Vec::with_capacity(all.len());
    for (rank, told) in all.iter().enumerate() {
        match told.split_first() {
            Some((1, told)) => files.push(told_file(rank, told)?),
            why => {
                let why = String::from_utf8_lossy(why.map_or(&[], |(_, why)| why));
                return Err(ClusterError::Gone { rank, why: format!("it could not write its checkpoint: {why}") });
            }
        }
    }
    let order = cluster.key_column().into_iter().chain([IDS.to_owned()]).collect();
    let mut failed = match rank {
        0 => CheckpointSet::write(&path, frame, files, order, origin.notes()).err().map(|error| error.to_string()),
        _ => None,
    }
    .unwrap_or_default()
    .into_bytes();
    cluster.comm(|comm| comm.broadcast("manifest", &mut failed))?;
    match failed.is_empty() {
        true => Ok(path),
        false => Err(ClusterError::File { path, what: String::from_utf8_lossy(&failed).into_owned() }),
    }
}

fn told_file(rank: usize, told: &[u8]) -> Result<SetFile, ClusterError> {
    let mut read = Read::new(rank, told);
    let (bytes, low, high, rows) = (read.u64()?, read.u64()?, read.u64()?, read.u64()?);
    read.end()?;
    Ok(SetFile { bytes, hash: u128::from(high) << 64 | u128::from(low), rows })
}

fn write_own(
    simulation: &mut Simulation,
    manifest: &Path,
    rank: usize,
    origin: &Origin,
) -> Result<SetFile, ClusterError> {
    let path = CheckpointSet::file_path_of(manifest, rank);
    let directory = manifest.with_extension("");
    fs::create_dir_all(&directory)
        .map_err(|error| ClusterError::File { path: directory.clone(), what: error.to_string() })?;
    if !simulation.world_mut().publish().map_err(|error| engine(rank, error))?.is_published() {
        return Err(ClusterError::World("the frame could not be published: readers hold all memory".to_owned()));
    }
    let mut reader = simulation.world().reader().map_err(|error| engine(rank, error))?;
    let snapshot = reader.pin().map_err(|error| engine(rank, error))?;
    let mut options = CheckpointOptions::default();
    options.notes = origin.notes();
    checkpoint::write(&snapshot, &path, &options).map_err(|error| engine(rank, error))?;
    SetFile::of(&path).map_err(|error| engine(rank, error))
}

/// Reads and checks a manifest.
///
/// # Errors
/// A file that is no manifest.
pub fn open(path: &Path) -> Result<Manifest, ClusterError> {
    let bad = |what: String| ClusterError::File { path: path.to_owned(), what };
    let set = CheckpointSet::open(path).map_err(|error| bad(error.to_string()))?;
    let origin = Origin::of(set.notes()).map_err(bad)?;
    Ok(Manifest { origin, set })
}

/// The newest set of a scene in a directory of which all files are there with their lengths; `None`: there is none.
///
/// # Errors
/// A directory that cannot be read.
pub fn newest(directory: &Path, scene: &str) -> Result<Option<PathBuf>, ClusterError> {
    let bad = |what: String| ClusterError::File { path: directory.to_owned(), what };
    let newest = CheckpointSet::newest(directory, Some(scene)).map_err(|error| bad(error.to_string()))?;
    Ok(newest.map(|set| set.path().to_owned()))
}

/// Removes all but the newest sets of a scene. Gives what stays, and why: the next call tries again.
#[must_use = "what stays takes room"]
pub fn prune(directory: &Path, scene: &str, keep: usize) -> Vec<ClusterError> {
    let stays =
        |path: &Path, error: CheckpointError| ClusterError::File { path: path.to_owned(), what: error.to_string() };
    match CheckpointSet::in_directory(directory, Some(scene)) {
        Ok(all) => {
            let removed = all.into_iter().skip(keep.max(1)).map(|old| (old.path().to_owned(), old.remove()));
            removed.filter_map(|(path, removed)| removed.err().map(|error| stays(&path, error))).collect()
        }
        Err(error) => vec![stays(directory, error)],
    }
}

impl Manifest {
    /// This rank's part of the world: the rows of its files, and frame, time and resources, which all files have alike.
    ///
    /// # Errors
    /// A file that is not as it was written; what the engine refuses.
    pub fn restore(
        &self,
        path: &Path,
        cluster: &Cluster,
        builder: impl Fn() -> WorldBuilder,
    ) -> Result<World, ClusterError> {
        let (rank, size) = (cluster.rank(), cluster.size());
        let files: Vec<usize> = (rank..self.set.files().len()).step_by(size).collect();
        let bad = |what: String| ClusterError::File { path: path.to_owned(), what };
        let restored = self.set.restore_files(&files, builder()).map_err(|error| bad(error.to_string()));
        // all ranks learn of a failure, so none waits
        let told = restored.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let all = cluster.comm(|comm| comm.all_gather("restored", told.as_bytes()))?;
        let world = restored?;
        if let Some((rank, why)) = all.iter().enumerate().find(|(_, told)| !told.is_empty()) {
            return Err(ClusterError::Gone { rank, why: String::from_utf8_lossy(why).into_owned() });
        }
        let rows = cluster.comm(|comm| comm.sum("restored rows", world.entity_count()))?;
        if rows != self.set.rows() {
            return Err(bad(format!("{rows} rows were restored, not {}", self.set.rows())));
        }
        Ok(world)
    }
}

fn engine(rank: usize, error: impl std::error::Error + Send + Sync + 'static) -> ClusterError {
    ClusterError::Engine { rank, source: Box::new(error) }
}
