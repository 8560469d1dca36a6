//! Worlds of several ranks on this machine: what their regions say together, at one frame.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Write;

use hypostyle::regions::RegionInfo;
use hypostyle::{ClusterReader, IdHash, OwnedSnapshot, RegionTarget, Snapshot, SnapshotError};
use serde_json::{Value, json};

use crate::failure::{self, Failure, Outcome};
use crate::format::{Format, put_data};
use crate::list::{info_json, state};
use crate::table::Table;
use crate::{layout, open, text};

/// A world of several ranks.
pub(crate) struct Cluster {
    pub name: RegionTarget,
    /// By rank.
    pub regions: Vec<RegionInfo>,
    pub reader: ClusterReader,
}

/// Whether there is no region of this name, but the parts of one.
pub(crate) fn is_one(target: &RegionTarget) -> bool {
    let is_there = |target: &RegionTarget| target.path().ok().flatten().is_some_and(|path| path.exists());
    !is_there(target) && is_there(&target.of_rank(0))
}

impl Cluster {
    pub(crate) fn open(name: &RegionTarget) -> Outcome<Cluster> {
        let missing = || Failure::new(failure::NOT_FOUND, format!("there is no region {name}"));
        let regions = hypostyle::regions::ranks(name)?.ok_or_else(missing)?;
        let ranks = (0..regions.len()).map(|rank| open::open(&name.of_rank(rank)));
        let reader = ClusterReader::of(ranks.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Cluster { name: name.clone(), regions, reader })
    }

    /// The hash by ids of all parts, which is that of one process.
    pub(crate) fn hash(parts: &[OwnedSnapshot]) -> Outcome<IdHash> {
        let mut whole: Option<IdHash> = None;
        for part in parts {
            let part = part.snapshot().hash_by_id()?;
            let joined = whole.map_or(Some(part), |whole| whole.combine(part));
            whole = Some(joined.ok_or_else(|| Failure::new(failure::OTHER, "the parts are not of one frame"))?);
        }
        whole.ok_or_else(|| Failure::new(failure::NOT_FOUND, "there are no parts"))
    }

    /// The newest frame that all parts have; `None`: nothing is published yet.
    fn pin(&self) -> Outcome<Option<Vec<OwnedSnapshot>>> {
        match self.reader.pin() {
            Ok(parts) => Ok(Some(parts)),
            Err(SnapshotError::NothingPublished) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the tables of all parts have together.
#[derive(Default)]
pub(crate) struct Sum {
    pub rows: usize,
    pub capacity: usize,
    pub bytes: u64,
}

/// Tables of the parts by their components.
pub(crate) fn tables(parts: &[Snapshot<'_>]) -> BTreeMap<String, Sum> {
    let mut all: BTreeMap<String, Sum> = BTreeMap::new();
    for table in parts.iter().flat_map(Snapshot::tables) {
        let sum = all.entry(table.components().collect::<Vec<_>>().join(", ")).or_default();
        sum.rows += table.rows();
        sum.capacity += table.capacity();
        sum.bytes += table.column_memory().iter().map(|column| column.bytes).sum::<u64>();
    }
    all
}

/// Runs `inspect`.
pub(crate) fn inspect(name: &RegionTarget, format: Format, out: &mut dyn Write) -> Outcome {
    let cluster = Cluster::open(name)?;
    let pinned = cluster.pin()?;
    let parts: Vec<Snapshot<'_>> = pinned.iter().flatten().map(OwnedSnapshot::snapshot).collect();
    let tables = tables(&parts);
    let entities = parts.iter().map(Snapshot::entity_count).sum::<u64>();
    if format != Format::Table {
        let tables = tables.iter().map(|(components, sum)| {
            let components: Vec<&str> = components.split(", ").filter(|name| !name.is_empty()).collect();
            json!({ "components": components, "rows": sum.rows, "capacity": sum.capacity, "bytes": sum.bytes })
        });
        let mut data = json!({
            "region": null,
            "checkpoint": null,
            "checkpoints": null,
            "cluster": cluster_json(&cluster),
            "layout": layout::layout_json(cluster.reader.layout()),
            "snapshot": parts.first().map(|first| json!({
                "frame": first.frame(),
                "time": first.time(),
                "entities": entities,
                "rank_entities": parts.iter().map(Snapshot::entity_count).collect::<Vec<_>>(),
                "tables": tables.collect::<Vec<_>>(),
            })),
        });
        data["layout"]["toml"] = json!(cluster.reader.layout().to_toml());
        let rows = data["snapshot"]["tables"].as_array().cloned().unwrap_or_default();
        return put_data(format, &data, crate::inspect::COLUMNS, &rows, out);
    }
    let mut head = Table::pairs();
    head.pair("world", format!("{name}, on {} ranks of this machine", cluster.regions.len()));
    match parts.first() {
        None => head.pair("frame", "none yet"),
        Some(first) => {
            head.pair("frame", text::count(first.frame()));
            head.pair("time", first.time());
            head.pair("entities", text::count(entities));
        }
    }
    write!(out, "{head}")?;
    let mut ranks = Table::new(&[">rank", "region", "state", ">writer", ">entities", ">memory"]);
    for (rank, region) in cluster.regions.iter().enumerate() {
        ranks.row([
            rank.to_string(),
            region.name.clone(),
            state(region).to_owned(),
            region.writer_pid.to_string(),
            parts.get(rank).map_or_else(|| "-".to_owned(), |part| text::count(part.entity_count())),
            text::bytes(region.bytes_backed),
        ]);
    }
    write!(out, "\n{ranks}\nlayout {}\n\n", text::hash(cluster.reader.layout().hash()))?;
    for line in cluster.reader.layout().to_toml().lines() {
        writeln!(out, "{}", format!("    {line}").trim_end())?;
    }
    for (components, sum) in &tables {
        let (rows, room) = (text::count(sum.rows as u64), text::count(sum.capacity as u64));
        writeln!(out, "\ntable ({components}): {rows} rows, room for {room}, {}", text::bytes(sum.bytes))?;
    }
    Ok(())
}

fn cluster_json(cluster: &Cluster) -> Value {
    json!({
        "name": cluster.name.to_string(),
        "ranks": cluster.regions.iter().map(info_json).collect::<Vec<_>>(),
    })
}

/// Runs `hash --by-id`.
pub(crate) fn hash(name: &RegionTarget, by_id: bool, format: Format, out: &mut dyn Write) -> Outcome {
    if !by_id {
        let what = format!("{name} is the world of several ranks, whose handles are their own: hash it with --by-id");
        return Err(Failure::usage(what));
    }
    let cluster = Cluster::open(name)?;
    let parts = cluster.reader.pin()?;
    let state = Cluster::hash(&parts)?.to_string();
    if format != Format::Table {
        let data = json!({
            "region": name.to_string(),
            "checkpoint": null,
            "ranks": parts.len(),
            "frame": parts[0].snapshot().frame(),
            "time": parts[0].snapshot().time(),
            "state_by_id": state,
        });
        return put_data(format, &data, crate::hash::COLUMNS, std::slice::from_ref(&data), out);
    }
    Ok(writeln!(out, "state-by-id {state}")?)
}

/// The worlds of several ranks among regions: their names, and the regions of each.
pub(crate) fn among(regions: &[RegionInfo]) -> BTreeMap<String, Vec<&RegionInfo>> {
    let mut all: BTreeMap<String, Vec<&RegionInfo>> = BTreeMap::new();
    for region in regions.iter().filter(|region| region.notes.iter().any(|(name, _)| name == "ranks")) {
        if let Some(name) = RegionTarget::from_path(&region.path).cluster() {
            all.entry(name.to_string()).or_default().push(region);
        }
    }
    all
}
