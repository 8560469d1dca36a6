//! Worlds of the files of a set: some of them, or all as one world; and of parts in memory.
//!
//! Invariant: what all files must have alike (layout, frame, time, resources) is compared, never believed.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::path::Path;

use crate::layout::{ComponentLayout, ScalarType};
use crate::limits::WORLD_BYTES_MAX;
use crate::region::RegionTarget;
use crate::snapshot::{Reader, Snapshot};
use crate::world::life::restore;
use crate::world::{Dangling, RowBatch, RowBatchError, World, WorldBuilder};

use super::error::CheckpointError;
use super::read::CheckpointFile;
use super::set::CheckpointSet;
use super::write;

/// Address space of a joined world: a part of the bytes may be moved while rows come in, and room grows by doubling.
const ROOM_TIMES: u64 = 4;

impl CheckpointSet {
    /// One world with the rows of all files, which goes on as one process would have gone on: in the order that the
    /// manifest says, with frame, time and resources, which all files have alike. Handles lead where they led. The only
    /// file of a set is restored bit for bit.
    ///
    /// # Errors
    /// A file that is not as it was written, or contradicts another; what [`CheckpointFile::restore`] refuses.
    pub fn restore(&self, builder: WorldBuilder) -> Result<World, CheckpointError> {
        if self.files().len() == 1 {
            return self.file(0)?.restore(builder);
        }
        let ranks: Vec<usize> = (0..self.files().len()).collect();
        self.place(&ranks, true, builder)
    }

    /// One world with the rows of these ranks' files, file after file. Of no files it is a world without rows, with frame,
    /// time and resources.
    ///
    /// # Errors
    /// As [`CheckpointSet::restore`].
    ///
    /// # Panics
    /// If there is no such rank.
    pub fn restore_files(&self, ranks: &[usize], builder: WorldBuilder) -> Result<World, CheckpointError> {
        match ranks {
            [only] => self.file(*only)?.restore(builder),
            ranks => self.place(ranks, false, builder),
        }
    }

    /// Joins files where the builder says. In a region, which others may read, the rows appear all at once.
    fn place(&self, ranks: &[usize], sorted: bool, builder: WorldBuilder) -> Result<World, CheckpointError> {
        let open = |rank: usize| self.file(rank);
        let join = Join { path: self.path(), order: sorted.then_some(self.order()), open: &open };
        if matches!(restore::region_of(&builder).0, RegionTarget::Heap) {
            return join.world(ranks, builder);
        }
        let private = World::builder().bytes_max(self.bytes_needed(ranks)?);
        let bytes = write::to_memory(&join.world(ranks, private)?.reader()?.pin()?, self.path())?;
        CheckpointFile::in_memory(bytes, self.path())?.restore(builder)
    }

    /// The most bytes that a region of these files may need.
    fn bytes_needed(&self, ranks: &[usize]) -> Result<u64, CheckpointError> {
        room(ranks.iter().map(|rank| Ok(super::read::open(&self.file_path(*rank))?.bytes_needed())))
    }

    /// Loads all files into private memory, to be looked at as any region is: one state, in the order that the manifest
    /// says.
    ///
    /// # Errors
    /// As [`CheckpointSet::restore`]; no memory.
    pub fn load(&self) -> Result<Reader, CheckpointError> {
        let ranks: Vec<usize> = (0..self.files().len()).collect();
        Ok(self.restore(World::builder().bytes_max(self.bytes_needed(&ranks)?))?.reader()?)
    }
}

/// One world of the parts that several processes have, as [`CheckpointSet::restore`] makes it of their files, in private
/// memory: `parts` are what [`to_memory`] gave, by rank; rows stand in the order of these columns, as `cell.key` and
/// `global_id.value`.
///
/// ```
/// use hypostyle::{GlobalId, World, checkpoint};
/// let part = |id| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
///     let mut world = World::builder().component::<GlobalId>().build()?;
///     world.spawn(GlobalId::root(id))?;
///     world.publish()?;
///     Ok(checkpoint::to_memory(&world.reader()?.pin()?)?)
/// };
/// let whole = checkpoint::join(vec![part(8)?, part(3)?], &["global_id.value".to_owned()])?;
/// assert_eq!(whole.get::<GlobalId>(whole.table_entities(0)[0])?.value, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// No parts; bytes that are no checkpoint; parts that contradict each other; no memory.
pub fn join(parts: Vec<Vec<u8>>, order: &[String]) -> Result<World, CheckpointError> {
    let path = Path::new("memory");
    let files = parts.into_iter().map(|part| CheckpointFile::in_memory(part, path)).collect::<Result<Vec<_>, _>>()?;
    if files.is_empty() {
        return Err(super::set::bad(path, "there are no parts"));
    }
    let builder = World::builder().bytes_max(room(files.iter().map(|file| Ok(file.bytes_needed())))?);
    let ranks: Vec<usize> = (0..files.len()).collect();
    Join { path, order: Some(order), open: &|rank| Ok(&files[rank]) }.world(&ranks, builder)
}

/// The bytes of a checkpoint of a generation, for [`join`]: a part of a world that goes to another process.
///
/// # Errors
/// A generation that is not whole.
pub fn to_memory(snapshot: &Snapshot<'_>) -> Result<Vec<u8>, CheckpointError> {
    write::to_memory(snapshot, Path::new("memory"))
}

/// Address space for files of so many bytes.
fn room(files: impl Iterator<Item = Result<u64, CheckpointError>>) -> Result<u64, CheckpointError> {
    let mut bytes: u64 = 1 << 20;
    for file in files {
        bytes = bytes.saturating_add(file?);
    }
    Ok(bytes.saturating_mul(ROOM_TIMES).min(WORLD_BYTES_MAX))
}

/// Parts that become one world.
struct Join<'j, F: Borrow<CheckpointFile>> {
    /// What is told in errors.
    path: &'j Path,
    /// The columns in whose order rows stand; `None`: part after part.
    order: Option<&'j [String]>,
    open: &'j dyn Fn(usize) -> Result<F, CheckpointError>,
}

impl<F: Borrow<CheckpointFile>> Join<'_, F> {
    /// Joins files; the newest generation has all rows.
    fn world(&self, ranks: &[usize], builder: WorldBuilder) -> Result<World, CheckpointError> {
        let first = (self.open)(ranks.first().copied().unwrap_or(0))?;
        let first = first.borrow();
        let mut world = first.restore(builder)?;
        if ranks.is_empty() {
            world.clear()?;
        }
        // what a file's rows name may be in another one
        let links = world.layout().components().iter().any(ComponentLayout::is_elsewhere);
        let dangling = if links { Dangling::Elsewhere } else { Dangling::Refuse };
        for rank in ranks.iter().skip(1) {
            let file = (self.open)(*rank)?;
            let file = file.borrow();
            let other = file.restore(World::builder().bytes_max(file.bytes_needed()))?;
            check_alike(&world, first, &other, file)?;
            let mut batches = Vec::with_capacity(other.table_count());
            for table in (0..other.table_count()).filter(|table| !other.is_elsewhere(*table)) {
                let rows: Vec<u32> = (0..other.table_rows(table) as u32).collect();
                batches.push(other.copy_rows(table, &rows)?);
            }
            world.put_rows(&batches, dangling)?;
        }
        if let Some(order) = self.order {
            self.sort(&mut world, order)?;
        }
        // what a failed frame goes back to
        if !world.publish()?.is_published() {
            return Err(super::set::bad(self.path, "its rows could not be published: no memory"));
        }
        Ok(world)
    }

    /// Brings the rows of each table that has all columns of the order into it.
    fn sort(&self, world: &mut World, order: &[String]) -> Result<(), CheckpointError> {
        let mut batches: Vec<RowBatch> = Vec::with_capacity(world.table_count());
        for table in (0..world.table_count()).filter(|table| !world.is_elsewhere(*table)) {
            let mut rows: Vec<u32> = (0..world.table_rows(table) as u32).collect();
            if let Some(places) = self.places(world, table, order)? {
                rows.sort_by(|a, b| {
                    let by = |column: &Vec<u64>| column[*a as usize].cmp(&column[*b as usize]);
                    places.iter().map(by).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
                });
            }
            batches.push(world.copy_rows(table, &rows)?);
        }
        // all at once, so that handles between tables find their entities again
        world.clear()?;
        world.put_rows(&batches, Dangling::Refuse)?;
        Ok(())
    }

    /// The columns of the order in a table, as numbers; `None`: it lacks one.
    fn places(&self, world: &World, table: usize, order: &[String]) -> Result<Option<Vec<Vec<u64>>>, CheckpointError> {
        let mut all = Vec::with_capacity(order.len());
        for name in order {
            let Some((ty, bytes)) = world.table_column(table, name)? else { return Ok(None) };
            let whole = matches!(ty.scalar, ScalarType::U8 | ScalarType::U16 | ScalarType::U32 | ScalarType::U64)
                && ty.array_len == 0;
            if !whole {
                let what = format!("rows cannot be ordered by `{name}`: it must be a whole number without a sign");
                return Err(super::set::bad(self.path, what));
            }
            let number = |bytes: &[u8]| {
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                u64::from_le_bytes(word)
            };
            all.push(bytes.chunks_exact(ty.bytes()).map(number).collect());
        }
        Ok(Some(all))
    }
}

fn check_alike(
    world: &World,
    first: &CheckpointFile,
    other: &World,
    file: &CheckpointFile,
) -> Result<(), CheckpointError> {
    let differs = |what: &str| {
        let what = format!("it has another {what} than {}: they are not of one set", first.path().display());
        Err(super::set::bad(file.path(), what))
    };
    if file.layout() != first.layout() {
        return differs("layout");
    }
    if file.frame() != first.frame() {
        return differs("frame");
    }
    if file.time().to_bits() != first.time().to_bits() {
        return differs("time");
    }
    for resource in world.layout().resources() {
        if world.resource_bytes(&resource.name)? != other.resource_bytes(&resource.name)? {
            return differs(&format!("resource `{}`", resource.name));
        }
    }
    Ok(())
}

impl From<RowBatchError> for CheckpointError {
    fn from(error: RowBatchError) -> Self {
        match error {
            RowBatchError::World(error) => CheckpointError::World(error),
            error => CheckpointError::Rows(error),
        }
    }
}
