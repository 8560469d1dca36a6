//! A pinned generation: its tables, columns and resources.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, PoisonError};

use hypostyle::{Entity, FieldType, IdHash, OwnedSnapshot, Presence, ScalarType, SnapshotError, TableView, checkpoint};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{error, of_snapshot};
use crate::memory::Memory;

/// A pinned generation. Released, it gives out nothing more; memory that it gave out before keeps the pin.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Pin {
    generation: u64,
    frame: u64,
    time: f64,
    entities: u64,
    /// None: released.
    pin: Mutex<Option<Arc<OwnedSnapshot>>>,
}

impl Pin {
    pub(crate) fn new(pinned: OwnedSnapshot) -> Self {
        let (generation, frame, time, entities) = {
            let snapshot = pinned.snapshot();
            (snapshot.generation(), snapshot.frame(), snapshot.time(), snapshot.entity_count())
        };
        Pin { generation, frame, time, entities, pin: Mutex::new(Some(Arc::new(pinned))) }
    }

    fn held(&self) -> PyResult<Arc<OwnedSnapshot>> {
        let pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        pin.clone().ok_or_else(|| {
            let message = format!("the snapshot of generation {} was released: pin again", self.generation);
            error("ClosedError", message)
        })
    }

    fn with_table<T>(
        &self,
        index: usize,
        look: impl FnOnce(&Arc<OwnedSnapshot>, TableView<'_>) -> Result<T, SnapshotError>,
    ) -> PyResult<T> {
        let pin = self.held()?;
        let snapshot = pin.snapshot();
        let table = snapshot.tables().nth(index).ok_or_else(|| {
            let count = snapshot.tables().count();
            pyo3::exceptions::PyIndexError::new_err(format!("there is no table {index}: the snapshot has {count}"))
        })?;
        look(&pin, table).map_err(|error| of_snapshot(&error))
    }
}

/// 64-bit words that are no field: handles, stamps, bits.
fn words(pin: &Arc<OwnedSnapshot>, bytes: &[u8]) -> Memory {
    Memory::new(pin, FieldType::scalar(ScalarType::U64), bytes)
}

fn bytes_of(words: &[u64]) -> &[u8] {
    // Words are as many bytes, in the order of the machine, which the format asks to be little-endian.
    bytemuck::cast_slice(words)
}

#[pymethods]
impl Pin {
    #[getter]
    fn generation(&self) -> u64 {
        self.generation
    }

    #[getter]
    fn frame(&self) -> u64 {
        self.frame
    }

    #[getter]
    fn time(&self) -> f64 {
        self.time
    }

    /// As exports write it.
    #[getter]
    fn time_text(&self) -> String {
        self.time.to_string()
    }

    #[getter]
    fn entity_count(&self) -> u64 {
        self.entities
    }

    #[getter]
    fn released(&self) -> bool {
        self.pin.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn release(&self) {
        self.pin.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Rows, room and components of each table.
    fn tables(&self) -> PyResult<Vec<(usize, usize, Vec<String>)>> {
        let pin = self.held()?;
        let table =
            |table: TableView<'_>| (table.rows(), table.capacity(), table.components().map(str::to_owned).collect());
        let snapshot = pin.snapshot();
        Ok(snapshot.tables().map(table).collect())
    }

    /// A column of a table, in place; None where the table lacks the component.
    fn column(&self, table: usize, name: &str) -> PyResult<Option<Memory>> {
        self.with_table(table, |pin, table| {
            Ok(table.column_bytes(name)?.map(|(ty, bytes)| Memory::new(pin, ty, bytes)))
        })
    }

    /// One field of the lists of a table's rows, in place: where each row's list begins, how many elements it has, and the
    /// values of all elements; None where the table lacks the component.
    fn list(&self, table: usize, component: &str, field: &str) -> PyResult<Option<(Memory, Memory, Memory)>> {
        self.with_table(table, |pin, table| {
            let Some(lists) = table.lists_named(component)? else { return Ok(None) };
            let span =
                |words: &[u32]| Memory::new(pin, FieldType::scalar(ScalarType::U32), bytemuck::cast_slice(words));
            let known = || lists.columns().map(|(name, ..)| name.to_owned()).collect::<Vec<_>>().join(", ");
            let name = || format!("{component}.{field}");
            let found = lists.columns().find(|(other, ..)| *other == field);
            let (_, ty, bytes) = found.ok_or_else(|| SnapshotError::UnknownColumn { name: name(), known: known() })?;
            Ok(Some((span(lists.starts()), span(lists.lengths()), Memory::new(pin, ty, bytes))))
        })
    }

    /// The runs of rows, begin and end, in which any of these columns changed after a generation; None where the table
    /// lacks one of them.
    fn changed_since(
        &self,
        table: usize,
        names: Vec<String>,
        generation: u64,
    ) -> PyResult<Option<Vec<(usize, usize)>>> {
        self.with_table(table, |_, table| {
            let mut runs: Vec<(usize, usize)> = Vec::new();
            for name in &names {
                let Some(changed) = table.changed_since(name, generation)? else { return Ok(None) };
                runs.extend(changed.runs().map(|run| (run.start, run.end)));
            }
            runs.sort_unstable();
            runs.dedup_by(|next, before| {
                let meets = next.0 <= before.1;
                before.1 = if meets { before.1.max(next.1) } else { before.1 };
                meets
            });
            Ok(Some(runs))
        })
    }

    /// The handles of a table's rows, in place.
    fn entities(&self, table: usize) -> PyResult<Memory> {
        self.with_table(table, |pin, table| Ok(words(pin, bytemuck::cast_slice(table.entities()))))
    }

    /// Which rows have a component: False (none), True (all), or the words of bits, in place.
    fn presence<'py>(&self, py: Python<'py>, table: usize, component: &str) -> PyResult<Bound<'py, PyAny>> {
        let found = self.with_table(table, |pin, table| {
            Ok(match table.presence(component)? {
                Presence::None => Err(false),
                Presence::All => Err(true),
                Presence::Bits(bits) => Ok(words(pin, bytes_of(bits))),
            })
        })?;
        match found {
            Ok(memory) => memory.into_bound_py_any(py),
            Err(all) => all.into_bound_py_any(py),
        }
    }

    /// Which rows of a component the newest frame changed, as words of bits; None where that is not tracked.
    fn changed(&self, table: usize, component: &str) -> PyResult<Option<Memory>> {
        self.with_table(table, |pin, table| Ok(table.changed(component)?.map(|bits| words(pin, bytes_of(bits)))))
    }

    /// The packed bytes of a resource; None where it has no value.
    fn resource<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let pin = self.held()?;
        let snapshot = pin.snapshot();
        let bytes = snapshot.resource_bytes(name).map_err(|error| of_snapshot(&error))?;
        Ok(bytes.map(|bytes| PyBytes::new(py, bytes)))
    }

    /// Table and row of an entity; None where it is dead.
    fn locate(&self, handle: u64) -> PyResult<Option<(usize, usize)>> {
        Ok(self.held()?.snapshot().locate(Entity::from_bits(handle)))
    }

    /// Writes the generation into a checkpoint; how many bytes that has.
    fn checkpoint(&self, py: Python<'_>, path: std::path::PathBuf, level: i32) -> PyResult<u64> {
        let pin = self.held()?;
        let options = checkpoint::CheckpointOptions::default().level(level);
        let written = py.detach(|| checkpoint::write(&pin.snapshot(), &path, &options));
        Ok(written.map_err(|failed| error("RegionError", failed.to_string()))?.file_bytes)
    }

    /// The hash of the entities by their global ids, to be joined with those of other ranks.
    fn hash_by_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let pin = self.held()?;
        let hash = py.detach(|| pin.snapshot().hash_by_id());
        Ok(PyBytes::new(py, &hash.map_err(|failed| error("AbsentError", failed.to_string()))?.to_bytes()))
    }

    /// The hash of the generation's logical content.
    fn hash(&self, py: Python<'_>) -> PyResult<u64> {
        let pin = self.held()?;
        Ok(py.detach(|| pin.snapshot().hash()))
    }
}

/// The hash by global ids of parts of a world, as text.
#[pyfunction]
pub(crate) fn joined_hash(parts: Vec<[u8; 32]>) -> PyResult<String> {
    let mut whole: Option<IdHash> = None;
    for part in parts.into_iter().map(IdHash::from_bytes) {
        let joined = whole.map_or(Some(part), |whole| whole.combine(part));
        whole = Some(joined.ok_or_else(|| error("HypostyleError", "the parts are not of one frame".to_owned()))?);
    }
    let whole = whole.ok_or_else(|| error("HypostyleError", "there are no parts".to_owned()))?;
    Ok(whole.to_string())
}

/// Writes one frame of all ranks, given what the region of rank 0 notes: as a set where the name says so, else as the one file
/// that one process would have written. How many bytes they have.
#[pyfunction]
pub(crate) fn joined_checkpoint(
    py: Python<'_>,
    pins: Vec<PyRef<'_, Pin>>,
    notes: Vec<(String, String)>,
    path: std::path::PathBuf,
    level: i32,
) -> PyResult<u64> {
    let pins = pins.iter().map(|pin| pin.held()).collect::<PyResult<Vec<_>>>()?;
    let options = checkpoint::CheckpointOptions::default().level(level);
    let written = py.detach(|| {
        let parts: Vec<_> = pins.iter().map(|pin| pin.snapshot()).collect();
        checkpoint::write_ranks(&parts, &notes, &path, &options)
    });
    match written {
        Ok(written) => Ok(written.file_bytes()),
        Err(failed @ checkpoint::CheckpointError::Order) => Err(error("HypostyleError", failed.to_string())),
        Err(failed) => Err(error("RegionError", failed.to_string())),
    }
}
