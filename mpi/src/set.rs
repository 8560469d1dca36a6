//! Checkpoints of many ranks: each rank its file, and a manifest that names them all.
//!
//! A set of frame 100 of `lj` in a directory is `lj-000000000100.json`, the manifest, and `lj-000000000100/rank-00000.ckpt`
//! and so on, ordinary checkpoints. The manifest is written last, under another name, and renamed: where it is, the set is
//! complete. It says what made the world, and size and hash (XXH3, 128 bits) of each file. All ranks see one directory.
//!
//! A set is restored on any number of ranks: rank r takes the files r, r + n, r + 2 n and so on of n ranks. Where its rows
//! belong is found when the simulation begins ([`crate::Cluster::simulation`]).
#![forbid(unsafe_code)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hypostyle::checkpoint::{self, CheckpointOptions};
use hypostyle::{Dangling, Simulation, World, WorldBuilder};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::cluster::Cluster;
use crate::error::ClusterError;

/// Bytes of a manifest: more is none.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// The only format there is.
const FORMAT: u32 = 1;

/// What decides a world, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// A complete set of checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// What was run.
    pub origin: Origin,
    /// After this frame.
    pub frame: u64,
    /// Rows of all ranks.
    pub rows: u64,
    /// A file of each rank.
    pub files: Vec<SetFile>,
}

/// One rank's checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFile {
    /// Its name beside the manifest, of the form `NAME/rank-00000.ckpt`.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// XXH3 of 128 bits, hexadecimal.
    pub hash: String,
    /// Rows in it.
    pub rows: u64,
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
    let rank = cluster.rank();
    let name = format!("{}-{:012}", origin.scene, simulation.world().frame());
    let file = format!("{name}/rank-{rank:05}.ckpt");
    let written = write_own(simulation, directory, &name, &file, rank);
    // all ranks learn of a failure, so none waits
    let told = match &written {
        Ok(written) => serde_json::to_vec(written).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let all = cluster.comm(|comm| comm.all_gather("checkpoints", &told))?;
    written?;
    let path = directory.join(format!("{name}.json"));
    let mut files = Vec::with_capacity(all.len());
    for (rank, told) in all.iter().enumerate() {
        let why = "it could not write its checkpoint".to_owned();
        files.push(serde_json::from_slice::<SetFile>(told).map_err(|_| ClusterError::Gone { rank, why })?);
    }
    let rows = files.iter().map(|file| file.rows).sum();
    let manifest = Manifest { format: FORMAT, origin: origin.clone(), frame: simulation.world().frame(), rows, files };
    let told = match rank {
        0 => put_manifest(&manifest, &path).err().map(|error| error.to_string()).unwrap_or_default(),
        _ => String::new(),
    };
    let mut told = told.into_bytes();
    cluster.comm(|comm| comm.broadcast("manifest", &mut told))?;
    match told.is_empty() {
        true => Ok(path),
        false => Err(ClusterError::File { path, what: String::from_utf8_lossy(&told).into_owned() }),
    }
}

fn write_own(
    simulation: &mut Simulation,
    directory: &Path,
    name: &str,
    file: &str,
    rank: usize,
) -> Result<SetFile, ClusterError> {
    let path = directory.join(file);
    let io = |error: std::io::Error| ClusterError::File { path: path.clone(), what: error.to_string() };
    fs::create_dir_all(directory.join(name)).map_err(io)?;
    if !simulation.world_mut().publish().map_err(|error| engine(rank, error))?.is_published() {
        return Err(ClusterError::World("the frame could not be published: readers hold all memory".to_owned()));
    }
    let mut reader = simulation.world().reader().map_err(|error| engine(rank, error))?;
    let snapshot = reader.pin().map_err(|error| engine(rank, error))?;
    checkpoint::write(&snapshot, &path, &CheckpointOptions::default()).map_err(|error| engine(rank, error))?;
    let bytes = fs::read(&path).map_err(io)?;
    Ok(SetFile {
        file: file.to_owned(),
        bytes: bytes.len() as u64,
        hash: format!("{:032x}", xxh3_128(&bytes)),
        rows: simulation.world().entity_count(),
    })
}

fn put_manifest(manifest: &Manifest, path: &Path) -> std::io::Result<()> {
    let before = path.with_extension("json.new");
    let mut file = fs::File::create(&before)?;
    file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
    file.sync_all()?;
    fs::rename(&before, path)
}

/// Reads and checks a manifest.
///
/// # Errors
/// A file that is no manifest, or names files elsewhere.
pub fn open(path: &Path) -> Result<Manifest, ClusterError> {
    let bad = |what: String| ClusterError::File { path: path.to_owned(), what };
    let length = fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
    if length > MANIFEST_BYTES_MAX {
        return Err(bad(format!("a manifest has at most {MANIFEST_BYTES_MAX} bytes, not {length}")));
    }
    let bytes = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| bad(format!("it is no manifest of checkpoints: {error}")))?;
    if manifest.format != FORMAT {
        return Err(bad(format!("its format is {}, this program knows {FORMAT}", manifest.format)));
    }
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    for (rank, file) in manifest.files.iter().enumerate() {
        if file.file != format!("{name}/rank-{rank:05}.ckpt") {
            return Err(bad(format!("file {rank} is `{}`, not `{name}/rank-{rank:05}.ckpt`", file.file)));
        }
    }
    match manifest.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.rows)) {
        Some(rows) if rows == manifest.rows && !manifest.files.is_empty() => Ok(manifest),
        _ => Err(bad("its files do not have the rows that it says".to_owned())),
    }
}

/// The newest set of a scene in a directory of which all files are there with their lengths; `None`: there is none.
///
/// # Errors
/// A directory that cannot be read.
pub fn newest(directory: &Path, scene: &str) -> Result<Option<PathBuf>, ClusterError> {
    let bad = |error: std::io::Error| ClusterError::File { path: directory.to_owned(), what: error.to_string() };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(error)),
    };
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in entries {
        let path = entry.map_err(bad)?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let Ok(manifest) = open(&path) else { continue };
        let whole =
            |file: &SetFile| fs::metadata(directory.join(&file.file)).is_ok_and(|there| there.len() == file.bytes);
        if manifest.origin.scene == scene && manifest.files.iter().all(whole) {
            found.push((manifest.frame, path));
        }
    }
    Ok(found.into_iter().max().map(|(_, path)| path))
}

/// Removes all but the newest sets of a scene: the manifest first, then its files. What cannot be removed stays.
pub fn prune(directory: &Path, scene: &str, keep: usize) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let manifest = open(&path).ok()?;
            (manifest.origin.scene == scene).then_some((manifest.frame, path))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    for (_, path) in found.iter().skip(keep.max(1)) {
        if fs::remove_file(path).is_ok() {
            let _ = fs::remove_dir_all(path.with_extension(""));
        }
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
        let restored = self.restore_own(path, rank, size, builder);
        // all ranks learn of a failure, so none waits
        let told = restored.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let all = cluster.comm(|comm| comm.all_gather("restored", told.as_bytes()))?;
        let world = restored?;
        if let Some((rank, why)) = all.iter().enumerate().find(|(_, told)| !told.is_empty()) {
            return Err(ClusterError::Gone { rank, why: String::from_utf8_lossy(why).into_owned() });
        }
        let rows = cluster.comm(|comm| comm.sum("restored rows", world.entity_count()))?;
        if rows != self.rows {
            let what = format!("{rows} rows were restored, not {}", self.rows);
            return Err(ClusterError::File { path: path.to_owned(), what });
        }
        Ok(world)
    }

    fn restore_own(
        &self,
        path: &Path,
        rank: usize,
        size: usize,
        builder: impl Fn() -> WorldBuilder,
    ) -> Result<World, ClusterError> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let load = |index: usize| {
            let file = &self.files[index];
            let path = directory.join(&file.file);
            let bad = |what: String| ClusterError::File { path: path.clone(), what };
            let bytes = fs::read(&path).map_err(|error| bad(error.to_string()))?;
            if bytes.len() as u64 != file.bytes || format!("{:032x}", xxh3_128(&bytes)) != file.hash {
                return Err(bad("it is not the file that the manifest names: its bytes have another hash".to_owned()));
            }
            let opened = checkpoint::open(&path).map_err(|error| bad(error.to_string()))?;
            opened.restore(builder()).map_err(|error| bad(error.to_string()))
        };
        let mut world = load(if rank < self.files.len() { rank } else { 0 })?;
        if rank >= self.files.len() {
            world.clear().map_err(|error| engine(rank, error))?;
        }
        for index in (rank + size..self.files.len()).step_by(size) {
            let other = load(index)?;
            let mut batches = Vec::new();
            for table in 0..other.table_count() {
                let rows: Vec<u32> = (0..other.table_rows(table) as u32).collect();
                batches.push(other.copy_rows(table, &rows).map_err(|error| engine(rank, error))?);
            }
            world.put_rows(&batches, Dangling::Refuse).map_err(|error| engine(rank, error))?;
        }
        Ok(world)
    }
}

fn engine(rank: usize, error: impl std::error::Error + Send + Sync + 'static) -> ClusterError {
    ClusterError::Engine { rank, source: Box::new(error) }
}
