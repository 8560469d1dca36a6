//! Jobs as Python's kernels see them: arrays on the rows, and patches that are kept until the kernel has returned.
//!
//! Invariants
//! - Whoever has memory of a job has a share of its token, or holds an array that was lent to it: when the kernel has
//!   returned, nobody else may.
//! - A job that has ended gives out nothing more.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hypostyle::layout::FieldLayout;
use hypostyle::random::RandomKey;
use hypostyle::{Entity, FieldType, JobError, KernelError, Layout, ScalarType, dynamic};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrays::{Lent, Place};
use crate::errors::error;
use crate::layout::{LayoutParts, parts};
use crate::memory::Memory;

thread_local! {
    /// Whether a kernel runs on this thread.
    static IN_KERNEL: Cell<bool> = const { Cell::new(false) };
}

/// What a kernel raised last in this process: the cause of the frame's failure.
static RAISED: Mutex<Option<PyErr>> = Mutex::new(None);
/// The tokens of jobs whose arrays were kept in this process.
static KEPT: Mutex<Vec<Weak<()>>> = Mutex::new(Vec::new());

/// Whether a kernel runs on this thread: then the world cannot be looked at.
pub(crate) fn in_kernel() -> bool {
    IN_KERNEL.get()
}

/// What a kernel raised last in this process, once.
pub(crate) fn take_raised() -> Option<PyErr> {
    RAISED.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Whether arrays of a job that has ended are still held in this process.
pub(crate) fn is_lent() -> bool {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|token| token.strong_count() > 0);
    !kept.is_empty()
}

/// Where a column is, and whether it may be written.
struct Column {
    component: String,
    field: String,
    address: usize,
    bytes: usize,
    ty: FieldType,
    writable: bool,
    /// Where its rows are as they were, if that is elsewhere.
    before: Option<usize>,
    /// Whether Python has its rows, all of which it writes at once.
    written: bool,
}

impl Column {
    fn of(column: &mut hypostyle::dynamic::Column<'_>) -> Self {
        let (component, field, ty) = (column.component().to_owned(), column.field().to_owned(), column.ty);
        let (before, address, bytes, writable) = match &mut column.bytes {
            dynamic::ColumnBytes::Read(bytes) => (None, bytes.as_ptr().expose_provenance(), bytes.len(), false),
            dynamic::ColumnBytes::Write(bytes) => {
                // a column that Python never asks for is not touched
                let (old, new) = bytes.addresses();
                let before = (!std::ptr::eq(old, new)).then(|| old.expose_provenance());
                (before, new.expose_provenance(), bytes.len(), true)
            }
        };
        Column { component, field, address, bytes, ty, writable, before, written: false }
    }

    fn rows(&self) -> usize {
        self.bytes / self.ty.bytes()
    }

    fn memory(&self, token: &Arc<()>) -> Memory {
        Memory::of_job(token, self.ty, self.address, self.rows(), self.writable)
    }

    fn place(&self) -> Place {
        Place { address: self.address, rows: self.rows(), ty: self.ty, writable: self.writable }
    }
}

/// A table that the kernel looks at.
struct Table {
    entities: Column,
    columns: Vec<Column>,
    is_own: bool,
    /// All rows behind these are ghosts.
    own_rows: usize,
    /// One byte a row; none: all of them match.
    matches: Option<Vec<u8>>,
}

fn handles(entities: &[Entity]) -> Column {
    Column {
        component: String::new(),
        field: String::new(),
        address: entities.as_ptr().expose_provenance(),
        bytes: size_of_val(entities),
        ty: FieldType::scalar(ScalarType::U64),
        writable: false,
        before: None,
        written: false,
    }
}

/// A patch that waits for the kernel's end.
enum Patch {
    Set(String, Rows, Vec<u8>),
    Add(String, Rows, Vec<u8>),
    Accumulate(String, Rows, Vec<u8>),
    /// Lists that are set: how many elements each target gets, and all of them; or added.
    Lists(String, Rows, Vec<u32>, Vec<u8>, bool),
    Remove(String, Rows),
    Despawn(Rows),
    Spawn(Vec<String>, usize, Vec<u8>),
    Resource(String, Vec<u8>),
    Reduce(String, Vec<u8>),
}

/// What a patch is about.
enum Rows {
    Own(Vec<u32>),
    Any(Vec<Entity>),
}

impl Rows {
    fn targets(&self) -> dynamic::Targets<'_> {
        match self {
            Rows::Own(rows) => dynamic::Targets::Rows(rows),
            Rows::Any(entities) => dynamic::Targets::Entities(entities),
        }
    }
}

/// The lists of the rows, of one component: where each begins, how long it is, and the fields of all elements.
struct Listed {
    component: String,
    starts: Column,
    lengths: Column,
    fields: Vec<Column>,
}

fn words(words: &[u32]) -> Column {
    let (address, bytes) = (words.as_ptr().expose_provenance(), size_of_val(words));
    let ty = FieldType::scalar(ScalarType::U32);
    let (component, field) = (String::new(), String::new());
    Column { component, field, address, bytes, ty, writable: false, before: None, written: false }
}

impl Listed {
    fn of(job: &dynamic::Job<'_, '_, '_>, name: &str) -> Result<Self, JobError> {
        let lists = job.lists_named(name)?;
        let layout = job.layout();
        let declared = layout.components().iter().find(|component| component.name == name);
        let fields = declared.map_or(&[][..], |component| &component.fields[..]);
        let column = |(field, (ty, bytes)): (&FieldLayout, &(FieldType, &[u8]))| Column {
            component: name.to_owned(),
            field: field.name.clone(),
            address: bytes.as_ptr().expose_provenance(),
            bytes: bytes.len(),
            ty: *ty,
            writable: false,
            before: None,
            written: false,
        };
        Ok(Listed {
            component: name.to_owned(),
            starts: words(lists.starts),
            lengths: words(lists.lengths),
            fields: fields.iter().zip(&lists.columns).map(column).collect(),
        })
    }
}

/// What a system looks at, beside its columns.
pub(crate) struct Looks {
    pub(crate) resources: Vec<String>,
    /// Components whose lists of its own rows it reads.
    pub(crate) lists: Vec<String>,
    pub(crate) views: Vec<String>,
}

/// All of a job, for as long as its kernel runs.
struct Open {
    token: Arc<()>,
    /// Arrays on own rows that were given out.
    lent: Vec<Lent>,
    entities: Column,
    columns: Vec<Column>,
    tables: Vec<Table>,
    views: Vec<(String, Vec<Table>)>,
    lists: Vec<Listed>,
    resources: Vec<(String, Vec<u8>)>,
    payload: Vec<u8>,
    layout: Arc<Layout>,
    rows: usize,
    /// The first handle that a spawn gets, and how many were spawned.
    reserved: Entity,
    spawned: u32,
    patches: Vec<Patch>,
    random: RandomKey,
    iteration: u32,
    serial: u64,
}

impl Open {
    fn of(job: &mut dynamic::Job<'_, '_, '_>, looks: &Looks) -> Result<Self, JobError> {
        let look = |mut table: dynamic::Table<'_>| Table {
            entities: handles(table.entities),
            matches: (!table.matches_all())
                .then(|| (0..table.entities.len()).map(|row| u8::from(table.matches(row))).collect()),
            columns: table.columns.iter_mut().map(Column::of).collect(),
            is_own: table.is_own,
            own_rows: table.own_rows,
        };
        let tables = job.tables().map(look).collect();
        let view = |name: &String| Ok((name.clone(), job.view_named(name)?.map(look).collect()));
        let views = looks.views.iter().map(view).collect::<Result<_, JobError>>()?;
        let packed = |name: &String| Ok((name.clone(), job.resource_named(name)?.to_vec()));
        let resources = looks.resources.iter().map(packed).collect::<Result<_, JobError>>()?;
        let lists = looks.lists.iter().map(|name| Listed::of(job, name)).collect::<Result<_, JobError>>()?;
        Ok(Open {
            token: Arc::new(()),
            lent: Vec::new(),
            entities: handles(job.entities()),
            tables,
            views,
            lists,
            resources,
            payload: job.payload().to_vec(),
            layout: job.layout(),
            rows: job.len(),
            reserved: job.reserved(0),
            spawned: 0,
            patches: Vec::new(),
            random: job.random_key(),
            iteration: job.iteration(),
            serial: job.batch_serial(),
            columns: job.columns().iter_mut().map(Column::of).collect(),
        })
    }
}

/// A view of the array on some rows.
fn lend<'py>(py: Python<'py>, lent: &mut Vec<Lent>, place: Place) -> PyResult<Bound<'py, PyAny>> {
    if let Some(array) = lent.iter().find(|array| array.place == place) {
        return array.view(py);
    }
    let array = Lent::new(py, place)?;
    let view = array.view(py);
    lent.push(array);
    view
}

/// The rows that a kernel works on.
#[pyclass(frozen, module = "hypostyle._native")]
pub(crate) struct Job {
    frame: u64,
    time: f64,
    dt: f64,
    #[pyo3(get)]
    first_row: usize,
    /// None: the kernel has returned.
    open: Mutex<Option<Open>>,
}

impl Job {
    fn with<T>(&self, look: impl FnOnce(&mut Open) -> PyResult<T>) -> PyResult<T> {
        match self.open.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(open) => look(open),
            None => {
                let message = "a system's rows are of no use after it has ended";
                Err(error("ClosedError", message.to_owned()))
            }
        }
    }

    fn end(&self) -> Option<Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Targets of patches: rows (4 bytes each) or handles (8 bytes each).
fn rows_of(open: &Open, own: bool, targets: &[u8]) -> PyResult<Rows> {
    if !own {
        let handles = targets.as_chunks::<8>().0.iter();
        return Ok(Rows::Any(handles.map(|bits| Entity::from_bits(u64::from_le_bytes(*bits))).collect()));
    }
    let rows: Vec<u32> = targets.as_chunks::<4>().0.iter().map(|row| u32::from_le_bytes(*row)).collect();
    match rows.iter().find(|row| **row as usize >= open.rows) {
        None => Ok(Rows::Own(rows)),
        Some(row) => Err(PyIndexError::new_err(format!("there is no row {row}: the system has {} rows", open.rows))),
    }
}

/// A column's array, and where its rows are as they were.
type ColumnParts<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>);

/// Handles, entities and whole columns of a table; whether it is the job's own; a byte a row, where not all match.
type TableParts<'py> = (Memory, Vec<(String, String, Memory)>, bool, Option<Bound<'py, PyBytes>>, usize);

#[pymethods]
impl Job {
    fn __len__(&self) -> PyResult<usize> {
        self.with(|open| Ok(open.rows))
    }

    /// The frame's number, its time, what it takes, and the system's payload.
    fn head<'py>(&self, py: Python<'py>) -> PyResult<(u64, f64, f64, Bound<'py, PyBytes>)> {
        self.with(|open| Ok((self.frame, self.time, self.dt, PyBytes::new(py, &open.payload))))
    }

    fn layout<'py>(&self, py: Python<'py>) -> PyResult<LayoutParts<'py>> {
        self.with(|open| Ok(parts(py, &open.layout)))
    }

    /// The handles of the rows.
    fn entities(&self) -> PyResult<Memory> {
        self.with(|open| Ok(open.entities.memory(&open.token)))
    }

    /// A column's rows, an array; None: the system does not declare it. Where there is a second array, that is the rows as
    /// they were: all rows of the first are to be written before anybody looks at it.
    fn column<'py>(&self, py: Python<'py>, component: &str, field: &str) -> PyResult<Option<ColumnParts<'py>>> {
        self.with(|open| {
            let Open { columns, lent, .. } = open;
            let found = columns.iter_mut().find(|column| column.component == component && column.field == field);
            let Some(column) = found else { return Ok(None) };
            let place = column.place();
            let array = lend(py, lent, place)?;
            let before = column.before.filter(|_| !column.written);
            let before = before.map(|address| lend(py, lent, Place { address, writable: false, ..place }));
            let before = before.transpose()?;
            column.written = true;
            Ok(Some((array, before)))
        })
    }

    /// The tables that the system looks at: its neighbours, or those of a view; None: it does not declare the view.
    #[pyo3(signature = (view=None))]
    fn tables<'py>(&self, py: Python<'py>, view: Option<&str>) -> PyResult<Option<Vec<TableParts<'py>>>> {
        self.with(|open| {
            let tables = match view {
                None => &open.tables,
                Some(view) => match open.views.iter().find(|(name, _)| name == view) {
                    None => return Ok(None),
                    Some((_, tables)) => tables,
                },
            };
            let token = &open.token;
            let column = |column: &Column| (column.component.clone(), column.field.clone(), column.memory(token));
            let parts = |table: &Table| {
                let columns = table.columns.iter().map(column).collect();
                let matches = table.matches.as_ref().map(|bytes| PyBytes::new(py, bytes));
                (table.entities.memory(token), columns, table.is_own, matches, table.own_rows)
            };
            Ok(Some(tables.iter().map(parts).collect()))
        })
    }

    /// The packed bytes of a resource; None: the system does not declare it.
    fn resource<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.with(|open| {
            let found = open.resources.iter().find(|(other, _)| other == name);
            Ok(found.map(|(_, packed)| PyBytes::new(py, packed)))
        })
    }

    /// The lists of the rows, of one field: where each begins, how long it is, and the values of all elements; None: the system
    /// does not declare it.
    fn list(&self, component: &str, field: &str) -> PyResult<Option<(Memory, Memory, Memory)>> {
        self.with(|open| {
            let Open { lists, token, .. } = open;
            let Some(list) = lists.iter().find(|list| list.component == component) else { return Ok(None) };
            let values = list.fields.iter().find(|column| column.field == field);
            Ok(values.map(|values| (list.starts.memory(token), list.lengths.memory(token), values.memory(token))))
        })
    }

    /// Notes lists that are set, or added: how many elements each target gets (4 bytes each), and the packed elements of all.
    fn set_lists(
        &self,
        component: String,
        adds: bool,
        own: bool,
        targets: &[u8],
        lengths: &[u8],
        elements: &[u8],
    ) -> PyResult<()> {
        self.with(|open| {
            let rows = rows_of(open, own, targets)?;
            let lengths = lengths.as_chunks::<4>().0.iter().map(|length| u32::from_le_bytes(*length)).collect();
            open.patches.push(Patch::Lists(component, rows, lengths, elements.to_vec(), adds));
            Ok(())
        })
    }

    /// Notes a patch: `set`, `add`, `remove` or `despawn`. dynamic::Targets are rows (4 bytes each) or handles (8 bytes each);
    /// values are packed, one for each target or one for all.
    fn patch(&self, what: &str, name: String, own: bool, targets: &[u8], values: &[u8]) -> PyResult<()> {
        self.with(|open| {
            let rows = rows_of(open, own, targets)?;
            open.patches.push(match what {
                "set" => Patch::Set(name, rows, values.to_vec()),
                "add" => Patch::Add(name, rows, values.to_vec()),
                "accumulate" => Patch::Accumulate(name, rows, values.to_vec()),
                "remove" => Patch::Remove(name, rows),
                _ => Patch::Despawn(rows),
            });
            Ok(())
        })
    }

    /// Notes a spawn: for each entity the packed values of all components, or one for all. The handles, 8 bytes each.
    fn spawn<'py>(
        &self,
        py: Python<'py>,
        components: Vec<String>,
        count: usize,
        values: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.with(|open| {
            let first = open.spawned;
            let end = u32::try_from(count).ok().and_then(|count| first.checked_add(count));
            let end = end.ok_or_else(|| error("NoSpaceError", "a system spawns too many entities".to_owned()))?;
            open.patches.push(Patch::Spawn(components, count, values.to_vec()));
            open.spawned = end;
            let handles: Vec<u64> = (first..end).map(|ordinal| open.reserved.nth(ordinal).to_bits()).collect();
            Ok(PyBytes::new(py, bytemuck::cast_slice(&handles)))
        })
    }

    /// Notes a resource's new packed bytes.
    fn set_resource(&self, name: String, packed: &[u8]) -> PyResult<()> {
        self.with(|open| {
            open.patches.push(Patch::Resource(name, packed.to_vec()));
            Ok(())
        })
    }

    /// Which pass of its loop this is.
    fn iteration(&self) -> PyResult<u32> {
        self.with(|open| Ok(open.iteration))
    }

    /// The number of this run of the batch, which no other run in this process has.
    fn serial(&self) -> PyResult<u64> {
        self.with(|open| Ok(open.serial))
    }

    /// The first `count` random numbers of each of these entities (8 bytes each), or of these global ids, as doubles from 0 to
    /// below 1.
    fn random<'py>(
        &self,
        py: Python<'py>,
        entities: &[u8],
        count: usize,
        by_id: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let key = self.with(|open| Ok(open.random))?;
        let entities = entities.as_chunks::<8>().0;
        let bytes = entities.len().checked_mul(count).and_then(|numbers| numbers.checked_mul(8));
        let bytes = bytes.ok_or_else(|| error("NoSpaceError", "so many numbers do not fit memory".to_owned()))?;
        PyBytes::new_with(py, bytes, |out| {
            for (out, bits) in out.chunks_exact_mut((8 * count).max(1)).zip(entities) {
                let bits = u64::from_le_bytes(*bits);
                let mut random = if by_id { key.of_id(bits) } else { key.of(Entity::from_bits(bits)) };
                out.as_chunks_mut::<8>().0.iter_mut().for_each(|out| *out = random.f64().to_le_bytes());
            }
            Ok(())
        })
    }

    /// Records the rows' result: a resource's packed bytes.
    fn reduce(&self, name: String, packed: &[u8]) -> PyResult<()> {
        self.with(|open| {
            open.patches.push(Patch::Reduce(name, packed.to_vec()));
            Ok(())
        })
    }
}

/// Calls a kernel, `run(job)`, and makes its patches.
pub(crate) fn call(job: &mut dynamic::Job<'_, '_, '_>, run: &Py<PyAny>, looks: &Looks) -> Result<(), KernelError> {
    let open = Open::of(job, looks)?;
    let weak = Arc::downgrade(&open.token);
    let made = Job {
        frame: job.frame(),
        time: job.time(),
        dt: job.dt(),
        first_row: job.first_row(),
        open: Mutex::new(Some(open)),
    };
    let (done, written, kept) = Python::attach(|py| {
        let (done, open) = match Py::new(py, made) {
            Ok(made) => {
                let outer = IN_KERNEL.replace(true);
                let done = run.call1(py, (made.clone_ref(py),)).map(drop);
                IN_KERNEL.set(outer);
                (done, made.get().end())
            }
            Err(raised) => (Err(raised), None),
        };
        if let Err(raised) = &done {
            // no frame runs any more, so that all of them let go, wherever it came from
            let forget = py.import("hypostyle.system").and_then(|system| system.getattr("_forget"));
            let _ = forget.and_then(|forget| forget.call1((raised.value(py),)));
        }
        let (mut patches, mut written, mut lent) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(open) = open {
            written.extend(open.columns.iter().map(|column| column.written && done.is_ok()));
            (patches, lent) = (open.patches, open.lent);
        }
        if weak.strong_count() > 0 || lent.iter().any(|array| array.is_held(py)) {
            // a cycle of references, perhaps
            let _ = py.import("gc").and_then(|gc| gc.call_method0("collect"));
        }
        let mut kept: Vec<Weak<()>> = lent.into_iter().filter_map(|array| array.back(py)).collect();
        kept.extend((weak.strong_count() > 0).then_some(weak));
        let done = done.map_err(|raised| {
            let text = text_of(py, &raised);
            *RAISED.lock().unwrap_or_else(PoisonError::into_inner) = Some(raised);
            text
        });
        (done.map(|()| patches), written, kept)
    });
    let is_kept = !kept.is_empty();
    for (column, _) in job.columns().iter_mut().zip(written).filter(|(_, written)| *written) {
        if let dynamic::ColumnBytes::Write(bytes) = &mut column.bytes {
            bytes.assume_written();
        }
    }
    if is_kept {
        // In a worker process whoever uses them is killed from now on; in main the world is not touched until they are
        // gone.
        job.revoke();
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
    }
    let patches = done?;
    if is_kept {
        return Err("it kept an array of its rows, or a part of one; keep a copy instead".into());
    }
    Ok(patches.iter().try_for_each(|patch| make(job, patch))?)
}

fn make(job: &mut dynamic::Job<'_, '_, '_>, patch: &Patch) -> Result<(), JobError> {
    match patch {
        Patch::Set(name, rows, values) => job.set_named(name, rows.targets(), values),
        Patch::Add(name, rows, values) => job.add_named(name, rows.targets(), values),
        Patch::Accumulate(name, rows, values) => job.accumulate_named(name, rows.targets(), values),
        Patch::Lists(name, rows, lengths, elements, false) => {
            job.set_lists_named(name, rows.targets(), lengths, elements)
        }
        Patch::Lists(name, rows, lengths, elements, true) => {
            job.add_lists_named(name, rows.targets(), lengths, elements)
        }
        Patch::Remove(name, rows) => job.remove_named(name, rows.targets()),
        Patch::Despawn(rows) => job.despawn_all(rows.targets()),
        Patch::Spawn(components, count, values) => {
            let names: Vec<&str> = components.iter().map(String::as_str).collect();
            job.spawn_named(&names, *count, values).map(drop)
        }
        Patch::Resource(name, packed) => job.set_resource_named(name, packed),
        Patch::Reduce(name, packed) => job.reduce_named(name, packed),
    }
}

/// What was raised, with where: as Python prints it, the last line first.
fn text_of(py: Python<'_>, raised: &PyErr) -> String {
    let lines = || -> PyResult<Vec<String>> {
        let traceback = py.import("traceback")?;
        let value = raised.value(py);
        traceback.call_method1("format_exception", (value.into_bound_py_any(py)?,))?.extract()
    };
    match lines() {
        Ok(lines) => {
            let whole = lines.concat();
            format!("{raised}\n{}", whole.trim_end())
        }
        Err(_) => raised.to_string(),
    }
}
