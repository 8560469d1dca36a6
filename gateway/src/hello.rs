//! The region as HELLO tells of it.

use hypostyle::Snapshot;
use hypostyle::layout::{FieldLayout, Layout, Storage};
use serde_json::{Value, json};

use crate::delta::Selection;

use super::message::CLIENT_BYTES_MAX;
use super::subscribe::WINDOW_MAX;

/// What never changes while a region is the same.
#[derive(Clone, Debug)]
pub(super) struct World {
    /// New for every region and every start.
    pub session: u64,
    pub layout: Layout,
    /// What clients may see.
    pub shown: Selection,
    pub epoch: Option<u64>,
    /// The ranks that write it together, if it is such a world.
    pub ranks: Option<usize>,
}

/// What does. Generation, frame and time are always those of one generation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    pub alive: bool,
    pub generation: u64,
    pub frame: u64,
    pub time: f64,
}

impl Now {
    /// A generation that was pinned, on all ranks.
    pub(super) fn of(alive: bool, parts: &[Snapshot<'_>]) -> Now {
        let generation = parts.iter().map(Snapshot::generation).min().unwrap_or(0);
        let (frame, time) = parts.first().map_or((0, 0.0), |first| (first.frame(), first.time()));
        Now { alive, generation, frame, time }
    }
}

/// What the options say.
pub(super) struct Bounds<'a> {
    pub region: &'a str,
    pub rate_hz_max: f64,
    pub message_bytes_max: usize,
    pub steer: bool,
}

fn field(field: &FieldLayout) -> Value {
    let mut value = json!({
        "name": field.name,
        "scalar": field.ty.scalar.name(),
        "length": field.ty.array_len,
        "bytes": field.ty.bytes(),
    });
    for (key, text) in [("unit", &field.unit), ("description", &field.description)] {
        if !text.is_empty() {
            value[key] = text.as_str().into();
        }
    }
    value
}

/// A session or a view, as text.
pub(super) fn hex(number: u64) -> String {
    format!("{number:016x}")
}

impl World {
    /// HELLO's JSON.
    pub(super) fn hello(&self, now: &Now, bounds: &Bounds<'_>, inputs: Vec<String>) -> Value {
        let layout = &self.layout;
        let components = layout.components().iter().enumerate().filter(|(id, _)| self.shown.has_component(*id as u16));
        let components = components.map(|(id, component)| {
            let shown = |index: usize| self.shown.has_field(id as u16, index as u8);
            let fields = component.published_fields().iter().enumerate().map(|(index, declared)| {
                let mut value = field(declared);
                value["index"] = index.into();
                (index, value)
            });
            json!({
                "id": id,
                "name": component.name,
                "storage": if component.storage == Storage::Toggle { "toggle" } else { "table" },
                "fields": fields.filter(|(index, _)| shown(*index)).map(|(_, value)| value).collect::<Vec<_>>(),
            })
        });
        let resources = layout.resources().iter().enumerate().filter(|_| self.shown.has_resources());
        let resources = resources.map(|(id, resource)| {
            let offset = layout.resource_offset(id);
            let mut at = offset;
            let fields = resource.fields.iter().map(|declared| {
                let mut value = field(declared);
                value["offset"] = at.into();
                at += declared.ty.bytes() as u64;
                value
            });
            let fields: Vec<Value> = fields.collect();
            json!({
                "id": id,
                "name": resource.name,
                "presence": id,
                "offset": offset,
                "bytes": resource.packed_bytes(),
                "fields": fields,
            })
        });
        json!({
            "protocol": 1,
            "server": concat!("hypostyle ", env!("CARGO_PKG_VERSION")),
            "session": hex(self.session),
            "region": bounds.region,
            "world": layout.name(),
            "epoch": self.epoch,
            "ranks": self.ranks,
            "identity": if self.ranks.is_some() { "global_id" } else { "handle" },
            "writer_alive": now.alive,
            "generation": now.generation,
            "frame": now.frame,
            "time": now.time,
            "layout_hash": hex(layout.hash()),
            "message_bytes_max": bounds.message_bytes_max,
            "client_bytes_max": CLIENT_BYTES_MAX,
            "rate_hz_max": bounds.rate_hz_max,
            "window_max": WINDOW_MAX,
            "compression": ["zstd"],
            "components": components.collect::<Vec<_>>(),
            "resources": resources.collect::<Vec<_>>(),
            "inputs": inputs,
            "steer": bounds.steer,
        })
    }
}
