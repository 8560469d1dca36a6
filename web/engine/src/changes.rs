//! What kernels of the host change beside their rows: noted when a call ends, and made after it.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use hypostyle::dynamic::{Job, Targets};
use hypostyle::{KernelError, Layout, ScalarType};

use crate::own::field;

/// What a system declares that it changes.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    pub(crate) sets: Vec<String>,
    pub(crate) adds: Vec<String>,
    pub(crate) removes: Vec<String>,
    pub(crate) spawns: Vec<String>,
    pub(crate) despawns: bool,
}

impl Changes {
    pub(crate) fn are_none(&self) -> bool {
        let names = [&self.sets, &self.adds, &self.removes, &self.spawns];
        !self.despawns && names.iter().all(|names| names.is_empty())
    }
}

/// A change of some rows, or entities that are spawned.
struct Patch {
    kind: u32,
    /// Its components, with commas.
    components: String,
    rows: Vec<u32>,
    count: usize,
    columns: Vec<Given>,
}

/// Values of a field: one for each row or entity, or one for all.
struct Given {
    name: String,
    bytes: Vec<u8>,
    /// The codes of types that an array as the given one holds, a bit each.
    types: u32,
}

thread_local! {
    static NOTED: RefCell<Vec<Patch>> = const { RefCell::new(Vec::new()) };
}

/// Notes a change, 0 sets, 1 adds, 2 removes, 3 despawns, 4 spawns; where the host writes the rows.
pub(crate) fn note(kind: u32, components: String, count: usize) -> *mut u32 {
    let rows = if kind == SPAWNS { Vec::new() } else { vec![0; count] };
    NOTED.with_borrow_mut(|noted| {
        noted.push(Patch { kind, components, rows, count, columns: Vec::new() });
        noted.last_mut().map_or(std::ptr::null_mut(), |patch| patch.rows.as_mut_ptr())
    })
}

/// Notes so many bytes of values of the change that was noted last; where the host writes them.
pub(crate) fn note_column(name: String, bytes: usize, types: u32) -> *mut u8 {
    NOTED.with_borrow_mut(|noted| {
        let Some(patch) = noted.last_mut() else { return std::ptr::null_mut() };
        patch.columns.push(Given { name, bytes: vec![0; bytes], types });
        patch.columns.last_mut().map_or(std::ptr::null_mut(), |given| given.bytes.as_mut_ptr())
    })
}

/// Forgets what a call noted that failed.
pub(crate) fn forget() {
    NOTED.take();
}

const SPAWNS: u32 = 4;

/// Makes what was noted.
pub(crate) fn make(job: &mut Job<'_, '_, '_>, changes: &Changes) -> Result<(), KernelError> {
    for patch in NOTED.take() {
        let components: Vec<&str> = patch.components.split(',').filter(|name| !name.is_empty()).collect();
        let rows = Targets::Rows(&patch.rows);
        let (declared, what) = match patch.kind {
            0 => (&changes.sets, "sets"),
            1 => (&changes.adds, "adds"),
            2 => (&changes.removes, "removes"),
            SPAWNS => (&changes.spawns, "spawns"),
            _ if changes.despawns => {
                job.despawn_all(rows)?;
                continue;
            }
            _ => return Err("the system does not declare that it despawns".into()),
        };
        if let Some(name) = components.iter().find(|name| !declared.iter().any(|declared| declared == *name)) {
            return Err(format!("the system does not declare that it {what} `{name}`").into());
        }
        let layout = job.layout();
        match patch.kind {
            0 => {
                for given in &patch.columns {
                    check(&layout, given)?;
                    job.set_named(&given.name, rows, &given.bytes)?;
                }
            }
            2 => components.iter().try_for_each(|component| job.remove_named(component, rows))?,
            kind => {
                let packed = pack(&layout, &components, patch.count, &patch.columns)?;
                if kind == SPAWNS {
                    job.spawn_named(&components, patch.count, &packed)?;
                } else {
                    components.iter().try_for_each(|component| job.add_named(component, rows, &packed))?;
                }
            }
        }
    }
    Ok(())
}

/// What a field's values must be; their bytes for one row.
fn check(layout: &Layout, Given { name, bytes, types }: &Given) -> Result<usize, String> {
    let (_, _, ty) = field(layout, name)?;
    if (types >> ty.scalar as u32) & 1 == 0 {
        return Err(format!("`{name}` is of {}, and not of what the given array holds", ty.scalar));
    }
    if ty.scalar == ScalarType::Bool && bytes.iter().any(|byte| *byte > 1) {
        return Err(format!("a bool of `{name}` is neither 0 nor 1"));
    }
    Ok(ty.bytes())
}

/// Values of all components, one entity's after the other; fields that were not given have their defaults.
fn pack(layout: &Layout, components: &[&str], count: usize, columns: &[Given]) -> Result<Vec<u8>, KernelError> {
    let (mut row, mut fields) = (Vec::new(), Vec::new());
    for component in components {
        let Some((_, declared)) = layout.component(component) else {
            return Err(format!("the layout has no component `{component}`").into());
        };
        let mut at = row.len();
        for field in &declared.fields {
            fields.push((format!("{component}.{}", field.name), at));
            at += field.ty.bytes();
        }
        row.extend(declared.packed_default());
    }
    let mut packed = row.repeat(count);
    for given in columns {
        let (each, Given { name, bytes, .. }) = (check(layout, given)?, given);
        let Some((_, at)) = fields.iter().find(|(field, _)| field == name) else {
            return Err(format!("`{name}` is of none of the components").into());
        };
        if bytes.len() != each && bytes.len() != each * count {
            return Err(format!("`{name}` takes {count} values, or one, and not {}", bytes.len() / each).into());
        }
        for (index, row) in packed.chunks_exact_mut(row.len()).enumerate() {
            let from = if bytes.len() == each { 0 } else { index * each };
            row[*at..*at + each].copy_from_slice(&bytes[from..from + each]);
        }
    }
    Ok(packed)
}
