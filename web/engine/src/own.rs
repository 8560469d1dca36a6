//! A world that the host describes: a layout, entities from columns of bytes, and systems whose kernels are the host's.
//!
//! Invariant: the place that [`Own::column`] told stays until [`Own::spawn`].
#![forbid(unsafe_code)]

use hypostyle::dynamic::{self, Column, ColumnBytes, Query};
use hypostyle::layout::did_you_mean;
use hypostyle::{FieldType, KernelError, Layout, ScalarType, Schedule, System, World};

use crate::answer::Object;
use crate::changes::{self, Changes};
use crate::engine::{About, Engine};

/// A column of a job, as the host's kernel is told of it: address, bytes, the code of its scalars' type.
pub(crate) type Place = [u32; 3];

/// What the host is told of a job, beside its columns.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// The system's number, in the order in which they were named.
    pub(crate) system: u32,
    pub(crate) first_row: u32,
    pub(crate) rows: u32,
    pub(crate) dt: f64,
    pub(crate) time: f64,
    pub(crate) frame: f64,
}

/// What calls a kernel of the host.
pub(crate) type Caller = fn(Call, &[Place]) -> Result<(), String>;

/// A world under way.
pub(crate) struct Own {
    world: World,
    count: usize,
    components: Vec<String>,
    columns: Vec<Given>,
    systems: Vec<Declared>,
}

struct Given {
    name: String,
    ty: FieldType,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Declared {
    name: String,
    stage: Option<String>,
    reads: Vec<String>,
    writes: Vec<String>,
    with: Vec<String>,
    without: Vec<String>,
    changes: Changes,
}

/// Component and field of `position.x`, and the field's type.
pub(crate) fn field<'n>(layout: &Layout, name: &'n str) -> Result<(&'n str, &'n str, FieldType), String> {
    let (component, field) = name.split_once('.').unwrap_or((name, ""));
    let Some((_, declared)) = layout.component(component) else {
        let hint = did_you_mean(component, layout.components().iter().map(|component| component.name.as_str()));
        return Err(format!("the layout has no component `{component}`{hint}"));
    };
    if declared.storage.is_list() {
        return Err(format!("`{component}` are lists: they have no columns"));
    }
    match declared.fields.iter().find(|declared| declared.name == field) {
        Some(declared) => Ok((component, field, declared.ty)),
        None => {
            let names: Vec<String> =
                declared.fields.iter().map(|declared| format!("`{component}.{}`", declared.name)).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(format!("there is no column `{name}`; of `{component}` there are {names}"))
        }
    }
}

impl Own {
    /// Makes an empty world.
    pub(crate) fn new(layout: &str) -> Result<Own, String> {
        let layout = Layout::parse(layout, "layout").map_err(|error| error.to_string())?;
        let (name, bytes_max) = (layout.name().to_owned(), layout.bytes_max());
        // a default, as it may be more than a module can address
        let builder = World::builder().name(name).bytes_max_default(bytes_max).layout(layout);
        let world = builder.build().map_err(|error| error.to_string())?;
        Ok(Own { world, count: 0, components: Vec::new(), columns: Vec::new(), systems: Vec::new() })
    }

    /// Begins to spawn so many entities.
    pub(crate) fn begin(&mut self, count: f64) -> Result<String, String> {
        if !(count.fract() == 0.0 && (0.0..=4e9).contains(&count)) {
            return Err(format!("{count} entities: it must be a whole number"));
        }
        self.count = count as usize;
        Ok(String::new())
    }

    /// They have this component.
    pub(crate) fn component(&mut self, name: String) -> Result<String, String> {
        self.components.push(name);
        Ok(String::new())
    }

    /// They have this column, of so many bytes: says what it holds, and where the host writes it.
    pub(crate) fn column(&mut self, name: String, bytes: usize) -> Result<String, String> {
        let (_, _, ty) = field(self.world.layout(), &name)?;
        let mut given = Vec::new();
        given.try_reserve_exact(bytes).map_err(|_| format!("there is no memory for column `{name}`"))?;
        given.resize(bytes, 0);
        let answer = Object::new().text("type", ty.scalar.name()).number("at", given.as_ptr().addr() as u64);
        self.columns.push(Given { name, ty, bytes: given });
        Ok(answer.end())
    }

    /// Spawns them.
    pub(crate) fn spawn(&mut self) -> Result<String, String> {
        let (components, columns) = (std::mem::take(&mut self.components), std::mem::take(&mut self.columns));
        let mut spawn = self.world.spawn_columns(self.count);
        for component in &components {
            spawn = spawn.with_named(component);
        }
        for Given { name, ty, bytes } in &columns {
            if ty.scalar == ScalarType::Bool && bytes.iter().any(|byte| *byte > 1) {
                return Err(format!("a bool of column `{name}` is neither 0 nor 1"));
            }
            spawn = spawn.column_bytes(name, *ty, bytes);
        }
        spawn.spawn().map(|_| String::new()).map_err(|error| error.to_string())
    }

    /// Names the next system.
    pub(crate) fn system(&mut self, name: String) -> Result<String, String> {
        self.systems.push(Declared { name, ..Declared::default() });
        Ok(String::new())
    }

    /// Says more of the system that was named last: see [`own_part`](crate::own_part). Columns
    /// in the order in which its kernel is told of them, those that it writes before those that it reads.
    pub(crate) fn part(&mut self, kind: u32, name: String) -> Result<String, String> {
        let declared = self.systems.last_mut().ok_or("no system was named")?;
        if matches!(kind, 1 | 2) {
            field(self.world.layout(), &name).map_err(|why| format!("system `{}`: {why}", declared.name))?;
        }
        match kind {
            0 => declared.stage = Some(name),
            1 => declared.writes.push(name),
            2 => declared.reads.push(name),
            3 => declared.with.push(name),
            4 => declared.without.push(name),
            5 => declared.changes.sets.push(name),
            6 => declared.changes.adds.push(name),
            7 => declared.changes.removes.push(name),
            8 => declared.changes.spawns.push(name),
            9 => declared.changes.despawns = true,
            _ => return Err(format!("a system has no part {kind}")),
        }
        Ok(String::new())
    }

    /// Starts the engine.
    pub(crate) fn start(self, dt: f64, threads: usize, publish_every: u64, call: Caller) -> Result<Engine, String> {
        if !(dt.is_finite() && dt >= 0.0) {
            return Err(format!("a frame of {dt} seconds: it must be a finite number from 0"));
        }
        let mut schedule = Schedule::new();
        for (index, declared) in self.systems.into_iter().enumerate() {
            schedule.add(declared.system(index as u32, self.world.layout(), call)?);
        }
        let about = About { scene: self.world.layout().name().to_owned(), about: String::new(), dt };
        Engine::new(self.world, schedule, about, threads, publish_every)
    }
}

impl Declared {
    fn system(self, index: u32, layout: &Layout, call: Caller) -> Result<System, String> {
        if self.writes.is_empty() && self.changes.are_none() {
            return Err(format!("system `{}` writes no column and changes nothing", self.name));
        }
        let (mut query, mut queried) = (Query::new(), Vec::new());
        let mut wanted = Vec::new();
        for (names, writes) in [(&self.writes, true), (&self.reads, false)] {
            for name in names {
                let (component, field, _) = field(layout, name)?;
                // what is written may be read as well
                if !queried.contains(&component) {
                    queried.push(component);
                    query = if writes { query.write(component) } else { query.read(component) };
                }
                wanted.push((component.to_owned(), field.to_owned(), writes));
            }
        }
        query = self.with.into_iter().fold(query, Query::with);
        query = self.without.into_iter().fold(query, Query::without);
        let changes = self.changes.clone();
        let run = move |job: &mut dynamic::Job<'_, '_, '_>| run(job, index, &wanted, call, &changes);
        let mut system = dynamic::system(self.name, query, run);
        system = self.changes.sets.into_iter().fold(system, System::sets_named);
        system = self.changes.adds.into_iter().fold(system, System::adds_named);
        system = self.changes.removes.into_iter().fold(system, System::removes_named);
        system = self.changes.spawns.into_iter().fold(system, System::spawns_named);
        if self.changes.despawns {
            system = system.despawns();
        }
        Ok(match self.stage {
            Some(stage) => system.stage(stage),
            None => system,
        })
    }
}

/// Hands a job over to the host's kernel: the columns that are wanted, in place.
fn run(
    job: &mut dynamic::Job<'_, '_, '_>,
    system: u32,
    wanted: &[(String, String, bool)],
    call: Caller,
    changes: &Changes,
) -> Result<(), KernelError> {
    let about = Call {
        system,
        first_row: job.first_row() as u32,
        rows: job.len() as u32,
        dt: job.dt(),
        time: job.time(),
        frame: job.frame() as f64,
    };
    let mut places = Vec::with_capacity(wanted.len());
    for (component, field, writes) in wanted {
        let column = find(job, component, field)?;
        let code = column.ty.scalar as u32;
        let (address, bytes) = match &mut column.bytes {
            ColumnBytes::Write(bytes) if *writes => {
                let rows = &mut bytes[..];
                (rows.as_mut_ptr().expose_provenance(), rows.len())
            }
            ColumnBytes::Write(bytes) => (bytes.as_ptr().expose_provenance(), bytes.len()),
            ColumnBytes::Read(bytes) => (bytes.as_ptr().expose_provenance(), bytes.len()),
        };
        places.push([address as u32, bytes as u32, code]);
    }
    changes::forget();
    call(about, &places)?;
    for (component, field, _) in wanted.iter().filter(|(_, _, writes)| *writes) {
        let column = find(job, component, field)?;
        let ColumnBytes::Write(bytes) = &column.bytes else { continue };
        if column.ty.scalar == ScalarType::Bool && bytes.iter().any(|byte| *byte > 1) {
            return Err(format!("it wrote a bool of `{component}.{field}` that is neither 0 nor 1").into());
        }
    }
    changes::make(job, changes)
}

fn find<'c, 'a>(
    job: &'c mut dynamic::Job<'_, 'a, '_>,
    component: &str,
    field: &str,
) -> Result<&'c mut Column<'a>, KernelError> {
    let found = job.columns().iter_mut().find(|column| column.component() == component && column.field() == field);
    found.ok_or_else(|| format!("the job has no column `{component}.{field}`").into())
}
