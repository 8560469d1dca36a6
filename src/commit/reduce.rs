//! What the jobs of a batch have reduced their rows to becomes the value of a resource.
//!
//! Values come in canonical order of the jobs and are joined by one tree over it. They come from workers and are checked
//! before they are kept; a join is a program's own code, and its panic is an error.
#![forbid(unsafe_code)]

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Entity;
use crate::reduce::Reduction;
use crate::region::RegionError;
use crate::table::RESOURCES;

use super::apply::{Commit, Current};
use super::report::Refusal;

/// Results of jobs. Kept for its memory.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    found: Vec<Partial>,
    values: Vec<u8>,
    joined: Vec<u8>,
}

#[derive(Debug)]
struct Partial {
    system: usize,
    resource: u16,
    at: usize,
    bytes: usize,
}

/// Other worlds whose rows are reduced to the same resources.
pub(crate) trait Across {
    /// Makes the value here that of all worlds.
    fn reduce(
        &mut self,
        resource: &str,
        value: &mut [u8],
        join: &dyn Fn(&mut [u8], &[u8]),
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Why a resource did not get the result of its rows.
#[derive(Debug)]
pub(crate) enum ReduceError {
    Region(RegionError),
    /// The join failed, as this text says.
    Join(String),
    /// Other worlds could not be reached.
    Across(Box<dyn Error + Send + Sync>),
}

impl From<RegionError> for ReduceError {
    fn from(error: RegionError) -> Self {
        ReduceError::Region(error)
    }
}

impl Partials {
    /// A batch begins.
    pub(crate) fn clear(&mut self) {
        self.found.clear();
        self.values.clear();
    }
}

impl Commit<'_> {
    /// Keeps the result of a job's rows.
    pub(super) fn keep_partial(&mut self, current: &Current, resource: u16, value: &[u8]) {
        let name = || self.registry.layout.resources()[usize::from(resource)].name.clone();
        if self.access[current.system].reduces.binary_search(&resource).is_err() {
            let component = name();
            let why = || Refusal::Undeclared { what: "reduces its rows to resource", component };
            return self.counts[current.system].refuse(1, why);
        }
        let bools = &self.registry.resource_bool_offsets[usize::from(resource)];
        if bools.iter().any(|at| value[*at as usize] > 1) {
            let component = name();
            return self.counts[current.system].refuse(1, || Refusal::NotABool { component });
        }
        let partials = &mut self.scratch.partials;
        let (at, bytes) = (partials.values.len(), value.len());
        partials.values.extend_from_slice(value);
        partials.found.push(Partial { system: current.system, resource, at, bytes });
    }

    /// Sets a resource to the result of a system's rows, the empty value if there were none. Or joins it to the
    /// value that is there. With `across`, rows of other worlds take part.
    pub(crate) fn reduce(
        &mut self,
        system: usize,
        reduction: &Reduction,
        across: Option<&mut dyn Across>,
    ) -> Result<(), ReduceError> {
        let Partials { found, values, joined } = &mut self.scratch.partials;
        joined.clear();
        let bytes = reduction.empty().len();
        let mine = |partial: &&Partial| partial.system == system && partial.resource == reduction.resource;
        for partial in found.iter().filter(mine) {
            joined.extend_from_slice(&values[partial.at..partial.at + partial.bytes]);
        }
        let id = usize::from(reduction.resource);
        let offset = self.registry.layout.resource_offset(id) as usize;
        let all = self.store.column_bytes_mut(RESOURCES, 0);
        let before = (reduction.onto && all[id] == 1).then(|| all[offset..offset + bytes].to_vec());
        let mut given = !joined.is_empty();
        if !given {
            if reduction.onto && across.is_none() {
                return Ok(());
            }
            joined.extend_from_slice(reduction.empty());
        }
        let name = &self.registry.layout.resources()[id].name;
        let join = catch_unwind(AssertUnwindSafe(|| {
            reduction.join_all(joined);
            if let Some(across) = across {
                joined.truncate(bytes);
                given = join_across(across, name, reduction, given, joined).map_err(ReduceError::Across)?;
            }
            if let Some(mut before) = before.filter(|_| given) {
                reduction.join(&mut before, &joined[..bytes]);
                joined[..bytes].copy_from_slice(&before);
            }
            Ok(())
        }));
        join.unwrap_or_else(|panic| Err(ReduceError::Join(text_of(&*panic))))?;
        if reduction.onto && !given {
            return Ok(());
        }
        joined.truncate(bytes);
        let mut stale = 0;
        for at in self.registry.resource_entity_offsets[id].iter().map(|at| *at as usize) {
            let null = Entity::NULL.to_bits().to_le_bytes();
            let handle: &mut [u8; 8] = (&mut joined[at..at + 8]).try_into().expect("a handle is 8 bytes");
            if Entity::from_bits(u64::from_le_bytes(*handle)).is_reserved() && *handle != null {
                *handle = null;
                stale += 1;
            }
        }
        self.store.write_partial(RESOURCES, 0)?;
        let all = self.store.column_bytes_mut(RESOURCES, 0);
        all[id] = 1;
        all[offset..offset + bytes].copy_from_slice(joined);
        let rows = self.store.tables[RESOURCES as usize].rows;
        self.store.mark_dirty(RESOURCES, 0, 0, rows);
        let counts = &mut self.counts[system];
        counts.applied += 1;
        counts.stale += stale;
        Ok(())
    }
}

/// Joins the result of this world's rows (`given`: there is one) to those of other worlds; whether any has one. The flag
/// travels behind the value: a value of no rows is joined to nothing.
fn join_across(
    across: &mut dyn Across,
    resource: &str,
    reduction: &Reduction,
    given: bool,
    value: &mut Vec<u8>,
) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let bytes = value.len();
    value.push(u8::from(given));
    across.reduce(resource, value, &|earlier, later| match (earlier[bytes], later[bytes]) {
        (_, 0) => {}
        (0, _) => earlier.copy_from_slice(later),
        _ => reduction.join(&mut earlier[..bytes], &later[..bytes]),
    })?;
    Ok(value.pop() != Some(0))
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the join panicked: {}", text.as_deref().unwrap_or("with a value that is no text"))
}
