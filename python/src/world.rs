//! Worlds that Python makes, fills, steps and publishes.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, PoisonError};

use hypostyle::{Entity, FieldType, Layout, Presence, Publication, RegionTarget, ScalarType, SharedReader, WorldError};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{error, of_region, of_snapshot, of_world};
use crate::layout::{LayoutParts, parts};
use crate::memory::Memory;
use crate::pin::Pin;

/// A world of this process.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct World {
    /// None: closed.
    world: Arc<Mutex<Option<hypostyle::World>>>,
    reader: SharedReader,
    name: String,
}

impl World {
    fn of(world: hypostyle::World) -> PyResult<Self> {
        let reader = world.reader().map_err(|error| of_snapshot(&error))?.into();
        let name = world.region().to_string();
        Ok(World { world: Arc::new(Mutex::new(Some(world))), reader, name })
    }

    fn with<T>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut hypostyle::World) -> Result<T, WorldError> + Send,
    ) -> PyResult<T>
    where
        T: Send,
    {
        let done = py.detach(|| {
            let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
            world.as_mut().map(act)
        });
        done.ok_or_else(|| self.closed())?.map_err(|error| of_world(&error))
    }

    /// The same for what moves or publishes columns: not while anybody has arrays of them.
    fn change<T>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut hypostyle::World) -> Result<T, WorldError> + Send,
    ) -> PyResult<T>
    where
        T: Send,
    {
        if self.lent() {
            let message = "arrays of the world's rows are still held: a system must let go of them, or keep copies";
            return Err(error("HypostyleError", message.to_owned()));
        }
        self.with(py, act)
    }

    fn closed(&self) -> PyErr {
        error("ClosedError", format!("the world in {} was closed", self.name))
    }
}

fn target(region: Option<&str>) -> PyResult<RegionTarget> {
    region.map_or(Ok(RegionTarget::Heap), |text| text.parse().map_err(|error| of_region(&error)))
}

/// Whole handles of 8 bytes.
fn handles(bytes: &[u8]) -> Vec<Entity> {
    bytes.as_chunks::<8>().0.iter().map(|bits| Entity::from_bits(u64::from_le_bytes(*bits))).collect()
}

#[pymethods]
impl World {
    #[new]
    fn new(py: Python<'_>, layout: &str, region: Option<&str>, keep: bool) -> PyResult<Self> {
        let target = target(region)?;
        let layout = Layout::parse(layout, "layout").map_err(|error| of_world(&error.into()))?;
        let made = py.detach(|| hypostyle::World::builder().layout(layout).region(target).keep(keep).build());
        World::of(made.map_err(|error| of_world(&error))?)
    }

    #[staticmethod]
    fn resume(py: Python<'_>, region: &str, keep: bool) -> PyResult<Self> {
        let target = target(Some(region))?;
        let made = py.detach(|| hypostyle::World::builder().keep(keep).resume(&target));
        World::of(made.map_err(|error| of_world(&error))?)
    }

    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Whether anybody has memory of it.
    fn lent(&self) -> bool {
        Arc::strong_count(&self.world) > 1
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let is_open = self.world.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if is_open {
            self.change(py, |_| Ok(()))?;
        }
        // What closes a region may take a while.
        py.detach(|| drop(self.world.lock().unwrap_or_else(PoisonError::into_inner).take()));
        Ok(())
    }

    fn layout<'py>(&self, py: Python<'py>) -> PyResult<LayoutParts<'py>> {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.as_ref().map(|world| parts(py, world.layout())).ok_or_else(|| self.closed())
    }

    /// Frame, time, newest generation, entities.
    fn state(&self, py: Python<'_>) -> PyResult<(u64, f64, u64, u64)> {
        self.with(py, |world| Ok((world.frame(), world.time(), world.generation(), world.entity_count())))
    }

    /// Spawns entities with these components; columns by name, as the bytes of their values. The handles, 8 bytes each.
    fn spawn<'py>(
        &self,
        py: Python<'py>,
        count: usize,
        components: Vec<String>,
        columns: Vec<(String, Bound<'py, PyBytes>)>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let columns: Vec<(String, Vec<u8>)> =
            columns.into_iter().map(|(name, bytes)| (name, bytes.as_bytes().to_vec())).collect();
        let spawned = self.change(py, |world| {
            let fields: Vec<FieldType> = columns.iter().map(|(name, _)| field(world.layout(), name)).collect();
            let mut spawn = world.spawn_columns(count);
            for component in &components {
                spawn = spawn.with_named(component);
            }
            for ((name, bytes), ty) in columns.iter().zip(fields) {
                spawn = spawn.column_bytes(name, ty, bytes);
            }
            spawn.spawn()
        })?;
        Ok(PyBytes::new(py, bytemuck::cast_slice(&spawned)))
    }

    /// Ends the lives of entities, 8 bytes each. All of them must live.
    fn despawn(&self, py: Python<'_>, entities: &[u8]) -> PyResult<()> {
        let entities = handles(entities);
        self.change(py, |world| {
            if let Some(entity) = entities.iter().find(|entity| !world.is_alive(**entity)) {
                return Err(WorldError::Stale { entity: *entity });
            }
            entities.iter().try_for_each(|entity| world.despawn(*entity))
        })
    }

    fn is_alive(&self, py: Python<'_>, entity: u64) -> PyResult<bool> {
        self.with(py, |world| Ok(world.is_alive(Entity::from_bits(entity))))
    }

    /// Rows and components of each table.
    fn tables(&self, py: Python<'_>) -> PyResult<Vec<(usize, Vec<String>)>> {
        self.with(py, |world| {
            let table = |at| (world.table_rows(at), world.table_components(at).map(str::to_owned).collect());
            Ok((0..world.table_count()).map(table).collect())
        })
    }

    /// A column of a table, for a kernel.
    fn column(&self, py: Python<'_>, table: usize, name: &str, write: bool) -> PyResult<Option<Memory>> {
        self.check_table(py, table)?;
        self.with(py, |world| {
            let memory = |(ty, bytes): (FieldType, &[u8])| Memory::of_world(&self.world, ty, bytes, write);
            if write {
                let column = world.table_column_mut(table, name)?;
                Ok(column.map(|(ty, bytes)| memory((ty, bytes))))
            } else {
                Ok(world.table_column(table, name)?.map(memory))
            }
        })
    }

    /// The handles of a table's rows, for a kernel.
    fn entities(&self, py: Python<'_>, table: usize) -> PyResult<Memory> {
        self.check_table(py, table)?;
        self.with(py, |world| {
            let bytes = bytemuck::cast_slice(world.table_entities(table));
            Ok(Memory::of_world(&self.world, FieldType::scalar(ScalarType::U64), bytes, false))
        })
    }

    /// Which rows have a component: False (none), True (all), or the bytes of bits.
    fn presence<'py>(&self, py: Python<'py>, table: usize, component: &str) -> PyResult<Bound<'py, PyAny>> {
        self.check_table(py, table)?;
        let found = self.with(py, |world| {
            Ok(match world.table_presence(table, component)? {
                Presence::None => Err(false),
                Presence::All => Err(true),
                Presence::Bits(bits) => Ok(bytemuck::cast_slice::<u64, u8>(bits).to_vec()),
            })
        })?;
        match found {
            Ok(bits) => PyBytes::new(py, &bits).into_bound_py_any(py),
            Err(all) => all.into_bound_py_any(py),
        }
    }

    fn resource<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let bytes = self.with(py, |world| Ok(world.resource_bytes(name)?.map(<[u8]>::to_vec)))?;
        Ok(bytes.map(|bytes| PyBytes::new(py, &bytes)))
    }

    fn set_resource(&self, py: Python<'_>, name: &str, packed: &[u8]) -> PyResult<()> {
        self.change(py, |world| world.set_resource_bytes(name, packed))
    }

    fn begin_frame(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, hypostyle::World::begin_frame)
    }

    fn end_frame(&self, py: Python<'_>, dt: f64) -> PyResult<()> {
        self.with(py, |world| {
            world.end_frame(dt);
            Ok(())
        })
    }

    /// The newest generation again; how many frames that undid.
    fn go_back(&self, py: Python<'_>) -> PyResult<u64> {
        self.change(py, hypostyle::World::go_back)
    }

    /// The generation's number; None where readers hold all memory.
    fn publish(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.change(py, |world| {
            Ok(match world.publish()? {
                Publication::Published(generation) => Some(generation),
                Publication::Skipped => None,
            })
        })
    }

    fn pin(&self, py: Python<'_>) -> PyResult<Pin> {
        self.with(py, |_| Ok(()))?;
        Ok(Pin::new(py.detach(|| self.reader.pin()).map_err(|error| of_snapshot(&error))?))
    }
}

impl World {
    fn check_table(&self, py: Python<'_>, table: usize) -> PyResult<()> {
        let count = self.with(py, |world| Ok(world.table_count()))?;
        if table < count {
            return Ok(());
        }
        Err(pyo3::exceptions::PyIndexError::new_err(format!("there is no table {table}: the world has {count}")))
    }
}

/// The type of a field by its whole name; any, where there is none: whoever uses it finds that out.
fn field(layout: &Layout, name: &str) -> FieldType {
    let found = name.split_once('.').and_then(|(component, field)| {
        let (_, declared) = layout.component(component)?;
        declared.fields.iter().find(|other| other.name == field).map(|found| found.ty)
    });
    found.unwrap_or(FieldType::scalar(ScalarType::U8))
}
